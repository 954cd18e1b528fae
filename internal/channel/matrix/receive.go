package matrix

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Verify implements channel.Webhook: the homeserver shows hs_token (AS API, "Authorization"). The token in the query,
// as before v1.4, is not taken: it would stand in the logs of proxies.
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	got := channel.OneHeader(r.Header, "Authorization")
	if !channel.Authentic(got, channel.Rotation(a.Settings["hs_token"]), func(secret string) string { return "Bearer " + secret }) {
		return channel.ErrUnauthentic
	}
	return nil
}

// Parse implements channel.Webhook (AS API). A transaction that comes again has the same event ids, and so the same keys.
func (Driver) Parse(a channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	path := strings.TrimPrefix(r.Path, "/_matrix/app/v1")
	done := channel.Reply{Status: http.StatusOK, Type: "application/json", Body: []byte("{}")}
	missing := func(code string) channel.Reply {
		return channel.Reply{Status: http.StatusNotFound, Type: "application/json", Body: fmt.Appendf(nil, `{"errcode":%q,"error":"there is no such thing here"}`, code)}
	}
	switch {
	case r.Method == http.MethodPut && strings.HasPrefix(path, "/transactions/"):
		events, err := parse(a, r.Body)
		if err != nil {
			return nil, channel.Reply{}, err
		}
		return events, done, nil
	case r.Method == http.MethodPost && path == "/ping":
		return nil, done, nil
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/users/"):
		if id, err := url.PathUnescape(strings.TrimPrefix(path, "/users/")); err == nil && id == a.Settings["user_id"] {
			return nil, done, nil
		}
		return nil, missing("M_NOT_FOUND"), nil
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/rooms/"):
		return nil, missing("M_NOT_FOUND"), nil
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/thirdparty/protocol/"):
		return nil, missing("M_NOT_FOUND"), nil
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/thirdparty/"):
		return nil, channel.Reply{Status: http.StatusOK, Type: "application/json", Body: []byte("[]")}, nil
	}
	return nil, missing("M_UNRECOGNIZED"), nil
}

// Reparse implements channel.Reparser: what Listen hands over has the form of a transaction.
func (Driver) Reparse(a channel.Account, raw []byte) ([]channel.Event, error) { return parse(a, raw) }

// transaction is what a homeserver pushes, and the form into which Listen brings an answer of /sync.
type transaction struct {
	Events    []json.RawMessage `json:"events"`
	Ephemeral []json.RawMessage `json:"ephemeral,omitempty"`
	Unstable  []json.RawMessage `json:"de.sorunome.msc2409.ephemeral,omitempty"` // before AS API v1.13
	Members   []json.RawMessage `json:"members,omitempty"`                       // ours: who the senders are, from /sync
	Batch     string            `json:"batch,omitempty"`                         // ours: the token of /sync
}

type event struct {
	Type     string          `json:"type"`
	ID       string          `json:"event_id"`
	Room     string          `json:"room_id"`
	Sender   string          `json:"sender"`
	Time     json.Number     `json:"origin_server_ts"`
	StateKey *string         `json:"state_key"`
	Redacts  string          `json:"redacts"`
	Content  json.RawMessage `json:"content"`
	Unsigned struct {
		Redacted json.RawMessage `json:"redacted_because"`
	} `json:"unsigned"`
}

type content struct {
	MsgType   string          `json:"msgtype"`
	Body      string          `json:"body"`
	Format    string          `json:"format"`
	Formatted string          `json:"formatted_body"`
	URL       string          `json:"url"`
	FileName  string          `json:"filename"`
	Geo       string          `json:"geo_uri"`
	File      json.RawMessage `json:"file"`
	Info      struct {
		Type string      `json:"mimetype"`
		Size json.Number `json:"size"`
	} `json:"info"`
	New     *content `json:"m.new_content"`
	Redacts string   `json:"redacts"` // room version 11
	Relates struct {
		Type        string `json:"rel_type"`
		ID          string `json:"event_id"`
		Key         string `json:"key"`
		FallingBack bool   `json:"is_falling_back"`
		InReplyTo   struct {
			ID string `json:"event_id"`
		} `json:"m.in_reply_to"`
	} `json:"m.relates_to"`
}

