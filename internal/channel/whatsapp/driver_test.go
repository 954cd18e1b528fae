package whatsapp

import (
	"bytes"
	"context"
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
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/whatsapp/whatsappsim"
)

func account(secret string) channel.Account {
	return channel.Account{
		ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "WhatsApp",
		Settings: channel.Settings{
			"phone_number_id": "106540352242922", "access_token": "EAAJB5JmZAKx0BOtestesttest", "app_secret": secret,
			"verify_token": "kennwort", "business_account_id": "102290129340398", "display_phone_number": "+49 30 1234567",
		},
	}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	h := http.Header{"Content-Type": {"application/json"}}
	if secrets := channel.Rotation(a.Settings["app_secret"]); len(secrets) > 0 {
		mac := hmac.New(sha256.New, []byte(secrets[0]))
		mac.Write(body)
		h.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return &channel.Request{Method: http.MethodPost, Header: h, Body: body, At: now}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refusal(status, code int, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(
		`{"error":{"message":"(#%[1]d) Some title","type":"OAuthException","code":%[1]d,"error_data":{"messaging_product":"whatsapp","details":"Some details"},"fbtrace_id":"A"}}`, code))}
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func with(key, value string) channel.Settings {
	s := account("s").Settings
	s[key] = value
	return s
}

func TestDriver(t *testing.T) {
	refusals := map[string]channeltest.Refusal{
		"not the API":      {Want: channel.Misconfig, Answer: answerWith(404, "<html>nginx</html>")},
		"no such number":   {Want: channel.Misconfig, Answer: answerWith(400, `{"error":{"message":"Unsupported post request.","type":"GraphMethodException","code":100,"error_subcode":33}}`)},
		"unknown code":     refusal(400, 139999, channel.Permanent),
		"unknown 5xx code": refusal(500, 139999, channel.Unknown),
		"401 without code": {Want: channel.Misconfig, Answer: answerWith(401, `{"error":{"message":"x"}}`)},
		"error with 200":   refusal(200, 131047, channel.WindowClosed),
		"no id":            {Want: channel.Unknown, Answer: answerWith(200, `{"messages":[]}`)},
		"permission range": refusal(403, 230, channel.Misconfig),
		"429 without code": {Want: channel.RateLimited, Answer: answerWith(429, `{}`)},
		"token in answer":  {Want: channel.Permanent, Answer: answerWith(400, `{"error":{"message":"bad EAAJB5JmZAKx0BOtestesttest","code":5}}`)},
	}
	for class, codes := range map[channel.Class][]int{
		channel.Misconfig:    {0, 3, 10, 190, 33, 368, 131005, 131031, 131037, 131042, 131045, 133010},
		channel.RateLimited:  {4, 80007, 130429, 131048, 131056, 131057},
		channel.Temporary:    {2, 131016, 133004},
		channel.Unknown:      {1, 131000},
		channel.WindowClosed: {131047},
		channel.NotHere:      {131026},
		channel.Permanent: {100, 130472, 131008, 131009, 131021, 131030, 131049, 131050, 131051, 131052, 131053, 131062,
			132000, 132001, 132005, 132007, 132012, 132015, 132016},
	} {
		for _, code := range codes {
			refusals[fmt.Sprint("code ", code)] = refusal(400, code, class)
		}
	}
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("old-secret-1"),
		BadSettings: map[string]channel.Settings{
			"the telephone number as id": with("phone_number_id", "+49301234567"),
			"a name as account":          with("business_account_id", "Musterhaus"),
			"an empty second secret":     with("app_secret", "a,"),
			"three secrets":              with("app_secret", "a,b,c"),
			"three verify tokens":        with("verify_token", "a,b,c"),
			"a token with a space":       with("access_token", "EAA JB5"),
			"api_url without scheme":     with("api_url", "graph.facebook.com"),
			"a word as number":           with("display_phone_number", "Zentrale"),
		},
		Webhook: &channeltest.Webhook{
			Sign:      signed,
			Body:      sample(t, "text"),
			Headers:   []string{signatureHeader},
			SignsBody: true,
			Rotating:  account("new-secret-2,old-secret-1"),
			Rotated:   account("new-secret-2"),
			Other:     account("other-secret-3"),
		},
		Samples:   "testdata/*.json",
		Batch:     sample(t, "batch_one_bad"),
		BatchKeys: []string{"msg:wamid.1", "msg:wamid.3", "status:wamid.4:read"},
		WithID: func(number string) []byte {
			return bytes.ReplaceAll(sample(t, "text"), []byte("HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTA001A="), []byte(number))
		},
		WithName: func(name string) []byte {
			quoted, _ := json.Marshal(name)
			return bytes.ReplaceAll(sample(t, "text"), []byte(`"Sheena Nelson"`), quoted)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "+16505551234"}, Text: "Guten Tag"},
			Accept:      answerWith(200, `{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],"messages":[{"id":"wamid.X","message_status":"accepted"}]}`),
			RateLimited: refusal(400, 131056, "").Answer,
			Refusals:    refusals,
			Text: func(_ *http.Request, body []byte) string {
				var p struct {
					Text struct{ Body string }
				}
				_ = json.Unmarshal(body, &p)
				return p.Text.Body
			},
		},
	})
}

