package slack

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/slack/slacksim"
)

const testToken = "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcBrzbqgy" // the documentation's example

func account(secret string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Slack",
		Settings: channel.Settings{"bot_token": testToken, "signing_secret": secret, "team_id": "T061EG9R6", "app_id": "A0MDYCDME"}}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	stamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(strings.Split(a.Settings["signing_secret"], ",")[0]))
	fmt.Fprintf(mac, "v0:%s:%s", stamp, body)
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set(timestampHeader, stamp)
	h.Set(signatureHeader, "v0="+hex.EncodeToString(mac.Sum(nil)))
	return &channel.Request{Method: http.MethodPost, Header: h, Body: body, At: now}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func says(code string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(200, fmt.Sprintf(`{"ok":false,"error":%q}`, code))}
}

func TestDriver(t *testing.T) {
	with := func(key, value string) channel.Settings {
		s := account("old").Settings
		s[key] = value
		return s
	}
	action := func(ts, value string) string {
		return fmt.Sprintf(`{"action_id":"choice-1","type":"button","text":{"type":"plain_text","text":"Ja"},"value":%q,"action_ts":%q}`, value, ts)
	}
	payload := `{"type":"block_actions","team":{"id":"T061EG9R6"},"user":{"id":"U2147483697"},"container":{"message_ts":"1548261231.000200","channel_id":"D024BE91L"},"actions":[` +
		action("1548426417.000001", "a") + "," + action("1548426417.000002", "") + "," + action("1548426417.000003", "c") + `]}`
	key := func(ts string) string {
		return channel.HashKey("choice", "D024BE91L", "1548261231.000200", "choice-1", ts, "U2147483697")
	}
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("8f742231b10e8888abcd99yyyzzz85a5"),
		BadSettings: map[string]channel.Settings{
			"a user's token":         with("bot_token", "xoxp-17653672481-19874698323"),
			"the app's token":        with("bot_token", "xapp-1-A0-1-x"),
			"no token":               with("bot_token", "geheim"),
			"token with a space":     with("bot_token", "xoxb-1 2"),
			"three secrets":          with("signing_secret", "a,b,c"),
			"an empty second secret": with("signing_secret", "a,"),
			"a name as team_id":      with("team_id", "musterhaus"),
			"a team as app_id":       with("app_id", "T061EG9R6"),
			"api_url without scheme": with("api_url", "slack.com/api"),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: []byte(`{"type":"url_verification","challenge":"x"}`), SignsBody: true, MaxAge: maxAge,
			Headers:  []string{signatureHeader, timestampHeader},
			Rotating: account("new,8f742231b10e8888abcd99yyyzzz85a5"), Rotated: account("new"), Other: account("other"),
		},
		Samples:   "testdata/*.json",
		Batch:     []byte(url.Values{"payload": {payload}}.Encode()),
		BatchKeys: []string{key("1548426417.000001"), key("1548426417.000003")},
		WithName: func(name string) []byte {
			quoted, _ := json.Marshal(name)
			return fmt.Appendf(nil, `{"type":"event_callback","team_id":"T1A","event_id":"Ev1","event":{"type":"message","channel":"D1A","user":"U1A","text":"x","ts":"1355517523.000005","user_profile":{"display_name":%s}}}`, quoted)
		},
		HTTP: &channeltest.HTTP{
			Out:    channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "T061EG9R6:U2147483697"}, Text: "Guten Tag"},
			Accept: answerWith(200, `{"ok":true,"channel":"D024BE91L","ts":"1503435956.000247","message":{"text":"Guten Tag"}}`),
			RateLimited: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				answerWith(429, `{"ok":false,"error":"ratelimited"}`)(w, r)
			},
			Refusals: map[string]channeltest.Refusal{
				"unknown member":      says("channel_not_found", channel.NotHere),
				"unknown user":        says("user_not_found", channel.NotHere),
				"unknown users":       says("users_not_found", channel.NotHere),
				"invisible":           says("user_not_visible", channel.NotHere),
				"deactivated":         says("user_disabled", channel.Blocked),
				"archived":            says("is_archived", channel.Blocked),
				"a bot":               says("cannot_dm_bot", channel.Permanent),
				"too long":            says("msg_too_long", channel.Permanent),
				"empty":               says("no_text", channel.Permanent),
				"invalid blocks":      says("invalid_blocks", channel.Permanent),
				"no token":            says("not_authed", channel.Misconfig),
				"wrong token":         says("invalid_auth", channel.Misconfig),
				"revoked":             says("token_revoked", channel.Misconfig),
				"token of nobody":     says("account_inactive", channel.Misconfig),
				"missing scope":       says("missing_scope", channel.Misconfig),
				"messages tab off":    says("messages_tab_disabled", channel.Misconfig),
				"forbidden":           says("restricted_action", channel.Misconfig),
				"limited in the body": says("ratelimited", channel.RateLimited),
				"unavailable":         says("service_unavailable", channel.Temporary),
				"fatal":               says("fatal_error", channel.Unknown),
				"internal":            says("internal_error", channel.Unknown),
				"what is new":         says("something_new", channel.Permanent),
				"accepted without ts": {Want: channel.Unknown, Answer: answerWith(200, `{"ok":true}`)},
				"not Slack":           {Want: channel.Misconfig, Answer: answerWith(404, "<html>nginx</html>")},
			},
			Text: func(_ *http.Request, body []byte) string {
				var p struct {
					Text string `json:"text"`
				}
				_ = json.Unmarshal(body, &p)
				return unescape.Replace(p.Text)
			},
		},
	})
}

