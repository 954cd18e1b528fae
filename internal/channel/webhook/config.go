package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/rufweite/rufweite/internal/channel"
)

// field is one of the expressions of "receive".
type field int

const (
	fChallenge field = iota
	fReply
	fEach
	fWhen
	fType
	fID
	fFrom
	fName
	fText
	fSubject
	fAt
	fReplyTo
	fRef
	fDeliveryID
	fState
	fCode
	fError
	fChoiceData
	fChoiceLabel
	fEmoji
	fToken
	fLanguage
	fAccount
	fAttachments
	fUnsupported
	fieldCount
)

var fieldNames = [fieldCount]string{"challenge", "reply", "each", "when", "type", "id", "from", "name", "text", "subject", "at", "reply_to", "ref",
	"delivery_id", "state", "code", "error", "choice_data", "choice_label", "emoji", "token", "language", "account", "attachments", "unsupported"}

// receiver is a compiled "receive".
type receiver struct {
	auth   []auth
	fields [fieldCount]*expression
	media  media
}

// media says how files are fetched.
type media struct {
	hosts []string
	auth  *credential
	max   int64
}

// sender is a compiled "send".
type sender struct {
	method      string
	url         template
	headers     map[string]template
	contentType string
	body        *expression
	auth        *credential
	secrets     map[string]string
	id, accepted, class, retryAfter, reason,
	code *expression
	idempotencyHeader string
	caps              channel.Capabilities
	perSecond         float64
}

// compiled keeps what was compiled, by the settings' own text. Errors are kept too: a broken setting must not cost more than
// a good one.
type compiled[T any] struct {
	mu   sync.RWMutex
	list map[string]result[T]
}

type result[T any] struct {
	v   *T
	err error
}

const maxCompiled = 500

func (c *compiled[T]) get(source string, build func(string) (*T, error)) (*T, error) {
	c.mu.RLock()
	r, ok := c.list[source]
	c.mu.RUnlock()
	if ok {
		return r.v, r.err
	}
	v, err := build(source)
	c.mu.Lock()
	if c.list == nil || len(c.list) >= maxCompiled {
		c.list = map[string]result[T]{}
	}
	c.list[source] = result[T]{v, err}
	c.mu.Unlock()
	return v, err
}

var (
	receivers compiled[receiver]
	senders   compiled[sender]
)

var errNotSet = errors.New("it is not set")

func receiverOf(s channel.Settings) (*receiver, error) {
	if s["receive"] == "" {
		return nil, errNotSet
	}
	return receivers.get(s["receive"], buildReceiver)
}

func senderOf(s channel.Settings) (*sender, error) {
	if s["send"] == "" {
		return nil, errNotSet
	}
	return senders.get(s["send"], buildSender)
}

// object reads a JSON object whose keys are among the known ones.
func object(where, source string, into any, keys ...string) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(source), &m); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			before := source[:min(int(syntax.Offset), len(source))]
			line := strings.Count(before, "\n") + 1
			column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
			return nil, fmt.Errorf("%s, line %d, column %d: it is no JSON: %v", where, line, column, syntax)
		}
		return nil, fmt.Errorf("%s is no JSON object: write {\"key\": …}", where)
	}
	if m == nil {
		return nil, fmt.Errorf("%s is no JSON object: write {\"key\": …}", where)
	}
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	for _, k := range list {
		if !slices.Contains(keys, k) {
			return nil, fmt.Errorf("%s.%s is not known: use %s", where, short(k), strings.Join(keys, ", "))
		}
	}
	if into != nil {
		if err := json.Unmarshal([]byte(source), into); err != nil {
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) {
				return nil, fmt.Errorf("%s.%s is a %s and should be a %s", where, wrong.Field, wrong.Value, wrong.Type)
			}
			return nil, fmt.Errorf("%s: %w", where, err)
		}
	}
	return m, nil
}

const maxSettings = 64 << 10