func TestChallenge(t *testing.T) {
	d, a := New(), account("s")
	ask := func(mode, token, challenge string) *channel.Request {
		return &channel.Request{Method: http.MethodGet, Query: url.Values{"hub.mode": {mode}, "hub.verify_token": {token}, "hub.challenge": {challenge}}}
	}
	r := ask("subscribe", "kennwort", "1158201444")
	if err := d.Verify(a, r, time.Time{}); err != nil {
		t.Fatal(err)
	}
	events, reply, err := d.Parse(a, r)
	if err != nil || len(events) != 0 || reply.Status != 200 || string(reply.Body) != "1158201444" || !strings.HasPrefix(reply.Type, "text/plain") {
		t.Errorf("%v %+v %v", events, reply, err)
	}
	twice := ask("subscribe", "kennwort", "1")
	twice.Query.Add("hub.verify_token", "x")
	open := a
	open.Settings = channel.Settings{}
	for what, bad := range map[string]struct {
		a channel.Account
		r *channel.Request
	}{
		"wrong token": {a, ask("subscribe", "Kennwort", "1")}, "no token": {a, ask("subscribe", "", "1")}, "wrong mode": {a, ask("unsubscribe", "kennwort", "1")},
		"token twice": {a, twice}, "no setting": {open, ask("subscribe", "", "1")}, "a signed body is no way in": {a, &channel.Request{Method: http.MethodGet, Header: signed(a, nil, time.Time{}).Header}},
	} {
		if err := d.Verify(bad.a, bad.r, time.Time{}); !errors.Is(err, channel.ErrUnauthentic) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := d.Parse(a, ask("subscribe", "kennwort", strings.Repeat("1", 1000))); err == nil {
		t.Error("a challenge of any length is echoed")
	}
}

func TestLink(t *testing.T) {
	link, carries := New().Link(account("s"), channel.Opening{Text: "Weiter mit Code AB+7 & Co"})
	if link != "https://wa.me/49301234567?text=Weiter%20mit%20Code%20AB%2B7%20%26%20Co" || carries != channel.CarriesText {
		t.Errorf("%s %s", link, carries)
	}
	if link, carries := New().Link(channel.Account{}, channel.Opening{Text: "x"}); link != "" || carries != channel.CarriesNothing {
		t.Errorf("%s %s", link, carries)
	}
}

// api_url may name a version or not.
func TestVersion(t *testing.T) {
	for given, want := range map[string]string{
		"": "https://graph.facebook.com/v25.0", "https://graph.facebook.com/": "https://graph.facebook.com/v25.0",
		"https://graph.facebook.com/v21.0": "https://graph.facebook.com/v21.0", "http://proxy/meta/": "http://proxy/meta/v25.0",
	} {
		a := account("s")
		a.Settings["api_url"] = given
		if got := newGraph(a, channel.Env{}).base; got != want {
			t.Errorf("%q: %s, want %s", given, got, want)
		}
	}
}

// The token goes to Meta's media hosts and to api_url's own server alone.
func TestTrustedHosts(t *testing.T) {
	a := account("s")
	a.Settings["api_url"] = "http://127.0.0.1:8080/x"
	g := newGraph(a, channel.Env{})
	for raw, want := range map[string]bool{
		"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1": true, "https://mmg.whatsapp.net/x": true,
		"http://127.0.0.1:8080/file": true, "http://127.0.0.1:8081/file": false, "https://127.0.0.1:8080/file": false,
		"http://lookaside.fbsbx.com/x": false, "https://lookaside.fbsbx.com.evil.example/x": false, "https://evilwhatsapp.net/x": false,
		"https://lookaside.fbsbx.com@evil.example/x": false, "https://u@lookaside.fbsbx.com/x": false, "https://lookaside.fbsbx.com:8443/": false, "": false, "/x": false,
	} {
		if got := g.trusted(raw); got != want {
			t.Errorf("trusted(%q) = %t", raw, got)
		}
	}
}

func TestForeignMediaHost(t *testing.T) {
	asked := false
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer evil.Close()
	api := httptest.NewServer(answerWith(200, `{"url":"`+evil.URL+`/x","file_size":"3"}`))
	defer api.Close()
	a := account("s")
	a.Settings["api_url"] = api.URL
	_, err := New().FetchMedia(t.Context(), a, "1003383421387256", channeltest.Env())
	var failure *channel.SendError
	if !errors.As(err, &failure) || failure.Class != channel.Permanent || asked {
		t.Errorf("%v, asked %t", err, asked)
	}
}

func talk(o whatsappsim.Options) channeltest.Talk {
	return channeltest.Talk{
		Driver: New(),
		New:    func(*testing.T) channelsim.Sim { return whatsappsim.New(o) },
		Nobody: "+4915999999999",
	}
}

func TestExchange(t *testing.T) { channeltest.Exchange(t, talk(whatsappsim.Options{})) }

// All of it with customers of whom only a business-scoped id is known, with failures that come late, in random order and
// each twice.
func TestExchangeHidden(t *testing.T) {
	k := talk(whatsappsim.Options{Hidden: func(string) bool { return true }, LateErrors: true})
	k.New = func(*testing.T) channelsim.Sim {
		s := whatsappsim.New(whatsappsim.Options{Hidden: func(string) bool { return true }, LateErrors: true})
		s.Hook.Duplicate(2)
		s.Hook.Shuffle(7)
		return s
	}
	k.Nobody = "DE.1"
	channeltest.Exchange(t, k)
}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func open(t *testing.T, o whatsappsim.Options) (*channeltest.Company, *whatsappsim.Sim) {
	t.Helper()
	s := whatsappsim.New(o)
	return channeltest.Open(t, New(), s, nil), s
}

func to(p channelsim.Person) channel.Address { return channel.Address{Value: p.Address()} }

func classOf(err error) channel.Class {
	var failure *channel.SendError
	if errors.As(err, &failure) {
		return failure.Class
	}
	return ""
}

func TestWindowAndTemplates(t *testing.T) {
	c, s := open(t, whatsappsim.Options{})
	at := time.Now()
	s.Lock()
	s.Now = func() time.Time { return at }
	s.Unlock()
	move := func(d time.Duration) { s.Lock(); at = at.Add(d); s.Unlock() }
	p := s.Customer("Erika Muster")
	if _, err := p.Write("Hallo", ""); err != nil {
		t.Fatal(err)
	}
	free := channel.Outgoing{To: to(p), Text: "Guten Tag"}
	move(24*time.Hour - time.Second)
	if _, err := c.Send(t.Context(), free); err != nil {
		t.Fatalf("inside the window: %v", err)
	}
	move(time.Minute)
	_, err := c.Send(t.Context(), free)
	if classOf(err) != channel.WindowClosed {
		t.Fatalf("outside the window: %v", err)
	}
	list, err := New().Templates(t.Context(), c.Account, c.Env)
	if err != nil {
		t.Fatal(err)
	}
	var news channel.Template
	states := map[string]channel.TemplateStatus{}
	for _, one := range list {
		states[one.Name+" "+one.Language] = one.Status
		if one.Name == "rueckmeldung" && one.Language == "de" {
			news = one
		}
		if unfit := map[string]bool{"foto": true, "verfolgen": true, "anrede": true}[one.Name]; unfit != (one.Unfit != "") {
			t.Errorf("%s: unfit %q", one.Name, one.Unfit)
		}
		if one.Name == "aktion" && one.Why != "TAG_CONTENT_MISMATCH" {
			t.Errorf("rejected why: %q", one.Why)
		}
	}
	if len(list) != len(whatsappsim.DefaultTemplates()) || states["termin de"] != channel.Pending || states["aktion de"] != channel.Rejected ||
		states["umfrage de"] != channel.Paused || states["rueckmeldung en-US"] != channel.Approved {
		t.Fatalf("%d templates: %v", len(list), states)
	}
	if news.Params != 2 || !reflect.DeepEqual(news.Buttons, []string{"Ja, bitte", "Nein"}) || news.Footer != "Musterhaus" {
		t.Fatalf("%+v", news)
	}
	values := []string{"Frau  Muster", "Zeile 1\nZeile 2"}
	move(time.Minute)
	r, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: news.Text(values),
		Template: &channel.TemplateUse{Name: news.Name, Language: news.Language, Params: values, Buttons: []string{"ask:1:ja", "ask:1:nein"}}})
	if err != nil {
		t.Fatal(err)
	}
	m := c.Got(p, 2)[1]
	if m.Ref != r.ExternalID || !strings.Contains(m.Text, "Frau Muster, zu Ihrem Anliegen Zeile 1 Zeile 2") || len(m.Choices) != 2 {
		t.Fatalf("arrived as %+v", m)
	}
	if err := p.Press(m.Ref, "Ja, bitte"); err != nil {
		t.Fatal(err)
	}
	e := c.Await("the quick reply", func(e channel.Event) bool { return e.Type == channel.ChoiceEvent })
	if e.Choice.Data != "ask:1:ja" || e.Choice.Label != "Ja, bitte" || e.Ref != r.ExternalID {
		t.Errorf("came as %+v", e)
	}
	move(time.Minute)
	if _, err := c.Send(t.Context(), free); err != nil {
		t.Errorf("the quick reply opens the window: %v", err)
	}
	for what, use := range map[string]channel.TemplateUse{
		"pending": {Name: "termin", Language: "de", Params: []string{"x"}}, "paused": {Name: "umfrage", Language: "de"},
		"too few values": {Name: "rueckmeldung", Language: "de", Params: []string{"x"}}, "empty value": {Name: "rueckmeldung", Language: "de", Params: []string{"x", " "}},
		"another language": {Name: "rueckmeldung", Language: "fr"},
	} {
		move(time.Minute)
		_, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "x", Template: &use})
		var failure *channel.SendError
		if !errors.As(err, &failure) || failure.Class != channel.Permanent || failure.Reason.DE == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	// An English template in its own spelling, and marketing after "Stop".
	move(time.Minute)
	if _, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "x", Template: &channel.TemplateUse{Name: "rueckmeldung", Language: "en-US", Params: []string{"a", "b"}}}); err != nil {
		t.Error(err)
	}
	p.StopMarketing()
	c.Await("the wish", func(e channel.Event) bool {
		return e.Type == channel.UnparsedEvent && strings.Contains(e.Error, "no advertising")
	})
	move(time.Minute)
	_, err = c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "x", Template: &channel.TemplateUse{Name: "angebot", Language: "de"}})
	if classOf(err) != channel.Permanent {
		t.Errorf("marketing after stop: %v", err)
	}
	if o := s.Oversteps(); len(o) > 0 {
		t.Error(o)
	}
}

