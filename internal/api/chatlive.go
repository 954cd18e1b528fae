package api

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/chat"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/live"
)

const (
	chatCatchUp    = 5000             // entries of the feed that are read for one who was away; beyond, the widget reloads
	chatRecheck    = time.Minute      // how long a visitor is believed to be who they were
	chatProtocol   = "rufweite.chat"  // the WebSocket's subprotocol
	chatBeat       = 20 * time.Second // between signs of life
	chatNotesKept  = 8192             // entries of the feed whose addressees are remembered
	chatPerVisitor = 8                // streams: windows of one visitor
	chatPerIP      = 200              // streams: a whole office behind one address
)

// sealSeq turns a place in the feed into a cursor that only this server reads, and only for this visitor: how much is
// going on in the house is nobody else's business.
func (s *Server) sealSeq(seq int64, visitor string) string {
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[:8], uint64(seq)) //nolint:gosec // never negative
	tag := sha256.Sum256([]byte(visitor))
	copy(b[8:], tag[:8])
	s.cursorCipher().Encrypt(b[:], b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (s *Server) openSeq(cursor, visitor string) (int64, bool) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) != aes.BlockSize {
		return 0, false
	}
	s.cursorCipher().Decrypt(b, b)
	tag := sha256.Sum256([]byte(visitor))
	return int64(binary.BigEndian.Uint64(b[:8])), bytes.Equal(b[8:], tag[:8]) //nolint:gosec // as sealed
}

func (s *Server) cursorCipher() interface {
	Encrypt(dst, src []byte)
	Decrypt(dst, src []byte)
} {
	key := sha256.Sum256(append([]byte("chat cursor "), s.URLKey...))
	c, err := aes.NewCipher(key[:])
	if err != nil {
		panic("api: " + err.Error()) // 32 bytes are a key
	}
	return c
}

// chatNotes remembers, for the newest entries of each feed, which message they are about and with whom that was
// exchanged, so that however many visitors listen, each message is looked up once.
type chatNotes struct {
	mu sync.Mutex
	by map[string]map[int64]chatNote
}

type chatNote struct {
	message, address  string
	ask, conversation string // a question of this conversation has changed
}

// of gives the notes of frames that are stored.
func (n *chatNotes) of(ctx context.Context, o db.Org, frames []live.Frame) (map[int64]chatNote, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.by == nil {
		n.by = map[string]map[int64]chatNote{}
	}
	kept := n.by[o.ID]
	if kept == nil {
		kept = map[int64]chatNote{}
		n.by[o.ID] = kept
	}
	var ids []string
	about := map[int64]string{}
	newest := int64(0)
	for _, f := range frames {
		newest = max(newest, f.Seq)
		if _, ok := kept[f.Seq]; ok || f.Seq == 0 {
			continue
		}
		var v frame
		if err := json.Unmarshal(f.JSON, &v); err != nil {
			return nil, fmt.Errorf("read frame %d: %w", f.Seq, err)
		}
		switch v.Kind {
		case "message":
			about[f.Seq] = v.ID
		case "delivery":
			about[f.Seq] = v.MessageID
		case "ask":
			kept[f.Seq] = chatNote{ask: v.ID, conversation: v.Conversation}
			continue
		default:
			kept[f.Seq] = chatNote{}
			continue
		}
		ids = append(ids, about[f.Seq])
	}
	if len(ids) > 0 {
		slices.Sort(ids)
		found, err := conversation.MessagesByID(ctx, o, slices.Compact(ids))
		if err != nil {
			return nil, err
		}
		for seq, id := range about {
			kept[seq] = chatNote{message: id, address: found[id].Address}
		}
	}
	out := make(map[int64]chatNote, len(frames))
	for _, f := range frames {
		out[f.Seq] = kept[f.Seq]
	}
	if len(kept) > chatNotesKept {
		for seq := range kept {
			if seq < newest-chatNotesKept/2 {
				delete(kept, seq)
			}
		}
	}
	return out, nil
}

// chatSeen tells the visitors of a conversation that staff has read it.
func (s *Server) chatSeen(org, conversation string) {
	s.hub.Now(org, map[string]string{"kind": "seen", "conversation_id": conversation})
}

