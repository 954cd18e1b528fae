package email

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

func TestTokenURL(t *testing.T) {
	for name, tt := range map[string]struct {
		s    channel.Settings
		want string
	}{
		"Microsoft":            {channel.Settings{"imap_host": "outlook.office365.com", "oauth_tenant": "abc"}, "https://login.microsoftonline.com/abc/oauth2/v2.0/token"},
		"Microsoft, no tenant": {channel.Settings{"imap_host": "outlook.office365.com"}, "https://login.microsoftonline.com/common/oauth2/v2.0/token"},
		"Google by host":       {channel.Settings{"imap_host": "imap.gmail.com"}, "https://oauth2.googleapis.com/token"},
		"Google by SMTP":       {channel.Settings{"smtp_host": "SMTP.gmail.com."}, "https://oauth2.googleapis.com/token"},
		"Google by tenant":     {channel.Settings{"imap_host": "127.0.0.1", "oauth_tenant": "Google"}, "https://oauth2.googleapis.com/token"},
		"no Google":            {channel.Settings{"imap_host": "notgmail.com"}, "https://login.microsoftonline.com/common/oauth2/v2.0/token"},
		"api_url":              {channel.Settings{"oauth_tenant": "abc", "api_url": "http://127.0.0.1:1/"}, "http://127.0.0.1:1/abc/oauth2/v2.0/token"},
		"api_url, Google":      {channel.Settings{"oauth_tenant": "google", "api_url": "http://127.0.0.1:1"}, "http://127.0.0.1:1/token"},
	} {
		if got := tokenURL(tt.s); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// Sending with a token, at both providers, by both mechanisms; with an expired one, once more.
func TestSendToken(t *testing.T) {
	for _, google := range []bool{false, true} {
		t.Run(fmt.Sprintf("google=%v", google), func(t *testing.T) {
			ts := startTokens(t, emailsim.TokenOptions{Google: google})
			box := start(t, emailsim.Options{User: own, Tokens: ts, StartTLS: true})
			a := account(box.Settings(own))
			a.ID = t.Name()
			delete(a.Settings, "smtp_password")
			for k, v := range map[string]string{"api_url": ts.URL(), "oauth_client_id": "app", "oauth_client_secret": "s3cret", "oauth_refresh_token": ts.Consent(own)} {
				a.Settings[k] = v
			}
			if google {
				a.Settings["oauth_tenant"] = "google"
			}
			if err := (Driver{}).Check(a.Settings); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if _, err := (Driver{}).Send(t.Context(), a, outgoing(), oauthEnv()); err != nil {
					t.Fatal(i, err)
				}
			}
			if n := ts.Asked(); n != 1 {
				t.Errorf("three mails took %d tokens", n)
			}
			ts.EndTokens() // before their time
			if _, err := (Driver{}).Send(t.Context(), a, outgoing(), oauthEnv()); err != nil {
				t.Fatal(err)
			}
			if n := ts.Asked(); n != 2 || len(box.All()) != 4 || box.All()[3].User != own {
				t.Errorf("%d tokens, %d mails", n, len(box.All()))
			}
			if err := (Driver{}).Probe(t.Context(), a, oauthEnv()); err != nil {
				t.Errorf("probe: %v", err)
			}
		})
	}
}

// A token that expires by the clock is renewed before a server refuses it.
func TestTokenExpiry(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	ts := startTokens(t, emailsim.TokenOptions{Life: time.Hour, Now: clock})
	box := start(t, emailsim.Options{User: own, Tokens: ts})
	a := smtpToken(t, ts, box, ts.Consent(own))
	e := oauthEnv()
	e.Now = clock
	for i, step := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {54 * time.Minute, 1}, {2 * time.Minute, 2}, {50 * time.Minute, 2}} {
		mu.Lock()
		at = at.Add(step.after)
		mu.Unlock()
		if _, err := (Driver{}).Send(t.Context(), a, outgoing(), e); err != nil {
			t.Fatal(i, err)
		}
		if n := ts.Asked(); n != step.asked {
			t.Errorf("step %d: %d tokens, want %d", i, n, step.asked)
		}
	}
}

func smtpToken(t *testing.T, ts *emailsim.TokenServer, box *emailsim.Mailbox, refresh string) channel.Account {
	t.Helper()
	a := account(box.Settings(own))
	a.ID, a.Org = t.Name(), "o"
	delete(a.Settings, "smtp_password")
	for k, v := range map[string]string{"api_url": ts.URL(), "oauth_tenant": "firma", "oauth_client_id": "app", "oauth_client_secret": "s3cret", "oauth_refresh_token": refresh} {
		a.Settings[k] = v
	}
	if err := (Driver{}).Check(a.Settings); err != nil {
		t.Fatal(err)
	}
	return a
}

