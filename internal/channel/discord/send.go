package discord

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
)

// agent names us as "API Reference" (User Agent) asks for.
const agent = "DiscordBot (https://github.com/rufweite/rufweite, 1)"

// created is the body of "Create Message".
type created struct {
	Content    string          `json:"content,omitempty"`
	Nonce      string          `json:"nonce"`
	Enforce    bool            `json:"enforce_nonce"`
	Mentions   map[string]any  `json:"allowed_mentions"`
	Reference  *reference      `json:"message_reference,omitempty"`
	Components []row           `json:"components,omitempty"`
	Files      []fileReference `json:"attachments,omitempty"`
}

type reference struct {
	MessageID string `json:"message_id"`
	Fail      bool   `json:"fail_if_not_exists"`
}

type row struct {
	Type       int      `json:"type"`
	Components []button `json:"components"`
}

type button struct {
	Type     int    `json:"type"`
	Style    int    `json:"style"`
	Label    string `json:"label"`
	CustomID string `json:"custom_id"`
}

type fileReference struct {
	ID   int    `json:"id"`
	Name string `json:"filename"`
}

// Send implements channel.Sender.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	if !snowflake(out.To.Value) {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%q is no user id", out.To.Value), Reason: channel.Text{
			DE: "Die Adresse ist kein Discord-Konto.", EN: "The address is no Discord account."}}
	}
	parts, err := split(d.Capabilities(), out)
	if err != nil {
		return channel.Receipt{}, err
	}
	n := 0
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		id, err := send(ctx, a, out.To.Value, p, nonce(out.DeliveryID, n, len(parts)), env)
		if err == nil {
			n++ // parts go one after the other
		}
		return id, err
	})
}

// split renders the parts: what is literal in our text has to be escaped, which makes it longer.
func split(c channel.Capabilities, out channel.Outgoing) ([]channel.Part, error) {
	for _, limit := range []int{textMax, textMax * 3 / 4, textMax / 2} { // escaping doubles at most
		c.TextMax, c.CaptionMax = limit, limit
		parts, err := c.Parts(out)
		if err != nil {
			return nil, err
		}
		fits := true
		for i := range parts {
			parts[i].Text = escape(parts[i].Text)
			fits = fits && utf8.RuneCountInString(parts[i].Text) <= textMax
		}
		if fits {
			return parts, nil
		}
	}
	return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("the text does not fit"), Reason: channel.Text{DE: "Der Text ist zu lang.", EN: "The text is too long."}}
}

// escape makes a text read as it is written: Discord takes * _ ` ~ | [ < everywhere, and > # - at the beginning of a line, for
// markup or mentions ("API Reference", Message Formatting). Addresses of pages stay, so that they can be followed.
func escape(text string) string {
	if !strings.ContainsAny(text, "\\*_`~|[<>#-") {
		return text
	}
	var b strings.Builder
	lineStart := true
	for len(text) > 0 {
		if strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://") {
			n := strings.IndexAny(text, " \t\r\n<>")
			if n < 0 {
				n = len(text)
			}
			b.WriteString(text[:n])
			text, lineStart = text[n:], false
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		switch r {
		case '\\', '*', '_', '`', '~', '|', '[', '<':
			b.WriteByte('\\')
		case '>', '#', '-':
			if lineStart {
				b.WriteByte('\\')
			}
		}
		b.WriteString(text[:n])
		if r == '\n' {
			lineStart = true
		} else if r != ' ' && r != '\t' {
			lineStart = false
		}
		text = text[n:]
	}
	return b.String()
}

// nonce is what Discord refuses a second message by, for some minutes; at most 25 characters. It holds the delivery's id, so
// that a message that comes back by the Gateway names its delivery: as it is for a message of one part, with a mark for the
// last of several (which is sent only after the others), with a number for the others.
func nonce(deliveryID string, part, of int) string {
	b, err := hex.DecodeString(strings.ReplaceAll(deliveryID, "-", ""))
	if err != nil || len(b) != 16 || len(deliveryID) != 36 || part > 99 {
		sum := sha256.Sum256([]byte(deliveryID + " " + strconv.Itoa(part)))
		return base64.RawURLEncoding.EncodeToString(sum[:18])
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	switch {
	case of == 1:
		return s
	case part == of-1:
		return s + lastPart
	default:
		return s + "." + strconv.Itoa(part)
	}
}

const lastPart = ".z"

// deliveryOf is the delivery that has arrived as a whole once a message with that nonce has; "" if none has. whole tells that
// this message is all of it.
func deliveryOf(nonce string) (id string, whole bool) {
	nonce, last := strings.CutSuffix(nonce, lastPart)
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != 16 {
		return "", false
	}
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], !last
}

