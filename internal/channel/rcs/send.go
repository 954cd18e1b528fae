package rcs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// mediaTypes are those that the platform takes ("files.create"); it looks at the Content-Type alone.
var mediaTypes = []string{
	"image/jpeg", "image/jpg", "image/gif", "image/png",
	"audio/aac", "audio/mp3", "audio/mpeg", "audio/mpg", "audio/mp4", "audio/mp4-latm", "audio/3gpp", "application/ogg", "audio/ogg",
	"video/h263", "video/m4v", "video/mp4", "video/mpeg", "video/mpeg4", "video/webm",
	"application/pdf",
}

// message is an AgentMessage.
type message struct {
	Content agentContent `json:"contentMessage"`
}

type agentContent struct {
	Text        string       `json:"text,omitempty"`
	File        *uploaded    `json:"uploadedRbmFile,omitempty"`
	Suggestions []suggestion `json:"suggestions,omitempty"`
}

type uploaded struct {
	Name string `json:"fileName"`
}

type suggestion struct {
	Reply struct {
		Text string `json:"text"`
		Data string `json:"postbackData"`
	} `json:"reply"`
}

// Send implements channel.Sender. Ids come from the delivery's, so that a second attempt is the same message.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	if !numberForm.MatchString(out.To.Value) {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%q is no phone number in international form", out.To.Value), Reason: channel.Text{
			DE: "Die Adresse ist keine Rufnummer.", EN: "The address is no phone number."}}
	}
	for _, f := range out.Attachments {
		if !slices.Contains(mediaTypes, channel.MediaType(f.MediaType)) {
			return channel.Receipt{}, &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("files of type %s", channel.MediaType(f.MediaType)), Reason: channel.Text{
				DE: "RCS nimmt nur Bilder (JPEG, PNG, GIF), Ton, Video und PDF an.", EN: "RCS takes only pictures (JPEG, PNG, GIF), audio, video and PDF."}}
		}
	}
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	n := 0
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		id, err := send(ctx, a, out.To.Value, messageID(out.DeliveryID, n), p, env)
		if err == nil {
			n++ // parts go one after the other
		}
		return id, err
	})
}

