package search

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Limits that bound what one text can cost.
const (
	maxText  = 128 << 10 // bytes of one text that are looked at
	maxTerms = 4000      // terms of one message or customer
	maxGroup = 12        // words that one identifier is made of
)

// class says how a text is meant: names are not inflected, so that Hans does not find Hansen.
type class byte

const (
	prose class = iota
	name
	mark // no text at all: what a conversation is filtered by
)

// emit is told of a stretch of the text (bytes) and its terms. Stretches may overlap: an identifier as a whole and its
// parts.
type emit func(from, to int, terms []string)

// atom is a run of letters and digits.
type atom struct {
	from, to int
	digits   bool // nothing but ASCII digits
	before   byte // what joins it to the atom before it: 0 = more than one character
}

// analyse turns a text into terms.
func analyse(text string, c class, fn emit) {
	if len(text) > maxText {
		text = text[:maxText]
	}
	var ring []atom // the group under way
	var digits []atom
	var iban []atom
	flushDigits := func() {
		phones(text, digits, fn)
		digits = digits[:0]
	}
	flushIBAN := func() {
		ibans(text, iban, fn)
		iban = iban[:0]
	}
	flush := func() {
		group(text, ring, c, fn)
		ring = ring[:0]
	}
	end := 0
	for at := 0; at < len(text); {
		a, ok := nextAtom(text, at)
		if !ok {
			break
		}
		gap := text[end:a.from]
		if len(gap) == 1 && len(ring) > 0 && strings.IndexByte("-_/.:@&+#'", gap[0]) >= 0 {
			a.before = gap[0]
		} else if gap == "’" && len(ring) > 0 {
			a.before = '\''
		}
		if a.before == 0 {
			flush()
		}
		// Numbers that follow each other closely may be one telephone number.
		if a.digits && len(digits) > 0 && len(gap) <= 3 && strings.Trim(gap, " -/().\u00a0") == "" && len(digits) < maxGroup {
			digits = append(digits, a)
		} else {
			flushDigits()
			if a.digits {
				digits = append(digits, a)
			}
		}
		if len(iban) > 0 && (gap == " " || gap == "\u00a0") && len(iban) < maxGroup {
			iban = append(iban, a)
		} else {
			flushIBAN()
			if a.to-a.from == 4 && isIBANHead(text[a.from:a.to]) {
				iban = append(iban, a)
			}
		}
		ring = append(ring, a)
		at, end = a.to, a.to
		if !(a.before == '\'' && a.to-a.from == 1) { // the s of "insured's" says nothing
			if t := atomTerms(text[a.from:a.to], c); len(t) > 0 {
				fn(a.from, a.to, t)
			}
		}
	}
	flush()
	flushDigits()
	flushIBAN()
}

// nextAtom finds the next run of letters and digits. A Han character is a word of its own.
func nextAtom(s string, at int) (atom, bool) {
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		if wordRune(r) {
			break
		}
		at += n
	}
	if at >= len(s) {
		return atom{}, false
	}
	a := atom{from: at, digits: true}
	for at < len(s) {
		c := s[at]
		if c < utf8.RuneSelf {
			switch {
			case c >= '0' && c <= '9':
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
				a.digits = false
			default:
				a.to = at
				return a, true
			}
			at++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[at:])
		if r == '\u00ad' || r == '\u200c' || r == '\u200d' { // soft hyphen, joiners
			at += n
			continue
		}
		if !wordRune(r) && !unicode.IsMark(r) {
			break
		}
		if unicode.Is(unicode.Han, r) {
			if at == a.from {
				at += n
				a.digits = false
			}
			break
		}
		a.digits = false
		at += n
	}
	a.to = at
	return a, true
}

func wordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r))
}

// atomCache keeps the terms of words seen before; language repeats itself. It is emptied when it is full.
var atomCache = struct {
	sync.RWMutex
	m [2]map[string][]string
}{m: [2]map[string][]string{{}, {}}}

const cacheWords = 16 << 10

