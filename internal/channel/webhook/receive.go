package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some providers sign with it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/rufweite/rufweite/internal/channel"
)

var hashes = map[string]func() hash.Hash{"sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New}

var encodings = map[string]func([]byte) string{
	"hex": hex.EncodeToString, "hex_upper": func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) },
	"base64": base64.StdEncoding.EncodeToString, "base64url": base64.RawURLEncoding.EncodeToString,
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func mac(algorithm, encoding, prefix, secret string, data []byte) string {
	h := hmac.New(hashes[algorithm], []byte(secret))
	h.Write(data)
	return prefix + encodings[encoding](h.Sum(nil))
}

// scope is what expressions see of a request that came. It is made anew for each request.
type scope struct {
	r             *channel.Request
	body          any
	item          any
	url           string
	timestamp     string
	header, query map[string]string
	raw           *string
}

// ResolveName implements cel.Activation.
func (s *scope) ResolveName(name string) (any, bool) {
	switch name {
	case "body":
		return s.body, true
	case "item":
		return s.item, true
	case "header":
		if s.header == nil {
			s.header = lowerHeader(s.r.Header)
		}
		return s.header, true
	case "query":
		if s.query == nil {
			s.query = first(s.r.Query)
		}
		return s.query, true
	case "path":
		return s.r.Path, true
	case "method":
		return s.r.Method, true
	case "raw":
		if s.raw == nil {
			text := string(s.r.Body)
			s.raw = &text
		}
		return *s.raw, true
	case "url":
		return s.url, true
	case "timestamp":
		return s.timestamp, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (*scope) Parent() cel.Activation { return nil }

func lowerHeader(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for k, v := range h {
		out[strings.ToLower(k)] = strings.Join(v, ", ")
	}
	return out
}

func first(v url.Values) map[string]string {
	out := make(map[string]string, len(v))
	for k, list := range v {
		if len(list) > 0 {
			out[k] = list[0]
		}
	}
	return out
}

// Verify implements channel.Webhook. All ways of receive.auth must hold. A request that cannot prove itself still passes if
// it is a handshake (receive.challenge answers it): Parse then gives the answer and no events.
func (Driver) Verify(a channel.Account, r *channel.Request, now time.Time) error {
	c, err := receiverOf(a.Settings)
	if err != nil || len(c.auth) == 0 {
		return channel.ErrUnauthentic
	}
	if all(c.auth, r, now) == nil {
		return nil
	}
	if c.fields[fChallenge] != nil {
		if reply, ok, err := c.handshake(newScope(r)); err == nil && ok && len(reply.Body) > 0 {
			return nil
		}
	}
	return channel.ErrUnauthentic
}

// all says which of the ways does not hold; nil if all do.
func all(list []auth, r *channel.Request, now time.Time) error {
	for i := range list {
		if err := list[i].check(r, now); err != nil {
			return err
		}
	}
	return nil
}

// check says why a request does not prove itself in this way. What it says is for the try-out only.
func (a *auth) check(r *channel.Request, now time.Time) error {
	same := func(secret string) string { return a.prefix + secret }
	switch a.kind {
	case "none":
		return nil
	case "bearer", "basic", "header":
		if !channel.Authentic(channel.OneHeader(r.Header, a.header), a.secrets, same) {
			return fmt.Errorf("%s: header %s is not the one that is configured", a.kind, a.header)
		}
		return nil
	case "query":
		if v := r.Query[a.query]; len(v) != 1 || !channel.Authentic(v[0], a.secrets, same) {
			return fmt.Errorf("query: %s is not the one that is configured", a.query)
		}
		return nil
	case "ip":
		ip, err := netip.ParseAddr(r.Remote)
		if err != nil {
			return errors.New("ip: the sender's address is not known")
		}
		for _, p := range a.nets {
			if p.Contains(ip.Unmap()) {
				return nil
			}
		}
		return fmt.Errorf("ip: %s is not among the allowed addresses", ip)
	case "any":
		for i := range a.of {
			if a.of[i].check(r, now) == nil {
				return nil
			}
		}
		return errors.New("any: none of the ways holds")
	case "hmac":
		return a.hmac(r, now)
	}
	return errors.New("unknown way")
}

func (a *auth) hmac(r *channel.Request, now time.Time) error {
	given := channel.OneHeader(r.Header, a.header)
	if given == "" {
		return fmt.Errorf("hmac: header %s must come exactly once", a.header)
	}
	urls := []string{""}
	if a.signed != nil && len(r.URLs) > 0 {
		urls = r.URLs
	}
	for _, u := range urls {
		s := &scope{r: r, url: u}
		if a.timestamp != nil {
			text, err := a.timestamp.textOf(s)
			if err != nil {
				return a.timestamp.fault(err)
			}
			at, err := moment(text)
			if err != nil || at.IsZero() || !channel.Fresh(at, now, a.maxAge) {
				return fmt.Errorf("hmac: timestamp %q is not within %s of now", short(text), a.maxAge)
			}
			s.timestamp = text
		}
		data := r.Body
		if a.signed != nil {
			v, err := a.signed.eval(s)
			if err != nil {
				return a.signed.fault(err)
			}
			switch x := v.(type) {
			case types.String: // the very bytes
				data = []byte(x)
			case types.Bytes:
				data = x
			default:
				return a.signed.fault(fmt.Errorf("it is a %s and not a text", typeName(v)))
			}
		}
		if channel.Authentic(given, a.secrets, func(secret string) string { return mac(a.hash, a.encoding, a.prefix, secret, data) }) {
			return nil
		}
	}
	return fmt.Errorf("hmac: header %s is not the signature", a.header)
}

// newScope reads the body as its type says; what cannot be read is its text.
func newScope(r *channel.Request) *scope {
	s := &scope{r: r}
	if len(r.URLs) > 0 {
		s.url = r.URLs[0]
	}
	s.body, _ = readBody(r.Header.Get("Content-Type"), r.Body)
	s.item = s.body
	return s
}

// readBody makes a body what expressions see: JSON as it is, a form as a map of texts, anything else a text.
func readBody(contentType string, raw []byte) (any, error) {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	head := bytes.TrimLeft(raw, " \t\r\n")
	looks := len(head) > 0 && (head[0] == '{' || head[0] == '[')
	switch {
	case mediaType == "application/x-www-form-urlencoded":
		v, err := url.ParseQuery(string(raw))
		if err != nil {
			return clean(string(raw)), fmt.Errorf("the body is no form: %w", err)
		}
		out := make(map[string]any, len(v))
		for k, list := range v {
			out[k] = list[0]
		}
		return out, nil
	case len(head) == 0:
		return map[string]any{}, nil
	case mediaType == "application/json" || strings.HasSuffix(mediaType, "+json") || looks:
		v, err := decodeJSON(raw)
		if err != nil {
			return clean(string(raw)), fmt.Errorf("the body: %w", err)
		}
		return v, nil
	}
	return clean(string(raw)), nil
}

// handshake answers a handshake; ok is false if the request is none.
func (c *receiver) handshake(s *scope) (reply channel.Reply, ok bool, err error) {
	e := c.fields[fChallenge]
	if e == nil {
		return reply, false, nil
	}
	return replyOf(e, s)
}

func replyOf(e *expression, s *scope) (reply channel.Reply, ok bool, err error) {
	v, err := e.eval(s)
	if errors.Is(err, errMissing) {
		return reply, false, nil
	}
	if err != nil {
		return reply, false, e.fault(err)
	}
	switch v.(type) {
	case traits.Mapper, traits.Lister:
		x, err := native(v)
		if err == nil {
			reply.Body, err = encodeJSON(x)
		}
		if err != nil {
			return reply, false, e.fault(err)
		}
		reply.Type = "application/json"
	default:
		t, err := text(v)
		if err != nil {
			return reply, false, e.fault(err)
		}
		if t == "" {
			return reply, false, nil
		}
		reply.Body, reply.Type = []byte(t), "text/plain; charset=utf-8"
	}
	if len(reply.Body) > 4<<10 {
		return channel.Reply{}, false, e.fault(errors.New("the answer is longer than 4 KB"))
	}
	reply.Status = http.StatusOK
	return reply, true, nil
}

const maxItems = 1000

// Parse implements channel.Webhook.
func (Driver) Parse(a channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	c, err := receiverOf(a.Settings)
	if err != nil {
		return nil, channel.Reply{}, fmt.Errorf("receive: %w", err)
	}
	return c.parse(r, nil)
}

func (c *receiver) parse(r *channel.Request, t *trace) ([]channel.Event, channel.Reply, error) {
	s := newScope(r)
	if reply, ok, err := c.handshake(s); err != nil {
		t.note(-1, c.fields[fChallenge], "", err)
		return nil, channel.Reply{}, err
	} else if ok {
		t.note(-1, c.fields[fChallenge], string(reply.Body), nil)
		return nil, reply, nil
	}
	if _, err := readBody(r.Header.Get("Content-Type"), r.Body); err != nil {
		if _, isText := s.body.(string); isText {
			return nil, channel.Reply{}, err
		}
	}
	var reply channel.Reply
	if e := c.fields[fReply]; e != nil {
		out, ok, err := replyOf(e, s)
		if err != nil {
			t.note(-1, e, "", err)
			return nil, channel.Reply{}, err
		}
		if ok {
			reply = out
		}
	}
	items := []any{s.body}
	if e := c.fields[fEach]; e != nil {
		v, err := e.eval(s)
		switch list, ok := v.(traits.Lister); {
		case errors.Is(err, errMissing): // no list, no events
			items = nil
		case err != nil:
			err = e.fault(err)
			t.note(-1, e, "", err)
			return nil, channel.Reply{}, err
		case !ok:
			err = e.fault(fmt.Errorf("it is a %s and not a list", typeName(v)))
			t.note(-1, e, "", err)
			return nil, channel.Reply{}, err
		default:
			items = items[:0]
			for it := list.Iterator(); it.HasNext() == types.True; {
				one := it.Next()
				var item any = one
				if m, ok := one.Value().(map[string]any); ok {
					item = m
				}
				if items = append(items, item); len(items) > maxItems {
					return nil, channel.Reply{}, e.fault(fmt.Errorf("more than %d items", maxItems))
				}
			}
			t.note(-1, e, strconv.Itoa(len(items))+" items", nil)
		}
	}
	var events []channel.Event
	var seen map[string]bool
	if len(items) > 1 {
		seen = map[string]bool{}
	}
	authentic := channel.Observed
	if c.auth[0].kind == "none" {
		authentic = channel.Claimed
	}
	for i, item := range items {
		s.item = item
		b := builder{c: c, s: s, t: t, i: i, assurance: authentic}
		e, counts := b.event()
		if !counts || seen[e.Key] {
			continue
		}
		if seen != nil {
			seen[e.Key] = true
		}
		events = append(events, e)
	}
	if len(events) == 0 && reply.Status == 0 {
		reply.Status = http.StatusOK // nothing of it was for us
	}
	return events, reply, nil
}

// builder makes one event of one item.
type builder struct {
	c         *receiver
	s         *scope
	t         *trace
	i         int
	assurance channel.Assurance
	err       error
}

// get is a field as text; "" if it is not configured or missing.
func (b *builder) get(f field) string {
	e := b.c.fields[f]
	if e == nil || b.err != nil {
		return ""
	}
	v, err := e.textOf(b.s)
	b.t.note(b.i, e, v, err)
	if err != nil {
		b.err = e.fault(err)
		return ""
	}
	return v
}

// need is get of a field that an event cannot do without.
func (b *builder) need(f field, why string) string {
	v := b.get(f)
	if v != "" || b.err != nil {
		return v
	}
	if e := b.c.fields[f]; e != nil {
		b.err = e.fault(errMissing)
		b.t.note(b.i, e, "", errMissing)
	} else {
		b.err = fmt.Errorf("receive.%s is not set, which %s needs", fieldNames[f], why)
	}
	return ""
}

// id bounds what is used as an id.
func id(s string) string {
	if s = strings.TrimSpace(s); len(s) > 512 {
		return channel.HashKey("long", s)
	}
	return s
}

func (b *builder) event() (e channel.Event, counts bool) {
	if w := b.c.fields[fWhen]; w != nil {
		v, err := w.eval(b.s)
		b.t.value(b.i, w, v, err)
		if errors.Is(err, errMissing) || err == nil && v == types.False {
			return e, false
		}
		if err == nil && v != types.True {
			err = fmt.Errorf("it is a %s and not true or false", typeName(v))
		}
		if err != nil {
			return b.unparsed(w.fault(err)), true
		}
	}
	kind := "message"
	if b.c.fields[fType] != nil {
		if kind = b.need(fType, "an event"); kind == "ignore" {
			return e, false
		}
	}
	event := b.get(fID)
	key := func(prefix string) string {
		if event != "" {
			return prefix + ":" + id(event)
		}
		return b.hashed(prefix)
	}
	e.Account = b.get(fAccount)
	e.Sender = channel.Address{Value: id(b.get(fFrom)), Name: channel.CleanName(b.get(fName)), Language: language(b.get(fLanguage)), Assurance: b.assurance}
	if at := b.get(fAt); at != "" {
		var err error
		if e.At, err = moment(at); err != nil && b.err == nil {
			b.err = b.c.fields[fAt].fault(err)
		}
	}
	if kind != "status" && e.Sender.Value == "" && b.err == nil {
		b.need(fFrom, "a "+kind)
		if b.err == nil {
			b.err = errors.New("receive.from gives only spaces")
		}
	}
	switch kind {
	case "message", "edit":
		m := &channel.Message{Subject: b.get(fSubject), Text: b.get(fText), ReplyTo: id(b.get(fReplyTo)), Unsupported: channel.CleanName(b.get(fUnsupported))}
		m.Attachments = b.attachments()
		if m.Text == "" && m.Subject == "" && len(m.Attachments) == 0 && m.Unsupported == "" {
			m.Unsupported = "message without text"
		}
		e.Type, e.Message = channel.MessageEvent, m
		e.Key = key("msg")
		_, m.ExternalID, _ = strings.Cut(e.Key, ":")
		if kind == "edit" {
			e.Type = channel.EditEvent
			m.ExternalID = id(b.get(fRef))
			if m.ExternalID == "" {
				m.ExternalID = id(b.need(fID, "an edit"))
			}
			e.Key = channel.HashKey("edit", m.ExternalID, e.At.String(), m.Text, m.Subject)
			e.Ref = m.ExternalID
		}
	case "status":
		st := &channel.Status{ExternalID: id(b.get(fRef)), DeliveryID: id(b.get(fDeliveryID)), Error: b.get(fError), Code: b.get(fCode)}
		word := b.need(fState, "a status")
		if b.err == nil {
			if st.State = states[strings.ToLower(word)]; st.State == "" {
				b.err = b.c.fields[fState].fault(fmt.Errorf("%q is no state: use sent, delivered, read or failed", short(word)))
			}
		}
		if st.ExternalID == "" && st.DeliveryID == "" {
			b.need(fRef, "a status")
		}
		e.Type, e.Status, e.Key = channel.StatusEvent, st, "status:"+st.ExternalID+st.DeliveryID+":"+string(st.State)
	case "choice":
		e.Type, e.Ref, e.Choice = channel.ChoiceEvent, id(b.get(fRef)), &channel.Choice{Data: b.need(fChoiceData, "a choice"), Label: b.get(fChoiceLabel)}
		e.Key = key("choice")
	case "reaction":
		e.Type, e.Ref, e.Reaction = channel.ReactionEvent, id(b.need(fRef, "a reaction")), b.get(fEmoji)
		e.Key = key("reaction")
	case "delete":
		e.Type, e.Ref = channel.DeleteEvent, id(b.get(fRef))
		if e.Ref == "" {
			e.Ref = id(b.need(fID, "a deletion"))
		}
		e.Key = "delete:" + e.Ref
	case "read":
		e.Type, e.Ref = channel.ReadEvent, id(b.need(fRef, "a reading"))
		e.Key = "read:" + e.Ref
	case "typing":
		e.Type, e.Key = channel.TypingEvent, key("typing")
	case "start":
		e.Type, e.Token, e.Key = channel.StartEvent, b.get(fToken), key("start")
	case "opt_out":
		e.Type, e.Key = channel.OptOutEvent, key("opt_out")
	default:
		if b.err == nil {
			b.err = b.c.fields[fType].fault(fmt.Errorf("%q is no type: use message, status, choice, reaction, edit, delete, read, typing, start, opt_out or ignore", short(kind)))
		}
	}
	if b.err != nil {
		return b.unparsed(b.err), true
	}
	return e, true
}

// states are the providers' words for the fate of a message.
var states = map[string]channel.State{
	"sent": channel.Sent, "accepted": channel.Sent, "queued": channel.Sent, "submitted": channel.Sent, "enroute": channel.Sent, "accepted_by_carrier": channel.Sent,
	"delivered": channel.Delivered, "delivrd": channel.Delivered, "delivery": channel.Delivered,
	"read": channel.Read, "seen": channel.Read, "displayed": channel.Read,
	"failed": channel.Failed, "undelivered": channel.Failed, "undeliv": channel.Failed, "rejected": channel.Failed, "rejectd": channel.Failed,
	"expired": channel.Failed, "deleted": channel.Failed, "error": channel.Failed, "bounced": channel.Failed,
}

// raw is the item as JSON, nil if it is none.
func (b *builder) raw() json.RawMessage {
	v := b.s.item
	if x, ok := v.(ref.Val); ok {
		var err error
		if v, err = native(x); err != nil {
			return nil
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return out
}

// hashed is a key for what has no id. Where there is no time either, two equal messages are told apart by when they came:
// better twice than lost.
func (b *builder) hashed(prefix string) string {
	parts := []string{string(b.raw()), b.s.r.Path, b.s.r.Query.Encode()}
	if b.c.fields[fAt] == nil {
		parts = append(parts, b.s.r.At.UTC().String(), strconv.Itoa(b.i))
	}
	return channel.HashKey(prefix, parts...)
}

func (b *builder) unparsed(err error) channel.Event {
	raw := b.raw()
	return channel.Event{Key: channel.HashKey("event", string(raw), strconv.Itoa(b.i), err.Error(), b.s.r.Query.Encode()), Type: channel.UnparsedEvent, Error: clean(err.Error()), Raw: raw}
}

func (b *builder) attachments() []channel.Attachment {
	e := b.c.fields[fAttachments]
	if e == nil || b.err != nil {
		return nil
	}
	v, err := e.eval(b.s)
	b.t.value(b.i, e, v, err)
	if errors.Is(err, errMissing) || err == nil && v == types.NullValue {
		return nil
	}
	var x any
	if err == nil {
		x, err = native(v)
	}
	list, ok := x.([]any)
	if err == nil && !ok {
		err = fmt.Errorf("it is a %s and not a list of {name, media_type, url, size}", typeName(v))
	}
	var out []channel.Attachment
	for i, one := range list {
		m, _ := one.(map[string]any)
		str := func(k string) string {
			s, _ := m[k].(string)
			return clean(s)
		}
		a := channel.Attachment{Name: channel.CleanName(str("name")), MediaType: channel.MediaType(str("media_type")), Remote: str("url")}
		switch n := m["size"].(type) {
		case int64:
			a.Size = max(n, 0)
		case string:
			a.Size, _ = strconv.ParseInt(n, 10, 64)
			a.Size = max(a.Size, 0)
		}
		u, perr := url.Parse(a.Remote)
		if perr != nil || a.Remote == "" || u.Scheme != "https" && u.Scheme != "http" && !strings.HasPrefix(a.Remote, "/") || u.User != nil || len(a.Remote) > 4096 {
			err = fmt.Errorf("item %d has no url that begins with https:// or /", i)
			break
		}
		if a.Name == "" {
			a.Name = channel.CleanName(u.Path[strings.LastIndexByte(u.Path, '/')+1:])
		}
		if a.Name == "" {
			a.Name = "file"
		}
		out = append(out, a)
	}
	if err != nil {
		b.err = e.fault(err)
		return nil
	}
	return out
}

var languageForm = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)

// language is a BCP 47 tag, "" if the text is none.
func language(s string) string {
	if s = strings.ReplaceAll(s, "_", "-"); languageForm.MatchString(s) {
		return s
	}
	return ""
}

// moment reads a time: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
// its size.
func moment(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, nil
	}
	var at time.Time
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n < 0:
		case n < 1e11:
			at = time.Unix(n, 0)
		case n < 1e14:
			at = time.UnixMilli(n)
		case n < 1e17:
			at = time.UnixMicro(n)
		default:
			at = time.Unix(0, n)
		}
	} else if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < 1e11 {
		at = time.UnixMilli(int64(f * 1000))
	} else {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z0700"} {
			if at, err = time.Parse(layout, s); err == nil {
				break
			}
		}
	}
	if at = at.UTC(); at.Year() < 1990 || at.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%q is no time: seconds, milliseconds or RFC 3339", short(s))
	}
	return at, nil
}

