package email

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"github.com/rufweite/rufweite/internal/channel"
)

// imapMailbox is a folder at a server, opened to read only (EXAMINE): nothing that is done with it changes anything there,
// not even the mark that says "new". It is all that pulling needs of an IMAP library; the one that we use is a beta.
//
// Every method ends when ctx does, or when the server is silent for too long; the connection is then useless. An
// *imapRefusal means that the server answered no and the connection goes on.
type imapMailbox interface {
	// State is what the server said when the folder was opened.
	State() imapState
	// Search gives the UIDs in [from, to] in order; to 0 means no end. since leaves out what arrived on an earlier day,
	// unseen what somebody has read.
	Search(ctx context.Context, from, to uint32, since time.Time, unseen bool) ([]uint32, error)
	// Sizes gives the sizes of those that still exist, in bytes.
	Sizes(ctx context.Context, uids []uint32) (map[uint32]int64, error)
	// Read gives a mail's first max bytes, and whether that is all of it; nil if it does not exist any more.
	Read(ctx context.Context, uid uint32, max int64) (raw []byte, whole bool, err error)
	// Wait returns when something may have arrived, at the latest after idle (a server that tells, RFC 2177) or poll.
	Wait(ctx context.Context, idle, poll time.Duration) error
	Close()
}

type imapState struct {
	validity uint32 // UIDVALIDITY
	next     uint32 // UIDNEXT, 0 if the server does not tell
}

// imapRefusal is a server's NO or BAD to one command.
type imapRefusal struct{ err *imap.Error }

func (e *imapRefusal) Error() string { return cleanLine(e.err.Error(), 400) }
func (e *imapRefusal) Unwrap() error { return e.err }

// imapError is why a mailbox cannot be opened or read on. final means that trying again by ourselves does not help.
type imapError struct {
	trouble *channel.Trouble
	final   bool
	auth    bool // the sign-in was refused
}

func (e *imapError) Error() string { return e.trouble.Error() }
func (e *imapError) Unwrap() error { return e.trouble }

// How long an incoming server may take.
const (
	imapSilence = time.Minute      // without a byte while it owes us an answer
	imapCommand = 2 * time.Minute  // for one command
	imapBody    = 30 * time.Minute // for one mail: 25 MB over a line of 128 kbit/s
	imapChatter = 16 << 20         // bytes of one answer besides a mail; a search in a mailbox of a million mails has 8
)

// imapWire is the connection below the library. It keeps time by silence instead of by answer, so that a large mail
// over a slow line may take long and a dead line may not; and it bounds how much an answer may hold, because the
// library reads answers into memory.
type imapWire struct {
	net.Conn

	mu      sync.Mutex
	silence time.Duration // 0: the server owes us nothing
	left    int64         // bytes that may still come
}

var errChatter = errors.New("the server's answer is longer than allowed")

// expect says what may come next; silence 0 ends the expecting.
func (c *imapWire) expect(silence time.Duration, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silence, c.left = silence, bytes
	c.renew()
}

func (c *imapWire) renew() {
	var at time.Time
	if c.silence > 0 {
		at = time.Now().Add(c.silence)
	}
	_ = c.Conn.SetReadDeadline(at) // fails only where the connection has ended
}

func (c *imapWire) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.renew()
	c.mu.Unlock()
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.left -= int64(n)
	over := c.left < 0
	c.mu.Unlock()
	if over {
		return 0, errChatter
	}
	return n, err
}

func (c *imapWire) Write(p []byte) (int, error) {
	_ = c.Conn.SetWriteDeadline(time.Now().Add(imapSilence)) // as above
	return c.Conn.Write(p)
}

// The library's own deadlines do not count.
func (c *imapWire) SetDeadline(time.Time) error      { return nil }
func (c *imapWire) SetReadDeadline(time.Time) error  { return nil }
func (c *imapWire) SetWriteDeadline(time.Time) error { return nil }

