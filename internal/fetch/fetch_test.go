package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestPublic(t *testing.T) {
	for _, tt := range []struct {
		address string
		public  bool
		why     string
	}{
		{"8.8.8.8", true, "public"},
		{"149.154.167.220", true, "public"},
		{"2001:67c:4e8:f004::9", true, "public"},
		{"2a00:1450:4001::1", true, "public"},
		{"127.0.0.1", false, "loopback"},
		{"127.255.255.254", false, "loopback"},
		{"0.0.0.0", false, "unspecified"},
		{"0.1.2.3", false, "this network"},
		{"10.1.2.3", false, "private"},
		{"172.16.0.1", false, "private"},
		{"172.31.255.255", false, "private"},
		{"172.32.0.1", true, "just above private"},
		{"192.168.1.1", false, "private"},
		{"100.64.0.1", false, "CGNAT"},
		{"100.127.255.255", false, "CGNAT"},
		{"100.128.0.1", true, "just above CGNAT"},
		{"100.100.100.200", false, "metadata (Alibaba)"},
		{"169.254.1.1", false, "link-local"},
		{"169.254.169.254", false, "metadata"},
		{"192.0.0.192", false, "metadata (Oracle)"},
		{"168.63.129.16", false, "metadata (Azure)"},
		{"198.19.0.1", false, "benchmarking"},
		{"203.0.113.7", false, "documentation"},
		{"224.0.0.1", false, "multicast"},
		{"239.1.1.1", false, "multicast"},
		{"240.0.0.1", false, "reserved"},
		{"255.255.255.255", false, "broadcast"},
		{"::", false, "unspecified"},
		{"::1", false, "loopback"},
		{"::127.0.0.1", false, "IPv4-compatible"},
		{"::ffff:127.0.0.1", false, "IPv4-mapped loopback"},
		{"::ffff:10.0.0.1", false, "IPv4-mapped private"},
		{"::ffff:169.254.169.254", false, "IPv4-mapped metadata"},
		{"::ffff:8.8.8.8", true, "IPv4-mapped public"},
		{"64:ff9b::7f00:1", false, "NAT64 of loopback"},
		{"64:ff9b::a00:1", false, "NAT64 of private"},
		{"64:ff9b::a9fe:a9fe", false, "NAT64 of metadata"},
		{"64:ff9b::808:808", true, "NAT64 of public"},
		{"64:ff9b:1::808:808", false, "local-use NAT64"},
		{"2002:7f00:1::1", false, "6to4 of loopback"},
		{"2002:c0a8:101::1", false, "6to4 of private"},
		{"2001:0:4136:e378::1", false, "Teredo"},
		{"2a00:1450:4001::5efe:a00:1", false, "ISATAP of private"},
		{"2001:db8::1", false, "documentation"},
		{"fc00::1", false, "unique-local"},
		{"fd00:ec2::254", false, "metadata (AWS, IPv6)"},
		{"fe80::1", false, "link-local"},
		{"fe80::1%eth0", false, "link-local with zone"},
		{"fec0::1", false, "site-local"},
		{"ff02::1", false, "multicast"},
		{"100::1", false, "discard"},
	} {
		if got := Public(netip.MustParseAddr(tt.address)); got != tt.public {
			t.Errorf("Public(%s) = %v, want %v (%s)", tt.address, got, tt.public, tt.why)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("the zero address counts as public")
	}
}

// fakeDNS answers A questions with the addresses of a name in turn, the last one for ever.
func fakeDNS(t *testing.T, names map[string][]string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	asked := map[string]int{}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			question := q.Questions[0]
			name := strings.TrimSuffix(strings.ToLower(question.Name.String()), ".")
			a := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true, RecursionAvailable: true},
				Questions: q.Questions,
			}
			list, known := names[name]
			if !known {
				a.RCode = dnsmessage.RCodeNameError
			}
			if question.Type == dnsmessage.TypeA && len(list) > 0 {
				i := min(asked[name], len(list)-1)
				asked[name]++
				a.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(list[i]).As4()},
				}}
			}
			out, err := a.Pack()
			if err == nil {
				pc.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// touched is a server that tells whether anybody reached it.
func touched(t *testing.T, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if h != nil {
			h(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s, &n
}

func get(t *testing.T, g *Guard, url string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := g.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestForbiddenTargets(t *testing.T) {
	s, n := touched(t, nil)
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	g := New(Options{Resolver: fakeDNS(t, map[string][]string{
		"inside.example": {"127.0.0.1"},
		"lan.example":    {"192.168.0.1"},
		"meta.example":   {"169.254.169.254"},
		"localhost":      {"127.0.0.1"},
	})})
	for _, target := range []string{
		"http://127.0.0.1" + port,
		"http://localhost" + port,
		"http://LOCALHOST." + port,
		"http://[::1]" + port,
		"http://[::ffff:127.0.0.1]" + port,
		"http://[::ffff:7f00:1]" + port,
		"http://[64:ff9b::7f00:1]" + port,
		"http://[fe80::1%25lo]" + port,
		"http://0.0.0.0" + port,
		"http://0" + port,
		"http://2130706433" + port,
		"http://0x7f000001" + port,
		"http://0x7f.0.0.1" + port,
		"http://0177.0.0.1" + port,
		"http://017700000001" + port,
		"http://127.1" + port,
		"http://127.0.1" + port,
		"http://127.0.0.1." + port,
		"http://inside.example" + port,
		"http://lan.example",
		"http://meta.example/latest/meta-data/",
		"http://169.254.169.254/latest/meta-data/",
		"http://[fd00:ec2::254]/",
		"http://user:pass@127.0.0.1" + port,
		"http://" + port,
		"file:///etc/passwd",
		"gopher://127.0.0.1" + port,
		"ftp://8.8.8.8/",
	} {
		if _, err := get(t, g, target); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: error %v, want ErrForbidden", target, err)
		}
		if _, _, err := g.Media(t.Context(), target, 10); !errors.Is(err, ErrForbidden) {
			t.Errorf("media %s: error %v, want ErrForbidden", target, err)
		}
	}
	for _, address := range []string{"127.0.0.1" + port, "localhost" + port, "[::1]" + port, "inside.example" + port, "10.0.0.1:25"} {
		if _, err := g.DialContext(t.Context(), "tcp", address); !errors.Is(err, ErrForbidden) {
			t.Errorf("dial %s: error %v, want ErrForbidden", address, err)
		}
	}
	if _, err := g.DialContext(t.Context(), "unix", "/run/docker.sock"); !errors.Is(err, ErrForbidden) {
		t.Errorf("dial unix: error %v, want ErrForbidden", err)
	}
	if n.Load() != 0 {
		t.Errorf("the private server was reached %d times", n.Load())
	}
}

// A name that is allowed at the first look and private at the second does not get through, since the look happens at
// the very address that is connected to. (127.0.0.2 plays the public address: tests stay on loopback.)
func TestRebinding(t *testing.T) {
	s, n := touched(t, nil)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	g := New(Options{
		Allow:    []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
		Resolver: fakeDNS(t, map[string][]string{"rebind.example": {"127.0.0.2", "127.0.0.1"}}),
	})
	if _, err := g.DialContext(t.Context(), "tcp4", "rebind.example:"+port); errors.Is(err, ErrForbidden) {
		t.Fatalf("the allowed address was refused: %v", err)
	}
	if _, err := get(t, g, "http://rebind.example:"+port); !errors.Is(err, ErrForbidden) {
		t.Errorf("error %v, want ErrForbidden", err)
	}
	if n.Load() != 0 {
		t.Error("the private server was reached")
	}
}

func TestRedirects(t *testing.T) {
	inner, reached := touched(t, nil)
	_, port, _ := net.SplitHostPort(inner.Listener.Addr().String())
	var hops atomic.Int64
	outer, _ := touched(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			hops.Add(1)
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/file":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		case "/number":
			http.Redirect(w, r, "http://2130706434:"+port+"/", http.StatusTemporaryRedirect)
		case "/loopback":
			// 127.0.0.2 is loopback too, but not in the allow-list below.
			http.Redirect(w, r, "http://127.0.0.2:"+port+"/", http.StatusFound)
		case "/once":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/end":
			io.WriteString(w, r.Header.Get("Referer")+"end")
		}
	})
	g := New(Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	for path, want := range map[string]error{
		"/loop": ErrRedirect, "/file": ErrForbidden, "/number": ErrForbidden, "/loopback": ErrForbidden,
	} {
		if _, err := get(t, g, outer.URL+path); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", path, err, want)
		}
	}
	if hops.Load() != 6 {
		t.Errorf("%d requests in a redirect loop, want 6 (one and five redirects)", hops.Load())
	}
	if body, err := get(t, g, outer.URL+"/once"); err != nil || body != "end" {
		t.Errorf("one redirect: %q, %v (a Referer would show the secret path)", body, err)
	}
	if reached.Load() != 0 {
		t.Error("a redirect reached the private server")
	}
}

// What a driver sends to its provider stays there, whatever the provider's answer redirects to.
func TestRedirectToAnotherOriginCarriesNoSecrets(t *testing.T) {
	var seen http.Header
	other, reached := touched(t, func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	provider, _ := touched(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	g := New(Options{AllowPrivate: true})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, provider.URL+"/botSECRET", strings.NewReader("a customer's words"))
	if _, err := g.Do(r); !errors.Is(err, ErrRedirect) {
		t.Errorf("POST: error %v, want ErrRedirect", err)
	} else if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the error shows the path: %v", err)
	}
	if reached.Load() != 0 {
		t.Fatal("the body went to another origin")
	}
	r, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, provider.URL+"/botSECRET", nil)
	r.Header.Set("X-Viber-Auth-Token", "SECRET")
	r.Header.Set("Authorization", "Bearer SECRET")
	resp, err := g.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for name, values := range seen {
		if strings.Contains(strings.Join(values, " "), "SECRET") {
			t.Errorf("header %s carried the secret to another origin", name)
		}
	}
}

