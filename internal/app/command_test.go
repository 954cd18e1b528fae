package app_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/telegram"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/org"
)

var ctx = context.Background()

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each runs fn with an installation on each engine.
func each(t *testing.T, fn func(t *testing.T, c app.Config)) {
	t.Helper()
	config := func(t *testing.T) app.Config {
		return app.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0", AllowPrivate: true}
	}
	t.Run("sqlite", func(t *testing.T) { fn(t, config(t)) })
	if os.Getenv("RUFWEITE_TEST_POSTGRES") != "" {
		t.Run("postgres", func(t *testing.T) {
			c := config(t)
			c.Postgres = dbtest.PostgresURL(t)
			fn(t, c)
		})
	}
}

// serve runs a server as the command does: lock, doors, admin socket.
func serve(t *testing.T, c app.Config) (a *app.App, stop func()) {
	t.Helper()
	release, held, err := app.Lock(c.Dir)
	ok(t, err)
	if held {
		t.Fatal("another server runs there")
	}
	a, err = app.Start(ctx, c)
	ok(t, err)
	stopAdmin, err := a.ServeAdmin()
	ok(t, err)
	done := false
	stop = func() {
		if done {
			return
		}
		done = true
		stopAdmin()
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		release()
	}
	t.Cleanup(stop)
	return a, stop
}

func do(t *testing.T, c app.Config, cmd app.Command) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := app.Do(ctx, c, cmd, &out)
	return out.String(), err
}

var (
	idForm    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	tokenForm = regexp.MustCompile(`rw_[A-Za-z0-9_-]+`)
	linkForm  = regexp.MustCompile(`token=[A-Za-z0-9_-]+`)
	freeForm  = regexp.MustCompile(`\d+ MB free in \S+`)
	dirForm   = regexp.MustCompile(`/\S*(TestCommands)\S*`)
)

// shape is what a command printed, without what differs each time.
func shape(s string) string {
	s = idForm.ReplaceAllString(s, "ID")
	s = tokenForm.ReplaceAllString(s, "TOKEN")
	s = linkForm.ReplaceAllString(s, "token=LINK")
	s = freeForm.ReplaceAllString(s, "FREE")
	return dirForm.ReplaceAllString(s, "DIR")
}

// A command has the same effect and says the same, whether a server runs or not.
func TestCommandsWithAndWithoutAServer(t *testing.T) {
	each(t, func(t *testing.T, c app.Config) {
		type step struct {
			name string
			cmd  app.Command
			fail string
		}
		steps := func(n string) []step {
			return []step{
				{"user add", app.Command{UserAdd: &app.UserAdd{Email: n + "@firma.example", Role: "owner", Password: "sehr langes Passwort"}}, ""},
				{"user add, no password", app.Command{UserAdd: &app.UserAdd{Email: n + "2@firma.example", Role: "advisor"}}, ""},
				{"user add, taken", app.Command{UserAdd: &app.UserAdd{Email: n + "@firma.example", Password: "sehr langes Passwort"}}, "in use already"},
				{"user add, no address", app.Command{UserAdd: &app.UserAdd{Email: "niemand"}}, "is not an e-mail address"},
				{"token create", app.Command{TokenCreate: &app.TokenCreate{Email: n + "@firma.example", Name: "x"}}, ""},
				{"token create, nobody", app.Command{TokenCreate: &app.TokenCreate{Email: "x@y.example"}}, "rufweite user add"},
				{"channel add", app.Command{ChannelAdd: &app.ChannelAdd{Kind: "email", Name: "Post " + n, Set: map[string]string{"address": n + "@post.example"}}}, ""},
				{"channel add, webhook", app.Command{ChannelAdd: &app.ChannelAdd{Kind: "telegram", Name: "Bot", Set: map[string]string{"token": "1:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", "mode": "poll", "api_url": "http://127.0.0.1:1"}}}, ""},
				{"channel add, bad", app.Command{ChannelAdd: &app.ChannelAdd{Kind: "email", Set: map[string]string{"adress": "x"}}}, "cannot be set up"},
				{"channel add, taken", app.Command{ChannelAdd: &app.ChannelAdd{Kind: "email", Set: map[string]string{"address": n + "@post.example"}}}, "already has this address"},
				{"no such organisation", app.Command{Org: "nirgends", UserList: &struct{}{}}, `there is no organisation "nirgends"`},
				{"balance", app.Command{Balance: &struct{}{}}, ""},
				{"nothing", app.Command{}, "no command"},
			}
		}
		run := func(n string) (said []string) {
			for _, s := range steps(n) {
				out, err := do(t, c, s.cmd)
				if s.fail == "" && err != nil || s.fail != "" && (err == nil || !strings.Contains(err.Error(), s.fail)) {
					t.Fatalf("%s: %v, want %q", s.name, err, s.fail)
				}
				if err != nil {
					out += "error: " + err.Error()
				}
				said = append(said, s.name+": "+strings.ReplaceAll(shape(out), n, "NAME"))
			}
			return said
		}
		without := run("ohne")
		a, stop := serve(t, c)
		with := run("mit")
		for i := range without {
			if i >= len(with) || !strings.HasPrefix(without[i], "balance") && without[i] != with[i] {
				t.Errorf("without a server %q\nwith one         %q", without[i], with[i])
			}
		}
		// The change is effective when the command returns: the running server knows both.
		for _, n := range []string{"ohne", "mit"} {
			if _, have := a.Accounts.ByMailbox(n + "@post.example"); !have {
				t.Errorf("the server does not receive mail for %s@post.example", n)
			}
			if _, err := a.Auth.UserByEmail(ctx, n+"@firma.example"); err != nil {
				t.Error(err)
			}
		}
		out, err := do(t, c, app.Command{TokenCreate: &app.TokenCreate{Email: "mit@firma.example"}})
		ok(t, err)
		req, err := http.NewRequest("GET", "http://"+a.HTTPAddr()+"/api/v1/session", nil)
		ok(t, err)
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(out))
		resp, err := http.DefaultClient.Do(req)
		ok(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("the new token: %s", resp.Status)
		}
		withList, err := do(t, c, app.Command{UserList: &struct{}{}})
		ok(t, err)
		withChannels, err := do(t, c, app.Command{ChannelList: &struct{}{}})
		ok(t, err)
		if fi, err := os.Stat(filepath.Join(c.Dir, "admin.sock")); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("the admin socket is %v (%v), want 0600", fi.Mode(), err)
		}
		stop()
		list, err := do(t, c, app.Command{UserList: &struct{}{}})
		ok(t, err)
		channels, err := do(t, c, app.Command{ChannelList: &struct{}{}})
		ok(t, err)
		if list != withList || channels != withChannels {
			t.Errorf("lists differ:\n%s%s\n%s%s", withList, withChannels, list, channels)
		}
		if strings.Count(list, "\n") != 4 || strings.Count(channels, "\n") != 4 {
			t.Errorf("lists are not whole:\n%s%s", list, channels)
		}
	})
}

