package dialog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

// Bounds of a running instance.
const (
	maxSilent = 200 // steps without a question, a wait or a call
	maxFrames = 8   // dialogs that run in each other
	maxState  = 256 << 10
)

// State is where an instance stands: everything it needs to go on, as data. Its JSON is what is stored.
type State struct {
	Frames     []Frame   `json:"frames"` // the last one runs; the ones before it called it
	Status     Status    `json:"status"`
	Turn       int64     `json:"turn"`             // counts what was done; part of idempotency keys
	Misses     int       `json:"misses,omitempty"` // answers in a row that were not understood
	WakeAt     time.Time `json:"wake_at,omitzero"`
	Introduced bool      `json:"introduced,omitempty"` // the machine has said what it is
	Outcome    string    `json:"outcome,omitempty"`
}

// Over reports whether nothing more will happen in this instance.
func (s State) Over() bool { return s.Status == Handed || s.Status == Ended }

// Frame is one running dialog.
type Frame struct {
	Dialog  string         `json:"dialog"`
	Version int64          `json:"version"`
	Step    string         `json:"step"`
	Vars    map[string]Var `json:"vars"`
}

// Status is what an instance waits for.
type Status string

// Statuses of instances.
const (
	Asking  Status = "asking"  // for an answer
	Waiting Status = "waiting" // for a time
	Calling Status = "calling" // for a webhook's answer
	Handed  Status = "handed"  // a person has it; over
	Ended   Status = "ended"   // over
)

// Effect is what the shell has to do after a step of the machine. Exactly one of Say, Call, Hand and Close is set.
type Effect struct {
	Say   *ask.Say // to be sent; with Ask: a question to be put
	Late  string   // with Say: what becomes of it when the medium's window is closed, see Step.Late
	Call  *CallOut // to be made; its result comes back as CallEvent
	Hand  *HandOut
	Close bool // close the conversation
}

// CallOut is an outbound call with everything filled in.
type CallOut struct {
	URL, Method string
	Headers     map[string]string
	Body        []byte // JSON; nil = none
	Timeout     time.Duration
	Tries       int
	Turn        int64 // State.Turn: part of the Idempotency-Key
}

// HandOut is a hand-over to a person.
type HandOut struct {
	Staff, Unit, Tag string
	Note             string // for staff: the author's words, then the dialog's title and what was answered so far
	Why              string // asked (the customer wanted a person), unclear, expired, wrote, planned, error
}

// Event is what happens to an instance. Exactly one field is set.
type Event struct {
	Answer  *ask.Value // the open question was answered
	Unclear *ask.Outcome
	Person  bool // the customer wants a person
	Wrote   bool // the customer wrote while nothing was asked
	Expired bool // the open question expired without a default
	Woke    bool // WakeAt has come; too early it changes nothing
	Call    *CallResult
}

// CallResult is a webhook's answer.
type CallResult struct {
	Turn  int64
	OK    bool
	Value any // decoded JSON
	Error string
}

// Env is the world of one step of the machine.
type Env struct {
	Now      time.Time
	Zone     *time.Location // nil = Europe/Berlin
	Language string         // of the customer, BCP 47; "" = the program's first
	Staff    string         // language of notes for staff; "" = German
	Company  string         // the organisation's name, as customers know it
	Customer map[string]string
	Advisor  string // the name of the customer's own advisor; "" = none
	Channel  channel.Kind
	Medium   channel.Capabilities // what Channel can carry
	// Open gives the next moment within business hours from a time on; nil = always open.
	Open func(time.Time) time.Time
}

var berlin = func() *time.Location {
	if l, err := time.LoadLocation("Europe/Berlin"); err == nil {
		return l
	}
	return time.UTC
}()

func (e *Env) zone() *time.Location {
	if e.Zone == nil {
		return berlin
	}
	return e.Zone
}

// Machine runs programs. It is pure and safe for concurrent use.
type Machine struct {
	programs map[string]map[int64]*compiled
	newest   map[string]*compiled
}

// Compile makes a machine of programs, which may be there in several versions. What does not compile is left out and
// found; whether the rest has dead ends is told by Check.
func Compile(programs []*Program) (*Machine, []Finding) { return CompileIn("en", programs) }

