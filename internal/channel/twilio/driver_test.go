package twilio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/twilio/twiliosim"
)

const hook = "https://service.example/in/twilio/0193a1b2-0000-7000-8000-000000000001"

func account(token string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "SMS", Settings: channel.Settings{
		"account_sid": twiliosim.AccountSID, "auth_token": token, "from": twiliosim.From}}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	form, _ := url.ParseQuery(string(body))
	text, _ := flatten(form)
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if tokens := channel.Rotation(a.Settings["auth_token"]); len(tokens) > 0 {
		h.Set(signatureHeader, sign(tokens[0], hook+text))
	}
	return &channel.Request{Method: http.MethodPost, Header: h, Body: body, URLs: []string{"http://10.0.0.7:8080/in/twilio/x", hook}, At: now}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refusal(status, code int, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(`{"code":%d,"message":"No","more_info":"https://www.twilio.com/docs/errors/%[1]d","status":%d}`, code, status))}
}

func TestDriver(t *testing.T) {
	with := func(key, value string) channel.Settings {
		s := account("t").Settings
		s[key] = value
		return s
	}
	body, err := os.ReadFile("testdata/text.form")
	if err != nil {
		t.Fatal(err)
	}
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("oldtoken123456"),
		BadSettings: map[string]channel.Settings{
			"a service as account":      with("account_sid", "MG0123456789abcdef0123456789abcdef"),
			"a short account":           with("account_sid", "AC01"),
			"three tokens":              with("auth_token", "a,b,c"),
			"an empty second token":     with("auth_token", "a,"),
			"a national number":         with("from", "0151 23456789"),
			"a number with spaces":      with("from", "+49 151 23456789"),
			"a name that is too long":   with("from", "Musterhaus AG"),
			"a name with an umlaut":     with("from", "Müller"),
			"a national link number":    with("phone_number", "0151"),
			"api_url without a scheme":  with("api_url", "api.twilio.com"),
			"a line break in the token": with("auth_token", "abc\n"),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: body, Headers: []string{signatureHeader}, SignsBody: true,
			Rotating: account("newtoken654321,oldtoken123456"), Rotated: account("newtoken654321"), Other: account("another"),
		},
		Samples: "testdata/*.form",
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "+4915123456789"}, Text: "Guten Tag"},
			Accept:      answerWith(201, `{"sid":"SM00000000000000000000000000000005","status":"queued","error_code":null}`),
			RateLimited: answerWith(429, `{"code":20429,"message":"Too Many Requests","status":429}`),
			Refusals: map[string]channeltest.Refusal{
				"wrong token":         {Answer: answerWith(401, `{"code":20003,"message":"Authenticate","status":401}`), Want: channel.Misconfig},
				"wrong token, no API": {Answer: answerWith(401, `Unauthorized`), Want: channel.Misconfig},
				"invalid number":      refusal(400, 21211, channel.NotHere),
				"cannot be reached":   refusal(400, 21214, channel.NotHere),
				"no number":           refusal(400, 21217, channel.NotHere),
				"no mobile number":    refusal(400, 21614, channel.NotHere),
				"no route":            refusal(400, 21612, channel.NotHere),
				"unsubscribed":        refusal(400, 21610, channel.Blocked),
				"region":              refusal(400, 21408, channel.Misconfig),
				"too long":            refusal(400, 21617, channel.Permanent),
				"queue full":          refusal(400, 21611, channel.RateLimited),
				"window":              refusal(400, 63016, channel.WindowClosed),
				"foreign sender":      refusal(400, 21659, channel.Misconfig),
				"something new":       refusal(400, 29999, channel.Permanent),
				"not Twilio":          {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
				"server error":        refusal(500, 20500, channel.Unknown),
			},
			Text: func(_ *http.Request, body []byte) string {
				form, _ := url.ParseQuery(string(body))
				return form.Get("Body")
			},
		},
	})
}

func newSim(t *testing.T) channelsim.Sim { return twiliosim.New(nil) }

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: New(), New: newSim, Nobody: "+4915299999999"})
}

