package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/telegram"
	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
	"github.com/rufweite/rufweite/internal/channel/twilio"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/live"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/sim"
)

// What everybody who looks at the demo knows.
const (
	DemoOrg      = "Berger & Krause Versicherungsmakler"
	DemoMailbox  = "service@berger-krause.example"
	DemoPassword = "vorfuehrung-2026"
)

// DemoStaff are the members of staff of the demo; the first is the owner.
var DemoStaff = []struct{ Name, Email, Role, Address string }{
	{"Miriam Berger", "miriam@berger-krause.example", auth.Owner, "Frau Berger"},
	{"Jonas Krause", "jonas@berger-krause.example", auth.Advisor, "Herr Krause"},
	{"Leyla Demir", "leyla@berger-krause.example", auth.Advisor, "Frau Demir"},
}

// DemoConfig is what can be set about the demo.
type DemoConfig struct {
	Population sim.PopulationOptions // Clock, Staff and Log are set by StartDemo
	// Conversations are how many the past has (default 44, below 0 none), within Past (default three weeks).
	Conversations int
	Past          time.Duration
	// Postgres is the address of an empty database; "" = SQLite in the directory.
	Postgres string
	// Progress is told how far the past has been played.
	Progress func(done, all int)
}

// Demo is an installation with a simulated world around it.
type Demo struct {
	*App
	Providers  *sim.Providers
	Population *sim.Population

	clock  *sim.Clock
	tokens []string                // of DemoStaff
	names  map[channel.Kind]string // of the channels of further media
	cancel context.CancelFunc
	run    sync.WaitGroup

	showing sync.Mutex // one story of the pick-up at a time
	mu      sync.Mutex
	changed map[chan demoChange]struct{} // who plays a customer right now
}

type demoChange struct {
	Customer string `json:"customer"`
	Channel  string `json:"channel"`
}

// StartDemo opens an installation in c.Dir, which must be new, fills it with a past that went through the simulated
// providers, and lets the customers live. c's clock, FrameAncestors, Extra and AllowPrivate are the demo's own.
func StartDemo(ctx context.Context, c Config, dc DemoConfig) (d *Demo, err error) {
	if dc.Conversations == 0 {
		dc.Conversations = 44
	}
	if dc.Past <= 0 {
		dc.Past = 21 * 24 * time.Hour
	}
	if c.SMTPListen == "" {
		c.SMTPListen = "127.0.0.1:0" // customers write mails
	}
	d = &Demo{clock: &sim.Clock{}, changed: map[chan demoChange]struct{}{}}
	until := time.Now()
	from := until.Add(-dc.Past)
	if dc.Conversations > 0 {
		d.clock.Set(from.Add(-time.Hour))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
			d = nil
		}
	}()
	c.Drivers = Drivers()
	var phones []channelsim.Sim
	phones, d.names = makePhones(c.Drivers, d.clock.Now)
	d.Providers, err = sim.StartProviders(sim.ProvidersOptions{Clock: d.clock, Service: DemoMailbox, Seed: dc.Population.Seed, Telegram: telegramsim.Options{Username: "berger_krause_bot"}, Phones: phones})
	if err != nil {
		return d, err
	}
	p := dc.Population
	p.Clock, p.Log, p.Staff = d.clock, c.Log, map[string]string{}
	names := make([]string, len(DemoStaff))
	for i, s := range DemoStaff {
		names[i], p.Staff[s.Name] = s.Name, s.Address
	}
	d.Population = sim.NewPopulation(p)
	c.Now, c.AllowPrivate, c.LocalHooks, c.FrameAncestors, c.Postgres = d.clock.Now, true, true, "'self'", dc.Postgres
	var past atomic.Bool
	past.Store(true)
	for i, dr := range c.Drivers {
		if t, ok := dr.(telegram.Driver); ok {
			c.Drivers[i] = demoTelegram{t, &past}
		}
		if t, ok := dr.(twilio.Driver); ok {
			c.Drivers[i] = demoSMS{t, &past}
		}
	}
	c.Extra = func(*App) map[string]http.Handler { return d.handlers() }
	if d.App, err = Start(ctx, c); err != nil {
		return d, err
	}
	d.Providers.Connect(d.SMTPAddr())
	for _, k := range d.Population.Customers() {
		k.Phones = d.Providers.PhoneKinds()
		d.Providers.Join(k)
	}
	d.Providers.OnLine(d.Population.Tell)
	d.Providers.OnLine(d.tell)
	if err := d.furnish(ctx); err != nil {
		return d, err
	}
	if err := d.openQuestions(ctx, from, until); err != nil {
		return d, fmt.Errorf("furnish the demo: %w", err)
	}
	if err := d.openWebsite(ctx); err != nil {
		return d, err
	}
	if dc.Conversations > 0 {
		o := &demoOffice{Demo: d}
		if o.sub, err = d.Hub.Subscribe(ctx, org.Default, -1); err != nil {
			return d, err
		}
		defer o.sub.Close()
		h := sim.HistoryOptions{From: from, Until: until, Conversations: dc.Conversations, Staff: names, Progress: dc.Progress}
		scenes := o.scenes(until)
		scenes = append(scenes, o.phoneScenes(until, scenes)...)
		for _, s := range scenes {
			d.Population.Hold(s.who.ID, until.Sub(d.clock.Now()))
			h.Scenes = append(h.Scenes, s.steps...)
		}
		if err = d.Population.History(ctx, h, d.Providers.Do, o); err != nil {
			return d, fmt.Errorf("play the past: %w", err)
		}
		for _, s := range scenes {
			d.Population.Release(s.who.ID)
			if s.open { // until the visitor has seen it
				d.Population.Hold(s.who.ID, 12*time.Hour)
			}
		}
	}
	past.Store(false)
	if err := d.Contact.Measure(ctx); err != nil { // the past is what its contact page tells times by
		return d, err
	}
	var run context.Context
	run, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d.run.Go(func() { d.Population.Run(run, d.Providers.Do) })
	d.run.Go(func() { d.forget(run) })
	lo, hi := dc.Population.ReactMin, dc.Population.ReactMax
	if lo <= 0 || hi <= 0 {
		lo, hi = 20*time.Second, 90*time.Second
	}
	d.Providers.LiveParties(run, dc.Population.Seed, lo, hi, c.Log)
	if dc.Conversations > 0 {
		if err := d.bringIn(ctx); err != nil {
			return d, fmt.Errorf("bring in third parties: %w", err)
		}
	}
	return d, nil
}

