package email

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	xunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/unicode/norm"

	"github.com/rufweite/rufweite/internal/channel"
)

// This file reads the words of header fields: character sets, encoded words (RFC 2047), parameters (RFC 2045,
// RFC 2231) and addresses (RFC 5322 §3.4). Everything here takes what real mailers write, not what they should.

// decodeCharset turns bytes in the named character set into UTF-8. A name that is missing, unknown or a lie does not
// lose the text: bytes that are valid UTF-8 are taken as UTF-8, everything else as windows-1252, which gives every
// byte some meaning. The result has no NUL (no database takes it) and LF line ends.
func decodeCharset(label string, b []byte) string {
	if isASCII(b) && !escapes(label) {
		return cleanText(string(b))
	}
	label = strings.ToLower(strings.Trim(strings.TrimSpace(label), `"'`))
	if len(b) >= 2 && (b[0] == 0xFF && b[1] == 0xFE || b[0] == 0xFE && b[1] == 0xFF) && !strings.HasPrefix(label, "utf-32") {
		// A byte order mark says more than any label (RFC 2781 §3.3).
		if s, err := xunicode.UTF16(xunicode.LittleEndian, xunicode.UseBOM).NewDecoder().Bytes(b); err == nil {
			return cleanText(string(s))
		}
	}
	switch label {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "unicode-1-1-utf-8", "8bit", "unknown-8bit", "x-unknown", "default",
		"iso-8859-1", "latin1", "iso8859-1", "iso-8859-15", "windows-1252", "cp1252", "cp-1252":
		// Text in one of the Latin sets that happens to be valid UTF-8 beyond ASCII is practically always UTF-8
		// with a wrong label.
		if utf8.Valid(b) {
			return cleanText(string(b))
		}
		switch label {
		case "iso-8859-15":
			if s, err := charmap.ISO8859_15.NewDecoder().Bytes(b); err == nil {
				return cleanText(string(s))
			}
		case "utf-8", "utf8", "unicode-1-1-utf-8", "":
			return cleanText(mixed(b))
		}
		return cleanText(latin(b))
	case "utf-7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		return cleanText(decodeUTF7(b))
	case "utf-32", "utf-32be", "utf-32le":
		order := utf32.BigEndian
		if label == "utf-32le" {
			order = utf32.LittleEndian
		}
		if s, err := utf32.UTF32(order, utf32.UseBOM).NewDecoder().Bytes(b); err == nil {
			return cleanText(string(s))
		}
	}
	if singleByte(label) && utf8.Valid(b) {
		return cleanText(string(b)) // as with the Latin sets: no text in them is valid UTF-8 by accident
	}
	enc, name := charset.Lookup(label)
	if enc == nil || name == "replacement" {
		enc, _ = ianaindex.MIME.Encoding(label)
	}
	if enc != nil && name != "replacement" {
		if s, err := enc.NewDecoder().Bytes(b); err == nil && !(bytes.Contains(s, []byte("\uFFFD")) && utf8.Valid(b)) {
			return cleanText(string(s))
		}
	}
	if utf8.Valid(b) {
		return cleanText(string(b))
	}
	return cleanText(latin(b))
}

// escapes tells whether the set writes other characters with ASCII bytes.
func escapes(label string) bool {
	l := strings.ToLower(label)
	return strings.Contains(l, "2022") || strings.Contains(l, "utf-7") || strings.Contains(l, "utf-16") ||
		strings.Contains(l, "utf-32") || strings.Contains(l, "hz-gb") || strings.Contains(l, "ucs-") ||
		strings.Contains(l, "ebcdic") || strings.Contains(l, "ibm")
}

// singleByte tells whether a label names one of the eight-bit sets.
func singleByte(label string) bool {
	for _, p := range []string{"iso-8859-", "iso8859-", "windows-125", "cp125", "koi8", "macintosh", "x-mac"} {
		if strings.HasPrefix(label, p) {
			return true
		}
	}
	return false
}

