package conversation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/db"
)

// Tag is a word that staff put on conversations.
type Tag struct {
	Name  string
	Count int64 // conversations that carry it
}

// CleanTags trims, drops empty and repeated ones (case aside) and sorts.
func CleanTags(tags []string) []string {
	var out []string
	for _, t := range tags {
		t = oneLine(t, 60)
		if t != "" && !slices.ContainsFunc(out, func(s string) bool { return strings.EqualFold(s, t) }) {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out
}

// saveTags keeps the copy that lists by tag read. Conversations without tags cost nothing.
func saveTags(ctx context.Context, tx *db.Tx, r *Row) error {
	if len(r.Tags) == 0 && !r.tagged {
		return nil
	}
	if r.retagged {
		if _, err := tx.Exec(ctx, `DELETE FROM conversation_tag WHERE org = $1 AND conversation = $2`, r.ID); err != nil {
			return fmt.Errorf("drop tags: %w", err)
		}
	}
	for _, t := range r.Tags {
		_, err := tx.Exec(ctx, `INSERT INTO conversation_tag (org, conversation, tag, status, last_at, assignee, hidden) VALUES ($1,$2,$3,$4,$5,$6,$7)
			ON CONFLICT (org, conversation, tag) DO UPDATE SET status = excluded.status, last_at = excluded.last_at, assignee = excluded.assignee, hidden = excluded.hidden`,
			r.ID, t, r.Status, db.Micro(r.LastAt), r.Assignee, hidden(r.Category != "" || r.JoinedInto != ""))
		if err != nil {
			return fmt.Errorf("keep tag: %w", err)
		}
	}
	r.tagged, r.retagged = len(r.Tags) > 0, false
	return nil
}

// hidden is how conversation_tag says that lists leave a conversation out unless they are asked for it.
func hidden(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// Tags lists the tags in use, the most used first, at most 500.
func Tags(ctx context.Context, o db.Org) ([]Tag, error) {
	var out []Tag
	rows, err := o.Query(ctx, `SELECT tag, COUNT(*) FROM conversation_tag WHERE org = $1 GROUP BY tag ORDER BY 2 DESC, 1 LIMIT 500`)
	err = db.Each(rows, err, func() error {
		var t Tag
		err := rows.Scan(&t.Name, &t.Count)
		out = append(out, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	return out, nil
}
