package ask

import (
	"testing"
	"time"
)

func TestResolveReadsTheExamplesOfTheIssue(t *testing.T) {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, berlin) // a Tuesday
	for _, c := range []struct{ language, text, want string }{
		{"de", "übermorgen um halb drei", "2026-11-26T14:30:00+01:00"},
		{"en", "next Tuesday 9am", "2026-12-01T09:00:00+01:00"},
	} {
		o := Resolve(Ask{Kind: DateTime}, Reply{Text: c.text}, Context{Now: now, Language: c.language})
		if o.Problem != "" || o.Value.At != c.want {
			t.Errorf("%s: %+v, want %s", c.text, o, c.want)
		}
	}
}
