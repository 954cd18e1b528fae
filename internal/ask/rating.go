package ask

import (
	"slices"
	"strconv"
	"strings"
)

// Keys of verdicts, from bad to good: Value.Key of a rating by verdict, and the order of its buttons.
const (
	Disappointing = "disappointing"
	Fine          = "ok"
	Delighting    = "delighting"
)

// Verdicts lists them in the order in which they are offered.
func Verdicts() []string { return slices.Clone(verdictKeys[:]) }

var verdictLabels = map[string]Texts{
	Disappointing: Plain("de", "Enttäuschend", "en", "Disappointing", "de-simple", "Schlecht"),
	Fine:          Plain("de", "In Ordnung", "en", "OK", "de-simple", "In Ordnung"),
	Delighting:    Plain("de", "Begeisternd", "en", "Delightful", "de-simple", "Sehr gut"),
}

// verdictsIn gives the labels of the verdicts in the order in which they are offered.
func verdictsIn(language string) (out [3]string) {
	for i, k := range Verdicts() {
		out[i] = VerdictLabel(k, language)
	}
	return out
}

// VerdictLabel is what a verdict is called in front of customers.
func VerdictLabel(key, language string) string { return verdictLabels[key].Get(language) }

var verdictWords = func() *phrases[int] {
	p := &phrases[int]{}
	p.add(1, `enttäuschend|enttäuscht|bin enttäuscht|enttäuschung|schlecht|sehr schlecht|miserabel|mies|furchtbar|schrecklich|katastrophe|katastrophal|grauenhaft|grottig|mangelhaft|ungenügend|unzufrieden|sehr unzufrieden|nicht zufrieden|gar nicht zufrieden|überhaupt nicht zufrieden|nicht gut|nicht so gut|gar nicht gut|überhaupt nicht gut|nicht gerade gut|unmöglich|frechheit|unverschämt|ärgerlich|verärgert|blöd|doof|scheiße|scheisse|scheiß|mist|beschissen|schlimm|nie wieder|ned guat|nöd guet|nid guet|schwach|negativ|zum vergessen|ein witz
disappointing|disappointed|bad|very bad|terrible|awful|horrible|poor|very poor|dreadful|unsatisfied|dissatisfied|not satisfied|not happy|unhappy|not good|not great|worst|rubbish|sucks|shit|useless|unacceptable|appalling|never again|unprofessional
😡|😠|🤬|😤|☹|🙁|😞|😔|😟|😢|😭|👎|😒|💩|🤮|😖|😣|😩`)
	p.add(2, `okay|ok|oki|in ordnung|naja|na ja|geht so|geht|es geht|ging so|so lala|lala|mittel|mittelmäßig|mittelmässig|durchschnittlich|durchschnitt|neutral|ganz okay|ganz ok|ganz in ordnung|passt|passt scho|passt schon|basst scho|befriedigend|ausreichend|akzeptabel|annehmbar|solide|gut|guet|guat|ganz gut|recht gut|zufrieden|bin zufrieden|soweit zufrieden|ganz zufrieden|alles gut|alles ok|alles okay|alles in ordnung|wie erwartet|nichts besonderes|normal|o k|war ok|war okay|zufriedenstellend|teils teils|isch guet|isch ok|ordentlich|soweit gut
fine|alright|all right|so so|meh|mediocre|average|acceptable|not bad|nicht schlecht|decent|good|satisfied|happy enough|as expected|fair|was ok|its ok|satisfactory|reasonable|quite good
😐|😑|😶|🙂|👌|🆗|😕|🤷`)
	p.add(3, `super|begeistert|begeisternd|bin begeistert|sehr gut|sehr guet|sehr guat|wirklich gut|richtig gut|echt gut|toll|ganz toll|klasse|spitze|spitzenmäßig|großartig|grossartig|fantastisch|phantastisch|hervorragend|ausgezeichnet|exzellent|perfekt|prima|top|genial|wunderbar|bestens|hammer|mega|sensationell|sehr zufrieden|äußerst zufrieden|vollkommen zufrieden|vollauf zufrieden|voll zufrieden|total zufrieden|rundum zufrieden|absolut zufrieden|besser als erwartet|einwandfrei|tipptopp|tip top|tiptop|leiwand|ur leiwand|super gut|megaguet|mega guet|gigantisch|1a|traumhaft|vorbildlich|überragend|geil|cool|sehr schön|lob|bravo|weltklasse|unübertroffen
delighting|delighted|delightful|great|very good|really good|excellent|amazing|awesome|fantastic|brilliant|outstanding|perfect|wonderful|superb|loved it|love it|very happy|very satisfied|really happy|impressed|exceptional|best|fabulous|terrific|lovely|thrilled|better than expected|top notch|extremely satisfied|stellar
😍|🤩|🥰|😊|😀|😃|😄|😁|❤|💖|👍|💯|🔥|🥳|🎉|😻|👏|😘|😎|💚`)
	return p
}()

var intensifiers = set(`ein bisschen|bisschen|etwas|leicht|a bit|slightly|kaum|hardly|fast|almost|zu`)

