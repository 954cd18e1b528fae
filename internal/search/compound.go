package search

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed words.txt
var wordList string

// lexicon holds the parts of compounds, by their folded spelling with and without the e of ae, oe and ue.
type lexicon struct {
	parts   map[string]string // spelling → term of the part
	plurals map[string]string // spelling of a plural in -er → folded singular
	longest int
}

var words = sync.OnceValue(func() *lexicon {
	l := &lexicon{parts: make(map[string]string, 4096), plurals: map[string]string{}}
	for line := range strings.Lines(wordList) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for w := range strings.FieldsSeq(line) {
			w, er := strings.CutSuffix(w, "+er")
			spellings := []string{fold(w), fold(strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue").Replace(w))}
			for _, s := range spellings {
				if er {
					l.plurals[s+"er"], l.plurals[s+"ern"] = s, s
					// The plural has an umlaut where the word can have one (Haus, Häuser); written out it is ae.
					if i := strings.LastIndexAny(s, "aou"); i >= 0 {
						out := s[:i+1] + "e" + s[i+1:] + "er"
						if strings.HasSuffix(s[:i+1], "a") && i+1 < len(s) && s[i+1] == 'u' {
							out = s[:i+1] + "e" + s[i+1:] + "er"
						} else if s[i] == 'u' && i > 0 && s[i-1] == 'a' { // haus: haeuser
							out = s[:i] + "e" + s[i:] + "er"
						}
						l.plurals[out], l.plurals[out+"n"] = s, s
					}
				}
				l.longest = max(l.longest, len(s))
			}
			l.parts[spellings[0]], l.parts[spellings[1]] = "", ""
		}
	}
	// Terms come last: a stem asks whether a word is a plural in -er.
	for s := range l.parts {
		l.parts[s] = reduce(l.stem(s))
	}
	return l
})

func (l *lexicon) stem(s string) string {
	if w, ok := l.plurals[s]; ok {
		return stemPlain(w)
	}
	return stemPlain(s)
}

func erPlural(s string) (string, bool) {
	if len(s) < 5 || !strings.HasSuffix(s, "er") && !strings.HasSuffix(s, "ern") {
		return "", false
	}
	w, ok := words().plurals[s]
	return w, ok
}

// joints stand between the parts of a compound; the empty one is tried first.
var joints = []string{"", "s", "es", "n", "en", "er", "e", "ens"}

// endings may follow the last part.
var endings = []string{"", "e", "n", "en", "s", "es", "er", "ern", "em"}

const (
	minPart   = 3  // bytes of the shortest part
	maxParts  = 6  // parts of a compound
	maxJoined = 80 // bytes of the longest word that is taken apart
	// A word that begins with something unknown is taken apart if its end is a known part of at least this length:
	// Allianzversicherung, Kleinkleckersdorfverein. Shorter ends are too often chance.
	minTail = 7
	minHead = 4
)

// verbal are beginnings of words that are no parts of compounds: Überforderung is no Forderung.
var verbal = map[string]bool{"uber": true, "ueber": true, "unter": true, "wider": true, "hinter": true, "gegen": true, "durch": true, "nach": true, "miss": true, "wieder": true, "voraus": true,
	"zuruck": true, "zurueck": true, "zusammen": true, "herab": true, "heraus": true, "hinaus": true, "hinzu": true, "vorbei": true, "entgegen": true, "fort": true, "empor": true, "verun": true, "beun": true, "anver": true, "beauf": true, "verein": true, "verab": true, "verar": true, "einver": true}

// part is a piece of a compound: its term, its spelling in the list ("" if it is not there), and where it stands in the
// folded word (with its joint).
type part struct {
	term     string
	word     string
	from, to int
}

// split takes a folded word apart. It gives nil if the word is no compound, as far as the list knows. The fewest parts
// win, so that a Hausratversicherung is a Hausrat and no Haus; among equals the longest last part.
func split(w string) []part {
	if len(w) < 2*minPart || len(w) > maxJoined || strings.IndexFunc(w, func(r rune) bool { return r < 'a' || r > 'z' }) >= 0 {
		return nil
	}
	l := words()
	if atoms[w] {
		return nil
	}
	s := &splitter{l: l, w: w, best: make([]int8, len(w)+1)}
	if n := s.rest(0, maxParts); n >= 2 {
		return s.path()
	}
	// An unknown beginning with a long known end.
	for at := minHead; at <= len(w)-minTail; at++ {
		if end, n := s.last(at); n > 0 && end-at >= minTail {
			head := w[:at]
			if verbal[head] || strings.HasSuffix(head, "ver") || !strings.ContainsAny(head, "aeiouy") {
				continue
			}
			out := []part{{reduce(stemPlain(head)), "", 0, at}, {l.parts[w[at:end]], w[at:end], at, len(w)}}
			for _, j := range []string{"s", "en", "n"} { // Meierschenversicherung keeps both
				if h, ok := strings.CutSuffix(head, j); ok && len(h) >= minHead {
					out = append(out, part{reduce(h), "", 0, at})
					break
				}
			}
			return out
		}
	}
	return nil
}

// atoms are words that are one thing, although others seem to stand side by side in them.
var atoms = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`hausrat haftpflicht bescheinigung handschuh fruhstuck fruehstueck mittag auskunft bescheid bestand gemeinde gemalde gemaelde partei teilnahme teilnehmer massnahme zustand geldborse
		vorstand aufsicht einspruch anspruch widerspruch anteil bruchteil handwerk handwerker nachname vorname beamter besteck schaden schalter alter wechsel unterhalt unterhaltung verein vereinbarung kaution
		rundschreiben schreiben versicherung ruckversicherung rueckversicherung regelung reiniger meister minister urkunde unterschrift inhalt anhalt verwaltung gewalt wasche rasenmaher radar karton kartoffel
		sonntag sonntags montag parken parkett warte warten wagner bote botschaft gestalt gestell anstalt tablette kanal kapitan brotchen broetchen`) {
		m[w] = true
	}
	return m
}()

