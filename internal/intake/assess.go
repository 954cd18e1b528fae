package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
)

const (
	assessTimeout  = 2 * time.Second // budget of one judgement (architecture.md, "The way of a message in")
	assessAtOnce   = 8
	assessAttempts = 12 // with the waits between them: about two days
)

// toAssess notes that a message's sender is still to be judged. Until then it counts as claimed, and nobody waits.
func (i *Intake) toAssess(ctx context.Context, tx *db.Tx, it *item, m conversation.Message) error {
	if _, ok := i.Accounts.Driver(it.acct.Kind).(channel.Assessor); !ok || i.Env(it.acct).DNS == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO assessment (org, message, channel, address, raw, attempts, next_at) VALUES ($1,$2,$3,$4,$5,0,0) ON CONFLICT (org, message) DO NOTHING`, m.ID, it.channel, m.Address, it.raw)
	if err != nil {
		return fmt.Errorf("note a sender to be judged: %w", err)
	}
	tx.OnCommit(i.senders.wake)
	return nil
}

type unjudged struct {
	message, channel, address, raw string
	attempts                       int64
}

// assessOnce judges senders: after the acknowledgement, with a budget, and again when the network failed.
func (i *Intake) assessOnce(ctx context.Context) error {
	orgs, err := org.All(ctx, i.DB)
	if err != nil {
		return err
	}
	for _, v := range orgs {
		o := i.DB.Org(v.ID)
		var list []unjudged
		rows, err := o.Query(ctx, `SELECT message, channel, address, raw, attempts FROM assessment WHERE org = $1 AND next_at <= $2 ORDER BY next_at, message LIMIT $3`, i.Now().UnixMicro(), assessAtOnce)
		err = db.Each(rows, err, func() error {
			var u unjudged
			err := rows.Scan(&u.message, &u.channel, &u.address, &u.raw, &u.attempts)
			list = append(list, u)
			return err
		})
		if err != nil {
			return fmt.Errorf("list senders to be judged: %w", err)
		}
		errs := make(chan error, len(list))
		for _, u := range list {
			go func() { errs <- i.judge(ctx, o, u) }()
		}
		for range list {
			err = errors.Join(err, <-errs)
		}
		if err != nil {
			return err
		}
		if len(list) == assessAtOnce {
			i.senders.wake()
		}
	}
	return nil
}

// judge finds out about one sender and records it. What could not be found out for a while is asked again later.
func (i *Intake) judge(ctx context.Context, o db.Org, u unjudged) error {
	done := func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM assessment WHERE org = $1 AND message = $2`, u.message)
		return err
	}
	m, err := conversation.MessageByID(ctx, o, u.message)
	if errors.Is(err, conversation.ErrNoSuch) {
		return o.WriteBehind(ctx, done)
	}
	if err != nil {
		return err
	}
	a, err := i.ask(ctx, o, u, m)
	if ctx.Err() != nil {
		return nil
	}
	if errors.Is(err, db.ErrUnavailable) {
		return err
	}
	later := err == nil && a.Temporary && u.attempts+1 < assessAttempts
	if err != nil {
		i.Log.Warn("a sender cannot be judged", "message", u.message, "error", err)
		a = channel.Assessment{Assurance: channel.Claimed, Result: "none"}
	}
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return o.WriteBehind(ctx, func(tx *db.Tx) error {
		if err := conversation.Judged(ctx, tx, u.message, a.Assurance, string(b)); err != nil {
			return err
		}
		if a.Assurance != channel.Claimed {
			if err := customer.Observed(ctx, tx, u.address); err != nil {
				return err
			}
		}
		if !later {
			return done(tx)
		}
		wait := min(time.Minute<<min(u.attempts, 10), 8*time.Hour)
		_, err := tx.Exec(ctx, `UPDATE assessment SET attempts = attempts + 1, next_at = $3 WHERE org = $1 AND message = $2`, u.message, i.Now().Add(wait).UnixMicro())
		return err
	})
}

func (i *Intake) ask(ctx context.Context, o db.Org, u unjudged, m conversation.Message) (a channel.Assessment, err error) {
	c, err := i.Accounts.Get(o.ID, u.channel)
	if err != nil {
		return a, err
	}
	d, ok := i.Accounts.Driver(c.Kind).(channel.Assessor)
	if !ok {
		return a, fmt.Errorf("the %s driver judges nobody", c.Kind)
	}
	raw, _, err := i.Raw(ctx, o, u.raw)
	if err != nil {
		return a, fmt.Errorf("read the raw body: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the driver crashed: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, assessTimeout)
	defer cancel()
	e := channel.Event{Type: channel.MessageEvent, Sender: channel.Address{Value: m.AddressValue}, At: m.At, Message: &channel.Message{ExternalID: m.ExternalID, From: m.Headers.From, Subject: m.Subject}}
	return d.Assess(ctx, c.Account, raw, e, i.Env(c.Account))
}
