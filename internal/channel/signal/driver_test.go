package signal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/signal/signalsim"
)

func account(rpc string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Signal",
		Settings: channel.Settings{"account": "+493022334455", "rpc_address": rpc}}
}

func env() channel.Env {
	e := channeltest.Env()
	e.Dial = channel.DialFunc(new(net.Dialer).DialContext)
	return e
}

var hello = channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "+4915112345678"}, Text: "Guten Tag"}

// daemon answers every request of one connection with the given lines; "" cuts it.
func daemon(t *testing.T, answer string) (channel.Account, channel.Env) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := bufio.NewReader(c).ReadBytes('\n'); err == nil && answer != "" {
				_, _ = c.Write([]byte(answer + "\n"))
			}
			_ = c.Close()
		}
	}()
	return account(l.Addr().String()), env()
}

func says(name, answer string, want channel.Class) channeltest.Send {
	return channeltest.Send{Name: name, Out: hello, Want: want,
		Setup: func(t *testing.T) (channel.Account, channel.Env) { return daemon(t, answer) }}
}

func refuses(code int, message, result string, want channel.Class) channeltest.Send {
	data := "null"
	if result != "" {
		data = `{"response":{"timestamp":1764000001500,"results":[` + result + `]}}`
	}
	return says(fmt.Sprintf("%d %s %s", code, message, result),
		fmt.Sprintf(`{"jsonrpc":"2.0","error":{"code":%d,"message":%q,"data":%s},"id":"1"}`, code, message, data), want)
}

func TestDriver(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("127.0.0.1:7583"),
		BadSettings: map[string]channel.Settings{
			"account without +":         {"account": "493022334455", "rpc_address": "127.0.0.1:7583"},
			"account is a name":         {"account": "musterhaus", "rpc_address": "127.0.0.1:7583"},
			"no port":                   {"account": "+493022334455", "rpc_address": "127.0.0.1"},
			"port out of range":         {"account": "+493022334455", "rpc_address": "127.0.0.1:70000"},
			"relative socket":           {"account": "+493022334455", "rpc_address": "unix:signal.sock"},
			"a URL":                     {"account": "+493022334455", "rpc_address": "http://127.0.0.1:8080/api/v1/rpc"},
			"a link of somebody else's": {"account": "+493022334455", "rpc_address": "127.0.0.1:7583", "username_link": "https://evil.example/#eu/x"},
		},
		Parse:   parse,
		Samples: "testdata/*.json",
		WithID: func(number string) []byte {
			return fmt.Appendf(nil, `{"method":"receive","params":{"envelope":{"sourceUuid":"9b3c5d7e-0000-4000-8000-000000000001","timestamp":%[1]s,"dataMessage":{"timestamp":%[1]s,"message":"x"}}}}`, number)
		},
		WithName: func(name string) []byte {
			q, _ := json.Marshal(name)
			return fmt.Appendf(nil, `{"method":"receive","params":{"envelope":{"sourceUuid":"9b3c5d7e-0000-4000-8000-000000000001","sourceName":%s,"timestamp":1764000000000,"dataMessage":{"timestamp":1764000000000,"message":"x"}}}}`, q)
		},
		Sends: []channeltest.Send{
			{Name: "accepted", Out: hello, Setup: func(t *testing.T) (channel.Account, channel.Env) {
				return daemon(t, `{"jsonrpc":"2.0","result":{"timestamp":1764000001500,"results":[{"recipientAddress":{"uuid":"9b3c5d7e-0000-4000-8000-000000000001","number":"+4915112345678"},"type":"SUCCESS"}]},"id":"1"}`)
			}, Check: func(t *testing.T, r channel.Receipt, _ *channel.SendError) {
				if r.ExternalID != "to:9b3c5d7e-0000-4000-8000-000000000001:1764000001500" {
					t.Errorf("external id %q", r.ExternalID)
				}
			}},
			says("an old daemon", `{"jsonrpc":"2.0","result":{"timestamp":1764000001500},"id":"1"}`, ""),
			says("a message between", `{"jsonrpc":"2.0","method":"receive","params":{}}`+"\n"+`{"jsonrpc":"2.0","result":{"timestamp":1764000001500},"id":"1"}`, ""),
			says("a failure as a result", `{"jsonrpc":"2.0","result":{"timestamp":1764000001500,"results":[{"type":"UNREGISTERED_FAILURE"}]},"id":"1"}`, channel.NotHere),
			says("cut after it was written", "", channel.Unknown),
			says("no JSON", "<html>", channel.Unknown),
			says("no timestamp", `{"jsonrpc":"2.0","result":{},"id":"1"}`, channel.Unknown),
			refuses(-1, "Failed to send message", `{"type":"UNREGISTERED_FAILURE"}`, channel.NotHere),
			refuses(-1, "Failed to send message", `{"type":"NETWORK_FAILURE"}`, channel.Unknown),
			refuses(-4, "Failed to send message due to untrusted identities", `{"type":"IDENTITY_FAILURE"}`, channel.Permanent),
			refuses(-5, "Failed to send message due to rate limiting", `{"type":"RATE_LIMIT_FAILURE","retryAfterSeconds":90}`, channel.RateLimited),
			refuses(-5, "Failed to send message due to rate limiting", "", channel.RateLimited),
			refuses(-1, "Failed to send message", `{"type":"RATE_LIMIT_FAILURE","token":"x","retryAfterSeconds":86400}`, channel.RateLimited),
			refuses(-1, "Failed to send message", `{"type":"INVALID_PRE_KEY_FAILURE"}`, channel.Temporary),
			refuses(-1, "The user +4915112345678 is not registered.", "", channel.NotHere),
			refuses(-1, "Invalid phone number", "", channel.NotHere),
			refuses(-1, "Sending empty message is not allowed", "", channel.Permanent),
			refuses(-3, "Failed to send message: closed (IOException)", "", channel.Unknown),
			refuses(-4, "untrusted", "", channel.Permanent),
			refuses(-32602, "Specified account does not exist", "", channel.Misconfig),
			refuses(-32601, "Method not implemented", "", channel.Misconfig),
			refuses(-32603, "Failed to send message: chat.signal.org (UnknownHostException)", "", channel.Temporary),
			refuses(-32603, "Failed to send message: x (AttachmentInvalidException)", "", channel.Permanent),
			refuses(-32603, "Failed to send message: timeout (SocketTimeoutException)", "", channel.Unknown),
			{Name: "connection refused", Out: hello, Want: channel.Temporary, Setup: func(t *testing.T) (channel.Account, channel.Env) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				_ = l.Close()
				return account(l.Addr().String()), env()
			}},
			{Name: "not allowed", Out: hello, Want: channel.Misconfig, Setup: func(*testing.T) (channel.Account, channel.Env) {
				e := env()
				e.Dial = channel.DialFunc(func(context.Context, string, string) (net.Conn, error) { return nil, barred{} })
				return account("127.0.0.1:7583"), e
			}},
		},
	})
}

