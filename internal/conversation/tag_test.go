package conversation_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

// The copy that lists by tag read follows the conversation, whatever changes it.
func TestTagListFollows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		anna := conversation.Actor{ID: "anna", Name: "Anna"}
		check := func(what string) {
			t.Helper()
			var wrong, missing int64
			ok(t, k.o.Row(ctx, `SELECT COUNT(*) FROM conversation_tag t JOIN conversation c ON c.org = t.org AND c.id = t.conversation WHERE t.org = $1 AND
				(t.assignee <> c.assignee OR t.status <> c.status OR t.last_at <> c.last_at OR (t.hidden = 1) <> (c.category <> '' OR c.joined_into <> ''))`).Scan(&wrong))
			ok(t, k.o.Row(ctx, `SELECT COUNT(*) FROM conversation c WHERE c.org = $1 AND c.tags <> '' AND NOT EXISTS (SELECT 1 FROM conversation_tag t WHERE t.org = c.org AND t.conversation = c.id)`).Scan(&missing))
			if wrong+missing > 0 {
				t.Errorf("after %s: %d copies differ, %d are missing", what, wrong, missing)
			}
		}
		list := func(f conversation.Filter, want ...string) {
			t.Helper()
			f.Tag = "Eilt"
			page, _, err := conversation.List(ctx, k.o, f, "", "", 50)
			ok(t, err)
			var got []string
			for _, r := range page {
				got = append(got, r.ID)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%+v: %v, want %v", f, got, want)
			}
		}
		tag := []string{"Eilt"}
		a := k.writes(service, "a@x", channel.Message{}).Row.ID
		k.later(time.Hour)
		b := k.writes(service, "b@x", channel.Message{}).Row.ID
		for _, id := range []string{a, b} {
			k.update(id, conversation.Change{Tags: &tag})
		}
		check("tagging")
		list(conversation.Filter{}, a, b)
		list(conversation.Filter{Assignee: "none"}, a, b)
		k.update(a, conversation.Change{Assignee: &anna})
		check("assigning")
		list(conversation.Filter{Assignee: "anna"}, a)
		list(conversation.Filter{Assignee: "anna", Status: "closed"})
		list(conversation.Filter{Assignee: "none"}, b)
		k.update(a, conversation.Change{Assignee: &conversation.Actor{}})
		check("unassigning")
		list(conversation.Filter{Assignee: "none"}, a, b)
		k.write(func(tx *db.Tx) error {
			_, err := conversation.SetAside(ctx, tx, b, conversation.Spam, anna, k.now)
			return err
		})
		check("setting aside")
		list(conversation.Filter{}, a)
		list(conversation.Filter{Category: conversation.Spam}, b)
		list(conversation.Filter{Category: conversation.Newsletter})
		k.write(func(tx *db.Tx) error { return conversation.Trouble(ctx, tx, a, 1) })
		check("a failed delivery")
		list(conversation.Filter{Failed: true}, a)
		list(conversation.Filter{Failed: true, Status: "closed"})
		list(conversation.Filter{Customers: []string{k.row(a).Customer}}, a)
		list(conversation.Filter{Waiting: true}, a)
		list(conversation.Filter{Kind: "telegram"})
		k.write(func(tx *db.Tx) error {
			_, err := conversation.SetAside(ctx, tx, b, "", anna, k.now)
			return err
		})
		check("taking back")
		list(conversation.Filter{}, a, b)
		k.later(time.Hour)
		k.writes(service, "a@x", channel.Message{})
		k.answers(a, "Antwort")
		check("messages")
		k.close(a)
		check("closing")
		list(conversation.Filter{Status: "closed"}, a)
		k.write(func(tx *db.Tx) error {
			_, _, err := conversation.Join(ctx, tx, a, b, true, false, anna, k.now)
			return err
		})
		check("joining")
		list(conversation.Filter{}, a)
		k.write(func(tx *db.Tx) error {
			_, _, err := conversation.Unjoin(ctx, tx, a, b, anna, k.now)
			return err
		})
		check("taking the join back")
		list(conversation.Filter{}, a, b)
		none := []string{}
		k.update(b, conversation.Change{Tags: &none})
		check("taking the tag off")
		list(conversation.Filter{}, a)
	})
}

// Page after page, with a filter that the copy does not know.
func TestTagListPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newDesk(t, d)
		tag := []string{"Eilt"}
		want := 0
		for i := range 30 {
			k.later(time.Duration(i%3) * time.Second)
			ch := service
			if i%3 == 0 {
				ch = bot
				want++
			}
			id := k.writes(ch, fmt.Sprint("k", i, "@x"), channel.Message{}).Row.ID
			k.update(id, conversation.Change{Tags: &tag})
			switch i % 5 {
			case 1:
				k.close(id)
			case 2:
				k.snooze(id)
			}
		}
		for name, c := range map[string]struct {
			f conversation.Filter
			n int
		}{"all": {conversation.Filter{Tag: "Eilt"}, 30}, "kind": {conversation.Filter{Tag: "Eilt", Kind: "telegram"}, want}, "closed": {conversation.Filter{Tag: "Eilt", Status: "closed"}, 6}} {
			seen := map[string]bool{}
			var last time.Time
			for cursor := ""; ; {
				page, next, err := conversation.List(ctx, k.o, c.f, "", cursor, 4)
				ok(t, err)
				for _, r := range page {
					if seen[r.ID] || !last.IsZero() && r.LastAt.After(last) {
						t.Fatalf("%s: %s twice or out of order", name, r.ID)
					}
					seen[r.ID], last = true, r.LastAt
				}
				if cursor = next; next == "" {
					break
				}
			}
			if len(seen) != c.n {
				t.Errorf("%s: %d, want %d", name, len(seen), c.n)
			}
		}
	})
}