// imapSession is a mailbox over go-imap.
type imapSession struct {
	wire    *imapWire
	client  *imapclient.Client
	state   imapState
	changed chan struct{} // the server told of new mail
	canIdle bool
	silence time.Duration // without a byte while the server owes us an answer
}

var _ imapMailbox = (*imapSession)(nil)

// run does one exchange within the limit and within ctx, by cutting the connection where nothing else helps.
func (s *imapSession) run(ctx context.Context, limit time.Duration, bytes int64, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.wire.expect(s.silence, bytes)
	late := false
	cut := func() { _ = s.wire.Conn.Close() }
	stop := context.AfterFunc(ctx, cut)
	var mu sync.Mutex
	timer := time.AfterFunc(limit, func() {
		mu.Lock()
		late = true
		mu.Unlock()
		cut()
	})
	err := fn()
	timer.Stop()
	stop()
	s.wire.expect(0, imapChatter)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	mu.Lock()
	defer mu.Unlock()
	if late && err != nil {
		return fmt.Errorf("no complete answer within %v (%w)", limit, err)
	}
	var no *imap.Error
	if errors.As(err, &no) && (no.Type == imap.StatusResponseTypeNo || no.Type == imap.StatusResponseTypeBad) {
		return &imapRefusal{no}
	}
	return err
}

func (s *imapSession) State() imapState { return s.state }

// Close ends the session without a word: there is nothing to keep, and a server that hangs must not hold us up.
func (s *imapSession) Close() {
	_ = s.wire.Conn.Close() // whatever it says, it is over
	_ = s.client.Close()    // waits for the library's reader
}

