package smpp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/pdu"

	"github.com/rufweite/rufweite/internal/channel"
)

// register knows the live sessions of this process by account. A session of Listen carries what Send sends, as providers
// count connections. Where Listen runs in this process but has no connection now, Send waits a moment and then gives up for
// now, since a second bind could keep Listen out. Where it does not run (it runs on one node of several), Send binds a
// transmitter of its own, which all of the account's messages share and which ends when there is nothing to send.
type register struct {
	mu       sync.Mutex
	accounts map[string]*post
}

// post is what the register knows of an account.
type post struct {
	listens int           // how many Listen run
	session *session      // over which to send; nil = none now
	changed chan struct{} // closed when session or listens change
	binding bool          // a transmitter is being bound
	users   int           // who use a transmitter of Send's own
	last    time.Time     // when it was used last
	pace    *pace
	ids     recent
}

var live = &register{accounts: map[string]*post{}}

var (
	reconnectWait = 5 * time.Second  // how long Send waits for Listen's connection
	idleTime      = 10 * time.Second // how long a transmitter without messages stays bound
)

// keyOf names an account with its settings: a session of old settings serves nobody.
func keyOf(a channel.Account) string {
	h := sha256.New()
	keys := make([]string, 0, len(a.Settings))
	for k := range a.Settings {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		h.Write([]byte(strconv.Quote(k) + strconv.Quote(a.Settings[k])))
	}
	return a.ID + " " + hex.EncodeToString(h.Sum(nil)[:16])
}

// of gives the account's post. The caller holds the mutex.
func (r *register) of(a channel.Account) *post {
	key := keyOf(a)
	p := r.accounts[key]
	if p == nil {
		p = &post{changed: make(chan struct{}), pace: &pace{}}
		if rate, err := strconv.ParseFloat(a.Settings["messages_per_second"], 64); err == nil && rate > 0 {
			p.pace.every = time.Duration(float64(time.Second) / rate)
		}
		r.accounts[key] = p
	}
	return p
}

func (p *post) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// listen tells that Listen runs for the account, until the function is called. A transmitter of Send's own is unbound, as
// the provider may allow one connection only.
func (r *register) listen(a channel.Account) (*post, func()) {
	r.mu.Lock()
	p := r.of(a)
	p.listens++
	old := p.session
	if p.listens > 1 {
		old = nil
	} else {
		p.session = nil
	}
	p.change()
	r.mu.Unlock()
	if old != nil {
		for range 50 { // let what is under way have its answer
			r.mu.Lock()
			users := p.users
			r.mu.Unlock()
			if users == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		old.unbind()
	}
	return p, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if p.listens--; p.listens == 0 {
			p.session = nil
			p.change()
		}
	}
}

// offer makes s the session over which the account sends; nil = none.
func (r *register) offer(p *post, s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.session = s
	p.change()
}

var errReconnecting = errors.New("the connection to the SMSC is being made")

// session gives a session to send over; release has to be called when that is done.
func (r *register) sessionFor(ctx context.Context, a channel.Account, env channel.Env) (s *session, p *post, release func(), err error) {
	deadline := time.NewTimer(reconnectWait)
	defer deadline.Stop()
	r.mu.Lock()
	for {
		p = r.of(a)
		if s := p.session; s != nil {
			select {
			case <-s.done:
				p.session = nil
				continue
			default:
			}
			p.users++
			r.mu.Unlock()
			return s, p, func() { r.release(p) }, nil
		}
		if p.listens == 0 && !p.binding {
			break
		}
		changed := p.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-deadline.C:
			return nil, p, nil, errReconnecting
		case <-ctx.Done():
			return nil, p, nil, ctx.Err()
		}
		r.mu.Lock()
	}
	p.binding = true
	r.mu.Unlock()
	s, err = bind(ctx, a, env, pdu.Transmitter, p.pace, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	p.binding = false
	p.change()
	if err != nil {
		return nil, p, nil, err
	}
	if p.listens > 0 { // Listen began meanwhile: this one is for this message only
		return s, p, func() { go s.unbind() }, nil
	}
	p.session = s
	p.users++
	s.work.Go(func() { r.idle(p, s) })
	return s, p, func() { r.release(p) }, nil
}

func (r *register) release(p *post) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.users--
	p.last = time.Now()
}

// idle unbinds a transmitter that nobody has used for a while.
func (r *register) idle(p *post, s *session) {
	tick := time.NewTicker(idleTime / 4)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			r.mu.Lock()
			if p.session == s {
				p.session = nil
			}
			r.mu.Unlock()
			return
		case <-tick.C:
		}
		r.mu.Lock()
		over := p.session == s && p.listens == 0 && p.users == 0 && time.Since(p.last) > idleTime
		if over {
			p.session = nil
		}
		r.mu.Unlock()
		if over {
			go s.unbind()
			return
		}
	}
}

// recent remembers ids of messages that were sent, to find out how receipts write them. It is bounded.
type recent struct {
	mu    sync.Mutex
	known map[string]bool
	order []string
}

const recentMax = 10_000

func (r *recent) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	if r.known[id] {
		return
	}
	r.known[id] = true
	if r.order = append(r.order, id); len(r.order) > recentMax {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *recent) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[id]
}
