package email

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/rufweite/rufweite/internal/channel"
)

// How long the outgoing server may take. RFC 5321 §4.5.3.2 allows minutes for each step; the caller's context is
// usually shorter and always wins.
const (
	dialTimeout    = 30 * time.Second
	commandTimeout = time.Minute
	writeTimeout   = time.Minute      // for one write while the message goes out
	answerTimeout  = 10 * time.Minute // for the answer to the final dot (§4.5.3.2.6)
)

// stage is how far a submission came: what an error means depends on it.
type stage int

const (
	stageConnect   stage = iota // up to and including TLS
	stageAuth                   // signing in
	stageSender                 // MAIL FROM
	stageRecipient              // RCPT TO the customer
	stageCopy                   // RCPT TO a copy
	stageData                   // from DATA to the last byte before the final dot
	stageAnswer                 // the final dot was (perhaps) written
)

// Send implements channel.Sender: one submission for the recipient and all copies, all or nothing. Up to the final
// dot nothing was accepted, so that every failure is Temporary, Permanent, NotHere or Misconfig. Once the final dot
// may be out and no answer came, the class is Unknown: the server may have taken the message.
func (Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	if a.Settings["smtp_host"] == "" {
		return channel.Receipt{}, &channel.SendError{Class: channel.Misconfig, Reason: channel.Text{
			DE: "Senden nicht möglich: smtp_host ist nicht eingestellt.", EN: "cannot send: no smtp_host"}}
	}
	from, ok := wireAddress(a.Settings["address"])
	if !ok {
		return channel.Receipt{}, &channel.SendError{Class: channel.Misconfig, Reason: channel.Text{
			DE: "Senden nicht möglich: die eigene Adresse ist ungültig.", EN: "cannot send: the account's own address is invalid"}}
	}
	to, ok := wireAddress(out.To.Value)
	if !ok {
		return channel.Receipt{}, &channel.SendError{Class: channel.Permanent, Reason: channel.Text{
			DE: "Die Empfängeradresse ist keine E-Mail-Adresse.", EN: "the recipient's address is not an e-mail address"}}
	}
	rcpts := []string{to}
	seen := map[string]bool{strings.ToLower(to): true}
	for _, m := range append(append([]channel.Mailbox{}, out.Cc...), out.Bcc...) {
		addr, ok := wireAddress(m.Address)
		if !ok {
			return channel.Receipt{}, &channel.SendError{Class: channel.Permanent, Reason: channel.Text{
				DE: "Die Kopie-Adresse „" + cleanLine(m.Address, 100) + "“ ist keine E-Mail-Adresse.",
				EN: "the copy's address \"" + cleanLine(m.Address, 100) + "\" is not an e-mail address"}}
		}
		if key := strings.ToLower(addr); !seen[key] {
			seen[key] = true
			rcpts = append(rcpts, addr)
		}
	}
	if out.At.IsZero() {
		out.At = now(env)
	}

	if a.Settings["plus_addresses"] == "no" {
		out.ReplyToken = "" // an answer to it would come back to the customer as undeliverable
	}
	compose := func(w io.Writer) error { return Compose(w, a, out, env.Hostname) }
	switch sign, err := signerFor(a); {
	case err != nil:
		return channel.Receipt{}, &channel.SendError{Class: channel.Misconfig, Err: err, Reason: channel.Text{
			DE: "Senden nicht möglich: die DKIM-Einstellungen stimmen nicht.", EN: "cannot send: the DKIM settings are wrong"}}
	case sign != nil:
		// Before the server is asked: composing may take long, and its failures cost no connection.
		m, err := composeSigned(a, out, env.Hostname, sign)
		if err != nil {
			return channel.Receipt{}, composeError(err)
		}
		defer m.Close()
		compose = func(w io.Writer) error { _, err := m.WriteTo(w); return err }
	}

	c, serr := connect(ctx, a, env)
	if serr != nil {
		return channel.Receipt{}, serr
	}
	defer c.Close()
	opts := &smtp.MailOptions{}
	for _, r := range append([]string{from}, rcpts...) {
		opts.UTF8 = opts.UTF8 || !isASCII([]byte(r))
	}
	if ok, _ := c.Extension("SMTPUTF8"); opts.UTF8 && !ok {
		return channel.Receipt{}, &channel.SendError{Class: channel.Permanent, Reason: channel.Text{
			DE: "Der Postausgangsserver kann keine Adressen mit Umlauten vor dem @.",
			EN: "the outgoing server does not know addresses with non-ASCII letters before the @"}}
	}
	if err := c.Mail(from, opts); err != nil {
		return channel.Receipt{}, classify(stageSender, c.why(err))
	}
	for i, r := range rcpts {
		if err := c.Rcpt(r, nil); err != nil {
			st := stageRecipient
			if i > 0 {
				st = stageCopy
			}
			se := classify(st, c.why(err))
			if i > 0 {
				se.Reason.DE += " (Kopie an " + r + "; es wurde nichts gesendet)"
				se.Reason.EN += " (copy to " + r + "; nothing was sent)"
			}
			return channel.Receipt{}, se
		}
	}
	w, err := c.Data()
	if err != nil {
		return channel.Receipt{}, classify(stageData, c.why(err))
	}
	if err := compose(w); err != nil {
		// Without the final dot the server must throw away what it has (RFC 5321 §4.1.1.4). Close the connection, so
		// that nothing ever completes the message.
		c.Close()
		var fe *fileError
		if errors.As(err, &fe) {
			return channel.Receipt{}, composeError(err)
		}
		return channel.Receipt{}, classify(stageData, c.why(err))
	}
	if err := ctx.Err(); err != nil {
		c.Close()
		return channel.Receipt{}, classify(stageData, err)
	}
	// From here on the final dot may be out.
	if err := w.Close(); err != nil {
		return channel.Receipt{}, classify(stageAnswer, c.why(err))
	}
	c.CommandTimeout = 5 * time.Second
	_ = c.Quit() // the message is accepted whatever the server says now
	return channel.Receipt{ExternalID: messageID(a, out, env.Hostname), State: channel.Sent}, nil
}