// mixed decodes text that is UTF-8 for the most part: a template in one set with a name in another is what broken
// programs send. Each byte that belongs to no UTF-8 sequence counts as windows-1252.
func mixed(b []byte) string {
	var out strings.Builder
	out.Grow(len(b) + len(b)/8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			out.WriteRune(charmap.Windows1252.DecodeByte(b[0]))
		} else {
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.String()
}

func latin(b []byte) string {
	s, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(s)
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// cleanText makes line ends LF and drops what no text may hold: NUL and the other control characters but tab.
func cleanText(s string) string {
	dirty := false
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\n' && c != '\t') || c == 0x7f {
			dirty = true
			break
		}
	}
	if dirty {
		var b strings.Builder
		b.Grow(len(s))
		for i := range len(s) {
			switch c := s[i]; {
			case c == '\r':
				if i+1 >= len(s) || s[i+1] != '\n' {
					b.WriteByte('\n')
				}
			case c == '\f' || c == '\v':
				b.WriteByte('\n')
			case (c < ' ' && c != '\n' && c != '\t') || c == 0x7f:
			default:
				b.WriteByte(c)
			}
		}
		s = b.String()
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.TrimPrefix(s, "\uFEFF")
}

// decodeUTF7 reads RFC 2152, which old Outlook versions still write.
func decodeUTF7(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		c := b[0]
		if c != '+' {
			out.WriteByte(c)
			b = b[1:]
			continue
		}
		end := 1
		for end < len(b) && base64Value[b[end]] != noBase64 && b[end] != '-' && b[end] != '_' {
			end++
		}
		run := b[1:end]
		if end < len(b) && b[end] == '-' {
			end++
		}
		if len(run) == 0 {
			out.WriteByte('+')
			b = b[end:]
			continue
		}
		var units []uint16
		r := base64Reader{src: run}
		raw := make([]byte, len(run))
		n, _ := r.Read(raw)
		for i := 0; i+1 < n; i += 2 {
			units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
		}
		for i := 0; i < len(units); i++ {
			u := rune(units[i])
			if u >= 0xD800 && u < 0xDC00 && i+1 < len(units) && units[i+1] >= 0xDC00 && units[i+1] < 0xE000 {
				u = (u-0xD800)<<10 | (rune(units[i+1]) - 0xDC00) + 0x10000
				i++
			}
			out.WriteRune(u)
		}
		b = b[end:]
	}
	return out.String()
}

// decodeWords decodes the encoded words of an unstructured field or a phrase (RFC 2047). It is tolerant: words
// inside quotes, words split in the middle of a character, blanks inside words, missing padding.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return decodeCharset("", []byte(s))
	}
	var out strings.Builder
	var pending []byte // bytes of adjacent words in one set, decoded together because mailers split characters
	pendingSet := ""
	flush := func() {
		if len(pending) > 0 {
			out.WriteString(decodeCharset(pendingSet, pending))
			pending = pending[:0]
		}
	}
	for len(s) > 0 {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		set, enc, text, rest, ok := encodedWord(s[i:])
		if !ok {
			flush()
			out.WriteString(decodeCharset("", []byte(s[:i+2])))
			s = s[i+2:]
			continue
		}
		if gap := s[:i]; gap != "" && (len(pending) == 0 || strings.Trim(gap, " \t\r\n") != "") {
			flush()
			out.WriteString(decodeCharset("", []byte(gap)))
		}
		if !strings.EqualFold(set, pendingSet) {
			flush()
			pendingSet = set
		}
		before := len(pending)
		if enc == 'b' {
			r := base64Reader{src: []byte(text)}
			buf := make([]byte, len(text))
			n, _ := r.Read(buf)
			pending = append(pending, buf[:n]...)
		} else {
			for j := 0; j < len(text); j++ {
				switch c := text[j]; {
				case c == '_':
					pending = append(pending, ' ')
				case c == '=' && j+2 < len(text) && unhex(text[j+1]) >= 0 && unhex(text[j+2]) >= 0:
					pending = append(pending, byte(unhex(text[j+1])<<4|unhex(text[j+2])))
					j += 2
				default:
					pending = append(pending, c)
				}
			}
		}
		if len(pending) == before && before == 0 {
			pendingSet = ""
		}
		s = rest
	}
	flush()
	if s != "" {
		out.WriteString(decodeCharset("", []byte(s)))
	}
	return out.String()
}

