package ask

import (
	"slices"
	"strconv"
	"strings"
)

// phrase is one thing that an option is called.
type phrase struct {
	option int
	words  []token // without signs
	how    string  // label, synonym, key
}

// called lists what options are called, the longest first.
func called(options []Option) []phrase {
	out := make([]phrase, 0, len(options)*4)
	add := func(i int, s, how string) {
		toks := tokenise(s)
		words := toks[:0]
		for _, t := range toks {
			if t.kind != signToken || !fillers.has(t.s) && t.s != "/" && t.s != "&" && t.s != "?" && t.s != "+" {
				words = append(words, t)
			}
		}
		if len(words) > 0 {
			out = append(out, phrase{i, words, how})
		}
	}
	for i := range options {
		o := &options[i]
		for _, w := range o.Label {
			add(i, w.Text, "label")
		}
		for _, w := range o.Short {
			add(i, w.Text, "label")
		}
		for _, list := range o.Synonyms {
			for _, s := range list {
				add(i, s, "synonym")
			}
		}
		add(i, o.Key, "key")
	}
	slices.SortStableFunc(out, func(a, b phrase) int { return len(b.words) - len(a.words) })
	return out
}

// mention is a place in a reply that means an option, or one of several.
type mention struct {
	options []int
	i, j    int // tokens
	neg     bool
	how     string
	sure    float64
}

// choice is what a reply says about options.
type choice struct {
	yes, no  []int // options meant and ruled out, in the order in which they were mentioned
	unsure   []int // one of these is meant
	outside  bool  // a number that no option has
	how      string
	sure     float64
	unknown  int  // words that say nothing we know
	negators int  // negators that rule out nothing that was mentioned
	all      bool // "alle"
	none     bool // "keine"
	mood     mood
	count    int // mentions
}

var allWords = set(`alle|alles|all|everything|all of them|allesamt|sämtliche|jede|jeder|alle davon|alli|all of the above|every|both|beide|beides|alle beide`)
var noneWords = set(`keine|keins|keines|keiner|keine davon|nichts|nichts davon|nichts von alledem|nichts von alldem|none|none of them|none of these|none of the above|nothing|neither|gar nichts|gar keine|keis|nüt|nix`)

var ordinals = func() *phrases[int] {
	p := &phrases[int]{}
	for i, list := range []string{
		"erste|ersten|erster|erstes|erstens|ersteres|erstere|ersteren|first|1st|1st one|erschte|erscht|erst",
		"zweite|zweiten|zweiter|zweites|zweitens|second|zwoite|zwote",
		"dritte|dritten|dritter|drittes|drittens|third|dritti", "vierte|vierten|vierter|viertes|viertens|fourth",
		"fünfte|fünften|fünfter|fünftes|fünftens|fifth", "sechste|sechsten|sechster|sechstes|sechstens|sixth",
		"siebte|siebten|siebter|siebtes|siebente|siebtens|seventh", "achte|achten|achter|achtes|achtens|eighth",
		"neunte|neunten|neunter|neuntes|neuntens|ninth", "zehnte|zehnten|zehnter|zehntes|zehntens|tenth",
	} {
		p.add(i+1, list)
	}
	p.add(-1, "letzte|letzten|letzter|letztes|letzteres|letztere|letzteren|last|the latter|latter|letschte|letschti")
	p.add(-2, "vorletzte|vorletzten|vorletztes|second to last|second last|penultimate")
	p.add(1, "the former|former")
	return p
}()

var markers = set(`nummer|nr|no|number|option|antwort|punkt|taste|ziffer|wahl|variante|vorschlag|möglichkeit|answer|choice|option nr|option nummer|auswahl|key|numero|die|das|der|den|the|#|press|drücke|termin nummer|termin nr|zahl|nummero|slot|termin|appointment`)

