package messenger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

func endpoint(a channel.Account, path string) string {
	return strings.TrimRight(a.Settings.Or("api_url", defaultAPI), "/") + "/" + version + "/" + path
}

type idOnly struct {
	ID string `json:"id"`
}

// outbound is the body of POST /me/messages ("Send API").
type outbound struct {
	Recipient idOnly      `json:"recipient"`
	Type      string      `json:"messaging_type"`
	Tag       string      `json:"tag,omitempty"`
	Message   outMessage  `json:"message"`
	ReplyTo   *outReplyTo `json:"reply_to,omitempty"`
}

type outReplyTo struct {
	MID string `json:"mid"`
}

type outMessage struct {
	Text         string         `json:"text,omitempty"`
	Attachment   *outAttachment `json:"attachment,omitempty"`
	QuickReplies []quickReply   `json:"quick_replies,omitempty"`
	Metadata     string         `json:"metadata,omitempty"`
}

type outAttachment struct {
	Type    string     `json:"type"`
	Payload outPayload `json:"payload"`
}

type outPayload struct {
	AttachmentID string `json:"attachment_id,omitempty"`
	Reusable     bool   `json:"is_reusable,omitempty"`
}

type quickReply struct {
	Type    string `json:"content_type"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// Send implements channel.Sender.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	kinds := map[*channel.File]string{}
	for _, p := range parts {
		if p.File == nil {
			continue
		}
		if kinds[p.File], err = d.kindOf(*p.File); err != nil {
			return channel.Receipt{}, err
		}
	}
	sent := 0
	uploaded := map[*channel.File]string{} // a part that is tried again is not uploaded again
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		body := outbound{Recipient: idOnly{out.To.Value}, Type: "RESPONSE", Message: outMessage{Text: p.Text}}
		if p.ReplyTo != "" {
			body.ReplyTo = &outReplyTo{p.ReplyTo}
		}
		for _, c := range p.Choices {
			body.Message.QuickReplies = append(body.Message.QuickReplies, quickReply{"text", c.Label, c.Data})
		}
		// An echo of the last part proves that all of the message arrived; one of an earlier part does not.
		if last := sent == len(parts)-1; !d.instagram && last && out.DeliveryID != "" {
			body.Message.Metadata = echoed + out.DeliveryID
		}
		if p.File != nil {
			if uploaded[p.File] == "" {
				id, err := d.upload(ctx, a, *p.File, kinds[p.File], env)
				if err != nil {
					return "", err
				}
				uploaded[p.File] = id
				if env.Next != nil {
					if err := env.Next(ctx); err != nil {
						return "", &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{DE: "Das Senden wurde unterbrochen.", EN: "Sending was interrupted."}}
					}
				}
			}
			body.Message.Attachment = &outAttachment{Type: kinds[p.File], Payload: outPayload{AttachmentID: uploaded[p.File]}}
		}
		id, err := d.post(ctx, a, body, env)
		var failure *channel.SendError
		if errors.As(err, &failure) && failure.Class == channel.WindowClosed && out.Author == channel.Staff && !out.Automatic {
			id, err = d.asHuman(ctx, a, body, env, failure)
		}
		if err == nil {
			sent++
		}
		return id, err
	})
}

// asHuman sends again what a person wrote: for seven days after the customer's last message that is allowed with this tag,
// if the app has the feature ("Message tags": HUMAN_AGENT). Nothing was accepted before.
func (d Driver) asHuman(ctx context.Context, a channel.Account, body outbound, env channel.Env, closed *channel.SendError) (string, error) {
	if env.Next != nil {
		if err := env.Next(ctx); err != nil {
			return "", closed
		}
	}
	body.Type, body.Tag = "MESSAGE_TAG", "HUMAN_AGENT"
	id, err := d.post(ctx, a, body, env)
	var failure *channel.SendError
	if errors.As(err, &failure) {
		switch failure.Class {
		case channel.Misconfig, channel.Permanent:
			if strings.HasPrefix(failure.Code, "190") { // the token, not the tag
				return "", err
			}
			closed.Reason = channel.Text{
				DE: "Die letzte Nachricht des Kunden ist über 24 Stunden alt, und die App hat die Funktion „Human Agent“ nicht.",
				EN: "The customer's last message is more than 24 hours old, and the app lacks the feature \"Human Agent\".",
			}
			closed.Err = fmt.Errorf("with HUMAN_AGENT: %w", failure)
			return "", closed
		}
	}
	return id, err
}

// kindOf is the platform's word for a file, or why it does not take it ("Upload media": formats and sizes).
func (d Driver) kindOf(f channel.File) (string, error) {
	major, minor, _ := strings.Cut(channel.MediaType(f.MediaType), "/")
	kind := "file"
	switch major {
	case "image":
		if minor == "png" || minor == "jpeg" || minor == "gif" {
			kind = "image"
		}
	case "video":
		switch minor {
		case "mp4", "ogg", "x-msvideo", "avi", "quicktime", "webm":
			kind = "video"
		}
	case "audio":
		switch minor {
		case "aac", "mp4", "x-m4a", "m4a", "wav", "x-wav", "wave":
			kind = "audio"
		case "mpeg":
			if !d.instagram {
				kind = "audio"
			}
		}
	}
	if !d.instagram {
		if kind == "image" && f.Size > pictureMax {
			kind = "file"
		}
		return kind, nil
	}
	switch {
	case kind == "image" && f.Size > pictureMax:
		return "", &channel.SendError{Class: channel.Permanent, Code: "413", Err: fmt.Errorf("picture of %d bytes", f.Size), Reason: channel.Text{
			DE: fmt.Sprintf("Das Bild %s ist größer als %d MB, so viel nimmt Instagram nicht an.", channel.CleanName(f.Name), pictureMax>>20),
			EN: fmt.Sprintf("The picture %s is larger than %d MB, which Instagram does not accept.", channel.CleanName(f.Name), pictureMax>>20)}}
	case kind == "file" && minor != "pdf":
		return "", &channel.SendError{Class: channel.Permanent, Code: "415", Err: fmt.Errorf("file of type %s/%s", major, minor), Reason: channel.Text{
			DE: "Instagram nimmt nur Bilder (PNG, JPEG, GIF), Videos, Ton und PDF an. Senden Sie die Datei als PDF.",
			EN: "Instagram takes only pictures (PNG, JPEG, GIF), videos, audio and PDF. Send the file as PDF."}}
	}
	return kind, nil
}

// upload hands a file over ("Attachment Upload API"). Doing it twice harms nobody, so that it is never uncertain.
func (d Driver) upload(ctx context.Context, a channel.Account, f channel.File, kind string, env channel.Env) (string, error) {
	message, err := json.Marshal(map[string]any{"attachment": outAttachment{Type: kind, Payload: outPayload{Reusable: true}}})
	if err != nil {
		return "", err
	}
	fields := []channel.Field{{Name: "message", Value: string(message)}}
	if d.instagram {
		fields = append(fields, channel.Field{Name: "platform", Value: "instagram"})
	}
	c := channel.Call{URL: endpoint(a, "me/message_attachments"), Timeout: 5 * time.Minute}.Multipart(fields, "filedata", f).Bearer(a.Settings["page_access_token"])
	var result struct {
		ID text `json:"attachment_id"`
	}
	err = call(ctx, c, env, "upload a file", &result)
	if err == nil && result.ID == "" {
		err = channel.Uncertainly(errors.New("upload a file: the answer has no attachment_id"))
	}
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Class == channel.Unknown {
		failure.Class, failure.Reason = channel.Temporary, channel.Text{DE: "Die Datei ließ sich nicht hochladen; es wird erneut versucht.", EN: "The file could not be uploaded; it is tried again."}
	}
	return string(result.ID), err
}

func (d Driver) post(ctx context.Context, a channel.Account, body outbound, env channel.Env) (string, error) {
	var result struct {
		ID text `json:"message_id"`
	}
	err := call(ctx, channel.JSON(endpoint(a, "me/messages"), body).Bearer(a.Settings["page_access_token"]), env, "send a message", &result)
	if err == nil && result.ID == "" {
		err = channel.Uncertainly(errors.New("send a message: the answer has no message_id"))
	}
	if err != nil {
		return "", err
	}
	return string(result.ID), nil
}

// call makes a request and reads its result; its error is always a *SendError.
func call(ctx context.Context, c channel.Call, env channel.Env, what string, result any) error {
	answer, err := c.Do(ctx, env.HTTP)
	if err != nil {
		return err
	}
	var fail struct {
		Error *failure `json:"error"`
	}
	err = json.Unmarshal(answer.Body, &fail)
	switch {
	case err != nil:
		return channel.Unexpected(answer, what)
	case fail.Error != nil && fail.Error.Code != 0:
		return fail.Error.classify(answer, what, c.Secrets)
	case !answer.OK():
		return channel.Unexpected(answer, what)
	}
	if err := json.Unmarshal(answer.Body, result); err != nil {
		return channel.Uncertainly(fmt.Errorf("%s: the answer cannot be read", what))
	}
	return nil
}

// failure is the Graph API's error ("Common Error Codes").
type failure struct {
	Message   string `json:"message"`
	Code      int    `json:"code"`
	Subcode   int    `json:"error_subcode"`
	Transient bool   `json:"is_transient"`
}

// classify says what may be done. Codes 1 and 2 stay uncertain: the documents know cases in which the message was sent.
func (f *failure) classify(answer channel.Answer, what string, secrets []string) *channel.SendError {
	message := f.Message
	for _, s := range secrets {
		if s != "" {
			message = strings.ReplaceAll(message, s, "<secret>")
		}
	}
	e := &channel.SendError{Code: strconv.Itoa(f.Code), Err: fmt.Errorf("%s: %.300s", what, message)}
	if f.Subcode != 0 {
		e.Code += "/" + strconv.Itoa(f.Subcode)
	}
	set := func(class channel.Class, de, en string) *channel.SendError {
		e.Class, e.Reason = class, channel.Text{DE: de, EN: en}
		return e
	}
	const (
		blockedDE = "Die Person nimmt von dieser Seite keine Nachrichten an (blockiert, abgeschaltet oder abgemeldet)."
		blockedEN = "The person takes no messages from this Page (blocked, turned off or gone)."
		closedDE  = "Die letzte Nachricht des Kunden ist zu lange her: Der Anbieter erlaubt jetzt keine Antwort."
		closedEN  = "The customer's last message is too long ago: the provider allows no reply now."
		nobodyDE  = "Diese Person gibt es auf diesem Kanal nicht."
		nobodyEN  = "This person does not exist on this channel."
	)
	switch f.Subcode {
	case 2018278, 2018065, 2534022: // outside of allowed window
		return set(channel.WindowClosed, closedDE, closedEN)
	case 1545041, 2018108: // this person isn't available, isn't receiving messages from you
		return set(channel.Blocked, blockedDE, blockedEN)
	case 2018001, 2534014: // no matching user found
		return set(channel.NotHere, nobodyDE, nobodyEN)
	case 2018109:
		return set(channel.Permanent, "Die Datei ist größer, als der Anbieter annimmt.", "The file is larger than the provider accepts.")
	case 2018300: // another app is controlling this thread
		return set(channel.Permanent, "Ein anderes Programm (etwa der Posteingang der Seite) führt dieses Gespräch gerade.", "Another program (the Page's inbox, say) holds this conversation now.")
	}
	switch f.Code {
	case 4, 17, 32, 613, 80002, 80006:
		e.RetryAfter = pause(answer, f.Code)
		return set(channel.RateLimited, "Der Anbieter bittet um eine Pause.", "The provider asks for a pause.")
	case 1, 2:
		return channel.Uncertainly(fmt.Errorf("%s: code %s: %w", what, e.Code, e.Err))
	case 1200:
		return set(channel.Temporary, "Der Anbieter hat gerade eine Störung; es wird erneut versucht.", "The provider has a failure right now; it is tried again.")
	case 551, 10903, 10904:
		return set(channel.Blocked, blockedDE, blockedEN)
	case 10:
		if strings.Contains(f.Message, "outside of allowed window") {
			return set(channel.WindowClosed, closedDE, closedEN)
		}
		return set(channel.Misconfig, "Der App fehlt eine Berechtigung zum Senden (pages_messaging oder instagram_manage_messages).", "The app lacks a permission to send (pages_messaging or instagram_manage_messages).")
	case 102, 104, 190, 463, 467:
		return set(channel.Misconfig, "Der Zugriffsschlüssel der Seite (page_access_token) gilt nicht mehr: Erzeugen Sie ihn neu.", "The Page's access token (page_access_token) is no longer valid: make a new one.")
	case 368, 2022:
		return set(channel.Misconfig, "Meta hat das Senden wegen eines Verstoßes gegen seine Regeln gesperrt: Sehen Sie im Support-Posteingang der Seite nach.", "Meta has blocked sending for a breach of its rules: look into the Page's support inbox.")
	case 100:
		if strings.Contains(f.Message, "No matching user") {
			return set(channel.NotHere, nobodyDE, nobodyEN)
		}
		return set(channel.Permanent, "Der Anbieter nimmt die Nachricht so nicht an.", "The provider does not accept the message like this.")
	}
	switch {
	case f.Code == 3 || f.Code >= 200 && f.Code <= 299:
		return set(channel.Misconfig, "Der App fehlt eine Berechtigung, oder sie ist nicht freigegeben (App-Dashboard → App Review).", "The app lacks a permission or is not approved (App Dashboard → App Review).")
	case answer.Status >= 500 || answer.OK():
		return channel.Uncertainly(fmt.Errorf("%s: code %s: %w", what, e.Code, e.Err))
	case f.Transient:
		return set(channel.Temporary, "Der Anbieter hat gerade eine Störung; es wird erneut versucht.", "The provider has a failure right now; it is tried again.")
	}
	return set(channel.Permanent, "Der Anbieter nimmt die Nachricht so nicht an.", "The provider does not accept the message like this.")
}

// pause is how long to wait: as told, or by the kind of limit. The account's own is told in minutes ("Rate Limits":
// X-Business-Use-Case-Usage).
func pause(answer channel.Answer, code int) time.Duration {
	if d := answer.RetryAfter(); d > 0 {
		return d
	}
	var usage map[string][]struct {
		Minutes float64 `json:"estimated_time_to_regain_access"`
	}
	longest := 0.0
	if json.Unmarshal([]byte(answer.Header.Get("X-Business-Use-Case-Usage")), &usage) == nil {
		for _, list := range usage {
			for _, u := range list {
				longest = max(longest, u.Minutes)
			}
		}
	}
	switch {
	case longest > 0:
		return time.Duration(min(longest, 24*60) * float64(time.Minute))
	case code == 613: // calls a second
		return 2 * time.Second
	default: // calls an hour or a day
		return time.Minute
	}
}

// Probe implements channel.Prober: does the token work, and is it this Page's?
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	var me struct {
		ID   text   `json:"id"`
		Name string `json:"name"`
	}
	c := channel.Call{Method: http.MethodGet, URL: endpoint(a, "me?fields=id,name")}.Bearer(a.Settings["page_access_token"])
	if err := call(ctx, c, env, "ask for the Page", &me); err != nil {
		var failure *channel.SendError
		if errors.As(err, &failure) && failure.Class == channel.Misconfig {
			return &channel.Trouble{Err: err, Reason: failure.Reason, Remedy: channel.Text{
				DE: "Erzeugen Sie im App-Dashboard unter Messenger → API-Einrichtung einen neuen Schlüssel für die Seite und tragen Sie ihn als page_access_token ein.",
				EN: "In the App Dashboard, under Messenger → API setup, make a new token for the Page and enter it as page_access_token.",
			}}
		}
		return err
	}
	if string(me.ID) != a.Settings["page_id"] {
		return &channel.Trouble{Err: fmt.Errorf("the token belongs to %s", me.ID), Reason: channel.Text{
			DE: "Der Zugriffsschlüssel gehört zu einer anderen Seite als page_id.",
			EN: "The access token belongs to another Page than page_id.",
		}, Remedy: channel.Text{
			DE: "Prüfen Sie page_id, oder erzeugen Sie den Schlüssel für die richtige Seite.",
			EN: "Check page_id, or make the token for the right Page.",
		}}
	}
	return nil
}
