// Package db is the one door to the database, whichever engine stands behind it: SQLite (pure Go, WAL,
// synchronous=FULL, one writer with group commit) or PostgreSQL (pgx). It is in charge of opening, migrating,
// transactions, organisation scope and the feed. It knows no customer: every room owns its own SQL.
//
// SQL is written once, in the common subset of both engines: $1… placeholders, ON CONFLICT, RETURNING, BIGINT
// microseconds UTC for time, TEXT for JSON, BIGINT 0/1 for truth. Within an organisation's scope $1 is always the
// organisation's id and is supplied by this package; the caller's arguments begin at $2. A statement that does not
// mention $1 is refused, so that no query can forget whose rows it reads.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// ErrNoRows is returned by Row.Scan when there is no row, on both engines.
var ErrNoRows = sql.ErrNoRows

// ErrUnavailable wraps errors that say the database itself cannot take the write now (disk full, I/O error, gone).
// Nothing was kept: the caller must not acknowledge.
var ErrUnavailable = errors.New("database unavailable")

// ErrCursor means that a paging cursor was not made by this server.
var ErrCursor = errors.New("unreadable cursor")

// Config says where the data is.
type Config struct {
	Dir      string // data directory (SQLite file, key, lock)
	Postgres string // postgres://… ; empty means SQLite in Dir
	ReadOnly bool   // do not migrate
}

// DB is an open database.
type DB struct {
	engine engine
	stmts  sync.Map // SQL text → struct{}: already checked for scope
	notify func(org string, seq int64)
	listen []func(org string)
	mu     sync.RWMutex
}

// engine is what differs between SQLite and PostgreSQL.
type engine interface {
	name() string
	write(ctx context.Context, behind bool, fn func(*Tx) error) error
	query(ctx context.Context, sql string, args []any) (*Rows, error)
	pending() int
	close() error
}

// Open opens the database, migrates it and starts its writer.
func Open(ctx context.Context, c Config) (*DB, error) {
	d := &DB{}
	var err error
	if c.Postgres != "" {
		d.engine, err = openPostgres(ctx, d, c)
	} else {
		d.engine, err = openSQLite(ctx, d, c)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Close waits for the writes under way and closes the database.
func (d *DB) Close() error { return d.engine.close() }

// Postgres reports whether PostgreSQL stands behind.
func (d *DB) Postgres() bool { return d.engine.name() == "postgres" }

// Backlog is the number of writes that wait for the writer, for metrics and back-pressure.
func (d *DB) Backlog() int { return d.engine.pending() }

// Notify sets the function that is called after a commit that appended to an organisation's feed, with the newest
// seq. It must not block.
func (d *DB) Notify(fn func(org string, seq int64)) {
	d.mu.Lock()
	d.notify = fn
	d.mu.Unlock()
}

// Listen adds a function that is called, like Notify's, after a commit of this process that appended to an
// organisation's feed. It must not block.
func (d *DB) Listen(fn func(org string)) {
	d.mu.Lock()
	d.listen = append(d.listen, fn)
	d.mu.Unlock()
}

func (d *DB) published(heads map[string]int64) {
	if len(heads) == 0 {
		return
	}
	d.mu.RLock()
	fn, listen := d.notify, d.listen
	d.mu.RUnlock()
	for org, seq := range heads {
		if fn != nil {
			fn(org, seq)
		}
		for _, l := range listen {
			l(org)
		}
	}
}

// Org is an organisation's view of the database: the only way to a query, but for Global.
type Org struct {
	db *DB
	ID string
}

// Org gives the scope of one organisation.
func (d *DB) Org(id string) Org { return Org{d, id} }

// DB gives the database behind the scope.
func (o Org) DB() *DB { return o.db }

// Write runs fn in a transaction and returns after it is durable. On SQLite many closures share one commit, each in
// its own savepoint. fn must only use tx: no network, no waiting, no other Write (it would wait for itself). It may
// run more than once (PostgreSQL repeats it after a serialisation failure), so it must set, not add to, what it
// captures. An error from fn rolls back what fn did, and is returned.
func (o Org) Write(ctx context.Context, fn func(tx *Tx) error) error {
	return o.db.write(ctx, o.ID, false, fn)
}

// WriteBehind is Write for work that can wait: it lets up to 50 ms of other writes go first.
func (o Org) WriteBehind(ctx context.Context, fn func(tx *Tx) error) error {
	return o.db.write(ctx, o.ID, true, fn)
}

func (d *DB) write(ctx context.Context, org string, behind bool, fn func(*Tx) error) error {
	if org == "" {
		return errors.New("write without an organisation")
	}
	return d.engine.write(ctx, behind, func(tx *Tx) error {
		tx.org, tx.db = org, d
		return fn(tx)
	})
}

// Query reads; $1 is the organisation's id. The rows must be closed.
func (o Org) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	o.db.mustScope(query)
	return o.db.engine.query(ctx, query, scoped(o.ID, args))
}

// Row reads one row; $1 is the organisation's id.
func (o Org) Row(ctx context.Context, query string, args ...any) *Row {
	rows, err := o.Query(ctx, query, args...)
	return &Row{rows, err}
}

// Querier is what both a scope and a transaction can do: read.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (*Rows, error)
	Row(ctx context.Context, query string, args ...any) *Row
}

