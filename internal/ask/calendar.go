package ask

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rufweite/rufweite/internal/db"
)

// Errors about calendars.
var (
	ErrNoCalendar = errors.New("no such calendar")
	ErrBooked     = errors.New("this time is booked; withdraw or change the booking first")
)

// Calendar is a list of times that customers may choose from.
type Calendar struct {
	Key  string
	Name string
	Zone string
	Free int
	Next time.Time // the next free time; zero = none
}

// FreeTime is one time of a calendar.
type FreeTime struct {
	ID              string
	Start, End      time.Time
	Capacity, Taken int
}

// Calendars lists the calendars with how much is free from now on.
func Calendars(ctx context.Context, q db.Querier, now time.Time) ([]Calendar, error) {
	var out []Calendar
	rows, err := q.Query(ctx, `SELECT c.key, c.name, c.zone, COALESCE(SUM(CASE WHEN s.starts_at > $2 AND s.taken < s.capacity THEN 1 ELSE 0 END), 0), COALESCE(MIN(CASE WHEN s.starts_at > $2 AND s.taken < s.capacity THEN s.starts_at END), 0)
		FROM calendar c LEFT JOIN calendar_slot s ON s.org = c.org AND s.calendar = c.key WHERE c.org = $1 GROUP BY c.key, c.name, c.zone ORDER BY c.name, c.key`, now.UnixMicro())
	err = db.Each(rows, err, func() error {
		var c Calendar
		var next int64
		err := rows.Scan(&c.Key, &c.Name, &c.Zone, &c.Free, &next)
		c.Next = db.Time(next)
		out = append(out, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list calendars: %w", err)
	}
	return out, nil
}

// SaveCalendar makes a calendar or changes its name and zone.
func SaveCalendar(ctx context.Context, tx *db.Tx, c Calendar, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO calendar (org, key, name, zone, created_at) VALUES ($1,$2,$3,$4,$5) ON CONFLICT (org, key) DO UPDATE SET name = excluded.name, zone = excluded.zone`, c.Key, c.Name, c.Zone, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("save calendar: %w", err)
	}
	return nil
}

// DropCalendar removes a calendar and its times. Questions that offered them keep what was answered.
func DropCalendar(ctx context.Context, tx *db.Tx, key string) error {
	n, err := tx.Exec(ctx, `DELETE FROM calendar WHERE org = $1 AND key = $2`, key)
	if err == nil && n == 0 {
		return ErrNoCalendar
	}
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM calendar_slot WHERE org = $1 AND calendar = $2`, key)
	}
	if err != nil {
		return fmt.Errorf("drop calendar: %w", err)
	}
	return nil
}

// Times lists a calendar's times from … to, at most 500.
func Times(ctx context.Context, q db.Querier, calendar string, from, to time.Time) ([]FreeTime, error) {
	var n int
	if err := q.Row(ctx, `SELECT COUNT(*) FROM calendar WHERE org = $1 AND key = $2`, calendar).Scan(&n); err != nil {
		return nil, fmt.Errorf("find calendar: %w", err)
	}
	if n == 0 {
		return nil, ErrNoCalendar
	}
	return times(ctx, q, `calendar = $2 AND starts_at >= $3 AND starts_at < $4 ORDER BY starts_at LIMIT 500`, calendar, from.UnixMicro(), to.UnixMicro())
}

