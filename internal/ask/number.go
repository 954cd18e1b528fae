package ask

import (
	"slices"
	"strconv"
	"strings"
)

// decimal is m / 10^scale.
type decimal struct {
	m     int64
	scale int
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

func (d decimal) negative() bool { return d.m < 0 }

// String writes it with "." as the point and its zeros as typed.
func (d decimal) String() string {
	s := strconv.FormatInt(d.m, 10)
	sign := ""
	if d.m < 0 {
		sign, s = "-", s[1:]
	}
	if d.scale <= 0 {
		return sign + s
	}
	for len(s) <= d.scale {
		s = "0" + s
	}
	return sign + s[:len(s)-d.scale] + "." + s[len(s)-d.scale:]
}

func (d decimal) float() float64 {
	f, _ := strconv.ParseFloat(d.String(), 64)
	return f
}

// small gives it as an int if it is a whole number below 10^9.
func (d decimal) small() (int, bool) {
	m := d.m
	for range d.scale {
		if m%10 != 0 {
			return 0, false
		}
		m /= 10
	}
	if m > 1e9 || m < -1e9 {
		return 0, false
	}
	return int(m), true
}

// shorn drops zeros at the end until no more than digits are left after the point; ok is false if others stand there.
func (d decimal) shorn(digits int) (decimal, bool) {
	for d.scale > digits && d.m%10 == 0 {
		d.m, d.scale = d.m/10, d.scale-1
	}
	return d, d.scale <= digits
}

const mostMantissa = 1e15

// times multiplies by a fraction, if that can be written exactly.
func (d decimal) times(num, den int64) (decimal, bool) {
	if num == 0 || d.m > mostMantissa || d.m < -mostMantissa || num > 1000 && (d.m > 1e18/num || d.m < -1e18/num) {
		return d, false
	}
	m, scale := d.m*num, d.scale
	for range 7 {
		if m%den == 0 {
			m /= den
			out := decimal{m, scale}
			if num != den {
				out, _ = out.shorn(0) // "1,5 Mio" is 1500000, not 1500000.0
			}
			return out, out.m <= mostMantissa && out.m >= -mostMantissa
		}
		if m > 9e17 || m < -9e17 {
			return d, false
		}
		m, scale = m*10, scale+1
	}
	return d, false
}

// parseDecimal reads digits with at most one ".".
func parseDecimal(s string) (decimal, bool) {
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	whole, frac, point := strings.Cut(s, ".")
	if whole == "" || point && frac == "" || len(frac) > 12 {
		return decimal{}, false
	}
	digits := strings.TrimLeft(whole+frac, "0")
	if len(digits) > 15 {
		return decimal{}, false
	}
	var m int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return decimal{}, false
		}
		m = m*10 + int64(c-'0')
	}
	for _, c := range whole + frac {
		if c < '0' || c > '9' {
			return decimal{}, false
		}
	}
	if neg {
		m = -m
	}
	return decimal{m, len(frac)}, true
}

// amount is a number in a text, with what it can mean: "1.234" is two things.
type amount struct {
	i, j     int       // tokens, with sign and unit
	readings []decimal // the German one first
	unit     *unit
	compared bool // "mehr als 10"
	tooBig   bool
	alien    bool // part of something else: a time, a date, a house number
}

func within(ms []amount, i int) bool {
	for _, m := range ms {
		if i >= m.i && i < m.j {
			return true
		}
	}
	return false
}

