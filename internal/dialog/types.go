package dialog

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/rufweite/rufweite/internal/ask"
)

// typeOf is the CEL type of an ask's answer.
func typeOf(a *ask.Ask) *cel.Type {
	switch a.Kind {
	case ask.YesNo, ask.Consent, ask.Payment:
		return cel.BoolType
	case ask.ManyOf, ask.File, ask.Signature:
		return cel.ListType(cel.StringType)
	case ask.Number:
		if a.Decimals > 0 {
			return cel.DoubleType
		}
		return cel.IntType
	case ask.Rating:
		if a.Scale == "0-10" {
			return cel.IntType
		}
		return cel.StringType
	case ask.Date, ask.DateTime, ask.Slot:
		return cel.TimestampType
	case ask.Address:
		return cel.MapType(cel.StringType, cel.StringType)
	default:
		return cel.StringType
	}
}

func inputType(v Variable) *cel.Type {
	switch v.Type {
	case "number":
		return cel.DoubleType
	case "yes_no":
		return cel.BoolType
	case "date", "date_time":
		return cel.TimestampType
	case "list":
		return cel.ListType(cel.DynType)
	default:
		return cel.StringType
	}
}

// clash is a variable that is of one type here and of another there.
type clash struct {
	name string
	step int
	a, b *cel.Type
}

// typer finds sub-dialogs by key, and keeps the types of their variables.
type typer struct {
	lookup func(key string) *Program
	mu     sync.Mutex
	memo   map[*Program]map[string]*cel.Type
}

func newTyper(lookup func(key string) *Program) *typer {
	return &typer{lookup: lookup, memo: map[*Program]map[string]*cel.Type{}}
}

// sub gives the types of a sub-dialog's variables; nil if there is none, or it is being looked at further up.
func (t *typer) sub(key string, busy []string) map[string]*cel.Type {
	p := t.lookup(key)
	if p == nil || slices.Contains(busy, key) || len(busy) > maxFrames {
		return nil
	}
	t.mu.Lock()
	known, ok := t.memo[p]
	t.mu.Unlock()
	if ok {
		return known
	}
	known, _ = typesOf(p, t, busy)
	t.mu.Lock()
	t.memo[p] = known
	t.mu.Unlock()
	return known
}

// typesOf finds the types of a dialog's variables: what is put into them at each place. Sub-dialogs' outputs are found in
// the same way; what calls itself, and what a webhook answers, is dyn.
func typesOf(p *Program, ty *typer, busy []string) (map[string]*cel.Type, []clash) {
	out := map[string]*cel.Type{}
	for _, in := range p.Inputs {
		out[in.Name] = inputType(in)
	}
	// Names first, so that an expression may use what is set further down in a loop.
	for i := range p.Steps {
		s := &p.Steps[i]
		for _, name := range s.puts() {
			if out[name] == nil {
				out[name] = cel.DynType
			}
		}
	}
	var clashes []clash
	for round := 0; round < 3; round++ {
		next := map[string]*cel.Type{}
		for _, in := range p.Inputs {
			next[in.Name] = inputType(in)
		}
		clashes = nil
		put := func(step int, name string, t *cel.Type) {
			switch old := next[name]; {
			case old == nil:
				next[name] = t
			case t == cel.DynType || old == cel.DynType:
				next[name] = cel.DynType
			case t == cel.NullType || old.IsEquivalentType(t):
			case old == cel.NullType:
				next[name] = t
			default:
				clashes = append(clashes, clash{name, step, old, t})
				next[name] = cel.DynType
			}
		}
		for i := range p.Steps {
			s := &p.Steps[i]
			switch {
			case s.Ask != nil:
				put(i, s.variable(), typeOf(s.Ask))
			case s.Call != nil && s.Save != "":
				put(i, s.Save, cel.DynType)
			case s.Set != nil:
				for _, name := range sorted(s.Set) {
					t := cel.DynType
					if x, err := expressions.compile(s.Set[name], out); err == nil {
						t = x.typ
					}
					put(i, name, t)
				}
			case s.Dialog != "":
				if s.Save != "" {
					put(i, s.Save, cel.StringType)
				}
				types := ty.sub(s.Dialog, append(slices.Clone(busy), p.Key))
				for _, name := range sorted(s.Out) {
					t := types[s.Out[name]]
					if t == nil {
						t = cel.DynType
					}
					put(i, name, t)
				}
			}
		}
		same := len(next) == len(out)
		for name, t := range next {
			if out[name] == nil || out[name].String() != t.String() {
				same = false
			}
		}
		out = next
		if same {
			break
		}
	}
	return out, clashes
}

// puts lists the variables that a step gives values.
func (s *Step) puts() []string {
	var out []string
	switch {
	case s.Ask != nil:
		out = append(out, s.variable())
	case s.Save != "":
		out = append(out, s.Save)
	}
	out = append(out, sorted(s.Set)...)
	return append(out, sorted(s.Out)...)
}

func sorted[K ~string, V any](m map[K]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, string(k))
	}
	sort.Strings(out)
	return out
}

// site is a place in a program where an expression or a text with expressions stands.
type site struct {
	step     int // -1 = the head
	path     string
	text     string
	language string // of a text
	want     want
}

type want int

const (
	wantAny  want = iota // an expression
	wantBool             // an expression: true or false
	wantTime             // an expression: a timestamp
	wantText             // a text with {{ expressions }}
	wantURL              // the same, in a URL
)