// OrgOf gives the organisation that a Querier is bound to.
func OrgOf(q Querier) string {
	switch v := q.(type) {
	case *Tx:
		return v.org
	case Org:
		return v.ID
	}
	return ""
}

// Tx is a transaction within one organisation.
type Tx struct {
	db       *DB
	org      string
	conn     txConn
	feed     []Entry
	onCommit []func()
}

type txConn interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	query(ctx context.Context, query string, args []any) (*Rows, error)
	native() any // *sql.Tx or pgx.Tx, for River
}

// Org is the id of the organisation that the transaction belongs to.
func (t *Tx) Org() string { return t.org }

// Postgres reports whether PostgreSQL stands behind.
func (t *Tx) Postgres() bool { return t.db.Postgres() }

// Native is the *sql.Tx or pgx.Tx underneath. Only package jobs uses it.
func (t *Tx) Native() any { return t.conn.native() }

// Exec changes rows and returns how many; $1 is the organisation's id.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	t.db.mustScope(query)
	return t.conn.exec(ctx, query, scoped(t.org, args))
}

// Query reads inside the transaction; $1 is the organisation's id.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	t.db.mustScope(query)
	return t.conn.query(ctx, query, scoped(t.org, args))
}

// Row reads one row inside the transaction; $1 is the organisation's id.
func (t *Tx) Row(ctx context.Context, query string, args ...any) *Row {
	rows, err := t.Query(ctx, query, args...)
	return &Row{rows, err}
}

// Lock makes transactions with the same name wait for each other until they end. On SQLite there is one writer, and
// nothing to do.
func (t *Tx) Lock(ctx context.Context, name string) error {
	if !t.db.Postgres() {
		return nil
	}
	return t.lock(ctx, t.org+"/"+name)
}

// Savepoint runs fn so that its failure undoes only what fn did. A panic in fn becomes an error. An error that wraps
// ErrUnavailable means that the whole transaction is lost and must be given up.
func (t *Tx) Savepoint(ctx context.Context, fn func() error) error {
	if _, err := t.conn.exec(ctx, "SAVEPOINT step", nil); err != nil {
		return fmt.Errorf("set savepoint: %w", err)
	}
	feed, hooks := len(t.feed), len(t.onCommit)
	err := guarded(func(*Tx) error { return fn() }, t)
	if err != nil {
		if isFatal(err) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		t.feed, t.onCommit = t.feed[:feed], t.onCommit[:hooks]
		if _, rerr := t.conn.exec(ctx, "ROLLBACK TO SAVEPOINT step", nil); rerr != nil {
			return fmt.Errorf("%w: roll back to savepoint: %w", ErrUnavailable, rerr)
		}
	}
	if _, rerr := t.conn.exec(ctx, "RELEASE SAVEPOINT step", nil); rerr != nil {
		return fmt.Errorf("%w: release savepoint: %w", ErrUnavailable, rerr)
	}
	return err
}

