package dialog

import (
	"net/url"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/ask"
)

// story tells how a customer gets to a step.
func (c *checker) story(a *analysis, prev []back, step int, medium string) []string {
	out := c.begins(a)
	if medium != "" && len(out) > 0 {
		out[0] = strings.TrimSuffix(out[0], ".") + c.f(" on %s.", " über %s.", medium)
	}
	var way []back
	for i := step; prev[i].from >= 0 && len(way) <= len(prev); i = prev[i].from {
		way = append(way, prev[i])
	}
	slices.Reverse(way)
	for _, b := range way {
		out = append(out, c.leaves(a, b)...)
	}
	return append(out, c.arrives(a, step))
}

func (c *checker) begins(a *analysis) []string {
	if len(a.p.Start) > 0 {
		return []string{c.f("The customer writes %s.", "Der Kunde schreibt %s.", c.quote(a.p.Start[0]))}
	}
	return []string{c.f("The dialog %s begins.", "Der Dialog %s beginnt.", c.quote(c.words(a, a.p.Title)))}
}

// words is a text in the language of the findings, short.
func (c *checker) words(a *analysis, t ask.Texts) string {
	tag := "en"
	if c.tongue {
		tag = "de"
	}
	w, _ := t.In(tag)
	if w.Text == "" && a != nil {
		return a.p.Key
	}
	return clip(w.Text, 70)
}

func (c *checker) question1(a *analysis, s *Step) string {
	return c.f("Question %s", "Frage %s", c.quote(c.words(a, s.Ask.Text)))
}

// leaves tells of a step and how it is left.
func (c *checker) leaves(a *analysis, b back) []string {
	s := &a.p.Steps[b.from]
	switch {
	case s.Ask != nil:
		q := c.question1(a, s)
		switch b.e.what {
		case expires:
			return []string{q + c.f(": nobody answers for %s.", ": %s lang antwortet niemand.", c.span(expiry(s.Ask)))}
		case misses:
			return []string{q + c.f(": two answers are not understood.", ": zwei Antworten werden nicht verstanden.")}
		}
		if s.Ask.Default != nil {
			return []string{q + c.f(": the customer answers, or nobody does for %s and the default counts.", ": der Kunde antwortet, oder %s lang niemand und die Vorgabe zählt.", c.span(expiry(s.Ask)))}
		}
		if s.Ask.Optional {
			return []string{q + c.f(": the customer answers, or leaves it out.", ": der Kunde antwortet oder lässt es aus.")}
		}
		return []string{q + c.f(": the customer answers.", ": der Kunde antwortet.")}
	case s.Say != nil:
		return []string{c.f("The assistant says: %s", "Der Assistent sagt: %s", c.quote(c.words(a, s.Say)))}
	case s.Branch != nil:
		if b.e.label == "" {
			return []string{c.f("At %s none of the conditions is true.", "Bei %s stimmt keine der Bedingungen.", c.quote(s.ID))}
		}
		return []string{c.f("At %s it is true that %s.", "Bei %s stimmt: %s.", c.quote(s.ID), clip(b.e.label, 80))}
	case s.Set != nil:
		var sets []string
		for _, name := range sorted(s.Set) {
			sets = append(sets, name+" = "+clip(s.Set[name], 40))
		}
		return []string{c.f("It notes: %s.", "Es wird notiert: %s.", strings.Join(sets, ", "))}
	case s.Call != nil:
		host := clip(s.Call.URL, 60)
		if u, err := url.Parse(s.Call.URL); err == nil && u.Host != "" {
			host = u.Host
		}
		if b.e.what == fails {
			return []string{c.f("%s does not answer, or with an error.", "%s antwortet nicht, oder mit einem Fehler.", host)}
		}
		return []string{c.f("%s answers.", "%s antwortet.", host)}
	case s.Wait != nil:
		if b.e.what == writes {
			return []string{c.f("While it waits, the customer writes.", "Während gewartet wird, schreibt der Kunde.")}
		}
		switch w := s.Wait; {
		case w.Open:
			return []string{c.f("The next business hour comes (after %s at most).", "Die nächste Geschäftszeit kommt (nach höchstens %s).", c.span(w.Most.Std()))}
		case w.Until != "":
			return []string{c.f("Time passes until %s (%s at most).", "Zeit vergeht bis %s (höchstens %s).", clip(w.Until, 60), c.span(w.Most.Std()))}
		default:
			return []string{c.f("%s pass.", "%s vergehen.", c.span(w.For.Std()))}
		}
	case s.Dialog != "":
		return []string{c.f("The dialog %s runs.", "Der Dialog %s läuft.", c.quote(s.Dialog))}
	}
	return nil
}

// arrives tells of the step that the story is about.
func (c *checker) arrives(a *analysis, i int) string {
	s := &a.p.Steps[i]
	switch {
	case s.Ask != nil:
		return c.question1(a, s) + "."
	case s.Say != nil:
		return c.f("The assistant says: %s", "Der Assistent sagt: %s", c.quote(c.words(a, s.Say)))
	}
	return c.f("Step %s (%s).", "Schritt %s (%s).", c.quote(s.ID), s.Kind())
}
