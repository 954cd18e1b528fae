package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/rufweite/rufweite/internal/db"
)

// stream is an open live stream, by WebSocket or server-sent events.
type stream struct {
	t     testing.TB
	next  func() (object, error)
	close func()
}

var errEnded = errors.New("the stream ended")

func (c *client) socket(query string, header ...string) (*stream, *http.Response, error) {
	c.h.t.Helper()
	req := c.request("GET", "/api/v1/live"+query, nil, header...)
	host := req.Header.Get("Host")
	req.Header.Del("Host")
	ws, resp, err := websocket.Dial(c.h.ctx(), "ws://"+c.h.HTTPAddr()+"/api/v1/live"+query, &websocket.DialOptions{HTTPHeader: req.Header, Host: host})
	if err != nil {
		return nil, resp, err
	}
	ws.SetReadLimit(1 << 20)
	return &stream{c.h.t, func() (object, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		kind, b, err := ws.Read(ctx)
		if err != nil {
			if websocket.CloseStatus(err) != -1 {
				return object{"close": float64(websocket.CloseStatus(err))}, errEnded
			}
			return nil, err
		}
		if kind != websocket.MessageText {
			return nil, fmt.Errorf("a binary frame")
		}
		o := object{}
		return o, json.Unmarshal(b, &o)
	}, func() { _ = ws.CloseNow() }}, resp, nil
}

func (c *client) events(query string, header ...string) (*stream, *http.Response) {
	c.h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	req := c.request("GET", "/api/v1/live"+query, nil, append([]string{"Accept", "text/event-stream"}, header...)...).WithContext(ctx)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		cancel()
		c.h.t.Fatal(err)
	}
	r := bufio.NewReader(resp.Body)
	return &stream{c.h.t, func() (object, error) {
		seq := ""
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return nil, errEnded
			}
			line = strings.TrimRight(line, "\n")
			switch {
			case strings.HasPrefix(line, "id: "):
				seq = line[4:]
			case strings.HasPrefix(line, "data: "):
				o := object{}
				if err := json.Unmarshal([]byte(line[6:]), &o); err != nil {
					return nil, err
				}
				if _, stored := o["seq"]; stored && seq != strconv.FormatInt(int64(o.num("seq")), 10) {
					return nil, fmt.Errorf("id %q of frame %v", seq, o)
				}
				return o, nil
			}
		}
	}, func() { cancel(); _ = resp.Body.Close() }}, resp
}

func (s *stream) want() object {
	s.t.Helper()
	o, err := s.next()
	if err != nil {
		s.t.Fatalf("live: %v", err)
	}
	return o
}

// until reads up to the frame that fits and gives all that came before it, too.
func (s *stream) until(what string, fits func(object) bool) (all []object) {
	s.t.Helper()
	for range 5000 {
		o, err := s.next()
		if err != nil {
			s.t.Fatalf("live: no %s: %v; got %v", what, err, all)
		}
		all = append(all, o)
		if fits(o) {
			return all
		}
	}
	s.t.Fatalf("live: no %s", what)
	return nil
}

// both runs a test with either transport.
func (c *client) both(fn func(name string, open func(query string) *stream)) {
	fn("websocket", func(q string) *stream {
		c.h.t.Helper()
		s, _, err := c.socket(q)
		if err != nil {
			c.h.t.Fatal(err)
		}
		return s
	})
	fn("sse", func(q string) *stream { s, _ := c.events(q); return s })
}

func kind(k, id string) func(object) bool {
	return func(o object) bool { return o.str("kind") == k && (id == "" || o.str("id") == id) }
}

