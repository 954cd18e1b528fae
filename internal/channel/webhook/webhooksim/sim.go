// Package webhooksim is a small chat provider that nobody built a driver for: a JSON API with signed webhooks, receipts,
// buttons, files and limits, together with the settings that describe it. It is in charge of refusing what it documents
// here as wrong; it knows nothing of the driver that it is tried with.
//
// POST {base}/v1/users/{id}/messages with a bearer token takes {"text", "buttons": [{"label","data"}], "files":
// [{"name","type","data"}], "quoted"}: text up to 2,000 code points, 5 buttons of 24 code points and 256 bytes. It answers
// 201 {"id"}, or 4xx {"error": {"code","text","retry_after"}}. The same Idempotency-Key gives the same answer for a day.
// Webhooks are {"events": [{"kind","id","time","user":{"id","name"},…}]}, signed in X-Signature with "sha256=" and the hex
// HMAC-SHA256 of X-Timestamp, a dot and the body.
package webhooksim

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Credentials of the simulated account.
const (
	Secret = "webhook-secret-of-nobody"
	Token  = "token-of-nobody-0123456789"
)

// Receive and Send describe the provider to the driver.
const (
	Receive = `{
  "auth": {"type": "hmac", "header": "X-Signature", "algorithm": "sha256", "encoding": "hex", "prefix": "sha256=", "secret": "` + Secret + `",
           "timestamp": "header['x-timestamp']", "signed": "timestamp + '.' + raw", "max_age": "5m"},
  "each": "body.events",
  "type": "{'text': 'message', 'file': 'message', 'button': 'choice', 'reaction': 'reaction', 'edited': 'edit', 'deleted': 'delete', 'receipt': 'status', 'opened': 'start', 'left': 'opt_out'}[item.kind]",
  "id": "item.id", "from": "item.user.id", "name": "item.user.name", "text": "item.text", "at": "item.time", "reply_to": "item.quoted", "ref": "item.message",
  "state": "item.state", "choice_data": "item.data", "choice_label": "item.label", "emoji": "item.emoji", "token": "item.token",
  "attachments": "item.files.map(f, {'name': f.name, 'media_type': f.type, 'url': f.url, 'size': f.size})",
  "media": {"auth": {"type": "bearer", "token": "` + Token + `"}}
}`
	Send = `{
  "url": "/v1/users/{message.to}/messages",
  "auth": {"type": "bearer", "token": "` + Token + `"},
  "body": "{'text': message.text, 'buttons': message.choices.map(c, {'label': c.label, 'data': c.data}), 'files': message.attachments.map(f, {'name': f.name, 'type': f.media_type, 'data': f.data}), 'quoted': message.reply_to}",
  "idempotency_header": "Idempotency-Key",
  "id": "answer.id",
  "error": "{'blocked': 'blocked', 'unknown_user': 'not_here', 'too_fast': 'rate_limited', 'closed': 'window_closed'}[answer.error.code]",
  "code": "answer.error.code", "reason": "answer.error.text", "retry_after": "answer.error.retry_after",
  "capabilities": {"text_max": 2000, "text_unit": "code_points", "buttons": 5, "button_title_max": 24, "button_data_max": 256, "attachments": true, "caption_max": 2000,
                   "quote": true, "edits": true, "delivered": true, "read": true, "upload": true, "links": true, "idempotent": true, "per_second": 20}
}`
)

// Options change what a test needs.
type Options struct {
	Now       func() time.Time
	PerSecond float64 // 0 = 20, negative = no limit
	Retry     []time.Duration
}

// Sim is the simulator.
type Sim struct {
	channelsim.Base
	Hook   channelsim.Hook
	o      Options
	people map[string]*person // by name
	byID   map[string]*person
	keys   map[string]channelsim.Response
	files  map[string]channelsim.File
}

// New makes a simulator.
func New(o Options) *Sim {
	s := &Sim{o: o, people: map[string]*person{}, byID: map[string]*person{}, keys: map[string]channelsim.Response{}, files: map[string]channelsim.File{}}
	s.Init(o.Now)
	s.Hook = channelsim.Hook{Base: &s.Base, Retry: o.Retry, Sign: s.sign}
	return s
}

