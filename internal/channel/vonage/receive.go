package vonage

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

const maxAge = 5 * time.Minute

// claims are those of a signed webhook ("Signed webhooks").
type claims struct {
	jwt.RegisteredClaims
	PayloadHash string `json:"payload_hash"`
	APIKey      string `json:"api_key"`
	Application string `json:"application_id"`
}

// Only HS256 is taken: neither "none" nor a public key may stand in for the secret. Unused bits have to be zero.
var parser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())

// Verify implements channel.Webhook: a JWT that the signature secret signs, young, for our key, over this very body.
func (Driver) Verify(a channel.Account, r *channel.Request, now time.Time) error {
	token, ok := strings.CutPrefix(channel.OneHeader(r.Header, "Authorization"), "Bearer ")
	if !ok || token == "" {
		return channel.ErrUnauthentic
	}
	var c claims
	valid := false
	for _, secret := range channel.Rotation(a.Settings["signature_secret"]) {
		var try claims
		if t, err := parser.ParseWithClaims(token, &try, func(*jwt.Token) (any, error) { return []byte(secret), nil }); err == nil && t.Valid {
			c, valid = try, true
		}
	}
	sum := sha256.Sum256(r.Body)
	switch {
	case !valid,
		c.IssuedAt == nil || !channel.Fresh(c.IssuedAt.Time, now, maxAge),
		c.ExpiresAt != nil && now.After(c.ExpiresAt.Time),
		c.NotBefore != nil && now.Before(c.NotBefore.Add(-maxAge)),
		c.APIKey == "" || c.APIKey != a.Settings["api_key"],
		c.Application != "" && a.Settings["application_id"] != "" && c.Application != a.Settings["application_id"],
		subtle.ConstantTimeCompare([]byte(c.PayloadHash), []byte(hex.EncodeToString(sum[:]))) != 1:
		return channel.ErrUnauthentic
	}
	return nil
}

// hook is an inbound message or a status.
type hook struct {
	ID        string          `json:"message_uuid"`
	Channel   string          `json:"channel"`
	To        string          `json:"to"`
	From      string          `json:"from"`
	Timestamp string          `json:"timestamp"`
	ClientRef string          `json:"client_ref"`
	Type      string          `json:"message_type"`
	Text      string          `json:"text"`
	Image     *file           `json:"image"`
	Audio     *file           `json:"audio"`
	Video     *file           `json:"video"`
	File      *file           `json:"file"`
	VCard     *file           `json:"vcard"`
	Status    string          `json:"status"`
	Error     json.RawMessage `json:"error"`
}

type file struct {
	URL     string `json:"url"`
	Name    string `json:"name"`
	Caption string `json:"caption"`
}

// problem is RFC 7807 as Vonage writes it; title is the code, sometimes as a number.
type problem struct {
	Type   string          `json:"type"`
	Title  json.RawMessage `json:"title"`
	Detail string          `json:"detail"`
	Nested *problem        `json:"error"` // some versions wrap it once more
	Params []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"invalid_parameters"`
}

// code is what follows the "#" of the type, otherwise a numeric title.
func (p problem) code() string {
	if _, code, ok := strings.Cut(p.Type, "#"); ok && isDigits(code) {
		return code
	}
	if title := strings.Trim(string(p.Title), `"`); isDigits(title) {
		return title
	}
	return ""
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Parse implements channel.Webhook. A webhook is one inbound message or one status; the same address serves both.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	var h hook
	if err := json.Unmarshal(r.Body, &h); err != nil {
		return nil, channel.Reply{}, fmt.Errorf("this is no webhook of the Messages API v1: %w", err)
	}
	if h.ID == "" {
		return nil, channel.Reply{}, errors.New("there is no message_uuid: this is no webhook of the Messages API v1 (Settings: choose Messages API, not SMS API)")
	}
	at, _ := time.Parse(time.RFC3339, h.Timestamp)
	if at = at.UTC(); at.Year() < 1990 || at.Year() > 9999 {
		at = time.Time{}
	}
	reply := channel.Reply{Status: http.StatusOK}
	if h.Status != "" && h.Type == "" {
		return []channel.Event{h.status(at)}, reply, nil
	}
	if h.Channel != "" && h.Channel != "sms" && h.Channel != "mms" {
		return nil, channel.Reply{}, fmt.Errorf("a message of the channel %q: this channel is for SMS only", h.Channel)
	}
	if h.From == "" {
		return nil, channel.Reply{}, errors.New("a message without from")
	}
	return h.inbound(at), reply, nil
}

