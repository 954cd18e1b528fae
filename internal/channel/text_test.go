package channel

import (
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSplit(t *testing.T) {
	family := "👨‍👩‍👧‍👦" // 11 UTF-16 units, one grapheme cluster
	for name, tt := range map[string]struct {
		text string
		max  int
		unit Unit
		want []string
	}{
		"short":            {"Guten Tag", 100, UTF16, []string{"Guten Tag"}},
		"no limit":         {strings.Repeat("a", 9999), 0, UTF16, []string{strings.Repeat("a", 9999)}},
		"nothing":          {" \n\t ", 5, UTF16, nil},
		"exact":            {"12345", 5, CodePoints, []string{"12345"}},
		"space at the cut": {"12345 67890", 5, CodePoints, []string{"12345", "67890"}},
		"words":            {"eins zwei drei vier", 10, CodePoints, []string{"eins zwei", "drei vier"}},
		"early paragraph":  {"eins\n\nzwei drei vier fünf", 20, CodePoints, []string{"eins\n\nzwei drei vier", "fünf"}},
		"paragraph":        {"eins zwei drei\n\nvier fünf sechs", 20, CodePoints, []string{"eins zwei drei", "vier fünf sechs"}},
		"line":             {"eins zwei drei\nvier fünf sechs", 20, CodePoints, []string{"eins zwei drei", "vier fünf sechs"}},
		"sentence":         {"Eins zwei drei. Vier fünf sechs", 22, CodePoints, []string{"Eins zwei drei.", "Vier fünf sechs"}},
		"long word":        {"abcdefghij", 4, CodePoints, []string{"abcd", "efgh", "ij"}},
		"whole link":       {"siehe https://example.org/a/b/c/d", 27, CodePoints, []string{"siehe", "https://example.org/a/b/c/d"}},
		"surrogate pairs":  {"😀😀😀", 3, UTF16, []string{"😀", "😀", "😀"}},
		"family":           {"a" + family + family, 12, UTF16, []string{"a" + family, family}},
		"family too long":  {family, 3, UTF16, nil},
		"flags":            {"🇩🇪🇫🇷🇦🇹", 6, UTF16, []string{"🇩🇪", "🇫🇷", "🇦🇹"}},
		"accent":           {"aaae\u0301", 4, CodePoints, []string{"aaa", "e\u0301"}},
		"bytes":            {"ääää", 5, Bytes, []string{"ää", "ää"}},
		"nothing fits":     {"😀😀", 1, UTF16, []string{"😀", "😀"}},
		"invalid":          {"ab\xff", 10, Bytes, []string{"ab\uFFFD"}},
	} {
		got := Split(tt.text, tt.max, tt.unit)
		if name == "family too long" { // torn, but not lost
			if strings.Join(got, "") != tt.text {
				t.Errorf("%s: %q", name, got)
			}
			continue
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: Split = %q, want %q", name, got, tt.want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("eins zwei\n\ndrei 👨‍👩‍👧‍👦 vier.", 7, 1)
	f.Add("\u0301\u0301\u0301 e\u200D", 1, 2)
	f.Add(strings.Repeat("äöü ", 50), 16, 0)
	f.Fuzz(func(t *testing.T, text string, max, u int) {
		unit := []Unit{CodePoints, UTF16, Bytes}[uint(u)%3]
		if max < 4 || max > 5000 {
			max = 4 // every character fits in every unit
		}
		squeeze := func(s string) string {
			return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), unicode.IsSpace), "")
		}
		parts := Split(text, max, unit)
		if squeeze(strings.Join(parts, " ")) != squeeze(text) {
			t.Errorf("text was lost or changed: %q of %q", parts, text)
		}
		for _, p := range parts {
			if p == "" || p != strings.TrimSpace(p) || !utf8.ValidString(p) || Length(p, unit) > max {
				t.Errorf("bad part %q (%d of %d)", p, Length(p, unit), max)
			}
		}
	})
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Änne Müller":                      "Änne Müller",
		"  Max \t\r\n Meier ":              "Max Meier",
		"Max\r\nBcc: x@example.com":        "Max Bcc: x@example.com",
		"\u202Ereieᴍ xaM":                  "reieᴍ xaM",
		"a\u200Bd\u2060m\uFEFFin":          "admin",
		"\u2066x\u2069":                    "x",
		"👨\u200D👩\u200D👧":                  "👨\u200D👩\u200D👧",
		"می\u200Cخواهم":                    "می\u200Cخواهم",
		"\u200D\u200C":                     "",
		"\u3164":                           "",
		"\x00\x1b[31mred":                  "[31mred",
		"Z" + strings.Repeat("\u0301", 50): "Z" + strings.Repeat("\u0301", 3),
		strings.Repeat("x", 500):           strings.Repeat("x", nameMax),
		"bad\xffutf8":                      "badutf8",
		"<b>Fett</b> & {{.Name}}":          "<b>Fett</b> & {{.Name}}", // inert where it is shown; not ours to change
		"one\u2028two":                     "one two",
		"tag\U000E0041":                    "tag",
		"private\uE000":                    "private",
	} {
		if got := CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
	}
}
