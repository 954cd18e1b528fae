package conversation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

var ctx = context.Background()

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// desk is a place where customers write to and staff answer.
type desk struct {
	t   *testing.T
	o   db.Org
	now time.Time
	n   int
}

func newDesk(t *testing.T, d *db.DB) *desk {
	return &desk{t: t, o: d.Org(dbtest.Org), now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
}

var (
	service = channel.Account{ID: "service@", Org: dbtest.Org, Kind: "email"}
	claims  = channel.Account{ID: "schaden@", Org: dbtest.Org, Kind: "email"}
	bot     = channel.Account{ID: "bot", Org: dbtest.Org, Kind: "telegram"}
	bot2    = channel.Account{ID: "bot2", Org: dbtest.Org, Kind: "telegram"}
)

func (k *desk) write(fn func(tx *db.Tx) error) {
	k.t.Helper()
	ok(k.t, k.o.Write(ctx, fn))
}

// in makes the inbound message of somebody on a channel.
func (k *desk) in(a channel.Account, from string, m channel.Message) conversation.In {
	k.t.Helper()
	var s customer.Sender
	k.write(func(tx *db.Tx) (err error) {
		s, err = customer.Ensure(ctx, tx, a.Kind, from, from, k.now)
		return err
	})
	k.n++
	if m.ExternalID == "" {
		m.ExternalID = fmt.Sprint("ext", k.n)
	}
	if m.Text == "" {
		m.Text = fmt.Sprint("Text ", k.n)
	}
	return conversation.In{Channel: a, Threaded: a.Kind == "email", Customer: s.Customer.ID, CustomerName: from, Address: s.Address.ID, AddressValue: from, Assurance: channel.Claimed,
		AuthorName: from, Message: m, Key: "msg:" + m.ExternalID, At: k.now}
}

func (k *desk) receive(in conversation.In) (res conversation.Received) {
	k.t.Helper()
	k.write(func(tx *db.Tx) (err error) {
		in.CustomerIDs = func() ([]string, error) { return customer.IDs(ctx, tx, in.Customer) }
		res, err = conversation.Receive(ctx, tx, in, k.now)
		return err
	})
	return res
}

// writes is receive of a new message.
func (k *desk) writes(a channel.Account, from string, m channel.Message) conversation.Received {
	k.t.Helper()
	return k.receive(k.in(a, from, m))
}

// answers is staff's answer to who wrote last; it gets an external id.
func (k *desk) answers(conv, text string) (m conversation.Message) {
	k.t.Helper()
	r := k.row(conv)
	k.n++
	k.write(func(tx *db.Tx) (err error) {
		m, _, err = conversation.Append(ctx, tx, conv, conversation.Out{Author: channel.Staff, By: conversation.Actor{ID: "anna", Name: "Anna"}, Channel: channel.Account{ID: r.Channel, Kind: r.ChannelKind, Org: dbtest.Org},
			Address: r.Address, Text: text}, k.now)
		if err != nil {
			return err
		}
		m.ExternalID = fmt.Sprint("out", k.n)
		return conversation.SetExternalID(ctx, tx, m.ID, m.ExternalID)
	})
	return m
}

func (k *desk) update(conv string, ch conversation.Change) (r conversation.Row) {
	k.t.Helper()
	k.write(func(tx *db.Tx) (err error) {
		r, err = conversation.Update(ctx, tx, conv, ch, conversation.Actor{ID: "anna", Name: "Anna"}, k.now)
		return err
	})
	return r
}

func (k *desk) close(conv string) {
	k.t.Helper()
	s := conversation.Closed
	k.update(conv, conversation.Change{Status: &s})
}

func (k *desk) snooze(conv string) {
	k.t.Helper()
	at := k.now.Add(7 * 24 * time.Hour)
	k.update(conv, conversation.Change{SnoozedUntil: &at})
}

func (k *desk) row(conv string) conversation.Row {
	k.t.Helper()
	r, err := conversation.Get(ctx, k.o, conv, "")
	ok(k.t, err)
	return r
}

func (k *desk) token(conv, address string) (token string) {
	k.t.Helper()
	k.write(func(tx *db.Tx) (err error) {
		token, err = conversation.ReplyToken(ctx, tx, conv, address, k.now)
		return err
	})
	return token
}

func (k *desk) messages(conv string) []conversation.Message {
	k.t.Helper()
	list, _, err := conversation.Messages(ctx, k.o, conv, "", 200)
	ok(k.t, err)
	return list
}

func (k *desk) later(d time.Duration) { k.now = k.now.Add(d) }

const day = 24 * time.Hour

// The table "Which conversation" of architecture.md.
func TestWhichConversation(t *testing.T) {
	type want struct {
		same       bool   // the first conversation
		status     string // of the conversation it went to
		suggestion string // reason of the link to the first one
		observed   bool
		event      string // last event of the first conversation
	}
	cases := []struct {
		name string
		do   func(k *desk, first conversation.Received) conversation.Received
		mail bool
		want want
	}{
		{"reply token, same sender", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(claims, "erika@x", channel.Message{ReplyToken: k.token(f.Row.ID, f.Message.Address)})
		}, true, want{same: true, status: "open", observed: true}},
		{"reply token, closed 29 days ago", func(k *desk, f conversation.Received) conversation.Received {
			tk := k.token(f.Row.ID, f.Message.Address)
			k.close(f.Row.ID)
			k.later(29 * day)
			return k.writes(service, "erika@x", channel.Message{ReplyToken: tk})
		}, true, want{same: true, status: "open", observed: true, event: "reopened"}},
		{"reply token, closed 31 days ago", func(k *desk, f conversation.Received) conversation.Received {
			tk := k.token(f.Row.ID, f.Message.Address)
			k.close(f.Row.ID)
			k.later(31 * day)
			return k.writes(service, "erika@x", channel.Message{ReplyToken: tk})
		}, true, want{status: "open", observed: true, suggestion: "closed_long_ago", event: "closed"}},
		{"reply token, snoozed", func(k *desk, f conversation.Received) conversation.Received {
			tk := k.token(f.Row.ID, f.Message.Address)
			k.snooze(f.Row.ID)
			return k.writes(service, "erika@x", channel.Message{ReplyToken: tk})
		}, true, want{same: true, status: "open", observed: true, event: "woken"}},
		{"reply token, other sender", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "mallory@x", channel.Message{ReplyToken: k.token(f.Row.ID, f.Message.Address), ReplyTo: f.Message.ExternalID})
		}, true, want{status: "open", suggestion: "token_other_sender"}},
		{"reply token nobody was given", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "erika@x", channel.Message{ReplyToken: "aaaa"})
		}, true, want{status: "open"}},
		{"reply token nobody was given, and a thread", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "erika@x", channel.Message{ReplyToken: "aaaa", ReplyTo: f.Message.ExternalID})
		}, true, want{same: true, status: "open"}},
		{"In-Reply-To of ours, same sender", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "erika@x", channel.Message{ReplyTo: k.answers(f.Row.ID, "Gern").ExternalID})
		}, true, want{same: true, status: "open"}},
		{"In-Reply-To of ours, to another mailbox", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(claims, "erika@x", channel.Message{ReplyTo: k.answers(f.Row.ID, "Gern").ExternalID})
		}, true, want{same: true, status: "open"}},
		{"In-Reply-To unknown, References of ours", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "erika@x", channel.Message{ReplyTo: "elsewhere", References: []string{f.Message.ExternalID, k.answers(f.Row.ID, "Gern").ExternalID, "elsewhere"}})
		}, true, want{same: true, status: "open"}},
		{"In-Reply-To of ours, closed 29 days ago", func(k *desk, f conversation.Received) conversation.Received {
			k.close(f.Row.ID)
			k.later(29 * day)
			return k.writes(service, "erika@x", channel.Message{ReplyTo: f.Message.ExternalID})
		}, true, want{same: true, status: "open", event: "reopened"}},
		{"In-Reply-To of ours, closed 31 days ago", func(k *desk, f conversation.Received) conversation.Received {
			k.close(f.Row.ID)
			k.later(31 * day)
			return k.writes(service, "erika@x", channel.Message{ReplyTo: f.Message.ExternalID})
		}, true, want{status: "open", suggestion: "closed_long_ago", event: "closed"}},
		{"In-Reply-To of ours, snoozed", func(k *desk, f conversation.Received) conversation.Received {
			k.snooze(f.Row.ID)
			return k.writes(service, "erika@x", channel.Message{ReplyTo: f.Message.ExternalID})
		}, true, want{same: true, status: "open", event: "woken"}},
		{"In-Reply-To of ours, other sender", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "mallory@x", channel.Message{ReplyTo: k.answers(f.Row.ID, "Gern").ExternalID})
		}, true, want{status: "open", suggestion: "thread_other_sender"}},
		{"References of ours, other sender", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "mallory@x", channel.Message{References: []string{f.Message.ExternalID}})
		}, true, want{status: "open", suggestion: "thread_other_sender"}},
		{"e-mail without a thread", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(service, "erika@x", channel.Message{Subject: "Re: " + f.Message.Subject})
		}, true, want{status: "open"}},
		{"chat goes on", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(bot, "erika", channel.Message{})
		}, false, want{same: true, status: "open"}},
		{"chat goes on, on the other bot", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(bot2, "erika", channel.Message{})
		}, false, want{same: true, status: "open"}},
		{"chat, snoozed", func(k *desk, f conversation.Received) conversation.Received {
			k.snooze(f.Row.ID)
			return k.writes(bot, "erika", channel.Message{})
		}, false, want{same: true, status: "open", event: "woken"}},
		{"chat, closed", func(k *desk, f conversation.Received) conversation.Received {
			k.close(f.Row.ID)
			return k.writes(bot, "erika", channel.Message{})
		}, false, want{status: "open", event: "closed"}},
		{"chat, closed, quotes it", func(k *desk, f conversation.Received) conversation.Received {
			k.close(f.Row.ID)
			k.later(29 * day)
			return k.writes(bot, "erika", channel.Message{ReplyTo: f.Message.ExternalID})
		}, false, want{same: true, status: "open", event: "reopened"}},
		{"chat, closed long ago, quotes it", func(k *desk, f conversation.Received) conversation.Received {
			k.close(f.Row.ID)
			k.later(31 * day)
			return k.writes(bot, "erika", channel.Message{ReplyTo: f.Message.ExternalID})
		}, false, want{status: "open", suggestion: "closed_long_ago", event: "closed"}},
		{"chat, quotes an older conversation", func(k *desk, f conversation.Received) conversation.Received {
			k.close(f.Row.ID)
			k.later(time.Hour)
			if other := k.writes(bot, "erika", channel.Message{}); other.Row.ID == f.Row.ID {
				k.t.Fatal("no second conversation")
			}
			k.later(time.Hour)
			return k.writes(bot, "erika", channel.Message{ReplyTo: f.Message.ExternalID})
		}, false, want{same: true, status: "open", event: "reopened"}},
		{"chat of somebody else who quotes the same id", func(k *desk, f conversation.Received) conversation.Received {
			return k.writes(bot, "max", channel.Message{ReplyTo: f.Message.ExternalID})
		}, false, want{status: "open"}},
		{"chat on a new address of the customer with one open conversation", func(k *desk, f conversation.Received) conversation.Received {
			k.write(func(tx *db.Tx) error {
				_, err := customer.AddAddress(ctx, tx, f.Row.Customer, "telegram", "erika-zwei", k.now)
				return err
			})
			return k.writes(bot, "erika-zwei", channel.Message{})
		}, false, want{same: true, status: "open"}},
		{"chat of a customer whose open conversation is by mail", func(k *desk, f conversation.Received) conversation.Received {
			k.write(func(tx *db.Tx) error {
				_, err := customer.AddAddress(ctx, tx, f.Row.Customer, "telegram", "erika-chat", k.now)
				return err
			})
			return k.writes(bot, "erika-chat", channel.Message{})
		}, true, want{same: true, status: "open"}},
		{"chat of a customer with two open conversations", func(k *desk, f conversation.Received) conversation.Received {
			k.writes(service, "erika@x", channel.Message{})
			k.write(func(tx *db.Tx) error {
				_, err := customer.AddAddress(ctx, tx, f.Row.Customer, "telegram", "erika-drei", k.now)
				return err
			})
			return k.writes(bot, "erika-drei", channel.Message{})
		}, true, want{status: "open"}},
		{"chat of a merged record", func(k *desk, f conversation.Received) conversation.Received {
			in := k.in(bot, "erika-privat", channel.Message{})
			k.write(func(tx *db.Tx) error {
				_, err := customer.Merge(ctx, tx, f.Row.Customer, in.Customer, k.now)
				return err
			})
			return k.receive(in)
		}, true, want{same: true, status: "open"}},
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				k := newDesk(t, d)
				k.org() // each case has an organisation of its own
				first := k.writes(bot, "erika", channel.Message{})
				if c.mail {
					k.org()
					first = k.writes(service, "erika@x", channel.Message{Subject: "Frage"})
				}
				got := c.do(k, first)
				if same := got.Row.ID == first.Row.ID; same != c.want.same || got.New == c.want.same {
					t.Fatalf("same conversation: %v (new %v), want %v", same, got.New, c.want.same)
				}
				r := k.row(got.Row.ID)
				if r.Status != c.want.status || got.Observed != c.want.observed {
					t.Errorf("status %s, observed %v; want %s, %v", r.Status, got.Observed, c.want.status, c.want.observed)
				}
				switch {
				case c.want.suggestion == "" && r.Suggestion != nil:
					t.Errorf("suggestion %+v, want none", r.Suggestion)
				case c.want.suggestion != "" && (r.Suggestion == nil || r.Suggestion.Conversation != first.Row.ID || r.Suggestion.Reason != c.want.suggestion):
					t.Errorf("suggestion %+v, want %s of the first conversation", r.Suggestion, c.want.suggestion)
				}
				last := ""
				for _, m := range k.messages(first.Row.ID) {
					if m.Event != nil {
						last = m.Event.Type
					}
				}
				if last != c.want.event {
					t.Errorf("the first conversation tells %q, want %q", last, c.want.event)
				}
			})
		}
	})
}

