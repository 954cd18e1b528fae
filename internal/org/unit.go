package org

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/db"
)

// ErrNoUnit means that there is no such unit.
var ErrNoUnit = errors.New("no such unit")

// Unit is a department, branch or partner inside an organisation.
type Unit struct {
	ID        string
	Name      string
	Signature string // under mails of staff who have none of their own
	CreatedAt time.Time
}

// Units lists an organisation's units by name.
func Units(ctx context.Context, q db.Querier) ([]Unit, error) {
	var out []Unit
	rows, err := q.Query(ctx, `SELECT id, name, signature, created_at FROM unit WHERE org = $1 ORDER BY name, id`)
	err = db.Each(rows, err, func() error {
		var u Unit
		var at int64
		err := rows.Scan(&u.ID, &u.Name, &u.Signature, &at)
		u.CreatedAt = db.Time(at)
		out = append(out, u)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	return out, nil
}

// UnitByID reads one unit; an empty id gives an empty unit.
func UnitByID(ctx context.Context, q db.Querier, id string) (Unit, error) {
	if id == "" {
		return Unit{}, nil
	}
	list, err := Units(ctx, q)
	for _, u := range list {
		if u.ID == id {
			return u, nil
		}
	}
	if err == nil {
		err = ErrNoUnit
	}
	return Unit{}, err
}

// SaveUnit keeps a unit; an empty id makes a new one.
func SaveUnit(ctx context.Context, tx *db.Tx, u Unit, now time.Time) (Unit, error) {
	if u.ID == "" {
		u.ID, u.CreatedAt = db.NewID(), now
		if _, err := tx.Exec(ctx, `INSERT INTO unit (org, id, name, signature, created_at) VALUES ($1,$2,$3,$4,$5)`, u.ID, u.Name, u.Signature, db.Micro(now)); err != nil {
			return u, fmt.Errorf("add unit: %w", err)
		}
	} else {
		n, err := tx.Exec(ctx, `UPDATE unit SET name = $3, signature = $4 WHERE org = $1 AND id = $2`, u.ID, u.Name, u.Signature)
		if err != nil {
			return u, fmt.Errorf("change unit: %w", err)
		}
		if n == 0 {
			return u, ErrNoUnit
		}
	}
	tx.Emit("unit", u.ID, nil)
	return u, nil
}

// DropUnit removes a unit. Whoever uses it must have let go of it before.
func DropUnit(ctx context.Context, tx *db.Tx, id string) error {
	n, err := tx.Exec(ctx, `DELETE FROM unit WHERE org = $1 AND id = $2`, id)
	if err != nil {
		return fmt.Errorf("remove unit: %w", err)
	}
	if n == 0 {
		return ErrNoUnit
	}
	tx.Emit("unit", id, nil)
	return nil
}
