package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// rooms remembers in which room somebody is written to. It only saves a request: the truth lies at the homeserver.
type rooms struct {
	mu sync.Mutex
	of map[string]string // account and user → room
}

const roomsMax = 10_000

func (r *rooms) get(a channel.Account, user string) string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[a.ID+" "+user]
}

func (r *rooms) set(a channel.Account, user, room string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if room == "" {
		delete(r.of, a.ID+" "+user)
		return
	}
	if len(r.of) >= roomsMax {
		for k := range r.of { // any one: it is asked for again when needed
			delete(r.of, k)
			break
		}
	}
	r.of[a.ID+" "+user] = room
}

// client calls the Client-Server API of one account.
type client struct {
	a    channel.Account
	env  channel.Env
	base string
	self string
}

func newClient(a channel.Account, env channel.Env) client {
	return client{a: a, env: env, self: a.Settings["user_id"], base: strings.TrimRight(a.Settings.Or("api_url", a.Settings["homeserver"]), "/")}
}

// path joins what it is given, each part escaped.
func path(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// call makes an authorised call. As an application service we say as whom we act (AS API, "Identity assertion").
func (c client) call(method, path string, query url.Values, body any) channel.Call {
	if query == nil {
		query = url.Values{}
	}
	token := c.a.Settings["access_token"]
	if as := c.a.Settings["as_token"]; as != "" {
		token = as
		query.Set("user_id", c.self)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	call := channel.Call{URL: target}
	if body != nil {
		call = channel.JSON(target, body)
	}
	call.Method = method
	return call.Bearer(token)
}

// do calls and reads the answer into v (may be nil). Errors are *channel.SendError.
func (c client) do(ctx context.Context, call channel.Call, v any) error {
	answer, err := call.Do(ctx, c.env.HTTP)
	if err != nil {
		return err
	}
	if !answer.OK() {
		return refused(answer)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, v); err != nil {
		return channel.Uncertainly(fmt.Errorf("the homeserver's answer cannot be read: %w", err))
	}
	return nil
}

const client3 = "/_matrix/client/v3"

// refused turns the standard error response into ours (Client API, "Standard error response").
func refused(a channel.Answer) *channel.SendError {
	var e struct {
		Code  string      `json:"errcode"`
		Text  string      `json:"error"`
		After json.Number `json:"retry_after_ms"`
	}
	if json.Unmarshal(a.Body, &e) != nil || e.Code == "" {
		if a.Status == http.StatusTooManyRequests {
			return limited(a, 0)
		}
		return channel.Unexpected(a, "homeserver")
	}
	out := &channel.SendError{Code: e.Code, Class: channel.Permanent, Err: fmt.Errorf("homeserver: %s %s", e.Code, short(e.Text, 200)), Reason: channel.Text{
		DE: "Der Homeserver hat die Nachricht abgelehnt.", EN: "The homeserver refused the message."}}
	switch e.Code {
	case "M_LIMIT_EXCEEDED":
		ms, _ := e.After.Int64()
		return limited(a, time.Duration(min(max(ms, 0), 86_400_000))*time.Millisecond)
	case "M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED", "M_USER_LOCKED", "M_USER_SUSPENDED", "M_EXCLUSIVE":
		out.Class, out.Reason = channel.Misconfig, channel.Text{
			DE: "Der Homeserver nimmt das Zugangstoken nicht (mehr) an, oder das Konto ist gesperrt.",
			EN: "The homeserver does not accept the access token (any more), or the account is locked."}
	case "M_RESOURCE_LIMIT_EXCEEDED", "M_CONSENT_NOT_GIVEN":
		out.Class, out.Reason = channel.Misconfig, channel.Text{
			DE: "Der Homeserver lässt das Konto nicht schreiben: Zustimmung oder Platz fehlt.", EN: "The homeserver does not let the account write: consent or room is lacking."}
	case "M_UNRECOGNIZED":
		out.Class, out.Reason = channel.Misconfig, channel.Text{
			DE: "Unter homeserver antwortet keine passende Matrix-Schnittstelle.", EN: "It is not a fitting Matrix API that answers at homeserver."}
	case "M_FORBIDDEN", "M_GUEST_ACCESS_FORBIDDEN":
		out.Class, out.Reason = channel.Blocked, channel.Text{
			DE: "Das Konto darf in diesem Raum nicht (mehr) schreiben: Der Kunde hat es entfernt oder nimmt keine Einladung an.",
			EN: "The account may not write in this room (any more): the customer removed it or takes no invitation."}
	case "M_NOT_FOUND":
		out.Class, out.Reason = channel.NotHere, channel.Text{DE: "Diese Matrix-Adresse gibt es nicht.", EN: "This Matrix address does not exist."}
	case "M_TOO_LARGE":
		out.Reason = channel.Text{DE: "Die Nachricht oder Datei ist für den Homeserver zu groß.", EN: "The message or file is too large for the homeserver."}
	}
	if a.Status >= 500 {
		out.Class = channel.Unknown // "M_UNKNOWN" of a server in trouble
	}
	return out
}

func limited(a channel.Answer, after time.Duration) *channel.SendError {
	if h := a.RetryAfter(); h > 0 {
		after = h
	}
	if after <= 0 {
		after = 5 * time.Second
	}
	return &channel.SendError{Class: channel.RateLimited, Code: "M_LIMIT_EXCEEDED", RetryAfter: after, Err: errors.New("homeserver: too many requests"), Reason: channel.Text{
		DE: "Der Homeserver bremst; es wird gleich erneut versucht.", EN: "The homeserver slows us down; it is tried again soon."}}
}

// Send implements channel.Sender. The transaction id is the delivery's, so that the homeserver takes a message once.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	if !userForm.MatchString(out.To.Value) || len(out.To.Value) > 255 {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%q is no Matrix address", out.To.Value), Reason: channel.Text{
			DE: "Das ist keine Matrix-Adresse (@name:server).", EN: "That is no Matrix address (@name:server)."}}
	}
	caps := d.Capabilities()
	if n := escaped(out.Text); n > len(out.Text)+len(out.Text)/50 { // JSON makes line breaks and quotes longer
		caps.TextMax = max(caps.TextMax*len(out.Text)/n, 8_000)
	}
	parts, err := caps.Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	c := newClient(a, env)
	room, err := d.room(ctx, c, out.To.Value)
	if err != nil {
		return channel.Receipt{}, err
	}
	n := 0
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		txn := out.DeliveryID
		if n > 0 {
			txn = fmt.Sprintf("%s-%d", out.DeliveryID, n)
		}
		body := text(out, p, len(parts) == 1)
		if p.File != nil {
			uri, err := c.upload(ctx, *p.File)
			if err != nil {
				return "", err
			}
			body = file(p, uri)
		}
		if p.ReplyTo != "" {
			body["m.relates_to"] = map[string]any{"m.in_reply_to": map[string]string{"event_id": p.ReplyTo}}
		}
		var sent struct {
			ID string `json:"event_id"`
		}
		call := c.call(http.MethodPut, client3+"/rooms"+path(room, "send", "m.room.message", txn), nil, body)
		if err := c.do(ctx, call, &sent); err != nil {
			var se *channel.SendError
			if errors.As(err, &se) && se.Code == "M_NOT_FOUND" {
				d.rooms.set(a, out.To.Value, "")
			}
			return "", err
		}
		if sent.ID == "" {
			return "", channel.Uncertainly(errors.New("the homeserver gave no event_id"))
		}
		n++ // a part that is tried again keeps its transaction id
		return sent.ID, nil
	})
}

