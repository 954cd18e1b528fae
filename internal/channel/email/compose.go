package email

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/rufweite/rufweite/internal/channel"
)

// maxReferences is how many identifiers a References field gets: the thread's first and its newest.
const maxReferences = 21

// fileError is a failure to read one of our own attachments: nothing is wrong with the connection.
type fileError struct {
	name string
	err  error
}

func (e *fileError) Error() string { return fmt.Sprintf("read attachment %s: %v", e.name, e.err) }
func (e *fileError) Unwrap() error { return e.err }

// Compose writes the message for a delivery in the form in which it is submitted: CRLF line ends, no line over 998
// bytes (RFC 5322 §2.1.1), ASCII only, Bcc nowhere. It is pure but for reading the attachments, which are streamed,
// and gives the same bytes on every attempt. hostname is used in the Message-ID where the account's address is no
// use.
func Compose(w io.Writer, a channel.Account, out channel.Outgoing, hostname string) error {
	bw := bufio.NewWriterSize(w, 16<<10)
	c := composer{w: bw, seed: out.DeliveryID}
	c.head(a, out, hostname)
	if err := c.body(out); err != nil {
		return err
	}
	if err := bw.Flush(); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

type composer struct {
	w    *bufio.Writer // keeps the first error until Flush
	seed string
}

// head writes the header up to, not including, Content-Type.
func (c *composer) head(a channel.Account, out channel.Outgoing, hostname string) {
	own, _ := cleanAddress(a.Settings["address"])
	name := out.AuthorName
	switch {
	case name == "":
		name = a.Name
	case a.Name != "" && name != a.Name:
		name += " (" + a.Name + ")"
	}
	at := out.At
	c.field("Date", at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	c.field("From", mailbox(channel.Mailbox{Name: name, Address: own}))
	if reply := replyAddress(own, out.ReplyToken); reply != own {
		c.field("Reply-To", mailbox(channel.Mailbox{Name: name, Address: reply}))
	}
	c.field("To", mailbox(channel.Mailbox{Name: out.To.Name, Address: out.To.Value}))
	if len(out.Cc) > 0 {
		list := make([]string, 0, len(out.Cc))
		for _, m := range out.Cc {
			if s := mailbox(m); s != "" {
				list = append(list, s)
			}
		}
		c.field("Cc", strings.Join(list, ", "))
	}
	c.field("Message-ID", messageID(a, out, hostname))
	// RFC 5322 §3.6.4: In-Reply-To names the parent, References the way to it.
	parent := ""
	if ids := messageIDs(out.ReplyTo); len(ids) == 1 {
		parent = ids[0]
	}
	refs := messageIDs(strings.Join(out.References, " "))
	if parent != "" {
		for i, id := range refs {
			if id == parent {
				refs = append(refs[:i:i], refs[i+1:]...)
				break
			}
		}
		refs = append(refs, parent)
		c.field("In-Reply-To", foldable([]string{parent}))
	}
	if len(refs) > 0 {
		c.field("References", foldable(boundReferences(refs, maxReferences)))
	}
	c.field("Subject", words(cleanLine(out.Subject, 1000)))
	if out.Automatic {
		// RFC 3834 §5, and what mailers obey that do not know it.
		c.field("Auto-Submitted", "auto-replied")
		c.field("Precedence", "auto_reply")
		c.field("X-Auto-Response-Suppress", "All")
	}
	c.field("MIME-Version", "1.0")
}

// foldable joins identifiers that fit into a header line; a longer one could not be folded.
func foldable(ids []string) string {
	keep := make([]string, 0, len(ids))
	for _, id := range ids {
		if len(id) <= 900 && isASCII([]byte(id)) {
			keep = append(keep, id)
		}
	}
	return strings.Join(keep, " ")
}

// field writes one header field, folded at blanks (RFC 5322 §2.2.3). The value holds no line ends: everything that
// comes from outside went through cleanLine, mailbox or messageIDs, and what is left is dropped here.
func (c *composer) field(name, value string) {
	value = strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return -1
		}
		return r
	}, value)
	if value == "" && name != "Subject" {
		return
	}
	line := name + ":"
	for _, word := range strings.Split(value, " ") {
		if len(line)+1+len(word) > 78 && strings.TrimSpace(line) != "" && word != "" {
			_, _ = c.w.WriteString(line + "\r\n")
			line = ""
		}
		line += " " + word
	}
	_, _ = c.w.WriteString(line + "\r\n")
}

// words encodes an unstructured value (RFC 2047) if it needs to be.
func words(s string) string {
	if printableASCII(s) && !strings.Contains(s, "=?") && longestWord(s) < 900 {
		return s
	}
	return encodeWords(s)
}

