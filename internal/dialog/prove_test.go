package dialog

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

// author writes dialogs at random: most of them sound, some not. It takes no care that the prover would: what is not
// accepted is thrown away.
type author struct {
	*rand.Rand
	subs []*Program
}

func (a *author) pick(list ...string) string { return list[a.IntN(len(list))] }

func (a *author) chance(percent int) bool { return a.IntN(100) < percent }

func (a *author) texts(what string, vars []string) ask.Texts {
	t := ask.Texts{}
	for _, tag := range []string{"de", "en"} {
		s := what
		if len(vars) > 0 && a.chance(30) {
			v := vars[a.IntN(len(vars))]
			s += " " + a.pick("{{ "+v+" }}", "{{ format("+v+") }}", "{{ answered("+v+") ? format("+v+") : '–' }}")
		}
		t[tag] = ask.Words{Text: s + map[string]string{"de": " bitte", "en": " please"}[tag], Machine: a.chance(5)}
	}
	return t
}

func (a *author) question(vars []string) *ask.Ask {
	q := &ask.Ask{Text: a.texts("Was?", vars)}
	switch a.IntN(12) {
	case 0, 1, 2:
		q.Kind = ask.YesNo
	case 3, 4, 5:
		q.Kind = ask.OneOf
		for i := range 2 + a.IntN(4) {
			q.Options = append(q.Options, ask.Option{Key: "k" + strconv.Itoa(i), Label: ask.Plain("de", "Wahl "+strconv.Itoa(i), "en", "Choice "+strconv.Itoa(i))})
		}
	case 6:
		q.Kind = ask.ManyOf
		for i := range 3 {
			q.Options = append(q.Options, ask.Option{Key: "m" + strconv.Itoa(i), Label: ask.Plain("de", "Teil "+strconv.Itoa(i), "en", "Part "+strconv.Itoa(i))})
		}
	case 7:
		q.Kind = ask.Number
		q.Decimals = a.IntN(2) * 2
	case 8:
		q.Kind = ask.Date
	case 9:
		q.Kind, q.Calendar = ask.Slot, "c"
	case 10:
		q.Kind = ask.Rating
	case 11:
		q.Kind = []ask.Kind{ask.Text, ask.Phone, ask.File, ask.Email}[a.IntN(4)]
	}
	q.Optional = a.chance(15)
	if a.chance(30) {
		q.Expires = ask.Duration(time.Duration(1+a.IntN(20)) * 24 * time.Hour)
	}
	if q.Kind == ask.YesNo && a.chance(15) {
		no := false
		q.Default = &ask.Value{Yes: &no}
	}
	return q
}

