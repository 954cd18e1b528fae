package ask

import (
	"strings"
	"unicode/utf8"
)

// The HTML of mails is one document without pictures, scripts, tables or anything to load: paragraphs, a heading, a list
// of links. Styles stand inline, since many mail programs keep nothing else; the dark colours stand in a style element,
// with classes, for those that do. The colours are those of web/kit/kit.css.
const (
	htmlHead1 = "<!doctype html>\n<html lang=\""
	htmlHead2 = "\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><meta name=\"supported-color-schemes\" content=\"light dark\"><title>"
	htmlHead3 = `</title><style>:root{color-scheme:light dark}@media (prefers-color-scheme:dark){.rw{background:#171613!important;color:#ece8e1!important}.rw-s{color:#a59e93!important}.rw-o{background:#1f1d19!important;border-color:#7a7468!important;color:#4fb8ab!important}.rw-a{color:#4fb8ab!important}}</style></head><body class="rw" style="margin:0;background:#fbfaf8;color:#1d1b18"><div class="rw" style="max-width:560px;margin:0 auto;padding:24px 20px;background:#fbfaf8;color:#1d1b18;font:16px/1.5 -apple-system,'Segoe UI',Roboto,'Noto Sans','Liberation Sans',sans-serif;overflow-wrap:anywhere;word-break:break-word">`
	htmlFoot  = "</div></body></html>\n"

	htmlPara    = `<p style="margin:0 0 16px">`
	htmlSmall   = `<p class="rw-s" style="margin:0 0 12px;font-size:14px;color:#6b665e">`
	htmlAsk     = `<h1 style="margin:0 0 16px;font-size:20px;line-height:1.3;font-weight:600">`
	htmlList    = `<ul style="margin:0 0 16px;padding:0;list-style:none">`
	htmlOption  = `<li style="margin:0 0 8px"><a class="rw-o" style="display:block;padding:11px 20px;border:1px solid #8c867c;border-radius:8px;background:#ffffff;color:#0b6b63;font-weight:600;text-decoration:none" href="`
	htmlScale   = `<li style="display:inline-block;margin:0 8px 8px 0"><a class="rw-o" style="display:block;min-width:18px;padding:11px 16px;text-align:center;border:1px solid #8c867c;border-radius:8px;background:#ffffff;color:#0b6b63;font-weight:600;text-decoration:none" href="`
	htmlDesc    = `<br><span class="rw-s" style="font-size:14px;font-weight:400;color:#6b665e">`
	htmlButton  = `<p style="margin:0 0 16px"><a class="rw-o" style="display:inline-block;padding:11px 20px;border:1px solid #8c867c;border-radius:8px;background:#ffffff;color:#0b6b63;font-weight:600;text-decoration:none" href="`
	htmlNumbers = `<ol style="margin:0 0 16px;padding:0 0 0 28px">`
)

// readyHTML are the pieces of a mail that are the same in each of a language: a mail is mostly these.
type readyHTML struct{ head, prefilled, replyMail, replyMailMany, skip, machine, person string }

var readyHTMLs = func() map[*sentences]*readyHTML {
	out := map[*sentences]*readyHTML{}
	for _, w := range []*sentences{&sentencesDE, &sentencesDESMS, &sentencesSimple, &sentencesSimpleSMS, &sentencesEN, &sentencesENSMS} {
		small := func(s string) string {
			x := renderer{}
			x.htmlText(htmlSmall, s)
			return string(x.buf)
		}
		out[w] = &readyHTML{htmlHead1 + w.tag + htmlHead2, small(w.prefilled), small(w.replyMail), small(w.replyMailMany), small(w.skip), small(w.machine), small(w.person)}
	}
	return out
}()

