package telegram

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
)

// house is our side of a test: an account, its stored events by key as intake would keep them, and the committed cursor.
type house struct {
	account channel.Account
	env     channel.Env

	mu      sync.Mutex
	events  []channel.Event
	twice   int
	cursor  string
	failing bool
}

// newHouse is a house whose bot is the simulator's; env.HTTP is still to be set.
func newHouse(mode string) *house {
	return &house{
		account: channel.Account{ID: "c1", Kind: Kind, Settings: channel.Settings{
			"token": telegramsim.DefaultToken, "mode": mode, "api_url": "https://telegram.test",
		}},
		env: channel.Env{
			Now: time.Now, Log: slog.New(slog.DiscardHandler),
			WebhookURL: "https://rufweite.test/in/telegram/c1",
		},
	}
}

// houseOf is a house that talks to the simulator.
func houseOf(sim *telegramsim.Sim, mode string) *house {
	h := newHouse(mode)
	h.env.HTTP = sim
	return h
}

func (h *house) sink(_ context.Context, in channel.Inbound) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing {
		return errors.New("disk full")
	}
	for _, e := range in.Events {
		known := false
		for _, k := range h.events {
			known = known || k.Key == e.Key
		}
		if known {
			h.twice++
		} else {
			h.events = append(h.events, e)
		}
	}
	if in.Cursor != "" {
		h.cursor = in.Cursor
	}
	return nil
}

func (h *house) fail(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failing = yes
}

// count is the number of events and of repetitions.
func (h *house) count() (events, twice int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events), h.twice
}

func (h *house) last() channel.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events[len(h.events)-1]
}

func (h *house) texts() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, e := range h.events {
		switch {
		case e.Message != nil:
			list = append(list, string(e.Type)+":"+e.Message.Text)
		case e.Choice != nil:
			list = append(list, "choice:"+e.Choice.Data)
		default:
			list = append(list, string(e.Type)+":"+e.Reaction+e.Token)
		}
	}
	return strings.Join(list, " | ")
}

// listen runs Listen until stop is called, which gives its error.
func (h *house) listen(t *testing.T) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		h.mu.Lock()
		cursor := h.cursor
		h.mu.Unlock()
		done <- New().Listen(ctx, h.account, cursor, h.env, h.sink)
	}()
	return func() error {
		cancel()
		return <-done
	}
}

// ServeHTTP is our webhook as intake serves it: verify, parse, store, answer.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	request := &channel.Request{Method: r.Method, Header: r.Header, Body: body}
	if New().Verify(h.account, request, time.Now()) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	events, reply, err := New().Parse(h.account, request)
	if err != nil || h.sink(r.Context(), channel.Inbound{Raw: body, Events: events}) != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if reply.Type != "" {
		w.Header().Set("Content-Type", reply.Type)
	}
	if reply.Status != 0 {
		w.WriteHeader(reply.Status)
	}
	w.Write(reply.Body)
}

// doer sends requests to a handler in this process, in fake time.
type doer struct{ http.Handler }

func (d doer) Do(r *http.Request) (*http.Response, error) { return telegramsim.Serve(d, r) }

func TestPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := telegramsim.New(telegramsim.Options{})
		defer sim.Close()
		h := houseOf(sim, "poll")
		erika := sim.Customer("Erika Muster")
		erika.Write("vorher")
		stop := h.listen(t)
		synctest.Wait()
		id := erika.Write("während")
		erika.Edit(id, "während, verbessert")
		erika.Edit(id, "während, noch einmal")
		erika.React(id, "👍")
		erika.Start("kfz-1")
		erika.Block()
		synctest.Wait()
		want := "message:vorher | message:während | edit:während, verbessert | edit:während, noch einmal | reaction:👍 | start:kfz-1 | opt_out:"
		if got := h.texts(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Listen ended with %v", err)
		}

		// Away for an hour; what came meanwhile is fetched by the cursor, nothing twice.
		erika.Unblock()
		time.Sleep(time.Hour) // fake time
		erika.Write("danach")
		stop = h.listen(t)
		synctest.Wait()
		if got := h.texts(); got != want+" | start: | message:danach" {
			t.Errorf("after the break: %s", got)
		}
		if _, twice := h.count(); twice != 0 {
			t.Errorf("%d events came twice", twice)
		}
		time.Sleep(time.Minute) // the next poll confirms
		if n := sim.Pending(); n != 0 {
			t.Errorf("%d updates unconfirmed", n)
		}
		stop()
	})
}

