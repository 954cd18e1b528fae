package webhook

import (
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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/webhook/webhooksim"
)

// described is the driver with what one account's settings say that it can.
type described struct{ Driver }

func (described) Capabilities() channel.Capabilities {
	return New().CapabilitiesOf(channel.Settings{"send": webhooksim.Send})
}

func account(secret string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Eigener", Settings: channel.Settings{
		"receive": strings.Replace(webhooksim.Receive, webhooksim.Secret, secret, 1), "send": webhooksim.Send, "api_url": "https://chat.example"}}
}

func secretOf(a channel.Account) string {
	var in struct {
		Auth struct{ Secret string }
	}
	_ = json.Unmarshal([]byte(a.Settings["receive"]), &in)
	first, _, _ := strings.Cut(in.Auth.Secret, ",")
	return first
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	stamp := strconv.FormatInt(now.Unix(), 10)
	m := hmac.New(sha256.New, []byte(secretOf(a)))
	m.Write([]byte(stamp + "." + string(body)))
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("X-Timestamp", stamp)
	h.Set("X-Signature", "sha256="+hex.EncodeToString(m.Sum(nil)))
	return &channel.Request{Method: http.MethodPost, Header: h, Body: body, At: now}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refused(status int, code string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(`{"error":{"code":%q,"text":"no","retry_after":7}}`, code))}
}

func TestDriver(t *testing.T) {
	batch, err := os.ReadFile("testdata/batch.json")
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	bad := map[string]channel.Settings{"nothing": {}}
	for why, receive := range map[string]string{
		"no auth":                `{"from":"body.a"}`,
		"unknown auth":           `{"auth":{"type":"magic"},"from":"body.a"}`,
		"hmac without secret":    `{"auth":{"type":"hmac","header":"X"},"from":"body.a"}`,
		"empty auth":             `{"auth":[],"from":"body.a"}`,
		"unsigned timestamp":     `{"auth":{"type":"hmac","header":"X","secret":"s","timestamp":"header['t']"},"from":"body.a"}`,
		"none among others":      `{"auth":[{"type":"none"},{"type":"bearer","token":"x"}],"from":"body.a"}`,
		"unknown key":            `{"auth":{"type":"none"},"from":"body.a","frm":"x"}`,
		"unknown name":           `{"auth":{"type":"none"},"from":"bdy.a"}`,
		"syntax":                 `{"auth":{"type":"none"},"from":"body."}`,
		"no from":                `{"auth":{"type":"none"},"text":"body.a"}`,
		"no JSON":                `{"auth":`,
		"a number":               `{"auth":{"type":"none"},"from":7}`,
		"bad network":            `{"auth":{"type":"ip","allow":["300.1.1.1"]},"from":"body.a"}`,
		"too long an expression": `{"auth":{"type":"none"},"from":"'` + strings.Repeat("x", 5000) + `'"}`,
	} {
		bad["receive: "+why] = channel.Settings{"receive": receive}
	}
	for why, send := range map[string]string{
		"no url":                  `{"body":"message.text"}`,
		"host of the message":     `{"url":"https://{message.to}/x"}`,
		"host half of it":         `{"url":"https://a.example{message.to}/x"}`,
		"no api_url":              `{"url":"/x"}`,
		"unknown class of method": `{"url":"https://a.example/x","method":"DELETE"}`,
		"open brace":              `{"url":"https://a.example/{message.to"}`,
		"answer in the body":      `{"url":"https://a.example/","body":"answer.id"}`,
		"unknown capability":      `{"url":"https://a.example/","capabilities":{"smell":true}}`,
		"negative":                `{"url":"https://a.example/","capabilities":{"buttons":-1,"text_max":-4}}`,
		"idempotent by magic":     `{"url":"https://a.example/","body":"message.text","capabilities":{"idempotent":true}}`,
		"header name":             `{"url":"https://a.example/","headers":{"a b":"x"}}`,
		"media type":              `{"url":"https://a.example/","type":"json"}`,
	} {
		bad["send: "+why] = channel.Settings{"send": send}
	}
	channeltest.Run(t, channeltest.Suite{
		Driver: described{}, Account: account("old-secret"), BadSettings: bad,
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: []byte(`{"events":[{"kind":"text","id":1,"user":{"id":2},"text":"x"}]}`), Headers: []string{"X-Signature", "X-Timestamp"}, SignsBody: true,
			MaxAge: 5 * time.Minute, Rotating: account("new-secret,old-secret"), Rotated: account("new-secret"), Other: account("other-secret"),
		},
		Samples: "testdata/*.json", Batch: batch, BatchKeys: []string{"msg:1", "msg:3"},
		WithID: func(n string) []byte {
			return []byte(`{"events":[{"kind":"text","id":` + n + `,"user":{"id":` + n + `},"text":"x"}]}`)
		},
		WithName: func(name string) []byte {
			return []byte(`{"events":[{"kind":"text","id":1,"user":{"id":2,"name":` + quoted(name) + `},"text":"x"}]}`)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-000000000009", To: channel.Address{Value: "77"}, Text: "Guten Tag"},
			Accept:      answerWith(201, `{"id":"m1"}`),
			RateLimited: answerWith(429, `{"error":{"code":"too_fast"}}`),
			ServerError: channel.Temporary,
			Refusals: map[string]channeltest.Refusal{
				"blocked": refused(403, "blocked", channel.Blocked), "unknown": refused(404, "unknown_user", channel.NotHere), "window": refused(403, "closed", channel.WindowClosed),
				"too long": refused(422, "too_long", channel.Permanent), "token": refused(401, "token", channel.Misconfig),
				"another server": {Want: channel.Misconfig, Answer: answerWith(404, "<html>")}, "moved": {Want: channel.Misconfig, Answer: answerWith(304, "")},
			},
			Text: func(_ *http.Request, body []byte) string {
				var m struct{ Text string }
				_ = json.Unmarshal(body, &m)
				return m.Text
			},
		},
	})
}

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: described{}, New: func(*testing.T) channelsim.Sim { return webhooksim.New(webhooksim.Options{}) }, Nobody: "12"})
}