// numberWords are values of words by which numbers are built.
var numberWords = func() map[string]int64 {
	m := map[string]int64{}
	for v, list := range map[int64]string{
		0: "null|zero|nil|nought", 1: "eins|ein|eine|einen|einem|einer|eines|one|eis|oans", 2: "zwei|zwo|two|zwoi|zwöi|zwa", 3: "drei|three|drü|drüü", 4: "vier|four|vieri", 5: "fünf|five|foif|füfi",
		6: "sechs|six|sächs", 7: "sieben|seven|sibe|siebn", 8: "acht|eight|achti", 9: "neun|nine|nün", 10: "zehn|ten|zäh", 11: "elf|eleven|ölf", 12: "zwölf|twelve|zwölfi|dutzend|dozen",
		13: "dreizehn|thirteen", 14: "vierzehn|fourteen", 15: "fünfzehn|fifteen|fuffzehn|füfzäh", 16: "sechzehn|sixteen", 17: "siebzehn|seventeen", 18: "achtzehn|eighteen", 19: "neunzehn|nineteen",
		20: "zwanzig|twenty|zwänzg|zwoanzg", 30: "dreißig|thirty|driissg", 40: "vierzig|forty|fourty|vierzg", 50: "fünfzig|fifty|fuffzig|füfzg", 60: "sechzig|sixty|sächzg", 70: "siebzig|seventy", 80: "achtzig|eighty", 90: "neunzig|ninety",
		100: "hundert|hundred", 1000: "tausend|thousand", 1000000: "million|millionen", 1000000000: "milliarde|milliarden|billion",
	} {
		for _, w := range strings.Split(list, "|") {
			m[fold(w)] = v
		}
	}
	return m
}()

// germanParts are the pieces of German compound numbers, the longest first.
var germanParts = func() []struct {
	s string
	v int64
} {
	var out []struct {
		s string
		v int64
	}
	for s, v := range numberWords {
		switch s {
		case "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "eine", "einen", "einem", "einer", "eines", "nil", "eis", "million", "billion", "dutzend", "dozen":
			continue
		}
		out = append(out, struct {
			s string
			v int64
		}{s, v})
	}
	slices.SortFunc(out, func(a, b struct {
		s string
		v int64
	}) int {
		if len(a.s) != len(b.s) {
			return len(b.s) - len(a.s)
		}
		return strings.Compare(a.s, b.s)
	})
	return out
}()

// germanNumber reads a compound: "zwölftausend", "zweiundzwanzig", "dreihundertfünfzig", "zweieinhalb", "anderthalb".
func germanNumber(w string) (decimal, bool) {
	switch w {
	case "halb", "halbe", "halber", "halbes", "halben", "half":
		return decimal{5, 1}, true
	case "anderthalb", "eineinhalb", "einundeinhalb", "eineinhalbe", "anderthalbe":
		return decimal{15, 1}, true
	}
	half := false
	if rest, ok := strings.CutSuffix(w, "einhalb"); ok && rest != "" {
		half, w = true, strings.TrimSuffix(rest, "und")
	}
	if v, ok := numberWords[w]; ok && !half {
		return decimal{v, 0}, true
	}
	if len(w) < 3 || len(w) > 60 {
		return decimal{}, false
	}
	var total, cur, unit int64
	hasUnit, parts := false, 0
	for w != "" {
		if hasUnit && strings.HasPrefix(w, "und") {
			w = w[3:]
			// "zweiundzwanzig": the unit waits for its ten.
			v, rest, ok := cutPart(w)
			if !ok || v < 20 || v > 90 {
				return decimal{}, false
			}
			cur += v + unit
			hasUnit, unit, w = false, 0, rest
			parts++
			continue
		}
		if parts > 0 {
			w = strings.TrimPrefix(w, "und")
		}
		v, rest, ok := cutPart(w)
		if !ok {
			return decimal{}, false
		}
		w = rest
		parts++
		switch {
		case v == 100 || v == 1000 || v >= 1000000:
			if hasUnit {
				cur += unit
				hasUnit, unit = false, 0
			}
			if v == 100 {
				h := max(cur, 1)
				if h > 99 {
					return decimal{}, false
				}
				cur = h * 100
			} else {
				total += max(cur, 1) * v
				cur = 0
			}
		default:
			if hasUnit || cur%10 != 0 && v < 100 || cur%100 != 0 && v >= 10 {
				return decimal{}, false
			}
			if v < 10 {
				hasUnit, unit = true, v
			} else {
				cur += v
			}
		}
	}
	if hasUnit {
		cur += unit
	}
	total += cur
	if half {
		return decimal{total*10 + 5, 1}, true
	}
	return decimal{total, 0}, parts > 0
}

func cutPart(w string) (int64, string, bool) {
	for _, p := range germanParts {
		if strings.HasPrefix(w, p.s) {
			return p.v, w[len(p.s):], true
		}
	}
	return 0, w, false
}

