package contact

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var (
	work  = Hours{Zone: "Europe/Berlin", Week: []Span{{[]int{1, 2, 3, 4, 5}, "08:00", "18:00"}}, Closed: []Day{{"2026-12-25", "Weihnachten"}, {"2027-01-01", "Neujahr"}}}
	noon  = Hours{Week: []Span{{[]int{1, 2, 3, 4, 5}, "08:00", "12:00"}, {[]int{1, 2, 3, 4, 5}, "13:30", "18:30"}}}
	night = Hours{Zone: "Europe/Berlin", Week: []Span{{[]int{6, 7}, "22:00", "04:00"}}}
	leap  = Hours{Zone: "Europe/Berlin", Week: []Span{{[]int{7}, "02:30", "05:00"}}} // 02:30 does not exist on 29 March 2026 and exists twice on 25 October
	never = Hours{Zone: "Europe/Berlin", Week: []Span{{[]int{7}, "01:00", "02:30"}}}
	round = Hours{Week: []Span{{[]int{1, 2, 3, 4, 5, 6, 7}, "00:00", "24:00"}}}
)

func TestOpenAt(t *testing.T) {
	for _, c := range []struct {
		name string
		h    Hours
		at   string
		open bool
	}{
		{"a Tuesday", work, "2026-11-24T09:43:00+01:00", true},
		{"the first minute", work, "2026-11-24T08:00:00+01:00", true},
		{"a second before", work, "2026-11-24T07:59:59+01:00", false},
		{"the end is outside", work, "2026-11-24T18:00:00+01:00", false},
		{"Saturday", work, "2026-11-28T10:00:00+01:00", false},
		{"a holiday", work, "2026-12-25T10:00:00+01:00", false},
		{"summer time", work, "2026-07-01T06:00:00Z", true},
		{"winter time", work, "2026-12-01T06:30:00Z", false},
		{"the break at noon", noon, "2026-11-24T12:30:00+01:00", false},
		{"over midnight", night, "2026-11-29T03:00:00+01:00", true},
		{"over midnight into Monday", night, "2026-11-30T03:59:00+01:00", true},
		{"not into Tuesday", night, "2026-12-01T03:00:00+01:00", false},
		{"the night before Saturday", night, "2026-11-28T03:00:00+01:00", false},
		{"spring: begins at the leap", leap, "2026-03-29T01:00:00Z", true},
		{"spring: not before it", leap, "2026-03-29T00:59:59Z", false},
		{"autumn: the first 02:30", leap, "2026-10-25T00:30:00Z", true},
		{"autumn: not before it", leap, "2026-10-25T00:29:59Z", false},
		{"autumn: ends at the second 02:30", never, "2026-10-25T01:29:59Z", true},
		{"autumn: not after it", never, "2026-10-25T01:30:00Z", false},
		{"spring: ends at the leap", never, "2026-03-29T00:59:59Z", true},
		{"spring: not after it", never, "2026-03-29T01:00:00Z", false},
		{"the night of the leap", night, "2026-03-29T01:59:59Z", true},
		{"the night of the leap ends at four", night, "2026-03-29T02:00:00Z", false},
		{"round the clock", round, "2026-10-25T02:30:00+01:00", true},
		{"always", Hours{Always: true}, "2026-11-28T10:00:00+01:00", true},
		{"nobody set any", Hours{}, "2026-11-24T10:00:00+01:00", false},
	} {
		if got := OpenAt(c.h, at(t, c.at)); got != c.open {
			t.Errorf("%s: open at %s is %t, want %t", c.name, c.at, got, c.open)
		}
	}
}

func TestNextOpenAndClosesAt(t *testing.T) {
	for _, c := range []struct {
		h             Hours
		at, next, end string
	}{
		{work, "2026-11-24T09:43:00+01:00", "2026-11-24T09:43:00+01:00", "2026-11-24T18:00:00+01:00"},
		{work, "2026-11-24T20:00:00+01:00", "2026-11-25T08:00:00+01:00", ""},
		{work, "2026-03-27T18:00:00+01:00", "2026-03-30T08:00:00+02:00", ""}, // over the leap in spring
		{work, "2026-10-23T18:00:00+02:00", "2026-10-26T08:00:00+01:00", ""}, // over the one in autumn
		{work, "2026-12-24T18:00:00+01:00", "2026-12-28T08:00:00+01:00", ""},
		{night, "2026-10-24T23:00:00+02:00", "2026-10-24T23:00:00+02:00", "2026-10-25T04:00:00+01:00"},
		{leap, "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00", ""},
		{leap, "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00", ""},
		{round, "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00", ""},
		{Hours{}, "2026-10-25T02:30:00+01:00", "", ""},
	} {
		now := at(t, c.at)
		next, ok := NextOpen(c.h, now)
		if ok != (c.next != "") || ok && !next.Equal(at(t, c.next)) {
			t.Errorf("next open after %s: %s %t, want %s", c.at, next, ok, c.next)
		}
		if !OpenAt(c.h, now) {
			continue
		}
		end, ok := ClosesAt(c.h, now)
		if ok != (c.end != "") || ok && !end.Equal(at(t, c.end)) {
			t.Errorf("closes after %s: %s %t, want %s", c.at, end, ok, c.end)
		}
	}
}

