package email

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
)

// This file makes mails: shaped like those that customers send (realMail), and broken in every way we know
// (malformed). Both are deterministic: the same number gives the same mail.

func seeded(n int) *rand.Rand { return rand.New(rand.NewPCG(0x52756677, uint64(n))) }

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

var (
	corpusWords = strings.Fields(`Guten Tag ich möchte meine Versicherung ändern und bitte um ein Angebot für die Hausratversicherung ab dem nächsten Monat
		können Sie mir sagen ob der Schaden an der Küche übernommen wird vielen Dank für Ihre schnelle Hilfe mit freundlichen Grüßen hello could you please tell
		me whether this is covered thank you very much the invoice is attached bonjour je vous écris au sujet de ma facture merci d'avance cordialement Straße`)
	corpusNames = []string{"Jörg Müller", "Anna Berg", "Renée Straßmann", "Ayşe Yıldız", "Tom O'Hara", "Łukasz Nowak", "Müller, Jörg (Köln)", "Иван Петров", "李 雷", ""}
)

func sentenceOf(r *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(pick(r, corpusWords...))
	}
	return b.String() + "."
}

func paragraphs(r *rand.Rand, n int) string {
	var out []string
	for range n {
		out = append(out, sentenceOf(r, 8+r.IntN(60)))
	}
	return strings.Join(out, "\n\n")
}

// encodeBody gives a body in one of the forms that mailers use, with its fields.
func encodeBody(r *rand.Rand, kind, text string) string {
	set, b := "utf-8", []byte(text)
	if r.IntN(4) == 0 {
		if latin, err := charmap.Windows1252.NewEncoder().Bytes(b); err == nil {
			set, b = pick(r, "windows-1252", "iso-8859-1", "ISO-8859-15"), latin
		}
	}
	b = crlf(b)
	switch r.IntN(4) {
	case 0:
		return "Content-Type: " + kind + "; charset=" + set + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrapBase64(b)
	case 1:
		return "Content-Type: " + kind + "; charset=\"" + set + "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + string(b) + "\r\n"
	default:
		var q bytes.Buffer
		w := quotedprintable.NewWriter(&q)
		w.Write(b)
		w.Close()
		return "Content-Type: " + kind + "; charset=" + set + "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + q.String() + "\r\n"
	}
}

