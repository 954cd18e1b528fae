package customer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

var (
	ctx = context.Background()
	at  = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAssuranceOnlyGrowsByProof(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		var id string
		for i, c := range []struct{ with, want channel.Assurance }{
			{"", channel.Claimed}, {channel.Claimed, channel.Claimed}, {channel.Observed, channel.Observed}, {"", channel.Observed}, {channel.Verified, channel.Verified}, {channel.Observed, channel.Verified},
		} {
			ok(t, o.Write(ctx, func(tx *db.Tx) error {
				s, err := customer.NewBook(tx).Sender(ctx, "email", "ch", channel.Address{Value: "erika@x", Assurance: c.with}, at.Add(time.Duration(i)*time.Minute))
				if err == nil {
					id = s.Address.ID
				}
				return err
			}))
			a, err := customer.AddressByID(ctx, o, id)
			ok(t, err)
			if a.Assurance != c.want {
				t.Errorf("step %d: %s, want %s", i, a.Assurance, c.want)
			}
		}
		// A token that comes back makes a claimed address observed, and no more of a verified one.
		ok(t, o.Write(ctx, func(tx *db.Tx) error { return customer.Observed(ctx, tx, id) }))
		a, err := customer.AddressByID(ctx, o, id)
		ok(t, err)
		if a.Assurance != channel.Verified {
			t.Errorf("a verified address became %s", a.Assurance)
		}
	})
}

func TestAddressesBelongToOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		var a, b customer.Customer
		ok(t, o.Write(ctx, func(tx *db.Tx) (err error) {
			if a, err = customer.Create(ctx, tx, "Erika", "de", []customer.Address{{Kind: "email", Value: " Erika@X.example "}, {Kind: "telegram", Value: "7"}}, at); err != nil {
				return err
			}
			b, err = customer.Create(ctx, tx, "", "de", []customer.Address{{Kind: "email", Value: "max@x.example"}}, at)
			return err
		}))
		if b.Name != "max@x.example" {
			t.Errorf("nameless: %q", b.Name)
		}
		add := func(id string, kind channel.Kind, value string) error {
			return o.Write(ctx, func(tx *db.Tx) error { _, err := customer.AddAddress(ctx, tx, id, kind, value, at); return err })
		}
		if err := add(b.ID, "email", "ERIKA@x.example"); !errors.Is(err, customer.ErrTaken) {
			t.Errorf("somebody else's address: %v", err)
		}
		if err := add(b.ID, "email", "  "); err == nil {
			t.Error("an empty address")
		}
		ok(t, add(b.ID, "telegram", "erika@x.example")) // the same value on another channel is another address
		list, err := customer.Addresses(ctx, o, []string{a.ID})
		ok(t, err)
		if len(list) != 2 {
			t.Fatalf("%d addresses", len(list))
		}
		for _, v := range list {
			if v.Assurance != channel.Claimed {
				t.Errorf("an address written down by staff is %s", v.Assurance)
			}
			err := o.Write(ctx, func(tx *db.Tx) error { return customer.RemoveAddress(ctx, tx, []string{b.ID}, v.ID) })
			if !errors.Is(err, customer.ErrNotFound) {
				t.Errorf("somebody else's address was removed: %v", err)
			}
		}
		ok(t, o.Write(ctx, func(tx *db.Tx) error {
			return customer.RemoveAddress(ctx, tx, []string{a.ID}, list[0].ID)
		}))
		var s customer.Sender
		ok(t, o.Write(ctx, func(tx *db.Tx) (err error) {
			s, err = customer.Ensure(ctx, tx, "email", "MAX@x.example", "Max", at)
			return err
		}))
		if s.Customer.ID != b.ID || s.New {
			t.Errorf("an address that is there was made again: %+v", s)
		}
	})
}

