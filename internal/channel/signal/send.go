package signal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// sendTime is how long the daemon may take to send; files are uploaded in it.
const sendTime = 3 * time.Minute

// sent is the result of "send" (SendMessageResultUtils).
type sent struct {
	Timestamp stamp `json:"timestamp"`
	Results   []struct {
		Address struct {
			UUID   string `json:"uuid"`
			Number string `json:"number"`
		} `json:"recipientAddress"`
		Type       string  `json:"type"`
		Token      string  `json:"token"`
		RetryAfter float64 `json:"retryAfterSeconds"`
	} `json:"results"`
}

// Send implements channel.Sender. Without a key of its own Signal cannot tell a second attempt from a second message, so
// silence after a whole request is uncertain.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		return d.send(ctx, a, out.To, p, env)
	})
}

func (Driver) send(ctx context.Context, a channel.Account, to channel.Address, p channel.Part, env channel.Env) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	params := map[string]any{"account": a.Settings["account"], "recipient": []string{to.Value}, "message": p.Text}
	if author, t, ok := quoted(p.ReplyTo, a.Settings["account"]); ok {
		params["quoteTimestamp"], params["quoteAuthor"] = t, author
	}
	result, written, err := call(ctx, a, env, "send", func(l *link, id string) error { return l.send(id, params, p.File) })
	if err != nil {
		return "", sendError(err, written)
	}
	var s sent
	if err := json.Unmarshal(result, &s); err != nil || !valid(s.Timestamp) {
		return "", channel.Uncertainly(fmt.Errorf("signal-cli answered %.200s", result))
	}
	recipient := to.Value
	for _, r := range s.Results {
		if r.Type != "" && r.Type != "SUCCESS" {
			return "", resultError(s, nil) // older daemons report failures as a result
		}
		switch {
		case r.Address.UUID != "":
			recipient = strings.ToLower(r.Address.UUID)
		case r.Address.Number != "":
			recipient = r.Address.Number
		}
	}
	return ours(recipient, s.Timestamp), nil
}

// quoted takes a message's name apart for quoteTimestamp and quoteAuthor.
func quoted(ref, account string) (author string, t json.Number, ok bool) {
	i := strings.LastIndexByte(ref, ':')
	if i < 0 {
		return "", "", false
	}
	author, t = ref[:i], stamp(ref[i+1:])
	if strings.HasPrefix(author, "to:") {
		author = account
	}
	return author, t, author != "" && valid(t)
}

// fileError is a failure of ours to read a file.
type fileError struct{ error }

func (e fileError) Unwrap() error { return e.error }

// send writes the request. A file goes as a data URI (RFC 2397; signal-cli(1), send --attachment) and is never held whole.
func (l *link) send(id string, params map[string]any, f *channel.File) error {
	if f == nil {
		return l.request(id, "send", params)
	}
	head, err := json.Marshal(params)
	if err != nil {
		return err
	}
	content, err := f.Open()
	if err != nil {
		return fileError{err}
	}
	defer content.Close()
	return l.write(func(w io.Writer) error {
		// The file closes the parameters: {…,"attachments":["data:…;base64,…"]}
		if _, err := fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%q,"method":"send","params":%s,"attachments":["data:%s;filename=%s;base64,`,
			id, head[:len(head)-1], channel.MediaType(f.MediaType), dataName(f.Name)); err != nil {
			return err
		}
		enc := base64.NewEncoder(base64.StdEncoding, w)
		if _, err := io.Copy(enc, source{content}); err != nil {
			return err
		}
		if err := enc.Close(); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\"]}}\n")
		return err
	})
}

// source marks errors of reading as ours.
type source struct{ io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fileError{err}
	}
	return n, err
}

// dataName makes a file name fit into a data URI inside of JSON.
func dataName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`;,:"\/%`, r) {
			return '_'
		}
		return r
	}, channel.CleanName(name))
	if name == "" {
		return "file"
	}
	return name
}

// Codes of errors (SignalJsonRpcCommandHandler; -32xxx are JSON-RPC 2.0's own).
const (
	userError      = -1
	ioError        = -3
	untrustedError = -4
	rateLimitError = -5
	captchaError   = -6
	invalidRequest = -32600
	noMethod       = -32601
	invalidParams  = -32602
	internalError  = -32603
)

