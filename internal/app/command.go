package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/org"
)

// ErrUnbalanced means that what was received does not add up.
var ErrUnbalanced = errors.New("received ≠ processed + quarantined + pending")

// Command is what an operator asks of an installation, whether a server runs there or not. Exactly one field is set.
type Command struct {
	Org         string       `json:"org"`
	UserAdd     *UserAdd     `json:"user_add,omitempty"`
	UserList    *struct{}    `json:"user_list,omitempty"`
	TokenCreate *TokenCreate `json:"token_create,omitempty"`
	ChannelAdd  *ChannelAdd  `json:"channel_add,omitempty"`
	ChannelList *struct{}    `json:"channel_list,omitempty"`
	Balance     *struct{}    `json:"balance,omitempty"`
	Doctor      *struct{}    `json:"doctor,omitempty"`
	Backup      *Backup      `json:"backup,omitempty"`
	Check       *Check       `json:"check,omitempty"`
}

// UserAdd adds a member of staff.
type UserAdd struct{ Email, Name, Role, Password, Language string }

// TokenCreate makes an API token.
type TokenCreate struct{ Email, Name string }

// ChannelAdd sets up a channel.
type ChannelAdd struct {
	Kind, Name string
	Set        map[string]string
}

// Backup copies the database and the files to a new directory.
type Backup struct{ To string }

// Run does what the operator asked. What it prints last is what scripts read.
func (c *Core) Run(ctx context.Context, cmd Command, out io.Writer) error {
	if cmd.Org == "" {
		cmd.Org = org.Default
	}
	o := c.DB.Org(cmd.Org)
	if _, err := org.Get(ctx, o); err != nil {
		return fmt.Errorf("there is no organisation %q", cmd.Org)
	}
	switch {
	case cmd.UserAdd != nil:
		return c.userAdd(ctx, o, *cmd.UserAdd, out)
	case cmd.UserList != nil:
		list, err := auth.Users(ctx, o)
		for _, u := range list {
			fmt.Fprintf(out, "%s  %-8s  %s <%s>%s\n", u.ID, u.Role, u.Name, u.Email, map[bool]string{false: "  (disabled)"}[u.Enabled])
		}
		return err
	case cmd.TokenCreate != nil:
		u, err := c.Auth.UserByEmail(ctx, cmd.TokenCreate.Email)
		if err != nil || u.Org != o.ID {
			return fmt.Errorf("nobody here has the e-mail %s; add them with: rufweite user add --email %s", cmd.TokenCreate.Email, cmd.TokenCreate.Email)
		}
		t, err := c.Auth.NewToken(ctx, u, cmd.TokenCreate.Name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, t)
		return err
	case cmd.ChannelAdd != nil:
		a := cmd.ChannelAdd
		ch, err := c.Accounts.Create(ctx, o.ID, channel.Kind(a.Kind), a.Name, a.Set, "en", c.Now())
		var bad *account.InvalidError
		if errors.As(err, &bad) {
			return fmt.Errorf("the channel cannot be set up: %w", bad)
		}
		if err != nil {
			return err
		}
		if _, ok := c.Accounts.Driver(ch.Kind).(channel.Webhook); ok {
			fmt.Fprintf(out, "webhook: /in/%s/%s\n", ch.Kind, ch.ID)
		}
		if ch.Kind == email.Kind {
			if line := email.RecordLine(ch.Settings); line != "" {
				fmt.Fprintf(out, "publish in DNS: %s\n", line)
			}
		}
		_, err = fmt.Fprintln(out, ch.ID)
		return err
	case cmd.ChannelList != nil:
		for _, ch := range c.Accounts.List(o.ID) {
			fmt.Fprintf(out, "%s  %-10s  %s%s\n", ch.ID, ch.Kind, ch.Name, map[bool]string{false: "  (off)"}[ch.Enabled])
		}
		return nil
	case cmd.Balance != nil:
		return c.balance(ctx, out)
	case cmd.Doctor != nil:
		return c.doctor(ctx, o, out)
	case cmd.Backup != nil:
		return c.backup(ctx, cmd.Backup.To, out)
	case cmd.Check != nil:
		return c.check(ctx, o, *cmd.Check, out)
	}
	return errors.New("no command")
}

