package conversation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Continue lets a conversation go on at another address of its customer: it is answered there from now on, and what
// comes from there belongs to it. A conversation that was joined into another goes on there, a closed one is opened. It
// gives the conversation as it is then.
func Continue(ctx context.Context, tx *db.Tx, id string, ch channel.Account, address, by string, now time.Time) (Row, error) {
	r, err := resolve(ctx, tx, id)
	if err != nil {
		return Row{}, err
	}
	if r.Status == Closed {
		if err := reopen(ctx, tx, &r, by, now); err != nil {
			return Row{}, err
		}
	}
	r.Channel, r.ChannelKind, r.Address = ch.ID, ch.Kind, address
	if err := event(ctx, tx, &r, Event{Type: "continued", By: by, To: string(ch.Kind)}, now); err != nil {
		return Row{}, err
	}
	// Now is later than any message of that address: the conversation last active there is this one.
	if err := linkAddress(ctx, tx, r.ID, address, now); err != nil {
		return Row{}, err
	}
	if err := save(ctx, tx, &r, false); err != nil {
		return Row{}, fmt.Errorf("continue a conversation: %w", err)
	}
	return r, nil
}

// BegunAt finds the open conversation last active at an address that began there since the given time, other than the
// one named; ErrNotFound if there is none.
func BegunAt(ctx context.Context, tx *db.Tx, address, other string, since time.Time) (Row, error) {
	var id string
	err := tx.Row(ctx, `SELECT c.id FROM conversation_address a JOIN conversation c ON c.org = a.org AND c.id = a.conversation
		WHERE a.org = $1 AND a.address = $2 AND c.id <> $3 AND c.status = 'open' AND c.created_at >= $4 AND c.joined_into = '' ORDER BY a.last_in_at DESC LIMIT 1`, address, other, db.Micro(since)).Scan(&id)
	if errors.Is(err, db.ErrNoRows) {
		return Row{}, ErrNotFound
	}
	if err != nil {
		return Row{}, fmt.Errorf("find what began at an address: %w", err)
	}
	return load(ctx, tx, id)
}
