package teams

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/teams/teamssim"
)

const (
	testApp     = "0d469698-ab9d-479a-b0d8-758b6e6b1234"
	testService = "https://smba.trafficmanager.net/amer/"
	testChat    = "a:1pL6i0oY3C0K8oAj8"
)

// signingKeys are Microsoft's: the old and the new one.
var signingKeys = sync.OnceValue(func() map[string]*rsa.PrivateKey {
	keys := map[string]*rsa.PrivateKey{}
	for _, id := range []string{"old", "new", "unpublished"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[id] = key
	}
	return keys
})

func published(endorsement string, ids ...string) string {
	var set jwks
	for _, id := range ids {
		key := signingKeys()[id]
		set.Keys = append(set.Keys, jwk{Type: "RSA", ID: id, N: base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			E: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()), Endorsements: []string{endorsement}})
	}
	raw, _ := json.Marshal(set)
	return string(raw)
}

func account(app string, ids ...string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Teams",
		Settings: channel.Settings{"app_id": app, "app_password": "geheim~8Q.x", "tenant_id": "528dbe3f-15e0-4e37-84a1-00cc305847dd", "jwks": published(teamsChannel, ids...)}}
}

// maxAge is how far the test's tokens may be away: five minutes of their own and five of skew.
const maxAge = 10 * time.Minute

func tokenOf(head, claims map[string]any, key *rsa.PrivateKey) string {
	part := func(v any) string {
		raw, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(head) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func claimsAt(app string, now time.Time) map[string]any {
	return map[string]any{"iss": issuer, "aud": app, "serviceurl": testService, "nbf": now.Add(-maxAge + skew).Unix(), "exp": now.Add(maxAge - skew).Unix()}
}

func request(token string, body []byte, now time.Time) *channel.Request {
	return &channel.Request{Method: http.MethodPost, Header: http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}, Body: body, At: now}
}

// signed signs with the first key that the account knows.
func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	var set jwks
	_ = json.Unmarshal([]byte(a.Settings["jwks"]), &set)
	id := set.Keys[0].ID
	key := fmt.Sprint(id, a.Settings["app_id"], now.Unix())
	token, ok := signedTokens.Load(key)
	if !ok {
		token = tokenOf(map[string]any{"alg": "RS256", "typ": "JWT", "kid": id}, claimsAt(a.Settings["app_id"], now), signingKeys()[id])
		signedTokens.Store(key, token)
	}
	return request(token.(string), body, now)
}

var signedTokens sync.Map // signing takes long, and the suite signs the same a thousand times

func message(text string) []byte {
	return fmt.Appendf(nil, `{"type":"message","id":"1666977568748","channelId":"msteams","serviceUrl":%q,"text":%q,"from":{"id":"29:1x","name":"E"},"recipient":{"id":"28:%s"},"conversation":{"conversationType":"personal","id":%q}}`, testService, text, testApp, testChat)
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func refusal(status int, code string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(`{"error":{"code":%q,"message":"as documented"}}`, code))}
}

// signedIn puts an access token into memory, so that the stand-in is asked for messages only.
func signedIn(a channel.Account) {
	t := newConnector(a, channeltest.Env()).access()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value, t.renew = "access-token-in-memory", time.Now().Add(time.Hour)
}

