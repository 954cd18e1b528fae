// Package ask is in charge of typed questions to customers: what a question is (Ask), how it looks on a medium (Render,
// a pure function of channel.Capabilities), what an answer means (Resolve, pure too) and the state of questions that were
// put (Store). A question is defined once and can be answered on every channel, once. It does not decide what comes next
// (package dialog) and speaks no protocol (channel drivers).
package ask

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the type of an answer.
type Kind string

// Kinds of asks.
const (
	YesNo     Kind = "yes_no"
	OneOf     Kind = "one_of"
	ManyOf    Kind = "many_of"
	Number    Kind = "number"    // with range and unit
	Date      Kind = "date"      // a day
	DateTime  Kind = "date_time" // a moment
	Slot      Kind = "slot"      // one of the free times of a calendar
	Text      Kind = "text"
	Rating    Kind = "rating" // Scale "verdict" (disappointing, ok, delighting) or "0-10"
	Email     Kind = "email"
	Phone     Kind = "phone"
	Address   Kind = "address" // a postal address
	File      Kind = "file"    // photos, documents
	Signature Kind = "signature"
	Consent   Kind = "consent" // permission for a purpose
	Payment   Kind = "payment" // at an external page
)

// Kinds lists all of them, in the order in which the desk offers them.
func Kinds() []Kind {
	return []Kind{YesNo, OneOf, ManyOf, Slot, Date, DateTime, Number, Text, Rating, File, Email, Phone, Address, Signature, Consent, Payment}
}

// Texts is a text in several languages: BCP 47 tag → text. "de-simple" is Leichte Sprache (the registered variant subtag
// "simple"), a language of its own that nothing falls back from silently to or from other than to "de".
type Texts map[string]Words

// Words is a text in one language. In JSON and YAML it is a plain string, or {"text": …, "machine": true} for a
// translation that a machine made and nobody has checked: it is marked as such wherever it is shown.
type Words struct {
	Text    string `json:"text" yaml:"text"`
	Machine bool   `json:"machine,omitempty" yaml:"machine,omitempty"`
}

// MarshalJSON writes a plain string where nothing else is to be said.
func (w Words) MarshalJSON() ([]byte, error) {
	if !w.Machine {
		return json.Marshal(w.Text)
	}
	type plain Words
	return json.Marshal(plain(w))
}

// UnmarshalJSON reads both forms.
func (w *Words) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*w = Words{}
		return json.Unmarshal(b, &w.Text)
	}
	type plain Words
	return json.Unmarshal(b, (*plain)(w))
}

// In gives the text in the language that fits best: the very tag, its shorter forms ("de-AT" → "de"), then German, then
// English, then the first by tag. found tells the tag that was taken, "" if there is no text at all.
func (t Texts) In(language string) (words Words, found string) {
	for tag := language; tag != ""; {
		if w, ok := t[tag]; ok {
			return w, tag
		}
		cut := strings.LastIndexByte(tag, '-')
		if cut < 0 {
			break
		}
		tag = tag[:cut]
	}
	for _, tag := range []string{"de", "en"} {
		if w, ok := t[tag]; ok {
			return w, tag
		}
	}
	first := ""
	for tag := range t {
		if first == "" || tag < first {
			first = tag
		}
	}
	return t[first], first
}

// Get is In without the tag, and with the mark of a machine's translation.
func (t Texts) Get(language string) string {
	w, found := t.In(language)
	if w.Machine {
		if strings.HasPrefix(found, "de") {
			return w.Text + " (maschinell übersetzt)"
		}
		return w.Text + " (machine translation)"
	}
	return w.Text
}

// Languages lists the tags, sorted.
func (t Texts) Languages() []string {
	out := make([]string, 0, len(t))
	for tag := range t {
		out = append(out, tag)
	}
	slices.Sort(out)
	return out
}

// Plain makes Texts of plain strings: Plain("de", "Ja", "en", "Yes").
func Plain(pairs ...string) Texts {
	t := Texts{}
	for i := 0; i+1 < len(pairs); i += 2 {
		t[pairs[i]] = Words{Text: pairs[i+1]}
	}
	return t
}