// What could not be stored is not confirmed and comes again.
func TestPollingDoesNotConfirmWhatWasNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := telegramsim.New(telegramsim.Options{})
		defer sim.Close()
		h := houseOf(sim, "poll")
		h.fail(true)
		sim.Customer("Erika").Write("wichtig")
		stop := h.listen(t)
		synctest.Wait()
		if err := stop(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("Listen ended with %v", err)
		}
		if sim.Pending() != 1 {
			t.Fatal("the update was confirmed although nothing was stored")
		}
		h.fail(false)
		stop = h.listen(t)
		synctest.Wait()
		if got := h.texts(); got != "message:wichtig" {
			t.Errorf("got %q", got)
		}
		stop()
	})
}

// After a week without updates ids start again at random, perhaps lower: with the old offset they would be lost.
func TestPollingAfterAnIdleWeek(t *testing.T) {
	for _, running := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			sim := telegramsim.New(telegramsim.Options{})
			defer sim.Close()
			h := houseOf(sim, "poll")
			erika := sim.Customer("Erika")
			erika.Write("eins")
			stop := h.listen(t)
			synctest.Wait()
			if !running {
				stop()
			}
			time.Sleep(8 * 24 * time.Hour)
			sim.Idle()
			erika.Write("zwei")
			erika.Write("drei")
			if !running {
				stop = h.listen(t)
			}
			time.Sleep(2 * time.Minute)
			if got := h.texts(); got != "message:eins | message:zwei | message:drei" {
				t.Errorf("running %v: got %q", running, got)
			}
			if sim.Pending() != 0 {
				t.Errorf("running %v: %d updates unconfirmed", running, sim.Pending())
			}
			stop()
		})
	}
}

func TestOffsetAfter(t *testing.T) {
	now := time.Unix(1764000000, 0)
	for cursor, want := range map[string]int64{
		"":                          0,
		"100":                       0, // no time: of unknown age
		"x@1764000000":              0,
		"100@x":                     0,
		"100@1764000000":            101,
		"100@1763481601":            101, // 6 days less a second
		"100@1763481599":            0,   // 6 days and a second
		"100@1764003600":            101, // our clock went back an hour
		"9223372036854775807@bad@1": 0,
		"400000001@1763999999":      400000002,
	} {
		got, ok := offsetAfter(cursor, now)
		if got != want || ok != (want != 0) {
			t.Errorf("offsetAfter(%q) = %d %v, want %d", cursor, got, ok, want)
		}
	}
}

func TestPollingTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*telegramsim.Sim, *house)
		remedy  string
	}{
		"wrong token":   {func(_ *telegramsim.Sim, h *house) { h.account.Settings["token"] = "1:" + strings.Repeat("x", 30) }, "BotFather"},
		"no token form": {func(_ *telegramsim.Sim, h *house) { h.account.Settings["token"] = "oops" }, "BotFather"},
		"away": {func(s *telegramsim.Sim, _ *house) {
			s.Fail(telegramsim.Fault{Method: "getUpdates", Times: 1000, Status: 502, Text: "<html>"})
		}, "reaches"},
		"another poller": {func(s *telegramsim.Sim, _ *house) {
			s.Fail(telegramsim.Fault{Method: "getUpdates", Times: 1000, Status: 409})
		}, "/revoke"},
		"private api_url": {func(_ *telegramsim.Sim, h *house) {
			h.env.HTTP = doFunc(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("request: %w", notSent{}) })
		}, "--allow-private-targets"},
		"no Bot API": {func(s *telegramsim.Sim, _ *house) {
			s.Fail(telegramsim.Fault{Method: "getWebhookInfo", Times: 1000, Status: 404, Text: "<html>"})
		}, "api_url"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := telegramsim.New(telegramsim.Options{})
				defer sim.Close()
				h := houseOf(sim, "poll")
				tt.prepare(sim, h)
				err := New().Listen(t.Context(), h.account, "", h.env, h.sink)
				var trouble *channel.Trouble
				if !errors.As(err, &trouble) || !strings.Contains(trouble.Remedy.EN, tt.remedy) || trouble.Remedy.DE == "" || trouble.Reason.DE == "" {
					t.Fatalf("got %v, want a trouble that says %q", err, tt.remedy)
				}
				if strings.Contains(err.Error(), h.account.Settings["token"]) && len(h.account.Settings["token"]) > 5 {
					t.Errorf("the error shows the token: %v", err)
				}
			})
		})
	}
}

