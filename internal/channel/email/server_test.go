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
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// intake is a Sink that remembers.
type intake struct {
	mu  sync.Mutex
	got []stored
	err error
	on  func(channel.Inbound) // called before storing
}

type stored struct {
	account channel.Account
	in      channel.Inbound
}

func (i *intake) sink(_ context.Context, a channel.Account, in channel.Inbound) error {
	if i.on != nil {
		i.on(in)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return i.err
	}
	i.got = append(i.got, stored{a, in})
	return nil
}

func (i *intake) all() []stored {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]stored{}, i.got...)
}

func (i *intake) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

// directory knows two accounts and one address whose look-up fails.
func directory(_ context.Context, rcpt string) (channel.Account, bool, error) {
	switch rcpt {
	case "service@firma.example":
		return channel.Account{ID: "a1", Org: "o1", Kind: Kind}, true, nil
	case "vertrieb@firma.example":
		return channel.Account{ID: "a2", Org: "o1", Kind: Kind}, true, nil
	case "kaputt@firma.example":
		return channel.Account{}, false, errors.New("database is away")
	}
	return channel.Account{}, false, nil
}

// serve starts a server on loopback.
func serve(t testing.TB, i *intake, change func(*Config)) (*Server, string) {
	t.Helper()
	cfg := Config{Hostname: "mx.firma.example", Lookup: directory, Sink: i.sink}
	if change != nil {
		change(&cfg)
	}
	s := NewServer(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

// wire is a raw SMTP client that sends exactly what a test says.
type wire struct {
	t testing.TB
	c net.Conn
	r *textproto.Reader
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, textproto.NewReader(bufio.NewReader(c))}
}

func (w *wire) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w.c, s); err != nil {
		w.t.Fatal(err)
	}
}

// expect reads an answer and compares its beginning.
func (w *wire) expect(prefix string) string {
	w.t.Helper()
	code, msg, err := w.r.ReadResponse(0)
	got := fmt.Sprintf("%d %s", code, msg)
	if err != nil && code == 0 {
		w.t.Fatalf("no answer (want %q): %v", prefix, err)
	}
	if !strings.HasPrefix(got, prefix) {
		w.t.Fatalf("answer %q, want %q", got, prefix)
	}
	return got
}

func (w *wire) cmd(line, prefix string) string {
	w.t.Helper()
	w.send(line + "\r\n")
	return w.expect(prefix)
}

// envelope goes as far as DATA.
func (w *wire) envelope(to ...string) {
	w.t.Helper()
	w.expect("220")
	w.cmd("EHLO kunde.example", "250")
	w.cmd("MAIL FROM:<joerg@kunde.example>", "250")
	for _, addr := range to {
		w.cmd("RCPT TO:<"+addr+">", "250")
	}
	w.cmd("DATA", "354")
}

const letter = "From: J <joerg@kunde.example>\r\nSubject: x\r\nMessage-ID: <1@kunde.example>\r\n\r\nHallo\r\n"