// CompileIn is Compile with findings in a language.
func CompileIn(language string, programs []*Program) (*Machine, []Finding) {
	t := speak(language)
	newest := newestOf(programs)
	m := &Machine{programs: map[string]map[int64]*compiled{}, newest: map[string]*compiled{}}
	var findings []Finding
	ty := newTyper(func(key string) *Program { return newest[key] })
	for _, p := range programs {
		n := len(findings)
		c, _ := compileProgram(p, ty, func(s site, err *expressionError) {
			findings = append(findings, t.expressionFinding(p, ty, s, err))
		})
		if len(p.Steps) == 0 {
			findings = append(findings, p.finding("structure", -1, "", t.f("there are no steps", "es gibt keine Schritte"), t.f("add steps", "fügen Sie Schritte hinzu")))
		}
		if len(findings) > n {
			continue
		}
		if m.programs[p.Key] == nil {
			m.programs[p.Key] = map[int64]*compiled{}
		}
		m.programs[p.Key][p.Version] = c
		if p == newest[p.Key] {
			m.newest[p.Key] = c
		}
	}
	return m, findings
}

// expressionFinding says what is wrong with an expression, at its place in the file.
func (t tongue) expressionFinding(p *Program, ty *typer, s site, err *expressionError) Finding {
	f := p.finding("expression", s.step, s.path, t.f("the expression %s is wrong: %s", "der Ausdruck %s ist falsch: %s", t.quote(clip(s.text, 60)), err.message), t.f("see the reference of expressions in docs/handbook-dialogs.md", "siehe die Übersicht der Ausdrücke in docs/handbook-dialogs.md"))
	f.Language = s.language
	switch {
	case err.unknown != "":
		f.Rule = "variable"
		f.Message = t.f("%s uses %s, which nothing sets", "%s benutzt %s, was nirgends gesetzt wird", t.quote(clip(s.text, 60)), t.quote(err.unknown))
		vars, _ := typesOf(p, ty, nil)
		names := sorted(vars)
		for name := range builtins {
			names = append(names, name)
		}
		sort.Strings(names)
		f.Remedy = t.didYouMean(err.unknown, names) + " " + t.f("(a text in an expression stands in quotes: '%s')", "(ein Text in einem Ausdruck steht in Anführungszeichen: '%s')", err.unknown)
	case strings.Contains(err.message, "no matching overload"):
		f.Remedy = t.f("the types do not go together: int(x), double(x), string(x), timestamp(x) change them", "die Typen passen nicht zusammen: int(x), double(x), string(x), timestamp(x) wandeln um")
	case strings.Contains(err.message, "not closed"):
		f.Rule = "syntax"
		f.Message = t.f("%s: {{ is not closed by }}", "%s: {{ ist nicht mit }} geschlossen", t.quote(clip(s.text, 60)))
		f.Remedy = t.f("write {{ name }}; two braces as text are {{ '{{' }}", "schreiben Sie {{ name }}; zwei Klammern als Text sind {{ '{{' }}")
	}
	return f
}

// ErrUnknown means that there is no such dialog.
var ErrUnknown = errors.New("there is no such dialog")

// Start begins a dialog in its newest version.
func (m *Machine) Start(key string, inputs map[string]any, env Env) (State, []Effect, error) {
	c := m.newest[key]
	if c == nil {
		return State{}, nil, fmt.Errorf("start %q: %w", key, ErrUnknown)
	}
	vars, err := c.inputs(inputs, env.zone())
	if err != nil {
		return State{}, nil, fmt.Errorf("start %q: %w", key, err)
	}
	r := &run{m: m, env: &env, s: State{Turn: 1, Frames: []Frame{{Dialog: key, Version: c.Version, Step: c.Steps[0].ID, Vars: vars}}}}
	r.run()
	return r.s, r.effects, nil
}

