package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/sim"
)

// browser is somebody who looks at the demo over the network.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string
	http *http.Client
	// token, if set, is sent instead of the cookies: programs need not wait the five seconds in which a person can undo.
	token string
}

func (b *browser) ask(method, path string, in, out any, headers ...string) (status int, problem api.Problem) {
	b.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	if s, ok := in.(string); ok { // as it is
		body = []byte(s)
	}
	r, err := http.NewRequestWithContext(b.ctx, method, b.base+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Language", "de")
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode >= 400 {
		if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
			b.t.Errorf("%s %s: %d as %s: %s", method, path, resp.StatusCode, ct, raw)
		}
		if err := json.Unmarshal(raw, &problem); err != nil {
			b.t.Errorf("%s %s: %s", method, path, raw)
		}
		return resp.StatusCode, problem
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			b.t.Fatalf("%s %s: %s: %v", method, path, raw, err)
		}
	}
	return resp.StatusCode, problem
}

func (b *browser) get(path string, out any) {
	b.t.Helper()
	if status, p := b.ask("GET", path, nil, out); status != 200 {
		b.t.Fatalf("GET %s: %d %s", path, status, p.Detail)
	}
}

func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "demo")
	d, err := StartDemo(ctx, Config{Dir: dir, Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0"}, DemoConfig{
		Population:    sim.PopulationOptions{Seed: 11, Customers: 12, PaceMin: 40 * time.Millisecond, PaceMax: 80 * time.Millisecond, ReactMin: 10 * time.Millisecond, ReactMax: 40 * time.Millisecond, CorrectAfter: 20 * time.Millisecond, PerHour: 100000},
		Conversations: 8, Past: 5 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			_ = d.Close()
		}
	}()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, ctx: ctx, base: d.URL(), http: &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}

	t.Run("a link signs in", func(t *testing.T) {
		b.t = t
		for link, want := range map[string][2]string{"/demo/desk": {"/", "Miriam Berger"}, "/demo/play": {"/play", "Miriam Berger"}, "/demo/desk?as=leyla": {"/", "Leyla Demir"}} {
			r, err := http.NewRequestWithContext(ctx, "GET", b.base+link, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := b.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			var s api.SessionJSON
			b.get("/api/v1/session", &s)
			if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != want[0] || s.User.Name != want[1] || s.Org.Name != DemoOrg {
				t.Errorf("%s: %d to %s as %s of %s", link, resp.StatusCode, resp.Header.Get("Location"), s.User.Name, s.Org.Name)
			}
		}
	})

	t.Run("the past happened", func(t *testing.T) {
		b.t = t
		var list struct{ Items []api.RowJSON }
		b.get("/api/v1/conversations?limit=100", &list)
		out, early, parties := 0, 0, 0
		for _, r := range list.Items {
			if r.CreatedAt.Before(time.Now().Add(-24 * time.Hour)) {
				early++
			}
			var page struct{ Items []api.MessageJSON }
			b.get("/api/v1/conversations/"+r.ID+"/messages", &page)
			for _, m := range page.Items {
				if m.Delivery != nil && !m.Audience.Customer { // to an insurer, a moment ago
					parties++
				} else if m.Delivery != nil {
					out++
					if !slices.Contains([]channel.State{channel.Sent, channel.Delivered, channel.Read}, channel.State(m.Delivery.State)) {
						t.Errorf("an answer of the past is %s: %s", m.Delivery.State, m.Delivery.Error)
					}
				}
			}
		}
		if out < 4 || early < 2 || parties == 0 {
			t.Errorf("%d answers, %d conversations of earlier days, %d mails to third parties", out, early, parties)
		}
		for _, kind := range append(d.Providers.PhoneKinds(), sim.Email, sim.Telegram, sim.Web) { // what the desk says was sent has arrived
			for _, c := range d.Population.Customers() {
				for _, l := range d.Providers.Thread(c.ID, kind) {
					if l.In {
						out--
					}
				}
			}
		}
		if out != 0 {
			t.Errorf("the desk shows %d more answers than the providers got", out)
		}
	})

	for _, kind := range []channel.Kind{sim.Email, sim.Telegram} {
		t.Run("an answer by "+string(kind)+" and what comes back", func(t *testing.T) {
			b := &browser{t: t, ctx: ctx, base: b.base, http: b.http, token: d.tokens[2]}
			answerAndWait(t, d, b, kind)
		})
	}
	t.Run("the visitor plays a customer", func(t *testing.T) {
		b.t = t
		play(t, d, b)
	})

	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	closed = true
	b.http.CloseIdleConnections()
	stacks := make([]byte, 4<<20)
	for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, "internal/sim.") || strings.Contains(g, "app.(*Demo)") || strings.Contains(g, "population.Run") {
			t.Errorf("still running after Close:\n%s", g)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) > 0 {
		t.Errorf("beside the data there is %v (%v)", left, err)
	}
}