func TestLimits(t *testing.T) {
	s, _ := touched(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			io.WriteString(w, strings.Repeat("x", 1000))
		case "/more":
			io.WriteString(w, strings.Repeat("x", 1001))
		case "/chunked":
			for range 5 {
				io.WriteString(w, strings.Repeat("x", 400))
				w.(http.Flusher).Flush()
			}
		case "/bomb":
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(make([]byte, 1<<20))
			z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b.Bytes())
		case "/slow":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/never":
			<-r.Context().Done()
		}
	})
	g := New(Options{AllowPrivate: true, MaxBody: 1000})
	if body, err := get(t, g, s.URL+"/exact"); err != nil || len(body) != 1000 {
		t.Errorf("exactly the limit: %d bytes, %v", len(body), err)
	}
	for _, path := range []string{"/more", "/chunked", "/bomb"} {
		if body, err := get(t, g, s.URL+path); !errors.Is(err, ErrTooLarge) || len(body) != 1000 {
			t.Errorf("%s: %d bytes, error %v, want 1000 and ErrTooLarge", path, len(body), err)
		}
	}
	hasty := New(Options{AllowPrivate: true, Timeout: 30 * time.Millisecond})
	for _, path := range []string{"/slow", "/never"} {
		_, err := get(t, hasty, s.URL+path)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: error %v, want a timeout", path, err)
		}
	}
}