// org moves the desk into a new organisation.
func (k *desk) org() {
	k.t.Helper()
	id := db.NewID()
	ok(k.t, k.o.DB().CreateOrg(ctx, id, "Probe", 1))
	k.o = k.o.DB().Org(id)
}

// A person may write to two bots of one company: their message ids are counted apart and look the same.
func TestTwoBotsCountTheSame(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		a := k.writes(bot, "erika", channel.Message{ExternalID: "7:1", Text: "an den ersten"})
		b := k.writes(bot2, "erika", channel.Message{ExternalID: "7:1", Text: "an den zweiten"})
		if b.Duplicate || b.Message.ID == a.Message.ID {
			t.Fatal("the second message is lost: it was taken for the first")
		}
		for _, c := range []struct {
			a    channel.Account
			want string
		}{{bot, "an den ersten"}, {bot2, "an den zweiten"}} {
			m, err := conversation.Find(ctx, k.o, c.a, false, "7:1", a.Message.Address)
			ok(t, err)
			if m.Text != c.want {
				t.Errorf("%s: an edit would change %q, want %q", c.a.ID, m.Text, c.want)
			}
			q := k.writes(c.a, "erika", channel.Message{ReplyTo: "7:1"})
			got, err := conversation.MessageByID(ctx, k.o, q.Message.ReplyTo)
			ok(t, err)
			if got.Text != c.want {
				t.Errorf("%s: quoted %q, want %q", c.a.ID, got.Text, c.want)
			}
		}
		if again := k.receive(k.in(bot2, "erika", channel.Message{ExternalID: "7:1", Text: "an den zweiten"})); !again.Duplicate {
			t.Error("the same message again is a second message")
		}
	})
}