// demoTelegram keeps no pace in the past, where hours lie between two messages of a chat though they are sent within
// one second. The simulator still refuses what is too fast by its own clock.
type demoTelegram struct {
	telegram.Driver
	past *atomic.Bool
}

// Pace implements channel.Paced.
func (t demoTelegram) Pace() (perAccount, perAddress time.Duration) {
	if t.past.Load() {
		return 0, 0
	}
	return t.Driver.Pace()
}

// demoSMS is the same for SMS.
type demoSMS struct {
	twilio.Driver
	past *atomic.Bool
}

// Pace implements channel.Paced.
func (t demoSMS) Pace() (perAccount, perAddress time.Duration) {
	if t.past.Load() {
		return 0, 0
	}
	return t.Driver.Pace()
}

var _, _ channel.Paced = demoTelegram{}, demoSMS{}

// Close ends the customers, the house and the providers, in this order.
func (d *Demo) Close() error {
	if d.cancel != nil {
		d.cancel()
	}
	d.run.Wait()
	var err error
	if d.App != nil {
		err = d.App.Close()
	}
	if d.Providers != nil {
		d.Providers.Close()
	}
	return err
}

// forget keeps the simulated devices from filling the memory.
func (d *Demo) forget(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, 10*time.Minute)
		d.Providers.Forget(200)
	}
}

