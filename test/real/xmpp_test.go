//go:build real

package real_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/xmpp"
)

// prosody is a server of the company's (muster.example) and the customer's (kunden.example); Debian's own service is not
// touched.
type prosody struct {
	t                     *testing.T
	dir, c2s, comp, ca    string
	cmd                   *exec.Cmd
	said                  *bytes.Buffer
	config, caFile, certs string
}

func startProsody(t *testing.T) *prosody {
	t.Helper()
	need(t, "prosody")
	p := &prosody{t: t, dir: t.TempDir(), c2s: freeAddr(t), comp: freeAddr(t), said: &bytes.Buffer{}}
	web := freeAddr(t)
	p.ca = p.certificate("muster.example", "kunden.example")
	port := func(addr string) string { _, port, _ := net.SplitHostPort(addr); return port }
	p.config = filepath.Join(p.dir, "prosody.cfg.lua")
	config := fmt.Sprintf(`
run_as_root = true
daemonize = false
data_path = %[1]q
pidfile = %[1]q .. "/pid"
log = { { levels = { min = "info" }, to = "console" } }
modules_enabled = { "roster", "saslauth", "tls", "disco", "mam", "ping", "offline" }
modules_disabled = { "s2s" }
interfaces = { "127.0.0.1" }
c2s_ports = { %[2]s }
c2s_direct_tls_ports = {}
component_ports = { %[3]s }
component_interfaces = { "127.0.0.1" }
http_ports = { %[4]s }
http_interfaces = { "127.0.0.1" }
https_ports = {}
http_external_url = "http://127.0.0.1:%[4]s/"
http_default_host = "upload.muster.example"
c2s_require_encryption = true
authentication = "internal_hashed"
default_archive_policy = true
archive_expires_after = "never"
ssl = { certificate = %[1]q .. "/cert.pem", key = %[1]q .. "/key.pem" }
VirtualHost "muster.example"
VirtualHost "kunden.example"
	disco_items = { { "upload.muster.example", "files" } }
Component "upload.muster.example" "http_file_share"
	http_host = "127.0.0.1"
	http_file_share_access = { "muster.example", "kunden.example", "dienst.muster.example" }
	modules_enabled = { "http_file_share" }
Component "dienst.muster.example"
	component_secret = "ein-Geheimnis"
`, p.dir, port(p.c2s), port(p.comp), port(web))
	if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("prosody said:\n%s", p.said.String())
		}
	})
	return p
}

func (p *prosody) certificate(names ...string) (ca string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.caFile = filepath.Join(p.dir, "cert.pem")
	for name, b := range map[string][]byte{p.caFile: cert, filepath.Join(p.dir, "key.pem"): pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	return string(cert)
}

func (p *prosody) start() {
	p.t.Helper()
	p.cmd = exec.Command("prosody", "-F", "--config", p.config)
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "prosody listens", 20*time.Second, func() (bool, string) {
		for _, addr := range []string{p.c2s, p.comp} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return false, err.Error()
			}
			_ = c.Close()
		}
		return true, ""
	})
}

func (p *prosody) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		p.t.Error("prosody did not stop")
	}
}

func (p *prosody) register(user, host, password string) {
	p.t.Helper()
	if out, err := exec.Command("prosodyctl", "--config", p.config, "register", user, host, password).CombinedOutput(); err != nil {
		p.t.Fatalf("prosodyctl register: %v\n%s", err, out)
	}
}

// slix is a customer's client, made of slixmpp.
type slix struct {
	t     *testing.T
	in    io.WriteCloser
	lines chan jabbered
	seen  []jabbered
	n     int
}

type jabbered struct{ Op, ID, Body, URL, Reply, From, Condition string }

