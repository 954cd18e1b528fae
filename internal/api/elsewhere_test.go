package api_test

import (
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// What a machine cannot deliver, because the customer has blocked the bot, is asked by mail instead, and answered there;
// what a person wrote stays with the person, who hears that it failed.
func TestUnreachableIsAskedElsewhere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		x := h.two("Weg Ist")
		x.chat.Write("Noch eine Frage dazu")
		h.eventually("the chat was last", func() bool {
			return h.owner.get("/conversations/"+x.conv).want(200).obj().str("channel_kind") == "telegram"
		})
		var telegram string
		for _, o := range h.owner.get("/conversations/" + x.conv).want(200).obj().list("reply_options") {
			if o.str("channel_kind") == "telegram" {
				telegram = o.str("address_id")
			}
		}
		before := len(h.mx.To(x.address))
		h.tg.Customer("Weg Ist").Leave() // the account is given up; nobody is told
		h.owner.do("POST", "/conversations/"+x.conv+"/dialogs", map[string]any{"key": "callback", "client_id": id()}).want(201)
		h.eventually("it is asked by mail", func() bool { return len(h.mx.To(x.address)) > before })
		plain := emailsim.PlainText(h.mailTo(x.address, before+1).Raw)
		if strings.TrimSpace(plain) == "" {
			t.Error("an empty mail")
		}
		for _, m := range h.owner.messages(x.conv) {
			if m.str("author") == "machine" && m.str("channel.kind") == "telegram" && m.str("delivery.state") != "failed" {
				t.Errorf("the message to the chat is %s", m.str("delivery.state"))
			}
		}
		mails := len(h.mx.To(x.address))
		m := h.owner.do("POST", "/conversations/"+x.conv+"/messages", map[string]any{"text": "Sind Sie noch da?", "address_id": telegram, "client_id": id()}).want(201).obj()
		h.eventually("a person's message failed", func() bool {
			return h.owner.get("/messages/"+m.str("id")).want(200).obj().str("delivery.state") == "failed"
		})
		if n := len(h.mx.To(x.address)); n != mails {
			t.Errorf("what a person wrote to the chat went out by mail, too (%d mails, then %d)", mails, n)
		}
	})
}
