package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
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
	survivors := map[string]string{}
	if len(ids) > 0 {
		list, err := conversation.ByIDs(ctx, o, ids, "")
		if err != nil {
			return nil, err
		}
		customers := make([]string, 0, len(list))
		for _, r := range list {
			rows[r.ID] = r
			customers = append(customers, r.Customer)
		}
		if survivors, err = customer.Survivors(ctx, o, customers); err != nil {
			return nil, err
		}
	}
	out := make([]live.Frame, len(entries))
	for i, e := range entries {
		f := frame{Seq: e.Seq, Kind: e.Kind, ID: e.Ref, MessageID: datas[i].Message, State: datas[i].State}
		r, ok := rows[datas[i].Conversation]
		if e.Kind == "conversation" {
			if ok {
				j := rowJSON(r, survivors)
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
	}
	return out, nil
}

// may reports whether a frame is for this user: partners hear only of conversations that are theirs.
func may(u auth.User, f live.Frame) bool {
	return u.Role != auth.Partner || !f.Private || f.Assignee == u.ID
}

// serveLive is the live stream, by WebSocket or server-sent events.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	u := who(r.Context())
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
		writeProblem(w, s.fail(r.Context(), err).(*Problem))
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

// stillSignedIn checks again who listens: a removed member hears nothing more within a minute.
func (s *Server) stillSignedIn(r *http.Request) bool {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	_, err := s.identify(r.Context(), r, bearer)
	return !errors.Is(err, auth.ErrSignedOut)
}

// pump gives frames to send until ctx ends or the listener is signed out.
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
	checked := time.Now()
	for {
		if time.Since(checked) > 25*time.Second {
			if !s.stillSignedIn(r) {
				return auth.ErrSignedOut
			}
			checked = time.Now()
		}
		nctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		frames, err := sub.Next(nctx)
		cancel()
		switch {
		case errors.Is(err, db.ErrFeedGone):
			head, err := s.DB.Org(u.Org).FeedHead(ctx)
			if err != nil {
				return err
			}
			b, err := json.Marshal(frame{Seq: head, Kind: "reload"})
			if err != nil {
				return err
			}
			if err := send(head, b); err != nil {
				return err
			}
			return nil // the client comes again with after=head
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			if err := beat(); err != nil {
				return err
			}
		case err != nil:
			return err
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
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
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
