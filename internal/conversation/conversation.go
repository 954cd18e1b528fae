// Package conversation is in charge of conversations: one concern of one customer across all channels. It keeps the
// list row of each conversation, its messages and notes, drafts and read marks, and decides which conversation a
// message belongs to. It does not send (outbox) and does not know who is behind an address (customer).
package conversation

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such conversation")
	ErrNoSuch   = errors.New("no such message")
)

// Status of a conversation. That a customer waits is not a status: see Row.WaitingSince.
const (
	Open    = "open"
	Snoozed = "snoozed"
	Closed  = "closed"
)

// ReopenWithin is how long after closing a late answer reopens the same conversation; later a new one is linked.
const ReopenWithin = 30 * 24 * time.Hour

// Row is a conversation as lists show it: no join is needed to read it.
type Row struct {
	ID           string
	Customer     string // the record that wrote; may have been merged since
	CustomerName string
	Subject      string
	Status       string
	SnoozedUntil time.Time
	ClosedAt     time.Time
	Assignee     string // staff id, "" = nobody
	AssigneeName string
	Channel      string // the channel of the last inbound message
	ChannelKind  channel.Kind
	Address      string // the address of the last inbound message
	Tags         []string
	Unit         string // department, branch or partner
	UnitName     string
	Category     string // why it is not a customer's concern: a Category; "" = it is one
	Participants int64  // third parties who take part
	JoinedInto   string // the conversation that its messages were moved to
	LastAt       time.Time
	LastBy       channel.Author
	LastIn       bool // the last message came from outside
	LastText     string
	WaitingSince time.Time // the customer waits for an answer since; zero = does not wait
	Received     int64     // inbound messages so far
	Pos          int64     // position of the newest message
	Failed       int64     // deliveries that failed or are uncertain and that nobody has dealt with
	Suggestion   *Suggestion
	CreatedAt    time.Time
	Unread       int64 // for the staff member who asked; filled by List and Get

	tagged, retagged bool // has rows in conversation_tag; its tags changed
}

// Suggestion is a link that a person may confirm; nothing is joined by itself.
type Suggestion struct {
	Kind         string `json:"kind"` // "same_matter", "follows" (a late answer to a closed conversation)
	Conversation string `json:"conversation_id"`
	Reason       string `json:"reason"`           // code of the reason: "token_other_sender", "thread_other_sender", "closed_long_ago", "number"
	Number       string `json:"number,omitempty"` // reason "number": the contract, claim or order number that both name
}

const rowColumns = `id, customer, customer_name, subject, status, snoozed_until, closed_at, assignee, assignee_name, unit, unit_name, channel, channel_kind, address, tags, category, participants, joined_into,
	last_at, last_direction, last_author, last_text, waiting_since, received, pos, failed, suggestion, created_at`

// rowColumnsOf gives the columns of a row in a join, where the table goes by another name.
func rowColumnsOf(table string) string {
	return table + "." + strings.Join(strings.FieldsFunc(rowColumns, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }), ", "+table+".")
}

// scanRow reads a row; before are destinations of columns that stand before the row's own.
func scanRow(rows *db.Rows, before ...any) (Row, error) {
	var r Row
	var kind, tags, direction, author, suggestion string
	var snoozed, closed, last, waiting, created int64
	err := rows.Scan(append(before, &r.ID, &r.Customer, &r.CustomerName, &r.Subject, &r.Status, &snoozed, &closed, &r.Assignee, &r.AssigneeName, &r.Unit, &r.UnitName, &r.Channel, &kind, &r.Address, &tags, &r.Category, &r.Participants, &r.JoinedInto,
		&last, &direction, &author, &r.LastText, &waiting, &r.Received, &r.Pos, &r.Failed, &suggestion, &created)...)
	if err != nil {
		return r, err
	}
	r.ChannelKind, r.LastBy, r.LastIn = channel.Kind(kind), channel.Author(author), direction == "in"
	r.SnoozedUntil, r.ClosedAt, r.LastAt, r.WaitingSince, r.CreatedAt = db.Time(snoozed), db.Time(closed), db.Time(last), db.Time(waiting), db.Time(created)
	if tags != "" {
		err = json.Unmarshal([]byte(tags), &r.Tags)
		r.tagged = true
	}
	if suggestion != "" {
		r.Suggestion = &Suggestion{}
		err = errors.Join(err, json.Unmarshal([]byte(suggestion), r.Suggestion))
	}
	return r, err
}

