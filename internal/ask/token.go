package ask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What customers type is compared in a folded form: lower case, no diacritics, "ß" as "ss", and "ae", "oe", "ue" as the
// plain vowel, so that "Zürich", "Zuerich" and "zurich" are one word. Tables are folded the same way, once.

type tokenKind uint8

const (
	wordToken tokenKind = iota
	digitToken
	signToken
)

// token is a run of letters, a run of digits, or one other character.
type token struct {
	s       string // folded
	kind    tokenKind
	gap     bool // white space stands before it
	capital bool // begins with a capital letter
	at, end int  // in the text
}

// plainRune gives a letter of a Latin script without its mark; 0 = it has none. It is code rather than a table because
// tables of phrases are folded while the package's variables are still being set.
func plainRune(r rune) byte {
	switch r {
	case 'ä', 'à', 'á', 'â', 'ã', 'å', 'ā', 'ă', 'ą', 'ǎ':
		return 'a'
	case 'ç', 'ć', 'č', 'ĉ', 'ċ':
		return 'c'
	case 'ď', 'đ', 'ð':
		return 'd'
	case 'è', 'é', 'ê', 'ë', 'ē', 'ĕ', 'ė', 'ę', 'ě':
		return 'e'
	case 'ğ', 'ĝ', 'ġ', 'ģ':
		return 'g'
	case 'ĥ', 'ħ':
		return 'h'
	case 'ì', 'í', 'î', 'ï', 'ĩ', 'ī', 'ĭ', 'į', 'ı':
		return 'i'
	case 'ĵ':
		return 'j'
	case 'ķ':
		return 'k'
	case 'ĺ', 'ļ', 'ľ', 'ł':
		return 'l'
	case 'ñ', 'ń', 'ņ', 'ň', 'ŋ':
		return 'n'
	case 'ö', 'ò', 'ó', 'ô', 'õ', 'ø', 'ō', 'ŏ', 'ő', 'ǒ':
		return 'o'
	case 'ŕ', 'ŗ', 'ř':
		return 'r'
	case 'ś', 'ŝ', 'ş', 'š', 'ș':
		return 's'
	case 'ţ', 'ť', 'ŧ', 'ț':
		return 't'
	case 'ü', 'ù', 'ú', 'û', 'ũ', 'ū', 'ŭ', 'ů', 'ű', 'ų', 'ǔ':
		return 'u'
	case 'ŵ':
		return 'w'
	case 'ý', 'ÿ', 'ŷ':
		return 'y'
	case 'ź', 'ż', 'ž':
		return 'z'
	}
	return 0
}

// foldInto appends the folded form of r to b; prev is what b ends with in the same word.
func foldInto(b []byte, start int, r rune) []byte {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		if r == 'e' && len(b) > start {
			if p := b[len(b)-1]; p == 'a' || p == 'o' || p == 'u' {
				return b
			}
		}
		return append(b, byte(r))
	}
	r = unicode.ToLower(r)
	switch r {
	case 'ß':
		return append(b, 's', 's')
	case 'æ':
		return append(b, 'a')
	case 'œ':
		return append(b, 'o')
	}
	if p := plainRune(r); p != 0 {
		return append(b, p)
	}
	return utf8.AppendRune(b, r)
}

// fold folds a phrase: words and numbers with one space between them, without punctuation.
func fold(s string) string {
	return joined(tokenise(s))
}

// joined writes words and digits of tokens with one space between them.
func joined(toks []token) string {
	var b strings.Builder
	for _, t := range toks {
		if t.kind == signToken {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.s)
	}
	return b.String()
}

const mostTokens = 600 // of one reply; what comes after does not count as an answer to a short question

func isApostrophe(r rune) bool { return r == '\'' || r == '’' || r == '`' || r == '´' || r == 'ʼ' }

// tokenise takes a text apart. Keycap emoji become digits, skin tones and joiners vanish, an apostrophe inside a word
// too ("can't" is "cant").
func tokenise(s string) []token {
	toks := make([]token, 0, min(len(s)/4+4, mostTokens))
	buf := make([]byte, 0, len(s)+8)
	gap := true
	for i := 0; i < len(s) && len(toks) < mostTokens; {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsSpace(r):
			gap = true
			i += n
		case r >= '0' && r <= '9':
			j := i
			for j < len(s) && s[j] >= '0' && s[j] <= '9' {
				j++
			}
			toks = append(toks, token{s: s[i:j], kind: digitToken, gap: gap, at: i, end: j})
			gap = false
			i = j
		case r == '🔟':
			toks = append(toks, token{s: "10", kind: digitToken, gap: gap, at: i, end: i + n})
			gap = false
			i += n
		case r == 0xFE0F || r == 0x20E3 || r == 0x200D || r == 0x200B || r == 0xFEFF || r == 0xAD || r >= 0x1F3FB && r <= 0x1F3FF || unicode.Is(unicode.Mn, r) || unicode.IsControl(r):
			i += n
		case unicode.IsLetter(r):
			start, j := len(buf), i
			for j < len(s) {
				q, m := utf8.DecodeRuneInString(s[j:])
				if isApostrophe(q) && j+m < len(s) && j > i {
					if q2, _ := utf8.DecodeRuneInString(s[j+m:]); unicode.IsLetter(q2) {
						j += m
						continue
					}
				}
				if q == 0xAD || q >= 0x300 && q <= 0x36F {
					j += m
					continue
				}
				if !unicode.IsLetter(q) {
					break
				}
				buf = foldInto(buf, start, q)
				j += m
			}
			toks = append(toks, token{s: string(buf[start:]), kind: wordToken, gap: gap, capital: unicode.IsUpper(r), at: i, end: j})
			gap = false
			i = j
		default:
			if d, ok := otherDigit(r); ok {
				toks = append(toks, token{s: string(rune('0' + d)), kind: digitToken, gap: gap, at: i, end: i + n})
			} else {
				if r == '−' || r == '–' || r == '—' || r == '‑' || r == '‐' {
					r = '-'
				}
				if isApostrophe(r) {
					r = '\''
				}
				toks = append(toks, token{s: string(r), kind: signToken, gap: gap, at: i, end: i + n})
			}
			gap = false
			i += n
		}
	}
	return toks
}

