package api_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// entry finds the entry with this text and who outside sees it.
func (c *client) entry(conversation, text string) object {
	c.h.t.Helper()
	for _, m := range c.messages(conversation) {
		if strings.Contains(m.str("text"), text) {
			return m
		}
	}
	return nil
}

// TestForwardToInsurer: a customer's mail goes on to an insurer; the insurer's answer lands in the same conversation as
// a participant's; the customer gets nothing of it, not even an id, and is answered as before.
func TestForwardToInsurer(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.mailed("Ayşe Yıldız", emailsim.Message{Subject: "Hagelschaden", Text: "Mein Auto hat Beulen", Files: []emailsim.File{{Name: "foto.jpg", MediaType: "image/jpeg", Content: []byte("JPEGBILD")}}})
		c := r.str("id")
		mail := h.owner.messages(c)[0]
		h.owner.do("POST", "/conversations/"+c+"/notes", map[string]any{"text": "Sonderkündigung droht"}).want(201)
		body := map[string]any{"message_ids": []string{mail.str("id")}, "to": []any{"Württembergische <schaden@insurer.example>"}, "role": "insurer", "text": "Bitte regulieren Sie.", "client_id": id()}
		out := h.owner.do("POST", "/conversations/"+c+"/forward", body).want(201).obj()
		if again := h.owner.do("POST", "/conversations/"+c+"/forward", body).want(201).obj(); again.str("id") != out.str("id") {
			t.Errorf("pressed twice was sent twice")
		}
		if out.yes("audience.customer") || len(out.obj("audience")["participants"].([]any)) != 1 || !strings.Contains(out.str("text"), "Mein Auto hat Beulen") || len(out.list("attachments")) != 1 {
			t.Errorf("forwarded: %v", out)
		}
		if out.num("quoted_from") != float64(len("Bitte regulieren Sie.")) {
			t.Errorf("what was forwarded begins at %v", out.at("quoted_from"))
		}
		got, err := h.mx.Wait(h.ctx(), "schaden@insurer.example", 1)
		if err != nil {
			t.Fatal(err)
		}
		raw := got[0].Raw
		if !bytes.Contains(raw, []byte("Subject: Fwd: Hagelschaden")) || !bytes.Contains(raw, []byte("foto.jpg")) || bytes.Contains(raw, []byte("Sonderk")) || bytes.Contains(raw, []byte(strings.Trim(mail.str("external_id"), "<>"))) {
			t.Errorf("what the insurer got:\n%s", raw)
		}
		if len(got[0].To) != 1 {
			t.Errorf("it went to %v", got[0].To)
		}
		ins := h.customer("Sachbearbeiterin", "schaden@insurer.example")
		if _, err := ins.Reply(h.ctx(), raw, "Wir zahlen 1.200 Euro."); err != nil {
			t.Fatal(err)
		}
		h.eventually("the insurer's answer", func() bool { return h.owner.entry(c, "Wir zahlen") != nil })
		m := h.owner.entry(c, "Wir zahlen")
		if m.str("author") != "participant" || m.yes("audience.customer") || m.str("participant_id") != out.str("participant_id") || m.str("conversation_id") != c {
			t.Errorf("the insurer's answer: %v", m)
		}
		row := h.owner.get("/conversations/" + c).obj()
		if row.num("participants") != 1 || row.at("waiting_since") == nil || row.str("reply.address") != mail.str("address") {
			t.Errorf("after the answer: %v", row)
		}
		// The customer is answered without a trace of the insurer.
		if a := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Wir kümmern uns.", "reply_to": m.str("id"), "client_id": id()}); a.status != 409 {
			t.Errorf("the insurer's answer was quoted to the customer: %d", a.status)
		}
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Wir kümmern uns.", "client_id": id()}).want(201)
		mine, err := h.mx.Wait(h.ctx(), mail.str("address"), 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"insurer.example", "1.200", "rttembergische", strings.Trim(out.str("external_id"), "<>"), strings.Trim(m.str("external_id"), "<>")} {
			if secret != "" && bytes.Contains(mine[0].Raw, []byte(secret)) {
				t.Errorf("the customer's mail tells %q:\n%s", secret, mine[0].Raw)
			}
		}
		// And the insurer is answered in its own thread, without the customer's ids.
		back := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"participant_id": out.str("participant_id"), "text": "Danke, angenommen.", "reply_to": m.str("id"), "client_id": id()}).want(201).obj()
		if back.yes("audience.customer") {
			t.Errorf("the answer to the insurer is seen by the customer")
		}
		got, err = h.mx.Wait(h.ctx(), "schaden@insurer.example", 2)
		if err != nil {
			t.Fatal(err)
		}
		last := got[len(got)-1].Raw
		if !bytes.Contains(last, []byte("In-Reply-To: "+m.str("external_id"))) || bytes.Contains(last, []byte(strings.Trim(mail.str("external_id"), "<>"))) {
			t.Errorf("the insurer's thread:\n%s", last)
		}
		p := h.owner.get("/conversations/" + c + "/participants").items()
		if len(p) != 1 || p[0].str("role") != "insurer" || p[0].num("messages") != 3 || p[0].str("name") != "Württembergische" {
			t.Errorf("participants %v", p)
		}
		// Sent away: the next mail of theirs is a conversation of its own.
		h.owner.do("DELETE", "/conversations/"+c+"/participants/"+p[0].str("id"), nil).want(204)
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"participant_id": p[0].str("id"), "text": "x", "client_id": id()}).problem(422, "invalid")
		if _, err := ins.Reply(h.ctx(), last, "Noch eine Frage"); err != nil {
			t.Fatal(err)
		}
		h.eventually("a conversation of its own", func() bool {
			for _, r := range h.owner.get("/conversations?status=open").items() {
				if r.str("last_message.text") != "" && strings.Contains(r.str("last_message.text"), "Noch eine Frage") && r.str("id") != c {
					return true
				}
			}
			return false
		})
	})
}

