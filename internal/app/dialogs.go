package app

import (
	"context"
	"strings"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/contact"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
)

// Media gives every kind of channel: the ones that drivers serve as these say, the others as planned.
func Media(drivers []channel.Driver) func() map[channel.Kind]channel.Medium {
	all := channel.Published()
	for _, d := range drivers {
		all[d.Kind()] = channel.Medium{Title: d.Title(), Capabilities: d.Capabilities()}
	}
	return func() map[channel.Kind]channel.Medium { return all }
}

// answerURL is where customers find answer pages.
func (a *App) answerURL() string {
	if a.httpAddr == nil && a.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(a.URL(), "/")
}

// company is how an organisation calls itself.
func company(ctx context.Context, q db.Querier) (string, error) {
	o, err := org.Get(ctx, q)
	return o.Name, err
}

// staffOf finds whom a dialog means: the customer's own advisor, or a colleague by e-mail address.
func staffOf(ctx context.Context, q db.Querier, who, cust string) (conversation.Actor, error) {
	if who == "advisor" {
		c, err := customer.Get(ctx, q, cust)
		if err != nil || c.Advisor == "" {
			return conversation.Actor{}, err
		}
		return advisor(ctx, q, c.Advisor), nil
	}
	users, err := auth.Users(ctx, q)
	if err != nil {
		return conversation.Actor{}, err
	}
	for _, u := range users {
		if u.Enabled && strings.EqualFold(u.Email, who) {
			return conversation.Actor{ID: u.ID, Name: u.Name}, nil
		}
	}
	return conversation.Actor{}, nil
}

// unitOf finds a unit by its name.
func unitOf(ctx context.Context, q db.Querier, name string) (conversation.Actor, error) {
	units, err := org.Units(ctx, q)
	if err != nil {
		return conversation.Actor{}, err
	}
	for _, u := range units {
		if strings.EqualFold(u.Name, name) {
			return conversation.Actor{ID: u.ID, Name: u.Name}, nil
		}
	}
	return conversation.Actor{}, nil
}

// services lists the dialogs that customers may start by a word.
func (a *App) services(ctx context.Context, q db.Querier) ([]contact.Service, error) {
	list, err := a.Dialogs.Live(ctx, q)
	out := make([]contact.Service, len(list))
	for i, p := range list {
		out[i] = contact.Service{Key: p.Key, Title: channel.Text{DE: p.Title.Get("de"), EN: p.Title.Get("en")}, Start: p.Start, Channels: p.Channels}
	}
	return out, err
}