func (s *Sim) sign(url string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	stamp := strconv.FormatInt(s.Now().Unix(), 10)
	h := hmac.New(sha256.New, []byte(Secret))
	h.Write([]byte(stamp + "."))
	h.Write(body)
	r.Header.Set("X-Timestamp", stamp)
	r.Header.Set("X-Signature", "sha256="+hex.EncodeToString(h.Sum(nil)))
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "webhook" }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	return channel.Settings{"receive": Receive, "send": Send, "api_url": base}
}

// Connect implements channelsim.Sim.
func (s *Sim) Connect(hook string) { s.Hook.To(hook) }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.people[name]
	if p == nil {
		p = &person{sim: s, id: 9007199254740993 + s.Serial()} // ids that no float holds
		p.chat.Name = name
		s.people[name], s.byID[p.Address()] = p, p
	}
	return p
}

func answer(status int, v any) channelsim.Response {
	body, _ := json.Marshal(v)
	return channelsim.Response{Status: status, Body: body}
}

func refuse(status int, code, text string) channelsim.Response {
	return answer(status, map[string]any{"error": map[string]any{"code": code, "text": text}})
}

// ServeHTTP implements channelsim.Sim.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 10<<20))
	if r.Header.Get("Authorization") != "Bearer "+Token {
		s.Do(w, r, "auth", func() channelsim.Response { return refuse(401, "token", "the token is wrong") })
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/v1/files/"); ok && r.Method == http.MethodGet {
		s.Do(w, r, "media", func() channelsim.Response {
			s.Lock()
			defer s.Unlock()
			f, ok := s.files[name]
			if !ok {
				return refuse(404, "no_file", "there is no such file")
			}
			return channelsim.Response{Type: f.MediaType, Body: f.Content}
		})
		return
	}
	to, ok := strings.CutPrefix(r.URL.Path, "/v1/users/")
	to, rest := strings.TrimSuffix(to, "/messages"), strings.HasSuffix(to, "/messages")
	if !ok || !rest || r.Method != http.MethodPost {
		s.Do(w, r, "other", func() channelsim.Response { return refuse(404, "no_such_path", "there is no such path") })
		return
	}
	s.Do(w, r, "message", func() channelsim.Response { return s.message(r, to, body) })
}

func (s *Sim) message(r *http.Request, to string, body []byte) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	rate := s.o.PerSecond
	if rate == 0 {
		rate = 20
	}
	if rate > 0 {
		if wait := s.Take("messages", rate, max(rate, 1)); wait > 0 {
			return answer(429, map[string]any{"error": map[string]any{"code": "too_fast", "text": "too fast", "retry_after": max(wait.Seconds(), 0.1)}})
		}
	}
	key := r.Header.Get("Idempotency-Key")
	if before, ok := s.keys[key]; ok && key != "" {
		return before
	}
	var in struct {
		Text    string `json:"text"`
		Quoted  string `json:"quoted"`
		Buttons []struct {
			Label string `json:"label"`
			Data  string `json:"data"`
		} `json:"buttons"`
		Files []struct {
			Name string `json:"name"`
			Type string `json:"type"`
			Data string `json:"data"`
		} `json:"files"`
	}
	if r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &in) != nil {
		return refuse(400, "no_json", "the body is no JSON")
	}
	m := channelsim.Message{Text: in.Text, ReplyTo: in.Quoted, At: s.Now()}
	switch {
	case utf8.RuneCountInString(in.Text) > 2000:
		return refuse(422, "too_long", "text is longer than 2000 characters")
	case in.Text == "" && len(in.Files) == 0:
		return refuse(422, "empty", "neither text nor files")
	case len(in.Buttons) > 5:
		return refuse(422, "too_many", "more than 5 buttons")
	}
	for _, b := range in.Buttons {
		if n := utf8.RuneCountInString(b.Label); n < 1 || n > 24 || b.Data == "" || len(b.Data) > 256 {
			return refuse(422, "bad_button", "label: 1 to 24 characters, data: 1 to 256 bytes")
		}
		m.Choices = append(m.Choices, channel.Choice{Label: b.Label, Data: b.Data})
	}
	for _, f := range in.Files {
		content, err := base64.StdEncoding.DecodeString(f.Data)
		if err != nil || len(content) == 0 || len(content) > 5<<20 || f.Name == "" {
			return refuse(422, "bad_file", "files need name and base64 data of at most 5 MB")
		}
		m.Files = append(m.Files, channelsim.File{Name: f.Name, MediaType: f.Type, Content: content})
	}
	p := s.byID[to]
	if p == nil {
		return refuse(404, "unknown_user", "there is no such user")
	}
	if p.chat.Blocked {
		return refuse(403, "blocked", "the user has blocked you")
	}
	m.Ref = fmt.Sprintf("m%d", s.Serial())
	p.chat.Got = append(p.chat.Got, m)
	s.Accept(channelsim.Accepted{Op: "message", To: to, Ref: m.Ref, Key: key, Text: in.Text})
	p.event("receipt", map[string]any{"message": m.Ref, "state": "delivered"})
	out := answer(201, map[string]any{"id": m.Ref})
	if key != "" {
		s.keys[key] = out
	}
	return out
}

