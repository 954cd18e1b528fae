package xmpp

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/xmpp/xmppsim"
)

func account() channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Musterhaus",
		Settings: channel.Settings{"jid": "service@muster.example", "password": "ein-Passwort", "tls": "auto"}}
}

func TestDriver(t *testing.T) {
	a := account()
	a.Settings["host"] = "localhost"
	channeltest.Run(t, channeltest.Suite{
		Driver: New(), Account: a,
		BadSettings: map[string]channel.Settings{
			"jid with resource":         {"jid": "a@b.example/c", "password": "x"},
			"domain without a secret":   {"jid": "b.example", "password": "x"},
			"component with an account": {"jid": "a@b.example", "component_secret": "x"},
			"no password":               {"jid": "a@b.example"},
			"port":                      {"jid": "a@b.example", "password": "x", "port": "70000"},
			"no certificate":            {"jid": "a@b.example", "password": "x", "tls_ca": "x"},
			"password in the clear":     {"jid": "a@b.example", "password": "x", "tls": "none"},
			"STARTTLS of a component":   {"jid": "b.example", "component_secret": "x", "tls": "starttls"},
		},
		Parse:   func(raw []byte) ([]channel.Event, error) { return New().Reparse(a, raw) },
		Samples: "testdata/*.xml",
		WithName: func(name string) []byte {
			raw, err := xml.Marshal(message{From: "e@x.example/p", ID: "1", Body: "a", Nick: name})
			if err != nil {
				t.Fatal(err)
			}
			return raw
		},
	})
}

func TestExchange(t *testing.T) {
	for name, o := range map[string]xmppsim.Options{"client": {}, "component": {Component: true}} {
		t.Run(name, func(t *testing.T) {
			channeltest.Exchange(t, channeltest.Talk{Driver: New(), Nobody: "niemand@kunden.example",
				New: func(*testing.T) channelsim.Sim { return xmppsim.New(o) }})
		})
	}
}

// What came into the archive while nobody listened is fetched once, in order; what was there before the channel is not.
func TestArchive(t *testing.T) {
	sim := xmppsim.New(xmppsim.Options{})
	p := sim.Customer("Erika Muster")
	for range 3 {
		p.Archived("vor langer Zeit")
	}
	c := channeltest.Open(t, New(), sim, nil)
	if _, err := p.Write("Guten Tag", ""); err != nil {
		t.Fatal(err)
	}
	said := func(text string) func(channel.Event) bool {
		return func(e channel.Event) bool { return e.Message != nil && e.Message.Text == text }
	}
	c.Await("the greeting", said("Guten Tag"))
	if !sim.Asked() {
		t.Fatal("the archive is not asked")
	}
	for i := range 250 {
		p.Archived(fmt.Sprint("Nachricht ", i))
	}
	sim.Cut()
	c.Await("the last one", said("Nachricht 249"))
	events := c.Events()
	if len(events) != 251 {
		t.Fatalf("%d events", len(events))
	}
	for i, e := range events[1:] {
		if e.Message == nil || e.Message.Text != fmt.Sprint("Nachricht ", i) {
			t.Fatalf("%d is %+v", i, e)
		}
	}
	// An archive that dropped the last message, though nothing was missed: no alarm.
	sim.Forget()
	p.Archived("nach dem Aufräumen")
	sim.Cut()
	c.Await("what came since", said("nach dem Aufräumen"))
	if n := len(c.Events()); n != 252 {
		t.Errorf("%d events", n)
	}
}

// The position is kept at the first start, even where nobody has written yet.
func TestFirstPosition(t *testing.T) {
	for name, before := range map[string]int{"empty archive": 0, "with history": 2} {
		t.Run(name, func(t *testing.T) {
			sim := xmppsim.New(xmppsim.Options{})
			p := sim.Customer("Erika Muster")
			for range before {
				p.Archived("vor langer Zeit")
			}
			events, cursor := listen(t, sim, "", 0)
			if len(events) != 0 || cursor == "" {
				t.Fatalf("%+v, cursor %q", events, cursor)
			}
			p.Archived("während der Pause")
			if events, _ = listen(t, sim, cursor, 1); len(events) != 1 || events[0].Message.Text != "während der Pause" {
				t.Errorf("%+v", events)
			}
			sim.Close()
		})
	}
}