// A closed window may be told afterwards, by a status.
func TestWindowClosedLate(t *testing.T) {
	c, s := open(t, whatsappsim.Options{LateErrors: true})
	p := s.Customer("Erika Muster")
	out := channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-00000000bbbb", To: to(p), Text: "Guten Tag"}
	if _, err := c.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	e := c.Await("the failure", func(e channel.Event) bool { return e.Type == channel.StatusEvent })
	if e.Status.State != channel.Failed || e.Status.Code != "131047" || e.Status.DeliveryID != out.DeliveryID || !strings.Contains(e.Status.Reason.DE, "Vorlage") {
		t.Errorf("%+v", e.Status)
	}
}

// What nobody answered is resolved by the delivery's id, which comes back with the statuses.
func TestReconciliation(t *testing.T) {
	c, s := open(t, whatsappsim.Options{})
	p := s.Customer("Erika Muster")
	if _, err := p.Write("Hallo", ""); err != nil {
		t.Fatal(err)
	}
	s.Fail(channelsim.Fault{Op: "message", Accept: true, Cut: true})
	out := channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-00000000cccc", To: to(p), Text: "Kommt das an?"}
	if _, err := c.Send(t.Context(), out); classOf(err) != channel.Unknown {
		t.Fatalf("%v", err)
	}
	e := c.Await("the status", func(e channel.Event) bool {
		return e.Type == channel.StatusEvent && e.Status.State == channel.Delivered
	})
	if e.Status.DeliveryID != out.DeliveryID || e.Status.ExternalID != s.Ledger()[0].Ref || s.Ledger()[0].Told {
		t.Errorf("%+v, ledger %+v", e.Status, s.Ledger())
	}
	// Of several parts only the last one speaks for all.
	s.Lock()
	s.Now = func() time.Time { return time.Now().Add(time.Hour) }
	s.Unlock()
	out = channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-00000000dddd", To: to(p), Text: strings.Repeat("Wort ", 1000)}
	r, err := c.Send(t.Context(), out)
	if err != nil || len(r.Parts) != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	last := c.Await("the last part's status", func(e channel.Event) bool {
		return e.Type == channel.StatusEvent && e.Status.DeliveryID == out.DeliveryID
	})
	if last.Status.ExternalID != r.Parts[0] {
		t.Errorf("%+v speaks for all, the last part is %s", last.Status, r.Parts[0])
	}
}

