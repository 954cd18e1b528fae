package discord

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/discord/discordsim"
)

const (
	testToken  = "MTAxNTAwMDAwMDAwMDAwMDAw.GtestA.not-a-real-token-of-anybody" // looks like one, is none
	testApp    = "1015000000000000000"
	testUser   = "80351110224678912"
	testChat   = "319674150115610528"
	deliveryID = "0193a1b2-0000-7000-8000-00000000d00d"
)

// private gives the key pair that a name stands for.
func private(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) string {
	return hex.EncodeToString(private(name).Public().(ed25519.PublicKey))
}

// account has the public keys of the names, "new,old".
func account(names string) channel.Account {
	var keys []string
	for _, n := range strings.Split(names, ",") {
		keys = append(keys, public(n))
	}
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Org: "o", Kind: Kind, Name: "Musterhaus", Settings: channel.Settings{
		"bot_token": testToken, "application_id": testApp, "public_key": strings.Join(keys, ",")}}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	var key ed25519.PrivateKey
	for _, n := range []string{"old", "new", "other"} {
		if strings.HasPrefix(a.Settings["public_key"], public(n)) {
			key = private(n)
		}
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	return &channel.Request{Method: http.MethodPost, Body: body, At: now, Header: http.Header{"Content-Type": {"application/json"},
		signatureHeader: {hex.EncodeToString(ed25519.Sign(key, append([]byte(stamp), body...)))}, timestampHeader: {stamp}}}
}

func with(key, value string) channel.Settings {
	s := channel.Settings{}
	for k, v := range account("old").Settings {
		s[k] = v
	}
	s[key] = value
	return s
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refused(status, code int, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(`{"message":"No.","code":%d}`, code))}
}

const pressed = `{"id":"1215000000000000001","application_id":"1015000000000000000","type":3,"token":"aW50ZXJhY3Rpb24","version":1,"channel_id":"319674150115610528","locale":"de","user":{"id":"80351110224678912","username":"erika.muster","global_name":"Erika Muster"},"data":{"component_type":2,"custom_id":"ask:17:yes"},"message":{"id":"1215000000000000000","channel_id":"319674150115610528","components":[{"type":1,"components":[{"type":2,"style":2,"label":"Ja, gerne","custom_id":"ask:17:yes"}]}]}}`

// read is what a frame of the Gateway or an interaction means.
func read(raw []byte) ([]channel.Event, error) {
	var f struct {
		Op *int `json:"op"`
	}
	if json.Unmarshal(raw, &f) == nil && f.Op == nil {
		events, _, err := New().Parse(account("old"), &channel.Request{Method: http.MethodPost, Body: raw})
		return events, err
	}
	events, _, err := parse(raw, scene{me: testApp, session: "s", users: map[string]string{testChat: testUser}})
	return events, err
}

