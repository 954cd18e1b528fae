package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/vault"
)

var ctx = context.Background()

const password = "sehr langes Passwort"

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type office struct {
	t  *testing.T
	o  db.Org
	a  *auth.Auth
	v  *vault.Vault
	at atomic.Int64
}

func open(t *testing.T, d *db.DB) *office {
	t.Helper()
	k := &office{t: t, o: d.Org(dbtest.Org)}
	var err error
	k.v, err = vault.Open(t.TempDir(), "")
	ok(t, err)
	k.at.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixMicro())
	k.a = auth.New(d, k.v, k.now)
	return k
}

func (k *office) now() time.Time        { return time.UnixMicro(k.at.Load()).UTC() }
func (k *office) later(d time.Duration) { k.at.Add(d.Microseconds()) }

func (k *office) write(fn func(tx *db.Tx) error) error { return k.o.Write(ctx, fn) }

func (k *office) hire(email, role string) (u auth.User) {
	k.t.Helper()
	ok(k.t, k.write(func(tx *db.Tx) (err error) {
		u, err = k.a.Create(ctx, tx, auth.NewUser{Email: email, Role: role, Password: password})
		return err
	}))
	return u
}

func (k *office) update(id string, c auth.Change) error {
	return k.write(func(tx *db.Tx) error { _, err := k.a.Update(ctx, tx, id, c); return err })
}

func ptr[T any](v T) *T { return &v }

func TestSignIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := open(t, d)
		u := k.hire("Anna@Firma.example", auth.Advisor)
		off := k.hire("weg@firma.example", auth.Advisor)
		ok(t, k.update(off.ID, auth.Change{Enabled: ptr(false)}))
		for _, c := range []struct {
			name, email, password string
			want                  error
		}{
			{"right", "anna@firma.example", password, nil},
			{"in capitals", " ANNA@firma.example ", password, nil},
			{"wrong password", "anna@firma.example", password + "x", auth.ErrCredentials},
			{"no password", "anna@firma.example", "", auth.ErrCredentials},
			{"nobody", "niemand@firma.example", password, auth.ErrCredentials},
			{"removed", "weg@firma.example", password, auth.ErrCredentials},
		} {
			got, secret, err := k.a.SignIn(ctx, c.email, c.password, "", "192.0.2.1")
			if !errors.Is(err, c.want) || (err == nil) != (secret != "") || (err == nil && got.ID != u.ID) {
				t.Errorf("%s: %v, %q, %v; want %v", c.name, got.ID, secret, err, c.want)
			}
		}
		_, one, err := k.a.SignIn(ctx, "anna@firma.example", password, "", "192.0.2.1")
		ok(t, err)
		_, two, err := k.a.SignIn(ctx, "anna@firma.example", password, "", "192.0.2.1")
		ok(t, err)
		if one == two {
			t.Error("two sign-ins share a session")
		}
		for _, s := range []string{one, two} {
			if got, err := k.a.Session(ctx, s); err != nil || got.ID != u.ID {
				t.Errorf("session: %v %v", got, err)
			}
		}
		ok(t, k.a.SignOut(ctx, u, one))
		if _, err := k.a.Session(ctx, one); !errors.Is(err, auth.ErrSignedOut) {
			t.Errorf("after signing out: %v", err)
		}
		if _, err := k.a.Session(ctx, two); err != nil {
			t.Errorf("the other session ended, too: %v", err)
		}
		k.later(15 * 24 * time.Hour)
		if _, err := k.a.Session(ctx, two); !errors.Is(err, auth.ErrSignedOut) {
			t.Errorf("after two weeks: %v", err)
		}
		ok(t, k.a.Sweep(ctx, k.o))
	})
}

