// Package telegramsim is a Telegram Bot API server to test against: one bot, and customers who write to it, press its
// buttons and block it. It is in charge of being no kinder than the real one (https://core.telegram.org/bots/api): it
// enforces limits, rates, conflicts and secrets, gives updates again until they are confirmed, and keeps a ledger of
// all that it accepted and all that its customers did, as a truth that is independent of the program under test.
//
// It can be told to misbehave as networks and servers do: accept and never answer, cut connections, answer 5xx,
// deliver webhooks several times and out of order.
package telegramsim

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Doer sends the webhook requests.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Options describe the bot and how strict the server is.
type Options struct {
	// Token is the bot's token; "" means DefaultToken.
	Token string
	// Username of the bot; "" means "rufweite_bot".
	Username string
	// Now is the clock of dates, rates and expiry; nil means time.Now.
	Now func() time.Time
	// Client sends webhooks; nil means a plain HTTP client.
	Client Doer
	// AnyWebhook accepts http, every port and private hosts for webhooks, as a Bot API server of one's own does
	// that runs with --local. Telegram's own server accepts none of them.
	AnyWebhook bool
	// PerSecond and PerChat are the rates of messages for the bot and for one chat; 0 means 30 and 1, below 0 no limit.
	PerSecond, PerChat float64
	// Burst is how many messages one chat takes at once; 0 means 3.
	Burst int
	// RetryDelay is the pause before the second delivery of a webhook, doubled each time; 0 means 1 second.
	RetryDelay time.Duration
	// FirstID is the chat id of the first customer; 0 means one beyond 32 bits.
	FirstID int64
	// FirstUpdate is the first update_id; 0 means some number, as Telegram starts anywhere.
	FirstUpdate int64
}

// DefaultToken is the token of a Sim without Options.Token; it looks like a real one and is none.
const DefaultToken = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"

// Sim is the server. Its zero value is not usable; see New. It is an http.Handler.
type Sim struct {
	options Options
	botID   int64

	mu        sync.Mutex
	customers map[int64]*Customer
	order     []int64 // customers' ids, oldest first
	updates   []pending
	nextID    int64 // next update_id
	lastAt    time.Time
	allowed   []string
	hook      webhook
	poll      chan struct{} // closed to end the running getUpdates; nil if none
	changed   chan struct{} // closed and replaced whenever there is something new
	files     map[string]file
	queries   map[string]time.Time // callback queries, zero once answered
	faults    []*Fault
	ledger    []Accepted
	deeds     []Deed
	serial    int64
	perBot    bucket

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// pending is an update that was not confirmed yet.
type pending struct {
	id      int64
	chat    int64
	kind    string
	body    json.RawMessage // with update_id
	expires time.Time
	flying  bool
	wake    time.Time
	delay   time.Duration
}

type file struct {
	id, path, name, mediaType string
	content                   []byte
	size                      int64 // may be larger than content, for files too big to be fetched
}

// Accepted is something that the server accepted from the bot.
type Accepted struct {
	Method    string
	ChatID    int64
	MessageID int64
	Text      string // text or caption
	FileName  string
	File      []byte
	ReplyTo   int64
	Buttons   []Button
	At        time.Time
	Told      bool // the bot was told so; false after accept-then-fail
}

// Button is one button of an inline keyboard.
type Button struct {
	Text string `json:"text"`
	Data string `json:"callback_data"`
}

// Deed is something that a customer did: the truth of what the bot has to receive.
type Deed struct {
	Kind      string // the update's type: "message", "edited_message", "callback_query" …
	ChatID    int64
	MessageID int64
	Text      string // text, caption, callback data or reaction
	UpdateID  int64
	At        time.Time
}

// Fault is one way to fail. It applies to the next Times calls of Method.
type Fault struct {
	Method     string // "" = any but getUpdates
	Times      int    // 0 = 1
	Accept     bool   // do what was asked before failing
	Status     int    // answer with this status and an error of the Bot API
	RetryAfter int    // for 429, in seconds
	Text       string // answer with this instead of JSON (a proxy's page)
	Hang       bool   // never answer
	Cut        bool   // close the connection without an answer
}

// New makes a server with one bot and no customers. Close ends its deliveries.
func New(o Options) *Sim {
	if o.Token == "" {
		o.Token = DefaultToken
	}
	if o.Username == "" {
		o.Username = "rufweite_bot"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		o.Client = &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 40},
			Timeout:       time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	o.PerSecond = orRate(o.PerSecond, 30)
	o.PerChat = orRate(o.PerChat, 1)
	if o.Burst == 0 {
		o.Burst = 3
	}
	if o.RetryDelay == 0 {
		o.RetryDelay = time.Second
	}
	if o.FirstID == 0 {
		o.FirstID = 7_000_000_001
	}
	if o.FirstUpdate == 0 {
		o.FirstUpdate = 400_000_001
	}
	botID, err := strconv.ParseInt(strings.SplitN(o.Token, ":", 2)[0], 10, 64)
	if err != nil {
		botID = 110201543
	}
	s := &Sim{
		options:   o,
		botID:     botID,
		customers: map[int64]*Customer{},
		nextID:    o.FirstUpdate,
		allowed:   nil,
		changed:   make(chan struct{}),
		files:     map[string]file{},
		queries:   map[string]time.Time{},
	}
	s.perBot = bucket{rate: o.PerSecond, burst: max(o.PerSecond, 1)}
	s.hook.retry = o.RetryDelay
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func orRate(rate, fallback float64) float64 {
	if rate == 0 {
		return fallback
	}
	return rate
}

// Close ends webhook deliveries and running polls, and waits for them.
func (s *Sim) Close() {
	s.cancel()
	s.done.Wait()
}

// Token is the bot's token.
func (s *Sim) Token() string { return s.options.Token }

// Fail makes the server fail as told, after the faults that it was told before.
func (s *Sim) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults = append(s.faults, &f)
}

// Ledger is everything that the server accepted from the bot, in order. Two entries for one message of ours are a
// message that a customer got twice.
func (s *Sim) Ledger() []Accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger)
}

