package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/webchat"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/dialog"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/sim"
)

// What the demo shows of questions and dialogs: calendars with free times, dialogs that customers may begin, and a past
// in which customers were asked and answered wherever they were.

// openQuestions furnishes what dialogs need.
func (d *Demo) openQuestions(ctx context.Context, from, until time.Time) error {
	zone, err := time.LoadLocation(ask.DefaultZone)
	if err != nil {
		return err
	}
	var times []map[string]any
	for day := from.In(zone); day.Before(until.AddDate(0, 0, 28)); day = day.AddDate(0, 0, 1) {
		if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			continue
		}
		for _, at := range [][2]int{{8, 30}, {10, 0}, {14, 30}, {16, 0}} {
			start := time.Date(day.Year(), day.Month(), day.Day(), at[0], at[1], 0, 0, zone)
			times = append(times, map[string]any{"start": start, "end": start.Add(45 * time.Minute), "capacity": 1 + at[0]%3})
		}
	}
	names := map[string]string{"pickup": "Abholung", "appointments": "Beratung"}
	for _, p := range dialog.Ready() {
		for _, s := range p.Steps { // whatever calendar a ready dialog names exists
			if s.Ask != nil && s.Ask.Calendar != "" && names[s.Ask.Calendar] == "" {
				names[s.Ask.Calendar] = p.Title.Get("de")
			}
		}
	}
	for key, name := range names {
		if err := d.ask(ctx, 0, "POST", "/calendars", map[string]any{"key": key, "name": name, "zone": ask.DefaultZone}, nil); err != nil {
			return err
		}
		if err := d.ask(ctx, 0, "POST", "/calendars/"+key+"/slots", map[string]any{"slots": times}, nil); err != nil {
			return err
		}
	}
	var list struct{ Items []api.DialogJSON }
	if err := d.ask(ctx, 0, "GET", "/dialogs", nil, &list); err != nil {
		return err
	}
	o := d.DB.Org(org.Default)
	return o.Write(ctx, func(tx *db.Tx) error {
		for _, j := range list.Items {
			s, err := d.Dialogs.Get(ctx, tx, j.Key)
			if err != nil {
				return err
			}
			if j.Enabled || s.Program == nil || len(s.Program.Start) == 0 {
				continue // begun by staff only
			}
			if _, _, err := d.Dialogs.Save(ctx, tx, j.Key, s.Source, true, nil, j.Version, conversation.Actor{}); err != nil {
				return fmt.Errorf("enable %s: %w", j.Key, err)
			}
		}
		return nil
	})
}

// openWebsite lets the customers who have an account on the website use its chat.
func (d *Demo) openWebsite(ctx context.Context) error {
	c, ok := d.sampleChat()
	if !ok {
		return errors.New("the website has no chat")
	}
	return d.Providers.OpenWeb(ctx, sim.WebChat{URL: strings.TrimSuffix(d.URL(), "/"), Channel: c.ID, Sign: func(user string) string { return webchat.Signature(c.Settings["identity_secret"], user) }})
}

// scene is one story of the demo's past. Its steps happen that long before now.
type scene struct {
	who   *sim.Customer
	steps []sim.Scene
	open  bool // its customer still has to answer
}

