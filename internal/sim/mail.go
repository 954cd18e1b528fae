package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// sendMail writes and delivers a mail: an answer to Target, or a new one.
func (p *Providers) sendMail(ctx context.Context, d *device, a Act) (Line, error) {
	if a.Kind != Write {
		return Line{}, fmt.Errorf("%s by mail: %w", a.Kind, ErrNoChannel)
	}
	c := d.customer
	text := a.Text
	if c.tail != "" && len(a.Files) == 0 {
		text += "\n\n" + c.tail
	}
	m := emailsim.Message{To: []string{p.options.Service}, Subject: a.Subject, Text: text}
	var parent string
	if a.Target != "" {
		target, ok := p.Line(a.Customer, a.Target)
		if !ok || target.Channel != Email {
			return Line{}, fmt.Errorf("message %q of %s: %w", a.Target, a.Customer, ErrNoLine)
		}
		parent = target.Ref
		if target.In {
			answer, err := d.mail.Answer(target.raw, text)
			if err != nil {
				return Line{}, fmt.Errorf("answer %s: %w", target.ID, err)
			}
			m = answer
			if a.Subject != "" {
				m.Subject = a.Subject
			}
		} else { // one's own earlier mail: the same thread (RFC 5322 §3.6.4)
			m.InReplyTo, m.References = target.Ref, []string{target.Ref}
			if m.Subject == "" {
				m.Subject = "Re: " + strings.TrimPrefix(target.Subject, "Re: ")
			}
		}
	}
	for _, f := range a.Files {
		m.Files = append(m.Files, emailsim.File{Name: f.Name, MediaType: f.MediaType, Content: f.Content})
	}
	p.mu.Lock()
	p.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s %s", p.options.Seed, p.serial, c.ID, a.Text))
	server := d.mail.Server
	p.mu.Unlock()
	m.MessageID = "<" + hex.EncodeToString(sum[:10]) + "@" + c.Email[strings.LastIndexByte(c.Email, '@')+1:] + ">"
	if server == "" {
		return Line{}, fmt.Errorf("deliver mail of %s: the company's mail server is not known yet", c.ID)
	}
	var raw []byte
	if c.Company != "" {
		raw = p.officeMail(d.mail, c, m)
	} else {
		raw, _ = d.mail.Compose(m)
	}
	if err := d.mail.Deliver(ctx, m, raw); err != nil {
		return Line{}, fmt.Errorf("deliver mail of %s: %w", c.ID, err)
	}
	return p.keep(d, Line{Channel: Email, Ref: m.MessageID, Parent: parent, From: c.Name, Subject: m.Subject, Text: m.Text, Files: a.Files, At: p.clock.Now(), raw: raw}), nil
}

