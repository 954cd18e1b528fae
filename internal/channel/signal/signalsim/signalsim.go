// Package signalsim is a simulated signal-cli daemon (JSON-RPC over TCP, --receive-mode=manual) with Signal behind it. It
// hands a message out once: nobody acknowledges, and what was written to a connection is forgotten. Messages wait at
// Signal as long as nobody is subscribed.
package signalsim

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

const (
	number   = "+493022334455"
	ownACI   = "0c3b4f3e-1111-4222-8333-0123456789ab"
	longText = 2000 // bytes of a message; what is longer goes as a text attachment
	fileMax  = 100 << 20
)

// Options change how strict the simulator is.
type Options struct {
	Now func() time.Time
	// PerSecond is how fast one recipient may be written to, with a burst of 60; 0 = 1, negative = no limit.
	PerSecond float64
	// OnStart is --receive-mode=on-start: every connection gets everything, and without one it is lost.
	OnStart bool
}

// Sim is the daemon with one account.
type Sim struct {
	channelsim.Base
	o        Options
	listener net.Listener
	people   map[string]*person // by name
	files    map[string][]byte
	clients  map[*client]bool
	waiting  []json.RawMessage // at Signal
	lost     int
	stamp    int64
	subs     int
}

// New starts a daemon on a free port of the loopback interface.
func New(o Options) *Sim {
	s := &Sim{o: o, people: map[string]*person{}, files: map[string][]byte{}, clients: map[*client]bool{}}
	s.Init(o.Now)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s.listener = l
	s.Work.Go(s.accept)
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "signal" }

// ServeHTTP implements channelsim.Sim: the daemon runs without --http.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(string) channel.Settings {
	return channel.Settings{"account": number, "rpc_address": s.listener.Addr().String()}
}

// Connect implements channelsim.Sim: there is no webhook.
func (s *Sim) Connect(string) {}

// Close implements channelsim.Sim.
func (s *Sim) Close() {
	_ = s.listener.Close()
	s.Drop()
	s.Stop()
}

// Drop cuts all connections, as a daemon does that is restarted.
func (s *Sim) Drop() {
	s.Lock()
	defer s.Unlock()
	for c := range s.clients {
		c.subscribed = false
		delete(s.clients, c)
		_ = c.Close()
	}
}

// Waiting is how many messages wait at Signal, and Lost how many went to nobody (OnStart).
func (s *Sim) Waiting() (waiting, lost int) {
	s.Lock()
	defer s.Unlock()
	return len(s.waiting), s.lost
}

// Push sends an envelope of the test's own, as if Signal had it.
func (s *Sim) Push(envelope string) {
	s.Lock()
	defer s.Unlock()
	s.push(json.RawMessage(envelope))
}

func (s *Sim) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &client{Conn: conn, sim: s}
		s.Lock()
		if s.Ctx.Err() != nil {
			s.Unlock()
			_ = conn.Close()
			return
		}
		s.clients[c] = true
		s.deliver()
		s.Unlock()
		s.Work.Go(c.serve)
	}
}

// push queues an envelope. The caller holds the mutex.
func (s *Sim) push(envelope json.RawMessage) {
	s.waiting = append(s.waiting, envelope)
	s.Changed()
	s.deliver()
}

// deliver hands out what waits. The caller holds the mutex.
func (s *Sim) deliver() {
	var to []*client
	for c := range s.clients {
		if c.subscribed || s.o.OnStart {
			to = append(to, c)
		}
	}
	if len(to) == 0 && !s.o.OnStart {
		return
	}
	for _, e := range s.waiting {
		if len(to) == 0 {
			s.lost++
		}
		for _, c := range to {
			result := map[string]any{"account": number, "envelope": e}
			params := any(map[string]any{"subscription": c.subscription, "result": result})
			if !c.subscribed {
				params = result
			}
			c.queue(map[string]any{"jsonrpc": "2.0", "method": "receive", "params": params})
		}
	}
	s.waiting = nil
}

// client is a connection to the daemon.
type client struct {
	net.Conn
	sim          *Sim
	subscribed   bool
	subscription int

	mu  sync.Mutex
	out [][]byte
	on  bool
}

// queue writes without waiting for the reader.
func (c *client) queue(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, append(b, '\n'))
	if !c.on {
		c.on = true
		c.sim.Work.Go(c.flush)
	}
}

func (c *client) flush() {
	for {
		c.mu.Lock()
		if len(c.out) == 0 {
			c.on = false
			c.mu.Unlock()
			return
		}
		b := c.out[0]
		c.out = c.out[1:]
		c.mu.Unlock()
		_, _ = c.Write(b)
	}
}

