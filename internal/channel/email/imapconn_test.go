package email

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// scripted is a server that says what a test wants: for servers that are stranger than a simulator should be.
type scripted struct {
	addr  string
	mu    sync.Mutex
	heard []string // commands without their tags
}

// script answers a command (without its tag) with untagged lines and the tagged result ("" = OK); ok false is silence.
type script func(command string) (untagged, result string, ok bool)

func startScripted(t *testing.T, answer script) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &scripted{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go s.serve(c, answer)
		}
	}()
	return s
}

func (s *scripted) serve(c net.Conn, answer script) {
	defer c.Close()
	fmt.Fprint(c, "* OK hello\r\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		s.mu.Lock()
		s.heard = append(s.heard, command)
		s.mu.Unlock()
		untagged, result, ok := answer(command)
		if !ok {
			continue
		}
		if result == "" {
			result = "OK done"
		}
		if _, err := fmt.Fprintf(c, "%s%s %s\r\n", untagged, tag, result); err != nil {
			return
		}
	}
}

func (s *scripted) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

func (s *scripted) account(t *testing.T) channel.Account {
	host, port, _ := net.SplitHostPort(s.addr)
	a := account(channel.Settings{"address": own, "imap_host": host, "imap_port": port, "imap_tls": "none", "imap_user": "u", "imap_password": "p"})
	a.ID = t.Name()
	return a
}

// oneMail answers as a plain server with one mail of UID 7 does; change may say something else.
func oneMail(change script) script {
	raw := string(letterTo("Hagel"))
	return func(command string) (string, string, bool) {
		if change != nil {
			if u, r, ok := change(command); ok || r == "silent" {
				return u, r, ok
			}
		}
		name, rest, _ := strings.Cut(command, " ")
		switch {
		case name == "CAPABILITY":
			return "* CAPABILITY IMAP4rev1 IDLE\r\n", "", true
		case name == "EXAMINE":
			return "* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 3] ok\r\n* OK [UIDNEXT 8] ok\r\n", "OK [READ-ONLY] done", true
		case name == "UID" && strings.HasPrefix(rest, "SEARCH"):
			return "* SEARCH 7\r\n", "", true // also for 8:*, as RFC 3501 §6.4.8 has it
		case name == "UID" && strings.Contains(rest, "RFC822.SIZE"):
			return fmt.Sprintf("* 1 FETCH (UID 7 RFC822.SIZE %d)\r\n", len(raw)), "", true
		case name == "UID" && strings.Contains(rest, "BODY.PEEK[]"):
			return fmt.Sprintf("* 1 FETCH (UID 7 BODY[]<0> {%d}\r\n%s)\r\n", len(raw), raw), "", true
		case name == "IDLE":
			return "", "silent", false
		}
		return "", "", true
	}
}

// What servers do that RFC 3501 allows, or that some do all the same.
func TestStrangeServers(t *testing.T) {
	on := func(part, untagged, result string) script {
		return func(command string) (string, string, bool) {
			return untagged, result, strings.Contains(command, part)
		}
	}
	raw := string(letterTo("Hagel"))
	for name, tt := range map[string]struct {
		change script
		want   string // subject, or the beginning of an error of the parser
	}{
		"plain":            {nil, "Hagel"},
		"refuses IDLE":     {on("IDLE", "", "BAD not now"), "Hagel"},
		"no UIDNEXT":       {on("EXAMINE", "* 1 EXISTS\r\n* OK [UIDVALIDITY 3] ok\r\n", ""), "Hagel"},
		"no UIDVALIDITY":   {on("EXAMINE", "* 1 EXISTS\r\n", ""), "Hagel"},
		"size is too low":  {on("RFC822.SIZE", "* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n", ""), "Hagel"},
		"size is too high": {on("RFC822.SIZE", "* 1 FETCH (RFC822.SIZE 30000000 UID 7)\r\n", ""), "Hagel"},
		"talks in between": {on("BODY.PEEK", fmt.Sprintf("* 2 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* OK [ALERT] Mailbox is almost full\r\n* 1 FETCH (UID 7 FLAGS () BODY[]<0> {%d}\r\n%s)\r\n", len(raw), raw), ""), "Hagel"},
		"quoted, not a literal": {on("BODY.PEEK", "* 1 FETCH (UID 7 BODY[]<0> \"no mail\")\r\n", ""),
			"!not an Internet message"},
		"without a byte": {on("BODY.PEEK", "* 1 FETCH (UID 7 BODY[]<0> NIL)\r\n", ""), "!not an Internet message"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startScripted(t, oneMail(tt.change))
			b := newInbox()
			pull(t, s.account(t), env(), b)
			if got := b.wait(t, 1); !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("got %q", got)
			}
			b.until(t, "all is read", func() bool { return strings.Contains(b.cursor, " uid=7 ") })
		})
	}
}

