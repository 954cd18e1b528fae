// Package org is in charge of organisations (tenants). Everything else belongs to one.
package org

import (
	"context"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/db"
)

// Default is the id of the organisation that the first start creates and that commands mean without --org.
const Default = "default"

// Org is a company that uses this installation.
type Org struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

// Ensure creates the default organisation if there is none yet.
func Ensure(ctx context.Context, d *db.DB, now time.Time) error {
	return d.CreateOrg(ctx, Default, "Rufweite", now.UnixMicro())
}

// All lists the organisations of the installation, oldest first.
func All(ctx context.Context, d *db.DB) ([]Org, error) {
	var out []Org
	rows, err := d.Global(ctx, db.LookupOrgs, `SELECT id, name, created_at FROM org ORDER BY created_at, id`)
	err = db.Each(rows, err, func() error {
		var o Org
		var at int64
		if err := rows.Scan(&o.ID, &o.Name, &at); err != nil {
			return err
		}
		o.CreatedAt = db.Time(at)
		out = append(out, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list organisations: %w", err)
	}
	return out, nil
}

// Get reads one organisation. db.ErrNoRows if there is none with this id.
func Get(ctx context.Context, q db.Querier) (Org, error) {
	var v Org
	var at int64
	if err := q.Row(ctx, `SELECT id, name, created_at FROM org WHERE id = $1`).Scan(&v.ID, &v.Name, &at); err != nil {
		return Org{}, fmt.Errorf("read the organisation: %w", err)
	}
	v.CreatedAt = db.Time(at)
	return v, nil
}

// Rename gives the organisation another name.
func Rename(ctx context.Context, tx *db.Tx, name string) error {
	if _, err := tx.Exec(ctx, `UPDATE org SET name = $2 WHERE id = $1`, name); err != nil {
		return fmt.Errorf("rename organisation: %w", err)
	}
	return nil
}
