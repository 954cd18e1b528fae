package smpp

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linxGnu/gosmpp/data"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/smpp/smppsim"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

var settings = channel.Settings{"host": "smpp.example.com", "port": "3550", "system_id": "muster", "password": "geheim12", "source_addr": "+4915200000000"}

func with(kv ...string) channel.Settings {
	c := channel.Settings{}
	for k, v := range settings {
		c[k] = v
	}
	for i := 0; i < len(kv); i += 2 {
		c[kv[i]] = kv[i+1]
	}
	return c
}

func env() channel.Env {
	e := channeltest.Env()
	e.Dial = channel.DialFunc(new(net.Dialer).DialContext)
	return e
}

// parseHex parses PDUs in hex; lines that begin with # and white space do not count.
func parseHex(text []byte) ([]channel.Event, error) {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	raw, err := hex.DecodeString(b.String())
	if err != nil {
		return nil, err
	}
	return parse(settings, raw)
}

// answers is a simulator of which the next submit_sm fails like that.
func answers(status data.CommandStatusType, want channel.Class) channeltest.Send {
	return sends(status.String(), channelsim.Fault{Op: "message", Status: int(status)}, want)
}

func sends(name string, f channelsim.Fault, want channel.Class) channeltest.Send {
	return channeltest.Send{Name: name, Want: want, Out: channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "+4915123400001"}, Text: "Guten Tag"},
		Setup: func(t *testing.T) (channel.Account, channel.Env) {
			sim := smppsim.New(smppsim.Options{})
			t.Cleanup(sim.Close)
			sim.Person("Erika Muster")
			if f.Op != "" {
				sim.Fail(f)
			}
			return channel.Account{ID: "s", Kind: Kind, Settings: sim.Settings("")}, env()
		}}
}

func TestDriver(t *testing.T) {
	wrong := sends("wrong password", channelsim.Fault{}, channel.Misconfig)
	setup := wrong.Setup
	wrong.Setup = func(t *testing.T) (channel.Account, channel.Env) {
		a, e := setup(t)
		a.Settings["password"] = "falsch12"
		return a, e
	}
	refused := sends("connection refused", channelsim.Fault{}, channel.Temporary)
	refused.Setup = func(t *testing.T) (channel.Account, channel.Env) {
		a, e := setup(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, a.Settings["port"], _ = net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		return a, e
	}
	name := sends("to a name", channelsim.Fault{}, channel.NotHere)
	name.Out.To.Value = "Musterhaus"
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: channel.Account{ID: "a", Kind: Kind, Settings: settings},
		BadSettings: map[string]channel.Settings{
			"a URL":                with("host", "smpp://x"),
			"no such port":         with("port", "70000"),
			"port is a word":       with("port", "smpp"),
			"a window of nothing":  with("window_size", "0"),
			"a negative rate":      with("messages_per_second", "-1"),
			"no rate":              with("messages_per_second", "NaN"),
			"system_id too long":   with("system_id", "abcdefghijklmnop"),
			"password with umlaut": with("password", "geheimß"),
			"sender too long":      with("source_addr", "Musterversicherung"),
			"no country":           with("default_region", "Germany"),
			"no certificate":       with("tls_ca", "x"),
		},
		Parse:   parseHex,
		Samples: "testdata/*.hex",
		Sends: []channeltest.Send{
			sends("accepted", channelsim.Fault{}, ""), wrong, refused, name,
			sends("cut", channelsim.Fault{Op: "message", Cut: true}, channel.Unknown),
			sends("accepted, then cut", channelsim.Fault{Op: "message", Accept: true, Cut: true}, channel.Unknown),
			answers(data.ESME_RTHROTTLED, channel.RateLimited), answers(data.ESME_RMSGQFUL, channel.RateLimited),
			answers(data.ESME_RINVDSTADR, channel.NotHere), answers(data.ESME_RINVSRCADR, channel.Misconfig),
			answers(data.ESME_RSYSERR, channel.Temporary), answers(data.ESME_RSUBMITFAIL, channel.Permanent), answers(0x4FF, channel.Permanent),
		},
	})
}

