package email

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/rufweite/rufweite/internal/channel"
)

// Mail servers of Microsoft 365 and Google take no password but an access token (OAuth 2.0, RFC 6749), which lives for
// about an hour and is bought from the token endpoint with a refresh token that a person's consent gave, or, at
// Microsoft, with the application's own secret (client credentials, for a mailbox that belongs to nobody).
const (
	microsoftBase = "https://login.microsoftonline.com"
	googleBase    = "https://oauth2.googleapis.com"
)

// tenantGoogle as oauth_tenant means Google whatever the hosts are called.
const tenantGoogle = "google"

// usesOAuth tells whether the account signs in at "smtp" or "imap" with a token: an application is named and no
// password is set for this server.
func usesOAuth(s channel.Settings, server string) bool {
	return s["oauth_client_id"] != "" && s[server+"_host"] != "" && s[server+"_password"] == ""
}

// byGoogle tells whose token endpoint is asked.
func byGoogle(s channel.Settings) bool {
	if t := s["oauth_tenant"]; t != "" {
		return strings.EqualFold(t, tenantGoogle)
	}
	for _, key := range []string{"imap_host", "smtp_host"} {
		host := strings.ToLower(strings.TrimSuffix(s[key], "."))
		for _, g := range []string{"gmail.com", "googlemail.com", "google.com"} {
			if host == g || strings.HasSuffix(host, "."+g) {
				return true
			}
		}
	}
	return false
}

// tokenURL is the token endpoint. api_url stands in for the provider's base URL.
func tokenURL(s channel.Settings) string {
	base := strings.TrimSuffix(s["api_url"], "/")
	if byGoogle(s) {
		if base == "" {
			base = googleBase
		}
		return base + "/token"
	}
	if base == "" {
		base = microsoftBase
	}
	return base + "/" + url.PathEscape(s.Or("oauth_tenant", "common")) + "/oauth2/v2.0/token"
}

// grant is what the token endpoint is asked.
func grant(s channel.Settings, refresh string) url.Values {
	v := url.Values{"client_id": {s["oauth_client_id"]}}
	if secret := s["oauth_client_secret"]; secret != "" {
		v.Set("client_secret", secret)
	}
	if refresh == "" {
		v.Set("grant_type", "client_credentials")
		v.Set("scope", "https://outlook.office365.com/.default")
		return v
	}
	v.Set("grant_type", "refresh_token")
	v.Set("refresh_token", refresh)
	if !byGoogle(s) {
		// Only what is needed: a scope that nobody consented to is refused. offline_access keeps the refresh tokens coming.
		scopes := []string{"offline_access"}
		if usesOAuth(s, "imap") {
			scopes = append(scopes, "https://outlook.office.com/IMAP.AccessAsUser.All")
		}
		if usesOAuth(s, "smtp") {
			scopes = append(scopes, "https://outlook.office.com/SMTP.Send")
		}
		v.Set("scope", strings.Join(scopes, " "))
	}
	return v
}

// oauthError is why there is no token.
type oauthError struct {
	class          channel.Class // Temporary or Misconfig
	retryAfter     time.Duration
	code           string // the endpoint's word, e.g. "invalid_grant"
	reason, remedy channel.Text
	err            error
}

// Error is the cause only: the words for people go with it wherever it is shown.
func (e *oauthError) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	return e.reason.EN
}

func (e *oauthError) Unwrap() error { return e.err }

// send is the failure as a Sender tells it.
func (e *oauthError) send() *channel.SendError {
	return &channel.SendError{Class: e.class, Code: e.code, RetryAfter: e.retryAfter, Reason: e.reason, Err: e}
}

// trouble is the failure as a channel shows it.
func (e *oauthError) trouble() *channel.Trouble {
	return &channel.Trouble{Reason: e.reason, Remedy: e.remedy, Err: e}
}

// purse keeps the access tokens of all accounts in memory: the driver itself has no state. A token is bought once and
// used by everything that signs in, until shortly before it ends or until a mail server refuses it.
type purse struct {
	mu      sync.Mutex
	entries map[string]*tokenEntry
}

var tokens = &purse{entries: map[string]*tokenEntry{}}

// tokenEntry is what is known about one account.
type tokenEntry struct {
	turn chan struct{} // one asks at a time, the others wait for the answer

	access  string
	expires time.Time
	refresh string          // what to buy the next one with
	known   map[string]bool // fingerprints of the refresh tokens that it descends from: a listener has ours from long ago
	unsaved bool            // refresh is newer than what the settings know
}

