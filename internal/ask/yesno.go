package ask

import (
	"slices"
	"strings"
)

// say is what a word or phrase contributes to a yes or a no.
type say uint8

const (
	sayYes  say = iota + 1 // "ja"
	sayGood                // "passt": a yes on its own, a no when negated
	sayVerb                // "kann": a no when negated, otherwise nothing
	sayNo                  // "nein"
	sayBad                 // "schlecht": a no on its own
	sayNot                 // "nicht"
	sayOpen                // "vielleicht"
	sayBut
	sayAsk
	sayMove // "verschieben": neither
	sayNothing
)

var sayings = func() *phrases[say] {
	p := &phrases[say]{}
	for s := range fillers.m {
		p.m = ensure(p.m)
		p.m[s] = sayNothing
	}
	p.longest = fillers.longest
	p.add(sayAsk, `?`)
	for s := range questions.m {
		p.m[s] = sayAsk
	}
	for s := range hedges.m {
		p.m[s] = sayOpen
	}
	p.longest = max(p.longest, hedges.longest, questions.longest)
	for s := range buts.m {
		p.m[s] = sayBut
	}
	for s := range negators.m {
		p.m[s] = sayNot
	}
	p.add(sayYes, `ja|jaa|jaaa|jaja|jo|joo|jou|jep|jup|jupp|jap|japp|jawohl|jawoll|j|jawoi|jo eh|ja eh|eh klar|jo freilich|freilich|ja freilich|genau|exakt|natürlich|natürlich gerne|selbstverständlich|klar|na klar|klaro|sicher|aber sicher|sicherlich|gewiss|auf jeden fall|unbedingt|definitiv|absolut|bestätigt|bestätige|ich bestätige|hiermit bestätige ich|wird bestätigt|zugesagt|ich sage zu|sage zu|zusage|einverstanden|bin einverstanden|stimmt|richtig|korrekt|ja bitte|bitte ja|ja gerne|ja gern|sehr gerne|sehr gern|gerne|gern|mit vergnügen|von mir aus|meinetwegen|abgemacht|gebongt|geht klar|geht in ordnung|ist in ordnung|alles klar|bin dabei|ich bin dabei|wir sind dabei|machen wir|mach ich|mache ich|machen wir so|so machen wir das|nehme ich|nehm ich|nehmen wir|jawohl passt|isch guet|isch guät|isch rächt|isch recht|isch ok|isch i de ornig|jo sicher|jo gärn|gärn|sehr gärn|jo klar|jo passt|passt scho|passt schon|basst|basst scho|bassd scho|basd|passd|eh|ja doch|doch|doch ja|ich akzeptiere|akzeptiert|wahr
yes|yess|yeah|yea|ya|yah|yep|yup|yupp|y|aye|sure|sure thing|of course|certainly|absolutely|definitely|correct|right|thats right|thats correct|indeed|confirmed|i confirm|confirm|agreed|i agree|deal|sounds good|sounds great|sounds fine|sounds perfect|that works|works for me|that works for me|works|that is fine|thats fine|fine by me|fine with me|thats ok|thats okay|thats perfect|im in|count me in|will do|ill be there|we will be there|i will be there|see you then|see you there|go ahead|please do|yes please|with pleasure|id love to|happy to|no problem|no worries|kein problem|keine einwände|kein thema|kein ding|nichts dagegen|ich habe nichts dagegen|habe nichts dagegen|hab nichts dagegen|spricht nichts dagegen|nichts einzuwenden|roger|10 4|affirmative|true|wahr|warum nicht|why not|da freue ich mich|freue mich|ich freue mich|bis dann|bis donnerstag|ich komme|wir kommen|i chume|komme gerne
👍|👌|✅|✔|☑|🆗|💯|🙋|🤝|👏`)
	p.add(sayYes, `not a problem|id love that|id love to|ich stimme zu|stimme zu|stimme dem zu|ich stimme dem zu|ich willige ein|willige ein|ich erlaube es|erlaubt|ich erlaube das|i consent|i accept|accepted|i give my consent|you have my consent|meine zustimmung|zugestimmt|ich gebe meine zustimmung|ich gebe meine einwilligung`)
	p.add(sayGood, `passt|passt mir|passt uns|passt gut|passt mir gut|passt super|passt perfekt|passen|past|geht|geht gut|gehts|ginge|funktioniert|klappt|haut hin|geht sich aus|geht si aus|gut|guet|guat|ok|okay|oki|okey|okee|okej|k|oke|okay dann|super|prima|perfekt|toll|bestens|wunderbar|ideal|ausgezeichnet|fein|großartig|recht|in ordnung|i o|io|is ok|ist ok|ist okay|ist gut|ist recht|wäre gut|wäre super|wäre toll|wäre schön|wäre perfekt|würde passen|würde gehen|läuft|möglich|ist möglich|einverstanden sein|fine|good|great|perfect|excellent|cool|alright|all right|awesome|lovely|okey dokey|suits me|suits|fits|possible|doable|interesse|interessiert|interested|angenommen|nehme an|dafür|zutreffend|trifft zu|der fall|notwendig|nötig|erforderlich|wahr|that would be great|that would work|would work|zufrieden|zufrieden mit|verstanden|understood`)
	p.add(sayVerb, `kann|kann ich|können|könnte|schaffe|schaff|schaffe es|schaff es|will|will ich|möchte|möchte ich|mag|komme|kommen|mache|mach|brauche|benötige|habe|hab|haben|wünsche|can|could|want|make it|make|need|have|like|attend|come|wott|wett|cha|chan|chume|dabei|einhalten|wahrnehmen|bin|ist|stimme|stimme zu|bestätigen|zustimmen|agree|consent|allow|einwilligen|willige|confirm|accept|akzeptieren|stimmen|erlaube|akzeptiere|do|does|is|will be|stattfinden`)
	p.add(sayNo, `nein|neinn|neien|nö|nöö|nee|ne|nä|nope|nop|no|nah|nay|n|nei|nai|naa|na|naaa|nöd|nein danke|no thanks|no thank you|danke nein|nein leider|leider nein|leider nicht|lieber nicht|bitte nicht|besser nicht|auf keinen fall|keinesfalls|keineswegs|niemals|nie|nie im leben|sicher nicht|sicher nöd|sicher nid|sicher ned|bestimmt nicht|gar nicht|überhaupt nicht|absolut nicht|definitiv nicht|natürlich nicht|klar nicht|auf gar keinen fall|kommt nicht in frage|kommt nicht infrage|ich sage ab|sage ab|muss absagen|ich muss absagen|muss leider absagen|verneint|falsch|stimmt nicht|kein interesse|kein bedarf|keine zeit|keine lust|ich habe keine zeit|habe keine zeit|hab keine zeit|ich lehne ab|lehne ab|abgelehnt|ablehnen|geht nicht|geht leider nicht|geht leider gar nicht|geht gar nicht|geht ned|goht nöd|gaht nöd|goht nid|geit nid|passt nicht|passt leider nicht|passt mir nicht|passt mir leider nicht|passt nöd|passt ned|passt net|passt gar nicht|geht sich nicht aus|geht sich leider nicht aus|geht si ned aus|geht si net aus|geht sich ned aus|geht sich net aus|das wird nichts|wird nichts|bin verhindert|leider verhindert|verhindert|widerspreche|ich widerspreche|ich verweigere|verweigere|i object|i do not want|ich kann nicht|kann nicht|kann leider nicht|kann da nicht|kann ich nicht|kann i ned|ka i ned|chan nöd|cha nid|klappt nicht|klappt leider nicht|unmöglich|ausgeschlossen|not possible|impossible|cant make it|i cant make it|cannot make it|cant do|i cant|i cannot|cannot|cant come|wont be able to|not able to|unable to|unable|wont work|doesnt work|doesnt work for me|does not work|doesnt suit me|doesnt fit|not good for me|no good|no way|no chance|never|not at all|absolutely not|definitely not|certainly not|of course not|im afraid not|afraid not|unfortunately not|sorry no|no sorry|negative|decline|declined|i decline|false|wrong|incorrect|not interested|rather not|id rather not|i disagree|disagree|nicht einverstanden|nicht in ordnung|i refuse|ich verzichte|verzichte|nicht der fall|trifft nicht zu|dagegen|bin dagegen
👎|❌|🚫|✖|⛔|🙅|❎`)
	p.add(sayBad, `schlecht|ungünstig|ungelegen|leider|sorry|bad|unfortunately|zu spät|zu früh|too late|too early|too bad|schade`)
	p.add(sayMove, `absagen|absage|abgesagt|storno|stornieren|stornieren sie|cancel|cancel it|kündigen|kündigung|löschen|delete|verschieben|verlegen|umbuchen|ändern|anderer termin|anderen termin|neuer termin|neuen termin|anderes mal|ein andermal|reschedule|postpone|another time|another day|different time|other time|change it|move it|früher|earlier|anderer tag|anderen tag`)
	p.add(sayOpen, `eigentlich|nicht sicher|noch nicht|nicht unbedingt|muss ich noch|bald|ja nein|ja und nein|yes and no|nein ja|fast|almost|mal gucken|muss noch|erst|ungern|ja schon|weiß nicht genau|sicher bin ich nicht|nicht so gut|nicht so ganz|nicht ganz|so lala|geht so|teils|teilweise|partly|halb halb|teils teils|vorerst nicht|im moment nicht`)
	p.add(sayNothing, `leider auch|so|dann|auch|da|dort|hier|doch|ja mal|noch|sehr|ganz|voll|total|aber ja|aber gerne|aber gern|aber klar|aber natürlich|aber selbstverständlich|an diesem tag|dem|diesem|dabei sein|zeit|heute|morgen|donnerstag|montag|dienstag|mittwoch|freitag|samstag|sonntag|monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|tomorrow|uhr|zusammen|allen|alle|alles|all|everything|wirklich|wunschgemäß|somit|hiermit|damit|gleich|sofort|direkt|vielmals|herzlich|nochmals|gut gut|euch|wie besprochen|wie vereinbart|as agreed|as discussed|wie gehabt|nochmal|mal wieder|vorbei|pünktlich|fix|dir|gmbh|sir|madam|mate|herr|frau|sorry for the delay|sorry für die späte antwort|entschuldigung|sry|hab|echt|ich bin|wir sind|i am|we are|im|mit dem|so far`)
	p.add(sayYes, `aber ja|aber gerne|aber gern|aber klar|aber natürlich|aber selbstverständlich|ja aber gerne|ja aber gern|ja aber klar|ja aber natürlich`)
	p.add(sayNot, `nicht|nich|nit|net|ned|nid|kein|keine|keinen|keinem|keiner|keines|ohne|not|dont|doesnt|isnt|wont|without|weder|do not|does not|is not|will not|am not|im not|didnt|did not|havent|have not|couldnt|cant be|nüd|ohni|keis|kei`)
	p.add(sayOpen, `passt nicht so gut|passt mir nicht so gut|geht nicht so gut|nicht so|not that|keine ahnung|kein plan|keinen plan|not sure|im not sure|nicht sicher|noch nicht|dont know|i dont know|do not know|not yet|not really|i dont think so|dont mind|i dont mind|keine meinung|bin nicht sicher|bin mir nicht sicher|bin ich mir nicht sicher|nicht immer|nicht nur`)
	return p
}()

