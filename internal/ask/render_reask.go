package ask

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReAsk says in the customer's language why an answer could not be taken, what was understood, and what is needed: it
// stands before the question when that is put again (Say.Again). An ask's own Retry is said where nothing was understood.
func ReAsk(a Ask, out Outcome, language string) string {
	return newReask(&a, &out, language).say()
}

func newReask(a *Ask, out *Outcome, language string) *reask {
	if language == "" {
		language = "de"
	}
	_, found := a.Text.In(language)
	if found == "" {
		found = language
	}
	return &reask{a: a, out: out, lang: language, w: sentencesFor(found, false)}
}

type reask struct {
	a    *Ask
	out  *Outcome
	lang string
	w    *sentences
}

// in chooses among German, Leichte Sprache and English.
func (r *reask) in(de, simple, en string) string {
	switch r.w.tag {
	case "de":
		return de
	case "de-simple":
		return simple
	}
	return en
}

func (r *reask) quote(s string) string {
	if r.w.tag == "en" {
		return "“" + s + "”"
	}
	return "„" + s + "“"
}

func (r *reask) say() string {
	a, o := r.a, r.out
	switch o.Problem {
	case "":
		return ""
	case Person:
		return r.in("Gern. Ein Mensch meldet sich bei Ihnen.", "Ja. Ein Mensch antwortet Ihnen.", "Of course. A person will get in touch with you.")
	case Foreign:
		return r.in("Dieser Knopf gehört zu einer anderen Frage.", "Dieser Knopf gehört zu einer anderen Frage.", "This button belongs to another question.")
	case NeedsPage:
		if o.Detail == "code" {
			return r.in("Wir haben Ihnen einen Code mit sechs Ziffern geschickt. Bitte geben Sie ihn ein.", "Wir haben Ihnen 6 Zahlen geschickt. Bitte schreiben Sie die 6 Zahlen.", "We have sent you a code of six digits. Please enter it.")
		}
		return r.in("Das geht nur auf der Seite hinter dem Link.", "Das geht nur auf der Internet-Seite. Bitte klicken Sie auf den Link.", "This is only possible on the page behind the link.")
	case TooLong:
		n := string(r.w.appendNumber(nil, float64(a.textLength()), 0))
		return r.in("Ihre Antwort ist zu lang. Möglich sind höchstens "+n+" Zeichen.", "Ihre Antwort ist zu lang. Bitte schreiben Sie nicht mehr als "+n+" Buchstaben.", "Your answer is too long. At most "+n+" characters are possible.")
	case TooFew, TooMany:
		return r.count()
	case WrongType:
		return r.wrongType()
	case Ambiguous:
		if s := r.candidates(); s != "" {
			return s
		}
	case OutOfRange:
		return r.bounds()
	}
	switch o.Detail {
	case "code":
		return r.in("Der Code stimmt nicht oder ist abgelaufen. Bitte geben Sie die sechs Ziffern noch einmal ein.", "Die 6 Zahlen stimmen nicht. Bitte schreiben Sie die 6 Zahlen noch einmal.", "The code is wrong or has expired. Please enter the six digits again.")
	case "assurance":
		return r.in("Auf diesem Weg können wir nicht sicher sein, dass Sie es sind. Bitte antworten Sie dort, wo Sie angemeldet sind, oder sprechen Sie mit einem Menschen.", "Wir sind nicht sicher: Sind Sie das? Bitte sprechen Sie mit einem Menschen.", "We cannot be sure that it is you here. Please answer where you are signed in, or talk to a person.")
	case "pattern":
		if hint := r.own(a.Hint); hint != "" {
			return r.in("So passt die Antwort noch nicht. ", "So passt die Antwort nicht. ", "The answer does not fit like this. ") + hint
		}
		return r.in("So passt die Antwort noch nicht. Bitte prüfen Sie, ob etwas fehlt.", "So passt die Antwort nicht. Bitte prüfen Sie: Fehlt etwas?", "The answer does not fit like this. Please check whether something is missing.")
	}
	if retry := r.own(a.Retry); retry != "" {
		return retry
	}
	return r.unclear()
}

func (r *reask) own(t Texts) string {
	if len(t) == 0 {
		return ""
	}
	return t.Get(r.lang)
}