func (s *imapSession) Search(ctx context.Context, from, to uint32, since time.Time, unseen bool) ([]uint32, error) {
	// What arrives from here on rings the bell again.
	select {
	case <-s.changed:
	default:
	}
	var set imap.UIDSet
	set.AddRange(imap.UID(from), imap.UID(to)) // 0 is "*"
	c := &imap.SearchCriteria{UID: []imap.UIDSet{set}, Since: since}
	if unseen {
		c.NotFlag = []imap.Flag{imap.FlagSeen}
	}
	var uids []uint32
	err := s.run(ctx, imapCommand, imapChatter, func() error {
		data, err := s.client.UIDSearch(c, nil).Wait()
		if err != nil {
			return err
		}
		found, ok := data.All.(imap.UIDSet)
		if !ok {
			return nil
		}
		for _, r := range found {
			for u := r.Start; ; u++ {
				// "n:*" always names the last mail, even where its UID is below n (RFC 3501 §6.4.8).
				if uint32(u) >= from && (to == 0 || uint32(u) <= to) {
					uids = append(uids, uint32(u))
				}
				if u >= r.Stop {
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return uids, nil // in order: the set keeps itself sorted
}

func (s *imapSession) Sizes(ctx context.Context, uids []uint32) (map[uint32]int64, error) {
	var set imap.UIDSet
	for _, u := range uids {
		set.AddNum(imap.UID(u))
	}
	out := map[uint32]int64{}
	err := s.run(ctx, imapCommand, imapChatter, func() error {
		all, err := s.client.Fetch(set, &imap.FetchOptions{UID: true, RFC822Size: true}).Collect()
		for _, m := range all {
			out[uint32(m.UID)] = m.RFC822Size
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch sizes: %w", err)
	}
	return out, nil
}

func (s *imapSession) Read(ctx context.Context, uid uint32, max int64) ([]byte, bool, error) {
	var raw []byte
	found, whole := false, false
	err := s.run(ctx, imapBody, imapChatter+max, func() error {
		// One byte more than allowed tells whether that is all. The size that the server told before may be wrong.
		cmd := s.client.Fetch(imap.UIDSetNum(imap.UID(uid)), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{
			{Peek: true, Partial: &imap.SectionPartial{Offset: 0, Size: max + 1}},
		}})
		for m := cmd.Next(); m != nil; m = cmd.Next() {
			for item := m.Next(); item != nil; item = m.Next() {
				b, ok := item.(imapclient.FetchItemDataBodySection)
				if !ok || found {
					continue
				}
				found = true
				if b.Literal == nil { // NIL: a mail without a byte
					raw, whole = []byte{}, true
					continue
				}
				var buf bytes.Buffer
				buf.Grow(int(min(b.Literal.Size(), max+1)) + bytes.MinRead)
				_, err := io.Copy(&buf, io.LimitReader(b.Literal, max+1))
				if err == nil && int64(buf.Len()) < min(b.Literal.Size(), max+1) {
					err = io.ErrUnexpectedEOF
				}
				if err != nil {
					// The connection is over. Not one step further: the library's reader has gone on, and whatever else is
					// asked of the command would read beside it.
					return err
				}
				if raw, whole = buf.Bytes(), true; int64(len(raw)) > max {
					raw, whole = raw[:max], false
				}
			}
		}
		return cmd.Close()
	})
	if err != nil {
		return nil, false, fmt.Errorf("fetch mail %d: %w", uid, err)
	}
	if !found {
		return nil, false, nil
	}
	return raw, whole, nil
}

func (s *imapSession) Wait(ctx context.Context, idle, poll time.Duration) error {
	if s.canIdle {
		var cmd *imapclient.IdleCommand
		err := s.run(ctx, imapCommand, imapChatter, func() (err error) {
			cmd, err = s.client.Idle()
			return err
		})
		var no *imapRefusal
		switch {
		case errors.As(err, &no):
			s.canIdle = false // says that it can, and cannot
		case err != nil:
			return fmt.Errorf("begin IDLE: %w", err)
		default:
			s.pause(ctx, idle)
			err := s.run(ctx, imapCommand, imapChatter, func() error {
				return errors.Join(cmd.Close(), cmd.Wait())
			})
			if err != nil {
				return fmt.Errorf("end IDLE: %w", err)
			}
			return nil
		}
	}
	s.pause(ctx, poll)
	err := s.run(ctx, imapCommand, imapChatter, func() error { return s.client.Noop().Wait() })
	if err != nil {
		return fmt.Errorf("ask for news: %w", err)
	}
	return nil
}

// pause waits for the bell, the time, the end of ctx or of the connection.
func (s *imapSession) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.changed:
	case <-t.C:
	case <-ctx.Done():
	case <-s.client.Closed():
	}
}

// imapOpener opens the account's folder; tests put others in its place.
type imapOpener func(ctx context.Context, a channel.Account, env channel.Env) (imapMailbox, error)

// openIMAP connects, encrypts, signs in and opens the folder. Errors are *imapError or the context's.
func openIMAP(ctx context.Context, a channel.Account, env channel.Env) (imapMailbox, error) {
	var last *imapError
	if again := signIns.blocked(a, "imap", now(env), &last); again > 0 {
		t := *last.trouble
		t.Remedy.DE += notNow(again).DE
		t.Remedy.EN += notNow(again).EN
		return nil, &imapError{trouble: &t, final: true}
	}
	token := ""
	if usesOAuth(a.Settings, "imap") {
		var err error
		if token, err = accessToken(ctx, a, env, ""); err != nil {
			return nil, tokenTrouble(err)
		}
	}
	m, err := openOnce(ctx, a, env, token)
	var ie *imapError
	if token != "" && errors.As(err, &ie) && ie.auth {
		// The token may have ended before its time (revoked, changed password, another clock): once more with a new one.
		if token, err = accessToken(ctx, a, env, token); err != nil {
			return nil, tokenTrouble(err)
		}
		m, err = openOnce(ctx, a, env, token)
		if errors.As(err, &ie) && ie.auth {
			ie.trouble = unwanted(ie.trouble.Err).trouble()
		}
	}
	if errors.As(err, &ie) && ie.auth {
		signIns.failed(a, "imap", now(env), ie)
	}
	return m, err
}

func tokenTrouble(err error) error {
	var oe *oauthError
	if !errors.As(err, &oe) {
		return err
	}
	return &imapError{trouble: oe.trouble(), final: oe.class != channel.Temporary}
}

// imapFolder is the folder that is pulled.
func imapFolder(s channel.Settings) string { return s.Or("imap_folder", "INBOX") }

func openOnce(ctx context.Context, a channel.Account, env channel.Env, token string) (imapMailbox, error) {
	return openWith(ctx, a, env, token, imapSilence)
}

func openWith(ctx context.Context, a channel.Account, env channel.Env, token string, silence time.Duration) (imapMailbox, error) {
	c, err := dialIMAP(ctx, a, env)
	if err != nil {
		return nil, err
	}
	s := &imapSession{wire: &imapWire{Conn: c.Conn, left: imapChatter}, changed: make(chan struct{}, 1), silence: silence}
	s.client = imapclient.New(s.wire, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				select {
				case s.changed <- struct{}{}:
				default:
				}
			}
		},
	}})
	fail := func(st imapStage, err error) (imapMailbox, error) {
		s.Close()
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, imapTrouble(st, a, err)
	}
	if err := s.run(ctx, imapCommand, imapChatter, s.client.WaitGreeting); err != nil {
		return fail(imapConnect, err)
	}
	if s.client.State() == imap.ConnStateNotAuthenticated {
		if !c.secret {
			return fail(imapInsecure, nil)
		}
		if err := s.signIn(ctx, a, token); err != nil {
			return fail(imapAuth, err)
		}
	}
	err = s.run(ctx, imapCommand, imapChatter, func() error {
		d, err := s.client.Select(imapFolder(a.Settings), &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			return err
		}
		s.state = imapState{d.UIDValidity, uint32(d.UIDNext)}
		s.canIdle = s.client.Caps().Has(imap.CapIdle)
		return nil
	})
	if err != nil {
		return fail(imapSelect, err)
	}
	return s, nil
}

