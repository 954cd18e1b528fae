package dialog

import (
	"fmt"
	"testing"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

// large makes n dialogs of the given number of steps, no two with the same texts: half questions, the rest messages,
// branches, values, waits and calls.
func large(n, steps int) []*Program {
	out := make([]*Program, n)
	for d := range out {
		p := &Program{Key: fmt.Sprintf("dialog-%d", d), Title: ask.Plain("de", "Großer Dialog", "en", "Large dialog"), Languages: []string{"de", "en"}, Inputs: []Variable{{Name: "name", Type: "text"}}, places: map[string]place{}}
		text := func(i int, what string) ask.Texts {
			return ask.Plain("de", fmt.Sprintf("%s %d-%d für {{ name }}: Was möchten Sie als Nächstes tun?", what, d, i), "en", fmt.Sprintf("%s %d-%d for {{ name }}: what would you like to do next?", what, d, i))
		}
		id := func(i int) string { return fmt.Sprintf("s%d", i) }
		for i := range steps - 1 {
			s := Step{ID: id(i)}
			switch i % 10 {
			case 0, 4, 8:
				a := &ask.Ask{Kind: ask.OneOf, Text: text(i, "Auswahl")}
				for o := range 3 {
					a.Options = append(a.Options, ask.Option{Key: fmt.Sprintf("o%d", o), Label: ask.Plain("de", fmt.Sprintf("Antwort %d", o), "en", fmt.Sprintf("Answer %d", o))})
				}
				s.Ask = a
			case 2:
				s.Ask = &ask.Ask{Kind: ask.Number, Text: text(i, "Zahl")}
			case 6:
				s.Ask = &ask.Ask{Kind: ask.YesNo, Text: text(i, "Frage")}
			case 1:
				s.Branch = []Case{{If: fmt.Sprintf("s%d == 'o1' && name != 'x%d-%d'", i-1, d, i), To: id(min(i+2, steps-1))}, {To: id(i + 1)}}
			case 3:
				s.Set = map[string]string{fmt.Sprintf("v%d", i): fmt.Sprintf("name + ' %d-%d'", d, i)}
			case 5, 9:
				s.Say = text(i, "Hinweis")
				s.Late = "elsewhere"
			case 7:
				s.Call = &Call{URL: fmt.Sprintf("https://api.example.org/%d/%d", d, i), Body: map[string]string{"name": "name"}}
				s.Failed = id(i + 1)
			}
			p.Steps = append(p.Steps, s)
		}
		p.Steps = append(p.Steps, Step{ID: id(steps - 1), End: &End{}})
		out[d] = p
	}
	return out
}

// BenchmarkCheck is `rufweite check` on 200 dialogs of 50 steps and 20 channels; "cold" without anything kept from before.
func BenchmarkCheck(b *testing.B) {
	programs := large(200, 50)
	all := media()
	media := map[channel.Kind]channel.Medium{}
	for _, k := range sorted(all) {
		if len(media) < 20 {
			media[channel.Kind(k)] = all[channel.Kind(k)]
		}
	}
	for _, cold := range []bool{true, false} {
		b.Run(map[bool]string{true: "cold", false: "warm"}[cold], func(b *testing.B) {
			for b.Loop() {
				if cold {
					expressions.mu.Lock()
					expressions.parsed, expressions.exprs, expressions.envs = nil, nil, nil
					expressions.mu.Unlock()
				}
				if f := Check(programs, media, CheckOptions{}); len(f) > 0 {
					b.Fatalf("%s", f[0])
				}
			}
		})
	}
}
