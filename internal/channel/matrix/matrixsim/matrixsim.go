// Package matrixsim is a small homeserver: one account of ours, customers with their own rooms, /sync, transaction ids,
// media, receipts, rate limits, and an application service's transactions. It is no kinder than a real one: wrong
// tokens, rooms that we are not in, unknown users and events over 64 KiB are refused with the codes of the
// Client-Server API.
package matrixsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Options say how the homeserver is run.
type Options struct {
	Now        func() time.Time
	PerSecond  float64 // messages of an account; 0 = 0.2 as Synapse's rc_message, negative = no limit
	Burst      float64 // 0 = 10
	UploadMax  int64   // 0 = 50 MiB
	AppService bool    // push transactions, and let the account act with as_token
	Encrypted  bool    // customers' new rooms are encrypted
}

const (
	domain  = "muster.example"
	account = "@service:" + domain
	token   = "syt_sim_access_token"
	asToken = "sim-as-token"
	hsToken = "sim-hs-token"
	maxSize = 65536
)

// Sim is the homeserver.
type Sim struct {
	channelsim.Base
	Hook   *channelsim.Hook // of the application service
	o      Options
	pos    int64
	rooms  map[string]*room
	people map[string]*Person
	names  map[string]string
	data   map[string]json.RawMessage // account data of ours
	txns   map[string]string          // transaction id → event id
	media  map[string]media
	mux    *http.ServeMux
	pushes int
}

type room struct {
	id        string
	events    []event // all, in order; those with a state key change the state
	members   map[string]string
	encrypted bool
	receipts  []edu
	typing    []edu
	invited   int64 // when we were
	joined    int64
}

type edu struct {
	pos     int64
	typ     string
	content any
}

type event struct {
	pos      int64
	Type     string  `json:"type"`
	ID       string  `json:"event_id"`
	Sender   string  `json:"sender"`
	Time     int64   `json:"origin_server_ts"`
	StateKey *string `json:"state_key,omitempty"`
	Redacts  string  `json:"redacts,omitempty"`
	Content  any     `json:"content"`
}

type media struct {
	mediaType string
	content   []byte
}

// New starts a homeserver.
func New(o Options) *Sim {
	s := &Sim{o: o, rooms: map[string]*room{}, people: map[string]*Person{}, names: map[string]string{account: "Musterhaus"}, data: map[string]json.RawMessage{},
		txns: map[string]string{}, media: map[string]media{}, mux: http.NewServeMux()}
	s.Init(o.Now)
	if s.o.PerSecond == 0 {
		s.o.PerSecond = 0.2
	}
	if s.o.Burst == 0 {
		s.o.Burst = 10
	}
	if s.o.UploadMax == 0 {
		s.o.UploadMax = 50 << 20
	}
	s.Hook = &channelsim.Hook{Base: &s.Base, Retry: []time.Duration{50 * time.Millisecond, time.Second}, Parallel: 1, Sign: func(target string, body []byte) (*http.Request, error) {
		s.Lock()
		s.pushes++
		txn := s.pushes
		s.Unlock()
		r, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/_matrix/app/v1/transactions/%d", target, txn), bytes.NewReader(body))
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+hsToken)
			r.Header.Set("Content-Type", "application/json")
		}
		return r, err
	}}
	v3 := "/_matrix/client/v3"
	for pattern, h := range map[string]func(*http.Request) channelsim.Response{
		"GET " + v3 + "/account/whoami":                          s.whoami,
		"POST " + v3 + "/createRoom":                             s.createRoom,
		"POST " + v3 + "/rooms/{room}/join":                      s.join,
		"POST " + v3 + "/rooms/{room}/leave":                     s.leave,
		"GET " + v3 + "/rooms/{room}/state":                      s.state,
		"GET " + v3 + "/rooms/{room}/messages":                   s.messages,
		"GET " + v3 + "/user/{user}/account_data/{type}":         s.getData,
		"PUT " + v3 + "/user/{user}/account_data/{type}":         s.putData,
		"GET " + v3 + "/profile/{user}":                          s.profile,
		"PUT " + v3 + "/rooms/{room}/send/{type}/{txn}":          s.send,
		"POST /_matrix/media/v3/upload":                          s.upload,
		"GET /_matrix/client/v1/media/download/{server}/{media}": s.download,
	} {
		op := map[string]string{"send": "message", "uplo": "media", "down": "media"}[name(pattern)]
		if op == "" {
			op = "other"
		}
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.Do(w, r, op, func() channelsim.Response {
				if refusal := s.authorise(r); refusal != nil {
					return *refusal
				}
				return h(r)
			})
		})
	}
	s.mux.HandleFunc("GET "+v3+"/sync", func(w http.ResponseWriter, r *http.Request) {
		s.Do(w, r, "sync", func() channelsim.Response {
			if refusal := s.authorise(r); refusal != nil {
				return *refusal
			}
			return s.sync(r)
		})
	})
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.Do(w, r, "other", func() channelsim.Response { return refuse(404, "M_UNRECOGNIZED", "Unrecognized request") })
	})
	return s
}

