package conversation_test

import (
	"errors"
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

// party makes the owner of an address a third party.
func (k *desk) party(c, value, name, role string) (p conversation.Participant) {
	k.t.Helper()
	k.write(func(tx *db.Tx) error {
		s, err := customer.Ensure(ctx, tx, "email", value, name, k.now)
		if err != nil {
			return err
		}
		p, err = conversation.AddParticipant(ctx, tx, c, conversation.Participant{Address: s.Address.ID, Kind: "email", Value: value, Name: name, Role: role}, k.now)
		return err
	})
	return p
}

// toParty writes to a third party.
func (k *desk) toParty(c string, p conversation.Participant, text, external string) (m conversation.Message) {
	k.t.Helper()
	k.write(func(tx *db.Tx) (err error) {
		m, _, err = conversation.Append(ctx, tx, c, conversation.Out{Author: channel.Staff, Channel: service, Address: p.Address, AddressValue: p.Value, Participant: p.ID, Text: text}, k.now)
		if err == nil && external != "" {
			err = conversation.SetExternalID(ctx, tx, m.ID, external)
		}
		return err
	})
	return m
}

func (k *desk) entries(c string) []conversation.Message {
	k.t.Helper()
	list, _, err := conversation.Messages(ctx, k.o, c, "", 200)
	ok(k.t, err)
	return slices.DeleteFunc(list, func(m conversation.Message) bool { return m.Kind == conversation.KindEvent })
}

func (k *desk) get(id string) conversation.Row {
	k.t.Helper()
	r, err := conversation.Get(ctx, k.o, id, "")
	ok(k.t, err)
	return r
}

// TestThirdParty: an insurer answers into the same conversation, the customer sees nothing of it and is still answered
// where the customer wrote; who was sent away starts anew.
func TestThirdParty(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		res := k.receive(k.in(service, "kunde@x.example", channel.Message{ExternalID: "<k1>", Subject: "Unfall"}))
		c := res.Row.ID
		p := k.party(c, "schaden@insurer.example", "Württembergische", "insurer")
		k.now = k.now.Add(time.Minute)
		out := k.toParty(c, p, "Bitte regulieren", "<w1>")
		if out.CustomerSees() || !out.VisibleTo(p.ID) || out.VisibleTo("") {
			t.Errorf("what went to the insurer is seen by %+v", out.Audience)
		}
		if r := k.get(c); r.WaitingSince.IsZero() || r.Participants != 1 {
			t.Errorf("the customer no longer waits after a letter to the insurer: %+v", r)
		}
		k.now = k.now.Add(time.Minute)
		ans := k.receive(k.in(service, "schaden@insurer.example", channel.Message{ExternalID: "<w2>", ReplyTo: "<w1>"}))
		if ans.New || ans.Row.ID != c || ans.Message.Author != channel.Participant || ans.Message.Participant != p.ID || ans.Message.CustomerSees() {
			t.Fatalf("the insurer's answer: new %v, author %s, audience %+v", ans.New, ans.Message.Author, ans.Message.Audience)
		}
		if r := k.get(c); r.Address != res.Message.Address || r.Customer != res.Row.Customer {
			t.Errorf("the next answer would go to %s", r.Address)
		}
		// References are per address: nobody's thread names a message of the other's.
		ids, _, err := conversation.Thread(ctx, k.o, c, res.Message.Address, "email")
		ok(t, err)
		if !reflect.DeepEqual(ids, []string{"<k1>"}) {
			t.Errorf("the customer's thread is %v", ids)
		}
		// Somebody else with the insurer's message id gets a conversation of their own.
		if x := k.receive(k.in(service, "fremd@x.example", channel.Message{ExternalID: "<f1>", ReplyTo: "<w1>"})); !x.New || x.Row.Suggestion == nil {
			t.Errorf("a stranger who names the insurer's mail: %+v", x.Row)
		}
		// The insurer answers the customer's mail, whose id it cannot know from us: not its message.
		if x := k.receive(k.in(service, "schaden@insurer.example", channel.Message{ExternalID: "<w3>", ReplyTo: "<k1>"})); !x.New {
			t.Errorf("an id that was never shown to the insurer led into the conversation")
		}
		// A copy to the insurer's expert: whoever got one may answer it.
		e := k.party(c, "gutachter@x.example", "", "")
		k.write(func(tx *db.Tx) error {
			m, _, err := conversation.Append(ctx, tx, c, conversation.Out{Author: channel.Staff, Channel: service, Address: res.Message.Address, AddressValue: "kunde@x.example", Text: "Termin", Copied: []string{e.ID}}, k.now)
			if err != nil {
				return err
			}
			return conversation.SetExternalID(ctx, tx, m.ID, "<k2>")
		})
		if x := k.receive(k.in(service, "gutachter@x.example", channel.Message{ExternalID: "<e1>", ReplyTo: "<k2>"})); x.Row.ID != c || x.Message.Participant != e.ID || x.Message.CustomerSees() {
			t.Errorf("the expert's answer to a copy: %+v", x.Message)
		}
		k.write(func(tx *db.Tx) error { return conversation.RemoveParticipant(ctx, tx, c, p.ID, k.now) })
		x := k.receive(k.in(service, "schaden@insurer.example", channel.Message{ExternalID: "<w4>", ReplyTo: "<w1>"}))
		if !x.New || x.Row.Suggestion == nil || x.Row.Suggestion.Conversation != c {
			t.Errorf("who was sent away still speaks: new %v, %+v", x.New, x.Row.Suggestion)
		}
		if k.get(c).Participants != 1 {
			t.Errorf("%d participants", k.get(c).Participants)
		}
	})
}