// The URL may be written with or without its default port, and nothing else.
func TestURLs(t *testing.T) {
	a := account("t")
	body := []byte("MessageSid=SM1&From=%2B4915123456789&Body=x&Body=x&Body=a")
	for _, c := range []struct {
		signed, given string
		ok            bool
	}{
		{"https://h.example/in", "https://h.example/in", true},
		{"https://h.example:443/in", "https://h.example/in", true},
		{"https://h.example/in?a=b", "https://h.example:443/in?a=b", true},
		{"http://h.example:80/in", "http://h.example/in", true},
		{"https://h.example:8443/in", "https://h.example:8443/in", true},
		{"https://h.example/in", "https://h.example:8443/in", false},
		{"https://h.example/in", "http://h.example/in", false},
		{"https://[::1]:443/in", "https://[::1]/in", true},
	} {
		h := http.Header{signatureHeader: {sign("t", c.signed+"BodyaBodyxFrom+4915123456789MessageSidSM1")}}
		h[http.CanonicalHeaderKey(signatureHeader)] = h[signatureHeader]
		err := New().Verify(a, &channel.Request{Method: http.MethodPost, Header: h, Body: body, URLs: []string{c.given}}, time.Time{})
		if (err == nil) != c.ok {
			t.Errorf("signed %s, given %s: %v", c.signed, c.given, err)
		}
	}
}

func TestJSONAndGet(t *testing.T) {
	a := account("t")
	body := []byte(`{"MessageSid":"SM1","MessageStatus":"failed","ErrorCode":30007,"To":"+4915123456789"}`)
	sum := sha256.Sum256(body)
	request := func(body []byte, hash string) *channel.Request {
		u := hook + "?bodySHA256=" + hash
		h := http.Header{"Content-Type": {"application/json"}}
		h.Set(signatureHeader, sign("t", u))
		return &channel.Request{Method: http.MethodPost, Header: h, Body: body, URLs: []string{u}, Query: url.Values{"bodySHA256": {hash}}}
	}
	r := request(body, hex.EncodeToString(sum[:]))
	if err := New().Verify(a, r, time.Time{}); err != nil {
		t.Error(err)
	}
	events, _, err := New().Parse(a, r)
	if err != nil || len(events) != 1 || events[0].Status.Code != "30007" || events[0].Status.Reason.DE == "" {
		t.Errorf("%+v, %v", events, err)
	}
	r.Body = append(r.Body, ' ')
	if New().Verify(a, r, time.Time{}) == nil || New().Verify(a, request(body, "00"), time.Time{}) == nil {
		t.Error("a changed body is accepted")
	}
	r.Query = nil
	if New().Verify(a, r, time.Time{}) == nil {
		t.Error("JSON without a hash is accepted")
	}
	u := hook + "?MessageSid=SM1&From=%2B4915123456789&Body=Hallo"
	h := http.Header{}
	h.Set(signatureHeader, sign("t", u))
	parsed, _ := url.Parse(u)
	get := &channel.Request{Method: http.MethodGet, Header: h, URLs: []string{u}, Query: parsed.Query()}
	if err := New().Verify(a, get, time.Time{}); err != nil {
		t.Error(err)
	}
	if events, _, err := New().Parse(a, get); err != nil || events[0].Message.Text != "Hallo" {
		t.Errorf("%+v, %v", events, err)
	}
	get.Body = []byte("Body=x")
	if New().Verify(a, get, time.Time{}) == nil {
		t.Error("a body that nobody signed is accepted")
	}
}

// The media of an MMS come from the API with the password and from the store without it, and from nowhere else.
func TestMedia(t *testing.T) {
	sim := twiliosim.New(nil)
	c := channeltest.Open(t, New(), sim, nil)
	if _, err := sim.Person("Erika").Send(channelsim.File{Name: "x.png", MediaType: "image/png", Content: []byte("PNG")}, "Das Auto"); err != nil {
		t.Fatal(err)
	}
	e := c.Await("the picture", func(e channel.Event) bool { return e.Type == channel.MessageEvent })
	f, err := New().FetchMedia(t.Context(), c.Account, e.Message.Attachments[0].Remote, c.Env)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	f.Close()
	if string(got) != "PNG" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, remote := range []string{"https://evil.example/2010-04-01/Accounts/x", "http://api.twilio.com/2010-04-01/Accounts/x", "https://api.twilio.com/x",
		"https://api.twilio.com@evil.example/2010-04-01/Accounts/x", "https://api.twilio.com/2010-04-01/Accounts/../../x", "file:///etc/passwd"} {
		var se *channel.SendError
		if _, err := New().FetchMedia(t.Context(), c.Account, remote, c.Env); !errors.As(err, &se) || se.Class != channel.Permanent {
			t.Errorf("%s: %v", remote, err)
		}
	}
}