// answerAndWait answers somebody who waits, sees the answer arrive at the provider with the right threading, and the
// customer's reaction come back into the same conversation.
func answerAndWait(t *testing.T, d *Demo, b *browser, kind channel.Kind) {
	var row api.RowJSON
	found := d.Providers.Wait(b.ctx, func() bool { // customers keep writing
		var list struct{ Items []api.RowJSON }
		b.get("/api/v1/conversations?waiting=true&status=open&channel_kind="+string(kind), &list)
		for _, r := range list.Items {
			for id, k := range d.Population.Waiting() {
				for _, l := range d.Providers.Thread(id, kind) {
					if k == kind && !l.In && r.Last.Text != "" && strings.HasPrefix(strings.Join(strings.Fields(l.Text), " "), strings.TrimSuffix(r.Last.Text, "…")) {
						row = r
						return true
					}
				}
			}
		}
		return false
	})
	if !found {
		t.Fatal("nobody waits on this channel")
	}
	var c api.ConversationJSON
	b.get("/api/v1/conversations/"+row.ID, &c)
	if c.Reply == nil || c.Reply.ChannelKind != string(kind) {
		t.Fatalf("the desk would answer by %+v", c.Reply)
	}
	var before struct{ Items []api.MessageJSON }
	b.get("/api/v1/conversations/"+row.ID+"/messages", &before)
	text := "Guten Tag, können Sie mir bitte ein Foto schicken und sagen, wann es war? (" + string(kind) + ")"
	var sent api.MessageJSON
	if status, p := b.ask("POST", "/api/v1/conversations/"+row.ID+"/messages", map[string]string{"text": text, "client_id": "0190d1de-0000-7000-8000-00000000000" + fmt.Sprint(len(kind)%10)}, &sent); status != 201 {
		t.Fatalf("%d %s", status, p.Detail)
	}
	var who string
	var arrived sim.Line
	if !d.Providers.Wait(b.ctx, func() bool {
		for _, k := range d.Population.Customers() {
			for _, l := range d.Providers.Thread(k.ID, kind) {
				if l.In && strings.Contains(l.Text, text) {
					who, arrived = k.ID, l
				}
			}
		}
		return who != ""
	}) {
		t.Fatal("the answer did not arrive")
	}
	if arrived.Address != c.Reply.Address {
		t.Errorf("it arrived at %s, not at %s", arrived.Address, c.Reply.Address)
	}
	if kind == sim.Email { // RFC 5322 §3.6.4: it answers the customer's last mail, or one that came while it was on its way
		mails := func(list []api.MessageJSON) (out []string) {
			for _, m := range list {
				if m.Direction == "in" && m.Author == "customer" && m.Channel != nil && m.Channel.Kind == string(kind) {
					out = append(out, m.ExternalID)
				}
			}
			return out
		}
		var after struct{ Items []api.MessageJSON }
		b.get("/api/v1/conversations/"+row.ID+"/messages", &after)
		last := mails(after.Items)[len(mails(before.Items))-1:]
		if !slices.Contains(last, arrived.Parent) || arrived.ReplyTo == "" || !strings.HasPrefix(arrived.From, "Leyla Demir") {
			t.Errorf("it answers %q, not %q, from %s", arrived.Parent, last, arrived.From)
		}
	}
	var reaction sim.Line
	serial := func(l sim.Line) (n int) { n, _ = strconv.Atoi(l.ID[1:]); return n }
	if !d.Providers.Wait(b.ctx, func() bool {
		for _, k := range []channel.Kind{sim.Email, sim.Telegram} { // who uses both may go on by the other
			for _, l := range d.Providers.Thread(who, k) {
				if !l.In && serial(l) > serial(arrived) && (k == sim.Telegram || l.ReplyTo == arrived.ID) {
					reaction = l
					return true
				}
			}
		}
		return false
	}) {
		t.Fatal("the customer did not react")
	}
	ref := reaction.Ref
	if reaction.Channel == sim.Telegram {
		ref = reaction.Address + ":" + ref
	}
	sub, err := d.Hub.Subscribe(b.ctx, "default", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for {
		var page struct{ Items []api.MessageJSON }
		b.get("/api/v1/conversations/"+row.ID+"/messages", &page)
		for _, m := range page.Items {
			if m.ExternalID == ref {
				if m.Direction != "in" || len(m.Attachments) < len(reaction.Files) {
					t.Errorf("it came back as %+v", m)
				}
				return
			}
		}
		if _, err := sub.Next(b.ctx); err != nil {
			t.Fatalf("the reaction %s is not in conversation %s: %v", ref, row.ID, err)
		}
	}
}

// play is what the page for visitors does.
func play(t *testing.T, d *Demo, b *browser) {
	var people struct {
		Items []struct {
			ID, Name string
			Channels []string
		}
	}
	b.get("/demo/api/customers", &people)
	if len(people.Items) != 12 || people.Items[2].ID != "k03" || !strings.HasPrefix(strings.Join(people.Items[2].Channels, " ")+" ", "email telegram webchat whatsapp ") {
		t.Fatalf("the people are %+v", people.Items)
	}
	r, err := http.NewRequestWithContext(b.ctx, "GET", b.base+"/demo/api/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	photo := base64.StdEncoding.EncodeToString(sim.Picture("auto", 1))
	for _, in := range []map[string]any{
		{"customer": "k03", "channel": "email", "subject": "Gespielt\r\nBcc: x@y.example", "text": "Grüße vom Besucher"},
		{"customer": "k03", "channel": "telegram", "text": "mit Bild", "file": map[string]string{"name": "../../Auto.jpg", "media_type": "image/jpeg", "base64": photo}},
	} {
		if status, p := b.ask("POST", "/demo/api/write", in, nil); status != 202 {
			t.Fatalf("%v: %d %s", in, status, p.Detail)
		}
	}
	news := map[string]bool{}
	for s := bufio.NewScanner(stream.Body); len(news) < 2 && s.Scan(); {
		if data, ok := strings.CutPrefix(s.Text(), "data: "); ok && strings.Contains(data, `"k03"`) {
			news[data] = true
		}
	}
	if !news[`{"customer":"k03","channel":"email"}`] || !news[`{"customer":"k03","channel":"telegram"}`] {
		t.Errorf("the stream told %v", news)
	}
	var thread struct {
		Items []struct {
			ID, Direction, Text, Subject string
			Attachments                  []struct{ Name, URL, Media_Type string } //nolint:revive // as in JSON
		}
	}
	b.get("/demo/api/threads?customer=k03&channel=telegram", &thread)
	last := thread.Items[len(thread.Items)-1]
	if last.Direction != "out" || last.Text != "mit Bild" || len(last.Attachments) != 1 {
		t.Fatalf("the chat ends with %+v", last)
	}
	r, err = http.NewRequestWithContext(b.ctx, "GET", b.base+last.Attachments[0].URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || !bytes.Equal(got, sim.Picture("auto", 1)) || resp.Header.Get("Content-Type") != "image/jpeg" || strings.Contains(resp.Header.Get("Content-Disposition"), "/") {
		t.Errorf("the picture came as %v, %d bytes, %v", resp.Header, len(got), err)
	}

	for name, test := range map[string]struct {
		in     any
		status int
		code   string
	}{
		"no JSON":          {"{", 400, "bad_json"},
		"another type":     {map[string]any{"customer": 5}, 400, "bad_json"},
		"nobody":           {map[string]any{"customer": "k99", "channel": "email", "text": "x"}, 404, "not_found"},
		"another channel":  {map[string]any{"customer": "k01", "channel": "telegram", "text": "x"}, 422, "no_channel"},
		"no channel":       {map[string]any{"customer": "k01", "text": "x"}, 422, "no_channel"},
		"nothing":          {map[string]any{"customer": "k01", "channel": "email", "text": " "}, 422, "empty"},
		"foreign message":  {map[string]any{"customer": "k01", "channel": "email", "text": "x", "reply_to": last.ID}, 422, "no_such_message"},
		"too long":         {map[string]any{"customer": "k02", "channel": "telegram", "text": strings.Repeat("ä", 4097)}, 422, "too_long"},
		"no base64":        {map[string]any{"customer": "k02", "channel": "telegram", "file": map[string]string{"name": "a", "base64": "?"}}, 422, "bad_file"},
		"an enormous file": {map[string]any{"customer": "k02", "channel": "telegram", "file": map[string]string{"name": "a", "base64": strings.Repeat("A", 15<<20)}}, 413, "too_large"},
	} {
		status, p := b.ask("POST", "/demo/api/write", test.in, nil)
		if status != test.status || p.Code != test.code || len(p.Detail) < 10 {
			t.Errorf("%s: %d %s %q", name, status, p.Code, p.Detail)
		}
	}
	if status, p := b.ask("POST", "/demo/api/write", map[string]any{"customer": "k01", "channel": "email", "text": "x"}, nil, "Sec-Fetch-Site", "cross-site"); status != 403 || p.Code != "cross_origin" {
		t.Errorf("from another site: %d %s", status, p.Code)
	}
	for path, status := range map[string]int{
		"/demo/api/threads":                              404,
		"/demo/api/threads?customer=k01&channel=fax":     422,
		"/demo/api/files/k03/" + last.ID + "/7":          404,
		"/demo/api/files/k01/" + last.ID + "/0":          404,
		"/demo/api/files/k03/" + last.ID + "/0%2e%2e%2f": 404,
		"/demo/api/nothing":                              404,
		"/demo/nothing":                                  404,
	} {
		if got, _ := b.ask("GET", path, nil, nil); got != status {
			t.Errorf("%s: %d, not %d", path, got, status)
		}
	}
	// Another language, and the visitor's mail as the desk has it.
	if _, p := b.ask("GET", "/demo/api/threads", nil, nil, "Accept-Language", "en-GB"); p.Detail != "There is no such customer in the demo." {
		t.Errorf("in English: %q", p.Detail)
	}
	sub, err := d.Hub.Subscribe(b.ctx, "default", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for {
		var list struct{ Items []api.RowJSON }
		b.get("/api/v1/conversations?status=open", &list)
		if slices.ContainsFunc(list.Items, func(r api.RowJSON) bool { return r.Subject == "Gespielt Bcc: x@y.example" }) {
			break
		}
		if _, err := sub.Next(b.ctx); err != nil {
			t.Fatalf("the visitor's mail is not on the desk: %v", err)
		}
	}
}

func TestDemoPagesAreOnlyInTheDemo(t *testing.T) {
	a, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, path := range []string{"/demo/desk", "/demo/api/customers", "/demo/api/live"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", a.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusSeeOther || len(resp.Header.Values("Set-Cookie")) > 0 || strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			t.Errorf("%s answers outside the demo: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
}
