package contact

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/reach"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var pageTemplate = template.Must(template.New("contact").Parse(pageHTML))

// Script is the page's own few lines: they open the chat for who came by its link.
func Script() string { return pageJS }

// View is what the page is made of.
type View struct {
	Company  string
	Language string // de or en
	Base     string // its own path: /contact or /contact/ORG
	Public   string // scheme and host; for the code's QR of the chat
	Offers   []Offer
	Now      time.Time
	Zone     *time.Location
	Code     string // of a hand-over; "" = none
	Embed    bool   // in a frame of another site
	Widget   string // the channel whose chat is put on the page; "" = none
}

// CodeOf reads a hand-over code from a link; "" if it does not look like one. Whether it works is not asked: nobody can
// find codes by trying.
func CodeOf(s string) string {
	code, pin := reach.FindCode(s)
	if pin || len(s) > 40 {
		return ""
	}
	return code
}

type pageView struct {
	View
	CSS                template.CSS
	T                  pageWords
	Languages          []pageLanguage
	Stamp, Pretty, Top string
	Sections           []pageSection
	NoIndex            bool
}

type pageLanguage struct {
	Tag, Name, URL string
	Current        bool
}

type pageSection struct {
	Title string
	Ways  []pageWay
}

type pageWay struct {
	ID, Name, Icon string
	Href           string // "" = nowhere
	Target         string
	Who            string
	Says           []string // sentences
	Address        []string // lines
	Tag            string
	Good, Closed   bool
	QR             template.HTML
	Shown          string // what stands under the QR code
	Chat           bool
}

type pageWords struct {
	Title, Lead, Stamp, Talk, Write, Self, Person, Assistant, SelfService, Always, Trouble, Language, Code, CodeText, CodeElse, Nothing, NothingText, QR, QRHelp, NeedsScript, Answer string
}

var pageText = map[string]pageWords{
	"de": {Title: "So erreichen Sie uns", Lead: "Sie wählen. Wir antworten dort, wo Sie fragen.", Stamp: "Stand: %s, %s Uhr.", Talk: "Sofort ein Mensch", Write: "Schreiben", Self: "Selbst erledigen",
		Person: "Mensch", Assistant: "Mensch; auf %s zuerst der Assistent", SelfService: "Selbstbedienung", Trouble: "zurzeit gestört", Language: "Sprache", Answer: "Antwort meist in %s",
		Code: "Ihr Gespräch geht hier weiter", CodeText: "Wählen Sie einen Weg. Wir kennen Sie dort an diesem Code und haben alles vor uns, was Sie schon geschrieben haben:", CodeElse: "Steht er noch nicht in Ihrer Nachricht, schreiben Sie ihn hinein. Er gilt einmal und einen Tag lang.",
		Nothing: "Noch kein Weg eingetragen", NothingText: "Bitte schauen Sie bald wieder vorbei.", QR: "QR-Code", QRHelp: "Mit der Kamera Ihres Telefons öffnen:", NeedsScript: "Der Chat braucht JavaScript; alle anderen Wege nicht."},
	"en": {Title: "How to reach us", Lead: "You choose. We answer where you ask.", Stamp: "As of %s, %s.", Talk: "A person, right away", Write: "Write to us", Self: "Do it yourself",
		Person: "Person", Assistant: "Person; to %s the assistant answers first", SelfService: "Self-service", Trouble: "not working right now", Language: "Language", Answer: "Answer usually within %s",
		Code: "Your conversation goes on here", CodeText: "Choose a way. We know you there by this code and have before us all that you wrote already:", CodeElse: "If it is not in your message yet, write it there. It works once, for a day.",
		Nothing: "No way entered yet", NothingText: "Please come back soon.", QR: "QR code", QRHelp: "Open with your phone's camera:", NeedsScript: "The chat needs JavaScript; no other way does."},
}

// startText says how a dialog is started.
func startText(words []string, language string, link bool) string {
	list := quoted(words[:min(len(words), 2)], language)
	if link {
		return channel.Text{DE: "Schicken Sie " + list + " ab, der Assistent fragt Schritt für Schritt", EN: "Send " + list + "; the assistant asks step by step"}.In(language)
	}
	return channel.Text{DE: "Schreiben Sie " + list + ", der Assistent fragt Schritt für Schritt", EN: "Write " + list + "; the assistant asks step by step"}.In(language)
}

func quoted(words []string, language string) string {
	var out []string
	for _, w := range words {
		out = append(out, channel.Text{DE: "„" + w + "“", EN: "“" + w + "”"}.In(language))
	}
	return strings.Join(out, channel.Text{DE: " oder ", EN: " or "}.In(language))
}

var icons = map[string]string{Dialog: "file-text", Phone: "phone", Callback: "phone-call", Branch: "store", Letter: "mailbox", Web: "layout-grid"}

