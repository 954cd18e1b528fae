package contact

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// DefaultZone is where hours are meant that name no zone.
const DefaultZone = "Europe/Berlin"

// Hours are weekly opening hours. The zero value means that nobody has set any: nothing is claimed then.
type Hours struct {
	Zone   string `json:"zone,omitempty" doc:"IANA; Europe/Berlin if left out"`
	Always bool   `json:"always,omitempty" doc:"open at any time"`
	Week   []Span `json:"week,omitempty" maxItems:"50"`
	Closed []Day  `json:"closed,omitempty" maxItems:"200" doc:"dates on which nothing opens"`
}

// Span is a stretch of time on some days of the week.
type Span struct {
	Days []int  `json:"days" minItems:"1" maxItems:"7" doc:"1 = Monday … 7 = Sunday"`
	From string `json:"from" doc:"HH:MM"`
	To   string `json:"to" doc:"HH:MM, up to 24:00; not later than from = on the next day"`
}

// Day is a date on which nothing opens. What opened the day before still closes at its hour.
type Day struct {
	Date string `json:"date" doc:"YYYY-MM-DD"`
	Name string `json:"name,omitempty" maxLength:"100"`
}

// Set tells whether somebody has set hours.
func (h Hours) Set() bool { return h.Always || len(h.Week) > 0 }

// Location is the zone of the hours.
func (h Hours) Location() *time.Location {
	for _, name := range []string{h.Zone, DefaultZone} {
		if name == "" {
			continue
		}
		if l, err := time.LoadLocation(name); err == nil {
			return l
		}
	}
	return time.FixedZone("CET", 3600) // a machine without time zones
}

// Check finds what is wrong with hours that somebody typed.
func (h Hours) Check() error {
	if h.Zone != "" {
		if _, err := time.LoadLocation(h.Zone); err != nil || h.Zone == "Local" {
			return &FieldError{"zone", channel.Text{DE: "Diese Zeitzone gibt es nicht; schreiben Sie zum Beispiel Europe/Berlin.", EN: "There is no such time zone; write for example Europe/Berlin."}}
		}
	}
	for i, s := range h.Week {
		at := fmt.Sprintf("week[%d].", i)
		if len(s.Days) == 0 || slices.ContainsFunc(s.Days, func(d int) bool { return d < 1 || d > 7 }) {
			return &FieldError{at + "days", channel.Text{DE: "Wählen Sie mindestens einen Wochentag.", EN: "Choose at least one day of the week."}}
		}
		from, ok := minute(s.From)
		if !ok || from == 24*60 {
			return &FieldError{at + "from", channel.Text{DE: "Schreiben Sie die Uhrzeit als 08:00.", EN: "Write the time as 08:00."}}
		}
		to, ok := minute(s.To)
		if !ok || to == from {
			return &FieldError{at + "to", channel.Text{DE: "Schreiben Sie die Uhrzeit als 18:00; sie muss eine andere sein als der Anfang.", EN: "Write the time as 18:00; it must differ from the beginning."}}
		}
	}
	for i, d := range h.Closed {
		if _, err := time.Parse(time.DateOnly, d.Date); err != nil {
			return &FieldError{fmt.Sprintf("closed[%d].date", i), channel.Text{DE: "Dieses Datum gibt es nicht.", EN: "There is no such date."}}
		}
	}
	return nil
}

// minute reads HH:MM as the minute of the day; 24:00 is the end of it.
func minute(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	h, err := strconv.ParseUint(s[:2], 10, 8)
	m, err2 := strconv.ParseUint(s[3:], 10, 8)
	if err != nil || err2 != nil || m > 59 || h > 24 || h == 24 && m > 0 {
		return 0, false
	}
	return int(h*60 + m), true
}

type interval struct{ from, to time.Time }

// on gives the intervals that begin on a day.
func (h Hours) on(day time.Time, zone *time.Location) (out []interval) {
	y, m, d := day.Date()
	date := day.Format(time.DateOnly)
	if slices.ContainsFunc(h.Closed, func(c Day) bool { return c.Date == date }) {
		return nil
	}
	weekday := (int(day.Weekday())+6)%7 + 1
	for _, s := range h.Week {
		from, ok := minute(s.From)
		to, ok2 := minute(s.To)
		if !ok || !ok2 || !slices.Contains(s.Days, weekday) {
			continue
		}
		if to <= from {
			to += 24 * 60
		}
		if i := (interval{moment(y, m, d, from, zone, false), moment(y, m, d, to, zone, true)}); i.to.After(i.from) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b interval) int { return a.from.Compare(b.from) })
	return out
}