type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

type failure struct {
	code    int
	message string
	data    any
}

func (c *client) serve() {
	defer func() {
		c.sim.Lock()
		delete(c.sim.clients, c)
		c.sim.Unlock()
		_ = c.Close()
	}()
	in := bufio.NewReaderSize(c.Conn, 1<<16)
	for {
		b, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(b, &r); err != nil {
			c.answer(nil, nil, &failure{-32700, "Unable to parse json", nil})
			continue
		}
		if r.Version != "2.0" || r.Method == "" {
			c.answer(r.ID, nil, &failure{-32600, "method field must be set", nil})
			continue
		}
		c.sim.Work.Go(func() { c.handle(r) }) // the daemon answers requests side by side
	}
}

// answered means that the answer is on its way.
var answered = &failure{}

func (c *client) answer(id json.RawMessage, result any, f *failure) {
	if f == answered {
		return
	}
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	m := map[string]any{"jsonrpc": "2.0", "id": id}
	if f != nil {
		m["error"] = map[string]any{"code": f.code, "message": f.message, "data": f.data}
	} else {
		m["result"] = result
	}
	c.queue(m)
}

// handle answers one request, unless it was told to fail.
func (c *client) handle(r request) {
	op := map[string]string{"send": "message", "getAttachment": "media"}[r.Method]
	if op == "" {
		op = r.Method
	}
	if c.sim.Latency > 0 {
		time.Sleep(c.sim.Latency)
	}
	f := c.sim.Fault(op)
	if f == nil {
		result, fail := c.act(r)
		c.answer(r.ID, result, fail)
		return
	}
	if f.Accept {
		c.act(r)
	}
	switch {
	case f.Hang:
	case f.Cut:
		_ = c.Close()
	case f.Status != 0:
		c.answer(r.ID, nil, &failure{-f.Status, f.Body, nil})
	default:
		time.Sleep(f.Delay)
		result, fail := c.act(r)
		c.answer(r.ID, result, fail)
	}
}

func (c *client) act(r request) (any, *failure) {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	var p struct {
		Account        string          `json:"account"`
		Recipient      []string        `json:"recipient"`
		Message        string          `json:"message"`
		Attachments    []string        `json:"attachments"`
		QuoteTimestamp *int64          `json:"quoteTimestamp"`
		QuoteAuthor    string          `json:"quoteAuthor"`
		ID             string          `json:"id"`
		Subscription   json.RawMessage `json:"subscription"`
	}
	if len(r.Params) > 0 {
		if err := json.Unmarshal(r.Params, &p); err != nil {
			return nil, &failure{-32600, err.Error(), nil}
		}
	}
	if p.Account != number && p.Account != ownACI {
		if p.Account == "" {
			return nil, &failure{-32602, "Method requires valid account parameter", nil}
		}
		return nil, &failure{-32602, "Specified account does not exist", nil}
	}
	switch r.Method {
	case "version":
		return map[string]any{"version": "0.13.18"}, nil
	case "listDevices":
		return []any{map[string]any{"id": 1, "name": nil}}, nil
	case "subscribeReceive":
		c.subscribed = true
		c.subscription = s.subs
		s.subs++
		// The answer comes before the first message.
		c.answer(r.ID, c.subscription, nil)
		s.deliver()
		return nil, answered
	case "unsubscribeReceive":
		if string(p.Subscription) != strconv.Itoa(c.subscription) || !c.subscribed {
			return nil, &failure{-1, "Unknown subscription id", nil}
		}
		c.subscribed = false
		return map[string]any{}, nil
	case "getAttachment":
		b, ok := s.files[p.ID]
		if !ok {
			return nil, &failure{-32603, "An error occurred reading attachment: " + p.ID, nil}
		}
		return map[string]any{"data": base64.StdEncoding.EncodeToString(b)}, nil
	case "send":
		return s.send(p.Recipient, p.Message, p.Attachments, p.QuoteTimestamp, p.QuoteAuthor)
	}
	return nil, &failure{-32601, "Method not implemented", nil}
}

var dataURI = regexp.MustCompile(`^data:([^;,]+)(?:;filename=([^;,]+))?;base64,`)

