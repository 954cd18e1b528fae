// Package rcssim is Google's RCS platform to test against: one agent, and customers with an RCS phone. It is in charge of
// being no kinder than the real one (https://developers.google.com/business-communications/rcs-business-messaging): it
// checks signed claims and tokens, lengths, types and ids, ignores ids that were used before, and delivers webhooks again
// until they are acknowledged.
package rcssim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Options describe the agent and how strict the platform is.
type Options struct {
	AgentID     string // "" = "muster_agent"
	ClientToken string // "" = DefaultClientToken
	Number      string // the agent's number for links; "" = "+4930123456"
	Now         func() time.Time
	// PerSecond is the quota of messages; 0 = 300, below 0 = none. Google publishes no number.
	PerSecond float64
	// Retry are the pauses between deliveries of a webhook; nil = 1 s, doubled up to 600 s ("Webhooks").
	Retry  []time.Duration
	Client channelsim.Doer // sends webhooks; nil = a plain HTTP client
}

// DefaultClientToken is the client token of a Sim without Options.ClientToken.
const DefaultClientToken = "SJENCPGJESMGUFPY" //nolint:gosec // of a simulator

// Sim is the platform; see New.
type Sim struct {
	channelsim.Base
	Hook channelsim.Hook

	options Options
	email   string // the service account's name, different for each Sim
	base    string
	hookURL string
	people  map[string]*person // by name
	numbers map[string]*person
	tokens  map[string]time.Time // access tokens and when they end
	used    map[string]bool      // ids of messages
	uploads map[string]channelsim.File
	media   map[string]channelsim.File // of customers, by the secret part of the address
}

// New makes a platform without customers.
func New(o Options) *Sim {
	if o.AgentID == "" {
		o.AgentID = "muster_agent"
	}
	if o.ClientToken == "" {
		o.ClientToken = DefaultClientToken
	}
	if o.Number == "" {
		o.Number = "+4930123456"
	}
	if o.PerSecond == 0 {
		o.PerSecond = 300
	}
	if o.Retry == nil {
		for d := time.Second; d < 600*time.Second; d *= 2 {
			o.Retry = append(o.Retry, d)
		}
		o.Retry = append(o.Retry, 600*time.Second)
	}
	s := &Sim{options: o, email: "rbm-" + random(6) + "@muster.iam.gserviceaccount.com", people: map[string]*person{}, numbers: map[string]*person{}, tokens: map[string]time.Time{}, used: map[string]bool{},
		uploads: map[string]channelsim.File{}, media: map[string]channelsim.File{}}
	s.Init(o.Now)
	s.Hook = channelsim.Hook{Base: &s.Base, Sign: s.sign, Retry: o.Retry, Client: o.Client}
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "rcs" }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// account is the service account's key, made once since that takes a while.
var account = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	s.Lock()
	s.base = strings.TrimRight(base, "/")
	s.Unlock()
	der, err := x509.MarshalPKCS8PrivateKey(account())
	if err != nil {
		panic(err)
	}
	file, _ := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "muster", "private_key_id": "sim", "client_email": s.email,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	return channel.Settings{"agent_id": s.options.AgentID, "client_token": s.options.ClientToken, "service_account": string(file), "phone_number": s.options.Number, "api_url": base}
}

