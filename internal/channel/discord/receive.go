package discord

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Headers of the interactions endpoint ("Receiving and Responding", Security and Authorization).
const (
	signatureHeader = "X-Signature-Ed25519"
	timestampHeader = "X-Signature-Timestamp"
	maxAge          = 5 * time.Minute
)

// Interaction and callback types ("Receiving and Responding").
const (
	pingInteraction      = 1
	componentInteraction = 3

	pong           = 1
	deferredUpdate = 6 // the button was pressed; the message stays as it is
	channelMessage = 4
)

// Verify implements channel.Webhook: Ed25519 over the timestamp and the raw body. Verification works on public values, so
// that its time tells nothing.
func (Driver) Verify(a channel.Account, r *channel.Request, now time.Time) error {
	stamp := channel.OneHeader(r.Header, timestampHeader)
	written := channel.OneHeader(r.Header, signatureHeader)
	signature, err := hex.DecodeString(written)
	if err != nil || len(signature) != ed25519.SignatureSize || hex.EncodeToString(signature) != written {
		return channel.ErrUnauthentic // one signature has one spelling
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != stamp || !channel.Fresh(time.Unix(seconds, 0), now, maxAge) {
		return channel.ErrUnauthentic
	}
	signed := append([]byte(stamp), r.Body...)
	for _, k := range channel.Rotation(a.Settings["public_key"]) {
		if key := publicKey(k); key != nil && ed25519.Verify(key, signed, signature) {
			return nil
		}
	}
	return channel.ErrUnauthentic
}

// Parse implements channel.Webhook: the body is one interaction.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	var i interaction
	if err := json.Unmarshal(r.Body, &i); err != nil {
		return nil, channel.Reply{}, fmt.Errorf("read the interaction: %w", err)
	}
	if i.Type == pingInteraction {
		return nil, callback(map[string]any{"type": pong}), nil
	}
	e, err := i.event(r.Body)
	if err != nil {
		return nil, channel.Reply{}, err
	}
	return []channel.Event{e}, callback(i.answer()), nil
}

func callback(v any) channel.Reply {
	raw, _ := json.Marshal(v)
	return channel.Reply{Status: http.StatusOK, Type: "application/json", Body: raw}
}

// answer is how an interaction is answered within three seconds, so that the customer's app does not show it as failed.
func (i interaction) answer() map[string]any {
	if i.Type == componentInteraction {
		return map[string]any{"type": deferredUpdate}
	}
	return map[string]any{"type": channelMessage, "data": map[string]any{"flags": 1 << 6, // EPHEMERAL
		"content": "Bitte schreiben Sie uns hier einfach eine Nachricht. / Please just write us a message here."}}
}

// frame is a message of the Gateway ("Gateway Events", Payload Structure).
type frame struct {
	Op   int             `json:"op"`
	Data json.RawMessage `json:"d"`
	Seq  *int64          `json:"s"`
	Type string          `json:"t"`
}

type user struct {
	ID         string `json:"id"`
	Username   string `json:"username"`
	GlobalName string `json:"global_name"`
	Bot        bool   `json:"bot"`
	Locale     string `json:"locale"`
}

func (u user) address() channel.Address {
	name := channel.CleanName(u.GlobalName)
	if name == "" {
		name = channel.CleanName(u.Username)
	}
	return channel.Address{Value: u.ID, Name: name, Assurance: channel.Observed}
}

// message is a Message Object as far as we read it.
type message struct {
	ID        string       `json:"id"`
	ChannelID string       `json:"channel_id"`
	GuildID   string       `json:"guild_id"`
	WebhookID string       `json:"webhook_id"`
	Author    *user        `json:"author"`
	Content   string       `json:"content"`
	Timestamp string       `json:"timestamp"`
	Edited    string       `json:"edited_timestamp"`
	Type      int          `json:"type"`
	Nonce     any          `json:"nonce"` // text or number
	Mentions  []user       `json:"mentions"`
	Files     []attachment `json:"attachments"`
	Stickers  []struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		Format int    `json:"format_type"`
	} `json:"sticker_items"`
	Reference *struct {
		Type      int    `json:"type"`
		MessageID string `json:"message_id"`
	} `json:"message_reference"`
	Snapshots []struct {
		Message *message `json:"message"`
	} `json:"message_snapshots"`
	Poll *struct {
		Question struct {
			Text string `json:"text"`
		} `json:"question"`
	} `json:"poll"`
	Components []component `json:"components"`
}

