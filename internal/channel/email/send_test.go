package email

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// trusted is a certificate that this test process trusts: TestMain names it as the system's root before the first
// handshake reads the roots.
var trusted tls.Certificate

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if trusted, err = emailsim.SelfSigned("localhost"); err != nil {
			panic(err)
		}
		dir, err := os.MkdirTemp("", "email")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, "roots.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.Certificate[0]})
		if err := os.WriteFile(file, block, 0o600); err != nil {
			panic(err)
		}
		os.Setenv("SSL_CERT_FILE", file)
		return m.Run()
	}())
}

func outgoing() channel.Outgoing {
	return channel.Outgoing{
		DeliveryID: "0195a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
		Author:     channel.Staff,
		AuthorName: "Anna Berg",
		To:         channel.Address{Value: "joerg@kunde.example", Name: "Jörg Müller"},
		Subject:    "Ihre Anfrage für März",
		Text:       "Guten Tag Herr Müller,\n\npasst Ihnen Donnerstag?\n.\n..\nFrom hier\n",
		ReplyToken: "k7q2m9x4t3",
		At:         time.Date(2026, 3, 2, 16, 40, 0, 0, time.FixedZone("CET", 3600)),
	}
}

func env() channel.Env {
	var d net.Dialer
	return channel.Env{Dial: channel.DialFunc(d.DialContext), Now: time.Now, Hostname: "rufweite.firma.example"}
}

func account(settings channel.Settings) channel.Account {
	return channel.Account{ID: "a1", Name: "Servicepostfach", Settings: settings}
}