func name(pattern string) string {
	switch {
	case strings.Contains(pattern, "/send/"):
		return "send"
	case strings.Contains(pattern, "/upload"):
		return "uplo"
	case strings.Contains(pattern, "/download/"):
		return "down"
	}
	return ""
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "matrix" }

// ServeHTTP implements channelsim.Sim.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	if s.o.AppService {
		return channel.Settings{"homeserver": base, "user_id": account, "hs_token": hsToken, "as_token": asToken}
	}
	return channel.Settings{"homeserver": base, "user_id": account, "access_token": token}
}

// Connect implements channelsim.Sim.
func (s *Sim) Connect(hook string) { s.Hook.To(hook) }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

func refuse(status int, code, text string) channelsim.Response {
	b, _ := json.Marshal(map[string]string{"errcode": code, "error": text})
	return channelsim.Response{Status: status, Body: b}
}

func reply(v any) channelsim.Response {
	b, err := json.Marshal(v)
	if err != nil {
		return refuse(500, "M_UNKNOWN", err.Error())
	}
	return channelsim.Response{Body: b}
}

func (s *Sim) authorise(r *http.Request) *channelsim.Response {
	want := token
	if s.o.AppService {
		want = asToken
	}
	got := r.Header.Get("Authorization")
	if got == "" {
		e := refuse(401, "M_MISSING_TOKEN", "Missing access token")
		return &e
	}
	if got != "Bearer "+want {
		e := refuse(401, "M_UNKNOWN_TOKEN", "Unrecognised access token")
		return &e
	}
	if as := r.URL.Query().Get("user_id"); s.o.AppService && as != "" && as != account {
		e := refuse(403, "M_FORBIDDEN", "Application service cannot masquerade as this user")
		return &e
	}
	return nil
}

func (s *Sim) whoami(*http.Request) channelsim.Response {
	return reply(map[string]string{"user_id": account})
}

// add puts an event into a room and tells whoever listens. The caller holds the mutex.
func (s *Sim) add(r *room, e event) string {
	s.pos++
	e.pos, e.ID, e.Time = s.pos, fmt.Sprintf("$ev%d_%s", s.Serial(), "Yj8kQ"), s.Now().UnixMilli()
	r.events = append(r.events, e)
	if s.o.AppService && (r.members[account] == "join" || e.StateKey != nil && *e.StateKey == account) {
		m := toMap(e)
		m["room_id"] = r.id
		b, _ := json.Marshal(map[string]any{"events": []any{m}})
		s.Hook.Push(r.id, b)
	}
	s.Changed()
	return e.ID
}

func toMap(e event) map[string]any {
	b, _ := json.Marshal(e)
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	_ = d.Decode(&m)
	return m
}