type attachment struct {
	ID        string `json:"id"`
	Name      string `json:"filename"`
	MediaType string `json:"content_type"`
	Size      int64  `json:"size"`
	URL       string `json:"url"`
}

type component struct {
	CustomID   string      `json:"custom_id"`
	Label      string      `json:"label"`
	Components []component `json:"components"`
}

type interaction struct {
	ID      string   `json:"id"`
	Token   string   `json:"token"`
	App     string   `json:"application_id"`
	Type    int      `json:"type"`
	GuildID string   `json:"guild_id"`
	User    *user    `json:"user"`
	Locale  string   `json:"locale"`
	Message *message `json:"message"`
	Data    struct {
		CustomID string   `json:"custom_id"`
		Values   []string `json:"values"`
		Name     string   `json:"name"`
	} `json:"data"`
}

// event is what an interaction means.
func (i interaction) event(body []byte) (channel.Event, error) {
	if !snowflake(i.ID) {
		return channel.Event{}, errors.New("the interaction has no id")
	}
	if i.GuildID != "" {
		return guildNote(i.GuildID), nil
	}
	if i.User == nil || !snowflake(i.User.ID) {
		return channel.Event{}, errors.New("the interaction has no user")
	}
	e := channel.Event{Sender: i.User.address(), Account: i.App, At: born(i.ID)}
	if tag := i.Locale; languageForm.MatchString(tag) {
		e.Sender.Language = tag
	}
	if i.Type != componentInteraction || i.Data.CustomID == "" {
		e.Key, e.Type = "interaction:"+i.ID, channel.UnparsedEvent
		e.Error = "an interaction of type " + strconv.Itoa(i.Type)
		if name := channel.CleanName(i.Data.Name); name != "" {
			e.Error += " (" + name + ")"
		}
		e.Raw = compact(body)
		return e, nil
	}
	e.Key, e.Type = "choice:"+i.ID, channel.ChoiceEvent
	e.Choice = &channel.Choice{Data: i.Data.CustomID}
	if i.Message != nil && snowflake(i.Message.ID) {
		e.Ref = i.Message.ID
		e.Choice.Label = label(i.Message.Components, i.Data.CustomID, 4)
	}
	return e, nil
}

var languageForm = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)

func label(list []component, id string, depth int) string {
	for _, c := range list {
		if c.CustomID == id && c.Label != "" {
			return c.Label
		}
		if depth > 0 {
			if l := label(c.Components, id, depth-1); l != "" {
				return l
			}
		}
	}
	return ""
}

// guildNote says once per server that only direct messages are served.
func guildNote(guild string) channel.Event {
	return channel.Event{Key: "guild:" + guild, Type: channel.UnparsedEvent, Error: "the bot is used on the server " + channel.CleanName(guild) + ": only direct messages are served"}
}

// scene is what a frame alone does not tell.
type scene struct {
	me      string            // the bot's user id
	session string            // of the Gateway, for keys of what has no id
	users   map[string]string // who is at the other end of a channel
}

// Reparse implements channel.Reparser.
func (Driver) Reparse(a channel.Account, raw []byte) ([]channel.Event, error) {
	events, _, err := parse(raw, scene{me: a.Settings["application_id"]})
	return events, err
}

