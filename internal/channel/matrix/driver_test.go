package matrix

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/matrix/matrixsim"
)

func account(hs string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Musterhaus", Settings: channel.Settings{
		"homeserver": "https://matrix.muster.example", "user_id": "@service:muster.example", "hs_token": hs, "as_token": "as-secret-1"}}
}

func pushed(a channel.Account, body []byte, now time.Time) *channel.Request {
	h := http.Header{"Content-Type": {"application/json"}}
	if s := channel.Rotation(a.Settings["hs_token"]); len(s) > 0 {
		h.Set("Authorization", "Bearer "+s[0])
	}
	return &channel.Request{Method: http.MethodPut, Path: "/_matrix/app/v1/transactions/35", Header: h, Body: body, At: now}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// onSend answers everything but sending as an ordinary homeserver does.
func onSend(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/account_data/"):
			answerWith(200, `{"room_id":"!r:muster.example"}`)(w, r)
		case strings.HasSuffix(r.URL.Path, "/state"):
			answerWith(200, `[{"type":"m.room.member","state_key":"@erika:muster.example","sender":"@erika:muster.example","content":{"membership":"join"}}]`)(w, r)
		default:
			h(w, r)
		}
	}
}

func refusal(status int, code string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: onSend(answerWith(status, fmt.Sprintf(`{"errcode":%q,"error":"no"}`, code)))}
}

const oneMessage = `{"events":[{"type":"m.room.message","event_id":"$1","room_id":"!r:x.example","sender":"@e:x.example","origin_server_ts":1764000000000,"content":{"msgtype":"m.text","body":"x"}}]}`

func TestDriver(t *testing.T) {
	good := func(change channel.Settings) channel.Settings {
		s := channel.Settings{"homeserver": "https://m.example", "user_id": "@a:m.example", "access_token": "t"}
		for k, v := range change {
			s[k] = v
		}
		return s
	}
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("hs-secret-old"),
		BadSettings: map[string]channel.Settings{
			"homeserver is a name":      good(channel.Settings{"homeserver": "m.example"}),
			"user without server":       good(channel.Settings{"user_id": "@a"}),
			"user without @":            good(channel.Settings{"user_id": "a:m.example"}),
			"no token":                  good(channel.Settings{"access_token": ""}),
			"hs_token without as_token": good(channel.Settings{"hs_token": "x"}),
			"as_token without hs_token": good(channel.Settings{"as_token": "x"}),
			"three secrets":             good(channel.Settings{"as_token": "x", "hs_token": "a,b,c"}),
			"token with line break":     good(channel.Settings{"access_token": "a\nb"}),
		},
		Webhook: &channeltest.Webhook{Sign: pushed, Body: []byte(oneMessage), Headers: []string{"Authorization"},
			Rotating: account("hs-secret-new,hs-secret-old"), Rotated: account("hs-secret-new"), Other: account("hs-secret-other")},
		Samples:   "testdata/*.json",
		Batch:     []byte(`{"events":[{"type":"m.room.message","event_id":"$1","sender":"@e:x.example","content":{"msgtype":"m.text","body":"a"}},{"type":"m.room.message","event_id":"$2","sender":"@e:x.example","content":{"msgtype":"m.text","body":7}},{"type":"m.room.message","event_id":"$3","sender":"@e:x.example","content":{"msgtype":"m.text","body":"c"}}]}`),
		BatchKeys: []string{"msg:$1", "msg:$3"},
		WithName: func(name string) []byte {
			quoted, _ := json.Marshal(name)
			return fmt.Appendf(nil, `{"events":[{"type":"m.room.member","event_id":"$0","sender":"@e:x.example","state_key":"@e:x.example","content":{"membership":"join","displayname":%s}},{"type":"m.room.message","event_id":"$1","sender":"@e:x.example","content":{"msgtype":"m.text","body":"a"}}]}`, quoted)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "@erika:muster.example"}, Text: "Guten Tag"},
			Accept:      onSend(answerWith(200, `{"event_id":"$sent"}`)),
			RateLimited: onSend(answerWith(429, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests","retry_after_ms":2000}`)),
			Refusals: map[string]channeltest.Refusal{
				"wrong token":     refusal(401, "M_UNKNOWN_TOKEN", channel.Misconfig),
				"deactivated":     refusal(403, "M_USER_DEACTIVATED", channel.Misconfig),
				"not in the room": refusal(403, "M_FORBIDDEN", channel.Blocked),
				"too large":       refusal(413, "M_TOO_LARGE", channel.Permanent),
				"no such API":     refusal(404, "M_UNRECOGNIZED", channel.Misconfig),
				"bad JSON":        refusal(400, "M_BAD_JSON", channel.Permanent),
				"server error":    refusal(500, "M_UNKNOWN", channel.Unknown),
				"no homeserver":   {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
				"no such user": {Want: channel.NotHere, Answer: func(w http.ResponseWriter, r *http.Request) {
					answerWith(404, `{"errcode":"M_NOT_FOUND","error":"no"}`)(w, r)
				}},
			},
			Text: func(_ *http.Request, body []byte) string {
				var p struct {
					Body string `json:"body"`
				}
				_ = json.Unmarshal(body, &p)
				return p.Body
			},
		},
	})
}

