package app

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/dialog"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/sim"
)

// quiet is a demo in which nobody does anything by themselves.
func quiet(t *testing.T, ctx context.Context) *demoOffice { //nolint:revive // t first
	t.Helper()
	return quietOn(t, ctx, "")
}

// quietOn is quiet with its data in a PostgreSQL database; "" = SQLite.
func quietOn(t *testing.T, ctx context.Context, postgres string) *demoOffice { //nolint:revive // t first
	t.Helper()
	d, err := StartDemo(ctx, Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0"}, DemoConfig{Postgres: postgres,
		Population: sim.PopulationOptions{Seed: 5, Customers: 12, PaceMin: 20 * time.Hour, PaceMax: 30 * time.Hour}, Conversations: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	o := &demoOffice{Demo: d}
	if o.sub, err = d.Hub.Subscribe(ctx, org.Default, -1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.sub.Close)
	return o
}

// told is what the desk knows of the questions of a conversation.
func (o *demoOffice) told(t *testing.T, ctx context.Context, conv string) (asks []api.AskJSON, put, answers int) { //nolint:revive // t first
	t.Helper()
	var list struct{ Items []api.AskJSON }
	if err := o.ask(ctx, 0, "GET", "/asks?conversation_id="+conv, nil, &list); err != nil {
		t.Fatal(err)
	}
	var page struct{ Items []api.MessageJSON }
	if err := o.ask(ctx, 0, "GET", "/conversations/"+conv+"/messages?limit=200", nil, &page); err != nil {
		t.Fatal(err)
	}
	for _, m := range page.Items {
		if m.Ask != nil {
			put++
		}
		if m.Answers != nil {
			answers++
		}
	}
	return list.Items, put, answers
}

// TestDemoPickup: the story of the pick-up begins by one channel and is answered by another, in each direction, and
// every answer counts once.
func TestDemoPickup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	o := quiet(t, ctx)
	all := map[string]*sim.Customer{}
	for _, c := range o.Population.Customers() {
		all[c.ID] = c
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	t.Run("by mail, answered by Telegram, and the mail comes too late", func(t *testing.T) {
		s, err := o.Show(ctx, "", "")
		must(t, err)
		c := all[s.Customer]
		if s.Channel != "email" || s.Answer != "telegram" || len(c.Channels) != 3 {
			t.Fatalf("shown: %+v to one who uses %v", s, c.Channels)
		}
		mail, err := o.got(ctx, c, sim.Email, 1)
		must(t, err)
		if len(mail.Choices) != 2 || mail.Choices[0].URL == "" || !strings.Contains(mail.HTML, "Ja, passt") || !strings.Contains(mail.Text, "Assistent") || !strings.Contains(mail.Text, "Kessel") {
			t.Fatalf("the mail offers %+v:\n%s", mail.Choices, mail.Text)
		}
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Telegram, Kind: sim.Write, Text: "ja passt"}))
		must(t, o.ended(ctx, s.Conversation, dialog.Ended))
		thanks, err := o.got(ctx, c, sim.Telegram, 1)
		must(t, err)
		if !strings.Contains(thanks.Text, "Kessel") {
			t.Errorf("it goes on by Telegram with %q", thanks.Text)
		}
		// Late: first the link, then an answer by mail.
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Press, Target: mail.ID, Text: mail.Choices[1].Label}))
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Write, Target: mail.ID, Text: "2"}))
		late, err := o.got(ctx, c, sim.Email, 2)
		must(t, err)
		if !strings.Contains(late.Text, "Telegram") || !strings.Contains(late.Text, "Ja, passt") {
			t.Errorf("the late answer is told: %q", late.Text)
		}
		asks, put, answers := o.told(t, ctx, s.Conversation)
		if len(asks) != 1 || asks[0].State != "answered" || asks[0].AnsweredVia != "telegram" || asks[0].ValueText != "Ja, passt" || put != 1 || answers != 1 {
			t.Errorf("%d questions in %d messages, answered by %d: %+v", len(asks), put, answers, asks)
		}
	})

	t.Run("in the web chat, another time, chosen by Telegram", func(t *testing.T) {
		s, err := o.Show(ctx, "k03", sim.Web)
		must(t, err)
		c := all["k03"]
		n := o.count(c, sim.Web)
		must(t, o.presses(ctx, c, sim.Web, 1))
		offer, err := o.got(ctx, c, sim.Web, n+1)
		must(t, err)
		if len(offer.Choices) < 3 {
			t.Fatalf("offered: %+v", offer)
		}
		want := offer.Choices[1].Label
		before := o.count(c, sim.Telegram)
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Telegram, Kind: sim.Write, Text: want}))
		must(t, o.ended(ctx, s.Conversation, dialog.Ended))
		_, err = o.got(ctx, c, sim.Telegram, before+1) // it says thank you there
		must(t, err)
		booked := 0
		var slots struct{ Items []api.SlotJSON }
		must(t, o.ask(ctx, 0, "GET", "/calendars/pickup/slots", nil, &slots))
		for _, x := range slots.Items {
			booked += x.Taken
		}
		asks, _, _ := o.told(t, ctx, s.Conversation)
		if booked != 1 || len(asks) < 2 || asks[0].AnsweredVia != "telegram" || asks[1].AnsweredVia != "webchat" {
			t.Errorf("%d times are booked; the questions: %+v", booked, asks)
		}
	})

	t.Run("by Telegram, answered in the web chat", func(t *testing.T) {
		s, err := o.Show(ctx, "k03", sim.Telegram)
		must(t, err)
		c := all["k03"]
		q, err := o.got(ctx, c, sim.Telegram, -1)
		must(t, err)
		before := o.count(c, sim.Web)
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Web, Kind: sim.Write, Text: "Ja, passt"}))
		must(t, o.ended(ctx, s.Conversation, dialog.Ended))
		_, err = o.got(ctx, c, sim.Web, before+1)
		must(t, err)
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Telegram, Kind: sim.Press, Target: q.ID, Text: "Ja, passt"}))
		asks, _, _ := o.told(t, ctx, s.Conversation)
		if asks[0].AnsweredVia != "webchat" || asks[0].State != "answered" {
			t.Errorf("%+v", asks[0])
		}
	})

	t.Run("by Telegram, answered under an older mail", func(t *testing.T) {
		s, err := o.Show(ctx, "k03", sim.Telegram)
		must(t, err)
		c := all["k03"]
		older, err := o.got(ctx, c, sim.Email, -1)
		must(t, err)
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Write, Target: older.ID, Text: "Ja, passt"}))
		must(t, o.ended(ctx, s.Conversation, dialog.Ended))
		asks, _, _ := o.told(t, ctx, s.Conversation)
		if asks[0].AnsweredVia != "email" || asks[0].State != "answered" {
			t.Errorf("%+v", asks[0])
		}
	})

	t.Run("by all three at once, once", func(t *testing.T) {
		c := all["k12"]
		s, err := o.Show(ctx, c.ID, sim.Email)
		must(t, err)
		mail, err := o.got(ctx, c, sim.Email, -1)
		must(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i, a := range []sim.Act{
			{Channel: sim.Email, Kind: sim.Press, Target: mail.ID, Text: mail.Choices[0].Label},
			{Channel: sim.Telegram, Kind: sim.Write, Text: "ja"},
			{Channel: sim.Web, Kind: sim.Write, Text: "Ja, passt"},
		} {
			a.Customer = c.ID
			wg.Go(func() { _, errs[i] = o.Providers.Do(ctx, a) })
		}
		wg.Wait()
		for _, err := range errs {
			must(t, err)
		}
		must(t, o.ended(ctx, s.Conversation, dialog.Ended))
		asks, put, answers := o.told(t, ctx, s.Conversation)
		if len(asks) != 1 || asks[0].State != "answered" || asks[0].ValueText != "Ja, passt" || put != 1 || answers != 1 {
			t.Errorf("%d questions in %d messages, answered by %d: %+v", len(asks), put, answers, asks)
		}
		thanks := 0
		for _, kind := range []channel.Kind{sim.Email, sim.Telegram, sim.Web} {
			for _, l := range o.Providers.Thread(c.ID, kind) {
				if l.In && strings.HasPrefix(l.Text, "Danke! Wir erwarten Sie") {
					thanks++
				}
			}
		}
		if thanks > 1 {
			t.Errorf("thanked %d times", thanks)
		}
	})

	t.Run("a scanner looks, and nothing is answered", func(t *testing.T) {
		c := all["k12"]
		s, err := o.Show(ctx, c.ID, sim.Email)
		must(t, err)
		mail, err := o.got(ctx, c, sim.Email, -1)
		must(t, err)
		for _, x := range mail.Choices {
			if err := o.Providers.Scan(ctx, x.URL); err != nil {
				t.Fatal(err)
			}
		}
		asks, _, _ := o.told(t, ctx, s.Conversation)
		if asks[0].State != "open" {
			t.Errorf("%+v", asks[0])
		}
		must(t, o.does(ctx, sim.Act{Customer: c.ID, Channel: sim.Email, Kind: sim.Press, Target: mail.ID, Text: mail.Choices[0].Label}))
		must(t, o.ended(ctx, s.Conversation, dialog.Ended))
		asks, _, _ = o.told(t, ctx, s.Conversation)
		if asks[0].AnsweredVia == "telegram" || asks[0].State != "answered" {
			t.Errorf("%+v", asks[0])
		}
	})

	if _, err := o.Show(ctx, "k01", ""); err == nil || !strings.Contains(fmt.Sprint(err), "otherwise") {
		t.Errorf("one who only writes mails: %v", err)
	}
}

