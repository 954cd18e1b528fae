package emailsim

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// TokenOptions configure a TokenServer.
type TokenOptions struct {
	// Google makes it Google's endpoint (/token, refresh tokens stay as they are); else it is Microsoft's
	// (/{tenant}/oauth2/v2.0/token, each answer brings a new refresh token, and the scope decides what a token opens).
	Google bool
	// Tenant is the only directory that exists at Microsoft's; "" takes each.
	Tenant string
	// ClientID and ClientSecret are the application; a public one has no secret.
	ClientID, ClientSecret string
	// AppMailbox is what the application may open by itself (client credentials); "" = nothing.
	AppMailbox string
	// Life of an access token (default an hour).
	Life time.Duration
	// Once makes a refresh token good for one use, as providers with reuse detection do (neither of the two).
	Once bool
	Now  func() time.Time
}

// TokenServer is the token endpoint of a provider's OAuth 2.0 (RFC 6749): it gives access tokens for refresh tokens,
// and tells the provider's mail servers which of them are good. All methods may be called at any time.
type TokenServer struct {
	opts TokenOptions
	l    net.Listener
	srv  *http.Server

	mu      sync.Mutex
	n       int
	refresh map[string]string // refresh token to mailbox
	access  map[string]accessToken
	down    int // answer with this status
	asked   int // requests so far
	hold    chan struct{}
}

type accessToken struct {
	mailbox, scope string
	until          time.Time
}

// StartTokens listens on a free loopback port and serves until Close.
func StartTokens(o TokenOptions) (*TokenServer, error) {
	if o.Life <= 0 {
		o.Life = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the simulated token endpoint: %w", err)
	}
	t := &TokenServer{opts: o, l: l, refresh: map[string]string{}, access: map[string]accessToken{}}
	t.srv = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = t.srv.Serve(l) }() // ends with Close
	return t, nil
}

// URL is the base URL, as the setting api_url wants it.
func (t *TokenServer) URL() string { return "http://" + t.l.Addr().String() }

// Close stops the endpoint.
func (t *TokenServer) Close() { t.srv.Close() }

// Consent is what happens in the browser: the mailbox's owner allows the application in. It gives the refresh token.
func (t *TokenServer) Consent(mailbox string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.mint("0.A", 32)
	t.refresh[r] = mailbox
	return r
}

// Revoke takes all consents back; access tokens that are out stay good until they end, as at both providers.
func (t *TokenServer) Revoke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.refresh)
}

// EndTokens ends all access tokens that are out.
func (t *TokenServer) EndTokens() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.access)
}

// SetDown makes the endpoint answer with this HTTP status and no JSON; 0 ends that.
func (t *TokenServer) SetDown(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down = status
}

// Hold makes requests wait until release is called.
func (t *TokenServer) Hold() (release func()) {
	c := make(chan struct{})
	t.mu.Lock()
	t.hold = c
	t.mu.Unlock()
	return sync.OnceFunc(func() { close(c) })
}

// Asked is how many requests came so far.
func (t *TokenServer) Asked() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked
}

// Opens tells whether the access token opens the mailbox over the protocol ("IMAP" or "SMTP") now.
func (t *TokenServer) Opens(token, mailbox, protocol string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.access[token]
	if !ok || !strings.EqualFold(a.mailbox, mailbox) || !t.opts.Now().Before(a.until) {
		return false
	}
	return t.opts.Google || a.scope == ".default" || strings.Contains(a.scope, "/"+protocol+".")
}

func (t *TokenServer) mint(prefix string, n int) string {
	b := make([]byte, n)
	rand.Read(b)
	t.n++
	return fmt.Sprintf("%s%d.%s", prefix, t.n, hex.EncodeToString(b))
}

