package sms

import (
	"strings"
	"unicode"
)

// Word is what a customer asks for with a single word.
type Word string

// Words.
const (
	NoWord Word = ""
	Stop   Word = "stop"  // wants nothing more
	Start  Word = "start" // wants messages again
	Help   Word = "help"  // wants to know who this is
)

// words are understood wherever the customer comes from; in capitals.
var words = map[string]Word{
	// English (CTIA Messaging Principles)
	"STOP": Stop, "STOPALL": Stop, "STOP ALL": Stop, "UNSUBSCRIBE": Stop, "OPTOUT": Stop, "OPT OUT": Stop, "OPT-OUT": Stop, "REVOKE": Stop, "REMOVE ME": Stop,
	"START": Start, "UNSTOP": Start, "SUBSCRIBE": Start, "OPTIN": Start, "OPT IN": Start, "OPT-IN": Start,
	"HELP": Help,
	// German
	"STOPP": Stop, "STOPPEN": Stop, "ABMELDEN": Stop, "ABMELDUNG": Stop, "ABBESTELLEN": Stop, "AUSTRAGEN": Stop, "KEINE SMS MEHR": Stop, "KEINE SMS": Stop, "KEINE NACHRICHTEN MEHR": Stop,
	"ANMELDEN": Start, "HILFE": Help,
	// French, Spanish, Italian, Portuguese, Dutch, Polish, Turkish, Danish/Norwegian/Swedish
	"ARRET": Stop, "ARRÊT": Stop, "ARRETER": Stop, "ARRÊTER": Stop, "DESABONNER": Stop, "DÉSABONNER": Stop, "DESINSCRIRE": Stop, "DÉSINSCRIRE": Stop, "AIDE": Help,
	"ALTO": Stop, "PARAR": Stop, "BAJA": Stop, "DARSE DE BAJA": Stop, "CANCELAR SUSCRIPCIÓN": Stop, "CANCELAR SUSCRIPCION": Stop, "AYUDA": Help,
	"BASTA": Stop, "DISISCRIVIMI": Stop, "CANCELLAMI": Stop, "AIUTO": Help,
	"SAIR": Stop, "REMOVER": Stop, "AJUDA": Help,
	"AFMELDEN": Stop, "UITSCHRIJVEN": Stop, "AANMELDEN": Start,
	"REZYGNUJE": Stop, "REZYGNUJĘ": Stop, "WYPISZ": Stop, "POMOC": Help,
	"DUR": Stop, "ABONELİKTEN ÇIK": Stop, "YARDIM": Help,
	"STOPPA": Stop, "AVSLUTA": Stop, "AVMELD": Stop, "AFMELD": Stop, "HJÆLP": Help, "HJELP": Help, "HJÄLP": Help,
}

// carrier are further words at which providers in North America block by themselves, though they may be an answer.
var carrier = map[string]Word{"CANCEL": Stop, "END": Stop, "QUIT": Stop}

// ParseWord says what a message asks for if it is nothing but such a word, in any language, whatever its capitals,
// spaces and punctuation. "Stop by on Friday" asks for nothing, nor do CANCEL and END, which may answer a question.
func ParseWord(text string) Word { return words[normalWord(text)] }

// ParseCarrierWord is ParseWord with the words CANCEL, END and QUIT, at which North American providers block.
func ParseCarrierWord(text string) Word {
	w := normalWord(text)
	if k, ok := words[w]; ok {
		return k
	}
	return carrier[w]
}

// normalWord is the text in capitals, with single spaces, without punctuation around it; "" if it is too long for a word.
func normalWord(text string) string {
	if len(text) > 200 {
		return ""
	}
	text = strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) || unicode.Is(unicode.Cf, r)
	})
	return strings.ToUpper(strings.Join(strings.Fields(text), " "))
}
