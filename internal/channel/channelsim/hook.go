package channelsim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Doer sends the webhook requests.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Hook delivers webhooks as providers do: in order per key as long as all goes well, again with growing pauses until
// they are acknowledged, sometimes twice, sometimes out of order.
type Hook struct {
	Base *Base
	// Sign makes the provider's request of a body, with its signature and Content-Type. It is called for each attempt.
	Sign func(url string, body []byte) (*http.Request, error)
	// Retry are the pauses before the second, third … attempt; the last one repeats. Empty: 1 s, doubled up to an hour.
	Retry []time.Duration
	// Attempts is how often a webhook is tried; 0 = until it works.
	Attempts int
	// Parallel is how many are under way at once; 0 = 20.
	Parallel int
	// Answered is told the company's answer to an acknowledged webhook; may be nil.
	Answered func(key string, body, answer []byte)
	Client   Doer

	url     string
	queue   []*delivery
	flying  int
	copies  int
	shuffle *rand.Rand
	refused []string
}

type delivery struct {
	key     string
	body    []byte
	flying  bool
	attempt int
	wake    time.Time
}

// To says where webhooks go; "" holds them.
func (h *Hook) To(url string) {
	h.Base.Lock()
	defer h.Base.Unlock()
	h.url = url
	h.deliver()
}

// URL is where webhooks go. The caller holds the mutex.
func (h *Hook) URL() string { return h.url }

// Push queues a webhook. Those of one key (a customer) keep their order. The caller holds the mutex.
func (h *Hook) Push(key string, body []byte) {
	h.queue = append(h.queue, &delivery{key: key, body: body})
	h.Base.Changed()
	h.deliver()
}

// Duplicate delivers every webhook n times (0 and 1: once).
func (h *Hook) Duplicate(n int) {
	h.Base.Lock()
	defer h.Base.Unlock()
	h.copies = max(n-1, 0)
}

// Shuffle delivers what waits in random order, even of one key; 0 ends it.
func (h *Hook) Shuffle(seed uint64) {
	h.Base.Lock()
	defer h.Base.Unlock()
	h.shuffle = nil
	if seed != 0 {
		h.shuffle = rand.New(rand.NewPCG(seed, seed))
	}
}

// Pending is how many webhooks the company has not acknowledged.
func (h *Hook) Pending() int {
	h.Base.Lock()
	defer h.Base.Unlock()
	return len(h.queue)
}

// Refused says which webhooks were not acknowledged, and why; the newest last.
func (h *Hook) Refused() []string {
	h.Base.Lock()
	defer h.Base.Unlock()
	return slices.Clone(h.refused)
}

// deliver sends what may be sent now. The caller holds the mutex.
func (h *Hook) deliver() {
	if h.url == "" || h.Base.Ctx.Err() != nil {
		return
	}
	parallel := h.Parallel
	if parallel == 0 {
		parallel = 20
	}
	order := slices.Clone(h.queue)
	if h.shuffle != nil {
		h.shuffle.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	busy := map[string]bool{}
	if h.shuffle == nil {
		for _, d := range h.queue {
			if d.flying {
				busy[d.key] = true
			}
		}
	}
	for _, d := range order {
		if h.flying >= parallel {
			return
		}
		if d.flying || busy[d.key] || !d.wake.IsZero() {
			if h.shuffle == nil {
				busy[d.key] = true
			}
			continue
		}
		if h.shuffle == nil {
			busy[d.key] = true
		}
		d.flying = true
		h.flying++
		url, copies := h.url, h.copies
		h.Base.Work.Go(func() { h.send(d, url, copies) })
	}
}

func (h *Hook) send(d *delivery, url string, copies int) {
	var problem string
	var answer []byte
	var after time.Duration
	for range 1 + copies {
		problem, answer, after = h.request(url, d.body)
	}
	h.Base.Lock()
	h.flying--
	d.flying = false
	d.attempt++
	done := problem == "" || h.Attempts > 0 && d.attempt >= h.Attempts
	if problem != "" {
		h.refused = append(h.refused, problem)
	}
	if done {
		h.queue = slices.DeleteFunc(h.queue, func(q *delivery) bool { return q == d })
		h.Base.Changed()
		h.deliver()
		h.Base.Unlock()
		if problem == "" && h.Answered != nil {
			h.Answered(d.key, d.body, answer)
		}
		return
	}
	pause := min(time.Second<<min(d.attempt-1, 12), time.Hour)
	if n := len(h.Retry); n > 0 {
		pause = h.Retry[min(d.attempt-1, n-1)]
	}
	if after > 0 {
		pause = after
	}
	d.wake = h.Base.Now().Add(pause)
	h.Base.Changed()
	h.deliver()
	h.Base.Unlock()
	h.Base.Work.Go(func() {
		h.Base.sleep(context.Background(), pause)
		h.Base.Lock()
		defer h.Base.Unlock()
		d.wake = time.Time{}
		h.deliver()
	})
}

// request makes one attempt.
func (h *Hook) request(url string, body []byte) (problem string, answer []byte, after time.Duration) {
	r, err := h.Sign(url, body)
	if err != nil {
		return err.Error(), nil, 0
	}
	ctx, cancel := context.WithTimeout(h.Base.Ctx, 20*time.Second)
	defer cancel()
	client := h.Client
	if client == nil {
		client = hookClient
	}
	resp, err := client.Do(r.WithContext(ctx))
	if err != nil {
		return "no answer: " + err.Error(), nil, 0
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "the answer was cut", nil, 0
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return fmt.Sprintf("status %s: %s", resp.Status, bytes.TrimSpace(answer)), answer, time.Duration(seconds) * time.Second
	}
	return "", answer, 0
}

var hookClient = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 40},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}
