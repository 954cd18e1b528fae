package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// world is one of everything that a conversation brings along, each with a mark that must not be seen elsewhere.
type world struct {
	mark                                                                                 string
	conversation, message, answer, delivery, workItem, customer, address, channel, staff string
	attachment, attachmentURL, participant, view, block, unit, sender, contact           string
	ask, calendar, slot, dialog, instance                                                string
}

// world makes one of everything in the organisation of the client. Every text in it holds the mark.
func (c *client) world(org, mark string) world {
	h := c.h
	h.t.Helper()
	w := world{mark: mark, staff: h.member(org, "advisor", "Berater "+mark).id}
	mailbox := strings.ToLower(mark) + "@firma.example"
	settings := map[string]string(h.mx.Settings(mailbox))
	w.channel = h.channel(org, "email", "Postfach "+mark, settings)
	from := h.customer("Kunde "+mark, "kunde-"+strings.ToLower(mark)+"@kunde.example")
	if _, err := from.Send(h.ctx(), emailsim.Message{To: []string{mailbox}, Subject: "Betreff " + mark, Text: "Text " + mark, Files: []emailsim.File{{Name: "datei-" + mark + ".txt", MediaType: "text/plain", Content: []byte("Inhalt " + mark)}}}); err != nil {
		h.t.Fatal(err)
	}
	r := c.conversation("Kunde " + mark)
	w.conversation, w.customer = r.str("id"), r.str("customer.id")
	m := c.messages(w.conversation)[0]
	w.message, w.attachment, w.attachmentURL = m.str("id"), m.list("attachments")[0].str("id"), m.list("attachments")[0].str("url")
	w.address = c.get("/conversations/" + w.conversation).want(200).obj().str("reply.address_id")
	c.do("POST", "/conversations/"+w.conversation+"/notes", map[string]any{"text": "Notiz " + mark, "client_id": id()}).want(201)
	c.do("PUT", "/conversations/"+w.conversation+"/draft", map[string]any{"text": "Entwurf " + mark}).want(204)
	// A delivery whose fate nobody knows.
	h.mx.SetFault(emailsim.HangAfterDot)
	out := c.do("POST", "/conversations/"+w.conversation+"/messages", map[string]any{"text": "Antwort " + mark, "client_id": id()}).want(201).obj()
	w.answer, w.delivery = out.str("id"), out.str("delivery.id")
	h.eventually("uncertain", func() bool { return c.get("/messages/"+w.answer).want(200).obj().str("delivery.state") == "uncertain" })
	h.mx.SetFault(emailsim.NoFault)
	c.do("PUT", "/conversations/"+w.conversation+"/draft", map[string]any{"text": "Entwurf " + mark}).want(204)
	w.participant = c.do("POST", "/conversations/"+w.conversation+"/participants", map[string]any{"name": "Gutachter " + mark, "role": "expert", "email": "gutachter-" + strings.ToLower(mark) + "@x.example"}).want(201).obj().str("id")
	w.view = c.do("POST", "/views", map[string]any{"name": "Ansicht " + mark, "query": map[string]any{"tag": mark}}).want(201).obj().str("id")
	w.block = c.do("POST", "/text-blocks", map[string]any{"name": "Baustein " + mark, "text": "Text " + mark, "personal": true}).want(201).obj().str("id")
	w.unit = c.do("POST", "/units", map[string]any{"name": "Abteilung " + mark}).want(201).obj().str("id")
	w.sender = c.do("POST", "/senders", map[string]any{"address": "spam-" + strings.ToLower(mark) + "@x.example", "rule": "spam"}).want(201).obj().str("id")
	w.contact = c.do("POST", "/contact/ways", map[string]any{"kind": "phone", "ref": "030 901230", "label": map[string]string{"de": "Telefon " + mark}}).want(201).obj().str("id")
	lower := strings.ToLower(mark)
	w.calendar = "kalender-" + lower
	c.do("POST", "/calendars", map[string]any{"key": w.calendar, "name": "Kalender"}).want(201)
	at := h.now().Add(48 * time.Hour)
	w.slot = c.do("POST", "/calendars/"+w.calendar+"/slots", map[string]any{"slots": []any{map[string]any{"start": at, "end": at.Add(time.Hour)}}}).want(201).items()[0].str("id")
	w.dialog = "dialog-" + lower
	c.do("PUT", "/dialogs/"+w.dialog, map[string]any{"source": dialogSource(mark), "enabled": true}).want(200)
	w.instance = c.do("POST", "/conversations/"+w.conversation+"/dialogs", map[string]any{"key": w.dialog}).want(201).obj().str("id")
	w.ask = c.do("POST", "/conversations/"+w.conversation+"/asks", map[string]any{"ask": map[string]any{"kind": "yes_no", "text": map[string]string{"de": "Frage " + mark}}, "client_id": id()}).want(201).obj().str("id")
	h.eventually("what was asked has left", func() bool {
		for _, m := range c.messages(w.conversation) {
			if m.at("ask") != nil && m.str("delivery.state") != "sent" {
				return false
			}
		}
		return true
	})
	// Something that cannot be read.
	bot := h.channel(org, "telegram", "Bot "+mark, map[string]string{"token": "1:" + mark, "secret_token": "geheim-" + mark, "api_url": "http://127.0.0.1:1", "mode": "webhook"})
	h.hook(bot, []byte("kaputt "+mark), secretHeader, "geheim-"+mark).want(200)
	h.eventually("work item", func() bool {
		for _, i := range c.get("/work-items").want(200).items() {
			if i.str("channel.id") == bot {
				w.workItem = i.str("id")
			}
		}
		return w.workItem != ""
	})
	return w
}

