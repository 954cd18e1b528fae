package teams

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// activity is what the connector delivers (Bot Framework, "Activity object"). isGroup is left out: it comes as a bool and as
// a string.
type activity struct {
	Type         string          `json:"type"`
	ID           string          `json:"id"`
	Timestamp    string          `json:"timestamp"`
	Channel      string          `json:"channelId"`
	Name         string          `json:"name"`
	Action       string          `json:"action"`
	Text         string          `json:"text"`
	TextFormat   string          `json:"textFormat"`
	Locale       string          `json:"locale"`
	ReplyTo      string          `json:"replyToId"`
	From         party           `json:"from"`
	Recipient    party           `json:"recipient"`
	Conversation conversation    `json:"conversation"`
	Attachments  []attachment    `json:"attachments"`
	Entities     []entity        `json:"entities"`
	Value        json.RawMessage `json:"value"`
	Added        []reaction      `json:"reactionsAdded"`
}

type party struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type conversation struct {
	ID   string `json:"id"`
	Type string `json:"conversationType"`
	Name string `json:"name"`
}

type attachment struct {
	Type    string          `json:"contentType"`
	URL     string          `json:"contentUrl"`
	Name    string          `json:"name"`
	Content json.RawMessage `json:"content"`
}

type entity struct {
	Type      string `json:"type"`
	Text      string `json:"text"`
	Mentioned party  `json:"mentioned"`
}

type reaction struct {
	Type string `json:"type"`
}

// done acknowledges what is of no interest.
var done = channel.Reply{Status: http.StatusOK}

// Parse implements channel.Webhook: the body is one Activity. An invoke is answered in the HTTP response.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	var act activity
	err := json.Unmarshal(r.Body, &act)
	if err != nil { // one field that is not as documented must not make the whole unreadable
		var head struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(r.Body, &head); err != nil {
			return nil, channel.Reply{}, fmt.Errorf("read activity: %w", err)
		}
		act.Type = head.Type
	}
	if act.Type == "" {
		return nil, channel.Reply{}, errors.New("read activity: it has no type")
	}
	var e channel.Event
	var reply channel.Reply
	if err == nil {
		e, reply, err = act.event(r.Body)
	}
	if err != nil {
		e = unparsed(channel.HashKey("unparsed", string(r.Body)), "an activity of type "+strconv.Quote(act.Type)+" cannot be read: "+err.Error(), r.Body)
		reply = channel.Reply{}
	}
	if e.Key == "" {
		return nil, done, nil
	}
	e.Account = strings.TrimPrefix(act.Recipient.ID, "28:")
	return []channel.Event{e}, reply, nil
}

func unparsed(key, why string, raw []byte) channel.Event {
	return channel.Event{Key: key, Type: channel.UnparsedEvent, Error: why, Raw: clone(raw)}
}