// magnitudes are factors written behind a number.
var magnitudes = map[string]int64{"tsd": 1000, "tausend": 1000, "thousand": 1000, "k": 1000, "mio": 1000000, "mill": 1000000, "million": 1000000, "millionen": 1000000, "m": 0, "mrd": 1000000000, "milliarde": 1000000000, "milliarden": 1000000000, "billion": 1000000000, "hundert": 100, "hundred": 100, "dutzend": 12, "dozen": 12, "bn": 1000000000, "mln": 1000000}

var comparers = set(`mehr als|weniger als|über|unter|mindestens|höchstens|maximal|minimal|mehr wie|more than|less than|at least|at most|over|under|up to|bis zu|bis|<|>|≤|≥|wenigstens|fast|knapp|almost|nearly|below|above|zwischen|between|from`)

var approx = set(`ca|circa|zirka|etwa|ungefähr|rund|um die|so um die|so|about|around|approximately|approx|roughly|~|≈|cirka`)

// amounts finds the numbers of a text.
func amounts(toks []token) (out []amount) {
	for i := 0; i < len(toks); {
		m, ok := amountAt(toks, i)
		if !ok {
			i++
			continue
		}
		for _, p := range []int{3, 2, 1} {
			if k := m.i - p; k >= 0 {
				if _, n := comparers.at(toks, k); n == p {
					m.compared = true
				}
			}
		}
		out = append(out, m)
		i = m.j
	}
	return out
}

func amountAt(toks []token, i int) (amount, bool) {
	m := amount{i: i}
	j := i
	neg := false
	money := unitAt(toks, j, true)
	if money != nil && money.quantity == "money" && j+1 < len(toks) {
		j++
	} else {
		money = nil
	}
	switch {
	case j < len(toks) && toks[j].s == "-" && j+1 < len(toks) && toks[j+1].kind == digitToken && !toks[j+1].gap && (toks[j].gap || j == 0):
		neg = true
		j++
	case j < len(toks) && (toks[j].s == "minus" || toks[j].s == "negative") && j+1 < len(toks):
		neg = true
		j++
	case j < len(toks) && toks[j].s == "+" && j+1 < len(toks) && toks[j+1].kind == digitToken:
		j++
	}
	if money == nil && j < len(toks) {
		if u := unitAt(toks, j, true); u != nil && u.quantity == "money" && j+1 < len(toks) && toks[j+1].kind == digitToken {
			money = u
			j++
		}
	}
	if j >= len(toks) {
		return m, false
	}
	switch {
	case toks[j].kind == digitToken:
		j = m.digits(toks, j)
	case toks[j].kind == wordToken:
		k, d, ok := wordsNumber(toks, j)
		if !ok {
			return m, false
		}
		j = k
		// "zwölf Komma fünf", "twelve point five"
		if s := tokAt(toks, j).s; d.scale == 0 && (s == "komma" || s == "point" || s == "comma") {
			digits := ""
			k := j + 1
			for ; k < len(toks) && len(digits) < 6; k++ {
				v, ok := numberWords[toks[k].s]
				if !ok || v > 99 || v > 9 && digits != "" {
					break
				}
				digits += strconv.FormatInt(v, 10)
			}
			if x, ok := parseDecimal(d.String() + "." + digits); ok && digits != "" {
				d, j = x, k
			}
		}
		m.readings = []decimal{d}
	default:
		return m, false
	}
	// "12 tsd", "12k", "1,5 Mio"
	if j < len(toks) && toks[j].kind == wordToken {
		f := magnitudes[toks[j].s]
		thousands := "" // "45 tkm", "20 TEUR"
		switch toks[j].s {
		case "tkm":
			f, thousands = 1000, "km"
		case "teur":
			f, thousands = 1000, "EUR"
		}
		if f > 1 {
			ok := true
			for r := range m.readings {
				var fits bool
				m.readings[r], fits = m.readings[r].times(f, 1)
				ok = ok && fits
			}
			if !ok {
				m.tooBig = true
			}
			j++
			if thousands != "" {
				m.unit, m.j = unitNamed(thousands), j
				return m, true
			}
			if j < len(toks) && toks[j].s == "." && !toks[j].gap {
				j++
			}
		}
	}
	// "50,-" and "50.–"
	if j+1 < len(toks) && (toks[j].s == "," || toks[j].s == ".") && toks[j+1].s == "-" && !toks[j].gap && !toks[j+1].gap {
		j += 2
		for j < len(toks) && toks[j].s == "-" && !toks[j].gap {
			j++
		}
	}
	if neg {
		for r := range m.readings {
			m.readings[r].m = -m.readings[r].m
		}
	}
	m.unit = money
	if m.unit == nil {
		if u := unitAt(toks, j, false); u != nil {
			m.unit = u
			j += u.tokens(toks, j)
		}
	}
	m.j = j
	return m, len(m.readings) > 0
}