// fill puts the world's ids into a path; ok is false if the path has a parameter that the matrix does not know.
func (w world) fill(path string) (string, bool) {
	for prefix, v := range map[string]string{"/conversations/": w.conversation, "/messages/": w.message, "/deliveries/": w.delivery, "/customers/": w.customer, "/channels/": w.channel,
		"/staff/": w.staff, "/work-items/": w.workItem, "/attachments/": w.attachment,
		"/asks/": w.ask, "/dialog-instances/": w.instance, "/views/": w.view, "/text-blocks/": w.block, "/units/": w.unit, "/senders/": w.sender, "/contact/ways/": w.contact} {
		path = strings.Replace(path, prefix+"{id}", prefix+v, 1)
	}
	path = strings.Replace(path, "/channel-kinds/{kind}", "/channel-kinds/nosuch", 1)
	path = strings.Replace(path, "/dialogs/{key}", "/dialogs/"+w.dialog, 1)
	path = strings.Replace(path, "/calendars/{key}", "/calendars/"+w.calendar, 1)
	path = strings.Replace(path, "/versions/{version}", "/versions/1", 1)
	path = strings.Replace(path, "/slots/{id}", "/slots/"+w.slot, 1)
	path = strings.Replace(path, "/addresses/{address}", "/addresses/"+w.address, 1)
	path = strings.Replace(path, "/participants/{participant}", "/participants/"+w.participant, 1)
	return path, !strings.Contains(path, "{")
}

// dialogSource is a dialog that asks one thing.
func dialogSource(mark string) string {
	return "dialog: dialog-" + strings.ToLower(mark) + `
title: {de: Dialog ` + mark + `}
languages: [de]
steps:
  - id: frage
    ask: {kind: yes_no, text: {de: "Passt das, ` + mark + `?"}}
    save: passt
  - id: ende
    end: {}
`
}

// bodies are valid requests of every operation that takes a body, with ids of the world.
func (w world) bodies() map[string]any {
	return map[string]any{
		"create-channel": map[string]any{"kind": "telegram", "name": "x", "settings": map[string]any{"token": "1:x", "mode": "webhook", "api_url": "http://127.0.0.1:1"}}, "change-channel": map[string]any{"name": "verstellt"},
		"test-channel": map[string]any{"to": "x@y.example"}, "change-conversation": map[string]any{"subject": "verstellt"}, "start-conversation": map[string]any{"channel_id": w.channel, "customer_id": w.customer, "text": "x"},
		"mark-read": map[string]any{}, "put-draft": map[string]any{"text": "x"}, "create-customer": map[string]any{"name": "x"}, "change-customer": map[string]any{"name": "verstellt"},
		"merge-customers": map[string]any{"with": w.customer}, "unmerge-customers": map[string]any{"customer_id": w.customer}, "add-address": map[string]any{"kind": "email", "value": "neu@y.example"},
		"upload-attachment": "abc", "hand-over": map[string]any{}, "send-message": map[string]any{"text": "x"}, "add-note": map[string]any{"text": "x"}, "resolve-delivery": map[string]any{"as": "sent"},
		"setup": map[string]any{"token": "x", "name": "x", "email": "x@y.example", "password": password}, "sign-in": map[string]any{"email": "x@y.example", "password": "falsch"},
		"change-me": map[string]any{"language": "de"}, "enable-totp": map[string]any{"code": "000000"}, "disable-totp": map[string]any{"password": "falsch"}, "accept-invite": map[string]any{"token": "x", "password": password},
		"invite-staff": map[string]any{"name": "x", "email": "x" + w.mark + "@y.example", "role": "advisor"}, "change-staff": map[string]any{"name": "verstellt"},
		"add-participant": map[string]any{"email": "dritter@y.example"}, "preview-message": map[string]any{"text": "x"}, "forward-messages": map[string]any{"message_ids": []string{w.message}, "to": []string{"dritter@y.example"}},
		"join-conversations": map[string]any{"with": w.conversation}, "unjoin-conversations": map[string]any{"with": w.conversation}, "split-conversation": map[string]any{"message_ids": []string{w.message}},
		"set-aside": map[string]any{"category": "spam"}, "rule-sender": map[string]any{"address": "spam@y.example", "rule": "spam"}, "save-view": map[string]any{"name": "x"}, "change-view": map[string]any{"name": "verstellt"},
		"save-text-block": map[string]any{"name": "x", "text": "y", "personal": true}, "change-text-block": map[string]any{"name": "verstellt"}, "fill-text-block": map[string]any{"conversation_id": w.conversation},
		"add-unit": map[string]any{"name": "x"}, "change-unit": map[string]any{"name": "verstellt"}, "change-conversations": map[string]any{"items": []map[string]any{{"id": w.conversation, "change": map[string]any{"subject": "verstellt"}}}},
		"put-ask": map[string]any{"ask": map[string]any{"kind": "yes_no", "text": map[string]string{"de": "Verstellt?"}}}, "answer-ask": map[string]any{"text": "ja"},
		"preview-ask":   map[string]any{"ask": map[string]any{"kind": "yes_no", "text": map[string]string{"de": "Frage?"}}, "channels": []string{"email"}},
		"save-calendar": map[string]any{"key": "neu", "name": "x"}, "add-slots": map[string]any{"slots": []any{map[string]any{"start": "2030-01-01T10:00:00Z", "end": "2030-01-01T11:00:00Z"}}},
		"save-dialog": map[string]any{"source": dialogSource(w.mark), "base_version": 1}, "check-dialog": map[string]any{"source": "dialog: x"}, "convert-dialog": map[string]any{"program": map[string]any{"dialog": "x"}},
		"try-dialog": map[string]any{"source": "dialog: x", "channels": []string{"email"}}, "start-dialog": map[string]any{"key": w.dialog},
		"add-contact-way": map[string]any{"kind": "phone", "ref": "030 901230"}, "change-contact-way": map[string]any{"hidden": true}, "set-contact-hours": map[string]any{},
		"be-present": map[string]any{"state": "viewing"}, "put-preferences": map[string]any{"a": 1}, "change-org": map[string]any{"name": "Umbenannt"},
		"try-own-channel": map[string]any{"settings": map[string]any{"receive": "{}"}, "sample": map[string]any{"body": "{}"}}, "try-own-channel-outgoing": map[string]any{"settings": map[string]any{"send": "{}"}, "message": map[string]any{"to": "x", "text": "x"}},
	}
}

