package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const (
	sendTimeout   = time.Minute
	uploadTimeout = 5 * time.Minute
)

// Send implements channel.Sender. A text longer than a message becomes several; files follow one by one, the first
// with the text as its caption where that fits. Telegram has no idempotency key: whatever happens after a connection
// was made and before an answer was read is uncertain. The same holds when a later part fails for a while after the
// first was accepted, since sending all of it again would send the first part twice: SendError.Receipt has what was
// accepted.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	b := newBot(a, env)
	parts, err := render(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p part) (string, error) { return d.sendPart(ctx, b, p) })
}

// part is one message of the Bot API.
type part struct {
	to         string
	text       string // the message, or the caption of file
	file       *channel.File
	replyTo    string // message_id, "" = none
	choices    []channel.Choice
	asDocument bool
}

// render says what is sent, in order. It is pure.
func render(out channel.Outgoing) ([]part, *channel.SendError) {
	number, err := strconv.ParseInt(out.To.Value, 10, 64)
	if err != nil {
		return nil, &channel.SendError{
			Class: channel.NotHere,
			Reason: channel.Text{
				DE: "Das ist keine Telegram-Adresse. Der Kunde muss dem Bot zuerst schreiben.",
				EN: "This is not a Telegram address. The customer has to write to the bot first.",
			},
			Err: fmt.Errorf("chat id %q is not a number", out.To.Value),
		}
	}
	if err := checkChoices(out.Choices); err != nil {
		return nil, err
	}
	to := strconv.FormatInt(number, 10)
	texts := channel.Split(out.Text, textMax, channel.UTF16)
	var caption string
	if len(out.Attachments) > 0 && len(texts) == 1 && channel.Length(texts[0], channel.UTF16) <= captionMax {
		caption, texts = texts[0], nil
	}
	var parts []part
	for _, t := range texts {
		parts = append(parts, part{to: to, text: t})
	}
	for i := range out.Attachments {
		f := &out.Attachments[i]
		if f.Size > documentMax {
			return nil, &channel.SendError{
				Class: channel.Permanent, Code: "413",
				Reason: channel.Text{
					DE: fmt.Sprintf("Die Datei %s ist größer als 50 MB, so viel nimmt Telegram nicht an.", f.Name),
					EN: fmt.Sprintf("The file %s is larger than 50 MB, which Telegram does not accept.", f.Name),
				},
			}
		}
		p := part{to: to, file: f, text: caption}
		caption = ""
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, &channel.SendError{
			Class:  channel.Permanent,
			Reason: channel.Text{DE: "Die Nachricht ist leer.", EN: "The message is empty."},
			Err:    errors.New("message text is empty"),
		}
	}
	if c, m, ok := strings.Cut(out.ReplyTo, ":"); ok && c == to {
		if n, err := strconv.ParseInt(m, 10, 64); err == nil {
			parts[0].replyTo = strconv.FormatInt(n, 10)
		}
	}
	parts[len(parts)-1].choices = out.Choices
	return parts, nil
}

func checkChoices(choices []channel.Choice) *channel.SendError {
	if len(choices) > buttonMax {
		return &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("%d buttons, at most %d fit", len(choices), buttonMax),
			Reason: channel.Text{DE: "Die Nachricht hat zu viele Auswahlmöglichkeiten.", EN: "The message has too many choices."}}
	}
	for _, c := range choices {
		if len(c.Data) == 0 || len(c.Data) > dataMax || strings.TrimSpace(c.Label) == "" {
			return &channel.SendError{Class: channel.Permanent, Code: "BUTTON_DATA_INVALID",
				Err:    fmt.Errorf("button %q: data of %d bytes, 1 to %d are allowed", c.Label, len(c.Data), dataMax),
				Reason: channel.Text{DE: "Eine Auswahlmöglichkeit ist leer oder zu lang.", EN: "A choice is empty or too long."}}
		}
	}
	return nil
}

// parameters are those of sendMessage, sendPhoto and sendDocument.
func (p part) parameters() map[string]any {
	v := map[string]any{"chat_id": json.Number(p.to)}
	if p.replyTo != "" {
		// The quoted message may have been deleted: better without the quote than not at all.
		v["reply_parameters"] = map[string]any{"message_id": json.Number(p.replyTo), "allow_sending_without_reply": true}
	}
	if len(p.choices) > 0 {
		var rows [][]button // one below the other: labels of any length stay readable
		for _, c := range p.choices {
			rows = append(rows, []button{{Text: c.Label, Data: c.Data}})
		}
		v["reply_markup"] = markup{Keyboard: rows}
	}
	if p.file == nil {
		v["text"] = p.text
		// For a preview Telegram's servers open the link; ours are personal and some are good for one answer.
		v["link_preview_options"] = map[string]any{"is_disabled": true}
		return v
	}
	if p.text != "" {
		v["caption"] = p.text
	}
	if !p.photo() || p.asDocument {
		v["disable_content_type_detection"] = true // a file arrives as it is, not as an animation
	}
	return v
}