// composeError is the failure of a mail that could not be written for reasons of our own; nothing was sent.
func composeError(err error) *channel.SendError {
	se := &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{
		DE: "Die Nachricht konnte nicht zusammengestellt werden.", EN: "the message could not be put together"}}
	var fe *fileError
	if errors.As(err, &fe) {
		se.Reason = channel.Text{
			DE: "Der Anhang „" + fe.name + "“ konnte nicht gelesen werden.",
			EN: "the attachment \"" + fe.name + "\" could not be read"}
	}
	return se
}

func now(env channel.Env) time.Time {
	if env.Now != nil {
		return env.Now()
	}
	return time.Now()
}

// client is a connection to the outgoing server that ends with its context.
type client struct {
	*smtp.Client
	ctx  context.Context
	stop func() bool
}

// Close ends the connection at once.
func (c *client) Close() error {
	c.stop()
	return c.Client.Close()
}

// why prefers the context's error to the "use of closed connection" that it caused.
func (c *client) why(err error) error {
	var se *smtp.SMTPError
	if cerr := c.ctx.Err(); cerr != nil && !errors.As(err, &se) {
		return fmt.Errorf("%w (%v)", cerr, err)
	}
	return err
}

// connect dials, encrypts and signs in as the settings say.
//
// smtp_tls: "tls" and "starttls" demand encryption and a certificate that verifies. "none" never encrypts. "auto"
// takes what is offered: TLS on port 465, elsewhere STARTTLS if the server has it. In auto a certificate that does
// not verify (a relay of one's own with a self-signed one) is accepted as long as no password is at stake, or the
// server is on this machine or in a private network; over the Internet a password goes only where a certificate
// proves the server, because whoever can intercept the connection could otherwise read it.
func connect(ctx context.Context, a channel.Account, env channel.Env) (*client, *channel.SendError) {
	var last *channel.SendError
	if again := signIns.blocked(a, "smtp", now(env), &last); again > 0 {
		se := *last
		se.Reason.DE += "." + notNow(again).DE
		se.Reason.EN += "." + notNow(again).EN
		se.Reason.DE = strings.Replace(se.Reason.DE, "..", ".", 1)
		return nil, &se
	}
	c, serr := connectAs(ctx, a, env)
	if serr != nil && serr.Class == channel.Misconfig && errors.Is(serr, errSignIn) {
		signIns.failed(a, "smtp", now(env), serr)
	}
	return c, serr
}

