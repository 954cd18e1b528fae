// Package reach is in charge of the question by which channel a customer is answered: what is possible, what is best,
// and why. It decides; it sends nothing. Wishes, consent, quiet hours and learned receptivity belong here, too.
package reach

import (
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
)

// Option is one way to answer: an address of the customer and a channel of ours.
type Option struct {
	Channel        account.Channel
	Address        customer.Address
	CanSend        bool
	WhyNot         channel.Text
	Reason         string // code: last_used, only_address, first_address
	Why            channel.Text
	WindowClosesAt time.Time // free-form answers are possible until then; zero = no window
	// NeedsTemplate tells that only an approved template may be sent now: free-form answers are closed, or the customer
	// never wrote. CanSend is false then.
	NeedsTemplate bool
}

// CanSend says whether a channel can send at all, and if not, what to do.
func CanSend(accounts *account.Accounts, c account.Channel) (bool, channel.Text) {
	d := accounts.Driver(c.Kind)
	if _, ok := d.(channel.Sender); !ok {
		return false, channel.Text{DE: "Dieser Kanal kann nur empfangen.", EN: "This channel can only receive."}
	}
	if !c.Enabled {
		return false, channel.Text{DE: "Dieser Kanal ist abgeschaltet.", EN: "This channel is switched off."}
	}
	if v, ok := d.(channel.Settled); ok {
		return v.CanSend(c.Settings)
	}
	return true, channel.Text{}
}

// CanReach says whether a person's free words can go to this address now (by a machine where machine is set, for which
// some windows are shorter), and if not, why. closes is when the window for free-form answers closes; zero = no window.
// template tells that an approved template could be sent all the same.
func CanReach(accounts *account.Accounts, c account.Channel, a customer.Address, machine bool, now time.Time) (ok bool, why channel.Text, closes time.Time, template bool) {
	if ok, why = CanSend(accounts, c); !ok {
		return false, why, closes, false
	}
	caps := accounts.Can(c.Account)
	window := caps.Window
	if !machine && caps.StaffWindow > window {
		window = caps.StaffWindow
	}
	switch {
	case !a.OptedOutAt.IsZero():
		return false, channel.Text{DE: "Der Kunde hat diesen Kanal verlassen oder uns blockiert.", EN: "The customer has left this channel or blocked us."}, closes, false
	case !caps.WriteFirst && a.UsedAt.IsZero() && caps.Templates:
		return false, channel.Text{DE: "Hier hat der Kunde noch nie geschrieben: Zuerst geht nur eine freigegebene Vorlage.", EN: "The customer has never written here: only an approved template can come first."}, closes, true
	case !caps.WriteFirst && a.UsedAt.IsZero():
		return false, channel.Text{DE: "Auf diesem Kanal muss der Kunde zuerst schreiben.", EN: "On this channel the customer has to write first."}, closes, false
	case window > 0:
		closes = a.UsedAt.Add(window)
		if !closes.After(now) && caps.Templates {
			return false, channel.Text{DE: "Das Antwortfenster dieses Kanals ist geschlossen; eine freigegebene Vorlage geht noch.", EN: "The channel's window for answers is closed; an approved template still works."}, closes, true
		}
		if !closes.After(now) {
			return false, channel.Text{DE: "Das Antwortfenster dieses Kanals ist geschlossen.", EN: "The channel's window for answers is closed."}, closes, false
		}
	}
	return true, channel.Text{}, closes, false
}

// Options lists every way to answer a conversation, and which is best (an index, −1 if none can send): the way by which
// the customer wrote last, otherwise the address used most recently. machine: see CanReach.
func Options(org string, r conversation.Row, addresses []customer.Address, accounts *account.Accounts, machine bool, now time.Time) ([]Option, int) {
	var out []Option
	for _, a := range addresses {
		channels := accounts.ByKind(org, a.Kind)
		if len(channels) == 0 {
			out = append(out, Option{Address: a, Channel: account.Channel{Account: channel.Account{Kind: a.Kind}}, WhyNot: channel.Text{DE: "Für diese Adresse ist kein Kanal eingerichtet.", EN: "No channel is set up for this address."}})
			continue
		}
		// Of several channels of a kind the one that the customer knows comes first.
		known := 0
		for i, c := range channels {
			if c.ID == a.Channel {
				known = i
			}
			if c.ID == r.Channel && a.ID == r.Address {
				known = i
				break
			}
		}
		channels[0], channels[known] = channels[known], channels[0]
		for _, c := range channels {
			o := Option{Channel: c, Address: a}
			o.CanSend, o.WhyNot, o.WindowClosesAt, o.NeedsTemplate = CanReach(accounts, c, a, machine, now)
			out = append(out, o)
		}
	}
	best := -1
	for i, o := range out {
		if !o.CanSend {
			continue
		}
		if o.Address.ID == r.Address && (o.Channel.ID == r.Channel || best < 0) {
			best = i
			if o.Channel.ID == r.Channel {
				break
			}
		}
	}
	if best >= 0 && r.Received == 0 {
		out[best].Reason = "first_address"
		out[best].Why = channel.Text{DE: "hier haben wir den Kunden angeschrieben", EN: "here we wrote to the customer"}
		return out, best
	}
	if best >= 0 {
		out[best].Reason = "last_used"
		out[best].Why = channel.Text{DE: "hier hat der Kunde zuletzt geschrieben", EN: "the customer last wrote here"}
		return out, best
	}
	sendable := 0
	for i, o := range out {
		if o.CanSend {
			sendable++
			if best < 0 {
				best = i
			}
		}
	}
	if best >= 0 {
		out[best].Reason = "first_address"
		out[best].Why = channel.Text{DE: "zuletzt benutzte Adresse, über die wir schreiben können", EN: "the most recently used address that we can write to"}
		if sendable == 1 {
			out[best].Reason = "only_address"
			out[best].Why = channel.Text{DE: "einzige Adresse, über die wir schreiben können", EN: "the only address that we can write to"}
		}
	}
	return out, best
}
