package email

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/rufweite/rufweite/internal/channel"
)

// Config configures a Server. Lookup and Sink are required; a zero value elsewhere means the default.
type Config struct {
	// Hostname is how the server calls itself in its greeting and in Received fields (default "localhost").
	Hostname string
	// TLS enables STARTTLS; nil offers none.
	TLS *tls.Config
	// MaxBytes is the largest message that is accepted (default 35 MiB: a 25 MB file in base64).
	MaxBytes int64
	// MaxRecipients of one message (default 100, the least that RFC 5321 §4.5.3.1.8 asks for).
	MaxRecipients int
	// MaxConns is the number of connections at once (default 500).
	MaxConns int
	// MaxInFlight is how many bytes of messages may be in memory at once (default 512 MiB); beyond it senders are
	// asked to come again.
	MaxInFlight int64
	// ConnsPerIP is the number of connections at once from one address; a /64 counts as one (default 50).
	ConnsPerIP int
	// MessagesPerMinute from one address, with a burst of the same size (default 600).
	MessagesPerMinute int
	// Unlimited names addresses without a limit of messages per minute (default: loopback, because a relay on the
	// same machine speaks for the whole world). The limit of connections always holds.
	Unlimited func(netip.Addr) bool
	// Timeouts against clients that dawdle.
	Timeouts Timeouts
	// Limits of what is parsed.
	Limits Limits
	// Now is the clock of limits and trace fields (default time.Now). Deadlines of sockets use the real clock.
	Now func() time.Time
	// Lookup finds the account of a recipient (lower case; plus-addresses are asked whole, then without detail).
	// An error makes the sender come again.
	Lookup func(ctx context.Context, rcpt string) (channel.Account, bool, error)
	// Sink stores what came, once per account; only when it returned nil for every recipient the client gets its
	// 250. An error makes the sender come again with all recipients: the event's Key tells duplicates.
	Sink func(ctx context.Context, a channel.Account, in channel.Inbound) error
	// Log gets problems, without personal data (default: discarded).
	Log *slog.Logger
}

// Timeouts bound how long a client may take. RFC 5321 §4.5.3.2 recommends minutes; a total per step is what stops
// those that send one byte at a time.
type Timeouts struct {
	Command time.Duration // for one whole command line (default 2 min)
	Data    time.Duration // for one whole message (default 10 min)
	Session time.Duration // for one connection, whatever it does (default 1 h)
	Sink    time.Duration // for storing one message (default 1 min)
	Drain   time.Duration // for the rest of a message that is refused already (default 15 s)
}

// Server receives mail by SMTP (RFC 5321) for the accounts of this installation, and for nobody else: it relays
// nothing and knows no sign-in. Create it with NewServer.
type Server struct {
	cfg  Config
	smtp *smtp.Server
	log  *slog.Logger

	ctx    context.Context // ends when sessions are cut off
	cancel context.CancelFunc

	inFlight atomic.Int64

	mu      sync.Mutex
	conns   map[*guardConn]struct{}
	perIP   map[netip.Addr]int
	buckets map[netip.Addr]*bucket
	closing bool
}

// bucket counts the messages that an address may still send.
type bucket struct {
	left float64
	at   time.Time
}

// NewServer makes a server; it does not listen yet.
func NewServer(cfg Config) *Server {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&cfg.Timeouts.Command, 2*time.Minute)
	def(&cfg.Timeouts.Data, 10*time.Minute)
	def(&cfg.Timeouts.Session, time.Hour)
	def(&cfg.Timeouts.Sink, time.Minute)
	def(&cfg.Timeouts.Drain, 15*time.Second)
	if cfg.Hostname == "" {
		cfg.Hostname = "localhost"
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 35 << 20
	}
	if cfg.MaxRecipients <= 0 {
		cfg.MaxRecipients = 100
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 500
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = 512 << 20
	}
	if cfg.ConnsPerIP <= 0 {
		cfg.ConnsPerIP = 50
	}
	if cfg.MessagesPerMinute <= 0 {
		cfg.MessagesPerMinute = 600
	}
	if cfg.Unlimited == nil {
		cfg.Unlimited = netip.Addr.IsLoopback
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:     cfg,
		log:     cfg.Log,
		conns:   map[*guardConn]struct{}{},
		perIP:   map[netip.Addr]int{},
		buckets: map[netip.Addr]*bucket{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.smtp.Domain = cfg.Hostname
	s.smtp.TLSConfig = cfg.TLS
	s.smtp.MaxMessageBytes = cfg.MaxBytes
	s.smtp.MaxRecipients = cfg.MaxRecipients
	// RFC 5321 §4.5.3.1.6 allows lines of 1,000 bytes; real mailers write whole HTML documents into one, and broken ones
	// header fields of megabytes: a message may be one line. Commands are limited by guardConn.
	s.smtp.MaxLineLength = int(cfg.MaxBytes) + 1000
	s.smtp.ReadTimeout = cfg.Timeouts.Command
	s.smtp.WriteTimeout = cfg.Timeouts.Command
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.ErrorLog = errorLog{s.log}
	return s
}

// Serve accepts connections until Shutdown; it then returns nil. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	return s.smtp.Serve(&guardListener{Listener: l, server: s})
}

