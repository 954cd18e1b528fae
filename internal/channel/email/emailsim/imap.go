package emailsim

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"

	"github.com/rufweite/rufweite/internal/channel"
)

// IMAPOptions configure an IMAPServer.
type IMAPOptions struct {
	// User and Password open the mailbox.
	User, Password string
	// Tokens makes the server take bearer tokens of this endpoint instead of a password; Bearer is the mechanism
	// ("XOAUTH2" by default).
	Tokens *TokenServer
	Bearer string
	// StartTLS offers STARTTLS and ImplicitTLS speaks TLS from the first byte, with a self-signed certificate or this one.
	StartTLS, ImplicitTLS bool
	Certificate           *tls.Certificate
	// NoIdle is a server that refuses IDLE although the library announces it.
	NoIdle bool
	// Folders besides INBOX.
	Folders []string
}

// IMAPServer is an IMAP server on loopback with one mailbox, whose INBOX customers' mail is delivered to. All methods
// may be called at any time.
type IMAPServer struct {
	opts IMAPOptions
	addr string
	cert tls.Certificate

	mu       sync.Mutex
	user     *imapmemserver.User
	kept     []kept // what is in INBOX, to build it anew
	validity uint32
	srv      *imapserver.Server
	conns    map[*gate]struct{}
	away     bool

	idling  int
	changed chan struct{}
	selects int
	logins  int
	writes  []string
	spoiled map[imap.UID]bool
	cutAt   int64
}

type kept struct {
	raw   []byte
	at    time.Time
	flags []imap.Flag
}

// StartIMAP listens on a free loopback port and serves until Close.
func StartIMAP(o IMAPOptions) (*IMAPServer, error) {
	s := &IMAPServer{opts: o, validity: 1, changed: make(chan struct{}), conns: map[*gate]struct{}{}, spoiled: map[imap.UID]bool{}}
	if o.Certificate != nil {
		s.cert = *o.Certificate
	} else {
		var err error
		if s.cert, err = SelfSigned("imap.example.net"); err != nil {
			return nil, err
		}
	}
	s.user = s.build(s.validity)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the simulated IMAP server: %w", err)
	}
	s.addr = l.Addr().String()
	s.serve(l)
	return s, nil
}

// build makes the mailbox with INBOX under the UIDVALIDITY.
func (s *IMAPServer) build(validity uint32) *imapmemserver.User {
	u := imapmemserver.NewUser(s.opts.User, s.opts.Password)
	must := func(err error) {
		if err != nil {
			panic(err) // names of our own that do not exist yet
		}
	}
	for range validity - 1 { // the library counts UIDVALIDITY by mailboxes made
		must(u.Create("x", nil))
		must(u.Delete("x"))
	}
	must(u.Create("INBOX", nil))
	for _, f := range s.opts.Folders {
		must(u.Create(f, nil))
	}
	return u
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func (s *IMAPServer) serve(l net.Listener) {
	o := &imapserver.Options{
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			base := &imapSession{server: s, conn: c}
			if s.opts.Tokens != nil {
				return &bearerSession{base}, nil, nil
			}
			return base, nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapNamespace: {}},
		Logger:       silent{},
		InsecureAuth: !s.opts.StartTLS,
	}
	conf := &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
	if s.opts.StartTLS {
		o.TLSConfig = conf
	}
	srv := imapserver.New(o)
	s.mu.Lock()
	s.srv, s.away = srv, false
	s.mu.Unlock()
	var serve net.Listener = &gateListener{l, s}
	if s.opts.ImplicitTLS {
		serve = tls.NewListener(serve, conf)
	}
	go func() { _ = srv.Serve(serve) }() // ends with Stop
}

// gateListener keeps hold of the connections, to cut them.
type gateListener struct {
	net.Listener
	server *IMAPServer
}

func (l *gateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &gate{Conn: c, server: l.server}
	l.server.mu.Lock()
	l.server.conns[g] = struct{}{}
	l.server.mu.Unlock()
	return g, nil
}

type gate struct {
	net.Conn
	server *IMAPServer
}

// Write cuts the connection in the middle where CutAfter says so.
func (g *gate) Write(p []byte) (int, error) {
	s := g.server
	s.mu.Lock()
	cut := s.cutAt > 0 && int64(len(p)) > s.cutAt
	if s.cutAt > 0 {
		s.cutAt = max(s.cutAt-int64(len(p)), 1)
	}
	if cut {
		s.cutAt = 0
	}
	s.mu.Unlock()
	if cut {
		g.Close()
		return 0, errors.New("cut")
	}
	return g.Conn.Write(p)
}

func (g *gate) Close() error {
	g.server.mu.Lock()
	delete(g.server.conns, g)
	g.server.mu.Unlock()
	return g.Conn.Close()
}