// errSignIn is inside the error of a sign-in that was refused.
var errSignIn = errors.New("sign-in refused")

// connectAs is connect without the guard against locked accounts.
func connectAs(ctx context.Context, a channel.Account, env channel.Env) (*client, *channel.SendError) {
	if !usesOAuth(a.Settings, "smtp") {
		return connectOnce(ctx, a, env, "")
	}
	token, err := accessToken(ctx, a, env, "")
	if err != nil {
		return nil, noToken(err)
	}
	c, serr := connectOnce(ctx, a, env, token)
	var refused *oauthError
	if serr != nil && errors.As(serr.Err, &refused) {
		// The token may have ended before its time (revoked, changed password, another clock): once more with a new one.
		if token, err = accessToken(ctx, a, env, token); err != nil {
			return nil, noToken(err)
		}
		c, serr = connectOnce(ctx, a, env, token)
	}
	return c, serr
}

func noToken(err error) *channel.SendError {
	var oe *oauthError
	if errors.As(err, &oe) {
		return oe.send()
	}
	return classify(stageConnect, err)
}

// connectOnce signs in with the token, or with the password if that is "". A refused token is an *oauthError inside.
func connectOnce(ctx context.Context, a channel.Account, env channel.Env, token string) (*client, *channel.SendError) {
	host := strings.Trim(a.Settings["smtp_host"], "[]")
	port := a.Settings.Or("smtp_port", "587")
	mode := a.Settings.Or("smtp_tls", tlsAuto)
	user, password := a.Settings["smtp_user"], a.Settings["smtp_password"]
	signIn := user != "" || token != ""
	if env.Dial == nil {
		return nil, &channel.SendError{Class: channel.Temporary, Err: errors.New("no dialer in the environment"),
			Reason: channel.Text{DE: "Keine Verbindung ins Netz.", EN: "no way to the network"}}
	}
	c, secret, serr := open(ctx, env, host, port, mode, signIn, false)
	if serr == errUnverified {
		// Opportunistic: again, without checking the certificate.
		c, secret, serr = open(ctx, env, host, port, mode, signIn, true)
	}
	if serr != nil {
		return nil, serr
	}
	if !signIn {
		return c, nil
	}
	if ok, _ := c.Extension("AUTH"); !ok {
		return c, nil // nothing to sign in to; a server that wants it says so at MAIL FROM
	}
	bearerBy := ""
	if token != "" {
		if bearerBy = bearerMech(c.SupportsAuth); bearerBy == "" && user == "" {
			return c, nil // a relay of one's own beside a mailbox that is pulled with OAuth
		}
	}
	if !secret {
		c.Close()
		return nil, &channel.SendError{Class: channel.Misconfig, Reason: channel.Text{
			DE: "Der Postausgangsserver bietet keine Verschlüsselung; das Kennwort würde offen übertragen. Stellen Sie smtp_tls=none ein, wenn das gewollt ist.",
			EN: "the outgoing server offers no encryption, so the password would be sent in the clear; set smtp_tls=none if that is wanted"}}
	}
	var auth sasl.Client
	switch {
	case bearerBy != "":
		auth = &bearer{mech: bearerBy, user: oauthUser(a.Settings, "smtp"), token: token, host: host, port: port}
	case token != "":
		c.Close()
		return nil, &channel.SendError{Class: channel.Misconfig, Reason: channel.Text{
			DE: "Der Postausgangsserver nimmt keine OAuth-Anmeldung an; setzen Sie smtp_password.",
			EN: "the outgoing server takes no OAuth sign-in; set smtp_password"}}
	case c.SupportsAuth(sasl.Plain):
		auth = sasl.NewPlainClient("", user, password)
	case c.SupportsAuth("LOGIN"):
		auth = sasl.NewLoginClient(user, password)
	default:
		c.Close()
		return nil, &channel.SendError{Class: channel.Misconfig, Reason: channel.Text{
			DE: "Der Postausgangsserver nimmt keine Anmeldung mit Kennwort an.",
			EN: "the outgoing server takes no sign-in with a password"}}
	}
	if err := c.Auth(auth); err != nil {
		serr := classify(stageAuth, c.why(err))
		var se *smtp.SMTPError
		if b, ok := auth.(*bearer); ok && serr.Class == channel.Misconfig &&
			(b.refused != "" || errors.As(err, &se) && (se.Code == 535 || se.Code == 534 || se.EnhancedCode[1] == 7)) {
			if b.refused != "" {
				err = fmt.Errorf("%s (%w)", b.refused, err)
			}
			code := serr.Code
			serr = unwanted(err).send()
			serr.Code = code
		}
		serr.Err = fmt.Errorf("%w: %w", errSignIn, serr.Err)
		c.Close()
		return nil, serr
	}
	return c, nil
}