// TestJoinSplit: joined in the order of arrival, taken back as it was; late answers find the joined conversation.
func TestJoinSplit(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		by := conversation.Actor{ID: "s", Name: "Berger"}
		a := k.receive(k.in(service, "kunde@x.example", channel.Message{ExternalID: "<a1>", Subject: "Schaden 1", Text: "a1"})).Row
		k.now = k.now.Add(time.Hour)
		b := k.receive(k.in(service, "kunde@x.example", channel.Message{ExternalID: "<b1>", Subject: "Nochmal", Text: "b1"})).Row
		k.now = k.now.Add(time.Hour)
		k.receive(k.in(service, "kunde@x.example", channel.Message{ExternalID: "<a2>", ReplyTo: "<a1>", Text: "a2"}))
		texts := func(id string) (out []string) {
			for _, m := range k.entries(id) {
				out = append(out, m.Text)
			}
			return out
		}
		k.write(func(tx *db.Tx) error {
			_, moved, err := conversation.Join(ctx, tx, a.ID, b.ID, true, false, by, k.now)
			if len(moved) != 1 {
				t.Errorf("moved %v", moved)
			}
			return err
		})
		if got := texts(a.ID); !reflect.DeepEqual(got, []string{"a1", "b1", "a2"}) {
			t.Errorf("joined: %v", got)
		}
		if r := k.get(a.ID); r.Received != 3 || r.LastText != "a2" {
			t.Errorf("row %+v", r)
		}
		if r := k.get(b.ID); r.JoinedInto != a.ID || r.Status != conversation.Closed {
			t.Errorf("the other %+v", r)
		}
		k.now = k.now.Add(time.Hour)
		if x := k.receive(k.in(service, "kunde@x.example", channel.Message{ExternalID: "<b2>", ReplyTo: "<b1>", Text: "b2"})); x.Row.ID != a.ID {
			t.Errorf("a late answer to the joined one went to %s", x.Row.ID)
		}
		list, _, err := conversation.List(ctx, k.o, conversation.Filter{}, "", "", 10)
		ok(t, err)
		if len(list) != 1 {
			t.Errorf("%d conversations are listed", len(list))
		}
		k.write(func(tx *db.Tx) error {
			_, _, err := conversation.Join(ctx, tx, a.ID, b.ID, true, false, by, k.now)
			if !errors.Is(err, conversation.ErrJoined) {
				t.Errorf("joined twice: %v", err)
			}
			_, _, err = conversation.Unjoin(ctx, tx, a.ID, b.ID, by, k.now)
			return err
		})
		if got := texts(a.ID); !reflect.DeepEqual(got, []string{"a1", "a2", "b2"}) {
			t.Errorf("after unjoin: %v", got)
		}
		if got := texts(b.ID); !reflect.DeepEqual(got, []string{"b1"}) {
			t.Errorf("the other after unjoin: %v", got)
		}
		// Split: what was written by mistake into one conversation becomes its own, and back.
		var second string
		for _, m := range k.entries(a.ID) {
			if m.Text == "a2" {
				second = m.ID
			}
		}
		var fresh conversation.Row
		k.write(func(tx *db.Tx) (err error) {
			fresh, err = conversation.Split(ctx, tx, a.ID, []string{second}, "", by, k.now)
			return err
		})
		if got := texts(fresh.ID); !reflect.DeepEqual(got, []string{"a2"}) || fresh.Customer != a.Customer {
			t.Errorf("split: %v", got)
		}
		k.write(func(tx *db.Tx) error {
			_, _, err := conversation.Join(ctx, tx, a.ID, fresh.ID, true, false, by, k.now)
			return err
		})
		if got := texts(a.ID); !reflect.DeepEqual(got, []string{"a1", "a2", "b2"}) {
			t.Errorf("split and joined again: %v", got)
		}
		// The same again, taken back as a join: exactly what came goes back, and a second time there is nothing.
		k.write(func(tx *db.Tx) error {
			_, moved, err := conversation.Unjoin(ctx, tx, a.ID, fresh.ID, by, k.now)
			if len(moved) != 1 {
				t.Errorf("unjoin of a split moved %v", moved)
			}
			return err
		})
		if got := texts(fresh.ID); !reflect.DeepEqual(got, []string{"a2"}) || k.get(fresh.ID).Status != conversation.Open {
			t.Errorf("unjoined: %v", got)
		}
		if from, err := conversation.SplitFrom(ctx, k.o, fresh.ID); err != nil || from != a.ID {
			t.Errorf("it was split from %q, want %q: %v", from, a.ID, err)
		}
		k.write(func(tx *db.Tx) error {
			_, _, err := conversation.Join(ctx, tx, a.ID, fresh.ID, true, false, by, k.now)
			return err
		})
		// Joined, then split off again: taking the join back would leave an empty conversation, and says so.
		k.write(func(tx *db.Tx) error {
			if _, _, err := conversation.Join(ctx, tx, a.ID, b.ID, true, false, by, k.now); err != nil {
				return err
			}
			return nil
		})
		var b1 string
		for _, m := range k.entries(a.ID) {
			if m.Text == "b1" {
				b1 = m.ID
			}
		}
		var off conversation.Row
		k.write(func(tx *db.Tx) (err error) {
			if off, err = conversation.Split(ctx, tx, a.ID, []string{b1}, "", by, k.now); err != nil {
				return err
			}
			if _, _, err := conversation.Unjoin(ctx, tx, a.ID, b.ID, by, k.now); !errors.Is(err, conversation.ErrNothingBack) {
				t.Errorf("unjoin of what was split off: %v", err)
			}
			return nil
		})
		k.write(func(tx *db.Tx) error {
			if _, _, err := conversation.Unjoin(ctx, tx, a.ID, b.ID, by, k.now); errors.Is(err, conversation.ErrNothingBack) {
				return nil
			}
			return errors.New("there was something")
		})
		k.write(func(tx *db.Tx) error {
			if _, _, err := conversation.Rejoin(ctx, tx, off.ID, by, k.now); err != nil {
				return err
			}
			_, moved, err := conversation.Unjoin(ctx, tx, a.ID, b.ID, by, k.now)
			if len(moved) != 1 {
				t.Errorf("after the split was taken back the join gives %v back", moved)
			}
			return err
		})
		if got := texts(b.ID); !reflect.DeepEqual(got, []string{"b1"}) {
			t.Errorf("the other after split, rejoin, unjoin: %v", got)
		}
		k.write(func(tx *db.Tx) error {
			if _, err := conversation.Split(ctx, tx, b.ID, []string{k.entries(b.ID)[0].ID}, "", by, k.now); !errors.Is(err, conversation.ErrNothingToMove) {
				t.Errorf("split of everything: %v", err)
			}
			return nil
		})
		// Another customer's conversation is joined as a third party's only.
		ins := k.receive(k.in(service, "schaden@insurer.example", channel.Message{ExternalID: "<i1>", Text: "i1"})).Row
		k.write(func(tx *db.Tx) error {
			if _, _, err := conversation.Join(ctx, tx, a.ID, ins.ID, false, false, by, k.now); !errors.Is(err, conversation.ErrOtherCustomer) {
				t.Errorf("joined another customer's: %v", err)
			}
			_, _, err := conversation.Join(ctx, tx, a.ID, ins.ID, false, true, by, k.now)
			return err
		})
		for _, m := range k.entries(a.ID) {
			if (m.Text == "i1") == m.CustomerSees() || (m.Text == "i1") != (m.Author == channel.Participant) {
				t.Errorf("%s: author %s, seen by %+v", m.Text, m.Author, m.Audience)
			}
		}
		k.write(func(tx *db.Tx) error {
			_, _, err := conversation.Unjoin(ctx, tx, a.ID, ins.ID, by, k.now)
			return err
		})
		for _, m := range k.entries(ins.ID) {
			if !m.CustomerSees() || m.Author != channel.Customer {
				t.Errorf("back with its customer: %+v", m)
			}
		}
	})
}

