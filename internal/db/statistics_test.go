package db

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A table that has filled is looked at once, and again when it has grown tenfold.
func TestPostgresStatistics(t *testing.T) {
	server := os.Getenv("RUFWEITE_TEST_POSTGRES")
	if server == "" {
		t.Skip("RUFWEITE_TEST_POSTGRES is not set")
	}
	ctx := t.Context()
	admin, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	name := "t" + strings.ReplaceAll(NewID(), "-", "")
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := admin.Exec(context.Background(), fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name))
		if err != nil {
			t.Error(err)
		}
		_ = admin.Close(context.Background())
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	d, err := Open(ctx, Config{Dir: t.TempDir(), Postgres: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	e := d.engine.(*postgresEngine)
	// Autovacuum may be quicker: it must not be in the way of the test.
	fill := func(from, to int) {
		t.Helper()
		if _, err := e.pool.Exec(ctx, `INSERT INTO installation (name, value) SELECT 'n' || i, '' FROM generate_series($1::int, $2::int) i`, from, to); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.pool.Exec(ctx, `ALTER TABLE installation SET (autovacuum_enabled = false)`); err != nil {
		t.Fatal(err)
	}
	looked := func() bool {
		t.Helper()
		names, err := e.analyse(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(names, "installation")
	}
	eventually := func(what string) {
		t.Helper()
		for begin := time.Now(); !looked(); time.Sleep(50 * time.Millisecond) { // the server counts rows a moment later
			if time.Since(begin) > 20*time.Second {
				t.Fatal(what)
			}
		}
	}
	if looked() {
		t.Error("an empty table is looked at")
	}
	fill(1, 1000)
	eventually("a filled table is not looked at")
	if looked() {
		t.Error("it is looked at again and again")
	}
	fill(1001, 3000)
	time.Sleep(1500 * time.Millisecond) // until the server has counted
	if looked() {
		t.Error("a table that has tripled is looked at")
	}
	fill(3001, 30_000)
	eventually("a table that has grown thirtyfold is not looked at")
}