func TestDriver(t *testing.T) {
	with := func(key, value string) channel.Settings {
		s := account(testApp, "old").Settings
		s[key] = value
		return s
	}
	sample := account(testApp, "old")
	signedIn(sample)
	again := func(r channeltest.Refusal) channeltest.Refusal { // a 401 makes the driver sign in anew
		return channeltest.Refusal{Want: r.Want, Answer: func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/token") {
				answerWith(200, `{"access_token":"access-token-in-memory","expires_in":3600}`)(w, req)
				return
			}
			r.Answer(w, req)
		}}
	}
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: sample,
		BadSettings: map[string]channel.Settings{
			"app_id is a name":           with("app_id", "mein-bot"),
			"app_id with the prefix":     with("app_id", "28:"+testApp),
			"the secret's ID":            with("app_password", testApp),
			"tenant is a name":           with("tenant_id", "musterhaus.de"),
			"jwks without keys":          with("jwks", `{"keys":[]}`),
			"jwks for another channel":   with("jwks", published("directline", "old")),
			"jwks is no JSON":            with("jwks", "geheim"),
			"api_url without scheme":     with("api_url", "proxy.example.org"),
			"service_url without scheme": with("service_url", "smba.infra.gcc.teams.microsoft.com"),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: message("x"), Headers: []string{"Authorization"}, MaxAge: maxAge,
			// What is rotated are Microsoft's keys.
			Rotating: account(testApp, "new", "old"), Rotated: account(testApp, "new"), Other: account("11111111-2222-3333-4444-555555555555", "old"),
		},
		Samples: "testdata/*.json",
		WithName: func(name string) []byte {
			quoted, _ := json.Marshal(name)
			return bytes.Replace(message("x"), []byte(`"name":"E"`), append([]byte(`"name":`), quoted...), 1)
		},
		WithID: func(number string) []byte {
			return bytes.Replace(message("x"), []byte("1666977568748"), []byte(number), 1)
		},
		HTTP: &channeltest.HTTP{
			Out:    channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: testChat}, Text: "Guten Tag"},
			Accept: answerWith(201, `{"id":"1632474074231"}`),
			RateLimited: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				answerWith(429, `{"error":{"code":"Throttled","message":"Too many requests."}}`)(w, r)
			},
			Refusals: map[string]channeltest.Refusal{
				"blocked":               {Want: channel.Blocked, Answer: answerWith(403, `{"errorCode":209,"message":"{\r\n  \"subCode\": \"MessageWritesBlocked\",\r\n  \"details\": \"Thread is blocked from message writes.\"\r\n}"}`)},
				"blocked by the person": refusal(403, "ConversationBlockedByUser", channel.Blocked),
				"blocked by the admin":  refusal(403, "BotDisabledByAdmin", channel.Blocked),
				"forbidden without why": {Want: channel.Blocked, Answer: answerWith(403, ``)},
				"not installed":         refusal(403, "ForbiddenOperationException", channel.NotHere),
				"not in the roster":     refusal(403, "BotNotInConversationRoster", channel.NotHere),
				"government cloud":      refusal(403, "InvalidBotApiHost", channel.Misconfig),
				"permissions":           refusal(403, "NotEnoughPermissions", channel.Misconfig),
				"no such chat":          refusal(404, "ConversationNotFound", channel.NotHere),
				"not the connector":     {Want: channel.Misconfig, Answer: answerWith(404, "<html>nginx</html>")},
				"busy":                  refusal(412, "PreconditionFailed", channel.Temporary),
				"too large":             refusal(413, "MessageSizeTooBig", channel.Permanent),
				"bad argument":          refusal(400, "Bad Argument", channel.Permanent),
				"service error":         refusal(502, "ServiceError", channel.Unknown),
				"not registered":        again(refusal(401, "BotNotRegistered", channel.Misconfig)),
			},
			Text: func(_ *http.Request, body []byte) string {
				var p struct {
					Text string `json:"text"`
				}
				_ = json.Unmarshal(body, &p)
				return plain(p.Text)
			},
		},
	})
}

