package sim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// phone is one provider's app, on every customer's phone.
type phone struct {
	sim    channelsim.Sim
	kind   channel.Kind
	people map[string]channelsim.Person // by Customer.ID
	seen   map[string]int               // how much of each inbox is in the ledger
}

// mount makes a provider's API reachable below /{kind}/ and reads what arrives there.
func (p *Providers) mount(mux *http.ServeMux, s channelsim.Sim) {
	kind := s.Kind()
	mux.Handle("/"+string(kind)+"/", http.StripPrefix("/"+string(kind), s))
	f := &phone{sim: s, kind: kind, people: map[string]channelsim.Person{}, seen: map[string]int{}}
	p.phones[kind] = f
	p.work.Go(func() { p.watchPhone(f) })
}

// PhoneKinds are the media of the mounted providers, in their order.
func (p *Providers) PhoneKinds() []channel.Kind {
	var out []channel.Kind
	for _, s := range p.options.Phones {
		out = append(out, s.Kind())
	}
	return out
}

// PhoneSettings are the settings of the company's account at a mounted provider.
func (p *Providers) PhoneSettings(kind channel.Kind) channel.Settings {
	f := p.phones[kind]
	if f == nil {
		return nil
	}
	return f.sim.Settings(p.base + "/" + string(kind))
}

// ConnectPhone tells a provider where the company's webhook is.
func (p *Providers) ConnectPhone(kind channel.Kind, hook string) {
	if f := p.phones[kind]; f != nil {
		f.sim.Connect(hook)
	}
}

// Oversteps says how the company broke the providers' limits, by kind.
func (p *Providers) Oversteps() map[channel.Kind][]string {
	out := map[channel.Kind][]string{}
	for kind, f := range p.phones {
		if list := f.sim.Common().Oversteps(); len(list) > 0 {
			out[kind] = list
		}
	}
	return out
}

// Call gives the app of a kind to a customer; nil if there is none.
func (p *Providers) person(kind channel.Kind, c *Customer) channelsim.Person {
	f := p.phones[kind]
	if f == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	who := f.people[c.ID]
	if who == nil {
		who = f.sim.Person(c.Name)
		f.people[c.ID] = who
	}
	return who
}

// Read opens a customer's chat on a phone, so that its provider reports it as read, where there is such a thing.
func (p *Providers) Read(customer string, kind channel.Kind) {
	p.mu.Lock()
	d := p.devices[customer]
	p.mu.Unlock()
	if d == nil || !slices.Contains(d.customer.Phones, kind) {
		return
	}
	if who := p.person(kind, d.customer); who != nil {
		_ = who.Read() // a medium without such reports has nothing to say
	}
}

// watchPhone keeps what arrives in anybody's app of one kind.
func (p *Providers) watchPhone(f *phone) {
	fresh := func() (who string, list []channelsim.Message) {
		p.mu.Lock()
		people := make(map[string]channelsim.Person, len(f.people))
		for id, w := range f.people {
			people[id] = w
		}
		p.mu.Unlock()
		for id, w := range people {
			if in := w.Inbox(); len(in) > f.seen[id] {
				return id, in[f.seen[id]:]
			}
		}
		return "", nil
	}
	for f.sim.Common().Wait(p.ctx, func() bool { who, _ := fresh(); return who != "" }) {
		who, list := fresh()
		if who == "" {
			return // closed
		}
		p.mu.Lock()
		d := p.devices[who]
		p.mu.Unlock()
		for _, m := range list {
			l := Line{Channel: f.kind, In: true, Ref: m.Ref, Text: m.Text, Subject: m.Title, Parent: m.ReplyTo, Menu: m.Menu, At: m.At}
			for _, o := range m.Choices {
				l.Choices = append(l.Choices, Choice{Label: o.Label, Data: o.Data, Description: o.Description})
			}
			for _, x := range m.Files {
				l.Files = append(l.Files, File(x))
			}
			p.keep(d, l)
		}
		f.seen[who] += len(list)
	}
}

// doPhone carries out what a customer does in an app.
func (p *Providers) doPhone(_ context.Context, d *device, a Act) (Line, error) {
	who := p.person(a.Channel, d.customer)
	if who == nil {
		return Line{}, fmt.Errorf("%s on %s: %w", a.Customer, a.Channel, ErrNoChannel)
	}
	target, ok := p.Line(a.Customer, a.Target)
	if a.Target != "" && (!ok || target.Channel != a.Channel) || a.Target == "" && slices.Contains([]ActKind{Edit, React, Press}, a.Kind) {
		return Line{}, fmt.Errorf("message %q of %s: %w", a.Target, a.Customer, ErrNoLine)
	}
	wrap := func(err error) error {
		if errors.Is(err, channelsim.ErrNothing) {
			return fmt.Errorf("message %q of %s: %w", a.Target, a.Customer, ErrNoLine)
		}
		return err
	}
	switch a.Kind {
	case Join:
		return Line{}, wrap(who.Open(a.Text))
	case Edit:
		if err := who.Edit(target.Ref, a.Text); err != nil {
			return Line{}, wrap(err)
		}
		return p.change(a.Customer, a.Target, func(l *Line) { l.Text, l.Edited = a.Text, true })
	case Press:
		if err := who.Press(target.Ref, a.Text); err != nil {
			return Line{}, wrap(err)
		}
		return p.change(a.Customer, a.Target, func(l *Line) { l.Pressed = a.Text })
	case React:
		if err := who.React(target.Ref, a.Text); err != nil {
			return Line{}, wrap(err)
		}
		return p.change(a.Customer, a.Target, func(l *Line) { l.Emoji = a.Text })
	}
	_ = who.Read() // who writes has read
	var last Line
	if strings.TrimSpace(a.Text) != "" {
		ref, err := who.Write(a.Text, target.Ref)
		if errors.Is(err, channelsim.ErrCannot) { // no quotes here
			ref, err = who.Write(a.Text, "")
		}
		if err != nil {
			return Line{}, wrap(err)
		}
		last = p.keep(d, Line{Channel: a.Channel, Ref: ref, Parent: target.Ref, From: d.customer.Name, Text: a.Text, At: p.clock.Now()})
	}
	for _, f := range a.Files {
		ref, err := who.Send(channelsim.File(f), "")
		if err != nil {
			return Line{}, wrap(err)
		}
		last = p.keep(d, Line{Channel: a.Channel, Ref: ref, From: d.customer.Name, Files: []File{f}, At: p.clock.Now()})
	}
	return last, nil
}