func send(ctx context.Context, a channel.Account, to string, p channel.Part, nonce string, env channel.Env) (string, error) {
	chat, err := directChannel(ctx, a, to, env)
	if err != nil {
		return "", err
	}
	m := created{Content: p.Text, Nonce: nonce, Enforce: true, Mentions: map[string]any{"parse": []string{}}}
	if snowflake(p.ReplyTo) {
		m.Reference = &reference{MessageID: p.ReplyTo}
	}
	for i, c := range p.Choices {
		if i%rowMax == 0 {
			m.Components = append(m.Components, row{Type: 1})
		}
		last := &m.Components[len(m.Components)-1]
		last.Components = append(last.Components, button{Type: 2, Style: 2, Label: c.Label, CustomID: c.Data})
	}
	url := apiURL(a) + "/channels/" + chat + "/messages"
	call := channel.JSON(url, m)
	if p.File != nil {
		m.Files = []fileReference{{0, channel.FileName(p.File.Name)}}
		payload := channel.JSON(url, m).Body
		call = channel.Call{URL: url, Timeout: 2 * time.Minute}.Multipart([]channel.Field{{Name: "payload_json", Value: string(payload)}}, "files[0]", *p.File)
	}
	answer, err := ask(ctx, a, call, env)
	if err != nil {
		return "", err
	}
	if !answer.OK() {
		failure := refusal(answer, "send a message")
		if failure.Code == "10003" || failure.Code == "50001" {
			chats.forget(a, to)
		}
		return "", failure
	}
	var body struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(answer.Body, &body) != nil || !snowflake(body.ID) {
		return "", channel.Unexpected(answer, "send a message")
	}
	return body.ID, nil
}

// ask makes a call as the bot.
func ask(ctx context.Context, a channel.Account, c channel.Call, env channel.Env) (channel.Answer, error) {
	token := a.Settings["bot_token"]
	return c.With("Authorization", "Bot "+token, token).With("User-Agent", agent).Do(ctx, env.HTTP)
}

// get reads something that changes nothing: whatever fails may be tried again.
func get(ctx context.Context, a channel.Account, path string, v any, env channel.Env) error {
	answer, err := ask(ctx, a, channel.Call{Method: http.MethodGet, URL: apiURL(a) + path, Max: 16 << 20}, env)
	if err == nil && !answer.OK() {
		err = refusal(answer, "read "+path)
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(answer.Body))
		if d.Decode(v) != nil {
			err = channel.Unexpected(answer, "read "+path)
		}
	}
	return notYet(err)
}

// notYet is an error of a call that sends no message: nothing can have arrived.
func notYet(err error) error {
	var e *channel.SendError
	if errors.As(err, &e) && e.Class == channel.Unknown {
		return &channel.SendError{Class: channel.Temporary, Code: e.Code, Err: e.Err, Reason: channel.Text{
			DE: "Discord antwortet gerade nicht; es wird erneut versucht.", EN: "Discord does not answer now; it is tried again."}}
	}
	return err
}

// directory remembers the channel of a user's direct messages, which is the same for good: "Create DM" gives an existing one
// back, and opening many is limited.
type directory struct {
	sync.Mutex
	list map[string]string
}

var chats = directory{list: map[string]string{}}

const chatsMax = 20000

func (d *directory) key(a channel.Account, user string) string {
	h := sha256.Sum256([]byte(a.Org + "\x00" + a.Settings["bot_token"] + "\x00" + user))
	return string(h[:16])
}

func (d *directory) find(a channel.Account, user string) string {
	d.Lock()
	defer d.Unlock()
	return d.list[d.key(a, user)]
}

func (d *directory) remember(a channel.Account, user, chat string) {
	d.Lock()
	defer d.Unlock()
	if len(d.list) >= chatsMax {
		n := 0
		for k := range d.list { // any tenth will do
			delete(d.list, k)
			if n++; n > chatsMax/10 {
				break
			}
		}
	}
	d.list[d.key(a, user)] = chat
}

func (d *directory) forget(a channel.Account, user string) {
	d.Lock()
	defer d.Unlock()
	delete(d.list, d.key(a, user))
}