// sendError says what may be done about a failed send.
func sendError(err error, written bool) *channel.SendError {
	var answered *rpcError
	if errors.As(err, &answered) {
		return refused(answered)
	}
	var file fileError
	if errors.As(err, &file) {
		return &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{DE: "Die Datei konnte nicht gelesen werden.", EN: "The file could not be read."}}
	}
	if written {
		return channel.Uncertainly(err)
	}
	if t := unreachable(err); t.Reason == notAllowed {
		return &channel.SendError{Class: channel.Misconfig, Err: err, Reason: t.Reason}
	}
	return &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{
		DE: "Der Dienst signal-cli ist nicht erreichbar; es wird weiter versucht.", EN: "The signal-cli daemon cannot be reached; it keeps trying."}}
}

// refused says what an answered error means.
func refused(e *rpcError) *channel.SendError {
	if len(e.Data.Response.Results) > 0 {
		return resultError(e.Data.Response, e)
	}
	says := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(strings.ToLower(e.Message), p) {
				return true
			}
		}
		return false
	}
	s := &channel.SendError{Code: strconv.Itoa(e.Code), Err: e}
	set := func(c channel.Class, de, en string) *channel.SendError {
		s.Class, s.Reason = c, channel.Text{DE: de, EN: en}
		return s
	}
	switch {
	case e.Code == rateLimitError, e.Code == captchaError:
		s.RetryAfter = 5 * time.Minute
		return set(channel.RateLimited, "Signal bremst dieses Konto; vielleicht verlangt es ein Captcha (signal-cli submitRateLimitChallenge).",
			"Signal slows this account down; it may want a captcha (signal-cli submitRateLimitChallenge).")
	case e.Code == untrustedError:
		return untrusted(s)
	case e.Code == invalidParams && says("account"), e.Code == userError && says("specified account"), e.Code == noMethod, says("authorizationfailed", "authorization failed"):
		return set(channel.Misconfig, "Der Dienst signal-cli kennt dieses Konto nicht (mehr).", "The signal-cli daemon does not know this account (any more).")
	case e.Code == userError && says("not registered", "unregistered"):
		return set(channel.NotHere, "Diese Nummer ist nicht bei Signal.", "This number is not on Signal.")
	case e.Code == userError && says("invalid phone number", "invalid uuid", "invalid identifier", "invalidnumber"):
		return set(channel.NotHere, "Das ist keine Adresse bei Signal.", "This is no address on Signal.")
	case e.Code == userError, e.Code == invalidRequest, e.Code == invalidParams, says("attachmentinvalid"):
		return set(channel.Permanent, "Signal nimmt die Nachricht nicht an: "+e.Message, "Signal does not accept the message: "+e.Message)
	case says("unknownhost", "connectexception", "noroutetohost"): // SendCommand names the exception: nothing left the machine
		return set(channel.Temporary, "Der Dienst signal-cli erreicht Signal nicht.", "The signal-cli daemon does not reach Signal.")
	}
	u := channel.Uncertainly(e) // ioError, internalError: it may have been sent before it failed
	u.Code = s.Code
	return u
}

func untrusted(s *channel.SendError) *channel.SendError {
	s.Class = channel.Permanent
	s.Reason = channel.Text{
		DE: "Die Sicherheitsnummer des Kunden hat sich geändert. Prüfen Sie sie und bestätigen Sie sie mit: signal-cli trust.",
		EN: "The customer's safety number has changed. Check it and confirm it with: signal-cli trust.",
	}
	return s
}