// Failures that pass are sat out, and nothing is lost over them.
func TestPollingPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := telegramsim.New(telegramsim.Options{})
		defer sim.Close()
		sim.Fail(telegramsim.Fault{Method: "getUpdates", Times: 4, Status: 502, Text: "<html>bad gateway</html>"})
		sim.Fail(telegramsim.Fault{Method: "getUpdates", Status: 429, RetryAfter: 17})
		sim.Fail(telegramsim.Fault{Method: "getUpdates", Cut: true})
		sim.Fail(telegramsim.Fault{Method: "getUpdates", Hang: true})
		h := houseOf(sim, "poll")
		sim.Customer("Erika").Write("hallo")
		stop := h.listen(t)
		time.Sleep(5 * time.Minute)
		if got := h.texts(); got != "message:hallo" {
			t.Errorf("got %q", got)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Listen ended with %v", err)
		}
	})
}

func TestTwoPollersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := telegramsim.New(telegramsim.Options{})
		defer sim.Close()
		h := houseOf(sim, "poll")
		stop := h.listen(t)
		// The other program polls every second.
		ctx, cancel := context.WithCancel(t.Context())
		var other sync.WaitGroup
		other.Go(func() {
			for ctx.Err() == nil {
				short, end := context.WithTimeout(ctx, time.Second)
				_, _ = New().getUpdates(short, newBot(h.account, h.env), "", time.Now())
				end()
			}
		})
		time.Sleep(5 * time.Minute)
		cancel()
		other.Wait()
		var trouble *channel.Trouble
		if err := stop(); !errors.As(err, &trouble) || !strings.Contains(trouble.Reason.EN, "Another program") {
			t.Errorf("Listen ended with %v", err)
		}
	})
}

func TestWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse("auto")
		sim := telegramsim.New(telegramsim.Options{Client: doer{h}})
		defer sim.Close()
		h.env.HTTP = sim
		erika := sim.Customer("Erika Muster")
		stop := h.listen(t)
		synctest.Wait()
		if err := New().Probe(t.Context(), h.account, h.env); err != nil {
			t.Errorf("probe: %v", err)
		}

		erika.Write("eins")
		synctest.Wait()
		h.fail(true) // 503: Telegram delivers again, in order
		erika.Write("zwei")
		erika.Write("drei")
		time.Sleep(30 * time.Second)
		var trouble *channel.Trouble
		if err := New().Probe(t.Context(), h.account, h.env); !errors.As(err, &trouble) || !strings.Contains(trouble.Reason.EN, "2 messages wait") {
			t.Errorf("probe while the webhook fails: %v", err)
		}
		h.fail(false)
		time.Sleep(5 * time.Minute)
		if got := h.texts(); got != "message:eins | message:zwei | message:drei" {
			t.Errorf("got %q", got)
		}

		// Ten copies, any order: the same events.
		sim.Duplicate(10)
		sim.Shuffle(42)
		for i := range 20 {
			erika.Write(fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		if events, twice := h.count(); events != 23 || twice != 9*20 {
			t.Errorf("%d events and %d repetitions, want 23 and 180", events, twice)
		}
		if sim.Pending() != 0 {
			t.Errorf("%d updates unconfirmed", sim.Pending())
		}
		stop()

		// The operator turns to polling: the webhook goes, the rest is fetched.
		h.account.Settings["mode"] = "poll"
		stop = h.listen(t)
		synctest.Wait()
		erika.Write("per Abholung")
		synctest.Wait()
		if got := h.texts(); !strings.HasSuffix(got, "| message:per Abholung") {
			t.Errorf("got %q", got)
		}
		stop()
	})
}