func buildReceiver(source string) (*receiver, error) {
	if len(source) > maxSettings {
		return nil, fmt.Errorf("receive is longer than %d KB", maxSettings>>10)
	}
	m, err := object("receive", source, nil, append([]string{"auth", "media"}, fieldNames[:]...)...)
	if err != nil {
		return nil, err
	}
	r := &receiver{}
	if m["auth"] == nil {
		return nil, errors.New(`receive.auth is missing: say how the provider proves itself, e.g. {"type":"hmac","header":"X-Signature","algorithm":"sha256","encoding":"hex","secret":"…"}; {"type":"none"} lets everybody in`)
	}
	if r.auth, err = buildAuths("receive.auth", m["auth"], 0); err != nil {
		return nil, err
	}
	for f := range fieldCount {
		raw := m[fieldNames[f]]
		if raw == nil {
			continue
		}
		key := "receive." + fieldNames[f]
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return nil, fmt.Errorf("%s is no text: an expression stands in quotes, e.g. \"body.%s\"", key, fieldNames[f])
		}
		if r.fields[f], err = compile(inboundEnv, key, text); err != nil {
			return nil, err
		}
	}
	if r.fields[fFrom] == nil && (r.fields[fType] == nil || !constant(r.fields[fType].text, "status")) {
		return nil, errors.New("receive.from is missing: an expression for the sender's address, e.g. \"body.sender.id\"")
	}
	if raw := m["media"]; raw != nil {
		var in struct {
			Hosts []string        `json:"hosts"`
			Auth  json.RawMessage `json:"auth"`
			Max   int64           `json:"max"`
		}
		if _, err := object("receive.media", string(raw), &in, "hosts", "auth", "max"); err != nil {
			return nil, err
		}
		r.media.hosts, r.media.max = in.Hosts, in.Max
		if in.Auth != nil {
			if r.media.auth, err = buildCredential("receive.media.auth", in.Auth); err != nil {
				return nil, err
			}
			if r.media.auth.kind == "hmac" {
				return nil, errors.New("receive.media.auth: use bearer, basic, header or query")
			}
		}
	}
	return r, nil
}

// constant reports whether an expression is just this text.
func constant(expression, text string) bool {
	e := strings.TrimSpace(expression)
	return e == "'"+text+"'" || e == `"`+text+`"`
}

var tokenForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110 §5.6.2

var mediaForm = regexp.MustCompile(`^[a-z0-9.+-]+/[a-z0-9.+-]+(; ?[a-z]+=[A-Za-z0-9"-]+)*$`)

// auth is one way in which a provider proves itself.
type auth struct {
	kind              string
	header            string // hmac, header
	hash              string
	encoding          string
	prefix            string
	secrets           []string // what may be presented, or signs
	query             string
	signed, timestamp *expression
	maxAge            time.Duration
	nets              []netip.Prefix
	of                []auth
}

type authJSON struct {
	Type      string          `json:"type"`
	Header    string          `json:"header"`
	Algorithm string          `json:"algorithm"`
	Encoding  string          `json:"encoding"`
	Prefix    string          `json:"prefix"`
	Secret    string          `json:"secret"`
	Signed    string          `json:"signed"`
	Timestamp string          `json:"timestamp"`
	MaxAge    string          `json:"max_age"`
	Token     string          `json:"token"`
	User      string          `json:"user"`
	Password  string          `json:"password"`
	Name      string          `json:"name"`
	Value     string          `json:"value"`
	Allow     []string        `json:"allow"`
	Of        json.RawMessage `json:"of"`
}

var authKeys = map[string][]string{
	"hmac":   {"type", "header", "algorithm", "encoding", "prefix", "secret", "signed", "timestamp", "max_age"},
	"bearer": {"type", "token"},
	"basic":  {"type", "user", "password"},
	"header": {"type", "name", "value"},
	"query":  {"type", "name", "value"},
	"ip":     {"type", "allow"},
	"any":    {"type", "of"},
	"none":   {"type"},
}

func buildAuths(where string, raw json.RawMessage, depth int) ([]auth, error) {
	list := []json.RawMessage{raw}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf(`%s is empty: nothing would get in; {"type":"none"} lets everybody in`, where)
	}
	if depth > 3 || len(list) > 10 {
		return nil, fmt.Errorf("%s has too many ways", where)
	}
	var out []auth
	for i, one := range list {
		at := where
		if len(list) > 1 {
			at = fmt.Sprintf("%s[%d]", where, i)
		}
		a, err := buildAuth(at, one, depth)
		if err != nil {
			return nil, err
		}
		if a.kind == "none" && len(list) > 1 {
			return nil, fmt.Errorf("%s: \"none\" stands alone", at)
		}
		out = append(out, a)
	}
	return out, nil
}

