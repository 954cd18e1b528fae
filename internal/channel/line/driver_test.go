package line

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
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
	"github.com/rufweite/rufweite/internal/channel/line/linesim"
)

const user = "U80696558e1aa831a3cf2f36f4b0e2d66"

func account(secret string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "LINE", Settings: channel.Settings{
		"channel_secret": secret, "channel_access_token": "looks/like+one/and=is_none=="}}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	secret, _, _ := strings.Cut(a.Settings["channel_secret"], ",")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set(signatureHeader, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return &channel.Request{Method: http.MethodPost, Header: h, Body: body, At: now}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refused(status int, body string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, body)}
}

func texts(_ *http.Request, body []byte) []string {
	var p push
	_ = json.Unmarshal(body, &p)
	var out []string
	for _, m := range p.Messages {
		out = append(out, m.Text)
	}
	return out
}

// accept answers as "Send push message" does.
func accept(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var sent []string
	for i := range texts(r, body) {
		sent = append(sent, fmt.Sprintf(`{"id":"46123096684206489%d","quoteToken":"IStG5h1Tz7b"}`, i))
	}
	answerWith(200, `{"sentMessages":[`+strings.Join(sent, ",")+`]}`)(w, r)
}

func TestDriver(t *testing.T) {
	batch, err := os.ReadFile("testdata/batch.json")
	if err != nil {
		t.Fatal(err)
	}
	with := func(key, value string) channel.Settings {
		s := account("8c570fa6dd201bb328f1c1eac23a96d8").Settings
		s[key] = value
		return s
	}
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("8c570fa6dd201bb328f1c1eac23a96d8"),
		BadSettings: map[string]channel.Settings{
			"secret with a space": with("channel_secret", "8c57 0fa6"),
			"three secrets":       with("channel_secret", "a,b,c"),
			"an empty secret":     with("channel_secret", "a,"),
			"token with Bearer":   with("channel_access_token", "Bearer abc"),
			"basic id without @":  with("basic_id", "123abcde"),
			"basic id with a URL": with("basic_id", "@a/../b"),
			"api_url of a file":   with("api_url", "file:///etc"),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: []byte(`{"destination":"U1","events":[]}`), Headers: []string{signatureHeader}, SignsBody: true,
			Rotating: account("4e57570fa6dd201bb328f1c1eac23a96,8c570fa6dd201bb328f1c1eac23a96d8"),
			Rotated:  account("4e57570fa6dd201bb328f1c1eac23a96"),
			Other:    account("ffff570fa6dd201bb328f1c1eac23a96"),
		},
		Samples:   "testdata/*.json",
		Batch:     batch,
		BatchKeys: []string{"msg:01FZ74A0TDDPYRVKNK77XKC3ZV", "start:01FZ74A0TDDPYRVKNK77XKC3ZW"},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-000000000009", To: channel.Address{Value: user}, Text: "Guten Tag"},
			Accept:      accept,
			RateLimited: answerWith(429, `{"message":"The API rate limit has been exceeded. Try again later."}`),
			ServerError: channel.Temporary, // the retry key makes it safe
			Refusals: map[string]channeltest.Refusal{
				"wrong token":    refused(401, `{"message":"Authentication failed due to the following reason: invalid token. Confirm that the access token in the authorization header is valid."}`, channel.Misconfig),
				"not allowed":    refused(403, `{"message":"Access to this API is not available for your account"}`, channel.Misconfig),
				"invalid user":   refused(400, `{"message":"The property, 'to', in the request body is invalid (line: -, column: -)"}`, channel.NotHere),
				"no such user":   refused(400, `{"message":"Failed to send messages"}`, channel.NotHere),
				"empty text":     refused(400, `{"message":"The request body has 1 error(s)","details":[{"message":"May not be empty","property":"messages[0].text"}]}`, channel.Permanent),
				"monthly limit":  refused(429, `{"message":"You have reached your monthly limit."}`, channel.Misconfig),
				"not LINE":       refused(404, `<html>nginx</html>`, channel.Misconfig),
				"no such method": refused(404, `{"message":"Not found"}`, channel.Misconfig),
				"bare rate":      refused(429, `<html>slow down</html>`, channel.RateLimited),
			},
			Texts: texts,
		},
		Sends: []channeltest.Send{{
			Name: "accepted before",
			Setup: func(t *testing.T) (channel.Account, channel.Env) {
				return stand(t, answerWith(409, `{"message":"The retry key is already accepted","sentMessages":[{"id":"77","quoteToken":"q"}]}`))
			},
			Out: channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-000000000009", To: channel.Address{Value: user}, Text: "Guten Tag"},
			Check: func(t *testing.T, r channel.Receipt, _ *channel.SendError) {
				if r.ExternalID != "77" {
					t.Errorf("receipt %+v", r)
				}
			},
		}, {
			Name: "accepted before, ids not told",
			Setup: func(t *testing.T) (channel.Account, channel.Env) {
				return stand(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Line-Accepted-Request-Id", "abc")
					answerWith(409, `{"message":"The retry key is already accepted"}`)(w, r)
				})
			},
			Out: channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-000000000009", To: channel.Address{Value: user}, Text: "Guten Tag"},
			Check: func(t *testing.T, r channel.Receipt, _ *channel.SendError) {
				if r.ExternalID != "request:abc" {
					t.Errorf("receipt %+v", r)
				}
			},
		}},
	})
}

