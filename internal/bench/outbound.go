package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/discord/discordsim"
	"github.com/rufweite/rufweite/internal/channel/line/linesim"
	"github.com/rufweite/rufweite/internal/channel/messenger/messengersim"
	"github.com/rufweite/rufweite/internal/channel/rcs/rcssim"
	"github.com/rufweite/rufweite/internal/channel/slack/slacksim"
	"github.com/rufweite/rufweite/internal/channel/smpp/smppsim"
	"github.com/rufweite/rufweite/internal/channel/teams/teamssim"
	"github.com/rufweite/rufweite/internal/channel/twilio/twiliosim"
	"github.com/rufweite/rufweite/internal/channel/viber/vibersim"
	"github.com/rufweite/rufweite/internal/channel/vonage/vonagesim"
	"github.com/rufweite/rufweite/internal/channel/webhook/webhooksim"
	"github.com/rufweite/rufweite/internal/channel/whatsapp/whatsappsim"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
)

// providers are simulated ones at work: served on loopback, with a channel for each.
type providers struct {
	*house
	sims     map[channel.Kind]channelsim.Sim
	channels map[channel.Kind]account.Channel
	server   *http.Server
}

func openProviders(ctx context.Context, o Options, sims ...channelsim.Sim) (*providers, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	p := &providers{sims: map[channel.Kind]channelsim.Sim{}, channels: map[channel.Kind]account.Channel{}, server: &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}}
	for _, s := range sims {
		p.sims[s.Kind()] = s
		mux.Handle("/"+string(s.Kind())+"/", http.StripPrefix("/"+string(s.Kind()), s))
	}
	go func() { _ = p.server.Serve(l) }() // ends with close
	a, err := app.Start(ctx, app.Config{Dir: o.Dir, Postgres: o.Postgres, Listen: "127.0.0.1:0", AllowPrivate: true, Now: time.Now})
	if err != nil {
		return nil, errors.Join(err, p.server.Close())
	}
	p.house = &house{app: a}
	for kind, s := range p.sims {
		c, err := a.Accounts.Create(ctx, org.Default, kind, string(kind), s.Settings("http://"+l.Addr().String()+"/"+string(kind)), "en", time.Now())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("channel %s: %w", kind, err), p.close())
		}
		p.channels[kind] = c
		s.Connect("http://" + a.HTTPAddr() + "/in/" + string(kind) + "/" + c.ID)
	}
	return p, nil
}

func (p *providers) close() error {
	err := p.app.Close()
	for _, s := range p.sims {
		s.Close()
	}
	return errors.Join(err, p.server.Close())
}

// arrive lets n people write on a channel and waits until each has a conversation.
func (p *providers) arrive(ctx context.Context, kind channel.Kind, n int) ([]conversation.Row, error) {
	for i := range n {
		if _, err := p.sims[kind].Person(fmt.Sprintf("Kunde %d", i)).Write("Guten Tag, ich habe eine Frage.", ""); err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
	}
	o := p.app.DB.Org(org.Default)
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var rows []conversation.Row
		for cursor := ""; ; {
			page, next, err := conversation.List(ctx, o, conversation.Filter{Status: conversation.Open, Kind: kind}, "", cursor, 200)
			if err != nil {
				return nil, err
			}
			if rows = append(rows, page...); next == "" {
				break
			}
			cursor = next
		}
		if len(rows) >= n {
			return rows, nil
		}
		if time.Since(start) > 2*time.Minute {
			return nil, fmt.Errorf("%s: %d of %d people arrived", kind, len(rows), n)
		}
	}
}