// snapshot is what the owner sees of the world, to tell whether anything changed.
func (c *client) snapshot(w world) string {
	var b strings.Builder
	for _, p := range []string{"/conversations/" + w.conversation, "/conversations/" + w.conversation + "/messages", "/conversations/" + w.conversation + "/draft", "/asks/" + w.ask, "/dialogs/" + w.dialog, "/calendars/" + w.calendar + "/slots", "/contact/ways", "/contact/hours", "/customers/" + w.customer, "/channels/" + w.channel, "/staff",
		"/work-items/" + w.workItem, "/deliveries?state=uncertain"} {
		var v any
		if err := json.Unmarshal(c.get(p).want(200).body, &v); err != nil {
			c.h.t.Fatal(err)
		}
		j, _ := json.Marshal(scrub(v))
		b.Write(j)
		b.WriteByte('\n')
	}
	return b.String()
}

// scrub takes out what changes by itself.
func scrub(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range []string{"checked_at", "url", "presence", "health", "reason", "html"} {
			delete(v, k)
		}
		for k, e := range v {
			v[k] = scrub(e)
		}
	case []any:
		for i := range v {
			v[i] = scrub(v[i])
		}
	}
	return v
}

// TestAccessMatrix calls every operation of the OpenAPI document as nobody, as a member of another organisation, and as
// a partner who was given something else. A new route is refused until the matrix knows how to call it.
func TestAccessMatrix(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ops := operations(t, h.nobody().get("/api/openapi.json").obj())
		w := h.owner.world("default", "GEHEIM")
		stranger := h.otherOrg()
		own := stranger.world("other", "FREMD")
		partner := h.member("default", "partner", "Paula Partner")
		mine := h.owner.world("default", "MEINS")
		h.owner.do("PATCH", "/conversations/"+mine.conversation, map[string]any{"assignee_id": partner.id}).want(200)
		bodies := w.bodies()
		before := h.owner.snapshot(w)

		call := func(c *client, o operation, w world) *answer {
			t.Helper()
			path, ok := w.fill(o.path)
			if !ok {
				t.Fatalf("the matrix does not know the parameters of %s: teach it", o.path)
			}
			var body any
			if o.doc["requestBody"] != nil {
				if body, ok = bodies[o.id]; !ok {
					t.Fatalf("the matrix does not know a body for %s: teach it", o.id)
				}
			}
			return c.do(o.method, path, body)
		}
		openOps := map[string]bool{"check-setup": true, "setup": true, "sign-in": true, "check-invite": true, "accept-invite": true}

		t.Run("nobody", func(t *testing.T) {
			for _, o := range ops {
				for who, c := range map[string]*client{"without": h.nobody(), "bad token": {h: h, token: "rw_falsch"}, "bad cookie": {h: h, cookie: "falsch"}, "empty token": {h: h, cookie: "falsch", token: " "}} {
					a := call(c, o, w)
					if openOps[o.id] != o.open() {
						t.Errorf("%s: the document says open = %v", o.id, o.open())
					}
					if openOps[o.id] {
						if a.status < 400 || a.status >= 500 || strings.Contains(string(a.body), "signed_out") {
							t.Errorf("%s %s: %d %s", who, a.what, a.status, a.body)
						}
						continue
					}
					a.t = t
					a.problem(401, "signed_out")
					if strings.Contains(string(a.body), "GEHEIM") {
						t.Errorf("%s tells: %s", a.what, a.body)
					}
				}
			}
		})
		t.Run("stranger", func(t *testing.T) {
			for _, o := range ops {
				if o.id == "live" { // TestLivePartnerAndStranger
					continue
				}
				a := call(stranger, o, w)
				if strings.Contains(strings.ReplaceAll(string(a.body), "xGEHEIM@", ""), "GEHEIM") {
					t.Errorf("%s tells a stranger: %.500s", a.what, a.body)
				}
				if strings.Contains(o.path, "{") && a.status != 404 {
					t.Errorf("%s with a foreign id: %d, want 404: %.300s", a.what, a.status, a.body)
				}
			}
			for what, v := range map[string]struct {
				method, path string
				body         map[string]any
			}{
				"channel of theirs":     {"POST", "/conversations", map[string]any{"channel_id": w.channel, "address": "x@y.example", "text": "x"}},
				"customer of theirs":    {"POST", "/conversations", map[string]any{"channel_id": own.channel, "customer_id": w.customer, "text": "x"}},
				"channel to answer by":  {"POST", "/conversations/" + own.conversation + "/messages", map[string]any{"channel_id": w.channel, "text": "x"}},
				"address to answer to":  {"POST", "/conversations/" + own.conversation + "/messages", map[string]any{"address_id": w.address, "text": "x"}},
				"quote of theirs":       {"POST", "/conversations/" + own.conversation + "/messages", map[string]any{"reply_to": w.message, "text": "x"}},
				"file of theirs":        {"POST", "/conversations/" + own.conversation + "/messages", map[string]any{"attachments": []any{w.attachment}, "text": "x"}},
				"assign to theirs":      {"PATCH", "/conversations/" + own.conversation, map[string]any{"assignee_id": w.staff}},
				"advisor of theirs":     {"PATCH", "/customers/" + own.customer, map[string]any{"advisor_id": w.staff}},
				"join with theirs":      {"POST", "/conversations/" + own.conversation + "/join", map[string]any{"with": w.conversation, "as_participant": true}},
				"forward theirs":        {"POST", "/conversations/" + own.conversation + "/forward", map[string]any{"message_ids": []any{w.message}, "to": []any{"x@y.example"}}},
				"files of theirs":       {"POST", "/conversations/" + own.conversation + "/forward", map[string]any{"message_ids": []any{own.message}, "attachment_ids": []any{w.attachment}, "to": []any{"x@y.example"}}},
				"party of theirs":       {"POST", "/conversations/" + own.conversation + "/messages", map[string]any{"participant_id": w.participant, "text": "x"}},
				"split theirs":          {"POST", "/conversations/" + own.conversation + "/split", map[string]any{"message_ids": []any{w.message}}},
				"mention theirs":        {"POST", "/conversations/" + own.conversation + "/notes", map[string]any{"mentions": []any{w.staff}, "text": "x"}},
				"unit of theirs":        {"PATCH", "/conversations/" + own.conversation, map[string]any{"unit_id": w.unit}},
				"merge with theirs":     {"POST", "/customers/" + own.customer + "/merge", map[string]any{"with": w.customer}},
				"unmerge theirs":        {"POST", "/customers/" + own.customer + "/unmerge", map[string]any{"customer_id": w.customer}},
				"address of theirs":     {"DELETE", "/customers/" + own.customer + "/addresses/" + w.address, nil},
				"read up to theirs":     {"POST", "/conversations/" + own.conversation + "/read", map[string]any{"message_id": w.message}},
				"conversations of them": {"GET", "/conversations?customer_id=" + w.customer, nil},
				"their staff's":         {"GET", "/conversations?assignee=" + w.staff, nil},
			} {
				var body any
				if v.body != nil {
					body = v.body
				}
				a := stranger.do(v.method, v.path, body)
				if v.method == "GET" {
					if len(a.want(200).items()) != 0 {
						t.Errorf("%s: %s", what, a.body)
					}
				} else if a.status != 404 && a.status != 422 {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
				if strings.Contains(string(a.body), "GEHEIM") {
					t.Errorf("%s tells: %s", what, a.body)
				}
			}
			// The same address exists in both organisations and is two people.
			stranger.do("POST", "/customers", map[string]any{"name": "Namensvetter", "addresses": []any{map[string]any{"kind": "email", "value": "kunde-geheim@kunde.example"}}}).want(201)
		})
		t.Run("partner", func(t *testing.T) {
			allowed := map[string]bool{ // what a partner may call without naming something: it gives only their own
				"list-channel-kinds": true, "list-channels": true, "list-conversations": true, "count-conversations": true, "list-customers": true, "upload-attachment": true, "list-deliveries": true, "get-session": true,
				"change-me": true, "start-totp": true, "enable-totp": true, "disable-totp": true, "list-staff": true,
				"list-views": true, "save-view": true, "list-text-blocks": true, "save-text-block": true, "list-units": true, "list-tags": true, "change-conversations": true, "get-preferences": true, "search": true, "put-preferences": true,
				"list-asks": true, "list-ask-templates": true, "preview-ask": true, "list-calendars": true,
			}
			for _, o := range ops {
				if openOps[o.id] || o.id == "live" || o.id == "sign-out" || o.id == "get-remote-image" {
					continue
				}
				a := call(partner, o, w)
				text := string(a.body)
				switch o.id {
				case "list-staff", "list-channels", "get-channel", "list-units": // colleagues and channels have names that all staff know
					text = ""
				}
				if strings.Contains(text, "GEHEIM") {
					t.Errorf("%s tells a partner: %.500s", a.what, a.body)
				}
				switch {
				case o.id == "get-channel":
				case strings.HasPrefix(o.path, "/api/v1/channels/{id}"), strings.HasPrefix(o.path, "/api/v1/staff/{id}"), strings.HasPrefix(o.path, "/api/v1/work-items"), o.id == "create-channel", o.id == "invite-staff",
					strings.HasPrefix(o.path, "/api/v1/channel-kinds/"), strings.HasPrefix(o.path, "/api/v1/units/{id}"), strings.HasPrefix(o.path, "/api/v1/senders"), strings.HasPrefix(o.path, "/api/v1/dialogs"), strings.HasPrefix(o.path, "/api/v1/calendars/{key}"), strings.HasPrefix(o.path, "/api/v1/contact"), o.id == "save-calendar", o.id == "add-unit", o.id == "change-org", o.id == "create-customer", o.id == "merge-customers", o.id == "unmerge-customers":
					if a.status != 403 {
						t.Errorf("%s as a partner: %d, want 403", a.what, a.status)
					}
				case strings.Contains(o.path, "{"):
					if a.status != 404 {
						t.Errorf("%s as a partner: %d, want 404: %.300s", a.what, a.status, a.body)
					}
				case o.id == "start-conversation":
					if a.status != 422 {
						t.Errorf("%s as a partner: %d, want 422: %.300s", a.what, a.status, a.body)
					}
				case !allowed[o.id]:
					t.Errorf("%s: say in the matrix what a partner may do with it", o.id)
				}
			}
			partner.do("POST", "/conversations", map[string]any{"channel_id": h.mail, "address": "kunde-geheim@kunde.example", "text": "x"}).problem(403, "forbidden")
			partner.do("POST", "/conversations", map[string]any{"channel_id": h.mail, "address": "neu@kunde.example", "text": "x"}).problem(403, "forbidden")
			// What is theirs they can read and answer.
			for _, p := range []string{"/conversations/" + mine.conversation, "/conversations/" + mine.conversation + "/messages", "/messages/" + mine.message, "/messages/" + mine.message + "/html", "/attachments/" + mine.attachment, "/customers/" + mine.customer} {
				if a := partner.get(p).want(200); !strings.Contains(string(a.body), "MEINS") && !strings.Contains(p, "html") {
					t.Errorf("%s: %s", p, a.body)
				}
			}
			if rows := partner.get("/conversations").items(); len(rows) != 1 || rows[0].str("id") != mine.conversation {
				t.Errorf("a partner's list: %v", rows)
			}
			for _, f := range []string{"assignee=none", "assignee=" + h.owner.id} {
				if rows := partner.get("/conversations?" + f).items(); len(rows) != 0 {
					t.Errorf("a partner's list with %s: %v", f, rows)
				}
			}
			if d := partner.get("/deliveries").items(); len(d) != 1 || d[0].str("id") != mine.delivery || d[0].str("conversation_id") != mine.conversation {
				t.Errorf("a partner's deliveries: %v", d)
			}
			if c := partner.get("/conversations/counts").obj(); c.num("mine") != 1 || c.num("open") != 0 || c.num("work_items") != 0 || c.num("uncertain") != 0 {
				t.Errorf("a partner's counts: %v", c)
			}
			partner.get("/conversations/" + mine.conversation + "/draft").want(204) // the owner's draft is the owner's
			partner.do("POST", "/conversations", map[string]any{"channel_id": mine.channel, "customer_id": mine.customer, "text": "x"}).want(201)
			for _, c := range partner.get("/customers/" + mine.customer).want(200).obj().list("conversations") {
				if c.str("assignee.id") != partner.id {
					t.Errorf("a partner sees %v", c)
				}
			}
			partner.do("POST", "/customers/"+mine.customer+"/addresses", map[string]any{"kind": "email", "value": "kunde-geheim@kunde.example"}).problem(403, "forbidden")
			// A file whose id was learned somewhere gives no signed URL by being written into a message.
			m := partner.do("POST", "/conversations/"+mine.conversation+"/messages", map[string]any{"html": "<p>cid:" + w.attachment + ` <img src="cid:` + w.attachment + `"></p>`, "text": "x"}).want(201)
			html := partner.get("/messages/" + m.obj().str("id") + "/html").want(200)
			if strings.Contains(string(m.body), "attachments/"+w.attachment) || strings.Contains(string(html.body), "attachments/"+w.attachment) {
				t.Errorf("a signed URL of somebody else's file: %s", html.body)
			}
			// What is taken away is gone.
			h.owner.do("PATCH", "/conversations/"+mine.conversation, map[string]any{"assignee_id": nil}).want(200)
			partner.get("/conversations/"+mine.conversation).problem(404, "not_found")
			partner.get("/messages/"+mine.message).problem(404, "not_found")
		})
		t.Run("advisor", func(t *testing.T) {
			advisor := h.member("default", "advisor", "Anna Advisor")
			for _, o := range ops {
				switch {
				case o.method == "GET", !strings.HasPrefix(o.path, "/api/v1/channels") && !strings.HasPrefix(o.path, "/api/v1/staff"):
					continue
				}
				a := call(advisor, o, w)
				a.t = t
				a.problem(403, "forbidden")
			}
			for _, c := range advisor.get("/channels").want(200).items() {
				if len(c.obj("settings")) != 0 {
					t.Errorf("an advisor sees settings: %v", c)
				}
			}
			advisor.get("/conversations/" + w.conversation).want(200)
		})
		t.Run("manager", func(t *testing.T) {
			m := h.member("default", "manager", "Max Manager")
			owner2 := h.member("default", "owner", "Zweiter Inhaber")
			for what, body := range map[string]any{"name": map[string]any{"name": "x"}, "role": map[string]any{"role": "advisor"}, "off": map[string]any{"enabled": false}, "reset": map[string]any{"reset_password": true}} {
				if a := m.do("PATCH", "/staff/"+owner2.id, body); a.status != 403 || strings.Contains(string(a.body), "token=") {
					t.Errorf("a manager touches an owner (%s): %d %s", what, a.status, a.body)
				}
			}
			m.do("PATCH", "/staff/"+m.id, map[string]any{"role": "owner"}).problem(403, "forbidden")
			m.do("PATCH", "/staff/"+w.staff, map[string]any{"role": "owner"}).problem(403, "forbidden")
			m.do("POST", "/staff", map[string]any{"name": "x", "email": "ox@y.example", "role": "owner"}).problem(403, "forbidden")
			m.do("POST", "/staff", map[string]any{"name": "x", "email": "ax@y.example", "role": "manager"}).want(201)
			m.do("PATCH", "/channels/"+w.channel, map[string]any{"name": "Postfach GEHEIM"}).want(200)
			// The last owner stays.
			h.owner.do("PATCH", "/staff/"+owner2.id, map[string]any{"enabled": false}).want(200)
			h.owner.do("PATCH", "/staff/"+h.owner.id, map[string]any{"role": "manager"}).problem(409, "last_owner")
			h.owner.do("PATCH", "/staff/"+h.owner.id, map[string]any{"enabled": false}).problem(409, "last_owner")
			owner2.get("/session").problem(401, "signed_out")
		})
		// Whatever strangers and partners tried: nothing of it had an effect.
		if after := h.owner.snapshot(w); stripStaff(after) != stripStaff(before) {
			t.Errorf("the matrix changed something:\n%s\nwas\n%s", after, before)
		}
	})
}