// inputs checks what a dialog is started with.
func (c *compiled) inputs(given map[string]any, zone *time.Location) (map[string]Var, error) {
	vars := make(map[string]Var, len(given))
	known := map[string]bool{}
	for _, in := range c.Inputs {
		known[in.Name] = true
		v, ok := given[in.Name]
		if !ok || v == nil {
			if in.Default == nil {
				return nil, fmt.Errorf("the input %q is missing (%s)", in.Name, in.Type)
			}
			v = in.Default
		}
		if x, is := v.(Var); is { // from a calling dialog: the answer with its words
			if x.Value == nil {
				return nil, fmt.Errorf("the input %q was left out", in.Name)
			}
			y, err := convert(x.Value, in.Type, zone)
			if err != nil {
				return nil, fmt.Errorf("the input %q: %w", in.Name, err)
			}
			x.Value = y
			vars[in.Name] = x
			continue
		}
		left := maxValue
		x, err := foreign(v, &left, 0)
		if err == nil {
			x, err = convert(x, in.Type, zone)
		}
		if err != nil {
			return nil, fmt.Errorf("the input %q: %w", in.Name, err)
		}
		out := Var{Value: x}
		if d, is := x.(time.Time); is && in.Type == "date" {
			out.Answer, out.Kind = &ask.Value{Date: d.Format("2006-01-02")}, ask.Date
		}
		vars[in.Name] = out
	}
	for _, name := range sorted(given) {
		if !known[name] {
			return nil, fmt.Errorf("%q is no input of this dialog; %s", name, tongue(false).didYouMean(name, sorted(known)))
		}
	}
	return vars, nil
}

// convert makes a value of an input's type.
func convert(v any, typ string, zone *time.Location) (any, error) {
	switch x := v.(type) {
	case bool:
		if typ == "yes_no" {
			return x, nil
		}
	case int64:
		if typ == "number" {
			return float64(x), nil
		}
		if typ == "text" {
			return plainText(x), nil
		}
	case float64:
		if typ == "number" {
			return x, nil
		}
	case string:
		switch typ {
		case "text":
			return x, nil
		case "date":
			if t, err := time.ParseInLocation("2006-01-02", x, zone); err == nil {
				return t, nil
			}
			return nil, fmt.Errorf("%q is no date; write for example 2026-11-26", clip(x, 40))
		case "date_time":
			for _, layout := range []string{time.RFC3339, "2006-01-02T15:04"} {
				if t, err := time.ParseInLocation(layout, x, zone); err == nil {
					return t, nil
				}
			}
			return nil, fmt.Errorf("%q is no time; write for example 2026-11-26T14:30:00+01:00", clip(x, 40))
		}
	case time.Time:
		if typ == "date" || typ == "date_time" {
			return x, nil
		}
	case []any:
		if typ == "list" {
			return x, nil
		}
	}
	return nil, fmt.Errorf("%v is not of the type %s", clip(fmt.Sprint(v), 40), typ)
}

// Next goes on after an event. An event that does not fit the state changes nothing and gives no effects: the shell may
// deliver one twice or too late. It never panics and never loops: what cannot go on ends with a person.
func (m *Machine) Next(s State, e Event, env Env) (State, []Effect) {
	if s.Over() {
		return s, nil
	}
	r := &run{m: m, env: &env, s: s.clone()}
	if !r.event(e) {
		return s, nil
	}
	return r.s, r.effects
}

func (s State) clone() State {
	s.Frames = slices.Clone(s.Frames)
	for i := range s.Frames {
		vars := make(map[string]Var, len(s.Frames[i].Vars)+1)
		for k, v := range s.Frames[i].Vars {
			vars[k] = v
		}
		s.Frames[i].Vars = vars
	}
	return s
}

// run is one turn of the machine.
type run struct {
	m       *Machine
	env     *Env
	s       State
	effects []Effect
}

// event takes the event in; false if it changes nothing.
func (r *run) event(e Event) bool {
	turn := r.s.Turn
	r.s.Turn++
	switch {
	case e.Person:
		r.hand(HandOut{Why: "asked"}, true)
		return true
	case e.Answer != nil:
		switch r.s.Status {
		case Asking:
			r.answer(*e.Answer)
		case Waiting:
			r.wrote()
		default:
			return false
		}
	case e.Unclear != nil:
		switch r.s.Status {
		case Asking:
			r.unclear(*e.Unclear)
		case Waiting:
			r.wrote()
		default:
			return false
		}
	case e.Expired:
		if r.s.Status != Asking {
			return false
		}
		_, step := r.here()
		if step == nil {
			return true
		}
		r.s.Misses = 0
		if step.Expired == "" {
			r.hand(HandOut{Why: "expired"}, false)
			return true
		}
		delete(r.top().Vars, step.variable())
		r.top().Step = step.Expired
	case e.Wrote:
		if r.s.Status != Waiting {
			return false // a call's answer comes in seconds, and what was written stands in the conversation
		}
		r.wrote()
	case e.Woke:
		if r.s.Status != Waiting || r.env.Now.Before(r.s.WakeAt) {
			return false
		}
		r.s.WakeAt = time.Time{}
		if c, step := r.here(); step != nil {
			r.advance(c)
		}
	case e.Call != nil:
		if r.s.Status != Calling || e.Call.Turn != turn {
			return false
		}
		r.called(*e.Call)
	default:
		return false
	}
	if !r.s.Over() {
		r.run()
	}
	return true
}