func (s *Sim) member(r *room, by, user, membership string, direct bool) {
	r.members[user] = membership
	c := map[string]any{"membership": membership, "displayname": s.names[user]}
	if direct {
		c["is_direct"] = true
	}
	s.add(r, event{Type: "m.room.member", Sender: by, StateKey: &user, Content: c})
	if user == account {
		switch membership {
		case "invite":
			r.invited = s.pos
		case "join":
			r.joined = s.pos
		}
	}
}

func (s *Sim) newRoom(by string, encrypted bool) *room {
	r := &room{id: fmt.Sprintf("!room%d:%s", s.Serial(), domain), members: map[string]string{}}
	s.rooms[r.id] = r
	empty := ""
	s.add(r, event{Type: "m.room.create", Sender: by, StateKey: &empty, Content: map[string]any{"room_version": "10"}})
	s.member(r, by, by, "join", false)
	if encrypted {
		r.encrypted = true
		s.add(r, event{Type: "m.room.encryption", Sender: by, StateKey: &empty, Content: map[string]any{"algorithm": "m.megolm.v1.aes-sha2"}})
	}
	return r
}

func body(r *http.Request) (map[string]any, int, bool) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, 0, false
	}
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil {
		return nil, 0, false
	}
	return m, len(raw), true
}

func (s *Sim) createRoom(r *http.Request) channelsim.Response {
	m, _, ok := body(r)
	if !ok {
		return refuse(400, "M_NOT_JSON", "Content not JSON.")
	}
	s.Lock()
	defer s.Unlock()
	invite, _ := m["invite"].([]any)
	for _, u := range invite {
		if id, _ := u.(string); s.people[id] == nil {
			return refuse(404, "M_NOT_FOUND", "User does not exist")
		}
	}
	room := s.newRoom(account, false)
	s.member(room, account, account, "join", false)
	direct, _ := m["is_direct"].(bool)
	for _, u := range invite {
		id := u.(string)
		s.member(room, account, id, "invite", direct)
		if p := s.people[id]; !p.Blocked {
			s.member(room, id, id, "join", false)
			p.home = room
		}
	}
	return reply(map[string]string{"room_id": room.id})
}

// in gives the room if we are in it.
func (s *Sim) in(r *http.Request) (*room, *channelsim.Response) {
	room := s.rooms[r.PathValue("room")]
	if room == nil || room.members[account] != "join" {
		e := refuse(403, "M_FORBIDDEN", "User "+account+" not in room "+r.PathValue("room"))
		return nil, &e
	}
	return room, nil
}

func (s *Sim) join(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	room := s.rooms[r.PathValue("room")]
	if room == nil {
		return refuse(404, "M_NOT_FOUND", "No known servers")
	}
	if m := room.members[account]; m != "invite" && m != "join" {
		return refuse(403, "M_FORBIDDEN", "You are not invited to this room.")
	}
	if room.members[account] == "invite" {
		s.member(room, account, account, "join", false)
	}
	return reply(map[string]string{"room_id": room.id})
}

func (s *Sim) leave(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	room, e := s.in(r)
	if e != nil {
		return *e
	}
	s.member(room, account, account, "leave", false)
	return reply(struct{}{})
}

func (s *Sim) state(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	room, e := s.in(r)
	if e != nil {
		return *e
	}
	return reply(room.state())
}

func (r *room) state() []event {
	latest := map[string]event{}
	for _, e := range r.events {
		if e.StateKey != nil {
			latest[e.Type+" "+*e.StateKey] = e
		}
	}
	out := slices.Collect(maps.Values(latest))
	slices.SortFunc(out, func(a, b event) int { return int(a.pos - b.pos) })
	return out
}

func (s *Sim) getData(r *http.Request) channelsim.Response {
	if r.PathValue("user") != account {
		return refuse(403, "M_FORBIDDEN", "Cannot get account data for other users.")
	}
	s.Lock()
	defer s.Unlock()
	if d, ok := s.data[r.PathValue("type")]; ok {
		return channelsim.Response{Body: d}
	}
	return refuse(404, "M_NOT_FOUND", "Account data not found")
}