// directChannel opens the chat with a user ("Create DM").
func directChannel(ctx context.Context, a channel.Account, user string, env channel.Env) (string, error) {
	if chat := chats.find(a, user); chat != "" {
		return chat, nil
	}
	answer, err := ask(ctx, a, channel.JSON(apiURL(a)+"/users/@me/channels", map[string]string{"recipient_id": user}), env)
	if err == nil && !answer.OK() {
		err = refusal(answer, "open the chat")
	}
	var body struct {
		ID string `json:"id"`
	}
	if err == nil && (json.Unmarshal(answer.Body, &body) != nil || !snowflake(body.ID)) {
		err = channel.Unexpected(answer, "open the chat")
	}
	if err != nil {
		return "", notYet(err)
	}
	chats.remember(a, user, body.ID)
	if env.Next != nil { // the message is one request more
		if err := env.Next(ctx); err != nil {
			return "", notYet(channel.Uncertainly(err))
		}
	}
	return body.ID, nil
}

// refusal is what an answer that is no success means ("Opcodes and Status Codes", JSON; "Rate Limits").
func refusal(answer channel.Answer, what string) *channel.SendError {
	var body struct {
		Code       *int            `json:"code"`
		Message    *string         `json:"message"`
		RetryAfter float64         `json:"retry_after"`
		Errors     json.RawMessage `json:"errors"`
	}
	readable := json.Unmarshal(answer.Body, &body) == nil && body.Message != nil
	if answer.Status == http.StatusTooManyRequests {
		wait := time.Duration(min(max(body.RetryAfter, 0), 24*3600) * float64(time.Second))
		if wait = max(wait, answer.RetryAfter()); wait == 0 {
			wait = time.Minute // Cloudflare's ban after too many invalid requests says nothing
		}
		return &channel.SendError{Class: channel.RateLimited, Code: "429", RetryAfter: wait, Err: fmt.Errorf("%s: too fast", what), Reason: slow}
	}
	if !readable {
		return channel.Unexpected(answer, what)
	}
	code := answer.Status
	if body.Code != nil && *body.Code != 0 {
		code = *body.Code
	}
	e := &channel.SendError{Class: channel.Permanent, Code: strconv.Itoa(code), Err: fmt.Errorf("%s: %s %s", what, channel.CleanName(*body.Message), channel.CleanName(string(body.Errors))), Reason: channel.Text{
		DE: "Discord hat die Nachricht abgelehnt.", EN: "Discord has refused the message."}}
	switch code {
	case 50007, 50278: // cannot send messages to this user; no server in common
		e.Class, e.Reason = channel.Blocked, channel.Text{DE: "Der Kunde nimmt keine Nachrichten des Bots an: Er hat ihn blockiert oder ist auf keinem gemeinsamen Server mehr.", EN: "The customer accepts no messages of the bot: they blocked it, or share no server with it any more."}
	case 10003, 10013, 50033: // unknown channel, unknown user, invalid recipient
		e.Class, e.Reason = channel.NotHere, channel.Text{DE: "Dieses Konto gibt es auf Discord nicht.", EN: "This account does not exist on Discord."}
	case 401, 40001:
		e.Class, e.Reason = channel.Misconfig, wrongToken(nil).Reason
	case 403, 50001, 50013, 40002, 20012:
		e.Class, e.Reason = channel.Misconfig, channel.Text{DE: "Der Bot darf hier nicht schreiben.", EN: "The bot may not write here."}
	case 20016, 20028, 40003: // slowmode, writing too fast, opening direct messages too fast
		e.Class, e.RetryAfter, e.Reason = channel.RateLimited, max(answer.RetryAfter(), time.Minute), slow
	case 130000: // the API is overloaded
		e.Class, e.RetryAfter, e.Reason = channel.Temporary, max(answer.RetryAfter(), 30*time.Second), channel.Text{DE: "Discord ist überlastet; es wird erneut versucht.", EN: "Discord is overloaded; it is tried again."}
	case 40005, 413:
		e.Reason = channel.Text{DE: "Die Datei ist für Discord zu groß.", EN: "The file is too large for Discord."}
	case 200000, 240000:
		e.Reason = channel.Text{DE: "Ein Filter von Discord lässt diesen Text oder Link nicht zu.", EN: "A filter of Discord's does not allow this text or link."}
	default:
		if answer.Status >= 500 {
			return &channel.SendError{Class: channel.Unknown, Code: e.Code, Err: e.Err, Reason: channel.Uncertainly(nil).Reason}
		}
	}
	return e
}