func times(ctx context.Context, q db.Querier, where string, args ...any) ([]FreeTime, error) {
	var out []FreeTime
	rows, err := q.Query(ctx, `SELECT id, starts_at, ends_at, capacity, taken FROM calendar_slot WHERE org = $1 AND `+where, args...)
	err = db.Each(rows, err, func() error {
		var t FreeTime
		var start, end int64
		err := rows.Scan(&t.ID, &start, &end, &t.Capacity, &t.Taken)
		t.Start, t.End = db.Time(start), db.Time(end)
		out = append(out, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the times of a calendar: %w", err)
	}
	return out, nil
}

// AddTimes adds times to a calendar; one that is there already gets the capacity.
func AddTimes(ctx context.Context, tx *db.Tx, calendar string, list []FreeTime) error {
	for _, t := range list {
		_, err := tx.Exec(ctx, `INSERT INTO calendar_slot (org, id, calendar, starts_at, ends_at, capacity, taken) VALUES ($1,$2,$3,$4,$5,$6,0)
			ON CONFLICT (org, calendar, starts_at, ends_at) DO UPDATE SET capacity = excluded.capacity`, db.NewID(), calendar, t.Start.UnixMicro(), t.End.UnixMicro(), t.Capacity)
		if err != nil {
			return fmt.Errorf("add a time: %w", err)
		}
	}
	return nil
}

// DropTime removes a time that nobody has booked.
func DropTime(ctx context.Context, tx *db.Tx, calendar, id string) error {
	n, err := tx.Exec(ctx, `DELETE FROM calendar_slot WHERE org = $1 AND calendar = $2 AND id = $3 AND taken = 0`, calendar, id)
	if err != nil {
		return fmt.Errorf("remove a time: %w", err)
	}
	if n > 0 {
		return nil
	}
	found, err := times(ctx, tx, `calendar = $2 AND id = $3`, calendar, id)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return ErrNotFound
	}
	return ErrBooked
}

// Offer gives the options of a slot question: the next free times of its calendar, spread over days.
func (s *Store) Offer(ctx context.Context, q db.Querier, a Ask) ([]Option, error) {
	now := s.Now()
	days := a.Days
	if days <= 0 {
		days = defaultDays
	}
	free, err := times(ctx, q, `calendar = $2 AND starts_at > $3 AND starts_at < $4 AND taken < capacity ORDER BY starts_at LIMIT 200`, a.Calendar, now.Add(time.Hour).UnixMicro(), now.AddDate(0, 0, days).UnixMicro())
	if err != nil {
		return nil, err
	}
	if len(free) == 0 {
		return nil, ErrNoSlot
	}
	zone := zoneOf(&a, "")
	return timesAsOptions(spread(free, slotsAtOnce, zone), zone), nil
}

// SampleTimes are times as a calendar might offer them, for trials.
func SampleTimes(a Ask, now time.Time) []Option {
	zone := zoneOf(&a, "")
	l := now.In(zone)
	var list []FreeTime
	for i, hour := range []int{9, 14, 10, 16} {
		start := time.Date(l.Year(), l.Month(), l.Day()+1+i/2, hour, 0, 0, 0, zone)
		list = append(list, FreeTime{ID: "t" + strconv.Itoa(i+1), Start: start, End: start.Add(time.Hour), Capacity: 1})
	}
	return timesAsOptions(list, zone)
}

func timesAsOptions(chosen []FreeTime, zone *time.Location) []Option {
	out := make([]Option, len(chosen))
	for i, t := range chosen {
		out[i] = Option{Key: t.ID, Start: t.Start, End: t.End, Label: Texts{}, Short: Texts{}}
		for _, l := range []string{"de", "en"} {
			out[i].Label[l] = Words{Text: slotLabel(t, zone, l)}
			out[i].Short[l] = Words{Text: slotShort(t, zone, l)}
		}
	}
	return out
}

// spread takes up to n times: two of each day in turn until n are found, then in order.
func spread(free []FreeTime, n int, zone *time.Location) []FreeTime {
	if len(free) <= n {
		return free
	}
	perDay := map[string]int{}
	var out, rest []FreeTime
	for _, t := range free {
		day := t.Start.In(zone).Format(time.DateOnly)
		if perDay[day] < 2 && len(out) < n {
			perDay[day]++
			out = append(out, t)
		} else {
			rest = append(rest, t)
		}
	}
	for _, t := range rest {
		if len(out) == n {
			break
		}
		out = append(out, t)
	}
	return out
}

func slotLabel(t FreeTime, zone *time.Location, language string) string {
	l := t.Start.In(zone)
	if language == "de" {
		return germanDays[l.Weekday()] + l.Format(", 2.1., 15:04 Uhr")
	}
	return l.Format("Monday, 2 Jan, 15:04")
}

func slotShort(t FreeTime, zone *time.Location, language string) string {
	l := t.Start.In(zone)
	if language == "de" {
		return germanDays[l.Weekday()][:2] + l.Format(" 2.1. 15:04")
	}
	return l.Format("Mon 2 Jan 15:04")
}

// book takes a place at a time; false if there is none left, or the time is over.
func book(ctx context.Context, tx *db.Tx, slot string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE calendar_slot SET taken = taken + 1 WHERE org = $1 AND id = $2 AND taken < capacity AND starts_at > $3`, slot, now.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("book a time: %w", err)
	}
	return n == 1, nil
}

func release(ctx context.Context, tx *db.Tx, slot string) error {
	_, err := tx.Exec(ctx, `UPDATE calendar_slot SET taken = taken - 1 WHERE org = $1 AND id = $2 AND taken > 0`, slot)
	if err != nil {
		return fmt.Errorf("release a time: %w", err)
	}
	return nil
}