// unclear asks for the kind of answer that is needed.
func (r *reask) unclear() string {
	a := r.a
	not := r.in("Das habe ich nicht verstanden. ", "Das habe ich nicht verstanden. ", "I did not understand that. ")
	switch a.Kind {
	case YesNo, Consent:
		labels := r.labels()
		return not + r.in("Bitte antworten Sie mit ", "Bitte schreiben Sie: ", "Please answer with ") + r.quote(labels[0]) + r.w.or + r.quote(labels[1]) + "."
	case OneOf, Slot, Rating:
		if a.scale() {
			return not + r.in("Bitte nennen Sie eine Zahl von 0 bis 10.", "Bitte schreiben Sie eine Zahl von 0 bis 10.", "Please give a number from 0 to 10.")
		}
		if a.Kind == Slot {
			return not + r.in("Bitte wählen Sie einen der Termine.", "Bitte suchen Sie einen Termin aus.", "Please choose one of the times.")
		}
		return not + r.in("Bitte wählen Sie eine der Antworten.", "Bitte suchen Sie eine Antwort aus.", "Please choose one of the answers.")
	case ManyOf:
		return not + r.in("Bitte nennen Sie alles, was zutrifft.", "Bitte suchen Sie Antworten aus. Es dürfen mehrere sein.", "Please name everything that applies.")
	case Number:
		return r.in("Darin habe ich keine Zahl gefunden. ", "Ich brauche eine Zahl. ", "I found no number in that. ") + r.numberNeeded()
	case Date:
		return r.in("Darin habe ich kein Datum gefunden. Bitte nennen Sie einen Tag, z", "Ich brauche einen Tag. Z", "I found no date in that. Please give a day, f") + r.w.date[1:]
	case DateTime:
		return r.in("Darin habe ich keinen Zeitpunkt gefunden. Bitte nennen Sie Tag und Uhrzeit, z", "Ich brauche einen Tag und eine Uhr-Zeit. Z", "I found no day and time in that. Please give both, f") + r.w.dateTime[1:]
	case Email:
		return r.in("Das ist keine vollständige E-Mail-Adresse. Sie sieht so aus: name@beispiel.de.", "Das ist keine E-Mail-Adresse. Eine E-Mail-Adresse sieht so aus: name@beispiel.de.", "This is not a complete e-mail address. It looks like this: name@example.com.")
	case Phone:
		return r.in("Das ist keine vollständige Telefonnummer. Bitte nennen Sie sie mit Vorwahl, zum Beispiel 040 123456.", "Das ist keine Telefon-Nummer. Bitte schreiben Sie auch die Vorwahl. Zum Beispiel: 040 123456.", "This is not a complete telephone number. Please give it with the area code, for example +44 20 7946 0000.")
	case Address:
		return r.in("Die Anschrift ist nicht vollständig. Bitte nennen Sie Straße, Hausnummer, Postleitzahl und Ort.", "Da fehlt etwas. Bitte schreiben Sie: Straße, Haus-Nummer, Post-Leitzahl und Ort.", "The address is not complete. Please give street, house number, postal code and town.")
	case File:
		return r.fileNeeded()
	case Signature:
		return r.in("Dafür brauchen wir Ihre Unterschrift.", "Wir brauchen Ihre Unterschrift.", "We need your signature for this.")
	case Payment:
		return r.in("Bitte bezahlen Sie auf der Seite hinter dem Link.", "Bitte bezahlen Sie auf der Internet-Seite.", "Please pay on the page behind the link.")
	}
	return r.in("Das habe ich nicht verstanden. Bitte schreiben Sie Ihre Antwort noch einmal.", "Das habe ich nicht verstanden. Bitte schreiben Sie die Antwort noch einmal.", "I did not understand that. Please write your answer again.")
}

func (r *reask) labels() []string {
	_, labels := r.a.Labels(r.lang, "")
	return labels
}