// digits reads a number in digits from token j on with all its separators, and gives where it ends.
func (m *amount) digits(toks []token, j int) int {
	groups := []string{toks[j].s}
	var seps []string
	k := j + 1
	for k < len(toks) {
		t := toks[k]
		if t.kind == signToken && !t.gap && (t.s == "." || t.s == "," || t.s == "'") && k+1 < len(toks) && toks[k+1].kind == digitToken && !toks[k+1].gap {
			seps, groups = append(seps, t.s), append(groups, toks[k+1].s)
			k += 2
			continue
		}
		// "1 234,5": a group of three after a space
		if t.kind == digitToken && t.gap && len(t.s) == 3 && len(groups[0]) <= 3 && (len(seps) == 0 || seps[len(seps)-1] == " ") {
			seps, groups = append(seps, " "), append(groups, t.s)
			k++
			continue
		}
		break
	}
	// Times and dates are none of ours.
	if k+1 < len(toks) && toks[k].s == ":" && !toks[k].gap && toks[k+1].kind == digitToken && !toks[k+1].gap {
		m.alien = true
		k += 2
	}
	if k < len(toks) && toks[k].s == "uhr" {
		m.alien = true
	}
	read := func(s string) {
		d, ok := parseDecimal(s)
		switch {
		case !ok:
			m.tooBig = true
		case !slices.Contains(m.readings, d):
			m.readings = append(m.readings, d)
		}
	}
	if s, ok := notation(groups, seps, ".", ","); ok { // German
		read(s)
	}
	if s, ok := notation(groups, seps, ",", "."); ok { // English
		read(s)
	}
	if len(m.readings) == 0 && !m.tooBig {
		m.alien = true
		read(groups[0])
	}
	if m.tooBig && len(m.readings) == 0 {
		m.readings = []decimal{{mostMantissa, 0}}
	}
	return k
}

// notation writes groups of digits as a plain number, if thousands and point part them properly. Apostrophes and spaces
// part thousands in either notation.
func notation(groups, seps []string, thousands, point string) (string, bool) {
	if len(groups) == 1 {
		return groups[0], true
	}
	last := len(seps) - 1
	whole, frac := groups, ""
	if seps[last] == point {
		whole, frac = groups[:last+1], groups[last+1]
		seps = seps[:last]
	}
	for i, s := range seps {
		if s != thousands && s != "'" && s != " " || i > 0 && s != seps[0] || len(whole[i+1]) != 3 {
			return "", false
		}
	}
	if len(seps) > 0 && (len(whole[0]) > 3 || whole[0][0] == '0') {
		return "", false
	}
	out := strings.Join(whole, "")
	if frac != "" {
		out += "." + frac
	}
	return out, true
}

