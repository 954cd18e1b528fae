// Package fetch is in charge of everything that Rufweite asks of other computers: HTTP requests of drivers, media,
// avatars and webhooks out, and TCP connections (SMTP, IMAP). It sees to it that nobody can use the server to reach
// what only the server can reach: every address is looked at when it is dialled, after the name was resolved, so that
// neither a clever spelling nor a name that changes its address (rebinding) nor a redirect helps an attacker.
//
// It is not in charge of retries, authentication or of what an answer means.
package fetch

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// ErrForbidden means that the target must not be reached from here: a loopback, private, link-local, shared, reserved
// or metadata address, another scheme than http or https, or a redirect to one of them. Nothing was sent.
var ErrForbidden error = forbidden{}

type forbidden struct{}

func (forbidden) Error() string {
	return "target is not a public address; --allow-private-targets would allow it"
}

// NotSent lets a driver, which must not import this package, know that nothing left the house.
func (forbidden) NotSent() bool { return true }

// ErrTooLarge means that an answer was longer than its limit. What was read up to the limit is not complete.
var ErrTooLarge = errors.New("answer is larger than allowed")

// ErrMediaType means that a file is of a kind that the caller does not want.
var ErrMediaType = errors.New("file is of an unwanted type")

// ErrRedirect means that a redirect was not followed: too many of them, or one that would carry a body elsewhere.
var ErrRedirect = errors.New("redirect not followed")

// StatusError is an answer to Media that is not 2xx.
type StatusError struct {
	Code int
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("answered %d %s", e.Code, http.StatusText(e.Code))
}

// Options say how strict a Guard is. The zero value is the strict one with the limits named below.
type Options struct {
	// AllowPrivate lets requests reach every address (--allow-private-targets: tests, a proxy on the same machine).
	AllowPrivate bool
	// Allow names address ranges that may be reached although they are not public, such as the company's own relay.
	Allow []netip.Prefix
	// Timeout ends a request with its body; 0 means 5 minutes. A context may end it earlier.
	Timeout time.Duration
	// DialTimeout ends resolving and connecting; 0 means 15 seconds.
	DialTimeout time.Duration
	// HeaderTimeout ends waiting for the first line of an answer; 0 means 75 seconds (above any long polling).
	HeaderTimeout time.Duration
	// MaxBody is the longest body of an answer in bytes after decompression; 0 means 64 MiB.
	MaxBody int64
	// MaxRedirects is how many redirects are followed; 0 means 5, below 0 none.
	MaxRedirects int
	// Proxy is the HTTP proxy for http and https; nil means none. The environment (HTTP_PROXY) is never asked.
	// The proxy itself may be private, since the operator named it; it resolves names, so it has to guard them too.
	Proxy *url.URL
	// RootCAs and the like for TLS; nil means the system's.
	TLS *tls.Config
	// Resolver resolves names; nil means the system's.
	Resolver *net.Resolver
	// UserAgent is sent where a request has none; "" means "Rufweite".
	UserAgent string
}

// Guard sends requests and opens connections to public targets only. It is safe for use by many goroutines.
type Guard struct {
	options Options
	client  *http.Client
	dialer  *net.Dialer
}

// New makes a Guard.
func New(o Options) *Guard {
	o.Timeout = or(o.Timeout, 5*time.Minute)
	o.DialTimeout = or(o.DialTimeout, 15*time.Second)
	o.HeaderTimeout = or(o.HeaderTimeout, 75*time.Second)
	o.MaxBody = or(o.MaxBody, 64<<20)
	o.MaxRedirects = or(o.MaxRedirects, 5)
	o.UserAgent = or(o.UserAgent, "Rufweite")
	g := &Guard{options: o}
	g.dialer = &net.Dialer{
		Timeout:   o.DialTimeout,
		KeepAlive: 30 * time.Second,
		Resolver:  o.Resolver,
		Control: func(network, address string, _ syscall.RawConn) error {
			return g.permit(network, address)
		},
	}
	transport := &http.Transport{
		DialContext:            g.DialContext,
		TLSClientConfig:        o.TLS,
		TLSHandshakeTimeout:    o.DialTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           200,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: 256 << 10,
		ForceAttemptHTTP2:      true,
	}
	if o.Proxy != nil {
		transport.Proxy = http.ProxyURL(o.Proxy)
		// The only dial of this transport is the one to the proxy, which the operator chose.
		transport.DialContext = (&net.Dialer{Timeout: o.DialTimeout, Resolver: o.Resolver}).DialContext
	}
	g.client = &http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: g.redirect}
	return g
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Do sends a request; it implements channel.Doer. The body of the answer ends with ErrTooLarge beyond
// Options.MaxBody. Errors never show more of the URL than scheme and host, because several providers put their
// secret into the path.
func (g *Guard) Do(r *http.Request) (*http.Response, error) {
	resp, err := g.do(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &limited{body: resp.Body, left: g.options.MaxBody}
	return resp, nil
}

func (g *Guard) do(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		return nil, fmt.Errorf("request without URL: %w", ErrForbidden)
	}
	if err := g.permitURL(r.Context(), r.URL); err != nil {
		return nil, fmt.Errorf("request to %s: %w", origin(r.URL), err)
	}
	if r.Header.Get("User-Agent") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", g.options.UserAgent)
	}
	resp, err := g.client.Do(r)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			ue.URL = originOf(ue.URL)
		}
		return nil, err
	}
	return resp, nil
}