// TestDemoScenes: the past has questions and dialogs in every state.
func TestDemoScenes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	d, err := StartDemo(ctx, Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0"}, DemoConfig{
		Population: sim.PopulationOptions{Seed: 5, Customers: 40, PaceMin: 20 * time.Hour, PaceMax: 30 * time.Hour}, Conversations: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	o := &demoOffice{Demo: d}
	if o.sub, err = d.Hub.Subscribe(ctx, org.Default, -1); err != nil {
		t.Fatal(err)
	}
	defer o.sub.Close()
	states := map[string]int{}
	err = o.until(ctx, "a question has expired", func() (bool, error) {
		var list struct{ Items []api.AskJSON }
		if err := o.ask(ctx, 0, "GET", "/asks?limit=100", nil, &list); err != nil {
			return false, err
		}
		clear(states)
		for _, a := range list.Items {
			states[a.State]++
			if a.State == "answered" {
				states["by "+a.AnsweredVia]++
			}
		}
		return states["expired"] > 0, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for state, least := range map[string]int{"open": 2, "answered": 8, "handed": 1, "expired": 1, "by telegram": 3, "by email": 1, "by webchat": 1} {
		if states[state] < least {
			t.Errorf("%d questions are %s, not %d: %v", states[state], state, least, states)
		}
	}
	var dialogs struct{ Items []api.DialogJSON }
	if err := o.ask(ctx, 0, "GET", "/dialogs", nil, &dialogs); err != nil {
		t.Fatal(err)
	}
	running, ended := 0, 0
	for _, j := range dialogs.Items {
		running += j.Running
		for _, n := range j.Ended {
			ended += n
		}
		if words := map[string]bool{"claim-report": true, "callback": true, "pickup": false}; j.Enabled != words[j.Key] && (j.Key == "pickup" || words[j.Key]) {
			t.Errorf("%s is begun by customers: %v", j.Key, j.Enabled)
		}
	}
	if running != 1 || ended < 4 {
		t.Errorf("%d dialogs run, %d have ended: %+v", running, ended, dialogs.Items)
	}
	var calendars struct{ Items []api.CalendarJSON }
	if err := o.ask(ctx, 0, "GET", "/calendars", nil, &calendars); err != nil {
		t.Fatal(err)
	}
	for _, c := range calendars.Items {
		if c.Free < 60 {
			t.Errorf("%s has only %d free times", c.Key, c.Free)
		}
	}
	if len(calendars.Items) < 2 {
		t.Errorf("%d calendars", len(calendars.Items))
	}
}
