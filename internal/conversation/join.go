package conversation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Errors that callers tell apart.
var (
	ErrOtherCustomer = errors.New("the two conversations belong to different customers")
	ErrSameMatter    = errors.New("these are one conversation already")
	ErrJoined        = errors.New("this conversation was joined into another one")
	ErrNothingBack   = errors.New("nothing of the other conversation is here any more")
	ErrNothingToMove = errors.New("say which messages shall become a conversation of their own; at least one must stay")
)

// entry is what deciding the order needs of a message.
type entry struct {
	id, kind, origin, audience, participant, address string
	in                                               bool
	received, pos                                    int64
}

func entries(ctx context.Context, tx *db.Tx, conversation string) ([]entry, error) {
	var out []entry
	rows, err := tx.Query(ctx, `SELECT id, kind, origin, audience, participant, address, direction, received_at, pos FROM message WHERE org = $1 AND conversation = $2 ORDER BY pos`, conversation)
	err = db.Each(rows, err, func() error {
		var e entry
		var direction string
		err := rows.Scan(&e.id, &e.kind, &e.origin, &e.audience, &e.participant, &e.address, &direction, &e.received, &e.pos)
		e.in = direction == "in"
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	return out, nil
}

// An origin is the way that a message has come, the last conversation last, separated by spaces: a join after a split
// adds one, and taking it back takes one off.
func addOrigin(origin, from string) string {
	if origin == "" {
		return from
	}
	return origin + " " + from
}

func lastOrigin(origin string) (from, rest string) {
	i := strings.LastIndexByte(origin, ' ')
	return origin[i+1:], origin[:max(i, 0)]
}

// place writes entries into a conversation in the order of their arrival. Positions are handed out anew above all old
// ones, so that no two entries ever share one. stay are ids of entries that were there before.
func place(ctx context.Context, tx *db.Tx, r *Row, list []entry, stay []string, origin func(entry) string) error {
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Or(cmp.Compare(a.received, b.received), cmp.Compare(a.id, b.id)) })
	base := r.Pos
	for _, e := range list {
		base = max(base, e.pos)
	}
	for i, e := range list {
		_, err := tx.Exec(ctx, `UPDATE message SET conversation = $3, pos = $4, origin = $5 WHERE org = $1 AND id = $2`, e.id, r.ID, base+int64(i)+1, origin(e))
		if err != nil {
			return fmt.Errorf("move message %s: %w", e.id, err)
		}
		if !slices.Contains(stay, e.id) {
			tx.Emit("message", e.id, feedData{r.ID})
		}
	}
	r.Pos = base + int64(len(list))
	return nil
}

