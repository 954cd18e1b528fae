package email

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Limits bound what one message may cost. The zero value of a field means its default. What is beyond a limit is not
// lost: the raw message is kept, and Message.Unsupported says what is not shown.
type Limits struct {
	Depth  int // nested multiparts that are opened; deeper ones stay one file (default 50)
	Parts  int // parts of one message (default 1,000)
	Header int // bytes of header fields that are read, per part (default 256 KB)
	Text   int // bytes of text, and of HTML, that go into the event; a longer text is also listed as a file (default 1 MB)
}

func (l Limits) orDefault() Limits {
	if l.Depth <= 0 {
		l.Depth = 50
	}
	if l.Parts <= 0 {
		l.Parts = 1000
	}
	if l.Header <= 0 {
		l.Header = 256 << 10
	}
	if l.Text <= 0 {
		l.Text = 1 << 20
	}
	return l
}

func (t *tree) note(format string, args ...any) {
	n := fmt.Sprintf(format, args...)
	for _, have := range t.notes {
		if have == n {
			return
		}
	}
	t.notes = append(t.notes, n)
}

// ErrNoMail means that the bytes are no Internet message at all: there is no header, or nobody it could be from.
var ErrNoMail = errors.New("not an Internet message (RFC 5322)")

// Parse turns a raw message into an event. It is pure. rcpt is the address under which we got it: the envelope
// recipient (SMTP) or the mailbox's own address (IMAP); a reply token is taken from it, or from a header field that
// names the same mailbox. The sender counts as claimed: a From line proves nothing.
//
// A report about the delivery of a message of ours becomes a StatusEvent, see understand.
//
// An error (ErrNoMail) means that nothing could be understood and a person must look at the raw message.
func Parse(raw []byte, rcpt string, lim Limits) (channel.Event, error) {
	return ParseFor(channel.Account{}, raw, rcpt, lim)
}

// ParseFor is Parse with the settings of the account that say which header fields may be believed.
func ParseFor(a channel.Account, raw []byte, rcpt string, lim Limits) (channel.Event, error) {
	lim = lim.orDefault()
	t := split(raw, lim)
	h := &t.root.header
	if !h.any {
		return channel.Event{}, fmt.Errorf("%w: no header", ErrNoMail)
	}
	from := parseMailboxes(h.get("from"))
	sender, ok := senderOf(h, from)
	if !ok {
		return channel.Event{}, fmt.Errorf("%w: no sender address", ErrNoMail)
	}
	m := &channel.Message{
		Subject: cleanLine(decodeWords(h.get("subject")), 1000),
		From:    from,
		To:      parseMailboxes(strings.Join(h.all("to"), ",")),
		Cc:      parseMailboxes(strings.Join(h.all("cc"), ",")),
	}
	if ids := messageIDs(h.get("message-id")); len(ids) > 0 {
		m.ExternalID = ids[0]
	} else if id := cleanLine(h.get("message-id"), 990); id != "" && !strings.ContainsAny(id, "<> ") {
		m.ExternalID = "<" + id + ">" // brackets forgotten
	}
	m.References = boundReferences(messageIDs(strings.Join(h.all("references"), " ")), 100)
	if ids := messageIDs(h.get("in-reply-to")); len(ids) > 0 {
		m.ReplyTo = ids[0]
	} else if n := len(m.References); n > 0 {
		m.ReplyTo = m.References[n-1]
	}
	m.AnswerTo = answerTo(parseMailboxes(h.get("reply-to")), sender.Address)
	m.ReplyToken = replyToken(h, rcpt)
	m.Automatic = automatic(h, sender.Address, ownList(a, h, rcpt))

	c := collector{tree: t, lim: lim}
	c.entity(t.root, true)
	c.finish(m)
	if m.Text == "" && m.HTML == "" && m.Subject == "" && len(m.Attachments) == 0 {
		t.note("the message is empty")
	}
	m.Unsupported = strings.Join(t.notes, "; ")
	m.QuotedFrom = QuotedFrom(m.Text, m.Subject)

	date := h.get("date")
	if r, ok := understand(t, m, sender.Address, rcpt); ok {
		if r.id != "" && attributable(a, r.id, rcpt) {
			e := r.event()
			e.At = sentAt(date, h.get("received"))
			return e, nil
		}
		m.Automatic, m.Category = true, "notice"
		if m.ReplyToken == "" {
			m.ReplyToken = r.token
		}
	} else if t.root.kind == "multipart/report" {
		m.Category = "notice" // complaints (RFC 5965), TLS reports (RFC 8460)
	}
	if c := category(a, h, m, rcpt); c != "" && (m.Category == "" || c == "spam") {
		m.Category = c
	}
	body := canonicalBody(raw)
	e := channel.Event{
		Type:    channel.MessageEvent,
		Sender:  channel.Address{Value: strings.ToLower(sender.Address), Name: sender.Name, Assurance: channel.Claimed},
		At:      sentAt(date, h.get("received")),
		Message: m,
	}
	// A reused Message-ID with other content is a new message: nobody can suppress a mail by sending its id first.
	if m.ExternalID != "" {
		e.Key = channel.HashKey("msg:"+m.ExternalID, h.get("from"), date, body)
	} else {
		e.Key = channel.HashKey("msg", h.get("from"), h.get("to"), date, h.get("subject"), body)
		// Replies need something to refer to; an MTA would have added an id as well (RFC 6409 §8.3).
		m.ExternalID = "<" + strings.TrimPrefix(e.Key, "msg:") + "@no-message-id.invalid>"
	}
	return e, nil
}