func (s *Sim) putData(r *http.Request) channelsim.Response {
	if r.PathValue("user") != account {
		return refuse(403, "M_FORBIDDEN", "Cannot add account data for other users.")
	}
	m, _, ok := body(r)
	if !ok {
		return refuse(400, "M_NOT_JSON", "Content not JSON.")
	}
	s.Lock()
	defer s.Unlock()
	s.data[r.PathValue("type")], _ = json.Marshal(m)
	return reply(struct{}{})
}

func (s *Sim) profile(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	if n, ok := s.names[r.PathValue("user")]; ok {
		return reply(map[string]string{"displayname": n})
	}
	return refuse(404, "M_NOT_FOUND", "Profile was not found")
}

func (s *Sim) send(r *http.Request) channelsim.Response {
	m, size, ok := body(r)
	if !ok {
		return refuse(400, "M_NOT_JSON", "Content not JSON.")
	}
	s.Lock()
	defer s.Unlock()
	room, e := s.in(r)
	if e != nil {
		return *e
	}
	key := r.PathValue("room") + " " + r.PathValue("txn")
	if id, ok := s.txns[key]; ok {
		return reply(map[string]string{"event_id": id})
	}
	if s.o.PerSecond > 0 {
		if wait := s.Take("account", s.o.PerSecond, s.o.Burst); wait > 0 {
			b, _ := json.Marshal(map[string]any{"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": wait.Milliseconds() + 1})
			return channelsim.Response{Status: 429, Body: b}
		}
	}
	if size > maxSize-1000 { // what the server adds counts, too
		return refuse(413, "M_TOO_LARGE", "event too large")
	}
	kind, _ := m["msgtype"].(string)
	text, _ := m["body"].(string)
	if r.PathValue("type") == "m.room.message" && (kind == "" || m["body"] == nil) {
		return refuse(400, "M_BAD_JSON", "msgtype and body are required")
	}
	id := s.add(room, event{Type: r.PathValue("type"), Sender: account, Content: m})
	s.txns[key] = id
	relates, _ := m["m.relates_to"].(map[string]any)
	in, _ := relates["m.in_reply_to"].(map[string]any)
	quoted, _ := in["event_id"].(string)
	for user, membership := range room.members {
		p := s.people[user]
		if p == nil || membership != "join" {
			continue
		}
		got := channelsim.Message{Ref: id, Text: text, ReplyTo: quoted, At: s.Now()}
		if uri, _ := m["url"].(string); uri != "" {
			f := s.media[strings.TrimPrefix(uri, "mxc://"+domain+"/")]
			name, _ := m["filename"].(string)
			if name == "" || name == text {
				name, got.Text = text, ""
			}
			got.Files = []channelsim.File{{Name: name, MediaType: f.mediaType, Content: f.content}}
		}
		p.Got = append(p.Got, got)
		s.Accept(channelsim.Accepted{Op: "message", To: user, Ref: id, Key: r.PathValue("txn"), Text: text})
	}
	return reply(map[string]string{"event_id": id})
}

func (s *Sim) upload(r *http.Request) channelsim.Response {
	b, err := io.ReadAll(io.LimitReader(r.Body, s.o.UploadMax+1))
	if err != nil {
		return refuse(400, "M_UNKNOWN", "Request aborted")
	}
	if int64(len(b)) > s.o.UploadMax {
		return refuse(413, "M_TOO_LARGE", "Upload request body is too large")
	}
	s.Lock()
	defer s.Unlock()
	return reply(map[string]string{"content_uri": s.store(r.Header.Get("Content-Type"), b)})
}

func (s *Sim) store(mediaType string, b []byte) string {
	id := fmt.Sprintf("media%d", s.Serial())
	s.media[id] = media{mediaType, b}
	return "mxc://" + domain + "/" + id
}