// send is the daemon's "send". The caller holds the mutex.
func (s *Sim) send(recipients []string, text string, attachments []string, quote *int64, author string) (any, *failure) {
	if len(recipients) != 1 {
		return nil, &failure{-1, "No recipients given", nil}
	}
	if text == "" && len(attachments) == 0 {
		return nil, &failure{-1, "Sending empty message is not allowed, either a message, attachment or sticker must be given.", nil}
	}
	if quote != nil && author == "" {
		return nil, &failure{-1, "Invalid phone number", nil}
	}
	var files []channelsim.File
	for _, a := range attachments {
		m := dataURI.FindStringSubmatch(a)
		if m == nil { // a path, on a machine that is not ours
			return nil, &failure{-32603, "Failed to send message: " + a + ": File not found (AttachmentInvalidException)", nil}
		}
		b, err := base64.StdEncoding.DecodeString(a[len(m[0]):])
		if err != nil || len(b) > fileMax {
			return nil, &failure{-32603, "Failed to send message: data URI (AttachmentInvalidException)", nil}
		}
		files = append(files, channelsim.File{Name: m[2], MediaType: m[1], Content: b})
	}
	to := recipients[0]
	var p *person
	for _, x := range s.people {
		if x.number == to || x.aci == to {
			p = x
		}
	}
	s.stamp = max(s.stamp+1, s.Now().UnixMilli())
	stamp := s.stamp
	result := func(kind string, more map[string]any) any {
		r := map[string]any{"recipientAddress": map[string]any{"uuid": nil, "number": to, "username": nil}, "type": kind}
		if p != nil {
			r["recipientAddress"] = map[string]any{"uuid": p.aci, "number": p.number, "username": nil}
		}
		for k, v := range more {
			r[k] = v
		}
		return map[string]any{"timestamp": stamp, "results": []any{r}}
	}
	if p == nil {
		return nil, &failure{-1, "Failed to send message", map[string]any{"response": result("UNREGISTERED_FAILURE", nil)}}
	}
	rate := s.o.PerSecond
	if rate == 0 {
		rate = 1
	}
	if rate > 0 {
		if wait := s.Take("to "+to, rate, 60); wait > 0 {
			return nil, &failure{-5, "Failed to send message due to rate limiting", map[string]any{
				"response": result("RATE_LIMIT_FAILURE", map[string]any{"retryAfterSeconds": int(wait/time.Second) + 1})}}
		}
	}
	m := channelsim.Message{Ref: "to:" + p.aci + ":" + strconv.FormatInt(stamp, 10), Text: text, Files: files, At: s.Now()}
	if quote != nil {
		t := strconv.FormatInt(*quote, 10)
		switch author {
		case number, ownACI:
			m.ReplyTo = "to:" + p.aci + ":" + t
		case p.number, p.aci:
			m.ReplyTo = p.aci + ":" + t
		}
	}
	// What is longer than a message can carry arrives as a text attachment, which the app shows as one message.
	if len(text) > longText {
		s.files["longtext"] = []byte(text)
	}
	s.Accept(channelsim.Accepted{Op: "message", To: p.Address(), Ref: m.Ref, Text: text})
	p.Got = append(p.Got, m)
	s.Changed()
	p.receipt("isDelivery", stamp)
	return result("SUCCESS", nil), nil
}

// person is a customer with Signal on their phone.
type person struct {
	channelsim.Chat
	sim         *Sim
	number, aci string
	read        int
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	if p := s.people[name]; p != nil {
		return p
	}
	n := len(s.people) + 1
	p := &person{Chat: channelsim.Chat{Name: name}, sim: s, number: fmt.Sprintf("+49151%07d", 2340000+n),
		aci: fmt.Sprintf("9b3c5d7e-0000-4000-8000-%012d", n)}
	if strings.Contains(name, "anonym") { // hides their number
		p.number = ""
	}
	s.people[name] = p
	return p
}

// Address implements channelsim.Person.
func (p *person) Address() string {
	if p.number == "" {
		return p.aci
	}
	return p.number
}

// now is a new timestamp. The caller holds the mutex.
func (p *person) now() int64 {
	p.sim.stamp = max(p.sim.stamp+1, p.sim.Now().UnixMilli())
	return p.sim.stamp
}

// envelope sends something to the company. The caller holds the mutex.
func (p *person) envelope(stamp int64, field string, content any) {
	var num any
	if p.number != "" {
		num = p.number
	}
	b, err := json.Marshal(map[string]any{
		"source": p.Address(), "sourceNumber": num, "sourceUuid": p.aci, "sourceName": p.Name, "sourceDevice": 1,
		"timestamp": stamp, "serverReceivedTimestamp": stamp + 1, "serverDeliveredTimestamp": stamp + 2, field: content,
	})
	if err != nil {
		panic(err)
	}
	p.sim.push(b)
}

