package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/channel/webchat"
)

const site = "https://www.firma.example"

// window is a browser's window with the widget in it.
type window struct {
	h      *house
	ch     string
	origin string
	token  string
	user   string
	sig    string
}

func token() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// chatChannel makes a web chat that may be embedded by site.
func (h *house) chatChannel(settings map[string]string) string {
	h.t.Helper()
	if settings == nil {
		settings = map[string]string{"allowed_origins": site}
	}
	return h.channel("default", "webchat", "Chat", settings)
}

func (h *house) window(ch string) *window { return &window{h: h, ch: ch, origin: site, token: token()} }

func (w *window) headers() []string {
	out := []string{"Accept-Language", "de"}
	if w.origin != "" {
		out = append(out, "Origin", w.origin)
	}
	if w.token != "" {
		out = append(out, "Authorization", "Bearer "+w.token)
	}
	if w.user != "" {
		out = append(out, "X-Rufweite-User", w.user)
	}
	if w.sig != "" {
		out = append(out, "X-Rufweite-Signature", w.sig)
	}
	return out
}

func (w *window) do(method, path string, body any, header ...string) *answer {
	w.h.t.Helper()
	return w.h.nobody().do(method, "//root/chat/"+w.ch+"/"+path, body, append(w.headers(), header...)...)
}

func (w *window) write(text string) *answer {
	w.h.t.Helper()
	return w.do("POST", "messages", map[string]any{"client_id": id(), "text": text}).want(201)
}

func (w *window) history() []object {
	w.h.t.Helper()
	return w.do("GET", "messages", nil).want(200).items()
}

func texts(list []object) string {
	var out []string
	for _, m := range list {
		out = append(out, m.str("text"))
	}
	return strings.Join(out, "|")
}

// wait waits until the visitor's history has these texts.
func (w *window) wait(want string) []object {
	w.h.t.Helper()
	var list []object
	got := ""
	w.h.eventually("the visitor sees "+want, func() bool {
		list = w.history()
		got = texts(list)
		return got == want
	})
	return list
}

