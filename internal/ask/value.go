package ask

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// IsZero says whether no answer was given. An empty list of keys is one ("none of them"), nil is not.
func (v Value) IsZero() bool {
	return v.Yes == nil && v.Key == "" && v.Keys == nil && v.Number == "" && v.Date == "" && v.At == "" && v.Text == "" && v.Email == "" && v.Phone == "" &&
		v.Address == nil && len(v.Files) == 0 && v.Signed == "" && !v.Skipped
}

// Any is the answer as a plain value for JSON and CEL: bool (yes_no, consent, payment), string (one_of, verdict, text,
// email, phone, date as 2006-01-02), float64 (number, rating 0-10), []any of strings (many_of, file), map[string]any
// (address; signature; slot: key, at, until), time.Time (date_time; at and until of slots). nil if it was left out.
func (v Value) Any(k Kind) any {
	if v.Skipped || v.IsZero() {
		return nil
	}
	list := func(in []string) []any {
		out := make([]any, len(in))
		for i, s := range in {
			out[i] = s
		}
		return out
	}
	moment := func(s string) any {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return nil
		}
		return t
	}
	switch k {
	case YesNo, Consent, Payment:
		return v.Yes != nil && *v.Yes
	case OneOf:
		return v.Key
	case ManyOf:
		return list(v.Keys)
	case Number:
		f, _ := strconv.ParseFloat(v.Number, 64)
		return f
	case Rating:
		if v.Number != "" {
			f, _ := strconv.ParseFloat(v.Number, 64)
			return f
		}
		return v.Key
	case Date:
		return v.Date
	case DateTime:
		return moment(v.At)
	case Slot:
		m := map[string]any{"key": v.Key}
		if v.At != "" {
			m["at"] = moment(v.At)
		}
		if v.Until != "" {
			m["until"] = moment(v.Until)
		}
		return m
	case Text:
		return v.Text
	case Email:
		return v.Email
	case Phone:
		return v.Phone
	case Address:
		if v.Address == nil {
			return nil
		}
		p := v.Address
		return map[string]any{"name": p.Name, "street": p.Street, "extra": p.Extra, "postal_code": p.PostalCode, "city": p.City, "country": p.Country}
	case File:
		return list(v.Files)
	case Signature:
		return map[string]any{"signed": v.Signed, "files": list(v.Files)}
	}
	return nil
}

var germanDays = &sentencesDE.weekdays

func german(language string) bool { return !strings.HasPrefix(language, "en") }

// ShowDate writes a day as the language does: "Donnerstag, 26. November 2026", "Thursday, 26 November 2026".
func ShowDate(t time.Time, language string) string {
	if german(language) {
		month := sentencesDE.months[t.Month()-1]
		if t.Month() == time.January && strings.HasPrefix(language, "de-AT") {
			month = "Jänner"
		}
		return fmt.Sprintf("%s, %d. %s %d", germanDays[t.Weekday()], t.Day(), month, t.Year())
	}
	if strings.HasPrefix(language, "en-US") || strings.HasPrefix(language, "en-CA") {
		return t.Format("Monday, January 2, 2006")
	}
	return t.Format("Monday, 2 January 2006")
}

// ShowTime writes a time of day: "14:30 Uhr", "2:30 pm".
func ShowTime(t time.Time, language string) string {
	if german(language) {
		if strings.HasPrefix(language, "de-CH") {
			return t.Format("15.04 Uhr")
		}
		return t.Format("15:04 Uhr")
	}
	return t.Format("3:04 pm")
}

// ShowMoment is both.
func ShowMoment(t time.Time, language string) string {
	return ShowDate(t, language) + ", " + ShowTime(t, language)
}

// ShowNumber writes a decimal ("1234.50") in the notation of a language: "1.234,50", "1'234.50", "1,234.50".
func ShowNumber(s, language string) string {
	group, point := ".", ","
	switch {
	case strings.HasPrefix(language, "de-CH"), strings.HasPrefix(language, "de-LI"):
		group, point = "'", "."
	case !german(language):
		group, point = ",", "."
	}
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, frac, has := strings.Cut(s, ".")
	var b strings.Builder
	b.WriteString(sign)
	for i := range len(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(group)
		}
		b.WriteByte(whole[i])
	}
	if has {
		b.WriteString(point + frac)
	}
	return b.String()
}

