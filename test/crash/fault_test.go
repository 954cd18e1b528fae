//go:build crash

package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// engines runs fn on both engines.
func engines(t *testing.T, fn func(t *testing.T, pg bool)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, false) })
	if os.Getenv("RUFWEITE_TEST_POSTGRES") != "" {
		t.Run("postgres", func(t *testing.T) { fn(t, true) })
	}
}

// An operator's stop under load loses nothing, ends with 0, and leaves nothing uncertain.
func TestStopUnderLoad(t *testing.T) {
	engines(t, func(t *testing.T, pg bool) {
		s := install(t, t.TempDir(), pg)
		w := open(t, s)
		s.start()
		s.ready()
		w.begin(6, 3, 3, 4)
		for range 5 {
			time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond))
			began := time.Now()
			if code := s.stop(); code != 0 {
				t.Fatalf("exit code %d after SIGTERM\n%s", code, s.lastWords())
			}
			t.Logf("stopped within %v", time.Since(began).Round(time.Millisecond))
			s.balance()
			s.start()
			s.ready()
		}
		w.end()
		if r := w.compare("5 stops"); r.uncertain != 0 {
			t.Errorf("%d answers are uncertain after clean stops", r.uncertain)
		}
	})
}

// A full disk: nothing is acknowledged, the server stays, and goes on by itself when there is room again.
func TestDiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ok(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=0700"); err != nil {
		t.Skipf("a small file system cannot be mounted here (root may): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := install(t, dir, false)
	w := open(t, s)
	bot := w.bot
	s.start()
	s.ready()
	w.begin(4, 2, 2, 2)
	time.Sleep(time.Second)
	erika := &emailsim.Client{Name: "Erika", Address: "erika@kunden.example", Server: s.smtp}
	probes := 0
	for range 2 {
		ballast := filepath.Join(dir, "ballast")
		// Refused for now, each in the words of its protocol. There may be room for one more: that one is acknowledged.
		until(t, "webhooks to be refused", func() bool {
			fill(t, ballast)
			probes++
			name := fmt.Sprint("w", probes)
			switch status := s.webhook(bot, 900_000+int64(probes), "I-"+name+"-0"); status {
			case http.StatusOK:
				w.acknowledged(name, "I-"+name+"-0")
				return false
			case http.StatusServiceUnavailable:
				return true
			default:
				t.Fatalf("a webhook to a full disk: %d, want 503", status)
				return false
			}
		})
		for what, size := range map[string]int{"small": 100, "large": 300_000} {
			until(t, "a "+what+" mail to be refused", func() bool {
				fill(t, ballast)
				probes++
				name := fmt.Sprint("e", probes)
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				_, err := erika.Send(ctx, emailsim.Message{To: []string{mailbox}, Subject: "voll", Text: "I-" + name + "-0",
					Files: []emailsim.File{{Name: "a.bin", MediaType: "application/octet-stream", Content: make([]byte, size)}}})
				var se *smtp.SMTPError
				if err == nil {
					w.acknowledged(name, "I-"+name+"-0")
					return false
				}
				if !errors.As(err, &se) || se.Code/100 != 4 {
					t.Fatalf("a mail to a full disk: %v, want 4xx", err)
				}
				return true
			})
		}
		// It lives, and what is there can be read.
		if status, err := s.call("GET", "/conversations", nil, nil); err != nil {
			t.Errorf("reading while the disk is full: %d %v", status, err)
		}
		time.Sleep(2 * time.Second)
		if !s.alive() {
			t.Fatalf("the server ended: %v\n%s", s.err, s.lastWords())
		}
		ok(t, os.Remove(ballast))
		time.Sleep(time.Second)
	}
	w.end()
	w.compare("twice a full disk")
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// fill leaves no room beside the file.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ok(t, err)
	for _, size := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	ok(t, f.Close())
}

// webhook delivers a message of a chat that the simulator does not know, and gives the status.
func (s *server) webhook(bot string, chat int64, text string) int {
	s.t.Helper()
	body := fmt.Sprintf(`{"update_id":%d,"message":{"message_id":1,"date":%d,"chat":{"id":%d,"type":"private","first_name":%q},"from":{"id":%d,"is_bot":false,"first_name":%q},"text":%q}}`,
		chat, time.Now().Unix(), chat, stranger, chat, stranger, text)
	req, err := http.NewRequest("POST", s.url()+"/in/telegram/"+bot, strings.NewReader(body))
	ok(s.t, err)
	req.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	resp, err := s.client.Do(req)
	ok(s.t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Somebody who opens many connections and says almost nothing does not keep the others out.
func TestSlowLorisBlocksNobody(t *testing.T) {
	s := install(t, t.TempDir(), false)
	w := open(t, s)
	s.start()
	s.ready()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 10 * time.Second}
	stop := make(chan struct{})
	defer close(stop)
	held := 0
	for i := range 300 {
		addr := []string{s.smtp, s.http}[i%2]
		c, err := d.Dial("tcp", addr)
		if err != nil {
			continue
		}
		held++
		defer func() { _ = c.Close() }()
		go func() {
			for _, b := range []byte("EHLO slow.example") { // never a line end
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(300 * time.Millisecond):
				}
			}
		}()
	}
	if held < 100 {
		t.Fatalf("only %d connections could be opened", held)
	}
	w.begin(3, 1, 3, 2)
	time.Sleep(3 * time.Second)
	w.end()
	w.compare(fmt.Sprintf("%d dawdling connections", held))
}
