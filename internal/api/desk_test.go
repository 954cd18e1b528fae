package api_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/conversation"
)

// TestUndo: what is written in the desk can be taken back for five seconds; what programs send leaves at once.
func TestUndo(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.freeze()
		d := h.owner.desk()
		r := h.mailed("Erika", emailsim.Message{Subject: "Frage", Text: "Wann?"})
		c := r.str("id")
		to := h.owner.messages(c)[0].str("address")
		up := d.do("POST", "/attachments", "abc", "Content-Type", "text/plain", "X-File-Name", "a.txt").want(201).obj().str("id")
		d.do("PUT", "/conversations/"+c+"/draft", map[string]any{"text": "Morg"}).want(204)
		send := func(who *client) object {
			t.Helper()
			return who.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Morgen", "attachments": []any{up}, "client_id": "client-1"}).want(201).obj()
		}
		m := send(d)
		until, err := time.Parse(time.RFC3339Nano, m.str("delivery.undo_until"))
		if left := until.Sub(h.now()); err != nil || left > 5*time.Second || left < 5*time.Second-time.Millisecond {
			t.Errorf("undo_until in %v, %v", left, err)
		}
		d.get("/conversations/" + c + "/draft").want(204) // sent drafts are gone
		if w := d.get("/conversations/" + c).obj(); w.at("waiting_since") != nil || w.str("last_message.text") != "Morgen" {
			t.Errorf("row: %v", w)
		}
		back := d.do("POST", "/messages/"+m.str("id")+"/cancel", nil).want(200).obj()
		if back.str("text") != "Morgen" || len(back.list("attachments")) != 1 || back.list("attachments")[0].str("id") != up {
			t.Errorf("taken back: %v", back)
		}
		d.get("/messages/"+m.str("id")).problem(404, "not_found")
		d.do("POST", "/messages/"+m.str("id")+"/cancel", nil).problem(404, "not_found")
		if w := d.get("/conversations/" + c).obj(); w.at("waiting_since") == nil || w.str("last_message.direction") != "in" {
			t.Errorf("row after undo: %v", w)
		}
		// The same send again is a new send: the first one never was.
		m = send(d)
		h.leap(6 * time.Second)
		h.delivered(m.str("id"), "sent")
		d.do("POST", "/messages/"+m.str("id")+"/cancel", nil).problem(409, "already_sent")
		if got := h.mx.To(to); len(got) != 1 {
			t.Errorf("%d mails", len(got))
		}
		in := h.owner.messages(c)[0]
		d.do("POST", "/messages/"+in.str("id")+"/cancel", nil).problem(409, "already_sent")
		// A program's message has no hold.
		p := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "vom Programm"}).want(201).obj()
		if p.at("delivery.undo_until") != nil {
			t.Errorf("a program's message waits: %v", p["delivery"])
		}
		h.delivered(p.str("id"), "sent")
		// Sent later: taken back until then.
		l := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "später", "send_at": h.now().Add(time.Hour)}).want(201).obj()
		h.owner.do("POST", "/messages/"+l.str("id")+"/cancel", nil).want(200)
		l = h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "später", "send_at": h.now().Add(time.Hour)}).want(201).obj()
		h.leap(61 * time.Minute)
		h.delivered(l.str("id"), "sent")
	})
}

