// Package search is in charge of finding again what was said and who said it. It owns the analyser, which turns text
// into terms and is the same for both engines, the index made of those terms (FTS5 on SQLite, GIN on PostgreSQL), the
// follower that keeps the index up to date from the feed, and the queries on it. What a conversation, a message or a
// customer is, it asks the rooms that own them.
package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Version of the analyser. A change of what terms are made of text must raise it: every index is then made anew, while
// it goes on answering.
const Version = 1

// maxTerm is the longest term in bytes; longer ones are cut, in texts and in queries alike.
const maxTerm = 40

// letters are spellings of letters that Unicode does not decompose, and transliterations of the scripts that have a
// customary one.
var letters = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'ø': "o", 'Ø': "o", 'ł': "l", 'Ł': "l", 'đ': "d", 'Đ': "d", 'ð': "d", 'Ð': "d", 'þ': "th", 'Þ': "th", 'ı': "i", 'İ': "i",
	'ħ': "h", 'Ħ': "h", 'ŋ': "n", 'Ŋ': "n", 'ə': "e", 'Ə': "e",
	'а': "a", 'б': "b", 'в': "v", 'г': "g", 'ґ': "g", 'д': "d", 'е': "e", 'є': "ye", 'ж': "zh", 'з': "z", 'и': "i", 'і': "i", 'к': "k", 'л': "l", 'м': "m", 'н': "n", 'о': "o", 'п': "p",
	'р': "r", 'с': "s", 'т': "t", 'у': "u", 'ф': "f", 'х': "kh", 'ц': "ts", 'ч': "ch", 'ш': "sh", 'щ': "shch", 'ъ': "", 'ы': "y", 'ь': "", 'э': "e", 'ю': "yu", 'я': "ya", 'ђ': "d", 'ј': "j", 'љ': "lj", 'њ': "nj", 'ћ': "c", 'џ': "dz",
	'α': "a", 'β': "v", 'γ': "g", 'δ': "d", 'ε': "e", 'ζ': "z", 'η': "i", 'θ': "th", 'ι': "i", 'κ': "k", 'λ': "l", 'μ': "m", 'ν': "n", 'ξ': "x", 'ο': "o", 'π': "p", 'ρ': "r", 'σ': "s", 'ς': "s", 'τ': "t", 'υ': "y", 'φ': "f", 'χ': "ch", 'ψ': "ps", 'ω': "o",
}

// fold brings a word into ASCII letters and digits: case, accents and ligatures are gone, scripts without a customary
// Latin spelling are spelled by code point. Umlauts lose their dots; "ae" for "ä" is left to reduce.
func fold(word string) string {
	plain := true
	for i := 0; i < len(word); i++ {
		c := word[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			plain = false
			break
		}
	}
	if plain {
		return word
	}
	var b strings.Builder
	b.Grow(len(word))
	for i := 0; i < len(word); {
		c := word[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c >= 'A' && c <= 'Z':
				b.WriteByte(c + 'a' - 'A')
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
				b.WriteByte(c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(word[i:])
		i += n
		foldRune(&b, r, word[i-n:i])
	}
	return b.String()
}

func foldRune(b *strings.Builder, r rune, s string) {
	if l, ok := letters[r]; ok {
		b.WriteString(l)
		return
	}
	if r == utf8.RuneError {
		return
	}
	for _, r := range norm.NFKD.String(s) {
		switch {
		case r >= 'A' && r <= 'Z':
			b.WriteByte(byte(r) + 'a' - 'A')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteByte(byte(r))
		case unicode.IsMark(r):
		default:
			r = unicode.ToLower(r)
			if l, ok := letters[r]; ok {
				b.WriteString(l)
			} else if d, ok := digit(r); ok {
				b.WriteByte(d)
			} else if unicode.IsLetter(r) || unicode.IsNumber(r) {
				// Fixed width, so that the beginning of a word is the beginning of its term.
				const base = "0123456789abcdefghijklmnopqrstuv"
				b.Write([]byte{base[r>>15&31], base[r>>10&31], base[r>>5&31], base[r&31]})
			}
		}
	}
}

// digit gives the value of a decimal digit of any script.
func digit(r rune) (byte, bool) {
	if !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	// The ranges of decimal digits hold whole rows from zero to nine.
	for _, t := range unicode.Nd.R16 {
		if uint16(r) >= t.Lo && r <= 0xffff && uint16(r) <= t.Hi {
			return '0' + byte((r-rune(t.Lo))%10), true
		}
	}
	for _, t := range unicode.Nd.R32 {
		if uint32(r) >= t.Lo && uint32(r) <= t.Hi {
			return '0' + byte((r-rune(t.Lo))%10), true
		}
	}
	return 0, false
}

// reduce takes the e out of ae, oe and ue in a folded word, so that "mueller" and "müller" meet at "muller".
func reduce(s string) string {
	at := -1
	for i := 1; i < len(s); i++ {
		if s[i] == 'e' && (s[i-1] == 'u' || s[i-1] == 'a' || s[i-1] == 'o') {
			at = i
			break
		}
	}
	if at < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:at]...)
	for i := at; i < len(s); i++ {
		if s[i] == 'e' && (s[i-1] == 'u' || s[i-1] == 'a' || s[i-1] == 'o') {
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func cut(s string) string {
	if len(s) > maxTerm {
		return s[:maxTerm]
	}
	return s
}

// stem takes the ending off a folded word that inflection put there, German or English. It is light: it never joins
// words of different kinds (Versicherung stays apart from versichern). Plurals in -er are known by the word list, since
// taking -er off any word would make Bauer a Bau.
func stem(s string) string {
	if len(s) < 4 || s[len(s)-1] >= '0' && s[len(s)-1] <= '9' {
		return s
	}
	if w, ok := erPlural(s); ok {
		return stemPlain(w)
	}
	return stemPlain(s)
}

// stemPlain is stem without the word list.
func stemPlain(s string) string {
	n := len(s)
	if n < 4 {
		return s
	}
	switch {
	case n > 5 && strings.HasSuffix(s, "ies"): // policies
		return s[:n-3] + "y"
	case n > 6 && strings.HasSuffix(s, "ing") && (!strings.HasSuffix(s, "ling") || strings.HasSuffix(s, "lling")), n > 6 && strings.HasSuffix(s, "ed") && !strings.HasSuffix(s, "ied"):
		s = strings.TrimSuffix(strings.TrimSuffix(s, "ing"), "ed")
		n = len(s)
		if n > 4 && s[n-1] == s[n-2] && s[n-1] != 's' && s[n-1] != 'e' { // cancelled
			s = s[:n-1]
		}
		return s
	}
	genitive := func() {
		if n > 3 && s[n-1] == 's' && strings.IndexByte("aoybdfghklmnrtw", s[n-2]) >= 0 { // Autos, claims, Vertrags
			s = s[:n-1]
			n--
		}
	}
	genitive()
	switch {
	case n > 5 && (strings.HasSuffix(s, "ern") || strings.HasSuffix(s, "eln")): // Mietern, Regeln: the -er belongs to the word
		return s[:n-1]
	case n > 4 && (strings.HasSuffix(s, "en") || strings.HasSuffix(s, "es") || strings.HasSuffix(s, "em")):
		s = s[:n-2]
	case n > 3 && s[n-1] == 'e':
		s = s[:n-1]
	}
	n = len(s)
	genitive() // Zinsen, as Zins
	return s
}
