package conversation

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rufweite/rufweite/internal/db"
)

// numbersMax is how many numbers of one message are looked at: more than that is a price list.
const numbersMax = 20

// sameWithin is how long after its last message a conversation is suggested by number.
const sameWithin = 400 * 24 * time.Hour

// labels are words after which a number names a concern, folded to lower case. Not among them: what belongs to the
// person (customer number), who has several concerns.
var labels = []string{
	"vertrag", "vertrags", "police", "policen", "versicherungsschein", "versicherungs", "vs", "vsnr", "schaden", "schadens", "schadennr", "schadennummer", "leistungsfall", "aktenzeichen", "az", "vorgang",
	"vorgangs", "auftrag", "auftrags", "bestell", "bestellung", "bestellnummer", "rechnung", "rechnungs", "re", "antrag", "antrags", "angebot", "angebots", "ticket", "fall", "vertragsnummer", "vertragsnr",
	"policennummer", "versicherungsnummer", "schadensnummer", "rechnungsnummer", "auftragsnummer", "vorgangsnummer", "contract", "policy", "claim", "order", "case", "invoice", "quote", "reference", "ref", "file",
}

// persons are words after which a number names a person, an account or a place.
var persons = []string{
	"kunde", "kunden", "kundennummer", "kundennr", "telefon", "tel", "mobil", "handy", "fax", "phone", "mobile", "plz", "postfach", "iban", "bic", "blz", "konto", "kontonummer", "steuernummer", "steuer", "ust", "hrb",
	"customer", "account", "zip", "vat", "personalnummer", "mitgliedsnummer", "telefonnummer",
}