// errUnverified asks for a second, unverified attempt.
var errUnverified = &channel.SendError{Class: channel.Misconfig}

// open connects once. secret tells whether a password may be sent over the connection.
func open(ctx context.Context, env channel.Env, host, port, mode string, signIn, unverified bool) (_ *client, secret bool, _ *channel.SendError) {
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	conn, err := env.Dial.DialContext(dctx, "tcp", net.JoinHostPort(host, port))
	cancel()
	if err != nil {
		return nil, false, classify(stageConnect, err)
	}
	conn = &writeDeadline{Conn: conn}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	fail := func(err error) (*client, bool, *channel.SendError) {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%v)", ctx.Err(), err)
		}
		return nil, false, classify(stageConnect, err)
	}
	near := nearby(conn.RemoteAddr())
	tlsConfig := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: unverified}
	mayRetry := mode == tlsAuto && !unverified && (!signIn || near)
	implicit := mode == tlsImplicit || mode == tlsAuto && port == "465"
	wire, encrypted := net.Conn(conn), false
	encrypt := func() *channel.SendError {
		tc := tls.Client(conn, tlsConfig)
		conn.SetDeadline(time.Now().Add(commandTimeout))
		if err := tc.HandshakeContext(ctx); err != nil {
			if mayRetry && certificateError(err) {
				stop()
				conn.Close()
				return errUnverified
			}
			_, _, serr := fail(err)
			return serr
		}
		conn.SetDeadline(time.Time{})
		wire, encrypted = tc, true
		return nil
	}
	switch {
	case implicit:
		if serr := encrypt(); serr != nil {
			return nil, false, serr
		}
	case mode != tlsNone:
		offered, err := askStartTLS(conn, heloFor(env.Hostname))
		switch {
		case err != nil:
			return fail(err)
		case offered:
			if serr := encrypt(); serr != nil {
				return nil, false, serr
			}
		case mode == tlsStartTLS:
			stop()
			conn.Close()
			return nil, false, &channel.SendError{Class: channel.Misconfig, Reason: channel.Text{
				DE: "Der Postausgangsserver bietet kein STARTTLS an.",
				EN: "the outgoing server does not offer STARTTLS"}}
		}
		wire = &greeted{Conn: wire, greeting: strings.NewReader("220 go on\r\n")}
	}
	sc := smtp.NewClient(wire)
	sc.CommandTimeout, sc.SubmissionTimeout = commandTimeout, answerTimeout
	if err := sc.Hello(heloFor(env.Hostname)); err != nil {
		return fail(err)
	}
	secret = mode == tlsNone || near || encrypted && !unverified
	return &client{Client: sc, ctx: ctx, stop: stop}, secret, nil
}