func kindOf(where string, raw json.RawMessage, kinds ...string) (authJSON, error) {
	var t struct {
		Type string `json:"type"`
	}
	var in authJSON
	if json.Unmarshal(raw, &t) != nil || !slices.Contains(kinds, t.Type) {
		return in, fmt.Errorf("%s.type %q is not known: use %s", where, short(t.Type), strings.Join(kinds, ", "))
	}
	_, err := object(where, string(raw), &in, authKeys[t.Type]...)
	return in, err
}

func buildAuth(where string, raw json.RawMessage, depth int) (auth, error) {
	in, err := kindOf(where, raw, "hmac", "bearer", "basic", "header", "query", "ip", "any", "none")
	if err != nil {
		return auth{}, err
	}
	a := auth{kind: in.Type}
	secrets := func(key, value string) error {
		if value == "" {
			return fmt.Errorf("%s.%s is missing", where, key)
		}
		a.secrets = channel.Rotation(value)
		return channel.CheckRotation(where+"."+key, value)
	}
	switch in.Type {
	case "hmac":
		if err := secrets("secret", in.Secret); err != nil {
			return a, err
		}
		a.header, a.hash, a.encoding, a.prefix = in.Header, in.Algorithm, in.Encoding, in.Prefix
		if a.hash == "" {
			a.hash = "sha256"
		}
		if a.encoding == "" {
			a.encoding = "hex"
		}
		if err := signature(where, a.header, a.hash, a.encoding); err != nil {
			return a, err
		}
		if in.Signed != "" {
			if a.signed, err = compile(signingEnv, where+".signed", in.Signed); err != nil {
				return a, err
			}
		}
		if in.Timestamp != "" {
			if a.timestamp, err = compile(signingEnv, where+".timestamp", in.Timestamp); err != nil {
				return a, err
			}
			if !strings.Contains(in.Signed, "timestamp") && !strings.Contains(in.Signed, strings.TrimSpace(in.Timestamp)) {
				return a, fmt.Errorf("%s.signed does not cover the timestamp, so that anybody could renew it: e.g. \"timestamp + '.' + raw\"", where)
			}
			a.maxAge = 5 * time.Minute
		}
		if in.MaxAge != "" {
			if a.maxAge, err = time.ParseDuration(in.MaxAge); err != nil || a.maxAge <= 0 || in.Timestamp == "" {
				return a, fmt.Errorf("%s.max_age %q: it looks like \"5m\" and needs timestamp", where, in.MaxAge)
			}
		}
	case "bearer":
		if err := secrets("token", in.Token); err != nil {
			return a, err
		}
		a.header, a.prefix = "Authorization", "Bearer "
	case "basic":
		if in.User == "" && in.Password == "" || strings.Contains(in.User, ":") {
			return a, fmt.Errorf("%s: give user (without a colon) and password", where)
		}
		for _, p := range channel.Rotation(in.Password) {
			a.secrets = append(a.secrets, basic(in.User, p))
		}
		if len(a.secrets) == 0 {
			return a, fmt.Errorf("%s.password is missing", where)
		}
		a.header, a.prefix = "Authorization", "Basic "
	case "header":
		if !tokenForm.MatchString(in.Name) {
			return a, fmt.Errorf("%s.name %q is no name of a header", where, in.Name)
		}
		a.header = in.Name
		if err := secrets("value", in.Value); err != nil {
			return a, err
		}
	case "query":
		if a.query = in.Name; a.query == "" {
			return a, fmt.Errorf("%s.name is missing", where)
		}
		if err := secrets("value", in.Value); err != nil {
			return a, err
		}
	case "ip":
		for _, s := range in.Allow {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				ip, err := netip.ParseAddr(s)
				if err != nil {
					return a, fmt.Errorf("%s.allow: %q is no address or network: it looks like 203.0.113.0/24", where, s)
				}
				p = netip.PrefixFrom(ip, ip.BitLen())
			}
			a.nets = append(a.nets, p.Masked())
		}
		if len(a.nets) == 0 {
			return a, fmt.Errorf("%s.allow is missing: give a list of addresses or networks", where)
		}
	case "any":
		if in.Of == nil {
			return a, fmt.Errorf("%s.of is missing: give a list of ways", where)
		}
		if a.of, err = buildAuths(where+".of", in.Of, depth+1); err != nil {
			return a, err
		}
		for _, one := range a.of {
			if one.kind == "none" {
				return a, fmt.Errorf("%s.of: \"none\" stands alone", where)
			}
		}
	}
	return a, nil
}

