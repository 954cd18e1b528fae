package api

import (
	"bytes"
	"compress/gzip"
	"sync"
	"time"
)

// limits are token buckets, in memory, by whatever is to be limited.
type limits struct {
	mu sync.Mutex
	by map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
	full time.Duration // until an unused one is as good as new
}

// take takes one from a bucket that holds burst and gets perMinute new ones a minute. It gives 0, or how long to wait
// for the next. A clock that was put back gives nothing new and takes nothing away.
func (l *limits) take(key string, perMinute, burst float64, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]*bucket{}
	}
	if len(l.by) > 50000 { // forget those that are full again
		for k, b := range l.by {
			if now.Sub(b.at) > b.full || b.at.After(now) {
				delete(l.by, k)
			}
		}
		if len(l.by) > 50000 { // a flood from very many at once: memory matters more than any one of them
			clear(l.by)
		}
	}
	b := l.by[key]
	if b == nil {
		b = &bucket{left: burst, at: now, full: time.Duration(burst / perMinute * float64(time.Minute))}
		l.by[key] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.left = min(burst, b.left+d.Minutes()*perMinute)
	}
	b.at = now
	if b.left < 1 {
		return max(time.Second, time.Duration((1-b.left)/perMinute*float64(time.Minute)))
	}
	b.left--
	return 0
}

// streams counts open streams.
type streams struct {
	mu sync.Mutex
	n  map[string]int
}

// enter reports whether one more stream of each key fits; leave must follow if so.
func (s *streams) enter(most map[string]int) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == nil {
		s.n = map[string]int{}
	}
	for k, m := range most {
		if s.n[k] >= m {
			return nil, false
		}
	}
	for k := range most {
		s.n[k]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for k := range most {
			if s.n[k]--; s.n[k] <= 0 {
				delete(s.n, k)
			}
		}
	}, true
}

// script keeps the packed widget.
type script struct {
	mu          sync.Mutex
	tag         string
	plain, gzip []byte
}

// pack gives the content packed, and its tag.
func (s *script) pack(b []byte) (packed []byte, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gzip == nil || !bytes.Equal(s.plain, b) {
		var out bytes.Buffer
		z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
		_, _ = z.Write(b)                                       // a buffer takes everything
		_ = z.Close()
		s.plain, s.gzip, s.tag = b, out.Bytes(), shortHash(b)
	}
	return s.gzip, s.tag
}
