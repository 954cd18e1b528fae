// Package bench measures an installation on the machine where it runs, over real sockets on loopback, and prints the
// machine's own speed beside every figure. It asserts nothing: figures are for people, and for docs/performance.md.
package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/org"
)

// Options say what is measured and for how long.
type Options struct {
	Dir      string // a new directory; removed by the caller
	Postgres string // an empty database; "" = SQLite
	Duration time.Duration
	Clients  int
	Rate     int // messages per second of the live bench
	// Conversations are the sizes of the desk bench.
	Conversations []int
	Keep          string // where the data of the desk bench stay, and are used again; "" = removed
	Out           io.Writer
}

// house is a running installation with one channel of each kind.
type house struct {
	app      *app.App
	telegram string // webhook path
	channel  string
	secret   string
	mailbox  string
	token    string
}

const mailAddress = "service@firma.example"

func open(ctx context.Context, o Options) (*house, error) {
	a, err := app.Start(ctx, app.Config{Dir: o.Dir, Postgres: o.Postgres, Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0", AllowPrivate: true, SMTPPerMinute: 1 << 30, Now: time.Now})
	if err != nil {
		return nil, err
	}
	h := &house{app: a, secret: "bench_secret", mailbox: mailAddress}
	fail := func(err error) (*house, error) { return nil, errors.Join(err, a.Close()) }
	// Nothing is sent: the provider's address leads nowhere, and the channel is red, which changes nothing for what
	// comes in.
	tg, err := a.Accounts.Create(ctx, org.Default, "telegram", "Bench", channel.Settings{"token": "123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1", "secret_token": h.secret, "mode": "webhook", "api_url": "http://127.0.0.1:9"}, "en", time.Now())
	if err != nil {
		return fail(err)
	}
	h.channel, h.telegram = tg.ID, "/in/telegram/"+tg.ID
	if _, err := a.Accounts.Create(ctx, org.Default, "email", "Bench", channel.Settings{"address": mailAddress}, "en", time.Now()); err != nil {
		return fail(err)
	}
	var u auth.User
	err = a.DB.Org(org.Default).Write(ctx, func(tx *db.Tx) (err error) {
		u, err = a.Auth.Create(ctx, tx, auth.NewUser{Email: "bench@firma.example", Role: auth.Owner, Password: "bench-password"})
		return err
	})
	if err == nil {
		h.token, err = a.Auth.NewToken(ctx, u, "bench")
	}
	if err != nil {
		return fail(err)
	}
	return h, nil
}

// Machine prints what the machine itself can do, so that figures can be compared.
func Machine(o Options) error {
	rate, err := fsyncRate(o.Dir, 2*time.Second)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "machine: %d cores, %s/%s, %s, %.0f fsyncs/s (4 KB appended, one at a time)\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), rate)
	return nil
}

func fsyncRate(dir string, d time.Duration) (float64, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(dir, "fsync-*")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	buf := make([]byte, 4096)
	n := 0
	start := time.Now()
	for time.Since(start) < d {
		if _, err := f.Write(buf); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// lat collects latencies.
type lat struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *lat) add(ds []time.Duration) {
	l.mu.Lock()
	l.all = append(l.all, ds...)
	l.mu.Unlock()
}

func (l *lat) at(p float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[min(len(l.all)-1, int(p*float64(len(l.all))))]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// update is a message as Telegram sends it.
func update(n int64, chat int64) []byte {
	return fmt.Appendf(nil, `{"update_id":%d,"message":{"message_id":%d,"from":{"id":%d,"is_bot":false,"first_name":"Kunde %d","last_name":"Muster","language_code":"de"},"chat":{"id":%d,"first_name":"Kunde %d","last_name":"Muster","type":"private"},"date":%d,"text":"Guten Tag, meine Frage Nummer %d zum Vertrag KFZ-%d: Wann kommt die Bestätigung?"}}`,
		n, n, chat, chat, chat, chat, time.Now().Unix(), n, chat)
}

// client is a bare HTTP/1.1 client on one connection: it costs little beside the server that is measured.
type client struct {
	c net.Conn
	r *bufio.Reader
	b bytes.Buffer
}

func dial(addr string) (*client, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{c: c, r: bufio.NewReaderSize(c, 4096)}, nil
}

func (c *client) post(path, secret string, body []byte) (int, error) {
	c.b.Reset()
	fmt.Fprintf(&c.b, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Telegram-Bot-Api-Secret-Token: %s\r\nContent-Length: %d\r\n\r\n", path, secret, len(body))
	c.b.Write(body)
	if _, err := c.c.Write(c.b.Bytes()); err != nil {
		return 0, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("answer %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return 0, err
			}
		}
	}
	_, err = c.r.Discard(length)
	return status, err
}

func engine(o Options) string {
	if o.Postgres != "" {
		return "PostgreSQL"
	}
	return "SQLite (WAL, synchronous=FULL)"
}

// Intake measures webhooks accepted durably, and apart from it how fast they become conversations.
func Intake(ctx context.Context, o Options) error {
	h, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = h.app.Close() }()
	var n, bad atomic.Int64
	var l lat
	var wg sync.WaitGroup
	errs := make(chan error, o.Clients)
	warm := time.Now().Add(time.Second)
	end := warm.Add(o.Duration)
	var counted atomic.Int64
	for i := range o.Clients {
		c, err := dial(h.app.HTTPAddr())
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer func() { _ = c.c.Close() }()
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			mine := make([]time.Duration, 0, 1<<16)
			for {
				start := time.Now()
				if start.After(end) || ctx.Err() != nil {
					break
				}
				status, err := c.post(h.telegram, h.secret, update(n.Add(1), 1000+rnd.Int64N(2000)))
				if err != nil {
					errs <- err
					return
				}
				if status != http.StatusOK {
					bad.Add(1)
				}
				if start.After(warm) {
					mine = append(mine, time.Since(start))
					counted.Add(1)
				}
			}
			l.add(mine)
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	fmt.Fprintf(o.Out, "intake, %s: %.0f webhooks/s accepted durably, %d clients, p50 %s, p99 %s, %d refused\n",
		engine(o), float64(counted.Load())/o.Duration.Seconds(), o.Clients, ms(l.at(0.5)), ms(l.at(0.99)), bad.Load())
	before, err := pending(ctx, h)
	if err != nil {
		return err
	}
	start := time.Now()
	left := before
	for left > 0 && ctx.Err() == nil {
		time.Sleep(200 * time.Millisecond) // counting costs too
		if left, err = pending(ctx, h); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, "process, %s: %.0f events/s into conversations (%d that had waited, in %.1f s)\n", engine(o), float64(before)/time.Since(start).Seconds(), before, time.Since(start).Seconds())
	return balanced(ctx, h, n.Load())
}

func pending(ctx context.Context, h *house) (n int64, err error) {
	err = h.app.DB.Org(org.Default).Row(ctx, `SELECT COUNT(*) FROM intake_event WHERE org = $1 AND state = 'pending'`).Scan(&n)
	return n, err
}

// balanced refuses figures of a run that lost something.
func balanced(ctx context.Context, h *house, want int64) error {
	list, err := intake.Balances(ctx, h.app.DB.Org(org.Default))
	if err != nil {
		return err
	}
	var sum int64
	for _, b := range list {
		if !b.OK() || b.Quarantined > 0 {
			return fmt.Errorf("the run is void: %+v", b)
		}
		sum += b.Received
	}
	if sum != want {
		return fmt.Errorf("the run is void: %d sent, %d received", want, sum)
	}
	return nil
}

// SMTP measures mails accepted durably over real sessions, one mail a session, with bodies of 10 KB.
func SMTP(ctx context.Context, o Options) error {
	h, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = h.app.Close() }()
	para := strings.Repeat("Sehr geehrte Damen und Herren, ich schreibe Ihnen wegen des Schadens an meinem Wagen vom letzten Freitag.\r\n", 95)
	var n atomic.Int64
	var l lat
	var wg sync.WaitGroup
	errs := make(chan error, 32)
	end := time.Now().Add(o.Duration)
	clients := min(32, o.Clients)
	for range clients {
		wg.Go(func() {
			var mine []time.Duration
			for time.Now().Before(end) && ctx.Err() == nil {
				start := time.Now()
				id := n.Add(1)
				if err := mail(h.app.SMTPAddr(), id, para); err != nil {
					errs <- fmt.Errorf("mail %d: %w", id, err)
					return
				}
				mine = append(mine, time.Since(start))
			}
			l.add(mine)
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	fmt.Fprintf(o.Out, "smtp, %s: %.0f mails/s accepted durably, one session each, %d bytes, %d clients, p50 %s, p99 %s\n", engine(o), float64(n.Load())/o.Duration.Seconds(), len(para), clients, ms(l.at(0.5)), ms(l.at(0.99)))
	for {
		left, err := pending(ctx, h)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return balanced(ctx, h, n.Load())
}

// mail hands one mail over in a session of its own.
func mail(addr string, id int64, para string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	say := func(line, want string) error {
		if line != "" {
			if _, err := io.WriteString(c, line); err != nil {
				return err
			}
		}
		for {
			got, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			if !strings.HasPrefix(got, want) {
				return fmt.Errorf("after %.20q: %s", line, strings.TrimSpace(got))
			}
			if len(got) > 3 && got[3] == ' ' {
				return nil
			}
		}
	}
	sender := fmt.Sprintf("kunde%d@kunden.example", id%5000)
	body := fmt.Sprintf("From: Kunde %d <%s>\r\nTo: %s\r\nSubject: =?UTF-8?Q?Schaden_Nr._%d?=\r\nMessage-ID: <%d.%d@kunden.example>\r\nDate: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n.\r\n",
		id, sender, mailAddress, id, id, time.Now().UnixNano(), time.Now().Format(time.RFC1123Z), para)
	return errors.Join(say("", "220"), say("EHLO bench.example\r\n", "250"), say("MAIL FROM:<"+sender+">\r\n", "250"), say("RCPT TO:<"+mailAddress+">\r\n", "250"), say("DATA\r\n", "354"), say(body, "250"), say("QUIT\r\n", "221"))
}

// Live measures the time from a webhook's first byte to the browser's event, at a steady rate.
func Live(ctx context.Context, o Options) error {
	h, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = h.app.Close() }()
	ws, resp, err := websocket.Dial(ctx, "ws://"+h.app.HTTPAddr()+"/api/v1/live", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + h.token}}})
	if err != nil {
		return err
	}
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(1 << 20)
	total := int(o.Duration.Seconds() * float64(o.Rate))
	sent := make([]atomic.Int64, total+1)
	// The list row's last text names the message, so that each event is matched with its webhook.
	seen := make(chan time.Duration, total)
	var behind atomic.Int64
	go func() {
		defer close(seen)
		for got := 0; got < total; {
			_, b, err := ws.Read(ctx)
			if err != nil {
				return
			}
			var f struct {
				Kind string `json:"kind"`
				Row  struct {
					Last struct {
						Text string `json:"text"`
					} `json:"last_message"`
				} `json:"conversation"`
			}
			now := time.Now().UnixNano()
			if json.Unmarshal(b, &f) != nil || f.Kind != "conversation" {
				continue
			}
			_, rest, ok := strings.Cut(f.Row.Last.Text, "Nummer ")
			if !ok {
				continue
			}
			num, _, _ := strings.Cut(rest, " ")
			if i, err := strconv.Atoi(num); err == nil && i > 0 && i <= total {
				if at := sent[i].Swap(0); at > 0 {
					got++
					seen <- time.Duration(now - at)
				}
			}
		}
	}()
	tick := time.NewTicker(time.Second / time.Duration(o.Rate))
	defer tick.Stop()
	work := make(chan int, total)
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for range 16 {
		c, err := dial(h.app.HTTPAddr())
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer func() { _ = c.c.Close() }()
			for i := range work {
				sent[i].Store(time.Now().UnixNano())
				// each its own customer: every event carries its own text
				status, err := c.post(h.telegram, h.secret, update(int64(i), 100000+int64(i)))
				if err != nil || status != http.StatusOK {
					errs <- fmt.Errorf("webhook %d: status %d, %w", i, status, err)
					return
				}
			}
		})
	}
	for i := 1; i <= total; i++ {
		<-tick.C
		if len(work) > 16 {
			behind.Add(1)
		}
		work <- i
	}
	close(work)
	wg.Wait()
	var l lat
	timeout := time.After(10 * time.Second)
	n := 0
	for n < total {
		select {
		case d, ok := <-seen:
			if !ok {
				return fmt.Errorf("the stream ended after %d of %d events", n, total)
			}
			l.add([]time.Duration{d})
			n++
		case err := <-errs:
			return err
		case <-timeout:
			return fmt.Errorf("only %d of %d events arrived", n, total)
		}
	}
	fmt.Fprintf(o.Out, "live, %s: %d events at %d/s, webhook to browser p50 %s, p99 %s, max %s\n", engine(o), n, o.Rate, ms(l.at(0.5)), ms(l.at(0.99)), ms(l.at(1)))
	return nil
}

// Idle measures a server that has nothing to do: time to ready, memory, and the size of the program.
func Idle(ctx context.Context, o Options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	st, err := os.Stat(self)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "serve", "--data", o.Dir, "--listen", addr, "--smtp-listen", "127.0.0.1:0")
	if o.Postgres != "" {
		cmd.Args = append(cmd.Args, "--db", o.Postgres)
	}
	ready := func() (time.Duration, error) {
		start := time.Now()
		for time.Since(start) < 20*time.Second {
			resp, err := http.Get("http://" + addr + "/readyz")
			if err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return time.Since(start), nil
				}
			}
			time.Sleep(2 * time.Millisecond)
		}
		return 0, errors.New("the server did not become ready")
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }
	first, err := ready()
	if err != nil {
		stop()
		return err
	}
	stop()
	cmd = exec.CommandContext(ctx, self, cmd.Args[1:]...)
	if err := cmd.Start(); err != nil {
		return err
	}
	defer stop()
	again, err := ready()
	if err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
	if err != nil {
		return err
	}
	rss := 0
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if rss, err = strconv.Atoi(strings.Fields(v)[0]); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(o.Out, "idle, %s: %.0f MB RSS after 10 s, ready after %s (first start %s), program %.1f MB\n", engine(o), float64(rss)/1024, ms(again), ms(first), float64(st.Size())/(1<<20))
	return nil
}