// TestCopyToThirdParty: whoever is in Cc may answer exactly what they got; the preview says so beforehand.
func TestCopyToThirdParty(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		r := h.mailed("Jonas Krause", emailsim.Message{Subject: "Totalschaden", Text: "Wie geht es weiter?"})
		c := r.str("id")
		send := map[string]any{"text": "Der Gutachter kommt am Montag.", "cc": []any{"gutachter@expert.example"}, "client_id": id()}
		p := h.owner.do("POST", "/conversations/"+c+"/messages/preview", send).want(200).obj()
		var roles []string
		for _, v := range p.list("recipients") {
			roles = append(roles, v.str("field")+" "+v.str("role"))
		}
		if !reflect.DeepEqual(roles, []string{"to customer", "cc new"}) || !slices.Contains(p["warnings"].([]any), any("new_outsider")) || !slices.Contains(p["warnings"].([]any), any("customer_and_third_party")) || !p.yes("customer_sees") {
			t.Errorf("preview %v", p)
		}
		if n := len(h.owner.get("/conversations/" + c + "/participants").items()); n != 0 {
			t.Errorf("a preview made %d participants", n)
		}
		h.owner.do("POST", "/conversations/"+c+"/messages", send).want(201)
		got, err := h.mx.Wait(h.ctx(), "gutachter@expert.example", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.customer("Gutachter", "gutachter@expert.example").Reply(h.ctx(), got[0].Raw, "Montag passt mir nicht."); err != nil {
			t.Fatal(err)
		}
		h.eventually("the expert's answer", func() bool { return h.owner.entry(c, "passt mir nicht") != nil })
		if m := h.owner.entry(c, "passt mir nicht"); m.str("author") != "participant" || m.yes("audience.customer") {
			t.Errorf("the expert's answer %v", m)
		}
		// A stranger who somehow has the same mail is not let in.
		if _, err := h.customer("Fremder", "fremd@x.example").Reply(h.ctx(), got[0].Raw, "Ich lese mit"); err != nil {
			t.Fatal(err)
		}
		h.eventually("the stranger's own conversation", func() bool {
			return slices.ContainsFunc(h.owner.get("/conversations").items(), func(r object) bool { return strings.Contains(r.str("last_message.text"), "Ich lese mit") })
		})
		if h.owner.entry(c, "Ich lese mit") != nil {
			t.Error("a stranger speaks in the conversation")
		}
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "x", "cc": []any{"ohne-at"}, "client_id": id()}).problem(422, "invalid")
		h.owner.do("POST", "/conversations/"+c+"/forward", map[string]any{"message_ids": []string{h.owner.messages(c)[0].str("id")}, "to": []any{h.owner.messages(c)[0].str("address")}}).problem(409, "is_customer")
	})
}