// showUnit writes a unit behind its number.
func showUnit(number, unit, language string) string {
	symbol := map[string]string{"EUR": "€", "GBP": "£", "USD": "$"}[unit]
	switch {
	case unit == "":
		return number
	case symbol != "" && !german(language):
		if strings.HasPrefix(number, "-") {
			return "-" + symbol + number[1:]
		}
		return symbol + number
	case symbol != "":
		return number + " " + symbol
	case unit == "%" && !german(language):
		return number + "%"
	}
	return number + " " + unit
}

// label is what an option is called.
func (a Ask) label(key, language string) string {
	for i := range a.Options {
		if a.Options[i].Key == key {
			if s := a.Options[i].Label.Get(language); s != "" {
				return s
			}
		}
	}
	return key
}

// YesLabel and NoLabel are what the two answers of a yes_no or consent are called.
func (a Ask) YesLabel(language string) string { return orElse(a.Yes, language, "Ja", "Yes") }

// NoLabel is the other one.
func (a Ask) NoLabel(language string) string { return orElse(a.No, language, "Nein", "No") }

func orElse(t Texts, language, de, en string) string {
	if s := t.Get(language); s != "" {
		return s
	}
	if german(language) {
		return de
	}
	return en
}

// Show is the answer in a customer's words and notation: "Donnerstag, 26. November 2026, 14:30 Uhr", "1.234,50 km",
// "Ja", the labels of options.
func (v Value) Show(a Ask, language string) string {
	if v.Skipped {
		return orElse(nil, language, "keine Angabe", "not answered")
	}
	c := Context{Language: language}
	zone := a.zone(&c)
	moment := func(s string) (time.Time, bool) {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return t, false
		}
		if a.Zone != "" {
			return t.In(zone), true
		}
		return t, true // with the offset that it was stored with
	}
	switch a.Kind {
	case YesNo, Consent:
		switch {
		case v.Yes == nil:
			return ""
		case *v.Yes:
			return a.YesLabel(language)
		}
		return a.NoLabel(language)
	case Payment:
		if v.Yes != nil && *v.Yes {
			return orElse(nil, language, "bezahlt", "paid")
		}
		return ""
	case OneOf:
		return a.label(v.Key, language)
	case ManyOf:
		if v.Keys != nil && len(v.Keys) == 0 {
			return orElse(nil, language, "keine", "none")
		}
		out := make([]string, len(v.Keys))
		for i, k := range v.Keys {
			out[i] = a.label(k, language)
		}
		return strings.Join(out, ", ")
	case Slot:
		if t, ok := moment(v.At); ok {
			return ShowMoment(t, language)
		}
		return a.label(v.Key, language)
	case Rating:
		if v.Number != "" {
			return v.Number
		}
		if s := VerdictLabel(v.Key, language); s != "" {
			return s
		}
		return v.Key
	case Number:
		if v.Number == "" {
			return ""
		}
		unit := v.Unit
		if unit == "" {
			unit = a.Unit
		}
		return showUnit(ShowNumber(v.Number, language), unit, language)
	case Date:
		if t, err := time.Parse(dayForm, v.Date); err == nil {
			return ShowDate(t, language)
		}
		return v.Date
	case DateTime:
		if t, ok := moment(v.At); ok {
			return ShowMoment(t, language)
		}
		return v.At
	case Text:
		return v.Text
	case Email:
		return v.Email
	case Phone:
		return v.Phone
	case Address:
		if v.Address == nil {
			return ""
		}
		p := v.Address
		var out []string
		for _, s := range []string{p.Name, p.Street, p.Extra} {
			if s != "" {
				out = append(out, s)
			}
		}
		if p.Country == "GB" || p.Country == "US" || p.Country == "CA" {
			out = append(out, strings.TrimSpace(p.City+" "+p.PostalCode))
		} else {
			out = append(out, strings.TrimSpace(p.PostalCode+" "+p.City))
		}
		return strings.Join(out, ", ")
	case File:
		if len(v.Files) == 1 {
			return orElse(nil, language, "1 Datei", "1 file")
		}
		return strconv.Itoa(len(v.Files)) + orElse(nil, language, " Dateien", " files")
	case Signature:
		if v.Signed != "" {
			return orElse(nil, language, "unterschrieben: ", "signed: ") + v.Signed
		}
		return orElse(nil, language, "unterschrieben", "signed")
	}
	return ""
}

