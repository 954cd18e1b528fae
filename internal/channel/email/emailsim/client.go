package emailsim

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
)

// Client is a customer with a mail program that hands its mails to an SMTP server, usually ours (in life the
// customer's provider stands between; what arrives is the same).
type Client struct {
	Name    string // display name, e.g. "Jörg Müller"
	Address string // e.g. "joerg@kunde.example"
	Server  string // host:port of the receiving server
	// Charset of texts, e.g. "iso-8859-1"; "" is utf-8. What a set cannot say becomes "?", as in real programs.
	Charset string
	// HTML makes the program write an HTML version beside the plain text, as most do.
	HTML bool
	// StartTLS encrypts without checking the certificate, as mail servers do among each other.
	StartTLS bool
	// Now is the program's clock (default time.Now).
	Now func() time.Time
}

// File is an attachment.
type File struct {
	Name      string
	MediaType string
	Content   []byte
	ContentID string // set: shown inside the HTML
}

// Message is what the customer writes. Every field but To may be empty.
type Message struct {
	To, Cc      []string
	Subject     string
	Text        string
	Files       []File
	MessageID   string            // default: a random one at the client's domain
	InReplyTo   string            //
	References  []string          //
	Header      map[string]string // further fields, as they are
	EnvelopeTo  []string          // default: To and Cc
	NullSender  bool              // the null reverse-path of automatic mail
	DateMissing bool              // no Date field
	IDMissing   bool              // no Message-ID field
}

// Send writes the message, delivers it in one SMTP session and returns its Message-ID.
func (c *Client) Send(ctx context.Context, m Message) (string, error) {
	raw, id := c.Compose(m)
	return id, c.Deliver(ctx, m, raw)
}

// Reply answers a mail that the customer received: to its Reply-To (else From), with In-Reply-To and References as
// RFC 5322 §3.6.4 asks, "Re:" and the quoted original below the text. It returns the answer's Message-ID.
func (c *Client) Reply(ctx context.Context, original []byte, text string, files ...File) (string, error) {
	m, err := c.Answer(original, text, files...)
	if err != nil {
		return "", err
	}
	return c.Send(ctx, m)
}