func (s *Sim) download(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	m, ok := s.media[r.PathValue("media")]
	if !ok || r.PathValue("server") != domain {
		return refuse(404, "M_NOT_FOUND", "Not found")
	}
	return channelsim.Response{Type: m.mediaType, Body: m.content}
}

type filter struct {
	Room struct {
		Timeline struct {
			Limit    int      `json:"limit"`
			NotTypes []string `json:"not_types"`
		} `json:"timeline"`
	} `json:"room"`
}

func position(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "s"), 10, 64)
	return n, err == nil && strings.HasPrefix(s, "s")
}

func (s *Sim) sync(r *http.Request) channelsim.Response {
	q := r.URL.Query()
	since := int64(0)
	if t := q.Get("since"); t != "" {
		var ok bool
		if since, ok = position(t); !ok {
			return refuse(400, "M_INVALID_PARAM", "Invalid since token")
		}
	}
	f := filter{}
	if raw := q.Get("filter"); raw != "" && json.Unmarshal([]byte(raw), &f) != nil {
		return refuse(400, "M_INVALID_PARAM", "Invalid filter JSON")
	}
	if f.Room.Timeline.Limit == 0 {
		f.Room.Timeline.Limit = 10
	}
	timeout, _ := strconv.Atoi(q.Get("timeout"))
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(timeout)*time.Millisecond)
	defer cancel()
	stop := context.AfterFunc(s.Ctx, cancel)
	defer stop()
	if q.Get("since") != "" && timeout > 0 { // a server on which nothing has happened yet is at 0
		s.Wait(ctx, func() bool {
			s.Lock()
			defer s.Unlock()
			return s.news(since)
		})
	}
	s.Lock()
	defer s.Unlock()
	return reply(s.answer(since, f))
}

// news tells whether we would see anything after since. The caller holds the mutex.
func (s *Sim) news(since int64) bool {
	for _, r := range s.rooms {
		switch r.members[account] {
		case "invite":
			if r.invited > since {
				return true
			}
		case "join", "leave", "ban":
			if n := len(r.events); n > 0 && r.events[n-1].pos > since {
				return true
			}
			for _, e := range slices.Concat(r.receipts, r.typing) {
				if e.pos > since {
					return true
				}
			}
		}
	}
	return false
}

func (s *Sim) answer(since int64, f filter) any {
	invite, join, leave := map[string]any{}, map[string]any{}, map[string]any{}
	for id, r := range s.rooms {
		if r.members[account] == "invite" {
			if r.invited > since {
				var stripped []map[string]any
				for _, e := range r.state() {
					stripped = append(stripped, map[string]any{"type": e.Type, "sender": e.Sender, "state_key": e.StateKey, "content": e.Content})
				}
				invite[id] = map[string]any{"invite_state": map[string]any{"events": stripped}}
			}
			continue
		}
		var timeline []event
		for _, e := range r.events {
			if e.pos > since {
				timeline = append(timeline, e)
			}
		}
		newly := r.joined > since
		if newly { // a server gives the last ones, however old
			timeline = slices.Clone(r.events)
		}
		if slices.Contains(f.Room.Timeline.NotTypes, "*") {
			timeline = nil
		}
		limited := newly
		if n := f.Room.Timeline.Limit; len(timeline) > n {
			timeline, limited = timeline[len(timeline)-n:], true
		}
		prev := "s0"
		if len(timeline) > 0 {
			prev = fmt.Sprintf("s%d", timeline[0].pos-1)
		}
		var ephemeral []map[string]any
		for _, e := range slices.Concat(r.receipts, r.typing) {
			if e.pos > since {
				ephemeral = append(ephemeral, map[string]any{"type": e.typ, "content": e.content})
			}
		}
		if len(timeline) == 0 && len(ephemeral) == 0 && !newly {
			continue
		}
		var state []event
		joined, invited := 0, 0
		for _, e := range r.state() {
			if e.Type == "m.room.member" {
				state = append(state, e)
			}
		}
		for _, m := range r.members {
			switch m {
			case "join":
				joined++
			case "invite":
				invited++
			}
		}
		one := map[string]any{
			"state": map[string]any{"events": state}, "ephemeral": map[string]any{"events": ephemeral},
			"timeline": map[string]any{"events": timeline, "limited": limited, "prev_batch": prev},
			"summary":  map[string]any{"m.joined_member_count": joined, "m.invited_member_count": invited},
		}
		switch r.members[account] {
		case "join":
			join[id] = one
		case "leave", "ban":
			if since > 0 {
				leave[id] = one
			}
		}
	}
	return map[string]any{"next_batch": fmt.Sprintf("s%d", s.pos), "rooms": map[string]any{"invite": invite, "join": join, "leave": leave}}
}