// stripStaff leaves out the list of staff, to which the tests add.
func stripStaff(s string) string {
	lines := strings.Split(s, "\n")
	lines[8], lines[10] = "", ""
	return strings.Join(lines, "\n")
}

// TestMassAssignment: fields that no request may set are ignored, whoever sends them.
func TestMassAssignment(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.otherOrg()
		evil := id()
		extra := func(m map[string]any) map[string]any {
			for k, v := range map[string]any{"org": "other", "org_id": "other", "Org": "other", "id": evil, "ID": evil, "created_at": "1999-01-01T00:00:00Z", "author": "customer", "author_id": evil, "author_name": "Chef",
				"direction": "in", "state": "sent", "delivery": map[string]any{"state": "read"}, "assurance": "verified", "kind_": "x", "merged_into": evil, "conversation_id": evil, "received": 99, "sent_at": "1999-01-01T00:00:00Z", "created_by": evil, "hold": 0} {
				if _, ok := m[k]; !ok {
					m[k] = v
				}
			}
			return m
		}
		advisor := h.member("default", "advisor", "Anton")
		check := func(o object, what string) {
			t.Helper()
			if o.str("id") == evil || o.str("id") == "" || strings.HasPrefix(o.str("created_at"), "1999") {
				t.Errorf("%s: %v", what, o)
			}
		}
		me := advisor.do("PATCH", "/session", extra(map[string]any{"role": "owner", "email": "chef@firma.example", "totp_enabled": true, "enabled": true, "name": "Anton A."})).want(200).obj()
		if me.str("user.role") != "advisor" || me.str("user.email") != advisor.email || me.str("user.id") != advisor.id || me.str("org.id") != "default" || me.str("user.name") != "Anton A." {
			t.Errorf("me: %v", me)
		}
		c := advisor.do("POST", "/customers", extra(map[string]any{"name": "Neu", "advisor": evil, "addresses": []any{map[string]any{"kind": "email", "value": "n@k.example", "assurance": "verified", "id": evil, "channel_id": evil, "opted_out": true}}})).want(201).obj()
		check(c, "customer")
		if a := c.list("addresses")[0]; a.str("assurance") != "claimed" || a.str("id") == evil || a.yes("opted_out") {
			t.Errorf("address: %v", a)
		}
		check(advisor.do("PATCH", "/customers/"+c.str("id"), extra(map[string]any{"name": "Neu 2"})).want(200).obj(), "changed customer")
		r := advisor.do("POST", "/conversations", extra(map[string]any{"channel_id": h.mail, "customer_id": c.str("id"), "text": "x", "status": "closed", "assignee": map[string]any{"id": evil}, "unread": 5})).want(201).obj()
		check(r, "conversation")
		if r.str("status") != "open" || r.str("assignee.id") != advisor.id {
			t.Errorf("conversation: %v", r)
		}
		check(advisor.do("PATCH", "/conversations/"+r.str("id"), extra(map[string]any{"subject": "neu", "customer_id": evil, "channel_kind": "telegram"})).want(200).obj(), "changed conversation")
		m := advisor.do("POST", "/conversations/"+r.str("id")+"/messages", extra(map[string]any{"text": "x", "kind": "note", "external_id": "<x@y>", "automatic": true})).want(201).obj()
		check(m, "message")
		if m.str("direction") != "out" || m.str("author") != "staff" || m.str("author_name") != "Anton A." || m.str("kind") != "message" || m.str("conversation_id") != r.str("id") || m.yes("automatic") || m.str("external_id") == "<x@y>" || m.str("delivery.state") != "queued" {
			t.Errorf("message: %v", m)
		}
		n := advisor.do("POST", "/conversations/"+r.str("id")+"/notes", extra(map[string]any{"text": "x", "kind": "message"})).want(201).obj()
		check(n, "note")
		if n.str("kind") != "note" || n.str("author_name") != "Anton A." {
			t.Errorf("note: %v", n)
		}
		ch := h.owner.do("POST", "/channels", extra(map[string]any{"kind": "telegram", "name": "x", "settings": map[string]any{"token": "1:x", "api_url": "http://127.0.0.1:1", "mode": "webhook"}, "enabled": false, "health": map[string]any{"state": "green"}})).want(201).obj()
		check(ch, "channel")
		if !ch.yes("enabled") {
			t.Errorf("channel: %v", ch)
		}
		if a, err := h.Accounts.Get("default", ch.str("id")); err != nil || a.Org != "default" {
			t.Errorf("the channel belongs to %q, %v", a.Org, err)
		}
		st := h.owner.do("POST", "/staff", extra(map[string]any{"name": "S", "email": "s@firma.example", "role": "advisor", "password": password, "enabled": false, "totp_enabled": true})).want(201).obj()
		check(st, "staff")
		if !st.yes("enabled") || st.yes("totp_enabled") {
			t.Errorf("staff: %v", st)
		}
		h.nobody().do("POST", "/session", map[string]any{"email": "s@firma.example", "password": password}).problem(401, "wrong_credentials") // the password was not taken
		var foreign int
		if err := h.DB.Org("other").Row(h.ctx(), `SELECT (SELECT COUNT(*) FROM customer WHERE org = $1) + (SELECT COUNT(*) FROM conversation WHERE org = $1) + (SELECT COUNT(*) FROM message WHERE org = $1)`).Scan(&foreign); err != nil || foreign != 0 {
			t.Errorf("%d rows in the other organisation, %v", foreign, err)
		}
	})
}

