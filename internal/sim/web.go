package sim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WebChat is where the company's website has its chat.
type WebChat struct {
	URL     string                   // of the server that gives the widget
	Channel string                   // id of the channel
	Sign    func(user string) string // the website vouches for who is signed in there
}

// window is the chat of a customer who is signed in on the company's website, in one browser.
type window struct {
	chat   WebChat
	user   string
	name   string
	open   chan struct{} // closed once the first stream stands
	opened bool
}

// webLine is a message as the chat's door gives it.
type webLine struct {
	ID       string    `json:"id"`
	ClientID string    `json:"client_id"`
	Mine     bool      `json:"mine"`
	Name     string    `json:"name"`
	Text     string    `json:"text"`
	At       time.Time `json:"at"`
	Files    []struct {
		Name      string `json:"name"`
		MediaType string `json:"media_type"`
		URL       string `json:"url"`
	} `json:"attachments"`
	Quote *struct {
		ID string `json:"id"`
	} `json:"quote"`
	Choices []struct {
		Data  string `json:"data"`
		Label string `json:"label"`
	} `json:"choices"`
	Form *struct {
		Input   string `json:"input"`
		Options []struct {
			Data  string `json:"data"`
			Label string `json:"label"`
		} `json:"options"`
	} `json:"form"`
}

// choices are what the widget shows to press.
func (m webLine) choices() (out []Choice) {
	add := func(label, data string) {
		if data != "" && !slices.ContainsFunc(out, func(c Choice) bool { return c.Data == data }) {
			out = append(out, Choice{Label: label, Data: data})
		}
	}
	if m.Form != nil && (m.Form.Input == "buttons" || m.Form.Input == "radio") {
		for _, o := range m.Form.Options {
			add(o.Label, o.Data)
		}
	}
	for _, c := range m.Choices {
		add(c.Label, c.Data)
	}
	return out
}

// OpenWeb opens the website's chat for everybody who has an account there. It returns once their streams stand.
func (p *Providers) OpenWeb(ctx context.Context, chat WebChat) error {
	p.mu.Lock()
	var all []*device
	for _, d := range p.devices {
		if d.customer.Web != "" && d.web == nil {
			d.web = &window{chat: chat, user: d.customer.Web, name: d.customer.Name, open: make(chan struct{})}
			all = append(all, d)
		}
	}
	p.mu.Unlock()
	for _, d := range all {
		p.work.Go(func() { p.watchWeb(d) })
	}
	for _, d := range all {
		select {
		case <-d.web.open:
		case <-ctx.Done():
			return fmt.Errorf("open the chat of the website for %s: %w", d.customer.ID, ctx.Err())
		}
	}
	return nil
}

// request makes a call as the widget makes it on the company's own page.
func (w *window) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.chat.URL+"/chat/"+w.chat.Channel+"/"+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Origin", w.chat.URL)
	r.Header.Set("Accept-Language", "de")
	r.Header.Set("X-Rufweite-User", url.PathEscape(w.user))
	r.Header.Set("X-Rufweite-Signature", w.chat.Sign(w.user))
	return r, nil
}

// watchWeb reads what the widget is told, and calls again when the line breaks.
func (p *Providers) watchWeb(d *device) {
	cursor := ""
	for p.ctx.Err() == nil {
		if err := p.streamWeb(d, &cursor); err != nil && p.ctx.Err() == nil {
			select {
			case <-time.After(300 * time.Millisecond):
			case <-p.ctx.Done():
			}
		}
	}
}

func (p *Providers) streamWeb(d *device, cursor *string) error {
	path := "live"
	if *cursor != "" {
		path += "?after=" + url.QueryEscape(*cursor)
	}
	r, err := d.web.request(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	resp, err := p.browser.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the chat answers %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var f struct {
			Kind    string   `json:"kind"`
			Cursor  string   `json:"cursor"`
			Message *webLine `json:"message"`
		}
		if err := json.Unmarshal([]byte(data), &f); err != nil {
			return err
		}
		if f.Message != nil {
			p.keepWeb(d, *f.Message)
		}
		if f.Cursor != "" {
			*cursor = f.Cursor
		}
		if f.Kind == "hello" && !d.web.opened {
			d.web.opened = true
			close(d.web.open)
		}
	}
	return lines.Err()
}

