package vonage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

type outgoing struct {
	Type      string  `json:"message_type"`
	Channel   string  `json:"channel"`
	To        string  `json:"to"`
	From      string  `json:"from"`
	Text      string  `json:"text"`
	ClientRef string  `json:"client_ref,omitempty"`
	SMS       options `json:"sms"`
}

type options struct {
	Encoding string `json:"encoding_type"`
}

// Send implements channel.Sender ("Messages API", POST /v1/messages). Numbers go without "+".
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	if !sms.ParseParty(out.To.Value, "").Answerable() {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: errors.New("the recipient is no number"), Reason: channel.Text{
			DE: "An diesen Absender kann man nicht antworten: Er ist ein Name und keine Nummer.", EN: "This sender cannot be answered: it is a name, not a number."}}
	}
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	n := 0
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		n++
		call := channel.JSON(strings.TrimRight(a.Settings.Or("api_url", apiURL), "/")+"/v1/messages", outgoing{
			Type: "text", Channel: "sms", To: strings.TrimPrefix(out.To.Value, "+"), From: strings.TrimPrefix(a.Settings["from"], "+"), Text: p.Text,
			ClientRef: out.DeliveryID, SMS: options{"auto"}})
		call, err := authorized(call, a.Settings, env.Now(), fmt.Sprintf("%s-%d-%d", out.DeliveryID, n, env.Now().UnixNano()))
		if err != nil {
			return "", err
		}
		answer, err := call.Do(ctx, env.HTTP)
		if err != nil {
			return "", err
		}
		if !answer.OK() {
			return "", refused(answer)
		}
		var accepted struct {
			ID string `json:"message_uuid"`
		}
		if json.Unmarshal(answer.Body, &accepted) != nil || accepted.ID == "" {
			return "", channel.Unexpected(answer, "Vonage, send")
		}
		return accepted.ID, nil
	})
}

func text(de, en string) channel.Text { return channel.Text{DE: de, EN: en} }

type meaning struct{ reason channel.Text }

var (
	badNumber   = text("Diese Nummer ist nicht per SMS erreichbar.", "This number cannot be reached by SMS.")
	badSender   = text("Der Absender (from) ist dort oder in diesem Konto nicht erlaubt.", "The sender (from) is not allowed there or in this account.")
	noCredit    = text("Das Guthaben bei Vonage reicht nicht.", "The credit at Vonage is not sufficient.")
	credentials = text("Die Zugangsdaten von Vonage sind falsch.", "The credentials of Vonage are wrong.")
	tooFast     = text("Vonage nimmt gerade nicht mehr an; es wird erneut versucht.", "Vonage accepts no more for the moment; it is tried again.")
)

// codes are the errors in statuses ("API errors", Messages API). The same numbers mean other things in answers.
var codes = map[string]meaning{
	"1000": {tooFast},
	"1010": {text("Vonage vermisst Angaben zur Nachricht.", "Vonage misses details of the message.")},
	"1020": {text("Vonage hält eine Angabe zur Nachricht für ungültig.", "Vonage finds a detail of the message invalid.")},
	"1030": {text("Bei Vonage trat ein Fehler auf.", "An error occurred at Vonage.")},
	"1040": {badNumber},
	"1050": {text("Diese Nummer ist für unsere Nachrichten gesperrt.", "This number is barred from our messages.")},
	"1060": {text("Das Vonage-Konto ist gesperrt.", "The Vonage account is barred.")},
	"1070": {noCredit},
	"1080": {text("Das Vonage-Konto ist für diese Schnittstelle nicht freigeschaltet.", "The Vonage account is not enabled for this API.")},
	"1090": {text("Die Nachricht ist zu lang.", "The message is too long.")},
	"1100": {text("Vonage erreichte das Netz nicht.", "Vonage did not reach the network.")},
	"1120": {badSender},
}

// refused makes an error of the API's answer (RFC 7807).
func refused(answer channel.Answer) *channel.SendError {
	var p problem
	isAPI := json.Unmarshal(answer.Body, &p) == nil && p.Type != ""
	err := fmt.Errorf("Vonage, send: status %d: %s", answer.Status, p.Detail)
	code := p.code()
	if code == "" {
		code = fmt.Sprint(answer.Status)
	}
	switch {
	case answer.Status == http.StatusTooManyRequests:
		return &channel.SendError{Class: channel.RateLimited, Code: code, RetryAfter: max(answer.RetryAfter(), time.Second), Reason: tooFast, Err: err}
	case answer.Status >= 500: // nothing says that a 5xx means "not accepted"
		return channel.Uncertainly(err)
	case answer.Status == http.StatusUnauthorized:
		return &channel.SendError{Class: channel.Misconfig, Code: code, Reason: credentials, Err: err}
	case !isAPI:
		return channel.Unexpected(answer, "Vonage, send")
	case answer.Status == http.StatusPaymentRequired:
		return &channel.SendError{Class: channel.Misconfig, Code: code, Reason: noCredit, Err: err}
	case answer.Status == http.StatusForbidden || answer.Status == http.StatusNotFound:
		return &channel.SendError{Class: channel.Misconfig, Code: code, Err: err, Reason: text(
			"Das Vonage-Konto darf so nicht senden: "+channel.CleanName(p.Detail), "The Vonage account may not send like this: "+channel.CleanName(p.Detail))}
	}
	// 422: the words name the parameter ("The `to` parameter is invalid for the given channel.").
	about := p.Detail
	for _, i := range p.Params {
		about += " `" + i.Name + "`"
	}
	switch {
	case strings.Contains(about, "`to`") || code == "1430":
		return &channel.SendError{Class: channel.NotHere, Code: code, Reason: badNumber, Err: err}
	case strings.Contains(about, "`from`") || code == "1120":
		return &channel.SendError{Class: channel.Misconfig, Code: code, Reason: badSender, Err: err}
	}
	return &channel.SendError{Class: channel.Permanent, Code: code, Err: err, Reason: text(
		"Vonage hat die Nachricht abgelehnt: "+channel.CleanName(p.Detail), "Vonage refused the message: "+channel.CleanName(p.Detail))}
}

// FetchMedia implements channel.Fetcher for MMS. Only Vonage's own hosts get our credentials and are asked at all.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	u, err := url.Parse(remote)
	api, apiErr := url.Parse(a.Settings.Or("api_url", apiURL))
	if err != nil || apiErr != nil || u.User != nil || !(u.Scheme == api.Scheme && u.Host == api.Host ||
		u.Scheme == "https" && u.Port() == "" && (strings.HasSuffix(u.Host, ".nexmo.com") || strings.HasSuffix(u.Host, ".vonage.com"))) {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("the media are not at Vonage"), Reason: channel.Text{
			DE: "Die Datei liegt nicht bei Vonage und wird nicht geholt.", EN: "The file is not at Vonage and is not fetched."}}
	}
	call, err := authorized(channel.Call{URL: remote}, a.Settings, env.Now(), fmt.Sprint("media-", env.Now().UnixNano()))
	if err != nil {
		return nil, err
	}
	return call.Media(ctx, env.HTTP, mediaMax)
}