func ensure[T any](m map[string]T) map[string]T {
	if m == nil {
		return map[string]T{}
	}
	return m
}

// verdict of a yes/no reply.
type stance struct {
	yes, no  bool
	sure     float64
	how      string
	explicit bool // a yes in so many words, not "ok"
}

// stand reads a reply as yes or no.
func stand(toks []token) stance {
	toks = uncut(toks)
	type part struct {
		yes, good, no, bad, not, verbs, unknown int
		noFirst                                 bool
	}
	var parts []part
	var cur part
	var open, moved, asks, explicit, leading, strongNo bool
	but := -1
	butUnknown := 0
	words, signals, yesAt, yesPause := 0, 0, -1, false
	flush := func() {
		if cur != (part{}) {
			parts = append(parts, cur)
		}
		cur = part{}
	}
	for i := 0; i < len(toks); {
		v, n := sayings.at(toks, i)
		t := toks[i]
		if n == 0 || t.kind == signToken && v == sayNothing {
			if t.kind == signToken {
				switch t.s {
				case ",", ".", ";", "!", "\n", "-":
					if !insideNumber(toks, i) {
						flush()
					}
				}
				i++
				continue
			}
			cur.unknown++
			words++
			if but >= 0 {
				butUnknown++
			}
			i++
			continue
		}
		words++
		if t.s == "doch" && n == 1 && (i == 0 || toks[i-1].kind == signToken) && (i+1 == len(toks) || toks[i+1].kind == signToken) {
			v = sayYes // "Doch!"
		}
		if v == sayVerb && n == 1 && agrees(toks, i) {
			v = sayYes
		}
		switch v {
		case sayYes:
			if yesAt < 0 {
				yesAt = i
				yesPause = i+n >= len(toks) || toks[i+n].kind == signToken && toks[i+n].s != ":"
				leading = words == 1
			}
			cur.yes++
			signals++
			_, weak := weakYes.at(toks, i)
			explicit = explicit || weak < n
		case sayGood:
			cur.good++
			signals++
			if but >= 0 {
				butUnknown++
			}
		case sayVerb:
			cur.verbs++
			if but >= 0 {
				butUnknown++
			}
		case sayNo:
			if cur.not == 0 {
				cur.noFirst = true
			}
			cur.no++
			signals++
			if words == 1 {
				strongNo = true
			}
			switch toks[i+n-1].s {
			case "nicht", "nod", "ned", "net", "nid", "not":
				if n > 1 {
					cur.not++ // "leider nicht möglich"
				}
			}
		case sayBad:
			cur.bad++
		case sayNot:
			cur.not++
			if but >= 0 {
				butUnknown++
			}
		case sayOpen:
			open = true
		case sayAsk:
			asks = true
		case sayMove:
			moved = true
		case sayBut:
			if yesAt < 0 && len(parts) == 0 && cur == (part{}) {
				break // "aber ja"
			}
			flush()
			but = i
			if strongNo {
				// "Nein, aber am Freitag": what follows is no part of the answer.
				i = len(toks)
				continue
			}
		}
		i += n
	}
	flush()
	var plus, minus, conflict bool
	unknown := 0
	for _, p := range parts {
		unknown += p.unknown
		yes := p.yes + p.good
		switch {
		case p.not >= 2 || p.not == 1 && p.no > 0 && !p.noFirst:
			conflict = true
		case p.not == 1 && (p.yes > 0 || p.bad > 0 && p.good+p.verbs+p.no == 0):
			conflict = true // "nicht schlecht"
		case p.not == 1 && (p.good > 0 || p.verbs > 0 || p.no > 0):
			minus = true
		case p.not == 1:
			if p.unknown == 0 {
				minus = true
			} else {
				conflict = true
			}
		case p.no > 0 && yes > 0:
			conflict = true
		case p.no > 0:
			minus = true
		case p.bad > 0 && yes > 0:
			conflict = true
		case p.bad > 0:
			minus = p.unknown == 0 || minus
		case yes > 0:
			plus = true
		}
	}
	s := stance{how: "words", explicit: explicit}
	if len(parts) == 0 || !plus && !minus || conflict || plus && minus {
		s.sure = 0.3
		return s
	}
	s.yes, s.no = plus, minus
	s.sure = 0.97
	if words <= 2 {
		s.sure = 1
	}
	free := 2
	switch {
	case (leading || strongNo) && (yesPause || strongNo):
		free = 14
	case leading:
		free = 4
	}
	if unknown > free {
		s.sure = 0.6
	} else {
		s.sure -= 0.01 * float64(unknown)
	}
	if !leading && !strongNo && plus && !explicit && unknown > 1 {
		s.sure = min(s.sure, 0.6)
	}
	if open || moved || asks {
		s.sure = min(s.sure, 0.5)
	}
	if but >= 0 && s.yes && butUnknown > 0 {
		s.sure = min(s.sure, 0.5)
	}
	return s
}

