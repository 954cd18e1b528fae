package api_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/vault"
)

// received is what the channel's account says came in.
func (h *house) received(ch string) (b intake.Balance) {
	h.t.Helper()
	list, err := intake.Balances(h.ctx(), h.DB.Org("default"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, v := range list {
		if v.Channel == ch {
			b = v
		}
		if !v.OK() {
			h.t.Errorf("the balance does not add up: %+v", v)
		}
	}
	return b
}

func TestWebhookAttacks(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		// Who is not the provider is refused, and leaves nothing behind.
		body := h.update(4711, "Angreifer", "unterschoben")
		for what, header := range map[string][]string{
			"one byte off": {secretHeader, "s3cret-neW"}, "one byte short": {secretHeader, "s3cret-ne"}, "one byte more": {secretHeader, "s3cret-new "[:10] + "x"}, "empty": {secretHeader, ""}, "missing": {"X-Other", "1"},
			"both in one": {secretHeader, "s3cret-new,s3cret-old"}, "the bot's token": {secretHeader, h.tg.Token()}, "in another header": {"Authorization", "Bearer s3cret-new"},
		} {
			if a := h.hook(h.bot, body, header...); a.status != 401 {
				t.Errorf("%s: %d", what, a.status)
			}
		}
		two := h.nobody().request("POST", "/in/telegram/"+h.bot, body)
		two.Header[secretHeader] = []string{"falsch", "s3cret-new"}
		if resp, err := plainHTTP.Do(two); err != nil || resp.StatusCode != 401 {
			t.Errorf("two secrets in one request: %v %v", resp, err)
		} else {
			_ = resp.Body.Close()
		}
		// Another organisation's secret opens only its own door.
		h.otherOrg()
		foreign := h.channel("other", "telegram", "Fremder Bot", map[string]string{"token": "9:fremd", "secret_token": "fremdes-geheimnis", "api_url": "http://127.0.0.1:1", "mode": "webhook"})
		if a := h.hook(h.bot, body, secretHeader, "fremdes-geheimnis"); a.status != 401 {
			t.Errorf("a foreign secret: %d", a.status)
		}
		if a := h.hook(foreign, body, secretHeader, "s3cret-new"); a.status != 401 {
			t.Errorf("our secret at the foreign door: %d", a.status)
		}
		for what, path := range map[string]string{"unknown id": "/in/telegram/" + id(), "wrong kind": "/in/email/" + h.bot, "a mailbox has no webhook": "/in/email/" + h.mail, "mailbox as bot": "/in/telegram/" + h.mail, "unknown kind": "/in/pigeon/" + h.bot} {
			if a := h.nobody().do("POST", path, body, secretHeader, "s3cret-new"); a.status != 404 {
				t.Errorf("%s: %d", what, a.status)
			}
		}
		if a := h.nobody().do("GET", "/in/telegram/"+h.bot, nil); a.status != 401 {
			t.Errorf("GET: %d", a.status)
		}
		if b := h.received(h.bot); b.Received != 0 || b.Duplicates != 0 {
			t.Errorf("refused requests were kept: %+v", b)
		}
		var raws int
		if err := h.DB.Org("default").Row(h.ctx(), `SELECT COUNT(*) FROM intake_raw WHERE org = $1`).Scan(&raws); err != nil || raws != 0 {
			t.Errorf("%d raw bodies of refused requests, %v", raws, err)
		}

		// During rotation both secrets hold.
		h.hook(h.bot, h.update(1, "Neu Rotiert", "mit dem neuen"), secretHeader, "s3cret-new").want(200)
		old := h.update(2, "Alt Rotiert", "mit dem alten")
		h.hook(h.bot, old, secretHeader, "s3cret-old").want(200)
		h.owner.conversation("Neu Rotiert")
		r := h.owner.conversation("Alt Rotiert")

		// A replay is acknowledged and has no effect; at the same time or later, re-serialised or not.
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { h.hook(h.bot, old).want(200) })
		}
		wg.Wait()
		var v any
		dec := json.NewDecoder(bytes.NewReader(old))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		pretty, _ := json.MarshalIndent(v, "", "  ")
		h.hook(h.bot, pretty).want(200)
		if b := h.received(h.bot); b.Received != 2 || b.Duplicates != 11 {
			t.Errorf("after replays: %+v", b)
		}
		if m := h.owner.messages(r.str("id")); len(m) != 1 {
			t.Errorf("%d messages after replays", len(m))
		}

		// Too large: refused before it is read to the end, nothing kept.
		huge := bytes.Repeat([]byte("x"), 17<<20)
		if a := h.hook(h.bot, huge); a.status != 413 {
			t.Errorf("too large: %d", a.status)
		}
		// Large but not too large goes by way of a file.
		h.hook(h.bot, h.update(3, "Viel Redner", strings.Repeat("ä", 100000))).want(200)
		if m := h.owner.messages(h.owner.conversation("Viel Redner").str("id")); len([]rune(m[0].str("text"))) != 100000 {
			t.Errorf("%d characters of a long text", len([]rune(m[0].str("text"))))
		}

		// Not JSON, but from the provider: acknowledged, and shown to a person.
		for i, junk := range []string{"{", "kein JSON \xff\x00 <script>alert(1)</script>", `{"update_id":5,"message":{"message_id":"x","chat":5}}`, `[]`, `{"update_id":6,"poll_answer":{}}`} {
			h.hook(h.bot, []byte(junk)).want(200)
			want := i + 1
			h.eventually("work items", func() bool { return len(h.owner.get("/work-items").items()) == want })
		}
		h.hook(h.bot, []byte("{")).want(200) // the same again is a duplicate
		items := h.owner.get("/work-items").want(200).items()
		if len(items) != 5 {
			t.Fatalf("%d work items", len(items))
		}
		items[0].has(t, "work item", "id", "channel", "reason", "error", "received_at", "sender", "attempts", "state", "size")
		for _, i := range items {
			d := h.owner.get("/work-items/" + i.str("id")).want(200).obj()
			d.has(t, "work item", "raw", "raw_url", "raw_type", "events")
			if i.str("state") != "open" || i.str("reason") == "" || i.str("channel.id") != h.bot {
				t.Errorf("work item: %v", i)
			}
			raw := h.owner.get(d.str("raw_url")).want(200)
			if !strings.HasPrefix(raw.header.Get("Content-Disposition"), "attachment") || raw.header.Get("Content-Type") != "application/octet-stream" || raw.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("raw: %v", raw.header)
			}
			if strings.Contains(d.str("raw"), "script") && !bytes.Contains(raw.body, []byte("\xff\x00")) {
				t.Errorf("raw body changed: %q", raw.body)
			}
		}
		if c := h.owner.get("/conversations/counts").obj(); c.num("work_items") != 5 {
			t.Errorf("counts: %v", c)
		}
		first := items[0].str("id")
		if a := h.owner.do("POST", "/work-items/"+first+"/retry", nil).want(200).obj(); a.str("state") != "open" || a.num("attempts") != 1 {
			t.Errorf("retried: %v", a)
		}
		if a := h.owner.do("POST", "/work-items/"+first+"/dismiss", nil).want(200).obj(); a.str("state") != "dismissed" {
			t.Errorf("dismissed: %v", a)
		}
		h.owner.do("POST", "/work-items/"+first+"/retry", nil).problem(404, "not_found")
		h.owner.do("POST", "/work-items/"+first+"/dismiss", nil).problem(404, "not_found")
		if b := h.received(h.bot); b.Quarantined != 4 {
			t.Errorf("balance: %+v", b)
		}
		// A channel that is switched off or red still takes what comes.
		h.owner.do("PATCH", "/channels/"+h.bot, map[string]any{"enabled": false}).want(200)
		h.chat(77, "Trotzdem Da", "noch da?")
		h.owner.conversation("Trotzdem Da")
		h.owner.do("DELETE", "/channels/"+h.bot, nil).want(204)
		if a := h.hook(h.bot, h.update(78, "Zu Spät", "x")); a.status != 404 {
			t.Errorf("a deleted channel: %d", a.status)
		}
	})
}

