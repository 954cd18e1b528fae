package ask

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// part says what a text has beside the question itself.
type part struct {
	short    bool   // no word on how to answer: buttons and fields show it
	numbers  bool   // options with numbers
	hint     string // instead of any other hint
	page     string // the sentence before the page's address
	link     string // the label of the link to it, in HTML
	noPerson bool   // a button says it
}

// compose writes the plain text. Paragraphs are apart by an empty line, in short messages by a line break.
func (x *renderer) compose(p part) string {
	x.buf = x.buf[:0]
	w := x.w
	if x.s.Introduce != "" {
		x.para()
		x.add(w.introduce[0], x.s.Introduce, w.introduce[1])
	}
	x.paragraph(x.get(x.s.Text))
	if x.a != nil {
		x.paragraph(x.s.Again)
		x.paragraph(x.get(x.a.Text))
		x.hints(p)
		if p.numbers {
			x.numbers()
		}
	}
	if x.machine {
		x.paragraph(w.machine)
	}
	if p.page != "" {
		x.para()
		x.add(p.page, x.o.URL)
	}
	if x.a != nil && x.a.Optional && !x.c.OneWay && x.out.Way != Nothing {
		x.paragraph(w.skip)
	}
	if x.s.Person && !p.noPerson {
		x.personLine(p)
	}
	return string(x.buf)
}

func (x *renderer) personLine(p part) {
	switch {
	case !x.c.OneWay:
		x.paragraph(x.w.person)
	case x.o.Phone != "":
		x.para()
		x.add(x.w.personAt[0], x.o.Phone, x.w.personAt[1])
	case p.page != "":
		x.paragraph(x.w.personPage)
	case x.linked():
		x.para()
		x.add(x.w.orPage, x.o.URL)
		x.line(x.w.personPage)
	}
}

// para begins a paragraph.
func (x *renderer) para() {
	if len(x.buf) == 0 {
		return
	}
	if x.sms {
		x.buf = append(x.buf, '\n')
		return
	}
	x.buf = append(x.buf, '\n', '\n')
}

func (x *renderer) add(parts ...string) {
	for _, s := range parts {
		x.buf = append(x.buf, s...)
	}
}

// line adds a line to the paragraph.
func (x *renderer) line(s string) {
	if len(x.buf) > 0 {
		x.buf = append(x.buf, '\n')
	}
	x.buf = append(x.buf, s...)
}

// paragraph adds one, if there is anything in it.
func (x *renderer) paragraph(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	x.para()
	x.buf = append(x.buf, s...)
}

// hints says how to answer, as far as the medium does not show it.
func (x *renderer) hints(p part) {
	if p.hint != "" {
		x.paragraph(p.hint)
		return
	}
	if x.s.Again == "" {
		x.paragraph(x.get(x.a.Hint))
	}
	begin := len(x.buf)
	x.para()
	at := len(x.buf)
	x.appendHint(p.short || x.s.Again != "" || len(x.a.Hint) > 0, p.short || x.s.Again != "")
	if len(x.buf) == at {
		x.buf = x.buf[:begin]
	}
}

// appendHint adds the standard hint of the kind: bounds always (unless said), how to write it unless short.
func (x *renderer) appendHint(short, said bool) {
	a, w := x.a, x.w
	switch a.Kind {
	case Number:
		if x.s.Again == "" {
			x.appendNumberHint()
		}
	case Date, DateTime:
		if !short {
			switch {
			case a.Kind == DateTime:
				x.add(w.dateTime)
			case a.Until == "today" || strings.HasPrefix(a.Until, "today-"):
				x.add(w.datePast)
			default:
				x.add(w.date)
			}
		}
		if x.s.Again == "" {
			x.appendDateBounds()
		}
	case Text:
		if a.MaxLength > 0 && !said && !x.c.Paper {
			x.add(w.textMax[0])
			x.buf = w.appendNumber(x.buf, float64(a.MaxLength), 0)
			x.add(w.textMax[1])
		}
	case Email:
		if !short {
			x.add(w.email)
		}
	case Phone:
		if !short {
			x.add(w.phone)
		}
	case Address:
		if !short {
			x.add(w.address)
		}
	case File:
		if x.c.Upload && !x.c.Paper {
			x.appendFileHint()
		}
	case ManyOf:
		x.appendCountHint()
	case Payment:
		if a.Cents > 0 {
			x.add(w.amount)
			x.buf = w.appendMoney(x.buf, a.Cents, a.Currency)
		}
	case Rating:
		if a.scale() && short {
			x.add(w.scaleEnds[0], ", ", w.scaleEnds[1])
		}
	}
}

