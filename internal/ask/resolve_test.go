package ask

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func at(t testing.TB) Context {
	return Context{Now: time.Date(2026, 11, 24, 10, 0, 0, 0, berlin(t)), Zone: berlin(t), Language: "de", Country: "DE", Code: "abcdefghjkmn"}
}

func TestResolveReadsButtonsAndKeys(t *testing.T) {
	z := berlin(t)
	asks := tableAsks(z)
	pick := func(name string, k Kind) Ask { a := asks[name]; a.Kind = k; return a }
	for _, c := range []struct {
		a       Ask
		payload string
		want    string
	}{
		{Ask{Kind: YesNo}, "a:abcdefghjkmn:0", "yes"},
		{Ask{Kind: YesNo}, "a:abcdefghjkmn:1", "no"},
		{Ask{Kind: YesNo}, "a:abcdefghjkmn:2", "!out_of_range"},
		{Ask{Kind: YesNo}, "a:nmkjhgfedcba:0", "!foreign"},
		{Ask{Kind: YesNo}, "p:abcdefghjkmn", "!person"},
		{Ask{Kind: YesNo}, "a:", "!foreign"},
		{Ask{Kind: YesNo}, "GET_STARTED", "!unclear"},
		{Ask{Kind: YesNo}, "1", "yes"},
		{Ask{Kind: YesNo}, "2", "no"},
		{Ask{Kind: YesNo}, "2#", "no"},
		{Ask{Kind: YesNo}, "3", "!out_of_range"},
		{Ask{Kind: YesNo}, "0", "!person"},
		{Ask{Kind: YesNo}, "*", "!out_of_range"},
		{Ask{Kind: Consent}, "a:abcdefghjkmn:0", "yes"},
		{pick("pickup", OneOf), "a:abcdefghjkmn:2", "sat"},
		{pick("pickup", OneOf), "a:abcdefghjkmn:3", "!out_of_range"},
		{pick("pickup", OneOf), "2", "fri"},
		{pick("pickup", OneOf), "0", "!person"},
		{pick("papers", ManyOf), "a:abcdefghjkmn:0", "id"},
		{pick("two", ManyOf), "a:abcdefghjkmn:0", "!too_few"},
		{pick("papers", ManyOf), "13", "id,salary"},
		{pick("slots", Slot), "a:abcdefghjkmn:4", "s5"},
		{pick("slots", Slot), "4", "s4"},
		{Ask{Kind: Rating}, "a:abcdefghjkmn:2", Delighting},
		{Ask{Kind: Rating}, "1", Disappointing},
		{Ask{Kind: Rating, Scale: "0-10"}, "a:abcdefghjkmn:10", "10"},
		{Ask{Kind: Rating, Scale: "0-10"}, "10", "10"},
		{Ask{Kind: Rating, Scale: "0-10"}, "0", "0"},
		{Ask{Kind: Number}, "12000", "12000"},
		{Ask{Kind: Number}, "0", "0"},
		{Ask{Kind: Number, Decimals: 1}, "12*5#", "12.5"},
		{Ask{Kind: Date}, "03122026", "2026-12-03"},
		{Ask{Kind: Date}, "0", "!person"},
		{Ask{Kind: Phone}, "01711234567#", "+491711234567"},
		{Ask{Kind: Text}, "0", "!person"},
		{Ask{Kind: YesNo, Optional: true}, "a:abcdefghjkmn:2", "skipped"},
	} {
		o := Resolve(c.a, Reply{Payload: c.payload}, at(t))
		got := brief(o.Value, z)
		if o.Problem != "" {
			got = "!" + string(o.Problem)
		}
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.a.Kind, c.payload, got, c.want)
		}
	}
}

func TestResolveReadsTheTextOfForeignButtons(t *testing.T) {
	o := Resolve(Ask{Kind: YesNo}, Reply{Payload: "provider-id-77", Text: "Ja"}, at(t))
	if o.Problem != "" || o.Value.Yes == nil || !*o.Value.Yes {
		t.Errorf("%+v", o)
	}
}