// Everything that the documentation demands of a token is demanded.
func TestTokenIsVerified(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	a := account(testApp, "old")
	rs256 := map[string]any{"alg": "RS256", "kid": "old"}
	verify := func(a channel.Account, token string, body []byte) error {
		return New().Verify(a, request(token, body, now), now)
	}
	good := tokenOf(rs256, claimsAt(testApp, now), signingKeys()["old"])
	if err := verify(a, good, message("x")); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	upper := claimsAt(testApp, now)
	delete(upper, "serviceurl")
	upper["serviceUrl"] = testService
	if err := verify(a, tokenOf(rs256, upper, signingKeys()["old"]), message("x")); err != nil {
		t.Errorf("serviceUrl as the documentation writes it: %v", err)
	}
	for what, change := range map[string]func(c map[string]any){
		"another issuer": func(c map[string]any) { c["iss"] = "https://sts.windows.net/x/" }, "another bot": func(c map[string]any) { c["aud"] = "x" },
		"a list of bots": func(c map[string]any) { c["aud"] = []string{testApp} }, "expired": func(c map[string]any) { c["exp"] = now.Add(-skew - time.Second).Unix() },
		"never expires": func(c map[string]any) { delete(c, "exp") }, "not valid yet": func(c map[string]any) { c["nbf"] = now.Add(skew + time.Second).Unix() },
		"another service": func(c map[string]any) { c["serviceurl"] = "https://evil.example/" }, "no service": func(c map[string]any) { delete(c, "serviceurl") },
	} {
		c := claimsAt(testApp, now)
		change(c)
		if err := verify(a, tokenOf(rs256, c, signingKeys()["old"]), message("x")); !errors.Is(err, channel.ErrUnauthentic) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, head := range map[string]map[string]any{
		"none": {"alg": "none", "kid": "old"}, "HS256": {"alg": "HS256", "kid": "old"}, "another key": {"alg": "RS256", "kid": "unpublished"}, "no key": {"alg": "RS256"},
		"critical": {"alg": "RS256", "kid": "old", "crit": []string{"exp"}},
	} {
		key := signingKeys()["old"]
		if what == "another key" {
			key = signingKeys()["unpublished"]
		}
		if err := verify(a, tokenOf(head, claimsAt(testApp, now), key), message("x")); !errors.Is(err, channel.ErrUnauthentic) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, body := range map[string]string{"another service": strings.Replace(string(message("x")), "amer", "emea", 1), "another channel": strings.Replace(string(message("x")), "msteams", "webchat", 1), "no body": ""} {
		if err := verify(a, good, []byte(body)); !errors.Is(err, channel.ErrUnauthentic) {
			t.Errorf("%s in the activity: %v", what, err)
		}
	}
	// Signed by the wrong one, with the right one's name; and a key that is not endorsed for Teams.
	if err := verify(a, tokenOf(rs256, claimsAt(testApp, now), signingKeys()["new"]), message("x")); !errors.Is(err, channel.ErrUnauthentic) {
		t.Errorf("signed by another key: %v", err)
	}
	b := account(testApp)
	b.Settings["jwks"] = published("directline", "old")
	if err := verify(b, good, message("x")); !errors.Is(err, channel.ErrNotYet) {
		t.Errorf("not endorsed for Teams: %v", err)
	}
	// As long as the keys are not known the connector is told to come again, except where it is plain that it is not for us.
	b.Settings["jwks"] = ""
	if err := verify(b, good, message("x")); !errors.Is(err, channel.ErrNotYet) {
		t.Errorf("without keys: %v", err)
	}
	if err := verify(b, "x.y.z", message("x")); !errors.Is(err, channel.ErrUnauthentic) {
		t.Errorf("rubbish without keys: %v", err)
	}
}

func quick(*testing.T) channelsim.Sim {
	s := teamssim.New(nil)
	s.PerChat, s.PerApp = -1, -1 // see TestLimits
	s.Hook.Retry = []time.Duration{20 * time.Millisecond}
	return s
}

var keysKnown = channel.Settings{"jwks": teamssim.Keys()} // as after a Probe

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: New(), New: quick, Set: keysKnown, Nobody: "a:1nobody"})
}

