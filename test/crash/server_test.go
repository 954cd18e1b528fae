//go:build crash

// Package crash kills the built binary while customers write and staff answer, and compares what it knows afterwards
// with the ledgers of the simulated providers, which are independent of it. Run by `make crash` and `make test`.
package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/db/dbtest"
)

// binary is what is killed: RUFWEITE_BIN, or built here.
var binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("RUFWEITE_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "rufweite-crash-bin")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "rufweite")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/rufweite/rufweite/cmd/rufweite").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build rufweite: %w\n%s", err, out)
	}
	return bin, nil
})

// server is one installation, whose process comes and goes.
type server struct {
	t          *testing.T
	bin        string
	dir, db    string
	http, smtp string
	token      string
	client     *http.Client
	logs       *os.File
	wrap       []string // a command that runs ours

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // of Wait
	born time.Time
}

// install makes an installation with an owner and an API token; nothing runs yet. pg says on which engine.
func install(t *testing.T, dir string, pg bool) *server {
	t.Helper()
	bin, err := binary()
	ok(t, err)
	logs, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	ok(t, err)
	s := &server{t: t, bin: bin, dir: dir, http: freeAddr(t), smtp: freeAddr(t), logs: logs,
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 20}}}
	if pg {
		s.db = dbtest.PostgresURL(t)
	}
	t.Cleanup(func() {
		if s.alive() {
			s.kill()
		}
		_ = logs.Close()
		if t.Failed() {
			t.Logf("the server's last words:\n%s", s.lastWords())
		}
	})
	s.command("user", "add", "--email", "anna@firma.example", "--name", "Anna", "--role", "owner", "--password", "sehr langes Passwort")
	s.token = s.command("token", "create", "--user", "anna@firma.example")
	return s
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freeAddr is a loopback address with a port that nobody gets by chance as the near end of a connection: the server
// comes back to it after each kill.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// command runs a subcommand and gives the last line of what it prints.
func (s *server) command(args ...string) string {
	s.t.Helper()
	out, err := s.tryCommand(args...)
	if err != nil {
		s.t.Fatalf("rufweite %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

func (s *server) tryCommand(args ...string) (string, error) {
	args = append(args, "--data", s.dir)
	if s.db != "" {
		args = append(args, "--db", s.db)
	}
	out, err := exec.Command(s.bin, args...).CombinedOutput()
	return string(out), err
}

// start runs the server and returns at once.
func (s *server) start() {
	s.t.Helper()
	args := append(s.wrap, s.bin, "serve", "--data", s.dir, "--listen", s.http, "--smtp-listen", s.smtp, "--public-url", s.url(), "--allow-private-targets", "--smtp-per-minute", "1000000")
	if s.db != "" {
		args = append(args, "--db", s.db)
	}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = s.logs, s.logs
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive the test
	s.born = time.Now()
	ok(s.t, s.cmd.Start())
	done := make(chan struct{})
	s.done = done
	go func(cmd *exec.Cmd) {
		s.err = cmd.Wait()
		close(done)
	}(s.cmd)
}

func (s *server) alive() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// ready waits until the server says so and gives how long that took.
func (s *server) ready() time.Duration {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		resp, err := s.client.Get(s.url() + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(s.born)
			}
		}
		if !s.alive() {
			s.t.Fatalf("the server ended by itself: %v\n%s", s.err, s.lastWords())
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the server does not become ready\n%s", s.lastWords())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// kill ends the process as a power cut does.
func (s *server) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
	<-s.done
}

// stop ends the process as an operator does, and gives its exit code.
func (s *server) stop() int {
	s.t.Helper()
	ok(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		s.t.Fatal("the server does not stop")
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) url() string { return "http://" + s.http }

func (s *server) lastWords() string {
	b, err := os.ReadFile(s.logs.Name())
	if err != nil {
		return err.Error()
	}
	if len(b) > 6000 {
		b = b[len(b)-6000:]
	}
	return string(b)
}

// call asks the API; status is 0 if there was no answer.
func (s *server) call(method, path string, in, out any) (status int, err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url()+"/api/v1"+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			return 0, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return resp.StatusCode, nil
}

type conversationJSON struct {
	ID       string `json:"id"`
	Kind     string `json:"channel_kind"`
	Customer struct {
		Name string `json:"name"`
	} `json:"customer"`
}

type messageJSON struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Direction string `json:"direction"`
	Address   string `json:"address"`
	Text      string `json:"text"`
	ClientID  string `json:"client_id"`
	Channel   *struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
	} `json:"channel"`
	Delivery *struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Error string `json:"error"`
	} `json:"delivery"`
}

// pages reads a whole list. newestFirst says that later pages hold what came before.
func pages[T any](s *server, path string, newestFirst bool) ([]T, error) {
	var all []T
	for cursor := ""; ; {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next_cursor"`
		}
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		if _, err := s.call("GET", path+sep+"limit=100&cursor="+url.QueryEscape(cursor), nil, &page); err != nil {
			return nil, err
		}
		if newestFirst {
			all = append(page.Items, all...)
		} else {
			all = append(all, page.Items...)
		}
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// balance runs `rufweite balance`, which has to exit 0, and gives how much is pending.
func (s *server) balance() (pending int) {
	s.t.Helper()
	out, err := s.tryCommand("balance")
	if err != nil {
		s.t.Fatalf("rufweite balance: %v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) > 4 && f[0] == "total" {
			_, err := fmt.Sscan(f[4], &pending)
			ok(s.t, err)
			return pending
		}
	}
	s.t.Fatalf("no total in\n%s", out)
	return 0
}

// until polls with patience: machines are slow.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