func signature(where, header, hash, encoding string) error {
	switch {
	case !tokenForm.MatchString(header):
		return fmt.Errorf("%s.header %q is no name of a header", where, header)
	case hashes[hash] == nil:
		return fmt.Errorf("%s.algorithm %q is not known: use sha256, sha1, sha512", where, hash)
	case encodings[encoding] == nil:
		return fmt.Errorf("%s.encoding %q is not known: use hex, hex_upper, base64, base64url", where, encoding)
	}
	return nil
}

// credential is how we prove ourselves to the provider.
type credential struct {
	kind            string
	header          string
	value           string // with its prefix
	query           string
	secret          string // hmac
	hash, encoding  string
	prefix          string
	signed          *expression
	timestampHeader string
	hide            []string
}

type credentialJSON struct {
	Type            string `json:"type"`
	Token           string `json:"token"`
	User            string `json:"user"`
	Password        string `json:"password"`
	Name            string `json:"name"`
	Value           string `json:"value"`
	Header          string `json:"header"`
	Algorithm       string `json:"algorithm"`
	Encoding        string `json:"encoding"`
	Prefix          string `json:"prefix"`
	Secret          string `json:"secret"`
	Signed          string `json:"signed"`
	TimestampHeader string `json:"timestamp_header"`
}

func buildCredential(where string, raw json.RawMessage) (*credential, error) {
	var t struct {
		Type string `json:"type"`
	}
	kinds := []string{"bearer", "basic", "header", "query", "hmac", "none"}
	if json.Unmarshal(raw, &t) != nil || !slices.Contains(kinds, t.Type) {
		return nil, fmt.Errorf("%s.type %q is not known: use %s", where, short(t.Type), strings.Join(kinds, ", "))
	}
	keys := authKeys[t.Type]
	if t.Type == "hmac" {
		keys = []string{"type", "header", "algorithm", "encoding", "prefix", "secret", "signed", "timestamp_header"}
	}
	var in credentialJSON
	if _, err := object(where, string(raw), &in, keys...); err != nil {
		return nil, err
	}
	c := &credential{kind: in.Type}
	one := func(key, value string) error {
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%s.%s is missing or has a line break in it", where, key)
		}
		c.hide = append(c.hide, value)
		return nil
	}
	switch in.Type {
	case "bearer":
		c.header, c.value = "Authorization", "Bearer "+in.Token
		return c, one("token", in.Token)
	case "basic":
		if in.User == "" || strings.Contains(in.User, ":") {
			return nil, fmt.Errorf("%s.user is missing or has a colon", where)
		}
		c.header, c.value = "Authorization", "Basic "+basic(in.User, in.Password)
		c.hide = append(c.hide, basic(in.User, in.Password))
		return c, one("password", in.Password)
	case "header":
		if !tokenForm.MatchString(in.Name) {
			return nil, fmt.Errorf("%s.name %q is no name of a header", where, in.Name)
		}
		c.header, c.value = in.Name, in.Value
		return c, one("value", in.Value)
	case "query":
		if in.Name == "" {
			return nil, fmt.Errorf("%s.name is missing", where)
		}
		c.query, c.value = in.Name, in.Value
		return c, one("value", in.Value)
	case "hmac":
		c.header, c.hash, c.encoding, c.prefix, c.secret, c.timestampHeader = in.Header, in.Algorithm, in.Encoding, in.Prefix, in.Secret, in.TimestampHeader
		if c.hash == "" {
			c.hash = "sha256"
		}
		if c.encoding == "" {
			c.encoding = "hex"
		}
		if err := signature(where, c.header, c.hash, c.encoding); err != nil {
			return nil, err
		}
		if c.timestampHeader != "" && !tokenForm.MatchString(c.timestampHeader) {
			return nil, fmt.Errorf("%s.timestamp_header %q is no name of a header", where, c.timestampHeader)
		}
		if in.Signed != "" {
			var err error
			if c.signed, err = compile(signingEnv, where+".signed", in.Signed); err != nil {
				return nil, err
			}
		}
		return c, one("secret", in.Secret)
	}
	return c, nil
}