// Probe signs in and fetches the keys; before it nothing is taken in, and nothing is lost.
func TestProbe(t *testing.T) {
	sim := quick(t).(*teamssim.Sim)
	c := channeltest.Open(t, New(), sim, nil)
	saved := map[string]string{}
	c.Env.SaveSetting = func(_ context.Context, key, value string, replaces func(string) bool) error {
		if replaces(saved[key]) {
			saved[key] = value
		}
		return nil
	}
	for range 2 {
		if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
			t.Fatal(err)
		}
	}
	if set := keysOf(saved["jwks"]); len(saved) != 1 || len(set.keys) != 1 {
		t.Errorf("saved %v", saved)
	}
	if New().Check(with(c.Account.Settings, "jwks", saved["jwks"])) != nil {
		t.Error("what is saved does not pass Check")
	}
	var trouble *channel.Trouble
	a := c.Account
	a.Settings = with(c.Account.Settings, "app_password", "wrong~secret")
	if err := New().Probe(t.Context(), a, c.Env); !errors.As(err, &trouble) || !strings.Contains(err.Error(), "AADSTS7000215") || strings.Contains(err.Error(), "Trace") {
		t.Errorf("wrong secret: %v", err)
	}
	sim.Fail(channelsim.Fault{Op: "keys", Status: 500})
	if err := New().Probe(t.Context(), c.Account, c.Env); !errors.As(err, &trouble) || trouble.Remedy.DE == "" {
		t.Errorf("no keys: %v", err)
	}
	evil := httptest.NewServer(answerWith(200, `{"issuer":"https://api.botframework.com","jwks_uri":"http://keys.evil.example/"}`))
	defer evil.Close()
	a.Settings = with(c.Account.Settings, "api_url", evil.URL)
	if err := New().Probe(t.Context(), a, c.Env); err == nil {
		t.Error("keys from anywhere are taken")
	}
}

func with(s channel.Settings, key, value string) channel.Settings {
	out := channel.Settings{key: value}
	for k, v := range s {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// The access token is used until shortly before it ends, and renewed when it is refused.
func TestAccessToken(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	sim := teamssim.New(func() time.Time { return now })
	sim.PerChat, sim.PerApp = -1, -1
	c := channeltest.Open(t, New(), sim, with(keysKnown, "tenant_id", multiTenant))
	c.Env.Now = func() time.Time { return now }
	p := sim.Customer("Erika")
	send := func(want int, what string) {
		t.Helper()
		if _, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: what}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := sim.SignIns(); n != want {
			t.Errorf("%s: signed in %d times, want %d", what, n, want)
		}
	}
	send(1, "first")
	send(1, "second")
	now = now.Add(50 * time.Minute)
	send(1, "after 50 minutes")
	now = now.Add(6 * time.Minute)
	send(2, "shortly before it ends")
	sim.Revoke()
	send(3, "after it was revoked")
	sim.Revoke()
	sim.Fail(channelsim.Fault{Op: "token", Status: 500})
	_, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "x"})
	var failure *channel.SendError
	if !errors.As(err, &failure) || failure.Class != channel.Temporary {
		t.Errorf("sign-in failed: %v", err)
	}
}

// What is written arrives as it is written; what Teams would read as markup stays what it is.
func TestMarkupStaysText(t *testing.T) {
	sim := quick(t).(*teamssim.Sim)
	c := channeltest.Open(t, New(), sim, keysKnown)
	p := sim.Customer("Erika")
	to := channel.Address{Value: p.Address()}
	text := "Zeile 1\n\n3 < 4 & 5; &amp; <b>nicht fett</b> **auch nicht**\nhttps://x.example/?a=1&b=\"2\", (https://y.example)."
	for _, choices := range [][]channel.Choice{nil, {{Label: "Ja & Amen", Data: "j"}}} {
		if _, err := c.Send(t.Context(), channel.Outgoing{To: to, Text: text, Choices: choices}); err != nil {
			t.Fatal(err)
		}
	}
	m := c.Got(p, 2)
	if m[0].Text != text || m[1].Text != strings.Replace(text, "\n\n", "\n", 1) {
		t.Errorf("arrived as %q and %q", m[0].Text, m[1].Text)
	}
	if _, err := c.Send(t.Context(), channel.Outgoing{To: to, Text: strings.Repeat("&", textMax)}); err != nil {
		t.Errorf("all of it to be escaped: %v", err)
	}
	if err := p.Press("", "Ja & Amen"); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("the choice", func(e channel.Event) bool { return e.Choice != nil }); e.Choice.Label != "Ja & Amen" || e.Choice.Data != "j" || e.Ref != m[1].Ref {
		t.Errorf("came as %+v", e)
	}
}

