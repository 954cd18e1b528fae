package email

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// inbox stands in for intake: it keeps events by key, each once, together with the cursor.
type inbox struct {
	mu      sync.Mutex
	got     []channel.Inbound // with something new in it, in order
	keys    map[string]bool
	handed  int // calls with a mail, also with known ones
	cursor  string
	cursors []string
	changed chan struct{}
	fail    func(channel.Inbound) error // before it is kept
}

func newInbox() *inbox { return &inbox{keys: map[string]bool{}, changed: make(chan struct{})} }

func (b *inbox) sink(ctx context.Context, in channel.Inbound) error {
	b.mu.Lock()
	fail := b.fail
	b.mu.Unlock()
	if fail != nil {
		if err := fail(in); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := false
	for _, e := range in.Events {
		fresh = fresh || !b.keys[e.Key]
		b.keys[e.Key] = true
	}
	if in.Err != "" {
		key := channel.HashKey("raw", string(in.Raw))
		fresh = !b.keys[key]
		b.keys[key] = true
	}
	if in.Raw != nil {
		b.handed++
	}
	if fresh {
		b.got = append(b.got, in)
	}
	if in.Cursor != "" {
		b.cursor = in.Cursor
		b.cursors = append(b.cursors, in.Cursor)
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

func (b *inbox) onFail(f func(channel.Inbound) error) { b.mu.Lock(); b.fail = f; b.mu.Unlock() }

func (b *inbox) at() string { b.mu.Lock(); defer b.mu.Unlock(); return b.cursor }

// until waits for a state of the inbox.
func (b *inbox) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(30 * time.Second)
	for {
		b.mu.Lock()
		done, changed := ok(), b.changed
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-end:
			b.mu.Lock()
			defer b.mu.Unlock()
			t.Fatalf("never: %s; there are %d: %v, cursor %q", what, len(b.got), b.subjectsLocked(), b.cursor)
		}
	}
}

// wait waits for n mails and gives their subjects.
func (b *inbox) wait(t *testing.T, n int) []string {
	t.Helper()
	b.until(t, fmt.Sprintf("%d mails", n), func() bool { return len(b.got) >= n })
	return b.subjects()
}

func (b *inbox) subjects() []string { b.mu.Lock(); defer b.mu.Unlock(); return b.subjectsLocked() }

func (b *inbox) subjectsLocked() (out []string) {
	for _, in := range b.got {
		if len(in.Events) == 0 {
			out = append(out, "!"+in.Err)
			continue
		}
		out = append(out, in.Events[0].Message.Subject)
	}
	return out
}

// idle waits until the server has so many clients in IDLE.
func idle(t *testing.T, s *emailsim.IMAPServer, n int) {
	t.Helper()
	end := time.After(30 * time.Second)
	for {
		have, changed := s.Idling()
		if have == n {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("never %d clients in IDLE, but %d", n, have)
		}
	}
}

func startIMAP(t *testing.T, o emailsim.IMAPOptions) *emailsim.IMAPServer {
	t.Helper()
	if o.User == "" {
		o.User, o.Password = "service@firma.example", "geheimes-kennwort"
	}
	s, err := emailsim.StartIMAP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func letterTo(subject string) []byte {
	return fmt.Appendf(nil, "From: Erika <erika@kunde.example>\r\nTo: %s\r\nSubject: %s\r\nDate: Mon, 02 Mar 2026 16:40:00 +0100\r\nMessage-ID: <%s@kunde.example>\r\n\r\nGuten Tag\r\n",
		own, subject, strings.ReplaceAll(subject, " ", "."))
}

var fast = imapPace{idle: time.Minute, poll: 10 * time.Millisecond, back: 5 * time.Millisecond, backMax: 20 * time.Millisecond, patience: 6, stuck: 3}

// pull listens with a fast pace until stop, which gives Listen's error.
func pull(t *testing.T, a channel.Account, e channel.Env, b *inbox, change ...func(*puller)) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &puller{account: a, env: e, sink: b.sink, at: parseCursor(b.at()), pace: fast, open: openIMAP, max: imapMaxBytes}
	for _, c := range change {
		c(p)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("Listen does not end")
		}
	})
	t.Cleanup(func() {
		if err := stop(); !errors.Is(err, context.Canceled) && !t.Failed() {
			var tr *channel.Trouble
			if !errors.As(err, &tr) {
				t.Errorf("Listen ended with %v", err)
			}
		}
	})
	return stop
}