// recount brings a row in line with the entries that are in its conversation now.
func recount(ctx context.Context, tx *db.Tx, r *Row) error {
	rows, err := tx.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND conversation = $2 AND kind = 'message' ORDER BY pos DESC LIMIT 500`, r.ID)
	first, waiting, theirs := true, true, true
	r.WaitingSince = time.Time{}
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		if err != nil {
			return err
		}
		if first {
			r.LastAt, r.LastBy, r.LastIn, r.LastText, first = m.ReceivedAt, m.Author, m.In, preview(m), false
		}
		if !m.Audience.Customer {
			return nil
		}
		if waiting && m.In && !m.Automatic {
			r.WaitingSince = m.ReceivedAt
		}
		waiting = waiting && (m.In || m.Automatic)
		if theirs && m.In {
			r.Channel, r.ChannelKind, r.Address, theirs = m.Channel, m.ChannelKind, m.Address, false
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recount a conversation: %w", err)
	}
	if r.Status == Closed {
		r.WaitingSince = time.Time{}
	}
	if err := tx.Row(ctx, `SELECT COUNT(*) FROM message WHERE org = $1 AND conversation = $2 AND direction = 'in' AND kind = 'message'`, r.ID).Scan(&r.Received); err != nil {
		return fmt.Errorf("recount a conversation: %w", err)
	}
	return nil
}

// loadBoth locks two conversations, always in the same order.
func loadBoth(ctx context.Context, tx *db.Tx, a, b string) (Row, Row, error) {
	first, second := min(a, b), max(a, b)
	x, err := load(ctx, tx, first)
	if err != nil {
		return Row{}, Row{}, err
	}
	y, err := load(ctx, tx, second)
	if err != nil {
		return Row{}, Row{}, err
	}
	if x.ID != a {
		x, y = y, x
	}
	return x, y, nil
}

// Join makes two conversations one matter: the messages of other move into id in the order of their arrival, and other
// points to it, so that late answers arrive there. sameCustomer tells whether both belong to one person; otherwise
// asParticipant makes who wrote other a third party, who sees its own messages only. It can be taken back (Unjoin).
// moved are the ids of the messages that went over.
func Join(ctx context.Context, tx *db.Tx, id, other string, sameCustomer, asParticipant bool, by Actor, now time.Time) (r Row, moved []string, err error) {
	return join(ctx, tx, id, other, sameCustomer, asParticipant, addOrigin, by, now)
}

// Rejoin takes a split back: what was split off returns to where it came from, as if it had never been away, and what
// was written since comes along.
func Rejoin(ctx context.Context, tx *db.Tx, id string, by Actor, now time.Time) (r Row, moved []string, err error) {
	from, err := SplitFrom(ctx, tx, id)
	if err != nil {
		return Row{}, nil, err
	}
	return join(ctx, tx, from, id, true, false, func(origin, other string) string {
		if last, rest := lastOrigin(origin); last == from {
			return rest
		}
		return addOrigin(origin, other)
	}, by, now)
}

func join(ctx context.Context, tx *db.Tx, id, other string, sameCustomer, asParticipant bool, origin func(origin, from string) string, by Actor, now time.Time) (r Row, moved []string, err error) {
	if id == other {
		return Row{}, nil, ErrSameMatter
	}
	r, o, err := loadBoth(ctx, tx, id, other)
	if err != nil {
		return Row{}, nil, err
	}
	if r.JoinedInto != "" || o.JoinedInto != "" {
		return Row{}, nil, ErrJoined
	}
	if !sameCustomer && !asParticipant {
		return Row{}, nil, ErrOtherCustomer
	}
	theirs, err := entries(ctx, tx, other)
	if err != nil {
		return Row{}, nil, err
	}
	ours, err := entries(ctx, tx, id)
	if err != nil {
		return Row{}, nil, err
	}
	if !sameCustomer {
		if err := asThirdParty(ctx, tx, &r, o, theirs, by, now); err != nil {
			return Row{}, nil, err
		}
	}
	var mine []string
	for _, e := range ours {
		mine = append(mine, e.id)
	}
	for _, e := range theirs {
		moved = append(moved, e.id)
	}
	r.Pos = max(r.Pos, o.Pos)
	err = place(ctx, tx, &r, append(ours, theirs...), mine, func(e entry) string {
		if slices.Contains(mine, e.id) {
			return e.origin
		}
		return origin(e.origin, other)
	})
	if err != nil {
		return Row{}, nil, err
	}
	if err := moveParticipants(ctx, tx, &r, &o, func(string) bool { return true }); err != nil {
		return Row{}, nil, err
	}
	if _, err := tx.Exec(ctx, `UPDATE mention SET conversation = $3 WHERE org = $1 AND conversation = $2`, other, id); err != nil {
		return Row{}, nil, fmt.Errorf("move mentions: %w", err)
	}
	if err := linkAll(ctx, tx, id, other); err != nil {
		return Row{}, nil, err
	}
	// Who had read both has read the whole.
	_, err = tx.Exec(ctx, `UPDATE conversation_read SET received = received + COALESCE((SELECT x.received FROM conversation_read x WHERE x.org = $1 AND x.staff = conversation_read.staff AND x.conversation = $2), 0)
		WHERE org = $1 AND conversation = $3`, other, id)
	if err != nil {
		return Row{}, nil, fmt.Errorf("join read marks: %w", err)
	}
	r.Tags = CleanTags(append(r.Tags, o.Tags...))
	r.retagged = true
	r.Failed += o.Failed
	if o.Status == Open && r.Status != Open {
		r.Status, r.ClosedAt, r.SnoozedUntil = Open, time.Time{}, time.Time{}
	}
	if r.Suggestion != nil && r.Suggestion.Conversation == other {
		r.Suggestion = nil
	}
	if err := recount(ctx, tx, &r); err != nil {
		return Row{}, nil, err
	}
	if err := event(ctx, tx, &r, Event{Type: "joined", By: by.Name, To: o.Subject}, now); err != nil {
		return Row{}, nil, err
	}
	o.JoinedInto, o.Status, o.ClosedAt, o.SnoozedUntil, o.WaitingSince, o.Failed, o.Suggestion, o.Received = id, Closed, now, time.Time{}, time.Time{}, 0, nil, 0
	if err := save(ctx, tx, &o, false); err != nil {
		return Row{}, nil, err
	}
	return r, moved, save(ctx, tx, &r, false)
}

// asThirdParty turns the person of the other conversation into participants of this one, one for each address that was
// used, and narrows what they wrote and got to them.
func asThirdParty(ctx context.Context, tx *db.Tx, r *Row, o Row, theirs []entry, by Actor, now time.Time) error {
	known := map[string]Participant{}
	for i, e := range theirs {
		if e.kind != KindMessage || e.address == "" || e.participant != "" {
			continue
		}
		p, ok := known[e.address]
		if !ok {
			m, err := MessageByID(ctx, tx, e.id)
			if err != nil {
				return err
			}
			if p, err = AddParticipant(ctx, tx, r.ID, Participant{Address: e.address, Kind: m.ChannelKind, Value: m.AddressValue, Name: o.CustomerName, AddedBy: by.ID}, now); err != nil {
				return err
			}
			known[e.address] = p
			fresh, err := load(ctx, tx, r.ID) // AddParticipant has saved it
			if err != nil {
				return err
			}
			r.Participants = fresh.Participants
		}
		author := channel.Staff
		if e.in {
			author = channel.Participant
		}
		theirs[i].audience, theirs[i].participant = jsonText(Audience{Participants: []string{p.ID}}, false), p.ID
		if _, err := tx.Exec(ctx, `UPDATE message SET audience = $3, participant = $4, author = CASE WHEN direction = 'in' THEN $5 ELSE author END WHERE org = $1 AND id = $2`,
			e.id, theirs[i].audience, p.ID, string(author)); err != nil {
			return fmt.Errorf("narrow who sees message %s: %w", e.id, err)
		}
	}
	return nil
}

// moveParticipants takes third parties along. One that takes part in both stays as it is on either side.
func moveParticipants(ctx context.Context, tx *db.Tx, to, from *Row, which func(id string) bool) error {
	list, err := Participants(ctx, tx, from.ID)
	if err != nil {
		return err
	}
	for _, p := range list {
		if !which(p.ID) {
			continue
		}
		n, err := tx.Exec(ctx, `UPDATE participant SET conversation = $3 WHERE org = $1 AND id = $2 AND NOT EXISTS
			(SELECT 1 FROM participant x WHERE x.org = $1 AND x.conversation = $3 AND x.address = participant.address)`, p.ID, to.ID)
		if err != nil {
			return fmt.Errorf("move participant: %w", err)
		}
		if n > 0 && p.RemovedAt.IsZero() {
			to.Participants, from.Participants = to.Participants+1, max(0, from.Participants-1)
		}
	}
	return nil
}

// linkAll lets the addresses of other find the conversation id.
func linkAll(ctx context.Context, tx *db.Tx, id, other string) error {
	_, err := tx.Exec(ctx, `INSERT INTO conversation_address (org, address, conversation, last_in_at) SELECT org, address, $3, last_in_at FROM conversation_address WHERE org = $1 AND conversation = $2
		ON CONFLICT (org, address, conversation) DO NOTHING`, other, id)
	if err != nil {
		return fmt.Errorf("link addresses: %w", err)
	}
	return nil
}

// Unjoin takes a join back: what came from other returns to it, and what was written since stays. moved are the ids of
// the messages that went back.
func Unjoin(ctx context.Context, tx *db.Tx, id, other string, by Actor, now time.Time) (r Row, moved []string, err error) {
	r, o, err := loadBoth(ctx, tx, id, other)
	if err != nil {
		return Row{}, nil, err
	}
	if o.JoinedInto != id {
		return Row{}, nil, ErrNotFound
	}
	all, err := entries(ctx, tx, id)
	if err != nil {
		return Row{}, nil, err
	}
	var back []entry
	for _, e := range all {
		if from, rest := lastOrigin(e.origin); from == other {
			e.origin = rest
			back = append(back, e)
			moved = append(moved, e.id)
		}
	}
	if len(back) == 0 { // split off or moved on since: an empty conversation helps nobody
		return Row{}, nil, ErrNothingBack
	}
	if err := place(ctx, tx, &o, back, nil, func(e entry) string { return e.origin }); err != nil {
		return Row{}, nil, err
	}
	// Where the other's person had become a third party it is the customer of its own conversation again.
	if r.Customer != o.Customer {
		for _, e := range back {
			if e.participant == "" {
				continue
			}
			if _, err := tx.Exec(ctx, `UPDATE message SET audience = '', participant = '', author = CASE WHEN direction = 'in' THEN 'customer' ELSE author END
				WHERE org = $1 AND id = $2 AND address IN (SELECT address FROM participant WHERE org = $1 AND id = $3)`, e.id, e.participant); err != nil {
				return Row{}, nil, fmt.Errorf("give a message back to its customer: %w", err)
			}
		}
	}
	o.JoinedInto, o.Status, o.ClosedAt = "", Open, time.Time{}
	if err := shareParticipants(ctx, tx, &r, &o, by, now); err != nil {
		return Row{}, nil, err
	}
	for _, x := range []*Row{&r, &o} {
		if err := recount(ctx, tx, x); err != nil {
			return Row{}, nil, err
		}
	}
	if err := event(ctx, tx, &r, Event{Type: "unjoined", By: by.Name, To: o.Subject}, now); err != nil {
		return Row{}, nil, err
	}
	if err := save(ctx, tx, &o, false); err != nil {
		return Row{}, nil, err
	}
	return r, moved, save(ctx, tx, &r, false)
}

// Split makes messages a conversation of their own, with the same customer. It can be taken back by Join.
func Split(ctx context.Context, tx *db.Tx, id string, messages []string, subject string, by Actor, now time.Time) (fresh Row, err error) {
	r, err := load(ctx, tx, id)
	if err != nil {
		return Row{}, err
	}
	if r.JoinedInto != "" {
		return Row{}, ErrJoined
	}
	all, err := entries(ctx, tx, id)
	if err != nil {
		return Row{}, err
	}
	var take []entry
	stay := 0
	for _, e := range all {
		switch {
		case slices.Contains(messages, e.id) && e.kind != KindEvent:
			take = append(take, e)
		case e.kind == KindMessage:
			stay++
		}
	}
	if len(take) == 0 || stay == 0 {
		return Row{}, ErrNothingToMove
	}
	fresh = Row{ID: db.NewID(), Customer: r.Customer, CustomerName: r.CustomerName, Subject: oneLine(subject, 200), Status: Open, Assignee: r.Assignee, AssigneeName: r.AssigneeName,
		Unit: r.Unit, UnitName: r.UnitName, Channel: r.Channel, ChannelKind: r.ChannelKind, Address: r.Address, CreatedAt: now}
	if fresh.Subject == "" {
		m, err := MessageByID(ctx, tx, take[0].id)
		if err != nil {
			return Row{}, err
		}
		fresh.Subject = cmp.Or(m.Subject, oneLine(m.Text, 80), r.Subject)
	}
	if err := save(ctx, tx, &fresh, true); err != nil {
		return Row{}, err
	}
	if err := place(ctx, tx, &fresh, take, nil, func(e entry) string { return addOrigin(e.origin, id) }); err != nil {
		return Row{}, err
	}
	if err := shareParticipants(ctx, tx, &r, &fresh, by, now); err != nil {
		return Row{}, err
	}
	if err := linkAll(ctx, tx, fresh.ID, id); err != nil {
		return Row{}, err
	}
	for _, x := range []*Row{&r, &fresh} {
		if err := recount(ctx, tx, x); err != nil {
			return Row{}, err
		}
	}
	if err := event(ctx, tx, &r, Event{Type: "split", By: by.Name, To: fresh.Subject}, now); err != nil {
		return Row{}, err
	}
	if err := save(ctx, tx, &r, false); err != nil {
		return Row{}, err
	}
	return fresh, save(ctx, tx, &fresh, false)
}

// SplitFrom gives the conversation that another one was split from; ErrNotFound if it was not.
func SplitFrom(ctx context.Context, q db.Querier, id string) (from string, err error) {
	err = q.Row(ctx, `SELECT origin FROM message WHERE org = $1 AND conversation = $2 AND origin <> '' ORDER BY pos LIMIT 1`, id).Scan(&from)
	from, _ = lastOrigin(from)
	if errors.Is(err, db.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("look where a conversation was split from: %w", err)
	}
	return from, nil
}

// UnitInUse reports whether a conversation belongs to a unit.
func UnitInUse(ctx context.Context, q db.Querier, unit string) (bool, error) {
	var n int64
	if err := q.Row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM conversation WHERE org = $1 AND unit = $2 AND unit <> '' LIMIT 1) AS x`, unit).Scan(&n); err != nil {
		return false, fmt.Errorf("look for conversations of a unit: %w", err)
	}
	return n > 0, nil
}

