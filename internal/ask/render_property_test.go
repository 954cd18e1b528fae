package ask_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

// everyMedium are the drivers' capabilities, the planned ones, and some that nobody has: the worst of each.
func everyMedium() map[string]channel.Capabilities {
	all := map[string]channel.Capabilities{}
	for kind, m := range channel.Published() {
		all[string(kind)] = m.Capabilities
	}
	for name, c := range renderMedia() {
		all[name] = c
	}
	all["nothing"] = channel.Capabilities{}
	all["push"] = channel.Capabilities{OneWay: true, Links: true, TextMax: 3993, TextUnit: channel.Bytes}
	all["push without links"] = channel.Capabilities{OneWay: true}
	all["one button"] = channel.Capabilities{Buttons: 1, ButtonTitleMax: 5, ButtonDataMax: 10}
	all["no data"] = channel.Capabilities{Buttons: 20, ButtonTitleMax: 40, ButtonDataMax: 8}
	all["short"] = channel.Capabilities{TextMax: 100, ChoiceTextMax: 30, Buttons: 5, ButtonTitleMax: 20, ListRows: 5, ListTitleMax: 10, Links: true}
	return all
}

// TestRenderKeepsLimits renders every example on every medium, with and without a page, a code and a person: what comes
// out fits, no label is cut, and whoever is asked can answer and reach a person, or a problem says that they cannot.
func TestRenderKeepsLimits(t *testing.T) {
	for medium, c := range everyMedium() {
		for name, a := range renderExamples() {
			for _, language := range []string{"de", "de-simple", "en", "fr"} {
				for variant := range 8 {
					o := renderOptions(language)
					if variant&1 != 0 {
						o.Code, o.URL = "", ""
					}
					if variant&4 != 0 {
						o.Phone = ""
					}
					s := ask.Say{Ask: &a, Person: variant&2 == 0, Introduce: "Berger & Partner"}
					r := ask.Render(s, c, o)
					checkRendered(t, medium+"/"+name+"/"+language, s, c, o, r)
					if again := ask.Render(s, c, o); renderShown(r, c)+r.HTML != renderShown(again, c)+again.HTML {
						t.Errorf("%s %s: two renderings differ", medium, name)
					}
				}
			}
		}
		s := ask.Say{Text: ask.Plain("de", "Guten Tag.", "en", "Hello."), Person: true}
		r := ask.Render(s, c, renderOptions("de"))
		checkRendered(t, medium+"/say", s, c, renderOptions("de"), r)
		if !strings.Contains(r.Text, "Guten Tag.") {
			t.Errorf("%s: nothing is said: %q", medium, r.Text)
		}
	}
}

func checkRendered(t *testing.T, at string, s ask.Say, c channel.Capabilities, o ask.Options, r ask.Rendered) {
	t.Helper()
	has := func(code string) bool {
		return slices.ContainsFunc(r.Problems, func(p ask.RenderProblem) bool { return p.Code == code })
	}
	native := r.Choices
	if len(native) > 0 && native[0].URL != "" {
		native = nil
	}
	most, title := c.Buttons, c.ButtonTitleMax
	if r.Menu != "" {
		most, title = c.ListRows, c.ListTitleMax
		if c.ButtonTitleMax > 0 && utf8.RuneCountInString(r.Menu) > c.ButtonTitleMax {
			t.Errorf("%s: the menu's label %q is too long", at, r.Menu)
		}
	}
	if len(native) > most {
		t.Errorf("%s: %d choices, %d fit", at, len(native), most)
	}
	whole := map[string]bool{}
	if s.Ask != nil {
		_, labels := s.Ask.Labels(o.Language, o.Zone)
		for _, l := range labels {
			whole[l] = true
		}
		for _, op := range s.Ask.Options {
			whole[op.Short.Get(o.Language)] = true
		}
	}
	for _, ch := range native {
		if n := utf8.RuneCountInString(ch.Label); n == 0 || (title > 0 && n > title) {
			t.Errorf("%s: the label %q does not fit into %d", at, ch.Label, title)
		}
		if c.ButtonDataMax > 0 && len(ch.Data) > c.ButtonDataMax {
			t.Errorf("%s: %q does not fit into %d bytes", at, ch.Data, c.ButtonDataMax)
		}
		if utf8.RuneCountInString(ch.Description) > c.ListDescriptionMax {
			t.Errorf("%s: the description %q is too long", at, ch.Description)
		}
		if code, n, ok := ask.ParsePayload(ch.Data); !ok || code != o.Code || (n == ask.PersonOption) != ch.Person {
			t.Errorf("%s: payload %q", at, ch.Data)
		}
		if !ch.Person && s.Ask.Kind != ask.Slot && !whole[ch.Label] {
			t.Errorf("%s: the label %q was cut or made up", at, ch.Label)
		}
	}
	limit := c.TextMax
	if len(native) > 0 && c.ChoiceTextMax > 0 {
		limit = c.ChoiceTextMax
	}
	if s.Ask != nil && limit > 0 && channel.Length(r.Text, c.TextUnit) > limit && !has("text_too_long") {
		t.Errorf("%s: %d characters, %d fit, and no problem says so", at, channel.Length(r.Text, c.TextUnit), limit)
	}
	if (r.HTML != "") != c.HTML {
		t.Errorf("%s: HTML %q", at, r.HTML)
	}
	if s.Ask != nil {
		if s.Person && !has("no_person") && !personOffered(r, o) {
			t.Errorf("%s: no way to a person\n%s", at, r.Text)
		}
		if !has("no_reply") && !answerable(r, o, c) {
			t.Errorf("%s: no way to answer, and no problem\n%s", at, renderShown(r, c))
		}
		if r.Way == ask.Nothing && !has("no_reply") {
			t.Errorf("%s: nothing, without a reason", at)
		}
	}
	if c.OneWay && o.URL == "" && s.Ask != nil && !has("no_reply") {
		t.Errorf("%s: a push cannot be answered", at)
	}
}