func (p *prosody) customer(jid, password string) *slix {
	t := p.t
	t.Helper()
	if exec.Command("/usr/bin/python3", "-c", "import slixmpp").Run() != nil {
		t.Fatal("python3-slixmpp is missing: make deps installs it")
	}
	cmd := exec.Command("/usr/bin/python3", "xmpp.py", jid, password, p.c2s, p.caFile)
	cmd.Stderr = p.said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &slix{t: t, in: in, lines: make(chan jabbered, 1000)}
	go func() {
		for r := bufio.NewScanner(out); r.Scan(); {
			var h jabbered
			if json.Unmarshal(r.Bytes(), &h) == nil {
				s.lines <- h
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
	})
	s.hear("online", func(jabbered) bool { return true })
	return s
}

func (s *slix) hear(op string, fits func(jabbered) bool) jabbered {
	s.t.Helper()
	for _, h := range s.seen {
		if h.Op == op && fits(h) {
			return h
		}
	}
	deadline := time.After(15 * time.Second)
	for {
		select {
		case h := <-s.lines:
			s.seen = append(s.seen, h)
			if h.Op == op && fits(h) {
				return h
			}
		case <-deadline:
			s.t.Fatalf("the customer did not hear %q; heard: %+v", op, s.seen)
		}
	}
}

func (s *slix) do(o map[string]any) (id string) {
	s.t.Helper()
	s.n++
	id = fmt.Sprintf("k%d-%d", s.n, time.Now().UnixNano())
	o["id"] = id
	b, _ := json.Marshal(o)
	if _, err := s.in.Write(append(b, '\n')); err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *slix) say(to, text string) string {
	return s.do(map[string]any{"op": "say", "to": to, "body": text})
}

func id(id string) func(jabbered) bool { return func(h jabbered) bool { return h.ID == id } }

func png(name string) channel.File {
	b := []byte("\x89PNG\r\n\x1a\n" + name)
	return channel.File{Name: name, MediaType: "image/png", Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// TestXMPP talks to prosody as an account (STARTTLS, SCRAM) and as a component; the customer is slixmpp.
func TestXMPP(t *testing.T) {
	p := startProsody(t)
	p.register("service", "muster.example", "ein-Passwort")
	p.register("erika", "kunden.example", "geheim")
	erika := p.customer("erika@kunden.example", "geheim")
	_, port, _ := net.SplitHostPort(p.c2s)
	_, compPort, _ := net.SplitHostPort(p.comp)
	for _, mode := range []struct {
		name, us string
		settings channel.Settings
	}{
		{"account", "service@muster.example", channel.Settings{"jid": "service@muster.example", "password": "ein-Passwort", "host": "127.0.0.1", "port": port, "tls_ca": p.ca}},
		{"component", "hilfe@dienst.muster.example", channel.Settings{"jid": "dienst.muster.example", "component_secret": "ein-Geheimnis", "host": "127.0.0.1", "port": compPort}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			erika.t = t
			d := xmpp.New()
			if err := d.Check(mode.settings); err != nil {
				t.Fatal(err)
			}
			l := newWire(t, channel.Account{ID: mode.name, Kind: xmpp.Kind, Settings: mode.settings}, d)
			if err := d.Probe(t.Context(), l.a, l.env); err != nil {
				t.Fatal(err)
			}
			wrong := l.a
			wrong.Settings = channel.Settings{}
			for k, v := range l.a.Settings {
				wrong.Settings[k] = v
			}
			for _, key := range []string{"password", "component_secret"} {
				if wrong.Settings[key] != "" {
					wrong.Settings[key] = "falsch"
				}
			}
			var trouble *channel.Trouble
			if err := d.Probe(t.Context(), wrong, l.env); !errors.As(err, &trouble) || !strings.Contains(trouble.Reason.EN, "login") {
				t.Errorf("a wrong password: %v", err)
			}
			if mode.name == "account" {
				delete(wrong.Settings, "tls_ca")
				if err := d.Probe(t.Context(), wrong, l.env); !errors.As(err, &trouble) || !strings.Contains(trouble.Reason.EN, "certificate") {
					t.Errorf("an unknown certificate: %v", err)
				}
			}
			stop := l.listen()
			defer func() { stop() }()
			if mode.name == "account" {
				eventually(t, "the first position", 10*time.Second, func() (bool, string) { return l.kept() != "", l.kept() })
			} else {
				time.Sleep(500 * time.Millisecond) // senders to a component that is away get an error
			}
			erika.do(map[string]any{"op": "subscribe", "to": mode.us})

			first := erika.say(mode.us, "Guten Tag, äöü € 🙂")
			e := l.awaitText("Guten Tag, äöü € 🙂")
			if e.Sender.Value != "erika@kunden.example" || e.Message.ExternalID != first {
				t.Errorf("came as %+v from %+v", e.Message, e.Sender)
			}
			erika.hear("receipt", id(first))

			r := l.send(channel.Outgoing{DeliveryID: mode.name + "-1", To: e.Sender, Text: "Guten Tag <Erika> & Co.", ReplyTo: first})
			m := erika.hear("message", id(r.ExternalID))
			if m.Body != "Guten Tag <Erika> & Co." || m.Reply != first {
				t.Errorf("arrived as %+v", m)
			}
			if x := d.ExternalID(l.a, channel.Outgoing{DeliveryID: mode.name + "-1", To: e.Sender}); x != r.ExternalID {
				t.Errorf("known before as %q, sent as %q", x, r.ExternalID)
			}
			l.await("the receipt", func(e channel.Event) bool {
				return e.Status != nil && e.Status.ExternalID == r.ExternalID && e.Status.State == channel.Delivered
			})
			erika.do(map[string]any{"op": "displayed", "to": mode.us, "ref": r.ExternalID})
			l.await("the marker", func(e channel.Event) bool { return e.Type == channel.ReadEvent && e.Ref == r.ExternalID })
			erika.do(map[string]any{"op": "say", "to": mode.us, "body": "Genau dazu.", "reply": r.ExternalID})
			if e := l.awaitText("Genau dazu."); e.Message.ReplyTo != r.ExternalID {
				t.Errorf("quotes %q", e.Message.ReplyTo)
			}
			erika.do(map[string]any{"op": "say", "to": mode.us, "body": "Guten Abend", "replace": first})
			l.await("the correction", func(e channel.Event) bool {
				return e.Type == channel.EditEvent && e.Ref == first && e.Message.Text == "Guten Abend"
			})
			erika.do(map[string]any{"op": "react", "to": mode.us, "ref": r.ExternalID, "list": []string{"👍"}})
			l.await("the reaction", func(e channel.Event) bool {
				return e.Type == channel.ReactionEvent && e.Ref == r.ExternalID && e.Reaction == "👍"
			})

			r = l.send(channel.Outgoing{DeliveryID: mode.name + "-2", To: e.Sender, Attachments: []channel.File{png("Bild 1.png")}})
			if m := erika.hear("message", id(r.ExternalID)); m.URL == "" || m.URL != m.Body {
				t.Errorf("the file arrived as %+v", m)
			} else if b := fetch(t, d, l, m.URL); b != "\x89PNG\r\n\x1a\nBild 1.png" {
				t.Errorf("the file has %q", b)
			}
			erika.do(map[string]any{"op": "upload", "to": mode.us, "name": "scan.png", "content": "PNG des Kunden"})
			e = l.await("the file", func(e channel.Event) bool { return e.Message != nil && len(e.Message.Attachments) == 1 })
			if f := e.Message.Attachments[0]; f.Name != "scan.png" || f.MediaType != "image/png" || e.Message.Text != "" || fetch(t, d, l, f.Remote) != "PNG des Kunden" {
				t.Errorf("the file came as %+v, text %q", f, e.Message.Text)
			}

			for who, want := range map[string]channel.Class{"niemand@kunden.example": channel.NotHere} {
				_, err := d.Send(t.Context(), l.a, channel.Outgoing{DeliveryID: mode.name + "-3", To: channel.Address{Value: who}, Text: "Hallo?"}, l.env)
				var se *channel.SendError
				if !errors.As(err, &se) || se.Class != want {
					t.Errorf("to %s: %v", who, err)
				}
			}

			if mode.name == "account" { // written while we are away: once, in order, receipts afterwards
				stop()
				var ids []string
				for i := range 120 {
					ids = append(ids, erika.say(mode.us, fmt.Sprint("Nachricht ", i)))
				}
				erika.hear("done", id(ids[119]))
				// Another process listens: Send opens a stream of its own.
				l.send(channel.Outgoing{DeliveryID: "kurz", To: e.Sender, Text: "Wir sind gleich da."})
				before := len(l.all(channel.MessageEvent))
				stop = l.listen()
				l.awaitText("Nachricht 119")
				erika.hear("receipt", id(ids[119]))
				got := l.all(channel.MessageEvent)[before:]
				if len(got) != 120 {
					t.Errorf("%d messages came", len(got))
				}
				for i, e := range got {
					if e.Message.Text != fmt.Sprint("Nachricht ", i) || e.At.IsZero() {
						t.Fatalf("%d is %q at %s", i, e.Message.Text, e.At)
					}
				}
			}
		})
	}

	t.Run("restart", func(t *testing.T) {
		l := newWire(t, channel.Account{ID: "neu", Kind: xmpp.Kind, Settings: channel.Settings{"jid": "service@muster.example", "password": "ein-Passwort", "host": "127.0.0.1", "port": port, "tls_ca": p.ca}}, xmpp.New())
		stop := l.listen()
		defer stop()
		eventually(t, "the first position", 10*time.Second, func() (bool, string) { return l.kept() != "", "" })
		p.stop()
		p.start()
		again := p.customer("erika@kunden.example", "geheim")
		again.say("service@muster.example", "nach dem Neustart")
		e := l.awaitText("nach dem Neustart")
		r := l.send(channel.Outgoing{DeliveryID: "n1", To: e.Sender, Text: "Wir auch."})
		again.hear("message", id(r.ExternalID))
		if n := len(l.all(channel.MessageEvent)); n != 1 {
			t.Errorf("%d messages: what lies before the channel is not ours", n)
		}
	})
}

func fetch(t *testing.T, d channel.Fetcher, l *wire, remote string) string {
	t.Helper()
	f, err := d.FetchMedia(t.Context(), l.a, remote, l.env)
	if err != nil {
		t.Errorf("%s: %v", remote, err)
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(f)
	return string(b)
}
