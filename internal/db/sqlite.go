package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

// Group commit: how many closures share one commit at most, and how long a group may grow before it commits. Long
// groups would make everybody in them wait.
const (
	groupMax  = 512
	groupTime = 8 * time.Millisecond
	// behindWait is how long a WriteBehind lets other writes go first; lull is how long it waits for the next of them
	// while they come one after the other (whoever has just been answered needs a moment to ask again).
	behindWait = 50 * time.Millisecond
	lull       = 2 * time.Millisecond
)

type sqliteEngine struct {
	db           *DB
	writer       *sql.DB // one connection, shared with River
	reader       *sql.DB
	wstmts       map[string]*sql.Stmt // prepared on the writer; only its goroutine touches it
	wanted       map[string]struct{}  // used for the first time in the group under way
	rstmts       sync.Map             // SQL text → *sql.Stmt
	first        chan *closure
	behind       chan *closure
	waiting      atomic.Int64
	stop         chan struct{}
	stopOnce     sync.Once
	done         chan struct{}
	commits      atomic.Int64
	checkpointer *sql.DB // one connection, for checkpoints beside the writer
	checkpointed chan struct{}
	closing      sync.RWMutex
	closed       bool
}

type closure struct {
	fn     func(*Tx) error
	tx     *Tx
	err    error
	at     time.Time
	behind bool
	done   chan struct{}
}

func sqliteDSN(path, extra string) string {
	return "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(0)&_pragma=temp_store(memory)&_pragma=cache_size(-32000)&_pragma=mmap_size(0)" +
		"&_pragma=wal_autocheckpoint(65536)&_pragma=journal_size_limit(67108864)" + extra
}

func openSQLite(ctx context.Context, d *DB, c Config) (*sqliteEngine, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	path := filepath.Join(c.Dir, "rufweite.db")
	writer, err := sql.Open("sqlite", sqliteDSN(path, "&_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	writer.SetConnMaxLifetime(0)
	writer.SetConnMaxIdleTime(0)
	writer.SetMaxIdleConns(1)
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close())
	}
	if !c.ReadOnly {
		if err := migrate(ctx, "sqlite3", writer); err != nil {
			return nil, errors.Join(err, writer.Close())
		}
		if err := setStatistics(ctx, writer); err != nil {
			return nil, errors.Join(err, writer.Close())
		}
	}
	reader, err := sql.Open("sqlite", sqliteDSN(path, "&_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s for reading: %w", path, err), writer.Close())
	}
	reader.SetMaxOpenConns(max(4, runtime.NumCPU()))
	reader.SetMaxIdleConns(4)
	checkpointer, err := sql.Open("sqlite", sqliteDSN(path, ""))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s for checkpoints: %w", path, err), writer.Close(), reader.Close())
	}
	checkpointer.SetMaxOpenConns(1)
	e := &sqliteEngine{
		db: d, writer: writer, reader: reader, checkpointer: checkpointer, checkpointed: make(chan struct{}), wstmts: map[string]*sql.Stmt{}, wanted: map[string]struct{}{},
		first: make(chan *closure, 4096), behind: make(chan *closure, 64),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go e.run()
	if !c.ReadOnly {
		go e.checkpoint(path)
	} else {
		close(e.checkpointed)
	}
	return e, nil
}

// checkpoint brings the log into the database file beside the writer, so that no commit has to wait for it. Should the
// log grow all the same (64 Ki pages), the writer does it itself.
func (e *sqliteEngine) checkpoint(path string) {
	defer close(e.checkpointed)
	const enough = 4 << 20 // bytes of log that are worth it
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var done int64
	for {
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
		st, err := os.Stat(path + "-wal")
		commits := e.commits.Load()
		if err != nil || st.Size() < enough || commits == done {
			continue
		}
		done = commits
		var busy, log, moved int
		if err := e.checkpointer.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &moved); err != nil {
			continue // a full disk or the like: the writer will say so
		}
	}
}

func (e *sqliteEngine) name() string { return "sqlite" }
func (e *sqliteEngine) pending() int { return int(e.waiting.Load()) }

func (e *sqliteEngine) close() error {
	e.closing.Lock()
	if e.closed {
		e.closing.Unlock()
		return nil
	}
	e.closed = true
	e.closing.Unlock()
	e.stopOnce.Do(func() { close(e.stop) })
	<-e.done
	<-e.checkpointed
	return errors.Join(e.reader.Close(), e.checkpointer.Close(), e.writer.Close())
}