// Many sends at once buy one token.
func TestTokenSingleFlight(t *testing.T) {
	ts := startTokens(t, emailsim.TokenOptions{})
	box := start(t, emailsim.Options{User: own, Tokens: ts})
	a := smtpToken(t, ts, box, ts.Consent(own))
	release := ts.Hold()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := accessToken(t.Context(), a, oauthEnv(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	// One that gives up meanwhile takes nobody with it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := accessToken(ctx, a, oauthEnv(), ""); err == nil {
		t.Error("a cancelled look-up gave a token")
	}
	release()
	wg.Wait()
	if n := ts.Asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// store is a channel's settings as SaveSetting keeps them.
type store struct {
	mu    sync.Mutex
	value string
	saves int
	fail  error
}

func (s *store) save(_ context.Context, key, value string, replaces func(string) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if key == "oauth_refresh_token" && replaces(s.value) {
		s.value = value
		s.saves++
	}
	return nil
}

// Refresh tokens that rotate are saved, so that a restart, a second node and a failed saving lose nothing: even where a
// provider takes each only once.
func TestTokenRotation(t *testing.T) {
	ts := startTokens(t, emailsim.TokenOptions{Once: true})
	box := start(t, emailsim.Options{User: own, Tokens: ts})
	st := &store{value: ts.Consent(own)}
	a := smtpToken(t, ts, box, st.value)
	first := st.value
	e := oauthEnv()
	e.SaveSetting = st.save
	send := func(what string, a channel.Account) {
		t.Helper()
		if _, err := (Driver{}).Send(t.Context(), a, outgoing(), e); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	send("first", a)
	ts.EndTokens()
	send("second", a) // the account in hand is still the old one
	if st.value == first || st.saves != 2 {
		t.Errorf("saved %d times", st.saves)
	}
	for range 50 { // weeks later
		ts.EndTokens()
		send("again", a)
	}
	if st.saves != 52 {
		t.Errorf("saved %d times", st.saves)
	}
	st.fail = errors.New("database is away")
	ts.EndTokens()
	send("while saving fails", a)
	st.fail = nil
	send("then", a)
	if st.saves != 53 {
		t.Errorf("saved %d times: the one that failed was not made up for", st.saves)
	}
	// Another process: nothing in memory, the saved token in the settings.
	restarted := a
	restarted.ID += " restarted"
	restarted.Settings = channel.Settings{}
	for k, v := range a.Settings {
		restarted.Settings[k] = v
	}
	restarted.Settings["oauth_refresh_token"] = st.value
	send("after a restart", restarted)
	// Our own memory now holds a used token; the settings hold the newer one.
	ts.EndTokens()
	again := a
	again.Settings = restarted.Settings
	again.Settings["oauth_refresh_token"] = st.value
	send("after the other node", again)
	// A person enters another consent: it counts at once, and is not overwritten by an older one.
	fresh := ts.Consent(own)
	again.Settings["oauth_refresh_token"], st.value = fresh, fresh
	send("a new consent", again)
	if st.value == fresh {
		t.Error("the new consent's rotation was not saved")
	}
}

func TestTokenRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*emailsim.TokenServer, channel.Account)
		class   channel.Class
		de      string
		remedy  string
		wait    time.Duration
	}{
		"consent revoked": {func(ts *emailsim.TokenServer, a channel.Account) { ts.Revoke() }, channel.Misconfig, "Zustimmung", "oauth_refresh_token", 0},
		"wrong secret":    {func(_ *emailsim.TokenServer, a channel.Account) { a.Settings["oauth_client_secret"] = "x" }, channel.Misconfig, "Geheimnis", "oauth_client_secret", 0},
		"wrong client":    {func(_ *emailsim.TokenServer, a channel.Account) { a.Settings["oauth_client_id"] = "x" }, channel.Misconfig, "Anwendung", "oauth_client_id", 0},
		"wrong tenant":    {func(_ *emailsim.TokenServer, a channel.Account) { a.Settings["oauth_tenant"] = "x" }, channel.Misconfig, "lehnt die OAuth-Anmeldung ab", "oauth_tenant", 0},
		"not its own":     {func(_ *emailsim.TokenServer, a channel.Account) { delete(a.Settings, "oauth_refresh_token") }, channel.Misconfig, "Anwendung", "", 0},
		"disturbed":       {func(ts *emailsim.TokenServer, _ channel.Account) { ts.SetDown(503) }, channel.Temporary, "gestört", "von selbst", 7 * time.Second},
		"slowed down":     {func(ts *emailsim.TokenServer, _ channel.Account) { ts.SetDown(429) }, channel.Temporary, "gestört", "von selbst", 7 * time.Second},
		"away":            {func(ts *emailsim.TokenServer, _ channel.Account) { ts.Close() }, channel.Temporary, "nicht erreichbar", "von selbst", 0},
		"other mailbox": {func(ts *emailsim.TokenServer, a channel.Account) {
			a.Settings["oauth_refresh_token"] = ts.Consent("x@y.example")
		}, channel.Misconfig, "nimmt das OAuth-Token nicht an", "Authenticated SMTP", 0},
	} {
		t.Run(name, func(t *testing.T) {
			ts := startTokens(t, emailsim.TokenOptions{Tenant: "firma"})
			box := start(t, emailsim.Options{User: own, Tokens: ts})
			a := smtpToken(t, ts, box, ts.Consent(own))
			tt.prepare(ts, a)
			_, err := Driver{}.Send(t.Context(), a, outgoing(), oauthEnv())
			var se *channel.SendError
			if !errors.As(err, &se) || se.Class != tt.class || !strings.Contains(se.Reason.DE, tt.de) || se.RetryAfter != tt.wait {
				t.Errorf("send: %v", err)
			}
			err = Driver{}.Probe(t.Context(), a, oauthEnv())
			var tr *channel.Trouble
			if !errors.As(err, &tr) || !strings.Contains(tr.Reason.DE, tt.de) || !strings.Contains(tr.Remedy.DE, tt.remedy) || tr.Remedy.EN == "" {
				t.Errorf("probe: %+v", err)
			}
			if s := err.Error() + tr.Reason.DE + tr.Remedy.DE; strings.Contains(s, "s3cret") || strings.Contains(s, a.Settings["oauth_refresh_token"]) && a.Settings["oauth_refresh_token"] != "" || strings.Contains(s, "Trace ID") {
				t.Errorf("says too much: %s", s)
			}
			if len(box.All()) > 0 {
				t.Error("sent all the same")
			}
		})
	}
}

