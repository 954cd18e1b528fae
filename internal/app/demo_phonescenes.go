package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/line"
	"github.com/rufweite/rufweite/internal/channel/messenger"
	"github.com/rufweite/rufweite/internal/channel/twilio"
	"github.com/rufweite/rufweite/internal/channel/viber"
	"github.com/rufweite/rufweite/internal/channel/whatsapp"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/sim"
)

// phoneScenes are stories on further media, for customers whom no other scene took.
func (o *demoOffice) phoneScenes(until time.Time, others []scene) (out []scene) {
	all := o.Population.Customers()
	taken := map[string]bool{"k03": true} // whom the visitor plays
	for _, s := range others {
		taken[s.who.ID] = true
	}
	most := len(all) / 6
	tell := func(mail, open bool, make func(c *sim.Customer, at func(before time.Duration, play func(context.Context) error))) {
		for _, c := range all {
			if taken[c.ID] || len(out) >= most || len(c.Channels) != 1 || mail != (c.Email != "") || c.Company != "" {
				continue
			}
			taken[c.ID] = true
			s := scene{who: c, open: open}
			make(c, func(before time.Duration, play func(context.Context) error) {
				s.steps = append(s.steps, sim.Scene{At: until.Add(-before), Play: func(ctx context.Context) error {
					if err := play(ctx); err != nil {
						return fmt.Errorf("the scene with %s: %w", c.Name, err)
					}
					return nil
				}})
			})
			out = append(out, s)
			return
		}
	}
	german := func(text string) map[string]string { return map[string]string{"de": text} }
	write := func(ctx context.Context, c *sim.Customer, kind channel.Kind, text string, files ...sim.File) (conv string, err error) {
		l, err := o.Providers.Do(ctx, sim.Act{Customer: c.ID, Channel: kind, Kind: sim.Write, Text: text, Files: files})
		if err != nil {
			return "", err
		}
		m, err := o.find(ctx, l)
		return m.Conversation, err
	}

	// Begun on Instagram, gone on by SMS, ended by e-mail.
	tell(true, false, func(c *sim.Customer, at func(time.Duration, func(context.Context) error)) {
		var conv string
		at(7*time.Hour, func(ctx context.Context) (err error) {
			conv, err = o.startsOnInstagram(ctx, c, 1)
			return err
		})
		at(5*time.Hour, func(ctx context.Context) error { return o.goesOnBySMS(ctx, c, 1, conv) })
		at(4*time.Hour, func(ctx context.Context) error { return o.endsByMail(ctx, c, 1, conv) })
	})

	// Answered by a template, because the window for free words had closed; the customer pressed its button.
	tell(true, false, func(c *sim.Customer, at func(time.Duration, func(context.Context) error)) {
		var conv string
		at(50*time.Hour, func(ctx context.Context) (err error) {
			conv, err = write(ctx, c, whatsapp.Kind, "Hallo, was zahlt die Versicherung eigentlich für mein gestohlenes Fahrrad?")
			return err
		})
		at(20*time.Hour, func(ctx context.Context) error {
			if ch := o.Accounts.ByKind(org.Default, whatsapp.Kind); len(ch) > 0 {
				if err := o.ask(ctx, 0, "POST", "/channels/"+ch[0].ID+"/templates/refresh", nil, nil); err != nil {
					return err
				}
			}
			return o.says(ctx, 1, c, conv, whatsapp.Kind, "/messages", map[string]any{"template": map[string]any{"name": "rueckmeldung", "language": "de", "params": []string{c.Name, "„Fahrrad gestohlen“"}}})
		})
		at(19*time.Hour, func(ctx context.Context) error {
			if err := o.presses(ctx, c, whatsapp.Kind, 0); err != nil {
				return err
			}
			return o.heard(ctx, conv, 2)
		})
		at(18*time.Hour, func(ctx context.Context) error {
			return o.says(ctx, 1, c, conv, whatsapp.Kind, "/messages", map[string]any{"text": "Schön. Sie bekommen den Neuwert, abzüglich 150 € Selbstbeteiligung. Schicken Sie mir bitte noch die Rahmennummer?"})
		})
	})

	// A photo on Instagram, not answered yet.
	tell(false, true, func(c *sim.Customer, at func(time.Duration, func(context.Context) error)) {
		at(35*time.Minute, func(ctx context.Context) error {
			if _, err := write(ctx, c, messenger.KindInstagram, "Das ist heute früh auf dem Parkplatz passiert. Was mache ich jetzt?"); err != nil {
				return err
			}
			_, err := write(ctx, c, messenger.KindInstagram, "", sim.File{Name: "Auto.jpg", MediaType: "image/jpeg", Content: sim.Picture("auto", 2)})
			return err
		})
	})

	// Asked by SMS, answered with a number.
	tell(true, false, func(c *sim.Customer, at func(time.Duration, func(context.Context) error)) {
		at(6*time.Hour+20*time.Minute, func(ctx context.Context) error {
			conv, err := write(ctx, c, twilio.Kind, "Ich brauche die grüne Karte für den Urlaub, bitte.")
			if err != nil {
				return err
			}
			if err := o.asks(ctx, 2, c, conv, twilio.Kind, map[string]any{"kind": "one_of", "text": german("Gern. Wie möchten Sie sie bekommen?"), "short": german("Grüne Karte"), "options": []any{
				map[string]any{"key": "post", "label": german("Per Post")}, map[string]any{"key": "mail", "label": german("Per E-Mail")}, map[string]any{"key": "office", "label": german("Ich hole sie ab")}}}); err != nil {
				return err
			}
			_, err = write(ctx, c, twilio.Kind, "2")
			return err
		})
	})

	// Asked on LINE, on Viber: a quick reply was pressed.
	for i, kind := range []channel.Kind{line.Kind, viber.Kind} {
		tell(false, false, func(c *sim.Customer, at func(time.Duration, func(context.Context) error)) {
			at(time.Duration(9-i)*time.Hour, func(ctx context.Context) error {
				conv, err := write(ctx, c, kind, "Ist mein Hund beim Wandern in Österreich mitversichert?")
				if err != nil {
					return err
				}
				if err := o.asks(ctx, 1+i, c, conv, kind, map[string]any{"kind": "yes_no", "text": german("Ja, bis zu einem Jahr. Soll ich Ihnen die Bestätigung schicken?"), "short": german("Bestätigung Hund")}); err != nil {
					return err
				}
				return o.presses(ctx, c, kind, 0)
			})
		})
	}
	return out
}

