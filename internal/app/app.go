// Package app puts the rooms together: it opens the house, connects what one room needs of another, starts what
// listens and stops it in order. It is the only package that knows all rooms, and holds the one list of channel kinds.
package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"crypto/rand"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/discord"
	"github.com/rufweite/rufweite/internal/channel/email"
	"github.com/rufweite/rufweite/internal/channel/line"
	"github.com/rufweite/rufweite/internal/channel/matrix"
	"github.com/rufweite/rufweite/internal/channel/messenger"
	"github.com/rufweite/rufweite/internal/channel/rcs"
	"github.com/rufweite/rufweite/internal/channel/signal"
	"github.com/rufweite/rufweite/internal/channel/slack"
	"github.com/rufweite/rufweite/internal/channel/smpp"
	"github.com/rufweite/rufweite/internal/channel/teams"
	"github.com/rufweite/rufweite/internal/channel/telegram"
	"github.com/rufweite/rufweite/internal/channel/twilio"
	"github.com/rufweite/rufweite/internal/channel/viber"
	"github.com/rufweite/rufweite/internal/channel/vonage"
	"github.com/rufweite/rufweite/internal/channel/webchat"
	"github.com/rufweite/rufweite/internal/channel/webhook"
	"github.com/rufweite/rufweite/internal/channel/whatsapp"
	"github.com/rufweite/rufweite/internal/channel/xmpp"
	"github.com/rufweite/rufweite/internal/chat"
	"github.com/rufweite/rufweite/internal/contact"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/dialog"
	"github.com/rufweite/rufweite/internal/fetch"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/jobs"
	"github.com/rufweite/rufweite/internal/live"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/reach"
	"github.com/rufweite/rufweite/internal/search"
	"github.com/rufweite/rufweite/internal/vault"
	"github.com/rufweite/rufweite/web"
)

// Version is set by the build.
var Version = "dev"

// Drivers is the list of channel kinds that this build knows.
func Drivers() []channel.Driver {
	return []channel.Driver{
		email.Driver{},
		webchat.Driver{},
		telegram.New(),
		whatsapp.New(),
		messenger.New(),
		messenger.NewInstagram(),
		viber.New(),
		line.New(),
		twilio.New(),
		vonage.New(),
		smpp.New(),
		slack.New(),
		discord.New(),
		teams.New(),
		rcs.New(),
		signal.New(),
		matrix.New(),
		xmpp.New(),
		webhook.New(),
	}
}

// Config is everything that can be set about an installation.
type Config struct {
	Dir            string
	Postgres       string
	KeyFile        string
	Listen         string
	PublicURL      string
	TrustedProxies []netip.Prefix
	TLSCert        string
	TLSKey         string
	ACMEDomain     string
	SMTPListen     string // "" = no SMTP
	AllowPrivate   bool
	LocalHooks     bool             // providers run on this machine and call the listening address (the demo)
	DNS            channel.Resolver // asked about senders of mails (SPF, DKIM, DMARC); nil = nobody is judged
	Cluster        live.Cluster
	Log            *slog.Logger
	Out            io.Writer // for people: links to click
	Now            func() time.Time
	// SMTPPerMinute overrides the limit of messages per minute from one address (tests, benches).
	SMTPPerMinute  int
	Drivers        []channel.Driver                   // nil = Drivers()
	Extra          func(*App) map[string]http.Handler // further pages (the demo's)
	FrameAncestors string
}

// Core is the house without its doors: what commands need when no server runs.
type Core struct {
	Config
	DB       *db.DB
	Vault    *vault.Vault
	Accounts *account.Accounts
	Auth     *auth.Auth
}

// App is a running installation.
type App struct {
	*Core
	Blobs  *blob.Store
	Guard  *fetch.Guard
	Intake *intake.Intake
	Outbox *outbox.Outbox
	Hub    *live.Hub
	API    *api.Server
	Jobs   *jobs.Jobs

	Asks    *ask.Store
	Dialogs *dialog.Store
	Contact *contact.Store

	httpAddr, smtpAddr net.Addr
	node               string
	hostname           string
	cancel             context.CancelFunc
	work               sync.WaitGroup
	closers            []func(context.Context) error
	bound              atomic.Bool
	failed             chan error
}

// OpenCore opens the house without its doors.
func OpenCore(ctx context.Context, c Config) (*Core, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if c.Drivers == nil {
		c.Drivers = Drivers()
	}
	v, err := vault.Open(c.Dir, c.KeyFile)
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, db.Config{Dir: c.Dir, Postgres: c.Postgres})
	if err != nil {
		return nil, err
	}
	core := &Core{Config: c, DB: d, Vault: v}
	if err := org.Ensure(ctx, d, c.Now()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if core.Accounts, err = account.New(ctx, d, v, c.Drivers, c.Log); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	core.Auth = auth.New(d, v, c.Now)
	return core, nil
}

