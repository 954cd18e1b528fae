package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

func TestWriteSharesCommitsAndKeepsClosuresApart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		o := d.Org(dbtest.Org)
		var wg sync.WaitGroup
		errs := make([]error, 200)
		for i := range errs {
			wg.Go(func() {
				errs[i] = o.Write(ctx, func(tx *db.Tx) error {
					if _, err := tx.Exec(ctx, `INSERT INTO unit (org, id, name, created_at) VALUES ($1, $2, $3, 0)`, fmt.Sprint("u", i), "x"); err != nil {
						return err
					}
					tx.Emit("unit", fmt.Sprint("u", i), nil)
					switch i % 4 {
					case 1:
						return errors.New("changed my mind")
					case 2:
						panic("poison")
					}
					return nil
				})
			})
		}
		wg.Wait()
		kept := 0
		for i, err := range errs {
			var pe *db.PanicError
			switch i % 4 {
			case 1:
				if err == nil || err.Error() != "changed my mind" {
					t.Fatalf("closure %d: error %v", i, err)
				}
			case 2:
				if !errors.As(err, &pe) {
					t.Fatalf("closure %d: error %v, want a panic", i, err)
				}
			default:
				if err != nil {
					t.Fatalf("closure %d: %v", i, err)
				}
				kept++
			}
		}
		var n int
		if err := o.Row(ctx, `SELECT COUNT(*) FROM unit WHERE org = $1`).Scan(&n); err != nil || n != kept {
			t.Fatalf("%d rows (%v), want %d", n, err, kept)
		}
		head, err := o.FeedHead(ctx)
		if err != nil || head != int64(kept) {
			t.Fatalf("feed head %d (%v), want %d", head, err, kept)
		}
	})
}

func TestFeedIsDenseAndInCommitOrder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		o := d.Org(dbtest.Org)
		// Transaction A writes first and commits last: on PostgreSQL a sequence would number it before B, and a
		// reader who saw B would never see A.
		began, release := make(chan struct{}), make(chan struct{})
		done := make(chan error, 2)
		if d.Postgres() {
			go func() {
				done <- o.Write(ctx, func(tx *db.Tx) error {
					if _, err := tx.Exec(ctx, `INSERT INTO unit (org, id, name, created_at) VALUES ($1, 'a', 'a', 0)`); err != nil {
						return err
					}
					tx.Emit("unit", "a", nil)
					close(began)
					<-release
					return nil
				})
			}()
			<-began
		} else {
			done <- o.Write(ctx, func(tx *db.Tx) error { tx.Emit("unit", "a", nil); return nil })
		}
		if err := o.Write(ctx, func(tx *db.Tx) error { tx.Emit("unit", "b", nil); return nil }); err != nil {
			t.Fatal(err)
		}
		first, err := o.Feed(ctx, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if d.Postgres() {
			close(release)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		cursor := first[len(first)-1].Seq
		rest, err := o.Feed(ctx, cursor, 10)
		if err != nil {
			t.Fatal(err)
		}
		if all := append(first, rest...); len(all) != 2 || all[0].Seq != 1 || all[1].Seq != 2 {
			t.Fatalf("a reader that went on by seq saw %v, want both entries, numbered 1 and 2", all)
		}
	})
}

func TestTrimmedFeedIsGone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		o := d.Org(dbtest.Org)
		if err := o.Write(ctx, func(tx *db.Tx) error { tx.Emit("x", "1", nil); tx.Emit("x", "2", nil); return nil }); err != nil {
			t.Fatal(err)
		}
		if err := o.TrimFeed(ctx, time.Now().Add(db.FeedKept+time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Feed(ctx, 1, 10); !errors.Is(err, db.ErrFeedGone) {
			t.Fatalf("error %v, want ErrFeedGone", err)
		}
		if e, err := o.Feed(ctx, 2, 10); err != nil || len(e) != 0 {
			t.Fatalf("%v, %v; want nothing new", e, err)
		}
	})
}

func TestSavepointUndoesOnlyItsStep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		o := d.Org(dbtest.Org)
		insert := func(tx *db.Tx, id string) error {
			_, err := tx.Exec(ctx, `INSERT INTO unit (org, id, name, created_at) VALUES ($1, $2, '', 0)`, id)
			tx.Emit("unit", id, nil)
			return err
		}
		err := o.Write(ctx, func(tx *db.Tx) error {
			if err := insert(tx, "a"); err != nil {
				return err
			}
			if err := tx.Savepoint(ctx, func() error { return errors.Join(insert(tx, "b"), insert(tx, "a")) }); !db.IsDuplicate(err) {
				return fmt.Errorf("error %w, want a duplicate", err)
			}
			return tx.Savepoint(ctx, func() error { return insert(tx, "c") })
		})
		if err != nil {
			t.Fatal(err)
		}
		feed, err := o.Feed(ctx, 0, 10)
		if err != nil || len(feed) != 2 || feed[0].Ref != "a" || feed[1].Ref != "c" {
			t.Fatalf("feed %v (%v), want a and c", feed, err)
		}
	})
}

func TestStatementWithoutOrganisationIsRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, q := range []string{`SELECT 1`, `SELECT name FROM unit WHERE id = $12`} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s was let through", q)
					}
				}()
				_, _ = d.Org(dbtest.Org).Query(context.Background(), q)
			}()
		}
	})
}

func TestOrganisationsDoNotSeeEachOther(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		if err := d.CreateOrg(ctx, "other", "Other", 0); err != nil {
			t.Fatal(err)
		}
		for _, org := range []string{dbtest.Org, "other"} {
			err := d.Org(org).Write(ctx, func(tx *db.Tx) error {
				tx.Emit("unit", "same", nil)
				_, err := tx.Exec(ctx, `INSERT INTO unit (org, id, name, created_at) VALUES ($1, 'same', $2, 0)`, org)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var name string
		if err := d.Org("other").Row(ctx, `SELECT name FROM unit WHERE org = $1 AND id = 'same'`).Scan(&name); err != nil || name != "other" {
			t.Fatalf("%q, %v", name, err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	dbtest.EachB(b, func(b *testing.B, d *db.DB) {
		ctx := context.Background()
		o := d.Org(dbtest.Org)
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				id := db.NewID()
				if err := o.Write(ctx, func(tx *db.Tx) error {
					_, err := tx.Exec(ctx, `INSERT INTO unit (org, id, name, created_at) VALUES ($1, $2, 'x', 0)`, id)
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	})
}
