package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/rufweite/rufweite/internal/channel"
)

// template is a text with expressions in braces.
type template struct {
	pieces []piece
	base   bool // it stands on api_url
}

type piece struct {
	literal string
	expr    *expression
	query   bool // behind the ? of an address
}

func buildTemplate(key, source string) (template, error) {
	var t template
	for rest := source; rest != ""; {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			t.pieces = append(t.pieces, piece{literal: rest})
			break
		}
		if i > 0 {
			t.pieces = append(t.pieces, piece{literal: rest[:i]})
		}
		end, depth, quote := -1, 0, byte(0)
		for j := i; j < len(rest) && end < 0; j++ {
			switch c := rest[j]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '\'' || c == '"':
				quote = c
			case c == '{':
				depth++
			case c == '}':
				if depth--; depth == 0 {
					end = j
				}
			}
		}
		if end < 0 {
			return t, fmt.Errorf("%s has a { without its }", key)
		}
		e, err := compile(outboundEnv, key, rest[i+1:end])
		if err != nil {
			return t, err
		}
		t.pieces = append(t.pieces, piece{expr: e})
		rest = rest[end+1:]
	}
	return t, nil
}

var hostForm = regexp.MustCompile(`^https?://[A-Za-z0-9.\-\[\]:]+(/|\?)`)

// buildURL reads send.url. Its host is written out or that of api_url: no message can turn it to another one.
func buildURL(source string) (template, error) {
	if source == "" {
		return template{}, errors.New("send.url is missing: the address that takes messages, e.g. \"https://api.example.com/messages\"")
	}
	base := false
	if rest, ok := strings.CutPrefix(source, "{api_url}"); ok {
		source, base = rest, true
	} else if strings.HasPrefix(source, "/") {
		base = true
	}
	t, err := buildTemplate("send.url", source)
	if err != nil {
		return t, err
	}
	t.base = base
	if len(t.pieces) > 0 {
		first := t.pieces[0].literal
		if base && !strings.HasPrefix(first, "/") && !strings.HasPrefix(first, "?") || !base && !hostForm.MatchString(first) && (len(t.pieces) > 1 || !hostForm.MatchString(first+"/")) {
			return t, errors.New("send.url must begin with https://host/, with / or with {api_url}/")
		}
	}
	query := false
	for i := range t.pieces {
		t.pieces[i].query = query
		query = query || strings.Contains(t.pieces[i].literal, "?")
	}
	return t, nil
}

// outScope is what expressions see of a message, and of the answer to it.
type outScope struct {
	message map[string]any
	secrets map[string]string
	apiURL  string
	answer  *channel.Answer
	parsed  any
	header  map[string]string
}