// chatFrame is one message of a visitor's stream.
type chatFrame struct {
	Kind    string    `json:"kind"` // hello, message, typing, seen, beat, reload
	Cursor  string    `json:"cursor,omitempty"`
	Message *chatJSON `json:"message,omitempty"`
	Name    string    `json:"name,omitempty"`  // typing: who
	UpTo    string    `json:"up_to,omitempty"` // seen: the visitor's last message that staff has read
}

// chatLive is a visitor's stream, by WebSocket or server-sent events: what they may see, and nothing else.
func (s *Server) chatLive(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := s.must(r, v); err != nil {
		return err
	}
	after := int64(-1)
	cursor := r.URL.Query().Get("after")
	if h := r.Header.Get("Last-Event-ID"); h != "" {
		cursor = h
	}
	if cursor != "" {
		n, ok := s.openSeq(cursor, v.address)
		if !ok {
			return problem(http.StatusBadRequest, "bad_cursor", textIn(s.language(r), "Diesen Stand hat dieser Server nicht vergeben. Laden Sie den Verlauf neu.", "This cursor was not made by this server. Load the history again."))
		}
		after = n
	}
	leave, ok := s.chats.streams.enter(map[string]int{"visitor " + v.address: chatPerVisitor, "ip " + s.clientIP(r): chatPerIP})
	if !ok {
		return &limitError{10 * time.Second}
	}
	defer leave()
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		// Where the page comes from was checked with the channel's own list.
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled, InsecureSkipVerify: true, Subprotocols: []string{chatProtocol}})
		if err != nil {
			return nil //nolint:nilerr // Accept has answered
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(1024)
		ctx := c.CloseRead(r.Context())
		err = s.chatPump(ctx, v, after, func(_ string, b []byte) error {
			wctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return c.Write(wctx, websocket.MessageText, b)
		})
		if errors.Is(err, errNobody) {
			_ = c.Close(4401, "session ended")
			return nil
		}
		_ = c.Close(websocket.StatusGoingAway, "come again")
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{})
	write := func(format string, args ...any) error {
		_ = rc.SetWriteDeadline(time.Now().Add(15 * time.Second)) // not every writer has one
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return rc.Flush()
	}
	if err := write(": here\n\n"); err != nil {
		return nil //nolint:nilerr // gone
	}
	_ = s.chatPump(r.Context(), v, after, func(cursor string, b []byte) error {
		if cursor != "" {
			return write("id: %s\ndata: %s\n\n", cursor, b)
		}
		return write("data: %s\n\n", b)
	})
	return nil
}

var errNobody = errors.New("this visitor is nobody any more")

// stillThere checks again who listens: sessions end, secrets change, channels are switched off.
func (s *Server) stillThere(ctx context.Context, v *visitor) error {
	c, err := s.Accounts.Get(v.ch.Org, v.ch.ID)
	if errors.Is(err, account.ErrNotFound) || (err == nil && (!c.Enabled || c.Settings["identity_secret"] != v.ch.Settings["identity_secret"] || c.Settings["allowed_origins"] != v.ch.Settings["allowed_origins"])) {
		return errNobody // the widget comes again and is checked anew
	}
	if v.user {
		return nil
	}
	again := &visitor{ch: v.ch, token: v.token}
	if err := s.known(ctx, again); err != nil {
		return nil //nolint:nilerr // the database is away, which ends nobody's session
	}
	if again.address != v.address {
		return errNobody
	}
	return nil
}

