package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

type postgresEngine struct {
	db      *DB
	pool    *pgxpool.Pool
	waiting atomic.Int64
	stop    context.CancelFunc // ends the look after statistics
	stopped chan struct{}

	leadMu sync.Mutex
	lead   *leadConn // holds this process's leaderships
}

// leadConn is one connection outside the pool; session locks live as long as it does.
type leadConn struct {
	mu   sync.Mutex
	conn *pgx.Conn
}

func (l *leadConn) tryLock(ctx context.Context, key int64) (ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err = l.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&ok)
	return ok, err
}

func (l *leadConn) unlock(ctx context.Context, key int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", key)
	return err
}

// leader gives the connection that holds leaderships, opening it if there is none or it was lost.
func (e *postgresEngine) leader(ctx context.Context) (*leadConn, error) {
	e.leadMu.Lock()
	defer e.leadMu.Unlock()
	if e.lead != nil && !e.lead.conn.IsClosed() {
		return e.lead, nil
	}
	conn, err := pgx.ConnectConfig(ctx, e.pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("%w: connect: %w", ErrUnavailable, err)
	}
	e.lead = &leadConn{conn: conn}
	return e.lead, nil
}

func openPostgres(ctx context.Context, d *DB, c Config) (*postgresEngine, error) {
	cfg, err := pgxpool.ParseConfig(c.Postgres)
	if err != nil {
		return nil, fmt.Errorf("read the PostgreSQL address: %w", err)
	}
	if cfg.MaxConns < 16 {
		cfg.MaxConns = 16
	}
	cfg.ConnConfig.StatementCacheCapacity = 1024
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if !c.ReadOnly {
		std := stdlib.OpenDBFromPool(pool)
		err := migrate(ctx, "postgres", std)
		if cerr := std.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			pool.Close()
			return nil, err
		}
	}
	look, stop := context.WithCancel(context.WithoutCancel(ctx))
	e := &postgresEngine{db: d, pool: pool, stop: stop, stopped: make(chan struct{})}
	go func() {
		defer close(e.stopped)
		if !c.ReadOnly {
			e.keepStatistics(look, 2*time.Second)
		}
	}()
	return e, nil
}

// keepStatistics tells PostgreSQL's planner about tables that have filled since it last looked. A new table counts as
// empty until autovacuum gets to it, by default within a minute; until then the planner walks whole indexes by
// organisation, and everything runs at a tenth of its speed.
func (e *postgresEngine) keepStatistics(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A database that is away says so to everybody else; here it is only tried again.
		_, _ = e.analyse(ctx)
	}
}

// analyse looks at tables that were never looked at and have more than 200 rows, or that have grown tenfold since; at
// most 8 at once. It gives their names. Tables that somebody locks, and those that another node looks at, wait.
func (e *postgresEngine) analyse(ctx context.Context) (done []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	rows, err := e.pool.Query(ctx, `SELECT s.relname FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
		WHERE s.schemaname = current_schema() AND s.n_live_tup > 200
			AND (s.last_analyze IS NULL AND s.last_autoanalyze IS NULL OR s.n_live_tup > 10 * GREATEST(c.reltuples, 50))
		ORDER BY s.n_live_tup DESC LIMIT 8`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := e.pool.Exec(ctx, "ANALYZE (SKIP_LOCKED) "+pgx.Identifier{name}.Sanitize()); err != nil {
			return done, err
		}
		done = append(done, name)
	}
	return done, nil
}

func (e *postgresEngine) name() string { return "postgres" }
func (e *postgresEngine) pending() int { return int(e.waiting.Load()) }
func (e *postgresEngine) close() error {
	e.stop()
	<-e.stopped
	e.leadMu.Lock()
	if e.lead != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_ = e.lead.conn.Close(ctx) // its locks end with it
		cancel()
	}
	e.leadMu.Unlock()
	e.pool.Close()
	return nil
}