func content(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func start(t *testing.T, o emailsim.Options) *emailsim.Mailbox {
	t.Helper()
	box, err := emailsim.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	return box
}

func TestSend(t *testing.T) {
	box := start(t, emailsim.Options{})
	a := account(box.Settings(own))
	out := outgoing()
	out.ReplyTo = "<parent@kunde.example>"
	out.References = []string{"<first@kunde.example>", "<parent@kunde.example>", "not an id", "<x@y>\r\nBcc: evil@x.example"}
	out.HTML = "<p>Guten Tag Herr Müller,</p><p>passt Ihnen <b>Donnerstag</b>?</p>"
	out.Cc = []channel.Mailbox{{Name: "Büro, Köln", Address: "buero@kunde.example"}}
	out.Bcc = []channel.Mailbox{{Address: "geheim@kunde.example"}, {Address: "JOERG@kunde.example"}}
	pdf := strings.Repeat("%PDF ", 1000)
	out.Attachments = []channel.File{{Name: "Übersicht März – Angebot für die Haftpflichtversicherung 2026.pdf", MediaType: "application/pdf", Open: content(pdf)},
		{Name: "a.eml", MediaType: "message/rfc822", Open: content("x")}}
	r, err := (Driver{}).Send(t.Context(), a, out, env())
	if err != nil {
		t.Fatal(err)
	}
	const id = "<0195a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b@firma.example>"
	if r.ExternalID != id || (Driver{}).ExternalID(a, out) != id {
		t.Errorf("external id %s", r.ExternalID)
	}
	all := box.All()
	if len(all) != 1 || fmt.Sprint(all[0].To) != "[joerg@kunde.example buero@kunde.example geheim@kunde.example]" || all[0].From != own {
		t.Fatalf("ledger: %+v", all)
	}
	raw := all[0].Raw
	if bytes.Contains(raw, []byte("geheim")) || bytes.Contains(bytes.ToLower(raw), []byte("bcc:")) {
		t.Error("Bcc is in the message")
	}
	for i, line := range bytes.Split(raw, []byte("\r\n")) {
		if len(line) > 78 && !bytes.Contains(line, []byte("0195a1b2")) {
			t.Errorf("line %d has %d bytes: %s", i, len(line), line)
		}
		if bytes.ContainsAny(line, "\r\n") || !isASCII(line) {
			t.Errorf("line %d is not clean ASCII: %q", i, line)
		}
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From":        `"Anna Berg (Servicepostfach)" <service@firma.example>`,
		"Reply-To":    `"Anna Berg (Servicepostfach)" <service+r.k7q2m9x4t3@firma.example>`,
		"Message-Id":  id,
		"In-Reply-To": "<parent@kunde.example>",
		"References":  "<first@kunde.example> <x@y> <parent@kunde.example>",
		"Date":        "Mon, 02 Mar 2026 16:40:00 +0100",
	} {
		if got := msg.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if msg.Header.Get("Auto-Submitted") != "" {
		t.Error("a person's mail is marked automatic")
	}
	// Read back with our own eyes.
	e, err := Parse(raw, "joerg@kunde.example", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m := e.Message
	if m.Subject != out.Subject || m.Text != strings.TrimRight(out.Text, "\n") || strings.TrimSpace(m.HTML) != out.HTML ||
		m.To[0].Name != "Jörg Müller" || m.Cc[0].Name != "Büro, Köln" {
		t.Errorf("read back: %+v", m)
	}
	if len(m.Attachments) != 2 || m.Attachments[0].Name != out.Attachments[0].Name || m.Attachments[1].MediaType != "application/octet-stream" {
		t.Fatalf("attachments: %+v", m.Attachments)
	}
	part, err := OpenPart(raw, m.Attachments[0].Part)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(part); string(b) != pdf {
		t.Errorf("attachment has %d bytes", len(b))
	}
	if got := emailsim.PlainText(raw); strings.TrimRight(got, "\n") != strings.TrimRight(out.Text, "\n") {
		t.Errorf("another program reads %q", got)
	}
}

func TestSendAutomatic(t *testing.T) {
	box := start(t, emailsim.Options{})
	out := outgoing()
	out.Author, out.AuthorName, out.Automatic, out.ReplyToken = channel.Machine, "", true, ""
	if _, err := (Driver{}).Send(t.Context(), account(box.Settings(own)), out, env()); err != nil {
		t.Fatal(err)
	}
	m := box.All()[0]
	for name, want := range map[string]string{"Auto-Submitted": "auto-replied", "Precedence": "auto_reply",
		"X-Auto-Response-Suppress": "All", "From": `"Servicepostfach" <service@firma.example>`, "Reply-To": ""} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if e := parse(t, m.Raw); !e.Message.Automatic {
		t.Error("our own automatic mail is not recognised as automatic: two installations could loop")
	}
}

// TestComposeInjection: nothing that comes from outside can add a header field, a recipient or a line.
func TestComposeInjection(t *testing.T) {
	const evil = "x\r\nBcc: evil@x.example\r\n\r\n<script>\x00\u202e\u2028"
	out := outgoing()
	out.AuthorName, out.Subject, out.To.Name, out.ReplyTo, out.ReplyToken, out.DeliveryID = evil, evil, evil, evil, evil, evil
	out.References = []string{evil, "<a\r\nBcc: b@c>"}
	out.Cc = []channel.Mailbox{{Name: evil, Address: "c@d.example"}, {Address: "a@b.example\r\nBcc: evil@x.example"}}
	out.Attachments = []channel.File{{Name: evil + `"; x="y`, MediaType: "text/plain\r\nBcc: evil@x.example", Open: content("x")}}
	a := account(channel.Settings{"address": own})
	a.Name = evil
	var b bytes.Buffer
	if err := Compose(&b, a, out, "host\r\nBcc: evil@x.example"); err != nil {
		t.Fatal(err)
	}
	field := regexp.MustCompile(`(?im)^(Bcc|<script)`)
	if loc := field.FindIndex(b.Bytes()); loc != nil {
		t.Errorf("injected at %d:\n%s", loc[0], b.String())
	}
	msg, err := mail.ReadMessage(&b)
	if err != nil {
		t.Fatal(err)
	}
	for name := range msg.Header {
		switch name {
		case "Date", "From", "To", "Cc", "Message-Id", "Subject", "Mime-Version", "Content-Type", "References",
			"In-Reply-To":
		default:
			t.Errorf("unexpected field %s: %q", name, msg.Header[name])
		}
	}
	if cc, err := msg.Header.AddressList("Cc"); err != nil || len(cc) != 1 || cc[0].Address != "c@d.example" {
		t.Errorf("Cc %v (%v)", cc, err)
	}
	s := account(channel.Settings{"address": own, "smtp_host": "127.0.0.1"})
	for _, addr := range []string{evil, "", "nobody", "a@b.example\r\nRCPT TO:<evil@x.example>", "<a@b.example>", "a b@c.example", "a@b.example,c@d.example"} {
		out := outgoing()
		out.To.Value = addr
		_, err := (Driver{}).Send(t.Context(), s, out, env())
		var se *channel.SendError
		if !errors.As(err, &se) || se.Class != channel.Permanent {
			t.Errorf("recipient %q: %v", addr, err)
		}
	}
}

func TestComposeLongValues(t *testing.T) {
	out := outgoing()
	out.Subject = strings.Repeat("Straßenbahn ", 100)
	out.Text = strings.Repeat("ß", 5000) + "\n" + strings.Repeat("x", 5000)
	for i := range 300 {
		out.References = append(out.References, fmt.Sprintf("<%d.%s@kunde.example>", i, strings.Repeat("r", 80)))
	}
	for i := range 100 {
		out.Cc = append(out.Cc, channel.Mailbox{Name: "Käthe", Address: fmt.Sprintf("k%d@kunde.example", i)})
	}
	var b bytes.Buffer
	if err := Compose(&b, account(channel.Settings{"address": own}), out, ""); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\r\n") {
		if len(line) > 998 {
			t.Errorf("line of %d bytes: %.80s", len(line), line)
		}
	}
	m := parse(t, b.Bytes()).Message
	if m.Subject != strings.TrimSpace(out.Subject) && !strings.HasPrefix(m.Subject, "Straßenbahn Straßenbahn") {
		t.Errorf("subject %q", m.Subject)
	}
	if m.Text != out.Text || len(m.Cc) != 100 || len(m.References) != maxReferences || m.References[0] != out.References[0] ||
		m.References[maxReferences-1] != out.References[299] {
		t.Errorf("text %d, cc %d, references %d", len(m.Text), len(m.Cc), len(m.References))
	}
}

// TestSendErrors: what may be done after each failure, and that "may have been accepted" is exactly what comes after
// the final dot.
func TestSendErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		fault emailsim.Fault
		class channel.Class
		code  string
		kept  int // what the server's ledger holds
	}{
		"unknown recipient":   {emailsim.Reject550, channel.NotHere, "550 5.1.1", 0},
		"policy":              {emailsim.RejectPolicy, channel.Permanent, "550 5.7.1", 0},
		"greylisted":          {emailsim.Reject451, channel.Temporary, "451 4.7.1", 0},
		"sender not allowed":  {emailsim.RejectSender, channel.Misconfig, "553 5.7.1", 0},
		"busy":                {emailsim.Busy421, channel.Temporary, "421 4.3.2", 0},
		"content refused":     {emailsim.RejectContent, channel.Permanent, "554 5.7.1", 0},
		"busy after the dot":  {emailsim.BusyAfterDot, channel.Temporary, "451 4.3.0", 0},
		"cut before the dot":  {emailsim.DropInData, channel.Temporary, "", 0},
		"cut after the dot":   {emailsim.HangAfterDot, channel.Unknown, "", 1},
		"no answer after dot": {emailsim.StallAfterDot, channel.Unknown, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := start(t, emailsim.Options{})
			box.SetFault(tt.fault)
			ctx := t.Context()
			if tt.fault == emailsim.StallAfterDot {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				go func() {
					box.Wait(context.Background(), "joerg@kunde.example", 1)
					cancel()
				}()
			}
			out := outgoing()
			if tt.fault == emailsim.DropInData {
				out.Text = strings.Repeat("lang ", 4<<20)
			}
			_, err := (Driver{}).Send(ctx, account(box.Settings(own)), out, env())
			var se *channel.SendError
			if !errors.As(err, &se) {
				t.Fatalf("error %v", err)
			}
			if se.Class != tt.class || se.Code != tt.code || se.Reason.DE == "" || se.Reason.EN == "" {
				t.Errorf("%+v (%v), want %s %s", se, se, tt.class, tt.code)
			}
			if got := box.All(); len(got) != tt.kept {
				t.Errorf("the server kept %d messages, want %d", len(got), tt.kept)
			}
		})
	}
}

