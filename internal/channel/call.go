package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Call is one request to a provider's HTTP API.
type Call struct {
	Method string // "" = POST
	URL    string
	Header http.Header // beside Content-Type
	// Type and Body are the content. A body that is streamed has Open and Size instead of Body; it is opened again where the
	// HTTP client has to start anew. Size -1 = unknown.
	Type string
	Body []byte
	Open func() (io.ReadCloser, error)
	Size int64
	// Secrets are cut out of errors, beside the URL's path and query, which are never shown.
	Secrets []string
	Max     int64         // longest answer that is read; 0 = 1 MiB
	Timeout time.Duration // 0 = 30 s
}

// JSON is a Call that posts v as JSON. It panics if v cannot be written, which is a mistake of the driver.
func JSON(url string, v any) Call {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("channel: JSON of a call: %v", err))
	}
	return Call{URL: url, Type: "application/json", Body: bytes.TrimRight(b.Bytes(), "\n")}
}

// Bearer adds an Authorization header with a token, which is kept out of errors.
func (c Call) Bearer(token string) Call { return c.With("Authorization", "Bearer "+token, token) }

// With adds a header; secrets in it are kept out of errors.
func (c Call) With(name, value string, secrets ...string) Call {
	if c.Header = c.Header.Clone(); c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Set(name, value)
	c.Secrets = append(c.Secrets[:len(c.Secrets):len(c.Secrets)], secrets...)
	return c
}

// Answer is what a provider's HTTP API said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// OK reports a 2xx status.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// RetryAfter is the pause that the answer asks for (RFC 9110 §10.2.3, in seconds), at most a day; 0 = none.
func (a Answer) RetryAfter() time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(a.Header.Get("Retry-After")), 64)
	if err != nil || n <= 0 {
		return 0
	}
	return time.Duration(min(n, 24*3600) * float64(time.Second))
}

// Do sends the request and reads the whole answer, whatever its status. Its error is always a *SendError: Temporary where
// certainly nothing reached the provider, Misconfig where the server may not reach the address, Unknown otherwise.
func (c Call) Do(ctx context.Context, doer Doer) (Answer, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.send(ctx, doer)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	limit := c.Max
	if limit == 0 {
		limit = 1 << 20
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return Answer{}, Uncertainly(fmt.Errorf("read the answer of %s: %w", c.host(), c.clean(err)))
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: raw}, nil
}

// Stream sends the request and gives the answer with its body unread, for media. Errors are those of Do.
func (c Call) Stream(ctx context.Context, doer Doer) (*http.Response, error) {
	return c.send(ctx, doer)
}

func (c Call) send(ctx context.Context, doer Doer) (*http.Response, error) {
	var wanted, connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	method := c.Method
	if method == "" {
		method = http.MethodPost
	}
	open, size := c.Open, c.Size
	if open == nil {
		size = int64(len(c.Body))
		open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.Body)), nil }
	}
	var body io.Reader
	var w *watched
	if c.Body != nil || c.Open != nil {
		f, err := open()
		if err != nil {
			return nil, &SendError{Class: Temporary, Err: fmt.Errorf("open what is to be sent: %w", err), Reason: Text{
				DE: "Eine Datei der Nachricht ließ sich nicht lesen; es wird erneut versucht.", EN: "A file of the message could not be read; it is tried again."}}
		}
		w = &watched{ReadCloser: f}
		body = w
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL, body)
	if err != nil {
		return nil, &SendError{Class: Misconfig, Err: fmt.Errorf("call %s: %w", c.host(), c.clean(err)), Reason: Text{
			DE: "Die Adresse des Anbieters (api_url) ist keine.", EN: "The provider's address (api_url) is none."}}
	}
	if w != nil {
		r.ContentLength = size
		r.GetBody = open
	}
	for name, values := range c.Header {
		r.Header[name] = values
	}
	if c.Type != "" {
		r.Header.Set("Content-Type", c.Type)
	}
	resp, err := doer.Do(r)
	if err == nil {
		return resp, nil
	}
	var refused interface{ NotSent() bool } // fetch.ErrForbidden, which this package must not import
	if errors.As(err, &refused) && refused.NotSent() {
		return nil, &SendError{Class: Misconfig, Err: fmt.Errorf("call %s: %w", c.host(), c.clean(err)), Reason: Text{
			DE: "Der Server darf diese Adresse nicht erreichen.", EN: "The server is not allowed to reach this address."}}
	}
	// Once there is a connection (with TLS), no error proves that the request did not arrive, except that its body was never
	// finished because our own file failed.
	if wanted.Load() && !connected.Load() || !connected.Load() && dialing(err) || w != nil && w.failed.Load() {
		return nil, &SendError{Class: Temporary, Err: fmt.Errorf("call %s: %w", c.host(), c.clean(err)), Reason: Text{
			DE: "Der Anbieter war nicht erreichbar; es wird erneut versucht.", EN: "The provider could not be reached; it is tried again."}}
	}
	return nil, Uncertainly(fmt.Errorf("call %s: %w", c.host(), c.clean(err)))
}

// Uncertainly is the SendError of a request that may have been accepted.
func Uncertainly(err error) *SendError {
	return &SendError{Class: Unknown, Err: err, Reason: Text{
		DE: "Es ist ungewiss, ob die Nachricht ankam: Der Anbieter hat nicht geantwortet.",
		EN: "It is uncertain whether the message arrived: the provider did not answer.",
	}}
}

