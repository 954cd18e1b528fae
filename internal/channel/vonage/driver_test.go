package vonage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/vonage/vonagesim"
)

func account(secret string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "SMS", Settings: channel.Settings{
		"api_key": "abcd1234", "api_secret": "xyzSecret12345", "signature_secret": secret, "from": "+4915735985678"}}
}

func request(body []byte, token string) *channel.Request {
	return &channel.Request{Method: http.MethodPost, Body: body, Header: http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}}
}

func claimsFor(a channel.Account, body []byte, now time.Time) jwt.MapClaims {
	sum := sha256.Sum256(body)
	return jwt.MapClaims{"iat": now.Unix(), "jti": "x", "iss": "Vonage", "payload_hash": hex.EncodeToString(sum[:]), "api_key": a.Settings["api_key"]}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	secret := ""
	if s := channel.Rotation(a.Settings["signature_secret"]); len(s) > 0 {
		secret = s[0]
	}
	token, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, claimsFor(a, body, now)).SignedString([]byte(secret))
	r := request(body, token)
	r.At = now
	return r
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refusal(status int, kind, detail string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(`{"type":"https://developer.vonage.com/api-errors%s","title":"No","detail":%q}`, kind, detail))}
}

func TestDriver(t *testing.T) {
	with := func(key, value string) channel.Settings {
		s := account("s").Settings
		s[key] = value
		return s
	}
	body, err := os.ReadFile("testdata/text.json")
	if err != nil {
		t.Fatal(err)
	}
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("oldsecret123456"),
		BadSettings: map[string]channel.Settings{
			"three secrets":        with("signature_secret", "a,b,c"),
			"a key alone":          with("private_key", "-----BEGIN PRIVATE KEY-----\n"),
			"an application alone": with("application_id", "x"),
			"no way to send":       with("api_secret", ""),
			"a national number":    with("from", "0151 23456789"),
			"a name too long":      with("from", "Musterhaus AG"),
			"api_url without host": with("api_url", "https://"),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: body, Headers: []string{"Authorization"}, SignsBody: true, MaxAge: maxAge,
			Rotating: account("newsecret654321,oldsecret123456"), Rotated: account("newsecret654321"), Other: account("another"),
		},
		Samples: "testdata/*.json",
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "+4915123456789"}, Text: "Guten Tag"},
			Accept:      answerWith(202, `{"message_uuid":"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"}`),
			RateLimited: answerWith(429, `{"type":"https://developer.vonage.com/api-errors/messages#1010","title":"Rate Limit Hit","detail":"Please wait"}`),
			Refusals: map[string]channeltest.Refusal{
				"unauthorized":      refusal(401, "#unauthorized", "You did not provide correct credentials.", channel.Misconfig),
				"credit":            refusal(402, "#low-balance", "This request could not be performed", channel.Misconfig),
				"forbidden":         refusal(403, "#forbidden", "No permission", channel.Misconfig),
				"invalid recipient": refusal(422, "/messages#1430", "The `to` parameter is invalid for the given channel.", channel.NotHere),
				"invalid sender":    refusal(422, "/messages#1120", "The `from` parameter is invalid for the given channel.", channel.Misconfig),
				"invalid body":      refusal(422, "/messages#1150", "Something else", channel.Permanent),
				"invalid params": {Want: channel.NotHere, Answer: answerWith(422,
					`{"type":"https://developer.vonage.com/api-errors/messages#1020","title":"Invalid params","detail":"See invalid_parameters","invalid_parameters":[{"name":"to","reason":"Invalid"}]}`)},
				"not Vonage": {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
			},
			Text: func(_ *http.Request, body []byte) string {
				var m outgoing
				_ = json.Unmarshal(body, &m)
				return m.Text
			},
		},
	})
}

func TestExchange(t *testing.T) {
	for _, basic := range []bool{false, true} {
		t.Run(fmt.Sprintf("basic %t", basic), func(t *testing.T) {
			channeltest.Exchange(t, channeltest.Talk{Driver: New(), Nobody: "+4915299999999", New: func(*testing.T) channelsim.Sim {
				s := vonagesim.New(nil)
				s.Basic = basic
				return s
			}})
		})
	}
}

// No other algorithm passes, nor a token without the claims that bind it.
func TestTokens(t *testing.T) {
	a := account("sssssssssssssssss")
	a.Settings["application_id"] = "app"
	body := []byte(`{}`)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	try := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) error {
		c := claimsFor(a, body, now)
		if change != nil {
			change(c)
		}
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return New().Verify(a, request(body, token), now)
	}
	secret := []byte("sssssssssssssssss")
	if err := try(jwt.SigningMethodHS256, secret, nil); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"none":                  try(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS512":                 try(jwt.SigningMethodHS512, secret, nil),
		"an empty secret":       try(jwt.SigningMethodHS256, []byte(""), nil),
		"no iat":                try(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "iat") }),
		"no hash":               try(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "payload_hash") }),
		"another key":           try(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["api_key"] = "other" }),
		"another application":   try(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["application_id"] = "other" }),
		"expired":               try(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Second).Unix() }),
		"not valid for an hour": try(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["nbf"] = now.Add(time.Hour).Unix() }),
	} {
		if err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

// An uncertain send is resolved by the status, which echoes our own id.
func TestStatusNamesDelivery(t *testing.T) {
	sim := vonagesim.New(nil)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika")
	sim.Fail(channelsim.Fault{Op: "message", Accept: true, Cut: true})
	if _, err := c.Send(t.Context(), channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-0000000000aa", To: channel.Address{Value: p.Address()}, Text: "Da?"}); err == nil {
		t.Fatal("the answer came")
	}
	c.Await("the status", func(e channel.Event) bool {
		return e.Status != nil && e.Status.DeliveryID == "0193a1b2-0000-7000-8000-0000000000aa" && e.Status.State == channel.Delivered
	})
	for _, remote := range []string{"https://evil.example/x", "https://nexmo.com.evil.example/x", "https://api.nexmo.com@evil.example/x", "http://api.nexmo.com/x"} {
		if _, err := New().FetchMedia(t.Context(), c.Account, remote, c.Env); err == nil {
			t.Errorf("%s is fetched", remote)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	a := account("s")
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := request(raw, string(raw))
		_ = New().Verify(a, r, time.Time{})
		events, _, err := New().Parse(a, r)
		if (err == nil) != (len(events) > 0) {
			t.Errorf("%d events, %v", len(events), err)
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	body, err := os.ReadFile("testdata/text.json")
	if err != nil {
		b.Fatal(err)
	}
	a := account("5f3c9a0e7b1d2468ace013579bdf2468")
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, body, time.Now()))
}