// probe is a driver that signs body and URL, answers challenges, and fails as told.
type probe struct{}

const probeKind channel.Kind = "probe"

func (probe) Kind() channel.Kind                 { return probeKind }
func (probe) Title() channel.Text                { return channel.Text{DE: "Probe", EN: "Probe"} }
func (probe) Capabilities() channel.Capabilities { return channel.Capabilities{} }
func (probe) Settings() []channel.Setting {
	return []channel.Setting{{Key: "secret", Required: true, Secret: true}}
}
func (probe) Check(channel.Settings) error { return nil }

func probeSign(secret, url string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(url))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

func (probe) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	if r.Header.Get("X-Crash") != "" {
		panic("verify crashed")
	}
	for _, u := range r.URLs {
		if hmac.Equal([]byte(r.Header.Get("X-Sign")), []byte(probeSign(a.Settings["secret"], u, r.Body))) {
			return nil
		}
	}
	return channel.ErrUnauthentic
}

func (probe) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	if c := r.Query.Get("hub.challenge"); c != "" {
		return nil, channel.Reply{Type: "text/plain", Body: []byte(c)}, nil
	}
	if bytes.Contains(r.Body, []byte("crash")) {
		panic("parse crashed")
	}
	if bytes.Contains(r.Body, []byte("nonsense")) {
		return nil, channel.Reply{}, errors.New("this is nonsense")
	}
	return []channel.Event{{Key: "msg:" + string(r.Body), Type: channel.MessageEvent, Sender: channel.Address{Value: "+491", Name: "Probe"}, Message: &channel.Message{ExternalID: string(r.Body), Text: r.Method + " " + r.Path + " " + string(r.Body)}}},
		channel.Reply{Status: 202, Type: "application/xml", Body: []byte("<Response/>")}, nil
}