func (r *run) top() *Frame { return &r.s.Frames[len(r.s.Frames)-1] }

// here finds the step where the instance stands. If there is none (a state of another version, a damaged one), a person
// gets it and step is nil.
func (r *run) here() (*compiled, *Step) {
	if len(r.s.Frames) == 0 || len(r.s.Frames) > maxFrames {
		r.broken()
		return nil, nil
	}
	f := r.top()
	if f.Vars == nil {
		f.Vars = map[string]Var{}
	}
	c := r.m.programs[f.Dialog][f.Version]
	if c == nil {
		r.broken()
		return nil, nil
	}
	i, ok := c.byID[f.Step]
	if !ok {
		r.broken()
		return nil, nil
	}
	return c, &c.Steps[i]
}

func (r *run) broken() { r.hand(HandOut{Why: "error"}, true) }

// advance goes to what comes after the current step; at the end of a dialog back to its caller.
func (r *run) advance(c *compiled) {
	i, ok := c.byID[r.top().Step]
	if !ok {
		r.broken()
		return
	}
	if id := c.next(i); id != "" {
		r.top().Step = id
		return
	}
	r.end(c, &End{})
}

// end ends the running dialog; with a caller it goes on there.
func (r *run) end(c *compiled, e *End) {
	outcome := e.Outcome
	if outcome == "" {
		outcome = "done"
	}
	if len(r.s.Frames) == 1 {
		r.s.Status, r.s.Outcome = Ended, outcome
		if e.Close {
			r.effects = append(r.effects, Effect{Close: true})
		}
		return
	}
	done := *r.top()
	r.s.Frames = r.s.Frames[:len(r.s.Frames)-1]
	caller, step := r.here()
	if step == nil {
		return
	}
	if step.Dialog != done.Dialog {
		r.broken()
		return
	}
	for _, name := range sorted(step.Out) {
		v, ok := done.Vars[step.Out[name]]
		if !ok || !slices.Contains(c.Outputs, step.Out[name]) {
			delete(r.top().Vars, name)
			continue
		}
		r.top().Vars[name] = v
	}
	if step.Save != "" {
		r.top().Vars[step.Save] = Var{Value: outcome}
	}
	r.advance(caller)
}

func (r *run) answer(v ask.Value) {
	c, step := r.here()
	if step == nil {
		return
	}
	if step.Ask == nil {
		r.broken()
		return
	}
	x, ok := valueOf(step.Ask, v, r.env.zone())
	if !ok {
		r.broken()
		return
	}
	r.s.Misses = 0
	a, err := r.ask(c, step)
	if err != nil {
		r.broken()
		return
	}
	out := Var{Value: x, Answer: &v, Kind: a.Kind, Shown: map[string]string{}}
	for _, tag := range c.Languages {
		out.Shown[tag] = showAnswer(a, v, tag, r.env.zone())
	}
	r.top().Vars[step.variable()] = out
	r.advance(c)
}

func (r *run) unclear(o ask.Outcome) {
	c, step := r.here()
	if step == nil {
		return
	}
	if step.Ask == nil {
		r.broken()
		return
	}
	if o.Problem == ask.Person {
		r.hand(HandOut{Why: "asked"}, true)
		return
	}
	if r.s.Misses++; r.s.Misses == 1 {
		a, err := r.ask(c, step)
		if err != nil {
			r.broken()
			return
		}
		r.say(ask.Say{Ask: a, Again: ask.ReAsk(*a, o, r.language(c))}, step.Late)
		return
	}
	r.s.Misses = 0
	if step.Unclear == "" {
		r.hand(HandOut{Why: "unclear"}, true)
		return
	}
	r.top().Step = step.Unclear
	r.s.Status = ""
}

