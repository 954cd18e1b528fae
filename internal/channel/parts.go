package channel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Part is one message of a provider's API; an Outgoing becomes one or several.
type Part struct {
	Text    string   // the message, or the caption of File
	File    *File    // at most one
	ReplyTo string   // external id that it quotes, on the first part only
	Choices []Choice // on the last part only
	Menu    string   // see Outgoing.Menu
}

// Parts splits a message into what the medium takes at once: texts of at most TextMax, then files one by one, the first
// with the text as its caption where that fits. Choices stand under the last text. A *SendError says what does not fit at
// all. It is pure.
func (c Capabilities) Parts(out Outgoing) ([]Part, error) {
	if c.Buttons == 0 {
		out.Choices, out.Menu = nil, ""
	}
	if c.ListRows == 0 {
		out.Menu = ""
	}
	if err := c.checkChoices(out); err != nil {
		return nil, err
	}
	var files []Part
	for i := range out.Attachments {
		f := &out.Attachments[i]
		if !c.Attachments {
			return nil, &SendError{Class: Permanent, Reason: Text{DE: "Auf diesem Kanal gehen keine Dateien.", EN: "This channel carries no files."}, Err: errors.New("no attachments here")}
		}
		if c.AttachmentMax > 0 && f.Size > c.AttachmentMax {
			return nil, &SendError{Class: Permanent, Code: "413", Err: fmt.Errorf("file of %d bytes", f.Size), Reason: Text{
				DE: fmt.Sprintf("Die Datei %s ist größer als %d MB, so viel nimmt dieser Kanal nicht an.", CleanName(f.Name), c.AttachmentMax>>20),
				EN: fmt.Sprintf("The file %s is larger than %d MB, which this channel does not accept.", CleanName(f.Name), c.AttachmentMax>>20)}}
		}
		files = append(files, Part{File: f})
	}
	text := strings.TrimSpace(out.Text)
	if len(files) > 0 && len(out.Choices) == 0 && c.CaptionMax > 0 && text != "" && Length(text, c.TextUnit) <= c.CaptionMax {
		files[0].Text, text = text, ""
	}
	texts := Split(text, c.TextMax, c.TextUnit)
	if limit := c.ChoiceTextMax; len(out.Choices) > 0 && limit > 0 && len(texts) > 0 {
		last := texts[len(texts)-1]
		texts = append(texts[:len(texts)-1], Split(last, limit, c.TextUnit)...)
	}
	var parts []Part
	for _, t := range texts {
		parts = append(parts, Part{Text: t})
	}
	if len(out.Choices) > 0 { // the choices come last, where the thumb is
		if len(parts) == 0 {
			return nil, emptyMessage()
		}
		parts = append(files, parts...)
	} else {
		parts = append(parts, files...)
	}
	if len(parts) == 0 {
		return nil, emptyMessage()
	}
	parts[0].ReplyTo = out.ReplyTo
	last := &parts[len(parts)-1]
	last.Choices, last.Menu = out.Choices, out.Menu
	return parts, nil
}

func emptyMessage() *SendError {
	return &SendError{Class: Permanent, Reason: Text{DE: "Die Nachricht ist leer.", EN: "The message is empty."}, Err: errors.New("message text is empty")}
}

func (c Capabilities) checkChoices(out Outgoing) error {
	limit, title := c.Buttons, c.ButtonTitleMax
	if out.Menu != "" {
		limit, title = c.ListRows, c.ListTitleMax
	}
	if len(out.Choices) > limit {
		return &SendError{Class: Permanent, Err: fmt.Errorf("%d choices, at most %d fit", len(out.Choices), limit),
			Reason: Text{DE: "Die Nachricht hat zu viele Auswahlmöglichkeiten.", EN: "The message has too many choices."}}
	}
	for _, o := range out.Choices {
		if o.Data == "" || len(o.Data) > c.ButtonDataMax || strings.TrimSpace(o.Label) == "" || title > 0 && Length(o.Label, CodePoints) > title {
			return &SendError{Class: Permanent, Err: fmt.Errorf("choice %q: 1 to %d characters and 1 to %d bytes of data are allowed", o.Label, title, c.ButtonDataMax),
				Reason: Text{DE: "Eine Auswahlmöglichkeit ist leer oder zu lang.", EN: "A choice is empty or too long."}}
		}
	}
	return nil
}

const (
	partWait  = time.Minute // how long a later part waits when the provider asks for a pause
	partTries = 3
)

// SendParts sends the parts in order, whatever a driver takes for one. Later parts keep the account's pace (Env.Next) and are tried again by themselves,
// since nobody else could go on in the middle. When a later part fails in the end, SendError.Receipt has what was
// accepted, and what may still have arrived is uncertain: sending all of it again would send the first part twice.
func SendParts[P any](ctx context.Context, env Env, parts []P, send func(context.Context, P) (externalID string, err error)) (Receipt, error) {
	var receipt Receipt
	for i, p := range parts {
		for try := 1; ; try++ {
			if i > 0 && env.Next != nil {
				if err := env.Next(ctx); err != nil {
					return Receipt{}, interrupted(Uncertainly(err), receipt, i, len(parts))
				}
			}
			id, err := send(ctx, p)
			if err == nil {
				if i == 0 {
					receipt = Receipt{ExternalID: id, State: Sent}
				} else {
					receipt.Parts = append(receipt.Parts, id)
				}
				break
			}
			var failure *SendError
			if !errors.As(err, &failure) {
				failure = Uncertainly(err)
			}
			if i == 0 {
				return Receipt{}, failure
			}
			again := failure.Class == RateLimited && failure.RetryAfter <= partWait || failure.Class == Temporary
			if !again || try >= partTries || pause(ctx, max(failure.RetryAfter, time.Second)) != nil {
				return Receipt{}, interrupted(failure, receipt, i, len(parts))
			}
		}
	}
	return receipt, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// interrupted is the error of a message of which the first parts were accepted.
func interrupted(failure *SendError, receipt Receipt, accepted, all int) *SendError {
	e := *failure
	e.Receipt = &receipt
	switch e.Class {
	case Temporary, RateLimited, Misconfig, Unknown:
		e.Class, e.RetryAfter = Unknown, 0
		e.Reason = Text{
			DE: fmt.Sprintf("Nur %d von %d Teilen der Nachricht kamen sicher an. Bitte senden Sie den Rest erneut.", accepted, all),
			EN: fmt.Sprintf("Only %d of %d parts of the message arrived for certain. Please send the rest again.", accepted, all),
		}
	}
	return &e
}
