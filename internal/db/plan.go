package db

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// SQLite's planner, when it knows nothing, takes the first column of an index for selective: every key of ours begins
// with the organisation, so it would walk whole tables. It is told what is typical instead (sqlite_stat1 is documented
// as writable): a large organisation's million rows. Plans are then the same on every installation and every day.
const typicalRows = 1_000_000

// typical is how many rows share one value of a column, within one organisation, when the columns before it are given.
// What is not listed is as good as unique.
var typical = map[string]int64{
	"org": typicalRows, "kind": 300_000, "channel": 200_000, "channel_kind": 300_000, "status": 300_000, "state": 300_000, "assignee": 20_000, "staff": 20_000,
	"customer": 10, "address": 10, "conversation": 15, "merged_into": 2, "message": 2, "client_id": 1,
	"tag": 20_000, "hidden": typicalRows, "number": 3, "unit": 50_000, "category": 50_000, "joined_into": 2, "participant": 20,
}

// setStatistics writes the planner's statistics for every index.
func setStatistics(ctx context.Context, conn *sql.DB) error {
	// ANALYZE makes the table where it is missing. It would read every index to the end, which a start must not wait for;
	// what it finds is replaced anyway.
	var made int
	if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'").Scan(&made); err != nil {
		return fmt.Errorf("look for planner statistics: %w", err)
	}
	if made == 0 {
		if _, err := conn.ExecContext(ctx, "ANALYZE"); err != nil {
			return fmt.Errorf("make planner statistics: %w", err)
		}
	}
	type index struct{ table, name, create string }
	var list []index
	rows, err := conn.QueryContext(ctx, `SELECT m.name, i.name, COALESCE(s.sql, '') FROM sqlite_schema m, pragma_index_list(m.name) i LEFT JOIN sqlite_schema s ON s.name = i.name
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'river_%' AND m.name NOT LIKE 'goose_%'`)
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	for rows.Next() {
		var x index
		if err := rows.Scan(&x.table, &x.name, &x.create); err != nil {
			return fmt.Errorf("list indexes: %w", err)
		}
		list = append(list, x)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	_ = rows.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write planner statistics: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if _, err := tx.ExecContext(ctx, "DELETE FROM sqlite_stat1"); err != nil {
		return fmt.Errorf("write planner statistics: %w", err)
	}
	for _, x := range list {
		columns, err := tx.QueryContext(ctx, `SELECT COALESCE(name, '') FROM pragma_index_info(?) ORDER BY seqno`, x.name)
		if err != nil {
			return fmt.Errorf("read index %s: %w", x.name, err)
		}
		total := int64(typicalRows)
		if strings.Contains(x.create, " WHERE ") {
			total = typicalRows / 1000 // partial indexes hold the few rows that need something
			if strings.Contains(x.create, "<> ''") {
				total = typicalRows / 2
			}
		}
		stat := []string{fmt.Sprint(total)}
		share := total
		for columns.Next() {
			var c string
			if err := columns.Scan(&c); err != nil {
				return fmt.Errorf("read index %s: %w", x.name, err)
			}
			n, ok := typical[c]
			if !ok {
				n = 1
			}
			share = max(1, min(share, n))
			stat = append(stat, fmt.Sprint(share))
		}
		if err := columns.Err(); err != nil {
			return fmt.Errorf("read index %s: %w", x.name, err)
		}
		_ = columns.Close()
		name := x.name
		if strings.HasPrefix(name, "sqlite_autoindex_") && x.create == "" {
			// The primary key of a table without rowid goes by the table's own name.
			name = x.table
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)`, x.table, name, strings.Join(stat, " ")); err != nil {
			return fmt.Errorf("write planner statistics: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("write planner statistics: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "ANALYZE sqlite_schema"); err != nil { // makes this connection read them
		return fmt.Errorf("read planner statistics: %w", err)
	}
	return nil
}