// An application that signs in by itself (Microsoft's client credentials), for both servers.
func TestTokenByItself(t *testing.T) {
	ts := startTokens(t, emailsim.TokenOptions{AppMailbox: own})
	box := start(t, emailsim.Options{User: own, Tokens: ts})
	s := startIMAP(t, emailsim.IMAPOptions{User: own, Tokens: ts})
	a := smtpToken(t, ts, box, "")
	for k, v := range s.Settings(own) {
		a.Settings[k] = v
	}
	if err := (Driver{}).Probe(t.Context(), a, oauthEnv()); err != nil {
		t.Fatal(err)
	}
	if n := ts.Asked(); n != 1 {
		t.Errorf("one token serves both servers, but %d were asked for", n)
	}
}

// A mailbox pulled with OAuth beside a relay of one's own that wants no sign-in.
func TestTokenBesideRelay(t *testing.T) {
	ts := startTokens(t, emailsim.TokenOptions{})
	relay := start(t, emailsim.Options{})
	a := smtpToken(t, ts, relay, ts.Consent(own))
	if _, err := (Driver{}).Send(t.Context(), a, outgoing(), oauthEnv()); err != nil || len(relay.All()) != 1 {
		t.Errorf("%v", err)
	}
	// A server that wants a password gets no token.
	wants := start(t, emailsim.Options{User: own, Password: "x"})
	b := smtpToken(t, ts, wants, ts.Consent(own))
	b.ID += " wants"
	_, err := Driver{}.Send(t.Context(), b, outgoing(), oauthEnv())
	var se *channel.SendError
	if !errors.As(err, &se) || se.Class != channel.Misconfig || !strings.Contains(se.Reason.EN, "no OAuth sign-in") {
		t.Errorf("%v", err)
	}
}

// A provider without plus-addresses: no answer may go to one.
func TestSendWithoutPlusAddress(t *testing.T) {
	for value, want := range map[string]string{"": "service+r.k7q2m9x4t3@firma.example", "yes": "service+r.k7q2m9x4t3@firma.example", "no": ""} {
		box := start(t, emailsim.Options{})
		set := box.Settings(own)
		set["plus_addresses"] = value
		if _, err := (Driver{}).Send(t.Context(), account(set), outgoing(), env()); err != nil {
			t.Fatal(err)
		}
		if got := box.All()[0].Header("Reply-To"); strings.Contains(got, "+") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%q: Reply-To is %q", value, got)
		}
	}
}

// What an endpoint answers that is none.
func TestTokenJunk(t *testing.T) {
	for _, body := range []string{"", "<html>", "{}", `{"access_token":5}`, `{"access_token":"a\u0001b"}`, `[]`, `{"access_token":""}`} {
		s := channel.Settings{"api_url": "http://x.example", "oauth_client_id": "app", "oauth_refresh_token": "r"}
		e := channel.Env{HTTP: doer(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: readCloser{strings.NewReader(body)}}, nil
		})}
		if got, err := askToken(t.Context(), s, e, "r"); err == nil {
			t.Errorf("%q gives %+v", body, got)
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
