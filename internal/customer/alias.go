package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// findElsewhere looks for a sender whose address is not known under its value: as another name of a known address, or
// because one of the provider's other names for it (channel.Address.Also) is known. db.ErrNoRows if nobody is.
func (b *Book) findElsewhere(ctx context.Context, kind channel.Kind, from channel.Address, now time.Time) (*Sender, error) {
	s, err := b.byAlias(ctx, kind, from.Value)
	if !errors.Is(err, db.ErrNoRows) {
		return s, err
	}
	for _, v := range from.Also {
		if s, err = b.find(ctx, kind, v); errors.Is(err, db.ErrNoRows) {
			s, err = b.byAlias(ctx, kind, v)
		}
		if errors.Is(err, db.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// The provider vouches that both are one account; it is now known by this value.
		return s, readdress(ctx, b.tx, kind, &s.Address, from.Value)
	}
	return nil, db.ErrNoRows
}

func (b *Book) byAlias(ctx context.Context, kind channel.Kind, value string) (*Sender, error) {
	var value0 string
	err := b.tx.Row(ctx, `SELECT a.value FROM address_alias l JOIN address a ON a.org = l.org AND a.id = l.address WHERE l.org = $1 AND l.kind = $2 AND l.value = $3`, string(kind), value).Scan(&value0)
	if err != nil {
		return nil, err
	}
	return b.find(ctx, kind, value0)
}

// readdress changes the value of an address. What it was called before is forgotten: a phone number that was given up
// may be somebody else's tomorrow.
func readdress(ctx context.Context, tx *db.Tx, kind channel.Kind, a *Address, value string) error {
	// What was proved was the old value; of the new one only the provider speaks.
	if a.Assurance == channel.Verified {
		a.Assurance = channel.Observed
	}
	if _, err := tx.Exec(ctx, `UPDATE address SET value = $3, assurance = $4 WHERE org = $1 AND id = $2`, a.ID, value, string(a.Assurance)); err != nil {
		return fmt.Errorf("change the value of an address: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM address_alias WHERE org = $1 AND kind = $2 AND value = $3`, string(kind), value); err != nil {
		return fmt.Errorf("forget another name of an address: %w", err)
	}
	tx.Emit("customer", a.Customer, nil)
	a.Value = value
	return nil
}

// alias notes the provider's other names of an address. One that is another customer's address, or was noted for
// another address before, stays there: only people may join two customers.
func alias(ctx context.Context, tx *db.Tx, kind channel.Kind, a Address, values []string, now time.Time) error {
	for _, v := range values {
		if v == "" || v == a.Value {
			continue
		}
		if _, err := tx.Exec(ctx, `INSERT INTO address_alias (org, kind, value, address, created_at)
			SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM address WHERE org = $1 AND kind = $2 AND value = $3)
			ON CONFLICT (org, kind, value) DO NOTHING`, string(kind), v, a.ID, db.Micro(now)); err != nil {
			return fmt.Errorf("note another name of an address: %w", err)
		}
	}
	return nil
}

// Alias notes the provider's other names of an address that is known under its value; an unknown one changes nothing.
func Alias(ctx context.Context, tx *db.Tx, kind channel.Kind, from channel.Address, now time.Time) error {
	a, err := AddressByValue(ctx, tx, kind, from.Value)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return alias(ctx, tx, kind, a, from.Also, now)
}

// Move gives an address a new value because its provider says that its owner is now reached there (a changed phone
// number). moved is false if none of the old values is known. If the new value is another customer's already, both stay
// as they are: the provider speaks of accounts, not of people.
func Move(ctx context.Context, tx *db.Tx, kind channel.Kind, to channel.Address, now time.Time) (a Address, moved bool, err error) {
	b := NewBook(tx)
	known, err := b.find(ctx, kind, to.Value)
	if err == nil {
		return known.Address, false, nil
	}
	if !errors.Is(err, db.ErrNoRows) {
		return Address{}, false, err
	}
	for _, old := range to.Also {
		s, err := b.find(ctx, kind, old)
		if errors.Is(err, db.ErrNoRows) {
			s, err = b.byAlias(ctx, kind, old)
		}
		if errors.Is(err, db.ErrNoRows) {
			continue
		}
		if err != nil {
			return Address{}, false, err
		}
		if err := readdress(ctx, tx, kind, &s.Address, to.Value); err != nil {
			return Address{}, false, err
		}
		return s.Address, true, alias(ctx, tx, kind, s.Address, slices.DeleteFunc(slices.Clone(to.Also), func(v string) bool { return v == old }), now)
	}
	return Address{}, false, nil
}

// Verified notes that an address is proved to belong to its customer (a code that came back, a hand-over).
func Verified(ctx context.Context, tx *db.Tx, address string) error {
	if _, err := tx.Exec(ctx, `UPDATE address SET assurance = 'verified' WHERE org = $1 AND id = $2`, address); err != nil {
		return fmt.Errorf("note that an address was proved: %w", err)
	}
	return nil
}