// event says what an activity means; without a Key it is of no interest.
func (a *activity) event(raw []byte) (channel.Event, channel.Reply, error) {
	if a.Conversation.ID == "" {
		return channel.Event{}, channel.Reply{}, errors.New("no conversation")
	}
	if a.Conversation.Type != "personal" && (a.Conversation.Type != "" || !strings.HasPrefix(a.Conversation.ID, "a:")) {
		room, _, _ := strings.Cut(a.Conversation.ID, ";") // a thread in a channel
		e := unparsed("group:"+room, fmt.Sprintf("the bot is a member of the %s %q; only personal chats are served, what is written there is not kept: remove the bot from it",
			or(channel.CleanName(a.Conversation.Type), "group"), channel.CleanName(or(a.Conversation.Name, room))), raw)
		reply := channel.Reply{}
		if a.Type == "invoke" {
			reply.Status = http.StatusNotImplemented
		}
		return e, reply, nil
	}
	if !conversationForm.MatchString(a.Conversation.ID) {
		return channel.Event{}, channel.Reply{}, errors.New("the conversation's id has characters that none has")
	}
	// The chat with one person is the address: it is all that sending needs.
	e := channel.Event{At: timeOf(a.Timestamp), Sender: channel.Address{Value: a.Conversation.ID, Name: channel.CleanName(a.From.Name), Assurance: channel.Observed}}
	if localeForm.MatchString(a.Locale) {
		e.Sender.Language = a.Locale
	}
	own := a.From.ID != "" && a.From.ID == a.Recipient.ID || strings.HasPrefix(a.From.ID, "28:")
	unique := a.ID
	if unique == "" {
		unique = strings.TrimPrefix(channel.HashKey("", string(raw)), ":")
	}
	switch a.Type {
	case "message":
		switch data, label, pressed := a.choice(a.Value); {
		case own:
			return channel.Event{}, done, nil
		case a.ID == "":
			return channel.Event{}, channel.Reply{}, errors.New("message without id")
		case pressed: // Action.Submit: "a message activity whose value has the button's data"
			e.Key, e.Type, e.Choice = "choice:"+a.external(a.ID), channel.ChoiceEvent, &channel.Choice{Data: data, Label: label}
			if a.ReplyTo != "" {
				e.Ref = a.external(a.ReplyTo)
			}
		default:
			e.Key, e.Type = "msg:"+a.external(a.ID), channel.MessageEvent
			a.message(&e, raw)
		}
	case "messageUpdate": // "Update message": editMessage, undeleteMessage
		if own || a.ID == "" {
			return channel.Event{}, done, nil
		}
		e.Key, e.Type, e.Ref = "edit:"+a.external(a.ID)+":"+or(a.Timestamp, unique), channel.EditEvent, a.external(a.ID)
		a.message(&e, raw)
	case "messageDelete": // "Soft delete message"
		if own || a.ID == "" {
			return channel.Event{}, done, nil
		}
		e.Key, e.Type, e.Ref = "delete:"+a.external(a.ID)+":"+or(a.Timestamp, unique), channel.DeleteEvent, a.external(a.ID)
	case "messageReaction":
		if a.ReplyTo == "" {
			return channel.Event{}, channel.Reply{}, errors.New("reaction without a message")
		}
		e.Key, e.Type, e.Ref = channel.HashKey("reaction", a.external(a.ReplyTo), unique, a.Timestamp), channel.ReactionEvent, a.external(a.ReplyTo)
		if n := len(a.Added); n > 0 {
			e.Reaction = emoji(a.Added[n-1].Type)
		}
	case "typing":
		e.Key, e.Type = channel.HashKey("typing", a.Conversation.ID, unique), channel.TypingEvent
	case "installationUpdate": // "Install update event"; the -upgrade ones mean a new version of the app
		switch a.Action {
		case "add":
			e.Key, e.Type = channel.HashKey("start", a.Conversation.ID, unique, a.Timestamp), channel.StartEvent
		case "remove":
			e.Key, e.Type = channel.HashKey("left", a.Conversation.ID, unique, a.Timestamp), channel.OptOutEvent
		default:
			return channel.Event{}, done, nil
		}
	case "event":
		var read struct {
			Last string `json:"lastReadMessageId"`
		}
		if a.Name != "application/vnd.microsoft.readReceipt" {
			return a.unserved("event "+a.Name, raw), channel.Reply{}, nil
		}
		if err := json.Unmarshal(a.Value, &read); err != nil || read.Last == "" {
			return channel.Event{}, channel.Reply{}, errors.New("read receipt without lastReadMessageId")
		}
		e.Key, e.Type, e.Ref = "read:"+a.external(read.Last), channel.ReadEvent, a.external(read.Last)
	case "invoke":
		return a.invoke(e, unique, raw)
	case "conversationUpdate", "endOfConversation": // installationUpdate says it, too
		return channel.Event{}, done, nil
	default:
		return a.unserved(a.Type, raw), channel.Reply{}, nil
	}
	return e, channel.Reply{}, nil
}