func TestMedia(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n0000"
	s, _ := touched(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/png":
			w.Header().Set("Content-Type", "image/PNG; charset=binary")
			io.WriteString(w, png)
		case "/unnamed":
			w.Header()["Content-Type"] = nil
			io.WriteString(w, png)
		case "/html":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<script>")
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/long":
			w.Header().Set("Content-Length", "5000")
			io.WriteString(w, strings.Repeat("x", 5000))
		case "/endless":
			w.Header().Set("Content-Type", "image/png")
			for range 50 {
				io.WriteString(w, strings.Repeat("x", 100))
				w.(http.Flusher).Flush()
			}
		}
	})
	g := New(Options{AllowPrivate: true})
	for _, path := range []string{"/png", "/unnamed"} {
		file, mediaType, err := g.Media(t.Context(), s.URL+path, 1000, "image/")
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		b, err := io.ReadAll(file)
		file.Close()
		if err != nil || string(b) != png || mediaType != "image/png" {
			t.Errorf("%s: %q %q %v", path, b, mediaType, err)
		}
	}
	if _, _, err := g.Media(t.Context(), s.URL+"/html", 1000, "image/", "video/mp4"); !errors.Is(err, ErrMediaType) {
		t.Errorf("html: error %v, want ErrMediaType", err)
	}
	var status *StatusError
	if _, _, err := g.Media(t.Context(), s.URL+"/gone", 1000); !errors.As(err, &status) || status.Code != http.StatusGone {
		t.Errorf("gone: error %v, want status 410", err)
	}
	if _, _, err := g.Media(t.Context(), s.URL+"/long", 1000); !errors.Is(err, ErrTooLarge) {
		t.Errorf("long: error %v, want ErrTooLarge before reading", err)
	}
	file, _, err := g.Media(t.Context(), s.URL+"/endless", 1000, "image/png")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if b, err := io.ReadAll(file); !errors.Is(err, ErrTooLarge) || len(b) != 1000 {
		t.Errorf("endless: %d bytes, error %v", len(b), err)
	}
}