func (a *author) write(key string, size int) *Program {
	p := &Program{Key: key, Title: ask.Plain("de", "Zufall", "en", "Random"), Languages: []string{"de", "en"}, places: map[string]place{"": {1, 1}}}
	if a.chance(40) {
		p.Inputs = []Variable{{Name: "name", Type: "text", Default: "Anna"}, {Name: "at", Type: "date_time", Default: "2026-11-27T10:00"}}
	}
	vars := []string{}
	for _, in := range p.Inputs {
		vars = append(vars, in.Name)
	}
	id := func(i int) string { return "s" + strconv.Itoa(i) }
	// Mostly onwards, sometimes back: what goes round without the customer is thrown away by the prover.
	to := func(i int) string {
		if a.chance(12) {
			return id(a.IntN(size))
		}
		return id(min(size-1, i+1+a.IntN(3)))
	}
	for i := range size {
		s := Step{ID: id(i), Late: ""}
		kind := a.IntN(20)
		if i == size-1 {
			kind = 18 + a.IntN(2)
		}
		switch {
		case kind < 3:
			s.Say = a.texts("Hinweis", vars)
			s.Late = a.pick("", "elsewhere", "elsewhere", "elsewhere", "template:hinweis")
		case kind < 10:
			s.Ask = a.question(vars)
			s.Late = a.pick("", "elsewhere", "elsewhere", "elsewhere")
			s.Save = "v" + strconv.Itoa(i)
			vars = append(vars, s.Save)
			if a.chance(20) && s.Ask.Default == nil {
				s.Expired = to(i)
			}
			if a.chance(20) {
				s.Unclear = to(i)
			}
			if a.chance(20) {
				s.Say = a.texts("Zuerst", vars[:len(vars)-1])
			}
		case kind < 13:
			n := 1 + a.IntN(2)
			for range n {
				cond := a.pick("can.upload", "can.spoken", "channel == 'email'", "now() > timestamp('2026-12-24T00:00:00Z')", "language == 'de'")
				if len(vars) > 0 && a.chance(70) {
					v := vars[a.IntN(len(vars))]
					cond = a.pick("answered("+v+")", "!answered("+v+")", "answered("+v+") && format("+v+") != ''", "size(format("+v+")) > 3")
				}
				s.Branch = append(s.Branch, Case{If: cond, To: to(i)})
			}
			s.Branch = append(s.Branch, Case{To: to(i)})
		case kind < 14:
			v := "w" + strconv.Itoa(i)
			s.Set = map[string]string{v: a.pick("1", "'Wort'", "now()", "customer.name + '!'", "[1, 2, 3].map(x, x * 2)", "true")}
			vars = append(vars, v)
		case kind < 15:
			s.Call = &Call{URL: "https://api.example.org/x/{{ language }}?c={{ channel }}", Body: map[string]string{"who": "customer.name", "at": "now()"}}
			s.Failed = to(i)
			if a.chance(70) {
				s.Save = "c" + strconv.Itoa(i)
				vars = append(vars, s.Save)
			}
		case kind < 17:
			switch a.IntN(3) {
			case 0:
				s.Wait = &Wait{For: ask.Duration(time.Duration(1+a.IntN(60)) * time.Hour)}
			case 1:
				s.Wait = &Wait{Until: "now() + duration('5h')", Most: ask.Duration(48 * time.Hour)}
			default:
				s.Wait = &Wait{Open: true, Most: ask.Duration(96 * time.Hour)}
			}
			if a.chance(30) {
				s.Wrote = to(i)
			}
		case kind < 18 && len(a.subs) > 0:
			sub := a.subs[a.IntN(len(a.subs))]
			s.Dialog = sub.Key
			if len(sub.Outputs) > 0 {
				v := "o" + strconv.Itoa(i)
				s.Out = map[string]string{v: sub.Outputs[0]}
				vars = append(vars, v)
			}
			if len(sub.Inputs) > 0 && a.chance(50) {
				s.With = map[string]string{"name": "customer.name"}
			}
		case kind < 19:
			s.Hand = &Hand{Staff: a.pick("", "advisor"), Note: a.texts("Notiz", vars)}
		default:
			s.End = &End{Outcome: a.pick("", "good"), Close: a.chance(30)}
		}
		switch s.Kind() {
		case "say", "ask", "set", "call", "wait", "run":
			if a.chance(30) {
				s.Next = to(i)
			}
		}
		p.Steps = append(p.Steps, s)
	}
	if len(vars) > 0 && a.chance(60) {
		p.Outputs = []string{vars[len(vars)-1]}
	}
	// What nothing leads to would only be refused.
	for {
		c := newChecker([]*Program{p}, nil, CheckOptions{})
		an := &analysis{p: p}
		an.c, _ = compileProgram(p, c.types, func(site, *expressionError) {})
		c.graph(an)
		_, seen := an.ways(func(int, edge) bool { return true })
		if !slices.Contains(seen, false) {
			return p
		}
		kept := p.Steps[:0:0]
		for i, ok := range seen {
			if ok {
				s := p.Steps[i]
				if s.Next == "" && i+1 < size && s.Branch == nil && s.Hand == nil && s.End == nil && i+1 < len(p.Steps) {
					s.Next = p.Steps[i+1].ID // what stood below may go
				}
				kept = append(kept, s)
			}
		}
		p.Steps = kept
	}
}

// client answers at random, on channels at random.
type client struct {
	*rand.Rand
	t        *testing.T
	m        *Machine
	media    map[channel.Kind]channel.Medium
	kinds    []channel.Kind
	env      Env
	switched bool // the channel was changed after a branch may have looked at it
	story    []string
}

func (c *client) fail(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(c.story, "\n"))
}

func (c *client) note(format string, args ...any) {
	c.story = append(c.story, fmt.Sprintf(format, args...))
}

func (c *client) use(k channel.Kind) {
	c.env.Channel, c.env.Medium = k, c.media[k].Capabilities
}

const testCode = "23456789abcd"

