package ask

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func fields(errs []error) (out []string) {
	for _, err := range errs {
		var f *Finding
		if errors.As(err, &f) {
			out = append(out, f.Field)
		} else {
			out = append(out, err.Error())
		}
	}
	return out
}

func TestCheckNamesTheField(t *testing.T) {
	text := Plain("de", "Frage?")
	two := []Option{opt("a", "A", "A"), opt("b", "B", "B")}
	for _, c := range []struct {
		name string
		a    Ask
		want []string
	}{
		{"fine yes/no", Ask{Kind: YesNo, Name: "pickup_ok", Text: text}, nil},
		{"fine one of", Ask{Kind: OneOf, Text: text, Options: two, Expires: Duration(72 * time.Hour), Remind: Duration(24 * time.Hour), Default: &Value{Key: "a"}}, nil},
		{"fine slot", Ask{Kind: Slot, Text: text, Calendar: "workshop", Days: 10}, nil},
		{"fine date", Ask{Kind: Date, Text: text, From: "today-10y", Until: "2030-01-01", Zone: "Europe/Vienna"}, nil},
		{"fine payment", Ask{Kind: Payment, Text: text, URL: "https://pay.example.com/x", Cents: 1200, Currency: "EUR"}, nil},
		{"fine consent", Ask{Kind: Consent, Text: text, Purpose: "newsletter", Default: &Value{Yes: ptr(false)}}, nil},
		{"no kind", Ask{Text: text}, []string{"kind"}},
		{"no text", Ask{Kind: YesNo}, []string{"text"}},
		{"empty text", Ask{Kind: YesNo, Text: Plain("de", " ")}, []string{"text.de"}},
		{"bad language", Ask{Kind: YesNo, Text: Plain("deutsch!", "x")}, []string{"text.deutsch!"}},
		{"bad name", Ask{Kind: YesNo, Name: "Mein Name", Text: text}, []string{"name"}},
		{"no options", Ask{Kind: OneOf, Text: text}, []string{"options"}},
		{"one option", Ask{Kind: OneOf, Text: text, Options: two[:1]}, []string{"options"}},
		{"duplicate key", Ask{Kind: OneOf, Text: text, Options: []Option{two[0], opt("a", "C", "C")}}, []string{"options[1].key"}},
		{"duplicate label", Ask{Kind: OneOf, Text: text, Options: []Option{opt("a", "Zürich", "Zurich"), opt("b", "zuerich", "Berne")}}, []string{"options[1].label.de"}},
		{"no label", Ask{Kind: OneOf, Text: text, Options: []Option{two[0], {Key: "b"}}}, []string{"options[1].label"}},
		{"bad key", Ask{Kind: OneOf, Text: text, Options: []Option{two[0], opt("B C", "B", "B")}}, []string{"options[1].key"}},
		{"foreign fields", Ask{Kind: YesNo, Text: text, Options: two, Unit: "km"}, []string{"options", "unit"}},
		{"min over max", Ask{Kind: Number, Text: text, Min: ptr(2.0), Max: ptr(1.0)}, []string{"min"}},
		{"decimals", Ask{Kind: Number, Text: text, Decimals: 12}, []string{"decimals"}},
		{"bad pattern", Ask{Kind: Text, Text: text, Pattern: "["}, []string{"pattern"}},
		{"bad from", Ask{Kind: Date, Text: text, From: "morgen"}, []string{"from"}},
		{"from after until", Ask{Kind: Date, Text: text, From: "today+3d", Until: "today"}, []string{"from"}},
		{"bad zone", Ask{Kind: DateTime, Text: text, Zone: "Mainz"}, []string{"zone"}},
		{"no calendar", Ask{Kind: Slot, Text: text}, []string{"calendar"}},
		{"least over most", Ask{Kind: ManyOf, Text: text, Options: two, Least: 2, Most: 1}, []string{"least"}},
		{"least over options", Ask{Kind: ManyOf, Text: text, Options: two, Least: 3}, []string{"least"}},
		{"media type", Ask{Kind: File, Text: text, Accept: []string{"jpg"}}, []string{"accept[0]"}},
		{"scale", Ask{Kind: Rating, Text: text, Scale: "1-5"}, []string{"scale"}},
		{"purpose", Ask{Kind: Consent, Text: text}, []string{"purpose"}},
		{"silence is no consent", Ask{Kind: Consent, Text: text, Purpose: "x", Default: &Value{Yes: ptr(true)}}, []string{"default"}},
		{"http", Ask{Kind: Payment, Text: text, URL: "http://pay.example.com", Cents: 1, Currency: "EUR"}, []string{"url"}},
		{"payment without anything", Ask{Kind: Payment, Text: text}, []string{"url", "cents", "currency"}},
		{"default of another kind", Ask{Kind: OneOf, Text: text, Options: two, Default: &Value{Yes: ptr(true)}}, []string{"default"}},
		{"default no option", Ask{Kind: OneOf, Text: text, Options: two, Default: &Value{Key: "c"}}, []string{"default"}},
		{"reminder too late", Ask{Kind: YesNo, Text: text, Expires: Duration(time.Hour), Remind: Duration(2 * time.Hour)}, []string{"remind"}},
		{"assurance", Ask{Kind: YesNo, Text: text, Assurance: "sure"}, []string{"assurance"}},
	} {
		got := fields(c.a.Check())
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCheckLanguages(t *testing.T) {
	a := Ask{Kind: OneOf, Text: Plain("de", "Frage?", "en", "Question?", "de-simple", "Was?"), Hint: Plain("de", "Hinweis"), Options: []Option{opt("a", "A", "A"), {Key: "b", Label: Plain("en", "B")}}}
	if got := fields(a.CheckLanguages([]string{"de-AT", "en"})); !slices.Equal(got, []string{"hint", "options[1].label"}) {
		t.Errorf("%q", got)
	}
	if got := fields(a.CheckLanguages([]string{"de-simple"})); !slices.Equal(got, []string{"hint", "options[0].label", "options[1].label"}) {
		t.Errorf("Leichte Sprache is not served by German: %q", got)
	}
}

func TestCheckValue(t *testing.T) {
	z := berlin(t)
	c := at(t)
	asks := tableAsks(z)
	pick := func(name string, k Kind) Ask { a := asks[name]; a.Kind = k; return a }
	for _, x := range []struct {
		a    Ask
		v    Value
		want string // part of the error, "" = valid
	}{
		{Ask{Kind: YesNo}, Value{Yes: ptr(false)}, ""},
		{Ask{Kind: YesNo}, Value{}, "yes is missing"},
		{Ask{Kind: YesNo}, Value{Yes: ptr(true), Key: "a"}, "key does not belong"},
		{Ask{Kind: YesNo}, Value{Skipped: true}, "cannot be left out"},
		{Ask{Kind: YesNo, Optional: true}, Value{Skipped: true}, ""},
		{Ask{Kind: YesNo, Optional: true}, Value{Skipped: true, Yes: ptr(true)}, "no other fields"},
		{pick("pickup", OneOf), Value{Key: "fri"}, ""},
		{pick("pickup", OneOf), Value{Key: "mon"}, "one of thu, fri, sat"},
		{pick("pickup", OneOf), Value{}, "no option"},
		{pick("papers", ManyOf), Value{Keys: []string{}}, ""},
		{pick("papers", ManyOf), Value{}, "keys is missing"},
		{pick("papers", ManyOf), Value{Keys: []string{"id", "id"}}, "twice"},
		{pick("two", ManyOf), Value{Keys: []string{"id"}}, "too few"},
		{pick("two", ManyOf), Value{Keys: []string{"id", "plan", "salary"}}, "too many"},
		{pick("km", Number), Value{Number: "12", Unit: "km"}, ""},
		{pick("km", Number), Value{Number: "12", Unit: "m"}, "unit"},
		{pick("km", Number), Value{Number: "1.234,5"}, "at most one point"},
		{pick("km", Number), Value{Number: "-1"}, "too small"},
		{pick("km", Number), Value{Number: "3000000"}, "too large"},
		{pick("km", Number), Value{Number: "1.5"}, "digits after the point"},
		{pick("km", Number), Value{Number: "1e5"}, "digits"},
		{Ask{Kind: Date}, Value{Date: "2026-11-24"}, ""},
		{Ask{Kind: Date}, Value{Date: "2026-11-23"}, "past"},
		{Ask{Kind: Date}, Value{Date: "2026-02-30"}, "no day"},
		{pick("bounded", Date), Value{Date: "2026-12-24"}, "too late"},
		{pick("bounded", Date), Value{Date: "2026-11-25"}, "too early"},
		{Ask{Kind: DateTime}, Value{At: "2026-11-24T09:00:00+01:00"}, "past"},
		{Ask{Kind: DateTime}, Value{At: "2026-11-24T11:00:00+01:00"}, ""},
		{Ask{Kind: DateTime}, Value{At: "2026-11-24 11:00"}, "no moment"},
		{pick("slots", Slot), Value{Key: "s1"}, ""},
		{pick("slots", Slot), Value{Key: "s1", At: "2026-11-26T08:00:00Z"}, ""},
		{pick("slots", Slot), Value{Key: "s1", At: "2026-11-26T09:00:00Z"}, "is not when slot s1 begins"},
		{pick("slots", Slot), Value{Key: "s9"}, "not on offer"},
		{Ask{Kind: Rating}, Value{Key: "ok"}, ""},
		{Ask{Kind: Rating}, Value{Key: "good"}, "no verdict"},
		{Ask{Kind: Rating, Scale: "0-10"}, Value{Number: "10"}, ""},
		{Ask{Kind: Rating, Scale: "0-10"}, Value{Number: "11"}, "0 to 10"},
		{Ask{Kind: Rating, Scale: "0-10"}, Value{Key: "ok"}, "key does not belong"},
		{pick("short", Text), Value{Text: "zu lang für das"}, "at most 10"},
		{Ask{Kind: Text}, Value{Text: " "}, "missing"},
		{pick("plate", Text), Value{Text: "hallo"}, "form"},
		{Ask{Kind: Email}, Value{Email: "a@b"}, "no address"},
		{Ask{Kind: Email}, Value{Email: "a@b.de", Verified: true}, ""},
		{Ask{Kind: Phone}, Value{Phone: "0171 1234567"}, "no international number"},
		{Ask{Kind: Phone}, Value{Phone: "+491711234567"}, ""},
		{Ask{Kind: Address}, Value{Address: &Postal{Street: "A 1", City: "B"}}, "postal_code"},
		{Ask{Kind: Address}, Value{Address: &Postal{Street: "A 1", PostalCode: "1", City: "B", Country: "Germany"}}, "ISO 3166"},
		{Ask{Kind: File}, Value{Files: []string{"f"}}, ""},
		{Ask{Kind: File}, Value{}, "too few"},
		{Ask{Kind: Signature}, Value{}, "missing"},
		{Ask{Kind: Signature}, Value{Signed: "Anna"}, ""},
		{Ask{Kind: Payment}, Value{Yes: ptr(true)}, ""},
		{Ask{Kind: "other"}, Value{}, "unknown"},
	} {
		err := x.a.CheckValue(x.v, c)
		switch {
		case x.want == "" && err != nil:
			t.Errorf("%s %+v: %v", x.a.Kind, x.v, err)
		case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s %+v: %v, want …%s…", x.a.Kind, x.v, err, x.want)
		}
	}
}

func TestShow(t *testing.T) {
	z := berlin(t)
	asks := tableAsks(z)
	pick := func(name string, k Kind) Ask { a := asks[name]; a.Kind = k; return a }
	for _, x := range []struct {
		a              Ask
		v              Value
		language, want string
	}{
		{Ask{Kind: DateTime}, Value{At: "2026-11-26T14:30:00+01:00"}, "de", "Donnerstag, 26. November 2026, 14:30 Uhr"},
		{Ask{Kind: DateTime}, Value{At: "2026-11-26T14:30:00+01:00"}, "en", "Thursday, 26 November 2026, 2:30 pm"},
		{Ask{Kind: DateTime}, Value{At: "2026-11-26T14:30:00+01:00"}, "en-US", "Thursday, November 26, 2026, 2:30 pm"},
		{Ask{Kind: DateTime, Zone: "Europe/London"}, Value{At: "2026-11-26T14:30:00+01:00"}, "en", "Thursday, 26 November 2026, 1:30 pm"},
		{Ask{Kind: Date}, Value{Date: "2027-01-07"}, "de-AT", "Donnerstag, 7. Jänner 2027"},
		{Ask{Kind: Number, Unit: "km"}, Value{Number: "1234.50"}, "de", "1.234,50 km"},
		{Ask{Kind: Number, Unit: "CHF"}, Value{Number: "1234.50"}, "de-CH", "1'234.50 CHF"},
		{Ask{Kind: Number, Unit: "EUR"}, Value{Number: "1234.50"}, "de", "1.234,50 €"},
		{Ask{Kind: Number, Unit: "GBP"}, Value{Number: "-1234.50"}, "en", "-£1,234.50"},
		{Ask{Kind: YesNo}, Value{Yes: ptr(true)}, "de", "Ja"},
		{Ask{Kind: YesNo}, Value{Yes: ptr(false)}, "en", "No"},
		{pick("labelled", YesNo), Value{Yes: ptr(true)}, "de", "Termin behalten"},
		{pick("papers", ManyOf), Value{Keys: []string{"id", "plan"}}, "de", "Ausweis, Grundriss"},
		{pick("papers", ManyOf), Value{Keys: []string{}}, "en", "none"},
		{Ask{Kind: Rating}, Value{Key: "ok"}, "de", "In Ordnung"},
		{Ask{Kind: Text}, Value{Skipped: true}, "de", "keine Angabe"},
		{Ask{Kind: Address}, Value{Address: &Postal{Name: "Anna", Street: "Am Markt 3", PostalCode: "55116", City: "Mainz", Country: "DE"}}, "de", "Anna, Am Markt 3, 55116 Mainz"},
		{Ask{Kind: File}, Value{Files: []string{"a", "b"}}, "de", "2 Dateien"},
	} {
		if got := x.v.Show(x.a, x.language); got != x.want {
			t.Errorf("%s %s: %q, want %q", x.a.Kind, x.language, got, x.want)
		}
	}
}

func TestAnyIsPlain(t *testing.T) {
	z := berlin(t)
	for _, x := range []struct {
		k    Kind
		v    Value
		want string
	}{
		{YesNo, Value{Yes: ptr(true)}, `true`},
		{OneOf, Value{Key: "a"}, `"a"`},
		{ManyOf, Value{Keys: []string{"a", "b"}}, `["a","b"]`},
		{ManyOf, Value{Keys: []string{}}, `[]`},
		{Number, Value{Number: "12.50", Unit: "km"}, `12.5`},
		{Rating, Value{Number: "9"}, `9`},
		{Rating, Value{Key: "ok"}, `"ok"`},
		{Date, Value{Date: "2026-11-26"}, `"2026-11-26"`},
		{DateTime, Value{At: "2026-11-26T14:30:00+01:00"}, `"2026-11-26T14:30:00+01:00"`},
		{Slot, Value{Key: "s", At: "2026-11-26T14:30:00+01:00"}, `{"at":"2026-11-26T14:30:00+01:00","key":"s"}`},
		{Text, Value{Text: "x"}, `"x"`},
		{Address, Value{Address: &Postal{Street: "A 1", PostalCode: "1", City: "B"}}, `{"city":"B","country":"","extra":"","name":"","postal_code":"1","street":"A 1"}`},
		{File, Value{Files: []string{"f"}}, `["f"]`},
		{Text, Value{Skipped: true}, `null`},
		{Text, Value{}, `null`},
	} {
		v := x.v.Any(x.k)
		if m, ok := v.(time.Time); ok && !m.Equal(time.Date(2026, 11, 26, 14, 30, 0, 0, z)) {
			t.Errorf("%v", m)
		}
		b, err := json.Marshal(v)
		if err != nil || string(b) != x.want {
			t.Errorf("%s: %s (%v), want %s", x.k, b, err, x.want)
		}
	}
}