// unserved is the one note about a kind of activity.
func (a *activity) unserved(what string, raw []byte) channel.Event {
	return unparsed("type:"+what, "activities of type "+strconv.Quote(what)+" are not served", raw)
}

// invoke is what waits for an answer in the HTTP response ("Universal Actions", "Invoke response").
func (a *activity) invoke(e channel.Event, unique string, raw []byte) (channel.Event, channel.Reply, error) {
	if a.Name != "adaptiveCard/action" {
		return a.unserved("invoke "+a.Name, raw), channel.Reply{Status: http.StatusNotImplemented}, nil
	}
	var v struct {
		Action struct {
			Data json.RawMessage `json:"data"`
		} `json:"action"`
	}
	if err := json.Unmarshal(a.Value, &v); err != nil {
		return channel.Event{}, channel.Reply{}, err
	}
	data, label, ok := a.choice(v.Action.Data)
	if !ok {
		return channel.Event{}, channel.Reply{}, errors.New("the card is none of ours")
	}
	e.Key, e.Type, e.Choice = channel.HashKey("choice", a.Conversation.ID, unique, a.Timestamp), channel.ChoiceEvent, &channel.Choice{Data: data, Label: label}
	if a.ReplyTo != "" {
		e.Ref = a.external(a.ReplyTo)
	}
	return e, channel.Reply{Status: http.StatusOK, Type: "application/json", Body: []byte(`{"statusCode":200,"type":"application/vnd.microsoft.activity.message","value":"✓"}`)}, nil
}

// submitted is the data of our buttons.
type submitted struct {
	Choice string `json:"choice"`
	Label  string `json:"label"`
}

// choice reads the data of a pressed button of ours.
func (a *activity) choice(value json.RawMessage) (data, label string, ok bool) {
	var s submitted
	if len(value) == 0 || value[0] != '{' || json.Unmarshal(value, &s) != nil {
		return "", "", false
	}
	return s.Choice, s.Label, s.Choice != ""
}

// message fills in what was written.
func (a *activity) message(e *channel.Event, raw []byte) {
	m := &channel.Message{ExternalID: a.external(a.ID)}
	e.Message = m
	text := a.Text
	for _, entity := range a.Entities {
		if entity.Type == "mention" && entity.Mentioned.ID == a.Recipient.ID && entity.Text != "" {
			text = strings.ReplaceAll(text, entity.Text, "")
		}
	}
	if a.TextFormat == "xml" {
		text = plain(text)
	}
	m.Text = strings.TrimSpace(text)
	if a.ReplyTo != "" {
		m.ReplyTo = a.external(a.ReplyTo)
	}
	for i, f := range a.Attachments {
		kind, _, _ := strings.Cut(f.Type, ";")
		switch {
		case kind == "text/html": // the text once more, with what it quotes
			var content string
			if json.Unmarshal(f.Content, &content) != nil {
				continue
			}
			if id := quoted(content); id != "" {
				m.ReplyTo = a.external(id)
			}
			if m.Text == "" && a.Text == "" {
				m.Text = plain(content)
			}
		case kind == "application/vnd.microsoft.teams.file.download.info": // "Receive files in personal chat"
			var file struct {
				URL  string `json:"downloadUrl"`
				Type string `json:"fileType"`
			}
			if json.Unmarshal(f.Content, &file) != nil || file.URL == "" {
				m.Unsupported = "file without an address"
				continue
			}
			m.Attachments = append(m.Attachments, channel.Attachment{Name: or(f.Name, "file"), MediaType: mediaType(f.Name, file.Type), Remote: file.URL})
		case strings.HasPrefix(kind, "image/") && f.URL != "": // "Fetch inline images from message"
			if kind == "image/*" {
				kind = "image/png"
			}
			m.Attachments = append(m.Attachments, channel.Attachment{Name: or(f.Name, "image-"+strconv.Itoa(i+1)), MediaType: kind, Remote: f.URL})
		default:
			m.Unsupported = or(f.Type, "attachment")
		}
	}
	if m.Text == "" && len(m.Attachments) == 0 && m.Unsupported == "" {
		m.Unsupported = "message without text"
		if len(a.Value) > 0 {
			m.Unsupported = "button of another card"
		}
	}
	if m.Unsupported != "" {
		e.Raw = clone(raw)
	}
}