func TestRates(t *testing.T) {
	sim := webhooksim.New(webhooksim.Options{PerSecond: 0.01})
	c := channeltest.Open(t, New(), sim, nil)
	out := channel.Outgoing{To: channel.Address{Value: sim.Person("Erika Muster").Address()}, Text: "Hallo"}
	if _, err := c.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	var se *channel.SendError
	if _, err := c.Send(t.Context(), out); !errors.As(err, &se) || se.Class != channel.RateLimited || se.RetryAfter < time.Second {
		t.Errorf("got %v", err)
	}
	if per, _ := New().PaceOf(c.Account.Settings); per != 50*time.Millisecond {
		t.Errorf("pace %v", per)
	}
}

// Each ready example passes Check, maps its samples as written down in testdata/examples.golden, and renders a message
// without showing a secret.
func TestExamples(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var got strings.Builder
	for _, e := range Examples() {
		if err := New().Check(e.Settings()); err != nil {
			t.Errorf("%s: %v", e.Key, err)
		}
		for _, s := range e.Samples {
			trial := Try(e.Settings(), s.Request(now), now)
			channeltest.CheckEvents(t, trial.Events)
			b, _ := json.Marshal(trial.Events)
			fmt.Fprintf(&got, "%s, %s: %s\n  %q %s\n", e.Key, s.Name, b, trial.Reply.Body, trial.Error)
		}
		list, err := TryOutgoing(e.Settings(), channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-000000000009", To: channel.Address{Value: "+49 1511/2345"}, Text: "Guten Tag & <b>",
			AuthorName: "Jana", ReplyTo: "r1"}, now)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(list)
		fmt.Fprintf(&got, "%s sends: %s\n", e.Key, b)
		if strings.Contains(string(b), "change-me") {
			t.Errorf("%s shows a secret: %s", e.Key, b)
		}
	}
	const file = "testdata/examples.golden"
	if os.Getenv("UPDATE_EXAMPLES") != "" {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got.String() {
		t.Errorf("%v; got\n%s", err, got.String())
	}
}

func none(more string) channel.Account {
	return channel.Account{Settings: channel.Settings{"receive": `{"auth":{"type":"none"},"from":"body.from"` + more + `}`}}
}

