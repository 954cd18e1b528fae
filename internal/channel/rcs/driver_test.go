package rcs

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/rcs/rcssim"
)

const deliveryID = "0193a1b2-0000-7000-8000-00000000d00d"

var serviceKey = rcssim.New(rcssim.Options{}).Settings("")["service_account"]

func account(clientToken string) channel.Account {
	a := channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Org: "o", Kind: Kind, Name: "Musterhaus", Settings: channel.Settings{
		"agent_id": "muster_agent", "client_token": clientToken, "service_account": serviceKey, "api_url": "http://127.0.0.1:1"}}
	return a
}

// signed is a webhook about body, signed by our own hand.
func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	secret := ""
	if list := channel.Rotation(a.Settings["client_token"]); len(list) > 0 {
		secret = list[0]
	}
	mac := hmac.New(sha512.New, []byte(secret))
	mac.Write(body)
	envelope, _ := json.Marshal(map[string]any{"message": map[string]any{"attributes": map[string]string{"product": "RBM"},
		"data": base64.StdEncoding.EncodeToString(body), "messageId": "8", "publishTime": "2026-03-04T05:06:07Z"}, "subscription": "projects/rbm/subscriptions/x"})
	return &channel.Request{Method: http.MethodPost, At: now, Body: envelope,
		Header: http.Header{"Content-Type": {"application/json"}, signatureHeader: {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refused(status int, code string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(`{"error":{"code":%d,"message":"No.","status":%q}}`, status, code))}
}

func with(key, value string) channel.Settings {
	s := channel.Settings{}
	for k, v := range account("t").Settings {
		s[k] = v
	}
	s[key] = value
	return s
}

func TestDriver(t *testing.T) {
	// The token is there already, so that the suite's answers are those to the message itself.
	remember(account("old"), accessToken{"ya29.test-token", time.Now().Add(time.Hour)}, time.Now())
	sample := []byte(`{"senderPhoneNumber":"+4915123400000","messageId":"m","sendTime":"2026-03-04T05:06:07Z","agentId":"muster_agent","text":"Hallo"}`)
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("old"),
		BadSettings: map[string]channel.Settings{
			"agent with a slash":        with("agent_id", "a/b"),
			"three client tokens":       with("client_token", "a,b,c"),
			"an empty second token":     with("client_token", "a,"),
			"no JSON":                   with("service_account", "nonsense"),
			"an OAuth client's file":    with("service_account", `{"installed":{"client_id":"x"}}`),
			"a key that is no PEM":      with("service_account", `{"type":"service_account","client_email":"x@y","private_key":"x"}`),
			"a national number":         with("phone_number", "030 123456"),
			"api_url without a scheme":  with("api_url", "rcsbusinessmessaging.googleapis.com"),
			"agent_id with white space": with("agent_id", " a "),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: sample, Headers: []string{signatureHeader}, // what is signed is data alone: see TestData
			Rotating: account("new,old"), Rotated: account("new"), Other: account("other"),
		},
		Samples: "testdata/*.json",
		WithID: func(number string) []byte {
			return fmt.Appendf(nil, `{"senderPhoneNumber":"+4915123400000","messageId":%q,"text":"x"}`, number)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: deliveryID, To: channel.Address{Value: "+4915123400000"}, Text: "Guten Tag"},
			Accept:      answerWith(200, `{"name":"phones/+4915123400000/agentMessages/x","sendTime":"2026-03-04T05:06:07Z","contentMessage":{"text":"Guten Tag"}}`),
			RateLimited: answerWith(429, `{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}`),
			Refusals: map[string]channeltest.Refusal{
				"no RCS on the phone":       refused(404, "NOT_FOUND", channel.NotHere),
				"not our agent":             refused(403, "PERMISSION_DENIED", channel.Misconfig),
				"bad argument":              refused(400, "INVALID_ARGUMENT", channel.Permanent),
				"precondition":              refused(400, "FAILED_PRECONDITION", channel.Permanent),
				"too large":                 refused(413, "", channel.Permanent),
				"internal":                  refused(500, "INTERNAL", channel.Unknown),
				"unavailable":               refused(503, "UNAVAILABLE", channel.Unknown),
				"arrived before":            refused(409, "ALREADY_EXISTS", ""),
				"somebody else's server":    {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
				"somebody else's forbidden": {Answer: answerWith(403, "<html>nginx</html>"), Want: channel.Misconfig},
			},
			Text: func(r *http.Request, body []byte) string {
				var m message
				_ = json.Unmarshal(body, &m)
				return m.Content.Text
			},
		},
	})
}

