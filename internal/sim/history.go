package sim

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
	"unicode"
	"unicode/utf8"
)

// Office is the company's side of the past: what its staff did, each by their number. Everything returns when it is
// done, an answer when it has gone out.
type Office interface {
	// Received returns when what a customer did has been taken in; l is the message that was written, changed or
	// reacted to.
	Received(ctx context.Context, kind ActKind, l Line) error
	// Answer answers the customer whose last message is to, on the channel it came by.
	Answer(ctx context.Context, staff int, to Line, text string) error
	// Note leaves an internal note in the conversation of a message.
	Note(ctx context.Context, staff int, to Line, text string) error
	// Close closes the conversation of a message with a tag.
	Close(ctx context.Context, staff int, to Line, tag string) error
	// Unite is told that a customer's addresses are one person's: those of the two messages, or of the customer's
	// mail and the chat that was just opened.
	Unite(ctx context.Context, staff int, c *Customer, mail Line) error
}

// HistoryOptions describe the past.
type HistoryOptions struct {
	From, Until   time.Time
	Conversations int
	Staff         []string // names, by number
	// Scenes happen at their times, in their order: what is to be shown and does not come about by itself. Whom they
	// are about is held (Hold) until Until, and left alone by everything else.
	Scenes   []Scene
	Progress func(done, all int)
}

// Scene is something of the past that is played by a script. It returns when everything that it led to is done.
type Scene struct {
	At   time.Time
	Play func(context.Context) error
}

// turn is the company's turn in the past.
type turn struct {
	person *person
	to     Line
	sense  Sense  // what it answers
	close  string // the tag to close with, "" = answer
	opens  bool   // not the company's: somebody opens a new concern
	unite  bool
	scene  func(context.Context) error
}

// History plays the past from From to Until in as little real time as it takes: the clock is set to the time of each
// event before it happens, and released at the end. What is not settled by then goes on in Run.
func (p *Population) History(ctx context.Context, h HistoryOptions, do Do, office Office) error {
	defer p.clock.Release()
	rng := p.rng
	p.mu.Lock()
	span := h.Until.Sub(h.From)
	fresh := []time.Duration{8 * time.Minute, 40 * time.Minute, 95 * time.Minute, 3 * time.Hour, 5 * time.Hour}
	for i := range h.Conversations {
		// More of them lately, and some today whatever the hour.
		at := wakingHours(rng, h.From.Add(time.Duration(float64(span)*math.Pow(float64(i)/float64(h.Conversations), .75))).Add(between(rng, 0, 4*time.Hour)))
		if left := h.Conversations - i - 1; left < len(fresh) {
			at = h.Until.Add(-fresh[left]).Add(-between(rng, 0, 4*time.Minute))
		}
		p.want(at, Act{}, &turn{opens: true})
	}
	for _, s := range h.Scenes {
		p.want(s.At, Act{}, &turn{scene: s.Play})
	}
	cards := rng.Perm(len(p.order))
	p.mu.Unlock()
	pick := func(now time.Time) *person {
		for range cards {
			h := p.order[cards[0]]
			cards = append(cards[1:], cards[0])
			if h.held.After(now) {
				continue
			}
			if h.concern == nil || h.concern.settled && now.Sub(h.ended) > 36*time.Hour {
				return h
			}
		}
		return nil
	}
	opened := 0
	for {
		p.mu.Lock()
		if len(p.queue) == 0 || !p.queue[0].due.Before(h.Until) {
			p.mu.Unlock()
			break
		}
		w := heap.Pop(&p.queue).(wish)
		p.mu.Unlock()
		if w.due.Before(h.From) {
			w.due = h.From
		}
		p.clock.Set(w.due)
		now := p.clock.Now()
		t := w.staff
		switch {
		case t == nil:
			if err := p.past(ctx, w.act, now, h, do, office); err != nil {
				return err
			}
		case t.scene != nil:
			if err := t.scene(ctx); err != nil {
				return fmt.Errorf("history: %w", err)
			}
		case t.opens:
			who := pick(now)
			if who == nil {
				continue
			}
			opened++
			if h.Progress != nil {
				h.Progress(opened, h.Conversations)
			}
			p.mu.Lock()
			a := p.cast.begin(who, now)
			p.mu.Unlock()
			if err := p.past(ctx, a, now, h, do, office); err != nil {
				return err
			}
		default:
			if err := p.office(ctx, t, now, h, do, office); err != nil {
				return err
			}
		}
	}
	// Those who were about to do something do it soon; the company's turns are the visitor's now.
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.queue
	p.queue = nil
	now := time.Now()
	for _, w := range old {
		if w.staff == nil {
			p.want(now.Add(between(rng, p.options.ReactMin, 4*p.options.ReactMax)), w.act, nil)
		}
	}
	p.done = nil
	return nil
}

