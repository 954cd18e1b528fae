package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/live"
)

// frame is one message of the live stream.
type frame struct {
	Seq          int64    `json:"seq,omitempty"`
	Kind         string   `json:"kind"`
	ID           string   `json:"id,omitempty"`
	Conversation string   `json:"conversation_id,omitempty"`
	MessageID    string   `json:"message_id,omitempty"`
	State        string   `json:"state,omitempty"`
	Row          *RowJSON `json:"conversation,omitempty"`
	StaffID      string   `json:"staff_id,omitempty"`
}

// Render turns the feed into frames for browsers; conversations travel with their list row.
func (s *Server) Render(ctx context.Context, o db.Org, entries []db.Entry) ([]live.Frame, error) {
	type data struct {
		Conversation string `json:"conversation_id"`
		Message      string `json:"message_id"`
		State        string `json:"state"`
	}
	datas := make([]data, len(entries))
	var ids []string
	seen := map[string]bool{}
	for i, e := range entries {
		if len(e.Data) > 0 {
			if err := json.Unmarshal(e.Data, &datas[i]); err != nil {
				return nil, fmt.Errorf("read feed entry %d: %w", e.Seq, err)
			}
		}
		id := datas[i].Conversation
		if e.Kind == "conversation" {
			id = e.Ref
			datas[i].Conversation = id
		}
		if id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	rows := map[string]conversation.Row{}
	shown := map[string]RowJSON{}
	if len(ids) > 0 {
		list, err := conversation.ByIDs(ctx, o, ids, "")
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			rows[r.ID] = r
		}
		items, err := s.rows(ctx, o, list)
		if err != nil {
			return nil, err
		}
		for _, j := range items {
			shown[j.ID] = j
		}
	}
	out := make([]live.Frame, len(entries))
	for i, e := range entries {
		f := frame{Seq: e.Seq, Kind: e.Kind, ID: e.Ref, MessageID: datas[i].Message, State: datas[i].State}
		if e.Kind == "mention" {
			f.ID, f.StaffID = "", e.Ref
		}
		r, ok := rows[datas[i].Conversation]
		if e.Kind == "conversation" {
			if ok {
				j := shown[r.ID]
				f.Row = &j
			}
		} else {
			f.Conversation = datas[i].Conversation
		}
		b, err := json.Marshal(f)
		if err != nil {
			return nil, fmt.Errorf("write frame: %w", err)
		}
		out[i] = live.Frame{Seq: e.Seq, JSON: b, Private: datas[i].Conversation != "", Assignee: r.Assignee}
		switch e.Kind {
		case "customer", "work_item": // partners know customers by their conversations only
			out[i].Private = true
		case "mention": // only whom it names hears it
			out[i].Only = e.Ref
		case "staff": // see pump
			out[i].Assignee = e.Ref
		}
	}
	return out, nil
}

// may reports whether a frame is for this user: partners hear only of conversations that are theirs. What is not stored
// (typing) names no conversation, so that it cannot be theirs.
func may(u auth.User, f live.Frame) bool {
	if f.Only != "" && f.Only != u.ID {
		return false
	}
	if u.Role != auth.Partner {
		return true
	}
	return f.Seq > 0 && (!f.Private || f.Assignee == u.ID)
}

func (s *Server) liveRoutes() {
	o := op("GET", "/live", "live", "What changes, as it changes: WebSocket (text frames) or server-sent events", "live")
	o.Parameters = []*huma.Param{
		{Name: "after", In: "query", Description: "the last seq that was seen; without it the stream starts now with a hello frame", Schema: &huma.Schema{Type: "integer", Format: "int64"}},
		{Name: "Last-Event-ID", In: "header", Description: "as after, sent by EventSource when it comes again", Schema: &huma.Schema{Type: "string"}},
	}
	schema := s.api.OpenAPI().Components.Schemas.Schema(typeOf[frame](), true, "Frame")
	o.Responses = answers("200", "Frames, each the data of one event", "text/event-stream", schema)
	o.Responses["101"] = &huma.Response{Description: "WebSocket; each text message is one frame"}
	s.raw(o, s.serveLive)
}