func (s *Sim) messages(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	room, e := s.in(r)
	if e != nil {
		return *e
	}
	q := r.URL.Query()
	from, ok := position(q.Get("from"))
	to, _ := position(q.Get("to"))
	if q.Get("from") == "" {
		from, ok = s.pos, true
	}
	if !ok || q.Get("dir") != "b" {
		return refuse(400, "M_INVALID_PARAM", "dir=b is required, and from has to be a token")
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	if limit <= 0 {
		limit = 10
	}
	chunk := []event{}
	end := ""
	for _, e := range slices.Backward(room.events) {
		if e.pos > from || e.pos <= to {
			continue
		}
		if len(chunk) == limit {
			end = fmt.Sprintf("s%d", e.pos)
			break
		}
		chunk = append(chunk, e)
	}
	m := map[string]any{"chunk": chunk, "start": q.Get("from")}
	if end != "" {
		m["end"] = end
	}
	return reply(m)
}

// Person is a customer with a Matrix client.
type Person struct {
	channelsim.Chat
	s    *Sim
	id   string
	home *room
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person { return s.Customer(name) }

// Customer is the person of that name with what only Matrix has.
func (s *Sim) Customer(name string) *Person {
	s.Lock()
	defer s.Unlock()
	local := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name))
	id := "@" + local + ":" + domain
	if p := s.people[id]; p != nil {
		return p
	}
	p := &Person{s: s, id: id}
	p.Name = name
	s.people[id], s.names[id] = p, name
	return p
}

// Address implements channelsim.Person.
func (p *Person) Address() string { return p.id }

// room is where the customer writes; it is made, and we are invited, at the first time. The caller holds the mutex.
func (p *Person) room() (*room, error) {
	if p.Blocked {
		return nil, channelsim.ErrBlocked
	}
	if p.home == nil {
		p.home = p.s.newRoom(p.id, p.s.o.Encrypted)
		p.s.member(p.home, p.id, account, "invite", true)
	}
	return p.home, nil
}

// Post puts an event of that type into the customer's room.
func (p *Person) Post(kind string, content map[string]any) (string, error) {
	p.s.Lock()
	defer p.s.Unlock()
	r, err := p.room()
	if err != nil {
		return "", err
	}
	return p.s.add(r, event{Type: kind, Sender: p.id, Content: content}), nil
}

// Open implements channelsim.Person.
func (p *Person) Open(string) error {
	p.s.Lock()
	defer p.s.Unlock()
	_, err := p.room()
	return err
}

// Write implements channelsim.Person.
func (p *Person) Write(text, replyTo string) (string, error) {
	p.s.Lock()
	secret := p.s.o.Encrypted && (p.home == nil || p.home.encrypted)
	p.s.Unlock()
	if secret {
		return p.Post("m.room.encrypted", map[string]any{"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEn", "session_id": "x"})
	}
	c := map[string]any{"msgtype": "m.text", "body": text}
	if replyTo != "" { // with the fallback that older clients add
		c["body"] = "> <" + account + "> Zitat\n\n" + text
		c["m.relates_to"] = map[string]any{"m.in_reply_to": map[string]any{"event_id": replyTo}}
	}
	return p.Post("m.room.message", c)
}

