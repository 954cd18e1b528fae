package intake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/intake"
)

func TestTheSameWebhookTenTimesAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		var fresh atomic.Int64
		var wg sync.WaitGroup
		for i := range 20 {
			for range 10 {
				wg.Go(func() {
					n, err := h.in.Accept(ctx, h.chatAcct, channel.Inbound{Raw: []byte(`{"update_id":1}`), Events: []channel.Event{said("erika", i, fmt.Sprint("Nr. ", i))}})
					if err != nil {
						t.Error(err)
					}
					fresh.Add(int64(n))
				})
			}
		}
		wg.Wait()
		h.settled()
		if fresh.Load() != 20 {
			t.Errorf("%d events were new, want 20", fresh.Load())
		}
		texts := h.texts("chat", "erika")
		slices.Sort(texts)
		if n := len(slices.Compact(slices.Clone(texts))); n != 20 || len(texts) != 20 {
			t.Errorf("%d messages, %d different, want 20", len(texts), n)
		}
		list, err := intake.Balances(ctx, h.o)
		ok(t, err)
		for _, b := range list {
			if b.Channel == h.chatAcct.ID && (b.Received != 20 || b.Duplicates != 180 || b.Processed != 20) {
				t.Errorf("balance %+v, want 20 received, 20 processed, 180 duplicates", b)
			}
		}
		h.balanced()
	})
}

func TestOrderPerSender(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		const senders, each = 8, 40
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() { // a provider keeps the order of one chat: the next comes after the acknowledgement
				for n := range each {
					if _, err := h.in.Accept(ctx, h.chatAcct, channel.Inbound{Raw: []byte("{}"), Events: []channel.Event{said(fmt.Sprint("s", s), n, fmt.Sprint(n))}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		h.settled()
		for s := range senders {
			got := h.texts("chat", fmt.Sprint("s", s))
			for n := range each {
				if n >= len(got) || got[n] != fmt.Sprint(n) {
					t.Fatalf("sender %d wrote 0…%d, the conversation says %v", s, each-1, got)
				}
			}
		}
	})
}

func TestPoisonDelaysNobody(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.chat.openPart = func([]byte, string) (io.Reader, error) { panic("a driver's mistake") }
		crash := said("poison", 1, "Anhang")
		crash.Message.Attachments = []channel.Attachment{{Name: "x", Part: "1"}}
		empty := channel.Event{Key: "msg:empty", Type: channel.MessageEvent, Sender: channel.Address{Value: "poison"}}
		nobody := said("", 1, "von niemandem")
		nobody.Key = "msg:nobody"
		future := about("telepathy", "tele:1", "poison", "")
		h.chat.openPart = func([]byte, string) (io.Reader, error) { panic("a driver's mistake") }
		h.run(h.in)
		h.accept(h.chatAcct, said("a", 1, "vor"), crash, empty, said("b", 1, "zwischen"), nobody, future, said("c", 1, "nach"))
		h.settled()
		for _, s := range []string{"a", "b", "c"} {
			if got := h.texts("chat", s); len(got) != 1 {
				t.Errorf("%s: %v, want one message", s, got)
			}
		}
		items, err := intake.WorkItems(ctx, h.o, "", 50)
		ok(t, err)
		if len(items) != 4 {
			t.Fatalf("%d work items, want 4: %+v", len(items), items)
		}
		n, err := intake.CountWorkItems(ctx, h.o)
		ok(t, err)
		if n != 4 {
			t.Errorf("counted %d work items", n)
		}
		h.balanced()

		// Opened, retried in vain, retried with a mended driver, dismissed.
		byKey := map[string]intake.WorkItem{}
		for _, w := range items {
			byKey[w.Type+" "+w.Sender] = w
			if w.State != "open" || w.Error == "" || w.Reason.DE == "" || w.At.IsZero() {
				t.Errorf("a person could not tell what is wrong: %+v", w)
			}
			raw, typ, err := h.in.Raw(ctx, h.o, w.Raw)
			if err != nil || string(raw) != "{}" || typ != "application/json" {
				t.Errorf("raw body %q %q (%v)", raw, typ, err)
			}
		}
		var crashed intake.WorkItem
		for _, w := range items {
			if strings.Contains(w.Error, "crashed") {
				crashed = w
			}
		}
		ok(t, h.in.Retry(ctx, h.o, crashed.ID))
		h.settled()
		again, err := intake.GetWorkItem(ctx, h.o, crashed.ID)
		ok(t, err)
		if again.State != "open" || again.Attempts < 2 {
			t.Fatalf("retried in vain: %+v", again)
		}
		h.chat.mu.Lock()
		h.chat.openPart = func(raw []byte, _ string) (io.Reader, error) { return bytes.NewReader(raw), nil }
		h.chat.mu.Unlock()
		ok(t, h.in.Retry(ctx, h.o, crashed.ID))
		h.until("the mended one", func() bool { return len(h.texts("chat", "poison")) == 1 })
		for _, w := range items {
			if w.ID != crashed.ID {
				ok(t, h.o.Write(ctx, func(tx *db.Tx) error { return intake.Dismiss(ctx, tx, w.ID) }))
				if err := h.o.Write(ctx, func(tx *db.Tx) error { return intake.Dismiss(ctx, tx, w.ID) }); !errors.Is(err, intake.ErrNotFound) {
					t.Errorf("dismissed twice: %v", err)
				}
				if err := h.in.Retry(ctx, h.o, w.ID); !errors.Is(err, intake.ErrNotFound) {
					t.Errorf("retried after it was dismissed: %v", err)
				}
			}
		}
		if n, _ := intake.CountWorkItems(ctx, h.o); n != 0 {
			t.Errorf("%d work items are left", n)
		}
		h.balanced()
	})
}