// choose reads what is said about options. many allows lists.
func choose(toks []token, options []Option, many bool) choice {
	c := choice{sure: 1}
	toks = uncut(toks)
	n := len(options)
	ph := called(options)

	// The whole reply is what an option is called, bar politeness: no negator in a label disturbs then.
	if opts, how := wholly(toks, ph); len(opts) == 1 {
		c.yes, c.how, c.sure, c.count = opts, how, 1, 1
		return c
	} else if len(opts) > 1 {
		c.unsure, c.count = opts, 1
		return c
	}

	used := make([]bool, len(toks))
	var found []mention
	// 1. What options are called, in full; longest first, so that "Rot-Weiß" is not "Rot".
	for p := 0; p < len(ph); {
		q := p
		for q < len(ph) && len(ph[q].words) == len(ph[p].words) {
			q++
		}
		for i := range toks {
			if used[i] {
				continue
			}
			var m mention
			for _, f := range ph[p:q] {
				if len(f.words) == 1 && fillers.has(f.words[0].s) || f.how == "key" && len(f.words) == 1 && len(f.words[0].s) < 3 {
					continue // a label like "Ja" or "gut", a key like "a": only as the whole reply
				}
				if len(f.words) == 1 && f.words[0].kind == digitToken {
					continue // seen below
				}
				j, ok := spells(toks, i, f.words, used)
				if !ok || slices.Contains(m.options, f.option) {
					continue
				}
				m.options, m.i, m.j, m.how = append(m.options, f.option), i, max(m.j, j), f.how
			}
			if len(m.options) > 0 {
				m.sure = 0.97
				found = append(found, m)
				for k := m.i; k < m.j; k++ {
					used[k] = true
				}
			}
		}
		p = q
	}

	sc := scopes(toks)
	c.mood = moodOf(toks)

	// 2. Numbers, ordinals, letters.
	content := contentOf(toks, used)
	for i, t := range toks {
		if _, short := shortWeekdays[t.s]; short && len(t.s) == 2 && !used[i] && (t.capital || len(toks) == 1 || tokAt(toks, i+1).s == ".") {
			content[i] = true // "Fr", "Do."
		}
	}
	list := listOnly(toks, used, content)
	for i := 0; i < len(toks); i++ {
		if used[i] {
			continue
		}
		t := toks[i]
		switch {
		case t.kind == digitToken:
			if i+2 < len(toks) && !toks[i+1].gap && toks[i+1].s == "." && toks[i+2].kind == digitToken && !toks[i+2].gap {
				c.unknown += 2
				used[i], used[i+1], used[i+2] = true, true, true
				continue
			}
			num, err := strconv.Atoi(t.s)
			marked := i > 0 && toks[i-1].s == "#" || marker(toks, i)
			words := byWord(t, ph)
			if i > 0 && !marked && timely.has(toks[i-1].s) || err != nil || len(t.s) > 2 && len(words) == 0 {
				c.unknown += 3 // "um 2", "am 27.", a telephone number: no option's
				used[i] = true
				continue
			}
			if !marked && !list {
				if len(words) == 1 {
					found = append(found, mention{options: words, i: i, j: i + 1, how: "label", sure: 0.85})
					used[i] = true
				} else if len(words) > 1 {
					found = append(found, mention{options: words, i: i, j: i + 1, how: "label", sure: 0.85})
					used[i] = true
				}
				continue
			}
			used[i] = true
			if err != nil || num < 1 || num > n {
				if len(words) > 0 && !marked {
					found = append(found, mention{options: words, i: i, j: i + 1, how: "label", sure: 0.88})
					continue
				}
				c.outside = true
				continue
			}
			opts := []int{num - 1}
			if !marked && len(words) > 0 {
				for _, w := range words {
					if w != num-1 {
						opts = append(opts, w)
					}
				}
			}
			// "1-3", "1 bis 3"
			if many && i+2 < len(toks) && toks[i+2].kind == digitToken && (toks[i+1].s == "-" || toks[i+1].s == "bis" || toks[i+1].s == "to") {
				if last, err := strconv.Atoi(toks[i+2].s); err == nil && last > num && last <= n {
					for k := num; k <= last; k++ {
						found = append(found, mention{options: []int{k - 1}, i: i, j: i + 3, how: "number", sure: 0.93})
					}
					used[i+1], used[i+2] = true, true
					i += 2
					continue
				}
			}
			found = append(found, mention{options: opts, i: i, j: i + 1, how: "number", sure: 0.96})
		case t.kind == wordToken:
			if k, taken := ordinals.at(toks, i); taken > 0 && (k > 0 || n > 1) {
				if many && taken+i < len(toks) && !used[i+taken] && k == 1 {
					// "die ersten beiden", "the first two"
					if m := smallNumber(toks[i+taken]); m >= 2 && m <= n {
						for o := range m {
							found = append(found, mention{options: []int{o}, i: i, j: i + taken + 1, how: "number", sure: 0.93})
						}
						markUsed(used, i, i+taken+1)
						continue
					}
				}
				if k < 0 {
					k = n + 1 + k
				}
				markUsed(used, i, i+taken)
				if k > n || k < 1 {
					c.outside = true
					continue
				}
				found = append(found, mention{options: []int{k - 1}, i: i, j: i + taken, how: "number", sure: 0.92})
				if i+taken < len(toks) && !used[i+taken] && (toks[i+taken].s == "one" || toks[i+taken].s == "ones") {
					used[i+taken] = true
				}
				continue
			}
			if m := smallNumber(t); m > 0 && m == n && i > 0 && (toks[i-1].s == "alle" || toks[i-1].s == "all") {
				used[i] = true // "alle vier"
				continue
			}
			if m := smallNumber(t); m > 0 && (list || marker(toks, i)) && !articleOne(t, toks, content) {
				used[i] = true
				if m > n {
					c.outside = true
					continue
				}
				found = append(found, mention{options: []int{m - 1}, i: i, j: i + 1, how: "number", sure: 0.92})
				continue
			}
			if len(t.s) == 1 && t.s[0] >= 'a' && t.s[0] <= 'z' && int(t.s[0]-'a') < n && letterList(toks, i, many) {
				k := int(t.s[0] - 'a')
				opts := []int{k}
				for _, f := range ph {
					if f.option != k && f.words[0].s[0] == t.s[0] && f.how != "key" && !slices.Contains(opts, f.option) {
						opts = append(opts, f.option)
					}
				}
				used[i] = true
				found = append(found, mention{options: opts, i: i, j: i + 1, how: "number", sure: 0.88})
			}
		}
	}

	// 3. Parts of labels, beginnings, small slips.
	for i := 0; i < len(toks); {
		if used[i] || !content[i] || toks[i].kind == signToken {
			i++
			continue
		}
		j := i
		for j < len(toks) && !used[j] && toks[j].kind != signToken && (content[j] || j > i) {
			j++
		}
		for j > i && !content[j-1] {
			j--
		}
		c.match(toks[i:j], content[i:j], i, ph, &found)
		i = j
	}
	for i := range toks {
		if many && !used[i] && toks[i].kind == wordToken {
			if _, k := allWords.at(toks, i); k > 0 {
				w := toks[i].s
				if (w == "beide" || w == "beides" || w == "both") && n != 2 {
					continue
				}
				c.all = true
			} else if _, k := noneWords.at(toks, i); k > 0 {
				c.none = true
			}
		}
	}

	// Which of them are ruled out?
	slices.SortStableFunc(found, func(a, b mention) int { return a.i - b.i })
	mentioned := map[int]bool{}
	for _, m := range found {
		m.neg = sc.negated(m.i)
		mentioned[sc.clause[m.i]] = true
		c.count++
		if m.i > 0 && toks[m.i-1].kind == wordToken && limiters.has(toks[m.i-1].s) && m.how != "number" {
			m.sure = min(m.sure, 0.6)
		}
		if m.sure < c.sure {
			c.sure = m.sure
		}
		if c.how == "" || m.how != "label" && m.how != "key" {
			c.how = m.how
		}
		switch {
		case m.neg:
			for _, o := range m.options {
				if !slices.Contains(c.no, o) {
					c.no = append(c.no, o)
				}
			}
		case len(m.options) > 1:
			c.unsure = append(c.unsure, m.options...)
		case !slices.Contains(c.yes, m.options[0]):
			c.yes = append(c.yes, m.options[0])
		}
	}
	contrast := -1 // "nicht Montag, sondern Freitag": what is ruled out before does not matter
	for i := range toks {
		k := sc.clause[i]
		if (i == 0 || sc.clause[i-1] != k) && mentioned[k] && sc.neg[k] == 0 {
			switch toks[i].s {
			case "sondern", "sonder", "statt", "stattdessen", "dafur", "aber", "but", "instead", "rather":
				contrast = k
			}
		}
	}
	for k, neg := range sc.neg {
		if neg > 0 && !mentioned[k] && k > contrast {
			c.negators += neg
		}
	}
	// One place leaves it open and another one settles it.
	if len(c.unsure) > 0 && len(c.yes) > 0 && !many {
		for _, o := range c.yes {
			if slices.Contains(c.unsure, o) {
				c.unsure = nil
				break
			}
		}
	}
	c.sure -= 0.05 * float64(c.unknown)
	return c
}