// ServeHTTP implements http.Handler.
func (t *TokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	hold := t.hold
	t.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	if t.down != 0 {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "<html>The service is unavailable.</html>", t.down)
		return
	}
	fail := func(status int, code, google, microsoft string) {
		said := map[string]any{"error": code, "error_description": google}
		if !t.opts.Google {
			said["error_description"] = microsoft + "\r\nTrace ID: 3a1c\r\nTimestamp: " + t.opts.Now().UTC().Format(time.DateTime) + "Z"
		}
		answer(w, status, said)
	}
	tenant, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/oauth2/v2.0/token")
	switch {
	case r.Method != http.MethodPost:
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	case t.opts.Google && r.URL.Path != "/token", !t.opts.Google && !ok:
		http.NotFound(w, r)
		return
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		fail(400, "invalid_request", "Bad Request", "AADSTS900144: The request body must contain the following parameter: 'grant_type'.")
		return
	case !t.opts.Google && t.opts.Tenant != "" && tenant != t.opts.Tenant:
		fail(400, "invalid_request", "", "AADSTS90002: Tenant '"+tenant+"' not found.")
		return
	}
	if err := r.ParseForm(); err != nil {
		fail(400, "invalid_request", "Bad Request", "AADSTS90014: malformed body")
		return
	}
	if r.PostForm.Get("client_id") != t.opts.ClientID {
		fail(401, "invalid_client", "The OAuth client was not found.", "AADSTS700016: Application with identifier was not found in the directory.")
		return
	}
	if r.PostForm.Get("client_secret") != t.opts.ClientSecret {
		fail(401, "invalid_client", "Unauthorized", "AADSTS7000215: Invalid client secret provided.")
		return
	}
	scope := r.PostForm.Get("scope")
	said := map[string]any{"token_type": "Bearer", "expires_in": int(t.opts.Life / time.Second)}
	a := accessToken{scope: scope, until: t.opts.Now().Add(t.opts.Life)}
	switch r.PostForm.Get("grant_type") {
	case "refresh_token":
		old := r.PostForm.Get("refresh_token")
		if a.mailbox, ok = t.refresh[old]; !ok {
			fail(400, "invalid_grant", "Token has been expired or revoked.", "AADSTS700082: The refresh token has expired due to inactivity.")
			return
		}
		if t.opts.Once {
			delete(t.refresh, old)
		}
		if !t.opts.Google || t.opts.Once {
			fresh := t.mint("0.A", 32)
			t.refresh[fresh] = a.mailbox
			said["refresh_token"] = fresh
		}
	case "client_credentials":
		if t.opts.Google || t.opts.AppMailbox == "" || !strings.HasSuffix(scope, "/.default") {
			fail(400, "unauthorized_client", "Unauthorized", "AADSTS700025: the application may not do that.")
			return
		}
		a.mailbox, a.scope = t.opts.AppMailbox, ".default"
	default:
		fail(400, "unsupported_grant_type", "Invalid grant_type", "AADSTS70003: The app requested an unsupported grant type.")
		return
	}
	token := t.mint("eyJ0.", 600) // as long as real ones: many do not fit into a line of 1,000 bytes
	t.access[token] = a
	said["access_token"] = token
	answer(w, http.StatusOK, said)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have left
}

// bearerServer is a mail server's side of XOAUTH2 and OAUTHBEARER.
type bearerServer struct {
	opens  func(user, token string) bool
	refuse error // what ends a refused sign-in
	asked  bool  // for the initial response
	told   bool  // why the token is refused
}

func (b *bearerServer) Next(response []byte) ([]byte, bool, error) {
	if b.told {
		return nil, true, b.refuse
	}
	if response == nil && !b.asked {
		b.asked = true
		return []byte{}, false, nil
	}
	user, token := "", ""
	for f := range strings.SplitSeq(string(response), "\x01") {
		if v, ok := strings.CutPrefix(f, "user="); ok {
			user = v
		}
		if v, ok := strings.CutPrefix(f, "n,a="); ok {
			user = strings.TrimSuffix(v, ",")
		}
		if v, ok := strings.CutPrefix(f, "auth=Bearer "); ok {
			token = v
		}
	}
	if b.opens(user, token) {
		return nil, true, nil
	}
	b.told = true
	return []byte(`{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`), false, nil
}
