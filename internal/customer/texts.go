package customer

import (
	"context"
	"fmt"

	"github.com/rufweite/rufweite/internal/db"
)

// Text is what can be found of one customer's record, merged or not.
type Text struct {
	ID        string
	Name      string
	Notes     string
	Addresses []Address
}

// TextsByID reads records as package search sees them; unknown ids are left out.
func TextsByID(ctx context.Context, q db.Querier, ids []string) (map[string]Text, error) {
	out := make(map[string]Text, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	list, args := db.In(2, ids)
	rows, err := q.Query(ctx, `SELECT id, name, notes FROM customer WHERE org = $1 AND id IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var t Text
		err := rows.Scan(&t.ID, &t.Name, &t.Notes)
		out[t.ID] = t
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what can be found of customers: %w", err)
	}
	rows, err = q.Query(ctx, `SELECT `+addressColumns+` FROM address WHERE org = $1 AND customer IN `+list+` ORDER BY customer, id`, args...)
	err = db.Each(rows, err, func() error {
		a, err := scanAddress(rows)
		if t, ok := out[a.Customer]; ok {
			t.Addresses = append(t.Addresses, a)
			out[a.Customer] = t
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return out, nil
}

// IDsAfter lists up to limit records whose id is greater than after, in order.
func IDsAfter(ctx context.Context, q db.Querier, after string, limit int) (ids []string, err error) {
	rows, err := q.Query(ctx, `SELECT id FROM customer WHERE org = $1 AND id > $2 ORDER BY id LIMIT $3`, after, limit)
	err = db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	return ids, nil
}