func personOffered(r ask.Rendered, o ask.Options) bool {
	for _, c := range append(slices.Clone(r.Choices), r.Boxes...) {
		if c.Person {
			return true
		}
	}
	for _, k := range r.Keys {
		if k.Digit == "0" {
			return true
		}
	}
	for _, word := range []string{"Mensch", "“person”", `"person"`, "a person"} {
		if strings.Contains(r.Text, word) {
			return true
		}
	}
	return o.Phone != "" && strings.Contains(r.Text, o.Phone)
}

func answerable(r ask.Rendered, o ask.Options, c channel.Capabilities) bool {
	switch r.Way {
	case ask.Native:
		return r.Form
	case ask.Buttons, ask.List, ask.Links:
		return len(r.Choices) > 0
	case ask.Numbered, ask.Free:
		return !c.OneWay
	case ask.Page:
		return c.Links && o.URL != "" && strings.Contains(r.Text, o.URL)
	case ask.Keypad:
		return len(r.Keys) > 0
	case ask.Boxes:
		return strings.Contains(r.Foot, ask.GroupCode(o.Code))
	}
	return false
}

// TestRenderAgain: what was not understood is said before the question, in place of its hint.
func TestRenderAgain(t *testing.T) {
	a := renderExamples()["one_of"]
	r := ask.Render(ask.Say{Ask: &a, Again: "Das habe ich nicht verstanden.", Person: true}, renderMedia()["5 sms"], renderOptions("de"))
	if !strings.HasPrefix(r.Text, "Das habe ich nicht verstanden.\nWorum geht es?") || strings.Contains(r.Text, "Eines genügt") || !strings.Contains(r.Text, "Antworten Sie mit 1, 2 oder 3.") {
		t.Error(r.Text)
	}
}

