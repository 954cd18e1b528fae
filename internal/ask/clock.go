package ask

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// clock is a time of day as it was said.
type clock struct {
	h, m    int
	fixed   bool // there is no other half of the day in which it could be
	written bool // with "Uhr" or a colon: twenty-four hours are usual then
	next    bool // midnight at the end of the day
	at      int  // token
}

// window is a part of the day, in minutes; hi is exclusive unless it is a limit that was named.
type window struct{ lo, hi int }

var dayParts = func() *phrases[window] {
	p := &phrases[window]{}
	p.add(window{6 * 60, 9*60 + 30}, "früh|in der früh|in der frühe|frühmorgens|frühs|früh morgens|am frühen morgen|zeitig in der früh|early|early morning|in aller früh|gleich in der früh|early in the morning")
	p.add(window{6 * 60, 12 * 60}, "morgens|am morgen|in the morning|am morge|am|morning|mornings|vormorgens")
	p.add(window{8 * 60, 12 * 60}, "vormittag|vormittags|vormittags um|am vormittag|späten vormittag|frühen vormittag|vormittog")
	p.add(window{11 * 60, 14 * 60}, "mittags|am mittag|zu mittag|über mittag|mittagszeit|in der mittagspause|lunchtime|at lunchtime|around lunch|zmittag")
	p.add(window{12 * 60, 18 * 60}, "nachmittag|nachmittags|am nachmittag|namittag|nami|afternoon|in the afternoon|afternoons|nomittag|nachmittog")
	p.add(window{17 * 60, 22 * 60}, "abend|abends|am abend|evening|in the evening|evenings|am obig|obig|feierabend|nach feierabend|after work|znacht")
	p.add(window{21 * 60, 30 * 60}, "nachts|in der nacht|at night|night|nacht")
	delete(p.m, "am")
	return p
}()

var zoneNames = func() *phrases[string] {
	p := &phrases[string]{}
	for zone, list := range map[string]string{
		"+01:00": "mez|cet", "+02:00": "mesz|cest|eest2", "+00:00": "gmt|utc|wez|z", "+01:00b": "bst|wesz", "-05:00": "est", "-04:00": "edt", "-06:00": "cst", "-05:00c": "cdt",
		"-07:00": "mst", "-08:00": "pst", "-07:00p": "pdt",
		"Europe/Berlin":    "deutscher zeit|deutsche zeit|berliner zeit|german time|berlin time|uhr deutscher zeit|mitteleuropäischer zeit",
		"Europe/Vienna":    "wiener zeit|österreichischer zeit|vienna time",
		"Europe/Zurich":    "schweizer zeit|zürcher zeit|swiss time",
		"Europe/London":    "londoner zeit|london time|uk time|britischer zeit|englischer zeit",
		"America/New_York": "new yorker zeit|new york time|eastern time|eastern|ostküstenzeit|us eastern",
		"America/Chicago":  "central time", "America/Los_Angeles": "pacific time|pacific|kalifornischer zeit",
	} {
		p.add(zone, list)
	}
	return p
}()

func namedZone(name string) *time.Location {
	if len(name) >= 6 && (name[0] == '+' || name[0] == '-') {
		h, _ := strconv.Atoi(name[1:3])
		m, _ := strconv.Atoi(name[4:6])
		s := h*3600 + m*60
		if name[0] == '-' {
			s = -s
		}
		return time.FixedZone("", s)
	}
	return location(name)
}

// minutesOf gives the minutes of the day that a clock can mean, the likeliest first; sure is false if several are as
// likely. Business hours run from seven to seven: a bare "halb drei" for an appointment is half past two in the
// afternoon.
func (k clock) minutesOf(business bool, w *window) (out []int, sure bool) {
	base := k.h*60 + k.m
	if k.next {
		return []int{24 * 60}, true
	}
	if k.fixed || k.h == 0 || k.h > 12 {
		return []int{base}, true
	}
	other := (base + 12*60) % (24 * 60)
	if w != nil {
		in := func(x int) bool { return x >= w.lo && x < w.hi || x+24*60 >= w.lo && x+24*60 < w.hi }
		// "12 Uhr nachts" is midnight at the end of the day.
		switch {
		case k.h == 12 && k.m == 0 && w.lo >= 20*60:
			return []int{24 * 60}, true
		case in(base) && !in(other):
			return []int{base}, true
		case in(other) && !in(base):
			return []int{other}, true
		// "3 Uhr früh", "fünf Uhr morgens": earlier than the part of the day usually begins
		case w.hi <= 12*60:
			return []int{base % (12 * 60)}, true
		case w.lo >= 12*60 && w.lo < 20*60 && k.h < 12:
			return []int{max(base, other)}, true
		case w.lo >= 20*60 && k.h < 6:
			return []int{base}, true
		}
	}
	if k.h == 12 {
		return []int{base}, true
	}
	if business {
		if base >= 7*60 {
			return []int{base, other}, true
		}
		return []int{other, base}, true
	}
	if k.written {
		return []int{base, other}, true
	}
	return []int{base, other}, false
}