func post(contentType, body string) *channel.Request {
	return &channel.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body), At: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
}

func TestAuth(t *testing.T) {
	now := time.Now()
	h := func(k, v string) *channel.Request { return &channel.Request{Header: http.Header{k: {v}}} }
	for _, tt := range []struct {
		auth string
		r    *channel.Request
		ok   bool
	}{
		{`{"type":"bearer","token":"abc,old"}`, h("Authorization", "Bearer abc"), true},
		{`{"type":"bearer","token":"abc,old"}`, h("Authorization", "Bearer old"), true},
		{`{"type":"bearer","token":"abc"}`, h("Authorization", "bearer abc"), false},
		{`{"type":"bearer","token":"abc"}`, h("Authorization", ""), false},
		{`{"type":"basic","user":"u","password":"p"}`, h("Authorization", "Basic dTpw"), true},
		{`{"type":"basic","user":"u","password":"p"}`, h("Authorization", "Basic dTpx"), false},
		{`{"type":"header","name":"X-Key","value":"k"}`, h("X-Key", "k"), true},
		{`{"type":"header","name":"X-Key","value":"k"}`, h("X-Key", "l"), false},
		{`{"type":"query","name":"key","value":"k"}`, &channel.Request{Query: url.Values{"key": {"k"}}}, true},
		{`{"type":"query","name":"key","value":"k"}`, &channel.Request{Query: url.Values{"key": {"k", "k"}}}, false},
		{`{"type":"ip","allow":["203.0.113.0/24"]}`, &channel.Request{Remote: "203.0.113.9"}, true},
		{`{"type":"ip","allow":["203.0.113.0/24"]}`, &channel.Request{Remote: "::ffff:203.0.113.9"}, true},
		{`{"type":"ip","allow":["203.0.113.0/24"]}`, &channel.Request{Remote: "203.0.114.9"}, false},
		{`{"type":"ip","allow":["203.0.113.0/24"]}`, &channel.Request{}, false},
		{`[{"type":"ip","allow":["203.0.113.9"]},{"type":"header","name":"X-Key","value":"k"}]`, h("X-Key", "k"), false},
		{`{"type":"any","of":[{"type":"ip","allow":["203.0.113.9"]},{"type":"header","name":"X-Key","value":"k"}]}`, h("X-Key", "k"), true},
		{`{"type":"none"}`, &channel.Request{}, true},
	} {
		a := channel.Account{Settings: channel.Settings{"receive": `{"auth":` + tt.auth + `,"from":"body.a"}`}}
		if err := New().Check(a.Settings); err != nil {
			t.Errorf("%s: %v", tt.auth, err)
		}
		if err := New().Verify(a, tt.r, now); (err == nil) != tt.ok {
			t.Errorf("%s %v: %v", tt.auth, tt.r, err)
		}
	}
	// HMAC over the address, and in other spellings.
	m := hmac.New(sha256.New, []byte("s"))
	m.Write([]byte("https://a.example/in?x=1body"))
	r := &channel.Request{Header: http.Header{"X-Sig": {strings.ToUpper(hex.EncodeToString(m.Sum(nil)))}}, Body: []byte("body"), URLs: []string{"http://b/", "https://a.example/in?x=1"}}
	a := channel.Account{Settings: channel.Settings{"receive": `{"auth":{"type":"hmac","header":"X-Sig","encoding":"hex_upper","secret":"s","signed":"url + raw"},"from":"raw"}`}}
	if err := New().Verify(a, r, now); err != nil {
		t.Error(err)
	}
}

// A handshake needs no proof, and gives no events; anything else does need it.
func TestHandshake(t *testing.T) {
	a := channel.Account{Settings: Examples()[0].Settings()}
	r := &channel.Request{Method: http.MethodGet, Query: url.Values{"verify": {"change-me-too"}, "challenge": {"<4711>"}}, Body: []byte(`{"events":[{"kind":"text","id":1,"user":{"id":1}}]}`)}
	if err := New().Verify(a, r, time.Now()); err != nil {
		t.Error(err)
	}
	events, reply, err := New().Parse(a, r)
	if err != nil || len(events) > 0 || string(reply.Body) != "<4711>" || !strings.HasPrefix(reply.Type, "text/plain") {
		t.Errorf("%v %+v %v", events, reply, err)
	}
	r.Query.Set("verify", "guess")
	if New().Verify(a, r, time.Now()) == nil {
		t.Error("a wrong handshake passes")
	}
}

