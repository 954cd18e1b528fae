package rcs

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// signatureHeader is base64 of the HMAC-SHA512 with the client token over the decoded data ("Webhooks", "Verify incoming
// messages"). Only data is signed: nothing of the envelope is believed.
const signatureHeader = "X-Goog-Signature"

// secretMax bounds what a handshake makes us repeat.
const secretMax = 1024

// envelope is what the platform posts: a message of Pub/Sub's push form, or the handshake of setting the webhook up.
type envelope struct {
	Message *struct {
		Data string `json:"data"`
	} `json:"message"`
	ClientToken string `json:"clientToken"`
	Secret      string `json:"secret"`
}

func (e envelope) handshake() bool { return e.Message == nil && e.ClientToken != "" && e.Secret != "" }

func open(body []byte) (e envelope, data []byte, err error) {
	if err := json.Unmarshal(body, &e); err != nil {
		return e, nil, fmt.Errorf("read the webhook: %w", err)
	}
	if e.Message == nil {
		return e, nil, nil
	}
	// Strict: one content has one spelling.
	if data, err = base64.StdEncoding.Strict().DecodeString(e.Message.Data); err != nil {
		return e, nil, fmt.Errorf("decode message.data: %w", err)
	}
	return e, data, nil
}

// Verify implements channel.Webhook. The scheme has no timestamp; a replay has the keys that were stored already.
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	secrets := channel.Rotation(a.Settings["client_token"])
	e, data, err := open(r.Body)
	if err != nil || r.Method != http.MethodPost {
		return channel.ErrUnauthentic
	}
	if e.handshake() {
		have := sha256.Sum256([]byte(e.ClientToken))
		match := 0
		for _, s := range secrets {
			want := sha256.Sum256([]byte(s))
			match |= subtle.ConstantTimeCompare(have[:], want[:])
		}
		if match != 1 || len(e.Secret) > secretMax {
			return channel.ErrUnauthentic
		}
		return nil
	}
	if e.Message == nil || !channel.Authentic(channel.OneHeader(r.Header, signatureHeader), secrets, func(secret string) string {
		mac := hmac.New(sha512.New, []byte(secret))
		mac.Write(data)
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}) {
		return channel.ErrUnauthentic
	}
	return nil
}

// Parse implements channel.Webhook. A webhook carries one event.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	e, data, err := open(r.Body)
	if err != nil {
		return nil, channel.Reply{}, err
	}
	if e.handshake() {
		// "Webhooks", "Configure an agent webhook": 200 and the secret as plain text.
		return nil, channel.Reply{Status: http.StatusOK, Type: "text/plain; charset=utf-8", Body: []byte(e.Secret)}, nil
	}
	if e.Message == nil {
		return nil, channel.Reply{}, errors.New("the webhook has no message")
	}
	event, err := parse(data)
	if err != nil {
		return nil, channel.Reply{}, err
	}
	return []channel.Event{event}, channel.Reply{}, nil
}

// happening is a UserMessage, a UserEvent or a ServerEvent; the platform does not say which.
type happening struct {
	Sender    string `json:"senderPhoneNumber"`
	Recipient string `json:"phoneNumber"` // of a ServerEvent
	Agent     string `json:"agentId"`
	MessageID string `json:"messageId"`
	EventType string `json:"eventType"`
	EventID   string `json:"eventId"`
	SendTime  string `json:"sendTime"`

	Text     *string   `json:"text"`
	File     *userFile `json:"userFile"`
	Location *struct {
		Latitude  float64 `json:"latitude"`
		Longitude float64 `json:"longitude"`
	} `json:"location"`
	Suggestion *struct {
		Data string `json:"postbackData"`
		Text string `json:"text"`
		Type string `json:"type"`
	} `json:"suggestionResponse"`
}

// userFile is a UserFile; the thumbnail is left out.
type userFile struct {
	Payload struct {
		MediaType string      `json:"mimeType"`
		Size      json.Number `json:"fileSizeBytes"`
		Name      string      `json:"fileName"`
		URL       string      `json:"fileUri"`
	} `json:"payload"`
}

// known are the fields of a UserMessage that are no content.
var known = map[string]bool{"senderPhoneNumber": true, "messageId": true, "sendTime": true, "agentId": true, "carrier": true, "richMessageClassification": true}