const maxEntries = 10000

func (p *purse) entry(a channel.Account) *tokenEntry {
	h := sha256.Sum256([]byte(tokenURL(a.Settings) + "\x00" + a.Settings["oauth_client_id"] + "\x00" + a.Settings["oauth_client_secret"]))
	key := a.Org + "/" + a.ID + "/" + string(h[:])
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[key]
	if e == nil {
		if len(p.entries) >= maxEntries {
			clear(p.entries) // they are bought again
		}
		e = &tokenEntry{turn: make(chan struct{}, 1)}
		p.entries[key] = e
	}
	return e
}

// adopt starts anew when a person, or another node, has put another refresh token into the settings.
func (e *tokenEntry) adopt(configured string) {
	if !e.descends(configured) {
		e.reset(configured)
	}
}

// reset begins anew; turn stays, others wait for it.
func (e *tokenEntry) reset(refresh string) {
	e.access, e.expires, e.refresh, e.known, e.unsaved = "", time.Time{}, refresh, nil, false
}

// descends tells whether our refresh token is this one or came from it.
func (e *tokenEntry) descends(from string) bool {
	return e.refresh == from || e.known[fingerprint(from)]
}

// rotated takes the refresh token that came with an answer. Microsoft gives a new one each time; the old one stays
// good for its 90 days, so that nothing is lost between the answer and the saving.
func (e *tokenEntry) rotated(fresh string) {
	if fresh == "" || fresh == e.refresh {
		return
	}
	if e.known == nil {
		e.known = map[string]bool{}
	}
	e.known[fingerprint(e.refresh)] = true
	e.refresh, e.unsaved = fresh, true
}

// save puts a rotated refresh token into the settings, so that it outlives the process.
func (e *tokenEntry) save(ctx context.Context, env channel.Env) {
	if !e.unsaved || env.SaveSetting == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := env.SaveSetting(ctx, "oauth_refresh_token", e.refresh, e.descends); err != nil {
		if env.Log != nil {
			env.Log.Warn("the renewed refresh token could not be saved; it is tried again", "error", err)
		}
		return
	}
	e.unsaved = false
}

// accessToken gives a token that a mail server should take, other than refused (one that it did not). Errors are
// *oauthError or the context's.
func accessToken(ctx context.Context, a channel.Account, env channel.Env, refused string) (string, error) {
	if env.HTTP == nil {
		return "", &oauthError{class: channel.Temporary, err: errors.New("no HTTP client in the environment"),
			reason: channel.Text{DE: "Keine Verbindung ins Netz.", EN: "no way to the network"}}
	}
	e := tokens.entry(a)
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	configured := a.Settings["oauth_refresh_token"]
	e.adopt(configured)
	defer e.save(ctx, env)
	if e.access != "" && e.access != refused && now(env).Before(e.expires) {
		return e.access, nil
	}
	e.access = ""
	got, err := askToken(ctx, a.Settings, env, e.refresh)
	var oe *oauthError
	if errors.As(err, &oe) && oe.code == "invalid_grant" && e.refresh != configured {
		// Where a provider lets a refresh token be used once only, another node may have used ours; what the settings
		// say is then the newer one.
		e.reset(configured)
		got, err = askToken(ctx, a.Settings, env, e.refresh)
	}
	if err != nil {
		return "", err
	}
	e.rotated(got.refresh)
	e.access = got.access
	e.expires = now(env).Add(got.life - min(5*time.Minute, got.life/5))
	return e.access, nil
}

type gotToken struct {
	access, refresh string
	life            time.Duration
}

const maxTokenAnswer = 1 << 20

