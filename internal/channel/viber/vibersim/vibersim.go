// Package vibersim stands in for Viber's REST Bot API with one bot. It takes what the API takes, refuses what that
// refuses, and delivers signed callbacks. It is in charge of nothing that the driver does: it has its own idea of the API
// and signs with its own code.
package vibersim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Options differ from Viber's own behaviour for a test; the zero value is as strict as Viber.
type Options struct {
	Now       func() time.Time // nil = the real time
	PerSecond float64          // requests a second; 0 = 50 in bursts of 500 ("Broadcast Messaging"), negative = no limit
	PerHour   int              // messages to one person without an answer; 0 = 100 ("Send a Message"), negative = no limit
	Retry     []time.Duration  // pauses before callbacks come again; empty = 1 s, doubled
	OldApps   bool             // customers have apps of API level 1
	Latency   time.Duration    // of each call
}

// Sim is Viber with one bot of ours.
type Sim struct {
	channelsim.Base
	hook   channelsim.Hook
	o      Options
	token  string
	base   string
	events []string
	byName map[string]*person
	byID   map[string]*person
	media  map[string]channelsim.File
}

// New makes a Viber.
func New(o Options) *Sim {
	s := &Sim{o: o, token: "445da6az1s345z78-dazcczb2542zv51a-e0vc5fva17480im9", byName: map[string]*person{}, byID: map[string]*person{}, media: map[string]channelsim.File{},
		events: []string{"delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"}}
	s.Init(o.Now)
	s.Latency = o.Latency
	s.hook = channelsim.Hook{Base: &s.Base, Sign: s.sign, Retry: o.Retry}
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "viber" }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	s.Lock()
	defer s.Unlock()
	s.base = base
	return channel.Settings{"auth_token": s.token, "uri": "musterhausbot", "api_url": base}
}

// Hook delivers the callbacks.
func (s *Sim) Hook() *channelsim.Hook { return &s.hook }

// Connect implements channelsim.Sim, as somebody would who calls set_webhook.
func (s *Sim) Connect(hook string) { s.hook.To(hook) }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

func (s *Sim) sign(to string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(s.token))
	mac.Write(body)
	r.Header.Set("X-Viber-Content-Signature", hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

type object map[string]any

// serial is a message_token. The caller holds the mutex.
func (s *Sim) serial() int64 { return 5741311803571721087 + s.Serial()*7919 }

// tell delivers a callback, if it was asked for. The caller holds the mutex.
func (s *Sim) tell(p *person, event string, messageToken int64, more object) {
	if event != "message" && !slices.Contains(s.events, event) {
		return
	}
	e := object{"event": event, "timestamp": s.Now().UnixMilli(), "chat_hostname": "SN-CHAT-01_", "message_token": messageToken}
	for k, v := range more {
		e[k] = v
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	s.hook.Push(p.id, body)
}

func answer(v object) channelsim.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return channelsim.Response{Body: body}
}

var words = map[int]string{1: "invalidUrl", 2: "invalidAuthToken", 3: "badData", 4: "missingData", 5: "receiverNotRegistered", 6: "receiverNotSubscribed",
	10: "webhookNotSet", 12: "tooManyRequests", 14: "incompatibleWithVersion"}

// refuse is an error: HTTP status 200 with another status in the body.
func refuse(status int) channelsim.Response {
	return answer(object{"status": status, "status_message": words[status], "chat_hostname": "SN-CHAT-01_"})
}

// ServeHTTP is the API, and the host of media.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id, ok := strings.CutPrefix(r.URL.Path, "/media/"); ok && r.Method == http.MethodGet {
		s.Do(w, r, "media", func() channelsim.Response {
			s.Lock()
			defer s.Unlock()
			id, _, _ := strings.Cut(id, "/")
			f, ok := s.media[id]
			if !ok {
				return channelsim.Response{Status: http.StatusForbidden, Type: "text/plain"}
			}
			return channelsim.Response{Type: f.MediaType, Body: f.Content}
		})
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	method, ok := strings.CutPrefix(r.URL.Path, "/pa/")
	op := map[string]string{"send_message": "message", "set_webhook": "webhook", "get_account_info": "account"}[method]
	if !ok || op == "" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	s.Do(w, r, op, func() channelsim.Response {
		switch {
		case r.Header.Get("X-Viber-Auth-Token") != s.token:
			return refuse(2)
		case len(body) > 30<<10 || !json.Valid(body): // "Maximum message size is 30KB"
			return refuse(3)
		}
		switch method {
		case "set_webhook":
			return s.setWebhook(r.Context(), body)
		case "get_account_info":
			s.Lock()
			defer s.Unlock()
			return answer(object{"status": 0, "status_message": "ok", "id": "pa:75346594275468546724", "name": "Musterhaus", "uri": "musterhausbot", "webhook": s.hook.URL(), "event_types": s.events})
		}
		return s.send(body)
	})
}