func TestSendCopyRefused(t *testing.T) {
	box := start(t, emailsim.Options{Known: []string{"joerg@kunde.example"}})
	out := outgoing()
	out.Cc = []channel.Mailbox{{Address: "weg@kunde.example"}}
	_, err := (Driver{}).Send(t.Context(), account(box.Settings(own)), out, env())
	var se *channel.SendError
	if !errors.As(err, &se) || se.Class != channel.Permanent || !strings.Contains(se.Reason.EN, "weg@kunde.example") {
		t.Errorf("%v", err)
	}
	if len(box.All()) != 0 {
		t.Error("half of the recipients got it")
	}
}

func TestSendWithoutServer(t *testing.T) {
	var se *channel.SendError
	_, err := (Driver{}).Send(t.Context(), account(channel.Settings{"address": own, "api_url": "http://127.0.0.1:1"}), outgoing(), env())
	if !errors.As(err, &se) || se.Class != channel.Misconfig || se.Reason.EN != "cannot send: no smtp_host" {
		t.Errorf("%v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	_, err = (Driver{}).Send(t.Context(), account(channel.Settings{"address": own, "smtp_host": "127.0.0.1", "smtp_port": port}), outgoing(), env())
	if !errors.As(err, &se) || se.Class != channel.Temporary {
		t.Errorf("refused connection: %v", err)
	}
	e := env()
	e.Dial = channel.DialFunc(func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "smtp.weg.example", IsNotFound: true}
	})
	_, err = (Driver{}).Send(t.Context(), account(channel.Settings{"address": own, "smtp_host": "smtp.weg.example"}), outgoing(), e)
	if !errors.As(err, &se) || se.Class != channel.Temporary || !strings.Contains(se.Reason.EN, "resolved") {
		t.Errorf("DNS: %v", err)
	}
}