// What follows a message (an answer to a question, a dialog's step) may fail or crash: the message is there all the same,
// nothing of what was half done stays, and the others go on.
func TestWhatFollowsHarmsNoMessage(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.in.After = func(ctx context.Context, tx *db.Tx, r conversation.Received, _ string, _ bool, _ func() ([]string, error)) error {
			if r.Message.Text == "gut" {
				return nil
			}
			if _, err := conversation.Note(ctx, tx, r.Row.ID, "halb fertig", "", conversation.Actor{}, time.Now()); err != nil {
				return err
			}
			if r.Message.Text == "stürzt" {
				panic("a mistake of ours")
			}
			return errors.New("cannot go on")
		}
		h.run(h.in)
		h.accept(h.chatAcct, said("a", 1, "gut"), said("b", 1, "scheitert"), said("c", 1, "stürzt"), said("d", 1, "gut"))
		h.settled()
		for _, s := range []string{"a", "b", "c", "d"} {
			if got := h.texts("chat", s); len(got) != 1 {
				t.Errorf("%s: %v, want one message", s, got)
			}
		}
		var notes int
		ok(t, h.o.Row(ctx, `SELECT COUNT(*) FROM message WHERE org = $1 AND kind = 'note'`).Scan(&notes))
		if notes != 0 {
			t.Errorf("%d notes of what was half done", notes)
		}
		if n, err := intake.CountWorkItems(ctx, h.o); err != nil || n != 0 {
			t.Errorf("%d work items (%v)", n, err)
		}
		h.balanced()
	})
}