// Whatever the clocks do: what opens next is open, was not a moment before, and nothing between was.
func TestNextOpenThroughTheYear(t *testing.T) {
	for _, h := range []Hours{work, noon, night, leap, never} {
		for now := at(t, "2026-03-20T00:00:00Z"); now.Before(at(t, "2026-04-05T00:00:00Z")) || now.After(at(t, "2026-10-15T00:00:00Z")) && now.Before(at(t, "2026-11-05T00:00:00Z")); now = now.Add(17 * time.Minute) {
			next, ok := NextOpen(h, now)
			if !ok || !OpenAt(h, next) || next.After(now) && (OpenAt(h, next.Add(-time.Nanosecond)) || OpenAt(h, now.Add(next.Sub(now)/2))) {
				t.Fatalf("%v: after %s comes %s", h, now, next)
			}
			if now.After(at(t, "2026-04-04T23:00:00Z")) && now.Before(at(t, "2026-10-15T00:00:00Z")) {
				now = at(t, "2026-10-15T00:00:01Z")
			}
		}
	}
}

func TestStateAt(t *testing.T) {
	for _, c := range []struct {
		h          Hours
		at, de, en string
	}{
		{work, "2026-11-24T09:43:00+01:00", "offen bis 18 Uhr", "open until 18:00"},
		{noon, "2026-11-24T14:00:00+01:00", "offen bis 18:30 Uhr", "open until 18:30"},
		{work, "2026-11-24T06:00:00+01:00", "ab 8 Uhr", "from 08:00"},
		{work, "2026-11-24T20:00:00+01:00", "ab morgen, 8 Uhr", "from tomorrow, 08:00"},
		{work, "2026-11-27T20:00:00+01:00", "ab Montag, 8 Uhr", "from Monday, 08:00"},
		{Hours{Week: work.Week, Closed: []Day{{"2026-11-30", ""}, {"2026-12-01", ""}, {"2026-12-02", ""}, {"2026-12-03", ""}}}, "2026-11-27T20:00:00+01:00", "ab 4. Dezember, 8 Uhr", "from 4 December, 08:00"},
		{round, "2026-11-24T09:43:00+01:00", "immer", "always"},
		{Hours{Always: true}, "2026-11-24T09:43:00+01:00", "immer", "always"},
		{Hours{Week: []Span{{[]int{2}, "08:00", "24:00"}}}, "2026-11-24T09:43:00+01:00", "offen bis Mitternacht", "open until midnight"},
		{Hours{}, "2026-11-24T09:43:00+01:00", "", ""},
	} {
		for lang, want := range map[string]string{"de": c.de, "en": c.en} {
			if got := StateAt(c.h, at(t, c.at), lang); got.Text != want || got.Known != (want != "") {
				t.Errorf("%s: %+v, want %q", c.at, got, want)
			}
		}
	}
}

func TestHoursCheck(t *testing.T) {
	for field, h := range map[string]Hours{
		"zone": {Zone: "Berlin"}, "week[0].days": {Week: []Span{{[]int{8}, "08:00", "18:00"}}}, "week[0].from": {Week: []Span{{[]int{1}, "24:00", "18:00"}}},
		"week[0].to": {Week: []Span{{[]int{1}, "08:00", "24:01"}}}, "closed[0].date": {Closed: []Day{{"2026-02-30", ""}}},
	} {
		err := h.Check()
		if f, ok := err.(*FieldError); !ok || f.Field != field || f.Text.DE == "" || f.Text.EN == "" { //nolint:errorlint // not wrapped
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, h := range []Hours{work, noon, night, leap, round, {}, {Always: true}} {
		if err := h.Check(); err != nil {
			t.Errorf("%v: %v", h, err)
		}
	}
}
