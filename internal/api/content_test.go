package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/net/html"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// htmlMail is a mail with this HTML and nothing else.
func htmlMail(from, name, subject, body string) []byte {
	return []byte("From: " + name + " <" + from + ">\r\nTo: service@firma.example\r\nSubject: " + subject + "\r\nMessage-ID: <" + id() + "@kunde.example>\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + strings.ReplaceAll(body, "\n", "\r\n") + "\r\n")
}

// deliver hands raw bytes to the SMTP port and gives the message as the API shows it.
func (h *house) deliver(raw func(from string) []byte) object {
	h.t.Helper()
	n := h.n.Add(1)
	from := fmt.Sprintf("angreifer%d@kunde.example", n)
	c := &emailsim.Client{Name: "x", Address: from, Server: h.SMTPAddr()}
	if err := c.Deliver(h.ctx(), emailsim.Message{To: []string{"service@firma.example"}}, raw(from)); err != nil {
		h.t.Fatalf("deliver: %v", err)
	}
	var m object
	h.eventually("the mail is here", func() bool {
		rows := h.owner.get("/conversations?limit=1").want(200).items() // the newest is first
		if len(rows) == 0 {
			return false
		}
		for _, v := range h.owner.messages(rows[0].str("id")) {
			if v.str("address") == from {
				m = v
				return true
			}
		}
		return false
	})
	return m
}

var (
	goodElements = []string{"a", "abbr", "address", "article", "b", "bdo", "big", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer",
		"h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "ol", "p", "pre", "q", "s", "samp", "section", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th",
		"thead", "tr", "tt", "u", "ul", "var", "wbr", "html", "head", "body"}
	goodAttributes = []string{"align", "valign", "width", "height", "border", "cellpadding", "cellspacing", "colspan", "rowspan", "start", "type", "bgcolor", "color", "size", "face", "dir", "lang", "nowrap", "title", "alt", "href", "rel", "target", "src", "style"}
	badStyle       = regexp.MustCompile(`(?i)url\s*\(|@import|expression|javascript|position|z-index|behavior|-moz-binding|\\`)
)

// inert fails unless a browser that parses the fragment finds nothing that runs, loads from elsewhere or covers.
func inert(t *testing.T, what, fragment string) {
	t.Helper()
	for pass := range 3 { // parsed, written and parsed again it must stay what it is (mXSS)
		root, err := html.Parse(strings.NewReader(fragment))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var walk func(n *html.Node)
		walk = func(n *html.Node) {
			if n.Type == html.ElementNode {
				if n.Namespace != "" || !slices.Contains(goodElements, n.Data) {
					t.Errorf("%s, pass %d: <%s %s> in %s", what, pass, n.Namespace, n.Data, fragment)
				}
				for _, a := range n.Attr {
					if !slices.Contains(goodAttributes, a.Key) {
						t.Errorf("%s, pass %d: attribute %s=%q in %s", what, pass, a.Key, a.Val, fragment)
					}
					switch a.Key {
					case "href":
						if u, err := url.Parse(a.Val); err != nil || !slices.Contains([]string{"http", "https", "mailto", "tel"}, u.Scheme) {
							t.Errorf("%s: link to %q", what, a.Val)
						}
					case "src":
						if !strings.HasPrefix(a.Val, "/api/v1/attachments/") && !strings.HasPrefix(a.Val, "/api/v1/images?") {
							t.Errorf("%s: image from %q", what, a.Val)
						}
					case "style":
						if badStyle.MatchString(a.Val) {
							t.Errorf("%s: style %q", what, a.Val)
						}
					}
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c)
			}
		}
		walk(root)
		var b strings.Builder
		if err := html.Render(&b, root); err != nil {
			t.Fatal(err)
		}
		fragment = b.String()
	}
}

func TestHostileHTML(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		var hits atomic.Int64
		remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hits.Add(1)
			switch {
			case strings.HasSuffix(r.URL.Path, ".svg"):
				w.Header().Set("Content-Type", "image/svg+xml")
				_, _ = io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
			case strings.HasSuffix(r.URL.Path, ".html"):
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, `<script>alert(1)</script>`)
			default:
				w.Header().Set("Content-Type", "image/png")
				_, _ = w.Write([]byte("\x89PNG\r\n\x1a\n"))
			}
		}))
		defer remote.Close()
		u := remote.URL
		payloads := map[string]string{
			"script":            `<script>alert(1)</script><p>gut</p>`,
			"script src":        `<script src="` + u + `/x.js"></script>`,
			"svg style":         `<svg><style><img src=x onerror=alert(1)></style></svg>`,
			"svg style mXSS":    `<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">`,
			"math mXSS":         `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
			"select style":      `<select><style></select><img src=x onerror=alert(1)></style></select>`,
			"noscript mXSS":     `<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>`,
			"template":          `<template><img src=x onerror=alert(1)></template>`,
			"textarea":          `<textarea><p title="</textarea><img src=x onerror=alert(1)>">`,
			"title":             `<title><p title="</title><img src=x onerror=alert(1)>">`,
			"xmp":               `<xmp><p title="</xmp><img src=x onerror=alert(1)>">`,
			"comment":           `<!--><img src=x onerror=alert(1)>-->`,
			"cdata":             `<svg><![CDATA[><img src=x onerror=alert(1)>]]></svg>`,
			"event handlers":    `<p onclick=alert(1) onmouseover='alert(1)' ONLOAD=alert(1)>x</p><body onload=alert(1)>`,
			"javascript link":   `<a href="javascript:alert(1)">x</a><a href=" &#1;java&#x0A;script:alert(1)">y</a><a href="JaVaScRiPt&colon;alert(1)">z</a>`,
			"data link":         `<a href="data:text/html,<script>alert(1)</script>">x</a><a href="vbscript:x">y</a><a href="file:///etc/passwd">z</a>`,
			"relative link":     `<a href="/api/v1/session">x</a><a href="//angreifer.example">y</a>`,
			"css fixed":         `<div style="position:fixed;top:0;left:0;width:100%;height:100%;z-index:9999">falsche Anmeldung</div>`,
			"css import":        `<style>@import url(` + u + `/x.css);</style><p style="background:url(` + u + `/bg.png)">x</p><p style="background-image:ur\6c(` + u + `/bg2.png)">y</p><p style="width:expression(alert(1))">`,
			"css comment":       `<p style="background:u/**/rl(` + u + `/bg3.png)">x</p>`,
			"iframe":            `<iframe src="` + u + `/x.html"></iframe><iframe srcdoc="<script>alert(1)</script>"></iframe><frameset><frame src="` + u + `">`,
			"object":            `<object data="` + u + `/x.html"></object><embed src="` + u + `/x.swf"><applet code=x></applet>`,
			"form":              `<form action="` + u + `/phish"><input name=password><button formaction="javascript:alert(1)">Anmelden</button></form>`,
			"base and meta":     `<base href="` + u + `/"><meta http-equiv="refresh" content="0;url=` + u + `/r"><link rel=stylesheet href="` + u + `/l.css"><link rel=prefetch href="` + u + `/p">`,
			"remote images":     `<img src="` + u + `/track.png" srcset="` + u + `/s.png 2x"><picture><source srcset="` + u + `/p.png"><img src="` + u + `/q.png"></picture><table background="` + u + `/t.png"><tr><td>x</td></tr></table>`,
			"lazy media":        `<video src="` + u + `/v.mp4" poster="` + u + `/poster.png"></video><audio src="` + u + `/a.mp3"></audio><input type=image src="` + u + `/i.png">`,
			"svg image":         `<svg><image href="` + u + `/s.png"/><use href="` + u + `/u.svg#x"/><animate onbegin=alert(1) attributeName=x dur=1s></svg>`,
			"data image":        `<img src="data:image/svg+xml,<svg onload=alert(1)>">`,
			"cid of others":     `<img src="cid:018f0000-0000-7000-8000-000000000000"><p>cid:018f0000-0000-7000-8000-000000000000</p>`,
			"custom elements":   `<x-y onclick=alert(1)><slot></slot></x-y><dialog open><marquee onstart=alert(1)>x</marquee></dialog>`,
			"attribute break":   `<p title='"><script>alert(1)</script>'>x</p><a href='https://ok.example/"onmouseover="alert(1)'>y</a><img alt='"><script>alert(1)</script>' src=x>`,
			"null and controls": "<scr\x00ipt>alert(1)</scr\x00ipt><img\x0csrc=x\x0conerror=alert(1)>",
			"unclosed":          `<p><img src="` + u + `/open.png" alt="<script>alert(1)</script>`,
			"template braces":   `{{constructor.constructor('alert(1)')()}} ${alert(1)} <%= x %>`,
		}
		for what, p := range payloads {
			m := h.deliver(func(from string) []byte { return htmlMail(from, "Angreifer", "x", "<p>Guten Tag</p>"+p) })
			doc := m.str("html")
			inert(t, what+": html", doc)
			if strings.Contains(doc, u) && strings.Contains(doc, `src="`+u) {
				t.Errorf(what+": html loads from the sender: %s", doc)
			}
			if strings.Contains(doc, "<img") {
				t.Errorf(what+": html shows a remote image unasked: %s", doc)
			}
			if what == "template braces" && !strings.Contains(m.str("text"), "{{constructor") {
				t.Errorf(what+": braces were not kept as they are: %q", m.str("text"))
			}
			for _, images := range []string{"", "?images=0", "?images=1"} {
				a := h.owner.get("/messages/" + m.str("id") + "/html" + images).want(200)
				if ct := a.header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
					t.Errorf(what+": Content-Type %q", ct)
				}
				csp := a.header.Get("Content-Security-Policy")
				for _, want := range []string{"default-src 'none'", "sandbox", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'self'"} {
					if !strings.Contains(csp, want) {
						t.Errorf(what+": CSP lacks %q: %s", want, csp)
					}
				}
				for _, never := range []string{"allow-scripts", "allow-same-origin", "allow-forms", "allow-top-navigation", "script-src", "http:", "https:", "*"} {
					if strings.Contains(csp, never) {
						t.Errorf(what+": CSP allows %q: %s", never, csp)
					}
				}
				_, body, ok := strings.Cut(string(a.body), "<body>")
				if !ok {
					t.Fatalf(what+": document: %s", a.body)
				}
				inert(t, what+": document"+images, strings.TrimSuffix(body, "</body></html>"))
				if images != "?images=1" && strings.Contains(body, "<img") {
					t.Errorf(what+": images without being asked for: %s", body)
				}
			}
		}
		if n := hits.Load(); n != 0 {
			t.Errorf("%d requests to the sender's server before anybody clicked", n)
		}

		// On a click images come through us, and nothing else does.
		m := h.deliver(func(from string) []byte {
			return htmlMail(from, "Bildner", "Bilder", `<img src="`+u+`/ok.png?a=1&amp;b=2"><img src="`+u+`/x.svg"><img src="`+u+`/x.html">`)
		})
		if m.num("remote_images") != 3 {
			t.Errorf("remote_images: %v", m["remote_images"])
		}
		doc := string(h.owner.get("/messages/" + m.str("id") + "/html?images=1").want(200).body)
		src := regexp.MustCompile(`src="([^"]+)"`).FindAllStringSubmatch(doc, -1)
		if len(src) != 3 {
			t.Fatalf("%d images: %s", len(src), doc)
		}
		img := html.UnescapeString(src[0][1])
		a := h.nobody().get(img).want(200)
		if a.header.Get("Content-Type") != "image/png" || a.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("image: %v", a.header)
		}
		if hits.Load() != 1 {
			t.Errorf("%d requests for one image", hits.Load())
		}
		for _, s := range src[1:] {
			h.nobody().get(html.UnescapeString(s[1])).problem(502, "no_image")
		}
		// The signature holds for this image, this organisation, this time.
		for what, change := range map[string]func(q url.Values){
			"another image": func(q url.Values) { q.Set("u", u+"/other.png") }, "another org": func(q url.Values) { q.Set("o", "other") }, "later": func(q url.Values) { q.Set("e", "99999999999") },
			"no end": func(q url.Values) { q.Del("e") }, "another signature": func(q url.Values) { q.Set("s", "x"+q.Get("s")[1:]) }, "empty signature": func(q url.Values) { q.Set("s", "") },
		} {
			h.nobody().get(altered(t, img, change)).problem(403, "bad_link")
			_ = what
		}
		noSign := altered(t, img, func(q url.Values) { q.Del("s") })
		h.nobody().get(noSign).problem(401, "signed_out")
		h.owner.get(noSign).problem(403, "bad_link") // not even for staff: no open proxy
		before := hits.Load()
		h.leap(25 * time.Hour)
		h.nobody().get(img).problem(403, "bad_link")
		if hits.Load() != before {
			t.Error("an expired link was fetched")
		}
	})
}

