package sim

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// question is what a customer makes of a message that a machine wrote: what it offers, and what it wants to know.
type question struct {
	options []string // labels, without the button for a person
	person  string   // label of the button for a person, "" = one writes for them
	want    string   // without options: file, code, email, phone, time, number, address, words; "" = nothing
	numbers bool     // "Antworten Sie mit 1, 2 oder 3."
}

var (
	machineWords = regexp.MustCompile(`(?i)(der automatische Assistent|automated assistant|Schreiben Sie [„"]Mensch[“"]|Write [“"]person[”"]|Antworten Sie mit \d|Answer with \d|/a/[a-z2-9]{12}\b|^Erinnerung:|^Danke! Wir erwarten Sie|^(Diese|Ihre) (Frage|Antwort) )`)
	numbersWords = regexp.MustCompile(`(Antworten Sie mit|Answer with) \d`)
	wantWords    = []struct {
		want string
		re   *regexp.Regexp
	}{
		{"file", regexp.MustCompile(`(?i)\b(Fotos?|Bild(er)?|Datei(en)?|Unterlagen|hochladen|photos?)\b`)},
		{"code", regexp.MustCompile(`(?i)\bCode\b`)},
		{"email", regexp.MustCompile(`(?i)E-Mail-Adresse|e-mail address`)},
		{"phone", regexp.MustCompile(`(?i)Telefonnummer|\bNummer\b|\bnumber\b`)},
		{"time", regexp.MustCompile(`(?i)\b(Wann|Uhrzeit|Datum|Tag|When)\b`)},
		{"number", regexp.MustCompile(`(?i)Kilometer|\bkm\b|wie viele?|Betrag`)},
		{"address", regexp.MustCompile(`(?i)Anschrift|Straße, Hausnummer|Wohin`)},
	}
)

// readQuestion tells a machine's message from a colleague's words: by what it offers to press, and by how it says what
// to do.
func readQuestion(l Line) (q question, machine bool) {
	text := own(l.Text)
	if len(l.Choices) == 0 && l.Page == "" && !machineWords.MatchString(text) {
		return q, false
	}
	for _, c := range l.Choices {
		if c.Person() {
			q.person = c.Label
		} else if !slices.Contains(q.options, c.Label) {
			q.options = append(q.options, c.Label)
		}
	}
	q.numbers = numbersWords.MatchString(text)
	if len(q.options) == 0 && strings.Contains(text, "?") {
		q.want = "words"
		for _, w := range wantWords {
			if w.re.MatchString(text) {
				q.want = w.want
				break
			}
		}
	}
	return q, true
}

// own is a text without what it quotes.
func own(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, ">") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// reply is what a customer does about a machine's message: most answer at once, by what lies nearest to the thumb;
// others answer late, in words, on their other channel, change their mind, want a person, or forget it.
func (c *cast) reply(p *person, l Line, q question, now time.Time, delay func() time.Duration) []Act {
	if p.concern == nil {
		p.concern = &concern{story: &story{key: "small", thanks: small}, channel: l.Channel}
	}
	k := p.concern
	k.channel = l.Channel
	if len(q.options) == 0 && q.want == "" {
		k.settle(p, now) // it only told something
		return nil
	}
	a := Act{After: delay(), Customer: p.ID, Channel: l.Channel, Kind: Write, Target: l.ID, Sense: Replies, Story: k.story.key}
	dice := p.rng.IntN(100)
	if dice < 6 && !k.settled { // forgets it; a reminder may come
		k.settle(p, now)
		return nil
	}
	k.settle(p, now) // whoever answers a machine does not wait for a person
	if dice >= 14 && dice < 22 {
		a.After *= 6
	}
	if dice >= 6 && dice < 13 { // rather talks to somebody
		if a.Text = "Mensch"; q.person != "" && dice < 10 {
			a.Kind, a.Text = Press, q.person
		} else if dice >= 11 {
			a.Text = "Ich möchte bitte mit einem Mitarbeiter sprechen."
		}
		k.wait(now)
		return []Act{c.finishReply(p, a)}
	}
	elsewhere := l.Channel == Email && p.united && dice >= 80 || l.Channel == Web && p.united && dice >= 90
	if elsewhere {
		a.Channel, a.Target = Telegram, ""
	}
	if len(q.options) == 0 {
		switch q.want {
		case "file":
			what := k.story.picture
			if what == "" {
				what = "auto"
			}
			a.Files = append(a.Files, p.shoot(what))
			a.Text = c.deal("withPicture", withPicture)
			if k.story.picture == "" && dice >= 70 {
				a.Files, a.Text = nil, "Nein, dazu habe ich keine Fotos."
			}
		case "code":
			return nil // a code that one was sent is nothing to guess
		case "email":
			if a.Text = p.Email; a.Text == "" {
				a.Text = ascii(strings.ToLower(strings.ReplaceAll(p.Name, " ", "."))) + "@post.example"
			}
		case "phone":
			a.Text = "{telefon}"
		case "time":
			a.Text = c.deal("someDay", someDay)
		case "number":
			a.Text = "{km}"
		case "address":
			a.Text = "{neu}"
		default:
			if a.Text = c.deal("ownWords", ownWords); len(k.details) > 0 {
				a.Text, k.details = k.details[0], k.details[1:]
			}
		}
		return []Act{c.finishReply(p, a)}
	}
	pick := 0
	if p.rng.IntN(10) >= 6 {
		pick = p.rng.IntN(len(q.options))
	}
	a.Text = q.options[pick]
	words := elsewhere || p.rng.IntN(4) == 0
	switch {
	case !words:
		a.Kind = Press
	case len(q.options) == 2 && p.rng.IntN(2) == 0:
		a.Text = [...]string{"Ja, das passt", "Nein, das geht leider nicht"}[pick]
	case q.numbers && l.Channel == Email && !elsewhere && p.rng.IntN(2) == 0:
		a.Text = string(rune('1' + pick%9))
	}
	out := []Act{c.finishReply(p, a)}
	if a.Kind == Press && len(q.options) > 1 && dice%10 == 7 { // changes their mind
		b := a
		b.After, b.Text = a.After+delay(), q.options[(pick+1)%len(q.options)]
		out = append(out, b)
	}
	return out
}

// finishReply puts the customer's facts in. Short answers seldom have a greeting, even by mail.
func (c *cast) finishReply(p *person, a Act) Act {
	if a.Channel == Email && a.Kind == Write && p.rng.IntN(4) == 0 {
		a.Text = c.letter(p, a.Text, "")
	}
	a.Text = p.facts.Replace(a.Text)
	return a
}

var (
	someDay  = []string{"gestern", "am Montag", "vorgestern gegen 17 Uhr", "letzten Samstag"}
	ownWords = []string{"Beim Ausparken hat mich ein Lieferwagen gestreift.", "Das erzähle ich lieber kurz am Telefon.", "Es geht um meinen {auto}.", "Der Schaden ist vorne rechts, etwa handgroß."}
)
