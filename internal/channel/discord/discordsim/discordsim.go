// Package discordsim is Discord to test against: one bot, its Gateway and REST API, and customers who write to it in direct
// messages. It is in charge of being no kinder than the real one (https://docs.discord.com/developers, version 10): it
// enforces intents, heartbeats, limits of sessions and rates, lengths and forms, forgets nonces after some minutes, and gives
// a Gateway session again only what it missed.
package discordsim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Options describe the bot and how strict Discord is.
type Options struct {
	Now func() time.Time
	// Global is the rate of all requests, PerChannel that of messages in one channel (in bursts of five); 0 = 50 and 1 a second,
	// below 0 = none.
	Global, PerChannel float64
	// Heartbeat is the interval that HELLO gives; 0 = 41.25 s.
	Heartbeat time.Duration
	// Identify is the least time between two new sessions; 0 = 5 s, below 0 = none. Starts is how many there may be; 0 = 1000.
	Identify time.Duration
	Starts   int
	// NonceLife is how long a nonce is remembered; 0 = 5 minutes ("the past few minutes").
	NonceLife time.Duration
	// Endpoint sends interactions to the webhook instead of the Gateway, as an Interactions Endpoint URL does.
	Endpoint bool
	Client   channelsim.Doer
}

// Sim is Discord; see New.
type Sim struct {
	channelsim.Base
	Hook channelsim.Hook

	options  Options
	token    string
	appID    string
	key      ed25519.PrivateKey
	base     string
	lastID   uint64
	starts   int
	seen     bool // a session was there once
	people   map[string]*person
	users    map[string]*person // by user id
	chats    map[string]*person // by channel id
	files    map[string]channelsim.File
	nonces   map[string]nonce
	session  *session
	pressed  map[string]time.Time // interactions that wait for an answer, by id/token
	late     int
	endpoint string
}

type nonce struct {
	message map[string]any
	at      time.Time
}

// object is a JSON object of the API.
type object = map[string]any

// New makes a Discord with one bot and no customers.
func New(o Options) *Sim {
	if o.Global == 0 {
		o.Global = 50
	}
	if o.PerChannel == 0 {
		o.PerChannel = 1
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 41250 * time.Millisecond
	}
	if o.Identify == 0 {
		o.Identify = 5 * time.Second
	}
	if o.Starts == 0 {
		o.Starts = 1000
	}
	if o.NonceLife == 0 {
		o.NonceLife = 5 * time.Minute
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	s := &Sim{options: o, key: key, starts: o.Starts, people: map[string]*person{}, users: map[string]*person{}, chats: map[string]*person{},
		files: map[string]channelsim.File{}, nonces: map[string]nonce{}, pressed: map[string]time.Time{}}
	s.Init(o.Now)
	s.Lock()
	s.appID = s.snowflake()
	s.Unlock()
	s.token = "MTAx" + random(9) + ".Gsim00." + random(16)
	// Discord does not deliver an interaction twice.
	s.Hook = channelsim.Hook{Base: &s.Base, Sign: s.sign, Attempts: 1, Client: o.Client, Answered: s.answered}
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "discord" }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	s.Lock()
	defer s.Unlock()
	s.base = strings.TrimRight(base, "/")
	return channel.Settings{"bot_token": s.token, "application_id": s.appID, "public_key": s.publicKey(), "api_url": s.base}
}

func (s *Sim) publicKey() string { return hex.EncodeToString(s.key.Public().(ed25519.PublicKey)) }