// ResolveName implements cel.Activation.
func (s *outScope) ResolveName(name string) (any, bool) {
	switch name {
	case "message":
		return s.message, true
	case "secret":
		return s.secrets, true
	case "api_url":
		return s.apiURL, true
	case "status":
		return s.answer.Status, true
	case "answer":
		return s.parsed, true
	case "header":
		return s.header, true
	case "raw":
		return string(s.answer.Body), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (*outScope) Parent() cel.Activation { return nil }

// rendered is a request that is ready to be sent.
type rendered struct {
	url     string
	header  map[string]string
	body    []byte
	secrets []string
	scope   *outScope
}

func broken(err error) *channel.SendError {
	return &channel.SendError{Class: channel.Misconfig, Err: err, Reason: channel.Text{
		DE: "Die Beschreibung unter send passt nicht: " + err.Error(), EN: "The description under send does not fit: " + err.Error()}}
}

// partID is the idempotency key of one request of a delivery.
func partID(out channel.Outgoing, i int) string {
	if i == 0 {
		return out.DeliveryID
	}
	return out.DeliveryID + "-" + strconv.Itoa(i)
}

// request makes one request of a message. Its errors are *channel.SendError.
func (s *sender) request(settings channel.Settings, out channel.Outgoing, p channel.Part, i int, now time.Time) (*rendered, error) {
	m := map[string]any{
		"id": partID(out, i), "text": p.Text, "to": out.To.Value, "to_name": out.To.Name, "subject": "", "reply_to": p.ReplyTo, "author": string(out.Author),
		"author_name": out.AuthorName, "automatic": out.Automatic, "at": out.At.UTC().Format(time.RFC3339),
	}
	if s.caps.Subject {
		m["subject"] = out.Subject
	}
	choices := []any{}
	for _, c := range p.Choices {
		choices = append(choices, map[string]any{"label": c.Label, "data": c.Data, "description": c.Description})
	}
	files := []any{}
	if p.File != nil {
		f, err := p.File.Open()
		if err == nil {
			var content []byte
			content, err = io.ReadAll(io.LimitReader(f, fileMax+1))
			f.Close()
			if err == nil && int64(len(content)) > s.caps.AttachmentMax {
				return nil, channel.TooBig(s.caps.AttachmentMax)
			}
			files = append(files, map[string]any{"name": channel.FileName(p.File.Name), "media_type": channel.MediaType(p.File.MediaType), "size": int64(len(content)),
				"data": base64.StdEncoding.EncodeToString(content)})
		}
		if err != nil {
			return nil, &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{
				DE: "Eine Datei der Nachricht ließ sich nicht lesen.", EN: "A file of the message could not be read."}}
		}
	}
	m["choices"], m["attachments"] = choices, files
	r := &rendered{header: map[string]string{}, scope: &outScope{message: m, secrets: s.secrets, apiURL: strings.TrimRight(settings["api_url"], "/")}}
	if r.scope.secrets == nil {
		r.scope.secrets = map[string]string{}
	}
	for _, v := range s.secrets {
		r.secrets = append(r.secrets, v, url.QueryEscape(v), url.PathEscape(v))
	}
	if s.auth != nil {
		for _, v := range s.auth.hide {
			r.secrets = append(r.secrets, v, url.QueryEscape(v))
		}
	}
	if s.url.base {
		r.url = r.scope.apiURL
		if r.url == "" {
			return nil, broken(errors.New("api_url is not set"))
		}
	}
	for _, piece := range s.url.pieces {
		v, err := piece.value(r.scope)
		if err != nil {
			return nil, broken(err)
		}
		switch {
		case piece.expr == nil:
		case piece.query:
			v = url.QueryEscape(v)
		case v == "" || v == "." || v == "..": // would name another place
			return nil, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%s (%s) gives %q", piece.expr.key, piece.expr.text, v), Reason: channel.Text{
				DE: "An diese Adresse lässt sich auf diesem Kanal nichts senden.", EN: "Nothing can be sent to this address on this channel."}}
		default:
			v = url.PathEscape(v)
		}
		r.url += v
	}
	for name, t := range s.headers {
		var b strings.Builder
		for _, piece := range t.pieces {
			v, err := piece.value(r.scope)
			if err != nil {
				return nil, broken(err)
			}
			b.WriteString(v)
		}
		r.header[name] = b.String()
	}
	if s.idempotencyHeader != "" {
		r.header[s.idempotencyHeader] = partID(out, i)
	}
	if s.body != nil {
		var err error
		if r.body, err = s.render(r.scope); err != nil {
			return nil, broken(s.body.fault(err))
		}
		r.header["Content-Type"] = s.contentType
	}
	if err := s.sign(r, now); err != nil {
		return nil, broken(err)
	}
	for name, v := range r.header {
		if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return nil, &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("header %s has a line break", name), Reason: channel.Text{
				DE: "Die Nachricht passt nicht in die Kopfzeile " + name + ".", EN: "The message does not fit into the header " + name + "."}}
		}
	}
	return r, nil
}

func (p piece) value(s *outScope) (string, error) {
	if p.expr == nil {
		return p.literal, nil
	}
	v, err := p.expr.textOf(s)
	if err != nil {
		return "", p.expr.fault(err)
	}
	return v, nil
}