// door is the front door alone, with a driver of the test's and a database that the test can take away.
func door(t *testing.T, publicURL string) (srv *httptest.Server, d *db.DB, ch account.Channel, in *intake.Intake) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	d, err := db.Open(ctx, db.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.CreateOrg(ctx, "default", "Test", 1); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := account.New(ctx, d, v, []channel.Driver{probe{}}, log)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(dir + "/blobs")
	if err != nil {
		t.Fatal(err)
	}
	env := func(channel.Account) channel.Env { return channel.Env{} }
	in = intake.New(intake.Options{DB: d, Accounts: accounts, Blobs: blobs, Env: env, Now: time.Now, Node: "n", Log: log})
	s := api.New(api.Options{DB: d, Accounts: accounts, Auth: auth.New(d, v, time.Now), Blobs: blobs, Intake: in, Outbox: outbox.New(d, accounts, blobs, env, time.Now, "n", log), Log: log, Now: time.Now, URLKey: []byte("k"), PublicURL: publicURL})
	var wg sync.WaitGroup
	wg.Go(func() { _ = in.Run(ctx) })
	srv = httptest.NewServer(s.Handler())
	t.Cleanup(func() { srv.Close(); cancel(); wg.Wait(); _ = d.Close() })
	if ch, err = accounts.Create(ctx, "default", probeKind, "Probe", channel.Settings{"secret": "s"}, "en", time.Now()); err != nil {
		t.Fatal(err)
	}
	return srv, d, ch, in
}