func escaped(s string) int {
	b, err := json.Marshal(s)
	if err != nil {
		return len(s)
	}
	return len(b)
}

func text(out channel.Outgoing, p channel.Part, alone bool) map[string]any {
	body := map[string]any{"msgtype": "m.text", "body": p.Text}
	if out.Automatic { // programs must not answer it ("m.notice")
		body["msgtype"] = "m.notice"
	}
	if alone && out.HTML != "" && escaped(p.Text)+escaped(out.HTML) <= textMax {
		body["format"], body["formatted_body"] = "org.matrix.custom.html", out.HTML
	}
	return body
}

func file(p channel.Part, uri string) map[string]any {
	name := channel.FileName(p.File.Name)
	mediaType := channel.MediaType(p.File.MediaType)
	kind := "m.file"
	for _, k := range []string{"image", "audio", "video"} {
		if strings.HasPrefix(mediaType, k+"/") {
			kind = "m." + k
		}
	}
	body := map[string]any{"msgtype": kind, "body": name, "filename": name, "url": uri, "info": map[string]any{"mimetype": mediaType, "size": p.File.Size}}
	if p.Text != "" { // Client API v1.10, "Media captions"
		body["body"] = p.Text
	}
	return body
}

func (c client) upload(ctx context.Context, f channel.File) (uri string, err error) {
	call := c.call(http.MethodPost, "/_matrix/media/v3/upload", url.Values{"filename": {channel.FileName(f.Name)}}, nil)
	call.Type, call.Open, call.Size, call.Timeout = channel.MediaType(f.MediaType), f.Open, f.Size, 2*time.Minute
	if f.Size <= 0 {
		call.Size = -1
	}
	var up struct {
		URI string `json:"content_uri"`
	}
	if err := c.do(ctx, call, &up); err != nil {
		return "", harmless(err)
	}
	if !mediaForm.MatchString(up.URI) {
		return "", channel.Uncertainly(errors.New("the homeserver gave no content_uri"))
	}
	return up.URI, nil
}