// render makes the body as its type says.
func (s *sender) render(scope *outScope) ([]byte, error) {
	v, err := s.body.eval(scope)
	if err != nil {
		return nil, err
	}
	if t, ok := v.(types.String); ok && !strings.Contains(s.contentType, "json") {
		return []byte(t), nil
	}
	x, err := native(v)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(s.contentType, "application/x-www-form-urlencoded") {
		m, ok := x.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("it is a %s and not a map of fields", typeName(v))
		}
		form := url.Values{}
		for k, e := range m {
			list, ok := e.([]any)
			if !ok {
				list = []any{e}
			}
			for _, one := range list {
				t, err := text(types.DefaultTypeAdapter.NativeToValue(one))
				if err != nil {
					return nil, fmt.Errorf("field %s: %w", k, err)
				}
				form.Add(k, t)
			}
		}
		return []byte(form.Encode()), nil
	}
	if strings.Contains(s.contentType, "json") {
		return encodeJSON(x)
	}
	return nil, fmt.Errorf("it is a %s; for %s it has to be a text", typeName(v), s.contentType)
}

// sign adds the credential.
func (s *sender) sign(r *rendered, now time.Time) error {
	k := s.auth
	switch {
	case k == nil || k.kind == "none":
	case k.query != "":
		sep := "?"
		if strings.Contains(r.url, "?") {
			sep = "&"
		}
		r.url += sep + url.QueryEscape(k.query) + "=" + url.QueryEscape(k.value)
	case k.kind == "hmac":
		u, err := url.Parse(r.url)
		if err != nil {
			return err
		}
		h := http.Header{}
		for name, v := range r.header {
			h.Set(name, v)
		}
		sc := &scope{r: &channel.Request{Method: s.method, Path: u.EscapedPath(), Query: u.Query(), Header: h, Body: r.body}, url: r.url,
			timestamp: strconv.FormatInt(now.Unix(), 10)}
		data := r.body
		if k.signed != nil {
			t, err := k.signed.eval(sc)
			if err != nil {
				return k.signed.fault(err)
			}
			str, ok := t.(types.String)
			if !ok {
				return k.signed.fault(fmt.Errorf("it is a %s and not a text", typeName(t)))
			}
			data = []byte(str)
		}
		if k.timestampHeader != "" {
			r.header[k.timestampHeader] = sc.timestamp
		}
		r.header[k.header] = mac(k.hash, k.encoding, k.prefix, k.secret, data)
	default:
		r.header[k.header] = k.value
	}
	return nil
}

// Send implements channel.Sender.
func (Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	s, err := senderOf(a.Settings)
	if err != nil {
		return channel.Receipt{}, broken(err)
	}
	parts, err := s.caps.Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	for i := range parts {
		parts[i].Menu = strconv.Itoa(i) // there are no lists here: it says which one a part is, also when it is tried again
	}
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		i, _ := strconv.Atoi(p.Menu)
		return s.send(ctx, a, out, p, i, env)
	})
}

func (s *sender) send(ctx context.Context, a channel.Account, out channel.Outgoing, p channel.Part, i int, env channel.Env) (string, error) {
	r, err := s.request(a.Settings, out, p, i, env.Now())
	if err != nil {
		return "", err
	}
	call := channel.Call{Method: s.method, URL: r.url, Body: r.body, Secrets: r.secrets}
	for name, v := range r.header {
		call = call.With(name, v)
	}
	answer, err := call.Do(ctx, env.HTTP)
	if err != nil {
		return "", err
	}
	sc := r.scope
	sc.answer, sc.header = &answer, lowerHeader(answer.Header)
	sc.parsed, _ = readBody(answer.Header.Get("Content-Type"), answer.Body)
	accepted := answer.OK()
	if s.accepted != nil {
		v, err := s.accepted.eval(sc)
		switch {
		case err == nil && v == types.True:
			accepted = true
		case err == nil && v == types.False:
			accepted = false
		case answer.OK(): // it cannot be told
			if err == nil {
				err = fmt.Errorf("it is a %s and not true or false", typeName(v))
			}
			return "", channel.Uncertainly(s.accepted.fault(err))
		default:
			accepted = false
		}
	}
	if !accepted {
		return "", s.refusal(sc, answer)
	}
	if s.id == nil {
		return partID(out, i), nil
	}
	ext, err := s.id.textOf(sc)
	if err == nil && id(ext) == "" {
		err = errMissing
	}
	if err != nil {
		return "", channel.Uncertainly(s.id.fault(err))
	}
	return id(ext), nil
}

