package ask

import "strings"

// The standard sentences around a question, in one place: German (Sie), Leichte Sprache and English. A text of any other
// language gets the English ones.

// sentences are those of one language. A pair in an array is what comes before and after the part that is filled in.
type sentences struct {
	tag string // of these sentences

	introduce, introduceSpoken [2]string
	person                     string // on media where one types
	personSpoken               string
	personPaper                string    // a box to tick
	personAt                   [2]string // a telephone number
	personPage                 string
	personButton               string
	skip, skipSpoken           string
	machine                    string
	yes, no                    string
	verdict                    [3]string
	menu, menuSlot, menuRating string

	answerWith    [2]string // "Antworten Sie mit 1, 2 oder 3."
	or            string    // " oder "
	manyWith      string    // one or more numbers
	atLeast       [2]string
	atMost        [2]string
	between       [3]string
	exactly       [2]string
	scale         string // 0-10
	scaleSpoken   string
	scaleEnds     [2]string // what 0 and what 10 mean
	replyMail     string
	replyMailMany string
	orPage        string // before an address
	page          string // before an address: nothing else is possible here
	pageMany      string // before an address: more options than a message can carry
	pageSign      string
	pagePay       string
	pageFile      string
	pageLink      string // label of the link
	pageLinkMany  string
	pageLinkSign  string
	pageLinkPay   string
	pageLinkFile  string
	amount        string
	prefilled     string // HTML: a link only preselects

	number        string
	numberRange   [2]string // " von ", " bis "
	numberFrom    string
	numberTo      string
	numberUnit    string
	date          string
	datePast      string // an example for days that lie behind
	dateTime      string
	dateFrom      string
	dateUntil     string
	today         string
	textMax       [2]string
	email         string
	phone         string
	address       string
	photo         [2]string // one; several with at most
	file          [2]string
	filesUpTo     [2]string
	photosUpTo    [2]string
	empty         string    // a slot ask without slots
	press         [2]string // "Drücken Sie 1 für …."
	pressMany     string
	pressNumber   string
	pressDate     string
	pressTime     string
	pressPhone    string
	pressPerson   string
	again         string
	onlyPerson    string
	paperOptional string
	paperOne      string
	paperMany     string
	paperFree     string
	paperSign     string
	paperFile     string
	paperPay      string
	paperAnswer   string
	paperSigned   string
	paperCode     string
	paperNoCode   string
	paperPage     string
	paperSend     string
	paperPhone    string
	weekdays      [7]string
	weekdaysAbbr  [7]string
	months        [12]string
	monthsAbbr    [12]string
	clock         string // after a time: " Uhr"
}