// OpenPart returns the decoded content of the part named by channel.Attachment.Part. It streams: nothing but the raw
// message is in memory.
//
// A part of a container (winmail.dat, opaque S/MIME) is named by the container's path, "#", and its name in there; a
// container is decoded in memory.
func OpenPart(raw []byte, part string) (io.Reader, error) { return OpenParts(raw)(part) }

// OpenParts takes a message apart once, for everything that is opened of it: a thousand parts cost one look at the
// message, and a container is decoded once. The function is not for concurrent use.
func OpenParts(raw []byte) func(part string) (io.Reader, error) {
	o := opener{raw: raw}
	return func(part string) (io.Reader, error) {
		r, err := o.open(part)
		if err != nil {
			return nil, fmt.Errorf("open part %q: %w", part, err)
		}
		return r, nil
	}
}

// OpenParts implements channel.PartsOpener.
func (Driver) OpenParts(raw []byte) func(part string) (io.Reader, error) { return OpenParts(raw) }

var _ channel.PartsOpener = Driver{}

// opener opens the parts of one message, or of what lies signed in one.
type opener struct {
	raw    []byte
	depth  int // how often signed
	tree   *tree
	files  map[string][]tnefFile // of each winmail.dat
	signed map[string]*opener
}

var errNoPart = errors.New("the message has no such part")

func (o *opener) open(part string) (io.Reader, error) {
	if o.tree == nil {
		o.tree = split(o.raw, Limits{})
		o.files, o.signed = map[string][]tnefFile{}, map[string]*opener{}
	}
	path, inner, packed := strings.Cut(part, "#")
	e := o.tree.root.find(path)
	if e == nil {
		return nil, errNoPart
	}
	if len(e.children) > 0 {
		return nil, errors.New("it is a multipart without content of its own")
	}
	if !packed {
		return e.reader(), nil
	}
	files, isFiles := o.files[path]
	signed := o.signed[path]
	if !isFiles && signed == nil {
		content, _ := e.decoded(0)
		if isTNEF(content) {
			left := packedFiles(len(content))
			files, isFiles = readTNEF(content, 0, &left).files, true
			o.files[path] = files
		} else if c := signedContent(content); c != nil && o.depth < maxSigned {
			signed = &opener{raw: c, depth: o.depth + 1}
			o.signed[path] = signed
		}
	}
	if signed != nil {
		return signed.open(inner)
	}
	if i, err := strconv.Atoi(inner); err == nil && i >= 0 && i < len(files) {
		return bytes.NewReader(files[i].data), nil
	}
	return nil, errNoPart
}

// maxSigned is how often signed content may lie in signed content.
const maxSigned = 3