// parse reads a frame of the Gateway. touched is the message by which a direct-message channel became known or went on.
// Frames that are none of ours (READY …) give nothing at all.
func parse(raw []byte, sc scene) (events []channel.Event, touched *message, err error) {
	var f frame
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, nil, fmt.Errorf("read the frame: %w", err)
	}
	one := func(e channel.Event, err error) ([]channel.Event, *message, error) {
		if err != nil {
			return nil, touched, fmt.Errorf("%s: %w", f.Type, err)
		}
		return []channel.Event{e}, touched, nil
	}
	switch f.Type {
	case "MESSAGE_CREATE", "MESSAGE_UPDATE":
		var m message
		if err := json.Unmarshal(f.Data, &m); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", f.Type, err)
		}
		if !snowflake(m.ID) {
			return nil, nil, fmt.Errorf("%s: the message has no id", f.Type)
		}
		if m.GuildID != "" {
			return one(guildNote(m.GuildID), nil)
		}
		if m.Author == nil || !snowflake(m.Author.ID) {
			if f.Type == "MESSAGE_UPDATE" {
				return nil, nil, nil // an update of embeds alone, as older versions sent it
			}
			return nil, nil, fmt.Errorf("%s: the message has no author", f.Type)
		}
		if m.Author.ID == sc.me || m.Author.Bot || m.WebhookID != "" {
			if e, ok := echo(m, sc.me); ok && f.Type == "MESSAGE_CREATE" {
				return one(e, nil)
			}
			return nil, nil, nil
		}
		if f.Type == "MESSAGE_UPDATE" && m.Edited == "" {
			return nil, nil, nil // a preview of a link was added
		}
		touched = &m
		return one(m.event(f.Type == "MESSAGE_UPDATE"), nil)
	case "MESSAGE_DELETE":
		var d struct {
			ID      string `json:"id"`
			Channel string `json:"channel_id"`
			Guild   string `json:"guild_id"`
		}
		if err := json.Unmarshal(f.Data, &d); err != nil || !snowflake(d.ID) {
			return nil, nil, errors.New("MESSAGE_DELETE without an id")
		}
		if d.Guild != "" {
			return one(guildNote(d.Guild), nil)
		}
		who := sc.users[d.Channel]
		if who == "" {
			return one(channel.Event{Key: "delete:" + d.ID, Type: channel.UnparsedEvent, Error: "a message was deleted in a chat that we do not know", Raw: compact(raw)}, nil)
		}
		return one(channel.Event{Key: "delete:" + d.ID, Type: channel.DeleteEvent, Ref: d.ID, Sender: channel.Address{Value: who, Assurance: channel.Observed}}, nil)
	case "MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE":
		var r struct {
			User    string `json:"user_id"`
			Message string `json:"message_id"`
			Guild   string `json:"guild_id"`
			Emoji   struct {
				ID   string `json:"id"`
				Name string `json:"name"`
			} `json:"emoji"`
		}
		if err := json.Unmarshal(f.Data, &r); err != nil || !snowflake(r.Message) || !snowflake(r.User) {
			return nil, nil, fmt.Errorf("%s without a message or a user", f.Type)
		}
		if r.Guild != "" {
			return one(guildNote(r.Guild), nil)
		}
		if r.User == sc.me {
			return nil, nil, nil
		}
		seq := int64(0)
		if f.Seq != nil {
			seq = *f.Seq
		}
		e := channel.Event{Type: channel.ReactionEvent, Ref: r.Message, Sender: channel.Address{Value: r.User, Assurance: channel.Observed}}
		// A reaction has no id, and may be set, taken back and set again: the frame's place in its session tells them apart.
		e.Key = channel.HashKey("reaction", f.Type, r.Message, r.User, r.Emoji.ID, r.Emoji.Name, sc.session, strconv.FormatInt(seq, 10))
		if f.Type == "MESSAGE_REACTION_ADD" {
			e.Reaction = channel.CleanName(r.Emoji.Name)
			if r.Emoji.ID != "" || e.Reaction == "" {
				e.Reaction = ":" + e.Reaction + ":" // an emoji of a server's own
			}
		}
		return one(e, nil)
	case "TYPING_START":
		var t struct {
			User  string `json:"user_id"`
			Guild string `json:"guild_id"`
			At    int64  `json:"timestamp"`
		}
		if err := json.Unmarshal(f.Data, &t); err != nil || !snowflake(t.User) {
			return nil, nil, errors.New("TYPING_START without a user")
		}
		if t.Guild != "" || t.User == sc.me {
			return nil, nil, nil
		}
		return one(channel.Event{Key: "typing:" + t.User + ":" + strconv.FormatInt(t.At, 10), Type: channel.TypingEvent,
			Sender: channel.Address{Value: t.User, Assurance: channel.Observed}, At: unix(t.At)}, nil)
	case "INTERACTION_CREATE":
		var i interaction
		if err := json.Unmarshal(f.Data, &i); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", f.Type, err)
		}
		return one(i.event(f.Data))
	}
	return nil, nil, nil
}

// echo is our own message coming back with the nonce that we gave it: proof that an uncertain send arrived.
func echo(m message, me string) (channel.Event, bool) {
	nonce, _ := m.Nonce.(string)
	id, whole := deliveryOf(nonce)
	if m.Author.ID != me || id == "" {
		return channel.Event{}, false
	}
	e := channel.Event{Key: "status:" + m.ID + ":sent", Type: channel.StatusEvent, At: born(m.ID), Status: &channel.Status{DeliveryID: id, State: channel.Sent}}
	if whole {
		e.Status.ExternalID = m.ID // of several parts it would have to be the first one's
	}
	return e, true
}