// TestNotesStayInside: a note is never sent, quoted, threaded or counted.
func TestNotesStayInside(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.mailed("Erika", emailsim.Message{Subject: "Frage", Text: "Wann?"})
		c := r.str("id")
		to := h.owner.messages(c)[0].str("address")
		const secret = "STRENG-INTERN"
		note := h.owner.do("POST", "/conversations/"+c+"/notes", map[string]any{"text": secret + " Kunde ist schwierig", "client_id": "n1"}).want(201).obj()
		if note.str("kind") != "note" || note.at("delivery") != nil || note.at("channel") != nil {
			t.Errorf("note: %v", note)
		}
		if again := h.owner.do("POST", "/conversations/"+c+"/notes", map[string]any{"text": secret, "client_id": "n1"}).want(201).obj(); again.str("id") != note.str("id") {
			t.Error("noted twice")
		}
		h.owner.do("POST", "/conversations/"+c+"/notes", map[string]any{"text": ""}).problem(422, "invalid")
		if w := h.owner.get("/conversations/" + c).obj(); strings.Contains(w.str("last_message.text"), secret) || w.at("waiting_since") == nil || w.num("unread") != 1 {
			t.Errorf("row: %v", w)
		}
		h.owner.do("PATCH", "/conversations/"+c, map[string]any{"status": "closed"}).want(200)
		h.owner.do("PATCH", "/conversations/"+c, map[string]any{"status": "open"}).want(200)
		for _, m := range h.owner.messages(c) {
			if m.str("kind") != "message" {
				h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "x", "reply_to": m.str("id")}).problem(422, "invalid")
			}
		}
		other := h.written("Anderer", "hallo")
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "x", "reply_to": h.owner.messages(other.str("id"))[0].str("id")}).problem(422, "invalid")
		m := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Morgen."}).want(201).obj()
		h.delivered(m.str("id"), "sent")
		// The customer's other channel: what is quoted there is said in words, notes are not.
		chat := h.written("Erika Chat", "und hier?")
		h.owner.do("POST", "/customers/"+r.str("customer.id")+"/merge", map[string]any{"with": chat.str("customer.id")}).want(200)
		q := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Bitte sehr.", "channel_id": h.bot, "reply_to": h.owner.messages(c)[0].str("id")})
		if q.status != 201 {
			t.Fatalf("switch of channel: %d %s", q.status, q.body)
		}
		for _, mail := range h.mx.To(to) {
			if strings.Contains(string(mail.Raw), secret) || strings.Contains(emailsim.PlainText(mail.Raw), secret) {
				t.Errorf("a note left the house: %s", mail.Raw)
			}
		}
		if len(h.mx.To(to)) == 0 {
			t.Error("no mail")
		}
		h.owner.do("POST", "/messages/"+note.str("id")+"/cancel", nil).problem(409, "already_sent")
	})
}