// DialContext opens a TCP connection; it implements channel.Dialer. Addresses that are not public give ErrForbidden.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("dial %s %s: %w", network, address, ErrForbidden)
	}
	return g.dialer.DialContext(ctx, network, address)
}

// Media opens a file at an http or https URL that somebody else named. It ends with ErrTooLarge beyond max bytes
// (0 means Options.MaxBody), at once if the server says so beforehand. mediaType is lower-case without parameters, as
// the server says, or as the first 512 bytes look where it says nothing; it is a hint, never a reason to trust. If
// types are given ("image/" for all images, "image/png" for one), any other type gives ErrMediaType.
// The caller closes the file.
func (g *Guard) Media(ctx context.Context, url string, max int64, types ...string) (file io.ReadCloser, mediaType string, err error) {
	if max <= 0 {
		max = g.options.MaxBody
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", fmt.Errorf("fetch media: %w", ErrForbidden)
	}
	r.Header.Set("Accept", "*/*")
	resp, err := g.do(r)
	if err != nil {
		return nil, "", fmt.Errorf("fetch media: %w", err)
	}
	defer func() {
		if err != nil {
			resp.Body.Close()
		}
	}()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, "", fmt.Errorf("fetch media from %s: %w", origin(r.URL), &StatusError{Code: resp.StatusCode})
	}
	if resp.ContentLength > max {
		return nil, "", fmt.Errorf("fetch media of %d bytes from %s: %w", resp.ContentLength, origin(r.URL), ErrTooLarge)
	}
	body := &limited{body: resp.Body, left: max}
	buffered := bufio.NewReaderSize(body, 512)
	mediaType, _, perr := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if perr != nil || mediaType == "" || mediaType == "application/octet-stream" {
		head, _ := buffered.Peek(512) // an error comes again at the first Read
		mediaType, _, _ = mime.ParseMediaType(http.DetectContentType(head))
	}
	if !wanted(mediaType, types) {
		return nil, "", fmt.Errorf("fetch media of type %q from %s: %w", mediaType, origin(r.URL), ErrMediaType)
	}
	return struct {
		io.Reader
		io.Closer
	}{buffered, body}, mediaType, nil
}

func wanted(mediaType string, types []string) bool {
	for _, t := range types {
		if mediaType == t || strings.HasSuffix(t, "/") && strings.HasPrefix(mediaType, t) {
			return true
		}
	}
	return len(types) == 0
}

// Close ends idle connections.
func (g *Guard) Close() { g.client.CloseIdleConnections() }

// redirect decides about one redirect. A driver's secrets stand in paths, headers and bodies, so that a redirect to
// another origin gets none of them: Go itself keeps back only Authorization and Cookie.
func (g *Guard) redirect(r *http.Request, via []*http.Request) error {
	if len(via) > g.options.MaxRedirects {
		return fmt.Errorf("after %d redirects: %w", len(via)-1, ErrRedirect)
	}
	r.Header.Del("Referer") // would carry the path of the URL before
	if err := g.permitURL(r.Context(), r.URL); err != nil {
		return fmt.Errorf("redirect to %s: %w", origin(r.URL), err)
	}
	first := via[0]
	if origin(r.URL) == origin(first.URL) {
		return nil
	}
	if r.Body != nil && r.Body != http.NoBody {
		return fmt.Errorf("redirect of a %s with its body to %s: %w", r.Method, origin(r.URL), ErrRedirect)
	}
	for name := range r.Header {
		switch name {
		case "Accept", "Accept-Language", "User-Agent", "Range":
		default:
			r.Header.Del(name)
		}
	}
	return nil
}

// limited ends a body with ErrTooLarge once more than left bytes came.
type limited struct {
	body io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more than allowed tells "exactly" from "more"
	}
	n, err := l.body.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

func (l *limited) Close() error { return l.body.Close() }

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func originOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "unreadable URL"
	}
	return origin(u)
}