// agrees: "ich stimme der Verarbeitung meiner Daten zu", "willige in … ein", without "nicht" between.
func agrees(toks []token, i int) bool {
	end := ""
	switch toks[i].s {
	case "stimme", "stimmen":
		end = "zu"
	case "willige", "willigen":
		end = "ein"
	default:
		return false
	}
	for j := i + 1; j < len(toks) && j < i+14; j++ {
		switch {
		case toks[j].s == end && (j+1 == len(toks) || toks[j+1].kind == signToken):
			return true
		case toks[j].kind == wordToken && negators.has(toks[j].s), toks[j].s == "." || toks[j].s == "?":
			return false
		}
	}
	return false
}

// weakYes are yeses that do not express consent.
var weakYes = set(`ok|okay|k|jo eh|eh|👍|👌|🆗|meinetwegen|von mir aus|passt scho|passt schon|bassd scho|basst scho|warum nicht|why not|no problem|kein problem|whatever|basst|basd|passd|no worries|gebongt|works|sounds good|stimmt|sicher|genau|doch|🤝|👏|🙋|💯|alles klar|alright`)

// yesNo resolves yes_no and consent.
func (a *Ask) yesNo(toks []token) Outcome {
	value := func(yes bool) Value { return Value{Yes: &yes} }
	// The two answers are options with names, too.
	options := []Option{{Key: "yes", Label: a.Yes}, {Key: "no", Label: a.No}}
	if words := listNumber(toks); words > 0 {
		if words > 2 {
			return Outcome{Problem: OutOfRange, Detail: "option", Confidence: 0.5}
		}
		return Outcome{Value: value(words == 1), Confidence: 0.96, Reading: "number"}
	}
	custom := len(a.Yes) > 0 || len(a.No) > 0
	if custom {
		ph := called(options)
		ph = slices.DeleteFunc(ph, func(p phrase) bool { return p.how == "key" })
		if opts, how := wholly(toks, ph); len(opts) == 1 {
			return Outcome{Value: value(opts[0] == 0), Confidence: 1, Reading: how}
		}
	}
	s := stand(toks)
	if s.no && a.asksTo(toks) {
		s.sure = min(s.sure, 0.5) // "Möchten Sie absagen?" – "Ich muss leider absagen"
	}
	if s.yes != s.no {
		if a.Kind == Consent && s.yes && !s.explicit {
			s.sure = min(s.sure, 0.6)
		}
		if a.Kind == Consent && s.yes && s.sure < 0.93 {
			s.sure = min(s.sure, 0.7)
		}
		if s.sure >= Sure {
			return Outcome{Value: value(s.yes), Confidence: s.sure, Reading: s.how}
		}
		return Outcome{Problem: Unclear, Confidence: s.sure, Reading: s.how, Candidates: []Value{value(s.yes)}}
	}
	if custom {
		c := choose(toks, options, false)
		o := settle(c, func(i int) Value { return value(i == 0) })
		if o.Problem == "" && c.how != "key" {
			return o
		}
		if o.Problem == Ambiguous {
			o.Candidates = []Value{value(true), value(false)}
			return o
		}
	}
	return Outcome{Problem: Unclear, Confidence: min(s.sure, 0.5)}
}