// The webhook that somebody else removed or replaced is registered again, and a revoked token is noticed.
func TestWebhookIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse("auto")
		sim := telegramsim.New(telegramsim.Options{Client: doer{h}})
		defer sim.Close()
		h.env.HTTP = sim
		stop := h.listen(t)
		synctest.Wait()
		b := newBot(h.account, h.env)
		if err := b.call(t.Context(), "deleteWebhook", struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		sim.Customer("Erika").Write("hört mich wer?")
		sim.Fail(telegramsim.Fault{Method: "getWebhookInfo", Status: 502}) // sat out
		time.Sleep(watchEvery*2 + time.Minute)
		if got := h.texts(); got != "message:hört mich wer?" {
			t.Errorf("got %q", got)
		}
		sim.Fail(telegramsim.Fault{Method: "getWebhookInfo", Status: 401})
		time.Sleep(watchEvery)
		var trouble *channel.Trouble
		if err := stop(); !errors.As(err, &trouble) || !strings.Contains(trouble.Reason.EN, "token is wrong") {
			t.Errorf("Listen ended with %v", err)
		}
	})
}

// A conflict that passes (our own earlier process, a moment longer) is sat out.
func TestShortConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := telegramsim.New(telegramsim.Options{})
		defer sim.Close()
		h := houseOf(sim, "poll")
		until := time.Now().Add(2*conflictWait + time.Second)
		h.env.HTTP = doFunc(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/getUpdates") && time.Now().Before(until) {
				return telegramsim.Serve(answerWith(409, `{"ok":false,"error_code":409,"description":"Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"}`), r)
			}
			return sim.Do(r)
		})
		sim.Customer("Erika").Write("hallo")
		stop := h.listen(t)
		time.Sleep(time.Minute)
		if got := h.texts(); got != "message:hallo" {
			t.Errorf("got %q", got)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Listen ended with %v", err)
		}
	})
}

// A pressed button is answered in both modes, so that the customer's app stops showing progress.
func TestButtons(t *testing.T) {
	for _, mode := range []string{"poll", "webhook"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(mode)
				sim := telegramsim.New(telegramsim.Options{Client: doer{h}})
				defer sim.Close()
				h.env.HTTP = sim
				stop := h.listen(t)
				erika := sim.Customer("Erika")
				erika.Write("Termin?")
				receipt, err := New().Send(t.Context(), h.account, channel.Outgoing{
					To: channel.Address{Value: fmt.Sprint(erika.ID)}, Text: "Passt Dienstag?",
					Choices: []channel.Choice{{Data: "ask:1:yes", Label: "Ja"}, {Data: "ask:1:no", Label: "Nein"}},
				}, h.env)
				if err != nil {
					t.Fatal(err)
				}
				if !erika.Press("Nein") {
					t.Fatal("no such button")
				}
				synctest.Wait()
				last := h.last()
				if last.Type != channel.ChoiceEvent || last.Choice.Data != "ask:1:no" || last.Choice.Label != "Nein" || last.Ref != receipt.ExternalID {
					t.Errorf("got %+v of %s", last, receipt.ExternalID)
				}
				ledger := sim.Ledger()
				if got := ledger[len(ledger)-1].Method; got != "answerCallbackQuery" {
					t.Errorf("the press was not answered: %s", got)
				}
				stop()
			})
		})
	}
}