func TestNumberChange(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		t.Run(fmt.Sprintf("hidden %t", hidden), func(t *testing.T) {
			c, s := open(t, whatsappsim.Options{Hidden: func(string) bool { return hidden }})
			p := s.Customer("Erika Muster")
			if _, err := p.Write("Hallo", ""); err != nil {
				t.Fatal(err)
			}
			first := c.Await("the greeting", func(e channel.Event) bool { return e.Type == channel.MessageEvent })
			if hidden != strings.HasPrefix(first.Sender.Value, "DE.") || !hidden && len(first.Sender.Also) != 1 {
				t.Errorf("%+v", first.Sender)
			}
			known := append([]string{first.Sender.Value}, first.Sender.Also...)
			p.ChangeNumber("4915222222222")
			moved := c.Await("the move", func(e channel.Event) bool { return e.Type == channel.MovedEvent && e.Sender.Value == p.Address() })
			if len(moved.Sender.Also) == 0 || !contains(known, moved.Sender.Also[0]) {
				t.Errorf("%+v, known were %v", moved.Sender, known)
			}
			c.Await("the new id", func(e channel.Event) bool {
				return e.Type == channel.MovedEvent && strings.HasPrefix(e.Sender.Value, "DE.") && contains(known, e.Sender.Also[0])
			})
			if _, err := c.Send(t.Context(), channel.Outgoing{To: moved.Sender, Text: "Gefunden."}); err != nil {
				t.Error(err)
			}
			if _, err := c.Send(t.Context(), channel.Outgoing{To: first.Sender, Text: "Alt."}); classOf(err) != channel.NotHere {
				t.Errorf("the old address: %v", err)
			}
		})
	}
}

