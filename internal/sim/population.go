package sim

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// PopulationOptions say who lives there and how lively they are. Zero values mean the defaults.
type PopulationOptions struct {
	Seed      uint64
	Customers int // default 40
	// PaceMin and PaceMax bound the time between two messages that nobody waits for (default 20 s and 60 s).
	PaceMin, PaceMax time.Duration
	// ReactMin and ReactMax bound how long a customer takes to answer (default 12 s and 75 s).
	ReactMin, ReactMax time.Duration
	// CorrectAfter is when a slip of the thumb is noticed (default 6 s).
	CorrectAfter time.Duration
	// RemindAfter is how long people wait before they ask again (default 25 min). After two reminders and three times
	// as long again they give up.
	RemindAfter time.Duration
	// PerHour is the most acts of all people together in any hour (default 150); what is beyond it waits.
	PerHour int
	// Staff maps the names of those who answer to how customers address them: "Frau Demir".
	Staff map[string]string
	Clock *Clock
	Log   *slog.Logger
}

// Population is a number of people with concerns. What they do follows from the seed and from what they are told.
type Population struct {
	options PopulationOptions
	list    []*Customer
	clock   *Clock
	rng     *rand.Rand
	cast    *cast

	mu      sync.Mutex
	people  map[string]*person
	order   []*person
	queue   queue
	serial  int
	arrived []Line
	signal  chan struct{}
	done    []time.Time // acts within the last hour
}

// Do carries out an act and returns the message as it stands then; Providers.Do is one.
type Do func(context.Context, Act) (Line, error)

// NewPopulation makes the people.
func NewPopulation(o PopulationOptions) *Population {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.PaceMin, 20*time.Second)
	def(&o.PaceMax, max(time.Minute, o.PaceMin))
	def(&o.ReactMin, 12*time.Second)
	def(&o.ReactMax, max(75*time.Second, o.ReactMin))
	def(&o.CorrectAfter, 6*time.Second)
	def(&o.RemindAfter, 25*time.Minute)
	if o.Customers <= 0 {
		o.Customers = 40
	}
	if o.PerHour <= 0 {
		o.PerHour = 150
	}
	if o.Clock == nil {
		o.Clock = &Clock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Population{options: o, list: Customers(o.Seed, o.Customers), clock: o.Clock, rng: rand.New(rand.NewPCG(o.Seed, 1<<40)),
		cast:   &cast{rng: rand.New(rand.NewPCG(o.Seed, 1<<41)), decks: map[string][]int{}, staff: o.Staff},
		people: map[string]*person{}, signal: make(chan struct{}, 1)}
	for i, c := range p.list {
		h := &person{Customer: c, told: map[string]bool{}, rng: rand.New(rand.NewPCG(o.Seed, 1<<42+uint64(i)))}
		p.people[c.ID] = h
		p.order = append(p.order, h)
	}
	return p
}

// Customers lists the people.
func (p *Population) Customers() []*Customer { return p.list }

// Tell lets people notice what arrived for them; Providers.OnLine takes it. It never blocks.
func (p *Population) Tell(l Line) {
	if !l.In || l.Edited || l.Emoji != "" || l.Pressed != "" {
		return
	}
	p.mu.Lock()
	p.arrived = append(p.arrived, l)
	p.mu.Unlock()
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// Hold leaves a customer to somebody else (the visitor who plays them) for a while; what was on their mind is dropped.
func (p *Population) Hold(customer string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.people[customer]
	if h == nil {
		return
	}
	h.held, h.concern = p.clock.Now().Add(d), nil
	kept := p.queue[:0]
	for _, w := range p.queue {
		if w.act.Customer != customer {
			kept = append(kept, w)
		}
	}
	p.queue = kept
	heap.Init(&p.queue)
}

// wish is an act that is due at some time.
type wish struct {
	due    time.Time
	serial int
	act    Act
	staff  *turn // history: the company's turn instead
}

type queue []wish

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].serial < q[j].serial
	}
	return q[i].due.Before(q[j].due)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(wish)) }
func (q *queue) Pop() any {
	old := *q
	w := old[len(old)-1]
	*q = old[:len(old)-1]
	return w
}

func (p *Population) want(due time.Time, a Act, t *turn) {
	p.serial++
	heap.Push(&p.queue, wish{due, p.serial, a, t})
}

func between(rng *rand.Rand, lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(rng.Int64N(int64(hi-lo)+1))
}