// sites lists all of them in the order of the steps.
func (p *Program) sites() []site {
	var out []site
	for i := range p.Steps {
		out = p.Steps[i].sites(out, i)
	}
	return out
}

func (s *Step) sites(out []site, i int) []site {
	at := "steps." + strconv.Itoa(i)
	texts := func(path string, t ask.Texts) {
		for _, tag := range t.Languages() {
			if isTemplate(t[tag].Text) {
				out = append(out, site{i, path + "." + tag, t[tag].Text, tag, wantText})
			}
		}
	}
	exprs := func(path string, m map[string]string) {
		for _, name := range sorted(m) {
			out = append(out, site{i, path + "." + name, m[name], "", wantAny})
		}
	}
	texts(at+".say", s.Say)
	if a := s.Ask; a != nil {
		for _, t := range askTexts(a, at+".ask") {
			texts(t.path, t.texts)
		}
		if isTemplate(a.URL) {
			out = append(out, site{i, at + ".ask.url", a.URL, "", wantURL})
		}
	}
	for k, c := range s.Branch {
		if c.If != "" {
			out = append(out, site{i, at + ".branch." + strconv.Itoa(k) + ".if", c.If, "", wantBool})
		}
	}
	exprs(at+".set", s.Set)
	if c := s.Call; c != nil {
		if isTemplate(c.URL) {
			out = append(out, site{i, at + ".call.url", c.URL, "", wantURL})
		}
		for _, name := range sorted(c.Headers) {
			if isTemplate(c.Headers[name]) {
				out = append(out, site{i, at + ".call.headers." + name, c.Headers[name], "", wantURL})
			}
		}
		exprs(at+".call.body", c.Body)
	}
	if s.Wait != nil && s.Wait.Until != "" {
		out = append(out, site{i, at + ".wait.until", s.Wait.Until, "", wantTime})
	}
	exprs(at+".with", s.With)
	if s.Hand != nil {
		texts(at+".hand.note", s.Hand.Note)
	}
	return out
}

// pathTexts is a text of a question and where it stands.
type pathTexts struct {
	path  string
	texts ask.Texts
}

// askTexts lists the texts of a question that are there.
func askTexts(a *ask.Ask, at string) []pathTexts {
	out := make([]pathTexts, 0, 8)
	add := func(path string, t ask.Texts) {
		if t != nil {
			out = append(out, pathTexts{at + "." + path, t})
		}
	}
	add("text", a.Text)
	add("short", a.Short)
	add("hint", a.Hint)
	add("retry", a.Retry)
	add("yes", a.Yes)
	add("no", a.No)
	for i := range a.Options {
		o := &a.Options[i]
		path := "options." + strconv.Itoa(i) + "."
		add(path+"label", o.Label)
		add(path+"short", o.Short)
		add(path+"description", o.Description)
	}
	return out
}

// compiled is a program that can run.
type compiled struct {
	*Program
	types     map[string]*cel.Type
	byID      map[string]int
	exprs     map[string]*expression // by text
	templates map[string]*template   // by text
}

// compile compiles everything in a program. Where something is wrong, bad is called and the program must not run.
func compileProgram(p *Program, ty *typer, bad func(site, *expressionError)) (*compiled, []clash) {
	c := &compiled{Program: p, byID: make(map[string]int, len(p.Steps)), exprs: map[string]*expression{}, templates: map[string]*template{}}
	for i := range p.Steps {
		c.byID[p.Steps[i].ID] = i
	}
	var clashes []clash
	c.types, clashes = typesOf(p, ty, nil)
	for _, s := range p.sites() {
		if s.want < wantText {
			if c.exprs[s.text] != nil {
				continue
			}
			x, err := expressions.compile(s.text, c.types)
			if err != nil {
				bad(s, err)
				continue
			}
			c.exprs[s.text] = x
			continue
		}
		if c.templates[s.text] != nil {
			continue
		}
		t, err := splitTemplate(s.text)
		if err != nil {
			bad(s, err)
			continue
		}
		ok := true
		for i := range t.parts {
			part := &t.parts[i]
			if part.source == "" && part.text != "" {
				continue
			}
			x, err := expressions.compile(part.source, c.types)
			if err != nil {
				bad(s, err)
				ok = false
				continue
			}
			part.expr = x
		}
		if ok {
			c.templates[s.text] = t
		}
	}
	return c, clashes
}

// next is the step after the one at i, "" after the last.
func (p *Program) next(i int) string {
	if n := p.Steps[i].Next; n != "" {
		return n
	}
	if i+1 < len(p.Steps) {
		return p.Steps[i+1].ID
	}
	return ""
}

// typeName is a CEL type in an author's words.
func (t tongue) typeName(x *cel.Type) string {
	switch s := x.String(); {
	case s == "bool":
		return t.f("yes/no", "ja/nein")
	case s == "string":
		return t.f("a text", "ein Text")
	case s == "int":
		return t.f("a whole number", "eine ganze Zahl")
	case s == "double":
		return t.f("a number", "eine Zahl")
	case strings.Contains(s, "timestamp"):
		return t.f("a time", "ein Zeitpunkt")
	case strings.Contains(s, "duration"):
		return t.f("a duration", "eine Dauer")
	case strings.HasPrefix(s, "list"):
		return t.f("a list", "eine Liste")
	case strings.HasPrefix(s, "map"):
		return t.f("a mapping", "eine Zuordnung")
	default:
		return s
	}
}