// TestSendAttachmentFails: a file that cannot be read to its end must not go out cut short.
func TestSendAttachmentFails(t *testing.T) {
	box := start(t, emailsim.Options{})
	for name, open := range map[string]func() (io.ReadCloser, error){
		"open": func() (io.ReadCloser, error) { return nil, errors.New("gone") },
		"read": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 100000)), &failing{})), nil
		},
	} {
		out := outgoing()
		out.Attachments = []channel.File{{Name: "a.pdf", MediaType: "application/pdf", Open: open}}
		_, err := (Driver{}).Send(t.Context(), account(box.Settings(own)), out, env())
		var se *channel.SendError
		if !errors.As(err, &se) || se.Class != channel.Temporary || !strings.Contains(se.Reason.EN, "a.pdf") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(box.All()) != 0 {
		t.Error("a message with half a file was accepted")
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("disk error") }

// TestTLSModes says what each value of smtp_tls does with each kind of server. far hides that the server is on this
// machine.
func TestTLSModes(t *testing.T) {
	plain := emailsim.Options{User: "u", Password: "p"}
	starttls := emailsim.Options{User: "u", Password: "p", StartTLS: true}
	implicit := emailsim.Options{User: "u", Password: "p", ImplicitTLS: true}
	open := emailsim.Options{StartTLS: true}
	verified := func(o emailsim.Options) emailsim.Options {
		o.Certificate = &trusted
		return o
	}
	const ok = channel.Class("")
	for name, tt := range map[string]struct {
		server    emailsim.Options
		mode      string
		far       bool
		class     channel.Class
		encrypted bool
	}{
		"none, plain":                       {plain, "none", true, ok, false},
		"none, starttls offered":            {open, "none", true, ok, false},
		"auto, plain, near":                 {plain, "", false, ok, false},
		"auto, plain, far, password":        {plain, "auto", true, channel.Misconfig, false},
		"auto, starttls, near, self-signed": {starttls, "auto", false, ok, true},
		"auto, starttls, far, self-signed":  {starttls, "auto", true, channel.Misconfig, false},
		"auto, far, no password":            {open, "auto", true, ok, true},
		"starttls, far, verified":           {verified(starttls), "starttls", true, ok, true},
		"tls, far, verified":                {verified(implicit), "tls", true, ok, true},
		"auto, far, password, verified":     {verified(starttls), "auto", true, ok, true},
		"starttls, self-signed":             {starttls, "starttls", false, channel.Misconfig, false},
		"starttls, not offered":             {plain, "starttls", false, channel.Misconfig, false},
		"tls, self-signed":                  {implicit, "tls", false, channel.Misconfig, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := start(t, tt.server)
			s := box.Settings(own)
			s["smtp_tls"] = tt.mode
			e := env()
			if tt.far {
				e.Dial = channel.DialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := (&net.Dialer{}).DialContext(ctx, network, address)
					return farConn{c}, err
				})
			}
			_, err := (Driver{}).Send(t.Context(), account(s), outgoing(), e)
			var se *channel.SendError
			if errors.As(err, &se) != (tt.class != ok) || se != nil && se.Class != tt.class {
				t.Fatalf("error %v, want %q", err, tt.class)
			}
			got := box.All()
			if tt.class == ok && (len(got) != 1 || got[0].TLS != tt.encrypted || got[0].User != tt.server.User) {
				t.Errorf("ledger %+v", got)
			}
			if tt.class != ok && len(got) != 0 {
				t.Error("sent all the same")
			}
		})
	}
}