func TestServerReceives(t *testing.T) {
	var i intake
	now := time.Date(2026, 3, 3, 9, 0, 0, 0, time.FixedZone("CET", 3600))
	_, addr := serve(t, &i, func(c *Config) { c.Now = func() time.Time { return now } })
	w := dial(t, addr)
	w.expect("220 mx.firma.example")
	ehlo := w.cmd("EHLO mail.kunde.example", "250")
	for _, ext := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 36700160", "ENHANCEDSTATUSCODES"} {
		if !strings.Contains(ehlo, ext) {
			t.Errorf("EHLO lacks %s: %s", ext, ehlo)
		}
	}
	if strings.Contains(ehlo, "AUTH") || strings.Contains(ehlo, "STARTTLS") {
		t.Errorf("EHLO offers what is not there: %s", ehlo)
	}
	w.cmd("MAIL FROM:<joerg@kunde.example> BODY=8BITMIME", "250")
	w.cmd("RCPT TO:<Service+r.abc@Firma.Example>", "250")
	w.cmd("RCPT TO:<vertrieb@firma.example>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	w.cmd("DATA", "354")
	w.send(strings.Replace(letter, "Hallo", "..gepunktet\r\nGrüße", 1) + ".\r\n")
	w.expect("250")
	w.cmd("QUIT", "221")
	got := i.all()
	if len(got) != 2 || got[0].account.ID != "a1" || got[1].account.ID != "a2" {
		t.Fatalf("stored for %+v", got)
	}
	in := got[0].in
	if in.Err != "" || in.Type != "message/rfc822" || len(in.Events) != 1 {
		t.Fatalf("inbound %+v", in)
	}
	e := in.Events[0]
	if e.Message.ReplyToken != "abc" || e.Message.Text != ".gepunktet\nGrüße" || e.Sender.Value != "joerg@kunde.example" ||
		e.Sender.Assurance != channel.Claimed || !e.At.Equal(now) {
		t.Errorf("event %+v %+v", e, e.Message)
	}
	if got[1].in.Events[0].Message.ReplyToken != "" || got[1].in.Events[0].Key != e.Key {
		t.Error("the second mailbox must get the same key and no token of the first")
	}
	lines := strings.Split(string(in.Raw), "\r\n")
	if lines[0] != "X-Rufweite-Envelope: v=1; peer=127.0.0.1; helo=mail.kunde.example; from=<joerg@kunde.example>" {
		t.Errorf("envelope %q", lines[0])
	}
	if lines = lines[1:]; lines[0] != "Return-Path: <joerg@kunde.example>" || lines[1] != "Delivered-To: Service+r.abc@firma.example" ||
		lines[2] != "Received: from mail.kunde.example ([127.0.0.1])" ||
		!strings.HasPrefix(lines[3], "\tby mx.firma.example with ESMTP id ") ||
		lines[4] != "\tfor <Service+r.abc@firma.example>; Tue, 03 Mar 2026 09:00:00 +0100" || lines[5] != "From: J <joerg@kunde.example>" {
		t.Errorf("trace fields:\n%s", strings.Join(lines[:6], "\n"))
	}
}

