package email

import (
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"strings"
)

// entity is one MIME entity (RFC 2045 §2.4): a view into the raw message, nothing is copied.
type entity struct {
	header   header
	path     string // as IMAP numbers parts (RFC 3501 §6.4.5): "1", "2.1"
	body     []byte // undecoded content, without the delimiter lines around it
	children []*entity
	kind     string            // lower-case media type, such as "text/plain"
	params   map[string]string // its parameters, decoded, keys in lower case
	encoding string            // lower-case Content-Transfer-Encoding
}

// tree is a split message with what had to be left out.
type tree struct {
	root  *entity
	parts int
	notes []string
}

// field names that we read; everything else in a header is skipped, so that junk cannot use up the budget.
var wanted = map[string]bool{
	"from": true, "sender": true, "reply-to": true, "to": true, "cc": true, "subject": true, "date": true,
	"message-id": true, "in-reply-to": true, "references": true, "return-path": true, "received": true,
	"delivered-to": true, "x-original-to": true, "envelope-to": true,
	"auto-submitted": true, "precedence": true, "list-id": true, "list-unsubscribe": true, "list-post": true,
	"x-auto-response-suppress": true, "x-autoreply": true, "x-autorespond": true, "x-autoresponder": true,
	"x-auto-reply": true, "x-failed-recipients": true, "feedback-id": true, "x-spam-flag": true, "x-spam-status": true,
	"content-type": true, "content-transfer-encoding": true, "content-disposition": true, "content-id": true,
	"content-location": true,
}

// header holds the wanted fields in their order, unfolded but not decoded.
type header struct {
	fields []field
	any    bool // there was at least one well-formed field, wanted or not
	cut    bool // fields were left out because of the limit
}

type field struct{ name, value string }

// get returns the first value of a field (name in lower case) or "".
func (h *header) get(name string) string {
	for i := range h.fields {
		if h.fields[i].name == name {
			return h.fields[i].value
		}
	}
	return ""
}

// all returns every value of a field, at most 50.
func (h *header) all(name string) []string {
	var out []string
	for i := range h.fields {
		if h.fields[i].name == name {
			if out = append(out, h.fields[i].value); len(out) == 50 {
				break
			}
		}
	}
	return out
}

// maxFields bounds how many wanted fields one header may keep; only repeated ones can come near.
const maxFields = 500

// parseHeader reads fields until the empty line and returns what follows it. It takes LF as well as CRLF, skips
// lines that are no fields, and keeps at most limit bytes of wanted values. A line for which stop is true (a
// delimiter of a multipart around us) ends it too: broken mailers forget the empty line.
func parseHeader(b []byte, limit int, stop func(line []byte) bool) (header, []byte) {
	var h header
	kept := 0
	for len(b) > 0 {
		line, rest := cutLine(b)
		if len(line) == 0 {
			b = rest
			break
		}
		if stop != nil && len(line) > 2 && line[0] == '-' && line[1] == '-' && stop(line) {
			return h, b
		}
		colon := bytes.IndexByte(line, ':')
		name, ok := fieldName(line, colon)
		if !ok {
			if !h.any {
				// No field at all so far: this is body text (a part without a header).
				return h, b
			}
			b = rest
			continue
		}
		h.any = true
		// Folded lines (RFC 5322 §2.2.3) belong to this field.
		end := rest
		folded := false
		for len(end) > 0 && (end[0] == ' ' || end[0] == '\t') {
			_, r := cutLine(end)
			folded = true
			end = r
		}
		if wanted[name] {
			raw := line[colon+1:]
			if folded {
				raw = b[colon+1 : len(b)-len(end)]
			}
			switch {
			case kept+len(raw) > limit || len(h.fields) >= maxFields:
				h.cut = true
			default:
				kept += len(raw)
				h.fields = append(h.fields, field{name, unfold(raw)})
			}
		}
		b = end
	}
	return h, b
}

// fieldName gives the lower-case name of a field line whose first colon is at the position.
func fieldName(line []byte, colon int) (string, bool) {
	if colon <= 0 || colon > 200 {
		return "", false
	}
	n := bytes.TrimRight(line[:colon], " \t")
	if len(n) == 0 {
		return "", false
	}
	for _, c := range n {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	return strings.ToLower(string(n)), true
}

func unfold(raw []byte) string {
	if bytes.IndexByte(raw, '\n') < 0 {
		return string(bytes.Trim(raw, " \t\r"))
	}
	out := make([]byte, 0, len(raw))
	for _, c := range raw {
		if c != '\n' && c != '\r' {
			out = append(out, c)
		}
	}
	return string(bytes.Trim(out, " \t"))
}

// cutLine returns the first line without its line end, and what follows.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return bytes.TrimSuffix(b, []byte{'\r'}), nil
	}
	rest = b[i+1:]
	if i > 0 && b[i-1] == '\r' {
		i--
	}
	return b[:i], rest
}