// After a long absence an archive that no longer goes back so far leaves a visible note, and what it has comes.
func TestArchiveGap(t *testing.T) {
	sim := xmppsim.New(xmppsim.Options{})
	defer sim.Close()
	sim.Customer("Erika Muster").Archived("was noch da ist")
	events, _ := listen(t, sim, "1500000000 weg", 2)
	if len(events) != 2 || events[0].Type != channel.UnparsedEvent || events[1].Message == nil {
		t.Errorf("%+v", events)
	}
}

// listen runs the driver until a cursor without events comes and n events have come.
func listen(t *testing.T, sim *xmppsim.Sim, cursor string, n int) (events []channel.Event, next string) {
	t.Helper()
	a := channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Settings: sim.Settings("")}
	env := channeltest.Env()
	env.Dial = channel.DialFunc(new(net.Dialer).DialContext)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_ = New().Listen(ctx, a, cursor, env, func(_ context.Context, in channel.Inbound) error {
		if events = append(events, in.Events...); in.Cursor != "" {
			next = in.Cursor
		}
		if len(in.Events) == 0 && len(events) >= n {
			cancel()
		}
		return nil
	})
	return events, next
}

// Whoever asks may see whether we are there.
func TestSubscription(t *testing.T) {
	for name, o := range map[string]xmppsim.Options{"client": {}, "component": {Component: true}} {
		t.Run(name, func(t *testing.T) {
			sim := xmppsim.New(o)
			channeltest.Open(t, New(), sim, nil)
			if !sim.Customer("Erika Muster").Subscribe() {
				t.Error("not accepted")
			}
		})
	}
}

// What a message met is said by its recipient alone, even if somebody else knows its id.
func TestForeignReceipts(t *testing.T) {
	a := account()
	id := New().ExternalID(a, channel.Outgoing{DeliveryID: "d1", To: channel.Address{Value: "erika@kunden.example"}})
	for _, inner := range []string{"<received xmlns='urn:xmpp:receipts' id='%s'/>", "<displayed xmlns='urn:xmpp:chat-markers:0' id='%s'/>"} {
		for from, want := range map[string]int{"erika@kunden.example/phone": 1, "mallory@kunden.example/phone": 0, "kunden.example": 0} {
			events, err := New().Reparse(a, fmt.Appendf(nil, "<message from='%s'>"+inner+"</message>", from, id))
			if err != nil || len(events) != want {
				t.Errorf("%s from %s: %+v %v", inner, from, events, err)
			}
		}
	}
}

// A message that the server returns at once is one that was never sent, also on the stream of Listen.
func TestReturnedAtOnce(t *testing.T) {
	sim := xmppsim.New(xmppsim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	if !sim.Customer("Erika Muster").Subscribe() {
		t.Fatal("nobody listens")
	}
	_, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: "niemand@kunden.example"}, Text: "Guten Tag"})
	var se *channel.SendError
	if !errors.As(err, &se) || se.Class != channel.NotHere {
		t.Errorf("%v", err)
	}
	if e := c.Events(); len(e) != 0 {
		t.Errorf("and as an event: %+v", e)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal("no samples")
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	a := account()
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := New().Reparse(a, raw)
		if err != nil && len(events) > 0 {
			t.Error("an error and events")
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkParse(b *testing.B) {
	a := account()
	raw := []byte(fmt.Sprintf(`<message from='e@x.example/p' id='1' type='chat'><body>%s</body><request xmlns='urn:xmpp:receipts'/></message>`, "Guten Tag"))
	for b.Loop() {
		if events, err := New().Reparse(a, raw); err != nil || len(events) != 1 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "stanzas/s")
}