// Option is one of the answers to choose from.
type Option struct {
	Key         string              `json:"key" yaml:"key"` // stable; what the answer is stored as; [a-z0-9_-]{1,40}
	Label       Texts               `json:"label" yaml:"label"`
	Short       Texts               `json:"short,omitempty" yaml:"short,omitempty"`             // for media with short labels
	Description Texts               `json:"description,omitempty" yaml:"description,omitempty"` // a second line
	Synonyms    map[string][]string `json:"synonyms,omitempty" yaml:"synonyms,omitempty"`       // language → what people also write
	Start       time.Time           `json:"start,omitzero" yaml:"start,omitempty"`              // slots
	End         time.Time           `json:"end,omitzero" yaml:"end,omitempty"`                  // slots
}

// Ask is the definition of a question. Which fields count depends on Kind; Check refuses the others.
type Ask struct {
	Kind  Kind   `json:"kind" yaml:"kind"`
	Name  string `json:"name,omitempty" yaml:"name,omitempty"`   // how reports and variables call the answer; [a-z][a-z0-9_]*
	Text  Texts  `json:"text" yaml:"text"`                       // the question
	Short Texts  `json:"short,omitempty" yaml:"short,omitempty"` // a few words: subject line, list in the desk
	Hint  Texts  `json:"hint,omitempty" yaml:"hint,omitempty"`   // how to answer
	Retry Texts  `json:"retry,omitempty" yaml:"retry,omitempty"` // said when an answer was not understood; otherwise a helpful default

	Options []Option `json:"options,omitempty" yaml:"options,omitempty"` // one_of, many_of; slot: filled in from the calendar
	Yes     Texts    `json:"yes,omitempty" yaml:"yes,omitempty"`         // yes_no, consent: the labels; "Ja"/"Nein" by default
	No      Texts    `json:"no,omitempty" yaml:"no,omitempty"`
	Least   int      `json:"least,omitempty" yaml:"least,omitempty"` // many_of, file: how many at least
	Most    int      `json:"most,omitempty" yaml:"most,omitempty"`   // many_of, file: how many at most; 0 = any (files: 10)

	Min      *float64 `json:"min,omitempty" yaml:"min,omitempty"`           // number, inclusive
	Max      *float64 `json:"max,omitempty" yaml:"max,omitempty"`           // number, inclusive
	Decimals int      `json:"decimals,omitempty" yaml:"decimals,omitempty"` // number: digits after the point, at most
	Unit     string   `json:"unit,omitempty" yaml:"unit,omitempty"`         // number: "km", "EUR", "m²", "%"

	From  string `json:"from,omitempty" yaml:"from,omitempty"`   // date, date_time: "2026-11-26", "today", "today+3d", "today-10y"
	Until string `json:"until,omitempty" yaml:"until,omitempty"` // the last allowed day, inclusive
	Zone  string `json:"zone,omitempty" yaml:"zone,omitempty"`   // IANA name; the organisation's by default ("Europe/Berlin")

	Calendar string `json:"calendar,omitempty" yaml:"calendar,omitempty"` // slot: the key of a calendar of free slots
	Days     int    `json:"days,omitempty" yaml:"days,omitempty"`         // slot: how many days ahead are offered; 14 by default

	MaxLength int    `json:"max_length,omitempty" yaml:"max_length,omitempty"` // text, in code points; 2000 by default
	Pattern   string `json:"pattern,omitempty" yaml:"pattern,omitempty"`       // text: a regular expression (RE2) for the whole answer

	Scale string `json:"scale,omitempty" yaml:"scale,omitempty"` // rating: "verdict" (default) or "0-10"

	Verify bool     `json:"verify,omitempty" yaml:"verify,omitempty"` // email, phone: a code is sent there and asked for
	Accept []string `json:"accept,omitempty" yaml:"accept,omitempty"` // file: media types, "image/*"; anything by default

	Purpose  string `json:"purpose,omitempty" yaml:"purpose,omitempty"`   // consent: "newsletter", "call", …
	URL      string `json:"url,omitempty" yaml:"url,omitempty"`           // payment: the external page; https only
	Cents    int64  `json:"cents,omitempty" yaml:"cents,omitempty"`       // payment
	Currency string `json:"currency,omitempty" yaml:"currency,omitempty"` // payment: ISO 4217

	Optional  bool              `json:"optional,omitempty" yaml:"optional,omitempty"`   // may be left out ("weiter", "skip")
	Assurance channel.Assurance `json:"assurance,omitempty" yaml:"assurance,omitempty"` // needed of the address that answers; "" = any
	Expires   Duration          `json:"expires,omitempty" yaml:"expires,omitempty"`     // from when it was put; 0 = 90 days
	Remind    Duration          `json:"remind,omitempty" yaml:"remind,omitempty"`       // one reminder after this time; 0 = none
	Default   *Value            `json:"default,omitempty" yaml:"default,omitempty"`     // what counts when it expires; nil = it expires unanswered
	Correct   Duration          `json:"correct,omitempty" yaml:"correct,omitempty"`     // how long the customer may change the answer; 0 = until the dialog went on
}