// setWebhook asks the address first: it has to answer 200 ("Set webhook callback").
func (s *Sim) setWebhook(ctx context.Context, body []byte) channelsim.Response {
	var in struct {
		URL    string    `json:"url"`
		Events *[]string `json:"event_types"`
	}
	if json.Unmarshal(body, &in) != nil {
		return refuse(3)
	}
	if in.URL == "" {
		s.hook.To("")
		return answer(object{"status": 0, "status_message": "ok"})
	}
	u, err := url.Parse(in.URL)
	if err != nil || u.Scheme != "https" && u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" {
		return refuse(1)
	}
	s.Lock()
	ask, _ := json.Marshal(object{"event": "webhook", "timestamp": s.Now().UnixMilli(), "chat_hostname": "SN-CHAT-01_", "message_token": s.serial()})
	s.Unlock()
	r, err := s.sign(in.URL, ask)
	if err != nil {
		return refuse(1)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := http.DefaultClient.Do(r.WithContext(ctx))
	if err != nil {
		return refuse(1)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refuse(1)
	}
	s.hook.To(in.URL)
	s.Lock()
	defer s.Unlock()
	if in.Events != nil {
		s.events = *in.Events
	}
	return answer(object{"status": 0, "status_message": "ok", "event_types": s.events})
}

type request struct {
	Receiver string `json:"receiver"`
	MinAPI   int    `json:"min_api_version"`
	Sender   struct {
		Name string `json:"name"`
	} `json:"sender"`
	Tracking string `json:"tracking_data"`
	Type     string `json:"type"`
	Text     string `json:"text"`
	Keyboard *struct {
		Type    string `json:"Type"`
		Buttons []struct {
			Columns    int    `json:"Columns"`
			Rows       int    `json:"Rows"`
			ActionType string `json:"ActionType"`
			ActionBody string `json:"ActionBody"`
			Text       string `json:"Text"`
			Silent     bool   `json:"Silent"`
		} `json:"Buttons"`
	} `json:"keyboard"`
}

var tags = regexp.MustCompile(`</?[a-zA-Z][^>]*>`)

func (s *Sim) send(body []byte) channelsim.Response {
	var in request
	if json.Unmarshal(body, &in) != nil {
		return refuse(3)
	}
	s.Lock()
	defer s.Unlock()
	if rate := s.o.PerSecond; rate >= 0 {
		burst := rate
		if rate == 0 {
			rate, burst = 50, 500
		}
		if s.Take("account", rate, max(burst, 1)) > 0 {
			return refuse(12)
		}
	}
	p := s.byID[in.Receiver]
	switch {
	case s.hook.URL() == "":
		return refuse(10)
	case in.Receiver == "" || in.Type == "" || in.Sender.Name == "":
		return refuse(4)
	case in.Type != "text" || in.Text == "" || utf8.RuneCountInString(in.Text) > 7000 || utf8.RuneCountInString(in.Sender.Name) > 28 || len(in.Tracking) > 4000:
		return refuse(3)
	case p == nil:
		return refuse(5)
	case p.Blocked || !p.subscribed:
		return refuse(6)
	case s.o.OldApps && in.MinAPI > 1:
		return refuse(14)
	}
	if perHour := s.o.PerHour; perHour >= 0 {
		if perHour == 0 {
			perHour = 100
		}
		now := s.Now()
		p.unanswered = slices.DeleteFunc(p.unanswered, func(at time.Time) bool { return now.Sub(at) > time.Hour })
		if len(p.unanswered) >= perHour {
			s.Take("to "+p.id+" without an answer", float64(perHour)/3600, 0) // enters the overstep
			return refuse(12)
		}
		p.unanswered = append(p.unanswered, now)
	}
	id := s.serial()
	ref := strconv.FormatInt(id, 10)
	got := channelsim.Message{Ref: ref, Text: in.Text, At: s.Now()}
	rows, column, wrong := 0, 6, ""
	if in.Keyboard != nil {
		if in.Keyboard.Type != "keyboard" || len(in.Keyboard.Buttons) == 0 {
			return refuse(3)
		}
		for _, b := range in.Keyboard.Buttons {
			label := html.UnescapeString(tags.ReplaceAllString(b.Text, ""))
			if b.ActionBody == "" || label == "" || utf8.RuneCountInString(label) > 250 || b.Columns < 1 || b.Columns > 6 || b.Rows < 1 || b.Rows > 2 {
				wrong = "Keyboard is not valid"
			}
			if column+b.Columns > 6 {
				rows, column = rows+1, 0
			}
			column += b.Columns
			got.Choices = append(got.Choices, channel.Choice{Label: label, Data: b.ActionBody})
		}
		if rows > 12 {
			wrong = "Keyboard is not valid. [keyboard exceeds the maximum of 12 rows]"
		}
	}
	s.Accept(channelsim.Accepted{Op: "message", To: p.id, Ref: ref, Text: in.Text})
	if wrong != "" { // the app looks at keyboards, not the server
		s.tell(p, "failed", id, object{"user_id": p.id, "desc": wrong})
	} else {
		p.Got = append(p.Got, got)
		p.unseen = append(p.unseen, id)
		if in.Keyboard != nil {
			p.keyboard = ref
			p.silent = in.MinAPI >= 6
		}
		p.tracking = in.Tracking
		s.tell(p, "delivered", id, object{"user_id": p.id})
	}
	s.Changed()
	return answer(object{"status": 0, "status_message": "ok", "message_token": id, "chat_hostname": "SN-CHAT-01_", "billing_status": 1})
}

