package channel

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Length is the length of a text as a provider counts it.
func Length(text string, unit Unit) int {
	switch unit {
	case Bytes:
		return len(text)
	case UTF16:
		n := 0
		for _, r := range text {
			n += units(r, UTF16)
		}
		return n
	default:
		return utf8.RuneCountInString(text)
	}
}

func units(r rune, unit Unit) int {
	switch unit {
	case Bytes:
		return utf8.RuneLen(r)
	case UTF16:
		return max(utf16.RuneLen(r), 1)
	default:
		return 1
	}
}

// Split cuts a text into parts of at most max units each: between paragraphs if it can, else between lines,
// sentences, words, and only inside a longer word between two grapheme clusters (UAX #29), so that no emoji, accent or
// surrogate pair is torn. White space at a cut is dropped, as the cut stands for it; a part never begins or ends with
// white space and is never empty. max <= 0 means no limit. A text without anything visible gives nil.
func Split(text string, max int, unit Unit) []string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	var parts []string
	for text != "" {
		end := len(text)
		if max > 0 && Length(text, unit) > max {
			end = cut(text, max, unit)
		}
		if part := strings.TrimSpace(text[:end]); part != "" {
			parts = append(parts, part)
		}
		text = strings.TrimSpace(text[end:])
	}
	return parts
}

// cut finds where the first part of a too long text ends, in bytes.
func cut(text string, max int, unit Unit) int {
	var paragraph, line, sentence, word, cluster, char int
	half := 0 // a better kind of cut must not leave a part shorter than half of what fits
	used, prev, flags := 0, rune(-1), 0
	var before rune // the one before prev
	for i, r := range text {
		if prev >= 0 {
			if !joined(prev, r, flags) {
				cluster = i
			}
			if i > 0 && unicode.IsSpace(prev) && !unicode.IsSpace(r) {
				switch run := spaceRun(text[:i]); {
				case strings.Count(run, "\n") > 1:
					paragraph = i
				case strings.Contains(run, "\n"):
					line = i
				case strings.ContainsRune(".!?…:;", before) && before != 0:
					sentence = i
				}
				word = i
			}
		}
		n := units(r, unit)
		// White space at the end of a part is dropped and does not count.
		if used+n > max && !unicode.IsSpace(r) {
			break
		}
		char = i + utf8.RuneLen(r)
		used += n
		if used*2 <= max {
			half = char
		}
		if isRegional(r) && flags == 0 {
			flags = 1
		} else {
			flags = 0
		}
		if !unicode.IsSpace(r) {
			before = r
		}
		prev = r
	}
	for _, at := range []int{paragraph, line, sentence, word} {
		if at > half {
			return at
		}
	}
	// A short part is better than a torn word (a link!) that would be whole in the next part.
	if word > 0 && Length(text[word:word+nextSpace(text[word:])], unit) <= max {
		return word
	}
	for _, at := range []int{cluster, char} {
		if at > 0 {
			return at
		}
	}
	_, n := utf8.DecodeRuneInString(text) // not even one character fits: never stand still
	return n
}

// nextSpace is where the first white space is, in bytes; the length of s if there is none.
func nextSpace(s string) int {
	if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
		return i
	}
	return len(s)
}

// spaceRun is the white space at the end of s.
func spaceRun(s string) string { return s[len(strings.TrimRightFunc(s, unicode.IsSpace)):] }

// joined reports whether two neighbouring characters belong to one grapheme cluster (UAX #29, GB3 to GB13, where
// flags is 1 after an odd number of regional indicators). Extended_Pictographic after a joiner is taken widely: any
// symbol.
func joined(a, b rune, flags int) bool {
	switch {
	case a == '\r' && b == '\n': // GB3
		return true
	case unicode.IsControl(a) || unicode.IsControl(b): // GB4, GB5
		return false
	case b == zeroWidthJoiner || b == 0x200C || unicode.In(b, unicode.Mn, unicode.Me, unicode.Mc), // GB9, GB9a
		b >= 0x1F3FB && b <= 0x1F3FF, // skin tones
		b >= 0xE0020 && b <= 0xE007F, // tags (flags of regions)
		b == 0xFF9E, b == 0xFF9F:
		return true
	case a == zeroWidthJoiner && (unicode.IsSymbol(b) || b >= 0x1F000): // GB11
		return true
	case isRegional(a) && isRegional(b): // GB12, GB13
		return flags == 1
	case isVirama(a) && unicode.Is(unicode.Lo, b): // GB9c
		return true
	case a >= 0x1100 && a <= 0x115F: // GB6: Hangul L
		return b >= 0x1100 && b <= 0x11A7 || b >= 0xAC00 && b <= 0xD7A3
	case a >= 0x1160 && a <= 0x11FF, a >= 0xAC00 && a <= 0xD7A3: // GB7, GB8: V, T, LV, LVT
		return b >= 0x1160 && b <= 0x11FF
	}
	return false
}

const zeroWidthJoiner = 0x200D

func isRegional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

func isVirama(r rune) bool {
	switch r {
	case 0x094D, 0x09CD, 0x0A4D, 0x0ACD, 0x0B4D, 0x0C4D, 0x0CCD, 0x0D4D:
		return true
	}
	return false
}

// nameMax is how many characters of a name are kept.
const nameMax = 128

// CleanName makes a name that a stranger chose safe to show beside text of ours: no control characters, no characters
// that turn the direction of writing or cannot be seen (Unicode TR #36), no towers of accents, one line, single
// spaces, at most 128 characters. Joiners inside words and emoji stay. It may give "".
func CleanName(name string) string {
	var b strings.Builder
	n, marks, space := 0, 0, false
	for _, r := range strings.ToValidUTF8(name, "") {
		switch {
		case unicode.IsSpace(r) || r == 0x2028 || r == 0x2029 || r == 0x2800:
			space = true
			continue
		case r == zeroWidthJoiner || r == 0x200C:
			if n == 0 || space {
				continue
			}
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Noncharacter_Code_Point, r),
			r == utf8.RuneError, r == 0x115F, r == 0x1160, r == 0x3164, r == 0xFFA0: // fillers that look like nothing
			continue
		}
		if unicode.In(r, unicode.Mn, unicode.Me) {
			if marks++; marks > 3 || n == 0 {
				continue
			}
		} else {
			marks = 0
		}
		if space && n > 0 {
			b.WriteByte(' ')
			n++
		}
		space = false
		if n >= nameMax {
			break
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimRight(b.String(), " \u200C\u200D")
}