func TestDriver(t *testing.T) {
	a := account("old")
	chats.remember(a, testUser, testChat) // so that the suite's answers are those to the message itself
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: a,
		BadSettings: map[string]channel.Settings{
			"token as in the header":   with("bot_token", "Bot "+testToken),
			"token with a space":       with("bot_token", testToken[:30]+" x"),
			"a client secret":          with("bot_token", "short"),
			"application_id is a name": with("application_id", "Musterhaus"),
			"public_key too short":     with("public_key", "abcd"),
			"public_key in capitals":   with("public_key", strings.ToUpper(public("old"))),
			"three public keys":        with("public_key", public("a")+","+public("b")+","+public("c")),
			"api_url without a scheme": with("api_url", "discord.com/api/v10"),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: []byte(pressed), Headers: []string{signatureHeader, timestampHeader}, SignsBody: true, MaxAge: maxAge,
			Rotating: account("new,old"), Rotated: account("new"), Other: account("other"),
		},
		Parse:   read,
		Samples: "testdata/*.json",
		WithID: func(number string) []byte {
			return fmt.Appendf(nil, `{"op":0,"s":7,"t":"MESSAGE_CREATE","d":{"id":%[1]q,"channel_id":%[1]q,"author":{"id":%[1]q,"username":"e"},"content":"x","timestamp":"2026-03-04T05:06:07.123000+00:00","type":0}}`, number)
		},
		WithName: func(name string) []byte {
			quoted, _ := json.Marshal(name)
			return fmt.Appendf(nil, `{"op":0,"s":7,"t":"MESSAGE_CREATE","d":{"id":"5","channel_id":"6","author":{"id":"7","global_name":%s},"content":"x","type":0}}`, quoted)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: deliveryID, To: channel.Address{Value: testUser}, Text: "Guten Tag"},
			Accept:      answerWith(200, `{"id":"1215000000000000002","channel_id":"319674150115610528","content":"Guten Tag"}`),
			RateLimited: answerWith(429, `{"message":"You are being rate limited.","retry_after":0.529,"global":false}`),
			Refusals: map[string]channeltest.Refusal{
				"blocked":                     refused(403, 50007, channel.Blocked),
				"no server in common":         refused(403, 50278, channel.Blocked),
				"wrong token":                 refused(401, 0, channel.Misconfig),
				"unauthorized":                refused(401, 40001, channel.Misconfig),
				"missing permissions":         refused(403, 50013, channel.Misconfig),
				"bad form":                    refused(400, 50035, channel.Permanent),
				"empty":                       refused(400, 50006, channel.Permanent),
				"file too large":              refused(413, 40005, channel.Permanent),
				"filtered":                    refused(400, 240000, channel.Permanent),
				"writing too fast":            refused(429, 20028, channel.RateLimited),
				"opening chats too fast":      refused(400, 40003, channel.RateLimited),
				"overloaded":                  refused(503, 130000, channel.Temporary),
				"internal":                    refused(500, 0, channel.Unknown),
				"banned by Cloudflare":        {Answer: answerWith(429, "<html>error code: 1015</html>"), Want: channel.RateLimited},
				"somebody else's server":      {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
				"somebody else's JSON":        {Answer: answerWith(404, `{"error":"no route"}`), Want: channel.Misconfig},
				"bad gateway of Cloudflare's": {Answer: answerWith(502, "<html>502</html>"), Want: channel.Unknown},
			},
			Text: func(_ *http.Request, body []byte) string {
				var m created
				_ = json.Unmarshal(body, &m)
				return m.Content
			},
		},
	})
}

// A channel or user that is gone is not here, and the channel is not remembered any more.
func TestGone(t *testing.T) {
	for _, code := range []int{10003, 10013, 50033} {
		e := refusal(channel.Answer{Status: 404, Body: fmt.Appendf(nil, `{"message":"x","code":%d}`, code)}, "x")
		if e.Class != channel.NotHere {
			t.Errorf("%d: %s", code, e.Class)
		}
	}
	if e := refusal(channel.Answer{Status: 403, Body: []byte(`{"message":"x","code":50001}`)}, "x"); e.Class != channel.Misconfig {
		t.Errorf("50001: %s", e.Class)
	}
	if e := refusal(channel.Answer{Status: 429, Body: []byte(`{"message":"x","retry_after":64.5,"global":true}`)}, "x"); e.RetryAfter != 64500*time.Millisecond {
		t.Errorf("retry after %s", e.RetryAfter)
	}
}

