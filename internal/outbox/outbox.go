// Package outbox is in charge of everything that leaves the house: one outbound message is one state machine
// (queued → sending → sent → delivered → read, or failed, or uncertain), kept in order per conversation and address,
// recovered after a crash. An uncertain delivery is never sent again by itself. It does not choose channels (reach)
// and does not speak protocols (channel drivers).
package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
)

// Errors that callers tell apart.
var (
	ErrNotFound    = errors.New("no such delivery")
	ErrAlreadySent = errors.New("already sent")
	ErrLoop        = errors.New("an automatic answer would answer a machine, or would be the second within 24 hours")
	ErrState       = errors.New("this delivery needs nobody's decision")
)

const (
	sendTimeout = 30 * time.Second
	lease       = 45 * time.Second // longer than sendTimeout: whoever outlives it is dead
	holdOrder   = 5 * time.Minute  // a retry holds its successors so long
	giveUpAfter = 24 * time.Hour
	perAccount  = 128 // sends under way at once
	dueMax      = 500 // found at once
)

// Delivery is the fate of one outbound message.
type Delivery struct {
	ID           string
	Message      string
	Conversation string
	Channel      string
	ChannelKind  channel.Kind
	Address      string
	State        channel.State
	Attempts     int64
	NextAt       time.Time
	HoldUntil    time.Time // until then the author can take it back
	ExternalID   string
	Code         string       // the provider's code
	Error        string       // technical
	Reason       channel.Text // in plain words
	Handled      bool         // a person has dealt with the failure
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

const columns = `id, message, conversation, channel, channel_kind, address, state, attempts, next_at, hold_until, external_id, code, error, reason, handled, created_at, updated_at`

func scan(rows *db.Rows) (Delivery, error) {
	var d Delivery
	var kind, state, reason string
	var next, hold, handled, created, updated int64
	err := rows.Scan(&d.ID, &d.Message, &d.Conversation, &d.Channel, &kind, &d.Address, &state, &d.Attempts, &next, &hold, &d.ExternalID, &d.Code, &d.Error, &reason, &handled, &created, &updated)
	d.ChannelKind, d.State, d.Handled = channel.Kind(kind), channel.State(state), handled == 1
	d.NextAt, d.HoldUntil, d.CreatedAt, d.UpdatedAt = db.Time(next), db.Time(hold), db.Time(created), db.Time(updated)
	if reason != "" && err == nil {
		err = json.Unmarshal([]byte(reason), &d.Reason)
	}
	return d, err
}

func one(ctx context.Context, q db.Querier, where string, args ...any) (Delivery, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM delivery WHERE org = $1 AND `+where, args...)
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return Delivery{}, cmp.Or(rows.Err(), ErrNotFound)
	}
	return scan(rows)
}

// Get reads one delivery.
func Get(ctx context.Context, q db.Querier, id string) (Delivery, error) {
	return one(ctx, q, `id = $2`, id)
}

// ByMessages reads the deliveries of messages in one go.
func ByMessages(ctx context.Context, q db.Querier, messages []string) (map[string]Delivery, error) {
	out := map[string]Delivery{}
	if len(messages) == 0 {
		return out, nil
	}
	list, args := db.In(2, messages)
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM delivery WHERE org = $1 AND message IN `+list, args...)
	err = db.Each(rows, err, func() error {
		d, err := scan(rows)
		out[d.Message] = d
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return out, nil
}

// Unreached gives the addresses that deliveries of a conversation could not reach since then.
func Unreached(ctx context.Context, q db.Querier, conversation string, since time.Time) (map[string]bool, error) {
	out := map[string]bool{}
	rows, err := q.Query(ctx, `SELECT DISTINCT address FROM delivery WHERE org = $1 AND conversation = $2 AND state = 'failed' AND updated_at > $3`, conversation, db.Micro(since))
	err = db.Each(rows, err, func() error {
		var a string
		err := rows.Scan(&a)
		out[a] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find unreached addresses: %w", err)
	}
	return out, nil
}

// Troubled lists deliveries in a state that a person has not dealt with, newest first.
func Troubled(ctx context.Context, o db.Org, state channel.State, after string, limit int) ([]Delivery, error) {
	if after == "" {
		after = "~"
	}
	var out []Delivery
	literal := "'uncertain'" // as a literal, so that the partial index fits
	if state == channel.Failed {
		literal = "'failed'"
	}
	rows, err := o.Query(ctx, `SELECT `+columns+` FROM delivery WHERE org = $1 AND state = `+literal+` AND handled = 0 AND id < $2 ORDER BY id DESC LIMIT $3`, after, limit)
	err = db.Each(rows, err, func() error {
		d, err := scan(rows)
		out = append(out, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return out, nil
}

// CountUncertain is how many deliveries wait for a person's decision.
func CountUncertain(ctx context.Context, o db.Org) (n int64, err error) {
	err = o.Row(ctx, `SELECT COUNT(*) FROM delivery WHERE org = $1 AND state = 'uncertain' AND handled = 0`).Scan(&n)
	return n, err
}

// Outbox sends what is due.
type Outbox struct {
	db       *db.DB
	accounts *account.Accounts
	blobs    *blob.Store
	env      func(channel.Account) channel.Env
	now      func() time.Time
	log      *slog.Logger
	node     string
	wake     chan struct{} // something was queued
	freed    chan struct{} // a send has ended

	mu       sync.Mutex
	latest   time.Time            // the latest time that was seen; of Run alone
	thorough time.Time            // when the whole queue was looked at; of Run alone
	ready    []due                // found due, waiting for room in their channel; of Run alone
	inflight map[string]struct{}  // delivery ids that this process has taken up
	running  map[string]int       // sends under way by channel
	paused   map[string]pause     // channels whose provider told us to wait
	nextAcct map[string]time.Time // pace by channel, on the monotonic clock
	nextAddr map[[2]string]span   // pace by channel and address, on the monotonic clock
	asked    map[string]question  // uncertain deliveries that their providers were asked about
	sends    sync.WaitGroup
	onResult func(state channel.State) // metrics

	// Unreachable is told, in the same transaction, that a message certainly cannot reach its address on this channel: the
	// customer has left, is not there, or free words are closed. Whoever can say it elsewhere does so and returns true;
	// then nobody has to deal with the failure. nil = a person does.
	Unreachable func(ctx context.Context, tx *db.Tx, d Delivery, class channel.Class) (said bool, err error)
}

// pause is a time in which a channel does not send.
type pause struct{ from, until time.Time }

// New makes an Outbox. node names this process: what it had under way is recovered when it starts again.
func New(d *db.DB, accounts *account.Accounts, blobs *blob.Store, env func(channel.Account) channel.Env, now func() time.Time, node string, log *slog.Logger) *Outbox {
	return &Outbox{db: d, accounts: accounts, blobs: blobs, env: env, now: now, log: log, node: node, wake: make(chan struct{}, 1), freed: make(chan struct{}, 1),
		inflight: map[string]struct{}{}, running: map[string]int{}, paused: map[string]pause{}, nextAcct: map[string]time.Time{}, nextAddr: map[[2]string]span{}, onResult: func(channel.State) {}}
}

// OnResult sets a function that is told the state after each attempt.
func (o *Outbox) OnResult(fn func(channel.State)) { o.onResult = fn }

// Wake makes Run look for due deliveries now.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Request is a message to be sent.
type Request struct {
	Conversation string
	Out          conversation.Out
	Hold         time.Duration // the author can take it back so long
	SendAt       time.Time     // not before
	// Asked means that whoever gets it has just asked for it: it answers no message, so that the rules about automatic
	// answers do not keep it back. The caller has a limit of its own.
	Asked bool
	// Offer is what the message offers to press beside its text; nil = nothing.
	Offer *Offer
}

// Offer is what a message offers to press: native choices, or fields where the medium has them.
type Offer struct {
	Choices []channel.Choice `json:"choices,omitempty"`
	Menu    string           `json:"menu,omitempty"` // not "": the choices are rows of a list behind a button with this label
	Form    json.RawMessage  `json:"form,omitempty"`
	// Template is sent instead of the message's text, which says the same in words.
	Template *channel.TemplateUse `json:"template,omitempty"`
}

// Offers reads what messages offered, in one go; those without are left out.
func Offers(ctx context.Context, q db.Querier, messages []string) (map[string]Offer, error) {
	out := map[string]Offer{}
	if len(messages) == 0 {
		return out, nil
	}
	list, args := db.In(2, messages)
	rows, err := q.Query(ctx, `SELECT message, body FROM delivery_choice WHERE org = $1 AND message IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var id, body string
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		var f Offer
		err := json.Unmarshal([]byte(body), &f)
		out[id] = f
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what messages offer: %w", err)
	}
	return out, nil
}

// Send appends the message to its conversation and queues its delivery, in the caller's transaction. The same client
// id again gives the earlier message and delivery.
func (o *Outbox) Send(ctx context.Context, tx *db.Tx, r Request) (conversation.Message, Delivery, error) {
	now := o.now()
	if r.Out.Automatic && !r.Asked {
		if err := mayAnswerAutomatically(ctx, tx, r, now); err != nil {
			return conversation.Message{}, Delivery{}, err
		}
	}
	m, again, err := conversation.Append(ctx, tx, r.Conversation, r.Out, now)
	if err != nil {
		return m, Delivery{}, err
	}
	if again {
		d, err := one(ctx, tx, `message = $2`, m.ID)
		return m, d, err
	}
	d := Delivery{ID: db.NewID(), Message: m.ID, Conversation: m.Conversation, Channel: m.Channel, ChannelKind: m.ChannelKind, Address: m.Address, State: channel.Queued, CreatedAt: now, UpdatedAt: now, NextAt: now}
	if r.Hold > 0 {
		d.HoldUntil, d.NextAt = now.Add(r.Hold), now.Add(r.Hold)
	}
	if r.SendAt.After(d.NextAt) {
		d.HoldUntil, d.NextAt = r.SendAt, r.SendAt
	}
	_, err = tx.Exec(ctx, `INSERT INTO delivery (org, `+columns+`, node, lease_until, automatic) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,0,$9,$10,'','','','',0,$11,$11,'',0,$12)`,
		d.ID, d.Message, d.Conversation, d.Channel, string(d.ChannelKind), d.Address, string(d.State), db.Micro(d.NextAt), db.Micro(d.HoldUntil), db.Micro(now), db.Bool(r.Out.Automatic))
	if err != nil {
		return m, d, fmt.Errorf("queue delivery: %w", err)
	}
	if r.Offer != nil {
		b, err := json.Marshal(r.Offer)
		if err != nil {
			return m, d, fmt.Errorf("store what a message offers: %w", err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO delivery_choice (org, message, body) VALUES ($1,$2,$3)`, m.ID, string(b)); err != nil {
			return m, d, fmt.Errorf("store what a message offers: %w", err)
		}
	}
	tx.OnCommit(o.Wake)
	return m, d, nil
}

// mayAnswerAutomatically keeps machines from talking to each other: no automatic answer to an automatic message
// (RFC 3834 §2), and at most one to the same address within 24 hours.
func mayAnswerAutomatically(ctx context.Context, tx *db.Tx, r Request, now time.Time) error {
	if err := tx.Lock(ctx, "automatic answer "+r.Out.Address); err != nil { // of two at once only one
		return err
	}
	_, last, err := conversation.Thread(ctx, tx, r.Conversation, r.Out.Address, r.Out.Channel.Kind)
	if err != nil {
		return err
	}
	if last.Automatic {
		return ErrLoop
	}
	var n int64
	err = tx.Row(ctx, `SELECT COUNT(*) FROM delivery WHERE org = $1 AND address = $2 AND automatic = 1 AND created_at > $3`, r.Out.Address, now.Add(-24*time.Hour).UnixMicro()).Scan(&n)
	if err != nil {
		return fmt.Errorf("look for earlier automatic answers: %w", err)
	}
	if n > 0 {
		return ErrLoop
	}
	return nil
}

// Cancel takes a message back that has not been tried yet, and returns it with its files.
func Cancel(ctx context.Context, tx *db.Tx, message string) (conversation.Message, []conversation.Attachment, error) {
	n, err := tx.Exec(ctx, `DELETE FROM delivery WHERE org = $1 AND message = $2 AND state = 'queued' AND attempts = 0`, message)
	if err != nil {
		return conversation.Message{}, nil, fmt.Errorf("take delivery back: %w", err)
	}
	if n == 0 {
		if _, err := conversation.MessageByID(ctx, tx, message); err != nil {
			return conversation.Message{}, nil, err
		}
		return conversation.Message{}, nil, ErrAlreadySent
	}
	return conversation.Remove(ctx, tx, message)
}

// Resolve is a person's decision about a failed or uncertain delivery: "sent" (it arrived), "failed" (leave it),
// "resend" (send it again under the same key).
func (o *Outbox) Resolve(ctx context.Context, tx *db.Tx, id, as string) (Delivery, error) {
	d, err := one(ctx, tx, `id = $2`+tx.ForUpdate(), id)
	if err != nil {
		return d, err
	}
	if (d.State != channel.Failed && d.State != channel.Uncertain) || (d.Handled && as != "resend") {
		return d, ErrState
	}
	wasOpen := !d.Handled
	d.Handled, d.UpdatedAt = true, o.now()
	switch as {
	case "sent":
		d.State = channel.Sent
	case "failed":
		d.State = channel.Failed
	case "resend":
		// Its attempts stay counted: what may have arrived cannot be taken back. Its day begins anew.
		d.State, d.Handled, d.NextAt, d.CreatedAt, d.Error, d.Code, d.Reason = channel.Queued, false, d.UpdatedAt, d.UpdatedAt, "", "", channel.Text{}
		if _, err := tx.Exec(ctx, `UPDATE delivery SET created_at = $3 WHERE org = $1 AND id = $2`, d.ID, db.Micro(d.CreatedAt)); err != nil {
			return d, fmt.Errorf("restart delivery: %w", err)
		}
		tx.OnCommit(o.Wake)
	default:
		return d, fmt.Errorf("there is no decision %q; possible are sent, failed, resend", as)
	}
	if err := store(ctx, tx, d); err != nil {
		return d, err
	}
	if wasOpen {
		return d, conversation.Trouble(ctx, tx, d.Conversation, -1)
	}
	return d, nil
}

// store writes what may change of a delivery and tells the feed.
func store(ctx context.Context, tx *db.Tx, d Delivery) error {
	reason := ""
	if d.Reason != (channel.Text{}) {
		b, err := json.Marshal(d.Reason)
		if err != nil {
			return err
		}
		reason = string(b)
	}
	_, err := tx.Exec(ctx, `UPDATE delivery SET state = $3, attempts = $4, next_at = $5, external_id = $6, code = $7, error = $8, reason = $9, handled = $10, updated_at = $11 WHERE org = $1 AND id = $2`,
		d.ID, string(d.State), d.Attempts, db.Micro(d.NextAt), d.ExternalID, d.Code, d.Error, reason, db.Bool(d.Handled), db.Micro(d.UpdatedAt))
	if err != nil {
		return fmt.Errorf("store delivery %s: %w", d.ID, err)
	}
	tell(tx, d)
	return nil
}

// tell puts a delivery's state into the feed.
func tell(tx *db.Tx, d Delivery) {
	tx.Emit("delivery", d.ID, map[string]string{"message_id": d.Message, "conversation_id": d.Conversation, "state": string(d.State)})
}

// rank orders states: a status only moves a delivery forward. Failed lies before delivered: what was delivered has not
// failed, in whichever order the two reports come.
func rank(s channel.State) int {
	switch s {
	case channel.Queued:
		return 0
	case channel.Sending:
		return 1
	case channel.Uncertain:
		return 2
	case channel.Sent:
		return 3
	case channel.Failed:
		return 4
	case channel.Delivered:
		return 5
	case channel.Read:
		return 6
	}
	return -1
}

// Apply brings a provider's status to the delivery that it is about. known is false if there is no such delivery
// (yet: the status may overtake our own note of the send).
func Apply(ctx context.Context, tx *db.Tx, ch string, s channel.Status, now time.Time) (known bool, err error) {
	d, err := find(ctx, tx, ch, s)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if rank(s.State) <= rank(d.State) || s.State == channel.Queued || s.State == channel.Sending || s.State == channel.Uncertain {
		return true, nil
	}
	wasOpen := (d.State == channel.Failed || d.State == channel.Uncertain) && !d.Handled
	d.State, d.UpdatedAt = s.State, now
	if s.ExternalID != "" && d.ExternalID == "" {
		d.ExternalID = s.ExternalID
		if err := conversation.SetExternalID(ctx, tx, d.Message, s.ExternalID); err != nil {
			return true, err
		}
	}
	var delta int64
	if s.State == channel.Failed {
		d.Error, d.Handled = s.Error, false
		d.Code, d.Reason = s.Code, s.Reason
		if d.Reason == (channel.Text{}) {
			d.Reason = channel.Text{DE: "Der Anbieter konnte die Nachricht nicht zustellen.", EN: "The provider could not deliver the message."}
		}
		delta = 1
	} else {
		d.Error, d.Code, d.Reason = "", "", channel.Text{}
	}
	if wasOpen {
		delta--
	}
	if err := store(ctx, tx, d); err != nil {
		return true, err
	}
	if delta != 0 {
		return true, conversation.Trouble(ctx, tx, d.Conversation, delta)
	}
	return true, nil
}

func find(ctx context.Context, tx *db.Tx, ch string, s channel.Status) (Delivery, error) {
	lock := tx.ForUpdate()
	if s.DeliveryID != "" {
		return one(ctx, tx, `id = $2 AND channel = $3`+lock, s.DeliveryID, ch)
	}
	if s.ExternalID == "" {
		return Delivery{}, ErrNotFound
	}
	d, err := one(ctx, tx, `channel = $2 AND external_id = $3 AND external_id <> ''`+lock, ch, s.ExternalID)
	if !errors.Is(err, ErrNotFound) {
		return d, err
	}
	return one(ctx, tx, `id = (SELECT delivery FROM delivery_part WHERE org = $1 AND channel = $2 AND external_id = $3)`+lock, ch, s.ExternalID)
}

// Moved takes the deliveries of messages along that went to another conversation (joined or split).
func Moved(ctx context.Context, tx *db.Tx, messages []string, to string) error {
	for chunk := range slices.Chunk(messages, 500) {
		list, args := db.In(3, chunk)
		if _, err := tx.Exec(ctx, `UPDATE delivery SET conversation = $2 WHERE org = $1 AND message IN `+list, append([]any{to}, args...)...); err != nil {
			return fmt.Errorf("move deliveries: %w", err)
		}
	}
	return nil
}

// ReadUpTo marks what was sent to an address up to the message as read.
func ReadUpTo(ctx context.Context, tx *db.Tx, m conversation.Message, now time.Time) error {
	rows, err := tx.Query(ctx, `SELECT d.id FROM delivery d JOIN message m ON m.org = d.org AND m.id = d.message
		WHERE d.org = $1 AND d.conversation = $2 AND d.address = $3 AND m.pos <= $4 AND d.state IN ('sent', 'delivered')`, m.Conversation, m.Address, m.Pos)
	return read(ctx, tx, rows, err, now)
}

// ReadUntil marks what went to an address by a channel until then as read, for providers that tell no more. Only the
// last two weeks are looked at: nobody reads further back for the first time.
func ReadUntil(ctx context.Context, tx *db.Tx, ch, address string, until, now time.Time) error {
	rows, err := tx.Query(ctx, `SELECT id FROM delivery WHERE org = $1 AND channel = $2 AND address = $3 AND created_at <= $4 AND created_at > $5 AND state IN ('sent', 'delivered')`,
		ch, address, db.Micro(until), db.Micro(until.Add(-14*24*time.Hour)))
	return read(ctx, tx, rows, err, now)
}

func read(ctx context.Context, tx *db.Tx, rows *db.Rows, err error, now time.Time) error {
	var ids []string
	err = db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("find what was read: %w", err)
	}
	for _, id := range ids {
		d, err := one(ctx, tx, `id = $2`+tx.ForUpdate(), id)
		if err != nil {
			return err
		}
		d.State, d.UpdatedAt = channel.Read, now
		if err := store(ctx, tx, d); err != nil {
			return err
		}
	}
	return nil
}

// Run sends what is due until ctx ends, then waits for the sends under way (at most 10 s; what is left is recovered at
// the next start).
func (o *Outbox) Run(ctx context.Context) error {
	if err := o.recover(ctx, true); err != nil {
		if ctx.Err() != nil { // told to stop before it had begun
			return nil
		}
		return err
	}
	sweep := time.NewTicker(10 * time.Second)
	defer sweep.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			done := make(chan struct{})
			go func() { o.sends.Wait(); close(done) }()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
			}
			return nil
		case <-sweep.C:
			if err := o.recover(ctx, false); err != nil && ctx.Err() == nil {
				o.log.Error("deliveries could not be recovered; trying again", "error", err)
			}
			if err := o.reconcile(ctx); err != nil && ctx.Err() == nil {
				o.log.Error("uncertain deliveries could not be asked about; trying again", "error", err)
			}
		case <-o.wake:
		case <-timer.C:
		case <-o.freed:
			if o.startReady(ctx) > 0 { // of what was found before; only then it is worth looking for more
				continue
			}
		}
		wait, err := o.dispatch(ctx)
		if err != nil && ctx.Err() == nil {
			o.log.Error("outbox could not look for due deliveries; trying again", "error", err)
			wait = time.Second
		}
		timer.Reset(wait)
	}
}

