package dialog

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
)

// Turn is what somebody who tries a dialog does. Exactly one field is set.
type Turn struct {
	Text   string `json:"text,omitempty"`
	Choice *int   `json:"choice,omitempty"` // the option's number, from 0 on
	Person bool   `json:"person,omitempty"`
	Wait   bool   `json:"wait,omitempty"` // lets time pass: a wait ends, a question expires
}

// Trial is how a dialog went that was tried out. Nothing was sent.
type Trial struct {
	Lines  []Line
	Status Status
	Step   string
	Vars   map[string]string // in words
}

// Line is one line of a trial: what the machine said (Say), what the customer said, or what happened.
type Line struct {
	From string // machine, customer, event
	Say  *ask.Say
	Text string
}

// Try lets a dialog run through some turns. Calls are answered with what calls holds for their step, an empty object
// otherwise. It is pure: the clock is env's, moved on by waits.
//
// offer gives the free times of a slot question.
func (m *Machine) Try(key string, inputs map[string]any, env Env, turns []Turn, calls map[string]any, offer func(ask.Ask) []ask.Option) (Trial, error) {
	var t Trial
	st, effects, err := m.Start(key, inputs, env)
	if err != nil {
		return t, err
	}
	var open *ask.Ask
	take := func(effects []Effect) {
		for _, e := range effects {
			switch {
			case e.Say != nil:
				if a := e.Say.Ask; a != nil && a.Kind == ask.Slot && len(a.Options) == 0 {
					say, filled := *e.Say, *a
					filled.Options = offer(filled)
					say.Ask = &filled
					e.Say = &say
				}
				t.Lines = append(t.Lines, Line{From: "machine", Say: e.Say})
				if e.Say.Ask != nil {
					open = e.Say.Ask
				}
			case e.Hand != nil:
				t.Lines = append(t.Lines, Line{From: "event", Text: "hand:" + e.Hand.Why})
			case e.Close:
				t.Lines = append(t.Lines, Line{From: "event", Text: "close"})
			case e.Call != nil:
				t.Lines = append(t.Lines, Line{From: "event", Text: "call:" + e.Call.Method + " " + e.Call.URL})
			}
		}
	}
	called := func() {
		for n := 0; st.Status == Calling && n < maxSilent; n++ {
			var v any = map[string]any{}
			if given, ok := calls[current(st)]; ok {
				v = given
			}
			var fx []Effect
			st, fx = m.Next(st, Event{Call: &CallResult{Turn: st.Turn, OK: true, Value: v}}, env)
			take(fx)
		}
	}
	step := func(e Event) {
		var fx []Effect
		st, fx = m.Next(st, e, env)
		take(fx)
		called()
	}
	take(effects)
	called()
	for n, turn := range turns {
		if st.Over() {
			break
		}
		switch {
		case turn.Person:
			t.Lines = append(t.Lines, Line{From: "customer", Text: "person"})
			step(Event{Person: true})
		case turn.Wait:
			switch st.Status {
			case Waiting:
				env.Now = later(env.Now, st.WakeAt)
				t.Lines = append(t.Lines, Line{From: "event", Text: "wait:" + env.Now.In(env.zone()).Format(time.RFC3339)})
				step(Event{Woke: true})
			case Asking:
				t.Lines = append(t.Lines, Line{From: "event", Text: "expired"})
				if open != nil && open.Default != nil {
					v := *open.Default
					v.Defaulted = true
					step(Event{Answer: &v})
				} else {
					step(Event{Expired: true})
				}
			}
		case turn.Choice != nil || turn.Text != "":
			if st.Status != Asking || open == nil {
				t.Lines = append(t.Lines, Line{From: "customer", Text: turn.Text})
				if ask.WantsPerson(turn.Text, env.Language) {
					step(Event{Person: true})
				} else {
					step(Event{Wrote: true})
				}
				break
			}
			r := ask.Reply{Text: turn.Text}
			if turn.Choice != nil {
				r = ask.Reply{Payload: ask.Payload(ask.SampleCode, *turn.Choice)}
			}
			out := ask.Resolve(*open, r, ask.Context{Now: env.Now, Zone: env.zone(), Language: env.Language, Code: ask.SampleCode})
			text := turn.Text
			if text == "" && out.Problem == "" {
				text = out.Value.Show(*open, cmp.Or(env.Language, "de"))
			}
			t.Lines = append(t.Lines, Line{From: "customer", Text: text})
			switch out.Problem {
			case "":
				step(Event{Answer: &out.Value})
			case ask.Person:
				step(Event{Person: true})
			case ask.NeedsPage: // on the page; here it counts as done
				v := sampleAnswer(*open)
				step(Event{Answer: &v})
			default:
				step(Event{Unclear: &out})
			}
		default:
			return t, fmt.Errorf("turn %d says nothing: give text, choice, person or wait", n+1)
		}
	}
	t.Status, t.Step, t.Vars = st.Status, current(st), map[string]string{}
	if len(st.Frames) > 0 {
		for name, v := range st.Frames[len(st.Frames)-1].Vars {
			t.Vars[name] = v.show(env.Language, env.zone())
		}
	}
	return t, nil
}

func current(s State) string {
	if len(s.Frames) == 0 {
		return ""
	}
	return s.Frames[len(s.Frames)-1].Step
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// sampleAnswer stands for what can be given on the answer page only.
func sampleAnswer(a ask.Ask) ask.Value {
	yes := true
	switch a.Kind {
	case ask.Signature:
		return ask.Value{Signed: "A. Muster"}
	case ask.Payment:
		return ask.Value{Yes: &yes}
	default:
		return ask.Value{Files: []string{strings.Repeat("0", 8)}}
	}
}