// Close closes the house.
func (c *Core) Close() error { return c.DB.Close() }

// Start opens the house with all its doors. Close must follow.
func Start(ctx context.Context, c Config) (a *App, err error) {
	core, err := OpenCore(ctx, c)
	if err != nil {
		return nil, err
	}
	a = &App{Core: core, failed: make(chan error, 8)}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.cancel = cancel
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
			a = nil
		}
	}()
	if a.Blobs, err = blob.Open(filepath.Join(c.Dir, "blobs")); err != nil {
		return a, err
	}
	if a.node, err = nodeName(c.Dir); err != nil {
		return a, err
	}
	a.hostname = hostname(c.PublicURL)
	a.Guard = fetch.New(fetch.Options{AllowPrivate: c.AllowPrivate, UserAgent: "Rufweite/" + Version})
	log := core.Log
	a.Intake = intake.New(intake.Options{
		DB: a.DB, Accounts: a.Accounts, Blobs: a.Blobs, Env: a.env, Now: core.Now, Node: a.node, Log: log, Sanitise: sanitise, Advisor: advisor,
		Ephemeral: func(acct channel.Account, e channel.Event) {
			a.Hub.Now(acct.Org, map[string]string{"kind": "typing", "address": e.Sender.Value, "channel_id": acct.ID})
		},
	})
	a.Outbox = outbox.New(a.DB, a.Accounts, a.Blobs, a.env, core.Now, a.node, log)
	a.Asks = ask.NewStore(ask.StoreOptions{DB: a.DB, Accounts: a.Accounts, Outbox: a.Outbox, Now: core.Now, URL: a.answerURL, Company: company, Log: log})
	a.Contact = contact.New(contact.Options{DB: a.DB, Accounts: a.Accounts, Services: a.services, Orgs: a.orgIDs, Now: core.Now, Log: log})
	a.Dialogs = dialog.NewStore(dialog.StoreOptions{DB: a.DB, Accounts: a.Accounts, Asks: a.Asks, HTTP: a.Guard, Now: core.Now, Log: log, Media: Media(core.Drivers), Company: company, Staff: staffOf, Unit: unitOf, Open: a.Contact.Opens})
	a.Intake.After = a.Dialogs.Received
	a.Intake.Tell = a.tell
	a.Outbox.Unreachable = a.Asks.Unreachable
	key, err := a.DB.Secret(ctx, "url_key", func() string {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // crypto/rand does not fail
		return hex.EncodeToString(b)
	})
	if err != nil {
		return a, err
	}
	files, _ := web.Files()
	o := api.Options{
		DB: a.DB, Accounts: a.Accounts, Auth: a.Auth, Blobs: a.Blobs, Intake: a.Intake, Outbox: a.Outbox, Log: log, Now: core.Now, PublicURL: c.PublicURL, TrustedProxies: c.TrustedProxies,
		Asks: a.Asks, Dialogs: a.Dialogs, Contact: a.Contact, AllMedia: Media(core.Drivers), Answers: a.Asks, URLKey: []byte(key), Version: Version, Web: files, Media: a.media, Probe: a.probe, AskTemplates: a.askTemplates, OwnChannel: ownChannel(), FrameAncestors: c.FrameAncestors,
		Sanitise: func(html string) string {
			clean, _, _ := sanitise(html, func(string) string { return "" })
			return clean
		},
		Proxied: proxied,
	}
	if c.Extra != nil {
		o.Extra = c.Extra(a)
	}
	a.API = api.New(o)
	if a.Hub, err = live.Start(a.DB, c.Cluster, a.API.Render, log); err != nil {
		return a, err
	}
	a.closers = append(a.closers, func(context.Context) error { a.Hub.Close(); return nil })
	a.API.SetHub(a.Hub)
	a.API.SetReady(a.readiness)
	a.API.SetMetrics(a.metrics())
	a.goDo(run, "intake", a.Intake.Run)
	a.goDo(run, "outbox", a.Outbox.Run)
	a.goDo(run, "questions", a.Asks.Run)
	a.goDo(run, "dialogs", a.Dialogs.Run)
	a.goDo(run, "contact page", a.Contact.Run)
	a.goDo(run, "search", search.New(a.DB, a.orgIDs, log).Run)
	if a.Jobs, err = jobs.New(ctx, a.DB, a.periodic(), log); err != nil {
		return a, err
	}
	if err = a.Jobs.Start(run); err != nil {
		return a, err
	}
	a.closers = append(a.closers, a.Jobs.Stop)
	if a.DB.Postgres() {
		a.goDo(run, "channels", func(ctx context.Context) error { a.Accounts.Watch(ctx); return nil })
	}
	if err = a.listenHTTP(); err != nil {
		return a, err
	}
	if c.SMTPListen != "" {
		if err = a.listenSMTP(); err != nil {
			return a, err
		}
	}
	a.goDo(run, "listeners", a.runListeners)
	a.bound.Store(true)
	return a, nil
}

