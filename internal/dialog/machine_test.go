package dialog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

const everything = `
dialog: everything
title: {de: Alles, en: Everything}
languages: [de, en]
inputs: [{name: who, type: text, default: "jemand"}]
steps:
  - id: count
    set: {n: 0, half: "0.5", list: "[1, 2]"}
  - id: q
    ask:
      kind: number
      text: {de: "Zahl {{ n }}, {{ half }}?", en: "Number {{ n }}, {{ half }}?"}
      retry: {de: "Bitte eine Zahl.", en: "A number, please."}
    save: x
    unclear: unclear
    expired: gone
  - id: more
    set: {n: "n + 1", half: "half * 2.0"}
  - id: call
    call:
      url: "https://api.example.org/o/{{ who }}?x={{ x }}"
      headers: {X-Who: "{{ who }}"}
      body: {who: "who", x: "x", at: "now()", missing: "who"}
    save: body
    failed: failed
  - id: wait
    wait: {for: 2d}
    wrote: wrote
  - id: sub
    run: sub
    with: {given: "x"}
    out: {got: kept}
    save: outcome
  - id: told
    say: {de: "{{ got }}, {{ outcome }}, {{ answered(body) }}", en: "{{ got }}, {{ outcome }}, {{ answered(body) }}"}
    late: elsewhere
  - id: end
    end: {outcome: fine, close: true}
  - id: unclear
    hand: {unit: Zentrale, tag: unklar, note: {de: "Notiz zu {{ who }}", en: "Note on {{ who }}"}}
  - id: gone
    end: {outcome: gone}
  - id: failed
    say: {de: "Das ging nicht.", en: "That did not work."}
    next: wait
  - id: wrote
    hand: {}
`

const sub = `
dialog: sub
title: {de: Unter, en: Sub}
languages: [de, en]
inputs: [{name: given, type: number}]
outputs: [kept]
steps:
  - id: q
    ask: {kind: one_of, text: {de: "Was?", en: "What?"}, options: [{key: a, label: {de: "Äpfel", en: "Apples"}}, {key: b, label: {de: "Birnen", en: "Pears"}}]}
    save: kept
  - id: over
    end: {outcome: chosen}
`

func number5() *ask.Value { return &ask.Value{Number: "5"} }

// at walks to a step of "everything".
func at5(t *testing.T, m *Machine, step string) State {
	t.Helper()
	env := testEnv()
	s, _, err := m.Start("everything", map[string]any{"who": "A/B & {{ n }}\r\nX: y"}, env)
	if err != nil {
		t.Fatal(err)
	}
	for s.Frames[0].Step != step {
		var e Event
		switch s.Status {
		case Asking:
			e = Event{Answer: number5()}
		case Calling:
			e = Event{Call: &CallResult{Turn: s.Turn, OK: true, Value: map[string]any{"ok": true}}}
		case Waiting:
			env.Now = s.WakeAt
			e = Event{Woke: true}
		default:
			t.Fatalf("it never comes to %s: %+v", step, s)
		}
		s, _ = m.Next(through(t, s), e, env)
	}
	return through(t, s)
}