// imapAccount is an account that pulls from the server.
func imapAccount(t *testing.T, s *emailsim.IMAPServer, extra ...string) channel.Account {
	a := account(s.Settings(own))
	a.ID = t.Name()
	for i := 0; i < len(extra); i += 2 {
		a.Settings[extra[i]] = extra[i+1]
	}
	if err := (Driver{}).Check(a.Settings); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestListen(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{StartTLS: true})
	s.Deliver(letterTo("vorher"), time.Time{})
	s.Deliver([]byte("kein Kopf"), time.Time{})
	a := imapAccount(t, s)
	b := newInbox()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Driver{}.Listen(ctx, a, "", env(), b.sink) }()
	if got := b.wait(t, 2); got[0] != "vorher" || !strings.HasPrefix(got[1], "!") || !strings.Contains(got[1], "RFC 5322") {
		t.Errorf("got %q", got)
	}
	idle(t, s, 1)
	for i := range 3 {
		s.Deliver(letterTo(fmt.Sprintf("neu %d", i)), time.Time{})
	}
	if got := b.wait(t, 5); strings.Join(got[2:], ",") != "neu 0,neu 1,neu 2" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Listen ended with %v", err)
	}
	// The same mail by SMTP has the same key.
	viaSMTP, err := Parse(append([]byte("Return-Path: <erika@kunde.example>\r\nReceived: from x by y; Mon, 02 Mar 2026 16:41:00 +0100\r\n"), letterTo("vorher")...), own, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	in := b.got[0]
	if e := in.Events[0]; e.Key != viaSMTP.Key || in.Type != "message/rfc822" {
		t.Errorf("key %s by IMAP, %s by SMTP; type %s", e.Key, viaSMTP.Key, in.Type)
	}
	if !bytes.HasSuffix(in.Raw, letterTo("vorher")) || b.got[1].Raw == nil || !strings.Contains(in.Cursor, "uid=1 ") {
		t.Errorf("raw %q, cursor %q", in.Raw, in.Cursor)
	}
	if w := s.Writes(); len(w) > 0 || s.Seen() > 0 {
		t.Errorf("the mailbox was changed: %v, %d read", w, s.Seen())
	}
	// Listening on from the cursor brings what came meanwhile and nothing else.
	s.Deliver(letterTo("inzwischen"), time.Time{})
	handed := b.handed
	pull(t, a, env(), b)
	if got := b.wait(t, 6); got[5] != "inzwischen" || b.handed != handed+1 {
		t.Errorf("got %q in %d calls", got, b.handed-handed)
	}
}