func (c *Core) userAdd(ctx context.Context, o db.Org, a UserAdd, out io.Writer) error {
	var u auth.User
	var invite string
	err := o.Write(ctx, func(tx *db.Tx) (err error) {
		if u, err = c.Auth.Create(ctx, tx, auth.NewUser{Email: a.Email, Name: a.Name, Role: a.Role, Language: a.Language, Password: a.Password}); err != nil {
			return err
		}
		if a.Password == "" {
			invite, err = c.Auth.Invite(ctx, tx, u.ID)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add %s: %w", a.Email, err)
	}
	if invite != "" {
		fmt.Fprintf(out, "No password given. Hand over this link (7 days, once): %s/invite?token=%s\n", strings.TrimSuffix(c.PublicURL, "/"), invite)
	}
	_, err = fmt.Fprintln(out, u.ID)
	return err
}

// balance prints received = processed + quarantined + pending for each channel of the installation.
func (c *Core) balance(ctx context.Context, out io.Writer) error {
	orgs, err := org.All(ctx, c.DB)
	if err != nil {
		return err
	}
	ok := true
	var sum intake.Balance
	fmt.Fprintf(out, "%-36s  %10s  %10s  %11s  %8s  %10s  %s\n", "channel", "received", "processed", "quarantined", "pending", "duplicates", "name")
	line := func(b intake.Balance) {
		mark := ""
		if !b.OK() {
			mark, ok = "  DOES NOT ADD UP", false
		}
		fmt.Fprintf(out, "%-36s  %10d  %10d  %11d  %8d  %10d  %s%s\n", b.Channel, b.Received, b.Processed, b.Quarantined, b.Pending, b.Duplicates, b.Name, mark)
	}
	for _, v := range orgs {
		list, err := intake.Balances(ctx, c.DB.Org(v.ID))
		if err != nil {
			return err
		}
		for _, b := range list {
			line(b)
			sum.Received += b.Received
			sum.Processed += b.Processed
			sum.Quarantined += b.Quarantined
			sum.Pending += b.Pending
			sum.Duplicates += b.Duplicates
		}
	}
	sum.Channel = "total"
	line(sum)
	if !ok {
		return ErrUnbalanced
	}
	return nil
}

// doctor looks for what an operator should know at three in the morning.
func (c *Core) doctor(ctx context.Context, o db.Org, out io.Writer) error {
	var troubles []string
	say := func(ok bool, what string) {
		mark := "ok  "
		if !ok {
			mark = "BAD "
			troubles = append(troubles, what)
		}
		fmt.Fprintln(out, mark, what)
	}
	engine := "SQLite in " + c.Dir
	if c.DB.Postgres() {
		engine = "PostgreSQL"
	}
	var n int
	err := o.Row(ctx, `SELECT COUNT(*) FROM conversation WHERE org = $1`).Scan(&n)
	say(err == nil, fmt.Sprintf("database: %s, %d conversations", engine, n))
	var st syscall.Statfs_t
	if err := syscall.Statfs(c.Dir, &st); err == nil {
		free := int64(st.Bavail) * st.Bsize >> 20
		say(free > 1024, fmt.Sprintf("disk: %d MB free in %s", free, c.Dir))
	}
	if fi, err := os.Stat(filepath.Join(c.Dir, "key")); err == nil {
		say(fi.Mode().Perm()&0o077 == 0, "key: readable by its owner only; back it up apart from the database")
	}
	health, err := c.Accounts.Healths(ctx, o.ID)
	if err != nil {
		return err
	}
	list := c.Accounts.List(o.ID)
	for _, ch := range list {
		h := health[ch.ID]
		what := fmt.Sprintf("channel %s (%s): %s", ch.Name, ch.Kind, h.State)
		if h.State == account.Red {
			what += ": " + h.Reason.EN + " " + h.Remedy.EN
		}
		say(h.State != account.Red, what)
	}
	if len(list) == 0 {
		say(true, "no channels yet: add one in the desk, or with: rufweite channel add --kind email --set address=…")
	}
	work, err := intake.CountWorkItems(ctx, o)
	if err != nil {
		return err
	}
	say(work == 0, fmt.Sprintf("work items: %d open", work))
	bal, err := intake.Balances(ctx, o)
	if err != nil {
		return err
	}
	for _, b := range bal {
		if !b.OK() {
			say(false, "balance of channel "+b.Name+" does not add up; run: rufweite balance")
		}
		if b.Pending > 1000 {
			say(false, fmt.Sprintf("channel %s: %d events wait to be processed", b.Name, b.Pending))
		}
	}
	if len(troubles) > 0 {
		return fmt.Errorf("%d of these need somebody", len(troubles))
	}
	return nil
}

// lockFile is held (flock) while a server runs on a data directory.
func lockFile(dir string) string { return filepath.Join(dir, "lock") }

// Lock makes this process the server of a data directory. held is true if another process is.
func Lock(dir string) (release func(), held bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make data directory: %w", err)
	}
	f, err := os.OpenFile(lockFile(dir), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("lock data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, true, nil
		}
		return nil, false, fmt.Errorf("lock data directory: %w", err)
	}
	return func() { _ = f.Close() }, false, nil
}

func socketFile(dir string) string { return filepath.Join(dir, "admin.sock") }

// result is the last line of an answer on the admin socket.
type result struct {
	Error      string `json:"error,omitempty"`
	Unbalanced bool   `json:"unbalanced,omitempty"`
}

const resultMark = "\x00"

// ServeAdmin takes commands on DIR/admin.sock (0600) until the returned function is called.
func (a *App) ServeAdmin() (stop func(), err error) {
	path := socketFile(a.Dir)
	_ = os.Remove(path) // we hold the lock: whoever made it is gone
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen for commands on %s: %w", path, err)
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var cmd Command
		if err := json.NewDecoder(r.Body).Decode(&cmd); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var res result
		if err := a.Run(r.Context(), cmd, w); err != nil {
			res.Error, res.Unbalanced = err.Error(), errors.Is(err, ErrUnbalanced)
		}
		b, err := json.Marshal(res)
		if err == nil {
			_, err = w.Write(append([]byte(resultMark), b...))
		}
		if err != nil {
			a.Core.Log.Warn("a command's answer could not be sent", "error", err)
		}
	})}
	go func() { _ = srv.Serve(l) }() // ends with stop
	return func() { _ = srv.Close(); _ = os.Remove(path) }, nil
}

