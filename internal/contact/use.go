package contact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/db"
)

// Uses are counted, never users: no cookie, no address, no time but the day. Counts lie in memory for up to flushEvery;
// a crash loses those, an orderly stop none.

const flushEvery = 10 * time.Second

// What is counted.
const (
	viewed  = "view"  // the page was shown (way: "")
	offered = "offer" // the way stood on it
	opened  = "open"  // somebody followed the way's link
)

type count struct{ org, day, way, what string }

// Viewed counts that the page was shown with these ways on it. day is a date in the organisation's zone.
func (s *Store) Viewed(org, day string, ways []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[count{org, day, "", viewed}]++
	for _, w := range ways {
		s.counts[count{org, day, w, offered}]++
	}
}

// Opened counts that somebody followed a way's link.
func (s *Store) Opened(org, day, way string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[count{org, day, way, opened}]++
}

// Flush writes down what was counted. What cannot be written is kept for the next time.
func (s *Store) Flush(ctx context.Context) error {
	s.mu.Lock()
	taken := s.counts
	s.counts = map[count]int64{}
	s.mu.Unlock()
	byOrg := map[string]map[count]int64{}
	for c, n := range taken {
		if byOrg[c.org] == nil {
			byOrg[c.org] = map[count]int64{}
		}
		byOrg[c.org][c] = n
	}
	var errs error
	for org, list := range byOrg {
		err := s.DB.Org(org).WriteBehind(ctx, func(tx *db.Tx) error {
			for c, n := range list {
				if _, err := tx.Exec(ctx, `INSERT INTO contact_use (org, day, way, what, n) VALUES ($1,$2,$3,$4,$5) ON CONFLICT (org, day, way, what) DO UPDATE SET n = contact_use.n + excluded.n`, c.day, c.way, c.what, n); err != nil {
					return fmt.Errorf("write down uses of the contact page: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			errs = errors.Join(errs, err)
			s.mu.Lock()
			for c, n := range list {
				s.counts[c] += n
			}
			s.mu.Unlock()
		}
	}
	return errs
}

// Use is how often something happened on a day.
type Use struct {
	Day     string // YYYY-MM-DD in the organisation's zone
	Way     string // "" = the page
	Views   int64
	Offered int64
	Opened  int64
}

// Uses gives what was counted from a day to another one, both included, in order of the days. What was counted within
// the last seconds is in it.
func (s *Store) Uses(ctx context.Context, o db.Org, from, to string) ([]Use, error) {
	if err := s.Flush(ctx); err != nil {
		return nil, err
	}
	var out []Use
	rows, err := o.Query(ctx, `SELECT day, way, what, n FROM contact_use WHERE org = $1 AND day >= $2 AND day <= $3 ORDER BY day, way, what`, from, to)
	err = db.Each(rows, err, func() error {
		var u Use
		var what string
		var n int64
		if err := rows.Scan(&u.Day, &u.Way, &what, &n); err != nil {
			return err
		}
		if l := len(out); l == 0 || out[l-1].Day != u.Day || out[l-1].Way != u.Way {
			out = append(out, u)
		}
		last := &out[len(out)-1]
		switch what {
		case viewed:
			last.Views += n
		case offered:
			last.Offered += n
		case opened:
			last.Opened += n
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read uses of the contact page: %w", err)
	}
	return out, nil
}
