package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

const password = "ein langes Passwort"

// house is a whole running server with simulated providers around it.
type house struct {
	*app.App
	t      testing.TB
	tg     *telegramsim.Sim
	mx     *emailsim.Mailbox
	logs   *lockedBuffer
	ahead  atomic.Int64 // how far the house's clock is ahead
	frozen atomic.Pointer[time.Time]
	owner  *client
	mail   string // channel ids
	bot    string
	n      atomic.Int64
}

type lockedBuffer struct {
	mu chan struct{}
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.b.String()
}

// each runs a test on every engine, each time in a new house.
func each(t *testing.T, fn func(t *testing.T, h *house), set ...func(*app.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); fn(t, open(t, "", set...)) })
	if os.Getenv("RUFWEITE_TEST_POSTGRES") != "" {
		t.Run("postgres", func(t *testing.T) { t.Parallel(); fn(t, open(t, dbtest.PostgresURL(t), set...)) })
	}
}

// one runs a test of what no engine has a part in on SQLite only.
func one(t *testing.T, fn func(t *testing.T, h *house), set ...func(*app.Config)) {
	t.Helper()
	t.Parallel()
	fn(t, open(t, "", set...))
}

func open(t testing.TB, postgres string, set ...func(*app.Config)) *house {
	t.Helper()
	h := &house{t: t, logs: &lockedBuffer{mu: make(chan struct{}, 1)}}
	c := app.Config{
		Dir: t.TempDir(), Postgres: postgres, Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0", AllowPrivate: true, SMTPPerMinute: 100000,
		Now: h.now, Log: slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	for _, f := range set {
		f(&c)
	}
	var err error
	if h.mx, err = emailsim.Start(emailsim.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.mx.Close)
	h.tg = telegramsim.New(telegramsim.Options{AnyWebhook: true, PerSecond: -1, PerChat: -1})
	bot := httptest.NewServer(h.tg)
	t.Cleanup(func() { h.tg.Close(); bot.CloseClientConnections(); bot.Close() })
	if h.App, err = app.Start(context.Background(), c); err != nil {
		t.Fatalf("start the house: %v", err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the house: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the house:\n%.8000s", h.logs)
		}
	})
	h.owner = h.member("default", "owner", "Olga Owner")
	settings := map[string]string(h.mx.Settings("service@firma.example"))
	h.mail = h.channel("default", "email", "Servicepostfach", settings)
	h.bot = h.channel("default", "telegram", "Bot", map[string]string{"token": h.tg.Token(), "api_url": bot.URL, "secret_token": "s3cret-new,s3cret-old", "mode": "poll"})
	return h
}

// now is the house's clock: real, but for the leaps of a test.
func (h *house) now() time.Time {
	t := time.Now()
	if f := h.frozen.Load(); f != nil {
		t = *f
	}
	return t.Add(time.Duration(h.ahead.Load()))
}

// freeze stops the house's clock: from here on only leaps move it.
func (h *house) freeze() {
	t := time.Now()
	h.frozen.Store(&t)
}

func (h *house) leap(d time.Duration) { h.ahead.Add(int64(d)) }

