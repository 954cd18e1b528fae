package ask

import (
	"slices"
	"time"
)

// slotValue is an option of a calendar as an answer.
func (a *Ask) slotValue(i int, zone *time.Location) Value {
	o := a.Options[i]
	v := Value{Key: o.Key}
	if !o.Start.IsZero() {
		v.At = o.Start.In(zone).Format(time.RFC3339)
	}
	if !o.End.IsZero() {
		v.Until = o.End.In(zone).Format(time.RFC3339)
	}
	return v
}

// slot resolves one of the free times of a calendar.
func (a *Ask) slot(toks []token, c *Context) Outcome {
	toks = splitCompounds(uncut(toks))
	zone := a.zone(c)
	value := func(i int) Value { return a.slotValue(i, zone) }
	values := func(list []int) (out []Value) {
		for _, i := range list {
			out = append(out, value(i))
		}
		return out
	}
	if opts, how := wholly(toks, called(a.Options)); len(opts) == 1 {
		return Outcome{Value: value(opts[0]), Confidence: 1, Reading: how}
	}
	if k := listNumber(toks); k > 0 && !bareHour(toks, k, len(a.Options)) {
		if k > len(a.Options) {
			return Outcome{Problem: OutOfRange, Detail: "option", Confidence: 0.5}
		}
		// "9" of ten: number nine, or nine o'clock?
		if len(toks) == 1 && toks[0].kind == digitToken && k >= 7 {
			for i, o := range a.Options {
				if o.Start.In(zone).Hour() == k && i != k-1 {
					return Outcome{Problem: Ambiguous, Confidence: 0.6, Candidates: values([]int{k - 1, i})}
				}
			}
		}
		return Outcome{Value: value(k - 1), Confidence: 0.96, Reading: "number"}
	}
	f := a.frameOf(c)
	w := f.read(toks)
	// "Nummer 4, Freitag", "2 (Donnerstag)": the number of an option, with its day to be sure.
	if len(w.lone) == 1 && len(w.clocks) == 0 && w.negs == 0 && len(w.days) > 0 && !w.mood.asks && !w.mood.hedged && !w.mood.or {
		i := w.lone[0]
		if k := smallNumber(toks[i]); k >= 1 && k <= len(a.Options) && (i == 0 || marker(toks, i)) {
			d := civil(a.Options[k-1].Start.In(zone))
			if slices.ContainsFunc(f.pick(w).days, func(x time.Time) bool { return x.Equal(d) }) {
				return Outcome{Value: value(k - 1), Confidence: 0.9, Reading: "number"}
			}
			return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: values([]int{k - 1})}
		}
	}
	f.loneClock(w, toks)
	if w.nothing && len(w.lone) == 1 && w.unknown == 0 && w.negs == 0 {
		if h, ok := hourWord(toks[w.lone[0]]); ok {
			w.clocks, w.nothing = append(w.clocks, clock{h: h, at: w.lone[0]}), false
		}
	}
	p := f.pick(w)
	negative := 0
	for _, m := range w.days {
		if m.neg {
			negative++
		}
	}
	if w.nothing || len(w.clocks) == 0 && !p.stated && w.part == nil && len(w.spans) == 0 && !w.first && !w.lastOne && negative == 0 && w.instant.IsZero() {
		return settle(choose(toks, a.Options, false), value)
	}
	if p.bad {
		return Outcome{Problem: Unclear, Detail: "date", Confidence: 0.3}
	}
	days := p.days
	if !w.instant.IsZero() && len(days) == 0 {
		days = []time.Time{civil(w.instant)}
	}
	var minutes []int
	sure := true
	if len(w.clocks) > 0 && w.limit == nil && !w.between {
		for _, k := range w.clocks {
			m, _ := k.minutesOf(true, w.part)
			minutes = append(minutes, m...)
		}
	} else if len(w.clocks) > 0 {
		w.part = f.limits(w)
	}
	zoneIn := zone
	if w.zone != nil {
		zoneIn = w.zone
	}
	pairs := pairsOf(w)
	var first, second []int // by the likeliest reading of the clock; by another one
	for i, o := range a.Options {
		at := o.Start.In(zone)
		d := civil(at)
		if len(days) > 0 && !slices.ContainsFunc(days, func(x time.Time) bool { return x.Equal(d) }) {
			continue
		}
		if len(days) == 0 && p.stated {
			continue
		}
		if !p.stated && len(p.spans) > 0 && !slices.ContainsFunc(p.spans, func(s span) bool { return s.has(d) }) {
			continue
		}
		ruledOut := false
		for _, m := range w.days {
			if m.neg && (m.weekday >= 0 && int(d.Weekday()) == m.weekday || slices.ContainsFunc(m.days, func(x time.Time) bool { return x.Equal(d) })) {
				ruledOut = true
			}
		}
		if ruledOut {
			continue
		}
		here := at.In(zoneIn)
		minute := here.Hour()*60 + here.Minute()
		if len(pairs) > 0 {
			for _, pair := range pairs {
				m, _ := pair.clock.minutesOf(true, w.part)
				if slices.Contains(m, minute) && slices.ContainsFunc(f.daysOf(pair.day), func(x time.Time) bool { return x.Equal(d) }) {
					first = append(first, i)
					break
				}
			}
			continue
		}
		if len(minutes) > 0 {
			switch k := slices.Index(minutes, minute); {
			case k < 0:
				continue
			case k == 0 || len(w.clocks) > 1:
				first = append(first, i)
			default:
				second = append(second, i)
			}
			continue
		}
		if w.part != nil && !(minute >= w.part.lo && minute < w.part.hi) {
			continue
		}
		first = append(first, i)
	}
	match := first
	if len(match) == 0 {
		match, sure = second, false
	}
	conf := w.conf(0.95)
	if !sure {
		conf = min(conf, 0.85)
	}
	positive := p.stated || len(minutes) > 0 || w.part != nil || len(p.spans) > 0 || w.first || w.lastOne || !w.instant.IsZero()
	switch {
	case !positive:
		return Outcome{Problem: Unclear, Confidence: 0.4, Candidates: values(match), Reading: "date"}
	case p.mismatch && len(match) > 0:
		return Outcome{Problem: Ambiguous, Detail: "weekday", Confidence: 0.5, Candidates: values(match), Reading: "date"}
	case len(match) == 0:
		o := Outcome{Problem: OutOfRange, Detail: "slot", Confidence: conf, Reading: "date", Candidates: values(a.nearestSlots(days, minutes, zone))}
		if len(days) > 0 && len(minutes) > 0 {
			if t, gap := instantOf(days[0], minutes[0], zoneIn); !gap {
				o.Value = Value{At: t[0].In(zone).Format(time.RFC3339)}
			}
		} else if len(days) > 0 {
			o.Value = Value{Date: days[0].Format(dayForm)}
		}
		return o
	case w.first && !p.several:
		match = match[:1]
	case w.lastOne && !p.several:
		match = match[len(match)-1:]
	}
	if len(match) > 1 || w.mood.or && p.several {
		return Outcome{Problem: Ambiguous, Confidence: 0.6, Candidates: values(match), Reading: "date"}
	}
	if f.orphanNegation(w) || w.mood.or {
		conf = min(conf, 0.6)
	}
	if conf < Sure {
		return Outcome{Problem: Unclear, Confidence: conf, Candidates: values(match), Reading: "date"}
	}
	return Outcome{Value: value(match[0]), Confidence: conf, Reading: "date"}
}