func TestResolveTakesFiles(t *testing.T) {
	jpg := ReplyFile{"f1", "auto.jpg", "image/jpeg"}
	png := ReplyFile{"f2", "schaden.png", "image/png; charset=binary"}
	pdf := ReplyFile{"f3", "akte.pdf", "application/pdf"}
	photos := Ask{Kind: File, Accept: []string{"image/*"}}
	for _, c := range []struct {
		name    string
		a       Ask
		r       Reply
		problem Problem
		files   []string
	}{
		{"a photo", photos, Reply{Files: []ReplyFile{jpg}}, "", []string{"f1"}},
		{"a photo with text", photos, Reply{Text: "Hier das Foto", Files: []ReplyFile{jpg}}, "", []string{"f1"}},
		{"two", photos, Reply{Files: []ReplyFile{jpg, png}}, "", []string{"f1", "f2"}},
		{"a document instead", photos, Reply{Files: []ReplyFile{pdf}}, WrongType, nil},
		{"a document beside", photos, Reply{Files: []ReplyFile{jpg, pdf}}, "", []string{"f1"}},
		{"anything", Ask{Kind: File}, Reply{Files: []ReplyFile{pdf}}, "", []string{"f3"}},
		{"text only", photos, Reply{Text: "kommt"}, WrongType, nil},
		{"nothing", photos, Reply{}, Unclear, nil},
		{"too few", Ask{Kind: File, Least: 2}, Reply{Files: []ReplyFile{jpg}}, TooFew, nil},
		{"too many", Ask{Kind: File, Most: 1}, Reply{Files: []ReplyFile{jpg, png}}, TooMany, nil},
		{"a person", photos, Reply{Text: "Mensch"}, Person, nil},
		{"left out", Ask{Kind: File, Optional: true}, Reply{Text: "weiter"}, "", nil},
		{"a signature", Ask{Kind: Signature}, Reply{Files: []ReplyFile{png}}, "", []string{"f2"}},
		{"no signature", Ask{Kind: Signature}, Reply{Files: []ReplyFile{pdf}}, WrongType, nil},
		{"a file for a yes", Ask{Kind: YesNo}, Reply{Files: []ReplyFile{jpg}}, WrongType, nil},
	} {
		o := Resolve(c.a, c.r, at(t))
		if o.Problem != c.problem || o.Problem == "" && !slices.Equal(o.Value.Files, c.files) {
			t.Errorf("%s: %+v", c.name, o)
		}
	}
}

func TestWantsPerson(t *testing.T) {
	for _, s := range []string{"Mensch", "mensch bitte", "Mitarbeiter", "Person", "0", "Berater", "ich will mit einem Menschen sprechen", "richtiger Mensch bitte", "Ich möchte mit jemandem sprechen",
		"real person", "agent", "human", "operator", "let me talk to somebody", "Can I speak to a human please?", "I need a real person", "Hallo, ich brauche einen Mitarbeiter", "Verbinden Sie mich bitte mit einem Berater",
		"Ich will keinen Bot", "kein Roboter bitte", "I don't want to talk to a bot", "Könnte ich bitte mit einer Sachbearbeiterin telefonieren", "representative", "customer service", "speak to a person", "Kundendienst", "Das verstehe ich nicht. Ich möchte mit einem Menschen sprechen.",
		"ich will einen Menschen", "Menschen sprechen bitte", "I would like to speak to someone about my claim", "Ich möchte mit meinem Berater sprechen", "Ich hätte gern mit einem Mitarbeiter gesprochen", "Get me a manager", "Ich hätte gern einen Mitarbeiter"} {
		if !WantsPerson(s, "de") {
			t.Errorf("%q asks for a person", s)
		}
	}
	for _, s := range []string{"", "Meine Person: Anna", "3 Personen", "drei Personen", "my agent told me to call", "Ihr Mitarbeiter hat mir geholfen", "Ich habe mit einem Mitarbeiter gesprochen", "pro Person 20 Euro", "ja", "Donnerstag",
		"10", "der Mensch ist gut", "Ich bin Berater", "Wir sind zwei Mitarbeiter", "I spoke to an agent yesterday", "eine Person mehr", "Mein Berater ist Herr Meier", "jemand hat mein Auto angefahren", "Somebody hit my car",
		"Der Bot ist nett", "Ansprechpartner: Frau Keller", "Ich will nicht mit einem Menschen sprechen", "Ich brauche das Auto für meine Mitarbeiter", "Bitte einen Termin für zwei Personen", "Ich habe letzte Woche mit einem Ihrer Mitarbeiter sprechen wollen", "Ansprechpartner Frau Keller, bitte anrufen", "Ich brauche einen Termin mit meinem Berater", "Bitte schicken Sie jemanden vorbei", "I need someone to look at my car", "Please give this to the operator of the crane", "Ja, mit meinem Berater besprochen"} {
		if WantsPerson(s, "de") {
			t.Errorf("%q does not ask for a person", s)
		}
	}
}