// resultError says what the results of a send mean, of which there is one per recipient: here one.
func resultError(r sent, cause error) *channel.SendError {
	first := r.Results[0]
	for _, x := range r.Results {
		if x.Type != "SUCCESS" && x.Type != "" {
			first = x
			break
		}
	}
	if cause == nil {
		cause = errors.New("signal-cli: " + first.Type)
	}
	s := &channel.SendError{Code: first.Type, Err: cause}
	switch first.Type { // JsonSendMessageResult.Type
	case "UNREGISTERED_FAILURE":
		s.Class, s.Reason = channel.NotHere, channel.Text{DE: "Diese Nummer ist nicht bei Signal.", EN: "This number is not on Signal."}
	case "IDENTITY_FAILURE":
		return untrusted(s)
	case "RATE_LIMIT_FAILURE":
		s.Class, s.RetryAfter = channel.RateLimited, 5*time.Minute
		if first.RetryAfter > 0 {
			s.RetryAfter = time.Duration(min(first.RetryAfter, 24*3600) * float64(time.Second))
		}
		s.Reason = channel.Text{DE: "Signal bremst dieses Konto.", EN: "Signal slows this account down."}
		if first.Token != "" {
			s.Reason = channel.Text{
				DE: "Signal verlangt ein Captcha: signal-cli submitRateLimitChallenge (https://signalcaptchas.org/challenge/generate.html), oder warten.",
				EN: "Signal wants a captcha: signal-cli submitRateLimitChallenge (https://signalcaptchas.org/challenge/generate.html), or wait.",
			}
		}
	case "INVALID_PRE_KEY_FAILURE":
		s.Class, s.Reason = channel.Temporary, channel.Text{DE: "Das Gerät des Kunden hat gerade keinen gültigen Schlüssel.", EN: "The customer's device has no valid key now."}
	default: // NETWORK_FAILURE: the connection may have broken after the server took it
		u := channel.Uncertainly(cause)
		u.Code = first.Type
		return u
	}
	return s
}

// FetchMedia implements channel.Fetcher: getAttachment gives the file in base64 from the daemon's disk.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	params := map[string]any{"account": a.Settings["account"], "id": remote}
	result, _, err := call(ctx, a, env, "getAttachment", func(l *link, id string) error { return l.request(id, "getAttachment", params) })
	gone := channel.Text{DE: "Der Dienst signal-cli hat die Datei nicht (mehr).", EN: "The signal-cli daemon does not have the file (any more)."}
	var answered *rpcError
	switch {
	case errors.As(err, &answered) && (answered.Code == internalError || answered.Code == userError || answered.Code == -2):
		return nil, &channel.SendError{Class: channel.Permanent, Code: strconv.Itoa(answered.Code), Err: err, Reason: gone}
	case err != nil:
		e := sendError(err, false)
		if e.Class == channel.Unknown {
			e.Class = channel.Temporary // asking twice harms nobody
		}
		return nil, e
	}
	var file struct {
		Data *string `json:"data"`
	}
	if err := json.Unmarshal(result, &file); err != nil || file.Data == nil {
		return nil, &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("getAttachment gave no data (%w)", err), Reason: gone}
	}
	body := base64.NewDecoder(base64.StdEncoding, strings.NewReader(*file.Data))
	return channel.Capped(io.NopCloser(body), fileMax+5<<20), nil
}

var notAllowed = channel.Text{DE: "Der Server darf die Adresse unter rpc_address nicht erreichen.", EN: "The server is not allowed to reach the address in rpc_address."}

// unreachable says what a person can do about a daemon that cannot be reached.
func unreachable(err error) *channel.Trouble {
	var barred interface{ NotSent() bool } // fetch.ErrForbidden, which this package must not import
	if errors.As(err, &barred) && barred.NotSent() {
		return &channel.Trouble{Reason: notAllowed, Err: err, Remedy: channel.Text{
			DE: "Läuft signal-cli auf demselben Rechner, nehmen Sie seinen Socket (unix:/…); sonst starten Sie den Server mit --allow-private-targets.",
			EN: "If signal-cli runs on the same machine, use its socket (unix:/…); otherwise start the server with --allow-private-targets.",
		}}
	}
	return &channel.Trouble{Err: err,
		Reason: channel.Text{DE: "Der Dienst signal-cli ist nicht erreichbar.", EN: "The signal-cli daemon cannot be reached."},
		Remedy: channel.Text{
			DE: "Läuft er, mit --receive-mode=manual, und stimmt rpc_address? Es wird weiter versucht.",
			EN: "Does it run, with --receive-mode=manual, and is rpc_address right? It keeps trying.",
		}}
}
