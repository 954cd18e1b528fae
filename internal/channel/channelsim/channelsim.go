// Package channelsim is what all provider simulators have in common: what a customer's app can do, how a provider fails,
// how it limits, how it delivers webhooks again and again, and a ledger of what it accepted. It is in charge of being
// no kinder than the real ones; what a provider's API looks like is the business of its own simulator, which sits beside
// the driver (telegram/telegramsim).
package channelsim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Sim is a simulated provider with one account of ours.
type Sim interface {
	Kind() channel.Kind
	// ServeHTTP is the provider's API. Kinds that are no HTTP API (SMPP, Signal …) answer 404 here.
	http.Handler
	// Settings are the account's settings, given the URL under which ServeHTTP is reachable.
	Settings(base string) channel.Settings
	// Connect says where the account's webhook is; "" = nowhere (events wait, as the provider would let them or not).
	Connect(hook string)
	// Person is the customer of that name, who is made up at the first call.
	Person(name string) Person
	// Base is the part that all simulators have in common.
	Common() *Base
	// Close ends everything that the simulator started and waits for it.
	Close()
}

// Person is a customer with the provider's app in hand. Methods return once the provider has taken what was done, not
// once the company has. Those that the medium does not have return ErrCannot.
type Person interface {
	// Address is the address as the driver names it (Event.Sender.Value).
	Address() string
	// Open opens the chat, by a deep link with that token ("" = by hand).
	Open(token string) error
	// Write sends a text; replyTo is the Ref of a message that it quotes, "" = none. It gives the message's Ref.
	Write(text, replyTo string) (ref string, err error)
	// Send sends a file.
	Send(f File, caption string) (ref string, err error)
	// Press presses the choice with that label under a message that came (ref "" = the newest that has it).
	Press(ref, label string) error
	// React sets the reaction to a message; "" takes it back.
	React(ref, emoji string) error
	// Edit changes what the customer wrote.
	Edit(ref, text string) error
	// Read opens what came, so that the provider reports it as read where it does such a thing.
	Read() error
	// Block blocks the company, or ends that.
	Block(blocked bool) error
	// Inbox is what came from the company, oldest first.
	Inbox() []Message
}

// File is something sent by either side.
type File struct {
	Name      string
	MediaType string
	Content   []byte
}

// Message is what a customer sees of the company.
type Message struct {
	Ref     string // as external ids of the driver name it (Receipt.ExternalID)
	Text    string // or the caption
	Files   []File
	Choices []channel.Choice // as they look: Label, Description; Data is what comes back
	Menu    string           // the button that opens the choices as a list; "" = they lie open
	ReplyTo string           // Ref of what it quotes
	Title   string           // a heading, where the medium has one
	At      time.Time
}

// Errors that people meet.
var (
	ErrCannot  = errors.New("this medium has no such thing")
	ErrNothing = errors.New("there is no such message or choice")
	ErrBlocked = errors.New("the customer has blocked the company")
)

// Accepted is something that the provider accepted from the company.
type Accepted struct {
	Op   string // the operation's name: "message", "media" …
	To   string // the person's Address
	Ref  string // the id that the provider gave it
	Key  string // the idempotency key, where there is one
	Text string
	At   time.Time
	Told bool // the company was told so; false after accept-then-fail
}

// Fault is one way to fail. It applies to the next Times operations of that name.
type Fault struct {
	Op     string        // "" = any
	Times  int           // 0 = 1
	Accept bool          // do what was asked before failing
	Status int           // answer with this status …
	Header http.Header   // … these headers
	Body   string        // … and this body
	Hang   bool          // never answer (until the caller gives up)
	Cut    bool          // close the connection without an answer
	Delay  time.Duration // answer late, and not fail if nothing else is set
}

// Base is embedded by simulators. Its mutex guards the simulator's own state, too.
type Base struct {
	sync.Mutex
	Now     func() time.Time
	Latency time.Duration // of each operation of Do

	changed   chan struct{}
	faults    []*Fault
	ledger    []Accepted
	oversteps []string
	limits    map[string]*bucket
	serial    int64

	Ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	Work   sync.WaitGroup
}

// Init makes a Base usable. now = nil means the real time.
func (b *Base) Init(now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	b.Now, b.changed, b.limits = now, make(chan struct{}), map[string]*bucket{}
	b.Ctx, b.cancel = context.WithCancel(context.Background())
}

// Common gives the Base itself, for interface Sim.
func (b *Base) Common() *Base { return b }

// Stop ends Ctx and waits for Work.
func (b *Base) Stop() {
	b.cancel()
	b.Work.Wait()
}

// Serial is a number that never came before. The caller holds the mutex.
func (b *Base) Serial() int64 {
	b.serial++
	return b.serial
}

// Changed wakes everybody who waits. The caller holds the mutex.
func (b *Base) Changed() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Wait returns once the condition holds, which is looked at whenever something happens; false if ctx ended before. The
// condition is called without the mutex.
func (b *Base) Wait(ctx context.Context, condition func() bool) bool {
	for {
		b.Lock()
		changed := b.changed
		b.Unlock()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return condition()
		}
	}
}