type sendJSON struct {
	Method            string            `json:"method"`
	URL               string            `json:"url"`
	Headers           map[string]string `json:"headers"`
	Type              string            `json:"type"`
	Body              string            `json:"body"`
	Auth              json.RawMessage   `json:"auth"`
	Secrets           map[string]string `json:"secrets"`
	ID                string            `json:"id"`
	Accepted          string            `json:"accepted"`
	Error             string            `json:"error"`
	RetryAfter        string            `json:"retry_after"`
	Reason            string            `json:"reason"`
	Code              string            `json:"code"`
	IdempotencyHeader string            `json:"idempotency_header"`
	Capabilities      json.RawMessage   `json:"capabilities"`
}

func buildSender(source string) (*sender, error) {
	if len(source) > maxSettings {
		return nil, fmt.Errorf("send is longer than %d KB", maxSettings>>10)
	}
	var in sendJSON
	if _, err := object("send", source, &in, "method", "url", "headers", "type", "body", "auth", "secrets", "id", "accepted", "error", "retry_after",
		"reason", "code", "idempotency_header", "capabilities"); err != nil {
		return nil, err
	}
	s := &sender{method: strings.ToUpper(in.Method), contentType: in.Type, secrets: in.Secrets, headers: map[string]template{}, idempotencyHeader: in.IdempotencyHeader}
	switch s.method {
	case "":
		s.method = http.MethodPost
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet:
	default:
		return nil, fmt.Errorf("send.method %q is not known: use POST, PUT, PATCH or GET", in.Method)
	}
	if s.contentType == "" && in.Body != "" {
		s.contentType = "application/json"
	}
	if s.contentType != "" && !mediaForm.MatchString(s.contentType) {
		return nil, fmt.Errorf("send.type %q is no media type: it looks like application/json", in.Type)
	}
	var err error
	if s.url, err = buildURL(in.URL); err != nil {
		return nil, err
	}
	for name, value := range in.Headers {
		if !tokenForm.MatchString(name) {
			return nil, fmt.Errorf("send.headers: %q is no name of a header", name)
		}
		if s.headers[name], err = buildTemplate("send.headers."+name, value); err != nil {
			return nil, err
		}
	}
	if in.IdempotencyHeader != "" && !tokenForm.MatchString(in.IdempotencyHeader) {
		return nil, fmt.Errorf("send.idempotency_header %q is no name of a header", in.IdempotencyHeader)
	}
	if in.Auth != nil {
		if s.auth, err = buildCredential("send.auth", in.Auth); err != nil {
			return nil, err
		}
	}
	for _, e := range []struct {
		into      *(*expression)
		env       func() (*cel.Env, error)
		key, text string
	}{
		{&s.body, outboundEnv, "body", in.Body}, {&s.id, answeredEnv, "id", in.ID}, {&s.accepted, answeredEnv, "accepted", in.Accepted},
		{&s.class, answeredEnv, "error", in.Error}, {&s.retryAfter, answeredEnv, "retry_after", in.RetryAfter},
		{&s.reason, answeredEnv, "reason", in.Reason}, {&s.code, answeredEnv, "code", in.Code},
	} {
		if e.text == "" {
			continue
		}
		if *e.into, err = compile(e.env, "send."+e.key, e.text); err != nil {
			return nil, err
		}
	}
	if s.caps, s.perSecond, err = buildCapabilities(in.Capabilities); err != nil {
		return nil, err
	}
	if s.caps.Idempotent && s.idempotencyHeader == "" && !strings.Contains(in.Body, "message.id") {
		return nil, errors.New("send.capabilities.idempotent needs idempotency_header, or message.id in the body: the provider has to know a second attempt")
	}
	return s, nil
}