// askToken asks the token endpoint once (RFC 6749 §6 and §4.4; errors §5.2).
func askToken(ctx context.Context, s channel.Settings, env channel.Env, refresh string) (gotToken, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL(s), strings.NewReader(grant(s, refresh).Encode()))
	if err != nil {
		return gotToken{}, &oauthError{class: channel.Misconfig, err: err,
			reason: channel.Text{DE: "Die Adresse der OAuth-Anmeldung ist ungültig.", EN: "the address of the OAuth sign-in is invalid"},
			remedy: channel.Text{DE: "Prüfen Sie oauth_tenant und api_url.", EN: "Check oauth_tenant and api_url."}}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	away := func(err error) error {
		return &oauthError{class: channel.Temporary, err: err,
			reason: channel.Text{DE: "Die OAuth-Anmeldung des Anbieters ist nicht erreichbar.", EN: "the provider's OAuth sign-in cannot be reached"},
			remedy: channel.Text{DE: "Es wird von selbst weiter versucht; prüfen Sie das Netz, wenn es dauert.", EN: "It is tried again by itself; check the network if it lasts."}}
	}
	resp, err := env.HTTP.Do(req)
	if err != nil {
		return gotToken{}, away(err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return gotToken{}, away(err)
	}
	var answer struct {
		AccessToken      string      `json:"access_token"`
		RefreshToken     string      `json:"refresh_token"`
		ExpiresIn        json.Number `json:"expires_in"`
		Error            string      `json:"error"`
		ErrorDescription string      `json:"error_description"`
	}
	perr := json.Unmarshal(body, &answer)
	if resp.StatusCode == http.StatusOK && perr == nil && answer.AccessToken != "" {
		if strings.ContainsAny(answer.AccessToken, "\x00\x01\r\n") {
			return gotToken{}, away(errors.New("the access token contains control characters"))
		}
		life := time.Hour // RFC 6749 §5.1: without expires_in it is as documented, an hour at both
		if n, err := strconv.ParseFloat(answer.ExpiresIn.String(), 64); err == nil && n >= 0 && n < 1e9 {
			life = time.Duration(n * float64(time.Second))
		}
		return gotToken{answer.AccessToken, answer.RefreshToken, life}, nil
	}
	return gotToken{}, refusedToken(resp, answer.Error, answer.ErrorDescription, perr)
}

// refusedToken reads a refusal (RFC 6749 §5.2).
func refusedToken(resp *http.Response, code, description string, perr error) *oauthError {
	description, _, _ = strings.Cut(description, "\n") // Microsoft adds trace ids in further lines
	said := cleanLine(strings.TrimSpace(code+" "+description), 400)
	if said == "" {
		said = "no error code"
		if perr != nil {
			said = "no JSON"
		}
	}
	e := &oauthError{class: channel.Misconfig, code: cleanLine(code, 60), err: fmt.Errorf("token endpoint answered %d: %s", resp.StatusCode, said)}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 || code == "temporarily_unavailable" || code == "server_error":
		e.class = channel.Temporary
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 && n <= 86400 {
			e.retryAfter = time.Duration(n) * time.Second
		}
		e.reason = channel.Text{DE: "Die OAuth-Anmeldung des Anbieters ist gerade gestört.", EN: "the provider's OAuth sign-in is disturbed right now"}
		e.remedy = channel.Text{DE: "Es wird von selbst weiter versucht.", EN: "It is tried again by itself."}
	case code == "invalid_grant":
		e.reason = channel.Text{DE: "Die Zustimmung zum Zugriff auf das Postfach ist abgelaufen oder wurde widerrufen.",
			EN: "the consent to use the mailbox has expired or was revoked"}
		e.remedy = channel.Text{DE: "Melden Sie sich beim Anbieter mit dem Konto des Postfachs neu an und tragen Sie das neue oauth_refresh_token ein.",
			EN: "Sign in at the provider with the mailbox's account again and enter the new oauth_refresh_token."}
	case code == "invalid_client" || code == "unauthorized_client":
		e.reason = channel.Text{DE: "Der Anbieter kennt die Anwendung nicht, oder ihr Geheimnis ist falsch oder abgelaufen.",
			EN: "the provider does not know the application, or its secret is wrong or has expired"}
		e.remedy = channel.Text{DE: "Prüfen Sie oauth_client_id und oauth_tenant, und legen Sie nötigenfalls ein neues oauth_client_secret an.",
			EN: "Check oauth_client_id and oauth_tenant, and make a new oauth_client_secret if needed."}
	case code == "invalid_scope" || code == "consent_required" || code == "interaction_required":
		e.reason = channel.Text{DE: "Der Anwendung fehlt eine Berechtigung für das Postfach.", EN: "the application lacks a permission for the mailbox"}
		e.remedy = channel.Text{DE: "Geben Sie der Anwendung beim Anbieter die Berechtigungen für IMAP und SMTP und stimmen Sie erneut zu.",
			EN: "Give the application the permissions for IMAP and SMTP at the provider and consent again."}
	default:
		e.reason = channel.Text{DE: "Der Anbieter lehnt die OAuth-Anmeldung ab.", EN: "the provider refuses the OAuth sign-in"}
		e.remedy = channel.Text{DE: "Prüfen Sie oauth_tenant, oauth_client_id, oauth_client_secret und oauth_refresh_token.",
			EN: "Check oauth_tenant, oauth_client_id, oauth_client_secret and oauth_refresh_token."}
	}
	return e
}