// Answer makes the message that Reply sends.
func (c *Client) Answer(original []byte, text string, files ...File) (Message, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(original))
	if err != nil {
		return Message{}, fmt.Errorf("read the mail to answer: %w", err)
	}
	dec := &mime.WordDecoder{}
	subject, err := dec.DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		subject = msg.Header.Get("Subject")
	}
	if !strings.HasPrefix(strings.ToLower(subject), "re:") {
		subject = "Re: " + subject
	}
	to := msg.Header.Get("Reply-To")
	if to == "" {
		to = msg.Header.Get("From")
	}
	addr, err := mail.ParseAddress(to)
	if err != nil {
		return Message{}, fmt.Errorf("find whom to answer: %w", err)
	}
	from, err := mail.ParseAddress(msg.Header.Get("From"))
	if err != nil {
		from = addr
	}
	var quoted strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(PlainText(original), "\n"), "\n") {
		quoted.WriteString("> " + line + "\n")
	}
	date, err := msg.Header.Date()
	if err != nil {
		date = c.now()
	}
	id := msg.Header.Get("Message-Id")
	refs := strings.Fields(msg.Header.Get("References"))
	return Message{
		To:         []string{addr.Address},
		Subject:    subject,
		Text:       text + "\n\nAm " + date.Format("02.01.06 um 15:04") + " schrieb " + from.Name + ":\n" + quoted.String(),
		Files:      files,
		InReplyTo:  id,
		References: append(refs, id),
	}, nil
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Compose writes the message as the customer's program does.
func (c *Client) Compose(m Message) (raw []byte, messageID string) {
	var b bytes.Buffer
	set, enc := c.Charset, encoding.Encoding(nil)
	if set == "" {
		set = "utf-8"
	}
	if !strings.EqualFold(set, "utf-8") {
		enc, _ = charset.Lookup(set)
	}
	bytesOf := func(s string) []byte {
		if enc == nil {
			return []byte(s)
		}
		out, err := encoding.ReplaceUnsupported(enc.NewEncoder()).Bytes([]byte(s))
		if err != nil {
			return []byte(s)
		}
		return bytes.ReplaceAll(out, []byte{0x1a}, []byte{'?'})
	}
	word := func(s string) string {
		for _, r := range s {
			if r > '~' {
				if strings.EqualFold(set, "utf-8") {
					return strings.ReplaceAll(mime.BEncoding.Encode("utf-8", s), "\n", "")
				}
				var q strings.Builder
				for _, x := range bytesOf(s) {
					if x >= '0' && x <= '9' || x >= 'a' && x <= 'z' || x >= 'A' && x <= 'Z' {
						q.WriteByte(x)
					} else if x == ' ' {
						q.WriteByte('_')
					} else {
						fmt.Fprintf(&q, "=%02X", x)
					}
				}
				return "=?" + set + "?Q?" + q.String() + "?="
			}
		}
		return s
	}
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, strings.NewReplacer("\r", "", "\n", "").Replace(value))
		}
	}
	messageID = m.MessageID
	if messageID == "" && !m.IDMissing {
		messageID = "<" + randomHex(12) + "@" + c.Address[strings.LastIndexByte(c.Address, '@')+1:] + ">"
	}
	name := ""
	if c.Name != "" {
		name = word(c.Name) + " "
		if name == c.Name+" " {
			name = `"` + c.Name + `" `
		}
	}
	field("From", name+"<"+c.Address+">")
	field("To", strings.Join(m.To, ", "))
	field("Cc", strings.Join(m.Cc, ", "))
	field("Subject", word(m.Subject))
	if !m.DateMissing {
		field("Date", c.now().Format(time.RFC1123Z))
	}
	field("Message-ID", messageID)
	field("In-Reply-To", m.InReplyTo)
	if len(m.References) > 0 {
		b.WriteString("References: " + strings.Join(m.References, "\r\n ") + "\r\n")
	}
	for k, v := range m.Header {
		field(k, v)
	}
	b.WriteString("MIME-Version: 1.0\r\n")

	qp := func(kind, s string) {
		fmt.Fprintf(&b, "Content-Type: %s; charset=%s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", kind, set)
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write(bytesOf(strings.ReplaceAll(s, "\n", "\r\n"))) // into memory
		_ = w.Close()
		b.WriteString("\r\n")
	}
	body := func() {
		if !c.HTML {
			qp("text/plain", m.Text)
			return
		}
		bd := "alt_" + randomHex(8)
		fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n", bd, bd)
		qp("text/plain", m.Text)
		fmt.Fprintf(&b, "--%s\r\n", bd)
		h := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", "<br>\n").Replace(m.Text)
		for _, f := range m.Files {
			if f.ContentID != "" {
				h += `<br><img src="cid:` + f.ContentID + `">`
			}
		}
		qp("text/html", "<html><body><div>"+h+"</div></body></html>")
		fmt.Fprintf(&b, "--%s--\r\n", bd)
	}
	if len(m.Files) == 0 {
		body()
		return b.Bytes(), messageID
	}
	bd := "mix_" + randomHex(8)
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n", bd, bd)
	body()
	for _, f := range m.Files {
		kind := f.MediaType
		if kind == "" {
			kind = "application/octet-stream"
		}
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n", bd, kind, word(f.Name))
		if f.ContentID != "" {
			fmt.Fprintf(&b, "Content-ID: <%s>\r\nContent-Disposition: inline; filename=\"%s\"\r\n\r\n", f.ContentID, word(f.Name))
		} else {
			fmt.Fprintf(&b, "Content-Disposition: attachment; filename=\"%s\"\r\n\r\n", word(f.Name))
		}
		text := base64.StdEncoding.EncodeToString(f.Content)
		for len(text) > 76 {
			b.WriteString(text[:76] + "\r\n")
			text = text[76:]
		}
		b.WriteString(text + "\r\n")
	}
	fmt.Fprintf(&b, "--%s--\r\n", bd)
	return b.Bytes(), messageID
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Deliver hands raw bytes to the server in one session, for the recipients of m. An SMTP refusal is a
// *smtp.SMTPError. The context ends the session.
func (c *Client) Deliver(ctx context.Context, m Message, raw []byte) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Deliver(m, raw); err != nil {
		return err
	}
	return s.Quit()
}

// Session is an open connection on which several mails can be delivered.
type Session struct {
	*smtp.Client
	from string
	stop func() bool
}

// Session connects to the server.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.Server)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Server, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var sc *smtp.Client
	if c.StartTLS {
		sc, err = smtp.NewClientStartTLS(conn, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("start TLS at %s: %w", c.Server, err)
		}
	} else {
		sc = smtp.NewClient(conn)
	}
	if err := sc.Hello("mail." + c.Address[strings.LastIndexByte(c.Address, '@')+1:]); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet %s: %w", c.Server, err)
	}
	return &Session{Client: sc, from: c.Address, stop: stop}, nil
}

// Deliver hands one message over on the open connection.
func (s *Session) Deliver(m Message, raw []byte) error {
	from := s.from
	if m.NullSender {
		from = ""
	}
	to := m.EnvelopeTo
	if len(to) == 0 {
		to = append(append([]string{}, m.To...), m.Cc...)
	}
	return s.SendMail(from, to, bytes.NewReader(raw))
}

// Close cuts the connection.
func (s *Session) Close() error {
	s.stop()
	return s.Client.Close()
}

// PlainText is the plain text of a message as a simple mail program shows it: the first text/plain part, decoded.
func PlainText(raw []byte) string {
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return ""
	}
	text, _ := plainPart(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body, 0)
	return strings.ReplaceAll(text, "\r\n", "\n")
}

func plainPart(contentType, transfer string, body io.Reader, depth int) (string, bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && depth < 10 {
		return plainMultipart(body, params["boundary"], depth)
	}
	if kind != "text/plain" {
		return "", false
	}
	switch strings.ToLower(transfer) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	if set := params["charset"]; set != "" {
		if r, err := charset.NewReaderLabel(set, body); err == nil {
			body = r
		}
	}
	b, err := io.ReadAll(body)
	return string(b), err == nil
}
