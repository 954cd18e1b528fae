package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
)

var _ = telegramsim.Options{}

// visit asks for a page as a browser does, without following redirects.
func (h *house) visit(path string, header ...string) *answer {
	h.t.Helper()
	return h.nobody().do("GET", "/"+"/root"+path, nil, append([]string{"Accept-Language", "de", "User-Agent", "Mozilla/5.0"}, header...)...)
}

func TestContactPage(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		chat := h.channel("default", "webchat", "Website", nil)
		phone := h.owner.do("POST", "/contact/ways", map[string]any{"kind": "phone", "ref": "030 90 12 30"}).want(201).obj()
		web := h.owner.do("POST", "/contact/ways", map[string]any{"kind": "web", "label": map[string]string{"de": `<b>Portal</b>`}, "url": "https://portal.example/?a=1&b=2"}).want(201).obj()
		for _, bad := range []string{"javascript:alert(1)", "data:text/html,x", "/contact", "https://a@b.example"} {
			h.owner.do("POST", "/contact/ways", map[string]any{"kind": "web", "label": map[string]string{"de": "x"}, "url": bad}).problem(422, "invalid")
			h.owner.do("PATCH", "/contact/ways/"+web.str("id"), map[string]any{"url": bad}).problem(422, "invalid")
		}
		a := h.visit("/contact").want(200)
		html := string(a.body)
		for _, want := range []string{"So erreichen Sie uns", "030 90 12 30", "service@firma.example", "Chat auf dieser Seite", "&lt;b&gt;Portal&lt;/b&gt;", "<svg class=\"qr\""} {
			if !strings.Contains(html, want) {
				t.Errorf("the page does not hold %q", want)
			}
		}
		if strings.Contains(html, "offen") || strings.Contains(html, "noindex") {
			t.Error("without hours something is claimed, or the page wants not to be found")
		}
		if p := a.header.Get("Content-Security-Policy"); !strings.Contains(p, "frame-ancestors 'none'") || !strings.Contains(p, "default-src 'none'") {
			t.Errorf("policy: %s", p)
		}
		if p := h.visit("/contact?embed=1").want(200).header.Get("Content-Security-Policy"); !strings.Contains(p, "frame-ancestors *") || strings.Contains(p, "script-src") {
			t.Errorf("policy of the frame: %s", p)
		}
		h.visit("/contact/nobody").want(404)
		h.visit("/contact/default").want(200)
		if strings.Contains(string(h.visit("/contact?lang=en").want(200).body), "erreichen") {
			t.Error("the English page speaks German")
		}

		// Each way leads where it says, by nothing but its id.
		go1 := func(path, want string) {
			t.Helper()
			a := h.visit(path).want(303)
			if got := a.header.Get("Location"); got != want {
				t.Errorf("%s leads to %q, want %q", path, got, want)
			}
		}
		go1("/contact/go/"+phone.str("id"), "tel:030901230")
		go1("/contact/go/"+web.str("id"), "https://portal.example/?a=1&b=2")
		go1("/contact/go/channel-"+chat, "/contact?chat=1&lang=de#chat")
		go1("/contact/go/channel-"+h.mail, "mailto:service@firma.example")
		go1("/contact/go/https%3A%2F%2Fevil.example", "/contact?lang=de")
		go1("/contact/go/nothing?url=https://evil.example", "/contact?lang=de")

		// A code is carried and never looked at: a wrong one gives the same page, and the log does not know it.
		const code = "K7M2Q9XP4TZA"
		a = h.visit("/contact?code=" + code).want(200)
		if html := string(a.body); !strings.Contains(html, "K7M2-Q9XP-4TZA") || !strings.Contains(html, "noindex") || a.header.Get("X-Robots-Tag") == "" || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("with a code: %.300s %v", html, a.header)
		}
		if to := h.visit("/contact/go/channel-" + h.mail + "?code=" + code).want(303).header.Get("Location"); !strings.Contains(to, "K7M2-Q9XP-4TZA") {
			t.Errorf("the code is not carried: %s", to)
		}
		go1("/contact/go/channel-"+chat+"?code="+code, "/contact?chat=1&lang=de&code="+code+"#chat")
		if strings.Contains(h.logs.String(), code) || strings.Contains(h.logs.String(), "K7M2-Q9XP") {
			t.Error("the code is in the log")
		}

		// Hours.
		h.owner.do("PUT", "/contact/hours", map[string]any{"zone": "Mond"}).problem(422, "invalid")
		if o := h.owner.do("PUT", "/contact/hours", map[string]any{"always": true}).want(200).obj(); !o.yes("set") || !strings.HasSuffix(o.str("page"), "/contact") {
			t.Errorf("hours: %v", o)
		}
		if !strings.Contains(string(h.visit("/contact").want(200).body), "immer") {
			t.Error("hours are not told")
		}

		// What is hidden is gone from the page, and its link leads back to what there is.
		h.owner.do("PATCH", "/contact/ways/"+phone.str("id"), map[string]any{"hidden": true}).want(200)
		if strings.Contains(string(h.visit("/contact").body), "030 90 12 30") {
			t.Error("a hidden way is shown")
		}
		go1("/contact/go/"+phone.str("id"), "/contact?lang=de")

		// Order: the portal first among those to write.
		h.owner.do("PATCH", "/contact/ways/"+web.str("id"), map[string]any{"section": "write", "index": 0}).want(200)
		h.owner.do("PATCH", "/contact/ways/channel-"+h.mail, map[string]any{"index": 1, "label": map[string]string{"de": "Post"}}).want(200)
		var order []string
		for _, w := range h.owner.get("/contact/ways").want(200).items() {
			order = append(order, w.str("section")+" "+w.obj("name").str("de"))
		}
		if got := strings.Join(order, ", "); !strings.HasPrefix(got, "talk 030 90 12 30, write <b>Portal</b>, write Post, write Chat") {
			t.Errorf("order: %s", got)
		}
		// As it came.
		h.owner.do("DELETE", "/contact/ways/channel-"+h.mail, nil).want(204)
		h.owner.do("DELETE", "/contact/ways/"+phone.str("id"), nil).want(204)
		h.owner.do("DELETE", "/contact/ways/"+phone.str("id"), nil).problem(404, "not_found")
		h.member("default", "advisor", "Anna").do("PATCH", "/contact/ways/"+web.str("id"), map[string]any{"hidden": true}).problem(403, "forbidden")
	})
}

