package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// ErrNotFound means that there is no such work item.
var ErrNotFound = errors.New("no such work item")

// WorkItem is something that came in and could not be processed. A person opens it, retries or dismisses it.
type WorkItem struct {
	ID       string
	Channel  string
	Sender   string
	Type     string // event type
	State    string // open, done, dismissed
	Error    string // technical
	Reason   channel.Text
	Attempts int64
	At       time.Time // received
	Size     int64     // of the raw body, bytes
	Raw      string    // id of the raw body
	Event    string    // JSON, "" if it was never understood
	key      string
}

const workColumns = `e.id, e.key, e.channel, e.sender, e.type, e.state, e.error, e.attempts, e.at, e.raw, e.event, COALESCE(r.size, 0)`

func scanWork(rows *db.Rows) (WorkItem, error) {
	var w WorkItem
	var at int64
	err := rows.Scan(&w.ID, &w.key, &w.Channel, &w.Sender, &w.Type, &w.State, &w.Error, &w.Attempts, &at, &w.Raw, &w.Event, &w.Size)
	w.At = db.Time(at)
	if w.State == quarantined {
		w.State = "open"
	}
	if w.Type == string(channel.UnparsedEvent) {
		w.Reason = channel.Text{DE: "Was der Anbieter geschickt hat, ließ sich nicht lesen. Nichts ist verloren: Sie können es ansehen.", EN: "What the provider sent could not be read. Nothing is lost: you can look at it."}
	} else {
		w.Reason = channel.Text{DE: "Beim Einordnen dieser Nachricht ist ein Fehler aufgetreten. Nichts ist verloren: Sie können es noch einmal versuchen.", EN: "Something went wrong while filing this message. Nothing is lost: you can try again."}
	}
	return w, err
}

