// Package vonagesim is a simulated Vonage Messages API v1 for SMS, with its errors, limits and signed webhooks. It is no
// kinder than the real one and shares no code with the driver.
package vonagesim

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// The account that the simulator has.
const (
	APIKey          = "abcd1234"
	APISecret       = "xyzSecret12345"
	SignatureSecret = "sigSecret-0123456789abcdef0123456789"
	ApplicationID   = "78d335fa-323d-0114-9c3d-d6f0d48968cf"
	From            = "+4915735985678"
	textMax         = 1000
)

// Sim is a simulated Vonage. Make it with New.
type Sim struct {
	channelsim.Base
	PerSecond float64 // requests; negative: no limit
	Basic     bool    // Settings have key and secret instead of an application
	Hook      channelsim.Hook

	key       *rsa.PrivateKey
	secret    string
	people    map[string]*person
	byAddress map[string]*person // by digits
	stopped   map[string]bool
}

var _ channelsim.Sim = (*Sim)(nil)

// applicationKey is the application's key, made once per process: that takes a while.
var applicationKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// New makes a simulator; now = nil means the real time.
func New(now func() time.Time) *Sim {
	s := &Sim{PerSecond: 30, key: applicationKey(), secret: SignatureSecret, people: map[string]*person{}, byAddress: map[string]*person{}, stopped: map[string]bool{}}
	s.Init(now)
	// "Webhooks": until they are answered with 200, for 24 hours.
	s.Hook = channelsim.Hook{Base: &s.Base, Sign: s.sign, Retry: []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}}
	return s
}

// Kind implements channelsim.Sim.
func (*Sim) Kind() channel.Kind { return "vonage" }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	set := channel.Settings{"api_key": APIKey, "signature_secret": s.secret, "from": From, "api_url": base}
	if s.Basic {
		set["api_secret"] = APISecret
		return set
	}
	set["application_id"] = ApplicationID
	set["private_key"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.key)}))
	return set
}

// Connect implements channelsim.Sim.
func (s *Sim) Connect(hook string) { s.Hook.To(hook) }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

var b64 = base64.RawURLEncoding

// sign makes a signed webhook request ("Signed webhooks").
func (s *Sim) sign(target string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	claims, _ := json.Marshal(map[string]any{"iat": s.Now().Unix(), "jti": fmt.Sprintf("%x", sum[:8]), "iss": "Vonage", "payload_hash": hex.EncodeToString(sum[:]), "api_key": APIKey, "application_id": ApplicationID})
	signed := b64.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(s.secret))
	_, _ = io.WriteString(mac, signed)
	r.Header.Set("Authorization", "Bearer "+signed+"."+b64.EncodeToString(mac.Sum(nil)))
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

func failure(status int, kind, title, detail string) channelsim.Response {
	body, _ := json.Marshal(map[string]any{"type": "https://developer.vonage.com/api-errors" + kind, "title": title, "detail": detail, "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf"})
	return channelsim.Response{Status: status, Type: "application/problem+json", Body: body}
}

// authorized checks the application's JWT or key and secret.
func (s *Sim) authorized(r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok {
		return user == APIKey && password == APISecret
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		return false
	}
	head, err1 := b64.DecodeString(parts[0])
	body, err2 := b64.DecodeString(parts[1])
	signature, err3 := b64.DecodeString(parts[2])
	var h struct{ Alg string }
	var c struct {
		Application string `json:"application_id"`
		Iat, Exp    int64
		Jti         string
	}
	if err1 != nil || err2 != nil || err3 != nil || json.Unmarshal(head, &h) != nil || json.Unmarshal(body, &c) != nil {
		return false
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	now := s.Now().Unix()
	return h.Alg == "RS256" && rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature) == nil && c.Application == ApplicationID &&
		c.Jti != "" && c.Iat <= now+60 && c.Exp > now && c.Exp <= now+24*3600
}

// ServeHTTP is the API.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	op := "other"
	if r.Method == http.MethodPost && r.URL.Path == "/v1/messages" {
		op = "message"
	}
	s.Do(w, r, op, func() channelsim.Response {
		s.Lock()
		defer s.Unlock()
		switch {
		case !s.authorized(r):
			return failure(401, "#unauthorized", "Unauthorized", "You did not provide correct credentials.")
		case op != "message":
			return failure(404, "#not-found", "Not Found", "Resource not found")
		case s.PerSecond > 0 && s.Take("api", s.PerSecond, s.PerSecond) > 0:
			return failure(429, "/messages#1010", "Rate Limit Hit", "Please wait, then retry your request")
		}
		return s.create(body)
	})
}

var e164 = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)

