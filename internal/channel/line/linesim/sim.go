// Package linesim is a simulated LINE: the part of the Messaging API that an official account needs, and customers with the
// app in hand. It is in charge of refusing what LINE refuses; it knows nothing of the driver that it is tried with. Facts:
// https://developers.line.biz/en/reference/messaging-api/.
package linesim

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Credentials of the simulated account; they look like LINE's and are none.
const (
	Secret  = "8c570fa6dd201bb328f1c1eac23a96d8"
	Token   = "bm9ib2R5+s/channel/access/token+of/the/simulator=="
	BasicID = "@123muster"
	botID   = "U00000000000000000000000000000b07"
)

// Options change what a test needs.
type Options struct {
	Now          func() time.Time
	PerSecond    float64 // push requests; 0 = 2,000 as LINE has it, negative = no limit
	MonthlyLimit int     // pushes that the plan pays for; 0 = no limit
	Retry        []time.Duration
}

// Sim is the simulator.
type Sim struct {
	channelsim.Base
	Hook channelsim.Hook

	o        Options
	base     string
	endpoint string
	people   map[string]*person // by name
	byID     map[string]*person
	keys     map[string]accepted // by retry key
	files    map[string]channelsim.File
	pushes   int
}

type accepted struct {
	requestID string
	answer    []byte
	at        time.Time
}

// New makes a simulator.
func New(o Options) *Sim {
	s := &Sim{o: o, people: map[string]*person{}, byID: map[string]*person{}, keys: map[string]accepted{}, files: map[string]channelsim.File{}}
	s.Init(o.Now)
	s.Hook = channelsim.Hook{Base: &s.Base, Retry: o.Retry, Sign: sign}
	return s
}

func sign(url string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, []byte(Secret))
	h.Write(body)
	r.Header.Set("X-Line-Signature", base64.StdEncoding.EncodeToString(h.Sum(nil)))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "LineBotWebhook/2.0")
	return r, nil
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "line" }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	return channel.Settings{"channel_secret": Secret, "channel_access_token": Token, "basic_id": BasicID, "api_url": base}
}

// Connect implements channelsim.Sim.
func (s *Sim) Connect(hook string) { s.Hook.To(hook) }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// Person implements channelsim.Sim. The customer has added the account as a friend without an event.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.people[name]
	if p == nil {
		h := sha256.Sum256([]byte(name))
		p = &person{sim: s, id: fmt.Sprintf("U%x", h[:16])}
		p.chat.Name = name
		s.people[name], s.byID[p.id] = p, p
	}
	return p
}

func (s *Sim) messageID() string { return strconv.FormatInt(461230966842064000+s.Serial(), 10) }

// ulid looks like one: time, then a number.
func (s *Sim) ulid() string { return fmt.Sprintf("01%010X%014X", s.Now().UnixMilli(), s.Serial()) }

// ServeHTTP implements channelsim.Sim: hosts api.line.me and api-data.line.me in one.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 10<<20))
	if r.Header.Get("Authorization") != "Bearer "+Token {
		refuse(401, "Authentication failed due to the following reason: invalid token. Confirm that the access token in the authorization header is valid.").serve(w, s, r, "auth")
		return
	}
	path := r.URL.Path
	switch {
	case r.Method == http.MethodPost && path == "/v2/bot/message/push":
		s.Do(w, r, "message", func() channelsim.Response { return s.push(r, body) })
	case r.Method == http.MethodGet && path == "/v2/bot/info":
		s.Do(w, r, "info", func() channelsim.Response {
			return answer(200, map[string]any{"userId": botID, "basicId": BasicID, "displayName": "Musterhaus", "chatMode": "bot", "markAsReadMode": "manual"})
		})
	case path == "/v2/bot/channel/webhook/endpoint":
		s.Do(w, r, "endpoint", func() channelsim.Response { return s.webhook(r.Method, body) })
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/v2/bot/message/") && strings.HasSuffix(path, "/content"):
		s.Do(w, r, "media", func() channelsim.Response {
			s.Lock()
			defer s.Unlock()
			f, ok := s.files[strings.TrimSuffix(strings.TrimPrefix(path, "/v2/bot/message/"), "/content")]
			if !ok {
				return refuse(404, "Not found").Response
			}
			return channelsim.Response{Type: f.MediaType, Body: f.Content}
		})
	default:
		refuse(404, "Not found").serve(w, s, r, "other")
	}
}

