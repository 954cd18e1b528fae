package xmpp

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"testing"

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