// Numbers finds the contract, claim and order numbers in a text: letters and digits, folded to capitals without
// separators. A number counts if a word before it says what it is ("Schaden-Nr. 2024/0815"), or if it has the shape of
// one ("KFZ-123456"). Dates, times, amounts, phone numbers and bank accounts are none.
func Numbers(text string) []string {
	var out []string
	label, since := "", 0 // the last word, and how many short words ago
	for i := 0; i < len(text) && len(out) < numbersMax; {
		c := text[i]
		if !word(c) && c != '+' {
			i++
			continue
		}
		j := i
		for j < len(text) && (word(text[j]) || (joins(text[j]) && j+1 < len(text) && word(text[j+1])) || (j == i && text[j] == '+')) {
			j++
		}
		// After a full stop or a colon within a token a new word begins ("Nr.4711", "Schaden:4711").
		token := text[i:j]
		i = j
		n, letters, digits := fold(token)
		lower := strings.ToLower(token)
		switch {
		case digits == 0: // a word
			w := strings.Trim(lower, "-./_#")
			if base, ok := labelOf(w); ok {
				label, since = base, 0
			} else if since++; since > 2 && !filler(w) {
				label = ""
			} else if filler(w) {
				since--
			}
			continue
		case strings.HasPrefix(token, "+"), digits < 4, looksLikeDate(token), amount(token):
			continue
		}
		own := ""
		if k := strings.IndexFunc(lower, unicode.IsDigit); k > 0 { // "Schaden-Nr.4711", "KFZ-4711"
			parts := strings.FieldsFunc(lower[:k], func(r rune) bool { return r < 0x80 && joins(byte(r)) })
			for _, part := range parts {
				if base, ok := labelOf(part); ok {
					own = base
				}
			}
			if own != "" || filler(parts[len(parts)-1]) {
				n, letters, digits = fold(token[k:])
			}
		}
		if len(n) > 24 || digits < 4 {
			continue
		}
		said := own
		if said == "" {
			said = label
		}
		if slices.Contains(persons, said) {
			continue
		}
		labelled := said != "" && len(n) >= 4
		shaped := letters >= 2 && letters <= 5 && digits >= 4 && len(n) <= 16 && shape(n) && !iban(n)
		if (labelled || shaped) && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func word(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func joins(c byte) bool { return c == '-' || c == '/' || c == '.' || c == '_' }

// filler words may stand between a label and its number.
func filler(w string) bool {
	switch w {
	case "nr", "nummer", "no", "number", "num", "n", "lautet", "ist", "is", "mit", "der", "die", "das", "the", "zu", "zum", "zur", "meine", "meiner", "mein", "meinem", "ihre", "ihrer", "my", "your", "our", "unser", "unsere", "id", "#", "":
		return true
	}
	return false
}

// labelOf gives the label that a word is: itself, or the part before "nr" and "nummer".
func labelOf(w string) (string, bool) {
	for _, end := range []string{"", "-nr", "-nummer", "nr", "nummer", "-no", "-number"} {
		base, ok := strings.CutSuffix(w, end)
		if !ok {
			continue
		}
		if slices.Contains(labels, base) || slices.Contains(persons, base) {
			return base, true
		}
	}
	return "", false
}

// fold gives a token's letters and digits as capitals, and how many there are of each.
func fold(token string) (n string, letters, digits int) {
	var b strings.Builder
	for _, r := range token {
		switch {
		case r >= '0' && r <= '9':
			digits++
			b.WriteRune(r)
		case unicode.IsLetter(r):
			letters++
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String(), letters, digits
}

// shape: letters first, then digits ("KFZ123456"), at most one letter at the end.
func shape(n string) bool {
	i := strings.IndexFunc(n, func(r rune) bool { return r >= '0' && r <= '9' })
	rest := strings.TrimRightFunc(n[max(i, 0):], func(r rune) bool { return r > '9' })
	return i > 0 && len(n)-i-len(rest) <= 2 && strings.IndexFunc(rest, func(r rune) bool { return r > '9' }) < 0
}

// iban: two letters and at least thirteen digits (ISO 13616).
func iban(n string) bool { return len(n) >= 15 && n[0] > '9' && n[1] > '9' && n[2] <= '9' }

func looksLikeDate(token string) bool {
	for _, sep := range []string{".", "-", "/"} {
		p := strings.Split(strings.Trim(token, sep), sep)
		if len(p) != 3 {
			continue
		}
		lens := fmt.Sprint(len(p[0]), len(p[1]), len(p[2]))
		if _, l, _ := fold(token); l == 0 && slices.Contains([]string{"2 2 4", "1 2 4", "2 1 4", "1 1 4", "4 2 2", "2 2 2", "1 2 2", "4 1 1"}, lens) {
			return true
		}
	}
	return false
}

// amount: thousands in threes ("1.234", "12.345.678").
func amount(token string) bool {
	p := strings.Split(token, ".")
	if len(p) < 2 || len(p[0]) > 3 {
		return false
	}
	for _, v := range p[1:] {
		if len(v) != 3 {
			return false
		}
	}
	_, letters, _ := fold(token)
	return letters == 0
}

// numbers are those of an inbound message: subject, text (what is quoted belongs to earlier messages) and file names.
func (in In) numbers() []string {
	text := in.Message.Text
	if q := in.Message.QuotedFrom; q > 0 && q < len(text) {
		text = text[:q]
	}
	if len(text) > 20_000 {
		text = text[:20_000]
	}
	out := Numbers(in.Message.Subject + "\n" + text)
	for _, f := range in.Files {
		for _, n := range Numbers(strings.TrimSuffix(f.Name, path.Ext(f.Name))) {
			if !slices.Contains(out, n) && len(out) < numbersMax {
				out = append(out, n)
			}
		}
	}
	return out
}

// sameNumber suggests the last active conversation that names one of the numbers. self is left out.
func sameNumber(ctx context.Context, q db.Querier, self string, numbers []string, now time.Time) (*Suggestion, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	list, args := db.In(4, numbers)
	rows, err := q.Query(ctx, `SELECT n.number, n.conversation FROM matter_number n JOIN conversation c ON c.org = n.org AND c.id = n.conversation
		WHERE n.org = $1 AND n.conversation <> $2 AND c.last_at > $3 AND c.joined_into = '' AND c.category = '' AND n.number IN `+list+` ORDER BY c.last_at DESC LIMIT 1`,
		append([]any{self, now.Add(-sameWithin).UnixMicro()}, args...)...)
	var s *Suggestion
	err = db.Each(rows, err, func() error {
		s = &Suggestion{Kind: "same_matter", Reason: "number"}
		return rows.Scan(&s.Number, &s.Conversation)
	})
	if err != nil {
		return nil, fmt.Errorf("look for the same number: %w", err)
	}
	return s, nil
}

func keepNumbers(ctx context.Context, tx *db.Tx, conversation string, numbers []string, now time.Time) error {
	for _, n := range numbers {
		_, err := tx.Exec(ctx, `INSERT INTO matter_number (org, number, conversation, at) VALUES ($1,$2,$3,$4) ON CONFLICT (org, number, conversation) DO NOTHING`, n, conversation, db.Micro(now))
		if err != nil {
			return fmt.Errorf("keep a number: %w", err)
		}
	}
	return nil
}

// NumbersOf lists the numbers that a conversation names, the last named first.
func NumbersOf(ctx context.Context, q db.Querier, conversation string) ([]string, error) {
	var out []string
	rows, err := q.Query(ctx, `SELECT number FROM matter_number WHERE org = $1 AND conversation = $2 ORDER BY at DESC, number LIMIT 20`, conversation)
	err = db.Each(rows, err, func() error {
		var n string
		err := rows.Scan(&n)
		out = append(out, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read numbers: %w", err)
	}
	return out, nil
}