// moment is when the clocks of a zone show a minute of a day. What they show twice (the clock is put back) is the first
// time where something begins and the second where it ends; what they leave out is the moment of the leap.
func moment(y int, m time.Month, d, minutes int, zone *time.Location, end bool) time.Time {
	t := time.Date(y, m, d, 0, minutes, 0, 0, zone)
	clock := func(t time.Time) int { return t.Hour()*60 + t.Minute() }
	want := minutes % (24 * 60)
	if got := clock(t); got != want {
		before, after := t.ZoneBounds()
		if got > want {
			return before
		}
		return after
	}
	step := -time.Hour
	if end {
		step = time.Hour
	}
	if u := t.Add(step); clock(u) == want {
		return u
	}
	return t
}

// midday is noon of a day some days from t on: a time that every day has in every zone.
func midday(t time.Time, zone *time.Location, days int) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d+days, 12, 0, 0, 0, zone)
}

// OpenAt tells whether it is open at a time. Hours that nobody set are never open: ask Set first.
func OpenAt(h Hours, t time.Time) bool {
	if h.Always {
		return true
	}
	zone := h.Location()
	for day := -1; day <= 0; day++ {
		for _, i := range h.on(midday(t, zone, day), zone) {
			if !t.Before(i.from) && t.Before(i.to) {
				return true
			}
		}
	}
	return false
}

// NextOpen gives when it is open from t on: t itself if it is open then. ok is false if it does not open within 400
// days.
func NextOpen(h Hours, t time.Time) (at time.Time, ok bool) {
	if OpenAt(h, t) {
		return t, true
	}
	zone := h.Location()
	for day := range 400 {
		for _, i := range h.on(midday(t, zone, day), zone) {
			if i.from.After(t) {
				return i.from, true
			}
		}
	}
	return time.Time{}, false
}

// ClosesAt gives until when it is open without a break from t on; ok is false if that is longer than a week. It is to be
// asked only while it is open.
func ClosesAt(h Hours, t time.Time) (at time.Time, ok bool) {
	if h.Always {
		return time.Time{}, false
	}
	zone := h.Location()
	at = t
	for at.Sub(t) < 8*24*time.Hour {
		end := at
		for day := -1; day <= 0; day++ {
			for _, i := range h.on(midday(at, zone, day), zone) {
				if !at.Before(i.from) && i.to.After(end) {
					end = i.to
				}
			}
		}
		if !end.After(at) {
			return at, true
		}
		at = end
	}
	return time.Time{}, false
}

// State is what is said of a way's opening. The zero value: nothing is known, so nothing is said.
type State struct {
	Known bool   `json:"known"`
	Open  bool   `json:"open"`
	Text  string `json:"text" doc:"such as: offen bis 18 Uhr; ab morgen, 8 Uhr; immer"`
}

// StateAt says in words whether it is open.
func StateAt(h Hours, t time.Time, language string) State {
	if !h.Set() {
		return State{}
	}
	say := func(de, en string) string { return channel.Text{DE: de, EN: en}.In(language) }
	zone := h.Location()
	if OpenAt(h, t) {
		end, ok := ClosesAt(h, t)
		if !ok {
			return State{true, true, say("immer", "always")}
		}
		clock := Clock(end, zone, language)
		if e := end.In(zone); e.Hour()+e.Minute() == 0 {
			clock = say("Mitternacht", "midnight")
		}
		return State{true, true, say("offen bis "+clock, "open until "+clock)}
	}
	next, ok := NextOpen(h, t)
	if !ok {
		return State{true, false, say("geschlossen", "closed")}
	}
	clock := Clock(next, zone, language)
	l := next.In(zone)
	switch days := daysBetween(t.In(zone), l); {
	case days == 0:
		return State{true, false, say("ab "+clock, "from "+clock)}
	case days == 1:
		return State{true, false, say("ab morgen, "+clock, "from tomorrow, "+clock)}
	case days < 7:
		return State{true, false, say("ab "+Weekday(l, language)+", "+clock, "from "+Weekday(l, language)+", "+clock)}
	default:
		return State{true, false, say(fmt.Sprintf("ab %d. %s, %s", l.Day(), months[l.Month()-1], clock), fmt.Sprintf("from %d %s, %s", l.Day(), l.Month(), clock))}
	}
}

func daysBetween(a, b time.Time) int {
	day := func(t time.Time) time.Time {
		y, m, d := t.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(day(b).Sub(day(a)) / (24 * time.Hour))
}

var (
	weekdays = []string{"Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"}
	months   = []string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"}
)

// Weekday is the name of a day.
func Weekday(t time.Time, language string) string {
	return channel.Text{DE: weekdays[t.Weekday()], EN: t.Weekday().String()}.In(language)
}

// Clock is a time of day as people write it: 18 Uhr, 18:30 Uhr; 18:00.
func Clock(t time.Time, zone *time.Location, language string) string {
	t = t.In(zone)
	de := t.Format("15:04") + " Uhr"
	if t.Minute() == 0 {
		de = strconv.Itoa(t.Hour()) + " Uhr"
	}
	return channel.Text{DE: de, EN: t.Format("15:04")}.In(language)
}
