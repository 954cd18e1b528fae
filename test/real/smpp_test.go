//go:build real

package real_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/smpp"
)

// TestSMPP talks to an SMSC made of node-smpp.
func TestSMPP(t *testing.T) {
	need(t, "node", "npm")
	sdk, err := filepath.Abs("sdk")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(sdk, "node_modules", "smpp")); err != nil {
		if out, err := exec.Command("npm", "--prefix", sdk, "ci", "--no-audit", "--no-fund", "--ignore-scripts").CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
	}
	cmd := exec.Command("node", "smsc.cjs", sdk)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	type said struct {
		Op, ID, To, Text, UDH, Port string
		Status                      int
	}
	lines := make(chan said, 100)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			var m said
			if json.Unmarshal(s.Bytes(), &m) == nil {
				lines <- m
			}
		}
	}()
	hear := func(op string) said {
		t.Helper()
		for {
			select {
			case m := <-lines:
				if m.Op == op {
					return m
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("the SMSC did not say %q", op)
			}
		}
	}
	a := channel.Account{ID: "real", Kind: smpp.Kind, Settings: channel.Settings{"host": "127.0.0.1", "port": hear("listen").Port, "tls": "none",
		"system_id": "muster", "password": "geheim12", "source_addr": "+4915200000000"}}
	env := channel.Env{Dial: channel.DialFunc(new(net.Dialer).DialContext), Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	events := make(chan channel.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = smpp.New().Listen(ctx, a, "", env, func(_ context.Context, in channel.Inbound) error {
			if in.Err != "" {
				t.Error(in.Err)
			}
			for _, e := range in.Events {
				events <- e
			}
			return nil
		})
	}()
	defer func() { cancel(); <-done }()
	await := func(typ channel.EventType) channel.Event {
		t.Helper()
		for {
			select {
			case e := <-events:
				if e.Type == typ {
					return e
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("no %s came", typ)
			}
		}
	}
	hear("bind")
	for _, text := range []string{"Grüße aus Köln, 5 €", "Привет 🙂"} {
		r, err := smpp.New().Send(ctx, a, channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "+4915123400001"}, Text: text}, env)
		if err != nil {
			t.Fatal(err)
		}
		if m := hear("submit"); m.Text != text || m.To != "4915123400001" || strings.ToLower(m.ID) != r.ExternalID {
			t.Errorf("arrived as %+v, receipt %+v", m, r)
		}
		// The response is in hex, the receipt in decimal.
		if e := await(channel.StatusEvent); e.Status.ExternalID != r.ExternalID || e.Status.State != channel.Delivered {
			t.Errorf("reported as %+v", e.Status)
		}
	}
	long := strings.TrimSpace(strings.Repeat("Ein langer Text mit Umlauten wie ä und ö. ", 8))
	if _, err := smpp.New().Send(ctx, a, channel.Outgoing{DeliveryID: "e", To: channel.Address{Value: "+4915123400001"}, Text: long}, env); err != nil {
		t.Fatal(err)
	}
	if got := hear("submit").Text + hear("submit").Text + hear("submit").Text; got != long {
		t.Errorf("the parts arrived as %q", got)
	}
	for _, parts := range [][]string{{"Hallo Köln"}, {"Das ist der erste Teil, ", "und das der zweite €."}} {
		b, _ := json.Marshal(parts)
		if _, err := in.Write(append(b, '\n')); err != nil {
			t.Fatal(err)
		}
		if e := await(channel.MessageEvent); e.Message.Text != strings.Join(parts, "") || e.Sender.Value != "+4915123400001" {
			t.Errorf("came as %q from %s", e.Message.Text, e.Sender.Value)
		}
		if m := hear("acknowledged"); m.Status != 0 {
			t.Errorf("answered with %d", m.Status)
		}
	}
}
