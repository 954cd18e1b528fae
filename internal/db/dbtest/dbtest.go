// Package dbtest gives tests a database on every engine: SQLite always, PostgreSQL when RUFWEITE_TEST_POSTGRES names
// a server (`make test` starts one). Each test gets a database of its own.
package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rufweite/rufweite/internal/db"
)

// Org is the organisation that every test database holds.
const Org = "default"

// Each runs fn on every engine.
func Each(t *testing.T, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	if os.Getenv("RUFWEITE_TEST_POSTGRES") != "" {
		t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
	}
}

// EachB is Each for benchmarks.
func EachB(b *testing.B, fn func(b *testing.B, d *db.DB)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { fn(b, SQLite(b)) })
	if os.Getenv("RUFWEITE_TEST_POSTGRES") != "" {
		b.Run("postgres", func(b *testing.B) { fn(b, Postgres(b)) })
	}
}

// SQLite opens a new SQLite database in a temporary directory.
func SQLite(t testing.TB) *db.DB { return open(t, db.Config{Dir: t.TempDir()}) }

// Postgres makes a new database on the test server and drops it when the test ends.
func Postgres(t testing.TB) *db.DB {
	return open(t, db.Config{Dir: t.TempDir(), Postgres: PostgresURL(t)})
}

// PostgresURL makes a new database on the test server and gives its address.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server := os.Getenv("RUFWEITE_TEST_POSTGRES")
	if server == "" {
		t.Skip("RUFWEITE_TEST_POSTGRES is not set; `make test` starts a server and sets it")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("RUFWEITE_TEST_POSTGRES: %v", err)
	}
	ctx := context.Background()
	name := "t" + strings.ReplaceAll(db.NewID(), "-", "")
	exec := func(sql string) error {
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, sql)
		return err
	}
	if err := exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("make test database: %v", err)
	}
	t.Cleanup(func() {
		if err := exec(fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func open(t testing.TB, c db.Config) *db.DB {
	t.Helper()
	ctx := context.Background()
	d, err := db.Open(ctx, c)
	if err != nil {
		t.Fatalf("open test database: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close test database: %v", err)
		}
	})
	if err := d.CreateOrg(ctx, Org, "Test", time.Now().UnixMicro()); err != nil {
		t.Fatal(err)
	}
	return d
}