// orgIDs lists the organisations.
func (a *App) orgIDs(ctx context.Context) ([]string, error) {
	list, err := org.All(ctx, a.DB)
	out := make([]string, len(list))
	for i, o := range list {
		out[i] = o.ID
	}
	return out, err
}

// goDo runs a part of the house until it is closed; should it fail, the whole process is told.
func (a *App) goDo(ctx context.Context, name string, fn func(context.Context) error) {
	a.work.Go(func() {
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			a.failed <- fmt.Errorf("%s: %w", name, err)
		}
	})
}

// Failed gives what makes going on pointless.
func (a *App) Failed() <-chan error { return a.failed }

// HTTPAddr is where the front door listens.
func (a *App) HTTPAddr() string { return a.httpAddr.String() }

// SMTPAddr is where mail is received; "" if it is not.
func (a *App) SMTPAddr() string {
	if a.smtpAddr == nil {
		return ""
	}
	return a.smtpAddr.String()
}

// URL is how to reach the front door.
func (a *App) URL() string {
	if a.PublicURL != "" {
		return a.PublicURL
	}
	host, port, err := net.SplitHostPort(a.HTTPAddr())
	if err != nil {
		return "http://" + a.HTTPAddr()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	scheme := "http"
	if a.TLSCert != "" || a.ACMEDomain != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Close closes the doors first, then lets what is under way end, then closes the house.
func (a *App) Close() error {
	a.bound.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var errs []error
	for i := len(a.closers) - 1; i > 0; i-- { // the hub last: open streams end with the HTTP server
		errs = append(errs, a.closers[i](ctx))
	}
	a.cancel()
	a.work.Wait()
	if len(a.closers) > 0 {
		errs = append(errs, a.closers[0](ctx))
	}
	if a.Guard != nil {
		a.Guard.Close()
	}
	return errors.Join(append(errs, a.Core.Close())...)
}

func (a *App) readiness() error {
	if !a.bound.Load() {
		return errors.New("starting")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var n int
	if err := a.DB.GlobalRow(ctx, db.LookupMetrics, `SELECT COUNT(*) FROM org`).Scan(&n); err != nil {
		return errors.New("the database does not answer")
	}
	return nil
}

// nodeName names this process's data directory: what it had under way is recovered when it starts again.
func nodeName(dir string) (string, error) {
	path := filepath.Join(dir, "node")
	b, err := os.ReadFile(path)
	if err == nil && len(bytes.TrimSpace(b)) > 0 {
		return string(bytes.TrimSpace(b)), nil
	}
	name := strings.ReplaceAll(db.NewID(), "-", "")[20:]
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("name this node: %w", err)
	}
	return name, nil
}

func hostname(publicURL string) string {
	if u, err := url.Parse(publicURL); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "localhost"
}

// env is what a driver may use of the world.
func (a *App) env(acct channel.Account) channel.Env {
	e := channel.Env{HTTP: a.Guard, Dial: channel.DialFunc(a.Guard.DialContext), Now: a.Core.Now, Log: a.Core.Log.With("channel", acct.ID), Hostname: a.hostname, DNS: a.DNS, SaveSetting: a.renewer(acct)}
	public := a.PublicURL
	if public == "" && a.LocalHooks {
		public = a.URL()
	}
	if _, ok := a.Accounts.Driver(acct.Kind).(channel.Webhook); ok && public != "" {
		e.WebhookURL = strings.TrimSuffix(public, "/") + "/in/" + string(acct.Kind) + "/" + acct.ID
	}
	return e
}

// DNS gives a resolver with a cache: "" or "system" asks whom the machine asks, "off" is none at all, anything else is
// the host and port of a server.
func DNS(where string) (channel.Resolver, error) {
	switch where {
	case "off":
		return nil, nil //nolint:nilnil // none at all
	case "", "system":
		return &email.CacheResolver{}, nil
	}
	if _, _, err := net.SplitHostPort(where); err != nil {
		return nil, fmt.Errorf("dns: %q is neither system nor off nor host:port", where)
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, where)
	}}
	return &email.CacheResolver{Upstream: r}, nil
}

