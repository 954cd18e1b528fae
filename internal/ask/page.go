package ask

import (
	"strings"
	"time"
)

// Opened is the question behind an answer code, as the answer page shows it.
type Opened struct {
	Ask         Ask
	State       string // open, answered, expired, withdrawn, handed
	Value       Value  // answered
	AnsweredAt  time.Time
	AnsweredVia string // channel kind, or "page"
	AnsweredBy  string // customer, staff, default
	Correctable bool   // the answer may still be changed
	Proving     bool   // a code was sent to the address that was given, and is asked for
	Company     string
	Language    string // of the customer, BCP 47
	ExpiresAt   time.Time
	Address     string // to which the question went, masked
	Org         string
	Stale       bool // the options were replaced since the link was sent: its number means nothing
}

// PageReply is what the answer page sends: a Value where its fields have one, otherwise words as in any Reply. Files are
// attachments that are stored already.
type PageReply struct {
	Reply
	Value    *Value
	Language string
}

// View is a question for media with native fields (Capabilities.Forms), as JSON: channel.Outgoing.Form.
type View struct {
	Code     string       `json:"code"`
	Kind     Kind         `json:"kind"`
	Language string       `json:"language"` // of the texts
	Machine  bool         `json:"machine,omitempty"`
	Question string       `json:"question"`
	Hint     string       `json:"hint,omitempty"`
	Input    string       `json:"input"` // buttons, radio, checkbox, number, date, datetime-local, text, textarea, email, tel, address, file, signature, link
	Options  []ViewOption `json:"options,omitempty"`
	Least    int          `json:"least,omitempty"` // many_of, file
	Most     int          `json:"most,omitempty"`
	Min      *float64     `json:"min,omitempty"` // number
	Max      *float64     `json:"max,omitempty"`
	Decimals int          `json:"decimals,omitempty"`
	Unit     string       `json:"unit,omitempty"`
	From     string       `json:"from,omitempty"` // date, date_time: 2006-01-02, where it is fixed
	Until    string       `json:"until,omitempty"`
	Zone     string       `json:"zone,omitempty"`
	// MaxLength is in code points.
	MaxLength int      `json:"max_length,omitempty"`
	Accept    []string `json:"accept,omitempty"` // media types
	Optional  bool     `json:"optional,omitempty"`
	URL       string   `json:"url,omitempty"` // the answer page
	Amount    string   `json:"amount,omitempty"`
	Words     FormText `json:"words"`
}

// ViewOption is one option of a View. Data comes back as the payload of a choice.
type ViewOption struct {
	Data        string    `json:"data"`
	Key         string    `json:"key"`
	Label       string    `json:"label"`
	Description string    `json:"description,omitempty"`
	Start       time.Time `json:"start,omitzero"`
}

// FormText are the words around the fields, in the language of the question.
type FormText struct {
	Send     string `json:"send"`
	Skip     string `json:"skip"`      // label
	SkipText string `json:"skip_text"` // what is sent
	Person   string `json:"person"`    // label of the button for a person
	Open     string `json:"open"`      // label of the link to the page
	Choose   string `json:"choose"`    // files
	Name     string `json:"name"`      // address, signature
	Street   string `json:"street"`
	Extra    string `json:"extra"`
	Postal   string `json:"postal_code"`
	City     string `json:"city"`
	Date     string `json:"date"`
	Time     string `json:"time"`
	Number   string `json:"number"`
	Answer   string `json:"answer"`
	Email    string `json:"email"`
	Phone    string `json:"phone"`
}