// officeMail writes a mail as office programs do: HTML with the company's logo inside the mail (RFC 2387, RFC 2392)
// and a picture on the web that counts who opens it.
func (p *Providers) officeMail(client *emailsim.Client, c *Customer, m emailsim.Message) []byte {
	var b bytes.Buffer
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	word := func(s string) string { return mime.QEncoding.Encode("utf-8", s) }
	field("From", word(client.Name)+" <"+client.Address+">")
	field("To", strings.Join(m.To, ", "))
	field("Subject", strings.ReplaceAll(word(m.Subject), "?= =?", "?=\r\n =?"))
	field("Date", client.Now().Format(time.RFC1123Z))
	field("Message-ID", m.MessageID)
	field("In-Reply-To", m.InReplyTo)
	field("References", strings.Join(m.References, "\r\n "))
	field("MIME-Version", "1.0")
	seed := strings.Trim(m.MessageID, "<>")[:16]
	open := func(level, kind string) {
		fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=\"%s_%s\"\r\n\r\n--%s_%s\r\n", kind, level, seed, level, seed)
	}
	next := func(level string) { fmt.Fprintf(&b, "--%s_%s\r\n", level, seed) }
	end := func(level string) { fmt.Fprintf(&b, "--%s_%s--\r\n", level, seed) }
	quoted := func(kind, s string) {
		fmt.Fprintf(&b, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", kind)
		w := quotedprintable.NewWriter(&b)
		_, _ = io.WriteString(w, strings.ReplaceAll(s, "\n", "\r\n")) // a buffer does not fail
		_ = w.Close()
		b.WriteString("\r\n")
	}
	file := func(f emailsim.File, disposition string) {
		fmt.Fprintf(&b, "Content-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: %s; filename=\"%s\"\r\n", f.MediaType, word(f.Name), disposition, word(f.Name))
		if f.ContentID != "" {
			fmt.Fprintf(&b, "Content-ID: <%s>\r\n", f.ContentID)
		}
		b.WriteString("\r\n")
		s := base64.StdEncoding.EncodeToString(f.Content)
		for len(s) > 76 {
			b.WriteString(s[:76] + "\r\n")
			s = s[76:]
		}
		b.WriteString(s + "\r\n")
	}
	if len(m.Files) > 0 {
		open("m", "mixed")
	}
	open("r", `related; type="multipart/alternative"`)
	open("a", "alternative")
	plain := m.Text
	if m.InReplyTo == "" {
		plain += "\n\n" + c.Company
	}
	quoted("text/plain", plain)
	next("a")
	cid := "logo." + seed + "@" + client.Address[strings.LastIndexByte(client.Address, '@')+1:]
	quoted("text/html", `<html><head><style>p{margin:0 0 .8em}</style></head><body style="font-family:Calibri,sans-serif;color:#223"><p>`+
		strings.ReplaceAll(strings.ReplaceAll(html.EscapeString(m.Text), "\n\n", "</p><p>"), "\n", "<br>")+
		`</p><table style="border-top:2px solid #7a5;margin-top:12px"><tr><td style="padding:8px"><img src="cid:`+cid+`" width="120" height="40" alt="`+html.EscapeString(c.Company)+`"></td><td style="padding:8px;color:#667"><b>`+
		html.EscapeString(c.Company)+`</b><br>`+html.EscapeString(c.Name)+`</td></tr></table><img src="`+p.base+`/bild/banner.png" width="300" height="60" alt="Wir bilden aus"></body></html>`)
	end("a")
	next("r")
	file(emailsim.File{Name: "logo.png", MediaType: "image/png", Content: Picture("logo", c.Hue), ContentID: cid}, "inline")
	end("r")
	if len(m.Files) > 0 {
		for _, f := range m.Files {
			next("m")
			file(f, "attachment")
		}
		end("m")
	}
	return b.Bytes()
}

// readMail reads a mail as a simple mail program shows it.
func readMail(raw []byte) Line {
	l := Line{Text: strings.TrimRight(emailsim.PlainText(raw), "\n")}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return l
	}
	dec := mime.WordDecoder{}
	if l.Subject, err = dec.DecodeHeader(m.Header.Get("Subject")); err != nil {
		l.Subject = m.Header.Get("Subject")
	}
	if from, err := mail.ParseAddress(m.Header.Get("From")); err == nil {
		l.From = from.Name
	}
	l.Ref = strings.TrimSpace(m.Header.Get("Message-Id"))
	l.Parent = strings.TrimSpace(m.Header.Get("In-Reply-To"))
	if at, err := m.Header.Date(); err == nil {
		l.At = at
	}
	l.Files = attachedFiles(m.Header.Get("Content-Type"), m.Body, 0)
	return l
}

func attachedFiles(contentType string, body io.Reader, depth int) []File {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.HasPrefix(kind, "multipart/") || depth > 8 {
		return nil
	}
	var out []File
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return out
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err == nil && strings.HasPrefix(kind, "multipart/") {
			out = append(out, attachedFiles(part.Header.Get("Content-Type"), part, depth+1)...)
			continue
		}
		name := part.FileName()
		if name == "" {
			continue
		}
		dec := mime.WordDecoder{}
		if plain, err := dec.DecodeHeader(name); err == nil {
			name = plain
		}
		content, err := io.ReadAll(unpacked(part, part.Header.Get("Content-Transfer-Encoding")))
		if err != nil {
			continue
		}
		if kind == "" {
			kind = http.DetectContentType(content)
		}
		out = append(out, File{Name: name, MediaType: kind, Content: content})
	}
}

// unpacked reads a part of a mail as it was before it was encoded for its way.
func unpacked(body io.Reader, transfer string) io.Reader {
	switch strings.ToLower(transfer) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	default:
		return body
	}
}