// sanitise makes foreign HTML harmless: once without remote images, once with them.
func sanitise(html string, cid func(string) string) (clean, full string, remote int) {
	inline := func(id string) string {
		if a := cid(id); a != "" {
			return "cid:" + a
		}
		return ""
	}
	clean, remote = email.Sanitize(html, email.SanitizeOptions{CID: inline})
	if remote > 0 {
		full, _ = email.Sanitize(html, email.SanitizeOptions{CID: inline, ImageURL: func(src string) string { return src }})
	}
	return clean, full, remote
}

func proxied(html string, image func(string) string) string {
	out, _ := email.Sanitize(html, email.SanitizeOptions{CID: func(id string) string { return "cid:" + id }, ImageURL: image})
	return out
}

func advisor(ctx context.Context, q db.Querier, id string) conversation.Actor {
	u, err := auth.UserByID(ctx, q, id)
	if err != nil || !u.Enabled {
		return conversation.Actor{}
	}
	return conversation.Actor{ID: u.ID, Name: u.Name}
}

// tell sends what intake says about where a conversation goes on.
func (a *App) tell(ctx context.Context, tx *db.Tx, t intake.Telling) error {
	c, err := a.Accounts.Get(tx.Org(), t.Channel.ID)
	if err != nil {
		return err
	}
	if ok, _ := reach.CanSend(a.Accounts, c); !ok {
		return nil // it can only receive: a person answers elsewhere
	}
	_, _, err = a.Outbox.Send(ctx, tx, outbox.Request{Conversation: t.Conversation, Asked: true, Out: conversation.Out{Author: channel.Machine, By: conversation.Actor{Name: "Automatischer Assistent"},
		Channel: c.Account, Address: t.Address.ID, AddressValue: t.Address.Value, Assurance: t.Address.Assurance, Text: t.Text, ClientID: t.ClientID, Automatic: true}})
	return err
}

// media fetches a remote image of a mail.
func (a *App) media(ctx context.Context, u string) ([]byte, string, error) {
	r, kind, err := a.Guard.Media(ctx, u, 10<<20)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(r)
	return b, kind, errors.Join(err, r.Close())
}

// probe asks a channel's provider whether it works and records the answer.
func (a *App) probe(ctx context.Context, c account.Channel) error {
	p, ok := a.Accounts.Driver(c.Kind).(channel.Prober)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return a.trouble(ctx, c, p.Probe(ctx, c.Account, a.env(c.Account)))
}

// askTemplates asks a channel's provider for its templates and keeps them.
func (a *App) askTemplates(ctx context.Context, c account.Channel) error {
	t, ok := a.Accounts.Driver(c.Kind).(channel.Templater)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	list, err := t.Templates(ctx, c.Account, a.env(c.Account))
	if err != nil {
		return err
	}
	return a.DB.Org(c.Org).Write(ctx, func(tx *db.Tx) error { return account.KeepTemplates(ctx, tx, c.ID, list, a.Core.Now()) })
}

// trouble records what is wrong with a channel, or that nothing is.
func (a *App) trouble(ctx context.Context, c account.Channel, err error) error {
	h := account.Health{State: account.Green, CheckedAt: a.Core.Now()}
	if err != nil {
		h.State = account.Red
		var t *channel.Trouble
		if errors.As(err, &t) {
			h.Reason, h.Remedy = t.Reason, t.Remedy
		} else {
			h.Reason = channel.Text{DE: "Der Anbieter ist nicht erreichbar: " + err.Error(), EN: "The provider cannot be reached: " + err.Error()}
			h.Remedy = channel.Text{DE: "Prüfen Sie Adresse und Netz; es wird von selbst weiter versucht.", EN: "Check the address and the network; it is tried again by itself."}
		}
	}
	return a.Accounts.SetHealth(context.WithoutCancel(ctx), c.Org, c.ID, h)
}

