package email

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// attacks are payloads that made other sanitisers fail, and the forms in which scripts, styles and requests hide.
var attacks = []string{
	`<script>alert(1)</script>`,
	`<SCRIPT SRC=//evil.example/x.js></SCRIPT>`,
	`<scr<script>ipt>alert(1)</scr</script>ipt>`,
	`<img src=x onerror=alert(1)>`,
	`<img src="x" OnError = "alert(1)">`,
	`<img/src=x/onerror=alert(1)>`,
	"<img src=x\nonerror\n=\nalert(1)>",
	`<body onload=alert(1)>`,
	`<div onmouseover="alert(1)" style="position:fixed;top:0;left:0;width:100%;height:100%">x</div>`,
	`<a href="javascript:alert(1)">x</a>`,
	`<a href="JaVaScRiPt:alert(1)">x</a>`,
	"<a href=\"java\tscript:alert(1)\">x</a>",
	"<a href=\"\x01javascript:alert(1)\">x</a>",
	`<a href="&#106;&#97;vascript&colon;alert(1)">x</a>`,
	`<a href="java&#0000010;script:alert(1)">x</a>`,
	`<a href="vbscript:msgbox(1)">x</a>`,
	`<a href="data:text/html,<script>alert(1)</script>">x</a>`,
	`<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>`,
	`<img src="data:image/svg+xml,<svg onload=alert(1)>">`,
	`<img src="javascript:alert(1)">`,
	`<svg onload=alert(1)>`,
	`<svg><script>alert(1)</script></svg>`,
	`<svg><style><img src=x onerror=alert(1)></style></svg>`,
	`<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">`,
	`<svg><animate onbegin=alert(1) attributeName=x dur=1s>`,
	`<svg><a xlink:href="javascript:alert(1)"><text y=1em>x</text></a></svg>`,
	`<svg><use href="data:image/svg+xml;base64,PHN2Zz4=#x"/></svg>`,
	`<svg><foreignObject><iframe srcdoc="<script>alert(1)</script>"></iframe></foreignObject></svg>`,
	`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
	`<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`,
	`<math><annotation-xml encoding="text/html"><style><img src=x onerror=alert(1)></style></annotation-xml></math>`,
	`<math href="javascript:alert(1)">x</math>`,
	`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
	`<template><img src=x onerror=alert(1)></template>`,
	`<template><div><style></template><img src=x onerror=alert(1)>`,
	`<select><style></select><img src=x onerror=alert(1)></style>`,
	`<select><option><style></option></select><img src=x onerror=alert(1)>`,
	`<select><template><style><!--</style><a rel="--></style></template></select><img src=x onerror=alert(1)>">`,
	`<textarea></textarea><img src=x onerror=alert(1)></textarea>`,
	`<textarea><img title="</textarea><img src=x onerror=alert(1)>"></textarea>`,
	`<title><img title="</title><img src=x onerror=alert(1)>"></title>`,
	`<xmp><p title="</xmp><img src=x onerror=alert(1)>"></xmp>`,
	`<noembed><img title="</noembed><img src=x onerror=alert(1)>"></noembed>`,
	`<noframes><img title="</noframes><img src=x onerror=alert(1)>"></noframes>`,
	`<iframe src="https://evil.example"></iframe>`,
	`<iframe><img title="</iframe><img src=x onerror=alert(1)>"></iframe>`,
	`<plaintext><img src=x onerror=alert(1)>`,
	`<!--><img src=x onerror=alert(1)>-->`,
	`<!-- --!><img src=x onerror=alert(1)> -->`,
	`<!--[if gte mso 9]><img src=x onerror=alert(1)><![endif]-->`,
	`<![CDATA[<img src=x onerror=alert(1)>]]>`,
	`<?xml-stylesheet href="javascript:alert(1)"?>x`,
	`<!DOCTYPE x [<!ENTITY e "<img src=x onerror=alert(1)>">]>&e;`,
	`<object data="javascript:alert(1)"></object>`,
	`<embed src="https://evil.example/x.swf">`,
	`<link rel=stylesheet href="https://evil.example/x.css">`,
	`<meta http-equiv=refresh content="0;url=https://evil.example">`,
	`<base href="https://evil.example/">`,
	`<form action="https://evil.example"><input name=password type=password><button formaction="javascript:alert(1)">x</button></form>`,
	`<input type=image src="https://evil.example/x.png" onerror=alert(1)>`,
	`<video src="https://evil.example/x.mp4" onerror=alert(1)><source src=x onerror=alert(1)></video>`,
	`<audio src=x onerror=alert(1)>`,
	`<details open ontoggle=alert(1)>x</details>`,
	`<marquee onstart=alert(1)>x</marquee>`,
	`<style>@import url(https://evil.example/x.css); body{background:url(https://evil.example/x.png)}</style>x`,
	`<style>p{color:red}</style><p id=login class=x>x</p>`,
	`<div style="background:url(https://evil.example/x.png)">x</div>`,
	`<div style="background-image:url('https://evil.example/x.png')">x</div>`,
	`<div style="background:u\72l(https://evil.example/x.png)">x</div>`,
	`<div style="background:\75\72\6c(https://evil.example/x.png)">x</div>`,
	`<div style="background:url/**/(https://evil.example/x.png)">x</div>`,
	`<div style="background:&#117;rl(https://evil.example/x.png)">x</div>`,
	`<div style="background:image-set('https://evil.example/x.png' 1x)">x</div>`,
	`<div style="list-style:url(https://evil.example/x.png)">x</div>`,
	`<div style="width:expression(alert(1))">x</div>`,
	`<div style="width:exp/**/ression(alert(1))">x</div>`,
	`<div style="behavior:url(x.htc);-moz-binding:url(x.xml#y)">x</div>`,
	`<div style="position:fixed;z-index:9999;inset:0;opacity:0">x</div>`,
	`<div style="position:absolute !important;margin-top:-500px;transform:translate(0,-500px)">x</div>`,
	`<div style="color:red;}body{background:url(x)}">x</div>`,
	`<div style='font-family:"</style><img src=x onerror=alert(1)>"'>x</div>`,
	`<div style="@import 'https://evil.example'">x</div>`,
	`<div style="content:'x';color:var(--x)">x</div>`,
	`<table background="https://evil.example/x.png"><tr><td background="javascript:alert(1)">x</td></tr></table>`,
	`<p title="<img src=x onerror=alert(1)>">x</p>`,
	`<a title='"><script>alert(1)</script>' href="https://a.example/">x</a>`,
	`<a href="https://a.example/&quot;onclick=&quot;alert(1)">x</a>`,
	`<a href="https://a.example/" target="_self" rel="opener" ping="https://evil.example">x</a>`,
	`<a href="//evil.example/">x</a><a href="/api/v1/users">x</a><a href="#x">x</a>`,
	`<a href="file:///etc/passwd">x</a><a href="blob:x">x</a><a href="filesystem:x">x</a><a href="cid:x">x</a>`,
	`<img srcset="https://evil.example/x.png 2x" lowsrc="https://evil.example/y.png" dynsrc="javascript:alert(1)">`,
	`<img src="https://tracker.example/p.gif" width=1 height=1>`,
	`<img src="//tracker.example/p.gif">`,
	`<img src="cid:logo@x">`,
	`<img src="cid:javascript:alert(1)">`,
	`<p><table><p><a href="javascript:alert(1)"><table><a>x`,
	`<table><tr><td><svg><desc><table><tr><td><style><img src=x onerror=alert(1)>`,
	`<ruby><rt><style><img src=x onerror=alert(1)></style></rt></ruby>`,
	`<x-custom onclick=alert(1) is="evil-element">x</x-custom><slot onslotchange=alert(1)></slot>`,
	"<img src=`javascript:alert(1)` onerror=`alert(1)`>",
	"<\x00script>alert(1)</\x00script><img src=x one\x00rror=alert(1)>",
	`<scrİpt>alert(1)</scrİpt><ſcript>alert(1)</ſcript>`,
	`＜script＞alert(1)＜/script＞`,
	`<div><p><b></div>` + strings.Repeat("<div>", 3000) + `<img src=x onerror=alert(1)>`,
	strings.Repeat("<b><p>", 400) + `<img src=x onerror=alert(1)>`,
	`<a name=x id=getElementById>x</a><form id=document><input name=cookie></form>`,
}