func TestExchange(t *testing.T) {
	for name, o := range map[string]matrixsim.Options{"sync": {}, "application service": {AppService: true}} {
		t.Run(name, func(t *testing.T) {
			channeltest.Exchange(t, channeltest.Talk{Driver: New(), Nobody: "@niemand:muster.example",
				New: func(*testing.T) channelsim.Sim { return matrixsim.New(o) }})
		})
	}
}

// What the homeserver asks beside transactions.
func TestAppServiceQueries(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/_matrix/app/v1/ping", 200},
		{"GET", "/_matrix/app/v1/users/@service:muster.example", 200},
		{"GET", "/_matrix/app/v1/users/%40service%3Amuster.example", 200},
		{"GET", "/_matrix/app/v1/users/@other:muster.example", 404},
		{"GET", "/_matrix/app/v1/rooms/%23a:muster.example", 404},
		{"GET", "/_matrix/app/v1/thirdparty/location", 200},
		{"GET", "/_matrix/app/v1/thirdparty/protocol/irc", 404},
		{"GET", "/_matrix/app/v2/what", 404},
		{"POST", "", 404},
	} {
		events, reply, err := New().Parse(account("s"), &channel.Request{Method: tt.method, Path: tt.path})
		if err != nil || len(events) > 0 || reply.Status != tt.status || !json.Valid(reply.Body) {
			t.Errorf("%s %s: %v %+v %v", tt.method, tt.path, events, reply, err)
		}
	}
}

// A customer's encrypted message is shown as such, and the answer opens a room that is not encrypted.
func TestEncryptedRoom(t *testing.T) {
	sim := matrixsim.New(matrixsim.Options{Encrypted: true})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Customer("Erika Muster")
	if _, err := p.Write("geheim", ""); err != nil {
		t.Fatal(err)
	}
	e := c.Await("the encrypted message", func(e channel.Event) bool { return e.Type == channel.MessageEvent })
	if e.Message.Unsupported != "encrypted message" || e.Sender.Value != p.Address() {
		t.Errorf("came as %+v", e.Message)
	}
	if _, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Bitte hier schreiben."}); err != nil {
		t.Fatal(err)
	}
	c.Got(p, 1)
	if _, err := p.Write("Jetzt offen.", ""); err != nil {
		t.Fatal(err)
	}
	c.Await("the open message", func(e channel.Event) bool { return e.Message != nil && e.Message.Text == "Jetzt offen." })
}

// Rooms of more than two are left with one note.
func TestGroupRoom(t *testing.T) {
	sim := matrixsim.New(matrixsim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Customer("Erika Muster")
	if err := p.Invite(sim.Customer("Jonas Krause")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write("Hallo zusammen", ""); err != nil {
		t.Fatal(err)
	}
	e := c.Await("the note", func(channel.Event) bool { return true })
	if e.Type != channel.UnparsedEvent || !strings.Contains(e.Error, "group room") {
		t.Errorf("came as %+v", e)
	}
	if m := p.Member(); m != "leave" {
		t.Errorf("we are %q", m)
	}
}

// More than one answer of /sync carries is fetched, in order.
func TestGap(t *testing.T) {
	sim := matrixsim.New(matrixsim.Options{})
	p := sim.Customer("Erika Muster")
	for i := range 250 {
		if _, err := p.Write(fmt.Sprintf("Nachricht %d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	c := channeltest.Open(t, New(), sim, nil)
	c.Await("the last one", func(e channel.Event) bool { return e.Message != nil && e.Message.Text == "Nachricht 249" })
	events := c.Events()
	if len(events) != 250 {
		t.Fatalf("%d events", len(events))
	}
	for i, e := range events {
		if e.Message.Text != fmt.Sprintf("Nachricht %d", i) || e.Sender.Name != "Erika Muster" {
			t.Fatalf("%d is %q of %q", i, e.Message.Text, e.Sender.Name)
		}
	}
}

func TestWithoutFallback(t *testing.T) {
	for in, want := range map[string]string{
		"> <@a:x> hallo\n\nja":            "ja",
		"> <@a:x> a\n> b\n\n\nja\n> nein": "\nja\n> nein",
		"> nur ein Zitat":                 "> nur ein Zitat",
		"> Zitat\n\n":                     "> Zitat\n\n",
		"ohne":                            "ohne",
		"":                                "",
	} {
		if got := withoutFallback(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestMediaNames(t *testing.T) {
	for uri, ok := range map[string]bool{"mxc://x.example/abc_-9": true, "mxc://x.example:8448/a": true, "mxc://[::1]:80/a": true,
		"mxc://x/../../a": false, "mxc://x/a?b": false, "https://x/a": false, "mxc:///a": false, "mxc://x/": false, "mxc://x/a\n": false} {
		if mediaForm.MatchString(uri) != ok {
			t.Errorf("%q: %t", uri, !ok)
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
	a := account("s")
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, reply, err := New().Parse(a, pushed(a, raw, time.Time{}))
		if err == nil && reply.Status != 200 || err != nil && (len(events) > 0 || reply.Body != nil) {
			t.Errorf("%d events, %+v, %v", len(events), reply, err)
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	a := account("hs-secret")
	channeltest.BenchmarkWebhook(b, New(), a, pushed(a, []byte(oneMessage), time.Now()))
}