// Without imap_host there is nothing to pull, and no error.
func TestListenNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Driver{}).Listen(ctx, account(channel.Settings{"address": own}), "", env(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestListenFirst(t *testing.T) {
	for _, tt := range []struct{ first, want string }{
		{"", "ungelesen,neu"},
		{"unread", "ungelesen,neu"},
		{"month", "gelesen,ungelesen,neu"},
		{"all", "uralt,gelesen,ungelesen,neu"},
		{"new", "neu"},
	} {
		t.Run(tt.first, func(t *testing.T) {
			s := startIMAP(t, emailsim.IMAPOptions{})
			s.Deliver(letterTo("uralt"), time.Now().AddDate(-3, 0, 0))
			s.Deliver(letterTo("gelesen"), time.Now().AddDate(0, 0, -3), imap.FlagSeen)
			s.Deliver(letterTo("ungelesen"), time.Now().AddDate(0, 0, -3))
			a, b := imapAccount(t, s, "imap_first", tt.first), newInbox()
			if tt.first == "" {
				delete(a.Settings, "imap_first")
			}
			stop := pull(t, a, env(), b)
			idle(t, s, 1)
			stop()
			idle(t, s, 0)
			// What comes while we are away is new, although nobody has handed anything over since the start.
			s.Deliver(letterTo("neu"), time.Time{})
			pull(t, a, env(), b)
			n := strings.Count(tt.want, ",") + 1
			b.wait(t, n)
			idle(t, s, 1)
			if got := strings.Join(b.subjects(), ","); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A server that is restarted while we wait in IDLE: nothing is lost, nothing comes twice, and the channel stays green.
func TestListenRestart(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{StartTLS: true})
	a, b := imapAccount(t, s), newInbox()
	pull(t, a, env(), b, func(p *puller) { p.pace.patience = 1000 })
	want := 0
	for round := range 5 {
		idle(t, s, 1)
		s.Stop()
		idle(t, s, 0)
		for i := range 3 {
			s.Deliver(letterTo(fmt.Sprintf("runde %d mail %d", round, i)), time.Time{})
			want++
		}
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		b.wait(t, want)
	}
	idle(t, s, 1)
	if len(b.got) != want || b.handed != want {
		t.Errorf("%d mails in %d calls, want %d", len(b.got), b.handed, want)
	}
}

func TestListenNewValidity(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	s.Deliver(letterTo("lange vor dem Anfang"), time.Now().AddDate(-1, 0, 0))
	a, b := imapAccount(t, s, "imap_first", "new"), newInbox()
	pull(t, a, env(), b)
	idle(t, s, 1)
	for i := range 4 {
		s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
	}
	b.wait(t, 4)
	idle(t, s, 1)
	s.Deliver(letterTo("kurz davor"), time.Time{})
	s.NewValidity()
	s.Deliver(letterTo("danach"), time.Time{})
	b.wait(t, 6)
	b.until(t, "the cursor counts in the new UIDs", func() bool { return strings.HasPrefix(b.cursor, "uidvalidity=2 uid=7 ") })
	idle(t, s, 1)
	got := b.subjects()
	if len(got) != 6 {
		t.Errorf("got %q", got)
	}
	for _, subject := range got {
		if subject == "lange vor dem Anfang" {
			t.Errorf("what was there before came after all: %q", got)
		}
	}
}

// A new UIDVALIDITY while nobody listens, and a crash in the middle of reading it all again.
func TestListenNewValidityAway(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	a, b := imapAccount(t, s), newInbox()
	for i := range 5 {
		s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
	}
	stop := pull(t, a, env(), b)
	b.wait(t, 5)
	stop()
	s.NewValidity()
	s.Deliver(letterTo("neu"), time.Time{})
	crash := errors.New("killed")
	n := 0
	b.onFail(func(in channel.Inbound) error {
		if n++; n > 3 {
			return crash
		}
		return nil
	})
	stop = pull(t, a, env(), b)
	b.until(t, "three are read again", func() bool { return strings.Contains(b.cursor, "uidvalidity=2 uid=3 ") })
	stop()
	b.onFail(nil)
	pull(t, a, env(), b)
	if got := b.wait(t, 6); len(got) != 6 || got[5] != "neu" {
		t.Errorf("got %q", got)
	}
}

// Kill -9 between the fetch and the commit: the cursor is the one before, so the mail comes again; an error of the sink
// does not move it either.
func TestListenKilled(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	a, b := imapAccount(t, s), newInbox()
	for i := range 3 {
		s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
	}
	tried := make(chan string, 100)
	b.onFail(func(in channel.Inbound) error {
		if len(in.Events) == 1 && in.Events[0].Message.Subject == "mail 1" {
			select {
			case tried <- in.Cursor:
			default:
			}
			return errors.New("database is away")
		}
		return nil
	})
	stop := pull(t, a, env(), b)
	<-tried
	<-tried // again, by itself
	stop()
	if got := b.subjects(); len(got) != 1 || !strings.Contains(b.at(), " uid=1 ") {
		t.Errorf("got %q, cursor %q", got, b.at())
	}
	b.onFail(nil)
	pull(t, a, env(), b)
	if got := strings.Join(b.wait(t, 3), ","); got != "mail 0,mail 1,mail 2" {
		t.Errorf("got %s", got)
	}
}

func TestListenPolls(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	a, b := imapAccount(t, s), newInbox()
	pull(t, a, env(), b, func(p *puller) {
		p.open = func(ctx context.Context, a channel.Account, e channel.Env) (imapMailbox, error) {
			m, err := openIMAP(ctx, a, e)
			if err == nil {
				m.(*imapSession).canIdle = false // as with a server that does not announce IDLE
			}
			return m, err
		}
	})
	for i := range 3 {
		s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
		b.wait(t, i+1)
	}
	if n, _ := s.Idling(); n != 0 {
		t.Error("it idles all the same")
	}
}

// A mail that a person deletes before we fetch it leaves a gap, and nothing else.
func TestListenGap(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	for i := range 4 {
		s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
	}
	s.Remove(1)
	a, b := imapAccount(t, s), newInbox()
	b.onFail(func(in channel.Inbound) error {
		if len(in.Events) == 1 && in.Events[0].Message.Subject == "mail 0" {
			b.onFail(nil)
			s.Remove(1) // mail 2, whose size we know already
		}
		return nil
	})
	pull(t, a, env(), b)
	b.wait(t, 2)
	idle(t, s, 1)
	if got := strings.Join(b.subjects(), ","); got != "mail 0,mail 3" {
		t.Errorf("got %s", got)
	}
}

// One mail that the server cannot give becomes a work item; the others come.
func TestListenSpoiled(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	for i := range 3 {
		s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
	}
	s.Spoil(2)
	a, b := imapAccount(t, s), newInbox()
	pull(t, a, env(), b)
	got := b.wait(t, 3)
	if got[0] != "mail 0" || !strings.Contains(got[1], "could not be fetched") || !strings.Contains(got[1], "damaged") || got[2] != "mail 2" {
		t.Errorf("got %q", got)
	}
	if raw := string(b.got[1].Raw); !strings.Contains(raw, "mail 2 (UIDVALIDITY 1) in folder INBOX") {
		t.Errorf("raw %q", raw)
	}
}

// bigMail has a file of so many bytes.
func bigMail(subject string, n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(letterTo(subject), []byte("\r\nGuten Tag\r\n")))
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nGuten Tag\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n--b--\r\n")
	return b.Bytes()
}

func TestListenBig(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	big := bigMail("groß", 25<<20)
	s.Deliver(big, time.Time{})
	s.Deliver(letterTo("danach"), time.Time{})
	a, b := imapAccount(t, s), newInbox()
	s.CutAfter(8 << 20) // the first attempt breaks in the middle
	pull(t, a, env(), b)
	b.wait(t, 2)
	in := b.got[0]
	if !bytes.HasSuffix(in.Raw, big) {
		t.Fatalf("the mail has %d bytes, want %d", len(in.Raw), len(big))
	}
	if m := in.Events[0].Message; len(m.Attachments) != 1 || m.Attachments[0].Name != "a.pdf" || m.Unsupported != "" {
		t.Errorf("%+v %q", m.Attachments, m.Unsupported)
	}
	if s.Selects() < 2 {
		t.Error("the cut connection was not noticed")
	}
}

// A mail beyond the limit: its beginning is shown, and where the rest is.
func TestListenTooBig(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	s.Deliver(bigMail("riesig", 3<<20), time.Time{})
	s.Deliver(letterTo("danach"), time.Time{})
	a, b := imapAccount(t, s), newInbox()
	pull(t, a, env(), b, func(p *puller) { p.max = 2 << 20 })
	b.wait(t, 2)
	m := b.got[0].Events[0].Message
	if m.Text != "Guten Tag" || len(m.Attachments) != 0 || !strings.Contains(m.Unsupported, "the mail has 4 MB, only its beginning was fetched") || len(b.got[0].Raw) > imapExcerpt+1000 {
		t.Errorf("%d bytes, %+v", len(b.got[0].Raw), m)
	}
}

func TestListenTrouble(t *testing.T) {
	good := startIMAP(t, emailsim.IMAPOptions{Folders: []string{"Ablage Süd"}})
	plain := good.Settings(own)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, gone, _ := net.SplitHostPort(closed.Addr().String())
	closed.Close()
	tlsServer := startIMAP(t, emailsim.IMAPOptions{ImplicitTLS: true})
	onlyTLS := startIMAP(t, emailsim.IMAPOptions{StartTLS: true})
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { web.Close() })
	go func() {
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 I am an SMTP server\r\n")
			c.Close()
		}
	}()
	_, webPort, _ := net.SplitHostPort(web.Addr().String())
	for name, tt := range map[string]struct {
		base   channel.Settings
		set    []string
		dial   channel.Dialer
		de, en string
		remedy string
	}{
		"wrong password": {plain, []string{"imap_password", "falsch"}, nil, "Anmeldung am Posteingangsserver wurde abgelehnt", "refused the sign-in", "imap_password"},
		"unreachable":    {plain, []string{"imap_port", gone}, nil, "nicht erreichbar", "cannot be reached", "imap_port"},
		"no folder":      {plain, []string{"imap_folder", "Ablage/Nord"}, nil, "Ordner „Ablage/Nord“", `no folder "Ablage/Nord"`, "imap_folder"},
		"certificate":    {tlsServer.Settings(own), []string{"imap_tls", "tls"}, nil, "Zertifikat", "certificate", "imap_host"},
		"no STARTTLS":    {plain, []string{"imap_tls", "starttls"}, nil, "kein STARTTLS", "not offer STARTTLS", "imap_tls=tls"},
		"needs TLS":      {onlyTLS.Settings(own), []string{"imap_tls", "none"}, nil, "keine Anmeldung mit Kennwort", "no sign-in with a password", ""},
		"not IMAP":       {plain, []string{"imap_port", webPort}, nil, "nicht erreichbar", "cannot be reached", "imap_host"},
		"guarded": {plain, nil, channel.DialFunc(func(context.Context, string, string) (net.Conn, error) { return nil, guarded{} }),
			"privaten Netz", "private network", "--allow-private-targets"},
		"unknown name": {plain, nil, channel.DialFunc(func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}
		}), "nicht auflösen", "cannot be resolved", "imap_host"},
	} {
		t.Run(name, func(t *testing.T) {
			a := account(channel.Settings{})
			a.ID = t.Name()
			for k, v := range tt.base {
				a.Settings[k] = v
			}
			for i := 0; i < len(tt.set); i += 2 {
				a.Settings[tt.set[i]] = tt.set[i+1]
			}
			e := env()
			if tt.dial != nil {
				e.Dial = tt.dial
			}
			perr := Driver{}.Probe(t.Context(), a, e)
			p := &puller{account: a, env: e, sink: newInbox().sink, pace: fast, open: openIMAP, max: imapMaxBytes}
			for what, err := range map[string]error{"Probe": perr, "Listen": p.run(t.Context())} {
				var tr *channel.Trouble
				if !errors.As(err, &tr) {
					t.Fatalf("%s: %v is no Trouble", what, err)
				}
				if !strings.Contains(tr.Reason.DE, tt.de) || !strings.Contains(tr.Reason.EN, tt.en) || !strings.Contains(tr.Remedy.DE, tt.remedy) || !strings.Contains(tr.Remedy.EN, tt.remedy) {
					t.Errorf("%s: %+v", what, tr)
				}
				if strings.Contains(err.Error(), "geheimes-kennwort") {
					t.Errorf("%s tells the password: %v", what, err)
				}
			}
		})
	}
	// A folder with another alphabet than ASCII (modified UTF-7).
	a := imapAccount(t, good, "imap_folder", "Ablage Süd")
	if err := (Driver{}).Probe(t.Context(), a, env()); err != nil {
		t.Errorf("Ablage Süd: %v", err)
	}
}