// Shutdown stops listening, lets messages that are being received end, sends every idle client away, and returns
// when the last one is gone or ctx ends; what is still open then is cut off without an acknowledgement.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	conns := make([]*guardConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.dismiss()
	}
	err := s.smtp.Shutdown(ctx)
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		c.Conn.Close()
	}
	s.mu.Unlock()
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

// guardListener counts connections and refuses those beyond the limits before a session exists.
type guardListener struct {
	net.Listener
	server *Server
}

func (l *guardListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guardConn{Conn: c, server: l.server, ip: addrOf(c.RemoteAddr()),
			end: time.Now().Add(l.server.cfg.Timeouts.Session)}
		if reason := l.server.admit(g); reason != "" {
			go func() {
				// RFC 5321 §3.1 and §3.8: 421 and close.
				c.SetDeadline(time.Now().Add(5 * time.Second))
				fmt.Fprintf(c, "421 4.7.0 %s %s\r\n", l.server.cfg.Hostname, reason)
				c.Close()
			}()
			continue
		}
		return g, nil
	}
}

func (s *Server) admit(g *guardConn) (refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return "shutting down, try again later"
	case len(s.conns) >= s.cfg.MaxConns:
		return "too many connections, try again later"
	case s.perIP[network(g.ip)] >= s.cfg.ConnsPerIP:
		return "too many connections from your address, try again later"
	}
	s.conns[g] = struct{}{}
	s.perIP[network(g.ip)]++
	return ""
}

func (s *Server) forget(g *guardConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[g]; !ok {
		return
	}
	delete(s.conns, g)
	ip := network(g.ip)
	if s.perIP[ip]--; s.perIP[ip] <= 0 {
		delete(s.perIP, ip)
	}
}

// mayMail takes one message from the address's bucket.
func (s *Server) mayMail(ip netip.Addr) bool {
	if s.cfg.Unlimited(ip) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	size := float64(s.cfg.MessagesPerMinute)
	key := network(ip)
	b := s.buckets[key]
	if b == nil {
		if len(s.buckets) >= 10000 {
			for k, old := range s.buckets {
				if now.Sub(old.at) >= time.Minute { // full again by now
					delete(s.buckets, k)
				}
			}
		}
		b = &bucket{left: size, at: now}
		s.buckets[key] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.left = min(size, b.left+size*d.Minutes())
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// network is what counts as one sender: an IPv4 address or an IPv6 /64.
func network(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(t.IP)
		return ip.Unmap()
	}
	return netip.Addr{}
}

// guardConn adds to a connection what the protocol library leaves open: a read error is final (after a timeout in
// the middle of DATA the library would go on and take the rest of the message for commands, which is smuggling by
// dawdling), a session ends after a while, and a shutdown ends it as soon as it is idle.
type guardConn struct {
	net.Conn
	server *Server
	ip     netip.Addr
	end    time.Time

	mu       sync.Mutex
	err      error // the first read error
	busy     bool  // a message is being received or stored
	commands int   // bytes read since the last message: a command line is held in memory
	leaving  bool
	deadline time.Time
}

func (c *guardConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.commands += n; c.busy {
		c.commands = 0
	}
	if err == nil && c.commands > commandsMax {
		n, err = 0, smtp.ErrTooLongLine
	}
	if err != nil {
		c.err = err
	}
	return n, err
}

// commandsMax is how much a client may say between two messages, in bytes: a thousand recipients need a tenth of it.
const commandsMax = 512 << 10

func (c *guardConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setReadDeadline(t)
}

func (c *guardConn) setReadDeadline(t time.Time) error {
	c.deadline = t
	if c.leaving && !c.busy {
		t = time.Now()
	} else if t.IsZero() || t.After(c.end) {
		t = c.end
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *guardConn) Close() error {
	c.server.forget(c)
	return c.Conn.Close()
}

// dismiss ends the session at its next idle moment.
func (c *guardConn) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	_ = c.setReadDeadline(c.deadline) // fails only where the session has ended
}

func (c *guardConn) setBusy(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.commands = busy, 0
}

// broken tells whether reading has failed, also when the library did not pass it on.
func (c *guardConn) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// session is one client. A BDAT transfer runs Data beside the commands, so the transaction is behind a lock.
type session struct {
	server *Server
	conn   *smtp.Conn
	guard  *guardConn
	helo   string // as at the start of the session: BDAT must not read the connection's fields
	tls    bool
	bad    int // unknown recipients so far

	mu    sync.Mutex
	from  string
	rcpts []recipient
}

type recipient struct {
	address string
	account channel.Account
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	raw := c.Conn()
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	g, ok := raw.(*guardConn)
	if !ok {
		return nil, errors.New("connection did not come through Serve")
	}
	_, isTLS := c.TLSConnectionState()
	return &session{server: s, conn: c, guard: g, helo: heloName(c.Hostname()), tls: isTLS}, nil
}

func (s *session) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.rcpts = "", nil
}