func TestServerRefuses(t *testing.T) {
	var i intake
	_, addr := serve(t, &i, func(c *Config) { c.MaxBytes = 10000; c.MaxRecipients = 2 })
	w := dial(t, addr)
	w.expect("220")
	w.cmd("MAIL FROM:<a@b.example>", "502")
	w.cmd("EHLO x", "250")
	w.cmd("AUTH PLAIN AGEAYg==", "5")
	w.cmd("STARTTLS", "502")
	w.cmd("VRFY service", "252")
	w.cmd("MAIL FROM:<a@b.example> SIZE=10001", "552 5.3.4")
	w.cmd("MAIL FROM:<a@b.example>", "250")
	w.cmd("RCPT TO:<niemand@firma.example>", "550 5.1.1")
	w.cmd("RCPT TO:<someone@gmail.example>", "550 5.1.1") // no relaying
	w.cmd("RCPT TO:<@relay.example:someone@gmail.example>", "5")
	w.cmd("RCPT TO:<service%gmail.example@firma.example>", "550 5.1.1")
	w.cmd("RCPT TO:<niemand+service@firma.example>", "550 5.1.1")
	w.cmd("RCPT TO:<kaputt@firma.example>", "451 4.3.0")
	w.cmd("DATA", "502")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	w.cmd("RCPT TO:<vertrieb@firma.example>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "452 4.5.3")
	w.cmd("DATA", "354")
	w.send(letter + strings.Repeat("0123456789\r\n", 1000) + ".\r\n")
	w.expect("552 5.3.4")
	w.cmd("NOOP", "250") // the session goes on
	w.cmd("MAIL FROM:<>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	w.cmd("DATA", "354")
	w.send(letter + ".\r\n")
	w.expect("250")
	got := i.all()
	if len(got) != 1 || !got[0].in.Events[0].Message.Automatic {
		t.Errorf("a bounce must be kept and count as automatic: %+v", got)
	}
}

// TestServerAcknowledgesAfterCommit: the 250 comes after the sink returned, and not at all if it failed.
func TestServerAcknowledgesAfterCommit(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	i := intake{on: func(channel.Inbound) { entered <- struct{}{}; <-release }}
	_, addr := serve(t, &i, nil)
	w := dial(t, addr)
	w.envelope(own)
	w.send(letter + ".\r\n")
	<-entered
	w.c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if b := make([]byte, 1); true {
		if n, err := w.c.Read(b); err == nil {
			t.Fatalf("answered before the commit: %q", b[:n])
		}
	}
	w.c.SetReadDeadline(time.Now().Add(10 * time.Second))
	release <- struct{}{}
	w.r = textproto.NewReader(bufio.NewReader(w.c))
	w.expect("250")

	i.fail(errors.New("disk full"))
	w.cmd("MAIL FROM:<a@b.example>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	w.cmd("DATA", "354")
	w.send(letter + ".\r\n")
	<-entered
	release <- struct{}{}
	w.expect("451 4.3.0")
	if len(i.all()) != 1 {
		t.Errorf("stored %d", len(i.all()))
	}
}

// TestSmuggling: only CRLF.CRLF ends a message, and a message with a bare LF or CR is refused as a whole (RFC 5321
// §2.3.8, §4.1.1.4; "SMTP smuggling", 2023). What an attacker hides in it must never become a second message.
func TestSmuggling(t *testing.T) {
	hidden := "MAIL FROM:<boss@firma.example>\r\nRCPT TO:<vertrieb@firma.example>\r\nDATA\r\nFrom: boss@firma.example\r\n\r\ngeschmuggelt\r\n"
	for name, tt := range map[string]struct {
		end    string // the false end
		answer string
	}{
		"LF.LF":       {"\n.\n", "554 5.6.0"},
		"LF.CRLF":     {"\n.\r\n", "554 5.6.0"},
		"CR.CR":       {"\r.\r", "554 5.6.0"},
		"CR.CRLF":     {"\r.\r\n", "554 5.6.0"},
		"CRLF.LF":     {"\r\n.\n", "554 5.6.0"},
		"CRLF.CR":     {"\r\n.\rx\r\n", "250"}, // the dot and CR are dropped by the protocol library, nothing ends
		"LF.CR":       {"\n.\r", "554 5.6.0"},
		"LFCR.LF":     {"\n\r.\n", "554 5.6.0"},
		"CRCRLF.CRLF": {"\r\r\n.\r\n", "554 5.6.0"},
		"bare LF":     {"Zeile\nZeile\r\n", "554 5.6.0"},
		"bare CR":     {"Zeile\rZeile\r\n", "554 5.6.0"},
		"NUL":         {"\r\n\x00.\r\n", "250"},
		"none":        {"\r\n..\r\n", "250"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var i intake
			_, addr := serve(t, &i, func(c *Config) { c.Timeouts.Drain = 300 * time.Millisecond })
			w := dial(t, addr)
			w.envelope(own)
			w.send(letter + "erste" + tt.end + hidden + "\r\n.\r\n")
			w.expect(tt.answer)
			// After it the session must be where it was before, or closed: never inside the hidden commands.
			w.send("NOOP\r\n")
			code, msg, err := w.r.ReadResponse(0)
			if err == nil && code != 250 && code != 421 {
				t.Errorf("after the message: %d %s", code, msg)
			}
			got := i.all()
			switch tt.answer[:3] {
			case "250":
				if len(got) != 1 || got[0].account.ID != "a1" {
					t.Fatalf("stored %d messages", len(got))
				}
				if !bytes.Contains(got[0].in.Raw, []byte("geschmuggelt")) {
					t.Error("the message was cut")
				}
			default:
				if len(got) != 0 {
					t.Fatalf("stored %d messages of %q", len(got), got[0].in.Raw)
				}
			}
		})
	}
}

// TestSmugglingByDawdling: when the time for a message is up in its middle, what comes later must not be read as
// commands.
func TestSmugglingByDawdling(t *testing.T) {
	var i intake
	_, addr := serve(t, &i, func(c *Config) { c.Timeouts.Data = 200 * time.Millisecond; c.Timeouts.Drain = 50 * time.Millisecond })
	w := dial(t, addr)
	w.envelope(own)
	w.send(letter)
	w.expect("451 4.4.2")
	io.WriteString(w.c, "MAIL FROM:<boss@firma.example>\r\nRCPT TO:<vertrieb@firma.example>\r\nDATA\r\nFrom: boss@firma.example\r\n\r\nx\r\n.\r\n")
	for {
		code, msg, err := w.r.ReadResponse(0)
		if err != nil && code == 0 {
			break // closed
		}
		if code != 421 {
			t.Fatalf("the rest of the message was taken for commands: %d %s", code, msg)
		}
	}
	if len(i.all()) != 0 {
		t.Error("something was stored")
	}
}

func TestBDAT(t *testing.T) {
	var i intake
	_, addr := serve(t, &i, nil)
	w := dial(t, addr)
	w.expect("220")
	w.cmd("EHLO x", "250")
	w.cmd("MAIL FROM:<a@b.example>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	half := len(letter) / 2
	w.send(fmt.Sprintf("BDAT %d\r\n%s", half, letter[:half]))
	w.expect("250")
	w.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(letter)-half, letter[half:]))
	w.expect("250")
	if got := i.all(); len(got) != 1 || got[0].in.Events[0].Message.Text != "Hallo" {
		t.Fatalf("stored %+v", got)
	}
	// Bare line feeds are refused here too.
	w.cmd("MAIL FROM:<a@b.example>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	bad := strings.ReplaceAll(letter, "\r\n", "\n")
	w.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(bad), bad))
	w.expect("554 5.6.0")
	// A client that vanishes in the middle of the last chunk has not sent a message.
	w.cmd("MAIL FROM:<a@b.example>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	w.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(letter), letter[:half]))
	w.c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, w.c)
	if got := i.all(); len(got) != 1 {
		t.Errorf("stored half a message: %q", got[1].in.Raw)
	}
}

