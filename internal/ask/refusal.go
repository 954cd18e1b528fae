package ask

import (
	"slices"
	"strings"
	"unicode"
)

// refuses reports whether a text names an answer only to turn it down: "Freitag nein", "Montag ist mir zu früh", or praises
// with a complaint behind it. It is asked again then; nobody's appointment is made of a refusal.
func (a *Ask) refuses(text string, v Value, language string) bool {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	if len(words) < 2 {
		return false
	}
	switch a.Kind {
	case OneOf, ManyOf, Date, DateTime, Slot:
	case Rating:
		return a.Scale != "0-10" && v.Key == Delighting && len(words) > 3 && slices.ContainsFunc(words, func(w string) bool { return slices.Contains(complaints, w) })
	default:
		return false
	}
	said := func(w string) bool { // the answer's own words
		return strings.Contains(" "+strings.ToLower(v.Show(*a, language))+" ", w)
	}
	last := words[len(words)-1]
	if slices.Contains(refusals, last) && !slices.Contains(refusals, words[0]) && !said(last) {
		return true
	}
	for i := range len(words) - 1 {
		pair := words[i] + " " + words[i+1]
		if slices.Contains(tooMuch, pair) && !said(pair) {
			return true
		}
	}
	return (a.Kind == Date || a.Kind == DateTime) && slices.ContainsFunc(words, func(w string) bool { return slices.Contains(everies, w) })
}

var (
	refusals   = []string{"nein", "nö", "noe", "nee", "ne", "nei", "no", "nope", "not"}
	tooMuch    = []string{"zu früh", "zu frueh", "zu spät", "zu spaet", "zu knapp", "too early", "too late", "too soon"}
	everies    = []string{"jeden", "jede", "jedes", "every", "each"}
	complaints = []string{"wieder", "schon wieder", "gewartet", "warten", "wartezeit", "leider", "aber", "again", "waited", "waiting", "unfortunately", "but"}
)
