package email

import (
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// SanitizeOptions say what happens to the images of a message.
type SanitizeOptions struct {
	// ImageURL gives the address under which a remote image is shown (our proxy); src is an http(s) URL. nil: remote
	// images are taken out and counted. An empty answer takes one image out.
	ImageURL func(src string) string
	// CID gives the address of the part with the content id (RFC 2392); nil or an empty answer takes the image out.
	CID func(id string) string
}

// Sanitize makes the HTML of a message harmless and returns the content of its body, to be put into a sandboxed
// frame, and how many remote images it has.
//
// It works in two walls. The first parses the document as a browser does and builds it anew from a list of allowed
// elements, attributes, links and style properties; foreign content (svg, math) and everything whose text browsers
// parse by other rules (style, noscript, template, select, textarea …) goes with all its content, so that there is
// nothing left whose meaning changes when it is parsed again (mXSS). The second, bluemonday, checks the result
// token by token with the same lists. Neither knows the other's code.
func Sanitize(doc string, o SanitizeOptions) (clean string, remoteImages int) {
	root, err := html.ParseWithOptions(strings.NewReader(doc), html.ParseOptionEnableScripting(false))
	if err != nil {
		// Nested beyond what the parser takes: show the words.
		return "<pre>" + html.EscapeString(htmlText(doc)) + "</pre>", 0
	}
	w := washer{o: o}
	out := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div}
	w.children(out, root, 0)
	var b strings.Builder
	for n := out.FirstChild; n != nil; n = n.NextSibling {
		if err := html.Render(&b, n); err != nil {
			return "<pre>" + html.EscapeString(htmlText(doc)) + "</pre>", 0
		}
	}
	return policy().Sanitize(b.String()), w.remote
}

// maxDepth bounds the nesting of the result; what lies deeper keeps its words only.
const maxDepth = 200

type washer struct {
	o      SanitizeOptions
	remote int
}

// dropped elements go with their content.
var dropped = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Head: true, atom.Title: true, atom.Noscript: true, atom.Template: true,
	atom.Select: true, atom.Option: true, atom.Textarea: true, atom.Input: true, atom.Button: true, atom.Svg: true,
	atom.Math: true, atom.Iframe: true, atom.Frame: true, atom.Frameset: true, atom.Noframes: true, atom.Noembed: true,
	atom.Object: true, atom.Embed: true, atom.Applet: true, atom.Param: true, atom.Audio: true, atom.Video: true,
	atom.Source: true, atom.Track: true, atom.Canvas: true, atom.Xmp: true, atom.Plaintext: true, atom.Base: true,
	atom.Link: true, atom.Meta: true, atom.Dialog: true, atom.Map: true, atom.Area: true, atom.Slot: true,
	atom.Datalist: true, atom.Listing: true, atom.Keygen: true, atom.Marquee: true,
}

// kept elements; every other element gives way to its content.
var kept = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.Address: true, atom.Article: true, atom.B: true, atom.Bdo: true, atom.Big: true,
	atom.Blockquote: true, atom.Br: true, atom.Caption: true, atom.Center: true, atom.Cite: true, atom.Code: true,
	atom.Col: true, atom.Colgroup: true, atom.Dd: true, atom.Del: true, atom.Dfn: true, atom.Div: true, atom.Dl: true,
	atom.Dt: true, atom.Em: true, atom.Figcaption: true, atom.Figure: true, atom.Font: true, atom.Footer: true,
	atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Header: true,
	atom.Hr: true, atom.I: true, atom.Img: true, atom.Ins: true, atom.Kbd: true, atom.Li: true, atom.Main: true,
	atom.Mark: true, atom.Ol: true, atom.P: true, atom.Pre: true, atom.Q: true, atom.S: true, atom.Samp: true,
	atom.Section: true, atom.Small: true, atom.Span: true, atom.Strike: true, atom.Strong: true, atom.Sub: true,
	atom.Sup: true, atom.Table: true, atom.Tbody: true, atom.Td: true, atom.Tfoot: true, atom.Th: true,
	atom.Thead: true, atom.Tr: true, atom.Tt: true, atom.U: true, atom.Ul: true, atom.Var: true, atom.Wbr: true,
}