// Whatever bytes a stranger puts into a field, it becomes a message or a work item, and never stops the others: engines
// differ in what they take for text.
func TestHostileBytesAreStored(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		const bad = "a\x00b\xff\xfec\u202e\U0010ffff"
		for i, e := range []channel.Event{
			{Key: "k" + bad, Type: channel.MessageEvent, Sender: channel.Address{Value: "h1"}, Message: &channel.Message{ExternalID: "1", Text: "t"}},
			{Key: "k2", Type: channel.MessageEvent, Sender: channel.Address{Value: "h2" + bad, Name: bad, Language: bad}, Message: &channel.Message{ExternalID: "2", Text: "t"}},
			{Key: "k3", Type: channel.MessageEvent, Sender: channel.Address{Value: "h3"}, Message: &channel.Message{ExternalID: "3" + bad, Subject: bad, Text: bad, HTML: bad, ReplyTo: bad, References: []string{bad}, ReplyToken: bad, Unsupported: bad,
				From: []channel.Mailbox{{Name: bad, Address: bad}}, Attachments: []channel.Attachment{{Name: bad, MediaType: bad, ContentID: bad, Remote: bad}}}},
			{Key: "k4", Type: channel.UnparsedEvent, Sender: channel.Address{Value: bad}, Error: bad},
			{Key: "k5", Type: channel.ReactionEvent, Sender: channel.Address{Value: "h3"}, Ref: "3" + bad, Reaction: bad},
			{Key: "k6", Type: channel.StatusEvent, Status: &channel.Status{ExternalID: bad, State: "read", Error: bad}},
			{Key: "k7", Type: channel.EditEvent, Sender: channel.Address{Value: "h3"}, Ref: "3" + bad, At: h.clock.Now(), Message: &channel.Message{Text: "neu " + bad}},
		} {
			n, err := h.in.Accept(ctx, h.mailAcct, channel.Inbound{Raw: []byte(bad), Type: "text/plain; x=" + bad, Events: []channel.Event{e}})
			if err != nil || n != 1 {
				t.Errorf("event %d was refused for ever: %v", i, err)
			}
		}
		n, err := h.in.Accept(ctx, h.mailAcct, channel.Inbound{Raw: []byte(bad), Type: bad, Err: bad})
		if err != nil || n != 1 {
			t.Errorf("an unreadable body was refused for ever: %v", err)
		}
		h.accept(h.mailAcct, said("after", 1, "danach"))
		h.until("what came after", func() bool { return len(h.texts("mail", "after")) == 1 })
		h.until("the others", func() bool { return h.count("pending") <= 1 }) // the status waits for its message
		for _, s := range []string{"h1", "h3"} {
			if got := h.texts("mail", s); len(got) != 1 {
				items, _ := intake.WorkItems(ctx, h.o, "", 50)
				for _, w := range items {
					t.Log(w.Type, w.Error)
				}
				t.Errorf("%s: %q, want one message", s, got)
			}
		}
		if m := h.messages("mail", "h3"); len(m) == 1 && !strings.HasPrefix(m[0].Text, "neu ") {
			t.Errorf("the edit did not find its message: %q", m[0].Text)
		}
		h.balanced()
	})
}

// One request that cannot be stored must not take those down that happened to share its transaction.
func TestUnreadableBodyIsAWorkItem(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		raw := []byte("<html>not what we expected</html>")
		for i := range 3 {
			n, err := h.in.Accept(ctx, h.chatAcct, channel.Inbound{Raw: raw, Type: "text/html", Err: "parse: not JSON"})
			if err != nil || n != map[bool]int{true: 1}[i == 0] {
				t.Fatalf("%d new, %v", n, err)
			}
		}
		items, err := intake.WorkItems(ctx, h.o, "", 10)
		ok(t, err)
		if len(items) != 1 || items[0].Error != "parse: not JSON" || items[0].Size != int64(len(raw)) {
			t.Fatalf("work items %+v", items)
		}
		got, typ, err := h.in.Raw(ctx, h.o, items[0].Raw)
		if err != nil || !bytes.Equal(got, raw) || typ != "text/html" {
			t.Fatalf("raw %q %q %v", got, typ, err)
		}
		// It still cannot be read.
		h.chat.reparse = func([]byte) ([]channel.Event, error) { return nil, errors.New("still not JSON") }
		ok(t, h.in.Retry(ctx, h.o, items[0].ID))
		w, err := intake.GetWorkItem(ctx, h.o, items[0].ID)
		ok(t, err)
		if w.State != "open" || w.Error != "still not JSON" || w.Attempts != 1 {
			t.Fatalf("after a retry in vain: %+v", w)
		}
		// A later version can read it, even if two people press at once.
		h.chat.mu.Lock()
		h.chat.reparse = func([]byte) ([]channel.Event, error) {
			return []channel.Event{said("erika", 1, "eins"), said("erika", 2, "zwei")}, nil
		}
		h.chat.mu.Unlock()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := h.in.Retry(ctx, h.o, items[0].ID); err != nil && !errors.Is(err, intake.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		h.settled()
		if got := h.texts("chat", "erika"); !slices.Equal(got, []string{"eins", "zwei"}) {
			t.Fatalf("messages %v", got)
		}
		if n, _ := intake.CountWorkItems(ctx, h.o); n != 0 {
			t.Errorf("%d work items are left", n)
		}
		h.balanced()
	})
}

