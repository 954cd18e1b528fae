package dialog

import (
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

// CheckOptions say what a proof may take for granted.
type CheckOptions struct {
	Language string // of the findings: German for "de…", otherwise English
	NoPage   bool   // there is no public address: what needs the answer page cannot be asked by text
	// Kinds are all kinds of channels that exist, for typing errors in "channels:"; nil = those of the media.
	Kinds []channel.Kind
	// Staff (e-mail addresses), Units and Calendars that exist; nil = not looked at.
	Staff, Units, Calendars []string
}

// Check proves that dialogs have no dead ends on media: it finds every reachable step that a customer could not answer,
// from which no person can be reached, that goes round without them, that uses what is not there, or that lacks a
// language, a bound or a way on. No findings mean that none of this can happen. Of several versions of a dialog the
// newest is what sub-dialogs are held against; every version is checked.
func Check(programs []*Program, media map[channel.Kind]channel.Medium, o CheckOptions) []Finding {
	c := newChecker(programs, media, o)
	results := make([][]Finding, len(programs))
	work := make(chan int)
	var wg sync.WaitGroup
	for range max(1, min(runtime.GOMAXPROCS(0), len(programs))) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range work {
				results[i] = c.program(programs[i])
			}
		}()
	}
	for i := range programs {
		work <- i
	}
	close(work)
	wg.Wait()
	out := c.together(programs)
	for _, r := range results {
		out = append(out, r...)
	}
	return out
}

// checker is one proof.
type checker struct {
	tongue
	o      CheckOptions
	media  map[channel.Kind]channel.Medium
	kinds  []channel.Kind // of media, sorted
	newest map[string]*Program
	cyclic map[string]bool // dialogs that call themselves, by others or at once

	types *typer
	deep  map[string]int // how many dialogs run in each other from one on

	mu    sync.Mutex
	known map[*Program]*once
}

type once struct {
	sync.Once
	a *analysis
}

func newChecker(programs []*Program, media map[channel.Kind]channel.Medium, o CheckOptions) *checker {
	c := &checker{tongue: speak(o.Language), o: o, media: media, newest: newestOf(programs), cyclic: map[string]bool{}, deep: map[string]int{}, known: map[*Program]*once{}}
	for k := range media {
		c.kinds = append(c.kinds, k)
	}
	slices.Sort(c.kinds)
	c.types = newTyper(func(key string) *Program { return c.newest[key] })
	// Who calls itself? Depth-first, each dialog once.
	state := map[string]int{}
	var visit func(key string, path []string)
	visit = func(key string, path []string) {
		p := c.newest[key]
		if p == nil || state[key] == 2 {
			return
		}
		if state[key] == 1 {
			for _, k := range path[slices.Index(path, key):] {
				c.cyclic[k] = true
			}
			return
		}
		state[key] = 1
		path = append(slices.Clone(path), key)
		for i := range p.Steps {
			if p.Steps[i].Dialog != "" {
				visit(p.Steps[i].Dialog, path)
				c.deep[key] = max(c.deep[key], c.deep[p.Steps[i].Dialog])
			}
		}
		c.deep[key]++
		state[key] = 2
	}
	for _, key := range sorted(c.newest) {
		visit(key, nil)
	}
	return c
}

// together finds what is wrong between dialogs.
func (c *checker) together(programs []*Program) []Finding {
	var out []Finding
	type version struct {
		key string
		n   int64
	}
	seen := map[version]*Program{}
	words := map[string]*Program{}
	for _, p := range programs {
		v := version{p.Key, p.Version}
		if first := seen[v]; first != nil {
			out = append(out, p.finding("structure", -1, "dialog", c.f("there is another dialog %s%s", "es gibt noch einen Dialog %s%s", c.quote(p.Key), in(first.file)), c.f("give one of them another key", "geben Sie einem einen anderen Schlüssel")))
		}
		seen[v] = p
		if p != c.newest[p.Key] {
			continue
		}
		for i, w := range p.Start {
			path := "start." + strconv.Itoa(i)
			key := strings.ToLower(strings.Join(strings.Fields(w), " "))
			if ask.WantsPerson(w, "de") {
				out = append(out, p.finding("person", -1, path, c.f("%s asks for a person and must not start a dialog", "%s ruft nach einem Menschen und darf keinen Dialog starten", c.quote(w)), c.f("take another word", "nehmen Sie ein anderes Wort")))
			}
			if other := words[key]; other != nil && other != p {
				out = append(out, p.finding("structure", -1, path, c.f("%s starts the dialog %s too", "%s startet auch den Dialog %s", c.quote(w), c.quote(other.Key)), c.f("give each dialog words of its own", "geben Sie jedem Dialog eigene Wörter")))
			}
			words[key] = p
		}
	}
	return out
}

func in(file string) string {
	if file == "" {
		return ""
	}
	return " (" + file + ")"
}

// edge is a way from a step to another one.
type edge struct {
	to     int // -1 = the end of the dialog
	what   edgeKind
	label  string // the condition, of a case
	choice bool   // only a customer's answer leads here
	stops  bool   // something from outside leads here: a turn of its own
	yes    []string
	no     []string
	decide *expression // of a case: decided by the medium alone
	index  int         // of a case
}

type edgeKind int

const (
	goesOn edgeKind = iota
	answers
	expires
	misses
	chooses
	fails
	writes
	passes // time
)

// analysis is what is known of one program, whatever the medium.
type analysis struct {
	p         *Program
	c         *compiled
	findings  []Finding
	edges     [][]edge
	reached   []bool
	names     map[string]int // variables
	order     []string
	flow      []*bits         // before each step: what is set and answered on every way there
	elapsed   []time.Duration // before each step: how long ago the customer's last message may be
	prev      []back          // shortest way to each step
	loops     bool            // there is a cycle without a customer's choice
	outs      *bits           // at every end
	silent    bool            // there is a way from the start to an end without a customer's choice
	through   time.Duration   // how long it takes at most
	atEnd     time.Duration   // how long ago the customer's last message may be at an end, if there was one in here; -1
	firstLate time.Duration   // the most that may have passed since the start when something is said before the customer was heard, without "late"; -1
	chain     int             // the most steps in a row without a stop
	byMedium  bool            // a branch asks what the medium can
	byKind    bool            // a branch asks which channel it is
}

type back struct {
	from int // -1 = the start
	e    edge
}

// bits are two sets of variables.
type bits struct{ set, real []uint64 }

func newBits(n int) *bits { return &bits{make([]uint64, (n+63)/64), make([]uint64, (n+63)/64)} }

func (b *bits) clone() *bits { return &bits{slices.Clone(b.set), slices.Clone(b.real)} }

func (b *bits) put(i int, real bool) {
	b.set[i/64] |= 1 << (i % 64)
	if real {
		b.real[i/64] |= 1 << (i % 64)
	} else {
		b.real[i/64] &^= 1 << (i % 64)
	}
}

func (b *bits) drop(i int) { b.set[i/64] &^= 1 << (i % 64); b.real[i/64] &^= 1 << (i % 64) }

func (b *bits) isSet(i int) bool  { return b.set[i/64]&(1<<(i%64)) != 0 }
func (b *bits) isReal(i int) bool { return b.real[i/64]&(1<<(i%64)) != 0 }

// meet keeps what is in both; true if that changes b.
func (b *bits) meet(o *bits) bool {
	changed := false
	for i := range b.set {
		s, r := b.set[i]&o.set[i], b.real[i]&o.real[i]
		changed = changed || s != b.set[i] || r != b.real[i]
		b.set[i], b.real[i] = s, r
	}
	return changed
}

const longest = 20 * 365 * 24 * time.Hour // times are not counted further