func contains(list []string, v string) bool {
	for _, l := range list {
		if l == v {
			return true
		}
	}
	return false
}

// A customer who was known by number and later shows none stays one: the id was in Also.
func TestHideLater(t *testing.T) {
	c, s := open(t, whatsappsim.Options{})
	p := s.Customer("Erika Muster")
	_, _ = p.Write("Hallo", "")
	first := c.Await("by number", func(e channel.Event) bool { return strings.HasPrefix(e.Sender.Value, "+49") })
	p.Hide()
	_, _ = p.Write("Nun ohne Nummer", "")
	second := c.Await("by id", func(e channel.Event) bool { return strings.HasPrefix(e.Sender.Value, "DE.") })
	if !contains(first.Sender.Also, second.Sender.Value) {
		t.Errorf("%+v then %+v", first.Sender, second.Sender)
	}
}

func TestRotation(t *testing.T) {
	c, s := open(t, whatsappsim.Options{Retry: []time.Duration{10 * time.Millisecond}})
	p := s.Customer("Erika Muster")
	_, _ = p.Write("vorher", "")
	c.Await("before", func(e channel.Event) bool { return e.Message != nil })
	s.Secret("a-new-secret")
	_, _ = p.Write("während", "")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s.Wait(ctx, func() bool { return len(s.Hook.Refused()) > 0 })
	if n := s.Hook.Pending(); n != 1 {
		t.Fatalf("%d webhooks wait", n)
	}
	_ = c.Env.SaveSetting(t.Context(), "app_secret", "a-new-secret,"+whatsappsim.DefaultSecret, nil)
	c.Await("the redelivery", func(e channel.Event) bool { return e.Message != nil && e.Message.Text == "während" })
}

