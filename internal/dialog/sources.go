package dialog

import (
	"context"
	"fmt"

	"github.com/rufweite/rufweite/internal/db"
)

// Source is a stored version of a dialog, as its author wrote it.
type Source struct {
	Key     string
	Version int64
	Text    string
}

// Sources gives what may run or be saved next: of each stored dialog the newest version, and the one that is live.
func Sources(ctx context.Context, q db.Querier) ([]Source, error) {
	var out []Source
	rows, err := q.Query(ctx, `SELECT d.key, v.version, v.source FROM dialog d JOIN dialog_version v ON v.org = d.org AND v.key = d.key
		WHERE d.org = $1 AND (v.version = d.version OR v.version = d.live) ORDER BY d.key, v.version`)
	err = db.Each(rows, err, func() error {
		var s Source
		err := rows.Scan(&s.Key, &s.Version, &s.Text)
		out = append(out, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read dialogs: %w", err)
	}
	return out, nil
}