func TestSTARTTLS(t *testing.T) {
	cert, err := emailsim.SelfSigned("mx.firma.example")
	if err != nil {
		t.Fatal(err)
	}
	var i intake
	_, addr := serve(t, &i, func(c *Config) { c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}} })
	c := &emailsim.Client{Name: "Jörg", Address: "joerg@kunde.example", Server: addr, StartTLS: true}
	if _, err := c.Send(t.Context(), emailsim.Message{To: []string{own}, Subject: "x", Text: "Hallo"}); err != nil {
		t.Fatal(err)
	}
	if got := i.all(); len(got) != 1 || !bytes.Contains(got[0].in.Raw, []byte("with ESMTPS id")) {
		t.Fatalf("stored %+v", got)
	}
	// Commands sent in the clear behind STARTTLS must not count after the handshake.
	w := dial(t, addr)
	w.expect("220")
	w.cmd("EHLO x", "250")
	w.send("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x.example>\r\n")
	w.expect("220")
	tc := tls.Client(w.c, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err != nil {
		return // refused: as good
	}
	tw := &wire{t, tc, textproto.NewReader(bufio.NewReader(tc))}
	tw.cmd("RCPT TO:<service@firma.example>", "502")
}

func TestLimitsPerIP(t *testing.T) {
	var clock atomic.Int64
	var i intake
	_, addr := serve(t, &i, func(c *Config) {
		c.ConnsPerIP = 3
		c.MessagesPerMinute = 5
		c.Unlimited = func(netip.Addr) bool { return false }
		c.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
	})
	var open []*wire
	for range 3 {
		w := dial(t, addr)
		w.expect("220")
		open = append(open, w)
	}
	dial(t, addr).expect("421 4.7.0")
	open[2].cmd("QUIT", "221")
	io.Copy(io.Discard, open[2].c)
	var again *wire
	for { // the place is free once the server has closed its side
		again = dial(t, addr)
		if code, _, _ := again.r.ReadResponse(0); code == 220 {
			break
		}
	}
	w := open[0]
	w.cmd("EHLO x", "250")
	mail := func(prefix string) {
		t.Helper()
		w.cmd("MAIL FROM:<a@b.example>", prefix)
		w.cmd("RSET", "250")
	}
	for range 5 {
		mail("250")
	}
	mail("452 4.7.1")
	clock.Add(12) // a fifth of a minute
	mail("250")
	mail("452 4.7.1")
	clock.Add(3600) // never more than a minute's worth
	for range 5 {
		mail("250")
	}
	mail("452 4.7.1")
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::", "2001:db8:1:3:3::4": "2001:db8:1:3::"} {
		if got := network(netip.MustParseAddr(in)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// TestSlowLoris: a client that sends a byte now and then does not keep its place.
func TestSlowLoris(t *testing.T) {
	var i intake
	_, addr := serve(t, &i, func(c *Config) { c.Timeouts.Command = 200 * time.Millisecond })
	w := dial(t, addr)
	w.expect("220")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, err := w.c.Write([]byte("N")); err != nil {
				return
			}
			select {
			case <-t.Context().Done():
				return
			case <-time.After(20 * time.Millisecond): // the client's own pace, not a wait for a result
			}
		}
	}()
	// The half line that the time-out leaves is answered as a bad command first; then the session ends.
	code, _, err := w.r.ReadResponse(0)
	if code == 501 {
		code, _, err = w.r.ReadResponse(0)
	}
	if code != 421 {
		t.Fatalf("answer %d, want 421 (%v)", code, err)
	}
	<-gone

	_, addr = serve(t, &i, func(c *Config) { c.Timeouts.Session = 300 * time.Millisecond })
	w = dial(t, addr)
	w.expect("220")
	for { // busy all the time, but only until the session's end
		w.send("NOOP\r\n")
		code, _, err := w.r.ReadResponse(0)
		if code == 421 {
			break
		}
		if err != nil && code == 0 {
			t.Fatal(err)
		}
	}
}

