// Package dialog is in charge of self-service: programs of messages and questions as data (Program), the pure machine
// that runs them (Machine), the prover that there are no dead ends (Check), and the instances that survive restarts and
// changes of channel (Store). What a question looks like and what an answer means is package ask's.
package dialog

import (
	"strings"

	"github.com/rufweite/rufweite/internal/ask"
)

// Program is a dialog as its author wrote it. It is read from YAML or JSON (Load), held to schema.json, and versioned:
// a running instance finishes on the version it began.
type Program struct {
	Key       string     `json:"dialog" yaml:"dialog"`                         // [a-z][a-z0-9-]*, unique per organisation
	Title     ask.Texts  `json:"title" yaml:"title"`                           // as staff and customers see it
	Languages []string   `json:"languages" yaml:"languages"`                   // BCP 47; every text must be there in each
	Channels  []string   `json:"channels,omitempty" yaml:"channels,omitempty"` // kinds it runs on; none = every kind
	Inputs    []Variable `json:"inputs,omitempty" yaml:"inputs,omitempty"`     // given at the start
	Outputs   []string   `json:"outputs,omitempty" yaml:"outputs,omitempty"`   // variables that a calling dialog gets
	Start     []string   `json:"start,omitempty" yaml:"start,omitempty"`       // words by which a customer starts it ("Termin")
	Steps     []Step     `json:"steps" yaml:"steps"`
	Version   int64      `json:"version,omitempty" yaml:"-"`

	file   string
	places map[string]place // path ("steps.3.ask.text.de") → where it stands in file
}

// newestOf gives the newest version of each dialog, by key.
func newestOf(programs []*Program) map[string]*Program {
	out := map[string]*Program{}
	for _, p := range programs {
		if old := out[p.Key]; old == nil || old.Version < p.Version {
			out[p.Key] = p
		}
	}
	return out
}

// Variable is an input. Types are those of package ask's kinds, and "text" for anything else.
type Variable struct {
	Name    string    `json:"name" yaml:"name"` // [a-z][a-z0-9_]*
	Type    string    `json:"type" yaml:"type"` // text, number, yes_no, date, date_time, list
	Title   ask.Texts `json:"title,omitempty" yaml:"title,omitempty"`
	Default any       `json:"default,omitempty" yaml:"default,omitempty"` // none: it must be given
}

// Step is one step; exactly one of Say (alone), Ask (Say may stand before it), Branch, Set, Call, Wait, Hand, Dialog and
// End is set. After a step comes Next, or, where that is empty, the step below it in the file; after the last one the
// dialog ends with outcome "done".
//
// Texts may contain {{ expression }} in CEL over the variables; what is put in is never looked through again. A value
// is written as the customer's language does ("Donnerstag, 26. November, 14:30 Uhr").
type Step struct {
	ID   string    `json:"id" yaml:"id"` // [a-z][a-z0-9_-]*, unique in the dialog
	Say  ask.Texts `json:"say,omitempty" yaml:"say,omitempty"`
	Next string    `json:"next,omitempty" yaml:"next,omitempty"`

	Ask     *ask.Ask `json:"ask,omitempty" yaml:"ask,omitempty"`
	Save    string   `json:"save,omitempty" yaml:"save,omitempty"`       // the variable that gets the answer (ask), the body (call) or the outcome (run); ask: its name by default, then the step's id
	Expired string   `json:"expired,omitempty" yaml:"expired,omitempty"` // where it goes on when nobody answered; without it and without a default a person learns of it
	Unclear string   `json:"unclear,omitempty" yaml:"unclear,omitempty"` // after the second answer that was not understood; a person by default

	// Late says what becomes of a message (say, ask) when the medium lets nobody write freely any more, because the
	// customer's last message is too long ago (Capabilities.Window): "elsewhere" (on another of the customer's channels; a
	// person, if there is none) or "template:NAME" (in this approved template; elsewhere, where a medium has none).
	Late string `json:"late,omitempty" yaml:"late,omitempty"`

	Branch []Case            `json:"branch,omitempty" yaml:"branch,omitempty"`
	Set    map[string]string `json:"set,omitempty" yaml:"set,omitempty" cel:"true"` // variable → CEL, all of them over the values before
	Call   *Call             `json:"call,omitempty" yaml:"call,omitempty"`
	Failed string            `json:"failed,omitempty" yaml:"failed,omitempty"` // call: where it goes on when the call failed or timed out; required
	Wait   *Wait             `json:"wait,omitempty" yaml:"wait,omitempty"`
	Wrote  string            `json:"wrote,omitempty" yaml:"wrote,omitempty"` // wait: where it goes on when the customer writes meanwhile; a person by default
	Hand   *Hand             `json:"hand,omitempty" yaml:"hand,omitempty"`

	Dialog string            `json:"run,omitempty" yaml:"run,omitempty"`              // the key of a sub-dialog
	With   map[string]string `json:"with,omitempty" yaml:"with,omitempty" cel:"true"` // its inputs, as CEL
	Out    map[string]string `json:"out,omitempty" yaml:"out,omitempty"`              // our variable → its output

	End *End `json:"end,omitempty" yaml:"end,omitempty"`

	Line int `json:"-" yaml:"-"` // where it stands in the file, from 1 on; 0 = unknown
}

