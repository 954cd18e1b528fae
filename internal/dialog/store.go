package dialog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such dialog")
	ErrInUse    = errors.New("this dialog still runs for customers")
	ErrConflict = errors.New("somebody else has saved this dialog meanwhile")
	ErrOver     = errors.New("this dialog is over")
	ErrRunning  = errors.New("another dialog runs in this conversation; stop it first")
	ErrNoWay    = errors.New("no channel reaches this customer now")
)

// FindingsError means that a dialog has dead ends and cannot be enabled.
type FindingsError struct{ Findings []Finding }

// Error implements error.
func (e *FindingsError) Error() string {
	s := fmt.Sprintf("%d findings", len(e.Findings))
	if len(e.Findings) > 0 {
		s += ": " + e.Findings[0].String()
	}
	return s
}

// StoreOptions are what a Store needs of the house.
type StoreOptions struct {
	DB       *db.DB
	Accounts *account.Accounts
	Asks     *ask.Store
	HTTP     channel.Doer // guarded
	Now      func() time.Time
	Log      *slog.Logger
	// Media is what may carry dialogs: every kind that is known, built or planned.
	Media func() map[channel.Kind]channel.Medium
	// Company is how the organisation calls itself.
	Company func(ctx context.Context, q db.Querier) (string, error)
	// Staff finds who is meant by "advisor" (of this customer) or an e-mail address; an empty Actor if there is nobody.
	Staff func(ctx context.Context, q db.Querier, who, customer string) (conversation.Actor, error)
	// Unit finds a unit by name; an empty Actor if there is none.
	Unit func(ctx context.Context, q db.Querier, name string) (conversation.Actor, error)
	// Open gives the next business hour of the organisation from a moment on (the moment itself if it lies in one); nil =
	// always open.
	Open func(ctx context.Context, q db.Querier, t time.Time) time.Time
}

// Store keeps dialogs and runs them.
type Store struct {
	StoreOptions
	wake chan struct{}

	mu    sync.Mutex
	cache map[string]*library // by organisation: what is live now
	older map[string]*library // by organisation and versions: what running instances began with
}

type library struct {
	stamp    string
	machine  *Machine
	programs []*Program
	stored   map[string]Stored
}

// NewStore makes a Store and connects it to the questions that its dialogs put; Run makes its timers work.
func NewStore(o StoreOptions) *Store {
	s := &Store{StoreOptions: o, wake: make(chan struct{}, 1), cache: map[string]*library{}, older: map[string]*library{}}
	o.Asks.Then(s.answered)
	return s
}

// Stored is a dialog as an organisation has it.
type Stored struct {
	Key       string
	Program   *Program // of the newest version; nil if it cannot be read
	Source    string   // of the newest version
	Version   int64    // the newest; 0 = a ready dialog that nobody changed
	Live      int64    // the version by which it is started; 0 = none of ours: the ready one, or none
	Enabled   bool     // customers may start it by its words
	Ready     bool     // the installation brings it
	Versions  int
	Layout    json.RawMessage
	UpdatedAt time.Time
	UpdatedBy conversation.Actor
	Findings  int
}

// Version is one version of a dialog.
type Version struct {
	Version  int64
	Source   string
	At       time.Time
	By       conversation.Actor
	Live     bool
	Findings int
}

// readySource gives the source of a ready dialog and the version that stands for this very text.
func readySource(p *Program) (source string, version int64, err error) {
	b, err := Marshal(p)
	if err != nil {
		return "", 0, fmt.Errorf("write ready dialog %s: %w", p.Key, err)
	}
	sum := sha256.Sum256(b)
	// Beyond every version that is counted, and exact as a JSON number.
	return string(b), 1<<40 | int64(binary.BigEndian.Uint64(sum[:8])&(1<<40-1)), nil
}

