package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

func render(_ context.Context, _ db.Org, entries []db.Entry) ([]Frame, error) {
	var out []Frame
	for _, e := range entries {
		out = append(out, Frame{Seq: e.Seq, JSON: []byte(e.Ref)})
	}
	return out, nil
}

func emit(t *testing.T, d *db.DB, from, to int) {
	t.Helper()
	err := d.Org(dbtest.Org).Write(context.Background(), func(tx *db.Tx) error {
		for i := from; i <= to; i++ {
			tx.Emit("x", fmt.Sprint(i), nil)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func collect(t *testing.T, s *Sub, upTo int64) []int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var seen []int64
	for s.Cursor() < upTo {
		frames, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("after %v: %v", seen, err)
		}
		for _, f := range frames {
			if f.Seq > 0 {
				seen = append(seen, f.Seq)
			}
		}
	}
	return seen
}

func TestSubscribersSeeEveryEntryOnceInOrder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h, err := Start(d, Cluster{}, render, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		ctx := context.Background()
		emit(t, d, 1, 10)
		now, err := h.Subscribe(ctx, dbtest.Org, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer now.Close()
		resumed, err := h.Subscribe(ctx, dbtest.Org, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer resumed.Close()
		for i := 11; i <= 200; i += 10 {
			emit(t, d, i, i+9)
		}
		for name, want := range map[*Sub]int64{now: 11, resumed: 4} {
			seen := collect(t, name, 200)
			if len(seen) != int(200-want+1) {
				t.Fatalf("saw %d entries, want %d", len(seen), 200-want+1)
			}
			for i, seq := range seen {
				if seq != want+int64(i) {
					t.Fatalf("entry %d has seq %d, want %d", i, seq, want+int64(i))
				}
			}
		}
	})
}

func TestWhoIsTooFarBehindReadsTheFeedOrIsToldToReload(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h, err := Start(d, Cluster{}, render, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		ctx := context.Background()
		lead, err := h.Subscribe(ctx, dbtest.Org, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer lead.Close()
		const n = ringSize + 500
		for i := 1; i <= n; i += 500 {
			emit(t, d, i, min(i+499, n))
		}
		collect(t, lead, n)
		late, err := h.Subscribe(ctx, dbtest.Org, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		if seen := collect(t, late, n); len(seen) != n {
			t.Fatalf("saw %d entries, want %d", len(seen), n)
		}
		if err := d.Org(dbtest.Org).TrimFeed(ctx, time.Now().Add(db.FeedKept+time.Hour)); err != nil {
			t.Fatal(err)
		}
		gone, err := h.Subscribe(ctx, dbtest.Org, 5)
		if err != nil {
			t.Fatal(err)
		}
		defer gone.Close()
		if _, err := gone.Next(ctx); err == nil {
			// the ring may still reach back; further back it must not
			old, err := h.Subscribe(ctx, dbtest.Org, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer old.Close()
			if _, err := old.Next(ctx); !errors.Is(err, db.ErrFeedGone) {
				t.Fatalf("error %v, want ErrFeedGone", err)
			}
		} else if !errors.Is(err, db.ErrFeedGone) {
			t.Fatalf("error %v, want ErrFeedGone", err)
		}
	})
}

func TestWhatHappensNowReachesListenersAndIsNotStored(t *testing.T) {
	d := dbtest.SQLite(t)
	h, err := Start(d, Cluster{}, render, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := h.Subscribe(ctx, dbtest.Org, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h.Now(dbtest.Org, map[string]string{"kind": "typing"})
	frames, err := s.Next(ctx)
	if err != nil || len(frames) != 1 || frames[0].Seq != 0 || string(frames[0].JSON) != `{"kind":"typing"}` {
		t.Fatalf("%v, %v", frames, err)
	}
	if head, err := d.Org(dbtest.Org).FeedHead(ctx); err != nil || head != 0 {
		t.Fatalf("feed head %d, %v", head, err)
	}
}