// sendPart sends one message and gives its external id.
func (d Driver) sendPart(ctx context.Context, b bot, p part) (string, error) {
	external, err := d.sendOnce(ctx, b, p)
	if err == nil {
		return external, nil
	}
	failure := classify(err)
	if failure.Class == channel.Permanent && p.file != nil && !p.asDocument && p.photo() {
		p.asDocument = true // a picture that is none, or too long and thin: as a file it arrives unchanged
		return d.sendPart(ctx, b, p)
	}
	return "", failure
}

func (d Driver) sendOnce(ctx context.Context, b bot, p part) (string, error) {
	var sent struct {
		ID id `json:"message_id"` // nothing else: what was accepted must not fail over a field that we do not need
	}
	var err error
	if p.file == nil {
		ctx, cancel := context.WithTimeout(ctx, sendTimeout)
		defer cancel()
		err = b.call(ctx, "sendMessage", p.parameters(), &sent)
	} else {
		ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
		defer cancel()
		method, field := "sendDocument", "document"
		if p.photo() && !p.asDocument {
			method, field = "sendPhoto", "photo"
		}
		var c channel.Call
		if c, err = upload(p, field); err == nil {
			err = b.post(ctx, method, c, &sent)
		}
	}
	if err != nil {
		return "", err
	}
	if sent.ID == "" {
		return "", channel.Uncertainly(errors.New("accepted without message_id"))
	}
	return externalID(id(p.to), sent.ID), nil
}

// photo reports whether the file is shown as a picture rather than as a file.
func (p part) photo() bool {
	mediaType, _, _ := mime.ParseMediaType(p.file.MediaType)
	return (mediaType == "image/jpeg" || mediaType == "image/png") && p.file.Size > 0 && p.file.Size <= photoMax
}

// upload is a call that streams the file behind its parameters (Bot API, "Sending files").
func upload(p part, field string) (channel.Call, error) {
	var fields []channel.Field
	parameters := p.parameters()
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		text, ok := parameters[name].(string)
		if !ok {
			raw, err := json.Marshal(parameters[name])
			if err != nil {
				return channel.Call{}, fmt.Errorf("write parameter %s: %w", name, err)
			}
			text = string(raw)
		}
		fields = append(fields, channel.Field{Name: name, Value: text})
	}
	return channel.Call{}.Multipart(fields, field, *p.file), nil
}

// classify says what may be done about a failed call. Descriptions are those that the Bot API server gives; they are
// looked at only where the code does not tell enough, and what is unknown counts as refused for good.
func classify(err error) *channel.SendError {
	var api *apiError
	if !errors.As(err, &api) {
		var failure *channel.SendError
		if !errors.As(err, &failure) {
			failure = channel.Uncertainly(err)
		}
		switch failure.Class {
		case channel.Unknown:
			failure.Reason = uncertainReason
		case channel.Temporary:
			failure.Reason = channel.Text{DE: "Telegram war nicht erreichbar; es wird erneut versucht.", EN: "Telegram could not be reached; it is tried again."}
		case channel.Misconfig:
			failure.Reason = channel.Text{DE: "Der Server darf die Adresse unter api_url nicht erreichen.", EN: "The server is not allowed to reach the address in api_url."}
		}
		return failure
	}
	failure := &channel.SendError{Code: strconv.Itoa(api.Code), Err: err}
	description := strings.ToLower(api.Description)
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(description, w) {
				return true
			}
		}
		return false
	}
	set := func(class channel.Class, de, en string) *channel.SendError {
		failure.Class, failure.Reason = class, channel.Text{DE: de, EN: en}
		return failure
	}
	switch {
	case api.Code == http.StatusTooManyRequests:
		failure.RetryAfter = max(api.RetryAfter, time.Second)
		return set(channel.RateLimited, "Telegram bittet um eine Pause; es wird erneut versucht.", "Telegram asks for a pause; it is tried again.")
	case api.Code == http.StatusUnauthorized, api.Code == http.StatusNotFound:
		return set(channel.Misconfig, "Das Token des Bots ist falsch.", "The bot's token is wrong.")
	case api.Code == notTelegram:
		failure.Code = ""
		return set(channel.Misconfig, "Unter api_url antwortet keine Bot-API.", "There is no Bot API at api_url.")
	case api.Code == http.StatusForbidden && says("can't initiate conversation"):
		return set(channel.NotHere, "Der Kunde hat dem Bot noch nie geschrieben.", "The customer has never written to the bot.")
	case api.Code == http.StatusForbidden && says("bots can't", "to bots"):
		return set(channel.Permanent, "Der Empfänger ist selbst ein Bot.", "The recipient is a bot itself.")
	case api.Code == http.StatusForbidden:
		return set(channel.Blocked, "Der Kunde hat den Bot blockiert oder sein Konto aufgegeben.", "The customer has blocked the bot or given up the account.")
	case api.Code == http.StatusBadRequest && says("chat not found", "user not found", "peer_id_invalid", "chat_id is empty"):
		return set(channel.NotHere, "Diesen Chat gibt es bei Telegram nicht. Der Kunde muss dem Bot zuerst schreiben.",
			"This chat does not exist at Telegram. The customer has to write to the bot first.")
	case api.Code == http.StatusRequestEntityTooLarge, says("too big", "too large"):
		return set(channel.Permanent, "Die Datei ist für Telegram zu groß.", "The file is too large for Telegram.")
	case api.Code >= 500:
		// Not documented to mean "not accepted": a proxy answers 502 after the request went through, too.
		return set(channel.Unknown, uncertainReason.DE, uncertainReason.EN)
	}
	return set(channel.Permanent, "Telegram nimmt die Nachricht nicht an: "+api.Description, "Telegram does not accept the message: "+api.Description)
}