// TestSameNumber: a number that was named before suggests, and never joins.
func TestSameNumber(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		a := k.receive(k.in(service, "kunde@x.example", channel.Message{Subject: "Schaden-Nr. 2026/0815-77", Text: "Hagel"})).Row
		b := k.receive(k.in(service, "insurer@x.example", channel.Message{Subject: "Ihre Anfrage", Text: "zu Schadennummer 2026.0815.77 bitten wir um Fotos"}))
		if !b.New || b.Row.Suggestion == nil || b.Row.Suggestion.Conversation != a.ID || b.Row.Suggestion.Number != "2026081577" {
			t.Fatalf("suggestion %+v", b.Row.Suggestion)
		}
		in := k.in(service, "gutachter@x.example", channel.Message{Text: "anbei"})
		in.Files = []conversation.Attachment{{ID: db.NewID(), Name: "Gutachten_Schaden-2026_0815_77.pdf", State: conversation.Stored}}
		if c := k.receive(in); c.Row.Suggestion == nil {
			t.Error("the number in a file's name was not seen")
		}
		k.write(func(tx *db.Tx) error {
			r, err := conversation.DropSuggestion(ctx, tx, b.Row.ID)
			if r.Suggestion != nil {
				t.Error("still suggested")
			}
			return err
		})
	})
}