// Quotes, files of both kinds, deletions, and leaving.
func TestWhatPeopleDo(t *testing.T) {
	sim := quick(t).(*teamssim.Sim)
	c := channeltest.Open(t, New(), sim, keysKnown)
	p := sim.Customer("Erika")
	to := channel.Address{Value: p.Address()}
	r, err := c.Send(t.Context(), channel.Outgoing{To: to, Text: "Wann?"})
	if err != nil {
		t.Fatal(err)
	}
	said, _ := p.Write("Morgen.", r.ExternalID)
	e := c.Await("the quote", func(e channel.Event) bool { return e.Message != nil && e.Message.Text == "Morgen." })
	if e.Message.ReplyTo != r.ExternalID || e.Sender.Language != "de-DE" || e.Account != teamssim.AppID {
		t.Errorf("came as %+v %+v", e, e.Message)
	}
	content := []byte("%PDF-1.7")
	if _, err := p.Send(channelsim.File{Name: "brief.pdf", MediaType: "application/pdf", Content: content}, ""); err != nil {
		t.Fatal(err)
	}
	e = c.Await("the file", func(e channel.Event) bool { return e.Message != nil && len(e.Message.Attachments) > 0 })
	f, err := New().FetchMedia(t.Context(), c.Account, e.Message.Attachments[0].Remote, c.Env)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(f)
	f.Close()
	if !bytes.Equal(got, content) || e.Message.Attachments[0].MediaType != "application/pdf" {
		t.Errorf("%q, %+v", got, e.Message.Attachments)
	}
	if err := p.Delete(said); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("the deletion", func(e channel.Event) bool { return e.Type == channel.DeleteEvent }); e.Ref != said {
		t.Errorf("came as %+v", e)
	}
	p.Uninstall()
	c.Await("leaving", func(e channel.Event) bool { return e.Type == channel.OptOutEvent && e.Sender.Value == p.Address() })
	_, err = c.Send(t.Context(), channel.Outgoing{To: to, Text: "Noch da?"})
	var failure *channel.SendError
	if !errors.As(err, &failure) || failure.Class != channel.NotHere {
		t.Errorf("after it was removed: %v", err)
	}
	if err := p.Open(""); err != nil {
		t.Fatal(err)
	}
	c.Await("coming back", func(e channel.Event) bool { return e.Type == channel.StartEvent })
}