// A retry of the one bad event of a batch must not take it for read because its neighbours can be.
func TestRetryOfOneBadEventOfABatch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		bad := channel.Event{Key: "bad:1", Type: channel.UnparsedEvent, Error: "a type of tomorrow"}
		nameless := channel.Event{Type: channel.MessageEvent, Sender: channel.Address{Value: "erika"}, Message: &channel.Message{Text: "ohne Kennung"}}
		batch := []channel.Event{said("erika", 1, "gut"), bad, nameless}
		h.accept(h.chatAcct, batch...)
		h.settled()
		items, err := intake.WorkItems(ctx, h.o, "", 10)
		ok(t, err)
		if len(items) != 1 {
			t.Fatalf("%d work items", len(items))
		}
		h.chat.reparse = func([]byte) ([]channel.Event, error) { return batch, nil }
		ok(t, h.in.Retry(ctx, h.o, items[0].ID))
		h.settled()
		if w, err := intake.GetWorkItem(ctx, h.o, items[0].ID); err != nil || w.State != "open" {
			t.Fatalf("what still cannot be read is %q (%v), want open", w.State, err)
		}
		if got := h.texts("chat", "erika"); !slices.Equal(got, []string{"gut", "ohne Kennung"}) {
			t.Fatalf("a retry gave %v", got)
		}
		h.chat.mu.Lock()
		h.chat.reparse = func([]byte) ([]channel.Event, error) {
			return []channel.Event{said("erika", 1, "gut"), said("erika", 2, "nun lesbar"), nameless}, nil
		}
		h.chat.mu.Unlock()
		ok(t, h.in.Retry(ctx, h.o, items[0].ID))
		h.settled()
		if got := h.texts("chat", "erika"); !slices.Equal(got, []string{"gut", "ohne Kennung", "nun lesbar"}) {
			t.Fatalf("messages %v", got)
		}
		if w, err := intake.GetWorkItem(ctx, h.o, items[0].ID); err != nil || w.State != "done" {
			t.Fatalf("%q (%v), want done", w.State, err)
		}
		h.balanced()
	})
}

// The balance holds at any moment: while many write, process, fail, retry, dismiss and trim.
func TestBalanceAtAnyMoment(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		var n2 = h.node("n2")
		h.run(h.in)
		h.run(n2)
		h.chat.reparse = func(raw []byte) ([]channel.Event, error) {
			if len(raw)%2 == 0 {
				return nil, errors.New("never")
			}
			return []channel.Event{said("raw", len(raw), "gelesen")}, nil
		}
		done := make(chan struct{})
		var work, watch sync.WaitGroup
		var looks atomic.Int64
		for range 2 {
			watch.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					list, err := intake.Balances(ctx, h.o)
					if err != nil {
						t.Error(err)
						return
					}
					for _, b := range list {
						if !b.OK() {
							t.Errorf("balance does not add up: %+v", b)
							return
						}
					}
					looks.Add(1)
				}
			})
		}
		var accepted atomic.Int64
		for w := range 6 {
			in := []*intake.Intake{h.in, n2}[w%2]
			work.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 7))
				for i := range 60 {
					var events []channel.Event
					for range 1 + r.IntN(3) {
						e := said(fmt.Sprint("s", r.IntN(5)), r.IntN(200), "x") // often a duplicate
						switch r.IntN(10) {
						case 0:
							e.Message = nil // poison
						case 1:
							e = channel.Event{Key: fmt.Sprint("bad", r.IntN(50)), Type: channel.UnparsedEvent, Error: "bad"}
						}
						events = append(events, e)
					}
					inb := channel.Inbound{Raw: bytes.Repeat([]byte("x"), w*100+i), Events: events}
					if r.IntN(10) == 0 {
						inb.Events, inb.Err = nil, "unreadable"
					}
					k, err := in.Accept(ctx, h.chatAcct, inb)
					if err != nil {
						t.Error(err)
					}
					accepted.Add(int64(k))
				}
			})
		}
		work.Go(func() {
			r := rand.New(rand.NewPCG(99, 7))
			for range 40 {
				items, err := intake.WorkItems(ctx, h.o, "", 20)
				if err != nil {
					t.Error(err)
				}
				for _, w := range items {
					switch r.IntN(4) {
					case 0:
						err = h.in.Retry(ctx, h.o, w.ID)
					case 1:
						err = h.o.Write(ctx, func(tx *db.Tx) error { return intake.Dismiss(ctx, tx, w.ID) })
					}
					if err != nil && !errors.Is(err, intake.ErrNotFound) {
						t.Error(err)
					}
				}
				if err := h.in.Trim(ctx, h.o, h.clock.Now().Add(36*24*time.Hour)); err != nil { // everything that is done is old
					t.Error(err)
				}
			}
		})
		work.Wait()
		h.settled()
		close(done)
		watch.Wait()
		h.balanced()
		list, err := intake.Balances(ctx, h.o)
		ok(t, err)
		for _, b := range list {
			if b.Channel == h.chatAcct.ID && b.Received < accepted.Load() { // retries of unread bodies add events
				t.Errorf("%d events were said to be new, %d are in the books", accepted.Load(), b.Received)
			}
		}
		t.Logf("looked %d times; %+v", looks.Load(), list)
	})
}