// wordsNumber reads a number in words from token j on.
func wordsNumber(toks []token, j int) (int, decimal, bool) {
	d, ok := germanNumber(toks[j].s)
	if !ok {
		return 0, d, false
	}
	k := j + 1
	// English, and German written apart: "twenty five", "twelve thousand five hundred", "zwölf tausend".
	total, cur := int64(0), d.m
	if d.scale > 0 {
		return k, d, true
	}
	if v, plain := numberWords[toks[j].s]; plain && (v == 1000 || v == 1000000) {
		total, cur = v, 0
	}
	for k < len(toks) {
		t := toks[k]
		next := k
		if t.s == "-" && !t.gap && k+1 < len(toks) && !toks[k+1].gap || (t.s == "and" || t.s == "und") && k+1 < len(toks) && (cur >= 100 || total > 0) {
			next = k + 1
		}
		if toks[next].kind != wordToken {
			break
		}
		if (toks[next].s == "half" || toks[next].s == "halb") && next > k {
			return next + 1, decimal{(total+cur)*10 + 5, 1}, true
		}
		v, ok := germanNumber(toks[next].s)
		if !ok || v.scale > 0 {
			break
		}
		switch {
		case v.m == 100 && cur > 0 && cur < 100:
			cur *= 100
		case v.m >= 1000 && (v.m == 1000 || v.m == 1000000 || v.m == 1000000000) && cur > 0:
			total, cur = total+cur*v.m, 0
		case v.m < 10 && cur >= 20 && cur%10 == 0 && cur%100 != 0, v.m < 100 && v.m > 0 && cur >= 100 && cur%100 == 0, v.m < 1000 && cur == 0 && total > 0 && v.m > 0:
			cur += v.m
		default:
			return k, decimal{total + cur, 0}, true
		}
		k = next + 1
	}
	return k, decimal{total + cur, 0}, true
}

// unit is a unit of measurement.
type unit struct {
	name     string // canonical
	quantity string
	num, den int64 // in the base unit of its quantity; 0 = not exact
}

func (u *unit) tokens(toks []token, i int) int {
	if u == nil {
		return 0
	}
	_, n := units.at(toks, i)
	if n > 0 && i+n < len(toks) && (toks[i+n].s == "²" || toks[i+n].s == "³") {
		n++
	} else if n > 0 && i+n < len(toks) && toks[i+n].kind == digitToken && !toks[i+n].gap && (toks[i+n].s == "2" || toks[i+n].s == "3") {
		n++
	}
	return max(n, 1)
}

var units = func() *phrases[*unit] {
	p := &phrases[*unit]{}
	add := func(quantity, name string, num, den int64, list string) {
		p.add(&unit{name: name, quantity: quantity, num: num, den: den}, list)
	}
	add("length", "mm", 1, 1000, "mm|millimeter|millimetre|millimetres")
	add("length", "cm", 1, 100, "cm|zentimeter|centimeter|centimetres|centimeters")
	add("length", "m", 1, 1, "m|meter|metre|metres|meters|metern")
	add("length", "km", 1000, 1, "km|kilometer|kilometern|kilometre|kilometres|kilometers|kms")
	add("length", "mi", 0, 0, "mi|mile|miles|meile|meilen")
	add("length", "ft", 0, 0, "ft|feet|foot|fuß")
	add("length", "in", 0, 0, "inch|inches|zoll")
	add("mass", "mg", 1, 1000000, "mg|milligramm")
	add("mass", "g", 1, 1000, "g|gramm|gram|grams|gr")
	add("mass", "kg", 1, 1, "kg|kilo|kilos|kilogramm|kilogram|kilograms|kilogrammes")
	add("mass", "t", 1000, 1, "t|tonne|tonnen|tonnes|ton|tons|to")
	add("mass", "lb", 0, 0, "lb|lbs|pound weight")
	add("mass", "pfund", 1, 2, "pfund")
	add("mass", "dag", 1, 100, "deka|dag")
	add("mass", "Ztr", 50, 1, "zentner")
	add("time", "s", 1, 60, "s|sec|sek|sekunde|sekunden|second|seconds|secs")
	add("time", "min", 1, 1, "min|mins|minute|minuten|minutes")
	add("time", "h", 60, 1, "h|std|stunde|stunden|hour|hours|hrs|hr")
	add("time", "d", 1440, 1, "d|tag|tage|tagen|day|days")
	add("time", "w", 10080, 1, "woche|wochen|week|weeks|wk|wks")
	add("months", "mon", 1, 1, "monat|monate|monaten|month|months")
	add("months", "a", 12, 1, "jahr|jahre|jahren|year|years|yr|yrs|jährig")
	add("volume", "ml", 1, 1000, "ml|milliliter|millilitre")
	add("volume", "cl", 1, 100, "cl")
	add("volume", "l", 1, 1, "l|liter|litre|litres|liters|litern|ltr")
	add("volume", "hl", 100, 1, "hl|hektoliter")
	add("volume", "m³", 1000, 1, "cbm|kubikmeter|cubic metres|cubic meters|cubic metre|cubic meter")
	add("volume", "gal", 0, 0, "gallon|gallons")
	add("area", "m²", 1, 1, "qm|quadratmeter|square metres|square meters|square metre|square meter|sqm")
	add("area", "ha", 10000, 1, "ha|hektar|hectare|hectares")
	add("area", "km²", 1000000, 1, "quadratkilometer")
	add("area", "sqft", 0, 0, "sqft|square feet|sq ft")
	add("money", "EUR", 100, 1, "€|eur|euro|euros|euronen")
	add("money", "ct", 1, 1, "ct|cent|cents|eurocent")
	add("money:CHF", "CHF", 1, 1, "chf|sfr|franken|fr|fränkli|stutz|francs")
	add("money:USD", "USD", 1, 1, "$|usd|dollar|dollars|bucks")
	add("money:GBP", "GBP", 1, 1, "£|gbp|pfund sterling|pounds|quid|pound")
	add("percent", "%", 1, 1, "%|prozent|percent|per cent")
	add("energy", "Wh", 1, 1000, "wh|wattstunden")
	add("energy", "kWh", 1, 1, "kwh|kilowattstunden|kilowattstunde|kilowatt hours|kw h")
	add("energy", "MWh", 1000, 1, "mwh|megawattstunden")
	add("power", "W", 1, 1000, "w|watt")
	add("power", "kW", 1, 1, "kw|kilowatt")
	add("power", "PS", 0, 0, "ps|hp")
	add("temperature", "°C", 1, 1, "°|grad|celsius|degrees|grad celsius")
	add("count", "", 1, 1, "stück|stk|st|pcs|pieces|piece|personen|person|leute|people|kinder|kind|children|mal|x|exemplare|units|einheiten|zimmer|rooms|room|teile|items|gäste|guests|erwachsene|adults|mann|plätze|seats|tickets|karten|päckchen|pakete|boxes|kisten|flaschen|fahrzeuge|autos|cars")
	return p
}()