type capabilitiesJSON struct {
	TextMax        *int    `json:"text_max"`
	TextUnit       string  `json:"text_unit"`
	Subject        bool    `json:"subject"`
	Buttons        int     `json:"buttons"`
	ButtonTitleMax int     `json:"button_title_max"`
	ButtonDataMax  int     `json:"button_data_max"`
	ChoiceTextMax  int     `json:"choice_text_max"`
	Attachments    bool    `json:"attachments"`
	AttachmentMax  int64   `json:"attachment_max"`
	CaptionMax     int     `json:"caption_max"`
	Quote          bool    `json:"quote"`
	Edits          bool    `json:"edits"`
	Delivered      bool    `json:"delivered"`
	Read           bool    `json:"read"`
	Window         string  `json:"window"`
	WriteFirst     bool    `json:"write_first"`
	Idempotent     bool    `json:"idempotent"`
	Links          bool    `json:"links"`
	Upload         bool    `json:"upload"`
	OneWay         bool    `json:"one_way"`
	PerSecond      float64 `json:"per_second"`
}

// fileMax is the largest file that fits into a request, since it travels inside the body.
const fileMax = 5 << 20

func buildCapabilities(raw json.RawMessage) (c channel.Capabilities, perSecond float64, err error) {
	c = defaults
	if raw == nil {
		return c, 0, nil
	}
	var in capabilitiesJSON
	if _, err := object("send.capabilities", string(raw), &in, "text_max", "text_unit", "subject", "buttons", "button_title_max", "button_data_max", "choice_text_max",
		"attachments", "attachment_max", "caption_max", "quote", "edits", "delivered", "read", "window", "write_first", "idempotent", "links", "upload", "one_way", "per_second"); err != nil {
		return c, 0, err
	}
	if in.TextMax != nil {
		c.TextMax = *in.TextMax
	}
	switch u := channel.Unit(in.TextUnit); u {
	case "":
	case channel.CodePoints, channel.UTF16, channel.Bytes:
		c.TextUnit = u
	default:
		return c, 0, fmt.Errorf("send.capabilities.text_unit %q is not known: use code_points, utf16 or bytes", in.TextUnit)
	}
	c.Subject, c.Quote, c.Edits, c.Delivered, c.Read, c.WriteFirst = in.Subject, in.Quote, in.Edits, in.Delivered, in.Read, in.WriteFirst
	c.Idempotent, c.Links, c.Upload, c.OneWay, c.Attachments = in.Idempotent, in.Links, in.Upload, in.OneWay, in.Attachments
	if in.Buttons > 0 {
		c.Buttons, c.ButtonTitleMax, c.ButtonDataMax, c.ChoiceTextMax = in.Buttons, in.ButtonTitleMax, in.ButtonDataMax, in.ChoiceTextMax
		if c.ButtonTitleMax == 0 {
			c.ButtonTitleMax = 20
		}
		if c.ButtonDataMax == 0 {
			c.ButtonDataMax = 256
		}
	}
	if in.Attachments {
		c.AttachmentMax, c.CaptionMax = in.AttachmentMax, in.CaptionMax
		if c.AttachmentMax == 0 {
			c.AttachmentMax = fileMax
		}
		if c.AttachmentMax > fileMax {
			return c, 0, fmt.Errorf("send.capabilities.attachment_max: at most %d bytes go into one request", fileMax)
		}
	}
	if in.Window != "" {
		if c.Window, err = time.ParseDuration(in.Window); err != nil {
			return c, 0, fmt.Errorf("send.capabilities.window %q is no time: it looks like 24h", in.Window)
		}
	}
	for _, n := range []int{c.TextMax, in.Buttons, c.ButtonTitleMax, c.ButtonDataMax, c.ChoiceTextMax, c.CaptionMax, int(c.Window), int(c.AttachmentMax), int(in.PerSecond)} {
		if n < 0 {
			return c, 0, errors.New("send.capabilities has a negative number")
		}
	}
	return c, in.PerSecond, nil
}