// signIn signs in with the password or the token.
func (s *imapSession) signIn(ctx context.Context, a channel.Account, token string) error {
	user, password := a.Settings.Or("imap_user", a.Settings["address"]), a.Settings["imap_password"]
	return s.run(ctx, imapCommand, imapChatter, func() error {
		caps := s.client.Caps()
		if caps == nil {
			return errors.New("the server does not tell what it can")
		}
		has := func(m string) bool { return caps.Has(imap.AuthCap(m)) }
		if token != "" {
			b := &bearer{user: oauthUser(a.Settings, "imap"), token: token,
				host: a.Settings["imap_host"], port: imapPort(a.Settings)}
			if b.mech = bearerMech(has); b.mech == "" {
				return errNoBearer
			}
			err := s.client.Authenticate(b)
			if err != nil && b.refused != "" {
				return fmt.Errorf("%w: %s (%w)", errTokenRefused, b.refused, err)
			}
			return err
		}
		switch {
		case has(sasl.Plain):
			return s.client.Authenticate(sasl.NewPlainClient("", user, password))
		case !caps.Has(imap.CapLoginDisabled):
			return s.client.Login(user, password).Wait()
		case has(sasl.Login):
			return s.client.Authenticate(sasl.NewLoginClient(user, password))
		}
		return errNoPassword
	})
}

var (
	errTokenRefused = errors.New("the server refuses the token")
	errNoBearer     = errors.New("the server offers neither XOAUTH2 nor OAUTHBEARER")
	errNoPassword   = errors.New("the server offers no sign-in with a password")
)

// imapPort is the port, which follows from the encryption where none is set (RFC 8314 §3.2).
func imapPort(s channel.Settings) string {
	def := "993"
	if m := s["imap_tls"]; m == tlsNone || m == tlsStartTLS {
		def = "143"
	}
	return s.Or("imap_port", def)
}

// imapDialed is a connection on which the library can begin.
type imapDialed struct {
	net.Conn
	secret bool // a password may be sent
}

