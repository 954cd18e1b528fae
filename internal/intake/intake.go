// Package intake is in charge of everything that comes in: it stores the raw body and its events durably and without
// duplicates before anything is acknowledged, then processes them in order per sender. What cannot be understood
// becomes a visible work item and delays nobody else. It parses nothing (drivers do) and keeps no conversation (package
// conversation does).
package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
)

const (
	inlineMax = 64 << 10 // larger raw bodies are files
	batchMax  = 256      // requests that share one transaction
	queueMax  = 8192     // requests that wait; beyond it the provider is told to come again
)

// Options are what Intake needs of the house.
type Options struct {
	DB       *db.DB
	Accounts *account.Accounts
	Blobs    *blob.Store
	Env      func(channel.Account) channel.Env
	Now      func() time.Time
	Node     string // names this process in the counters
	Log      *slog.Logger
	// Sanitise makes foreign HTML harmless. cid turns a content id into the id of the attachment, "" = unknown.
	// clean has no remote images, full has them; remote is how many there are.
	Sanitise func(html string, cid func(string) string) (clean, full string, remote int)
	// Advisor gives the staff member behind an id who answers a customer; empty if there is none (any more).
	Advisor func(ctx context.Context, q db.Querier, id string) conversation.Actor
	// After is told of each message of a customer once it is in its conversation, in the same transaction: an answer to a
	// question, a word that begins a dialog. payload is what a pressed button carried. nil = nobody.
	After func(ctx context.Context, tx *db.Tx, r conversation.Received, payload string, threaded bool, customers func() ([]string, error)) error
	// Tell sends what the house says about a hand-over, in the same transaction; nil = nothing is said.
	Tell func(ctx context.Context, tx *db.Tx, t Telling) error
	// Ephemeral is told about what is not stored: somebody is typing.
	Ephemeral func(a channel.Account, e channel.Event)
}

// Intake stores and processes what comes in.
type Intake struct {
	Options
	queue   chan *request
	wake    chan struct{}
	files   later         // attachments to be fetched
	senders later         // senders to be judged
	stopped chan struct{} // closed when Run has ended: nothing is stored any more
	// accepting is how many callers of Accept wait for their acknowledgement.
	accepting atomic.Int64
}

// New makes an Intake; Run makes it work.
func New(o Options) *Intake {
	return &Intake{Options: o, queue: make(chan *request, queueMax), wake: make(chan struct{}, 1), files: newLater(), senders: newLater(), stopped: make(chan struct{})}
}

// request is one Inbound on its way into the database.
type request struct {
	acct   channel.Account
	in     channel.Inbound
	rawID  string
	blob   string
	events []row
	now    time.Time
	fresh  int // events that were new
	err    error
	done   chan struct{}
}

type row struct {
	id, key, sender, typ, event, state, err string
}

// Accept stores what was received and returns once it is durable. It reports how many of the events were new. An error
// means that nothing was kept and nothing may be acknowledged.
func (i *Intake) Accept(ctx context.Context, acct channel.Account, in channel.Inbound) (fresh int, err error) {
	r := &request{acct: acct, in: in, rawID: db.NewID(), now: i.Now(), done: make(chan struct{})}
	for _, e := range in.Events {
		if e.Type == channel.TypingEvent {
			if i.Ephemeral != nil {
				i.Ephemeral(acct, e)
			}
			continue
		}
		r.events = append(r.events, eventRow(e, in.Raw))
	}
	if in.Err != "" && len(r.events) == 0 {
		r.events = []row{{id: db.NewID(), key: channel.HashKey("raw", string(in.Raw)), typ: string(channel.UnparsedEvent), state: quarantined, err: in.Err,
			event: `{"type":"unparsed"}`}}
	}
	if len(r.events) == 0 && in.Cursor == "" {
		return 0, nil
	}
	if len(in.Raw) > inlineMax && len(r.events) > 0 {
		if r.blob, _, err = i.Blobs.Put(ctx, bytes.NewReader(in.Raw), 0); err != nil {
			return 0, fmt.Errorf("%w: %w", db.ErrUnavailable, err)
		}
	}
	i.accepting.Add(1)
	defer i.accepting.Add(-1)
	select {
	case i.queue <- r:
	default:
		return 0, fmt.Errorf("%w: too much is waiting to be stored", db.ErrUnavailable)
	}
	select { // once queued it is stored or not, whatever becomes of ctx
	case <-r.done:
	case <-i.stopped:
		select {
		case <-r.done:
		default:
			return 0, fmt.Errorf("%w: shutting down", db.ErrUnavailable)
		}
	}
	return r.fresh, r.err
}