// realMail is a mail as customers, shops and servers send it.
func realMail(n int) []byte {
	r := seeded(n)
	name := pick(r, corpusNames...)
	addr := fmt.Sprintf("kunde%d@%s.example", r.IntN(5000), pick(r, "gmail", "gmx", "web", "t-online", "firma-nord", "outlook", "kanzlei"))
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\nDelivered-To: service@firma.example\r\n", addr)
	for i := range 1 + r.IntN(5) {
		fmt.Fprintf(&b, "Received: from relay%d.example (relay%d.example [192.0.2.%d])\r\n\tby mx%d.example with ESMTPS id %x;\r\n\tTue, %d Mar 2026 09:0%d:00 +0100\r\n", i, i, r.IntN(255), i, r.Uint64(), 1+r.IntN(28), 9-i)
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=kunde.example; s=k1;\r\n\th=from:to:subject:date:message-id; bh=%s;\r\n\tb=%s\r\n", strings.Repeat("x", 44), strings.Repeat("Yz0+", 86))
		fmt.Fprintf(&b, "Authentication-Results: mx.example; spf=pass smtp.mailfrom=%s;\r\n\tdkim=pass header.d=kunde.example; dmarc=pass header.from=kunde.example\r\n", addr)
	}
	for i := range r.IntN(12) {
		fmt.Fprintf(&b, "X-Microsoft-Antispam-%d: BCL:0;ARA:%s\r\n", i, strings.Repeat("1337|", r.IntN(60)))
	}
	fmt.Fprintf(&b, "From: %s <%s>\r\nTo: Service <service@firma.example>\r\nDate: Tue, %d Mar 2026 %02d:00:00 +0100\r\nMessage-ID: <%x.%x@mail.example>\r\nMIME-Version: 1.0\r\n",
		encodeWords(name), addr, 1+r.IntN(28), r.IntN(24), r.Uint64(), n)
	reply := r.IntN(10) < 6
	subject := sentenceOf(r, 2+r.IntN(6))
	if reply {
		subject = pick(r, "Re: ", "AW: ", "Aw: ", "RE: ") + subject
		fmt.Fprintf(&b, "In-Reply-To: <%x@firma.example>\r\nReferences: <%x@firma.example>\r\n <%x@firma.example>\r\n", r.Uint64(), r.Uint64(), r.Uint64())
	}
	fmt.Fprintf(&b, "Subject: %s\r\n", encodeWords(subject))
	text := pick(r, "Guten Tag,\n\n", "Hello,\n\n", "Bonjour,\n\n", "") + paragraphs(r, 1+r.IntN(4)) + "\n\n" + pick(r, "-- \n", "Viele Grüße\n") + name
	quoted := ""
	if reply {
		old := paragraphs(r, 1+r.IntN(6))
		switch r.IntN(3) {
		case 0:
			quoted = "\n\nAm Mo., 2. März 2026 um 16:40 Uhr schrieb Anna Berg <service@firma.example>:\n\n> " + strings.ReplaceAll(old, "\n", "\n> ")
		case 1:
			quoted = "\n\n________________________________\nVon: Anna Berg <service@firma.example>\nGesendet: Montag, 2. März 2026 16:40\nAn: " + name + "\nBetreff: x\n\n" + old
		default:
			quoted = "\n\nOn Mon, 2 Mar 2026 at 16:40, Anna Berg <service@firma.example> wrote:\n> " + strings.ReplaceAll(old, "\n", "\n> ")
		}
	}
	page := "<html><head><style>p{margin:0} .x{color:#333}</style></head><body lang=DE>" +
		"<p class=MsoNormal style=\"margin:0cm;font-size:11.0pt\">" + strings.ReplaceAll(text, "\n\n", "</p>\r\n<p class=MsoNormal><o:p>&nbsp;</o:p></p>\r\n<p>") + "</p>" +
		"<blockquote type=cite>" + strings.ReplaceAll(quoted, "\n", "<br>\r\n") + "</blockquote></body></html>"
	both := func() string {
		m := fmt.Sprintf("=_alt_%x", r.Uint64())
		return "Content-Type: multipart/alternative; boundary=\"" + m + "\"\r\n\r\n--" + m + "\r\n" + encodeBody(r, "text/plain", text+quoted) +
			"--" + m + "\r\n" + encodeBody(r, "text/html", page) + "--" + m + "--\r\n"
	}
	switch k := r.IntN(100); {
	case k < 25:
		b.WriteString(encodeBody(r, "text/plain", text+quoted))
	case k < 30:
		b.WriteString("Content-Type: text/plain; charset=utf-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + strings.ReplaceAll(strings.ReplaceAll(text+quoted, ". ", ". \n"), "\n", "\r\n"))
	case k < 72:
		b.WriteString(both())
	case k < 82:
		b.WriteString(encodeBody(r, "text/html", page))
	case k < 90: // pictures and files
		m := fmt.Sprintf("=_mixed_%x", r.Uint64())
		b.WriteString("Content-Type: multipart/mixed; boundary=\"" + m + "\"\r\n\r\n--" + m + "\r\n" + both())
		for i := range 1 + r.IntN(3) {
			content := make([]byte, 2000+r.IntN(60000))
			for j := range content {
				content[j] = byte(r.Uint32())
			}
			fmt.Fprintf(&b, "--%s\r\nContent-Type: %s; name=\"Foto %d.jpg\"\r\nContent-Disposition: attachment; filename*=utf-8''Sch%%C3%%A4den%%20%d.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n", m, pick(r, "image/jpeg", "application/pdf"), i, i)
			b.WriteString(wrapBase64(content))
		}
		b.WriteString("--" + m + "--\r\n")
	case k < 94:
		b.WriteString("List-Id: <news.shop.example>\r\nList-Unsubscribe: <https://shop.example/u>\r\nPrecedence: bulk\r\n" + both())
	case k < 97:
		b.WriteString("Auto-Submitted: auto-replied\r\n" + encodeBody(r, "text/plain", "Ich bin nicht im Büro.\n"+text))
	default:
		s := dsn("Final-Recipient: rfc822; weg@kunde.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\n")
		_, rest, _ := strings.Cut(s, "Content-Type:")
		b.WriteString("Content-Type:" + rest)
	}
	return []byte(b.String())
}

// malformed are the ways to break a mail. size is about how large it gets.
var malformed = map[string]func(r *rand.Rand, size int) []byte{
	"charset lies": func(r *rand.Rand, size int) []byte {
		b := []byte("From: a@b.example\r\nSubject: =?" + pick(r, "utf-8", "iso-2022-jp", "klingon", "utf-16", "gb18030", "utf-7") + "?q?")
		for range 50 {
			b = fmt.Appendf(b, "=%02X", byte(r.Uint32()))
		}
		b = append(b, "?=\r\nContent-Type: text/plain; charset="+pick(r, "utf-8", "iso-2022-jp", "iso-2022-kr", "utf-16", "utf-32", "utf-7", "big5", "shift_jis", "hz-gb-2312", "klingon", "")+"\r\n\r\n"...)
		for range size {
			b = append(b, byte(r.Uint32()))
		}
		return b
	},
	"mixed encodings": func(r *rand.Rand, size int) []byte {
		b := []byte("From: =?utf-8?b?" + "w7w" + "?= =?iso-8859-1?q?=FC?= \xfc ü <a@b.example>\r\nSubject:")
		for range min(size/30, 8000) {
			b = append(b, pick(r, " =?utf-8?q?=C3?=", " =?utf-8?q?=BC?=", " =?utf-8?b?w7w=?=", " =?x?q??=", " =?utf-8?q?", " ?=", " =?", " \xfc", "\r\n =?utf-8?B?////?=")...)
		}
		b = append(b, "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"...)
		for len(b) < size {
			b = append(b, "--b\r\nContent-Type: text/"+pick(r, "plain", "html")+"; charset="+pick(r, "utf-8", "latin1", "koi8-r")+"\r\nContent-Transfer-Encoding: "+pick(r, "base64", "quoted-printable", "8bit", "x-uuencode", "rot13")+"\r\n\r\n"...)
			b = append(b, pick(r, "SGFsbG8=", "=C3=BC=", "\xfc\xc3\xbc", "begin 644 x\r\n#0V%T\r\n", "====", "=\r\n=\r\n")...)
			b = append(b, "\r\n"...)
		}
		return b
	},
	"broken boundaries": func(r *rand.Rand, size int) []byte {
		b := []byte("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=\"b b\"\r\n\r\n")
		for len(b) < size {
			b = append(b, pick(r, "--b b\r\n", "--b b--\r\n", "--b b --\r\n", "--b  b\r\n", "-- b b\r\n", "--bb\r\n", "--\r\n", "----\r\n", "--b b", "x\r\n", "\r\n", "Content-Type: multipart/mixed; boundary=\"b b\"\r\n", "Content-Type: multipart/alternative; boundary=bb\r\n\r\n")...)
		}
		return b
	},
	"no final boundary": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHallo\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("QUJD", size/4))
	},
	"nested": func(r *rand.Rand, size int) []byte { return nested(min(10000, size/40)) },
	"nested, one boundary": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\n" + strings.Repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", min(10000, size/50)))
	},
	"siblings": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: "+pick(r, "text/plain", "text/html", "application/pdf", "application/ms-tnef", "application/pkcs7-mime", "text/calendar", "message/rfc822", "message/delivery-status")+"\r\n\r\nabc\r\n", min(10000, size/50)))
	},
	"dashes": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + strings.Repeat("--"+strings.Repeat("-", r.IntN(80))+"\r\n", size/42))
	},
	"bare LF": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\nSubject: x\n\n" + strings.Repeat("\n", size))
	},
	"bare CR": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\rSubject: x\r\r" + strings.Repeat("x\r", size/2))
	},
	"NUL": func(r *rand.Rand, size int) []byte {
		return []byte("From: a\x00@b.example\r\nFrom: a@b.example\r\nSubject: \x00x\x00\r\n\r\n" + strings.Repeat("\x00", size))
	},
	"long header line": func(r *rand.Rand, size int) []byte {
		return []byte(pick(r, "X-Junk", "Subject", "Content-Type", "References", "Received") + ": " + strings.Repeat(pick(r, "j", "=?", "\"", "(", "<", ";a=", "=?utf-8?q?=", "%", "\\"), size) + "\r\nFrom: a@b.example\r\n\r\nHallo")
	},
	"folded header": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\n" + pick(r, "X-Junk", "Subject", "To", "References") + ":\r\n" + strings.Repeat(" x\r\n", size/4) + "\r\nHallo")
	},
	"no colons": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\n" + strings.Repeat("this is no field\r\n", size/18) + "Subject: x\r\n\r\nHallo")
	},
	"many fields": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\n" + strings.Repeat(pick(r, "To: a@b.example\r\n", "Received: x\r\n", "X: y\r\n", "Subject:\r\n"), size/12) + "\r\nHallo")
	},
	"endless base64": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nContent-Type: " + pick(r, "text/plain", "text/html", "application/ms-tnef", "application/pkcs7-mime") + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(pick(r, "A", "=", "QUJD\r\n", "Zg==", " ", "-_", "MIAGCSqGSIb3DQEHAqCA"), size)[:size])
	},
	"quoted-printable": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nContent-Type: " + pick(r, "text/plain", "text/html") + "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat(pick(r, "=", "=\r\n", " ", "\t ", "=3D", "=0", "= \t"), size)[:size])
	},
	"dates": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nDate: " + pick(r, "Tue, 99 Mar 99999999 09:00:00 +9999", strings.Repeat("9", size), "(((((", "1 Jan 10000 00:00:00 +0000", "Thu, 1 Jan 1970 00:00:00 -0000", "2026-03-03T09:00:00+99:99", "-1") + "\r\nReceived: by x; " + pick(r, "1 Jan 99999", "", ";;;;") + "\r\n\r\nHallo")
	},
	"no author": func(r *rand.Rand, size int) []byte {
		return []byte("From: " + pick(r, "", "<>", "\"\"", ",,,", "a", "@", "<@>", "undisclosed-recipients:;", "(only a comment)", strings.Repeat("<", size/2), strings.Repeat("(", size/2), "\"never closed <a@b.example>") + "\r\nSubject: x\r\n\r\nHallo")
	},
	"addresses": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nTo: " + strings.Repeat(pick(r, "x@y.example, ", "\"a, b\" <x@y.example>,", ",", ";", "a:b:c@d.example;", "(((a)))x@y.example,", "\"", "<x@y.example", "=?utf-8?q?=FC?= <x@y.example>,\r\n "), size/12) + "\r\n\r\nHallo")
	},
	"file names": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/zip\r\nContent-Disposition: attachment; " +
			pick(r, "filename=\""+strings.Repeat("a.zip/", size/6)+"\"", "filename=\""+strings.Repeat("../", size/3)+"\"", "filename*=utf-8''"+strings.Repeat("%E2%80%AE", size/9), "filename=\""+strings.Repeat("\u202e\u200b", size/6)+"\"",
				func() string {
					var s strings.Builder
					for i := range min(size/20, 5000) {
						fmt.Fprintf(&s, ";\r\n filename*%d*=%%41", i)
					}
					return s.String()
				}(), "filename*999999999999999999999*=x; filename*-1=y; filename**=z; filename*0*1=q", "filename=42.zip; filename=\"\"") +
			"\r\n\r\nPK\x03\x04\r\n--b\r\nContent-Type: text/plain; name=\"" + strings.Repeat("x", min(size, 100000)) + "\"\r\n\r\nHallo\r\n--b--")
	},
	"html": func(r *rand.Rand, size int) []byte {
		piece := pick(r, "<div>", "<", "<a href=", "<a href='cid:", "<!--", "<![CDATA[", "&", "&#x", "<table><td>", "</p>", "<blockquote>", "<ul><li>", "<script>", "<title>", "<pre>\n", "cid:", "<p>Von: a</p><p>Gesendet: 1</p>", "<a href=http://x.example>x</a>", "\u200b", "<svg><style>", "<select><option>")
		return []byte("From: a@b.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + strings.Repeat(piece, size/len(piece)))
	},
	"flowed": func(r *rand.Rand, size int) []byte {
		piece := pick(r, ">", "> ", " \n", "x \n", ">>> x \n", "-- \n", "> a \r\n>> b \r\n")
		return []byte("From: a@b.example\r\nContent-Type: text/plain; format=flowed; delsp=" + pick(r, "yes", "no") + "\r\n\r\n" + strings.Repeat(piece, size/len(piece)))
	},
	"introductions": func(r *rand.Rand, size int) []byte {
		piece := pick(r, "Von: a\n", "Gesendet: 1\nVon:\n", "Am 1 schrieb\n", "Am a\n", "On x wrote\n", "____________\n", "-----Original\n", "x@y.example schrieb am a\n", "Datum: a\nAn: b\n", "a: 1\n")
		return []byte("From: a@b.example\r\n\r\n" + strings.Repeat(piece, size/len(piece)))
	},
	"reports": func(r *rand.Rand, size int) []byte {
		piece := pick(r, "Final-Recipient: rfc822; a@b.example\nAction: failed\n\n", "Diagnostic-Code:\n", " x\n", "Action: delayed\n\n", "550 \n", "<a@b.example>:\n", "Message-ID: <\n", "a@b.example could not be delivered\n")
		if r.IntN(2) == 0 {
			return []byte(notice("From: MAILER-DAEMON@x.example\nSubject: failure notice", strings.Repeat(piece, size/len(piece))))
		}
		return []byte(dsn(strings.Repeat(piece, size/len(piece))))
	},
	"invitation": func(r *rand.Rand, size int) []byte {
		piece := pick(r, "BEGIN:VEVENT\n", "SUMMARY:", " x\n", ";TZID=;", "DTSTART;TZID=\"", ":\n")
		return []byte("From: a@b.example\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VEVENT\n" + strings.Repeat(piece, size/len(piece)))
	},
	"containers": func(r *rand.Rand, size int) []byte {
		c := sample().b.Bytes()
		if r.IntN(2) == 0 {
			c = []byte(signedBER(signedBody))
		}
		for range r.IntN(8) {
			c[r.IntN(len(c))] = byte(r.Uint32())
		}
		if r.IntN(3) == 0 {
			c = bytes.Repeat(c, max(1, size/len(c)))
		}
		return []byte("From: a@b.example\r\nContent-Type: " + pick(r, "application/ms-tnef", "application/pkcs7-mime") + "; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(c))
	},
	"references": func(r *rand.Rand, size int) []byte {
		return []byte("From: a@b.example\r\nReferences: " + strings.Repeat(pick(r, "<x>", "<", ">", "<a@b> ", "<a\r\n @b>"), size/4) + "\r\nIn-Reply-To: " + strings.Repeat("<", 1000) + "\r\n\r\nx")
	},
	"nothing": func(r *rand.Rand, size int) []byte {
		b := make([]byte, r.IntN(size+1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	},
	"mutated": func(r *rand.Rand, size int) []byte {
		b := realMail(r.IntN(1000))
		for range 1 + r.IntN(30) {
			i := r.IntN(len(b))
			switch r.IntN(4) {
			case 0:
				b[i] = byte(r.Uint32())
			case 1:
				b = append(b[:i], b[min(len(b), i+r.IntN(200)):]...)
			case 2:
				j := min(len(b), i+r.IntN(200))
				b = slices.Insert(b, i, slices.Clone(b[i:j])...)
			default:
				b = b[:len(b)-r.IntN(len(b)/10+1)]
			}
			if len(b) == 0 {
				return b
			}
		}
		return b
	},
}

func malformedKinds() (names []string) {
	for name := range malformed {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// checkParsed says what holds for every mail, however broken.
func checkParsed(t *testing.T, what string, raw []byte) {
	t.Helper()
	e, err := Parse(raw, "service+r.tok@firma.example", Limits{})
	if err != nil {
		if !errors.Is(err, ErrNoMail) {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	channeltest.CheckEvents(t, []channel.Event{e})
	m := e.Message
	if e.Type == channel.StatusEvent {
		return
	}
	if e.Sender.Value == "" || m.ExternalID == "" {
		t.Errorf("%s: incomplete: %+v", what, e)
	}
	for _, s := range []string{m.Text, m.HTML, m.Subject, m.Unsupported, e.Sender.Name} {
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r") {
			t.Errorf("%s: not clean: %.200q", what, s)
		}
	}
	if m.QuotedFrom < 0 || m.QuotedFrom > len(m.Text) {
		t.Errorf("%s: quoted from %d of %d", what, m.QuotedFrom, len(m.Text))
	}
	open := OpenParts(raw)
	for _, a := range m.Attachments {
		r, err := open(a.Part)
		if err != nil {
			t.Errorf("%s: open %q: %v", what, a.Part, err)
			continue
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != a.Size {
			t.Errorf("%s: part %q has %d bytes, said %d (%v)", what, a.Part, n, a.Size, err)
		}
	}
}

// TestCorpus parses 10,000 broken mails (2,000 in short mode).
func TestCorpus(t *testing.T) {
	kinds, mails := malformedKinds(), 10000
	if testing.Short() {
		mails = 2000
	}
	for n := range mails {
		r := seeded(n)
		kind := kinds[n%len(kinds)]
		checkParsed(t, fmt.Sprintf("%s, number %d", kind, n), malformed[kind](r, 50+r.IntN(3000)))
		if t.Failed() {
			t.FailNow()
		}
	}
}

// TestCorpusLarge parses every kind at a size where work that grows with its square would not end in this test, and
// where what is allocated must stay in proportion to the mail.
func TestCorpusLarge(t *testing.T) {
	size, variants := 2<<20, 10
	if testing.Short() {
		size, variants = 512<<10, 3
	}
	for _, kind := range malformedKinds() {
		for variant := range variants {
			raw := malformed[kind](seeded(variant), size)
			what := fmt.Sprintf("%s, variant %d, %d bytes", kind, variant, len(raw))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			Parse(raw, own, Limits{})
			runtime.ReadMemStats(&after)
			if b, limit := after.TotalAlloc-before.TotalAlloc, uint64(20*len(raw)+(8<<20)); b > limit {
				t.Errorf("%s: %d bytes allocated, at most %d", what, b, limit)
			}
			if n, limit := after.Mallocs-before.Mallocs, uint64(len(raw)/4+50000); n > limit {
				t.Errorf("%s: %d allocations, at most %d", what, n, limit)
			}
			if variant < 2 {
				checkParsed(t, what, raw)
			}
		}
	}
}

// TestRealMails: every mail of the shapes that customers send is understood, and parsing it allocates in proportion.
func TestRealMails(t *testing.T) {
	var size, allocated uint64
	kinds := map[string]int{}
	for n := range 2000 {
		raw := realMail(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		e, err := Parse(raw, own, Limits{})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatalf("number %d: %v", n, err)
		}
		size += uint64(len(raw))
		allocated += after.TotalAlloc - before.TotalAlloc
		kinds[string(e.Type)]++
		if m := e.Message; m != nil {
			if m.Unsupported != "" || m.Text == "" || strings.ContainsRune(m.Text+m.Subject, utf8.RuneError) {
				t.Errorf("number %d: note %q, subject %q, text %.200q", n, m.Unsupported, m.Subject, m.Text)
			}
			kinds["category "+m.Category]++
			if m.QuotedFrom > 0 {
				kinds["quoted"]++
			}
		}
	}
	t.Logf("%d bytes, %.1f times as much allocated, %v", size, float64(allocated)/float64(size), kinds)
	if allocated > 8*size {
		t.Errorf("%d bytes allocated for %d bytes of mail", allocated, size)
	}
	if kinds["message"] < 1800 || kinds["status"] < 20 || kinds["category newsletter"] < 40 || kinds["quoted"] < 900 {
		t.Errorf("%v", kinds)
	}
}

// FuzzCorpus feeds the broken mails to the fuzzer as a start.
func FuzzCorpus(f *testing.F) {
	for i, kind := range malformedKinds() {
		f.Add(malformed[kind](seeded(i), 500))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { checkParsed(t, "fuzzed", raw) })
}

// BenchmarkParse parses 10,000 mails of the shapes that customers send, one after the other on one core.
func BenchmarkParse(b *testing.B) {
	mails := make([][]byte, 10000)
	size := 0
	for n := range mails {
		mails[n] = realMail(n)
		size += len(mails[n])
	}
	b.SetBytes(int64(size / len(mails)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := Parse(mails[i%len(mails)], own, Limits{}); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

// BenchmarkMalformed parses 1 MB of each kind of broken mail; MB/s tells which is dear.
func BenchmarkMalformed(b *testing.B) {
	for _, kind := range malformedKinds() {
		raw := malformed[kind](seeded(0), 1<<20)
		b.Run(strings.ReplaceAll(kind, " ", "_"), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(raw, own, Limits{})
			}
		})
	}
}
