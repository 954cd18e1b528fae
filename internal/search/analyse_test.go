package search

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// What finds what. A row reads: in a text that says …, the query … is found, or is not. A query that ends with a space
// is finished; otherwise its last word may be the beginning of one.
func TestFinds(t *testing.T) {
	for _, c := range []struct {
		text, query string
		found       bool
	}{
		// case, accents, spellings
		{"Guten Tag Frau Yıldız", "yildiz ", true},
		{"GUTEN TAG", "guten tag ", true},
		{"das Müllerhaus am Markt", "muellerhaus ", true},
		{"das Muellerhaus am Markt", "müllerhaus ", true},
		{"das Müllerhaus am Markt", "mullerhaus ", true},
		{"das Mullerhaus am Markt", "MÜLLERHAUS ", true},
		{"Berliner Straße 12", "strasse ", true},
		{"Berliner Strasse 12", "Straße ", true},
		{"BERLINER STRASSE 12", "straße ", true},
		{"mu\u0308ller, zerlegt geschrieben", "müller ", true},
		{"José aus Łódź", "jose lodz ", true},
		{"Citroën und Škoda", "citroen skoda ", true},
		{"Søren Ærø", "soren aero ", true},
		{"Ober\u00adarzt mit weichem Trennstrich", "oberarzt ", true},
		{"ｆｕｌｌ ｗｉｄｔｈ", "full ", true},
		{"Москва", "moskva ", true},
		{"Ελλάδα", "ellada ", true},
		{"東京タワー", "東 ", true},
		{"٢٠٢٤", "2024 ", true},
		{"Frau Schäfer", "schafer ", true},
		{"Frau Schaefer", "schäfer ", true},
		{"Herr Bauer", "bauer ", true},

		// endings
		{"die Versicherungen", "versicherung ", true},
		{"die Versicherung", "versicherungen ", true},
		{"zwei Verträge", "vertrag ", true},
		{"des Vertrags", "Vertrages ", true},
		{"alle Schäden", "Schaden ", true},
		{"eines Schadens", "schäden ", true},
		{"die Häuser", "haus ", true},
		{"in den Häusern", "haus ", true},
		{"die Haeuser", "haus ", true},
		{"viele Zinsen", "zins ", true},
		{"mehrere Konten", "konto ", false}, // no table of irregular words
		{"die Kunden", "kunde ", true},
		{"zwei Autos", "auto ", true},
		{"neue Police", "policen ", true},
		{"two policies", "policy ", true},
		{"my claims", "claim ", true},
		{"the insured's car", "insured ", true},
		{"cancelled yesterday", "cancel ", true},
		{"we are cancelling", "cancelled ", true},
		{"ein Bau", "bauer ", false},
		{"Müll vor der Tür", "müller ", false},
		{"ein Fisch", "fischer ", false},
		{"versichern", "versicherung ", false},

		// compounds
		{"meine Haftpflichtversicherung", "versicherung ", true},
		{"meine Haftpflichtversicherung", "haftpflicht ", true},
		{"meine Haftpflichtversicherungen", "Versicherung ", true},
		{"meine Haftpflicht-Versicherung", "haftpflichtversicherung ", true},
		{"Kfz-Haftpflichtversicherung", "haftpflichtversicherung ", true},
		{"Kfzhaftpflichtversicherung", "haftpflichtversicherung ", true},
		{"Hausratversicherung", "hausrat ", true},
		{"Hausratversicherung", "haus ", false},
		{"Rechtsschutzversicherungsvertrag", "rechtsschutz ", true},
		{"Rechtsschutzversicherungsvertrag", "vertrag ", true},
		{"Schadensmeldung", "meldung ", true},
		{"Schadenersatz", "ersatz ", true},
		{"Kündigungsfrist", "kündigung ", true},
		{"Kuendigungsfrist", "frist ", true},
		{"Krankenhaus", "haus ", true},
		{"Reihenhäuser", "haus ", true},
		{"Kinderzimmer", "kind ", true},
		{"Ärztehaus", "arzt ", true},
		{"Schulhof, Schulweg", "schule ", true},
		{"Kreditkarte", "karte ", true},
		{"Gebäudeelementarschaden", "elementar ", true},
		{"Kfz-Versicherungsvertragsnummer", "vertrag ", true},
		{"Sonntag", "tag ", false},
		{"Kameraeinstellung", "einstellung ", true},
		{"Allianzversicherung", "allianz ", true},
		{"Allianzversicherung", "versicherung ", true},
		{"Waschmaschinenschlauch", "maschine ", false}, // the end is not in the list, and guessing would be worse
		{"Minister", "ster ", false},
		{"Überforderung", "forderung ", false},
		{"Haftpflicht", "pflicht ", false},
		{"Verunsicherung", "sicherung ", false},
		{"Haftpflicht und Versicherung", "haftpflichtversicherung ", false},
		{"Bundesliga", "bund ", false},
		{"Autobahnmeisterei", "bahn ", false},

		// the last word while it is typed
		{"Haftpflichtversicherung", "haftpfl", true},
		{"Haftpflichtversicherung", "versich", true},
		{"Haftpflichtversicherung", "versich ", false},
		{"Müller", "muel", true},
		{"Müller", "mül", true},
		{"Frauen", "frau", true},
		{"Vertrag KFZ-123456", "KFZ-123", true},
		{"Vertrag KFZ-123456", "kfz 123", true},
		{"Vertrag KFZ-123456", "123 kfz ", false},
		{"Telefon 0171 2345678", "tel", true},
		{"0171 2345678", "tel", false},

		// numbers and identifiers
		{"Vertrag KFZ-123456", "KFZ-123456 ", true},
		{"Vertrag KFZ-123456", "kfz123456 ", true},
		{"Vertrag KFZ-123456", "123456 ", true},
		{"Vertrag KFZ-123456", "kfz ", true},
		{"Vertrag KFZ 123456", "KFZ-123456 ", true},
		{"Vertrag KFZ123456", "KFZ-123456 ", true},
		{"Vertrag KFZ123456", "123456 ", true},
		{"Vertrag KFZ 123456", "kfz123456 ", true},
		{"Vertrag KFZ-123456", "12345 ", false},
		{"Az. 2024/0815", "2024/0815 ", true},
		{"Az. 2024/0815", "0815 ", true},
		{"Az. 2024/0815", "20240815 ", true},
		{"Az. 2024-0815", "2024/0815 ", true},
		{"Az. 2024/0815", "2024/0816 ", false},
		{"IBAN DE89 3704 0044 0532 0130 00", "DE89370400440532013000 ", true},
		{"IBAN DE89370400440532013000", "DE89 3704 0044 0532 0130 00 ", true},
		{"iban de89 3704 0044 0532 0130 00", "DE89370400440532013000 ", true},
		{"IBAN DE89 3704 0044 0532 0130 00", "0532 ", true},
		{"IBAN DE88 3704 0044 0532 0130 00", "DE88370400440532013000 ", false}, // no IBAN: wrong check digits
		{"Rückruf bitte: 0171 2345678", "+49 171 2345678 ", true},
		{"Rückruf bitte: +49 (0)171 / 234 56 78", "01712345678 ", true},
		{"Rückruf bitte: 0049171 2345678", "0171-2345678 ", true},
		{"Rückruf bitte: (0171) 234-5678", "+491712345678 ", true},
		{"whatsapp 491712345678", "0171 2345678 ", true},
		{"Rückruf bitte: +43 664 1234567", "0664 1234567 ", true},
		{"Rückruf bitte: +1 212 555 0100", "0012125550100 ", true},
		{"Rückruf bitte: 0171 2345678", "2345678 ", true},
		{"Rückruf bitte: 0171 2345678", "0171 2345679 ", false},
		{"an anna.kunde-meyer@kunden.example", "anna.kunde-meyer@kunden.example ", true},
		{"an anna.kunde-meyer@kunden.example", "anna.kunde-meyer ", true},
		{"an anna.kunde-meyer@kunden.example", "kunden.example ", true},
		{"an anna.kunde-meyer@kunden.example", "@kunden.example ", true},
		{"an anna.kunde-meyer@kunden.example", "meyer ", true},
		{"an anna.kunde-meyer@kunden.example", "anna@kunden.example ", false},
		{"Rechnung_2024-05.pdf", "rechnung ", true},
		{"Rechnung_2024-05.pdf", "Rechnung_2024-05.pdf ", true},
		{"Rechnung_2024-05.pdf", "pdf ", true},
		{"am 24.11.2026", "24.11.2026 ", true},
		{"1.234,56 €", "1.234,56 ", true},
		{"MZ-AB 1234", "MZ-AB 1234 ", true},

		// several words, phrases
		{"der Unfall war am Freitag", "freitag unfall ", true},
		{"der Unfall war am Freitag", "unfall samstag ", false},
		{"der Unfall war am Freitag", `"am Freitag"`, true},
		{"am nächsten Freitag", `"am Freitag"`, false},
		{"Unfall am Freitag", `unfall "am freitag"`, true},
		{"der Unfall war am Freitag", `"am Frei"`, false},
		{"Auto, Motorrad", "auto motorrad ", true},
		{"nichts", "  ", false},
		{"nichts", "", false},
		{"nichts", "!?", false},
	} {
		_, got := Parse(c.query).match([]field{{"text", c.text, prose}})
		if got != c.found {
			var terms termSet
			terms.add(c.text, prose)
			t.Errorf("%q in %q: found is %t, want %t\nterms %q\nquery %+v", c.query, c.text, got, c.found, terms.prose, Parse(c.query).words)
		}
	}
}