func (s *Sim) webhook(method string, body []byte) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	switch method {
	case http.MethodGet:
		if s.endpoint == "" {
			return refuse(404, "Webhook endpoint not found").Response
		}
		return answer(200, map[string]any{"endpoint": s.endpoint, "active": true})
	case http.MethodPut:
		var in struct {
			Endpoint string `json:"endpoint"`
		}
		if json.Unmarshal(body, &in) != nil || !strings.HasPrefix(in.Endpoint, "https://") || len(in.Endpoint) > 500 {
			return refuse(400, "Invalid webhook endpoint URL").Response
		}
		s.endpoint = in.Endpoint
		return answer(200, map[string]any{})
	}
	return refuse(405, "Method not allowed").Response
}

// Endpoint is the webhook URL that was set by the API.
func (s *Sim) Endpoint() string {
	s.Lock()
	defer s.Unlock()
	return s.endpoint
}

type response struct{ channelsim.Response }

func (r response) serve(w http.ResponseWriter, s *Sim, req *http.Request, op string) {
	s.Do(w, req, op, func() channelsim.Response { return r.Response })
}

func answer(status int, v any) channelsim.Response {
	body, _ := json.Marshal(v)
	return channelsim.Response{Status: status, Body: body}
}

type detail struct {
	Message  string `json:"message"`
	Property string `json:"property"`
}

func refuse(status int, message string, details ...detail) response {
	v := map[string]any{"message": message}
	if len(details) > 0 {
		v["details"] = details
	}
	return response{answer(status, v)}
}

var (
	uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	userForm = regexp.MustCompile(`^U[0-9a-f]{32}$`)
)

type pushRequest struct {
	To       string `json:"to"`
	Messages []struct {
		Type       string `json:"type"`
		Text       string `json:"text"`
		QuickReply *struct {
			Items []struct {
				Type   string `json:"type"`
				Action struct {
					Type        string `json:"type"`
					Label       string `json:"label"`
					Data        string `json:"data"`
					DisplayText string `json:"displayText"`
				} `json:"action"`
			} `json:"items"`
		} `json:"quickReply"`
	} `json:"messages"`
}