// split takes a message apart. It runs over the bytes once, whatever the nesting: the scanner looks for lines that
// begin with "--" and compares them with the boundaries that are open at that point.
func split(raw []byte, lim Limits) *tree {
	lim = lim.orDefault()
	raw = normaliseRaw(raw)
	t := &tree{}
	s := &splitter{tree: t, lim: lim, index: map[string]int{}}
	h, body := parseHeader(raw, lim.Header, nil)
	if h.cut {
		t.note("header fields beyond %d KB were left out", lim.Header>>10)
	}
	s.rest = body
	t.root = s.entity(h, "", "text/plain", 0)
	if len(t.root.children) == 0 && t.root.path == "" {
		t.root.path = "1"
	}
	if s.full {
		t.note("only the first %d parts are shown", lim.Parts)
	}
	if s.deep {
		t.note("parts nested deeper than %d are kept as files", lim.Depth)
	}
	return t
}

// normaliseRaw drops an mbox separator line and gives messages that only know CR (which no line-based parser could
// read) line feeds.
func normaliseRaw(raw []byte) []byte {
	if line, rest := cutLine(raw); bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From ")) {
		if !bytes.HasPrefix(bytes.TrimLeft(line[5:], " \t"), []byte(":")) { // "From : a@b" is a field
			raw = rest
		}
	}
	for len(raw) > 0 && (raw[0] == '\n' || raw[0] == '\r') {
		raw = raw[1:]
	}
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') >= 0 {
		raw = bytes.ReplaceAll(raw, []byte{'\r'}, []byte{'\n'})
	}
	return raw
}

type splitter struct {
	tree  *tree
	lim   Limits
	rest  []byte
	open  []string       // boundaries of the multiparts around us, outermost first
	index map[string]int // where the innermost of them with this text is
	full  bool           // the limit of parts was reached
	deep  bool           // the limit of depth was reached
	level int            // after a scan: which open boundary ended it, -1 = end of message
	last  bool           // after a scan: the delimiter was the closing one
}

// entity reads the body of an entity whose header is done, up to the delimiter of a multipart around it.
func (s *splitter) entity(h header, path, defaultKind string, depth int) *entity {
	e := &entity{header: h, path: path}
	s.tree.parts++
	e.kind, e.params = parseMediaType(h.get("content-type"))
	if e.kind == "" {
		e.kind = defaultKind
	}
	e.encoding = strings.ToLower(firstWord(h.get("content-transfer-encoding")))
	if !strings.HasPrefix(e.kind, "multipart/") {
		e.body = s.scan()
		return e
	}
	boundary := strings.TrimRight(e.params["boundary"], " \t")
	if boundary == "" || len(boundary) > 1000 {
		boundary = guessBoundary(s.rest)
	}
	if boundary == "" || depth >= s.lim.Depth {
		if depth >= s.lim.Depth {
			s.deep = true
		} else {
			e.kind = "text/plain" // multipart without any boundary: show what is there
		}
		e.body = s.scan()
		return e
	}
	me := len(s.open)
	s.open = append(s.open, boundary)
	outer, twice := s.index[boundary]
	s.index[boundary] = me
	preamble := s.scan()
	for s.level == me && !s.last {
		if s.tree.parts >= s.lim.Parts {
			s.full = true
			s.rest, s.level = nil, -1
			break
		}
		var ph header
		ph, s.rest = parseHeader(s.rest, s.lim.Header, func(line []byte) bool {
			_, _, ok := s.delimiter(line)
			return ok
		})
		if ph.cut {
			s.tree.note("header fields of a part beyond %d KB were left out", s.lim.Header>>10)
		}
		def := "text/plain"
		if e.kind == "multipart/digest" {
			def = "message/rfc822" // RFC 2046 §5.1.5
		}
		p := strconv.Itoa(len(e.children) + 1)
		if path != "" {
			p = path + "." + p
		}
		e.children = append(e.children, s.entity(ph, p, def, depth+1))
	}
	s.open = s.open[:me]
	if delete(s.index, boundary); twice {
		s.index[boundary] = outer
	}
	if s.level == me {
		// Closed properly; the epilogue belongs to nobody.
		s.scan()
	}
	if len(e.children) == 0 {
		// The boundary never came: what would be the preamble is all there is.
		e.kind, e.encoding, e.body = "text/plain", "", preamble
	}
	return e
}