// atomTerms gives the terms of one word.
func atomTerms(w string, c class) []string {
	if len(w) > 64 {
		return makeTerms(w, c)
	}
	atomCache.RLock()
	t, ok := atomCache.m[c][w]
	atomCache.RUnlock()
	if ok {
		return t
	}
	t = makeTerms(w, c)
	atomCache.Lock()
	if len(atomCache.m[c]) >= cacheWords {
		clear(atomCache.m[c])
	}
	atomCache.m[c][strings.Clone(w)] = t
	atomCache.Unlock()
	return t
}

func makeTerms(w string, c class) []string {
	f := fold(w)
	if f == "" {
		return nil
	}
	exact := cut(reduce(f))
	out := []string{exact}
	if c == name {
		return out
	}
	add := func(t string) {
		if t = cut(t); t == "" {
			return
		}
		for _, have := range out {
			if have == t {
				return
			}
		}
		out = append(out, t)
	}
	// Letters and digits side by side: KFZ123456.
	if runs := mixed(f); len(runs) > 0 {
		for _, r := range runs {
			add(reduce(r))
		}
		return out
	}
	if f[0] >= '0' && f[0] <= '9' {
		for _, k := range phoneKeys(f, false) {
			add(k)
		}
		return out
	}
	add(reduce(stem(f)))
	parts := split(f)
	for _, p := range parts {
		add(p.term)
		if len(p.word) >= 2*minPart { // a part may be a compound of the list itself: Elementarschaden
			for _, sub := range split(p.word) {
				add(sub.term)
			}
		}
	}
	// Kfz-Haftpflichtversicherung written as one word holds the Haftpflichtversicherung too.
	if n := len(parts); n >= 3 && n <= maxParts {
		for i := 1; i < n-1; i++ {
			add(reduce(stem(f[parts[i].from:])))
			if head := strings.TrimSuffix(f[:parts[i].to], "s"); head != "" {
				add(reduce(stem(head)))
			}
		}
	}
	return out
}

// mixed gives the runs of letters and of digits of a word that has both; runs of one character say nothing.
func mixed(f string) []string {
	isDigit := func(c byte) bool { return c >= '0' && c <= '9' }
	has := [2]bool{}
	for i := 0; i < len(f); i++ {
		if isDigit(f[i]) {
			has[0] = true
		} else {
			has[1] = true
		}
	}
	if !has[0] || !has[1] {
		return nil
	}
	var out []string
	for i := 0; i < len(f) && len(out) < maxGroup; {
		j := i + 1
		for j < len(f) && isDigit(f[j]) == isDigit(f[i]) {
			j++
		}
		if j-i >= 2 {
			out = append(out, f[i:j])
		}
		i = j
	}
	return out
}

// group emits what atoms that are joined by one character mean as a whole: KFZ-123456, 2024/0815, a mail address.
func group(text string, g []atom, c class, fn emit) {
	if len(g) < 2 || len(g) > maxGroup {
		return
	}
	whole := func(g []atom) {
		if t := joined(text, g); t != "" {
			fn(g[0].from, g[len(g)-1].to, []string{t})
		}
	}
	at, number, hyphens, dots := -1, false, true, true
	for i, a := range g {
		if a.before == '@' && i > 0 && at < 0 {
			at = i
		}
		number = number || strings.ContainsAny(text[a.from:a.to], "0123456789")
		if i > 0 {
			hyphens = hyphens && (a.before == '-' || a.before == '\'')
			dots = dots && (a.before == '.' || a.before == '-')
		}
	}
	switch {
	case at > 0:
		whole(g)
		if at > 1 {
			whole(g[:at])
		}
		if len(g)-at > 1 {
			whole(g[at:])
		}
	case number, dots:
		whole(g)
		if hyphens && !number && c == prose {
			// Haftpflicht-Versicherung is a Haftpflichtversicherung.
			if t := reduce(stem(folded(text, g))); t != "" {
				fn(g[0].from, g[len(g)-1].to, []string{cut(t)})
			}
		}
	case hyphens:
		whole(g)
	}
}

