package ask

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var months = func() *phrases[time.Month] {
	p := &phrases[time.Month]{}
	for i, list := range []string{
		"januar|jan|jänner|jaenner|jän|jänna|january|jänneri", "februar|feb|feber|februari|february|fäber", "märz|mrz|mär|march|mar|merz", "april|apr|aprel|aprilli", "mai|may",
		"juni|jun|june|juno", "juli|jul|july|julei", "august|aug|auguscht", "september|sep|sept|septämber", "oktober|okt|october|oct|oktobr", "november|nov|novämber", "dezember|dez|december|dec|dezämber",
	} {
		p.add(time.Month(i+1), list)
	}
	return p
}()

var weekdays = func() *phrases[time.Weekday] {
	p := &phrases[time.Weekday]{}
	for i, list := range []string{
		"sonntag|sunday|sonntags|sunntig|sunntag|sundays|sonntach", "montag|monday|montags|mäntig|mändig|mondays|mantig|montog", "dienstag|tuesday|dienstags|zischtig|ziischtig|zyschtig|dienschtig|tuesdays|erchtag|dinstag|zistig|deanstag",
		"mittwoch|wednesday|mittwochs|mittwuch|mittwuche|wednesdays|mittwoche|mittwoch s", "donnerstag|thursday|donnerstags|donnschtig|donnstig|dunnschtig|donschtig|thursdays|donerstag|pfinztag",
		"freitag|friday|freitags|friitig|fritig|fridays|freidog|fraitag", "samstag|saturday|samstags|sonnabend|sonnabends|samschtig|samstig|saturdays|samschdag",
	} {
		p.add(time.Weekday(i), list)
	}
	return p
}()

// shortWeekdays are abbreviations; those that are words too count only beside a date or a time.
var shortWeekdays = map[string]time.Weekday{"mo": 1, "di": 2, "mi": 3, "do": 4, "fr": 5, "sa": 6, "so": 0, "mon": 1, "tue": 2, "tues": 2, "wed": 3, "weds": 3, "thu": 4, "thur": 4, "thurs": 4, "fri": 5, "sat": 6, "sun": 0}

var dayWords = func() *phrases[int] {
	p := &phrases[int]{}
	p.add(0, "heute|heut|heit|hüt|today|tonight|this morning|this afternoon|this evening|noch heute|hütt|heutige|heutigen|2day")
	p.add(1, "morgen|tomorrow|tmrw|tmr|tomorow|tommorow|tommorrow|morn|moin|moang|moagn|mourn|2morrow|moorn")
	p.add(2, "übermorgen|übermorn|the day after tomorrow|day after tomorrow|iwamoagn|übermoagn|üwermorgen|überübermorgen minus")
	p.add(3, "überübermorgen")
	p.add(-1, "gestern|yesterday|geschter|gestan|gester|last night")
	p.add(-2, "vorgestern|the day before yesterday|day before yesterday|vorgester|vorgeschter")
	return p
}()

var ordinalDays = func() *phrases[int] {
	p := &phrases[int]{}
	ones := []string{"", "erst", "zweit", "dritt", "viert", "fünft", "sechst", "siebt", "acht", "neunt", "zehnt", "elft", "zwölft", "dreizehnt", "vierzehnt", "fünfzehnt", "sechzehnt", "siebzehnt", "achtzehnt", "neunzehnt", "zwanzigst",
		"einundzwanzigst", "zweiundzwanzigst", "dreiundzwanzigst", "vierundzwanzigst", "fünfundzwanzigst", "sechsundzwanzigst", "siebenundzwanzigst", "achtundzwanzigst", "neunundzwanzigst", "dreißigst", "einunddreißigst"}
	english := []string{"", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth",
		"twenty first", "twenty second", "twenty third", "twenty fourth", "twenty fifth", "twenty sixth", "twenty seventh", "twenty eighth", "twenty ninth", "thirtieth", "thirty first"}
	for i := 1; i <= 31; i++ {
		p.add(i, ones[i]+"er|"+ones[i]+"en|"+ones[i]+"e|"+english[i])
	}
	return p
}()

// span is a row of days, both ends included.
type span struct{ from, to time.Time }

func (s span) has(d time.Time) bool { return !d.Before(s.from) && !d.After(s.to) }

// dayMention is one expression that means a day.
type dayMention struct {
	i, j    int
	days    []time.Time // any of these; the likeliest first
	weekday int         // -1 = not a weekday
	next    bool        // "nächsten"
	this    bool        // "kommenden", "diesen"
	last    bool        // "letzten"
	shift   int         // days more: "in einer Woche"
	yearless,
	monthless bool // days are then guesses about what was left out
	slashed bool // 12/3
	named   bool // "Nationalfeiertag": the next one is meant, however far away
	neg     bool
}

// when is what a reply says about a moment.
type when struct {
	days     []dayMention
	spans    []span
	clocks   []clock
	negClock int
	part     *window // "Vormittag"
	limit    *window // "ab 14 Uhr", "zwischen 2 und 4"
	zone     *time.Location
	instant  time.Time
	lone     []int // tokens of numbers that nothing explains
	unknown  int
	negs     int
	approx   bool
	first    bool // "so früh wie möglich"
	lastOne  bool
	vague    bool // "Anfang Dezember"
	mood     mood
	nothing  bool
	between  bool // two clocks make a range
}

// frame is what dates are read in.
type frame struct {
	now      time.Time // in zone
	today    time.Time // midnight UTC of that civil day
	zone     *time.Location
	language string
	country  string
	lo, hi   time.Time // allowed days; zero = none
	past     bool      // the ask is about the past
	business bool
	aeons    bool // the days asked for go back for decades: a birthday needs its year
	english  bool
	slots    bool
}

func civil(t time.Time) time.Time { y, m, d := t.Date(); return day(y, m, d) }

// parseBound reads "2026-11-26", "today", "today+3d", "today-10y".
func parseBound(s string, today time.Time) (time.Time, error) {
	bad := fmt.Errorf("%q is no day; write 2026-11-26, today, today+3d, today+2w, today+6m or today-10y", s)
	rest, rel := strings.CutPrefix(s, "today")
	if !rel {
		t, err := time.Parse("2006-01-02", s)
		if err != nil {
			return time.Time{}, bad
		}
		return t, nil
	}
	if rest == "" {
		return today, nil
	}
	if len(rest) < 3 || rest[0] != '+' && rest[0] != '-' || rest[1] < '0' || rest[1] > '9' {
		return time.Time{}, bad
	}
	n, err := strconv.Atoi(rest[1 : len(rest)-1])
	if err != nil || n > 40000 {
		return time.Time{}, bad
	}
	if rest[0] == '-' {
		n = -n
	}
	switch rest[len(rest)-1] {
	case 'd':
		return today.AddDate(0, 0, n), nil
	case 'w':
		return today.AddDate(0, 0, 7*n), nil
	case 'm':
		return addMonths(today, n), nil
	case 'y':
		if n > 500 || n < -500 {
			return time.Time{}, bad
		}
		return addMonths(today, 12*n), nil
	}
	return time.Time{}, bad
}

// addMonths stays inside the month: one month after 31 January is 28 February.
func addMonths(d time.Time, n int) time.Time {
	first := day(d.Year(), d.Month()+time.Month(n), 1)
	last := first.AddDate(0, 1, -1)
	return day(first.Year(), first.Month(), min(d.Day(), last.Day()))
}

// frameOf prepares the reading of dates for an ask.
func (a *Ask) frameOf(c *Context) frame {
	f := frame{zone: a.zone(c), language: c.Language, country: c.Country}
	f.now = c.Now.In(f.zone)
	f.today = civil(f.now)
	f.english = strings.HasPrefix(c.Language, "en")
	f.slots = a.Kind == Slot
	if a.Kind == Slot {
		f.business = true
		return f
	}
	if a.Until != "" {
		if t, err := parseBound(a.Until, f.today); err == nil {
			f.hi = t
		}
	}
	f.past = !f.hi.IsZero() && !f.hi.After(f.today)
	switch {
	case a.From != "":
		if t, err := parseBound(a.From, f.today); err == nil {
			f.lo = t
			f.aeons = f.past && t.Before(f.today.AddDate(-30, 0, 0))
		} else {
			f.lo = f.today
		}
	case f.past:
		f.lo = f.today.AddDate(-150, 0, 0)
	default:
		f.lo = f.today
	}
	f.business = !f.lo.Before(f.today)
	return f
}

// zone is the one in which days and times of the ask are meant.
func (a *Ask) zone(c *Context) *time.Location {
	if l := location(a.Zone); l != nil {
		return l
	}
	if c.Zone != nil {
		return c.Zone
	}
	return defaultZone()
}