func quick(*testing.T) channelsim.Sim {
	s := slacksim.New(nil)
	s.PerChannel, s.PerMinute = -1, -1 // see TestLimits
	return s
}

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: New(), New: quick, Nobody: slacksim.Team + ":U0NOBODY"})
}

// The example of "Verifying requests from Slack".
func TestDocumentedSignature(t *testing.T) {
	body := "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=" +
		"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	r := &channel.Request{Body: []byte(body), Header: http.Header{}}
	r.Header.Set(timestampHeader, "1531420618")
	r.Header.Set(signatureHeader, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")
	if err := New().Verify(account("8f742231b10e8888abcd99yyyzzz85a5"), r, time.Unix(1531420700, 0)); err != nil {
		t.Error(err)
	}
}

// What is written arrives as it is written, both ways, and what Slack would read as markup stays what it is.
func TestMarkupStaysText(t *testing.T) {
	sim := quick(t).(*slacksim.Sim)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Customer("Erika")
	text := "3 < 4 & 5 > 4; &amp; <!channel> *nicht fett* https://x.example/?a=1&b=2"
	if _, err := p.Write(text, ""); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("the message", func(e channel.Event) bool { return e.Message != nil }); e.Message.Text != text {
		t.Errorf("came as %q", e.Message.Text)
	}
	to := channel.Address{Value: p.Address()}
	if _, err := c.Send(t.Context(), channel.Outgoing{To: to, Text: text}); err != nil {
		t.Fatal(err)
	}
	// Escaped, this is five times as long as a section may be.
	if _, err := c.Send(t.Context(), channel.Outgoing{To: to, Text: strings.Repeat("&&&&& ", 499), Choices: []channel.Choice{{Label: "A & B", Data: "x"}}}); err != nil {
		t.Fatal(err)
	}
	m := c.Got(p, 2)
	if m[0].Text != text {
		t.Errorf("arrived as %q", m[0].Text)
	}
	if strings.Count(m[1].Text, "&") != 5*499 || m[1].Choices[0].Label != "A & B" {
		t.Errorf("arrived as %q", m[1].Text)
	}
	if err := p.Press("", "A & B"); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("the choice", func(e channel.Event) bool { return e.Choice != nil }); e.Choice.Label != "A & B" {
		t.Errorf("label %q", e.Choice.Label)
	}
}

// A quote of what cannot be answered in a thread is sent without the quote; a deleted message is reported.
func TestQuotesAndDeletes(t *testing.T) {
	sim := quick(t).(*slacksim.Sim)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Customer("Erika")
	first, _ := p.Write("Frage", "")
	second, _ := p.Write("Nachtrag", first)
	to := channel.Address{Value: p.Address()}
	for _, quoted := range []string{second, "D0OTHER:1355517523.000005", "<mail@example.org>", first} {
		if _, err := c.Send(t.Context(), channel.Outgoing{To: to, Text: "Antwort", ReplyTo: quoted}); err != nil {
			t.Fatalf("quoting %s: %v", quoted, err)
		}
	}
	m := c.Got(p, 4)
	for i, want := range []string{"", "", "", first} {
		if m[i].ReplyTo != want {
			t.Errorf("message %d quotes %q, want %q", i, m[i].ReplyTo, want)
		}
	}
	if err := p.Delete(first); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("the deletion", func(e channel.Event) bool { return e.Type == channel.DeleteEvent }); e.Ref != first || e.Sender.Value != p.Address() {
		t.Errorf("came as %+v", e)
	}
	p.Deactivate(true)
	_, err := c.Send(t.Context(), channel.Outgoing{To: to, Text: "Noch da?"})
	var failure *channel.SendError
	if !errors.As(err, &failure) || failure.Class != channel.Blocked {
		t.Errorf("to a deactivated member: %v", err)
	}
}

// What became of a message whose answer was lost is found in the chat's history by its delivery's id, not by its words.
func TestReconcile(t *testing.T) {
	sim := quick(t).(*slacksim.Sim)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Customer("Erika")
	began := time.Now()
	out := func(id, text string) channel.Outgoing {
		return channel.Outgoing{DeliveryID: id, To: channel.Address{Value: p.Address()}, Text: text}
	}
	if _, err := c.Send(t.Context(), out("d-1", "Gern.")); err != nil {
		t.Fatal(err)
	}
	reconcile := func(o channel.Outgoing) (channel.Receipt, channel.State, error) {
		return New().Reconcile(t.Context(), c.Account, o, channel.Attempt{Began: began, Ended: time.Now()}, c.Env)
	}
	if _, _, err := reconcile(out("d-2", "Gern.")); !errors.Is(err, channel.ErrNotListed) {
		t.Errorf("the same words of another delivery: %v", err)
	}
	lost := out("d-2", strings.Repeat("Lang genug für zwei Teile. ", 200))
	sim.Fail(channelsim.Fault{Op: "message", Accept: true, Cut: true})
	if _, err := c.Send(t.Context(), lost); err == nil {
		t.Fatal("the answer was not lost")
	}
	r, _, err := reconcile(lost)
	if !errors.Is(err, channel.ErrNotListed) || r.ExternalID == "" || len(r.Parts) != 0 {
		t.Errorf("the first part of two: %+v, %v", r, err)
	}
	lost.DeliveryID = "d-3"
	sent, err := c.Send(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	if r, state, err := reconcile(lost); err != nil || state != channel.Sent || r.ExternalID != sent.ExternalID || len(r.Parts) != 1 || r.Parts[0] != sent.Parts[0] {
		t.Errorf("%+v %s %v, sent %+v", r, state, err, sent)
	}
	sim.Scopes = "chat:write,im:history"
	var failure *channel.SendError
	if _, _, err := reconcile(lost); !errors.As(err, &failure) || failure.Class != channel.Misconfig {
		t.Errorf("without the scope: %v", err)
	}
}

// A file alone needs no conversation known before, of any length, and a failed upload is one that can be repeated.
func TestFiles(t *testing.T) {
	sim := quick(t).(*slacksim.Sim)
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Customer("Erika")
	content := []byte("%PDF-1.7 beleg")
	for _, size := range []int64{int64(len(content)), 0} {
		f := channel.File{Name: "Beleg \"1\".pdf", MediaType: "application/pdf", Size: size,
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
		out := channel.Outgoing{To: channel.Address{Value: p.Address()}, Attachments: []channel.File{f}}
		sim.Fail(channelsim.Fault{Op: "media", Status: 500})
		_, err := c.Send(t.Context(), out)
		var failure *channel.SendError
		if !errors.As(err, &failure) || failure.Class != channel.Temporary {
			t.Errorf("upload failed: %v", err)
		}
		if _, err := c.Send(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	if m := c.Got(p, 2); len(m) != 2 || !bytes.Equal(m[1].Files[0].Content, content) || m[0].Files[0].Name != "Beleg \"1\".pdf" {
		t.Errorf("arrived as %+v", m)
	}
	for remote, want := range map[string]channel.Class{"F0NONE": channel.Permanent, "../x": channel.Permanent, "": channel.Permanent} {
		_, err := New().FetchMedia(t.Context(), c.Account, remote, c.Env)
		var failure *channel.SendError
		if !errors.As(err, &failure) || failure.Class != want {
			t.Errorf("fetching %q: %v", remote, err)
		}
	}
}

// The token is shown to Slack's own hosts only.
func TestTokenStaysAtSlack(t *testing.T) {
	s := newAPI(channel.Account{Settings: channel.Settings{}}, channel.Env{})
	for raw, want := range map[string]bool{
		"https://files.slack.com/files-pri/T1-F1/x.png": true, "https://slack.com/x": true, "http://files.slack.com/x": false,
		"https://files.slack.com.evil.example/x": false, "https://evil.example/files.slack.com": false, "https://files.slack.com@evil.example/": false, "": false,
	} {
		if s.trusts(raw) != want {
			t.Errorf("trusts(%q) = %t", raw, !want)
		}
	}
	stolen := false
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header.Get("Authorization") != "" }))
	defer evil.Close()
	api := httptest.NewServer(answerWith(200, `{"ok":true,"file":{"url_private":"`+evil.URL+`/x","mimetype":"image/png"}}`))
	defer api.Close()
	a := account("s")
	a.Settings["api_url"] = api.URL
	if _, err := New().FetchMedia(t.Context(), a, "F123", channeltest.Env()); err == nil || stolen {
		t.Errorf("fetched from elsewhere (%v), token shown: %t", err, stolen)
	}
}

// Within the pace nothing is refused; above it Slack says so, with the time to wait.
func TestLimits(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	sim := slacksim.New(func() time.Time { return now })
	c := channeltest.Open(t, New(), sim, nil)
	account, address := New().Pace()
	var people []channel.Address
	for i := range 5 {
		people = append(people, channel.Address{Value: sim.Person(fmt.Sprint(i)).Address()})
	}
	for i := range 50 {
		now = now.Add(max(account, address/5))
		if _, err := c.Send(t.Context(), channel.Outgoing{To: people[i%5], Text: "x"}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if o := sim.Oversteps(); len(o) > 0 {
		t.Errorf("at our pace: %v", o)
	}
	var failure *channel.SendError
	for range 5 {
		_, err := c.Send(t.Context(), channel.Outgoing{To: people[0], Text: "x"})
		if errors.As(err, &failure) {
			break
		}
	}
	if failure == nil || failure.Class != channel.RateLimited || failure.RetryAfter < time.Second || len(sim.Oversteps()) == 0 {
		t.Errorf("too fast: %v", failure)
	}
}

func TestProbe(t *testing.T) {
	sim := quick(t).(*slacksim.Sim)
	c := channeltest.Open(t, New(), sim, nil)
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Errorf("all is well: %v", err)
	}
	var trouble *channel.Trouble
	wrong := func(what, key, value string) {
		a := c.Account
		a.Settings = channel.Settings{}
		for k, v := range c.Account.Settings {
			a.Settings[k] = v
		}
		if key != "" {
			a.Settings[key] = value
		}
		if err := New().Probe(t.Context(), a, c.Env); !errors.As(err, &trouble) || trouble.Remedy.DE == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	wrong("wrong token", "bot_token", "xoxb-wrong")
	wrong("another workspace", "team_id", "T0OTHER")
	sim.Scopes = "chat:write"
	wrong("missing scope", "", "")
}

// However much is written in a channel that is not served, it is one note; and opening the chat starts it once.
func TestNotedOnce(t *testing.T) {
	keys := map[string]bool{}
	for i, e := range []string{`{"type":"app_mention","channel":"C1A","user":"U1A","ts":"%d.000001"}`, `{"type":"message","channel":"C1A","user":"U1A","ts":"%d.000001","text":"x"}`,
		`{"type":"member_joined_channel","channel":"C1A","user":"U1A","event_ts":"%d.000001"}`, `{"type":"reaction_added","item":{"type":"message","channel":"C1A","ts":"1"},"user":"U1A","event_ts":"%d.000001"}`} {
		events, _, err := New().Parse(account("s"), &channel.Request{Body: fmt.Appendf(nil, `{"type":"event_callback","team_id":"T1A","event_id":"Ev%d","event":`+e+`}`, i, 1355517523+i)})
		if err != nil || len(events) != 1 || events[0].Type != channel.UnparsedEvent {
			t.Fatalf("%s: %+v, %v", e, events, err)
		}
		keys[events[0].Key] = true
	}
	if len(keys) != 1 {
		t.Errorf("keys %v, want one", keys)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "<": "<", "a < b": "a < b", "<>": "", "<|x>": "x", "<https://a.example>": "https://a.example",
		"<https://a.example|hier>": "hier (https://a.example)", "<https://a.example|a.example>": "https://a.example",
		"<tel:+4930123|+4930123>": "+4930123", "<@U1|erika>": "@erika", "<@U1>": "@U1", "<#C1|>": "#C1", "<!subteam^S1|@team>": "@team",
		"<!everyone>": "@everyone", "&lt;b&gt; &amp;amp;": "<b> &amp;", ":wave::skin-tone-6:": "👋🏿", ":tada::tada:": "🎉🎉", ":tada: :tada:": "🎉 🎉",
		"10:100:20": "10:100:20", ":unbekannt:": ":unbekannt:",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLink(t *testing.T) {
	if link, carries := New().Link(account("s"), channel.Opening{Token: "x"}); link != "https://slack.com/app_redirect?app=A0MDYCDME&team=T061EG9R6" || carries != channel.CarriesNothing {
		t.Errorf("%s %q", link, carries)
	}
	if link, _ := New().Link(channel.Account{}, channel.Opening{}); link != "" {
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
		events, reply, err := New().Parse(account("s"), &channel.Request{Body: raw})
		if err != nil && (len(events) > 0 || reply.Body != nil) {
			t.Error("an error and events")
		}
		if err == nil && len(events) == 0 && reply.Status == 0 {
			t.Error("what came would vanish")
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	raw, err := os.ReadFile("testdata/text.json")
	if err != nil {
		b.Fatal(err)
	}
	a := account("8f742231b10e8888abcd99yyyzzz85a5")
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, raw, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)))
}