func TestReconcile(t *testing.T) {
	sim := twiliosim.New(nil)
	sim.SenderPerSecond = -1
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika")
	out := channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: p.Address()}, Text: strings.Repeat("Kommt das an? ", 160)} // two parts
	began := time.Now()
	if _, _, err := New().Reconcile(t.Context(), c.Account, out, channel.Attempt{Began: began}, c.Env); !errors.Is(err, channel.ErrNotListed) {
		t.Errorf("before it was sent: %v", err)
	}
	r, err := c.Send(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	found, state, err := New().Reconcile(t.Context(), c.Account, out, channel.Attempt{Began: began}, c.Env)
	if err != nil || found.ExternalID != r.ExternalID || len(found.Parts) != 1 || found.Parts[0] != r.Parts[0] || state != channel.Delivered {
		t.Errorf("%+v, %s, %v; sent %+v", found, state, err, r)
	}
	taken := func(id string) bool { return id == r.ExternalID }
	if found, _, err := New().Reconcile(t.Context(), c.Account, out, channel.Attempt{Began: began, Taken: taken}, c.Env); !errors.Is(err, channel.ErrNotListed) || len(found.Parts) != 0 {
		t.Errorf("of another delivery: %+v, %v", found, err)
	}
	if _, _, err := New().Reconcile(t.Context(), c.Account, out, channel.Attempt{Began: began.Add(time.Hour)}, c.Env); !errors.Is(err, channel.ErrNotListed) {
		t.Errorf("of long ago: %v", err)
	}
	// Accepted, but the answer was lost.
	sim.Fail(channelsim.Fault{Op: "message", Accept: true, Cut: true})
	lost := channel.Outgoing{DeliveryID: "e", To: out.To, Text: "„Ja“ 😀"}
	if _, err := c.Send(t.Context(), lost); err == nil {
		t.Fatal("the answer came")
	}
	if found, state, err := New().Reconcile(t.Context(), c.Account, lost, channel.Attempt{Began: began}, c.Env); err != nil || found.ExternalID == "" || state != channel.Delivered {
		t.Errorf("%+v, %s, %v", found, state, err)
	}
}

func TestOptOut(t *testing.T) {
	sim := twiliosim.New(nil)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika")
	for _, step := range []struct {
		word string
		want channel.EventType
		fine bool
	}{{"Stop", channel.OptOutEvent, false}, {"START", channel.StartEvent, true}} {
		if _, err := p.Write(step.word, ""); err != nil {
			t.Fatal(err)
		}
		c.Await("the message", func(e channel.Event) bool { return e.Message != nil && e.Message.Text == step.word })
		c.Await(string(step.want), func(e channel.Event) bool { return e.Type == step.want })
		if _, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Hallo"}); (err == nil) != step.fine {
			t.Errorf("after %s: %v", step.word, err)
		}
	}
	if _, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: "DHL"}, Text: "Hallo"}); err == nil {
		t.Error("a name is answered")
	}
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Errorf("Probe: %v", err)
	}
	c.Account.Settings["auth_token"] = "wrong"
	var trouble *channel.Trouble
	if err := New().Probe(context.Background(), c.Account, c.Env); !errors.As(err, &trouble) || trouble.Remedy.DE == "" {
		t.Errorf("Probe with a wrong token: %v", err)
	}
}

func TestLink(t *testing.T) {
	a := account("t")
	if link, carries := New().Link(a, channel.Opening{Token: "T", Text: "Code A&B +1"}); link != "sms:+4915735981234?&body=Code%20A%26B%20%2B1" || carries != channel.CarriesText {
		t.Errorf("%s, %q", link, carries)
	}
	a.Settings["from"] = "Musterhaus"
	if link, _ := New().Link(a, channel.Opening{}); link != "" {
		t.Error(link)
	}
	a.Settings["phone_number"] = "+4915100000000"
	if link, _ := New().Link(a, channel.Opening{}); link != "sms:+4915100000000" {
		t.Error(link)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.form")
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, false)
	}
	f.Add([]byte(`{"MessageSid":"SM1","MessageStatus":"failed","ErrorCode":30007}`), true)
	a := account("t")
	f.Fuzz(func(t *testing.T, raw []byte, asJSON bool) {
		r := signed(a, raw, time.Time{})
		if asJSON {
			r.Header.Set("Content-Type", "application/json")
		}
		_ = New().Verify(a, r, time.Time{})
		events, _, err := New().Parse(a, r)
		if (err == nil) != (len(events) > 0) {
			t.Errorf("%d events, %v", len(events), err)
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	body, err := os.ReadFile("testdata/text.form")
	if err != nil {
		b.Fatal(err)
	}
	a := account("5f3c9a0e7b1d2468ace013579bdf2468")
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, body, time.Now()))
}