var channelIcons = map[channel.Kind]string{"email": "mail", "telegram": "send", "twilio": "smartphone", "vonage": "smartphone", "smpp": "smartphone", "rcs": "smartphone", "portal": "layout-grid", "slack": "hash", "discord": "hash", "teams": "users"}

func (f Offer) icon() string {
	if f.Kind != Channel {
		return icons[f.Kind]
	}
	if i := channelIcons[f.Medium]; i != "" {
		return i
	}
	return "message-circle"
}

// Render writes the page. It is complete without a script.
func Render(v View) ([]byte, error) {
	if v.Zone == nil {
		v.Zone = Hours{}.Location()
	}
	if v.Language != "de" {
		v.Language = "en"
	}
	p := pageView{View: v, CSS: template.CSS(pageCSS), T: pageText[v.Language], NoIndex: v.Code != "" || v.Embed} //nolint:gosec // our own file
	now := v.Now.In(v.Zone)
	p.Stamp = fmt.Sprintf(p.T.Stamp, Weekday(now, v.Language), now.Format("15:04"))
	if v.Code != "" {
		p.Pretty = reach.PrettyCode(v.Code)
	}
	query := func(language string) string {
		q := url.Values{}
		if language != "" {
			q.Set("lang", language)
		}
		if v.Code != "" {
			q.Set("code", v.Code)
		}
		if v.Embed {
			q.Set("embed", "1")
		}
		if len(q) == 0 {
			return ""
		}
		return "?" + q.Encode()
	}
	for _, l := range []pageLanguage{{Tag: "de", Name: "Deutsch"}, {Tag: "en", Name: "English"}} {
		l.URL, l.Current = v.Base+query(l.Tag), l.Tag == v.Language
		p.Languages = append(p.Languages, l)
	}
	titles := map[string]string{Talk: p.T.Talk, Write: p.T.Write, Self: p.T.Self}
	for _, section := range Sections() {
		s := pageSection{Title: titles[section]}
		for _, f := range v.Offers {
			if f.Hidden || f.Section != section {
				continue
			}
			w, err := p.way(f, query(v.Language))
			if err != nil {
				return nil, err
			}
			s.Ways = append(s.Ways, w)
		}
		if len(s.Ways) > 0 {
			p.Sections = append(p.Sections, s)
		}
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, &p); err != nil {
		return nil, fmt.Errorf("write the contact page: %w", err)
	}
	return b.Bytes(), nil
}

func (p *pageView) way(f Offer, query string) (pageWay, error) {
	l := p.Language
	w := pageWay{ID: f.ID, Name: f.Name.In(l), Icon: f.icon(), Chat: f.Chat && f.Kind == Channel}
	if f.Link != "" || f.Chat {
		w.Href = p.Base + "/go/" + url.PathEscape(f.ID) + query
		if p.Embed { // a frame is no place for another page
			w.Target = "_top"
			if f.Chat || strings.HasPrefix(f.Link, "http") {
				w.Target = "_blank"
			}
		}
	}
	switch {
	case f.Kind == Dialog || f.Section == Self:
		w.Who = p.T.SelfService
	case len(f.Words) > 0:
		w.Who = fmt.Sprintf(p.T.Assistant, quoted(f.Words[:min(len(f.Words), 2)], l))
	default:
		w.Who = p.T.Person
	}
	if n := f.Note.In(l); n != "" {
		w.Says = append(w.Says, n)
	}
	if f.Kind == Dialog {
		w.Says = append(w.Says, startText(f.Words, l, f.Link != ""))
	}
	if f.Kind == Branch || f.Kind == Letter {
		for line := range strings.Lines(f.Ref) {
			if line = strings.TrimSpace(line); line != "" {
				w.Address = append(w.Address, line)
			}
		}
	}
	if f.Kind == Phone && w.Name != f.Ref {
		w.Says = slices.Insert(w.Says, 0, f.Ref)
	}
	if f.Answer > 0 {
		w.Says = append(w.Says, fmt.Sprintf(p.T.Answer, About(f.Answer, l)))
	}
	switch s := StateAt(f.Effective, p.Now, l); {
	case f.Trouble:
		w.Tag, w.Closed = p.T.Trouble, true
	case s.Known:
		w.Tag, w.Good, w.Closed = s.Text, s.Open, !s.Open
	}
	if f.Link != "" {
		shown := f.Link
		qr, err := QR(f.Link, p.T.QR+": "+w.Name)
		if err == nil { // a link that is too long for one still works
			w.QR, w.Shown = qr, shown
		}
	}
	return w, nil
}

// Policy is the page's Content-Security-Policy. ancestors: who may frame it.
func Policy(widget bool, ancestors string) string {
	sum := sha256.Sum256([]byte(pageCSS))
	style := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if widget { // the chat makes its own styles, speaks to this server and shows pictures that were sent
		return "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors " + ancestors
	}
	return "default-src 'none'; style-src " + style + "; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors " + ancestors
}