func (h *house) run(c app.Command) string {
	h.t.Helper()
	var b strings.Builder
	if err := h.Run(context.Background(), c, &b); err != nil {
		h.t.Fatalf("command: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	return lines[len(lines)-1]
}

func (h *house) channel(org, kind, name string, settings map[string]string) string {
	h.t.Helper()
	return h.run(app.Command{Org: org, ChannelAdd: &app.ChannelAdd{Kind: kind, Name: name, Set: settings}})
}

// member adds a member of staff and gives a client that acts for them by an API token.
func (h *house) member(org, role, name string) *client {
	h.t.Helper()
	mail := fmt.Sprintf("%s%d@%s.example", role, h.n.Add(1), org)
	id := h.run(app.Command{Org: org, UserAdd: &app.UserAdd{Email: mail, Name: name, Role: role, Password: password, Language: "de"}})
	return &client{h: h, id: id, email: mail, token: h.run(app.Command{Org: org, TokenCreate: &app.TokenCreate{Email: mail, Name: "test"}})}
}

// client is somebody who calls the API.
type client struct {
	h      *house
	id     string // staff id
	email  string
	token  string
	cookie string
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

func (c *client) request(method, path string, body any, header ...string) *http.Request {
	c.h.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	case string:
		r = strings.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			c.h.t.Fatal(err)
		}
		r = bytes.NewReader(j)
	}
	req, err := http.NewRequest(method, "http://"+c.h.HTTPAddr()+path, r)
	if err != nil {
		c.h.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.cookie != "" {
		req.Header.Set("Cookie", "rufweite_session="+c.cookie)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

var plainHTTP = &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

// do calls the server. path may leave /api/v1 out.
func (c *client) do(method, path string, body any, header ...string) *answer {
	c.h.t.Helper()
	if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/in/") && !strings.HasPrefix(path, "//") {
		path = "/api/v1" + path
	}
	path = strings.TrimPrefix(path, "/"+"/root")
	resp, err := plainHTTP.Do(c.request(method, path, body, header...))
	if err != nil {
		c.h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return &answer{c.h.t, method + " " + path, resp.StatusCode, resp.Header, b}
}

func (c *client) get(path string, header ...string) *answer {
	c.h.t.Helper()
	return c.do("GET", path, nil, header...)
}

// nobody calls without credentials.
func (h *house) nobody() *client { return &client{h: h} }

// desk signs in as a browser does and gives a client with a session cookie.
func (c *client) desk() *client {
	c.h.t.Helper()
	a := c.h.nobody().do("POST", "/session", map[string]string{"email": c.email, "password": password}).want(200)
	return &client{h: c.h, id: c.id, email: c.email, cookie: a.cookie()}
}

func (a *answer) cookie() string {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == "rufweite_session" {
			return c.Value
		}
	}
	return ""
}

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d\n%.1500s", a.what, a.status, status, a.body)
	}
	return a
}

// problem checks the form of an error.
func (a *answer) problem(status int, code string) object {
	a.t.Helper()
	a.want(status)
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		a.t.Errorf("%s: Content-Type %q, want application/problem+json", a.what, ct)
	}
	o := a.obj()
	if o.num("status") != float64(status) || o.str("title") == "" || o.str("detail") == "" {
		a.t.Errorf("%s: not a problem of RFC 9457: %s", a.what, a.body)
	}
	if code != "" && o.str("code") != code {
		a.t.Errorf("%s: code %q, want %q", a.what, o.str("code"), code)
	}
	return o
}

func (a *answer) obj() object {
	a.t.Helper()
	o := object{}
	if err := json.Unmarshal(a.body, &o); err != nil {
		a.t.Fatalf("%s: %v\n%.500s", a.what, err, a.body)
	}
	return o
}

func (a *answer) items() []object {
	a.t.Helper()
	return a.obj().list("items")
}

// object is a JSON object whose fields a test names.
type object map[string]any

func (o object) str(key string) string {
	v, ok := o.at(key).(string)
	if !ok {
		return ""
	}
	return v
}

func (o object) num(key string) float64 {
	v, ok := o.at(key).(float64)
	if !ok {
		return -1
	}
	return v
}

func (o object) yes(key string) bool { v, _ := o.at(key).(bool); return v }

func (o object) obj(key string) object {
	v, _ := o.at(key).(map[string]any)
	return v
}

