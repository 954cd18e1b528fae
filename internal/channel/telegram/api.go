package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// apiError is an answer of the Bot API with "ok": false.
type apiError struct {
	Code        int
	Description string
	RetryAfter  time.Duration
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Description) }

// transportError is a call that got no answer of the Bot API. Sent tells whether the request may have reached it.
type transportError struct {
	Sent bool
	Err  error
}

func (e *transportError) Error() string { return e.Err.Error() }
func (e *transportError) Unwrap() error { return e.Err }

// answer is the envelope of every answer (Bot API, "Making requests").
type answer struct {
	OK          *bool           `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int64 `json:"retry_after"`
	} `json:"parameters"`
}

// answerMax is the longest answer that is read: getUpdates brings 100 updates of some kilobytes.
const answerMax = 16 << 20

// bot calls the Bot API for one account.
type bot struct {
	base  string // https://api.telegram.org
	token string
	http  channel.Doer
}

func newBot(a channel.Account, env channel.Env) bot {
	return bot{
		base:  strings.TrimRight(a.Settings.Or("api_url", "https://api.telegram.org"), "/"),
		token: a.Settings["token"],
		http:  env.HTTP,
	}
}

// call sends parameters as JSON and reads the result into result (nil: not of interest).
func (b bot) call(ctx context.Context, method string, parameters, result any) error {
	body, err := json.Marshal(parameters)
	if err != nil {
		return &transportError{Err: fmt.Errorf("write parameters of %s: %w", method, err)}
	}
	return b.post(ctx, method, payload{
		mediaType: "application/json",
		size:      int64(len(body)),
		open:      func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}, result)
}

// payload is the body of a request, opened again where the HTTP client has to start anew.
type payload struct {
	mediaType string
	size      int64 // -1: unknown
	open      func() (io.ReadCloser, error)
}

// post sends one request and reads its answer. Its error is an *apiError or a *transportError and never shows the
// token, which is part of the URL.
func (b bot) post(ctx context.Context, method string, p payload, result any) error {
	var wanted, connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	body, err := p.open()
	if err != nil {
		return &transportError{Err: err}
	}
	w := &watched{ReadCloser: body}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.base+"/bot"+b.token+"/"+method, w)
	if err != nil {
		body.Close()
		return &transportError{Err: fmt.Errorf("call %s: %w", method, b.clean(err))}
	}
	r.ContentLength = p.size
	r.Header.Set("Content-Type", p.mediaType)
	r.GetBody = func() (io.ReadCloser, error) { return p.open() }
	resp, err := b.http.Do(r)
	if err != nil {
		// Once there is a connection (with TLS), no error proves that the request did not arrive, except that its
		// body was never finished because our own file failed.
		unsent := wanted.Load() && !connected.Load() || !connected.Load() && dialing(err) || w.failed.Load()
		return &transportError{Sent: !unsent, Err: fmt.Errorf("call %s: %w", method, b.clean(err))}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return &transportError{Sent: true, Err: fmt.Errorf("read answer of %s: %w", method, b.clean(err))}
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil || a.OK == nil {
		if resp.StatusCode >= 400 && resp.StatusCode < 500 {
			return &apiError{Code: notTelegram, Description: fmt.Sprintf("%s is not a Bot API server: it answered %s to %s", b.base, resp.Status, method)}
		}
		return &transportError{Sent: true, Err: fmt.Errorf("call %s: answer %s is not the Bot API's", method, resp.Status)}
	}
	if !*a.OK {
		code := a.Code
		if code == 0 {
			code = resp.StatusCode
		}
		return &apiError{
			Code:        code,
			Description: a.Description,
			RetryAfter:  time.Duration(min(max(a.Parameters.RetryAfter, 0), 24*3600)) * time.Second,
		}
	}
	if result != nil {
		if err := json.Unmarshal(a.Result, result); err != nil {
			return &transportError{Sent: true, Err: fmt.Errorf("read result of %s: %w", method, err)}
		}
	}
	return nil
}

// notTelegram is the code of an apiError for a 4xx answer that the Bot API did not write.
const notTelegram = -1

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

// dialing reports whether a connection could not even be made: nothing was sent.
func dialing(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// clean takes the URL, and with it the token, out of an error.
func (b bot) clean(err error) error {
	if ue, ok := err.(*url.Error); ok { //nolint:errorlint // of http.Client, outermost; a wrapped one is found by the token below
		err = ue.Err
	}
	if b.token != "" && strings.Contains(err.Error(), b.token) {
		return &cleaned{text: strings.ReplaceAll(err.Error(), b.token, "<token>"), err: err}
	}
	return err
}

// cleaned is an error that reads without the token and still is what it was.
type cleaned struct {
	text string
	err  error
}

func (c *cleaned) Error() string { return c.text }
func (c *cleaned) Unwrap() error { return c.err }

// open fetches a file that getFile named.
func (b bot) open(ctx context.Context, path string) (*http.Response, error) {
	u := b.base + "/file/bot" + b.token + "/" + (&url.URL{Path: path}).EscapedPath()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, b.clean(err)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		return nil, b.clean(err)
	}
	return resp, nil
}