// scenes are the stories, for as many customers as may be taken from the others.
func (o *demoOffice) scenes(until time.Time) (out []scene) {
	all := o.Population.Customers()
	most := len(all) / 3
	taken := map[string]bool{"k03": true} // whom the visitor plays
	person := func(kinds ...channel.Kind) *sim.Customer {
		for _, c := range slices.Backward(all) {
			if taken[c.ID] || len(out) >= most || len(kinds) < 3 && len(kinds) != len(c.Channels) || slices.ContainsFunc(kinds, func(k channel.Kind) bool { return !c.Uses(k) }) {
				continue
			}
			taken[c.ID] = true
			return c
		}
		return nil
	}
	tell := func(who *sim.Customer, open bool, make func(at func(before time.Duration, play func(context.Context) error))) {
		if who == nil {
			return
		}
		s := scene{who: who, open: open}
		make(func(before time.Duration, play func(context.Context) error) {
			s.steps = append(s.steps, sim.Scene{At: until.Add(-before), Play: func(ctx context.Context) error {
				if err := play(ctx); err != nil {
					return fmt.Errorf("the scene with %s: %w", who.Name, err)
				}
				return nil
			}})
		})
		out = append(out, s)
	}
	const day = 24 * time.Hour
	german := func(text string) map[string]string { return map[string]string{"de": text} }

	// The question went out by mail, the answer came by Telegram, and the mail's came too late.
	c := person(sim.Email, sim.Telegram, sim.Web)
	tell(c, false, func(at func(time.Duration, func(context.Context) error)) {
		var conv string
		at(4*day+3*time.Hour, func(ctx context.Context) (err error) {
			if conv, err = o.opens(ctx, c, sim.Email, "Wann kann ich mein Auto holen?", "Guten Tag,\n\nmein Auto steht noch in der Werkstatt. Wann kann ich es holen?\n\nViele Grüße\n"+c.Name); err != nil {
				return err
			}
			return o.uniteAll(ctx, c, conv, "Ich bin übrigens auch hier zu erreichen.")
		})
		at(4*day+2*time.Hour, func(ctx context.Context) error { return o.pickup(ctx, 1, c, conv, sim.Email, 2*day) })
		at(4*day+time.Hour, func(ctx context.Context) error {
			l, err := o.got(ctx, c, sim.Email, -1)
			if err != nil {
				return err
			}
			if err := o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Telegram, Kind: sim.Write, Text: "Ja, das passt mir gut"}); err != nil {
				return err
			}
			if err := o.ended(ctx, conv, dialog.Ended); err != nil {
				return err
			}
			n := o.count(c, sim.Email)
			if err := o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Write, Target: l.ID, Text: "1"}); err != nil {
				return err
			}
			_, err = o.got(ctx, c, sim.Email, n+1)
			return err
		})
	})

	// Begun in the chat of the website, another time wished there, chosen by Telegram.
	w := person(sim.Email, sim.Telegram, sim.Web)
	tell(w, false, func(at func(time.Duration, func(context.Context) error)) {
		var conv string
		at(2*day+5*time.Hour, func(ctx context.Context) (err error) {
			if conv, err = o.opens(ctx, w, sim.Web, "", "Guten Tag, wann kann ich mein Auto holen?"); err != nil {
				return err
			}
			return o.uniteAll(ctx, w, conv, "Hallo, hier bin ich auch.")
		})
		at(2*day+4*time.Hour, func(ctx context.Context) error {
			if err := o.pickup(ctx, 2, w, conv, sim.Web, 3*day); err != nil {
				return err
			}
			n := o.count(w, sim.Web)
			if err := o.presses(ctx, w, sim.Web, 1); err != nil {
				return err
			}
			_, err := o.got(ctx, w, sim.Web, n+1)
			return err
		})
		at(2*day+3*time.Hour, func(ctx context.Context) error {
			l, err := o.got(ctx, w, sim.Web, -1)
			if err != nil || len(l.Choices) < 2 {
				return errors.Join(err, fmt.Errorf("no times were offered: %q", l.Text))
			}
			if err := o.does(ctx, sim.Act{Customer: w.ID, Channel: sim.Telegram, Kind: sim.Write, Text: l.Choices[1].Label}); err != nil {
				return err
			}
			return o.ended(ctx, conv, dialog.Ended)
		})
	})

	// A claim that is being reported right now: photos are still missing.
	t1 := person(sim.Telegram)
	tell(t1, true, func(at func(time.Duration, func(context.Context) error)) {
		at(54*time.Minute, func(ctx context.Context) error {
			_, err := o.opens(ctx, t1, sim.Telegram, "", "Schaden melden")
			return err
		})
		for i, step := range []sim.Act{{Kind: sim.Press, Text: "Nein"}, {Kind: sim.Press, Text: "Fahrzeug"}, {Kind: sim.Write, Text: "gestern"}, {Kind: sim.Write, Text: "Beim Ausparken hat mich ein Lieferwagen gestreift, vorne rechts."}} {
			at(time.Duration(52-2*i)*time.Minute, func(ctx context.Context) error { // a chat takes a few messages a minute
				l, err := o.got(ctx, t1, sim.Telegram, i+1)
				if err != nil {
					return err
				}
				if step.Customer, step.Channel = t1.ID, sim.Telegram; step.Kind == sim.Press {
					step.Target = l.ID
				}
				if err := o.does(ctx, step); err != nil {
					return err
				}
				_, err = o.got(ctx, t1, sim.Telegram, i+2)
				return err
			})
		}
	})

	// Nobody answered, not even the reminder.
	m1 := person(sim.Email)
	tell(m1, false, func(at func(time.Duration, func(context.Context) error)) {
		at(9*day, func(ctx context.Context) error {
			conv, err := o.opens(ctx, m1, sim.Email, "Durchsicht meiner Verträge", "Guten Tag,\n\nkönnen wir bei Gelegenheit alles einmal durchgehen?\n\n"+m1.Name)
			if err != nil {
				return err
			}
			return o.asks(ctx, 1, m1, conv, sim.Email, map[string]any{"kind": "yes_no", "text": german("Passt Ihnen Mittwoch um 17 Uhr, hier im Büro?"), "short": german("Beratung am Mittwoch"), "remind": "1d", "expires": "2d"})
		})
	})

	// Somebody would rather talk to a person.
	t2 := person(sim.Telegram)
	tell(t2, false, func(at func(time.Duration, func(context.Context) error)) {
		at(26*time.Hour, func(ctx context.Context) error {
			conv, err := o.opens(ctx, t2, sim.Telegram, "", "Rückruf")
			if err != nil {
				return err
			}
			if _, err := o.got(ctx, t2, sim.Telegram, 1); err != nil {
				return err
			}
			if err := o.does(ctx, sim.Act{Customer: t2.ID, Channel: sim.Telegram, Kind: sim.Write, Text: "Mensch"}); err != nil {
				return err
			}
			return o.ended(ctx, conv, dialog.Handed)
		})
	})

	// Answered on the page that a mail's link opens; the mail provider's scanner had looked at every link before.
	m2 := person(sim.Email)
	tell(m2, false, func(at func(time.Duration, func(context.Context) error)) {
		at(3*time.Hour+20*time.Minute, func(ctx context.Context) error {
			conv, err := o.opens(ctx, m2, sim.Email, "Angebot Wohngebäude", "Guten Tag,\n\ngilt Ihr Angebot noch?\n\n"+m2.Name)
			if err != nil {
				return err
			}
			err = o.asks(ctx, 2, m2, conv, sim.Email, map[string]any{"kind": "one_of", "text": german("Ja, bis Monatsende. Welche Selbstbeteiligung möchten Sie?"), "short": german("Selbstbeteiligung"), "options": []any{
				map[string]any{"key": "none", "label": german("Keine")}, map[string]any{"key": "500", "label": german("500 €")}, map[string]any{"key": "1000", "label": german("1.000 €")}}})
			if err != nil {
				return err
			}
			return o.presses(ctx, m2, sim.Email, 1)
		})
	})

	// A time was booked, then another one.
	t3 := person(sim.Telegram)
	tell(t3, false, func(at func(time.Duration, func(context.Context) error)) {
		at(30*time.Hour, func(ctx context.Context) error {
			conv, err := o.opens(ctx, t3, sim.Telegram, "", "Ich hätte gern einen Termin zur Beratung")
			if err != nil {
				return err
			}
			if err := o.asks(ctx, 1, t3, conv, sim.Telegram, map[string]any{"kind": "slot", "calendar": "appointments", "text": german("Wann passt es Ihnen?"), "short": german("Beratung")}); err != nil {
				return err
			}
			l, err := o.got(ctx, t3, sim.Telegram, -1)
			if err != nil || len(l.Choices) < 3 {
				return errors.Join(err, fmt.Errorf("no times were offered: %q", l.Text))
			}
			for _, c := range l.Choices[:2] {
				if err := o.does(ctx, sim.Act{Customer: t3.ID, Channel: sim.Telegram, Kind: sim.Press, Target: l.ID, Text: c.Label}); err != nil {
					return err
				}
			}
			_, err = o.got(ctx, t3, sim.Telegram, 2) // the change is confirmed
			return err
		})
	})

	// A photo is still awaited.
	b1 := person(sim.Email, sim.Telegram)
	tell(b1, true, func(at func(time.Duration, func(context.Context) error)) {
		at(38*time.Minute, func(ctx context.Context) error {
			conv, err := o.opens(ctx, b1, sim.Telegram, "", "Mir hat jemand den Außenspiegel abgefahren 😡")
			if err != nil {
				return err
			}
			return o.asks(ctx, 2, b1, conv, sim.Telegram, map[string]any{"kind": "file", "accept": []string{"image/*"}, "text": german("Schicken Sie uns bitte ein Foto vom Spiegel?"), "short": german("Foto vom Spiegel"), "remind": "1d", "expires": "7d"})
		})
	})

	// A verdict, and what was behind it.
	m3 := person(sim.Email)
	tell(m3, false, func(at func(time.Duration, func(context.Context) error)) {
		at(22*time.Hour, func(ctx context.Context) error {
			conv, err := o.opens(ctx, m3, sim.Email, "Wasserschaden Bad", "Guten Tag,\n\nder Handwerker war da, es ist erledigt.\n\n"+m3.Name)
			if err != nil {
				return err
			}
			if err := o.starts(ctx, 1, m3, conv, sim.Email, "verdict", map[string]any{"about": "die Regulierung Ihres Wasserschadens"}); err != nil {
				return err
			}
			l, err := o.got(ctx, m3, sim.Email, -1)
			i := slices.IndexFunc(l.Choices, func(c sim.Choice) bool { return strings.HasPrefix(c.Label, "Enttäusch") })
			if err != nil || i < 0 {
				return errors.Join(err, fmt.Errorf("the verdict offers %v", l.Choices))
			}
			n := o.count(m3, sim.Email)
			if err := o.does(ctx, sim.Act{Customer: m3.ID, Channel: sim.Email, Kind: sim.Press, Target: l.ID, Text: l.Choices[i].Label}); err != nil {
				return err
			}
			if l, err = o.got(ctx, m3, sim.Email, n+1); err != nil {
				return err
			}
			if err := o.does(ctx, sim.Act{Customer: m3.ID, Channel: sim.Email, Kind: sim.Write, Target: l.ID, Text: "Drei Wochen lang hat niemand zurückgerufen."}); err != nil {
				return err
			}
			return o.ended(ctx, conv, dialog.Handed)
		})
	})
	return out
}