func altered(t testing.TB, raw string, change func(url.Values)) string {
	t.Helper()
	v, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	q := v.Query()
	change(q)
	v.RawQuery = q.Encode()
	return v.String()
}

// TestImageProxyKeepsOut: without --allow-private-targets nothing inside is reached on a sender's word.
func TestImageProxyKeepsOut(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write([]byte("\x89PNG\r\n\x1a\n"))
	}))
	defer inside.Close()
	h := open(t, "", func(c *app.Config) { c.AllowPrivate = false })
	_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "http://"), ":")
	var images strings.Builder
	hosts := []string{"127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "017700000001", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "10.0.0.1", "192.168.0.1", "[fd00::1]", "[fe80::1]"}
	for _, host := range hosts {
		images.WriteString(`<img src="http://` + host + ":" + port + `/geheim.png">`)
	}
	m := h.deliver(func(from string) []byte { return htmlMail(from, "Späher", "x", images.String()) })
	doc := string(h.owner.get("/messages/" + m.str("id") + "/html?images=1").want(200).body)
	src := regexp.MustCompile(`src="([^"]+)"`).FindAllStringSubmatch(doc, -1)
	if len(src) == 0 {
		t.Fatalf("no images: %s", doc)
	}
	for _, s := range src {
		p := h.nobody().get(html.UnescapeString(s[1]))
		if p.status != 502 && p.status != 403 {
			t.Errorf("%s: %d", s[1], p.status)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests reached the inside", hits.Load())
	}
}

func TestHostileNamesAndFiles(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		boundary := "grenze"
		part := func(kind, name, body string) string {
			return "--" + boundary + "\r\nContent-Type: " + kind + "\r\nContent-Disposition: inline; filename*=utf-8''" + url.PathEscape(name) + "\r\n\r\n" + body + "\r\n"
		}
		const xss = `<img src=x onerror=alert(1)>`
		files := []struct{ kind, name, body string }{
			{"text/html", "seite.html", "<script>alert(1)</script>"},
			{"image/svg+xml", "bild.svg", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`},
			{"IMAGE/SVG+XML; charset=utf-8", "bild2.svg", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`},
			{"application/xhtml+xml", "x.xhtml", "<html/>"},
			{"text/xml", "x.xml", "<?xml-stylesheet href='x'?><x/>"},
			{"application/javascript", "x.js", "alert(1)"},
			{"text/plain", "../../etc/" + xss + ".txt", "harmlos"},
			{"application/pdf", "Rechnung\u202efdp.exe", "%PDF"},
			{"application/octet-stream", "null\x00byte\r\nX-Evil: 1\u200b.bin", "x"},
			{"image/png", "doch html.png", "<html><script>alert(1)</script>"},
		}
		m := h.deliver(func(from string) []byte {
			var b strings.Builder
			b.WriteString("From: =?utf-8?B?PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==?= =?utf-8?Q?=E2=80=AEgnp=2E?= <" + from + ">\r\nTo: service@firma.example\r\nSubject: =?utf-8?Q?=3Cimg_src=3Dx_onerror=3Dalert(1)=3E=E2=80=AE_moc=0D=0ABcc=3A_x@y.example?=\r\n" +
				"Message-ID: <" + id() + "@kunde.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSiehe Anhang \u202e<b>\r\n")
			for _, f := range files {
				b.WriteString(part(f.kind, f.name, f.body))
			}
			b.WriteString("--" + boundary + "--\r\n")
			return []byte(b.String())
		})
		r := h.owner.get("/conversations/" + m.str("conversation_id")).want(200)
		for what, s := range map[string]string{"subject": m.str("subject"), "author": m.str("author_name"), "customer": r.obj().str("customer.name"), "row subject": r.obj().str("subject"), "text": m.str("text"), "preview": r.obj().str("last_message.text")} {
			if strings.ContainsAny(s, "\u202e\r\x00\u200b") || (what != "text" && strings.Contains(s, "\n")) {
				t.Errorf("%s: %q", what, s)
			}
		}
		// Text stays text: not cut, not encoded twice; it is the page's business to show it as text, and JSON's to be no page.
		if !strings.Contains(m.str("subject"), xss) || !strings.Contains(r.obj().str("customer.name"), "<script>") {
			t.Errorf("names were changed: %q %q", m.str("subject"), r.obj().str("customer.name"))
		}
		if ct := r.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("JSON with names in it: %v", r.header)
		}
		got := m.list("attachments")
		if len(got) != len(files) {
			t.Fatalf("%d attachments, want %d: %v", len(got), len(files), m["attachments"])
		}
		idForm := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
		seen := map[string]bool{}
		for i, f := range got {
			name := f.str("name")
			if strings.ContainsAny(name, "\u202e\u200b\r\n\x00/\\") || name == "" {
				t.Errorf("file name %q", name)
			}
			if !idForm.MatchString(f.str("id")) || seen[f.str("id")[24:]] {
				t.Errorf("attachment id %q can be guessed", f.str("id"))
			}
			seen[f.str("id")[24:]] = true
			for _, by := range []*client{h.owner, h.nobody()} {
				path := "/attachments/" + f.str("id")
				if by.token == "" {
					path = f.str("url")
				}
				a := by.get(path).want(200)
				hd := a.header
				if hd.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s without nosniff", name)
				}
				d := hd.Get("Content-Disposition")
				shown := i == 6 || i == 7 || i == 9
				if shown != strings.HasPrefix(d, "inline") || (!shown && (hd.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(d, "attachment"))) {
					t.Errorf("%s: %s %s", name, hd.Get("Content-Type"), d)
				}
				if i != 7 && !strings.Contains(hd.Get("Content-Security-Policy"), "sandbox") {
					t.Errorf("%s is shown without a sandbox", name)
				}
				if hd.Get("X-Evil") != "" {
					t.Error("a header was smuggled in")
				}
				if dl := by.get(path + map[bool]string{true: "&download", false: "?download"}[strings.Contains(path, "?")]).want(200); !strings.HasPrefix(dl.header.Get("Content-Disposition"), "attachment") {
					t.Errorf("%s?download: %v", name, dl.header)
				}
			}
		}
		// Signed links.
		link := got[0].str("url")
		other := got[1].str("id")
		for what, raw := range map[string]string{
			"another file": strings.Replace(link, got[0].str("id"), other, 1), "another org": altered(t, link, func(q url.Values) { q.Set("o", "other") }), "later": altered(t, link, func(q url.Values) { q.Set("e", "99999999999") }),
			"not a number": altered(t, link, func(q url.Values) { q.Set("e", "x") }), "signature": altered(t, link, func(q url.Values) { q.Set("s", "A"+q.Get("s")[1:]) }),
			"an image's signature": altered(t, link, func(q url.Values) { q.Set("u", got[0].str("id")); q.Set("s", "") }),
		} {
			a := h.nobody().get(raw)
			if a.status != 403 {
				t.Errorf("%s: %d", what, a.status)
			}
		}
		h.nobody().get("/attachments/"+got[0].str("id")).problem(401, "signed_out")
		h.owner.get("/attachments/"+id()).problem(404, "not_found")
		if a := h.nobody().do("HEAD", link, nil); a.status != 200 {
			t.Errorf("HEAD: %d", a.status)
		}
		// An upload is its author's until it is sent, whatever it calls itself.
		up := h.owner.do("POST", "/attachments", "<script>alert(1)</script>", "Content-Type", "text/html\t; charset=x", "X-File-Name", "..%2F..%2Fx%0d%0aSet-Cookie:%20a=b%E2%80%AE.html").want(201)
		if n := up.obj().str("name"); strings.ContainsAny(n, "\r\n/\u202e") {
			t.Errorf("upload name %q", n)
		}
		h.member("default", "manager", "Max").get("/attachments/"+up.obj().str("id")).problem(404, "not_found")
		if a := h.owner.get("/attachments/" + up.obj().str("id")).want(200); !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") || a.header.Get("Set-Cookie") != "" {
			t.Errorf("upload: %v", a.header)
		}
		h.owner.do("POST", "/attachments", make([]byte, 50<<20+1), "Content-Type", "application/octet-stream", "X-File-Name", "x.bin").problem(413, "too_large")
		h.owner.do("POST", "/attachments", make([]byte, 26<<20), "Content-Type", "application/octet-stream", "X-File-Name", "x.bin").want(201)
		h.leap(25 * time.Hour)
		h.nobody().get(link).problem(403, "bad_link")
	})
}