// chatPump gives a visitor what concerns them until ctx ends.
func (s *Server) chatPump(ctx context.Context, v *visitor, after int64, send func(cursor string, frame []byte) error) error {
	o := s.DB.Org(v.ch.Org)
	say := func(f chatFrame) error {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		return send(f.Cursor, b)
	}
	head, err := o.FeedHead(ctx)
	if err != nil {
		return err
	}
	if after > head || (after >= 0 && head-after > chatCatchUp) {
		return say(chatFrame{Kind: "reload", Cursor: s.sealSeq(head, v.address)})
	}
	sub, err := s.hub.Subscribe(ctx, v.ch.Org, after)
	if err != nil {
		return err
	}
	defer sub.Close()
	if err := say(chatFrame{Kind: "hello", Cursor: s.sealSeq(max(0, sub.Cursor()), v.address)}); err != nil {
		return err
	}
	address, in := "", "" // the address once it is known, and the conversation that it is in now
	look := func() error {
		a, ok, err := s.addressOf(ctx, v)
		if err != nil || !ok {
			return err
		}
		address = a.ID
		in, err = conversation.LastWith(ctx, o, a.ID)
		return err
	}
	if err := look(); err != nil {
		return err
	}
	checked, spoke := time.Now(), time.Now()
	for {
		nctx, cancel := context.WithTimeout(ctx, chatBeat)
		frames, err := sub.Next(nctx)
		cancel()
		switch {
		case errors.Is(err, db.ErrFeedGone):
			head, err := o.FeedHead(ctx)
			if err != nil {
				return err
			}
			return say(chatFrame{Kind: "reload", Cursor: s.sealSeq(head, v.address)})
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		case err != nil:
			return err
		}
		if time.Since(checked) > chatRecheck {
			if err := s.stillThere(ctx, v); err != nil {
				return err
			}
			checked = time.Now()
		}
		if address == "" && len(frames) > 0 {
			if err := look(); err != nil {
				return err
			}
		}
		var ids, asks []string
		last := int64(0)
		if len(frames) > 0 && address != "" {
			notes, err := s.chats.notes.of(ctx, o, frames)
			if err != nil {
				return err
			}
			for _, f := range frames {
				last = max(last, f.Seq)
				if n := notes[f.Seq]; f.Seq > 0 && n.address == address && !slices.Contains(ids, n.message) {
					ids = append(ids, n.message)
				} else if n.ask != "" && n.conversation == in && in != "" && !slices.Contains(asks, n.ask) {
					asks = append(asks, n.ask)
				}
			}
			for _, a := range asks { // the messages that put it offer something else now, or nothing
				more, err := chat.Asking(ctx, o, address, a)
				if err != nil {
					return err
				}
				for _, id := range more {
					if !slices.Contains(ids, id) {
						ids = append(ids, id)
					}
				}
			}
		}
		if len(ids) > 0 {
			entries, err := s.chatEntries(ctx, v, ids)
			if err != nil {
				return err
			}
			for i, e := range entries {
				j := s.chatJSON(o.ID, e)
				f := chatFrame{Kind: "message", Message: &j}
				if i == len(entries)-1 { // only with the last one all have been given
					f.Cursor = s.sealSeq(last, v.address)
				}
				if err := say(f); err != nil {
					return err
				}
				spoke = time.Now()
				in = e.Conversation
			}
		}
		for _, f := range frames {
			if f.Seq > 0 || in == "" || !bytes.Contains(f.JSON, []byte(in)) {
				continue
			}
			if err := s.chatNow(ctx, o, v, address, in, f, say); err != nil {
				return err
			}
		}
		if time.Since(spoke) >= chatBeat { // also tells how far the visitor is, whatever else went on in the house
			if err := say(chatFrame{Kind: "beat", Cursor: s.sealSeq(max(0, sub.Cursor()), v.address)}); err != nil {
				return err
			}
			spoke = time.Now()
		}
	}
}

// chatNow hands on what is only about now: staff is writing, staff has read.
func (s *Server) chatNow(ctx context.Context, o db.Org, v *visitor, address, in string, f live.Frame, say func(chatFrame) error) error {
	var now struct {
		Kind         string `json:"kind"`
		Conversation string `json:"conversation_id"`
		State        string `json:"state"`
		By           string `json:"by"`
		Staff        struct {
			Name string `json:"name"`
		} `json:"staff"`
	}
	if err := json.Unmarshal(f.JSON, &now); err != nil || now.Conversation != in {
		return nil //nolint:nilerr // not for us
	}
	switch {
	case now.Kind == "presence" && now.State == "writing":
		return say(chatFrame{Kind: "typing", Name: now.Staff.Name})
	case now.Kind == "typing" && now.By != "":
		return say(chatFrame{Kind: "typing", Name: now.By})
	case now.Kind == "seen":
		list, err := conversation.Exchanged(ctx, o, address, "", 20)
		if err != nil {
			return err
		}
		seen, err := conversation.SeenUpTo(ctx, o, []string{in})
		if err != nil {
			return err
		}
		for _, m := range list {
			if m.In && m.Conversation == in && m.Pos <= seen[in] {
				return say(chatFrame{Kind: "seen", UpTo: m.ID})
			}
		}
	}
	return nil
}