func TestLive(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, c := range []*client{h.owner, h.owner.desk()} {
			c.both(func(name string, open func(string) *stream) {
				s := open("")
				defer s.close()
				hello := s.want()
				if hello.str("kind") != "hello" || hello.num("seq") < 0 || len(hello) != 2 {
					t.Errorf("%s: first frame %v", name, hello)
				}
				who := name + id()
				h.chat(8000000000+h.n.Add(1), who, "Hallo")
				var conv object
				said := map[string]object{} // by conversation
				last := hello.num("seq")
				s.until("conversation and message", func(o object) bool {
					if seq := o.num("seq"); seq != last+1 {
						t.Errorf("%s: seq %v after %v", name, seq, last)
					} else {
						last = seq
					}
					switch o.str("kind") {
					case "conversation":
						if o.str("conversation.customer.name") == who { // others go on meanwhile
							conv = o
						}
					case "message":
						said[o.str("conversation_id")] = o
					}
					return conv != nil && said[conv.str("id")] != nil
				})
				msg := said[conv.str("id")]
				row := conv.obj("conversation")
				if row.str("id") != conv.str("id") || row.str("customer.name") == "" || row.str("last_message.text") != "Hallo" || row.str("channel_kind") != "telegram" {
					t.Errorf("%s: conversation frame %v", name, conv)
				}
				if msg.str("conversation_id") != conv.str("id") || h.owner.get("/messages/"+msg.str("id")).want(200).obj().str("text") != "Hallo" {
					t.Errorf("%s: message frame %v", name, msg)
				}
				m := h.owner.do("POST", "/conversations/"+conv.str("id")+"/messages", map[string]any{"text": "Antwort"}).want(201).obj()
				all := s.until("delivery", kind("delivery", m.str("delivery.id")))
				d := all[len(all)-1]
				if d.str("message_id") != m.str("id") || d.str("conversation_id") != conv.str("id") || d.str("state") == "" || d.str("id") != m.str("delivery.id") {
					t.Errorf("%s: delivery frame %v", name, d)
				}
				h.owner.do("PATCH", "/channels/"+h.bot, map[string]any{"name": "Bot " + id()}).want(200)
				s.until("channel", kind("channel", h.bot))
				cust := h.owner.do("POST", "/customers", map[string]any{"name": "Neu"}).want(201).obj().str("id")
				s.until("customer", kind("customer", cust))
				h.hook(h.bot, []byte("kaputt"+id())).want(200)
				s.until("work item", kind("work_item", ""))
				h.Hub.Now("default", map[string]string{"kind": "typing", "by": "customer"})
				s.until("typing", kind("typing", ""))
			})
		}
	})
}