// asksTo says whether a reply calls something off by the very word that the question uses.
func (a *Ask) asksTo(toks []token) bool {
	for _, stem := range [...]string{"absag", "storn", "cancel", "kundig", "verzicht", "widerspr", "ablehn", "loschen"} {
		for _, t := range toks {
			if t.kind != wordToken || !strings.HasPrefix(t.s, stem) {
				continue
			}
			for _, w := range a.Text {
				if strings.Contains(fold(w.Text), stem) {
					return true
				}
			}
		}
	}
	return false
}

// listNumber reads a reply that is nothing but a number of an option: "2", "die 2", "Nummer zwei", "#2", "2.)"; 0 = none.
func listNumber(toks []token) int {
	toks = uncut(toks)
	found := 0
	for i, t := range toks {
		if k, n := ordinals.at(toks, i); n > 0 && k > 0 && found == 0 && t.kind == wordToken {
			found = k
			continue
		}
		switch {
		case t.kind == digitToken:
			if found != 0 {
				return 0
			}
			if found = smallNumber(t); found == 0 {
				return 0
			}
		case t.kind == wordToken && smallNumber(t) > 0 && !markers.has(t.s):
			if found != 0 || len(toks) > 1 && (t.s == "ein" || t.s == "eine" || t.s == "einen" || t.s == "einer") {
				return 0
			}
			found = smallNumber(t)
		case t.kind == signToken:
			if t.s == "?" || t.s == "-" || t.s == "/" || t.s == "+" || t.s == "*" {
				return 0
			}
		default:
			switch {
			case markers.has(t.s), t.s == "bitte", t.s == "please", t.s == "ich", t.s == "nehme", t.s == "wahle", t.s == "danke", t.s == "thanks", t.s == "ill", t.s == "take", t.s == "i", t.s == "one":
			default:
				return 0
			}
		}
	}
	return found
}
