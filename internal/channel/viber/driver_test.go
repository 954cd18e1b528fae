package viber

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/viber/vibersim"
)

const (
	oldToken = "445da6az1s345z78-dazcczb2542zv51a-e0vc5fva17480im9" // look like tokens, are none
	newToken = "556eb7bz2t456a89-ebzdda3c653aw62b-f1wd6gwb28591jn0"
	customer = "01234567890A="
)

func account(token string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Musterhaus", Settings: channel.Settings{"auth_token": token}}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	mac := hmac.New(sha256.New, []byte(token(a)))
	mac.Write(body)
	return &channel.Request{Method: http.MethodPost, Body: body, At: now, Header: http.Header{
		"Content-Type": {"application/json"}, signatureHeader: {hex.EncodeToString(mac.Sum(nil))}}}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func refusal(status int, message string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(200, fmt.Sprintf(`{"status":%d,"status_message":%q}`, status, message))}
}

func TestDriver(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account(oldToken),
		BadSettings: map[string]channel.Settings{
			"a token with a space":   {"auth_token": "445da6az 1s345z78"},
			"three tokens":           {"auth_token": oldToken + "," + newToken + "," + oldToken},
			"an empty second token":  {"auth_token": oldToken + ","},
			"a whole link as uri":    {"auth_token": oldToken, "uri": "viber://pa?chatURI=x"},
			"api_url without scheme": {"auth_token": oldToken, "api_url": "chatapi.viber.com"},
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: []byte(`{"event":"delivered","timestamp":1769169600000,"message_token":4912661846655238145,"user_id":"01234567890A="}`),
			Headers: []string{signatureHeader}, SignsBody: true,
			Rotating: account(newToken + "," + oldToken), Rotated: account(newToken), Other: account("another-token-of-somebody"),
		},
		Samples: "testdata/*.json",
		WithID: func(number string) []byte {
			return fmt.Appendf(nil, `{"event":"message","timestamp":1769169600000,"message_token":%s,"sender":{"id":"a"},"message":{"type":"text","text":"x"}}`, number)
		},
		WithName: func(name string) []byte {
			quoted, _ := json.Marshal(name)
			return fmt.Appendf(nil, `{"event":"message","timestamp":1769169600000,"message_token":7,"sender":{"id":"a","name":%s},"message":{"type":"text","text":"x"}}`, quoted)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-00000000000d", To: channel.Address{Value: customer}, Text: "Guten Tag"},
			Accept:      answerWith(200, `{"status":0,"status_message":"ok","message_token":5741311803571721087,"chat_hostname":"SN-CHAT-01_","billing_status":1}`),
			RateLimited: answerWith(200, `{"status":12,"status_message":"Too many requests"}`),
			Refusals: map[string]channeltest.Refusal{
				"token":             refusal(2, "invalidAuthToken", channel.Misconfig),
				"bad data":          refusal(3, "badData", channel.Permanent),
				"missing data":      refusal(4, "missingData", channel.Permanent),
				"not registered":    refusal(5, "receiverNotRegistered", channel.NotHere),
				"not subscribed":    refusal(6, "receiverNotSubscribed", channel.Blocked),
				"account blocked":   refusal(7, "publicAccountBlocked", channel.Misconfig),
				"account not found": refusal(8, "publicAccountNotFound", channel.Misconfig),
				"account suspended": refusal(9, "publicAccountSuspended", channel.Misconfig),
				"no webhook":        refusal(10, "webhookNotSet", channel.Misconfig),
				"no device":         refusal(11, "receiverNoSuitableDevice", channel.NotHere),
				"old app":           refusal(14, "incompatibleWithVersion", channel.Permanent),
				"country":           refusal(21, "unsupportedCountry", channel.Permanent),
				"no balance":        refusal(24, "noBalance", channel.Misconfig),
				"general error":     refusal(99, "generalError", channel.Unknown),
				"not Viber":         {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
				"no status":         {Answer: answerWith(200, `{}`), Want: channel.Unknown},
				"no id":             {Answer: answerWith(200, `{"status":0}`), Want: channel.Unknown},
			},
			Text: func(_ *http.Request, body []byte) string {
				var p outbound
				_ = json.Unmarshal(body, &p)
				return p.Text
			},
		},
	})
}

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: New(), Nobody: "bm9ib2R5IGhlcmUhISE=", New: func(*testing.T) channelsim.Sim { return vibersim.New(vibersim.Options{}) }})
}

