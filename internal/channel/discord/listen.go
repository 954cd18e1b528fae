package discord

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/rufweite/rufweite/internal/channel"
)

// Intents ("Gateway", List of Intents). MESSAGE_CONTENT is privileged and not needed: "Content in DMs with the app" comes
// without it (Message Content Intent).
const (
	directMessages  = 1 << 12
	directReactions = 1 << 13
	directTyping    = 1 << 14

	intents = directMessages | directReactions | directTyping
)

// Opcodes of the Gateway ("Opcodes and Status Codes").
const (
	opDispatch       = 0
	opHeartbeat      = 1
	opIdentify       = 2
	opResume         = 6
	opReconnect      = 7
	opInvalidSession = 9
	opHello          = 10
	opHeartbeatACK   = 11
)

const (
	frameMax    = 16 << 20
	queueMax    = 4096
	chatsKept   = 200 // whose messages are caught up on after a gap; the cursor stays below 16 KiB
	patience    = 5   // failures in a row before the channel turns red
	helloWait   = 20 * time.Second
	catchUpMost = 5000 // messages of one chat
)

// Pauses, shorter in tests.
var (
	identifyPause = 5 * time.Second // one IDENTIFY in five seconds ("Gateway", Rate Limiting)
	firstPause    = time.Second     // after a failure, doubled each time
	catchPause    = time.Second / 4 // between two requests of catching up, which share the account's 50 a second
)

// state is what has to survive a restart: the session and how far it was taken, and the newest chats with their newest
// message, for the gap after a session that cannot be resumed.
type state struct {
	Session string `json:"session,omitempty"`
	Seq     int64  `json:"seq,omitempty"`
	URL     string `json:"url,omitempty"` // resume_gateway_url
	Me      string `json:"me,omitempty"`
	Gap     bool   `json:"gap,omitempty"`   // what came before the session has still to be caught up on
	Chats   []chat `json:"chats,omitempty"` // the newest last
}

type chat struct {
	Channel string `json:"c"`
	User    string `json:"u"`
	Last    string `json:"m"`
}

func readCursor(cursor string) state {
	var s state
	if json.Unmarshal([]byte(cursor), &s) != nil {
		return state{}
	}
	s.Chats = slices.DeleteFunc(s.Chats, func(c chat) bool { return !snowflake(c.Channel) || !snowflake(c.Last) })
	return s
}

func (s state) cursor() string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

// touch notes the newest message of a chat. Before a gap is closed only catching up moves on, so that nothing is skipped if
// it is interrupted.
func (s *state) touch(m *message, catching bool) {
	if m == nil || !snowflake(m.ChannelID) || m.Author == nil {
		return
	}
	last := m.ID
	s.Chats = slices.Clone(s.Chats)
	if i := slices.IndexFunc(s.Chats, func(c chat) bool { return c.Channel == m.ChannelID }); i >= 0 {
		if newer(s.Chats[i].Last, last) || s.Gap && !catching {
			last = s.Chats[i].Last
		}
		s.Chats = slices.Delete(s.Chats, i, i+1)
	}
	s.Chats = append(s.Chats, chat{m.ChannelID, m.Author.ID, last})
	if n := len(s.Chats) - chatsKept; n > 0 {
		s.Chats = s.Chats[n:]
	}
}

// newer compares two ids, which are numbers that grow with time.
func newer(a, b string) bool {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) > 0
}

func (s state) users() map[string]string {
	m := make(map[string]string, len(s.Chats))
	for _, c := range s.Chats {
		m[c.Channel] = c.User
	}
	return m
}

// listener is one run of Listen.
type listener struct {
	a      channel.Account
	env    channel.Env
	sink   channel.Sink
	dialer *http.Client

	state      state
	shards     int // as "Get Gateway Bot" recommends
	catching   bool
	identified time.Time
	answers    sync.WaitGroup
}

