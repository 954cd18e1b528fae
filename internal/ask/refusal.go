package ask

import (
	"slices"
	"strings"
)

// refuses reports whether a text names an answer only to turn it down: "Freitag nein", "Montag ist mir zu früh", or praises
// with a complaint behind it. It is asked again then; nobody's appointment is made of a refusal.
func (a *Ask) refuses(text string, v Value, language string) bool {
	words := tokenise(text)
	words = slices.DeleteFunc(words, func(t token) bool { return t.kind == signToken })
	if len(words) < 2 {
		return false
	}
	has := func(list *phrases[bool]) bool {
		return slices.ContainsFunc(words, func(t token) bool { return list.has(t.s) })
	}
	switch a.Kind {
	case OneOf, ManyOf, Date, DateTime, Slot:
	case Rating:
		return a.Scale != "0-10" && v.Key == Delighting && len(words) > 3 && has(complaints)
	default:
		return false
	}
	said := func(toks []token) bool { // the answer's own words
		return strings.Contains(" "+fold(v.Show(*a, language))+" ", " "+joined(toks)+" ")
	}
	if last := words[len(words)-1:]; refusals.has(last[0].s) && !refusals.has(words[0].s) && !said(last) {
		return true
	}
	for i := range words {
		if _, n := tooMuch.at(words, i); n > 0 && !said(words[i:i+n]) {
			return true
		}
	}
	return (a.Kind == Date || a.Kind == DateTime) && has(everies)
}

var (
	refusals   = set(`nein|nö|nee|ne|nei|no|nope|not`)
	tooMuch    = set(`zu früh|zu spät|zu knapp|too early|too late|too soon`)
	everies    = set(`jeden|jede|jedes|every|each`)
	complaints = set(`wieder|gewartet|warten|wartezeit|leider|aber|again|waited|waiting|unfortunately|but`)
)