// Connect implements channelsim.Sim: the webhook is an Interactions Endpoint URL, used where Options.Endpoint says so and
// once it has answered a PING and refused a wrong signature ("Setting Up an Endpoint").
func (s *Sim) Connect(hook string) {
	if !s.options.Endpoint {
		return
	}
	s.Lock()
	s.endpoint = hook
	s.Unlock()
	s.Hook.To("")
	if hook == "" {
		return
	}
	s.Work.Go(func() {
		for s.Ctx.Err() == nil {
			if s.ping(hook, true) && !s.ping(hook, false) {
				s.Hook.To(hook)
				return
			}
			select {
			case <-s.Ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

func (s *Sim) ping(hook string, good bool) bool {
	s.Lock()
	id := s.snowflake()
	s.Unlock()
	body, _ := json.Marshal(object{"id": id, "application_id": s.appID, "type": 1, "token": random(16), "version": 1})
	r, err := s.sign(hook, body)
	if err != nil {
		return false
	}
	if !good {
		r.Header.Set("X-Signature-Ed25519", hex.EncodeToString(make([]byte, ed25519.SignatureSize)))
	}
	ctx, cancel := context.WithTimeout(s.Ctx, 5*time.Second)
	defer cancel()
	var client channelsim.Doer = http.DefaultClient
	if s.options.Client != nil {
		client = s.options.Client
	}
	resp, err := client.Do(r.WithContext(ctx))
	if err != nil {
		return !good
	}
	defer resp.Body.Close()
	var answer struct{ Type int }
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&answer) == nil && answer.Type == 1
}

func (s *Sim) sign(hook string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, hook, bytes.NewReader(body)) //nolint:noctx // Hook adds it
	if err != nil {
		return nil, err
	}
	stamp := strconv.FormatInt(s.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Signature-Timestamp", stamp)
	r.Header.Set("X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(s.key, append([]byte(stamp), body...))))
	return r, nil
}

// answered takes the endpoint's answer to an interaction.
func (s *Sim) answered(_ string, body, answer []byte) {
	var i struct{ ID, Token string }
	var a struct{ Type int }
	if json.Unmarshal(body, &i) == nil && json.Unmarshal(answer, &a) == nil && a.Type >= 4 {
		s.Lock()
		defer s.Unlock()
		delete(s.pressed, i.ID+"/"+i.Token)
		s.Changed()
	}
}

// Unanswered is how many pressed buttons the company has not acknowledged, so that the customer's app shows them as failed.
func (s *Sim) Unanswered() int {
	s.Lock()
	defer s.Unlock()
	return len(s.pressed) + s.late
}

// snowflake is a new id, larger than all before. The caller holds the mutex.
func (s *Sim) snowflake() string {
	id := uint64(s.Now().UnixMilli()-1420070400000) << 22
	s.lastID = max(s.lastID+1, id)
	return strconv.FormatUint(s.lastID, 10)
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

var (
	messagesPath = regexp.MustCompile(`^/channels/([0-9]+)/messages$`)
	messagePath  = regexp.MustCompile(`^/channels/([0-9]+)/messages/([0-9]+)$`)
	callbackPath = regexp.MustCompile(`^/interactions/([0-9]+)/([^/]+)/callback$`)
)

// ServeHTTP is the API, the Gateway and the place where files lie.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/gateway" {
		s.serveGateway(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 12<<20))
	if err != nil {
		return
	}
	if !strings.HasPrefix(r.UserAgent(), "DiscordBot (") {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusForbidden) // as Cloudflare does
		_, _ = io.WriteString(w, "<html>error code: 1010</html>")
		return
	}
	path := r.URL.Path
	do := func(op string, act func() channelsim.Response) {
		s.Do(w, r, op, func() channelsim.Response {
			s.Lock()
			defer s.Unlock()
			return act()
		})
	}
	bot := func(op string, act func() channelsim.Response) {
		do(op, func() channelsim.Response {
			if r.Header.Get("Authorization") != "Bot "+s.token {
				return fail(401, 0, "401: Unauthorized")
			}
			if s.options.Global > 0 {
				if wait := s.Take("global", s.options.Global, s.options.Global); wait > 0 {
					return limited(wait, true)
				}
			}
			return act()
		})
	}
	switch {
	case strings.HasPrefix(path, "/attachments/"):
		do("media", func() channelsim.Response {
			f, ok := s.files[path+"?"+r.URL.RawQuery]
			if !ok || r.Header.Get("Authorization") != "" {
				return channelsim.Response{Status: 404, Type: "text/plain", Body: []byte("This content is no longer available.")}
			}
			return channelsim.Response{Type: f.MediaType, Body: f.Content}
		})
	case path == "/gateway/bot" && r.Method == http.MethodGet:
		bot("gateway", func() channelsim.Response {
			return ok(object{"url": "ws" + strings.TrimPrefix(s.base, "http") + "/gateway", "shards": 1,
				"session_start_limit": object{"total": s.options.Starts, "remaining": s.starts, "reset_after": 14400000, "max_concurrency": 1}})
		})
	case path == "/users/@me" && r.Method == http.MethodGet:
		bot("probe", func() channelsim.Response { return ok(s.bot()) })
	case path == "/applications/@me" && r.Method == http.MethodGet:
		bot("probe", func() channelsim.Response {
			return ok(object{"id": s.appID, "name": "Musterhaus", "verify_key": s.publicKey(), "flags": 0})
		})
	case path == "/users/@me/channels" && r.Method == http.MethodPost:
		bot("open", func() channelsim.Response {
			var b struct {
				Recipient string `json:"recipient_id"`
			}
			if json.Unmarshal(body, &b) != nil {
				return fail(400, 50109, "The request body contains invalid JSON.")
			}
			p := s.users[b.Recipient]
			if p == nil {
				return fail(400, 50033, "Invalid Recipient(s)")
			}
			return ok(object{"id": p.chat, "type": 1, "last_message_id": nil, "recipients": []object{p.user()}})
		})
	case messagesPath.MatchString(path) && r.Method == http.MethodPost:
		bot("message", func() channelsim.Response { return s.create(r, messagesPath.FindStringSubmatch(path)[1], body) })
	case messagesPath.MatchString(path) && r.Method == http.MethodGet:
		bot("read", func() channelsim.Response { return s.list(r, messagesPath.FindStringSubmatch(path)[1]) })
	case messagePath.MatchString(path) && r.Method == http.MethodGet:
		bot("read", func() channelsim.Response {
			m := messagePath.FindStringSubmatch(path)
			p := s.chats[m[1]]
			if p == nil {
				return fail(404, 10003, "Unknown Channel")
			}
			if msg := p.find(m[2]); msg != nil {
				return ok(s.fresh(msg))
			}
			return fail(404, 10008, "Unknown Message")
		})
	case callbackPath.MatchString(path) && r.Method == http.MethodPost:
		do("callback", func() channelsim.Response {
			m := callbackPath.FindStringSubmatch(path)
			key := m[1] + "/" + m[2]
			at, waits := s.pressed[key]
			var b struct{ Type int }
			switch {
			case !waits:
				return fail(404, 10062, "Unknown interaction")
			case json.Unmarshal(body, &b) != nil || b.Type < 4:
				return fail(400, 50035, "Invalid Form Body")
			}
			delete(s.pressed, key)
			s.Changed()
			if s.Now().Sub(at) > 3*time.Second {
				s.late++
				return fail(404, 10062, "Unknown interaction")
			}
			return channelsim.Response{Status: 204}
		})
	default:
		do("", func() channelsim.Response { return fail(404, 0, "404: Not Found") })
	}
}

func (s *Sim) bot() object {
	return object{"id": s.appID, "username": "Musterhaus", "discriminator": "0001", "bot": true, "avatar": nil, "global_name": nil}
}

// file is a part of a multipart request.
type file struct {
	name, mediaType string
	content         []byte
}

type request struct {
	Content   string          `json:"content"`
	Nonce     any             `json:"nonce"`
	Enforce   bool            `json:"enforce_nonce"`
	Mentions  json.RawMessage `json:"allowed_mentions"`
	Reference *struct {
		MessageID string `json:"message_id"`
		Fail      *bool  `json:"fail_if_not_exists"`
	} `json:"message_reference"`
	Components []struct {
		Type       int `json:"type"`
		Components []struct {
			Type     int    `json:"type"`
			Style    int    `json:"style"`
			Label    string `json:"label"`
			CustomID string `json:"custom_id"`
		} `json:"components"`
	} `json:"components"`
	Attachments []struct {
		ID   any    `json:"id"`
		Name string `json:"filename"`
	} `json:"attachments"`
}

// create is "Create Message". The caller holds the mutex.
func (s *Sim) create(r *http.Request, id string, body []byte) channelsim.Response {
	p := s.chats[id]
	if p == nil {
		return fail(404, 10003, "Unknown Channel")
	}
	if s.options.PerChannel > 0 {
		if wait := s.Take("channel "+id, s.options.PerChannel, 5); wait > 0 {
			return limited(wait, false)
		}
	}
	mediaType, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var files []file
	switch mediaType {
	case "application/json":
	case "multipart/form-data":
		var payload []byte
		reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
		for {
			part, err := reader.NextPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				return invalid("files", "the form is cut")
			}
			content, err := io.ReadAll(part)
			if err != nil {
				return invalid("files", "the form is cut")
			}
			switch name := part.FormName(); {
			case name == "payload_json":
				payload = content
			case name == "files["+strconv.Itoa(len(files))+"]" && part.FileName() != "":
				files = append(files, file{part.FileName(), part.Header.Get("Content-Type"), content})
			default:
				return invalid(name, "unknown part")
			}
		}
		body = payload
	default:
		return fail(400, 50035, "Invalid Form Body")
	}
	var m request
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return fail(400, 50109, "The request body contains invalid JSON.")
	}
	for _, f := range files {
		if len(f.content) > 10<<20 {
			return fail(413, 40005, "Request entity too large")
		}
	}
	if utf8.RuneCountInString(m.Content) > 2000 {
		return invalid("content", "Must be 2000 or fewer in length.")
	}
	if strings.TrimSpace(m.Content) == "" && len(files) == 0 {
		return fail(400, 50006, "Cannot send an empty message")
	}
	key, _ := m.Nonce.(string)
	if len(key) > 25 {
		return invalid("nonce", "Must be 25 or fewer in length.")
	}
	msg := channelsim.Message{Text: rendered(m.Content), At: s.Now()}
	ids := map[string]bool{}
	var components []object
	if len(m.Components) > 5 {
		return invalid("components", "Must be 5 or fewer in length.")
	}
	for _, row := range m.Components {
		if row.Type != 1 || len(row.Components) == 0 || len(row.Components) > 5 {
			return invalid("components", "Must be between 1 and 5 in length.")
		}
		var buttons []object
		for _, b := range row.Components {
			if b.Type != 2 || b.Style < 1 || b.Style > 4 || b.Label == "" || utf8.RuneCountInString(b.Label) > 80 || b.CustomID == "" || utf8.RuneCountInString(b.CustomID) > 100 || ids[b.CustomID] {
				return invalid("components", "BASE_TYPE_BAD_LENGTH")
			}
			ids[b.CustomID] = true
			buttons = append(buttons, object{"type": 2, "style": b.Style, "label": b.Label, "custom_id": b.CustomID})
			msg.Choices = append(msg.Choices, channel.Choice{Label: b.Label, Data: b.CustomID})
		}
		components = append(components, object{"type": 1, "components": buttons})
	}
	if p.Blocked {
		return fail(403, 50007, "Cannot send messages to this user")
	}
	if old, used := s.nonces[id+"/"+key]; m.Enforce && key != "" && used && s.Now().Sub(old.at) < s.options.NonceLife {
		return ok(old.message) // no new message is created
	}
	if m.Reference != nil {
		switch {
		case p.find(m.Reference.MessageID) != nil:
			msg.ReplyTo = m.Reference.MessageID
		case m.Reference.Fail == nil || *m.Reference.Fail:
			return invalid("message_reference", "Unknown message")
		}
	}
	msg.Ref = s.snowflake()
	full := object{"id": msg.Ref, "channel_id": id, "author": s.bot(), "content": m.Content, "timestamp": stamp(s.Now()), "edited_timestamp": nil, "tts": false,
		"mention_everyone": false, "mentions": []any{}, "mention_roles": []any{}, "attachments": []any{}, "embeds": []any{}, "pinned": false, "type": 0, "nonce": m.Nonce}
	if components != nil {
		full["components"] = components
	}
	if msg.ReplyTo != "" {
		full["type"], full["message_reference"] = 19, object{"type": 0, "channel_id": id, "message_id": msg.ReplyTo}
	}
	var attachments []object
	for _, f := range files {
		a := s.keep(id, channelsim.File{Name: f.name, MediaType: f.mediaType, Content: f.content})
		attachments = append(attachments, a)
		msg.Files = append(msg.Files, channelsim.File{Name: f.name, MediaType: f.mediaType, Content: f.content})
	}
	if attachments != nil {
		full["attachments"] = attachments
	}
	p.history = append(p.history, full)
	p.Got = append(p.Got, msg)
	if key != "" {
		s.nonces[id+"/"+key] = nonce{full, s.Now()}
	}
	s.Accept(channelsim.Accepted{Op: "message", To: p.id, Ref: msg.Ref, Key: key, Text: msg.Text})
	s.dispatch(directMessages, "MESSAGE_CREATE", full)
	return ok(full)
}

// list is "Get Channel Messages". The caller holds the mutex.
func (s *Sim) list(r *http.Request, id string) channelsim.Response {
	p := s.chats[id]
	if p == nil {
		return fail(404, 10003, "Unknown Channel")
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if r.URL.Query().Get("limit") == "" {
		limit = 50
	} else if err != nil || limit < 1 || limit > 100 {
		return invalid("limit", "int value should be between 1 and 100.")
	}
	after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	list := []object{}
	for _, m := range p.history {
		if n, _ := strconv.ParseUint(m["id"].(string), 10, 64); n > after && len(list) < limit {
			list = append(list, s.fresh(m))
		}
	}
	slices.Reverse(list) // the newest first
	return ok(list)
}

// keep stores a file and gives its Attachment Object. The caller holds the mutex.
func (s *Sim) keep(chat string, f channelsim.File) object {
	id := s.snowflake()
	path := "/attachments/" + chat + "/" + id + "/" + "file?ex=" + random(4) + "&hm=" + random(16)
	s.files[path] = f
	return object{"id": id, "filename": f.Name, "content_type": f.MediaType, "size": len(f.Content), "url": s.base + path, "proxy_url": s.base + path}
}

// fresh is a message with addresses of files that are valid now. The caller holds the mutex.
func (s *Sim) fresh(m object) object {
	for _, a := range asList(m["attachments"]) {
		address := strings.TrimPrefix(a["url"].(string), s.base)
		if _, valid := s.files[address]; !valid {
			for path, f := range s.files {
				if strings.HasPrefix(path, "/expired"+strings.Split(address, "?")[0]) {
					now := strings.Split(address, "?")[0] + "?ex=" + random(4) + "&hm=" + random(16)
					s.files[now] = f
					a["url"] = s.base + now
				}
			}
		}
	}
	return m
}

// Expire ends the addresses of all files, as a day does.
func (s *Sim) Expire() {
	s.Lock()
	defer s.Unlock()
	expired := map[string]channelsim.File{}
	for path, f := range s.files {
		expired["/expired"+strings.TrimPrefix(path, "/expired")] = f
	}
	s.files = expired
}

func asList(v any) []object {
	list, _ := v.([]object)
	return list
}

// rendered is what Discord's app shows of a content: without backslashes before punctuation, but in addresses of pages.
func rendered(content string) string {
	var b strings.Builder
	for i := 0; i < len(content); {
		if rest := content[i:]; strings.HasPrefix(rest, "https://") || strings.HasPrefix(rest, "http://") {
			n := strings.IndexAny(rest, " \t\r\n<>")
			if n < 0 {
				n = len(rest)
			}
			b.WriteString(rest[:n])
			i += n
			continue
		}
		if content[i] == '\\' && i+1 < len(content) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", content[i+1]) >= 0 {
			i++
		}
		b.WriteByte(content[i])
		i++
	}
	return b.String()
}

func ok(v any) channelsim.Response {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return channelsim.Response{Body: raw}
}

func fail(status, code int, message string) channelsim.Response {
	raw, _ := json.Marshal(object{"code": code, "message": message})
	return channelsim.Response{Status: status, Body: raw}
}

func invalid(field, why string) channelsim.Response {
	raw, _ := json.Marshal(object{"code": 50035, "message": "Invalid Form Body", "errors": object{field: object{"_errors": []object{{"code": "BASE_TYPE", "message": why}}}}})
	return channelsim.Response{Status: 400, Body: raw}
}

func limited(wait time.Duration, global bool) channelsim.Response {
	raw, _ := json.Marshal(object{"message": "You are being rate limited.", "retry_after": wait.Seconds(), "global": global})
	h := http.Header{"Retry-After": {strconv.Itoa(int(wait/time.Second) + 1)}, "X-Ratelimit-Scope": {"user"}}
	if global {
		h.Set("X-RateLimit-Global", "true")
	}
	return channelsim.Response{Status: 429, Header: h, Body: raw}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-07:00") }

var _ channelsim.Sim = (*Sim)(nil)