// create accepts a message or says why not. The caller holds the mutex.
func (s *Sim) create(body []byte) channelsim.Response {
	var m struct {
		Type      string `json:"message_type"`
		Channel   string
		To, From  string
		Text      string
		ClientRef string `json:"client_ref"`
		SMS       struct {
			Encoding string `json:"encoding_type"`
		}
	}
	invalid := func(detail string) channelsim.Response {
		return failure(422, "/messages#1150", "Invalid request body", detail)
	}
	switch err := json.Unmarshal(body, &m); {
	case err != nil || m.Type != "text" || m.Channel != "sms":
		return invalid("The request body did not contain valid JSON.")
	case !e164.MatchString(m.To):
		return failure(422, "/messages#1430", "Invalid recipient", "The `to` parameter is invalid for the given channel.")
	case m.From != strings.TrimPrefix(From, "+") && m.From != "Musterhaus":
		return failure(422, "/messages#1120", "Invalid sender", "The `from` parameter is invalid for the given channel.")
	case m.Text == "" || channel.Length(m.Text, channel.UTF16) > textMax:
		return invalid("The `text` parameter must have 1 to 1000 characters.")
	case len(m.ClientRef) > 100:
		return invalid("The `client_ref` parameter is longer than 100 characters.")
	case m.SMS.Encoding != "" && m.SMS.Encoding != "auto" && m.SMS.Encoding != "text" && m.SMS.Encoding != "unicode":
		return invalid("The `encoding_type` parameter is unknown.")
	}
	id := s.uuid()
	s.Accept(channelsim.Accepted{Op: "message", To: "+" + m.To, Ref: id, Text: m.Text})
	status := func(state string, more map[string]any) {
		v := map[string]any{"message_uuid": id, "to": m.To, "from": m.From, "timestamp": s.stamp(), "status": state, "channel": "sms", "client_ref": m.ClientRef,
			"usage": map[string]any{"currency": "EUR", "price": "0.0333"}, "destination": map[string]any{"network_code": "26201"}, "sms": map[string]any{"count_total": "1"}}
		for k, x := range more {
			v[k] = x
		}
		raw, _ := json.Marshal(v)
		s.Hook.Push(id, raw)
	}
	reject := func(code, detail string) {
		status("rejected", map[string]any{"error": map[string]any{"type": "https://developer.vonage.com/api-errors/messages#" + code, "title": code, "detail": detail, "instance": id}})
	}
	p := s.byAddress[m.To]
	switch {
	case s.stopped[m.To]: // "Messaging opted-out numbers": accepted, then rejected
		reject("1050", "Number barred - The number you are trying to submit to is blacklisted and may not receive messages.")
	case p == nil:
		status("submitted", nil)
		reject("1040", "Invalid message - The Platform was unable to process your request.")
	default:
		status("submitted", nil)
		p.chat.Got = append(p.chat.Got, channelsim.Message{Ref: id, Text: m.Text, At: s.Now()})
		status("delivered", nil)
		s.Changed()
	}
	answer, _ := json.Marshal(map[string]string{"message_uuid": id})
	return channelsim.Response{Status: http.StatusAccepted, Body: answer}
}

func (s *Sim) uuid() string { return fmt.Sprintf("aaaaaaaa-bbbb-4ccc-8ddd-%012x", s.Serial()) }

func (s *Sim) stamp() string { return s.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// person is a customer with a mobile phone.
type person struct {
	sim    *Sim
	number string
	chat   channelsim.Chat
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.people[name]
	if p == nil {
		p = &person{sim: s, number: fmt.Sprintf("49160%08d", 23450001+len(s.people)), chat: channelsim.Chat{Name: name}}
		s.people[name], s.byAddress[p.number] = p, p
	}
	return p
}

// Address implements channelsim.Person.
func (p *person) Address() string { return "+" + p.number }

// Open implements channelsim.Person. There is nothing to open in SMS, and no link carries a token.
func (p *person) Open(token string) error {
	if token != "" {
		return channelsim.ErrCannot
	}
	return nil
}

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) {
	if replyTo != "" {
		return "", channelsim.ErrCannot
	}
	s := p.sim
	s.Lock()
	defer s.Unlock()
	switch strings.ToUpper(strings.TrimSpace(text)) {
	case "STOP":
		s.stopped[p.number] = true
	case "START":
		delete(s.stopped, p.number)
	}
	id := s.uuid()
	raw, _ := json.Marshal(map[string]any{"to": strings.TrimPrefix(From, "+"), "from": p.number, "channel": "sms", "message_uuid": id, "timestamp": s.stamp(), "message_type": "text",
		"text": text, "sms": map[string]any{"num_messages": "1", "keyword": strings.ToUpper(strings.Fields(text + " _")[0])}, "usage": map[string]any{"price": "0.0057", "currency": "EUR"}})
	s.Hook.Push(p.number, raw)
	return id, nil
}

// Send implements channelsim.Person: there is no MMS where this number is.
func (*person) Send(channelsim.File, string) (string, error) { return "", channelsim.ErrCannot }

// Press implements channelsim.Person.
func (*person) Press(string, string) error { return channelsim.ErrCannot }

// React implements channelsim.Person.
func (*person) React(string, string) error { return channelsim.ErrCannot }

// Edit implements channelsim.Person.
func (*person) Edit(string, string) error { return channelsim.ErrCannot }

// Read implements channelsim.Person: nobody is told.
func (*person) Read() error { return channelsim.ErrCannot }

// Block implements channelsim.Person: by STOP, and START ends it.
func (p *person) Block(blocked bool) error {
	word := "START"
	if blocked {
		word = "STOP"
	}
	_, err := p.Write(word, "")
	return err
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	return append([]channelsim.Message(nil), p.chat.Got...)
}