// Listen implements channel.Listener. It keeps one connection to the Gateway until ctx ends, resumes where the cursor says, and
// reads the newest chats by REST after a gap. Errors that a person can mend are *channel.Trouble.
func (Driver) Listen(ctx context.Context, a channel.Account, cursor string, env channel.Env, sink channel.Sink) error {
	if env.Dial == nil {
		return errors.New("no network to listen with")
	}
	transport := &http.Transport{
		DialContext:         env.Dial.DialContext, // the guarded one: the address of the Gateway comes from outside
		TLSHandshakeTimeout: 15 * time.Second,
		DisableKeepAlives:   true,
	}
	defer transport.CloseIdleConnections()
	l := &listener{a: a, env: env, sink: sink, state: readCursor(cursor), dialer: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	defer l.answers.Wait()
	failures := 0
	for ctx.Err() == nil {
		worked, err := l.session(ctx)
		if ctx.Err() != nil {
			break
		}
		var t *channel.Trouble
		var kept *notKept
		if errors.As(err, &t) || errors.As(err, &kept) {
			return err
		}
		if worked {
			failures = 0
		}
		if errors.Is(err, errAgain) && worked {
			continue
		}
		if failures++; failures >= patience {
			return unreachable(err)
		}
		env.Log.Debug("connection to Discord ended", "channel", a.ID, "error", err)
		if err := wait(ctx, firstPause<<(failures-1)+time.Duration(rand.Int64N(int64(firstPause)))); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// errAgain means that the next connection is due at once.
var errAgain = errors.New("connect again")

// notKept is an error of the sink.
type notKept struct{ err error }

func (e *notKept) Error() string { return "store what came: " + e.err.Error() }
func (e *notKept) Unwrap() error { return e.err }

// session makes one connection and serves it to its end. worked tells that Discord accepted it.
func (l *listener) session(ctx context.Context) (worked bool, err error) {
	resume := l.state.Session != "" && l.state.URL != ""
	address := l.state.URL
	if resume {
		if _, err := l.address(address); err != nil {
			resume = false
		}
	}
	if !resume {
		if address, err = l.discover(ctx); err != nil {
			return false, err
		}
	}
	target, err := l.address(address)
	if err != nil {
		return false, unreachable(err)
	}
	dialing, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ws, response, err := websocket.Dial(dialing, target, &websocket.DialOptions{HTTPClient: l.dialer, HTTPHeader: http.Header{"User-Agent": {agent}}})
	if response != nil && response.Body != nil && err != nil {
		response.Body.Close()
	}
	if err != nil {
		if resume {
			l.state.URL = "" // "or the reconnect fails": a new session at the address that everybody has
		}
		return false, fmt.Errorf("connect to the Gateway: %w", err)
	}
	ws.SetReadLimit(frameMax)
	c := &connection{ws: ws, frames: make(chan frameOf, queueMax), done: make(chan struct{})}
	defer c.end()
	hello, err := c.hello(ctx)
	if err != nil {
		return false, err
	}
	running, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer c.end()
	defer stop()
	c.seq.Store(l.state.Seq)
	if !resume {
		c.seq.Store(0)
	}
	work.Go(func() { c.beat(running, hello) })
	work.Go(func() { c.read(running) })
	if resume {
		err = c.send(running, opResume, map[string]any{"token": l.a.Settings["bot_token"], "session_id": l.state.Session, "seq": l.state.Seq})
	} else {
		if err := wait(ctx, l.identified.Add(identifyPause).Sub(l.env.Now())); err != nil {
			return false, err
		}
		l.identified = l.env.Now()
		identify := map[string]any{"token": l.a.Settings["bot_token"], "intents": intents,
			"properties": map[string]string{"os": "linux", "browser": "rufweite", "device": "rufweite"}}
		if l.shards > 1 {
			identify["shard"] = []int{0, l.shards} // direct messages come to the first one ("Sharding")
		}
		err = c.send(running, opIdentify, identify)
	}
	if err != nil {
		return false, err
	}
	for f := range c.frames {
		ok, err := l.take(running, f.frame, f.raw)
		worked = worked || ok
		if err != nil {
			return worked, err
		}
	}
	return worked, l.closed(c.err)
}

// closed decides what the end of a connection means.
func (l *listener) closed(err error) error {
	var invalid *invalidSession
	switch {
	case errors.Is(err, errReconnect):
		return errAgain
	case errors.As(err, &invalid):
		if !invalid.resumable {
			l.forget()
		}
		return fmt.Errorf("start over: %w", err)
	}
	switch code := websocket.CloseStatus(err); code {
	case 4004:
		l.forget()
		return wrongToken(err)
	case 4013, 4014:
		return trouble(err, channel.Text{DE: "Discord erlaubt dem Bot nicht, Direktnachrichten zu empfangen.", EN: "Discord does not allow the bot to receive direct messages."},
			channel.Text{DE: "Prüfen Sie im Developer Portal, ob die Anwendung gesperrt ist, und aktualisieren Sie Rufweite.", EN: "Check in the Developer Portal whether the application is disabled, and update Rufweite."})
	case 4010, 4011, 4012:
		return trouble(err, channel.Text{DE: "Discord nimmt die Verbindung nicht an.", EN: "Discord does not accept the connection."},
			channel.Text{DE: "Aktualisieren Sie Rufweite.", EN: "Update Rufweite."})
	case 4001, 4003, 4005, 4007, 4009, websocket.StatusNormalClosure, websocket.StatusGoingAway:
		l.forget() // reconnect, but not resume
	}
	return fmt.Errorf("the Gateway closed the connection: %w", err)
}

// forget gives the session up; the chats stay, to catch up on them.
func (l *listener) forget() { l.state.Session, l.state.Seq, l.state.URL = "", 0, "" }

// discover asks where the Gateway is, and whether a new session may start ("Get Gateway Bot").
func (l *listener) discover(ctx context.Context) (string, error) {
	var g struct {
		URL    string `json:"url"`
		Shards int    `json:"shards"`
		Limit  struct {
			Total      int   `json:"total"`
			Remaining  int   `json:"remaining"`
			ResetAfter int64 `json:"reset_after"` // milliseconds
		} `json:"session_start_limit"`
	}
	if err := get(ctx, l.a, "/gateway/bot", &g, l.env); err != nil {
		var e *channel.SendError
		if errors.As(err, &e) && (e.Class == channel.Misconfig || e.Class == channel.Permanent) {
			return "", asTrouble(err)
		}
		if e != nil && e.RetryAfter > 0 {
			_ = wait(ctx, min(e.RetryAfter, time.Minute))
		}
		return "", err
	}
	if g.Limit.Total > 0 && g.Limit.Remaining <= 0 {
		// One more IDENTIFY would make Discord reset the token.
		minutes := g.Limit.ResetAfter/60000 + 1
		return "", trouble(errors.New("session_start_limit is used up"),
			channel.Text{DE: fmt.Sprintf("Discord lässt in den nächsten %d Minuten keine neue Verbindung zu.", minutes), EN: fmt.Sprintf("Discord allows no new connection for %d minutes.", minutes)},
			channel.Text{DE: "Ein anderes Programm verbindet sich mit demselben Token immer neu: Beenden Sie es.", EN: "Another program with the same token connects again and again: stop it."})
	}
	l.shards = g.Shards
	return g.URL, nil
}

// address is the URL to connect to. Our token goes there: only Discord's own hosts over TLS, or those of a stand-in.
func (l *listener) address(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("the Gateway's address %q is none", raw)
	}
	if standIn(l.a) == "" && (u.Scheme != "wss" || u.Hostname() != "discord.gg" && !strings.HasSuffix(u.Hostname(), ".discord.gg")) || u.Scheme != "wss" && u.Scheme != "ws" {
		return "", fmt.Errorf("the Gateway's address %q is not Discord's", raw)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.RawQuery = "v=10&encoding=json"
	return u.String(), nil
}

// take handles a dispatch. ok tells that the session stands.
func (l *listener) take(ctx context.Context, f frame, raw []byte) (ok bool, err error) {
	next := l.state
	if f.Seq != nil {
		next.Seq = max(next.Seq, *f.Seq)
	}
	switch f.Type {
	case "READY":
		var d struct {
			Session string `json:"session_id"`
			URL     string `json:"resume_gateway_url"`
			User    user   `json:"user"`
		}
		if err := json.Unmarshal(f.Data, &d); err != nil || d.Session == "" {
			return false, fmt.Errorf("READY is unreadable: %w", err)
		}
		next.Session, next.URL, next.Me = d.Session, d.URL, d.User.ID
		if f.Seq != nil {
			next.Seq = *f.Seq
		}
		next.Gap = len(next.Chats) > 0
		l.state = next
		return true, l.catchUp(ctx)
	case "RESUMED":
		l.state = next
		return true, l.catchUp(ctx)
	}
	in := channel.Inbound{Raw: raw, Type: "application/json"}
	events, touched, err := parse(raw, scene{me: l.me(), session: next.Session, users: next.users()})
	if err == nil && len(events) == 0 {
		l.state = next
		return false, nil
	}
	in.Events = events
	if err != nil {
		in.Err = err.Error()
	}
	next.touch(touched, l.catching)
	if len(events) != 1 || events[0].Type != channel.TypingEvent {
		in.Cursor = next.cursor()
	}
	if err := l.sink(ctx, in); err != nil {
		return false, &notKept{err}
	}
	l.state = next
	if touched != nil && touched.Author != nil {
		chats.remember(l.a, touched.Author.ID, touched.ChannelID)
	}
	if f.Type == "INTERACTION_CREATE" {
		l.answer(ctx, f.Data)
	}
	return false, nil
}

func (l *listener) me() string { return cmp.Or(l.state.Me, l.a.Settings["application_id"]) }

// answer acknowledges a pressed button, which the customer's app waits for three seconds.
func (l *listener) answer(ctx context.Context, data []byte) {
	var i interaction
	if json.Unmarshal(data, &i) != nil || !snowflake(i.ID) || i.Token == "" || i.GuildID != "" {
		return
	}
	l.answers.Go(func() {
		call := channel.JSON(apiURL(l.a)+"/interactions/"+i.ID+"/"+url.PathEscape(i.Token)+"/callback", i.answer())
		call.Timeout, call.Secrets = 10*time.Second, []string{i.Token}
		answer, err := call.With("User-Agent", agent).Do(ctx, l.env.HTTP) // the address is the permission
		if err == nil && !answer.OK() && answer.Status != http.StatusNotFound {
			err = fmt.Errorf("status %d", answer.Status)
		}
		if err != nil && ctx.Err() == nil {
			l.env.Log.Warn("a pressed button of Discord was not acknowledged", "channel", l.a.ID, "error", err)
		}
	})
}

// catchUp reads what the newest chats had while no session was there ("Get Channel Messages"). What came before the first
// session of all, and edits, deletions and reactions in the gap, cannot be read.
func (l *listener) catchUp(ctx context.Context) error {
	if !l.state.Gap {
		return nil
	}
	l.catching = true
	defer func() { l.catching = false }()
	for _, c := range slices.Clone(l.state.Chats) {
		if err := l.catchUpOn(ctx, c); err != nil {
			return err
		}
	}
	l.state.Gap = false // kept with the next event; until then it would only be read twice
	return nil
}

func (l *listener) catchUpOn(ctx context.Context, c chat) error {
	last, failures := c.Last, 0
	for n := 0; n < catchUpMost; {
		if err := wait(ctx, catchPause); err != nil {
			return err
		}
		var page []json.RawMessage
		err := get(ctx, l.a, "/channels/"+c.Channel+"/messages?limit=100&after="+last, &page, l.env)
		var e *channel.SendError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &e) && (e.Class == channel.RateLimited || e.Class == channel.Temporary) && failures < patience:
			if e.Class == channel.Temporary {
				failures++
			}
			if err := wait(ctx, max(e.RetryAfter, firstPause)); err != nil {
				return err
			}
			continue
		case errors.As(err, &e) && (e.Class == channel.RateLimited || e.Class == channel.Temporary):
			return fmt.Errorf("catch up: %w", err)
		case err != nil:
			l.env.Log.Warn("a chat of Discord cannot be caught up on", "channel", l.a.ID, "error", err)
			return nil
		}
		if len(page) == 0 {
			return nil
		}
		type entry struct {
			id  string
			raw json.RawMessage
		}
		var list []entry
		for _, raw := range page {
			var m struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(raw, &m) == nil && snowflake(m.ID) && newer(m.ID, last) {
				list = append(list, entry{m.ID, raw})
			}
		}
		if len(list) == 0 {
			return nil
		}
		slices.SortFunc(list, func(a, b entry) int { // the API gives the newest first
			return cmp.Or(cmp.Compare(len(a.id), len(b.id)), strings.Compare(a.id, b.id))
		})
		for _, m := range list {
			raw, err := json.Marshal(map[string]any{"op": opDispatch, "t": "MESSAGE_CREATE", "d": m.raw})
			if err != nil {
				continue
			}
			if _, err := l.take(ctx, frame{Type: "MESSAGE_CREATE", Data: m.raw}, raw); err != nil {
				return err
			}
			last = m.id
			n++
		}
		if len(page) < 100 {
			return nil
		}
	}
	return nil
}

// frameOf is a frame and its bytes.
type frameOf struct {
	frame
	raw []byte
}

// connection is one WebSocket to the Gateway. read takes frames off it all the time, so that acknowledgements of heartbeats
// are seen while the house is busy.
type connection struct {
	ws     *websocket.Conn
	frames chan frameOf // dispatches; closed when the connection has ended, err is then set
	err    error
	seq    atomic.Int64
	acked  atomic.Bool
	zombie atomic.Bool
	once   sync.Once
	done   chan struct{}
}

var errReconnect = errors.New("the Gateway asks to connect again")

type invalidSession struct{ resumable bool }

func (*invalidSession) Error() string { return "the Gateway does not know the session" }

// end closes the connection without a closing handshake, so that the session stays ("Initiating a Disconnect").
func (c *connection) end() {
	c.once.Do(func() {
		close(c.done)
		_ = c.ws.CloseNow()
	})
}

func (c *connection) send(ctx context.Context, op int, d any) error {
	raw, err := json.Marshal(map[string]any{"op": op, "d": d})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, raw); err != nil {
		return fmt.Errorf("write to the Gateway: %w", err)
	}
	return nil
}