// furnish makes the organisation, its staff and its channels.
func (d *Demo) furnish(ctx context.Context) error {
	o := d.DB.Org(org.Default)
	var staff []auth.User
	err := o.Write(ctx, func(tx *db.Tx) error {
		staff = nil
		if err := org.Rename(ctx, tx, DemoOrg); err != nil {
			return err
		}
		for _, s := range DemoStaff {
			u, err := d.Auth.Create(ctx, tx, auth.NewUser{Email: s.Email, Name: s.Name, Role: s.Role, Language: "de", Password: DemoPassword})
			if err != nil {
				return err
			}
			sign := s.Name + "\n" + DemoOrg
			if u, err = d.Auth.Update(ctx, tx, u.ID, auth.Change{Signature: &sign}); err != nil {
				return err
			}
			staff = append(staff, u)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("furnish the demo: %w", err)
	}
	for _, u := range staff {
		t, err := d.Auth.NewToken(ctx, u, "Vorführung")
		if err != nil {
			return fmt.Errorf("furnish the demo: %w", err)
		}
		d.tokens = append(d.tokens, t)
	}
	for _, c := range []struct {
		kind     channel.Kind
		name     string
		settings channel.Settings
	}{{sim.Email, "Service", d.Providers.EmailSettings()}, {sim.Telegram, "Telegram", d.Providers.TelegramSettings("poll")}} {
		if _, err := d.Accounts.Create(ctx, org.Default, c.kind, c.name, c.settings, "de", d.clock.Now()); err != nil {
			return fmt.Errorf("furnish the demo: %w", err)
		}
	}
	if err := d.openPhones(ctx); err != nil {
		return err
	}
	return d.openSample(ctx)
}

// bringIn gives the desk what an office has collected: text blocks, departments, views, and two concerns in which
// insurers take part, who answer within a minute or two.
func (d *Demo) bringIn(ctx context.Context) error {
	for _, b := range []map[string]any{
		{"name": "Wir kümmern uns", "shortcut": "kümmern", "text": "{{customer.salutation}},\n\ndanke für Ihre Nachricht. Ich kümmere mich darum und melde mich bis morgen Mittag."},
		{"name": "Unterlagen fehlen", "shortcut": "fehlt", "text": "{{customer.salutation}},\n\nfür {{number}} brauchen wir noch zwei Fotos und den Kostenvoranschlag. Sie können einfach hier antworten."},
		{"name": "An den Versicherer", "shortcut": "vn", "text": "Sehr geehrte Damen und Herren,\n\nunser Kunde {{customer.name}} meldet den unten stehenden Schaden. Bitte legen Sie ihn an und nennen Sie uns die Schadennummer."},
	} {
		if err := d.ask(ctx, 0, "POST", "/text-blocks", b, nil); err != nil {
			return err
		}
	}
	for _, name := range []string{"Schaden", "Vertrag"} {
		if err := d.ask(ctx, 0, "POST", "/units", map[string]any{"name": name}, nil); err != nil {
			return err
		}
	}
	if err := d.ask(ctx, 0, "POST", "/views", map[string]any{"name": "Wartet auf uns, E-Mail", "shared": true, "query": map[string]any{"waiting": "true", "channel_kind": "email"}}, nil); err != nil {
		return err
	}
	var open struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if err := d.ask(ctx, 0, "GET", "/conversations?status=open&channel_kind=email&limit=2", nil, &open); err != nil {
		return err
	}
	for i, c := range open.Items {
		var messages struct {
			Items []struct {
				ID, Kind, Direction string
			} `json:"items"`
		}
		if err := d.ask(ctx, 0, "GET", "/conversations/"+c.ID+"/messages", nil, &messages); err != nil {
			return err
		}
		party := sim.Parties[i%len(sim.Parties)]
		for _, m := range messages.Items {
			if m.Kind != conversation.KindMessage || m.Direction != "in" {
				continue
			}
			if err := d.ask(ctx, 0, "POST", "/conversations/"+c.ID+"/forward", map[string]any{"message_ids": []string{m.ID}, "to": []any{map[string]any{"name": party.Name, "address": party.Email}}, "role": party.Role, "name": party.Name,
				"text": "Sehr geehrte Damen und Herren,\n\nunser Kunde schreibt uns wie unten. Bitte teilen Sie uns mit, wie es weitergeht."}, nil); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// demoOffice is what the staff did in the past: through the same API as the desk.
type demoOffice struct {
	*Demo
	sub *live.Sub
}

// until waits for a condition, which is looked at whenever the feed moves on.
func (o *demoOffice) until(ctx context.Context, what string, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		ok, err := condition()
		if ok || err != nil {
			return err
		}
		if _, err := o.sub.Next(ctx); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
}

// find gives a customer's message as it lies in its conversation, once it does.
func (o *demoOffice) find(ctx context.Context, l sim.Line) (m conversation.Message, err error) {
	ref := l.Ref
	if l.Channel == sim.Telegram {
		ref = l.Address + ":" + l.Ref
	}
	q := o.DB.Org(org.Default)
	by := o.Accounts.ByKind(org.Default, l.Channel)
	if len(by) == 0 {
		return m, fmt.Errorf("the demo has no %s channel", l.Channel)
	}
	if l.Channel == sim.Web { // known by its id, once the widget was told that it is taken in
		wait, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if !o.Providers.Wait(wait, func() bool {
			now, _ := o.Providers.Line(l.Customer, l.ID)
			var found map[string]conversation.Message
			found, err = conversation.MessagesByID(ctx, q, []string{now.Ref})
			m = found[now.Ref]
			return m.ID != "" || err != nil
		}) {
			err = fmt.Errorf("wait until a message of the web chat is in its conversation: %w", wait.Err())
		}
		return m, err
	}
	err = o.until(ctx, "a message is in its conversation", func() (bool, error) {
		m, err = conversation.Find(ctx, q, by[0].Account, l.Channel == sim.Email, ref, "")
		if errors.Is(err, conversation.ErrNoSuch) {
			return false, nil
		}
		return err == nil, err
	})
	return m, err
}

// Received implements sim.Office. A chat's update that is not fetched by the bot would be too old when the clock jumps.
func (o *demoOffice) Received(ctx context.Context, kind sim.ActKind, l sim.Line) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if l.Channel == sim.Telegram && !o.Providers.Telegram.Wait(ctx, func() bool { return o.Providers.Telegram.Pending() == 0 }) {
		return fmt.Errorf("wait until the bot fetches what %s did: %w", l.Customer, ctx.Err())
	}
	if kind != sim.Write {
		return nil
	}
	_, err := o.find(ctx, l)
	return err
}

// Answer implements sim.Office.
func (o *demoOffice) Answer(ctx context.Context, staff int, to sim.Line, text string) error {
	m, err := o.find(ctx, to)
	if err != nil {
		return err
	}
	var sent api.MessageJSON
	if err := o.ask(ctx, staff, "POST", "/conversations/"+m.Conversation+"/messages", map[string]any{"text": text, "client_id": db.NewID()}, &sent); err != nil {
		return err
	}
	q := o.DB.Org(org.Default)
	return o.until(ctx, "an answer has gone out", func() (bool, error) {
		d, err := outbox.Get(ctx, q, sent.Delivery.ID)
		if err == nil && (d.State == channel.Failed || d.State == channel.Uncertain) {
			err = fmt.Errorf("an answer did not go out: %s", d.Error)
		}
		return d.State == channel.Sent, err
	})
}

// Note implements sim.Office.
func (o *demoOffice) Note(ctx context.Context, staff int, to sim.Line, text string) error {
	m, err := o.find(ctx, to)
	if err != nil {
		return err
	}
	return o.ask(ctx, staff, "POST", "/conversations/"+m.Conversation+"/notes", map[string]any{"text": text, "client_id": db.NewID()}, nil)
}

// Close implements sim.Office.
func (o *demoOffice) Close(ctx context.Context, staff int, to sim.Line, tag string) error {
	m, err := o.find(ctx, to)
	if err != nil {
		return err
	}
	for i := range DemoStaff { // what is closed is new to nobody
		if err := o.ask(ctx, i, "POST", "/conversations/"+m.Conversation+"/read", map[string]any{"message_id": m.ID}, nil); err != nil {
			return err
		}
	}
	return o.ask(ctx, staff, "PATCH", "/conversations/"+m.Conversation, map[string]any{"status": conversation.Closed, "tags": []string{tag}}, nil)
}

// Unite implements sim.Office: the advisor saw that mail and chat are one person's.
func (o *demoOffice) Unite(ctx context.Context, staff int, c *sim.Customer, mail sim.Line) error {
	m, err := o.find(ctx, mail)
	if err != nil {
		return err
	}
	q := o.DB.Org(org.Default)
	row, err := conversation.Get(ctx, q, m.Conversation, "")
	if err != nil {
		return err
	}
	var other string
	err = o.until(ctx, "a chat is open", func() (bool, error) {
		list, _, err := customer.List(ctx, q, c.Telegram, "", 10)
		for _, k := range list {
			if k.ID != row.Customer && k.Name == c.Telegram {
				other = k.ID
			}
		}
		return other != "", err
	})
	if err != nil {
		return err
	}
	return o.ask(ctx, staff, "POST", "/customers/"+row.Customer+"/merge", map[string]any{"with": other}, nil)
}

// ask calls the API in the name of a member of staff, without a network.
func (d *Demo) ask(ctx context.Context, staff int, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+d.tokens[staff])
	w := d.inside(r)
	if w.status >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, w.status, w.body.String())
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(w.body.Bytes(), out)
}

// inside serves a request in this process.
func (d *Demo) inside(r *http.Request) *demoAnswer {
	r.RemoteAddr, r.Host, r.RequestURI = "127.0.0.1:0", "localhost", r.URL.RequestURI()
	w := &demoAnswer{header: http.Header{}, status: http.StatusOK}
	d.API.Handler().ServeHTTP(w, r)
	return w
}

type demoAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *demoAnswer) Header() http.Header         { return a.header }
func (a *demoAnswer) WriteHeader(status int)      { a.status = status }
func (a *demoAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }

// handlers are the demo's own pages: signing in by a link, and what the page needs on which the visitor plays a
// customer.
func (d *Demo) handlers() map[string]http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		demoProblem(w, r, http.StatusForbidden, "cross_origin", "Diese Anfrage kam von einer fremden Seite.", "This request came from another site.")
	}))
	return map[string]http.Handler{
		"GET /demo/desk":                            http.HandlerFunc(d.serveSignIn),
		"GET /demo/play":                            http.HandlerFunc(d.serveSignIn),
		"GET /demo/api/customers":                   http.HandlerFunc(d.serveCustomers),
		"GET /demo/api/threads":                     http.HandlerFunc(d.serveThread),
		"GET /demo/api/files/{customer}/{line}/{n}": http.HandlerFunc(d.serveFile),
		"GET /demo/api/mails/{customer}/{line}":     http.HandlerFunc(d.serveMail),
		"POST /demo/api/write":                      cross.Handler(http.HandlerFunc(d.serveWrite)),
		"POST /demo/api/press":                      cross.Handler(http.HandlerFunc(d.servePress)),
		"POST /demo/api/act":                        cross.Handler(http.HandlerFunc(d.serveAct)),
		"POST /demo/api/show":                       cross.Handler(http.HandlerFunc(d.serveShow)),
		"GET /demo/api/live":                        http.HandlerFunc(d.serveLive),
		"GET /sample":                               http.HandlerFunc(d.serveSample),
		"GET /sample/page.js":                       http.HandlerFunc(d.serveSampleScript),
		"/demo/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			demoProblem(w, r, http.StatusNotFound, "no_such_route", "Diesen Weg gibt es nicht.", "There is no such path.")
		}),
	}
}

