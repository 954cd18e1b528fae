package dialog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Finding is one thing that is wrong with a dialog, told so that its author can mend it.
type Finding struct {
	Rule     string       `json:"rule"`             // syntax, structure, reply, person, loop, branch, target, unreachable, variable, language, wait, expiry, call, expression, hand, run
	Dialog   string       `json:"dialog,omitempty"` // its key
	Step     string       `json:"step,omitempty"`   // the step's id
	File     string       `json:"file,omitempty"`
	Line     int          `json:"line,omitempty"`     // from 1 on; 0 = unknown
	Column   int          `json:"column,omitempty"`   // from 1 on
	Kind     channel.Kind `json:"kind,omitempty"`     // the channel on which it is wrong; "" = on all
	Language string       `json:"language,omitempty"` // the language of the texts in which it is wrong; "" = all
	Message  string       `json:"message"`            // what is wrong
	Remedy   string       `json:"remedy"`             // what to do
	Story    []string     `json:"story,omitempty"`    // how a customer gets there
}

// String implements fmt.Stringer: the place, what is wrong, the story and the remedy.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
			if f.Column > 0 {
				fmt.Fprintf(&b, ":%d", f.Column)
			}
		}
		b.WriteString(": ")
	}
	if f.Dialog != "" {
		b.WriteString(f.Dialog)
		if f.Step != "" {
			b.WriteString("/" + f.Step)
		}
		b.WriteString(": ")
	}
	b.WriteString(f.Message)
	fmt.Fprintf(&b, " [%s]\n", f.Rule)
	for i, line := range f.Story {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, line)
	}
	if f.Remedy != "" {
		b.WriteString("  → " + f.Remedy + "\n")
	}
	return b.String()
}

// place is where something stands in a file.
type place struct{ line, column int }

// at finds the place of a path, or of what it lies in.
func (p *Program) at(path string) place {
	for path != "" {
		if at, ok := p.places[path]; ok {
			return at
		}
		cut := strings.LastIndexByte(path, '.')
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return p.places[""]
}

// finding is one at a path of the program; step -1 = not at a step.
func (p *Program) finding(rule string, step int, path, message, remedy string) Finding {
	at := p.at(path)
	f := Finding{Rule: rule, Dialog: p.Key, File: p.file, Line: at.line, Column: at.column, Message: message, Remedy: remedy}
	if step >= 0 {
		f.Step = p.Steps[step].ID
	}
	return f
}

// tongue writes findings in German or English.
type tongue bool

func speak(language string) tongue { return tongue(strings.HasPrefix(language, "de")) }

func (t tongue) f(en, de string, args ...any) string {
	if t {
		en = de
	}
	if len(args) == 0 {
		return en
	}
	return fmt.Sprintf(en, args...)
}

func (t tongue) quote(s string) string {
	if t {
		return "„" + s + "“"
	}
	return "\"" + s + "\""
}

// meant finds the word that somebody who wrote got meant, "" if none is near.
func meant(got string, words []string) string {
	best, least := "", max(2, len(got)/3)+1
	for _, w := range words {
		if d := distance(strings.ToLower(got), w); d < least {
			best, least = w, d
		}
	}
	return best
}

// didYouMean is a remedy: the near word, or all of them.
func (t tongue) didYouMean(got string, words []string) string {
	if w := meant(got, words); w != "" {
		return t.f("did you mean %s?", "meinten Sie %s?", t.quote(w))
	}
	words = slices.Clone(words)
	slices.Sort(words)
	if len(words) > 24 {
		words = append(words[:24], "…")
	}
	if len(words) == 0 {
		return t.f("leave it out", "lassen Sie es weg")
	}
	return t.f("known here: %s", "bekannt sind hier: %s", strings.Join(words, ", "))
}

// distance is Levenshtein's, where two neighbours that are swapped count once.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return 64
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(x)][len(y)]
}

// span is a duration in words: "3 days", "36 Stunden".
func (t tongue) span(d time.Duration) string {
	one := func(n int, en, ens, de, des string) string {
		if n == 1 {
			return "1 " + t.f(en, de)
		}
		return strconv.Itoa(n) + " " + t.f(ens, des)
	}
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day == 0, d > 14*day:
		return one(int(d/day), "day", "days", "Tag", "Tage")
	case d >= time.Hour && d%time.Hour == 0, d > 6*time.Hour:
		return one(int(d/time.Hour), "hour", "hours", "Stunde", "Stunden")
	case d >= time.Minute:
		return one(int(d/time.Minute), "minute", "minutes", "Minute", "Minuten")
	default:
		return one(int(d/time.Second), "second", "seconds", "Sekunde", "Sekunden")
	}
}