// shareParticipants makes the third parties of messages that moved from one conversation to another take part there, too.
func shareParticipants(ctx context.Context, tx *db.Tx, from, to *Row, by Actor, now time.Time) error {
	seen, err := SeenBy(ctx, tx, to.ID)
	if err != nil || len(seen) == 0 {
		return err
	}
	list, err := Participants(ctx, tx, from.ID)
	if err != nil {
		return err
	}
	for _, p := range list {
		if seen[p.ID] == 0 {
			continue
		}
		q, err := AddParticipant(ctx, tx, to.ID, Participant{Address: p.Address, Kind: p.Kind, Value: p.Value, Name: p.Name, Role: p.Role, AddedBy: by.ID}, now)
		if err != nil {
			return err
		}
		if err := rename(ctx, tx, to.ID, p.ID, q.ID); err != nil {
			return err
		}
	}
	fresh, err := load(ctx, tx, to.ID)
	to.Participants = fresh.Participants
	return err
}

// rename puts one participant in the place of another in the messages of a conversation.
func rename(ctx context.Context, tx *db.Tx, conversation, from, to string) error {
	rows, err := tx.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND conversation = $2 AND audience <> ''`, conversation)
	var list []Message
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		list = append(list, m)
		return err
	})
	if err != nil {
		return fmt.Errorf("read what participants see: %w", err)
	}
	for _, m := range list {
		i := slices.Index(m.Audience.Participants, from)
		if i < 0 {
			continue
		}
		m.Audience.Participants[i] = to
		if m.Participant == from {
			m.Participant = to
		}
		if _, err := tx.Exec(ctx, `UPDATE message SET audience = $3, participant = $4 WHERE org = $1 AND id = $2`, m.ID, jsonText(m.Audience, false), m.Participant); err != nil {
			return fmt.Errorf("change who sees a message: %w", err)
		}
	}
	return nil
}

// resolve follows joins to the conversation in which things go on.
func resolve(ctx context.Context, tx *db.Tx, id string) (Row, error) {
	for range 50 {
		r, err := load(ctx, tx, id)
		if err != nil || r.JoinedInto == "" {
			return r, err
		}
		id = r.JoinedInto
	}
	return Row{}, fmt.Errorf("conversation %s is joined in a circle", id)
}