func TestListenModes(t *testing.T) {
	for name, tt := range map[string]struct {
		mode, url string
		hook      bool
		trouble   string
	}{
		"auto with a public URL":     {mode: "auto", url: "https://hilfe.example.org/in/telegram/c1", hook: true},
		"auto at home":               {mode: "auto", url: "http://localhost:8080/in/telegram/c1"},
		"auto, http":                 {mode: "auto", url: "http://hilfe.example.org/in/telegram/c1"},
		"auto, odd port":             {mode: "auto", url: "https://hilfe.example.org:9443/in/telegram/c1"},
		"auto, private":              {mode: "auto", url: "https://192.168.1.5/in/telegram/c1"},
		"auto, IPv6":                 {mode: "auto", url: "https://[2a00::1]/in/telegram/c1"},
		"auto without URL":           {mode: "auto"},
		"auto, refused by Telegram":  {mode: "auto", url: "https://hilfe.refused.example/in/telegram/c1"},
		"poll":                       {mode: "poll", url: "https://hilfe.example.org/in/telegram/c1"},
		"webhook":                    {mode: "webhook", url: "https://hilfe.example.org/in/telegram/c1", hook: true},
		"webhook without URL":        {mode: "webhook", trouble: "--public-url"},
		"webhook with a private URL": {mode: "webhook", url: "http://localhost:8080/in/telegram/c1", trouble: "https address"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := telegramsim.New(telegramsim.Options{})
				defer sim.Close()
				h := houseOf(sim, tt.mode)
				h.env.WebhookURL = tt.url
				if strings.Contains(tt.url, "refused") {
					inner := h.env.HTTP
					h.env.HTTP = doFunc(func(r *http.Request) (*http.Response, error) {
						if strings.HasSuffix(r.URL.Path, "/setWebhook") {
							return telegramsim.Serve(answerWith(400, `{"ok":false,"error_code":400,"description":"Bad Request: bad webhook: Failed to resolve host: Name or service not known"}`), r)
						}
						return inner.Do(r)
					})
				}
				stop := h.listen(t)
				synctest.Wait()
				var info webhookInfo
				if err := newBot(h.account, h.env).call(t.Context(), "getWebhookInfo", struct{}{}, &info); err != nil {
					t.Fatal(err)
				}
				if (info.URL != "") != tt.hook {
					t.Errorf("webhook %q, want one: %v", info.URL, tt.hook)
				}
				err := stop()
				var trouble *channel.Trouble
				if errors.As(err, &trouble) != (tt.trouble != "") || tt.trouble != "" && !strings.Contains(trouble.Remedy.EN, tt.trouble) {
					t.Errorf("Listen ended with %v", err)
				}
			})
		})
	}
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func attachment(name, mediaType string, content []byte) channel.File {
	return channel.File{Name: name, MediaType: mediaType, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// real is a simulator behind a real connection.
func real(t *testing.T, o telegramsim.Options) (*telegramsim.Sim, *house) {
	t.Helper()
	sim := telegramsim.New(o)
	server := httptest.NewServer(sim)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		sim.Close()
		client.CloseIdleConnections()
		server.Close()
	})
	h := houseOf(sim, "poll")
	h.account.Settings["api_url"] = server.URL
	h.env.HTTP = client
	return sim, h
}