// farConn pretends that the other end is on the Internet.
type farConn struct{ net.Conn }

func (farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 587} }

func TestAuth(t *testing.T) {
	box := start(t, emailsim.Options{User: "u", Password: "p"})
	s := box.Settings(own)
	s["smtp_password"] = "wrong"
	_, err := (Driver{}).Send(t.Context(), account(s), outgoing(), env())
	var se *channel.SendError
	if !errors.As(err, &se) || se.Class != channel.Misconfig || se.Code != "535 5.7.8" {
		t.Errorf("wrong password: %v", err)
	}
	delete(s, "smtp_user")
	delete(s, "smtp_password")
	_, err = (Driver{}).Send(t.Context(), account(s), outgoing(), env())
	if !errors.As(err, &se) || se.Class != channel.Misconfig {
		t.Errorf("no sign-in: %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "wrong") {
		t.Error("the password is in the error")
	}
}

func TestProbe(t *testing.T) {
	box := start(t, emailsim.Options{User: "u", Password: "p", StartTLS: true})
	if err := (Driver{}).Probe(t.Context(), account(box.Settings(own)), env()); err != nil {
		t.Errorf("a good account: %v", err)
	}
	if err := (Driver{}).Probe(t.Context(), account(channel.Settings{"address": own}), env()); err != nil {
		t.Errorf("an account that only receives: %v", err)
	}
	bad := box.Settings(own)
	bad["smtp_password"] = "wrong"
	var tr *channel.Trouble
	if err := (Driver{}).Probe(t.Context(), account(bad), env()); !errors.As(err, &tr) || tr.Remedy.DE == "" || tr.Remedy.EN == "" {
		t.Errorf("a wrong password: %v", err)
	}
	if len(box.All()) != 0 {
		t.Error("Probe sent something")
	}
	box.Close()
	if err := (Driver{}).Probe(t.Context(), account(box.Settings(own)), env()); !errors.As(err, &tr) {
		t.Errorf("a dead server: %v", err)
	}
}

// TestStartTLSInjection: answers that an attacker puts behind the answer to STARTTLS end the attempt.
func TestStartTLSInjection(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		buf := make([]byte, 100)
		io.WriteString(there, "220 x\r\n")
		there.Read(buf)
		io.WriteString(there, "250-x\r\n250 STARTTLS\r\n")
		there.Read(buf)
		io.WriteString(there, "220 go\r\n250 injected\r\n")
		there.Close()
	}()
	if ok, err := askStartTLS(here, "me"); err == nil || ok {
		t.Errorf("offered %v, error %v", ok, err)
	}
}
