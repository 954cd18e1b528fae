package dialog

import (
	"time"

	"github.com/rufweite/rufweite/internal/ask"
)

// showAnswer writes an answer in a customer's language.
func showAnswer(a *ask.Ask, v ask.Value, language string, zone *time.Location) string {
	return v.Text + v.Key + v.Number + v.At + v.Date
}

// reAsk says why an answer was not understood, and how to answer.
func reAsk(a *ask.Ask, o ask.Outcome, language string, zone *time.Location) string {
	return a.Retry.Get(language)
}