// timely words make a time or a day of a number.
var timely = set(`am|um|vom|gegen|ab|bis|seit|at|on|since|by|before|after|kw`)

func markUsed(used []bool, i, j int) {
	for ; i < j && i < len(used); i++ {
		used[i] = true
	}
}

// wholly gives the options whose name is the whole reply. Words in front of which politeness stands count too.
func wholly(toks []token, ph []phrase) (opts []int, how string) {
	words := make([]token, 0, len(toks))
	for _, t := range toks {
		if t.kind != signToken || !fillers.has(t.s) && t.s != "/" && t.s != "&" && t.s != "+" {
			words = append(words, t)
		}
	}
	try := func() {
		for _, f := range ph {
			if len(f.words) != len(words) || slices.Contains(opts, f.option) {
				continue
			}
			same := true
			for k := range words {
				if words[k].s != f.words[k].s {
					same = false
					break
				}
			}
			if same {
				// A bare digit is the number of an option first; see choose.
				if len(words) == 1 && words[0].kind == digitToken {
					continue
				}
				opts, how = append(opts, f.option), f.how
			}
		}
	}
	if len(words) == 0 {
		return nil, ""
	}
	if try(); len(opts) > 0 {
		return opts, how
	}
	trimmed := false
	for len(words) > 1 && polite(words[len(words)-1].s) {
		words, trimmed = words[:len(words)-1], true
	}
	for len(words) > 1 && polite(words[0].s) {
		words, trimmed = words[1:], true
	}
	if trimmed {
		try()
	}
	return opts, how
}