// Only data is signed: whatever else of the envelope changes says nothing, and changed data is refused.
func TestData(t *testing.T) {
	a := account("s")
	now := time.Now()
	body := []byte(`{"senderPhoneNumber":"+4915123400000","messageId":"m","text":"Hallo"}`)
	for i := range body {
		r := signed(a, body, now)
		other := append([]byte(nil), body...)
		other[i] ^= 1
		r.Body = signed(a, other, now).Body
		if New().Verify(a, r, now) == nil {
			t.Errorf("data with byte %d off passes", i)
		}
	}
	again, _ := json.Marshal(json.RawMessage(`{"messageId":"m","senderPhoneNumber":"+4915123400000","text":"Hallo"}`))
	r := signed(a, body, now)
	r.Body = signed(a, again, now).Body
	if New().Verify(a, r, now) == nil {
		t.Error("re-serialised data passes")
	}
	for _, bad := range []string{``, `{}`, `{"message":{}}`, `{"message":null}`, `[]`, `{"message":{"data":"%%%"}}`, `{"clientToken":"s"}`, `{"secret":"x"}`} {
		if New().Verify(a, &channel.Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(bad)}, now) == nil {
			t.Errorf("%s passes", bad)
		}
	}
	r = signed(a, body, now)
	r.Method = http.MethodGet
	if New().Verify(a, r, now) == nil {
		t.Error("a GET passes")
	}
	r = signed(a, body, now)
	r.Header.Add(signatureHeader, r.Header.Get(signatureHeader))
	if New().Verify(a, r, now) == nil {
		t.Error("the header twice passes")
	}
}

// Setting the webhook up repeats the secret, as plain text, to whoever knows the client token.
func TestHandshake(t *testing.T) {
	a := account("new,old")
	for token, want := range map[string]bool{"new": true, "old": true, "other": false, "new,old": false, "": false} {
		body, _ := json.Marshal(map[string]string{"clientToken": token, "secret": "1234567890"})
		r := &channel.Request{Method: http.MethodPost, Header: http.Header{}, Body: body}
		if err := New().Verify(a, r, time.Now()); (err == nil) != want {
			t.Errorf("client token %q: %v", token, err)
		}
		if !want {
			continue
		}
		events, reply, err := New().Parse(a, r)
		if err != nil || len(events) != 0 || reply.Status != 200 || string(reply.Body) != "1234567890" || !strings.HasPrefix(reply.Type, "text/plain") {
			t.Errorf("%v %+v %v", events, reply, err)
		}
	}
	if New().Verify(channel.Account{}, &channel.Request{Method: http.MethodPost, Body: []byte(`{"clientToken":"x","secret":"y"}`)}, time.Now()) == nil {
		t.Error("passes without settings")
	}
}

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: New(), New: func(*testing.T) channelsim.Sim { return rcssim.New(rcssim.Options{}) }, Nobody: "+4915199999999"})
}

// A token that Google does not take any more is renewed once, and the message goes out once.
func TestTokenRenewed(t *testing.T) {
	sim := rcssim.New(rcssim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	out := channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Eins"}
	if _, err := c.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	sim.Expire()
	out.Text = "Zwei"
	if _, err := c.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Got(p, 2)); n != 2 {
		t.Errorf("%d messages", n)
	}
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Errorf("Probe: %v", err)
	}
}

// Without a token nothing was sent, and the reason says so.
func TestTokenRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   channel.Class
	}{
		"unknown account": {answerWith(400, `{"error":"invalid_grant","error_description":"Invalid grant: account not found"}`), channel.Misconfig},
		"broken":          {answerWith(503, `<html>`), channel.Temporary},
		"cut":             {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, channel.Temporary},
		"nonsense":        {answerWith(200, `{}`), channel.Temporary},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			a := account("s")
			a.Org = name // a token of its own
			a.Settings["api_url"] = server.URL
			env := channeltest.Env()
			_, err := New().Send(t.Context(), a, channel.Outgoing{DeliveryID: deliveryID, To: channel.Address{Value: "+4915123400000"}, Text: "x"}, env)
			var e *channel.SendError
			if !errors.As(err, &e) || e.Class != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			var trouble *channel.Trouble
			if err := New().Probe(t.Context(), a, env); !errors.As(err, &trouble) || trouble.Remedy.DE == "" {
				t.Errorf("Probe: %v", err)
			}
		})
	}
}