type guarded struct{}

func (guarded) Error() string { return "target is not a public address" }
func (guarded) NotSent() bool { return true }

// A wrong password is not tried until the provider locks the account; changed settings are tried at once.
func TestListenGuard(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	e := env()
	e.Now = func() time.Time { return at }
	a := imapAccount(t, s, "imap_password", "falsch")
	for range 10 {
		var tr *channel.Trouble
		if err := (Driver{}).Probe(t.Context(), a, e); !errors.As(err, &tr) || !strings.Contains(tr.Reason.EN, "refused") {
			t.Fatal(err)
		}
	}
	if n := s.Logins(); n != guardMax {
		t.Errorf("%d sign-ins, want %d", n, guardMax)
	}
	err := Driver{}.Probe(t.Context(), a, e)
	var tr *channel.Trouble
	if !errors.As(err, &tr) || !strings.Contains(tr.Remedy.DE, "10 Min.") || strings.Count(tr.Remedy.DE, "Min.") != 1 {
		t.Errorf("%+v", err)
	}
	at = at.Add(guardWindow)
	if err := (Driver{}).Probe(t.Context(), a, e); err == nil || s.Logins() != guardMax+1 {
		t.Errorf("after the time: %v, %d sign-ins", err, s.Logins())
	}
	if err := (Driver{}).Probe(t.Context(), imapAccount(t, s), e); err != nil {
		t.Errorf("with the right password: %v", err)
	}
}