// TestNothingIsSmuggledOut: line breaks in what staff and customers write never become header lines of a mail.
func TestNothingIsSmuggledOut(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		const evil = "Hallo\r\nBcc: opfer@anderswo.example\r\n\r\n<script>"
		m := h.member("default", "advisor", "Anton")
		m.do("PATCH", "/session", map[string]any{"name": evil}).want(200)
		h.owner.do("PATCH", "/channels/"+h.mail, map[string]any{"name": evil}).want(200)
		to := "kunde@kunde.example"
		r := m.do("POST", "/conversations", map[string]any{"channel_id": h.mail, "address": map[string]any{"value": to, "name": evil}, "subject": evil, "text": "x", "client_id": evil[:20],
			"attachments": []any{map[string]any{"name": evil + ".txt", "media_type": "text/plain\r\nX-Evil: 1", "data": "YQ=="}}, "cc": []any{map[string]any{"name": "ok", "address": "cc@kunde.example"}}}).want(201).obj()
		m.do("POST", "/conversations/"+r.str("id")+"/messages", map[string]any{"text": ".\r\nRSET\r\n.\r\n", "subject": "a\rb\nc\u2028d", "html": "<p>x</p>\r\n.\r\nMAIL FROM:<x@y.example>"}).want(201)
		mails, err := h.mx.Wait(h.ctx(), to, 2)
		if err != nil {
			t.Fatal(err)
		}
		known := regexp.MustCompile(`(?i)^(date|from|to|cc|reply-to|message-id|in-reply-to|references|subject|mime-version|content-[a-z-]+|x-rufweite-[a-z-]+|auto-submitted):`)
		for _, mail := range mails {
			head, body, _ := strings.Cut(string(mail.Raw), "\r\n\r\n")
			for _, line := range strings.Split(head, "\r\n") {
				if line != "" && line[0] != ' ' && line[0] != '\t' && !known.MatchString(line) {
					t.Errorf("a header line that nobody meant: %q", line)
				}
				if strings.ContainsAny(line, "\r\n") {
					t.Errorf("a bare line break in %q", line)
				}
			}
			if strings.Contains(strings.ReplaceAll(string(mail.Raw), "\r\n", ""), "\n") {
				t.Error("a bare line feed in the mail")
			}
			if regexp.MustCompile(`(?m)^X-Evil|^Bcc`).MatchString(body) {
				t.Errorf("a header in a part: %s", body)
			}
		}
		if got := h.mx.To("opfer@anderswo.example"); len(got) != 0 {
			t.Error("a blind copy went out")
		}
		if all := h.mx.All(); len(all) != 2 {
			t.Errorf("%d mails were accepted", len(all))
		}
		for _, mail := range mails {
			for _, rcpt := range mail.To {
				if rcpt != to && rcpt != "cc@kunde.example" {
					t.Errorf("envelope: %v", mail.To)
				}
			}
		}
		for what, n := range map[string]string{"me": m.get("/session").obj().str("user.name"), "channel": h.owner.get("/channels/" + h.mail).obj().str("name"), "customer": h.owner.get("/conversations/" + r.str("id")).obj().str("customer.name")} {
			if what == "customer" && strings.ContainsAny(n, "\r\n") {
				t.Errorf("%s: %q", what, n)
			}
		}
	})
}