// external is a message's external id: an activity's id is a time stamp, unique within its conversation.
func (a *activity) external(id string) string { return a.Conversation.ID + ";" + id }

var (
	conversationForm = regexp.MustCompile(`^[A-Za-z0-9:@._-]{3,300}$`)
	localeForm       = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
	replyForm        = regexp.MustCompile(`(?i)<blockquote[^>]*schema\.skype\.com/Reply[^>]*>`)
	itemForm         = regexp.MustCompile(`(?i)\sitemid="([0-9]{1,20})"`)
	quoteForm        = regexp.MustCompile(`(?is)<blockquote.*?</blockquote>`)
	breakForm        = regexp.MustCompile(`(?i)<(br|/p|/div|/li)\s*/?>`)
	tagForm          = regexp.MustCompile(`<[^>]*>`)
	blankForm        = regexp.MustCompile(`\n{3,}`)
)

// quoted is the id of the message that HTML quotes, "" if none.
func quoted(content string) string {
	m := itemForm.FindStringSubmatch(replyForm.FindString(content))
	if m == nil {
		return ""
	}
	return m[1]
}

// plain is the text of simple markup, without what it quotes.
func plain(markup string) string {
	s := quoteForm.ReplaceAllString(markup, "")
	s = breakForm.ReplaceAllString(s, "\n")
	s = html.UnescapeString(tagForm.ReplaceAllString(s, ""))
	return strings.TrimSpace(blankForm.ReplaceAllString(strings.ReplaceAll(s, "\u00A0", " "), "\n\n"))
}

// mediaType is the type of a file by its extension, which is all that Teams tells. The house looks at the content.
func mediaType(name, extension string) string {
	if extension == "" {
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			extension = name[i+1:]
		}
	}
	if t := types[strings.ToLower(extension)]; t != "" {
		return t
	}
	return "application/octet-stream"
}

var types = map[string]string{"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "heic": "image/heic",
	"pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv", "zip": "application/zip", "mp3": "audio/mpeg", "m4a": "audio/mp4", "mp4": "video/mp4", "mov": "video/quicktime",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation", "doc": "application/msword", "xls": "application/vnd.ms-excel"}

// emoji is a reaction: six have names, the others begin with their code points, such as 1f44b_wavinghand.
func emoji(name string) string {
	switch name {
	case "like":
		return "👍"
	case "heart":
		return "❤️"
	case "laugh":
		return "😆"
	case "surprised":
		return "😮"
	case "sad":
		return "😢"
	case "angry":
		return "😠"
	}
	codes, _, ok := strings.Cut(name, "_")
	if ok {
		var b strings.Builder
		for _, c := range strings.Split(codes, "-") {
			n, err := strconv.ParseUint(c, 16, 21)
			if err != nil || n < 0xA9 || n > 0x10FFFF || n >= 0xD800 && n < 0xE000 {
				return ":" + name + ":"
			}
			b.WriteRune(rune(n))
		}
		return b.String()
	}
	return ":" + name + ":"
}

func timeOf(stamp string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || t.UTC().Year() < 1990 || t.UTC().Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// clone makes raw JSON safe to keep and to store.
func clone(raw []byte) json.RawMessage {
	var b, safe bytes.Buffer
	raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	if json.Compact(&b, raw) != nil {
		quoted, _ := json.Marshal(string(raw))
		return quoted
	}
	json.HTMLEscape(&safe, b.Bytes())
	return safe.Bytes()
}