func TestExchange(t *testing.T) {
	for name, o := range map[string]smppsim.Options{"header": {}, "SAR, backwards, one by one, decimal receipts": {SAR: true, Reverse: true, Deliver: 1, ReceiptID: "decimal"}} {
		t.Run(name, func(t *testing.T) {
			channeltest.Exchange(t, channeltest.Talk{Driver: New(), New: func(*testing.T) channelsim.Sim { return smppsim.New(o) }, Nobody: "+4917000000000"})
		})
	}
}

const long = "Guten Tag, das ist eine lange Nachricht mit Umlauten: ä, ö, ü und ß. Sie hat mehr als einhundertsechzig Zeichen, damit sie in mehreren Teilen kommt, die der Empfänger wieder zusammensetzen muss. Ende."

// Long messages are joined, in whatever order their parts come, and across a lost connection.
func TestJoin(t *testing.T) {
	for name, o := range map[string]smppsim.Options{"header": {}, "SAR": {SAR: true}, "backwards": {Reverse: true}, "one by one": {Deliver: 1}} {
		t.Run(name, func(t *testing.T) {
			sim := smppsim.New(o)
			c := channeltest.Open(t, New(), sim, nil)
			for _, text := range []string{long, long + " €🙂"} {
				if _, err := sim.Person("Erika Muster").Write(text, ""); err != nil {
					t.Fatal(err)
				}
				c.Await("the message", func(e channel.Event) bool { return e.Message != nil && e.Message.Text == text })
			}
			if n := len(c.Events()); n != 2 {
				t.Errorf("%d events, want 2", n)
			}
		})
	}
}

// listen runs Listen over a sink until the test or the function ends it; it gives the cursor that was stored last.
func listen(t *testing.T, sim *smppsim.Sim, cursor string, sink func(channel.Inbound) error) (stop func() string) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	last := cursor
	go func() {
		defer close(done)
		_ = New().Listen(ctx, channel.Account{ID: t.Name(), Kind: Kind, Settings: sim.Settings("")}, cursor, env(), func(_ context.Context, in channel.Inbound) error {
			if err := sink(in); err != nil {
				return err
			}
			last = in.Cursor
			return nil
		})
	}()
	return func() string { cancel(); <-done; return last }
}

