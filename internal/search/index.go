package search

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
)

// How documents are numbered: doc = organisation's number (13 bits), area (1 bit), number within the area (29 bits). A
// window is 32,768 documents of one area. The terms of a document begin with its window, so that each window is an
// index of its own: no query reads another organisation's, the newest windows are looked at first and older ones only
// while hits are missing, and the beginning of a word is looked for among few terms. Messages begin in the middle: what
// is new is numbered upwards, what was there before the index was is numbered downwards, newest first, so that a new
// index is of use at once.
const (
	windowBits = 15
	localBits  = 29
	middle     = 1 << (localBits - 1)
	maxNum     = 1<<13 - 1
)

type area int64

const (
	messages  area = 0
	customers area = 1
)

func docNumber(num int64, a area, local int64) int64 {
	return num<<(localBits+1) | int64(a)<<localBits | local
}

func window(doc int64) int64 { return doc >> windowBits }

// prefix is what the terms of a window begin with: six characters of fixed width. Names stand apart from texts, and so
// do marks.
func prefix(window int64, c class) string {
	s := strconv.FormatInt(window<<2|int64(c), 36)
	return "000000"[min(6, len(s)):] + s
}

// How much is indexed in one transaction: little while others want to write.
const (
	chunkBusy   = 24
	chunkFollow = 64
	chunkIdle   = 400
	feedMax     = 400 // entries of the feed read at once
)

// Index keeps the index of every organisation up to date.
type Index struct {
	db   *db.DB
	orgs func(ctx context.Context) ([]string, error)
	log  *slog.Logger

	kick chan struct{}
	mu   sync.Mutex
	woke map[string]bool
	fail func() error // for tests: asked before a transaction of the index ends
}

// New makes an Index; orgs lists the organisations. It indexes while Run runs; Search works without.
func New(d *db.DB, orgs func(ctx context.Context) ([]string, error), log *slog.Logger) *Index {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Index{db: d, orgs: orgs, log: log, kick: make(chan struct{}, 1), woke: map[string]bool{}}
}

// wake notes that an organisation's feed grew.
func (x *Index) wake(org string) {
	x.mu.Lock()
	x.woke[org] = true
	x.mu.Unlock()
	select {
	case x.kick <- struct{}{}:
	default:
	}
}

func (x *Index) take() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for o := range x.woke {
		out = append(out, o)
	}
	clear(x.woke)
	return out
}

