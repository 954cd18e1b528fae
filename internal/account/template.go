package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// ErrNoTemplate means that a channel has no template of that name that may be sent.
var ErrNoTemplate = errors.New("there is no approved template of that name")

// KeepTemplates keeps what a provider says of a channel's templates; those that it no longer has are forgotten.
func KeepTemplates(ctx context.Context, tx *db.Tx, ch string, list []channel.Template, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM channel_template WHERE org = $1 AND channel = $2`, ch); err != nil {
		return fmt.Errorf("forget templates: %w", err)
	}
	for _, t := range list {
		b, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("keep template %s: %w", t.Name, err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO channel_template (org, channel, name, language, body, asked_at) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (org, channel, name, language) DO NOTHING`,
			ch, t.Name, t.Language, string(b), db.Micro(now)); err != nil {
			return fmt.Errorf("keep template %s: %w", t.Name, err)
		}
	}
	return nil
}

// Templates gives a channel's templates as its provider told them last, by name, and when that was.
func Templates(ctx context.Context, q db.Querier, ch string) (list []channel.Template, asked time.Time, err error) {
	rows, err := q.Query(ctx, `SELECT body, asked_at FROM channel_template WHERE org = $1 AND channel = $2 ORDER BY name, language`, ch)
	err = db.Each(rows, err, func() error {
		var body string
		var at int64
		if err := rows.Scan(&body, &at); err != nil {
			return err
		}
		asked = db.Time(at)
		var t channel.Template
		err := json.Unmarshal([]byte(body), &t)
		list = append(list, t)
		return err
	})
	if err != nil {
		return nil, asked, fmt.Errorf("read templates: %w", err)
	}
	return list, asked, nil
}

// Template gives an approved template that can be sent, in the language that comes closest: the very one, another
// region's, else any. ErrNoTemplate if there is none.
func Template(ctx context.Context, q db.Querier, ch, name, language string) (channel.Template, error) {
	list, _, err := Templates(ctx, q, ch)
	if err != nil {
		return channel.Template{}, err
	}
	best, rank := channel.Template{}, 0
	for _, t := range list {
		if t.Name != name || t.Status != channel.Approved || t.Unfit != "" {
			continue
		}
		r := 1
		switch {
		case strings.EqualFold(t.Language, language):
			r = 3
		case base(t.Language) == base(language):
			r = 2
		}
		if r > rank {
			best, rank = t, r
		}
	}
	if rank == 0 {
		return channel.Template{}, fmt.Errorf("template %q: %w", name, ErrNoTemplate)
	}
	return best, nil
}

func base(language string) string {
	b, _, _ := strings.Cut(strings.ToLower(cmp.Or(language, "de")), "-")
	return b
}
