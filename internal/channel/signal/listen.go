package signal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const (
	pingEvery  = time.Minute
	silenceMax = 150 * time.Second // two pings without an answer: the connection is dead
	drainTime  = 5 * time.Second   // for what is on its way when listening ends
	storeTime  = 30 * time.Second  // a message that is on its way is stored even if listening ends
)

// Listen implements channel.Listener: it subscribes and stores what comes, one after the other.
//
// The daemon has no acknowledgement: it deletes a message once it is written to our connection. So nothing is read before
// the last message is stored (the daemon then waits, and leaves the next ones with Signal), what cannot be stored is tried
// again and again, and the subscription is ended before the connection. What remains at risk is what lies in the
// connection's buffers while this process dies.
func (d Driver) Listen(ctx context.Context, a channel.Account, _ string, env channel.Env, sink channel.Sink) error {
	l, err := dial(ctx, a, env)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return unreachable(err)
	}
	defer l.Close()
	account := map[string]any{"account": a.Settings["account"]}
	if err := l.request("subscribe", "subscribeReceive", account); err != nil {
		return unreachable(err)
	}
	var ending atomic.Bool
	var subscription atomic.Value // json.RawMessage
	stop := context.AfterFunc(ctx, func() {
		ending.Store(true)
		_ = l.SetReadDeadline(time.Now().Add(drainTime))
		params := map[string]any{"account": a.Settings["account"]}
		if s, ok := subscription.Load().(json.RawMessage); ok {
			params["subscription"] = s
		}
		_ = l.SetWriteDeadline(time.Now().Add(drainTime))
		if l.request("unsubscribe", "unsubscribeReceive", params) != nil {
			_ = l.Close()
		}
	})
	defer stop()
	pings := time.NewTicker(pingEvery)
	defer pings.Stop()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-pings.C:
				_ = l.request("ping", "version", account)
			}
		}
	}()
	warned := false
	for {
		if !ending.Load() {
			_ = l.SetReadDeadline(time.Now().Add(silenceMax))
			if ending.Load() {
				_ = l.SetReadDeadline(time.Now().Add(drainTime))
			}
		}
		raw, m, err := l.next()
		switch {
		case errors.Is(err, errLine):
			if err := d.store(ctx, a, env, sink, channel.Inbound{Raw: raw, Type: "application/json", Err: err.Error()}); err != nil {
				return err
			}
			continue
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return unreachable(fmt.Errorf("the connection to signal-cli ended: %w", err))
		case m.Method == "":
			var id string
			_ = json.Unmarshal(m.ID, &id)
			switch {
			case id == "unsubscribe":
				return ctx.Err()
			case id == "subscribe" && m.Error != nil:
				return rejected(m.Error)
			case id == "subscribe":
				subscription.Store(bytes.Clone(m.Result))
			}
			continue
		case m.Method != "receive":
			continue // callEvent and what else we did not subscribe to
		}
		if !warned && !bytes.Contains(m.Params, []byte(`"subscription"`)) {
			warned = true
			env.Log.Warn("signal-cli hands messages to every connection: start its daemon with --receive-mode=manual, or messages get lost", "channel", a.ID)
		}
		in := channel.Inbound{Raw: raw, Type: "application/json"}
		if in.Events, err = parse(raw); err != nil {
			in.Err = err.Error()
		} else if len(in.Events) == 0 || foreign(in.Events[0].Account, a.Settings["account"]) {
			continue
		}
		if err := d.store(ctx, a, env, sink, in); err != nil {
			return err
		}
	}
}

// foreign reports whether a notification is about another account of the same daemon, which only happens without a
// subscription.
func foreign(named, account string) bool {
	return named != "" && named != account && strings.HasPrefix(named, "+") == strings.HasPrefix(account, "+")
}

// store hands over what the daemon has forgotten already: it is tried until it works.
func (Driver) store(ctx context.Context, a channel.Account, env channel.Env, sink channel.Sink, in channel.Inbound) error {
	pause := 100 * time.Millisecond
	for {
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		err := sink(try, in)
		cancel()
		if err == nil {
			return nil
		}
		env.Log.Error("a message from Signal could not be stored; trying again", "channel", a.ID, "error", err)
		if ctx.Err() != nil && pause > time.Second {
			return fmt.Errorf("a message from Signal is lost: %w", err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			<-t.C
		}
		pause = min(2*pause, 30*time.Second)
		if ctx.Err() != nil {
			pause = max(pause, 2*time.Second) // once more, then it has to end
		}
	}
}

// rejected says what a person can do about an account that the daemon does not serve.
func rejected(e *rpcError) error {
	if e.Code == noMethod {
		return &channel.Trouble{Err: e,
			Reason: channel.Text{DE: "Der Dienst signal-cli ist zu alt.", EN: "The signal-cli daemon is too old."},
			Remedy: channel.Text{DE: "Nötig ist Version 0.12 oder neuer.", EN: "It takes version 0.12 or newer."}}
	}
	return &channel.Trouble{Err: e,
		Reason: channel.Text{DE: "Der Dienst signal-cli führt dieses Konto nicht.", EN: "The signal-cli daemon does not serve this account."},
		Remedy: channel.Text{
			DE: "Prüfen Sie account mit signal-cli listAccounts; ist das Gerät abgemeldet, koppeln Sie es neu (signal-cli link).",
			EN: "Check account with signal-cli listAccounts; if the device was unlinked, link it anew (signal-cli link).",
		}}
}

// Probe implements channel.Prober: listDevices asks Signal with the account's credentials and changes nothing.
// (getUserStatus would use up the allowance of look-ups.)
func (d Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	if err := d.Check(a.Settings); err != nil {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Die Einstellungen sind unvollständig.", EN: "The settings are incomplete."},
			Remedy: channel.Text{DE: "Einstellung berichtigen: " + err.Error(), EN: "Mend the setting: " + err.Error()},
			Err:    err,
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	params := map[string]any{"account": a.Settings["account"]}
	_, _, err := call(ctx, a, env, "listDevices", func(l *link, id string) error { return l.request(id, "listDevices", params) })
	var answered *rpcError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered) && answered.Code == ioError && !strings.Contains(strings.ToLower(answered.Message), "authorization"):
		return &channel.Trouble{Err: err,
			Reason: channel.Text{DE: "Der Dienst signal-cli erreicht Signal nicht.", EN: "The signal-cli daemon does not reach Signal."},
			Remedy: channel.Text{DE: "Prüfen Sie seinen Weg ins Internet; es wird weiter versucht.", EN: "Check its way to the internet; it keeps trying."}}
	case errors.As(err, &answered):
		return rejected(answered)
	}
	return unreachable(err)
}