// TestLiveResume: who was away goes on where they were: every frame once, in order, over 500 and more.
func TestLiveResume(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.owner.both(func(name string, open func(string) *stream) {
			s := open("")
			start := int64(s.want().num("seq"))
			h.chat(8100000001, "Viel Schreiber", name)
			s.until("first", func(o object) bool { return o.str("kind") == "message" })
			s.close()
			err := h.DB.Org("default").Write(h.ctx(), func(tx *db.Tx) error {
				for i := range 1300 { // more than one read of the feed
					tx.Emit("staff", fmt.Sprintf("s%d", i), nil)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			head, err := h.DB.Org("default").FeedHead(h.ctx())
			if err != nil {
				t.Fatal(err)
			}
			for _, after := range []int64{start, start + 1, head - 600, head - 1} {
				s := open("?after=" + strconv.FormatInt(after, 10))
				for want := after + 1; want <= head; want++ {
					if o := s.want(); int64(o.num("seq")) != want {
						t.Fatalf("%s: after %d: seq %v, want %d", name, after, o["seq"], want)
					}
				}
				// and on with what happens now
				h.owner.do("POST", "/customers", map[string]any{"name": "Jetzt"}).want(201)
				if o := s.want(); int64(o.num("seq")) != head+1 {
					t.Fatalf("%s: now: %v, want seq %d", name, o, head+1)
				}
				head++
				s.close()
			}
		})
		// EventSource says where it was by Last-Event-ID, whatever the URL says.
		head, err := h.DB.Org("default").FeedHead(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		s, resp := h.owner.events("?after=0", "Last-Event-ID", strconv.FormatInt(head-3, 10))
		if o := s.want(); int64(o.num("seq")) != head-2 {
			t.Errorf("Last-Event-ID: %v, want %d", o, head-2)
		}
		if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers: %v", resp.Header)
		}
		s.close()
		for _, bad := range []string{"x", "-1", "1.5", "9999999999999999999999"} {
			h.owner.get("/live?after="+bad).problem(400, "bad_cursor")
		}
		// A cursor that is too old, or from somewhere else: reload, and go on from there.
		h.leap(8 * 24 * time.Hour)
		h.owner.token = h.run(tokenFor(h.owner.email)) // tokens do not end; a fresh one all the same
		if err := h.DB.Org("default").TrimFeed(h.ctx(), h.now()); err != nil {
			t.Fatal(err)
		}
		for _, after := range []string{"0", "1", strconv.FormatInt(head+100000, 10)} {
			h.owner.both(func(name string, open func(string) *stream) {
				s := open("?after=" + after)
				defer s.close()
				o := s.want()
				if o.str("kind") != "reload" || o.num("seq") <= 0 {
					t.Fatalf("%s: after %s: %v", name, after, o)
				}
				if end, err := s.next(); !errors.Is(err, errEnded) {
					t.Errorf("%s: after reload: %v %v", name, end, err)
				}
				again := open("?after=" + strconv.FormatInt(int64(o.num("seq")), 10))
				defer again.close()
				c := h.owner.do("POST", "/customers", map[string]any{"name": "Danach"}).want(201).obj().str("id")
				again.until("customer", kind("customer", c))
			})
		}
	})
}

// TestLivePartnerAndStranger: partners hear of their own conversations only, strangers of nothing.
func TestLivePartnerAndStranger(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		partner := h.member("default", "partner", "Paula")
		stranger := h.otherOrg()
		mine := h.written("Meiner", "eins")
		h.owner.do("PATCH", "/conversations/"+mine.str("id"), map[string]any{"assignee_id": partner.id}).want(200)
		theirs := h.written("Fremder", "zwei")
		head, err := h.DB.Org("default").FeedHead(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		_ = stranger
		partner.both(func(name string, open func(string) *stream) {
			for what, s := range map[string]*stream{"now": open(""), "from the start": open("?after=0"), "resumed": open("?after=" + strconv.FormatInt(head, 10))} {
				h.owner.do("POST", "/conversations/"+theirs.str("id")+"/notes", map[string]any{"text": "nicht für Partner"}).want(201)
				h.owner.do("POST", "/customers", map[string]any{"name": "Nicht für Partner"}).want(201)
				h.hook(h.bot, []byte("kaputt "+id())).want(200)
				h.Hub.Now("default", map[string]string{"kind": "typing", "address": "Fremder", "channel_id": h.bot})
				n := h.owner.do("POST", "/conversations/"+mine.str("id")+"/notes", map[string]any{"text": "für Partner"}).want(201).obj().str("id")
				all := s.until("own note", kind("message", n))
				for _, o := range all {
					b, _ := json.Marshal(o)
					if strings.Contains(string(b), theirs.str("id")) || strings.Contains(string(b), "Fremder") {
						t.Errorf("%s, %s: a partner hears %s", name, what, b)
					}
					switch o.str("kind") {
					case "customer", "work_item", "typing":
						t.Errorf("%s, %s: a partner hears %s", name, what, b)
					}
				}
				s.close()
			}
		})
		stranger.both(func(name string, open func(string) *stream) {
			s := open("?after=0")
			defer s.close()
			h.chat(8200000001, "Fremder", "drei")
			c := stranger.do("POST", "/customers", map[string]any{"name": "Eigener"}).want(201).obj().str("id")
			for _, o := range s.until("own customer", kind("customer", c)) {
				b, _ := json.Marshal(o)
				if strings.Contains(string(b), theirs.str("id")) || strings.Contains(string(b), mine.str("id")) || strings.Contains(string(b), "Fremder\"") {
					t.Errorf("%s: a stranger hears %s", name, b)
				}
			}
		})
	})
}

