package ask

// Words that do not change what is meant. They never make an answer and never spoil one.
var fillers = set(`
bitte|bitteschön|biddö|danke|dankeschön|vielen dank|besten dank|herzlichen dank|merci|mercy|danke schön|danke sehr|thx|thanks|thank you|thank you very much|many thanks|cheers|please|pls|plz|ty
hallo|hi|hey|guten tag|guten morgen|guten abend|moin|servus|grüezi|grüß gott|grias di|griaß eich|hoi|sali|salü|tach|hello|good morning|good afternoon|good evening
ich|mir|mich|wir|uns|es|das|dies|dieser|dieses|diese|der|die|den|dem|des|ein|eine|einen|einem|einer|i|we|me|us|it|that|this|the|a|an|my|our|ihr|ihre|ihnen|sie|du|dir|mein|meine|meiner|meinen|meinem|unser|unsere|mer|mir|mi|is|s|d|de|dr|em
ist|sind|war|wäre|wär|wird|bin|be|am|are|was|were|would be|will be|sei|isch|wär
habe|haben|hab|have|ich nehme|nehme|nehmen|nimm|nehm|nämed|nimmi|wähle|wähl|entscheide|entscheide mich für|möchte|moechte|mochte|mag|würde|wuerd|würd|hätte|hätt|hett|hätti|hätt gern|wünsche|bevorzuge|will|nähm|ich hätte gern|ich hätte gerne|gern|gerne|am liebsten|lieber|i would like|id like|i want|i take|ill take|i choose|i pick|i prefer|prefer|take|choose|pick|go for|lets go with|lets do|lets say|lets take|give me|ill go with|ill have|want|would|like|i would|id|ill|go|with|have
dann|also|halt|eben|mal|ja mal|doch mal|einfach|ganz|sehr|so|eher|schon|auch|noch|nur|denn|nun|jetzt|bitte auch|then|just|well|um|äh|ähm|hm|hmm|mhm|so then|now|really|actually|eh|gell|na gut|ok dann|also gut
für|fuer|zu|zum|zur|im|in|am|an|sowie|ebenso|plus|auf|bei|mit|von|vom|for|to|of|on|at|by|per|via|über|als|as|und|and|wie|uf|vo|bim|u
option|antwort|wahl|meine wahl|auswahl|answer|choice|möglichkeit|variante|nummer|nr|no|number|punkt|taste|ziffer|vorschlag|termin|appointment|uhrzeit|zeit|tag|datum|date|time|day|slot
sollte|soll|kann|können|könnte|könnten|could|can|should|geht|gehen|ginge|ginget|gienge|passt|passen|würde passen|würde gehen|funktioniert|klappt|klappts|works|work|fits|suits|fine|good|great|perfect|perfekt|gut|super|prima|ok|okay|oki|okey|in ordnung|alles klar|bestens|wunderbar|ideal|am besten|best|better|besser|recht|genehm|lässt sich einrichten|käme|komme|kommen|komm|come|ich bin dabei|einverstanden|gebucht|buchen|buche|book|nehmen wir|machen wir|mach|mache|machen|do|reserviere|reservieren
ja|jo|jep|yes|yeah|yep|sure|jawohl|genau|natürlich|klar|of course
🙂|😊|😀|😃|😄|😁|😉|👍|🙏|❤|✅|☺|:|;|)|(|.|,|!|-|"|„|“|”|'|*|_|…|–|•
`)

// Words with which somebody rules something out.
var negators = set(`nicht|nich|nit|net|ned|nöd|nid|ned|nie|niemals|kein|keine|keinen|keinem|keiner|keines|keis|kei|keni|ohne|außer|ausser|usser|bloß nicht|bloss nicht|not|dont|doesnt|isnt|wont|cant|cannot|couldnt|wouldnt|without|except|except for|but not|never|neither|anything but|weder|alles außer|no way|rather not|ausgenommen|bis auf|abgesehen von|apart from|schlecht|ungünstig|unmöglich|bad|impossible|unavailable`)

// Words that leave the matter open.
var hedges = set(`vielleicht|eventuell|evtl|evt|womöglich|möglicherweise|unter umständen|mal sehen|mal schauen|schauen wir mal|schaumamal|schau ma mal|weiß nicht|weiss nicht|weiß noch nicht|weiss noch nicht|weiß ich nicht|weiss ich nicht|weiß ich noch nicht|weiss ich noch nicht|weiß es nicht|weiß es noch nicht|keine ahnung|ka|kp|kein plan|keinen plan|egal|ist mir egal|mir egal|ganz egal|wurscht|wurst|gleichgültig|einerlei|beides|beides geht|beides passt|beide gehen|beide passen|beide|spielt keine rolle|jein|naja|na ja|kommt drauf an|kommt darauf an|je nachdem|hängt davon ab|unsicher|nicht sicher|bin mir nicht sicher|unschlüssig|unentschlossen|wahrscheinlich|vermutlich|vllt|viellicht|villicht|vilicht|chunt druf a|kunnt druf a|eigentlich nicht|eher nicht|eigentlich schon|eigentlich ja|eher ja|eher nein|nicht wirklich|nicht unbedingt|glaub nicht|glaube nicht|ich glaube nicht|glaube schon|glaub schon|denke schon|denk schon|ich denke|ich glaube|wohl|wohl schon|wohl kaum|weder noch|maybe|perhaps|possibly|probably|might|not sure|im not sure|unsure|dont know|i dont know|do not know|dunno|idk|no idea|either|whatever|whichever|any|doesnt matter|i dont mind|dont mind|dont care|i dont care|it depends|depends|i guess|i think so|i think|i dont think so|not really|kind of|sort of|both|both work|neither|we will see|well see|let me check|muss ich schauen|muss schauen|muss nachschauen|muss erst fragen|muss erst schauen|ich überlege|überlege noch|müsste schauen|melde mich|gebe bescheid|sage bescheid|später|later|not yet|noch nicht|noch unklar|wenn möglich|falls möglich|falls|wenn|if|unless|sofern|vorausgesetzt|only if|nur wenn|was meinen sie|was meinst du|ungern|notfalls|zur not|hoffentlich|hopefully|wüsste nicht|🤷|🤔|😕`)

