package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/rufweite/rufweite/internal/bench"
)

type benchCmd struct {
	What          string        `arg:"" optional:"" default:"all" enum:"all,intake,smtp,live,idle,outbound,limits,desk,dialogs" help:"all (but desk and dialogs), intake, smtp, live, idle, outbound, limits, desk or dialogs."`
	Duration      time.Duration `default:"10s" help:"How long each is measured."`
	Clients       int           `default:"64" help:"Clients at once."`
	Rate          int           `default:"300" help:"Messages per second of the live bench."`
	Conversations []int         `default:"100000,1000000" help:"How many are stored for the desk bench, one run each; a million needs 4 GB of disk. The dialogs bench takes the last number." placeholder:"N,…"`
	Keep          string        `help:"Keep the data of the desk bench in this directory, and use what is there." placeholder:"DIR"`
	Profile       string        `help:"Write a CPU profile to this file." placeholder:"FILE"`
	Dir           string        `help:"Where to put the throw-away data; the system's temporary directory if empty." placeholder:"DIR"`
}

// Run implements kong's command. With --db the database must be empty: it is filled.
func (b *benchCmd) Run(g *globals) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if g.DB != "" && b.What == "all" {
		return errors.New("with --db say which bench: each needs an empty database")
	}
	if b.Profile != "" {
		f, err := os.Create(b.Profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer func() { pprof.StopCPUProfile(); _ = f.Close() }()
	}
	dir, err := os.MkdirTemp(b.Dir, "rufweite-bench-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o := bench.Options{Dir: filepath.Join(dir, "machine"), Postgres: g.DB, Duration: b.Duration, Clients: b.Clients, Rate: b.Rate, Conversations: b.Conversations, Keep: b.Keep, Out: os.Stdout}
	if err := bench.Machine(o); err != nil {
		return err
	}
	for _, v := range []struct {
		name string
		run  func(context.Context, bench.Options) error
	}{{"intake", bench.Intake}, {"smtp", bench.SMTP}, {"live", bench.Live}, {"idle", bench.Idle}, {"outbound", bench.Outbound}, {"limits", bench.Limits}, {"desk", bench.Desk}, {"dialogs", bench.Dialogs}} {
		if b.What != v.name && (b.What != "all" || v.name == "desk" || v.name == "dialogs") { // these take many minutes and gigabytes
			continue
		}
		o.Dir = filepath.Join(dir, v.name)
		if err := v.run(ctx, o); err != nil {
			return fmt.Errorf("bench %s: %w", v.name, err)
		}
	}
	return nil
}
