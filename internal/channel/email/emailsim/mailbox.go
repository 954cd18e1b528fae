// Package emailsim stands in for the world of mail in tests, the demo and benchmarks: Mailbox is a provider's SMTP
// server with its customers' mailboxes, Client is a customer with a mail program. They behave like the real thing,
// not kinder: Mailbox refuses what RFC 5321 servers refuse, and can be told to fail in every way that real ones do.
// The package knows the channel contract only, not the driver that is tested against it.
package emailsim

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/rufweite/rufweite/internal/channel"
)

// Fault is how the server misbehaves.
type Fault string

// Faults. They hold until they are changed; see Mailbox.SetFault and Mailbox.SetRecipientFault.
const (
	NoFault       Fault = ""
	Reject550     Fault = "550"       // the recipient does not exist (550 5.1.1)
	RejectPolicy  Fault = "550policy" // the recipient is refused by policy (550 5.7.1)
	Reject451     Fault = "451"       // the recipient is greylisted (451 4.7.1)
	RejectSender  Fault = "sender"    // the sender's address is not allowed (553 5.7.1 at MAIL FROM)
	RejectContent Fault = "content"   // refused after the final dot (554 5.7.1)
	BusyAfterDot  Fault = "busydot"   // 451 4.3.0 after the final dot; nothing is kept
	// HangAfterDot keeps the message, as its ledger shows, and cuts the connection before the 250: the sender cannot
	// know whether it was accepted.
	HangAfterDot Fault = "hang"
	// StallAfterDot keeps the message and never answers, with the connection open until the client gives up.
	StallAfterDot Fault = "stall"
	DropInData    Fault = "drop" // cuts the connection in the middle of the message; nothing is kept
	Busy421       Fault = "421"  // 421 4.3.2 at MAIL FROM
	Slow421       Fault = "slow" // 421 4.7.0 at MAIL FROM: too many messages
)

// Options configure a Mailbox.
type Options struct {
	Hostname string // default "mx.example.net"
	// StartTLS offers STARTTLS and ImplicitTLS speaks TLS from the first byte, both with a self-signed certificate.
	StartTLS    bool
	ImplicitTLS bool
	// Certificate is shown instead of the self-signed one.
	Certificate *tls.Certificate
	// User and Password make sign-in necessary (AUTH PLAIN), after TLS if StartTLS is set.
	User, Password string
	// Tokens makes the server take bearer tokens of this endpoint for the mailbox User instead of the password (XOAUTH2,
	// OAUTHBEARER).
	Tokens   *TokenServer
	MaxBytes int64         // default 25 MiB
	Delay    time.Duration // before each answer to MAIL FROM
	// Known limits the recipients to these addresses; nil takes every address.
	Known []string
}

// Mail is one message that a mailbox accepted.
type Mail struct {
	From string    // envelope sender
	To   []string  // envelope recipients, as given
	Raw  []byte    // as it came over the wire, without dot stuffing
	At   time.Time // when the final dot was read
	TLS  bool      // the session was encrypted
	User string    // who was signed in
	// Answered is false where the server accepted but never said so (HangAfterDot, StallAfterDot).
	Answered bool
}

// Header returns a header field of the message, undecoded.
func (m Mail) Header(name string) string {
	msg, err := mail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		return ""
	}
	return msg.Header.Get(name)
}

// Mailbox is an SMTP server on loopback that keeps what it accepts. All methods may be called at any time.
type Mailbox struct {
	opts Options
	srv  *smtp.Server
	l    net.Listener
	cert tls.Certificate
	quit chan struct{}
	once sync.Once

	mu      sync.Mutex
	fault   Fault
	faults  map[string]Fault
	mails   []Mail
	changed chan struct{}
}