// opens lets a customer write first, and gives the conversation.
func (o *demoOffice) opens(ctx context.Context, c *sim.Customer, kind channel.Kind, subject, text string) (string, error) {
	l, err := o.Providers.Do(ctx, sim.Act{Customer: c.ID, Channel: kind, Kind: sim.Write, Subject: subject, Text: text})
	if err != nil {
		return "", err
	}
	if err := o.Received(ctx, sim.Write, l); err != nil {
		return "", err
	}
	m, err := o.find(ctx, l)
	return m.Conversation, err
}

// does lets a customer do something that is taken in by the time it returns.
func (o *demoOffice) does(ctx context.Context, a sim.Act) error {
	l, err := o.Providers.Do(ctx, a)
	if err != nil {
		return err
	}
	return o.Received(ctx, a.Kind, l)
}

// presses lets a customer press the n-th answer (from 0) of the newest message by a channel, and waits until it counts.
func (o *demoOffice) presses(ctx context.Context, c *sim.Customer, kind channel.Kind, n int) error {
	l, err := o.got(ctx, c, kind, -1)
	if err != nil {
		return err
	}
	if n >= len(l.Choices) {
		return fmt.Errorf("%q offers %d answers", l.Text, len(l.Choices))
	}
	return o.does(ctx, sim.Act{Customer: c.ID, Channel: kind, Kind: sim.Press, Target: l.ID, Text: l.Choices[n].Label})
}