func parse(a channel.Account, raw []byte) ([]channel.Event, error) {
	var tx transaction
	if err := json.Unmarshal(raw, &tx); err != nil {
		return nil, fmt.Errorf("the transaction cannot be read: %w", err)
	}
	if tx.Events == nil && tx.Ephemeral == nil && tx.Unstable == nil {
		return nil, errors.New("the transaction has no events")
	}
	p := parser{self: a.Settings["user_id"], names: map[string]string{}, seen: map[string]bool{}}
	for _, m := range tx.Members {
		p.member(m)
	}
	for _, one := range tx.Events {
		e, err := p.event(one)
		switch {
		case err != nil:
			p.add(unparsed(one, err))
		case e != nil:
			p.add(*e)
		}
	}
	for i, one := range slices.Concat(tx.Ephemeral, tx.Unstable) {
		// EDUs have no id; where there is no batch either, the whole transaction tells them apart.
		batch := tx.Batch
		if batch == "" {
			batch = channel.HashKey("tx", string(raw))
		}
		p.ephemeral(one, fmt.Sprintf("%s %d", batch, i))
	}
	for i := range p.out { // names may come after the message
		if s := &p.out[i].Sender; s.Value != "" && s.Name == "" {
			s.Name = p.names[s.Value]
		}
	}
	return p.out, nil
}

type parser struct {
	self  string
	names map[string]string
	seen  map[string]bool
	out   []channel.Event
}

// add keeps an event once: a gap that is filled may overlap.
func (p *parser) add(e channel.Event) {
	if !p.seen[e.Key] {
		p.seen[e.Key] = true
		p.out = append(p.out, e)
	}
}

func unparsed(raw json.RawMessage, why error) channel.Event {
	kept, err := json.Marshal(raw) // in the form in which it is stored
	if err != nil {
		kept = nil
	}
	return channel.Event{Key: channel.HashKey("bad", string(raw)), Type: channel.UnparsedEvent, Error: strings.ToValidUTF8(why.Error(), "?"), Raw: kept}
}

func (p *parser) member(raw json.RawMessage) {
	var e event
	if json.Unmarshal(raw, &e) == nil && e.Type == "m.room.member" && e.StateKey != nil {
		var c struct {
			Name string `json:"displayname"`
		}
		if json.Unmarshal(e.Content, &c) == nil && c.Name != "" {
			p.names[*e.StateKey] = channel.CleanName(c.Name)
		}
	}
}

// event turns a room event into ours; nil, nil is something that is no news (our own words, a state of the room).
func (p *parser) event(raw json.RawMessage) (*channel.Event, error) {
	var in event
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("the event cannot be read: %w", err)
	}
	if in.StateKey != nil {
		p.member(raw)
		return nil, nil
	}
	switch {
	case in.ID == "" || in.Sender == "" || in.Type == "":
		return nil, errors.New("the event lacks event_id, sender or type")
	case len(in.ID) > 255 || len(in.Sender) > 255:
		return nil, errors.New("event_id or sender is longer than 255 bytes")
	case in.Sender == p.self:
		return nil, nil
	case in.Unsigned.Redacted != nil: // its redaction is an event of its own
		return nil, nil
	}
	var c content
	if len(in.Content) > 0 {
		if err := json.Unmarshal(in.Content, &c); err != nil {
			return nil, fmt.Errorf("the content of %s cannot be read: %w", in.Type, err)
		}
	}
	out := &channel.Event{Key: "msg:" + in.ID, Type: channel.MessageEvent, At: at(in.Time),
		Sender: channel.Address{Value: in.Sender, Assurance: channel.Observed}}
	switch in.Type {
	case "m.room.message", "m.sticker":
		if c.Relates.Type == "m.replace" && c.Relates.ID != "" { // Client API, "Event replacements"
			if c.New == nil {
				return nil, errors.New("the replacement has no m.new_content")
			}
			out.Key, out.Type, out.Ref = "edit:"+c.Relates.ID+":"+in.ID, channel.EditEvent, c.Relates.ID
			out.Message = message(c.Relates.ID, in.Type, *c.New)
			return out, nil
		}
		if c.MsgType == "" && in.Type == "m.room.message" {
			return nil, errors.New("the message has no msgtype")
		}
		out.Message = message(in.ID, in.Type, c)
	case "m.room.encrypted":
		out.Message = &channel.Message{ExternalID: in.ID, Unsupported: "encrypted message"}
	case "m.reaction":
		if c.Relates.ID == "" || c.Relates.Key == "" {
			return nil, errors.New("the reaction names no event or no key")
		}
		out.Key, out.Type, out.Ref, out.Reaction = "reaction:"+in.ID, channel.ReactionEvent, c.Relates.ID, short(c.Relates.Key, 64)
	case "m.room.redaction":
		ref := in.Redacts
		if ref == "" {
			ref = c.Redacts
		}
		if ref == "" {
			return nil, errors.New("the redaction names no event")
		}
		out.Key, out.Type, out.Ref = "delete:"+in.ID, channel.DeleteEvent, ref
	default:
		if noise(in.Type) {
			return nil, nil
		}
		out.Message = &channel.Message{ExternalID: in.ID, Unsupported: short(in.Type, 100), Text: c.Body}
		if strings.HasSuffix(in.Type, "poll.start") {
			out.Message.Text = question(in.Content)
		}
	}
	return out, nil
}