var (
	handler  = regexp.MustCompile(`^on`)
	badStyle = regexp.MustCompile(`(?i)url|image|expression|import|position|behavior|binding|@|\\|/\*|-[0-9]|z-index|transform|opacity|content|inset|var\(`)
)

// inert complains about everything in sanitised HTML that could run, load or cover.
func inert(t *testing.T, what, clean string) {
	t.Helper()
	for _, p := range problems(clean) {
		t.Errorf("%.300q gives %.600q: %s", what, clean, p)
	}
}

// problems parses HTML as a browser would, with and without scripting, and lists what is not inert.
func problems(clean string) (found []string) {
	bad := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, scripting := range []bool{true, false} {
		root, err := html.ParseWithOptions(strings.NewReader(clean), html.ParseOptionEnableScripting(scripting))
		if err != nil {
			bad("%v", err)
			return found
		}
		var walk func(*html.Node)
		walk = func(n *html.Node) {
			if n.Type == html.CommentNode || n.Type == html.DoctypeNode {
				bad("comment")
			}
			if n.Type == html.ElementNode {
				structural := n.Data == "html" || n.Data == "head" || n.Data == "body"
				if n.Namespace != "" || !structural && !kept[n.DataAtom] {
					bad("element %s %s", n.Namespace, n.Data)
				}
				if structural && len(n.Attr) > 0 {
					bad("attributes of %s", n.Data)
				}
				rel, target := attribute(n, "rel"), attribute(n, "target")
				for _, a := range n.Attr {
					v := strings.ToLower(stripURL(a.Val))
					switch {
					case handler.MatchString(a.Key), a.Key == "id", a.Key == "class", a.Key == "name", a.Key == "srcset",
						a.Key == "action", a.Key == "background", a.Key == "ping", a.Namespace != "":
						bad("attribute %s", a.Key)
					case a.Key == "style" && badStyle.MatchString(a.Val):
						bad("style %q", a.Val)
					case a.Key == "href":
						if !strings.HasPrefix(v, "https://") && !strings.HasPrefix(v, "http://") && !strings.HasPrefix(v, "mailto:") && !strings.HasPrefix(v, "tel:") {
							bad("href %q", a.Val)
						}
						if !strings.Contains(rel, "noopener") || !strings.Contains(rel, "noreferrer") || target != "_blank" {
							bad("link without rel or target")
						}
					case a.Key == "src":
						if !strings.HasPrefix(v, "/proxy") && !strings.HasPrefix(v, "/part") {
							bad("src %q", a.Val)
						}
					}
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c)
			}
		}
		walk(root)
	}
	return found
}