func TestValues(t *testing.T) {
	for _, tt := range []struct{ more, contentType, body, want string }{
		{`,"id":"body.id","text":"text(body.n)"`, "application/json", `{"from":1,"id":12345678901234567890,"n":1.50}`, `msg:12345678901234567890 1 "1.50"`},
		{`,"id":"body.id","text":"body.t + 1"`, "application/json", `{"from":1,"id":1,"t":"x"}`, "receive.text (body.t + 1): no such overload"},
		{`,"id":"body.id","text":"body.x.y"`, "application/json", `{"from":1,"id":1,"x":null}`, `msg:1 1 ""`},
		{`,"id":"body.id"`, "application/json", `{"id":1}`, "receive.from (body.from): it is missing"},
		{`,"id":"body.id","text":"body"`, "application/json", `{"from":1,"id":1}`, "receive.text (body): it is a map and not a text"},
		{`,"id":"body.id","type":"'smell'"`, "application/json", `{"from":1,"id":1}`, `receive.type ('smell'): "smell" is no type: use message, status, choice, reaction, edit, delete, read, typing, start, opt_out or ignore`},
		{`,"id":"body.id","type":"'status'","state":"body.s","ref":"body.r"`, "application/json", `{"from":1,"s":"lost","r":1}`, `receive.state (body.s): "lost" is no state: use sent, delivered, read or failed`},
		{`,"id":"body.id","text":"body.text","at":"body.at"`, "application/json", `{"from":1,"id":1,"text":"x","at":"soon"}`, `receive.at (body.at): "soon" is no time: seconds, milliseconds or RFC 3339`},
		{`,"id":"body.id","text":"body.text"`, "application/x-www-form-urlencoded", `from=a&id=7&text=x+y`, `msg:7 a "x y"`},
		{`,"id":"'1'","text":"json(body.inner).t"`, "application/json", `{"from":1,"inner":"{\"t\":\"deep\"}"}`, `msg:1 1 "deep"`},
		{`,"id":"'1'","text":"'abc'.substring(1,2) + 'a,b'.split(',').join('-') + 'x'.replace('x','y').upperAscii()"`, "", `{"from":1}`, `msg:1 1 "ba-bY"`},
		{`,"id":"'1'","text":"body.l.map(a, [a,a]).map(b,[b,b]).map(c,[c,c]).map(d,[d,d]).map(e,[e,e]).map(f,[f,f]).map(g,[g,g]).map(h,[h,h]).map(i,[i,i]).map(j,[j,j]).map(k,[k,k]).map(l,[l,l]).map(m,[m,m]).map(n,[n,n]).map(o,[o,o]).map(p,[p,p]).map(q,[q,q]).map(r,[r,r]).map(s,[s,s]).map(t,[t,t]).map(u,[u,u]).map(v,[v,v]).map(w,[w,w]).map(x,[x,x]).map(y,[y,y]).map(z,[z,z]).exists(x, x == x) ? 'a' : 'b'"`, "", `{"from":1,"l":[1,2,3]}`, "memory limit"},
		{`,"id":"'1'","text":"'x'` + strings.Repeat("+body.t", 30) + `"`, "", `{"from":1,"t":"` + strings.Repeat("a", 400_000) + `"}`, "cost limit"},
		{`,"id":"'1'","text":"body.t.replace('', body.t)"`, "", `{"from":1,"t":"` + strings.Repeat("a", 5000) + `"}`, "longer than 256 KB"},
		{`,"id":"'1'","text":"body.l.all(a, body.l.all(b, body.l.all(c, a + b + c > 0))) ? 'a' : 'b'"`, "", `{"from":1,"l":[` + strings.Repeat("1,", 999) + `1]}`, "cost limit"},
	} {
		a := none(tt.more)
		if err := New().Check(a.Settings); err != nil {
			t.Errorf("%s: %v", tt.more, err)
			continue
		}
		events, _, err := New().Parse(a, post(tt.contentType, tt.body))
		if err != nil || len(events) != 1 {
			t.Errorf("%s: %d events, %v", tt.body, len(events), err)
			continue
		}
		channeltest.CheckEvents(t, events)
		e := events[0]
		got := e.Error
		if e.Message != nil {
			got = fmt.Sprintf("%s %s %q", e.Key, e.Sender.Value, e.Message.Text)
		}
		if got != tt.want && !(e.Type == channel.UnparsedEvent && strings.Contains(got, tt.want)) {
			t.Errorf("%.80s %.80s\ngot  %.300s\nwant %s", tt.more, tt.body, got, tt.want)
		}
	}
}