// In names nothing is inflected.
func TestFindsNames(t *testing.T) {
	for _, c := range []struct {
		name, query string
		found       bool
	}{
		{"Hans Meier", "hansen ", false},
		{"Peter Hansen", "hans ", false},
		{"Peter Hansen", "hans", true}, // being typed
		{"Peter Hansen", "hansen ", true},
		{"Müller-Lüdenscheidt", "mueller-luedenscheidt ", true},
		{"Müller-Lüdenscheidt", "luedenscheidt ", true},
		{"Müller Lüdenscheidt", "müller-lüdenscheidt ", true},
		{"Jürgen Groß", "juergen gross ", true},
		{"O’Neill", "oneill ", true},
		{"Ayşe Yıldız", "ayse yildiz ", true},
		{"Bau GmbH", "bauer ", false},
		{"Versicherung Müller", "versicherungen ", false},
	} {
		if _, got := Parse(c.query).match([]field{{"name", c.name, name}}); got != c.found {
			t.Errorf("%q in the name %q: found is %t, want %t", c.query, c.name, got, c.found)
		}
	}
}

func TestSplit(t *testing.T) {
	for word, want := range map[string]string{
		"haftpflichtversicherung":         "haftpflicht versicherung",
		"hausratversicherung":             "hausrat versicherung",
		"kfzversicherungsvertragsnummer":  "kfz versicherung vertragsnummer",
		"lebensversicherung":              "leb versicherung",
		"krankenhaustagegeldversicherung": "krankenhaus tagegeld versicherung",
		"steuerberater":                   "steur berater",
		"fahrraddiebstahl":                "fahrrad diebstahl",
		"kinderzimmer":                    "kind zimmer",
		"haeuserfront":                    "haus front",
		"brandschutztuer":                 "brandschutz tur",
		"strassenbahn":                    "strass bahn",
		"autobahn":                        "auto bahn",
		"versicherung":                    "",
		"hausrat":                         "",
		"minister":                        "",
		"verein":                          "",
		"beitrag":                         "",
		"urinstinkt":                      "",
		"staubecken":                      "staub eck", // the other reading is as good
		"wachstube":                       "",
		"sonntag":                         "",
		"garage":                          "",
		"information":                     "",
		"december":                        "",
		"insurance":                       "",
		"password":                        "",
		"internet":                        "",
		"understanding":                   "",
	} {
		var got []string
		for _, p := range split(word) {
			got = append(got, p.term)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s splits into %q, want %q", word, s, want)
		}
	}
}

