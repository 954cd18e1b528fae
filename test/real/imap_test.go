//go:build real

package real_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// dovecot is an IMAP server over Maildirs of postfix's.
type dovecot struct {
	t              *testing.T
	dir, mail      string
	port, secure   string
	owner          string
	user, password string
	cmd            *exec.Cmd
	ended          chan error
	said           bytes.Buffer
}

// startDovecot makes a dovecot for one mailbox below mail and starts it.
func startDovecot(t *testing.T, mail, user, password string) *dovecot {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	need(t, "dovecot", "openssl")
	dir, err := os.MkdirTemp("", "rufweite-dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // dovecot's processes run as other users
		t.Fatal(err)
	}
	d := &dovecot{t: t, dir: dir, mail: mail, user: user, password: password, owner: "nobody"}
	if os.Getuid() != 0 {
		d.owner = fmt.Sprint(os.Getuid())
	}
	_, d.port, _ = net.SplitHostPort(freeAddr(t))
	_, d.secure, _ = net.SplitHostPort(freeAddr(t))
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log", "dovecot"))
			t.Logf("dovecot said:\n%s\n%s", d.said.String(), log)
		}
		if err := asRoot(t, "rm", "-rf", dir).Run(); err != nil {
			t.Error(err)
		}
	})
	d.start()
	return d
}

func (d *dovecot) start() {
	d.t.Helper()
	script, err := filepath.Abs("dovecot.sh")
	if err != nil {
		d.t.Fatal(err)
	}
	d.cmd = asRoot(d.t, script, d.dir, d.port, d.secure, d.mail, d.owner, d.user, d.password)
	d.cmd.Stdout, d.cmd.Stderr = &d.said, &d.said
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended, cmd := make(chan error, 1), d.cmd
	d.ended = ended
	go func() { ended <- cmd.Wait() }()
	eventually(d.t, "dovecot greets", 30*time.Second, func() (bool, string) {
		select {
		case err := <-ended:
			ended <- err
			d.t.Fatalf("dovecot ended: %v\n%s", err, d.said.String())
		default:
		}
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+d.port, time.Second)
		if err != nil {
			return false, err.Error()
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 4)
		n, _ := c.Read(b)
		return string(b[:n]) == "* OK", string(b[:n])
	})
}

// stop ends dovecot with all sessions.
func (d *dovecot) stop() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(20 * time.Second):
		_ = asRoot(d.t, "kill", "-KILL", fmt.Sprint(-d.cmd.Process.Pid)).Run()
		d.t.Error("dovecot did not stop")
	}
	d.cmd = nil
}

// logged counts lines of dovecot's log.
func (d *dovecot) logged(pattern string) int {
	log, err := os.ReadFile(filepath.Join(d.dir, "log", "dovecot"))
	if err != nil {
		return 0
	}
	return len(regexp.MustCompile(pattern).FindAll(log, -1))
}

// idling reports whether so many IMAP sessions have begun.
func (d *dovecot) loggedIn(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("sign-in %d at dovecot", n), 60*time.Second, func() (bool, string) {
		have := d.logged(`imap-login: Info: Login: `)
		return have >= n, fmt.Sprintf("%d sign-ins", have)
	})
}

// subjects counts the messages that came in, by subject, over all conversations.
func (h *house) subjects() map[string]int {
	h.t.Helper()
	out := map[string]int{}
	for _, c := range h.conversations() {
		for _, m := range h.messages(c.ID) {
			if m.Direction == "in" {
				out[m.Subject]++
			}
		}
	}
	return out
}

