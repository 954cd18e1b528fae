package channeltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Company is the least that can stand at the other end of a simulated provider: it takes webhooks or listens, keeps
// every event once, and can send. Drivers are tried with it against their simulator.
type Company struct {
	Driver  channel.Driver
	Account channel.Account
	Env     channel.Env

	t       *testing.T
	sim     channelsim.Sim
	mu      sync.Mutex
	events  []channel.Event
	keys    map[string]bool
	again   int // events that came again
	cursor  string
	changed chan struct{}
	serial  int
}

// Open connects a driver and its simulator over loopback HTTP until the test ends. set changes the account's settings;
// may be nil.
func Open(t *testing.T, d channel.Driver, sim channelsim.Sim, set channel.Settings) *Company {
	t.Helper()
	c := &Company{Driver: d, t: t, sim: sim, keys: map[string]bool{}, changed: make(chan struct{}), Env: Env()}
	api := httptest.NewServer(sim)
	settings := sim.Settings(api.URL)
	for k, v := range set {
		settings[k] = v
	}
	c.Account = channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Org: "o", Kind: d.Kind(), Name: "Musterhaus", Settings: settings}
	if err := d.Check(settings); err != nil {
		t.Fatalf("the simulator's settings are refused: %v", err)
	}
	house := httptest.NewServer(http.HandlerFunc(c.serve))
	c.Env.WebhookURL = house.URL + "/in/" + string(d.Kind()) + "/" + c.Account.ID
	c.Env.Dial = channel.DialFunc(dialer.DialContext)
	c.Env.SaveSetting = func(_ context.Context, key, value string, replaces func(string) bool) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if replaces == nil || replaces(c.Account.Settings[key]) {
			c.Account.Settings[key] = value
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	if l, ok := d.(channel.Listener); ok {
		work.Go(func() {
			for ctx.Err() == nil {
				c.mu.Lock()
				cursor := c.cursor
				c.mu.Unlock()
				if err := l.Listen(ctx, c.Account, cursor, c.Env, c.sink); err != nil && ctx.Err() == nil {
					c.Env.Log.Debug("listener ended", "error", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		sim.Close()
		work.Wait()
		house.CloseClientConnections()
		house.Close()
		api.CloseClientConnections()
		api.Close()
	})
	sim.Connect(c.Env.WebhookURL)
	return c
}

var dialer = &net.Dialer{Timeout: 5 * time.Second}

// serve takes a webhook as the house does: verify, parse, keep, answer.
func (c *Company) serve(w http.ResponseWriter, r *http.Request) {
	d, ok := c.Driver.(channel.Webhook)
	if !ok {
		http.NotFound(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	base := "/in/" + string(c.Driver.Kind()) + "/" + c.Account.ID
	c.mu.Lock()
	account := c.Account
	c.mu.Unlock()
	req := &channel.Request{Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, base), Query: r.URL.Query(), Header: r.Header, Body: body,
		URLs: []string{"http://" + r.Host + r.URL.RequestURI()}, At: time.Now()}
	if err := d.Verify(account, req, req.At); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	events, reply, err := d.Parse(account, req)
	if err != nil {
		c.t.Errorf("%s %s cannot be parsed: %v\n%s", r.Method, req.Path, err, body)
	}
	c.keep(events)
	if reply.Type != "" {
		w.Header().Set("Content-Type", reply.Type)
	}
	if reply.Status != 0 {
		w.WriteHeader(reply.Status)
	}
	_, _ = w.Write(reply.Body)
}

func (c *Company) sink(_ context.Context, in channel.Inbound) error {
	if in.Err != "" {
		c.t.Errorf("cannot be parsed: %s\n%s", in.Err, in.Raw)
	}
	c.keep(in.Events)
	if in.Cursor != "" {
		c.mu.Lock()
		c.cursor = in.Cursor
		c.mu.Unlock()
	}
	return nil
}

func (c *Company) keep(events []channel.Event) {
	CheckEvents(c.t, events)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		if c.keys[e.Key] {
			c.again++
			continue
		}
		c.keys[e.Key] = true
		c.events = append(c.events, e)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Events is what came so far, each once, without typing.
func (c *Company) Events() []channel.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.events), func(e channel.Event) bool { return e.Type == channel.TypingEvent })
}

// Again is how many events came more than once.
func (c *Company) Again() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again
}

// Await gives the first event, from then on or before, that fits; the test fails if none comes within 15 seconds.
func (c *Company) Await(what string, fits func(channel.Event) bool) channel.Event {
	c.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		for _, e := range c.Events() {
			if fits(e) {
				return e
			}
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("%s never came; what came:\n%s", what, show(c.Events()))
		}
	}
}

// Send sends; DeliveryID is made up where it is empty.
func (c *Company) Send(ctx context.Context, out channel.Outgoing) (channel.Receipt, error) {
	c.mu.Lock()
	c.serial++
	if out.DeliveryID == "" {
		out.DeliveryID = fmt.Sprintf("0193a1b2-0000-7000-8000-%012d", c.serial)
	}
	account := c.Account
	c.mu.Unlock()
	if out.Author == "" {
		out.Author = channel.Staff
	}
	out.At = time.Now()
	return c.Driver.(channel.Sender).Send(ctx, account, out, c.Env)
}

// Got waits until a person has n messages, and gives them.
func (c *Company) Got(p channelsim.Person, n int) []channelsim.Message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 15*time.Second)
	defer cancel()
	if !c.sim.Common().Wait(ctx, func() bool { return len(p.Inbox()) >= n }) {
		c.t.Fatalf("the customer got %d messages, not %d:\n%s", len(p.Inbox()), n, show(p.Inbox()))
	}
	return p.Inbox()
}