// A server that falls silent, or that floods us, ends the connection and not the process; the mail stays to be fetched.
func TestHostileServers(t *testing.T) {
	for name, change := range map[string]script{
		"silent at the sign-in": func(c string) (string, string, bool) { return "", "silent", !strings.HasPrefix(c, "LOGIN") },
		"silent in the mail": func(c string) (string, string, bool) {
			return "", "silent", !strings.Contains(c, "BODY.PEEK")
		},
		"endless line": func(c string) (string, string, bool) {
			return "* OK " + strings.Repeat("x", 17<<20) + "\r\n", "", strings.HasPrefix(c, "EXAMINE")
		},
		"endless mail": func(c string) (string, string, bool) {
			return "* 1 FETCH (UID 7 BODY[]<0> {90000000}\r\n" + strings.Repeat("x", 20<<20) + ")\r\n", "", strings.Contains(c, "BODY.PEEK")
		},
		"no IMAP at all": func(c string) (string, string, bool) { return "HTTP/1.1 400 Bad Request\r\n\r\n", "", true },
		"nested lists": func(c string) (string, string, bool) {
			return "* 1 FETCH " + strings.Repeat("(", 5000) + "\r\n", "", strings.Contains(c, "RFC822.SIZE")
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := oneMail(nil)
			s := startScripted(t, func(c string) (string, string, bool) {
				u, r, ok := change(c)
				switch {
				case r == "silent" && !ok: // this one is not answered
					return "", "", false
				case r != "silent" && ok:
					return u, r, true
				}
				return answer(c)
			})
			b := newInbox()
			p := &puller{account: s.account(t), env: env(), sink: b.sink, pace: fast, max: 1 << 20,
				open: func(ctx context.Context, a channel.Account, e channel.Env) (imapMailbox, error) {
					return openWith(ctx, a, e, "", 200*time.Millisecond)
				}}
			p.pace.patience, p.pace.stuck = 2, 100
			var tr *channel.Trouble
			if err := p.run(t.Context()); !errors.As(err, &tr) || tr.Reason.DE == "" || tr.Remedy.DE == "" {
				t.Errorf("%v", err)
			}
			if len(b.got) > 0 || strings.Contains(b.cursor, "uid=7 ") {
				t.Errorf("got %q, cursor %q", b.subjects(), b.cursor)
			}
		})
	}
}

// Nothing that a session says could change the mailbox.
func TestOnlyReads(t *testing.T) {
	s := startScripted(t, oneMail(nil))
	b := newInbox()
	stop := pull(t, s.account(t), env(), b)
	b.wait(t, 1)
	b.until(t, "all is read", func() bool { return strings.Contains(b.cursor, " uid=7 ") })
	stop()
	for _, c := range s.commands() {
		name, rest, _ := strings.Cut(c, " ")
		fine := slices.Contains([]string{"CAPABILITY", "LOGIN", "EXAMINE", "NOOP", "IDLE", "DONE"}, name) ||
			name == "UID" && (strings.HasPrefix(rest, "SEARCH ") || strings.HasPrefix(rest, "FETCH ") && !strings.Contains(rest, "BODY["))
		if !fine {
			t.Errorf("it says %s", c)
		}
	}
}