func TestDraftsAndReadMarks(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		anna := h.member("default", "advisor", "Anna")
		h.chat(4001, "Leser", "eins")
		c := h.owner.conversation("Leser").str("id")
		h.chat(4001, "Leser", "zwei")
		h.chat(4001, "Leser", "drei")
		h.eventually("three", func() bool { return h.owner.get("/conversations/"+c).obj().num("unread") == 3 })
		draft := map[string]any{"text": "Halb", "channel_id": h.bot, "address_id": "x", "reply_to": "y", "subject": "z", "cc": []any{map[string]any{"name": "n", "address": "a@b.example"}}, "bcc": []any{}, "attachments": []any{map[string]any{"id": "f", "name": "n.txt"}}}
		h.owner.get("/conversations/" + c + "/draft").want(204)
		h.owner.do("PUT", "/conversations/"+c+"/draft", draft).want(204)
		got := h.owner.get("/conversations/" + c + "/draft").want(200).obj()
		for k, v := range draft {
			if fmt.Sprint(got[k]) != fmt.Sprint(v) {
				t.Errorf("draft %s = %v, want %v", k, got[k], v)
			}
		}
		if got.str("updated_at") == "" {
			t.Errorf("draft: %v", got)
		}
		anna.get("/conversations/" + c + "/draft").want(204)
		anna.do("PUT", "/conversations/"+c+"/draft", map[string]any{"text": "Annas"}).want(204)
		h.owner.do("PUT", "/conversations/"+c+"/draft", map[string]any{"text": "Ganz"}).want(204)
		if o := h.owner.get("/conversations/" + c + "/draft").obj(); o.str("text") != "Ganz" || o.str("subject") != "" {
			t.Errorf("PUT replaces: %v", o)
		}
		h.owner.do("DELETE", "/conversations/"+c+"/draft", nil).want(204)
		h.owner.get("/conversations/" + c + "/draft").want(204)
		if o := anna.get("/conversations/" + c + "/draft").want(200).obj(); o.str("text") != "Annas" {
			t.Errorf("a colleague's draft: %v", o)
		}

		m := h.owner.messages(c)
		unread := func(who *client) float64 { return who.get("/conversations/" + c).want(200).obj().num("unread") }
		h.owner.do("POST", "/conversations/"+c+"/read", map[string]any{"message_id": m[1].str("id")}).want(204)
		if unread(h.owner) != 1 || unread(anna) != 3 {
			t.Errorf("unread: %v, %v", unread(h.owner), unread(anna))
		}
		h.owner.do("POST", "/conversations/"+c+"/read", map[string]any{"message_id": m[0].str("id")}).want(204) // never back
		if unread(h.owner) != 1 {
			t.Errorf("unread went back: %v", unread(h.owner))
		}
		h.owner.do("POST", "/conversations/"+c+"/read", map[string]any{}).want(204)
		if unread(h.owner) != 0 {
			t.Errorf("unread: %v", unread(h.owner))
		}
		h.owner.do("POST", "/conversations/"+c+"/read", map[string]any{"message_id": id()}).problem(404, "not_found")
		h.chat(4001, "Leser", "vier")
		h.eventually("one more", func() bool { return unread(h.owner) == 1 && unread(anna) == 4 })
		anna.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Antwort"}).want(201)
		if unread(anna) != 0 || unread(h.owner) != 1 {
			t.Errorf("who answers has read: %v, %v", unread(anna), unread(h.owner))
		}
	})
}