func TestProbe(t *testing.T) {
	c, s := open(t, whatsappsim.Options{})
	c.Account.Settings["display_phone_number"] = ""
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Fatal(err)
	}
	if got := c.Account.Settings["display_phone_number"]; got != "+49 30 1234567" {
		t.Errorf("kept %q", got)
	}
	a := c.Account
	a.Settings = s.Settings(c.Account.Settings["api_url"])
	a.Settings["access_token"] = "EAAwrong"
	err := New().Probe(t.Context(), a, c.Env)
	var trouble *channel.Trouble
	if !errors.As(err, &trouble) || trouble.Remedy.DE == "" || strings.Contains(err.Error(), "EAAwrong") {
		t.Errorf("%v", err)
	}
	a.Settings = s.Settings(c.Account.Settings["api_url"])
	a.Settings["business_account_id"] = ""
	if _, err := New().Templates(t.Context(), a, c.Env); !errors.As(err, &trouble) {
		t.Errorf("%v", err)
	}
}

// The driver's pace is never refused; what is faster is, with the provider's codes and a time to wait.
func TestRates(t *testing.T) {
	c, s := open(t, whatsappsim.Options{})
	at := time.Now()
	s.Lock()
	s.Now = func() time.Time { return at }
	s.Unlock()
	move := func(d time.Duration) { s.Lock(); at = at.Add(d); s.Unlock() }
	perAccount, perAddress := New().Pace()
	p := s.Customer("Erika Muster")
	_, _ = p.Write("Hallo", "")
	send := func(who channelsim.Person) error {
		_, err := c.Send(t.Context(), channel.Outgoing{To: to(who), Text: "Guten Tag"})
		return err
	}
	for range 10 {
		if err := send(p); err != nil {
			t.Fatal(err)
		}
		move(perAddress)
	}
	for i := range 200 { // more than the burst that any limit allows
		one := s.Customer(fmt.Sprint("Kunde ", i))
		_, _ = one.Write("Hallo", "")
		if err := send(one); err != nil {
			t.Fatal(err)
		}
		move(perAccount)
	}
	if o := s.Oversteps(); len(o) > 0 {
		t.Fatalf("at the driver's pace: %v", o)
	}
	move(time.Hour)
	for i := range 46 {
		err := send(p)
		var failure *channel.SendError
		switch {
		case i < 45 && err != nil:
			t.Fatalf("message %d of a burst: %v", i+1, err)
		case i == 45 && (!errors.As(err, &failure) || failure.Class != channel.RateLimited || failure.Code != "131056" || failure.RetryAfter < 6*time.Second):
			t.Errorf("message 46: %v", err)
		}
	}
	move(44 * 6 * time.Second)
	if classOf(send(p)) != channel.RateLimited {
		t.Error("the loan is paid back too early")
	}
	move(6 * time.Second)
	if err := send(p); err != nil {
		t.Error(err)
	}
	if len(s.Oversteps()) != 2 {
		t.Error(s.Oversteps())
	}
}