// clockWords is the hour in a word.
func hourWord(t token) (int, bool) {
	if t.kind == digitToken {
		if len(t.s) > 2 {
			return 0, false
		}
		h, err := strconv.Atoi(t.s)
		return h, err == nil && h <= 24
	}
	if t.kind != wordToken {
		return 0, false
	}
	switch t.s {
	case "ein", "eins", "one", "eis", "oans":
		return 1, true
	case "eine", "einen", "einer", "einem", "eines", "dutzend", "dozen":
		return 0, false
	}
	d, ok := germanNumber(t.s)
	if !ok || d.scale > 0 || d.m > 24 {
		return 0, false
	}
	return int(d.m), true
}

func minuteWord(toks []token, i int) (m, taken int, ok bool) {
	if i >= len(toks) {
		return 0, 0, false
	}
	t := toks[i]
	if t.kind == digitToken {
		if len(t.s) > 2 {
			return 0, 0, false
		}
		m, _ = strconv.Atoi(t.s)
		return m, 1, m < 60
	}
	if t.kind != wordToken {
		return 0, 0, false
	}
	k, d, ok := wordsNumber(toks, i)
	if !ok || d.scale > 0 || d.m < 1 || d.m > 59 {
		return 0, 0, false
	}
	switch t.s {
	case "ein", "eine", "einen", "einer":
		return 0, 0, false
	}
	return int(d.m), k - i, true
}

// halfDay reads am and pm behind token i.
func halfDay(toks []token, i int, english bool) (pm bool, taken int) {
	if i >= len(toks) || toks[i].kind != wordToken {
		return false, 0
	}
	t := toks[i]
	switch t.s {
	case "pm":
		return true, 1
	case "am":
		if !t.gap || english || i+1 >= len(toks) {
			return false, 1
		}
	case "a", "p":
		if i+2 < len(toks) && toks[i+1].s == "." && toks[i+2].s == "m" {
			n := 3
			if i+3 < len(toks) && toks[i+3].s == "." && !toks[i+3].gap {
				n = 4
			}
			return t.s == "p", n
		}
	}
	return false, 0
}

var hourPrefixes = set(`um|gegen|ab|bis|vor|nach|at|by|from|after|before|until|till|circa|ca|etwa|ungefähr|around|about|so gegen|so um|am|kurz vor|kurz nach|punkt|genau um|frühestens|spätestens|am|z`)