// A balance that does not add up ends with the same error by both ways: scripts look at the exit code.
func TestBalanceThatDoesNotAddUp(t *testing.T) {
	each(t, func(t *testing.T, c app.Config) {
		_, err := do(t, c, app.Command{ChannelAdd: &app.ChannelAdd{Kind: "email", Set: map[string]string{"address": "a@b.example"}}})
		ok(t, err)
		core, err := app.OpenCore(ctx, c)
		ok(t, err)
		id := core.Accounts.List(org.Default)[0].ID
		ok(t, core.DB.Org(org.Default).Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO intake_count (org, channel, node, received, duplicates, trimmed, last_at) VALUES ($1, $2, 'x', 3, 0, 1, 0)`, id)
			return err
		}))
		ok(t, core.Close())
		check := func(how string) {
			out, err := do(t, c, app.Command{Balance: &struct{}{}})
			if !errors.Is(err, app.ErrUnbalanced) || !strings.Contains(out, "DOES NOT ADD UP") {
				t.Errorf("%s: %v\n%s", how, err, out)
			}
		}
		check("without a server")
		serve(t, c)
		check("with a server")
	})
}

func TestOneServerPerDirectory(t *testing.T) {
	c := app.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	_, stop := serve(t, c)
	if _, held, err := app.Lock(c.Dir); err != nil || !held {
		t.Fatalf("held %v, %v", held, err)
	}
	stop()
	// What a killed server leaves behind is in nobody's way.
	l, err := net.Listen("unix", filepath.Join(c.Dir, "admin.sock"))
	ok(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	ok(t, l.Close())
	serve(t, c)
	if _, err := do(t, c, app.Command{Balance: &struct{}{}}); err != nil {
		t.Error(err)
	}
}

// Wrong settings: the server starts, the channel is red with reason and remedy, and still takes in what arrives.
func TestWrongSettingsAreARedChannel(t *testing.T) {
	unauthorized := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"ok":false,"error_code":401,"description":"Unauthorized"}`))
	}))
	defer unauthorized.Close()
	nonsense := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) }))
	defer nonsense.Close()
	const token = "1:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
	for name, ch := range map[string]app.ChannelAdd{
		"wrong token":          {Kind: "telegram", Set: map[string]string{"token": token, "mode": "poll", "api_url": unauthorized.URL}},
		"not the provider":     {Kind: "telegram", Set: map[string]string{"token": token, "mode": "poll", "api_url": nonsense.URL}},
		"nobody there":         {Kind: "telegram", Set: map[string]string{"token": token, "mode": "poll", "api_url": "http://127.0.0.1:1"}},
		"no public address":    {Kind: "telegram", Set: map[string]string{"token": token, "mode": "webhook", "api_url": unauthorized.URL}},
		"no mail server there": {Kind: "email", Set: map[string]string{"address": "a@b.example", "smtp_host": "127.0.0.1", "smtp_port": "1"}},
		"no such mail server":  {Kind: "email", Set: map[string]string{"address": "a@b.example", "smtp_host": "nirgends.invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := app.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0", AllowPrivate: true}
			out, err := do(t, c, app.Command{ChannelAdd: &ch})
			ok(t, err)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			id := lines[len(lines)-1]
			a, _ := serve(t, c)
			var h account.Health
			deadline := time.Now().Add(time.Minute)
			for h.State != account.Red {
				all, err := a.Accounts.Healths(ctx, org.Default)
				ok(t, err)
				h = all[id]
				if time.Now().After(deadline) {
					t.Fatalf("after a minute: %+v", h)
				}
				time.Sleep(5 * time.Millisecond)
			}
			for _, x := range []channel.Text{h.Reason, h.Remedy} {
				if x.DE == "" || x.EN == "" || x.DE == x.EN {
					t.Errorf("reason %+v, remedy %+v", h.Reason, h.Remedy)
				}
			}
			if strings.Contains(h.Reason.DE+h.Reason.EN+h.Remedy.DE, token) {
				t.Errorf("the token is shown: %+v", h)
			}
			if out, err := do(t, c, app.Command{Doctor: &struct{}{}}); err == nil || !strings.Contains(out, h.Reason.EN) {
				t.Errorf("the doctor does not say so: %v\n%s", err, out)
			}
			if ch.Kind == "telegram" {
				acct, err := a.Accounts.Get(org.Default, id)
				ok(t, err)
				req, err := http.NewRequest("POST", "http://"+a.HTTPAddr()+"/in/telegram/"+id, strings.NewReader(`{"update_id":1,"message":{"message_id":1,"date":1,"chat":{"id":5,"type":"private"},"from":{"id":5,"is_bot":false,"first_name":"E"},"text":"Hallo"}}`))
				ok(t, err)
				req.Header.Set("X-Telegram-Bot-Api-Secret-Token", telegram.Secrets(acct.Account)[0])
				resp, err := http.DefaultClient.Do(req)
				ok(t, err)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("a red channel answers %s to what arrives", resp.Status)
				}
			}
		})
	}
}

