package dialog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

// Var is the value of a variable. Value is what expressions work with: nil (left out), bool, int64, float64, string,
// time.Time, time.Duration, []any, map[string]any. Its JSON keeps the difference between them.
type Var struct {
	Value  any
	Answer *ask.Value        // as the customer gave it; nil = not an answer
	Kind   ask.Kind          // of the question
	Shown  map[string]string // the answer in words, by language of the dialog
}

type varJSON struct {
	Value  json.RawMessage   `json:"value,omitempty"`
	Answer *ask.Value        `json:"answer,omitempty"`
	Kind   ask.Kind          `json:"kind,omitempty"`
	Shown  map[string]string `json:"shown,omitempty"`
}

// MarshalJSON writes numbers so that whole ones and others stay apart (2 and 2.0), times and durations as
// {"$time": …} and {"$duration": …}.
func (v Var) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := encode(&b, v.Value); err != nil {
		return nil, err
	}
	return json.Marshal(varJSON{b.Bytes(), v.Answer, v.Kind, v.Shown})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Var) UnmarshalJSON(b []byte) error {
	var j varJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*v = Var{Answer: j.Answer, Kind: j.Kind, Shown: j.Shown}
	if len(j.Value) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(j.Value))
	dec.UseNumber()
	var x any
	if err := dec.Decode(&x); err != nil {
		return err
	}
	v.Value = decodeValue(x)
	return nil
}

func encode(b *bytes.Buffer, v any) error {
	put := func(x any) error {
		j, err := json.Marshal(x)
		b.Write(j)
		return err
	}
	switch x := v.(type) {
	case nil, bool, string, int64:
		return put(x)
	case int:
		return put(x)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return put(map[string]string{"$number": strconv.FormatFloat(x, 'g', -1, 64)})
		}
		s := strconv.FormatFloat(x, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		b.WriteString(s)
		return nil
	case time.Time:
		return put(map[string]string{"$time": x.Format(time.RFC3339Nano)})
	case time.Duration:
		return put(map[string]string{"$duration": x.String()})
	case []any:
		b.WriteByte('[')
		for i, e := range x {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encode(b, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case map[string]any:
		b.WriteByte('{')
		for i, k := range sorted(x) {
			if i > 0 {
				b.WriteByte(',')
			}
			name := k
			if strings.HasPrefix(k, "$") { // a webhook's own
				name = "$" + k
			}
			if err := put(name); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := encode(b, x[k]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	default:
		return fmt.Errorf("a value of type %T cannot be kept", v)
	}
}

// decodeValue makes a value of ours of JSON that was decoded with UseNumber.
func decodeValue(v any) any {
	switch x := v.(type) {
	case json.Number:
		return number(x)
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = decodeValue(e)
		}
		return out
	case map[string]any:
		if len(x) == 1 {
			for k, e := range x {
				s, _ := e.(string)
				switch k {
				case "$time":
					if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
						return t
					}
				case "$duration":
					if d, err := time.ParseDuration(s); err == nil {
						return d
					}
				case "$number":
					if f, err := strconv.ParseFloat(s, 64); err == nil {
						return f
					}
				}
			}
		}
		out := make(map[string]any, len(x))
		for k, e := range x {
			if strings.HasPrefix(k, "$$") {
				k = k[1:]
			}
			out[k] = decodeValue(e)
		}
		return out
	default:
		return v
	}
}

func number(n json.Number) any {
	if !strings.ContainsAny(n.String(), ".eE") {
		if i, err := n.Int64(); err == nil {
			return i
		}
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	return f
}

// foreign makes a value of ours of any JSON value (a webhook's answer, an input): numbers are whole where they are
// written so. left bounds its size.
func foreign(v any, left *int, depth int) (any, error) {
	if *left -= 8; *left < 0 || depth > 16 {
		return nil, errTooLarge
	}
	switch x := v.(type) {
	case nil, bool, int64, time.Time, time.Duration:
		return x, nil
	case string:
		if *left -= len(x); *left < 0 {
			return nil, errTooLarge
		}
		return x, nil
	case int:
		return int64(x), nil
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x), nil
		}
		return x, nil
	case json.Number:
		return number(x), nil
	case []string:
		out := make([]any, len(x))
		for i, s := range x {
			if *left -= len(s) + 8; *left < 0 {
				return nil, errTooLarge
			}
			out[i] = s
		}
		return out, nil
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			var err error
			if out[i], err = foreign(e, left, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			if *left -= len(k); *left < 0 {
				return nil, errTooLarge
			}
			var err error
			if out[k], err = foreign(e, left, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return nil, fmt.Errorf("a value of type %T cannot be kept", v)
	}
}

// valueOf is what expressions see of an answer; ok is false if it is no answer to this question (the state of another
// version, a fault elsewhere).
func valueOf(a *ask.Ask, v ask.Value, zone *time.Location) (out any, ok bool) {
	if v.Skipped {
		return nil, true
	}
	str := func(s string) (any, bool) { return s, s != "" }
	list := func(s []string) (any, bool) {
		out := make([]any, len(s))
		for i, x := range s {
			out[i] = x
		}
		return out, true
	}
	switch a.Kind {
	case ask.YesNo, ask.Consent:
		if v.Yes == nil {
			return nil, false
		}
		return *v.Yes, true
	case ask.OneOf:
		for _, o := range a.Options {
			if o.Key == v.Key {
				return v.Key, true
			}
		}
		return nil, false
	case ask.ManyOf:
		for _, k := range v.Keys {
			if !slices.ContainsFunc(a.Options, func(o ask.Option) bool { return o.Key == k }) {
				return nil, false
			}
		}
		return list(v.Keys)
	case ask.Number:
		f, err := strconv.ParseFloat(v.Number, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, false
		}
		if a.Decimals > 0 {
			return f, true
		}
		if f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
			return nil, false
		}
		return int64(f), true
	case ask.Rating:
		if a.Scale == "0-10" {
			i, err := strconv.ParseInt(v.Number, 10, 64)
			return i, err == nil
		}
		return str(v.Key)
	case ask.Date:
		t, err := time.ParseInLocation("2006-01-02", v.Date, zone)
		return t, err == nil
	case ask.DateTime, ask.Slot:
		t, err := time.Parse(time.RFC3339, v.At)
		return t, err == nil
	case ask.Text:
		return v.Text, true
	case ask.Email:
		return str(v.Email)
	case ask.Phone:
		return str(v.Phone)
	case ask.Address:
		if v.Address == nil {
			return nil, false
		}
		p := v.Address
		return map[string]any{"name": p.Name, "street": p.Street, "extra": p.Extra, "postal_code": p.PostalCode, "city": p.City, "country": p.Country}, true
	case ask.File, ask.Signature:
		return list(v.Files)
	case ask.Payment:
		if v.Yes != nil {
			return *v.Yes, true
		}
		return true, true
	}
	return nil, false
}

// canOf is the variable "can": what a medium can carry, in words for authors.
func canOf(c channel.Capabilities) map[string]bool {
	return map[string]bool{
		"buttons": c.Buttons > 0, "list": c.ListRows > 0, "forms": c.Forms, "upload": c.Upload, "links": c.Links,
		"spoken": c.Spoken, "paper": c.Paper, "subject": c.Subject, "html": c.HTML, "attachments": c.Attachments,
	}
}

// show writes a variable for a person.
func (v Var) show(language string, zone *time.Location) string {
	for tag := language; tag != "" && v.Shown != nil; {
		if s, ok := v.Shown[tag]; ok {
			return s
		}
		cut := strings.LastIndexByte(tag, '-')
		if cut < 0 {
			break
		}
		tag = tag[:cut]
	}
	if v.Answer != nil && v.Shown == nil {
		return showAnswer(&ask.Ask{Kind: v.Kind}, *v.Answer, language, zone)
	}
	return showPlain(v.Value, language, zone)
}

// plainText is a value for a machine: a URL, a header.
func plainText(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case time.Time:
		return x.Format(time.RFC3339)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			parts[i] = plainText(e)
		}
		return strings.Join(parts, ",")
	case map[string]any:
		b, _ := json.Marshal(plainJSON(x)) // maps of plain values always encode
		return string(b)
	default:
		return fmt.Sprint(x)
	}
}

