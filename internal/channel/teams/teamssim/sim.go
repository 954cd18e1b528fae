// Package teamssim simulates Microsoft Teams as a bot sees it: the sign-in, the keys with which the Bot Framework Connector
// signs, the connector itself, and people in their personal chats. It is in charge of being as strict as
// https://learn.microsoft.com documents them.
package teamssim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// The bot and its tenant.
const (
	AppID  = "0d469698-ab9d-479a-b0d8-758b6e6b1234"
	Tenant = "528dbe3f-15e0-4e37-84a1-00cc305847dd"
	kid    = "sim-key-1"
)

// Sim is Teams.
type Sim struct {
	channelsim.Base
	Hook *channelsim.Hook

	// PerChat and PerApp are how many requests a second are taken for one chat, with bursts of seven, and in all ("Optimize
	// your bot with rate limiting"); negative = no limit.
	PerChat, PerApp float64
	// Password is the app's secret, another one in each simulator.
	Password string
	// Lifetime is how long an access token is good for.
	Lifetime time.Duration

	base    string
	key     *rsa.PrivateKey
	people  map[string]*Customer
	chats   map[string]*Customer
	files   map[string]channelsim.File
	access  map[string]time.Time // access tokens, until when
	signIns int
	last    int64
	bearer  string
	signed  time.Time
}

// theKey is made once: making it takes long.
var theKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// New makes a simulator. now = nil means the real time.
func New(now func() time.Time) *Sim {
	s := &Sim{PerChat: 2, PerApp: 30, Lifetime: time.Hour, Password: "sim~8Q." + rand.Text(), key: theKey(), people: map[string]*Customer{}, chats: map[string]*Customer{},
		files: map[string]channelsim.File{}, access: map[string]time.Time{}}
	s.Init(now)
	// How often the connector tries again is not documented; that it does when a bot takes more than 15 seconds is known.
	s.Hook = &channelsim.Hook{Base: &s.Base, Sign: s.sign, Attempts: 5, Retry: []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute}}
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "teams" }

// Settings implements channelsim.Sim. The setting jwks is left to the driver's Probe.
func (s *Sim) Settings(base string) channel.Settings {
	s.Lock()
	defer s.Unlock()
	s.base = base
	return channel.Settings{"app_id": AppID, "app_password": s.Password, "tenant_id": Tenant, "api_url": base}
}

// Connect implements channelsim.Sim.
func (s *Sim) Connect(hook string) { s.Hook.To(hook) }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// SignIns is how often a token was asked for.
func (s *Sim) SignIns() int {
	s.Lock()
	defer s.Unlock()
	return s.signIns
}

// Revoke makes all access tokens invalid.
func (s *Sim) Revoke() {
	s.Lock()
	defer s.Unlock()
	clear(s.access)
}

// Keys is the JSON Web Key Set that every simulator here publishes.
func Keys() string { return string(keySet(theKey())) }

func keySet(key *rsa.PrivateKey) []byte {
	public := map[string]any{"kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()), "endorsements": []string{"msteams", "webchat"}}
	other := map[string]any{"kty": "RSA", "use": "sig", "kid": "for-others", "n": public["n"], "e": public["e"], "endorsements": []string{"directline"}}
	return mustJSON(map[string]any{"keys": []any{other, public}})
}

// service is the serviceUrl of what the connector delivers.
func (s *Sim) service() string { return s.base + "/teams/" }

// sign makes the request with the connector's token.
func (s *Sim) sign(url string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	s.Lock()
	now := s.Now()
	if s.bearer == "" || now.Sub(s.signed) > 30*time.Minute || now.Before(s.signed) { // one token serves many requests
		s.bearer, s.signed = s.token(map[string]any{"iss": "https://api.botframework.com", "aud": AppID, "serviceurl": s.service(),
			"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()}), now
	}
	r.Header.Set("Authorization", "Bearer "+s.bearer)
	s.Unlock()
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("x-ms-tenant-id", Tenant)
	return r, nil
}

// token makes a JSON Web Token, signed RS256.
func (s *Sim) token(claims map[string]any) string {
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(mustJSON(v)) }
	text := part(map[string]string{"typ": "JWT", "alg": "RS256", "kid": kid, "x5t": kid}) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}