func TestSameMailToTwoMailboxesIsOneMessage(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		in := k.in(service, "erika@x", channel.Message{ExternalID: "<1@x>", Text: "an beide"})
		first := k.receive(in)
		in.Channel = claims
		second := k.receive(in)
		if !second.Duplicate || second.Message.ID != first.Message.ID || k.row(first.Row.ID).Received != 1 {
			t.Fatal("the same mail by two mailboxes became two messages")
		}
		// Nobody can suppress a mail by sending its id first: another sender, or other content (another key).
		other := k.in(claims, "mallory@x", channel.Message{ExternalID: "<1@x>", Text: "zuvorgekommen"})
		if res := k.receive(other); res.Duplicate {
			t.Error("somebody else's mail of the same id was dropped")
		}
		changed := k.in(claims, "erika@x", channel.Message{ExternalID: "<1@x>", Text: "anderer Inhalt"})
		changed.Key = "msg:<1@x>:otherhash"
		if res := k.receive(changed); res.Duplicate {
			t.Error("a mail with other content under the same id was dropped")
		}
	})
}

func TestWaitingSince(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		f := k.writes(bot, "erika", channel.Message{})
		begin, conv := k.now, f.Row.ID
		waits := func(what string, since time.Time) {
			t.Helper()
			if got := k.row(conv).WaitingSince; !got.Equal(since) {
				t.Errorf("%s: waiting since %v, want %v", what, got, since)
			}
		}
		waits("first message", begin)
		k.later(time.Minute)
		k.writes(bot, "erika", channel.Message{})
		waits("second message", begin)
		k.write(func(tx *db.Tx) error {
			_, err := conversation.Note(ctx, tx, conv, "intern", "", conversation.Actor{ID: "anna", Name: "Anna"}, k.now)
			return err
		})
		waits("a note answers nobody", begin)
		k.write(func(tx *db.Tx) error {
			_, _, err := conversation.Append(ctx, tx, conv, conversation.Out{Author: channel.Machine, Automatic: true, Channel: bot, Address: f.Message.Address, Text: "Danke"}, k.now)
			return err
		})
		waits("an automatic answer is none", begin)
		k.answers(conv, "Gern")
		waits("answered", time.Time{})
		k.later(time.Minute)
		k.writes(bot, "erika", channel.Message{Automatic: true})
		waits("a machine does not wait", time.Time{})
		k.later(time.Minute)
		k.writes(bot, "erika", channel.Message{})
		waits("asked again", k.now)
		k.close(conv)
		waits("closed", time.Time{})
	})
}