// TestProblems: the judge of the other tests sees the payloads.
func TestProblems(t *testing.T) {
	blind := 0
	for _, a := range attacks {
		if len(problems(a)) == 0 {
			blind++
			t.Logf("harmless as it is: %.100q", a)
		}
	}
	if blind > 5 {
		t.Errorf("%d of %d payloads pass unsanitised", blind, len(attacks))
	}
}

func TestSanitizeAttacks(t *testing.T) {
	open := SanitizeOptions{
		ImageURL: func(src string) string { return "/proxy?u=" + strings.ReplaceAll(src, "&", "%26") },
		CID:      func(id string) string { return "/part/" + strings.ReplaceAll(id, ":", "") },
	}
	for _, in := range attacks {
		for _, o := range []SanitizeOptions{{}, open} {
			for _, doc := range []string{in, "<html><head></head><body><p>vor</p>" + in + "<p>nach</p></body></html>", "<table><tr><td>" + in} {
				clean, _ := Sanitize(doc, o)
				inert(t, doc[:min(len(doc), 200)], clean)
				if strings.Contains(strings.ToLower(clean), "<script") || strings.Contains(strings.ToLower(clean), "alert(1)>") && strings.Contains(clean, "<img src=\"x\"") {
					t.Errorf("%q: %q", doc, clean)
				}
				// Parsed again, it says the same: the nesting of a table in a paragraph may change, words and elements
				// may not.
				if o.ImageURL == nil {
					again, _ := Sanitize(clean, o)
					inert(t, clean, again)
					if squeeze(htmlText(again)) != squeeze(htmlText(clean)) || strings.Count(again, "style=") != strings.Count(clean, "style=") ||
						strings.Count(again, "<a ") != strings.Count(clean, "<a ") {
						t.Errorf("%.200q changes:\n%.400q\n%.400q", doc, clean, again)
					}
				}
			}
		}
	}
	if len(attacks) < 40 {
		t.Errorf("only %d payloads", len(attacks))
	}
}

