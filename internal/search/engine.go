package search

import (
	"context"
	"fmt"
	"strings"

	"github.com/rufweite/rufweite/internal/db"
)

// writer is what differs between the engines when documents are written: SQLite keeps the terms in a full-text table
// beside search_doc, PostgreSQL in search_doc itself.
type writer struct {
	tx       *db.Tx
	postgres bool
	added    []any // organisation aside: doc, ref, hash and, on PostgreSQL, terms
}

func writerOf(tx *db.Tx) *writer { return &writer{tx: tx, postgres: tx.Postgres()} }

const addMax = 64

func (w *writer) add(ctx context.Context, n int64, ref string, hash int64, terms []string) error {
	w.added = append(w.added, n, ref, hash)
	if w.postgres {
		w.added = append(w.added, terms)
	} else if _, err := w.tx.Exec(ctx, `INSERT INTO search_text (rowid, terms) SELECT $2, $3 WHERE $1 <> ''`, n, strings.Join(terms, " ")); err != nil {
		return err
	}
	if len(w.added) >= addMax*4 {
		return w.flush(ctx)
	}
	return nil
}

func (w *writer) flush(ctx context.Context) error {
	if len(w.added) == 0 {
		return nil
	}
	var b strings.Builder
	per, columns := 3, "org, doc, ref, hash"
	if w.postgres {
		per, columns = 4, "org, doc, ref, hash, terms"
	}
	for i := 0; i < len(w.added); i += per {
		if i > 0 {
			b.WriteByte(',')
		}
		if w.postgres {
			fmt.Fprintf(&b, "($1,$%d,$%d,$%d,array_to_tsvector($%d::text[]))", i+2, i+3, i+4, i+5)
		} else {
			fmt.Fprintf(&b, "($1,$%d,$%d,$%d)", i+2, i+3, i+4)
		}
	}
	_, err := w.tx.Exec(ctx, `INSERT INTO search_doc (`+columns+`) VALUES `+b.String(), w.added...)
	w.added = w.added[:0]
	return err
}

func (w *writer) replace(ctx context.Context, n, hash int64, terms []string) error {
	if w.postgres {
		_, err := w.tx.Exec(ctx, `UPDATE search_doc SET hash = $3, terms = array_to_tsvector($4::text[]) WHERE org = $1 AND doc = $2`, n, hash, terms)
		return err
	}
	if _, err := w.tx.Exec(ctx, `UPDATE search_doc SET hash = $3 WHERE org = $1 AND doc = $2`, n, hash); err != nil {
		return err
	}
	if _, err := w.tx.Exec(ctx, `DELETE FROM search_text WHERE rowid = $2 AND $1 <> ''`, n); err != nil {
		return err
	}
	_, err := w.tx.Exec(ctx, `INSERT INTO search_text (rowid, terms) SELECT $2, $3 WHERE $1 <> ''`, n, strings.Join(terms, " "))
	return err
}

func (w *writer) remove(ctx context.Context, n int64) error {
	if !w.postgres {
		if _, err := w.tx.Exec(ctx, `DELETE FROM search_text WHERE rowid = $2 AND $1 <> ''`, n); err != nil {
			return err
		}
	}
	_, err := w.tx.Exec(ctx, `DELETE FROM search_doc WHERE org = $1 AND doc = $2`, n)
	return err
}

// place is where a document was found.
type place struct {
	doc int64
	ref string
}

// lookup gives up to limit documents below a number, the newest first, that meet the expression.
func lookup(ctx context.Context, o db.Org, expr string, below int64, limit int) ([]place, error) {
	query := `SELECT d.doc, d.ref FROM search_text CROSS JOIN search_doc d ON d.org = $1 AND d.doc = search_text.rowid
		WHERE search_text MATCH $2 AND search_text.rowid < $3 ORDER BY search_text.rowid DESC LIMIT $4`
	if o.DB().Postgres() {
		// The planner shall use the index of the terms, whatever it believes; the windows make few rows of it.
		query = `WITH hit AS MATERIALIZED (SELECT org, doc, ref FROM search_doc WHERE terms @@ CAST($2::text AS tsquery))
			SELECT doc, ref FROM hit WHERE org = $1 AND doc < $3 ORDER BY doc DESC LIMIT $4`
	}
	var out []place
	rows, err := o.Query(ctx, query, expr, below, limit)
	err = db.Each(rows, err, func() error {
		var p place
		err := rows.Scan(&p.doc, &p.ref)
		out = append(out, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("search the index: %w", err)
	}
	return out, nil
}

// newest gives up to limit documents below a number, the newest first, down to a number, whatever they say.
func newest(ctx context.Context, o db.Org, below, from int64, limit int) ([]place, error) {
	var out []place
	rows, err := o.Query(ctx, `SELECT doc, ref FROM search_doc WHERE org = $1 AND doc < $2 AND doc >= $3 ORDER BY doc DESC LIMIT $4`, below, from, limit)
	err = db.Each(rows, err, func() error {
		var p place
		err := rows.Scan(&p.doc, &p.ref)
		out = append(out, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the newest documents: %w", err)
	}
	return out, nil
}

// expression writes the conditions on some windows in the engine's language.
func expression(postgres bool, words []word, windows []int64, marks []string) string {
	and, or, quote, begins := " AND ", " OR ", `"`, `" *`
	if postgres {
		and, or, quote, begins = " & ", " | ", "", ":*"
	}
	term := func(b *strings.Builder, w int64, t string, c class, open bool) {
		b.WriteString(quote)
		b.WriteString(prefix(w, c))
		b.WriteString(t)
		if open {
			b.WriteString(begins)
		} else {
			b.WriteString(quote)
		}
	}
	var b strings.Builder
	for i, win := range windows {
		if i > 0 {
			b.WriteString(or)
		}
		b.WriteByte('(')
		for j, m := range marks {
			if j > 0 {
				b.WriteString(and)
			}
			term(&b, win, m, mark, false)
		}
		for j, w := range words {
			if j+len(marks) > 0 {
				b.WriteString(and)
			}
			b.WriteByte('(')
			for k, a := range w.alts {
				if k > 0 {
					b.WriteString(or)
				}
				if len(a.terms) > 1 {
					b.WriteByte('(')
				}
				for l, t := range a.terms {
					if l > 0 {
						b.WriteString(and)
					}
					term(&b, win, t, a.class, a.prefix && l == len(a.terms)-1)
				}
				if len(a.terms) > 1 {
					b.WriteByte(')')
				}
			}
			b.WriteByte(')')
		}
		b.WriteByte(')')
	}
	return b.String()
}
