package email

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// metaCharset finds the character set that an HTML document names in itself, "" if none.
func metaCharset(b []byte) string {
	head := strings.ToLower(string(b[:min(len(b), 2048)]))
	i := strings.Index(head, "charset=")
	if i < 0 {
		return ""
	}
	v := strings.TrimLeft(head[i+len("charset="):], `"' `)
	if j := strings.IndexAny(v, "\"' ;/>\r\n\t"); j >= 0 {
		return v[:j]
	}
	return ""
}

// htmlText derives readable plain text from HTML: paragraphs, lists, quotes and the targets of links stay visible.
// It reads tokens only, so that neither nesting nor broken markup costs more than the length of the input.
func htmlText(h string) string {
	w := textWriter{}
	z := html.NewTokenizer(strings.NewReader(h))
	z.SetMaxBuf(0)
	skip := 0 // inside elements whose content is no text
	var skipping atom.Atom
	var lists []int // open lists: -1 = bullets, otherwise the last number
	href, linkStart := "", 0
	for {
		tt := z.Next()
		if tt == html.ErrorToken {
			break
		}
		switch tt {
		case html.TextToken:
			if skip == 0 {
				w.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, hasAttr := z.TagName()
			a := atom.Lookup(name)
			if skip > 0 {
				if a == skipping && tt == html.StartTagToken {
					skip++
				}
				continue
			}
			switch a {
			case atom.Script, atom.Style, atom.Title, atom.Template, atom.Noscript, atom.Select, atom.Svg,
				atom.Math, atom.Iframe, atom.Object, atom.Textarea:
				if tt == html.StartTagToken {
					skip, skipping = 1, a
				}
			case atom.Br:
				w.newline()
			case atom.Hr:
				w.block(1)
				w.text("---")
				w.block(1)
			case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
				w.block(2)
			case atom.Div, atom.Table, atom.Tr, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Center,
				atom.Address, atom.Dl, atom.Dt, atom.Figure, atom.Form, atom.Fieldset, atom.Caption:
				w.block(1)
			case atom.Dd:
				w.block(1)
				w.text("  ")
			case atom.Td, atom.Th:
				w.cell()
			case atom.Pre:
				w.block(1)
				w.pre++
			case atom.Blockquote:
				w.block(1)
				w.quote = min(w.quote+1, 10)
			case atom.Ul:
				w.block(1)
				lists = append(lists, -1)
			case atom.Ol:
				w.block(1)
				lists = append(lists, 0)
			case atom.Li:
				w.block(1)
				mark := "- "
				if n := len(lists); n > 0 {
					if lists[n-1] >= 0 {
						lists[n-1]++
						mark = strconv.Itoa(lists[n-1]) + ". "
					}
					mark = strings.Repeat("  ", min(n-1, 8)) + mark
				}
				w.raw(mark)
			case atom.A:
				href = ""
				for hasAttr {
					var k, v []byte
					k, v, hasAttr = z.TagAttr()
					if string(k) == "href" {
						href = strings.TrimSpace(string(v))
					}
				}
				linkStart = w.b.Len()
			case atom.Img:
				alt := ""
				for hasAttr {
					var k, v []byte
					k, v, hasAttr = z.TagAttr()
					if string(k) == "alt" {
						alt = strings.TrimSpace(string(v))
					}
				}
				if alt != "" {
					w.text("[" + alt + "]")
				}
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			if skip > 0 {
				if a == skipping {
					skip--
				}
				continue
			}
			switch a {
			case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
				w.block(2)
			case atom.Div, atom.Table, atom.Tr, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Center,
				atom.Address, atom.Dl, atom.Dd, atom.Li, atom.Figure, atom.Form, atom.Fieldset, atom.Caption:
				w.block(1)
			case atom.Pre:
				w.pre = max(w.pre-1, 0)
				w.block(1)
			case atom.Blockquote:
				w.block(1)
				w.quote = max(w.quote-1, 0)
			case atom.Ul, atom.Ol:
				if n := len(lists); n > 0 {
					lists = lists[:n-1]
				}
				w.block(1)
			case atom.A:
				if href != "" {
					w.link(href, linkStart)
				}
				href = ""
			}
		}
	}
	return strings.TrimSpace(trimLines(cleanText(w.b.String())))
}

// textWriter collapses white space as a browser does and keeps track of line starts.
type textWriter struct {
	b        strings.Builder
	newlines int  // line ends owed before the next text
	blank    bool // a blank is owed before the next text
	started  bool // something is on the current line
	any      bool
	pre      int
	quote    int
}

// block asks for n line ends before the next text.
func (w *textWriter) block(n int) {
	if w.any {
		w.newlines = max(w.newlines, n)
	}
	w.blank = false
}

func (w *textWriter) newline() {
	if w.any {
		if w.newlines < 3 {
			w.newlines++
		}
	}
	w.blank = false
}

func (w *textWriter) cell() {
	if w.started && w.newlines == 0 {
		w.blank = true
	}
}

func (w *textWriter) begin() {
	if w.newlines > 0 {
		prefix := strings.TrimSpace(strings.Repeat("> ", w.quote))
		for i := range w.newlines {
			w.b.WriteByte('\n')
			if i < w.newlines-1 {
				w.b.WriteString(prefix)
			}
		}
		w.newlines = 0
		w.started = false
	}
	if !w.started {
		w.b.WriteString(strings.Repeat("> ", w.quote))
		w.started = true
		w.blank = false
	}
	if w.blank {
		w.b.WriteByte(' ')
		w.blank = false
	}
	w.any = true
}

// raw writes a mark that is no text of its own.
func (w *textWriter) raw(s string) {
	w.begin()
	w.b.WriteString(s)
}

func (w *textWriter) text(s string) {
	if w.pre > 0 {
		for i, line := range strings.Split(s, "\n") {
			if i > 0 {
				w.newline()
			}
			if line = strings.TrimRight(line, "\r"); line != "" {
				w.begin()
				w.b.WriteString(line)
			}
		}
		return
	}
	for s != "" {
		i := strings.IndexAny(s, " \t\r\n\f\u00a0\u200b\u200c\u00ad\u034f\ufeff")
		if i < 0 {
			w.begin()
			w.b.WriteString(s)
			return
		}
		if i > 0 {
			w.begin()
			w.b.WriteString(s[:i])
		}
		size := 1
		for size < len(s)-i && s[i+size]&0xC0 == 0x80 {
			size++
		}
		switch s[i : i+size] {
		case "\u200b", "\u200c", "\u00ad", "\u034f", "\ufeff": // fillers of preheader texts
		case "\u00a0": // not collapsed: mailers make empty lines and indents of it
			w.begin()
			w.b.WriteByte(' ')
		default:
			if w.started && w.newlines == 0 {
				w.blank = true
			}
		}
		s = s[i+size:]
	}
}

// link writes the target behind a link's words unless the words say it already.
func (w *textWriter) link(href string, start int) {
	lower := strings.ToLower(href)
	if !strings.HasPrefix(lower, "http:") && !strings.HasPrefix(lower, "https:") && !strings.HasPrefix(lower, "mailto:") {
		return
	}
	words := ""
	if start <= w.b.Len() {
		words = strings.TrimSpace(w.b.String()[start:])
	}
	if words == "" || len(href) > 2000 {
		return // an image or a tracking target nobody can read
	}
	bare := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(lower, "mailto:"), "https://"), "http://")
	bare, _, _ = strings.Cut(bare, "?")
	if said := strings.ToLower(words); strings.Contains(said, strings.TrimSuffix(bare, "/")) {
		return
	}
	w.raw(" <" + href + ">")
}

// trimLines takes blanks off the ends of lines and allows at most one empty line in a row.
func trimLines(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	empty := 0
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimRight(line, " \t")
		if line == "" {
			if empty++; empty > 1 {
				continue
			}
		} else {
			empty = 0
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}