// person is a customer.
type person struct {
	sim  *Sim
	id   int64
	chat channelsim.Chat
	read int
}

// Address implements channelsim.Person.
func (p *person) Address() string { return strconv.FormatInt(p.id, 10) }

// event delivers a webhook about this person. The caller holds the mutex.
func (p *person) event(kind string, more map[string]any) string {
	id := 9007199254740993 + p.sim.Serial()
	e := map[string]any{"kind": kind, "id": id, "time": p.sim.Now().UnixMilli(), "user": map[string]any{"id": p.id, "name": p.chat.Name}}
	for k, v := range more {
		e[k] = v
	}
	body, _ := json.Marshal(map[string]any{"events": []any{e}})
	p.sim.Hook.Push(p.Address(), body)
	return strconv.FormatInt(id, 10)
}

func (p *person) act(kind string, more map[string]any) (string, error) {
	p.sim.Lock()
	defer p.sim.Unlock()
	if p.chat.Blocked {
		return "", channelsim.ErrBlocked
	}
	return p.event(kind, more), nil
}

// Open implements channelsim.Person.
func (p *person) Open(token string) error {
	_, err := p.act("opened", map[string]any{"token": token})
	return err
}

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) {
	m := map[string]any{"text": text}
	if replyTo != "" {
		m["quoted"] = replyTo
	}
	return p.act("text", m)
}

// Send implements channelsim.Person.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	p.sim.Lock()
	name := strconv.FormatInt(p.sim.Serial(), 10)
	p.sim.files[name] = channelsim.File{Name: f.Name, MediaType: f.MediaType, Content: slices.Clone(f.Content)}
	p.sim.Unlock()
	return p.act("file", map[string]any{"text": caption, "files": []any{map[string]any{"name": f.Name, "type": f.MediaType, "url": "/v1/files/" + name, "size": len(f.Content)}}})
}

// Press implements channelsim.Person.
func (p *person) Press(ref, label string) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	m, c, err := p.chat.Find(ref, label)
	if err == nil {
		p.event("button", map[string]any{"message": m.Ref, "data": c.Data, "label": c.Label})
	}
	return err
}

// React implements channelsim.Person.
func (p *person) React(ref, emoji string) error {
	_, err := p.act("reaction", map[string]any{"message": ref, "emoji": emoji})
	return err
}

// Edit implements channelsim.Person.
func (p *person) Edit(ref, text string) error {
	_, err := p.act("edited", map[string]any{"message": ref, "text": text})
	return err
}

// Read implements channelsim.Person.
func (p *person) Read() error {
	p.sim.Lock()
	defer p.sim.Unlock()
	for ; p.read < len(p.chat.Got); p.read++ {
		p.event("receipt", map[string]any{"message": p.chat.Got[p.read].Ref, "state": "read"})
	}
	return nil
}

// Block implements channelsim.Person.
func (p *person) Block(blocked bool) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	if blocked && !p.chat.Blocked {
		p.event("left", nil)
	}
	p.chat.Blocked = blocked
	return nil
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	return slices.Clone(p.chat.Got)
}

var _ channelsim.Sim = (*Sim)(nil)