// unitAt gives the unit that begins at token i; before says that it stands before its number.
func unitAt(toks []token, i int, before bool) *unit {
	if i >= len(toks) {
		return nil
	}
	u, n := units.at(toks, i)
	if n == 0 {
		return nil
	}
	if before {
		if !strings.HasPrefix(u.quantity, "money") || u.name == "ct" {
			return nil
		}
		return money(u)
	}
	if i+n < len(toks) && !toks[i+n].gap {
		suffix := toks[i+n].s
		if suffix == "²" || suffix == "2" && (u.name == "m" || u.name == "km") {
			if v := units.m[toks[i].s+"2"]; v != nil {
				return v
			}
			return unitNamed(u.name + "²")
		}
		if suffix == "³" || suffix == "3" && u.name == "m" {
			return unitNamed("m³")
		}
	}
	return money(u)
}

func money(u *unit) *unit {
	if strings.HasPrefix(u.quantity, "money:") {
		return &unit{name: u.name, quantity: "money"}
	}
	return u
}

var unitsByName = func() map[string]*unit {
	m := map[string]*unit{}
	for _, u := range units.m {
		m[u.name] = money(u)
	}
	return m
}()

func unitNamed(s string) *unit {
	if u := unitsByName[s]; u != nil {
		return u
	}
	toks := tokenise(s)
	if len(toks) == 0 {
		return nil
	}
	u, n := units.at(toks, 0)
	if n == 0 {
		return nil
	}
	if n < len(toks) {
		return unitAt(toks, 0, false)
	}
	return money(u)
}

// inUnit brings a number into the unit of the ask; why is "" if that works exactly.
func (a *Ask) inUnit(d decimal, u *unit) (decimal, string) {
	if u == nil || u.quantity == "count" {
		return d, ""
	}
	want := unitNamed(a.Unit)
	if a.Unit == "" {
		if u.quantity == "money" || u.quantity == "percent" {
			return d, ""
		}
		return d, ""
	}
	if want == nil {
		return d, "unit"
	}
	if want.name == u.name {
		return d, ""
	}
	if want.quantity != u.quantity || want.num == 0 || u.num == 0 {
		return d, "unit"
	}
	out, ok := d.times(u.num*want.den, u.den*want.num)
	if !ok {
		return d, "unit"
	}
	return out, ""
}