// noise are events between programs: the rest of a call, proofs of keys, votes in a poll.
func noise(kind string) bool {
	return strings.HasPrefix(kind, "m.call.") && kind != "m.call.invite" || strings.HasPrefix(kind, "m.key.") ||
		strings.HasSuffix(kind, "poll.response") || strings.HasSuffix(kind, "poll.end")
}

// message is what somebody said (Client API, "Instant Messaging").
func message(id, kind string, c content) *channel.Message {
	m := &channel.Message{ExternalID: id, Text: c.Body}
	if c.Format == "org.matrix.custom.html" {
		m.HTML = c.Formatted
	}
	if m.ReplyTo = c.Relates.InReplyTo.ID; m.ReplyTo != "" {
		m.Text, m.HTML = withoutFallback(m.Text), withoutReply(m.HTML)
	}
	if c.Relates.Type == "m.thread" && (c.Relates.FallingBack || m.ReplyTo == "") {
		m.ReplyTo = c.Relates.ID // m.in_reply_to is then only for clients that know no threads
	}
	kindOf := c.MsgType
	if kind == "m.sticker" {
		kindOf = "m.image"
	}
	switch kindOf {
	case "m.text":
	case "m.notice": // machines write it, and must not answer it
		m.Automatic = true
	case "m.emote":
		m.Text, m.HTML = "* "+m.Text, ""
	case "m.location":
		if c.Geo != "" && !strings.Contains(m.Text, c.Geo) {
			m.Text = strings.TrimSpace(m.Text + "\n" + c.Geo)
		}
	case "m.image", "m.file", "m.audio", "m.video":
		name := c.FileName
		if name == "" || name == c.Body || kind == "m.sticker" { // then body is the name and no caption
			name, m.Text, m.HTML = c.Body, "", ""
		}
		switch {
		case len(c.File) > 0 && string(c.File) != "null":
			m.Unsupported = "encrypted file"
		case !mediaForm.MatchString(c.URL):
			m.Unsupported = kindOf + " without a file"
		default:
			m.Attachments = []channel.Attachment{attachment(name, kindOf, c)}
		}
	default:
		m.Unsupported = short(c.MsgType, 100)
		if m.Unsupported == "" {
			m.Unsupported = "message without a type"
		}
	}
	if strings.TrimSpace(m.Text) == "" && m.HTML == "" && len(m.Attachments) == 0 && m.Unsupported == "" {
		m.Text, m.Unsupported = "", "empty message"
	}
	return m
}

func attachment(name, kind string, c content) channel.Attachment {
	at := channel.Attachment{Name: short(strings.TrimSpace(name), 255), MediaType: c.Info.Type, Remote: c.URL}
	if n, err := c.Info.Size.Int64(); err == nil && n > 0 {
		at.Size = n
	}
	if at.Name == "" {
		at.Name = "file"
	}
	if at.MediaType == "" {
		at.MediaType = map[string]string{"m.image": "image/*", "m.audio": "audio/*", "m.video": "video/*"}[kind]
	}
	if at.MediaType == "" {
		at.MediaType = "application/octet-stream"
	}
	return at
}

