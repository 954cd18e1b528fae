package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/reach"
)

// codeWithin is how much of a text is looked through for a code, in bytes: the code of a link is its beginning, and a
// mail quotes what it answers below.
const codeWithin = 16 << 10

// trialFor and trialMax tell a conversation that only began because somebody brought a code: it is joined into the one
// that goes on.
const (
	trialFor = time.Hour
	trialMax = 5
)

// redeem looks for a hand-over code in what came from a sender and lets it work. The sender may be another customer
// afterwards. ok is false where there was no code, or none that works: then the text is like any other.
func (i *Intake) redeem(ctx context.Context, tx *db.Tx, book *customer.Book, it *item, s **customer.Sender, text string) (out reach.Outcome, ok bool, err error) {
	code, pin := reach.FindCode(text[:min(len(text), codeWithin)])
	if code == "" {
		return out, false, nil
	}
	from := it.event.Sender
	out, err = reach.Redeem(ctx, tx, code, pin, reach.Bringer{Customer: (*s).Customer, Address: (*s).Address, Channel: it.acct,
		Vouched: from.Assurance == channel.Observed || from.Assurance == channel.Verified, Quotes: i.threaded(it)}, it.at)
	if errors.Is(err, reach.ErrCode) {
		return out, false, nil
	}
	if err != nil || out.Conversation == "" {
		return out, err == nil, err
	}
	if err := i.gather(ctx, tx, out.Conversation, (*s).Address.ID, it.at); err != nil {
		return out, false, err
	}
	book.Forget()
	*s, err = book.Sender(ctx, it.acct.Kind, it.channel, from, it.at)
	return out, true, err
}

// gather joins the conversation that bringing the code had begun into the one that goes on.
func (i *Intake) gather(ctx context.Context, tx *db.Tx, into, address string, now time.Time) error {
	began, err := conversation.BegunAt(ctx, tx, address, into, now.Add(-trialFor))
	if errors.Is(err, conversation.ErrNotFound) {
		return nil
	}
	if err != nil || began.Received > trialMax {
		return err
	}
	_, moved, err := conversation.Join(ctx, tx, into, began.ID, true, false, conversation.Actor{Name: began.CustomerName}, now)
	if errors.Is(err, conversation.ErrJoined) || errors.Is(err, conversation.ErrSameMatter) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := outbox.Moved(ctx, tx, moved, into); err != nil {
		return err
	}
	return ask.Moved(ctx, tx, moved, into)
}

// tell says what became of a code, at the address that it came from.
func (i *Intake) tell(ctx context.Context, tx *db.Tx, it *item, s *customer.Sender, out reach.Outcome, in string) error {
	if i.Tell == nil {
		return nil
	}
	text, client := reach.Confirm(out.Pin), "confirm:"
	if out.Pin == "" {
		r, err := conversation.Get(ctx, tx, out.Conversation, "")
		if err != nil {
			return err
		}
		in, text, client = out.Conversation, reach.Continued(r.AssigneeName), "continued:"
	}
	language := s.Customer.Language
	if language == "" {
		language = "de"
	}
	err := i.Tell(ctx, tx, Telling{Conversation: in, Channel: it.acct, Address: s.Address, Text: text.In(language), ClientID: client + it.key})
	if err != nil {
		return fmt.Errorf("answer a hand-over: %w", err)
	}
	return nil
}

// Telling is something that the house itself says to a customer about where a conversation goes on.
type Telling struct {
	Conversation string
	Channel      channel.Account
	Address      customer.Address
	Text         string
	ClientID     string // the same again is said once
}