func (r *run) wrote() {
	_, step := r.here()
	if step == nil {
		return
	}
	r.s.WakeAt = time.Time{}
	if step.Wrote == "" {
		r.hand(HandOut{Why: "wrote"}, true)
		return
	}
	r.top().Step = step.Wrote
	r.s.Status = ""
}

func (r *run) called(res CallResult) {
	c, step := r.here()
	if step == nil {
		return
	}
	if step.Call == nil {
		r.broken()
		return
	}
	r.s.Status = ""
	if res.OK {
		left := maxValue
		v, err := foreign(res.Value, &left, 0)
		if err == nil {
			if step.Save != "" {
				r.top().Vars[step.Save] = Var{Value: v}
			}
			r.advance(c)
			return
		}
	}
	if step.Failed == "" {
		r.broken()
		return
	}
	if step.Save != "" {
		delete(r.top().Vars, step.Save)
	}
	r.top().Step = step.Failed
}

// run executes steps until the instance asks, waits, calls, is handed over or ends.
func (r *run) run() {
	if r.s.Status == Asking && r.s.Misses > 0 {
		return // asked again
	}
	r.s.Status = ""
	for n := 0; r.s.Status == ""; n++ {
		if n >= maxSilent {
			r.broken()
			return
		}
		c, step := r.here()
		if step == nil {
			return
		}
		if err := r.step(c, step); err != nil {
			r.broken()
			return
		}
	}
	if r.s.Over() {
		return
	}
	size := 0
	for i := range r.s.Frames {
		for _, v := range r.s.Frames[i].Vars {
			size += sizeOf(v.Value)
			for _, s := range v.Shown {
				size += len(s)
			}
		}
	}
	if size > maxState {
		r.effects = slices.DeleteFunc(r.effects, func(e Effect) bool { return e.Call != nil || (e.Say != nil && e.Say.Ask != nil) })
		r.broken()
	}
}

func sizeOf(v any) int {
	n := 16
	switch x := v.(type) {
	case string:
		n += len(x)
	case []any:
		for _, e := range x {
			n += sizeOf(e)
		}
	case map[string]any:
		for k, e := range x {
			n += len(k) + sizeOf(e)
		}
	}
	return n
}

func (r *run) step(c *compiled, s *Step) error {
	f := r.top()
	sc := &scope{f.Vars, r.env, r.language(c)}
	switch s.Kind() {
	case "say":
		text, err := r.fill(c, s.Say)
		if err != nil {
			return err
		}
		r.say(ask.Say{Text: text}, s.Late)
		r.advance(c)
	case "ask":
		text, err := r.fill(c, s.Say)
		if err != nil {
			return err
		}
		a, err := r.ask(c, s)
		if err != nil {
			return err
		}
		r.say(ask.Say{Text: text, Ask: a}, s.Late)
		r.s.Status, r.s.Misses = Asking, 0
	case "branch":
		for _, way := range s.Branch {
			if way.If != "" {
				v, err := c.exprs[way.If].eval(sc)
				if err != nil {
					return err
				}
				is, ok := v.(bool)
				if !ok {
					return fmt.Errorf("%s is not true or false", way.If)
				}
				if !is {
					continue
				}
			}
			f.Step = way.To
			return nil
		}
		return errors.New("no way out of the branch")
	case "set":
		values := map[string]Var{}
		for _, name := range sorted(s.Set) {
			v, err := r.value(c.exprs[s.Set[name]], sc)
			if err != nil {
				return err
			}
			values[name] = v
		}
		for name, v := range values {
			f.Vars[name] = v
		}
		r.advance(c)
	case "call":
		call, err := r.call(c, s.Call, sc)
		if err != nil {
			return err
		}
		r.effects = append(r.effects, Effect{Call: call})
		r.s.Status = Calling
	case "wait":
		until, err := r.until(c, s.Wait, sc)
		if err != nil {
			return err
		}
		if !until.After(r.env.Now) {
			r.advance(c)
			return nil
		}
		r.s.Status, r.s.WakeAt = Waiting, until
	case "hand":
		note := ""
		if s.Hand.Note != nil {
			t, err := r.fill(c, s.Hand.Note)
			if err != nil {
				return err
			}
			note = t.Get(r.staff())
		}
		r.hand(HandOut{Staff: s.Hand.Staff, Unit: s.Hand.Unit, Tag: s.Hand.Tag, Note: note, Why: "planned"}, false)
	case "run":
		sub := r.m.newest[s.Dialog]
		if sub == nil || len(r.s.Frames) >= maxFrames {
			return fmt.Errorf("run %s: %w", s.Dialog, ErrUnknown)
		}
		given := map[string]any{}
		for _, name := range sorted(s.With) {
			v, err := r.value(c.exprs[s.With[name]], sc)
			if err != nil {
				return err
			}
			given[name] = v
		}
		vars, err := sub.inputs(given, r.env.zone())
		if err != nil {
			return err
		}
		r.s.Frames = append(r.s.Frames, Frame{Dialog: s.Dialog, Version: sub.Version, Step: sub.Steps[0].ID, Vars: vars})
	case "end":
		r.end(c, s.End)
	default:
		return fmt.Errorf("step %q does nothing", s.ID)
	}
	return nil
}