// askStartTLS reads the greeting, says EHLO and asks for STARTTLS if it is offered; the TLS handshake is then due.
// The library's client can do that only on a connection that surely has STARTTLS.
func askStartTLS(conn net.Conn, name string) (offered bool, err error) {
	conn.SetDeadline(time.Now().Add(commandTimeout))
	defer conn.SetDeadline(time.Time{})
	r := bufio.NewReader(io.LimitReader(conn, 64<<10))
	t := textproto.NewReader(r)
	answer := func(expect int) (string, error) {
		_, msg, err := t.ReadResponse(expect)
		var te *textproto.Error
		if errors.As(err, &te) {
			return "", smtpError(te)
		}
		return msg, err
	}
	if _, err := answer(220); err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(conn, "EHLO %s\r\n", name); err != nil {
		return false, err
	}
	msg, err := answer(250)
	var se *smtp.SMTPError
	if errors.As(err, &se) && (se.Code == 500 || se.Code == 502) {
		return false, nil // knows HELO only
	}
	if err != nil {
		return false, err
	}
	for line := range strings.SplitSeq(msg, "\n") {
		offered = offered || strings.EqualFold(firstWord(line), "STARTTLS")
	}
	if !offered {
		return false, nil
	}
	if _, err := fmt.Fprint(conn, "STARTTLS\r\n"); err != nil {
		return false, err
	}
	if _, err := answer(220); err != nil {
		return false, err
	}
	if r.Buffered() > 0 {
		// Answers that were sent before the encryption must not count after it (CVE-2011-0411 and its kin).
		return false, errors.New("the server sent plain text after its answer to STARTTLS")
	}
	return true, nil
}

// smtpError reads the enhanced code (RFC 2034) of an answer.
func smtpError(te *textproto.Error) *smtp.SMTPError {
	e := &smtp.SMTPError{Code: te.Code, Message: te.Msg}
	var code smtp.EnhancedCode
	if n, _ := fmt.Sscanf(te.Msg, "%d.%d.%d ", &code[0], &code[1], &code[2]); n == 3 {
		e.EnhancedCode = code
		_, e.Message, _ = strings.Cut(te.Msg, " ")
	}
	return e
}

// greeted repeats a greeting that was read already.
type greeted struct {
	net.Conn
	greeting *strings.Reader
}

func (g *greeted) Read(p []byte) (int, error) {
	if g.greeting.Len() > 0 {
		return g.greeting.Read(p)
	}
	return g.Conn.Read(p)
}

// writeDeadline bounds every write: the library sets deadlines for commands only, not for the message.
type writeDeadline struct{ net.Conn }

func (c *writeDeadline) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return c.Conn.Write(p)
}

// heloFor is the name in EHLO; without a known host name it must still be a word.
func heloFor(hostname string) string {
	if hostname == "" {
		return "localhost"
	}
	return heloName(hostname)
}

// nearby tells whether the server is on this machine or in a private network (RFC 1918, RFC 4193).
func nearby(a net.Addr) bool {
	ip := addrOf(a)
	return ip.IsLoopback() || ip.IsPrivate()
}

func certificateError(err error) bool {
	var ve *tls.CertificateVerificationError
	var ua x509.UnknownAuthorityError
	var hn x509.HostnameError
	var ci x509.CertificateInvalidError
	return errors.As(err, &ve) || errors.As(err, &ua) || errors.As(err, &hn) || errors.As(err, &ci)
}