// plainAttributes may stay with a value of the pattern.
var plainAttributes = map[string]*regexp.Regexp{
	"align":       regexp.MustCompile(`^(?i:left|right|center|justify|middle|top|bottom)$`),
	"valign":      regexp.MustCompile(`^(?i:top|middle|bottom|baseline)$`),
	"width":       regexp.MustCompile(`^[0-9]{1,4}(%|px)?$`),
	"height":      regexp.MustCompile(`^[0-9]{1,4}(%|px)?$`),
	"border":      regexp.MustCompile(`^[0-9]{1,2}$`),
	"cellpadding": regexp.MustCompile(`^[0-9]{1,3}$`),
	"cellspacing": regexp.MustCompile(`^[0-9]{1,3}$`),
	"colspan":     regexp.MustCompile(`^[0-9]{1,3}$`),
	"rowspan":     regexp.MustCompile(`^[0-9]{1,3}$`),
	"start":       regexp.MustCompile(`^[0-9]{1,5}$`),
	"type":        regexp.MustCompile(`^(?i:1|a|i|disc|circle|square)$`),
	"bgcolor":     regexp.MustCompile(`^(#?[0-9A-Fa-f]{3,8}|[A-Za-z]{3,20})$`),
	"color":       regexp.MustCompile(`^(#?[0-9A-Fa-f]{3,8}|[A-Za-z]{3,20})$`),
	"size":        regexp.MustCompile(`^[+-]?[0-9]{1,2}$`),
	"face":        regexp.MustCompile(`^[\pL0-9 ,'_-]{1,200}$`),
	"dir":         regexp.MustCompile(`^(?i:ltr|rtl|auto)$`),
	"lang":        regexp.MustCompile(`^[A-Za-z0-9-]{1,35}$`),
	"nowrap":      regexp.MustCompile(`^(?i:nowrap)?$`),
	"title":       regexp.MustCompile(`^[^<>]{0,500}$`),
	"alt":         regexp.MustCompile(`^[^<>]{0,500}$`),
}

func (w *washer) children(to, from *html.Node, depth int) {
	for n := from.FirstChild; n != nil; n = n.NextSibling {
		w.node(to, n, depth)
	}
}

func (w *washer) node(to, n *html.Node, depth int) {
	switch n.Type {
	case html.DocumentNode:
		w.children(to, n, depth)
	case html.TextNode:
		to.AppendChild(&html.Node{Type: html.TextNode, Data: strings.ReplaceAll(n.Data, "\x00", "")})
	case html.ElementNode:
		if n.Namespace != "" || dropped[n.DataAtom] {
			return
		}
		if depth >= maxDepth {
			w.children(to, n, depth)
			return
		}
		if n.DataAtom == atom.Body {
			// Its colours hold for the whole message.
			if attr := w.attributes(n); len(attr) > 0 {
				el := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div, Attr: attr}
				to.AppendChild(el)
				to = el
			}
			w.children(to, n, depth+1)
			return
		}
		if !kept[n.DataAtom] {
			w.children(to, n, depth)
			return
		}
		el := &html.Node{Type: html.ElementNode, Data: n.DataAtom.String(), DataAtom: n.DataAtom, Attr: w.attributes(n)}
		switch n.DataAtom {
		case atom.Img:
			src := w.image(attribute(n, "src"))
			if src == "" {
				if alt := strings.TrimSpace(attribute(n, "alt")); alt != "" {
					to.AppendChild(&html.Node{Type: html.TextNode, Data: "[" + alt + "]"})
				}
				return
			}
			el.Attr = append(el.Attr, html.Attribute{Key: "src", Val: src})
		case atom.A:
			href := link(attribute(n, "href"))
			if href == "" {
				w.children(to, n, depth)
				return
			}
			el.Attr = append(el.Attr, html.Attribute{Key: "href", Val: href},
				html.Attribute{Key: "rel", Val: linkRel}, html.Attribute{Key: "target", Val: "_blank"})
		}
		w.children(el, n, depth+1)
		to.AppendChild(el)
	}
}

const linkRel = "noopener noreferrer nofollow"

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key && a.Namespace == "" {
			return a.Val
		}
	}
	return ""
}

func (w *washer) attributes(n *html.Node) []html.Attribute {
	var out []html.Attribute
	seen := map[string]bool{}
	for _, a := range n.Attr {
		if a.Namespace != "" || seen[a.Key] {
			continue
		}
		seen[a.Key] = true
		if a.Key == "style" {
			if v := style(a.Val); v != "" {
				out = append(out, html.Attribute{Key: "style", Val: v})
			}
			continue
		}
		if p := plainAttributes[a.Key]; p != nil && p.MatchString(a.Val) {
			out = append(out, html.Attribute{Key: a.Key, Val: a.Val})
		}
	}
	return out
}

// image decides about the source of an image.
func (w *washer) image(src string) string {
	src = stripURL(src)
	lower := strings.ToLower(src)
	switch {
	case strings.HasPrefix(lower, "cid:"):
		if w.o.CID == nil {
			return ""
		}
		id := src[len("cid:"):]
		if dec, err := url.PathUnescape(id); err == nil {
			id = dec
		}
		return w.o.CID(strings.Trim(id, "<>"))
	case strings.HasPrefix(src, "//"):
		src = "https:" + src
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
	default:
		return ""
	}
	if u, err := url.Parse(src); err != nil || u.Host == "" {
		return ""
	}
	w.remote++
	if w.o.ImageURL == nil {
		return ""
	}
	return w.o.ImageURL(src)
}

// stripURL takes away what browsers ignore in a URL: blanks around it, control characters within.
func stripURL(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || bidiOrInvisible(r) {
			return -1
		}
		return r
	}, s))
}

// link lets through targets that a person can mean: web, mail, telephone.
func link(href string) string {
	href = stripURL(href)
	u, err := url.Parse(href)
	if err != nil || len(href) > 8000 {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" {
			return ""
		}
	case "mailto", "tel":
		if u.Opaque == "" && u.Path == "" {
			return ""
		}
	default:
		return ""
	}
	return u.String()
}