func (a *App) periodic() []jobs.Periodic {
	each := func(fn func(context.Context, db.Org) error) func(context.Context) error {
		return func(ctx context.Context) error {
			orgs, err := org.All(ctx, a.DB)
			for _, o := range orgs {
				err = errors.Join(err, fn(ctx, a.DB.Org(o.ID)))
			}
			return err
		}
	}
	return []jobs.Periodic{
		{Name: "wake snoozed conversations", Every: 15 * time.Second, Do: each(func(ctx context.Context, o db.Org) error {
			_, err := conversation.Wake(ctx, o, a.Core.Now())
			return err
		})},
		{Name: "forget codes of hand-overs", Every: 6 * time.Hour, Do: each(func(ctx context.Context, o db.Org) error {
			return o.Write(ctx, func(tx *db.Tx) error { return reach.Sweep(ctx, tx, a.Core.Now()) })
		})},
		{Name: "trim the feed", Every: time.Hour, Do: each(func(ctx context.Context, o db.Org) error { return o.TrimFeed(ctx, a.Core.Now()) })},
		{Name: "trim what was received", Every: 6 * time.Hour, Do: each(func(ctx context.Context, o db.Org) error { return a.Intake.Trim(ctx, o, a.Core.Now()) })},
		{Name: "sweep sessions", Every: time.Hour, Do: each(a.Auth.Sweep)},
		{Name: "sweep chat sessions", Every: 24 * time.Hour, Do: each(func(ctx context.Context, o db.Org) error { return chat.Sweep(ctx, o, a.Core.Now()) })},
		{Name: "sweep files", Every: 6 * time.Hour, Do: func(ctx context.Context) error {
			_, err := a.Blobs.Sweep(ctx, a.Core.Now(), func(ctx context.Context, sums []string) (map[string]bool, error) {
				used := map[string]bool{}
				orgs, err := org.All(ctx, a.DB)
				if err != nil {
					return nil, err
				}
				for _, v := range orgs {
					for _, ask := range []func(context.Context, db.Org, []string) (map[string]bool, error){conversation.UsedBlobs, intake.UsedBlobs} {
						m, err := ask(ctx, a.DB.Org(v.ID), sums)
						if err != nil {
							return nil, err
						}
						for s := range m {
							used[s] = true
						}
					}
				}
				return used, nil
			})
			return err
		}},
	}
}

func (a *App) listenHTTP() error {
	l, err := net.Listen("tcp", a.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s (is another server running? choose another address with --listen): %w", a.Listen, err)
	}
	a.httpAddr = l.Addr()
	srv := &http.Server{Handler: a.API.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.Core.Log.Handler(), slog.LevelDebug)}
	streams, stop := context.WithCancel(context.Background()) // open live streams end when the server does
	srv.BaseContext = func(net.Listener) context.Context { return streams }
	serve := func() error { return srv.Serve(l) }
	switch {
	case a.ACMEDomain != "":
		m := &autocert.Manager{Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(strings.Split(a.ACMEDomain, ",")...), Cache: autocert.DirCache(filepath.Join(a.Dir, "acme"))}
		srv.TLSConfig = m.TLSConfig()
		serve = func() error { return srv.ServeTLS(l, "", "") }
	case a.TLSCert != "":
		if _, err := tls.LoadX509KeyPair(a.TLSCert, a.TLSKey); err != nil {
			stop()
			return errors.Join(fmt.Errorf("read the certificate: %w", err), l.Close())
		}
		serve = func() error { return srv.ServeTLS(l, a.TLSCert, a.TLSKey) }
	}
	a.work.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("http: %w", err)
		}
	})
	a.closers = append(a.closers, func(ctx context.Context) error {
		time.AfterFunc(200*time.Millisecond, stop)
		err := srv.Shutdown(ctx)
		stop()
		if errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close()
		}
		return err
	})
	return nil
}

func (a *App) listenSMTP() error {
	cert, err := a.certificate()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", a.SMTPListen)
	if err != nil {
		return fmt.Errorf("listen for mail on %s (is another mail server running? choose another address with --smtp-listen, or \"\" for none): %w", a.SMTPListen, err)
	}
	a.smtpAddr = l.Addr()
	srv := email.NewServer(email.Config{
		Hostname: a.hostname, TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, MessagesPerMinute: a.SMTPPerMinute, Now: a.Core.Now, Log: a.Core.Log,
		Lookup: func(_ context.Context, rcpt string) (channel.Account, bool, error) {
			c, ok := a.Accounts.ByMailbox(rcpt)
			return c.Account, ok, nil
		},
		Sink: func(ctx context.Context, acct channel.Account, in channel.Inbound) error {
			_, err := a.Intake.Accept(ctx, acct, in)
			return err
		},
	})
	a.work.Go(func() {
		if err := srv.Serve(l); err != nil && a.bound.Load() {
			a.failed <- fmt.Errorf("smtp: %w", err)
		}
	})
	a.closers = append(a.closers, func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		// A stop may come before Serve has begun, which would then listen for ever.
		if cerr := l.Close(); !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, cerr)
		}
		return err
	})
	return nil
}
