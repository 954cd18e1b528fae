package telegram

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
	return b.post(ctx, method, channel.JSON("", parameters), result)
}

// callTimeout is longer than any caller's own limit: the context is what ends a call.
const callTimeout = uploadTimeout + time.Minute

// post sends one request and reads its answer. Its error is an *apiError, or a *channel.SendError where no answer of the
// Bot API came; it never shows the token, which is part of the URL.
func (b bot) post(ctx context.Context, method string, c channel.Call, result any) error {
	c.URL, c.Secrets, c.Max, c.Timeout = b.base+"/bot"+b.token+"/"+method, []string{b.token}, answerMax, callTimeout
	got, err := c.Do(ctx, b.http)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	var a answer
	if err := json.Unmarshal(got.Body, &a); err != nil || a.OK == nil {
		if got.Status >= 400 && got.Status < 500 {
			return &apiError{Code: notTelegram, Description: fmt.Sprintf("%s is not a Bot API server: it answered %d %s to %s", b.base, got.Status, http.StatusText(got.Status), method)}
		}
		return channel.Uncertainly(fmt.Errorf("call %s: answer %d is not the Bot API's", method, got.Status))
	}
	if !*a.OK {
		code := a.Code
		if code == 0 {
			code = got.Status
		}
		return &apiError{
			Code:        code,
			Description: a.Description,
			RetryAfter:  time.Duration(min(max(a.Parameters.RetryAfter, 0), 24*3600)) * time.Second,
		}
	}
	if result != nil {
		if err := json.Unmarshal(a.Result, result); err != nil {
			return channel.Uncertainly(fmt.Errorf("read result of %s: %w", method, err))
		}
	}
	return nil
}

// notTelegram is the code of an apiError for a 4xx answer that the Bot API did not write.
const notTelegram = -1

// open fetches a file that getFile named.
func (b bot) open(ctx context.Context, path string) (*http.Response, error) {
	c := channel.Call{Method: http.MethodGet, URL: b.base + "/file/bot" + b.token + "/" + (&url.URL{Path: path}).EscapedPath(), Secrets: []string{b.token}}
	return c.Stream(ctx, b.http)
}
