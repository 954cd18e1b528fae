package conversation

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Text is what can be found of a message or note: only the columns that package search needs, since some of the others
// are large.
type Text struct {
	ID           string
	Conversation string
	Kind         string
	Subject      string
	Text         string
	AuthorName   string
	AddressValue string
	People       []channel.Mailbox // From, To and Cc of a mail; not those whom the others must not see
	Files        []string          // names of attachments
	Deleted      bool
}

const textColumns = `id, conversation, kind, subject, text, author_name, address_value, headers, attachments, deleted_at`

// TextsByID reads messages as package search sees them; unknown ids are left out.
func TextsByID(ctx context.Context, q db.Querier, ids []string) (map[string]Text, error) {
	out := make(map[string]Text, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	list, args := db.In(2, ids)
	page, err := texts(ctx, q, `SELECT `+textColumns+` FROM message WHERE org = $1 AND id IN `+list, args)
	for _, t := range page {
		out[t.ID] = t
	}
	return out, err
}

// TextsBefore reads up to limit messages and notes whose id is smaller than before, the newest first.
func TextsBefore(ctx context.Context, q db.Querier, before string, limit int) ([]Text, error) {
	return texts(ctx, q, `SELECT `+textColumns+` FROM message WHERE org = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, []any{before, limit})
}

// TextsAfter reads up to limit messages and notes whose id is greater than after, the oldest first.
func TextsAfter(ctx context.Context, q db.Querier, after string, limit int) ([]Text, error) {
	return texts(ctx, q, `SELECT `+textColumns+` FROM message WHERE org = $1 AND id > $2 ORDER BY id LIMIT $3`, []any{after, limit})
}

func texts(ctx context.Context, q db.Querier, query string, args []any) ([]Text, error) {
	var out []Text
	var with []string
	rows, err := q.Query(ctx, query, args...)
	err = db.Each(rows, err, func() error {
		var t Text
		var headers string
		var files, deleted int64
		if err := rows.Scan(&t.ID, &t.Conversation, &t.Kind, &t.Subject, &t.Text, &t.AuthorName, &t.AddressValue, &headers, &files, &deleted); err != nil {
			return err
		}
		t.Deleted = deleted > 0
		if headers != "" {
			var h Headers
			if err := json.Unmarshal([]byte(headers), &h); err != nil {
				return fmt.Errorf("headers of message %s: %w", t.ID, err)
			}
			t.People = append(append(h.From, h.To...), h.Cc...)
		}
		if files > 0 {
			with = append(with, t.ID)
		}
		out = append(out, t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what can be found of messages: %w", err)
	}
	if len(with) == 0 {
		return out, nil
	}
	files, err := Attachments(ctx, q, with)
	if err != nil {
		return nil, err
	}
	for i := range out {
		for _, f := range files[out[i].ID] {
			out[i].Files = append(out[i].Files, f.Name)
		}
	}
	return out, nil
}

// IDsFrom lists the ids of a conversation's messages and notes from a position on, in order.
func IDsFrom(ctx context.Context, q db.Querier, conversation string, pos int64, limit int) (ids []string, next int64, err error) {
	next = pos
	rows, err := q.Query(ctx, `SELECT id, pos FROM message WHERE org = $1 AND conversation = $2 AND pos >= $3 AND kind <> 'event' ORDER BY pos LIMIT $4`, conversation, pos, limit)
	err = db.Each(rows, err, func() error {
		var id string
		if err := rows.Scan(&id, &next); err != nil {
			return err
		}
		ids = append(ids, id)
		next++
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list the messages of a conversation: %w", err)
	}
	return ids, next, nil
}

// Head is what every message of a conversation is found by: its words, and what lists are filtered by.
type Head struct {
	Subject      string
	CustomerName string
	Assignee     string
	Status       string
	Kind         channel.Kind
	Unit         string
	Category     string
	Tags         []string
	Failed       bool
}

// Heads reads the heads of conversations; unknown ids are left out.
func Heads(ctx context.Context, q db.Querier, ids []string) (map[string]Head, error) {
	out := make(map[string]Head, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	list, args := db.In(2, ids)
	rows, err := q.Query(ctx, `SELECT id, subject, customer_name, assignee, status, channel_kind, unit, category, tags, failed FROM conversation WHERE org = $1 AND id IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var id, kind, tags string
		var failed int64
		var h Head
		err := rows.Scan(&id, &h.Subject, &h.CustomerName, &h.Assignee, &h.Status, &kind, &h.Unit, &h.Category, &tags, &failed)
		if err == nil && tags != "" {
			err = json.Unmarshal([]byte(tags), &h.Tags)
		}
		h.Kind, h.Failed = channel.Kind(kind), failed > 0
		out[id] = h
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the heads of conversations: %w", err)
	}
	return out, nil
}