// Pool is the PostgreSQL pool, for River; nil on SQLite.
func (d *DB) Pool() *pgxpool.Pool {
	if e, ok := d.engine.(*postgresEngine); ok {
		return e.pool
	}
	return nil
}

// Writer is SQLite's writer, for River, which shares it; nil on PostgreSQL.
func (d *DB) Writer() *sql.DB {
	if e, ok := d.engine.(*sqliteEngine); ok {
		return e.writer
	}
	return nil
}

func (e *postgresEngine) write(ctx context.Context, _ bool, fn func(*Tx) error) error {
	e.waiting.Add(1)
	defer e.waiting.Add(-1)
	var err error
	for attempt := range 5 {
		if err = e.try(ctx, fn); err == nil || !isRepeatable(err) || ctx.Err() != nil {
			break
		}
		time.Sleep(time.Duration(attempt+1) * 3 * time.Millisecond)
	}
	if err != nil && isFatalPostgres(err) && !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func (e *postgresEngine) try(ctx context.Context, fn func(*Tx) error) error {
	ptx, err := e.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("%w: begin: %w", ErrUnavailable, err)
	}
	tx := &Tx{conn: &postgresTx{ptx}}
	if err := guarded(fn, tx); err != nil {
		return errors.Join(err, rolledBack(ptx))
	}
	heads := map[string]int64{}
	if len(tx.feed) > 0 {
		head, err := flushFeed(ctx, tx.conn, tx.org, tx.feed, time.Now())
		if err != nil {
			return errors.Join(err, rolledBack(ptx))
		}
		heads[tx.org] = head
	}
	if err := ptx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, fn := range tx.onCommit {
		fn()
	}
	e.db.published(heads)
	return nil
}

func rolledBack(ptx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := ptx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}

type postgresTx struct{ tx pgx.Tx }

func (t *postgresTx) native() any { return t.tx }

func (t *postgresTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (t *postgresTx) query(ctx context.Context, query string, args []any) (*Rows, error) {
	rows, err := t.tx.Query(ctx, query, args...)
	return pgRows(rows), err
}

func (e *postgresEngine) query(ctx context.Context, query string, args []any) (*Rows, error) {
	rows, err := e.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgRows(rows), nil
}

func pgRows(rows pgx.Rows) *Rows {
	return &Rows{next: rows.Next, scan: rows.Scan, close: rows.Close, err: rows.Err}
}

func (t *Tx) lock(ctx context.Context, name string) error {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	_, err := t.conn.exec(ctx, "SELECT pg_advisory_xact_lock($1)", []any{int64(h.Sum64())})
	return err
}

// isRepeatable tells errors after which the same transaction may succeed (serialisation failure, deadlock).
func isRepeatable(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "40001" || pe.Code == "40P01")
}

// IsDuplicate tells a violated unique key on either engine.
func IsDuplicate(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code == "23505"
	}
	return isDuplicateSQLite(err)
}

func isFatalPostgres(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code[:2] {
		case "08", "53", "57", "58", "40": // connection, resources, operator, system, rollback
			return true
		}
		return false
	}
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, pgx.ErrTxClosed) || pgconn.Timeout(err)
}

// Lead makes this process the only one that does what name says, until release is called or the database is lost. ok is
// false if another node does it. On SQLite there is only this process.
func (d *DB) Lead(ctx context.Context, name string) (release func(), ok bool, err error) {
	e, pg := d.engine.(*postgresEngine)
	if !pg {
		return func() {}, true, nil
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte("lead " + name))
	key := int64(h.Sum64())
	conn, err := e.leader(ctx)
	if err != nil {
		return nil, false, err
	}
	if ok, err = conn.tryLock(ctx, key); err != nil {
		return nil, false, fmt.Errorf("lead %s: %w", name, err)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = conn.unlock(ctx, key) // the server does it when the connection ends
	}, ok, nil
}
