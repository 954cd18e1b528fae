package telegram

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/rufweite/rufweite/internal/channel"
)

// secretHeader carries the secret given to setWebhook (Bot API, setWebhook).
const secretHeader = "X-Telegram-Bot-Api-Secret-Token"

// Verify implements channel.Webhook. Telegram signs nothing: who knows the secret token is Telegram. There is no
// timestamp either; a replay is stopped by the events' keys.
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	values := r.Header.Values(secretHeader)
	if len(values) != 1 || values[0] == "" {
		return channel.ErrUnauthentic
	}
	got := sha256.Sum256([]byte(values[0])) // equal lengths, so that the comparison tells nothing about the secret's
	match := 0
	for _, secret := range Secrets(a) {
		want := sha256.Sum256([]byte(secret))
		match |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	if match != 1 {
		return channel.ErrUnauthentic
	}
	return nil
}

// Parse implements channel.Webhook: the body is one Update. A pressed button is answered within the webhook's answer
// (Bot API, "Making requests when getting updates"), so that the customer's app stops showing progress.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	events, err := parse(r.Body)
	if err != nil {
		return nil, channel.Reply{}, err
	}
	var reply channel.Reply
	if query := queryOf(events); query != "" {
		body, err := json.Marshal(map[string]string{"method": "answerCallbackQuery", "callback_query_id": query})
		if err != nil {
			return nil, channel.Reply{}, fmt.Errorf("answer callback query: %w", err)
		}
		reply = channel.Reply{Status: http.StatusOK, Type: "application/json", Body: body}
	}
	return events, reply, nil
}

// queryOf is the callback query that has to be answered, "" if none.
func queryOf(events []channel.Event) string {
	for _, e := range events {
		if e.Type == channel.ChoiceEvent {
			return strings.TrimPrefix(e.Key, "choice:")
		}
	}
	return ""
}

// parse turns one Update into events. An error means that it is not an Update at all.
func parse(raw []byte) ([]channel.Event, error) {
	u, err := readUpdate(raw)
	if err != nil {
		return nil, fmt.Errorf("parse update: %w", err)
	}
	e, err := u.event()
	if err != nil {
		e = channel.Event{
			Key:    channel.HashKey("unparsed", string(raw)),
			Type:   channel.UnparsedEvent,
			Sender: u.sender(),
			Error:  fmt.Sprintf("update %s of type %q cannot be read: %v", u.ID, u.Type, err),
			Raw:    compact(raw),
		}
	}
	return []channel.Event{e}, nil
}

// event says what an update means.
func (u update) event() (channel.Event, error) {
	switch u.Type {
	case "message", "edited_message":
		var m message
		if err := json.Unmarshal(u.Payload, &m); err != nil {
			return channel.Event{}, err
		}
		if m.ID == "" || m.Chat.ID == "" {
			return channel.Event{}, errNoChat
		}
		if m.Chat.Type != "private" {
			return u.group(m.Chat, m.From), nil
		}
		return u.message(m), nil
	case "callback_query":
		return u.choice()
	case "message_reaction":
		return u.reaction()
	case "my_chat_member":
		return u.member()
	case "business_connection", "business_message", "edited_business_message", "deleted_business_messages":
		// Somebody made the bot an assistant of a private account. One note a connection, not one a message.
		var b struct {
			ID         string `json:"id"`
			Connection string `json:"business_connection_id"`
		}
		if err := json.Unmarshal(u.Payload, &b); err != nil {
			return channel.Event{}, err
		}
		return channel.Event{
			Key: "business:" + b.ID + b.Connection, Type: channel.UnparsedEvent, Sender: u.sender(), Raw: compact(u.Payload),
			Error: "the bot was connected to a Telegram Business account; only chats with the bot itself are served: disconnect it there",
		}, nil
	default:
		return channel.Event{
			Key: "type:" + u.Type, Type: channel.UnparsedEvent, Sender: u.sender(), Raw: compact(u.Payload),
			Error: fmt.Sprintf("updates of type %q are not served", u.Type),
		}, nil
	}
}

var errNoChat = fmt.Errorf("message without message_id or chat")

