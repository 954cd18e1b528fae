package app_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/org"
)

// A mailbox is pulled, also while sending is in trouble (the channel is red and says why); the renewed refresh token is
// stored and disturbs nobody; a restart brings nothing twice.
func TestMailboxIsPulled(t *testing.T) {
	each(t, func(t *testing.T, c app.Config) {
		const address = "service@firma.example"
		ts, err := emailsim.StartTokens(emailsim.TokenOptions{ClientID: "app", ClientSecret: "s3cret", Once: true})
		ok(t, err)
		defer ts.Close()
		s, err := emailsim.StartIMAP(emailsim.IMAPOptions{User: address, Tokens: ts})
		ok(t, err)
		defer s.Close()
		consent := ts.Consent(address)
		set := map[string]string(s.Settings(address))
		for k, v := range map[string]string{"api_url": ts.URL(), "oauth_tenant": "firma", "oauth_client_id": "app", "oauth_client_secret": "s3cret",
			"oauth_refresh_token": consent, "smtp_host": "127.0.0.1", "smtp_port": "1", "smtp_user": "x", "smtp_password": "y"} {
			set[k] = v
		}
		out, err := do(t, c, app.Command{ChannelAdd: &app.ChannelAdd{Kind: "email", Set: set}})
		ok(t, err)
		id := strings.TrimSpace(out[strings.LastIndexByte(strings.TrimSpace(out), '\n')+1:])
		letter := func(n int) {
			s.Deliver(fmt.Appendf(nil, "From: Erika <erika@kunde.example>\r\nTo: %s\r\nSubject: Brief %d\r\nMessage-ID: <%d@kunde.example>\r\n\r\nHallo\r\n", address, n, n), time.Time{})
		}
		eventually := func(what string, ok func() bool) {
			t.Helper()
			for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("never: %s", what)
				}
			}
		}
		received := func(a *app.App, n int) func() bool {
			return func() bool {
				b, err := intake.Balances(ctx, a.DB.Org(org.Default))
				ok(t, err)
				for _, l := range b {
					if l.Channel == id {
						return int(l.Received) == n && int(l.Processed) == n
					}
				}
				return false
			}
		}
		letter(1)
		a, stop := serve(t, c)
		eventually("the first mail is there", received(a, 1))
		eventually("the channel is red because of SMTP", func() bool {
			all, err := a.Accounts.Healths(ctx, org.Default)
			ok(t, err)
			return all[id].State == account.Red && strings.Contains(all[id].Reason.EN, "outgoing server")
		})
		eventually("the renewed token is stored", func() bool {
			ch, err := a.Accounts.Get(org.Default, id)
			ok(t, err)
			return ch.Settings["oauth_refresh_token"] != consent
		})
		opened := s.Selects()
		letter(2)
		eventually("the second mail is there", received(a, 2))
		if n := s.Selects(); n != opened {
			t.Errorf("the renewed token broke the session: %d openings, then %d", opened, n)
		}
		stop()
		letter(3)
		a, _ = serve(t, c)
		eventually("what came meanwhile is there", received(a, 3))
		if w := s.Writes(); len(w) > 0 || s.Seen() > 0 {
			t.Errorf("the mailbox was changed: %v", w)
		}
	})
}

// Setting up a channel that signs says what to publish; the last line stays the id.
func TestChannelAddSaysWhatDKIMWants(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ok(t, err)
	c := app.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	set := map[string]string{"address": "service@firma.example", "dkim_domain": "firma.example", "dkim_selector": "s1",
		"dkim_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
	out, err := do(t, c, app.Command{ChannelAdd: &app.ChannelAdd{Kind: "email", Set: set}})
	ok(t, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `publish in DNS: s1._domainkey.firma.example. IN TXT "v=DKIM1; k=ed25519; p=`) || len(lines[1]) != 36 {
		t.Errorf("it prints\n%s", out)
	}
	if strings.Contains(out, "PRIVATE") {
		t.Error("it prints the private key")
	}
	set["dkim_key"] = "junk"
	if _, err := do(t, c, app.Command{ChannelAdd: &app.ChannelAdd{Kind: "email", Set: set}}); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("a key of junk: %v", err)
	}
}