func TestSnoozeAssignClose(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		anna := h.member("default", "advisor", "Anna")
		gone := h.member("default", "advisor", "Gegangen")
		h.owner.do("PATCH", "/staff/"+gone.id, map[string]any{"enabled": false}).want(200)
		h.chat(4100, "Warter", "eins")
		c := h.owner.conversation("Warter").str("id")
		patch := func(body map[string]any) *answer {
			t.Helper()
			return h.owner.do("PATCH", "/conversations/"+c, body)
		}
		patch(map[string]any{"status": "snoozed"}).problem(422, "invalid")
		patch(map[string]any{"snoozed_until": h.now().Add(-time.Minute)}).problem(422, "invalid")
		patch(map[string]any{"status": "vergessen"}).problem(422, "invalid")
		patch(map[string]any{"assignee_id": id()}).problem(422, "invalid")
		patch(map[string]any{"assignee_id": gone.id}).problem(422, "invalid")
		if r := patch(map[string]any{"assignee_id": anna.id, "tags": []string{"eilig", "vip"}, "subject": "Neuer Betreff"}).want(200).obj(); r.str("assignee.name") != "Anna" || fmt.Sprint(r["tags"]) != "[eilig vip]" || r.str("subject") != "Neuer Betreff" {
			t.Errorf("row: %v", r)
		}
		until := h.now().Add(2 * time.Hour)
		if r := patch(map[string]any{"snoozed_until": until}).want(200).obj(); r.str("status") != "snoozed" || r.at("snoozed_until") == nil || r.str("assignee.name") != "Anna" {
			t.Errorf("snoozed: %v", r)
		}
		wake := func() int {
			n, err := conversation.Wake(h.ctx(), h.DB.Org("default"), h.now())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if wake() != 0 {
			t.Error("woken too early")
		}
		h.leap(2*time.Hour + time.Second)
		h.eventually("woken", func() bool { wake(); return h.owner.get("/conversations/"+c).obj().str("status") == "open" })
		// An answer of the customer wakes, too.
		patch(map[string]any{"snoozed_until": h.now().Add(time.Hour)}).want(200)
		h.chat(4100, "Warter", "zwei")
		h.eventually("woken by the customer", func() bool { return h.owner.get("/conversations/"+c).obj().str("status") == "open" })
		// By hand.
		patch(map[string]any{"snoozed_until": h.now().Add(time.Hour)}).want(200)
		if r := patch(map[string]any{"snoozed_until": nil}).want(200).obj(); r.str("status") != "open" || r.at("snoozed_until") != nil {
			t.Errorf("by hand: %v", r)
		}
		// Closed is closed, until the customer writes.
		if r := patch(map[string]any{"status": "closed"}).want(200).obj(); r.str("status") != "closed" || r.at("waiting_since") != nil {
			t.Errorf("closed: %v", r)
		}
		if r := patch(map[string]any{"status": "open", "assignee_id": nil}).want(200).obj(); r.str("status") != "open" || r.at("assignee") != nil {
			t.Errorf("reopened: %v", r)
		}
		var types []string
		for _, m := range h.owner.messages(c) {
			if m.str("kind") == "event" {
				if m.str("event.type") == "assigned" && m.str("event.to") == "Anna" && m.str("event.by") != "Olga Owner" {
					t.Errorf("event: %v", m["event"])
				}
				types = append(types, m.str("event.type"))
			}
		}
		if got := strings.Join(types, " "); got != "assigned snoozed woken snoozed woken snoozed woken closed assigned reopened" && got != "assigned snoozed woken snoozed woken snoozed woken closed reopened assigned" {
			t.Errorf("events: %s", got)
		}
		// A mail that answers a closed conversation reopens it; much later it opens another one that says so.
		r := h.mailed("Erika", emailsim.Message{Subject: "Alt", Text: "eins"})
		m := h.owner.do("POST", "/conversations/"+r.str("id")+"/messages", map[string]any{"text": "Antwort"}).want(201).obj()
		h.delivered(m.str("id"), "sent")
		from := h.owner.messages(r.str("id"))[0].str("address")
		mail := h.mx.To(from)[0]
		h.owner.do("PATCH", "/conversations/"+r.str("id"), map[string]any{"status": "closed"}).want(200)
		erika := h.customer("Erika", from)
		erika.Now = h.now
		if _, err := erika.Reply(h.ctx(), mail.Raw, "Danke"); err != nil {
			t.Fatal(err)
		}
		h.eventually("reopened", func() bool { return h.owner.get("/conversations/"+r.str("id")).obj().str("status") == "open" })
		h.owner.do("PATCH", "/conversations/"+r.str("id"), map[string]any{"status": "closed"}).want(200)
		h.leap(31 * 24 * time.Hour)
		if _, err := erika.Reply(h.ctx(), mail.Raw, "Noch etwas"); err != nil {
			t.Fatal(err)
		}
		var late object
		h.eventually("a new one", func() bool {
			for _, v := range h.owner.get("/conversations?status=open&customer_id=" + r.str("customer.id")).items() {
				late = h.owner.get("/conversations/" + v.str("id")).obj()
				return true
			}
			return false
		})
		if late.str("suggestion.conversation_id") != r.str("id") || late.str("suggestion.kind") != "follows" || late.str("suggestion.reason") == "" {
			t.Errorf("suggestion: %v", late["suggestion"])
		}
	})
}

