package contact

import (
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
)

func waits(minutes ...int) (out []conversation.Wait) { // negative: still waits
	for _, m := range minutes {
		w := conversation.Wait{Channel: "c", Kind: "email", For: time.Duration(m) * time.Minute, Answered: m >= 0}
		if m < 0 {
			w.For = -w.For
		}
		out = append(out, w)
	}
	return out
}

func TestMedian(t *testing.T) {
	for name, c := range map[string]struct {
		waits []conversation.Wait
		want  int // 0 = nothing is told
	}{
		"nothing":                          {nil, 0},
		"seven say nothing":                {waits(1, 2, 3, 4, 5, 6, 7), 0},
		"eight do":                         {waits(8, 7, 6, 5, 4, 3, 2, 1), 4},
		"one of a week changes nothing":    {waits(1, 2, 3, 4, 5, 6, 7, 10000), 4},
		"who waits short says little":      {waits(1, 2, 3, 4, 5, 6, 7, 8, -1, -1), 5},
		"who waits long is slower":         {waits(1, 2, 3, 4, 5, 6, 7, 8, -60, -60, -60, -60), 6},
		"most still wait: nothing is told": {waits(1, 2, 3, 4, 5, 6, 7, 8, -60, -60, -60, -60, -60, -60, -60, -60, -60), 0},
		"seven answers and many who wait":  {waits(1, 2, 3, 4, 5, 6, 7, -60, -60), 0},
	} {
		d, ok := Median(c.waits)
		if ok != (c.want > 0) || int(d/time.Minute) != c.want {
			t.Errorf("%s: %s %t, want %d minutes", name, d, ok, c.want)
		}
	}
}

func TestMeasureByHour(t *testing.T) {
	zone := Hours{}.Location()
	add := func(list []conversation.Wait, id string, kind channel.Kind, hour, minutes, n int) []conversation.Wait {
		for range n {
			list = append(list, conversation.Wait{Channel: id, Kind: kind, Since: time.Date(2026, 11, 24, hour, 30, 0, 0, zone), For: time.Duration(minutes) * time.Minute, Answered: true})
		}
		return list
	}
	var list []conversation.Wait
	list = add(list, "busy", "telegram", 9, 4, 8)
	list = add(list, "busy", "telegram", 22, 600, 20)
	list = add(list, "new", "telegram", 9, 30, 2)
	list = add(list, "slow", "email", 14, 50, 4)
	list = add(list, "slow", "email", 15, 52, 4)
	list = add(list, "rare", "letter", 9, 3000, 3)
	m := measure(list, zone)
	for _, c := range []struct {
		id   string
		kind channel.Kind
		hour int
		want time.Duration
	}{
		{"busy", "telegram", 9, 4 * time.Minute}, {"busy", "telegram", 10, 4 * time.Minute}, {"busy", "telegram", 8, 4 * time.Minute},
		{"busy", "telegram", 23, 600 * time.Minute}, {"busy", "telegram", 0, 600 * time.Minute}, // an hour in which hardly anybody wrote: all hours
		{"new", "telegram", 9, 4 * time.Minute}, // too few of its own: its kind
		{"slow", "email", 14, 50 * time.Minute}, // half of eight
		{"rare", "letter", 9, 0}, {"unknown", "fax", 9, 0},
	} {
		if got := expect(m, c.id, c.kind, c.hour); got != c.want {
			t.Errorf("%s at %d: %s, want %s", c.id, c.hour, got, c.want)
		}
	}
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration][2]string{
		20 * time.Second: {"einer Minute", "a minute"}, 4 * time.Minute: {"4 Minuten", "4 minutes"}, 51 * time.Minute: {"50 Minuten", "50 minutes"}, 58 * time.Minute: {"einer Stunde", "an hour"},
		3*time.Hour + 10*time.Minute: {"3 Stunden", "3 hours"}, 23*time.Hour + 40*time.Minute: {"einem Tag", "a day"}, 47 * time.Hour: {"2 Tagen", "2 days"}, 12 * time.Minute: {"10 Minuten", "10 minutes"},
	} {
		if de, en := About(d, "de"), About(d, "en"); de != want[0] || en != want[1] {
			t.Errorf("%s: %q, %q, want %q", d, de, en, want)
		}
	}
}