// Redelivered, doubled and shuffled webhooks give each event once.
func TestRedelivery(t *testing.T) {
	sim := rcssim.New(rcssim.Options{})
	sim.Hook.Duplicate(3)
	sim.Hook.Shuffle(7)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	for i := range 20 {
		if _, err := p.Write(fmt.Sprintf("Nr. %d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		c.Await("a message", func(e channel.Event) bool { return e.Message != nil && e.Message.Text == fmt.Sprintf("Nr. %d", i) })
	}
	sim.Common().Wait(t.Context(), func() bool { return sim.Hook.Pending() == 0 })
	if n := len(c.Events()); n != 20 || c.Again() != 40 {
		t.Errorf("%d events, %d again", n, c.Again())
	}
}

func TestParts(t *testing.T) {
	sim := rcssim.New(rcssim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	out := channel.Outgoing{DeliveryID: deliveryID, To: channel.Address{Value: p.Address()}, Text: strings.Repeat("Wort ", 1000)}
	first, err := c.Send(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	if first.ExternalID != deliveryID || first.ExternalID != New().ExternalID(c.Account, out) || len(first.Parts) != 1 || first.Parts[0] == deliveryID {
		t.Errorf("%+v", first)
	}
	again, err := c.Send(t.Context(), out)
	if err != nil || again.Parts[0] != first.Parts[0] || len(p.Inbox()) != 2 {
		t.Errorf("again: %+v %v, %d messages", again, err, len(p.Inbox()))
	}
	_, err = c.Send(t.Context(), channel.Outgoing{To: out.To, Attachments: []channel.File{{Name: "x.docx", MediaType: "application/msword", Size: 1,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }}}})
	var e *channel.SendError
	if !errors.As(err, &e) || e.Class != channel.Permanent {
		t.Errorf("a Word file: %v", err)
	}
}

func TestLink(t *testing.T) {
	a := account("s")
	for _, tt := range []struct{ number, text, want string }{
		{"", "", "sms:muster_agent%40rbm.goog"},
		{"", "Code A & B", "sms:muster_agent%40rbm.goog?body=Code%20A%20%26%20B"},
		{"+4930123456", "Hallo Köln", "sms:+4930123456?service_id=muster_agent%40rbm.goog&body=Hallo%20K%C3%B6ln"},
		{"+4930123456", "", "sms:+4930123456?service_id=muster_agent%40rbm.goog"},
	} {
		a.Settings["phone_number"] = tt.number
		link, carries := New().Link(a, channel.Opening{Text: tt.text})
		if link != tt.want || (carries == channel.CarriesText) != (tt.text != "") {
			t.Errorf("got %s (%s), want %s", link, carries, tt.want)
		}
	}
}

func TestServerEvents(t *testing.T) {
	sim := rcssim.New(rcssim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	r, err := c.Send(context.WithoutCancel(t.Context()), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Bald"})
	if err != nil {
		t.Fatal(err)
	}
	sim.ServerEvent(p.Address(), "TTL_EXPIRATION_REVOKED", r.ExternalID)
	e := c.Await("the failure", func(e channel.Event) bool { return e.Status != nil && e.Status.State == channel.Failed })
	if e.Status.ExternalID != r.ExternalID || e.Status.Reason.DE == "" {
		t.Errorf("%+v", e.Status)
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
		f.Add(signed(account("s"), raw, time.Now()).Body)
	}
	f.Add([]byte(`{"clientToken":"x","secret":"y"}`))
	a := account("s")
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, r := range []*channel.Request{{Method: http.MethodPost, Body: raw}, signed(a, raw, time.Now())} {
			events, reply, err := New().Parse(a, r)
			if err != nil && (len(events) > 0 || reply.Body != nil) {
				t.Error("an error and events")
			}
			if err == nil && len(events) == 0 && reply.Body == nil {
				t.Error("nothing of what came is left")
			}
			channeltest.CheckEvents(t, events)
		}
	})
}

func BenchmarkWebhook(b *testing.B) {
	a := account("secret")
	body := []byte(`{"senderPhoneNumber":"+4915123400000","messageId":"MxsmCPGPdQTCyMGxkgFZ5XcA","sendTime":"2026-03-04T05:06:07.123456Z","agentId":"muster_agent","text":"Guten Tag, ich hätte eine Frage zu meiner Rechnung vom Februar."}`)
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, body, time.Now()))
}
