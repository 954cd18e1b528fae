// Package contact is in charge of the ways by which a company can be reached, as its contact page lists them: which
// there are, whether they are open, how long an answer takes as measured, and how often each is offered and used. It
// serves no HTTP (package api does) and sends nothing.
package contact

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/reach"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such way")
	ErrTooMany  = errors.New("these are more ways than anybody reads")
)

// FieldError is a detail of a way or of hours that cannot be right, with what to do.
type FieldError struct {
	Field string
	Text  channel.Text
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Text.EN }

// Kinds of ways. The first two are there by themselves: Ref is the channel's id or the dialog's key. The others are
// entered by hand: Ref is the number or the address.
const (
	Channel  = "channel"
	Dialog   = "dialog"
	Phone    = "phone"
	Callback = "callback" // a page on which one asks for a call
	Branch   = "branch"
	Letter   = "letter"
	Web      = "web"
)

// Sections of the page.
const (
	Talk  = "talk"  // a person, at once
	Write = "write" // an answer later
	Self  = "self"  // without waiting for anybody
)

// Sections lists them in the order of the page.
func Sections() []string { return []string{Talk, Write, Self} }

var usualSection = map[string]string{Channel: Write, Dialog: Self, Phone: Talk, Callback: Talk, Branch: Talk, Letter: Write, Web: Self}

// Way is one way as it is kept. What is empty of one that is there by itself is as it comes.
type Way struct {
	ID      string
	Kind    string
	Ref     string
	URL     string // of ways by hand: a page, where there is one
	Label   channel.Text
	Note    channel.Text
	Section string
	Hours   *Hours // nil = the company's (ways that need nobody: always)
	Pos     int64  // within the section, from 1 on; 0 = where it comes by itself
	Hidden  bool
}

// Service is a dialog that customers may start.
type Service struct {
	Key      string
	Title    channel.Text
	Start    []string // words that start it
	Channels []string // kinds on which it runs; none = all
}

// Options are what a Store needs of the house.
type Options struct {
	DB       *db.DB
	Accounts *account.Accounts
	// Services lists the dialogs that customers may start.
	Services func(ctx context.Context, q db.Querier) ([]Service, error)
	// Orgs lists the organisations whose answers are measured.
	Orgs func(ctx context.Context) ([]string, error)
	Now  func() time.Time
	Log  *slog.Logger
}

// Store keeps the ways, measures and counts.
type Store struct {
	Options

	mu       sync.Mutex
	measured map[string]map[string]medians // by organisation
	counts   map[count]int64
}

// New makes a Store; Run measures and writes down what was counted.
func New(o Options) *Store {
	return &Store{Options: o, measured: map[string]map[string]medians{}, counts: map[count]int64{}}
}

// measureEvery is how often times to an answer are measured.
const measureEvery = 10 * time.Minute

// Run measures now and then and writes down counts until ctx ends, and then once more.
func (s *Store) Run(ctx context.Context) error {
	flush, again := time.NewTicker(flushEvery), time.NewTicker(measureEvery)
	defer flush.Stop()
	defer again.Stop()
	if err := s.Measure(ctx); err != nil && ctx.Err() == nil {
		s.Log.Error("times to an answer could not be measured", "error", err)
	}
	for {
		select {
		case <-ctx.Done():
			return s.Flush(context.WithoutCancel(ctx))
		case <-flush.C:
			if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
				s.Log.Error("uses of the contact page could not be written down; they are kept and tried again", "error", err)
			}
		case <-again.C:
			if err := s.Measure(ctx); err != nil && ctx.Err() == nil {
				s.Log.Error("times to an answer could not be measured", "error", err)
			}
		}
	}
}

// Measure looks how long answers took in the last 28 days.
func (s *Store) Measure(ctx context.Context) error {
	orgs, err := s.Orgs(ctx)
	for _, id := range orgs {
		o := s.DB.Org(id)
		now := s.Now()
		waits, werr := conversation.Waits(ctx, o, now.Add(-observed), now)
		hours, herr := CompanyHours(ctx, o)
		if e := errors.Join(werr, herr); e != nil {
			err = errors.Join(err, e)
			continue
		}
		m := measure(waits, hours.Location())
		s.mu.Lock()
		s.measured[id] = m
		s.mu.Unlock()
	}
	return err
}