// ownHosts are the hosts under which this server's own pages may have been loaded.
func (s *Server) ownHosts(r *http.Request) []string {
	hosts := []string{r.Host}
	for _, base := range []string{s.PublicURL, s.base(r)} {
		if u, err := url.Parse(base); err == nil && u.Host != "" {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// foreignPage reports whether a page of another site asks: browsers say so by Origin.
func (s *Server) foreignPage(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !slices.ContainsFunc(s.ownHosts(r), func(h string) bool { return strings.EqualFold(h, u.Host) })
}

// serveLive is the live stream, by WebSocket or server-sent events.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	u := who(r.Context())
	if s.foreignPage(r) {
		writeProblem(w, problem(http.StatusForbidden, "cross_origin", textIn(s.language(r), "Diese Anfrage kam von einer fremden Seite.", "This request came from another site.")))
		return
	}
	after := int64(-1)
	v := r.URL.Query().Get("after")
	if h := r.Header.Get("Last-Event-ID"); h != "" {
		v = h
	}
	if v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			writeProblem(w, problem(http.StatusBadRequest, "bad_cursor", textIn(s.language(r), "after muss eine Zahl sein.", "after must be a number.")))
			return
		}
		after = n
	}
	sub, err := s.hub.Subscribe(r.Context(), u.Org, after)
	if err != nil {
		s.writeFailure(r.Context(), w, err)
		return
	}
	defer sub.Close()
	s.online.add(u.ID, 1)
	defer s.online.add(u.ID, -1)
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.liveSocket(w, r, u, sub, after)
		return
	}
	s.liveEvents(w, r, u, sub, after)
}

// recheckAfter is how long a listener is believed to be who they were: a removed member hears nothing more within a
// minute.
const recheckAfter = 25 * time.Second

// pump gives frames to send until ctx ends or the listener is signed out. It looks again who listens now and then, and
// at once when the listener's own record changes.
func (s *Server) pump(ctx context.Context, r *http.Request, u auth.User, sub *live.Sub, after int64, send func(seq int64, frame []byte) error, beat func() error) error {
	if after < 0 {
		b, err := json.Marshal(frame{Seq: sub.Cursor(), Kind: "hello"})
		if err != nil {
			return err
		}
		if err := send(sub.Cursor(), b); err != nil {
			return err
		}
	}
	checked := s.Now()
	reload := func() error {
		head, err := s.DB.Org(u.Org).FeedHead(ctx)
		if err != nil {
			return err
		}
		b, err := json.Marshal(frame{Seq: head, Kind: "reload"})
		if err != nil {
			return err
		}
		return send(head, b) // the client comes again with after=head
	}
	if after >= 0 { // a cursor of another installation, or of the time before a backup was restored
		if head, err := s.DB.Org(u.Org).FeedHead(ctx); err != nil {
			return err
		} else if after > head {
			return reload()
		}
	}
	for {
		nctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		frames, err := sub.Next(nctx)
		cancel()
		switch {
		case errors.Is(err, db.ErrFeedGone):
			return reload()
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			if err := beat(); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		changed := slices.ContainsFunc(frames, func(f live.Frame) bool { return !f.Private && f.Assignee == u.ID })
		if changed || s.Now().Sub(checked) > recheckAfter {
			switch now, err := s.identify(ctx, r, bearerOf(r)); {
			case err == nil:
				u, checked = now, s.Now()
			case changed || errors.Is(err, auth.ErrSignedOut):
				return err // who is no longer known hears nothing; the client comes again with its cursor
			} // else the database is away, which signs nobody out
		}
		for _, f := range frames {
			if may(u, f) {
				if err := send(f.Seq, f.JSON); err != nil {
					return err
				}
			}
		}
	}
}

func (s *Server) liveSocket(w http.ResponseWriter, r *http.Request, u auth.User, sub *live.Sub, after int64) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled, OriginPatterns: s.ownHosts(r)})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	ctx := c.CloseRead(r.Context())
	err = s.pump(ctx, r, u, sub, after, func(_ int64, b []byte) error {
		wctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return c.Write(wctx, websocket.MessageText, b)
	}, func() error {
		pctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return c.Ping(pctx)
	})
	if errors.Is(err, auth.ErrSignedOut) {
		_ = c.Close(4401, "signed out")
		return
	}
	_ = c.Close(websocket.StatusGoingAway, "come again")
}

func (s *Server) liveEvents(w http.ResponseWriter, r *http.Request, u auth.User, sub *live.Sub, after int64) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the server's limit for reading a request would end the stream
	write := func(format string, args ...any) error {
		_ = rc.SetWriteDeadline(time.Now().Add(15 * time.Second)) // not every writer has one
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return rc.Flush()
	}
	if err := write(": here\n\n"); err != nil {
		return
	}
	// The client sees the end of the stream and comes again with Last-Event-ID.
	_ = s.pump(r.Context(), r, u, sub, after, func(seq int64, b []byte) error {
		if seq > 0 {
			return write("id: %d\ndata: %s\n\n", seq, b)
		}
		return write("data: %s\n\n", b)
	}, func() error { return write(": beat\n\n") })
}