var classes = map[string]channel.Class{
	"temporary": channel.Temporary, "rate_limited": channel.RateLimited, "permanent": channel.Permanent, "blocked": channel.Blocked, "window_closed": channel.WindowClosed,
	"not_here": channel.NotHere, "misconfigured": channel.Misconfig, "uncertain": channel.Unknown,
}

var reasons = map[channel.Class]channel.Text{
	channel.Temporary:    {DE: "Der Anbieter ist gerade gestört; es wird erneut versucht.", EN: "The provider has a disturbance; it is tried again."},
	channel.RateLimited:  {DE: "Der Anbieter nimmt gerade nicht mehr Nachrichten an.", EN: "The provider takes no more messages right now."},
	channel.Permanent:    {DE: "Der Anbieter hat die Nachricht abgelehnt.", EN: "The provider refused the message."},
	channel.Blocked:      {DE: "Der Kunde hat uns gesperrt.", EN: "The customer has blocked us."},
	channel.WindowClosed: {DE: "Der Anbieter erlaubt gerade keine freie Antwort.", EN: "The provider allows no free-form reply now."},
	channel.NotHere:      {DE: "Diese Adresse gibt es auf diesem Kanal nicht.", EN: "This address does not exist on this channel."},
	channel.Misconfig:    {DE: "Der Anbieter lässt uns nicht senden: Prüfen Sie Adresse und Zugangsdaten unter send.", EN: "The provider does not let us send: check address and credentials under send."},
	channel.Unknown:      {DE: "Es ist ungewiss, ob die Nachricht ankam.", EN: "It is uncertain whether the message arrived."},
}

// refusal says what an answer means that is no acceptance: as send.error has it, else as the status does.
func (s *sender) refusal(sc *outScope, answer channel.Answer) *channel.SendError {
	e := &channel.SendError{Code: strconv.Itoa(answer.Status)}
	words := func(x *expression) string {
		if x == nil {
			return ""
		}
		t, err := x.textOf(sc)
		if err != nil {
			e.Err = errors.Join(e.Err, x.fault(err))
			return ""
		}
		return t
	}
	if w := words(s.class); w != "" {
		if e.Class = classes[w]; e.Class == "" {
			e.Err = errors.Join(e.Err, s.class.fault(fmt.Errorf("%q is no class", short(w))))
		}
	}
	if e.Class == "" {
		switch st := answer.Status; {
		case st == http.StatusTooManyRequests:
			e.Class = channel.RateLimited
		case st == http.StatusUnauthorized, st == http.StatusForbidden, st == http.StatusNotFound, st == http.StatusMethodNotAllowed, st == http.StatusUnsupportedMediaType, st >= 300 && st < 400:
			e.Class = channel.Misconfig
		case st >= 500 && s.caps.Idempotent:
			e.Class = channel.Temporary
		case st >= 500, st == http.StatusRequestTimeout:
			e.Class = channel.Unknown
		default:
			e.Class = channel.Permanent
		}
	}
	e.Reason = reasons[e.Class]
	if w := channel.CleanName(words(s.reason)); w != "" {
		e.Reason.DE += " („" + w + "“)"
		e.Reason.EN += " (\"" + w + "\")"
	}
	if c := channel.CleanName(words(s.code)); c != "" {
		e.Code = c
	}
	e.RetryAfter = answer.RetryAfter()
	if w := words(s.retryAfter); w != "" {
		if n, err := strconv.ParseFloat(w, 64); err == nil && n > 0 {
			e.RetryAfter = time.Duration(min(n, 24*3600) * float64(time.Second))
		}
	}
	if e.Class == channel.RateLimited && e.RetryAfter == 0 {
		e.RetryAfter = 5 * time.Second
	}
	e.Err = errors.Join(e.Err, fmt.Errorf("the provider answered %d", answer.Status))
	return e
}
