package api

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
)

// maxInbound is the largest webhook body that is read, in bytes.
const maxInbound = 16 << 20

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// serveInbound takes a provider's webhook: verify, parse, store, and only then answer.
func (s *Server) serveInbound(w http.ResponseWriter, r *http.Request) {
	kind, id := r.PathValue("kind"), r.PathValue("id")
	c, err := s.Accounts.Find(r.Context(), id)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		s.Log.Error("a channel could not be looked up", "error", err)
		w.Header().Set("Retry-After", "5")
		writePlain(w, http.StatusServiceUnavailable, "try again")
		return
	}
	d, ok := s.Accounts.Driver(c.Kind).(channel.Webhook)
	if err != nil || string(c.Kind) != kind || !ok {
		writePlain(w, http.StatusNotFound, "no such channel")
		return
	}
	buf := bodies.Get().(*bytes.Buffer)
	buf.Reset()
	defer func() {
		if buf.Cap() <= 1<<20 { // a rare large one is not kept for ever
			bodies.Put(buf)
		}
	}()
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, maxInbound)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writePlain(w, http.StatusRequestEntityTooLarge, "too large")
			return
		}
		writePlain(w, http.StatusBadRequest, "body cut short")
		return
	}
	body := bytes.Clone(buf.Bytes())
	path := ""
	if rest := r.PathValue("rest"); rest != "" {
		path = "/" + rest
	}
	now := s.Now()
	own := s.base(r) + r.URL.RequestURI()
	urls := []string{own}
	if s.PublicURL != "" {
		urls = []string{s.public(r) + r.URL.RequestURI(), own}
	}
	req := &channel.Request{Method: r.Method, Path: path, Query: r.URL.Query(), Header: r.Header, Body: body, URLs: urls, At: now, Remote: s.clientIP(r)}
	err = d.Verify(c.Account, req, now)
	if errors.Is(err, channel.ErrNotYet) {
		w.Header().Set("Retry-After", "10")
		writePlain(w, http.StatusServiceUnavailable, "cannot be verified yet: try again")
		return
	}
	if err != nil {
		writePlain(w, http.StatusUnauthorized, "signature does not match")
		return
	}
	in := channel.Inbound{Raw: body, Type: r.Header.Get("Content-Type")}
	var reply channel.Reply
	in.Events, reply, err = parse(d, c.Account, req)
	if err != nil {
		in.Events, in.Err, reply = nil, err.Error(), channel.Reply{}
	}
	for _, part := range s.byAccount(c, d, req, in, now) {
		if _, err = s.Intake.Accept(r.Context(), part.account, part.in); err != nil {
			break // the provider sends all of it again; what was kept comes twice and counts once
		}
	}
	if err != nil {
		s.Log.Error("what came in could not be stored; the provider is told to come again", "channel", c.ID, "error", err)
		w.Header().Set("Retry-After", "5")
		writePlain(w, http.StatusServiceUnavailable, "try again")
		return
	}
	if reply.Type != "" {
		w.Header().Set("Content-Type", reply.Type)
	}
	if reply.Status == 0 {
		reply.Status = http.StatusOK
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
}

type accountPart struct {
	account channel.Account
	in      channel.Inbound
}

// byAccount gives each event to the channel of the account that it names: one webhook of an app may serve several
// numbers or pages. Another channel's events go there if the very same request is authentic for it, too; what belongs to
// nobody here becomes a work item of the channel that was called.
func (s *Server) byAccount(c account.Channel, d channel.Webhook, r *channel.Request, in channel.Inbound, now time.Time) []accountPart {
	o, ok := d.(channel.Owner)
	if !ok || o.Owns(c.Settings) == "" {
		return []accountPart{{c.Account, in}}
	}
	own := o.Owns(c.Settings)
	parts := []accountPart{{c.Account, in}}
	parts[0].in.Events = nil
	at := map[string]int{own: 0, "": 0}
	for _, e := range in.Events {
		i, known := at[e.Account]
		if !known {
			i = -1
			for _, other := range s.Accounts.ByKind(c.Org, c.Kind) {
				if other.ID != c.ID && other.Enabled && o.Owns(other.Settings) == e.Account && d.Verify(other.Account, r, now) == nil {
					i = len(parts)
					parts = append(parts, accountPart{other.Account, channel.Inbound{Raw: in.Raw, Type: in.Type}})
					break
				}
			}
			at[e.Account] = i
		}
		if i < 0 {
			e = channel.Event{Key: "foreign:" + e.Key, Type: channel.UnparsedEvent, Account: e.Account, Sender: e.Sender, At: e.At,
				Error: "this belongs to the account " + channel.CleanName(e.Account) + ", for which no channel is set up here with the same secret: add one, then retry"}
			i = 0
		}
		parts[i].in.Events = append(parts[i].in.Events, e)
	}
	return parts
}

// parse calls a driver whose panic must not lose what came in.
func parse(d channel.Webhook, a channel.Account, r *channel.Request) (events []channel.Event, reply channel.Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the driver crashed while reading this")
		}
	}()
	return d.Parse(a, r)
}