// heard waits until a conversation holds n messages of the customer.
func (o *demoOffice) heard(ctx context.Context, conv string, n int) error {
	return o.until(ctx, "what a customer did is taken in", func() (bool, error) {
		var page struct{ Items []api.MessageJSON }
		if err := o.ask(ctx, 0, "GET", "/conversations/"+conv+"/messages?limit=200", nil, &page); err != nil {
			return false, err
		}
		in := 0
		for _, m := range page.Items {
			if m.Direction == "in" {
				in++
			}
		}
		return in >= n, nil
	})
}

// startsOnInstagram lets a customer write there; a colleague takes the conversation and answers.
func (o *demoOffice) startsOnInstagram(ctx context.Context, c *sim.Customer, staff int) (conv string, err error) {
	l, err := o.Providers.Do(ctx, sim.Act{Customer: c.ID, Channel: messenger.KindInstagram, Kind: sim.Write, Text: "Hallo! Mir ist jemand ins parkende Auto gefahren. Können Sie mir helfen?"})
	if err != nil {
		return "", err
	}
	m, err := o.find(ctx, l)
	if err != nil {
		return "", err
	}
	var me api.SessionJSON
	if err := o.ask(ctx, staff, "GET", "/session", nil, &me); err != nil {
		return "", err
	}
	if err := o.ask(ctx, staff, "PATCH", "/conversations/"+m.Conversation, map[string]any{"assignee_id": me.User.ID}, nil); err != nil {
		return "", err
	}
	return m.Conversation, o.says(ctx, staff, c, m.Conversation, messenger.KindInstagram, "/messages", map[string]any{"text": "Natürlich. Haben Sie das Kennzeichen des anderen?"})
}