// TestViewWords: what the web chat's fields send as words (web/widget/view.ts, fields) is understood.
func TestViewWords(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, language, text string
		check                func(ask.Value) bool
	}{
		{"many_of", "de", "Ausweis, Grundriss", func(v ask.Value) bool { return strings.Join(v.Keys, " ") == "id plan" }},
		{"many_of", "en", "Identity card, Floor plan", func(v ask.Value) bool { return strings.Join(v.Keys, " ") == "id plan" }},
		{"many_of", "de", "1, 3", func(v ask.Value) bool { return strings.Join(v.Keys, " ") == "id plan" }},
		{"number", "de", "42.000", func(v ask.Value) bool { return v.Number == "42000" }},
		{"date", "de", "3.5.2026", func(v ask.Value) bool { return v.Date == "2026-05-03" }},
		{"date", "en", "3 May 2026", func(v ask.Value) bool { return v.Date == "2026-05-03" }},
		{"date", "de", "2026-05-03", func(v ask.Value) bool { return v.Date == "2026-05-03" }},
		{"date_time", "de", "3.12.2026, 14:30 Uhr", func(v ask.Value) bool { return v.At == "2026-12-03T14:30:00+01:00" }},
		{"date_time", "en", "3 December 2026, 14:30", func(v ask.Value) bool { return v.At == "2026-12-03T14:30:00+01:00" }},
		{"date_time", "de", "2026-12-03 14:30", func(v ask.Value) bool { return v.At == "2026-12-03T14:30:00+01:00" }},
		{"email", "de", "ada@beispiel.de", func(v ask.Value) bool { return v.Email == "ada@beispiel.de" }},
		{"phone", "de", "040 1234567", func(v ask.Value) bool { return v.Phone == "+49401234567" }},
		{"address", "de", "Ada Yıldız\nRingstraße 1\n20095 Hamburg", func(v ask.Value) bool {
			return v.Address != nil && v.Address.Street == "Ringstraße 1" && v.Address.PostalCode == "20095" && v.Address.City == "Hamburg"
		}},
		{"text", "de", "weiter", func(v ask.Value) bool { return v.Skipped }},
		{"text", "en", "skip", func(v ask.Value) bool { return v.Skipped }},
	} {
		out := ask.Resolve(renderExamples()[tt.name], ask.Reply{Text: tt.text}, ask.Context{Now: now, Language: tt.language})
		if out.Problem != "" || out.Confidence < ask.Sure || !tt.check(out.Value) {
			t.Errorf("%s, %s: %q means %+v", tt.name, tt.language, tt.text, out)
		}
	}
}

// TestRenderPayloads: each native choice means its option.
func TestRenderPayloads(t *testing.T) {
	for name, a := range renderExamples() {
		keys, _ := a.Labels("de", "")
		for n, key := range keys {
			if a.Kind == ask.ManyOf {
				continue
			}
			out := ask.Resolve(a, ask.Reply{Payload: ask.Payload(renderCode, n)}, ask.Context{Now: time.Now(), Language: "de", Code: renderCode})
			v := out.Value
			got := v.Key + v.Number
			if v.Yes != nil {
				got = map[bool]string{true: "yes", false: "no"}[*v.Yes]
			}
			if out.Problem != "" || got != key {
				t.Errorf("%s: option %d is %q, its payload means %+v", name, n, key, out)
			}
		}
	}
}

// TestReAsk names what was understood and what is needed.
func TestReAsk(t *testing.T) {
	all := renderExamples()
	date := func(s string) ask.Value { return ask.Value{Date: s} }
	for _, tt := range []struct {
		name     string
		out      ask.Outcome
		language string
		want     string
	}{
		{"yes_no", ask.Outcome{Problem: ask.Unclear}, "de", "Das habe ich nicht verstanden. Bitte antworten Sie mit „Ja“ oder „Nein“."},
		{"yes_no", ask.Outcome{Problem: ask.Unclear}, "en", "I did not understand that. Please answer with “Yes” or “No”."},
		{"yes_no", ask.Outcome{Problem: ask.Unclear}, "de-simple", "Das habe ich nicht verstanden. Bitte schreiben Sie: „Ja“ oder „Nein“."},
		{"date_time", ask.Outcome{Problem: ask.OutOfRange, Detail: "past", Value: date("2025-12-03")}, "de", "Der 3. Dezember 2025 ist schon vergangen. Bitte nennen Sie einen Tag ab heute."},
		{"date_time", ask.Outcome{Problem: ask.OutOfRange, Detail: "holiday", Value: date("2026-12-25")}, "en", "25 December 2026 is a public holiday. Please give another day."},
		{"date_time", ask.Outcome{Problem: ask.Ambiguous, Candidates: []ask.Value{date("2026-12-01"), date("2026-12-08")}}, "de", "Meinten Sie Dienstag, 1. Dezember 2026 oder Dienstag, 8. Dezember 2026?"},
		{"one_of", ask.Outcome{Problem: ask.Ambiguous, Candidates: []ask.Value{{Key: "claim"}, {Key: "contract"}}}, "de", "Meinten Sie „Schaden melden“ oder „Fragen zum Vertrag“?"},
		{"number", ask.Outcome{Problem: ask.OutOfRange, Detail: "max", Value: ask.Value{Number: "600000"}}, "de", "600.000 km ist zu viel. Bitte nennen Sie eine Zahl von 0 bis 500.000 km."},
		{"number", ask.Outcome{Problem: ask.Unclear}, "en", "I found no number in that. Please give a number from 0 to 500,000 km."},
		{"many_of", ask.Outcome{Problem: ask.TooMany, Value: ask.Value{Keys: []string{"id", "pay", "plan"}}}, "de", "Verstanden habe ich: „Ausweis“ und „Gehaltsnachweis“ und „Grundriss“. Bitte wählen Sie höchstens 2 Antworten."},
		{"file", ask.Outcome{Problem: ask.WrongType}, "de", "Bitte schicken Sie ein Foto."},
		{"file", ask.Outcome{Problem: ask.TooMany, Value: ask.Value{Files: make([]string, 6)}}, "de", "Es kamen 6 Dateien an. Möglich sind höchstens 5."},
		{"slot", ask.Outcome{Problem: ask.OutOfRange, Detail: "taken"}, "de", "Dieser Termin wurde gerade vergeben. Bitte wählen Sie einen anderen."},
		{"text", ask.Outcome{Problem: ask.TooLong}, "de", "Ihre Antwort ist zu lang. Möglich sind höchstens 1000 Zeichen."},
	} {
		if got := ask.ReAsk(all[tt.name], tt.out, tt.language); got != tt.want {
			t.Errorf("%s %s %s:\n got %s\nwant %s", tt.name, tt.out.Problem, tt.language, got, tt.want)
		}
	}
	for name, a := range all { // whatever is wrong, something is said, in every language
		for _, p := range []ask.Problem{ask.Unclear, ask.Ambiguous, ask.OutOfRange, ask.TooFew, ask.TooMany, ask.WrongType, ask.TooLong, ask.Foreign, ask.Person, ask.NeedsPage} {
			for _, language := range []string{"de", "de-simple", "en", "fr", ""} {
				if s := ask.ReAsk(a, ask.Outcome{Problem: p, Detail: "?"}, language); s == "" || !strings.ContainsAny(s[len(s)-1:], ".?") {
					t.Errorf("%s %s %s: %q", name, p, language, s)
				}
			}
		}
	}
}