type splitter struct {
	l    *lexicon
	w    string
	best []int8 // from here: fewest parts to the end, -1 = none, 0 = not looked at
}

// last looks for one known part from at to the end of the word, but for an ending.
func (s *splitter) last(at int) (end, n int) {
	for _, e := range endings {
		end := len(s.w) - len(e)
		if end-at < minPart || !strings.HasSuffix(s.w, e) {
			continue
		}
		if _, ok := s.l.parts[s.w[at:end]]; ok {
			return end, 1
		}
	}
	if base, ok := s.l.plurals[s.w[at:]]; ok && s.l.parts[base] != "" {
		return len(s.w), 1
	}
	return 0, 0
}

// next calls fn with every place where the word can go on after a part that begins at at.
func (s *splitter) next(at int, fn func(part string, to int)) {
	for end := at + minPart; end <= len(s.w)-minPart && end-at <= s.l.longest; end++ {
		p := s.w[at:end]
		_, known := s.l.parts[p]
		if known {
			for _, j := range joints {
				if !strings.HasPrefix(s.w[end:], j) || !fits(p, j, s.l) {
					continue
				}
				if to := end + len(j); to <= len(s.w)-minPart {
					fn(p, to)
				}
			}
		}
		if full := p + "e"; !known && len(p) > minPart { // Schulhof, Sprachkurs
			if _, ok := s.l.parts[full]; ok {
				fn(full, end)
				if strings.HasPrefix(s.w[end:], "s") && end+1 <= len(s.w)-minPart { // Hilfsmittel
					fn(full, end+1)
				}
			}
		}
		if base, ok := s.l.plurals[p]; ok && strings.HasSuffix(p, "er") { // Haeuserfront
			fn(base, end)
		}
	}
}

// fits tells whether a joint can follow a part.
func fits(p, j string, l *lexicon) bool {
	last := p[len(p)-1]
	switch j {
	case "n":
		return last == 'e'
	case "en", "e", "es", "ens":
		return last != 'e' && last != 'n' || j == "es" || j == "en"
	case "er":
		_, ok := l.plurals[p+"er"]
		return ok
	case "s":
		return last != 's'
	}
	return true
}

func (s *splitter) rest(at, most int) int8 {
	if most == 0 {
		return -1
	}
	if s.best[at] != 0 {
		return s.best[at]
	}
	best := int8(-1)
	if at > 0 {
		if _, n := s.last(at); n > 0 {
			best = 1
		}
	}
	if best < 0 {
		s.next(at, func(_ string, to int) {
			if n := s.rest(to, most-1); n > 0 && (best < 0 || n+1 < best) {
				best = n + 1
			}
		})
	}
	s.best[at] = best
	return best
}

// path follows the fewest parts. Among equals the shortest first part wins, which leaves the longest end.
func (s *splitter) path() []part {
	var out []part
	for at := 0; ; {
		want := s.best[at]
		if want == 1 {
			end, _ := s.last(at)
			word := s.w[at:end]
			if base, ok := s.l.plurals[s.w[at:]]; ok && s.l.parts[word] == "" {
				word = base
			}
			return append(out, part{s.l.parts[word], word, at, len(s.w)})
		}
		to, word := 0, ""
		s.next(at, func(p string, t int) {
			if s.best[t] == want-1 && (to == 0 || t < to) {
				to, word = t, p
			}
		})
		out = append(out, part{s.l.parts[word], word, at, to})
		at = to
	}
}