// Addr is where the server listens.
func (s *IMAPServer) Addr() string { return s.addr }

// Certificate is what the server shows.
func (s *IMAPServer) Certificate() *x509.Certificate { return s.cert.Leaf }

// Settings are a channel's settings that pull this mailbox.
func (s *IMAPServer) Settings(address string) channel.Settings {
	host, port, _ := net.SplitHostPort(s.addr)
	set := channel.Settings{"address": address, "imap_host": host, "imap_port": port, "imap_user": s.opts.User}
	if s.opts.Tokens == nil {
		set["imap_password"] = s.opts.Password
	}
	if s.opts.ImplicitTLS {
		set["imap_tls"] = "tls"
	}
	return set
}

// Stop ends the server with all connections, as when it is restarted; the mailbox stays.
func (s *IMAPServer) Stop() {
	s.mu.Lock()
	srv := s.srv
	s.away = true
	s.mu.Unlock()
	_ = srv.Close() // it is over whatever it says
	s.Kick()
}

// Resume listens on the same port again.
func (s *IMAPServer) Resume() error {
	var l net.Listener
	var err error
	for range 100 { // the port may be held for a moment by the connections that ended
		if l, err = net.Listen("tcp", s.addr); err == nil {
			s.serve(l)
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("listen again: %w", err)
}

// Close ends the server.
func (s *IMAPServer) Close() { s.Stop() }

// Kick cuts all connections without a word.
func (s *IMAPServer) Kick() {
	s.mu.Lock()
	var all []*gate
	for g := range s.conns {
		all = append(all, g)
	}
	s.mu.Unlock()
	for _, g := range all {
		g.Close()
	}
}

// CutAfter cuts the connection that the server writes on once about n more bytes went out.
func (s *IMAPServer) CutAfter(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutAt = n
}

// Deliver puts a mail into INBOX, with the time of arrival (zero = now) and flags.
func (s *IMAPServer) Deliver(raw []byte, at time.Time, flags ...imap.Flag) {
	if at.IsZero() {
		at = time.Now()
	}
	s.mu.Lock()
	u := s.user
	k := kept{bytes.Clone(raw), at, flags}
	s.kept = append(s.kept, k)
	s.mu.Unlock()
	put(u, k)
}

func put(u *imapmemserver.User, k kept) {
	if _, err := u.Append("INBOX", literal{bytes.NewReader(k.raw), int64(len(k.raw))}, &imap.AppendOptions{Time: k.at, Flags: k.flags}); err != nil {
		panic(err) // INBOX exists, and memory does not fail
	}
}

type literal struct {
	*bytes.Reader
	size int64
}

func (l literal) Size() int64 { return l.size }

// Remove deletes the i-th of the delivered mails that are still there, as a person with a mail program does.
func (s *IMAPServer) Remove(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := imapmemserver.NewUserSession(s.user)
	if _, err := sess.Select("INBOX", &imap.SelectOptions{}); err != nil {
		panic(err)
	}
	defer sess.Close()
	data, err := sess.Search(imapserver.NumKindUID, &imap.SearchCriteria{}, &imap.SearchOptions{ReturnAll: true})
	if err != nil {
		panic(err)
	}
	uids, _ := data.All.(imap.UIDSet).Nums()
	set := imap.UIDSetNum(uids[i])
	if err := sess.Store(nil, set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil); err != nil {
		panic(err)
	}
	if err := sess.Expunge(nil, &set); err != nil {
		panic(err)
	}
	s.kept = append(s.kept[:i:i], s.kept[i+1:]...)
}

// NewValidity gives the mailbox a new UIDVALIDITY and its mails new UIDs, in reverse order, as after a restored backup.
// It cuts all connections, as RFC 3501 has it: UIDs hold for a session.
func (s *IMAPServer) NewValidity() {
	s.mu.Lock()
	s.validity++
	s.user = s.build(s.validity)
	for i := len(s.kept) - 1; i >= 0; i-- {
		put(s.user, s.kept[i])
	}
	s.mu.Unlock()
	s.Kick()
}

// Spoil makes the server refuse to give the mail with this UID (NO), as with a damaged store.
func (s *IMAPServer) Spoil(uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoiled[imap.UID(uid)] = true
}

// Selects is how many times a folder was opened.
func (s *IMAPServer) Selects() int { s.mu.Lock(); defer s.mu.Unlock(); return s.selects }

// Logins is how many sign-ins were tried.
func (s *IMAPServer) Logins() int { s.mu.Lock(); defer s.mu.Unlock(); return s.logins }

// Writes are the commands that would have changed something in the mailbox.
func (s *IMAPServer) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.writes...)
}

