package ask

import (
	"context"
	"fmt"

	"github.com/rufweite/rufweite/internal/db"
)

// Standing is the question behind an answer code, and where it stands.
type Standing struct {
	Ask   string
	State State
}

// Standings gives the questions behind answer codes, in one go; codes that lead to none are left out.
func Standings(ctx context.Context, q db.Querier, codes []string) (map[string]Standing, error) {
	out := map[string]Standing{}
	if len(codes) == 0 {
		return out, nil
	}
	in, args := db.In(2, codes)
	rows, err := q.Query(ctx, `SELECT c.code, a.id, a.state FROM ask_code c JOIN ask a ON a.org = c.org AND a.id = c.ask WHERE c.org = $1 AND c.code IN `+in, args...)
	err = db.Each(rows, err, func() error {
		var code, id, state string
		err := rows.Scan(&code, &id, &state)
		out[code] = Standing{id, State(state)}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read where questions stand: %w", err)
	}
	return out, nil
}