// ExternalID implements channel.Identifier: the id is ours.
func (Driver) ExternalID(_ channel.Account, out channel.Outgoing) string {
	return messageID(out.DeliveryID, 0)
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// messageID is a part's id, which has to be a UUID ("phones.agentMessages.create"): the delivery's own for the first part,
// one made of it (RFC 9562 §5.8) for the others.
func messageID(deliveryID string, part int) string {
	if id := strings.ToLower(deliveryID); part == 0 && uuidForm.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte("rufweite rcs " + deliveryID + " " + strconv.Itoa(part)))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func send(ctx context.Context, a channel.Account, to, id string, p channel.Part, env channel.Env) (string, error) {
	var m message
	m.Content.Text = p.Text
	if p.File != nil {
		name, err := upload(ctx, a, *p.File, env)
		if err != nil {
			return "", err
		}
		m.Content.Text, m.Content.File = "", &uploaded{name}
	}
	for _, c := range p.Choices {
		var s suggestion
		s.Reply.Text, s.Reply.Data = c.Label, c.Data
		m.Content.Suggestions = append(m.Content.Suggestions, s)
	}
	base, _ := apiURL(a)
	query := url.Values{"messageId": {id}, "agentId": {agentID(a)}}
	answer, err := authorized(ctx, a, channel.JSON(base+"/v1/phones/"+to+"/agentMessages?"+query.Encode(), m), env)
	if err != nil {
		return "", err
	}
	if !answer.OK() {
		failure := refusal(answer)
		if failure.Code == "ALREADY_EXISTS" {
			return id, nil // an earlier attempt arrived
		}
		return "", failure
	}
	var body struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(answer.Body, &body) != nil || body.Name == "" {
		return "", channel.Unexpected(answer, "send a message")
	}
	return id, nil
}

// upload hands a file to the platform, which keeps it for 60 days under the name that it gives ("files.create").
func upload(ctx context.Context, a channel.Account, f channel.File, env channel.Env) (string, error) {
	base, _ := apiURL(a)
	size := f.Size
	if size <= 0 {
		size = -1
	}
	answer, err := authorized(ctx, a, channel.Call{URL: base + "/upload/v1/files?" + url.Values{"agentId": {agentID(a)}}.Encode(),
		Type: channel.MediaType(f.MediaType), Open: f.Open, Size: size, Timeout: 5 * time.Minute}, env)
	if err != nil {
		return "", fileNotYet(err)
	}
	if !answer.OK() {
		return "", fileNotYet(refusal(answer))
	}
	var body struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(answer.Body, &body) != nil || body.Name == "" {
		return "", fileNotYet(channel.Unexpected(answer, "upload a file"))
	}
	return body.Name, nil
}

// fileNotYet is notYet for files: an upload is no message.
func fileNotYet(err error) error {
	var e *channel.SendError
	if errors.As(err, &e) && e.Class == channel.Unknown {
		return &channel.SendError{Class: channel.Temporary, Code: e.Code, Err: e.Err, Reason: channel.Text{
			DE: "Google nimmt die Datei gerade nicht an; es wird erneut versucht.", EN: "Google does not take the file now; it is tried again."}}
	}
	if errors.As(err, &e) && e.Class == channel.NotHere {
		e.Class = channel.Misconfig
	}
	return err
}

// authorized sends a call with an access token, once more with a new one where the platform does not take it any more.
func authorized(ctx context.Context, a channel.Account, c channel.Call, env channel.Env) (channel.Answer, error) {
	for try := 1; ; try++ {
		t, err := token(ctx, a, env)
		if err != nil {
			return channel.Answer{}, err
		}
		answer, err := c.Bearer(t).Do(ctx, env.HTTP)
		if err != nil || answer.Status != http.StatusUnauthorized {
			return answer, err
		}
		forget(a, t)
		if try > 1 {
			return answer, nil
		}
	}
}

// refusal is what an answer that is no success means ("Send messages", Google's error model AIP-193).
func refusal(answer channel.Answer) *channel.SendError {
	var body struct {
		Error struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Status  string `json:"status"`
		} `json:"error"`
	}
	if json.Unmarshal(answer.Body, &body) != nil || body.Error.Code == 0 {
		return channel.Unexpected(answer, "call the RCS API")
	}
	code := body.Error.Status
	if code == "" {
		code = strconv.Itoa(answer.Status)
	}
	e := &channel.SendError{Class: channel.Permanent, Code: code, Err: errors.New(channel.CleanName(body.Error.Message)), Reason: channel.Text{
		DE: "Google hat die Nachricht abgelehnt.", EN: "Google has refused the message."}}
	switch {
	case code == "ALREADY_EXISTS" || answer.Status == http.StatusConflict:
		e.Code = "ALREADY_EXISTS"
	case answer.Status == http.StatusNotFound:
		// "Send messages": no RCS on this phone, or the agent is not launched at its network.
		e.Class, e.Reason = channel.NotHere, channel.Text{DE: "Diese Rufnummer ist über RCS nicht erreichbar.", EN: "This number cannot be reached over RCS."}
	case answer.Status == http.StatusUnauthorized:
		e.Class, e.Reason = channel.Misconfig, channel.Text{DE: "Google nimmt das Dienstkonto nicht an: Prüfen Sie service_account.", EN: "Google does not accept the service account: check service_account."}
	case answer.Status == http.StatusForbidden:
		e.Class, e.Reason = channel.Misconfig, channel.Text{
			DE: "Das Dienstkonto darf für diesen Agenten nicht senden: Prüfen Sie agent_id, oder laden Sie die Rufnummer als Tester ein, solange der Agent nicht freigeschaltet ist.",
			EN: "The service account may not send for this agent: check agent_id, or invite the number as a tester while the agent is not launched."}
	case answer.Status == http.StatusTooManyRequests:
		e.Class, e.RetryAfter, e.Reason = channel.RateLimited, answer.RetryAfter(), channel.Text{DE: "Google bremst: zu viele Nachrichten.", EN: "Google slows us down: too many messages."}
		if e.RetryAfter == 0 {
			e.RetryAfter = 10 * time.Second
		}
	case answer.Status == http.StatusRequestEntityTooLarge:
		e.Reason = channel.Text{DE: "Die Nachricht oder ihre Datei ist zu groß.", EN: "The message or its file is too large."}
	case answer.Status >= 500:
		return &channel.SendError{Class: channel.Unknown, Code: code, Err: e.Err, Reason: channel.Uncertainly(nil).Reason}
	}
	return e
}

// FetchMedia implements channel.Fetcher. The file's address carries its own permission; our token stays here.
func (Driver) FetchMedia(ctx context.Context, _ channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	if !isWeb(remote) {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("the file has no address"), Reason: channel.Text{
			DE: "Die Datei gibt es beim Anbieter nicht mehr.", EN: "The file does not exist at the provider any more."}}
	}
	return channel.Call{URL: remote}.Media(ctx, env.HTTP, downloadMax)
}

// probeNumber is one of those that the Bundesnetzagentur keeps for films: nobody has it, so asking harms nobody.
const probeNumber = "+493023125000"

// Probe implements channel.Prober: it asks what a number nobody has can do, which needs a right account and agent.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	base, _ := apiURL(a)
	query := url.Values{"requestId": {messageID("probe "+env.Now().String(), 1)}, "agentId": {agentID(a)}}
	answer, err := authorized(ctx, a, channel.Call{Method: http.MethodGet, URL: base + "/v1/phones/" + probeNumber + "/capabilities?" + query.Encode()}, env)
	if err == nil {
		if answer.OK() {
			return nil
		}
		failure := refusal(answer)
		if failure.Class == channel.NotHere || failure.Class == channel.RateLimited {
			return nil
		}
		err = failure
	}
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Reason.EN != "" {
		return &channel.Trouble{Reason: failure.Reason, Err: err, Remedy: channel.Text{
			DE: "Prüfen Sie service_account, agent_id und api_url (die Region des Agenten) in der Developer Console.",
			EN: "Check service_account, agent_id and api_url (the agent's region) in the Developer Console.",
		}}
	}
	return err
}