// scan returns the bytes up to the next delimiter line of an open multipart and stands behind that line.
func (s *splitter) scan() []byte {
	b := s.rest
	s.level, s.last = -1, false
	if len(s.open) == 0 {
		s.rest = nil
		return b
	}
	pos := 0
	for pos < len(b) {
		// To the next line that begins with "--".
		if !(b[pos] == '-' && pos+1 < len(b) && b[pos+1] == '-') {
			i := bytes.Index(b[pos:], []byte("\n--"))
			if i < 0 {
				break
			}
			pos += i + 1
		}
		line, after := cutLine(b[pos:])
		if level, last, ok := s.delimiter(line); ok {
			s.level, s.last, s.rest = level, last, after
			// The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
			end := pos
			if end > 0 && b[end-1] == '\n' {
				end--
				if end > 0 && b[end-1] == '\r' {
					end--
				}
			}
			return b[:end]
		}
		pos = len(b) - len(after)
	}
	s.rest = nil
	return b
}

// delimiter tells whether a line that begins with "--" is a delimiter of an open multipart. The innermost wins; an
// outer one ends the inner ones with it, which mends a missing final boundary.
func (s *splitter) delimiter(line []byte) (level int, last, ok bool) {
	line = bytes.TrimRight(line[2:], " \t")
	if i, ok := s.index[string(line)]; ok {
		return i, false, true
	}
	if body, closing := bytes.CutSuffix(line, []byte("--")); closing {
		if i, ok := s.index[string(body)]; ok {
			return i, true, true
		}
	}
	return 0, false, false
}

// guessBoundary takes the first line that looks like a delimiter and comes again, for multiparts that forgot to
// name theirs.
func guessBoundary(b []byte) string {
	if len(b) > 64<<10 {
		b = b[:64<<10]
	}
	for rest := b; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) > 4 && len(line) < 80 && line[0] == '-' && line[1] == '-' && bytes.IndexByte(line, ' ') < 0 &&
			bytes.Contains(rest, line) {
			return string(line[2:])
		}
		if len(line) > 0 {
			return "" // only empty lines may stand before it
		}
	}
	return ""
}

// find returns the entity with the path, nil if there is none.
func (e *entity) find(path string) *entity {
	if e.path == path {
		return e
	}
	for _, c := range e.children {
		if c.path == path || strings.HasPrefix(path, c.path+".") {
			return c.find(path)
		}
	}
	return nil
}

// under puts a prefix before the paths of an entity and everything in it.
func (e *entity) under(prefix string) {
	e.path = prefix + e.path
	for _, c := range e.children {
		c.under(prefix)
	}
}

// decoded returns the content with its transfer encoding undone, at most max bytes of it (0 = all).
func (e *entity) decoded(max int) (content []byte, cut bool) {
	switch e.encoding {
	case "base64", "quoted-printable":
		if max == 0 {
			max = len(e.body) + 1 // no encoding grows
		}
		if e.encoding == "base64" && len(e.body) <= max {
			// The usual case, several times as fast; whatever is not quite right is read by the patient way.
			buf := make([]byte, base64.StdEncoding.DecodedLen(len(e.body)))
			if n, err := base64.StdEncoding.Decode(buf, e.body); err == nil {
				return buf[:n], false
			}
		}
		r := e.reader()
		size := min(max, len(e.body)) + 1
		buf := make([]byte, 0, size)
		for len(buf) < cap(buf) {
			n, err := r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if err != nil {
				break
			}
		}
		if len(buf) > max {
			return buf[:max], true
		}
		return buf, false
	case "x-uuencode", "uuencode", "x-uue":
		content := uudecode(e.body)
		if max > 0 && len(content) > max {
			return content[:max], true
		}
		return content, false
	default:
		if max > 0 && len(e.body) > max {
			return e.body[:max], true
		}
		return e.body, false
	}
}