// CheckValue says whether a structured value, from the API or the answer page, is a valid answer. Its errors tell what
// to do instead. Moments have to lie within From and Until as seen at c.Now.
func (a Ask) CheckValue(v Value, c Context) error {
	if v.Skipped {
		if !a.Optional {
			return errors.New("this question cannot be left out; give an answer")
		}
		v.Skipped, v.Defaulted = false, false
		if !v.IsZero() {
			return errors.New("an answer that is left out has no other fields than skipped")
		}
		return nil
	}
	if extra := foreignFields(&a, v); extra != "" {
		return fmt.Errorf("%s does not belong to an answer of kind %s; leave it out", extra, a.Kind)
	}
	switch a.Kind {
	case YesNo, Consent:
		if v.Yes == nil {
			return errors.New("yes is missing: true or false")
		}
	case Payment:
		if v.Yes == nil || !*v.Yes {
			return errors.New("yes is missing: true once the payment has arrived")
		}
	case OneOf:
		if a.option(v.Key) < 0 {
			return fmt.Errorf("key %q is no option; one of %s", v.Key, a.keys())
		}
	case ManyOf:
		if v.Keys == nil {
			return errors.New("keys is missing: a list, empty for none")
		}
		for i, k := range v.Keys {
			if a.option(k) < 0 {
				return fmt.Errorf("key %q is no option; some of %s", k, a.keys())
			}
			if slices.Contains(v.Keys[:i], k) {
				return fmt.Errorf("key %q is there twice", k)
			}
		}
		return a.checkCount(len(v.Keys), "options")
	case Slot:
		i := a.option(v.Key)
		if i < 0 {
			return fmt.Errorf("slot %q is not on offer (any more); one of %s", v.Key, a.keys())
		}
		if o := a.Options[i]; v.At != "" && !o.Start.IsZero() {
			if t, err := time.Parse(time.RFC3339, v.At); err != nil || !t.Equal(o.Start) {
				return fmt.Errorf("at %q is not when slot %s begins: %s", v.At, v.Key, o.Start.Format(time.RFC3339))
			}
		}
		if o := a.Options[i]; v.Until != "" && !o.End.IsZero() {
			if t, err := time.Parse(time.RFC3339, v.Until); err != nil || !t.Equal(o.End) {
				return fmt.Errorf("until %q is not when slot %s ends: %s", v.Until, v.Key, o.End.Format(time.RFC3339))
			}
		}
	case Rating:
		if a.Scale == "0-10" {
			n, err := strconv.Atoi(v.Number)
			if err != nil || n < 0 || n > 10 || strconv.Itoa(n) != v.Number {
				return fmt.Errorf("number %q is no rating; a whole number from 0 to 10", v.Number)
			}
			return nil
		}
		if !slices.Contains(Verdicts(), v.Key) {
			return fmt.Errorf("key %q is no verdict; one of %s", v.Key, strings.Join(Verdicts(), ", "))
		}
	case Number:
		d, ok := parseDecimal(v.Number)
		if !ok {
			return fmt.Errorf("number %q is none; digits with at most one point: 1234.50", v.Number)
		}
		if v.Unit != "" && v.Unit != a.Unit {
			return fmt.Errorf("unit %q is not the question's, %q", v.Unit, a.Unit)
		}
		switch f := d.float(); {
		case a.Min != nil && f < *a.Min:
			return fmt.Errorf("number %s is too small; at least %s", v.Number, plainFloat(*a.Min))
		case a.Max != nil && f > *a.Max:
			return fmt.Errorf("number %s is too large; at most %s", v.Number, plainFloat(*a.Max))
		}
		if _, ok := d.shorn(max(a.Decimals, 0)); !ok {
			return fmt.Errorf("number %s has more than %d digits after the point; round it", v.Number, a.Decimals)
		}
	case Date:
		t, err := time.Parse(dayForm, v.Date)
		if err != nil {
			return fmt.Errorf("date %q is no day; write 2026-11-26", v.Date)
		}
		return a.checkDay(t, &c)
	case DateTime:
		t, err := time.Parse(time.RFC3339, v.At)
		if err != nil {
			return fmt.Errorf("at %q is no moment; write 2026-11-26T14:30:00+01:00", v.At)
		}
		f := a.frameOf(&c)
		if err := a.checkDay(civil(t.In(f.zone)), &c); err != nil {
			return err
		}
		if !c.Now.IsZero() && f.business && t.Before(f.now.Add(-time.Minute)) {
			return fmt.Errorf("at %s is past; give a time to come", v.At)
		}
	case Text:
		most := a.textLength()
		switch n := utf8.RuneCountInString(v.Text); {
		case strings.TrimSpace(v.Text) == "":
			return errors.New("text is missing")
		case !utf8.ValidString(v.Text):
			return errors.New("text is not valid UTF-8")
		case n > most:
			return fmt.Errorf("text has %d characters; at most %d", n, most)
		}
		if a.Pattern != "" {
			re, err := compiled(a.Pattern)
			if err != nil {
				return fmt.Errorf("the question's pattern is broken: %w", err)
			}
			if !re.MatchString(v.Text) {
				return fmt.Errorf("text does not have the form that is asked for (%s)", a.Pattern)
			}
		}
	case Email:
		if !validEmail(v.Email) {
			return fmt.Errorf("email %q is no address; write name@example.org", v.Email)
		}
	case Phone:
		if !validPhone(v.Phone) {
			return fmt.Errorf("phone %q is no international number; write +4961311234567", v.Phone)
		}
	case Address:
		switch p := v.Address; {
		case p == nil:
			return errors.New("address is missing")
		case strings.TrimSpace(p.Street) == "":
			return errors.New("address.street is missing: street and house number")
		case strings.TrimSpace(p.PostalCode) == "":
			return errors.New("address.postal_code is missing")
		case strings.TrimSpace(p.City) == "":
			return errors.New("address.city is missing")
		case p.Country != "" && (len(p.Country) != 2 || strings.ToUpper(p.Country) != p.Country):
			return fmt.Errorf("address.country %q is no ISO 3166-1 code; write DE, AT, CH …", p.Country)
		}
	case File:
		for i, id := range v.Files {
			if id == "" || slices.Contains(v.Files[:i], id) {
				return fmt.Errorf("files[%d] is empty or there twice", i)
			}
		}
		return a.checkCount(len(v.Files), "files")
	case Signature:
		if v.Signed == "" && len(v.Files) == 0 {
			return errors.New("the signature is missing: signed, or the picture in files")
		}
		if len(v.Files) > 1 {
			return errors.New("a signature is one picture")
		}
	default:
		return fmt.Errorf("kind %q is unknown", a.Kind)
	}
	return nil
}