var slow = channel.Text{DE: "Discord bremst: zu viele Nachrichten.", EN: "Discord slows us down: too many messages."}

// FetchMedia implements channel.Fetcher. Addresses of files expire after a day ("API Reference", Signed Attachment CDN URLs);
// the message then has a new one. The bot's token never goes to the place of the files.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	address, where, _ := strings.Cut(remote, "#")
	gone := func(err error) error {
		return &channel.SendError{Class: channel.Permanent, Err: err, Reason: channel.Text{DE: "Die Datei gibt es bei Discord nicht mehr.", EN: "The file does not exist at Discord any more."}}
	}
	if !mediaHost(a, address) {
		return nil, gone(errors.New("the file lies outside Discord"))
	}
	f, err := channel.Call{URL: address}.With("User-Agent", agent).Media(ctx, env.HTTP, downloadMax)
	var e *channel.SendError
	if err == nil || !errors.As(err, &e) || e.Code != "403" && e.Code != "404" && e.Code != "410" {
		return f, err
	}
	place := strings.Split(where, "/")
	if len(place) != 3 || !snowflake(place[0]) || !snowflake(place[1]) {
		return nil, gone(err)
	}
	var m message
	if err := get(ctx, a, "/channels/"+place[0]+"/messages/"+place[1], &m, env); err != nil {
		if errors.As(err, &e) && (e.Code == "10008" || e.Code == "10003" || e.Code == "50001") {
			return nil, gone(err)
		}
		return nil, err
	}
	for _, file := range m.Files {
		if file.ID == place[2] && mediaHost(a, file.URL) && file.URL != address {
			return channel.Call{URL: file.URL}.With("User-Agent", agent).Media(ctx, env.HTTP, downloadMax)
		}
	}
	return nil, gone(err)
}

// mediaHost reports whether a file lies where Discord keeps files, or at the stand-in for it.
func mediaHost(a channel.Account, address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	if host := standIn(a); host != "" && u.Host == host {
		return u.Scheme == "http" || u.Scheme == "https"
	}
	return u.Scheme == "https" && (u.Host == "cdn.discordapp.com" || u.Host == "media.discordapp.net")
}

// Probe implements channel.Prober.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	var app struct {
		ID  string `json:"id"`
		Key string `json:"verify_key"`
	}
	if err := get(ctx, a, "/applications/@me", &app, env); err != nil {
		return asTrouble(err)
	}
	if app.ID != a.Settings["application_id"] {
		return trouble(fmt.Errorf("the token is of application %s", channel.CleanName(app.ID)),
			channel.Text{DE: "Der Token gehört zu einer anderen Anwendung als application_id.", EN: "The token is of another application than application_id."},
			channel.Text{DE: "Nehmen Sie beides aus derselben Anwendung im Developer Portal.", EN: "Take both from the same application in the Developer Portal."})
	}
	if keys := channel.Rotation(a.Settings["public_key"]); len(keys) > 0 && app.Key != "" && keys[0] != app.Key {
		return trouble(errors.New("public_key is not the application's"),
			channel.Text{DE: "public_key ist nicht der Schlüssel dieser Anwendung.", EN: "public_key is not this application's key."},
			channel.Text{DE: "Developer Portal → General Information → Public Key.", EN: "Developer Portal → General Information → Public Key."})
	}
	var me user
	return asTrouble(get(ctx, a, "/users/@me", &me, env))
}

// asTrouble turns the error of a call into one that a person can mend.
func asTrouble(err error) error {
	var e *channel.SendError
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == "401" || e.Code == "40001":
		return wrongToken(err)
	case e.Class == channel.Permanent:
		return trouble(err, channel.Text{DE: "Unter api_url antwortet nicht die Schnittstelle von Discord.", EN: "It is not Discord's API that answers at api_url."},
			channel.Text{DE: "Lassen Sie api_url leer, oder geben Sie sie mit der Version an (…/api/v10).", EN: "Leave api_url empty, or give it with its version (…/api/v10)."})
	case e.Class == channel.Misconfig:
		return trouble(err, e.Reason, channel.Text{DE: "Prüfen Sie bot_token und api_url.", EN: "Check bot_token and api_url."})
	default:
		return unreachable(err)
	}
}