// count tells how many messages of the company have reached a customer by a channel.
func (d *Demo) count(c *sim.Customer, kind channel.Kind) (n int) {
	for _, l := range d.Providers.Thread(c.ID, kind) {
		if l.In {
			n++
		}
	}
	return n
}

// got waits for the n-th message (from 1; -1: the newest there is) that reaches a customer by a channel.
func (d *Demo) got(ctx context.Context, c *sim.Customer, kind channel.Kind, n int) (l sim.Line, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ok := d.Providers.Wait(ctx, func() bool {
		k := 0
		for _, x := range d.Providers.Thread(c.ID, kind) {
			if !x.In {
				continue
			}
			if k++; k == n || n < 0 {
				l = x
			}
		}
		return l.ID != ""
	})
	if !ok {
		return l, fmt.Errorf("message %d by %s did not reach %s: %w", n, kind, c.ID, ctx.Err())
	}
	return l, nil
}

// uniteAll puts all addresses of a customer together, as an advisor does who knows them. hello is what the customer
// writes in the website's chat, if they have not yet.
func (d *Demo) uniteAll(ctx context.Context, c *sim.Customer, conv, hello string) error {
	q := d.DB.Org(org.Default)
	row, err := conversation.Get(ctx, q, conv, "")
	if err != nil {
		return err
	}
	for _, kind := range c.Channels { // each makes itself known
		used := slices.ContainsFunc(d.Providers.Thread(c.ID, kind), func(l sim.Line) bool { return !l.In })
		if used {
			continue
		}
		a := sim.Act{Customer: c.ID, Channel: kind, Kind: sim.Write, Text: hello}
		switch kind {
		case sim.Telegram:
			a.Kind, a.Text = sim.Join, ""
		case sim.Email:
			a.Subject = "Meine E-Mail-Adresse"
		}
		if _, err := d.Providers.Do(ctx, a); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		var k api.CustomerJSON
		if err := d.ask(ctx, 0, "GET", "/customers/"+row.Customer, nil, &k); err != nil {
			return err
		}
		kinds := map[string]bool{}
		for _, a := range k.Addresses {
			if slices.Contains(c.Channels, channel.Kind(a.Kind)) {
				kinds[a.Kind] = true
			}
		}
		if len(kinds) >= len(c.Channels) {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("unite %s: only %v is known", c.Name, kinds)
		}
		var list struct{ Items []struct{ ID, Name string } }
		if err := d.ask(ctx, 0, "GET", "/customers?q="+url.QueryEscape(c.Name), nil, &list); err != nil {
			return err
		}
		merged := false
		for _, k := range list.Items {
			if k.ID == row.Customer || k.Name != c.Name {
				continue
			}
			if err := d.ask(ctx, 0, "POST", "/customers/"+row.Customer+"/merge", map[string]any{"with": k.ID}, nil); err != nil {
				return err
			}
			merged = true
		}
		if !merged {
			sleep(ctx, 10*time.Millisecond) // not taken in yet
		}
	}
	// What they wrote elsewhere belongs to the same matter.
	var talks struct{ Items []api.RowJSON }
	if err := d.ask(ctx, 0, "GET", "/conversations?limit=100&customer_id="+row.Customer, nil, &talks); err != nil {
		return err
	}
	for _, r := range talks.Items {
		if r.ID == conv || r.Status == conversation.Closed {
			continue
		}
		if err := d.ask(ctx, 0, "POST", "/conversations/"+conv+"/join", map[string]any{"with": r.ID}, nil); err != nil {
			return err
		}
	}
	d.Population.Unite(c.ID)
	return nil
}