// value works an expression out; a variable alone is taken over as it is, with the words of its answer.
func (r *run) value(x *expression, sc *scope) (Var, error) {
	if v, ok := sc.vars[x.bare]; x.bare != "" && ok {
		return v, nil
	}
	v, err := x.eval(sc)
	return Var{Value: v}, err
}

func (r *run) language(c *compiled) string {
	if r.env.Language != "" {
		return r.env.Language
	}
	if len(c.Languages) > 0 {
		return c.Languages[0]
	}
	return "de"
}

func (r *run) staff() string {
	if r.env.Staff != "" {
		return r.env.Staff
	}
	return "de"
}

// fill puts values into texts, in each language in that language's words.
func (r *run) fill(c *compiled, t ask.Texts) (ask.Texts, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // no texts stay no texts
	}
	out := make(ask.Texts, len(t))
	for tag, w := range t {
		if tmpl := c.templates[w.Text]; tmpl != nil && isTemplate(w.Text) {
			s, err := tmpl.fill(&scope{r.top().Vars, r.env, tag}, nil)
			if err != nil {
				return nil, err
			}
			w.Text = s
		}
		out[tag] = w
	}
	return out, nil
}

// ask is the step's question with everything filled in.
func (r *run) ask(c *compiled, s *Step) (*ask.Ask, error) {
	a := *s.Ask
	a.Options = slices.Clone(a.Options)
	var err error
	fill := func(t *ask.Texts) {
		if *t != nil && err == nil {
			*t, err = r.fill(c, *t)
		}
	}
	for _, t := range []*ask.Texts{&a.Text, &a.Short, &a.Hint, &a.Retry, &a.Yes, &a.No} {
		fill(t)
	}
	for i := range a.Options {
		fill(&a.Options[i].Label)
		fill(&a.Options[i].Short)
		fill(&a.Options[i].Description)
	}
	if tmpl := c.templates[a.URL]; tmpl != nil && err == nil {
		a.URL, err = tmpl.fill(&scope{r.top().Vars, r.env, r.language(c)}, escapeURL)
	}
	return &a, err
}

// escapeURL makes a value safe inside a path as well as inside a query.
func escapeURL(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func (r *run) call(c *compiled, call *Call, sc *scope) (*CallOut, error) {
	out := &CallOut{URL: call.URL, Method: call.Method, Timeout: call.Timeout.Std(), Tries: call.Tries, Turn: r.s.Turn}
	if out.Method == "" {
		out.Method = "POST"
	}
	if out.Timeout <= 0 {
		out.Timeout = 10 * time.Second
	}
	out.Timeout = min(out.Timeout, maxTimeout)
	if out.Tries <= 0 {
		out.Tries = 3
	}
	out.Tries = min(out.Tries, maxTries)
	var err error
	if tmpl := c.templates[call.URL]; tmpl != nil {
		if out.URL, err = tmpl.fill(sc, escapeURL); err != nil {
			return nil, err
		}
	}
	for _, name := range sorted(call.Headers) {
		v := call.Headers[name]
		if tmpl := c.templates[v]; tmpl != nil {
			if v, err = tmpl.fill(sc, escapeHeader); err != nil {
				return nil, err
			}
		}
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[name] = v
	}
	if call.Body != nil {
		body := map[string]any{}
		for _, name := range sorted(call.Body) {
			v, err := r.value(c.exprs[call.Body[name]], sc)
			if err != nil {
				return nil, err
			}
			body[name] = plainJSON(v.Value)
			if d, is := v.Value.(time.Time); is && v.Kind == ask.Date {
				body[name] = d.Format("2006-01-02")
			}
		}
		if out.Body, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("write the body of the call: %w", err)
		}
	}
	return out, nil
}