func polite(s string) bool {
	switch s {
	case "bitte", "danke", "please", "thanks", "pls", "thx", "hallo", "hi", "hello", "merci":
		return true
	}
	return false
}

// spells says whether toks[i:] begins with words, signs aside, and where that ends.
func spells(toks []token, i int, words []token, used []bool) (int, bool) {
	j := i
	for k := range words {
		for k > 0 && j < len(toks) && toks[j].kind == signToken && toks[j].s != words[k].s && !used[j] && (toks[j].s == "-" || toks[j].s == "/" || toks[j].s == "." || toks[j].s == "," || toks[j].s == ":") {
			j++
		}
		if j >= len(toks) || used[j] || toks[j].s != words[k].s {
			return 0, false
		}
		j++
	}
	return j, true
}

// contentOf marks what is neither filler nor negator nor a word that colours the reply.
func contentOf(toks []token, used []bool) []bool {
	content := make([]bool, len(toks))
	for i := 0; i < len(toks); i++ {
		if used[i] {
			continue
		}
		if toks[i].kind == signToken {
			continue
		}
		longest := 0
		for _, p := range [...]*phrases[bool]{fillers, negators, hedges, clauseEnds, ors, allWords, noneWords, markers} {
			if _, n := p.at(toks, i); n > longest {
				longest = n
			}
		}
		if longest > 0 {
			i += longest - 1
			continue
		}
		content[i] = true
	}
	return content
}

