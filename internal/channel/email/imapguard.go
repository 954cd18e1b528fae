package email

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// signInGuard sees to it that a wrong password is not tried so often that a server locks the account or our address
// (fail2ban's usual limit is five failures in ten minutes), however many mails wait to be sent and however often the
// channel is checked. Other settings are another attempt.
type signInGuard struct {
	mu       sync.Mutex
	failures map[string][]signInFailure
}

type signInFailure struct {
	at  time.Time
	err error
}

const (
	guardMax    = 3
	guardWindow = 10 * time.Minute
)

var signIns = &signInGuard{failures: map[string][]signInFailure{}}

func guardKey(a channel.Account, server string) string {
	s := a.Settings
	return fingerprint(a.Org, a.ID, server, s[server+"_host"], s[server+"_port"], s[server+"_tls"], s[server+"_user"], s[server+"_password"],
		s["address"], s["oauth_tenant"], s["oauth_client_id"], s["oauth_client_secret"], s["oauth_refresh_token"])
}

func (g *signInGuard) recent(key string, now time.Time) []signInFailure {
	list := g.failures[key]
	for len(list) > 0 && now.Sub(list[0].at) >= guardWindow {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(g.failures, key)
	} else {
		g.failures[key] = list
	}
	return list
}

// blocked tells for how long "smtp" or "imap" must not be tried again, 0 if it may be, and sets last to the last refusal.
func (g *signInGuard) blocked(a channel.Account, server string, now time.Time, last any) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.recent(guardKey(a, server), now)
	if len(list) < guardMax || !errors.As(list[len(list)-1].err, last) {
		return 0
	}
	return list[len(list)-guardMax].at.Add(guardWindow).Sub(now)
}

func (g *signInGuard) failed(a channel.Account, server string, now time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.failures) >= maxEntries {
		clear(g.failures)
	}
	key := guardKey(a, server)
	g.failures[key] = append(g.recent(key, now), signInFailure{now, err})
}

// notNow says so to people.
func notNow(again time.Duration) channel.Text {
	minutes := max(1, int(again.Round(time.Minute).Minutes()))
	return channel.Text{
		DE: fmt.Sprintf(" Damit der Anbieter das Konto nicht sperrt, wird es mit diesen Einstellungen erst in %d Min. wieder versucht, mit geänderten sofort.", minutes),
		EN: fmt.Sprintf(" So that the provider does not lock the account, these settings are tried again in %d min. only; changed ones at once.", minutes),
	}
}
