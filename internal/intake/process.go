package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/reach"
)

const (
	// processMax is how many events share one transaction, processTime how long it may grow while others wait to write:
	// those who wait for an acknowledgement must not be kept waiting by those who wait to be processed.
	processMax  = 256
	processTime = 5 * time.Millisecond
	// While more than flood requests wait for their acknowledgement at once, batches keep a distance of floodPause: what
	// is accepted is safe and can wait; a provider that is kept waiting sends again.
	flood      = 16
	floodPause = 80 * time.Millisecond
	fileMax    = 64 << 20 // largest file taken out of a raw body or fetched from a provider
	// A status, reaction or deletion waits for the message that it is about so long, and is looked at so often: the
	// clock alone may jump.
	lateAfter    = 2 * time.Minute
	lateAttempts = 15
	lateWait     = 10 * time.Second // between two looks, at most
)

// errLater means that what the event is about is not here yet.
var errLater = errors.New("what this is about has not arrived yet")

// item is one event on its way into a conversation.
type item struct {
	id, channel, key, raw string
	at                    time.Time // received
	attempts              int64
	acct                  channel.Account
	event                 channel.Event
	files                 []conversation.Attachment
	html, source          string
	images                int
	err                   error // found before the transaction: straight to quarantine
	apart                 bool  // processed in a savepoint of its own, after the batch had failed
}

// process works off what is pending until ctx ends.
func (i *Intake) process(ctx context.Context) {
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-i.wake:
		case <-idle.C:
		}
		wait := time.Second // other nodes store without waking us; late events come due
		for ctx.Err() == nil {
			if i.accepting.Load() > flood {
				select {
				case <-time.After(floodPause):
				case <-ctx.Done():
				}
			}
			n, err := i.processOnce(ctx)
			if err != nil {
				if ctx.Err() == nil {
					i.Log.Error("events could not be processed; trying again", "error", err)
				}
				wait = 300 * time.Millisecond
				break
			}
			if n == 0 {
				break
			}
		}
		idle.Reset(wait)
	}
}

