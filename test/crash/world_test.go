//go:build crash

package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
)

const (
	mailbox = "service@firma.example"
	secret  = "webhook_secret_1"
	// stranger is the name of chats that only a test's own webhooks know.
	stranger = "Unbekannt"
)

// world is everything outside the installation: two bots (one by webhook, one polled), a mail provider, customers and
// staff. Its ledgers do not depend on the program under test.
type world struct {
	t    *testing.T
	s    *server
	hook *telegramsim.Sim
	poll *telegramsim.Sim
	mail *emailsim.Mailbox
	stop chan struct{}
	load sync.WaitGroup
	bot  string // id of the channel that gets webhooks

	mu      sync.Mutex
	mails   map[string][]string // by sender: texts acknowledged with 250 (or 200), in order
	answers []answer            // acknowledged with 2xx
	refused atomic.Int64        // attempts that were not acknowledged
}

// answer is what staff said and the API accepted.
type answer struct{ text, message, conversation string }

// open makes the world and tells the installation about it.
func open(t *testing.T, s *server) *world {
	t.Helper()
	w := &world{t: t, s: s, stop: make(chan struct{}), mails: map[string][]string{}}
	// No limits of rate: the pace is the driver's, and the test shall be short.
	fast := telegramsim.Options{AnyWebhook: true, PerSecond: -1, PerChat: -1, RetryDelay: 20 * time.Millisecond}
	fast.Token = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
	w.hook = telegramsim.New(fast)
	fast.Token, fast.FirstID = "220201543:BBHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", 8_000_000_001
	w.poll = telegramsim.New(fast)
	var err error
	w.mail, err = emailsim.Start(emailsim.Options{})
	ok(t, err)
	hook, poll := serve(t, w.hook), serve(t, w.poll)
	t.Cleanup(func() {
		w.hook.Close()
		w.poll.Close()
		w.mail.Close()
	})
	w.bot = s.command("channel", "add", "--kind", "telegram", "--name", "Bot", "--set", "token="+w.hook.Token(), "--set", "secret_token="+secret, "--set", "mode=webhook", "--set", "api_url="+hook)
	s.command("channel", "add", "--kind", "telegram", "--name", "Zweiter Bot", "--set", "token="+w.poll.Token(), "--set", "mode=poll", "--set", "api_url="+poll)
	s.command("channel", "add", "--kind", "email", "--name", "Post", "--set", "address="+mailbox, "--set", "smtp_host="+w.mail.Host(), "--set", "smtp_port="+w.mail.Port(), "--set", "smtp_tls=none")
	return w
}

// serve puts a simulated provider on loopback that takes its time before and after it accepts, so that kills strike in
// both. A request that reached it is carried out, even if who sent it is gone.
func serve(t *testing.T, sim *telegramsim.Sim) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/sendMessage") {
			sim.ServeHTTP(w, r)
			return
		}
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		rec := httptest.NewRecorder()
		sim.ServeHTTP(rec, r.WithContext(context.WithoutCancel(r.Context())))
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + l.Addr().String()
}

// begin lets customers write and staff answer until end.
func (w *world) begin(chats, polled, mailers, staff int) {
	for i := range chats {
		w.customer(w.hook, fmt.Sprint("h", i))
	}
	for i := range polled {
		w.customer(w.poll, fmt.Sprint("p", i))
	}
	for i := range mailers {
		w.load.Go(func() { w.mailer(fmt.Sprintf("kunde%d@kunden.example", i)) })
	}
	for i := range staff {
		w.load.Go(func() { w.advisor(i) })
	}
}

// end stops the load; what was begun is repeated until it is acknowledged.
func (w *world) end() {
	close(w.stop)
	w.load.Wait()
}

// rest waits a while; false when the load ends.
func (w *world) rest(least, most time.Duration) bool {
	select {
	case <-w.stop:
		return false
	case <-time.After(least + rand.N(most-least)):
		return true
	}
}

// customer writes texts that name who wrote and count up. The simulator delivers them until the bot confirms.
func (w *world) customer(sim *telegramsim.Sim, name string) {
	c := sim.Customer(name)
	w.load.Go(func() {
		for n := 0; w.rest(20*time.Millisecond, 80*time.Millisecond); n++ {
			if sim.Pending() > 300 {
				n--
				continue
			}
			c.Write(fmt.Sprintf("I-%s-%d", name, n))
		}
	})
}

