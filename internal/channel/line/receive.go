package line

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const signatureHeader = "X-Line-Signature"

// Verify implements channel.Webhook: base64 of HMAC-SHA256 with the channel secret over the raw body ("Verify webhook
// signature"). The scheme has no timestamp.
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	if !channel.Authentic(channel.OneHeader(r.Header, signatureHeader), channel.Rotation(a.Settings["channel_secret"]), func(secret string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(r.Body)
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}) {
		return channel.ErrUnauthentic
	}
	return nil
}

type callback struct {
	Destination string            `json:"destination"`
	Events      []json.RawMessage `json:"events"`
}

type event struct {
	Type           string `json:"type"`
	WebhookEventID string `json:"webhookEventId"`
	Timestamp      int64  `json:"timestamp"` // milliseconds
	Mode           string `json:"mode"`
	Source         struct {
		Type    string `json:"type"`
		UserID  string `json:"userId"`
		GroupID string `json:"groupId"`
		RoomID  string `json:"roomId"`
	} `json:"source"`
	Message  message `json:"message"`
	Postback struct {
		Data   string            `json:"data"`
		Params map[string]string `json:"params"`
	} `json:"postback"`
	Unsend struct {
		MessageID string `json:"messageId"`
	} `json:"unsend"`
}

type message struct {
	Type            string `json:"type"`
	ID              string `json:"id"`
	Text            string `json:"text"`
	QuotedMessageID string `json:"quotedMessageId"`
	ContentProvider struct {
		Type               string `json:"type"`
		OriginalContentURL string `json:"originalContentUrl"`
	} `json:"contentProvider"`
	FileName  string      `json:"fileName"`
	FileSize  int64       `json:"fileSize"`
	Title     string      `json:"title"`
	Address   string      `json:"address"`
	Latitude  json.Number `json:"latitude"`
	Longitude json.Number `json:"longitude"`
	Keywords  []string    `json:"keywords"`
}

// Parse implements channel.Webhook.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	if events := plain(r.Body); events != nil {
		return events, channel.Reply{}, nil
	}
	var c callback
	if err := json.Unmarshal(r.Body, &c); err != nil {
		return nil, channel.Reply{}, fmt.Errorf("webhook body: %w", err)
	}
	if c.Events == nil {
		return nil, channel.Reply{}, errors.New("webhook body: it has no list of events")
	}
	if len(c.Events) == 0 {
		// "Request body": an empty array confirms communication (the button Verify).
		return nil, channel.Reply{Status: http.StatusOK}, nil
	}
	events := make([]channel.Event, 0, len(c.Events))
	seen := make(map[string]bool, len(c.Events))
	for _, raw := range c.Events {
		e := parse(raw)
		e.Account = text(c.Destination)
		if seen[e.Key] {
			continue
		}
		seen[e.Key] = true
		events = append(events, e)
	}
	return events, channel.Reply{}, nil
}

// plain reads in one go what has nothing odd about it, which is nearly everything; nil where the events' own bytes matter.
func plain(body []byte) []channel.Event {
	var c struct {
		Destination string  `json:"destination"`
		Events      []event `json:"events"`
	}
	if json.Unmarshal(body, &c) != nil {
		return nil
	}
	events := make([]channel.Event, 0, len(c.Events))
	for i := range c.Events {
		if text(c.Events[i].WebhookEventID) == "" {
			return nil
		}
		e := c.Events[i].read(nil)
		if e.Type == channel.UnparsedEvent {
			return nil
		}
		for _, before := range events {
			if before.Key == e.Key {
				return nil
			}
		}
		e.Account = text(c.Destination)
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil
	}
	return events
}

// notServed are events of which nothing is to be done for a customer: one note says that they come, whatever their number.
var notServed = map[string]bool{
	"beacon": true, "accountLink": true, "membership": true, "videoPlayComplete": true, "module": true, "activated": true,
	"deactivated": true, "botSuspended": true, "botResumed": true, "delivery": true,
}

// parse turns one event into ours; what cannot be understood becomes an UnparsedEvent.
func parse(raw json.RawMessage) channel.Event {
	var in event
	if err := json.Unmarshal(raw, &in); err != nil {
		return unparsed(channel.HashKey("event", string(raw)), raw, "an event cannot be read: "+err.Error())
	}
	return in.read(raw)
}