// Deeds is everything that customers did and that the bot asked to be told, in order.
func (s *Sim) Deeds() []Deed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deeds)
}

// Pending is the number of updates that the bot has not confirmed.
func (s *Sim) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return len(s.updates)
}

// Wait returns once the condition holds, which is looked at whenever something happens; false if ctx ended before.
func (s *Sim) Wait(ctx context.Context, condition func() bool) bool {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return condition()
		}
	}
}

// Idle jumps over a week without updates: the next update_id is chosen at random, here below the last one.
func (s *Sim) Idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID = 1 + rand.Int64N(max(s.options.FirstUpdate/2, 2))
}

// Push queues an update as it is given, without update_id, for what no customer can do: hostile or future payloads.
// kind is its one field, such as "message"; chat is for order.
func (s *Sim) Push(kind string, chat int64, payload json.RawMessage) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.push(kind, chat, payload)
}

// defaultTypes is what a bot gets that never said what it wants: all but these (Bot API, getUpdates).
var notByDefault = []string{"chat_member", "message_reaction", "message_reaction_count"}

// push gives an update its id, if the bot wants such updates. The caller holds mu.
func (s *Sim) push(kind string, chat int64, payload any) int64 {
	if len(s.allowed) == 0 && slices.Contains(notByDefault, kind) || len(s.allowed) > 0 && !slices.Contains(s.allowed, kind) {
		return 0
	}
	id := s.nextID
	s.nextID++
	raw, err := json.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("telegramsim: payload is not JSON: %v", err)) // a mistake of the test
	}
	body := fmt.Appendf(nil, `{"update_id":%d,%q:%s}`, id, kind, raw)
	s.updates = append(s.updates, pending{
		id: id, chat: chat, kind: kind, body: body, delay: s.hook.retry,
		expires: s.options.Now().Add(24 * time.Hour), // "they will not be kept longer than 24 hours"
	})
	s.lastAt = s.options.Now()
	s.notify()
	s.deliver()
	return id
}

func (s *Sim) expire() {
	now := s.options.Now()
	s.updates = slices.DeleteFunc(s.updates, func(p pending) bool { return !p.flying && now.After(p.expires) })
}

// notify wakes everybody who waits. The caller holds mu.
func (s *Sim) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// bucket is a token bucket.
type bucket struct {
	rate, burst, level float64
	at                 time.Time
}

// take takes one token, or says how long to wait for it.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	if b.rate < 0 {
		return 0
	}
	if b.at.IsZero() {
		b.level = b.burst
	} else if d := now.Sub(b.at).Seconds(); d > 0 {
		b.level = min(b.burst, b.level+d*b.rate)
	}
	b.at = now
	if b.level >= 1 {
		b.level--
		return 0
	}
	return time.Duration((1 - b.level) / b.rate * float64(time.Second))
}
