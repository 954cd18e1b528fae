package conversation

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/db"
)

// Mention notes that a note names a colleague, who shall look at it.
func Mention(ctx context.Context, tx *db.Tx, m Message, staff []string, now time.Time) error {
	for _, id := range staff {
		n, err := tx.Exec(ctx, `INSERT INTO mention (org, staff, message, conversation, at, seen_at) VALUES ($1,$2,$3,$4,$5,0) ON CONFLICT (org, staff, message) DO NOTHING`,
			id, m.ID, m.Conversation, db.Micro(now))
		if err != nil {
			return fmt.Errorf("note a mention: %w", err)
		}
		if n > 0 {
			tx.Emit("mention", id, map[string]string{"conversation_id": m.Conversation, "message_id": m.ID})
		}
	}
	return nil
}

// seeMentions notes that staff has seen what names them in a conversation.
func seeMentions(ctx context.Context, tx *db.Tx, conversation, staff string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE mention SET seen_at = $4 WHERE org = $1 AND staff = $2 AND conversation = $3 AND seen_at = 0`, staff, conversation, db.Micro(now))
	if err != nil {
		return fmt.Errorf("note that a mention was seen: %w", err)
	}
	return nil
}

// Mentioned lists the conversations in which notes name staff, the newest mention first, each once per page.
func Mentioned(ctx context.Context, o db.Org, staff, cursor string, limit int) (page []Row, next string, err error) {
	before, id := int64(1<<62), "~"
	if cursor != "" {
		if before, id, err = parseCursor(cursor); err != nil {
			return nil, "", err
		}
	}
	var ids []string
	seen := map[string]bool{}
	n := 0
	rows, err := o.Query(ctx, `SELECT conversation, at, message FROM mention WHERE org = $1 AND staff = $2 AND (at, message) < ($3, $4) ORDER BY at DESC, message DESC LIMIT $5`, staff, before, id, limit)
	err = db.Each(rows, err, func() error {
		var c, m string
		var at int64
		if err := rows.Scan(&c, &at, &m); err != nil {
			return err
		}
		if n++; !seen[c] {
			seen[c] = true
			ids = append(ids, c)
		}
		next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", at, m))
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list mentions: %w", err)
	}
	if n < limit {
		next = ""
	}
	if len(ids) == 0 {
		return nil, "", nil
	}
	list, err := ByIDs(ctx, o, ids, staff)
	if err != nil {
		return nil, "", err
	}
	byID := map[string]Row{}
	for _, r := range list {
		byID[r.ID] = r
	}
	for _, id := range ids {
		if r, ok := byID[id]; ok {
			page = append(page, r)
		}
	}
	return page, next, nil
}