// TestSanitizeKeeps: what mails are made of stays.
func TestSanitizeKeeps(t *testing.T) {
	for in, want := range map[string]string{
		`<p style="margin: 0cm; color: #1F497D; font-family: &quot;Calibri&quot;, sans-serif">Hallo</p>`:                                        `<p style="margin: 0cm; color: #1F497D; font-family: &#34;Calibri&#34;, sans-serif">Hallo</p>`,
		`<a href="https://x.example/a?b=1&amp;c=2">x</a>`:                                                                                       `<a href="https://x.example/a?b=1&amp;c=2" rel="noopener noreferrer nofollow" target="_blank">x</a>`,
		`<a href="mailto:a@x.example?subject=Hallo">x</a>`:                                                                                      `<a href="mailto:a@x.example?subject=Hallo" rel="noopener noreferrer nofollow" target="_blank">x</a>`,
		`<a href="tel:+4922112345">x</a>`:                                                                                                       `<a href="tel:+4922112345" rel="noopener noreferrer nofollow" target="_blank">x</a>`,
		`<ul><li>a</li></ul><ol start="3" type="a"><li>b</li></ol>`:                                                                             `<ul><li>a</li></ul><ol start="3" type="a"><li>b</li></ol>`,
		`<blockquote style="border-left: 1px solid rgb(204,204,204); padding-left: 1ex">q</blockquote>`:                                         `<blockquote style="border-left: 1px solid rgb(204,204,204); padding-left: 1ex">q</blockquote>`,
		`<table width="600" cellpadding="0" border="0"><tbody><tr><td bgcolor="#eeeeee" align="center" colspan="2">x</td></tr></tbody></table>`: `<table width="600" cellpadding="0" border="0"><tbody><tr><td bgcolor="#eeeeee" align="center" colspan="2">x</td></tr></tbody></table>`,
		`<font color="red" face="Arial" size="2">x</font>`:                                                                                      `<font color="red" face="Arial" size="2">x</font>`,
		`<o:p>x</o:p><custom>y</custom>`:                                                                                                        `xy`,
		`a &lt;b&gt; &amp; c`:                                                                                                                   `a &lt;b&gt; &amp; c`,
		`Grüße 👋`:                                                                                                                               `Grüße 👋`,
		`<span>x</span><div dir="rtl">y</div>`:                                                                                                  `<span>x</span><div dir="rtl">y</div>`,
		`<p style="display: none">x</p>`:                                                                                                        `<p style="display: none">x</p>`,
		`<img src="https://x.example/a.png" alt="Logo &lt;3">`:                                                                                  `[Logo &lt;3]`,
		`<p style="color:red;position:fixed;font-weight:bold">x</p>`:                                                                            `<p style="color: red; font-weight: bold">x</p>`,
	} {
		got, _ := Sanitize("<html><body>"+in+"</body></html>", SanitizeOptions{})
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestSanitizeImages(t *testing.T) {
	doc := `<img src="https://a.example/1.png"><img src="http://a.example/2.png" width="10"><img src="//a.example/3.png"><img src="cid:logo@x" alt="L"><img src="cid:weg@x" alt="W"><img src="data:image/png;base64,AAAA"><img src="x.png"><img>`
	clean, n := Sanitize(doc, SanitizeOptions{})
	if n != 3 || strings.Contains(clean, "<img") || !strings.Contains(clean, "[L]") {
		t.Errorf("blocked: %d remote, %s", n, clean)
	}
	var asked []string
	clean, n = Sanitize(doc, SanitizeOptions{
		ImageURL: func(src string) string { asked = append(asked, src); return "/proxy/" + src[len(src)-5:] },
		CID: func(id string) string {
			if id == "logo@x" {
				return "/part/1"
			}
			return ""
		},
	})
	if n != 3 || strings.Join(asked, " ") != "https://a.example/1.png http://a.example/2.png https://a.example/3.png" {
		t.Errorf("%d remote, asked for %q", n, asked)
	}
	for _, want := range []string{`<img src="/proxy/1.png"/>`, `<img width="10" src="/proxy/2.png"/>`, `<img alt="L" src="/part/1"/>`, `[W]`} {
		if !strings.Contains(clean, want) {
			t.Errorf("%s lacks %s", clean, want)
		}
	}
	if strings.Count(clean, "<img") != 4 {
		t.Errorf("%s", clean)
	}
}

func FuzzSanitize(f *testing.F) {
	for _, a := range attacks {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		clean, _ := Sanitize(doc, SanitizeOptions{})
		inert(t, doc, clean)
	})
}

func BenchmarkSanitize(b *testing.B) {
	doc := "<html><body>" + strings.Repeat(`<p style="margin:0">Guten Tag, <a href="https://x.example/a">hier</a> ist <b>Text</b>.</p>`, 100) + "</body></html>"
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		Sanitize(doc, SanitizeOptions{})
	}
}