// TestAside: spam is kept, closed, not waiting, and comes back; the sender's next one follows what staff said.
func TestAside(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		by := conversation.Actor{ID: "s", Name: "Berger"}
		in := k.in(service, "news@x.example", channel.Message{Text: "Angebote"})
		a := k.receive(in).Row
		k.write(func(tx *db.Tx) error {
			_, err := conversation.SetAside(ctx, tx, a.ID, conversation.Newsletter, by, k.now)
			return err
		})
		if r := k.get(a.ID); r.Status != conversation.Closed || !r.WaitingSince.IsZero() || r.Category != conversation.Newsletter {
			t.Errorf("%+v", r)
		}
		list, _, err := conversation.List(ctx, k.o, conversation.Filter{Category: conversation.Newsletter}, "", "", 10)
		ok(t, err)
		if len(list) != 1 {
			t.Errorf("%d in the folder", len(list))
		}
		if list, _, _ = conversation.List(ctx, k.o, conversation.Filter{}, "", "", 10); len(list) != 0 {
			t.Errorf("%d in the inbox", len(list))
		}
		next := k.in(service, "news@x.example", channel.Message{Text: "Noch mehr"})
		next.Rule = conversation.Newsletter
		if r := k.receive(next).Row; r.Category != conversation.Newsletter || !r.WaitingSince.IsZero() || r.Status != conversation.Closed {
			t.Errorf("the next one %+v", r)
		}
		k.write(func(tx *db.Tx) error {
			_, err := conversation.SetAside(ctx, tx, a.ID, "", by, k.now)
			return err
		})
		if r := k.get(a.ID); r.Status != conversation.Open || r.WaitingSince.IsZero() || r.Category != "" {
			t.Errorf("back: %+v", r)
		}
		// A machine's mark counts only for a machine's message without a thread.
		if r := k.receive(k.in(service, "list@x.example", channel.Message{Automatic: true, Category: "newsletter"})).Row; r.Category != "newsletter" {
			t.Errorf("a newsletter %+v", r)
		}
		if r := k.receive(k.in(service, "mensch@x.example", channel.Message{Category: "spam"})).Row; r.Category != "" {
			t.Errorf("a person's mail was put aside: %+v", r)
		}
	})
}

