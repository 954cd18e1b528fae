package account_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

// A setting that the provider renewed is stored, unless somebody stored another one meanwhile; it is no change for
// whoever works with the older one.
func TestRenew(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		v := newVault(t)
		a, node := open(t, d, v), open(t, d, v)
		c, err := a.Create(ctx, dbtest.Org, "probe", "", channel.Settings{"token": "r0", "private_key": "k", "address": "a@b.example"}, "en", at)
		ok(t, err)
		ok(t, node.Reload(ctx))
		is := func(value string) func(string) bool { return func(s string) bool { return s == value } }
		stored := func() string {
			t.Helper()
			ok(t, node.Reload(ctx))
			got, err := node.Get(dbtest.Org, c.ID)
			ok(t, err)
			if got.Settings["private_key"] != "k" || got.Settings["address"] != "a@b.example" {
				t.Errorf("another setting was changed: %v", got.Settings)
			}
			return got.Settings["token"]
		}
		old := c.Settings
		ok(t, a.Renew(ctx, dbtest.Org, c.ID, "token", "r1", is("r0")))
		renewed, err := a.Get(dbtest.Org, c.ID)
		ok(t, err)
		if stored() != "r1" || !a.Same(c.ID, old, renewed.Settings) {
			t.Errorf("stored %s; same: %v", stored(), a.Same(c.ID, old, renewed.Settings))
		}
		if node.Same(c.ID, old, renewed.Settings) {
			t.Error("to another node it is a change")
		}
		ok(t, a.Renew(ctx, dbtest.Org, c.ID, "token", "r2", is("r0"))) // somebody else was faster
		if stored() != "r1" {
			t.Errorf("stored %s", stored())
		}
		changed, err := a.Update(ctx, dbtest.Org, c.ID, account.Change{Settings: channel.Settings{"token": "by a person"}}, "en")
		ok(t, err)
		if a.Same(c.ID, renewed.Settings, changed.Settings) {
			t.Error("a person's change passes for a renewal")
		}
		removed := channel.Settings{"token": "r1", "private_key": "k"}
		if a.Same(c.ID, renewed.Settings, removed) || a.Same(c.ID, removed, renewed.Settings) {
			t.Error("a removed setting is a change")
		}
		ok(t, a.Renew(ctx, dbtest.Org, c.ID, "address", "told@b.example", is("a@b.example"))) // no secret, told by the provider
		if told, _ := a.Get(dbtest.Org, c.ID); told.Settings["address"] != "told@b.example" || !a.Same(c.ID, changed.Settings, told.Settings) {
			t.Errorf("told by the provider: %v", told.Settings)
		}
		ok(t, a.Renew(ctx, dbtest.Org, c.ID, "address", "a@b.example", is("told@b.example")))
		for _, key := range []string{"nothing", ""} {
			if err := a.Renew(ctx, dbtest.Org, c.ID, key, "x", func(string) bool { return true }); err == nil {
				t.Errorf("%s was renewed", key)
			}
		}
		if err := a.Renew(ctx, "other", c.ID, "token", "x", func(string) bool { return true }); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("from another organisation: %v", err)
		}
		// Many at once: one wins, no change of a person is lost.
		ok(t, a.Renew(ctx, dbtest.Org, c.ID, "token", "start", is("by a person")))
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := a.Renew(ctx, dbtest.Org, c.ID, "token", fmt.Sprintf("won %d", i), is("start")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if s := stored(); len(s) != 5 {
			t.Errorf("stored %q", s)
		}
		ok(t, a.Delete(ctx, dbtest.Org, c.ID, at))
		if err := a.Renew(ctx, dbtest.Org, c.ID, "token", "x", func(string) bool { return true }); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("a deleted channel: %v", err)
		}
	})
}