// address is the customer. A sender's number can be forged in SMS: it is a claim and no proof (channels.md: a phone is
// verified by an answered code only), so Assurance stays "".
func address(raw string) (channel.Address, sms.PartyKind) {
	if p := sms.FromProvider(raw); p.Kind != sms.Nobody {
		return channel.Address{Value: p.Value}, p.Kind
	}
	return channel.Address{Value: raw}, sms.Nobody
}

func (h hook) inbound(at time.Time) []channel.Event {
	sender, kind := address(h.From)
	m := &channel.Message{ExternalID: h.ID, Automatic: kind != sms.Phone} // short codes and names are machines
	var f *file
	media := ""
	switch h.Type {
	case "text":
		m.Text = h.Text
	case "image":
		f, media = h.Image, "image/*"
	case "audio":
		f, media = h.Audio, "audio/*"
	case "video":
		f, media = h.Video, "video/*"
	case "file":
		f, media = h.File, "application/octet-stream"
	case "vcard":
		f, media = h.VCard, "text/vcard"
	default:
		m.Unsupported = h.Type
	}
	if f != nil && f.URL != "" {
		name := f.Name
		if name == "" {
			name = path.Base(strings.SplitN(f.URL, "?", 2)[0])
		}
		m.Text = f.Caption
		m.Attachments = []channel.Attachment{{Name: name, MediaType: media, Remote: f.URL}}
	}
	if m.Text == "" && len(m.Attachments) == 0 && m.Unsupported == "" {
		m.Unsupported = "empty " + h.Type
	}
	events := []channel.Event{{Key: "msg:" + h.ID, Type: channel.MessageEvent, Account: h.To, Sender: sender, At: at, Message: m}}
	switch sms.ParseWord(m.Text) {
	case sms.Stop:
		events = append(events, channel.Event{Key: "optout:" + h.ID, Type: channel.OptOutEvent, Account: h.To, Sender: sender, At: at})
	case sms.Start:
		events = append(events, channel.Event{Key: "start:" + h.ID, Type: channel.StartEvent, Account: h.To, Sender: sender, At: at})
	}
	return events
}

// states are the statuses ("Messages API status callbacks").
var states = map[string]channel.State{"submitted": channel.Sent, "delivered": channel.Delivered, "read": channel.Read,
	"rejected": channel.Failed, "undeliverable": channel.Failed}

func (h hook) status(at time.Time) channel.Event {
	e := channel.Event{Key: "status:" + h.ID + ":" + h.Status, Type: channel.StatusEvent, Account: h.From, At: at}
	if h.To != "" {
		e.Sender, _ = address(h.To)
	}
	state, ok := states[h.Status]
	if !ok {
		e.Type, e.Error = channel.UnparsedEvent, fmt.Sprintf("unknown message status %q", h.Status)
		return e
	}
	e.Status = &channel.Status{ExternalID: h.ID, DeliveryID: h.ClientRef, State: state}
	var p problem
	if len(h.Error) > 0 && json.Unmarshal(h.Error, &p) == nil {
		if p.Nested != nil {
			p = *p.Nested
		}
		e.Status.Code, e.Status.Error = p.code(), p.Detail
		e.Status.Reason = codes[e.Status.Code].reason
	}
	return e
}