func TestUndoRestoresTheRow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		f := k.writes(service, "erika@x", channel.Message{Subject: "Frage"})
		k.answers(f.Row.ID, "Antwort")
		k.later(time.Minute)
		late := k.in(service, "erika@x", channel.Message{Text: "Nachfrage", ReplyTo: f.Message.ExternalID})
		late.At = k.now.Add(-9 * time.Hour) // the Date of a mail that was long on its way, or lies
		k.receive(late)
		k.later(time.Minute)
		k.receive(k.in(service, "erika@x", channel.Message{Text: "noch eine", ReplyTo: f.Message.ExternalID}))
		k.later(time.Minute)
		k.write(func(tx *db.Tx) error {
			_, err := conversation.Note(ctx, tx, f.Row.ID, "intern", "", conversation.Actor{ID: "anna", Name: "Anna"}, k.now)
			return err
		})
		before := k.row(f.Row.ID)
		m := k.answers(f.Row.ID, "voreilig")
		if r := k.row(f.Row.ID); !r.WaitingSince.IsZero() || r.LastText != "voreilig" || r.LastIn {
			t.Fatalf("after the answer: %+v", r)
		}
		k.write(func(tx *db.Tx) error { _, _, err := conversation.Remove(ctx, tx, m.ID); return err })
		after := k.row(f.Row.ID)
		if !after.WaitingSince.Equal(before.WaitingSince) || !after.LastAt.Equal(before.LastAt) || after.LastText != before.LastText || after.LastIn != before.LastIn || after.LastBy != before.LastBy {
			t.Errorf("after undo waiting %v last %v %q %v %s\nwant waiting %v last %v %q %v %s", after.WaitingSince, after.LastAt, after.LastText, after.LastIn, after.LastBy,
				before.WaitingSince, before.LastAt, before.LastText, before.LastIn, before.LastBy)
		}
		if next := k.answers(f.Row.ID, "besser"); next.ID == m.ID || k.row(f.Row.ID).LastText != "besser" {
			t.Error("nothing can be said after undo")
		}
	})
}