var dateFillers = set(`um|den|der|die|das|dem|am|an|on|at|the|of|vom|im|in|gegen|ab|bis|vor|nach|by|from|after|before|bin|geboren|born|geburtstag|birthday|geburtsdatum|spätestens|punkt|clock|uhr|oclock|gegen|vormittag|datum|genau|passierte|passiert|war|ist|happened|es|it|was|dann|about|approx|h|n chr|treffen|abholen|vorbeikommen|komme|kommen|vorbei|bringe|hole|hol|ab|termin|in der|da|zeit|lieber|früher|einen|wünsche|wunschtermin|würde|mir|mich|uns|ich|wir|sie|ihnen|bei|zu|zum|abgeholt|gerne|würde ich|s|st|nd|rd|th|z|wäre|sein|besuch|auto|einem|einer|eine|next available`)

var firstWords = set(`so früh wie möglich|so bald wie möglich|möglichst früh|möglichst bald|baldmöglichst|schnellstmöglich|so schnell wie möglich|möglichst schnell|den frühesten|der früheste|frühesten|frühester|frühestmöglich|den nächstmöglichen|nächstmöglichen|nächstmöglicher|frühestmöglichen|den frühestmöglichen|asap|as soon as possible|as early as possible|the earliest|earliest|first available|next available|soonest|the soonest|am frühesten`)
var lastWords = set(`so spät wie möglich|möglichst spät|den spätesten|der späteste|spätesten|spätester|am spätesten|as late as possible|the latest|latest`)

var relUnits = map[string]string{}

func init() {
	for u, list := range map[string]string{
		"d": "tag|tage|tagen|tags|day|days", "w": "woche|wochen|week|weeks|wuche|wuchene", "m": "monat|monate|monaten|month|months|monet", "y": "jahr|jahre|jahren|year|years",
		"h": "stunde|stunden|std|h|hour|hours|hr|hrs|stund", "min": "minute|minuten|min|minutes|mins",
	} {
		for _, w := range strings.Split(list, "|") {
			relUnits[fold(w)] = u
		}
	}
}

// relCount reads "drei", "3", "einer", "a", "einer halben" before a unit of time.
func relCount(toks []token, i int) (n, taken int, half bool) {
	if i >= len(toks) {
		return 0, 0, false
	}
	switch toks[i].s {
	case "einer", "einem", "einen", "eine", "ein", "a", "an", "ara", "ere", "one", "am":
		if i+1 < len(toks) && (toks[i+1].s == "halben" || toks[i+1].s == "halbe" || toks[i+1].s == "halb") {
			return 0, 2, true
		}
		if i+2 < len(toks) && toks[i+1].s == "couple" && toks[i+2].s == "of" {
			return 0, 0, false
		}
		return 1, 1, false
	case "half":
		if i+1 < len(toks) && (toks[i+1].s == "an" || toks[i+1].s == "a") {
			return 0, 2, true
		}
	}
	if toks[i].kind == digitToken {
		v, err := strconv.Atoi(toks[i].s)
		if err != nil || v > 5000 {
			return 0, 0, false
		}
		return v, 1, false
	}
	if toks[i].kind == wordToken {
		k, d, ok := wordsNumber(toks, i)
		if ok && d.scale == 0 && d.m > 0 && d.m < 5000 {
			return int(d.m), k - i, false
		}
	}
	return 0, 0, false
}

func (f *frame) add(n int, u string) time.Time {
	switch u {
	case "w":
		return f.today.AddDate(0, 0, 7*n)
	case "m":
		return addMonths(f.today, n)
	case "y":
		return addMonths(f.today, 12*n)
	}
	return f.today.AddDate(0, 0, n)
}

// offset reads "in drei Tagen", "in 2 weeks" at token i.
func offset(toks []token, i int) (n int, u string, taken int, half bool) {
	j := i
	if tokAt(toks, j).s == "in" || tokAt(toks, j).s == "within" {
		j++
	} else {
		return 0, "", 0, false
	}
	if s := tokAt(toks, j).s; s == "about" || s == "etwa" || s == "ca" || s == "circa" || s == "genau" || s == "exactly" {
		j++
	}
	n, k, half := relCount(toks, j)
	if k == 0 {
		return 0, "", 0, false
	}
	j += k
	u = relUnits[tokAt(toks, j).s]
	if u == "" || tokAt(toks, j).kind != wordToken || u == "y" && n > 150 {
		return 0, "", 0, false
	}
	j++
	// "in acht Tagen" is a week, "in vierzehn Tagen" two: the same in either way of counting but for the first.
	if u == "d" && n == 8 && toks[j-2].kind == wordToken {
		n = 7
	}
	if s := tokAt(toks, j).s; s == "time" {
		j++
	}
	return n, u, j - i, half
}

// fullYear reads a year; short is true for two digits.
func yearToken(toks []token, i int) (y int, ok, short bool, taken int) {
	t := tokAt(toks, i)
	if t.s == "'" && tokAt(toks, i+1).kind == digitToken && len(toks[i+1].s) == 2 {
		y, _ = strconv.Atoi(toks[i+1].s)
		return y, true, true, 2
	}
	if t.kind != digitToken {
		return 0, false, false, 0
	}
	if s := tokAt(toks, i+1); s.s == ":" && !s.gap || s.s == "uhr" || s.s == "h" && !s.gap {
		return 0, false, false, 0
	}
	y, err := strconv.Atoi(t.s)
	if err != nil {
		return 0, false, false, 0
	}
	switch len(t.s) {
	case 4:
		if y < 1800 || y > 2400 {
			return 0, false, false, 0
		}
		return y, true, false, 1
	case 2:
		return y, true, true, 1
	}
	return 0, false, false, 0
}

func valid(y int, m time.Month, d int) bool {
	return m >= 1 && m <= 12 && d >= 1 && d <= 31 && day(y, m, d).Day() == d
}

// dated makes the mention of a day and month with a year that may be short or missing.
func (f *frame) dated(d int, m time.Month, y int, hasYear, short bool) ([]time.Time, bool) {
	if m < 1 || m > 12 || d < 1 || d > 31 {
		return nil, false
	}
	switch {
	case hasYear && !short:
		if !valid(y, m, d) {
			return nil, false
		}
		return []time.Time{day(y, m, d)}, true
	case hasYear:
		var out []time.Time
		century := f.today.Year() / 100 * 100
		for _, c := range []int{century, century - 100, century + 100} {
			if valid(c+y, m, d) {
				out = append(out, day(c+y, m, d))
			}
		}
		return f.nearest(out), len(out) > 0
	}
	var out []time.Time
	for _, dy := range []int{0, 1, -1, 2, 3, 4, -2, -3, -4} {
		if valid(f.today.Year()+dy, m, d) {
			out = append(out, day(f.today.Year()+dy, m, d))
		}
		if len(out) == 3 {
			break
		}
	}
	return f.nearest(out), len(out) > 0
}

