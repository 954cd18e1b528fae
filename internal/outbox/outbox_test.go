package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/vault"
)

// medium is a driver whose provider does what the test says.
type medium struct {
	kind       channel.Kind
	caps       channel.Capabilities
	pace       [2]time.Duration
	externalID func(channel.Outgoing) string

	mu   sync.Mutex
	send func(channel.Outgoing) (channel.Receipt, error)
	sent []channel.Outgoing // every call, in order
	at   []time.Time
}

func (m *medium) Kind() channel.Kind                 { return m.kind }
func (m *medium) Title() channel.Text                { return channel.Text{DE: "Probe", EN: "Probe"} }
func (m *medium) Capabilities() channel.Capabilities { return m.caps }
func (m *medium) Settings() []channel.Setting        { return nil }
func (m *medium) Check(channel.Settings) error       { return nil }
func (m *medium) Pace() (time.Duration, time.Duration) {
	return m.pace[0], m.pace[1]
}

func (m *medium) ExternalID(_ channel.Account, out channel.Outgoing) string {
	if m.externalID == nil {
		return ""
	}
	return m.externalID(out)
}

func (m *medium) Send(_ context.Context, _ channel.Account, out channel.Outgoing, _ channel.Env) (channel.Receipt, error) {
	m.mu.Lock()
	m.sent = append(m.sent, out)
	m.at = append(m.at, time.Now())
	n, send := len(m.sent), m.send
	m.mu.Unlock()
	if send == nil {
		return channel.Receipt{ExternalID: fmt.Sprint("x", n)}, nil
	}
	return send(out)
}

func (m *medium) does(send func(channel.Outgoing) (channel.Receipt, error)) {
	m.mu.Lock()
	m.send = send
	m.mu.Unlock()
}

func (m *medium) texts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, o := range m.sent {
		out = append(out, o.Text)
	}
	return out
}

func (m *medium) calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sent)
}

// clock is a clock that the test moves.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() time.Time          { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// house is an outbox with one channel, one customer and one conversation.
type house struct {
	t        *testing.T
	d        *db.DB
	org      string
	o        db.Org
	accounts *account.Accounts
	blobs    *blob.Store
	ch       account.Channel
	medium   *medium
	clock    *clock
	out      *outbox.Outbox
	who      customer.Sender
	conv     string
	stop     func()
}

var ctx = context.Background()

func build(t *testing.T, d *db.DB, m *medium) *house {
	t.Helper()
	h := &house{t: t, d: d, org: db.NewID(), medium: m, clock: &clock{}}
	ok(t, d.CreateOrg(ctx, h.org, "Probe", 1)) // each has an organisation of its own, and leaves nothing to send to the next
	h.o = d.Org(h.org)
	t.Cleanup(func() {
		h.write(func(tx *db.Tx) error { _, err := tx.Exec(ctx, `DELETE FROM delivery WHERE org = $1`); return err })
	})
	h.clock.at.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixMicro())
	if m.kind == "" {
		m.kind = "probe"
	}
	v, err := vault.Open(t.TempDir(), "")
	ok(t, err)
	h.accounts, err = account.New(ctx, d, v, []channel.Driver{m}, slog.New(slog.DiscardHandler))
	ok(t, err)
	h.blobs, err = blob.Open(t.TempDir())
	ok(t, err)
	h.ch, err = h.accounts.Create(ctx, h.org, m.kind, "Probe", nil, "en", h.clock.Now())
	ok(t, err)
	h.out = h.node("n1")
	h.conv = h.conversation("erika")
	return h
}

func (h *house) node(name string) *outbox.Outbox {
	return outbox.New(h.d, h.accounts, h.blobs, func(channel.Account) channel.Env { return channel.Env{Now: h.clock.Now} }, h.clock.Now, name, slog.New(slog.DiscardHandler))
}

// conversation opens a conversation with somebody who is reached at value.
func (h *house) conversation(value string) string {
	h.t.Helper()
	var r conversation.Row
	h.write(func(tx *db.Tx) (err error) {
		if h.who, err = customer.Ensure(ctx, tx, h.medium.kind, value, value, h.clock.Now()); err != nil {
			return err
		}
		r, err = conversation.Start(ctx, tx, h.who.Customer.ID, value, "Frage", conversation.Actor{}, h.clock.Now())
		return err
	})
	return r.ID
}

func (h *house) write(fn func(tx *db.Tx) error) {
	h.t.Helper()
	ok(h.t, h.o.Write(ctx, fn))
}

// run starts the outbox; it is stopped when the test ends, or by h.stop.
func (h *house) run(o *outbox.Outbox) {
	h.t.Helper()
	rctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- o.Run(rctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("run: %v", err)
		}
	})
	h.t.Cleanup(h.stop)
}

func (h *house) request(text string) outbox.Request {
	return outbox.Request{Conversation: h.conv, Out: conversation.Out{Author: channel.Staff, By: conversation.Actor{ID: "s1", Name: "Anna"}, Channel: h.ch.Account,
		Address: h.who.Address.ID, AddressValue: h.who.Address.Value, Text: text}}
}