func parse(data []byte) (channel.Event, error) {
	var h happening
	if err := json.Unmarshal(data, &h); err != nil {
		return channel.Event{}, fmt.Errorf("read the event: %w", err)
	}
	number := h.Sender
	if number == "" {
		number = h.Recipient
	}
	e := channel.Event{Account: h.Agent, Sender: channel.Address{Value: number, Assurance: channel.Observed}, At: instant(h.SendTime)}
	if !numberForm.MatchString(number) {
		return channel.Event{}, fmt.Errorf("the event has no phone number in international form")
	}
	if h.EventType != "" {
		return happened(e, h, data), nil
	}
	if h.MessageID == "" {
		return channel.Event{}, errors.New("the message has no messageId")
	}
	e.Key = "msg:" + h.MessageID
	e.Type = channel.MessageEvent
	m := &channel.Message{ExternalID: h.MessageID}
	switch {
	case h.Suggestion != nil && h.Suggestion.Data != "":
		e.Key = "choice:" + h.MessageID
		e.Type = channel.ChoiceEvent
		e.Choice = &channel.Choice{Data: valid(h.Suggestion.Data), Label: valid(h.Suggestion.Text)}
		return e, nil
	case h.Suggestion != nil:
		m.Text = valid(h.Suggestion.Text)
	case h.File != nil:
		p := h.File.Payload
		size, _ := p.Size.Int64()
		name := channel.CleanName(p.Name)
		if name == "" {
			name = "file"
		}
		if isWeb(p.URL) {
			m.Attachments = []channel.Attachment{{Name: name, MediaType: channel.MediaType(p.MediaType), Size: max(size, 0), Remote: p.URL}}
		} else {
			m.Unsupported = "userFile"
		}
	case h.Location != nil:
		m.Text = fmt.Sprintf("https://www.openstreetmap.org/?mlat=%.6f&mlon=%.6f", h.Location.Latitude, h.Location.Longitude)
	case h.Text != nil:
		m.Text = valid(*h.Text)
	}
	if strings.TrimSpace(m.Text) == "" && len(m.Attachments) == 0 && m.Unsupported == "" {
		m.Text, m.Unsupported = "", content(data)
	}
	e.Message = m
	return e, nil
}

// happened is an event about the conversation.
func happened(e channel.Event, h happening, data []byte) channel.Event {
	status := func(state channel.State) channel.Event {
		e.Type = channel.StatusEvent
		e.Key = "status:" + h.MessageID + ":" + string(state)
		e.Status = &channel.Status{ExternalID: h.MessageID, State: state}
		return e
	}
	id := h.EventID
	if id == "" {
		id = strings.TrimPrefix(channel.HashKey("h", string(data)), "h:")
	}
	switch {
	case h.EventType == "DELIVERED" && h.MessageID != "":
		return status(channel.Delivered)
	case h.EventType == "READ" && h.MessageID != "":
		return status(channel.Read)
	case h.EventType == "TTL_EXPIRATION_REVOKED" && h.MessageID != "":
		e = status(channel.Failed)
		e.Status.Code = h.EventType
		e.Status.Reason = channel.Text{DE: "Die Nachricht wurde nicht rechtzeitig zugestellt und zurückgenommen.", EN: "The message was not delivered in time and was taken back."}
	case h.EventType == "TTL_EXPIRATION_REVOKE_FAILED" && h.MessageID != "":
		// "Events": delivery is not guaranteed; a DELIVERED may still come.
		e = status(channel.Uncertain)
		e.Status.Code = h.EventType
		e.Status.Reason = channel.Text{DE: "Die Frist der Nachricht ist abgelaufen; ob sie ankam, ist ungewiss.", EN: "The message's time has run out; whether it arrived is uncertain."}
	case h.EventType == "IS_TYPING":
		e.Type, e.Key = channel.TypingEvent, "typing:"+id
	case h.EventType == "UNSUBSCRIBE":
		e.Type, e.Key = channel.OptOutEvent, "optout:"+id
	case h.EventType == "SUBSCRIBE":
		e.Type, e.Key = channel.StartEvent, "start:"+id
	default:
		e.Type, e.Key = channel.UnparsedEvent, "event:"+id
		e.Error = fmt.Sprintf("event of type %q", h.EventType)
		e.Raw = raw(data)
	}
	return e
}

// content names what kind of content a message has that we do not know.
func content(data []byte) string {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(data, &fields)
	name := ""
	for f := range fields {
		if !known[f] && (name == "" || f < name) {
			name = f
		}
	}
	if name = channel.CleanName(name); name == "" {
		return "empty message"
	}
	return name
}

func isWeb(raw string) bool {
	return strings.HasPrefix(raw, "https://") || strings.HasPrefix(raw, "http://")
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// raw is a compact copy, since an event's bytes must not share memory with the request.
func raw(data []byte) json.RawMessage {
	var v json.RawMessage
	if json.Unmarshal(data, &v) != nil {
		return nil
	}
	out, err := json.Marshal(v) // compact, so that storing it changes nothing
	if err != nil {
		return nil
	}
	return out
}

// instant reads a time of the platform; zero if it is none.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UTC().Year() < 2000 || t.UTC().Year() > 9998 {
		return time.Time{}
	}
	return t.UTC()
}