func stand(t *testing.T, h http.HandlerFunc) (channel.Account, channel.Env) {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	a := account("s")
	a.Settings["api_url"] = server.URL
	return a, channeltest.Env()
}

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{
		Driver: New(),
		New:    func(*testing.T) channelsim.Sim { return linesim.New(linesim.Options{}) },
		Nobody: "U" + strings.Repeat("0", 32),
	})
}

// A text of seven parts is two requests; when the second one gets no answer, sending all of it again doubles nothing.
func TestManyParts(t *testing.T) {
	sim := linesim.New(linesim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	out := channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-0000000000aa", To: channel.Address{Value: p.Address()}, Text: strings.Repeat("Wort und noch eins. ", 1700)}
	r, err := c.Send(t.Context(), out)
	if err != nil || len(p.Inbox()) != 7 || len(r.Parts) != 6 {
		t.Fatalf("%d messages, receipt %+v, %v", len(p.Inbox()), r, err)
	}
	again, err := c.Send(t.Context(), out)
	if err != nil || len(p.Inbox()) != 7 {
		t.Fatalf("again: %d messages, %v", len(p.Inbox()), err)
	}
	if fmt.Sprint(again) != fmt.Sprint(r) {
		t.Errorf("receipts differ: %+v, %+v", r, again)
	}
	out.DeliveryID = "0193a1b2-0000-7000-8000-0000000000ab"
	sim.Fail(channelsim.Fault{Op: "message", Delay: time.Nanosecond}) // the first request
	sim.Fail(channelsim.Fault{Op: "message", Accept: true, Cut: true})
	_, err = c.Send(t.Context(), out)
	var se *channel.SendError
	if !errors.As(err, &se) || se.Class != channel.Unknown || se.Receipt == nil || len(se.Receipt.Parts) != 4 {
		t.Fatalf("got %v", err)
	}
	if _, err = c.Send(t.Context(), out); err != nil || len(p.Inbox()) != 14 {
		t.Errorf("again: %d messages, %v", len(p.Inbox()), err)
	}
}

func TestMonthlyLimitAndRate(t *testing.T) {
	sim := linesim.New(linesim.Options{MonthlyLimit: 1})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	out := channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Hallo"}
	if _, err := c.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	var se *channel.SendError
	if _, err := c.Send(t.Context(), out); !errors.As(err, &se) || se.Class != channel.Misconfig {
		t.Errorf("got %v", err)
	}
	slow := linesim.New(linesim.Options{PerSecond: 0.01})
	c = channeltest.Open(t, New(), slow, nil)
	out.To.Value = slow.Person("Erika Muster").Address()
	if _, err := c.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), out); !errors.As(err, &se) || se.Class != channel.RateLimited || len(slow.Oversteps()) != 1 {
		t.Errorf("got %v, oversteps %v", err, slow.Oversteps())
	}
}