func (h *house) queue(r outbox.Request) outbox.Delivery {
	h.t.Helper()
	var d outbox.Delivery
	h.write(func(tx *db.Tx) (err error) {
		_, d, err = h.out.Send(ctx, tx, r)
		return err
	})
	return d
}

func (h *house) send(text string) outbox.Delivery {
	h.t.Helper()
	return h.queue(h.request(text))
}

func (h *house) get(id string) outbox.Delivery {
	h.t.Helper()
	d, err := outbox.Get(ctx, h.o, id)
	ok(h.t, err)
	return d
}

func (h *house) row() conversation.Row {
	h.t.Helper()
	r, err := conversation.Get(ctx, h.o, h.conv, "")
	ok(h.t, err)
	return r
}

func (h *house) apply(s channel.Status) (known bool) {
	h.t.Helper()
	h.write(func(tx *db.Tx) (err error) {
		known, err = outbox.Apply(ctx, tx, h.ch.ID, s, h.clock.Now())
		return err
	})
	return known
}

// state waits until the delivery is in the state.
func (h *house) state(id string, want channel.State) outbox.Delivery {
	h.t.Helper()
	h.until(fmt.Sprintf("delivery to become %s", want), func() bool { return h.get(id).State == want })
	return h.get(id)
}

func (h *house) until(what string, cond func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// quiet lets the running outbox look for due deliveries a few times, for tests that nothing happens.
func (h *house) quiet() {
	for range 20 {
		h.out.Wake()
		time.Sleep(3 * time.Millisecond)
	}
}

// later moves the clock and lets the outbox look.
func (h *house) later(d time.Duration) {
	h.clock.Advance(d)
	h.out.Wake()
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refuse(class channel.Class, after time.Duration) func(channel.Outgoing) (channel.Receipt, error) {
	return func(channel.Outgoing) (channel.Receipt, error) {
		return channel.Receipt{}, &channel.SendError{Class: class, Code: "42", RetryAfter: after, Reason: channel.Text{DE: "Grund", EN: "reason"}}
	}
}

func TestOutcomeOfAnAttempt(t *testing.T) {
	plain := errors.New("connection reset")
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			name       string
			idempotent bool
			send       func(channel.Outgoing) (channel.Receipt, error)
			state      channel.State
			attempts   int64
			next       time.Duration // from now, for what is tried again
			trouble    int64
		}{
			{name: "accepted", state: channel.Sent, attempts: 1, send: nil},
			{name: "delivered at once", state: channel.Delivered, attempts: 1, send: func(channel.Outgoing) (channel.Receipt, error) {
				return channel.Receipt{ExternalID: "x", State: channel.Delivered}, nil
			}},
			{name: "temporary", send: refuse(channel.Temporary, 0), state: channel.Queued, attempts: 1, next: 2 * time.Second},
			{name: "temporary, provider names the time", send: refuse(channel.Temporary, time.Minute), state: channel.Queued, attempts: 1, next: time.Minute},
			{name: "rate limited", send: refuse(channel.RateLimited, 40*time.Second), state: channel.Queued, attempts: 0, next: 40 * time.Second},
			{name: "rate limited without a time", send: refuse(channel.RateLimited, 0), state: channel.Queued, attempts: 0, next: time.Second},
			{name: "wrong settings", send: refuse(channel.Misconfig, 0), state: channel.Queued, attempts: 1, next: time.Minute},
			{name: "permanent", send: refuse(channel.Permanent, 0), state: channel.Failed, attempts: 1, trouble: 1},
			{name: "blocked", send: refuse(channel.Blocked, 0), state: channel.Failed, attempts: 1, trouble: 1},
			{name: "window closed", send: refuse(channel.WindowClosed, 0), state: channel.Failed, attempts: 1, trouble: 1},
			{name: "no such address", send: refuse(channel.NotHere, 0), state: channel.Failed, attempts: 1, trouble: 1},
			{name: "a class of a later version", send: refuse("new", 0), state: channel.Failed, attempts: 1, trouble: 1},
			{name: "unknown", send: refuse(channel.Unknown, 0), state: channel.Uncertain, attempts: 1, trouble: 1},
			{name: "any other error", send: func(channel.Outgoing) (channel.Receipt, error) { return channel.Receipt{}, plain }, state: channel.Uncertain, attempts: 1, trouble: 1},
			{name: "panic", send: func(channel.Outgoing) (channel.Receipt, error) { panic("boom") }, state: channel.Uncertain, attempts: 1, trouble: 1},
			{name: "unknown, provider has a key", idempotent: true, send: refuse(channel.Unknown, 0), state: channel.Queued, attempts: 1, next: 2 * time.Second},
			{name: "any other error, provider has a key", idempotent: true, send: func(channel.Outgoing) (channel.Receipt, error) { return channel.Receipt{}, plain }, state: channel.Queued, attempts: 1, next: 2 * time.Second},
		} {
			t.Run(c.name, func(t *testing.T) {
				h := build(t, d, &medium{caps: channel.Capabilities{Idempotent: c.idempotent}})
				h.medium.does(c.send)
				id := h.send("Guten Tag").ID
				h.run(h.out)
				h.until("the attempt", func() bool {
					v := h.get(id)
					return h.medium.calls() == 1 && v.State != channel.Sending && v.State != channel.Queued || v.NextAt.After(h.clock.Now())
				})
				v := h.get(id)
				if v.State != c.state || v.Attempts != c.attempts {
					t.Fatalf("%s after %d attempts, want %s after %d", v.State, v.Attempts, c.state, c.attempts)
				}
				if c.next != 0 && v.NextAt.Sub(h.clock.Now()) != c.next {
					t.Errorf("next attempt in %v, want %v", v.NextAt.Sub(h.clock.Now()), c.next)
				}
				if n := h.row().Failed; n != c.trouble {
					t.Errorf("the conversation shows %d troubled deliveries, want %d", n, c.trouble)
				}
				if c.state == channel.Uncertain && v.Reason.DE == "" {
					t.Error("nobody is told why it is uncertain")
				}
				if c.state == channel.Uncertain || c.state == channel.Failed {
					h.later(48 * time.Hour)
					h.quiet()
					if n := h.medium.calls(); n != 1 {
						t.Errorf("it was sent %d times by itself", n)
					}
				}
			})
		}
	})
}

func TestRetriesBackOffAndGiveUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.medium.does(refuse(channel.Temporary, 0))
		id := h.send("Guten Tag").ID
		h.run(h.out)
		begin := h.clock.Now()
		for n, want := range []time.Duration{2 * time.Second, 8 * time.Second, 32 * time.Second, 128 * time.Second, 512 * time.Second, 15 * time.Minute, 15 * time.Minute} {
			h.until("an attempt", func() bool { v := h.get(id); return v.Attempts == int64(n+1) && v.State == channel.Queued })
			if got := h.get(id).NextAt.Sub(h.clock.Now()); got != want {
				t.Fatalf("after attempt %d: next in %v, want %v", n+1, got, want)
			}
			h.later(want)
		}
		for h.get(id).State != channel.Failed {
			if h.clock.Now().Sub(begin) > 25*time.Hour {
				t.Fatal("it is still tried after a day")
			}
			v := h.get(id)
			h.until("an attempt", func() bool {
				w := h.get(id)
				return w.State == channel.Failed || w.State == channel.Queued && w.NextAt.After(h.clock.Now())
			})
			_ = v
			h.later(15 * time.Minute)
		}
		if n := h.row().Failed; n != 1 {
			t.Errorf("the conversation shows %d troubled deliveries, want 1", n)
		}
	})
}

func TestScheduledMessageHasItsOwnDay(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.medium.does(refuse(channel.Temporary, 0))
		r := h.request("Herzlichen Glückwunsch")
		r.SendAt = h.clock.Now().Add(48 * time.Hour)
		id := h.queue(r).ID
		h.run(h.out)
		h.quiet()
		if n := h.medium.calls(); n != 0 {
			t.Fatalf("it was sent %d times before its time", n)
		}
		h.later(48 * time.Hour)
		h.until("the first attempt", func() bool { v := h.get(id); return v.Attempts == 1 && v.State != channel.Sending })
		if v := h.get(id); v.State != channel.Queued {
			t.Fatalf("%s after the first temporary refusal, want queued: it is due only since now", v.State)
		}
	})
}

func TestStatusOnlyMovesForward(t *testing.T) {
	rank := map[channel.State]int{channel.Sent: 1, channel.Failed: 2, channel.Delivered: 3, channel.Read: 4}
	all := []channel.State{channel.Sent, channel.Delivered, channel.Read, channel.Failed}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.run(h.out)
		for mask := 1; mask < 1<<len(all); mask++ {
			var states []channel.State
			best := channel.Sent
			for i, s := range all {
				if mask&(1<<i) != 0 {
					states = append(states, s)
					if rank[s] > rank[best] {
						best = s
					}
				}
			}
			for _, order := range permutations(states) {
				v := h.state(h.send("x").ID, channel.Sent)
				before := h.row().Failed
				highest := 0
				for _, s := range append(order, order...) { // each of them twice
					if !h.apply(channel.Status{ExternalID: v.ExternalID, State: s, Error: "nicht zustellbar"}) {
						t.Fatalf("%v: status of a known message is unknown", order)
					}
					highest = max(highest, rank[s])
					if got := rank[h.get(v.ID).State]; got < highest {
						t.Fatalf("%v: after %s the delivery is %s", order, s, h.get(v.ID).State)
					}
				}
				if got := h.get(v.ID).State; got != best {
					t.Errorf("%v: ends as %s, want %s", order, got, best)
				}
				want := before
				if best == channel.Failed {
					want++
				}
				if got := h.row().Failed; got != want {
					t.Errorf("%v: the conversation counts %d troubled deliveries, want %d", order, got, want)
				}
			}
		}
	})
}