// What is wrong is said with key, place and remedy.
func TestCheckSaysWhere(t *testing.T) {
	for _, tt := range []struct{ s, want string }{
		{`{"auth":{"type":"none"},"from":"body.from","text":"item.text + bdy.x"}`, "receive.text, column 13: undeclared reference to 'bdy'"},
		{`{"auth":{"type":"none"},"from":"hello"}`, "text needs 'quotes'"},
		{"{\"auth\":{\"type\":\"none\"},\n\"from\" \"x\"}", "receive, line 2, column 8: it is no JSON"},
		{`{"auth":{"type":"none"},"sender":"body.from"}`, "receive.sender is not known: use auth, media, challenge"},
		{`{"auth":{"type":"hmac","header":"X-Sig","secret":"s","algorithm":"md5"},"from":"body.a"}`, "receive.auth.algorithm"},
	} {
		err := New().Check(channel.Settings{"receive": tt.s})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.s, err)
		}
	}
}

// Two equal messages without id and time are two; with an id, a redelivery is one.
func TestKeysWithoutID(t *testing.T) {
	a := none(`,"text":"body.text"`)
	r := post("application/json", `{"from":1,"text":"ok"}`)
	first, _, _ := New().Parse(a, r)
	r.At = r.At.Add(time.Second)
	second, _, _ := New().Parse(a, r)
	if first[0].Key == second[0].Key {
		t.Error("the second ok is lost")
	}
	a = none(`,"text":"body.text","at":"body.at"`)
	r = post("application/json", `{"from":1,"text":"ok","at":1764000000}`)
	first, _, _ = New().Parse(a, r)
	r.At = r.At.Add(time.Second)
	second, _, _ = New().Parse(a, r)
	if !reflect.DeepEqual(first, second) {
		t.Error("a redelivery is another message")
	}
}