// packedFiles is how many files of a container are listed: with OpenPart each is opened by decoding the whole container.
func packedFiles(size int) int { return min(500, max(20, 1<<30/max(size, 1))) }

// senderOf gives the author: From, or what stands in for it.
func senderOf(h *header, from []channel.Mailbox) (channel.Mailbox, bool) {
	if len(from) > 0 {
		return from[0], true
	}
	for _, name := range []string{"sender", "reply-to", "return-path"} {
		if m := parseMailboxes(h.get(name)); len(m) > 0 {
			if m[0].Name == "" {
				m[0].Name = channel.CleanName(decodeWords(unquote(h.get("from"))))
			}
			return m[0], true
		}
	}
	return channel.Mailbox{}, false
}

// answerTo is Reply-To unless it says the same as From.
func answerTo(to []channel.Mailbox, sender string) []channel.Mailbox {
	if len(to) == 1 && strings.EqualFold(to[0].Address, sender) {
		return nil
	}
	return to
}

// replyToken finds the token of a reply address `local+r.TOKEN@domain`, first in the recipient under which the
// message came, then in fields that name the same mailbox.
func replyToken(h *header, rcpt string) string {
	rcpt, ok := cleanAddress(rcpt)
	if !ok {
		return ""
	}
	if tok := tokenOf(rcpt); tok != "" {
		return tok
	}
	own, _ := splitPlus(rcpt)
	for _, name := range []string{"delivered-to", "x-original-to", "envelope-to", "to", "cc"} {
		for _, v := range h.all(name) {
			for _, m := range parseMailboxes(v) {
				if base, _ := splitPlus(m.Address); strings.EqualFold(base, own) {
					if tok := tokenOf(m.Address); tok != "" {
						return tok
					}
				}
			}
		}
	}
	return ""
}

// tokenPrefix marks the detail of a plus-address as a reply token, so that customers' own details (+shop) are not
// taken for one.
const tokenPrefix = "r."

func tokenOf(addr string) string {
	_, detail := splitPlus(addr)
	if len(detail) < len(tokenPrefix)+1 || !strings.EqualFold(detail[:len(tokenPrefix)], tokenPrefix) {
		return ""
	}
	tok := detail[len(tokenPrefix):]
	if !validToken(tok) {
		return ""
	}
	return tok
}