// OnCommit calls fn after the transaction is durable; never if it is not.
func (t *Tx) OnCommit(fn func()) { t.onCommit = append(t.onCommit, fn) }

// PanicError is a panic inside a transaction, turned into an error so that it harms nobody else.
type PanicError struct{ Value any }

// Error implements error.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

func guarded(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p}
		}
	}()
	return fn(tx)
}

func scoped(org string, args []any) []any {
	all := make([]any, 0, len(args)+1)
	return texts(append(append(all, org), args...))
}

// Text is what is kept of a text that a stranger chose: UTF-8 without NUL. PostgreSQL takes nothing else, and both
// engines shall keep the same. Every text argument goes through it.
func Text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func texts(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = Text(s)
		}
	}
	return args
}

// mustScope refuses a statement that does not say whose rows it means. That is a mistake of the programmer, so it
// panics; each text is looked at once.
func (d *DB) mustScope(query string) {
	if _, ok := d.stmts.Load(query); ok {
		return
	}
	if !mentionsOrg(query) {
		panic("SQL without organisation ($1): " + query)
	}
	if len(query) < 2000 {
		d.stmts.Store(query, struct{}{})
	}
}

func mentionsOrg(query string) bool {
	for rest := query; ; {
		i := strings.Index(rest, "$1")
		if i < 0 {
			return false
		}
		rest = rest[i+2:]
		if rest == "" || rest[0] < '0' || rest[0] > '9' {
			return true
		}
	}
}

// Row is the result of a query of one row.
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the row's columns and closes it. It returns ErrNoRows if there is none.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// Rows is the result of a query.
type Rows struct {
	next  func() bool
	scan  func(...any) error
	close func()
	err   func() error
}

// Next goes to the next row.
func (r *Rows) Next() bool { return r.next() }

// Scan copies the row's columns into dest.
func (r *Rows) Scan(dest ...any) error { return r.scan(dest...) }

// Close ends the reading. It may be called again.
func (r *Rows) Close() { r.close() }

// Err is what ended the reading early.
func (r *Rows) Err() error { return r.err() }

// Each calls fn for every row and closes the rows.
func Each(rows *Rows, err error, fn func() error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// In gives "($3,$4,$5,$6)" and the arguments for it: a list of values for IN, from placeholder first on. It is padded
// with its last value to a power of two, so that lists of all lengths need few prepared statements. An empty list gives
// "(NULL)", which matches nothing.
func In[T any](first int, values []T) (string, []any) {
	if len(values) == 0 {
		return "(NULL)", nil
	}
	n := 1
	for n < len(values) {
		n *= 2
	}
	var b strings.Builder
	args := make([]any, n)
	b.WriteByte('(')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
		args[i] = values[min(i, len(values)-1)]
	}
	b.WriteByte(')')
	return b.String(), args
}

// NewID makes a UUIDv7: unique, and sorted by time of making within one process.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Micro turns a time into the integer that is stored; the zero time becomes 0.
func Micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time turns a stored integer into a time in UTC; 0 becomes the zero time.
func Time(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}

// Bool turns a truth into the integer that is stored.
func Bool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// ForUpdate is what a SELECT ends with whose row will be changed: " FOR UPDATE" on PostgreSQL, nothing on SQLite,
// which has one writer.
func (t *Tx) ForUpdate() string {
	if t.db.Postgres() {
		return " FOR UPDATE"
	}
	return ""
}

// ForUpdateOf is ForUpdate for one table of a join.
func (t *Tx) ForUpdateOf(table string) string {
	if t.db.Postgres() {
		return " FOR UPDATE OF " + table
	}
	return ""
}