// analyse is cached: a sub-dialog is analysed once for all of its callers.
func (c *checker) analyse(p *Program) *analysis {
	c.mu.Lock()
	o := c.known[p]
	if o == nil {
		o = &once{}
		c.known[p] = o
	}
	c.mu.Unlock()
	o.Do(func() { o.a = c.analysis(p) })
	return o.a
}

// sub gives the analysis of a sub-dialog, nil if there is none or it calls itself.
func (c *checker) sub(key string) *analysis {
	p := c.newest[key]
	if p == nil || c.cyclic[key] {
		return nil
	}
	return c.analyse(p)
}

func (a *analysis) bad(rule string, step int, path, message, remedy string) *Finding {
	a.findings = append(a.findings, a.p.finding(rule, step, path, message, remedy))
	return &a.findings[len(a.findings)-1]
}

func at(step int) string { return "steps." + strconv.Itoa(step) }

func (c *checker) analysis(p *Program) *analysis {
	a := &analysis{p: p, atEnd: -1, firstLate: -1}
	comp, clashes := compileProgram(p, c.types, func(s site, err *expressionError) {
		a.findings = append(a.findings, c.expressionFinding(p, c.types, s, err))
	})
	a.c = comp
	for _, k := range clashes {
		a.bad("variable", k.step, at(k.step), c.f("the variable %s is %s here and %s elsewhere", "die Variable %s ist hier %s und anderswo %s", c.quote(k.name), c.typeName(k.b), c.typeName(k.a)), c.f("take two names", "nehmen Sie zwei Namen"))
	}
	for _, s := range p.sites() {
		x := comp.exprs[s.text]
		if s.want >= wantText || x == nil || x.typ == cel.DynType {
			continue
		}
		switch {
		case s.want == wantBool && !x.typ.IsEquivalentType(cel.BoolType):
			a.bad("branch", s.step, s.path, c.f("the condition %s is %s, not true or false", "die Bedingung %s ist %s, nicht wahr oder falsch", c.quote(clip(s.text, 60)), c.typeName(x.typ)), c.f("compare it with something, such as %s == …", "vergleichen Sie es mit etwas, etwa %s == …", clip(s.text, 30)))
		case s.want == wantTime && !x.typ.IsEquivalentType(cel.TimestampType):
			a.bad("wait", s.step, s.path, c.f("%s is %s, not a time", "%s ist %s, kein Zeitpunkt", c.quote(clip(s.text, 60)), c.typeName(x.typ)), c.f("write for example slot - duration('24h')", "schreiben Sie zum Beispiel slot - duration('24h')"))
		}
	}
	c.names(a)
	c.graph(a)
	c.steps(a)
	c.texts(a)
	if len(p.Steps) == 0 {
		return a
	}
	c.reach(a)
	c.loop(a)
	c.dataflow(a)
	c.silence(a)
	return a
}

// names numbers the variables and refuses names that are taken.
func (c *checker) names(a *analysis) {
	a.names = map[string]int{}
	add := func(name string) {
		if _, ok := a.names[name]; !ok {
			a.names[name] = len(a.names)
			a.order = append(a.order, name)
		}
	}
	taken := func(step int, path, name string) {
		if reserved[name] {
			a.bad("variable", step, path, c.f("%s is a word of the language of expressions", "%s ist ein Wort der Ausdruckssprache", c.quote(name)), c.f("take another name, such as my_%s", "nehmen Sie einen anderen Namen, etwa mein_%s", name))
		}
	}
	for i, in := range a.p.Inputs {
		add(in.Name)
		taken(-1, "inputs."+strconv.Itoa(i)+".name", in.Name)
		if in.Default != nil {
			left := maxValue
			v, err := foreign(in.Default, &left, 0)
			if err == nil {
				_, err = convert(v, in.Type, berlin)
			}
			if err != nil {
				a.bad("variable", -1, "inputs."+strconv.Itoa(i)+".default", c.f("the default of %s does not fit: %v", "die Vorgabe von %s passt nicht: %v", c.quote(in.Name), err), c.f("write a value of the type %s", "schreiben Sie einen Wert vom Typ %s", in.Type))
			}
		}
	}
	for i := range a.p.Steps {
		s := &a.p.Steps[i]
		for _, name := range s.puts() {
			add(name)
			taken(i, at(i), name)
		}
	}
	for i, name := range a.p.Outputs {
		if _, ok := a.names[name]; !ok {
			a.bad("variable", -1, "outputs."+strconv.Itoa(i), c.f("the output %s is set nowhere", "die Ausgabe %s wird nirgends gesetzt", c.quote(name)), c.didYouMean(name, a.order))
		}
	}
}

// graph finds the ways between steps, and the targets that do not exist.
func (c *checker) graph(a *analysis) {
	p := a.p
	ids := make([]string, len(p.Steps))
	for i := range p.Steps {
		ids[i] = p.Steps[i].ID
	}
	a.edges = make([][]edge, len(p.Steps))
	for i := range p.Steps {
		s := &p.Steps[i]
		target := func(name, id string) (int, bool) {
			if j, ok := a.c.byID[id]; ok {
				return j, true
			}
			a.bad("target", i, at(i)+"."+name, c.f("it goes on at %s, which does not exist", "es geht weiter bei %s, das es nicht gibt", c.quote(id)), c.didYouMean(id, ids))
			return 0, false
		}
		add := func(name, id string, e edge) {
			if id == "" {
				return
			}
			if j, ok := target(name, id); ok {
				e.to = j
				a.edges[i] = append(a.edges[i], e)
			}
		}
		next := func(e edge) {
			if s.Next != "" {
				add("next", s.Next, e)
				return
			}
			e.to = -1
			if i+1 < len(p.Steps) {
				e.to = i + 1
			}
			a.edges[i] = append(a.edges[i], e)
		}
		switch s.Kind() {
		case "ask":
			next(edge{what: answers, choice: s.Ask.Default == nil, stops: true})
			add("expired", s.Expired, edge{what: expires, stops: true})
			add("unclear", s.Unclear, edge{what: misses, stops: true})
		case "branch":
			var no []string
			for k, way := range s.Branch {
				e := edge{what: chooses, label: way.If, index: k, no: slices.Clone(no)}
				if x := a.c.exprs[way.If]; way.If != "" && x != nil {
					e.yes = x.yes
					no = append(no, x.no...)
					if kind, medium := x.ofMedium(); medium {
						e.decide = x
						a.byMedium = true
						a.byKind = a.byKind || kind
					}
				}
				add("branch."+strconv.Itoa(k)+".to", way.To, e)
			}
		case "call":
			next(edge{stops: true})
			add("failed", s.Failed, edge{what: fails, stops: true})
		case "wait":
			next(edge{what: passes})
			add("wrote", s.Wrote, edge{what: writes, stops: true})
		case "run":
			sub := c.sub(s.Dialog)
			next(edge{choice: sub != nil && !sub.silent})
		case "hand", "end", "":
		default:
			next(edge{})
		}
	}
}

// ofMedium reports whether an expression depends on nothing but the medium, and whether on the very channel.
func (x *expression) ofMedium() (kind, medium bool) {
	if len(x.uses) == 0 {
		return false, false
	}
	for _, u := range x.uses {
		switch u.name {
		case "can":
		case "channel":
			kind = true
		default:
			return false, false
		}
	}
	return kind, true
}

var emailPattern = regexp.MustCompile(`^[^@\s<>"]+@[^@\s<>"]+\.[^@\s<>"]+$`)