type barred struct{}

func (barred) Error() string { return "not a public address" }
func (barred) NotSent() bool { return true }

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{
		Driver: New(),
		New:    func(*testing.T) channelsim.Sim { return signalsim.New(signalsim.Options{}) },
		Nobody: "+4915100000000",
	})
}

// A daemon on the same machine is reached by its socket.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "sig")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if _, err := bufio.NewReader(c).ReadBytes('\n'); err == nil {
			_, _ = c.Write([]byte(`{"jsonrpc":"2.0","result":[{"id":1}],"id":"1"}` + "\n"))
		}
	}()
	if err := New().Probe(t.Context(), account("unix:"+filepath.Join(dir, "s")), channeltest.Env()); err != nil {
		t.Fatal(err)
	}
}

func TestProbe(t *testing.T) {
	for answer, ok := range map[string]bool{
		`{"jsonrpc":"2.0","result":[{"id":1}],"id":"1"}`:                                                  true,
		`{"jsonrpc":"2.0","error":{"code":-32602,"message":"Specified account does not exist"},"id":"1"}`: false,
		`{"jsonrpc":"2.0","error":{"code":-3,"message":"timeout"},"id":"1"}`:                              false,
		"": false,
	} {
		a, e := daemon(t, answer)
		err := New().Probe(t.Context(), a, e)
		var trouble *channel.Trouble
		if (err == nil) != ok || err != nil && (!errors.As(err, &trouble) || trouble.Remedy.DE == "" || trouble.Remedy.EN == "") {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// Nothing waits in the process that is not stored: what cannot be stored is tried again, and messages wait at Signal while
// nobody listens.
func TestNothingIsLost(t *testing.T) {
	sim := signalsim.New(signalsim.Options{})
	defer sim.Close()
	p := sim.Person("Erika Muster")
	for i := range 5 {
		if _, err := p.Write(fmt.Sprint("Nr. ", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	if waiting, _ := sim.Waiting(); waiting != 5 {
		t.Fatalf("%d messages wait at Signal, want 5", waiting)
	}
	a := channel.Account{ID: "a", Kind: Kind, Settings: sim.Settings("")}
	ctx, cancel := context.WithCancel(t.Context())
	got, refusals := map[string]int{}, 0
	err := New().Listen(ctx, a, "", env(), func(_ context.Context, in channel.Inbound) error {
		if refusals < 2 {
			refusals++
			return errors.New("the disk is full")
		}
		for _, e := range in.Events {
			got[e.Key]++
		}
		if len(got) == 1 {
			cancel() // what was handed out already is stored all the same
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	waiting, _ := sim.Waiting()
	if len(got)+waiting != 5 {
		t.Errorf("%d stored, %d wait at Signal: %d are lost", len(got), waiting, 5-len(got)-waiting)
	}
}

// A daemon that is restarted is an outage, not the end.
func TestReconnect(t *testing.T) {
	sim := signalsim.New(signalsim.Options{PerSecond: -1})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	for i := range 3 {
		text := fmt.Sprint("Nr. ", i)
		if _, err := p.Write(text, ""); err != nil {
			t.Fatal(err)
		}
		c.Await(text, func(e channel.Event) bool { return e.Message != nil && e.Message.Text == text })
		sim.Drop()
	}
}

// Customers who hide their number are reached by their ACI.
func TestWithoutNumber(t *testing.T) {
	sim := signalsim.New(signalsim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("anonym")
	ref, err := p.Write("Ich bin’s", "")
	if err != nil {
		t.Fatal(err)
	}
	e := c.Await("the message", func(e channel.Event) bool { return e.Message != nil })
	if e.Sender.Value != p.Address() || strings.HasPrefix(e.Sender.Value, "+") || e.Message.ExternalID != ref {
		t.Errorf("came as %+v", e)
	}
	r, err := c.Send(t.Context(), channel.Outgoing{To: e.Sender, Text: "Guten Tag", ReplyTo: ref})
	if err != nil {
		t.Fatal(err)
	}
	c.Await("the receipt", func(e channel.Event) bool { return e.Status != nil && e.Status.ExternalID == r.ExternalID })
	if got := c.Got(p, 1)[0]; got.ReplyTo != ref {
		t.Errorf("the quote arrived as %q", got.ReplyTo)
	}
}

// Signal's limit is told to the caller with how long to wait.
func TestRateLimit(t *testing.T) {
	sim := signalsim.New(signalsim.Options{PerSecond: 0.01})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	for i := range 61 {
		_, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "x"})
		var failure *channel.SendError
		if i < 60 && err != nil || i == 60 && (!errors.As(err, &failure) || failure.Class != channel.RateLimited || failure.RetryAfter < 30*time.Second) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestQuoted(t *testing.T) {
	for _, tt := range []struct {
		ref, author, stamp string
	}{
		{"9b3c5d7e-0000-4000-8000-000000000001:1764000000123", "9b3c5d7e-0000-4000-8000-000000000001", "1764000000123"},
		{"to:9b3c5d7e-0000-4000-8000-000000000001:1764000000123", "+493022334455", "1764000000123"},
		{"+4915112345678:1764000000123", "+4915112345678", "1764000000123"},
		{"", "", ""}, {"x", "", ""}, {":1", "", ""}, {"a:b", "", ""}, {"a:-1", "", ""}, {"a:1.5", "", ""},
	} {
		author, stamp, ok := quoted(tt.ref, "+493022334455")
		if ok != (tt.author != "") || ok && (author != tt.author || string(stamp) != tt.stamp) {
			t.Errorf("quoted(%q) = %q, %q, %t", tt.ref, author, stamp, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
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
		events, err := parse(bytes.Clone(raw))
		if err != nil && len(events) > 0 {
			t.Error("an error and events")
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkParse(b *testing.B) {
	raw, err := os.ReadFile("testdata/text.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if events, err := parse(raw); err != nil || len(events) != 1 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
}