func (e *sqliteEngine) write(ctx context.Context, behind bool, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &closure{fn: fn, tx: &Tx{}, at: time.Now(), behind: behind, done: make(chan struct{})}
	ch := e.first
	if behind {
		ch = e.behind
	}
	e.closing.RLock()
	if e.closed {
		e.closing.RUnlock()
		return fmt.Errorf("%w: closed", ErrUnavailable)
	}
	e.waiting.Add(1)
	select {
	case ch <- c:
		e.closing.RUnlock()
	case <-ctx.Done():
		e.closing.RUnlock()
		e.waiting.Add(-1)
		return ctx.Err()
	}
	// Once queued the closure runs, whatever becomes of ctx: its caller must learn whether it is durable.
	<-c.done
	e.waiting.Add(-1)
	return c.err
}

// run is the writer: it takes what waits, runs it in one transaction and commits.
func (e *sqliteEngine) run() {
	defer close(e.done)
	var held *closure       // a WriteBehind that lets others go first
	var lastFirst time.Time // when a write that does not wait was last done
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var c *closure
		if held != nil {
			wait := behindWait - time.Since(held.at)
			switch {
			case wait <= 0: // it has waited long enough
				c, held = held, nil
			case time.Since(lastFirst) < lull:
				timer.Reset(min(wait, lull))
				select {
				case c = <-e.first:
				case <-timer.C:
					c, held = held, nil
				}
			default:
				select {
				case c = <-e.first:
				default:
					c, held = held, nil
				}
			}
		} else {
			select {
			case c = <-e.first:
			case held = <-e.behind:
				continue
			case <-e.stop:
				for { // what is queued is still written
					select {
					case c = <-e.first:
					case c = <-e.behind:
					default:
						return
					}
					e.group(c)
				}
			}
		}
		e.group(c)
		if !c.behind {
			lastFirst = time.Now()
		}
		if held == nil {
			select {
			case held = <-e.behind:
			default:
			}
		}
	}
}

// group runs first, and what waits behind it, in one transaction. The first closure needs no savepoint: should it fail,
// there is nothing else to keep. That matters, because a savepoint copies every page that is touched after it.
func (e *sqliteEngine) group(first *closure) {
	ctx := context.Background()
	group := make([]*closure, 0, 64)
	finish := func(err error) {
		for _, c := range group {
			if c.err == nil {
				c.err = err
			}
			if c.err == nil {
				for _, fn := range c.tx.onCommit {
					fn()
				}
			}
			close(c.done)
		}
	}
	tx, err := e.writer.BeginTx(ctx, nil)
	if err != nil {
		group = append(group, first)
		finish(fmt.Errorf("%w: begin: %w", ErrUnavailable, err))
		return
	}
	conn := &sqliteTx{e, tx}
	start := time.Now()
	feeds := map[string][]Entry{}
	group = append(group, first)
	first.tx.conn = conn
	first.err = guarded(first.fn, first.tx)
	if first.err != nil {
		if isFatal(first.err) {
			first.err = fmt.Errorf("%w: %w", ErrUnavailable, first.err)
		}
		_ = tx.Rollback() // unstick makes sure
		e.unstick(ctx)
		finish(first.err)
		return
	}
	var fatal error
	if len(first.tx.feed) > 0 {
		feeds[first.tx.org] = append(feeds[first.tx.org], first.tx.feed...)
	}
	for fatal == nil && len(group) < groupMax && time.Since(start) < groupTime {
		select {
		case c := <-e.first:
			group = append(group, c)
			fatal = e.step(ctx, conn, c, feeds)
			continue
		default:
		}
		break
	}
	heads := map[string]int64{}
	if fatal == nil {
		now := time.Now()
		for org, entries := range feeds {
			head, err := flushFeed(ctx, conn, org, entries, now)
			if err != nil {
				fatal = err
				break
			}
			heads[org] = head
		}
	}
	if fatal == nil {
		fatal = tx.Commit()
	}
	if fatal != nil {
		// SQLite may have rolled back by itself (full disk): nothing of this group may be taken for kept.
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			fatal = errors.Join(fatal, rerr)
		}
		e.unstick(ctx)
		finish(fmt.Errorf("%w: %w", ErrUnavailable, fatal))
		return
	}
	e.commits.Add(1)
	finish(nil)
	e.db.published(heads)
	if len(e.wanted) > 0 {
		e.prepare(ctx)
	}
}

// unstick makes sure that the connection is outside a transaction: a COMMIT that failed leaves database/sql
// believing that it ended.
func (e *sqliteEngine) unstick(ctx context.Context) {
	_, _ = e.writer.ExecContext(ctx, "ROLLBACK") // fails where there is nothing to roll back, which is what we want
}