func TestGuessingIsLimited(t *testing.T) {
	k := open(t, dbtest.SQLite(t))
	k.hire("anna@firma.example", auth.Advisor)
	guess := func(email, ip string) error { _, _, err := k.a.SignIn(ctx, email, "geraten", "", ip); return err }
	for i := range 8 {
		if err := guess("anna@firma.example", fmt.Sprint("192.0.2.", i)); !errors.Is(err, auth.ErrCredentials) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	if _, _, err := k.a.SignIn(ctx, "anna@firma.example", password, "", "192.0.2.99"); !errors.Is(err, auth.ErrTooMany) {
		t.Errorf("after eight guesses at one member: %v", err)
	}
	k.later(16 * time.Minute)
	if _, _, err := k.a.SignIn(ctx, "anna@firma.example", password, "", "192.0.2.99"); err != nil {
		t.Errorf("a quarter of an hour later: %v", err)
	}
	for i := range 8 {
		if err := guess(fmt.Sprintf("u%d@firma.example", i), "198.51.100.1"); !errors.Is(err, auth.ErrCredentials) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	if err := guess("u99@firma.example", "198.51.100.1"); !errors.Is(err, auth.ErrTooMany) {
		t.Errorf("after eight guesses from one address: %v", err)
	}
	// Right ones do not count, however many.
	for i := range 12 {
		if _, _, err := k.a.SignIn(ctx, "anna@firma.example", password, "", "203.0.113.1"); err != nil {
			t.Fatalf("sign-in %d: %v", i, err)
		}
	}
}

func TestGuessingAtOnceIsLimitedToo(t *testing.T) {
	k := open(t, dbtest.SQLite(t))
	k.hire("anna@firma.example", auth.Advisor)
	var wrong, many atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			_, _, err := k.a.SignIn(ctx, "anna@firma.example", fmt.Sprint("geraten", i), "", fmt.Sprint("192.0.2.", i))
			switch {
			case errors.Is(err, auth.ErrCredentials):
				wrong.Add(1)
			case errors.Is(err, auth.ErrTooMany):
				many.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wrong.Load() > 8 || wrong.Load()+many.Load() != 40 {
		t.Errorf("%d passwords of 40 at once were tried, want at most 8", wrong.Load())
	}
}

// code gives the second factor's code at a time.
func code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, at)
	ok(t, err)
	return c
}

func TestSecondFactor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := open(t, d)
		u := k.hire("anna@firma.example", auth.Advisor)
		var secret string
		ok(t, k.write(func(tx *db.Tx) (err error) { secret, _, err = k.a.StartTOTP(ctx, tx, u, "Rufweite"); return err }))
		signIn := func(c string) error {
			_, _, err := k.a.SignIn(ctx, "anna@firma.example", password, c, "192.0.2.1")
			return err
		}
		if err := signIn(""); err != nil {
			t.Errorf("a factor that is not confirmed is asked for: %v", err)
		}
		enable := func(c string) error {
			return k.write(func(tx *db.Tx) error { return k.a.EnableTOTP(ctx, tx, u.ID, c) })
		}
		if err := enable("000000"); !errors.Is(err, auth.ErrCode) {
			t.Errorf("confirmed by a wrong code: %v", err)
		}
		ok(t, enable(code(t, secret, k.now())))
		if err := signIn(""); !errors.Is(err, auth.ErrTOTPNeeded) {
			t.Errorf("without a code: %v", err)
		}
		if err := signIn(code(t, secret, k.now())); !errors.Is(err, auth.ErrCode) {
			t.Errorf("the code that confirmed it works again: %v", err)
		}
		k.later(31 * time.Second)
		now := code(t, secret, k.now())
		if err := signIn(now[:3] + " " + now[3:]); err != nil {
			t.Errorf("a code as apps show it: %v", err)
		}
		if err := signIn(now); !errors.Is(err, auth.ErrCode) {
			t.Errorf("a replayed code: %v", err)
		}
		k.later(31 * time.Second)
		old := code(t, secret, k.now())
		k.later(30 * time.Second)
		if err := signIn(old); err != nil {
			t.Errorf("a code of the step before: %v", err)
		}
		k.later(31 * time.Second)
		stale := code(t, secret, k.now())
		k.later(95 * time.Second)
		if err := signIn(stale); !errors.Is(err, auth.ErrCode) {
			t.Errorf("a code of three steps before: %v", err)
		}
		// Of many who use the same code at once, one gets in.
		k.later(16 * time.Minute)
		c := code(t, secret, k.now())
		var in atomic.Int64
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if _, _, err := k.a.SignIn(ctx, "anna@firma.example", password, c, fmt.Sprint("192.0.2.", i)); err == nil {
					in.Add(1)
				} else if !errors.Is(err, auth.ErrCode) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if in.Load() != 1 {
			t.Errorf("%d sign-ins with one code, want 1", in.Load())
		}
		ok(t, k.write(func(tx *db.Tx) error { return k.a.DisableTOTP(ctx, tx, u.ID) }))
		k.later(16 * time.Minute)
		if err := signIn(""); err != nil {
			t.Errorf("after it was switched off: %v", err)
		}
	})
}

func TestInvitationWorksOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := open(t, d)
		u := k.hire("anna@firma.example", auth.Advisor)
		invite := func() (token string) {
			t.Helper()
			ok(t, k.write(func(tx *db.Tx) (err error) { token, err = k.a.Invite(ctx, tx, u.ID); return err }))
			return token
		}
		first := invite()
		second := invite()
		if _, _, err := k.a.AcceptInvite(ctx, first, "ein neues Passwort"); !errors.Is(err, auth.ErrInvite) {
			t.Errorf("an invitation that was replaced: %v", err)
		}
		if _, _, err := k.a.AcceptInvite(ctx, second, "kurz"); !errors.Is(err, auth.ErrWeak) {
			t.Errorf("a weak password: %v", err)
		}
		_, before, err := k.a.SignIn(ctx, "anna@firma.example", password, "", "192.0.2.1")
		ok(t, err)
		var in atomic.Int64
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, _, err := k.a.AcceptInvite(ctx, second, "ein neues Passwort"); err == nil {
					in.Add(1)
				} else if !errors.Is(err, auth.ErrInvite) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if in.Load() != 1 {
			t.Errorf("accepted %d times, want once", in.Load())
		}
		if _, err := k.a.Session(ctx, before); !errors.Is(err, auth.ErrSignedOut) {
			t.Errorf("a session from before the new password: %v", err)
		}
		third := invite()
		k.later(8 * 24 * time.Hour)
		if _, err := k.a.Invited(ctx, third); !errors.Is(err, auth.ErrInvite) {
			t.Errorf("after more than a week: %v", err)
		}
		k.later(-8 * 24 * time.Hour)
		fourth := invite()
		ok(t, k.update(u.ID, auth.Change{Enabled: ptr(false)}))
		if _, _, err := k.a.AcceptInvite(ctx, fourth, "ein neues Passwort"); !errors.Is(err, auth.ErrInvite) {
			t.Errorf("an invitation of a removed member: %v", err)
		}
	})
}

func TestRemovedMemberIsOutAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := open(t, d)
		u := k.hire("anna@firma.example", auth.Advisor)
		_, session, err := k.a.SignIn(ctx, "anna@firma.example", password, "", "192.0.2.1")
		ok(t, err)
		token, err := k.a.NewToken(ctx, u, "Skript")
		ok(t, err)
		other := auth.New(d, k.v, k.now) // another node, which remembers
		for _, a := range []*auth.Auth{k.a, other} {
			_, err := a.Session(ctx, session)
			ok(t, err)
			_, err = a.Token(ctx, token)
			ok(t, err)
		}
		ok(t, k.update(u.ID, auth.Change{Enabled: ptr(false)}))
		out := func(a *auth.Auth, where string) {
			t.Helper()
			if _, err := a.Session(ctx, session); !errors.Is(err, auth.ErrSignedOut) {
				t.Errorf("%s: session %v", where, err)
			}
			if _, err := a.Token(ctx, token); !errors.Is(err, auth.ErrSignedOut) {
				t.Errorf("%s: token %v", where, err)
			}
		}
		out(k.a, "here")
		k.later(60 * time.Second)
		out(other, "on another node within 60 s")
		ok(t, k.update(u.ID, auth.Change{Enabled: ptr(true)}))
		out(k.a, "taken on again: old sessions stay dead")
	})
}

func TestLastOwnerStays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := open(t, d)
		a, b := k.hire("a@firma.example", auth.Owner), k.hire("b@firma.example", auth.Owner)
		k.hire("m@firma.example", auth.Manager)
		// Both let go of it at the same moment, again and again.
		for i := range 10 {
			var wg sync.WaitGroup
			var gone atomic.Int64
			for n, id := range []string{a.ID, b.ID} {
				c := auth.Change{Role: ptr(auth.Advisor)}
				if (i+n)%2 == 0 {
					c = auth.Change{Enabled: ptr(false)}
				}
				wg.Go(func() {
					if err := k.update(id, c); err == nil {
						gone.Add(1)
					} else if !errors.Is(err, auth.ErrLastOwner) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if gone.Load() != 1 {
				t.Fatalf("%d of two owners left at once, want 1", gone.Load())
			}
			for _, id := range []string{a.ID, b.ID} {
				ok(t, k.update(id, auth.Change{Role: ptr(auth.Owner), Enabled: ptr(true)}))
			}
		}
		if err := k.update(a.ID, auth.Change{Role: ptr("king")}); err == nil {
			t.Error("a role that is none")
		}
	})
}

func TestSetupLink(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := open(t, d)
		if err := k.a.CheckSetup(ctx, "x"); !errors.Is(err, auth.ErrInvite) {
			t.Errorf("before there is a link: %v", err)
		}
		first, err := k.a.SetupToken(ctx)
		ok(t, err)
		second, err := k.a.SetupToken(ctx) // the server was started again
		ok(t, err)
		for token, want := range map[string]error{"": auth.ErrInvite, first: auth.ErrInvite, second + "x": auth.ErrInvite, second: nil} {
			if err := k.a.CheckSetup(ctx, token); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", token, err, want)
			}
		}
		k.hire("a@firma.example", auth.Owner)
		if err := k.a.CheckSetup(ctx, second); !errors.Is(err, auth.ErrInvite) {
			t.Errorf("when there is an owner: %v", err)
		}
	})
}

func TestStaffAddressesAreUnique(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := open(t, d)
		k.hire("anna@firma.example", auth.Advisor)
		ok(t, d.CreateOrg(ctx, "other", "Andere", 1))
		for _, o := range []db.Org{k.o, d.Org("other")} {
			err := o.Write(ctx, func(tx *db.Tx) error {
				_, err := k.a.Create(ctx, tx, auth.NewUser{Email: "ANNA@firma.example", Password: password})
				return err
			})
			if !errors.Is(err, auth.ErrTaken) {
				t.Errorf("%s: %v, want that it is taken", o.ID, err)
			}
		}
		for _, n := range []auth.NewUser{{Email: "kein Postfach", Password: password}, {Email: "Anna <x@y.example>", Password: password}, {Email: "x@y.example", Password: "kurz"}, {Email: "x@y.example", Role: "king"}} {
			if err := k.write(func(tx *db.Tx) error { _, err := k.a.Create(ctx, tx, n); return err }); err == nil {
				t.Errorf("%+v was added", n)
			}
		}
	})
}