// Words by which somebody asks rather than answers.
var questions = set(`?|fragen|wollte fragen|ob|wissen|wollte wissen|wondering|whether|gibt es|gibts|is there|are there|haben sie|do you|frage|eine frage|question|warum|wieso|weshalb|wann|welche|welcher|welches|welchen|wie lange|wie viel|wieviel|was kostet|was bedeutet|was heißt|was ist|why|when|which|what|how|how much|how long|wie geht|wo ist|wo|where|who|wer|verstehe nicht|verstehe ich nicht|verstehe die frage nicht|dont understand|hä|häh|hae|huh`)

// Words that speak of what was: an appointment to come is not meant.
var bygone = set(`telefoniert|gesprochen|geschrieben|angerufen|gemeldet|gewesen|passiert|gehabt|was there|spoke|called|wrote|phoned|happened|schon mal|bereits`)

// Words before a name that make it a limit: "seit Donnerstag" is not Thursday.
var limiters = set(`seit|since|vor|nach|ab|bis|before|after|until|till`)

// clauseEnds begin something new: what was ruled out before them does not reach beyond.
var clauseEnds = set(`,|;|.|!|?|sondern|aber|dafür|statt|stattdessen|sonst|denn|weil|but|instead|because|rather|however|jedoch|doch|sonder|:|and not|und nicht|und kein|und keine|und keinen|💬`)

var buts = set(`aber|but|however|allerdings|jedoch|nur dass|außer dass|only that|abr|allerdings nur|though|although|obwohl|es sei denn|jedoch nur`)

var ors = set(`oder|or|bzw|beziehungsweise|respektive|resp|entweder|either|od`)

// scope tells for each token in which clause it stands, and for each clause whether something is ruled out in it.
type scope struct {
	clause []int
	neg    []int // negators by clause
}

func scopes(toks []token) scope {
	s := scope{clause: make([]int, len(toks)), neg: make([]int, 1, 4)}
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if t.kind != digitToken && i > 0 {
			if _, n := clauseEnds.at(toks, i); n > 0 && !insideNumber(toks, i) {
				last := len(s.neg) - 1
				// "but not", "und nicht": the negator belongs to the new clause.
				s.neg = append(s.neg, 0)
				last++
				for k := range n {
					s.clause[i+k] = last
					if toks[i+k].kind == wordToken && negators.has(toks[i+k].s) {
						s.neg[last]++
					}
				}
				i += n - 1
				continue
			}
		}
		_, n := negators.at(toks, i)
		last := len(s.neg) - 1
		if n == 0 || t.s == "schlecht" && i+1 < len(toks) && toks[i+1].s == "und" {
			s.clause[i] = last
			continue
		}
		s.neg[last]++
		for k := range n {
			s.clause[i+k] = last
		}
		i += n - 1
	}
	return s
}

// insideNumber says whether a point or comma at i belongs to a number or an abbreviation's end before a word of the same
// clause ("am 3. Dezember", "Di. 14 Uhr", "Nr. 2").
func insideNumber(toks []token, i int) bool {
	if s := toks[i].s; s != "." && s != "," && s != ":" {
		return false
	}
	if i == 0 || toks[i].gap {
		return false
	}
	if toks[i].s == "." && i+1 < len(toks) && (toks[i-1].kind == digitToken || len(toks[i-1].s) <= 3) {
		return true
	}
	return i+1 < len(toks) && toks[i-1].kind == digitToken && toks[i+1].kind == digitToken && !toks[i+1].gap
}

func (s scope) negated(i int) bool { return s.neg[s.clause[i]] > 0 }

// mood is what colours a reply as a whole.
type mood struct{ hedged, asks, or bool }

func moodOf(toks []token) (m mood) {
	for i := range toks {
		if _, n := hedges.at(toks, i); n > 0 {
			m.hedged = true
		}
		if toks[i].s == "?" {
			m.asks = true
		} else if _, n := questions.at(toks, i); n > 0 {
			m.asks = true
		}
		if toks[i].kind == wordToken && ors.has(toks[i].s) {
			m.or = true
		}
	}
	return m
}

var skips = set(`weiter|überspringen|überspring|skip|skip this|skip it|next|keine angabe|keine angaben|k a|ka|keine antwort|auslassen|lass ich aus|möchte ich nicht sagen|möchte ich nicht angeben|will ich nicht sagen|no answer|prefer not to say|id rather not say|rather not say|pass|ohne angabe|entfällt|n a|nicht zutreffend|not applicable`)

// skipped says whether somebody leaves a question out on purpose.
func skipped(toks []token) bool {
	words := toks[:0:0]
	for _, t := range toks {
		if t.kind == signToken {
			continue
		}
		switch t.s {
		case "bitte", "danke", "please", "thanks", "nein", "no", "einfach", "just":
			continue
		}
		words = append(words, t)
	}
	if len(words) == 0 {
		return len(toks) == 1 && toks[0].s == "-"
	}
	_, n := skips.at(words, 0)
	return n == len(words)
}