// answer queues one answer to each conversation.
func (p *providers) answer(ctx context.Context, rows []conversation.Row, text string) error {
	o := p.app.DB.Org(org.Default)
	for len(rows) > 0 {
		part := rows[:min(len(rows), 200)]
		rows = rows[len(part):]
		err := o.Write(ctx, func(tx *db.Tx) error {
			ids := make([]string, len(part))
			for i, r := range part {
				ids[i] = r.Address
			}
			addresses, err := customer.AddressesByID(ctx, tx, ids)
			if err != nil {
				return err
			}
			for _, r := range part {
				a := addresses[r.Address]
				if _, _, err := p.app.Outbox.Send(ctx, tx, outbox.Request{Conversation: r.ID, Out: conversation.Out{Author: channel.Staff, By: conversation.Actor{Name: "Miriam Berger"},
					Channel: p.channels[r.ChannelKind].Account, Address: a.ID, AddressValue: a.Value, Text: text}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// accepted waits until a provider has accepted n messages, and gives the time from the first to the last.
func (p *providers) accepted(ctx context.Context, kind channel.Kind, n int) (first, last time.Time, err error) {
	b := p.sims[kind].Common()
	count := func() (n int) {
		for _, a := range b.Ledger() {
			if a.Op == "message" || a.Op == "" {
				if n == 0 {
					first = a.At
				}
				n++
				last = a.At
			}
		}
		return n
	}
	wait, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for count() < n {
		select {
		case <-wait.Done():
			return first, last, fmt.Errorf("%s: %d of %d were accepted; limits broken: %v", kind, count(), n, b.Oversteps())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return first, last, nil
}

// Outbound measures deliveries through providers that take 50 ms for each answer.
func Outbound(ctx context.Context, o Options) error {
	const latency, each = 50 * time.Millisecond, 3000
	// Their limits are those of the drivers' pace: LINE 2,000/s, the two of Meta 300/s, RCS publishes none.
	sims := []channelsim.Sim{linesim.New(linesim.Options{PerSecond: -1}), messengersim.New(messengersim.Options{PerSecond: -1}), messengersim.NewInstagram(messengersim.Options{PerSecond: -1}), rcssim.New(rcssim.Options{PerSecond: -1})}
	p, err := openProviders(ctx, o, sims...)
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	var all []conversation.Row
	size := map[channel.Kind]int{"line": each, "rcs": each, "messenger": each / 4, "instagram": each / 4}
	for kind, n := range size {
		rows, err := p.arrive(ctx, kind, n)
		if err != nil {
			return err
		}
		all = append(all, rows...)
	}
	for _, s := range sims {
		s.Common().Latency = latency
	}
	start := time.Now()
	if err := p.answer(ctx, all, "Guten Tag! Frau Berger meldet sich heute noch bei Ihnen."); err != nil {
		return err
	}
	queued := time.Since(start)
	n := 0
	for kind, want := range size {
		if _, _, err := p.accepted(ctx, kind, want); err != nil {
			return err
		}
		n += want
	}
	took := time.Since(start)
	fmt.Fprintf(o.Out, "outbound, %s: %.0f deliveries/s through 4 providers that take %v each (%d in %.1f s; queued in %.1f s)\n", engine(o), float64(n)/took.Seconds(), latency, n, took.Seconds(), queued.Seconds())
	return nil
}

// Limits shows for each provider how much of its published allowance is used and that none is exceeded: the simulators
// refuse what is too fast, and keep a list of it.
func Limits(ctx context.Context, o Options) error {
	sims := []channelsim.Sim{
		whatsappsim.New(whatsappsim.Options{}), messengersim.New(messengersim.Options{}), messengersim.NewInstagram(messengersim.Options{}), vibersim.New(vibersim.Options{}), linesim.New(linesim.Options{}),
		twiliosim.New(nil), vonagesim.New(nil), smppsim.New(smppsim.Options{}), slacksim.New(nil), teamssim.New(nil), discordsim.New(discordsim.Options{}), webhooksim.New(webhooksim.Options{}),
	}
	p, err := openProviders(ctx, o, sims...)
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	fmt.Fprintf(o.Out, "%-10s %12s %10s %6s %s\n", "channel", "allowed/s", "sent/s", "used", "refused for speed")
	for _, s := range sims {
		kind := s.Kind()
		var per time.Duration
		switch d := p.app.Accounts.Driver(kind).(type) {
		case channel.PacedBySettings:
			per, _ = d.PaceOf(p.channels[kind].Settings)
		case channel.Paced:
			per, _ = d.Pace()
		}
		if per == 0 {
			fmt.Fprintf(o.Out, "%-10s %12s\n", kind, "no pace")
			continue
		}
		rate := float64(time.Second) / float64(per)
		n := int(min(max(4*rate, 12), 1500)) // a few seconds, without the burst that a bucket may give at the beginning
		rows, err := p.arrive(ctx, kind, n)
		if err != nil {
			return err
		}
		before := 0
		for _, a := range s.Common().Ledger() {
			if a.Op == "message" || a.Op == "" {
				before++
			}
		}
		if err := p.answer(ctx, rows, "Guten Tag!"); err != nil {
			return err
		}
		first, last, err := p.accepted(ctx, kind, before+n)
		if err != nil {
			return err
		}
		sent := float64(n-1) / last.Sub(first).Seconds()
		fmt.Fprintf(o.Out, "%-10s %12.1f %10.1f %5.0f%% %d\n", kind, rate, sent, 100*sent/rate, len(s.Common().Oversteps()))
	}
	return nil
}