// encodedWord reads one encoded word at the start of s.
func encodedWord(s string) (set string, enc byte, text, rest string, ok bool) {
	body := s[2:]
	q1 := strings.IndexByte(body, '?')
	if q1 <= 0 || q1 > 60 || q1+3 > len(body) || body[q1+2] != '?' {
		return "", 0, "", "", false
	}
	set, _, _ = strings.Cut(body[:q1], "*") // RFC 2231 §5: a language may follow
	enc = body[q1+1] | 0x20
	if enc != 'b' && enc != 'q' {
		return "", 0, "", "", false
	}
	text = body[q1+3:]
	// RFC 2047 §2 allows 75 characters; some mailers put a whole line into one word.
	end := strings.Index(text[:min(len(text), 8000)], "?=")
	if end < 0 {
		return "", 0, "", "", false
	}
	return set, enc, text[:end], text[end+2:], true
}

// bidiOrInvisible are the characters that make a text look like another one: direction overrides and isolates,
// zero-width characters, byte order marks.
func bidiOrInvisible(r rune) bool {
	switch {
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x200E, r == 0x200F, r == 0x061C,
		r == 0x200B, r == 0x2060, r == 0xFEFF, r == 0x00AD, r == 0x180E:
		return true
	}
	return false
}

// cleanLine makes a decoded value fit for one line of a screen: line ends and control characters become blanks
// (an encoded word may hold CRLF), direction overrides go, and it is cut at max runes.
func cleanLine(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '\uFFFD'
		case bidiOrInvisible(r):
			return -1
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\u0085':
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > max {
		n := 0
		for i := range s {
			if n == max {
				return s[:i] + "…"
			}
			n++
		}
	}
	return s
}

// cleanFileName makes a file name safe to show and to save: no path, no direction override or zero-width character,
// no control character, nothing that a file system forbids, composed umlauts, at most 200 runes with its extension.
func cleanFileName(s, mediaType string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case bidiOrInvisible(r) || r == 0x200C || r == 0x200D:
			return -1
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, s)
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}, s)
	s = norm.NFC.String(strings.Join(strings.Fields(s), " "))
	s = strings.TrimRight(strings.TrimLeft(s, " ."), " .")
	if s == "" {
		return "attachment" + extension(mediaType)
	}
	if runes := []rune(s); len(runes) > 200 {
		ext := ""
		if i := strings.LastIndexByte(s, '.'); i > 0 && len(s)-i <= 12 {
			ext = s[i:]
		}
		s = string(runes[:200-len([]rune(ext))]) + ext
	}
	return s
}

// extension gives the usual ending of files of a media type, for files without a name.
func extension(mediaType string) string {
	switch mediaType {
	case "text/plain":
		return ".txt"
	case "text/html":
		return ".html"
	case "text/calendar":
		return ".ics"
	case "text/csv":
		return ".csv"
	case "text/vcard", "text/x-vcard":
		return ".vcf"
	case "text/rfc822-headers":
		return ".txt"
	case "image/jpeg", "image/jpg":
		return ".jpg"
	case "image/png":
		return ".png"
	case "image/gif":
		return ".gif"
	case "image/webp":
		return ".webp"
	case "image/heic":
		return ".heic"
	case "application/pdf":
		return ".pdf"
	case "application/zip":
		return ".zip"
	case "application/pgp-signature":
		return ".asc"
	case "application/pkcs7-signature", "application/x-pkcs7-signature":
		return ".p7s"
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return ".p7m"
	case "message/rfc822", "message/global":
		return ".eml"
	case "message/delivery-status", "message/disposition-notification":
		return ".txt"
	case "audio/mpeg":
		return ".mp3"
	}
	return ""
}

func firstWord(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t;("); i >= 0 {
		s = s[:i]
	}
	return s
}

