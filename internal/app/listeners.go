package app

import (
	"context"
	"errors"
	"fmt"
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
			if c, ok := want[id]; !ok || !a.Accounts.Same(id, r.settings, c.Settings) {
				r.cancel()
				delete(now, id)
			} else {
				now[id] = running{c.Settings, r.cancel}
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
	if fresh, err := a.Accounts.Get(c.Org, c.ID); err == nil {
		c = fresh // with what its driver renewed
	}
	d := a.Accounts.Driver(c.Kind)
	l, listens := d.(channel.Listener)
	p, probes := d.(channel.Prober)
	var said error // what asking the provider says
	if probes {
		said = a.ask(ctx, p, c)
		switch {
		case ctx.Err() != nil:
			return nil
		case said != nil && !listens:
			return said
		case said != nil:
			// What can be received is received all the same: the outgoing server may be the one in trouble.
			a.Core.Log.Warn("a channel is in trouble; it listens all the same", "channel", c.ID, "kind", string(c.Kind), "error", said)
		}
		if err := a.trouble(ctx, c, said); err != nil {
			return err
		}
	}
	if _, ok := d.(channel.Templater); ok && said == nil {
		if err := a.askTemplates(ctx, c); err != nil && ctx.Err() == nil {
			a.Core.Log.Warn("the templates of a channel are not known", "channel", c.ID, "kind", string(c.Kind), "error", err)
		}
	}
	if !listens {
		sleep(ctx, 5*time.Minute)
		return nil
	}
	cursor, err := a.Accounts.Cursor(ctx, c.Org, c.ID)
	if err != nil {
		return err
	}
	wctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	if probes {
		watching.Go(func() { said = a.watch(wctx, p, c, said) })
	}
	err = l.Listen(ctx, c.Account, cursor, a.env(c.Account), func(ctx context.Context, in channel.Inbound) error {
		_, err := a.Intake.Accept(ctx, c.Account, in)
		return err
	})
	stop()
	watching.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil && said != nil {
		err = errors.Join(said, err) // people read the first one, and not now this and now that
	}
	return err
}

// ask asks a channel's provider whether it works.
func (a *App) ask(ctx context.Context, p channel.Prober, c account.Channel) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the driver crashed: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return p.Probe(ctx, c.Account, a.env(c.Account))
}

// watch asks again and again while the channel's driver listens, as a listener need not notice that sending has ceased
// to work. last is what asking said before; it gives what asking said last.
func (a *App) watch(ctx context.Context, p channel.Prober, c account.Channel, last error) error {
	for {
		pause := 4 * time.Minute
		if last != nil {
			pause = time.Minute
		}
		if sleep(ctx, pause); ctx.Err() != nil {
			return last
		}
		err := a.ask(ctx, p, c)
		if ctx.Err() != nil {
			return last
		}
		if (err == nil) != (last == nil) {
			a.Core.Log.Info("a channel's health has changed", "channel", c.ID, "kind", string(c.Kind), "error", err)
		}
		if rerr := a.trouble(ctx, c, err); rerr != nil {
			a.Core.Log.Warn("health of a channel could not be recorded", "channel", c.ID, "error", rerr)
		}
		last = err
	}
}

// renewer lets a driver keep what its provider renewed.
func (a *App) renewer(acct channel.Account) func(context.Context, string, string, func(string) bool) error {
	return func(ctx context.Context, key, value string, replaces func(string) bool) error {
		return a.Accounts.Renew(ctx, acct.Org, acct.ID, key, value, replaces)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
