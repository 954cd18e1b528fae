package conversation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rufweite/rufweite/internal/db"
)

// Categories of what is no customer's concern. Blocked is for senders whom the house does not want to hear.
const (
	Spam       = "spam"
	Newsletter = "newsletter"
	Notice     = "notice" // a delivery notice or another message of a machine
	Blocked    = "blocked"
	NotAside   = "customer" // no category, but what staff say of a sender whom a machine took for one
)

// Categories lists them.
func Categories() []string { return []string{Spam, Newsletter, Notice, Blocked} }

// SetAside says that a conversation is no customer's concern (or, with an empty category, that it is one after all):
// it is closed and nobody waits in it, or it is open again.
func SetAside(ctx context.Context, tx *db.Tx, id, category string, by Actor, now time.Time) (Row, error) {
	r, err := load(ctx, tx, id)
	if err != nil {
		return Row{}, err
	}
	if category != "" && !slices.Contains(Categories(), category) {
		return Row{}, fmt.Errorf("there is no category %q; possible are %v", category, Categories())
	}
	if r.Category == category {
		return r, nil
	}
	e := Event{Type: "set_aside", By: by.Name, To: category}
	if r.Category = category; category != "" {
		r.Status, r.ClosedAt, r.SnoozedUntil, r.WaitingSince = Closed, now, time.Time{}, time.Time{}
	} else {
		e = Event{Type: "taken_back", By: by.Name}
		r.Status, r.ClosedAt = Open, time.Time{}
		if r.LastIn {
			r.WaitingSince = r.LastAt
		}
	}
	if err := event(ctx, tx, &r, e, now); err != nil {
		return Row{}, err
	}
	return r, save(ctx, tx, &r, false)
}

// Answered reports whether we ever wrote something to an address: then its owner is somebody we talk to.
func Answered(ctx context.Context, q db.Querier, address string) (bool, error) {
	var n int64
	err := q.Row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM conversation_address a JOIN message m ON m.org = a.org AND m.conversation = a.conversation
		WHERE a.org = $1 AND a.address = $2 AND m.direction = 'out' AND m.kind = 'message' AND m.address = $2 LIMIT 1) AS x`, address).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look whether we answered: %w", err)
	}
	return n > 0, nil
}

// DropSuggestion notes that a suggested link is none.
func DropSuggestion(ctx context.Context, tx *db.Tx, id string) (Row, error) {
	r, err := load(ctx, tx, id)
	if err != nil || r.Suggestion == nil {
		return r, err
	}
	r.Suggestion = nil
	return r, save(ctx, tx, &r, false)
}
