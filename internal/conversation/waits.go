package conversation

import (
	"context"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Wait is one customer's waiting for a person.
type Wait struct {
	Channel  string       // by which the customer wrote
	Kind     channel.Kind //
	Since    time.Time    // our clock, when the first message that nobody had answered came in
	For      time.Duration
	Answered bool // by a person; false: the customer still waits, For is how long already
}

// waitsOf is how many conversations are looked at, those with the newest messages first: enough for any median.
const waitsOf = 20000

// Waits is the one definition of how long an answer takes. A wait begins with a customer's first message after a
// person's last answer, and ends when a person writes to the customer in this conversation, by whatever channel: what
// machines and automatic replies say ends nothing. It is wall-clock time, nights and Sundays included: what a customer
// lives through. It belongs to the channel by which the customer's message came.
//
// A wait that nobody ended counts as long as the customer still waits (with what has passed so far); if the conversation
// was closed or set right without an answer ("thank you!"), it was none. Spam and newsletters wait for nobody.
//
// Given are the waits that began at since or later.
func Waits(ctx context.Context, q db.Querier, since, now time.Time) ([]Wait, error) {
	var out []Wait
	var at string
	var open Wait
	var waiting bool // its conversation still waits
	done := func() {
		if !open.Since.IsZero() && waiting && !open.Since.Before(since) && now.After(open.Since) {
			open.For = now.Sub(open.Since)
			out = append(out, open)
		}
		open = Wait{}
	}
	rows, err := q.Query(ctx, `SELECT m.conversation, c.status, c.waiting_since, m.direction, m.author, m.automatic, m.channel, m.channel_kind, m.at, m.received_at
		FROM (SELECT org, id, status, waiting_since FROM conversation WHERE org = $1 AND status IN ('open', 'snoozed', 'closed') AND last_at >= $2 AND category = '' ORDER BY last_at DESC LIMIT $3) c
		JOIN message m ON m.org = c.org AND m.conversation = c.id WHERE m.org = $1 AND m.kind = 'message' AND m.participant = '' ORDER BY m.conversation, m.pos`, db.Micro(since), waitsOf)
	err = db.Each(rows, err, func() error {
		var id, status, direction, author, ch, kind string
		var waits, automatic, written, received int64
		if err := rows.Scan(&id, &status, &waits, &direction, &author, &automatic, &ch, &kind, &written, &received); err != nil {
			return err
		}
		if id != at {
			done()
			at = id
		}
		waiting = waits > 0 && status != Closed
		switch {
		case direction == "in" && channel.Author(author) == channel.Customer && automatic == 0:
			if open.Since.IsZero() {
				open = Wait{Channel: ch, Kind: channel.Kind(kind), Since: db.Time(received)}
			}
		case direction == "out" && channel.Author(author) == channel.Staff && automatic == 0:
			if end := db.Time(written); !open.Since.IsZero() && !open.Since.Before(since) && !end.Before(open.Since) {
				open.For, open.Answered = end.Sub(open.Since), true
				out = append(out, open)
			}
			open = Wait{}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look how long customers waited: %w", err)
	}
	done()
	return out, nil
}