func (in *event) read(raw json.RawMessage) channel.Event {
	id := text(in.WebhookEventID)
	key := func(prefix string) string {
		if id == "" { // required by the API, but not worth losing an event
			return channel.HashKey(prefix, string(raw))
		}
		return prefix + ":" + id
	}
	switch source := in.Source; {
	case source.Type == "group" || source.Type == "room":
		chat := text(source.GroupID + source.RoomID)
		return unparsed("chat:"+chat, nil, "groups and multi-person chats are not served; this account is in "+chat)
	case in.Mode == "standby": // "Webhook event objects": another module has control of this chat and answers
		return unparsed("standby:"+text(source.UserID), nil, "another program has control of the chat with "+text(source.UserID)+" (mode standby) and answers there")
	case notServed[in.Type]:
		return unparsed("type:"+in.Type, raw, "events of type "+in.Type+" are not served")
	}
	e := channel.Event{Sender: channel.Address{Value: text(in.Source.UserID), Assurance: channel.Observed}}
	if in.Timestamp > 0 && in.Timestamp < 253402300800000 { // year 9999
		if at := time.UnixMilli(in.Timestamp).UTC(); at.Year() >= 1990 {
			e.At = at
		}
	}
	if e.Sender.Value == "" && in.Type != "" {
		return unparsed(key("event"), raw, "a "+clip(in.Type)+" event has no source.userId")
	}
	switch in.Type {
	case "message":
		m, err := in.Message.content()
		if err != nil {
			return unparsed(key("event"), raw, err.Error())
		}
		e.Type, e.Key, e.Message = channel.MessageEvent, key("msg"), m
	case "postback":
		if text(in.Postback.Data) == "" {
			return unparsed(key("event"), raw, "a postback event has no data")
		}
		e.Type, e.Key, e.Choice = channel.ChoiceEvent, key("choice"), &channel.Choice{Data: text(in.Postback.Data)}
	case "follow": // added as a friend, or unblocked
		e.Type, e.Key = channel.StartEvent, key("start")
	case "unfollow": // blocked
		e.Type, e.Key = channel.OptOutEvent, key("opt_out")
	case "unsend":
		if text(in.Unsend.MessageID) == "" {
			return unparsed(key("event"), raw, "an unsend event has no messageId")
		}
		e.Type, e.Key, e.Ref = channel.DeleteEvent, key("delete"), text(in.Unsend.MessageID)
	default:
		return unparsed(key("event"), raw, fmt.Sprintf("events of type %q are not known", clip(in.Type)))
	}
	return e
}

func unparsed(key string, raw json.RawMessage, why string) channel.Event {
	e := channel.Event{Type: channel.UnparsedEvent, Key: key, Error: why}
	if raw != nil {
		e.Raw = compact(raw)
	}
	return e
}

// compact makes raw JSON the same after it was stored and read.
func compact(raw json.RawMessage) json.RawMessage {
	if out, err := json.Marshal(raw); err == nil {
		return out
	}
	return nil
}

// content is what the customer said.
func (m *message) content() (*channel.Message, error) {
	id := text(m.ID)
	if id == "" {
		return nil, errors.New("a message event has no message.id")
	}
	out := &channel.Message{ExternalID: id, ReplyTo: text(m.QuotedMessageID)}
	attach := func(name, mediaType string, size int64) {
		remote := id
		if m.ContentProvider.Type == "external" { // "Image": the file lies at another service
			remote = text(m.ContentProvider.OriginalContentURL)
			if u, err := url.Parse(remote); err != nil || u.Scheme != "https" || u.Host == "" {
				out.Unsupported = m.Type
				return
			}
		}
		out.Attachments = []channel.Attachment{{Name: name, MediaType: mediaType, Size: max(size, 0), Remote: remote}}
	}
	switch m.Type {
	case "text": // LINE emojis and mentions stand in the text as words
		if out.Text = text(m.Text); out.Text == "" {
			out.Unsupported = "text"
		}
	case "image":
		attach("image-"+id+".jpg", "image/jpeg", 0)
	case "video":
		attach("video-"+id+".mp4", "video/mp4", 0)
	case "audio":
		attach("audio-"+id+".m4a", "audio/mp4", 0)
	case "file":
		name := channel.CleanName(m.FileName)
		if name == "" {
			name = "file-" + id
		}
		attach(name, "application/octet-stream", m.FileSize)
	case "location":
		out.Text = lines(text(m.Title), text(m.Address), place(m.Latitude, m.Longitude))
		if out.Text == "" {
			out.Unsupported = "location"
		}
	case "sticker": // its picture cannot be fetched; a message sticker has words of the customer
		out.Unsupported = "sticker"
		if out.Text = text(m.Text); out.Text == "" && len(m.Keywords) > 0 {
			out.Text = text(strings.Join(m.Keywords[:min(3, len(m.Keywords))], ", "))
		}
	default:
		if out.Unsupported = clip(m.Type); out.Unsupported == "" {
			out.Unsupported = "message without a type"
		}
	}
	return out, nil
}

// place is a position as a link that any map takes (RFC 5870).
func place(lat, lon json.Number) string {
	if lat == "" || lon == "" {
		return ""
	}
	return "geo:" + lat.String() + "," + lon.String()
}

func lines(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "\n")
}

// text is a string of the provider's that can be stored.
func text(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD") }

// clip is the provider's name of a type, short enough to show.
func clip(s string) string {
	r := []rune(channel.CleanName(s))
	return string(r[:min(len(r), 60)])
}

// FetchMedia implements channel.Fetcher ("Get content"). A file that lies at another service is fetched without our token.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	if strings.HasPrefix(remote, "https://") {
		return channel.Call{URL: remote}.Media(ctx, env.HTTP, contentMax)
	}
	call := channel.Call{URL: contentURL(a.Settings) + "/v2/bot/message/" + url.PathEscape(remote) + "/content"}
	return call.Bearer(a.Settings["channel_access_token"]).Media(ctx, prepared{env.HTTP}, contentMax)
}

// prepared makes the 202 of a file that LINE still prepares a failure that is tried again.
type prepared struct{ channel.Doer }

func (p prepared) Do(r *http.Request) (*http.Response, error) {
	resp, err := p.Doer.Do(r)
	if err == nil && resp.StatusCode == http.StatusAccepted {
		resp.StatusCode, resp.Status = http.StatusServiceUnavailable, "202: the file is being prepared"
	}
	return resp, err
}