// plainJSON makes a value that other programs understand: times as RFC 3339, durations in seconds.
func plainJSON(v any) any {
	switch x := v.(type) {
	case time.Time:
		return x.Format(time.RFC3339)
	case time.Duration:
		return x.Seconds()
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		return x
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = plainJSON(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = plainJSON(e)
		}
		return out
	default:
		return v
	}
}

// showPlain writes a value that is no answer as the language does.
func showPlain(v any, language string, zone *time.Location) string {
	german := strings.HasPrefix(language, "de")
	switch x := v.(type) {
	case nil:
		if german {
			return "keine Angabe"
		}
		return "not given"
	case string:
		return x
	case bool:
		return showAnswer(&ask.Ask{Kind: ask.YesNo}, ask.Value{Yes: &x}, language, zone)
	case int64:
		return showAnswer(&ask.Ask{Kind: ask.Number}, ask.Value{Number: strconv.FormatInt(x, 10)}, language, zone)
	case float64:
		return showAnswer(&ask.Ask{Kind: ask.Number}, ask.Value{Number: strconv.FormatFloat(x, 'f', -1, 64)}, language, zone)
	case time.Time:
		return showAnswer(&ask.Ask{Kind: ask.DateTime}, ask.Value{At: x.In(zone).Format(time.RFC3339)}, language, zone)
	case time.Duration:
		return ask.Duration(x).String()
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			parts[i] = showPlain(e, language, zone)
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		parts := make([]string, 0, len(x))
		for _, k := range sorted(x) {
			if x[k] != nil && x[k] != "" {
				parts = append(parts, showPlain(x[k], language, zone))
			}
		}
		return strings.Join(parts, ", ")
	default:
		return fmt.Sprint(x)
	}
}