func TestListShowsWhatIsThere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		first := k.writes(bot, "erika", channel.Message{Text: "Versehen"})
		k.later(time.Minute)
		k.write(func(tx *db.Tx) error { // something that is no message comes after it
			_, err := conversation.Note(ctx, tx, first.Row.ID, "intern", "", conversation.Actor{ID: "anna", Name: "Anna"}, k.now)
			return err
		})
		m := first.Message
		k.write(func(tx *db.Tx) error { return conversation.Edit(ctx, tx, m, "Berichtigt", "", k.now) })
		if got := k.row(first.Row.ID).LastText; got != "Berichtigt" {
			t.Errorf("after an edit the list says %q", got)
		}
		m, err := conversation.MessageByID(ctx, k.o, m.ID)
		ok(t, err)
		k.write(func(tx *db.Tx) error { return conversation.Delete(ctx, tx, m, k.now) })
		if got := k.row(first.Row.ID).LastText; got == "Berichtigt" || got == "Versehen" {
			t.Errorf("what the customer took back is still in the list: %q", got)
		}
		m, err = conversation.MessageByID(ctx, k.o, m.ID)
		ok(t, err)
		k.write(func(tx *db.Tx) error {
			return conversation.Edit(ctx, tx, m, "noch einmal", "", k.now.Add(time.Second))
		})
		if got := k.row(first.Row.ID).LastText; got == "noch einmal" {
			t.Errorf("an edit of what was taken back is in the list")
		}
		second := k.writes(bot, "erika", channel.Message{Text: "Neues"})
		k.write(func(tx *db.Tx) error { return conversation.Delete(ctx, tx, m, k.now) })
		k.write(func(tx *db.Tx) error {
			return conversation.Edit(ctx, tx, m, "alt", "", k.now.Add(time.Hour))
		})
		if got := k.row(second.Row.ID).LastText; got != "Neues" {
			t.Errorf("the list says %q, want the newest", got)
		}
		page, _, err := conversation.List(ctx, k.o, conversation.Filter{Text: "neues"}, "", "", 10)
		if err != nil || len(page) != 1 {
			t.Errorf("found %d (%v)", len(page), err)
		}
	})
}

func TestListPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		want := map[string]bool{}
		for i := range 25 {
			k.later(time.Duration(i%3) * time.Second) // some share their time
			want[k.writes(service, fmt.Sprint("k", i%7, "@x"), channel.Message{Text: fmt.Sprint("50% _", i)}).Row.ID] = true
		}
		for name, f := range map[string]conversation.Filter{"all": {}, "waiting": {Waiting: true}, "kind": {Kind: "email"}, "none": {Assignee: "none", Status: "open"}, "text": {Text: "50% _"}} {
			seen := map[string]bool{}
			var last time.Time
			for cursor := ""; ; {
				page, next, err := conversation.List(ctx, k.o, f, "anna", cursor, 4)
				ok(t, err)
				for _, r := range page {
					if seen[r.ID] {
						t.Fatalf("%s: %s twice", name, r.ID)
					}
					seen[r.ID] = true
					if !last.IsZero() && (f.Waiting && r.WaitingSince.Before(last) || !f.Waiting && r.LastAt.After(last)) {
						t.Fatalf("%s: out of order", name)
					}
					last = r.LastAt
					if r.Unread != 1 {
						t.Errorf("%s: %d unread, want 1", name, r.Unread)
					}
				}
				if cursor = next; next == "" {
					break
				}
			}
			if !reflect.DeepEqual(seen, want) {
				t.Errorf("%s: %d of %d", name, len(seen), len(want))
			}
		}
		if _, _, err := conversation.List(ctx, k.o, conversation.Filter{}, "", "Unfug", 4); !errors.Is(err, db.ErrCursor) {
			t.Errorf("a cursor that is none: %v", err)
		}
	})
}

