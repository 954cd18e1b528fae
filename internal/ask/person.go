package ask

// What people call a person of the company.
var personWords = set(`mensch|menschen|mensche|mönsch|mitarbeiter|mitarbeiterin|mitarbeitern|mitarbeitenden|mitarbeitende|mitarbeitender|person|perso|berater|beraterin|kundenberater|kundenberaterin|sachbearbeiter|sachbearbeiterin|ansprechpartner|ansprechpartnerin|kundenbetreuer|kundenbetreuerin|kundendienst|kundenservice|servicemitarbeiter|support|hotline|zentrale|agent|human|human being|human agent|live agent|representative|rep|operator|advisor|adviser|clerk|employee|staff member|customer service|customer support|real person|live person|real human|personal|kollege|kollegin|kollegen|jemand vom team|live chat|echte person|echter mensch|vermittlung|berotig|bearbeiter|bearbeiterin|betreuer|betreuerin|manager|supervisor|vorgesetzten|vorgesetzte|vorgesetzter`)

// Somebody, with whom one can only want to speak.
var somebodyWords = set(`jemand|jemanden|jemandem|jemande|wem|öpper|öpperem|epper|wen|somebody|someone|anybody|anyone`)

// Words around them.
var (
	personDets   = set(`einem|einen|einer|eme|emne|ere|nere|enere|ein|eine|eim|en|em|emene|nem|nen|ner|dem|der|den|die|das|a|an|the|your|ihrem|ihren|ihrer|ihr|eurem|euren|eurer|irgendeinem|irgendeinen|irgendeiner|irgendein|some|one of your|any|einem ihrer|einer ihrer|einem von euren|am`)
	personAdjs   = set(`echten|echter|echte|echtem|echt|richtigen|richtiger|richtige|richtig|richtigem|lebenden|lebendigen|lebendige|lebender|wirklichen|real|actual|live|living|menschlichen|menschlicher|zuständigen|zuständige|persönlichen|persönlicher|anderen|anderem|aus fleisch und blut`)
	personVerbs  = set(`sprechen|sprächen|reden|rede|redä|schwätze|plaudern|verbinden|verbinde|verbindet|verbind|verbunden|durchstellen|stellen|stelle|weiterleiten|weitergeleitet|telefonieren|chatten|schreiben|kontaktieren|talk|speak|chat|connect|connected|transfer|transferred|put me through|reach|contact|pass me|geben|gib|holen|hol|get|rufen|erreichen|spreche|sprich|unterhalten|wenden`)
	personWishes = set(`will|möchte|moechte|möcht|wett|wott|mag|würde|würd|hätte|hätt|hett|brauche|brauch|bruche|benötige|verlange|fordere|wünsche|kann|könnte|können|darf|dürfte|lassen|lass|bitte|mit|gib|gibt es|geben|verbinden|verbinde|verbindet|stellen|stelle|want|need|would like|id like|can i|could i|may i|let me|please|give|get|gimme|connect|transfer|put|is there|i prefer|rather|lieber|hol|holen|muss|must|have to|sprechen|reden|talk|speak|ich will endlich|wanna|gerne|gern`)
	personSpoils = set(`nicht|nich|kein|keine|keinen|keinem|keiner|not|dont|no|pro|per|als|as|told|said|sagte|gesagt|gesprochen|geredet|telefoniert|spoke|talked|spoken|had|was|gestern|vorgestern|yesterday|each|jede|jeder|jeden|jede|zweite|weitere|ohne|without|anzahl|number of`)
	personOwns   = set(`mein|meine|meinem|meinen|meiner|my|our|unser|unsere|unserem|unseren|unserer`)
	machines     = set(`bot|roboter|robot|automat|automaten|computer|maschine|machine|chatbot|ki|ai|anrufbeantworter|automatischen assistenten|automatischer assistent|sprachcomputer|automated assistant`)
	personPolite = set(`bitte|biddö|danke|please|pls|plz|now|jetzt|sofort|endlich|gleich|hallo|hello|hi|hey|ich|i|will|möchte|möcht|want|need|brauche|lieber|gern|gerne|mal|einmal|einfach|nur|just|thanks|to|einem|einen|einer|ein|eine|en|em|a|an|the|der|den|dem|die|das|ihr|ihren|your|mit|for|nach|am telefon|on the phone|würde|hätte|geben sie mir|gib mir|give me|get me|wenn möglich|persönlich|kein bot|keinen bot|would like|id like|ein echter|nein|no|ja|yes`)
)

// WantsPerson says whether somebody asks for a person of the company instead of answering: "Mensch", "0", "ich will mit
// einem Menschen sprechen", "let me talk to somebody". Text that merely speaks of persons does not ("3 Personen",
// "meine Person: Anna", "my agent told me"). The second argument, the language, is for
// tables to come: today all of them are looked through, since people mix.
func WantsPerson(text, _ string) bool {
	return wantsPerson(tokenise(body(text)))
}

func wantsPerson(toks []token) bool {
	start := 0
	for i := 0; i <= len(toks); i++ {
		if i < len(toks) {
			s := toks[i].s
			if toks[i].kind != signToken || s != "." && s != "!" && s != "?" && s != ";" {
				continue
			}
		}
		if sentenceWantsPerson(toks[start:i], len(toks)-i <= 1 && start == 0) {
			return true
		}
		start = i + 1
	}
	return false
}

