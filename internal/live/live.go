// Package live is in charge of telling browsers and other nodes that something changed, at once. The feed in the
// database is the truth; a NATS server inside the process (without a listener, unless nodes form a cluster) only says
// "read on". Whoever was away resumes by seq.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/rufweite/rufweite/internal/db"
)

const (
	ringSize = 2048 // frames kept in memory by organisation; who is further behind reads the feed
	readMax  = 500  // entries read from the feed at once
)

// Frame is one message to a browser, already as JSON. Seq is 0 for what is not stored (typing, presence).
type Frame struct {
	Seq      int64
	JSON     []byte
	Private  bool   // about one conversation: not for everybody
	Assignee string // whose conversation it is
	Only     string // the member of staff for whom alone it is; "" = for everybody who may
}

// Render turns entries of the feed into frames, one for each, in order. It may read the database; it is called once
// for each batch, however many browsers listen.
type Render func(ctx context.Context, o db.Org, entries []db.Entry) ([]Frame, error)

// Cluster says how nodes find each other; the zero value is a node of its own.
type Cluster struct {
	Name   string   // the same on every node
	Listen string   // host:port for routes from other nodes
	Routes []string // nats://host:port of other nodes
}

// Hub fans the feed out.
type Hub struct {
	db     *db.DB
	render Render
	log    *slog.Logger
	ns     *server.Server
	nc     *nats.Conn
	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	orgs map[string]*topic
}

// topic is one organisation's live stream on this node. It exists while somebody listens.
type topic struct {
	org  string
	kick chan struct{}
	mu   sync.Mutex
	ring []Frame // ascending, dense
	head int64   // newest seq rendered
	subs map[*Sub]struct{}
	stop context.CancelFunc
}

// Start starts the hub and makes it the database's notifier.
func Start(d *db.DB, c Cluster, render Render, log *slog.Logger) (*Hub, error) {
	opts := &server.Options{ServerName: "rufweite-" + db.NewID(), DontListen: c.Listen == "", NoSigs: true, NoLog: true, MaxPayload: 1 << 20}
	if c.Listen != "" {
		host, port, ok := strings.Cut(c.Listen, ":")
		p, err := strconv.Atoi(port)
		if !ok || err != nil {
			return nil, fmt.Errorf("the cluster address must be host:port, not %q", c.Listen)
		}
		opts.DontListen = false
		opts.Host, opts.Port = "127.0.0.1", server.RANDOM_PORT // clients are in this process; routes have their own port
		opts.Cluster = server.ClusterOpts{Name: c.Name, Host: host, Port: p}
		for _, r := range c.Routes {
			u, err := url.Parse(r)
			if err != nil {
				return nil, fmt.Errorf("read the address of node %q: %w", r, err)
			}
			opts.Routes = append(opts.Routes, u)
		}
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("make the live server: %w", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(10 * time.Second) {
		ns.Shutdown()
		return nil, errors.New("the live server did not start within 10 s")
	}
	nc, err := nats.Connect("", nats.InProcessServer(ns), nats.MaxReconnects(-1), nats.ReconnectBufSize(1<<20))
	if err != nil {
		ns.Shutdown()
		return nil, fmt.Errorf("connect to the live server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hub{db: d, render: render, log: log, ns: ns, nc: nc, ctx: ctx, cancel: cancel, orgs: map[string]*topic{}}
	if _, err := nc.Subscribe("feed.*", func(m *nats.Msg) { h.onFeed(strings.TrimPrefix(m.Subject, "feed.")) }); err != nil {
		h.Close()
		return nil, fmt.Errorf("listen to the feed: %w", err)
	}
	if _, err := nc.Subscribe("now.*", func(m *nats.Msg) { h.onNow(strings.TrimPrefix(m.Subject, "now."), m.Data) }); err != nil {
		h.Close()
		return nil, fmt.Errorf("listen to what happens now: %w", err)
	}
	d.Notify(func(org string, _ int64) { h.publish("feed."+subject(org), nil) })
	return h, nil
}

// subject makes an organisation's id fit into a NATS subject.
func subject(org string) string { return url.PathEscape(strings.ReplaceAll(org, ".", "%2E")) }

func (h *Hub) publish(subject string, data []byte) {
	if err := h.nc.Publish(subject, data); err != nil && h.ctx.Err() == nil {
		h.log.Warn("live notice could not be published; browsers catch up within a second", "error", err)
	}
}

// Close ends the hub.
func (h *Hub) Close() {
	h.cancel()
	h.nc.Close()
	h.ns.Shutdown()
}

// Now sends something that is not stored to everybody of the organisation who listens, on every node.
func (h *Hub) Now(org string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		h.log.Error("live frame", "error", err)
		return
	}
	h.publish("now."+subject(org), b)
}

func (h *Hub) find(sub string) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	for org, t := range h.orgs {
		if subject(org) == sub {
			return t
		}
	}
	return nil
}

func (h *Hub) onFeed(sub string) {
	if t := h.find(sub); t != nil {
		select {
		case t.kick <- struct{}{}:
		default:
		}
	}
}

func (h *Hub) onNow(sub string, data []byte) {
	t := h.find(sub)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.subs {
		if len(s.now) < 64 { // who cannot follow misses it: it is only about now
			s.now = append(s.now, Frame{JSON: data})
		}
		s.signal()
	}
}

// Sub is one browser's place in the stream.
type Sub struct {
	hub    *Hub
	topic  *topic
	cursor int64
	now    []Frame
	ready  chan struct{}
}

func (s *Sub) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Subscribe listens to an organisation's stream from after seq on; after < 0 starts at the end.
func (h *Hub) Subscribe(ctx context.Context, org string, after int64) (*Sub, error) {
	h.mu.Lock()
	t := h.orgs[org]
	if t == nil {
		tctx, cancel := context.WithCancel(h.ctx)
		t = &topic{org: org, kick: make(chan struct{}, 1), subs: map[*Sub]struct{}{}, stop: cancel, head: -1}
		h.orgs[org] = t
		go h.follow(tctx, t)
	}
	s := &Sub{hub: h, topic: t, cursor: after, ready: make(chan struct{}, 1)}
	t.mu.Lock()
	t.subs[s] = struct{}{}
	t.mu.Unlock()
	h.mu.Unlock()
	if after < 0 {
		head, err := h.db.Org(org).FeedHead(ctx)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("subscribe: %w", err)
		}
		s.cursor = head
	}
	s.signal()
	return s, nil
}

// Cursor is the seq up to which frames were given.
func (s *Sub) Cursor() int64 { return s.cursor }

// Close ends the subscription.
func (s *Sub) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	delete(s.topic.subs, s)
	if len(s.topic.subs) == 0 {
		s.topic.stop()
		if s.hub.orgs[s.topic.org] == s.topic {
			delete(s.hub.orgs, s.topic.org)
		}
	}
}

