package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/discord/discordsim"
	"github.com/rufweite/rufweite/internal/channel/line/linesim"
	"github.com/rufweite/rufweite/internal/channel/matrix/matrixsim"
	"github.com/rufweite/rufweite/internal/channel/messenger/messengersim"
	"github.com/rufweite/rufweite/internal/channel/rcs/rcssim"
	"github.com/rufweite/rufweite/internal/channel/signal/signalsim"
	"github.com/rufweite/rufweite/internal/channel/slack/slacksim"
	"github.com/rufweite/rufweite/internal/channel/smpp/smppsim"
	"github.com/rufweite/rufweite/internal/channel/teams/teamssim"
	"github.com/rufweite/rufweite/internal/channel/twilio/twiliosim"
	"github.com/rufweite/rufweite/internal/channel/viber/vibersim"
	"github.com/rufweite/rufweite/internal/channel/vonage/vonagesim"
	"github.com/rufweite/rufweite/internal/channel/webhook/webhooksim"
	"github.com/rufweite/rufweite/internal/channel/whatsapp/whatsappsim"
	"github.com/rufweite/rufweite/internal/channel/xmpp/xmppsim"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/sim"
)

// The demo's further media: each has a simulated provider, a channel of the company and an app on every customer's
// phone. In the past they are used by scenes only; otherwise the visitor uses them.

// demoPhones are the media as the company calls them.
var demoPhones = []struct {
	name string
	make func(now func() time.Time) channelsim.Sim
}{
	{"WhatsApp", func(now func() time.Time) channelsim.Sim {
		return whatsappsim.New(whatsappsim.Options{Now: now, Templates: demoTemplates})
	}},
	{"Messenger", func(now func() time.Time) channelsim.Sim { return messengersim.New(messengersim.Options{Now: now}) }},
	{"Instagram", func(now func() time.Time) channelsim.Sim {
		return messengersim.NewInstagram(messengersim.Options{Now: now})
	}},
	{"Viber", func(now func() time.Time) channelsim.Sim { return vibersim.New(vibersim.Options{Now: now}) }},
	{"LINE", func(now func() time.Time) channelsim.Sim { return linesim.New(linesim.Options{Now: now}) }},
	{"Signal", func(now func() time.Time) channelsim.Sim { return signalsim.New(signalsim.Options{Now: now}) }},
	{"SMS", func(now func() time.Time) channelsim.Sim { return twiliosim.New(now) }},
	{"SMS Ausland", func(now func() time.Time) channelsim.Sim { return vonagesim.New(now) }},
	{"SMS Direktleitung", func(now func() time.Time) channelsim.Sim { return smppsim.New(smppsim.Options{Now: now}) }},
	{"RCS", func(now func() time.Time) channelsim.Sim { return rcssim.New(rcssim.Options{Now: now}) }},
	{"Slack", func(now func() time.Time) channelsim.Sim { return slacksim.New(now) }},
	{"Teams", func(now func() time.Time) channelsim.Sim { return teamssim.New(now) }},
	{"Discord", func(now func() time.Time) channelsim.Sim { return discordsim.New(discordsim.Options{Now: now}) }},
	{"Matrix", func(now func() time.Time) channelsim.Sim { return matrixsim.New(matrixsim.Options{Now: now}) }},
	{"XMPP", func(now func() time.Time) channelsim.Sim { return xmppsim.New(xmppsim.Options{Now: now}) }},
	{"Eigener Kanal", func(now func() time.Time) channelsim.Sim { return webhooksim.New(webhooksim.Options{Now: now}) }},
}

// demoTemplates are what the company had approved on WhatsApp.
var demoTemplates = []whatsappsim.Template{
	{Name: "rueckmeldung", Language: "de", Category: "UTILITY", Status: "APPROVED", Body: "Guten Tag {{1}}, zu Ihrem Anliegen {{2}} gibt es eine Antwort. Möchten Sie sie lesen?", Footer: DemoOrg, QuickReplies: []string{"Ja, bitte", "Nein"}},
	{Name: "rueckmeldung", Language: "en_US", Category: "UTILITY", Status: "APPROVED", Body: "Hello {{1}}, there is an answer about {{2}}. Would you like to read it?", Footer: DemoOrg, QuickReplies: []string{"Yes, please", "No"}},
	{Name: "termin", Language: "de", Category: "UTILITY", Status: "PENDING", Body: "Ihr Termin ist am {{1}}."},
}

