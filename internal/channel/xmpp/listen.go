package xmpp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/rufweite/rufweite/internal/channel"
)

const (
	connectTime = 30 * time.Second
	askTime     = 20 * time.Second
	pingEvery   = 60 * time.Second
	pageSize    = "100"
	markEvery   = time.Hour
	gapAfter    = 24 * time.Hour // no archive is emptied sooner: prosody keeps a week
)

// live are the streams that Listen holds in this process.
type live struct {
	mu sync.Mutex
	of map[string]*session
}

func (l *live) get(id string) *session {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[id]
}

func (l *live) set(id string, s *session) (undo func()) {
	if l == nil {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[id] = s
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.of[id] == s {
			delete(l.of, id)
		}
	}
}

// session is one stream.
type session struct {
	s         *xmpp.Session
	component bool
	self      jid.JID
	served    chan struct{} // closed when the stream ended

	mu       sync.Mutex
	pending  map[string]chan iq
	returned map[string]chan string // the errors that Send waits for, by the message's id
}

type iq struct {
	XMLName xml.Name  `xml:"iq"`
	From    string    `xml:"from,attr,omitempty"`
	To      string    `xml:"to,attr,omitempty"`
	ID      string    `xml:"id,attr"`
	Type    string    `xml:"type,attr"`
	Ping    *empty    `xml:"urn:xmpp:ping ping"` // XEP-0199
	Info    *info     `xml:"http://jabber.org/protocol/disco#info query"`
	Items   *items    `xml:"http://jabber.org/protocol/disco#items query"`
	Archive *mamQuery `xml:"urn:xmpp:mam:2 query"`
	Fin     *mamFin   `xml:"urn:xmpp:mam:2 fin"`
	Request *slotAsk  `xml:"urn:xmpp:http:upload:0 request"` // XEP-0363
	Slot    *slot     `xml:"urn:xmpp:http:upload:0 slot"`
	Error   *failure  `xml:"error"`
}

type info struct {
	Identity []identity `xml:"identity"`
	Feature  []variable `xml:"feature"`
}

type identity struct {
	Category string `xml:"category,attr"`
	Type     string `xml:"type,attr"`
}

type variable struct {
	Var string `xml:"var,attr"`
}

type items struct {
	Item []struct {
		JID string `xml:"jid,attr"`
	} `xml:"item"`
}

type mamQuery struct {
	ID   string `xml:"queryid,attr"`
	Form *form  `xml:"jabber:x:data x"`
	Set  rsm    `xml:"http://jabber.org/protocol/rsm set"`
}

type form struct {
	Type  string  `xml:"type,attr"`
	Field []field `xml:"field"`
}

type field struct {
	Var   string `xml:"var,attr"`
	Type  string `xml:"type,attr,omitempty"`
	Value string `xml:"value"`
}

type rsm struct {
	Max    string  `xml:"max,omitempty"`
	After  string  `xml:"after,omitempty"`
	Before *string `xml:"before"`
	Last   string  `xml:"last,omitempty"`
}

type mamFin struct {
	Complete bool `xml:"complete,attr"`
	Set      rsm  `xml:"http://jabber.org/protocol/rsm set"`
}

type slotAsk struct {
	Name string `xml:"filename,attr"`
	Size int64  `xml:"size,attr"`
	Type string `xml:"content-type,attr,omitempty"`
}

