package rcs

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const (
	scope         = "https://www.googleapis.com/auth/rcsbusinessmessaging"
	grantJWT      = "urn:ietf:params:oauth:grant-type:jwt-bearer" // RFC 7523 §2.1
	assertionLife = time.Hour                                     // "Using OAuth 2.0 for Server to Server Applications": at most
	tokenMargin   = time.Minute
	tokensMax     = 256
)

// serviceAccount is Google's JSON key file.
type serviceAccount struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	KeyID    string `json:"private_key_id"`
	Key      string `json:"private_key"`
	TokenURI string `json:"token_uri"`

	key *rsa.PrivateKey
}

func readAccount(setting string) (serviceAccount, error) {
	var s serviceAccount
	if err := json.Unmarshal([]byte(setting), &s); err != nil {
		return s, errors.New("this is no JSON key file: give its whole content")
	}
	if s.Type != "service_account" || s.Email == "" || s.Key == "" {
		return s, errors.New("this is not the key file of a service account: it has type, client_email and private_key")
	}
	block, _ := pem.Decode([]byte(s.Key))
	if block == nil {
		return s, errors.New("its private_key is no PEM block: give the file as it was downloaded")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return s, errors.New("its private_key cannot be read: create a new key")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return s, errors.New("its private_key is not an RSA key: create a new key")
	}
	if s.TokenURI == "" {
		s.TokenURI = "https://oauth2.googleapis.com/token"
	}
	if err := channel.CheckURL("token_uri", s.TokenURI, "https://oauth2.googleapis.com/token"); err != nil {
		return s, err
	}
	s.key = key
	return s, nil
}

// apiURL is the API's address; google tells whether it is one of Google's own endpoints.
func apiURL(a channel.Account) (base string, google bool) {
	base = strings.TrimRight(a.Settings.Or("api_url", DefaultURL), "/")
	u, err := url.Parse(base)
	return base, err == nil && u.Scheme == "https" && strings.HasSuffix(u.Hostname(), ".googleapis.com")
}

// tokens keeps access tokens until they expire, since a driver is asked anew for every message.
var tokens = struct {
	sync.Mutex
	list map[string]accessToken
}{list: map[string]accessToken{}}

type accessToken struct {
	value   string
	expires time.Time
}

// tokenKey names an account's token: Google's are never given to a stand-in, nor the other way round.
func tokenKey(a channel.Account) string {
	_, google := apiURL(a)
	h := sha256.Sum256([]byte(a.Org + "\x00" + a.Settings["service_account"] + "\x00" + strconv.FormatBool(google)))
	return string(h[:])
}

func remember(a channel.Account, t accessToken, now time.Time) {
	tokens.Lock()
	defer tokens.Unlock()
	if len(tokens.list) >= tokensMax {
		for k, old := range tokens.list {
			if len(tokens.list) >= tokensMax || now.After(old.expires) {
				delete(tokens.list, k)
			}
		}
	}
	tokens.list[tokenKey(a)] = t
}

func forget(a channel.Account, value string) {
	tokens.Lock()
	defer tokens.Unlock()
	if k := tokenKey(a); tokens.list[k].value == value {
		delete(tokens.list, k)
	}
}

// token gives an access token. Its error is a *channel.SendError, of a class that knows that no message was sent.
func token(ctx context.Context, a channel.Account, env channel.Env) (string, error) {
	now := env.Now()
	tokens.Lock()
	t, ok := tokens.list[tokenKey(a)]
	tokens.Unlock()
	if ok && now.Before(t.expires) {
		return t.value, nil
	}
	s, err := readAccount(a.Settings["service_account"])
	if err != nil {
		return "", badAccount("", err)
	}
	endpoint := s.TokenURI
	if base, google := apiURL(a); !google {
		endpoint = base + "/token"
	}
	assertion, err := s.assertion(endpoint, now)
	if err != nil {
		return "", badAccount("", err)
	}
	c := channel.Call{URL: endpoint, Type: "application/x-www-form-urlencoded", Secrets: []string{assertion},
		Body: []byte(url.Values{"grant_type": {grantJWT}, "assertion": {assertion}}.Encode())}
	answer, err := c.Do(ctx, env.HTTP)
	if err != nil {
		return "", notYet(err)
	}
	var body struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	readable := json.Unmarshal(answer.Body, &body) == nil
	switch {
	case answer.OK() && readable && body.AccessToken != "":
		t := accessToken{body.AccessToken, now.Add(time.Duration(min(max(body.ExpiresIn, 60), 86400))*time.Second - tokenMargin)}
		remember(a, t, now)
		return t.value, nil
	case answer.Status == http.StatusTooManyRequests || answer.Status >= 500 || answer.OK():
		return "", &channel.SendError{Class: channel.Temporary, Code: strconv.Itoa(answer.Status), RetryAfter: answer.RetryAfter(),
			Err: fmt.Errorf("ask for an access token: status %d", answer.Status), Reason: noToken}
	default:
		return "", badAccount(body.Error, fmt.Errorf("ask for an access token: status %d: %s", answer.Status, channel.CleanName(body.Error+" "+body.Description)))
	}
}

var noToken = channel.Text{DE: "Google gibt gerade keine Zugangsberechtigung aus; es wird erneut versucht.", EN: "Google does not grant access now; it is tried again."}

// notYet is an error before the message itself was sent: nothing can have arrived.
func notYet(err error) error {
	var e *channel.SendError
	if errors.As(err, &e) && e.Class == channel.Unknown {
		return &channel.SendError{Class: channel.Temporary, Code: e.Code, Err: e.Err, Reason: noToken}
	}
	return err
}

func badAccount(code string, err error) *channel.SendError {
	return &channel.SendError{Class: channel.Misconfig, Code: code, Err: err, Reason: channel.Text{
		DE: "Google nimmt das Dienstkonto nicht an: Prüfen Sie service_account.",
		EN: "Google does not accept the service account: check service_account.",
	}}
}

// assertion is the signed claim that Google exchanges for a token (RFC 7523; RS256 of RFC 7518 §3.3).
func (s serviceAccount) assertion(audience string, now time.Time) (string, error) {
	header, _ := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": s.KeyID})
	claims, _ := json.Marshal(map[string]any{"iss": s.Email, "scope": scope, "aud": audience, "iat": now.Unix(), "exp": now.Add(assertionLife).Unix()})
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign the claim: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
