package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
)

// runListeners keeps one listener running for every enabled channel whose driver fetches by itself, and asks the
// providers of the others now and then whether they still work. Changed settings restart a listener.
func (a *App) runListeners(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	a.Accounts.OnChange(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	type running struct {
		settings channel.Settings
		cancel   context.CancelFunc
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	now := map[string]running{}
	for {
		want := map[string]account.Channel{}
		for _, c := range a.Accounts.All() {
			if d := a.Accounts.Driver(c.Kind); c.Enabled && d != nil {
				want[c.ID] = c
			}
		}
		for id, r := range now {
			if c, ok := want[id]; !ok || !maps.Equal(c.Settings, r.settings) {
				r.cancel()
				delete(now, id)
			}
		}
		for id, c := range want {
			if _, ok := now[id]; !ok {
				lctx, cancel := context.WithCancel(ctx)
				now[id] = running{c.Settings, cancel}
				wg.Go(func() { a.tend(lctx, c) })
			}
		}
		select {
		case <-ctx.Done():
			for _, r := range now {
				r.cancel()
			}
			return nil
		case <-changed:
		}
	}
}

// tend looks after one channel until ctx ends. Of several nodes only one does.
func (a *App) tend(ctx context.Context, c account.Channel) {
	wait := time.Second
	for ctx.Err() == nil {
		release, ok, err := a.DB.Lead(ctx, "channel "+c.ID)
		if err != nil && ctx.Err() == nil {
			a.Core.Log.Warn("a channel could not be taken over; trying again", "channel", c.ID, "error", err)
		}
		if err != nil || !ok {
			sleep(ctx, 5*time.Second)
			continue
		}
		started := time.Now()
		err = a.tendOnce(ctx, c)
		release()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.Core.Log.Warn("a channel is in trouble; trying again", "channel", c.ID, "kind", string(c.Kind), "error", err)
			if rerr := a.trouble(ctx, c, err); rerr != nil {
				a.Core.Log.Warn("health of a channel could not be recorded", "channel", c.ID, "error", rerr)
			}
		}
		if time.Since(started) > time.Minute {
			wait = time.Second
		}
		sleep(ctx, wait)
		wait = min(2*wait, 2*time.Minute)
	}
}

func (a *App) tendOnce(ctx context.Context, c account.Channel) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the driver crashed: %v", p)
		}
	}()
	d := a.Accounts.Driver(c.Kind)
	if p, ok := d.(channel.Prober); ok {
		pctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := p.Probe(pctx, c.Account, a.env(c.Account))
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.trouble(ctx, c, nil); err != nil {
			return err
		}
	}
	l, ok := d.(channel.Listener)
	if !ok {
		sleep(ctx, 5*time.Minute)
		return nil
	}
	cursor, err := a.Accounts.Cursor(ctx, c.Org, c.ID)
	if err != nil {
		return err
	}
	err = l.Listen(ctx, c.Account, cursor, a.env(c.Account), func(ctx context.Context, in channel.Inbound) error {
		_, err := a.Intake.Accept(ctx, c.Account, in)
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
