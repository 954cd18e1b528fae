package db

import (
	"context"
	"fmt"
	"slices"
)

// Lookup names a query that is not bound to an organisation, because it finds out which one. The list is closed: a
// test reads the source and refuses any other.
type Lookup string

// The look-ups that may cross organisations.
const (
	LookupOrgs    Lookup = "orgs"    // all organisations
	LookupSession Lookup = "session" // session cookie → organisation, user
	LookupToken   Lookup = "token"   // API token → organisation, user
	LookupUser    Lookup = "user"    // e-mail of a user → organisation, user
	LookupInvite  Lookup = "invite"  // invitation → organisation, user
	LookupChannel Lookup = "channel" // channel id or all channels → organisation, channel
	LookupSetup   Lookup = "setup"   // is there any user yet
	LookupPending Lookup = "pending" // organisations with unprocessed events
	LookupDue     Lookup = "due"     // deliveries that are due
	LookupMetrics Lookup = "metrics" // counts for /metrics
	LookupCode    Lookup = "code"    // answer code → organisation, question
	LookupTimers  Lookup = "timers"  // questions and dialogs whose time has come
)

// Global reads without an organisation; $1… are the caller's arguments.
func (d *DB) Global(ctx context.Context, _ Lookup, query string, args ...any) (*Rows, error) {
	return d.engine.query(ctx, query, texts(slices.Clone(args)))
}

// GlobalRow reads one row without an organisation.
func (d *DB) GlobalRow(ctx context.Context, l Lookup, query string, args ...any) *Row {
	rows, err := d.Global(ctx, l, query, args...)
	return &Row{rows, err}
}

// CreateOrg adds an organisation if its id is not there yet. It is the one write outside a scope.
func (d *DB) CreateOrg(ctx context.Context, id, name string, nowMicro int64) error {
	err := d.engine.write(ctx, false, func(tx *Tx) error {
		tx.db, tx.org = d, id
		_, err := tx.conn.exec(ctx, `INSERT INTO org (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, []any{id, name, nowMicro})
		return err
	})
	if err != nil {
		return fmt.Errorf("create organisation %s: %w", id, err)
	}
	return nil
}

// Secret returns an installation-wide random secret by name, making it on first use. make may run even if another
// process wins.
func (d *DB) Secret(ctx context.Context, name string, make func() string) (string, error) {
	var v string
	err := d.engine.write(ctx, false, func(tx *Tx) error {
		tx.db = d
		if _, err := tx.conn.exec(ctx, `INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, []any{name, make()}); err != nil {
			return err
		}
		rows, err := tx.conn.query(ctx, `SELECT value FROM installation WHERE name = $1`, []any{name})
		return (&Row{rows, err}).Scan(&v)
	})
	if err != nil {
		return "", fmt.Errorf("installation secret %s: %w", name, err)
	}
	return v, nil
}

// SetInstallation sets an installation-wide value.
func (d *DB) SetInstallation(ctx context.Context, name, value string) error {
	return d.engine.write(ctx, false, func(tx *Tx) error {
		tx.db = d
		_, err := tx.conn.exec(ctx, `INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, []any{name, value})
		return err
	})
}
