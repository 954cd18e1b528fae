package conversation

import (
	"context"
	"fmt"

	"github.com/rufweite/rufweite/internal/db"
)

// Exchanged gives what was said to or by one address, in all its conversations, the newest first: at most limit messages
// before the one with this id ("" = from the newest on). Notes and events are never among them, nor anything that was
// exchanged with somebody else in the same conversation.
func Exchanged(ctx context.Context, q db.Querier, address, before string, limit int) ([]Message, error) {
	if before == "" {
		before = "~"
	}
	var out []Message
	// Ordered by an expression, so that neither engine walks all messages of the house for the sake of their order.
	rows, err := q.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND kind = 'message' AND address = $2 AND id < $3
		AND conversation IN (SELECT conversation FROM conversation_address WHERE org = $1 AND address = $2) ORDER BY id || '' DESC LIMIT $4`, address, before, limit)
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		out = append(out, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was exchanged with an address: %w", err)
	}
	return out, nil
}

// LastWith gives the conversation that an address wrote to last (where it is now, if it was joined into another); "" if
// it never did.
func LastWith(ctx context.Context, q db.Querier, address string) (id string, err error) {
	rows, err := q.Query(ctx, `SELECT a.conversation FROM conversation_address a JOIN conversation c ON c.org = a.org AND c.id = a.conversation
		WHERE a.org = $1 AND a.address = $2 AND c.joined_into = '' ORDER BY a.last_in_at DESC LIMIT 1`, address)
	err = db.Each(rows, err, func() error { return rows.Scan(&id) })
	if err != nil {
		return "", fmt.Errorf("find an address's conversation: %w", err)
	}
	return id, nil
}

// SeenUpTo gives, by conversation, the position up to which some member of staff has read.
func SeenUpTo(ctx context.Context, q db.Querier, conversations []string) (map[string]int64, error) {
	out := map[string]int64{}
	if len(conversations) == 0 {
		return out, nil
	}
	list, args := db.In(2, conversations)
	rows, err := q.Query(ctx, `SELECT conversation, MAX(pos) FROM conversation_read WHERE org = $1 AND conversation IN `+list+` GROUP BY conversation`, args...)
	err = db.Each(rows, err, func() error {
		var id string
		var pos int64
		if err := rows.Scan(&id, &pos); err != nil {
			return err
		}
		out[id] = pos
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what staff has seen: %w", err)
	}
	return out, nil
}