func TestRedeliveryAndUnsend(t *testing.T) {
	sim := linesim.New(linesim.Options{})
	sim.Hook.Duplicate(3)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	ref, err := p.Write("Hallo", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Await("the message", func(e channel.Event) bool { return e.Type == channel.MessageEvent })
	p.(interface{ Unsend(string) }).Unsend(ref)
	e := c.Await("the unsending", func(e channel.Event) bool { return e.Type == channel.DeleteEvent })
	if e.Ref != ref {
		t.Errorf("about %q, not %q", e.Ref, ref)
	}
	if !sim.Wait(t.Context(), func() bool { return sim.Hook.Pending() == 0 }) || c.Again() < 2 || len(c.Events()) != 2 {
		t.Errorf("%d events, %d again", len(c.Events()), c.Again())
	}
}

func TestProbe(t *testing.T) {
	sim := linesim.New(linesim.Options{})
	c := channeltest.Open(t, New(), sim, channel.Settings{"basic_id": ""})
	c.Env.WebhookURL = "https://muster.example/in/line/1"
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Fatal(err)
	}
	if c.Account.Settings["basic_id"] != linesim.BasicID || sim.Endpoint() != c.Env.WebhookURL {
		t.Errorf("basic id %q, endpoint %q", c.Account.Settings["basic_id"], sim.Endpoint())
	}
	c.Account.Settings["channel_access_token"] = "another"
	var trouble *channel.Trouble
	if err := New().Probe(t.Context(), c.Account, c.Env); !errors.As(err, &trouble) || !strings.Contains(trouble.Reason.EN, "token") || strings.Contains(err.Error(), "another ") {
		t.Errorf("got %v", err)
	}
}

func TestLink(t *testing.T) {
	a := account("s")
	if link, _ := New().Link(a, channel.Opening{}); link != "" {
		t.Errorf("a link without basic_id: %s", link)
	}
	a.Settings["basic_id"] = "@123abc"
	link, carries := New().Link(a, channel.Opening{Text: "Weiter mit A+B & C"})
	if link != "https://line.me/R/oaMessage/%40123abc/?Weiter%20mit%20A%2BB%20%26%20C" || carries != channel.CarriesText {
		t.Errorf("%s %s", link, carries)
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// The token goes to LINE's own hosts only.
func TestMediaHosts(t *testing.T) {
	for remote, want := range map[string]string{
		"325708":                        "https://api-data.line.me/v2/bot/message/325708/content Bearer looks/like+one/and=is_none==",
		"../../v2/bot/info":             "https://api-data.line.me/v2/bot/message/..%2F..%2Fv2%2Fbot%2Finfo/content Bearer looks/like+one/and=is_none==",
		"https://example.com/photo.jpg": "https://example.com/photo.jpg ",
	} {
		var got string
		env := channel.Env{HTTP: doer(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String() + " " + r.Header.Get("Authorization")
			return &http.Response{StatusCode: 202, Body: http.NoBody}, nil
		})}
		_, err := New().FetchMedia(context.Background(), account("s"), remote, env)
		if got != want {
			t.Errorf("%s: %s", remote, got)
		}
		var se *channel.SendError
		if strings.HasPrefix(remote, "3") && (!errors.As(err, &se) || se.Class != channel.Temporary) {
			t.Errorf("a file in preparation: %v", err)
		}
	}
}

func TestRetryKey(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"0193a1b2-0000-7000-8000-000000000001", "x", ""} {
		for n := range 3 {
			k := retryKey(id, n)
			if !uuidForm.MatchString(k) || seen[k] || k != retryKey(id, n) {
				t.Errorf("retryKey(%q, %d) = %q", id, n, k)
			}
			seen[k] = true
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
		events, reply, err := New().Parse(account("s"), &channel.Request{Body: raw})
		if err == nil && len(events) == 0 && reply.Status == 0 || err != nil && len(events) > 0 {
			t.Errorf("%d events, %v", len(events), err)
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	raw, err := os.ReadFile("testdata/text.json")
	if err != nil {
		b.Fatal(err)
	}
	a := account("8c570fa6dd201bb328f1c1eac23a96d8")
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, raw, time.Now()))
}