// TestPanicsStayInTheirSession: neither a panic in the sink nor one in a look-up hurts others or loses mail silently.
func TestPanicsStayInTheirSession(t *testing.T) {
	i := intake{on: func(in channel.Inbound) {
		if bytes.Contains(in.Raw, []byte("Gift")) {
			panic("poisoned")
		}
	}}
	_, addr := serve(t, &i, func(c *Config) {
		c.Lookup = func(ctx context.Context, rcpt string) (channel.Account, bool, error) {
			if strings.HasPrefix(rcpt, "panik") {
				panic("look-up")
			}
			return directory(ctx, rcpt)
		}
	})
	other := dial(t, addr)
	other.envelope(own)
	w := dial(t, addr)
	w.envelope(own)
	w.send(strings.Replace(letter, "Hallo", "Gift", 1) + ".\r\n")
	w.expect("451 4.3.0")
	w.cmd("MAIL FROM:<a@b.example>", "250")
	w.cmd("RCPT TO:<panik@firma.example>", "421")
	other.send(letter + ".\r\n")
	other.expect("250")
	if len(i.all()) != 1 {
		t.Errorf("stored %d", len(i.all()))
	}
}

// TestUnparseable: what is no mail is stored all the same, as a work item.
func TestUnparseable(t *testing.T) {
	var i intake
	_, addr := serve(t, &i, nil)
	w := dial(t, addr)
	w.envelope(own)
	w.send("Subject: nobody wrote this\r\n\r\nx\r\n.\r\n")
	w.expect("250")
	// The trace fields name the envelope sender, so that there is somebody.
	got := i.all()
	if len(got) != 1 || got[0].in.Err != "" || got[0].in.Events[0].Sender.Value != "joerg@kunde.example" {
		t.Fatalf("%+v", got)
	}
	w.cmd("MAIL FROM:<>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	w.cmd("DATA", "354")
	w.send("\x01\x02\r\n.\r\n")
	w.expect("250")
	if got = i.all(); len(got) != 2 || got[1].in.Err == "" || len(got[1].in.Events) != 0 || !bytes.HasSuffix(got[1].in.Raw, []byte("\x01\x02\r\n")) {
		t.Fatalf("%+v", got)
	}
}

// TestGuessing: a session that tries out addresses is ended.
func TestGuessing(t *testing.T) {
	var i intake
	_, addr := serve(t, &i, nil)
	w := dial(t, addr)
	w.expect("220")
	w.cmd("EHLO x", "250")
	w.cmd("MAIL FROM:<a@b.example>", "250")
	for n := range maxUnknown {
		w.cmd(fmt.Sprintf("RCPT TO:<name%d@firma.example>", n), "550 5.1.1")
	}
	w.cmd("RCPT TO:<name@firma.example>", "421 4.7.0")
	w.expect("421")
	if _, err := w.r.ReadLine(); err == nil {
		t.Error("the session goes on")
	}
}

func TestRoutingLoop(t *testing.T) {
	var i intake
	_, addr := serve(t, &i, nil)
	w := dial(t, addr)
	w.envelope(own)
	w.send(strings.Repeat("Received: by a; Tue, 3 Mar 2026 09:00:00 +0100\r\n", 101) + letter + ".\r\n")
	w.expect("554 5.4.6")
	if len(i.all()) != 0 {
		t.Error("stored a looping mail")
	}
}

func TestMaxInFlight(t *testing.T) {
	var i intake
	s, addr := serve(t, &i, func(c *Config) { c.MaxInFlight = 5000 })
	w := dial(t, addr)
	w.envelope(own)
	w.send(letter + strings.Repeat("0123456789\r\n", 1000) + ".\r\n")
	w.expect("452 4.3.1")
	w.cmd("MAIL FROM:<a@b.example>", "250")
	w.cmd("RCPT TO:<service@firma.example>", "250")
	w.cmd("DATA", "354")
	w.send(letter + ".\r\n")
	w.expect("250")
	if n := s.inFlight.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// TestShutdown: idle clients are sent away, a message on its way is finished and acknowledged.
func TestShutdown(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	i := intake{on: func(channel.Inbound) { close(entered); <-release }}
	s, addr := serve(t, &i, nil)
	idle := dial(t, addr)
	idle.expect("220")
	busy := dial(t, addr)
	busy.envelope(own)
	busy.send(letter + ".\r\n")
	<-entered
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.expect("421")
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned before the message was stored: %v", err)
	default:
	}
	close(release)
	busy.expect("250")
	busy.expect("421")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

func TestShutdownCutsOff(t *testing.T) {
	entered := make(chan struct{})
	var i intake
	s, addr := serve(t, &i, func(c *Config) {
		c.Sink = func(ctx context.Context, _ channel.Account, _ channel.Inbound) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	w := dial(t, addr)
	w.envelope(own)
	w.send(letter + ".\r\n")
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if code, msg, _ := w.r.ReadResponse(0); code == 250 {
		t.Errorf("acknowledged what was not stored: %s", msg)
	}
}

// TestConversation: what we send can be answered by a customer's program, and the answer finds its way back by
// In-Reply-To, References and the reply token.
func TestConversation(t *testing.T) {
	box, err := emailsim.Start(emailsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	var i intake
	_, addr := serve(t, &i, nil)
	a := channel.Account{ID: "a1", Name: "Servicepostfach", Settings: box.Settings(own)}
	for _, set := range []string{"utf-8", "iso-8859-1", "windows-1252", "iso-8859-15"} {
		out := outgoing()
		out.ReplyToken = "tok" + strings.ReplaceAll(set, "-", "")
		if _, err := (Driver{}).Send(t.Context(), a, out, env()); err != nil {
			t.Fatal(err)
		}
		mails := box.To(out.To.Value)
		c := &emailsim.Client{Name: "Jörg Müller", Address: out.To.Value, Server: addr, Charset: set, HTML: set == "utf-8"}
		id, err := c.Reply(t.Context(), mails[len(mails)-1].Raw, "Schöne Grüße", emailsim.File{Name: "Tür.pdf", MediaType: "application/pdf", Content: []byte("%PDF")})
		if err != nil {
			t.Fatal(err)
		}
		got := i.all()
		e := got[len(got)-1].in.Events[0]
		m := e.Message
		if m.ExternalID != id || m.ReplyTo != (Driver{}).ExternalID(a, out) || m.ReplyToken != out.ReplyToken ||
			m.References[len(m.References)-1] != m.ReplyTo || m.Subject != "Re: "+out.Subject || e.Sender.Name != "Jörg Müller" {
			t.Errorf("%s: %+v", set, m)
		}
		if visible, _ := TrimQuoted(m.Text); visible != "Schöne Grüße" {
			t.Errorf("%s: visible %q of %q", set, visible, m.Text)
		}
		if len(m.Attachments) != 1 || m.Attachments[0].Name != "Tür.pdf" {
			t.Errorf("%s: %+v", set, m.Attachments)
		}
	}
}

// BenchmarkServer delivers mails of 10 KB over real SMTP sessions on loopback, 16 at a time: "sessions" opens one
// for each mail, "pipelined" keeps it.
func BenchmarkServer(b *testing.B) {
	raw := mail10KB()
	for _, keep := range []bool{false, true} {
		name := map[bool]string{false: "session per mail", true: "kept sessions"}[keep]
		b.Run(name, func(b *testing.B) {
			var n atomic.Int64
			s := NewServer(Config{Lookup: directory, Sink: func(context.Context, channel.Account, channel.Inbound) error {
				n.Add(1)
				return nil
			}})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			go s.Serve(l)
			defer s.Shutdown(context.Background())
			c := &emailsim.Client{Address: "joerg@kunde.example", Server: l.Addr().String()}
			m := emailsim.Message{To: []string{own}}
			jobs := make(chan struct{})
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					var session *emailsim.Session
					for range jobs {
						if session == nil {
							var err error
							if session, err = c.Session(context.Background()); err != nil {
								b.Error(err)
								return
							}
						}
						if err := session.Deliver(m, raw); err != nil {
							b.Error(err)
							return
						}
						if !keep {
							session.Quit()
							session = nil
						}
					}
					if session != nil {
						session.Quit()
					}
				})
			}
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				jobs <- struct{}{}
			}
			close(jobs)
			wg.Wait()
			if n.Load() == 0 {
				b.Fatal("nothing arrived")
			}
			b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "mails/s")
		})
	}
}