// mediaForm is a content URI (Client API, "Matrix Content (mxc://) URIs"). Nothing else ever gets into our URLs.
var mediaForm = regexp.MustCompile(`^mxc://([0-9A-Za-z.-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?)/([0-9A-Za-z_-]{1,255})$`)

// withoutFallback takes the quoted lines off a reply, as clients put them before v1.13 ("Rich replies", fallbacks).
func withoutFallback(body string) string {
	rest := body
	for strings.HasPrefix(rest, "> ") || strings.HasPrefix(rest, ">\n") {
		_, after, more := strings.Cut(rest, "\n")
		if !more {
			return body // nothing but a quote: then it is what the customer wrote
		}
		rest = after
	}
	if rest = strings.TrimPrefix(rest, "\n"); strings.TrimSpace(rest) == "" {
		return body
	}
	return rest
}

func withoutReply(html string) string {
	if strings.HasPrefix(html, "<mx-reply>") {
		if _, after, ok := strings.Cut(html, "</mx-reply>"); ok && after != "" {
			return after
		}
	}
	return html
}

// question is what a poll asks (Client API, "Polls", and its unstable form).
func question(raw json.RawMessage) string {
	type ask struct {
		Question struct {
			Text json.RawMessage `json:"m.text"`
			Body string          `json:"body"`
			Old  string          `json:"org.matrix.msc1767.text"`
		} `json:"question"`
	}
	var c struct {
		Stable ask `json:"m.poll"`
		Old    ask `json:"org.matrix.msc3381.poll.start"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return ""
	}
	var texts []struct {
		Body string `json:"body"`
	}
	if json.Unmarshal(c.Stable.Question.Text, &texts) == nil && len(texts) > 0 {
		return texts[0].Body
	}
	if c.Old.Question.Old != "" {
		return c.Old.Question.Old
	}
	return c.Old.Question.Body
}

// ephemeral reads EDUs: who types, who has read how far.
func (p *parser) ephemeral(raw json.RawMessage, unique string) {
	var e struct {
		Type    string          `json:"type"`
		Room    string          `json:"room_id"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(raw, &e) != nil {
		return // gone a moment later in any case
	}
	switch e.Type {
	case "m.typing":
		var c struct {
			Users []string `json:"user_ids"`
		}
		if json.Unmarshal(e.Content, &c) != nil {
			return
		}
		for _, u := range c.Users {
			if u != p.self && u != "" {
				p.add(channel.Event{Key: channel.HashKey("typing", e.Room, u, unique), Type: channel.TypingEvent, Sender: channel.Address{Value: u, Assurance: channel.Observed}})
			}
		}
	case "m.receipt":
		var c map[string]map[string]json.RawMessage
		if json.Unmarshal(e.Content, &c) != nil {
			return
		}
		var found []channel.Event
		for id, kinds := range c {
			var users map[string]struct {
				At json.Number `json:"ts"`
			}
			if json.Unmarshal(kinds["m.read"], &users) != nil || id == "" {
				continue
			}
			for u, read := range users {
				if u != p.self && u != "" {
					found = append(found, channel.Event{Key: "read:" + id + ":" + u, Type: channel.ReadEvent, Ref: id, At: at(read.At),
						Sender: channel.Address{Value: u, Assurance: channel.Observed}})
				}
			}
		}
		slices.SortFunc(found, func(a, b channel.Event) int { return strings.Compare(a.Key, b.Key) })
		for _, f := range found {
			p.add(f)
		}
	}
}

// at is the time of origin_server_ts, in milliseconds; zero where it cannot be true.
func at(n json.Number) time.Time {
	ms, err := n.Int64()
	if err != nil || ms < 631152000000 || ms > 253402300799000 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// short cuts what a stranger chose, between characters.
func short(s string, max int) string {
	if parts := channel.Split(s, max, channel.Bytes); len(parts) > 0 {
		return parts[0]
	}
	return ""
}