// fits holds a number to Min, Max and Decimals; detail is "" if it does.
func (a *Ask) fits(d decimal) (out decimal, detail string) {
	out, ok := d.shorn(max(a.Decimals, 0))
	f := out.float()
	switch {
	case a.Min != nil && f < *a.Min:
		return out, "min"
	case a.Max != nil && f > *a.Max:
		return out, "max"
	case !ok:
		return out, "decimals"
	}
	return out, ""
}

// number resolves an amount.
func (a *Ask) number(toks []token, c *Context) Outcome {
	toks = uncut(toks)
	ms := amounts(toks)
	mood := moodOf(toks)
	value := func(d decimal) Value { return Value{Number: d.String(), Unit: a.Unit} }
	if len(ms) == 0 {
		if _, n := noneWords.at(toks, 0); n > 0 && len(toks) <= n+1 && !mood.hedged {
			zero := decimal{}
			if _, bad := a.fits(zero); bad == "" {
				return Outcome{Value: value(zero), Confidence: 0.82, Reading: "words"}
			} else {
				return Outcome{Problem: OutOfRange, Detail: bad, Value: value(zero), Confidence: 0.8}
			}
		}
		return Outcome{Problem: Unclear}
	}
	real := withoutArticles(toks, ms)
	if len(real) == 0 {
		return Outcome{Problem: Unclear}
	}
	// The only one in the unit that was asked for counts if there are several.
	if len(real) > 1 && a.Unit != "" {
		want := unitNamed(a.Unit)
		var fitting []amount
		for _, m := range real {
			if m.unit != nil && want != nil && m.unit.quantity == want.quantity || m.unit == nil && foldsTo(toks, m.j, a.Unit) {
				fitting = append(fitting, m)
			}
		}
		if len(fitting) == 1 && !adjacent(toks, real) {
			real = fitting
		}
	}
	sc := scopes(toks)
	kept := real[:0:0]
	for _, m := range real {
		if !sc.negated(m.i) {
			kept = append(kept, m)
		}
	}
	if len(kept) == 0 {
		return Outcome{Problem: Unclear, Confidence: 0.3}
	}
	for _, m := range kept {
		// "1e5", "MZ12": part of something that is no number
		if t := tokAt(toks, m.j); t.s == "/" && !t.gap && m.unit != nil && m.unit.quantity != "money" || t.kind == wordToken && !t.gap && toks[m.j-1].kind == digitToken && !foldsTo(toks, m.j, a.Unit) || m.i > 0 && toks[m.i-1].kind == wordToken && !toks[m.i].gap {
			return Outcome{Problem: Unclear, Confidence: 0.3}
		}
	}
	foreign := false // only the other language's notation gives a number that is allowed, for its digits alone
	readings := func(m amount) (good []decimal, first decimal, detail string) {
		foreign = false
		order := m.readings
		if len(order) == 2 && !germanNotation(c.Language) {
			order = []decimal{order[1], order[0]}
		}
		for n, typed := range order {
			d, bad := a.inUnit(typed, m.unit)
			if bad == "" {
				d, bad = a.fits(d)
			}
			if n > 0 && bad == "" && typed.scale > max(a.Decimals, 0) {
				bad = "decimals" // nobody writes "12.000" for twelve
			}
			if n == 0 {
				first, detail = d, bad
			}
			if bad == "" {
				good = append(good, d)
				foreign = n > 0
			}
		}
		foreign = foreign && len(good) == 1 && detail == "decimals"
		return good, first, detail
	}
	if len(kept) > 1 {
		var cands []Value
		for _, m := range kept {
			good, _, _ := readings(m)
			for _, d := range good {
				if v := value(d); !slices.ContainsFunc(cands, func(x Value) bool { return x.Number == v.Number }) {
					cands = append(cands, v)
				}
			}
		}
		return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: cands, Reading: "amount"}
	}
	m := kept[0]
	if m.alien || m.compared {
		return Outcome{Problem: Unclear, Confidence: 0.4, Reading: "amount"}
	}
	good, first, bad := readings(m)
	if m.tooBig {
		return Outcome{Problem: OutOfRange, Detail: "max", Confidence: 0.8, Value: value(first)}
	}
	// What else stands there?
	conf := 0.98
	if toks[m.i].kind == wordToken && (m.unit == nil || m.j-m.i > 1) {
		conf = 0.93
	}
	unknown, beside := 0, false
	for i := 0; i < len(toks); i++ {
		if i >= m.i && i < m.j || toks[i].kind != wordToken {
			if toks[i].s == "~" || toks[i].s == "≈" {
				conf = min(conf, 0.85)
			}
			continue
		}
		if foldsTo(toks, i, a.Unit) {
			continue
		}
		if _, n := approx.at(toks, i); n > 0 {
			conf = min(conf, 0.85)
			i += n - 1
			continue
		}
		if _, n := fillers.at(toks, i); n > 0 {
			i += n - 1
			continue
		}
		if _, n := units.at(toks, i); n > 0 && i == m.j {
			i += n - 1
			continue
		}
		if negators.has(toks[i].s) {
			conf = min(conf, 0.6)
			continue
		}
		unknown++
		beside = beside || i == m.j
	}
	if a.Unit != "" && m.unit == nil && beside && (toks[m.j].capital || unknown > 1) {
		conf = min(conf, 0.7) // "Auto hat 4 Türen" is no answer in kilometres
	}
	conf -= 0.04 * float64(unknown)
	if u := m.unit; a.Unit == "" && u != nil && u.quantity != "count" && u.quantity != "money" && unknown > 1 {
		conf = min(conf, 0.7) // "vor 3 Tagen geschrieben" is no count of anything that was asked for
	}
	if mood.hedged || mood.asks || mood.or {
		conf = min(conf, 0.6)
	}
	switch {
	case len(good) == 0 && bad == "unit":
		return Outcome{Problem: Unclear, Detail: "unit", Confidence: 0.4, Reading: "amount"}
	case len(good) == 0:
		return Outcome{Problem: OutOfRange, Detail: bad, Confidence: conf, Value: value(first), Reading: "amount"}
	case len(good) > 1:
		return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: []Value{value(good[0]), value(good[1])}, Reading: "amount"}
	case foreign:
		return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: []Value{value(good[0])}, Reading: "amount"}
	case conf < Sure:
		return Outcome{Problem: Unclear, Confidence: conf, Candidates: []Value{value(good[0])}, Reading: "amount"}
	}
	return Outcome{Value: value(good[0]), Confidence: conf, Reading: "amount"}
}