func validToken(tok string) bool {
	if tok == "" || len(tok) > 60 {
		return false
	}
	for i := range len(tok) {
		c := tok[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// replyAddress puts a token into an address.
func replyAddress(addr, token string) string {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || !validToken(token) || strings.HasPrefix(addr, `"`) {
		return addr
	}
	base, _ := splitPlus(addr)
	at = strings.LastIndexByte(base, '@')
	return base[:at] + "+" + tokenPrefix + token + base[at:]
}

// automatic tells whether a machine wrote the message (RFC 3834 §2, and what mailers did before it). Such a message
// never gets an automatic answer; when in doubt it is automatic, because a missing confirmation is harmless and a
// loop is not. The fields of our own list (see ownList) say nothing about the writer.
func automatic(h *header, sender string, ownList bool) bool {
	if v := strings.ToLower(firstWord(h.get("auto-submitted"))); v != "" && v != "no" {
		return true
	}
	switch p := strings.ToLower(firstWord(h.get("precedence"))); p {
	case "bulk", "list", "junk", "auto_reply", "auto-reply":
		if p != "list" || !ownList {
			return true
		}
	}
	for _, name := range []string{"list-id", "list-unsubscribe", "list-post", "x-failed-recipients", "x-autoreply",
		"x-autorespond", "x-autoresponder", "x-auto-reply", "feedback-id"} {
		if v := strings.TrimSpace(h.get(name)); v != "" && !strings.EqualFold(v, "no") && !(ownList && strings.HasPrefix(name, "list-")) {
			return true
		}
	}
	// [MS-OXCMAIL] 2.2.3.2.14: a sender that asks for no automatic answers.
	for _, v := range strings.FieldsFunc(strings.ToLower(h.get("x-auto-response-suppress")), func(r rune) bool {
		return r == ',' || r == ';' || r == ' '
	}) {
		if v == "all" || v == "oof" || v == "autoreply" {
			return true
		}
	}
	for _, v := range h.all("return-path") {
		if strings.ReplaceAll(v, " ", "") == "<>" {
			return true // RFC 5321 §4.5.5: the null reverse-path of notifications
		}
	}
	if kind, _ := parseMediaType(h.get("content-type")); kind == "multipart/report" {
		return true // RFC 6522
	}
	local, _, _ := strings.Cut(strings.ToLower(sender), "@")
	switch local {
	case "mailer-daemon", "noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "do_not_reply", "bounce",
		"bounces", "listserv", "majordomo":
		return true
	}
	return strings.HasPrefix(local, "owner-") || strings.HasSuffix(local, "-request") ||
		strings.HasSuffix(local, "-bounces") || strings.HasPrefix(local, "bounce+")
}

// sentAt reads the Date field. A date later than the arrival (the newest trace line) is a wrong clock or a trick to
// stay on top of every list: then the arrival counts.
func sentAt(date, received string) time.Time {
	at := parseDate(date)
	if i := strings.LastIndexByte(received, ';'); i >= 0 {
		if arrived := parseDate(received[i+1:]); !arrived.IsZero() && (at.IsZero() || at.After(arrived)) {
			return arrived
		}
	}
	return at
}

func parseDate(s string) time.Time {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 200 {
		return time.Time{}
	}
	at, err := mail.ParseDate(s)
	if err != nil {
		for _, layout := range []string{time.RFC1123Z, time.RFC1123, "Mon, 2 Jan 2006 15:04:05", "2 Jan 2006 15:04:05",
			time.RFC3339, time.ANSIC, time.UnixDate, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05"} {
			if at, err = time.Parse(layout, s); err == nil {
				break
			}
		}
	}
	if err != nil || at.Year() < 1990 || at.Year() > 9999 {
		return time.Time{}
	}
	return at.UTC()
}

// canonicalBody is the body with LF line ends and without empty lines at its end, so that one message has one key
// whichever way it came (SMTP, IMAP).
func canonicalBody(raw []byte) string {
	raw = normaliseRaw(raw)
	for len(raw) > 0 {
		line, rest := cutLine(raw)
		raw = rest
		if len(line) == 0 {
			break
		}
	}
	if bytes.IndexByte(raw, '\r') >= 0 {
		raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	}
	return string(bytes.TrimRight(raw, "\r\n"))
}

// collector gathers what is shown of a message: its text, its HTML, its files.
type collector struct {
	tree     *tree
	lim      Limits
	segments []segment
	files    []channel.Attachment
	spare    []*entity // named text parts: shown as text if nothing else is
	textLen  int
	htmlLen  int

	packed   tnefContent // of a winmail.dat: shown if the message says nothing else
	calendar *entity     // an invitation, likewise
	signed   int         // how deep we are in opaque S/MIME
}

// segment is a stretch of the body in one or both forms.
type segment struct {
	text, html       string
	hasText, hasHTML bool
}

// entity walks the tree. body tells whether a text here may be the message's own words.
func (c *collector) entity(e *entity, body bool) {
	if len(e.children) == 0 {
		c.leaf(e, body)
		return
	}
	switch e.kind {
	case "multipart/alternative":
		c.alternative(e, body)
	case "multipart/related":
		c.related(e, body)
	case "multipart/encrypted":
		c.tree.note("the message is encrypted")
		for _, p := range e.children {
			c.file(p)
		}
	case "multipart/signed", "multipart/report":
		for i, p := range e.children {
			if i == 0 {
				c.entity(p, body)
			} else {
				c.files1(p)
			}
		}
	default:
		for _, p := range e.children {
			c.entity(p, body)
		}
	}
}

// files1 lists every leaf below an entity as a file.
func (c *collector) files1(e *entity) {
	if len(e.children) == 0 {
		c.file(e)
		return
	}
	for _, p := range e.children {
		c.files1(p)
	}
}

// alternative takes the best plain text and the best HTML (RFC 2046 §5.1.4: the last is the richest); what is
// neither (a calendar invitation, an AMP version) is listed as a file.
func (c *collector) alternative(e *entity, body bool) {
	inner := collector{tree: c.tree, lim: c.lim, signed: c.signed}
	var one segment
	for _, p := range e.children {
		if len(p.children) == 0 && p.kind != "text/plain" && p.kind != "text/html" {
			// Mail programs' own versions of the same words are nobody's file.
			if p.kind != "text/x-amp-html" && p.kind != "text/watch-html" {
				c.file(p)
			}
			continue
		}
		inner.segments = nil
		inner.entity(p, body)
		for _, s := range inner.segments {
			if s.hasHTML {
				one.html, one.hasHTML = s.html, true
				if s.hasText && !one.hasText {
					one.text, one.hasText = s.text, true
				}
			} else if s.hasText && (!one.hasText || strings.TrimSpace(one.text) == "") {
				one.text, one.hasText = s.text, true
			}
		}
	}
	c.files = append(c.files, inner.files...)
	c.spare = append(c.spare, inner.spare...)
	if c.calendar == nil {
		c.calendar = inner.calendar
	}
	if c.packed.words() == "" {
		c.packed = inner.packed
	}
	if one.hasText || one.hasHTML {
		c.add(one)
	}
}

// related shows its root (RFC 2387: the start parameter, else the first part) and lists the rest.
func (c *collector) related(e *entity, body bool) {
	root := 0
	if start := strings.Trim(e.params["start"], "<> "); start != "" {
		for i, p := range e.children {
			if contentID(p) == start {
				root = i
				break
			}
		}
	}
	c.entity(e.children[root], body)
	for i, p := range e.children {
		if i != root {
			c.files1(p)
		}
	}
}

func contentID(e *entity) string {
	return cleanLine(strings.Trim(e.header.get("content-id"), "<> "), 500)
}

// leaf decides whether a part is text to show or a file.
func (c *collector) leaf(e *entity, body bool) {
	disposition, params := parseMediaType(e.header.get("content-disposition"))
	named := params["filename"] != "" || e.params["name"] != ""
	text := e.kind == "text/plain" || e.kind == "text/html" || e.kind == "text" || e.kind == "text/enriched" || e.kind == ""
	switch {
	case !text || !body || disposition == "attachment" || named:
		if e.kind == "application/pkcs7-mime" || e.kind == "application/x-pkcs7-mime" {
			c.smime(e, body && disposition != "attachment" || e == c.tree.root)
		}
		if text && disposition != "attachment" && named {
			c.spare = append(c.spare, e)
		}
		c.file(e)
	default:
		c.text(e)
	}
}

// smime shows what a signed message encloses and says so where it is encrypted. The structure itself is listed as well:
// who has the key opens it with another program.
func (c *collector) smime(e *entity, body bool) {
	switch strings.ToLower(e.params["smime-type"]) {
	case "", "signed-data", "signed-receipt":
		content, _ := e.decoded(0)
		if inner := signedContent(content); inner != nil {
			if c.signed >= maxSigned {
				c.tree.note("the message is signed more often than is opened")
				return
			}
			lim := c.lim
			lim.Parts = min(lim.Parts, packedFiles(len(content)))
			sub := split(inner, lim)
			sub.root.under(e.path + "#")
			for _, n := range sub.notes {
				c.tree.note("%s", n)
			}
			c.signed++
			c.entity(sub.root, body)
			c.signed--
			return
		}
		c.tree.note("the message is encrypted (S/MIME)")
	case "certs-only", "compressed-data":
	default:
		c.tree.note("the message is encrypted (S/MIME)")
	}
}

// unpack lists the files of a winmail.dat in its place. A damaged one is listed itself as well.
func (c *collector) unpack(e *entity) bool {
	content, _ := e.decoded(0)
	if !isTNEF(content) {
		return false
	}
	limit := packedFiles(len(content))
	left := limit
	t := readTNEF(content, 0, &left)
	for i, f := range t.files {
		kind := f.mediaType
		if major, minor, ok := strings.Cut(kind, "/"); !ok || !token(major) || !token(minor) {
			kind = typeByName(f.name)
		}
		c.files = append(c.files, channel.Attachment{
			Name:      cleanFileName(f.name, kind),
			MediaType: kind,
			Size:      int64(len(f.data)),
			ContentID: f.contentID,
			Part:      e.path + "#" + strconv.Itoa(i),
		})
	}
	if c.packed.words() == "" {
		c.packed = t
		c.packed.files = nil
	}
	if left <= 0 {
		c.tree.note("only the first %d files of winmail.dat are shown", limit)
	}
	if !t.whole {
		c.tree.note("winmail.dat is damaged; what could be read of it is shown")
	}
	return t.whole && left > 0
}

func (c *collector) text(e *entity) {
	if c.textLen >= c.lim.Text || c.htmlLen >= c.lim.Text || len(c.segments) > 0 && max(c.textLen, c.htmlLen)+len(e.body) > c.lim.Text {
		c.tree.note("the text is longer than %d KB; its rest is listed as files", c.lim.Text>>10)
		c.file(e)
		return
	}
	content, cut := e.decoded(c.lim.Text)
	s := decodeCharset(e.params["charset"], content)
	if e.kind == "text/html" {
		if e.params["charset"] == "" {
			s = decodeCharset(metaCharset(content), content)
		}
		c.add(segment{html: s, hasHTML: true})
	} else {
		if strings.EqualFold(e.params["format"], "flowed") {
			s = unflow(s, strings.EqualFold(e.params["delsp"], "yes"))
		}
		c.add(segment{text: s, hasText: true})
	}
	if cut {
		c.tree.note("the text is longer than %d KB; it is also listed as a file", c.lim.Text>>10)
		c.file(e)
	}
}

// add appends a segment within the limit.
func (c *collector) add(s segment) {
	if c.textLen+len(s.text) > c.lim.Text || c.htmlLen+len(s.html) > c.lim.Text {
		if len(c.segments) > 0 {
			c.tree.note("the text is longer than %d KB; see the original message", c.lim.Text>>10)
			return
		}
		s.text, s.html = cutBytes(s.text, c.lim.Text), cutBytes(s.html, c.lim.Text)
	}
	c.textLen += len(s.text)
	c.htmlLen += len(s.html)
	c.segments = append(c.segments, s)
}

// cutBytes cuts at most max bytes at a character's bound.
func cutBytes(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && s[max]&0xC0 == 0x80 {
		max--
	}
	return s[:max]
}

// file lists a part as an attachment.
func (c *collector) file(e *entity) {
	disposition, params := parseMediaType(e.header.get("content-disposition"))
	kind := e.kind
	if major, minor, ok := strings.Cut(kind, "/"); !ok || !token(major) || !token(minor) || major == "multipart" {
		kind = "application/octet-stream" // nonsense, or a multipart that was not opened
	}
	name := params["filename"]
	if name == "" {
		name = e.params["name"]
	}
	switch {
	case kind == "application/ms-tnef", kind == "application/vnd.ms-tnef", strings.EqualFold(name, "winmail.dat"):
		if c.unpack(e) {
			return
		}
	case (kind == "text/calendar" || kind == "application/ics") && c.calendar == nil:
		c.calendar = e
	}
	if name == "" {
		if l := e.header.get("content-location"); l != "" && !strings.Contains(l, ":") {
			name = l
		}
	}
	if name == "" && (kind == "message/rfc822" || kind == "message/global") {
		name = innerSubject(e)
	}
	c.files = append(c.files, channel.Attachment{
		Name:      cleanFileName(decodeWords(name), kind),
		MediaType: kind,
		Size:      e.size(),
		ContentID: contentID(e),
		Inline:    disposition == "inline", // settled in finish
		Part:      e.path,
	})
}

// innerSubject names a forwarded message by its subject.
func innerSubject(e *entity) string {
	if e.encoding == "base64" || e.encoding == "quoted-printable" {
		return "message.eml"
	}
	h, _ := parseHeader(e.body, 16<<10, nil)
	s := strings.NewReplacer("/", "-", `\`, "-", ":", "").Replace(cleanLine(decodeWords(h.get("subject")), 80))
	if s = strings.Trim(s, " ."); s == "" {
		return "message.eml"
	}
	return s + ".eml"
}

// finish puts the segments together and decides which files are shown in the text.
func (c *collector) finish(m *channel.Message) {
	if len(c.segments) == 0 && len(c.spare) > 0 {
		c.text(c.spare[0])
	}
	anyHTML, blank := false, true
	for _, s := range c.segments {
		anyHTML = anyHTML || s.hasHTML
		blank = blank && !s.hasHTML && strings.TrimSpace(s.text) == ""
	}
	if words := c.packed.words(); blank && words != "" {
		c.add(segment{text: words, html: c.packed.html, hasText: true, hasHTML: c.packed.html != ""})
		anyHTML = c.packed.html != ""
	}
	var text, htm strings.Builder
	for _, s := range c.segments {
		t := s.text
		if s.hasHTML && strings.TrimSpace(t) == "" {
			t = htmlText(s.html)
		}
		if t = strings.Trim(t, "\n"); strings.TrimSpace(t) != "" {
			if text.Len() > 0 {
				text.WriteString("\n\n")
			}
			text.WriteString(strings.TrimRight(t, " \t\n"))
		}
		if anyHTML {
			if htm.Len() > 0 {
				htm.WriteString("\n<hr>\n")
			}
			if s.hasHTML {
				htm.WriteString(s.html)
			} else {
				htm.WriteString(`<div style="white-space: pre-wrap">` + html.EscapeString(s.text) + `</div>`)
			}
		}
	}
	m.Text = cutBytes(text.String(), c.lim.Text)
	if m.Text == "" && c.calendar != nil {
		m.Text = eventSummary(c.calendar)
	}
	if strings.Contains(m.Text, "-----BEGIN PGP MESSAGE-----") {
		c.tree.note("the message is encrypted (PGP)")
	}
	m.HTML = htm.String()
	var shown map[string]bool
	if len(c.files) > 0 {
		shown = contentIDs(m.HTML)
	}
	for i := range c.files {
		f := &c.files[i]
		// Inline means that the HTML shows it. Mailers mark files as inline that nothing refers to (Apple Mail):
		// those are listed, or they would be lost to the reader.
		f.Inline = f.ContentID != "" && shown[f.ContentID]
	}
	m.Attachments = c.files
}

// contentIDs collects what the HTML refers to by cid: (RFC 2392), as written and percent-decoded.
func contentIDs(h string) map[string]bool {
	ids := map[string]bool{}
	for len(ids) < 5000 {
		i := indexFold(h, "cid:")
		if i < 0 {
			break
		}
		h = h[i+4:]
		if end := strings.IndexAny(h[:min(len(h), 1000)], "\"'> )\n"); end > 0 {
			id := html.UnescapeString(h[:end])
			ids[id] = true
			ids[string(percentDecode(id))] = true
		}
	}
	return ids
}

// indexFold is strings.Index for an ASCII needle in lower case, whatever the case in s.
func indexFold(s, needle string) int {
	for i := 0; i+len(needle) <= len(s); i++ {
		if s[i]|0x20 == needle[0] && strings.EqualFold(s[i:i+len(needle)], needle) {
			return i
		}
	}
	return -1
}

// unflow joins the lines that format=flowed broke (RFC 3676 §4).
func unflow(s string, delsp bool) string {
	var out strings.Builder
	open := false
	depth := 0
	for line := range strings.SplitSeq(s, "\n") {
		d := 0
		for d < len(line) && line[d] == '>' {
			d++
		}
		quote := line[:d]
		line = strings.TrimPrefix(line[d:], " ") // space-stuffing
		sig := line == "-- "
		if open && (d != depth || sig) {
			out.WriteByte('\n')
			open = false
		}
		if !open && d > 0 {
			out.WriteString(quote)
			out.WriteByte(' ')
		}
		depth = d
		if strings.HasSuffix(line, " ") && !sig {
			if delsp {
				line = line[:len(line)-1]
			}
			out.WriteString(line)
			open = true
			continue
		}
		out.WriteString(line)
		out.WriteByte('\n')
		open = false
	}
	return strings.TrimSuffix(out.String(), "\n")
}
