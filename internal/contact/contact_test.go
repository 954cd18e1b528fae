package contact_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email"
	"github.com/rufweite/rufweite/internal/channel/webchat"
	"github.com/rufweite/rufweite/internal/channel/whatsapp"
	"github.com/rufweite/rufweite/internal/contact"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/vault"
)

type house struct {
	t        *testing.T
	ctx      context.Context
	o        db.Org
	accounts *account.Accounts
	store    *contact.Store
	now      time.Time
	services []contact.Service
}

func open(t *testing.T, d *db.DB) *house {
	h := &house{t: t, ctx: context.Background(), o: d.Org(dbtest.Org), now: time.Date(2026, 11, 24, 9, 43, 0, 0, time.UTC)}
	v, err := vault.Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if h.accounts, err = account.New(h.ctx, d, v, []channel.Driver{email.Driver{}, webchat.Driver{}, whatsapp.New()}, log); err != nil {
		t.Fatal(err)
	}
	h.store = contact.New(contact.Options{DB: d, Accounts: h.accounts, Log: log, Now: func() time.Time { return h.now },
		Services: func(context.Context, db.Querier) ([]contact.Service, error) { return h.services, nil },
		Orgs:     func(context.Context) ([]string, error) { return []string{dbtest.Org}, nil }})
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) write(fn func(tx *db.Tx) error) error { return h.o.Write(h.ctx, fn) }

func (h *house) save(w contact.Way) error {
	return h.write(func(tx *db.Tx) error { return contact.Save(h.ctx, tx, w, h.now) })
}

func (h *house) offers() []contact.Offer {
	h.t.Helper()
	list, err := h.store.Offers(h.ctx, h.o, "", "de")
	h.must(err)
	return list
}

func names(list []contact.Offer) string {
	var out []string
	for _, f := range list {
		out = append(out, f.Section+" "+f.Name.DE)
	}
	return strings.Join(out, ", ")
}

func TestWays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		_, err := h.accounts.Create(h.ctx, dbtest.Org, email.Kind, "Service", channel.Settings{"address": "service@berger.example", "smtp_host": "x"}, "de", h.now)
		h.must(err)
		chat, err := h.accounts.Create(h.ctx, dbtest.Org, webchat.Kind, "Website", nil, "de", h.now)
		h.must(err)
		h.services = []contact.Service{{Key: "claim", Title: channel.Text{DE: "Schaden melden"}, Start: []string{"Schaden"}}, {Key: "elsewhere", Title: channel.Text{DE: "Anderswo"}, Start: []string{"x"}, Channels: []string{"line"}}}
		h.must(h.save(contact.Way{ID: "phone", Kind: contact.Phone, Ref: "030 90 12 30"}))
		h.must(h.save(contact.Way{ID: "letter", Kind: contact.Letter, Ref: "Lindenstraße 4\n10969 Berlin", Label: channel.Text{DE: "Brief"}}))
		list := h.offers()
		if got := names(list); got != "talk 030 90 12 30, write Brief, write Chat auf dieser Seite, write service@berger.example, self Schaden melden" {
			t.Errorf("offers: %s", got)
		}
		if list[0].Link != "tel:030901230" || list[3].Link != "mailto:service@berger.example" || !list[2].Chat || !list[4].Chat || list[1].Name.EN != "Brief" {
			t.Errorf("links: %+v", list)
		}
		if list[1].Effective.Always != true || list[0].Effective.Set() {
			t.Error("without hours, only what needs nobody is always open")
		}
		// Moved, renamed, hidden: what is there by itself keeps what was changed.
		id := contact.Channel + "-" + chat.ID
		h.must(h.write(func(tx *db.Tx) error { return contact.Move(h.ctx, tx, list, id, contact.Talk, 0, h.now) }))
		list = h.offers()
		if got := names(list); !strings.HasPrefix(got, "talk Chat auf dieser Seite, talk 030 90 12 30") {
			t.Errorf("moved: %s", got)
		}
		list = h.offers()
		w := list[0].Way
		w.Label, w.Hidden = channel.Text{DE: "Plaudern"}, true
		h.must(h.save(w))
		if f := h.offers()[0]; f.Name != (channel.Text{DE: "Plaudern", EN: "Plaudern"}) || !f.Hidden || f.Section != contact.Talk {
			t.Errorf("changed: %+v", f)
		}
		// The dialog is not reachable by chat any more.
		if got := names(h.offers()); strings.Contains(got, "Schaden") {
			t.Errorf("a dialog that nobody can start: %s", got)
		}
		h.must(h.write(func(tx *db.Tx) error { return contact.Drop(h.ctx, tx, id) }))
		if got := names(h.offers()); !strings.Contains(got, "write Chat auf dieser Seite") {
			t.Errorf("as it came: %s", got)
		}
		if err := h.write(func(tx *db.Tx) error { return contact.Move(h.ctx, tx, h.offers(), "nothing", contact.Talk, 0, h.now) }); !errors.Is(err, contact.ErrNotFound) {
			t.Errorf("moved what is not there: %v", err)
		}
		// The code of a hand-over is in the links that can carry it.
		list, err = h.store.Offers(h.ctx, h.o, "K7M2Q9XP4TZA", "de")
		h.must(err)
		for _, f := range list {
			if f.Medium == email.Kind && !strings.Contains(f.Link, "K7M2-Q9XP-4TZA") {
				t.Errorf("the link carries no code: %s", f.Link)
			}
		}
		// Another organisation sees nothing of it.
		h.must(d.CreateOrg(h.ctx, "other", "Andere", 1))
		h.services = nil
		other, err := h.store.Offers(h.ctx, d.Org("other"), "", "de")
		h.must(err)
		if len(other) != 0 {
			t.Errorf("a stranger's: %s", names(other))
		}
	})
}

func TestRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		l := channel.Text{DE: "Name"}
		for _, c := range []struct {
			field string
			way   contact.Way
		}{
			{"url", contact.Way{Kind: contact.Web, Label: l, URL: "javascript:alert(1)"}},
			{"url", contact.Way{Kind: contact.Web, Label: l, URL: " JavaScript:alert(1)"}},
			{"url", contact.Way{Kind: contact.Web, Label: l, URL: "java\nscript:alert(1)"}},
			{"url", contact.Way{Kind: contact.Callback, Label: l, URL: "data:text/html,x"}},
			{"url", contact.Way{Kind: contact.Branch, Label: l, Ref: "Lindenstraße 4", URL: "//evil.example"}},
			{"url", contact.Way{Kind: contact.Web, Label: l, URL: "https://bank.example@evil.example/"}},
			{"url", contact.Way{Kind: contact.Web, Label: l, URL: "https://x.example/\r\nSet-Cookie: a=b"}},
			{"url", contact.Way{Kind: contact.Web, Label: l, URL: ""}},
			{"ref", contact.Way{Kind: contact.Phone, Ref: "javascript:1"}},
			{"ref", contact.Way{Kind: contact.Phone, Ref: "12"}},
			{"ref", contact.Way{Kind: contact.Letter, Label: l}},
			{"label", contact.Way{Kind: contact.Branch, Ref: "x"}},
			{"label", contact.Way{Kind: contact.Phone, Ref: "1234", Label: channel.Text{DE: strings.Repeat("ä", 101)}}},
			{"note", contact.Way{Kind: contact.Phone, Ref: "1234", Note: channel.Text{EN: strings.Repeat("ä", 301)}}},
			{"section", contact.Way{Kind: contact.Phone, Ref: "1234", Section: "nowhere"}},
			{"kind", contact.Way{Kind: "pigeon"}},
			{"hours.zone", contact.Way{Kind: contact.Phone, Ref: "1234", Hours: &contact.Hours{Zone: "Mars", Always: true}}},
		} {
			c.way.ID = "x"
			err := h.save(c.way)
			var f *contact.FieldError
			if !errors.As(err, &f) || f.Field != c.field || f.Text.DE == "" || f.Text.EN == "" {
				t.Errorf("%+v: %v, want a word about %s", c.way, err, c.field)
			}
		}
		for i := range 200 {
			h.must(h.save(contact.Way{ID: fmt.Sprint(i), Kind: contact.Phone, Ref: "1234"}))
		}
		if err := h.save(contact.Way{ID: "one more", Kind: contact.Phone, Ref: "1234"}); !errors.Is(err, contact.ErrTooMany) {
			t.Errorf("one way too many: %v", err)
		}
	})
}

func TestCompanyHours(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		if got := h.store.Opens(h.ctx, h.o, h.now); !got.Equal(h.now) {
			t.Errorf("without hours it is open: %s", got)
		}
		want := contact.Hours{Zone: "Europe/Berlin", Week: []contact.Span{{Days: []int{1, 2, 3, 4, 5}, From: "08:00", To: "18:00"}}, Closed: []contact.Day{{Date: "2026-11-25", Name: "Betriebsausflug"}}}
		for range 2 {
			h.must(h.write(func(tx *db.Tx) error { return contact.SetCompanyHours(h.ctx, tx, want, h.now) }))
		}
		evening := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
		if got := h.store.Opens(h.ctx, h.o, evening); !got.Equal(time.Date(2026, 11, 26, 7, 0, 0, 0, time.UTC)) {
			t.Errorf("opens at %s", got)
		}
		if got, err := contact.CompanyHours(h.ctx, h.o); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("kept: %+v %v", got, err)
		}
	})
}

