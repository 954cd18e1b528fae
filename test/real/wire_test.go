//go:build real

package real_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// wire runs a driver as the house does: it keeps events once by their key, and the cursor, and starts Listen again.
type wire struct {
	t      *testing.T
	driver interface {
		channel.Listener
		channel.Sender
	}
	a   channel.Account
	env channel.Env

	mu     sync.Mutex
	events []channel.Event
	keys   map[string]bool
	cursor string
	stop   func()
}

func newWire(t *testing.T, a channel.Account, driver interface {
	channel.Listener
	channel.Sender
}) *wire {
	return &wire{t: t, driver: driver, a: a, keys: map[string]bool{}, env: channel.Env{
		Dial: channel.DialFunc(new(net.Dialer).DialContext), HTTP: http.DefaultClient, Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
}

// listen listens until the function that it gives is called.
func (l *wire) listen() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			l.mu.Lock()
			cursor := l.cursor
			l.mu.Unlock()
			if err := l.driver.Listen(ctx, l.a, cursor, l.env, l.sink); err != nil && ctx.Err() == nil {
				l.t.Logf("the listener ended: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	return sync.OnceFunc(func() { cancel(); work.Wait() })
}

func (l *wire) sink(_ context.Context, in channel.Inbound) error {
	if in.Err != "" {
		l.t.Errorf("cannot be parsed: %s\n%s", in.Err, in.Raw)
	}
	l.keep(in.Events)
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.Cursor != "" {
		l.cursor = in.Cursor
	}
	return nil
}

func (l *wire) keep(events []channel.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if !l.keys[e.Key] {
			l.keys[e.Key] = true
			l.events = append(l.events, e)
		}
	}
}

// all gives the events of that type so far.
func (l *wire) all(typ channel.EventType) (out []channel.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}

func (l *wire) kept() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor
}

// await gives the first event that fits.
func (l *wire) await(what string, fits func(channel.Event) bool) channel.Event {
	l.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		l.mu.Lock()
		for _, e := range l.events {
			if fits(e) {
				l.mu.Unlock()
				return e
			}
		}
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		l.t.Logf("%s %s %+v %+v %s", e.Type, e.Key, e.Message, e.Status, e.Error)
	}
	l.t.Fatalf("%s never came", what)
	return channel.Event{}
}

func (l *wire) awaitText(text string) channel.Event {
	l.t.Helper()
	return l.await(text, func(e channel.Event) bool { return e.Type == channel.MessageEvent && e.Message.Text == text })
}

func (l *wire) send(out channel.Outgoing) channel.Receipt {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	r, err := l.driver.Send(ctx, l.a, out, l.env)
	if err != nil {
		l.t.Fatalf("%q: %v", out.Text, err)
	}
	return r
}