// way gives the channel and the customer's address on it.
func (d *Demo) way(ctx context.Context, c *sim.Customer, conv string, kind channel.Kind) (map[string]any, error) {
	row, err := conversation.Get(ctx, d.DB.Org(org.Default), conv, "")
	if err != nil {
		return nil, err
	}
	var k api.CustomerJSON
	if err := d.ask(ctx, 0, "GET", "/customers/"+row.Customer, nil, &k); err != nil {
		return nil, err
	}
	by := d.Accounts.ByKind(org.Default, kind)
	for _, a := range k.Addresses {
		if a.Kind == string(kind) && len(by) > 0 {
			return map[string]any{"channel_id": by[0].ID, "address_id": a.ID}, nil
		}
	}
	return nil, fmt.Errorf("%s has no %s address", c.Name, kind)
}

// says puts something to a customer by a channel and waits until it has arrived.
func (d *Demo) says(ctx context.Context, staff int, c *sim.Customer, conv string, kind channel.Kind, path string, body map[string]any) error {
	n := d.count(c, kind)
	w, err := d.way(ctx, c, conv, kind)
	if err != nil {
		return err
	}
	for k, v := range w {
		body[k] = v
	}
	body["client_id"] = db.NewID()
	if err := d.ask(ctx, staff, "POST", "/conversations/"+conv+path, body, nil); err != nil {
		return err
	}
	_, err = d.got(ctx, c, kind, n+1)
	return err
}