// dialIMAP connects and encrypts, by the same rules as for the outgoing server (see connect): in auto, a certificate
// that does not verify is accepted only on this machine or in a private network, because here a password is always at
// stake.
func dialIMAP(ctx context.Context, a channel.Account, env channel.Env) (*imapDialed, error) {
	if env.Dial == nil {
		return nil, imapTrouble(imapConnect, a, errors.New("no dialer in the environment"))
	}
	mode := a.Settings.Or("imap_tls", tlsAuto)
	implicit := mode == tlsImplicit || mode == tlsAuto && imapPort(a.Settings) == "993"
	c, err := dialIMAPOnce(ctx, a, env, implicit, false)
	if errors.Is(err, errNoGreeting) && mode == tlsAuto {
		// Both sides wait for the other to begin: a server that speaks TLS from the first byte on another port.
		implicit = true
		c, err = dialIMAPOnce(ctx, a, env, implicit, false)
	}
	if errors.Is(err, errUnverified) {
		c, err = dialIMAPOnce(ctx, a, env, implicit, true)
	}
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		var ie *imapError
		if errors.As(err, &ie) {
			return nil, err
		}
		return nil, imapTrouble(imapConnect, a, err)
	}
	return c, nil
}

// errNoGreeting means that the server accepted the connection and said nothing.
var errNoGreeting = errors.New("the server does not greet")

// greetingTimeout is how long a greeting in the clear may take in auto; real servers greet at once.
var greetingTimeout = 5 * time.Second

func dialIMAPOnce(ctx context.Context, a channel.Account, env channel.Env, implicit, unverified bool) (_ *imapDialed, err error) {
	host, port := strings.Trim(a.Settings["imap_host"], "[]"), imapPort(a.Settings)
	mode := a.Settings.Or("imap_tls", tlsAuto)
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	conn, err := env.Dial.DialContext(dctx, "tcp", net.JoinHostPort(host, port))
	cancel()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		stop()
		if err != nil {
			conn.Close()
		}
	}()
	near := nearby(conn.RemoteAddr())
	encrypt := func() (net.Conn, error) {
		tc := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: unverified})
		if err := conn.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
			return nil, err
		}
		if err := tc.HandshakeContext(ctx); err != nil {
			if mode == tlsAuto && near && !unverified && certificateError(err) {
				return nil, errUnverified
			}
			return nil, err
		}
		return tc, conn.SetDeadline(time.Time{})
	}
	if implicit {
		tc, err := encrypt()
		if err != nil {
			return nil, err
		}
		return &imapDialed{tc, !unverified || near}, nil
	}
	if mode == tlsNone {
		return &imapDialed{conn, true}, nil
	}
	patience := commandTimeout
	if mode == tlsAuto {
		patience = greetingTimeout
	}
	greeting, offered, err := askIMAPStartTLS(conn, patience)
	if err != nil {
		return nil, err
	}
	if !offered {
		if mode == tlsStartTLS {
			return nil, imapTrouble(imapNoTLS, a, nil)
		}
		return &imapDialed{&greeted{Conn: conn, greeting: strings.NewReader(greeting)}, near}, nil
	}
	tc, err := encrypt()
	if err != nil {
		return nil, err
	}
	// The server says nothing by itself after the handshake; the library waits for a greeting.
	return &imapDialed{&greeted{Conn: tc, greeting: strings.NewReader("* OK go on\r\n")}, !unverified || near}, nil
}