// harmless makes a doubtful failure one that is tried again: nobody saw anything yet.
func harmless(err error) error {
	var se *channel.SendError
	if errors.As(err, &se) && se.Class == channel.Unknown {
		e := *se
		e.Class, e.Reason = channel.Temporary, channel.Text{DE: "Der Homeserver hat nicht geantwortet; es wird erneut versucht.", EN: "The homeserver did not answer; it is tried again."}
		return &e
	}
	return err
}

// roomType is the account data that says in which room a customer is written to: one entry per customer, since m.direct
// is one entry for all, which several nodes would overwrite for each other.
const roomType = "app.rufweite.room."

// room finds the room in which the customer is written to, or opens one. It never gives an encrypted room.
func (d Driver) room(ctx context.Context, c client, user string) (string, error) {
	room := d.rooms.get(c.a, user)
	if room == "" {
		var err error
		if room, err = c.known(ctx, user); err != nil {
			return "", err
		}
	}
	if room != "" {
		state, err := c.state(ctx, room, user)
		var se *channel.SendError
		switch {
		case errors.As(err, &se) && se.Code == "M_NOT_FOUND":
			d.rooms.set(c.a, user, "") // the room is gone
		case err != nil:
			return "", err
		case state.left:
			return "", &channel.SendError{Class: channel.Blocked, Code: "left", Err: errors.New("the customer is not in the room"), Reason: channel.Text{
				DE: "Der Kunde hat den Raum verlassen oder die Einladung abgelehnt.", EN: "The customer left the room or declined the invitation."}}
		case !state.encrypted && !state.replaced:
			d.rooms.set(c.a, user, room)
			return room, nil
		}
	}
	// Client API, "Profiles": 404 if there is no such user. Homeservers may keep profiles to themselves (403).
	err := c.do(ctx, c.call(http.MethodGet, client3+"/profile"+path(user), nil, nil), nil)
	var se *channel.SendError
	if errors.As(err, &se) && se.Code != "M_FORBIDDEN" {
		return "", err
	}
	room, err = c.create(ctx, user)
	if err != nil {
		return "", err
	}
	state, err := c.state(ctx, room, user)
	if err != nil {
		return "", err
	}
	if state.encrypted {
		return "", &channel.SendError{Class: channel.Misconfig, Code: "encrypted", Err: errors.New("a new room is encrypted"), Reason: channel.Text{
			DE: "Der Homeserver verschlüsselt jeden neuen Raum; schalten Sie das ab (Synapse: encryption_enabled_by_default_for_room_type).",
			EN: "The homeserver encrypts every new room; turn that off (Synapse: encryption_enabled_by_default_for_room_type)."}}
	}
	if err := d.keep(ctx, c, user, room); err != nil {
		return "", err
	}
	return room, nil
}

