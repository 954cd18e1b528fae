package ask

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/reach"
)

// triedFor is how long an address that could not be reached is not tried again by itself.
const triedFor = time.Hour

// Unreachable says by another of the customer's ways what a machine could not deliver; a question is put there, and its
// answer counts from anywhere. What a person wrote stays with the person: they chose the way, and hear that it failed.
// said is false where there is no other way.
func (s *Store) Unreachable(ctx context.Context, tx *db.Tx, d outbox.Delivery, _ channel.Class) (said bool, err error) {
	m, err := conversation.MessageByID(ctx, tx, d.Message)
	if err != nil || m.Author != channel.Machine || m.Participant != "" {
		return false, err
	}
	row, err := conversation.Get(ctx, tx, d.Conversation, "")
	if err != nil {
		return false, err
	}
	ids, err := customer.IDs(ctx, tx, row.Customer)
	if err != nil {
		return false, err
	}
	addrs, err := customer.Addresses(ctx, tx, ids)
	if err != nil {
		return false, err
	}
	tried, err := outbox.Unreached(ctx, tx, d.Conversation, s.Now().Add(-triedFor))
	if err != nil {
		return false, err
	}
	options, best := reach.Options(tx.Org(), row, addrs, s.Accounts, true, s.Now())
	if best > 0 {
		options[0], options[best] = options[best], options[0]
	}
	at := slices.IndexFunc(options, func(o reach.Option) bool { return o.CanSend && o.Address.ID != d.Address && !tried[o.Address.ID] })
	if at < 0 {
		return false, nil
	}
	o := options[at]
	asked, err := oneAsked(ctx, tx, `message = $2 AND state = 'open'`, m.ID)
	if err == nil {
		_, err = s.Again(ctx, tx, asked, Say{Text: asked.Words}, o.Channel, o.Address, channel.Machine, conversation.Actor{})
		var cannot *CannotError
		if errors.As(err, &cannot) {
			return false, nil
		}
		return err == nil, err
	}
	if !errors.Is(err, ErrNotFound) {
		return false, err
	}
	out := conversation.Out{Author: m.Author, By: conversation.Actor{Name: m.AuthorName}, Channel: o.Channel.Account, Address: o.Address.ID, AddressValue: o.Address.Value, Assurance: o.Address.Assurance,
		Subject: m.Subject, Text: m.Text, ClientID: "elsewhere:" + d.ID, Automatic: m.Automatic}
	_, _, err = s.Outbox.Send(ctx, tx, outbox.Request{Conversation: d.Conversation, Out: out, Asked: true})
	return err == nil, err
}