// TestDeskPages: the pages of the desk are framed by nobody and load nothing from elsewhere.
func TestDeskPages(t *testing.T) {
	t.Parallel()
	pages := fstest.MapFS{"index.html": {Data: []byte("<!doctype html>desk")}, "portal.html": {Data: []byte("portal")}, "assets/a-1234.js": {Data: []byte("x")}, "favicon.svg": {Data: []byte("<svg/>")}}
	h := open(t, "")
	s := api.New(api.Options{Web: pages, DB: h.DB, Accounts: h.Accounts, Auth: auth.New(h.DB, h.Vault, time.Now), Log: h.Core.Log, Now: time.Now})
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	get := func(method, path string) *answer {
		t.Helper()
		req, err := http.NewRequest(method, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := plainHTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		return &answer{t, method + " " + path, resp.StatusCode, resp.Header, b}
	}
	for _, p := range []string{"/", "/inbox/" + id(), "/setup?token=x", "/invite", "/portal", "/index.html"} {
		a := get("GET", p).want(200)
		csp := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'", "connect-src 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: CSP lacks %q: %s", p, want, csp)
			}
		}
		if strings.Contains(csp, "script-src") || strings.Contains(csp, "unsafe-eval") || strings.Contains(csp, "http") {
			t.Errorf("%s: CSP: %s", p, csp)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "same-origin" || a.header.Get("Cross-Origin-Opener-Policy") != "same-origin" || a.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v", p, a.header)
		}
	}
	if a := get("GET", "/assets/a-1234.js").want(200); !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
		t.Errorf("asset: %v", a.header)
	}
	for _, p := range []string{"/assets/fehlt.js", "/../go.mod", "/%2e%2e/go.mod", "/assets/..%2f..%2fgo.mod", "/favicon.ico"} {
		if a := get("GET", p); a.status == 200 {
			t.Errorf("%s: %d %.100s", p, a.status, a.body)
		}
	}
	get("POST", "/").want(405)
}