// listOnly says whether a reply is, apart from what was already understood, nothing but numbers and words without
// meaning: only then a bare number is the number of an option.
func listOnly(toks []token, used, content []bool) bool {
	for i, t := range toks {
		if used[i] || !content[i] || t.kind == digitToken || smallNumber(t) > 0 || len(t.s) == 1 {
			continue
		}
		if _, n := ordinals.at(toks, i); n > 0 || t.s == "bis" {
			continue
		}
		return false
	}
	return true
}

func marker(toks []token, i int) bool {
	j := i - 1
	for j >= 0 && (toks[j].s == "." || toks[j].s == ":" || toks[j].s == "'" || toks[j].s == "(") {
		j--
	}
	if j < 0 || !markers.has(toks[j].s) {
		return false
	}
	// After the number nothing may stand that makes it a count: "die 2 Personen".
	k := i + 1
	return k >= len(toks) || toks[k].kind == signToken || fillers.has(toks[k].s) || ors.has(toks[k].s) || negators.has(toks[k].s) || hedges.has(toks[k].s) || clauseEnds.has(toks[k].s)
}

// articleOne: "ein", "eine" and "a" are articles unless they stand alone.
func articleOne(t token, toks []token, content []bool) bool {
	switch t.s {
	case "ein", "eine", "einen", "einer", "one", "es", "a", "en":
		for i := range toks {
			if toks[i].at != t.at && (content[i] || toks[i].kind == wordToken && !markers.has(toks[i].s)) {
				return true
			}
		}
	}
	return false
}

// letterList says whether the letter at i stands alone or in a list of letters.
func letterList(toks []token, i int, many bool) bool {
	for k, t := range toks {
		if k == i || t.kind == signToken {
			continue
		}
		switch t.s {
		case "und", "and", "antwort", "option", "answer", "bitte", "please", "oder", "or", "wahl", "variante":
			continue
		}
		if many && (len(t.s) == 1 || t.kind == digitToken) {
			continue
		}
		if len(t.s) == 1 && t.kind == wordToken {
			continue
		}
		return false
	}
	return true
}

// byWord gives the options one of whose words is exactly t.
func byWord(t token, ph []phrase) (out []int) {
	for _, f := range ph {
		for _, w := range f.words {
			if w.s == t.s && !slices.Contains(out, f.option) {
				out = append(out, f.option)
			}
		}
	}
	return out
}

// fit says how well a typed word fits one of a name: 3 the same, 2 its beginning, 1 but for a slip, 0 not at all.
func fit(typed, name token) int {
	switch {
	case typed.s == name.s:
		return 3
	case typed.kind != wordToken || name.kind != wordToken:
		return 0
	case len(typed.s) >= 3 && strings.HasPrefix(name.s, typed.s):
		return 2
	case len(typed.s) == 2:
		wd, short := shortWeekdays[typed.s]
		if long, ok := weekdays.m[name.s]; ok && short && long == wd {
			return 2
		}
		return 0
	case len(typed.s) >= 5 && len(name.s) >= 5 && oneSlip(typed.s, name.s):
		return 1
	// "Donnerstags", "Reparaturen": an ending more
	case len(name.s) >= 4 && strings.HasPrefix(typed.s, name.s) && len(typed.s)-len(name.s) <= 2:
		return 1
	}
	return 0
}