// TestResolve: what nobody knows is decided by a person, and by nothing else.
func TestResolve(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.mailed("Erika", emailsim.Message{Subject: "Frage", Text: "Wann?"})
		c := r.str("id")
		to := h.owner.messages(c)[0].str("address")
		uncertain := func() object {
			t.Helper()
			h.mx.SetFault(emailsim.HangAfterDot)
			m := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Antwort " + id()}).want(201).obj()
			m = h.delivered(m.str("id"), "uncertain")
			h.mx.SetFault(emailsim.NoFault)
			if m.str("delivery.reason") == "" || m.str("delivery.error") == "" || m.at("delivery.undo_until") != nil {
				t.Errorf("uncertain: %v", m["delivery"])
			}
			return m
		}
		m1 := uncertain()
		if w := h.owner.get("/conversations/" + c).obj(); !w.yes("failed") {
			t.Errorf("row: %v", w)
		}
		m2, m3 := uncertain(), uncertain()
		if n := h.owner.get("/conversations/counts").obj().num("uncertain"); n != 3 {
			t.Errorf("uncertain: %v", n)
		}
		list := h.owner.get("/deliveries?limit=2").want(200).obj()
		rest := h.owner.get("/deliveries?limit=2&cursor=" + list.str("next_cursor")).want(200)
		if len(list.list("items")) != 2 || len(rest.items()) != 1 || rest.obj().str("next_cursor") != "" {
			t.Errorf("deliveries: %v / %s", list, rest.body)
		}
		list.list("items")[0].has(t, "delivery", "id", "state", "error", "reason", "at", "message_id", "conversation_id", "handled", "attempts")
		sent := len(h.mx.To(to))
		resolve := func(m object, as string) *answer {
			return h.owner.do("POST", "/deliveries/"+m.str("delivery.id")+"/resolve", map[string]any{"as": as})
		}
		resolve(m1, "vielleicht").problem(422, "invalid")
		if d := resolve(m1, "sent").want(200).obj(); d.str("state") != "sent" {
			t.Errorf("sent: %v", d)
		}
		resolve(m1, "resend").problem(409, "nothing_to_decide")
		if d := resolve(m2, "failed").want(200).obj(); d.str("state") != "failed" || !d.yes("handled") {
			t.Errorf("failed: %v", d)
		}
		resolve(m2, "failed").problem(409, "nothing_to_decide")
		if len(h.mx.To(to)) != sent {
			t.Error("a decision sent something")
		}
		h.owner.do("POST", "/messages/"+m3.str("id")+"/cancel", nil).problem(409, "already_sent")
		if d := resolve(m3, "resend").want(200).obj(); d.str("state") != "queued" {
			t.Errorf("resend: %v", d)
		}
		h.delivered(m3.str("id"), "sent")
		got := h.mx.To(to)
		if len(got) != sent+1 {
			t.Fatalf("%d mails after the resend, want %d", len(got), sent+1)
		}
		if a, b := got[sent-1].Header("Message-ID"), got[sent].Header("Message-ID"); a != b {
			t.Errorf("sent again under another id: %s, %s", a, b)
		}
		if w := h.owner.get("/conversations/" + c).obj(); w.yes("failed") {
			t.Errorf("row after all was decided: %v", w)
		}
		if n := h.owner.get("/conversations/counts").obj().num("uncertain"); n != 0 {
			t.Errorf("uncertain: %v", n)
		}
		// What failed for good says why, and can be sent again.
		h.mx.SetFault(emailsim.Reject550)
		f := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "an niemanden"}).want(201).obj()
		f = h.delivered(f.str("id"), "failed")
		if f.str("delivery.reason") == "" || !strings.Contains(f.str("delivery.error"), "550") {
			t.Errorf("failed: %v", f["delivery"])
		}
		if l := h.owner.get("/deliveries?state=failed").want(200).items(); len(l) != 1 || l[0].str("message_id") != f.str("id") {
			t.Errorf("failed deliveries: %v", l)
		}
		h.mx.SetFault(emailsim.NoFault)
		resolve(f, "resend").want(200)
		h.delivered(f.str("id"), "sent")
	})
}