// Send implements channelsim.Person.
func (p *Person) Send(f channelsim.File, caption string) (string, error) {
	p.s.Lock()
	uri := p.s.store(f.MediaType, f.Content)
	p.s.Unlock()
	kind := "m.file"
	if strings.HasPrefix(f.MediaType, "image/") {
		kind = "m.image"
	}
	c := map[string]any{"msgtype": kind, "body": f.Name, "filename": f.Name, "url": uri, "info": map[string]any{"mimetype": f.MediaType, "size": len(f.Content)}}
	if caption != "" {
		c["body"] = caption
	}
	return p.Post("m.room.message", c)
}

// Press implements channelsim.Person.
func (p *Person) Press(string, string) error { return channelsim.ErrCannot }

// React implements channelsim.Person.
func (p *Person) React(ref, emoji string) error {
	if emoji == "" {
		return channelsim.ErrCannot
	}
	_, err := p.Post("m.reaction", map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": ref, "key": emoji}})
	return err
}

// Edit implements channelsim.Person.
func (p *Person) Edit(ref, text string) error {
	_, err := p.Post("m.room.message", map[string]any{"msgtype": "m.text", "body": " * " + text, "m.new_content": map[string]any{"msgtype": "m.text", "body": text},
		"m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": ref}})
	return err
}

// Read implements channelsim.Person.
func (p *Person) Read() error {
	p.s.Lock()
	defer p.s.Unlock()
	r, err := p.room()
	if err != nil {
		return err
	}
	if len(p.Got) == 0 {
		return channelsim.ErrNothing
	}
	return p.edu(r, &r.receipts, "m.receipt", map[string]any{p.Got[len(p.Got)-1].Ref: map[string]any{"m.read": map[string]any{p.id: map[string]any{"ts": p.s.Now().UnixMilli()}}}})
}

// Type shows that the customer types.
func (p *Person) Type() error {
	p.s.Lock()
	defer p.s.Unlock()
	r, err := p.room()
	if err != nil {
		return err
	}
	return p.edu(r, &r.typing, "m.typing", map[string]any{"user_ids": []string{p.id}})
}

func (p *Person) edu(r *room, list *[]edu, kind string, content any) error {
	p.s.pos++
	*list = append((*list)[:0], edu{p.s.pos, kind, content})
	p.s.Changed()
	return nil
}

// Block implements channelsim.Person: Matrix has no blocking that the other side sees; the customer leaves the room and
// takes no invitation.
func (p *Person) Block(blocked bool) error {
	p.s.Lock()
	defer p.s.Unlock()
	p.Blocked = blocked
	if blocked && p.home != nil {
		p.s.member(p.home, p.id, p.id, "leave", false)
	}
	if !blocked {
		p.home = nil
	}
	return nil
}

// Invite brings somebody else into the customer's room.
func (p *Person) Invite(other *Person) error {
	p.s.Lock()
	defer p.s.Unlock()
	r, err := p.room()
	if err != nil {
		return err
	}
	p.s.member(r, p.id, other.id, "invite", false)
	p.s.member(r, other.id, other.id, "join", false)
	return nil
}

// Member says what our account is in the customer's room: "join", "leave" …
func (p *Person) Member() string {
	p.s.Lock()
	defer p.s.Unlock()
	if p.home == nil {
		return ""
	}
	return p.home.members[account]
}

// Inbox implements channelsim.Person.
func (p *Person) Inbox() []channelsim.Message {
	p.s.Lock()
	defer p.s.Unlock()
	return slices.Clone(p.Got)
}

var (
	_ channelsim.Sim    = (*Sim)(nil)
	_ channelsim.Person = (*Person)(nil)
)