// uudecode decodes the first file of a uuencoded content (POSIX), which some gateways still use as a transfer encoding.
// Without a begin line it is taken for plain.
func uudecode(b []byte) []byte {
	rest := b
	for {
		if len(rest) == 0 {
			return b
		}
		var line []byte
		line, rest = cutLine(rest)
		if bytes.HasPrefix(line, []byte("begin ")) {
			break
		}
	}
	out := make([]byte, 0, len(rest)*3/4)
	for len(rest) > 0 {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) == 0 || string(line) == "end" {
			break
		}
		n := int(line[0]-' ') & 0x3f
		line = line[1:]
		for ; n > 0; n -= 3 {
			var v [4]byte
			for i := range v {
				if i < len(line) {
					v[i] = (line[i] - ' ') & 0x3f // "`" stands for blank as well
				}
			}
			line = line[min(4, len(line)):]
			group := [3]byte{v[0]<<2 | v[1]>>4, v[1]<<4 | v[2]>>2, v[2]<<6 | v[3]}
			out = append(out, group[:min(n, 3)]...)
		}
	}
	return out
}

// size is the length of the decoded content in bytes.
func (e *entity) size() int64 {
	switch e.encoding {
	case "base64":
		n, group := int64(0), int64(0)
		for _, c := range e.body {
			if c == '=' { // ends a block, see base64Reader
				n, group = n+group*3/4, 0
			} else if base64Value[c] != noBase64 {
				group++
			}
		}
		return n + group*3/4
	case "quoted-printable":
		n, _ := io.Copy(io.Discard, e.reader())
		return n
	case "x-uuencode", "uuencode", "x-uue":
		return int64(len(uudecode(e.body)))
	default:
		return int64(len(e.body))
	}
}

// reader streams the decoded content.
func (e *entity) reader() io.Reader {
	switch e.encoding {
	case "base64":
		return &base64Reader{src: e.body}
	case "quoted-printable":
		return &quotedPrintableReader{src: e.body}
	case "x-uuencode", "uuencode", "x-uue":
		return bytes.NewReader(uudecode(e.body))
	default:
		return bytes.NewReader(e.body)
	}
}

const noBase64 = 0xff

var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = noBase64
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['-'], t['_'] = 62, 63 // the URL alphabet, which some mailers use by mistake
	return t
}()

// base64Reader decodes base64 as RFC 2045 §6.8 asks: everything outside the alphabet is ignored, and a missing
// padding or a broken last group costs nothing but that group's incomplete byte.
type base64Reader struct {
	src  []byte
	acc  uint32
	bits uint
}

func (r *base64Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	for n < len(p) {
		if r.bits >= 8 {
			r.bits -= 8
			p[n] = byte(r.acc >> r.bits)
			n++
			continue
		}
		if len(r.src) == 0 {
			break
		}
		c := r.src[0]
		r.src = r.src[1:]
		if c == '=' {
			// Padding ends the data, but some mailers glue several encoded blocks together.
			r.acc, r.bits = 0, 0
			continue
		}
		if v := base64Value[c]; v != noBase64 {
			r.acc = r.acc<<6 | uint32(v)
			r.bits += 6
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// quotedPrintableReader decodes quoted-printable (RFC 2045 §6.7) and leaves alone what is no valid escape.
type quotedPrintableReader struct{ src []byte }

func (r *quotedPrintableReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	for n < len(p) && len(r.src) > 0 {
		c := r.src[0]
		switch c {
		case '=':
			if len(r.src) >= 3 {
				hi, lo := unhex(r.src[1]), unhex(r.src[2])
				if hi >= 0 && lo >= 0 {
					p[n] = byte(hi<<4 | lo)
					n++
					r.src = r.src[3:]
					continue
				}
			}
			// A soft line break, perhaps with blanks that a gateway added.
			rest := bytes.TrimLeft(r.src[1:min(len(r.src), 80)], " \t")
			skip := len(r.src[1:min(len(r.src), 80)]) - len(rest)
			after := r.src[1+skip:]
			switch {
			case len(after) == 0:
				r.src = nil
				continue
			case after[0] == '\n':
				r.src = after[1:]
				continue
			case after[0] == '\r' && len(after) > 1 && after[1] == '\n':
				r.src = after[2:]
				continue
			}
		case ' ', '\t':
			// Blanks at the end of a line were added on the way (rule 3).
			end := 1
			// Bounded, or a body of blanks would be looked through again and again.
			for end < len(r.src) && end < 998 && (r.src[end] == ' ' || r.src[end] == '\t') {
				end++
			}
			if end == len(r.src) || r.src[end] == '\n' || (r.src[end] == '\r' && end+1 < len(r.src) && r.src[end+1] == '\n') {
				r.src = r.src[end:]
				continue
			}
			k := copy(p[n:], r.src[:end])
			n += k
			r.src = r.src[k:]
			continue
		}
		p[n] = c
		n++
		r.src = r.src[1:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