func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	if !s.server.mayMail(s.guard.ip) {
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 7, 1},
			Message: "Too many messages from your address, try again in a minute"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.rcpts = from, nil
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	addr, ok := cleanAddress(to)
	if !ok {
		return unknownRecipient
	}
	ctx, cancel := context.WithTimeout(s.server.ctx, s.server.cfg.Timeouts.Sink)
	defer cancel()
	account, found, err := s.lookup(ctx, strings.ToLower(addr))
	if err != nil {
		s.server.log.Error("look up recipient", "error", err)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0},
			Message: "Cannot check the recipient now, try again later"}
	}
	if !found {
		if s.bad++; s.bad > maxUnknown {
			s.guard.dismiss()
			return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0},
				Message: "Too many unknown recipients, closing"}
		}
		return unknownRecipient
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcpts = append(s.rcpts, recipient{addr, account})
	return nil
}

// maxUnknown is how many unknown recipients one session may try: more is somebody guessing addresses.
const maxUnknown = 20

var unknownRecipient = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1},
	Message: "No such mailbox here"}

func (s *session) lookup(ctx context.Context, addr string) (channel.Account, bool, error) {
	account, found, err := s.server.cfg.Lookup(ctx, addr)
	if err != nil || found {
		return account, found, err
	}
	if base, detail := splitPlus(addr); detail != "" {
		return s.server.cfg.Lookup(ctx, base)
	}
	return account, false, nil
}

// Data takes the message and returns nil once it is stored for every recipient: that is the 250.
func (s *session) Data(r io.Reader) (err error) {
	s.mu.Lock()
	from, rcpts := s.from, s.rcpts
	s.mu.Unlock()
	_, bdat := r.(*io.PipeReader)
	s.guard.setBusy(true)
	defer s.guard.setBusy(false)
	defer func() {
		if p := recover(); p != nil {
			s.server.log.Error("panic while storing a mail", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Internal error, try again later"}
		}
		if err != nil && !bdat {
			// The library reads on to the final dot before it answers; that must not take for ever.
			s.conn.Conn().SetReadDeadline(time.Now().Add(s.server.cfg.Timeouts.Drain))
		}
	}()
	if !bdat {
		s.conn.Conn().SetReadDeadline(time.Now().Add(s.server.cfg.Timeouts.Data))
	}
	body, release, err := s.read(r)
	defer release()
	if err != nil {
		return err
	}
	if bdat && s.guard.broken() {
		// The client vanished in the middle of a chunk; the library passes that on as a complete message.
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "Connection lost"}
	}
	if hops(body) > 100 {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "Routing loop: too many Received fields"}
	}
	return s.store(from, rcpts, body)
}

// read collects the message within the limits and refuses line ends that other servers read differently: only CRLF
// ends a line (RFC 5321 §2.3.8), and a bare LF or CR is how one message is smuggled inside another.
func (s *session) read(r io.Reader) (body []byte, release func(), err error) {
	held := int64(0)
	release = func() { s.server.inFlight.Add(-held) }
	buf := make([]byte, 0, 16<<10)
	prev := byte(0)
	for {
		if len(buf) == cap(buf) {
			grow := make([]byte, len(buf), 2*cap(buf))
			copy(grow, buf)
			buf = grow
		}
		n, rerr := r.Read(buf[len(buf):cap(buf)])
		chunk := buf[len(buf) : len(buf)+n]
		buf = buf[:len(buf)+n]
		for _, c := range chunk {
			if (c == '\n') != (prev == '\r') {
				return nil, release, &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0},
					Message: "Lines must end with CRLF; bare CR or LF is refused (RFC 5321 section 2.3.8)"}
			}
			prev = c
		}
		held += int64(n)
		if s.server.inFlight.Add(int64(n)) > s.server.cfg.MaxInFlight {
			return nil, release, &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1},
				Message: "Too much mail at once, try again later"}
		}
		if int64(len(buf)) > s.server.cfg.MaxBytes {
			return nil, release, smtp.ErrDataTooLarge
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			var se *smtp.SMTPError
			if errors.As(rerr, &se) {
				return nil, release, se
			}
			if errors.Is(rerr, smtp.ErrTooLongLine) {
				return nil, release, &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "A line is too long"}
			}
			return nil, release, &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "Message did not arrive completely"}
		}
	}
	if prev == '\r' {
		return nil, release, &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0},
			Message: "Lines must end with CRLF; bare CR or LF is refused (RFC 5321 section 2.3.8)"}
	}
	return buf, release, nil
}

