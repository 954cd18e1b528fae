// Command rufweite runs a Rufweite installation and looks after it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/live"
)

type globals struct {
	Data    string `help:"Data directory." default:"./data" env:"RUFWEITE_DATA" placeholder:"DIR"`
	DB      string `name:"db" help:"PostgreSQL address; SQLite in the data directory if empty." env:"RUFWEITE_DB" placeholder:"postgres://…"`
	Org     string `help:"Organisation that a command means." default:"default" env:"RUFWEITE_ORG"`
	KeyFile string `help:"Key that protects secrets; DIR/key if empty." env:"RUFWEITE_KEY_FILE" placeholder:"FILE"`
	Config  string `help:"Configuration file; rufweite.toml here or in the data directory if empty." env:"RUFWEITE_CONFIG" placeholder:"FILE"`
	Debug   bool   `help:"Log more." env:"RUFWEITE_DEBUG"`
}

type serveFlags struct {
	Listen              string   `help:"Address of the web server." default:"127.0.0.1:8080" env:"RUFWEITE_LISTEN" placeholder:"ADDR"`
	SMTPListen          string   `name:"smtp-listen" help:"Address where mail is received; empty for none." default:"127.0.0.1:2525" env:"RUFWEITE_SMTP_LISTEN" placeholder:"ADDR"`
	PublicURL           string   `help:"URL under which customers and providers reach this server." env:"RUFWEITE_PUBLIC_URL" placeholder:"URL"`
	TrustedProxies      []string `help:"Proxies whose X-Forwarded-* headers are believed." env:"RUFWEITE_TRUSTED_PROXIES" placeholder:"CIDR"`
	TLSCert             string   `name:"tls-cert" help:"Certificate (PEM)." env:"RUFWEITE_TLS_CERT" placeholder:"FILE"`
	TLSKey              string   `name:"tls-key" help:"Its key (PEM)." env:"RUFWEITE_TLS_KEY" placeholder:"FILE"`
	ACMEDomain          string   `name:"acme-domain" help:"Get a certificate for this domain by ACME." env:"RUFWEITE_ACME_DOMAIN" placeholder:"D"`
	AllowPrivateTargets bool     `help:"Let outbound requests reach loopback and private addresses (tests, a relay on this machine)." env:"RUFWEITE_ALLOW_PRIVATE_TARGETS"`
	DNS                 string   `help:"Who is asked about senders of mails (SPF, DKIM, DMARC): system, off, or host:port." default:"system" env:"RUFWEITE_DNS"`
	Cluster             []string `help:"Other nodes, as nats://host:port; needs --cluster-listen and PostgreSQL." env:"RUFWEITE_CLUSTER" placeholder:"URL"`
	ClusterListen       string   `help:"Address for other nodes." env:"RUFWEITE_CLUSTER_LISTEN" placeholder:"ADDR"`
	SMTPPerMinute       int      `hidden:"" name:"smtp-per-minute" env:"RUFWEITE_SMTP_PER_MINUTE"`
}