func (d *Demo) asks(ctx context.Context, staff int, c *sim.Customer, conv string, kind channel.Kind, def map[string]any) error {
	return d.says(ctx, staff, c, conv, kind, "/asks", map[string]any{"ask": def})
}

func (d *Demo) starts(ctx context.Context, staff int, c *sim.Customer, conv string, kind channel.Kind, key string, inputs map[string]any) error {
	return d.says(ctx, staff, c, conv, kind, "/dialogs", map[string]any{"key": key, "inputs": inputs})
}

// pickup asks whether the car can be fetched, some time from now.
func (d *Demo) pickup(ctx context.Context, staff int, c *sim.Customer, conv string, kind channel.Kind, in time.Duration) error {
	zone, err := time.LoadLocation(ask.DefaultZone)
	if err != nil {
		return err
	}
	at := d.clock.Now().Add(in).In(zone)
	for at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		at = at.AddDate(0, 0, 1)
	}
	return d.starts(ctx, staff, c, conv, kind, "pickup", map[string]any{"what": "Ihr Auto", "at": at.Format("2006-01-02") + "T16:00", "place": "Autohaus Kessel, Rheinallee 12"})
}

// ended waits until the newest dialog of a conversation has come to this end.
func (o *demoOffice) ended(ctx context.Context, conv string, want dialog.Status) error {
	var list struct{ Items []api.InstanceJSON }
	err := o.until(ctx, "a dialog has "+string(want), func() (bool, error) {
		list.Items = nil
		if err := o.ask(ctx, 0, "GET", "/conversations/"+conv+"/dialogs", nil, &list); err != nil {
			return false, err
		}
		return len(list.Items) > 0 && list.Items[0].Status == string(want), nil
	})
	if err != nil && len(list.Items) > 0 {
		i := list.Items[0]
		err = fmt.Errorf("%s is %s at %s with %v: %w", i.Dialog.Key, i.Status, i.Step, i.Variables, err)
	}
	return err
}