// TestMatterRoutes: join, unjoin, split, rejoin, and the suggestion by number.
func TestMatterRoutes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.mailed("Anna Adler", emailsim.Message{Subject: "Schaden-Nr. 2026-4711", Text: "eins"}).str("id")
		h.mailed("Bernd Biber", emailsim.Message{Subject: "Anfrage", Text: "zu Schadennummer 2026/4711"})
		b := h.owner.conversation("Bernd Biber")
		full := h.owner.get("/conversations/" + b.str("id")).obj()
		if full.str("suggestion.conversation_id") != a || full.str("suggestion.reason") != "number" || full.str("suggestion.number") != "20264711" {
			t.Errorf("suggestion %v", full.obj("suggestion"))
		}
		h.owner.do("POST", "/conversations/"+a+"/join", map[string]any{"with": b.str("id")}).problem(409, "other_customer")
		h.owner.do("POST", "/conversations/"+a+"/join", map[string]any{"with": b.str("id"), "as_participant": true}).want(200)
		if m := h.owner.entry(a, "zu Schadennummer"); m == nil || m.str("author") != "participant" || m.yes("audience.customer") {
			t.Errorf("joined as a participant's: %v", m)
		}
		h.owner.do("POST", "/conversations/"+b.str("id")+"/messages", map[string]any{"text": "x", "client_id": id()}).problem(409, "joined")
		h.owner.do("POST", "/conversations/"+a+"/unjoin", map[string]any{"with": b.str("id")}).want(200)
		if m := h.owner.entry(b.str("id"), "zu Schadennummer"); m == nil || m.str("author") != "customer" || !m.yes("audience.customer") {
			t.Errorf("taken back: %v", m)
		}
		h.owner.do("DELETE", "/conversations/"+b.str("id")+"/suggestion", nil).want(200)
		if v := h.owner.get("/conversations/" + b.str("id")).obj().at("suggestion"); v != nil {
			t.Errorf("still suggested: %v", v)
		}
		sent := h.owner.do("POST", "/conversations/"+a+"/messages", map[string]any{"text": "zwei", "client_id": id()}).want(201).obj()
		h.delivered(sent.str("id"), "sent")
		fresh := h.owner.do("POST", "/conversations/"+a+"/split", map[string]any{"message_ids": []string{sent.str("id")}, "subject": "Nebensache"}).want(201).obj()
		if got := h.owner.get("/messages/" + sent.str("id")).obj(); got.str("conversation_id") != fresh.str("id") || got.str("delivery.conversation_id") != fresh.str("id") || got.str("moved_from") != a {
			t.Errorf("split: %v", got)
		}
		h.owner.do("POST", "/conversations/"+fresh.str("id")+"/rejoin", nil).want(200)
		if got := h.owner.get("/messages/" + sent.str("id")).obj(); got.str("conversation_id") != a || got.str("delivery.conversation_id") != a {
			t.Errorf("rejoined: %v", got)
		}
	})
}

// TestNotACustomer: put aside with one call, learnt, taken back with one call; a customer whom we answered is never
// learnt away.
func TestNotACustomer(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		news := func(text string) {
			if _, err := h.customer("Werbung", "news@x.example").Send(h.ctx(), emailsim.Message{To: []string{"service@firma.example"}, Subject: "Rabatt", Text: text}); err != nil {
				t.Fatal(err)
			}
		}
		news("Kaufen Sie")
		c := h.owner.conversation("Werbung").str("id")
		h.owner.do("PUT", "/conversations/"+c+"/category", map[string]any{"category": "newsletter", "learn": true}).want(200)
		row := h.owner.get("/conversations/" + c).obj()
		if row.str("status") != "closed" || row.str("category") != "newsletter" || row.at("waiting_since") != nil {
			t.Errorf("%v", row)
		}
		if s := h.owner.get("/senders").items(); len(s) != 1 || s[0].str("rule") != "newsletter" {
			t.Errorf("senders %v", s)
		}
		news("Kaufen Sie mehr")
		h.eventually("the next one aside", func() bool { return len(h.owner.get("/conversations?category=newsletter").items()) == 2 })
		if n := len(h.owner.get("/conversations").items()); n != 0 {
			t.Errorf("%d in the inbox", n)
		}
		h.owner.do("DELETE", "/conversations/"+c+"/category", nil).want(200)
		if len(h.owner.get("/senders").items()) != 0 || h.owner.get("/conversations/"+c).obj().str("status") != "open" {
			t.Error("not taken back")
		}
		k := h.mailed("Kundin", emailsim.Message{Subject: "Frage", Text: "Wann?"}).str("id")
		h.owner.do("POST", "/conversations/"+k+"/messages", map[string]any{"text": "Morgen", "client_id": id()}).want(201)
		h.owner.do("PUT", "/conversations/"+k+"/category", map[string]any{"category": "spam", "learn": true}).want(200)
		if s := h.owner.get("/senders").items(); len(s) != 0 {
			t.Errorf("a customer was learnt away: %v", s)
		}
	})
}

