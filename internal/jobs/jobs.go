// Package jobs is in charge of work at its time: River in the same database and transactions as everything else. A job
// is a waker, never the truth: what is to be done stands in the tables of the room that does it, so that a job that is
// lost, late or run twice does no harm.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"database/sql"

	"github.com/jackc/pgx/v5"

	"github.com/rufweite/rufweite/internal/db"
)

// Periodic is work that recurs, on one node at a time.
type Periodic struct {
	Name  string
	Every time.Duration
	Do    func(ctx context.Context) error
}

// Jobs runs what is due.
type Jobs struct {
	start func(context.Context) error
	stop  func(context.Context) error
}

type args struct {
	Name string `json:"name" river:"unique"`
}

// Kind implements river.JobArgs.
func (args) Kind() string { return "periodic" }

type worker struct {
	river.WorkerDefaults[args]
	todo map[string]Periodic
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, j *river.Job[args]) error {
	p, ok := w.todo[j.Args.Name]
	if !ok {
		return river.JobCancel(fmt.Errorf("this version has no periodic work named %q", j.Args.Name))
	}
	if err := p.Do(ctx); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// New prepares the queue's tables and the periodic work; Start makes it run.
func New(ctx context.Context, d *db.DB, periodic []Periodic, log *slog.Logger) (*Jobs, error) {
	if d.Postgres() {
		return build[pgx.Tx](ctx, riverpgxv5.New(d.Pool()), periodic, log)
	}
	return build[*sql.Tx](ctx, riversqlite.New(d.Writer()), periodic, log)
}

func build[T any](ctx context.Context, driver riverdriver.Driver[T], periodic []Periodic, log *slog.Logger) (*Jobs, error) {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("prepare the job queue: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("migrate the job queue: %w", err)
	}
	w := &worker{todo: map[string]Periodic{}}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	var list []*river.PeriodicJob
	for _, p := range periodic {
		w.todo[p.Name] = p
		list = append(list, river.NewPeriodicJob(river.PeriodicInterval(p.Every), func() (river.JobArgs, *river.InsertOpts) {
			return args{p.Name}, &river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: p.Every}}
		}, &river.PeriodicJobOpts{RunOnStart: true}))
	}
	c, err := river.NewClient(driver, &river.Config{
		Logger:                      log,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}},
		Workers:                     workers,
		PeriodicJobs:                list,
		FetchPollInterval:           5 * time.Second, // periodic work is in no hurry
		JobTimeout:                  30 * time.Second,
		RescueStuckJobsAfter:        time.Minute,
		CompletedJobRetentionPeriod: time.Hour,
	})
	if err != nil {
		return nil, fmt.Errorf("make the job queue: %w", err)
	}
	return &Jobs{start: c.Start, stop: c.Stop}, nil
}

// Start begins to work; ctx is only for the start.
func (j *Jobs) Start(ctx context.Context) error {
	if err := j.start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	return nil
}

// Stop waits for the jobs under way until ctx ends.
func (j *Jobs) Stop(ctx context.Context) error {
	if err := j.stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stop the job queue: %w", err)
	}
	return nil
}