// hops counts the Received fields (RFC 5321 §6.3 finds loops by them).
func hops(body []byte) int {
	n := 0
	for len(body) > 0 {
		line, rest := cutLine(body)
		if len(line) == 0 {
			break
		}
		if len(line) >= 9 && strings.EqualFold(string(line[:9]), "received:") {
			n++
		}
		body = rest
	}
	return n
}

// store hands the message to the sink, once per account. Of several addresses of one account the one with a reply
// token counts.
func (s *session) store(from string, rcpts []recipient, body []byte) error {
	type delivery struct {
		account channel.Account
		rcpt    string
	}
	var deliveries []delivery
	for _, r := range rcpts {
		seen := false
		for i := range deliveries {
			if d := &deliveries[i]; d.account.Org == r.account.Org && d.account.ID == r.account.ID {
				seen = true
				if tokenOf(d.rcpt) == "" && tokenOf(r.address) != "" {
					d.rcpt = r.address
				}
			}
		}
		if !seen {
			deliveries = append(deliveries, delivery{r.account, r.address})
		}
	}
	if len(deliveries) == 0 {
		return &smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "No recipients"}
	}
	// A first line that begins with a blank would continue the last trace field, which is ours alone to write.
	body = bytes.TrimLeft(body, " \t")
	for _, d := range deliveries {
		raw := append(s.trace(from, d.rcpt), body...)
		in := inboundFor(d.account, raw, d.rcpt, s.server.cfg.Limits)
		if in.Err != "" {
			s.server.log.Warn("mail cannot be parsed", "channel", d.account.ID, "error", in.Err)
		}
		ctx, cancel := context.WithTimeout(s.server.ctx, s.server.cfg.Timeouts.Sink)
		err := s.server.cfg.Sink(ctx, d.account, in)
		cancel()
		if err != nil {
			s.server.log.Error("store mail", "channel", d.account.ID, "error", err)
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Cannot store the message now, try again later"}
		}
	}
	return nil
}

// inboundFor parses a raw message; what cannot be parsed, or makes the parser panic, becomes a work item.
func inboundFor(a channel.Account, raw []byte, rcpt string, lim Limits) (in channel.Inbound) {
	in = channel.Inbound{Raw: raw, Type: "message/rfc822"}
	defer func() {
		if p := recover(); p != nil {
			in.Events, in.Err = nil, fmt.Sprintf("the parser failed: %v", p)
		}
	}()
	e, err := ParseFor(a, raw, rcpt, lim)
	if err != nil {
		in.Err = err.Error()
		return in
	}
	in.Events = []channel.Event{e}
	return in
}

// trace makes the fields that a final delivery adds (RFC 5321 §4.4), and Delivered-To, so that the stored message
// still knows under which address it came. On top of them, where no sender can write, stands what Assess needs.
func (s *session) trace(from, rcpt string) []byte {
	proto := "ESMTP"
	if s.tls {
		proto = "ESMTPS" // RFC 3848
	}
	var id [8]byte
	rand.Read(id[:])
	ip := s.guard.ip.String()
	if s.guard.ip.Is6() {
		ip = "IPv6:" + ip
	}
	var b bytes.Buffer
	b.WriteString(envelope{peer: s.guard.ip, helo: s.helo, from: from}.line())
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", printable(from, 320))
	fmt.Fprintf(&b, "Delivered-To: %s\r\n", printable(rcpt, 320))
	fmt.Fprintf(&b, "Received: from %s ([%s])\r\n\tby %s with %s id %s\r\n\tfor <%s>; %s\r\n",
		s.helo, ip, s.server.cfg.Hostname, proto, hex.EncodeToString(id[:]),
		printable(rcpt, 320), s.server.cfg.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return b.Bytes()
}

// printable keeps a client's word from breaking a trace field.
func printable(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s)
	return cutBytes(s, max)
}

func heloName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:[]", r) {
			return r
		}
		return -1
	}, s)
	if s == "" {
		return "unknown"
	}
	return cutBytes(s, 255)
}

// errorLog takes the protocol library's messages. They name addresses, so they are debug.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Printf(format string, v ...any) {
	l.log.Debug("smtp", "message", fmt.Sprintf(format, v...))
}
func (l errorLog) Println(v ...any) { l.log.Debug("smtp", "message", fmt.Sprint(v...)) }