// keepWeb enters a message that the widget was told of: a new one, or one of which something changed.
func (p *Providers) keepWeb(d *device, m webLine) {
	p.mu.Lock()
	for _, l := range d.lines {
		if l.Channel != Web || l.Ref != m.ID && (m.ClientID == "" || l.Ref != m.ClientID) {
			continue
		}
		l.Ref, l.At, l.Choices = m.ID, m.At, m.choices()
		close(p.changed) // not told to Population: nothing has come
		p.changed = make(chan struct{})
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	l := Line{Channel: Web, In: !m.Mine, Ref: m.ID, From: m.Name, Text: m.Text, At: m.At, Choices: m.choices()}
	if m.Quote != nil {
		l.Parent = m.Quote.ID
	}
	for _, f := range m.Files {
		l.Files = append(l.Files, File{Name: f.Name, MediaType: f.MediaType, Content: p.fetch(d.web.chat.URL + f.URL)})
	}
	p.keep(d, l)
}

// fetch gets a file; nil if that fails.
func (p *Providers) fetch(address string) []byte {
	r, err := http.NewRequestWithContext(p.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil
	}
	resp, err := p.browser.Do(r)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 20<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil
	}
	return b
}

// doWeb writes in the website's chat, or presses something there.
func (p *Providers) doWeb(ctx context.Context, d *device, a Act) (Line, error) {
	if d.web == nil || a.Kind != Write && a.Kind != Press {
		return Line{}, fmt.Errorf("%s in the web chat: %w", a.Kind, ErrNoChannel)
	}
	target, ok := p.Line(a.Customer, a.Target)
	if a.Target != "" && (!ok || target.Channel != Web) || a.Target == "" && a.Kind == Press {
		return Line{}, fmt.Errorf("message %q of %s: %w", a.Target, a.Customer, ErrNoLine)
	}
	p.mu.Lock()
	p.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", p.options.Seed, p.serial, d.customer.ID))
	p.mu.Unlock()
	m := map[string]any{"client_id": hex.EncodeToString(sum[:12]), "name": d.customer.Name, "language": "de"}
	if a.Kind == Press {
		i := slices.IndexFunc(target.Choices, func(c Choice) bool { return c.Label == a.Text })
		if i < 0 {
			return Line{}, fmt.Errorf("button %q of message %q of %s: %w", a.Text, a.Target, a.Customer, ErrNoLine)
		}
		m["choice"] = map[string]string{"message": target.Ref, "data": target.Choices[i].Data}
	} else {
		m["text"] = a.Text
		if a.Target != "" {
			m["reply_to"] = target.Ref
		}
	}
	said, err := json.Marshal(m)
	if err != nil {
		return Line{}, err
	}
	var b bytes.Buffer
	kind := "application/json"
	if len(a.Files) == 0 {
		b.Write(said)
	} else {
		form := multipart.NewWriter(&b)
		err := form.WriteField("message", string(said))
		for i, f := range a.Files {
			part, e := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename=` + strconv.Quote(f.Name)}, "Content-Type": {f.MediaType}})
			if e == nil {
				_, e = part.Write(f.Content)
			}
			if e != nil {
				return Line{}, fmt.Errorf("attach file %d: %w", i+1, e)
			}
		}
		if err = errors.Join(err, form.Close()); err != nil {
			return Line{}, err
		}
		kind = form.FormDataContentType()
	}
	// The line is kept before it goes: the stream may be faster than the answer.
	l := Line{Channel: Web, Ref: m["client_id"].(string), From: d.customer.Name, Text: a.Text, Files: a.Files, At: p.clock.Now()}
	if a.Target != "" {
		l.Parent = target.Ref
	}
	if a.Kind == Write {
		l = p.keep(d, l)
	}
	failed := func(err error) (Line, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		d.lines = slices.DeleteFunc(d.lines, func(o *Line) bool { return o.ID == l.ID })
		return Line{}, fmt.Errorf("write in the web chat: %w", err)
	}
	r, err := d.web.request(ctx, http.MethodPost, "messages", &b)
	if err != nil {
		return failed(err)
	}
	r.Header.Set("Content-Type", kind)
	resp, err := p.browser.Do(r)
	if err != nil {
		return failed(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		problem, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return failed(fmt.Errorf("%s: %s", resp.Status, problem))
	}
	if a.Kind == Press {
		return p.change(a.Customer, a.Target, func(l *Line) { l.Pressed = a.Text })
	}
	return l, nil
}