// talk gives the conversation that staff see of a visitor, found by a text.
func (h *house) talk(text string) object {
	h.t.Helper()
	var found object
	h.eventually("a conversation with "+text, func() bool {
		for _, r := range h.owner.get("/conversations?channel_kind=webchat&limit=200").want(200).items() {
			if strings.Contains(r.str("last_message.text"), text) || strings.Contains(r.str("subject"), text) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func (h *house) answer(conversation, text string) object {
	h.t.Helper()
	m := h.owner.do("POST", "/conversations/"+conversation+"/messages", map[string]any{"text": text, "client_id": id()}).want(201).obj()
	return h.delivered(m.str("id"), "sent")
}

// form is a message with files.
func form(message map[string]any, files map[string][]byte) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	j, _ := json.Marshal(message)
	_ = w.WriteField("message", string(j))
	for name, content := range files {
		p, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename=%q`, name)}, "Content-Type": {"application/octet-stream"}})
		_, _ = p.Write(content)
	}
	_ = w.Close()
	return b.Bytes(), w.FormDataContentType()
}

var png = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89")

// TestChat: from the first message to the answer, with receipts, on both engines.
func TestChat(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		w := h.window(ch)
		c := w.do("GET", "config", nil).want(200).obj()
		if c.str("channel_id") != ch || c.str("org") == "" || c.num("limits.text") != 10000 || c.yes("session") {
			t.Errorf("config: %v", c)
		}
		w.do("GET", "messages", nil).problem(401, "no_session")
		first := id()
		body := map[string]any{"client_id": first, "text": "Deckt meine Police Hagel? 🌨️"}
		w.do("POST", "messages", body).want(201)
		// The answer was lost on its way: the same again is the same message, and finds the same session.
		if a := w.do("POST", "messages", body).want(200).obj(); !a.yes("duplicate") {
			t.Errorf("the second time: %v", a)
		}
		list := w.wait("Deckt meine Police Hagel? 🌨️")
		if m := list[0]; m.str("client_id") != first || !m.yes("mine") || m.str("state") != "accepted" {
			t.Errorf("own message: %v", m)
		}
		r := h.talk("Hagel")
		if n := r.str("customer.name"); !strings.HasPrefix(n, "Besucher ") {
			t.Errorf("a visitor without a name is called %q", n)
		}
		if got := h.owner.messages(r.str("id")); len(got) != 1 || got[0].str("assurance") != "observed" {
			t.Errorf("staff see %v", got)
		}
		h.owner.do("POST", "/conversations/"+r.str("id")+"/read", map[string]any{}).want(204)
		if m := w.history()[0]; m.str("state") != "read" {
			t.Errorf("staff has read, the visitor sees %q", m.str("state"))
		}
		h.owner.do("POST", "/conversations/"+r.str("id")+"/notes", map[string]any{"text": "Streng intern", "client_id": id()}).want(201)
		m := h.answer(r.str("id"), "Ja, mit Teilkasko.")
		list = w.wait("Deckt meine Police Hagel? 🌨️|Ja, mit Teilkasko.")
		if a := list[1]; a.yes("mine") || a.str("name") != "Olga Owner" || a.str("state") != "sent" || a.str("author") != "staff" {
			t.Errorf("the answer: %v", a)
		}
		w.do("POST", "receipts", map[string]any{"delivered": []string{m.str("id"), list[0].str("id"), id()}}).want(204)
		h.delivered(m.str("id"), "delivered")
		w.do("POST", "receipts", map[string]any{"read": m.str("id")}).want(204)
		h.delivered(m.str("id"), "read")
		// What answers a message says so.
		w.do("POST", "messages", map[string]any{"client_id": id(), "text": "Danke!", "reply_to": m.str("id")}).want(201)
		list = w.wait("Deckt meine Police Hagel? 🌨️|Ja, mit Teilkasko.|Danke!")
		if q := list[2].obj("quote"); q.str("text") != "Ja, mit Teilkasko." {
			t.Errorf("quote: %v", q)
		}
		// Three taps are too many: one is enough to ask for a person.
		w.do("POST", "messages", map[string]any{"client_id": id(), "person": true}).want(201)
		w.wait("Deckt meine Police Hagel? 🌨️|Ja, mit Teilkasko.|Danke!|Ich möchte mit einem Menschen sprechen.")
		h.eventually("the visitor waits", func() bool {
			return h.owner.get("/conversations/"+r.str("id")).want(200).obj().at("waiting_since") != nil
		})
		if got := w.do("GET", "config", nil).want(200).obj(); got.str("office.advisor") != "Olga Owner" {
			t.Errorf("who answers: %v", got["office"])
		}
		// Pages of history.
		page := w.do("GET", "messages?limit=3", nil).want(200).obj()
		older := w.do("GET", "messages?limit=3&before="+page.str("next"), nil).want(200).obj()
		if texts(page.list("items")) != "Ja, mit Teilkasko.|Danke!|Ich möchte mit einem Menschen sprechen." || texts(older.list("items")) != "Deckt meine Police Hagel? 🌨️" || older.str("next") != "" {
			t.Errorf("pages %q %q", texts(page.list("items")), texts(older.list("items")))
		}
		// Forgetting ends the session; what was said stays with the company.
		w.do("DELETE", "session", nil).want(204)
		w.do("GET", "messages", nil).problem(401, "no_session")
		h.run(app.Command{Balance: &struct{}{}})
	})
}

// TestChatOrigins: pages of other sites get nothing, whatever they call.
func TestChatOrigins(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(map[string]string{"allowed_origins": site + " http://localhost:8081", "identity_secret": "geheim"})
		w := h.window(ch)
		w.write("Guten Tag")
		w.wait("Guten Tag")
		calls := [][2]string{{"GET", "config"}, {"GET", "messages"}, {"POST", "messages"}, {"POST", "typing"}, {"POST", "receipts"}, {"POST", "email"}, {"GET", "live"}, {"DELETE", "session"}, {"OPTIONS", "messages"}}
		for _, from := range []string{"https://evil.example", "http://www.firma.example", "https://www.firma.example:444", "https://www.firma.example.evil.example", "null", "https://sub.www.firma.example"} {
			for _, c := range calls {
				foreign := *w
				foreign.origin = from
				a := foreign.do(c[0], c[1], map[string]any{"client_id": id(), "text": "x", "email": "a@b.example"})
				a.problem(403, "foreign_origin")
				if a.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s %s: a foreign page may read the answer", c[0], c[1])
				}
			}
		}
		for _, from := range []string{site, "http://localhost:8081", "http://" + h.HTTPAddr(), ""} {
			v := *w
			v.origin = from
			a := v.do("GET", "config", nil).want(200)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != from {
				t.Errorf("Access-Control-Allow-Origin %q for %q", got, from)
			}
			if a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies would be sent along")
			}
		}
		v := *w
		v.origin = ""
		v.do("GET", "config", nil, "Sec-Fetch-Site", "cross-site").problem(403, "foreign_origin")
		a := w.do("OPTIONS", "messages", nil, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type").want(204)
		if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("preflight: %v", a.header)
		}
		// By WebSocket, too.
		for from, want := range map[string]int{"https://evil.example": 403, site: 101} {
			c, resp, err := websocket.Dial(h.ctx(), "ws://"+h.HTTPAddr()+"/chat/"+ch+"/live", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {from}}, Subprotocols: []string{"rufweite.chat", "token." + w.token}})
			if resp == nil || resp.StatusCode != want {
				t.Errorf("WebSocket from %s: %v, %v, want %d", from, resp, err, want)
			}
			if c != nil {
				_ = c.CloseNow()
			}
		}
		h.owner.do("PATCH", "/channels/"+ch, map[string]any{"settings": map[string]any{"allowed_origins": "*"}}).want(200)
		v.origin = "https://anything.example"
		v.do("GET", "config", nil).want(200)
		h.owner.do("PATCH", "/channels/"+ch, map[string]any{"enabled": false}).want(200)
		w.do("GET", "config", nil).problem(404, "no_such_chat")
	})
}

// TestChatOnlyOne: the channel may be left out while there is exactly one.
func TestChatOnlyOne(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		none := h.window("-")
		none.do("GET", "config", nil).problem(404, "which_chat")
		ch := h.chatChannel(nil)
		if got := none.do("GET", "config", nil).want(200).obj().str("channel_id"); got != ch {
			t.Errorf("channel %q", got)
		}
		h.chatChannel(nil)
		none.do("GET", "config", nil).problem(404, "which_chat")
		h.window(h.bot).do("GET", "config", nil).problem(404, "no_such_chat")
		h.window("nicht-da").do("GET", "config", nil).problem(404, "no_such_chat")
	})
}

// TestChatOthers: nobody sees anything of another visitor, of another channel's visitor, of notes, or of mails.
func TestChatOthers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		other := h.chatChannel(nil)
		ayse, ben := h.window(ch), h.window(ch)
		ayse.write("Ayşe fragt")
		ben.write("Ben fragt")
		ayse.wait("Ayşe fragt")
		ben.wait("Ben fragt")
		r := h.talk("Ayşe fragt")
		m := h.answer(r.str("id"), "Nur für Ayşe")
		list := ayse.wait("Ayşe fragt|Nur für Ayşe")
		file := map[string][]byte{"bild.png": png}
		body, kind := form(map[string]any{"client_id": id(), "text": "Mit Bild"}, file)
		ayse.do("POST", "messages", body, "Content-Type", kind).want(201)
		ayse.wait("Ayşe fragt|Nur für Ayşe|Mit Bild")

		// Foreign ids are as if they were not there, and change nothing.
		ben.do("POST", "messages", map[string]any{"client_id": id(), "text": "x", "reply_to": m.str("id")}).problem(422, "invalid")
		ben.do("POST", "receipts", map[string]any{"delivered": []string{m.str("id")}, "read": m.str("id")}).want(204)
		if s := h.owner.get("/messages/" + m.str("id")).want(200).obj().str("delivery.state"); s != "sent" {
			t.Errorf("a stranger's receipt made it %q", s)
		}
		// Nobody suppresses another's message by sending its id first.
		same := id()
		ben.do("POST", "messages", map[string]any{"client_id": same, "text": "Ben zuerst"}).want(201)
		ayse.do("POST", "messages", map[string]any{"client_id": same, "text": "Ayşe danach"}).want(201)
		ayse.wait("Ayşe fragt|Nur für Ayşe|Mit Bild|Ayşe danach")
		ben.wait("Ben fragt|Ben zuerst")
		// A token is good for its channel only.
		wrong := *ayse
		wrong.ch = other
		wrong.do("GET", "messages", nil).problem(401, "no_session")
		// A cursor is good for its visitor only.
		cursor := ayse.do("GET", "messages", nil).want(200).obj().str("cursor")
		ben.do("GET", "live?after="+cursor, nil).problem(400, "bad_cursor")
		ben.do("GET", "live?after=12", nil).problem(400, "bad_cursor")
		for _, bad := range []string{"", "x", strings.Repeat("A", 44), strings.Repeat("ä", 43), list[0].str("id")} {
			v := *ayse
			v.token = bad
			v.do("GET", "messages", nil).want(401)
			v.do("POST", "messages", map[string]any{"client_id": id(), "text": "x"}).problem(401, "no_token")
		}

		// Notes, events, mails with third parties and the customer's own mails in the same conversation stay unseen.
		h.owner.do("POST", "/conversations/"+r.str("id")+"/notes", map[string]any{"text": "GEHEIME NOTIZ", "client_id": id()}).want(201)
		h.owner.do("PATCH", "/conversations/"+r.str("id"), map[string]any{"subject": "GEHEIMER BETREFF"}).want(200)
		h.third(r.str("id"), "GEHEIM AN VERSICHERER")
		h.owner.do("POST", "/customers/"+r.str("customer.id")+"/addresses", map[string]any{"kind": "email", "value": "ayse@kunde.example"}).want(201)
		h.owner.do("POST", "/conversations/"+r.str("id")+"/messages", map[string]any{"text": "GEHEIM PER MAIL", "channel_id": h.mail, "client_id": id()}).want(201)
		h.eventually("the mail is sent", func() bool {
			for _, x := range h.owner.messages(r.str("id")) {
				if x.str("text") == "GEHEIM PER MAIL" {
					return x.str("delivery.state") == "sent"
				}
			}
			return false
		})
		for _, w := range []*window{ayse, ben} {
			all := string(w.do("GET", "messages", nil).want(200).body) + string(w.do("GET", "config", nil).want(200).body)
			if strings.Contains(all, "GEHEIM") {
				t.Errorf("a visitor sees %s", all)
			}
		}
		// What can still be taken back has not been said.
		h.freeze()
		late := h.owner.desk().do("POST", "/conversations/"+r.str("id")+"/messages", map[string]any{"text": "Voreilig", "client_id": id(), "channel_id": ch}).want(201).obj()
		if strings.Contains(texts(ayse.history()), "Voreilig") {
			t.Error("a visitor sees what can still be taken back")
		}
		h.owner.desk().do("POST", "/messages/"+late.str("id")+"/cancel", nil).want(200)
		if got := texts(ayse.history()); strings.Contains(got, "Voreilig") {
			t.Errorf("taken back, and seen: %s", got)
		}
	})
}

// third lets staff write to a third party in a conversation, if this version can.
func (h *house) third(conversation, text string) {
	h.t.Helper()
	a := h.owner.do("POST", "/conversations/"+conversation+"/participants", map[string]any{"name": "Versicherer", "role": "insurer", "email": "schaden@versicherer.example"})
	if a.status == 404 || a.status == 405 {
		return
	}
	p := a.want(201).obj()
	h.owner.do("POST", "/conversations/"+conversation+"/messages", map[string]any{"text": text, "participant_id": p.str("id"), "client_id": id()}).want(201)
}

// TestChatIdentity: a signed user is verified on every device; an unsigned one is refused, never made anonymous.
func TestChatIdentity(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(map[string]string{"allowed_origins": site, "identity_secret": "neu,alt"})
		w := h.window(ch)
		w.user, w.sig, w.token = "kunde-4711", webchat.Signature("alt", "kunde-4711"), ""
		w.do("POST", "messages", map[string]any{"client_id": id(), "text": "Ich bin angemeldet", "name": "Ayşe Yıldız"}).want(201)
		w.wait("Ich bin angemeldet")
		r := h.talk("angemeldet")
		if r.str("customer.name") != "Ayşe Yıldız" || h.owner.messages(r.str("id"))[0].str("assurance") != "verified" {
			t.Errorf("staff see %v", r)
		}
		device := *w
		device.sig = webchat.Signature("neu", "kunde-4711")
		device.wait("Ich bin angemeldet")
		for name, change := range map[string]func(*window){
			"one byte off": func(v *window) {
				v.sig = strings.Map(func(c rune) rune { return map[bool]rune{true: '1', false: c}[c == '0'] }, v.sig) + ""
			},
			"another user":          func(v *window) { v.user = "kunde-4712" },
			"another secret":        func(v *window) { v.sig = webchat.Signature("geraten", v.user) },
			"no signature":          func(v *window) { v.sig = "" },
			"no user":               func(v *window) { v.user = "" },
			"a token instead":       func(v *window) { v.sig, v.token = "", token() },
			"a line break in it":    func(v *window) { v.user = "a%0Ab"; v.sig = webchat.Signature("neu", "a\nb") },
			"not percent-encoding":  func(v *window) { v.user = "%zz" },
			"a user that is a book": func(v *window) { v.user = strings.Repeat("x", 300); v.sig = webchat.Signature("neu", v.user) },
		} {
			v := *w
			change(&v)
			if v.sig == w.sig && v.user == w.user {
				v.sig = "f" + v.sig[:63]
			}
			for _, c := range [][2]string{{"GET", "config"}, {"GET", "messages"}, {"POST", "messages"}, {"GET", "live"}} {
				a := v.do(c[0], c[1], map[string]any{"client_id": id(), "text": name})
				if a.problem(403, "bad_identity"); !strings.Contains(a.obj().str("detail"), "Anmeldung") {
					t.Errorf("%s: %s", name, a.body)
				}
			}
		}
		// The address of a signed user cannot be taken by a token, nor the other way round.
		if list := h.owner.get("/conversations?channel_kind=webchat").want(200).items(); len(list) != 1 {
			t.Errorf("%d conversations, want 1", len(list))
		}
		plain := h.chatChannel(nil)
		v := *w
		v.ch = plain
		v.do("GET", "config", nil).problem(403, "identity_not_configured")
		// The same user id on another channel of the house is somebody else.
		second := h.chatChannel(map[string]string{"allowed_origins": site, "identity_secret": "fremd"})
		v.ch, v.sig = second, webchat.Signature("fremd", "kunde-4711")
		if got := v.history(); len(got) != 0 {
			t.Errorf("another site's user sees %v", got)
		}
		u := w.user
		w.user = "Müller & Söhne"
		w.sig = webchat.Signature("neu", w.user)
		w.user = "M%C3%BCller%20%26%20S%C3%B6hne"
		w.write("Umlaute")
		w.wait("Umlaute")
		w.user = u
	})
}

// TestChatBadInput: what cannot be taken gets a sentence that says why.
func TestChatBadInput(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		w := h.window(ch)
		post := func(body any, header ...string) *answer { return w.do("POST", "messages", body, header...) }
		post(map[string]any{"client_id": id(), "text": strings.Repeat("ä", 10001)}).problem(422, "too_long")
		post(map[string]any{"client_id": id(), "text": " \n "}).problem(422, "empty")
		post(map[string]any{"text": "x"}).problem(422, "invalid")
		post(map[string]any{"client_id": "a:b", "text": "x"}).problem(422, "invalid")
		post(map[string]any{"client_id": strings.Repeat("x", 101), "text": "x"}).problem(422, "invalid")
		post([]byte("kein json")).problem(400, "bad_request")
		post([]byte("x"), "Content-Type", "text/plain").problem(415, "media_type")
		post([]byte("--y\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nkein json\r\n--y--"), "Content-Type", "multipart/form-data; boundary=y").problem(400, "bad_request")
		post([]byte("--y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nabgeschn"), "Content-Type", "multipart/form-data; boundary=y").problem(400, "bad_request")
		w.do("GET", "nirgends", nil).problem(404, "no_such_route")
		for name, content := range map[string][]byte{
			"seite.html": []byte("<html><script>alert(1)</script>"), "bild.svg": []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), "programm.exe": []byte("MZ\x90"),
			"bild.png.exe": []byte("MZ\x90"), "bild.png": []byte("<!doctype html><script>1</script>"), "rechnung.pdf": []byte("MZ\x90"), "ohne": []byte("x"), "skript.txt": []byte("#!/bin/sh\n"),
		} {
			body, kind := form(map[string]any{"client_id": id(), "text": ""}, map[string][]byte{name: content})
			post(body, "Content-Type", kind).problem(415, "file_type")
		}
		body, kind := form(map[string]any{"client_id": id()}, map[string][]byte{"leer.txt": nil})
		post(body, "Content-Type", kind).problem(422, "empty_file")
		body, kind = form(map[string]any{"client_id": id()}, map[string][]byte{"groß.txt": bytes.Repeat([]byte("x"), 10<<20+1)})
		post(body, "Content-Type", kind).problem(413, "too_large")
		// Nothing of it made a session, a customer or a conversation.
		w.do("GET", "messages", nil).problem(401, "no_session")
		if list := h.owner.get("/conversations?channel_kind=webchat").want(200).items(); len(list) != 0 {
			t.Errorf("conversations %v", list)
		}
		h.leap(2 * time.Minute)
		most := strings.Repeat("ä", 10000)
		w.write(most)
		w.wait(most)
		body, kind = form(map[string]any{"client_id": id(), "text": "Ein <b>Bild</b> & mehr"}, map[string][]byte{"../..\u202ebild.png": png, "notiz.txt": []byte("abc")})
		post(body, "Content-Type", kind).want(201)
		list := w.wait(most + "|Ein <b>Bild</b> & mehr")
		files := list[1].list("attachments")
		if len(files) != 2 {
			t.Fatalf("files %v", files)
		}
		for _, f := range files {
			if strings.ContainsAny(f.str("name"), "/\u202e") {
				t.Errorf("file name %q", f.str("name"))
			}
			a := h.nobody().get(f.str("url"), "Origin", site).want(200)
			if string(a.body) != map[string]string{"image/png": string(png), "text/plain": "abc"}[f.str("media_type")] {
				t.Errorf("content of %v is %q", f, a.body)
			}
			h.nobody().get(strings.Replace(f.str("url"), "s=", "s=x", 1)).want(403)
		}
	})
}

// TestChatLimits: who floods waits, others do not.
func TestChatLimits(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		h.freeze()
		w, other := h.window(ch), h.window(ch)
		kept := 0
		for range 40 {
			a := w.do("POST", "messages", map[string]any{"client_id": id(), "text": "Flut"})
			if a.status == 201 {
				kept++
				continue
			}
			a.problem(429, "too_many")
			if a.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
		if kept < 20 || kept > 25 {
			t.Errorf("%d messages at once", kept)
		}
		other.write("Ich nicht")
		h.leap(time.Minute)
		w.write("Wieder ruhig")
		n := 0
		for range 80 { // one address makes many visitors
			if h.window(ch).do("POST", "messages", map[string]any{"client_id": id(), "text": "Neu"}).status == 201 {
				n++
			}
		}
		if n < 50 || n > 65 {
			t.Errorf("%d new visitors from one address at once", n)
		}
	})
}

// chatStream reads a visitor's server-sent events.
type chatStream struct {
	t      testing.TB
	cancel context.CancelFunc
	frames chan object
}

func (w *window) stream(after string) *chatStream {
	w.h.t.Helper()
	ctx, cancel := context.WithCancel(w.h.ctx())
	path := "/chat/" + w.ch + "/live"
	if after != "" {
		path += "?after=" + after
	}
	c := w.h.nobody()
	r := c.request("GET", path, nil, w.headers()...).WithContext(ctx)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || resp.StatusCode != 200 {
		cancel()
		w.h.t.Fatalf("open the stream: %v, %v", resp, err)
	}
	s := &chatStream{w.h.t, cancel, make(chan object, 100)}
	w.h.t.Cleanup(cancel)
	go func() {
		defer close(s.frames)
		defer func() { _ = resp.Body.Close() }()
		sc := bufio.NewScanner(resp.Body)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
				o := object{}
				if json.Unmarshal([]byte(data), &o) == nil {
					s.frames <- o
				}
			}
		}
	}()
	return s
}

// next gives the next frame of a kind.
func (s *chatStream) next(kind string) object {
	s.t.Helper()
	for {
		select {
		case o, ok := <-s.frames:
			if !ok {
				s.t.Fatalf("the stream ended before %s", kind)
			}
			if o.str("kind") == kind {
				return o
			}
		case <-time.After(30 * time.Second):
			s.t.Fatalf("no %s came", kind)
		}
	}
}

// TestChatLive: the stream brings what concerns the visitor, and goes on where it broke off.
func TestChatLive(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		w, other := h.window(ch), h.window(ch)
		w.do("GET", "live", nil).problem(401, "no_session")
		w.write("Hallo")
		other.write("Jemand anderes")
		s := w.stream("") // before it is known that there is a conversation
		cursor := s.next("hello").str("cursor")
		list := w.wait("Hallo")
		r := h.talk("Hallo")
		h.owner.do("POST", "/conversations/"+r.str("id")+"/notes", map[string]any{"text": "Notiz", "client_id": id()}).want(201)
		h.answer(h.talk("Jemand").str("id"), "Nicht für dich")
		a := h.answer(r.str("id"), "Guten Tag")
		var got object
		for got = s.next("message"); got.obj("message").yes("mine"); got = s.next("message") {
		}
		if m := got.obj("message"); m.str("id") != a.str("id") || m.str("text") != "Guten Tag" || m.str("name") != "Olga Owner" {
			t.Errorf("frame %v", got)
		}
		if c := got.str("cursor"); c != "" {
			cursor = c
		}
		h.owner.do("POST", "/conversations/"+r.str("id")+"/read", map[string]any{}).want(204)
		if f := s.next("seen"); f.str("up_to") != list[0].str("id") {
			t.Errorf("seen %v, want %s", f, list[0].str("id"))
		}
		s.cancel()
		// While the line is broken, two more are said; a stream from the cursor on brings exactly these.
		h.answer(r.str("id"), "Sind Sie noch da?")
		h.answer(h.talk("Jemand").str("id"), "Auch nicht für dich")
		h.answer(r.str("id"), "Bis später")
		s = w.stream(cursor)
		var texts []string
		for len(texts) < 2 {
			m := s.next("message").obj("message")
			if m.str("id") != a.str("id") && (len(texts) == 0 || texts[len(texts)-1] != m.str("text")) {
				texts = append(texts, m.str("text"))
			}
		}
		if fmt.Sprint(texts) != "[Sind Sie noch da? Bis später]" {
			t.Errorf("after the break: %q", texts)
		}
		// By WebSocket the same.
		c, _, err := websocket.Dial(h.ctx(), "ws://"+h.HTTPAddr()+"/chat/"+ch+"/live?after="+cursor, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {site}}, Subprotocols: []string{"rufweite.chat", "token." + w.token}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		if c.Subprotocol() != "rufweite.chat" {
			t.Errorf("subprotocol %q", c.Subprotocol())
		}
		for {
			_, b, err := c.Read(h.ctx())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "Nicht für dich") || strings.Contains(string(b), "Notiz") {
				t.Errorf("another's frame: %s", b)
			}
			if strings.Contains(string(b), "Bis später") {
				break
			}
		}
		// The desk learns that the visitor writes, by conversation.
		ls, _ := h.owner.events("")
		ls.want()
		w.do("POST", "typing", map[string]any{}).want(204)
		ls.until("the visitor writes", func(f object) bool {
			return f.str("kind") == "typing" && f.str("conversation_id") == r.str("id")
		})
	})
}

// TestChatSessionsEnd: an expired session is told so; its token does not come alive again.
func TestChatSessionsEnd(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		w := h.window(ch)
		w.write("Lange her")
		w.wait("Lange her")
		h.leap(80 * 24 * time.Hour)
		w.wait("Lange her") // used again: it lives on
		h.leap(80 * 24 * time.Hour)
		w.wait("Lange her")
		h.leap(91 * 24 * time.Hour)
		w.do("GET", "messages", nil).problem(401, "session_expired")
		w.do("POST", "messages", map[string]any{"client_id": id(), "text": "Noch da?"}).problem(401, "session_expired")
		w.do("GET", "live", nil).problem(401, "session_expired")
		w.token = token()
		w.write("Neu")
		w.wait("Neu")
	})
}

// TestChatResend: the server dies after it stored a message and before it said so.
func TestChatResend(t *testing.T) {
	dir := t.TempDir()
	start := func() *house { return open(t, "", func(c *app.Config) { c.Dir = dir }) }
	h := start()
	ch := h.chatChannel(nil)
	w := h.window(ch)
	first := map[string]any{"client_id": id(), "text": "Kam das an?"}
	w.do("POST", "messages", first).want(201) // and the answer is lost
	if err := h.App.Close(); err != nil {
		t.Fatal(err)
	}
	h2 := &house{t: t, logs: h.logs, tg: h.tg, mx: h.mx}
	var err error
	if h2.App, err = app.Start(context.Background(), app.Config{Dir: dir, Listen: "127.0.0.1:0", AllowPrivate: true, Now: h2.now}); err != nil {
		t.Fatal(err)
	}
	h.App = h2.App // closed by open's clean-up
	w.h = h2
	if a := w.do("POST", "messages", first).want(200).obj(); !a.yes("duplicate") {
		t.Errorf("again: %v", a)
	}
	w.wait("Kam das an?")
}

// TestChatByMail: "I'll be back by e-mail" goes on in the same conversation, and tells nobody anything.
func TestChatByMail(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		w := h.window(ch)
		w.do("POST", "email", map[string]any{"email": "neu@kunde.example", "client_id": id()}).problem(401, "no_session")
		w.write("Meine Vertragsnummer ist GEHEIM-77")
		for _, bad := range []string{"", "neu", "neu@", "@kunde.example", "neu@kunde", "Neu <neu@kunde.example>", "a@b.example\r\nBcc: c@d.example", "a@b.example,c@d.example", strings.Repeat("x", 250) + "@b.example", "service@firma.example"} {
			w.do("POST", "email", map[string]any{"email": bad, "client_id": id()}).problem(422, "bad_email")
			h.leap(time.Minute)
		}
		r := h.talk("GEHEIM-77")
		c := r.str("id")
		ask := map[string]any{"email": "Neu@Kunde.example", "client_id": id()}
		w.do("POST", "email", ask).want(202)
		w.do("POST", "email", ask).want(202) // pressed twice, mailed once
		mail := h.mailTo("neu@kunde.example", 1)
		if strings.Contains(string(mail.Raw)+emailsim.PlainText(mail.Raw), "GEHEIM") {
			t.Errorf("the mail tells of the chat: %s", mail.Raw)
		}
		if h.owner.get("/conversations/"+c).want(200).obj().at("waiting_since") == nil {
			t.Error("after the mail nobody waits any more")
		}
		h.leap(time.Minute)
		w.do("POST", "email", map[string]any{"email": "neu@kunde.example", "client_id": id()}).problem(429, "already_mailed")
		// Its owner answers: the same conversation.
		reply(h, mail, "Erika Neu", "neu@kunde.example", "Hier bin ich wieder.")
		h.eventually("the answer is in the conversation", func() bool {
			for _, m := range h.owner.messages(c) {
				if strings.Contains(m.str("text"), "Hier bin ich wieder") {
					return m.str("channel.kind") == "email" && m.str("author") == "customer"
				}
			}
			return false
		})
		// The desk now answers by mail, and the chat does not show what was said there.
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Antwort per Post der Bits", "client_id": id()}).want(201)
		h.mailTo("neu@kunde.example", 2)
		if got := texts(w.history()); got != "Meine Vertragsnummer ist GEHEIM-77" {
			t.Errorf("the chat shows %q", got)
		}

		// An address that is somebody's already: it works, and nothing is joined or told.
		known := h.mailed("Karl Bekannt", emailsim.Message{Subject: "Alt", Text: "Altes"})
		address := h.owner.messages(known.str("id"))[0].str("address")
		h.leap(time.Minute)
		a := w.do("POST", "email", map[string]any{"email": address, "client_id": id()}).want(202)
		if strings.Contains(string(a.body), "Karl") {
			t.Errorf("the answer tells whose it is: %s", a.body)
		}
		mail = h.mailTo(address, 1)
		if text := emailsim.PlainText(mail.Raw); strings.Contains(text, "Karl") || strings.Contains(text, "GEHEIM") {
			t.Errorf("the mail tells: %s", text)
		}
		reply(h, mail, "Karl Bekannt", address, "Ich bin es, Karl.")
		h.eventually("Karl's answer is in the chat's conversation", func() bool {
			for _, m := range h.owner.messages(c) {
				if strings.Contains(m.str("text"), "Ich bin es, Karl") {
					return true
				}
			}
			return false
		})
		if k := h.owner.get("/conversations/" + known.str("id")).want(200).obj(); k.str("customer.name") != "Karl Bekannt" || k.str("customer.id") == r.str("customer.id") {
			t.Errorf("records were joined: %v", k)
		}
		if got := string(w.do("GET", "messages", nil).want(200).body); strings.Contains(got, "Karl") {
			t.Errorf("the visitor sees Karl: %s", got)
		}
		// Five, and no more.
		for i := range 3 {
			h.leap(2 * time.Minute)
			w.do("POST", "email", map[string]any{"email": fmt.Sprintf("opfer%d@kunde.example", i), "client_id": id()}).want(202)
		}
		h.leap(2 * time.Minute)
		w.do("POST", "email", map[string]any{"email": "opfer9@kunde.example", "client_id": id()}).problem(429, "enough_mails")
		// Another visitor cannot have the same address mailed within the hour either, and can later.
		x := h.window(ch)
		x.write("Ich bin ein anderer")
		x.do("POST", "email", map[string]any{"email": "opfer2@kunde.example", "client_id": id()}).problem(429, "already_mailed")
		h.leap(time.Hour)
		x.do("POST", "email", map[string]any{"email": "opfer2@kunde.example", "client_id": id()}).want(202)
		// Without a mailbox that sends it says so.
		h.owner.do("PATCH", "/channels/"+h.mail, map[string]any{"enabled": false}).want(200)
		h.leap(2 * time.Minute)
		x.do("POST", "email", map[string]any{"email": "opfer3@kunde.example", "client_id": id()}).problem(409, "no_mailbox")
	})
}

// mailTo waits for the n-th mail to an address.
func (h *house) mailTo(address string, n int) emailsim.Mail {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx(), 30*time.Second)
	defer cancel()
	list, err := h.mx.Wait(ctx, address, n)
	if err != nil {
		h.t.Fatalf("mail %d to %s: %v\nfailed: %s", n, address, err, h.owner.get("/deliveries?state=failed").body)
	}
	return list[n-1]
}

func reply(h *house, m emailsim.Mail, name, address, text string) {
	h.t.Helper()
	if _, err := h.customer(name, address).Reply(h.ctx(), m.Raw, text); err != nil {
		h.t.Fatal(err)
	}
}