// States of an event.
const (
	pending     = "pending"
	done        = "done"
	quarantined = "quarantined"
	dismissed   = "dismissed"
)

func eventRow(e channel.Event, raw []byte) row {
	r := row{id: db.NewID(), key: db.Text(e.Key), sender: e.Sender.Value, typ: string(e.Type), state: pending}
	if e.Key == "" {
		r.key = channel.HashKey("event", string(raw), string(e.Type), e.Sender.Value)
	}
	b, err := json.Marshal(e)
	if err != nil {
		r.state, r.err, b = quarantined, "the event cannot be written as JSON: "+err.Error(), []byte(`{"type":"unparsed"}`)
	}
	r.event = string(b)
	if e.Type == channel.UnparsedEvent {
		r.state, r.err = quarantined, e.Error
	}
	return r
}

// Run stores and processes until ctx ends. It is called once.
func (i *Intake) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	defer close(i.stopped)
	work.Go(func() { i.process(ctx) })
	work.Go(func() { i.files.run(ctx, i.Log, "media could not be fetched; trying again", i.mediaOnce) })
	work.Go(func() { i.senders.run(ctx, i.Log, "senders could not be judged; trying again", i.assessOnce) })
	for {
		var batch []*request
		select {
		case <-ctx.Done():
			for { // nobody may wait for ever
				select {
				case r := <-i.queue:
					r.err = fmt.Errorf("%w: shutting down", db.ErrUnavailable)
					close(r.done)
				default:
					return nil
				}
			}
		case r := <-i.queue:
			batch = append(batch, r)
		}
	more:
		for len(batch) < batchMax {
			select {
			case r := <-i.queue:
				batch = append(batch, r)
			default:
				break more
			}
		}
		byOrg := map[string][]*request{}
		for _, r := range batch {
			byOrg[r.acct.Org] = append(byOrg[r.acct.Org], r)
		}
		for org, rs := range byOrg {
			i.storeAll(context.WithoutCancel(ctx), org, rs)
		}
	}
}

// storeAll stores requests together; should one of them be the reason why that fails, each is stored by itself, so that
// it harms nobody else.
func (i *Intake) storeAll(ctx context.Context, org string, rs []*request) {
	err := i.store(ctx, org, rs)
	if err != nil && len(rs) > 1 && !errors.Is(err, db.ErrUnavailable) {
		for _, r := range rs {
			i.storeAll(ctx, org, []*request{r})
		}
		return
	}
	for _, r := range rs {
		r.err = err
		close(r.done)
	}
}