// mediaMax is the largest file that is fetched unless receive.media.max says otherwise.
const mediaMax = 50 << 20

// FetchMedia implements channel.Fetcher. Our credential goes to the hosts of receive.media.hosts and to that of api_url only.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	c, err := receiverOf(a.Settings)
	if err != nil {
		return nil, &channel.SendError{Class: channel.Misconfig, Err: err, Reason: channel.Text{DE: "receive ist nicht brauchbar.", EN: "receive is not usable."}}
	}
	base := strings.TrimRight(a.Settings["api_url"], "/")
	if strings.HasPrefix(remote, "/") {
		remote = base + remote
	}
	u, err := url.Parse(remote)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("no address of a file"), Reason: channel.Text{
			DE: "Der Anbieter nannte keine brauchbare Adresse der Datei.", EN: "The provider named no usable address of the file."}}
	}
	call := channel.Call{URL: remote}
	own, _ := url.Parse(base)
	trusted := slices.Contains(c.media.hosts, u.Host) && u.Scheme == "https" || own != nil && base != "" && u.Host == own.Host && u.Scheme == own.Scheme
	if k := c.media.auth; k != nil && trusted {
		if k.query != "" {
			q := u.Query()
			q.Set(k.query, k.value)
			u.RawQuery = q.Encode()
			call.URL = u.String()
		} else if k.header != "" {
			call = call.With(k.header, k.value, k.hide...)
		}
	}
	limit := c.media.max
	if limit <= 0 {
		limit = mediaMax
	}
	return call.Media(ctx, env.HTTP, limit)
}
