package intake_test

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

// Whatever the order in which a provider delivers what happened to one message, and however often: the same final state.
func TestAnyOrderAndTenTimesEndAlike(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, make := range map[string]func(base time.Time, who string) []channel.Event{
			"edits and deletion": func(base time.Time, who string) []channel.Event {
				first := said(who, 1, "Grüße")
				first.At = base
				edit := func(n int, text string) channel.Event {
					e := about(channel.EditEvent, fmt.Sprint("edit:", who, n), who, who+"/1")
					e.At, e.Message = base.Add(time.Duration(n)*time.Second), &channel.Message{ExternalID: who + "/1", Text: text}
					return e
				}
				gone := about(channel.DeleteEvent, "del:"+who, who, who+"/1")
				gone.At = base.Add(9 * time.Second)
				return []channel.Event{first, edit(1, "Grüße aus Köln"), edit(2, "Grüße aus Bonn"), gone}
			},
			"edits and reaction": func(base time.Time, who string) []channel.Event {
				first := said(who, 1, "Grüße")
				first.At = base
				edit := about(channel.EditEvent, "edit:"+who, who, who+"/1")
				edit.At, edit.Message = base.Add(time.Second), &channel.Message{ExternalID: who + "/1", Text: "Grüße aus Köln"}
				react := func(n int, emoji string) channel.Event {
					e := about(channel.ReactionEvent, fmt.Sprint("react:", who, n), who, who+"/1")
					e.At, e.Reaction = base.Add(time.Duration(n)*time.Second), emoji
					return e
				}
				return []channel.Event{first, edit, react(2, "👍"), react(3, "❤")}
			},
		} {
			t.Run(name, func(t *testing.T) {
				h := build(t, d)
				h.run(h.in)
				base := h.clock.Now().Add(-time.Hour)
				want := ""
				for i, order := range permutations(4) {
					who := fmt.Sprint("k", i)
					events := make(base, who)
					for _, k := range order {
						for range 10 {
							h.accept(h.chatAcct, events[k])
						}
						h.until("this one to be looked at", func() bool {
							var n int
							ok(t, h.o.Row(ctx, `SELECT COUNT(*) FROM intake_event WHERE org = $1 AND state = 'pending' AND attempts = 0`).Scan(&n))
							return n == 0
						})
					}
					deadline := h.clock.Now().Add(90 * time.Second)
					h.until("all to be processed", func() bool {
						if h.clock.Now().Before(deadline) {
							h.clock.Advance(time.Second)
							h.in.Wake()
						}
						return h.count("pending") == 0
					})
					if n := h.count("quarantined"); n != 0 {
						items, _ := intakeItems(h)
						t.Fatalf("order %v: work items %v", order, items)
					}
					m := h.messages("chat", who)
					if len(m) != 1 {
						t.Fatalf("order %v: %d messages, want 1", order, len(m))
					}
					history, err := conversation.History(ctx, h.o, m[0].ID)
					ok(t, err)
					r, err := conversation.Get(ctx, h.o, m[0].Conversation, "")
					ok(t, err)
					var shown []string
					for _, v := range m[0].Reactions {
						if v.Emoji != "" {
							shown = append(shown, v.Emoji)
						}
					}
					got := fmt.Sprintf("text %q at %v edited %v deleted %v reactions %v history %q list %q received %d", m[0].Text, m[0].At.Sub(base), m[0].EditedAt.Sub(base), !m[0].DeletedAt.IsZero(), shown, history, r.LastText, r.Received)
					if want == "" {
						want = got // the order in which it happened
					}
					if got != want {
						t.Errorf("order %v:\n got %s\nwant %s", order, got, want)
					}
				}
				h.balanced()
			})
		}
	})
}

func intakeItems(h *house) (errs []string, err error) {
	rows, err := h.o.Query(ctx, `SELECT error FROM intake_event WHERE org = $1 AND state = 'quarantined'`)
	err = db.Each(rows, err, func() error {
		var s string
		err := rows.Scan(&s)
		errs = append(errs, s)
		return err
	})
	return errs, err
}

// permutations of 0…n−1, the sorted one first.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := len(p); at >= 0; at-- {
			out = append(out, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return out
}
