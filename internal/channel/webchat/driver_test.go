package webchat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
)

func account(settings channel.Settings) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Chat", Settings: settings}
}

func TestDriver(t *testing.T) {
	a := account(channel.Settings{"allowed_origins": "https://www.firma.example, http://localhost:8081", "identity_secret": "new-secret,old-secret"})
	channeltest.Run(t, channeltest.Suite{
		Driver:  Driver{},
		Account: a,
		BadSettings: map[string]channel.Settings{
			"an origin with a path":    {"allowed_origins": "https://www.firma.example/chat"},
			"an origin without scheme": {"allowed_origins": "www.firma.example"},
			"a wildcard in a host":     {"allowed_origins": "https://*.firma.example"},
			"an origin with a user":    {"allowed_origins": "https://a@firma.example"},
			"another scheme":           {"allowed_origins": "ftp://firma.example"},
			"three secrets":            {"identity_secret": "a,b,c"},
			"an empty second secret":   {"identity_secret": "a,"},
			"a secret of blanks":       {"identity_secret": "  "},
		},
		Parse:   func(raw []byte) ([]channel.Event, error) { return Driver{}.Reparse(a, raw) },
		Samples: "testdata/*.txt",
		WithName: func(name string) []byte {
			n, _ := json.Marshal(name)
			return fmt.Appendf(nil, "{\"visitor\":\"visitor:abc\",\"assurance\":\"observed\",\"name\":%s}\n{\"client_id\":\"1\",\"text\":\"x\"}\n", n)
		},
		Sends: []channeltest.Send{
			{Name: "accepted", Setup: func(*testing.T) (channel.Account, channel.Env) { return a, channeltest.Env() },
				Out: channel.Outgoing{DeliveryID: "d-1", To: channel.Address{Value: "visitor:abc"}, Text: "Guten Tag"},
				Check: func(t *testing.T, r channel.Receipt, _ *channel.SendError) {
					if r.ExternalID != "d-1" || r.State != channel.Sent {
						t.Errorf("receipt %+v", r)
					}
				}},
			{Name: "to nobody", Setup: func(*testing.T) (channel.Account, channel.Env) { return a, channeltest.Env() },
				Out: channel.Outgoing{DeliveryID: "d-2", Text: "Guten Tag"}, Want: channel.NotHere},
		},
	})
	if id := (Driver{}).ExternalID(a, channel.Outgoing{DeliveryID: "d-1"}); id != "d-1" {
		t.Errorf("external id %q", id)
	}
	for range 2 { // the same delivery twice is the same message
		r, err := Driver{}.Send(context.Background(), a, channel.Outgoing{DeliveryID: "d-1", To: channel.Address{Value: "v"}}, channel.Env{})
		if err != nil || r.ExternalID != "d-1" {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestAllowed(t *testing.T) {
	own := []string{"chat.firma.example", "127.0.0.1:8080"}
	for _, tt := range []struct {
		origins, from string
		want          bool
	}{
		{"", "https://chat.firma.example", true},
		{"", "https://CHAT.firma.example:443", true},
		{"", "http://127.0.0.1:8080", true},
		{"", "http://127.0.0.1:8081", false},
		{"", "https://www.firma.example", false},
		{"", "", false},
		{"", "null", false},
		{"https://www.firma.example", "https://www.firma.example", true},
		{"https://www.firma.example/", "https://www.firma.example", true},
		{"https://www.firma.example:443", "https://www.firma.example", true},
		{"https://www.firma.example", "http://www.firma.example", false},
		{"https://www.firma.example", "https://www.firma.example.evil.example", false},
		{"https://www.firma.example", "https://evil.example?https://www.firma.example", false},
		{"https://www.firma.example", "https://firma.example", false},
		{"https://www.firma.example", "https://www.firma.example:8443", false},
		{"https://a.example https://b.example", "https://b.example", true},
		{"https://a.example,\nhttps://b.example", "https://b.example", true},
		{"https://a.example", "null", false},
		{"*", "null", true},
		{"*", "https://anything.example", true},
	} {
		if got := (Driver{}).Allowed(channel.Settings{"allowed_origins": tt.origins}, tt.from, own); got != tt.want {
			t.Errorf("Allowed(%q, %q) = %t", tt.origins, tt.from, got)
		}
	}
}

func TestUser(t *testing.T) {
	sig := Signature("geheim", "4711")
	if sig != "1587cfec87b28cd89f3716f6c2f11f72d09b2508cf6a3d7128ac688570f068f1" { // printf 4711 | openssl dgst -sha256 -hmac geheim
		t.Fatalf("signature %q", sig)
	}
	for _, tt := range []struct {
		name, secret, user, sig string
		configured, right       bool
	}{
		{"right", "geheim", "4711", sig, true, true},
		{"in capitals", "geheim", "4711", strings.ToUpper(sig), true, true},
		{"the old secret", "neu,geheim", "4711", sig, true, true},
		{"a secret with a comma", "ge,heim", "4711", Signature("ge,heim", "4711"), true, true},
		{"one byte off", "geheim", "4711", "0" + sig[1:], true, false},
		{"another user", "geheim", "4712", sig, true, false},
		{"nothing", "geheim", "4711", "", true, false},
		{"nobody", "geheim", "", Signature("geheim", ""), true, false},
		{"no secret", "", "4711", Signature("", "4711"), false, false},
	} {
		configured, right := Driver{}.User(channel.Settings{"identity_secret": tt.secret}, tt.user, tt.sig)
		if configured != tt.configured || right != tt.right {
			t.Errorf("%s: %t, %t", tt.name, configured, right)
		}
	}
}

func TestFiles(t *testing.T) {
	raw := []byte(`{"visitor":"visitor:a","files":[{"name":"a.txt","media_type":"text/plain","size":3},{"name":"b","size":0},{"name":"c.txt","media_type":"text/plain","size":4}]}` + "\n" + `{"client_id":"1"}` + "\nabc\nxyz")
	events, err := Driver{}.Reparse(account(nil), raw)
	if err != nil || len(events) != 1 || len(events[0].Message.Attachments) != 3 {
		t.Fatalf("%+v, %v", events, err)
	}
	var got []string
	for _, a := range events[0].Message.Attachments {
		r, err := Driver{}.OpenPart(raw, a.Part)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		got = append(got, string(b))
	}
	if fmt.Sprint(got) != fmt.Sprint([]string{"abc", "", "\nxyz"}) {
		t.Errorf("files %q", got)
	}
	for _, part := range []string{"0", "4", "-1", "x", ""} {
		if _, err := (Driver{}).OpenPart(raw, part); err == nil {
			t.Errorf("part %q opens", part)
		}
	}
	for _, bad := range [][]byte{raw[:len(raw)-1], append(bytes.Clone(raw), 'x')} {
		if _, err := (Driver{}).Reparse(account(nil), bad); err == nil {
			t.Error("files of another length are taken")
		}
	}
}

func FuzzReparse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
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
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := Driver{}.Reparse(account(nil), raw)
		if err != nil {
			if len(events) > 0 {
				t.Error("an error and events")
			}
			return
		}
		channeltest.CheckEvents(t, events)
		for _, e := range events {
			if e.Message == nil {
				continue
			}
			for _, a := range e.Message.Attachments {
				r, err := Driver{}.OpenPart(raw, a.Part)
				if err != nil {
					t.Fatalf("part %s: %v", a.Part, err)
				}
				if b, _ := io.ReadAll(r); int64(len(b)) != a.Size {
					t.Errorf("part %s has %d bytes, not %d", a.Part, len(b), a.Size)
				}
			}
		}
	})
}