// Fail makes the provider fail as told, after the faults that it was told before.
func (b *Base) Fail(f Fault) {
	b.Lock()
	defer b.Unlock()
	f.Times = max(f.Times, 1)
	b.faults = append(b.faults, &f)
}

// Ledger is everything that the provider accepted, in order. Two entries for one message of ours are a message that a
// customer got twice.
func (b *Base) Ledger() []Accepted {
	b.Lock()
	defer b.Unlock()
	return slices.Clone(b.ledger)
}

// Accept enters into the ledger. The caller holds the mutex. At is set; Told is true until a fault says otherwise.
func (b *Base) Accept(a Accepted) {
	a.At, a.Told = b.Now(), true
	b.ledger = append(b.ledger, a)
	b.Changed()
}

// Oversteps says how the company broke the provider's limits: each is a request that was refused for it. A test that
// keeps the provider's rules finds none.
func (b *Base) Oversteps() []string {
	b.Lock()
	defer b.Unlock()
	return slices.Clone(b.oversteps)
}

// Take takes one request out of a limit of rate per second with that burst, by name ("account", "to "+address), or says
// how long to wait for it; a refusal is an overstep. The caller holds the mutex.
func (b *Base) Take(name string, rate, burst float64) (wait time.Duration) {
	l := b.limits[name]
	if l == nil {
		l = &bucket{rate: rate, burst: burst, level: burst, at: b.Now()}
		b.limits[name] = l
	}
	if wait = l.take(b.Now()); wait > 0 {
		b.oversteps = append(b.oversteps, fmt.Sprintf("%s: more than %g/s", name, rate))
	}
	return wait
}

// bucket is a token bucket.
type bucket struct {
	rate, burst, level float64
	at                 time.Time
}

func (b *bucket) take(now time.Time) (wait time.Duration) {
	if d := now.Sub(b.at).Seconds(); d > 0 {
		b.level = min(b.burst, b.level+d*b.rate)
	}
	b.at = now
	if b.level >= 1 {
		b.level--
		return 0
	}
	return time.Duration((1 - b.level) / b.rate * float64(time.Second))
}

// Response is an answer of the provider's API.
type Response struct {
	Status int // 0 = 200
	Type   string
	Header http.Header
	Body   []byte
}

// Do answers a request: act carries it out, unless a Fault for op says otherwise. act is called without the mutex.
func (b *Base) Do(w http.ResponseWriter, r *http.Request, op string, act func() Response) {
	if b.Latency > 0 {
		b.sleep(r.Context(), b.Latency)
	}
	f := b.fault(op)
	if f == nil || f.Delay > 0 && f.Status == 0 && !f.Hang && !f.Cut {
		if f != nil {
			b.sleep(r.Context(), f.Delay)
		}
		act().write(w)
		return
	}
	if f.Accept {
		b.Lock()
		before := len(b.ledger)
		b.Unlock()
		act()
		b.Lock()
		for i := before; i < len(b.ledger); i++ {
			b.ledger[i].Told = false
		}
		b.Unlock()
	}
	b.sleep(r.Context(), f.Delay)
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-b.Ctx.Done():
		}
		panic(http.ErrAbortHandler)
	case f.Cut:
		panic(http.ErrAbortHandler)
	}
	Response{Status: f.Status, Header: f.Header, Body: []byte(f.Body)}.write(w)
}

// Fault takes the fault that the next operation of that name meets, nil if none; for kinds that are no HTTP API.
func (b *Base) Fault(op string) *Fault { return b.fault(op) }

func (b *Base) fault(op string) *Fault {
	b.Lock()
	defer b.Unlock()
	for i, f := range b.faults {
		if f.Op != "" && f.Op != op {
			continue
		}
		if f.Times--; f.Times <= 0 {
			b.faults = slices.Delete(b.faults, i, i+1)
		}
		return f
	}
	return nil
}

func (b *Base) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-b.Ctx.Done():
	}
}

func (r Response) write(w http.ResponseWriter) {
	for name, values := range r.Header {
		w.Header()[name] = values
	}
	if r.Type == "" {
		r.Type = "application/json"
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", r.Type)
	}
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body)
}

// Chat is one person's messages with the company; simulators embed it in their own Person. Guarded by the Base's mutex.
type Chat struct {
	Name    string
	Blocked bool
	Got     []Message
}

// Find gives the received message with that Ref, or the newest one that has a choice with the label where ref is "",
// and the choice. The caller holds the mutex.
func (c *Chat) Find(ref, label string) (Message, channel.Choice, error) {
	for _, m := range slices.Backward(c.Got) {
		if ref != "" && m.Ref != ref {
			continue
		}
		for _, o := range m.Choices {
			if strings.EqualFold(o.Label, label) {
				return m, o, nil
			}
		}
	}
	return Message{}, channel.Choice{}, ErrNothing
}