// hello waits for the first frame, which gives the interval of heartbeats.
func (c *connection) hello(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, helloWait)
	defer cancel()
	_, raw, err := c.ws.Read(ctx)
	if err != nil {
		return 0, fmt.Errorf("wait for the Gateway's hello: %w", err)
	}
	var f frame
	var d struct {
		Interval int64 `json:"heartbeat_interval"`
	}
	if json.Unmarshal(raw, &f) != nil || f.Op != opHello || json.Unmarshal(f.Data, &d) != nil || d.Interval < 1 {
		return 0, errors.New("the Gateway does not say hello")
	}
	return time.Duration(min(d.Interval, 600_000)) * time.Millisecond, nil
}

// beat keeps the connection alive ("Sending Heartbeats"): the first one after a part of the interval, by chance. A heartbeat
// without an acknowledgement before the next one means that nobody is there any more.
func (c *connection) beat(ctx context.Context, interval time.Duration) {
	c.acked.Store(true)
	pause := time.Duration(rand.Int64N(int64(interval)))
	for {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-c.done:
			t.Stop()
			return
		case <-t.C:
		}
		if !c.acked.Swap(false) {
			c.zombie.Store(true)
			c.end()
			return
		}
		if c.heartbeat(ctx) != nil {
			c.end()
			return
		}
		pause = interval
	}
}