func TestWebhookDoor(t *testing.T) {
	t.Parallel()
	srv, d, ch, in := door(t, "https://desk.example/")
	send := func(method, rest, body, signedURL string, header ...string) *answer {
		t.Helper()
		path := "/in/probe/" + ch.ID + rest
		req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if signedURL == "" {
			signedURL = srv.URL
		}
		req.Header.Set("X-Sign", probeSign("s", signedURL+path, []byte(body)))
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := plainHTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return &answer{t, method + " " + path, resp.StatusCode, resp.Header, b}
	}
	o := d.Org("default")
	work := func() int {
		n, err := intake.CountWorkItems(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	// Any method, with a path, signed under its own or the public URL; the driver's answer is given.
	for _, u := range []string{"", "https://desk.example"} {
		a := send("PUT", "/rooms/7", "put via "+u, u).want(202)
		if string(a.body) != "<Response/>" || a.header.Get("Content-Type") != "application/xml" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("answer: %s %v", a.body, a.header)
		}
	}
	// A foreign host, or forwarded headers from nobody in particular, do not change what was signed.
	send("POST", "", "x", "https://angreifer.example").want(401)
	send("POST", "", "x", "https://angreifer.example", "X-Forwarded-Host", "angreifer.example", "X-Forwarded-Proto", "https").want(401)
	if a := send("GET", "?hub.challenge=4711", "", "").want(200); string(a.body) != "4711" {
		t.Errorf("challenge: %s", a.body)
	}
	// The signature is over the bytes as they came.
	req, _ := http.NewRequest("POST", srv.URL+"/in/probe/"+ch.ID, strings.NewReader(`{"a": 1}`))
	req.Header.Set("X-Sign", probeSign("s", srv.URL+"/in/probe/"+ch.ID, []byte(`{"a":1}`)))
	if resp, err := plainHTTP.Do(req); err != nil || resp.StatusCode != 401 {
		t.Errorf("re-serialised: %v %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}
	if n := work(); n != 0 {
		t.Errorf("%d work items so far", n)
	}
	// A driver that crashes or understands nothing loses nothing.
	send("POST", "", "please crash", "").want(200)
	send("POST", "", "nonsense", "").want(200)
	if n := work(); n != 2 {
		t.Errorf("%d work items after a crash and nonsense", n)
	}
	items, err := intake.WorkItems(context.Background(), o, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		if raw, _, err := in.Raw(context.Background(), o, i.Raw); err != nil || (string(raw) != "please crash" && string(raw) != "nonsense") {
			t.Errorf("raw: %q %v", raw, err)
		}
	}
	// Crashed before anything was proved: nothing is kept, the provider comes again.
	send("POST", "", "x", "", "X-Crash", "1").want(500)
	// The database is gone: nothing is acknowledged.
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	a := send("POST", "", "too late", "").want(503)
	if a.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	ch.ID = id() // unknown: the database has to be asked
	a = send("POST", "", "too late", "").want(503)
	if a.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After at the look-up")
	}
}

// TestProxy: X-Forwarded-* counts only from trusted proxies.
func TestProxy(t *testing.T) {
	h := open(t, "", func(c *app.Config) { c.PublicURL = "" })
	a := h.nobody().do("POST", "/session", map[string]string{"email": h.owner.email, "password": password}, "X-Forwarded-Proto", "https").want(200)
	if strings.Contains(a.header.Get("Set-Cookie"), "Secure") || a.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("an untrusted X-Forwarded-Proto was believed: %v", a.header)
	}
	if u := h.owner.get("/channels/"+h.bot, "X-Forwarded-Host", "angreifer.example").obj().str("webhook_url"); strings.Contains(u, "angreifer") {
		t.Errorf("webhook_url %q", u)
	}
	if u := h.owner.do("POST", "/staff", map[string]any{"name": "x", "email": "x@y.example"}, "X-Forwarded-Host", "angreifer.example").obj().str("invite_url"); strings.Contains(u, "angreifer") {
		t.Errorf("invite_url %q", u)
	}
	trusted := open(t, "", func(c *app.Config) { c.TrustedProxies = prefixes("127.0.0.0/8") })
	a = trusted.nobody().do("POST", "/session", map[string]string{"email": trusted.owner.email, "password": password}, "X-Forwarded-Proto", "https").want(200)
	if !strings.Contains(a.header.Get("Set-Cookie"), "Secure") || a.header.Get("Strict-Transport-Security") == "" {
		t.Errorf("a trusted proxy's X-Forwarded-Proto was not believed: %v", a.header)
	}
	if u := trusted.owner.get("/channels/"+trusted.bot, "X-Forwarded-Host", "desk.example", "X-Forwarded-Proto", "https").obj().str("webhook_url"); !strings.HasPrefix(u, "https://desk.example/in/") {
		t.Errorf("webhook_url %q", u)
	}
}
