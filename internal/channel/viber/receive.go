package viber

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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

	"github.com/rufweite/rufweite/internal/channel"
)

const signatureHeader = "X-Viber-Content-Signature"

// Verify implements channel.Webhook ("REST Bot API", Callbacks). The documents name the header; Viber's own library for
// Node takes the query parameter sig in its place, so that is accepted where there is no header.
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	signature := channel.OneHeader(r.Header, signatureHeader)
	if len(r.Header.Values(signatureHeader)) == 0 && len(r.Query["sig"]) == 1 {
		signature = r.Query.Get("sig")
	}
	if r.Method != http.MethodPost || !channel.Authentic(signature, channel.Rotation(a.Settings["auth_token"]), func(token string) string {
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write(r.Body)
		return hex.EncodeToString(mac.Sum(nil))
	}) {
		return channel.ErrUnauthentic
	}
	return nil
}

// callback is what Viber sends; which fields there are depends on Event.
type callback struct {
	Event     string      `json:"event"`
	Timestamp json.Number `json:"timestamp"`
	Token     json.Number `json:"message_token"` // 64 bits
	UserID    string      `json:"user_id"`
	User      *user       `json:"user"`
	Sender    *user       `json:"sender"`
	Context   string      `json:"context"`
	Desc      string      `json:"desc"`
	Message   *message    `json:"message"`
}

type user struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Language string `json:"language"`
}

type message struct {
	Type     string      `json:"type"`
	Text     string      `json:"text"`
	Media    string      `json:"media"`
	FileName string      `json:"file_name"`
	FileSize json.Number `json:"file_size"`
	Size     json.Number `json:"size"`
	Location *struct {
		Lat json.Number `json:"lat"`
		Lon json.Number `json:"lon"`
	} `json:"location"`
	Contact *struct {
		Name  string `json:"name"`
		Phone string `json:"phone_number"`
	} `json:"contact"`
}

var (
	languageForm = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
	done         = channel.Reply{Status: http.StatusOK}
)

func (u *user) address() channel.Address {
	a := channel.Address{Value: u.ID, Name: channel.CleanName(u.Name), Assurance: channel.Observed}
	if l := strings.ReplaceAll(u.Language, "_", "-"); languageForm.MatchString(l) && len(l) <= 35 {
		a.Language = l
	}
	return a
}

// Parse implements channel.Webhook. Viber sends one event at a time.
func (Driver) Parse(a channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	var in callback
	if err := json.Unmarshal(r.Body, &in); err != nil {
		return nil, channel.Reply{}, fmt.Errorf("read the callback: %w", err)
	}
	if in.Event == "webhook" { // only asks whether we are there ("Set webhook callback")
		return nil, done, nil
	}
	e, why := in.event(a)
	if why != "" {
		e = channel.Event{Type: channel.UnparsedEvent, Error: why, Key: channel.HashKey("unparsed", string(r.Body))}
		if raw, err := json.Marshal(json.RawMessage(strings.ToValidUTF8(string(r.Body), "\uFFFD"))); err == nil {
			e.Raw = raw
		}
	}
	return []channel.Event{e}, done, nil
}

// event gives the event, or why there is none.
func (in *callback) event(a channel.Account) (e channel.Event, why string) {
	id := in.Token.String()
	if n, err := strconv.ParseInt(in.Timestamp.String(), 10, 64); err == nil {
		if at := time.UnixMilli(n).UTC(); at.Year() >= 2000 && at.Year() <= 9999 {
			e.At = at
		}
	}
	if id == "" {
		return e, fmt.Sprintf("a callback %.40q without message_token", in.Event)
	}
	who := in.User
	switch {
	case who == nil && in.Sender != nil:
		who = in.Sender
	case who == nil:
		who = &user{ID: in.UserID}
	}
	if who.ID == "" {
		return e, fmt.Sprintf("a callback %.40q that names nobody", in.Event)
	}
	e.Sender = who.address()
	status := func(state channel.State) {
		e.Type, e.Key, e.Status = channel.StatusEvent, "status:"+id+":"+string(state), &channel.Status{ExternalID: id, State: state}
	}
	switch in.Event {
	case "message":
		if in.Message == nil {
			return e, "a message without content"
		}
		in.Message.into(&e, a, id)
	case "conversation_started":
		e.Type, e.Key, e.Token = channel.StartEvent, "start:"+id, in.Context
	case "subscribed":
		e.Type, e.Key = channel.StartEvent, "start:"+id
	case "unsubscribed":
		e.Type, e.Key = channel.OptOutEvent, "out:"+id
	case "delivered":
		status(channel.Delivered)
	case "seen":
		status(channel.Read)
	case "failed":
		status(channel.Failed)
		e.Status.Error = in.Desc
	default:
		return e, fmt.Sprintf("an unknown callback %.40q", in.Event)
	}
	return e, ""
}