// askIMAPStartTLS reads the greeting and asks for STARTTLS if it is offered (RFC 3501 §6.2.1); the handshake is then
// due. The greeting is for the library if it is not.
func askIMAPStartTLS(conn net.Conn, patience time.Duration) (greeting string, offered bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", false, err
	}
	r := bufio.NewReader(io.LimitReader(conn, 64<<10))
	line := func() (string, error) {
		s, err := r.ReadString('\n')
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return strings.TrimRight(s, "\r\n"), err
	}
	if greeting, err = line(); err != nil {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() && greeting == "" {
			err = errNoGreeting
		}
		return "", false, err
	}
	if err := conn.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		return "", false, err
	}
	word := func(s string, n int) string {
		if f := strings.Fields(s); len(f) > n {
			return strings.ToUpper(f[n])
		}
		return ""
	}
	switch {
	case word(greeting, 0) != "*":
		return "", false, fmt.Errorf("no IMAP server: it greets with %q", cleanLine(greeting, 100))
	case word(greeting, 1) == "BYE":
		return "", false, fmt.Errorf("the server sends us away: %s", cleanLine(greeting, 200))
	case word(greeting, 1) == "PREAUTH":
		return "", false, errors.New("the server signs everybody in before the encryption (PREAUTH)")
	}
	// ask sends one command and gives what was said before its end, and whether that was OK.
	ask := func(tag, command string) (data []string, ok bool, err error) {
		if _, err := fmt.Fprintf(conn, "%s %s\r\n", tag, command); err != nil {
			return nil, false, err
		}
		for {
			s, err := line()
			if err != nil {
				return nil, false, err
			}
			if word(s, 0) == tag {
				return append(data, s), word(s, 1) == "OK", nil
			}
			data = append(data, s)
		}
	}
	data, ok, err := ask("A1", "CAPABILITY")
	if err != nil {
		return "", false, err
	}
	for _, s := range data {
		for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ']' || r == '[' }) {
			offered = offered || ok && strings.EqualFold(w, "STARTTLS")
		}
	}
	if offered {
		if _, offered, err = ask("A2", "STARTTLS"); err != nil {
			return "", false, err
		}
		if offered && r.Buffered() > 0 {
			// Answers that were sent before the encryption must not count after it (CVE-2011-0411 and its kin).
			return "", false, errors.New("the server sent plain text after its answer to STARTTLS")
		}
	}
	// The tagged answers are done; the library begins its own tags.
	return greeting + "\r\n", offered, conn.SetDeadline(time.Time{})
}

// imapStage is how far the opening came: what an error means depends on it.
type imapStage int

const (
	imapConnect imapStage = iota
	imapNoTLS
	imapInsecure
	imapAuth
	imapSelect
	imapReading
)