func TestMachineSteps(t *testing.T) {
	m := machine(t, everything, sub)
	env := testEnv()
	s, fx, err := m.Start("everything", map[string]any{"who": "A/B & {{ n }}\r\nX: y"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if got := fx[0].Say.Ask.Text.Get("de"); got != "Zahl 0, 0,5?" {
		t.Errorf("German: %q", got)
	}
	if got := fx[0].Say.Ask.Text.Get("en"); got != "Number 0, 0.5?" {
		t.Errorf("English: %q", got)
	}
	s, fx = m.Next(through(t, s), Event{Answer: number5()}, env)
	call := fx[0].Call
	if s.Status != Calling || call.URL != "https://api.example.org/o/A%2FB%20%26%20%7B%7B%20n%20%7D%7D%0D%0AX%3A%20y?x=5" || call.Method != "POST" || call.Tries != 3 || call.Timeout != 10*time.Second || call.Turn != s.Turn {
		t.Errorf("call: %+v", call)
	}
	if strings.ContainsAny(call.Headers["X-Who"], "\r\n") {
		t.Errorf("a customer's line break is in a header: %q", call.Headers["X-Who"])
	}
	var body map[string]any
	if err := json.Unmarshal(call.Body, &body); err != nil || body["x"] != 5.0 || body["at"] != "2026-11-23T09:00:00Z" {
		t.Errorf("body: %s %v", call.Body, err)
	}
	stale, none := m.Next(s, Event{Call: &CallResult{Turn: s.Turn - 1, OK: true}}, env)
	if len(none) != 0 || stale.Status != Calling {
		t.Error("an old call's answer counts")
	}
	failed, fx := m.Next(through(t, s), Event{Call: &CallResult{Turn: s.Turn, Error: "timeout"}}, env)
	if failed.Status != Waiting || len(fx) != 1 || fx[0].Say.Text.Get("de") != "Das ging nicht." {
		t.Errorf("a call that failed: %+v %+v", failed, fx)
	}
	if _, set := failed.Frames[0].Vars["body"]; set {
		t.Error("the body of a call that failed is set")
	}
	s, _ = m.Next(through(t, s), Event{Call: &CallResult{Turn: s.Turn, OK: true, Value: map[string]any{"ok": true, "n": 3}}}, env)
	if s.Status != Waiting || !s.WakeAt.Equal(monday.Add(48*time.Hour)) {
		t.Fatalf("wait: %+v", s)
	}
	if v := s.Frames[0].Vars["n"].Value; v != int64(1) {
		t.Errorf("n is %v (%T)", v, v)
	}
	if v := through(t, s).Frames[0].Vars["half"].Value; v != 1.0 {
		t.Errorf("half is %v (%T): a whole number that was a fraction stays one", v, v)
	}
	env.Now = s.WakeAt
	s, fx = m.Next(through(t, s), Event{Woke: true}, env)
	if s.Status != Asking || len(s.Frames) != 2 || s.Frames[1].Vars["given"].Value != 5.0 {
		t.Fatalf("sub-dialog: %+v %+v", s, fx)
	}
	s, fx = m.Next(through(t, s), Event{Answer: &ask.Value{Key: "b"}}, env)
	if s.Status != Ended || s.Outcome != "fine" || len(fx) != 2 || !fx[1].Close || fx[0].Late != "elsewhere" {
		t.Fatalf("end: %+v %+v", s, fx)
	}
	if got := fx[0].Say.Text.Get("de"); got != "Birnen, chosen, Ja" {
		t.Errorf("after the sub-dialog: %q", got)
	}
	if got := fx[0].Say.Text.Get("en"); got != "Pears, chosen, Yes" {
		t.Errorf("after the sub-dialog: %q", got)
	}
}

func TestMachineEvents(t *testing.T) {
	m := machine(t, everything, sub)
	env := testEnv()
	last := func(fx []Effect) *HandOut {
		if len(fx) == 0 {
			return nil
		}
		return fx[len(fx)-1].Hand
	}
	t.Run("a person from anywhere", func(t *testing.T) {
		for _, step := range []string{"q", "call", "wait"} {
			s, fx := m.Next(at5(t, m, step), Event{Person: true}, env)
			h := last(fx)
			if s.Status != Handed || h == nil || h.Why != "asked" || fx[0].Say == nil || !strings.Contains(h.Note, "Alles") || !strings.Contains(h.Note, "A/B & {{ n }}") {
				t.Errorf("%s: %+v %+v", step, s, h)
			}
			if step != "q" && !strings.Contains(h.Note, "Zahl") && !strings.Contains(h.Note, "x: 5") {
				t.Errorf("%s: what was said is not in the note: %q", step, h.Note)
			}
			if again, fx := m.Next(s, Event{Person: true}, env); len(fx) > 0 || again.Turn != s.Turn {
				t.Error("handed over twice")
			}
		}
		s := at5(t, m, "sub")
		s, fx := m.Next(s, Event{Person: true}, env)
		if h := last(fx); s.Status != Handed || !strings.Contains(h.Note, "Alles") || !strings.Contains(h.Note, "Unter") {
			t.Errorf("from a sub-dialog: %+v", h)
		}
	})
	t.Run("unclear", func(t *testing.T) {
		s, fx := m.Next(at5(t, m, "q"), Event{Unclear: &ask.Outcome{Problem: ask.Unclear}}, env)
		if s.Status != Asking || len(fx) != 1 || fx[0].Say.Again == "" || fx[0].Say.Ask == nil || fx[0].Say.Introduce != "" {
			t.Fatalf("first: %+v %+v", s, fx)
		}
		s, fx = m.Next(through(t, s), Event{Unclear: &ask.Outcome{Problem: ask.Unclear}}, env)
		if h := last(fx); s.Status != Handed || h.Unit != "Zentrale" || h.Tag != "unklar" || !strings.HasPrefix(h.Note, "Notiz zu A/B") || h.Why != "planned" {
			t.Errorf("second: %+v %+v", s, h)
		}
		s, _ = m.Next(at5(t, m, "sub"), Event{Unclear: &ask.Outcome{Problem: ask.Unclear}}, env)
		s, fx = m.Next(s, Event{Unclear: &ask.Outcome{Problem: ask.Unclear}}, env)
		if h := last(fx); s.Status != Handed || h.Why != "unclear" {
			t.Errorf("without a step for it: %+v", h)
		}
	})
	t.Run("an answer after one that was unclear", func(t *testing.T) {
		s, _ := m.Next(at5(t, m, "q"), Event{Unclear: &ask.Outcome{Problem: ask.Unclear}}, env)
		s, fx := m.Next(through(t, s), Event{Answer: number5()}, env)
		if s.Misses != 0 || s.Status != Calling || len(fx) != 1 {
			t.Errorf("%+v %+v", s, fx)
		}
	})
	t.Run("expired", func(t *testing.T) {
		s, fx := m.Next(at5(t, m, "q"), Event{Expired: true}, env)
		if s.Status != Ended || s.Outcome != "gone" || len(fx) != 0 {
			t.Errorf("%+v %+v", s, fx)
		}
		s, fx = m.Next(at5(t, m, "sub"), Event{Expired: true}, env)
		if h := last(fx); s.Status != Handed || h.Why != "expired" || fx[0].Say != nil {
			t.Errorf("without a step for it: %+v", fx)
		}
	})
	t.Run("wrote", func(t *testing.T) {
		s, fx := m.Next(at5(t, m, "wait"), Event{Wrote: true}, env)
		if h := last(fx); s.Status != Handed || h.Why != "planned" || !s.WakeAt.IsZero() {
			t.Errorf("%+v", fx)
		}
		if s, fx := m.Next(at5(t, m, "call"), Event{Wrote: true}, env); s.Status != Calling || len(fx) > 0 {
			t.Errorf("while it calls: %+v", fx)
		}
	})
	t.Run("events that do not fit", func(t *testing.T) {
		for _, step := range []string{"q", "call", "wait", "sub"} {
			s := at5(t, m, step)
			for i, e := range []Event{{}, {Woke: true}, {Call: &CallResult{Turn: 99}}} {
				if after, fx := m.Next(s, e, env); len(fx) > 0 || after.Turn != s.Turn {
					t.Errorf("%s, event %d: %+v", step, i, fx)
				}
			}
		}
	})
	t.Run("states of another version", func(t *testing.T) {
		for name, change := range map[string]func(*State){
			"no such step":     func(s *State) { s.Frames[0].Step = "weg" },
			"no such version":  func(s *State) { s.Frames[0].Version = 7 },
			"no such dialog":   func(s *State) { s.Frames[0].Dialog = "weg" },
			"no frames":        func(s *State) { s.Frames = nil },
			"another kind":     func(s *State) { s.Frames[0].Step = "count" },
			"no variables":     func(s *State) { s.Frames[0].Vars = nil; s.Frames[0].Step = "told" },
			"too many frames":  func(s *State) { s.Frames = slices.Repeat(s.Frames, 20) },
			"a strange status": func(s *State) { s.Frames[0].Step = "told" },
		} {
			s := at5(t, m, "q")
			change(&s)
			s, fx := m.Next(s, Event{Answer: number5()}, env)
			if h := last(fx); s.Status != Handed || h == nil || h.Why != "error" {
				t.Errorf("%s: %+v %+v", name, s, fx)
			}
		}
		s := at5(t, m, "q")
		s, fx := m.Next(s, Event{Answer: &ask.Value{Text: "keine Zahl"}}, env)
		if h := last(fx); s.Status != Handed || h.Why != "error" {
			t.Errorf("an answer of another kind: %+v", fx)
		}
	})
}

// An instance finishes on the version it began; a new one takes the newest.
func TestMachineVersions(t *testing.T) {
	old, fresh := mustLoad(t, pickup), mustLoad(t, strings.ReplaceAll(pickup, "Danke! Bis dann.", "Neu"))
	old.Version, fresh.Version = 1, 2
	m, _ := Compile([]*Program{fresh, old})
	in := map[string]any{"what": "Das Rad", "at": "2026-11-26T14:30:00+01:00"}
	s, _, err := m.Start("pickup", in, testEnv())
	if err != nil || s.Frames[0].Version != 2 {
		t.Fatalf("%+v %v", s, err)
	}
	yes := true
	s.Frames[0].Version = 1
	_, fx := m.Next(s, Event{Answer: &ask.Value{Yes: &yes}}, testEnv())
	if got := fx[0].Say.Text.Get("de"); got != "Danke! Bis dann." {
		t.Errorf("the old version says %q", got)
	}
}

func TestStartRefuses(t *testing.T) {
	m := machine(t, pickup)
	for want, in := range map[string]map[string]any{
		`the input "at" is missing`:        {"what": "x"},
		`"16:00" is no time`:               {"what": "x", "at": "16:00"},
		`is not of the type text`:          {"what": []any{1}, "at": "2026-11-26T14:30:00Z"},
		`did you mean "what"?`:             {"what": "x", "whta": "y", "at": "2026-11-26T14:30:00Z"},
		`the value is too large`:           {"what": strings.Repeat("x", 1<<20), "at": "2026-11-26T14:30:00Z"},
		`a value of type struct {} cannot`: {"what": struct{}{}, "at": "2026-11-26T14:30:00Z"},
	} {
		if _, _, err := m.Start("pickup", in, testEnv()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, _, err := m.Start("weg", nil, testEnv()); err == nil {
		t.Error("a dialog that is not there was started")
	}
}

// What the prover would have refused still ends with a person, and soon.
func TestMachineNeverLoops(t *testing.T) {
	m := machine(t, "dialog: loop\ntitle: {de: x}\nlanguages: [de]\nsteps:\n  - {id: a, set: {x: 1}}\n  - {id: b, set: {y: \"x\"}, next: a}\n")
	s, fx, err := m.Start("loop", nil, testEnv())
	if err != nil || s.Status != Handed || fx[len(fx)-1].Hand.Why != "error" {
		t.Errorf("%+v %+v %v", s, fx, err)
	}
	m = machine(t, "dialog: deep\ntitle: {de: x}\nlanguages: [de]\nsteps:\n  - {id: a, run: deep}\n")
	if s, _, err := m.Start("deep", nil, testEnv()); err != nil || s.Status != Handed {
		t.Errorf("%+v %v", s, err)
	}
	m = machine(t, "dialog: grow\ntitle: {de: x}\nlanguages: [de]\nsteps:\n  - {id: a, set: {x: \"'0123456789'\"}}\n  - {id: b, set: {x: \"x + x\"}, next: b}\n")
	if s, _, err := m.Start("grow", nil, testEnv()); err != nil || s.Status != Handed {
		t.Errorf("%+v %v", s, err)
	}
	m = machine(t, `{"dialog":"cost","title":{"de":"x"},"languages":["de"],"steps":[{"id":"a","set":{"l":"[1,2,3,4,5,6,7,8,9,10]"}},{"id":"b","set":{"x":"l.map(a, l.map(b, l.map(c, l.map(d, l.map(e, l.map(f, a+b+c+d+e+f))))))"}}]}`)
	if s, _, err := m.Start("cost", nil, testEnv()); err != nil || s.Status != Handed {
		t.Errorf("%+v %v", s, err)
	}
}

func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"{{ a }}":                          "A",
		"x {{ {'a': {'b': 1}}.size() }} y": "x 1 y",
		"{{ '}}' + \"{{\" }}":              "}}{{",
		"{{ '{{' }}":                       "{{",
		"}} {":                             "}} {",
		"{{a}}{{a}}":                       "AA",
	} {
		m := machine(t, fmt.Sprintf("dialog: t\ntitle: {de: x}\nlanguages: [de]\ninputs: [{name: a, type: text}]\nsteps:\n  - id: s\n    say: {de: %q}\n", text))
		_, fx, err := m.Start("t", map[string]any{"a": "A"}, testEnv())
		if err != nil || fx[0].Say.Text.Get("de") != want {
			t.Errorf("%s: %+v %v", text, fx, err)
		}
	}
}

// The machine's translations stay marked.
func TestMachineTranslationIsMarked(t *testing.T) {
	m := machine(t, "dialog: t\ntitle: {de: x, en: x}\nlanguages: [de, en]\ninputs: [{name: a, type: text}]\nsteps:\n  - id: s\n    say: {de: \"Hallo {{ a }}\", en: {text: \"Hello {{ a }}\", machine: true}}\n")
	_, fx, err := m.Start("t", map[string]any{"a": "A"}, testEnv())
	if err != nil || fx[0].Say.Text.Get("en") != "Hello A (machine translation)" || fx[0].Say.Text.Get("de") != "Hallo A" {
		t.Errorf("%+v %v", fx[0].Say, err)
	}
}

// FuzzNext: no state and no event makes the machine panic or stand still.
func FuzzNext(f *testing.F) {
	var list []*Program
	for _, text := range []string{pickup, everything, sub} {
		p, _ := Load("x", []byte(text))
		list = append(list, p)
	}
	list = append(list, Ready()...)
	m, bad := Compile(list[1:]) // pickup is there twice
	if len(bad) > 0 {
		f.Fatal(bad[0])
	}
	for _, p := range list[1:] {
		for _, s := range p.Steps {
			for _, status := range []Status{Asking, Waiting, Calling, ""} {
				b, _ := json.Marshal(State{Status: status, Turn: 3, Frames: []Frame{{Dialog: p.Key, Step: s.ID, Vars: map[string]Var{"x": {Value: int64(1)}}}}})
				f.Add(b, []byte(`{"Answer":{"yes":true,"key":"a","number":"5","at":"2026-11-26T14:30:00Z","text":"x"}}`))
				f.Add(b, []byte(`{"Call":{"Turn":3,"OK":true,"Value":{"a":[1]}}}`))
			}
		}
	}
	f.Add([]byte(`{"frames":[{"dialog":"everything","step":"told","vars":{"got":{"value":{"$time":"x"}}}}]}`), []byte(`{"Woke":true}`))
	f.Fuzz(func(t *testing.T, state, event []byte) {
		var s State
		var e Event
		if json.Unmarshal(state, &s) != nil || json.Unmarshal(event, &e) != nil {
			return
		}
		after, fx := m.Next(s, e, Env{Now: monday, Channel: channel.Kind("email")})
		if s.Over() && len(fx) > 0 {
			t.Fatal("something happens after the end")
		}
		if len(fx) > 0 || after.Turn != s.Turn {
			switch after.Status {
			case Asking, Waiting, Calling, Handed, Ended:
			default:
				t.Fatalf("it stands still: %+v", after)
			}
		}
		if _, err := json.Marshal(after); err != nil {
			t.Fatal(err)
		}
	})
}
