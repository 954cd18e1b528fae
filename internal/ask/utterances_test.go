package ask

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func berlin(t testing.TB) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func opt(key, de, en string, synonyms ...string) Option {
	o := Option{Key: key, Label: Plain("de", de, "en", en)}
	if len(synonyms) > 0 {
		o.Synonyms = map[string][]string{"de": synonyms}
	}
	return o
}

func ptr[T any](v T) *T { return &v }

func slotAt(z *time.Location, key, at string) Option {
	start, err := time.ParseInLocation("2006-01-02T15:04", at, z)
	if err != nil {
		panic(err)
	}
	return Option{Key: key, Start: start, End: start.Add(30 * time.Minute)}
}

// tableAsks are the asks that rows of utterances.tsv name.
func tableAsks(z *time.Location) map[string]Ask {
	papers := []Option{opt("id", "Ausweis", "Passport"), opt("statement", "Kontoauszug", "Bank statement"), opt("salary", "Gehaltsnachweis", "Salary slip"), opt("plan", "Grundriss", "Floor plan")}
	return map[string]Ask{
		"-": {}, "mail": {}, "optional": {Optional: true}, "0-10": {Scale: "0-10"},
		"calloff":  {Text: Plain("de", "Möchten Sie den Termin absagen?", "en", "Do you want to cancel?")},
		"labelled": {Yes: Plain("de", "Termin behalten", "en", "Keep it"), No: Plain("de", "Termin verschieben", "en", "Move it")},
		"pickup":   {Options: []Option{opt("thu", "Donnerstag", "Thursday", "Donnschtig"), opt("fri", "Freitag", "Friday", "Fritig"), opt("sat", "Samstag", "Saturday")}},
		"contact":  {Options: []Option{opt("write", "Weiter schreiben", "Go on writing"), opt("human", "Mit einem Menschen sprechen", "Talk to a person", "Mensch", "Mitarbeiter")}},
		"colours":  {Options: []Option{opt("red", "Rot", "Red"), opt("redwhite", "Rot-Weiß", "Red and white"), opt("blue", "Blau", "Blue")}},
		"damage":   {Options: []Option{opt("glass", "Glasschaden", "Broken glass", "Scheibe", "Steinschlag"), opt("animal", "Unfall mit einem Tier", "Accident with an animal", "Wildunfall", "Wild"), opt("crash", "Unfall mit einem Auto", "Accident with a car"), opt("hail", "Hagelschaden", "Hail")}},
		"count":    {Options: []Option{opt("one", "1 Kind", "1 child"), opt("two", "2 Kinder", "2 children"), opt("more", "Drei oder mehr", "Three or more"), opt("none", "Keine Kinder", "No children", "keine")}},
		"yesno":    {Options: []Option{opt("keep", "Ja, Termin behalten", "Yes, keep it"), opt("drop", "Nein, absagen", "No, cancel")}},
		"cities":   {Options: []Option{opt("zh", "Zürich", "Zurich"), opt("k", "Köln", "Cologne"), opt("m", "München", "Munich")}},
		"papers":   {Options: papers},
		"two":      {Options: papers, Least: 2, Most: 2},
		"people":   {Min: ptr(0.0), Max: ptr(20.0)},
		"km":       {Min: ptr(0.0), Max: ptr(2e6), Unit: "km"},
		"money":    {Min: ptr(0.0), Decimals: 2, Unit: "EUR"},
		"francs":   {Min: ptr(0.0), Decimals: 2, Unit: "CHF"},
		"pounds":   {Min: ptr(0.0), Decimals: 2, Unit: "GBP"},
		"free":     {Decimals: 3},
		"small":    {Decimals: 3, Max: ptr(10.0)},
		"big":      {Decimals: 3, Min: ptr(100.0)},
		"kg":       {Decimals: 1, Unit: "kg"},
		"minutes":  {Unit: "min"},
		"degrees":  {Unit: "°C", Min: ptr(-40.0), Max: ptr(50.0)},
		"percent":  {Unit: "%", Decimals: 1, Min: ptr(0.0), Max: ptr(100.0)},
		"week":     {From: "today", Until: "today+6d"},
		"birthday": {From: "today-120y", Until: "today"},
		"accident": {Until: "today"},
		"incident": {Until: "today"},
		"bounded":  {From: "today+3d", Until: "2026-12-23"},
		"slots":    {Options: []Option{slotAt(z, "s1", "2026-11-26T09:00"), slotAt(z, "s2", "2026-11-26T11:00"), slotAt(z, "s3", "2026-11-26T14:30"), slotAt(z, "s4", "2026-11-27T11:00"), slotAt(z, "s5", "2026-12-01T16:00")}},
		"plate":    {Pattern: `[A-ZÄÖÜ]{1,3}[- ][A-Z]{1,2} ?\d{1,4}[EH]?`},
		"short":    {MaxLength: 10},
	}
}