// match looks for the options whose names have all content words of a run, and if there are none, for words on their own.
func (c *choice) match(run []token, content []bool, at int, ph []phrase, found *[]mention) {
	best, worst := map[int]int{}, 0
	for _, f := range ph {
		if f.how == "key" {
			continue
		}
		least, k := 9, 0
		ok := true
		for r, t := range run {
			if !content[r] {
				continue
			}
			top := 0
			for _, w := range f.words {
				if len(w.s) >= 3 || w.kind == digitToken || w.s == t.s {
					top = max(top, fit(t, w))
				}
			}
			if top == 0 {
				ok = false
				break
			}
			k++
			least = min(least, top)
		}
		if ok && k > 0 {
			best[f.option] = max(best[f.option], least)
		}
	}
	if len(best) > 0 {
		for _, v := range best {
			worst = max(worst, v)
		}
		m := mention{i: at, j: at + len(run)}
		for o, v := range best {
			if v == worst || v >= 2 && worst >= 2 { // a slip never outdoes; a beginning is as good as a whole word among several
				if worst == 3 && v < 3 {
					continue
				}
				m.options = append(m.options, o)
			}
		}
		slices.Sort(m.options)
		switch worst {
		case 3:
			m.how, m.sure = "label", 0.92
		case 2:
			m.how, m.sure = "prefix", 0.87
		default:
			m.how, m.sure = "words", 0.84
		}
		*found = append(*found, m)
		return
	}
	if len(run) == 1 {
		c.unknown++
		return
	}
	for r := range run {
		if content[r] {
			c.match(run[r:r+1], content[r:r+1], at+r, ph, found)
		}
	}
}

// oneSlip says whether two words are one insertion, deletion, replacement or swap of neighbours apart.
func oneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		if i == len(a) {
			return true
		}
		return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	}
	return a[i:] == b[i+1:]
}

// smallNumber reads "eins" to "zehn", "one" to "ten" and their dialect forms; 0 = none.
func smallNumber(t token) int {
	if t.kind == digitToken {
		n, err := strconv.Atoi(t.s)
		if err != nil || n > 99 {
			return 0
		}
		return n
	}
	return smallNumbers.m[t.s]
}

var smallNumbers = func() *phrases[int] {
	p := &phrases[int]{}
	for i, list := range []string{
		"eins|ein|eine|einen|einer|one|eis|oans|ans", "zwei|zwo|two|zwoi|zwöi|zwa|beiden|beide", "drei|three|drü|drüü", "vier|four|vieri", "fünf|five|foif|füf|fünfi",
		"sechs|six|sächs|sechsi", "sieben|seven|sibe|siebn", "acht|eight|achti", "neun|nine|nün|nüün", "zehn|ten|zäh|zehni",
	} {
		p.add(i+1, list)
	}
	return p
}()

func countWord(s string) bool {
	n := smallNumbers.m[s]
	return n > 1 || s == "drei" || s == "several" || s == "mehrere" || s == "viele"
}

// chosen makes an outcome for one_of of what was said.
func (a *Ask) chosen(toks []token, value func(int) Value) Outcome {
	c := choose(toks, a.Options, false)
	return settle(c, value)
}