// processOnce takes up one batch of every organisation and returns how many events were taken.
func (i *Intake) processOnce(ctx context.Context) (int, error) {
	var orgs []string
	rows, err := i.DB.Global(ctx, db.LookupPending, `SELECT id FROM org`)
	err = db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		orgs = append(orgs, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	total := 0
	var errs []error
	for _, org := range orgs {
		n, err := i.batch(ctx, i.DB.Org(org))
		errs = append(errs, err) // the others go on
		total += n
	}
	return total, errors.Join(errs...)
}

func (i *Intake) pending(ctx context.Context, o db.Org) ([]*item, error) {
	var items []*item
	rows, err := o.Query(ctx, `SELECT id, channel, key, raw, event, attempts, at FROM intake_event WHERE org = $1 AND state = 'pending' AND (next_at <= $2 OR next_at > $3) ORDER BY id LIMIT $4`,
		i.Now().UnixMicro(), i.Now().Add(2*lateWait).UnixMicro(), processMax) // beyond the longest wait: the clock was put back
	err = db.Each(rows, err, func() error {
		it := &item{}
		var event string
		var at int64
		if err := rows.Scan(&it.id, &it.channel, &it.key, &it.raw, &event, &it.attempts, &at); err != nil {
			return err
		}
		it.at = db.Time(at)
		if err := json.Unmarshal([]byte(event), &it.event); err != nil {
			it.err = fmt.Errorf("read the stored event: %w", err)
		}
		items = append(items, it)
		return nil
	})
	return items, err
}

// batch processes up to processMax events of one organisation, in order, in one transaction.
func (i *Intake) batch(ctx context.Context, o db.Org) (int, error) {
	items, err := i.pending(ctx, o)
	if err != nil || len(items) == 0 {
		return 0, err
	}
	for _, it := range items {
		if it.err == nil {
			it.err = i.prepare(ctx, o, it)
		}
		if errors.Is(it.err, db.ErrUnavailable) {
			return 0, it.err
		}
	}
	// Poison is rare: everybody shares one transaction, and only if one of them fails it is done again with each apart.
	taken, err := i.inOne(ctx, o, items, false)
	if errors.Is(err, errPoison) {
		taken, err = i.inOne(ctx, o, items, true)
	}
	if err != nil {
		return 0, fmt.Errorf("process events: %w", err)
	}
	return taken, nil
}

// errPoison means that one event of a batch failed and took the others with it.
var errPoison = errors.New("an event of the batch failed")

// inOne processes a batch in one transaction and returns how many events were taken. apart gives each event a savepoint
// of its own, so that its failure harms nobody else.
func (i *Intake) inOne(ctx context.Context, o db.Org, items []*item, apart bool) (taken int, err error) {
	err = o.WriteBehind(ctx, func(tx *db.Tx) error {
		// One node at a time works for an organisation, so that a sender's messages keep their order.
		if err := tx.Lock(ctx, "intake"); err != nil {
			return err
		}
		still, err := stillPending(ctx, tx, items)
		if err != nil {
			return err
		}
		book := customer.NewBook(tx)
		var finished []string
		taken = 0
		begin := time.Now()
		for _, it := range items {
			if taken > 0 && time.Since(begin) > processTime && i.DB.Backlog() > 1 {
				break // the rest in the next transaction
			}
			taken++
			it.apart = apart
			if !still[it.id] {
				continue
			}
			err := it.err
			switch {
			case err != nil:
			case apart:
				if err = tx.Savepoint(ctx, func() error { return i.handle(ctx, tx, book, it) }); err != nil {
					book.Forget() // what it remembered was undone
				}
			default:
				err = i.handleOr(ctx, tx, book, it)
			}
			if err == nil {
				finished = append(finished, it.id)
				continue
			}
			if errors.Is(err, db.ErrUnavailable) || errors.Is(err, errPoison) {
				return err
			}
			gone, err := i.aside(ctx, tx, it, err)
			if err != nil {
				return err
			}
			if gone {
				finished = append(finished, it.id)
			}
		}
		if len(finished) == 0 {
			return nil
		}
		list, args := db.In(2, finished)
		_, err = tx.Exec(ctx, `UPDATE intake_event SET state = 'done', event = '', error = '' WHERE org = $1 AND id IN `+list, args...)
		return err
	})
	return taken, err
}

// handleOr is handle without a savepoint: any failure that may have left something half done is errPoison.
func (i *Intake) handleOr(ctx context.Context, tx *db.Tx, book *customer.Book, it *item) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errPoison
		}
	}()
	err = i.handle(ctx, tx, book, it)
	if err == nil || errors.Is(err, db.ErrUnavailable) || errors.Is(err, errLater) { // errLater comes before anything is written but the sender
		return err
	}
	return fmt.Errorf("%w: %w", errPoison, err)
}

// aside deals with an event that could not be processed: later, when what it is about may have come, or as a work item
// for a person. gone means that there is nothing left to do about it.
func (i *Intake) aside(ctx context.Context, tx *db.Tx, it *item, why error) (gone bool, err error) {
	if errors.Is(why, errLater) {
		if i.Now().Sub(it.at) >= lateAfter && it.attempts >= lateAttempts {
			return true, nil // it never came
		}
		wait := min(time.Duration(1<<min(it.attempts, 6))*250*time.Millisecond, lateWait)
		_, err := tx.Exec(ctx, `UPDATE intake_event SET attempts = attempts + 1, next_at = $3 WHERE org = $1 AND id = $2`, it.id, i.Now().Add(wait).UnixMicro())
		return false, err
	}
	i.Log.Warn("an event was put aside", "event", it.id, "channel", it.channel, "error", why)
	tx.Emit("work_item", it.id, nil)
	_, err = tx.Exec(ctx, `UPDATE intake_event SET state = 'quarantined', error = $3, attempts = attempts + 1 WHERE org = $1 AND id = $2`, it.id, why.Error())
	return false, err
}

