package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Query is what a person looks for: words that must all be there, each in any of its forms.
type Query struct {
	words   []word
	phrases [][]string // terms that must follow each other; each is among words too
	Text    string
}

// word is one condition of a query.
type word struct {
	text string
	alts []alt // one of them must hold
}

// alt is one form of a word: terms that must all be there.
type alt struct {
	terms  []string
	class  class
	prefix bool // the last term is the beginning of one
}

// maxWords is how many words of a query are looked at; more would not find more.
const maxWords = 16

// Parse reads what a person typed. Words in double quotes must follow each other. The last word is taken for the
// beginning of one too, unless a space or a quote ends it.
func Parse(text string) Query {
	if len(text) > 1000 {
		text = strings.ToValidUTF8(text[:1000], "")
	}
	q := Query{Text: text}
	open := !strings.HasSuffix(text, " ") && !strings.HasSuffix(text, "\"") && text != ""
	rest := text
	quoted := false
	for rest != "" && len(q.words) < maxWords {
		i := strings.IndexAny(rest, "\"“”„")
		piece := rest
		if i >= 0 {
			_, n := utf8.DecodeRuneInString(rest[i:])
			piece, rest = rest[:i], rest[i+n:]
		} else {
			rest = ""
		}
		if quoted && i >= 0 {
			q.phrase(piece)
		} else {
			q.plain(piece, open && i < 0)
		}
		if i >= 0 {
			quoted = !quoted
		}
	}
	return q
}

// Empty reports that there is nothing to look for.
func (q Query) Empty() bool { return len(q.words) == 0 }

func (q *Query) phrase(text string) {
	var terms []string
	analyse(text, prose, func(from, to int, t []string) {
		if a, ok := nextAtom(text[:to], from); !ok || a.from != from || a.to != to || len(q.words) >= maxWords {
			return // a whole of several atoms
		}
		q.words = append(q.words, word{text[from:to], forms(text[from:to], false)})
		terms = append(terms, t[0])
	})
	if len(terms) > 1 {
		q.phrases = append(q.phrases, terms)
	}
}

// plain reads words outside of quotes. Stretches that mean something as a whole (a telephone number, an IBAN, an
// identifier) are one condition: the whole, or all of its parts.
func (q *Query) plain(text string, open bool) {
	type stretch struct {
		from, to int
		terms    []string
	}
	var wholes []stretch
	var atoms []stretch
	analyse(text, prose, func(from, to int, terms []string) {
		if a, ok := nextAtom(text[:to], from); ok && a.from == from && a.to == to && !(len(terms) > 0 && strings.HasPrefix(terms[0], telMark)) {
			atoms = append(atoms, stretch{from, to, terms})
			return
		}
		wholes = append(wholes, stretch{from, to, terms})
	})
	slices.SortStableFunc(wholes, func(a, b stretch) int { // the longest first
		return (b.to - b.from) - (a.to - a.from)
	})
	var taken []stretch
	for _, w := range wholes {
		if !slices.ContainsFunc(taken, func(t stretch) bool { return w.from < t.to && t.from < w.to && (w.from != t.from || w.to != t.to) }) {
			taken = append(taken, w)
		}
	}
	end := 0
	if len(atoms) > 0 {
		end = atoms[len(atoms)-1].to
	}
	done := map[int]bool{}
	for _, a := range atoms {
		if len(q.words) >= maxWords {
			return
		}
		i := slices.IndexFunc(taken, func(t stretch) bool { return a.from >= t.from && a.to <= t.to })
		if i < 0 {
			q.words = append(q.words, word{text[a.from:a.to], forms(text[a.from:a.to], open && a.to == end)})
			continue
		}
		t := taken[i]
		if done[t.from] {
			continue
		}
		done[t.from] = true
		w := word{text: text[t.from:t.to]}
		last := open && t.to == end
		for _, x := range taken {
			if x.from == t.from && x.to == t.to {
				for _, term := range x.terms {
					w.alts = append(w.alts, alt{terms: []string{term}, prefix: last})
				}
			}
		}
		parts := alt{prefix: last}
		names := alt{class: name, prefix: last}
		for _, x := range atoms {
			if x.from >= t.from && x.to <= t.to {
				parts.terms = append(parts.terms, x.terms[0])
				names.terms = append(names.terms, x.terms[0])
			}
		}
		if !strings.Contains(w.text, "@") { // a mail address is not the sum of its parts
			w.alts = append(w.alts, parts, names)
		}
		for _, term := range w.alts[0].terms {
			w.alts = append(w.alts, alt{terms: []string{term}, class: name, prefix: last})
		}
		q.words = append(q.words, w)
	}
}