// Start listens on a free loopback port and serves until Close.
func Start(o Options) (*Mailbox, error) {
	if o.Hostname == "" {
		o.Hostname = "mx.example.net"
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 25 << 20
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the simulated mail server: %w", err)
	}
	m := &Mailbox{opts: o, l: l, quit: make(chan struct{}), faults: map[string]Fault{}, changed: make(chan struct{})}
	if o.Certificate != nil {
		m.cert = *o.Certificate
	} else if m.cert, err = SelfSigned(o.Hostname, "localhost"); err != nil {
		l.Close()
		return nil, err
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{box: m, conn: c}, nil
	}))
	s.Domain = o.Hostname
	s.MaxMessageBytes = o.MaxBytes
	s.MaxRecipients = 100
	s.MaxLineLength = 1000 // RFC 5321 §4.5.3.1.6, to the letter
	if o.Tokens != nil {
		s.MaxLineLength = 12288 // RFC 4954 §4: tokens are long
	}
	s.ReadTimeout = 5 * time.Minute
	s.WriteTimeout = time.Minute
	s.EnableSMTPUTF8 = true
	s.AllowInsecureAuth = !o.StartTLS
	s.ErrorLog = quiet{}
	conf := &tls.Config{Certificates: []tls.Certificate{m.cert}, MinVersion: tls.VersionTLS12}
	if o.StartTLS {
		s.TLSConfig = conf
	}
	m.srv = s
	serve := l
	if o.ImplicitTLS {
		serve = tls.NewListener(l, conf)
	}
	go func() { _ = s.Serve(serve) }() // ends with Close
	return m, nil
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// Addr is where the server listens, as "127.0.0.1:port".
func (m *Mailbox) Addr() string { return m.l.Addr().String() }

// Host and Port are the parts of Addr, as settings want them.
func (m *Mailbox) Host() string { h, _, _ := net.SplitHostPort(m.Addr()); return h }

// Port is the port of Addr.
func (m *Mailbox) Port() string { _, p, _ := net.SplitHostPort(m.Addr()); return p }

// Certificate is the server's self-signed certificate.
func (m *Mailbox) Certificate() *x509.Certificate { return m.cert.Leaf }

// Settings are a channel's settings that send through this server as the address.
func (m *Mailbox) Settings(address string) channel.Settings {
	s := channel.Settings{"address": address, "smtp_host": m.Host(), "smtp_port": m.Port()}
	if m.opts.User != "" {
		s["smtp_user"], s["smtp_password"] = m.opts.User, m.opts.Password
	}
	if m.opts.ImplicitTLS {
		s["smtp_tls"] = "tls"
	}
	return s
}

// Close cuts every connection and stops listening.
func (m *Mailbox) Close() {
	m.once.Do(func() {
		close(m.quit)
		m.srv.Close()
	})
}

// SetFault sets how the server treats everybody.
func (m *Mailbox) SetFault(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// SetRecipientFault sets how the server treats one recipient (Reject550, RejectPolicy, Reject451).
func (m *Mailbox) SetRecipientFault(address string, f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[strings.ToLower(address)] = f
}

// All returns every accepted message, oldest first: the ledger.
func (m *Mailbox) All() []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Mail{}, m.mails...)
}

// To returns the messages accepted for an address; plus-details count as the same address.
func (m *Mailbox) To(address string) []Mail {
	var out []Mail
	for _, one := range m.All() {
		for _, to := range one.To {
			if strings.EqualFold(plain(to), plain(address)) {
				out = append(out, one)
				break
			}
		}
	}
	return out
}

func plain(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok {
		return address
	}
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// Wait returns the messages for an address once there are at least n, or an error when ctx ends.
func (m *Mailbox) Wait(ctx context.Context, address string, n int) ([]Mail, error) {
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if got := m.To(address); len(got) >= n {
			return got, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return m.To(address), fmt.Errorf("wait for %d mails to %s: %w", n, address, ctx.Err())
		}
	}
}

func (m *Mailbox) keep(one Mail) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails = append(m.mails, one)
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Mailbox) faultFor(address string) Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.faults[strings.ToLower(address)]; f != NoFault {
		return f
	}
	return m.fault
}