func TestSendFiles(t *testing.T) {
	sim, h := real(t, telegramsim.Options{PerChat: -1, PerSecond: -1})
	erika := sim.Customer("Erika")
	question := erika.Write("Haben Sie Fotos?")
	to := channel.Address{Value: fmt.Sprint(erika.ID)}
	good, thin := picture(t, 40, 30), picture(t, 400, 4)
	receipt, err := New().Send(t.Context(), h.account, channel.Outgoing{
		To: to, Text: "Bitte sehr", ReplyTo: fmt.Sprintf("%d:%d", erika.ID, question),
		Attachments: []channel.File{
			attachment("gut.png", "image/png", good),
			attachment("dünn.png", "image/png", thin),                                       // too thin for a photo: sent as a file
			attachment("kein Bild.jpg", "image/jpeg", []byte("nur Text")),                   // no picture at all: sent as a file
			attachment("a\"b\r\nX-Evil: 1.pdf", "application/pdf\r\nX: y", []byte("%PDF-")), // hostile name and type
		},
	}, h.env)
	if err != nil {
		t.Fatal(err)
	}
	if len(receipt.Parts) != 3 {
		t.Errorf("receipt %+v", receipt)
	}
	var got []string
	for _, a := range sim.Ledger() {
		got = append(got, fmt.Sprintf("%s %s %q %d %d", a.Method, a.FileName, a.Text, a.ReplyTo, len(a.File)))
	}
	want := []string{
		fmt.Sprintf(`sendPhoto gut.png "Bitte sehr" %d %d`, question, len(good)),
		fmt.Sprintf(`sendDocument dünn.png "" 0 %d`, len(thin)),
		`sendDocument kein Bild.jpg "" 0 8`,
		`sendDocument a%22b X-Evil: 1.pdf "" 0 5`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, a := range sim.Ledger() {
		if !a.Told {
			t.Errorf("%s %s was accepted without our knowing", a.Method, a.FileName)
		}
	}
}

// A text that does not fit under a picture goes before it, whole.
func TestLongCaption(t *testing.T) {
	sim, h := real(t, telegramsim.Options{PerChat: -1, PerSecond: -1})
	erika := sim.Customer("Erika")
	erika.Write("?")
	for length, want := range map[int]string{1024: "sendDocument 1024", 1025: "sendMessage 1025 sendDocument 0"} {
		before := len(sim.Ledger())
		_, err := New().Send(t.Context(), h.account, channel.Outgoing{
			To: channel.Address{Value: fmt.Sprint(erika.ID)}, Text: strings.Repeat("x", length-2) + "😀", // two UTF-16 units
			Attachments: []channel.File{attachment("a.txt", "text/plain", []byte("a"))},
		}, h.env)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range sim.Ledger()[before:] {
			got = append(got, fmt.Sprintf("%s %d", a.Method, channel.Length(a.Text, channel.UTF16)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d units: %v, want %s", length, got, want)
		}
	}
}

func TestSendErrors(t *testing.T) {
	out := func(c *telegramsim.Customer) channel.Outgoing {
		return channel.Outgoing{To: channel.Address{Value: fmt.Sprint(c.ID)}, Text: "Guten Tag"}
	}
	for name, tt := range map[string]struct {
		prepare  func(*telegramsim.Sim, *telegramsim.Customer, *house)
		change   func(*channel.Outgoing)
		want     channel.Class
		accepted int
	}{
		"blocked":       {prepare: func(_ *telegramsim.Sim, c *telegramsim.Customer, _ *house) { c.Block() }, want: channel.Blocked},
		"left":          {prepare: func(_ *telegramsim.Sim, c *telegramsim.Customer, _ *house) { c.Leave() }, want: channel.Blocked},
		"never wrote":   {change: func(o *channel.Outgoing) { o.To.Value = "7000000999" }, want: channel.NotHere},
		"not a chat id": {change: func(o *channel.Outgoing) { o.To.Value = "erika@example.org" }, want: channel.NotHere},
		"empty":         {change: func(o *channel.Outgoing) { o.Text = " \n" }, want: channel.Permanent},
		"button data too long": {change: func(o *channel.Outgoing) {
			o.Choices = []channel.Choice{{Label: "x", Data: strings.Repeat("ä", 33)}}
		}, want: channel.Permanent},
		"file too large": {change: func(o *channel.Outgoing) {
			o.Attachments = []channel.File{{Name: "x", Size: documentMax + 1}}
		}, want: channel.Permanent},
		"file cannot be opened": {change: func(o *channel.Outgoing) {
			o.Attachments = []channel.File{{Name: "x", Size: 5, Open: func() (io.ReadCloser, error) { return nil, errors.New("no disk") }}}
		}, want: channel.Temporary},
		"file breaks off": {change: func(o *channel.Outgoing) {
			o.Attachments = []channel.File{{Name: "x", Size: 1 << 20, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("begin"), broken{})), nil
			}}}
		}, want: channel.Temporary},
		"wrong token": {prepare: func(_ *telegramsim.Sim, _ *telegramsim.Customer, h *house) {
			h.account.Settings["token"] = "1:" + strings.Repeat("x", 30)
		}, want: channel.Misconfig},
		"too fast": {prepare: func(s *telegramsim.Sim, _ *telegramsim.Customer, _ *house) {
			s.Fail(telegramsim.Fault{Status: 429, RetryAfter: 9})
		}, want: channel.RateLimited},
		"accepted, then cut": {prepare: func(s *telegramsim.Sim, _ *telegramsim.Customer, _ *house) {
			s.Fail(telegramsim.Fault{Accept: true, Cut: true})
		}, want: channel.Unknown, accepted: 1},
		"accepted, then 502": {prepare: func(s *telegramsim.Sim, _ *telegramsim.Customer, _ *house) {
			s.Fail(telegramsim.Fault{Accept: true, Status: 502, Text: "<html>"})
		}, want: channel.Unknown, accepted: 1},
		"an error that quotes the URL": {prepare: func(_ *telegramsim.Sim, _ *telegramsim.Customer, h *house) {
			h.env.HTTP = doFunc(func(r *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("proxy: POST %s: %w", r.URL, io.ErrUnexpectedEOF)
			})
		}, want: channel.Unknown},
		"refused target": {prepare: func(_ *telegramsim.Sim, _ *telegramsim.Customer, h *house) {
			h.env.HTTP = doFunc(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("request: %w", notSent{}) })
		}, want: channel.Misconfig},
	} {
		t.Run(name, func(t *testing.T) {
			sim, h := real(t, telegramsim.Options{})
			erika := sim.Customer("Erika")
			erika.Write("hallo")
			o := out(erika)
			if tt.prepare != nil {
				tt.prepare(sim, erika, h)
			}
			if tt.change != nil {
				tt.change(&o)
			}
			_, err := New().Send(t.Context(), h.account, o, h.env)
			var failure *channel.SendError
			if !errors.As(err, &failure) || failure.Class != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if failure.Reason.DE == "" || failure.Reason.EN == "" {
				t.Errorf("no reason: %+v", failure)
			}
			if failure.Class == channel.RateLimited && failure.RetryAfter != 9*time.Second {
				t.Errorf("wait %v", failure.RetryAfter)
			}
			if strings.Contains(err.Error(), h.account.Settings["token"]) {
				t.Errorf("the error shows the token: %v", err)
			}
			if got := len(sim.Ledger()); got != tt.accepted {
				t.Errorf("%d accepted, want %d", got, tt.accepted)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("disk fell out") }

type notSent struct{}

func (notSent) Error() string { return "not allowed" }
func (notSent) NotSent() bool { return true }

// Between the parts of one text Send waits as Telegram asks; the customer gets every part once, in order.
func TestSplitTextWaitsForTelegram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := telegramsim.New(telegramsim.Options{Burst: 1})
		defer sim.Close()
		h := houseOf(sim, "poll")
		erika := sim.Customer("Erika")
		erika.Write("hallo")
		text := strings.Repeat("Wort ", 2500) // 12,500 units: four messages
		receipt, err := New().Send(t.Context(), h.account, channel.Outgoing{To: channel.Address{Value: fmt.Sprint(erika.ID)}, Text: text}, h.env)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range erika.Inbox() {
			got = append(got, m.Text)
		}
		if strings.Join(got, " ") != strings.TrimSpace(text) || len(receipt.Parts) != len(got)-1 {
			t.Errorf("%d messages, receipt %+v", len(got), receipt)
		}
	})
}

