package sim

import (
	"strings"
	"testing"
	"time"
)

func TestMachinesAreToldFromColleagues(t *testing.T) {
	for text, l := range map[string]Line{
		"a colleague":               {Text: "Können Sie uns bitte ein Foto schicken?"},
		"a colleague, quoting":      {Text: "Gern.\n\n> Antworten Sie mit 1 oder 2."},
		"a colleague and a number":  {Text: "Antworten Sie mir bitte bis morgen?"},
		"machine: buttons":          {Text: "Passt das?", Choices: []Choice{{Label: "Ja", Data: "a:abcd2345wxyz:0"}, {Label: "Mensch", Data: "p:abcd2345wxyz"}}},
		"machine: numbers":          {Text: "Passt das?\n\n1) Ja\n2) Nein\n\nAntworten Sie mit 1 oder 2."},
		"machine: a link":           {Text: "Ihre Fotos?\n\nhttps://x.example/a/abcd2345wxyz", Page: "https://x.example/a/abcd2345wxyz"},
		"machine: only a statement": {Text: "Danke! Wir erwarten Sie Donnerstag.", Choices: []Choice{{Label: "Mensch", Data: "p:abcd2345wxyz"}}},
	} {
		q, machine := readQuestion(l)
		if machine != strings.HasPrefix(text, "machine") {
			t.Errorf("%s: a machine: %v", text, machine)
		}
		if strings.HasSuffix(text, "buttons") && (len(q.options) != 1 || q.person != "Mensch") || strings.HasSuffix(text, "link") && q.want != "file" || strings.HasSuffix(text, "statement") && (q.want != "" || len(q.options) > 0) {
			t.Errorf("%s: %+v", text, q)
		}
	}
}

// TestCustomersAnswerInEveryWay: out of many, some press, some write, some go elsewhere, are late, change their mind,
// want a person, or forget it; photos are sent where photos are wanted.
func TestCustomersAnswerInEveryWay(t *testing.T) {
	p := NewPopulation(PopulationOptions{Seed: 3, Customers: 400})
	now := time.Now()
	seen := map[string]int{}
	for _, h := range p.order {
		if !h.Uses(Email) {
			continue
		}
		h.united = h.Uses(Telegram)
		mail := Line{ID: "m", Customer: h.ID, Channel: Email, In: true, Text: "Passt das?\n\n1) Ja, passt\n2) Anderer Termin\n\nAntworten Sie mit 1 oder 2.", Choices: []Choice{{Label: "Ja, passt", URL: "https://x.example/a/abcd2345wxyz?o=0"}, {Label: "Anderer Termin", URL: "https://x.example/a/abcd2345wxyz?o=1"}}}
		acts := p.cast.react(h, mail, now, func() time.Duration { return time.Minute })
		if len(acts) == 0 {
			seen["forgets"]++
			continue
		}
		a := acts[0]
		switch {
		case strings.Contains(a.Text, "Mensch") || strings.Contains(a.Text, "Mitarbeiter"):
			seen["person"]++
		case a.Channel == Telegram:
			if a.Target != "" || a.Kind != Write {
				t.Fatalf("elsewhere: %+v", a)
			}
			seen["elsewhere"]++
		case a.Kind == Press:
			seen["link"]++
		default:
			seen["words"]++
		}
		if a.After > time.Minute {
			seen["late"]++
		}
		if len(acts) > 1 {
			if acts[1].Text == a.Text {
				t.Errorf("changes %q to the same", a.Text)
			}
			seen["changes"]++
		}
		photo := Line{ID: "f", Customer: h.ID, Channel: Email, In: true, Text: "Bitte senden Sie uns ein Foto?\n\nSchreiben Sie „Mensch“, wenn Sie mit einer Person sprechen möchten."}
		for _, a := range p.cast.react(h, photo, now, func() time.Duration { return time.Minute }) {
			if len(a.Files) > 0 && a.Files[0].MediaType == "image/jpeg" {
				seen["photo"]++
			}
		}
	}
	for _, way := range []string{"forgets", "person", "elsewhere", "link", "words", "late", "changes", "photo"} {
		if seen[way] < 3 {
			t.Errorf("%s: %d of %v", way, seen[way], seen)
		}
	}
}