// TestWorkplace: text blocks, signatures, views, bulk with undo, collision, presence, mentions.
func TestWorkplace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.mailed("Ayşe Yıldız", emailsim.Message{Subject: "Vertrag KFZ-123456", Text: "Hallo"}).str("id")
		b := h.written("Bert", "eins").str("id")
		anton := h.member("default", "advisor", "Anton Advisor")

		h.owner.do("POST", "/text-blocks", map[string]any{"name": "x", "text": "{{customer.nmae}}"}).problem(422, "invalid")
		block := h.owner.do("POST", "/text-blocks", map[string]any{"name": "Begrüßung", "shortcut": "hallo", "text": "{{customer.salutation}}, zu {{number}}: {{unit.name}}"}).want(201).obj().str("id")
		anton.do("PATCH", "/text-blocks/"+block, map[string]any{"name": "y"}).problem(403, "forbidden")
		filled := anton.do("POST", "/text-blocks/"+block+"/render", map[string]any{"conversation_id": a}).want(200).obj()
		if filled.str("text") != "Guten Tag Ayşe Yıldız, zu KFZ123456: {{unit.name}}" || !reflect.DeepEqual(filled["missing"], []any{"unit.name"}) {
			t.Errorf("filled %v", filled)
		}
		unit := h.owner.do("POST", "/units", map[string]any{"name": "Schaden", "signature": "Rheinblick Makler\nSchadenabteilung"}).want(201).obj().str("id")
		h.owner.do("PATCH", "/staff/"+anton.id, map[string]any{"unit_id": unit}).want(200)
		h.owner.do("DELETE", "/units/"+unit, nil).problem(409, "unit_in_use")
		m := anton.do("POST", "/conversations/"+a+"/messages", map[string]any{"text": "Gern.", "client_id": id()}).want(201).obj()
		if m.str("text") != "Gern.\n\n-- \nRheinblick Makler\nSchadenabteilung" {
			t.Errorf("signed %q", m.str("text"))
		}
		if m := anton.do("POST", "/conversations/"+a+"/messages", map[string]any{"text": "Ohne", "signature": false, "client_id": id()}).want(201).obj(); m.str("text") != "Ohne" {
			t.Errorf("unsigned %q", m.str("text"))
		}
		if m := anton.do("POST", "/conversations/"+b+"/messages", map[string]any{"text": "Chat", "client_id": id()}).want(201).obj(); m.str("text") != "Chat" {
			t.Errorf("a chat is signed: %q", m.str("text"))
		}
		// The owner saw only the first message.
		first := h.owner.messages(a)[0].str("id")
		p := h.owner.do("POST", "/conversations/"+a+"/messages", map[string]any{"text": "Doppelt", "seen_message_id": first, "client_id": id()}).problem(409, "answered_meanwhile")
		if p.str("by.id") != anton.id || p.str("message_id") != m.str("id") {
			t.Errorf("%v", p)
		}
		h.owner.do("POST", "/conversations/"+a+"/messages", map[string]any{"text": "Doppelt", "seen_message_id": first, "anyway": true, "client_id": id()}).want(201)

		bulk := h.owner.do("POST", "/conversations/bulk", map[string]any{"items": []any{
			map[string]any{"id": a, "change": map[string]any{"status": "closed", "tags_add": []string{"Kfz"}}}, map[string]any{"id": b, "change": map[string]any{"assignee_id": anton.id, "unit_id": unit}},
			map[string]any{"id": id(), "change": map[string]any{"status": "closed"}}}}).want(200).obj()
		if len(bulk.list("changed")) != 2 || len(bulk.list("failed")) != 1 {
			t.Fatalf("bulk %v", bulk)
		}
		if got := h.owner.get("/conversations?unit_id=" + unit + "&assignee=" + anton.id).items(); len(got) != 1 || got[0].str("id") != b {
			t.Errorf("by unit %v", got)
		}
		if got := h.owner.get("/conversations?tag=Kfz").items(); len(got) != 1 || got[0].str("id") != a {
			t.Errorf("by tag %v", got)
		}
		var back []any
		for _, c := range bulk.list("changed") {
			back = append(back, map[string]any{"id": c.str("id"), "change": c["undo"]})
		}
		h.owner.do("POST", "/conversations/bulk", map[string]any{"items": back}).want(200)
		if r := h.owner.get("/conversations/" + a).obj(); r.str("status") != "open" || len(r["tags"].([]any)) != 0 {
			t.Errorf("undone: %v", r)
		}
		if r := h.owner.get("/conversations/" + b).obj(); r.at("unit") != nil {
			t.Errorf("undone: %v", r)
		}

		s, _, err := anton.socket("")
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		s.want()
		h.owner.do("POST", "/conversations/"+a+"/presence", map[string]any{"state": "writing"}).want(204)
		s.until("presence", func(o object) bool {
			return o.str("kind") == "presence" && o.str("staff.id") == h.owner.id && o.str("state") == "writing"
		})
		if got := anton.get("/conversations/" + a + "/presence").items(); len(got) != 1 || got[0].str("staff.id") != h.owner.id {
			t.Errorf("presence %v", got)
		}
		n := h.owner.do("POST", "/conversations/"+a+"/notes", map[string]any{"text": "@Anton", "mentions": []string{anton.id}}).want(201).obj()
		s.until("mention", func(o object) bool { return o.str("kind") == "mention" && o.str("message_id") == n.str("id") })
		if c := anton.get("/conversations/counts").obj(); c.num("mentions") != 1 {
			t.Errorf("counts %v", c)
		}
		if got := anton.get("/conversations?mentioned=true").items(); len(got) != 1 || got[0].str("id") != a {
			t.Errorf("mentioned %v", got)
		}
		if c := h.owner.get("/conversations/counts").obj(); c.num("mentions") != 0 {
			t.Errorf("the author is mentioned: %v", c)
		}
		v := anton.do("POST", "/views", map[string]any{"name": "Meine Kfz", "query": map[string]any{"tag": "Kfz"}, "shared": true}).want(201).obj()
		if got := h.owner.get("/views").items(); len(got) != 1 || got[0].yes("mine") {
			t.Errorf("views %v", got)
		}
		h.owner.do("PATCH", "/views/"+v.str("id"), map[string]any{"name": "Kfz"}).want(200)
		anton.do("DELETE", "/views/"+v.str("id"), nil).want(204)
		anton.do("PUT", "/me/preferences", map[string]any{"keys": map[string]any{"r": "x"}}).want(200)
		if got := anton.get("/me/preferences").obj(); got.str("keys.r") != "x" {
			t.Errorf("preferences %v", got)
		}
	})
}