func (p *person) ref(stamp int64) string { return p.aci + ":" + strconv.FormatInt(stamp, 10) }

// receipt reports messages of the company's as received or read. The caller holds the mutex.
func (p *person) receipt(kind string, stamps ...int64) {
	now := p.now()
	r := map[string]any{"when": now, "isDelivery": false, "isRead": false, "isViewed": false, "timestamps": stamps}
	r[kind] = true
	p.envelope(now, "receiptMessage", r)
}

// split takes a Ref apart.
func (p *person) split(ref string) (author string, stamp int64, err error) {
	i := strings.LastIndexByte(ref, ':')
	if i < 0 {
		return "", 0, channelsim.ErrNothing
	}
	stamp, err = strconv.ParseInt(ref[i+1:], 10, 64)
	if err != nil {
		return "", 0, channelsim.ErrNothing
	}
	if strings.HasPrefix(ref, "to:") {
		return number, stamp, nil
	}
	return p.Address(), stamp, nil
}

func (p *person) data(stamp int64, text any) map[string]any {
	return map[string]any{"timestamp": stamp, "message": text, "expiresInSeconds": 0, "viewOnce": false}
}

func authorOf(prefix, address string) map[string]any {
	m := map[string]any{prefix: address, prefix + "Number": address, prefix + "Uuid": nil}
	if address == number {
		m[prefix+"Uuid"] = ownACI
	}
	return m
}

// Open implements channelsim.Person: a link opens the chat and carries nothing.
func (p *person) Open(token string) error {
	if token != "" {
		return channelsim.ErrCannot
	}
	return nil
}

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) {
	p.sim.Lock()
	defer p.sim.Unlock()
	t := p.now()
	d := p.data(t, text)
	if replyTo != "" {
		author, stamp, err := p.split(replyTo)
		if err != nil {
			return "", err
		}
		q := authorOf("author", author)
		q["id"], q["text"], q["attachments"] = stamp, "…", []any{}
		d["quote"] = q
	}
	p.envelope(t, "dataMessage", d)
	return p.ref(t), nil
}

// Send implements channelsim.Person.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	p.sim.Lock()
	defer p.sim.Unlock()
	t := p.now()
	id := fmt.Sprintf("Xy%dQ", p.sim.Serial())
	p.sim.files[id] = slices.Clone(f.Content)
	var text any
	if caption != "" {
		text = caption
	}
	d := p.data(t, text)
	d["attachments"] = []any{map[string]any{"contentType": f.MediaType, "filename": f.Name, "id": id, "size": len(f.Content),
		"width": nil, "height": nil, "caption": nil, "uploadTimestamp": t}}
	p.envelope(t, "dataMessage", d)
	return p.ref(t), nil
}

// Press implements channelsim.Person: Signal has no buttons.
func (p *person) Press(string, string) error { return channelsim.ErrCannot }

// React implements channelsim.Person.
func (p *person) React(ref, emoji string) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	author, stamp, err := p.split(ref)
	if err != nil {
		return err
	}
	t := p.now()
	d := p.data(t, nil)
	r := authorOf("targetAuthor", author)
	r["emoji"], r["targetSentTimestamp"], r["isRemove"] = emoji, stamp, emoji == ""
	if emoji == "" {
		r["emoji"] = "👍"
	}
	d["reaction"] = r
	p.envelope(t, "dataMessage", d)
	return nil
}

// Edit implements channelsim.Person.
func (p *person) Edit(ref, text string) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	author, stamp, err := p.split(ref)
	if err != nil || author == number {
		return channelsim.ErrNothing
	}
	t := p.now()
	p.envelope(t, "editMessage", map[string]any{"targetSentTimestamp": stamp, "dataMessage": p.data(t, text)})
	return nil
}

// Read implements channelsim.Person.
func (p *person) Read() error {
	p.sim.Lock()
	defer p.sim.Unlock()
	var stamps []int64
	for _, m := range p.Got[p.read:] {
		_, t, _ := p.split(m.Ref)
		stamps = append(stamps, t)
	}
	p.read = len(p.Got)
	if len(stamps) > 0 {
		p.receipt("isRead", stamps...)
	}
	return nil
}

// Block implements channelsim.Person. Signal tells nobody that they are blocked: what is sent vanishes without receipts, so
// there is nothing that the company could notice.
func (p *person) Block(bool) error { return channelsim.ErrCannot }

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	return slices.Clone(p.Got)
}

var (
	_ channelsim.Sim    = (*Sim)(nil)
	_ channelsim.Person = (*person)(nil)
)
