package account_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/vault"
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

// medium is a driver with one setting of each sort.
type medium struct{}

func (medium) Kind() channel.Kind                 { return "probe" }
func (medium) Title() channel.Text                { return channel.Text{DE: "Probe", EN: "Probe"} }
func (medium) Capabilities() channel.Capabilities { return channel.Capabilities{} }
func (medium) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "token", Required: true, Secret: true, Help: channel.Text{DE: "Steht beim Anbieter.", EN: "Shown by the provider."}},
		{Key: "mode", Values: []string{"push", "poll"}},
		{Key: "address"},
		{Key: "private_key", Secret: true},
	}
}

func (medium) Check(s channel.Settings) error {
	switch s["token"] {
	case "plain":
		return errors.New("the token is too plain")
	case "trouble":
		return &channel.Trouble{Reason: channel.Text{DE: "Der Token ist abgelaufen.", EN: "The token has expired."}, Remedy: channel.Text{DE: "Holen Sie einen neuen.", EN: "Get a new one."}}
	}
	return nil
}

func open(t *testing.T, d *db.DB, v *vault.Vault) *account.Accounts {
	t.Helper()
	a, err := account.New(ctx, d, v, []channel.Driver{medium{}}, slog.New(slog.DiscardHandler))
	ok(t, err)
	return a
}

func newVault(t *testing.T) *vault.Vault {
	t.Helper()
	v, err := vault.Open(t.TempDir(), "")
	ok(t, err)
	return v
}

func TestSettingsAreCheckedInWords(t *testing.T) {
	a := open(t, dbtest.SQLite(t), newVault(t))
	for _, c := range []struct {
		name     string
		kind     channel.Kind
		settings channel.Settings
		language string
		keys     []string
		says     string
	}{
		{"no such kind", "fax", nil, "en", []string{"kind"}, `there is no "fax"; possible are: probe`},
		{"no such kind, in German", "fax", nil, "de", []string{"kind"}, `möglich sind: probe`},
		{"missing", "probe", nil, "en", []string{"token"}, "is missing. Shown by the provider."},
		{"missing, in German", "probe", channel.Settings{}, "de-AT", []string{"token"}, "fehlt. Steht beim Anbieter."},
		{"not one of the values", "probe", channel.Settings{"token": "x", "mode": "pull"}, "en", []string{"mode"}, "possible are: push, poll"},
		{"unknown key", "probe", channel.Settings{"token": "x", "tokne": "y"}, "en", []string{"tokne"}, "unknown setting; possible are: address, api_url, mode, private_key, token"},
		{"line break", "probe", channel.Settings{"token": "x\ny"}, "en", []string{"token"}, "must not contain line breaks"},
		{"all at once", "probe", channel.Settings{"mode": "pull", "x": "y"}, "en", []string{"mode", "token", "x"}, ""},
		{"the driver's own check", "probe", channel.Settings{"token": "plain"}, "en", []string{""}, "the token is too plain"},
		{"the driver's own check, with a remedy", "probe", channel.Settings{"token": "trouble"}, "de", []string{""}, "Der Token ist abgelaufen. Holen Sie einen neuen."},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.Create(ctx, dbtest.Org, c.kind, "x", c.settings, c.language, at)
			var bad *account.InvalidError
			if !errors.As(err, &bad) {
				t.Fatalf("error %v", err)
			}
			var keys []string
			for _, f := range bad.Fields {
				keys = append(keys, f.Key)
			}
			if fmt.Sprint(keys) != fmt.Sprint(c.keys) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: %v; want %v and %q", keys, err, c.keys, c.says)
			}
			if n := len(a.List(dbtest.Org)); n != 0 {
				t.Errorf("%d channels were made", n)
			}
		})
	}
	if _, err := a.Create(ctx, dbtest.Org, "probe", "", channel.Settings{"token": "x", "mode": "poll", "private_key": "-----BEGIN\nKEY-----", "api_url": "http://localhost"}, "en", at); err != nil {
		t.Errorf("right settings: %v", err)
	}
}

