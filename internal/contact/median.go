package contact

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
)

const (
	// observed is over how long a time answers are looked at.
	observed = 28 * 24 * time.Hour
	// enough is from how many answers on a time is told: fewer say nothing.
	enough = 8
)

// Median is the time after which half of the customers have an answer (conversation.Waits says what that means). Those
// who still wait count as waiting longer than they have so far, so that a slow day cannot look quick because only the
// quick answers are there yet: the median of the Kaplan–Meier estimate (Kaplan & Meier 1958, JASA 53:457). ok is false
// below eight answers, or where more than half still wait for longer than every answer took.
func Median(waits []conversation.Wait) (d time.Duration, ok bool) {
	answers := 0
	for _, w := range waits {
		if w.Answered {
			answers++
		}
	}
	if answers < enough {
		return 0, false
	}
	sorted := slices.SortedFunc(slices.Values(waits), func(a, b conversation.Wait) int {
		if a.Answered != b.Answered && a.For == b.For {
			if a.Answered {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.For, b.For)
	})
	still := 1.0
	for i, w := range sorted {
		if !w.Answered {
			continue
		}
		left := float64(len(sorted) - i)
		if still *= (left - 1) / left; still <= 0.5+1e-9 {
			return w.For, true
		}
	}
	return 0, false
}

// medians are what was measured about one channel or kind of channels.
type medians struct {
	hours [24]time.Duration // of waits that began in this hour or the one before or after; 0 = not enough
	all   time.Duration     // of all; 0 = not enough
}

// measure makes the medians of each channel (by id) and each kind of channels.
func measure(waits []conversation.Wait, zone *time.Location) map[string]medians {
	by := map[string][]conversation.Wait{}
	for _, w := range waits {
		by[w.Channel] = append(by[w.Channel], w)
		by["kind "+string(w.Kind)] = append(by["kind "+string(w.Kind)], w)
	}
	out := map[string]medians{}
	for key, list := range by {
		var m medians
		if m.all, _ = Median(list); m.all <= 0 {
			m.all = 0
		}
		for h := range m.hours {
			var near []conversation.Wait
			for _, w := range list {
				if d := (w.Since.In(zone).Hour() - h + 24) % 24; d <= 1 || d == 23 {
					near = append(near, w)
				}
			}
			m.hours[h], _ = Median(near)
		}
		if m != (medians{}) {
			out[key] = m
		}
	}
	return out
}

// expect gives the time that is told for a channel at an hour: its own at this hour, its own at any, then that of its
// kind; 0 if too little is known.
func expect(by map[string]medians, id string, kind channel.Kind, hour int) time.Duration {
	own, kin := by[id], by["kind "+string(kind)]
	return cmp.Or(own.hours[hour], own.all, kin.hours[hour], kin.all)
}

// About is a time as people say it: 4 Minuten, 50 Minuten, 3 Stunden, 2 Tagen (after "in").
func About(d time.Duration, language string) string {
	say := func(n int, one, many, en string) string {
		if n == 1 {
			return channel.Text{DE: one, EN: map[string]string{"minute": "a minute", "hour": "an hour", "day": "a day"}[en]}.In(language)
		}
		return channel.Text{DE: fmt.Sprintf("%d %s", n, many), EN: fmt.Sprintf("%d %ss", n, en)}.In(language)
	}
	switch m := int(d.Round(time.Minute) / time.Minute); {
	case m < 10:
		return say(max(m, 1), "einer Minute", "Minuten", "minute")
	case m < 58:
		return say((m+2)/5*5, "", "Minuten", "minute")
	case m < 23*60+30:
		return say((m+30)/60, "einer Stunde", "Stunden", "hour")
	default:
		return say((m+12*60)/(24*60), "einem Tag", "Tagen", "day")
	}
}