// The same at the outgoing server, however many mails wait.
func TestSendGuard(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	e := env()
	e.Now = func() time.Time { return at }
	box := start(t, emailsim.Options{User: "u", Password: "p"})
	a := account(box.Settings(own))
	a.ID = t.Name()
	a.Settings["smtp_password"] = "falsch"
	dials := 0
	var d net.Dialer
	e.Dial = channel.DialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return d.DialContext(ctx, network, address)
	})
	for i := range 10 {
		_, err := Driver{}.Send(t.Context(), a, outgoing(), e)
		var se *channel.SendError
		if !errors.As(err, &se) || se.Class != channel.Misconfig || se.Code != "535 5.7.8" || strings.Contains(se.Reason.DE, "10 Min.") != (i >= guardMax) || strings.Count(se.Reason.EN, "min.") > 1 {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if dials != guardMax {
		t.Errorf("%d connections, want %d", dials, guardMax)
	}
	at = at.Add(guardWindow)
	if _, err := (Driver{}).Send(t.Context(), a, outgoing(), e); err == nil || dials != guardMax+1 {
		t.Errorf("after the time: %v", err)
	}
	a.Settings["smtp_password"] = "p"
	if _, err := (Driver{}).Send(t.Context(), a, outgoing(), e); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	// A server that is only away, or refuses the sender, is asked each time.
	box.SetFault(emailsim.RejectSender)
	dials = 0
	for range 5 {
		if _, err := (Driver{}).Send(t.Context(), a, outgoing(), e); err == nil {
			t.Error("sent")
		}
	}
	if dials != 5 {
		t.Errorf("%d connections, want 5", dials)
	}
}

// The password goes only where it is safe.
func TestListenTLS(t *testing.T) {
	greetingTimeout /= 10
	t.Cleanup(func() { greetingTimeout *= 10 })
	for name, tt := range map[string]struct {
		o    emailsim.IMAPOptions
		set  []string
		fine bool
	}{
		"auto, nothing offered, near":   {emailsim.IMAPOptions{}, nil, true},
		"auto, STARTTLS, own cert":      {emailsim.IMAPOptions{StartTLS: true}, nil, true},
		"starttls, own certificate":     {emailsim.IMAPOptions{StartTLS: true}, []string{"imap_tls", "starttls"}, false},
		"starttls, trusted certificate": {emailsim.IMAPOptions{StartTLS: true, Certificate: &trusted}, []string{"imap_tls", "starttls", "imap_host", "localhost"}, true},
		"tls, trusted certificate":      {emailsim.IMAPOptions{ImplicitTLS: true, Certificate: &trusted}, []string{"imap_tls", "tls", "imap_host", "localhost"}, true},
		"auto, TLS on another port":     {emailsim.IMAPOptions{ImplicitTLS: true}, []string{"imap_tls", "auto"}, true},
		"none":                          {emailsim.IMAPOptions{}, []string{"imap_tls", "none"}, true},
	} {
		s := startIMAP(t, tt.o)
		a := imapAccount(t, s, tt.set...)
		e := env()
		var d net.Dialer
		e.Dial = channel.DialFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, s.Addr())
		})
		if err := (Driver{}).Probe(t.Context(), a, e); (err == nil) != tt.fine {
			t.Errorf("%s: %v", name, err)
		}
		if !tt.fine && s.Logins() > 0 {
			t.Errorf("%s: signed in all the same", name)
		}
	}
	// A server on the Internet that offers no encryption never sees the password in auto.
	s := startIMAP(t, emailsim.IMAPOptions{})
	e := env()
	var d net.Dialer
	e.Dial = channel.DialFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, s.Addr())
		return farConn{c}, err
	})
	err := Driver{}.Probe(t.Context(), imapAccount(t, s), e)
	if err == nil || !strings.Contains(err.Error(), "in the clear") || s.Logins() > 0 {
		t.Errorf("%v, %d sign-ins", err, s.Logins())
	}
}