// clockAt reads a time of day at token i.
func clockAt(toks []token, i int, english bool) (k clock, taken int) {
	k.at = i
	if i >= len(toks) {
		return k, 0
	}
	t := toks[i]
	get := func(j int) string {
		if j < len(toks) {
			return toks[j].s
		}
		return ""
	}
	prev := ""
	if i > 0 {
		prev = toks[i-1].s
	}
	finish := func(j int) (clock, int) {
		if pm, n := halfDay(toks, j, english); n > 0 && k.h <= 12 && k.h >= 1 {
			k.h %= 12
			if pm {
				k.h += 12
			}
			k.fixed = true
			j += n
		} else if _, n := oclocks.at(toks, j); n > 0 {
			k.written = k.written || get(j) == "uhr" || get(j) == "hrs" || get(j) == "h"
			j += n
			if pm, n := halfDay(toks, j, english); n > 0 && k.h <= 12 && k.h >= 1 {
				k.h %= 12
				if pm {
					k.h += 12
				}
				k.fixed = true
				j += n
			}
		}
		if k.h == 24 {
			if k.m != 0 {
				return k, 0
			}
			k.h, k.next = 0, true
		}
		return k, j - i
	}
	half := func(h, off int) {
		total := h%12*60 + off
		if h > 12 {
			total = h*60 + off
			k.fixed = true
		}
		if total < 60 {
			total += 12 * 60
		}
		k.h, k.m = total/60, total%60
	}
	switch t.s {
	case "noon", "midday":
		k.h, k.fixed = 12, true
		return k, 1
	case "mittag", "lunch":
		if prev == "am" || prev == "uber" {
			return k, 0
		}
		k.h, k.fixed = 12, true
		return k, 1
	case "mitternacht", "midnight":
		k.next = true
		return k, 1
	case "halb", "halbi", "halber":
		if h, ok := hourWord(tokAt(toks, i+1)); ok && h >= 1 && h <= 12 {
			half(h, -30)
			return finish(i + 2)
		}
	case "half":
		j := i + 1
		if get(j) == "past" {
			if h, ok := hourWord(tokAt(toks, j+1)); ok && h >= 1 && h <= 12 {
				half(h, 30)
				return finish(j + 2)
			}
			return k, 0
		}
		if h, ok := hourWord(tokAt(toks, j)); ok && h >= 1 && h <= 12 {
			half(h, 30)
			return finish(j + 1)
		}
	case "dreiviertel", "dreiviertl", "drejviertel":
		if h, ok := hourWord(tokAt(toks, i+1)); ok && h >= 1 && h <= 12 {
			half(h, -15)
			return finish(i + 2)
		}
	case "viertel", "viertl", "viertu", "viertil", "quarter":
		j, off := i+1, -45
		switch get(j) {
		case "vor", "to", "before", "vur":
			off, j = -15, j+1
		case "nach", "past", "after", "uber", "ab", "noch":
			off, j = 15, j+1
		}
		if h, ok := hourWord(tokAt(toks, j)); ok && h >= 1 && h <= 12 && (t.s != "quarter" || off != -45) {
			half(h, off)
			return finish(j + 1)
		}
	case "drei", "drue":
		if get(i+1) == "viertel" {
			if h, ok := hourWord(tokAt(toks, i+2)); ok && h >= 1 && h <= 12 {
				half(h, -15)
				return finish(i + 3)
			}
		}
	case "a":
		if get(i+1) == "quarter" {
			k, n := clockAt(toks, i+1, english)
			if n > 0 {
				return k, n + 1
			}
		}
	}
	// "fünf vor halb drei", "20 nach 3", "ten past two"
	if m, n, ok := minuteWord(toks, i); ok && m >= 1 && m <= 30 {
		j := i + n
		switch get(j) {
		case "minuten", "min", "minutes", "mins":
			j++
		}
		off := 0
		switch get(j) {
		case "vor", "to", "before":
			off = -m
		case "nach", "past", "after", "ab":
			off = m
		}
		if off != 0 {
			j++
			if get(j) == "halb" {
				off -= 30
				j++
			}
			if h, ok := hourWord(tokAt(toks, j)); ok && h >= 1 && h <= 12 {
				half(h, off)
				return finish(j + 1)
			}
			if h, ok := hourWord(tokAt(toks, j)); ok && h > 12 {
				half(h, off)
				return finish(j + 1)
			}
		}
	}
	h, ok := hourWord(t)
	if !ok {
		// "1430 Uhr", "um 0900"
		if t.kind == digitToken && len(t.s) == 4 && (get(i+1) == "uhr" || get(i+1) == "hrs" || get(i+1) == "hours" || hourPrefixes.has(prev)) {
			h, _ := strconv.Atoi(t.s[:2])
			m, _ := strconv.Atoi(t.s[2:])
			if h < 24 && m < 60 {
				k.h, k.m, k.fixed = h, m, true
				return finish(i + 1)
			}
		}
		return k, 0
	}
	k.h = h
	padded := t.kind == digitToken && len(t.s) == 2 && t.s[0] == '0'
	switch {
	case t.kind == digitToken && get(i+1) == ":" && !toks[i+1].gap && i+2 < len(toks) && toks[i+2].kind == digitToken && len(toks[i+2].s) == 2:
		m, _ := strconv.Atoi(toks[i+2].s)
		if m > 59 {
			return k, 0
		}
		k.m, k.written, k.fixed = m, !english, padded
		j := i + 3
		if get(j) == ":" && j+1 < len(toks) && toks[j+1].kind == digitToken && !toks[j].gap {
			j += 2
		}
		return finish(j)
	case t.kind == digitToken && get(i+1) == "." && !toks[i+1].gap && i+2 < len(toks) && toks[i+2].kind == digitToken && len(toks[i+2].s) == 2 && !toks[i+2].gap:
		m, _ := strconv.Atoi(toks[i+2].s)
		_, n := halfDay(toks, i+3, english)
		if m < 60 && (get(i+3) == "uhr" || get(i+3) == "h" || n > 0 || clockPrefix(prev) || m > 12 || h > 31 || m == 0) {
			if get(i+3) == "." && i+4 < len(toks) && toks[i+4].kind == digitToken && !toks[i+4].gap {
				return k, 0 // a date
			}
			k.m, k.written, k.fixed = m, true, padded
			return finish(i + 3)
		}
		return k, 0
	case t.kind == digitToken && get(i+1) == "h" && (i+2 >= len(toks) || toks[i+2].kind != digitToken || toks[i+2].gap):
		k.written = true
		return finish(i + 1)
	case t.kind == digitToken && get(i+1) == "h" && len(toks[i+2].s) == 2:
		m, _ := strconv.Atoi(toks[i+2].s)
		if m < 60 {
			k.m, k.written = m, true
			return finish(i + 3)
		}
		return k, 0
	}
	if _, n := oclocks.at(toks, i+1); n > 0 {
		k.written = get(i+1) == "uhr" || get(i+1) == "hrs"
		k.fixed = padded
		j := i + 1 + n
		if k.written {
			if m, n, ok := minuteWord(toks, j); ok && (j+n >= len(toks) || get(j+n) != "." && toks[j+n].s != "personen") {
				k.m = m
				j += n
			}
		}
		// "drei Uhr nachmittags" is seen by the caller.
		if pm, n := halfDay(toks, j, english); n > 0 && k.h >= 1 && k.h <= 12 {
			k.h %= 12
			if pm {
				k.h += 12
			}
			k.fixed = true
			j += n
		}
		if k.h == 24 {
			k.h, k.next = 0, true
		}
		return k, j - i
	}
	if _, n := halfDay(toks, i+1, english); n > 0 && h >= 1 && h <= 12 && !(toks[i+1].s == "am" && toks[i+1].gap && (i+2 < len(toks) && !english)) {
		return finish(i + 1)
	}
	if clockPrefix(prev) || prev == "z" || prev == "am" && t.kind == wordToken && h > 0 {
		// "um drei", "at 3"; "ab 3.12." is a date
		if get(i+1) == "." && i+2 < len(toks) && !toks[i+1].gap && (toks[i+2].kind == digitToken && !toks[i+2].gap || months.has(toks[i+2].s)) {
			return k, 0
		}
		if get(i+1) == "/" || months.has(get(i+1)) || get(i+1) == "tagen" || get(i+1) == "wochen" || get(i+1) == "tage" || get(i+1) == "days" || get(i+1) == "weeks" {
			return k, 0
		}
		if _, n := units.at(toks, i+1); n > 0 && get(i+1) != "h" && get(i+1) != "t" {
			return k, 0
		}
		return finish(i + 1)
	}
	return k, 0
}

func tokAt(toks []token, i int) token {
	if i < len(toks) {
		return toks[i]
	}
	return token{kind: signToken}
}

func clockPrefix(s string) bool {
	switch s {
	case "um", "gegen", "ab", "bis", "vor", "nach", "at", "by", "from", "after", "before", "until", "till", "around", "about", "punkt", "uhrzeit", "am um", "fruhestens", "spatestens", "zwischen", "between", "@":
		return true
	}
	return false
}

var oclocks = set(`uhr|oclock|o clock|hrs|hours|h|uhrzeit`)

// defaultZone is DefaultZone, or what comes near it on a machine without time zones.
func defaultZone() *time.Location {
	if z := location(DefaultZone); z != nil {
		return z
	}
	return time.FixedZone("CET", 3600)
}

var loadedZones sync.Map // name → *time.Location; only names that exist are kept

// location loads a zone; "" and unknown ones are nil.
func location(name string) *time.Location {
	if name == "" || strings.EqualFold(name, "local") {
		return nil
	}
	if l, ok := loadedZones.Load(name); ok {
		return l.(*time.Location)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	loadedZones.Store(name, l)
	return l
}