func permutations(in []channel.State) [][]channel.State {
	if len(in) <= 1 {
		return [][]channel.State{slices.Clone(in)}
	}
	var out [][]channel.State
	for i := range in {
		rest := slices.Delete(slices.Clone(in), i, i+1)
		for _, p := range permutations(rest) {
			out = append(out, append([]channel.State{in[i]}, p...))
		}
	}
	return out
}

func TestStatusResolvesUncertain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for as, want := range map[channel.State]int64{channel.Sent: 0, channel.Delivered: 0, channel.Read: 0, channel.Failed: 1} {
			t.Run(string(as), func(t *testing.T) {
				h := build(t, d, &medium{})
				h.medium.does(refuse(channel.Unknown, 0))
				id := h.send("Guten Tag").ID
				h.run(h.out)
				h.state(id, channel.Uncertain)
				if !h.apply(channel.Status{DeliveryID: id, ExternalID: "late", State: as}) {
					t.Fatal("the status is not known")
				}
				v := h.get(id)
				if v.State != as || v.ExternalID != "late" {
					t.Fatalf("%s %q, want %s under the provider's id", v.State, v.ExternalID, as)
				}
				if n := h.row().Failed; n != want {
					t.Errorf("%d troubled deliveries, want %d", n, want)
				}
				if h.apply(channel.Status{ExternalID: "of somebody else", State: channel.Read}) {
					t.Error("a status of an unknown message is known")
				}
			})
		}
	})
}

func TestStatusFasterThanOurOwnNote(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			name   string
			status channel.State
			err    error
			want   channel.State
		}{
			{"delivered before the answer", channel.Delivered, nil, channel.Delivered},
			{"delivered, and the answer never came", channel.Delivered, &channel.SendError{Class: channel.Unknown}, channel.Delivered},
			{"delivered, and the answer was an error", channel.Delivered, &channel.SendError{Class: channel.Temporary}, channel.Delivered},
			{"sent before the answer", channel.Sent, nil, channel.Sent},
			{"failed before the answer", channel.Failed, nil, channel.Failed},
		} {
			t.Run(c.name, func(t *testing.T) {
				h := build(t, d, &medium{})
				h.medium.does(func(out channel.Outgoing) (channel.Receipt, error) {
					h.apply(channel.Status{DeliveryID: out.DeliveryID, ExternalID: "x9", State: c.status})
					if c.err != nil {
						return channel.Receipt{}, c.err
					}
					return channel.Receipt{ExternalID: "x9"}, nil
				})
				id := h.send("Guten Tag").ID
				h.run(h.out)
				h.until("the note", func() bool { return h.get(id).State == c.want })
				h.later(time.Hour)
				h.quiet()
				if v := h.get(id); v.State != c.want || v.ExternalID != "x9" {
					t.Fatalf("%s %q, want %s x9", v.State, v.ExternalID, c.want)
				}
				if n := h.medium.calls(); n != 1 {
					t.Fatalf("sent %d times", n)
				}
			})
		}
	})
}

func TestOrderPerConversationAndAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		blocked := true
		h.medium.does(func(out channel.Outgoing) (channel.Receipt, error) {
			if out.Text == "1" && blocked {
				return channel.Receipt{}, &channel.SendError{Class: channel.Temporary, RetryAfter: 50 * time.Second}
			}
			return channel.Receipt{ExternalID: "x" + out.Text}, nil
		})
		first := h.send("1").ID
		second := h.send("2").ID
		mine := h.conv
		who := h.who
		h.conv = h.conversation("max")
		other := h.send("anderswo").ID
		h.conv, h.who = mine, who
		h.run(h.out)
		h.state(other, channel.Sent) // another conversation is not held
		h.until("the refusal", func() bool { return h.get(first).Attempts == 1 && h.get(first).State == channel.Queued })
		for range 4 { // 4 × 51 s: less than five minutes
			h.later(51 * time.Second)
			h.quiet()
			if v := h.get(second); v.State != channel.Queued || v.Attempts != 0 {
				t.Fatalf("the second overtook the first, which is being tried again: %s", v.State)
			}
		}
		h.later(2 * time.Minute)
		h.state(second, channel.Sent) // held no longer than five minutes
		blocked = false
		h.later(time.Hour)
		h.state(first, channel.Sent)
	})
}

func TestOrderIsKeptAfterALongStandstill(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		var want []string
		for i := range 8 {
			want = append(want, fmt.Sprint(i))
			h.send(want[i])
		}
		h.clock.Advance(3 * time.Hour) // the server was away
		h.medium.does(func(out channel.Outgoing) (channel.Receipt, error) {
			if out.Text == "0" {
				time.Sleep(30 * time.Millisecond) // a slow provider
			}
			return channel.Receipt{ExternalID: "x" + out.Text}, nil
		})
		h.run(h.out)
		h.until("all of them", func() bool { return h.medium.calls() == len(want) })
		if got := h.medium.texts(); !slices.Equal(got, want) {
			t.Fatalf("sent in the order %v, want %v", got, want)
		}
	})
}