// makePhones makes the simulators of those media that have a driver, and says how the company calls them.
func makePhones(drivers []channel.Driver, now func() time.Time) (phones []channelsim.Sim, names map[channel.Kind]string) {
	names = map[channel.Kind]string{}
	for _, p := range demoPhones {
		s := p.make(now)
		if !slices.ContainsFunc(drivers, func(d channel.Driver) bool { return d.Kind() == s.Kind() }) {
			s.Close()
			continue
		}
		phones, names[s.Kind()] = append(phones, s), p.name
	}
	return phones, names
}

// openPhones makes a channel of each further medium.
func (d *Demo) openPhones(ctx context.Context) error {
	for _, kind := range d.Providers.PhoneKinds() {
		c, err := d.Accounts.Create(ctx, org.Default, kind, d.names[kind], d.Providers.PhoneSettings(kind), "de", d.clock.Now())
		if err != nil {
			return fmt.Errorf("furnish the demo with %s: %w", kind, err)
		}
		d.Providers.ConnectPhone(kind, d.URL()+"/in/"+string(kind)+"/"+c.ID)
	}
	return nil
}

// longest says what a medium carries in one message of a customer; 0 = nothing is known.
func (d *Demo) longest(kind channel.Kind) (most int, unit channel.Unit) {
	if dr := d.Accounts.Driver(kind); dr != nil {
		c := dr.Capabilities()
		return c.TextMax, c.TextUnit
	}
	return 0, ""
}

// demoRefused says in words why a medium did not do what the visitor wanted; false if it is no such thing.
func demoRefused(w http.ResponseWriter, r *http.Request, err error) bool {
	switch {
	case errors.Is(err, channelsim.ErrCannot):
		demoProblem(w, r, http.StatusUnprocessableEntity, "cannot", "Das gibt es auf diesem Kanal nicht. Schreiben Sie stattdessen eine Nachricht.", "This medium has no such thing. Write a message instead.")
	case errors.Is(err, channelsim.ErrBlocked):
		demoProblem(w, r, http.StatusUnprocessableEntity, "blocked", "Dieser Kunde hat die Firma hier blockiert. Heben Sie die Sperre auf, dann geht es weiter.", "This customer has blocked the company here. Lift the block to go on.")
	default:
		return false
	}
	return true
}

// serveAct does what apps do with a message besides answering it: react, edit. Reading a chat is such an act, too.
func (d *Demo) serveAct(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Customer string `json:"customer"`
		Channel  string `json:"channel"`
		Message  string `json:"message"`
		Act      string `json:"act"` // "read", "react" or "edit"
		Text     string `json:"text"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 256<<10)).Decode(&in); err != nil {
		demoBadJSON(w, r, err)
		return
	}
	if !d.someone(w, r, in.Customer, in.Channel) {
		return
	}
	kind := channel.Kind(in.Channel)
	if in.Act == "read" {
		d.Providers.Read(in.Customer, kind)
		demoJSON(w, http.StatusAccepted, map[string]string{"id": ""})
		return
	}
	what := sim.ActKind(in.Act)
	if what != sim.React && what != sim.Edit || what == sim.Edit && in.Text == "" {
		demoProblem(w, r, http.StatusUnprocessableEntity, "bad_act", "Möglich sind „react“ und, mit einem Text, „edit“.", `There is "react" and, with a text, "edit".`)
		return
	}
	if kind == sim.Email || kind == sim.Web {
		demoRefused(w, r, channelsim.ErrCannot)
		return
	}
	d.Population.Hold(in.Customer, 30*time.Minute)
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	l, err := d.Providers.Do(ctx, sim.Act{Customer: in.Customer, Channel: kind, Kind: what, Target: in.Message, Text: in.Text})
	switch {
	case err == nil:
		demoJSON(w, http.StatusAccepted, map[string]string{"id": l.ID})
	case demoRefused(w, r, err):
	case errors.Is(err, sim.ErrNoLine):
		demoProblem(w, r, http.StatusUnprocessableEntity, "no_such_message", "Diese Nachricht gibt es auf diesem Kanal nicht.", "There is no such message on this channel.")
	default:
		d.Core.Log.Warn("an act of the visitor was not delivered", "error", err)
		demoProblem(w, r, http.StatusBadGateway, "not_delivered", "Das wurde nicht angenommen: "+err.Error(), "This was not accepted: "+err.Error())
	}
}
