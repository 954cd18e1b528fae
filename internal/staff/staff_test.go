package staff_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/staff"
)

// TestFill: customers' braces stay literal, missing values are named, unknown variables refused.
func TestFill(t *testing.T) {
	got, missing := staff.Fill("{{customer.salutation}},\nzu {{ number }} von {{customer.name}} {{x", map[string]string{"customer.salutation": "Guten Tag Frau Berger", "customer.name": "{{org.name}}"})
	if got != "Guten Tag Frau Berger,\nzu {{number}} von {{org.name}} {{x" || !reflect.DeepEqual(missing, []string{"number"}) {
		t.Errorf("%q %v", got, missing)
	}
	var unknown staff.UnknownVariable
	if err := staff.CheckText("Hallo {{customer.nmae}}"); !errors.As(err, &unknown) || unknown.Name != "customer.nmae" {
		t.Errorf("%v", err)
	}
	if err := staff.CheckText("{ {customer} } {{today}} {{"); err != nil {
		t.Error(err)
	}
}

// TestWhoSees: own and shared views and blocks, not a colleague's.
func TestWhoSees(t *testing.T) {
	ctx := context.Background()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := d.Org(dbtest.Org)
		now := time.Unix(1_800_000_000, 0)
		err := o.Write(ctx, func(tx *db.Tx) error {
			for _, v := range []staff.View{{Owner: "a", Name: "mine", Query: json.RawMessage(`{"tag":"x"}`), Pos: 2}, {Owner: "b", Name: "shared", Query: json.RawMessage(`{}`), Shared: true, Pos: 1}, {Owner: "b", Name: "theirs", Query: json.RawMessage(`{}`)}} {
				if _, err := staff.SaveView(ctx, tx, v, now); err != nil {
					return err
				}
			}
			for _, b := range []staff.TextBlock{{Name: "all", Text: "Hallo"}, {Name: "mine", Owner: "a"}, {Name: "theirs", Owner: "b"}, {Name: "unit", Unit: "u"}, {Name: "other unit", Unit: "v"}} {
				if _, err := staff.SaveTextBlock(ctx, tx, b, now); err != nil {
					return err
				}
			}
			return staff.SetPreferences(ctx, tx, "a", json.RawMessage(`{"keys":{"r":"x"}}`))
		})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		views, err := staff.Views(ctx, o, "a")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range views {
			names = append(names, v.Name)
		}
		blocks, err := staff.TextBlocks(ctx, o, "a", "u")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			names = append(names, b.Name)
		}
		if want := []string{"shared", "mine", "all", "mine", "unit"}; !reflect.DeepEqual(names, want) {
			t.Errorf("%v, want %v", names, want)
		}
		if p, err := staff.Preferences(ctx, o, "a"); err != nil || string(p) != `{"keys":{"r":"x"}}` {
			t.Errorf("%s %v", p, err)
		}
		if p, err := staff.Preferences(ctx, o, "b"); err != nil || string(p) != `{}` {
			t.Errorf("%s %v", p, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			if err := staff.SetPreferences(ctx, tx, "a", make([]byte, 20<<10)); !errors.Is(err, staff.ErrTooMuch) {
				t.Errorf("%v", err)
			}
			if err := staff.DropView(ctx, tx, "nix"); !errors.Is(err, staff.ErrNotFound) {
				t.Errorf("%v", err)
			}
			return staff.DropView(ctx, tx, views[0].ID)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
