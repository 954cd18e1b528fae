package telegramsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// webhook is what setWebhook set, and how deliveries misbehave.
type webhook struct {
	url, secret    string
	maxConnections int
	flying         int
	lastErrorAt    time.Time
	lastError      string
	copies         int // extra deliveries of each update
	shuffle        *rand.Rand
	retry          time.Duration
}

// Duplicate delivers every webhook n times instead of once (0 and 1: once).
func (s *Sim) Duplicate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook.copies = max(n-1, 0)
}

// Shuffle delivers waiting webhooks in random order, even those of one chat, which Telegram keeps in order unless
// deliveries fail. A seed makes it repeatable; 0 ends it.
func (s *Sim) Shuffle(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook.shuffle = nil
	if seed != 0 {
		s.hook.shuffle = rand.New(rand.NewPCG(seed, seed))
	}
}

var secretForm = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

// setWebhook checks as the server does. The caller holds mu.
func (s *Sim) setWebhook(p parameters) (any, *failure) {
	raw := p.str("url")
	if raw == "" {
		return s.deleteWebhook(p)
	}
	if fail := s.checkURL(raw); fail != nil {
		return nil, fail
	}
	secret := p.str("secret_token")
	if len(secret) > 256 {
		return nil, bad("secret token is too long")
	}
	if !secretForm.MatchString(secret) {
		return nil, bad("secret token contains unallowed characters")
	}
	connections := 40
	if n, ok, fail := p.integer("max_connections"); fail != nil {
		return nil, fail
	} else if ok {
		if n < 1 || n > 100 {
			return nil, bad("max_connections must be between 1 and 100")
		}
		connections = int(n)
	}
	if fail := s.setAllowed(p); fail != nil {
		return nil, fail
	}
	if p.boolean("drop_pending_updates") {
		s.updates = nil
	}
	s.hook.url, s.hook.secret, s.hook.maxConnections = raw, secret, connections
	s.hook.lastError, s.hook.lastErrorAt = "", time.Time{}
	s.endPoll()
	s.notify()
	s.deliver()
	return true, nil
}

func (s *Sim) deleteWebhook(p parameters) (any, *failure) {
	if p.boolean("drop_pending_updates") {
		s.updates = nil
	}
	s.hook.url, s.hook.secret = "", ""
	s.notify()
	return true, nil
}

func (s *Sim) checkURL(raw string) *failure {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return bad("invalid webhook URL specified")
	}
	if s.options.AnyWebhook {
		return nil
	}
	if u.Scheme != "https" {
		return bad("bad webhook: An HTTPS URL must be provided for webhook")
	}
	switch u.Port() {
	case "", "443", "80", "88", "8443":
	default:
		return bad("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && (!ip.Is4() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
		return bad("bad webhook: IP address " + ip.String() + " is reserved")
	}
	if u.Hostname() == "localhost" || !strings.Contains(u.Hostname(), ".") {
		return bad("bad webhook: failed to resolve host: Name or service not known")
	}
	return nil
}

// setAllowed takes allowed_updates; absent keeps the list as it was, empty means the default.
func (s *Sim) setAllowed(p parameters) *failure {
	raw, ok := p["allowed_updates"]
	if !ok {
		return nil
	}
	var list []string
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		return bad("can't parse allowed updates JSON object")
	}
	s.allowed = list
	return nil
}

func (s *Sim) webhookInfo() any {
	s.expire()
	info := object{"url": s.hook.url, "has_custom_certificate": false, "pending_update_count": len(s.updates)}
	if s.hook.url != "" {
		info["max_connections"] = s.hook.maxConnections
	}
	if s.hook.lastError != "" {
		info["last_error_date"] = s.hook.lastErrorAt.Unix()
		info["last_error_message"] = s.hook.lastError
	}
	if len(s.allowed) > 0 {
		info["allowed_updates"] = s.allowed
	}
	return info
}

// deliver sends what may be sent now: the first waiting update of each chat, on at most max_connections connections.
// The caller holds mu.
func (s *Sim) deliver() {
	if s.hook.url == "" || s.ctx.Err() != nil {
		return
	}
	s.expire()
	order := make([]int, len(s.updates))
	for i := range order {
		order[i] = i
	}
	if s.hook.shuffle != nil {
		s.hook.shuffle.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	busy := map[int64]bool{}
	for _, p := range s.updates {
		if p.flying && s.hook.shuffle == nil {
			busy[p.chat] = true
		}
	}
	now := s.options.Now()
	for _, i := range order {
		p := &s.updates[i]
		if p.flying || busy[p.chat] {
			continue
		}
		if s.hook.shuffle == nil {
			busy[p.chat] = true // a failed one holds the next ones of its chat
		}
		if p.wake.After(now) || s.hook.flying >= s.hook.maxConnections {
			continue
		}
		p.flying = true
		s.hook.flying++
		s.done.Add(1)
		go s.send(*p, s.hook)
	}
}

// send makes one delivery and its deliberate copies.
func (s *Sim) send(p pending, h webhook) {
	defer s.done.Done()
	var problem string
	var retryAfter time.Duration
	for range 1 + h.copies {
		problem, retryAfter = s.request(p, h)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook.flying--
	i := slices.IndexFunc(s.updates, func(q pending) bool { return q.id == p.id })
	if i < 0 { // dropped meanwhile
		return
	}
	if problem == "" {
		s.updates = slices.Delete(s.updates, i, i+1)
		s.notify()
		s.deliver()
		return
	}
	s.hook.lastError, s.hook.lastErrorAt = problem, s.options.Now()
	q := &s.updates[i]
	q.flying = false
	pause := q.delay
	q.delay *= 2
	if retryAfter > 0 {
		pause = min(retryAfter, time.Hour)
	}
	q.wake = s.options.Now().Add(pause)
	s.notify()
	s.deliver()
	s.done.Go(func() {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.IndexFunc(s.updates, func(q pending) bool { return q.id == p.id }); i >= 0 {
			s.updates[i].wake = time.Time{} // the timer is the truth; the clock of Options may stand still
		}
		s.deliver()
	})
}

// request posts one update and carries out the method in the answer, if there is one.
func (s *Sim) request(p pending, h webhook) (problem string, retryAfter time.Duration) {
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, h.url, bytes.NewReader(p.body))
	if err != nil {
		return err.Error(), 0
	}
	r.Header.Set("Content-Type", "application/json")
	if h.secret != "" {
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", h.secret)
	}
	resp, err := s.options.Client.Do(r)
	if err != nil {
		return "Can't connect to the webhook", 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "Webhook connection closed", 0
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return fmt.Sprintf("Wrong response from the webhook: %s", resp.Status), time.Duration(seconds) * time.Second
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == "application/json" {
		s.inAnswer(body)
	}
	return "", 0
}

// inAnswer carries out a method that the bot put into its answer; nobody learns the result. Methods that would change
// the webhook or whose result is the point of them are not carried out.
func (s *Sim) inAnswer(body []byte) {
	p, _, fail := jsonParameters(body)
	if fail != nil {
		return
	}
	method := strings.ToLower(p["method"])
	if method == "" || strings.HasPrefix(method, "get") || method == "setwebhook" || method == "deletewebhook" || method == "close" || method == "logout" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.method(method, p, nil) // "it's not possible to know that such a request was successful"
}