// mailer sends mails of one thread, each again until the server says 250.
func (w *world) mailer(address string) {
	c := &emailsim.Client{Name: "Kunde", Address: address, Server: w.s.smtp}
	first := ""
	name, _, _ := strings.Cut(address, "@")
	for n := 0; w.rest(20*time.Millisecond, 100*time.Millisecond); n++ {
		m := emailsim.Message{To: []string{mailbox}, Subject: "Vertrag", Text: fmt.Sprintf("I-%s-%d", name, n)}
		if first != "" {
			m.InReplyTo, m.References = first, []string{first}
		}
		raw, id := c.Compose(m)
		for {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			err := c.Deliver(ctx, m, raw)
			cancel()
			if err == nil {
				break
			}
			w.refused.Add(1)
			time.Sleep(20 * time.Millisecond)
		}
		w.acknowledged(name, m.Text)
		if first == "" {
			first = id
		}
	}
}

// acknowledged notes what the server took over.
func (w *world) acknowledged(name, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mails[name] = append(w.mails[name], text)
}

// advisor answers whoever, each answer again under its client id until the API accepts it.
func (w *world) advisor(i int) {
	var list []conversationJSON
	var listed time.Time
	for n := 0; w.rest(40*time.Millisecond, 160*time.Millisecond); n++ {
		if time.Since(listed) > 500*time.Millisecond {
			if l, err := pages[conversationJSON](w.s, "/conversations", false); err == nil {
				listed = time.Now()
				list = slices.DeleteFunc(l, func(c conversationJSON) bool { return c.Customer.Name == stranger }) // no simulator knows their chats
			}
		}
		if len(list) == 0 {
			n--
			continue
		}
		a := answer{text: fmt.Sprintf("A-%d-%d", i, n), conversation: list[rand.IntN(len(list))].ID}
		for {
			var m messageJSON
			status, err := w.s.call("POST", "/conversations/"+a.conversation+"/messages", map[string]string{"text": a.text, "client_id": a.text}, &m)
			if err == nil {
				a.message = m.ID
				break
			}
			if status >= 400 && status < 500 {
				w.t.Errorf("an answer was refused for good: %v", err)
				break
			}
			w.refused.Add(1)
			time.Sleep(20 * time.Millisecond)
		}
		w.mu.Lock()
		w.answers = append(w.answers, a)
		w.mu.Unlock()
	}
}

// misbehave makes the providers fail now and then until stop is closed.
func (w *world) misbehave(stop chan struct{}) {
	for {
		select {
		case <-stop:
			w.mail.SetFault(emailsim.NoFault)
			return
		case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)):
		}
		sim := []*telegramsim.Sim{w.hook, w.poll}[rand.IntN(2)]
		switch rand.IntN(6) {
		case 0:
			sim.Fail(telegramsim.Fault{Method: "sendMessage", Accept: true, Cut: true}) // accepted, and nobody is told
		case 1:
			sim.Fail(telegramsim.Fault{Method: "sendMessage", Status: 429, RetryAfter: 1})
		case 2:
			sim.Fail(telegramsim.Fault{Method: "sendMessage", Accept: true, Status: 502, Text: "<html>Bad Gateway</html>"})
		case 3:
			sim.Fail(telegramsim.Fault{Method: "sendMessage", Status: 500})
		case 4:
			w.mail.SetFault(emailsim.HangAfterDot)
		default:
			w.mail.SetFault([]emailsim.Fault{emailsim.Busy421, emailsim.DropInData, emailsim.BusyAfterDot, emailsim.NoFault}[rand.IntN(4)])
		}
		if rand.IntN(2) == 0 {
			w.mail.SetFault(emailsim.NoFault)
		}
	}
}

var answerText = regexp.MustCompile(`A-\d+-\d+`)

// accepted is what the providers accepted for sending, by recipient, in order.
func (w *world) accepted() map[string][]string {
	out := map[string][]string{}
	for _, sim := range []*telegramsim.Sim{w.hook, w.poll} {
		for _, a := range sim.Ledger() {
			if a.Method == "sendMessage" {
				to := fmt.Sprint(a.ChatID)
				out[to] = append(out[to], a.Text)
			}
		}
	}
	for _, m := range w.mail.All() {
		out[m.To[0]] = append(out[m.To[0]], answerText.FindString(emailsim.PlainText(m.Raw)))
	}
	return out
}

// said is what customers said and were acknowledged, by sender, in order.
func (w *world) said() map[string][]string {
	out := map[string][]string{}
	for _, sim := range []*telegramsim.Sim{w.hook, w.poll} {
		for _, d := range sim.Deeds() {
			if d.Kind == "message" {
				name := strings.Split(d.Text, "-")[1]
				out[name] = append(out[name], d.Text)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, texts := range w.mails {
		out[name] = append(out[name], texts...)
	}
	return out
}
