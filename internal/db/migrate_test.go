package db

import (
	"context"
	"testing"
)

// What was tagged before the copy knew the assignee and what lists leave out gets both.
func TestTagsOfBefore(t *testing.T) {
	ctx := context.Background()
	d, err := Open(ctx, Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	e := d.engine.(*sqliteEngine)
	for _, q := range []string{
		// back to what migration 0004 made
		`DROP TABLE conversation_tag`,
		`CREATE TABLE conversation_tag (org TEXT NOT NULL, conversation TEXT NOT NULL, tag TEXT NOT NULL, status TEXT NOT NULL, last_at BIGINT NOT NULL, PRIMARY KEY (org, conversation, tag)) WITHOUT ROWID`,
		`CREATE INDEX conversation_tag_list ON conversation_tag (org, tag, status, last_at, conversation)`,
	} {
		if _, err := e.writer.ExecContext(ctx, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	for _, c := range []struct{ id, assignee, category, joined string }{{"a", "anna", "", ""}, {"b", "", "spam", ""}, {"c", "bernd", "", "a"}, {"d", "", "", ""}} {
		_, err := e.writer.ExecContext(ctx, `INSERT INTO conversation (org, id, customer, customer_name, subject, status, snoozed_until, closed_at, assignee, assignee_name, unit, unit_name, channel, channel_kind, address,
			tags, category, participants, joined_into, last_at, last_direction, last_author, last_text, waiting_since, received, pos, failed, suggestion, created_at)
			VALUES ('default', ?, 'k', 'K', '', 'open', 0, 0, ?, '', '', '', '', 'email', '', '["x"]', ?, 0, ?, 5, 'in', 'customer', '', 0, 1, 1, 0, '', 5)`, c.id, c.assignee, c.category, c.joined)
		if err == nil {
			_, err = e.writer.ExecContext(ctx, `INSERT INTO conversation_tag (org, conversation, tag, status, last_at) VALUES ('default', ?, 'x', 'open', 5)`, c.id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file, err := migrations.ReadFile("migrations/0005_tag_list.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.writer.ExecContext(ctx, string(file)); err != nil {
		t.Fatal(err)
	}
	got := map[string][2]any{}
	rows, err := d.Org("default").Query(ctx, `SELECT conversation, assignee, hidden FROM conversation_tag WHERE org = $1`)
	err = Each(rows, err, func() error {
		var id, assignee string
		var hidden int64
		err := rows.Scan(&id, &assignee, &hidden)
		got[id] = [2]any{assignee, hidden}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][2]any{"a": {"anna", int64(0)}, "b": {"", int64(1)}, "c": {"bernd", int64(1)}, "d": {"", int64(0)}} {
		if got[id] != want {
			t.Errorf("%s: %v, want %v", id, got[id], want)
		}
	}
}