func TestRateLimitKeepsOrderOverARestart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.medium.does(refuse(channel.RateLimited, 2*time.Minute))
		first := h.send("1").ID
		h.send("2")
		h.run(h.out)
		h.until("the refusal", func() bool { return h.get(first).NextAt.After(h.clock.Now()) })
		h.stop()
		h.medium.does(nil)
		h.out = h.node("n1") // it remembers nothing of the provider's word
		h.run(h.out)
		h.later(time.Second)
		h.quiet()
		if n := h.medium.calls(); n != 1 {
			t.Fatalf("%v: the second overtook the first, which the provider put off", h.medium.texts())
		}
		h.later(2 * time.Minute)
		h.until("both", func() bool { return h.medium.calls() == 3 })
		if got := h.medium.texts(); !slices.Equal(got, []string{"1", "1", "2"}) {
			t.Fatalf("sent %v", got)
		}
	})
}

func TestFailedAndUncertainHoldNobody(t *testing.T) {
	for _, class := range []channel.Class{channel.Permanent, channel.Unknown} {
		t.Run(string(class), func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				h := build(t, d, &medium{})
				h.medium.does(func(out channel.Outgoing) (channel.Receipt, error) {
					if out.Text == "1" {
						return refuse(class, 0)(out)
					}
					return channel.Receipt{ExternalID: "x2"}, nil
				})
				h.send("1")
				second := h.send("2").ID
				h.run(h.out)
				h.state(second, channel.Sent)
			})
		})
	}
}

// sending leaves a delivery as a process leaves it that dies in the middle of a send.
func (h *house) sending(o *outbox.Outbox) string {
	h.t.Helper()
	begun, release := make(chan struct{}), make(chan struct{})
	h.medium.does(func(channel.Outgoing) (channel.Receipt, error) {
		close(begun)
		<-release
		return channel.Receipt{ExternalID: "x1"}, nil
	})
	id := h.send("Guten Tag").ID
	rctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { _ = o.Run(rctx); close(done) }()
	<-begun
	h.t.Cleanup(func() { close(release); <-done })
	h.t.Cleanup(cancel)
	if v := h.get(id); v.State != channel.Sending {
		h.t.Fatalf("%s while the provider is asked, want sending committed before the first byte", v.State)
	}
	return id
}

func TestRecovery(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			name       string
			idempotent bool
			node       string        // of the process that comes after
			after      time.Duration // the dead one
			want       channel.State
		}{
			{name: "at start, without a key", node: "n1", want: channel.Uncertain},
			{name: "at start, with a key", node: "n1", idempotent: true, want: channel.Sent},
			{name: "another node, lease runs", node: "n2", after: 40 * time.Second, want: channel.Sending},
			{name: "another node, lease is over", node: "n2", after: 46 * time.Second, want: channel.Uncertain},
			{name: "another node, lease is over, with a key", node: "n2", after: 46 * time.Second, idempotent: true, want: channel.Sent},
		} {
			t.Run(c.name, func(t *testing.T) {
				h := build(t, d, &medium{caps: channel.Capabilities{Idempotent: c.idempotent}})
				id := h.sending(h.out)
				h.medium.does(nil)
				h.clock.Advance(c.after)
				next := h.node(c.node)
				h.run(next)
				if c.want == channel.Sending {
					for range 20 {
						next.Wake()
						time.Sleep(3 * time.Millisecond)
					}
				}
				v := h.state(id, c.want)
				calls := 1
				if c.want == channel.Sent {
					calls = 2
					if a, b := h.medium.sent[0].DeliveryID, h.medium.sent[1].DeliveryID; a != b {
						t.Errorf("the provider's key changed from %s to %s", a, b)
					}
				}
				if n := h.medium.calls(); n != calls {
					t.Errorf("sent %d times, want %d", n, calls)
				}
				if want := map[bool]int64{true: 1}[c.want == channel.Uncertain]; h.row().Failed != want {
					t.Errorf("%d troubled deliveries, want %d", h.row().Failed, want)
				}
				_ = v
			})
		}
	})
}

// A process that was only slow learns late what came of its send; what it knows is better than "uncertain".
func TestLateOutcomeResolvesWhatOthersGaveUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		begun, release := make(chan struct{}), make(chan struct{})
		h.medium.does(func(channel.Outgoing) (channel.Receipt, error) {
			close(begun)
			<-release
			return channel.Receipt{ExternalID: "x1"}, nil
		})
		id := h.send("Guten Tag").ID
		h.run(h.out)
		<-begun
		h.clock.Advance(46 * time.Second)
		rctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- h.node("n2").Run(rctx) }()
		h.state(id, channel.Uncertain)
		cancel()
		ok(t, <-done)
		close(release)
		h.state(id, channel.Sent)
		if n := h.row().Failed; n != 0 {
			t.Errorf("%d troubled deliveries, want none", n)
		}
	})
}