func TestOrganisationsHaveTheirOwnCustomers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ok(t, d.CreateOrg(ctx, "other", "Andere", 1))
		var ids []string
		for _, o := range []db.Org{d.Org(dbtest.Org), d.Org("other")} {
			ok(t, o.Write(ctx, func(tx *db.Tx) error {
				s, err := customer.Ensure(ctx, tx, "email", "erika@x", "Erika", at)
				ids = append(ids, s.Customer.ID)
				return err
			}))
		}
		if ids[0] == ids[1] {
			t.Fatal("two organisations share a customer")
		}
		if _, err := customer.Get(ctx, d.Org("other"), ids[0]); !errors.Is(err, customer.ErrNotFound) {
			t.Errorf("the other organisation reads it: %v", err)
		}
		err := d.Org("other").Write(ctx, func(tx *db.Tx) error { _, err := customer.Merge(ctx, tx, ids[1], ids[0], at); return err })
		if !errors.Is(err, customer.ErrNotFound) {
			t.Errorf("merged over the border: %v", err)
		}
	})
}

func TestListFindsAndPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		want := map[string]bool{}
		for i := range 23 {
			ok(t, o.Write(ctx, func(tx *db.Tx) error {
				s, err := customer.NewBook(tx).Sender(ctx, "email", "ch", channel.Address{Value: fmt.Sprintf("k%d@x.example", i), Name: fmt.Sprint("Kunde ", i)}, at.Add(time.Duration(i/4)*time.Hour))
				want[s.Customer.ID] = true
				return err
			}))
		}
		seen := map[string]bool{}
		var last time.Time
		for cursor := ""; ; {
			page, next, err := customer.List(ctx, o, "", cursor, 5)
			ok(t, err)
			for _, c := range page {
				if seen[c.ID] || (!last.IsZero() && c.SeenAt.After(last)) {
					t.Fatalf("%s twice or out of order", c.Name)
				}
				seen[c.ID], last = true, c.SeenAt
			}
			if cursor = next; next == "" {
				break
			}
		}
		if len(seen) != len(want) {
			t.Errorf("%d of %d", len(seen), len(want))
		}
		for q, n := range map[string]int{"KUNDE 7": 1, "k7@x": 1, "%": 0, "_": 0, `\`: 0, "kunde 1": 11} {
			if page, _, err := customer.List(ctx, o, q, "", 100); err != nil || len(page) != n {
				t.Errorf("%q finds %d (%v), want %d", q, len(page), err, n)
			}
		}
		if _, _, err := customer.List(ctx, o, "", "Unfug", 5); !errors.Is(err, db.ErrCursor) {
			t.Errorf("a cursor that is none: %v", err)
		}
	})
}

func TestNewestAndListOf(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		var ids []string
		for i := range 12 {
			ok(t, o.Write(ctx, func(tx *db.Tx) error {
				s, err := customer.NewBook(tx).Sender(ctx, "email", "ch", channel.Address{Value: fmt.Sprintf("mail%02d@x.example", i), Name: fmt.Sprintf("Kunde %02d", i)}, at.Add(time.Duration(i)*time.Hour))
				ids = append(ids, s.Customer.ID)
				return err
			}))
		}
		newest := func(q string, among, limit int, want ...int) {
			t.Helper()
			got, err := customer.Newest(ctx, o, q, among, limit)
			ok(t, err)
			slices.Sort(got)
			got = slices.Compact(got)
			var list []string
			for _, i := range want {
				list = append(list, ids[i])
			}
			slices.Sort(list)
			if !slices.Equal(got, list) {
				t.Errorf("%q among %d: %v, want %v", q, among, got, list)
			}
		}
		newest("unde 1", 100, 100, 10, 11)
		newest(" AIL05@x ", 100, 100, 5)
		newest("kunde", 3, 100, 9, 10, 11)
		newest("kunde 0", 2, 100)
		newest("kunde", 100, 1, 11)
		newest("%", 100, 100)
		newest("_", 100, 100)
		// Long known, but wrote just now: found by name. A further address of somebody long known: by the address.
		ok(t, o.Write(ctx, func(tx *db.Tx) error {
			_, err := customer.NewBook(tx).Sender(ctx, "email", "ch", channel.Address{Value: "mail03@x.example"}, at.Add(99*time.Hour))
			if err == nil {
				_, err = customer.AddAddress(ctx, tx, ids[4], "email", "neu@x.example", at)
			}
			return err
		}))
		newest("kunde 0", 2, 100, 3)
		newest("neu@", 1, 100, 4)
		// Merged ones are found by what they are called and stand for the record that survived.
		ok(t, o.Write(ctx, func(tx *db.Tx) error { _, err := customer.Merge(ctx, tx, ids[0], ids[11], at); return err }))
		newest("kunde 11", 100, 100, 11)
		var order []string
		pages := 0
		for cursor := ""; ; pages++ {
			page, next, err := customer.ListOf(ctx, o, append([]string{ids[5], "unbekannt"}, ids...), cursor, 5)
			ok(t, err)
			for _, c := range page {
				order = append(order, c.ID)
			}
			if cursor = next; next == "" {
				break
			}
		}
		want := []string{ids[3], ids[10], ids[9], ids[8], ids[7], ids[6], ids[5], ids[4], ids[2], ids[1], ids[0]}
		if !slices.Equal(order, want) || pages != 2 {
			t.Errorf("%d pages, in the order %v, want %v", pages+1, order, want)
		}
		if page, next, err := customer.ListOf(ctx, o, nil, "", 5); err != nil || len(page) != 0 || next != "" {
			t.Errorf("of nobody: %v %q %v", page, next, err)
		}
		if _, _, err := customer.ListOf(ctx, o, ids, "Unfug", 5); !errors.Is(err, db.ErrCursor) {
			t.Errorf("a cursor that is none: %v", err)
		}
	})
}

func TestMergedRecordsLeaveListsAndComeBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		var ids []string
		for _, name := range []string{"a", "b", "c"} {
			ok(t, o.Write(ctx, func(tx *db.Tx) error {
				s, err := customer.Ensure(ctx, tx, "email", name+"@x", name, at)
				ids = append(ids, s.Customer.ID)
				return err
			}))
		}
		do := func(fn func(tx *db.Tx) error) { t.Helper(); ok(t, o.Write(ctx, fn)) }
		do(func(tx *db.Tx) error { _, err := customer.Merge(ctx, tx, ids[1], ids[2], at); return err })
		do(func(tx *db.Tx) error { _, err := customer.Merge(ctx, tx, ids[0], ids[1], at); return err })
		page, _, err := customer.List(ctx, o, "", "", 10)
		if err != nil || len(page) != 1 || page[0].ID != ids[0] {
			t.Errorf("the list shows %d (%v), want the surviving record", len(page), err)
		}
		got, err := customer.Survivors(ctx, o, ids)
		if err != nil || len(got) != 2 || got[ids[1]] != ids[0] || got[ids[2]] != ids[0] {
			t.Errorf("survivors %v (%v)", got, err)
		}
		parts, err := customer.IDs(ctx, o, ids[2])
		slices.Sort(parts[1:])
		if err != nil || len(parts) != 3 || parts[0] != ids[0] {
			t.Errorf("records %v (%v)", parts, err)
		}
		name := "Neuer Name"
		do(func(tx *db.Tx) error { // by a merged id
			_, err := customer.Update(ctx, tx, ids[2], customer.Change{Name: &name})
			return err
		})
		if c, err := customer.Get(ctx, o, ids[0]); err != nil || c.Name != name || len(c.Merged) != 1 {
			t.Errorf("%+v (%v)", c, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) error { _, err := customer.Unmerge(ctx, tx, ids[0], ids[2]); return err })
		if !errors.Is(err, customer.ErrNotFound) {
			t.Errorf("un-merged from where it never was: %v", err)
		}
		do(func(tx *db.Tx) error { _, err := customer.Unmerge(ctx, tx, ids[1], ids[2]); return err })
		do(func(tx *db.Tx) error { _, err := customer.Unmerge(ctx, tx, ids[0], ids[1]); return err })
		if page, _, err := customer.List(ctx, o, "", "", 10); err != nil || len(page) != 3 {
			t.Errorf("after un-merging %d (%v), want 3", len(page), err)
		}
	})
}

func TestNamesOfStrangers(t *testing.T) {
	for in, want := range map[string]string{
		"  Erika\tMuster\r\n ": "Erika Muster", "a\x00b": "ab", "\u202eevil": "evil", "x\u200by": "xy", "": "", strings.Repeat("ä", 200): strings.Repeat("ä", 100),
	} {
		if got := customer.CleanName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