func TestProxy(t *testing.T) {
	asked := make(chan string, 1)
	proxy, _ := touched(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		io.WriteString(w, "by proxy")
	})
	// The environment is not asked, even where it names a proxy. (net/http reads it once per process; a Guard must
	// not read it at all, so the order of tests does not matter.)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	s, _ := touched(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "direct") })
	if body, err := get(t, New(Options{AllowPrivate: true}), s.URL); err != nil || body != "direct" {
		t.Errorf("without proxy: %q, %v", body, err)
	}

	u, _ := url.Parse(proxy.URL)
	g := New(Options{Proxy: u, Resolver: fakeDNS(t, map[string][]string{
		"public.example": {"198.41.0.4"}, "inside.example": {"10.0.0.1"},
	})})
	if body, err := get(t, g, "http://public.example/x"); err != nil || body != "by proxy" {
		t.Errorf("through the proxy: %q, %v", body, err)
	}
	if got := <-asked; got != "http://public.example/x" {
		t.Errorf("the proxy was asked for %s", got)
	}
	for _, target := range []string{"http://inside.example/", "http://localhost/", "http://a.localhost/", "http://10.0.0.1/", "http://0x7f.1/", "http://169.254.169.254/"} {
		if _, err := get(t, g, target); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s through the proxy: error %v, want ErrForbidden", target, err)
		}
	}
	if len(asked) != 0 {
		t.Error("the proxy was asked for a private target")
	}
}

func TestAllowPrivate(t *testing.T) {
	s, _ := touched(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.UserAgent()) })
	if body, err := get(t, New(Options{AllowPrivate: true}), s.URL); err != nil || body != "Rufweite" {
		t.Errorf("got %q, %v", body, err)
	}
	conn, err := New(Options{AllowPrivate: true}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func FuzzNumericHosts(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "0x7f.1", "example.com", "1.2.3.4.5", "::1", "0", "."} {
		f.Add(s)
	}
	g := New(Options{})
	f.Fuzz(func(t *testing.T, host string) {
		err := g.permitURL(t.Context(), &url.URL{Scheme: "http", Host: host})
		u := url.URL{Host: host}
		if a, perr := netip.ParseAddr(u.Hostname()); perr == nil && !Public(a) && err == nil {
			t.Errorf("%q is private and was permitted", host)
		}
	})
}