// classify turns a failure into what may be done about it.
func classify(st stage, err error) *channel.SendError {
	e := &channel.SendError{Class: channel.Temporary, Err: err}
	var se *smtp.SMTPError
	if errors.As(err, &se) {
		e.Code = fmt.Sprint(se.Code)
		if se.EnhancedCode[0] > 0 {
			e.Code += fmt.Sprintf(" %d.%d.%d", se.EnhancedCode[0], se.EnhancedCode[1], se.EnhancedCode[2])
		}
		e.Err = errors.New(cleanLine(se.Message, 500))
		classifyAnswer(st, se, e)
		return e
	}
	if st == stageAnswer {
		e.Class = channel.Unknown
		e.Reason = channel.Text{
			DE: "Der Postausgangsserver hat nach der Übergabe nicht geantwortet; die Nachricht kann angekommen sein.",
			EN: "the outgoing server did not answer after the message was handed over; it may have been accepted"}
		return e
	}
	var dns *net.DNSError
	switch {
	case certificateError(err):
		e.Class = channel.Misconfig
		e.Reason = channel.Text{
			DE: "Das Zertifikat des Postausgangsservers ist ungültig.",
			EN: "the outgoing server's certificate does not verify"}
	case errors.As(err, &dns):
		e.Reason = channel.Text{
			DE: "Der Name des Postausgangsservers lässt sich nicht auflösen.",
			EN: "the outgoing server's name cannot be resolved"}
	case st == stageConnect:
		e.Reason = channel.Text{
			DE: "Der Postausgangsserver ist nicht erreichbar.",
			EN: "the outgoing server cannot be reached"}
	default:
		e.Reason = channel.Text{
			DE: "Die Verbindung zum Postausgangsserver ist abgebrochen; es wurde nichts gesendet.",
			EN: "the connection to the outgoing server broke; nothing was sent"}
	}
	return e
}

// classifyAnswer reads the server's answer (RFC 5321 §4.2, enhanced codes of RFC 3463).
func classifyAnswer(st stage, se *smtp.SMTPError, e *channel.SendError) {
	subject, detail := se.EnhancedCode[1], se.EnhancedCode[2]
	auth := se.Code == 530 || se.Code == 534 || se.Code == 535 || se.Code == 538 ||
		subject == 7 && (detail == 8 || detail == 9 || detail == 57) && se.Code >= 500
	switch {
	case st == stageAnswer && se.Code < 400:
		e.Class = channel.Unknown // neither 250 nor a refusal
		e.Reason = channel.Text{DE: "Der Postausgangsserver hat nach der Übergabe unverständlich geantwortet.",
			EN: "the outgoing server gave no clear answer after the message was handed over"}
	case se.Code == 421 && subject == 7 || se.Code == 454 && subject == 7 && detail == 0 && st != stageAuth || se.Code == 450 && subject == 7 && detail == 28:
		e.Class, e.RetryAfter = channel.RateLimited, 5*time.Minute // SMTP has no way to say how long
		e.Reason = channel.Text{DE: "Der Postausgangsserver bremst; es wird später erneut versucht.",
			EN: "the outgoing server slows us down; it is tried again later"}
	case se.Code < 500:
		e.Class = channel.Temporary
		e.Reason = channel.Text{DE: "Der Postausgangsserver nimmt die Nachricht gerade nicht an.",
			EN: "the outgoing server does not take the message right now"}
	case auth || st == stageAuth:
		e.Class = channel.Misconfig
		e.Reason = channel.Text{DE: "Die Anmeldung am Postausgangsserver wurde abgelehnt.",
			EN: "the outgoing server refused the sign-in"}
	case st == stageConnect:
		e.Class = channel.Misconfig
		e.Reason = channel.Text{DE: "Der Postausgangsserver lehnt die Verbindung ab.",
			EN: "the outgoing server refuses the connection"}
	case se.Code == 552 || subject == 3 && detail == 4:
		e.Class = channel.Permanent
		e.Reason = channel.Text{DE: "Die Nachricht ist dem Postausgangsserver zu groß.",
			EN: "the message is too large for the outgoing server"}
	case st == stageSender:
		e.Class = channel.Misconfig
		e.Reason = channel.Text{DE: "Der Postausgangsserver erlaubt die Absenderadresse nicht.",
			EN: "the outgoing server does not allow the sender's address"}
	case st == stageRecipient && subject == 1 && (detail == 1 || detail == 2 || detail == 3 || detail == 10):
		// RFC 3463 §3.2 (bad mailbox, bad system, bad syntax), RFC 7505 (null MX)
		e.Class = channel.NotHere
		e.Reason = channel.Text{DE: "Diese E-Mail-Adresse gibt es nicht.", EN: "this e-mail address does not exist"}
	default:
		e.Class = channel.Permanent
		e.Reason = channel.Text{DE: "Der Postausgangsserver lehnt die Nachricht ab.",
			EN: "the outgoing server refuses the message"}
	}
}
