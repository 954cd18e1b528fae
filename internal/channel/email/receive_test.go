package email

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
)

const own = "service@firma.example"

// fixture reads a mail of testdata in wire form.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return crlf(raw)
}

func crlf(raw []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

func parse(t testing.TB, raw []byte) channel.Event {
	t.Helper()
	e, err := Parse(raw, own, Limits{})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return e
}

// file is what a test expects of an attachment; the content is read through OpenPart.
type file struct {
	name, kind, cid string
	inline          bool
	content         string // "" = not compared
}

// TestParseFixtures says what comes out of mails in the forms that real programs write.
func TestParseFixtures(t *testing.T) {
	type want struct {
		from, name, subject, text, id, replyTo, token, note string
		at                                                  string
		refs, to, cc, answerTo                              []string
		automatic                                           bool
		html                                                []string // pieces of the HTML
		files                                               []file
	}
	for name, w := range map[string]want{
		"gmail-reply.eml": {
			from: "lena.sommer@gmail.example", name: "Lena Sommer", subject: "Re: Ihre Haftpflichtversicherung",
			text: "Ja, Donnerstag um 10 Uhr passt. Bringen Sie bitte die Unterlagen für meine Tochter mit.\n\n" +
				"Am Mo., 2. März 2026 um 16:40 Uhr schrieb Anna Berg (Servicepostfach) <\nservice@firma.example>:\n\n" +
				"> Guten Tag Frau Sommer,\n>\n> passt Ihnen Donnerstag?\n>",
			id:      "<CAF+8s=kq3Zt0example@mail.gmail.example>",
			replyTo: "<0195a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b@firma.example>",
			refs:    []string{"<0195a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b@firma.example>"},
			token:   "k7q2m9x4t3", at: "2026-03-03T08:13:58Z",
			to:   []string{"service+r.k7q2m9x4t3@firma.example"},
			html: []string{`<blockquote class="gmail_quote"`, "für meine Tochter"},
		},
		"outlook-related.eml": {
			from: "j.mueller@kunde.example", name: "Jörg Müller",
			subject: "AW: Schadenmeldung für das Büro in Köln, Aktenzeichen 4711",
			text: "Sehr geehrte Frau Berg,\n\nanbei die Fotos. Die Tür ist beschädigt.\n\nMit freundlichen Grüßen\nJörg Müller\n\n" +
				"[cid:image001.png@01DCAB12.3C4D5E60]\n\n________________________________\n" +
				"Von: Anna Berg (Servicepostfach) <service@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\n" +
				"An: Jörg Müller <J.Mueller@kunde.example>\nBetreff: Schadenmeldung\n\nBitte senden Sie uns Fotos.",
			id:      "<DU0PR05MB1234EXAMPLE0001@DU0PR05MB1234.eurprd05.prod.outlook.example>",
			replyTo: "<DU0PR05MB1234EXAMPLE0000@DU0PR05MB1234.eurprd05.prod.outlook.example>",
			refs: []string{"<0195a1b2-0000-7000-8000-000000000001@firma.example>",
				"<DU0PR05MB1234EXAMPLE0000@DU0PR05MB1234.eurprd05.prod.outlook.example>"},
			at: "2026-03-04T07:29:58Z", to: []string{own}, cc: []string{"Büro – Zentrale buero@kunde.example"},
			html: []string{"WordSection1", "Die Tür ist beschädigt."},
			files: []file{
				{name: "image001.png", kind: "image/png", cid: "image001.png@01DCAB12.3C4D5E60", inline: true},
				{name: "Kostenvoranschlag Tür.pdf", kind: "application/pdf", content: "%PDF-1.4 abc"},
			},
		},
		"apple-mail.eml": {
			from: "peter@icloud.example", name: "Peter O'Hara", subject: "Fotos vom Schaden",
			text: "Guten Abend, so sah es „vorher“ aus:\n\nund so danach.\n\nPeter",
			id:   "<7C0A2E1F-1111-2222-3333-444455556666@icloud.example>", at: "2026-03-05T19:15:30Z", to: []string{own},
			// The decomposed umlauts of macOS are composed; nothing refers to the picture, so it is listed.
			files: []file{{name: "Foto Küche vor dem Wasserschaden im März.png", kind: "image/png"}},
		},
		"thunderbird-flowed.eml": {
			from: "renee@kunde.example", name: "Renée Straßmann", subject: "Re: Rechnung 2026-118",
			text: "Am 05.03.26 um 09:30 schrieb Anna Berg (Servicepostfach):\n" +
				"> Stimmt die Adresse noch? Wir haben sie zuletzt im Jahr 2019 abgeglichen.\nJa, sie stimmt.\n" +
				"> Und die Telefonnummer?\n" +
				"Die hat sich geändert, ich rufe Sie im Laufe der Woche an, sobald ich die neue Nummer weiß.\n\n-- \nRenée",
			id:      "<6d1f7a52-3c1b-4a9e-9e51-0d3c6b8f1a22@kunde.example>",
			replyTo: "<0195a1b2-0000-7000-8000-000000000002@firma.example>",
			refs:    []string{"<a1@kunde.example>", "<0195a1b2-0000-7000-8000-000000000002@firma.example>"},
			at:      "2026-03-06T10:02:44Z", to: []string{own},
		},
		"gmx-html-only.eml": {
			from: "sabine.koch@gmx.example", name: "Sabine Koch", subject: "Kündigung zum Jahresende",
			text: "Guten Tag,\n\nich kündige:\n- Hausrat\n- Glas\nSiehe meinen Vertrag <https://kunde.example/vertrag?id=7>.",
			id:   "<trinity-5a1c-example@3c-app-gmx-bs12.server.example>", at: "2026-03-07T17:40:11Z", to: []string{own},
			html: []string{"<li>Hausrat</li>"},
		},
		"outlook-autoreply.eml": {
			from: "ute.backer@kunde.example", name: "Backer, Ute", subject: "Automatische Antwort: Ihre Anfrage",
			text: "Ich bin bis zum 20. März nicht im Büro.", id: "<f00d@DB9PR01.example>", automatic: true,
			replyTo: "<0195a1b2-0000-7000-8000-000000000003@firma.example>",
			refs:    []string{"<0195a1b2-0000-7000-8000-000000000003@firma.example>"},
			at:      "2026-03-09T06:00:01Z", to: []string{own},
		},
		"web-form.eml": {
			// No charset at all, windows-1252 in header and body.
			from: "wordpress@firma-web.example", name: "Kontaktformular", subject: "Anfrage über das Formular",
			text: "Grüße, Emil € 5", id: "<wp1@firma-web.example>", at: "2026-03-10T11:00:00Z", to: []string{own},
			answerTo: []string{"Emil Test emil@kunde.example"},
		},
		"smime-signed.eml": {
			from: "kanzlei@recht.example", subject: "Vollmacht", text: "Anbei die Vollmacht.", id: "<s1@recht.example>",
			at: "2026-03-10T12:00:00Z", to: []string{own},
			files: []file{{name: "vollmacht.pdf", kind: "application/pdf", content: "%PDF-"},
				{name: "smime.p7s", kind: "application/pkcs7-signature"}},
		},
		"forward-as-attachment.eml": {
			from: "tom@kunde.example", name: "Tom", subject: "Fwd", text: "Siehe Anlage.", id: "<fw1@kunde.example>",
			at: "2026-03-11T07:00:00Z", to: []string{own},
			files: []file{{name: "Gutachten Übersicht.eml", kind: "message/rfc822"}},
		},
		"calendar-invite.eml": {
			from: "mia@kunde.example", name: "Mia", subject: "Termin", text: "Einladung", id: "<cal1@kunde.example>",
			at: "2026-03-11T08:00:00Z", to: []string{own}, html: []string{"<p>Einladung</p>"},
			files: []file{{name: "attachment.ics", kind: "text/calendar", content: "BEGIN:VCALENDAR\r\nEND:VCALENDAR"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw := fixture(t, name)
			e := parse(t, raw)
			channeltest.CheckEvents(t, []channel.Event{e})
			m := e.Message
			eq := func(what string, got, want any) {
				t.Helper()
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n got %q\nwant %q", what, got, want)
				}
			}
			eq("sender", e.Sender, channel.Address{Value: w.from, Name: w.name, Assurance: channel.Claimed})
			eq("subject", m.Subject, w.subject)
			eq("text", m.Text, w.text)
			eq("id", m.ExternalID, w.id)
			eq("reply to", m.ReplyTo, w.replyTo)
			eq("references", m.References, w.refs)
			eq("token", m.ReplyToken, w.token)
			eq("automatic", m.Automatic, w.automatic)
			eq("note", m.Unsupported, w.note)
			eq("at", e.At.Format(time.RFC3339), w.at)
			boxes := func(ms []channel.Mailbox) (out []string) {
				for _, m := range ms {
					out = append(out, strings.TrimSpace(m.Name+" "+m.Address))
				}
				return out
			}
			for i := range w.to {
				if w.to[i] != m.To[i].Address {
					t.Errorf("to: %q", m.To)
				}
			}
			eq("cc", boxes(m.Cc), w.cc)
			eq("answer to", boxes(m.AnswerTo), w.answerTo)
			for _, piece := range w.html {
				if !strings.Contains(m.HTML, piece) {
					t.Errorf("HTML lacks %q: %s", piece, m.HTML)
				}
			}
			if len(w.html) == 0 && m.HTML != "" {
				t.Errorf("unexpected HTML: %s", m.HTML)
			}
			if len(m.Attachments) != len(w.files) {
				t.Fatalf("attachments: %+v", m.Attachments)
			}
			for i, f := range w.files {
				a := m.Attachments[i]
				eq("file", file{a.Name, a.MediaType, a.ContentID, a.Inline, f.content}, f)
				r, err := OpenPart(raw, a.Part)
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if int64(len(content)) != a.Size || len(content) == 0 {
					t.Errorf("%s has %d bytes, said %d", a.Name, len(content), a.Size)
				}
				if f.content != "" && string(content) != f.content {
					t.Errorf("%s: %q", a.Name, content)
				}
			}

			// The same mail with bare LF, as a file or a careless gateway gives it, is the same event.
			lf := bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
			same := parse(t, lf)
			for i := range same.Message.Attachments {
				same.Message.Attachments[i].Size = m.Attachments[i].Size
			}
			eq("event of the LF form", same, e)
			// So is a mail that travelled another way, with other trace fields.
			traced := append([]byte("Received: by elsewhere; Tue, 3 Mar 2099 00:00:00 +0000\r\n"), raw...)
			eq("key by another way", parse(t, traced).Key, e.Key)
		})
	}
}

func TestKey(t *testing.T) {
	base := "From: a@b.example\r\nDate: Tue, 3 Mar 2026 09:00:00 +0100\r\nMessage-ID: <1@b>\r\nSubject: x\r\n\r\nHallo\r\n"
	key := func(s string) string { return parse(t, []byte(s)).Key }
	if !strings.HasPrefix(key(base), "msg:<1@b>:") {
		t.Errorf("key %q", key(base))
	}
	if key(base) != key(base+"\r\n\r\n") {
		t.Error("empty lines at the end change the key")
	}
	for what, other := range map[string]string{
		"body": strings.Replace(base, "Hallo", "Hallo!", 1),
		"date": strings.Replace(base, "09:00", "09:01", 1),
		"from": strings.Replace(base, "a@b", "c@b", 1),
	} {
		if key(other) == key(base) {
			t.Errorf("a reused Message-ID with another %s has the same key: it would suppress the mail", what)
		}
	}
	none := strings.Replace(base, "Message-ID: <1@b>\r\n", "", 1)
	e := parse(t, []byte(none))
	if !strings.HasPrefix(e.Key, "msg:") || e.Key == key(strings.Replace(none, "Hallo", "Hi", 1)) || e.Message.ExternalID == "" {
		t.Errorf("without Message-ID: key %q, id %q", e.Key, e.Message.ExternalID)
	}
}

func TestReplyToken(t *testing.T) {
	for name, tt := range map[string]struct{ rcpt, header, want string }{
		"recipient":              {"service+r.abc-_9@firma.example", "", "abc-_9"},
		"recipient, other case":  {"Service+R.abc@Firma.Example", "", "abc"},
		"To":                     {own, "To: x@y.example, \"S\" <service+r.tok@firma.example>", "tok"},
		"Cc":                     {own, "Cc: SERVICE+r.tok@FIRMA.example", "tok"},
		"Delivered-To":           {own, "Delivered-To: service+r.tok@firma.example", "tok"},
		"other mailbox":          {own, "To: vertrieb+r.tok@firma.example", ""},
		"other domain":           {own, "To: service+r.tok@evil.example", ""},
		"customer's own detail":  {own, "To: service+shop@firma.example", ""},
		"empty":                  {own, "To: service+r.@firma.example", ""},
		"not a token":            {own, "To: \"service+r.a b\"@firma.example", ""},
		"too long":               {own, "To: service+r." + strings.Repeat("x", 61) + "@firma.example", ""},
		"recipient before field": {"service+r.one@firma.example", "To: service+r.two@firma.example", "one"},
	} {
		raw := "From: a@b.example\r\n" + tt.header + "\r\n\r\nx"
		if tt.header == "" {
			raw = "From: a@b.example\r\n\r\nx"
		}
		e, err := Parse([]byte(raw), tt.rcpt, Limits{})
		if err != nil || e.Message.ReplyToken != tt.want {
			t.Errorf("%s: token %q, want %q (%v)", name, e.Message.ReplyToken, tt.want, err)
		}
	}
}

func TestAutomatic(t *testing.T) {
	for header, want := range map[string]bool{
		"":                                      false,
		"Auto-Submitted: no":                    false,
		"Auto-Submitted: No (really)":           false,
		"Auto-Submitted: auto-replied":          true,
		"Auto-Submitted: auto-generated; x=y":   true,
		"auto-submitted: Auto-Notified":         true,
		"Precedence: bulk":                      true,
		"Precedence: list":                      true,
		"Precedence: junk":                      true,
		"Precedence: auto_reply":                true,
		"Precedence: first-class":               false,
		"List-Id: <news.firma.example>":         true,
		"List-Unsubscribe: <mailto:u@x.exampl>": true,
		"Return-Path: <>":                       true,
		"Return-Path: < >":                      true,
		"Return-Path: <a@b.example>":            false,
		"X-Auto-Response-Suppress: All":         true,
		"X-Auto-Response-Suppress: DR, OOF":     true,
		"X-Auto-Response-Suppress: RN":          false,
		"X-Autoreply: yes":                      true,
		"X-Autorespond: Vacation":               true,
		"X-Autoreply: no":                       false,
		"Content-Type: multipart/report; boundary=x; report-type=delivery-status":                           true,
		"X-Failed-Recipients: x@y.example":                                                                  true,
		"List-Id: <service.firma.example>\r\nPrecedence: list\r\nList-Post: <mailto:service@firma.example>": false,
		"List-Id: <service.firma.example>\r\nAuto-Submitted: auto-replied":                                  true,
		"List-Id: <firma.example.evil.example>":                                                             true,
	} {
		raw := "From: Kunde <kunde@b.example>\r\nSubject: x\r\n"
		if header != "" {
			raw += header + "\r\n"
		}
		if got := parse(t, []byte(raw+"\r\nHallo")).Message.Automatic; got != want {
			t.Errorf("%q: automatic = %v, want %v", header, got, want)
		}
	}
	for from, want := range map[string]bool{
		"MAILER-DAEMON@x.example": true, "noreply@x.example": true, "no-reply@x.example": true, "owner-liste@x.example": true,
		"liste-request@x.example": true, "liste-bounces@x.example": true, "norbert@x.example": false, "request@x.example": false,
	} {
		if got := parse(t, []byte("From: "+from+"\r\n\r\nx")).Message.Automatic; got != want {
			t.Errorf("From %s: automatic = %v, want %v", from, got, want)
		}
	}
}

// TestCharsets: the usual sets, missing and wrong labels.
func TestCharsets(t *testing.T) {
	for name, tt := range map[string]struct {
		label, bytes, want string
	}{
		"utf-8":                     {"utf-8", "gr\xc3\xbc\xc3\x9fe", "grüße"},
		"none, utf-8":               {"", "gr\xc3\xbc\xc3\x9fe", "grüße"},
		"none, latin":               {"", "gr\xfc\xdfe", "grüße"},
		"lie: utf-8 is windows":     {"utf-8", "gr\xfc\xdfe \x80 \x84Zitat\x93", "grüße € „Zitat“"},
		"lie: latin is utf-8":       {"iso-8859-1", "gr\xc3\xbc\xc3\x9fe", "grüße"},
		"lie: ascii is windows":     {"us-ascii", "gr\xfc\xdfe \x96", "grüße –"},
		"latin-1":                   {"ISO-8859-1", "gr\xfc\xdfe", "grüße"},
		"latin-1 is windows really": {"iso-8859-1", "5 \x80", "5 €"},
		"latin-9":                   {"iso-8859-15", "5 \xa4", "5 €"},
		"latin-2":                   {"iso-8859-2", "\xb1\xe6", "ąć"},
		"windows-1250":              {"windows-1250", "\x9a\x9e", "šž"},
		"cyrillic":                  {"koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"},
		"windows-1251":              {"windows-1251", "\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"},
		"japanese":                  {"iso-2022-jp", "\x1b$B$3$s\x1b(B", "こん"},
		"shift_jis":                 {"shift_jis", "\x82\xb1\x82\xf1", "こん"},
		"chinese":                   {"gb2312", "\xc4\xe3\xba\xc3", "你好"},
		"big5":                      {"big5", "\xa7A\xa6n", "你好"},
		"korean":                    {"ks_c_5601-1987", "\xbe\xc8\xb3\xe7", "안녕"},
		"turkish":                   {"iso-8859-9", "\xfe\xfd", "şı"},
		"utf-16":                    {"utf-16le", "g\x00\xfc\x00", "gü"},
		"utf-7":                     {"utf-7", "gr+APwA3w-e +- 1", "grüße + 1"},
		"dos":                       {"ibm850", "gr\x81\xe1e", "grüße"},
		"mac":                       {"macintosh", "gr\x9f\xa7e", "grüße"},
		"quoted label":              {"'UTF-8'", "\xc3\xbc", "ü"},
		"unknown, utf-8":            {"x-klingon", "\xc3\xbc", "ü"},
		"unknown, latin":            {"x-klingon", "\xfc", "ü"},
		"nul and controls":          {"utf-8", "a\x00b\x07c\r\nd\re", "abc\nd\ne"},
		"byte order mark":           {"utf-8", "\xef\xbb\xbfHallo", "Hallo"},
		"mixed sets":                {"utf-8", "Gr\xc3\xb6\xc3\x9fe von M\xfcller, 5 \x80", "Größe von Müller, 5 €"},
		"mixed sets, no label":      {"", "Gr\xc3\xb6\xc3\x9fe von M\xfcller", "Größe von Müller"},
		"lie: latin-2 is utf-8":     {"iso-8859-2", "gr\xc3\xbc\xc3\x9fe", "grüße"},
		"lie: koi8 is utf-8":        {"koi8-r", "gr\xc3\xbc\xc3\x9fe", "grüße"},
		"lie: utf-8 is utf-16":      {"utf-8", "\xff\xfeg\x00\xfc\x00", "gü"},
		"utf-16 with mark":          {"utf-16", "\xfe\xff\x00g\x00\xfc", "gü"},
	} {
		raw := "From: a@b.example\r\nContent-Type: text/plain; charset=\"" + tt.label + "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + tt.bytes
		if tt.label == "" {
			raw = "From: a@b.example\r\n\r\n" + tt.bytes
		}
		if got := parse(t, []byte(raw)).Message.Text; got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestHeaderWords(t *testing.T) {
	for in, want := range map[string]string{
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=":                                  "Grüße",
		"=?UTF-8?B?R3LDvMOfZQ==?=":                                     "Grüße",
		"=?utf-8?B?R3LDvMOfZQ?=":                                       "Grüße", // padding forgotten
		"=?utf-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=":                     "Grüße", // a character torn apart
		"=?iso-8859-1?Q?Gr=FC=DFe_aus?= =?iso-8859-15?Q?_K=F6ln_=A4?=": "Grüße aus Köln €",
		"Re: =?utf-8?q?=C3=BC?= und =?utf-8?q?=C3=B6?=":                "Re: ü und ö",
		"=?utf-8?q?a b?=":                                              "a b",
		"=?utf-8*de?q?=C3=BC?=":                                        "ü",
		"=?unknown?q?=FC?=":                                            "ü",
		"=?utf-8?x?abc?=":                                              "=?utf-8?x?abc?=",
		"=?utf-8?q?abc":                                                "=?utf-8?q?abc",
		"=?":                                                           "=?",
		"1 =? 2":                                                       "1 =? 2",
		"roh \xfc":                                                     "roh ü",
		"roh \xc3\xbc":                                                 "roh ü",
		"=?utf-8?Q?Betreff=0D=0ABcc:_x@evil.example?=":                 "Betreff Bcc: x@evil.example",
		"=?utf-8?B?QQ0KQg==?=":                                         "A B",
		"=?utf-8?Q?=00a=E2=80=AEb?=":                                   "ab",
		"gefaltet\r\n mitten\r\n\tdrin":                                "gefaltet mitten drin",
	} {
		if got := parse(t, []byte("From: a@b.example\r\nSubject: "+in+"\r\n\r\nx")).Message.Subject; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestMailboxes(t *testing.T) {
	for in, want := range map[string][]channel.Mailbox{
		"a@b.example":                  {{Address: "a@b.example"}},
		"<A.B@B.Example>":              {{Address: "A.B@b.example"}},
		`"Müller, Jörg" <j@b.example>`: {{Name: "Müller, Jörg", Address: "j@b.example"}},
		`=?utf-8?q?M=C3=BCller=2C_J=C3=B6rg?= <j@b.example>, x@y.example`: {{Name: "Müller, Jörg", Address: "j@b.example"}, {Address: "x@y.example"}},
		`"=?utf-8?q?J=C3=B6rg?=" <j@b.example>`:                           {{Name: "Jörg", Address: "j@b.example"}},
		`j@b.example (Jörg)`:                                              {{Name: "Jörg", Address: "j@b.example"}},
		`"a \"b\" c" <j@b.example>`:                                       {{Name: `a "b" c`, Address: "j@b.example"}},
		`Team: a@b.example, "C" <c@d.example>;`:                           {{Address: "a@b.example"}, {Name: "C", Address: "c@d.example"}},
		`undisclosed-recipients:;`:                                        nil,
		`"j@b.example" <j@b.example>`:                                     {{Address: "j@b.example"}},
		`'Jörg' <j@b.example>`:                                            {{Name: "Jörg", Address: "j@b.example"}},
		`Jörg j@b.example`:                                                {{Name: "Jörg", Address: "j@b.example"}},
		`"boss@firma.example" <evil@x.example>`:                           {{Name: "boss@firma.example", Address: "evil@x.example"}},
		`<@relay.example:j@b.example>`:                                    {{Address: "j@b.example"}},
		`"never closed <j@b.example>, k@l.example`:                        {{Name: "never closed", Address: "j@b.example"}, {Address: "k@l.example"}},
		`a@b.example; c@d.example`:                                        {{Address: "a@b.example"}, {Address: "c@d.example"}},
		`jörg@bücher.example`:                                             {{Address: "jörg@bücher.example"}},
		`=?utf-8?Q?A=0D=0ABcc:_evil?= <j@b.example>`:                      {{Name: "A Bcc: evil", Address: "j@b.example"}},
		"\"a\u202Eb\" <j@b.example>":                                      {{Name: "ab", Address: "j@b.example"}},
		`nobody`:                                                          nil,
		`@`:                                                               nil,
		`a b@c.example x@`:                                                nil,
		`"j b"@c.example`:                                                 {{Address: `"j b"@c.example`}},
		`mailto:j@b.example`:                                              {{Address: "j@b.example"}},
		`a@b..example, a@.b, a@b c`:                                       nil,
	} {
		if got := parseMailboxes(in); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestFileNames(t *testing.T) {
	part := func(fields string) string {
		return "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n" + fields + "\r\n\r\nabc\r\n--b--\r\n"
	}
	for fields, want := range map[string]string{
		`Content-Type: application/pdf; name="a.pdf"`:                                               "a.pdf",
		`Content-Disposition: attachment; filename=a.pdf`:                                           "a.pdf",
		`Content-Disposition: attachment; filename="a; b.pdf"; size=3`:                              "a; b.pdf",
		`Content-Disposition: attachment; filename*=UTF-8''%C3%BCbersicht%20M%C3%A4rz.pdf`:          "übersicht März.pdf",
		`Content-Disposition: attachment; filename*=iso-8859-1'de'%FCber.pdf; filename="ueber.pdf"`: "über.pdf",
		"Content-Disposition: attachment;\r\n filename*0=\"lang\";\r\n filename*1=\"er Name.pdf\"":  "langer Name.pdf",
		"Content-Disposition: attachment; filename*1*=%BCr.pdf;\r\n filename*0*=utf-8''f%C3":        "für.pdf",
		`Content-Disposition: attachment; filename="=?utf-8?Q?=C3=BCber.pdf?="`:                     "über.pdf",
		"Content-Disposition: attachment;\r\n filename*1=\"lang\";\r\n filename*2=\"er.pdf\"":       "langer.pdf",
		`Content-Disposition: attachment; filename="=?utf-8?B?w7xiZXI`:                              "=_utf-8_B_w7xiZXI",
		`Content-Disposition: attachment; filename="=?utf-8?Q?=C3?= =?utf-8?Q?=BCber.pdf?="`:        "über.pdf",
		`Content-Disposition: attachment; filename*=klingon''%C3%BCber.pdf`:                         "über.pdf",
		`Content-Disposition: attachment; filename*=utf-8''%FCber%2.pdf`:                            "über%2.pdf",
		"Content-Disposition: attachment; filename=\"\xfcber.pdf\"":                                 "über.pdf",
		`Content-Disposition: attachment; filename="..\..\windows\evil.exe"`:                        "evil.exe",
		`Content-Disposition: attachment; filename="../../etc/passwd"`:                              "passwd",
		`Content-Disposition: attachment; filename="=?utf-8?Q?rechnung=E2=80=AEfdp.exe?="`:          "rechnungfdp.exe",
		`Content-Disposition: attachment; filename="=?utf-8?Q?a=E2=80=8Bb=EF=BB=BF.pdf?="`:          "ab.pdf",
		`Content-Disposition: attachment; filename="=?utf-8?Q?a=0D=0Ab.pdf?="`:                      "a b.pdf",
		`Content-Disposition: attachment; filename="a<b>:c?.pdf"`:                                   "a_b__c_.pdf",
		`Content-Disposition: attachment; filename="..."`:                                           "attachment.txt",
		"Content-Type: image/png\r\nContent-Disposition: attachment":                                ".png",
		`Content-Disposition: attachment; filename="` + strings.Repeat("x", 400) + `.pdf"`:          strings.Repeat("x", 196) + ".pdf",
		`Content-Disposition: attachment; filename="never closed.pdf`:                               "never closed.pdf",
	} {
		e := parse(t, []byte(part(fields)))
		if len(e.Message.Attachments) != 1 {
			t.Errorf("%s: %+v", fields, e.Message.Attachments)
			continue
		}
		got := e.Message.Attachments[0].Name
		if got != want && !(want == ".png" && got == "attachment.png") {
			t.Errorf("%s: %q, want %q", fields, got, want)
		}
	}
}

// TestMalformed: broken mails yield something sensible, never an error or an endless loop.
func TestMalformed(t *testing.T) {
	const head = "From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
	for name, tt := range map[string]struct {
		raw, text string
		files     int
	}{
		"no final boundary":           {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHallo\r\n--b\r\nContent-Type: application/pdf\r\n\r\nabc", "Hallo", 1},
		"inner boundary missing":      {head + "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nHallo\r\n--o\r\nContent-Type: application/pdf\r\n\r\nabc\r\n--o--\r\n", "Hallo", 1},
		"boundary never comes":        {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\nHallo\r\n", "Hallo", 0},
		"boundary not named":          {head + "Content-Type: multipart/mixed\r\n\r\n--xyz\r\n\r\nHallo\r\n--xyz--\r\n", "Hallo", 0},
		"no boundary anywhere":        {head + "Content-Type: multipart/mixed\r\n\r\nHallo\r\n", "Hallo", 0},
		"boundary is a prefix":        {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nHallo\r\n--bb--\r\n--b--\r\n", "Hallo", 0},
		"broken base64":               {head + "Content-Transfer-Encoding: base64\r\n\r\nSGFs!!\r\n*bG8", "Hallo", 0},
		"base64 in two blocks":        {head + "Content-Transfer-Encoding: base64\r\n\r\nSGFsbA==\r\nbyE=\r\n", "Hallo!", 0},
		"broken quoted-printable":     {head + "Content-Transfer-Encoding: quoted-printable\r\n\r\n100=% =4 H=61llo =\r\nda = \r\n=", "100=% =4 Hallo da", 0},
		"unknown encoding":            {head + "Content-Transfer-Encoding: rot13\r\n\r\nHallo", "Hallo", 0},
		"no content type value":       {head + "Content-Type: \r\n\r\nHallo", "Hallo", 0},
		"nonsense content type":       {head + "Content-Type: text\r\n\r\nHallo", "Hallo", 0},
		"no empty line":               {"From: a@b.example\r\nSubject: x", "", 0},
		"part without empty line":     {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n--b\r\n\r\nHallo\r\n--b--", "Hallo", 0},
		"part without header":         {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nHallo\r\n--b--", "Hallo", 0},
		"mbox line":                   {"From x Tue Mar  3 09:00:00 2026\n" + head + "\r\nHallo", "Hallo", 0},
		"only CR":                     {"From: a@b.example\rSubject: x\r\rHallo\rDu", "Hallo\nDu", 0},
		"only LF":                     {"From: a@b.example\nSubject: x\n\nHallo\nDu", "Hallo\nDu", 0},
		"junk line in the header":     {"From: a@b.example\r\nthis is no field\r\nSubject: x\r\n\r\nHallo", "Hallo", 0},
		"blank before colon":          {"From : a@b.example\r\nSubject: x\r\n\r\nHallo", "Hallo", 0},
		"named text is the text":      {head + "Content-Type: text/plain; name=\"body.txt\"\r\n\r\nHallo", "Hallo", 1},
		"empty multipart":             {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n", "", 0},
		"html without end":            {head + "Content-Type: text/html\r\n\r\n<html><head><title>T</title><body><p>Hallo", "Hallo", 0},
		"mail programs' own versions": {head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nHallo\r\n--b\r\nContent-Type: text/x-amp-html\r\n\r\n<html amp4email>\r\n--b\r\nContent-Type: text/watch-html\r\n\r\n<b>H</b>\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hallo\r\n--b--", "Hallo", 0},
		"alternative without text":    {head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hallo\r\n--b--", "Hallo", 0},
		"encrypted":                   {head + "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\nContent-Type: application/octet-stream; name=encrypted.asc\r\n\r\nabc\r\n--b--", "", 2},
	} {
		e, err := Parse([]byte(tt.raw), own, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		channeltest.CheckEvents(t, []channel.Event{e})
		if e.Message.Text != tt.text || len(e.Message.Attachments) != tt.files || e.Sender.Value != "a@b.example" || e.Message.Subject != "x" {
			t.Errorf("%s: text %q, files %d, from %s, subject %q", name, e.Message.Text, len(e.Message.Attachments), e.Sender.Value, e.Message.Subject)
		}
	}
	for name, raw := range map[string]string{
		"empty": "", "line ends": "\r\n\r\n", "binary": "\x00\x01\x02\x89PNG\r\n\x1a\n", "prose": "Hello there\r\n\r\nfriend",
		"nobody": "Subject: x\r\n\r\nHallo", "no address": "From: nobody\r\n\r\nHallo",
	} {
		if _, err := Parse([]byte(raw), own, Limits{}); !errors.Is(err, ErrNoMail) {
			t.Errorf("%s: err = %v, want ErrNoMail", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Run("huge header line", func(t *testing.T) {
		raw := "From: a@b.example\r\nX-Junk: " + strings.Repeat("j", 2<<20) + "\r\nSubject: after\r\nTo: " +
			strings.Repeat("x@y.example, ", 200000) + "z@y.example\r\n\r\nHallo"
		m := parse(t, []byte(raw)).Message
		if m.Subject != "after" || m.Text != "Hallo" || !strings.Contains(m.Unsupported, "header fields") {
			t.Errorf("subject %q, text %q, note %q", m.Subject, m.Text, m.Unsupported)
		}
	})
	t.Run("many parts", func(t *testing.T) {
		var b strings.Builder
		b.WriteString("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHallo\r\n")
		for range 10000 {
			b.WriteString("--b\r\nContent-Type: application/pdf; name=x.pdf\r\n\r\nabc\r\n")
		}
		b.WriteString("--b--\r\n")
		m := parse(t, []byte(b.String())).Message
		if len(m.Attachments) != 998 || m.Text != "Hallo" || !strings.Contains(m.Unsupported, "1000 parts") {
			t.Errorf("%d attachments, text %q, note %q", len(m.Attachments), m.Text, m.Unsupported)
		}
	})
	t.Run("nested parts", func(t *testing.T) {
		raw := nested(10000)
		e := parse(t, raw)
		m := e.Message
		if len(m.Attachments) != 1 || !strings.Contains(m.Unsupported, "nested deeper") {
			t.Fatalf("%d attachments, note %q", len(m.Attachments), m.Unsupported)
		}
		r, err := OpenPart(raw, m.Attachments[0].Part)
		if err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(r); !bytes.Contains(rest, []byte("the core")) {
			t.Error("what lies deeper is not in the file")
		}
	})
	t.Run("long text", func(t *testing.T) {
		raw := "From: a@b.example\r\n\r\n" + strings.Repeat("äöü\r\n", 400000)
		m := parse(t, []byte(raw)).Message
		if len(m.Text) > 1<<20 || len(m.Text) < 1<<19 || !utf8.ValidString(m.Text) || len(m.Attachments) != 1 || m.Unsupported == "" {
			t.Errorf("%d bytes, %d files, note %q", len(m.Text), len(m.Attachments), m.Unsupported)
		}
	})
	t.Run("long references", func(t *testing.T) {
		var ids []string
		for i := range 500 {
			ids = append(ids, fmt.Sprintf("<%d@b.example>", i))
		}
		m := parse(t, []byte("From: a@b.example\r\nReferences: "+strings.Join(ids, "\r\n ")+"\r\n\r\nx")).Message
		if len(m.References) != 100 || m.References[0] != ids[0] || m.References[99] != ids[499] || m.ReplyTo != ids[499] {
			t.Errorf("%d references, reply to %s", len(m.References), m.ReplyTo)
		}
	})
}

// nested makes n multiparts one inside the other.
func nested(n int) []byte {
	var b strings.Builder
	b.WriteString("From: a@b.example\r\nSubject: x\r\n")
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("Content-Type: text/plain\r\n\r\nthe core\r\n")
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return []byte(b.String())
}

func TestSentAt(t *testing.T) {
	const trace = "from x by y; Tue, 03 Mar 2026 10:00:00 +0000"
	for _, tt := range []struct{ date, received, want string }{
		{"Tue, 3 Mar 2026 09:00:00 +0100 (CET)", "", "2026-03-03T08:00:00Z"},
		{"3 Mar 26 09:00:00 GMT", "", "2026-03-03T09:00:00Z"},
		{"Tue, 03 Mar 2026 09:00:00", "", "2026-03-03T09:00:00Z"},
		{"2026-03-03T09:00:00Z", "", "2026-03-03T09:00:00Z"},
		{"gestern", "", "0001-01-01T00:00:00Z"},
		{"gestern", trace, "2026-03-03T10:00:00Z"},
		{"Tue, 3 Mar 2099 09:00:00 +0000", trace, "2026-03-03T10:00:00Z"},
		{"Tue, 3 Mar 2026 09:00:00 +0000", trace, "2026-03-03T09:00:00Z"},
	} {
		if got := sentAt(tt.date, tt.received).Format(time.RFC3339); got != tt.want {
			t.Errorf("%q, %q: %s, want %s", tt.date, tt.received, got, tt.want)
		}
	}
}

func TestHTMLText(t *testing.T) {
	for in, want := range map[string]string{
		"<p>Eins</p><p>Zwei</p>":                                                    "Eins\n\nZwei",
		"Eins<br>Zwei<br><br>Drei":                                                  "Eins\nZwei\n\nDrei",
		"<div>Eins</div><div>Zwei</div>":                                            "Eins\nZwei",
		"<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>":                          "- a\n- b\n  - c",
		"<ol><li>a</li><li>b</li></ol>":                                             "1. a\n2. b",
		"<a href='https://x.example/a'>hier</a> klicken":                            "hier <https://x.example/a> klicken",
		"<a href='https://x.example/'>x.example</a>":                                "x.example",
		"<a href='mailto:a@x.example'>a@x.example</a>":                              "a@x.example",
		"<a href='javascript:x()'>hier</a>":                                         "hier",
		"<style>p{}</style><script>x()</script><title>t</title>Hallo":               "Hallo",
		"Gr&uuml;&szlig;e&nbsp;aus\n  K&ouml;ln":                                    "Grüße aus Köln",
		"<blockquote>Alt<br>Text<blockquote>älter</blockquote></blockquote>Neu":     "> Alt\n> Text\n> > älter\nNeu",
		"<table><tr><td>Preis</td><td>5 €</td></tr><tr><td>Summe</td></tr></table>": "Preis 5 €\nSumme",
		"<pre>a\n  b</pre>c":                                                        "a\n  b\nc",
		"<img src=x alt='Logo'> Text":                                               "[Logo] Text",
		"<h1>Titel</h1>Text<hr>Ende":                                                "Titel\n\nText\n---\nEnde",
		"a<b>b</b>c":                                                                "abc",
		"a\u200b\u034fb":                                                            "ab",
		"":                                                                          "",
	} {
		if got := htmlText(in); got != want {
			t.Errorf("%s:\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestOpenPart(t *testing.T) {
	raw := fixture(t, "outlook-related.eml")
	for _, part := range []string{"", "9", "1", "1.1.9", "1.2.1", "x", "1..2"} {
		if r, err := OpenPart(raw, part); err == nil {
			t.Errorf("part %q: %v", part, r)
		}
	}
	r, err := (Driver{}).OpenPart(raw, "1.2")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(r); !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("%q", b)
	}
}

// FuzzParse: whatever comes, Parse ends, gives valid text, and every part that it names can be opened.
func FuzzParse(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.eml")
	for _, n := range names {
		raw, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(crlf(raw))
	}
	f.Add(nested(60))
	f.Add([]byte("From: =?utf-8?q?=?= <a@b>\nContent-Type: multipart/mixed; boundary=\"\"\n\n--\n\n----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Parse(raw, "service+r.tok@firma.example", Limits{})
		if err != nil {
			return
		}
		m := e.Message
		channeltest.CheckEvents(t, []channel.Event{e})
		if e.Type == channel.StatusEvent {
			if e.Status.ExternalID == "" || !strings.HasSuffix(e.Key, ":"+string(e.Status.State)) || !utf8.ValidString(e.Status.Error) || strings.ContainsAny(e.Status.Error, "\r\n\x00") {
				t.Fatalf("status %+v", e)
			}
			return
		}
		if e.Key == "" || e.Sender.Value == "" || m.ExternalID == "" {
			t.Fatalf("incomplete event: %+v", e)
		}
		one := func(what, s string) {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00\u202e") {
				t.Errorf("%s is not one clean line: %q", what, s)
			}
		}
		one("subject", m.Subject)
		one("name", e.Sender.Name)
		for _, s := range []string{m.Text, m.HTML, m.Unsupported} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r") {
				t.Errorf("not clean: %q", s)
			}
		}
		for _, a := range m.Attachments {
			one("file name", a.Name)
			if strings.ContainsAny(a.Name, `/\`) || a.Name == "" {
				t.Errorf("file name %q", a.Name)
			}
			r, err := OpenPart(raw, a.Part)
			if err != nil {
				t.Fatalf("open %q: %v", a.Part, err)
			}
			if n, err := io.Copy(io.Discard, r); err != nil || n != a.Size {
				t.Fatalf("part %q: %d bytes, said %d (%v)", a.Part, n, a.Size, err)
			}
		}
		Sanitize(m.HTML, SanitizeOptions{})
		visible, quoted := TrimQuoted(m.Text)
		if squeeze(visible+quoted) != squeeze(m.Text) {
			t.Errorf("TrimQuoted lost text")
		}
	})
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// mail10KB is a usual mail: alternative text and HTML, headers of several hops, 10 KB.
func mail10KB() []byte {
	var b strings.Builder
	for i := range 4 {
		fmt.Fprintf(&b, "Received: from relay%d.example (relay%d.example [192.0.2.%d])\r\n\tby mx%d.example with ESMTPS id abc%d;\r\n\tTue, 3 Mar 2026 09:00:0%d +0100\r\n", i, i, i, i, i, 9-i)
	}
	b.WriteString("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=kunde.example; s=k1;\r\n\th=from:to:subject; bh=" + strings.Repeat("x", 44) + ";\r\n\tb=" + strings.Repeat("y", 344) + "\r\n")
	b.WriteString("From: =?utf-8?q?J=C3=B6rg_M=C3=BCller?= <joerg@kunde.example>\r\nTo: Service <service@firma.example>\r\nSubject: =?utf-8?q?Frage_zu_meiner_Haftpflichtversicherung_f=C3=BCr_2026?=\r\nDate: Tue, 3 Mar 2026 09:00:00 +0100\r\nMessage-ID: <bench@kunde.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_bench\"\r\n\r\n--=_bench\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	for b.Len() < 4500 {
		b.WriteString("Guten Tag, ich h=C3=A4tte gerne gewusst, ob die Deckung f=C3=BCr das Jahr gilt.\r\n")
	}
	b.WriteString("--=_bench\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body>\r\n")
	for b.Len() < 10100 {
		b.WriteString("<p style=3D\"margin:0\">Guten Tag, ich h=C3=A4tte gerne gewusst, ob das <b>gilt</b>.</p>\r\n")
	}
	b.WriteString("</body></html>\r\n--=_bench--\r\n")
	return []byte(b.String())
}

func BenchmarkParse10KB(b *testing.B) {
	raw := mail10KB()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw, own, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

func BenchmarkParse10000NestedParts(b *testing.B) {
	raw := nested(10000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw, own, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse10000Parts(b *testing.B) {
	var s strings.Builder
	s.WriteString("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
	for range 10000 {
		s.WriteString("--b\r\nContent-Type: text/plain\r\n\r\nabc\r\n")
	}
	raw := []byte(s.String())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw, own, Limits{Parts: 20000}); err != nil {
			b.Fatal(err)
		}
	}
}

// wrapBase64 encodes with lines of 76 characters.
func wrapBase64(b []byte) string {
	s := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(s) > 76 {
		out.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return out.String() + s + "\r\n"
}
