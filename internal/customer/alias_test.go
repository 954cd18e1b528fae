package customer_test

import (
	"testing"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

// A provider that knows an account by two ids leads to one customer, whichever of them comes first or alone.
func TestOneAccountWithTwoIDs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		write := func(from channel.Address) (s customer.Sender) {
			t.Helper()
			from.Assurance = channel.Observed
			ok(t, o.Write(ctx, func(tx *db.Tx) error {
				got, err := customer.NewBook(tx).Sender(ctx, "whatsapp", "ch", from, at)
				if err == nil {
					s = *got
				}
				return err
			}))
			return s
		}
		first := write(channel.Address{Value: "+491511111111"})
		both := write(channel.Address{Value: "+491511111111", Also: []string{"DE.1"}})
		alone := write(channel.Address{Value: "DE.1"})
		if both.Customer.ID != first.Customer.ID || alone.Address.ID != first.Address.ID || alone.Address.Value != "+491511111111" {
			t.Errorf("one account became %s, %s and %s", first.Address.ID, both.Address.ID, alone.Address.ID)
		}
		// First known without a phone number, later with it: one address, now under the number.
		hidden := write(channel.Address{Value: "DE.2"})
		shown := write(channel.Address{Value: "+491522222222", Also: []string{"DE.2"}})
		if shown.Address.ID != hidden.Address.ID || shown.Address.Value != "+491522222222" {
			t.Errorf("%+v, then %+v", hidden.Address, shown.Address)
		}
		if again := write(channel.Address{Value: "DE.2"}); again.Address.ID != hidden.Address.ID {
			t.Error("the id without the number is a stranger again")
		}
		// An id that is another customer's address already joins nobody.
		other := write(channel.Address{Value: "DE.3"})
		if s := write(channel.Address{Value: "+491511111111", Also: []string{"DE.3"}}); s.Customer.ID != first.Customer.ID {
			t.Error("the number went to somebody else")
		}
		if s := write(channel.Address{Value: "DE.3"}); s.Customer.ID != other.Customer.ID {
			t.Error("two customers were joined by an id")
		}
		// A receipt tells under which id the recipient will answer.
		ok(t, o.Write(ctx, func(tx *db.Tx) error {
			return customer.Alias(ctx, tx, "whatsapp", channel.Address{Value: "+491522222222", Also: []string{"DE.9"}}, at)
		}))
		if s := write(channel.Address{Value: "DE.9"}); s.Address.ID != hidden.Address.ID {
			t.Error("the id of the receipt is a stranger")
		}
	})
}

// A changed number keeps its customer; the old number, which may be somebody else's tomorrow, does not.
func TestChangedNumber(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		var old, after, stranger customer.Sender
		sender := func(s *customer.Sender, value string) {
			t.Helper()
			ok(t, o.Write(ctx, func(tx *db.Tx) error {
				got, err := customer.NewBook(tx).Sender(ctx, "whatsapp", "ch", channel.Address{Value: value, Assurance: channel.Verified}, at)
				if err == nil {
					*s = *got
				}
				return err
			}))
		}
		move := func(to, from string) (moved bool) {
			t.Helper()
			ok(t, o.Write(ctx, func(tx *db.Tx) (err error) {
				var a customer.Address
				a, moved, err = customer.Move(ctx, tx, "whatsapp", channel.Address{Value: to, Also: []string{from, "DE.7"}}, at)
				if moved && a.Assurance != channel.Observed {
					t.Errorf("the new number is %s", a.Assurance)
				}
				return err
			}))
			return moved
		}
		sender(&old, "+491511111111")
		if !move("+491733333333", "+491511111111") {
			t.Fatal("not moved")
		}
		if move("+491733333333", "+491511111111") {
			t.Error("moved twice")
		}
		sender(&after, "+491733333333")
		sender(&stranger, "+491511111111")
		if after.Address.ID != old.Address.ID || stranger.Customer.ID == old.Customer.ID {
			t.Errorf("old %s, after %s, stranger %s", old.Address.ID, after.Address.ID, stranger.Address.ID)
		}
		if move("+491511111111", "+491733333333") {
			t.Error("a number of another customer was taken over")
		}
	})
}