// Next waits for frames and returns them in order; db.ErrFeedGone if the cursor is too old (reload, then subscribe
// anew).
func (s *Sub) Next(ctx context.Context) ([]Frame, error) {
	for {
		frames, behind := s.take()
		if behind {
			o := s.hub.db.Org(s.topic.org)
			entries, err := o.Feed(ctx, s.cursor, readMax)
			if err != nil {
				return nil, err
			}
			if len(entries) > 0 {
				more, err := s.hub.render(ctx, o, entries)
				if err != nil {
					return nil, fmt.Errorf("render the feed: %w", err)
				}
				s.cursor = entries[len(entries)-1].Seq
				s.signal() // there may be more
				return append(frames, more...), nil
			}
		}
		if len(frames) > 0 {
			return frames, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.ready:
		}
	}
}

// take gives what the ring has after the cursor; behind means that the ring does not reach back that far.
func (s *Sub) take() (frames []Frame, behind bool) {
	t := s.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	frames, s.now = s.now, nil
	if t.head < 0 || s.cursor >= t.head {
		return frames, false
	}
	if len(t.ring) == 0 || t.ring[0].Seq > s.cursor+1 {
		return frames, true
	}
	from := int(s.cursor + 1 - t.ring[0].Seq)
	n := min(len(t.ring)-from, readMax)
	frames = append(frames, t.ring[from:from+n]...)
	s.cursor += int64(n)
	if s.cursor < t.head {
		s.signal()
	}
	return frames, false
}

// follow reads the feed for as long as somebody listens, renders it once and hands it on.
func (h *Hub) follow(ctx context.Context, t *topic) {
	o := h.db.Org(t.org)
	tick := time.NewTicker(time.Second) // should a notice be lost, the feed is still read
	defer tick.Stop()
	wakeAll := func() {
		t.mu.Lock()
		for s := range t.subs {
			s.signal()
		}
		t.mu.Unlock()
	}
	for ctx.Err() == nil {
		err := func() error {
			if t.head < 0 {
				head, err := o.FeedHead(ctx)
				if err != nil {
					return err
				}
				t.mu.Lock()
				t.head = head
				t.mu.Unlock()
				wakeAll()
				return nil
			}
			for {
				entries, err := o.Feed(ctx, t.head, readMax)
				if errors.Is(err, db.ErrFeedGone) {
					t.mu.Lock()
					t.head, t.ring = -1, nil
					t.mu.Unlock()
					return nil
				}
				if err != nil || len(entries) == 0 {
					return err
				}
				frames, err := h.render(ctx, o, entries)
				if err != nil {
					return err
				}
				t.mu.Lock()
				t.ring = append(t.ring, frames...)
				if extra := len(t.ring) - ringSize; extra > 0 {
					t.ring = append(t.ring[:0:0], t.ring[extra:]...)
				}
				t.head = entries[len(entries)-1].Seq
				t.mu.Unlock()
				wakeAll()
			}
		}()
		if err != nil && ctx.Err() == nil {
			h.log.Error("the live stream could not read the feed; trying again", "error", err)
		}
		if t.head < 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-t.kick:
		case <-tick.C:
		}
	}
}