// The same words twice are two messages; a PDU that comes again is one, also if the process died before the SMSC had read
// our answer.
func TestRepetition(t *testing.T) {
	sim := smppsim.New(smppsim.Options{})
	defer sim.Close()
	p := sim.Person("Erika Muster")
	keys := make(chan string, 100)
	fail := 1
	stop := listen(t, sim, "", func(in channel.Inbound) error {
		if fail > 0 && len(in.Events) > 0 {
			fail--
			return errors.New("the disk is full") // it comes again
		}
		for _, e := range in.Events {
			keys <- e.Key
		}
		return nil
	})
	for range 2 {
		if _, err := p.Write("ja", ""); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := <-keys, <-keys; a == b {
		t.Error("the same words twice are one message")
	}
	cursor := stop()
	if len(keys) > 0 {
		t.Errorf("%d more messages", len(keys))
	}
	// After an orderly end the SMSC has read everything: the same words are new.
	if strings.Contains(cursor, `"d`) {
		t.Errorf("still in doubt after unbind: %s", cursor)
	}
	stop = listen(t, sim, cursor, func(in channel.Inbound) error {
		for _, e := range in.Events {
			keys <- e.Key
		}
		return nil
	})
	if _, err := p.Write("ja", ""); err != nil {
		t.Fatal(err)
	}
	<-keys
	stop()
}

// The parts that were acknowledged before a crash are joined with those that come after it.
func TestPartsSurvive(t *testing.T) {
	list, err := sms.Split(long, 7, false)
	if err != nil || len(list) != 2 {
		t.Fatal(err, len(list))
	}
	w := &worker{a: channel.Account{Settings: settings}, env: env(), post: &post{}, at: &session{}}
	var in []channel.Inbound
	w.sink = func(_ context.Context, i channel.Inbound) error { in = append(in, i); return nil }
	arrive := func(w *worker, seq uint32, s sms.Segment) {
		raw := pduOf(seq, 0x40, 0, append(append([]byte(nil), s.UDH...), s.Payload...))
		f, err := readFrame(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.keep(t.Context(), arrival{f, time.Now()}, &seen{session: w.at, seq: seq, arrived: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	arrive(w, 1, list[1])
	if len(in) != 1 || len(in[0].Events) != 0 || in[0].Cursor == "" {
		t.Fatalf("a part was stored as %+v", in)
	}
	again := &worker{a: w.a, env: w.env, post: w.post, at: &session{}, bound: time.Now(), sink: w.sink}
	again.load(in[0].Cursor)
	arrive(again, 1, list[1]) // comes again, as the answer was lost
	arrive(again, 2, list[0])
	last := in[len(in)-1]
	if len(last.Events) != 1 || last.Events[0].Message.Text != long {
		t.Fatalf("joined as %+v", last.Events)
	}
	if strings.Contains(last.Cursor, "parts") {
		t.Errorf("the cursor still has parts: %s", last.Cursor)
	}
	arrive(again, 9, sms.Segment{UDH: sms.Concat{Ref: 8, Total: 3, Seq: 2}.UDH(), Payload: []byte("Mitte")})
	again.expire(t.Context(), time.Now().Add(partsWait+time.Second))
	last = in[len(in)-1]
	if len(last.Events) != 1 || last.Events[0].Message.Text != "[…] Mitte […]" {
		t.Errorf("an incomplete message came as %+v", last.Events)
	}
}

// pduOf writes a deliver_sm by hand.
func pduOf(seq uint32, esm, coding byte, sm []byte) []byte {
	b := headerOnly(deliverSM, 0, seq)
	b = append(b, 0, 1, 1)
	b = append(append(b, "4915123400001"...), 0, 1, 1)
	b = append(append(b, "4915200000000"...), 0, esm, 0, 0, 0, 0, 0, 0, coding, 0, byte(len(sm)))
	b = append(b, sm...)
	b[2], b[3] = byte(len(b)>>8), byte(len(b))
	return b
}

// The window and the agreed rate are kept, and used.
func TestRate(t *testing.T) {
	sim := smppsim.New(smppsim.Options{PerSecond: 200, Window: 10})
	sim.Latency = 20 * time.Millisecond
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	if _, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "x"}); err != nil {
		t.Fatal(err)
	}
	const n = 200
	errs := make(chan error, n)
	began := time.Now()
	for i := range n {
		go func() {
			_, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: fmt.Sprint("Nr. ", i)})
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%.0f messages/s of 200", n/time.Since(began).Seconds())
	if o := sim.Oversteps(); len(o) > 0 {
		t.Errorf("limits were broken: %v", o)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(pduOf(1, 0, 0, []byte("Hallo")))
	f.Add(pduOf(1, 4, 0, []byte("id:0A1B sub:001 dlvrd:001 submit date:2511241200 done date:2511241201 stat:DELIVRD err:000 text:Hallo")))
	f.Add(append(pduOf(1, 0x40, 8, []byte{5, 0, 3, 7, 2, 1, 0xD8, 0x3D}), pduOf(2, 0x40, 8, []byte{5, 0, 3, 7, 2, 2, 0xDE, 0x42})...))
	files, _ := filepath.Glob("testdata/*.hex")
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil {
			if raw, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), "")); err == nil {
				f.Add(raw)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := parse(settings, raw)
		if err != nil && len(events) > 0 {
			t.Error("an error and events")
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkParse(b *testing.B) {
	raw := pduOf(1, 0, 0, []byte("Guten Tag, mein Vertrag"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(settings, raw); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "PDUs/s")
}
