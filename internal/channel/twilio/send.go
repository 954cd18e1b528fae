package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

// Send implements channel.Sender ("Message resource", create). Texts of up to 1600 characters are one message of Twilio's,
// which splits them into segments itself.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	to := out.To.Value
	if !sms.ParseParty(to, "").Answerable() {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: errors.New("the recipient is no number"), Reason: channel.Text{
			DE: "An diesen Absender kann man nicht antworten: Er ist ein Name und keine Nummer.", EN: "This sender cannot be answered: it is a name, not a number."}}
	}
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		form := url.Values{"To": {to}, "Body": {p.Text}}
		if from := a.Settings["from"]; serviceForm.MatchString(from) {
			form.Set("MessagingServiceSid", from)
		} else {
			form.Set("From", from)
		}
		if env.WebhookURL != "" {
			form.Set("StatusCallback", env.WebhookURL)
		}
		header, secrets := authorization(a.Settings)
		call := channel.Call{URL: endpoint(a.Settings, "/Messages.json"), Type: "application/x-www-form-urlencoded", Body: []byte(form.Encode())}
		answer, err := call.With("Authorization", header, secrets...).Do(ctx, env.HTTP)
		if err != nil {
			return "", err
		}
		return accepted(answer)
	})
}

func accepted(answer channel.Answer) (id string, err error) {
	if !answer.OK() {
		return "", refused(answer, "Twilio, create message")
	}
	var m message
	if json.Unmarshal(answer.Body, &m) != nil || m.SID == "" {
		return "", channel.Unexpected(answer, "Twilio, create message")
	}
	return m.SID, nil
}

// refused makes an error of Twilio's ("Twilio's response": code, message, more_info, status).
func refused(answer channel.Answer, what string) *channel.SendError {
	var e struct {
		Code    json.Number `json:"code"`
		Message string      `json:"message"`
		Status  int         `json:"status"`
	}
	isAPI := json.Unmarshal(answer.Body, &e) == nil && e.Status != 0
	switch {
	case answer.Status == http.StatusTooManyRequests || e.Code == "20429":
		code := e.Code.String()
		if code == "" {
			code = "429"
		}
		return &channel.SendError{Class: channel.RateLimited, Code: code, RetryAfter: max(answer.RetryAfter(), time.Second), Reason: tooFast, Err: errors.New(e.Message)}
	case answer.Status >= 500: // nothing says that a 5xx means "not accepted"
		return channel.Uncertainly(fmt.Errorf("%s: status %d", what, answer.Status))
	case answer.Status == http.StatusUnauthorized: // also in front of the API
		return &channel.SendError{Class: channel.Misconfig, Code: "20003", Reason: credentials, Err: errors.New(e.Message)}
	case !isAPI:
		return channel.Unexpected(answer, what)
	}
	se := &channel.SendError{Class: channel.Permanent, Code: e.Code.String(), Err: fmt.Errorf("%s: status %d: %s", what, answer.Status, e.Message), Reason: channel.Text{
		DE: "Twilio hat die Nachricht abgelehnt: " + channel.CleanName(e.Message), EN: "Twilio refused the message: " + channel.CleanName(e.Message)}}
	if m, ok := codes[se.Code]; ok {
		se.Class, se.Reason = m.class, m.reason
	} else if answer.Status == http.StatusForbidden {
		se.Class = channel.Misconfig
	}
	if se.Class == channel.RateLimited {
		se.RetryAfter = max(answer.RetryAfter(), time.Minute) // a full queue, not a fast caller
	}
	return se
}

// message is a message of Twilio's list.
type message struct {
	SID         string      `json:"sid"`
	To          string      `json:"to"`
	Body        string      `json:"body"`
	Status      string      `json:"status"`
	Direction   string      `json:"direction"`
	DateCreated string      `json:"date_created"` // RFC 2822
	ErrorCode   json.Number `json:"error_code"`
}

const (
	pageSize  = 200
	pageLimit = 5
	clockSkew = 2 * time.Minute // between Twilio's clock and ours
)

// Reconcile implements channel.Reconciler: Twilio has no idempotency key, but a list of what it accepted ("Message
// resource", read multiple). A message is ours if it went to that number with that text after the attempt began.
func (d Driver) Reconcile(ctx context.Context, a channel.Account, out channel.Outgoing, attempt channel.Attempt, env channel.Env) (channel.Receipt, channel.State, error) {
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, "", err
	}
	listed, err := d.list(ctx, a, out.To.Value, attempt, env)
	if err != nil {
		return channel.Receipt{}, "", err
	}
	var ids []string
	state := channel.State("")
	for _, p := range parts {
		found := -1
		for i, m := range listed { // oldest first: parts went out in order
			if m.SID != "" && sameText(m.Body, p.Text) {
				found = i
				break
			}
		}
		if found < 0 {
			break
		}
		m := &listed[found]
		ids = append(ids, m.SID)
		state = worse(state, states[m.Status])
		m.SID = "" // two equal parts are two messages
	}
	var receipt channel.Receipt
	if len(ids) > 0 {
		receipt = channel.Receipt{ExternalID: ids[0], Parts: ids[1:], State: channel.Sent}
	}
	if len(ids) < len(parts) {
		return receipt, "", channel.ErrNotListed
	}
	if state == channel.Queued || state == channel.Sending || state == "" {
		state = channel.Sent // Twilio has it: that is all that we call sent
	}
	return receipt, state, nil
}