func (x *renderer) appendNumberHint() {
	a, w := x.a, x.w
	if a.Min == nil && a.Max == nil && a.Unit == "" {
		return
	}
	x.add(w.number)
	x.buf = w.appendRange(x.buf, a)
}

// appendRange ends a sentence about a number: " von 0 bis 500 km.", " in km.", ".".
func (w *sentences) appendRange(b []byte, a *Ask) []byte {
	number := func(words string, v *float64) {
		b = w.appendNumber(append(b, words...), *v, a.Decimals)
	}
	switch {
	case a.Min != nil && a.Max != nil:
		number(w.numberRange[0], a.Min)
		number(w.numberRange[1], a.Max)
	case a.Min != nil:
		number(w.numberFrom, a.Min)
	case a.Max != nil:
		number(w.numberTo, a.Max)
	case a.Unit != "":
		return append(append(append(b, w.numberUnit...), a.Unit...), '.')
	}
	if a.Unit != "" {
		b = append(append(b, ' '), a.Unit...)
	}
	return append(b, '.')
}

// appendDateBounds names bounds that do not depend on when the question is read.
func (x *renderer) appendDateBounds() {
	a, w := x.a, x.w
	bound := func(words, s string) {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil && (s != "today" || x.c.Paper) { // paper is read on another day
			return
		}
		if n := len(x.buf); n > 0 && x.buf[n-1] != '\n' {
			x.add(" ")
		}
		x.add(words)
		if s == "today" {
			x.add(w.today)
		} else {
			x.buf = w.appendDay(x.buf, d)
		}
		x.add(".")
	}
	if a.From != "" {
		bound(w.dateFrom, a.From)
	}
	if a.Until != "" {
		bound(w.dateUntil, a.Until)
	}
}

func (x *renderer) appendFileHint() {
	a, w := x.a, x.w
	one, upTo := w.file, w.filesUpTo
	if a.Photos() {
		one, upTo = w.photo, w.photosUpTo
	}
	switch most := a.Most; {
	case most == 1:
		x.add(one[0])
	case most > 1:
		x.add(upTo[0], strconv.Itoa(most), upTo[1])
	default:
		x.add(one[1])
	}
}

func (x *renderer) appendCountHint() {
	a, w := x.a, x.w
	switch {
	case a.Least > 0 && a.Least == a.Most:
		x.add(w.exactly[0], strconv.Itoa(a.Least), w.exactly[1])
	case a.Least > 1 && a.Most > 0:
		x.add(w.between[0], strconv.Itoa(a.Least), w.between[1], strconv.Itoa(a.Most), w.between[2])
	case a.Most > 0:
		x.add(w.atMost[0], strconv.Itoa(a.Most), w.atMost[1])
	case a.Least > 1:
		x.add(w.atLeast[0], strconv.Itoa(a.Least), w.atLeast[1])
	}
}

// numbers lists the options and says how to choose.
func (x *renderer) numbers() {
	w := x.w
	if x.a.scale() {
		x.paragraph(w.scale)
		return
	}
	x.para()
	for i := range x.opts {
		if i > 0 {
			x.buf = append(x.buf, '\n')
		}
		x.buf = strconv.AppendInt(x.buf, int64(i+1), 10)
		x.add(") ", x.opts[i].label)
		if d := x.opts[i].desc; d != "" && !x.sms {
			x.add(" (", d, ")")
		}
	}
	x.para()
	x.appendAnswerWith()
}

// appendAnswerWith says "Antworten Sie mit 1, 2 oder 3."
func (x *renderer) appendAnswerWith() {
	w := x.w
	if x.a.Kind == ManyOf {
		x.add(w.manyWith)
		return
	}
	x.add(w.answerWith[0])
	for i := range x.opts {
		switch {
		case i == 0:
		case i == len(x.opts)-1:
			x.add(w.or)
		default:
			x.add(", ")
		}
		x.buf = strconv.AppendInt(x.buf, int64(i+1), 10)
	}
	x.add(w.answerWith[1])
}