// encodeWords makes encoded words of at most 75 bytes, never splitting a character (RFC 2047 §2, §5).
func encodeWords(s string) string {
	var out []string
	for s != "" {
		n := 0
		for n < len(s) {
			_, size := utf8.DecodeRuneInString(s[n:])
			if n+size > 45 { // 45 bytes are 60 in base64, with the frame 72
				break
			}
			n += size
		}
		out = append(out, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(out, " ")
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func longestWord(s string) int {
	n := 0
	for w := range strings.SplitSeq(s, " ") {
		n = max(n, len(w))
	}
	return n
}

// mailbox writes one address with its name (RFC 5322 §3.4), "" if the address is unusable.
func mailbox(m channel.Mailbox) string {
	addr, ok := wireAddress(m.Address)
	if !ok {
		return ""
	}
	name := cleanLine(m.Name, 200)
	switch {
	case name == "":
		return "<" + addr + ">"
	case !printableASCII(name) || strings.Contains(name, "=?"):
		return encodeWords(name) + " <" + addr + ">"
	default:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" <` + addr + ">"
	}
}

// wireAddress checks an address and writes its domain in ASCII (RFC 5891), so that servers without SMTPUTF8 take it.
func wireAddress(s string) (string, bool) {
	addr, ok := cleanAddress(s)
	if !ok {
		return "", false
	}
	at := strings.LastIndexByte(addr, '@')
	domain := addr[at+1:]
	if !isASCII([]byte(domain)) {
		d, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", false
		}
		domain = d
	}
	return addr[:at] + "@" + domain, true
}

// body writes Content-Type and everything below.
func (c *composer) body(out channel.Outgoing) error {
	if len(out.Attachments) == 0 {
		return c.text(out)
	}
	b := c.boundary("mixed")
	fmt.Fprintf(c.w, "Content-Type: multipart/mixed;\r\n boundary=\"%s\"\r\n\r\n", b)
	fmt.Fprintf(c.w, "--%s\r\n", b)
	if err := c.text(out); err != nil {
		return err
	}
	for _, f := range out.Attachments {
		fmt.Fprintf(c.w, "\r\n--%s\r\n", b)
		if err := c.file(f); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(c.w, "\r\n--%s--\r\n", b)
	return err
}

func (c *composer) text(out channel.Outgoing) error {
	if out.HTML == "" {
		return c.quoted("text/plain", out.Text)
	}
	plain := out.Text
	if strings.TrimSpace(plain) == "" {
		plain = htmlText(out.HTML)
	}
	b := c.boundary("alternative")
	fmt.Fprintf(c.w, "Content-Type: multipart/alternative;\r\n boundary=\"%s\"\r\n\r\n--%s\r\n", b, b)
	if err := c.quoted("text/plain", plain); err != nil {
		return err
	}
	fmt.Fprintf(c.w, "\r\n--%s\r\n", b)
	if err := c.quoted("text/html", out.HTML); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.w, "\r\n--%s--\r\n", b)
	return err
}

// boundary holds "=_", which no line of quoted-printable or base64 can (RFC 2045 §6.7).
func (c *composer) boundary(level string) string {
	sum := sha256.Sum256([]byte(level + "\x00" + c.seed))
	return "=_" + hex.EncodeToString(sum[:12])
}

func (c *composer) quoted(mediaType, s string) error {
	fmt.Fprintf(c.w, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", mediaType)
	qp := quotedprintable.NewWriter(c.w)
	if _, err := io.WriteString(qp, strings.ReplaceAll(cleanText(s), "\n", "\r\n")); err != nil {
		return err
	}
	if err := qp.Close(); err != nil {
		return err
	}
	_, err := c.w.WriteString("\r\n")
	return err
}

func (c *composer) file(f channel.File) error {
	kind := strings.ToLower(firstWord(f.MediaType))
	if t, sub, ok := strings.Cut(kind, "/"); !ok || !token(t) || !token(sub) || t == "multipart" || t == "message" {
		kind = "application/octet-stream" // RFC 2046 §5.2: message/* must not be base64
	}
	name := cleanFileName(f.Name, kind)
	c.field("Content-Type", kind+"; "+parameter("name", name))
	c.field("Content-Disposition", "attachment; "+parameter("filename", name))
	_, _ = c.w.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
	if f.Open == nil {
		return &fileError{name, fmt.Errorf("no content")}
	}
	r, err := f.Open()
	if err != nil {
		return &fileError{name, err}
	}
	defer r.Close()
	line := make([]byte, 57) // 76 characters of base64
	enc := make([]byte, 78)
	for {
		n, err := io.ReadFull(r, line)
		if n > 0 {
			m := base64.StdEncoding.EncodedLen(n)
			base64.StdEncoding.Encode(enc, line[:n])
			enc[m], enc[m+1] = '\r', '\n'
			if _, werr := c.w.Write(enc[:m+2]); werr != nil {
				return fmt.Errorf("write message: %w", werr)
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return &fileError{name, err}
		}
	}
}

func token(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?=`, r) {
			return false
		}
	}
	return s != ""
}

// parameter writes a MIME parameter, in continued and encoded form where it needs it (RFC 2231).
func parameter(name, value string) string {
	if printableASCII(value) && len(value) <= 60 {
		return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	var pieces []string
	cur := ""
	if len(value) > 0 {
		cur = "utf-8''"
	}
	for _, r := range value {
		var enc strings.Builder
		for _, b := range []byte(string(r)) {
			if b > ' ' && b < 0x7f && !strings.ContainsRune(`*'%()<>@,;:\"/[]?=`, rune(b)) {
				enc.WriteByte(b)
			} else {
				fmt.Fprintf(&enc, "%%%02X", b)
			}
		}
		if len(cur)+enc.Len() > 60 {
			pieces = append(pieces, cur)
			cur = ""
		}
		cur += enc.String()
	}
	pieces = append(pieces, cur)
	if len(pieces) == 1 {
		return name + "*=" + pieces[0]
	}
	for i := range pieces {
		pieces[i] = fmt.Sprintf("%s*%d*=%s", name, i, pieces[i])
	}
	return strings.Join(pieces, "; ")
}