// TestServerEnvelope: what Assess believes about the peer stands where no sender can write.
func TestServerEnvelope(t *testing.T) {
	forged := envelope{known: true, peer: netip.MustParseAddr("192.0.2.10"), helo: "mx.bank.example", from: "chef@bank.example"}.line()
	for name, tt := range map[string]struct{ from, data string }{
		"a copy of the field":       {"x@evil.example", forged + "From: chef@bank.example\r\n\r\nx\r\n"},
		"a mark of a fetched mail":  {"x@evil.example", fetchedLine + "From: chef@bank.example\r\n\r\nx\r\n"},
		"a continued trace field":   {"x@evil.example", " ; Tue, 03 Mar 1998 09:00:00 +0100\r\nFrom: chef@bank.example\r\n\r\nx\r\n"},
		"null sender":               {"", "From: chef@bank.example\r\n\r\nx\r\n"},
		"a sender with punctuation": {"\"a;b=c,d\"@evil.example", "From: chef@bank.example\r\n\r\nx\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var i intake
			now := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
			_, addr := serve(t, &i, func(c *Config) { c.Now = func() time.Time { return now } })
			w := dial(t, addr)
			w.expect("220")
			w.cmd("EHLO mail.evil.example", "250")
			w.cmd("MAIL FROM:<"+tt.from+">", "250")
			w.cmd("RCPT TO:<service@firma.example>", "250")
			w.cmd("DATA", "354")
			w.send(tt.data + ".\r\n")
			w.expect("250")
			in := i.all()[0].in
			e := readEnvelope(in.Raw)
			if !e.known || e.fetched || !e.peer.IsLoopback() || e.helo != "mail.evil.example" || e.from != strings.ReplaceAll(tt.from, `"`, "") {
				t.Errorf("%+v in %q", e, in.Raw)
			}
			if len(in.Events) != 1 || in.Events[0].Sender.Value != "chef@bank.example" || !in.Events[0].At.Equal(now) {
				t.Errorf("%+v", in.Events)
			}
			a := channel.Account{Settings: map[string]string{"imap_host": "x"}}
			got, err := (Driver{}).Assess(t.Context(), a, in.Raw, in.Events[0], channel.Env{DNS: &zone{txt: map[string][]string{
				"bank.example": {"v=spf1 ip4:192.0.2.10 -all"}, "_dmarc.bank.example": {"v=DMARC1; p=reject"}}}})
			if err != nil || got.Result != "fail" || got.Assurance != channel.Claimed {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

// TestLongLines: a header field of two megabytes in one line is received like any other mail; a command of that length
// ends the connection, before it fills the memory.
func TestLongLines(t *testing.T) {
	i := &intake{}
	_, addr := serve(t, i, nil)
	w := dial(t, addr)
	w.envelope("service@firma.example")
	w.send("From: a@kunde.example\r\nMessage-ID: <lang@kunde.example>\r\nX-Long: " + strings.Repeat("x", 2<<20) + "\r\nSubject: Lang\r\n\r\nText\r\n.\r\n")
	w.expect("250")
	if n := len(i.all()); n != 1 {
		t.Fatalf("%d mails, want 1", n)
	}
	if m := i.all()[0].in.Events; len(m) != 1 || m[0].Message == nil || !strings.Contains(m[0].Message.Text, "Text") {
		t.Errorf("what it says is lost: %+v", m)
	}
	x := dial(t, addr)
	x.expect("220")
	sent := 0
	chunk := []byte(strings.Repeat("x", 64<<10))
	for range 4096 {
		_ = x.c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		n, err := x.c.Write(chunk)
		if sent += n; err != nil {
			break
		}
	}
	if sent >= 4096*len(chunk) {
		t.Errorf("a command of %d bytes was swallowed", sent)
	}
}