// recover takes up what somebody had under way who is no more: this node before it restarted, or any node whose lease
// has ended. Where the provider has an idempotency key it is sent again; elsewhere nobody knows: uncertain.
func (o *Outbox) recover(ctx context.Context, start bool) error {
	type stuck struct{ org, id string }
	var found []stuck
	now := o.now()
	node := o.node
	if !start {
		node = "-"
	}
	rows, err := o.db.Global(ctx, db.LookupDue, `SELECT org, id FROM delivery WHERE state = 'sending' AND (lease_until < $1 OR node = $2)`, now.UnixMicro(), node)
	err = db.Each(rows, err, func() error {
		var s stuck
		err := rows.Scan(&s.org, &s.id)
		found = append(found, s)
		return err
	})
	if err != nil {
		return fmt.Errorf("find interrupted deliveries: %w", err)
	}
	for _, s := range found {
		if o.taken(s.id) {
			continue // ours, still under way
		}
		err := o.db.Org(s.org).Write(ctx, func(tx *db.Tx) error {
			d, err := one(ctx, tx, `id = $2`+tx.ForUpdate(), s.id)
			if err != nil || d.State != channel.Sending {
				return err
			}
			d.UpdatedAt = now
			if o.idempotent(s.org, d) {
				d.State, d.NextAt = channel.Queued, now
				tx.OnCommit(o.Wake)
				return store(ctx, tx, d)
			}
			d.State = channel.Uncertain
			d.Reason = channel.Text{
				DE: "Rufweite wurde während des Sendens unterbrochen. Vielleicht ist die Nachricht angekommen, vielleicht nicht.",
				EN: "Rufweite was interrupted while sending. The message may have arrived, or not.",
			}
			if err := store(ctx, tx, d); err != nil {
				return err
			}
			return conversation.Trouble(ctx, tx, d.Conversation, 1)
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("recover delivery %s: %w", s.id, err)
		}
	}
	return nil
}

// idempotent reports whether the provider refuses a second send with the same key.
func (o *Outbox) idempotent(org string, d Delivery) bool {
	c, err := o.accounts.Get(org, d.Channel)
	return err == nil && o.accounts.Can(c.Account).Idempotent
}

func (o *Outbox) taken(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.inflight[id]
	return ok
}

type due struct{ org, id, channel, address string }

// holdMax is longer than any hold that is there for second thoughts, and shorter than a schedule.
const holdMax = time.Minute

// ready reports whether the delivery may be tried now. One that was touched in the future lies there because the clock
// was put back since: it does not wait for that time to come again, unless its author named the time.
func (d Delivery) ready(now time.Time) bool {
	return !d.NextAt.After(now) || (d.UpdatedAt.After(now) && d.HoldUntil.Before(d.UpdatedAt.Add(holdMax)))
}

// dispatch starts what is due and says when to look again.
func (o *Outbox) dispatch(ctx context.Context) (time.Duration, error) {
	now := o.now()
	var busy []string
	o.mu.Lock()
	for ch, n := range o.running {
		if n >= perAccount {
			busy = append(busy, ch)
		}
	}
	for ch, p := range o.paused {
		if now.Before(p.until) && !now.Before(p.from) { // before its beginning: the clock was put back
			busy = append(busy, ch)
		} else {
			delete(o.paused, ch)
		}
	}
	for k, v := range o.nextAddr {
		if time.Since(v.paid) > time.Minute {
			delete(o.nextAddr, k)
		}
	}
	o.mu.Unlock()
	list, args := db.In(5, busy)
	not := ""
	if len(busy) > 0 {
		not = " AND d.channel NOT IN " + list
	}
	var found []due
	// Due is what ready says. What lies before it in the same order holds it: one that is being sent; one that was not
	// tried yet, unless its author wants it sent later; one that is tried again, for five minutes from when it was due.
	// Asking for what a clock that was put back would hide reads the whole queue: only where it was, and now and then.
	dueBy := "d.next_at <= $1 AND d.next_at + $4 > 0"
	if now.Before(o.latest) || time.Since(o.thorough) > 10*time.Second {
		o.thorough = time.Now()
		dueBy = "(d.next_at <= $1 OR (d.updated_at > $1 AND d.hold_until < d.updated_at + $4))"
	}
	o.latest = maxTime(o.latest, now)
	rows, err := o.db.Global(ctx, db.LookupDue, `SELECT d.org, d.id, d.channel, d.address FROM delivery d WHERE d.state = 'queued' AND `+dueBy+not+`
		AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.org = d.org AND e.conversation = d.conversation AND e.address = d.address AND e.id < d.id
			AND (e.state = 'sending' OR (e.state = 'queued' AND ((e.attempts = 0 AND e.hold_until < $3) OR (e.attempts > 0 AND (e.created_at > $2 OR e.hold_until > $2))))))
		ORDER BY d.next_at, d.id LIMIT `+strconv.Itoa(dueMax), append([]any{now.UnixMicro(), now.Add(-holdOrder).UnixMicro(), now.Add(30 * time.Second).UnixMicro(), holdMax.Microseconds()}, args...)...)
	err = db.Each(rows, err, func() error {
		var d due
		err := rows.Scan(&d.org, &d.id, &d.channel, &d.address)
		found = append(found, d)
		return err
	})
	if err != nil {
		return 0, err
	}
	// What waits for room in a busy channel, which was not asked for, stays.
	o.ready = append(slices.DeleteFunc(o.ready, func(d due) bool { return !slices.Contains(busy, d.channel) }), found...)
	if o.startReady(ctx) == dueMax {
		return 0, nil
	}
	var next int64
	err = o.db.GlobalRow(ctx, db.LookupDue, `SELECT COALESCE(MIN(next_at), 0) FROM delivery WHERE state = 'queued' AND next_at > $1`, now.UnixMicro()).Scan(&next)
	if err != nil {
		return 0, err
	}
	wait := time.Second // other nodes queue without waking us; an earlier one in the same order may have ended
	if next > 0 {
		wait = min(wait, max(time.Millisecond, db.Time(next).Sub(now)))
	}
	return wait, nil
}

// startReady starts what was found, as far as there is room, and says how many. What waits for room stays.
func (o *Outbox) startReady(ctx context.Context) (started int) {
	now := o.now()
	o.ready = slices.DeleteFunc(o.ready, func(d due) bool {
		o.mu.Lock()
		_, taken := o.inflight[d.id]
		p, paused := o.paused[d.channel]
		o.mu.Unlock()
		if taken || paused && now.Before(p.until) && !now.Before(p.from) {
			return true // found again when its time has come
		}
		if o.start(ctx, d) {
			started++
			return true
		}
		return false
	})
	return started
}

// start takes a delivery up if its channel has room, and sends it when the provider's pace allows.
func (o *Outbox) start(ctx context.Context, d due) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.inflight[d.id]; ok || o.running[d.channel] >= perAccount {
		return false
	}
	at := time.Now() // pace is a matter of real time, whatever is done to the clock
	if acct, err := o.accounts.Get(d.org, d.channel); err == nil {
		at = o.slot(acct.Account, d.address)
	}
	o.inflight[d.id] = struct{}{}
	o.running[d.channel]++
	o.sends.Go(func() {
		defer func() {
			o.mu.Lock()
			delete(o.inflight, d.id)
			if o.running[d.channel]--; o.running[d.channel] <= 0 {
				delete(o.running, d.channel)
			}
			o.mu.Unlock()
			select {
			case o.freed <- struct{}{}:
			default:
			}
		}()
		if wait := time.Until(at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		if err := o.attempt(ctx, d); err != nil && ctx.Err() == nil {
			o.log.Error("delivery could not be tried; trying again", "delivery", d.id, "error", err)
			select { // the database is away: do not spin
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	})
	return true
}

// slot takes the next moment at which the provider's pace allows a request to that address. The caller holds mu.
func (o *Outbox) slot(a channel.Account, address string) time.Time {
	at := time.Now()
	d := o.accounts.Driver(a.Kind)
	var perAcct, perAddr time.Duration
	switch p := d.(type) {
	case channel.PacedBySettings:
		perAcct, perAddr = p.PaceOf(a.Settings)
	case channel.Paced:
		perAcct, perAddr = p.Pace()
	default:
		return at
	}
	burst := 1
	if l, ok := d.(channel.Lender); ok {
		burst = l.Burst()
	}
	at = maxTime(at, o.nextAcct[a.ID])
	key := [2]string{a.ID, address}
	v := o.nextAddr[key]
	if at.Before(v.paid) && (v.n >= burst || !at.Before(v.begin.Add(perAddr))) {
		at = v.paid
	}
	if !at.Before(v.paid) { // all is paid back
		v = span{begin: at, paid: at}
	}
	v.n++
	v.paid = v.paid.Add(perAddr)
	o.nextAddr[key] = v
	// Who waits for an address does not keep the others waiting: their turn is when it would have been.
	o.nextAcct[a.ID] = maxTime(o.nextAcct[a.ID], time.Now()).Add(perAcct)
	return at
}

// span is what went to one address since it owed nothing: n messages since begin, which are paid back at paid.
type span struct {
	begin, paid time.Time
	n           int
}

// pacer lets a driver wait between the requests that one message needs.
func (o *Outbox) pacer(a channel.Account, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		o.mu.Lock()
		at := o.slot(a, address)
		o.mu.Unlock()
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// attempt claims a delivery, sends it and records the outcome. Its error means that the outcome could not be recorded.
func (o *Outbox) attempt(ctx context.Context, w due) error {
	if ctx.Err() != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // once begun it is brought to its end
	org := o.db.Org(w.org)
	now := o.now()
	var out channel.Outgoing
	var acct account.Channel
	var claimed bool
	var refuse *channel.SendError
	// What there is to say is read before the claim, so that the one writer is not kept busy with it: only the state of
	// the delivery may have changed since, and the claim looks at that again.
	d, err := one(ctx, org, `id = $2`, w.id)
	if errors.Is(err, ErrNotFound) {
		return nil // taken back
	}
	if err == nil {
		acct, out, refuse, err = o.compose(ctx, org, d)
	}
	// A read may fail because the database was just away: what there is to say is then read again with the claim, whose
	// errors tell such a moment from what can never work.
	composed, refused := err == nil, refuse
	err = org.Write(ctx, func(tx *db.Tx) error {
		claimed, refuse = false, refused
		var err error
		d, err = one(ctx, tx, `id = $2`+tx.ForUpdate(), w.id)
		if errors.Is(err, ErrNotFound) || (err == nil && (d.State != channel.Queued || !d.ready(now))) {
			return nil // taken back, or another node was faster
		}
		if err != nil {
			return err
		}
		if !composed {
			if acct, out, refuse, err = o.compose(ctx, tx, d); err != nil {
				return err
			}
		}
		claimed = true
		if refuse == nil && o.accounts.Can(acct.Account).Subject {
			if out.ReplyToken, err = conversation.ReplyToken(ctx, tx, d.Conversation, d.Address, now); err != nil {
				return err
			}
		}
		d.State, d.Attempts, d.UpdatedAt = channel.Sending, d.Attempts+1, now
		if refuse == nil && d.ExternalID == "" {
			if d.ExternalID, refuse = o.identify(acct.Account, out); d.ExternalID != "" {
				if err := conversation.SetExternalID(ctx, tx, d.Message, d.ExternalID); err != nil {
					return err
				}
			}
		}
		if out.Subject != "" && refuse == nil {
			if err := conversation.SetSubject(ctx, tx, d.Message, out.Subject); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `UPDATE delivery SET state = $3, attempts = $4, external_id = $5, updated_at = $6, node = $7, lease_until = $8 WHERE org = $1 AND id = $2`,
			d.ID, string(d.State), d.Attempts, d.ExternalID, db.Micro(d.UpdatedAt), o.node, now.Add(lease).UnixMicro()); err != nil {
			return fmt.Errorf("claim delivery: %w", err)
		}
		tell(tx, d)
		return nil
	})
	if err != nil && !errors.Is(err, db.ErrUnavailable) {
		return errors.Join(err, o.abandon(ctx, org, w.id, err))
	}
	if err != nil || !claimed {
		return err
	}
	var receipt channel.Receipt
	var sendErr error
	if refuse != nil {
		sendErr = refuse
	} else {
		receipt, sendErr = o.send(ctx, acct.Account, d.Address, out)
	}
	for i := 0; ; i++ { // the outcome must not be forgotten because the database hiccups
		err := o.record(ctx, org, d, receipt, sendErr)
		if err == nil || i >= 20 {
			return err
		}
		time.Sleep(time.Duration(i+1) * 100 * time.Millisecond)
	}
}

// abandon fails a delivery that cannot even be prepared, so that a person learns of it and its successors go on.
func (o *Outbox) abandon(ctx context.Context, org db.Org, id string, why error) error {
	return org.Write(ctx, func(tx *db.Tx) error {
		d, err := one(ctx, tx, `id = $2`+tx.ForUpdate(), id)
		if errors.Is(err, ErrNotFound) || (err == nil && d.State != channel.Queued) {
			return nil
		}
		if err != nil {
			return err
		}
		d.State, d.UpdatedAt, d.Error = channel.Failed, o.now(), why.Error()
		d.Reason = channel.Text{DE: "Diese Nachricht ließ sich nicht zum Senden vorbereiten. Sie ging nicht hinaus.", EN: "This message could not be prepared for sending. It did not leave."}
		if err := store(ctx, tx, d); err != nil {
			return err
		}
		return conversation.Trouble(ctx, tx, d.Conversation, 1)
	})
}

// identify asks the driver for the id under which the message will be known, if it knows that beforehand.
func (o *Outbox) identify(a channel.Account, out channel.Outgoing) (id string, refuse *channel.SendError) {
	defer func() {
		if p := recover(); p != nil {
			id, refuse = "", &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("the driver crashed: %v", p), Reason: channel.Text{
				DE: "Diese Nachricht ließ sich nicht zum Senden vorbereiten. Sie ging nicht hinaus.", EN: "This message could not be prepared for sending. It did not leave."}}
		}
	}()
	if d, ok := o.accounts.Driver(a.Kind).(channel.Identifier); ok {
		id = d.ExternalID(a, out)
	}
	return id, nil
}

// send calls the driver under a time limit; a panic in it is an uncertain outcome.
func (o *Outbox) send(ctx context.Context, a channel.Account, address string, out channel.Outgoing) (r channel.Receipt, err error) {
	s, ok := o.accounts.Driver(a.Kind).(channel.Sender)
	if !ok {
		return r, &channel.SendError{Class: channel.Permanent, Reason: channel.Text{DE: "Dieser Kanal kann nicht senden.", EN: "This channel cannot send."}}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the driver crashed: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	env := o.env(a)
	env.Next = o.pacer(a, address)
	return s.Send(ctx, a, out, env)
}

// compose gathers what a driver needs, but for the reply token. refuse is set if the message must not or cannot be sent.
func (o *Outbox) compose(ctx context.Context, q db.Querier, d Delivery) (acct account.Channel, out channel.Outgoing, refuse *channel.SendError, err error) {
	m, err := conversation.MessageByID(ctx, q, d.Message)
	if err != nil {
		return acct, out, nil, fmt.Errorf("read message %s: %w", d.Message, err)
	}
	acct, err = o.accounts.Get(db.OrgOf(q), d.Channel)
	if err != nil || !acct.Enabled || o.accounts.Driver(acct.Kind) == nil {
		return acct, out, &channel.SendError{Class: channel.Permanent, Reason: channel.Text{
			DE: "Dieser Kanal wurde abgeschaltet oder gelöscht. Antworten Sie über einen anderen.", EN: "This channel was switched off or deleted. Answer by another one."}}, nil
	}
	addr, err := customer.AddressByID(ctx, q, d.Address)
	if errors.Is(err, customer.ErrNotFound) {
		return acct, out, &channel.SendError{Class: channel.Permanent, Reason: channel.Text{DE: "Diese Adresse wurde entfernt.", EN: "This address was removed."}}, nil
	}
	if err != nil {
		return acct, out, nil, err
	}
	if !addr.OptedOutAt.IsZero() {
		return acct, out, &channel.SendError{Class: channel.Blocked, Reason: channel.Text{
			DE: "Der Kunde hat diesen Kanal verlassen oder uns blockiert. Antworten Sie über einen anderen.", EN: "The customer has left this channel or blocked us. Answer by another one."}}, nil
	}
	thread, lastIn, err := conversation.Thread(ctx, q, m.Conversation, d.Address, acct.Kind)
	if err != nil {
		return acct, out, nil, err
	}
	out = channel.Outgoing{DeliveryID: d.ID, Author: m.Author, AuthorName: m.AuthorName, To: channel.Address{Value: addr.Value, Name: addr.Name}, Cc: m.Headers.Cc, Bcc: m.Headers.Bcc,
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Automatic: m.Automatic, At: m.At}
	for _, id := range thread {
		if id != m.ExternalID {
			out.References = append(out.References, id)
		}
	}
	caps := o.accounts.Can(acct.Account)
	switch {
	case m.ReplyTo != "":
		said, err := conversation.MessageByID(ctx, q, m.ReplyTo)
		if err != nil && !errors.Is(err, conversation.ErrNoSuch) {
			return acct, out, nil, err
		}
		switch {
		case !said.VisibleTo(m.Participant) || !said.DeletedAt.IsZero():
			// A note never leaves the house, nobody gets what was said to somebody else, and what the customer took back
			// is not said again.
		case said.ChannelKind == acct.Kind && said.Address == d.Address:
			out.ReplyTo = said.ExternalID
		default: // said elsewhere: quote it in words
			out.Text = quoteInWords(said) + out.Text
		}
	case caps.Subject: // mail threads by what it answers; in a chat an unasked quote would only disturb
		out.ReplyTo = lastIn.ExternalID
	}
	if caps.Subject {
		if out.Subject == "" {
			out.Subject = replySubject(lastIn.Subject)
		}
	}
	offers, err := Offers(ctx, q, []string{m.ID})
	if err != nil {
		return acct, out, nil, err
	}
	if f, ok := offers[m.ID]; ok {
		out.Choices, out.Menu, out.Form, out.Template = f.Choices, f.Menu, f.Form, f.Template
	}
	files, err := conversation.Attachments(ctx, q, []string{m.ID})
	if err != nil {
		return acct, out, nil, err
	}
	for _, f := range files[m.ID] {
		out.Attachments = append(out.Attachments, channel.File{Name: f.Name, MediaType: f.MediaType, Size: f.Size, Open: func() (io.ReadCloser, error) { return o.blobs.Get(f.Blob) }})
	}
	return acct, out, nil, nil
}

func quoteInWords(q conversation.Message) string {
	var b strings.Builder
	for line := range strings.Lines(q.Text) {
		b.WriteString("> " + strings.TrimRight(line, "\n") + "\n")
		if b.Len() > 500 {
			b.WriteString("> …\n")
			break
		}
	}
	return b.String() + "\n"
}

func replySubject(s string) string {
	if s == "" {
		return "Ihre Nachricht"
	}
	for _, p := range []string{"re:", "aw:"} {
		if strings.HasPrefix(strings.ToLower(s), p) {
			return s
		}
	}
	return "Re: " + s
}

// backoff is the wait before the next attempt after n of them: 2 s, 8 s, 32 s … at most 15 min.
func backoff(n int64) time.Duration {
	d := 2 * time.Second
	for i := int64(1); i < n && d < 15*time.Minute; i++ {
		d *= 4
	}
	return min(d, 15*time.Minute)
}

// record notes what came of an attempt.
func (o *Outbox) record(ctx context.Context, org db.Org, tried Delivery, receipt channel.Receipt, sendErr error) error {
	now := o.now()
	var final channel.State
	var se *channel.SendError
	if sendErr != nil && !errors.As(sendErr, &se) {
		se = &channel.SendError{Class: channel.Unknown, Err: sendErr}
	}
	if se != nil && se.Class == channel.Unknown {
		if o.idempotent(org.ID, tried) {
			se = &channel.SendError{Class: channel.Temporary, Code: se.Code, Reason: se.Reason, Err: se.Err} // the provider's key makes a second send harmless
		}
	}
	err := org.Write(ctx, func(tx *db.Tx) error {
		d, err := one(ctx, tx, `id = $2`+tx.ForUpdate(), tried.ID)
		if err != nil {
			return err
		}
		if receipt.ExternalID == "" && se != nil && se.Receipt != nil {
			receipt = *se.Receipt
		}
		if receipt.ExternalID != "" && receipt.ExternalID != d.ExternalID {
			d.ExternalID = receipt.ExternalID
			if err := conversation.SetExternalID(ctx, tx, d.Message, receipt.ExternalID); err != nil {
				return err
			}
		}
		for _, p := range receipt.Parts {
			if _, err := tx.Exec(ctx, `INSERT INTO delivery_part (org, channel, external_id, delivery) VALUES ($1,$2,$3,$4) ON CONFLICT (org, channel, external_id) DO NOTHING`, d.Channel, p, d.ID); err != nil {
				return fmt.Errorf("note a part of a delivery: %w", err)
			}
		}
		d.UpdatedAt = now
		var trouble int64
		state := channel.Sent
		if receipt.State != "" {
			state = receipt.State
		}
		switch {
		case se == nil && rank(d.State) >= rank(state): // a status was faster than our own note
		case se == nil: // even if another node gave it up meanwhile: we know better
			if d.State == channel.Uncertain && !d.Handled {
				trouble = -1
			}
			d.State, d.Error, d.Code, d.Reason = state, "", "", channel.Text{}
		case d.State != channel.Sending: // a status was faster, or the lease went to somebody else
		default:
			d.Code, d.Reason = se.Code, se.Reason
			d.Error = se.Error()
			switch se.Class {
			case channel.Temporary, channel.Misconfig:
				d.State, d.NextAt = channel.Queued, now.Add(max(backoff(d.Attempts), se.RetryAfter))
				if se.Class == channel.Misconfig {
					d.NextAt = now.Add(max(time.Minute, backoff(d.Attempts)))
				}
				if now.Sub(maxTime(d.CreatedAt, d.HoldUntil)) > giveUpAfter {
					d.State, trouble = channel.Failed, 1
				}
			case channel.RateLimited:
				d.State, d.NextAt, d.Attempts = channel.Queued, now.Add(max(se.RetryAfter, time.Second)), d.Attempts-1
			case channel.Unknown:
				d.State, trouble = channel.Uncertain, 1
				if d.Reason == (channel.Text{}) {
					d.Reason = channel.Text{DE: "Der Anbieter hat nicht geantwortet. Vielleicht ist die Nachricht angekommen, vielleicht nicht.", EN: "The provider did not answer. The message may have arrived, or not."}
				}
			default:
				d.State, trouble = channel.Failed, 1
				if o.Unreachable != nil && (se.Class == channel.NotHere || se.Class == channel.Blocked || se.Class == channel.WindowClosed) {
					said, err := o.Unreachable(ctx, tx, d, se.Class)
					if err != nil {
						return err
					}
					if said {
						d.Handled, trouble = true, 0
					}
				}
			}
		}
		final = d.State
		if err := store(ctx, tx, d); err != nil {
			return err
		}
		if trouble != 0 {
			return conversation.Trouble(ctx, tx, d.Conversation, trouble)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the outcome of delivery %s: %w", tried.ID, err)
	}
	o.onResult(final)
	if se != nil && se.Class == channel.RateLimited {
		o.mu.Lock()
		o.paused[tried.Channel] = pause{now, now.Add(max(se.RetryAfter, time.Second))}
		o.mu.Unlock()
	}
	o.health(ctx, org.ID, tried, se, now)
	return nil
}

// health turns the channel red when its settings are wrong and green when a send worked.
func (o *Outbox) health(ctx context.Context, org string, d Delivery, se *channel.SendError, now time.Time) {
	var h account.Health
	switch {
	case se == nil:
		h = account.Health{State: account.Green, CheckedAt: now}
	case se.Class == channel.Misconfig:
		h = account.Health{State: account.Red, Reason: se.Reason, CheckedAt: now, Remedy: channel.Text{
			DE: "Prüfen Sie die Einstellungen des Kanals. Nachrichten warten und gehen dann von selbst hinaus.", EN: "Check the channel's settings. Messages wait and will then leave by themselves."}}
	default:
		return
	}
	if err := o.accounts.SetHealth(ctx, org, d.Channel, h); err != nil {
		o.log.Warn("health of a channel could not be recorded", "channel", d.Channel, "error", err)
	}
}

// Test sends a message outside any conversation ("send test message") and says what came of it.
func (o *Outbox) Test(ctx context.Context, acct account.Channel, to string, language string) error {
	text := channel.Text{DE: "Dies ist eine Testnachricht von Rufweite. Ihr Kanal „" + acct.Name + "“ kann senden.", EN: "This is a test message from Rufweite. Your channel “" + acct.Name + "” can send."}
	_, err := o.send(ctx, acct.Account, "", channel.Outgoing{DeliveryID: db.NewID(), Author: channel.Machine, To: channel.Address{Value: customer.Normalise(acct.Kind, to)},
		Subject: channel.Text{DE: "Testnachricht", EN: "Test message"}.In(language), Text: text.In(language), At: o.now()})
	var se *channel.SendError
	if err != nil && !errors.As(err, &se) {
		se = &channel.SendError{Class: channel.Unknown, Err: err}
	}
	h := account.Health{State: account.Green, CheckedAt: o.now()}
	if se != nil {
		if se.Class != channel.Misconfig {
			return err
		}
		h.State, h.Reason = account.Red, se.Reason
	}
	return errors.Join(err, o.accounts.SetHealth(ctx, acct.Org, acct.ID, h))
}
