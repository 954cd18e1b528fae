package teams

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const (
	issuer = "https://api.botframework.com"
	skew   = 5 * time.Minute // "Industry-standard clock-skew is 5 minutes"
	// teamsChannel is the channelId of what comes from Teams; a key must be endorsed for it.
	teamsChannel = "msteams"
)

// Verify implements channel.Webhook ("Authentication with the Bot Connector API", "Verify the JWT token", requirements 1
// to 7, and the endorsement of "Get a list of valid signing keys"). The token covers the serviceUrl, not the body: that is
// the scheme's weakness, and TLS has to make up for it.
func (Driver) Verify(a channel.Account, r *channel.Request, now time.Time) error {
	token, ok := strings.CutPrefix(channel.OneHeader(r.Header, "Authorization"), "Bearer ")
	if !ok || a.Settings["app_id"] == "" {
		return channel.ErrUnauthentic
	}
	t, ok := parseToken(token)
	if !ok || t.claims.Issuer != issuer || !strings.EqualFold(t.claims.Audience, a.Settings["app_id"]) || t.claims.ServiceURL == "" ||
		!t.claims.in(now) {
		return channel.ErrUnauthentic
	}
	var activity struct {
		ServiceURL string `json:"serviceUrl"`
		Channel    string `json:"channelId"`
	}
	if json.Unmarshal(r.Body, &activity) != nil || activity.ServiceURL != t.claims.ServiceURL || activity.Channel != teamsChannel {
		return channel.ErrUnauthentic
	}
	set := keysOf(a.Settings["jwks"])
	if len(set.keys) == 0 {
		return channel.ErrNotYet // Probe has not fetched the keys so far
	}
	if !set.signed(token, t) {
		return channel.ErrUnauthentic
	}
	return nil
}

// jwt is a JSON Web Token (RFC 7519) taken apart.
type jwt struct {
	kid       string
	claims    claims
	signature []byte
}

type claims struct {
	Issuer     string `json:"iss"`
	Audience   string `json:"aud"`
	ServiceURL string `json:"serviceurl"` // encoding/json takes serviceUrl, too
	Expires    int64  `json:"exp"`
	NotBefore  int64  `json:"nbf"`
}

func (c claims) in(now time.Time) bool {
	return c.Expires > 0 && now.Before(time.Unix(c.Expires, 0).Add(skew)) && !now.Before(time.Unix(c.NotBefore, 0).Add(-skew))
}

// parseToken takes a token apart. Only RS256 is known: it is what the OpenID metadata lists, and the algorithm is never
// the token's to choose.
func parseToken(token string) (jwt, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 8192 {
		return jwt{}, false
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		// Strictly, so that no second spelling passes.
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil || strings.ContainsAny(p, "\r\n") {
			return jwt{}, false
		}
	}
	var head struct {
		Algorithm string   `json:"alg"`
		Key       string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	t := jwt{signature: raw[2]}
	if json.Unmarshal(raw[0], &head) != nil || head.Algorithm != "RS256" || head.Key == "" || len(head.Critical) > 0 || json.Unmarshal(raw[1], &t.claims) != nil {
		return jwt{}, false
	}
	t.kid = head.Key
	return t, true
}

// keyset are the keys of one jwks setting, and tokens that were found to be signed by one of them: the connector uses a
// token for many requests.
type keyset struct {
	keys map[string]*rsa.PublicKey

	mu   sync.Mutex
	seen map[[sha256.Size]byte]bool
}

// signed reports whether a key signed the token (RFC 7515 §5.2).
func (s *keyset) signed(token string, t jwt) bool {
	key := s.keys[t.kid]
	if key == nil {
		return false
	}
	id := sha256.Sum256([]byte(token))
	s.mu.Lock()
	known := s.seen[id]
	s.mu.Unlock()
	if known {
		return true
	}
	digest := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.signature) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= 256 {
		clear(s.seen)
	}
	s.seen[id] = true
	return true
}

// jwk is a JSON Web Key (RFC 7517) with the channels that it is endorsed for.
type jwk struct {
	Type         string   `json:"kty"`
	ID           string   `json:"kid"`
	N            string   `json:"n"`
	E            string   `json:"e"`
	Endorsements []string `json:"endorsements"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// public is the key, nil if it is none that may sign for Teams.
func (k jwk) public() *rsa.PublicKey {
	n, err := base64.RawURLEncoding.DecodeString(k.N)
	if err != nil || k.Type != "RSA" || k.ID == "" || !slices.Contains(k.Endorsements, teamsChannel) {
		return nil
	}
	e, err := base64.RawURLEncoding.DecodeString(k.E)
	if err != nil || len(e) == 0 || len(e) > 4 || len(n) < 256 || len(n) > 1024 {
		return nil
	}
	exponent := int(new(big.Int).SetBytes(e).Int64())
	if exponent < 3 || exponent%2 == 0 || exponent > 1<<31-1 {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exponent}
}

// keep is the part of a JWKS that is needed, always written the same way.
func (s jwks) keep() string {
	var list []jwk
	for _, k := range s.Keys {
		if k.public() != nil {
			k.Endorsements = []string{teamsChannel}
			list = append(list, k)
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.SortFunc(list, func(a, b jwk) int { return strings.Compare(a.ID+a.N, b.ID+b.N) })
	raw, err := json.Marshal(jwks{list})
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(raw))
}

// parsed are key sets by their setting. It only saves time: all of it can be made from the settings again.
var parsed = struct {
	sync.Mutex
	sets map[string]*keyset
}{sets: map[string]*keyset{}}

func keysOf(setting string) *keyset {
	parsed.Lock()
	defer parsed.Unlock()
	if s := parsed.sets[setting]; s != nil {
		return s
	}
	s := &keyset{keys: map[string]*rsa.PublicKey{}, seen: map[[sha256.Size]byte]bool{}}
	var set jwks
	if setting != "" && json.Unmarshal([]byte(setting), &set) == nil {
		for _, k := range set.Keys {
			if public := k.public(); public != nil {
				s.keys[k.ID] = public
			}
		}
	}
	if len(parsed.sets) >= 64 {
		clear(parsed.sets)
	}
	parsed.sets[setting] = s
	return s
}
