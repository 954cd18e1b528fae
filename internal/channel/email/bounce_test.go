package email

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
)

const oursID = "<0195a1b2-0000-7000-8000-000000000004@firma.example>"

const ours = "From: Service <service@firma.example>\r\nTo: weg@kunde.example\r\nReply-To: service+r.tok@firma.example\r\nSubject: Ihre Frage\r\nMessage-ID: " + oursID + "\r\n\r\nGuten Tag\r\n"

// dsn makes a report of three parts (RFC 3464, RFC 6522).
func dsn(status string, returned ...string) string {
	kind, content := "message/rfc822", ours
	if len(returned) == 2 {
		kind, content = returned[0], returned[1]
	}
	report := "message/delivery-status"
	if strings.HasPrefix(kind, "message/global") {
		report = "message/global-delivery-status"
	}
	out := "Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example.net>\r\nTo: service@firma.example\r\n" +
		"Date: Mon, 9 Mar 2026 10:11:12 +0100\r\nSubject: Undelivered Mail Returned to Sender\r\nMessage-ID: <b1@mx.example.net>\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
		"--b\r\n\r\nYour mail came back.\r\n--b\r\nContent-Type: " + report + "\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n" +
		strings.ReplaceAll(status, "\n", "\r\n") + "\r\n"
	if kind != "" {
		out += "--b\r\nContent-Type: " + kind + "\r\n\r\n" + content
	}
	return out + "\r\n--b--\r\n"
}

func mdn(fields string, returned string) string {
	return "From: weg@kunde.example\r\nTo: service@firma.example\r\nSubject: Gelesen: Ihre Frage\r\nDate: Mon, 9 Mar 2026 10:11:12 +0100\r\n" +
		"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\nGelesen.\r\n" +
		"--b\r\nContent-Type: message/disposition-notification\r\n\r\nReporting-UA: x\r\nFinal-Recipient: rfc822; weg@kunde.example\r\n" +
		strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n" + returned + "--b--\r\n"
}

// notice makes a report in a server's own words.
func notice(head, text string) string {
	return strings.ReplaceAll("Return-Path: <>\nTo: service@firma.example\nDate: Mon, 9 Mar 2026 10:11:12 +0100\nMessage-ID: <n1@mx.example.net>\n"+head+"\n\n"+text, "\n", "\r\n")
}

// The copy of our message as servers quote it in their text.
var copyOfOurs = "Return-Path: <service@firma.example>\nReceived: from mx.firma.example by mx.example.net; Mon, 9 Mar 2026 10:11:00 +0100\n" + strings.ReplaceAll(ours, "\r\n", "\n")