func TestUses(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		for range 42 {
			h.store.Viewed(dbtest.Org, "2026-11-24", []string{"a", "b"})
		}
		h.must(h.store.Flush(h.ctx))
		h.store.Viewed(dbtest.Org, "2026-11-24", []string{"a"})
		for range 3 {
			h.store.Opened(dbtest.Org, "2026-11-24", "a")
		}
		h.store.Viewed(dbtest.Org, "2026-11-25", []string{"a"})
		got, err := h.store.Uses(h.ctx, h.o, "2026-11-24", "2026-11-24")
		h.must(err)
		if fmt.Sprint(got) != "[{2026-11-24  43 0 0} {2026-11-24 a 0 43 3} {2026-11-24 b 0 42 0}]" {
			t.Errorf("uses: %v", got)
		}
		// What was counted last is written when the house closes.
		ctx, stop := context.WithCancel(h.ctx)
		stop()
		h.store.Opened(dbtest.Org, "2026-11-26", "b")
		h.must(h.store.Run(ctx))
		var n int64
		h.must(h.o.Row(h.ctx, `SELECT n FROM contact_use WHERE org = $1 AND day = '2026-11-26' AND way = 'b' AND what = 'open'`).Scan(&n))
		if n != 1 {
			t.Errorf("written at the end: %d", n)
		}
		// A count that cannot be written is kept.
		h.store.Opened(dbtest.Org, "2026-11-27", "b")
		if err := h.store.Flush(ctx); err == nil {
			t.Skip("this engine writes all the same")
		}
		h.must(h.store.Flush(h.ctx))
		if got, err := h.store.Uses(h.ctx, h.o, "2026-11-27", "2026-11-27"); err != nil || len(got) != 1 || got[0].Opened != 1 {
			t.Errorf("kept: %v %v", got, err)
		}
	})
}

// received takes in a message of the conversation's customer.
func (h *house) received(tx *db.Tx, r conversation.Row, ch account.Channel, n int, automatic bool, at time.Time) error {
	_, err := conversation.Receive(h.ctx, tx, conversation.In{Channel: ch.Account, Threaded: true, Customer: r.Customer, CustomerIDs: func() ([]string, error) { return []string{r.Customer}, nil }, Address: "address of " + r.Customer,
		Into: r.ID, Message: channel.Message{Text: "x", ExternalID: fmt.Sprint(r.ID, n), Automatic: automatic}, Key: fmt.Sprint(r.ID, n), At: at}, at)
	return err
}

// TestAnswerTimes: what customers lived through, from messages in the database to the sentence on the page.
func TestAnswerTimes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		ch, err := h.accounts.Create(h.ctx, dbtest.Org, email.Kind, "Service", channel.Settings{"address": "service@berger.example", "smtp_host": "x"}, "de", h.now)
		h.must(err)
		start := h.now.AddDate(0, 0, -7)
		talk := func(i int, said ...string) { // c5: customer after 5 minutes; s: staff; m: machine; a: automatic reply of a customer
			h.must(h.write(func(tx *db.Tx) error {
				c, err := customer.Create(h.ctx, tx, fmt.Sprint("Kunde ", i), "de", nil, start)
				if err != nil {
					return err
				}
				r, err := conversation.Start(h.ctx, tx, c.ID, c.Name, "x", conversation.Actor{}, start)
				if err != nil {
					return err
				}
				at := start
				for n, what := range said {
					var minutes int
					if _, err := fmt.Sscan(what[1:], &minutes); err != nil {
						return err
					}
					at = at.Add(time.Duration(minutes) * time.Minute)
					if what[0] == 'c' || what[0] == 'a' {
						if err := h.received(tx, r, ch, n, what[0] == 'a', at); err != nil {
							return err
						}
						continue
					}
					by := map[byte]channel.Author{'s': channel.Staff, 'm': channel.Machine}[what[0]]
					if _, _, err := conversation.Append(h.ctx, tx, r.ID, conversation.Out{Author: by, Channel: ch.Account, Text: "x", Automatic: what[0] == 'm'}, at); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		for i := range 7 {
			talk(i, "c0", "m1", "c5", fmt.Sprintf("s%d", 44+i), "s100", "a1", "s1") // the first message begins the wait, a machine ends none
		}
		h.must(h.store.Measure(h.ctx))
		if f := h.offers()[0]; f.Answer != 0 {
			t.Errorf("seven answers tell nothing, yet: %s", f.Answer)
		}
		talk(7, "c0", "s58")
		h.must(h.store.Measure(h.ctx))
		if f := h.offers()[0]; f.Answer != 53*time.Minute {
			t.Errorf("the median is %s, want 53m", f.Answer)
		}
		for i := range 4 {
			talk(10+i, "c0") // a week, and still nobody answered
		}
		h.must(h.store.Measure(h.ctx))
		list, err := conversation.Waits(h.ctx, h.o, start.AddDate(0, 0, -1), h.now)
		h.must(err)
		open := 0
		for _, w := range list {
			if !w.Answered {
				open++
			}
		}
		if len(list) != 12 || open != 4 {
			t.Errorf("%d waits, %d of them open", len(list), open)
		}
		if f := h.offers()[0]; f.Answer != 55*time.Minute {
			t.Errorf("with those who still wait the median is %s, want 55m", f.Answer)
		}
		h.now = h.now.AddDate(0, 0, 40) // long ago
		h.must(h.store.Measure(h.ctx))
		if f := h.offers()[0]; f.Answer != 0 {
			t.Errorf("what was long ago still counts: %s", f.Answer)
		}
	})
}