// escapeHeader keeps line breaks and controls out of a header.
func escapeHeader(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

// Bounds of steps.
const (
	maxTimeout = 30 * time.Second
	maxTries   = 5
	maxWait    = 180 * 24 * time.Hour
)

func (r *run) until(c *compiled, w *Wait, sc *scope) (time.Time, error) {
	most := maxWait
	if w.Most > 0 {
		most = min(most, w.Most.Std())
	}
	var until time.Time
	switch {
	case w.For > 0:
		until = r.env.Now.Add(w.For.Std())
	case w.Until != "":
		v, err := c.exprs[w.Until].eval(sc)
		if err != nil {
			return until, err
		}
		var ok bool
		if until, ok = v.(time.Time); !ok {
			return until, fmt.Errorf("%s is no time", w.Until)
		}
	case w.Open:
		until = r.env.Now
		if r.env.Open != nil {
			until = r.env.Open(until)
		}
	}
	if last := r.env.Now.Add(most); until.After(last) {
		until = last
	}
	return until.UTC(), nil
}

// say adds something to be said. Every message tells how to reach a person; the first one says what speaks.
func (r *run) say(s ask.Say, late string) {
	s.Person = true
	if !r.s.Introduced {
		r.s.Introduced = true
		s.Introduce = r.env.Company
		if s.Introduce == "" {
			s.Introduce = "Rufweite"
		}
	}
	r.effects = append(r.effects, Effect{Say: &s, Late: late})
}

// handing is said when a person takes over, but not as a planned step: its author has found words there.
var handing = ask.Plain(
	"de", "Ihr Anliegen liegt jetzt bei einem Menschen aus unserem Team. Sie bekommen eine Antwort.",
	"en", "Your request is now with a person from our team. You will get an answer.",
	"de-simple", "Ein Mensch liest jetzt Ihre Nachricht. Der Mensch antwortet Ihnen.",
)

// hand gives the instance to a person, with everything said so far.
func (r *run) hand(h HandOut, tell bool) {
	if tell {
		r.say(ask.Say{Text: handing}, "elsewhere")
	}
	summary := r.summary()
	switch {
	case h.Note == "":
		h.Note = summary
	case summary != "":
		h.Note += "\n\n" + summary
	}
	r.s.Status, r.s.WakeAt = Handed, time.Time{}
	r.effects = append(r.effects, Effect{Hand: &h})
}

// summary is what the customer answered so far, in words for staff.
func (r *run) summary() string {
	var b strings.Builder
	lang := r.staff()
	for _, f := range r.s.Frames {
		c := r.m.programs[f.Dialog][f.Version]
		title, order := f.Dialog, []string(nil)
		labels := map[string]string{}
		if c != nil {
			if t := c.Title.Get(lang); t != "" {
				title = t
			}
			for _, in := range c.Inputs {
				order = append(order, in.Name)
				labels[in.Name] = in.Title.Get(lang)
			}
			for i := range c.Steps {
				s := &c.Steps[i]
				for _, name := range s.puts() {
					if !slices.Contains(order, name) {
						order = append(order, name)
					}
					if s.Ask != nil && labels[name] == "" {
						labels[name] = s.Ask.Short.Get(lang)
						if labels[name] == "" {
							labels[name] = clip(s.Ask.Text.Get(lang), 60)
						}
						if isTemplate(labels[name]) {
							labels[name] = ""
						}
					}
				}
			}
		}
		for _, name := range sorted(f.Vars) {
			if !slices.Contains(order, name) {
				order = append(order, name)
			}
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(title)
		for _, name := range order {
			v, ok := f.Vars[name]
			if !ok {
				continue
			}
			label := labels[name]
			if label == "" {
				label = name
			}
			fmt.Fprintf(&b, "\n%s: %s", label, clip(v.show(lang, r.env.zone()), 500))
		}
		if b.Len() > 16<<10 {
			break
		}
	}
	return b.String()
}