// into makes an event of a message.
func (m *message) into(e *channel.Event, a channel.Account, id string) {
	if m.Type == "text" {
		if c, ok := pressed(a, e.Sender.Value, m.Text); ok {
			e.Type, e.Key, e.Choice = channel.ChoiceEvent, "choice:"+id, &c
			return
		}
	}
	msg := &channel.Message{ExternalID: id, Text: m.Text}
	e.Type, e.Key, e.Message = channel.MessageEvent, "msg:"+id, msg
	file := func(fallback string) {
		if !fetchable(m.Media) {
			return
		}
		size, _ := strconv.ParseInt(m.FileSize.String(), 10, 64)
		if size <= 0 {
			size, _ = strconv.ParseInt(m.Size.String(), 10, 64)
		}
		msg.Attachments = []channel.Attachment{{Name: m.name(), MediaType: m.mediaType(fallback), Size: max(size, 0), Remote: m.Media}}
	}
	switch m.Type {
	case "text":
	case "picture":
		file("image/jpeg")
	case "video":
		file("video/mp4")
	case "file":
		file("application/octet-stream")
	case "sticker":
		file("image/png")
	case "url":
		msg.Text = lines(m.Text, m.Media)
	case "location":
		if l := m.Location; l != nil && l.Lat != "" && l.Lon != "" {
			msg.Text = lines(m.Text, l.Lat.String()+", "+l.Lon.String())
		}
	case "contact":
		if c := m.Contact; c != nil {
			number := c.Phone
			if number != "" && strings.Trim(number, "0123456789") == "" {
				number = "+" + number
			}
			msg.Text = lines(m.Text, channel.CleanName(c.Name), number)
		}
	default:
		msg.Unsupported = m.Type
	}
	if msg.Text == "" && len(msg.Attachments) == 0 && msg.Unsupported == "" {
		msg.Unsupported = m.Type
	}
	if msg.Text == "" && len(msg.Attachments) == 0 && msg.Unsupported == "" {
		msg.Unsupported = "message"
	}
}

// lines puts texts under each other, each once.
func lines(texts ...string) string {
	var out []string
	for _, t := range texts {
		if t != "" && (len(out) == 0 || out[len(out)-1] != t) {
			out = append(out, t)
		}
	}
	return strings.Join(out, "\n")
}

func fetchable(link string) bool {
	return strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://")
}

func (m *message) name() string {
	if name := channel.CleanName(m.FileName); name != "" {
		return name
	}
	if u, err := url.Parse(m.Media); err == nil {
		if name := channel.CleanName(path.Base(u.Path)); path.Ext(name) != "" {
			return name
		}
	}
	return m.Type
}

// types of files by extension: those that the documents name. The machine's own table would not be pure.
var types = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".mp4": "video/mp4",
	".pdf": "application/pdf", ".txt": "text/plain", ".csv": "text/csv", ".zip": "application/zip", ".mp3": "audio/mpeg", ".m4a": "audio/mp4",
	".doc": "application/msword", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xls": "application/vnd.ms-excel", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

func (m *message) mediaType(fallback string) string {
	ext := path.Ext(m.FileName)
	if ext == "" {
		if u, err := url.Parse(m.Media); err == nil {
			ext = path.Ext(u.Path)
		}
	}
	t := types[strings.ToLower(ext)]
	major, _, _ := strings.Cut(fallback, "/")
	if t == "" || major != "application" && !strings.HasPrefix(t, major+"/") {
		return fallback
	}
	return t
}

// A pressed button comes back as a text message that says ActionBody, just like one that was typed. ActionBody therefore
// carries label, data and a proof over both and the person, which nobody can type who does not have the bot's token.
// The label comes first, for apps too old to keep the text to themselves (Silent).
const (
	bodyMark = " #"
	macLen   = 16
)

func proof(token, person, label, data string) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	for _, part := range []string{"rufweite viber button", person, label, data} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)[:macLen]
}

func actionBody(token, person string, c channel.Choice) string {
	label := strings.Join(strings.Fields(c.Label), " ")
	return label + bodyMark + base64.RawURLEncoding.EncodeToString([]byte(c.Data)) + "." + base64.RawURLEncoding.EncodeToString(proof(token, person, label, c.Data))
}

// pressed tells which button of ours a text is.
func pressed(a channel.Account, person, text string) (channel.Choice, bool) {
	at := strings.LastIndex(text, bodyMark)
	if at < 0 {
		return channel.Choice{}, false
	}
	data, mac, ok := strings.Cut(text[at+len(bodyMark):], ".")
	if !ok {
		return channel.Choice{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(data)
	if err != nil {
		return channel.Choice{}, false
	}
	c := channel.Choice{Label: text[:at], Data: string(raw)}
	if !channel.Authentic(mac, channel.Rotation(a.Settings["auth_token"]), func(token string) string {
		return base64.RawURLEncoding.EncodeToString(proof(token, person, c.Label, c.Data))
	}) {
		return channel.Choice{}, false
	}
	return c, true
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