// Every option is found by each of its names and by its number, whatever the names are.
func TestResolveFindsOptions(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	words := strings.Fields("Auto Haus Reparatur Termin Abholung Rückruf Angebot Rechnung Vertrag Kündigung Glas Hagel Sturm Wasser Feuer Einbruch Mainz Köln Zürich Straße Bank Kredit Konto Karte rot blau grün groß klein heute Vormittag Nachmittag 2 3 10")
	for n := range 300 {
		a := Ask{Kind: OneOf}
		used := map[string]bool{}
		for len(a.Options) < 2+n%7 {
			var label []string
			for range 1 + r.IntN(3) {
				label = append(label, words[r.IntN(len(words))])
			}
			s := strings.Join(label, " ")
			if _, err := strconv.Atoi(s); err == nil || used[fold(s)] {
				continue
			}
			used[fold(s)] = true
			a.Options = append(a.Options, Option{Key: fmt.Sprintf("key-%d", len(a.Options)), Label: Plain("de", s)})
		}
		for i, o := range a.Options {
			label := o.Label["de"].Text
			for _, text := range []string{label, strings.ToUpper(label), label + " bitte", label + ".", o.Key} {
				if got := Resolve(a, Reply{Text: text}, at(t)); got.Problem != "" || got.Value.Key != o.Key {
					t.Fatalf("%q of %v: %+v", text, a.Options, got)
				}
			}
			number := strconv.Itoa(i + 1)
			for _, text := range []string{"Nummer " + number, "#" + number} {
				if got := Resolve(a, Reply{Text: text}, at(t)); got.Problem != "" || got.Value.Key != o.Key {
					t.Fatalf("%q of %v: %+v", text, a.Options, got)
				}
			}
			// A bare number may be a word of another label: never a third option, then.
			if got := Resolve(a, Reply{Text: number}, at(t)); got.Problem == "" && got.Value.Key != o.Key {
				t.Fatalf("%q of %v: %+v", number, a.Options, got)
			}
			// What is ruled out is never taken.
			for _, text := range []string{"nicht " + label, label + " nicht", "alles ausser " + label, "not " + label, "auf keinen Fall " + label, "nicht die " + number} {
				if got := Resolve(a, Reply{Text: text}, at(t)); got.Problem == "" && got.Value.Key == o.Key {
					t.Fatalf("%q of %v: %+v", text, a.Options, got)
				}
			}
		}
	}
}