// NewView makes the View of a question in the language of the options.
func NewView(a Ask, o Options) View {
	language := o.Language
	if language == "" {
		language = "de"
	}
	words, found := a.Text.In(language)
	if found == "" {
		found = language
	}
	w := sentencesFor(found, false)
	zone := zoneOf(&a, o.Zone)
	v := View{Code: o.Code, Kind: a.Kind, Language: found, Machine: words.Machine, Question: words.Text, Input: "text",
		Optional: a.Optional, URL: o.URL, Zone: zone.String(), Words: *formTextFor(w.tag)}
	hint, _ := a.Hint.In(language)
	v.Hint, v.Machine = hint.Text, v.Machine || hint.Machine
	for _, p := range a.appendOptions(nil, w, language, zone, false) {
		option := ViewOption{Data: Payload(o.Code, p.n), Key: p.key, Label: p.label, Description: p.desc}
		if a.Kind == Slot {
			option.Start = a.Options[p.n].Start
		}
		v.Options = append(v.Options, option)
	}
	switch a.Kind {
	case YesNo, Consent:
		v.Input = "buttons"
	case Rating:
		v.Input = "buttons"
		if a.scale() && v.Hint == "" {
			v.Hint = w.scaleEnds[0] + ", " + w.scaleEnds[1]
		}
	case OneOf, Slot:
		v.Input = "radio"
	case ManyOf:
		v.Input, v.Least, v.Most = "checkbox", a.Least, a.Most
	case Number:
		v.Input, v.Min, v.Max, v.Decimals, v.Unit = "number", a.Min, a.Max, a.Decimals, a.Unit
	case Date, DateTime:
		v.Input = "date"
		if a.Kind == DateTime {
			v.Input = "datetime-local"
		}
		for _, b := range []struct{ from, to *string }{{&a.From, &v.From}, {&a.Until, &v.Until}} {
			if _, err := time.Parse(time.DateOnly, *b.from); err == nil {
				*b.to = *b.from
			}
		}
	case Text:
		v.Input, v.MaxLength = "textarea", a.MaxLength
	case Email:
		v.Input = "email"
	case Phone:
		v.Input = "tel"
	case Address:
		v.Input = "address"
	case File:
		v.Input, v.Accept, v.Least, v.Most = "file", a.Accept, a.Least, a.Most
	case Signature:
		v.Input, v.Words.Open = "signature", w.pageLinkSign
		if o.URL != "" {
			v.Input = "link"
		}
	case Payment:
		v.Input, v.Words.Open = "link", w.pageLinkPay
		if a.Cents > 0 {
			v.Amount = string(w.appendMoney(nil, a.Cents, a.Currency))
		}
	}
	return v
}

// Sentence is the standard hint of the ask in the language: range and unit of a number, bounds of a date, how many files.
// "" = none.
func (a Ask) Sentence(language string) string {
	_, found := a.Text.In(language)
	x := &renderer{s: &Say{}, a: &a, w: sentencesFor(found, false), c: pageCapabilities, o: &Options{}}
	x.appendHint(true, false)
	return strings.TrimSpace(string(x.buf))
}

// AnswerLabel is the label of an answer's option by its number in payloads; "" if there is none.
func (a Ask) AnswerLabel(language, zone string, n int) string {
	_, labels := a.Labels(language, zone)
	if n < 0 || n >= len(labels) {
		return ""
	}
	return labels[n]
}

func formTextFor(tag string) *FormText {
	switch tag {
	case "de":
		return &formDE
	case "de-simple":
		return &formSimple
	}
	return &formEN
}

var formDE = FormText{
	Send: "Antwort senden", Skip: "Überspringen", SkipText: "weiter", Person: "Mit einem Menschen sprechen", Open: "Hier antworten", Choose: "Dateien auswählen",
	Name: "Name", Street: "Straße und Hausnummer", Extra: "Adresszusatz (freiwillig)", Postal: "Postleitzahl", City: "Ort",
	Date: "Datum", Time: "Uhrzeit", Number: "Zahl", Answer: "Ihre Antwort", Email: "E-Mail-Adresse", Phone: "Telefonnummer",
}

var formSimple = FormText{
	Send: "Antwort schicken", Skip: "Nicht antworten", SkipText: "weiter", Person: "Mit einem Menschen sprechen", Open: "Hier antworten", Choose: "Dateien aussuchen",
	Name: "Ihr Name", Street: "Straße und Haus-Nummer", Extra: "Mehr zur Adresse", Postal: "Post-Leitzahl", City: "Ort",
	Date: "Tag", Time: "Uhr-Zeit", Number: "Zahl", Answer: "Ihre Antwort", Email: "E-Mail-Adresse", Phone: "Telefon-Nummer",
}

var formEN = FormText{
	Send: "Send answer", Skip: "Skip", SkipText: "skip", Person: "Talk to a person", Open: "Answer here", Choose: "Choose files",
	Name: "Name", Street: "Street and house number", Extra: "Address line 2 (optional)", Postal: "Postal code", City: "Town or city",
	Date: "Date", Time: "Time", Number: "Number", Answer: "Your answer", Email: "E-mail address", Phone: "Telephone number",
}

// SlotDay parts a moment into its day and its time of day in words: "Donnerstag, 26. November 2026" and "16:00 Uhr".
func SlotDay(language, zone string, t time.Time) (day, clock string) {
	w := sentencesFor(language, false)
	t = t.In(zoneOf(nil, zone))
	return w.longDay(t), string(appendClock(nil, t)) + w.clock
}