// Run lets people live until ctx ends: now and then somebody has a new concern or asks again, and whoever got an answer
// reacts to it. One goroutine, the caller's, does everything.
func (p *Population) Run(ctx context.Context, do Do) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := p.clock.Now().Add(between(p.rng, p.options.PaceMin, p.options.PaceMax) / 2)
	for {
		now := p.clock.Now()
		p.mu.Lock()
		p.hear(now)
		var act *Act
		free, at := p.room(now)
		switch {
		case !free:
		case len(p.queue) > 0 && !p.queue[0].due.After(now):
			w := heap.Pop(&p.queue).(wish)
			act = &w.act
		case !next.After(now):
			act = p.spontaneous(now)
			next = now.Add(between(p.rng, p.options.PaceMin, p.options.PaceMax))
		}
		wait := next
		if len(p.queue) > 0 && p.queue[0].due.Before(wait) {
			wait = p.queue[0].due
		}
		if !free {
			wait = at
		}
		p.mu.Unlock()
		if act != nil {
			p.perform(ctx, *act, do)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		timer.Reset(max(wait.Sub(now), time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-p.signal:
		}
	}
}

// hear lets people decide what to do about what arrived. The caller holds mu.
func (p *Population) hear(now time.Time) {
	arrived := p.arrived
	p.arrived = nil
	for _, l := range arrived {
		h := p.people[l.Customer]
		if h == nil || h.held.After(now) {
			continue
		}
		for _, a := range p.cast.react(h, l, now, func() time.Duration { return between(h.rng, p.options.ReactMin, p.options.ReactMax) }) {
			p.want(now.Add(a.After), a, nil)
		}
	}
}

// room reports whether one more act fits into the hour, and otherwise when.
func (p *Population) room(now time.Time) (bool, time.Time) {
	for len(p.done) > 0 && now.Sub(p.done[0]) >= time.Hour {
		p.done = p.done[1:]
	}
	if len(p.done) < p.options.PerHour {
		return true, now
	}
	return false, p.done[0].Add(time.Hour)
}

// spontaneous is what somebody does of their own accord; nil if everybody is content to wait.
func (p *Population) spontaneous(now time.Time) *Act {
	var idle, sore []*person
	for _, h := range p.order {
		k := h.concern
		switch {
		case h.held.After(now):
		case k == nil, k.settled && now.Sub(h.ended) > p.options.RemindAfter/2:
			idle = append(idle, h)
		case k.waiting && k.reminders < 2 && now.Sub(k.since) > p.options.RemindAfter:
			sore = append(sore, h)
		case k.waiting && k.reminders >= 2 && now.Sub(k.since) > 3*p.options.RemindAfter:
			h.concern, h.ended = nil, now // gave up
		}
	}
	var a Act
	switch {
	case len(sore) > 0 && (len(idle) == 0 || p.rng.IntN(5) == 0):
		a = p.cast.remind(sore[p.rng.IntN(len(sore))], now)
	case len(idle) > 0:
		a = p.cast.begin(idle[p.rng.IntN(len(idle))], now)
	default:
		return nil
	}
	return &a
}

// perform carries an act out and notes what follows from it.
func (p *Population) perform(ctx context.Context, a Act, do Do) (Line, bool) {
	l, err := do(ctx, a)
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.people[a.Customer]
	if err != nil {
		if ctx.Err() == nil {
			p.options.Log.Warn("a simulated customer could not do what they wanted", "customer", a.Customer, "channel", string(a.Channel), "act", string(a.Kind), "error", err)
		}
		if a.Sense == Opens {
			h.concern = nil // another time
		}
		return l, false
	}
	p.done = append(p.done, now)
	if a.Kind == Write && h.concern != nil {
		h.concern.own = l
	}
	if a.Correct != "" {
		p.want(now.Add(p.options.CorrectAfter), Act{Customer: a.Customer, Channel: a.Channel, Kind: Edit, Target: l.ID, Text: a.Correct, Sense: a.Sense, Story: a.Story}, nil)
	}
	return l, true
}

// Waiting lists those who wait for an answer, by the channel they wait on.
func (p *Population) Waiting() map[string]channel.Kind {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]channel.Kind{}
	for _, h := range p.order {
		if h.concern != nil && h.concern.waiting {
			out[h.ID] = h.concern.channel
		}
	}
	return out
}

// Release gives a customer back to themselves. What arrived meanwhile is old news to them.
func (p *Population) Release(customer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.people[customer]; h != nil {
		h.held = time.Time{}
	}
	p.arrived = slices.DeleteFunc(p.arrived, func(l Line) bool { return l.Customer == customer })
}

// Unite is told that the company knows all addresses of a customer as one person's: they feel free to go on anywhere.
func (p *Population) Unite(customer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.people[customer]; h != nil {
		h.united = true
	}
}