// What an answer is shown as is read as that answer.
func TestShowIsRead(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 2))
	z := berlin(t)
	for _, language := range []string{"de", "de-AT", "de-CH", "en", "en-US", "en-GB"} {
		c := at(t)
		c.Language = language
		check := func(a Ask, v Value) {
			t.Helper()
			if err := a.CheckValue(v, c); err != nil {
				t.Fatalf("%+v: %v", v, err)
			}
			s := v.Show(a, language)
			o := Resolve(a, Reply{Text: s}, c)
			if o.Problem != "" || brief(o.Value, z) != brief(v, z) {
				t.Errorf("%s %s: %q is read as %s (%s %s)", language, a.Kind, s, brief(o.Value, z), o.Problem, o.Detail)
			}
		}
		for range 300 {
			d := time.Date(2026, 11, 25+r.IntN(1500), r.IntN(24), 5*r.IntN(12), 0, 0, z)
			check(Ask{Kind: Date}, Value{Date: d.Format(dayForm)})
			if two, gap := instantOf(civil(d), d.Hour()*60+d.Minute(), z); !gap && len(two) == 1 {
				check(Ask{Kind: DateTime}, Value{At: d.Format(time.RFC3339)})
			}
			check(Ask{Kind: Date, From: "today-90y", Until: "today"}, Value{Date: d.AddDate(-r.IntN(60)-5, 0, 0).Format(dayForm)})
			n := strconv.Itoa(r.IntN(3_000_000))
			check(Ask{Kind: Number, Unit: "km"}, Value{Number: n, Unit: "km"})
			check(Ask{Kind: Number, Decimals: 2, Unit: "EUR"}, Value{Number: n + "." + fmt.Sprintf("%02d", r.IntN(100)), Unit: "EUR"})
			check(Ask{Kind: Number, Decimals: 1}, Value{Number: "-" + n + "." + strconv.Itoa(r.IntN(10))})
			check(Ask{Kind: Rating, Scale: "0-10"}, Value{Number: strconv.Itoa(r.IntN(11))})
		}
		for range 100 {
			a := Ask{Kind: Slot}
			used := map[string]bool{}
			for len(a.Options) < 2+r.IntN(10) {
				o := slotAt(z, "x", time.Date(2026, 11, 25+r.IntN(30), 7+r.IntN(12), 15*r.IntN(4), 0, 0, z).Format("2006-01-02T15:04"))
				if o.Key = o.Start.Format("0102-1504"); !used[o.Key] {
					used[o.Key] = true
					a.Options = append(a.Options, o)
				}
			}
			for i := range a.Options {
				check(a, a.slotValue(i, z))
			}
		}
		check(Ask{Kind: YesNo}, Value{Yes: ptr(true)})
		check(Ask{Kind: YesNo}, Value{Yes: ptr(false)})
		check(Ask{Kind: Consent, Purpose: "x"}, Value{Yes: ptr(true)})
		for _, k := range Verdicts() {
			check(Ask{Kind: Rating}, Value{Key: k})
		}
		many := tableAsks(z)["papers"]
		many.Kind = ManyOf
		check(many, Value{Keys: []string{}})
		check(many, Value{Keys: []string{"id", "plan"}})
		check(Ask{Kind: Email}, Value{Email: "anna@example.de"})
		check(Ask{Kind: Phone}, Value{Phone: "+491711234567"})
		check(Ask{Kind: Address}, Value{Address: &Postal{Street: "Am Markt 3", PostalCode: "55116", City: "Mainz", Country: "DE"}})
	}
}

