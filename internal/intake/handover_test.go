package intake_test

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/reach"
)

// desk is what a hand-over test needs beside the house: what was told, and codes.
type desk struct {
	*house
	mu   sync.Mutex
	told []intake.Telling
}

func withDesk(t *testing.T, d *db.DB) *desk {
	k := &desk{house: build(t, d)}
	k.in.Tell = func(_ context.Context, _ *db.Tx, t intake.Telling) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.told = append(k.told, t)
		return nil
	}
	k.run(k.in)
	return k
}

// code offers to go on elsewhere, in the conversation of somebody who wrote.
func (k *desk) code(sender string) string {
	k.t.Helper()
	m := k.messages("chat", sender)[0]
	r, err := conversation.Get(ctx, k.o, m.Conversation, "")
	ok(k.t, err)
	var code string
	ok(k.t, k.o.Write(ctx, func(tx *db.Tx) (err error) {
		code, err = reach.NewCode(ctx, tx, reach.Handover{Conversation: r.ID, Customer: r.Customer, Address: m.Address}, k.clock.Now())
		return err
	}))
	return code
}

func (k *desk) lastTold() intake.Telling {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.told) == 0 {
		k.t.Fatal("nobody was told anything")
	}
	return k.told[len(k.told)-1]
}

// mail is a mail that is a thread of its own; nobody vouches for its sender yet.
func mail(from string, n int, subject, text string) channel.Event {
	e := said(from, n, text)
	e.Sender.Assurance = channel.Claimed
	e.Message.Subject = subject
	return e
}

func (k *desk) owner(kind channel.Kind, value string) customer.Customer {
	k.t.Helper()
	a, err := customer.AddressByValue(ctx, k.o, kind, value)
	ok(k.t, err)
	c, err := customer.Get(ctx, k.o, a.Customer)
	ok(k.t, err)
	return c
}

// A code that a provider vouches for joins at once; one whose sender anybody could be has to come back first.
func TestHandover(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := withDesk(t, d)
		k.accept(k.chatAcct, said("erika", 1, "Mein Auto hat eine Delle."))
		k.settled()
		first := k.messages("chat", "erika")[0].Conversation

		// Opening the other chat by a link with the token is enough there.
		k.accept(k.chatAcct, channel.Event{Key: "start:1", Type: channel.StartEvent, Sender: channel.Address{Value: "erika2", Assurance: channel.Observed}, Token: k.code("erika")})
		k.settled()
		k.accept(k.chatAcct, said("erika2", 1, "Jetzt von hier."))
		k.settled()
		if m := k.messages("chat", "erika2")[0]; m.Conversation != first {
			t.Error("the second chat began a conversation of its own")
		}
		if k.owner("chat", "erika2").ID != k.owner("chat", "erika").ID {
			t.Error("two customers are left")
		}
		for _, v := range []string{"erika", "erika2"} {
			if a, _ := customer.AddressByValue(ctx, k.o, "chat", v); a.Assurance != channel.Verified {
				t.Errorf("%s is %s", v, a.Assurance)
			}
		}
		if told := k.lastTold(); told.Conversation != first || told.Address.Value != "erika2" {
			t.Errorf("told %+v", told)
		}

		// By mail anybody could be anybody: nothing is joined before a second code came back from that address.
		code := k.code("erika")
		k.accept(k.mailAcct, mail("erika@x.example", 1, "Weiter", "Mein Code: "+reach.PrettyCode(code)))
		k.settled()
		if k.owner("mail", "erika@x.example").ID == k.owner("chat", "erika").ID {
			t.Fatal("joined without proof")
		}
		confirm := k.lastTold()
		if confirm.Address.Value != "erika@x.example" {
			t.Fatalf("the second code went to %s", confirm.Address.Value)
		}
		second := regexp.MustCompile(`[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}`).FindString(confirm.Text)
		k.accept(k.mailAcct, mail("mallory@x.example", 1, "Re", "Ja: "+second))
		k.settled()
		if k.owner("mail", "mallory@x.example").ID == k.owner("chat", "erika").ID {
			t.Fatal("a code that was sent to one address worked from another")
		}
		k.accept(k.mailAcct, mail("erika@x.example", 2, "Re: Weiter", "Ja.\n> "+confirm.Text))
		k.settled()
		if k.owner("mail", "erika@x.example").ID != k.owner("chat", "erika").ID {
			t.Fatal("not joined though the code came back")
		}
		for _, m := range k.messages("mail", "erika@x.example") {
			if m.Conversation != first {
				t.Errorf("%q lies in another conversation", m.Text)
			}
		}
		r, err := conversation.Get(ctx, k.o, first, "")
		ok(t, err)
		if r.ChannelKind != "mail" {
			t.Errorf("it is answered by %s", r.ChannelKind)
		}
		k.balanced()
	})
}

// Codes work once, for a day, and not for those who guess.
func TestHandoverCodesAreWorthLittle(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := withDesk(t, d)
		k.accept(k.chatAcct, said("erika", 1, "Hallo"))
		k.settled()
		home := k.owner("chat", "erika").ID
		used, old, late := k.code("erika"), k.code("erika"), k.code("erika")
		k.accept(k.chatAcct, said("a", 1, used))
		k.settled()
		k.accept(k.chatAcct, said("b", 1, used))
		k.settled()
		if k.owner("chat", "a").ID != home || k.owner("chat", "b").ID == home {
			t.Error("a code must work once, and only once")
		}
		for n := range 5 {
			k.accept(k.chatAcct, said("guesser", n, "KKKK-2222-LLL"+string("ABCDE"[n])))
		}
		k.settled()
		k.accept(k.chatAcct, said("guesser", 9, late))
		k.settled()
		if k.owner("chat", "guesser").ID == home {
			t.Error("who guessed five times was still listened to")
		}
		k.clock.Advance(reach.HandoverFor + time.Minute)
		k.accept(k.chatAcct, said("c", 1, old))
		k.settled()
		if k.owner("chat", "c").ID == home {
			t.Error("a code of yesterday works")
		}
		if got := k.texts("chat", "c"); len(got) != 1 || got[0] != old {
			t.Errorf("what came with a worthless code was lost: %v", got)
		}
	})
}