// TestReplySuggestion: the answer goes where the customer wrote last, says why, and says why not elsewhere.
func TestReplySuggestion(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.mailed("Erika", emailsim.Message{Subject: "Frage", Text: "Wann?"})
		c := r.str("id")
		get := func() object { return h.owner.get("/conversations/" + c).want(200).obj() }
		reply := get().obj("reply")
		reply.has(t, "reply", "channel_id", "channel_kind", "channel_name", "address_id", "address", "reason", "window_closes_at")
		if reply.str("channel_id") != h.mail || reply.str("reason.code") != "last_used" || !strings.Contains(reply.str("reason.text"), "zuletzt") {
			t.Errorf("reply: %v", reply)
		}
		ben := h.member("default", "advisor", "Ben")
		ben.do("PATCH", "/session", map[string]any{"language": "en"}).want(200)
		if v := ben.get("/conversations/" + c).obj().str("reply.reason.text"); !strings.Contains(v, "last wrote") {
			t.Errorf("in English: %q", v)
		}
		// The same person on a second channel, by the simulated provider, in the same conversation.
		who := h.tg.Customer("Erika Chat")
		who.Write("Hier bin ich auch")
		chat := h.owner.conversation("Erika Chat")
		h.owner.do("POST", "/customers/"+r.str("customer.id")+"/merge", map[string]any{"with": chat.str("customer.id")}).want(200)
		o := get()
		opts := o.list("reply_options")
		if len(opts) != 2 || o.str("reply.channel_id") != h.mail {
			t.Errorf("options: %v", opts)
		}
		opts[0].has(t, "option", "channel_id", "channel_kind", "channel_name", "address_id", "address", "assurance", "can_send", "why_not")
		if also := o.list("also_open"); len(also) != 1 || also[0].str("id") != chat.str("id") {
			t.Errorf("also open: %v", also)
		}
		var tg object
		for _, v := range opts {
			if v.str("channel_kind") == "telegram" {
				tg = v
			}
		}
		if tg == nil || !tg.yes("can_send") {
			t.Fatalf("telegram: %v", opts)
		}
		// Chosen, it goes there, and quotes in words what was said elsewhere.
		m := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Morgen!", "channel_id": tg.str("channel_id"), "address_id": tg.str("address_id"), "reply_to": h.owner.messages(c)[0].str("id")}).want(201).obj()
		h.delivered(m.str("id"), "sent")
		if in := who.Inbox(); len(in) != 1 || !strings.Contains(in[0].Text, "Morgen!") || !strings.Contains(in[0].Text, "> Wann?") {
			t.Errorf("inbox: %v", in)
		}
		// The channel cannot carry everything.
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "x", "channel_id": tg.str("channel_id"), "cc": []any{"a@b.example"}}).problem(422, "invalid")
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"html": "<p>x</p>", "channel_id": tg.str("channel_id")}).problem(422, "invalid")
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "x", "channel_id": h.mail, "address_id": tg.str("address_id")}).problem(422, "invalid")
		// The customer leaves: it says so, and why.
		who.Block()
		h.eventually("blocked", func() bool {
			for _, v := range get().list("reply_options") {
				if v.str("channel_kind") == "telegram" {
					return !v.yes("can_send") && v.str("why_not") != ""
				}
			}
			return false
		})
		p := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "x", "channel_id": h.bot}).problem(409, "cannot_send")
		if !strings.Contains(p.str("detail"), "blockiert") {
			t.Errorf("detail: %v", p)
		}
		who.Unblock()
		who.Write("Wieder da")
		h.eventually("back", func() bool {
			for _, v := range get().list("reply_options") {
				if v.str("channel_kind") == "telegram" {
					return v.yes("can_send")
				}
			}
			return false
		})
		// Without a server for outgoing mail, and switched off.
		only := h.channel("default", "email", "Nur Empfang", map[string]string{"address": "nur@firma.example"})
		h.mailed("Nur Leser", emailsim.Message{To: []string{"nur@firma.example"}, Subject: "x", Text: "y"})
		n := h.owner.conversation("Nur Leser").str("id")
		h.owner.do("POST", "/conversations", map[string]any{"channel_id": only, "address": "a@b.example", "text": "x"}).problem(422, "invalid")
		if v := h.owner.get("/channels/" + only).obj(); v.yes("can_send") || !strings.Contains(v.str("why_not"), "smtp_host") {
			t.Errorf("channel: %v", v)
		}
		nr := h.owner.get("/conversations/" + n).obj()
		if nr.str("reply.channel_id") != h.mail { // the other mailbox can
			t.Errorf("reply: %v", nr["reply"])
		}
		h.owner.do("POST", "/conversations/"+n+"/messages", map[string]any{"text": "x", "channel_id": only}).problem(409, "cannot_send")
		h.owner.do("PATCH", "/channels/"+h.mail, map[string]any{"enabled": false}).want(200)
		nr = h.owner.get("/conversations/" + n).obj()
		if nr["reply"] != nil {
			t.Errorf("reply without a way: %v", nr["reply"])
		}
		if p := h.owner.do("POST", "/conversations/"+n+"/messages", map[string]any{"text": "x"}).problem(409, "cannot_send"); !strings.Contains(p.str("detail"), "smtp_host") {
			t.Errorf("detail: %v", p)
		}
		if p := h.owner.do("POST", "/conversations", map[string]any{"channel_id": h.mail, "address": "a@b.example", "text": "x"}).problem(422, "invalid"); !strings.Contains(p.str("detail"), "abgeschaltet") {
			t.Errorf("detail: %v", p)
		}
		// A customer by hand who never wrote to the bot.
		k := h.owner.do("POST", "/customers", map[string]any{"name": "Nie Da", "addresses": []any{map[string]any{"kind": "telegram", "value": "12345"}}}).want(201).obj()
		h.owner.do("PATCH", "/channels/"+h.mail, map[string]any{"enabled": true}).want(200)
		p = h.owner.do("POST", "/conversations", map[string]any{"channel_id": h.bot, "customer_id": k.str("id"), "text": "x"}).problem(409, "cannot_send")
		if !strings.Contains(p.str("detail"), "zuerst schreiben") {
			t.Errorf("detail: %v", p)
		}
		h.owner.do("POST", "/conversations", map[string]any{"channel_id": h.bot, "address": "98765", "text": "x"}).problem(409, "cannot_send")
		if got := h.owner.get("/customers?q=98765").items(); len(got) != 0 {
			t.Errorf("a refused start left a customer behind: %v", got)
		}
		h.owner.do("POST", "/conversations", map[string]any{"channel_id": h.bot, "customer_id": chat.str("customer.id"), "address_id": tg.str("address_id"), "text": "Noch etwas"}).want(201)
	})
}

