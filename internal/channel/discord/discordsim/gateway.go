package discordsim

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Intents that the simulator knows.
const (
	directMessages  = 1 << 12
	directReactions = 1 << 13
	directTyping    = 1 << 14

	allIntents        = 1<<22 - 1 | 1<<24 | 1<<25
	privilegedIntents = 1<<1 | 1<<8 | 1<<15
)

// session is a Gateway session; it outlives its connections.
type session struct {
	id      string
	intents int
	seq     int64
	log     []dispatched
	conn    *conn
}

type dispatched struct {
	seq  int64
	body []byte
}

// conn is one WebSocket.
type conn struct {
	ws   *websocket.Conn
	out  chan []byte
	mute bool // acknowledges nothing and says nothing: a zombie
}

func (c *conn) write(v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	c.push(raw)
}

func (c *conn) push(raw []byte) {
	if c.mute {
		return
	}
	select {
	case c.out <- raw:
	default:
		_ = c.ws.CloseNow() // too slow
	}
}

// dispatch sends an event to the session, if there is one and it asked for such. The caller holds the mutex.
func (s *Sim) dispatch(intent int, kind string, d any) {
	x := s.session
	if x == nil || intent != 0 && x.intents&intent == 0 {
		return
	}
	x.seq++
	raw, err := json.Marshal(object{"op": 0, "t": kind, "s": x.seq, "d": d})
	if err != nil {
		panic(err)
	}
	x.log = append(x.log, dispatched{x.seq, raw})
	if x.conn != nil {
		x.conn.push(raw)
	}
	s.Changed()
}

// Online waits until the bot is connected for the first time: nobody finds it before. False if that takes too long.
func (s *Sim) Online(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(s.Ctx, patience)
	defer cancel()
	return s.Wait(ctx, func() bool {
		s.Lock()
		defer s.Unlock()
		return s.seen
	})
}

// Connected reports whether the bot is connected now, and how many sessions it has started.
func (s *Sim) Connected() (now bool, sessions int) {
	s.Lock()
	defer s.Unlock()
	return s.session != nil && s.session.conn != nil, s.options.Starts - s.starts
}

// current gives the connection, nil if there is none. The caller holds the mutex.
func (s *Sim) current() *conn {
	if s.session == nil {
		return nil
	}
	return s.session.conn
}

// Cut drops the connection without a word; the session stays.
func (s *Sim) Cut() {
	s.Lock()
	defer s.Unlock()
	if c := s.current(); c != nil {
		s.session.conn = nil
		s.Work.Go(func() { _ = c.ws.CloseNow() })
	}
}

// CloseWith closes the connection with a code, such as 4009.
func (s *Sim) CloseWith(code int) {
	s.Lock()
	defer s.Unlock()
	if c := s.current(); c != nil {
		s.session.conn = nil
		s.Work.Go(func() { _ = c.ws.Close(websocket.StatusCode(code), "told to") })
	}
}

// Reconnect asks the bot to connect again and resume.
func (s *Sim) Reconnect() {
	s.Lock()
	defer s.Unlock()
	if c := s.current(); c != nil {
		c.write(object{"op": 7, "d": nil})
		s.session.conn = nil
	}
}

// Invalidate ends the session: what happens until the next one is in no log.
func (s *Sim) Invalidate() {
	s.Lock()
	defer s.Unlock()
	if c := s.current(); c != nil {
		c.write(object{"op": 9, "d": false})
	}
	s.session = nil
	s.Changed()
}

// Mute lets the connection stand without a word, not even to heartbeats.
func (s *Sim) Mute() {
	s.Lock()
	defer s.Unlock()
	if c := s.current(); c != nil {
		c.mute = true
	}
}

// Beat asks for a heartbeat at once.
func (s *Sim) Beat() {
	s.Lock()
	defer s.Unlock()
	if c := s.current(); c != nil {
		c.write(object{"op": 1, "d": nil})
	}
}

// Raw sends a dispatch with any content, as new kinds of events come.
func (s *Sim) Raw(kind string, d any) {
	s.Lock()
	defer s.Unlock()
	s.dispatch(0, kind, d)
}