func folded(text string, g []atom) string {
	var b strings.Builder
	for _, a := range g {
		b.WriteString(fold(text[a.from:a.to]))
	}
	return b.String()
}

// joined is the term of atoms taken together.
func joined(text string, g []atom) string { return cut(reduce(folded(text, g))) }

// phones emits the keys of telephone numbers among numbers that follow each other closely.
func phones(text string, d []atom, fn emit) {
	if len(d) == 0 {
		return
	}
	plus := d[0].from > 0 && text[d[0].from-1] == '+'
	if len(d) == 1 && !plus {
		return // its own terms hold the keys
	}
	if !plus && text[d[0].from] != '0' {
		return
	}
	var b strings.Builder
	for i, a := range d {
		s := text[a.from:a.to]
		if i == 1 && s == "0" && (plus || strings.HasPrefix(b.String(), "00")) && a.from > 0 && text[a.from-1] == '(' {
			continue // +49 (0) 171
		}
		b.WriteString(s)
		if b.Len() > 17 {
			return
		}
		if b.Len() < 7 {
			continue
		}
		if keys := phoneKeys(b.String(), plus); len(keys) > 0 {
			fn(d[0].from, a.to, keys)
		}
	}
}

// telMark begins the terms of telephone numbers. It is nothing that anybody types.
const telMark = "0t"

// phoneKeys gives the terms by which a telephone number is found however it is written: without the international or
// national zeros, with and without the country where it is one of ours (Germany, Austria, Switzerland).
func phoneKeys(digits string, plus bool) []string {
	const mark = telMark
	n := digits
	international := plus
	if s, ok := strings.CutPrefix(n, "00"); ok {
		n, international = s, true
	} else if s, ok := strings.CutPrefix(n, "0"); ok && !plus {
		n = s
		if len(n) < 6 || len(n) > 13 {
			return nil
		}
		return []string{mark + n}
	} else if !plus && len(n) < 10 {
		return nil
	}
	if len(n) < 7 || len(n) > 15 {
		return nil
	}
	for _, cc := range []string{"49", "43", "41"} {
		if s, ok := strings.CutPrefix(n, cc); ok && len(s) >= 6 {
			return []string{mark + n, mark + strings.TrimPrefix(s, "0")}
		}
	}
	if !international {
		return nil
	}
	return []string{mark + n}
}

func isIBANHead(s string) bool {
	letter := func(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	return letter(s[0]) && letter(s[1]) && digit(s[2]) && digit(s[3])
}

// ibans emits the term of an IBAN written in groups, if its check digits are right (ISO 13616).
func ibans(text string, g []atom, fn emit) {
	if len(g) < 4 {
		return
	}
	var b strings.Builder
	for i, a := range g {
		s := text[a.from:a.to]
		if len(s) > 4 {
			return
		}
		b.WriteString(strings.ToLower(s))
		if i >= 3 && b.Len() >= 15 && b.Len() <= 34 && validIBAN(b.String()) {
			fn(g[0].from, a.to, []string{b.String()})
			return
		}
	}
}

// validIBAN checks the remainder by 97 of a lower-case IBAN without spaces.
func validIBAN(s string) bool {
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	rest := 0
	for _, c := range []byte(s[4:] + s[:4]) {
		switch {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case c >= 'a' && c <= 'z':
			rest = (rest*100 + int(c-'a') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}

// termSet collects the terms of one document.
type termSet struct {
	prose, names []string
	seen         map[string]struct{}
}

func (t *termSet) add(text string, c class) {
	if t.seen == nil {
		t.seen = make(map[string]struct{}, 128)
	}
	analyse(text, c, func(_, _ int, terms []string) {
		for _, w := range terms {
			key := w
			if c == name {
				key = "\x00" + w
			}
			if _, ok := t.seen[key]; ok || len(t.seen) >= maxTerms {
				continue
			}
			t.seen[key] = struct{}{}
			if c == name {
				t.names = append(t.names, w)
			} else {
				t.prose = append(t.prose, w)
			}
		}
	})
}