// hear looks at what the machine does, and gives the question that is put.
func (c *client) hear(s State, effects []Effect, spoke bool) *ask.Ask {
	var question *ask.Ask
	for i, e := range effects {
		set := 0
		for _, is := range []bool{e.Say != nil, e.Call != nil, e.Hand != nil, e.Close} {
			if is {
				set++
			}
		}
		if set != 1 {
			c.fail("effect %d says %d things", i, set)
		}
		switch {
		case e.Say != nil:
			if !e.Say.Person {
				c.fail("a message does not say how to reach a person")
			}
			if (e.Say.Introduce != "") == spoke {
				c.fail("the machine introduces itself: %q, has spoken: %t", e.Say.Introduce, spoke)
			}
			spoke = true
			if q := e.Say.Ask; q != nil { // as the shell does it
				if q.Kind == ask.Slot && len(q.Options) == 0 {
					for i := range 3 {
						at := c.env.Now.Add(time.Duration(24*(i+1)) * time.Hour).Truncate(time.Hour)
						q.Options = append(q.Options, ask.Option{Key: "f" + strconv.Itoa(i), Start: at, End: at.Add(time.Hour), Label: ask.Plain("de", at.Format("2.1. 15:04"), "en", at.Format("2 Jan 15:04"))})
					}
				}
			}
			r := ask.Render(*e.Say, c.env.Medium, ask.Options{Language: c.env.Language, Zone: "Europe/Berlin", Code: testCode, URL: "https://a.example.org/a/" + testCode, Phone: "+49 30 1"})
			if strings.TrimSpace(r.Text) == "" {
				c.fail("a message without words on %s", c.env.Channel)
			}
			if e.Say.Ask == nil {
				continue
			}
			question = e.Say.Ask
			for _, p := range r.Problems {
				switch p.Code {
				case "no_reply", "no_person", "needs_page", "person_only", "too_many_options":
					if !c.switched {
						c.fail("on %s: %s %s", c.env.Channel, p.Code, p.Detail)
					}
				}
			}
		case e.Hand != nil:
			if e.Hand.Why == "error" {
				c.fail("a dialog that was proved fails: %s", e.Hand.Note)
			}
			if s.Status != Handed || i != len(effects)-1 {
				c.fail("handed over, but goes on")
			}
		}
	}
	switch s.Status {
	case Asking:
		if question == nil {
			c.fail("it waits for an answer to nothing")
		}
	case Waiting:
		if !s.WakeAt.After(c.env.Now) || s.WakeAt.After(c.env.Now.Add(maxWait)) {
			c.fail("it waits until %s at %s", s.WakeAt, c.env.Now)
		}
	case Calling:
		if len(effects) == 0 || effects[len(effects)-1].Call == nil || effects[len(effects)-1].Call.Turn != s.Turn {
			c.fail("it waits for a call that is not made")
		}
	case Handed, Ended:
	default:
		c.fail("it stands still: %q", s.Status)
	}
	return question
}

// live runs one dialog to its end.
func (c *client) live(p *Program, steps int) {
	c.use(c.kinds[c.IntN(len(c.kinds))])
	s, effects, err := c.m.Start(p.Key, nil, c.env)
	if err != nil {
		c.fail("start: %v", err)
	}
	question := c.hear(s, effects, false)
	patience := 40 + c.IntN(40)
	for n := 0; !s.Over(); n++ {
		if n > patience+3*steps+10 {
			c.fail("the customer has been silent since turn %d, and it is turn %d", patience, n)
		}
		silent := n > patience
		b, err := json.Marshal(s)
		if err != nil {
			c.fail("store: %v", err)
		}
		var back State
		if err := json.Unmarshal(b, &back); err != nil {
			c.fail("restore: %v", err)
		}
		if again, _ := json.Marshal(back); string(again) != string(b) {
			c.fail("stored and restored it is something else:\n%s\n%s", b, again)
		}
		s = back
		if !silent && c.IntN(10) == 0 {
			c.use(c.kinds[c.IntN(len(c.kinds))])
			c.switched = true
			c.note("goes on by %s", c.env.Channel)
		}
		c.env.Now = c.env.Now.Add(time.Duration(c.IntN(3600)) * time.Second)
		var e Event
		switch s.Status {
		case Asking:
			e = c.answer(question, silent)
		case Waiting:
			switch x := c.IntN(10); {
			case silent || x < 6:
				if s.WakeAt.After(c.env.Now) {
					if after, fx := c.m.Next(s, Event{Woke: true}, c.env); len(fx) > 0 || after.Turn != s.Turn {
						c.fail("it wakes before its time")
					}
					c.env.Now = s.WakeAt
				}
				e = Event{Woke: true}
			case x < 9:
				e = Event{Wrote: true}
			default:
				e = Event{Person: true}
			}
		case Calling:
			if after, fx := c.m.Next(s, Event{Call: &CallResult{Turn: s.Turn - 1, OK: true}}, c.env); len(fx) > 0 || after.Turn != s.Turn {
				c.fail("the answer to another call counts")
			}
			values := []any{nil, true, 3.5, "ja", map[string]any{"$time": "kaputt", "a": []any{1.0, "x"}}, []any{}}
			e = Event{Call: &CallResult{Turn: s.Turn, OK: !silent && c.IntN(3) > 0, Value: values[c.IntN(len(values))], Error: "timeout"}}
		}
		b, _ = json.Marshal(e)
		c.note("%d %s at %s by %s: %s", n, s.Status, s.Frames[len(s.Frames)-1].Step, c.env.Channel, b)
		before := s
		one, _ := json.Marshal(before)
		s, effects = c.m.Next(s, e, c.env)
		if two, _ := json.Marshal(before); string(one) != string(two) {
			c.fail("Next changed the state that it was given")
		}
		if other, fx := c.m.Next(before, e, c.env); fmt.Sprint(len(fx), other.Turn, other.Status) != fmt.Sprint(len(effects), s.Turn, s.Status) {
			c.fail("the same event gives something else the second time")
		}
		if s.Turn == before.Turn {
			c.fail("the event changed nothing")
		}
		if e.Person && s.Status != Handed {
			c.fail("the customer asked for a person, and it is %s", s.Status)
		}
		question = c.hear(s, effects, before.Introduced)
	}
	c.note("%s %s", s.Status, s.Outcome)
	if after, fx := c.m.Next(s, Event{Wrote: true}, c.env); len(fx) > 0 || after.Turn != s.Turn {
		c.fail("it goes on after its end")
	}
}