// steps holds each step against the rules that concern it alone.
func (c *checker) steps(a *analysis) {
	p := a.p
	known := c.o.Kinds
	if known == nil {
		known = c.kinds
	}
	for i, k := range p.Channels {
		if len(known) > 0 && !slices.Contains(known, channel.Kind(k)) {
			var names []string
			for _, k := range known {
				names = append(names, string(k))
			}
			a.bad("structure", -1, "channels."+strconv.Itoa(i), c.f("there is no channel %s", "einen Kanal %s gibt es nicht", c.quote(k)), c.didYouMean(k, names))
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		switch s.Kind() {
		case "ask":
			c.question(a, i)
		case "branch":
			for k, way := range s.Branch {
				if last := k == len(s.Branch)-1; last && way.If != "" {
					a.bad("branch", i, at(i)+".branch."+strconv.Itoa(k), c.f("if %s is not true either, there is no way out", "wenn auch %s nicht stimmt, gibt es keinen Weg hinaus", c.quote(clip(way.If, 60))), c.f("add a last way without a condition: - {to: …}", "fügen Sie einen letzten Weg ohne Bedingung an: - {to: …}"))
				} else if !last && way.If == "" {
					a.bad("branch", i, at(i)+".branch."+strconv.Itoa(k), c.f("this way has no condition, so none below it is ever taken", "dieser Weg hat keine Bedingung, also wird keiner darunter je genommen"), c.f("move it to the end, or give it a condition (if:)", "setzen Sie ihn ans Ende, oder geben Sie ihm eine Bedingung (if:)"))
				}
			}
		case "call":
			c.outcall(a, i)
		case "wait":
			c.wait(a, i)
		case "hand":
			h := s.Hand
			switch {
			case h.Staff == "" || h.Staff == "advisor":
			case !emailPattern.MatchString(h.Staff):
				a.bad("hand", i, at(i)+".hand.staff", c.f("%s is neither advisor nor an e-mail address", "%s ist weder advisor noch eine E-Mail-Adresse", c.quote(clip(h.Staff, 40))), c.f("write advisor for the customer's own, an e-mail address of staff, or leave it out", "schreiben Sie advisor für den eigenen Berater, eine E-Mail-Adresse aus dem Team, oder lassen Sie es weg"))
			case c.o.Staff != nil && !slices.ContainsFunc(c.o.Staff, func(s string) bool { return strings.EqualFold(s, h.Staff) }):
				a.bad("hand", i, at(i)+".hand.staff", c.f("nobody here has the e-mail address %s", "hier hat niemand die E-Mail-Adresse %s", h.Staff), c.didYouMean(h.Staff, c.o.Staff))
			}
			if h.Unit != strings.TrimSpace(h.Unit) || len(h.Unit) > 200 || (h.Unit != "" && c.o.Units != nil && !slices.Contains(c.o.Units, h.Unit)) {
				a.bad("hand", i, at(i)+".hand.unit", c.f("there is no unit %s", "eine Einheit %s gibt es nicht", c.quote(clip(h.Unit, 40))), c.didYouMean(h.Unit, c.o.Units))
			}
		case "run":
			c.run(a, i)
		case "":
			a.bad("structure", i, at(i), c.f("the step does nothing, or several things", "der Schritt tut nichts oder mehreres"), c.f("give it exactly one of say, ask, branch, set, call, wait, hand, run and end", "geben Sie ihm genau eines von say, ask, branch, set, call, wait, hand, run und end"))
		}
	}
}

const maxExpiry = 366 * 24 * time.Hour

func (c *checker) question(a *analysis, i int) {
	s := &a.p.Steps[i]
	q := s.Ask
	path := at(i) + ".ask"
	for _, f := range checkAsk(c.sample(a, i).Ask) {
		if f.remedy == "" {
			f.remedy = c.f("see the table of questions in docs/handbook-dialogs.md", "siehe die Tabelle der Fragen in docs/handbook-dialogs.md")
		}
		a.bad("ask", i, join(path, f.path), c.f("the question's %s", "an der Frage: %s", f.message), f.remedy)
	}
	if q.Expires.Std() > maxExpiry {
		a.bad("expiry", i, path+".expires", c.f("the question stays open for %s", "die Frage bleibt %s offen", c.span(q.Expires.Std())), c.f("366d is the most", "366d ist das Höchste"))
	}
	if q.Remind > 0 && q.Remind.Std() >= expiry(q) {
		a.bad("expiry", i, path+".remind", c.f("the reminder would come after %s, when the question has expired (%s)", "die Erinnerung käme nach %s, wenn die Frage abgelaufen ist (%s)", c.span(q.Remind.Std()), c.span(expiry(q))), c.f("remind earlier, or let it expire later", "erinnern Sie früher, oder lassen Sie sie später ablaufen"))
	}
	if q.Default != nil {
		if s.Expired != "" {
			a.bad("expiry", i, at(i)+".expired", c.f("with a default the question never expires unanswered, so %s is never reached from here", "mit einer Vorgabe läuft die Frage nie unbeantwortet ab, also wird %s von hier nie erreicht", c.quote(s.Expired)), c.f("leave out one of the two", "lassen Sie eines von beiden weg"))
		}
	}
	if q.Kind == ask.Slot && c.o.Calendars != nil && !slices.Contains(c.o.Calendars, q.Calendar) {
		a.bad("structure", i, path+".calendar", c.f("there is no calendar %s", "einen Kalender %s gibt es nicht", c.quote(q.Calendar)), c.didYouMean(q.Calendar, c.o.Calendars))
	}
	if q.URL != "" {
		c.url(a, i, path+".url", q.URL)
	}
	// What asks for a person must never be taken for an answer.
	word := func(path, w string) {
		if w != "" && ask.WantsPerson(w, "de") {
			a.bad("person", i, path, c.f("%s is how customers ask for a person; as an answer it would keep them from one", "mit %s rufen Kunden nach einem Menschen; als Antwort hielte es sie davon ab", c.quote(w)), c.f("name it otherwise; a person is offered in every message", "nennen Sie es anders; ein Mensch wird in jeder Nachricht angeboten"))
		}
	}
	for k := range q.Options {
		o := &q.Options[k]
		path := path + ".options." + strconv.Itoa(k)
		for _, t := range []struct {
			name  string
			texts ask.Texts
		}{{"label", o.Label}, {"short", o.Short}} {
			for _, tag := range t.texts.Languages() {
				word(path+"."+t.name+"."+tag, t.texts[tag].Text)
			}
		}
		for _, tag := range sorted(o.Synonyms) {
			for _, w := range o.Synonyms[tag] {
				word(path+".synonyms."+tag, w)
			}
		}
	}
	for _, tag := range q.Yes.Languages() {
		word(path+".yes."+tag, q.Yes[tag].Text)
	}
	for _, tag := range q.No.Languages() {
		word(path+".no."+tag, q.No[tag].Text)
	}
}

func expiry(q *ask.Ask) time.Duration {
	if q.Expires > 0 {
		return q.Expires.Std()
	}
	return 90 * 24 * time.Hour
}

// url refuses addresses whose host is not fixed, or that are not encrypted.
func (c *checker) url(a *analysis, i int, path, raw string) {
	const hole = "x"
	plain := raw
	if t, err := splitTemplate(raw); err == nil {
		var b strings.Builder
		for _, p := range t.parts {
			if p.source != "" {
				b.WriteString("\x00")
			} else {
				b.WriteString(p.text)
			}
		}
		plain = b.String()
	}
	rest, https := strings.CutPrefix(plain, "https://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	if https && strings.Contains(host, "\x00") {
		a.bad("call", i, path, c.f("the host of the address is put together from values", "der Rechnername der Adresse wird aus Werten zusammengesetzt"), c.f("write the host out; values may stand in the path and behind the ?", "schreiben Sie den Rechnernamen aus; Werte dürfen im Pfad und hinter dem ? stehen"))
		return
	}
	u, err := url.Parse(strings.ReplaceAll(plain, "\x00", hole))
	if !https || err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		a.bad("call", i, path, c.f("%s is no https address", "%s ist keine https-Adresse", c.quote(clip(raw, 60))), c.f("write for example https://example.org/api/orders", "schreiben Sie zum Beispiel https://example.org/api/auftraege"))
	}
}

var headerPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func (c *checker) outcall(a *analysis, i int) {
	s := &a.p.Steps[i]
	path := at(i) + ".call"
	c.url(a, i, path+".url", s.Call.URL)
	if s.Failed == "" {
		a.bad("call", i, path, c.f("it is not said what happens when the call fails", "es ist nicht gesagt, was geschieht, wenn der Aufruf scheitert"), c.f("add failed: STEP, for example one that hands over to a person", "fügen Sie failed: SCHRITT hinzu, etwa einen, der an einen Menschen übergibt"))
	}
	if s.Call.Timeout.Std() > maxTimeout {
		a.bad("call", i, path+".timeout", c.f("the call may take %s", "der Aufruf darf %s dauern", s.Call.Timeout.Std()), c.f("30s is the most: a customer waits", "30s ist das Höchste: ein Kunde wartet"))
	}
	if s.Call.Tries < 0 || s.Call.Tries > maxTries {
		a.bad("call", i, path+".tries", c.f("%d tries", "%d Versuche", s.Call.Tries), c.f("1 to 5 are possible", "1 bis 5 sind möglich"))
	}
	if s.Call.Body != nil && s.Call.Method == "GET" {
		a.bad("call", i, path+".body", c.f("GET carries no body", "GET trägt keinen Inhalt"), c.f("use POST, or put the values behind the ? of the address", "nehmen Sie POST, oder setzen Sie die Werte hinter das ? der Adresse"))
	}
	for _, name := range sorted(s.Call.Headers) {
		if v := s.Call.Headers[name]; !headerPattern.MatchString(name) || strings.ContainsAny(v, "\r\n\x00") {
			a.bad("call", i, path+".headers."+name, c.f("%s is no header", "%s ist keine Kopfzeile", c.quote(clip(name, 40))), c.f("write for example X-Key: value, on one line", "schreiben Sie zum Beispiel X-Key: wert, in einer Zeile"))
		}
	}
}

func (c *checker) wait(a *analysis, i int) {
	w := a.p.Steps[i].Wait
	path := at(i) + ".wait"
	switch {
	case w.For.Std() > maxWait:
		a.bad("wait", i, path+".for", c.f("it waits %s", "es wartet %s", c.span(w.For.Std())), c.f("180d is the most", "180d ist das Höchste"))
	case w.Most.Std() > maxWait:
		a.bad("wait", i, path+".most", c.f("it waits up to %s", "es wartet bis zu %s", c.span(w.Most.Std())), c.f("180d is the most", "180d ist das Höchste"))
	case (w.Until != "" || w.Open) && w.Most == 0:
		a.bad("wait", i, path, c.f("it is not said how long it waits at most", "es ist nicht gesagt, wie lange es höchstens wartet"), c.f("add most: for example 60d", "fügen Sie most: hinzu, etwa 60d"))
	}
}

// longestWait is how long a wait lasts at most.
func longestWait(w *Wait) time.Duration {
	if w.For > 0 {
		return w.For.Std()
	}
	return w.Most.Std()
}

func (c *checker) run(a *analysis, i int) {
	s := &a.p.Steps[i]
	sub := c.newest[s.Dialog]
	if sub == nil {
		a.bad("run", i, at(i)+".run", c.f("there is no dialog %s", "einen Dialog %s gibt es nicht", c.quote(s.Dialog)), c.didYouMean(s.Dialog, sorted(c.newest)))
		return
	}
	if c.cyclic[s.Dialog] && c.cyclic[a.p.Key] {
		a.bad("loop", i, at(i)+".run", c.f("%s runs itself in the end", "%s ruft am Ende sich selbst auf", c.quote(s.Dialog)), c.f("go back to an earlier step with next: instead", "gehen Sie stattdessen mit next: zu einem früheren Schritt zurück"))
		return
	}
	if c.deep[s.Dialog] >= maxFrames {
		a.bad("run", i, at(i)+".run", c.f("more than %d dialogs run in each other", "mehr als %d Dialoge laufen ineinander", maxFrames), c.f("make it flatter", "machen Sie es flacher"))
	}
	var inputs []string
	for _, in := range sub.Inputs {
		inputs = append(inputs, in.Name)
		text, given := s.With[in.Name]
		if !given {
			if in.Default == nil {
				a.bad("run", i, at(i), c.f("%s needs the input %s", "%s braucht die Eingabe %s", c.quote(s.Dialog), c.quote(in.Name)), c.f("add it: with: {%s: …}", "fügen Sie sie hinzu: with: {%s: …}", in.Name))
			}
			continue
		}
		if x := a.c.exprs[text]; x != nil && x.typ != cel.DynType {
			want := inputType(in)
			ok := want.IsEquivalentType(x.typ) || (in.Type == "number" && x.typ.IsEquivalentType(cel.IntType)) || (in.Type == "text" && x.typ.IsEquivalentType(cel.IntType)) || (in.Type == "list" && strings.HasPrefix(x.typ.String(), "list"))
			if !ok {
				a.bad("run", i, at(i)+".with."+in.Name, c.f("%s wants %s for %s, and gets %s", "%s will %s für %s und bekommt %s", c.quote(s.Dialog), c.typeName(want), c.quote(in.Name), c.typeName(x.typ)), c.f("change the type of the input, or convert the value", "ändern Sie den Typ der Eingabe, oder wandeln Sie den Wert um"))
			}
		}
	}
	for _, name := range sorted(s.With) {
		if !slices.Contains(inputs, name) {
			a.bad("run", i, at(i)+".with."+name, c.f("%s has no input %s", "%s hat keine Eingabe %s", c.quote(s.Dialog), c.quote(name)), c.didYouMean(name, inputs))
		}
	}
	for _, name := range sorted(s.Out) {
		if !slices.Contains(sub.Outputs, s.Out[name]) {
			a.bad("run", i, at(i)+".out."+name, c.f("%s has no output %s", "%s hat keine Ausgabe %s", c.quote(s.Dialog), c.quote(s.Out[name])), c.didYouMean(s.Out[name], sub.Outputs))
		}
	}
	for _, tag := range a.p.Languages {
		if !slices.Contains(sub.Languages, tag) {
			f := a.bad("language", i, at(i)+".run", c.f("%s does not speak %s, which this dialog does", "%s spricht kein %s, dieser Dialog schon", c.quote(s.Dialog), tag), c.f("complete the texts of %s", "vervollständigen Sie die Texte von %s", c.quote(s.Dialog)))
			f.Language = tag
		}
	}
	for _, k := range c.kindsOf(a.p) {
		if len(sub.Channels) > 0 && !slices.Contains(sub.Channels, string(k)) {
			f := a.bad("reply", i, at(i)+".run", c.f("%s does not run on %s, which this dialog does", "%s läuft nicht über %s, dieser Dialog schon", c.quote(s.Dialog), c.title(k)), c.f("restrict this dialog too (channels:), or open the other one", "beschränken Sie auch diesen Dialog (channels:), oder öffnen Sie den anderen"))
			f.Kind = k
			break
		}
	}
}

// kindsOf are the media on which a program is proved.
func (c *checker) kindsOf(p *Program) []channel.Kind {
	if len(p.Channels) == 0 {
		return c.kinds
	}
	var out []channel.Kind
	for _, k := range c.kinds {
		if slices.Contains(p.Channels, string(k)) {
			out = append(out, k)
		}
	}
	return out
}

func (c *checker) title(k channel.Kind) string {
	m := c.media[k]
	if c.tongue {
		if m.Title.DE != "" {
			return m.Title.DE
		}
	} else if m.Title.EN != "" {
		return m.Title.EN
	}
	return string(k)
}