func TestFiles(t *testing.T) {
	c, s := open(t, whatsappsim.Options{PairEvery: -1})
	p := s.Customer("Erika Muster")
	_, _ = p.Write("Hallo", "")
	file := func(name, mediaType string, size int64) channel.File {
		return channel.File{Name: name, MediaType: mediaType, Size: size, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(bytes.Repeat([]byte{'x'}, int(size)))), nil
		}}
	}
	r, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "Bitte sehr", Attachments: []channel.File{
		file("ansage.ogg", "audio/ogg; codecs=opus", 9), file("plan \"A\".pdf", "application/pdf", 9), file("termin.ics", "text/calendar", 9), file("film.mp4", "video/mp4", 9)}})
	if err != nil || len(r.Parts) != 4 {
		t.Fatalf("%+v %v", r, err)
	}
	m := c.Got(p, 5)
	if m[0].Text != "Bitte sehr" || m[1].Files[0].MediaType != "audio/ogg" || m[3].Files[0].Name != "termin.ics" || m[4].Files[0].MediaType != "video/mp4" {
		t.Errorf("%+v", m)
	}
	for _, f := range []channel.File{file("a.zip", "application/zip", 9), file("a.png", "image/png", 5<<20+1), file("a.mp4", "video/mp4", 16<<20+1), file("a.html", "text/html", 9)} {
		if _, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "x", Attachments: []channel.File{f}}); classOf(err) != channel.Permanent {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	// A failed upload sent nothing: it may be tried again.
	s.Fail(channelsim.Fault{Op: "media", Cut: true})
	if _, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Attachments: []channel.File{file("a.pdf", "application/pdf", 9)}}); classOf(err) != channel.Temporary {
		t.Errorf("%v", err)
	}
	if _, err := New().FetchMedia(t.Context(), c.Account, "999", c.Env); classOf(err) != channel.Permanent {
		t.Errorf("a file that is gone: %v", err)
	}
	if _, err := New().FetchMedia(t.Context(), c.Account, "../1", c.Env); classOf(err) != channel.Permanent {
		t.Errorf("no media id: %v", err)
	}
}

func TestChoicesThatDoNotFit(t *testing.T) {
	c, s := open(t, whatsappsim.Options{})
	p := s.Customer("Erika Muster")
	_, _ = p.Write("Hallo", "")
	one := func(o channel.Choice) []channel.Choice { return []channel.Choice{o} }
	for what, out := range map[string]channel.Outgoing{
		"menu":   {Choices: one(channel.Choice{Label: "a", Data: "a"}), Menu: strings.Repeat("m", 21)},
		"row id": {Choices: one(channel.Choice{Label: "a", Data: strings.Repeat("a", 201)}), Menu: "m"},
		"title":  {Choices: one(channel.Choice{Label: strings.Repeat("a", 21), Data: "a"})},
	} {
		out.To, out.Text = to(p), "Bitte wählen"
		if _, err := c.Send(t.Context(), out); classOf(err) != channel.Permanent {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(s.Ledger()); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	// A long description is cut between words.
	if _, err := c.Send(t.Context(), channel.Outgoing{To: to(p), Text: "Bitte wählen", Menu: "Liste",
		Choices: one(channel.Choice{Label: "a", Data: "a", Description: strings.Repeat("lang ", 30)})}); err != nil {
		t.Fatal(err)
	}
	if d := c.Got(p, 1)[0].Choices[0].Description; len(d) > 72 || !strings.HasSuffix(d, "lang") {
		t.Errorf("%q", d)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"+4915112345678": "to +4915112345678", "4915112345678": "to +4915112345678", "DE.123abc": "recipient DE.123abc", "US.ENT.1": "recipient US.ENT.1",
		"": "", "erika@example.org": "", "+49 151": "", "de.123": "", "DE.": "", "DE.1/2": "",
	} {
		o, err := recipient(address)
		got := ""
		switch {
		case err != nil && classOf(err) != channel.NotHere:
			t.Errorf("%q: %v", address, err)
		case o.To != "":
			got = "to " + o.To
		case o.Recipient != "":
			got = "recipient " + o.Recipient
		}
		if got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
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
		events, reply, err := New().Parse(a, &channel.Request{Method: http.MethodPost, Body: raw})
		if err == nil && len(events) == 0 && reply.Status == 0 {
			t.Error("neither events nor an answer")
		}
		if err != nil && (len(events) > 0 || reply.Body != nil) {
			t.Error("an error and events")
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	a := account("a-secret")
	for _, name := range []string{"text", "status_delivered", "template_rejected"} {
		b.Run(name, func(b *testing.B) {
			channeltest.BenchmarkWebhook(b, New(), a, signed(a, sample(b, name), time.Now()))
		})
	}
}