// settle decides for one option, or says why it cannot.
func settle(c choice, value func(int) Value) Outcome {
	values := func(list []int) (out []Value) {
		for _, o := range list {
			v := value(o)
			if !slices.ContainsFunc(out, func(x Value) bool { return x.Key == v.Key }) {
				out = append(out, v)
			}
		}
		return out
	}
	left := slices.DeleteFunc(slices.Clone(c.yes), func(o int) bool { return slices.Contains(c.no, o) })
	open := slices.DeleteFunc(slices.Clone(c.unsure), func(o int) bool { return slices.Contains(c.no, o) })
	switch {
	case len(left) < len(c.yes):
		return Outcome{Problem: Unclear, Confidence: 0.4, Candidates: values(left)}
	case len(left)+len(open) == 0 && c.outside:
		return Outcome{Problem: OutOfRange, Detail: "option", Confidence: 0.5}
	case len(left)+len(open) == 0:
		return Outcome{Problem: Unclear}
	case len(left) == 1 && len(open) == 0:
		conf := c.sure
		if c.mood.hedged || c.mood.or || c.mood.asks || c.negators > 0 || c.outside {
			conf = min(conf, 0.6)
		}
		if conf < Sure {
			return Outcome{Problem: Unclear, Confidence: conf, Reading: c.how, Candidates: values(left)}
		}
		return Outcome{Value: value(left[0]), Confidence: conf, Reading: c.how}
	default:
		all := values(append(left, open...))
		if len(all) == 1 && !c.mood.hedged && !c.mood.or && !c.mood.asks && c.negators == 0 && len(open) > 0 && len(left) == 0 {
			return Outcome{Value: all[0], Confidence: 0.85, Reading: c.how}
		}
		return Outcome{Problem: Ambiguous, Confidence: 0.6, Reading: c.how, Candidates: all}
	}
}

// several resolves many_of.
func (a *Ask) several(toks []token) Outcome {
	c := choose(toks, a.Options, true)
	n := len(a.Options)
	keys := func(in func(int) bool) []string {
		out := []string{}
		for i := range n {
			if in(i) {
				out = append(out, a.Options[i].Key)
			}
		}
		return out
	}
	conf := c.sure
	var picked []string
	switch {
	case c.outside:
		return Outcome{Problem: OutOfRange, Detail: "option", Confidence: 0.5, Value: Value{Keys: keys(func(i int) bool { return slices.Contains(c.yes, i) })}}
	case c.mood.hedged && !c.all || c.mood.asks || c.mood.or:
		return Outcome{Problem: Unclear, Confidence: 0.4}
	case len(c.unsure) > 0:
		var cands []Value
		for _, o := range c.unsure {
			cands = append(cands, Value{Keys: keys(func(i int) bool { return i == o || slices.Contains(c.yes, i) })})
		}
		return Outcome{Problem: Ambiguous, Confidence: 0.6, Candidates: cands}
	case c.all && len(c.yes) == 0:
		if c.negators > 0 {
			return Outcome{Problem: Unclear, Confidence: 0.4}
		}
		picked = keys(func(i int) bool { return !slices.Contains(c.no, i) })
		conf = min(conf, 0.93)
	case c.none && c.count == 0 && c.unknown == 0:
		picked = []string{}
		conf = min(conf, 0.93)
	case len(c.yes) == 0:
		return Outcome{Problem: Unclear, Confidence: 0.2}
	default:
		for _, o := range c.no {
			if slices.Contains(c.yes, o) {
				return Outcome{Problem: Unclear, Confidence: 0.4}
			}
		}
		picked = keys(func(i int) bool { return slices.Contains(c.yes, i) })
		if c.negators > 0 {
			conf = min(conf, 0.6)
		}
		// In a list, a word that means nothing may be something that is not on offer.
		conf -= 0.15 * float64(c.unknown)
	}
	if conf < Sure {
		return Outcome{Problem: Unclear, Confidence: max(conf, 0), Candidates: []Value{{Keys: picked}}}
	}
	how := c.how
	if how == "" {
		how = "words"
	}
	return a.counted(Outcome{Value: Value{Keys: picked}, Confidence: conf, Reading: how}, len(picked))
}

// counted holds a number of things to Least and Most.
func (a *Ask) counted(o Outcome, n int) Outcome {
	least, most := a.bounds()
	switch {
	case n < least:
		o.Problem, o.Detail = TooFew, "least"
	case most > 0 && n > most:
		o.Problem, o.Detail = TooMany, "most"
	}
	return o
}

// bounds are Least and Most with their defaults.
func (a *Ask) bounds() (least, most int) {
	least, most = a.Least, a.Most
	if a.Kind == File || a.Kind == Signature {
		least = max(least, 1)
		if most == 0 {
			most = 10
		}
	}
	return least, most
}