var uncertainReason = channel.Text{
	DE: "Es ist ungewiss, ob die Nachricht ankam: Telegram hat nicht geantwortet.",
	EN: "It is uncertain whether the message arrived: Telegram did not answer.",
}

// FetchMedia implements channel.Fetcher: getFile, then the download. Bots can fetch files of up to 20 MB.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	b := newBot(a, env)
	var f struct {
		Path string `json:"file_path"`
		Size int64  `json:"file_size"`
	}
	if err := b.call(ctx, "getFile", map[string]string{"file_id": remote}, &f); err != nil {
		return nil, fetchError(err)
	}
	switch {
	case f.Size > downloadMax:
		return nil, tooBig(fmt.Errorf("file has %d bytes", f.Size))
	case f.Path == "":
		return nil, &channel.SendError{Class: channel.Temporary, Err: errors.New("getFile gave no file_path")}
	case strings.HasPrefix(f.Path, "/") || strings.Contains(f.Path, ".."):
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("getFile gave a path on the server's own disk"),
			Reason: channel.Text{
				DE: "Der eigene Bot-API-Server läuft mit --local; so gibt er Dateien nur auf seiner Platte heraus.",
				EN: "The Bot API server of your own runs with --local; that way it hands out files on its own disk only.",
			}}
	}
	resp, err := b.open(ctx, f.Path)
	if err != nil {
		return nil, &channel.SendError{Class: channel.Temporary, Err: fmt.Errorf("download file: %w", err)}
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		// A path is good for an hour; the next attempt asks for a new one.
		return nil, &channel.SendError{Class: channel.Temporary, Code: strconv.Itoa(resp.StatusCode), Err: fmt.Errorf("download file: %s", resp.Status)}
	}
	if resp.ContentLength > downloadMax {
		resp.Body.Close()
		return nil, tooBig(fmt.Errorf("download has %d bytes", resp.ContentLength))
	}
	return &capped{ReadCloser: resp.Body, left: downloadMax}, nil
}

// capped ends with an error where more comes than a bot may fetch.
type capped struct {
	io.ReadCloser
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, tooBig(errors.New("download does not end"))
	}
	return n, err
}

func tooBig(err error) error {
	return &channel.SendError{Class: channel.Permanent, Code: "400", Err: err, Reason: channel.Text{
		DE: "Die Datei ist größer als 20 MB; so große gibt Telegram nicht heraus. Bitten Sie um einen anderen Weg.",
		EN: "The file is larger than 20 MB, which Telegram does not hand out. Ask for another way.",
	}}
}

func fetchError(err error) error {
	failure := classify(err)
	var api *apiError
	switch {
	case !errors.As(err, &api), api.Code >= 500:
		failure.Class = channel.Temporary // asking for a file may be repeated
	case strings.Contains(strings.ToLower(api.Description), "too big"):
		return tooBig(err)
	case strings.Contains(strings.ToLower(api.Description), "temporarily unavailable"):
		failure.Class = channel.Temporary
	case failure.Class == channel.Permanent:
		failure.Reason = channel.Text{DE: "Telegram gibt die Datei nicht mehr heraus.", EN: "Telegram no longer hands out the file."}
	}
	return failure
}