// forms gives the ways in which a single word is found: its stem in texts, itself in names, and, while it is being
// typed, what begins with it.
func forms(w string, open bool) []alt {
	terms := atomTerms(w, prose)
	if len(terms) == 0 {
		return nil
	}
	exact := terms[0]
	f := fold(w)
	var out []alt
	add := func(t string, c class, prefix bool) {
		a := alt{[]string{t}, c, prefix}
		if !slices.ContainsFunc(out, func(o alt) bool { return slices.Equal(o.terms, a.terms) && o.class == c && o.prefix == prefix }) {
			out = append(out, a)
		}
	}
	if f[0] >= '0' && f[0] <= '9' {
		add(exact, prose, false)
		for _, k := range phoneKeys(f, false) {
			add(k, prose, false)
		}
	} else {
		s := cut(reduce(stem(f)))
		if len(mixed(f)) > 0 {
			s = exact
		}
		add(s, prose, false)
		if r := mixed(f); len(r) > 1 && strings.Join(r, "") == f { // KFZ123456 finds KFZ 123456
			for i := range r {
				r[i] = cut(reduce(r[i]))
			}
			out = append(out, alt{r, prose, false})
		}
	}
	add(exact, name, false)
	if open {
		add(exact, prose, true)
		add(exact, name, true)
	}
	return out
}

// Mark is a stretch of a snippet, in UTF-16 units, as browsers count.
type Mark [2]int

// field is one text of a document, under the name that hits give it.
type field struct {
	name string
	text string
	c    class
}

// hit is what was found in one field.
type hit struct {
	field string
	text  string
	marks [][2]int // bytes of the field's text
	words uint32   // which words of the query
}

// match looks for the query in the fields of one document. It gives the fields with hits, the best first, and whether
// every word was found. In long texts it stops soon after everything was found.
func (q Query) match(fields []field) (hits []hit, all bool) {
	if len(q.words) == 0 {
		return nil, false
	}
	want := uint32(1)<<len(q.words) - 1
	var found uint32
	partial := map[int]map[string]bool{} // word and form → terms of it seen so far
	for _, f := range fields {
		if f.text == "" {
			continue
		}
		h := hit{field: f.name, text: f.text}
		enough := false
		analyse(f.text, f.c, func(from, to int, terms []string) {
			if enough {
				return
			}
			var mine uint32
			mark := false
			for wi, w := range q.words {
				for ai, a := range w.alts {
					if a.class != f.c {
						continue
					}
					for ti, t := range a.terms {
						if !has(terms, t, a.prefix && ti == len(a.terms)-1) {
							continue
						}
						if len(a.terms) == 1 {
							mine |= 1 << wi
							mark = true
							continue
						}
						key := wi<<8 | ai
						if partial[key] == nil {
							partial[key] = map[string]bool{}
						}
						partial[key][t] = true
						mark = true
						if len(partial[key]) == distinct(a.terms) {
							mine |= 1 << wi
						}
					}
				}
			}
			h.words |= mine
			if mark && len(h.marks) < 200 {
				h.marks = append(h.marks, [2]int{from, to})
				// What is shown lies around the first match; matches far behind it need not be looked for.
				enough = h.words == want && to-h.marks[0][0] > 2000
			}
		})
		if len(h.marks) > 0 {
			found |= h.words
			hits = append(hits, h)
		}
	}
	if found != want {
		return nil, false
	}
	for _, p := range q.phrases {
		if !slices.ContainsFunc(fields, func(f field) bool { return follows(f, p) }) {
			return nil, false
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return ones(b.words) - ones(a.words) })
	return slices.DeleteFunc(hits, func(h hit) bool { return h.words == 0 }), true
}

func ones(x uint32) int {
	n := 0
	for ; x != 0; x &= x - 1 {
		n++
	}
	return n
}

func distinct(terms []string) int {
	n := 0
	for i, t := range terms {
		if !slices.Contains(terms[:i], t) {
			n++
		}
	}
	return n
}