// group is the one visible note about a chat that is not private: its key is the chat, so that what follows from the
// same chat is a duplicate.
func (u update) group(c chat, from *user) channel.Event {
	e := channel.Event{
		Key:    "group:" + string(c.ID),
		Type:   channel.UnparsedEvent,
		Sender: channel.Address{Value: string(c.ID), Name: channel.CleanName(c.Title), Assurance: channel.Observed},
		Error: fmt.Sprintf("the bot is a member of the %s %q; only private chats are served, what is written there is not kept: remove the bot from it",
			nameOr(c.Type, "group"), channel.CleanName(c.Title)),
		Raw: compact(u.Payload),
	}
	if from != nil && e.Sender.Name == "" {
		e.Sender.Name = address(from.ID, from).Name
	}
	return e
}

func (u update) message(m message) channel.Event {
	external := externalID(m.Chat.ID, m.ID)
	e := channel.Event{
		Key:     "msg:" + external,
		Type:    channel.MessageEvent,
		Sender:  address(m.Chat.ID, m.From),
		At:      m.Date.time(),
		Message: &channel.Message{ExternalID: external},
	}
	if u.Type == "edited_message" {
		// edit_date has whole seconds: two edits in one second differ in their update only.
		e.Key = "edit:" + external + ":" + m.EditDate.String() + ":" + string(u.ID)
		e.Type = channel.EditEvent
		e.Ref = external
		e.At = m.EditDate.time()
	} else if token, ok := startToken(m.Text); ok {
		e.Key = "start:" + external
		e.Type = channel.StartEvent
		e.Ref = external
		e.Token = token
		e.Message = nil
		return e
	}
	msg := e.Message
	msg.Automatic = m.From != nil && m.From.IsBot
	if m.ReplyTo != nil && m.ReplyTo.ID != "" {
		c := m.ReplyTo.Chat.ID
		if c == "" {
			c = m.Chat.ID
		}
		msg.ReplyTo = externalID(c, m.ReplyTo.ID)
	}
	m.content(msg)
	if msg.Text == "" && len(msg.Attachments) == 0 && msg.Unsupported == "" {
		msg.Unsupported = unknownContent(u.Payload)
	}
	if msg.Unsupported != "" {
		e.Raw = compact(u.Payload)
	}
	return e
}

// content fills a message with what was said. Every branch stands for one content type of the Bot API's Message.
func (m message) content(msg *channel.Message) {
	attach := func(f *file, name, mediaType string) {
		msg.Attachments = append(msg.Attachments, channel.Attachment{
			Name:      nameOr(f.Name, name),
			MediaType: nameOr(f.Type, mediaType),
			Size:      max(f.Size, 0),
			Remote:    f.ID,
		})
	}
	msg.Text = withLinks(m.Text, m.Entities)
	if m.Caption != "" {
		msg.Text = withLinks(m.Caption, m.CaptionEntities)
	}
	switch {
	case largest(m.Photo) != nil:
		attach(largest(m.Photo), "photo-"+string(m.ID)+".jpg", "image/jpeg")
	case has(m.Animation): // "for backward compatibility, document is also set"
		attach(m.Animation, "animation-"+string(m.ID)+".mp4", "video/mp4")
	case has(m.Document):
		attach(m.Document, "document-"+string(m.ID), "application/octet-stream")
	case has(m.Voice):
		attach(m.Voice, "voice-"+string(m.ID)+".ogg", "audio/ogg")
	case has(m.Audio):
		attach(m.Audio, nameOr(m.Audio.Title, "audio-"+string(m.ID)), "audio/mpeg")
	case has(m.Video):
		attach(m.Video, "video-"+string(m.ID)+".mp4", "video/mp4")
	case has(m.VideoNote):
		attach(m.VideoNote, "video-note-"+string(m.ID)+".mp4", "video/mp4")
	case has(m.Sticker):
		msg.Text = m.Sticker.Emoji
		switch {
		case m.Sticker.Video:
			attach(m.Sticker, "sticker-"+string(m.ID)+".webm", "video/webm")
		case m.Sticker.Animated:
			attach(m.Sticker, "sticker-"+string(m.ID)+".tgs", "application/x-tgsticker")
		default:
			attach(m.Sticker, "sticker-"+string(m.ID)+".webp", "image/webp")
		}
	case m.Venue != nil: // "for backward compatibility, location is also set"
		msg.Text = lines(m.Venue.Title, m.Venue.Address, m.Venue.Location.String())
	case m.Location != nil:
		msg.Text = m.Location.String()
	case m.Contact != nil:
		msg.Text = lines(channel.CleanName(m.Contact.FirstName+" "+m.Contact.LastName), phone(m.Contact.Phone))
	case m.Poll != nil:
		msg.Unsupported = "poll"
		list := []string{m.Poll.Question}
		for _, o := range m.Poll.Options {
			list = append(list, "– "+o.Text)
		}
		msg.Text = lines(list...)
	case m.Dice != nil:
		msg.Unsupported = "dice"
		msg.Text = fmt.Sprintf("%s %d", m.Dice.Emoji, m.Dice.Value)
	}
}