// texts looks for languages that are missing.
func (c *checker) texts(a *analysis) {
	look := func(step int, path string, t ask.Texts) {
		if t == nil {
			return
		}
		for _, tag := range a.p.Languages {
			if strings.TrimSpace(t[tag].Text) == "" {
				f := a.bad("language", step, path, c.f("there is no text in %s", "es fehlt der Text auf %s", tag), c.f("add %s: \"…\" (of a machine's translation: {text: \"…\", machine: true})", "fügen Sie %s: \"…\" hinzu (von einer maschinellen Übersetzung: {text: \"…\", machine: true})", tag))
				f.Language = tag
			}
		}
		for _, tag := range t.Languages() {
			if !slices.Contains(a.p.Languages, tag) {
				f := a.bad("language", step, path+"."+tag, c.f("this dialog does not speak %s", "dieser Dialog spricht kein %s", c.quote(tag)), c.f("add it to languages:, and to all texts, or leave it out here", "nehmen Sie es in languages: auf und in alle Texte, oder lassen Sie es hier weg"))
				f.Language = tag
			}
		}
	}
	look(-1, "title", a.p.Title)
	for i := range a.p.Inputs {
		look(-1, "inputs."+strconv.Itoa(i)+".title", a.p.Inputs[i].Title)
	}
	for i := range a.p.Steps {
		s := &a.p.Steps[i]
		look(i, at(i)+".say", s.Say)
		if s.Ask != nil {
			for _, t := range askTexts(s.Ask, at(i)+".ask") {
				look(i, t.path, t.texts)
			}
		}
		if s.Hand != nil {
			look(i, at(i)+".hand.note", s.Hand.Note)
		}
	}
}

// reach finds the shortest way to each step, and the steps that nothing leads to.
func (c *checker) reach(a *analysis) {
	a.prev, a.reached = a.ways(func(int, edge) bool { return true })
	if slices.ContainsFunc(a.findings, func(f Finding) bool { return f.Rule == "target" }) {
		return // what does not exist may have been meant to lead there
	}
	for i := range a.p.Steps {
		if !a.reached[i] {
			a.bad("unreachable", i, at(i)+".id", c.f("no way leads to this step", "kein Weg führt zu diesem Schritt"), c.f("let a step go on here (next:, to:, expired: …), or remove it", "lassen Sie einen Schritt hier weitergehen (next:, to:, expired: …), oder entfernen Sie ihn"))
		}
	}
}

// ways walks from the start, breadth first, along the edges that may be taken (each out of a step).
func (a *analysis) ways(may func(int, edge) bool) ([]back, []bool) {
	prev := make([]back, len(a.p.Steps))
	seen := make([]bool, len(a.p.Steps))
	seen[0], prev[0] = true, back{from: -1}
	queue := []int{0}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, e := range a.edges[i] {
			if e.to >= 0 && !seen[e.to] && may(i, e) {
				seen[e.to] = true
				prev[e.to] = back{i, e}
				queue = append(queue, e.to)
			}
		}
	}
	return prev, seen
}

// loop finds cycles that no answer of a customer is needed for: a machine that talks to itself, to an out-of-office reply
// or to somebody who is long gone. It also bounds how many steps are done at once.
func (c *checker) loop(a *analysis) {
	state := make([]int, len(a.p.Steps))
	var path []back
	var visit func(i int)
	visit = func(i int) {
		state[i] = 1
		for _, e := range a.edges[i] {
			if e.choice || e.to < 0 {
				continue
			}
			path = append(path, back{i, e})
			switch state[e.to] {
			case 0:
				visit(e.to)
			case 1:
				a.loops = true
				cycle := path
				for k := range path {
					if path[k].from == e.to {
						cycle = path[k:]
						break
					}
				}
				f := a.bad("loop", e.to, at(e.to), c.f("this goes round without an answer of the customer", "das läuft im Kreis, ohne dass der Kunde antwortet"), c.f("put a question into it, or leave it after a while: to a person (hand:) or to the end (end:)", "setzen Sie eine Frage hinein, oder verlassen Sie den Kreis: zu einem Menschen (hand:) oder zum Ende (end:)"))
				f.Story = c.story(a, a.prev, e.to, "")
				f.Story = f.Story[:len(f.Story)-1]
				for _, b := range cycle {
					f.Story = append(f.Story, c.leaves(a, b)...)
				}
				f.Story = append(f.Story, c.f("Back at %s, and so on.", "Zurück bei %s, und so weiter.", c.quote(a.p.Steps[e.to].ID)))
			}
			path = path[:len(path)-1]
		}
		state[i] = 2
	}
	for i := range a.p.Steps {
		if a.reached[i] && state[i] == 0 {
			visit(i)
		}
	}
	if a.loops {
		return
	}
	// The rest is a graph without cycles: the longest chains by depth-first search.
	chain := make([]int, len(a.p.Steps))
	var length func(i int) int
	length = func(i int) int {
		if chain[i] > 0 {
			return chain[i]
		}
		n := 0
		for _, e := range a.edges[i] {
			if e.to >= 0 && !e.stops && !e.choice {
				n = max(n, length(e.to))
			}
		}
		n++
		if s := &a.p.Steps[i]; s.Dialog != "" {
			if sub := c.sub(s.Dialog); sub != nil {
				n += sub.chain
			}
		}
		chain[i] = n
		return n
	}
	for i := range a.p.Steps {
		if !a.reached[i] {
			continue
		}
		a.chain = max(a.chain, length(i))
		if s := &a.p.Steps[i]; s.Dialog != "" { // the last steps of a sub-dialog, then ours
			for _, e := range a.edges[i] {
				if sub := c.sub(s.Dialog); sub != nil && e.to >= 0 && e.choice {
					a.chain = max(a.chain, sub.chain+1+length(e.to))
				}
			}
		}
	}
	if a.chain > maxSilent {
		a.bad("loop", 0, "steps", c.f("up to %d steps follow each other without a question, a call or a wait", "bis zu %d Schritte folgen aufeinander ohne Frage, Aufruf oder Warten", a.chain), c.f("%d is the most", "%d ist das Höchste", maxSilent))
	}
	a.silent = a.passes()
}

// passes reports whether there is a way from the start to an end that no answer of a customer is needed for.
func (a *analysis) passes() bool {
	_, seen := a.ways(func(_ int, e edge) bool { return !e.choice })
	for i, ok := range seen {
		if !ok {
			continue
		}
		if a.p.Steps[i].End != nil {
			return true
		}
		for _, e := range a.edges[i] {
			if e.to < 0 && !e.choice {
				return true
			}
		}
	}
	return false
}

// dataflow finds variables that are used where they need not be set.
func (c *checker) dataflow(a *analysis) {
	n := len(a.order)
	a.flow = make([]*bits, len(a.p.Steps))
	start := newBits(n)
	for _, in := range a.p.Inputs {
		start.put(a.names[in.Name], true)
	}
	a.flow[0] = start
	queue := []int{0}
	ends := func(b *bits) {
		if a.outs == nil {
			a.outs = b.clone()
			return
		}
		a.outs.meet(b)
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		if a.p.Steps[i].End != nil {
			continue
		}
		for _, e := range a.edges[i] {
			if e.to < 0 {
				continue
			}
			b := c.transfer(a, i, e)
			if a.flow[e.to] == nil {
				a.flow[e.to] = b
			} else if !a.flow[e.to].meet(b) {
				continue
			}
			queue = append(queue, e.to)
		}
	}
	for i := range a.p.Steps {
		if a.flow[i] == nil {
			continue
		}
		if a.p.Steps[i].End != nil {
			ends(a.flow[i])
			continue
		}
		for _, e := range a.edges[i] {
			if e.to < 0 {
				ends(c.transfer(a, i, e))
			}
		}
		c.uses(a, i)
	}
}