// All lists an organisation's dialogs and the ready ones, by key.
func (s *Store) All(ctx context.Context, o db.Org) ([]Stored, error) {
	c, err := s.current(ctx, o)
	if err != nil {
		return nil, err
	}
	out := make([]Stored, 0, len(c.stored))
	for _, d := range c.stored {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Stored) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// Live lists the dialogs that a customer's word starts, as they start: with words, and without inputs that nobody gives.
func (s *Store) Live(ctx context.Context, q db.Querier) ([]*Program, error) {
	c, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []*Program
	for _, p := range c.programs {
		if c.stored[p.Key].Enabled && startable(p) {
			out = append(out, p)
		}
	}
	return out, nil
}

func startable(p *Program) bool {
	return len(p.Start) > 0 && !slices.ContainsFunc(p.Inputs, func(v Variable) bool { return v.Default == nil })
}

// opens is Open for the machine, which knows no database.
func (s *Store) opens(ctx context.Context, q db.Querier) func(time.Time) time.Time {
	if s.Open == nil {
		return nil
	}
	return func(t time.Time) time.Time { return s.Open(ctx, q, t) }
}

// Get reads one dialog.
func (s *Store) Get(ctx context.Context, o db.Querier, key string) (Stored, error) {
	c, err := s.current(ctx, o)
	if err != nil {
		return Stored{}, err
	}
	d, ok := c.stored[key]
	if !ok {
		return Stored{}, ErrNotFound
	}
	return d, nil
}

func stampOf(ctx context.Context, q db.Querier) (stamp string, err error) {
	var n, last, sum int64
	if err := q.Row(ctx, `SELECT COUNT(*), COALESCE(MAX(updated_at), 0), COALESCE(SUM(version + live), 0) FROM dialog WHERE org = $1`).Scan(&n, &last, &sum); err != nil {
		return "", fmt.Errorf("look for changed dialogs: %w", err)
	}
	return fmt.Sprint(n, last, sum), nil
}

// current gives what is live now, compiled once for as long as nothing changes.
func (s *Store) current(ctx context.Context, q db.Querier) (*library, error) {
	org := db.OrgOf(q)
	stamp, err := stampOf(ctx, q)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c := s.cache[org]
	s.mu.Unlock()
	if c != nil && c.stamp == stamp {
		return c, nil
	}
	if c, err = s.load(ctx, q); err != nil {
		return nil, err
	}
	c.stamp = stamp
	s.mu.Lock()
	s.cache[org] = c
	s.mu.Unlock()
	return c, nil
}

func (s *Store) load(ctx context.Context, q db.Querier) (*library, error) {
	c := &library{stored: map[string]Stored{}}
	live := map[string]*Program{}
	for _, p := range Ready() {
		source, version, err := readySource(p)
		if err != nil {
			return nil, err
		}
		r := *p
		r.Version = version
		live[p.Key] = &r
		c.stored[p.Key] = Stored{Key: p.Key, Program: p, Source: source, Ready: true}
	}
	type row struct {
		Stored
		liveSource string
	}
	var found []row
	rows, err := q.Query(ctx, `SELECT d.key, d.version, d.live, d.enabled, d.layout, d.updated_by, d.updated_name, d.updated_at, v.source, v.findings, COALESCE(l.source, ''), (SELECT COUNT(*) FROM dialog_version n WHERE n.org = d.org AND n.key = d.key AND n.version <= d.version)
		FROM dialog d JOIN dialog_version v ON v.org = d.org AND v.key = d.key AND v.version = d.version LEFT JOIN dialog_version l ON l.org = d.org AND l.key = d.key AND l.version = d.live WHERE d.org = $1`)
	err = db.Each(rows, err, func() error {
		var r row
		var enabled, at int64
		var layout string
		err := rows.Scan(&r.Key, &r.Version, &r.Live, &enabled, &layout, &r.UpdatedBy.ID, &r.UpdatedBy.Name, &at, &r.Source, &r.Findings, &r.liveSource, &r.Versions)
		r.Enabled, r.UpdatedAt = enabled == 1, db.Time(at)
		if layout != "" {
			r.Layout = json.RawMessage(layout)
		}
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read dialogs: %w", err)
	}
	for _, r := range found {
		r.Ready = c.stored[r.Key].Ready
		if p, bad := Load(r.Key, []byte(r.Source)); len(bad) == 0 {
			p.Version = r.Version
			r.Program = p
		}
		c.stored[r.Key] = r.Stored
		switch {
		case r.Live == r.Version && r.Program != nil:
			live[r.Key] = r.Program
		case r.Live > 0:
			if p, bad := Load(r.Key, []byte(r.liveSource)); len(bad) == 0 {
				p.Version = r.Live
				live[r.Key] = p
			}
		}
	}
	for _, p := range live {
		c.programs = append(c.programs, p)
	}
	slices.SortFunc(c.programs, func(a, b *Program) int { return strings.Compare(a.Key, b.Key) })
	m, bad := Compile(c.programs)
	for _, f := range bad { // what was enabled was proved; a later version of ours may have learned more
		s.Log.Error("a dialog cannot be used", "finding", f.String())
	}
	c.machine = m
	return c, nil
}

// machineFor gives the machine that a running instance goes on with: its own versions, the others as they are live.
func (s *Store) machineFor(ctx context.Context, q db.Querier, st State) (*library, error) {
	c, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	now := map[string]int64{}
	for _, p := range c.programs {
		now[p.Key] = p.Version
	}
	var old []Frame
	name := db.OrgOf(q) + " " + c.stamp
	for _, f := range st.Frames {
		if now[f.Dialog] != f.Version {
			old = append(old, f)
			name += fmt.Sprint(" ", f.Dialog, " ", f.Version)
		}
	}
	if len(old) == 0 {
		return c, nil
	}
	s.mu.Lock()
	o := s.older[name]
	s.mu.Unlock()
	if o != nil {
		return o, nil
	}
	o = &library{stored: c.stored}
	have := map[string]bool{}
	for _, f := range old {
		if have[f.Dialog] {
			continue
		}
		var source string
		err := q.Row(ctx, `SELECT source FROM dialog_version WHERE org = $1 AND key = $2 AND version = $3`, f.Dialog, f.Version).Scan(&source)
		if errors.Is(err, db.ErrNoRows) {
			continue // the machine hands over to a person
		}
		if err != nil {
			return nil, fmt.Errorf("read an older version of dialog %s: %w", f.Dialog, err)
		}
		if p, bad := Load(f.Dialog, []byte(source)); len(bad) == 0 {
			p.Version = f.Version
			o.programs = append(o.programs, p)
			have[f.Dialog] = true
		}
	}
	for _, p := range c.programs {
		if !have[p.Key] {
			o.programs = append(o.programs, p)
		}
	}
	o.machine, _ = Compile(o.programs)
	s.mu.Lock()
	if len(s.older) > 100 { // instances end; what is needed comes again
		clear(s.older)
	}
	s.older[name] = o
	s.mu.Unlock()
	return o, nil
}

// Prove checks a source against what else the organisation has, on every medium.
func (s *Store) Prove(ctx context.Context, q db.Querier, source string) (*Program, []Finding, error) {
	return s.ProveIn(ctx, q, source, "en")
}

// Try lets a program run through some turns, beside what else the organisation has. Nothing is sent.
func (s *Store) Try(ctx context.Context, q db.Querier, p *Program, inputs map[string]any, language string, kinds []channel.Kind, turns []Turn, calls map[string]any) (Trial, error) {
	c, err := s.current(ctx, q)
	if err != nil {
		return Trial{}, err
	}
	tried := *p
	tried.Version = 1 << 50 // newer than whatever is live
	m, bad := Compile(append(slices.Clone(c.programs), &tried))
	for _, f := range bad {
		if f.Dialog == p.Key {
			return Trial{}, &FindingsError{bad}
		}
	}
	company, err := s.Company(ctx, q)
	if err != nil {
		return Trial{}, err
	}
	env := Env{Now: s.Now(), Language: language, Company: company, Open: s.opens(ctx, q), Customer: map[string]string{"name": "Anna Muster", "first_name": "Anna", "language": language}}
	if len(kinds) > 0 { // what a dialog asks its medium is answered by the first
		env.Channel, env.Medium = kinds[0], s.Media()[kinds[0]].Capabilities
	}
	return m.Try(p.Key, inputs, env, turns, calls, func(a ask.Ask) []ask.Option {
		free, err := s.Asks.Offer(ctx, q, a)
		if err != nil || len(free) == 0 { // no such calendar, or nothing is free: times as they might be
			free = ask.SampleTimes(a, env.Now)
		}
		return free
	})
}

// ProveIn is Prove with findings in a language.
func (s *Store) ProveIn(ctx context.Context, q db.Querier, source, language string) (*Program, []Finding, error) {
	p, bad := LoadIn(language, "dialog", []byte(source))
	if len(bad) > 0 || p == nil {
		return p, bad, nil
	}
	c, err := s.current(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	all := []*Program{p}
	for _, x := range c.programs {
		if x.Key != p.Key {
			all = append(all, x)
		}
	}
	var own []Finding
	for _, f := range Check(all, s.Media(), CheckOptions{Language: language}) {
		if f.Dialog == p.Key || f.Dialog == "" {
			own = append(own, f)
		}
	}
	return p, own, nil
}

// Save keeps a new version. base is the version that the author began with. With enabled it must have no findings, and
// becomes the one by which it is started; otherwise it is a draft beside the one that is live.
func (s *Store) Save(ctx context.Context, tx *db.Tx, key, source string, enabled bool, layout json.RawMessage, base int64, by conversation.Actor) (Stored, []Finding, error) {
	p, findings, err := s.Prove(ctx, tx, source)
	if err != nil {
		return Stored{}, nil, err
	}
	if p == nil || p.Key != key {
		if p != nil {
			findings = append(findings, Finding{Rule: "key", Dialog: p.Key, Message: fmt.Sprintf("the dialog calls itself %q, but is saved as %q", p.Key, key), Remedy: "give it the same key"})
		}
		return Stored{}, findings, &FindingsError{findings}
	}
	if enabled && len(findings) > 0 {
		return Stored{}, findings, &FindingsError{findings}
	}
	if err := tx.Lock(ctx, "dialog "+key); err != nil {
		return Stored{}, nil, err
	}
	var version, live int64
	err = tx.Row(ctx, `SELECT version, live FROM dialog WHERE org = $1 AND key = $2`, key).Scan(&version, &live)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return Stored{}, nil, fmt.Errorf("read dialog: %w", err)
	}
	switch {
	case base == version:
	case version == 0:
		return Stored{}, nil, ErrNotFound
	default:
		return Stored{}, nil, ErrConflict
	}
	now := s.Now()
	version++
	if enabled {
		live = version
	}
	if _, err := tx.Exec(ctx, `INSERT INTO dialog_version (org, key, version, source, findings, made_by, made_name, made_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)`,
		key, version, source, len(findings), by.ID, by.Name, db.Micro(now)); err != nil {
		return Stored{}, nil, fmt.Errorf("save dialog: %w", err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO dialog (org, key, version, enabled, live, layout, updated_by, updated_name, updated_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)
		ON CONFLICT (org, key) DO UPDATE SET version = excluded.version, enabled = excluded.enabled, live = excluded.live, layout = excluded.layout, updated_by = excluded.updated_by, updated_name = excluded.updated_name, updated_at = excluded.updated_at`,
		key, version, db.Bool(enabled), live, string(layout), by.ID, by.Name, db.Micro(now)); err != nil {
		return Stored{}, nil, fmt.Errorf("save dialog: %w", err)
	}
	tx.Emit("dialog", key, nil)
	return Stored{Key: key, Program: p, Source: source, Version: version, Live: live, Enabled: enabled, Layout: layout, UpdatedAt: now, UpdatedBy: by, Findings: len(findings), Versions: int(version)}, findings, nil
}

// Drop removes a dialog of which no instance runs; a ready one is as it came again.
func (s *Store) Drop(ctx context.Context, tx *db.Tx, key string) error {
	var running int
	if err := tx.Row(ctx, `SELECT COUNT(*) FROM dialog_instance WHERE org = $1 AND dialog = $2 AND status IN ('asking', 'waiting', 'calling')`, key).Scan(&running); err != nil {
		return fmt.Errorf("look for running dialogs: %w", err)
	}
	if running > 0 {
		return ErrInUse
	}
	n, err := tx.Exec(ctx, `DELETE FROM dialog WHERE org = $1 AND key = $2`, key)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM dialog_version WHERE org = $1 AND key = $2`, key)
	}
	if err != nil {
		return fmt.Errorf("remove dialog: %w", err)
	}
	tx.Emit("dialog", key, nil)
	return nil
}

// Versions lists the versions of a dialog, the newest first, without their sources.
func Versions(ctx context.Context, q db.Querier, key string) ([]Version, error) {
	var out []Version
	rows, err := q.Query(ctx, `SELECT v.version, v.made_at, v.made_by, v.made_name, v.findings, CASE WHEN d.live = v.version THEN 1 ELSE 0 END FROM dialog_version v JOIN dialog d ON d.org = v.org AND d.key = v.key
		WHERE v.org = $1 AND v.key = $2 AND v.version <= d.version ORDER BY v.version DESC LIMIT 500`, key)
	err = db.Each(rows, err, func() error {
		var v Version
		var at, live int64
		err := rows.Scan(&v.Version, &at, &v.By.ID, &v.By.Name, &v.Findings, &live)
		v.At, v.Live = db.Time(at), live == 1
		out = append(out, v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	if len(out) == 0 && !slices.ContainsFunc(Ready(), func(p *Program) bool { return p.Key == key }) {
		return nil, ErrNotFound
	}
	return out, nil
}

// VersionOf reads the source of one version.
func VersionOf(ctx context.Context, q db.Querier, key string, version int64) (source string, err error) {
	err = q.Row(ctx, `SELECT source FROM dialog_version WHERE org = $1 AND key = $2 AND version = $3`, key, version).Scan(&source)
	if errors.Is(err, db.ErrNoRows) {
		return "", ErrNotFound
	}
	return source, err
}

// Count is how many instances of a dialog run and how the others ended.
type Count struct {
	Running int
	Ended   map[string]int // by outcome; "handed" where a person took over
}

// Counts counts instances by dialog.
func Counts(ctx context.Context, q db.Querier) (map[string]Count, error) {
	out := map[string]Count{}
	rows, err := q.Query(ctx, `SELECT dialog, CASE WHEN status IN ('asking', 'waiting', 'calling') THEN '' WHEN status = 'handed' THEN 'handed' WHEN status = 'stopped' THEN 'stopped' ELSE outcome END, COUNT(*)
		FROM dialog_instance WHERE org = $1 GROUP BY 1, 2`)
	err = db.Each(rows, err, func() error {
		var key, outcome string
		var n int
		if err := rows.Scan(&key, &outcome, &n); err != nil {
			return err
		}
		c := out[key]
		if c.Ended == nil {
			c.Ended = map[string]int{}
		}
		if outcome == "" {
			c.Running += n
		} else {
			c.Ended[outcome] += n
		}
		out[key] = c
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count dialogs: %w", err)
	}
	return out, nil
}

// Titles gives the titles of all dialogs, by key.
func (s *Store) Titles(ctx context.Context, q db.Querier) (map[string]ask.Texts, error) {
	c, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make(map[string]ask.Texts, len(c.stored))
	for key, d := range c.stored {
		if d.Program != nil {
			out[key] = d.Program.Title
		}
	}
	return out, nil
}