func has(f *file) bool { return f != nil && f.ID != "" }

// largest is the photo's biggest size; Telegram lists a photo in several.
func largest(sizes []file) *file {
	var best *file
	for i := range sizes {
		f := &sizes[i]
		if f.ID != "" && (best == nil || f.Width*f.Height > best.Width*best.Height) {
			best = f
		}
	}
	return best
}

func (p place) String() string {
	if p.Latitude == "" || p.Longitude == "" {
		return ""
	}
	return p.Latitude.String() + ", " + p.Longitude.String()
}

// phone writes a shared number with its plus sign, which some apps leave out.
func phone(number string) string {
	if number != "" && strings.Trim(number, "0123456789") == "" {
		return "+" + number
	}
	return number
}

func lines(list ...string) string {
	var kept []string
	for _, l := range list {
		if l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

func nameOr(name, fallback string) string {
	if name == "" {
		return fallback
	}
	return name
}

// withLinks puts the hidden target of a link behind its words, as nothing else of formatting changes the meaning.
func withLinks(text string, entities []entity) string {
	type insert struct {
		at  int
		url string
	}
	var list []insert
	for _, e := range entities {
		if e.Type == "text_link" && e.URL != "" && e.Offset >= 0 && e.Length > 0 && e.Length <= len(text) && e.Offset <= len(text) {
			list = append(list, insert{e.Offset + e.Length, e.URL})
		}
	}
	if len(list) == 0 {
		return text
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].at < list[j].at })
	units := utf16.Encode([]rune(text))
	var b strings.Builder
	from := 0
	for _, l := range list {
		if l.at > len(units) {
			continue
		}
		part := string(utf16.Decode(units[from:l.at]))
		b.WriteString(part)
		if !strings.HasSuffix(part, l.url) {
			b.WriteString(" (" + l.url + ")")
		}
		from = l.at
	}
	b.WriteString(string(utf16.Decode(units[from:])))
	return b.String()
}

// about is what a Message has besides its content.
var about = map[string]bool{
	"message_id": true, "message_thread_id": true, "direct_messages_topic": true, "from": true, "sender_chat": true,
	"sender_boost_count": true, "sender_business_bot": true, "date": true, "business_connection_id": true, "chat": true,
	"forward_origin": true, "is_topic_message": true, "is_automatic_forward": true, "reply_to_message": true,
	"external_reply": true, "quote": true, "reply_to_story": true, "via_bot": true, "edit_date": true,
	"has_protected_content": true, "is_from_offline": true, "media_group_id": true, "author_signature": true,
	"paid_star_count": true, "entities": true, "link_preview_options": true, "effect_id": true, "caption": true,
	"caption_entities": true, "show_caption_above_media": true, "has_media_spoiler": true, "reply_markup": true,
	"reply_to_checklist_task_id": true, "forward_from": true, "forward_date": true, "text": true,
}