func TestMergeAndUnmergeOverConversations(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		a := k.writes(service, "erika@x", channel.Message{Text: "per Mail"})
		k.later(time.Minute)
		b := k.writes(bot, "erika", channel.Message{Text: "per Telegram"})
		k.later(time.Minute)
		c := k.writes(bot, "erikas-zweites", channel.Message{Text: "vom Zweitgerät"})
		of := func(id string) (list []string) {
			t.Helper()
			ids, err := customer.IDs(ctx, k.o, id)
			ok(t, err)
			page, _, err := conversation.List(ctx, k.o, conversation.Filter{Customers: ids}, "", "", 50)
			ok(t, err)
			for _, r := range page {
				list = append(list, r.ID)
			}
			return list
		}
		merge := func(id, other string) error {
			return k.o.Write(ctx, func(tx *db.Tx) error { _, err := customer.Merge(ctx, tx, id, other, k.now); return err })
		}
		ok(t, merge(b.Row.Customer, c.Row.Customer))
		ok(t, merge(a.Row.Customer, c.Row.Customer)) // by the merged record: the whole person
		want := []string{c.Row.ID, b.Row.ID, a.Row.ID}
		for _, id := range []string{a.Row.Customer, b.Row.Customer, c.Row.Customer} {
			if got := of(id); !slices.Equal(got, want) {
				t.Errorf("conversations of %s: %v, want %v", id, got, want)
			}
			got, err := customer.Get(ctx, k.o, id)
			if err != nil || got.ID != a.Row.Customer {
				t.Errorf("%s reads as %s (%v), want %s", id, got.ID, err, a.Row.Customer)
			}
		}
		for _, pair := range [][2]string{{a.Row.Customer, a.Row.Customer}, {b.Row.Customer, a.Row.Customer}, {c.Row.Customer, a.Row.Customer}} {
			if err := merge(pair[0], pair[1]); !errors.Is(err, customer.ErrSame) {
				t.Errorf("merged in a circle: %v", err)
			}
		}
		// Un-merge gives back exactly what was merged.
		k.write(func(tx *db.Tx) error {
			_, err := customer.Unmerge(ctx, tx, a.Row.Customer, b.Row.Customer)
			return err
		})
		if got := of(a.Row.Customer); !slices.Equal(got, []string{a.Row.ID}) {
			t.Errorf("after un-merge the first has %v", got)
		}
		if got := of(c.Row.Customer); !slices.Equal(got, []string{c.Row.ID, b.Row.ID}) {
			t.Errorf("after un-merge the others have %v", got)
		}
		// A message that comes now goes to the right person.
		if res := k.writes(bot, "erika", channel.Message{}); res.Row.ID != b.Row.ID || res.Row.Customer != b.Row.Customer {
			t.Error("a message after un-merge went elsewhere")
		}
	})
}

func TestUnread(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		var m []conversation.Message
		var conv string
		for i := range 4 {
			res := k.writes(bot, "erika", channel.Message{Text: fmt.Sprint(i)})
			conv = res.Row.ID
			m = append(m, res.Message)
			k.write(func(tx *db.Tx) error {
				_, err := conversation.Note(ctx, tx, conv, "intern", "", conversation.Actor{ID: "anna"}, k.now)
				return err
			})
		}
		unread := func(staff string) int64 {
			t.Helper()
			r, err := conversation.Get(ctx, k.o, conv, staff)
			ok(t, err)
			return r.Unread
		}
		read := func(staff, upTo string) {
			t.Helper()
			k.write(func(tx *db.Tx) error { return conversation.MarkRead(ctx, tx, conv, staff, upTo, time.Now()) })
		}
		for _, c := range []struct {
			upTo string
			want int64
		}{{m[1].ID, 2}, {m[0].ID, 2}, {m[2].ID, 1}, {"", 0}, {m[1].ID, 0}} {
			read("anna", c.upTo)
			if got := unread("anna"); got != c.want {
				t.Errorf("read up to %q: %d unread, want %d", c.upTo, got, c.want)
			}
		}
		k.writes(bot, "erika", channel.Message{})
		if got := unread("anna"); got != 1 {
			t.Errorf("%d unread after a new one, want 1", got)
		}
		if got := unread("ben"); got != 5 {
			t.Errorf("%d unread for somebody who never looked, want 5", got)
		}
		err := k.o.Write(ctx, func(tx *db.Tx) error { return conversation.MarkRead(ctx, tx, conv, "anna", "nowhere", time.Now()) })
		if !errors.Is(err, conversation.ErrNoSuch) {
			t.Errorf("read up to a message that is not there: %v", err)
		}
	})
}