// otherDigit reads digits in circles, small ones and those of full width.
func otherDigit(r rune) (int, bool) {
	switch {
	case r >= '①' && r <= '⑨':
		return int(r-'①') + 1, true
	case r >= '❶' && r <= '❾':
		return int(r-'❶') + 1, true
	case r >= '０' && r <= '９':
		return int(r - '０'), true
	}
	return 0, false
}

// phrases maps folded phrases to what they mean and knows how long the longest is.
type phrases[T any] struct {
	m       map[string]T
	longest int
}

// add takes phrases separated by "|" or line breaks.
func (p *phrases[T]) add(value T, list string) {
	if p.m == nil {
		p.m = map[string]T{}
	}
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == '|' || r == '\n' }) {
		s = strings.TrimSpace(s)
		if s == "" {
			continue
		}
		key := s
		if f := fold(s); f != "" {
			key = f
		} else if t := tokenise(s); len(t) == 1 {
			key = t[0].s // an emoji
		}
		p.m[key] = value
		p.longest = max(p.longest, strings.Count(key, " ")+1)
	}
}

// at gives the longest phrase that begins at token i, with the number of tokens it takes. Signs other than a full stop
// after an abbreviation or a hyphen end a phrase.
func (p *phrases[T]) at(toks []token, i int) (value T, taken int) {
	if i >= len(toks) {
		return value, 0
	}
	if toks[i].kind == signToken {
		if v, ok := p.m[toks[i].s]; ok {
			return v, 1
		}
		return value, 0
	}
	if v, ok := p.m[toks[i].s]; ok {
		value, taken = v, 1
	}
	var room [96]byte
	key := append(room[:0], toks[i].s...)
	for words, j := 1, i+1; words < p.longest && j < len(toks); j++ {
		if toks[j].kind == signToken {
			if toks[j].s == "-" || toks[j].s == "'" || toks[j].s == "." && !toks[j].gap && toks[j-1].kind == digitToken {
				continue
			}
			break
		}
		key = append(append(key, ' '), toks[j].s...)
		words++
		if v, ok := p.m[string(key)]; ok {
			value, taken = v, j-i+1
		}
	}
	return value, taken
}

func set(list string) *phrases[bool] {
	p := &phrases[bool]{}
	p.add(true, list)
	return p
}

// has says whether a single token is in the set.
func (p *phrases[T]) has(s string) bool { _, ok := p.m[s]; return ok }

// body is the part of a reply that answers: without salutation line, closing formula and what stands under it.
func body(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, "\n\r") {
		return s
	}
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	from, to := 0, len(lines)
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		toks := tokenise(line)
		if i == from || strings.TrimSpace(strings.Join(lines[:i], "")) == "" {
			if _, n := salutations.at(toks, 0); n > 0 && len(toks) <= 9 && i+1 < len(lines) && (strings.HasSuffix(line, ",") || strings.HasSuffix(line, "!") || len(toks) <= n+3) {
				from = i + 1
				continue
			}
		}
		if i > from {
			_, n := closings.at(toks, 0)
			if n > 0 && len(toks) <= n+6 || line == "--" || strings.HasPrefix(line, "-- ") || strings.HasPrefix(line, ">") || strings.HasPrefix(line, "____") {
				to = i
				break
			}
		}
	}
	out := strings.TrimSpace(strings.Join(lines[from:to], "\n"))
	if out == "" {
		return s
	}
	return out
}

var salutations = set(`hallo|hi|hey|guten tag|guten morgen|guten abend|gutentag|sehr geehrte|sehr geehrter|liebe|lieber|liebes|moin|servus|grüezi|grüß gott|grüss gott|hoi|salü|dear|hello|good morning|good afternoon|good evening|werte|werter`)

var closings = set(`mit freundlichen grüßen|mit freundlichem gruß|mit besten grüßen|mit herzlichen grüßen|mit lieben grüßen|freundliche grüße|viele grüße|liebe grüße|beste grüße|herzliche grüße|schöne grüße|sonnige grüße|gruß|grüße|lg|vg|mfg|bg|mit vielen grüßen|hochachtungsvoll|best regards|kind regards|regards|best wishes|warm regards|many thanks and best regards|yours sincerely|yours faithfully|sincerely|cheers|all the best|von meinem iphone gesendet|von meinem ipad gesendet|gesendet von|gesendet mit|sent from my|sent from|get outlook|von meinem samsung|en gruss|liebi grüess|fründlichi grüess`)

// uncut drops a closing formula at the end of a line: "passt, LG Anna".
func uncut(toks []token) []token {
	for i := 1; i < len(toks); i++ {
		switch toks[i].s {
		case "lg", "vg", "mfg", "gruss", "grusse", "grusss", "regards":
			for i > 1 {
				switch toks[i-1].s {
				case "liebe", "viele", "beste", "herzliche", "freundliche", "freundlichen", "mit", "schone", "kind", "best", "warm", "many", "besten", "lieben", ",":
					i--
					continue
				}
				break
			}
			return toks[:i]
		}
	}
	return toks
}
