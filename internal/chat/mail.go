package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
)

// Limits of the mails that visitors may have sent, so that a chat cannot be used to pester somebody.
const (
	MailsPerSession = 5
	MailEvery       = time.Hour // to one address, whoever asks
)

// Errors that callers tell apart.
var (
	ErrMailedNow  = errors.New("this address was mailed within the last hour")
	ErrMailedMuch = errors.New("this visitor asked for enough mails")
	ErrNoMailbox  = errors.New("no mailbox that can send")
	ErrNothingYet = errors.New("this visitor has not written yet")
)

// Continuation is a visitor's wish to go on by mail.
type Continuation struct {
	Visitor  string // address value
	Email    string // checked by the caller
	Name     string
	ClientID string
	Subject  string
	Text     string // nothing of the chat may stand in it: whoever owns the address has not answered yet
}

// Mailbox gives the organisation's first mailbox that can send.
func Mailbox(accounts *account.Accounts, org string) (account.Channel, error) {
	for _, c := range accounts.ByKind(org, "email") {
		d := accounts.Driver(c.Kind)
		if _, ok := d.(channel.Sender); !ok {
			continue
		}
		if st, ok := d.(channel.Settled); ok {
			if can, _ := st.CanSend(c.Settings); !can {
				continue
			}
		}
		return c, nil
	}
	return account.Channel{}, ErrNoMailbox
}

// ContinueByMail sends a mail whose answer lands in the visitor's conversation. Whether the address is known already, and
// to whom it belongs, changes nothing that the visitor can see: an address that is free becomes a claimed one of the
// visitor's record, one that is somebody's stays theirs, and only its answer with the reply token comes here. The same
// client id again is the same wish.
func ContinueByMail(ctx context.Context, tx *db.Tx, ob *outbox.Outbox, from account.Channel, c Continuation, now time.Time) error {
	email := customer.Normalise("email", c.Email)
	if err := tx.Lock(ctx, "chat mail "+email); err != nil {
		return err
	}
	if err := tx.Lock(ctx, "chat mail "+c.Visitor); err != nil {
		return err
	}
	var again, lately, all int64
	err := tx.Row(ctx, `SELECT COALESCE(SUM(CASE WHEN client_id = $3 THEN 1 ELSE 0 END), 0), COUNT(*) FROM chat_mail WHERE org = $1 AND visitor = $2`, c.Visitor, c.ClientID).Scan(&again, &all)
	if err == nil {
		err = tx.Row(ctx, `SELECT COUNT(*) FROM chat_mail WHERE org = $1 AND email = $2 AND at > $3`, email, db.Micro(now.Add(-MailEvery))).Scan(&lately)
	}
	switch {
	case err != nil:
		return fmt.Errorf("count a visitor's mails: %w", err)
	case again > 0:
		return nil
	case all >= MailsPerSession:
		return ErrMailedMuch
	case lately > 0:
		return ErrMailedNow
	}
	visitor, err := customer.AddressByValue(ctx, tx, Kind, c.Visitor)
	if errors.Is(err, customer.ErrNotFound) {
		return ErrNothingYet
	}
	if err != nil {
		return err
	}
	in, err := conversation.LastWith(ctx, tx, visitor.ID)
	if err != nil {
		return err
	}
	if in == "" {
		return ErrNothingYet
	}
	address, err := customer.AddressByValue(ctx, tx, "email", email)
	if errors.Is(err, customer.ErrNotFound) {
		address, err = customer.AddAddress(ctx, tx, visitor.Customer, "email", email, now)
	}
	if err != nil {
		return err
	}
	m, _, err := ob.Send(ctx, tx, outbox.Request{Conversation: in, Asked: true, Out: conversation.Out{Author: channel.Machine, Channel: from.Account, Address: address.ID, AddressValue: address.Value,
		Assurance: address.Assurance, Subject: c.Subject, Text: c.Text, Automatic: true, ClientID: "chat-mail:" + c.ClientID}})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO chat_mail (org, id, visitor, email, address, conversation, message, client_id, at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)`,
		db.NewID(), c.Visitor, email, address.ID, in, m.ID, c.ClientID, db.Micro(now))
	if err != nil {
		return fmt.Errorf("note a visitor's mail: %w", err)
	}
	return nil
}

// MailedTo gives the address to which a visitor last had a mail sent, and when; "" if there was none.
func MailedTo(ctx context.Context, q db.Querier, visitor string) (email string, at time.Time, err error) {
	var micro int64
	rows, err := q.Query(ctx, `SELECT email, at FROM chat_mail WHERE org = $1 AND visitor = $2 ORDER BY at DESC LIMIT 1`, visitor)
	err = db.Each(rows, err, func() error { return rows.Scan(&email, &micro) })
	if err != nil {
		return "", at, fmt.Errorf("read a visitor's mails: %w", err)
	}
	return email, db.Time(micro), nil
}