func TestTrimKeepsBalanceAndYoungKeys(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		h.accept(h.chatAcct, said("erika", 1, "alt"), channel.Event{Key: "bad", Type: channel.UnparsedEvent, Error: "x"})
		h.settled()
		h.clock.Advance(31 * 24 * time.Hour)
		h.accept(h.chatAcct, said("erika", 2, "neu"))
		h.settled()
		ok(t, h.in.Trim(ctx, h.o, h.clock.Now()))
		if n := h.accept(h.chatAcct, said("erika", 1, "alt")); n != 0 {
			t.Fatal("a key was forgotten after 31 days")
		}
		h.clock.Advance(5 * 24 * time.Hour)
		ok(t, h.in.Trim(ctx, h.o, h.clock.Now()))
		if n := h.count("done"); n != 1 {
			t.Errorf("%d events are left, want the young one", n)
		}
		if n := h.count("quarantined"); n != 1 {
			t.Errorf("%d open work items are left, want 1", n)
		}
		h.balanced()
		list, err := intake.Balances(ctx, h.o)
		ok(t, err)
		for _, b := range list {
			if b.Channel == h.chatAcct.ID && (b.Received != 3 || b.Processed != 2 || b.Quarantined != 1) {
				t.Errorf("%+v", b)
			}
		}
	})
}

func TestWhatComesBeforeItsMessageWaits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		react := about(channel.ReactionEvent, "react:1", "erika", "erika/1")
		react.Reaction, react.At = "👍", h.clock.Now()
		h.accept(h.chatAcct, react)
		h.accept(h.chatAcct, channel.Event{Key: "status:never", Type: channel.StatusEvent, Status: &channel.Status{ExternalID: "never", State: channel.Read}})
		h.until("both to be put off", func() bool {
			var n int
			ok(t, h.o.Row(ctx, `SELECT COUNT(*) FROM intake_event WHERE org = $1 AND state = 'pending' AND attempts > 0`).Scan(&n))
			return n == 2
		})
		h.accept(h.chatAcct, said("erika", 1, "Hallo"))
		h.until("the reaction", func() bool {
			h.clock.Advance(time.Second)
			h.in.Wake()
			m := h.messages("chat", "erika")
			return len(m) == 1 && len(m[0].Reactions) == 1
		})
		if n := h.count("pending"); n != 1 {
			t.Fatalf("%d pending, want the status that never finds its message", n)
		}
		for range 15 {
			h.clock.Advance(10 * time.Second)
			h.in.Wake()
			time.Sleep(3 * time.Millisecond)
		}
		h.until("the status to be given up", func() bool {
			h.clock.Advance(10 * time.Second)
			h.in.Wake()
			return h.count("pending") == 0
		})
		if n := h.count("quarantined"); n != 0 {
			t.Errorf("%d work items for something nobody can do anything about", n)
		}
		h.balanced()
	})
}

func TestClockJumpsLoseNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, jump := range []time.Duration{time.Hour, -time.Hour} {
			t.Run(jump.String(), func(t *testing.T) {
				h := build(t, d)
				h.run(h.in)
				react := about(channel.ReactionEvent, "react:1", "erika", "erika/1")
				react.Reaction, react.At = "👍", h.clock.Now()
				h.accept(h.chatAcct, react)
				h.until("it to be put off", func() bool {
					var n int
					ok(t, h.o.Row(ctx, `SELECT COUNT(*) FROM intake_event WHERE org = $1 AND state = 'pending' AND attempts > 0`).Scan(&n))
					return n == 1
				})
				h.clock.Advance(jump)
				after := h.clock.Now()
				h.in.Wake()
				time.Sleep(20 * time.Millisecond)
				for i := range 5 {
					h.accept(h.chatAcct, said("erika", i, fmt.Sprint(i)))
				}
				h.until("the reaction", func() bool {
					if h.clock.Now().Sub(after) < time.Minute {
						h.clock.Advance(time.Second)
					}
					h.in.Wake()
					m := h.messages("chat", "erika")
					return len(m) == 5 && len(m[1].Reactions) == 1
				})
				if got := h.texts("chat", "erika"); !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) {
					t.Errorf("order %v", got)
				}
			})
		}
	})
}

func TestLargeBodiesAreFiles(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		big := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
		h.mail.openPart = func(raw []byte, part string) (io.Reader, error) { return bytes.NewReader(raw[:1000]), nil }
		e := said("erika", 1, "mit Anhang")
		e.Message.Attachments = []channel.Attachment{{Name: "vertrag.pdf", MediaType: "application/pdf", Part: "2"}}
		_, err := h.in.Accept(ctx, h.mailAcct, channel.Inbound{Raw: big, Type: "message/rfc822", Events: []channel.Event{e}})
		ok(t, err)
		h.settled()
		m := h.messages("mail", "erika")
		if len(m) != 1 {
			t.Fatalf("%d messages", len(m))
		}
		got, typ, err := h.in.Raw(ctx, h.o, m[0].Raw)
		if err != nil || !bytes.Equal(got, big) || typ != "message/rfc822" {
			t.Fatalf("%d bytes %q (%v), want the whole body", len(got), typ, err)
		}
		files, err := conversation.Attachments(ctx, h.o, []string{m[0].ID})
		ok(t, err)
		if f := files[m[0].ID]; len(f) != 1 || f[0].Size != 1000 || f[0].State != conversation.Stored {
			t.Fatalf("attachments %+v", f)
		}
		// What both refer to is in use, however old it is.
		n, err := h.blobs.Sweep(ctx, time.Now().Add(48*time.Hour), func(ctx context.Context, sums []string) (map[string]bool, error) {
			a, err := intake.UsedBlobs(ctx, h.o, sums)
			ok(t, err)
			b, err := conversation.UsedBlobs(ctx, h.o, sums)
			for s := range b {
				a[s] = true
			}
			return a, err
		})
		if err != nil || n != 0 {
			t.Fatalf("%d files in use were swept (%v)", n, err)
		}
	})
}

// A raw body whose file is gone for good is one work item, not the end of all processing.
func TestLostFileDelaysNobody(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.mail.openPart = func(raw []byte, part string) (io.Reader, error) { return bytes.NewReader(raw), nil }
		e := said("erika", 1, "mit Anhang")
		e.Message.Attachments = []channel.Attachment{{Name: "a", Part: "1"}}
		// Stored by one process, its file lost before another one processes it.
		first := h.node("n0")
		fctx, cancel := context.WithCancel(ctx)
		hold := make(chan struct{})
		go func() { _ = first.Run(fctx); close(hold) }()
		h.mail.mu.Lock() // OpenPart waits: it stays pending
		_, err := first.Accept(ctx, h.mailAcct, channel.Inbound{Raw: bytes.Repeat([]byte("x"), 100_000), Events: []channel.Event{e}})
		ok(t, err)
		cancel()
		h.mail.mu.Unlock()
		<-hold
		if h.count("pending") == 0 {
			t.Fatal("it was processed before its file could be lost")
		}
		ok(t, filepath.WalkDir(h.blobDir, func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				return os.Remove(path)
			}
			return err
		}))
		h.run(h.in)
		h.accept(h.mailAcct, said("max", 1, "danach"))
		h.until("what came after", func() bool { return len(h.texts("mail", "max")) == 1 })
		h.until("the work item", func() bool { return h.count("quarantined") == 1 })
	})
}