// The handshake of the endpoint is answered, and only where it is signed.
func TestPing(t *testing.T) {
	a := account("old")
	r := signed(a, []byte(`{"id":"1","application_id":"1015000000000000000","type":1,"version":1}`), time.Now())
	if err := New().Verify(a, r, time.Now()); err != nil {
		t.Fatal(err)
	}
	events, reply, err := New().Parse(a, r)
	if err != nil || len(events) != 0 || string(reply.Body) != `{"type":1}` || reply.Type != "application/json" {
		t.Errorf("%v %s %v", events, reply.Body, err)
	}
	_, reply, err = New().Parse(a, &channel.Request{Body: []byte(pressed)})
	if err != nil || string(reply.Body) != `{"type":6}` {
		t.Errorf("a pressed button: %s %v", reply.Body, err)
	}
	r = signed(a, []byte(pressed), time.Now())
	r.Header.Set(signatureHeader, strings.ToUpper(r.Header.Get(signatureHeader)))
	if New().Verify(a, r, time.Now()) == nil {
		t.Error("a second spelling of the signature passes")
	}
	r = signed(a, []byte(pressed), time.Now())
	r.Header.Add(timestampHeader, r.Header.Get(timestampHeader))
	if New().Verify(a, r, time.Now()) == nil {
		t.Error("the header twice passes")
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"Guten Tag! 5 > 3, a-b #1":               "Guten Tag! 5 > 3, a-b #1",
		"*fett* _kursiv_ `x` ~~y~~ ||z||":        `\*fett\* \_kursiv\_ \` + "`x\\` \\~\\~y\\~\\~ \\|\\|z\\|\\|",
		"# Titel\n> Zitat\n- eins\n  - zwei":     "\\# Titel\n\\> Zitat\n\\- eins\n  \\- zwei",
		"<@123> [x](https://a_b.de/c_d?e=*f*) _": "\\<@123> \\[x](https://a_b.de/c_d?e=*f*) \\_",
		"https://x.example/a_b_c":                "https://x.example/a_b_c",
		`C:\dir`:                                 `C:\\dir`,
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
	parts, err := split(New().Capabilities(), channel.Outgoing{Text: strings.Repeat("*_ ", 1500)})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if n := utf8.RuneCountInString(p.Text); n > textMax {
			t.Errorf("a part of %d characters", n)
		}
	}
}

func TestNonce(t *testing.T) {
	if n := nonce(deliveryID, 0, 1); len(n) > 25 {
		t.Errorf("%q is too long", n)
	} else if id, whole := deliveryOf(n); id != deliveryID || !whole {
		t.Errorf("%q gives %q, %t", n, id, whole)
	}
	if id, whole := deliveryOf(nonce(deliveryID, 2, 3)); id != deliveryID || whole {
		t.Errorf("the last of three gives %q, %t", id, whole)
	}
	for _, n := range []string{nonce(deliveryID, 0, 2), nonce(deliveryID, 1, 3), nonce(deliveryID, 99, 101), nonce(deliveryID, 100, 101), nonce("d", 0, 1), nonce("d", 3, 4), "", "x", ".z"} {
		if id, _ := deliveryOf(n); len(n) > 25 || id != "" {
			t.Errorf("%q gives %q", n, id)
		}
	}
	if nonce("d", 0, 2) == nonce("d", 1, 2) || nonce(deliveryID, 0, 2) == nonce(deliveryID, 1, 2) {
		t.Error("two parts have one nonce")
	}
}

// The chats in the cursor are bounded, in order, and never go back.
func TestCursor(t *testing.T) {
	var s state
	for i := range 3 * chatsKept {
		s.touch(&message{ID: strconv.Itoa(1000 + i), ChannelID: strconv.Itoa(1 + i), Author: &user{ID: "7"}}, false)
	}
	if len(s.Chats) != chatsKept || s.Chats[chatsKept-1].Channel != strconv.Itoa(3*chatsKept) || len(s.cursor()) > 16<<10 {
		t.Errorf("%d chats, %d bytes", len(s.Chats), len(s.cursor()))
	}
	last := s.Chats[chatsKept-1].Channel
	s.touch(&message{ID: "5", ChannelID: last, Author: &user{ID: "7"}}, false)
	if s.Chats[chatsKept-1].Last == "5" {
		t.Error("an older message moves back")
	}
	s.Gap = true
	s.touch(&message{ID: "99999", ChannelID: last, Author: &user{ID: "7"}}, false)
	if s.Chats[chatsKept-1].Last == "99999" {
		t.Error("a live message skips the gap")
	}
	if back := readCursor(s.cursor()); len(back.Chats) != chatsKept || !back.Gap {
		t.Errorf("%+v", back)
	}
	readCursor("nonsense")
}

// The bot's token goes to Discord alone.
func TestGatewayAddress(t *testing.T) {
	l := &listener{a: account("old")}
	for raw, want := range map[string]bool{
		"wss://gateway.discord.gg": true, "wss://gateway-us-east1-b.discord.gg": true,
		"ws://gateway.discord.gg": false, "wss://discord.gg.evil.example": false, "wss://evildiscord.gg": false, "wss://x@gateway.discord.gg": false, "https://gateway.discord.gg": false, "": false,
	} {
		got, err := l.address(raw)
		if (err == nil) != want || want && !strings.HasSuffix(got, "/?v=10&encoding=json") {
			t.Errorf("%s: %s %v", raw, got, err)
		}
	}
	a := account("old")
	for address, want := range map[string]bool{
		"https://cdn.discordapp.com/attachments/1/2/x.png?ex=1": true, "https://media.discordapp.net/x": true,
		"http://cdn.discordapp.com/x": false, "https://cdn.discordapp.com.evil.example/x": false, "https://127.0.0.1/x": false, "https://x@cdn.discordapp.com/": false,
	} {
		if mediaHost(a, address) != want {
			t.Errorf("%s: %t", address, !want)
		}
	}
}

func quick(t *testing.T) {
	t.Helper()
	i, f, c := identifyPause, firstPause, catchPause
	identifyPause, firstPause, catchPause = time.Millisecond, 10*time.Millisecond, time.Second/40
	t.Cleanup(func() { identifyPause, firstPause, catchPause = i, f, c })
}

func TestExchange(t *testing.T) {
	quick(t)
	channeltest.Exchange(t, channeltest.Talk{Driver: New(), New: func(*testing.T) channelsim.Sim { return discordsim.New(discordsim.Options{}) }, Nobody: "4711"})
}

// The buttons work over the interactions endpoint, too.
func TestEndpoint(t *testing.T) {
	quick(t)
	sim := discordsim.New(discordsim.Options{Endpoint: true})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	press(t, sim, c, p)
}

func press(t *testing.T, sim *discordsim.Sim, c *channeltest.Company, p channelsim.Person) {
	t.Helper()
	sim.Online(5 * time.Second)
	r, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Passt das?", Choices: []channel.Choice{{Label: "Ja", Data: "yes"}, {Label: "Nein", Data: "no"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Press("", "Ja"); err != nil {
		t.Fatal(err)
	}
	e := c.Await("the choice", func(e channel.Event) bool { return e.Type == channel.ChoiceEvent })
	if e.Choice.Data != "yes" || e.Choice.Label != "Ja" || e.Ref != r.ExternalID || e.Sender.Name != "Erika Muster" || e.Sender.Language != "de" {
		t.Errorf("%+v %+v", e, e.Choice)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if !sim.Wait(ctx, func() bool { return sim.Unanswered() == 0 }) {
		t.Error("the button was not acknowledged")
	}
}

func text(what string) func(channel.Event) bool {
	return func(e channel.Event) bool {
		return e.Type == channel.MessageEvent && e.Message.Text == what
	}
}

func write(t *testing.T, p channelsim.Person, text string) string {
	t.Helper()
	ref, err := p.Write(text, "")
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// Whatever happens to the connection, every message arrives: resumed where it can be, read by REST where it cannot.
func TestConnections(t *testing.T) {
	quick(t)
	for name, break_ := range map[string]func(*discordsim.Sim){
		"cut":             (*discordsim.Sim).Cut,
		"reconnect":       (*discordsim.Sim).Reconnect,
		"invalid session": (*discordsim.Sim).Invalidate,
		"zombie":          (*discordsim.Sim).Mute,
		"unknown error":   func(s *discordsim.Sim) { s.CloseWith(4000) },
		"timed out":       func(s *discordsim.Sim) { s.CloseWith(4009) },
		"going away":      func(s *discordsim.Sim) { s.CloseWith(1001) },
	} {
		t.Run(name, func(t *testing.T) {
			sim := discordsim.New(discordsim.Options{Heartbeat: 100 * time.Millisecond, Identify: -1})
			c := channeltest.Open(t, New(), sim, nil)
			p := sim.Person("Erika Muster")
			write(t, p, "davor")
			c.Await("the one before", text("davor"))
			break_(sim)
			for i := range 120 { // more than a page
				write(t, p, fmt.Sprintf("währenddessen %d", i))
			}
			c.Await("the last one", text("währenddessen 119"))
			write(t, p, "danach")
			c.Await("the one after", text("danach"))
			seen := map[string]int{}
			for _, e := range c.Events() {
				if e.Message != nil {
					seen[e.Message.Text]++
				}
			}
			if len(seen) != 122 {
				t.Errorf("%d messages arrived, want 122", len(seen))
			}
			if o := sim.Oversteps(); len(o) > 0 {
				t.Errorf("limits were broken: %v", o)
			}
		})
	}
}

// A wrong token, and no sessions left, are told at once and not tried again and again.
func TestTrouble(t *testing.T) {
	quick(t)
	listen := func(sim *discordsim.Sim, change func(channel.Settings)) error {
		c := channeltest.Open(t, New(), sim, nil)
		s := channel.Settings{}
		for k, v := range c.Account.Settings {
			s[k] = v
		}
		change(s)
		a := c.Account
		a.Settings = s
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return New().Listen(ctx, a, "", c.Env, func(context.Context, channel.Inbound) error { return nil })
	}
	for name, tt := range map[string]struct {
		sim    *discordsim.Sim
		change func(channel.Settings)
		want   string
	}{
		"wrong token":     {discordsim.New(discordsim.Options{}), func(s channel.Settings) { s["bot_token"] = testToken }, "token"},
		"nothing there":   {discordsim.New(discordsim.Options{}), func(s channel.Settings) { s["api_url"] = "http://127.0.0.1:1" }, "reached"},
		"not Discord":     {discordsim.New(discordsim.Options{}), func(s channel.Settings) { s["api_url"] += "/elsewhere" }, "api_url"},
		"no session left": {discordsim.New(discordsim.Options{Starts: 1}), func(channel.Settings) {}, "connection"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no session left" {
				// The test's own company takes the only one first.
				c := channeltest.Open(t, New(), tt.sim, nil)
				tt.sim.Online(5 * time.Second)
				err := New().Listen(t.Context(), c.Account, "", c.Env, func(context.Context, channel.Inbound) error { return nil })
				checkTrouble(t, err, tt.want)
				return
			}
			checkTrouble(t, listen(tt.sim, tt.change), tt.want)
		})
	}
}

func checkTrouble(t *testing.T, err error, want string) {
	t.Helper()
	trouble, ok := err.(*channel.Trouble) //nolint:errorlint // the house looks at the outermost too
	if !ok || !strings.Contains(strings.ToLower(trouble.Reason.EN), want) || trouble.Remedy.DE == "" {
		t.Errorf("got %v", err)
	}
}

// What the house did not keep comes again.
func TestNotKept(t *testing.T) {
	quick(t)
	sim := discordsim.New(discordsim.Options{Identify: -1})
	c := channeltest.Open(t, New(), sim, nil) // its own listener shares the session; the one below is another life
	p := sim.Person("Erika Muster")
	write(t, p, "eins")
	c.Await("the first", text("eins"))
	var in []channel.Inbound
	cursor := state{Chats: []chat{{p.(interface{ Channel() string }).Channel(), p.Address(), "1"}}}.cursor()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := New().Listen(ctx, c.Account, cursor, c.Env, func(context.Context, channel.Inbound) error { return io.ErrShortWrite })
	if err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("got %v", err)
	}
	_ = New().Listen(ctx, c.Account, cursor, c.Env, func(_ context.Context, i channel.Inbound) error { in = append(in, i); cancel(); return nil })
	if len(in) == 0 || len(in[0].Events) != 1 || in[0].Events[0].Message.Text != "eins" || in[0].Cursor == "" {
		t.Fatalf("%+v", in)
	}
	again, err := New().Reparse(c.Account, in[0].Raw)
	if err != nil || len(again) != 1 || again[0].Key != in[0].Events[0].Key {
		t.Errorf("%+v %v", again, err)
	}
}

// Catching up that is interrupted goes on where it was, whatever came live meanwhile.
func TestGapInterrupted(t *testing.T) {
	quick(t)
	sim := discordsim.New(discordsim.Options{Identify: -1})
	c := channeltest.Open(t, New(), sim, nil)
	var begin state
	for _, name := range []string{"Erika Muster", "Jonas Krause", "Lea Sommer"} {
		p := sim.Person(name)
		for i := range 3 {
			write(t, p, fmt.Sprintf("%s %d", name, i))
		}
		begin.Chats = append(begin.Chats, chat{p.(interface{ Channel() string }).Channel(), p.Address(), "1"})
	}
	cursor, got := begin.cursor(), map[string]bool{}
	for life := 0; len(got) < 9; life++ { // one message in each life
		if life > 20 {
			t.Fatalf("after %d lives: %v", life, got)
		}
		kept := false
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_ = New().Listen(ctx, c.Account, cursor, c.Env, func(_ context.Context, in channel.Inbound) error {
			if kept {
				return io.ErrShortWrite
			}
			for _, e := range in.Events {
				if e.Message != nil {
					got[e.Message.Text], kept = true, true
				}
			}
			if kept && in.Cursor != "" {
				cursor = in.Cursor
			}
			if len(got) == 9 {
				cancel()
			}
			return nil
		})
		cancel()
	}
}

// An uncertain send is resolved by our own message coming back.
func TestEcho(t *testing.T) {
	quick(t)
	sim := discordsim.New(discordsim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	sim.Online(5 * time.Second)
	sim.Fail(channelsim.Fault{Op: "message", Accept: true, Cut: true})
	if _, err := c.Send(t.Context(), channel.Outgoing{DeliveryID: deliveryID, To: channel.Address{Value: p.Address()}, Text: "Kam es an?"}); err == nil {
		t.Fatal("accepted")
	}
	e := c.Await("the echo", func(e channel.Event) bool { return e.Type == channel.StatusEvent })
	if e.Status.DeliveryID != deliveryID || e.Status.State != channel.Sent || e.Status.ExternalID != p.Inbox()[0].Ref {
		t.Errorf("%+v", e.Status)
	}
	long, err := c.Send(t.Context(), channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-00000000beef", To: channel.Address{Value: p.Address()}, Text: strings.Repeat("Wort ", 600)})
	if err != nil || len(long.Parts) != 1 {
		t.Fatalf("%+v %v", long, err)
	}
	c.Await("the echo of the last part", func(e channel.Event) bool {
		return e.Status != nil && e.Status.DeliveryID == "0193a1b2-0000-7000-8000-00000000beef" && e.Key == "status:"+long.Parts[0]+":sent" && e.Status.ExternalID == ""
	})
	// At once, the nonce keeps a second attempt harmless.
	r, err := c.Send(t.Context(), channel.Outgoing{DeliveryID: deliveryID, To: channel.Address{Value: p.Address()}, Text: "Kam es an?"})
	if err != nil || r.ExternalID != e.Status.ExternalID || len(p.Inbox()) != 3 {
		t.Errorf("%+v %v, %d messages", r, err, len(p.Inbox()))
	}
}

// Deleting, typing and an expired address of a file.
func TestRest(t *testing.T) {
	quick(t)
	sim := discordsim.New(discordsim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	ref := write(t, p, "Verschrieben")
	if err := p.(interface{ Delete(string) error }).Delete(ref); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("the deletion", func(e channel.Event) bool { return e.Type == channel.DeleteEvent }); e.Ref != ref || e.Sender.Value != p.Address() {
		t.Errorf("%+v", e)
	}
	p.(interface{ Type() }).Type()
	sim.Beat()
	sim.Raw("SOMETHING_NEW", map[string]any{"id": "1"})
	content := []byte("PDF")
	if _, err := p.Send(channelsim.File{Name: "x.pdf", MediaType: "application/pdf", Content: content}, ""); err != nil {
		t.Fatal(err)
	}
	e := c.Await("the file", func(e channel.Event) bool { return e.Message != nil && len(e.Message.Attachments) > 0 })
	sim.Expire()
	f, err := New().FetchMedia(t.Context(), c.Account, e.Message.Attachments[0].Remote, c.Env)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q %v", got, err)
	}
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Errorf("Probe: %v", err)
	}
	if _, err := New().FetchMedia(t.Context(), c.Account, "https://evil.example/x.pdf", c.Env); err == nil {
		t.Error("a file outside Discord is fetched")
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
		events, touched, err := parse(raw, scene{me: testApp, session: "s", users: map[string]string{testChat: testUser}})
		if err != nil && len(events) > 0 {
			t.Error("an error and events")
		}
		channeltest.CheckEvents(t, events)
		s := state{}
		s.touch(touched, false)
		readCursor(s.cursor())
		events, reply, err := New().Parse(account("old"), &channel.Request{Body: raw})
		if err == nil && reply.Body == nil || err != nil && (len(events) > 0 || reply.Body != nil) {
			t.Errorf("%d events, %q, %v", len(events), reply.Body, err)
		}
		channeltest.CheckEvents(t, events)
		if s := string(raw); utf8.ValidString(s) && len(s) < 5000 {
			if e := escape(s); utf8.RuneCountInString(e) > 2*utf8.RuneCountInString(s) {
				t.Errorf("escaping more than doubles %q", s)
			}
		}
	})
}

func BenchmarkWebhook(b *testing.B) {
	a := account("old")
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, []byte(pressed), time.Now()))
}

// BenchmarkGateway measures reading of messages, which is what a bot mostly does.
func BenchmarkGateway(b *testing.B) {
	raw, err := os.ReadFile("testdata/message.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if events, _, err := parse(raw, scene{me: testApp}); err != nil || len(events) != 1 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
