package ask

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The names of the answer page's fields.
const (
	FieldOption = "o"     // number of an option, as in payloads; several for many_of
	FieldWords  = "words" // anything that is typed
	FieldDate   = "date"  // 2006-01-02
	FieldTime   = "time"  // 15:04
	FieldSigned = "signed"
	FieldAgree  = "agree"
	FieldSkip   = "skip"
)

// ValueFromForm reads what was given on the answer page. If the map is empty, the Value is an answer; otherwise it says
// for each field in the customer's words what is missing, and the Value holds what could be understood. Files are the
// caller's: file asks get them into Value.Files, signatures too.
func ValueFromForm(a Ask, form url.Values, c Context) (Value, map[string]string) {
	language := c.Language
	r := newReask(&a, &Outcome{}, language)
	wrong := map[string]string{}
	get := func(name string) string {
		s := strings.ReplaceAll(form.Get(name), "\r\n", "\n")
		return strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	}
	if a.Optional && get(FieldSkip) != "" {
		return Value{Skipped: true}, wrong
	}
	need := func(field, de, simple, en string) { wrong[field] = r.in(de, simple, en) }
	var v Value
	resolve := func(field, text string) {
		out := Resolve(a, Reply{Text: text}, c)
		v = out.Value
		if out.Problem != "" {
			wrong[field] = ReAsk(a, out, language)
		}
	}
	switch a.Kind {
	case YesNo, Consent:
		switch get(FieldOption) {
		case "0", "1":
			yes := get(FieldOption) == "0"
			v.Yes = &yes
		default:
			need(FieldOption, "Bitte wählen Sie eine Antwort.", "Bitte suchen Sie eine Antwort aus.", "Please choose an answer.")
		}
	case OneOf, Slot, Rating:
		n, err := strconv.Atoi(get(FieldOption))
		if err != nil || n < 0 || n >= a.choices() {
			need(FieldOption, "Bitte wählen Sie eine Antwort.", "Bitte suchen Sie eine Antwort aus.", "Please choose an answer.")
			break
		}
		v, _ = a.choice(n, &c)
	case ManyOf:
		seen := map[int]bool{}
		for _, s := range form[FieldOption] {
			if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(a.Options) {
				seen[n] = true
			}
		}
		for n := range a.Options {
			if seen[n] {
				v.Keys = append(v.Keys, a.Options[n].Key)
			}
		}
		least := a.Least
		if least == 0 && !a.Optional {
			least = 1
		}
		switch {
		case len(v.Keys) < least:
			wrong[FieldOption] = ReAsk(a, Outcome{Problem: TooFew, Value: v}, language)
		case a.Most > 0 && len(v.Keys) > a.Most:
			wrong[FieldOption] = ReAsk(a, Outcome{Problem: TooMany, Value: v}, language)
		}
	case Number:
		if s := get(FieldWords); s == "" {
			wrong[FieldWords] = r.numberNeeded()
		} else {
			resolve(FieldWords, s)
		}
	case Date, DateTime:
		date, clock, words := get(FieldDate), get(FieldTime), get(FieldWords)
		switch {
		case date == "" && words == "":
			if a.Kind == Date {
				need(FieldDate, "Bitte nennen Sie einen Tag.", "Bitte schreiben Sie einen Tag.", "Please give a day.")
			} else {
				need(FieldDate, "Bitte nennen Sie Tag und Uhrzeit.", "Bitte schreiben Sie einen Tag und eine Uhr-Zeit.", "Please give day and time.")
			}
		case date == "":
			resolve(FieldWords, words)
		case a.Kind == DateTime && clock == "" && words == "":
			need(FieldTime, "Bitte nennen Sie auch die Uhrzeit.", "Bitte schreiben Sie auch die Uhr-Zeit.", "Please give the time, too.")
		case a.Kind == DateTime && clock == "":
			resolve(FieldWords, date+" "+words)
		case a.Kind == DateTime:
			resolve(FieldDate, date+" "+clock)
		default:
			resolve(FieldDate, date)
		}
	case Text:
		v.Text = get(FieldWords)
		switch {
		case v.Text == "":
			need(FieldWords, "Bitte schreiben Sie Ihre Antwort.", "Bitte schreiben Sie Ihre Antwort.", "Please write your answer.")
		case utf8.RuneCountInString(v.Text) > a.textLength():
			wrong[FieldWords] = ReAsk(a, Outcome{Problem: TooLong}, language)
		case a.Pattern != "":
			if p, err := compiled(a.Pattern); err == nil && !p.MatchString(v.Text) {
				wrong[FieldWords] = ReAsk(a, Outcome{Problem: OutOfRange, Detail: "pattern"}, language)
			}
		}
	case Email, Phone:
		if s := get(FieldWords); s == "" {
			wrong[FieldWords] = r.unclear()
		} else {
			resolve(FieldWords, s)
		}
	case Address:
		p := Postal{Name: get("name"), Street: get("street"), Extra: get("extra"), PostalCode: get("postal_code"), City: get("city"), Country: strings.ToUpper(get("country"))}
		if p.Country == "" {
			if p.Country = c.Country; p.Country == "" {
				p.Country = "DE"
			}
		}
		v.Address = &p
		if p.Street == "" {
			need("street", "Bitte nennen Sie Straße und Hausnummer.", "Bitte schreiben Sie Straße und Haus-Nummer.", "Please give street and house number.")
		}
		if p.City == "" {
			need("city", "Bitte nennen Sie den Ort.", "Bitte schreiben Sie den Ort.", "Please give the town.")
		}
		digits := map[string]int{"DE": 5, "AT": 4, "CH": 4, "LI": 4}[p.Country]
		switch {
		case p.PostalCode == "":
			need("postal_code", "Bitte nennen Sie die Postleitzahl.", "Bitte schreiben Sie die Post-Leitzahl.", "Please give the postal code.")
		case digits > 0 && (len(p.PostalCode) != digits || strings.Trim(p.PostalCode, "0123456789") != ""):
			n := strconv.Itoa(digits)
			need("postal_code", "Die Postleitzahl hat "+n+" Ziffern.", "Die Post-Leitzahl hat "+n+" Zahlen.", "The postal code has "+n+" digits.")
		}
		for _, f := range []struct{ name, value string }{{"name", p.Name}, {"street", p.Street}, {"extra", p.Extra}, {"city", p.City}} {
			if utf8.RuneCountInString(f.value) > 200 {
				need(f.name, "Das ist zu lang.", "Das ist zu lang.", "This is too long.")
			}
		}
	case Signature:
		v.Signed = get(FieldSigned)
		if n := utf8.RuneCountInString(v.Signed); n < 2 || n > 200 {
			need(FieldSigned, "Bitte schreiben Sie Ihren Vor- und Nachnamen.", "Bitte schreiben Sie Ihren Namen.", "Please write your first and last name.")
		}
		if get(FieldAgree) == "" {
			need(FieldAgree, "Bitte bestätigen Sie, dass Sie unterschreiben.", "Bitte machen Sie hier ein Kreuz.", "Please confirm that you sign.")
		}
	case Payment:
		need(FieldWords, "Bitte bezahlen Sie auf der Seite des Zahlungsdienstes.", "Bitte bezahlen Sie auf der Internet-Seite.", "Please pay on the payment service's page.")
	}
	return v, wrong
}
