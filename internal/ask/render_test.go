package ask_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email"
	"github.com/rufweite/rufweite/internal/channel/telegram"
	"github.com/rufweite/rufweite/internal/channel/webchat"
)

const renderCode = "abcd2345wxyz"

func renderNumber(v float64) *float64 { return &v }

func renderMoment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// examples are asks as companies put them, at least one of each kind.
func renderExamples() map[string]ask.Ask {
	p := ask.Plain
	return map[string]ask.Ask{
		"yes_no":       {Kind: ask.YesNo, Text: p("de", "Passt Ihnen der Termin am Donnerstag?", "en", "Does Thursday suit you?", "de-simple", "Haben Sie am Donnerstag Zeit?")},
		"yes_no_long":  {Kind: ask.YesNo, Text: p("de", "Ihr Auto kann Donnerstag um 16 Uhr abgeholt werden. Passt das?", "en", "Your car can be picked up on Thursday at 16:00. Does that suit you?"), Yes: p("de", "Ja, ich komme am Donnerstag um 16 Uhr", "en", "Yes, I will come on Thursday at 16:00"), No: p("de", "Nein, ein anderer Termin", "en", "No, another time")},
		"one_of":       {Kind: ask.OneOf, Text: p("de", "Worum geht es?", "en", "What is it about?"), Hint: p("de", "Eines genügt.", "en", "One is enough."), Options: []ask.Option{{Key: "claim", Label: p("de", "Schaden melden", "en", "Report a claim"), Description: p("de", "Auto, Haus, Reise", "en", "Car, house, travel")}, {Key: "contract", Label: p("de", "Fragen zum Vertrag", "en", "About a contract"), Short: p("de", "Vertrag", "en", "Contract")}, {Key: "other", Label: p("de", "Etwas anderes", "en", "Something else")}}},
		"one_of_5":     {Kind: ask.OneOf, Text: p("de", "Welche Filiale?", "en", "Which branch?"), Options: renderBranches(5)},
		"one_of_12":    {Kind: ask.OneOf, Text: p("de", "Welche Filiale?", "en", "Which branch?"), Options: renderBranches(12)},
		"one_of_label": {Kind: ask.OneOf, Text: p("de", "Welcher Tarif?", "en", "Which plan?"), Options: []ask.Option{{Key: "a", Label: p("de", "Haftpflicht mit erweitertem Schutz für die ganze Familie und Hund", "en", "Liability with extended cover for the whole family and dog")}, {Key: "b", Label: p("de", "Keiner", "en", "None")}}},
		"many_of":      {Kind: ask.ManyOf, Text: p("de", "Welche Unterlagen haben Sie?", "en", "Which documents do you have?"), Least: 1, Most: 2, Options: []ask.Option{{Key: "id", Label: p("de", "Ausweis", "en", "Identity card")}, {Key: "pay", Label: p("de", "Gehaltsnachweis", "en", "Proof of income")}, {Key: "plan", Label: p("de", "Grundriss", "en", "Floor plan")}}},
		"slot": {Kind: ask.Slot, Text: p("de", "Ihr Golf ist fertig. Wann holen Sie ihn ab?", "en", "Your Golf is ready. When will you pick it up?"), Short: p("de", "Ihr Golf ist fertig", "en", "Your Golf is ready"), Calendar: "werkstatt", Options: []ask.Option{
			{Key: "s1", Start: renderMoment("2026-11-26T15:00:00Z"), End: renderMoment("2026-11-26T15:30:00Z")}, {Key: "s2", Start: renderMoment("2026-11-26T16:30:00Z"), End: renderMoment("2026-11-26T17:00:00Z")}, {Key: "s3", Start: renderMoment("2026-11-27T08:00:00Z"), End: renderMoment("2026-11-27T08:30:00Z")}, {Key: "other", Label: p("de", "Anderer Termin", "en", "Another time")}}},
		"date":       {Kind: ask.Date, Text: p("de", "Wann ist der Schaden passiert?", "en", "When did the damage happen?"), From: "2024-01-01", Until: "today"},
		"date_time":  {Kind: ask.DateTime, Text: p("de", "Wann sollen wir anrufen?", "en", "When shall we call?")},
		"number":     {Kind: ask.Number, Text: p("de", "Wie viele Kilometer ist Ihr Auto gelaufen?", "en", "How many kilometres has your car run?"), Min: renderNumber(0), Max: renderNumber(500000), Unit: "km"},
		"text":       {Kind: ask.Text, Text: p("de", "Was ist passiert?", "en", "What happened?", "de-simple", "Was ist passiert?"), MaxLength: 1000, Optional: true},
		"verdict":    {Kind: ask.Rating, Text: p("de", "Wie war unser Service?", "en", "How was our service?")},
		"nps":        {Kind: ask.Rating, Scale: "0-10", Text: p("de", "Würden Sie uns weiterempfehlen?", "en", "Would you recommend us?")},
		"email":      {Kind: ask.Email, Text: p("de", "Wohin dürfen wir schreiben?", "en", "Where may we write to?")},
		"phone":      {Kind: ask.Phone, Text: p("de", "Unter welcher Nummer erreichen wir Sie?", "en", "At which number can we reach you?")},
		"address":    {Kind: ask.Address, Text: p("de", "Wie lautet Ihre neue Anschrift?", "en", "What is your new address?")},
		"file":       {Kind: ask.File, Text: p("de", "Bitte schicken Sie Fotos vom Schaden.", "en", "Please send photos of the damage."), Accept: []string{"image/*"}, Least: 1, Most: 5},
		"signature":  {Kind: ask.Signature, Text: p("de", "Bitte unterschreiben Sie die Vollmacht.", "en", "Please sign the power of attorney.")},
		"consent":    {Kind: ask.Consent, Purpose: "newsletter", Text: p("de", "Dürfen wir Ihnen den Newsletter schicken?", "en", "May we send you the newsletter?")},
		"payment":    {Kind: ask.Payment, Text: p("de", "Bitte zahlen Sie die Selbstbeteiligung.", "en", "Please pay the excess."), URL: "https://pay.example/1", Cents: 15000, Currency: "EUR"},
		"translated": {Kind: ask.YesNo, Text: ask.Texts{"de": {Text: "Passt das?"}, "fr": {Text: "Cela vous convient-il ?", Machine: true}}},
	}
}