type cli struct {
	globals
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Demo    demoCmd    `cmd:"" help:"Run on a throw-away data directory with simulated providers and customers."`
	User    userCmd    `cmd:"" help:"Members of staff."`
	Token   tokenCmd   `cmd:"" help:"API tokens."`
	Channel channelCmd `cmd:"" help:"Channels."`
	Check   checkCmd   `cmd:"" help:"Prove that dialogs have no dead ends; exit 1 with a story of each that there is."`
	Balance balanceCmd `cmd:"" help:"Prove that received = processed + quarantined + pending; exit 1 if not."`
	Migrate migrateCmd `cmd:"" help:"Bring the database up to date and exit."`
	Backup  backupCmd  `cmd:"" help:"Copy database and files to a new directory, also while the server runs."`
	Doctor  doctorCmd  `cmd:"" help:"Say what is wrong and what to do; exit 1 if anything is."`
	Bench   benchCmd   `cmd:"" help:"Measure this machine."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() {
	var c cli
	parser := kong.Must(&c, kong.Name("rufweite"), kong.Description("Customer contact on every channel: within reach."), kong.UsageOnError(),
		kong.Configuration(tomlLoader, configFiles(os.Args[1:])...))
	ctx, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := ctx.Run(&c.globals); err != nil {
		fmt.Fprintln(os.Stderr, "rufweite:", err)
		os.Exit(1)
	}
}

// configFiles finds rufweite.toml: what --config or RUFWEITE_CONFIG names, here, or in the data directory.
func configFiles(args []string) []string {
	dir := os.Getenv("RUFWEITE_DATA")
	file := os.Getenv("RUFWEITE_CONFIG")
	for i, a := range args {
		for name, dst := range map[string]*string{"--data": &dir, "--config": &file} {
			if v, ok := strings.CutPrefix(a, name+"="); ok {
				*dst = v
			} else if a == name && i+1 < len(args) {
				*dst = args[i+1]
			}
		}
	}
	if file != "" {
		return []string{file}
	}
	if dir == "" {
		dir = "./data"
	}
	return []string{"rufweite.toml", filepath.Join(dir, "rufweite.toml")}
}

// tomlLoader reads flags from a TOML file: listen = "…" or listen under [serve]; names with - or _.
func tomlLoader(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if _, err := toml.NewDecoder(r).Decode(&values); err != nil {
		return nil, fmt.Errorf("read the configuration file: %w", err)
	}
	return kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		names := []string{flag.Name, strings.ReplaceAll(flag.Name, "-", "_")}
		tables := []map[string]any{values}
		if parent != nil && parent.Node() != nil {
			if t, ok := values[parent.Node().Name].(map[string]any); ok {
				tables = append([]map[string]any{t}, tables...)
			}
		}
		for _, t := range tables {
			for _, n := range names {
				if v, ok := t[n]; ok {
					if list, ok := v.([]any); ok {
						s := make([]string, len(list))
						for i, x := range list {
							s[i] = fmt.Sprint(x)
						}
						return strings.Join(s, ","), nil
					}
					return v, nil
				}
			}
		}
		return nil, nil //nolint:nilnil // kong: not set here
	}), nil
}

func (g *globals) logger() *slog.Logger {
	level := slog.LevelInfo
	if g.Debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func (g *globals) config() app.Config {
	return app.Config{Dir: g.Data, Postgres: g.DB, KeyFile: g.KeyFile, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Out: os.Stdout}
}

func (g *globals) do(cmd app.Command) error {
	cmd.Org = g.Org
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return app.Do(ctx, g.config(), cmd, os.Stdout)
}

type serveCmd struct{ serveFlags }

func (f *serveFlags) config(g *globals) (app.Config, error) {
	c := g.config()
	c.Log = g.logger()
	c.Listen, c.SMTPListen, c.PublicURL = f.Listen, f.SMTPListen, strings.TrimSuffix(f.PublicURL, "/")
	c.TLSCert, c.TLSKey, c.ACMEDomain, c.AllowPrivate, c.SMTPPerMinute = f.TLSCert, f.TLSKey, f.ACMEDomain, f.AllowPrivateTargets, f.SMTPPerMinute
	var err error
	if c.DNS, err = app.DNS(f.DNS); err != nil {
		return c, err
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return c, errors.New("--tls-cert and --tls-key belong together")
	}
	for _, s := range f.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return c, fmt.Errorf("--trusted-proxies: %q is neither an address nor a range such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		c.TrustedProxies = append(c.TrustedProxies, p)
	}
	if f.ClusterListen != "" || len(f.Cluster) > 0 {
		if c.Postgres == "" {
			return c, errors.New("a cluster needs PostgreSQL: give --db postgres://…")
		}
		c.Cluster = live.Cluster{Name: "rufweite", Listen: f.ClusterListen, Routes: f.Cluster}
	}
	return c, nil
}

// Run implements kong's command.
func (s *serveCmd) Run(g *globals) error {
	c, err := s.config(g)
	if err != nil {
		return err
	}
	return serve(c, func(ctx context.Context, a *app.App) error {
		need, err := a.Auth.NeedsOwner(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("Rufweite %s: %s\n", app.Version, a.URL())
		if a.SMTPAddr() != "" {
			fmt.Printf("mail is received on %s\n", a.SMTPAddr())
		}
		if need {
			t, err := a.Auth.SetupToken(ctx)
			if err != nil {
				return err
			}
			fmt.Printf("\nFirst start. Create the owner here (once):\n  %s/setup?token=%s\n\n", a.URL(), t)
		}
		return nil
	})
}

// serve runs an installation until it is told to stop.
func serve(c app.Config, started func(context.Context, *app.App) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	release, held, err := app.Lock(c.Dir)
	if err != nil {
		return err
	}
	if held {
		return fmt.Errorf("a server runs on %s already; stop it first, or choose another directory with --data", c.Dir)
	}
	defer release()
	begin := time.Now()
	a, err := app.Start(ctx, c)
	if err != nil {
		return err
	}
	stopAdmin, err := a.ServeAdmin()
	if err != nil {
		return errors.Join(err, a.Close())
	}
	c.Log.Info("ready", "after", time.Since(begin).Round(time.Millisecond).String(), "http", a.HTTPAddr(), "smtp", a.SMTPAddr())
	if err := started(ctx, a); err != nil {
		stopAdmin()
		return errors.Join(err, a.Close())
	}
	select {
	case <-ctx.Done():
		c.Log.Info("stopping")
	case err = <-a.Failed():
		c.Log.Error("stopping", "error", err)
	}
	stop() // a second signal ends at once
	stopAdmin()
	return errors.Join(err, a.Close())
}

type userCmd struct {
	Add struct {
		Email    string `required:"" help:"E-mail address."`
		Name     string `help:"Name as customers see it; the part before @ if empty."`
		Role     string `default:"advisor" enum:"owner,manager,advisor,partner" help:"owner, manager, advisor or partner."`
		Password string `help:"Password; without one a link to set it is printed."`
		Language string `default:"de" enum:"de,en" help:"de or en."`
	} `cmd:"" help:"Add a member of staff; the last line is the id."`
	List struct{} `cmd:"" help:"List the staff."`
}

// Run implements kong's command.
func (u *userCmd) Run(g *globals, k *kong.Context) error {
	if strings.HasPrefix(k.Command(), "user list") {
		return g.do(app.Command{UserList: &struct{}{}})
	}
	a := u.Add
	return g.do(app.Command{UserAdd: &app.UserAdd{Email: a.Email, Name: a.Name, Role: a.Role, Password: a.Password, Language: a.Language}})
}

type tokenCmd struct {
	Create struct {
		User string `required:"" help:"E-mail of the member of staff in whose name the token acts." placeholder:"EMAIL"`
		Name string `default:"token" help:"What it is for."`
	} `cmd:"" help:"Make an API token; it is the last line and is shown once."`
}

// Run implements kong's command.
func (t *tokenCmd) Run(g *globals) error {
	return g.do(app.Command{TokenCreate: &app.TokenCreate{Email: t.Create.User, Name: t.Create.Name}})
}

type channelCmd struct {
	Add struct {
		Kind string            `required:"" help:"Kind of channel, such as email or telegram."`
		Name string            `help:"As staff call it."`
		Set  map[string]string `help:"Settings under the provider's own names." placeholder:"key=value" mapsep:"none"`
	} `cmd:"" help:"Set up a channel; its provider is not asked. The last line is the id."`
	List struct{} `cmd:"" help:"List the channels."`
	Docs struct {
		Dir string `arg:"" help:"Directory to write to."`
	} `cmd:"" help:"Write pages about what each kind of channel can do and how it is set up."`
}

// Run implements kong's command.
func (c *channelCmd) Run(g *globals, k *kong.Context) error {
	if strings.HasPrefix(k.Command(), "channel docs") {
		return app.WriteChannelDocs(c.Docs.Dir)
	}
	if strings.HasPrefix(k.Command(), "channel list") {
		return g.do(app.Command{ChannelList: &struct{}{}})
	}
	return g.do(app.Command{ChannelAdd: &app.ChannelAdd{Kind: c.Add.Kind, Name: c.Add.Name, Set: c.Add.Set}})
}

type balanceCmd struct{}

// Run implements kong's command.
func (*balanceCmd) Run(g *globals) error { return g.do(app.Command{Balance: &struct{}{}}) }

type doctorCmd struct{}

// Run implements kong's command.
func (*doctorCmd) Run(g *globals) error { return g.do(app.Command{Doctor: &struct{}{}}) }

type backupCmd struct {
	To string `required:"" help:"New directory." placeholder:"DIR"`
}

// Run implements kong's command.
func (b *backupCmd) Run(g *globals) error {
	to, err := filepath.Abs(b.To)
	if err != nil {
		return err
	}
	return g.do(app.Command{Backup: &app.Backup{To: to}})
}

type migrateCmd struct{}

// Run implements kong's command.
func (*migrateCmd) Run(g *globals) error {
	core, err := app.OpenCore(context.Background(), g.config())
	if err != nil {
		return err
	}
	fmt.Println("the database is up to date")
	return core.Close()
}

type versionCmd struct{}

// Run implements kong's command.
func (versionCmd) Run() error { fmt.Println("rufweite", app.Version); return nil }