func (s *Sim) serveGateway(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	shut := func(code int, why string) { _ = ws.Close(websocket.StatusCode(code), why) }
	if r.URL.Query().Get("v") != "10" || r.URL.Query().Get("encoding") != "json" {
		shut(4012, "Invalid API version")
		return
	}
	ctx, cancel := context.WithCancel(s.Ctx)
	defer cancel()
	c := &conn{ws: ws, out: make(chan []byte, 8192)}
	s.Work.Go(func() {
		for {
			select {
			case raw := <-c.out:
				if ws.Write(ctx, websocket.MessageText, raw) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	defer func() {
		s.Lock()
		defer s.Unlock()
		if s.session != nil && s.session.conn == c {
			s.session.conn = nil
			s.Changed()
		}
	}()
	s.Lock()
	c.write(object{"op": 10, "d": object{"heartbeat_interval": s.options.Heartbeat.Milliseconds()}})
	s.Unlock()
	known := false // identified or resumed
	for {
		reading, stop := context.WithTimeout(ctx, 2*s.options.Heartbeat) // nothing for that long: no heartbeat either
		_, raw, err := ws.Read(reading)
		late := reading.Err() != nil && ctx.Err() == nil
		stop()
		if late {
			shut(4000, "no heartbeat")
			return
		}
		if err != nil {
			if code := websocket.CloseStatus(err); code == websocket.StatusNormalClosure || code == websocket.StatusGoingAway {
				s.Lock()
				if s.session != nil && s.session.conn == c {
					s.session = nil // "your session will be invalidated"
				}
				s.Unlock()
			}
			return
		}
		var f struct {
			Op int             `json:"op"`
			D  json.RawMessage `json:"d"`
		}
		if len(raw) > 4096 || json.Unmarshal(raw, &f) != nil {
			shut(4002, "Decode error")
			return
		}
		s.Lock()
		code, why := s.payload(c, f.Op, f.D, &known)
		s.Unlock()
		if code != 0 {
			shut(code, why)
			return
		}
	}
}

// payload handles what the bot sends. The caller holds the mutex.
func (s *Sim) payload(c *conn, op int, d json.RawMessage, known *bool) (code int, why string) {
	if s.Take("gateway", 2, 120) > 0 {
		return 4008, "Rate limited"
	}
	switch op {
	case 1:
		c.write(object{"op": 11})
	case 2:
		var i struct {
			Token      string            `json:"token"`
			Intents    int               `json:"intents"`
			Properties map[string]string `json:"properties"`
			Shard      []int             `json:"shard"`
		}
		switch {
		case *known:
			return 4005, "Already authenticated"
		case json.Unmarshal(d, &i) != nil || i.Properties["os"] == "" || i.Properties["browser"] == "" || i.Properties["device"] == "":
			return 4002, "Decode error"
		case i.Token != s.token:
			return 4004, "Authentication failed"
		case i.Intents&^allIntents != 0:
			return 4013, "Invalid intent(s)"
		case i.Intents&privilegedIntents != 0:
			return 4014, "Disallowed intent(s)"
		}
		if s.options.Identify > 0 && s.Take("identify", 1/s.options.Identify.Seconds(), 1) > 0 {
			c.write(object{"op": 9, "d": false})
			return 0, ""
		}
		if s.starts--; s.starts < 0 {
			s.token = "reset-" + random(16)
			return 4004, "Authentication failed"
		}
		*known = true
		s.session = &session{id: random(16), intents: i.Intents, conn: c}
		s.seen = true
		s.dispatch(0, "READY", object{"v": 10, "user": s.bot(), "guilds": []any{}, "session_id": s.session.id,
			"resume_gateway_url": "ws" + s.base[len("http"):] + "/gateway", "application": object{"id": s.appID, "flags": 0}})
	case 6:
		var i struct {
			Token   string `json:"token"`
			Session string `json:"session_id"`
			Seq     int64  `json:"seq"`
		}
		switch {
		case *known:
			return 4005, "Already authenticated"
		case json.Unmarshal(d, &i) != nil:
			return 4002, "Decode error"
		case i.Token != s.token:
			return 4004, "Authentication failed"
		case s.session == nil || s.session.id != i.Session:
			c.write(object{"op": 9, "d": false})
			return 0, ""
		case i.Seq > s.session.seq:
			return 4007, "Invalid seq"
		}
		*known = true
		s.session.conn = c
		for _, e := range s.session.log {
			if e.seq > i.Seq {
				c.push(e.body)
			}
		}
		s.dispatch(0, "RESUMED", object{})
	default:
		if !*known {
			return 4003, "Not authenticated"
		}
		return 4001, "Unknown opcode"
	}
	return 0, ""
}
