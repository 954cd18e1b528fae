package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrFeedGone means that the feed no longer reaches back to the asked seq: reload, then follow from Head.
var ErrFeedGone = errors.New("the feed does not reach back that far")

// FeedKept is how long entries of the feed are kept.
const FeedKept = 7 * 24 * time.Hour

// Entry is one line of an organisation's feed: something of this kind changed.
type Entry struct {
	Seq  int64           `json:"seq"`
	At   time.Time       `json:"at"`
	Kind string          `json:"kind"` // "message", "conversation", "delivery" …
	Ref  string          `json:"ref"`  // id of what changed
	Data json.RawMessage `json:"data,omitempty"`
}

// Emit appends to the organisation's feed when the transaction commits. seq is dense and in the order of commits on
// both engines: the counter's row is the last thing that a transaction touches, and its lock lasts until the commit.
func (t *Tx) Emit(kind, ref string, data any) {
	e := Entry{Kind: kind, Ref: ref}
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			panic(fmt.Sprintf("feed entry %s: %v", kind, err))
		}
		e.Data = b
	}
	t.feed = append(t.feed, e)
}

// flushFeed writes the entries of one organisation and returns the newest seq.
func flushFeed(ctx context.Context, conn txConn, org string, entries []Entry, now time.Time) (int64, error) {
	n := int64(len(entries))
	rows, err := conn.query(ctx, `INSERT INTO feed_head (org, seq, floor) VALUES ($1, $2, 0)
		ON CONFLICT (org) DO UPDATE SET seq = feed_head.seq + excluded.seq RETURNING seq`, []any{org, n})
	var head int64
	if err == nil {
		err = (&Row{rows, nil}).Scan(&head)
	}
	if err != nil {
		return 0, fmt.Errorf("number the feed: %w", err)
	}
	seq := head - n
	for chunk := range slices.Chunk(entries, 64) {
		var b strings.Builder
		b.WriteString("INSERT INTO feed (org, seq, at, kind, ref, data) VALUES ")
		args := []any{org, now.UnixMicro()}
		for i, e := range chunk {
			seq++
			if i > 0 {
				b.WriteByte(',')
			}
			k := len(args)
			fmt.Fprintf(&b, "($1,$%d,$2,$%d,$%d,$%d)", k+1, k+2, k+3, k+4)
			args = append(args, seq, e.Kind, e.Ref, string(e.Data))
		}
		if _, err := conn.exec(ctx, b.String(), args); err != nil {
			return 0, fmt.Errorf("append to the feed: %w", err)
		}
	}
	return head, nil
}

// FeedHead is the newest seq of the organisation's feed; 0 if it is empty.
func (o Org) FeedHead(ctx context.Context) (int64, error) {
	var seq int64
	err := o.Row(ctx, `SELECT seq FROM feed_head WHERE org = $1`).Scan(&seq)
	if errors.Is(err, ErrNoRows) {
		return 0, nil
	}
	return seq, err
}

// Feed reads up to limit entries after seq, in order. ErrFeedGone if entries after seq have been trimmed.
func (o Org) Feed(ctx context.Context, after int64, limit int) ([]Entry, error) {
	var head, floor int64
	if err := o.Row(ctx, `SELECT seq, floor FROM feed_head WHERE org = $1`).Scan(&head, &floor); err != nil {
		if errors.Is(err, ErrNoRows) {
			return nil, nil
		}
		return nil, fmt.Errorf("read the feed's head: %w", err)
	}
	if after < floor || after > head {
		return nil, ErrFeedGone
	}
	var out []Entry
	rows, err := o.Query(ctx, `SELECT seq, at, kind, ref, data FROM feed WHERE org = $1 AND seq > $2 ORDER BY seq LIMIT $3`, after, limit)
	err = Each(rows, err, func() error {
		var e Entry
		var at int64
		var data string
		if err := rows.Scan(&e.Seq, &at, &e.Kind, &e.Ref, &data); err != nil {
			return err
		}
		e.At = Time(at)
		if data != "" {
			e.Data = json.RawMessage(data)
		}
		out = append(out, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the feed: %w", err)
	}
	return out, nil
}

// TrimFeed drops entries older than FeedKept before now and remembers up to where.
func (o Org) TrimFeed(ctx context.Context, now time.Time) error {
	return o.WriteBehind(ctx, func(tx *Tx) error {
		var seq int64
		err := tx.Row(ctx, `SELECT COALESCE(MAX(seq), 0) FROM feed WHERE org = $1 AND at < $2`, now.Add(-FeedKept).UnixMicro()).Scan(&seq)
		if err != nil || seq == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE feed_head SET floor = $2 WHERE org = $1 AND floor < $2`, seq); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM feed WHERE org = $1 AND seq <= $2`, seq)
		return err
	})
}