func TestReports(t *testing.T) {
	type want struct {
		state     channel.State
		recipient string
		reason    string // pattern
	}
	for name, tt := range map[string]struct {
		raw string
		want
	}{
		"Postfix, whole": {string(fixture(t, "postfix-bounce.eml")), want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: host kunde\.example said: 550 5\.1\.1 User unknown \(weg@kunde\.example\)$`}},
		"Postfix": {dsn("Final-Recipient: rfc822; weg@kunde.example\nOriginal-Recipient: rfc822;weg@kunde.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.kunde.example\nDiagnostic-Code: smtp; 550 5.1.1 <weg@kunde.example>: Recipient address\n    rejected: User unknown in virtual mailbox table\n"),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: 550 5\.1\.1 <weg@kunde\.example>: Recipient address rejected: User unknown`}},
		"full": {dsn("Final-Recipient: rfc822; voll@kunde.example\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 Over quota\n"),
			want{channel.Failed, "voll@kunde.example", `^the mailbox is full: 552 5\.2\.2 Over quota \(voll@kunde\.example\)$`}},
		"no diagnostic": {dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.4.4\n"),
			want{channel.Failed, "weg@kunde.example", `^the recipient's server cannot be reached: 5\.4\.4 \(weg@kunde\.example\)$`}},
		"headers only": {dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.0.0\n", "text/rfc822-headers", strings.SplitAfter(ours, "\r\n\r\n")[0]),
			want{channel.Failed, "weg@kunde.example", `5\.0\.0`}},
		"returned in base64": {strings.Replace(dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\n", "message/rfc822\r\nContent-Transfer-Encoding: base64", base64Lines(ours)), "\r\n\r\nContent-Transfer", "\r\nContent-Transfer", 1),
			want{channel.Failed, "weg@kunde.example", `does not exist`}},
		"UTF-8 (RFC 6533)": {dsn("Final-Recipient: utf-8; j\\x{F6}rg@m\\x{FC}ller.example\nAction: failed\nStatus: 5.6.7\nDiagnostic-Code: smtp; 550 5.6.7 SMTPUTF8 wird nicht unterstützt\n", "message/global", ours),
			want{channel.Failed, "jörg@müller.example", `^the recipient's server cannot read the message's form: 550 5\.6\.7 SMTPUTF8 wird nicht unterstützt`}},
		"UTF-8 headers": {dsn("Final-Recipient: utf-8; jörg@müller.example\nAction: failed\nStatus: 5.1.1\n", "message/global-headers", strings.SplitAfter(ours, "\r\n\r\n")[0]),
			want{channel.Failed, "jörg@müller.example", `does not exist`}},
		"forwarded address": {dsn("Final-Recipient: rfc822; intern@anders.example\nOriginal-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\n"),
			want{channel.Failed, "weg@kunde.example", `does not exist`}},
		"one of three": {dsn("Final-Recipient: rfc822; a@kunde.example\nAction: delivered\nStatus: 2.1.5\n\nFinal-Recipient: rfc822; b@kunde.example\nAction: failed\nStatus: 5.7.1\n\nFinal-Recipient: rfc822; c@kunde.example\nAction: delayed\nStatus: 4.4.1\n"),
			want{channel.Failed, "b@kunde.example", `^the recipient's server refused it: 5\.7\.1 \(b@`}},
		"no action": {dsn("Final-Recipient: rfc822; weg@kunde.example\nStatus: 5.1.2 (no such domain)\n"),
			want{channel.Failed, "weg@kunde.example", `^the domain does not exist: 5\.1\.2`}},
		"delayed": {dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: delayed\nStatus: 4.4.1\nDiagnostic-Code: smtp; 450 4.4.1 timed out\nWill-Retry-Until: Sat, 14 Mar 2026 10:00:00 +0100\n"),
			want{channel.Sent, "weg@kunde.example", `^delayed, the server keeps trying: 450 4\.4\.1 timed out`}},
		"delivered": {dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: delivered\nStatus: 2.0.0\nDiagnostic-Code: smtp; 250 ok\n"), want{channel.Delivered, "weg@kunde.example", `^$`}},
		"relayed":   {dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: relayed (to a server without reports)\nStatus: 2.0.0\n"), want{channel.Delivered, "weg@kunde.example", `^$`}},
		"Exchange, id in the thread": {strings.Replace(dsn("Final-Recipient: rfc822;weg@kunde.example\nAction: failed\nStatus: 5.1.10\nDiagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient weg@kunde.example not found by SMTP address lookup\n", "", ""), "Subject:", "In-Reply-To: "+oursID+"\r\nSubject:", 1),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: 550 5\.1\.10 RESOLVER`}},
		"inside multipart/mixed": {strings.Replace(dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\n"), "multipart/report; report-type=delivery-status", "multipart/mixed", 1),
			want{channel.Failed, "weg@kunde.example", `does not exist`}},
		"code in the diagnostic alone": {dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n"),
			want{channel.Failed, "weg@kunde.example", `^the recipient's server refused it: .*550-5\.7\.26`}},

		"read":            {mdn("Original-Message-ID: "+oursID+"\nDisposition: manual-action/MDN-sent-manually; displayed\n", ""), want{channel.Read, "weg@kunde.example", `^$`}},
		"read, modifiers": {mdn("Original-Message-ID: "+oursID+"\nDisposition: automatic-action/MDN-sent-automatically; displayed/error\n", ""), want{channel.Read, "weg@kunde.example", `^$`}},
		"deleted unread":  {mdn("Original-Message-ID: "+oursID+"\nDisposition: manual-action/MDN-sent-manually; deleted\n", ""), want{channel.Delivered, "weg@kunde.example", `^$`}},
		"read, id in the headers": {mdn("Disposition: manual-action/MDN-sent-manually; displayed\n", "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: "+oursID+"\r\n\r\n"),
			want{channel.Read, "weg@kunde.example", `^$`}},

		"qmail": {notice("From: MAILER-DAEMON@mx.example.net\nSubject: failure notice", "Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<weg@kunde.example>:\n192.0.2.5 does not like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up on 192.0.2.5.\n\n--- Below this line is a copy of the message.\n\n"+copyOfOurs),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: Remote host said: 550 5\.1\.1 User unknown`}},
		"qmail, queue": {notice("From: MAILER-DAEMON@mx.example.net\nSubject: failure notice", "Hi. This is the qmail-send program at mx.example.net.\n\n<weg@kunde.example>:\nSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\nI'm not going to try again; this message has been in the queue too long.\n\n--- Below this line is a copy of the message.\n\n"+copyOfOurs),
			want{channel.Failed, "weg@kunde.example", `cannot be reached: .*#4\.4\.1`}},
		"Exim": {notice("From: Mail Delivery System <Mailer-Daemon@mx.example.net>\nX-Failed-Recipients: weg@kunde.example\nAuto-Submitted: auto-replied\nSubject: Mail delivery failed: returning message to sender", "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  weg@kunde.example\n    SMTP error from remote mail server after RCPT TO:<weg@kunde.example>:\n    host mx.kunde.example [192.0.2.5]: 550 Requested action not taken: mailbox unavailable\n\n------ This is a copy of the message, including all the headers. ------\n\n"+copyOfOurs),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: .*550 Requested action not taken`}},
		"Exim, delay": {notice("From: Mail Delivery System <Mailer-Daemon@mx.example.net>\nSubject: Warning: message 1abcDE-000123-4f delayed 24 hours", "This message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered to one or more of its\nrecipients after more than 24 hours on the queue on mx.example.net.\n\nThe message identifier is:     1abcDE-000123-4f\nThe subject of the message is: Ihre Frage\n\nThe address to which the message has not yet been delivered is:\n\n  weg@kunde.example\n    host mx.kunde.example [192.0.2.5]: 451 4.7.1 Greylisted\n\nNo action is required on your part. Delivery attempts will continue for\nsome time, and this warning may be repeated at intervals if the message\nremains undelivered.\n\nMessage-ID: "+oursID),
			want{channel.Sent, "weg@kunde.example", `^delayed, the server keeps trying: .*451 4\.7\.1 Greylisted`}},
		"GMX": {notice("From: \"GMX Mailer Daemon\" <mailer-daemon@gmx.net>\nSubject: Mail delivery failed: returning message to sender", "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of\nits recipients. This is a permanent error. The following address\nfailed:\n\nweg@kunde.example:\nSMTP error from remote server for RCPT TO command, host:\nmx.kunde.example (192.0.2.5) reason: 550 5.1.1 <weg@kunde.example>\nuser unknown\n\n--- The header of the original message is following. ---\n\n"+copyOfOurs),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: .*550 5\.1\.1`}},
		"T-Online": {notice("From: Mail Delivery System <mailer-daemon@t-online.de>\nSubject: Unzustellbar: Ihre Frage", "Diese Nachricht wurde automatisch vom Mailserver erzeugt.\n\nIhre E-Mail an die folgende Adresse konnte nicht zugestellt werden:\n\n<weg@kunde.example>: Empfänger unbekannt (550)\n\n-----Original Message-----\n"+copyOfOurs),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: .*550`}},
		"Gmail, old": {notice("From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nX-Failed-Recipients: weg@kunde.example\nSubject: Delivery Status Notification (Failure)", "Delivery to the following recipient failed permanently:\n\n     weg@kunde.example\n\nTechnical details of permanent failure:\nGoogle tried to deliver your message, but it was rejected by the server for the recipient domain kunde.example by mx.kunde.example. [192.0.2.5].\n\nThe error that the other server returned was:\n550 5.2.2 mailbox full\n\n----- Original message -----\n\n"+copyOfOurs),
			want{channel.Failed, "weg@kunde.example", `^the mailbox is full: 550 5\.2\.2 mailbox full`}},
		"Gmail, delay": {notice("From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nX-Failed-Recipients: weg@kunde.example\nIn-Reply-To: "+oursID+"\nSubject: Delivery Status Notification (Delay)", "This is an automatically generated Delivery Status Notification\n\nTHIS IS A WARNING MESSAGE ONLY.\n\nYOU DO NOT NEED TO RESEND YOUR MESSAGE.\n\nDelivery to the following recipient has been delayed:\n\n     weg@kunde.example\n\nMessage will be retried for 2 more day(s)"),
			want{channel.Sent, "weg@kunde.example", `^delayed`}},
		"Exchange in German": {notice("From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@kunde.example>\nIn-Reply-To: "+oursID+"\nSubject: Unzustellbar: Ihre Frage", "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:\n\nWeg, Anna (weg@kunde.example)\nDie eingegebene E-Mail-Adresse konnte nicht gefunden werden.\n\nDiagnoseinformationen für Administratoren:\n\nGenerierender Server: EX01.kunde.example\n\nweg@kunde.example\nRemote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found'\n"),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: .*550 5\.1\.10`}},
		"French": {notice("From: postmaster@client.example\nSubject: Échec de la remise : Votre question", "Votre message n'a pas pu être remis à weg@kunde.example\n\n550 5.1.1 utilisateur inconnu\n\nMessage-ID: "+oursID),
			want{channel.Failed, "weg@kunde.example", `^the mailbox does not exist: 550 5\.1\.1`}},
		"no code at all": {notice("From: postmaster@mx.example.net\nSubject: Undeliverable mail", "Your message to weg@kunde.example couldn't be delivered.\n\n"+copyOfOurs),
			want{channel.Failed, "weg@kunde.example", `^the message could not be delivered`}},
	} {
		t.Run(name, func(t *testing.T) {
			e := parse(t, []byte(tt.raw))
			channeltest.CheckEvents(t, []channel.Event{e})
			if e.Type != channel.StatusEvent || e.Message != nil || e.Status == nil {
				t.Fatalf("not a status: %s %+v", e.Type, e.Message)
			}
			if e.Key != "status:"+oursID+":"+string(tt.state) || e.Status.ExternalID != oursID || e.Ref != oursID || e.Status.State != tt.state || e.Sender.Value != tt.recipient {
				t.Errorf("key %q, id %q, ref %q, state %q, about %q", e.Key, e.Status.ExternalID, e.Ref, e.Status.State, e.Sender.Value)
			}
			if !regexp.MustCompile(tt.reason).MatchString(e.Status.Error) || strings.ContainsAny(e.Status.Error, "\r\n") {
				t.Errorf("reason %q, want %s", e.Status.Error, tt.reason)
			}
			if failed := tt.state == channel.Failed || tt.state == channel.Sent; failed != (e.Status.Reason != channel.Text{}) || e.Status.Reason.EN == "" != (e.Status.Reason.DE == "") || !strings.HasPrefix(e.Status.Error, e.Status.Reason.EN) {
				t.Errorf("reason %+v for %q", e.Status.Reason, e.Status.Error)
			}
			if c := e.Status.Code; c != "" && !strings.Contains(e.Status.Error, c) {
				t.Errorf("code %q", c)
			}
			if e.At.Format(time.RFC3339) != "2026-03-09T09:11:12Z" {
				t.Errorf("at %v", e.At)
			}
		})
	}
}

func base64Lines(s string) string { return wrapBase64([]byte(s)) }

// What is no report about a message of ours stays a message that people see.
func TestReportsThatStayMessages(t *testing.T) {
	failed := "Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\n"
	for name, tt := range map[string]struct {
		raw       string
		automatic bool
		category  string
		token     string
	}{
		"nothing returned":                    {dsn(failed, "", ""), true, "notice", ""},
		"returned without an id":              {dsn(failed, "message/rfc822", strings.Replace(ours, "Message-ID: "+oursID+"\r\n", "", 1)), true, "notice", "tok"},
		"of another program":                  {dsn(failed, "message/rfc822", strings.Replace(ours, oursID, "<x@prod.outlook.example>", 1)), true, "notice", "tok"},
		"reply address of another mailbox":    {dsn(failed, "message/rfc822", strings.NewReplacer("Message-ID: "+oursID+"\r\n", "", "service+r", "vertrieb+r").Replace(ours)), true, "notice", ""},
		"complaint (RFC 5965)":                {strings.Replace(dsn(failed), "delivery-status", "feedback-report", 2), true, "notice", ""},
		"prose without an id":                 {notice("From: MAILER-DAEMON@mx.example.net\nSubject: failure notice", "Hi. This is the qmail-send program at mx.example.net.\n\n<weg@kunde.example>:\n550 unknown\n"), true, "notice", ""},
		"out of office":                       {notice("From: weg@kunde.example\nAuto-Submitted: auto-replied\nSubject: Automatische Antwort: Ihre Frage\nIn-Reply-To: "+oursID, "Ich bin nicht im Büro."), true, "", ""},
		"out of office by a postmaster":       {notice("From: postmaster@kunde.example\nSubject: Abwesenheit\nIn-Reply-To: "+oursID, "Ich bin nicht im Büro."), true, "", ""},
		"a customer about a bounce":           {"From: kunde@kunde.example\r\nSubject: Undelivered Mail Returned to Sender\r\nIn-Reply-To: " + oursID + "\r\n\r\nMeine Mail konnte nicht zugestellt werden: 550 5.1.1 User unknown\r\nMessage-ID: " + oursID, false, "", ""},
		"a customer who attaches one":         {"From: kunde@kunde.example\r\nSubject: Was ist das?\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nKam zurück.\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n" + dsn(failed) + "--o--", false, "", ""},
		"a customer who answers a postmaster": {"From: postmaster@kunde.example\r\nSubject: Re: Vertrag\r\nIn-Reply-To: " + oursID + "\r\n\r\nDanke, passt.", false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := parse(t, []byte(tt.raw))
			channeltest.CheckEvents(t, []channel.Event{e})
			if e.Type != channel.MessageEvent || e.Message == nil {
				t.Fatalf("%s %+v", e.Type, e.Status)
			}
			if m := e.Message; m.Automatic != tt.automatic || m.Category != tt.category || m.ReplyToken != tt.token {
				t.Errorf("automatic %v, category %q, token %q", m.Automatic, m.Category, m.ReplyToken)
			}
		})
	}
}

// The domain of our ids is that of the account's address, whichever of its addresses the report came to.
func TestReportToAlias(t *testing.T) {
	raw := []byte(dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\n"))
	a := channel.Account{Settings: map[string]string{"address": own}}
	if e, err := ParseFor(a, raw, "service@in.andere.example", Limits{}); err != nil || e.Type != channel.StatusEvent {
		t.Errorf("%v %v", e.Type, err)
	}
	if e, err := Parse(raw, "service@in.andere.example", Limits{}); err != nil || e.Type != channel.MessageEvent {
		t.Errorf("%v %v", e.Type, err)
	}
	a.Settings["address"] = "service@müller.example"
	raw = []byte(strings.Replace(string(raw), "8000-000000000004@firma.example", "1@xn--mller-kva.example", 1))
	if e, err := ParseFor(a, raw, own, Limits{}); err != nil || e.Type != channel.StatusEvent {
		t.Errorf("umlaut domain: %v %v", e.Type, err)
	}
}

func TestCategory(t *testing.T) {
	news := "List-Id: Neues <news.verlag.example>\r\nList-Unsubscribe: <https://verlag.example/u>\r\n"
	for name, tt := range map[string]struct{ header, spam, want string }{
		"plain":                      {"", "", ""},
		"newsletter":                 {news, "", "newsletter"},
		"newsletter by Precedence":   {"List-Id: <news.verlag.example>\r\nPrecedence: bulk\r\n", "", "newsletter"},
		"List-Id alone":              {"List-Id: <news.verlag.example>\r\n", "", ""},
		"List-Unsubscribe alone":     {"List-Unsubscribe: <https://shop.example/u>\r\n", "", ""},
		"our own group address":      {"List-Id: <service.firma.example>\r\nList-Unsubscribe: <https://groups.example/u>\r\n", "", ""},
		"our own group, List-Post":   {"List-Id: <abc.groups.example>\r\nList-Post: <mailto:service@firma.example>\r\nPrecedence: list\r\n", "", ""},
		"a list of a similar domain": {"List-Id: <news.meinefirma.example>\r\nPrecedence: list\r\n", "", "newsletter"},
		"answer to ours by a list":   {news + "Delivered-To: service+r.tok@firma.example\r\n", "", ""},
		"spam, believed":             {"X-Spam-Flag: YES\r\n", "on", "spam"},
		"spam, status":               {"X-Spam-Status: Yes, score=9.1 required=5\r\n", "on", "spam"},
		"spam, not believed":         {"X-Spam-Flag: YES\r\n", "", ""},
		"spam, off":                  {"X-Spam-Flag: YES\r\n", "off", ""},
		"no spam":                    {"X-Spam-Flag: NO\r\nX-Spam-Status: No, score=-1\r\n", "on", ""},
		"a sender says no":           {"X-Spam-Flag: YES\r\nX-Spam-Flag: NO\r\n", "on", "spam"},
		"spam newsletter":            {news + "X-Spam-Flag: yes\r\n", "on", "spam"},
		"out of office":              {"Auto-Submitted: auto-replied\r\n", "", ""},
	} {
		a := channel.Account{Settings: map[string]string{"address": own, "trusted_spam_header": tt.spam}}
		e, err := ParseFor(a, []byte("From: a@b.example\r\nSubject: x\r\n"+tt.header+"\r\nHallo"), own, Limits{})
		if err != nil || e.Message.Category != tt.want {
			t.Errorf("%s: %q, want %q (%v)", name, e.Message.Category, tt.want, err)
		}
	}
}

// A huge report costs no more than its size.
func TestReportBounds(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "Final-Recipient: rfc822; a%d@kunde.example\nAction: delivered\nStatus: 2.0.0\n X\n\n", i)
	}
	e := parse(t, []byte(dsn(b.String()+"Z: "+strings.Repeat("\n x", 100000)+"\n\nFinal-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n")))
	if e.Type != channel.StatusEvent || e.Status.State != channel.Delivered {
		t.Errorf("%+v", e.Status)
	}
	long := parse(t, []byte(dsn("Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 "+strings.Repeat("x y ", 100000)+"\n")))
	if long.Status == nil || len(long.Status.Error) > 600 {
		t.Errorf("%d bytes of reason", len(long.Status.Error))
	}
}
