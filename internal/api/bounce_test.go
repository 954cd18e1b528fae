package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// dsn is a delivery report as postfix writes it (RFC 3464), about the mail with this Message-ID.
func dsn(to, recipient, status, action, id string) []byte {
	return []byte(strings.ReplaceAll(fmt.Sprintf(`From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: %s
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Message-ID: <report-%s@mx.example>
Date: Tue, 24 Nov 2026 10:00:00 +0000
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; %s
Action: %s
Status: %s
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--b1
Content-Type: text/rfc822-headers

Message-ID: %s
Subject: Re: x

--b1--
`, to, db36(id+action), recipient, action, status, id), "\n", "\r\n"))
}

func db36(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// TestBounce: a report about a delivery becomes the fate of that very message; it is nobody's mail, opens no
// conversation, and one about a mail that we never sent changes nothing.
func TestBounce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.mailed("Ayşe Yıldız", emailsim.Message{Subject: "Frage", Text: "Wann?"})
		c, address := r.str("id"), h.owner.messages(r.str("id"))[0].str("address")
		m := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Morgen", "client_id": id()}).want(201).obj()
		h.mailTo(address, 1)
		m = h.delivered(m.str("id"), "sent")
		mta := &emailsim.Client{Name: "", Address: "MAILER-DAEMON@mx.example", Server: h.SMTPAddr()}
		report := func(action, status, about string) {
			if err := mta.Deliver(h.ctx(), emailsim.Message{To: []string{"service@firma.example"}, NullSender: true}, dsn("service@firma.example", address, status, action, about)); err != nil {
				t.Fatal(err)
			}
		}
		report("delayed", "4.4.1", m.str("external_id"))
		report("failed", "5.1.1", "<fremd@firma.example>")
		report("failed", "5.1.1", m.str("external_id"))
		failed := h.delivered(m.str("id"), "failed")
		if failed.str("delivery.reason") == "" || !strings.Contains(failed.str("delivery.error"), "5.1.1") {
			t.Errorf("why it failed: %v", failed.obj("delivery"))
		}
		if row := h.owner.get("/conversations/" + c).obj(); !row.yes("failed") {
			t.Errorf("the conversation does not show the failure: %v", row)
		}
		if n := len(h.owner.get("/conversations").items()); n != 1 {
			t.Errorf("%d conversations, want one: a report is nobody's mail", n)
		}
		if rows := h.owner.get("/conversations?failed=true").items(); len(rows) != 1 {
			t.Errorf("%d in the list of failures", len(rows))
		}
	})
}