// Run follows the feeds until ctx ends. On PostgreSQL one node does it for all; which one, is decided anew when that
// node is gone. Whoever is wrong about it does no harm: every step checks that it goes on where the last one ended.
func (x *Index) Run(ctx context.Context) error {
	x.db.Listen(x.wake)
	lead := false
	for ctx.Err() == nil {
		release, ok, err := x.db.Lead(ctx, "search")
		switch {
		case err != nil && ctx.Err() == nil:
			x.log.Warn("the search index cannot be kept up to date now; trying again", "error", err)
		case ok:
			if !lead {
				x.log.Debug("this node keeps the search index")
			}
			lead = true
			x.follow(ctx)
			release()
			continue
		}
		lead = false
		if !pause(ctx, time.Second) {
			break
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// follow indexes what comes in, and what is left to read anew while nothing does. It returns when ctx ends or the
// database fails.
func (x *Index) follow(ctx context.Context) {
	busy := map[string]bool{} // organisations with more to do
	paces := map[string]*pace{}
	all := func() bool {
		list, err := x.orgs(ctx)
		if err != nil {
			if ctx.Err() == nil {
				x.log.Warn("the search index cannot be kept up to date now; trying again", "error", err)
			}
			return false
		}
		for _, o := range list {
			busy[o] = true
		}
		return true
	}
	if !all() {
		pause(ctx, time.Second)
		return
	}
	// Notices tell of this process's commits only; other nodes' are looked for.
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	failures := 0
	for ctx.Err() == nil {
		for _, o := range x.take() {
			busy[o] = true
		}
		if len(busy) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-x.kick:
				// A moment later there is more of it: one message is several entries of the feed.
				pause(ctx, 30*time.Millisecond)
			case <-tick.C:
				if x.db.Postgres() && !all() {
					return
				}
			}
			continue
		}
		for _, o := range sorted(busy) {
			begin, waiting := time.Now(), x.db.Backlog()
			more, err := x.Step(ctx, x.db.Org(o))
			if errors.Is(err, errMoved) {
				pause(ctx, 200*time.Millisecond)
				return
			}
			if err != nil {
				if ctx.Err() != nil {
					return
				}
				failures++
				x.log.Warn("the search index could not be brought up to date; trying again", "org", o, "error", err)
				if failures > 3 { // perhaps another node does better
					pause(ctx, 2*time.Second)
					return
				}
				pause(ctx, time.Duration(failures)*300*time.Millisecond)
				continue
			}
			failures = 0
			if !more {
				delete(busy, o)
			}
			if paces[o] == nil {
				paces[o] = &pace{}
			}
			pause(ctx, paces[o].rest(x.load(ctx, o, time.Since(begin), more, waiting)))
		}
	}
}

// load is what there is to do after a step of the index.
type load struct {
	now          time.Time
	took         time.Duration // the step
	more         bool
	waiting      int   // writes that wait for their commit, before the step or after it
	head, cursor int64 // of the feed: written and indexed up to here
}

func (x *Index) load(ctx context.Context, org string, took time.Duration, more bool, waiting int) load {
	l := load{now: time.Now(), took: took, more: more, waiting: max(waiting, x.db.Backlog())}
	if more {
		o := x.db.Org(org)
		if s, err := readState(ctx, o, ""); err == nil { // a failure shows in the next step
			if head, err := o.FeedHead(ctx); err == nil {
				l.head, l.cursor = head, s.cursor
			}
		}
	}
	return l
}

// pace is how fast an organisation's index goes.
type pace struct {
	head  int64
	at    time.Time
	flood bool
	crowd time.Time // when many writes waited last
}

const (
	// A flood is when more come in than people write: as many writes wait at once; or the feed grows by as many entries
	// a second (a message is three or four) while the index is further behind than it would catch up with in a second.
	floodWaiting = 16
	floodGrowth  = 1500
	floodBehind  = 4000
)

// rest is how long the index leaves writer and processors alone after a step. What is said now is more important than
// finding it: half of the time while there is a lot to do, most of it while others write, and nearly all of it in a
// flood, where everything the index takes is missing for what comes in. Apart from floods it is never a second behind.
func (p *pace) rest(l load) time.Duration {
	switch since := l.now.Sub(p.at); {
	case !l.more:
		p.flood, p.head, p.at = false, 0, l.now
	case p.head == 0:
		p.head, p.at = l.head, l.now
	case since >= 250*time.Millisecond: // less tells little
		p.flood = l.head-l.cursor > floodBehind && float64(l.head-p.head)/since.Seconds() > floodGrowth
		p.head, p.at = l.head, l.now
	}
	if l.waiting > floodWaiting {
		p.crowd = l.now
	}
	switch {
	case p.flood, l.now.Sub(p.crowd) < time.Second:
		return max(400*time.Millisecond, min(2*time.Second, 20*l.took))
	case l.waiting > 0:
		return min(300*time.Millisecond, 4*l.took)
	case l.more:
		return min(100*time.Millisecond, l.took)
	}
	return 0
}

func sorted(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// state is how far an organisation's index is. The scans say from where on the tables are still to be read: "-id" goes
// down from there, "+id" up, "" is done.
type state struct {
	num, version, cursor     int64
	messages, customers      string
	up, down, customersSoFar int64
}

const stateColumns = `num, version, cursor, messages, customers, next_up, next_down, next_customer`

func readState(ctx context.Context, q db.Querier, suffix string) (s state, err error) {
	err = q.Row(ctx, `SELECT `+stateColumns+` FROM search_state WHERE org = $1`+suffix).Scan(&s.num, &s.version, &s.cursor, &s.messages, &s.customers, &s.up, &s.down, &s.customersSoFar)
	return s, err
}

func writeState(ctx context.Context, tx *db.Tx, s state) error {
	_, err := tx.Exec(ctx, `UPDATE search_state SET version = $2, cursor = $3, messages = $4, customers = $5, next_up = $6, next_down = $7, next_customer = $8 WHERE org = $1`,
		s.version, s.cursor, s.messages, s.customers, s.up, s.down, s.customersSoFar)
	return err
}

// errMoved means that somebody else went on with the index meanwhile.
var errMoved = errors.New("another node keeps the index")

// Step brings an organisation's index a little forward and reports whether there is more to do. Each of its
// transactions is a whole: a process that dies between any two goes on where it was.
func (x *Index) Step(ctx context.Context, o db.Org) (more bool, err error) {
	s, err := readState(ctx, o, "")
	if errors.Is(err, db.ErrNoRows) {
		return true, x.begin(ctx, o)
	}
	if err != nil {
		return false, fmt.Errorf("read how far the search index is: %w", err)
	}
	if s.version != Version {
		x.log.Info("the search index is made anew: the analyser has changed", "org", o.ID, "from", s.version, "to", Version)
		return true, x.change(ctx, o, s, func(n *state) { n.version, n.messages, n.customers = Version, "-~", "+" })
	}
	entries, err := o.Feed(ctx, s.cursor, feedMax)
	if errors.Is(err, db.ErrFeedGone) {
		head, err := o.FeedHead(ctx)
		if err != nil {
			return false, err
		}
		x.log.Info("the search index is made anew: it is older than the feed reaches back", "org", o.ID, "cursor", s.cursor, "head", head)
		return true, x.change(ctx, o, s, func(n *state) { n.cursor, n.messages, n.customers = head, "+", "+" })
	}
	if err != nil {
		return false, err
	}
	if len(entries) > 0 {
		return true, x.apply(ctx, o, s, entries)
	}
	if s.messages != "" || s.customers != "" {
		return true, x.scan(ctx, o, s)
	}
	return false, nil
}

// Rebuild makes an organisation's index anew from the tables; it goes on answering meanwhile.
func (x *Index) Rebuild(ctx context.Context, o db.Org) error {
	s, err := readState(ctx, o, "")
	if errors.Is(err, db.ErrNoRows) {
		return nil // it will be made anyway
	}
	if err == nil {
		err = x.change(ctx, o, s, func(n *state) { n.messages, n.customers = "-~", "+" })
	}
	if errors.Is(err, errMoved) { // it moved on between two looks: say it again
		return x.Rebuild(ctx, o)
	}
	if err == nil {
		x.wake(o.ID)
	}
	return err
}

// begin notes that there is an index from now on. What is there already is read from the tables.
func (x *Index) begin(ctx context.Context, o db.Org) error {
	head, err := o.FeedHead(ctx)
	if err != nil {
		return err
	}
	return o.WriteBehind(ctx, func(tx *db.Tx) error {
		if err := tx.Lock(ctx, "search"); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO search_state (org, `+stateColumns+`)
			SELECT $1, COALESCE(MAX(num), 0) + 1, CAST($2 AS BIGINT), CAST($3 AS BIGINT), '-~', '+', CAST($4 AS BIGINT), CAST($5 AS BIGINT), 0 FROM search_state WHERE 1 = 1
			ON CONFLICT (org) DO NOTHING`, int64(Version), head, int64(middle), int64(middle-1))
		if db.IsDuplicate(err) {
			return errMoved // two organisations at once took the same number
		}
		if err != nil {
			return fmt.Errorf("begin the search index: %w", err)
		}
		if n == 0 {
			return nil
		}
		s, err := readState(ctx, tx, "")
		if err == nil && s.num > maxNum {
			err = fmt.Errorf("the search index holds at most %d organisations", maxNum)
		}
		return err
	})
}

// locked runs fn in a transaction if the index still is where s says; fn changes it.
func (x *Index) locked(ctx context.Context, o db.Org, s state, fn func(tx *db.Tx, s *state) error) error {
	return o.WriteBehind(ctx, func(tx *db.Tx) error {
		if err := tx.Lock(ctx, "search"); err != nil {
			return err
		}
		now, err := readState(ctx, tx, tx.ForUpdate())
		if err != nil {
			return fmt.Errorf("read how far the search index is: %w", err)
		}
		if now.cursor != s.cursor || now.messages != s.messages || now.customers != s.customers || now.version != s.version {
			return errMoved
		}
		if err := fn(tx, &now); err != nil {
			return err
		}
		if err := writeState(ctx, tx, now); err != nil {
			return fmt.Errorf("note how far the search index is: %w", err)
		}
		if x.fail != nil {
			return x.fail()
		}
		return nil
	})
}

func (x *Index) change(ctx context.Context, o db.Org, s state, fn func(*state)) error {
	return x.locked(ctx, o, s, func(_ *db.Tx, n *state) error { fn(n); return nil })
}

// doc is a document to be indexed; gone ones are taken out.
type doc struct {
	ref          string
	area         area
	down         bool // was there before the index was: numbered downwards
	anew         bool // is written even if it seems unchanged
	gone         bool
	prose, names []string
	marks        []string
}

func (d doc) hash() int64 {
	f := fnv.New64a()
	for _, l := range [][]string{d.prose, d.names, d.marks} {
		for _, t := range l {
			_, _ = f.Write([]byte(t))
			_, _ = f.Write([]byte{' '})
		}
		_, _ = f.Write([]byte{0})
	}
	return int64(f.Sum64())
}

// unique keeps the first of each id.
func unique(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(ids, func(id string) bool {
		if id == "" || seen[id] {
			return true
		}
		seen[id] = true
		return false
	})
}

// apply indexes what entries of the feed tell of.
func (x *Index) apply(ctx context.Context, o db.Org, s state, entries []db.Entry) error {
	var msgs, convs, custs []string
	for _, e := range entries {
		switch e.Kind {
		case "message":
			msgs = append(msgs, e.Ref)
		case "conversation":
			convs = append(convs, e.Ref)
		case "customer":
			custs = append(custs, e.Ref)
		}
	}
	msgs, convs, custs = unique(msgs), unique(convs), unique(custs)
	to := entries[len(entries)-1].Seq
	heads, changed, err := x.changed(ctx, o, convs)
	if err != nil {
		return err
	}
	// All messages of a conversation are found by its subject and by the customer's name. What is large is done in
	// pieces that do not move the cursor; only then is it noted.
	for _, c := range changed {
		done := map[string]bool{}
		for _, m := range msgs {
			done[m] = true
		}
		for pos := int64(0); ; {
			ids, next, err := conversation.IDsFrom(ctx, o, c, pos, chunkIdle)
			if err != nil {
				return err
			}
			rest := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return done[id] })
			if len(msgs)+len(rest) <= chunkIdle {
				msgs = append(msgs, rest...)
			} else if err := x.write(ctx, o, &s, rest, nil, nil); err != nil {
				return err
			}
			if len(ids) < chunkIdle {
				break
			}
			pos = next
		}
	}
	if len(custs) <= 50 { // an address of a merged record is told under the surviving one
		for _, c := range slices.Clone(custs) {
			ids, err := customer.IDs(ctx, o, c)
			if err != nil && !errors.Is(err, customer.ErrNotFound) {
				return err
			}
			custs = append(custs, ids...)
		}
		custs = unique(custs)
	}
	return x.write(ctx, o, &s, msgs, custs, func(tx *db.Tx, n *state) error {
		n.cursor = to
		return saveHeads(ctx, tx, heads)
	})
}

// changed compares conversations with what their messages were last indexed with. heads are to be noted; changed are
// those whose messages must be indexed again.
func (x *Index) changed(ctx context.Context, o db.Org, ids []string) (heads map[string]int64, changed []string, err error) {
	heads = map[string]int64{}
	if len(ids) == 0 {
		return heads, nil, nil
	}
	now, err := conversation.Heads(ctx, o, ids)
	if err != nil {
		return nil, nil, err
	}
	known := map[string]int64{}
	list, args := db.In(2, ids)
	rows, err := o.Query(ctx, `SELECT conversation, hash FROM search_head WHERE org = $1 AND conversation IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var id string
		var h int64
		err := rows.Scan(&id, &h)
		known[id] = h
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read what conversations were indexed with: %w", err)
	}
	for _, id := range ids {
		h, there := now[id]
		if !there {
			continue
		}
		sum := headHash(h)
		old, indexed := known[id]
		if old == sum && indexed {
			continue
		}
		heads[id] = sum
		// A conversation that is new to the index may have messages that are not: they came by the table.
		changed = append(changed, id)
	}
	return heads, changed, nil
}

func headHash(h conversation.Head) int64 {
	f := fnv.New64a()
	for _, s := range append([]string{h.Subject, h.CustomerName}, marksOf(h)...) {
		_, _ = f.Write([]byte(s))
		_, _ = f.Write([]byte{0})
	}
	return int64(f.Sum64())
}

func saveHeads(ctx context.Context, tx *db.Tx, heads map[string]int64) error {
	ids := make([]string, 0, len(heads))
	for id := range heads {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for part := range slices.Chunk(ids, 64) {
		var b strings.Builder
		var args []any
		for i, id := range part {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "($1,$%d,$%d)", len(args)+2, len(args)+3)
			args = append(args, id, heads[id])
		}
		if _, err := tx.Exec(ctx, `INSERT INTO search_head (org, conversation, hash) VALUES `+b.String()+` ON CONFLICT (org, conversation) DO UPDATE SET hash = excluded.hash`, args...); err != nil {
			return fmt.Errorf("note what conversations were indexed with: %w", err)
		}
	}
	return nil
}

// write indexes messages and customers in small transactions; last is part of the last one.
func (x *Index) write(ctx context.Context, o db.Org, s *state, msgs, custs []string, last func(*db.Tx, *state) error) error {
	for {
		n := chunkFollow
		if x.db.Backlog() > 0 {
			n = chunkBusy
		}
		m, c := msgs[:min(n, len(msgs))], []string(nil)
		if len(m) < n {
			c = custs[:min(n-len(m), len(custs))]
		}
		msgs, custs = msgs[len(m):], custs[len(c):]
		final := len(msgs)+len(custs) == 0
		texts, err := conversation.TextsByID(ctx, o, m)
		if err != nil {
			return err
		}
		docs, _, err := x.messageDocs(ctx, o, m, texts)
		if err != nil {
			return err
		}
		more, err := x.customerDocs(ctx, o, c)
		if err != nil {
			return err
		}
		docs = append(docs, more...)
		err = x.locked(ctx, o, *s, func(tx *db.Tx, n *state) error {
			if err := put(ctx, tx, n, docs); err != nil {
				return err
			}
			if final && last != nil {
				return last(tx, n)
			}
			return nil
		})
		if err != nil || final {
			return err
		}
	}
}

// messageDocs makes the documents of messages, in the order of ids, and gives the heads of their conversations.
func (x *Index) messageDocs(ctx context.Context, o db.Org, ids []string, texts map[string]conversation.Text) ([]doc, map[string]int64, error) {
	convs := make([]string, 0, len(texts))
	for _, t := range texts {
		convs = append(convs, t.Conversation)
	}
	slices.Sort(convs)
	heads, err := conversation.Heads(ctx, o, slices.Compact(convs))
	if err != nil {
		return nil, nil, err
	}
	sums := make(map[string]int64, len(heads))
	for id, h := range heads {
		sums[id] = headHash(h)
	}
	docs := make([]doc, 0, len(ids))
	for _, id := range ids {
		d := doc{ref: id, area: messages}
		t, ok := texts[id]
		if !ok || t.Deleted || t.Kind == conversation.KindEvent {
			d.gone = true
			docs = append(docs, d)
			continue
		}
		var set termSet
		for _, f := range messageFields(t, heads[t.Conversation]) {
			set.add(f.text, f.c)
		}
		d.prose, d.names = set.prose, set.names
		if h, ok := heads[t.Conversation]; ok {
			d.marks = marksOf(h)
		}
		docs = append(docs, d)
	}
	return docs, sums, nil
}

// Marks are terms of what lists are filtered by, so that a search within a filter need not look at everything else
// first. They may be a moment old; whoever filters looks at the conversations themselves too.
func marksOf(h conversation.Head) []string {
	out := []string{markTerm("s", h.Status), markTerm("a", h.Assignee), markTerm("k", string(h.Kind))}
	if h.Unit != "" {
		out = append(out, markTerm("u", h.Unit))
	}
	if h.Category != "" {
		out = append(out, markTerm("c", h.Category))
	}
	if h.Failed {
		out = append(out, markTerm("f", ""))
	}
	for _, t := range h.Tags {
		out = append(out, markTerm("t", t))
	}
	return unique(out)
}

func markTerm(kind, value string) string { return cut(kind + fold(value)) }

// messageFields are the texts by which a message is found, under the names that hits give them, the most telling first.
func messageFields(t conversation.Text, h conversation.Head) []field {
	out := []field{{"text", t.Text, prose}, {"subject", t.Subject, prose}}
	if h.Subject != t.Subject {
		out = append(out, field{"subject", h.Subject, prose})
	}
	for _, f := range t.Files {
		out = append(out, field{"attachment", f, prose})
	}
	if h.CustomerName != "" {
		out = append(out, field{"name", h.CustomerName, name})
	}
	if t.AuthorName != h.CustomerName {
		out = append(out, field{"name", t.AuthorName, name})
	}
	out = append(out, field{"address", t.AddressValue, prose})
	for i, p := range t.People {
		if i == 50 {
			break
		}
		if p.Name != t.AuthorName && p.Name != h.CustomerName {
			out = append(out, field{"name", p.Name, name})
		}
		if p.Address != t.AddressValue {
			out = append(out, field{"address", p.Address, prose})
		}
	}
	return out
}

func (x *Index) customerDocs(ctx context.Context, o db.Org, ids []string) ([]doc, error) {
	texts, err := customer.TextsByID(ctx, o, ids)
	if err != nil {
		return nil, err
	}
	docs := make([]doc, 0, len(ids))
	for _, id := range ids {
		d := doc{ref: id, area: customers}
		t, ok := texts[id]
		if !ok {
			d.gone = true
		} else {
			var set termSet
			for _, f := range customerFields(t) {
				set.add(f.text, f.c)
			}
			d.prose, d.names = set.prose, set.names
		}
		docs = append(docs, d)
	}
	return docs, nil
}

func customerFields(t customer.Text) []field {
	out := []field{{"name", t.Name, name}}
	for i, a := range t.Addresses {
		if i == 100 {
			break
		}
		out = append(out, field{"address", a.Value, prose})
		if a.Name != t.Name {
			out = append(out, field{"name", a.Name, name})
		}
	}
	return append(out, field{"text", t.Notes, prose})
}

// scan reads the tables on, where the index has to be made from them.
func (x *Index) scan(ctx context.Context, o db.Org, s state) error {
	n := chunkIdle
	if x.db.Backlog() > 0 {
		n = chunkBusy
	}
	if s.messages == "" {
		ids, err := customer.IDsAfter(ctx, o, s.customers[1:], n)
		if err != nil {
			return err
		}
		docs, err := x.customerDocs(ctx, o, ids)
		if err != nil {
			return err
		}
		for i := range docs {
			docs[i].anew = true
		}
		return x.locked(ctx, o, s, func(tx *db.Tx, st *state) error {
			st.customers = ""
			if len(ids) > 0 {
				st.customers = "+" + ids[len(ids)-1]
			}
			return put(ctx, tx, st, docs)
		})
	}
	var page []conversation.Text
	var err error
	down := s.messages[0] == '-'
	if down {
		page, err = conversation.TextsBefore(ctx, o, s.messages[1:], n)
	} else {
		page, err = conversation.TextsAfter(ctx, o, s.messages[1:], n)
	}
	if err != nil {
		return err
	}
	ids := make([]string, len(page))
	texts := make(map[string]conversation.Text, len(page))
	for i, t := range page {
		ids[i], texts[t.ID] = t.ID, t
	}
	docs, sums, err := x.messageDocs(ctx, o, ids, texts)
	if err != nil {
		return err
	}
	for i := range docs {
		docs[i].down, docs[i].anew = down, true
	}
	before := s.down
	err = x.locked(ctx, o, s, func(tx *db.Tx, st *state) error {
		st.messages = ""
		if len(page) > 0 {
			st.messages = s.messages[:1] + page[len(page)-1].ID
		}
		if err := put(ctx, tx, st, docs); err != nil {
			return err
		}
		before = st.down
		return saveHeads(ctx, tx, sums)
	})
	if err == nil && (len(page) == 0 || before/100_000 != s.down/100_000) {
		x.log.Info("reading what was there before the search index", "org", o.ID, "messages", int64(middle)-1-before, "done", len(page) == 0)
	}
	return err
}

// put writes documents into the index. One that is there already keeps its place.
func put(ctx context.Context, tx *db.Tx, s *state, docs []doc) error {
	if len(docs) == 0 {
		return nil
	}
	refs := make([]string, len(docs))
	for i, d := range docs {
		refs[i] = d.ref
	}
	type known struct{ doc, hash int64 }
	have := map[string]known{}
	list, args := db.In(2, refs)
	rows, err := tx.Query(ctx, `SELECT ref, doc, hash FROM search_doc WHERE org = $1 AND ref IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var ref string
		var k known
		err := rows.Scan(&ref, &k.doc, &k.hash)
		have[ref] = k
		return err
	})
	if err != nil {
		return fmt.Errorf("look for documents: %w", err)
	}
	w := writerOf(tx)
	for _, d := range docs {
		k, old := have[d.ref]
		n, sum := k.doc, d.hash()
		switch {
		case d.gone:
			if old {
				err = w.remove(ctx, n)
			}
		case old:
			if k.hash != sum || d.anew {
				err = w.replace(ctx, n, sum, termsOf(n, d))
			}
		default:
			switch {
			case d.area == customers:
				n = docNumber(s.num, customers, s.customersSoFar)
				s.customersSoFar++
			case d.down:
				n = docNumber(s.num, messages, s.down)
				s.down--
			default:
				n = docNumber(s.num, messages, s.up)
				s.up++
			}
			if s.down < 0 || s.up >= 2*middle || s.customersSoFar >= 2*middle {
				return errors.New("the search index is full")
			}
			err = w.add(ctx, n, d.ref, sum, termsOf(n, d))
		}
		if err != nil {
			return fmt.Errorf("index %s: %w", d.ref, err)
		}
	}
	return w.flush(ctx)
}

// termsOf gives the terms of a document with their window before them.
func termsOf(n int64, d doc) []string {
	out := make([]string, 0, len(d.prose)+len(d.names)+len(d.marks))
	p := prefix(window(n), prose)
	for _, t := range d.prose {
		out = append(out, p+t)
	}
	p = prefix(window(n), name)
	for _, t := range d.names {
		out = append(out, p+t)
	}
	p = prefix(window(n), mark)
	for _, t := range d.marks {
		out = append(out, p+t)
	}
	return out
}