func TestTwicePressedIsOnceSent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.run(h.out)
		r := h.request("Guten Tag")
		r.Out.ClientID = "c1"
		ids := make([]string, 20)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				err := h.o.Write(ctx, func(tx *db.Tx) error {
					_, v, err := h.out.Send(ctx, tx, r)
					ids[i] = v.ID
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Fatalf("the same client id gave deliveries %v", ids)
			}
		}
		h.state(ids[0], channel.Sent)
		h.quiet()
		if n := h.medium.calls(); n != 1 {
			t.Fatalf("sent %d times", n)
		}
	})
}

func TestCancelRacesWithTheSend(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.run(h.out)
		taken := 0
		for i := range 40 {
			text := fmt.Sprint("Nr. ", i)
			v := h.send(text)
			if i%4 != 0 { // at different moments of the attempt
				time.Sleep(time.Duration(i%4) * 300 * time.Microsecond)
			}
			err := h.o.Write(ctx, func(tx *db.Tx) error { _, _, err := outbox.Cancel(ctx, tx, v.Message); return err })
			switch {
			case err == nil:
				taken++
				if _, err := outbox.Get(ctx, h.o, v.ID); !errors.Is(err, outbox.ErrNotFound) {
					t.Fatalf("taken back, and still there: %v", err)
				}
				h.quiet()
				if slices.Contains(h.medium.texts(), text) {
					t.Fatalf("%s was taken back and sent", text)
				}
			case errors.Is(err, outbox.ErrAlreadySent):
				h.state(v.ID, channel.Sent)
			default:
				t.Fatal(err)
			}
		}
		t.Logf("taken back %d of 40", taken)
	})
}

func TestHeldMessageCanBeTakenBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.run(h.out)
		r := h.request("Doch nicht")
		r.Hold = 5 * time.Second
		v := h.queue(r)
		next := h.send("danach").ID
		h.later(4 * time.Second)
		h.quiet()
		if n := h.medium.calls(); n != 0 {
			t.Fatalf("%v sent while the author could still take the first one back", h.medium.texts())
		}
		h.write(func(tx *db.Tx) error { _, _, err := outbox.Cancel(ctx, tx, v.Message); return err })
		h.state(next, channel.Sent)
		if got := h.medium.texts(); !slices.Equal(got, []string{"danach"}) {
			t.Fatalf("sent %v", got)
		}
		err := h.o.Write(ctx, func(tx *db.Tx) error { _, _, err := outbox.Cancel(ctx, tx, h.get(next).Message); return err })
		if !errors.Is(err, outbox.ErrAlreadySent) {
			t.Fatalf("%v, want that it was sent already", err)
		}
	})
}

func TestScheduledMessageHoldsNobody(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		r := h.request("morgen")
		r.SendAt = h.clock.Now().Add(24 * time.Hour)
		v := h.queue(r)
		now := h.send("heute").ID
		h.run(h.out)
		h.state(now, channel.Sent)
		h.later(24 * time.Hour)
		h.state(v.ID, channel.Sent)
	})
}

