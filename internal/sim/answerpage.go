package sim

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// htmlOf gives the HTML of a mail, "" if it has none.
func htmlOf(raw []byte) string {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return ""
	}
	return htmlPart(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0)
}

func htmlPart(contentType, transfer string, body io.Reader, depth int) string {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || depth > 8 {
		return ""
	}
	if strings.HasPrefix(kind, "multipart/") {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			part, err := parts.NextRawPart()
			if err != nil {
				return ""
			}
			if s := htmlPart(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part, depth+1); s != "" {
				return s
			}
		}
	}
	if kind != "text/html" {
		return ""
	}
	b, err := io.ReadAll(unpacked(body, transfer))
	if err != nil {
		return ""
	}
	return string(b)
}

var (
	linkTag    = regexp.MustCompile(`(?s)<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)</a>`)
	anyTag     = regexp.MustCompile(`(?s)<span\b.*</span>|<[^>]*>`) // descriptions under a label are not the label
	answerPage = regexp.MustCompile(`https?://[^\s"<>?]+/a/[a-z2-9]{12}\b`)
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
)

// answerLinks finds what a mail offers to press, and the answer page that it links to.
func answerLinks(doc, text string) (out []Choice, page string) {
	for _, m := range linkTag.FindAllStringSubmatch(doc, -1) {
		address := html.UnescapeString(m[1])
		if !answerPage.MatchString(address) {
			continue
		}
		page = answerPage.FindString(address)
		u, err := url.Parse(address)
		if err != nil || !u.Query().Has("o") {
			continue
		}
		out = append(out, Choice{Label: strings.TrimSpace(html.UnescapeString(anyTag.ReplaceAllString(m[2], ""))), URL: address})
	}
	if page == "" {
		page = answerPage.FindString(text)
	}
	return out, page
}

// follow presses a link of a mail. The mail provider's scanner has followed every link before; the customer sees the
// page with the option chosen, and confirms.
func (p *Providers) follow(ctx context.Context, a Act) (Line, error) {
	target, ok := p.Line(a.Customer, a.Target)
	i := slices.IndexFunc(target.Choices, func(c Choice) bool { return c.Label == a.Text && c.URL != "" })
	if !ok || target.Channel != Email || i < 0 {
		return Line{}, fmt.Errorf("link %q of mail %q of %s: %w", a.Text, a.Target, a.Customer, ErrNoLine)
	}
	for _, c := range target.Choices {
		if err := p.Scan(ctx, c.URL); err != nil {
			return Line{}, fmt.Errorf("scan the links of a mail: %w", err)
		}
	}
	page, err := p.visit(ctx, http.MethodGet, target.Choices[i].URL, nil)
	if err != nil {
		return Line{}, fmt.Errorf("follow a link: %w", err)
	}
	there, err := url.Parse(target.Choices[i].URL)
	if err != nil {
		return Line{}, err
	}
	option := there.Query().Get("o")
	action := formAction.FindStringSubmatch(page)
	if action == nil || !strings.Contains(page, `name="o" value="`) { // over: the page says so, and there is nothing to press
		return p.change(a.Customer, a.Target, func(l *Line) { l.Pressed = a.Text })
	}
	to, err := there.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return Line{}, err
	}
	if _, err := p.visit(ctx, http.MethodPost, to.String(), url.Values{"o": {option}}); err != nil {
		return Line{}, fmt.Errorf("confirm on the answer page: %w", err)
	}
	return p.change(a.Customer, a.Target, func(l *Line) { l.Pressed = a.Text })
}

// Scan loads a page as the scanner of a mail provider does, which follows every link before its customer sees the mail.
func (p *Providers) Scan(ctx context.Context, address string) error {
	_, err := p.visit(ctx, http.MethodGet, address, nil)
	return err
}

// visit loads a page in the customer's browser.
func (p *Providers) visit(ctx context.Context, method, address string, form url.Values) (string, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept-Language", "de")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := p.browser.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%s %s: %s", method, r.URL.Path, resp.Status)
	}
	return string(b), err
}