type slot struct {
	Put struct {
		URL    string `xml:"url,attr"`
		Header []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:",chardata"`
		} `xml:"header"`
	} `xml:"put"`
	Get struct {
		URL string `xml:"url,attr"`
	} `xml:"get"`
}

type presence struct {
	XMLName xml.Name `xml:"presence"`
	From    string   `xml:"from,attr,omitempty"`
	To      string   `xml:"to,attr,omitempty"`
	Type    string   `xml:"type,attr,omitempty"`
}

// connect opens and authenticates a stream. Nothing else has been sent when it fails. Env.Dial is guarded.
func connect(ctx context.Context, a channel.Account, env channel.Env) (*session, error) {
	set := a.Settings
	self, err := jid.Parse(set["jid"])
	if err != nil {
		return nil, trouble(err)
	}
	if env.Dial == nil {
		return nil, errors.New("there is no way to connect")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	host, port := address(set)
	conn, err := env.Dial.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: self.Domainpart(), MinVersion: tls.VersionTLS12} // RFC 6120 §13.7.2: the domain, not the host
	if ca := set["tls_ca"]; ca != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(ca))
	}
	secret, mode := set["component_secret"], set.Or("tls", "auto")
	if mode == "auto" && (port == "5223" || port == "443") {
		mode = "tls"
	}
	var state xmpp.SessionState
	var rw net.Conn = conn
	if mode == "tls" {
		if secret != "" {
			config.ServerName = host
		}
		c := tls.Client(conn, config)
		if err := c.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		rw = c
	}
	out := &session{self: self, component: secret != "", pending: map[string]chan iq{}, returned: map[string]chan string{}, served: make(chan struct{})}
	if secret != "" {
		out.s, err = component.NewSession(ctx, self, []byte(secret), rw)
	} else {
		var features []xmpp.StreamFeature
		switch mode {
		case "none":
			state = xmpp.Secure // loopback only, see Check
		case "tls":
			state = xmpp.Secure
		default:
			features = append(features, xmpp.StartTLS(config))
		}
		features = append(features, xmpp.SASL("", set["password"], sasl.ScramSha256, sasl.ScramSha1, sasl.Plain), xmpp.BindResource())
		out.s, err = xmpp.NewSession(ctx, self.Domain(), self, rw, state, xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: features}
		}))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return out, nil
}

// trouble turns what connect failed with into what a person can do.
func trouble(err error) error {
	t := &channel.Trouble{Err: err, Reason: channel.Text{DE: "Der XMPP-Server ist nicht erreichbar.", EN: "The XMPP server cannot be reached."}, Remedy: channel.Text{
		DE: "Prüfen Sie host, port und tls, und ob dieser Server dorthin verbinden darf.", EN: "Check host, port and tls, and whether this server may connect there."}}
	if refusedLogin(err) {
		t.Reason = channel.Text{DE: "Der XMPP-Server nimmt die Anmeldung nicht an.", EN: "The XMPP server does not accept the login."}
		t.Remedy = channel.Text{DE: "Prüfen Sie jid und password (oder component_secret).", EN: "Check jid and password (or component_secret)."}
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		t.Reason = channel.Text{DE: "Das Zertifikat des XMPP-Servers gilt nicht für die Domain der jid.", EN: "The XMPP server's certificate is not valid for the jid's domain."}
		t.Remedy = channel.Text{DE: "Lassen Sie dem Server ein gültiges Zertifikat ausstellen.", EN: "Have a valid certificate issued for the server."}
	}
	return t
}

func refusedLogin(err error) bool {
	var se stream.Error
	if errors.As(err, &se) {
		return se.Err == "not-authorized" || se.Err == "host-unknown" || se.Err == "conflict"
	}
	// mellium keeps the type of a SASL failure to itself, and shows the server's words instead of its condition.
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.HasSuffix(fmt.Sprintf("%T", e), "saslerr.Error") {
			return true
		}
	}
	text := err.Error()
	return strings.Contains(text, "not-authorized") || strings.Contains(text, "account-disabled") || strings.Contains(text, "credentials-expired") ||
		errors.Is(err, sasl.ErrAuthn)
}

// serve reads the stream until it ends.
func (s *session) serve(onMessage func(message) error, onPresence func(presence)) error {
	defer close(s.served)
	return s.s.Serve(xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		d := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), t))
		switch start.Name.Local {
		case "message":
			var m message
			if err := d.Decode(&m); err != nil {
				return err
			}
			if !s.bounced(m) && onMessage != nil {
				return onMessage(m)
			}
		case "presence":
			var p presence
			if err := d.Decode(&p); err != nil {
				return err
			}
			if onPresence != nil {
				onPresence(p)
			}
		case "iq":
			var q iq
			if err := d.Decode(&q); err != nil {
				return err
			}
			s.iq(q)
		}
		return nil
	}))
}

// iq gives an answer to who asked, and answers what others ask. Our own question that comes back is an answer, too: that
// is how a component sees that the server took what was sent before it.
func (s *session) iq(q iq) {
	s.mu.Lock()
	c := s.pending[q.ID]
	delete(s.pending, q.ID)
	s.mu.Unlock()
	if c != nil {
		c <- q
		return
	}
	if q.Type != "get" && q.Type != "set" {
		return
	}
	answer := iq{From: s.from(), To: q.From, ID: q.ID, Type: "result"}
	switch {
	case q.Type == "get" && q.Ping != nil:
	case q.Type == "get" && q.Info != nil: // XEP-0030
		answer.Info = &info{Identity: []identity{{"client", "bot"}}}
		for _, f := range []string{"http://jabber.org/protocol/disco#info", "urn:xmpp:receipts", "urn:xmpp:chat-markers:0", "http://jabber.org/protocol/chatstates",
			"urn:xmpp:message-correct:0", "urn:xmpp:message-retract:1", "urn:xmpp:reactions:0", "urn:xmpp:reply:0", "urn:xmpp:sid:0", "urn:xmpp:ping", "jabber:x:oob"} {
			answer.Info.Feature = append(answer.Info.Feature, variable{f})
		}
	default:
		return // mellium answers service-unavailable
	}
	_ = s.write(answer)
}

// from is the sender that a component has to name; a client's server adds it.
func (s *session) from() string {
	if s.component {
		return s.self.String()
	}
	return ""
}

// write sends one stanza.
func (s *session) write(v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	lock := s.s.TokenWriter()
	defer lock.Close()
	conn := s.s.Conn()
	_ = conn.SetWriteDeadline(time.Now().Add(askTime))
	_, err = conn.Write(b)
	return err
}

var errStreamEnded = errors.New("the stream ended")

// ask sends a question and waits for the answer.
func (s *session) ask(ctx context.Context, q iq) (iq, error) {
	b := make([]byte, 12)
	_, _ = rand.Read(b)
	q.ID, q.From = hex.EncodeToString(b), s.from()
	c := make(chan iq, 1)
	s.mu.Lock()
	s.pending[q.ID] = c
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.pending, q.ID)
		s.mu.Unlock()
	}()
	if err := s.write(q); err != nil {
		return iq{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	select {
	case answer := <-c:
		return answer, nil
	case <-s.served:
		return iq{}, errStreamEnded
	case <-ctx.Done():
		return iq{}, ctx.Err()
	}
}

// taken returns once the server has taken everything that was written before: it works off a stream in order (RFC 6120
// §10.1), so an answer to a later question, even an error, proves it.
func (s *session) taken(ctx context.Context) error {
	to := s.self.Domain().String() // a component's question to itself comes back
	_, err := s.ask(ctx, iq{To: to, Type: "get", Ping: &empty{}})
	return err
}

func (s *session) close() {
	_ = s.s.Close()
	_ = s.s.Conn().Close()
}

// position is a cursor: up to when everything was read, and the archive's id of the last message then (XEP-0313). The
// time counts where the archive has no message, or dropped that one for its age.
type position struct {
	at time.Time
	id string
}

func (p position) String() string { return strconv.FormatInt(p.at.Unix(), 10) + " " + p.id }

func positionOf(cursor string) position {
	at, id, ok := strings.Cut(cursor, " ")
	n, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil {
		return position{}
	}
	return position{at: time.Unix(n, 0).UTC(), id: id}
}

// Listen implements channel.Listener. The cursor is a position.
func (d Driver) Listen(ctx context.Context, a channel.Account, cursor string, env channel.Env, sink channel.Sink) error {
	s, err := connect(ctx, a, env)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return trouble(err)
	}
	defer s.close()
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	r := &receiver{a: a, s: s, env: env, sink: sink, last: positionOf(cursor), catching: !s.component}
	ended := make(chan error, 1)
	go func() {
		ended <- s.serve(func(m message) error { return r.message(ctx, m) }, r.presence)
	}()
	defer d.live.set(a.ID, s)()
	if !s.component {
		if err := s.write(presence{}); err != nil { // RFC 6121 §4.2: from now on messages come
			return trouble(err)
		}
		if err := r.catchUp(ctx); err != nil {
			s.close()
			<-ended
			return trouble(err)
		}
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	mark := time.NewTicker(markEvery)
	defer mark.Stop()
	for {
		select {
		case <-ctx.Done():
			s.close()
			<-ended
			return ctx.Err()
		case err := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				err = errStreamEnded
			}
			return trouble(err)
		case <-mark.C: // a quiet channel is not taken for one that was away when its last message leaves the archive
			if err := r.mark(ctx); err != nil {
				return err
			}
		case <-ping.C: // a dead connection is not seen otherwise
			if err := s.taken(ctx); err != nil && ctx.Err() == nil {
				s.close()
				<-ended
				return trouble(err)
			}
		}
	}
}

// receiver hands over what comes on a stream.
type receiver struct {
	a    channel.Account
	s    *session
	env  channel.Env
	sink channel.Sink

	mu       sync.Mutex
	last     position
	archive  bool // there is one
	catching bool // the archive is being read: messages that come meanwhile must not move the cursor past it
}

func (r *receiver) message(ctx context.Context, m message) error {
	self := r.s.self.Bare().String()
	own := m.From == "" || m.From == self
	var archived string
	if m.Result != nil {
		if !own || m.Result.Forwarded.Message == nil { // XEP-0313 §security: only our own server's archive
			return nil
		}
		if m.Result.Query == latest {
			return nil
		}
		inner := *m.Result.Forwarded.Message
		// Servers keep messages without the id that they give them on delivery (XEP-0359 §4: what a sender put there is false).
		inner.Stanza = []stanzaID{{ID: m.Result.ID, By: self}}
		if inner.Delay == nil {
			inner.Delay = m.Result.Forwarded.Delay
		}
		archived, m = m.Result.ID, inner
		if m.Type == "error" {
			return nil // errors are not kept in archives by the book
		}
	} else {
		for _, s := range m.Stanza {
			if s.By == self {
				archived = s.ID
			}
		}
		r.mu.Lock()
		if r.catching {
			archived = ""
		}
		r.mu.Unlock()
	}
	m.XMLName = xml.Name{Local: "message"}
	raw, err := xml.Marshal(m)
	if err != nil {
		return err
	}
	events, err := parse(r.a, raw)
	in := channel.Inbound{Raw: raw, Type: "application/xml", Events: events}
	next := position{r.env.Now(), archived}
	if archived != "" {
		in.Cursor = next.String()
	}
	if err != nil {
		in.Err = err.Error()
	}
	if len(events) == 0 && err == nil {
		return nil
	}
	if err := r.sink(ctx, in); err != nil {
		return err // the stream ends; what was not acknowledged comes again from the archive
	}
	if archived != "" {
		r.mu.Lock()
		r.last = next
		r.mu.Unlock()
	}
	// XEP-0184 §5: the receipt says that we have it, so it goes out when that is durable.
	if m.Request != nil && m.ID != "" && m.Type != "error" && m.Type != "groupchat" && err == nil {
		return r.s.write(message{From: r.s.from(), To: m.From, Type: m.Type, Received: &idRef{m.ID}, Store: &empty{}})
	}
	return nil
}

// presence accepts whoever wants to see whether we are there (RFC 6121 §3.1).
func (r *receiver) presence(p presence) {
	if p.Type == "subscribe" && p.From != "" {
		_ = r.s.write(presence{From: r.s.from(), To: p.From, Type: "subscribed"})
		if r.s.component {
			_ = r.s.write(presence{From: r.s.from(), To: p.From})
		}
	}
}

const (
	latest    = "latest" // the query that asks for the archive's last message alone
	mamSpace  = "urn:xmpp:mam:2"
	clockSkew = 5 * time.Minute
)

// catchUp reads what the archive has since the last position. A server without an archive answers with an error: then
// there is only what it keeps for clients that are offline.
func (r *receiver) catchUp(ctx context.Context) error {
	defer func() {
		r.mu.Lock()
		r.catching = false
		r.mu.Unlock()
	}()
	last := r.last
	query := mamQuery{ID: "news", Set: rsm{Max: pageSize, After: last.id}}
	switch {
	case last.at.IsZero(): // what lies before the channel was opened is not ours: only remember where we are
		newest := ""
		query = mamQuery{ID: latest, Set: rsm{Max: "1", Before: &newest}}
	case last.id == "":
		query.Form = since(last.at)
	}
	for {
		now := r.env.Now() // what is written from here on comes on the stream
		q, err := r.s.ask(ctx, iq{Type: "set", Archive: &query})
		switch {
		case err != nil:
			return err
		case q.Type == "error" && q.Error.condition() == "item-not-found" && query.Set.After != "" && query.Form == nil:
			// XEP-0313 §4.4: the archive dropped that message, and perhaps later ones that we never saw.
			if now.Sub(last.at) > gapAfter {
				note := channel.Event{Key: channel.HashKey("gap", last.String()), Type: channel.UnparsedEvent, Error: "the server's archive no longer goes back to the last message; messages may be missing"}
				if err := r.sink(ctx, channel.Inbound{Raw: []byte("<message/>"), Type: "application/xml", Events: []channel.Event{note}}); err != nil {
					return err
				}
			}
			query.Set.After, query.Form = "", since(last.at)
			continue
		case q.Type == "error":
			r.env.Log.Debug("no archive", "channel", r.a.ID, "condition", q.Error.condition())
			return nil
		case q.Fin == nil:
			return nil
		}
		r.mu.Lock()
		r.archive = true
		if q.Fin.Set.Last != "" {
			r.last.id = q.Fin.Set.Last
		}
		r.mu.Unlock()
		if q.Fin.Complete || query.ID == latest || q.Fin.Set.Last == "" || q.Fin.Set.Last == query.Set.After {
			return r.markAt(ctx, now)
		}
		query.Set.After = q.Fin.Set.Last
	}
}

// since asks for what the archive got from then on (XEP-0313 §4.1).
func since(at time.Time) *form {
	return &form{Type: "submit", Field: []field{
		{Var: "FORM_TYPE", Type: "hidden", Value: mamSpace},
		{Var: "start", Value: at.Add(-clockSkew).UTC().Format(time.RFC3339)},
	}}
}

// mark keeps that everything has been read by now.
func (r *receiver) mark(ctx context.Context) error {
	if !r.archive {
		return nil
	}
	if err := r.s.taken(ctx); err != nil { // what was sent before the answer has been handed over
		return trouble(err)
	}
	return r.markAt(ctx, r.env.Now())
}

func (r *receiver) markAt(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock() // a message that comes meanwhile moves the cursor after this
	r.last.at = now
	return r.sink(ctx, channel.Inbound{Cursor: r.last.String()})
}

// Probe implements channel.Prober: it logs in. As a component it asks nothing while Listen has the stream, since a second
// one would be refused.
func (d Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	if s := d.live.get(a.ID); s != nil {
		return s.taken(ctx)
	}
	s, err := connect(ctx, a, env)
	if err != nil {
		return trouble(err)
	}
	s.close()
	return nil
}