// nearest puts days that are allowed first, then by their distance from today; an ask about the future prefers the
// future, one about the past the past.
func (f *frame) nearest(days []time.Time) []time.Time {
	score := func(d time.Time) int64 {
		s := int64(d.Sub(f.today) / (24 * time.Hour))
		ahead := s >= 0
		if s < 0 {
			s = -s
		}
		if !f.allows(d) {
			s += 1e7
		}
		if f.past == ahead && s != 0 {
			s += 100000
		}
		return s
	}
	slices.SortStableFunc(days, func(a, b time.Time) int {
		x, y := score(a), score(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return days
}

func (f *frame) allows(d time.Time) bool {
	return f.dayOutside(d) == ""
}

// weekOf is Monday to Sunday around a day.
func weekOf(d time.Time) span {
	mon := d.AddDate(0, 0, -(int(d.Weekday())+6)%7)
	return span{mon, mon.AddDate(0, 0, 6)}
}

func monthOf(d time.Time) span {
	first := day(d.Year(), d.Month(), 1)
	return span{first, first.AddDate(0, 1, -1)}
}

type tense int8

const (
	nextOne tense = iota + 1
	thisOne
	lastOne
	afterNext
)

var tenses = func() *phrases[tense] {
	p := &phrases[tense]{}
	p.add(nextOne, "nächsten|nächster|nächste|nächstes|nächschte|nächscht|next|nexten|nägsten|nächst|folgenden|folgende|following")
	p.add(thisOne, "kommenden|kommender|kommende|kommendes|diesen|dieser|diese|dieses|diesem|this|coming|this coming|chomende|am kommenden|die|jetzigen|laufenden|dise|upcoming")
	p.add(lastOne, "letzten|letzter|letzte|letztes|vergangenen|vergangene|vergangener|vorigen|vorige|voriger|last|past|previous|letschte|letscht")
	p.add(afterNext, "übernächsten|übernächste|übernächster|übernächstes|the week after next|after next")
	delete(p.m, "die")
	return p
}()

// read finds all expressions of day and time.
func (f *frame) read(toks []token) *when {
	w := &when{mood: moodOf(toks)}
	sc := scopes(toks)
	for _, n := range sc.neg {
		w.negs += n
	}
	addDay := func(i, j int, m dayMention) {
		m.i, m.j, m.neg = i, j, sc.negated(i)
		// "ab Montag", "nach Weihnachten", "Montag bis Mittwoch": not that day, but those from or up to it.
		k := i - 1
		for k >= 0 && (toks[k].s == "dem" || toks[k].s == "den" || toks[k].s == "zum" || toks[k].s == "the" || toks[k].s == "am" || toks[k].s == "on" || tenses.has(toks[k].s)) {
			k--
		}
		if k >= 0 {
			if days := f.daysOf(m); k > 0 && (toks[k].s == "vom" || toks[k].s == "of" || toks[k].s == "ab") && (toks[k-1].s == "woche" || toks[k-1].s == "week") && len(days) > 0 {
				w.spans, w.vague = append(w.spans, weekOf(days[0])), true
				return
			}
			if s, ok := f.limited(toks[k].s, m, w); ok {
				w.spans, w.vague = append(w.spans, s), true
				return
			}
		}
		w.days = append(w.days, m)
	}
	for i := 0; i < len(toks); {
		t := toks[i]
		if n := f.dayAt(toks, i, w, addDay); n > 0 {
			i += n
			continue
		}
		if _, n := firstWords.at(toks, i); n > 0 {
			w.first = true
			i += n
			continue
		}
		if _, n := lastWords.at(toks, i); n > 0 {
			w.lastOne = true
			i += n
			continue
		}
		if n, u, k, half := offset(toks, i); k > 0 && (u == "h" || u == "min" || half) {
			dur := time.Duration(n) * time.Hour
			if u == "min" {
				dur = time.Duration(n) * time.Minute
			} else if half {
				dur = 30 * time.Minute
			}
			w.instant = f.now.Add(dur).Truncate(time.Minute)
			i += k
			continue
		}
		if k, n := clockAt(toks, i, f.english); n > 0 {
			j := i + n
			if z, m := zoneNames.at(toks, j); m > 0 {
				w.zone = namedZone(strings.TrimRight(z, "bcp2"))
				if (toks[j].s == "utc" || toks[j].s == "gmt") && j+2 < len(toks) && (toks[j+1].s == "+" || toks[j+1].s == "-") && toks[j+2].kind == digitToken {
					h, _ := strconv.Atoi(toks[j+2].s)
					if toks[j+1].s == "-" {
						h = -h
					}
					if h >= -12 && h <= 14 {
						w.zone = time.FixedZone("", h*3600)
						m += 2
					}
				}
				j += m
			}
			if sc.negated(i) {
				w.negClock++
				i = j
				continue
			}
			prev := ""
			if i > 0 {
				prev = toks[i-1].s
			}
			two := len(w.clocks) == 1 && (prev == "bis" || prev == "-" || prev == "to" || prev == "und" || prev == "and" || prev == "till" || prev == "until")
			switch {
			case two && (w.between || prev == "bis" || prev == "-" || prev == "to" || prev == "till" || prev == "until"):
				w.between = true
				w.clocks = append(w.clocks, k)
			default:
				w.clocks = append(w.clocks, k)
				if (prev == "ab" || prev == "nach" || prev == "after" || prev == "from" || prev == "fruhestens") && w.limit == nil {
					w.limit = &window{1, 0} // from this clock on
				} else if (prev == "bis" || prev == "vor" || prev == "before" || prev == "by" || prev == "until" || prev == "till" || prev == "spatestens") && w.limit == nil {
					w.limit = &window{0, 1}
				} else if prev == "zwischen" || prev == "between" {
					w.between = true
				} else if prev == "gegen" || prev == "around" || prev == "about" || prev == "ca" || prev == "circa" || prev == "etwa" || prev == "ungefahr" {
					w.approx = true
				}
			}
			i = j
			continue
		}
		if p, n := dayParts.at(toks, i); n > 0 {
			w.setPart(p)
			i += n
			continue
		}
		if t.kind == digitToken {
			// "zwischen 2 und 4", "14-16 Uhr": the first number is an hour if the second is.
			j := i + 1
			if s := tokAt(toks, j).s; (s == "-" || s == "bis" || s == "und" || s == "and" || s == "to") && len(t.s) <= 2 {
				if k, n := clockAt(toks, j+1, f.english); n > 0 || (w.between || i > 0 && (toks[i-1].s == "zwischen" || toks[i-1].s == "between")) && tokAt(toks, j+1).kind == digitToken {
					h, ok := hourWord(t)
					if ok {
						first := clock{h: h, at: i}
						if n > 0 && k.fixed && k.h >= 13 && h <= 12 && h+12 < k.h && s != "-" {
							first.h = h
						}
						w.clocks = append(w.clocks, first)
						w.between = true
						i = j
						continue
					}
				}
			}
			w.lone = append(w.lone, i)
			i++
			continue
		}
		if t.kind == signToken {
			i++
			continue
		}
		if _, n := dateFillers.at(toks, i); n > 0 {
			i += n
			continue
		}
		if _, n := bygone.at(toks, i); n > 0 && f.business {
			w.mood.hedged = true
			i += n
			continue
		}
		longest := 0
		for _, p := range [...]*phrases[bool]{fillers, negators, hedges, clauseEnds, ors, approx, questions} {
			if _, n := p.at(toks, i); n > longest {
				longest = n
			}
		}
		if longest == 0 {
			w.unknown++
			longest = 1
		}
		i += longest
	}
	w.nothing = len(w.days) == 0 && len(w.spans) == 0 && len(w.clocks) == 0 && w.part == nil && w.instant.IsZero() && !w.first && !w.lastOne
	return w
}

// limited makes the days of "ab", "bis", "vor" and "nach" a day.
func (f *frame) limited(word string, m dayMention, w *when) (span, bool) {
	days := f.daysOf(m)
	if len(days) == 0 || m.neg {
		return span{}, false
	}
	d := days[0]
	const far = 400
	switch word {
	case "ab", "from", "fruhestens", "seit", "since", "starting":
		return span{d, d.AddDate(0, 0, far)}, true
	case "nach", "after":
		return span{d.AddDate(0, 0, 1), d.AddDate(0, 0, far)}, true
	case "vor", "before":
		return span{f.today, d.AddDate(0, 0, -1)}, true
	case "bis", "until", "till", "by", "spatestens", "-", "to", "through":
		if n := len(w.days); n > 0 && !w.days[n-1].neg && (word == "bis" || word == "-" || word == "to" || word == "through" || word == "until" || word == "till") && w.days[n-1].j >= m.i-3 {
			from := f.daysOf(w.days[n-1])
			if len(from) > 0 && from[0].After(d) && m.weekday >= 0 {
				d = d.AddDate(0, 0, 7) // "Montag bis Mittwoch", said on a Tuesday
			}
			if len(from) > 0 && !from[0].After(d) {
				w.days = w.days[:n-1]
				return span{from[0], d}, true
			}
		}
		if word == "-" || word == "to" {
			return span{}, false
		}
		return span{f.today, d}, true
	}
	return span{}, false
}

func (w *when) setPart(p window) {
	if w.part != nil {
		lo, hi := max(w.part.lo, p.lo), min(w.part.hi, p.hi)
		if lo < hi {
			p = window{lo, hi}
		}
	}
	w.part = &p
}

// dayAt reads one expression of a day at token i, adds it and gives how many tokens it took.
func (f *frame) dayAt(toks []token, i int, w *when, add func(i, j int, m dayMention)) int {
	t := toks[i]
	get := func(j int) token { return tokAt(toks, j) }
	num := func(j int) (int, bool) {
		if x := get(j); x.kind == digitToken && len(x.s) <= 2 {
			n, _ := strconv.Atoi(x.s)
			return n, true
		}
		return 0, false
	}
	plain := func(days ...time.Time) dayMention { return dayMention{days: days, weekday: -1} }
	if t.kind == digitToken {
		// 2026-11-26, 2026/11/26
		if len(t.s) == 4 && (get(i+1).s == "-" || get(i+1).s == "/" || get(i+1).s == ".") && get(i+1).s == get(i+3).s && !get(i+1).gap {
			y, _ := strconv.Atoi(t.s)
			m, ok1 := num(i + 2)
			d, ok2 := num(i + 4)
			if ok1 && ok2 && valid(y, time.Month(m), d) {
				add(i, i+5, plain(day(y, time.Month(m), d)))
				n := 5
				if get(i+5).s == "t" && !get(i+5).gap {
					n++
				}
				return n
			}
		}
		d, ok := num(i)
		if !ok {
			return 0
		}
		sep := get(i + 1).s
		// 3.12., 03.12.26, 3. 12. 2026
		if m, ok := num(i + 2); ok && sep == "." && !get(i+1).gap && d >= 1 && d <= 31 && m >= 1 && m <= 12 {
			third := get(i+3).s == "." && !get(i+3).gap
			isClock := !third && (get(i+3).s == "uhr" || get(i+3).s == "h" || i > 0 && clockPrefix(toks[i-1].s) && toks[i-1].s != "ab" && toks[i-1].s != "bis" && toks[i-1].s != "vor" && toks[i-1].s != "nach")
			if (!get(i+2).gap || third) && !isClock {
				j := i + 3
				var y int
				var has, short bool
				if third {
					j++
					if yy, ok, s, n := yearToken(toks, j); ok && (!get(j).gap || !s || get(j+1).kind == signToken && get(j+1).s != ":" && get(j+1).s != ".") {
						y, has, short = yy, true, s
						j += n
					}
				}
				if days, ok := f.dated(d, time.Month(m), y, has, short); ok {
					mm := dayMention{days: days, weekday: -1, yearless: !has}
					if has && short {
						mm.days = days[:min(2, len(days))]
						mm.yearless = true
					}
					add(i, j, mm)
					return j - i
				}
				add(i, j, dayMention{weekday: -1})
				return j - i
			}
		}
		// "3 12 2026"
		if m, ok := num(i + 1); ok && len(get(i+2).s) == 4 && get(i+2).kind == digitToken && get(i+1).gap {
			if y, ok, short, _ := yearToken(toks, i+2); ok && !short && valid(y, time.Month(m), d) && (!f.english || m > 12 || d > 12 || m == d || f.language == "en-GB") {
				add(i, i+3, plain(day(y, time.Month(m), d)))
				return 3
			}
		}
		// 12/3/2026, 26-11-2026
		if m, ok := num(i + 2); ok && (sep == "/" || sep == "-") && !get(i+1).gap && !get(i+2).gap && d >= 1 && m >= 1 {
			j := i + 3
			var y int
			var has, short bool
			if get(j).s == sep && !get(j).gap {
				if yy, ok, s, n := yearToken(toks, j+1); ok {
					y, has, short = yy, true, s
					j += 1 + n
				}
			}
			if has || sep == "/" {
				var out []time.Time
				both := 0
				first := []int{d, m} // day first
				orders := [][]int{first}
				if f.english {
					switch f.language {
					case "en-US":
						orders = [][]int{{m, d}}
						if m > 31 || d > 12 {
							orders = [][]int{{d, m}}
						}
					case "en":
						orders = [][]int{{m, d}, {d, m}}
					}
				}
				for _, o := range orders {
					if days, ok := f.dated(o[0], time.Month(o[1]), y, has, short); ok {
						out = append(out, days[0])
						both++
					}
				}
				if len(out) == 2 && out[0].Equal(out[1]) {
					out = out[:1]
				}
				if len(out) > 0 || has {
					add(i, j, dayMention{days: out, weekday: -1, slashed: len(out) > 1, yearless: !has && len(out) == 1})
					return j - i
				}
			}
		}
		// 3. Dezember, 3rd of December, 3 Dec
		j := i + 1
		ordinal := false
		switch {
		case get(j).s == "." && !get(j).gap:
			j, ordinal = j+1, true
		case !get(j).gap && (get(j).s == "st" || get(j).s == "nd" || get(j).s == "rd" || get(j).s == "th" || get(j).s == "ten" || get(j).s == "ter" || get(j).s == "te"):
			j, ordinal = j+1, true
		}
		k := j
		if get(k).s == "of" || get(k).s == "-" {
			k++
		}
		if m, n := months.at(toks, k); n > 0 && d >= 1 && d <= 31 {
			k += n
			if get(k).s == "." && !get(k).gap && len(toks[k-1].s) <= 4 {
				k++
			}
			if get(k).s == "," || get(k).s == "-" {
				if _, ok, s, _ := yearToken(toks, k+1); ok && !s {
					k++
				}
			}
			y, has, short, n := yearToken(toks, k)
			if has && short && get(k+1).s == "." {
				has, n = false, 0
			}
			k += n
			if days, ok := f.dated(d, m, y, has, short); ok {
				if has && !short || has && short {
					days = days[:1]
				}
				add(i, k, dayMention{days: days, weekday: -1, yearless: !has})
				return k - i
			}
			add(i, k, dayMention{weekday: -1})
			return k - i
		}
		// "am 3.", "the 3rd", "der 3te"
		prev := ""
		if i > 0 {
			prev = toks[i-1].s
		}
		if ordinal && d >= 1 && d <= 31 && !(get(j).kind == digitToken && !get(j).gap) && (prev == "am" || prev == "den" || prev == "der" || prev == "dem" || prev == "the" || prev == "on" || prev == "zum" || prev == "," || i == 0 || weekdays.has(prev) || toks[j-1].s != ".") {
			if get(j).kind == wordToken && (get(j).s == "advent" || get(j).s == "weihnachtstag" || get(j).s == "weihnachtsfeiertag") {
				if h, n := holidayAt(toks, i); n > 0 {
					return f.addHoliday(toks, i, n, h, add)
				}
			}
			add(i, j, f.monthDay(d))
			return j - i
		}
		if h, n := holidayAt(toks, i); n > 0 {
			return f.addHoliday(toks, i, n, h, add)
		}
		return 0
	}
	if t.kind != wordToken {
		return 0
	}
	// Named days first: "erster Advent" is no first of a month.
	if h, n := holidays.at(toks, i); n > 0 {
		return f.addHoliday(toks, i, n, h, add)
	}
	// Ordinal words: "dritter Dezember", "am dritten", "third of December".
	if d, n := ordinalDays.at(toks, i); n > 0 {
		k := i + n
		if get(k).s == "of" {
			k++
		}
		if m, n := months.at(toks, k); n > 0 {
			k += n
			y, has, short, n := yearToken(toks, k)
			k += n
			if days, ok := f.dated(d, m, y, has, short); ok {
				if has {
					days = days[:1]
				}
				add(i, k, dayMention{days: days, weekday: -1, yearless: !has})
				return k - i
			}
		}
		// "dritter zwölfter", "am dritten zwölften"
		if m, n := ordinalDays.at(toks, k); n > 0 && m <= 12 && k == i+n {
			k += n
			if days, ok := f.dated(d, time.Month(m), 0, false, false); ok {
				add(i, k, dayMention{days: days, weekday: -1, yearless: true})
				return k - i
			}
		}
		if i > 0 && (toks[i-1].s == "am" || toks[i-1].s == "den" || toks[i-1].s == "zum") && !f.slots {
			add(i, i+n, f.monthDay(d))
			return n
		}
	}
	// December 3rd, 2026
	if m, n := months.at(toks, i); n > 0 && !(t.s == "mar" || t.s == "may" && !t.capital) {
		k := i + n
		if get(k).s == "." && !get(k).gap {
			k++
		}
		if get(k).s == "the" {
			k++
		}
		d, ok := num(k)
		taken := 1
		if !ok {
			if od, n := ordinalDays.at(toks, k); n > 0 {
				d, ok, taken = od, true, n
			}
		}
		if s := get(k + 1); ok && d >= 1 && d <= 31 && s.s != ":" && s.s != "uhr" && !(s.s == "pm" || s.s == "am" && f.english) {
			k += taken
			if s := get(k); !s.gap && (s.s == "st" || s.s == "nd" || s.s == "rd" || s.s == "th") {
				k++
			}
			if get(k).s == "," {
				if _, ok, s, _ := yearToken(toks, k+1); ok && !s {
					k++
				}
			}
			y, has, short, n := yearToken(toks, k)
			if short && !(get(k).s == "'") {
				has, n = false, 0
			}
			k += n
			if days, ok := f.dated(d, m, y, has, short); ok {
				if has {
					days = days[:1]
				}
				add(i, k, dayMention{days: days, weekday: -1, yearless: !has})
				return k - i
			}
			add(i, k, dayMention{weekday: -1})
			return k - i
		}
		y := f.today.Year()
		if yy, ok, short, n := yearToken(toks, k); ok && !short {
			y = yy
			k += n
		} else if day(y, m+1, 0).Before(f.today) && !f.past {
			y++
		}
		w.spans = append(w.spans, monthOf(day(y, m, 1)))
		w.vague = true
		return k - i
	}
	// "Ende des Monats", "end of the week", "Monatsende"
	if n := f.endAt(toks, i, w, add); n > 0 {
		return n
	}
	// "in drei Tagen", "vor drei Tagen", "3 days ago"
	if n, u, k, half := offset(toks, i); k > 0 && u != "h" && u != "min" && !half {
		add(i, i+k, plain(f.add(n, u)))
		return k
	}
	if t.s == "vor" {
		if n, k, half := relCount(toks, i+1); k > 0 && !half {
			if u := relUnits[get(i+1+k).s]; !(u == "y" && n > 150) && u != "" && u != "h" && u != "min" {
				add(i, i+2+k, plain(f.add(-n, u)))
				return 2 + k
			}
		}
	}
	if n, k, half := relCount(toks, i); k > 0 && !half {
		if u := relUnits[get(i+k).s]; u != "" && u != "h" && u != "min" {
			switch get(i + k + 1).s {
			case "ago", "her":
				add(i, i+k+2, plain(f.add(-n, u)))
				return k + 2
			case "from":
				if get(i+k+2).s == "now" || get(i+k+2).s == "today" {
					add(i, i+k+3, plain(f.add(n, u)))
					return k + 3
				}
				if get(i+k+2).s == "tomorrow" {
					add(i, i+k+3, plain(f.add(n, u).AddDate(0, 0, 1)))
					return k + 3
				}
			}
			// "a week on Tuesday", "a week from Tuesday"
			if u == "w" {
				j := i + k + 1
				if get(j).s == "on" || get(j).s == "from" {
					j++
					if wd, n := weekdays.at(toks, j); n > 0 {
						add(i, j+n, dayMention{weekday: int(wd), shift: 7 * max(1, atLeastOne(get(i)))})
						return j + n - i
					}
				}
			}
		}
	}
	// today, tomorrow
	if off, n := dayWords.at(toks, i); n > 0 {
		if t.s == "morgen" && n == 1 && i > 0 && morningBefore(toks[i-1], w) {
			w.setPart(window{6 * 60, 12 * 60})
			return n
		}
		if t.s == "morgen" && i > 0 && (toks[i-1].s == "guten" || toks[i-1].s == "gute" || toks[i-1].s == "jeden") {
			return n
		}
		switch joined(toks[i : i+n]) {
		case "tonight", "this evening":
			w.setPart(window{17 * 60, 24 * 60})
		case "this morning":
			w.setPart(window{6 * 60, 12 * 60})
		case "this afternoon":
			w.setPart(window{12 * 60, 18 * 60})
		}
		m := plain(f.today.AddDate(0, 0, off))
		j := i + n
		k := j
		if get(k).s == "," {
			k++
		}
		if cnt, u, taken, half := offset(toks, k); taken > 0 && !half && u != "h" && u != "min" {
			// "heute in einer Woche"
			if u == "w" {
				cnt, u = cnt*7, "d"
			}
			if u == "d" {
				m.days[0] = m.days[0].AddDate(0, 0, cnt)
			} else if u == "m" {
				m.days[0] = addMonths(m.days[0], cnt)
			} else {
				m.days[0] = addMonths(m.days[0], 12*cnt)
			}
			j = k + taken
		} else if get(j).s == "week" {
			m.days[0] = m.days[0].AddDate(0, 0, 7)
			j++
		}
		add(i, j, m)
		return j - i
	}
	// "nächste Woche", "next Tuesday", "kommenden Freitag"
	tn, n := tenses.at(toks, i)
	j := i + n
	if n > 0 {
		switch s := get(j).s; s {
		case "woche", "week", "wuche", "wochn":
			base := weekOf(f.today)
			off := map[tense]int{nextOne: 7, thisOne: 0, lastOne: -7, afterNext: 14}[tn]
			if tn == thisOne && strings.HasPrefix(t.s, "komm") || t.s == "coming" || t.s == "upcoming" {
				off = 7
			}
			if s == "week" && get(j+1).s == "end" {
				break
			}
			w.spans = append(w.spans, span{base.from.AddDate(0, 0, off), base.to.AddDate(0, 0, off)})
			return j + 1 - i
		case "monat", "month", "monet":
			off := map[tense]int{nextOne: 1, thisOne: 0, lastOne: -1, afterNext: 2}[tn]
			if tn == thisOne && strings.HasPrefix(t.s, "komm") {
				off = 1
			}
			w.spans = append(w.spans, monthOf(addMonths(monthOf(f.today).from, off)))
			w.vague = true
			return j + 1 - i
		case "wochenende", "weekend":
			sat := weekOf(f.today).from.AddDate(0, 0, 5)
			if tn == nextOne || tn == afterNext {
				sat = sat.AddDate(0, 0, 7)
				w.vague = true
			}
			if tn == lastOne {
				sat = sat.AddDate(0, 0, -7)
			}
			w.spans = append(w.spans, span{sat, sat.AddDate(0, 0, 1)})
			return j + 1 - i
		}
		if wd, k := f.weekdayAt(toks, j); k > 0 {
			m := dayMention{weekday: int(wd), next: tn == nextOne, this: tn == thisOne, last: tn == lastOne}
			if tn == afterNext {
				m.this, m.shift = true, 7
			}
			return f.finishWeekday(toks, i, j+k, m, w, add)
		}
		if tn != thisOne || t.s == "kommenden" {
			if _, k := months.at(toks, j); k > 0 {
				return n // "letzten März": the month follows
			}
		}
		if h, k := holidays.at(toks, j); k > 0 {
			return n + f.addHoliday(toks, j, k, h, add)
		}
	}
	if t.s == "wochenende" || t.s == "weekend" || t.s == "weekends" {
		sat := weekOf(f.today).from.AddDate(0, 0, 5)
		w.spans = append(w.spans, span{sat, sat.AddDate(0, 0, 1)})
		return 1
	}
	if t.s == "kw" || t.s == "kalenderwoche" {
		if k, ok := num(i + 1); ok && k >= 1 && k <= 53 {
			for y := f.today.Year(); y <= f.today.Year()+1; y++ {
				mon := weekOf(day(y, time.January, 4)).from.AddDate(0, 0, 7*(k-1))
				if !mon.AddDate(0, 0, 6).Before(f.today) {
					w.spans = append(w.spans, span{mon, mon.AddDate(0, 0, 6)})
					break
				}
			}
			return 2
		}
	}
	if wd, k := f.weekdayAt(toks, i); k > 0 {
		return f.finishWeekday(toks, i, i+k, dayMention{weekday: int(wd)}, w, add)
	}
	return 0
}

func atLeastOne(t token) int {
	if n := smallNumber(t); n > 1 {
		return n
	}
	return 1
}

// morningBefore: "heute Morgen", "Dienstag morgen", "am Morgen".
func morningBefore(prev token, w *when) bool {
	switch prev.s {
	case "am", "heute", "gestern", "ubermorgen", "hut", "heut", "vorgestern", "morgen", "fruhen":
		return true
	}
	if weekdays.has(prev.s) || prev.kind == digitToken || prev.s == "." && len(w.days) > 0 {
		return true
	}
	return false
}

// weekdayAt reads the name of a weekday. Abbreviations that are words too need a full stop, a date or a time beside them.
func (f *frame) weekdayAt(toks []token, i int) (time.Weekday, int) {
	if i >= len(toks) || toks[i].kind != wordToken {
		return 0, 0
	}
	if wd, n := weekdays.at(toks, i); n > 0 {
		return wd, n
	}
	t := toks[i]
	if wd, ok := shortWeekdays[t.s]; ok {
		n := 1
		if i+1 < len(toks) && toks[i+1].s == "." && !toks[i+1].gap {
			n = 2
		}
		if len(t.s) >= 3 && t.s != "sat" && t.s != "sun" && t.s != "mon" {
			return wd, n
		}
		if f.english && len(t.s) == 2 {
			return 0, 0
		}
		next := tokAt(toks, i+n)
		_, part := dayParts.at(toks, i+n)
		_, words := tenses.at(toks, max(i-1, 0))
		switch {
		case len(toks) == n, next.kind == digitToken, next.s == "," && tokAt(toks, i+n+1).kind == digitToken, next.s == "um", next.s == "at", next.s == "den", next.s == "der", next.s == "halb", next.s == "in", part > 0 && t.s != "so",
			len(toks) > i+n && (next.s == "oder" || next.s == "or" || next.s == "und" || next.s == "-"), n == 2, i > 0 && (toks[i-1].s == "am" || toks[i-1].s == "on" || words > 0 || toks[i-1].s == "oder" || toks[i-1].s == "or"),
			len(t.s) == 3 && f.english:
			if t.s == "so" && len(toks) > 3 && next.kind != digitToken && n == 1 && next.s != "um" {
				return 0, 0
			}
			return wd, n
		}
		return 0, 0
	}
	// "Dienstg", "Donerstag", "Mittwich": one slip
	if len(t.s) >= 6 {
		if _, ok := fillers.m[t.s]; !ok {
			for name, wd := range weekdays.m {
				if len(name) >= 6 && name[0] == t.s[0] && oneSlip(t.s, name) {
					return wd, 1
				}
			}
		}
	}
	// "Dienstagvormittag", "Freitagnachmittag" as one word are taken apart by tokens below.
	return 0, 0
}

// finishWeekday reads what follows a weekday: "in einer Woche", "nächster Woche", "week".
func (f *frame) finishWeekday(toks []token, i, j int, m dayMention, w *when, add func(i, j int, m dayMention)) int {
	k := j
	if tokAt(toks, k).s == "," {
		k++
	}
	switch {
	case tokAt(toks, j).s == "after" && tokAt(toks, j+1).s == "next":
		m.shift, m.this = 7, true
		j += 2
	case tokAt(toks, j).s == "week":
		m.shift, m.this = 7, true
		j++
	default:
		if n, u, taken, half := offset(toks, k); taken > 0 && !half && (u == "w" || u == "d" && n%7 == 0) {
			if u == "w" {
				n *= 7
			}
			m.shift, m.this = n, true
			j = k + taken
		}
	}
	add(i, j, m)
	return j - i
}

// monthDay is "am 3.": the next such day, or the last one if the ask is about the past.
func (f *frame) monthDay(d int) dayMention {
	m := dayMention{weekday: -1, monthless: true}
	step, start := 1, 0
	if f.past {
		step = -1
	}
	for k := 0; k < 14; k++ {
		first := day(f.today.Year(), f.today.Month()+time.Month(start), 1)
		if valid(first.Year(), first.Month(), d) {
			x := day(first.Year(), first.Month(), d)
			if step > 0 && !x.Before(f.today) || step < 0 && !x.After(f.today) {
				m.days = append(m.days, x)
				break
			}
		}
		start += step
	}
	return m
}

func holidayAt(toks []token, i int) (holiday, int) { return holidays.at(toks, i) }

func (f *frame) addHoliday(toks []token, i, n int, h holiday, add func(i, j int, m dayMention)) int {
	j := i + n
	k := j
	if tokAt(toks, k).s == "," || tokAt(toks, k).s == "in" || tokAt(toks, k).s == "im" {
		k++
	}
	if tokAt(toks, k).s == "jahr" {
		k++
	}
	if y, ok, short, taken := yearToken(toks, k); ok && !short {
		add(i, k+taken, dayMention{days: []time.Time{h(y, f.country)}, weekday: -1})
		return k + taken - i
	}
	y := f.today.Year()
	days := []time.Time{h(y, f.country), h(y+1, f.country), h(y-1, f.country)}
	add(i, j, dayMention{days: f.nearest(days), weekday: -1, yearless: true, named: true})
	return n
}

// endAt reads "Ende des Monats", "Monatsende", "Anfang Dezember", "mid December".
func (f *frame) endAt(toks []token, i int, w *when, add func(i, j int, m dayMention)) int {
	get := func(j int) string { return tokAt(toks, j).s }
	s := get(i)
	j := i + 1
	which := ""
	switch s {
	case "monatsende", "monatsletzten", "monatsletzter", "ultimo":
		add(i, j, dayMention{days: []time.Time{monthOf(f.today).to}, weekday: -1})
		return 1
	case "jahresende":
		add(i, j, dayMention{days: []time.Time{day(f.today.Year(), 12, 31)}, weekday: -1})
		return 1
	case "ende", "end":
		which = "end"
	case "anfang", "beginning", "start", "begin":
		which = "start"
	case "mitte", "middle", "mid":
		which = "middle"
	default:
		return 0
	}
	for get(j) == "of" || get(j) == "the" || get(j) == "des" || get(j) == "der" || get(j) == "vom" || get(j) == "this" || get(j) == "dieses" || get(j) == "diesen" || get(j) == "dieser" || get(j) == "-" {
		j++
	}
	next := 0
	if tn, n := tenses.at(toks, j); n > 0 && (tn == nextOne) {
		next, j = 1, j+n
	}
	var sp span
	switch get(j) {
	case "monats", "monat", "month":
		sp = monthOf(addMonths(monthOf(f.today).from, next))
		j++
	case "jahres", "year", "jahr":
		sp = span{day(f.today.Year()+next, 1, 1), day(f.today.Year()+next, 12, 31)}
		j++
	case "woche", "week":
		sp = weekOf(f.today.AddDate(0, 0, 7*next))
		sp.to = sp.to.AddDate(0, 0, -2)
		j++
		w.vague = true
		switch which {
		case "end":
			sp.from = sp.to.AddDate(0, 0, -1)
		case "start":
			sp.to = sp.from.AddDate(0, 0, 1)
		default:
			sp.from, sp.to = sp.from.AddDate(0, 0, 1), sp.from.AddDate(0, 0, 3)
		}
		w.spans = append(w.spans, sp)
		return j - i
	default:
		m, n := months.at(toks, j)
		if n == 0 {
			return 0
		}
		j += n
		y := f.today.Year()
		if yy, ok, short, n := yearToken(toks, j); ok && !short {
			y, j = yy, j+n
		} else if day(y, m+1, 0).Before(f.today) {
			y++
		}
		sp = monthOf(day(y, m, 1))
		which += "?"
	}
	switch which {
	case "end":
		if f.slots {
			sp.from = sp.to.AddDate(0, 0, -4)
			w.spans = append(w.spans, sp)
			return j - i
		}
		add(i, j, dayMention{days: []time.Time{sp.to}, weekday: -1})
		return j - i
	case "start", "start?":
		sp.to = sp.from.AddDate(0, 0, 9)
	case "middle", "middle?":
		sp.from, sp.to = sp.from.AddDate(0, 0, 10), sp.from.AddDate(0, 0, 19)
	case "end?":
		sp.from = sp.to.AddDate(0, 0, -9)
	}
	w.vague = true
	w.spans = append(w.spans, sp)
	return j - i
}

// picked is what days a reply means.
type picked struct {
	days     []time.Time // all plausible ones; the likeliest first
	stated   bool        // a day was named at all
	mismatch bool        // weekday and date contradict each other
	bad      bool        // a date that does not exist
	several  bool        // several days were named
	far      bool        // a date without a year whose next occurrence is far away
	spans    []span
}

// weekdayDays gives the plausible days of a weekday mention.
func (f *frame) weekdayDays(m dayMention, in []span) (out []time.Time) {
	wd := time.Weekday(m.weekday)
	if len(in) > 0 {
		for _, s := range in {
			for d := s.from; !d.After(s.to) && len(out) < 8; d = d.AddDate(0, 0, 1) {
				if d.Weekday() == wd {
					out = append(out, d)
				}
			}
		}
		return out
	}
	ahead := (int(wd) - int(f.today.Weekday()) + 7) % 7
	next := f.today.AddDate(0, 0, ahead)
	if m.last || f.past && !m.next && !m.this {
		back := 7 - ahead
		if ahead == 0 {
			back = 7
		}
		d := f.today.AddDate(0, 0, -back)
		if ahead == 0 && !m.last {
			return []time.Time{f.today, d}
		}
		out = []time.Time{d}
		if m.last && weekOf(d).has(f.today) {
			// "letzten Montag", said on a Thursday: this week's or last week's
			out = append(out, d.AddDate(0, 0, -7))
		}
		return out
	}
	switch {
	case m.shift > 0:
		if ahead == 0 {
			return []time.Time{next.AddDate(0, 0, m.shift)}
		}
		return []time.Time{next.AddDate(0, 0, m.shift)}
	case ahead == 0 && m.next:
		return []time.Time{next.AddDate(0, 0, 7)}
	case ahead == 0:
		return []time.Time{next, next.AddDate(0, 0, 7)}
	case m.next && weekOf(f.today).has(next):
		return []time.Time{next, next.AddDate(0, 0, 7)}
	}
	return []time.Time{next}
}

// pick decides which days are meant.
func (f *frame) pick(w *when) (p picked) {
	var dates, weeks []dayMention
	for _, m := range w.days {
		if m.neg {
			continue
		}
		if m.weekday >= 0 {
			weeks = append(weeks, m)
		} else {
			dates = append(dates, m)
			if len(m.days) == 0 {
				p.bad = true
			}
		}
	}
	p.spans = w.spans
	p.stated = len(dates)+len(weeks) > 0
	if p.bad {
		return p
	}
	if len(dates) > 0 {
		lists := make([][]time.Time, 0, len(dates))
		for _, m := range dates {
			days := m.days
			if m.monthless && len(w.spans) > 0 && len(days) > 0 {
				// "nächsten Monat am 30."
				var in []time.Time
				for _, s := range w.spans {
					for d := s.from; !d.After(s.to) && len(in) < 4; d = d.AddDate(0, 0, 1) {
						if d.Day() == days[0].Day() {
							in = append(in, d)
						}
					}
				}
				if len(in) == 0 {
					p.mismatch, p.days = true, days
					return p
				}
				days = in
			}
			if len(weeks) == 1 && !w.mood.or {
				var same []time.Time
				for _, d := range days {
					if int(d.Weekday()) == weeks[0].weekday {
						same = append(same, d)
					}
				}
				if len(same) == 0 {
					p.mismatch = true
					p.days = append([]time.Time{days[0]}, f.weekdayDays(weeks[0], nil)...)
					return p
				}
				if m.yearless && !f.allows(days[0]) || !m.yearless && !m.slashed {
					days = same
				} else if m.yearless && !slices.ContainsFunc(same, func(d time.Time) bool { return d.Equal(days[0]) }) {
					p.mismatch = true
					p.days = append([]time.Time{days[0]}, same...)
					return p
				} else {
					days = same
				}
			}
			switch {
			case m.slashed:
			case m.yearless:
				days = days[:1]
			}
			lists = append(lists, days)
		}
		p.days = lists[0]
		for _, l := range lists[1:] {
			if !l[0].Equal(lists[0][0]) {
				p.several = true
				p.days = append(slices.Clone(p.days), l...)
			}
		}
		if len(weeks) > 1 || len(weeks) == 1 && w.mood.or {
			p.several = true
			for _, m := range weeks {
				p.days = append(slices.Clone(p.days), f.weekdayDays(m, nil)...)
			}
		}
		if m := dates[0]; len(dates) == 1 && m.yearless && !m.named && !f.past && len(p.days) == 1 && f.hi.IsZero() && p.days[0].Sub(f.today) > 300*24*time.Hour && len(weeks) == 0 {
			p.far = true
		}
		return p
	}
	for n, m := range weeks {
		days := f.weekdayDays(m, w.spans)
		if n > 0 && !slices.ContainsFunc(days, func(d time.Time) bool { return d.Equal(p.days[0]) }) {
			p.several = true
		}
		for _, d := range days {
			if !slices.ContainsFunc(p.days, func(x time.Time) bool { return x.Equal(d) }) {
				p.days = append(p.days, d)
			}
		}
	}
	return p
}

const dayForm = "2006-01-02"

// conf is how sure a reading of dates is, from what else stands in the reply.
func (w *when) conf(base float64) float64 {
	base -= 0.035 * float64(w.unknown)
	if w.approx {
		base = min(base, 0.85)
	}
	if w.mood.hedged || w.mood.asks || w.mood.or {
		base = min(base, 0.6)
	}
	return base
}

// dayOutside gives which bound a day breaks, "" if none.
func (f *frame) dayOutside(d time.Time) string {
	switch {
	case !f.lo.IsZero() && d.Before(f.lo):
		if d.Before(f.today) {
			return "past"
		}
		return "min"
	case f.hi.IsZero() && d.After(f.today.AddDate(100, 0, 0)):
		return "max" // nobody means that
	case !f.hi.IsZero() && d.After(f.hi):
		if d.After(f.today) && f.past {
			return "future"
		}
		return "max"
	}
	return ""
}

// date resolves a day.
func (a *Ask) date(toks []token, c *Context) Outcome {
	toks = splitCompounds(uncut(toks))
	f := a.frameOf(c)
	w := f.read(toks)
	if !w.instant.IsZero() && len(w.days) == 0 {
		w.days = append(w.days, dayMention{days: []time.Time{civil(w.instant)}, weekday: -1})
	}
	if len(w.days) == 0 && len(w.spans) == 0 && len(w.lone) == 1 && len(toks) <= 3 && w.unknown == 0 && len(w.clocks) == 0 {
		// "der 3" and nothing else
		if n, err := strconv.Atoi(toks[w.lone[0]].s); err == nil && n >= 1 && n <= 31 && w.lone[0] > 0 {
			w.days = append(w.days, f.monthDay(n))
		}
	}
	p := f.pick(w)
	value := func(d time.Time) Value { return Value{Date: d.Format(dayForm)} }
	values := func(days []time.Time) (out []Value) {
		for _, d := range days {
			if f.allows(d) {
				out = append(out, value(d))
			}
		}
		return out
	}
	switch {
	case p.bad:
		return Outcome{Problem: Unclear, Detail: "date", Confidence: 0.3, Reading: "date"}
	case !p.stated && len(w.spans) == 1 && w.spans[0].from.Equal(w.spans[0].to):
		p.days = []time.Time{w.spans[0].from}
	case !p.stated && len(w.spans) > 0:
		return Outcome{Problem: Unclear, Detail: "day", Confidence: 0.4, Reading: "date"}
	case !p.stated && w.first && !f.lo.IsZero() && !f.past:
		return Outcome{Problem: Unclear, Detail: "day", Confidence: 0.5, Reading: "date", Candidates: []Value{value(f.lo)}}
	case !p.stated:
		return Outcome{Problem: Unclear, Confidence: 0.1}
	case p.mismatch:
		return Outcome{Problem: Ambiguous, Detail: "weekday", Confidence: 0.5, Candidates: values(p.days), Reading: "date"}
	case len(p.days) == 0:
		return Outcome{Problem: Unclear, Confidence: 0.3}
	}
	var good []time.Time
	for _, d := range p.days {
		if f.allows(d) {
			good = append(good, d)
		}
	}
	conf := w.conf(0.95)
	if w.vague {
		conf = min(conf, 0.85)
	}
	switch {
	case len(good) == 0:
		return Outcome{Problem: OutOfRange, Detail: f.dayOutside(p.days[0]), Value: value(p.days[0]), Confidence: conf, Reading: "date"}
	case p.several || len(good) > 1:
		return Outcome{Problem: Ambiguous, Confidence: 0.6, Candidates: values(p.days), Reading: "date"}
	case f.aeons && w.yearMissing():
		return Outcome{Problem: Unclear, Detail: "year", Confidence: 0.5, Reading: "date"}
	case p.far:
		last := f.previous(good[0])
		return Outcome{Problem: OutOfRange, Detail: "past", Value: value(last), Candidates: []Value{value(good[0])}, Confidence: conf, Reading: "date"}
	case f.orphanNegation(w):
		return Outcome{Problem: Unclear, Confidence: 0.5, Candidates: values(good), Reading: "date"}
	}
	if len(p.days) > 1 {
		conf = min(conf, 0.85)
	}
	if conf < Sure {
		return Outcome{Problem: Unclear, Confidence: conf, Candidates: values(good), Reading: "date"}
	}
	return Outcome{Value: value(good[0]), Confidence: conf, Reading: "date"}
}

// yearMissing says whether the only date has no year, not even one of two digits.
func (w *when) yearMissing() bool {
	for _, m := range w.days {
		if m.weekday < 0 && m.yearless && len(m.days) > 2 && !m.named {
			return true
		}
	}
	return false
}

// previous is the same day a year before.
func (f *frame) previous(d time.Time) time.Time {
	for y := 1; y < 9; y++ {
		if valid(d.Year()-y, d.Month(), d.Day()) {
			return day(d.Year()-y, d.Month(), d.Day())
		}
	}
	return d
}

// orphanNegation: something is ruled out, and it is neither a day nor a time that we saw.
func (f *frame) orphanNegation(w *when) bool {
	n := w.negs - w.negClock
	for _, m := range w.days {
		if m.neg {
			n--
		}
	}
	return n > 0
}

// splitCompounds takes "Dienstagvormittag" and "morgenfrüh" apart.
func splitCompounds(toks []token) []token {
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if t.kind != wordToken || len(t.s) < 9 {
			continue
		}
		if weekdays.has(t.s) || dayWords.has(t.s) || holidays.has(t.s) {
			continue
		}
		for _, part := range [...]string{"vormittags", "vormittag", "nachmittags", "nachmittag", "mittags", "mittag", "abends", "abend", "morgens", "morgen", "fruh", "nacht"} {
			head, ok := strings.CutSuffix(t.s, part)
			if !ok || !weekdays.has(head) && !dayWords.has(head) {
				continue
			}
			first, second := t, t
			first.s, second.s, second.gap = head, part, true
			out := slices.Clone(toks[:i])
			out = append(append(out, first, second), toks[i+1:]...)
			return splitCompounds(out)
		}
	}
	return toks
}

// instant makes a moment of a civil day and minutes; gap if there is no such local time, two if there are two.
func instantOf(d time.Time, minutes int, zone *time.Location) (out []time.Time, gap bool) {
	t := time.Date(d.Year(), d.Month(), d.Day(), 0, minutes, 0, 0, zone)
	want := time.Date(d.Year(), d.Month(), d.Day(), 0, minutes, 0, 0, time.UTC)
	if !sameWall(t, want) {
		return []time.Time{t}, true
	}
	out = []time.Time{t}
	for _, h := range []time.Duration{-time.Hour, time.Hour, -30 * time.Minute, 30 * time.Minute} {
		if o := t.Add(h); sameWall(o, want) {
			if h < 0 {
				out = []time.Time{o, t}
			} else {
				out = append(out, o)
			}
			break
		}
	}
	return out, false
}

func sameWall(a, b time.Time) bool {
	return a.Hour() == b.Hour() && a.Minute() == b.Minute() && a.Day() == b.Day()
}

// times are the moments of a day that the clocks of a reply can mean.
func (f *frame) minutes(w *when) (out []int, sure bool) {
	k := w.clocks[0]
	return k.minutesOf(f.business, w.part)
}

// dateTime resolves a moment.
func (a *Ask) dateTime(raw string, toks []token, c *Context) Outcome {
	f := a.frameOf(c)
	value := func(t time.Time) Value { return Value{At: t.In(f.zone).Format(time.RFC3339)} }
	outside := func(t time.Time) string {
		if d := f.dayOutside(civil(t.In(f.zone))); d != "" {
			return d
		}
		if a.From == "" && !f.past && t.Before(f.now) || f.business && t.Before(f.now.Add(-time.Minute)) {
			return "past"
		}
		if f.past && t.After(f.now) {
			return "future"
		}
		return ""
	}
	if t, err := time.Parse(time.RFC3339, strings.TrimSpace(raw)); err == nil {
		if why := outside(t); why != "" {
			return Outcome{Problem: OutOfRange, Detail: why, Value: value(t), Confidence: 1, Reading: "date"}
		}
		return Outcome{Value: value(t), Confidence: 1, Reading: "date"}
	}
	toks = splitCompounds(uncut(toks))
	w := f.read(toks)
	f.loneClock(w, toks)
	if !w.instant.IsZero() && len(w.days) == 0 && len(w.clocks) == 0 {
		conf := w.conf(0.9)
		if why := outside(w.instant); why != "" {
			return Outcome{Problem: OutOfRange, Detail: why, Value: value(w.instant), Confidence: conf, Reading: "date"}
		}
		if conf < Sure || w.negs > 0 {
			return Outcome{Problem: Unclear, Confidence: min(conf, 0.6), Candidates: []Value{value(w.instant)}}
		}
		return Outcome{Value: value(w.instant), Confidence: conf, Reading: "date"}
	}
	p := f.pick(w)
	switch {
	case p.bad:
		return Outcome{Problem: Unclear, Detail: "date", Confidence: 0.3, Reading: "date"}
	case w.nothing && len(w.days) == 0:
		return Outcome{Problem: Unclear, Confidence: 0.1}
	case !p.stated && !f.hi.IsZero() && f.hi.Equal(f.lo) && len(w.spans) == 0:
		p.days = []time.Time{f.lo}
	case !p.stated:
		return Outcome{Problem: Unclear, Detail: "day", Confidence: 0.4, Reading: "date"}
	}
	if len(w.clocks) == 0 {
		o := Outcome{Problem: Unclear, Detail: "time", Confidence: 0.5, Reading: "date"}
		if len(p.days) > 0 {
			d := p.days[0]
			if why := f.dayOutside(d); why != "" && len(p.days) == 1 {
				o.Problem, o.Detail = OutOfRange, why
			}
			if len(p.days) == 1 && !p.several {
				o.Value = Value{Date: d.Format(dayForm)}
			}
		}
		return o
	}
	if p.mismatch {
		p.several = true
	}
	mins, sure := f.minutes(w)
	if w.limit != nil || w.between {
		return Outcome{Problem: Unclear, Detail: "time", Confidence: 0.5, Reading: "date"}
	}
	if sure {
		mins = mins[:1]
	}
	if len(w.clocks) > 1 {
		same := true
		for _, k := range w.clocks[1:] {
			m, _ := k.minutesOf(f.business, w.part)
			if m[0] != mins[0] {
				same = false
			}
			if !same && !slices.Contains(mins, m[0]) {
				mins = append(mins, m[0])
			}
		}
		if !same {
			sure = false
		}
	}
	zone := f.zone
	if w.zone != nil {
		zone = w.zone
	}
	var good, all []time.Time
	gap := false
	type dayMinute struct {
		d time.Time
		m int
	}
	var wanted []dayMinute
	if pairs := pairsOf(w); len(pairs) > 0 {
		for _, pair := range pairs {
			m, _ := pair.clock.minutesOf(f.business, w.part)
			for _, d := range f.daysOf(pair.day) {
				wanted = append(wanted, dayMinute{d, m[0]})
			}
		}
	} else {
		for _, d := range p.days {
			for _, m := range mins {
				wanted = append(wanted, dayMinute{d, m})
			}
		}
	}
	for _, x := range wanted {
		ts, g := instantOf(x.d, x.m, zone)
		gap = gap || g
		for _, t := range ts {
			all = append(all, t)
			if !g && outside(t) == "" {
				good = append(good, t)
			}
		}
	}
	values := func(ts []time.Time) (out []Value) {
		for _, t := range ts {
			out = append(out, value(t))
		}
		return out
	}
	conf := w.conf(0.95)
	switch {
	case len(all) == 0:
		return Outcome{Problem: Unclear, Confidence: 0.3}
	case gap && len(good) == 0:
		return Outcome{Problem: OutOfRange, Detail: "gap", Value: value(all[0]), Confidence: conf, Reading: "date"}
	case len(good) == 0:
		return Outcome{Problem: OutOfRange, Detail: outside(all[0]), Value: value(all[0]), Confidence: conf, Reading: "date"}
	case len(good) > 1 || p.several:
		return Outcome{Problem: Ambiguous, Confidence: 0.6, Candidates: values(good), Reading: "date"}
	case p.far:
		return Outcome{Problem: OutOfRange, Detail: "past", Value: Value{At: f.previous(civil(good[0].In(f.zone))).Format(dayForm) + good[0].In(f.zone).Format("T15:04:05Z07:00")}, Candidates: values(good), Confidence: conf, Reading: "date"}
	case f.orphanNegation(w):
		return Outcome{Problem: Unclear, Confidence: 0.5, Candidates: values(good), Reading: "date"}
	}
	if k := w.clocks[0]; !k.fixed && w.part == nil && k.h >= 1 && k.h <= 12 {
		conf = min(conf, 0.88)
	}
	if len(p.days) > 1 {
		conf = min(conf, 0.85)
	}
	if w.unknown > 0 && len(w.lone) > 0 {
		conf = min(conf, 0.7)
	}
	if conf < Sure {
		return Outcome{Problem: Unclear, Confidence: conf, Candidates: values(good), Reading: "date"}
	}
	return Outcome{Value: value(good[0]), Confidence: conf, Reading: "date"}
}

// loneClock takes the only number that nothing explains for an hour, if a day was named: "next Tuesday 9".
func (f *frame) loneClock(w *when, toks []token) {
	if len(w.clocks) > 0 || len(w.lone) != 1 {
		return
	}
	i := w.lone[0]
	if h, ok := hourWord(toks[i]); ok && (len(w.days) > 0 || len(w.spans) > 0 || w.part != nil) {
		if _, n := units.at(toks, i+1); n > 0 {
			return
		}
		k := clock{h: h, at: i}
		if h == 24 {
			k.h, k.next = 0, true
		}
		w.clocks = append(w.clocks, k)
		w.lone = nil
		w.nothing = false
	}
}