// FuzzRenderHTML: whatever texts contain, the HTML has only our own elements and attributes, and leads only to the page.
func FuzzRenderHTML(f *testing.F) {
	for _, s := range []string{"Passt das?", "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "a\n\nb\r\n<!--", "</title><b>", "\x00\x1b[31m\xff\u202e", "javascript:alert(1)", "&amp;&#60;script&#62;", "]]>", "' onclick='x"} {
		f.Add(s, s, 0)
		f.Add("Frage", s, 3)
	}
	names := slices.Sorted(maps.Keys(renderExamples()))
	f.Fuzz(func(t *testing.T, text, label string, which int) {
		a := renderExamples()[names[uint(which)%uint(len(names))]]
		a.Text = ask.Plain("de", text)
		a.Short, a.Hint = ask.Plain("de", label), ask.Plain("de", label)
		a.Yes, a.Unit, a.Currency = ask.Plain("de", label), label, label
		for i := range a.Options {
			a.Options[i].Label, a.Options[i].Description = ask.Plain("de", label), ask.Plain("de", text)
		}
		o := renderOptions("de")
		o.Phone = label
		r := ask.Render(ask.Say{Ask: &a, Text: ask.Plain("de", text), Introduce: label, Again: text, Person: true}, renderMedia()["4 email"], o)
		if strings.ContainsAny(r.Subject, "\r\n\x00") {
			t.Errorf("subject %q", r.Subject)
		}
		if !utf8.ValidString(r.HTML) {
			t.Error("no UTF-8")
		}
		z := html.NewTokenizer(strings.NewReader(r.HTML))
		for {
			kind := z.Next()
			if kind == html.ErrorToken {
				break
			}
			if kind == html.CommentToken {
				t.Fatalf("a comment: %s", z.Raw())
			}
			if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
				continue
			}
			token := z.Token()
			switch token.Data {
			case "html", "head", "meta", "title", "style", "body", "div", "p", "h1", "ul", "ol", "li", "a", "br", "span":
			default:
				t.Fatalf("an element %q came in", token.Data)
			}
			for _, at := range token.Attr {
				switch at.Key {
				case "lang", "charset", "name", "content", "class", "style":
				case "href":
					if !strings.HasPrefix(at.Val, o.URL) {
						t.Fatalf("leads to %q", at.Val)
					}
				default:
					t.Fatalf("an attribute %q came in", at.Key)
				}
			}
		}
	})
}