// styles are the properties that may stay and the pattern of their values. Nothing here can move an element out of
// its place, cover another one, load or run anything.
var styles = func() map[string]*regexp.Regexp {
	const (
		color  = `(#[0-9a-f]{3,8}|[a-z]{3,25}|rgba?\([0-9., %/]{3,40}\)|hsla?\([0-9a-z., %/]{3,40}\))`
		length = `(0|[0-9]{1,4}(\.[0-9]{1,4})?(px|pt|pc|em|rem|ex|ch|cm|mm|in|%|vw|vh)?|[0-9]{0,4}\.[0-9]{1,4}(px|pt|em|rem|cm|mm|in|%)?)`
		border = `((none|hidden|dotted|dashed|solid|double|groove|ridge|inset|outset|thin|medium|thick|` + length + `|` + color + `)( |$)){1,3}`
	)
	m := map[string]*regexp.Regexp{}
	add := func(pattern string, names ...string) {
		re := regexp.MustCompile(`^(?:` + pattern + `)$`)
		for _, n := range names {
			m[n] = re
		}
	}
	add(color, "color", "background-color", "background", "border-color", "border-top-color", "border-right-color",
		"border-bottom-color", "border-left-color")
	add(`[\pL0-9 ,'"_-]{1,300}`, "font-family")
	add(`[a-z-]{3,20}|`+length, "font-size", "line-height", "letter-spacing", "word-spacing", "text-indent")
	add(`[a-z]{3,10}|[1-9]00`, "font-weight")
	add(`[a-z-]{3,20}`, "font-style", "font-variant", "text-transform", "text-align", "vertical-align", "white-space",
		"list-style-type", "list-style-position", "list-style", "direction", "table-layout", "border-collapse", "overflow-wrap",
		"word-wrap", "word-break", "float", "clear", "caption-side", "unicode-bidi", "box-sizing")
	add(`[a-z -]{3,60}`, "text-decoration", "text-decoration-line")
	add(`((auto|`+length+`)( |$)){1,4}`, "margin")
	add(`auto|`+length, "margin-top", "margin-right", "margin-bottom", "margin-left", "width", "height", "max-width",
		"min-width", "max-height", "min-height")
	add(`(`+length+`( |$)){1,4}`, "padding", "border-radius", "border-width", "border-spacing")
	add(length, "padding-top", "padding-right", "padding-bottom", "padding-left", "border-top-width",
		"border-right-width", "border-bottom-width", "border-left-width", "border-top-left-radius",
		"border-top-right-radius", "border-bottom-left-radius", "border-bottom-right-radius")
	add(border, "border", "border-top", "border-right", "border-bottom", "border-left")
	add(`((none|hidden|dotted|dashed|solid|double|groove|ridge|inset|outset)( |$)){1,4}`, "border-style",
		"border-top-style", "border-right-style", "border-bottom-style", "border-left-style")
	add(`none|block|inline|inline-block|table|table-row|table-cell|table-row-group|list-item`, "display")
	return m
}()

// styleAllowed decides about one declaration; the value comes in any case, perhaps with !important.
func styleAllowed(property, value string) bool {
	value = strings.TrimSpace(strings.ToLower(value))
	value = strings.TrimSpace(strings.TrimSuffix(value, "!important"))
	re := styles[property]
	return re != nil && len(value) <= 300 && re.MatchString(value)
}

// style keeps the allowed declarations of a style attribute. A backslash (CSS escapes) or a comment is never needed
// in mail and always suspicious: such a declaration goes.
func style(s string) string {
	if len(s) > 10000 {
		return ""
	}
	var out []string
	for decl := range strings.SplitSeq(s, ";") {
		property, value, ok := strings.Cut(decl, ":")
		property = strings.ToLower(strings.TrimSpace(property))
		value = strings.Join(strings.Fields(value), " ")
		if !ok || strings.ContainsAny(value, `\<>@{}`) || strings.Contains(value, "/*") || !styleAllowed(property, value) {
			continue
		}
		out = append(out, property+": "+value)
	}
	return strings.Join(out, "; ")
}

// policy is the second wall.
var policy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	for a := range kept {
		p.AllowElements(a.String())
	}
	for key, pattern := range plainAttributes {
		p.AllowAttrs(key).Matching(pattern).Globally()
	}
	p.AllowNoAttrs().OnElementsMatching(regexp.MustCompile(`^(a|font|span|q|cite|del|ins)$`))
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile(`^` + linkRel + `$`)).OnElements("a")
	p.AllowAttrs("target").Matching(regexp.MustCompile(`^_blank$`)).OnElements("a")
	p.AllowAttrs("src").OnElements("img")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(true) // our own addresses of images; the first wall lets no relative link through
	p.AllowURLSchemes("http", "https", "mailto", "tel", "cid")
	for property := range styles {
		p.AllowStyles(property).MatchingHandler(func(value string) bool { return styleAllowed(property, value) }).Globally()
	}
	return p
})