func TestSendShapes(t *testing.T) {
	var got, body string
	status, answer := 200, "OK 17"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Sig"), string(b)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	sms := Examples()[1].Settings()
	sms["send"] = strings.Replace(sms["send"], "https://sms.example/send", server.URL+"/send", 1)
	out := channel.Outgoing{DeliveryID: "d1", To: channel.Address{Value: "+49151"}, Text: "Grüße & mehr"}
	send := func(s channel.Settings, out channel.Outgoing) (channel.Receipt, error) {
		return New().Send(t.Context(), channel.Account{Settings: s}, out, channeltest.Env())
	}
	r, err := send(sms, out)
	if err != nil || r.ExternalID != "17" || body != "dlr=1&from=Musterhaus&password=change-me-too&text=Gr%C3%BC%C3%9Fe+%26+mehr&to=49151&user=musterhaus" {
		t.Errorf("%+v %v %s", r, err, body)
	}
	answer = "ERR 301 no such number"
	var se *channel.SendError
	if _, err = send(sms, out); !errors.As(err, &se) || se.Class != channel.NotHere || !strings.Contains(se.Reason.DE, "no such number") {
		t.Errorf("got %v", err)
	}
	status, answer = 500, ""
	if _, err = send(sms, out); !errors.As(err, &se) || se.Class != channel.Unknown {
		t.Errorf("got %v", err)
	}
	status, answer = 200, "strange"
	if _, err = send(sms, out); !errors.As(err, &se) || se.Class != channel.Permanent {
		t.Errorf("got %v", err)
	}
	answer = "OK"
	if _, err = send(sms, out); !errors.As(err, &se) || se.Class != channel.Permanent && se.Class != channel.Unknown {
		t.Errorf("got %v", err)
	}
	// A GET with everything in the address, signed; ids in the path cannot climb.
	get := channel.Settings{"api_url": server.URL + "/base/", "send": `{"method":"GET","url":"{api_url}/u/{message.to}/send?text={message.text}","auth":{"type":"hmac","header":"X-Sig","encoding":"base64","secret":"s","signed":"method + path"}}`}
	if r, err = send(get, channel.Outgoing{DeliveryID: "d1", To: channel.Address{Value: "a/../b?c#d"}, Text: "x&y=z"}); err != nil || r.ExternalID != "d1" ||
		!strings.HasPrefix(got, "GET /base/u/a%2F..%2Fb%3Fc%23d/send?text=x%26y%3Dz ") || len(strings.Fields(got)) != 3 {
		t.Errorf("%+v %v %s", r, err, got)
	}
	if _, err = send(get, channel.Outgoing{DeliveryID: "d1", To: channel.Address{Value: ".."}, Text: "x"}); !errors.As(err, &se) || se.Class != channel.NotHere {
		t.Errorf("an address that climbs: %v", err)
	}
	if _, err = send(channel.Settings{"send": `{"url":"` + server.URL + `/","headers":{"X-Text":"{message.text}"}}`}, channel.Outgoing{To: channel.Address{Value: "a"}, Text: "x\nEvil: y"}); !errors.As(err, &se) || se.Class != channel.Permanent {
		t.Errorf("a line break in a header: %v", err)
	}
}

// Our credential goes to the provider's hosts only.
func TestMediaHosts(t *testing.T) {
	a := account("s")
	a.Settings["receive"] = strings.Replace(a.Settings["receive"], `"media": {`, `"media": {"hosts": ["files.example"], `, 1)
	for remote, want := range map[string]string{
		"/v1/files/1": "https://chat.example/v1/files/1 Bearer " + webhooksim.Token, "https://files.example/1": "https://files.example/1 Bearer " + webhooksim.Token,
		"https://evil.example/1": "https://evil.example/1 ", "http://files.example/1": "http://files.example/1 ", "//evil.example/x": "https://chat.example//evil.example/x Bearer " + webhooksim.Token,
	} {
		var got string
		env := channel.Env{HTTP: doer(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String() + " " + r.Header.Get("Authorization")
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})}
		if _, err := New().FetchMedia(t.Context(), a, remote, env); err != nil || got != want {
			t.Errorf("%s: %q %v", remote, got, err)
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

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
		f.Add(raw, webhooksim.Receive, "item.text")
	}
	for _, e := range Examples() {
		for _, s := range e.Samples {
			f.Add([]byte(s.Body), e.Receive, "body.map(a, [a, a]).map(b, b + b).exists(x, x == x)")
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, receive, text string) {
		quoted, _ := json.Marshal(text)
		for _, settings := range []string{receive, `{"auth":{"type":"none"},"from":"'a'","id":"'1'","text":` + string(quoted) + `,"attachments":` + string(quoted) + `}`} {
			s := channel.Settings{"receive": settings}
			if New().Check(s) != nil {
				continue
			}
			r := &channel.Request{Body: raw, Header: http.Header{}, At: time.Unix(1764000000, 0)}
			_ = New().Verify(channel.Account{Settings: s}, r, r.At)
			begin := time.Now()
			trial := Try(s, r, r.At)
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
			if trial.Error != "" && len(trial.Events) > 0 {
				t.Error("an error and events")
			}
			channeltest.CheckEvents(t, trial.Events)
		}
	})
}

func BenchmarkWebhook(b *testing.B) {
	a := account("old-secret")
	body := []byte(`{"events":[{"kind":"text","id":9007199254740993,"time":1764000000,"user":{"id":77001,"name":"Erika Muster","locale":"de_DE"},"text":"Guten Tag, ich hätte eine Frage."}]}`)
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, body, time.Now()))
}