// TestFirstStart: the first-start link makes the owner, once.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	token, err := h.Auth.SetupToken(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	n := h.nobody()
	n.get("/setup?token="+token).problem(410, "link_used") // there is an owner already
	n.do("POST", "/setup", map[string]any{"token": token, "name": "Böse", "email": "boese@firma.example", "password": password}).problem(410, "link_used")

	m := h.owner.do("POST", "/staff", map[string]any{"name": "Neu", "email": "neu@firma.example", "role": "advisor", "language": "en"}).want(201).obj()
	_, invite, ok := strings.Cut(m.str("invite_url"), "/invite?token=")
	if !ok {
		t.Fatalf("invite: %v", m)
	}
	if v := n.get("/invite?token=" + invite).want(200).obj(); v.str("email") != "neu@firma.example" || v.str("name") != "Neu" {
		t.Errorf("invite: %v", v)
	}
	n.get("/invite?token=x"+invite).problem(410, "link_used")
	n.do("POST", "/invite", map[string]any{"token": invite, "password": "kurz"}).problem(422, "weak_password")
	a := n.do("POST", "/invite", map[string]any{"token": invite, "password": password}).want(200)
	if (&client{h: h, cookie: a.cookie()}).get("/session").want(200).obj().str("user.role") != "advisor" {
		t.Error("not signed in")
	}
	n.do("POST", "/invite", map[string]any{"token": invite, "password": password}).problem(410, "link_used")
	h.owner.do("POST", "/staff", map[string]any{"name": "Neu", "email": "NEU@firma.example"}).problem(409, "email_taken")
	h.owner.do("POST", "/staff", map[string]any{"name": "Neu", "email": "keine"}).problem(422, "invalid")
	r := h.owner.do("PATCH", "/staff/"+m.str("id"), map[string]any{"reset_password": true}).want(200).obj()
	_, invite, _ = strings.Cut(r.str("invite_url"), "token=")
	h.leap(8 * 24 * time.Hour)
	n.get("/invite?token="+invite).problem(410, "link_used")
}