// Secrets are nowhere in the data directory in clear, neither when a channel is made nor when it is changed.
func TestSecretsAreNotInTheDatabase(t *testing.T) {
	dir := t.TempDir()
	d, err := db.Open(ctx, db.Config{Dir: dir})
	ok(t, err)
	ok(t, d.CreateOrg(ctx, dbtest.Org, "Test", 1))
	a := open(t, d, newVault(t))
	secrets := []string{"geheim-XYZZY-eins", "geheim-XYZZY-zwei"}
	c, err := a.Create(ctx, dbtest.Org, "probe", "Sichtbarer Name", channel.Settings{"token": secrets[0], "address": "post@firma.example"}, "en", at)
	ok(t, err)
	c, err = a.Update(ctx, dbtest.Org, c.ID, account.Change{Settings: channel.Settings{"token": secrets[1]}}, "en")
	ok(t, err)
	if c.Settings["token"] != secrets[1] || c.Settings["address"] != "post@firma.example" {
		t.Fatalf("settings %v", c.Settings)
	}
	find := func(needle string) (in []string) {
		ok(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(needle)) {
				in = append(in, filepath.Base(path))
			}
			return err
		}))
		return in
	}
	if len(find("Sichtbarer Name")) == 0 {
		t.Fatal("the search finds nothing at all")
	}
	for _, s := range secrets {
		if in := find(s); len(in) > 0 {
			t.Errorf("%q stands in clear in %v", s, in)
		}
	}
	ok(t, d.Close())
	for _, s := range secrets {
		if in := find(s); len(in) > 0 {
			t.Errorf("%q stands in clear in %v", s, in)
		}
	}
}

func TestWithAnotherKeyTheOthersStillWork(t *testing.T) {
	d := dbtest.SQLite(t)
	v := newVault(t)
	a := open(t, d, v)
	old, err := a.Create(ctx, dbtest.Org, "probe", "alt", channel.Settings{"token": "x"}, "en", at)
	ok(t, err)
	b := open(t, d, newVault(t))
	if c, err := b.Get(dbtest.Org, old.ID); err != nil || c.Settings["token"] != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := b.Create(ctx, dbtest.Org, "probe", "neu", channel.Settings{"token": "y"}, "en", at); err != nil {
		t.Fatal(err)
	}
}

func TestMailboxesAreUnique(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := open(t, d, newVault(t))
		ok(t, d.CreateOrg(ctx, "other", "Andere", 1))
		box := channel.Settings{"token": "x", "address": "Post@Firma.example"}
		first, err := a.Create(ctx, dbtest.Org, "probe", "", box, "en", at)
		ok(t, err)
		for _, o := range []string{dbtest.Org, "other"} {
			_, err := a.Create(ctx, o, "probe", "", channel.Settings{"token": "x", "address": " post@firma.EXAMPLE"}, "de", at)
			var bad *account.InvalidError
			if !errors.As(err, &bad) || bad.Fields[0].Key != "address" || !strings.Contains(err.Error(), "hat schon ein Kanal") {
				t.Errorf("%s: %v", o, err)
			}
		}
		second, err := a.Create(ctx, dbtest.Org, "probe", "", channel.Settings{"token": "x", "address": "zweite@firma.example"}, "en", at)
		ok(t, err)
		_, err = a.Update(ctx, dbtest.Org, second.ID, account.Change{Settings: channel.Settings{"address": "post@firma.example"}}, "en")
		var bad *account.InvalidError
		if !errors.As(err, &bad) {
			t.Errorf("changed into another's address: %v", err)
		}
		for address, want := range map[string]string{"post@firma.example": first.ID, "POST@firma.example": first.ID, "post+r.abc@firma.example": first.ID, "zweite@firma.example": second.ID, "dritte@firma.example": ""} {
			if c, have := a.ByMailbox(address); c.ID != want || have != (want != "") {
				t.Errorf("%s goes to %q", address, c.ID)
			}
		}
		ok(t, a.Delete(ctx, dbtest.Org, first.ID, at))
		if _, have := a.ByMailbox("post@firma.example"); have {
			t.Error("a deleted channel still receives")
		}
		if _, err := a.Create(ctx, "other", "probe", "", box, "en", at); err != nil {
			t.Errorf("an address that is free again: %v", err)
		}
	})
}

