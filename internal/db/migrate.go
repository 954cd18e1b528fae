package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// dialect is what the two engines spell differently in the schema. Both index the same terms of package search, which
// are ASCII words already: nothing is left to the engines' own analysers. PostgreSQL sorts new terms in by the half
// megabyte: at once costs three times as much, and the default of 4 MB would make every search read through them.
var dialect = map[string]*strings.Replacer{
	"sqlite3": strings.NewReplacer("{{blob}}", "BLOB", "{{clustered}}", "WITHOUT ROWID",
		"{{search terms}}", "",
		"{{search index}}", "CREATE VIRTUAL TABLE search_text USING fts5 (terms, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii')"),
	"postgres": strings.NewReplacer("{{blob}}", "BYTEA", "{{clustered}}", "",
		"{{search terms}}", ", terms TSVECTOR NOT NULL",
		"{{search index}}", "CREATE INDEX search_doc_terms ON search_doc USING gin (terms) WITH (fastupdate = on, gin_pending_list_limit = 512)"),
}

// migrate brings the schema up to date; forward only.
func migrate(ctx context.Context, engine string, conn *sql.DB) error {
	files := fstest.MapFS{}
	err := fs.WalkDir(migrations, "migrations", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := migrations.ReadFile(path)
		if err != nil {
			return err
		}
		files[d.Name()] = &fstest.MapFile{Data: []byte(dialect[engine].Replace(string(b)))}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.Dialect(engine), conn, files)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}