// The access token is shown to the connector's hosts only.
func TestTokenStaysAtTheConnector(t *testing.T) {
	a := account(testApp, "old")
	signedIn(a)
	for raw, want := range map[string]bool{
		"https://smba.trafficmanager.net/amer/v3/attachments/1/views/original": true, "https://smba.infra.gcc.teams.microsoft.com/x": true,
		"https://eu.botframework.com/x": true, "http://smba.trafficmanager.net/x": false, "https://contoso.sharepoint.com/x": false, "https://smba.trafficmanager.net.evil.example/": false,
		"https://evilbotframework.com/": false, "https://evil.example/?.botframework.com": false,
	} {
		shown := false
		env := channeltest.Env()
		env.HTTP = doer(func(r *http.Request) (*http.Response, error) {
			shown = r.Header.Get("Authorization") != ""
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x"))}, nil
		})
		r, err := New().FetchMedia(t.Context(), a, raw, env)
		if err == nil {
			r.Close()
		}
		if (err == nil) != strings.HasPrefix(raw, "https://") || shown != want {
			t.Errorf("%s: token shown: %t, %v", raw, shown, err)
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// Within the pace nothing is refused; above it Teams says so, with the time to wait.
func TestLimits(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	sim := teamssim.New(func() time.Time { return now })
	sim.Lifetime = 24 * time.Hour
	c := channeltest.Open(t, New(), sim, keysKnown)
	c.Env.Now = func() time.Time { return now }
	account, address := New().Pace()
	var people []channel.Address
	for i := range 10 {
		people = append(people, channel.Address{Value: sim.Person(fmt.Sprint(i)).Address()})
	}
	for i := range 100 {
		now = now.Add(max(account, address/10))
		if _, err := c.Send(t.Context(), channel.Outgoing{To: people[i%10], Text: "x"}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if o := sim.Oversteps(); len(o) > 0 {
		t.Errorf("at our pace: %v", o)
	}
	var failure *channel.SendError
	for range 10 {
		if _, err := c.Send(t.Context(), channel.Outgoing{To: people[0], Text: "x"}); errors.As(err, &failure) {
			break
		}
	}
	if failure == nil || failure.Class != channel.RateLimited || failure.RetryAfter < time.Second || len(sim.Oversteps()) == 0 {
		t.Errorf("too fast: %v", failure)
	}
}

// However much is written in a channel of a team, it is one note.
func TestGroupIsNotedOnce(t *testing.T) {
	keys := map[string]bool{}
	for i, kind := range []string{"message", "conversationUpdate", "messageReaction", "invoke"} {
		events, _, err := New().Parse(account(testApp), &channel.Request{Body: fmt.Appendf(nil, `{"type":%q,"id":"%d","conversation":{"conversationType":"channel","id":"19:1@thread.tacv2;messageid=%d"}}`, kind, i, i)})
		if err != nil || len(events) != 1 || events[0].Type != channel.UnparsedEvent {
			t.Fatalf("%s: %+v, %v", kind, events, err)
		}
		keys[events[0].Key] = true
	}
	if len(keys) != 1 {
		t.Errorf("keys %v, want one", keys)
	}
}

func TestLink(t *testing.T) {
	a := account(testApp, "old")
	link, carries := New().Link(a, channel.Opening{Token: "T", Text: "Weiter mit Code & T"})
	if link != "https://teams.microsoft.com/l/chat/0/0?users=28:"+testApp+"&message=Weiter%20mit%20Code%20%26%20T" || carries != channel.CarriesText {
		t.Errorf("%s %q", link, carries)
	}
	if link, carries = New().Link(channel.Account{}, channel.Opening{Text: "x"}); link != "" || carries != channel.CarriesNothing {
		t.Errorf("%s without settings", link)
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
		events, reply, err := New().Parse(channel.Account{}, &channel.Request{Body: raw})
		if err != nil && (len(events) > 0 || reply.Body != nil) {
			t.Error("an error and events")
		}
		if err == nil && len(events) == 0 && reply.Status == 0 {
			t.Error("what came would vanish")
		}
		channeltest.CheckEvents(t, events)
	})
}

func FuzzToken(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6Im9sZCJ9.eyJpc3MiOiJodHRwczovL2FwaS5ib3RmcmFtZXdvcmsuY29tIn0.AAAA")
	f.Add("..")
	a := account(testApp, "old")
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	body := message("x")
	f.Fuzz(func(t *testing.T, token string) {
		if New().Verify(a, request(token, body, now), now) == nil {
			t.Errorf("%q is taken", token)
		}
	})
}

func BenchmarkWebhook(b *testing.B) {
	raw, err := os.ReadFile("testdata/text.json")
	if err != nil {
		b.Fatal(err)
	}
	a := account(testApp, "old")
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, raw, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)))
}

// BenchmarkNewToken is the same where each request has a token that was never seen.
func BenchmarkNewToken(b *testing.B) {
	raw, err := os.ReadFile("testdata/text.json")
	if err != nil {
		b.Fatal(err)
	}
	a := account(testApp, "old")
	r := signed(a, raw, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	for b.Loop() {
		clear(keysOf(a.Settings["jwks"]).seen)
		if err := New().Verify(a, r, r.At); err != nil {
			b.Fatal(err)
		}
		if _, _, err := New().Parse(a, r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
}
