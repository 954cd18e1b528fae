// Package slacksim simulates Slack: a workspace with one app of ours and members who write to it. It is in charge of being
// as strict as the Web API and the Events API are documented at https://docs.slack.dev.
package slacksim

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// The app and its workspace.
const (
	Team  = "T0SIMTEAM"
	App   = "A0SIMAPP"
	Bot   = "U0SIMBOT"
	BotID = "B0SIMBOT"
)

// Sim is Slack.
type Sim struct {
	channelsim.Base
	Hook *channelsim.Hook // the Events API
	Acts *channelsim.Hook // interactivity: tried once, the member sees a warning if it fails

	// PerChannel and PerMinute are how many messages are taken in one conversation a second and in the workspace a minute
	// (chat.postMessage, "Rate limiting"); negative = no limit.
	PerChannel, PerMinute float64
	Secret, Token         string
	// Scopes are what the token is granted.
	Scopes string

	base   string
	people map[string]*Customer
	users  map[string]*Customer
	rooms  map[string]*Customer
	files  map[string]*stored
	last   int64 // last ts, in microseconds
	tries  map[string]int
	said   map[string]string // conversation:ts → thread, of everything written
}

// stored is a file at Slack.
type stored struct {
	channelsim.File
	size     int64
	owner    string
	uploaded bool
	shared   bool
}

// New makes a simulator. now = nil means the real time.
func New(now func() time.Time) *Sim {
	s := &Sim{PerChannel: 1, PerMinute: 300, Secret: "8f742231b10e8888abcd99yyyzzz85a5", Token: "xoxb-0000-1111-simulated",
		Scopes: "chat:write,im:history,im:write,files:read,files:write,reactions:read",
		people: map[string]*Customer{}, users: map[string]*Customer{}, rooms: map[string]*Customer{}, files: map[string]*stored{},
		tries: map[string]int{}, said: map[string]string{}}
	s.Init(now)
	// Events API, "Retries": nearly at once, after a minute, after five; then it is given up.
	s.Hook = &channelsim.Hook{Base: &s.Base, Sign: s.signEvent, Attempts: 4, Retry: []time.Duration{time.Second, time.Minute, 5 * time.Minute}}
	s.Acts = &channelsim.Hook{Base: &s.Base, Sign: s.signForm, Attempts: 1}
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "slack" }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	s.Lock()
	defer s.Unlock()
	s.base = base
	return channel.Settings{"api_url": base + "/api", "bot_token": s.Token, "signing_secret": s.Secret, "team_id": Team, "app_id": App}
}

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// Connect implements channelsim.Sim. Slack uses an address only once it has echoed a challenge ("Request URL
// configuration & verification"); the operator is thought to press Retry until it does.
func (s *Sim) Connect(hook string) {
	if hook == "" {
		s.Hook.To("")
		s.Acts.To("")
		return
	}
	s.Work.Go(func() {
		for s.Ctx.Err() == nil {
			if s.challenge(hook) {
				s.Hook.To(hook)
				s.Acts.To(hook)
				return
			}
			select {
			case <-s.Ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

func (s *Sim) challenge(hook string) bool {
	const challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
	r, err := s.request(hook, mustJSON(map[string]string{"token": "Jhj5dZrVaK7ZwHHjRyZWjbDl", "challenge": challenge, "type": "url_verification"}), "application/json")
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r.WithContext(s.Ctx))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	var form struct {
		Challenge string `json:"challenge"`
	}
	_ = json.Unmarshal(answer, &form)
	return resp.StatusCode == http.StatusOK && (string(answer) == challenge || form.Challenge == challenge)
}

// request signs a body ("Verifying requests from Slack").
func (s *Sim) request(url string, body []byte, mediaType string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	stamp := strconv.FormatInt(s.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.Secret))
	fmt.Fprintf(mac, "v0:%s:%s", stamp, body)
	r.Header.Set("Content-Type", mediaType)
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return r, nil
}

func (s *Sim) signEvent(url string, body []byte) (*http.Request, error) {
	r, err := s.request(url, body, "application/json")
	if err != nil {
		return nil, err
	}
	s.Lock()
	n := s.tries[string(body)]
	s.tries[string(body)]++
	s.Unlock()
	if n > 0 {
		r.Header.Set("X-Slack-Retry-Num", strconv.Itoa(n))
		r.Header.Set("X-Slack-Retry-Reason", "http_error")
	}
	return r, nil
}

func (s *Sim) signForm(url string, body []byte) (*http.Request, error) {
	return s.request(url, body, "application/x-www-form-urlencoded")
}

// emit queues an event about a customer. The caller holds the mutex.
func (s *Sim) emit(c *Customer, event map[string]any) {
	at := s.Now().Unix()
	s.Hook.Push(c.room, mustJSON(map[string]any{
		"token": "XXYYZZ", "team_id": Team, "api_app_id": App, "event": event, "type": "event_callback",
		"event_id": fmt.Sprintf("Ev%08d", s.Serial()), "event_time": at,
		"authorizations":        []any{map[string]any{"enterprise_id": nil, "team_id": Team, "user_id": Bot, "is_bot": true, "is_enterprise_install": false}},
		"is_ext_shared_channel": false,
	}))
}

// ts is a new time stamp, larger than all before. The caller holds the mutex.
func (s *Sim) ts() string {
	s.last = max(s.last+1, s.Now().UnixMicro())
	return fmt.Sprintf("%d.%06d", s.last/1e6, s.last%1e6)
}

func mustJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

var (
	escape   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
)

// display is a text as members see it: what stands in angle brackets is a control sequence.
func display(text string) string {
	var b strings.Builder
	for text != "" {
		i := strings.IndexByte(text, '<')
		if i < 0 {
			break
		}
		b.WriteString(unescape.Replace(text[:i]))
		inner, rest, _ := strings.Cut(text[i+1:], ">")
		if _, label, ok := strings.Cut(inner, "|"); ok {
			inner = label
		}
		b.WriteString("[" + inner + "]")
		text = rest
	}
	b.WriteString(unescape.Replace(text))
	return b.String()
}