func (c *connection) heartbeat(ctx context.Context) error {
	var seq any
	if n := c.seq.Load(); n > 0 {
		seq = n
	}
	return c.send(ctx, opHeartbeat, seq)
}

// read takes frames until the connection ends.
func (c *connection) read(ctx context.Context) {
	defer close(c.frames)
	for {
		_, raw, err := c.ws.Read(ctx)
		if err != nil {
			if c.zombie.Load() {
				err = errors.New("the Gateway acknowledged no heartbeat")
			}
			c.err = err
			return
		}
		var f frame
		if err := json.Unmarshal(raw, &f); err != nil {
			c.err = fmt.Errorf("the Gateway sent no JSON: %w", err)
			return
		}
		switch f.Op {
		case opHeartbeatACK:
			c.acked.Store(true)
		case opHeartbeat:
			if err := c.heartbeat(ctx); err != nil {
				c.err = err
				return
			}
		case opReconnect:
			c.err = errReconnect
			return
		case opInvalidSession:
			c.err = &invalidSession{resumable: string(f.Data) == "true"}
			return
		case opDispatch:
			if f.Seq != nil {
				c.seq.Store(*f.Seq)
			}
			select {
			case c.frames <- frameOf{f, raw}:
			case <-ctx.Done():
				c.err = ctx.Err()
				return
			case <-c.done:
				c.err = errors.New("the connection ended")
				return
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