// Talk is what Exchange needs to know beside driver and simulator.
type Talk struct {
	Driver channel.Driver
	// New makes the simulator, anew for each conversation, with limits as strict as the provider's.
	New func(t *testing.T) channelsim.Sim
	Set channel.Settings
	// Nobody is an address that the provider does not know; "" leaves it out.
	Nobody string
	// Pause is kept between two sends, for strict simulators (in the house the outbox keeps the driver's Pace).
	Pause time.Duration
}

// Exchange lets a customer and the company talk through the simulated provider in every way that the driver's
// Capabilities promise, and holds the two ends against each other.
func Exchange(t *testing.T, k Talk) {
	caps := k.Driver.Capabilities()
	begin := func(t *testing.T) (*Company, channelsim.Person) {
		c := Open(t, k.Driver, k.New(t), k.Set)
		return c, c.sim.Person("Erika Muster")
	}
	hello := func(t *testing.T, c *Company, p channelsim.Person) channel.Event {
		t.Helper()
		if _, err := p.Write("Guten Tag, ich hätte eine Frage.", ""); err != nil {
			t.Fatal(err)
		}
		return c.Await("the greeting", func(e channel.Event) bool { return e.Type == channel.MessageEvent })
	}
	to := func(p channelsim.Person) channel.Address { return channel.Address{Value: p.Address()} }
	say := func(t *testing.T, c *Company, out channel.Outgoing) channel.Receipt {
		t.Helper()
		time.Sleep(k.Pause)
		r, err := c.Send(t.Context(), out)
		if err != nil {
			t.Fatalf("not accepted: %v", err)
		}
		if r.ExternalID == "" {
			t.Fatal("no external id")
		}
		return r
	}
	lawful := func(t *testing.T, c *Company) {
		t.Helper()
		if o := c.sim.Common().Oversteps(); len(o) > 0 {
			t.Errorf("the provider's limits were broken: %v", o)
		}
	}
	t.Run("there and back", func(t *testing.T) {
		c, p := begin(t)
		e := hello(t, c, p)
		if e.Sender.Value != p.Address() {
			t.Errorf("the sender is %q, the customer's address %q", e.Sender.Value, p.Address())
		}
		if e.Message.Text != "Guten Tag, ich hätte eine Frage." || e.Message.ExternalID == "" {
			t.Errorf("came as %s", show(e.Message))
		}
		r := say(t, c, channel.Outgoing{To: to(p), Text: "Guten Tag! Was möchten Sie wissen? ßäöü €"})
		m := c.Got(p, 1)[0]
		if m.Text != "Guten Tag! Was möchten Sie wissen? ßäöü €" || m.Ref != r.ExternalID {
			t.Errorf("arrived as %s, receipt %s", show(m), show(r))
		}
		if caps.Delivered {
			c.Await("the delivery report", func(e channel.Event) bool {
				return e.Type == channel.StatusEvent && e.Status.State == channel.Delivered && e.Status.ExternalID == r.ExternalID || e.Type == channel.ReadEvent
			})
		}
		if caps.Read {
			if err := p.Read(); err != nil {
				t.Fatalf("Read: %v", err)
			}
			c.Await("the read report", func(e channel.Event) bool {
				return e.Type == channel.StatusEvent && e.Status.State == channel.Read && e.Status.ExternalID == r.ExternalID || e.Type == channel.ReadEvent && (e.Ref == r.ExternalID || !e.Upto.IsZero())
			})
		}
		lawful(t, c)
	})
	t.Run("several people", func(t *testing.T) {
		c, p := begin(t)
		hello(t, c, p)
		other := c.sim.Person("Jonas Krause")
		if other.Address() == p.Address() {
			t.Fatal("two people have one address")
		}
		if _, err := other.Write("Ich auch.", ""); err != nil {
			t.Fatal(err)
		}
		c.Await("the other one", func(e channel.Event) bool { return e.Sender.Value == other.Address() && e.Type == channel.MessageEvent })
		say(t, c, channel.Outgoing{To: to(other), Text: "Nur für Sie."})
		c.Got(other, 1)
		if len(p.Inbox()) != 0 {
			t.Error("somebody got what was said to somebody else")
		}
	})
	if caps.Buttons > 0 {
		t.Run("choices", func(t *testing.T) {
			c, p := begin(t)
			hello(t, c, p)
			long := strings.Repeat("ä", caps.ButtonTitleMax-2) + "!?"
			var list []channel.Choice
			for i := range caps.Buttons {
				label := fmt.Sprintf("Nr. %d", i+1)
				if i == 0 {
					label = long
				}
				data := strings.Repeat("d", caps.ButtonDataMax-8) + fmt.Sprintf(":%07d", i)
				list = append(list, channel.Choice{Label: label, Data: data[:min(len(data), caps.ButtonDataMax)]})
			}
			r := say(t, c, channel.Outgoing{To: to(p), Text: "Wann passt es?", Choices: list})
			m := c.Got(p, 1)
			last := m[len(m)-1]
			if len(last.Choices) != len(list) {
				t.Fatalf("%d choices arrived, want %d", len(last.Choices), len(list))
			}
			for i := range list {
				if last.Choices[i].Label != list[i].Label {
					t.Errorf("choice %d reads %q, want %q", i, last.Choices[i].Label, list[i].Label)
				}
			}
			pick := list[len(list)-1]
			if err := p.Press(last.Ref, pick.Label); err != nil {
				t.Fatal(err)
			}
			e := c.Await("the choice", func(e channel.Event) bool { return e.Type == channel.ChoiceEvent })
			if e.Choice.Data != pick.Data || e.Sender.Value != p.Address() {
				t.Errorf("came as %s", show(e))
			}
			if e.Ref != "" && e.Ref != r.ExternalID && !slices.Contains(r.Parts, e.Ref) {
				t.Errorf("the choice is about %q, the message was %q", e.Ref, r.ExternalID)
			}
			over := append(slices.Clone(list), channel.Choice{Label: "zu viel", Data: "x"})
			if _, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "Zu viele", Choices: over}); err == nil {
				t.Error("one choice too many is accepted")
			}
			lawful(t, c)
		})
	}
	if caps.ListRows > 0 {
		t.Run("list", func(t *testing.T) {
			c, p := begin(t)
			hello(t, c, p)
			var list []channel.Choice
			for i := range caps.ListRows {
				o := channel.Choice{Label: fmt.Sprintf("Zeile %d", i+1), Data: fmt.Sprintf("row:%d", i)}
				if caps.ListDescriptionMax > 0 {
					o.Description = strings.Repeat("b", caps.ListDescriptionMax)
				}
				list = append(list, o)
			}
			say(t, c, channel.Outgoing{To: to(p), Text: "Bitte wählen", Choices: list, Menu: "Auswählen"})
			m := c.Got(p, 1)[0]
			if len(m.Choices) != len(list) || m.Menu == "" {
				t.Fatalf("arrived as %s", show(m))
			}
			if err := p.Press(m.Ref, list[len(list)-1].Label); err != nil {
				t.Fatal(err)
			}
			e := c.Await("the choice", func(e channel.Event) bool { return e.Type == channel.ChoiceEvent })
			if e.Choice.Data != list[len(list)-1].Data {
				t.Errorf("came as %s", show(e))
			}
		})
	}
	if caps.Quote {
		t.Run("quotes", func(t *testing.T) {
			c, p := begin(t)
			e := hello(t, c, p)
			r := say(t, c, channel.Outgoing{To: to(p), Text: "Zu dieser Frage:", ReplyTo: e.Message.ExternalID})
			m := c.Got(p, 1)[0]
			if m.ReplyTo != e.Message.ExternalID {
				t.Errorf("our quote arrived as %q, want %q", m.ReplyTo, e.Message.ExternalID)
			}
			// Where a quote is a thread, only a message that stands for itself can be quoted.
			r = say(t, c, channel.Outgoing{To: to(p), Text: "Und noch etwas."})
			m = c.Got(p, 2)[1]
			if _, err := p.Write("Genau dazu.", m.Ref); err != nil {
				t.Fatal(err)
			}
			e = c.Await("the quoting answer", func(e channel.Event) bool { return e.Message != nil && strings.Contains(e.Message.Text, "Genau dazu.") })
			if e.Message.ReplyTo != r.ExternalID {
				t.Errorf("the customer's quote came as %q, want %q", e.Message.ReplyTo, r.ExternalID)
			}
		})
	}
	picture := onePixel
	if caps.Upload {
		t.Run("file in", func(t *testing.T) {
			c, p := begin(t)
			if _, err := p.Send(channelsim.File{Name: "schaden.png", MediaType: "image/png", Content: picture}, "Das Auto"); err != nil {
				t.Fatal(err)
			}
			e := c.Await("the picture", func(e channel.Event) bool { return e.Message != nil && len(e.Message.Attachments) > 0 })
			a := e.Message.Attachments[0]
			if !strings.HasPrefix(a.MediaType, "image/") || a.Remote == "" {
				t.Fatalf("came as %s", show(a))
			}
			f, err := c.Driver.(channel.Fetcher).FetchMedia(t.Context(), c.Account, a.Remote, c.Env)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, picture) {
				t.Errorf("%d bytes (%v), want %d", len(got), err, len(picture))
			}
		})
	}
	if caps.Attachments {
		t.Run("file out", func(t *testing.T) {
			c, p := begin(t)
			hello(t, c, p)
			open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(picture)), nil }
			say(t, c, channel.Outgoing{To: to(p), Text: "Unser Beleg.", Attachments: []channel.File{
				{Name: "beleg.png", MediaType: "image/png", Size: int64(len(picture)), Open: open}}})
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			var text string
			var files []channelsim.File
			if !c.sim.Common().Wait(ctx, func() bool {
				text, files = "", nil
				for _, m := range p.Inbox() {
					text += m.Text
					files = append(files, m.Files...)
				}
				return len(files) > 0
			}) {
				t.Fatal("the file never arrived")
			}
			if !strings.Contains(text, "Unser Beleg.") || len(files) != 1 || !bytes.Equal(files[0].Content, picture) {
				t.Errorf("arrived as %q with %d files", text, len(files))
			}
			lawful(t, c)
		})
	}
	t.Run("reaction, edit", func(t *testing.T) {
		c, p := begin(t)
		e := hello(t, c, p)
		r := say(t, c, channel.Outgoing{To: to(p), Text: "Erledigt."})
		m := c.Got(p, 1)[0]
		if err := p.React(m.Ref, "👍"); err == nil {
			got := c.Await("the reaction", func(e channel.Event) bool { return e.Type == channel.ReactionEvent })
			if got.Reaction != "👍" || got.Ref != r.ExternalID {
				t.Errorf("came as %s", show(got))
			}
		} else if !errors.Is(err, channelsim.ErrCannot) {
			t.Error(err)
		}
		err := p.Edit(e.Message.ExternalID, "Guten Tag, ich hätte zwei Fragen.")
		switch {
		case err == nil && caps.Edits:
			got := c.Await("the edit", func(e channel.Event) bool { return e.Type == channel.EditEvent })
			ref := got.Ref
			if ref == "" {
				ref = got.Message.ExternalID
			}
			if ref != e.Message.ExternalID || got.Message.Text != "Guten Tag, ich hätte zwei Fragen." {
				t.Errorf("came as %s", show(got))
			}
		case !errors.Is(err, channelsim.ErrCannot) || caps.Edits:
			t.Errorf("Edit: %v, while Capabilities.Edits is %t", err, caps.Edits)
		}
	})
	if caps.TextMax > 0 {
		t.Run("long text", func(t *testing.T) {
			c, p := begin(t)
			hello(t, c, p)
			var text strings.Builder
			for i := 0; channel.Length(text.String(), caps.TextUnit) < caps.TextMax+caps.TextMax/2; i++ {
				fmt.Fprintf(&text, "Absatz %d: Grüße aus Köln, bis bald. ", i)
			}
			if k.Pause > 0 {
				c.Env.Next = func(ctx context.Context) error { time.Sleep(k.Pause); return ctx.Err() }
			}
			say(t, c, channel.Outgoing{To: to(p), Text: text.String()})
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			if !c.sim.Common().Wait(ctx, func() bool { // some media join parts again, so they are not counted
				var got []string
				for _, part := range p.Inbox() {
					got = append(got, part.Text)
				}
				return words(strings.Join(got, " ")) == words(text.String())
			}) {
				t.Errorf("words were lost or changed in %d parts", len(p.Inbox()))
			}
			lawful(t, c)
		})
	}
	t.Run("accepted, then silence", func(t *testing.T) {
		c, p := begin(t)
		hello(t, c, p)
		c.sim.Common().Fail(channelsim.Fault{Op: "message", Accept: true, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		out := channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-00000000aaaa", To: to(p), Text: "Kommt das an?"}
		_, err := c.Send(ctx, out)
		var failure *channel.SendError
		if err == nil || errors.As(err, &failure) && failure.Class != channel.Unknown {
			t.Fatalf("got %v, want uncertain", err)
		}
		c.Got(p, 1)
		if !caps.Idempotent {
			return
		}
		time.Sleep(k.Pause)
		r, err := c.Send(t.Context(), out)
		if err != nil {
			t.Fatalf("the same key again: %v", err)
		}
		if n := len(p.Inbox()); n != 1 {
			t.Errorf("the customer got it %d times", n)
		}
		if r.ExternalID == "" {
			t.Error("no external id after the second attempt")
		}
	})
	t.Run("blocked", func(t *testing.T) {
		c, p := begin(t)
		hello(t, c, p)
		if err := p.Block(true); errors.Is(err, channelsim.ErrCannot) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		time.Sleep(k.Pause)
		_, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "Sind Sie noch da?"})
		var failure *channel.SendError
		if err == nil {
			// Some providers accept and say so later, or tell beforehand that the customer left.
			c.Await("the news that the customer has gone", func(e channel.Event) bool {
				return e.Type == channel.OptOutEvent || e.Type == channel.StatusEvent && e.Status.State == channel.Failed
			})
		} else if !errors.As(err, &failure) || failure.Class != channel.Blocked {
			t.Errorf("got %v, want blocked", err)
		}
		if len(p.Inbox()) != 0 {
			t.Error("it arrived all the same")
		}
	})
	if k.Nobody != "" {
		t.Run("nobody there", func(t *testing.T) {
			c, _ := begin(t)
			_, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: k.Nobody}, Text: "Hallo?"})
			var failure *channel.SendError
			if err == nil {
				c.Await("the failure", func(e channel.Event) bool { return e.Type == channel.StatusEvent && e.Status.State == channel.Failed })
			} else if !errors.As(err, &failure) || failure.Class != channel.NotHere {
				t.Errorf("got %v, want not here", err)
			}
		})
	}
	if l, ok := k.Driver.(channel.Linker); ok {
		t.Run("deep link", func(t *testing.T) {
			c, p := begin(t)
			link, carries := l.Link(c.Account, channel.Opening{Token: "tok_EN-7", Text: "Weiter mit Code TOKEN7"})
			if link == "" {
				t.Fatal("the simulator's settings give no link")
			}
			if carries != channel.CarriesToken {
				return
			}
			if !strings.Contains(link, "tok_EN-7") {
				t.Errorf("%s does not carry the token", link)
			}
			if err := p.Open("tok_EN-7"); err != nil {
				t.Fatal(err)
			}
			e := c.Await("the start", func(e channel.Event) bool { return e.Token != "" })
			if e.Token != "tok_EN-7" || e.Sender.Value != p.Address() {
				t.Errorf("came as %s", show(e))
			}
		})
	}
}

// onePixel is a PNG file.
var onePixel = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\xdac\xfc\xcf\xc0P\x0f\x00\x04\x85\x01\x80\x84\xa9\x8c!\x00\x00\x00\x00IEND\xaeB`\x82")

// BenchmarkWebhook measures verifying and parsing of one webhook, as often as the driver can on one core.
func BenchmarkWebhook(b *testing.B, d channel.Webhook, a channel.Account, r *channel.Request) {
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Verify(a, r, r.At); err != nil {
			b.Fatal(err)
		}
		if events, _, err := d.Parse(a, r); err != nil || len(events) == 0 {
			b.Fatalf("%d events, %v", len(events), err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
}