// session is one client of the server.
type session struct {
	box  *Mailbox
	conn *smtp.Conn
	user string
	from string
	to   []string
}

func (s *session) AuthMechanisms() []string {
	if s.box.opts.User == "" {
		return nil
	}
	if s.box.opts.Tokens != nil {
		return []string{"XOAUTH2", sasl.OAuthBearer}
	}
	return []string{sasl.Plain, sasl.Login}
}

func (s *session) Auth(mech string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != s.box.opts.User || password != s.box.opts.Password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Authentication credentials invalid"}
		}
		s.user = user
		return nil
	}
	switch {
	case s.box.opts.User == "":
		return nil, smtp.ErrAuthUnsupported
	case s.box.opts.Tokens != nil:
		return &bearerServer{
			opens: func(user, token string) bool {
				ok := user == s.box.opts.User && s.box.opts.Tokens.Opens(token, user, "SMTP")
				if ok {
					s.user = user
				}
				return ok
			},
			refuse: &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 3}, Message: "Authentication unsuccessful"},
		}, nil
	case mech == sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case mech == sasl.Login:
		return &loginServer{check: check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// loginServer is the server's side of AUTH LOGIN.
type loginServer struct {
	check func(user, password string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	switch {
	case l.step == 0 && response == nil:
		l.step = 1
		return []byte("Username:"), false, nil
	case l.step <= 1:
		l.step, l.user = 2, string(response)
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(l.user, string(response))
	}
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.box.opts.Delay > 0 {
		select {
		case <-time.After(s.box.opts.Delay):
		case <-s.box.quit:
		}
	}
	if s.box.opts.User != "" && s.user == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	switch s.box.faultFor("") {
	case RejectSender:
		return &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Sender address rejected: not owned by user"}
	case Slow421:
		return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Too many messages, slow down"}
	case Busy421:
		return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "System not accepting messages"}
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	unknown := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	switch s.box.faultFor(to) {
	case Reject550:
		return unknown
	case RejectPolicy:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Rejected by policy"}
	case Reject451:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Greylisted, try again later"}
	}
	if s.box.opts.Known != nil {
		known := false
		for _, k := range s.box.opts.Known {
			known = known || strings.EqualFold(plain(k), plain(to))
		}
		if !known {
			return unknown
		}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	fault := s.box.faultFor("")
	if fault == DropInData {
		_, _ = io.CopyN(io.Discard, r, 100)
		s.cut()
		return errors.New("dropped")
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		var se *smtp.SMTPError
		if errors.As(err, &se) {
			return se
		}
		return &smtp.SMTPError{Code: 500, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "Line too long"}
	}
	switch fault {
	case RejectContent:
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Message refused"}
	case BusyAfterDot:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Cannot store the message now"}
	}
	if bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\n")) {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Bare line feed"}
	}
	_, encrypted := s.conn.TLSConnectionState()
	one := Mail{From: s.from, To: append([]string{}, s.to...), Raw: raw, At: time.Now(), TLS: encrypted, User: s.user,
		Answered: fault != HangAfterDot && fault != StallAfterDot}
	s.box.keep(one)
	switch fault {
	case HangAfterDot:
		s.cut()
		return errors.New("cut off")
	case StallAfterDot:
		gone := make(chan struct{})
		go func() {
			// The client hangs up, sooner or later.
			_, _ = io.Copy(io.Discard, s.conn.Conn())
			close(gone)
		}()
		select {
		case <-gone:
		case <-s.box.quit:
		}
		s.cut()
		return errors.New("stalled")
	}
	return nil
}

// cut ends the connection without a word.
func (s *session) cut() {
	c := s.conn.Conn()
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

// SelfSigned makes a certificate that no authority vouches for, for the names and 127.0.0.1.
func SelfSigned(names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(10 * 365 * 24 * time.Hour),
		DNSNames:     names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