// unwanted is a token that the mail server did not take although it was fresh.
func unwanted(err error) *oauthError {
	return &oauthError{class: channel.Misconfig, code: "token_refused", err: err,
		reason: channel.Text{DE: "Der Mailserver nimmt das OAuth-Token nicht an.", EN: "the mail server does not take the OAuth token"},
		remedy: channel.Text{DE: "Prüfen Sie, ob der Benutzername zum Postfach gehört, ob IMAP und Authenticated SMTP für das Postfach eingeschaltet sind und ob die Anwendung die Berechtigungen dafür hat.",
			EN: "Check that the user name belongs to the mailbox, that IMAP and Authenticated SMTP are switched on for it, and that the application has the permissions."}}
}

// SASL mechanisms for bearer tokens.
const (
	mechXOAuth2     = "XOAUTH2"     // Google's and Microsoft's own
	mechOAuthBearer = "OAUTHBEARER" // RFC 7628
)

// bearerMech picks the mechanism, "" if the server has none.
func bearerMech(offers func(string) bool) string {
	for _, m := range []string{mechXOAuth2, mechOAuthBearer} {
		if offers(m) {
			return m
		}
	}
	return ""
}

// bearer is the client's side of both mechanisms.
type bearer struct {
	mech, user, token, host, port string
	refused                       string // what the server said about the token, "" if nothing
}

var _ sasl.Client = (*bearer)(nil)

// Start implements sasl.Client: everything is in the initial response.
func (b *bearer) Start() (string, []byte, error) {
	if b.mech == mechOAuthBearer { // RFC 7628 §3.1; the name as in RFC 5801 §4
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(b.user)
		return b.mech, []byte("n,a=" + name + ",\x01host=" + b.host + "\x01port=" + b.port + "\x01auth=Bearer " + b.token + "\x01\x01"), nil
	}
	return b.mech, []byte("user=" + b.user + "\x01auth=Bearer " + b.token + "\x01\x01"), nil
}

// Next implements sasl.Client: a challenge is the server's reason to refuse, in JSON, which wants an answer without
// content before the refusal itself comes (RFC 7628 §3.2.3).
func (b *bearer) Next(challenge []byte) ([]byte, error) {
	if b.refused != "" {
		return nil, errors.New("the server asks twice")
	}
	b.refused = cleanLine(string(challenge), 300)
	if b.refused == "" {
		b.refused = "no reason"
	}
	if b.mech == mechOAuthBearer {
		return []byte{1}, nil
	}
	return []byte{}, nil
}

// checkOAuth looks at the syntax of the OAuth settings.
func checkOAuth(s channel.Settings) error {
	id, secret, refresh, tenant := s["oauth_client_id"], s["oauth_client_secret"], s["oauth_refresh_token"], s["oauth_tenant"]
	if id == "" {
		if secret != "" || refresh != "" {
			return errors.New("oauth_client_id is missing; OAuth needs it together with oauth_refresh_token or oauth_client_secret")
		}
		return nil
	}
	for key, v := range map[string]string{"oauth_client_id": id, "oauth_client_secret": secret, "oauth_refresh_token": refresh, "oauth_tenant": tenant} {
		if strings.ContainsAny(v, " \t\r\n\x00") {
			return fmt.Errorf("%s must not contain spaces or line breaks", key)
		}
	}
	if strings.ContainsAny(tenant, "/?#@:") {
		return fmt.Errorf("oauth_tenant %q must be a directory id or a domain, or the word google", tenant)
	}
	switch {
	case refresh == "" && secret == "":
		return errors.New("OAuth needs oauth_refresh_token, or oauth_client_secret for an application with access of its own")
	case refresh == "" && byGoogle(s):
		return errors.New("oauth_refresh_token is missing; Google gives it after the consent of the mailbox's account")
	case refresh == "" && (tenant == "" || tenant == "common" || tenant == "organizations"):
		return errors.New("without oauth_refresh_token the application signs in by itself, which needs the directory's own id as oauth_tenant")
	}
	if v := s["api_url"]; v != "" {
		if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("api_url %q must be a URL such as %s", v, microsoftBase)
		}
	}
	return nil
}

// oauthUser is the mailbox's name for the sign-in with a token.
func oauthUser(s channel.Settings, server string) string {
	other := "imap"
	if server == other {
		other = "smtp"
	}
	return s.Or(server+"_user", s.Or(other+"_user", s["address"]))
}

// fingerprint names a secret without telling it.
func fingerprint(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(h[:9])
}