func plainFloat(f float64) string {
	if math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (a *Ask) checkDay(d time.Time, c *Context) error {
	if c.Now.IsZero() {
		return nil // a definition is checked without a clock
	}
	f := a.frameOf(c)
	switch f.dayOutside(d) {
	case "":
		return nil
	case "past":
		return fmt.Errorf("%s is past; not before %s", d.Format(dayForm), f.lo.Format(dayForm))
	case "min":
		return fmt.Errorf("%s is too early; not before %s", d.Format(dayForm), f.lo.Format(dayForm))
	}
	if f.hi.IsZero() {
		return fmt.Errorf("%s is more than 100 years away", d.Format(dayForm))
	}
	return fmt.Errorf("%s is too late; not after %s", d.Format(dayForm), f.hi.Format(dayForm))
}

func (a *Ask) checkCount(n int, what string) error {
	least, most := a.bounds()
	if n < least {
		return fmt.Errorf("%d %s are too few; at least %d", n, what, least)
	}
	if most > 0 && n > most {
		return fmt.Errorf("%d %s are too many; at most %d", n, what, most)
	}
	return nil
}

func (a *Ask) option(key string) int {
	return slices.IndexFunc(a.Options, func(o Option) bool { return o.Key == key && key != "" })
}

func (a *Ask) keys() string {
	out := make([]string, 0, len(a.Options))
	for _, o := range a.Options {
		out = append(out, o.Key)
	}
	if len(out) > 12 {
		out = append(out[:12], "…")
	}
	return strings.Join(out, ", ")
}

// foreignFields names a field that is set and does not belong to the kind.
func foreignFields(a *Ask, v Value) string {
	allowed := map[Kind]string{
		YesNo: "yes", Consent: "yes", Payment: "yes", OneOf: "key", ManyOf: "keys", Number: "number unit", Date: "date", DateTime: "at", Slot: "key at until", Text: "text",
		Email: "email verified", Phone: "phone verified", Address: "address", File: "files", Signature: "files signed", Rating: "key",
	}[a.Kind]
	if a.Kind == Rating && a.Scale == "0-10" {
		allowed = "number"
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"yes", v.Yes != nil}, {"key", v.Key != ""}, {"keys", v.Keys != nil}, {"number", v.Number != ""}, {"unit", v.Unit != ""}, {"date", v.Date != ""}, {"at", v.At != ""}, {"until", v.Until != ""},
		{"text", v.Text != ""}, {"email", v.Email != ""}, {"phone", v.Phone != ""}, {"verified", v.Verified}, {"address", v.Address != nil}, {"files", len(v.Files) > 0}, {"signed", v.Signed != ""},
	} {
		if f.set && !slices.Contains(strings.Fields(allowed), f.name) {
			return f.name
		}
	}
	return ""
}
