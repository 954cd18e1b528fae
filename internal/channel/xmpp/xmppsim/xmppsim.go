// Package xmppsim is a small XMPP server with one account of ours and customers with their clients: a stream with SASL
// PLAIN over loopback, or a component's (XEP-0114), an archive (XEP-0313), a file share (XEP-0363), receipts and errors.
// It checks what it is sent (addresses, ids, sizes) as servers do. The real judge is prosody.
package xmppsim

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Options say how the server is run.
type Options struct {
	Now       func() time.Time
	Component bool
	StanzaMax int // 0 = 65536, as in ejabberd's sample configuration
}

const (
	domain    = "muster.example"
	account   = "service@" + domain
	component = "dienst." + domain
	password  = "ein-Passwort"
	secret    = "ein-Geheimnis"
	share     = "upload." + domain
)

// Sim is the server.
type Sim struct {
	channelsim.Base
	o       Options
	listen  net.Listener
	files   *httptest.Server
	people  map[string]*Person
	streams []*client
	archive []entry
	asked   int // queries of the archive that were answered
	content map[string]channelsim.File
}

type entry struct {
	id, stanza string
	at         time.Time
}

type client struct {
	conn    net.Conn
	write   sync.Mutex
	present bool
	full    string
}

// New starts a server on loopback.
func New(o Options) *Sim {
	if o.StanzaMax == 0 {
		o.StanzaMax = 65536
	}
	s := &Sim{o: o, people: map[string]*Person{}, content: map[string]channelsim.File{}}
	s.Init(o.Now)
	var err error
	if s.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		panic(err)
	}
	s.files = httptest.NewServer(http.HandlerFunc(s.file))
	s.Work.Go(func() {
		for {
			conn, err := s.listen.Accept()
			if err != nil {
				return
			}
			s.Work.Go(func() { s.serve(&client{conn: conn}) })
		}
	})
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "xmpp" }

// ServeHTTP implements channelsim.Sim: XMPP is no HTTP API.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(string) channel.Settings {
	_, port, _ := net.SplitHostPort(s.listen.Addr().String())
	if s.o.Component {
		return channel.Settings{"jid": component, "component_secret": secret, "host": "127.0.0.1", "port": port}
	}
	return channel.Settings{"jid": account, "password": password, "host": "127.0.0.1", "port": port, "tls": "none"}
}

// Connect implements channelsim.Sim.
func (s *Sim) Connect(string) {}

// Close implements channelsim.Sim.
func (s *Sim) Close() {
	_ = s.listen.Close()
	s.Cut()
	s.files.CloseClientConnections()
	s.files.Close()
	s.Stop()
}

// Cut ends all streams, as a restart of the server does.
func (s *Sim) Cut() {
	s.Lock()
	defer s.Unlock()
	for _, c := range s.streams {
		_ = c.conn.Close()
	}
}

func (s *Sim) file(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		s.Do(w, r, "media", func() channelsim.Response {
			b, _ := io.ReadAll(r.Body)
			s.Lock()
			defer s.Unlock()
			s.content[r.URL.Path] = channelsim.File{Name: r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], MediaType: r.Header.Get("Content-Type"), Content: b}
			return channelsim.Response{Status: http.StatusCreated}
		})
		return
	}
	s.Lock()
	f, ok := s.content[r.URL.Path]
	s.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.MediaType)
	_, _ = w.Write(f.Content)
}

func (c *client) send(text string) {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c.conn, text)
}

// element is any element.
type element struct {
	XMLName xml.Name
	Attr    []xml.Attr `xml:",any,attr"`
	Child   []element  `xml:",any"`
	Text    string     `xml:",chardata"`
}