// transfer is what is known after a step along an edge.
func (c *checker) transfer(a *analysis, i int, e edge) *bits {
	s := &a.p.Steps[i]
	b := a.flow[i].clone()
	for _, name := range append(slices.Clone(e.yes), e.no...) {
		if k, ok := a.names[name]; ok {
			b.put(k, true)
		}
	}
	switch {
	case s.Ask != nil:
		k := a.names[s.variable()]
		switch e.what {
		case answers:
			b.put(k, !s.Ask.Optional)
		case expires:
			b.drop(k)
		}
	case s.Set != nil:
		for name := range s.Set {
			b.put(a.names[name], true)
		}
	case s.Call != nil && s.Save != "":
		if e.what == fails {
			b.drop(a.names[s.Save])
		} else {
			b.put(a.names[s.Save], true)
		}
	case s.Dialog != "":
		if s.Save != "" {
			b.put(a.names[s.Save], true)
		}
		sub := c.sub(s.Dialog)
		for name, from := range s.Out {
			k := a.names[name]
			switch j, ok := 0, false; {
			case sub == nil:
				b.put(k, true) // told elsewhere
			default:
				if j, ok = sub.names[from]; ok && sub.outs != nil && sub.outs.isSet(j) {
					b.put(k, sub.outs.isReal(j))
				} else {
					b.drop(k)
				}
			}
		}
	}
	return b
}

func (c *checker) uses(a *analysis, i int) {
	told := map[string]bool{}
	check := func(path, text string, x *expression, shown bool, refined *bits) {
		for _, u := range x.uses {
			k, ok := a.names[u.name]
			if !ok || u.how == usesAsked || told[u.name] {
				continue
			}
			how := u.how
			if shown && x.bare == u.name {
				how = usesShown
			}
			switch {
			case !refined.isSet(k):
				told[u.name] = true
				f := a.bad("variable", i, path, c.f("%s uses %s, which is not set on every way here", "%s benutzt %s, was nicht auf jedem Weg hierher gesetzt ist", c.quote(clip(text, 60)), c.quote(u.name)), c.f("set it on each way, or ask first with answered(%s)", "setzen Sie es auf jedem Weg, oder fragen Sie vorher mit answered(%s)", u.name))
				f.Story = c.unset(a, i, k)
			case how == usesValue && !refined.isReal(k):
				told[u.name] = true
				f := a.bad("variable", i, path, c.f("%s needs %s, which the customer may leave out", "%s braucht %s, was der Kunde auslassen darf", c.quote(clip(text, 60)), c.quote(u.name)), c.f("ask first with answered(%s), or make the question obligatory", "fragen Sie vorher mit answered(%s), oder machen Sie die Frage zur Pflicht", u.name))
				f.Story = c.story(a, a.prev, i, "")
			}
		}
	}
	no := a.flow[i].clone()
	for _, s := range a.p.Steps[i].sites(nil, i) {
		if s.want >= wantText {
			t := a.c.templates[s.text]
			if t == nil {
				continue
			}
			for _, part := range t.parts {
				if part.expr != nil {
					check(s.path, part.source, part.expr, s.want == wantText, a.flow[i])
				}
			}
			continue
		}
		x := a.c.exprs[s.text]
		if x == nil {
			continue
		}
		check(s.path, s.text, x, s.want == wantAny && strings.Contains(s.path, ".call.body."), no)
		if s.want == wantBool { // the ways below know that it was not true
			for _, name := range x.no {
				if k, ok := a.names[name]; ok {
					no.put(k, true)
				}
			}
		}
	}
}

// unset is the story of a way to a step on which a variable is not set.
func (c *checker) unset(a *analysis, i, k int) []string {
	// Walk over pairs (step, is it set).
	type node struct {
		step int
		set  bool
	}
	type link struct {
		from node
		e    edge
	}
	begin := node{0, false}
	for _, in := range a.p.Inputs {
		if a.names[in.Name] == k {
			begin.set = true
		}
	}
	prev := map[node]link{begin: {from: node{-1, false}}}
	queue := []node{begin}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		if n.step == i && !n.set {
			var links []link
			for at := n; prev[at].from.step >= 0; at = prev[at].from {
				links = append(links, prev[at])
			}
			slices.Reverse(links)
			out := c.begins(a)
			for _, l := range links {
				out = append(out, c.leaves(a, back{l.from.step, l.e})...)
			}
			return append(out, c.arrives(a, i))
		}
		for _, e := range a.edges[n.step] {
			if e.to < 0 {
				continue
			}
			// The same transfer as in the proof, for this one variable.
			keep := a.flow[n.step]
			b := newBits(len(a.order))
			if n.set {
				b.put(k, true)
			}
			a.flow[n.step] = b
			after := c.transfer(a, n.step, e).isSet(k)
			a.flow[n.step] = keep
			next := node{e.to, after}
			if _, seen := prev[next]; !seen {
				prev[next] = link{n, e}
				queue = append(queue, next)
			}
		}
	}
	return c.story(a, a.prev, i, "")
}

// silence finds out how long ago the customer's last message may be at each step.
func (c *checker) silence(a *analysis) {
	a.elapsed = make([]time.Duration, len(a.p.Steps))
	if a.loops {
		return
	}
	fresh := make([]time.Duration, len(a.p.Steps)) // since the start, while the customer was not heard in here; -1
	heard := make([]time.Duration, len(a.p.Steps)) // since the customer was heard in here; -1
	for i := range fresh {
		fresh[i], heard[i] = -1, -1
	}
	fresh[0] = 0
	through, atEnd := time.Duration(-1), time.Duration(-1)
	raise := func(to int, f, h time.Duration) bool {
		if to < 0 {
			through, atEnd = max(through, f), max(atEnd, h)
			return false
		}
		f, h = min(f, longest), min(h, longest)
		if f <= fresh[to] && h <= heard[to] {
			return false
		}
		fresh[to], heard[to] = max(fresh[to], f), max(heard[to], h)
		return true
	}
	plus := func(a, b time.Duration) time.Duration {
		if a < 0 {
			return -1
		}
		return a + b
	}
	queue := []int{0}
	for n := 0; len(queue) > 0 && n < 100_000; n++ {
		i := queue[0]
		queue = queue[1:]
		s := &a.p.Steps[i]
		f, h := fresh[i], heard[i]
		if s.End != nil {
			raise(-1, f, h)
			continue
		}
		for _, e := range a.edges[i] {
			ef, eh := f, h
			switch {
			case e.what == answers && s.Ask.Default == nil, e.what == misses, e.what == writes:
				ef, eh = -1, 0
			case e.what == answers: // or nobody answered, and the default counts
				ef, eh = plus(f, expiry(s.Ask)), max(plus(h, expiry(s.Ask)), 0)
			case e.what == expires:
				ef, eh = plus(f, expiry(s.Ask)), plus(h, expiry(s.Ask))
			case e.what == passes:
				ef, eh = plus(f, longestWait(s.Wait)), plus(h, longestWait(s.Wait))
			case s.Call != nil:
				ef, eh = plus(f, maxTimeout*maxTries), plus(h, maxTimeout*maxTries)
			case s.Dialog != "":
				if sub := c.sub(s.Dialog); sub != nil {
					if sub.through >= 0 {
						ef, eh = plus(f, sub.through), plus(h, sub.through)
					} else {
						ef, eh = -1, -1
					}
					eh = max(eh, sub.atEnd)
				}
			}
			if raise(e.to, ef, eh) {
				queue = append(queue, e.to)
			}
		}
	}
	a.through, a.atEnd = through, atEnd
	for i := range a.p.Steps {
		a.elapsed[i] = max(fresh[i], heard[i])
		s := &a.p.Steps[i]
		if fresh[i] < 0 || s.Late != "" {
			continue
		}
		switch {
		case s.Say != nil || s.Ask != nil:
			a.firstLate = max(a.firstLate, fresh[i])
			if s.Ask != nil && s.Ask.Remind > 0 {
				a.firstLate = max(a.firstLate, fresh[i]+s.Ask.Remind.Std())
			}
		case s.Dialog != "":
			if sub := c.sub(s.Dialog); sub != nil && sub.firstLate >= 0 {
				a.firstLate = max(a.firstLate, fresh[i]+sub.firstLate)
			}
		}
	}
}

