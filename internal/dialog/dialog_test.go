package dialog

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
)

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func testEnv() Env {
	return Env{Now: monday, Language: "de", Company: "Autohaus Muster", Customer: map[string]string{"name": "Frau Vogt"}, Channel: "email"}
}

func mustLoad(t testing.TB, text string) *Program {
	t.Helper()
	p, findings := Load("test.yaml", []byte(text))
	for _, f := range findings {
		t.Errorf("%s", f)
	}
	if p == nil {
		t.FailNow()
	}
	return p
}

func machine(t testing.TB, texts ...string) *Machine {
	t.Helper()
	var list []*Program
	for _, s := range texts {
		list = append(list, mustLoad(t, s))
	}
	m, findings := Compile(list)
	for _, f := range findings {
		t.Errorf("%s", f)
	}
	return m
}

// through stores the state and reads it again, as the shell does at every turn.
func through(t testing.TB, s State) State {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out State
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

const pickup = `
dialog: pickup
title: {de: Abholung, en: Pick-up}
languages: [de, en]
inputs:
  - {name: what, type: text}
  - {name: at, type: date_time}
steps:
  - id: confirm
    ask:
      kind: yes_no
      name: fits
      text:
        de: "{{ what }} kann {{ at }} abgeholt werden. Passt das?"
        en: "{{ what }} can be picked up {{ at }}. Does that suit you?"
  - id: which
    branch:
      - {if: fits, to: thanks}
      - {to: person}
  - id: thanks
    say: {de: "Danke! Bis dann.", en: "Thank you. See you then."}
  - id: over
    end: {outcome: confirmed}
  - id: person
    hand: {note: {de: "Anderer Termin gewünscht", en: "Wants another time"}}
`

func TestMachineRunsADialog(t *testing.T) {
	m := machine(t, pickup)
	s, effects, err := m.Start("pickup", map[string]any{"what": "Ihr Auto {{ now() }}", "at": "2026-11-26T14:30:00+01:00"}, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	if len(effects) != 1 || effects[0].Say == nil || effects[0].Say.Ask == nil {
		t.Fatalf("effects: %+v", effects)
	}
	say := effects[0].Say
	if !say.Person || say.Introduce != "Autohaus Muster" {
		t.Errorf("the first message does not say what speaks, or how to reach a person: %+v", say)
	}
	t.Log(say.Ask.Text.Get("de"))
	yes := true
	s, effects = m.Next(through(t, s), Event{Answer: &ask.Value{Yes: &yes}}, testEnv())
	if s.Status != Ended || s.Outcome != "confirmed" || len(effects) != 1 || effects[0].Say.Introduce != "" {
		t.Errorf("after yes: %+v %+v", s, effects)
	}
}