func demoProblem(w http.ResponseWriter, r *http.Request, status int, code, de, en string) {
	p := api.Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: de}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Accept-Language")), "en") {
		p.Detail = en
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

func demoBadJSON(w http.ResponseWriter, r *http.Request, err error) {
	demoProblem(w, r, http.StatusBadRequest, "bad_json", "Das ist kein JSON, wie es hier erwartet wird: "+err.Error(), "This is not the JSON that is expected here: "+err.Error())
}

func demoJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// serveSignIn opens a session for the owner, or for whoever ?as= names, with the known password. Where that no longer
// fits, the desk asks.
func (d *Demo) serveSignIn(w http.ResponseWriter, r *http.Request) {
	who := DemoStaff[0].Email
	for _, s := range DemoStaff {
		if name, _, _ := strings.Cut(s.Email, "@"); name == r.URL.Query().Get("as") {
			who = s.Email
		}
	}
	body, err := json.Marshal(map[string]string{"email": who, "password": DemoPassword})
	if err == nil {
		var in *http.Request
		if in, err = http.NewRequestWithContext(r.Context(), http.MethodPost, "/api/v1/session", bytes.NewReader(body)); err == nil {
			in.Header.Set("Content-Type", "application/json")
			in.TLS = r.TLS
			for _, c := range d.inside(in).header.Values("Set-Cookie") {
				w.Header().Add("Set-Cookie", c)
			}
		}
	}
	to := "/"
	if r.URL.Path == "/demo/play" {
		if to = "/play"; r.URL.Query().Get("show") == "pickup" {
			to += "?show=pickup"
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (d *Demo) serveCustomers(w http.ResponseWriter, _ *http.Request) {
	type item struct {
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		Channels []string `json:"channels"`
		Hue      int      `json:"avatar_hue"`
	}
	items := []item{}
	for _, c := range d.Population.Customers() {
		k := item{ID: c.ID, Name: c.Name, Hue: c.Hue}
		for _, kind := range slices.Concat(c.Channels, c.Phones) {
			k.Channels = append(k.Channels, string(kind))
		}
		items = append(items, k)
	}
	demoJSON(w, http.StatusOK, map[string]any{"items": items})
}

// someone finds a customer who uses the channel, or says what is wrong.
func (d *Demo) someone(w http.ResponseWriter, r *http.Request, id, kind string) bool {
	for _, c := range d.Population.Customers() {
		if c.ID != id {
			continue
		}
		if !c.Uses(channel.Kind(kind)) {
			demoProblem(w, r, http.StatusUnprocessableEntity, "no_channel", fmt.Sprintf("%s nutzt den Kanal „%s“ nicht.", c.Name, kind), fmt.Sprintf("%s does not use the channel %q.", c.Name, kind))
			return false
		}
		return true
	}
	demoProblem(w, r, http.StatusNotFound, "not_found", "Diesen Kunden gibt es in der Vorführung nicht.", "There is no such customer in the demo.")
	return false
}

func (d *Demo) serveThread(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !d.someone(w, r, q.Get("customer"), q.Get("channel")) {
		return
	}
	type file struct {
		Name      string `json:"name"`
		URL       string `json:"url"`
		MediaType string `json:"media_type"`
	}
	type choice struct {
		Label       string `json:"label"`
		Description string `json:"description,omitempty"`
		URL         string `json:"url,omitempty"` // mail: where the link leads
		Person      bool   `json:"person,omitempty"`
	}
	type item struct {
		Choices   []choice  `json:"choices"`
		Menu      string    `json:"menu,omitempty"` // the button that opens the choices; empty: they lie open
		Pressed   string    `json:"pressed,omitempty"`
		HTML      string    `json:"html_url,omitempty"` // mail
		ID        string    `json:"id"`
		Direction string    `json:"direction"` // seen from the customer: in = from the company
		Text      string    `json:"text"`
		Subject   string    `json:"subject"`
		At        time.Time `json:"at"`
		Files     []file    `json:"attachments"`
		ReplyTo   string    `json:"reply_to"`
		Edited    bool      `json:"edited"`
		Emoji     string    `json:"reaction"`
	}
	items := []item{}
	for _, l := range d.Providers.Thread(q.Get("customer"), channel.Kind(q.Get("channel"))) {
		m := item{ID: l.ID, Direction: "out", Text: l.Text, Subject: l.Subject, At: l.At.UTC(), Files: []file{}, ReplyTo: l.ReplyTo, Edited: l.Edited, Emoji: l.Emoji, Choices: []choice{}, Menu: l.Menu, Pressed: l.Pressed}
		if l.HTML != "" {
			m.HTML = "/demo/api/mails/" + l.Customer + "/" + l.ID
		}
		for _, c := range l.Choices {
			m.Choices = append(m.Choices, choice{c.Label, c.Description, c.URL, c.Person()})
		}
		if l.In {
			m.Direction = "in"
		}
		for i, f := range l.Files {
			u := ""
			if f.Content != nil {
				u = fmt.Sprintf("/demo/api/files/%s/%s/%d", l.Customer, l.ID, i)
			}
			m.Files = append(m.Files, file{f.Name, u, f.MediaType})
		}
		items = append(items, m)
	}
	demoJSON(w, http.StatusOK, map[string]any{"items": items})
}

func (d *Demo) serveFile(w http.ResponseWriter, r *http.Request) {
	l, ok := d.Providers.Line(r.PathValue("customer"), r.PathValue("line"))
	n, err := strconv.Atoi(r.PathValue("n"))
	if !ok || err != nil || n < 0 || n >= len(l.Files) || l.Files[n].Content == nil {
		demoProblem(w, r, http.StatusNotFound, "not_found", "Diese Datei gibt es nicht (mehr).", "There is no such file (any more).")
		return
	}
	f := l.Files[n]
	kind, how := "application/octet-stream", "attachment"
	switch f.MediaType { // nothing that a browser would run
	case "image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf":
		kind, how = f.MediaType, "inline"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("Content-Disposition", mime.FormatMediaType(how, map[string]string{"filename": conversation.CleanFileName(f.Name)}))
	_, _ = w.Write(f.Content) // the client may be gone
}

const demoFileMax = 10 << 20

func (d *Demo) serveWrite(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Customer string `json:"customer"`
		Channel  string `json:"channel"`
		Text     string `json:"text"`
		Subject  string `json:"subject"`
		ReplyTo  string `json:"reply_to"`
		File     *struct {
			Name      string `json:"name"`
			MediaType string `json:"media_type"`
			Base64    string `json:"base64"`
		} `json:"file"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, demoFileMax*4/3+256<<10))
	if err := dec.Decode(&in); err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			demoProblem(w, r, http.StatusRequestEntityTooLarge, "too_large", "Die Datei ist größer als 10 MB.", "The file is larger than 10 MB.")
			return
		}
		demoBadJSON(w, r, err)
		return
	}
	if !d.someone(w, r, in.Customer, in.Channel) {
		return
	}
	a := sim.Act{Customer: in.Customer, Channel: channel.Kind(in.Channel), Kind: sim.Write, Text: strings.TrimSpace(in.Text), Target: in.ReplyTo,
		Subject: strings.Join(strings.FieldsFunc(in.Subject, func(c rune) bool { return c < ' ' || c == 0x7f }), " ")}
	if len(a.Subject) > 900 {
		a.Subject = strings.ToValidUTF8(a.Subject[:900], "")
	}
	if most, unit := d.longest(a.Channel); most > 0 && a.Channel != sim.Email && channel.Length(a.Text, unit) > most {
		title := d.Accounts.Driver(a.Channel).Title()
		demoProblem(w, r, http.StatusUnprocessableEntity, "too_long", fmt.Sprintf("%s befördert höchstens %d Zeichen in einer Nachricht. Kürzen oder teilen Sie den Text.", title.DE, most), fmt.Sprintf("%s carries at most %d characters in one message. Shorten or split the text.", title.EN, most))
		return
	}
	if in.File != nil {
		content, err := base64.StdEncoding.DecodeString(in.File.Base64)
		if err != nil || len(content) == 0 || len(content) > demoFileMax {
			demoProblem(w, r, http.StatusUnprocessableEntity, "bad_file", "Die Datei ist leer, größer als 10 MB oder nicht in Base64.", "The file is empty, larger than 10 MB or not in base64.")
			return
		}
		kind, _, err := mime.ParseMediaType(in.File.MediaType)
		if err != nil {
			kind = "application/octet-stream"
		}
		if sniffed := http.DetectContentType(content); strings.HasPrefix(kind, "image/") && sniffed != kind {
			kind = "application/octet-stream"
		}
		a.Files = []sim.File{{Name: conversation.CleanFileName(in.File.Name), MediaType: kind, Content: content}}
	}
	d.Population.Hold(in.Customer, 30*time.Minute) // two people in one head would be confusing
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	l, err := d.Providers.Do(ctx, a)
	switch {
	case err == nil:
		demoJSON(w, http.StatusAccepted, map[string]string{"id": l.ID})
	case demoRefused(w, r, err):
	case errors.Is(err, sim.ErrEmpty):
		demoProblem(w, r, http.StatusUnprocessableEntity, "empty", "Die Nachricht ist leer.", "The message is empty.")
	case errors.Is(err, sim.ErrNoLine):
		demoProblem(w, r, http.StatusUnprocessableEntity, "no_such_message", "Die Nachricht, auf die geantwortet wird, gibt es auf diesem Kanal nicht.", "The message to answer does not exist on this channel.")
	default:
		d.Core.Log.Warn("a message of the visitor was not delivered", "error", err)
		demoProblem(w, r, http.StatusBadGateway, "not_delivered", "Die Nachricht wurde nicht angenommen: "+err.Error(), "The message was not accepted: "+err.Error())
	}
}

// tell hands news to those who play a customer. It does not block: who is slow loads the whole thread next time.
func (d *Demo) tell(l sim.Line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ch := range d.changed {
		select {
		case ch <- demoChange{l.Customer, string(l.Channel)}:
		default:
		}
	}
}

func (d *Demo) serveLive(w http.ResponseWriter, r *http.Request) {
	news := make(chan demoChange, 64)
	d.mu.Lock()
	d.changed[news] = struct{}{}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.changed, news)
		d.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	beat := time.NewTicker(20 * time.Second)
	defer beat.Stop()
	line := ": hello\n\n"
	for {
		_ = rc.SetWriteDeadline(time.Now().Add(15 * time.Second)) // not every writer has one
		if _, err := io.WriteString(w, line); err != nil {
			return
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			line = ": still here\n\n"
		case c := <-news:
			b, err := json.Marshal(c)
			if err != nil {
				return
			}
			line = "data: " + string(b) + "\n\n"
		}
	}
}