func TestDrafts(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		conv := k.writes(bot, "erika", channel.Message{}).Row.ID
		save := func(staff string, body string) {
			k.write(func(tx *db.Tx) error {
				var b json.RawMessage
				if body != "" {
					b = json.RawMessage(body)
				}
				return conversation.SaveDraft(ctx, tx, conv, staff, b, k.now)
			})
		}
		save("anna", `{"text":"Sehr ge"}`)
		save("ben", `{"text":"Hallo"}`)
		save("anna", `{"text":"Sehr geehrte"}`)
		dr, err := conversation.GetDraft(ctx, k.o, conv, "anna")
		if err != nil || string(dr.Body) != `{"text":"Sehr geehrte"}` || !dr.UpdatedAt.Equal(k.now) {
			t.Errorf("%s %v %v", dr.Body, dr.UpdatedAt, err)
		}
		save("anna", "")
		if _, err := conversation.GetDraft(ctx, k.o, conv, "anna"); !errors.Is(err, db.ErrNoRows) {
			t.Errorf("a dropped draft: %v", err)
		}
		if dr, err := conversation.GetDraft(ctx, k.o, conv, "ben"); err != nil || string(dr.Body) != `{"text":"Hallo"}` {
			t.Errorf("somebody else's draft: %s %v", dr.Body, err)
		}
	})
}

func TestReactionsKeepTheNewestOfEach(t *testing.T) {
	type r struct {
		by, emoji string
		at        time.Duration
	}
	events := []r{{"erika", "👍", 1}, {"erika", "❤", 2}, {"erika", "", 3}, {"max", "🎉", 1}}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 24 {
			m := k.writes(bot, "erika", channel.Message{}).Message
			for _, i := range append(rnd.Perm(len(events)), rnd.Perm(len(events))...) {
				e := events[i]
				cur, err := conversation.MessageByID(ctx, k.o, m.ID)
				ok(t, err)
				k.write(func(tx *db.Tx) error {
					return conversation.React(ctx, tx, cur, e.emoji, e.by, k.now.Add(e.at*time.Second))
				})
			}
			cur, err := conversation.MessageByID(ctx, k.o, m.ID)
			ok(t, err)
			shown := map[string]string{}
			for _, v := range cur.Reactions {
				if v.Emoji != "" {
					shown[v.By] = v.Emoji
				}
			}
			if !reflect.DeepEqual(shown, map[string]string{"max": "🎉"}) {
				t.Fatalf("reactions %v, want only Max's", shown)
			}
		}
	})
}

func TestSnoozedWakesAtItsTime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		conv := k.writes(bot, "erika", channel.Message{}).Row.ID
		k.snooze(conv)
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{6 * day, "snoozed"}, {day, "open"}} {
			k.later(c.after)
			_, err := conversation.Wake(ctx, k.o, k.now)
			ok(t, err)
			if r := k.row(conv); r.Status != c.want {
				t.Errorf("%s, want %s", r.Status, c.want)
			}
		}
		s := conversation.Snoozed
		err := k.o.Write(ctx, func(tx *db.Tx) error {
			_, err := conversation.Update(ctx, tx, conv, conversation.Change{Status: &s}, conversation.Actor{}, k.now)
			return err
		})
		if err == nil {
			t.Error("asleep without an end")
		}
	})
}

func TestFileNamesOfStrangers(t *testing.T) {
	for in, want := range map[string]string{
		"../../etc/passwd": "passwd", `C:\Users\x\brief.pdf`: "brief.pdf", "rechnung\u202efdp.exe": "rechnungfdp.exe", "": "Datei", "...": "Datei", "a\x00b\nc.txt": "abc.txt", ".bashrc": "bashrc",
	} {
		if got := conversation.CleanFileName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := conversation.CleanFileName(fmt.Sprintf("%0300d.pdf", 1)); len(got) > 150 || got[len(got)-4:] != ".pdf" {
		t.Errorf("a long name becomes %q", got)
	}
}