// Do runs a command: through the running server if there is one, otherwise on the database itself. The change is
// effective when it returns.
func Do(ctx context.Context, c Config, cmd Command, out io.Writer) error {
	release, held, err := Lock(c.Dir)
	if err != nil {
		return err
	}
	if !held {
		defer release()
		core, err := OpenCore(ctx, c)
		if err != nil {
			return err
		}
		err = core.Run(ctx, cmd, out)
		return errors.Join(err, core.Close())
	}
	body, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socketFile(c.Dir))
	}}}
	var resp *http.Response
	for i := 0; ; i++ {
		resp, err = client.Post("http://admin/", "application/json", strings.NewReader(string(body)))
		if err == nil || i > 100 {
			break
		}
		time.Sleep(100 * time.Millisecond) // the server is starting
	}
	if err != nil {
		return fmt.Errorf("a server holds %s but does not answer on its admin socket: %w", c.Dir, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	text, tail, ok := strings.Cut(string(b), resultMark)
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	var res result
	if !ok || json.Unmarshal([]byte(tail), &res) != nil {
		return fmt.Errorf("the server's answer was cut short: %s", resp.Status)
	}
	if res.Unbalanced {
		return ErrUnbalanced
	}
	if res.Error != "" {
		return errors.New(res.Error)
	}
	return nil
}

// backup copies a consistent state of the SQLite database and all files to a new directory.
func (c *Core) backup(ctx context.Context, to string, out io.Writer) error {
	if c.DB.Postgres() {
		return errors.New("with PostgreSQL back up the database with pg_dump, and the directory blobs beside it")
	}
	if to == "" {
		return errors.New("say where to: rufweite backup --to DIR")
	}
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("%s exists already; choose a new directory", to)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("make backup directory: %w", err)
	}
	if err := c.DB.CopyTo(ctx, filepath.Join(to, "rufweite.db")); err != nil {
		return err
	}
	n := 0
	src := filepath.Join(c.Dir, "blobs")
	var files []string
	err := filepath.WalkDir(src, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		if !d.IsDir() && filepath.Base(filepath.Dir(path)) != "tmp" {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	sort.Strings(files)
	for _, f := range files {
		rel, err := filepath.Rel(src, f)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, "blobs", rel)
		if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
			return fmt.Errorf("copy files: %w", err)
		}
		if err := os.Link(f, dst); err != nil { // content-addressed files never change
			if err := copyFile(f, dst); err != nil {
				return fmt.Errorf("copy files: %w", err)
			}
		}
		n++
	}
	_, err = fmt.Fprintf(out, "database and %d files are in %s\nThe key that opens its secrets (%s) is NOT in it: keep a copy elsewhere.\n", n, to, filepath.Join(c.Dir, "key"))
	return err
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}
