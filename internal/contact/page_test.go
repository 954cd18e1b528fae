package contact

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

func both(s string) channel.Text { return channel.Text{DE: s, EN: s} }

func page(t *testing.T, v View) string {
	t.Helper()
	if v.Base == "" {
		v.Base = "/contact"
	}
	if v.Now.IsZero() {
		v.Now = time.Date(2026, 11, 24, 9, 43, 0, 0, Hours{}.Location())
	}
	b, err := Render(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPage(t *testing.T) {
	offers := []Offer{
		{Way: Way{ID: "p", Kind: Phone, Section: Talk, Ref: "030 90 12 30"}, Name: both("030 90 12 30"), Link: "tel:030901230", Effective: work},
		{Way: Way{ID: "channel-w", Kind: Channel, Section: Write}, Medium: "whatsapp", Name: both("WhatsApp"), Link: "https://wa.me/49", Words: []string{"Schaden"}, Answer: 4 * time.Minute, Effective: work},
		{Way: Way{ID: "channel-x", Kind: Channel, Section: Write}, Medium: "telegram", Name: both("Telegram"), Link: "https://t.me/x", Trouble: true, Effective: work},
		{Way: Way{ID: "l", Kind: Letter, Section: Write, Ref: "Lindenstraße 4\n10969 Berlin"}, Name: both("Brief"), Effective: Hours{Always: true}},
		{Way: Way{ID: "h", Kind: Web, Section: Self, Hidden: true}, Name: both("Verborgen"), Link: "https://x.example"},
		{Way: Way{ID: "dialog-d", Kind: Dialog, Section: Self}, Name: channel.Text{DE: "Schaden melden", EN: "Report a claim"}, Words: []string{"Schaden"}, Link: "https://wa.me/49?text=Schaden", Effective: Hours{Always: true}},
	}
	de := page(t, View{Company: "Berger & Partner", Language: "de", Offers: offers})
	for _, want := range []string{"<html lang=\"de\">", "So erreichen Sie uns · Berger &amp; Partner", "Stand: Dienstag, 09:43 Uhr.", "Sofort ein Mensch", "Schreiben", "Selbst erledigen", "offen bis 18 Uhr", "Mensch; auf „Schaden“ zuerst der Assistent", "Antwort meist in 4 Minuten",
		"zurzeit gestört", "Lindenstraße 4", `href="/contact/go/p?lang=de"`, "Selbstbedienung", "immer"} {
		if !strings.Contains(de, want) {
			t.Errorf("the German page does not say %q", want)
		}
	}
	if strings.Contains(de, "Verborgen") {
		t.Error("a hidden way is shown")
	}
	if strings.Contains(de, "<script") || strings.Contains(de, "noindex") {
		t.Error("the page has a script, or wants not to be found")
	}
	en := page(t, View{Company: "Berger", Language: "en", Offers: offers, Now: time.Date(2026, 11, 24, 20, 0, 0, 0, Hours{}.Location())})
	for _, want := range []string{"How to reach us", "from tomorrow, 08:00", "Answer usually within 4 minutes", "Report a claim"} {
		if !strings.Contains(en, want) {
			t.Errorf("the English page does not say %q", want)
		}
	}
	for i := range offers { // nobody set hours
		offers[i].Effective = Hours{}
	}
	if none := page(t, View{Language: "de", Offers: offers}); strings.Contains(none, "offen") || strings.Contains(none, "immer") {
		t.Error("without hours something is claimed")
	}
	if empty := page(t, View{Language: "de"}); !strings.Contains(empty, "Noch kein Weg") {
		t.Error("an empty page says nothing")
	}
}

func TestPageWithCode(t *testing.T) {
	v := View{Company: "B", Language: "de", Code: "K7M2Q9XP4TZA", Offers: []Offer{{Way: Way{ID: "x", Kind: Channel, Section: Write}, Name: both("Telegram"), Link: "https://t.me/x?start=K7M2Q9XP4TZA"}}}
	html := page(t, v)
	for _, want := range []string{"noindex", "K7M2-Q9XP-4TZA", "Ihr Gespräch geht hier weiter", "/contact/go/x?code=K7M2Q9XP4TZA&amp;lang=de"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	for in, want := range map[string]string{"k7m2-q9xp-4tza": "K7M2Q9XP4TZA", "K7M2Q9XP4TZA": "K7M2Q9XP4TZA", "123456": "", "<script>": "", "": "", strings.Repeat("A2", 30): ""} {
		if got := CodeOf(in); got != want {
			t.Errorf("code of %q: %q, want %q", in, got, want)
		}
	}
}

func TestPageEmbedded(t *testing.T) {
	html := page(t, View{Company: "B", Language: "en", Embed: true, Offers: []Offer{{Way: Way{ID: "x", Kind: Phone, Section: Talk, Ref: "1234"}, Name: both("1234"), Link: "tel:1234"}, {Way: Way{ID: "y", Kind: Web, Section: Self}, Name: both("W"), Link: "https://x.example"}}})
	for _, want := range []string{`class="embed"`, `target="_top"`, `target="_blank"`, "embed=1"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if strings.Contains(html, `class="company"`) {
		t.Error("the frame repeats whose page it is")
	}
}

// Names and notes are people's words, never markup, wherever they stand.
func TestPageEscapes(t *testing.T) {
	evil := `"><script>alert(1)</script><img src=x onerror=alert(1)>' {{.Company}} javascript:alert(1)`
	var offers []Offer
	for _, k := range []string{Channel, Dialog, Phone, Callback, Branch, Letter, Web} {
		offers = append(offers, Offer{Way: Way{ID: evil, Kind: k, Section: Write, Ref: evil, Note: both(evil)}, Name: both(evil), Link: "https://x.example/" + evil, Words: []string{evil}, Medium: "email"})
	}
	html := page(t, View{Company: evil, Language: "de", Offers: offers, Widget: evil, Base: "/contact"})
	if strings.Contains(html, "<script>alert") || strings.Contains(html, "<img") || regexp.MustCompile(`(?i)(href|src)="\s*javascript:`).MatchString(html) {
		t.Errorf("not escaped: %.2000s", html)
	}
}