// push is "Send push message".
func (s *Sim) push(r *http.Request, body []byte) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	rate := s.o.PerSecond
	if rate == 0 {
		rate = 2000
	}
	if rate > 0 {
		if s.Take("push", rate, max(rate, 1)) > 0 {
			return refuse(429, "The API rate limit has been exceeded. Try again later.").Response
		}
	}
	requestID := fmt.Sprintf("0193a1b2-1111-7000-8000-%012d", s.Serial())
	key := strings.ToLower(r.Header.Get("X-Line-Retry-Key"))
	if key != "" {
		if !uuidForm.MatchString(key) {
			return refuse(400, "Invalid retry key").Response
		}
		// "Retry failed API requests": a key is kept for 24 hours.
		if old, ok := s.keys[key]; ok && s.Now().Sub(old.at) < 24*time.Hour {
			var before map[string]any
			_ = json.Unmarshal(old.answer, &before)
			before["message"] = "The retry key is already accepted"
			out := answer(409, before)
			out.Header = http.Header{"X-Line-Request-Id": {requestID}, "X-Line-Accepted-Request-Id": {old.requestID}}
			return out
		}
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return refuse(415, "Unsupported media type").Response
	}
	var in pushRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return refuse(400, "The request body could not be parsed as JSON").Response
	}
	if problem := in.check(); problem != nil {
		return refuse(400, "The request body has 1 error(s)", *problem).Response
	}
	if !userForm.MatchString(in.To) {
		return refuse(400, "The property, 'to', in the request body is invalid (line: -, column: -)").Response
	}
	p := s.byID[in.To]
	if p == nil {
		return refuse(400, "Failed to send messages").Response
	}
	if s.o.MonthlyLimit > 0 && s.pushes >= s.o.MonthlyLimit {
		return refuse(429, "You have reached your monthly limit.").Response
	}
	s.pushes++
	var sent []map[string]string
	for _, m := range in.Messages {
		got := channelsim.Message{Ref: s.messageID(), Text: m.Text, At: s.Now()}
		if m.QuickReply != nil {
			for _, i := range m.QuickReply.Items {
				got.Choices = append(got.Choices, channel.Choice{Label: i.Action.Label, Data: i.Action.Data})
			}
		}
		sent = append(sent, map[string]string{"id": got.Ref, "quoteToken": "qt-" + got.Ref})
		if !p.chat.Blocked { // LINE says nothing of it and drops the message
			for i := range p.chat.Got { // quick replies vanish with the next message
				p.chat.Got[i].Choices = nil
			}
			p.chat.Got = append(p.chat.Got, got)
		}
		s.Accept(channelsim.Accepted{Op: "message", To: in.To, Ref: got.Ref, Key: key, Text: m.Text})
	}
	out := answer(200, map[string]any{"sentMessages": sent})
	out.Header = http.Header{"X-Line-Request-Id": {requestID}}
	if key != "" {
		s.keys[key] = accepted{requestID, out.Body, s.Now()}
	}
	return out
}

func (in *pushRequest) check() *detail {
	if in.To == "" {
		return &detail{"May not be empty", "to"}
	}
	if n := len(in.Messages); n < 1 || n > 5 {
		return &detail{"Size must be between 1 and 5", "messages"}
	}
	for i, m := range in.Messages {
		at := fmt.Sprintf("messages[%d].", i)
		switch {
		case m.Type != "text":
			return &detail{"Must be one of the following values: [text] (the simulator knows no other)", at + "type"}
		case m.Text == "":
			return &detail{"May not be empty", at + "text"}
		case units(m.Text) > 5000:
			return &detail{"Length must be between 0 and 5000", at + "text"}
		}
		if m.QuickReply == nil {
			continue
		}
		if n := len(m.QuickReply.Items); n < 1 || n > 13 {
			return &detail{"Size must be between 1 and 13", at + "quickReply.items"}
		}
		for j, item := range m.QuickReply.Items {
			where := fmt.Sprintf("%squickReply.items[%d].", at, j)
			a := item.Action
			switch {
			case item.Type != "action" || a.Type != "postback":
				return &detail{"Invalid action", where + "action"}
			case a.Label == "" || clusters(a.Label) > 20:
				return &detail{"Length must be between 1 and 20", where + "action.label"}
			case a.Data == "" || units(a.Data) > 300:
				return &detail{"Length must be between 1 and 300", where + "action.data"}
			case clusters(a.DisplayText) > 300:
				return &detail{"Length must be between 0 and 300", where + "action.displayText"}
			}
		}
	}
	return nil
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// clusters is the number of grapheme clusters as far as a label needs it: marks, joiners and what they join do not count.
func clusters(s string) int {
	n, joined := 0, false
	for _, r := range s {
		switch {
		case r == 0x200D:
			joined = true
			continue
		case r >= 0x300 && r <= 0x36F, r >= 0xFE00 && r <= 0xFE0F, r >= 0x1F3FB && r <= 0x1F3FF:
			continue
		}
		if !joined {
			n++
		}
		joined = false
	}
	if n == 0 && utf8.RuneCountInString(s) > 0 {
		n = 1
	}
	return n
}