// A mailbox at a real IMAP server is pulled: mail that postfix puts there appears by IDLE; while dovecot is restarted
// again and again, also with mail arriving in between, nothing is lost and nothing comes twice; the mailbox itself stays
// as it was.
func TestDovecot(t *testing.T) {
	h := open(t)
	pf := startPostfix(t, h.smtp)
	_, smtpPort, _ := strings.Cut(pf.addr, ":")
	dc := startDovecot(t, filepath.Join(pf.dir, "mail"), "anna@customer.example", "geheim")
	send := func(subject string) {
		t.Helper()
		swaks(t, pf.addr, "--from", "kunde@elsewhere.example", "--to", "anna@customer.example", "--header", "Subject: "+subject,
			"--header", "From: Kunde <kunde@elsewhere.example>", "--header", "Message-Id: <"+strings.ReplaceAll(subject, " ", ".")+"@elsewhere.example>", "--body", "Text zu "+subject)
	}
	want := 0
	all := func(what string) {
		t.Helper()
		eventually(t, what, 60*time.Second, func() (bool, string) {
			s := h.subjects()
			return len(s) == want, fmt.Sprintf("%d of %d: %v", len(s), want, s)
		})
		for subject, n := range h.subjects() {
			if n != 1 {
				t.Errorf("%q came %d times", subject, n)
			}
		}
	}

	send("davor") // unread, so it is taken
	want++
	h.run("channel", "add", "--kind", "email", "--name", "Postfach", "--set", "address=anna@customer.example", "--set", "imap_host=127.0.0.1",
		"--set", "imap_port="+dc.port, "--set", "imap_user=anna@customer.example", "--set", "imap_password=geheim",
		"--set", "smtp_host=127.0.0.1", "--set", "smtp_port="+smtpPort)
	all("the mail that was there is on the desk")
	if n := dc.logged(`Login: .*TLS`); n == 0 {
		t.Error("the password was sent without TLS, although it is offered")
	}

	// By IDLE: much faster than any polling. The median of five, so that a busy machine is no failure.
	var took []time.Duration
	for i := range 5 {
		began := time.Now()
		send(fmt.Sprintf("idle %d", i))
		want++
		all("a mail that arrives")
		took = append(took, time.Since(began))
	}
	t.Logf("on the desk after %v", took)

	for round := range 3 {
		sessions := dc.logged(`imap-login: Info: Login: `)
		dc.stop()
		for i := range 2 {
			send(fmt.Sprintf("runde %d mail %d", round, i))
			want++
		}
		dc.start()
		all(fmt.Sprintf("what arrived while dovecot was away, round %d", round))
		dc.loggedIn(t, sessions+1)
		send(fmt.Sprintf("nach runde %d", round))
		want++
		all("a mail after the restart")
	}

	// Another UIDVALIDITY: dovecot's own list of UIDs is lost, as after a restored backup.
	dc.stop()
	lists, err := filepath.Glob(filepath.Join(pf.dir, "mail", "anna", "dovecot*"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("no list of UIDs: %v", err)
	}
	if err := asRoot(t, "rm", append([]string{"-rf"}, lists...)...).Run(); err != nil {
		t.Fatal(err)
	}
	send("nach der Sicherung")
	want++
	dc.start()
	all("what arrived with the new UIDs, and nothing twice")
	send("zuletzt")
	want++
	all("a mail under the new UIDs")

	// The owner's mail program sees all of it unread.
	files, err := filepath.Glob(filepath.Join(pf.dir, "mail", "anna", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	mails := 0
	for _, f := range files {
		if d := filepath.Base(filepath.Dir(f)); d != "new" && d != "cur" {
			continue
		}
		mails++
		if _, flags, ok := strings.Cut(filepath.Base(f), ":2,"); ok && flags != "" {
			t.Errorf("a mail was marked: %s", f)
		}
	}
	if mails != want {
		t.Errorf("%d mails are left in the mailbox, want %d", mails, want)
	}
}

// A wrong password makes the channel red with a remedy; the right one makes it green, and the mail comes.
func TestDovecotWrongPassword(t *testing.T) {
	h := open(t)
	mail := t.TempDir()
	for d := mail; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			break
		}
	}
	dc := startDovecot(t, mail, "anna@customer.example", "geheim")
	id := h.run("channel", "add", "--kind", "email", "--name", "Postfach", "--set", "address=anna@customer.example", "--set", "imap_host=127.0.0.1",
		"--set", "imap_port="+dc.secure, "--set", "imap_tls=auto", "--set", "imap_user=anna@customer.example", "--set", "imap_password=falsch")
	health := func() string {
		var ch struct {
			Health struct{ State, Reason, Remedy string }
		}
		h.call("GET", "/api/v1/channels/"+id, nil, &ch)
		return fmt.Sprintf("%s|%s|%s", ch.Health.State, ch.Health.Reason, ch.Health.Remedy)
	}
	// On this port dovecot speaks TLS at once, which auto finds out.
	eventually(t, "red because of the password", 60*time.Second, func() (bool, string) {
		s := health()
		return strings.HasPrefix(s, "red|") && strings.Contains(s, "imap_password") && !strings.Contains(s, "falsch"), s
	})
	h.call("PATCH", "/api/v1/channels/"+id, map[string]any{"settings": map[string]string{"imap_password": "geheim"}}, nil)
	eventually(t, "green", 60*time.Second, func() (bool, string) { s := health(); return strings.HasPrefix(s, "green|"), s })
}

// pyVerify checks a signature with dkimpy, which shares nothing with what signed.
const pyVerify = `
import sys, dkim
name, text = sys.argv[1], sys.argv[2].encode()
msg = sys.stdin.buffer.read()
print(dkim.verify(msg, dnsfunc=lambda n, timeout=5: text if n.rstrip(b".") == name.encode() else None))
`

// An answer leaves signed and reaches the customer's mailbox through postfix with a signature that verifies.
func TestDKIMThroughPostfix(t *testing.T) {
	need(t, "/usr/bin/python3") // Debian's: another one lacks dkimpy
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, short, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"RSA": long, "Ed25519": short} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			pf := startPostfix(t, h.smtp)
			_, port, _ := strings.Cut(pf.addr, ":")
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			h.run("channel", "add", "--kind", "email", "--name", "Service", "--set", "address=service@broker.example", "--set", "smtp_host=127.0.0.1", "--set", "smtp_port="+port,
				"--set", "dkim_domain=broker.example", "--set", "dkim_selector=rufweite1", "--set", "dkim_key="+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
			swaks(t, pf.addr, "--from", "anna@customer.example", "--to", "service@broker.example", "--header", "Subject: Hagelschaden", "--header", "From: Anna Müller <anna@customer.example>", "--body", "Frage")
			var c conversation
			eventually(t, "the mail came", 20*time.Second, func() (bool, string) {
				list := h.conversations()
				if len(list) == 1 {
					c = list[0]
				}
				return len(list) == 1, fmt.Sprintf("%+v", list)
			})
			h.call("POST", "/api/v1/conversations/"+c.ID+"/messages", map[string]any{"text": "Guten Tag Frau Müller,  \n\n.\nFrom heute an\n\n\n" + strings.Repeat("ein sehr langer Satz ohne Umbruch ", 60)}, nil)
			var answer *mail
			eventually(t, "the answer came", 30*time.Second, func() (bool, string) {
				for _, m := range pf.mails(t, "anna") {
					answer = m
				}
				return answer != nil, fmt.Sprintf("%+v", h.messages(c.ID))
			})
			raw := answer.Raw
			if !bytes.Contains(raw, []byte("\r\n")) { // a Maildir has bare line feeds
				raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
			}
			record := dnsRecord(t, key)
			v, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{record}, nil }})
			if err != nil || len(v) != 1 || v[0].Err != nil || v[0].Domain != "broker.example" {
				t.Fatalf("go-msgauth: %+v %v\n%s", v, err, raw)
			}
			check := exec.Command("/usr/bin/python3", "-c", pyVerify, "rufweite1._domainkey.broker.example", record)
			check.Stdin = bytes.NewReader(raw)
			if out, err := check.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "True" {
				t.Errorf("dkimpy: %v\n%s", err, out)
			}
			check = exec.Command("/usr/bin/python3", "-c", pyVerify, "rufweite1._domainkey.broker.example", record)
			check.Stdin = bytes.NewReader(bytes.Replace(raw, []byte("Hagelschaden"), []byte("Hagelschäden"), 1))
			if out, err := check.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "False" {
				t.Errorf("dkimpy takes a changed mail: %v\n%s", err, out)
			}
		})
	}
}