// imapTrouble turns a failure into words and says whether a person must help.
func imapTrouble(st imapStage, a channel.Account, err error) *imapError {
	t := func(de, en string) channel.Text { return channel.Text{DE: de, EN: en} }
	e := &imapError{trouble: &channel.Trouble{Err: err}}
	tr := e.trouble
	var no *imapRefusal
	said := ""
	if errors.As(err, &no) {
		said = cleanLine(no.err.Text, 200)
	}
	var dns *net.DNSError
	var barred interface{ NotSent() bool }
	check := t("Prüfen Sie imap_host, imap_port und imap_tls und ob der Server erreichbar ist; es wird von selbst weiter versucht.",
		"Check imap_host, imap_port and imap_tls, and whether the server can be reached; it is tried again by itself.")
	switch {
	case st == imapNoTLS:
		e.final = true
		tr.Reason = t("Der Posteingangsserver bietet kein STARTTLS an.", "The incoming server does not offer STARTTLS.")
		tr.Remedy = t("Stellen Sie imap_tls=tls und imap_port=993 ein.", "Set imap_tls=tls and imap_port=993.")
	case st == imapInsecure:
		e.final = true
		tr.Reason = t("Der Posteingangsserver bietet keine Verschlüsselung; das Kennwort würde offen übertragen.",
			"The incoming server offers no encryption, so the password would be sent in the clear.")
		tr.Remedy = t("Nehmen Sie imap_port=993, oder stellen Sie imap_tls=none ein, wenn das gewollt ist.",
			"Use imap_port=993, or set imap_tls=none if that is wanted.")
	case certificateError(err):
		e.final = true
		tr.Reason = t("Das Zertifikat des Posteingangsservers ist ungültig.", "The incoming server's certificate does not verify.")
		tr.Remedy = t("Tragen Sie als imap_host den Namen ein, der im Zertifikat steht; ist es abgelaufen, muss der Anbieter es erneuern.",
			"Enter as imap_host the name that is in the certificate; if it has expired, the provider must renew it.")
	case errors.As(err, &dns):
		tr.Reason = t("Der Name des Posteingangsservers lässt sich nicht auflösen.", "The incoming server's name cannot be resolved.")
		tr.Remedy = check
	case errors.As(err, &barred) && barred.NotSent():
		e.final = true
		tr.Reason = t("Der Posteingangsserver liegt in einem privaten Netz, und dorthin verbindet Rufweite nicht von selbst.",
			"The incoming server is in a private network, to which Rufweite does not connect by itself.")
		tr.Remedy = t("Starten Sie den Server mit --allow-private-targets, wenn das gewollt ist.", "Start the server with --allow-private-targets if that is wanted.")
	case errors.Is(err, errNoBearer):
		e.final = true
		tr.Reason = t("Der Posteingangsserver nimmt keine OAuth-Anmeldung an.", "The incoming server takes no OAuth sign-in.")
		tr.Remedy = t("Setzen Sie imap_user und imap_password, oder prüfen Sie imap_host.", "Set imap_user and imap_password, or check imap_host.")
	case errors.Is(err, errNoPassword):
		e.final = true
		tr.Reason = t("Der Posteingangsserver nimmt keine Anmeldung mit Kennwort an.", "The incoming server takes no sign-in with a password.")
		tr.Remedy = t("Richten Sie die OAuth-Anmeldung ein (oauth_client_id und weitere).", "Set up the OAuth sign-in (oauth_client_id and others).")
	case st == imapAuth && no != nil && (no.err.Code == imap.ResponseCodeUnavailable || no.err.Code == imap.ResponseCodeInUse ||
		no.err.Code == imap.ResponseCodeLimit || no.err.Code == imap.ResponseCodeServerBug):
		// RFC 5530: not now
		tr.Reason = t("Der Posteingangsserver kann die Anmeldung gerade nicht prüfen.", "The incoming server cannot check the sign-in right now.")
		tr.Remedy = t("Es wird von selbst weiter versucht.", "It is tried again by itself.")
	case st == imapAuth && (no != nil || errors.Is(err, errTokenRefused)):
		e.final, e.auth = true, true
		tr.Reason = t("Die Anmeldung am Posteingangsserver wurde abgelehnt.", "The incoming server refused the sign-in.")
		tr.Remedy = t("Prüfen Sie imap_user und imap_password; mancher Anbieter verlangt ein App-Kennwort oder dass IMAP erst eingeschaltet wird.",
			"Check imap_user and imap_password; some providers ask for an app password, or want IMAP to be switched on first.")
	case st == imapSelect && no != nil:
		e.final = true
		folder := cleanLine(imapFolder(a.Settings), 100)
		tr.Reason = t("Den Ordner „"+folder+"“ gibt es im Postfach nicht, oder er darf nicht gelesen werden.",
			"The mailbox has no folder \""+folder+"\", or it may not be read.")
		tr.Remedy = t("Tragen Sie als imap_folder einen Ordner ein, den es gibt (meist INBOX; Unterordner z. B. als INBOX/Service oder INBOX.Service).",
			"Enter as imap_folder a folder that exists (usually INBOX; a folder below it as INBOX/Service or INBOX.Service).")
	case st == imapConnect:
		tr.Reason = t("Der Posteingangsserver ist nicht erreichbar.", "The incoming server cannot be reached.")
		tr.Remedy = check
	default:
		tr.Reason = t("Die Verbindung zum Posteingangsserver bricht immer wieder ab.", "The connection to the incoming server breaks again and again.")
		tr.Remedy = check
	}
	if said != "" {
		tr.Reason.DE += " Er sagt: " + said
		tr.Reason.EN += " It says: " + said
	}
	return e
}