// row is one line of the table.
type row struct {
	line                 int
	ask                  Ask
	name                 string
	context              Context
	utterance, expected  string
	language, kind, text string
}

func table(t testing.TB) []row {
	t.Helper()
	b, err := os.ReadFile("testdata/utterances.tsv")
	if err != nil {
		t.Fatal(err)
	}
	z := berlin(t)
	asks := tableAsks(z)
	var out []row
	for n, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 7 {
			t.Fatalf("line %d: %d columns, want 7", n+1, len(f))
		}
		a, ok := asks[f[4]]
		if !ok {
			t.Fatalf("line %d: there is no ask %q", n+1, f[4])
		}
		a.Kind = Kind(f[3])
		if !slices.Contains(Kinds(), a.Kind) {
			t.Fatalf("line %d: there is no kind %q", n+1, f[3])
		}
		now := f[2]
		if now == "-" {
			now = "2026-11-24T10:00"
		}
		at, err := time.ParseInLocation("2006-01-02T15:04", now, z)
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		out = append(out, row{line: n + 1, ask: a, name: f[4], kind: f[3], language: f[0], text: strings.ReplaceAll(f[5], `\n`, "\n"), utterance: f[5], expected: f[6],
			context: Context{Now: at, Zone: z, Language: f[0], Country: f[1], Code: "abcdefghjkmn"}})
	}
	return out
}

// brief writes a value as the table does.
func brief(v Value, z *time.Location) string {
	switch {
	case v.Skipped:
		return "skipped"
	case v.Yes != nil && *v.Yes:
		return "yes"
	case v.Yes != nil:
		return "no"
	case v.Key != "":
		return v.Key
	case v.Keys != nil && len(v.Keys) == 0:
		return "none"
	case v.Keys != nil:
		return strings.Join(v.Keys, ",")
	case v.Number != "":
		return v.Number
	case v.Date != "":
		return v.Date
	case v.At != "":
		at, err := time.Parse(time.RFC3339, v.At)
		if err != nil {
			return v.At
		}
		return at.In(z).Format("2006-01-02T15:04")
	case v.Address != nil:
		return strings.Join([]string{v.Address.Street, v.Address.PostalCode, v.Address.City, v.Address.Country}, "|")
	case v.Text != "":
		return v.Text
	case v.Email != "":
		return v.Email
	}
	return v.Phone
}

func TestUtterances(t *testing.T) {
	rows := table(t)
	refused, languages := 0, map[string]int{}
	seen := map[string]int{}
	for _, r := range rows {
		key := strings.Join([]string{r.language, r.kind, r.name, r.context.Now.String(), r.utterance}, "\t")
		if at, twice := seen[key]; twice {
			t.Errorf("line %d: is the same as line %d", r.line, at)
		}
		seen[key] = r.line
		languages[r.language]++
		o := Resolve(r.ask, Reply{Text: r.text}, r.context)
		got := ""
		want := strings.ReplaceAll(r.expected, `\n`, "\n")
		if o.Problem == "" {
			got = brief(o.Value, r.context.Zone)
		} else {
			got = "!" + string(o.Problem)
			_, detail, has := strings.Cut(want, " ")
			switch {
			case has && strings.HasPrefix(want, "!ambiguous"):
				var list []string
				for _, v := range o.Candidates {
					list = append(list, brief(v, r.context.Zone))
				}
				expect := strings.Split(detail, "|")
				slices.Sort(list)
				slices.Sort(expect)
				want = "!ambiguous " + strings.Join(expect, "|")
				got += " " + strings.Join(list, "|")
			case has:
				got += " " + o.Detail
			}
			if o.Confidence < 0 || o.Confidence > 1 {
				t.Errorf("line %d: confidence %v", r.line, o.Confidence)
			}
		}
		if strings.HasPrefix(want, "!") {
			refused++
		}
		if got != want {
			t.Errorf("line %d: %s %s %s: %q is %s (%.2f, %s), want %s", r.line, r.language, r.kind, r.name, r.utterance, got, o.Confidence, o.Reading, r.expected)
		}
	}
	if len(rows) < 450 || refused < 90 {
		t.Errorf("the table has %d rows, %d of which are no answers; it needs 450 and 90", len(rows), refused)
	}
	t.Logf("%d rows, %d are no answers, by language %v", len(rows), refused, languages)
}

func BenchmarkResolve(b *testing.B) {
	rows := table(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := &rows[i%len(rows)]
		Resolve(r.ask, Reply{Text: r.text}, r.context)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "resolves/s")
}
