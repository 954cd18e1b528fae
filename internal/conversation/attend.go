package conversation

import (
	"context"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Attend notes whether the customer waits for a person: no longer, because a machine has answered what was written
// last, or from now on, because it has handed over. what, if it has a type, is told in the conversation.
func Attend(ctx context.Context, tx *db.Tx, id string, waits bool, what Event, now time.Time) error {
	r, err := load(ctx, tx, id)
	if err != nil {
		return err
	}
	if what.Type != "" {
		if err := event(ctx, tx, &r, what, now); err != nil {
			return err
		}
	}
	switch {
	case !waits:
		r.WaitingSince = time.Time{}
	case r.WaitingSince.IsZero():
		r.WaitingSince = now
	}
	if waits && r.Status != Open {
		r.Status, r.SnoozedUntil, r.ClosedAt = Open, time.Time{}, time.Time{}
	}
	if err := save(ctx, tx, &r, false); err != nil {
		return fmt.Errorf("note who waits: %w", err)
	}
	return nil
}

// Heard is what a customer said elsewhere than in a message of the channel: on the answer page of a question.
type Heard struct {
	Channel      channel.Account
	Address      string
	AddressValue string
	Assurance    channel.Assurance
	AuthorName   string
	Text         string
	ReplyTo      string   // message id
	Attachments  []string // uploaded before
}

// Hear adds a customer's words to a conversation.
func Hear(ctx context.Context, tx *db.Tx, conversation string, h Heard, now time.Time) (Message, error) {
	r, err := resolve(ctx, tx, conversation)
	if err != nil {
		return Message{}, err
	}
	if r.Status != Open {
		if err := reopen(ctx, tx, &r, h.AuthorName, now); err != nil {
			return Message{}, err
		}
	}
	r.Pos++
	r.Received++
	m := Message{ID: db.NewID(), Conversation: r.ID, Pos: r.Pos, Kind: KindMessage, In: true, Author: channel.Customer, AuthorName: h.AuthorName, Channel: h.Channel.ID, ChannelKind: h.Channel.Kind,
		Address: h.Address, AddressValue: h.AddressValue, Assurance: h.Assurance, Text: cleanText(h.Text), ReplyTo: h.ReplyTo, Attachments: len(h.Attachments), Audience: Everybody, At: now, ReceivedAt: now}
	if err := insertMessage(ctx, tx, &m); err != nil {
		return Message{}, err
	}
	for i, id := range h.Attachments {
		if _, err := tx.Exec(ctx, `UPDATE attachment SET message = $3, pos = $4 WHERE org = $1 AND id = $2 AND message = ''`, id, m.ID, i); err != nil {
			return Message{}, fmt.Errorf("attach file: %w", err)
		}
	}
	r.LastAt, r.LastBy, r.LastIn, r.LastText = now, m.Author, true, preview(m)
	return m, save(ctx, tx, &r, false)
}