// TestLiveEnds: whoever may no longer listen hears nothing more.
func TestLiveEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		end := func(what string, s *stream) {
			t.Helper()
			for range 1000 {
				o, err := s.next()
				if errors.Is(err, errEnded) {
					if code := o.num("close"); o != nil && code != 4401 {
						t.Errorf("%s: closed with %v, want 4401", what, code)
					}
					return
				}
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if o.str("kind") == "message" {
					t.Errorf("%s: still hears %v", what, o)
				}
			}
		}
		r := h.written("Kunde", "eins")
		// Removed: at once.
		m := h.member("default", "advisor", "Anton")
		for _, c := range []*client{m, m.desk()} {
			c.both(func(name string, open func(string) *stream) {
				h.owner.do("PATCH", "/staff/"+m.id, map[string]any{"enabled": true}).want(200)
				if c.token != "" { // removal ended it
					c.token = h.run(tokenFor(m.email))
				} else {
					c.cookie = m.desk().cookie
				}
				s := open("")
				defer s.close()
				s.want()
				h.owner.do("PATCH", "/staff/"+m.id, map[string]any{"enabled": false}).want(200)
				h.owner.do("POST", "/conversations/"+r.str("id")+"/notes", map[string]any{"text": "danach"}).want(201)
				end("removed, "+name, s)
			})
		}
		// Signed out: within a minute.
		d := h.owner.desk()
		d.both(func(name string, open func(string) *stream) {
			d.cookie = h.owner.desk().cookie
			s := open("")
			defer s.close()
			s.want()
			d.do("DELETE", "/session", nil).want(204)
			h.leap(26 * time.Second)
			h.owner.do("POST", "/conversations/"+r.str("id")+"/notes", map[string]any{"text": "danach"}).want(201)
			end("signed out, "+name, s)
		})
		// Made a partner: at once no more than a partner hears.
		p := h.member("default", "advisor", "Peter")
		p.both(func(name string, open func(string) *stream) {
			h.owner.do("PATCH", "/staff/"+p.id, map[string]any{"role": "advisor"}).want(200)
			s := open("")
			defer s.close()
			s.want()
			h.owner.do("PATCH", "/staff/"+p.id, map[string]any{"role": "partner"}).want(200)
			h.owner.do("POST", "/conversations/"+r.str("id")+"/notes", map[string]any{"text": "nicht mehr"}).want(201)
			h.owner.do("PATCH", "/channels/"+h.bot, map[string]any{"name": "Bot " + id()}).want(200)
			for _, o := range s.until("channel", kind("channel", h.bot)) {
				if o.str("kind") == "message" || o.str("kind") == "conversation" {
					t.Errorf("%s: a partner hears %v", name, o)
				}
			}
		})
		// Presence is what the list of staff shows.
		here := func() string {
			for _, v := range h.owner.get("/staff").items() {
				if v.str("id") == h.owner.id {
					return v.str("presence")
				}
			}
			return ""
		}
		s, _, err := h.owner.socket("")
		if err != nil {
			t.Fatal(err)
		}
		s.want()
		if here() != "here" {
			t.Errorf("presence %q", here())
		}
		s.close()
		h.eventually("away", func() bool { return here() == "away" })
	})
}

// TestLiveForeignPages: a page of another site opens no stream, whatever cookie the browser sends along.
func TestLiveForeignPages(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		d := h.owner.desk()
		for _, origin := range []string{"https://angreifer.example", "http://" + strings.Replace(h.HTTPAddr(), "127.0.0.1", "127.0.0.2", 1), "null", "http://127.0.0.1", "https://desk.example.angreifer.example", "http://%zz"} {
			if s, resp, err := d.socket("", "Origin", origin); err == nil || resp == nil || resp.StatusCode != 403 {
				t.Errorf("WebSocket from %s: %v %v", origin, resp, err)
				if s != nil {
					s.close()
				}
			}
			d.get("/live", "Origin", origin, "Accept", "text/event-stream").problem(403, "cross_origin")
		}
		if s, resp, err := h.nobody().socket(""); err == nil || resp.StatusCode != 401 {
			t.Errorf("without a session: %v %v", resp, err)
			if s != nil {
				s.close()
			}
		}
		for _, origin := range []string{"http://" + h.HTTPAddr(), "https://desk.example"} { // the second is the public URL, behind a proxy that gives another Host
			s, _, err := d.socket("", "Origin", origin)
			if err != nil {
				t.Errorf("own page %s: %v", origin, err)
				continue
			}
			s.want()
			s.close()
		}
	}, publicURL)
}