// store keeps a batch of requests of one organisation in one transaction.
func (i *Intake) store(ctx context.Context, org string, rs []*request) error {
	err := i.DB.Org(org).Write(ctx, func(tx *db.Tx) error {
		type counter struct{ fresh, again int }
		counts := map[string]*counter{}
		all := make([][]any, 0, len(rs))
		owner := make(map[string]*request, len(rs))
		for _, r := range rs {
			r.fresh = 0
			if counts[r.acct.ID] == nil {
				counts[r.acct.ID] = &counter{}
			}
			counts[r.acct.ID].again += len(r.events)
			for _, e := range r.events {
				owner[e.id] = r
				all = append(all, []any{e.id, r.acct.ID, e.key, r.rawID, e.sender, e.typ, e.event, e.state, e.err, r.now.UnixMicro()})
			}
		}
		// The key decides which are new; a second one with the same key changes nothing.
		err := insertMany(ctx, tx, `INSERT INTO intake_event (org, id, channel, key, raw, sender, type, event, state, error, at, attempts, next_at) VALUES `, `,0,0`,
			` ON CONFLICT (org, channel, key) DO NOTHING RETURNING id`, all, func(id string) {
				r := owner[id]
				r.fresh++
				counts[r.acct.ID].fresh++
				counts[r.acct.ID].again--
			})
		if err != nil {
			return fmt.Errorf("store events: %w", err)
		}
		raws := make([][]any, 0, len(rs))
		work, last := false, time.Time{}
		for _, r := range rs {
			if r.fresh > 0 {
				body := r.in.Raw
				if r.blob != "" {
					body = nil
				}
				raws = append(raws, []any{r.rawID, r.acct.ID, r.now.UnixMicro(), r.in.Type, int64(len(r.in.Raw)), body, r.blob})
				for _, e := range r.events {
					work = work || e.state == quarantined
				}
			}
			if r.in.Cursor != "" {
				if err := account.SetCursor(ctx, tx, r.acct.ID, r.in.Cursor); err != nil {
					return err
				}
			}
			if r.now.After(last) {
				last = r.now
			}
		}
		if err := insertMany(ctx, tx, `INSERT INTO intake_raw (org, id, channel, at, type, size, body, blob) VALUES `, ``, ``, raws, nil); err != nil {
			return fmt.Errorf("store raw bodies: %w", err)
		}
		for ch, c := range counts {
			if c.fresh+c.again == 0 {
				continue
			}
			_, err := tx.Exec(ctx, `INSERT INTO intake_count (org, channel, node, received, duplicates, trimmed, last_at) VALUES ($1,$2,$3,$4,$5,0,$6)
				ON CONFLICT (org, channel, node) DO UPDATE SET received = intake_count.received + excluded.received, duplicates = intake_count.duplicates + excluded.duplicates, last_at = excluded.last_at`,
				ch, i.Node, c.fresh, c.again, last.UnixMicro())
			if err != nil {
				return fmt.Errorf("count what was received: %w", err)
			}
		}
		if work {
			tx.Emit("work_item", "", nil)
		}
		tx.OnCommit(i.Wake)
		return nil
	})
	if err != nil {
		return fmt.Errorf("store what was received: %w", err)
	}
	return nil
}