// html writes the HTML beside the plain text that compose wrote: the same sentences, with links in place of numbers.
func (x *renderer) html(p part) {
	x.buf = x.buf[:0]
	w := x.w
	ready := readyHTMLs[w]
	document := x.c.Subject // a mail; chats that carry HTML (Matrix) take a piece of it
	if document {
		if x.found == w.tag {
			x.add(ready.head)
		} else {
			x.add(htmlHead1)
			x.attr(x.found)
			x.add(htmlHead2)
		}
		x.esc(x.out.Subject)
		x.add(htmlHead3)
	}
	if x.s.Introduce != "" {
		x.add(htmlSmall)
		x.esc(w.introduce[0])
		x.esc(x.s.Introduce)
		x.esc(w.introduce[1])
		x.add("</p>")
	}
	x.htmlText(htmlPara, x.get(x.s.Text))
	if x.a == nil {
		x.htmlEnd(p, document)
		return
	}
	x.htmlText(htmlPara, x.s.Again)
	question, rest := strings.TrimSpace(x.get(x.a.Text)), ""
	if i := strings.Index(question, "\n\n"); i >= 0 { // the first paragraph is the heading
		question, rest = question[:i], question[i:]
	}
	if question != "" {
		x.add(htmlAsk)
		x.esc(question)
		x.add("</h1>")
	}
	x.htmlText(htmlPara, rest)
	if p.hint != "" {
		x.htmlText(htmlPara, p.hint)
	} else {
		if x.s.Again == "" {
			x.htmlText(htmlPara, x.get(x.a.Hint))
		}
		begin := len(x.buf)
		x.appendHint(p.short || x.s.Again != "" || len(x.a.Hint) > 0, p.short || x.s.Again != "")
		hint := string(x.buf[begin:])
		x.buf = x.buf[:begin]
		x.htmlText(htmlPara, hint)
	}
	links := len(x.out.Choices) > 0 && x.out.Choices[0].URL != ""
	switch {
	case links:
		x.add(htmlList)
		for i := range x.out.Choices {
			c := &x.out.Choices[i]
			if c.URL == "" {
				continue
			}
			if x.a.scale() {
				x.add(htmlScale)
			} else {
				x.add(htmlOption)
			}
			x.attr(c.URL)
			x.add(`">`)
			x.esc(c.Label)
			if c.Description != "" {
				x.add(htmlDesc)
				x.esc(c.Description)
				x.add("</span>")
			}
			x.add("</a></li>")
		}
		x.add("</ul>")
		x.add(ready.prefilled)
	case p.numbers && x.a.scale():
		x.htmlText(htmlPara, w.scale)
	case p.numbers:
		x.add(htmlNumbers)
		for i := range x.opts {
			x.add("<li>")
			x.esc(x.opts[i].label)
			x.add("</li>")
		}
		x.add("</ol>")
	}
	if x.machine {
		x.add(ready.machine)
	}
	if p.page != "" && !links {
		x.add(htmlButton)
		x.attr(x.o.URL)
		x.add(`">`)
		x.esc(p.link)
		x.add("</a></p>")
	}
	if x.c.Subject && x.out.Way != Page && x.out.Way != Nothing {
		if x.a.Kind == ManyOf {
			x.add(ready.replyMailMany)
		} else {
			x.add(ready.replyMail)
		}
	}
	if x.a.Optional && x.out.Way != Nothing {
		x.add(ready.skip)
	}
	x.htmlEnd(p, document)
}

func (x *renderer) htmlEnd(p part, document bool) {
	if x.s.Person && !p.noPerson && !x.c.OneWay {
		x.add(readyHTMLs[x.w].person)
	} else if x.s.Person && !p.noPerson {
		begin := len(x.buf)
		x.personLine(p)
		line := strings.TrimSpace(string(x.buf[begin:]))
		x.buf = x.buf[:begin]
		x.htmlText(htmlSmall, line)
	}
	if x.a == nil && x.machine {
		x.htmlText(htmlSmall, x.w.machine)
	}
	if document {
		x.add(htmlFoot)
	}
	x.out.HTML = string(x.buf)
}

// htmlText adds a text as paragraphs that begin with open; an empty line parts them.
func (x *renderer) htmlText(open, s string) {
	s = strings.TrimSpace(s)
	for s != "" {
		p := s
		if i := strings.Index(s, "\n\n"); i >= 0 {
			p, s = s[:i], strings.TrimSpace(s[i:])
		} else {
			s = ""
		}
		x.add(open)
		x.esc(p)
		x.add("</p>")
	}
}

// esc adds a text as HTML: what has a meaning there is escaped, line breaks are kept, control characters and what is no
// UTF-8 is left out.
func (x *renderer) esc(s string) { x.escape(s, "<br>") }

// attr is esc for the value of an attribute in double quotes.
func (x *renderer) attr(s string) { x.escape(s, " ") }

func (x *renderer) escape(s, br string) {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '<' && c != '>' && c != '&' && c != '"' && c != '\'' && c < 0x7f {
			i++
			continue
		}
		n, put := 1, ""
		switch {
		case c == '<':
			put = "&lt;"
		case c == '>':
			put = "&gt;"
		case c == '&':
			put = "&amp;"
		case c == '"':
			put = "&#34;"
		case c == '\'':
			put = "&#39;"
		case c == '\n':
			put = br
		case c == '\t':
			put = " "
		case c < ' ' || c == 0x7f: // a carriage return, too
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			n = size
			if r == utf8.RuneError && size == 1 {
				put = "\uFFFD"
			} else if r >= 0xa0 && !bidi(r) {
				i += n
				continue
			}
		}
		x.buf = append(x.buf, s[from:i]...)
		x.buf = append(x.buf, put...)
		i += n
		from = i
	}
	x.buf = append(x.buf, s[from:]...)
}

// bidi reports whether a character turns the direction of what follows it (UAX #9): it could make a link read as another.
func bidi(r rune) bool { return (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) }
