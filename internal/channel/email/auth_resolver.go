package email

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// CacheResolver remembers answers of the DNS for a short while: a thousand mails of one provider ask the same
// questions. The zero value asks net.DefaultResolver. It is safe for concurrent use.
type CacheResolver struct {
	Upstream    channel.Resolver // who is asked (default net.DefaultResolver)
	TTL         time.Duration    // how long an answer counts (default 5 min); Go's resolver does not tell the record's own
	NegativeTTL time.Duration    // how long "there is none" counts (default 1 min)
	Entries     int              // answers kept at most (default 10,000)
	Bytes       int              // bytes of answers kept at most, roughly (default 8 MiB)
	Now         func() time.Time // clock (default time.Now)

	mu    sync.Mutex
	known map[question]*list.Element
	order list.List // most recently used first
	bytes int
}

type question struct {
	kind byte
	name string
}

type answer struct {
	question
	until time.Time
	size  int
	none  bool // there is no such record
	value any
}

var _ channel.Resolver = (*CacheResolver)(nil)

func (c *CacheResolver) upstream() channel.Resolver {
	if c.Upstream != nil {
		return c.Upstream
	}
	return net.DefaultResolver
}

// absolute ends a name with a dot for Go's resolver, which would otherwise try the machine's search domains as well:
// a wildcard there must not answer for a customer's domain.
func (c *CacheResolver) absolute(name string) string {
	if _, ok := c.upstream().(*net.Resolver); ok && name != "" && !strings.HasSuffix(name, ".") && net.ParseIP(name) == nil {
		return name + "."
	}
	return name
}

// LookupTXT implements channel.Resolver.
func (c *CacheResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return cached(c, 't', name, func() ([]string, error) { return c.upstream().LookupTXT(ctx, c.absolute(name)) }, slices.Clone, sizeOfStrings)
}

// LookupAddr implements channel.Resolver.
func (c *CacheResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return cached(c, 'p', addr, func() ([]string, error) { return c.upstream().LookupAddr(ctx, addr) }, slices.Clone, sizeOfStrings)
}

// LookupMX implements channel.Resolver.
func (c *CacheResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return cached(c, 'm', name, func() ([]*net.MX, error) { return c.upstream().LookupMX(ctx, c.absolute(name)) }, func(in []*net.MX) []*net.MX {
		out := make([]*net.MX, len(in))
		for i, m := range in {
			copied := *m
			out[i] = &copied
		}
		return out
	}, func(in []*net.MX) (n int) {
		for _, m := range in {
			n += len(m.Host) + 32
		}
		return n
	})
}

// LookupIPAddr implements channel.Resolver.
func (c *CacheResolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	return cached(c, 'a', host, func() ([]net.IPAddr, error) { return c.upstream().LookupIPAddr(ctx, c.absolute(host)) }, func(in []net.IPAddr) []net.IPAddr {
		out := slices.Clone(in)
		for i := range out {
			out[i].IP = slices.Clone(out[i].IP)
		}
		return out
	}, func(in []net.IPAddr) int { return len(in) * 64 })
}

func sizeOfStrings(in []string) (n int) {
	for _, s := range in {
		n += len(s) + 16
	}
	return n
}

// cached answers from memory or asks; errors other than "there is none" are never remembered.
func cached[T any](c *CacheResolver, kind byte, name string, ask func() (T, error), clone func(T) T, size func(T) int) (T, error) {
	var zero T
	q := question{kind, strings.ToLower(strings.TrimSuffix(name, "."))}
	if a, ok := c.get(q); ok {
		if a.none {
			return zero, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		return clone(a.value.(T)), nil
	}
	v, err := ask()
	var d *net.DNSError
	switch {
	case err == nil:
		c.put(&answer{question: q, size: size(v) + len(q.name) + 100, value: clone(v)})
	case errors.As(err, &d) && d.IsNotFound:
		c.put(&answer{question: q, size: len(q.name) + 100, none: true})
	}
	return v, err
}

func (c *CacheResolver) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *CacheResolver) get(q question) (*answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.known[q]
	if !ok {
		return nil, false
	}
	a := el.Value.(*answer)
	if !c.now().Before(a.until) {
		c.drop(el)
		return nil, false
	}
	c.order.MoveToFront(el)
	return a, true
}

func (c *CacheResolver) put(a *answer) {
	ttl := cmp.Or(c.TTL, 5*time.Minute)
	if a.none {
		ttl = cmp.Or(c.NegativeTTL, time.Minute)
	}
	limit := cmp.Or(c.Bytes, 8<<20)
	if a.size > limit/10 {
		return // an answer that would push everybody else's out
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.until = c.now().Add(ttl)
	if c.known == nil {
		c.known = map[question]*list.Element{}
	}
	if el, ok := c.known[a.question]; ok {
		c.drop(el)
	}
	c.known[a.question] = c.order.PushFront(a)
	c.bytes += a.size
	for c.order.Len() > cmp.Or(c.Entries, 10000) || c.bytes > limit {
		c.drop(c.order.Back())
	}
}

func (c *CacheResolver) drop(el *list.Element) {
	a := c.order.Remove(el).(*answer)
	delete(c.known, a.question)
	c.bytes -= a.size
}