// at follows a path such as "delivery.state".
func (o object) at(path string) any {
	var v any = map[string]any(o)
	for _, k := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func (o object) list(key string) []object {
	v, _ := o.at(key).([]any)
	out := make([]object, 0, len(v))
	for _, e := range v {
		m, _ := e.(map[string]any)
		out = append(out, m)
	}
	return out
}

// has fails unless the object has every one of the fields.
func (o object) has(t testing.TB, what string, fields ...string) {
	t.Helper()
	for _, f := range fields {
		if _, ok := o[f]; !ok {
			t.Errorf("%s has no field %q: %v", what, f, o)
		}
	}
}

// eventually waits for what happens behind the door.
func (h *house) eventually(what string, cond func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			h.t.Fatalf("this did not happen: %s", what)
		}
		<-tick.C
	}
}

// update is a Telegram update as the webhook gets it.
func (h *house) update(chat int64, name, text string) []byte {
	n := h.n.Add(1)
	b, err := json.Marshal(map[string]any{"update_id": 900000000 + n, "message": map[string]any{
		"message_id": n, "date": h.now().Unix(), "text": text,
		"chat": map[string]any{"id": chat, "type": "private", "first_name": name}, "from": map[string]any{"id": chat, "is_bot": false, "first_name": name, "language_code": "de"},
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

const secretHeader = "X-Telegram-Bot-Api-Secret-Token"

// chat lets a customer write to the bot by its webhook.
func (h *house) chat(chat int64, name, text string) {
	h.t.Helper()
	h.hook(h.bot, h.update(chat, name, text)).want(200)
}

func (h *house) hook(channel string, body []byte, header ...string) *answer {
	h.t.Helper()
	if len(header) == 0 {
		header = []string{secretHeader, "s3cret-new"}
	}
	return h.nobody().do("POST", "/in/telegram/"+channel, body, header...)
}

// conversation finds the newest conversation of the customer with that name.
func (c *client) conversation(customer string) object {
	c.h.t.Helper()
	var found object
	c.h.eventually("a conversation of "+customer, func() bool {
		for _, r := range c.get("/conversations?limit=200").want(200).items() {
			if r.str("customer.name") == customer {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func (c *client) messages(conversation string) []object {
	c.h.t.Helper()
	return c.get("/conversations/" + conversation + "/messages?limit=200").want(200).items()
}

// written lets a new customer write by Telegram and gives their conversation.
func (h *house) written(name, text string) object {
	h.t.Helper()
	h.chat(7000000000+h.n.Add(1), name, text)
	return h.owner.conversation(name)
}

func (h *house) customer(name, address string) *emailsim.Client {
	return &emailsim.Client{Name: name, Address: address, Server: h.SMTPAddr(), HTML: true}
}

// mailed lets a customer write a mail and gives the conversation.
func (h *house) mailed(name string, m emailsim.Message) object {
	h.t.Helper()
	if m.To == nil {
		m.To = []string{"service@firma.example"}
	}
	addr := fmt.Sprintf("kunde%d@kunde.example", h.n.Add(1))
	if _, err := h.customer(name, addr).Send(h.ctx(), m); err != nil {
		h.t.Fatalf("send mail: %v", err)
	}
	return h.owner.conversation(name)
}

func (h *house) ctx() context.Context { return h.t.Context() }

// delivered waits until the message has this state.
func (h *house) delivered(message, state string) object {
	h.t.Helper()
	var m object
	h.eventually("message is "+state, func() bool {
		m = h.owner.get("/messages/" + message).want(200).obj()
		return m.str("delivery.state") == state
	})
	return m
}

// otherOrg makes a second organisation with an owner.
func (h *house) otherOrg() *client {
	h.t.Helper()
	if err := h.DB.CreateOrg(h.ctx(), "other", "Andere GmbH", h.now().UnixMicro()); err != nil {
		h.t.Fatal(err)
	}
	return h.member("other", "owner", "Fremder Inhaber")
}

func id() string { return db.NewID() }

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func tokenFor(email string) app.Command {
	return app.Command{TokenCreate: &app.TokenCreate{Email: email, Name: "test"}}
}

func publicURL(c *app.Config) { c.PublicURL = "https://desk.example" }