// withoutArticles drops "ein" and "eine" beside real numbers.
func withoutArticles(toks []token, ms []amount) []amount {
	out := ms[:0:0]
	for _, m := range ms {
		if toks[m.i].kind == wordToken {
			switch toks[m.i].s {
			case "ein", "eine", "einen", "einem", "einer", "eines", "one":
				if m.j-m.i == 1 && (len(ms) > 1 || len(toks) > 2 && !countFollows(toks, m.j)) {
					continue
				}
			}
		}
		out = append(out, m)
	}
	return out
}

// countFollows: "ein Kind", "eine Person" count.
func countFollows(toks []token, i int) bool {
	if i >= len(toks) {
		return true
	}
	_, n := units.at(toks, i)
	return n > 0 || toks[i].kind == signToken && i+1 == len(toks)
}

func adjacent(toks []token, ms []amount) bool {
	for i := 1; i < len(ms); i++ {
		between := joined(toks[ms[i-1].j:ms[i].i])
		if between == "" || between == "und" || between == "oder" || between == "bis" || between == "or" || between == "to" || between == "and" {
			return true
		}
	}
	return false
}

// foldsTo says whether a unit that we do not know stands at token i as the ask writes it.
func foldsTo(toks []token, i int, s string) bool {
	return s != "" && i < len(toks) && toks[i].s == fold(s)
}

func germanNotation(language string) bool {
	return language == "" || strings.HasPrefix(language, "de") && !strings.HasPrefix(language, "de-CH") && !strings.HasPrefix(language, "de-LI")
}