// TestTags: lists by tag are in order, complete over pages, and follow status and time.
func TestTags(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		by := conversation.Actor{ID: "s"}
		var ids []string
		for range 7 {
			k.now = k.now.Add(time.Minute)
			r := k.receive(k.in(service, "k"+k.now.String()+"@x.example", channel.Message{})).Row
			ids = append([]string{r.ID}, ids...)
			k.write(func(tx *db.Tx) error {
				_, err := conversation.Update(ctx, tx, r.ID, conversation.Change{TagsAdd: []string{"Kfz", " kfz ", "Eilt"}}, by, k.now)
				return err
			})
		}
		var got []string
		for cursor := ""; ; {
			page, next, err := conversation.List(ctx, k.o, conversation.Filter{Tag: "Kfz", Status: conversation.Open}, "", cursor, 3)
			ok(t, err)
			for _, r := range page {
				got = append(got, r.ID)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if !reflect.DeepEqual(got, ids) {
			t.Errorf("listed %v, want %v", got, ids)
		}
		closed := conversation.Closed
		k.write(func(tx *db.Tx) error {
			if _, err := conversation.Update(ctx, tx, ids[0], conversation.Change{Status: &closed}, by, k.now); err != nil {
				return err
			}
			r, err := conversation.Update(ctx, tx, ids[1], conversation.Change{TagsRemove: []string{"KFZ"}}, by, k.now)
			if !reflect.DeepEqual(r.Tags, []string{"Eilt"}) {
				t.Errorf("tags %v", r.Tags)
			}
			return err
		})
		page, _, err := conversation.List(ctx, k.o, conversation.Filter{Tag: "Kfz", Status: conversation.Open}, "", "", 50)
		ok(t, err)
		if len(page) != 5 {
			t.Errorf("%d open with the tag, want 5", len(page))
		}
		if page, _, err = conversation.List(ctx, k.o, conversation.Filter{Tag: "Kfz"}, "", "", 50); err != nil || len(page) != 6 {
			t.Errorf("%d with the tag, want 6 (%v)", len(page), err)
		}
		if page, _, err = conversation.List(ctx, k.o, conversation.Filter{Tag: "Kfz", Waiting: true}, "", "", 50); err != nil || len(page) != 5 || page[0].WaitingSince.After(page[4].WaitingSince) {
			t.Errorf("%d wait with the tag, want 5, the longest first (%v)", len(page), err)
		}
		if page, _, err = conversation.List(ctx, k.o, conversation.Filter{Tag: "Kfz", Failed: true}, "", "", 50); err != nil || len(page) != 0 {
			t.Errorf("%d failed with the tag, want 0 (%v)", len(page), err)
		}
		tags, err := conversation.Tags(ctx, k.o)
		ok(t, err)
		if len(tags) != 2 || tags[0].Name != "Eilt" || tags[0].Count != 7 || tags[1].Count != 6 {
			t.Errorf("tags %+v", tags)
		}
	})
}

// TestMentions: who is named finds it, newest first, and has seen it once the conversation was read.
func TestMentions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		by := conversation.Actor{ID: "s", Name: "Berger"}
		var ids []string
		for i := range 3 {
			r := k.receive(k.in(service, string(rune('a'+i))+"@x.example", channel.Message{})).Row
			ids = append(ids, r.ID)
			k.now = k.now.Add(time.Minute)
			k.write(func(tx *db.Tx) error {
				m, err := conversation.Note(ctx, tx, r.ID, "@Anton schau", "", by, k.now)
				if err != nil {
					return err
				}
				return conversation.Mention(ctx, tx, m, []string{"anton", "anton"}, k.now)
			})
		}
		page, next, err := conversation.Mentioned(ctx, k.o, "anton", "", 2)
		ok(t, err)
		if len(page) != 2 || page[0].ID != ids[2] || next == "" {
			t.Fatalf("page %v next %q", len(page), next)
		}
		if page, next, err = conversation.Mentioned(ctx, k.o, "anton", next, 2); err != nil || len(page) != 1 || page[0].ID != ids[0] || next != "" {
			t.Errorf("second page %d %q %v", len(page), next, err)
		}
		k.write(func(tx *db.Tx) error { return conversation.MarkRead(ctx, tx, ids[0], "anton", "", k.now) })
		c, err := conversation.Count(ctx, k.o, "anton")
		ok(t, err)
		if c.Mentions != 2 {
			t.Errorf("%d unseen mentions, want 2", c.Mentions)
		}
	})
}