func TestEaster(t *testing.T) {
	// Dates as published by the PTB and the U.S. Naval Observatory.
	for y, want := range map[int]string{1954: "04-18", 1981: "04-19", 2000: "04-23", 2008: "03-23", 2011: "04-24", 2019: "04-21", 2024: "03-31", 2025: "04-20", 2026: "04-05", 2027: "03-28", 2038: "04-25", 2049: "04-18"} {
		if got := easter(y).Format("01-02"); got != want {
			t.Errorf("%d: %s, want %s", y, got, want)
		}
	}
	for name, want := range map[string]string{"erster advent": "2026-11-29", "vierter advent": "2026-12-20", "buß und bettag": "2026-11-18", "totensonntag": "2026-11-22", "muttertag": "2026-05-10", "thanksgiving": "2026-11-26", "fronleichnam": "2026-06-04", "christi himmelfahrt": "2026-05-14", "rosenmontag": "2026-02-16"} {
		h, n := holidays.at(tokenise(name), 0)
		if n == 0 {
			t.Errorf("%s is unknown", name)
			continue
		}
		if got := h(2026, "DE").Format(dayForm); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// fuzzAsks are asks of every kind.
func fuzzAsks(z *time.Location) []Ask {
	var out []Ask
	asks := tableAsks(z)
	for name, kinds := range map[string][]Kind{
		"-": {YesNo, Date, DateTime, Number, Text, Rating, Email, Phone, Address, File, Signature, Consent, Payment}, "labelled": {YesNo}, "pickup": {OneOf, ManyOf}, "damage": {OneOf}, "count": {OneOf, ManyOf}, "yesno": {OneOf},
		"papers": {ManyOf}, "two": {ManyOf}, "money": {Number}, "free": {Number}, "kg": {Number}, "minutes": {Number}, "birthday": {Date}, "incident": {DateTime}, "slots": {Slot}, "plate": {Text}, "0-10": {Rating}, "optional": {Text, Email, YesNo, Date},
	} {
		for _, k := range kinds {
			a := asks[name]
			a.Kind = k
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Ask) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// sound holds an outcome to what Resolve promises.
func sound(t testing.TB, a Ask, c Context, text string, o Outcome) {
	t.Helper()
	if o.Confidence < 0 || o.Confidence > 1 {
		t.Fatalf("%s %q: confidence %v", a.Kind, text, o.Confidence)
	}
	if o.Problem != "" {
		return
	}
	if o.Confidence < Sure || o.Reading == "" {
		t.Fatalf("%s %q: taken with confidence %v by %q", a.Kind, text, o.Confidence, o.Reading)
	}
	if err := a.CheckValue(o.Value, c); err != nil {
		t.Fatalf("%s %q: %v", a.Kind, text, err)
	}
	if o.Value.IsZero() {
		t.Fatalf("%s %q: taken for nothing", a.Kind, text)
	}
	o.Value.Any(a.Kind)
	o.Value.Show(a, c.Language)
}

// Replies cut, joined and mixed at random, put to asks of every kind: nothing panics, and what is taken is valid.
func TestResolveNeverGuesses(t *testing.T) {
	z := berlin(t)
	asks := fuzzAsks(z)
	rows := table(t)
	r := rand.New(rand.NewPCG(6, 3))
	joints := []string{" ", ", ", "\n", " oder ", " nicht ", ". ", "", " aber ", "-", "/", " 12 ", "\u00a0", "\xff", " und "}
	n := 60000
	if testing.Short() {
		n = 6000
	}
	taken := 0
	for range n {
		a := asks[r.IntN(len(asks))]
		one, two := rows[r.IntN(len(rows))].text, rows[r.IntN(len(rows))].text
		text := one[:r.IntN(len(one)+1)] + joints[r.IntN(len(joints))] + two[r.IntN(len(two)+1):]
		c := at(t)
		c.Language = []string{"de", "de-AT", "de-CH", "en", "en-US", "fr", ""}[r.IntN(7)]
		c.Country = []string{"DE", "AT", "CH", "GB", "US", ""}[r.IntN(6)]
		o := Resolve(a, Reply{Text: text}, c)
		sound(t, a, c, text, o)
		if o.Problem == "" && a.Kind != Text {
			taken++
		}
	}
	if taken == 0 {
		t.Error("nothing was taken: does this test still put questions?")
	}
}

// An unnegated yes or option never comes out of a reply that rules it out, in any kind of sentence.
func TestResolveHeedsNegation(t *testing.T) {
	a := tableAsks(berlin(t))["pickup"]
	a.Kind = OneOf
	for _, frame := range []string{"nicht %s", "%s nicht", "%s geht nicht", "%s passt mir leider nicht", "%s ist schlecht", "auf keinen Fall %s", "alles außer %s", "bloß nicht %s", "%s kann ich nicht", "kein %s bitte", "ohne %s", "%s ist ungünstig",
		"%s wäre unmöglich", "not %s", "%s does not work", "%s doesn't work for me", "anything except %s", "I can't do %s", "%s is impossible", "never on %s", "weder %s noch sonst"} {
		for _, o := range a.Options {
			for _, l := range []string{o.Label["de"].Text, o.Label["en"].Text} {
				text := fmt.Sprintf(frame, l)
				if got := Resolve(a, Reply{Text: text}, at(t)); got.Problem == "" {
					t.Errorf("%q is %s", text, got.Value.Key)
				}
			}
		}
	}
	for _, kind := range []Kind{Date, DateTime} {
		for _, text := range []string{"nicht morgen um 10", "morgen um 10 nicht", "morgen um 10 geht nicht", "morgen um 10 kann ich nicht", "not tomorrow at 10", "tomorrow at 10 doesn't work", "auf keinen Fall morgen um 10", "alles außer morgen um 10"} {
			if got := Resolve(Ask{Kind: kind}, Reply{Text: text}, at(t)); got.Problem == "" {
				t.Errorf("%s: %q is %+v", kind, text, got.Value)
			}
		}
	}
	// "no" stands in "November", "ne" in "Donnerstag": those are none of the day's own words.
	for _, language := range []string{"de", "en"} {
		for _, text := range []string{"Thursday no", "Thursday, no", "Donnerstag nein", "Donnerstag nö", "Donnerstag ne"} {
			c := at(t)
			c.Language = language
			if got := Resolve(Ask{Kind: Date}, Reply{Text: text}, c); got.Problem == "" {
				t.Errorf("%s: %q is %+v", language, text, got.Value)
			}
		}
	}
}

func FuzzResolve(f *testing.F) {
	z := berlin(f)
	asks := fuzzAsks(z)
	languages := []string{"de", "de-AT", "de-CH", "en", "en-US", "fr", ""}
	countries := []string{"DE", "AT", "CH", "GB", "US", ""}
	for i, r := range table(f) {
		if i%12 != 0 {
			continue // enough to begin with; TestResolveNeverGuesses runs all of them, cut and mixed
		}
		f.Add(byte(i), byte(i/3), r.text, "")
	}
	f.Add(byte(0), byte(0), "", "a:abcdefghjkmn:1")
	f.Fuzz(func(t *testing.T, which, how byte, text, payload string) {
		a := asks[int(which)%len(asks)]
		c := Context{Now: time.Date(2026, 11, 24, 10, 0, 0, 0, z), Zone: z, Language: languages[int(how)%len(languages)], Country: countries[int(how)%len(countries)], Code: "abcdefghjkmn"}
		o := Resolve(a, Reply{Text: text, Payload: payload}, c)
		sound(t, a, c, text, o)
		WantsPerson(text, c.Language)
	})
}

// Accept lists are written by people, media types by programs: case and parameters do not matter, wherever a file comes from.
func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		accept []string
		kind   Kind
		media  string
		want   bool
	}{
		{nil, File, "video/mp4", true},
		{[]string{"image/*"}, File, "image/png", true},
		{[]string{"image/*"}, File, "imagery/png", false},
		{[]string{"image/PNG"}, File, "image/png; q=1", true},
		{[]string{"*/*"}, File, "audio/ogg", true},
		{[]string{"application/pdf"}, File, "image/png", false},
		{[]string{"application/pdf"}, Signature, "image/png", true},
		{nil, Signature, "application/pdf", false},
	} {
		a := Ask{Kind: c.kind, Accept: c.accept}
		if got := a.Accepts(c.media); got != c.want {
			t.Errorf("%s %v takes %s: %v", c.kind, c.accept, c.media, got)
		}
	}
}
