package app

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/webchat"
	"github.com/rufweite/rufweite/internal/org"
)

// The demo's company has a website with the chat on it, under /sample. It shows both kinds of visitors: whoever passes
// by, and a customer who is signed in there and for whom the site vouches.

//go:embed sample.html
var sampleHTML string

var samplePage = sync.OnceValue(func() *template.Template { return template.Must(template.New("sample").Parse(sampleHTML)) })

// openSample makes the website's chat. Pages of the demo's own server may use it, and no others.
func (d *Demo) openSample(ctx context.Context) error {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // crypto/rand does not fail
	_, err := d.Accounts.Create(ctx, org.Default, webchat.Kind, "Website", channel.Settings{"identity_secret": hex.EncodeToString(secret[:])}, "de", d.clock.Now())
	if err != nil {
		return fmt.Errorf("furnish the demo: %w", err)
	}
	return d.openContact(ctx)
}

// sampleChat is the website's chat; ok is false if somebody removed it.
func (d *Demo) sampleChat() (c account.Channel, ok bool) {
	list := d.Accounts.ByKind(org.Default, webchat.Kind)
	if len(list) == 0 {
		return c, false
	}
	return list[0], true
}

type sampleWords struct {
	Menu, Services, Team, Contact, Title, Lead, Ask, OtherWays, SignedIn, SignedInWhy, SignOut, NotSignedIn, SignIn, TeamText, Advisor, Mail, Chat, Invented, Desk, Other, OtherCode string
	List                                                                                                                                                                             [][2]string
}

var sampleText = map[string]sampleWords{
	"de": {
		Menu: "Seiten", Services: "Leistungen", Team: "Wer wir sind", Contact: "Kontakt",
		Title: "Versicherungen, die im Schadenfall noch da sind.", Lead: "Wir beraten Familien und kleine Betriebe, vergleichen über 80 Versicherer und bleiben ansprechbar, wenn etwas passiert.",
		Ask: "Jetzt fragen", OtherWays: "Andere Wege", SignedIn: "Angemeldet als", SignedInWhy: "Die Website bürgt dafür mit einer Unterschrift; im Chat sind Sie deshalb sofort bekannt, auf jedem Gerät.",
		SignOut: "Abmelden", NotSignedIn: "Der Chat fragt nicht, wer Sie sind. Wie es für angemeldete Kunden aussieht, zeigt die Vorführung:", SignIn: "anmelden als",
		TeamText: "Drei Menschen, ein Büro, kein Callcenter. Wer Sie berät, antwortet Ihnen auch.", Advisor: "Beratung und Schaden", Mail: "E-Mail:", Chat: "Chat: unten rechts auf jeder Seite, ohne Anmeldung.",
		Invented: "Diese Firma ist erfunden; sie gehört zur Vorführung von Rufweite.", Desk: "Zum Schreibtisch der Berater", Other: "English", OtherCode: "en",
		List: [][2]string{{"Wohnen", "Hausrat, Wohngebäude, Elementarschäden: damit Hagel und Hochwasser nur ärgerlich sind."}, {"Auto", "Haftpflicht, Teilkasko, Vollkasko, und ein Mensch, der nach dem Unfall mit der Werkstatt spricht."}, {"Betrieb", "Haftpflicht, Inhalt, Ausfall: ein Vertrag, den Sie verstehen."}, {"Vorsorge", "Berufsunfähigkeit, Alter, Pflege: einmal im Jahr durchgerechnet."}},
	},
	"en": {
		Menu: "Pages", Services: "What we do", Team: "Who we are", Contact: "Contact",
		Title: "Insurance that is still there when it matters.", Lead: "We advise families and small businesses, compare more than 80 insurers, and can be reached when something happens.",
		Ask: "Ask now", OtherWays: "Other ways", SignedIn: "Signed in as", SignedInWhy: "The website vouches for it with a signature, so the chat knows you at once, on every device.",
		SignOut: "Sign out", NotSignedIn: "The chat does not ask who you are. The demo shows what it is like for customers who are signed in:", SignIn: "sign in as",
		TeamText: "Three people, one office, no call centre. Whoever advises you also answers you.", Advisor: "Advice and claims", Mail: "E-mail:", Chat: "Chat: at the bottom right of every page, without signing in.",
		Invented: "This company is invented; it belongs to the demo of Rufweite.", Desk: "To the advisors' desk", Other: "Deutsch", OtherCode: "de",
		List: [][2]string{{"Home", "Contents, buildings, natural hazards: so that hail and floods are merely annoying."}, {"Car", "Liability, partial and full cover, and a person who talks to the workshop after the accident."}, {"Business", "Liability, contents, interruption: one contract that you understand."}, {"Provision", "Disability, old age, care: calculated once a year."}},
	},
}

type sampleCustomer struct{ ID, Name, Email string }

// serveSample gives the website's page; ?as= is the demo's stand-in for signing in there.
func (d *Demo) serveSample(w http.ResponseWriter, r *http.Request) {
	c, ok := d.sampleChat()
	if !ok {
		demoProblem(w, r, http.StatusNotFound, "no_such_chat", "Der Chat der Website wurde gelöscht.", "The website's chat was deleted.")
		return
	}
	language := r.URL.Query().Get("language")
	if _, ok := sampleText[language]; !ok {
		language = "de"
		if strings.HasPrefix(strings.ToLower(r.Header.Get("Accept-Language")), "en") {
			language = "en"
		}
	}
	v := struct {
		Language, Org, Mailbox, Channel, Signature string
		T                                          sampleWords
		Staff                                      []string
		Customers                                  []sampleCustomer
		Customer                                   *sampleCustomer
	}{Language: language, Org: DemoOrg, Mailbox: DemoMailbox, Channel: c.ID, T: sampleText[language]}
	for _, s := range DemoStaff {
		v.Staff = append(v.Staff, s.Name)
	}
	for _, k := range d.Population.Customers() {
		one := sampleCustomer{"kunde-" + k.ID, k.Name, k.Email}
		if one.ID == r.URL.Query().Get("as") {
			v.Customer = &one
			v.Signature = webchat.Signature(c.Settings["identity_secret"], one.ID)
		}
		if len(v.Customers) < 3 {
			v.Customers = append(v.Customers, one)
		}
	}
	var b bytes.Buffer
	if err := samplePage().Execute(&b, v); err != nil {
		d.Core.Log.Error("the sample page could not be written", "error", err)
		demoProblem(w, r, http.StatusInternalServerError, "internal", "Die Seite ließ sich nicht schreiben.", "The page could not be written.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	_, _ = w.Write(b.Bytes()) // the client may be gone
}

// serveSampleScript gives the page's own few lines: its big button opens the chat.
func (d *Demo) serveSampleScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write([]byte("document.getElementById('ask').addEventListener('click', () => window.Rufweite?.open())\n"))
}