// Duration is a time.Duration that reads and writes "90m", "36h", "3d", "2w".
type Duration time.Duration

// Std is the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String implements fmt.Stringer, in the form that ParseDuration reads.
func (d Duration) String() string {
	const day = 24 * time.Hour
	switch v := time.Duration(d); {
	case v == 0:
		return "0"
	case v%day == 0:
		return fmt.Sprintf("%dd", v/day)
	case v%time.Hour == 0:
		return fmt.Sprintf("%dh", v/time.Hour)
	case v%time.Minute == 0:
		return fmt.Sprintf("%dm", v/time.Minute)
	default:
		return v.String()
	}
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// ParseDuration reads "90m", "36h", "3d", "2w", "1d12h".
func ParseDuration(s string) (Duration, error) {
	bad := func() (Duration, error) {
		return 0, fmt.Errorf("%q is no duration; write for example 90m, 36h, 3d, 2w or 1d12h", s)
	}
	if s == "0" {
		return 0, nil
	}
	var total time.Duration
	rest := s
	for rest != "" {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		j := i
		for j < len(rest) && (rest[j] < '0' || rest[j] > '9') {
			j++
		}
		if i == 0 || i > 6 || j == i {
			return bad()
		}
		n := time.Duration(0)
		for _, c := range rest[:i] {
			n = n*10 + time.Duration(c-'0')
		}
		switch rest[i:j] {
		case "w":
			n *= 7 * 24 * time.Hour
		case "d":
			n *= 24 * time.Hour
		case "h":
			n *= time.Hour
		case "m", "min":
			n *= time.Minute
		case "s":
			n *= time.Second
		default:
			return bad()
		}
		total += n
		rest = rest[j:]
	}
	if total > 10*366*24*time.Hour || s == "" {
		return bad()
	}
	return Duration(total), nil
}

// Value is an answer. Exactly the fields of its Kind are set: Yes for yes_no and consent; Key for one_of, slot and
// rating by verdict; Keys for many_of; Number for number and rating 0-10; and so on.
type Value struct {
	Yes       *bool    `json:"yes,omitempty" yaml:"yes,omitempty"`
	Key       string   `json:"key,omitempty" yaml:"key,omitempty"`
	Keys      []string `json:"keys,omitzero" yaml:"keys,omitempty"`
	Number    string   `json:"number,omitempty" yaml:"number,omitempty"` // decimal, "." as the point, no thousands, as typed: "12.50"
	Unit      string   `json:"unit,omitempty" yaml:"unit,omitempty"`
	Date      string   `json:"date,omitempty" yaml:"date,omitempty"`   // 2006-01-02
	At        string   `json:"at,omitempty" yaml:"at,omitempty"`       // RFC 3339 with offset; slots too
	Until     string   `json:"until,omitempty" yaml:"until,omitempty"` // slots
	Text      string   `json:"text,omitempty" yaml:"text,omitempty"`
	Email     string   `json:"email,omitempty" yaml:"email,omitempty"`
	Phone     string   `json:"phone,omitempty" yaml:"phone,omitempty"`       // E.164
	Verified  bool     `json:"verified,omitempty" yaml:"verified,omitempty"` // email, phone: the code was right
	Address   *Postal  `json:"address,omitempty" yaml:"address,omitempty"`
	Files     []string `json:"files,omitempty" yaml:"files,omitempty"` // attachment ids; signature: the picture
	Signed    string   `json:"signed,omitempty" yaml:"signed,omitempty"`
	Skipped   bool     `json:"skipped,omitempty" yaml:"skipped,omitempty"`     // left out on purpose
	Defaulted bool     `json:"defaulted,omitempty" yaml:"defaulted,omitempty"` // nobody answered; the default counts
}

// Postal is a postal address.
type Postal struct {
	Name       string `json:"name,omitempty" yaml:"name,omitempty"`
	Street     string `json:"street" yaml:"street"` // with house number
	Extra      string `json:"extra,omitempty" yaml:"extra,omitempty"`
	PostalCode string `json:"postal_code" yaml:"postal_code"`
	City       string `json:"city" yaml:"city"`
	Country    string `json:"country,omitempty" yaml:"country,omitempty"` // ISO 3166-1 alpha-2
}

// Reply is what a customer sent while a question was open.
type Reply struct {
	Text    string // without what it quotes
	Payload string // of a native button that was pressed, or a key of a telephone ("1"); "" = typed
	Files   []ReplyFile
}

// ReplyFile is a file that came with a Reply.
type ReplyFile struct{ ID, Name, MediaType string }

// Context is what the meaning of words depends on.
type Context struct {
	Now      time.Time
	Zone     *time.Location // nil = Europe/Berlin
	Language string         // of the customer, BCP 47; "de-AT" and "de-CH" count
	Country  string         // ISO 3166-1, for telephone numbers, addresses, holidays; "DE" by default
	// Code is the ask's own answer code: payloads of other asks never count.
	Code string
}

// Problem says why a Reply is no answer.
type Problem string

// Problems of answers.
const (
	Unclear    Problem = "unclear"      // nothing in it answers the question
	Ambiguous  Problem = "ambiguous"    // it fits more than one; see Outcome.Candidates
	OutOfRange Problem = "out_of_range" // understood, but not allowed: too large, in the past, on a closed day
	TooFew     Problem = "too_few"
	TooMany    Problem = "too_many"
	WrongType  Problem = "wrong_type" // a file of a kind that is not accepted; text where a file is needed
	TooLong    Problem = "too_long"
	Foreign    Problem = "foreign" // a button of another question
	Person     Problem = "person"  // the customer wants a person
	NeedsPage  Problem = "page"    // can only be answered on the page behind the link (signature, payment)
)

// Outcome is what a Reply means as an answer to an Ask. If Problem is "", Value is the answer.
type Outcome struct {
	Value      Value
	Problem    Problem
	Confidence float64 // 0 to 1; an answer is taken from Sure on, never below
	Reading    string  // how it was understood: payload, number, label, prefix, synonym, words, date, amount, file …
	Candidates []Value // Ambiguous: what it could mean
	Detail     string  // OutOfRange …: which bound, for the re-ask ("max", "past", "holiday", "pattern")
}

// Sure is the confidence from which on an answer is taken. Below it the customer is asked again.
const Sure = 0.8

// Edition names the options of a question as they are now: free times may be replaced while somebody looks at them.
func (a Ask) Edition() string {
	h := fnv.New64a()
	for _, o := range a.Options {
		_, _ = h.Write([]byte(o.Key + "\n")) // never fails
	}
	return strconv.FormatUint(h.Sum64(), 36)
}