// Kind is the word of the file format that makes the step what it is: say, ask, branch, set, call, wait, hand, run or end;
// "" if there is none or more than one.
func (s *Step) Kind() string {
	kinds := s.kinds()
	if len(kinds) != 1 {
		return ""
	}
	return kinds[0]
}

func (s *Step) kinds() (out []string) {
	add := func(is bool, kind string) {
		if is {
			out = append(out, kind)
		}
	}
	add(s.Say != nil && s.Ask == nil, "say")
	add(s.Ask != nil, "ask")
	add(s.Branch != nil, "branch")
	add(s.Set != nil, "set")
	add(s.Call != nil, "call")
	add(s.Wait != nil, "wait")
	add(s.Hand != nil, "hand")
	add(s.Dialog != "", "run")
	add(s.End != nil, "end")
	return out
}

// variable is where an ask's answer goes.
func (s *Step) variable() string {
	switch {
	case s.Save != "":
		return s.Save
	case s.Ask != nil && s.Ask.Name != "":
		return s.Ask.Name
	default:
		return strings.ReplaceAll(s.ID, "-", "_")
	}
}

// Case is one way out of a branch: the first whose If is true is taken. The last one has no If and is always there.
type Case struct {
	If string `json:"if,omitempty" yaml:"if,omitempty" cel:"true"` // CEL, boolean
	To string `json:"to" yaml:"to"`
}

// Call is a webhook: an outbound HTTP request whose JSON answer goes into Step.Save.
type Call struct {
	URL     string            `json:"url" yaml:"url"`                           // https; may contain {{ … }} in path and query, never in the host
	Method  string            `json:"method,omitempty" yaml:"method,omitempty"` // GET, POST (default), PUT, PATCH, DELETE
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"`
	Body    map[string]string `json:"body,omitempty" yaml:"body,omitempty" cel:"true"` // field → CEL; sent as JSON
	Timeout ask.Duration      `json:"timeout,omitempty" yaml:"timeout,omitempty"`      // 10s by default, 30s at most
	Tries   int               `json:"tries,omitempty" yaml:"tries,omitempty"`          // 3 by default, 5 at most; the same Idempotency-Key each time
}

// Wait lets time pass. Exactly one of For, Until and Open is set.
type Wait struct {
	For   ask.Duration `json:"for,omitempty" yaml:"for,omitempty"`
	Until string       `json:"until,omitempty" yaml:"until,omitempty" cel:"true"` // CEL, a timestamp; what lies in the past goes on at once
	Open  bool         `json:"open,omitempty" yaml:"open,omitempty"`              // until the next business hour
	Most  ask.Duration `json:"most,omitempty" yaml:"most,omitempty"`              // with Until and Open: never longer; required
}

// Hand gives the conversation to a person, with everything said so far. The dialog ends there.
type Hand struct {
	Staff string    `json:"staff,omitempty" yaml:"staff,omitempty"` // "advisor" (the customer's own), an e-mail address of staff, or ""
	Unit  string    `json:"unit,omitempty" yaml:"unit,omitempty"`   // a unit's name
	Note  ask.Texts `json:"note,omitempty" yaml:"note,omitempty"`   // for staff, with {{ … }}
	Tag   string    `json:"tag,omitempty" yaml:"tag,omitempty"`
}

// End ends the dialog.
type End struct {
	Outcome string `json:"outcome,omitempty" yaml:"outcome,omitempty"` // "done" by default; counted in reports
	Close   bool   `json:"close,omitempty" yaml:"close,omitempty"`     // closes the conversation, if nobody else works in it
}