// worse is the state of a message whose parts have different ones: failed if one failed, else the least advanced.
func worse(a, b channel.State) channel.State {
	order := []channel.State{channel.Failed, channel.Queued, channel.Sending, channel.Sent, channel.Delivered, channel.Read}
	for _, s := range order {
		if a == s || b == s {
			return s
		}
	}
	return b
}

// sameText compares as Twilio keeps texts: Smart Encoding of a messaging service replaces typographic characters.
func sameText(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	return a == b || sms.Plain(a) == sms.Plain(b)
}

// list gives what Twilio accepted for that number around the attempt, oldest first.
func (Driver) list(ctx context.Context, a channel.Account, to string, attempt channel.Attempt, env channel.Env) ([]message, error) {
	header, secrets := authorization(a.Settings)
	// No filter by date: messages that wait have no DateSent yet. The newest come first.
	next := endpoint(a.Settings, "/Messages.json") + "?" + url.Values{"To": {to}, "PageSize": {strconv.Itoa(pageSize)}}.Encode()
	base, _ := url.Parse(next)
	var out []message
	for page := 0; next != "" && page < pageLimit; page++ {
		call := channel.Call{Method: http.MethodGet, URL: next, Max: 8 << 20}
		answer, err := call.With("Authorization", header, secrets...).Do(ctx, env.HTTP)
		if err != nil {
			return nil, err
		}
		if !answer.OK() {
			return nil, refused(answer, "Twilio, list messages")
		}
		var list struct {
			Messages []message `json:"messages"`
			Next     string    `json:"next_page_uri"`
		}
		if err := json.Unmarshal(answer.Body, &list); err != nil || list.Messages == nil {
			return nil, channel.Unexpected(answer, "Twilio, list messages")
		}
		old := false
		for _, m := range list.Messages {
			created, err := time.Parse(time.RFC1123Z, m.DateCreated)
			if err != nil {
				continue
			}
			if created.Before(attempt.Began.Add(-clockSkew)) {
				old = true
				continue
			}
			if !attempt.Ended.IsZero() && created.After(attempt.Ended.Add(clockSkew)) || !strings.HasPrefix(m.Direction, "outbound") || m.To != to ||
				attempt.Taken != nil && attempt.Taken(m.SID) {
				continue
			}
			out = append([]message{m}, out...)
		}
		if next = ""; !old && list.Next != "" {
			if ref, err := url.Parse(list.Next); err == nil && ref.Host == "" && ref.Scheme == "" { // our token goes to no other host
				next = base.ResolveReference(ref).String()
			}
		}
	}
	return out, nil
}

// FetchMedia implements channel.Fetcher. MediaUrl lies below the API and needs its password ("Media resource"); it leads
// on to a file store, which gets none.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	u, err := url.Parse(remote)
	api, apiErr := url.Parse(a.Settings.Or("api_url", apiURL))
	if err != nil || apiErr != nil || u.User != nil || !strings.HasPrefix(u.Path, "/2010-04-01/Accounts/") || strings.Contains(u.Path, "..") ||
		!(u.Scheme == "https" && u.Host == "api.twilio.com" || u.Scheme == api.Scheme && u.Host == api.Host) {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("the media are not at Twilio's API"), Reason: channel.Text{
			DE: "Die Datei liegt nicht bei Twilio und wird nicht geholt.", EN: "The file is not at Twilio and is not fetched."}}
	}
	header, secrets := authorization(a.Settings)
	// Go's client keeps Authorization back when a redirect leads to another host.
	return channel.Call{URL: remote}.With("Authorization", header, secrets...).Media(ctx, env.HTTP, mediaMax)
}

// Probe implements channel.Prober ("Account resource").
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	header, secrets := authorization(a.Settings)
	call := channel.Call{Method: http.MethodGet, URL: endpoint(a.Settings, ".json")}
	answer, err := call.With("Authorization", header, secrets...).Do(ctx, env.HTTP)
	if err != nil {
		return err
	}
	var account struct {
		Status string `json:"status"`
	}
	switch {
	case answer.Status == http.StatusUnauthorized || answer.Status == http.StatusNotFound:
		return &channel.Trouble{Reason: credentials, Remedy: channel.Text{
			DE: "Kopieren Sie Account SID und Auth Token von der Startseite der Twilio Console.", EN: "Copy Account SID and Auth Token from the home page of the Twilio Console."}}
	case !answer.OK():
		return refused(answer, "Twilio, account")
	case json.Unmarshal(answer.Body, &account) != nil || account.Status == "":
		return channel.Unexpected(answer, "Twilio, account")
	case account.Status != "active":
		return &channel.Trouble{Reason: suspended, Remedy: channel.Text{
			DE: "Sehen Sie in der Twilio Console nach Rechnungen und Hinweisen.", EN: "Look for bills and notices in the Twilio Console."}, Err: fmt.Errorf("the account is %s", account.Status)}
	}
	return nil
}