func stillPending(ctx context.Context, tx *db.Tx, items []*item) (map[string]bool, error) {
	ids := make([]string, len(items))
	for k, it := range items {
		ids[k] = it.id
	}
	list, args := db.In(2, ids)
	out := make(map[string]bool, len(ids))
	rows, err := tx.Query(ctx, `SELECT id FROM intake_event WHERE org = $1 AND state = 'pending' AND id IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		out[id] = true
		return err
	})
	return out, err
}

// prepare does what needs files or time, before the transaction.
func (i *Intake) prepare(ctx context.Context, o db.Org, it *item) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the driver crashed: %v", p)
		}
	}()
	c, err := i.Accounts.Find(ctx, it.channel)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return fmt.Errorf("%w: %w", db.ErrUnavailable, err)
	}
	if err != nil || c.Org != o.ID {
		return errors.New("the channel was deleted before this was processed; dismiss it, or add the channel again and let the provider send again")
	}
	it.acct = c.Account
	m := it.event.Message
	if m == nil {
		return nil
	}
	var raw []byte
	var open func(part string) (io.Reader, error)
	cids := map[string]string{}
	for _, a := range m.Attachments {
		f := conversation.Attachment{ID: db.NewID(), Name: a.Name, MediaType: a.MediaType, Size: a.Size, ContentID: a.ContentID, Inline: a.Inline, State: conversation.Pending, Channel: c.ID, Remote: a.Remote}
		if a.Remote == "" {
			if raw == nil {
				raw, _, err = i.Raw(ctx, o, it.raw)
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, db.ErrNoRows) { // gone for good: no reason to keep everybody waiting
					return fmt.Errorf("the raw body is lost: %w", err)
				}
				if err != nil {
					return fmt.Errorf("%w: %w", db.ErrUnavailable, err)
				}
			}
			if open == nil { // taken apart once, however many parts it has
				switch d := i.Accounts.Driver(c.Kind).(type) {
				case channel.PartsOpener:
					open = d.OpenParts(raw)
				case channel.Parts:
					open = func(part string) (io.Reader, error) { return d.OpenPart(raw, part) }
				default:
					return fmt.Errorf("the %s driver gave an attachment that cannot be opened", c.Kind)
				}
			}
			part, err := open(a.Part)
			if err != nil {
				return fmt.Errorf("open attachment %q: %w", a.Name, err)
			}
			// A damaged encoding ends a part early; what could be read is kept, the rest is in the raw body.
			if f.Blob, f.Size, err = i.Blobs.Put(ctx, lenient{part}, fileMax); err != nil {
				return fmt.Errorf("%w: %w", db.ErrUnavailable, err)
			}
			f.State = conversation.Stored
		}
		if a.ContentID != "" {
			cids[a.ContentID] = f.ID
		}
		it.files = append(it.files, f)
	}
	if m.HTML != "" && i.Sanitise != nil {
		clean, full, n := i.Sanitise(m.HTML, func(id string) string { return cids[id] })
		it.html, it.images = clean, n
		if n > 0 {
			it.source = full
		}
	}
	return nil
}

// lenient turns a decoding error at the end of a part into its end.
type lenient struct{ r io.Reader }

func (l lenient) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// handle brings one event to where it belongs, in the transaction.
func (i *Intake) handle(ctx context.Context, tx *db.Tx, book *customer.Book, it *item) error {
	e := it.event
	at := e.At
	if at.IsZero() || at.After(it.at.Add(time.Minute)) { // a provider's clock may be wrong; nothing comes from the future
		at = it.at
	}
	switch e.Type {
	case channel.MessageEvent, channel.ChoiceEvent, channel.EditEvent:
		return i.message(ctx, tx, book, it, at)
	case channel.StatusEvent:
		if e.Status == nil {
			return errors.New("a status without content")
		}
		if len(e.Sender.Also) > 0 { // a receipt may tell under which other id the recipient will answer
			if err := customer.Alias(ctx, tx, it.acct.Kind, e.Sender, it.at); err != nil {
				return err
			}
		}
		known, err := outbox.Apply(ctx, tx, it.channel, *e.Status, it.at)
		if err == nil && !known {
			return errLater
		}
		return err
	case channel.ReadEvent:
		if e.Ref == "" {
			return i.readUntil(ctx, tx, it)
		}
		m, err := conversation.Find(ctx, tx, it.acct, i.threaded(it), e.Ref, "")
		if errors.Is(err, conversation.ErrNoSuch) {
			return errLater
		}
		if err != nil {
			return err
		}
		return outbox.ReadUpTo(ctx, tx, m, it.at)
	case channel.ReactionEvent, channel.DeleteEvent:
		s, err := book.Sender(ctx, it.acct.Kind, it.channel, e.Sender, it.at)
		if err != nil {
			return err
		}
		m, err := conversation.Find(ctx, tx, it.acct, i.threaded(it), e.Ref, s.Address.ID)
		if errors.Is(err, conversation.ErrNoSuch) {
			return errLater
		}
		if err != nil {
			return err
		}
		if e.Type == channel.DeleteEvent {
			if !m.In {
				return errors.New("a customer cannot take back what we said")
			}
			return conversation.Delete(ctx, tx, m, at)
		}
		return conversation.React(ctx, tx, m, e.Reaction, s.Customer.Name, at)
	case channel.MovedEvent:
		a, moved, err := customer.Move(ctx, tx, it.acct.Kind, e.Sender, it.at)
		if err != nil || !moved {
			return err
		}
		book.Forget()
		return conversation.Happened(ctx, tx, a.ID, conversation.Event{Type: "moved", By: a.Value}, it.at)
	case channel.StartEvent, channel.OptOutEvent:
		s, err := book.Sender(ctx, it.acct.Kind, it.channel, e.Sender, it.at)
		if err != nil {
			return err
		}
		out, what := time.Time{}, "started"
		if e.Type == channel.OptOutEvent {
			out, what = at, "opted_out"
		}
		if err := customer.OptOut(ctx, tx, s.Address.ID, out); err != nil {
			return err
		}
		s.Address.OptedOutAt = out
		if e.Token != "" && e.Type == channel.StartEvent {
			if went, ok, err := i.redeem(ctx, tx, book, it, &s, e.Token); err != nil {
				return err
			} else if ok && went.Conversation != "" {
				return i.tell(ctx, tx, it, s, went, "")
			}
		}
		return conversation.Happened(ctx, tx, s.Address.ID, conversation.Event{Type: what, By: s.Customer.Name}, it.at)
	default:
		return fmt.Errorf("there is no event type %q in this version; try again after an upgrade", e.Type)
	}
}

// readUntil marks what an address had been sent by a time as read; a stranger has read nothing.
func (i *Intake) readUntil(ctx context.Context, tx *db.Tx, it *item) error {
	a, err := customer.AddressByValue(ctx, tx, it.acct.Kind, it.event.Sender.Value)
	if errors.Is(err, customer.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return outbox.ReadUntil(ctx, tx, it.channel, a.ID, it.event.Upto, it.at)
}

// threaded reports whether the event came by mail, where ids are the world's and threads are named.
func (i *Intake) threaded(it *item) bool {
	return i.Accounts.Driver(it.acct.Kind).Capabilities().Subject
}

func (i *Intake) message(ctx context.Context, tx *db.Tx, book *customer.Book, it *item, at time.Time) error {
	e := it.event
	m := e.Message
	if e.Type == channel.ChoiceEvent {
		if e.Choice == nil {
			return errors.New("a choice without content")
		}
		text := e.Choice.Label
		if text == "" {
			text = e.Choice.Data
		}
		m = &channel.Message{Text: text, ReplyTo: e.Ref}
	}
	if m == nil {
		return errors.New("a message without content")
	}
	s, err := book.Sender(ctx, it.acct.Kind, it.channel, e.Sender, it.at)
	if err != nil {
		return err
	}
	if s.Named {
		ids, err := customer.IDs(ctx, tx, s.Customer.ID)
		if err != nil {
			return err
		}
		if err := conversation.Rename(ctx, tx, ids, s.Customer.Name); err != nil {
			return err
		}
		s.Named = false
	}
	var went reach.Outcome
	brought := false
	if e.Type == channel.MessageEvent && !m.Automatic {
		if went, brought, err = i.redeem(ctx, tx, book, it, &s, m.Subject+"\n"+m.Text); err != nil {
			return err
		}
	}
	assurance := e.Sender.Assurance // of this very message: an earlier one vouches for nothing
	if assurance == "" {
		assurance = channel.Claimed
	}
	if e.Type == channel.EditEvent {
		ref := e.Ref
		if ref == "" {
			ref = m.ExternalID
		}
		old, err := conversation.Find(ctx, tx, it.acct, i.threaded(it), ref, s.Address.ID)
		if err == nil {
			return conversation.Edit(ctx, tx, old, m.Text, it.html, at)
		}
		if !errors.Is(err, conversation.ErrNoSuch) {
			return err
		}
		m.ExternalID = ref // the edit overtook its original
	}
	in := conversation.In{
		Channel: it.acct, Threaded: i.threaded(it),
		Customer: s.Customer.ID, CustomerName: s.Customer.Name, Address: s.Address.ID, AddressValue: s.Address.Value, Assurance: assurance,
		CustomerIDs: func() ([]string, error) { return customer.IDs(ctx, tx, s.Customer.ID) },
		AuthorName:  s.Address.Name, Message: *m, HTML: it.html, Source: it.source, RemoteImages: it.images, Key: it.key, Raw: it.raw, At: at, Files: it.files, Edited: e.Type == channel.EditEvent,
		Rule: s.Address.Rule, Into: went.Conversation,
	}
	if in.AuthorName == "" {
		in.AuthorName = s.Customer.Name
	}
	if s.Customer.Advisor != "" && i.Advisor != nil {
		in.Advisor = i.Advisor(ctx, tx, s.Customer.Advisor)
	}
	res, err := conversation.Receive(ctx, tx, in, it.at)
	if err != nil {
		return err
	}
	if !res.Duplicate && e.Type == channel.MessageEvent {
		if err := i.toAssess(ctx, tx, it, res.Message); err != nil {
			return err
		}
	}
	if brought && !res.Duplicate {
		if err := i.tell(ctx, tx, it, s, went, res.Row.ID); err != nil {
			return err
		}
	}
	if i.After != nil && !brought && !res.Duplicate && e.Type != channel.EditEvent {
		payload := ""
		if e.Choice != nil {
			payload = e.Choice.Data
		}
		after := func() error { return i.After(ctx, tx, res, payload, in.Threaded, in.CustomerIDs) }
		if !it.apart {
			err = after()
		} else if err = tx.Savepoint(ctx, after); err != nil && !errors.Is(err, db.ErrUnavailable) {
			// The message is there and waits for a person, whatever became of the machine's part.
			i.Log.Error("what follows a message failed; a person has to answer it", "message", res.Message.ID, "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if res.Observed {
		if err := customer.Observed(ctx, tx, s.Address.ID); err != nil {
			return err
		}
	}
	if !s.Address.OptedOutAt.IsZero() { // who writes again is back
		if err := customer.OptOut(ctx, tx, s.Address.ID, time.Time{}); err != nil {
			return err
		}
		s.Address.OptedOutAt = time.Time{}
	}
	for _, f := range it.files {
		if f.State == conversation.Pending {
			tx.OnCommit(i.files.wake)
			break
		}
	}
	return nil
}