func jsonText(v any, empty bool) string {
	if empty {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("conversation: %v", err)) // our own plain types always marshal
	}
	return string(b)
}

// save writes the whole row; insert says that it is new.
func save(ctx context.Context, tx *db.Tx, r *Row, insert bool) error {
	direction := "out"
	if r.LastIn {
		direction = "in"
	}
	args := []any{r.ID, r.Customer, r.CustomerName, r.Subject, r.Status, db.Micro(r.SnoozedUntil), db.Micro(r.ClosedAt), r.Assignee, r.AssigneeName, r.Unit, r.UnitName, r.Channel, string(r.ChannelKind), r.Address,
		jsonText(r.Tags, len(r.Tags) == 0), r.Category, r.Participants, r.JoinedInto, db.Micro(r.LastAt), direction, string(r.LastBy), r.LastText, db.Micro(r.WaitingSince), r.Received, r.Pos, r.Failed,
		jsonText(r.Suggestion, r.Suggestion == nil), db.Micro(r.CreatedAt)}
	query := `UPDATE conversation SET customer = $3, customer_name = $4, subject = $5, status = $6, snoozed_until = $7, closed_at = $8, assignee = $9, assignee_name = $10, unit = $11,
		unit_name = $12, channel = $13, channel_kind = $14, address = $15, tags = $16, category = $17, participants = $18, joined_into = $19, last_at = $20,
		last_direction = $21, last_author = $22, last_text = $23, waiting_since = $24, received = $25, pos = $26, failed = $27, suggestion = $28,
		created_at = $29 WHERE org = $1 AND id = $2`
	if insert {
		query = `INSERT INTO conversation (org, ` + rowColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29)`
	}
	if _, err := tx.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("save conversation %s: %w", r.ID, err)
	}
	tx.Emit("conversation", r.ID, nil)
	return saveTags(ctx, tx, r)
}

// load reads a row for change. On PostgreSQL it is locked until the transaction ends.
func load(ctx context.Context, tx *db.Tx, id string) (Row, error) {
	rows, err := tx.Query(ctx, `SELECT `+rowColumns+` FROM conversation WHERE org = $1 AND id = $2`+tx.ForUpdate(), id)
	if err != nil {
		return Row{}, fmt.Errorf("read conversation %s: %w", id, err)
	}
	defer rows.Close()
	if !rows.Next() {
		return Row{}, cmp.Or(rows.Err(), ErrNotFound)
	}
	return scanRow(rows)
}

// Get reads one conversation; staff is whose unread count is filled ("" = none).
func Get(ctx context.Context, q db.Querier, id, staff string) (Row, error) {
	list, err := ByIDs(ctx, q, []string{id}, staff)
	if err != nil {
		return Row{}, err
	}
	if len(list) == 0 {
		return Row{}, ErrNotFound
	}
	return list[0], nil
}

// ByIDs reads conversations in one go, in no particular order; unknown ids are left out.
func ByIDs(ctx context.Context, q db.Querier, ids []string, staff string) ([]Row, error) {
	list, args := db.In(2, ids)
	out, err := collect(ctx, q, `SELECT `+rowColumns+` FROM conversation WHERE org = $1 AND id IN `+list, args)
	if err != nil {
		return nil, err
	}
	return out, fillUnread(ctx, q, out, staff)
}

func collect(ctx context.Context, q db.Querier, query string, args []any) ([]Row, error) {
	var out []Row
	rows, err := q.Query(ctx, query, args...)
	err = db.Each(rows, err, func() error {
		r, err := scanRow(rows)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read conversations: %w", err)
	}
	return out, nil
}

// fillUnread counts what came in since the staff member last read; of a conversation never opened that is everything.
func fillUnread(ctx context.Context, q db.Querier, rows []Row, staff string) error {
	if staff == "" || len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	list, args := db.In(3, ids)
	read := map[string]int64{}
	res, err := q.Query(ctx, `SELECT conversation, received FROM conversation_read WHERE org = $1 AND staff = $2 AND conversation IN `+list, append([]any{staff}, args...)...)
	err = db.Each(res, err, func() error {
		var id string
		var n int64
		if err := res.Scan(&id, &n); err != nil {
			return err
		}
		read[id] = n
		return nil
	})
	if err != nil {
		return fmt.Errorf("read marks: %w", err)
	}
	for i := range rows {
		rows[i].Unread = max(0, rows[i].Received-read[rows[i].ID])
	}
	return nil
}

// Filter says which conversations List gives. Empty fields do not filter.
type Filter struct {
	Status    string
	Assignee  string // staff id; "none" = nobody
	Waiting   bool   // only where the customer waits, longest first
	Kind      channel.Kind
	Customers []string // ids of one customer's records
	Text      string   // part of name, subject or last message
	Tag       string
	Unit      string
	Category  string // "" = what is a customer's concern
	Failed    bool   // only where a delivery failed or is uncertain and nobody has dealt with it
	IDs       []string
}

// List gives a page of conversations, the last active first (Waiting: the longest wait first), with the unread count
// of staff. cursor comes from an earlier page.
func List(ctx context.Context, o db.Org, f Filter, staff, cursor string, limit int) (page []Row, next string, err error) {
	statuses := []string{f.Status}
	byTag := f.Tag != "" && !f.Waiting && !f.Failed && f.IDs == nil && f.Customers == nil
	switch {
	case f.Failed || f.IDs != nil || f.Category != "" && !byTag: // few, with an index of their own
	case f.Waiting && f.Status == "":
		statuses = []string{Open, Snoozed} // nobody waits in a closed one
	case f.Status == "" && f.Customers == nil:
		// The indexes are ordered within a status; one more index over all would be written with every message, and is
		// read only here.
		statuses = []string{Open, Snoozed, Closed}
	}
	if byTag {
		if page, err = listByTag(ctx, o, f, statuses, cursor, limit+1); err != nil {
			return nil, "", err
		}
		statuses = nil
	}
	for _, st := range statuses {
		f.Status = st
		part, err := list(ctx, o, f, cursor, limit+1)
		if err != nil {
			return nil, "", err
		}
		page = append(page, part...)
	}
	at := func(r Row) time.Time {
		if f.Waiting {
			return r.WaitingSince
		}
		return r.LastAt
	}
	if len(statuses) > 1 {
		slices.SortFunc(page, func(a, b Row) int {
			c := cmp.Or(at(a).Compare(at(b)), strings.Compare(a.ID, b.ID))
			if !f.Waiting {
				c = -c
			}
			return c
		})
	}
	if len(page) > limit {
		page = page[:limit]
		last := page[limit-1]
		next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", db.Micro(at(last)), last.ID))
	}
	return page, next, fillUnread(ctx, o, page, staff)
}

// list reads up to limit conversations after the cursor, in order.
func list(ctx context.Context, o db.Org, f Filter, cursor string, limit int) ([]Row, error) {
	var w strings.Builder
	var args []any
	add := func(cond string, v ...any) {
		w.WriteString(" AND ")
		for _, a := range v {
			args = append(args, a)
			cond = strings.Replace(cond, "?", fmt.Sprintf("$%d", len(args)+1), 1)
		}
		w.WriteString(cond)
	}
	if f.Tag != "" { // List goes another way but where few are left, or the order is that of waiting, and few wait
		add("EXISTS (SELECT 1 FROM conversation_tag t WHERE t.org = conversation.org AND t.conversation = conversation.id AND t.tag = ?)", f.Tag)
	}
	if f.Status != "" {
		add("status = ?", f.Status)
	}
	switch {
	case f.Category != "":
		add("category = ? AND category <> ''", f.Category)
	case f.IDs == nil:
		add("category = '' AND joined_into = ''")
	}
	if f.Unit != "" {
		add("unit = ? AND unit <> ''", f.Unit)
	}
	if f.Failed {
		add("failed > 0")
	}
	if f.IDs != nil {
		list, a := db.In(len(args)+2, f.IDs)
		args = append(args, a...)
		w.WriteString(" AND id IN " + list)
	}
	if f.Assignee == "none" {
		add("assignee = ''")
	} else if f.Assignee != "" {
		add("assignee = ?", f.Assignee)
	}
	if f.Kind != "" {
		add("channel_kind = ?", string(f.Kind))
	}
	if f.Customers != nil {
		list, a := db.In(len(args)+2, f.Customers)
		args = append(args, a...)
		w.WriteString(" AND customer IN " + list)
	}
	if t := strings.TrimSpace(f.Text); t != "" {
		t = "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(t)) + "%"
		add(`(LOWER(customer_name) LIKE ? ESCAPE '\' OR LOWER(subject) LIKE ? ESCAPE '\' OR LOWER(last_text) LIKE ? ESCAPE '\')`, t, t, t)
	}
	column, order := "last_at", "DESC"
	if f.Waiting {
		add("waiting_since > 0")
		column, order = "waiting_since", "ASC"
	}
	if cursor != "" {
		at, id, err := parseCursor(cursor)
		if err != nil {
			return nil, err
		}
		than := "<"
		if f.Waiting {
			than = ">"
		}
		add("("+column+", id) "+than+" (?, ?)", at, id)
	}
	args = append(args, limit)
	return collect(ctx, o, fmt.Sprintf(`SELECT %s FROM conversation WHERE org = $1%s ORDER BY %s %s, id %s LIMIT $%d`, rowColumns, w.String(), column, order, order, len(args)+1), args)
}