// oauthSettings are an account's settings that sign in with a token.
func oauthSettings(t *testing.T, ts *emailsim.TokenServer, s *emailsim.IMAPServer, extra ...string) channel.Account {
	return imapAccount(t, s, append([]string{"api_url", ts.URL(), "oauth_tenant", "firma", "oauth_client_id", "app", "oauth_client_secret", "s3cret"}, extra...)...)
}

func oauthEnv() channel.Env {
	e := env()
	e.HTTP = http.DefaultClient
	return e
}

func startTokens(t *testing.T, o emailsim.TokenOptions) *emailsim.TokenServer {
	t.Helper()
	if o.ClientID == "" {
		o.ClientID, o.ClientSecret = "app", "s3cret"
	}
	ts, err := emailsim.StartTokens(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ts.Close)
	return ts
}

// The token ends in the middle of a session, the server hangs up; the next token comes and nothing is lost.
func TestListenToken(t *testing.T) {
	for _, mech := range []string{"XOAUTH2", "OAUTHBEARER"} {
		t.Run(mech, func(t *testing.T) {
			ts := startTokens(t, emailsim.TokenOptions{Tenant: "firma"})
			s := startIMAP(t, emailsim.IMAPOptions{User: own, Tokens: ts, Bearer: mech})
			a := oauthSettings(t, ts, s, "oauth_refresh_token", ts.Consent(own))
			b := newInbox()
			pull(t, a, oauthEnv(), b)
			for i := range 3 {
				idle(t, s, 1)
				s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
				b.wait(t, i+1)
				idle(t, s, 1)
				ts.EndTokens()
			}
			s.Deliver(letterTo("zuletzt"), time.Time{})
			if got := strings.Join(b.wait(t, 4), ","); got != "mail 0,mail 1,mail 2,zuletzt" {
				t.Errorf("got %s", got)
			}
			if n := ts.Asked(); n < 3 || n > 4 {
				t.Errorf("the token endpoint was asked %d times", n)
			}
		})
	}
}

