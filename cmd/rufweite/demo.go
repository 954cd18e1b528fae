package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/sim"
)

type demoCmd struct {
	serveFlags
	Seed          uint64        `help:"Another number makes other people with other concerns." default:"1"`
	Conversations int           `help:"How many conversations the past three weeks had; -1 for none." default:"44"`
	Pace          time.Duration `help:"About how long it takes until somebody writes of their own accord." default:"40s"`
	PerHour       int           `help:"The most that all customers together do in an hour." default:"150"`
}

// dataGiven reports whether the data directory was named on the command line: only then the demo's data is kept. What
// the environment or a file say is meant for serve.
func dataGiven(args []string) bool {
	for _, a := range args {
		if a == "--data" || strings.HasPrefix(a, "--data=") {
			return true
		}
	}
	return false
}

// Run implements kong's command.
func (d *demoCmd) Run(g *globals) (err error) {
	if g.DB != "" {
		fmt.Println("The demo keeps its data in a database of its own; --db is left alone.")
		g.DB = ""
	}
	c, err := d.config(g)
	if err != nil {
		return err
	}
	c.KeyFile = "" // the demo's secrets are none
	if !g.Debug {
		c.Log = g.config().Log // people read this terminal: only what is wrong
	}
	if dataGiven(os.Args[1:]) {
		if entries, err := os.ReadDir(c.Dir); err == nil && len(entries) > 0 {
			return fmt.Errorf("%s is not empty, and the demo writes into new directories only; look at what an earlier demo left with: rufweite serve --data %s", c.Dir, c.Dir)
		}
	} else {
		if c.Dir, err = os.MkdirTemp("", "rufweite-demo-"); err != nil {
			return fmt.Errorf("make a directory for the demo: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.Dir)) }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	release, held, err := app.Lock(c.Dir)
	if err != nil {
		return err
	}
	if held {
		return fmt.Errorf("a server runs on %s already; choose another directory with --data", c.Dir)
	}
	defer release()
	begin, told := time.Now(), time.Now()
	demo, err := app.StartDemo(ctx, c, app.DemoConfig{
		Population:    sim.PopulationOptions{Seed: d.Seed, PaceMin: d.Pace / 2, PaceMax: d.Pace * 3 / 2, PerHour: d.PerHour},
		Conversations: d.Conversations,
		Progress: func(done, all int) {
			if time.Since(told) > 2*time.Second {
				told = time.Now()
				fmt.Printf("Three weeks pass … %d of %d conversations\n", done, all)
			}
		},
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop meanwhile
		}
		return err
	}
	stopAdmin, err := demo.ServeAdmin()
	if err != nil {
		return errors.Join(err, demo.Close())
	}
	d.greet(demo, c, time.Since(begin))
	select {
	case <-ctx.Done():
	case err = <-demo.Failed():
	}
	stop() // a second signal ends at once
	stopAdmin()
	return errors.Join(err, demo.Close())
}

func (d *demoCmd) greet(demo *app.Demo, c app.Config, took time.Duration) {
	u := demo.URL()
	fmt.Printf("\nRufweite %s, demo: %s with %d customers (ready after %.1f s)\n\n", app.Version, app.DemoOrg, len(demo.Population.Customers()), took.Seconds())
	fmt.Printf("  The desk, signed in as %s:   %s/demo/desk\n", app.DemoStaff[0].Name, u)
	fmt.Printf("  Be a customer, beside the desk:     %s/demo/play\n", u)
	fmt.Printf("  One question, answered elsewhere:   %s/demo/play?show=pickup\n", u)
	fmt.Printf("  The company's website, with chat:   %s/sample\n\n", u)
	fmt.Printf("  Sign in yourself at %s\n", u)
	for _, s := range app.DemoStaff {
		fmt.Printf("    %-30s %-8s password %s\n", s.Email, s.Role, app.DemoPassword)
	}
	fmt.Printf("\n  Mail to %s is received on %s, for example:\n    swaks --server %s --from you@example.com --to %s\n", app.DemoMailbox, demo.SMTPAddr(), demo.SMTPAddr(), app.DemoMailbox)
	if dir, err := filepath.Abs(c.Dir); err == nil && dataGiven(os.Args[1:]) {
		fmt.Printf("  The data stays in %s.\n", dir)
	} else {
		fmt.Printf("  The data in %s is deleted at the end.\n", c.Dir)
	}
	fmt.Print("  Anyone who reaches this address can sign in. Ctrl-C ends it.\n\n")
}