// person is a customer with the app.
type person struct {
	channelsim.Chat
	s          *Sim
	id         string
	subscribed bool
	unseen     []int64
	unanswered []time.Time
	keyboard   string // Ref of the message whose keyboard is shown
	silent     bool
	tracking   string
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.byName[name]
	if p == nil {
		sum := sha256.Sum256([]byte("viber " + name))
		p = &person{Chat: channelsim.Chat{Name: name}, s: s, id: base64.StdEncoding.EncodeToString(sum[:16])}
		s.byName[name], s.byID[p.id] = p, p
	}
	return p
}

func (p *person) user() object {
	return object{"id": p.id, "name": p.Name, "avatar": "", "country": "DE", "language": "de-DE", "api_version": 10}
}

// Address implements channelsim.Person.
func (p *person) Address() string { return p.id }

// Open implements channelsim.Person: it tells of itself, but does not subscribe ("Conversation started").
func (p *person) Open(token string) error {
	p.s.Lock()
	defer p.s.Unlock()
	e := object{"type": "open", "user": p.user(), "subscribed": p.subscribed && !p.Blocked}
	if token != "" {
		e["context"] = token
	}
	p.s.tell(p, "conversation_started", p.s.serial(), e)
	return nil
}

// say sends a message of the person; the first one subscribes.
func (p *person) say(m object, silent bool) (string, error) {
	p.s.Lock()
	defer p.s.Unlock()
	if p.Blocked {
		return "", channelsim.ErrBlocked
	}
	p.subscribed, p.unanswered = true, nil
	if p.tracking != "" {
		m["tracking_data"] = p.tracking
	}
	id := p.s.serial()
	p.s.tell(p, "message", id, object{"sender": p.user(), "message": m, "silent": silent})
	p.s.Changed()
	return strconv.FormatInt(id, 10), nil
}

// Write implements channelsim.Person. Bots are not told what a message quotes.
func (p *person) Write(text, replyTo string) (string, error) {
	if replyTo != "" {
		return "", channelsim.ErrCannot
	}
	if strings.TrimSpace(text) == "" || utf8.RuneCountInString(text) > 7000 {
		return "", errors.New("the app takes 1 to 7000 characters")
	}
	return p.say(object{"type": "text", "text": text}, false)
}

// Send implements channelsim.Person.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	p.s.Lock()
	id := strconv.FormatInt(p.s.Serial(), 36) + "v"
	p.s.media[id] = f
	m := object{"type": "file", "media": p.s.base + "/media/" + id + "/" + url.PathEscape(f.Name) + "?Expires=1", "file_name": f.Name, "file_size": len(f.Content), "size": len(f.Content)}
	p.s.Unlock()
	switch kind, _, _ := strings.Cut(f.MediaType, "/"); kind {
	case "image":
		m["type"], m["thumbnail"] = "picture", m["media"]
	case "video":
		m["type"], m["duration"] = "video", 10
	}
	if caption != "" && m["type"] != "file" {
		m["text"] = caption
	}
	return p.say(m, false)
}

// Press implements channelsim.Person: only the newest keyboard is shown ("Keyboards").
func (p *person) Press(ref, label string) error {
	p.s.Lock()
	if ref == "" {
		ref = p.keyboard
	}
	_, c, err := p.Find(ref, label)
	if ref != p.keyboard {
		err = channelsim.ErrNothing
	}
	silent := p.silent
	p.s.Unlock()
	if err != nil {
		return err
	}
	_, err = p.say(object{"type": "text", "text": c.Data}, silent)
	return err
}

// React implements channelsim.Person.
func (p *person) React(string, string) error { return channelsim.ErrCannot }

// Edit implements channelsim.Person.
func (p *person) Edit(string, string) error { return channelsim.ErrCannot }

// Read implements channelsim.Person.
func (p *person) Read() error {
	p.s.Lock()
	defer p.s.Unlock()
	for _, id := range p.unseen {
		p.s.tell(p, "seen", id, object{"user_id": p.id})
	}
	p.unseen = nil
	return nil
}

// Block implements channelsim.Person: leaving the bot is what there is.
func (p *person) Block(blocked bool) error {
	p.s.Lock()
	defer p.s.Unlock()
	if p.Blocked == blocked {
		return nil
	}
	p.Blocked = blocked
	if blocked {
		p.s.tell(p, "unsubscribed", p.s.serial(), object{"user_id": p.id})
	} else {
		p.subscribed = true
		p.s.tell(p, "subscribed", p.s.serial(), object{"user": p.user()})
	}
	p.s.Changed()
	return nil
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.s.Lock()
	defer p.s.Unlock()
	return slices.Clone(p.Got)
}