// TestSession: cookies, fixation, removal, cross-site requests.
func TestSession(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		n := h.nobody()
		a := n.do("POST", "/session", map[string]string{"email": h.owner.email, "password": password}, "Cookie", "rufweite_session=vom-angreifer-gesetzt").want(200)
		var c *http.Cookie
		for _, v := range (&http.Response{Header: a.header}).Cookies() {
			if v.Name == "rufweite_session" {
				c = v
			}
		}
		if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge <= 0 || c.Domain != "" || c.Secure {
			t.Fatalf("cookie: %+v", c)
		}
		if c.Value == "vom-angreifer-gesetzt" || len(c.Value) < 40 {
			t.Errorf("session fixation: %q", c.Value)
		}
		o := a.obj()
		for _, f := range []string{"user.id", "user.name", "user.email", "user.role", "user.language", "org.id", "org.name"} {
			if o.str(f) == "" {
				t.Errorf("session has no %s: %v", f, o)
			}
		}
		second := h.owner.desk()
		if second.cookie == c.Value {
			t.Error("two sign-ins share a session")
		}
		desk := &client{h: h, cookie: c.Value}
		(&client{h: h, cookie: "vom-angreifer-gesetzt"}).get("/session").problem(401, "signed_out")

		// A request that another site makes the browser send is refused before anything happens.
		for what, header := range map[string][]string{"fetch metadata": {"Sec-Fetch-Site", "cross-site"}, "same-site sibling": {"Sec-Fetch-Site", "same-site"}, "origin": {"Origin", "https://angreifer.example"}, "null origin": {"Origin", "null"},
			"empty bearer": {"Authorization", "Bearer ", "Sec-Fetch-Site", "cross-site"}, "other scheme": {"Authorization", "Basic eDp5", "Sec-Fetch-Site", "cross-site"}} {
			for _, op := range [][2]string{{"POST", "/customers"}, {"PATCH", "/session"}, {"DELETE", "/session"}, {"POST", "/attachments"}} {
				a := desk.do(op[0], op[1], map[string]any{"name": "CSRF"}, header...)
				if a.status != 403 {
					t.Errorf("%s %s: %d", what, a.what, a.status)
					continue
				}
				a.problem(403, "cross_origin")
			}
		}
		n.do("POST", "/session", map[string]string{"email": h.owner.email, "password": password}, "Origin", "https://angreifer.example").problem(403, "cross_origin") // sign-in CSRF
		if got := desk.get("/session").want(200).obj().str("user.name"); got != "Olga Owner" {
			t.Errorf("name %q", got)
		}
		own := "http://" + h.HTTPAddr()
		desk.do("POST", "/customers", map[string]any{"name": "erlaubt"}, "Origin", own).want(201)
		desk.do("POST", "/customers", map[string]any{"name": "erlaubt"}, "Sec-Fetch-Site", "same-origin").want(201)
		h.owner.do("POST", "/customers", map[string]any{"name": "erlaubt"}, "Origin", "https://programm.example").want(201) // tokens are not sent by browsers on their own

		// Signed out is signed out.
		out := desk.do("DELETE", "/session", nil).want(204)
		if v := (&http.Response{Header: out.header}).Cookies(); len(v) != 1 || v[0].MaxAge >= 0 {
			t.Errorf("the cookie is not taken back: %v", v)
		}
		desk.get("/session").problem(401, "signed_out")
		second.get("/session").want(200)

		// A changed password ends the other sessions, not this one.
		m := h.member("default", "advisor", "Anton")
		d1, d2 := m.desk(), m.desk()
		d1.do("PATCH", "/session", map[string]any{"password": map[string]any{"current": "falsch", "new": "noch ein langes Passwort"}}).problem(422, "invalid")
		d1.do("PATCH", "/session", map[string]any{"password": map[string]any{"current": password, "new": "kurz"}}).problem(422, "weak_password")
		ch := d1.do("PATCH", "/session", map[string]any{"password": map[string]any{"current": password, "new": "noch ein langes Passwort"}}).want(200)
		d2.get("/session").problem(401, "signed_out")
		d1.get("/session").problem(401, "signed_out")
		d1.cookie = ch.cookie()
		d1.get("/session").want(200)
		if a := m.do("PATCH", "/session", map[string]any{"name": "Anton"}).want(200); a.header.Values("Set-Cookie") != nil {
			t.Errorf("a token's answer sets a cookie: %v", a.header["Set-Cookie"])
		}
		// A removed member's sessions and tokens are dead at once.
		h.owner.do("PATCH", "/staff/"+m.id, map[string]any{"enabled": false}).want(200)
		d1.get("/session").problem(401, "signed_out")
		m.get("/session").problem(401, "signed_out")
		n.do("POST", "/session", map[string]string{"email": m.email, "password": "noch ein langes Passwort"}).problem(401, "wrong_credentials")
		// A changed role holds at once.
		p := h.member("default", "advisor", "Peter")
		p.get("/work-items").want(200)
		h.owner.do("PATCH", "/staff/"+p.id, map[string]any{"role": "partner"}).want(200)
		p.get("/work-items").problem(403, "forbidden")
		// Sessions end by themselves.
		late := h.owner.desk()
		h.leap(15 * 24 * time.Hour)
		late.get("/session").problem(401, "signed_out")
	})
}

// TestGuessing: a few wrong passwords, then a pause; it says so, and it says nothing else.
func TestGuessing(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		victim := h.member("default", "advisor", "Opfer")
		for i := range 8 {
			a := h.nobody().do("POST", "/session", map[string]string{"email": victim.email, "password": fmt.Sprint("falsch", i)})
			a.problem(401, "wrong_credentials")
		}
		a := h.nobody().do("POST", "/session", map[string]string{"email": victim.email, "password": password})
		a.problem(429, "too_many_attempts")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		h.leap(16 * time.Minute)
		h.nobody().do("POST", "/session", map[string]string{"email": victim.email, "password": password}).want(200)
		none := h.nobody().do("POST", "/session", map[string]string{"email": "niemand@firma.example", "password": password}).problem(401, "wrong_credentials")
		some := h.nobody().do("POST", "/session", map[string]string{"email": victim.email, "password": "falsch"}).problem(401, "wrong_credentials")
		if fmt.Sprint(none) != fmt.Sprint(some) {
			t.Errorf("the answer tells who exists: %v / %v", none, some)
		}
	})
}