var sentencesDE = sentences{
	tag:             "de",
	introduce:       [2]string{"Hier schreibt der automatische Assistent von ", "."},
	introduceSpoken: [2]string{"Hier spricht der automatische Assistent von ", "."},
	person:          "Schreiben Sie „Mensch“, wenn Sie mit einer Person sprechen möchten.",
	personSpoken:    "Drücken Sie 0, um mit einem Menschen zu sprechen.",
	personPaper:     "Bitte rufen Sie mich an",
	personAt:        [2]string{"Einen Menschen erreichen Sie unter ", "."},
	personPage:      "Über den Link erreichen Sie auch einen Menschen.",
	personButton:    "Mensch",
	skip:            "Sie müssen nicht antworten. Mit „weiter“ überspringen Sie die Frage.",
	skipSpoken:      "Drücken Sie die Raute-Taste, um die Frage zu überspringen.",
	machine:         "(maschinell übersetzt)",
	yes:             "Ja", no: "Nein",
	verdict: verdictsIn("de"),
	menu:    "Auswählen", menuSlot: "Termin wählen", menuRating: "Bewerten",

	answerWith:    [2]string{"Antworten Sie mit ", "."},
	or:            " oder ",
	manyWith:      "Antworten Sie mit allen Zahlen, die zutreffen, zum Beispiel „1, 3“.",
	atLeast:       [2]string{"Bitte wählen Sie mindestens ", "."},
	atMost:        [2]string{"Bitte wählen Sie höchstens ", "."},
	between:       [3]string{"Bitte wählen Sie ", " bis ", "."},
	exactly:       [2]string{"Bitte wählen Sie genau ", "."},
	scale:         "Antworten Sie mit einer Zahl von 0 (sehr schlecht) bis 10 (sehr gut).",
	scaleSpoken:   "Geben Sie eine Zahl von 1 bis 10 ein, 10 ist sehr gut, und drücken Sie dann die Raute-Taste. Für die Zahl null drücken Sie zweimal die Null.",
	scaleEnds:     [2]string{"0 = sehr schlecht", "10 = sehr gut"},
	replyMail:     "Sie können auch einfach auf diese E-Mail antworten.",
	replyMailMany: "Sie können auch einfach auf diese E-Mail antworten, zum Beispiel mit „1, 3“.",
	orPage:        "Oder antworten Sie hier: ",
	page:          "Bitte antworten Sie auf dieser Seite: ",
	pageMany:      "Alle Möglichkeiten sehen Sie auf dieser Seite: ",
	pageSign:      "Bitte unterschreiben Sie auf dieser Seite: ",
	pagePay:       "Bitte bezahlen Sie auf dieser Seite: ",
	pageFile:      "Bitte laden Sie Ihre Datei auf dieser Seite hoch: ",
	pageLink:      "Hier antworten",
	pageLinkMany:  "Alle Möglichkeiten ansehen",
	pageLinkSign:  "Jetzt unterschreiben",
	pageLinkPay:   "Zur Bezahlung",
	pageLinkFile:  "Datei hochladen",
	amount:        "Betrag: ",
	prefilled:     "Wählen Sie aus. Auf der nächsten Seite bestätigen Sie mit einem Klick.",

	number:        "Bitte antworten Sie mit einer Zahl",
	numberRange:   [2]string{" von ", " bis "},
	numberFrom:    " ab ",
	numberTo:      " bis höchstens ",
	numberUnit:    " in ",
	date:          "Zum Beispiel „3. Mai“ oder „nächsten Dienstag“.",
	datePast:      "Zum Beispiel „3. Mai“ oder „letzten Dienstag“.",
	dateTime:      "Zum Beispiel „3. Mai um 14:30“ oder „übermorgen um halb drei“.",
	dateFrom:      "Frühester Tag: ",
	dateUntil:     "Spätester Tag: ",
	today:         "heute",
	textMax:       [2]string{"Höchstens ", " Zeichen."},
	email:         "Antworten Sie mit Ihrer E-Mail-Adresse, zum Beispiel name@beispiel.de.",
	phone:         "Antworten Sie mit Ihrer Telefonnummer samt Vorwahl.",
	address:       "Antworten Sie mit Straße, Hausnummer, Postleitzahl und Ort.",
	photo:         [2]string{"Schicken Sie hier ein Foto.", "Schicken Sie hier Ihre Fotos."},
	file:          [2]string{"Schicken Sie hier eine Datei.", "Schicken Sie hier Ihre Dateien."},
	filesUpTo:     [2]string{"Schicken Sie hier bis zu ", " Dateien."},
	photosUpTo:    [2]string{"Schicken Sie hier bis zu ", " Fotos."},
	empty:         "Zurzeit ist kein Termin frei. Schreiben Sie, wann es Ihnen passt.",
	press:         [2]string{"Drücken Sie ", " für "},
	pressMany:     "Drücken Sie nacheinander alle Ziffern, die zutreffen, und dann die Raute-Taste.",
	pressNumber:   "Geben Sie die Zahl ohne Nachkommastellen ein und drücken Sie dann die Raute-Taste.",
	pressDate:     "Geben Sie das Datum mit acht Ziffern ein: zwei für den Tag, zwei für den Monat, vier für das Jahr. Drücken Sie dann die Raute-Taste.",
	pressTime:     "Geben Sie Datum und Uhrzeit mit zwölf Ziffern ein: zwei für den Tag, zwei für den Monat, vier für das Jahr, zwei für die Stunde, zwei für die Minute. Drücken Sie dann die Raute-Taste.",
	pressPhone:    "Geben Sie Ihre Telefonnummer mit Vorwahl ein und drücken Sie dann die Raute-Taste.",
	pressPerson:   "Drücken Sie 0, um mit einem Menschen zu sprechen.",
	again:         "Drücken Sie die Stern-Taste, um alles noch einmal zu hören.",
	onlyPerson:    "Diese Frage nimmt ein Mensch auf. Drücken Sie 0.",
	paperOptional: "Sie müssen diese Frage nicht beantworten.",
	paperOne:      "Bitte kreuzen Sie ein Kästchen an.",
	paperMany:     "Bitte kreuzen Sie alles an, was zutrifft.",
	paperFree:     "Bitte schreiben Sie Ihre Antwort in Druckbuchstaben auf.",
	paperSign:     "Bitte unterschreiben Sie mit Ort und Datum.",
	paperFile:     "Bitte legen Sie Ihre Unterlagen bei.",
	paperPay:      "Bezahlen können Sie auf der Seite, die unten steht.",
	paperAnswer:   "Ihre Antwort:",
	paperSigned:   "Ort, Datum, Unterschrift:",
	paperCode:     "Ihr Antwort-Code: ",
	paperNoCode:   "(wird beim Druck vergeben)",
	paperPage:     "Oder antworten Sie im Internet: ",
	paperSend:     "Bitte senden Sie diese Seite an uns zurück.",
	paperPhone:    "Oder rufen Sie uns an: ",
	weekdays:      [7]string{"Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"},
	weekdaysAbbr:  [7]string{"So", "Mo", "Di", "Mi", "Do", "Fr", "Sa"},
	months:        [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
	monthsAbbr:    [12]string{"1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.", "9.", "10.", "11.", "12."},
	clock:         " Uhr",
}

// Leichte Sprache: short sentences, one thought each, no hard words, numbers as digits.
var sentencesSimple = sentencesWith(sentencesDE, func(s *sentences) {
	s.tag = "de-simple"
	s.introduce = [2]string{"Hier schreibt ein Computer. Der Computer gehört zu: ", "."}
	s.introduceSpoken = [2]string{"Hier spricht ein Computer. Der Computer gehört zu: ", "."}
	s.person = "Möchten Sie mit einem Menschen sprechen? Dann schreiben Sie: „Mensch“."
	s.personSpoken = "Möchten Sie mit einem Menschen sprechen? Dann drücken Sie die 0."
	s.personAt = [2]string{"Möchten Sie mit einem Menschen sprechen? Dann rufen Sie an: ", "."}
	s.personPage = "Auf der Internet-Seite erreichen Sie auch einen Menschen."
	s.skip = "Sie müssen nicht antworten. Dann schreiben Sie: „weiter“."
	s.skipSpoken = "Sie müssen nicht antworten. Dann drücken Sie die Raute-Taste."
	s.machine = "(Ein Computer hat das übersetzt.)"
	s.verdict = verdictsIn("de-simple")
	s.menu, s.menuSlot, s.menuRating = "Auswählen", "Tag aussuchen", "Auswählen"
	s.answerWith = [2]string{"Bitte schreiben Sie: ", "."}
	s.manyWith = "Bitte schreiben Sie die Zahlen. Es dürfen mehrere sein. Zum Beispiel: „1, 3“."
	s.atLeast = [2]string{"Wählen Sie so viele oder mehr: ", "."}
	s.atMost = [2]string{"Wählen Sie nicht mehr als ", "."}
	s.scale = "Schreiben Sie eine Zahl von 0 bis 10. 0 ist sehr schlecht. 10 ist sehr gut."
	s.scaleSpoken = "Drücken Sie eine Zahl von 1 bis 10. 10 ist sehr gut. Drücken Sie dann die Raute-Taste. Für die Zahl 0 drücken Sie 2 Mal die 0."
	s.replyMail = "Sie können auch auf diese E-Mail antworten."
	s.replyMailMany = "Sie können auch auf diese E-Mail antworten. Zum Beispiel mit: „1, 3“."
	s.orPage = "Oder antworten Sie auf dieser Internet-Seite: "
	s.page = "Bitte antworten Sie auf dieser Internet-Seite: "
	s.pageMany = "Hier sehen Sie alle Antworten: "
	s.pageSign = "Bitte unterschreiben Sie auf dieser Internet-Seite: "
	s.pagePay = "Bitte bezahlen Sie auf dieser Internet-Seite: "
	s.pageFile = "Bitte schicken Sie die Datei auf dieser Internet-Seite: "
	s.pageLinkMany = "Alle Antworten sehen"
	s.pageLinkSign = "Unterschreiben"
	s.pageLinkPay = "Bezahlen"
	s.pageLinkFile = "Datei schicken"
	s.amount = "Es kostet: "
	s.prefilled = "Klicken Sie auf eine Antwort. Dann klicken Sie auf der nächsten Seite noch 1 Mal."
	s.number = "Bitte schreiben Sie eine Zahl"
	s.numberTo = " bis "
	s.date = "Zum Beispiel: „3. Mai“."
	s.datePast = s.date
	s.dateTime = "Zum Beispiel: „3. Mai um 14:30“."
	s.textMax = [2]string{"Schreiben Sie nicht mehr als ", " Buchstaben."}
	s.email = "Bitte schreiben Sie Ihre E-Mail-Adresse. Zum Beispiel: name@beispiel.de."
	s.phone = "Bitte schreiben Sie Ihre Telefon-Nummer. Auch die Vorwahl."
	s.address = "Bitte schreiben Sie: Straße, Haus-Nummer, Post-Leitzahl und Ort."
	s.photo = [2]string{"Bitte schicken Sie ein Foto.", "Bitte schicken Sie Ihre Fotos."}
	s.file = [2]string{"Bitte schicken Sie eine Datei.", "Bitte schicken Sie Ihre Dateien."}
	s.filesUpTo = [2]string{"Bitte schicken Sie Ihre Dateien. Nicht mehr als ", "."}
	s.photosUpTo = [2]string{"Bitte schicken Sie Ihre Fotos. Nicht mehr als ", "."}
	s.empty = "Im Moment ist kein Termin frei. Schreiben Sie: Wann haben Sie Zeit?"
	s.press = [2]string{"Drücken Sie die ", " für: "}
	s.pressMany = "Drücken Sie die Zahlen. Es dürfen mehrere sein. Drücken Sie dann die Raute-Taste."
	s.pressNumber = "Drücken Sie die Zahl. Bitte ohne Komma. Drücken Sie dann die Raute-Taste."
	s.pressDate = "Drücken Sie 8 Zahlen. 2 Zahlen für den Tag. 2 Zahlen für den Monat. 4 Zahlen für das Jahr. Drücken Sie dann die Raute-Taste."
	s.pressTime = "Drücken Sie 12 Zahlen. 2 Zahlen für den Tag. 2 Zahlen für den Monat. 4 Zahlen für das Jahr. 2 Zahlen für die Stunde. 2 Zahlen für die Minute. Drücken Sie dann die Raute-Taste."
	s.pressPhone = "Drücken Sie Ihre Telefon-Nummer. Auch die Vorwahl. Drücken Sie dann die Raute-Taste."
	s.pressPerson = s.personSpoken
	s.again = "Möchten Sie alles noch einmal hören? Dann drücken Sie die Stern-Taste."
	s.onlyPerson = "Ein Mensch schreibt Ihre Antwort auf. Drücken Sie die 0."
	s.paperOptional = "Sie müssen nicht antworten."
	s.paperOne = "Bitte machen Sie 1 Kreuz."
	s.paperMany = "Bitte machen Sie Kreuze. Es dürfen mehrere sein."
	s.paperFree = "Bitte schreiben Sie Ihre Antwort auf."
	s.paperSign = "Bitte unterschreiben Sie."
	s.paperFile = "Bitte legen Sie Ihre Papiere dazu."
	s.paperPay = "Bezahlen können Sie auf einer Internet-Seite. Die Adresse steht unten."
	s.paperCode = "Ihre Nummer: "
	s.paperPage = "Sie können auch im Internet antworten: "
	s.paperSend = "Bitte schicken Sie dieses Blatt zurück."
	s.paperPhone = "Sie können auch anrufen: "
})

var sentencesEN = sentences{
	tag:             "en",
	introduce:       [2]string{"This is the automated assistant of ", "."},
	introduceSpoken: [2]string{"You are speaking with the automated assistant of ", "."},
	person:          "Write “person” if you would like to talk to a person.",
	personSpoken:    "Press 0 to talk to a person.",
	personPaper:     "Please call me",
	personAt:        [2]string{"You can reach a person at ", "."},
	personPage:      "You can also reach a person by the link.",
	personButton:    "Person",
	skip:            "You do not have to answer. Write “skip” to leave the question out.",
	skipSpoken:      "Press the hash key to skip the question.",
	machine:         "(machine translation)",
	yes:             "Yes", no: "No",
	verdict: verdictsIn("en"),
	menu:    "Choose", menuSlot: "Choose a time", menuRating: "Rate",

	answerWith:    [2]string{"Answer with ", "."},
	or:            " or ",
	manyWith:      "Answer with all numbers that apply, for example “1, 3”.",
	atLeast:       [2]string{"Please choose at least ", "."},
	atMost:        [2]string{"Please choose at most ", "."},
	between:       [3]string{"Please choose ", " to ", "."},
	exactly:       [2]string{"Please choose exactly ", "."},
	scale:         "Answer with a number from 0 (very bad) to 10 (very good).",
	scaleSpoken:   "Enter a number from 1 to 10, where 10 is very good, then press the hash key. For zero, press 0 twice.",
	scaleEnds:     [2]string{"0 = very bad", "10 = very good"},
	replyMail:     "You can also simply reply to this e-mail.",
	replyMailMany: "You can also simply reply to this e-mail, for example with “1, 3”.",
	orPage:        "Or answer here: ",
	page:          "Please answer on this page: ",
	pageMany:      "You can see all choices on this page: ",
	pageSign:      "Please sign on this page: ",
	pagePay:       "Please pay on this page: ",
	pageFile:      "Please upload your file on this page: ",
	pageLink:      "Answer here",
	pageLinkMany:  "See all choices",
	pageLinkSign:  "Sign now",
	pageLinkPay:   "Go to payment",
	pageLinkFile:  "Upload a file",
	amount:        "Amount: ",
	prefilled:     "Choose one. You confirm it with a click on the next page.",

	number:        "Please answer with a number",
	numberRange:   [2]string{" from ", " to "},
	numberFrom:    " of at least ",
	numberTo:      " of at most ",
	numberUnit:    " in ",
	date:          "For example “3 May” or “next Tuesday”.",
	datePast:      "For example “3 May” or “last Tuesday”.",
	dateTime:      "For example “3 May at 2:30 pm” or “tomorrow at 9”.",
	dateFrom:      "Earliest day: ",
	dateUntil:     "Latest day: ",
	today:         "today",
	textMax:       [2]string{"At most ", " characters."},
	email:         "Answer with your e-mail address, for example name@example.com.",
	phone:         "Answer with your telephone number including the area code.",
	address:       "Answer with street, house number, postal code and town.",
	photo:         [2]string{"Send a photo here.", "Send your photos here."},
	file:          [2]string{"Send a file here.", "Send your files here."},
	filesUpTo:     [2]string{"Send up to ", " files here."},
	photosUpTo:    [2]string{"Send up to ", " photos here."},
	empty:         "There is no free time at the moment. Write when it would suit you.",
	press:         [2]string{"Press ", " for "},
	pressMany:     "Press all digits that apply, one after the other, then press the hash key.",
	pressNumber:   "Enter the number without decimals, then press the hash key.",
	pressDate:     "Enter the date with eight digits: two for the day, two for the month, four for the year. Then press the hash key.",
	pressTime:     "Enter date and time with twelve digits: two for the day, two for the month, four for the year, two for the hour from 0 to 23, two for the minute. Then press the hash key.",
	pressPhone:    "Enter your telephone number with the area code, then press the hash key.",
	pressPerson:   "Press 0 to talk to a person.",
	again:         "Press the star key to hear everything again.",
	onlyPerson:    "A person takes the answer to this question. Press 0.",
	paperOptional: "You do not have to answer this question.",
	paperOne:      "Please tick one box.",
	paperMany:     "Please tick everything that applies.",
	paperFree:     "Please write your answer in block letters.",
	paperSign:     "Please sign with place and date.",
	paperFile:     "Please enclose your documents.",
	paperPay:      "You can pay on the page given below.",
	paperAnswer:   "Your answer:",
	paperSigned:   "Place, date, signature:",
	paperCode:     "Your answer code: ",
	paperNoCode:   "(given when it is printed)",
	paperPage:     "Or answer on the internet: ",
	paperSend:     "Please send this page back to us.",
	paperPhone:    "Or call us: ",
	weekdays:      [7]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
	weekdaysAbbr:  [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
	months:        [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	monthsAbbr:    [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
}

// The same for SMS: typographic quotes are not in GSM-7, and one of them halves what fits into a part (3GPP TS 23.038).
var sentencesDESMS, sentencesSimpleSMS, sentencesENSMS = straightQuotes(sentencesDE), straightQuotes(sentencesSimple), straightQuotes(sentencesEN)

func sentencesWith(s sentences, change func(*sentences)) sentences {
	change(&s)
	return s
}

// straightQuotes replaces typographic quotes in every sentence.
func straightQuotes(s sentences) sentences {
	r := strings.NewReplacer("„", `"`, "“", `"`, "”", `"`)
	fix := func(p *string) { *p = r.Replace(*p) }
	for _, p := range []*string{&s.person, &s.skip, &s.manyWith, &s.date, &s.datePast, &s.dateTime, &s.replyMail, &s.replyMailMany} {
		fix(p)
	}
	return s
}

// sentencesFor gives the sentences for a language.
func sentencesFor(language string, sms bool) *sentences {
	switch {
	case language == "de-simple":
		if sms {
			return &sentencesSimpleSMS
		}
		return &sentencesSimple
	case language == "" || language == "de" || strings.HasPrefix(language, "de-"):
		if sms {
			return &sentencesDESMS
		}
		return &sentencesDE
	default:
		if sms {
			return &sentencesENSMS
		}
		return &sentencesEN
	}
}