var rubbish = []string{"???", "weiß nicht so recht", "vielleicht irgendwann einmal, mal sehen", "{{ now() }}", "\u202eabc", "9999999999999999", "ja nein vielleicht", ""}

// answer is what the customer does about a question.
func (c *client) answer(q *ask.Ask, silent bool) Event {
	if silent || c.IntN(12) == 0 {
		c.env.Now = c.env.Now.Add(expiry(q))
		if q.Default != nil {
			v := *q.Default
			v.Defaulted = true
			return Event{Answer: &v}
		}
		return Event{Expired: true}
	}
	reply := ask.Reply{}
	switch x := c.IntN(20); {
	case x == 0:
		return Event{Person: true}
	case x < 4:
		reply.Text = rubbish[c.IntN(len(rubbish))]
	case x == 4 && q.Optional:
		return Event{Answer: &ask.Value{Skipped: true}}
	default:
		switch q.Kind {
		case ask.YesNo, ask.OneOf, ask.Slot, ask.Rating:
			_, labels := q.Labels(c.env.Language, "Europe/Berlin")
			n := c.IntN(len(labels))
			reply.Text = labels[n]
			if c.IntN(2) == 0 {
				reply = ask.Reply{Payload: ask.Payload(testCode, n)}
			}
		case ask.ManyOf:
			reply.Text = "1, 3"
		case ask.Number:
			reply.Text = strconv.Itoa(c.IntN(100))
		case ask.Date:
			reply.Text = "31.12.2026"
		case ask.Phone:
			reply.Text = "030 1234567"
		case ask.Email:
			reply.Text = "anna@example.org"
		case ask.File:
			reply.Files = []ask.ReplyFile{{ID: "a1", Name: "foto.jpg", MediaType: "image/jpeg"}}
		default:
			reply.Text = "Der Wagen steht vor der Tür"
		}
	}
	out := ask.Resolve(*q, reply, ask.Context{Now: c.env.Now, Language: c.env.Language, Code: testCode})
	switch {
	case out.Problem == "" && out.Confidence >= ask.Sure:
		return Event{Answer: &out.Value}
	case out.Problem == ask.Person:
		return Event{Person: true}
	default:
		return Event{Unclear: &out}
	}
}