// WorkItems lists open work items, newest first.
func WorkItems(ctx context.Context, o db.Org, after string, limit int) ([]WorkItem, error) {
	if after == "" {
		after = "~"
	}
	var out []WorkItem
	rows, err := o.Query(ctx, `SELECT `+workColumns+` FROM intake_event e LEFT JOIN intake_raw r ON r.org = e.org AND r.id = e.raw
		WHERE e.org = $1 AND e.state = 'quarantined' AND e.id < $2 ORDER BY e.id DESC LIMIT $3`, after, limit)
	err = db.Each(rows, err, func() error {
		w, err := scanWork(rows)
		out = append(out, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list work items: %w", err)
	}
	return out, nil
}

// CountWorkItems is how many are open.
func CountWorkItems(ctx context.Context, o db.Org) (n int64, err error) {
	err = o.Row(ctx, `SELECT COUNT(*) FROM intake_event WHERE org = $1 AND state = 'quarantined'`).Scan(&n)
	return n, err
}

// GetWorkItem reads one work item; a pending event is none.
func GetWorkItem(ctx context.Context, q db.Querier, id string) (WorkItem, error) {
	rows, err := q.Query(ctx, `SELECT `+workColumns+` FROM intake_event e LEFT JOIN intake_raw r ON r.org = e.org AND r.id = e.raw WHERE e.org = $1 AND e.id = $2 AND e.state <> 'pending'`, id)
	if err != nil {
		return WorkItem{}, fmt.Errorf("read work item: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return WorkItem{}, cmp.Or(rows.Err(), ErrNotFound)
	}
	return scanWork(rows)
}

// Dismiss puts a work item away; it stays in the account as processed.
func Dismiss(ctx context.Context, tx *db.Tx, id string) error {
	n, err := tx.Exec(ctx, `UPDATE intake_event SET state = 'dismissed' WHERE org = $1 AND id = $2 AND state = 'quarantined'`, id)
	if err != nil {
		return fmt.Errorf("dismiss work item: %w", err)
	}
	if n == 0 {
		return ErrNotFound
	}
	tx.Emit("work_item", id, nil)
	return nil
}

// Retry processes a work item again: an event goes back into the queue; a body that could not be read is parsed again
// (after an upgrade it may succeed), and its events are queued under their own keys.
func (i *Intake) Retry(ctx context.Context, o db.Org, id string) error {
	w, err := GetWorkItem(ctx, o, id)
	if err != nil {
		return err
	}
	if w.State != "open" {
		return ErrNotFound
	}
	if w.Type != string(channel.UnparsedEvent) {
		return o.Write(ctx, func(tx *db.Tx) error {
			tx.Emit("work_item", id, nil)
			tx.OnCommit(i.Wake)
			_, err := tx.Exec(ctx, `UPDATE intake_event SET state = 'pending', next_at = 0, at = $3 WHERE org = $1 AND id = $2 AND state = 'quarantined'`, id, i.Now().UnixMicro())
			return err
		})
	}
	events, raw, err := i.reparse(ctx, o, w)
	if err != nil {
		note := err.Error()
		return o.Write(ctx, func(tx *db.Tx) error {
			tx.Emit("work_item", id, nil)
			_, err := tx.Exec(ctx, `UPDATE intake_event SET attempts = attempts + 1, error = $3 WHERE org = $1 AND id = $2 AND state = 'quarantined'`, id, note)
			return err
		})
	}
	return o.Write(ctx, func(tx *db.Tx) error {
		fresh := 0
		for _, e := range events {
			r := eventRow(e, raw)
			if r.state != pending {
				continue // its own work item is there already
			}
			n, err := tx.Exec(ctx, `INSERT INTO intake_event (org, id, channel, key, raw, sender, type, event, state, error, at, attempts, next_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,'',$10,0,0)
				ON CONFLICT (org, channel, key) DO NOTHING`, r.id, w.Channel, r.key, w.Raw, r.sender, r.typ, r.event, r.state, i.Now().UnixMicro())
			if err != nil {
				return fmt.Errorf("queue events: %w", err)
			}
			fresh += int(n)
		}
		if _, err := tx.Exec(ctx, `UPDATE intake_event SET state = 'done', attempts = attempts + 1, error = '' WHERE org = $1 AND id = $2 AND state = 'quarantined'`, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO intake_count (org, channel, node, received, duplicates, trimmed, last_at) VALUES ($1,$2,$3,$4,0,0,0)
			ON CONFLICT (org, channel, node) DO UPDATE SET received = intake_count.received + excluded.received`, w.Channel, i.Node, fresh); err != nil {
			return err
		}
		tx.Emit("work_item", id, nil)
		tx.OnCommit(i.Wake)
		return nil
	})
}

// reparse reads the raw body of a work item again. An error means that what the work item is about still cannot be read,
// even if others of the same body can.
func (i *Intake) reparse(ctx context.Context, o db.Org, w WorkItem) (events []channel.Event, raw []byte, err error) {
	c, err := i.Accounts.Get(o.ID, w.Channel)
	if err != nil {
		return nil, nil, err
	}
	if raw, _, err = i.Raw(ctx, o, w.Raw); err != nil {
		return nil, nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the driver crashed: %v", p)
		}
	}()
	switch d := i.Accounts.Driver(c.Kind).(type) {
	case channel.Reparser:
		events, err = d.Reparse(c.Account, raw)
	case channel.Webhook:
		events, _, err = d.Parse(c.Account, &channel.Request{Method: "POST", Body: raw, At: w.At})
	default:
		return nil, nil, fmt.Errorf("the %s driver cannot read it again", c.Kind)
	}
	if err != nil {
		return nil, nil, err
	}
	readable := false
	for _, e := range events {
		if e.Type != channel.UnparsedEvent {
			readable = true
			continue
		}
		if eventRow(e, raw).key == w.key {
			return nil, nil, fmt.Errorf("it still cannot be read: %s", e.Error)
		}
	}
	if !readable {
		return nil, nil, errors.New("it still cannot be read")
	}
	return events, raw, nil
}