// sentenceWantsPerson looks at one sentence; alone means that there is no other.
func sentenceWantsPerson(toks []token, alone bool) bool {
	if len(toks) == 0 || len(toks) > 24 {
		return false
	}
	words := 0
	for _, t := range toks {
		if t.kind != signToken {
			words++
		}
	}
	// The very word or key, with politeness around it.
	if alone && words <= 9 {
		if found, rest := onlyPerson(toks); found && !rest {
			return true
		}
	}
	for i := range toks {
		n := 0
		some := false
		if toks[i].kind != wordToken {
			continue
		}
		if _, n = personWords.at(toks, i); n == 0 {
			if _, n = somebodyWords.at(toks, i); n == 0 {
				if _, n = machines.at(toks, i); n > 0 && machineRefused(toks, i) {
					return true
				}
				continue
			}
			some = true
		}
		if i+n < len(toks) && (toks[i+n].s == ":" || toks[i+n].s == "-" && !toks[i+n].gap) {
			continue
		}
		// Back over "einem echten" to what stands before it.
		j := i - 1
		adjective, article, own := false, false, false
		for j >= 0 {
			if toks[j].kind == wordToken && personAdjs.has(toks[j].s) {
				adjective = true
			} else if toks[j].kind == wordToken && personDets.has(toks[j].s) {
				article = true
			} else if toks[j].kind == wordToken && personOwns.has(toks[j].s) {
				own = true
			} else {
				break
			}
			j--
		}
		if j >= 0 && (toks[j].kind == digitToken || personSpoils.has(toks[j].s) || countWord(toks[j].s)) {
			continue
		}
		spoilt, wish, verb := false, false, false
		for k, t := range toks {
			if k >= i && k < i+n || t.kind != wordToken {
				continue
			}
			if (t.s == "gesprochen" || t.s == "geredet" || t.s == "telefoniert") && k > 0 && hadRather(toks) {
				verb, wish = true, true // "ich hätte gern mit einem Mitarbeiter gesprochen"
				continue
			}
			if personSpoils.has(t.s) && t.s != "als" && t.s != "as" && t.s != "no" {
				spoilt = true
			}
			if _, m := personWishes.at(toks, k); m > 0 {
				wish = true
			}
			if _, m := personVerbs.at(toks, k); m > 0 {
				verb = true
			}
		}
		if spoilt || wantedOnce(toks) {
			continue
		}
		if own && !(j >= 0 && (toks[j].s == "mit" || toks[j].s == "with" || toks[j].s == "to") && wish && verb) {
			continue // "my agent", "mein Berater", unless one wants to speak with them
		}
		with := j >= 0 && (toks[j].s == "mit" || toks[j].s == "with" || toks[j].s == "to" || toks[j].s == "zu" || toks[j].s == "an" || toks[j].s == "bi")
		switch {
		case wish && verb && (with || article && !own || adjective || some) && (with || !some):
			return true
		case some && wish && verb && adjective:
			return true
		case adjective && !some && words <= 7:
			return true
		case !some && wish && words <= 5 && firstPerson(toks) && bare(toks, i, n):
			return true
		case with && verb && words <= 6 && !some:
			return true
		case !some && (toks[0].s == "verbinden" || toks[0].s == "connect" || toks[0].s == "transfer") && words <= 8:
			return true
		case i == 0 && !some && words <= 3 && alone && n == words:
			return true
		}
	}
	return false
}

// hadRather finds "hätte gern".
func hadRather(toks []token) bool {
	for k := 0; k+1 < len(toks); k++ {
		if (toks[k].s == "hatte" || toks[k].s == "hatten" || toks[k].s == "wurde") && (toks[k+1].s == "gern" || toks[k+1].s == "gerne") {
			return true
		}
	}
	return false
}

// wantedOnce finds "habe … wollen": somebody tells of it.
func wantedOnce(toks []token) bool {
	had := false
	for _, t := range toks {
		had = had || t.s == "habe" || t.s == "haben" || t.s == "hab"
		if had && t.s == "wollen" {
			return true
		}
	}
	return false
}

// bare says whether nothing but wishes and politeness stands around the word for a person.
func bare(toks []token, i, n int) bool {
	for k := 0; k < len(toks); k++ {
		if k >= i && k < i+n || toks[k].kind != wordToken {
			continue
		}
		_, a := personPolite.at(toks, k)
		_, b := personWishes.at(toks, k)
		if a+b == 0 && !personDets.has(toks[k].s) && !personAdjs.has(toks[k].s) && !personVerbs.has(toks[k].s) {
			return false
		}
		k += max(a, b, 1) - 1
	}
	return true
}

func firstPerson(toks []token) bool {
	for _, t := range toks {
		switch t.s {
		case "ich", "i", "id", "mir", "me", "bitte", "please", "gimme", "wir", "we":
			return true
		}
	}
	return false
}

// onlyPerson says whether a sentence is a word for a person (found) and nothing but politeness (otherwise rest).
func onlyPerson(toks []token) (found, rest bool) {
	for i := 0; i < len(toks); {
		t := toks[i]
		if t.kind == signToken {
			if t.s == ":" || t.s == "@" {
				rest = true
			}
			i++
			continue
		}
		if t.kind == digitToken {
			if t.s != "0" || found {
				rest = true
			}
			found = true
			i++
			continue
		}
		if _, n := personWords.at(toks, i); n > 0 {
			found = true
			i += n
			continue
		}
		if _, n := personPolite.at(toks, i); n > 0 {
			i += n
			continue
		}
		if personAdjs.has(t.s) || personDets.has(t.s) || t.s == "taste" {
			i++
			continue
		}
		return found, true
	}
	return found, rest
}

// machineRefused: "ich will nicht mit einem Bot reden", "kein Roboter bitte", "stop talking to me, robot" is not.
func machineRefused(toks []token, i int) bool {
	for k := max(0, i-6); k < i; k++ {
		switch toks[k].s {
		case "kein", "keine", "keinen", "keinem", "keiner", "nicht", "not", "no", "dont", "ned", "nod", "hasse", "hate":
			return true
		}
	}
	return false
}