// past carries out an act of the past and lets the company have its turn.
func (p *Population) past(ctx context.Context, a Act, now time.Time, h HistoryOptions, do Do, office Office) error {
	l, ok := p.perform(ctx, a, do)
	if !ok {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("history: %s could not %s on %s", a.Customer, a.Kind, a.Channel)
	}
	if err := office.Received(ctx, a.Kind, l); err != nil { // before the clock moves on
		return err
	}
	if a.Kind == Edit {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.people[a.Customer]
	to := l
	if a.Kind == React {
		to = who.concern.own
	}
	lo, hi := 6*time.Minute, 4*time.Hour
	if a.Sense == Thanks || a.Sense == Waits {
		hi = 20 * time.Hour
	}
	if h.Until.Sub(now) < 20*time.Hour && p.rng.IntN(3) > 0 && a.Sense != Thanks {
		return nil // lately they do not get round to everything
	}
	at := officeHours(p.rng, now.Add(between(p.rng, lo, hi)))
	t := &turn{person: who, to: to, sense: a.Sense}
	if a.Sense == Thanks {
		t.close = who.concern.story.tag
	}
	p.want(at, Act{}, t)
	if a.Sense == Opens && a.Channel == Email && who.Uses(Telegram) && who.Hue%3 != 0 && !who.united {
		p.want(at.Add(-time.Minute), Act{}, &turn{person: who, to: to, unite: true})
	}
	return nil
}

// office is one turn of the company.
func (p *Population) office(ctx context.Context, t *turn, now time.Time, h HistoryOptions, do Do, office Office) error {
	k := t.person.concern
	staff := 1 + t.person.Hue%max(len(h.Staff)-1, 1) // the owner answers when the others are full
	if p.rng.IntN(4) == 0 {
		staff = 0
	}
	staff %= max(len(h.Staff), 1)
	if t.unite {
		if t.person.united {
			return nil
		}
		t.person.united = true
		if _, err := do(ctx, Act{Customer: t.person.ID, Channel: Telegram, Kind: Join}); err != nil {
			return fmt.Errorf("history: open the chat: %w", err)
		}
		return office.Unite(ctx, staff, t.person.Customer, t.to)
	}
	if t.close != "" {
		return office.Close(ctx, staff, t.to, t.close)
	}
	var body string
	p.mu.Lock()
	deal := func(what string, list []string) string { return p.cast.deal("office "+what, list) }
	s := k.story
	switch {
	case t.sense == Asks && k.asked.a != "":
		body = k.asked.a
	case t.sense == Opens && len(s.ask) > 0 && p.rng.IntN(10) < 6:
		body = deal("ask "+s.key, s.ask)
	case t.sense == Opens && len(s.ask) > 0 && p.rng.IntN(10) < 3:
		body = deal("care", care)
	case t.sense == Reminds:
		body = deal("sorry", sorry) + deal("solve "+s.key, s.solve)
		k.solved = true
	case k.solved:
		body = "wenn noch etwas ist, melden Sie sich einfach."
	default:
		body = deal("solve "+s.key, s.solve)
		k.solved = true
	}
	name := h.Staff[staff]
	body = t.person.facts.Replace(body)
	if t.to.Channel == Email {
		body = "Guten Tag " + t.person.Name + ",\n\n" + body + "\n\nViele Grüße\n" + name + "\nBerger & Krause Versicherungsmakler"
	} else if t.sense == Opens {
		body = "Hallo " + t.person.Name + ", " + body
	} else {
		r, n := utf8.DecodeRuneInString(body)
		body = string(unicode.ToUpper(r)) + body[n:]
	}
	note := k.solved && len(s.note) > 0 && p.rng.IntN(3) == 0
	p.mu.Unlock()
	if note {
		if err := office.Note(ctx, staff, t.to, s.note[p.rng.IntN(len(s.note))]); err != nil {
			return err
		}
	}
	if err := office.Answer(ctx, staff, t.to, body); err != nil {
		return err
	}
	l, err := p.next(ctx, t.person.ID)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	slow := func() time.Duration { return between(t.person.rng, 4*time.Minute, 5*time.Hour) }
	for _, a := range p.cast.react(t.person, l, now, slow) {
		p.want(wakingHours(p.rng, now.Add(a.After)), a, nil)
	}
	return nil
}

// next waits for what arrives for a customer.
func (p *Population) next(ctx context.Context, customer string) (Line, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		p.mu.Lock()
		for i, l := range p.arrived {
			if l.Customer == customer {
				p.arrived = append(p.arrived[:i:i], p.arrived[i+1:]...)
				p.mu.Unlock()
				return l, nil
			}
		}
		p.mu.Unlock()
		select {
		case <-p.signal:
		case <-ctx.Done():
			return Line{}, fmt.Errorf("history: the answer to %s did not arrive: %w", customer, ctx.Err())
		}
	}
}

// wakingHours moves a time of the night to the next morning.
func wakingHours(rng *rand.Rand, t time.Time) time.Time { return within(rng, t, 7, 22, false) }

// officeHours moves a time to the next one at which somebody is there: Monday to Friday, 8 to 18 o'clock.
func officeHours(rng *rand.Rand, t time.Time) time.Time { return within(rng, t, 8, 18, true) }

func within(rng *rand.Rand, t time.Time, from, to int, weekdays bool) time.Time {
	t = t.Local()
	for {
		day := t.Weekday()
		free := weekdays && (day == time.Saturday || day == time.Sunday)
		if !free && t.Hour() >= from && t.Hour() < to {
			return t
		}
		if free || t.Hour() >= to {
			t = t.AddDate(0, 0, 1)
		}
		t = time.Date(t.Year(), t.Month(), t.Day(), from, 0, 0, 0, t.Location()).Add(between(rng, 0, 100*time.Minute))
	}
}