func TestContactUse(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		phone := h.owner.do("POST", "/contact/ways", map[string]any{"kind": "phone", "ref": "030 90 12 30"}).want(201).obj().str("id")
		for range 5 {
			a := h.visit("/contact").want(200)
			if a.header.Get("Set-Cookie") != "" {
				t.Fatal("a cookie")
			}
		}
		h.visit("/contact", "Sec-Purpose", "prefetch").want(200)
		h.visit("/contact", "User-Agent", "Examplebot/1.0").want(200)
		h.nobody().do(http.MethodHead, "/"+"/root/contact", nil)
		for range 2 {
			h.visit("/contact/go/" + phone).want(303)
		}
		o := h.owner.get("/contact/use").want(200).obj()
		if o.num("views") != 5 || len(o.list("days")) != 1 {
			t.Errorf("views: %v", o)
		}
		w := o.list("ways")[0]
		if w.str("id") != phone || w.num("offered") != 5 || w.num("opened") != 2 || w.list("days")[0].num("opened") != 2 {
			t.Errorf("uses: %v", w)
		}
		if o := h.owner.get("/contact/use?from=2020-01-01&to=2020-01-31").want(200).obj(); o.num("views") != 0 || len(o.list("ways")) == 0 {
			t.Errorf("long ago: %v", o)
		}
		h.owner.get("/contact/use?from=2020-02-31").want(422)
	})
}