// program proves one program on all media.
func (c *checker) program(p *Program) []Finding {
	a := c.analyse(p)
	out := slices.Clone(a.findings)
	if len(p.Start) > 0 {
		for i := range p.Inputs {
			if in := &p.Inputs[i]; in.Default == nil {
				out = append(out, p.finding("start", -1, "inputs."+strconv.Itoa(i),
					c.f("customers begin it by a word, but nobody gives them %s then", "Kunden beginnen ihn mit einem Wort, aber %s gibt dann niemand", c.quote(in.Name)),
					c.f("give it a default, ask for it in a step, or take out start:", "geben Sie einen Vorgabewert, fragen Sie danach in einem Schritt, oder nehmen Sie start: heraus")))
			}
		}
	}
	if len(p.Steps) > 0 {
		out = append(out, c.onMedia(a)...)
	}
	for i := range out {
		if out[i].Story == nil && out[i].Step != "" {
			if k, ok := a.c.byID[out[i].Step]; ok && k < len(a.reached) && a.reached[k] {
				out[i].Story = c.story(a, a.prev, k, "")
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].Line != out[j].Line {
			return out[i].Line < out[j].Line
		}
		return out[i].Column < out[j].Column
	})
	return out
}

// group is media that carry the same.
type group struct {
	caps  channel.Capabilities
	kinds []channel.Kind
}

func (c *checker) groups(a *analysis) []group {
	var out []group
	index := map[channel.Capabilities]int{}
	for _, k := range c.kindsOf(a.p) {
		caps := c.media[k].Capabilities
		if i, ok := index[caps]; ok && !a.byKind {
			out[i].kinds = append(out[i].kinds, k)
			continue
		}
		index[caps] = len(out)
		out = append(out, group{caps, []channel.Kind{k}})
	}
	return out
}

// fault is one thing that is wrong on media: told once, with all of them.
type fault struct {
	step               int
	code, option, more string
}

// onMedia renders every reachable step on every medium: does it fit, can it be answered, may it still be sent?
func (c *checker) onMedia(a *analysis) []Finding {
	samples := make([]*ask.Say, len(a.p.Steps))
	first := a.firstWords()
	var out []Finding
	var kinds [][]channel.Kind
	var messages []string
	told := map[fault]int{}
	for _, g := range c.groups(a) {
		prev, reached := a.prev, a.reached
		if a.byMedium {
			prev, reached = c.waysOn(a, g)
		}
		report := func(rule, path, language string, key fault, message, remedy string) {
			if k, ok := told[key]; ok {
				if len(kinds[k]) == 0 || !slices.Contains(kinds[k], g.kinds[0]) {
					kinds[k] = append(kinds[k], g.kinds...)
				}
				return
			}
			told[key] = len(out)
			f := a.p.finding(rule, key.step, path, "", remedy)
			f.Kind, f.Language = g.kinds[0], language
			f.Story = c.story(a, prev, key.step, c.title(g.kinds[0]))
			out, kinds, messages = append(out, f), append(kinds, slices.Clone(g.kinds)), append(messages, message)
		}
		for i := range a.p.Steps {
			if !reached[i] {
				continue
			}
			s := &a.p.Steps[i]
			if g.caps.Window > 0 && s.Late == "" && !a.loops {
				c.late(a, i, g, report)
			}
			if s.Say == nil && s.Ask == nil {
				continue
			}
			if samples[i] == nil {
				say := c.sample(a, i)
				if first[i] {
					say.Introduce = "Muster Versicherungsmakler GmbH"
				}
				samples[i] = &say
			}
			for _, tag := range a.p.Languages {
				o := ask.Options{Language: tag, Zone: "Europe/Berlin", Code: sampleCode, Phone: "+49 30 1234567"}
				if !c.o.NoPage {
					o.URL = "https://kontakt.muster-gmbh.de/a/" + sampleCode
				}
				r := ask.Render(*samples[i], g.caps, o)
				if g.caps.Paper && s.Ask != nil && !strings.Contains(r.Text+r.Foot, ask.GroupCode(sampleCode)) {
					r.Problems = append(r.Problems, ask.RenderProblem{Code: "no_reply", Detail: c.f("the paper does not carry its answer code", "auf dem Papier steht kein Antwort-Code")})
				}
				for _, problem := range r.Problems {
					rule, message, remedy := c.rendering(s, r, problem)
					if rule == "" {
						continue
					}
					path := at(i)
					if s.Ask != nil {
						path += ".ask"
						if k := slices.IndexFunc(s.Ask.Options, func(o ask.Option) bool { return o.Key == problem.Option }); k >= 0 && problem.Option != "" {
							path += ".options." + strconv.Itoa(k)
						}
					}
					report(rule, path, tag, fault{i, problem.Code, problem.Option, message}, message, remedy)
				}
			}
		}
	}
	for k := range out {
		out[k].Message = c.f("on %s: %s", "über %s: %s", c.titles(kinds[k]), messages[k])
		if n := len(out[k].Story); n > 0 {
			out[k].Story[n-1] += " " + c.f("On %s: %s.", "Über %s: %s.", c.title(out[k].Kind), strings.TrimSuffix(messages[k], "."))
		}
	}
	return out
}

const sampleCode = "k7f3mq9xw2hd"

// titles names media, a few of them in full.
func (c *checker) titles(kinds []channel.Kind) string {
	var names []string
	for _, k := range kinds {
		if t := c.title(k); !slices.Contains(names, t) {
			names = append(names, t)
		}
	}
	if len(names) > 4 {
		return strings.Join(names[:3], ", ") + c.f(" and %d more", " und %d weitere", len(names)-3)
	}
	return strings.Join(names, ", ")
}

// waysOn is the graph on a medium: branches that ask what it can are decided.
func (c *checker) waysOn(a *analysis, g group) ([]back, []bool) {
	env := &Env{Now: sampleTime, Channel: g.kinds[0], Medium: g.caps, Language: a.p.Languages[0]}
	sc := &scope{nil, env, env.Language}
	decided := map[*expression]any{}
	truth := func(x *expression) (is, known bool) {
		v, ok := decided[x]
		if !ok {
			v, _ = x.eval(sc)
			decided[x] = v
		}
		is, known = v.(bool)
		return is, known
	}
	taken := map[int][]bool{} // branch → which ways may be taken
	for i := range a.p.Steps {
		if a.p.Steps[i].Branch == nil {
			continue
		}
		may := make([]bool, len(a.p.Steps[i].Branch))
		for k, way := range a.p.Steps[i].Branch {
			x := a.c.exprs[way.If]
			if way.If == "" || x == nil {
				may[k] = true
				continue
			}
			if _, medium := x.ofMedium(); medium {
				is, known := truth(x)
				if known && !is {
					continue
				}
				may[k] = true
				if known {
					break // what stands below is not reached
				}
				continue
			}
			may[k] = true
		}
		taken[i] = may
	}
	return a.ways(func(i int, e edge) bool { return e.what != chooses || taken[i][e.index] })
}

var sampleTime = time.Date(2026, 11, 26, 14, 30, 0, 0, time.UTC)

