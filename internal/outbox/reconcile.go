package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
)

// Providers without an idempotency key, but with a list of what they accepted, are asked about what is uncertain.

const (
	askFor  = 24 * time.Hour // after that a person decides
	askMost = 20             // in one sweep
	askWait = 30 * time.Second
)

// reconcile asks the providers of uncertain deliveries what became of them. It never sends anything.
func (o *Outbox) reconcile(ctx context.Context) error {
	type open struct{ org, id, channel string }
	var found []open
	now := o.now()
	rows, err := o.db.Global(ctx, db.LookupDue, `SELECT org, id, channel FROM delivery WHERE state = 'uncertain' AND handled = 0 AND updated_at > $1 ORDER BY id LIMIT 200`, now.Add(-askFor).UnixMicro())
	err = db.Each(rows, err, func() error {
		var d open
		err := rows.Scan(&d.org, &d.id, &d.channel)
		found = append(found, d)
		return err
	})
	if err != nil {
		return fmt.Errorf("find uncertain deliveries: %w", err)
	}
	asked := 0
	for _, d := range found {
		c, err := o.accounts.Get(d.org, d.channel)
		if err != nil || asked >= askMost {
			continue
		}
		r, ok := o.accounts.Driver(c.Kind).(channel.Reconciler)
		if !ok || !o.mayAsk(d.id) {
			continue
		}
		asked++
		if err := o.askAbout(ctx, r, d.org, d.id); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		o.mu.Lock()
		clear(o.asked)
		o.mu.Unlock()
	}
	return nil
}

// mayAsk lets a delivery be asked about now and then, with growing pauses.
func (o *Outbox) mayAsk(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asked == nil {
		o.asked = map[string]question{}
	}
	q := o.asked[id]
	if time.Now().Before(q.next) {
		return false
	}
	q.wait = min(max(2*q.wait, askWait), time.Hour)
	q.next = time.Now().Add(q.wait)
	o.asked[id] = q
	return true
}

// question is when to ask about a delivery again.
type question struct {
	next time.Time
	wait time.Duration
}

func (o *Outbox) askAbout(ctx context.Context, r channel.Reconciler, orgID, id string) error {
	org := o.db.Org(orgID)
	d, err := one(ctx, org, `id = $2`, id)
	if err != nil || d.State != channel.Uncertain || d.Handled {
		return ignore(err)
	}
	c, out, refuse, err := o.compose(ctx, org, d)
	if err != nil || refuse != nil {
		return err
	}
	acct := c.Account
	ask, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	receipt, state, err := r.Reconcile(ask, acct, out, channel.Attempt{Began: d.CreatedAt, Ended: d.UpdatedAt, Taken: func(external string) bool {
		var other string
		err := org.Row(ctx, `SELECT id FROM delivery WHERE org = $1 AND channel = $2 AND external_id = $3`, d.Channel, external).Scan(&other)
		return err == nil && other != d.ID
	}}, o.env(acct))
	if err != nil {
		if !errors.Is(err, channel.ErrNotListed) {
			o.log.Warn("what became of a delivery is still uncertain", "delivery", id, "error", err)
		}
		return nil
	}
	return org.Write(ctx, func(tx *db.Tx) error {
		d, err := one(ctx, tx, `id = $2`+tx.ForUpdate(), id)
		if err != nil || d.State != channel.Uncertain || d.Handled {
			return ignore(err)
		}
		if d.ExternalID == "" {
			d.ExternalID = receipt.ExternalID
			if err := conversation.SetExternalID(ctx, tx, d.Message, receipt.ExternalID); err != nil {
				return err
			}
		}
		_, err = Apply(ctx, tx, d.Channel, channel.Status{DeliveryID: d.ID, ExternalID: receipt.ExternalID, State: state}, o.now())
		return err
	})
}

func ignore(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