// Seen is how many mails in INBOX are marked as read.
func (s *IMAPServer) Seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.user.Status("INBOX", &imap.StatusOptions{NumMessages: true, NumUnseen: true})
	if err != nil {
		panic(err)
	}
	return int(*st.NumMessages - *st.NumUnseen)
}

// Idling tells how many clients wait in IDLE; the channel closes when that changes.
func (s *IMAPServer) Idling() (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idling, s.changed
}

func (s *IMAPServer) idle(d int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idling += d
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *IMAPServer) note(command string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, command)
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeNoPerm, Text: "Nothing may be changed here"}
}

// imapSession is one client.
type imapSession struct {
	*imapmemserver.UserSession // nil until signed in
	server                     *IMAPServer
	conn                       *imapserver.Conn
	token                      string
}

func (s *imapSession) Close() error {
	if s.UserSession == nil {
		return nil
	}
	return s.UserSession.Close()
}

func (s *imapSession) enter() {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.UserSession = imapmemserver.NewUserSession(s.server.user)
}

func (s *imapSession) Login(user, password string) error {
	s.server.mu.Lock()
	s.server.logins++
	u := s.server.user
	s.server.mu.Unlock()
	if s.server.opts.Tokens != nil {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Text: "LOGIN failed: basic authentication is disabled"}
	}
	if err := u.Login(user, password); err != nil {
		return err
	}
	s.enter()
	return nil
}

// ended is what a server with tokens does when the token ends in the middle of a session: it says BYE and hangs up.
func (s *imapSession) ended() error {
	if s.server.opts.Tokens == nil || s.server.opts.Tokens.Opens(s.token, s.server.opts.User, "IMAP") {
		return nil
	}
	_ = s.conn.Bye("Session invalidated - AccessTokenExpired") // closes the connection
	return &imap.Error{Type: imap.StatusResponseTypeNo, Text: "AccessTokenExpired"}
}

func (s *imapSession) Select(name string, o *imap.SelectOptions) (*imap.SelectData, error) {
	s.server.mu.Lock()
	s.server.selects++
	s.server.mu.Unlock()
	if !o.ReadOnly {
		_ = s.server.note("SELECT " + name)
	}
	return s.UserSession.Select(name, o)
}

func (s *imapSession) Search(kind imapserver.NumKind, c *imap.SearchCriteria, o *imap.SearchOptions) (*imap.SearchData, error) {
	if err := s.ended(); err != nil {
		return nil, err
	}
	return s.UserSession.Search(kind, c, o)
}

func (s *imapSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	for _, b := range o.BodySection {
		if !b.Peek {
			_ = s.server.note("FETCH BODY[]")
		}
		if uids, ok := set.(imap.UIDSet); ok {
			s.server.mu.Lock()
			for u := range s.server.spoiled {
				if uids.Contains(u) {
					s.server.mu.Unlock()
					return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeServerBug, Text: "The message is damaged"}
				}
			}
			s.server.mu.Unlock()
		}
	}
	return s.UserSession.Fetch(w, set, o)
}

func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.server.idle(1)
	defer s.server.idle(-1)
	return s.UserSession.Idle(w, stop)
}

func (s *imapSession) Store(*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions) error {
	return s.server.note("STORE")
}
func (s *imapSession) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error {
	return s.server.note("EXPUNGE")
}
func (s *imapSession) Append(string, imap.LiteralReader, *imap.AppendOptions) (*imap.AppendData, error) {
	return nil, s.server.note("APPEND")
}
func (s *imapSession) Create(string, *imap.CreateOptions) error { return s.server.note("CREATE") }
func (s *imapSession) Delete(string) error                      { return s.server.note("DELETE") }
func (s *imapSession) Copy(imap.NumSet, string) (*imap.CopyData, error) {
	return nil, s.server.note("COPY")
}
func (s *imapSession) Move(*imapserver.MoveWriter, imap.NumSet, string) error {
	return s.server.note("MOVE")
}

// bearerSession signs in with tokens.
type bearerSession struct{ *imapSession }

func (s *bearerSession) mech() string {
	if s.server.opts.Bearer != "" {
		return s.server.opts.Bearer
	}
	return "XOAUTH2"
}

func (s *bearerSession) AuthenticateMechanisms() []string { return []string{s.mech()} }

func (s *bearerSession) Authenticate(mech string) (sasl.Server, error) {
	s.server.mu.Lock()
	s.server.logins++
	s.server.mu.Unlock()
	if mech != s.mech() {
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Text: "Unsupported mechanism"}
	}
	return &bearerServer{
		opens: func(user, token string) bool {
			if user != s.server.opts.User || !s.server.opts.Tokens.Opens(token, user, "IMAP") {
				return false
			}
			s.token = token
			s.enter()
			return true
		},
		refuse: &imap.Error{Type: imap.StatusResponseTypeNo, Text: "AUTHENTICATE failed."},
	}, nil
}
