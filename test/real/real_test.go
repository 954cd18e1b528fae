//go:build real

// Package real_test drives the built binary from outside, with programs that are not ours as counterparts: swaks
// writes mail, postfix carries it, mutt looks at the thread. Run by `make test-real`.
package real_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// need finds a program, or fails saying how to get it. Tests here are never skipped.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			t.Fatalf("%s is missing: make deps installs it", n)
		}
	}
}

// eventually asks until ok or the time is over.
func eventually(t *testing.T, what string, within time.Duration, ask func() (ok bool, seen string)) {
	t.Helper()
	var seen string
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var ok bool
		if ok, seen = ask(); ok {
			return
		}
	}
	t.Fatalf("not within %s: %s\nlast seen: %s", within, what, seen)
}

// house is a running installation with an owner's token.
type house struct {
	t              *testing.T
	bin, dir       string
	url, smtp, key string
}

var (
	httpLine = regexp.MustCompile(`^Rufweite .*: (http://\S+)$`)
	smtpLine = regexp.MustCompile(`^mail is received on (\S+)$`)
)

// open starts the binary on free ports and makes an owner and a token with its own commands.
func open(t *testing.T) *house {
	t.Helper()
	bin := os.Getenv("RUFWEITE_BIN")
	if bin == "" {
		bin = "../../bin/rufweite"
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: make build makes it", err)
	}
	h := &house{t: t, bin: bin, dir: t.TempDir()}
	cmd := exec.Command(bin, "serve", "--data", h.dir, "--listen", "127.0.0.1:0", "--smtp-listen", "127.0.0.1:0", "--allow-private-targets")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not stop in good order: %v", err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", log.String())
		}
	})
	lines := bufio.NewScanner(out)
	for (h.url == "" || h.smtp == "") && lines.Scan() {
		if m := httpLine.FindStringSubmatch(lines.Text()); m != nil {
			h.url = m[1]
		}
		if m := smtpLine.FindStringSubmatch(lines.Text()); m != nil {
			h.smtp = m[1]
		}
	}
	if h.url == "" || h.smtp == "" {
		t.Fatal("the server did not say where it listens")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	h.run("user", "add", "--email", "miriam@broker.example", "--name", "Miriam Berger", "--role", "owner", "--password", "ein sehr langer satz")
	h.key = h.run("token", "create", "--user", "miriam@broker.example")
	return h
}

// run runs a command of the binary and gives the last line of what it prints.
func (h *house) run(args ...string) string {
	h.t.Helper()
	cmd := exec.Command(h.bin, append(args, "--data", h.dir)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("rufweite %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// call asks the API; body and into may be nil.
func (h *house) call(method, path string, body, into any) {
	h.t.Helper()
	if err := h.try(method, path, body, into); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) try(method, path string, body, into any) error {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, &b)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

type conversation struct {
	ID          string
	Subject     string
	Status      string
	Customer    struct{ ID, Name string }
	ChannelKind string `json:"channel_kind"`
	Unread      int
}

type mailbox struct{ Name, Address string }

type message struct {
	ID, Direction, Author, Address, Assurance, Subject, Text string
	From                                                     []mailbox
	ExternalID                                               string `json:"external_id"`
	Attachments                                              []struct {
		Name      string
		MediaType string `json:"media_type"`
		Size      int
		URL       string
	}
	Delivery *struct{ State, Error, Reason string }
}

func (h *house) conversations() []conversation {
	h.t.Helper()
	var list struct{ Items []conversation }
	h.call("GET", "/api/v1/conversations", nil, &list)
	return list.Items
}

func (h *house) messages(id string) []message {
	h.t.Helper()
	var list struct{ Items []message }
	h.call("GET", "/api/v1/conversations/"+id+"/messages", nil, &list)
	return list.Items
}

// swaks sends a mail and fails if the server does not take it. It gives the transcript.
func swaks(t *testing.T, server string, args ...string) string {
	t.Helper()
	need(t, "swaks")
	host, port, _ := strings.Cut(server, ":")
	args = append([]string{"--server", host, "--port", port, "--helo", "client.customer.example", "--timeout", "20"}, args...)
	out, err := exec.Command("swaks", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("swaks %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// asRoot puts sudo in front if we are not root: postfix's master must be.
func asRoot(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getuid() == 0 {
		return exec.Command(name, args...)
	}
	need(t, "sudo")
	return exec.Command("sudo", append([]string{"-n", name}, args...)...)
}

// postfix is a mail server of the customer's.
type postfix struct {
	addr, dir string
}

func startPostfix(t *testing.T, relay string) *postfix {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	need(t, "postfix", "openssl")
	dir, err := os.MkdirTemp("", "rufweite-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // postfix's processes run as other users
		t.Fatal(err)
	}
	owner := "nobody"
	if os.Getuid() != 0 {
		owner = fmt.Sprint(os.Getuid())
	}
	_, relayPort, _ := strings.Cut(relay, ":")
	p := &postfix{addr: freeAddr(t), dir: dir}
	_, port, _ := strings.Cut(p.addr, ":")
	script, err := filepath.Abs("postfix.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := asRoot(t, script, dir, port, relayPort, owner)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // master ends its whole group
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = asRoot(t, "kill", "-KILL", fmt.Sprint(-cmd.Process.Pid)).Run()
			t.Error("postfix did not stop")
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log", "postfix"))
			t.Logf("postfix said:\n%s\n%s", said.String(), log)
		}
		if err := asRoot(t, "rm", "-rf", dir).Run(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "postfix takes mail", 30*time.Second, func() (bool, string) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("postfix ended: %v\n%s", err, said.String())
		default:
		}
		return greets(p.addr)
	})
	return p
}

// mails gives the mails in a Maildir by Message-ID.
func (p *postfix) mails(t *testing.T, mailbox string) map[string]*mail {
	t.Helper()
	out := map[string]*mail{}
	files, err := filepath.Glob(filepath.Join(p.dir, "mail", mailbox, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if d := filepath.Base(filepath.Dir(f)); d != "new" && d != "cur" {
			continue
		}
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // moved from new to cur
		}
		if err != nil {
			t.Fatal(err)
		}
		m := parseMail(t, b)
		out[m.Header.Get("Message-Id")] = m
	}
	return out
}