// CompanyHours reads the organisation's hours; the zero value if nobody has set any.
func CompanyHours(ctx context.Context, q db.Querier) (Hours, error) {
	var body string
	err := q.Row(ctx, `SELECT body FROM contact_hours WHERE org = $1`).Scan(&body)
	if errors.Is(err, db.ErrNoRows) {
		return Hours{}, nil
	}
	var h Hours
	if err == nil {
		err = json.Unmarshal([]byte(body), &h)
	}
	if err != nil {
		return Hours{}, fmt.Errorf("read opening hours: %w", err)
	}
	return h, nil
}

// SetCompanyHours keeps the organisation's hours. A FieldError says what is wrong with them.
func SetCompanyHours(ctx context.Context, tx *db.Tx, h Hours, now time.Time) error {
	if err := h.Check(); err != nil {
		return err
	}
	b, err := json.Marshal(h)
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO contact_hours (org, body, updated_at) VALUES ($1, $2, $3) ON CONFLICT (org) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at`, string(b), db.Micro(now))
	}
	if err != nil {
		return fmt.Errorf("keep opening hours: %w", err)
	}
	return nil
}

// Opens gives the next moment within the organisation's hours from t on: t itself if nobody has set any. Dialogs that
// wait for business hours ask it.
func (s *Store) Opens(ctx context.Context, q db.Querier, t time.Time) time.Time {
	h, err := CompanyHours(ctx, q)
	if err != nil {
		s.Log.Error("a dialog goes on without opening hours", "error", err)
		return t
	}
	if !h.Set() {
		return t
	}
	if next, ok := NextOpen(h, t); ok {
		return next
	}
	return t
}

// Ways reads what was entered and changed by hand.
func Ways(ctx context.Context, q db.Querier) ([]Way, error) {
	var out []Way
	rows, err := q.Query(ctx, `SELECT id, kind, ref, url, label, note, section, hours, pos, hidden FROM contact_way WHERE org = $1 ORDER BY id`)
	err = db.Each(rows, err, func() error {
		var w Way
		var label, note, hours string
		var hidden int64
		if err := rows.Scan(&w.ID, &w.Kind, &w.Ref, &w.URL, &label, &note, &w.Section, &hours, &w.Pos, &hidden); err != nil {
			return err
		}
		w.Hidden = hidden == 1
		err := errors.Join(json.Unmarshal([]byte(label), &w.Label), json.Unmarshal([]byte(note), &w.Note))
		if hours != "" {
			err = errors.Join(err, json.Unmarshal([]byte(hours), &w.Hours))
		}
		out = append(out, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the ways of contact: %w", err)
	}
	return out, nil
}

const waysMax = 200

// Save keeps a way. A FieldError says what is wrong with it.
func Save(ctx context.Context, tx *db.Tx, w Way, now time.Time) error {
	if err := w.check(); err != nil {
		return err
	}
	var n int64
	if err := tx.Row(ctx, `SELECT COUNT(*) FROM contact_way WHERE org = $1 AND id <> $2`, w.ID).Scan(&n); err != nil {
		return fmt.Errorf("count the ways of contact: %w", err)
	}
	if n >= waysMax {
		return ErrTooMany
	}
	hours := ""
	if w.Hours != nil {
		b, err := json.Marshal(w.Hours)
		if err != nil {
			return fmt.Errorf("keep a way of contact: %w", err)
		}
		hours = string(b)
	}
	label, err := json.Marshal(w.Label)
	note, err2 := json.Marshal(w.Note)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("keep a way of contact: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO contact_way (org, id, kind, ref, url, label, note, section, hours, pos, hidden, updated_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)
		ON CONFLICT (org, id) DO UPDATE SET ref = excluded.ref, url = excluded.url, label = excluded.label, note = excluded.note, section = excluded.section, hours = excluded.hours, pos = excluded.pos, hidden = excluded.hidden, updated_at = excluded.updated_at`,
		w.ID, w.Kind, w.Ref, w.URL, string(label), string(note), w.Section, hours, w.Pos, db.Bool(w.Hidden), db.Micro(now))
	if err != nil {
		return fmt.Errorf("keep a way of contact: %w", err)
	}
	return nil
}