// step runs one closure in its own savepoint. Its result is not nil if the whole group is lost.
func (e *sqliteEngine) step(ctx context.Context, conn *sqliteTx, c *closure, feeds map[string][]Entry) (fatal error) {
	if _, err := conn.exec(ctx, "SAVEPOINT closure", nil); err != nil {
		c.err = fmt.Errorf("%w: set savepoint: %w", ErrUnavailable, err)
		return err
	}
	c.tx.conn = conn
	c.err = guarded(c.fn, c.tx)
	if c.err != nil {
		if isFatal(c.err) {
			c.err = fmt.Errorf("%w: %w", ErrUnavailable, c.err)
			return c.err
		}
		if _, err := conn.exec(ctx, "ROLLBACK TO closure", nil); err != nil {
			return err
		}
	}
	if _, err := conn.exec(ctx, "RELEASE closure", nil); err != nil {
		return err
	}
	if c.err == nil && len(c.tx.feed) > 0 {
		feeds[c.tx.org] = append(feeds[c.tx.org], c.tx.feed...)
	}
	return nil
}

// sqliteTx runs statements on the writer's connection, prepared once.
type sqliteTx struct {
	e  *sqliteEngine
	tx *sql.Tx
}

func (t *sqliteTx) native() any { return t.tx }

// stmt prepares on the one connection of the writer's pool, once. The pool's connection is taken by the transaction
// that is under way, so the statement is prepared inside it and kept under database/sql's own hood: a *sql.Stmt made
// by a *sql.Tx ends with it, hence the statements are made on the pool between groups (see prepare).
func (t *sqliteTx) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := t.e.wstmts[query]; ok {
		return t.tx.StmtContext(ctx, s), nil
	}
	s, err := t.tx.PrepareContext(ctx, sqlitePlaceholders(query))
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	if len(t.e.wanted) < 512 {
		t.e.wanted[query] = struct{}{}
	}
	return s, nil
}

// prepare keeps what the last group used for the first time. It runs between groups.
func (e *sqliteEngine) prepare(ctx context.Context) {
	for query := range e.wanted {
		if len(e.wstmts) >= 1024 {
			break
		}
		if s, err := e.writer.PrepareContext(ctx, sqlitePlaceholders(query)); err == nil {
			e.wstmts[query] = s
		}
	}
	clear(e.wanted)
}

func (t *sqliteTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *sqliteTx) query(ctx context.Context, query string, args []any) (*Rows, error) {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return nil, err
	}
	return stdRows(rows), nil
}

func (e *sqliteEngine) query(ctx context.Context, query string, args []any) (*Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var s *sql.Stmt
	if v, ok := e.rstmts.Load(query); ok {
		s = v.(*sql.Stmt)
	} else {
		var err error
		if s, err = e.reader.PrepareContext(ctx, sqlitePlaceholders(query)); err != nil {
			return nil, fmt.Errorf("prepare %q: %w", query, err)
		}
		if v, loaded := e.rstmts.LoadOrStore(query, s); loaded {
			_ = s.Close()
			s = v.(*sql.Stmt)
		}
	}
	// Reads are short; a context that can end would cost a goroutine for each statement.
	rows, err := s.QueryContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return nil, err
	}
	return stdRows(rows), nil
}

func stdRows(rows *sql.Rows) *Rows {
	return &Rows{next: rows.Next, scan: rows.Scan, close: func() { _ = rows.Close() }, err: rows.Err}
}

// sqlitePlaceholders turns $1 into ?1, outside of quotes.
func sqlitePlaceholders(query string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(query); i++ {
		c := query[i]
		if c == '\'' {
			quoted = !quoted
		}
		if c == '$' && !quoted && i+1 < len(query) && query[i+1] >= '0' && query[i+1] <= '9' {
			c = '?'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isFatal tells errors after which nothing more can be done in this transaction.
func isFatal(err error) bool {
	if errors.Is(err, ErrUnavailable) {
		return true
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case 5, 6, 7, 8, 9, 10, 11, 13, 14, 26: // BUSY LOCKED NOMEM READONLY INTERRUPT IOERR CORRUPT FULL CANTOPEN NOTADB
			return true
		}
		return false
	}
	return isFatalPostgres(err)
}

func isDuplicateSQLite(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) && (se.Code() == 2067 || se.Code() == 1555) // CONSTRAINT_UNIQUE, CONSTRAINT_PRIMARYKEY
}

// CopyTo writes a consistent copy of the SQLite database to a new file while it is in use.
func (d *DB) CopyTo(ctx context.Context, path string) error {
	e, ok := d.engine.(*sqliteEngine)
	if !ok {
		return errors.New("only SQLite is copied like this")
	}
	conn, err := e.reader.Conn(ctx)
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "PRAGMA query_only = 0"); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	_, err = conn.ExecContext(ctx, "VACUUM INTO ?", path)
	_, perr := conn.ExecContext(ctx, "PRAGMA query_only = 1")
	if err = errors.Join(err, perr); err != nil {
		return fmt.Errorf("copy database to %s: %w", path, err)
	}
	return nil
}