// appendNumber writes a number as people of the language do, with at most decimals digits after the point.
func (w *sentences) appendNumber(b []byte, v float64, decimals int) []byte {
	at := len(b)
	if decimals == 0 && v == math.Trunc(v) && math.Abs(v) < 1e15 {
		b = strconv.AppendInt(b, int64(v), 10)
	} else {
		b = strconv.AppendFloat(b, v, 'f', -1, 64)
	}
	de := w.clock != ""
	point := len(b)
	for i := at; i < len(b); i++ {
		if b[i] == '.' {
			point = i
			if de {
				b[i] = ','
			}
		}
	}
	first := at
	if first < len(b) && b[first] == '-' {
		first++
	}
	if point-first <= 4 { // a year, a house number: no groups in short numbers
		return b
	}
	sep := byte(',')
	if de {
		sep = '.'
	}
	for i := point - 3; i > first; i -= 3 {
		b = append(b, 0)
		copy(b[i+1:], b[i:])
		b[i] = sep
	}
	return b
}

// appendMoney writes an amount: "49,00 EUR", "EUR 49.00".
func (w *sentences) appendMoney(b []byte, cents int64, currency string) []byte {
	if currency == "" {
		currency = "EUR"
	}
	de := w.clock != ""
	if !de {
		b = append(append(b, currency...), ' ')
	}
	b = w.appendNumber(b, float64(cents/100), 0)
	sep := byte('.')
	if de {
		sep = ','
	}
	b = append(b, sep, byte('0'+cents%100/10), byte('0'+cents%10))
	if de {
		b = append(append(b, ' '), currency...)
	}
	return b
}

// longTime is "Donnerstag, 26. November, 16:00 Uhr"; "Thursday, 26 November, 16:00".
func (w *sentences) longTime(t time.Time) string {
	b := make([]byte, 0, 48)
	b = append(append(b, w.weekdays[t.Weekday()]...), ", "...)
	b = w.appendDayMonth(b, t)
	b = appendClock(append(b, ", "...), t)
	return string(append(b, w.clock...))
}

// shortTime is "Do 26.11. 16:00"; "Thu 26 Nov 16:00".
func (w *sentences) shortTime(t time.Time) string {
	b := make([]byte, 0, 24)
	b = append(append(b, w.weekdaysAbbr[t.Weekday()]...), ' ')
	b = strconv.AppendInt(b, int64(t.Day()), 10)
	if w.clock != "" {
		b = append(b, '.')
	} else {
		b = append(b, ' ')
	}
	b = append(append(b, w.monthsAbbr[t.Month()-1]...), ' ')
	return string(appendClock(b, t))
}

// spokenTime is "Donnerstag, 26. November, 16 Uhr 30"; "Thursday, 26 November, 4:30 pm".
func (w *sentences) spokenTime(t time.Time) string {
	b := make([]byte, 0, 48)
	b = append(append(b, w.weekdays[t.Weekday()]...), ", "...)
	b = append(w.appendDayMonth(b, t), ", "...)
	h, m := t.Hour(), t.Minute()
	if w.clock != "" {
		b = append(strconv.AppendInt(b, int64(h), 10), w.clock...)
		if m > 0 {
			b = strconv.AppendInt(append(b, ' '), int64(m), 10)
		}
		return string(b)
	}
	b = strconv.AppendInt(b, int64((h+11)%12+1), 10)
	if m > 0 {
		b = append(b, ':', byte('0'+m/10), byte('0'+m%10))
	}
	if h < 12 {
		return string(append(b, " am"...))
	}
	return string(append(b, " pm"...))
}

// longDay is "Donnerstag, 26. November 2026".
func (w *sentences) longDay(t time.Time) string {
	b := append(append(make([]byte, 0, 40), w.weekdays[t.Weekday()]...), ", "...)
	return string(w.appendDay(b, t))
}

// appendDay writes "26. November 2026".
func (w *sentences) appendDay(b []byte, t time.Time) []byte {
	return strconv.AppendInt(append(w.appendDayMonth(b, t), ' '), int64(t.Year()), 10)
}

// appendDayMonth writes "26. November".
func (w *sentences) appendDayMonth(b []byte, t time.Time) []byte {
	b = strconv.AppendInt(b, int64(t.Day()), 10)
	if w.clock != "" {
		b = append(b, '.')
	}
	return append(append(b, ' '), w.months[t.Month()-1]...)
}

func appendClock(b []byte, t time.Time) []byte {
	h, m := t.Hour(), t.Minute()
	return append(b, byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10))
}