func TestMediaIsFetchedAgainUntilItIsThere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		var calls atomic.Int64
		h.chat.fetch = func(remote string) (io.ReadCloser, error) {
			n := calls.Add(1)
			switch {
			case remote == "gone":
				return nil, &channel.SendError{Class: channel.Permanent}
			case remote == "crash":
				panic("a driver's mistake")
			case n < 6:
				return nil, &channel.SendError{Class: channel.Temporary}
			}
			return io.NopCloser(strings.NewReader("Bild von " + remote)), nil
		}
		h.run(h.in)
		send := func(n int, remote string) {
			e := said("erika", n, "")
			e.Message.Attachments = []channel.Attachment{{Name: "foto.jpg", MediaType: "image/jpeg", Remote: remote}}
			h.accept(h.chatAcct, e)
		}
		file := func(n int) conversation.Attachment {
			m := h.messages("chat", "erika")
			if len(m) <= n {
				return conversation.Attachment{}
			}
			files, err := conversation.Attachments(ctx, h.o, []string{m[n].ID})
			ok(t, err)
			return files[m[n].ID][0]
		}
		send(0, "gone")
		h.until("the failure", func() bool { return file(0).State == conversation.FetchFailed })
		send(1, "crash")
		h.until("the failure", func() bool { return file(1).State == conversation.FetchFailed })
		send(2, "foto")
		h.until("the first try", func() bool { return file(2).Attempts == 1 })
		if n := calls.Load(); n != 3 {
			t.Fatalf("%d calls, want 3: one that failed for a while waits", n)
		}
		h.until("the picture", func() bool {
			h.clock.Advance(time.Minute)
			return file(2).State == conversation.Stored
		})
		f, err := h.blobs.Get(file(2).Blob)
		ok(t, err)
		defer func() { _ = f.Close() }()
		if b, err := io.ReadAll(f); err != nil || string(b) != "Bild von foto" {
			t.Fatalf("%q, %v", b, err)
		}
		// Never: given up after some attempts, shown as failed.
		calls.Store(-1000)
		send(3, "nie")
		h.until("giving up", func() bool {
			h.clock.Advance(time.Hour)
			return file(3).State == conversation.FetchFailed
		})
	})
}

func TestNothingIsAcknowledgedByAStoppedIntake(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		h.accept(h.chatAcct, said("erika", 1, "vorher"))
		h.settled()
		h.stop()
		done := make(chan error, 1)
		go func() {
			_, err := h.in.Accept(ctx, h.chatAcct, channel.Inbound{Raw: []byte("{}"), Events: []channel.Event{said("erika", 2, "nachher")}})
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, db.ErrUnavailable) {
				t.Fatalf("%v, want that the provider is told to come again", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a request after the end waits for ever, and with it the whole shutdown")
		}
	})
}

func TestCursorIsKeptWithTheEvents(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		for i, in := range []channel.Inbound{{Cursor: "7", Events: []channel.Event{said("erika", 1, "x")}, Raw: []byte("{}")}, {Cursor: "9"}, {Events: []channel.Event{said("erika", 2, "y")}, Raw: []byte("{}")}} {
			_, err := h.in.Accept(ctx, h.chatAcct, in)
			ok(t, err)
			got, err := h.accounts.Cursor(ctx, h.org, h.chatAcct.ID)
			ok(t, err)
			if want := []string{"7", "9", "9"}[i]; got != want {
				t.Fatalf("cursor %q, want %q", got, want)
			}
		}
		n, err := h.in.Accept(ctx, h.chatAcct, channel.Inbound{Events: []channel.Event{about(channel.TypingEvent, "", "erika", "")}})
		if err != nil || n != 0 || h.count("done")+h.count("pending") > 2 {
			t.Errorf("typing was stored")
		}
	})
}