// unknownContent names what a message holds that we cannot show, after the Bot API's own field.
func unknownContent(payload []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil {
		return "unknown"
	}
	var names []string
	for name := range fields {
		if !about[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "empty message"
	}
	sort.Strings(names)
	return nameOr(strings.TrimSpace(strings.ReplaceAll(names[0], "_", " ")), "unknown")
}

var startForm = regexp.MustCompile(`^/start(?:@[A-Za-z0-9_]+)?(?: ([A-Za-z0-9_-]{1,64}))?\s*$`)

// startToken reads /start and what its deep link carried (Bot features, "Deep linking": up to 64 of A-Za-z0-9_-).
// Anything else behind /start was typed by a person and stays a message.
func startToken(text string) (token string, ok bool) {
	found := startForm.FindStringSubmatch(text)
	if found == nil {
		return "", false
	}
	return found[1], true
}

func (u update) choice() (channel.Event, error) {
	var q callbackQuery
	if err := json.Unmarshal(u.Payload, &q); err != nil {
		return channel.Event{}, err
	}
	if q.ID == "" || q.From.ID == "" {
		return channel.Event{}, fmt.Errorf("callback query without id or sender")
	}
	e := channel.Event{
		Key:    "choice:" + q.ID,
		Type:   channel.ChoiceEvent,
		Sender: address(q.From.ID, &q.From),
		Choice: &channel.Choice{Data: q.Data},
	}
	if q.Message == nil {
		return e, nil
	}
	if q.Message.Chat.Type != "private" {
		return u.group(q.Message.Chat, &q.From), nil
	}
	e.Sender.Value = string(q.Message.Chat.ID)
	e.Ref = externalID(q.Message.Chat.ID, q.Message.ID)
	if q.Message.Markup != nil {
		for _, row := range q.Message.Markup.Keyboard {
			for _, b := range row {
				if b.Data == q.Data && e.Choice.Label == "" {
					e.Choice.Label = b.Text
				}
			}
		}
	}
	return e, nil
}

// reaction is the customer's whole reaction to a message as it is now (usually one emoji).
func (u update) reaction() (channel.Event, error) {
	var r reactionUpdate
	if err := json.Unmarshal(u.Payload, &r); err != nil {
		return channel.Event{}, err
	}
	if r.ID == "" || r.Chat.ID == "" {
		return channel.Event{}, errNoChat
	}
	if r.Chat.Type != "private" {
		return u.group(r.Chat, r.User), nil
	}
	e := channel.Event{
		Key:    "reaction:" + externalID(r.Chat.ID, r.ID) + ":" + r.Date.String() + ":" + string(u.ID),
		Type:   channel.ReactionEvent,
		Sender: address(r.Chat.ID, r.User),
		At:     r.Date.time(),
		Ref:    externalID(r.Chat.ID, r.ID),
	}
	for _, one := range r.New {
		switch {
		case one.Type == "emoji":
			e.Reaction += one.Emoji
		case one.Type == "paid":
			e.Reaction += "⭐"
		default: // a picture of a sticker set, which is no character
			e.Reaction += "▫️"
		}
	}
	return e, nil
}

// member is about blocking and unblocking the bot ("for private chats, this update is received only when the bot is
// blocked or unblocked by the user").
func (u update) member() (channel.Event, error) {
	var m memberUpdate
	if err := json.Unmarshal(u.Payload, &m); err != nil {
		return channel.Event{}, err
	}
	if m.Chat.ID == "" {
		return channel.Event{}, errNoChat
	}
	if m.Chat.Type != "private" {
		return u.group(m.Chat, &m.From), nil
	}
	e := channel.Event{
		Key:    "member:" + string(m.Chat.ID) + ":" + m.Date.String() + ":" + string(u.ID),
		Sender: address(m.Chat.ID, &m.From),
		At:     m.Date.time(),
	}
	switch m.New.Status {
	case "kicked", "left":
		e.Type = channel.OptOutEvent
	case "member":
		e.Type = channel.StartEvent
	default:
		return channel.Event{}, fmt.Errorf("unknown membership %q", m.New.Status)
	}
	return e, nil
}

// sender reads as much about who caused an update as can be read, for notes about what was not understood.
func (u update) sender() channel.Address {
	var p struct {
		From json.RawMessage `json:"from"`
		User json.RawMessage `json:"user"`
		Chat json.RawMessage `json:"chat"`
	}
	_ = json.Unmarshal(u.Payload, &p) // whatever could be read
	var from user
	for _, raw := range []json.RawMessage{p.From, p.User} {
		if json.Unmarshal(raw, &from) == nil && from.ID != "" {
			break
		}
	}
	var c chat
	if json.Unmarshal(p.Chat, &c) != nil || c.ID == "" {
		c.ID = from.ID
	}
	return address(c.ID, &from)
}

func externalID(c, m id) string { return string(c) + ":" + string(m) }

var languageForm = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$`)

// address is the chat, which is what we write to, named after the person. Telegram vouches for it: observed.
func address(c id, u *user) channel.Address {
	a := channel.Address{Value: string(c), Assurance: channel.Observed}
	if u == nil {
		return a
	}
	a.Name = channel.CleanName(u.FirstName + " " + u.LastName)
	if a.Name == "" && u.Username != "" {
		a.Name = "@" + channel.CleanName(u.Username)
	}
	if languageForm.MatchString(u.Language) {
		a.Language = u.Language
	}
	return a
}

// compact is JSON as package json would write it inside an event (no white space, < > & escaped), so that storing an
// event changes nothing; and in memory of its own, so that the request is not reachable through events.
func compact(raw []byte) json.RawMessage {
	var b, escaped bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return nil
	}
	json.HTMLEscape(&escaped, b.Bytes())
	return escaped.Bytes()
}