// verdict resolves a rating by verdict.
func (a *Ask) verdict(toks []token) Outcome {
	toks = uncut(toks)
	value := func(k int) Value { return Value{Key: Verdicts()[k-1]} }
	if k := listNumber(toks); k > 0 && stars(toks) == 0 {
		if k > 3 {
			return Outcome{Problem: OutOfRange, Detail: "option", Confidence: 0.5}
		}
		return Outcome{Value: value(k), Confidence: 0.95, Reading: "number"}
	}
	for i, k := range Verdicts() {
		for _, w := range verdictLabels[k] {
			if joined(toks) == fold(w.Text) || joined(toks) == k {
				return Outcome{Value: value(i + 1), Confidence: 1, Reading: "label"}
			}
		}
	}
	var seen [4]int
	not, unknown, but := 0, 0, false
	for i := 0; i < len(toks); {
		k, n := verdictWords.at(toks, i)
		if n == 0 && toks[i].kind == signToken {
			if toks[i].s == "⭐" || toks[i].s == "★" {
				return Outcome{Problem: Unclear, Detail: "scale", Confidence: 0.3}
			}
			i++
			continue
		}
		if _, m := negators.at(toks, i); m > 0 && m >= n && k == 0 {
			not++
			i += m
			continue
		}
		if n > 0 {
			seen[k]++
			i += n
			continue
		}
		if intensifiers.has(toks[i].s) || toks[i].kind == digitToken {
			unknown += 2
		} else if buts.has(toks[i].s) {
			but = true
		} else if _, m := fillers.at(toks, i); m > 0 {
			i += m
			continue
		} else {
			unknown++
		}
		i++
	}
	var cands []Value
	last := 0
	for k := 1; k <= 3; k++ {
		if seen[k] > 0 {
			cands = append(cands, value(k))
			last = k
		}
	}
	m := moodOf(toks)
	switch {
	case len(cands) == 0:
		return Outcome{Problem: Unclear}
	case len(cands) > 1:
		return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: cands, Reading: "words"}
	case not > 0 || but || m.asks || unknown > 4:
		return Outcome{Problem: Unclear, Confidence: 0.5, Candidates: cands, Reading: "words"}
	}
	return Outcome{Value: value(last), Confidence: 0.96 - 0.03*float64(unknown), Reading: "words"}
}

func stars(toks []token) (n int) {
	for _, t := range toks {
		if t.s == "⭐" || t.s == "★" || t.s == "🌟" {
			n++
		}
	}
	return n
}

var ratingFillers = set(`punkte|punkt|points|point|von|out of|of|auf einer skala|skala|note|eine|ein|würde|gebe|geben|vergebe|give|rate|score|rating|glatte|volle|gute|klare|solide|ganz klar|maximum|zehn von zehn|auf jeden fall|ne|na|bewertung|wertung|mal`)

// scale resolves a rating from 0 to 10.
func (a *Ask) onScale(toks []token) Outcome {
	toks = uncut(toks)
	if n := stars(toks); n > 0 {
		if n > 5 && n <= 10 {
			return Outcome{Value: Value{Number: strconv.Itoa(n)}, Confidence: 0.85, Reading: "words"}
		}
		return Outcome{Problem: Unclear, Detail: "scale", Confidence: 0.3}
	}
	ms := withoutArticles(toks, amounts(toks))
	m := moodOf(toks)
	unknown := 0
	for i := 0; i < len(toks); i++ {
		if toks[i].kind != wordToken || within(ms, i) {
			continue
		}
		if toks[i].s == "stern" || toks[i].s == "sterne" || toks[i].s == "sternen" || toks[i].s == "stars" || toks[i].s == "star" || toks[i].s == "prozent" || toks[i].s == "note" {
			return Outcome{Problem: Unclear, Detail: "scale", Confidence: 0.3}
		}
		if ratingFillers.has(toks[i].s) || verdictWords.has(toks[i].s) || fillers.has(toks[i].s) {
			continue
		}
		unknown++
	}
	of := ""
	if len(ms) == 2 && len(ms[1].readings) == 1 {
		between := joined(toks[ms[0].j:ms[1].i])
		if between == "von" || between == "out of" || between == "of" || between == "aus" || between == "" && ms[1].i-ms[0].j == 1 && toks[ms[0].j].s == "/" {
			of = ms[1].readings[0].String()
			ms = ms[:1]
		}
	}
	if of != "" && of != "10" {
		return Outcome{Problem: Unclear, Detail: "scale", Confidence: 0.3}
	}
	if len(ms) == 0 {
		return Outcome{Problem: Unclear}
	}
	if len(ms) > 1 {
		var cands []Value
		for _, x := range ms {
			for _, r := range x.readings {
				if n, ok := r.small(); ok && n >= 0 && n <= 10 {
					cands = append(cands, Value{Number: strconv.Itoa(n)})
				}
			}
		}
		return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: cands}
	}
	r := ms[0].readings[0]
	v := Value{Number: r.String()}
	n, whole := r.small()
	sc := scopes(toks)
	switch {
	case sc.negated(ms[0].i) || m.asks || ms[0].compared || unknown > 4:
		return Outcome{Problem: Unclear, Confidence: 0.4}
	case ms[0].unit != nil && ms[0].unit.quantity != "count":
		return Outcome{Problem: Unclear, Detail: "unit", Confidence: 0.3}
	case r.negative():
		return Outcome{Problem: OutOfRange, Detail: "min", Confidence: 0.9, Value: v}
	case !whole && strings.Contains(v.Number, "."):
		if f := int(r.m / pow10(r.scale)); f < 10 {
			return Outcome{Problem: Ambiguous, Confidence: 0.6, Candidates: []Value{{Number: strconv.Itoa(f)}, {Number: strconv.Itoa(f + 1)}}}
		}
		return Outcome{Problem: OutOfRange, Detail: "max", Confidence: 0.9, Value: v}
	case !whole || n > 10:
		return Outcome{Problem: OutOfRange, Detail: "max", Confidence: 0.9, Value: v}
	case m.hedged:
		return Outcome{Problem: Unclear, Confidence: 0.6, Candidates: []Value{{Number: strconv.Itoa(n)}}}
	}
	return Outcome{Value: Value{Number: strconv.Itoa(n)}, Confidence: 0.97 - 0.03*float64(unknown), Reading: "amount"}
}