// When a later part fails, what was accepted is reported, and the whole is never sent again by itself.
func TestSplitTextInterrupted(t *testing.T) {
	for name, tt := range map[string]struct {
		fault telegramsim.Fault
		want  channel.Class
	}{
		"too fast for long":  {telegramsim.Fault{Status: 429, RetryAfter: 3600}, channel.Unknown},
		"server error":       {telegramsim.Fault{Status: 500}, channel.Unknown},
		"accepted, then cut": {telegramsim.Fault{Accept: true, Cut: true}, channel.Unknown},
		"blocked meanwhile":  {telegramsim.Fault{Status: 403}, channel.Blocked},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := telegramsim.New(telegramsim.Options{})
				defer sim.Close()
				h := houseOf(sim, "poll")
				erika := sim.Customer("Erika")
				erika.Write("hallo")
				n := 0
				h.env.HTTP = doFunc(func(r *http.Request) (*http.Response, error) {
					if n++; n == 3 {
						sim.Fail(tt.fault)
					}
					return sim.Do(r)
				})
				_, err := New().Send(t.Context(), h.account, channel.Outgoing{
					To: channel.Address{Value: fmt.Sprint(erika.ID)}, Text: strings.Repeat("Wort ", 2500),
				}, h.env)
				var failure *channel.SendError
				if !errors.As(err, &failure) || failure.Class != tt.want || failure.RetryAfter != 0 {
					t.Fatalf("got %v, want %s", err, tt.want)
				}
				if failure.Receipt == nil || failure.Receipt.ExternalID == "" || len(failure.Receipt.Parts) != 1 {
					t.Errorf("receipt %+v, want two accepted messages", failure.Receipt)
				}
			})
		})
	}
}