func TestLoopGuard(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		receive := func(automatic bool) {
			h.write(func(tx *db.Tx) error {
				_, err := conversation.Receive(ctx, tx, conversation.In{Channel: h.ch.Account, Customer: h.who.Customer.ID, CustomerName: "erika", Address: h.who.Address.ID, AddressValue: "erika",
					CustomerIDs: func() ([]string, error) { return []string{h.who.Customer.ID}, nil },
					Message:     channel.Message{Text: "Hallo", Automatic: automatic, ExternalID: db.NewID()}, Key: db.NewID(), At: h.clock.Now()}, h.clock.Now())
				return err
			})
		}
		automatic := func() error {
			r := h.request("Wir sind im Urlaub")
			r.Out.Automatic, r.Out.Author = true, channel.Machine
			return h.o.Write(ctx, func(tx *db.Tx) error { _, _, err := h.out.Send(ctx, tx, r); return err })
		}
		receive(true)
		if err := automatic(); !errors.Is(err, outbox.ErrLoop) {
			t.Fatalf("a machine was answered by a machine: %v", err)
		}
		receive(false)
		var wg sync.WaitGroup
		var answered atomic.Int64
		for range 8 { // however many ask for it at once
			wg.Go(func() {
				if err := automatic(); err == nil {
					answered.Add(1)
				} else if !errors.Is(err, outbox.ErrLoop) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if answered.Load() != 1 {
			t.Fatalf("%d automatic answers within 24 hours, want 1", answered.Load())
		}
		h.clock.Advance(23 * time.Hour)
		if err := automatic(); !errors.Is(err, outbox.ErrLoop) {
			t.Fatalf("a second one within 24 hours: %v", err)
		}
		h.clock.Advance(2 * time.Hour)
		ok(t, automatic())
		h.send("Ein Mensch darf immer")
	})
}

func TestPaceIsHonoured(t *testing.T) {
	const perAccount, perAddress = 100 * time.Millisecond, 300 * time.Millisecond
	d := dbtest.SQLite(t)
	h := build(t, d, &medium{pace: [2]time.Duration{perAccount, perAddress}})
	h.out = outbox.New(h.d, h.accounts, h.blobs, func(channel.Account) channel.Env { return channel.Env{} }, time.Now, "n1", slog.New(slog.DiscardHandler))
	for c := range 3 {
		h.conv = h.conversation(fmt.Sprint("kunde", c))
		for i := range 3 {
			h.send(fmt.Sprint(i))
		}
	}
	h.run(h.out)
	h.until("all of them", func() bool { return h.medium.calls() == 9 })
	h.medium.mu.Lock()
	defer h.medium.mu.Unlock()
	const slack = 200 * time.Millisecond // the time is taken after the outbox let go, on a busy machine much later
	last := map[string]time.Time{}
	for i, at := range h.medium.at {
		to := h.medium.sent[i].To.Value
		if was, ok := last[to]; ok && at.Sub(was) < perAddress-slack {
			t.Errorf("two messages to %s within %v, want at least %v", to, at.Sub(was), perAddress)
		}
		last[to] = at
	}
	if whole := h.medium.at[8].Sub(h.medium.at[0]); whole < 8*perAccount-slack {
		t.Errorf("nine messages within %v, want at least %v", whole, 8*perAccount)
	}
}

func TestRateLimitPausesTheChannel(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.medium.does(refuse(channel.RateLimited, 20*time.Second))
		first := h.send("1").ID
		h.run(h.out)
		h.until("the refusal", func() bool { return h.get(first).NextAt.After(h.clock.Now()) })
		h.medium.does(nil)
		h.until("the pause", func() bool { // the pause is noted just after the delivery
			h.conv = h.conversation("k" + db.NewID())
			return h.get(h.send("2").ID).State == channel.Queued
		})
		h.quiet()
		if n := h.medium.calls(); n > 2 {
			t.Fatalf("%d sends in spite of the provider's word", n)
		}
		h.later(20 * time.Second)
		h.state(first, channel.Sent)
	})
}

func TestRefusedBeforeTheProviderIsAsked(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, do := range map[string]func(h *house){
			"channel switched off": func(h *house) {
				off := false
				_, err := h.accounts.Update(ctx, h.org, h.ch.ID, account.Change{Enabled: &off}, "en")
				ok(h.t, err)
			},
			"channel deleted": func(h *house) { ok(h.t, h.accounts.Delete(ctx, h.org, h.ch.ID, h.clock.Now())) },
			"address removed": func(h *house) {
				h.write(func(tx *db.Tx) error {
					return customer.RemoveAddress(ctx, tx, []string{h.who.Customer.ID}, h.who.Address.ID)
				})
			},
			"opted out": func(h *house) {
				h.write(func(tx *db.Tx) error { return customer.OptOut(ctx, tx, h.who.Address.ID, h.clock.Now()) })
			},
			"driver crashes before the first byte": func(h *house) { h.medium.externalID = func(channel.Outgoing) string { panic("boom") } },
		} {
			t.Run(name, func(t *testing.T) {
				h := build(t, d, &medium{})
				id := h.send("Guten Tag").ID
				do(h)
				h.run(h.out)
				v := h.state(id, channel.Failed)
				if h.medium.calls() != 0 || v.Reason.DE == "" || v.Reason.EN == "" || h.row().Failed != 1 {
					t.Fatalf("%d calls, reason %+v, %d troubled", h.medium.calls(), v.Reason, h.row().Failed)
				}
			})
		}
	})
}

func TestExternalIDIsKnownBeforeTheFirstByte(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{externalID: func(o channel.Outgoing) string { return "<" + o.DeliveryID + "@x>" }})
		id := h.sending(h.out)
		if v := h.get(id); v.ExternalID != "<"+id+"@x>" {
			t.Fatalf("external id %q while the provider is asked", v.ExternalID)
		}
		m, err := conversation.MessageByID(ctx, h.o, h.get(id).Message)
		ok(t, err)
		if m.ExternalID != "<"+id+"@x>" {
			t.Fatalf("the message's external id is %q: an answer would not find its conversation", m.ExternalID)
		}
	})
}