// What the prover accepts never gets stuck: random dialogs, random customers, random channels. RUFWEITE_LONG=1 (make
// prove) runs 100,000 of them.
func TestAcceptedDialogsNeverGetStuck(t *testing.T) {
	runs := 2000
	if os.Getenv("RUFWEITE_LONG") != "" {
		runs = 100_000
	}
	seed := uint64(20261124)
	if s := os.Getenv("RUFWEITE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	all := media()
	var kinds []channel.Kind
	for _, k := range sorted(all) {
		kinds = append(kinds, channel.Kind(k))
	}
	r := rand.New(rand.NewPCG(seed, 1))
	done, written, accepted, mutants := 0, 0, 0, 0
	rules := map[string]int{}
	ways := map[string]int{}
	for done < runs {
		a := &author{Rand: r}
		list := []*Program{}
		if a.chance(40) {
			a.subs = append(a.subs, a.write("sub", 2+a.IntN(5)))
			list = append(list, a.subs...)
		}
		p := a.write("main", 3+a.IntN(14))
		list = append(list, p)
		written++
		findings := Check(list, all, CheckOptions{})
		if len(findings) > 0 {
			rules[findings[0].Rule]++
			for _, f := range findings {
				if f.Line == 0 || f.Remedy == "" {
					t.Fatalf("a finding without a place or a remedy: %+v", f)
				}
			}
			continue
		}
		accepted++
		m, bad := Compile(list)
		if len(bad) > 0 {
			t.Fatalf("accepted, but it does not compile: %s", bad[0])
		}
		steps := 0
		for _, q := range list {
			steps += len(q.Steps)
		}
		steps *= 4 // a sub-dialog may run several times
		for range 10 {
			env := Env{Now: monday, Company: "Muster GmbH", Language: a.pick("de", "en", "de-AT", "fr"), Customer: map[string]string{"name": "Anna {{ Muster }}"},
				Open: func(t time.Time) time.Time { return t.Add(9 * time.Hour).Truncate(24 * time.Hour) }}
			c := &client{Rand: rand.New(rand.NewPCG(seed, uint64(done)+7)), t: t, m: m, media: all, kinds: kinds, env: env}
			if y, err := Marshal(p); err == nil {
				c.note("%s", y)
			}
			c.live(p, steps)
			ways[strings.Fields(c.story[len(c.story)-1])[0]]++
			done++
		}
		mutants += mutate(t, a, list, all)
	}
	t.Logf("%d dialogs written, %d accepted, %d executions (%v), %d mutants refused; refused by rule: %v", written, accepted, done, ways, mutants, rules)
	if accepted*20 < written {
		t.Errorf("only %d of %d dialogs were accepted: the test says little", accepted, written)
	}
	for _, rule := range []string{"loop", "variable", "reply"} {
		if rules[rule] == 0 {
			t.Errorf("no dialog was refused for %s: the author is too careful", rule)
		}
	}
}

// mutate breaks one thing in an accepted dialog, which the prover must find.
func mutate(t *testing.T, a *author, list []*Program, all map[channel.Kind]channel.Medium) int {
	t.Helper()
	p := list[len(list)-1]
	i := a.IntN(len(p.Steps))
	b, err := Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	q, bad := Load("mutant", b)
	if q == nil {
		t.Fatalf("what was accepted cannot be written and read: %s\n%s", bad[0], b)
	}
	s := &q.Steps[i]
	want := ""
	switch s.Kind() {
	case "say":
		switch a.IntN(3) {
		case 0:
			s.Say["de"], want = ask.Words{}, "language"
		case 1:
			s.Say["en"], want = ask.Words{Text: "{{ gibt_es_nicht }}"}, "variable"
		default:
			s.Next, want = s.ID, "loop"
		}
	case "ask":
		switch a.IntN(3) {
		case 0:
			delete(s.Ask.Text, "en")
			want = "language"
		case 1:
			s.Unclear, want = "nirgends", "target"
		default:
			s.Ask.Default, s.Expired, want = nil, s.ID, "loop"
		}
	case "branch":
		switch a.IntN(3) {
		case 0:
			s.Branch[len(s.Branch)-1].If, want = "true", "branch"
		case 1:
			s.Branch[0].If, want = "1 + 1", "branch"
		default:
			s.Branch[len(s.Branch)-1].To, want = s.ID, "loop"
		}
	case "set":
		for name := range s.Set {
			s.Set[name] = "1 +"
		}
		want = "expression"
	case "call":
		switch a.IntN(3) {
		case 0:
			s.Failed, want = "", "call"
		case 1:
			s.Call.URL, want = "http://x.example.org", "call"
		default:
			s.Failed, want = s.ID, "loop"
		}
	case "wait":
		if a.chance(50) {
			s.Wait, want = &Wait{For: ask.Duration(181 * 24 * time.Hour)}, "wait"
		} else {
			s.Wrote, want = s.ID, "loop"
		}
	case "hand":
		s.Hand.Staff, want = "Frau Vogt", "hand"
	case "run":
		s.Dialog, want = "gibt-es-nicht", "run"
	case "end":
		s.End, s.Next, want = nil, s.ID, "loop"
		s.Set = map[string]string{"x": "1"}
	}
	mutant := append(slices.Clone(list[:len(list)-1]), q)
	findings := Check(mutant, all, CheckOptions{})
	for _, f := range findings {
		if f.Rule == want {
			return 1
		}
	}
	out, _ := Marshal(q)
	t.Fatalf("step %s was broken (%s), and the prover says %v\n%s", s.ID, want, findings, out)
	return 0
}