// TestSetup: on a new installation the first-start link makes the owner, once, however many press at once.
func TestSetup(t *testing.T) {
	t.Parallel()
	a, err := app.Start(t.Context(), app.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &house{App: a, t: t}
	n := h.nobody()
	old, err := a.Auth.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := a.Auth.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.get("/setup?token="+old).problem(410, "link_used")
	n.get("/setup").problem(410, "link_used")
	if !n.get("/setup?token=" + token).want(200).obj().yes("valid") {
		t.Error("not valid")
	}
	body := map[string]any{"token": token, "org_name": "Makler Muster", "name": "Olga", "email": "olga@firma.example", "password": password, "language": "de"}
	n.do("POST", "/setup", map[string]any{"token": token, "name": "Olga", "email": "keine", "password": password}).problem(422, "invalid")
	n.do("POST", "/setup", map[string]any{"token": token, "name": "Olga", "email": "olga@firma.example", "password": "kurz"}).problem(422, "weak_password")
	results := make(chan *answer, 4)
	for i := range 4 {
		b := maps.Clone(body)
		b["email"] = fmt.Sprintf("olga%d@firma.example", i)
		go func() { results <- n.do("POST", "/setup", b) }()
	}
	var owner *client
	for range 4 {
		if r := <-results; r.status == 200 {
			if owner != nil {
				t.Error("two owners were made")
			}
			owner = &client{h: h, cookie: r.cookie()}
		} else {
			r.problem(410, "link_used")
		}
	}
	if owner == nil {
		t.Fatal("no owner was made")
	}
	if s := owner.get("/session").want(200).obj(); s.str("user.role") != "owner" || s.str("org.name") != "Makler Muster" {
		t.Errorf("session: %v", s)
	}
}

// TestSecondFactor: with it the password alone opens nothing, and a code works once.
func TestSecondFactor(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.owner.desk()
		s := d.do("POST", "/session/totp", nil).want(200).obj()
		if !strings.HasPrefix(s.str("uri"), "otpauth://totp/") || !strings.HasPrefix(s.str("qr_png"), "data:image/png;base64,") {
			t.Errorf("set-up: %v", s)
		}
		code := func() string {
			c, err := totp.GenerateCode(s.str("secret"), h.now())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		d.do("PUT", "/session/totp", map[string]any{"code": "abc"}).problem(422, "wrong_code")
		if !d.do("PUT", "/session/totp", map[string]any{"code": code()}).want(200).obj().yes("totp_enabled") {
			t.Error("not enabled")
		}
		signIn := func(code string) *answer {
			b := map[string]string{"email": h.owner.email, "password": password}
			if code != "" {
				b["totp"] = code
			}
			return h.nobody().do("POST", "/session", b)
		}
		signIn("").problem(401, "totp_required")
		signIn(code()).problem(401, "wrong_code") // it was used to enable
		h.leap(time.Minute)
		c := code()
		signIn(c).want(200)
		signIn(c).problem(401, "wrong_code")
		d.do("DELETE", "/session/totp", map[string]any{"password": "falsch"}).problem(422, "invalid")
		if d.do("DELETE", "/session/totp", map[string]any{"password": password}).want(200).obj().yes("totp_enabled") {
			t.Error("not disabled")
		}
		signIn("").want(200)
	})
}