// However many are made at once, each is known at once to look-ups that do not ask the database, as the SMTP server's.
func TestManyChannelsAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := open(t, d, newVault(t))
		const n = 40
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if _, err := a.Create(ctx, dbtest.Org, "probe", "", channel.Settings{"token": "x", "address": fmt.Sprintf("p%d@firma.example", i)}, "en", at); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range n {
			if _, have := a.ByMailbox(fmt.Sprintf("p%d@firma.example", i)); !have {
				t.Errorf("mail to p%d would be refused", i)
			}
		}
		if len(a.List(dbtest.Org)) != n || len(a.All()) != n {
			t.Errorf("%d of %d are known", len(a.List(dbtest.Org)), n)
		}
	})
}

func TestUnknownChannelIsLookedUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		v := newVault(t)
		a, other := open(t, d, v), open(t, d, v)
		if _, err := a.Find(ctx, "nowhere"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%v", err)
		}
		c, err := other.Create(ctx, dbtest.Org, "probe", "auf dem anderen Knoten", channel.Settings{"token": "x"}, "en", at)
		ok(t, err)
		if _, err := a.Get(dbtest.Org, c.ID); !errors.Is(err, account.ErrNotFound) {
			t.Fatalf("known already: %v", err)
		}
		got, err := a.Find(ctx, c.ID)
		if err != nil || got.Settings["token"] != "x" || got.Org != dbtest.Org {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, err := a.Get("other", c.ID); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("another organisation sees it: %v", err)
		}
		// Who guesses ids does not make the database look each time: what is asked twice within a second is answered
		// from memory, and what is made meanwhile is found by the next look.
		for range 3 {
			if _, err := a.Find(ctx, "guessed"); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
		ok(t, other.Delete(ctx, dbtest.Org, c.ID, at))
		ok(t, a.Reload(ctx))
		if _, err := a.Find(ctx, c.ID); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("deleted, and found: %v", err)
		}
	})
}

func TestHealthIsKeptAndTellsOnlyChanges(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := open(t, d, newVault(t))
		c, err := a.Create(ctx, dbtest.Org, "probe", "", channel.Settings{"token": "x"}, "en", at)
		ok(t, err)
		o := d.Org(dbtest.Org)
		red := account.Health{State: account.Red, Reason: channel.Text{DE: "Grund", EN: "reason"}, Remedy: channel.Text{DE: "Abhilfe", EN: "remedy"}, CheckedAt: at}
		green := account.Health{State: account.Green, CheckedAt: at.Add(time.Second)}
		before, err := o.FeedHead(ctx)
		ok(t, err)
		for i, h := range []account.Health{red, red, green, green} {
			ok(t, a.SetHealth(ctx, dbtest.Org, c.ID, h))
			got, err := a.Healths(ctx, dbtest.Org)
			ok(t, err)
			if g := got[c.ID]; g.State != h.State || g.Reason != h.Reason || g.Remedy != h.Remedy {
				t.Errorf("%d: %+v, want %+v", i, g, h)
			}
		}
		after, err := o.FeedHead(ctx)
		ok(t, err)
		if after-before != 2 {
			t.Errorf("the feed tells %d changes, want 2", after-before)
		}
		ok(t, o.Write(ctx, func(tx *db.Tx) error { return account.SetCursor(ctx, tx, c.ID, "17") }))
		if g, err := a.Healths(ctx, dbtest.Org); err != nil || g[c.ID].State != account.Green {
			t.Errorf("a cursor changed the health to %+v (%v)", g[c.ID], err)
		}
	})
}