func TestFetchMedia(t *testing.T) {
	sim, h := real(t, telegramsim.Options{})
	erika := sim.Customer("Erika")
	content := []byte("%PDF- Rechnung")
	erika.Document("Rechnung.pdf", "application/pdf", content, 0, "")
	erika.Document("Film.mp4", "video/mp4", nil, 21<<20, "")
	updates, err := New().getUpdates(t.Context(), newBot(h.account, h.env), "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	remote := func(i int) string {
		events, err := parse(updates[i])
		if err != nil {
			t.Fatal(err)
		}
		return events[0].Message.Attachments[0].Remote
	}
	file, err := New().FetchMedia(t.Context(), h.account, remote(0), h.env)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(file)
	file.Close()
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %q, %v", got, err)
	}
	class := func(remote string) channel.Class {
		_, err := New().FetchMedia(t.Context(), h.account, remote, h.env)
		var failure *channel.SendError
		if !errors.As(err, &failure) {
			t.Fatalf("got %v", err)
		}
		return failure.Class
	}
	if c := class(remote(1)); c != channel.Permanent {
		t.Errorf("21 MB: %s", c)
	}
	if c := class("made up"); c != channel.Permanent {
		t.Errorf("unknown file: %s", c)
	}
	sim.Fail(telegramsim.Fault{Method: "getFile", Status: 502, Text: "<html>"})
	if c := class(remote(0)); c != channel.Temporary {
		t.Errorf("getFile 502: %s", c)
	}
	sim.Fail(telegramsim.Fault{Method: "file", Cut: true, Times: 2})
	if c := class(remote(0)); c != channel.Temporary {
		t.Errorf("download cut: %s", c)
	}
	h.account.Settings["token"] = "1:" + strings.Repeat("x", 30)
	if c := class(remote(0)); c != channel.Misconfig {
		t.Errorf("wrong token: %s", c)
	}
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := telegramsim.New(telegramsim.Options{})
		defer sim.Close()
		h := houseOf(sim, "webhook")
		if err := New().Probe(t.Context(), h.account, h.env); err != nil {
			t.Errorf("webhook: %v", err)
		}
		var info webhookInfo
		if err := newBot(h.account, h.env).call(t.Context(), "getWebhookInfo", struct{}{}, &info); err != nil || info.URL != h.env.WebhookURL {
			t.Errorf("the webhook was not registered: %+v, %v", info, err)
		}
		h.account.Settings["token"] = "1:" + strings.Repeat("x", 30)
		var trouble *channel.Trouble
		if err := New().Probe(t.Context(), h.account, h.env); !errors.As(err, &trouble) || !strings.Contains(trouble.Reason.EN, "token is wrong") {
			t.Errorf("wrong token: %v", err)
		}
		h.account.Settings["token"] = ""
		if err := New().Probe(t.Context(), h.account, h.env); !errors.As(err, &trouble) || !strings.Contains(trouble.Remedy.EN, "token is missing") {
			t.Errorf("no token: %v", err)
		}
	})
}