// Drop forgets a way that was entered by hand, or what was changed about another one.
func Drop(ctx context.Context, tx *db.Tx, id string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM contact_way WHERE org = $1 AND id = $2`, id); err != nil {
		return fmt.Errorf("forget a way of contact: %w", err)
	}
	return nil
}

// Lengths of what somebody enters, in code points.
const (
	LabelMax = 100
	NoteMax  = 300
	RefMax   = 500
)

// check finds what is wrong with a way.
func (w *Way) check() error {
	wrong := func(field, de, en string) error { return &FieldError{field, channel.Text{DE: de, EN: en}} }
	if usualSection[w.Kind] == "" {
		return wrong("kind", "Diese Art von Weg gibt es nicht.", "There is no such kind of way.")
	}
	if w.Section == "" {
		w.Section = usualSection[w.Kind]
	}
	if !slices.Contains(Sections(), w.Section) {
		return wrong("section", "Diesen Abschnitt gibt es nicht.", "There is no such section.")
	}
	w.Label = channel.Text{DE: line(w.Label.DE), EN: line(w.Label.EN)}
	w.Note = channel.Text{DE: line(w.Note.DE), EN: line(w.Note.EN)}
	for _, l := range []string{w.Label.DE, w.Label.EN} {
		if utf8.RuneCountInString(l) > LabelMax {
			return wrong("label", "Höchstens 100 Zeichen: Niemand liest mehr.", "At most 100 characters: nobody reads more.")
		}
	}
	for _, l := range []string{w.Note.DE, w.Note.EN} {
		if utf8.RuneCountInString(l) > NoteMax {
			return wrong("note", "Höchstens 300 Zeichen: Niemand liest mehr.", "At most 300 characters: nobody reads more.")
		}
	}
	if w.Hours != nil {
		if !w.Hours.Set() {
			w.Hours = nil
		} else if err := w.Hours.Check(); err != nil {
			var f *FieldError
			if errors.As(err, &f) {
				return &FieldError{"hours." + f.Field, f.Text}
			}
			return err
		}
	}
	if w.Kind == Channel || w.Kind == Dialog {
		return nil
	}
	w.Ref, w.URL = strings.TrimSpace(w.Ref), strings.TrimSpace(w.URL)
	if utf8.RuneCountInString(w.Ref) > RefMax || len(w.URL) > 2000 {
		return wrong("ref", "Das ist zu lang.", "This is too long.")
	}
	if w.Label == (channel.Text{}) && w.Kind != Phone {
		return wrong("label", "Geben Sie dem Weg einen Namen, wie Kunden ihn lesen.", "Give the way a name for customers to read.")
	}
	switch w.Kind {
	case Phone:
		if dialled(w.Ref) == "" {
			return wrong("ref", "Schreiben Sie die Nummer als +49 30 901230 oder 030 901230.", "Write the number as +49 30 901230 or 030 901230.")
		}
	case Branch, Letter:
		if w.Ref == "" {
			return wrong("ref", "Hier fehlt die Anschrift.", "The address is missing here.")
		}
	case Callback, Web:
		if w.URL == "" {
			return wrong("url", "Hier fehlt die Adresse der Seite, zum Beispiel https://www.firma.de/rueckruf.", "The page's address is missing here, for example https://www.example.com/call-back.")
		}
	}
	if w.URL != "" && !webPage(w.URL) {
		return wrong("url", "Die Adresse muss mit https:// oder http:// beginnen.", "The address must begin with https:// or http://.")
	}
	return nil
}

// webPage tells whether a link leads to a web page: nothing that a browser would run, and nobody signed in by it.
func webPage(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Opaque == "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// dialled is a number as a telephone dials it, "" if it is none.
func dialled(s string) string {
	var b strings.Builder
	digits := 0
	for i, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
			digits++
		case r == '+' && i == 0:
			b.WriteRune(r)
		case strings.ContainsRune(" ()-/.\u00a0\u2009", r):
		default:
			return ""
		}
	}
	if digits < 3 || digits > 15 { // ITU-T E.164: fifteen at most
		return ""
	}
	return b.String()
}

func line(s string) string { return strings.Join(strings.Fields(s), " ") }

// or fills the language that is missing with the other one.
func or(t channel.Text) channel.Text {
	return channel.Text{DE: cmp.Or(t.DE, t.EN), EN: cmp.Or(t.EN, t.DE)}
}

// Offer is a way as it is offered now.
type Offer struct {
	Way
	Own       bool         // entered by hand
	Name      channel.Text // what customers read
	Usual     channel.Text // what it is called unless somebody named it
	Medium    channel.Kind // of channels
	Link      string       // where it leads: tel:, mailto:, https: … ; "" = nowhere (an address, a word to write)
	Chat      bool         // it leads to the chat on the page itself
	Carries   channel.Carriage
	Words     []string // of dialogs: what starts them; of channels: what calls the assistant
	Trouble   bool     // the channel does not work right now
	Answer    time.Duration
	Effective Hours // by which it opens; not Set: nothing is known
}

// order is how kinds of channels stand unless somebody orders them: what answers soonest and most people have first.
var order = []channel.Kind{"webchat", "portal", "whatsapp", "telegram", "signal", "messenger", "instagram", "rcs", "viber", "line", "twilio", "vonage", "smpp", "matrix", "xmpp", "teams", "slack", "discord", "webhook", "email"}

func rank(k channel.Kind) int {
	if i := slices.Index(order, k); i >= 0 {
		return i
	}
	return slices.Index(order, "email")
}

const (
	mail channel.Kind = "email"
	chat channel.Kind = "webchat"
)

// Offers lists every way, hidden ones too, in the order of the page. code is that of a hand-over, which links carry as
// far as their medium can; it is not looked at here.
func (s *Store) Offers(ctx context.Context, o db.Org, code, language string) ([]Offer, error) {
	stored, err := Ways(ctx, o)
	if err != nil {
		return nil, err
	}
	company, err := CompanyHours(ctx, o)
	if err != nil {
		return nil, err
	}
	health, err := s.Accounts.Healths(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	services, err := s.Services(ctx, o)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	measured := s.measured[o.ID]
	s.mu.Unlock()
	hour := s.Now().In(company.Location()).Hour()

	byID := map[string]Way{}
	var out []Offer
	for _, w := range stored {
		byID[w.ID] = w
		if w.Kind != Channel && w.Kind != Dialog {
			f := Offer{Way: w, Own: true}
			f.Usual = channel.Text{DE: w.Ref, EN: w.Ref}
			switch w.Kind {
			case Phone:
				f.Link = "tel:" + dialled(w.Ref)
			default:
				if webPage(w.URL) { // whatever the database holds
					f.Link = w.URL
				}
			}
			out = append(out, f)
		}
	}
	change := func(f *Offer) {
		if w, ok := byID[f.ID]; ok {
			f.Label, f.Note, f.Hours, f.Pos, f.Hidden = w.Label, w.Note, w.Hours, w.Pos, w.Hidden
			f.Section = cmp.Or(w.Section, f.Section)
		}
	}
	channels := slices.DeleteFunc(s.Accounts.List(o.ID), func(c account.Channel) bool { return !c.Enabled })
	slices.SortStableFunc(channels, func(a, b account.Channel) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), strings.Compare(a.Name, b.Name))
	})
	for _, c := range channels {
		f := Offer{Way: Way{ID: Channel + "-" + c.ID, Kind: Channel, Ref: c.ID, Section: Write}, Medium: c.Kind}
		var ok bool
		if f.Link, f.Carries, ok = s.link(c, opening(code, language)); !ok {
			continue
		}
		f.Chat = c.Kind == chat
		f.Usual = s.usual(c, f.Link, channels)
		f.Trouble = health[c.ID].State == account.Red
		f.Answer = expect(measured, c.ID, c.Kind, hour)
		for _, v := range services {
			if v.runsOn(c.Kind) && len(v.Start) > 0 {
				f.Words = append(f.Words, v.Start[0])
			}
		}
		change(&f)
		out = append(out, f)
	}
	for _, v := range services {
		f := Offer{Way: Way{ID: Dialog + "-" + v.Key, Kind: Dialog, Ref: v.Key, Section: Self}, Usual: or(v.Title), Words: v.Start}
		if !s.reachable(&f, v, channels, byID) {
			continue
		}
		change(&f)
		out = append(out, f)
	}
	for i := range out {
		f := &out[i]
		f.Name = channel.Text{DE: cmp.Or(f.Label.DE, f.Label.EN, f.Usual.DE), EN: cmp.Or(f.Label.EN, f.Label.DE, f.Usual.EN)}
		f.Note = or(f.Note)
		switch {
		case f.Hours != nil:
			f.Effective = *f.Hours
			f.Effective.Zone = cmp.Or(f.Effective.Zone, company.Zone)
		case f.Kind == Dialog || f.Kind == Letter || f.Kind == Web:
			f.Effective = Hours{Always: true}
		default:
			f.Effective = company
		}
	}
	place := func(f Offer) int64 { // those that nobody placed come last, as they are
		if f.Pos > 0 {
			return f.Pos
		}
		return 1 << 30
	}
	slices.SortStableFunc(out, func(a, b Offer) int {
		return cmp.Or(cmp.Compare(slices.Index(Sections(), a.Section), slices.Index(Sections(), b.Section)), cmp.Compare(place(a), place(b)))
	})
	return out, nil
}

func opening(code, language string) channel.Opening {
	if code == "" {
		return channel.Opening{}
	}
	return channel.Opening{Token: code, Text: reach.HandoverText(code, language)}
}

// link is how anybody reaches a channel; ok is false if they cannot, or nobody knows how.
func (s *Store) link(c account.Channel, o channel.Opening) (link string, carries channel.Carriage, ok bool) {
	switch d := s.Accounts.Driver(c.Kind).(type) {
	case channel.Linker:
		link, carries = d.Link(c.Account, o)
		return link, carries, link != ""
	case nil:
	default:
		if c.Kind == chat {
			return "", channel.CarriesNothing, true
		}
	}
	return "", channel.CarriesNothing, false
}

// usual is what a channel is called.
func (s *Store) usual(c account.Channel, link string, all []account.Channel) channel.Text {
	title := s.Accounts.Driver(c.Kind).Title()
	number, sms := strings.CutPrefix(link, "sms:")
	number, _, _ = strings.Cut(number, "?")
	switch {
	case c.Kind == chat:
		title = channel.Text{DE: "Chat auf dieser Seite", EN: "Chat on this page"}
	case c.Kind == mail:
		return channel.Text{DE: c.Settings["address"], EN: c.Settings["address"]}
	case sms:
		return channel.Text{DE: "SMS an " + number, EN: "Text message to " + number}
	}
	n := 0
	for _, other := range all {
		if other.Kind == c.Kind {
			n++
		}
	}
	if n > 1 {
		title.DE, title.EN = title.DE+" · "+c.Name, title.EN+" · "+c.Name
	}
	return title
}

func (v Service) runsOn(k channel.Kind) bool {
	return len(v.Channels) == 0 || slices.Contains(v.Channels, string(k))
}

// reachable finds where a customer starts a dialog: where its word can already be written, otherwise in the chat, and
// says so in f. Mail is no way: what mail programs add to the word hides it.
func (s *Store) reachable(f *Offer, v Service, channels []account.Channel, changed map[string]Way) bool {
	if len(v.Start) == 0 {
		return false
	}
	found := false
	for _, c := range channels {
		if !v.runsOn(c.Kind) || c.Kind == mail || changed[Channel+"-"+c.ID].Hidden {
			continue
		}
		link, carries, ok := s.link(c, channel.Opening{Text: v.Start[0]})
		if !ok {
			continue
		}
		found = true
		if carries == channel.CarriesText && f.Link == "" {
			f.Link, f.Medium = link, c.Kind
		}
		f.Chat = f.Chat || c.Kind == chat
	}
	if f.Link != "" {
		f.Chat = false
	}
	return found
}

// Move puts a way into a section, at an index from 0 on, and numbers the section anew.
func Move(ctx context.Context, tx *db.Tx, offers []Offer, id, section string, index int, now time.Time) error {
	i := slices.IndexFunc(offers, func(f Offer) bool { return f.ID == id })
	if i < 0 {
		return ErrNotFound
	}
	w := offers[i].Way
	w.Section = section
	var list []Way
	for _, f := range offers {
		if f.Section == section && f.ID != id {
			list = append(list, f.Way)
		}
	}
	list = slices.Insert(list, min(max(index, 0), len(list)), w)
	for n, w := range list {
		w.Pos = int64(n + 1)
		if err := Save(ctx, tx, w, now); err != nil {
			return err
		}
	}
	return nil
}
