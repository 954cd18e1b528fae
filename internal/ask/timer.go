package ask

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
)

// look makes Run look for what is due now.
func (s *Store) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run reminds and lets expire what is due, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
		wait := time.Second
		n, err := s.Due(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.Log.Error("questions that are due could not be looked at; trying again", "error", err)
		case n == dueAtOnce:
			wait = 0
		}
		timer.Reset(wait)
	}
}

// Due reminds of and lets expire up to a batch of what is due and tells how many there were. Each is a transaction of its
// own and looks again whether it is still due: nodes may do this at the same time, and a kill in between loses nothing.
func (s *Store) Due(ctx context.Context) (int, error) {
	type ref struct{ org, id string }
	var found []ref
	rows, err := s.DB.Global(ctx, db.LookupTimers, `SELECT org, id FROM ask WHERE due_at > 0 AND due_at <= $1 ORDER BY due_at LIMIT $2`, s.Now().UnixMicro(), dueAtOnce)
	err = db.Each(rows, err, func() error {
		var r ref
		err := rows.Scan(&r.org, &r.id)
		found = append(found, r)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find questions that are due: %w", err)
	}
	var errs []error
	for _, r := range found {
		err := s.DB.Org(r.org).Write(ctx, func(tx *db.Tx) error { return s.due(ctx, tx, r.id) })
		if errors.Is(err, db.ErrUnavailable) {
			return 0, err
		}
		if err != nil { // it keeps nobody else waiting; it is tried again in an hour and told
			errs = append(errs, fmt.Errorf("question %s: %w", r.id, err))
			errs = append(errs, s.DB.Org(r.org).Write(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE ask SET due_at = $3 WHERE org = $1 AND id = $2 AND state = 'open'`, r.id, s.Now().Add(time.Hour).UnixMicro())
				return err
			}))
		}
	}
	return len(found), errors.Join(errs...)
}

func (s *Store) due(ctx context.Context, tx *db.Tx, id string) error {
	a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), id)
	now := s.Now()
	if errors.Is(err, ErrNotFound) || err == nil && (a.State != Open || a.DueAt.IsZero() || a.DueAt.After(now)) {
		return nil
	}
	if err != nil {
		return err
	}
	if now.Before(a.ExpiresAt) {
		return s.remind(ctx, tx, a)
	}
	if a.Ask.Default != nil {
		v := *a.Ask.Default
		v.Defaulted = true
		_, err := s.finish(ctx, tx, a, Outcome{Value: v, Confidence: 1, Reading: "default"}, answerer{kind: "default"}, conversation.Message{})
		return err
	}
	if err := s.end(ctx, tx, &a, Expired); err != nil {
		return err
	}
	if a.Instance != "" {
		return s.then(ctx, tx, a, Result{What: RanOut, Asked: a})
	}
	return conversation.Attend(ctx, tx, a.Conversation, true, conversation.Event{Type: "ask_expired", To: a.Short()}, now)
}

// remind says the question once more, where it was put last.
func (s *Store) remind(ctx context.Context, tx *db.Tx, a Asked) error {
	now := s.Now()
	if _, err := tx.Exec(ctx, `UPDATE ask SET due_at = expires_at, reminded_at = $3, updated_at = $3 WHERE org = $1 AND id = $2`, a.ID, db.Micro(now)); err != nil {
		return fmt.Errorf("note a reminder: %w", err)
	}
	ch, err := s.Accounts.Get(tx.Org(), a.Channel)
	if err != nil {
		return nil //nolint:nilerr // the channel is gone: the question stays open elsewhere and expires in its time
	}
	addr, err := customer.AddressByID(ctx, tx, a.Address)
	if errors.Is(err, customer.ErrNotFound) || err == nil && !addr.OptedOutAt.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	say := Say{Text: Texts{a.Language: Words{Text: pick(a.Language, "Zur Erinnerung:", "A reminder:")}}, Person: true}
	author, by := channel.Machine, conversation.Actor{}
	_, err = s.Again(ctx, tx, a, say, ch, addr, author, by)
	return err
}