func TestWordList(t *testing.T) {
	n := 0
	seen := map[string]bool{}
	for line := range strings.Lines(wordList) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for w := range strings.FieldsSeq(line) {
			w, _ = strings.CutSuffix(w, "+er")
			if len(w) < minPart || w != strings.ToLower(w) {
				t.Errorf("word %q", w)
			}
			if !seen[w] {
				n++
			}
			seen[w] = true
		}
	}
	if n < 1500 {
		t.Errorf("only %d words", n)
	}
}

func TestSnippet(t *testing.T) {
	long := strings.Repeat("Wort ", 50)
	for _, c := range []struct{ text, query, want string }{
		{"kurz: Unfall", "unfall ", "kurz: [Unfall]"},
		{long + "der Unfall am\n\n Freitag " + long, "unfall ", "…Wort Wort Wort Wort Wort Wort Wort der [Unfall] am Freitag Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort Wort…"},
		{"😀 Haftpflichtversicherung 😀", "versicherung ", "😀 [Haftpflichtversicherung] 😀"},
		{"Vertrag KFZ-123456.", "123456 ", "Vertrag KFZ-[123456]."},
		{"Vertrag KFZ-123456.", "kfz-123456 ", "Vertrag [KFZ-123456]."},
		{"\n\n  eins \t zwei", "zwei ", "eins [zwei]"},
		{"ruf 0171 2345678 an", "+49171 2345678 ", "ruf [0171 2345678] an"},
		{"\u202eUnfall\u202c", "unfall ", "[Unfall]"},
	} {
		hits, ok := Parse(c.query).match([]field{{"text", c.text, prose}})
		if !ok {
			t.Errorf("%q is not found in %q", c.query, c.text)
			continue
		}
		s, marks := snippet(c.text, hits[0].marks)
		if n := utf8.RuneCountInString(s); n > snippetLength {
			t.Errorf("snippet of %d characters: %s", n, s)
		}
		u := utf16.Encode([]rune(s))
		var got strings.Builder
		last := 0
		for _, m := range marks {
			got.WriteString(string(utf16.Decode(u[last:m[0]])) + "[" + string(utf16.Decode(u[m[0]:m[1]])) + "]")
			last = m[1]
		}
		got.WriteString(string(utf16.Decode(u[last:])))
		if got.String() != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.query, got.String(), c.want)
		}
	}
}