func TestBackupIsWholeWhileTheServerRuns(t *testing.T) {
	c := app.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	_, err := do(t, c, app.Command{UserAdd: &app.UserAdd{Email: "a@b.example", Password: "sehr langes Passwort", Role: "owner"}})
	ok(t, err)
	a, stop := serve(t, c)
	_, _, err = a.Blobs.Put(ctx, strings.NewReader("ein Anhang"), 0)
	ok(t, err)
	to := filepath.Join(t.TempDir(), "kopie")
	if _, err := do(t, c, app.Command{Backup: &app.Backup{To: to}}); err != nil {
		t.Fatal(err)
	}
	if _, err := do(t, c, app.Command{Backup: &app.Backup{To: to}}); err == nil {
		t.Error("an earlier backup was written over")
	}
	stop()
	if _, err := os.Stat(filepath.Join(to, "key")); err == nil {
		t.Error("the key lies beside the secrets it protects")
	}
	key, err := os.ReadFile(filepath.Join(c.Dir, "key"))
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(to, "key"), key, 0o600))
	back := app.Config{Dir: to, Listen: "127.0.0.1:0"}
	out, err := do(t, back, app.Command{UserList: &struct{}{}})
	if err != nil || !strings.Contains(out, "a@b.example") {
		t.Errorf("the copy says %q (%v)", out, err)
	}
	files, err := filepath.Glob(filepath.Join(to, "blobs", "*", "*"))
	if err != nil || len(files) == 0 {
		t.Errorf("%d files in the copy (%v)", len(files), err)
	}
}

// A stop may come at any moment, also right after the start.
func TestStopRightAfterStart(t *testing.T) {
	dir := t.TempDir()
	for range 10 {
		_, stop := serve(t, app.Config{Dir: dir, Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0"})
		done := make(chan struct{})
		go func() { stop(); close(done) }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("the server does not stop")
		}
	}
}