// dnsRecord is made with openssl's idea of the key, not with the code under test.
func dnsRecord(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "PEM")
	cmd.Stdin = bytes.NewReader(der)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	text := strings.Join(lines[1:len(lines)-1], "")
	if _, ok := key.(ed25519.PrivateKey); ok {
		return "v=DKIM1; k=ed25519; p=" + text[16:] // RFC 8463 §4.2: without the 12 bytes of ASN.1 in front
	}
	return "v=DKIM1; k=rsa; p=" + text
}

// killable is a server that can be killed without a chance to tidy up.
type killable struct {
	*house
	cmd *exec.Cmd
}

func (k *killable) start() {
	k.t.Helper()
	k.cmd = exec.Command(k.bin, "serve", "--data", k.dir, "--listen", "127.0.0.1:0", "--smtp-listen", "127.0.0.1:0", "--allow-private-targets")
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.url = ""
	lines := bufio.NewScanner(out)
	for k.url == "" && lines.Scan() {
		if m := httpLine.FindStringSubmatch(lines.Text()); m != nil {
			k.url = m[1]
		}
	}
	if k.url == "" {
		k.t.Fatal("the server did not say where it listens")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
}

func (k *killable) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait() // it was killed
}

// The server is killed again and again while it pulls a full mailbox from dovecot: in the end every mail is there once.
func TestDovecotKilled(t *testing.T) {
	bin := os.Getenv("RUFWEITE_BIN")
	if bin == "" {
		bin = "../../bin/rufweite"
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := os.MkdirTemp("", "rufweite-maildir-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = asRoot(t, "rm", "-rf", mail).Run() })
	const mails = 300
	for _, d := range []string{"", "anna", "anna/new", "anna/cur", "anna/tmp"} {
		if err := os.MkdirAll(filepath.Join(mail, d), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(mail, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for i := range mails {
		size := 1 // some are larger than what is stored in a row
		if i%50 == 0 {
			size = 200_000
		}
		text := fmt.Sprintf("From: Kunde %d <kunde%d@elsewhere.example>\nTo: anna@customer.example\nSubject: mail %d\nMessage-ID: <%d@elsewhere.example>\nDate: %s\n\n%s\n",
			i%40, i%40, i, i, time.Now().Format(time.RFC1123Z), strings.Repeat("x ", size))
		if err := os.WriteFile(filepath.Join(mail, "anna", "new", fmt.Sprintf("%d.%d.test", 1_700_000_000+i, i)), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	dc := startDovecot(t, mail, "anna@customer.example", "geheim")
	k := &killable{house: &house{t: t, bin: bin, dir: t.TempDir()}}
	k.run("user", "add", "--email", "miriam@broker.example", "--name", "Miriam Berger", "--role", "owner", "--password", "ein sehr langer satz")
	k.key = k.run("token", "create", "--user", "miriam@broker.example")
	k.run("channel", "add", "--kind", "email", "--name", "Postfach", "--set", "address=anna@customer.example", "--set", "imap_host=127.0.0.1", "--set", "imap_port="+dc.port,
		"--set", "imap_user=anna@customer.example", "--set", "imap_password=geheim", "--set", "imap_first=all")
	received := func() int {
		var n, total int
		for line := range strings.Lines(k.output("balance")) {
			if f := strings.Fields(line); len(f) > 3 {
				if _, err := fmt.Sscan(f[1], &n); err == nil {
					total = n // the last line is the sum
				}
			}
		}
		return total
	}
	kills := 0
	for ; kills < 12; kills++ {
		k.start()
		from := received()
		eventually(t, "it goes on", 60*time.Second, func() (bool, string) { n := received(); return n > from || n == mails, fmt.Sprint(n) })
		time.Sleep(time.Duration(mrand.IntN(60)) * time.Millisecond) // anywhere
		k.kill()
		if received() == mails {
			break
		}
	}
	k.start()
	defer func() {
		_ = k.cmd.Process.Signal(syscall.SIGTERM)
		if err := k.cmd.Wait(); err != nil {
			t.Errorf("the server did not stop in good order: %v", err)
		}
	}()
	eventually(t, "all are there", 120*time.Second, func() (bool, string) { n := received(); return n == mails, fmt.Sprint(n) })
	eventually(t, "all are processed, each once", 120*time.Second, func() (bool, string) {
		sum := strings.Fields(k.run("balance"))
		return len(sum) > 4 && sum[1] == fmt.Sprint(mails) && sum[2] == fmt.Sprint(mails) && sum[3] == "0" && sum[4] == "0", fmt.Sprint(sum)
	})
	t.Logf("killed %d times; balance %s", kills, k.run("balance"))
}

// output runs a command of the binary and gives all it prints.
func (h *house) output(args ...string) string {
	h.t.Helper()
	out, err := exec.Command(h.bin, append(args, "--data", h.dir)...).Output()
	if err != nil {
		h.t.Fatalf("rufweite %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