// goesOnBySMS lets the customer carry the conversation to SMS. Nobody vouches for the sender of an SMS, so a short code
// goes there and comes back.
func (o *demoOffice) goesOnBySMS(ctx context.Context, c *sim.Customer, staff int, conv string) error {
	offer, err := o.offers(ctx, c, staff, conv, messenger.KindInstagram, twilio.Kind)
	if err != nil {
		return err
	}
	if err := o.does(ctx, sim.Act{Customer: c.ID, Channel: twilio.Kind, Kind: sim.Write, Text: offer.Text}); err != nil {
		return err
	}
	l, err := o.got(ctx, c, twilio.Kind, 1)
	if err != nil {
		return err
	}
	pin := between(l.Text, "antworten Sie mit ", ".")
	if pin == "" {
		return fmt.Errorf("no code is in %q", l.Text)
	}
	if err := o.does(ctx, sim.Act{Customer: c.ID, Channel: twilio.Kind, Kind: sim.Write, Text: pin}); err != nil {
		return err
	}
	if l, err = o.got(ctx, c, twilio.Kind, 2); err != nil || !strings.Contains(l.Text, "geht es weiter") {
		return errors.Join(err, fmt.Errorf("by SMS it goes on with %q", l.Text))
	}
	if err := o.does(ctx, sim.Act{Customer: c.ID, Channel: twilio.Kind, Kind: sim.Write, Text: "Das Kennzeichen ist MZ-RT 402. Ein weißer Lieferwagen."}); err != nil {
		return err
	}
	return o.says(ctx, staff, c, conv, twilio.Kind, "/messages", map[string]any{"text": "Danke. Den Kostenvoranschlag schicken Sie mir am besten per E-Mail."})
}

// endsByMail lets the customer carry the conversation to e-mail, where the code goes back in an answer.
func (o *demoOffice) endsByMail(ctx context.Context, c *sim.Customer, staff int, conv string) error {
	offer, err := o.offers(ctx, c, staff, conv, twilio.Kind, sim.Email)
	if err != nil {
		return err
	}
	n := o.count(c, sim.Email)
	if err := o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Write, Subject: "Kostenvoranschlag", Text: offer.Text}); err != nil {
		return err
	}
	l, err := o.got(ctx, c, sim.Email, n+1)
	if err != nil {
		return err
	}
	code := between(l.Text, "mit dem Code ", ".")
	if code == "" {
		return fmt.Errorf("no code is in %q", l.Text)
	}
	if err := o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Write, Target: l.ID, Text: code}); err != nil {
		return err
	}
	if l, err = o.got(ctx, c, sim.Email, n+2); err != nil || !strings.Contains(l.Text, "geht es weiter") {
		return errors.Join(err, fmt.Errorf("by mail it goes on with %q", l.Text))
	}
	return o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Write, Target: l.ID, Text: "Guten Tag,\n\nder Kostenvoranschlag der Werkstatt lautet auf 1.840 €. Das Original bringe ich vorbei.\n\nViele Grüße\n" + c.Name})
}

// offers makes a code and tells the customer, by one channel, how to go on by another.
func (o *demoOffice) offers(ctx context.Context, c *sim.Customer, staff int, conv string, by, to channel.Kind) (offer api.HandoverJSON, err error) {
	if err := o.ask(ctx, staff, "POST", "/conversations/"+conv+"/handover", map[string]any{}, &offer); err != nil {
		return offer, err
	}
	text := "Wenn Sie lieber woanders weiterschreiben: Ihr Code ist " + offer.Code + ", er gilt einen Tag."
	for _, w := range offer.Ways {
		if w.Kind != string(to) {
			continue
		}
		if _, err := url.Parse(w.Link); err != nil {
			return offer, fmt.Errorf("the link %q: %w", w.Link, err)
		}
		text += " Dieser Link schreibt ihn gleich hinein: " + w.Link
	}
	return offer, o.says(ctx, staff, c, conv, by, "/messages", map[string]any{"text": text})
}

// between gives what stands between two texts, "" if they are not there.
func between(text, before, after string) string {
	_, rest, ok := strings.Cut(strings.Join(strings.Fields(text), " "), before)
	if !ok {
		return ""
	}
	inner, _, ok := strings.Cut(rest, after)
	if !ok {
		return ""
	}
	return inner
}