func TestOptOutAndComingBackInOneBatch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		optedOut := func() bool {
			var at int64
			ok(t, h.o.Row(ctx, `SELECT opted_out_at FROM address WHERE org = $1 AND value = 'erika'`).Scan(&at))
			return at != 0
		}
		h.accept(h.chatAcct, said("erika", 1, "Hallo"))
		h.settled()
		h.accept(h.chatAcct, about(channel.OptOutEvent, "out:2", "erika", ""), said("erika", 2, "Ich bin wieder da"))
		h.settled()
		if optedOut() {
			t.Fatal("she wrote again after leaving, and is still not to be written to")
		}
		h.accept(h.chatAcct, said("erika", 3, "Tschüss"), about(channel.OptOutEvent, "out:1", "erika", ""))
		h.settled()
		if !optedOut() {
			t.Fatal("still to be written to after she left")
		}
		h.accept(h.chatAcct, about(channel.OptOutEvent, "out:3", "erika", ""), about(channel.StartEvent, "start:1", "erika", ""), about(channel.OptOutEvent, "out:4", "erika", ""))
		h.settled()
		if !optedOut() {
			t.Fatal("the last word was to leave")
		}
	})
}

// Assurance is of the very mail: one that anybody could have written is not vouched for by an earlier one.
func TestAssuranceIsOfTheMessage(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		a, b := said("erika", 1, "echt"), said("erika", 2, "gefälscht")
		a.Sender.Assurance, b.Sender.Assurance = channel.Verified, ""
		h.accept(h.mailAcct, a)
		h.accept(h.mailAcct, b)
		h.settled()
		m := h.messages("mail", "erika")
		if len(m) != 2 || m[0].Assurance != channel.Verified || m[1].Assurance != channel.Claimed {
			t.Fatalf("assurances %v, %v; want verified, claimed", m[0].Assurance, m[1].Assurance)
		}
	})
}

// Staff may write down an address in the very moment in which its owner writes for the first time.
func TestFirstMessageAndNewAddressAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		const n = 40
		var wg sync.WaitGroup
		for i := range n {
			value := fmt.Sprint("neu", i)
			wg.Go(func() {
				if _, err := h.in.Accept(ctx, h.chatAcct, channel.Inbound{Raw: []byte("{}"), Events: []channel.Event{said(value, 1, "Hallo")}}); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				err := h.o.Write(ctx, func(tx *db.Tx) error {
					_, err := customer.Ensure(ctx, tx, "chat", value, "Neu", h.clock.Now())
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		h.settled()
		if q := h.count("quarantined"); q != 0 {
			t.Errorf("%d first messages became work items", q)
		}
		var addresses, customers int
		ok(t, h.o.Row(ctx, `SELECT COUNT(*), COUNT(DISTINCT customer) FROM address WHERE org = $1 AND value LIKE 'neu%'`).Scan(&addresses, &customers))
		var all int
		ok(t, h.o.Row(ctx, `SELECT COUNT(*) FROM customer WHERE org = $1`).Scan(&all))
		if addresses != n || customers != n || all != n {
			t.Errorf("%d addresses of %d customers, %d customers in all; want %d each", addresses, customers, all, n)
		}
	})
}

// Another organisation's trouble is not ours.
func TestOrganisationsDoNotDelayEachOther(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := build(t, d)
		h.run(h.in)
		_, err := h.in.Accept(ctx, channel.Account{ID: "gone", Org: h.org, Kind: "chat"}, channel.Inbound{Raw: []byte("{}"), Events: []channel.Event{said("erika", 1, "x")}})
		ok(t, err)
		h.settled()
		items, err := intake.WorkItems(ctx, h.o, "", 10)
		ok(t, err)
		if len(items) != 1 || !strings.Contains(items[0].Error, "deleted") {
			t.Fatalf("what came by a channel that is gone: %+v", items)
		}
	})
}