// Viber's own library takes the signature from the query where there is no header.
func TestSignatureInQuery(t *testing.T) {
	a := account(oldToken)
	r := signed(a, []byte(`{}`), time.Time{})
	sig := r.Header.Get(signatureHeader)
	r.Header.Del(signatureHeader)
	r.Query = url.Values{"sig": {sig}}
	if err := New().Verify(a, r, time.Time{}); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(){
		"twice":               func() { r.Query["sig"] = []string{sig, sig} },
		"beside a bad header": func() { r.Query["sig"] = []string{sig}; r.Header.Set(signatureHeader, "x") },
	} {
		if change(); New().Verify(a, r, time.Time{}) == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// What is typed is never a press: not the label, not a text of the same form, not what another person's button says.
func TestPressed(t *testing.T) {
	a := account(newToken + "," + oldToken)
	for _, c := range []channel.Choice{{Label: "Dienstag", Data: "ask:1:tue"}, {Label: "Nr. #7 #8", Data: " #x.y \n"}, {Label: "ä & <b>", Data: "{\"a\":1}"}} {
		for _, token := range []string{newToken, oldToken} {
			body := actionBody(token, customer, c)
			if got, ok := pressed(a, customer, body); !ok || got != c {
				t.Errorf("%q: %+v, %t", body, got, ok)
			}
			if _, ok := pressed(a, "somebody else", body); ok {
				t.Error("another person's button")
			}
			if _, ok := pressed(a, customer, "x"+body); ok {
				t.Error("another label")
			}
			if _, ok := pressed(account("another-token"), customer, body); ok {
				t.Error("another bot's button")
			}
		}
		if _, ok := pressed(a, customer, c.Label); ok {
			t.Error("the label typed")
		}
	}
	for _, text := range []string{"", " #", " #YQ.", " #.", "x #YQ.YQ", "Nr #1"} {
		if _, ok := pressed(a, customer, text); ok {
			t.Errorf("%q is a press", text)
		}
	}
	if _, ok := pressed(channel.Account{}, customer, actionBody("", customer, channel.Choice{Label: "a", Data: "b"})); ok {
		t.Error("a press without a token")
	}
}

// Apps too old for silent buttons get ones that are not.
func TestOldApp(t *testing.T) {
	sim := vibersim.New(vibersim.Options{OldApps: true})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	if _, err := p.Write("Hallo", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Passt das?", Choices: []channel.Choice{{Label: "Ja", Data: "y"}}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Press("", "Ja"); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("the choice", func(e channel.Event) bool { return e.Type == channel.ChoiceEvent }); *e.Choice != (channel.Choice{Label: "Ja", Data: "y"}) {
		t.Errorf("came as %+v", e.Choice)
	}
}

// After 100 messages without an answer Viber asks for a pause; an answer ends it.
func TestHundredWithoutAnswer(t *testing.T) {
	sim := vibersim.New(vibersim.Options{PerHour: 3})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	write := func() {
		t.Helper()
		if _, err := p.Write("Hallo", ""); err != nil {
			t.Fatal(err)
		}
	}
	send := func() error {
		_, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Guten Tag"})
		return err
	}
	write()
	for range 3 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	var failure *channel.SendError
	if err := send(); !errors.As(err, &failure) || failure.Class != channel.RateLimited || len(sim.Oversteps()) != 1 {
		t.Errorf("the fourth: %v, %v", err, sim.Oversteps())
	}
	write()
	if err := send(); err != nil {
		t.Error(err)
	}
}

// Probe registers our webhook and keeps the bot's name for links.
func TestProbe(t *testing.T) {
	sim := vibersim.New(vibersim.Options{})
	c := channeltest.Open(t, New(), sim, channel.Settings{"uri": ""})
	sim.Connect("")
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Fatal(err)
	}
	link, carries := New().Link(c.Account, channel.Opening{Token: "tok"})
	if link != "viber://pa?chatURI=musterhausbot&context=tok" || carries != channel.CarriesToken {
		t.Error(link, carries)
	}
	if _, err := sim.Person("Erika Muster").Write("Hallo", ""); err != nil {
		t.Fatal(err)
	}
	c.Await("the greeting", func(e channel.Event) bool { return e.Type == channel.MessageEvent })
	var trouble *channel.Trouble
	wrong := account("another-token-of-somebody")
	wrong.Settings["api_url"] = c.Account.Settings["api_url"]
	if err := New().Probe(t.Context(), wrong, c.Env); !errors.As(err, &trouble) || trouble.Remedy.DE == "" {
		t.Errorf("a wrong token: %v", err)
	}
	env := c.Env
	env.WebhookURL = "http://example.org/in/viber/1"
	if err := New().Probe(t.Context(), c.Account, env); !errors.As(err, &trouble) {
		t.Errorf("a webhook without https: %v", err)
	}
	env.WebhookURL = ""
	if err := New().Probe(t.Context(), c.Account, env); !errors.As(err, &trouble) {
		t.Errorf("no public address: %v", err)
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
	a := account(oldToken)
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, reply, err := New().Parse(a, &channel.Request{Method: http.MethodPost, Body: raw})
		if err != nil && (len(events) > 0 || reply.Status != 0) || len(events) > 1 {
			t.Errorf("%d events, %v", len(events), err)
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	a := account(oldToken)
	body, err := os.ReadFile("testdata/text.json")
	if err != nil {
		b.Fatal(err)
	}
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, body, time.Now()))
}