func renderBranches(n int) []ask.Option {
	var out []ask.Option
	for i, name := range []string{"Altona", "Barmbek", "City", "Eimsbüttel", "Farmsen", "Harburg", "Langenhorn", "Niendorf", "Othmarschen", "Rahlstedt", "Wandsbek", "Winterhude"}[:n] {
		out = append(out, ask.Option{Key: fmt.Sprint("b", i+1), Label: ask.Plain("de", name, "en", name)})
	}
	return out
}

// media are those that differ in how they ask.
func renderMedia() map[string]channel.Capabilities {
	p := channel.Published()
	return map[string]channel.Capabilities{
		"1 webchat":  webchat.Driver{}.Capabilities(),
		"2 telegram": telegram.New().Capabilities(),
		"3 whatsapp": p["whatsapp"].Capabilities,
		"4 email":    emailCapabilities(),
		"5 sms":      p["twilio"].Capabilities,
		"6 voice":    p["voice"].Capabilities,
		"7 letter":   p["letter"].Capabilities,
	}
}

func emailCapabilities() channel.Capabilities { return email.Driver{}.Capabilities() }

func renderOptions(language string) ask.Options {
	return ask.Options{Language: language, Zone: "Europe/Berlin", Code: renderCode, URL: "https://hilfe.example/a/" + renderCode, Phone: "040 123456"}
}

// show writes a rendering so that it reads like a specification.
func renderShown(r ask.Rendered, c channel.Capabilities) string {
	var b strings.Builder
	way := string(r.Way)
	if r.Form {
		way += ", form"
	}
	fmt.Fprintf(&b, "way: %s\n", way)
	if r.Subject != "" {
		fmt.Fprintf(&b, "subject: %s\n", r.Subject)
	}
	text := r.Text
	switch {
	case c.Spoken:
		text = ask.Speech(r)
	case c.Paper:
		text = ask.Paper(r)
	}
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(strings.TrimRight("| "+line, " ") + "\n")
	}
	if r.Menu != "" {
		fmt.Fprintf(&b, "menu: %s\n", r.Menu)
	}
	for _, c := range r.Choices {
		fmt.Fprintf(&b, "choice: [%s] %s", c.Label, c.Data)
		if c.Description != "" {
			fmt.Fprintf(&b, " (%s)", c.Description)
		}
		if c.URL != "" {
			fmt.Fprintf(&b, " → %s", c.URL)
		}
		b.WriteString("\n")
	}
	for _, k := range r.Keys {
		fmt.Fprintf(&b, "key %s: %s %s\n", k.Digit, k.Data, k.Label)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "problem: %s %s: %s\n", p.Code, p.Option, p.Detail)
	}
	return b.String()
}

// TestRender compares each example on each medium with testdata/render, which is to be read.
func TestRender(t *testing.T) {
	for name, a := range renderExamples() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			languages := []string{"de", "en"}
			if _, ok := a.Text["de-simple"]; ok {
				languages = append(languages, "de-simple")
			}
			if _, ok := a.Text["fr"]; ok {
				languages = []string{"fr", "en"}
			}
			for _, language := range languages {
				m := renderMedia()
				for _, medium := range slices.Sorted(maps.Keys(m)) {
					s := ask.Say{Ask: &a, Person: true}
					if language == "de-simple" {
						s.Introduce = "Berger & Partner"
					}
					fmt.Fprintf(&b, "── %s, %s\n%s\n", medium[2:], language, renderShown(ask.Render(s, m[medium], renderOptions(language)), m[medium]))
				}
			}
			renderGolden(t, filepath.Join("testdata", "render", name+".txt"), b.Bytes())
		})
	}
}

func renderGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE_RENDER") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs; look at it and run with UPDATE_RENDER=1\n got:\n%s", path, got)
	}
}

var _ = utf8.RuneCountInString

func BenchmarkRender(b *testing.B) {
	all := renderExamples()
	m := renderMedia()
	for _, medium := range slices.Sorted(maps.Keys(m)) {
		for _, kind := range []string{"yes_no", "one_of", "slot", "number"} {
			a, c := all[kind], m[medium]
			b.Run(medium[2:]+"/"+kind, func(b *testing.B) {
				o := renderOptions("de")
				b.ReportAllocs()
				for b.Loop() {
					ask.Render(ask.Say{Ask: &a, Person: true}, c, o)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "renders/s")
			})
		}
	}
}