func (e element) get(name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e element) child(space, local string) *element {
	for i, c := range e.Child {
		if c.XMLName.Local == local && (space == "" || c.XMLName.Space == space) {
			return &e.Child[i]
		}
	}
	return nil
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (s *Sim) serve(c *client) {
	defer c.conn.Close()
	s.Lock()
	s.streams = append(s.streams, c)
	s.Unlock()
	authenticated := false
	for { // one turn for each stream header
		d := xml.NewDecoder(c.conn)
		for {
			t, err := d.Token()
			if err != nil {
				return
			}
			if e, ok := t.(xml.StartElement); ok {
				if e.Name.Local != "stream" {
					return
				}
				break
			}
		}
		ns := "jabber:client"
		if s.o.Component {
			ns = "jabber:component:accept"
		}
		from := domain
		if s.o.Component {
			from = component
		}
		c.send(fmt.Sprintf(`<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams' id='st1' from='%s' version='1.0'>`, ns, from))
		switch {
		case s.o.Component:
		case authenticated:
			c.send(`<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>`)
		default:
			c.send(`<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>`)
		}
		if restart := s.stanzas(c, d, &authenticated); !restart {
			return
		}
	}
}

func (s *Sim) stanzas(c *client, d *xml.Decoder, authenticated *bool) (restart bool) {
	for {
		t, err := d.Token()
		if err != nil {
			return false
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			if _, end := t.(xml.EndElement); end {
				c.send(`</stream:stream>`)
				return false
			}
			continue
		}
		before := d.InputOffset()
		var e element
		if d.DecodeElement(&e, &start) != nil {
			return false
		}
		if d.InputOffset()-before > int64(s.o.StanzaMax) {
			c.send(`<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`)
			return false
		}
		switch {
		case e.XMLName.Local == "auth":
			if b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(e.Text)); string(b) != "\x00service\x00"+password {
				c.send(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>`)
				return false
			}
			*authenticated = true
			c.send(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`)
			return true
		case e.XMLName.Local == "handshake":
			if fmt.Sprintf("%x", sha1.Sum([]byte("st1"+secret))) != strings.TrimSpace(e.Text) {
				c.send(`<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`)
				return false
			}
			*authenticated = true
			s.Lock()
			c.full, c.present = component, true
			s.Changed()
			s.Unlock()
			c.send(`<handshake/>`)
		case !*authenticated:
			return false
		case e.XMLName.Local == "iq":
			s.iq(c, e)
		case e.XMLName.Local == "presence" && e.get("type") == "subscribed":
			s.Lock()
			if p := s.people[e.get("to")]; p != nil {
				p.accepted = true
			}
			s.Changed()
			s.Unlock()
		case e.XMLName.Local == "presence" && e.get("to") == "" && e.get("type") == "":
			s.Lock()
			c.present = true
			s.Changed()
			s.Unlock()
		case e.XMLName.Local == "message":
			s.message(c, e)
		}
	}
}

func (s *Sim) iq(c *client, e element) {
	if f := s.Fault("message"); f != nil && e.child("urn:xmpp:ping", "ping") != nil { // taken, and no word about it
		return
	} else if f != nil {
		s.Fail(*f)
	}
	id, to := escape(e.get("id")), e.get("to")
	result := func(inner string) {
		c.send(fmt.Sprintf(`<iq type='result' id='%s' from='%s' to='%s'>%s</iq>`, id, escape(to), escape(c.full), inner))
	}
	refuse := func(condition string) {
		c.send(fmt.Sprintf(`<iq type='error' id='%s' from='%s'><error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`, id, escape(to), condition))
	}
	if e.get("type") == "result" || e.get("type") == "error" {
		return
	}
	switch {
	case e.child("", "bind") != nil:
		s.Lock()
		c.full = fmt.Sprintf("%s/r%d", account, s.Serial())
		s.Unlock()
		result(`<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>` + c.full + `</jid></bind>`)
	case e.child("urn:xmpp:ping", "ping") != nil:
		if s.o.Component && to == component { // routed back to it
			c.send(fmt.Sprintf(`<iq type='get' id='%s' from='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>`, id, component, component))
			return
		}
		result("")
	case e.child("urn:xmpp:mam:2", "query") != nil && !s.o.Component:
		query := e.child("", "query")
		after, limit, newest := "", 50, false
		if set := query.child("", "set"); set != nil {
			newest = set.child("", "before") != nil
			if m := set.child("", "max"); m != nil {
				limit, _ = strconv.Atoi(m.Text)
			}
		}
		if set := e.child("", "query").child("", "set"); set != nil && set.child("", "after") != nil {
			after = set.child("", "after").Text
		}
		s.Lock()
		list := slices.Clone(s.archive)
		s.Unlock()
		if form := query.child("jabber:x:data", "x"); form != nil {
			for _, f := range form.Child {
				if f.get("var") == "start" {
					start, err := time.Parse(time.RFC3339, f.child("", "value").Text)
					if err != nil {
						refuse("bad-request")
						return
					}
					list = slices.DeleteFunc(list, func(x entry) bool { return x.at.Before(start) })
				}
			}
		}
		if after != "" {
			i := slices.IndexFunc(list, func(x entry) bool { return x.id == after })
			if i < 0 {
				refuse("item-not-found")
				return
			}
			list = list[i+1:]
		}
		complete := len(list) <= limit
		if newest {
			list = list[max(0, len(list)-limit):]
		}
		last := ""
		for _, x := range list[:min(limit, len(list))] {
			c.send(fmt.Sprintf(`<message to='%s'><result xmlns='urn:xmpp:mam:2' queryid='%s' id='%s'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='%s'/>%s</forwarded></result></message>`,
				escape(c.full), escape(query.get("queryid")), x.id, x.at.UTC().Format(time.RFC3339), x.stanza))
			last = x.id
		}
		result(`<fin xmlns='urn:xmpp:mam:2' complete='` + strconv.FormatBool(complete) + `'><set xmlns='http://jabber.org/protocol/rsm'><last>` + last + `</last></set></fin>`)
		s.Lock()
		s.asked++
		s.Changed()
		s.Unlock()
	case e.child("http://jabber.org/protocol/disco#items", "query") != nil:
		result(`<query xmlns='http://jabber.org/protocol/disco#items'><item jid='` + share + `'/></query>`)
	case e.child("http://jabber.org/protocol/disco#info", "query") != nil:
		feature := "jabber:iq:version"
		if to == share {
			feature = "urn:xmpp:http:upload:0"
		}
		result(`<query xmlns='http://jabber.org/protocol/disco#info'><feature var='` + feature + `'/></query>`)
	case e.child("urn:xmpp:http:upload:0", "request") != nil && to == share:
		r := e.child("", "request")
		s.Lock()
		target := fmt.Sprintf("%s/%d/%s", s.files.URL, s.Serial(), r.get("filename"))
		s.Unlock()
		if r.get("filename") == "" || r.get("size") == "" {
			refuse("bad-request")
			return
		}
		result(fmt.Sprintf(`<slot xmlns='urn:xmpp:http:upload:0'><put url='%s'/><get url='%s'/></slot>`, escape(target), escape(target)))
	default:
		refuse("service-unavailable")
	}
}

// message takes what the company sends.
func (s *Sim) message(c *client, e element) {
	to, id := e.get("to"), e.get("id")
	bare, _, _ := strings.Cut(to, "/")
	s.Lock()
	p := s.people[bare]
	switch {
	case e.child("", "body") == nil: // receipts and the like
		s.Unlock()
		return
	case p == nil:
		s.Unlock()
		c.send(fmt.Sprintf(`<message type='error' id='%s' from='%s' to='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, escape(id), escape(to), escape(c.full)))
		return
	}
	got := channelsim.Message{Ref: id, Text: e.child("", "body").Text, At: s.Now()}
	if r := e.child("urn:xmpp:reply:0", "reply"); r != nil {
		got.ReplyTo = r.get("id")
	}
	if x := e.child("jabber:x:oob", "x"); x != nil && x.child("", "url") != nil {
		path := strings.TrimPrefix(x.child("", "url").Text, s.files.URL)
		got.Files, got.Text = []channelsim.File{s.content[path]}, ""
	}
	p.Got = append(p.Got, got)
	s.Accept(channelsim.Accepted{Op: "message", To: bare, Ref: id, Key: id, Text: got.Text})
	request := e.child("urn:xmpp:receipts", "request") != nil
	s.Unlock()
	if request {
		_, _ = p.deliver(fmt.Sprintf(`<received xmlns='urn:xmpp:receipts' id='%s'/>`, escape(id)))
	}
}

// Person is a customer with an XMPP client.
type Person struct {
	channelsim.Chat
	s   *Sim
	jid string

	accepted bool
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person { return s.Customer(name) }

// Customer is the person of that name with what only XMPP has.
func (s *Sim) Customer(name string) *Person {
	s.Lock()
	defer s.Unlock()
	id := strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@kunden.example"
	if p := s.people[id]; p != nil {
		return p
	}
	p := &Person{s: s, jid: id}
	p.Name = name
	s.people[id] = p
	return p
}

// Address implements channelsim.Person.
func (p *Person) Address() string { return p.jid }

// deliver hands a stanza to the company's streams, or keeps it in the archive until one comes.
func (p *Person) deliver(inner string) (string, error) {
	p.s.Lock()
	defer p.s.Unlock()
	id := fmt.Sprintf("m%d", p.s.Serial())
	archive := fmt.Sprintf("a%d", p.s.Serial())
	self := account
	if p.s.o.Component {
		self = component
	}
	stanza := func(to, more string) string {
		return fmt.Sprintf(`<message xmlns='%s' type='chat' from='%s/phone' to='%s' id='%s'>%s%s</message>`, map[bool]string{true: "jabber:component:accept", false: "jabber:client"}[p.s.o.Component], p.jid, to, id, inner, more)
	}
	more := fmt.Sprintf(`<stanza-id xmlns='urn:xmpp:sid:0' id='%s' by='%s'/>`, archive, self)
	p.s.archive = append(p.s.archive, entry{archive, stanza(self, ""), p.s.Now()})
	for i, c := range p.s.streams {
		if c.present {
			if i == len(p.s.streams)-1 || !p.s.o.Component {
				go c.send(stanza(c.full, more))
			}
		}
	}
	return id, nil
}

// Open implements channelsim.Person.
func (p *Person) Open(string) error { return nil }

// ready waits until the company is there: a simulated customer does not use offline storage.
func (p *Person) ready() {
	p.s.Wait(p.s.Ctx, func() bool {
		p.s.Lock()
		defer p.s.Unlock()
		return slices.ContainsFunc(p.s.streams, func(c *client) bool { return c.present })
	})
}

// Write implements channelsim.Person.
func (p *Person) Write(text, replyTo string) (string, error) {
	p.ready()
	inner := `<body>` + escape(text) + `</body><request xmlns='urn:xmpp:receipts'/>`
	if replyTo != "" {
		quote := "> Zitat\n"
		inner = fmt.Sprintf(`<body>%s</body><reply xmlns='urn:xmpp:reply:0' id='%s'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='%d'/></fallback>`, escape(quote+text), escape(replyTo), len(quote))
	}
	return p.deliver(inner)
}

// Send implements channelsim.Person.
func (p *Person) Send(f channelsim.File, caption string) (string, error) {
	p.ready()
	p.s.Lock()
	path := fmt.Sprintf("/%d/%s", p.s.Serial(), f.Name)
	p.s.content[path] = f
	p.s.Unlock()
	link := escape(p.s.files.URL + path)
	return p.deliver(`<body>` + link + `</body><x xmlns='jabber:x:oob'><url>` + link + `</url><desc>` + escape(caption) + `</desc></x>`)
}

// Press implements channelsim.Person.
func (p *Person) Press(string, string) error { return channelsim.ErrCannot }

// Subscribe asks to see whether the company is there, and waits until it is allowed.
func (p *Person) Subscribe() (accepted bool) {
	p.ready()
	p.s.Lock()
	for _, c := range p.s.streams {
		if c.present {
			go c.send(fmt.Sprintf(`<presence type='subscribe' from='%s' to='%s'/>`, p.jid, c.full))
		}
	}
	p.s.Unlock()
	ctx, cancel := context.WithTimeout(p.s.Ctx, 3*time.Second)
	defer cancel()
	return p.s.Wait(ctx, func() bool {
		p.s.Lock()
		defer p.s.Unlock()
		return p.accepted
	})
}

// Archived puts a message into the archive as if it had come while nobody listened. It gives the message's id.
func (p *Person) Archived(text string) string {
	p.s.Lock()
	defer p.s.Unlock()
	id := fmt.Sprintf("m%d", p.s.Serial())
	p.s.archive = append(p.s.archive, entry{fmt.Sprintf("a%d", p.s.Serial()),
		fmt.Sprintf(`<message xmlns='jabber:client' type='chat' from='%s/phone' to='%s' id='%s'><body>%s</body></message>`, p.jid, account, id, escape(text)), p.s.Now()})
	return id
}

// Asked waits until the archive was queried.
func (s *Sim) Asked() bool {
	ctx, cancel := context.WithTimeout(s.Ctx, 5*time.Second)
	defer cancel()
	return s.Wait(ctx, func() bool {
		s.Lock()
		defer s.Unlock()
		return s.asked > 0
	})
}

// Forget empties the archive, as servers do with what is old.
func (s *Sim) Forget() {
	s.Lock()
	defer s.Unlock()
	s.archive = nil
}

// React implements channelsim.Person.
func (p *Person) React(ref, emoji string) error {
	_, err := p.deliver(fmt.Sprintf(`<reactions xmlns='urn:xmpp:reactions:0' id='%s'><reaction>%s</reaction></reactions>`, escape(ref), escape(emoji)))
	return err
}

// Edit implements channelsim.Person.
func (p *Person) Edit(ref, text string) error {
	_, err := p.deliver(fmt.Sprintf(`<body>%s</body><replace xmlns='urn:xmpp:message-correct:0' id='%s'/>`, escape(text), escape(ref)))
	return err
}

// Read implements channelsim.Person.
func (p *Person) Read() error {
	in := p.Inbox()
	if len(in) == 0 {
		return channelsim.ErrNothing
	}
	_, err := p.deliver(fmt.Sprintf(`<displayed xmlns='urn:xmpp:chat-markers:0' id='%s'/>`, escape(in[len(in)-1].Ref)))
	return err
}

// Block implements channelsim.Person: by the book a blocked sender cannot be told from one who writes to nobody (XEP-0191).
func (p *Person) Block(bool) error { return channelsim.ErrCannot }

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