// parseMediaType reads `type/subtype; name=value …` (also of Content-Disposition, whose value has no slash).
// Continuations and character sets (RFC 2231), quotes, raw 8-bit values and encoded words in values are understood.
func parseMediaType(s string) (kind string, params map[string]string) {
	kind = s
	if i := strings.IndexByte(s, ';'); i >= 0 {
		kind, s = s[:i], s[i+1:]
	} else {
		s = ""
	}
	kind = strings.ToLower(firstWord(kind))
	if s == "" {
		return kind, nil
	}
	params = map[string]string{}
	type piece struct {
		value   string
		encoded bool
	}
	var pieces map[string]map[int]piece
	for n := 0; s != "" && n < 200; n++ {
		var key, value string
		var ok bool
		key, value, s, ok = nextParam(s)
		if !ok {
			continue
		}
		key = strings.ToLower(key)
		star := strings.IndexByte(key, '*')
		if star < 0 {
			if _, dup := params[key]; !dup {
				params[key] = value
			}
			continue
		}
		base, section := key[:star], key[star+1:]
		encoded := section == "" || strings.HasSuffix(section, "*")
		section = strings.TrimSuffix(section, "*")
		index := 0
		if section != "" {
			for _, c := range section {
				if c < '0' || c > '9' || index > 1000 {
					index = -1
					break
				}
				index = index*10 + int(c-'0')
			}
		}
		if index < 0 || base == "" {
			continue
		}
		if pieces == nil {
			pieces = map[string]map[int]piece{}
		}
		if pieces[base] == nil {
			pieces[base] = map[int]piece{}
		}
		pieces[base][index] = piece{value, encoded}
	}
	for key, v := range params {
		if key != "boundary" && (strings.Contains(v, "=?") || !isASCII([]byte(v))) {
			params[key] = decodeWords(v) // not allowed by RFC 2047 §5, done by everybody
		}
	}
	for base, ps := range pieces {
		set := ""
		var raw []byte
		first := 0
		if _, ok := ps[0]; !ok {
			first = 1 // some count from one
		}
		for i := first; i < first+len(ps); i++ {
			p, ok := ps[i]
			if !ok {
				break
			}
			v := p.value
			if p.encoded {
				if i == first {
					if q := strings.SplitN(v, "'", 3); len(q) == 3 {
						set, v = q[0], q[2]
					}
				}
				raw = append(raw, percentDecode(v)...)
			} else {
				raw = append(raw, v...)
			}
		}
		if v := decodeCharset(set, raw); v != "" {
			params[base] = v // the extended form wins (RFC 6266 §4.3)
		}
	}
	return kind, params
}

// nextParam cuts `name=value` up to the next semicolon outside quotes.
func nextParam(s string) (key, value, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t\r\n;")
	i := strings.IndexAny(s, "=;")
	if i < 0 {
		return "", "", "", false
	}
	if s[i] == ';' {
		return "", "", s[i+1:], false
	}
	key = strings.TrimSpace(s[:i])
	s = strings.TrimLeft(s[i+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		var b strings.Builder
		j := 1
		for ; j < len(s) && s[j] != '"'; j++ {
			if s[j] == '\\' && j+1 < len(s) && (s[j+1] == '"' || s[j+1] == '\\') {
				j++
			}
			b.WriteByte(s[j])
		}
		if j < len(s) {
			s = s[j+1:]
		} else {
			s = ""
		}
		if k := strings.IndexByte(s, ';'); k >= 0 {
			s = s[k+1:]
		} else {
			s = ""
		}
		return key, b.String(), s, key != ""
	}
	value = s
	if j := strings.IndexByte(s, ';'); j >= 0 {
		value, s = s[:j], s[j+1:]
	} else {
		s = ""
	}
	return key, strings.TrimSpace(value), s, key != ""
}

func percentDecode(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

// maxMailboxes bounds how many addresses of one field are kept.
const maxMailboxes = 500

// parseMailboxes reads an address list. What has no @ is dropped (groups such as "undisclosed-recipients:;").
func parseMailboxes(s string) []channel.Mailbox {
	var out []channel.Mailbox
	for n := 0; s != "" && len(out) < maxMailboxes && n < 2*maxMailboxes; n++ {
		var one string
		one, s = cutMailbox(s)
		if m, ok := parseMailbox(one); ok {
			out = append(out, m)
		}
	}
	return out
}

// cutMailbox cuts at the next comma or semicolon outside quotes, comments and angle brackets.
func cutMailbox(s string) (one, rest string) {
	quoted, angle, comment := false, false, 0
	for i := 0; i < len(s) && i < 4000; i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || comment > 0):
			i++
		case c == '"' && comment == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			comment++
		case c == ')' && comment > 0:
			comment--
		case comment > 0:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case (c == ',' || c == ';') && !angle:
			return s[:i], s[i+1:]
		}
	}
	if quoted || comment > 0 || angle || len(s) >= 4000 {
		// Something never closes: cut at the first comma, whatever it belongs to.
		if i := strings.IndexByte(s, ','); i >= 0 {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// parseMailbox reads `Name <local@domain>`, `"Name" <…>`, `local@domain (Name)` and the bare address.
func parseMailbox(s string) (channel.Mailbox, bool) {
	s = strings.TrimSpace(s)
	name, addr := "", s
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		name = s[:i]
		addr = s[i+1:]
		if j := strings.IndexByte(addr, '>'); j >= 0 {
			addr = addr[:j]
		}
		// A source route (RFC 5321 §4.1.1.3): only the last address counts.
		if strings.HasPrefix(addr, "@") {
			if j := strings.LastIndexByte(addr, ':'); j >= 0 {
				addr = addr[j+1:]
			}
		}
	} else {
		if i := strings.IndexByte(s, '('); i >= 0 {
			name = strings.TrimSuffix(strings.TrimSpace(s[i+1:]), ")")
			addr = s[:i]
		}
		// A group's name: `Team: a@example.org`.
		if i := strings.LastIndexByte(addr, ':'); i >= 0 && !strings.Contains(addr[:i], "@") {
			addr = addr[i+1:]
		}
		addr = strings.TrimSpace(addr)
		if i := strings.LastIndexAny(addr, " \t"); i >= 0 && !strings.HasPrefix(addr, `"`) {
			name, addr = addr[:i], addr[i+1:] // no brackets at all
		}
	}
	if i := strings.IndexByte(name, ':'); i >= 0 && !strings.ContainsAny(name[:i], `"=`) {
		name = name[i+1:] // the first of a group
	}
	addr, ok := cleanAddress(addr)
	if !ok {
		return channel.Mailbox{}, false
	}
	name = channel.CleanName(decodeWords(unquote(name)))
	if strings.EqualFold(name, addr) {
		name = ""
	}
	return channel.Mailbox{Name: name, Address: addr}, true
}

// unquote takes quotes and backslashes off a phrase.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, `"\`) {
		return strings.Trim(s, "'")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return strings.TrimSpace(b.String())
}