func TestResolve(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			class   channel.Class
			as      string
			want    channel.State
			trouble int64
			calls   int
		}{
			{channel.Unknown, "sent", channel.Sent, 0, 1},
			{channel.Unknown, "failed", channel.Failed, 0, 1},
			{channel.Unknown, "resend", channel.Sent, 0, 2},
			{channel.Permanent, "failed", channel.Failed, 0, 1},
			{channel.Permanent, "sent", channel.Sent, 0, 1},
			{channel.Permanent, "resend", channel.Sent, 0, 2},
		} {
			t.Run(fmt.Sprint(c.class, " ", c.as), func(t *testing.T) {
				h := build(t, d, &medium{})
				h.medium.does(refuse(c.class, 0))
				id := h.send("Guten Tag").ID
				h.run(h.out)
				h.until("the outcome", func() bool { return h.row().Failed == 1 })
				was := h.get(id)
				h.medium.does(nil)
				h.clock.Advance(25 * time.Hour) // longer than anything is tried
				resolve := func() error {
					return h.o.Write(ctx, func(tx *db.Tx) error { _, err := h.out.Resolve(ctx, tx, id, c.as); return err })
				}
				ok(t, resolve())
				v := h.state(id, c.want)
				if c.as != "resend" && !v.CreatedAt.Equal(was.CreatedAt) {
					t.Errorf("a decision moved the delivery's making from %v to %v", was.CreatedAt, v.CreatedAt)
				}
				if n := h.row().Failed; n != c.trouble {
					t.Errorf("%d troubled deliveries, want %d", n, c.trouble)
				}
				if n := h.medium.calls(); n != c.calls {
					t.Errorf("sent %d times, want %d", n, c.calls)
				}
				if err := resolve(); !errors.Is(err, outbox.ErrState) && !(c.want == channel.Failed && err == nil) {
					t.Errorf("decided twice: %v", err)
				}
				if n := h.row().Failed; n != c.trouble {
					t.Errorf("after deciding twice %d troubled deliveries, want %d", n, c.trouble)
				}
			})
		}
	})
}

// The database may be away just when the provider has accepted: the outcome is kept, nothing is sent twice.
func TestOutcomeSurvivesADatabaseThatIsAway(t *testing.T) {
	d := dbtest.Postgres(t)
	h := build(t, d, &medium{})
	kill := func() {
		// Every connection of this database but the killer's own ends, as when the server restarts.
		rows, err := d.Global(ctx, db.LookupMetrics, `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err == nil {
			for rows.Next() {
			}
			rows.Close()
		}
	}
	h.medium.does(func(o channel.Outgoing) (channel.Receipt, error) {
		kill()
		return channel.Receipt{ExternalID: "x" + o.DeliveryID}, nil
	})
	h.run(h.out)
	for i := range 10 {
		var v outbox.Delivery
		h.until("a connection", func() bool {
			r := h.request(fmt.Sprint(i))
			r.Out.ClientID = r.Out.Text
			return nil == h.o.Write(ctx, func(tx *db.Tx) (err error) { _, v, err = h.out.Send(ctx, tx, r); return err })
		})
		h.until("the outcome", func() bool {
			d, err := outbox.Get(ctx, h.o, v.ID)
			return err == nil && d.State == channel.Sent
		})
	}
	h.medium.does(nil)
	h.until("a connection", func() bool { _, err := h.o.FeedHead(ctx); return err == nil })
	if n := h.medium.calls(); n != 10 {
		t.Fatalf("%d sends of 10 messages", n)
	}
}

func TestReadUpTo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d, &medium{})
		h.run(h.out)
		var ids []string
		for i := range 3 {
			ids = append(ids, h.send(fmt.Sprint(i)).ID)
			h.state(ids[i], channel.Sent)
		}
		m, err := conversation.MessageByID(ctx, h.o, h.get(ids[1]).Message)
		ok(t, err)
		h.write(func(tx *db.Tx) error { return outbox.ReadUpTo(ctx, tx, m, h.clock.Now()) })
		for i, want := range []channel.State{channel.Read, channel.Read, channel.Sent} {
			if got := h.get(ids[i]).State; got != want {
				t.Errorf("message %d is %s, want %s", i, got, want)
			}
		}
	})
}

func TestClockJumpsChangeNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, jump := range []time.Duration{time.Hour, -time.Hour} {
			t.Run(jump.String(), func(t *testing.T) {
				h := build(t, d, &medium{})
				// One is under way, one waits behind it, one was just queued elsewhere.
				begun, release := make(chan struct{}), make(chan struct{})
				h.medium.does(func(o channel.Outgoing) (channel.Receipt, error) {
					if o.Text == "1" {
						close(begun)
						<-release
					}
					return channel.Receipt{ExternalID: "x" + o.Text}, nil
				})
				first := h.send("1").ID
				h.run(h.out)
				<-begun
				second := h.send("2").ID
				tomorrow := h.request("morgen")
				tomorrow.SendAt = h.clock.Now().Add(24 * time.Hour)
				later := h.queue(tomorrow).ID
				h.later(jump)
				h.quiet()
				close(release)
				h.state(first, channel.Sent)
				h.state(second, channel.Sent)
				h.quiet()
				if got := h.medium.texts(); !slices.Equal(got, []string{"1", "2"}) {
					t.Fatalf("sent %v", got)
				}
				if v := h.get(later); v.State != channel.Queued {
					t.Fatalf("the message for tomorrow is %s", v.State)
				}
			})
		}
	})
}
