package messenger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
)

const signatureHeader = "X-Hub-Signature-256"

// challengeForm is what we give back of a challenge: the platform sends numbers.
var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)

// Verify implements channel.Webhook ("Webhooks": validate payloads, verification requests).
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	if r.Method == http.MethodGet {
		q := r.Query
		if len(q["hub.verify_token"]) != 1 || q.Get("hub.mode") != "subscribe" || !challengeForm.MatchString(q.Get("hub.challenge")) ||
			!channel.Authentic(q.Get("hub.verify_token"), channel.Rotation(a.Settings["verify_token"]), func(s string) string { return s }) {
			return channel.ErrUnauthentic
		}
		return nil
	}
	if !channel.Authentic(channel.OneHeader(r.Header, signatureHeader), channel.Rotation(a.Settings["app_secret"]), func(secret string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(r.Body)
		return "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}) {
		return channel.ErrUnauthentic
	}
	return nil
}

// text is an id or a number that the platform writes as a string or as a number.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	switch {
	case len(raw) > 1 && raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*t = text(s)
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		*t = text(raw)
	case string(raw) == "null":
	default:
		return fmt.Errorf("%.40s is neither text nor a number", raw)
	}
	return nil
}

type notification struct {
	Object string `json:"object"`
	Entry  []struct {
		ID        text              `json:"id"`
		Messaging []json.RawMessage `json:"messaging"`
		Standby   []json.RawMessage `json:"standby"`
		Changes   []struct {
			Field string          `json:"field"`
			Value json.RawMessage `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

type party struct {
	ID text `json:"id"`
}

type referral struct {
	Ref text `json:"ref"`
}

type event struct {
	Sender    party  `json:"sender"`
	Recipient party  `json:"recipient"`
	Timestamp text   `json:"timestamp"`
	Message   *said  `json:"message"`
	Edit      *edit  `json:"message_edit"`
	Reaction  *react `json:"reaction"`
	Read      *struct {
		MID       text `json:"mid"`       // Instagram
		Watermark text `json:"watermark"` // Messenger: milliseconds; all that was sent until then has been read
	} `json:"read"`
	Delivery *struct {
		MIDs []text `json:"mids"`
	} `json:"delivery"`
	Postback *struct {
		MID      text      `json:"mid"`
		Title    string    `json:"title"`
		Payload  string    `json:"payload"`
		Referral *referral `json:"referral"`
	} `json:"postback"`
	Referral *referral `json:"referral"`
	Policy   *struct {
		Action string `json:"action"`
		Reason string `json:"reason"`
	} `json:"policy_enforcement"`
	// Handover Protocol: which app holds a conversation.
	Pass    json.RawMessage `json:"pass_thread_control"`
	Take    json.RawMessage `json:"take_thread_control"`
	Request json.RawMessage `json:"request_thread_control"`
	Roles   json.RawMessage `json:"app_roles"`
}

type said struct {
	MID         text         `json:"mid"`
	Text        string       `json:"text"`
	IsEcho      bool         `json:"is_echo"`
	IsDeleted   bool         `json:"is_deleted"`
	Unsupported bool         `json:"is_unsupported"`
	Metadata    string       `json:"metadata"`
	Attachments []attachment `json:"attachments"`
	Referral    *referral    `json:"referral"`
	QuickReply  *struct {
		Payload string `json:"payload"`
	} `json:"quick_reply"`
	ReplyTo *struct {
		MID   text `json:"mid"`
		Story *struct {
			ID  text   `json:"id"`
			URL string `json:"url"`
		} `json:"story"`
	} `json:"reply_to"`
}

type attachment struct {
	Type    string `json:"type"`
	Title   string `json:"title"` // of a fallback, beside payload in older versions
	URL     string `json:"url"`
	Payload *struct {
		URL         string `json:"url"`
		Title       string `json:"title"`
		Coordinates *struct {
			Lat  json.Number `json:"lat"`
			Long json.Number `json:"long"`
		} `json:"coordinates"`
	} `json:"payload"`
}

type edit struct {
	MID    text   `json:"mid"`
	Text   string `json:"text"`
	Number text   `json:"num_edit"`
}

type react struct {
	MID      text   `json:"mid"`
	Action   string `json:"action"`
	Reaction string `json:"reaction"`
	Emoji    string `json:"emoji"`
}

// received is the answer of the platform's own samples; it stands also where nothing is to be told.
var received = channel.Reply{Status: http.StatusOK, Type: "text/plain; charset=utf-8", Body: []byte("EVENT_RECEIVED")}

// Parse implements channel.Webhook.
func (d Driver) Parse(a channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	if r.Method == http.MethodGet {
		return nil, channel.Reply{Status: http.StatusOK, Type: "text/plain; charset=utf-8", Body: []byte(r.Query.Get("hub.challenge"))}, nil
	}
	var n notification
	if err := json.Unmarshal(r.Body, &n); err != nil {
		return nil, channel.Reply{}, fmt.Errorf("read the notification: %w", err)
	}
	want := "page"
	if d.instagram {
		want = "instagram"
	}
	if n.Object != want {
		return nil, channel.Reply{}, fmt.Errorf("a notification about %.40q, not %q: choose the right product at the webhook in the App Dashboard", n.Object, want)
	}
	if len(n.Entry) == 0 {
		return nil, channel.Reply{}, errors.New("a notification without entries")
	}
	p := parser{instagram: d.instagram}
	for _, e := range n.Entry {
		p.account = string(e.ID)
		for _, raw := range e.Messaging {
			p.event(raw)
		}
		if len(e.Standby) > 0 {
			p.note("standby", "another app holds this conversation (Handover Protocol), so what customers write there is not taken: "+
				"make this app the first one under Page settings → Advanced messaging. This is noted once", e.Standby[0])
		}
		for _, c := range e.Changes {
			p.note("field:"+c.Field, fmt.Sprintf("the webhook is subscribed to %.40q, which is no message: take that field out in the App Dashboard. This is noted once", c.Field), c.Value)
		}
	}
	return p.out, received, nil
}

type parser struct {
	instagram bool
	account   string
	out       []channel.Event
	keys      map[string]bool
}

// add keeps an event, unless the batch says the same twice.
func (p *parser) add(e channel.Event) {
	if len(p.out) > 0 {
		if p.keys == nil {
			p.keys = map[string]bool{p.out[0].Key: true}
		}
		if p.keys[e.Key] {
			return
		}
		p.keys[e.Key] = true
	}
	e.Account = p.account
	p.out = append(p.out, e)
}

// note makes a work item of which there is only one, however often it comes.
func (p *parser) note(key, why string, raw json.RawMessage) {
	p.add(channel.Event{Key: "note:" + p.account + ":" + key, Type: channel.UnparsedEvent, Error: strings.ToValidUTF8(why, "\uFFFD"), Raw: clone(raw)})
}

func (p *parser) unparsed(why string, raw json.RawMessage) {
	p.add(channel.Event{Key: channel.HashKey("unparsed", p.account, string(raw)), Type: channel.UnparsedEvent, Error: strings.ToValidUTF8(why, "\uFFFD"), Raw: clone(raw)})
}

// clone compacts and mends broken UTF-8, since events are stored as JSON.
func clone(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	out, err := json.Marshal(json.RawMessage(strings.ToValidUTF8(string(raw), "\uFFFD")))
	if err != nil {
		return nil
	}
	return out
}

func moment(ms text) time.Time {
	n, err := strconv.ParseInt(string(ms), 10, 64)
	if err != nil {
		return time.Time{}
	}
	if n < 1e11 { // some events have seconds ("messaging_postbacks")
		n *= 1000
	}
	at := time.UnixMilli(n).UTC()
	if at.Year() < 2000 || at.Year() > 9999 {
		return time.Time{}
	}
	return at
}

func (p *parser) event(raw json.RawMessage) {
	var in event
	if err := json.Unmarshal(raw, &in); err != nil {
		p.unparsed("read an event: "+err.Error(), raw)
		return
	}
	if in.Policy != nil {
		p.unparsed(fmt.Sprintf("Meta says about your Page: %s (%s)", in.Policy.Action, in.Policy.Reason), raw)
		return
	}
	if in.Pass != nil || in.Take != nil || in.Request != nil || in.Roles != nil {
		return // which app holds the conversation is told by what comes as standby
	}
	if in.Message != nil && in.Message.IsEcho {
		p.echo(in)
		return
	}
	who := in.Sender.ID
	if who == "" {
		p.unparsed("an event without a sender: the customer has not written yet, so there is nobody to answer", raw)
		return
	}
	if p.account != "" && string(who) == p.account {
		return // something that the Page itself did, in its own inbox
	}
	base := channel.Event{Sender: channel.Address{Value: string(who), Assurance: channel.Observed}, At: moment(in.Timestamp)}
	known := false
	start := func(ref text) {
		known = true
		e := base
		e.Type, e.Token = channel.StartEvent, string(ref)
		e.Key = channel.HashKey("start", string(who), string(in.Timestamp), e.Token)
		p.add(e)
	}
	if in.Referral != nil { // comes first: what is said then belongs to what the link began
		start(in.Referral.Ref)
	}
	switch {
	case in.Message != nil:
		known = true
		if r := in.Message.Referral; r != nil && r.Ref != "" {
			start(r.Ref)
		}
		p.message(base, in.Message, raw)
	case in.Postback != nil:
		known = true
		b := in.Postback
		if b.Referral != nil && b.Referral.Ref != "" {
			start(b.Referral.Ref)
		}
		e := base
		e.Type, e.Choice = channel.ChoiceEvent, &channel.Choice{Data: b.Payload, Label: b.Title}
		if b.MID != "" {
			e.Key = "choice:" + string(b.MID)
		} else { // before v11.0
			e.Key = channel.HashKey("choice", string(who), string(in.Timestamp), b.Payload, b.Title)
		}
		p.add(e)
	case in.Edit != nil:
		known = true
		switch {
		case in.Edit.MID == "":
			p.unparsed("an edit of no message", raw)
		case in.Edit.Text == "" && (in.Edit.Number == "" || in.Edit.Number == "0"):
			// Instagram is known to announce every message so, too; there is nothing in it.
		default:
			e := base
			e.Type, e.Ref = channel.EditEvent, string(in.Edit.MID)
			e.Key = "edit:" + e.Ref + ":" + string(in.Edit.Number)
			if in.Edit.Number == "" {
				e.Key += string(in.Timestamp)
			}
			e.Message = &channel.Message{ExternalID: e.Ref, Text: in.Edit.Text}
			if in.Edit.Text == "" {
				e.Message.Unsupported = "message_edit"
			}
			p.add(e)
		}
	case in.Reaction != nil:
		known = true
		if in.Reaction.MID == "" {
			p.unparsed("a reaction to no message", raw)
			break
		}
		e := base
		e.Type, e.Ref, e.Reaction = channel.ReactionEvent, string(in.Reaction.MID), emoji(*in.Reaction)
		e.Key = "react:" + e.Ref + ":" + string(who) + ":" + string(in.Timestamp)
		p.add(e)
	case in.Read != nil:
		known = true
		e := base
		e.Type, e.Ref, e.Key = channel.ReadEvent, string(in.Read.MID), "read:"+string(in.Read.MID)
		if in.Read.MID == "" {
			ms, err := strconv.ParseInt(string(in.Read.Watermark), 10, 64)
			if e.Upto = time.UnixMilli(ms).UTC(); err != nil || e.Upto.Year() < 2004 || e.Upto.Year() > 9999 {
				p.unparsed("a read report that names neither a message nor a time", raw)
				break
			}
			e.Key = "read:" + string(who) + ":" + string(in.Read.Watermark)
		}
		p.add(e)
	case in.Delivery != nil:
		known = true
		for _, mid := range in.Delivery.MIDs {
			if mid == "" {
				continue
			}
			e := base
			e.Type, e.Key = channel.StatusEvent, "status:"+string(mid)+":delivered"
			e.Status = &channel.Status{ExternalID: string(mid), State: channel.Delivered}
			p.add(e)
		}
	}
	if !known {
		e := base
		e.Type, e.Key = channel.MessageEvent, channel.HashKey("msg", p.account, string(raw))
		e.Message = &channel.Message{ExternalID: e.Key[len("msg:"):], Unsupported: what(raw)}
		p.add(e)
	}
}

// what names an event that we do not know by the key that makes it one: "optin", "account_linking" …
func what(raw json.RawMessage) string {
	var keys map[string]json.RawMessage
	_ = json.Unmarshal(raw, &keys)
	name := ""
	for k := range keys {
		switch k {
		case "sender", "recipient", "timestamp":
			continue
		}
		if k != "" && (name == "" || k < name) {
			name = k
		}
	}
	if name == "" {
		return "event"
	}
	return strings.ToValidUTF8(name[:min(len(name), 60)], "")
}

// echoed marks our own messages, in the metadata that only Messenger gives back ("Send API": message.metadata).
const echoed = "rufweite:"

// echo is told of everything that the Page says, in its own inbox or through us. Of ours it resolves what is uncertain;
// what somebody wrote elsewhere is no customer's message, and the contract has no word for it.
func (p *parser) echo(in event) {
	id, ours := strings.CutPrefix(in.Message.Metadata, echoed)
	if !ours || id == "" || in.Message.MID == "" {
		return
	}
	mid := string(in.Message.MID)
	p.add(channel.Event{Key: "status:" + mid + ":sent", Type: channel.StatusEvent, Sender: channel.Address{Value: string(in.Recipient.ID), Assurance: channel.Observed},
		At: moment(in.Timestamp), Status: &channel.Status{ExternalID: mid, DeliveryID: id, State: channel.Sent}})
}

func (p *parser) message(e channel.Event, m *said, raw json.RawMessage) {
	mid := string(m.MID)
	switch {
	case mid == "":
		p.unparsed("a message without an id", raw)
		return
	case m.IsDeleted:
		e.Type, e.Key, e.Ref = channel.DeleteEvent, "del:"+mid, mid
		p.add(e)
		return
	case m.QuickReply != nil && m.QuickReply.Payload != "":
		e.Type, e.Key, e.Choice = channel.ChoiceEvent, "choice:"+mid, &channel.Choice{Data: m.QuickReply.Payload, Label: m.Text}
		p.add(e)
		return
	}
	msg := &channel.Message{ExternalID: mid, Text: m.Text}
	e.Type, e.Key, e.Message = channel.MessageEvent, "msg:"+mid, msg
	var more []string
	for i, a := range m.Attachments {
		p.attach(msg, &more, a, mid, i)
	}
	if r := m.ReplyTo; r != nil {
		msg.ReplyTo = string(r.MID)
		if r.Story != nil && fetchable(r.Story.URL) { // which story of ours it answers
			msg.Attachments = append(msg.Attachments, channel.Attachment{Name: "story", MediaType: mediaType(r.Story.URL, "application/octet-stream"), Remote: r.Story.URL})
		}
	}
	if len(more) > 0 {
		msg.Text = strings.TrimSpace(strings.Join(append([]string{msg.Text}, more...), "\n"))
	}
	if m.Unsupported && msg.Unsupported == "" {
		msg.Unsupported = "unsupported"
	}
	if msg.Text == "" && len(msg.Attachments) == 0 && msg.Unsupported == "" {
		msg.Unsupported = "message"
	}
	p.add(e)
}

// attach adds an attachment to the message: files as files, places and links as text, the rest by the name of its type.
func (p *parser) attach(msg *channel.Message, more *[]string, a attachment, mid string, i int) {
	link, title := a.URL, a.Title
	if a.Payload != nil {
		if a.Payload.URL != "" {
			link = a.Payload.URL
		}
		if a.Payload.Title != "" {
			title = a.Payload.Title
		}
	}
	file := func(fallback string) bool {
		if !fetchable(link) {
			return false
		}
		msg.Attachments = append(msg.Attachments, channel.Attachment{Name: fileName(link, a.Type, i), MediaType: mediaType(link, fallback), Remote: link})
		return true
	}
	kept := false
	switch a.Type {
	case "image":
		kept = file("image/jpeg")
	case "video":
		kept = file("video/mp4")
	case "audio":
		kept = file("audio/mp4")
	case "file":
		kept = file("application/octet-stream")
	case "story_mention": // a story of the customer's that names us; the link ends with the story
		msg.Unsupported = a.Type
		kept = file("application/octet-stream")
	case "location":
		if a.Payload != nil && a.Payload.Coordinates != nil {
			if c := a.Payload.Coordinates; c.Lat != "" && c.Long != "" {
				*more = append(*more, c.Lat.String()+", "+c.Long.String())
				kept = true
			}
		}
	case "fallback": // a link; the text mostly has it already
		kept = true
		if title != "" && !strings.Contains(msg.Text, title) {
			*more = append(*more, title)
		}
		if link != "" && !strings.Contains(msg.Text, link) {
			*more = append(*more, link)
		}
		if msg.Text == "" && len(*more) == 0 {
			kept = false
		}
	default: // share, reel, ig_reel, ig_post, template and what is still to come
		for _, s := range []string{title, link} {
			if s != "" {
				*more = append(*more, s)
			}
		}
	}
	if !kept && msg.Unsupported == "" {
		msg.Unsupported = a.Type
		if msg.Unsupported == "" {
			msg.Unsupported = "attachment"
		}
	}
}

func fetchable(link string) bool {
	return strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://")
}

// fileName is the name in a media link's path, which the platform keeps as it was sent.
func fileName(link, kind string, i int) string {
	if u, err := url.Parse(link); err == nil {
		if name := channel.CleanName(path.Base(u.Path)); path.Ext(name) != "" && utf8.RuneCountInString(name) <= 120 {
			return name
		}
	}
	return kind + "-" + strconv.Itoa(i+1)
}

// types of files by their extension: those that the platform takes. The machine's own table would not be pure.
var types = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
	".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm", ".ogg": "video/ogg", ".avi": "video/x-msvideo",
	".aac": "audio/aac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".wav": "audio/wav",
	".pdf": "application/pdf", ".txt": "text/plain", ".csv": "text/csv", ".zip": "application/zip",
	".doc": "application/msword", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xls": "application/vnd.ms-excel", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

// mediaType tells the type of a file by its name; one that contradicts what the platform says is not believed.
func mediaType(link, fallback string) string {
	u, err := url.Parse(link)
	if err != nil {
		return fallback
	}
	t := types[strings.ToLower(path.Ext(u.Path))]
	if t == "" {
		return fallback
	}
	if want, _, _ := strings.Cut(fallback, "/"); want != "application" && !strings.HasPrefix(t, want+"/") {
		return fallback
	}
	return t
}

// names of reactions without an emoji ("message_reactions").
var names = map[string]string{"smile": "😆", "angry": "😠", "sad": "😢", "wow": "😮", "love": "❤️", "like": "👍", "dislike": "👎", "haha": "😆", "yay": "🎉"}

func emoji(r react) string {
	switch {
	case r.Action == "unreact":
		return ""
	case r.Emoji != "":
		return channel.CleanName(r.Emoji)
	case names[r.Reaction] != "":
		return names[r.Reaction]
	case r.Reaction != "":
		return channel.CleanName(r.Reaction)
	}
	return "?"
}

// FetchMedia implements channel.Fetcher. The link is signed by itself; our token is not sent to it.
func (Driver) FetchMedia(ctx context.Context, _ channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	if !fetchable(remote) {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("the file's address is none"), Reason: channel.Text{
			DE: "Die Datei hat keine brauchbare Adresse.", EN: "The file has no usable address."}}
	}
	f, err := channel.Call{URL: remote}.Media(ctx, env.HTTP, downloadMax)
	var refused *channel.SendError
	if errors.As(err, &refused) && (refused.Code == "401" || refused.Code == "403") { // no credentials of ours: the signature in it has run out
		refused.Class, refused.Reason = channel.Permanent, channel.Text{DE: "Der Link auf die Datei ist abgelaufen.", EN: "The link to the file has run out."}
	}
	return f, err
}