// known asks the homeserver in which room the customer is written to; "" if there is none.
func (c client) known(ctx context.Context, user string) (string, error) {
	var own struct {
		Room string `json:"room_id"`
	}
	err := c.do(ctx, c.accountData(http.MethodGet, roomType+user, nil), &own)
	var se *channel.SendError
	if err == nil && own.Room != "" {
		return own.Room, nil
	} else if err != nil && !(errors.As(err, &se) && se.Code == "M_NOT_FOUND") {
		return "", err
	}
	var direct map[string][]string // kept by other clients of this account (Client API, "Direct Messaging")
	err = c.do(ctx, c.accountData(http.MethodGet, "m.direct", nil), &direct)
	if err != nil && !(errors.As(err, &se) && se.Code == "M_NOT_FOUND") {
		return "", err
	}
	if list := direct[user]; len(list) > 0 {
		return list[len(list)-1], nil
	}
	return "", nil
}

func (c client) accountData(method, kind string, body any) channel.Call {
	return c.call(method, client3+"/user"+path(c.self, "account_data", kind), nil, body)
}

// keep makes a room the one in which the customer is written to.
func (d Driver) keep(ctx context.Context, c client, user, room string) error {
	if d.rooms.get(c.a, user) == room {
		return nil
	}
	if err := c.do(ctx, c.accountData(http.MethodPut, roomType+user, map[string]string{"room_id": room}), nil); err != nil {
		return err
	}
	d.rooms.set(c.a, user, room)
	return nil
}

type roomState struct {
	encrypted, replaced bool
	left                bool // the customer is out; somebody who has not answered an invitation is in
	members             int
}

// state looks at the room as it is now: whether the customer is still there, and whether it is encrypted by now.
func (c client) state(ctx context.Context, room, user string) (roomState, error) {
	call := c.call(http.MethodGet, client3+"/rooms"+path(room, "state"), nil, nil)
	call.Max = 16 << 20
	var events []event
	if err := c.do(ctx, call, &events); err != nil {
		return roomState{}, err
	}
	s := roomState{left: true}
	for _, e := range events {
		switch e.Type {
		case "m.room.encryption":
			s.encrypted = true
		case "m.room.tombstone":
			s.replaced = true
		case "m.room.member":
			var m struct {
				Membership string `json:"membership"`
			}
			_ = json.Unmarshal(e.Content, &m)
			if m.Membership == "join" || m.Membership == "invite" {
				s.members++
				if e.StateKey != nil && *e.StateKey == user {
					s.left = false
				}
			}
		}
	}
	return s, nil
}

func (c client) create(ctx context.Context, user string) (string, error) {
	var made struct {
		Room string `json:"room_id"`
	}
	call := c.call(http.MethodPost, client3+"/createRoom", nil, map[string]any{
		"preset": "trusted_private_chat", "is_direct": true, "invite": []string{user}, "visibility": "private",
		"topic": "Nicht Ende-zu-Ende verschlüsselt · not end-to-end encrypted",
	})
	if err := c.do(ctx, call, &made); err != nil {
		return "", err
	}
	if made.Room == "" {
		return "", channel.Uncertainly(errors.New("the homeserver gave no room_id"))
	}
	return made.Room, nil
}

// FetchMedia implements channel.Fetcher (Client API v1.11, "Content repository"; before that without authentication).
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	m := mediaForm.FindStringSubmatch(remote)
	if m == nil {
		return nil, &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("%q is no content URI", short(remote, 100)), Reason: channel.Text{
			DE: "Die Nachricht nennt keine Datei.", EN: "The message names no file."}}
	}
	c := newClient(a, env)
	f, err := c.call(http.MethodGet, "/_matrix/client/v1/media/download"+path(m[1], m[2]), nil, nil).Media(ctx, env.HTTP, attachmentMax)
	var se *channel.SendError
	if errors.As(err, &se) && (se.Code == "404" || se.Code == "400" || se.Code == "405") {
		return c.call(http.MethodGet, "/_matrix/media/v3/download"+path(m[1], m[2]), nil, nil).Media(ctx, env.HTTP, attachmentMax)
	}
	return f, err
}