// bareHour: "14" cannot be the number of an option if there are fewer.
func bareHour(toks []token, k, n int) bool { return k > n && k <= 24 && len(toks) == 1 }

// limits makes a window of "ab 14 Uhr", "bis 12", "zwischen 2 und 4".
func (f *frame) limits(w *when) *window {
	out := window{0, 24*60 + 1}
	if w.part != nil {
		out = *w.part
	}
	get := func(k clock) int {
		m, _ := k.minutesOf(true, w.part)
		return m[0]
	}
	switch {
	case w.between && len(w.clocks) >= 2:
		lo, hi := get(w.clocks[0]), get(w.clocks[1])
		if hi <= lo && lo >= 12*60 {
			lo -= 12 * 60
		}
		out.lo, out.hi = max(out.lo, lo), min(out.hi, hi)
	case w.limit != nil && w.limit.lo == 1:
		out.lo = max(out.lo, get(w.clocks[0]))
	case w.limit != nil:
		out.hi = min(out.hi, get(w.clocks[0]))
	}
	return &out
}

// nearestSlots gives up to three slots close to what was wished.
func (a *Ask) nearestSlots(days []time.Time, minutes []int, zone *time.Location) []int {
	order := make([]int, len(a.Options))
	for i := range order {
		order[i] = i
	}
	minute := 12 * 60
	if len(minutes) > 0 {
		minute = minutes[0]
	}
	distance := func(i int) time.Duration {
		at := a.Options[i].Start.In(zone)
		d := time.Duration(0)
		if len(days) > 0 {
			d = at.Sub(time.Date(days[0].Year(), days[0].Month(), days[0].Day(), 0, minute, 0, 0, zone))
		} else if len(minutes) > 0 {
			d = time.Duration(at.Hour()*60+at.Minute()-minute) * time.Minute
		}
		return max(d, -d)
	}
	slices.SortStableFunc(order, func(x, y int) int {
		a, b := distance(x), distance(y)
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return x - y
	})
	if len(order) > 3 {
		order = order[:3]
	}
	slices.Sort(order)
	return order
}

// dayClock is a day with the clock that was said for it.
type dayClock struct {
	day   dayMention
	clock clock
}

// pairsOf gives days and clocks in pairs if several of each were named: "Donnerstag 9 Uhr oder Freitag 11 Uhr".
func pairsOf(w *when) (out []dayClock) {
	if len(w.clocks) < 2 || len(w.days) != len(w.clocks) || w.between {
		return nil
	}
	for i, k := range w.clocks {
		if w.days[i].neg || w.days[i].i > k.at || i+1 < len(w.days) && w.days[i+1].i < k.at {
			return nil
		}
		out = append(out, dayClock{w.days[i], k})
	}
	return out
}

// daysOf gives the plausible days of one mention.
func (f *frame) daysOf(m dayMention) []time.Time {
	switch {
	case m.weekday >= 0:
		return f.weekdayDays(m, nil)
	case m.yearless && len(m.days) > 1:
		return m.days[:1]
	}
	return m.days
}
