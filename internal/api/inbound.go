package api

import (
	"bytes"
	"errors"
	"net/http"
	"sync"

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
	if _, err := s.Intake.Accept(r.Context(), c.Account, in); err != nil {
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

// parse calls a driver whose panic must not lose what came in.
func parse(d channel.Webhook, a channel.Account, r *channel.Request) (events []channel.Event, reply channel.Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the driver crashed while reading this")
		}
	}()
	return d.Parse(a, r)
}