// listByTag walks the copy of the tags in their order and reads the rows beside it, once for all statuses.
func listByTag(ctx context.Context, o db.Org, f Filter, statuses []string, cursor string, limit int) ([]Row, error) {
	type ref struct {
		id string
		at int64
	}
	at, id := int64(1<<62), "~"
	if cursor != "" {
		var err error
		if at, id, err = parseCursor(cursor); err != nil {
			return nil, err
		}
	}
	// What is left for the rows to tell (kind, unit, text) leaves most of them; the rest is part of the index.
	where, args := "org = $1 AND tag = $2 AND hidden = $3 AND status = $4 AND (last_at, conversation) < ($5, $6)", []any{f.Tag, hidden(f.Category != "")}
	if f.Assignee != "" {
		where += " AND assignee = $8"
	}
	assignee := f.Assignee
	if assignee == "none" {
		assignee = ""
	}
	rest := f
	rest.Tag, rest.Status = "", ""
	var out []Row
	for batch := limit; len(out) < limit; batch = min(batch*4, 2000) {
		var refs []ref
		for _, st := range statuses {
			args := append(slices.Clone(args), st, at, id, batch)
			if f.Assignee != "" {
				args = append(args, assignee)
			}
			rows, err := o.Query(ctx, `SELECT conversation, last_at FROM conversation_tag WHERE `+where+` ORDER BY last_at DESC, conversation DESC LIMIT $7`, args...)
			err = db.Each(rows, err, func() error {
				var r ref
				err := rows.Scan(&r.id, &r.at)
				refs = append(refs, r)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("list by tag: %w", err)
			}
		}
		slices.SortFunc(refs, func(a, b ref) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.id, a.id)) })
		refs = refs[:min(len(refs), batch)]
		if len(refs) == 0 {
			break
		}
		at, id = refs[len(refs)-1].at, refs[len(refs)-1].id
		rest.IDs = make([]string, len(refs))
		for i, r := range refs {
			rest.IDs[i] = r.id
		}
		part, err := list(ctx, o, rest, "", len(refs))
		if err != nil {
			return nil, err
		}
		out = append(out, slices.DeleteFunc(part, func(r Row) bool { return r.Category != f.Category || r.JoinedInto != "" })...)
		if len(refs) < batch {
			break
		}
	}
	return out[:min(len(out), limit)], nil
}

