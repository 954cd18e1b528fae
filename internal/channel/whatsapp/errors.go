package whatsapp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// failure is what an error code means: what may be done, after which pause, and why in plain words.
type failure struct {
	class  channel.Class
	after  time.Duration
	reason channel.Text
}

// failures are the codes of "Error codes". Codes that say "try again later" and name no more (2, 131016, 133004: the service
// is down or overloaded) are documented to be tried again. 1 and 131000 ("unknown error") are not: they leave open whether
// the message was taken, so they are uncertain and a status resolves them.
var failures = table(map[channel.Class]map[string][2]string{
	channel.Misconfig: {
		"0 190":         {"Das access_token ist falsch oder abgelaufen.", "The access_token is wrong or has expired."},
		"3 10 131005":   {"Dem access_token fehlt die Berechtigung whatsapp_business_messaging.", "The access_token lacks the permission whatsapp_business_messaging."},
		"33":            {"Die phone_number_id gibt es nicht.", "The phone_number_id does not exist."},
		"368 131031":    {"Meta hat das WhatsApp-Konto wegen eines Verstoßes gesperrt.", "Meta has locked the WhatsApp account for a violation."},
		"131037":        {"Der Anzeigename der Nummer ist noch nicht genehmigt.", "The display name of the number is not approved yet."},
		"131042":        {"Die Zahlungsart des WhatsApp-Kontos fehlt oder wurde abgelehnt.", "The payment method of the WhatsApp account is missing or was refused."},
		"131045 133010": {"Die Nummer ist nicht bei der Cloud API registriert.", "The number is not registered with the Cloud API."},
	},
	channel.RateLimited: {
		"131057": {"Die Nummer wird bei Meta gerade umgestellt; es wird erneut versucht.", "Meta is upgrading the number; it is tried again."},
		"4 80007 130429 131056 613": {
			"WhatsApp bittet um eine Pause; es wird erneut versucht.", "WhatsApp asks for a pause; it is tried again."},
		"131048": {"WhatsApp bremst die Nummer, weil Kunden sie blockiert oder gemeldet haben.", "WhatsApp slows the number down because customers blocked or reported it."},
	},
	channel.Temporary: {
		"2 131016 133004": {"WhatsApp ist gerade überlastet oder gestört; es wird erneut versucht.", "WhatsApp is overloaded or down; it is tried again."},
	},
	channel.Unknown: {
		"1 131000": {"Bei WhatsApp trat ein unbekannter Fehler auf; ob die Nachricht ankam, ist ungewiss.", "An unknown error occurred at WhatsApp; whether the message arrived is uncertain."},
	},
	channel.WindowClosed: {
		"131047": {"Der Kunde hat sich seit mehr als 24 Stunden nicht gemeldet: Jetzt geht nur eine genehmigte Vorlage.", "The customer has not written for more than 24 hours: only an approved template works now."},
	},
	channel.NotHere: {
		"131026": {"Unter dieser Nummer ist kein WhatsApp erreichbar, oder die App des Kunden ist veraltet.", "WhatsApp cannot be reached at this number, or the customer's app is outdated."},
	},
	channel.Permanent: {
		"100 131008 131009": {"WhatsApp nimmt die Nachricht so nicht an: Eine Angabe fehlt oder passt nicht.", "WhatsApp does not accept the message like this: something is missing or does not fit."},
		"130472":            {"WhatsApp hat die Werbenachricht wegen eines Versuchs mit diesem Kunden nicht zugestellt.", "WhatsApp did not deliver the marketing message because of an experiment with this customer."},
		"130497":            {"In das Land des Kunden darf dieses Konto nicht schreiben.", "This account may not write to the customer's country."},
		"131021":            {"Empfänger und Absender sind dieselbe Nummer.", "Recipient and sender are the same number."},
		"131030":            {"Die Testnummer darf nur an eingetragene Empfänger schreiben (API Setup → To).", "The test number may write to listed recipients only (API Setup → To)."},
		"131049":            {"WhatsApp stellt dem Kunden gerade keine weitere Werbung zu. Versuchen Sie es frühestens morgen.", "WhatsApp delivers no more marketing to the customer now. Try again tomorrow at the earliest."},
		"131050":            {"Der Kunde will über WhatsApp keine Werbung von Ihnen.", "The customer wants no marketing from you on WhatsApp."},
		"131051":            {"Diese Art von Nachricht kennt WhatsApp nicht.", "WhatsApp does not know this kind of message."},
		"131052":            {"WhatsApp konnte die Datei nicht laden.", "WhatsApp could not load the file."},
		"131053":            {"WhatsApp konnte die Datei nicht annehmen: Art oder Größe passt nicht.", "WhatsApp could not take the file: its type or size does not fit."},
		"131062":            {"Diese Art von Nachricht geht nur an eine Telefonnummer.", "This kind of message can go to a telephone number only."},
		"132000":            {"Die Vorlage hat eine andere Anzahl von Angaben.", "The template has another number of values."},
		"132001":            {"Diese Vorlage gibt es in dieser Sprache nicht, oder sie ist nicht genehmigt.", "This template does not exist in this language, or it is not approved."},
		"132005":            {"Die Vorlage wird mit diesen Angaben zu lang.", "The template becomes too long with these values."},
		"132007":            {"Die Angaben der Vorlage verstoßen gegen die Regeln von WhatsApp.", "The template's values violate WhatsApp's rules."},
		"132012 132018":     {"Eine Angabe der Vorlage hat die falsche Form.", "A value of the template has the wrong form."},
		"132015":            {"Die Vorlage pausiert, weil sie bei Kunden nicht gut ankam.", "The template is paused because customers did not like it."},
		"132016":            {"Die Vorlage ist abgeschaltet, weil sie bei Kunden nicht gut ankam.", "The template is disabled because customers did not like it."},
		"132068 132069":     {"Das Formular der Vorlage ist gesperrt oder gebremst.", "The template's flow is blocked or throttled."},
	},
}, map[string]time.Duration{
	"4": 5 * time.Minute, "80007": 5 * time.Minute, // a moving window of an hour ("Rate limits")
	"130429": 2 * time.Second,  // "Throughput": a second
	"131056": 6 * time.Second,  // "Pair rate limits": one message in 6 s
	"131057": time.Minute,      // "Throughput": an upgrade takes up to a minute
	"131048": time.Hour,        // "Quality rating": until it recovers
	"613":    30 * time.Second, // Graph API, "Rate limits"
})