func (r *reask) candidates() string {
	var list []string
	for _, v := range r.out.Candidates {
		if s := r.value(v); s != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	if len(list) < 2 || len(list) > 5 {
		return ""
	}
	most := len(list) - 1
	return r.in("Meinten Sie ", "Meinen Sie ", "Did you mean ") + strings.Join(list[:most], ", ") + r.w.or + list[most] + "?"
}

// value says what was understood.
func (r *reask) value(v Value) string {
	a, w := r.a, r.w
	keys, labels := a.Labels(r.lang, "")
	label := func(key string) string {
		if i := slices.Index(keys, key); i >= 0 {
			return r.quote(labels[i])
		}
		return ""
	}
	switch {
	case v.Yes != nil && len(labels) == 2:
		if *v.Yes {
			return r.quote(labels[0])
		}
		return r.quote(labels[1])
	case v.Key != "":
		return label(v.Key)
	case len(v.Keys) > 0:
		var list []string
		for _, k := range v.Keys {
			if s := label(k); s != "" {
				list = append(list, s)
			}
		}
		return strings.Join(list, r.in(" und ", " und ", " and "))
	case v.Number != "":
		n, err := strconv.ParseFloat(v.Number, 64)
		if err != nil {
			return ""
		}
		s := string(w.appendNumber(nil, n, a.Decimals))
		if unit := a.Unit; unit != "" {
			s += " " + unit
		}
		return s
	case v.Date != "":
		d, err := time.Parse(time.DateOnly, v.Date)
		if err != nil {
			return ""
		}
		return w.longDay(d)
	case v.At != "":
		t, err := time.Parse(time.RFC3339, v.At)
		if err != nil {
			return ""
		}
		t = t.In(zoneOf(a, ""))
		return w.weekdays[t.Weekday()] + ", " + string(w.appendDay(nil, t)) + ", " + string(appendClock(nil, t)) + w.clock
	case v.Text != "":
		return r.quote(v.Text)
	case v.Email != "":
		return v.Email
	case v.Phone != "":
		return v.Phone
	}
	return ""
}

func (r *reask) bounds() string {
	a, o := r.a, r.out
	what := r.value(o.Value)
	switch a.Kind {
	case Number, Rating:
		switch {
		case o.Detail == "decimals":
			n := strconv.Itoa(a.Decimals)
			if a.Decimals == 0 {
				return r.in("Bitte nennen Sie eine ganze Zahl, ohne Nachkommastellen.", "Bitte schreiben Sie die Zahl ohne Komma.", "Please give a whole number, without decimals.")
			}
			return r.in("Möglich sind höchstens "+n+" Stellen nach dem Komma.", "Bitte schreiben Sie nach dem Komma nicht mehr als so viele Zahlen: "+n+".", "At most "+n+" digits after the point are possible.")
		case o.Detail == "unit":
			return r.in("Bitte nennen Sie die Zahl in "+a.Unit+".", "Bitte schreiben Sie die Zahl in "+a.Unit+".", "Please give the number in "+a.Unit+".")
		case what == "":
		case o.Detail == "max":
			return r.in(what+" ist zu viel. ", what+" ist zu viel. ", what+" is too much. ") + r.numberNeeded()
		case o.Detail == "min":
			return r.in(what+" ist zu wenig. ", what+" ist zu wenig. ", what+" is too little. ") + r.numberNeeded()
		default:
			return r.in(what+" ist hier nicht möglich. ", what+" geht nicht. ", what+" is not possible here. ") + r.numberNeeded()
		}
		return r.numberNeeded()
	case Date, DateTime, Slot:
		return r.day()
	}
	if a.Kind == Text && o.Detail == "pattern" {
		if hint := r.own(a.Hint); hint != "" {
			return r.in("So passt die Antwort noch nicht. ", "So passt die Antwort nicht. ", "The answer does not fit like this. ") + hint
		}
	}
	if o.Detail == "option" {
		return r.in("Diese Zahl steht nicht zur Wahl. ", "Diese Zahl gibt es hier nicht. ", "This number is not among the choices. ") + r.in("Bitte wählen Sie eine der Antworten.", "Bitte suchen Sie eine Antwort aus.", "Please choose one of the answers.")
	}
	return r.unclear()
}

// day is about a day or time that is not allowed.
func (r *reask) day() string {
	a, o := r.a, r.out
	if a.Kind == Slot && (o.Detail == "slot" || o.Detail == "taken") {
		return r.in("Dieser Termin wurde gerade vergeben. Bitte wählen Sie einen anderen.", "Dieser Termin ist weg. Bitte suchen Sie einen anderen Termin aus.", "This time has just been taken. Please choose another one.")
	}
	if a.Kind == Slot {
		return r.in("Zu dieser Zeit ist kein Termin frei. Bitte wählen Sie einen der genannten.", "Zu dieser Zeit gibt es keinen Termin. Bitte suchen Sie einen anderen Termin aus.", "No appointment is free at that time. Please choose one of those given.")
	}
	what := ""
	switch {
	case o.Value.Date != "":
		if d, err := time.Parse(time.DateOnly, o.Value.Date); err == nil {
			what = string(r.w.appendDay(nil, d))
		}
	case o.Value.At != "":
		if t, err := time.Parse(time.RFC3339, o.Value.At); err == nil {
			t = t.In(zoneOf(a, ""))
			what = string(r.w.appendDay(nil, t))
			if a.Kind == DateTime {
				what += r.in(" um ", " um ", " at ") + string(appendClock(nil, t)) + r.w.clock
			}
		}
	}
	subject := r.in("Dieser Tag", "Dieser Tag", "That day")
	if what != "" {
		subject = r.in("Der "+what, "Der "+what, what)
	}
	bound := func(s string) string {
		if d, err := time.Parse(time.DateOnly, s); err == nil {
			return string(r.w.appendDay(nil, d))
		}
		return ""
	}
	switch o.Detail {
	case "past":
		return subject + r.in(" ist schon vergangen. Bitte nennen Sie einen Tag ab heute.", " ist schon vorbei. Bitte schreiben Sie einen Tag ab heute.", " is already over. Please give a day from today on.")
	case "future":
		return subject + r.in(" liegt in der Zukunft. Bitte nennen Sie einen Tag bis heute.", " kommt erst noch. Bitte schreiben Sie einen Tag bis heute.", " is in the future. Please give a day up to today.")
	case "holiday":
		return subject + r.in(" ist ein Feiertag. Bitte nennen Sie einen anderen Tag.", " ist ein Feier-Tag. Bitte schreiben Sie einen anderen Tag.", " is a public holiday. Please give another day.")
	case "closed", "weekend":
		return subject + r.in(": Da ist geschlossen. Bitte nennen Sie einen anderen Tag.", ": Da haben wir zu. Bitte schreiben Sie einen anderen Tag.", ": we are closed then. Please give another day.")
	case "min", "from", "early":
		if b := bound(a.From); b != "" {
			return subject + r.in(" ist zu früh. Möglich ist es ab dem "+b+".", " ist zu früh. Es geht ab dem "+b+".", " is too early. The earliest day is "+b+".")
		}
		if a.From == "today" {
			return subject + r.in(" ist schon vergangen. Bitte nennen Sie einen Tag ab heute.", " ist schon vorbei. Bitte schreiben Sie einen Tag ab heute.", " is already over. Please give a day from today on.")
		}
		return subject + r.in(" ist zu früh. Bitte nennen Sie einen späteren Tag.", " ist zu früh. Bitte schreiben Sie einen anderen Tag.", " is too early. Please give a later day.")
	case "max", "until", "late":
		if b := bound(a.Until); b != "" {
			return subject + r.in(" ist zu spät. Möglich ist es bis zum "+b+".", " ist zu spät. Es geht bis zum "+b+".", " is too late. The latest day is "+b+".")
		}
		if a.Until == "today" {
			return subject + r.in(" liegt in der Zukunft. Bitte nennen Sie einen Tag bis heute.", " kommt erst noch. Bitte schreiben Sie einen Tag bis heute.", " is in the future. Please give a day up to today.")
		}
		return subject + r.in(" ist zu spät. Bitte nennen Sie einen früheren Tag.", " ist zu spät. Bitte schreiben Sie einen anderen Tag.", " is too late. Please give an earlier day.")
	}
	return subject + r.in(" ist leider nicht möglich. Bitte nennen Sie einen anderen.", " geht leider nicht. Bitte schreiben Sie einen anderen Tag.", " is not possible, sorry. Please give another one.")
}

// numberNeeded says which numbers are possible: "Bitte nennen Sie eine Zahl von 0 bis 500.000 km."
func (r *reask) numberNeeded() string {
	a := r.a
	if a.scale() {
		return r.in("Bitte nennen Sie eine Zahl von 0 bis 10.", "Bitte schreiben Sie eine Zahl von 0 bis 10.", "Please give a number from 0 to 10.")
	}
	s := r.in("Bitte nennen Sie eine Zahl", "Bitte schreiben Sie eine Zahl", "Please give a number")
	return string(r.w.appendRange([]byte(s), a))
}

func (r *reask) count() string {
	a, o := r.a, r.out
	few := o.Problem == TooFew
	if a.Kind == File {
		n := len(o.Value.Files)
		got := ""
		if n > 0 {
			got = r.in(plural(n, "Es kam eine Datei an. ", "Es kamen # Dateien an. "), plural(n, "Wir haben 1 Datei bekommen. ", "Wir haben # Dateien bekommen. "), plural(n, "One file arrived. ", "# files arrived. "))
		}
		if few {
			k := max(a.Least, 1)
			return got + r.in(plural(k, "Bitte schicken Sie mindestens eine.", "Bitte schicken Sie mindestens #."), plural(k, "Bitte schicken Sie 1 Datei.", "Bitte schicken Sie # Dateien."), plural(k, "Please send at least one.", "Please send at least #."))
		}
		k := a.Most
		if k == 0 {
			k = 10
		}
		return got + r.in(plural(k, "Möglich ist nur eine.", "Möglich sind höchstens #."), plural(k, "Bitte schicken Sie nur 1 Datei.", "Bitte schicken Sie nicht mehr als # Dateien."), plural(k, "Only one is possible.", "At most # are possible."))
	}
	got := ""
	if s := r.value(o.Value); s != "" {
		got = r.in("Verstanden habe ich: ", "Ich habe verstanden: ", "I understood: ") + s + ". "
	}
	if few {
		k := max(a.Least, 1)
		return got + r.in(plural(k, "Bitte wählen Sie mindestens eine Antwort.", "Bitte wählen Sie mindestens # Antworten."), plural(k, "Bitte suchen Sie 1 Antwort aus.", "Bitte suchen Sie # Antworten aus."), plural(k, "Please choose at least one answer.", "Please choose at least # answers."))
	}
	k := max(a.Most, 1)
	return got + r.in(plural(k, "Bitte wählen Sie nur eine Antwort.", "Bitte wählen Sie höchstens # Antworten."), plural(k, "Bitte suchen Sie nur 1 Antwort aus.", "Bitte suchen Sie nicht mehr als # Antworten aus."), plural(k, "Please choose only one answer.", "Please choose at most # answers."))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return strings.ReplaceAll(many, "#", strconv.Itoa(n))
}

func (r *reask) wrongType() string {
	switch r.a.Kind {
	case File:
		if r.out.Detail == "" || r.out.Detail == "text" {
			return r.fileNeeded()
		}
		return r.in("Eine Datei dieser Art passt hier nicht. ", "Diese Datei passt hier nicht. ", "A file of this kind does not fit here. ") + r.fileNeeded()
	case Signature:
		return r.in("Dafür brauchen wir Ihre Unterschrift.", "Wir brauchen Ihre Unterschrift.", "We need your signature for this.")
	}
	return r.in("Die Datei ist angekommen, aber die Frage braucht eine andere Antwort. ", "Ihre Datei ist da. Aber wir brauchen eine andere Antwort. ", "The file has arrived, but the question needs another answer. ") + r.unclear()
}

// fileNeeded says what kind of file is meant.
func (r *reask) fileNeeded() string {
	pdf := slices.Contains(r.a.Accept, "application/pdf")
	switch {
	case r.a.Photos():
		return r.in("Bitte schicken Sie ein Foto.", "Bitte schicken Sie ein Foto.", "Please send a photo.")
	case pdf && len(r.a.Accept) == 1:
		return r.in("Bitte schicken Sie eine PDF-Datei.", "Bitte schicken Sie eine PDF-Datei.", "Please send a PDF file.")
	case pdf:
		return r.in("Bitte schicken Sie ein Foto oder eine PDF-Datei.", "Bitte schicken Sie ein Foto oder eine PDF-Datei.", "Please send a photo or a PDF file.")
	}
	return r.in("Bitte schicken Sie eine Datei.", "Bitte schicken Sie eine Datei.", "Please send a file.")
}