// event is what a customer's message means.
func (m message) event(edit bool) channel.Event {
	e := channel.Event{Key: "msg:" + m.ID, Type: channel.MessageEvent, Sender: m.Author.address(), At: instant(m.Timestamp)}
	if edit {
		e.Key, e.Type, e.Ref, e.At = "edit:"+m.ID+":"+m.Edited, channel.EditEvent, m.ID, instant(m.Edited)
	}
	out := &channel.Message{ExternalID: m.ID, Text: m.text(), Attachments: m.attachments(m.ChannelID, m.ID)}
	if m.Reference != nil && m.Reference.Type == 0 && snowflake(m.Reference.MessageID) {
		out.ReplyTo = m.Reference.MessageID
	}
	for _, s := range m.Snapshots { // forwarded from elsewhere ("Message Snapshot Structure")
		if s.Message == nil {
			continue
		}
		if t := s.Message.text(); t != "" {
			out.Text = strings.TrimSpace(out.Text + "\n\n↪ " + t)
		}
		out.Attachments = append(out.Attachments, s.Message.attachments("", "")...)
	}
	for _, s := range m.Stickers {
		if name := channel.CleanName(s.Name); s.Format == 3 || !snowflake(s.ID) { // LOTTIE: no picture
			out.Unsupported = "sticker"
			if out.Text == "" {
				out.Text = name
			}
		} else {
			out.Attachments = append(out.Attachments, sticker(s.ID, name, s.Format))
		}
	}
	if m.Poll != nil {
		out.Unsupported = "poll"
		out.Text = strings.TrimSpace(out.Text + "\n\n" + valid(m.Poll.Question.Text))
	}
	if m.Type != 0 && m.Type != 19 { // neither DEFAULT nor REPLY ("Message Types")
		out.Unsupported = "message type " + strconv.Itoa(m.Type)
	}
	if strings.TrimSpace(out.Text) == "" && len(out.Attachments) == 0 && out.Unsupported == "" {
		out.Text, out.Unsupported = "", "empty message"
	}
	e.Message = out
	return e
}

var (
	mentionForm = regexp.MustCompile(`<@!?([0-9]{1,20})>`)
	emojiForm   = regexp.MustCompile(`<a?(:[A-Za-z0-9_]{1,64}:)[0-9]{1,20}>`)
)

// text is the content as the customer saw it: names instead of ids.
func (m message) text() string {
	text := valid(m.Content)
	if strings.Contains(text, "<") {
		text = emojiForm.ReplaceAllString(text, "$1")
		text = mentionForm.ReplaceAllStringFunc(text, func(s string) string {
			id := mentionForm.FindStringSubmatch(s)[1]
			for _, u := range m.Mentions {
				if name := u.address().Name; u.ID == id && name != "" {
					return "@" + name
				}
			}
			return s
		})
	}
	return text
}

func (m message) attachments(channelID, messageID string) []channel.Attachment {
	var out []channel.Attachment
	for _, f := range m.Files {
		u, err := url.Parse(f.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			continue
		}
		u.Fragment, u.User = "", nil
		remote := u.String()
		if snowflake(channelID) && snowflake(messageID) && snowflake(f.ID) {
			remote += "#" + channelID + "/" + messageID + "/" + f.ID // so that an expired address can be asked for anew
		}
		name := channel.CleanName(f.Name)
		if name == "" {
			name = "file"
		}
		out = append(out, channel.Attachment{Name: name, MediaType: channel.MediaType(f.MediaType), Size: max(f.Size, 0), Remote: remote})
	}
	return out
}

// sticker is a sticker's picture ("API Reference", CDN Endpoints).
func sticker(id, name string, format int) channel.Attachment {
	if name == "" {
		name = "sticker"
	}
	if format == 4 {
		return channel.Attachment{Name: name + ".gif", MediaType: "image/gif", Remote: "https://media.discordapp.net/stickers/" + id + ".gif"}
	}
	return channel.Attachment{Name: name + ".png", MediaType: "image/png", Remote: "https://cdn.discordapp.com/stickers/" + id + ".png"}
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// compact is a copy that storing does not change.
func compact(raw []byte) json.RawMessage {
	out, err := json.Marshal(json.RawMessage(raw))
	if err != nil {
		return nil
	}
	return out
}

func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UTC().Year() < 2000 || t.UTC().Year() > 9998 {
		return time.Time{}
	}
	return t.UTC()
}

func unix(s int64) time.Time {
	if s < 946684800 || s > 250000000000 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// born is when an id was made ("API Reference", Snowflakes: milliseconds since 2015 in the upper 42 bits).
func born(id string) time.Time {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(n>>22) + 1420070400000).UTC()
}