// late finds what is said when a medium lets nobody write any more.
func (c *checker) late(a *analysis, i int, g group, report func(rule, path, language string, key fault, message, remedy string)) {
	s := &a.p.Steps[i]
	remedy := c.f("add late: elsewhere (by another of the customer's channels, or a person)", "fügen Sie late: elsewhere hinzu (über einen anderen Kanal des Kunden, oder ein Mensch)")
	if g.caps.Templates {
		remedy += c.f(", or late: template:NAME with an approved template", ", oder late: template:NAME mit einer freigegebenen Vorlage")
	}
	window := c.span(g.caps.Window)
	switch {
	case (s.Say != nil || s.Ask != nil) && a.elapsed[i] > g.caps.Window:
		report("reply", at(i), "", fault{step: i, code: "window"}, c.f("the customer's last message may be %s old here, and after %s nobody may write freely", "die letzte Nachricht des Kunden kann hier %s her sein, und nach %s darf niemand mehr frei schreiben", c.span(a.elapsed[i]), window), remedy)
	case s.Ask != nil && s.Ask.Remind > 0 && a.elapsed[i]+s.Ask.Remind.Std() > g.caps.Window:
		report("reply", at(i)+".ask.remind", "", fault{step: i, code: "remind"}, c.f("the reminder comes after %s, and after %s nobody may write freely", "die Erinnerung kommt nach %s, und nach %s darf niemand mehr frei schreiben", c.span(s.Ask.Remind.Std()), window), remedy)
	case s.Dialog != "":
		if sub := c.sub(s.Dialog); sub != nil && sub.firstLate >= 0 && a.elapsed[i] > 0 && a.elapsed[i]+sub.firstLate > g.caps.Window && sub.firstLate <= g.caps.Window {
			report("reply", at(i)+".run", "", fault{step: i, code: "window"}, c.f("when %s speaks first, the customer's last message may be %s old, and after %s nobody may write freely", "wenn %s zuerst spricht, kann die letzte Nachricht des Kunden %s her sein, und nach %s darf niemand mehr frei schreiben", c.quote(s.Dialog), c.span(a.elapsed[i]+sub.firstLate), window), c.f("let the customer answer before, or give the first steps of %s late: elsewhere", "lassen Sie den Kunden vorher antworten, oder geben Sie den ersten Schritten von %s late: elsewhere", c.quote(s.Dialog)))
		}
	}
}

// rendering makes a finding of what the rendering could not do; rule "" = nothing to find.
func (c *checker) rendering(s *Step, r ask.Rendered, p ask.RenderProblem) (rule, message, remedy string) {
	switch p.Code {
	case "language_missing": // found by the texts
		return "", "", ""
	case "no_person":
		return "person", c.f("no person can be reached", "kein Mensch ist erreichbar"), c.f("leave the medium out (channels:), or give the organisation a telephone number", "nehmen Sie das Medium aus (channels:), oder geben Sie der Organisation eine Telefonnummer")
	case "label_too_long":
		if r.Way != ask.Numbered && r.Way != ask.Page && r.Way != ask.Links {
			return "", "", "" // a list took it
		}
		return "reply", c.f("the label of %s does not fit: %s", "die Beschriftung von %s passt nicht: %s", c.quote(p.Option), p.Detail), c.f("give the option a short label (short:) that fits", "geben Sie der Antwort eine kurze Beschriftung (short:), die passt")
	case "too_many_options":
		return "reply", c.f("too many answers to choose from: %s", "zu viele Antworten zur Auswahl: %s", p.Detail), c.f("9 are the most; ask in two steps", "9 sind das Höchste; fragen Sie in zwei Schritten")
	case "text_too_long":
		if s.Ask == nil {
			return "", "", "" // what is only said is split
		}
		if r.Way == ask.Buttons || r.Way == ask.List || r.Way == ask.Native || r.Way == ask.Page {
			return "", "", ""
		}
		return "reply", c.f("the question is too long: %s", "die Frage ist zu lang: %s", p.Detail), c.f("say less, or say a part of it in a step before (say:)", "sagen Sie weniger, oder einen Teil davon in einem Schritt davor (say:)")
	case "person_only":
		return "reply", c.f("it cannot be answered: %s", "es lässt sich nicht beantworten: %s", p.Detail), c.f("branch before: - {if: \"can.spoken\", to: …} to a person (hand:) or to a question with choices", "verzweigen Sie davor: - {if: \"can.spoken\", to: …} zu einem Menschen (hand:) oder zu einer Frage mit Auswahl")
	default: // no_reply, needs_page, and what comes later
		return "reply", c.f("it cannot be answered: %s", "es lässt sich nicht beantworten: %s", p.Detail), c.f("branch before on what the medium can (can.upload, can.links, can.spoken …), or leave the medium out (channels:)", "verzweigen Sie davor nach dem, was das Medium kann (can.upload, can.links, can.spoken …), oder nehmen Sie es aus (channels:)")
	}
}

// firstWords are the steps that may be the first to speak: the machine introduces itself there.
func (a *analysis) firstWords() []bool {
	speaks := func(i int) bool { return a.p.Steps[i].Say != nil || a.p.Steps[i].Ask != nil }
	_, out := a.ways(func(i int, _ edge) bool { return !speaks(i) })
	for i := range out {
		out[i] = out[i] && speaks(i)
	}
	return out
}

// sample is what a step says, with values of a usual length in place of its expressions, and free times in its slots.
func (c *checker) sample(a *analysis, i int) ask.Say {
	s := &a.p.Steps[i]
	fill := func(t ask.Texts) ask.Texts {
		plain := true
		for _, w := range t {
			plain = plain && !isTemplate(w.Text)
		}
		if plain {
			return t
		}
		out := make(ask.Texts, len(t))
		for tag, w := range t {
			if parts, err := splitTemplate(w.Text); err == nil && isTemplate(w.Text) {
				var b strings.Builder
				for _, p := range parts.parts {
					switch {
					case p.source == "":
						b.WriteString(p.text)
					default:
						b.WriteString(c.sampleValue(a, p.source, tag))
					}
				}
				w.Text = b.String()
			}
			out[tag] = w
		}
		return out
	}
	out := ask.Say{Text: fill(s.Say), Person: true}
	if s.Ask == nil {
		return out
	}
	q := *s.Ask
	q.Options = slices.Clone(q.Options)
	for _, t := range []*ask.Texts{&q.Text, &q.Short, &q.Hint, &q.Retry, &q.Yes, &q.No} {
		*t = fill(*t)
	}
	for k := range q.Options {
		o := &q.Options[k]
		o.Label, o.Short, o.Description = fill(o.Label), fill(o.Short), fill(o.Description)
	}
	if q.Kind == ask.Slot && len(q.Options) == 0 {
		for k := range 6 {
			t := sampleTime.Add(time.Duration(k) * 26 * time.Hour)
			q.Options = append(q.Options, ask.Option{Key: "slot-" + strconv.Itoa(k), Start: t, End: t.Add(30 * time.Minute)})
		}
	}
	if isTemplate(q.URL) {
		q.URL = "https://pay.example.org/x"
	}
	out.Ask = &q
	return out
}

func (c *checker) sampleValue(a *analysis, source, language string) string {
	german := strings.HasPrefix(language, "de")
	var typ *cel.Type
	if x, err := expressions.compile(source, a.c.types); err == nil {
		typ = x.typ
		if x.bare != "" { // the longest of its labels
			best := ""
			for i := range a.p.Steps {
				if s := &a.p.Steps[i]; s.Ask != nil && s.variable() == x.bare {
					for _, o := range s.Ask.Options {
						if l := o.Label.Get(language); len(l) > len(best) && !isTemplate(l) {
							best = l
						}
					}
				}
			}
			if best != "" {
				return best
			}
		}
	}
	if typ != nil && typ.IsEquivalentType(cel.TimestampType) {
		if german {
			return "Donnerstag, 26. November 2026, 14:30 Uhr"
		}
		return "Thursday, 26 November 2026, 2:30 p.m."
	}
	if typ != nil && (typ.IsEquivalentType(cel.IntType) || typ.IsEquivalentType(cel.DoubleType)) {
		return "12,345"
	}
	return "Musterbeispiel"
}