// insertMany inserts rows in chunks whose sizes are powers of two, so that few statements need preparing. tail is
// appended to every row's values; returned is called with what RETURNING gives.
func insertMany(ctx context.Context, tx *db.Tx, head, tail, end string, rows [][]any, returned func(string)) error {
	for len(rows) > 0 {
		n := 64
		for n > len(rows) {
			n /= 2
		}
		var b strings.Builder
		b.WriteString(head)
		args := make([]any, 0, n*len(rows[0]))
		for k, r := range rows[:n] {
			if k > 0 {
				b.WriteByte(',')
			}
			b.WriteString("($1")
			for _, v := range r {
				args = append(args, v)
				fmt.Fprintf(&b, ",$%d", len(args)+1)
			}
			b.WriteString(tail)
			b.WriteByte(')')
		}
		b.WriteString(end)
		rows = rows[n:]
		if returned == nil {
			if _, err := tx.Exec(ctx, b.String(), args...); err != nil {
				return err
			}
			continue
		}
		res, err := tx.Query(ctx, b.String(), args...)
		err = db.Each(res, err, func() error {
			var id string
			if err := res.Scan(&id); err != nil {
				return err
			}
			returned(id)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Wake makes the processor look for pending events now.
func (i *Intake) Wake() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// Raw reads a stored raw body and its media type.
func (i *Intake) Raw(ctx context.Context, o db.Org, id string) (body []byte, typ string, err error) {
	var sum string
	if err := o.Row(ctx, `SELECT type, body, blob FROM intake_raw WHERE org = $1 AND id = $2`, id).Scan(&typ, &body, &sum); err != nil {
		return nil, "", fmt.Errorf("read raw body %s: %w", id, err)
	}
	if sum == "" {
		return body, typ, nil
	}
	f, err := i.Blobs.Get(sum)
	if err != nil {
		return nil, "", err
	}
	body, err = io.ReadAll(f)
	return body, typ, errors.Join(err, f.Close())
}

// Balance is a channel's account of what came in: Received = Processed + Quarantined + Pending, at any moment.
type Balance struct {
	Org, Channel, Name                        string
	Received, Processed, Quarantined, Pending int64
	Duplicates                                int64
}

// OK reports whether it adds up.
func (b Balance) OK() bool { return b.Received == b.Processed+b.Quarantined+b.Pending }

// Balances reads the account of every channel of an organisation in one snapshot.
func Balances(ctx context.Context, o db.Org) ([]Balance, error) {
	out := map[string]*Balance{}
	at := func(ch string) *Balance {
		if out[ch] == nil {
			out[ch] = &Balance{Org: o.ID, Channel: ch}
		}
		return out[ch]
	}
	rows, err := o.Query(ctx, `SELECT channel, 'count', CAST(SUM(received) AS BIGINT), CAST(SUM(duplicates) AS BIGINT), CAST(SUM(trimmed) AS BIGINT) FROM intake_count WHERE org = $1 GROUP BY channel
		UNION ALL SELECT channel, state, COUNT(*), 0, 0 FROM intake_event WHERE org = $1 GROUP BY channel, state
		UNION ALL SELECT id, 'name ' || name, 0, 0, 0 FROM channel WHERE org = $1`)
	err = db.Each(rows, err, func() error {
		var ch, what string
		var n, again, trimmed int64
		if err := rows.Scan(&ch, &what, &n, &again, &trimmed); err != nil {
			return err
		}
		b := at(ch)
		switch what {
		case "count":
			b.Received, b.Duplicates = n, again
			b.Processed += trimmed
		case done, dismissed:
			b.Processed += n
		case quarantined:
			b.Quarantined += n
		case pending:
			b.Pending += n
		default:
			b.Name = strings.TrimPrefix(what, "name ")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("balance: %w", err)
	}
	list := make([]Balance, 0, len(out))
	for _, b := range out {
		list = append(list, *b)
	}
	slices.SortFunc(list, func(a, b Balance) int { return strings.Compare(a.Channel, b.Channel) })
	return list, nil
}

// LastInbound gives, by channel, when something last came in.
func LastInbound(ctx context.Context, o db.Org) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	rows, err := o.Query(ctx, `SELECT channel, MAX(last_at) FROM intake_count WHERE org = $1 GROUP BY channel`)
	err = db.Each(rows, err, func() error {
		var ch string
		var at int64
		if err := rows.Scan(&ch, &at); err != nil {
			return err
		}
		out[ch] = db.Time(at)
		return nil
	})
	return out, err
}

// Trim forgets events that were done more than 35 days before now (their keys are kept at least 30 days). It
// counts them, so that the balance still adds up. Raw bodies stay: how long is a matter of retention.
func (i *Intake) Trim(ctx context.Context, o db.Org, now time.Time) error {
	before := now.Add(-35 * 24 * time.Hour).UnixMicro()
	for {
		n := 0
		err := o.WriteBehind(ctx, func(tx *db.Tx) error {
			n = 0
			counts := map[string]int64{}
			rows, err := tx.Query(ctx, `DELETE FROM intake_event WHERE org = $1 AND id IN (SELECT id FROM intake_event WHERE org = $1 AND at < $2 AND state IN ('done', 'dismissed') ORDER BY id LIMIT 500) RETURNING channel`, before)
			err = db.Each(rows, err, func() error {
				var ch string
				err := rows.Scan(&ch)
				counts[ch]++
				n++
				return err
			})
			if err != nil {
				return err
			}
			for ch, c := range counts {
				if _, err := tx.Exec(ctx, `INSERT INTO intake_count (org, channel, node, received, duplicates, trimmed, last_at) VALUES ($1,$2,$3,0,0,$4,0)
					ON CONFLICT (org, channel, node) DO UPDATE SET trimmed = intake_count.trimmed + excluded.trimmed`, ch, i.Node, c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("trim what was received: %w", err)
		}
		if n < 500 {
			return nil
		}
	}
}

// UsedBlobs tells which of these files raw bodies refer to.
func UsedBlobs(ctx context.Context, o db.Org, sums []string) (map[string]bool, error) {
	out := map[string]bool{}
	list, args := db.In(2, sums)
	rows, err := o.Query(ctx, `SELECT DISTINCT blob FROM intake_raw WHERE org = $1 AND blob IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var s string
		err := rows.Scan(&s)
		out[s] = true
		return err
	})
	return out, err
}