func TestHitsNameTheirField(t *testing.T) {
	fields := []field{{"text", "bitte um Rückruf", prose}, {"subject", "Unfall mit dem Auto", prose}, {"name", "Petra Kern", name}}
	hits, ok := Parse("kern unfall ").match(fields)
	var names []string
	for _, h := range hits {
		names = append(names, h.field)
	}
	if !ok || !reflect.DeepEqual(names, []string{"subject", "name"}) {
		t.Errorf("found %t in %q", ok, names)
	}
}

// Whatever a stranger writes, the analyser neither panics nor makes more than its limits of it; what it says of a text
// is what it looks for.
func FuzzAnalyse(f *testing.F) {
	for _, s := range []string{"", "Haftpflichtversicherung", "KFZ-123456 / 0171 2345678", "DE89 3704 0044 0532 0130 00", "a@b.c@d", "\xff\xfe\x00", "ßẞ\u0308\u0308", strings.Repeat("0 ", 40), strings.Repeat("haus", 40), "“„\"'’", "１２３", "\u200d\u00ad", "𝕳𝖆𝖚𝖘", "+49 (0) 171", "ae" + strings.Repeat("e", 90)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var set termSet
		set.add(s, prose)
		set.add(s, name)
		if len(set.prose)+len(set.names) > maxTerms {
			t.Fatalf("%d terms", len(set.prose)+len(set.names))
		}
		for _, w := range slices.Concat(set.prose, set.names) {
			if len(w) > maxTerm || w == "" || strings.IndexFunc(w, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) >= 0 {
				t.Fatalf("term %q", w)
			}
		}
		q := Parse(s)
		if len(q.words) > maxWords {
			t.Fatalf("%d words", len(q.words))
		}
		fields := []field{{"text", s, prose}}
		hits, ok := q.match(fields)
		// A text finds itself, unless quotes or the limits of a query say otherwise.
		if !ok && len(q.words) > 0 && len(q.words) < maxWords && len(s) < 1000 && !strings.ContainsAny(s, "\"“”„") && utf8.ValidString(s) {
			t.Fatalf("%q does not find itself: %+v, terms %q", s, q.words, set.prose)
		}
		for _, h := range hits {
			out, marks := snippet(s, h.marks)
			n := len(utf16.Encode([]rune(out)))
			for _, m := range marks {
				if m[0] < 0 || m[0] >= m[1] || m[1] > n {
					t.Fatalf("mark %v in a snippet of %d units", m, n)
				}
			}
			if utf8.RuneCountInString(out) > snippetLength {
				t.Fatalf("snippet of %d characters", utf8.RuneCountInString(out))
			}
		}
	})
}
