package dialog

import (
	"errors"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
)

// showAnswer writes an answer in a customer's language.
func showAnswer(a *ask.Ask, v ask.Value, language string, zone *time.Location) string {
	q := *a
	if q.Zone == "" {
		q.Zone = zone.String()
	}
	return v.Show(q, language)
}

// askFault is one thing that is wrong with a question's definition, and where in it.
type askFault struct{ path, message, remedy string }

// checkAsk tells what is wrong with a question's definition. What the prover tells better is left out.
func checkAsk(a *ask.Ask) []askFault {
	var out []askFault
	for _, err := range a.Check() {
		var f *ask.Finding
		if !errors.As(err, &f) {
			out = append(out, askFault{"", err.Error(), ""})
			continue
		}
		what, remedy, _ := strings.Cut(f.Hint, "; ")
		if f.Field == "remind" || f.Field == "kind" || strings.HasPrefix(what, "is empty") || (f.Field == "url" && !strings.HasPrefix(what, "is missing")) {
			continue
		}
		path := strings.NewReplacer("[", ".", "]", "").Replace(f.Field)
		out = append(out, askFault{path, f.Field + " " + what, remedy})
	}
	return out
}