func table(classes map[channel.Class]map[string][2]string, after map[string]time.Duration) map[string]failure {
	t := map[string]failure{}
	for class, list := range classes {
		for codes, words := range list {
			for code := range strings.FieldsSeq(codes) {
				t[code] = failure{class, after[code], channel.Text{DE: words[0], EN: words[1]}}
			}
		}
	}
	return t
}

// failed is the SendError of an answer that says no.
func (g graph) failed(answer channel.Answer, e *apiError, what string) *channel.SendError {
	if e == nil {
		e = &apiError{Code: "", Message: "no error is given"}
	}
	words := e.words()
	if len(g.token) > 5 {
		words = strings.ReplaceAll(words, g.token, "<secret>")
	}
	code := e.Code.String()
	out := &channel.SendError{Code: code, Err: fmt.Errorf("%s: status %d: %s", what, answer.Status, words)}
	n, _ := strconv.Atoi(code)
	f, known := failures[code]
	switch {
	case known && code == "100" && e.Subcode == "33": // an object that does not exist, or that the token may not see
		f = failures["33"]
	case known:
	case n >= 200 && n <= 299: // "API Permission"
		f = failures["10"]
	case answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden:
		f = failures["190"]
	case answer.Status == http.StatusTooManyRequests:
		f = failures["130429"]
	case answer.Status >= 500 || answer.OK():
		u := channel.Uncertainly(out.Err)
		u.Code = code
		return u
	default:
		f = failure{class: channel.Permanent, reason: channel.Text{
			DE: "WhatsApp nimmt die Nachricht nicht an: " + words, EN: "WhatsApp does not accept the message: " + words}}
	}
	out.Class, out.Reason = f.class, f.reason
	if f.class == channel.RateLimited {
		out.RetryAfter = max(f.after, answer.RetryAfter())
	}
	return out
}