// Connect implements channelsim.Sim: the webhook is used once it has repeated the secret ("Configure an agent webhook").
func (s *Sim) Connect(hook string) {
	s.Lock()
	s.hookURL = hook
	s.Unlock()
	s.Hook.To("")
	if hook == "" {
		return
	}
	s.Work.Go(func() {
		for s.Ctx.Err() == nil {
			s.Lock()
			current := s.hookURL == hook
			s.Unlock()
			if !current {
				return
			}
			if s.shake(hook) {
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

func (s *Sim) shake(hook string) bool {
	secret := random(8)
	body, _ := json.Marshal(map[string]string{"clientToken": s.options.ClientToken, "secret": secret})
	ctx, cancel := context.WithTimeout(s.Ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	var client channelsim.Doer = http.DefaultClient
	if s.options.Client != nil {
		client = s.options.Client
	}
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return err == nil && resp.StatusCode == http.StatusOK && string(got) == secret
}

// sign makes the webhook request; body is the event.
func (s *Sim) sign(hook string, body []byte) (*http.Request, error) {
	sum := sha256.Sum256(body)
	envelope, err := json.Marshal(map[string]any{
		"message": map[string]any{
			"attributes":  map[string]string{"project_number": "7313", "product": "RBM"},
			"data":        base64.StdEncoding.EncodeToString(body),
			"messageId":   hex.EncodeToString(sum[:8]),
			"publishTime": s.Now().UTC().Format(time.RFC3339Nano),
		},
		"subscription": "projects/rbm/subscriptions/webhook",
	})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, hook, bytes.NewReader(envelope)) //nolint:noctx // Hook adds it
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha512.New, []byte(s.options.ClientToken))
	mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Goog-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r, nil
}

// ServeHTTP is the platform's API.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, fileMax+1))
	if err != nil {
		return
	}
	path := r.URL.Path
	switch {
	case path == "/token" && r.Method == http.MethodPost:
		s.Do(w, r, "token", func() channelsim.Response {
			s.Lock()
			base := s.base
			s.Unlock()
			if base == "" {
				base = "http://" + r.Host
			}
			return s.token(base+"/token", body)
		})
	case strings.HasPrefix(path, "/userfiles/") && r.Method == http.MethodGet:
		s.Do(w, r, "media", func() channelsim.Response {
			s.Lock()
			defer s.Unlock()
			f, ok := s.media[strings.TrimPrefix(path, "/userfiles/")]
			if !ok {
				return channelsim.Response{Status: 404, Type: "text/plain", Body: []byte("Not Found")}
			}
			return channelsim.Response{Type: f.MediaType, Body: f.Content}
		})
	case path == "/upload/v1/files" && r.Method == http.MethodPost:
		s.Do(w, r, "media", func() channelsim.Response { return s.upload(r, body) })
	case phonePath.MatchString(path) && r.Method == http.MethodPost:
		s.Do(w, r, "message", func() channelsim.Response { return s.message(r, phonePath.FindStringSubmatch(path)[1], body) })
	case capabilitiesPath.MatchString(path) && r.Method == http.MethodGet:
		s.Do(w, r, "capabilities", func() channelsim.Response {
			s.Lock()
			defer s.Unlock()
			if refused := s.authorize(r); refused != nil {
				return *refused
			}
			if s.numbers[capabilitiesPath.FindStringSubmatch(path)[1]] == nil {
				return fail(404, "NOT_FOUND", "Requested entity was not found.")
			}
			return ok(map[string]any{"features": []string{"RICHCARD_STANDALONE", "RICHCARD_CAROUSEL", "ACTION_DIAL"}})
		})
	default:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>")
	}
}

var (
	phonePath        = regexp.MustCompile(`^/v1/phones/([^/]+)/agentMessages$`)
	capabilitiesPath = regexp.MustCompile(`^/v1/phones/([^/]+)/capabilities$`)
	uuidForm         = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	numberForm       = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
)

// token exchanges a signed claim (RFC 7523).
func (s *Sim) token(audience string, body []byte) channelsim.Response {
	bad := func(code, why string) channelsim.Response {
		raw, _ := json.Marshal(map[string]string{"error": code, "error_description": why})
		return channelsim.Response{Status: 400, Body: raw}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return bad("unsupported_grant_type", "Invalid grant_type")
	}
	parts := strings.Split(form.Get("assertion"), ".")
	if len(parts) != 3 {
		return bad("invalid_grant", "Invalid JWT")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err != nil || rsa.VerifyPKCS1v15(&account().PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return bad("invalid_grant", "Invalid JWT Signature.")
	}
	var header struct{ Alg string }
	var claims struct {
		Iss, Aud, Scope string
		Iat, Exp        int64
	}
	for i, v := range []any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, v) != nil {
			return bad("invalid_grant", "Invalid JWT")
		}
	}
	now := s.Now().Unix()
	switch {
	case header.Alg != "RS256" || claims.Iss != s.email:
		return bad("invalid_grant", "Invalid grant: account not found")
	case claims.Aud != audience:
		return bad("invalid_grant", "Invalid JWT: Failed audience check.")
	case claims.Iat > now+60 || claims.Exp < now || claims.Exp-claims.Iat > 3600:
		return bad("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
	case claims.Scope != "https://www.googleapis.com/auth/rcsbusinessmessaging":
		return bad("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
	}
	s.Lock()
	defer s.Unlock()
	t := "ya29.sim-" + random(16)
	s.tokens[t] = s.Now().Add(time.Hour)
	return ok(map[string]any{"access_token": t, "expires_in": 3599, "token_type": "Bearer"})
}

// Expire ends all access tokens before their time.
func (s *Sim) Expire() {
	s.Lock()
	defer s.Unlock()
	clear(s.tokens)
}

// authorize looks at token and agent. The caller holds the mutex.
func (s *Sim) authorize(r *http.Request) *channelsim.Response {
	t, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if end, ok := s.tokens[t]; !found || !ok || s.Now().After(end) {
		e := fail(401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
		return &e
	}
	if r.URL.Query().Get("agentId") != s.options.AgentID {
		e := fail(403, "PERMISSION_DENIED", "The caller does not have permission")
		return &e
	}
	return nil
}

const fileMax = 100 << 20

var mediaTypes = []string{"image/jpeg", "image/jpg", "image/gif", "image/png", "audio/aac", "audio/mp3", "audio/mpeg", "audio/mpg", "audio/mp4", "audio/mp4-latm",
	"audio/3gpp", "application/ogg", "audio/ogg", "video/h263", "video/m4v", "video/mp4", "video/mpeg", "video/mpeg4", "video/webm", "application/pdf"}

func (s *Sim) upload(r *http.Request, body []byte) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	if refused := s.authorize(r); refused != nil {
		return *refused
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(mediaTypes, mediaType) {
		return fail(400, "INVALID_ARGUMENT", "The content type is not supported.")
	}
	if len(body) == 0 || len(body) > fileMax {
		return fail(400, "INVALID_ARGUMENT", "The file is empty or too large.")
	}
	name := "files/" + random(16)
	s.uploads[name] = channelsim.File{Name: name, MediaType: mediaType, Content: body}
	s.Accept(channelsim.Accepted{Op: "media", Ref: name})
	return ok(map[string]string{"name": name})
}

type agentMessage struct {
	Content *struct {
		Text string `json:"text"`
		File *struct {
			Name string `json:"fileName"`
		} `json:"uploadedRbmFile"`
		Suggestions []struct {
			Reply *struct {
				Text string `json:"text"`
				Data string `json:"postbackData"`
			} `json:"reply"`
		} `json:"suggestions"`
	} `json:"contentMessage"`
	TrafficType string `json:"messageTrafficType"`
}

func (s *Sim) message(r *http.Request, number string, body []byte) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	if refused := s.authorize(r); refused != nil {
		return *refused
	}
	bad := func(why string) channelsim.Response { return fail(400, "INVALID_ARGUMENT", why) }
	if s.options.PerSecond > 0 {
		if wait := s.Take("agent", s.options.PerSecond, max(s.options.PerSecond, 1)); wait > 0 {
			return fail(429, "RESOURCE_EXHAUSTED", "Quota exceeded.")
		}
	}
	id := r.URL.Query().Get("messageId")
	if !uuidForm.MatchString(id) {
		return bad("messageId must be a UUID.")
	}
	if !numberForm.MatchString(number) {
		return bad("The phone number is not in E.164 format.")
	}
	p := s.numbers[number]
	if p == nil {
		return fail(404, "NOT_FOUND", "Requested entity was not found.")
	}
	var m agentMessage
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return bad("Invalid JSON payload received. " + err.Error())
	}
	if m.Content == nil || (m.Content.Text != "") == (m.Content.File != nil) {
		return bad("Exactly one content is required.")
	}
	if n := utf8.RuneCountInString(m.Content.Text); n > 3072 {
		return bad("The text has more than 3072 characters.")
	}
	if len(m.Content.Suggestions) > 11 {
		return bad("Too many suggestions.")
	}
	msg := channelsim.Message{Ref: id, Text: m.Content.Text, At: s.Now()}
	for _, o := range m.Content.Suggestions {
		if o.Reply == nil || o.Reply.Text == "" || o.Reply.Data == "" || utf8.RuneCountInString(o.Reply.Text) > 25 || len(o.Reply.Data) > 2048 {
			return bad("Within suggested reply, the provided text exceeds the maximum allowed length.")
		}
		msg.Choices = append(msg.Choices, channel.Choice{Label: o.Reply.Text, Data: o.Reply.Data})
	}
	if f := m.Content.File; f != nil {
		file, ok := s.uploads[f.Name]
		if !ok {
			return bad("Unknown file name.")
		}
		msg.Files = []channelsim.File{file}
	}
	// "The platform ignores any agent message sent with an ID that was used": told so by AIP-193's ALREADY_EXISTS.
	if s.used[id] {
		return fail(409, "ALREADY_EXISTS", "Requested entity already exists")
	}
	s.used[id] = true
	s.Accept(channelsim.Accepted{Op: "message", To: number, Ref: id, Key: id, Text: msg.Text})
	if !p.Blocked {
		p.Got = append(p.Got, msg)
		s.Changed()
		s.event(p, "DELIVERED", id)
	}
	return ok(map[string]any{"name": "phones/" + number + "/agentMessages/" + id, "sendTime": stamp(s.Now()), "contentMessage": m.Content})
}

func ok(v any) channelsim.Response {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return channelsim.Response{Body: raw}
}

func fail(code int, status, message string) channelsim.Response {
	raw, _ := json.Marshal(map[string]any{"error": map[string]any{"code": code, "message": message, "status": status}})
	return channelsim.Response{Status: code, Body: raw}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// uuid makes an id as phones do.
func uuid() string {
	h := random(16)
	return fmt.Sprintf("%s-%s-4%s-8%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:])
}

var _ channelsim.Sim = (*Sim)(nil)