func has(terms []string, t string, prefix bool) bool {
	for _, x := range terms {
		if x == t || prefix && strings.HasPrefix(x, t) {
			return true
		}
	}
	return false
}

// follows reports whether the words with these terms stand side by side in the field.
func follows(f field, phrase []string) bool {
	at, ok := 0, false
	last := -1
	analyse(f.text, prose, func(from, to int, terms []string) {
		if a, is := nextAtom(f.text[:to], from); ok || !is || a.from != from || a.to != to || from <= last {
			return
		}
		last = from
		switch {
		case terms[0] == phrase[at]:
			at++
		case terms[0] == phrase[0]:
			at = 1
		default:
			at = 0
		}
		if at == len(phrase) {
			ok, at = true, 0
		}
	})
	return ok
}

// snippetLength is the longest snippet in characters.
const snippetLength = 160

// snippet cuts at most 160 characters around the first match out of a text, at word bounds where there are any nearby,
// on one line, and places the marks in it. What is cut off is shown by an ellipsis.
func snippet(text string, marks [][2]int) (string, []Mark) {
	if len(marks) == 0 {
		return "", nil
	}
	marks = slices.Clone(marks)
	slices.SortFunc(marks, func(a, b [2]int) int {
		if a[0] != b[0] {
			return a[0] - b[0]
		}
		return b[1] - a[1]
	})
	first := marks[0]
	const room = snippetLength - 2 // for ellipses
	// Some text before the match, the rest behind it.
	from := back(text, first[0], 40)
	to := forth(text, from, room)
	if to < first[1] { // a match longer than that is cut
		from = first[0]
		to = forth(text, from, room)
	}
	if to == len(text) && from > 0 {
		from = min(first[0], back(text, to, room))
	}
	if from > 0 && !boundary(text, from) {
		if i := strings.IndexFunc(text[from:first[0]], unicode.IsSpace); i >= 0 {
			from += i
		} else {
			from = first[0]
		}
	}
	if to < len(text) && !boundary(text, to) {
		if i := strings.LastIndexFunc(text[from:to], unicode.IsSpace); i > 0 && from+i >= first[1] {
			to = from + i
		}
	}
	var b strings.Builder
	units := 0
	write := func(r rune) {
		b.WriteRune(r)
		units += max(1, utf16.RuneLen(r))
	}
	if strings.TrimSpace(text[:from]) != "" {
		write('…')
	}
	type pos struct{ at, units int }
	var places []pos
	space := true // no spaces at the beginning, never two
	for i, r := range text[from:to] {
		switch {
		case unicode.IsSpace(r):
			if space {
				places = append(places, pos{from + i, units})
				continue
			}
			r, space = ' ', true
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			places = append(places, pos{from + i, units})
			continue
		default:
			space = false
		}
		places = append(places, pos{from + i, units})
		write(r)
	}
	out := b.String()
	if s := strings.TrimRight(out, " "); s != out {
		units -= len(out) - len(s)
		out = s
	}
	end := units
	at := func(byteAt int) int {
		i, _ := slices.BinarySearchFunc(places, byteAt, func(p pos, at int) int { return p.at - at })
		if i == len(places) {
			return end
		}
		return min(places[i].units, end)
	}
	var res []Mark
	for _, m := range marks {
		if m[0] < from || m[0] >= to {
			continue
		}
		x := Mark{at(m[0]), at(min(m[1], to))}
		if n := len(res); n > 0 && x[0] < res[n-1][1] { // overlaps: one mark
			res[n-1][1] = max(res[n-1][1], x[1])
			continue
		}
		if x[1] > x[0] {
			res = append(res, x)
		}
	}
	if strings.TrimSpace(text[to:]) != "" {
		out += "…"
	}
	return out, res
}

// back goes n characters back from a byte position, forth n characters on.
func back(s string, at, n int) int {
	for ; n > 0 && at > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(s[:at])
		at -= size
	}
	return at
}

func forth(s string, at, n int) int {
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}

func boundary(s string, at int) bool {
	r, _ := utf8.DecodeRuneInString(s[at:])
	p, _ := utf8.DecodeLastRuneInString(s[:at])
	return unicode.IsSpace(r) || unicode.IsSpace(p)
}