// TestMailAndChatAlternate: ten replies to and fro between mail and chat stay one conversation; each answer leaves by
// the way that the customer used last.
func TestMailAndChatAlternate(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		w := h.window(h.chatChannel(nil))
		w.write("Frage 0 im Chat")
		c := h.talk("Frage 0").str("id")
		w.do("POST", "email", map[string]any{"email": "erika@kunde.example", "client_id": id()}).want(202)
		mail := h.mailTo("erika@kunde.example", 1)
		mails := 1
		for i := 1; i <= 10; i++ {
			text, kind := fmt.Sprint("Frage ", i), "webchat"
			if i%2 == 1 {
				kind = "email"
				reply(h, mail, "Erika", "erika@kunde.example", text)
			} else {
				w.write(text)
			}
			h.eventually(text+" arrived", func() bool { return h.owner.entry(c, text) != nil })
			if m := h.owner.entry(c, text); m.str("channel.kind") != kind || m.str("author") != "customer" {
				t.Fatalf("%s: %v", text, m)
			}
			m := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": fmt.Sprint("Antwort ", i), "client_id": id()}).want(201).obj()
			if m.str("channel.kind") != kind {
				t.Errorf("answer %d left by %s, want %s", i, m.str("channel.kind"), kind)
			}
			if kind == "email" {
				mails++
				mail = h.mailTo("erika@kunde.example", mails)
			} else {
				h.eventually("the visitor reads it", func() bool { return strings.Contains(texts(w.history()), fmt.Sprint("Antwort ", i)) })
			}
		}
		if n := len(h.owner.get("/conversations").items()); n != 1 {
			t.Errorf("%d conversations, want one", n)
		}
		n := 0
		for _, m := range h.owner.messages(c) {
			if m.str("kind") == "message" && m.str("direction") == "in" {
				n++
			}
		}
		if n != 11 {
			t.Errorf("%d messages came in, want 11", n)
		}
	})
}