func parseCursor(s string) (int64, string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	var at int64
	var id string
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d %s", &at, &id)
	}
	if err != nil {
		return 0, "", fmt.Errorf("%w: %q", db.ErrCursor, s)
	}
	return at, id, nil
}

// Counts are the numbers beside the desk's filters.
type Counts struct {
	Mine, Unassigned, Waiting, Open, Mentions int64
}

// Count gives the numbers beside the desk's filters for a staff member. Each stops counting at 1,000.
func Count(ctx context.Context, o db.Org, staff string) (c Counts, err error) {
	for _, x := range []struct {
		dst  *int64
		cond string
		args []any
	}{
		{&c.Mine, `assignee = $2 AND status = 'open'`, []any{staff}},
		{&c.Unassigned, `assignee = '' AND status = 'open'`, nil},
		{&c.Waiting, `status = 'open' AND waiting_since > 0`, nil},
		{&c.Open, `status = 'open'`, nil},
	} {
		if err := o.Row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM conversation WHERE org = $1 AND `+x.cond+` LIMIT 1000) AS c`, x.args...).Scan(x.dst); err != nil {
			return c, fmt.Errorf("count conversations: %w", err)
		}
	}
	if err := o.Row(ctx, `SELECT COUNT(*) FROM (SELECT DISTINCT conversation FROM mention WHERE org = $1 AND staff = $2 AND seen_at = 0 LIMIT 1000) AS c`, staff).Scan(&c.Mentions); err != nil {
		return c, fmt.Errorf("count mentions: %w", err)
	}
	return c, nil
}

// Actor is who changes a conversation.
type Actor struct {
	ID   string // staff id, "" = the system
	Name string
}

// Change is what Update may change; nil means "as it is".
type Change struct {
	Status       *string
	Assignee     *Actor // empty ID = nobody
	Subject      *string
	SnoozedUntil *time.Time
	Tags         *[]string
	TagsAdd      []string
	TagsRemove   []string
	Unit         *Actor // id and name of the unit; empty ID = none
}

// Update changes a conversation and notes in it what was done by whom.
func Update(ctx context.Context, tx *db.Tx, id string, ch Change, by Actor, now time.Time) (Row, error) {
	r, err := load(ctx, tx, id)
	if err != nil {
		return Row{}, err
	}
	if r.JoinedInto != "" {
		return Row{}, ErrJoined
	}
	was := r
	if ch.Assignee != nil && ch.Assignee.ID != r.Assignee {
		r.Assignee, r.AssigneeName = ch.Assignee.ID, ch.Assignee.Name
		if err := event(ctx, tx, &r, Event{Type: "assigned", By: by.Name, To: r.AssigneeName}, now); err != nil {
			return Row{}, err
		}
	}
	if ch.Subject != nil {
		r.Subject = oneLine(*ch.Subject, 200)
	}
	if ch.Tags != nil {
		r.Tags, r.retagged = CleanTags(*ch.Tags), true
	}
	if len(ch.TagsAdd)+len(ch.TagsRemove) > 0 {
		r.retagged = true
		r.Tags = slices.DeleteFunc(CleanTags(append(slices.Clone(r.Tags), ch.TagsAdd...)), func(t string) bool {
			return slices.ContainsFunc(ch.TagsRemove, func(x string) bool { return strings.EqualFold(strings.TrimSpace(x), t) })
		})
	}
	if ch.Unit != nil {
		r.Unit, r.UnitName = ch.Unit.ID, ch.Unit.Name
	}
	if ch.SnoozedUntil != nil {
		if ch.SnoozedUntil.After(now) {
			s := Snoozed
			ch.Status = &s
		}
		r.SnoozedUntil = *ch.SnoozedUntil
	}
	if ch.Status != nil && (*ch.Status != was.Status || *ch.Status == Snoozed) {
		var e string
		switch *ch.Status {
		case Open:
			e, r.SnoozedUntil, r.ClosedAt = "reopened", time.Time{}, time.Time{}
			if was.Status == Snoozed {
				e = "woken"
			}
			r.Category = ""
		case Closed:
			e, r.ClosedAt, r.SnoozedUntil, r.WaitingSince = "closed", now, time.Time{}, time.Time{}
		case Snoozed:
			e = "snoozed"
			if r.SnoozedUntil.IsZero() {
				return Row{}, errors.New("say until when the conversation sleeps (snoozed_until)")
			}
		default:
			return Row{}, fmt.Errorf("there is no status %q; possible are open, snoozed, closed", *ch.Status)
		}
		r.Status = *ch.Status
		to := ""
		if e == "snoozed" {
			to = r.SnoozedUntil.Format(time.RFC3339)
		}
		if err := event(ctx, tx, &r, Event{Type: e, By: by.Name, To: to}, now); err != nil {
			return Row{}, err
		}
	}
	return r, save(ctx, tx, &r, false)
}

// Wake reopens conversations whose sleep is over, up to 200 at a time, and returns how many.
func Wake(ctx context.Context, o db.Org, now time.Time) (int, error) {
	var ids []string
	rows, err := o.Query(ctx, `SELECT id FROM conversation WHERE org = $1 AND snoozed_until > 0 AND snoozed_until <= $2 LIMIT 200`, now.UnixMicro())
	err = db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	open := Open
	return len(ids), o.Write(ctx, func(tx *db.Tx) error {
		for _, id := range ids {
			r, err := load(ctx, tx, id)
			if err != nil {
				return err
			}
			if r.Status != Snoozed || r.SnoozedUntil.After(now) {
				continue
			}
			if _, err := Update(ctx, tx, id, Change{Status: &open}, Actor{}, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// Rename copies a customer's new name into the rows of the customer's conversations.
func Rename(ctx context.Context, tx *db.Tx, customers []string, name string) error {
	list, args := db.In(3, customers)
	var ids []string
	rows, err := tx.Query(ctx, `UPDATE conversation SET customer_name = $2 WHERE org = $1 AND customer IN `+list+` RETURNING id`, append([]any{name}, args...)...)
	err = db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("rename customer in conversations: %w", err)
	}
	for _, id := range ids {
		tx.Emit("conversation", id, nil)
	}
	return nil
}

// Trouble counts deliveries of a conversation that need a person: +1 when one failed, −1 when somebody dealt with it.
func Trouble(ctx context.Context, tx *db.Tx, id string, delta int64) error {
	r, err := load(ctx, tx, id)
	if err != nil {
		return err
	}
	r.Failed = max(0, r.Failed+delta)
	return save(ctx, tx, &r, false)
}

// MarkRead notes that staff has read up to the message; "" means all.
func MarkRead(ctx context.Context, tx *db.Tx, id, staff, message string, now time.Time) error {
	r, err := load(ctx, tx, id)
	if err != nil {
		return err
	}
	pos, received := r.Pos, r.Received
	if message != "" {
		if err := tx.Row(ctx, `SELECT pos FROM message WHERE org = $1 AND id = $2 AND conversation = $3`, message, id).Scan(&pos); err != nil {
			if errors.Is(err, db.ErrNoRows) {
				return ErrNoSuch
			}
			return err
		}
		var later int64
		if err := tx.Row(ctx, `SELECT COUNT(*) FROM message WHERE org = $1 AND conversation = $2 AND pos > $3 AND direction = 'in' AND kind = 'message'`, id, pos).Scan(&later); err != nil {
			return err
		}
		received -= later
	}
	_, err = tx.Exec(ctx, `INSERT INTO conversation_read (org, staff, conversation, received, pos) VALUES ($1,$2,$3,$4,$5)
		ON CONFLICT (org, staff, conversation) DO UPDATE SET received = excluded.received, pos = excluded.pos WHERE conversation_read.pos <= excluded.pos`, staff, id, received, pos)
	if err != nil {
		return fmt.Errorf("mark as read: %w", err)
	}
	return seeMentions(ctx, tx, id, staff, now)
}

// Draft is an unsent text that a staff member left in a conversation, as the desk wrote it (JSON).
type Draft struct {
	Body      json.RawMessage
	UpdatedAt time.Time
}

// GetDraft reads a draft; db.ErrNoRows if there is none.
func GetDraft(ctx context.Context, q db.Querier, id, staff string) (Draft, error) {
	var body string
	var at int64
	err := q.Row(ctx, `SELECT body, updated_at FROM draft WHERE org = $1 AND staff = $2 AND conversation = $3`, staff, id).Scan(&body, &at)
	return Draft{json.RawMessage(body), db.Time(at)}, err
}

// SaveDraft keeps a draft; a nil body removes it.
func SaveDraft(ctx context.Context, tx *db.Tx, id, staff string, body json.RawMessage, now time.Time) error {
	var err error
	if body == nil {
		_, err = tx.Exec(ctx, `DELETE FROM draft WHERE org = $1 AND staff = $2 AND conversation = $3`, staff, id)
	} else {
		_, err = tx.Exec(ctx, `INSERT INTO draft (org, staff, conversation, body, updated_at) VALUES ($1,$2,$3,$4,$5)
			ON CONFLICT (org, staff, conversation) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at`, staff, id, string(body), now.UnixMicro())
	}
	if err != nil {
		return fmt.Errorf("keep draft: %w", err)
	}
	return nil
}

func oneLine(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}