// Unexpected is the SendError for an answer that is not the API's: a 4xx says that nobody took the message (a wrong
// api_url), anything else leaves it uncertain.
func Unexpected(a Answer, what string) *SendError {
	err := fmt.Errorf("%s: the answer with status %d is not the provider's API", what, a.Status)
	if a.Status >= 400 && a.Status < 500 {
		return &SendError{Class: Misconfig, Code: strconv.Itoa(a.Status), Err: err, Reason: Text{
			DE: "Unter api_url antwortet nicht die Schnittstelle des Anbieters.", EN: "It is not the provider's API that answers at api_url."}}
	}
	return Uncertainly(err)
}

// host is what errors show of the URL: several providers put secrets into path or query.
func (c Call) host() string {
	if u, err := url.Parse(c.URL); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	return "the provider"
}

// clean takes URL and secrets out of an error.
func (c Call) clean(err error) error {
	if ue, ok := err.(*url.Error); ok { //nolint:errorlint // of http.Client, outermost
		err = ue.Err
	}
	text := err.Error()
	for _, s := range c.Secrets {
		if len(s) > 3 {
			text = strings.ReplaceAll(text, s, "<secret>")
		}
	}
	if text == err.Error() {
		return err
	}
	return &cleaned{text, err}
}

// cleaned is an error that reads without secrets and still is what it was.
type cleaned struct {
	text string
	err  error
}

func (c *cleaned) Error() string { return c.text }
func (c *cleaned) Unwrap() error { return c.err }

// dialing reports whether a connection could not even be made: nothing was sent.
func dialing(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// watched notes whether our own side failed to give the body.
type watched struct {
	io.ReadCloser
	failed atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		w.failed.Store(true)
	}
	return n, err
}

// Field is one field of a form.
type Field struct{ Name, Value string }

// Multipart makes c's body multipart/form-data (RFC 7578): the fields, then the file under the name. The file is streamed.
func (c Call) Multipart(fields []Field, name string, f File) Call {
	var frame bytes.Buffer
	w := multipart.NewWriter(&frame) // a bytes.Buffer does not fail
	for _, field := range fields {
		_ = w.WriteField(field.Name, field.Value)
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, name, FileName(f.Name)))
	h.Set("Content-Type", MediaType(f.MediaType))
	_, _ = w.CreatePart(h)
	head := bytes.Clone(frame.Bytes())
	frame.Reset()
	_ = w.Close()
	tail := bytes.Clone(frame.Bytes())
	c.Type = w.FormDataContentType()
	c.Body = nil
	c.Size = -1
	if f.Size > 0 {
		c.Size = int64(len(head)) + f.Size + int64(len(tail))
	}
	c.Open = func() (io.ReadCloser, error) {
		file, err := f.Open()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), file, bytes.NewReader(tail)), file}, nil
	}
	return c
}

// MediaType neutralises what a stranger may have put into a file's type: without parameters, application/octet-stream
// if it is none.
func MediaType(mediaType string) string {
	parsed, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return "application/octet-stream"
	}
	return parsed
}

// FileName makes a name fit between quotes in a header line, as browsers do (WHATWG HTML, multipart/form-data). It is
// never empty.
func FileName(name string) string {
	name = strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22").Replace(CleanName(name))
	if name == "" {
		return "file"
	}
	return name
}

// Capped lets at most limit bytes of a file through and then fails for good, for media that a provider hands out.
// The reason names the limit.
func Capped(r io.ReadCloser, limit int64) io.ReadCloser { return &capped{r, limit, limit} }

type capped struct {
	io.ReadCloser
	left, limit int64
}

func (c *capped) Read(p []byte) (int, error) {
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.ReadCloser.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, TooBig(c.limit)
	}
	return n, err
}

// TooBig says that a file is larger than limit bytes.
func TooBig(limit int64) *SendError {
	return &SendError{Class: Permanent, Code: "413", Err: fmt.Errorf("the file is larger than %d bytes", limit), Reason: Text{
		DE: fmt.Sprintf("Die Datei ist größer als %d MB.", limit>>20), EN: fmt.Sprintf("The file is larger than %d MB.", limit>>20)}}
}

// Media opens the answer of a GET for a file: 404 and 410 end the attempts, other refusals are tried again. limit is in
// bytes.
func (c Call) Media(ctx context.Context, doer Doer, limit int64) (io.ReadCloser, error) {
	c.Method = http.MethodGet
	resp, err := c.Stream(ctx, doer)
	if err != nil {
		var se *SendError
		if errors.As(err, &se) && se.Class == Unknown {
			se.Class = Temporary // fetching twice harms nobody
		}
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		if resp.ContentLength > limit {
			resp.Body.Close()
			return nil, TooBig(limit)
		}
		return Capped(resp.Body, limit), nil
	}
	resp.Body.Close()
	e := &SendError{Class: Temporary, Code: strconv.Itoa(resp.StatusCode), Err: fmt.Errorf("%s answered %s", c.host(), resp.Status), Reason: Text{
		DE: "Der Anbieter gibt die Datei gerade nicht heraus.", EN: "The provider does not hand the file out now."}}
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		e.Class, e.Reason = Permanent, Text{DE: "Die Datei gibt es beim Anbieter nicht mehr.", EN: "The file does not exist at the provider any more."}
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Class, e.Reason = Misconfig, Text{DE: "Der Anbieter lässt uns die Datei nicht holen: Prüfen Sie die Zugangsdaten.", EN: "The provider does not let us fetch the file: check the credentials."}
	}
	return nil, e
}