// A revoked consent turns the channel red once the token ends.
func TestListenConsentRevoked(t *testing.T) {
	ts := startTokens(t, emailsim.TokenOptions{})
	s := startIMAP(t, emailsim.IMAPOptions{User: own, Tokens: ts})
	a := oauthSettings(t, ts, s, "oauth_refresh_token", ts.Consent(own))
	b := newInbox()
	ended := make(chan error, 1)
	p := &puller{account: a, env: oauthEnv(), sink: b.sink, pace: fast, open: openIMAP, max: imapMaxBytes}
	go func() { ended <- p.run(t.Context()) }()
	idle(t, s, 1)
	ts.Revoke()
	ts.EndTokens()
	s.Deliver(letterTo("x"), time.Time{}) // wakes it
	var tr *channel.Trouble
	if err := <-ended; !errors.As(err, &tr) || !strings.Contains(tr.Reason.EN, "expired or was revoked") || !strings.Contains(tr.Remedy.DE, "oauth_refresh_token") {
		t.Errorf("%v", err)
	}
}

func TestCursor(t *testing.T) {
	c := imapCursor{validity: 17, uid: 42, box: "1f2e", from: 40, since: "2026-10-25", start: "2026-11-23"}
	if got := parseCursor(c.String()); got != c {
		t.Errorf("%+v", got)
	}
	c = imapCursor{validity: 17, uid: 42, box: "1f2e", from: 40}
	if got := parseCursor(c.String()); got != c {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"", "42", "uidvalidity=x uid=1 box=a", "uidvalidity=1 uid=99999999999 box=a", "uid=1"} {
		if got := parseCursor(bad); got != (imapCursor{}) {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}

// Another folder, user or server is another mailbox, whatever its UIDVALIDITY.
func TestListenOtherFolder(t *testing.T) {
	s := startIMAP(t, emailsim.IMAPOptions{})
	for i := range 3 {
		s.Deliver(letterTo(fmt.Sprintf("mail %d", i)), time.Time{})
	}
	a, b := imapAccount(t, s), newInbox()
	b.cursor = imapCursor{validity: 1, uid: 3, box: "another", from: 1}.String()
	pull(t, a, env(), b)
	b.wait(t, 3)
}

func FuzzCursor(f *testing.F) {
	f.Add("uidvalidity=17 uid=42 box=1f2e from=40 since=2026-10-25 start=2026-11-23")
	f.Fuzz(func(t *testing.T, s string) {
		c := parseCursor(s)
		if c.box != "" && parseCursor(c.String()) != c {
			t.Errorf("%q: %+v", s, c)
		}
	})
}