// cleanAddress checks an address for what can do harm and puts its domain in lower case. The local part may be
// anything printable: whether it exists is for its domain to say.
func cleanAddress(s string) (string, bool) {
	s = strings.TrimSpace(s)
	s = strings.TrimPrefix(s, "mailto:")
	s = strings.ToValidUTF8(s, "")
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || len(s) > 320 {
		return "", false
	}
	local, domain := s[:at], strings.TrimSuffix(strings.ToLower(s[at+1:]), ".")
	quoted := len(local) >= 2 && local[0] == '"' && local[len(local)-1] == '"'
	for _, r := range local {
		if unicode.IsControl(r) || bidiOrInvisible(r) || (!quoted && (unicode.IsSpace(r) || strings.ContainsRune(`<>,;:()[]"\@`, r))) {
			return "", false
		}
	}
	if quoted && bytes.ContainsAny([]byte(local[1:len(local)-1]), "\"\\<>") {
		return "", false
	}
	if domain == "" || strings.HasPrefix(domain, ".") || strings.Contains(domain, "..") {
		return "", false
	}
	literal := domain[0] == '[' && domain[len(domain)-1] == ']'
	for _, r := range domain {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), r == '.', r == '-', r == '_':
		case literal && strings.ContainsRune("[]:", r):
		default:
			return "", false
		}
	}
	return local + "@" + domain, true
}

// splitPlus separates the detail of a plus-address: "service+r.x@a.de" gives "service@a.de" and "r.x".
func splitPlus(addr string) (base, detail string) {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return addr, ""
	}
	plus := strings.IndexByte(addr[:at], '+')
	if plus <= 0 {
		return addr, ""
	}
	return addr[:plus] + addr[at:], addr[plus+1 : at]
}

// messageIDs takes the identifiers out of a References or In-Reply-To field: RFC 5322 §3.6.4 puts them in angle
// brackets, old mailers write prose around them.
func messageIDs(s string) []string {
	var out []string
	seen := map[string]bool{}
	for len(out) < 1000 {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		s = s[i:]
		j := strings.IndexByte(s, '>')
		if j < 0 {
			break
		}
		id := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || unicode.IsControl(r) {
				return -1 // folded in the middle
			}
			return r
		}, strings.ToValidUTF8(s[:j+1], ""))
		s = s[j+1:]
		if len(id) > 2 && len(id) <= 998 && strings.LastIndexByte(id, '<') == 0 && !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// boundReferences keeps the first and the newest of a long list, as RFC 5322 threads need them.
func boundReferences(ids []string, max int) []string {
	if len(ids) <= max {
		return ids
	}
	return append([]string{ids[0]}, ids[len(ids)-max+1:]...)
}
