// Package customer is in charge of people and their addresses: who is behind an address, how sure we are, and which
// records are the same person (merge, reversible). It never guesses: an address joins a person by proof or by a
// member of staff.
package customer

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such customer")
	ErrSame     = errors.New("both are the same customer already")
	ErrTaken    = errors.New("this address belongs to another customer")
)

// Customer is one person.
type Customer struct {
	ID        string
	Name      string
	Language  string // BCP 47, "" = unknown
	Notes     string // internal
	Advisor   string // staff id of the personal contact
	CreatedAt time.Time
	SeenAt    time.Time // last inbound
	Merged    []Merged  // records that were merged into this one
}

// Merged is a record that now reads as part of another.
type Merged struct {
	ID   string
	Name string
	At   time.Time
}

// Address is one way to reach a person.
type Address struct {
	ID         string
	Customer   string // the record that holds it, before merging
	Kind       channel.Kind
	Value      string
	Name       string // as its owner calls itself there
	Assurance  channel.Assurance
	Channel    string // the channel it was last used with
	UsedAt     time.Time
	OptedOutAt time.Time
	Rule       string // what staff said of this sender ("spam", "newsletter", "notice", "blocked"); "" = nothing
	RuledBy    string // staff id
	RuledAt    time.Time
}

const addressColumns = `id, customer, kind, value, name, assurance, channel, used_at, opted_out_at, rule, ruled_by, ruled_at`

func scanAddress(rows *db.Rows) (Address, error) {
	var a Address
	var kind, assurance string
	var used, out, ruled int64
	err := rows.Scan(&a.ID, &a.Customer, &kind, &a.Value, &a.Name, &assurance, &a.Channel, &used, &out, &a.Rule, &a.RuledBy, &ruled)
	a.Kind, a.Assurance, a.UsedAt, a.OptedOutAt, a.RuledAt = channel.Kind(kind), channel.Assurance(assurance), db.Time(used), db.Time(out), db.Time(ruled)
	return a, err
}

// Sender is who an event came from, found or newly made.
type Sender struct {
	Customer Customer // the surviving record
	Address  Address
	New      bool // the customer was made just now
	Named    bool // until now only the address was known; the caller tells the conversations the name

	aliased bool // the provider's other names of it are noted
}

// Book resolves the senders of a batch of events within one transaction and remembers them, so that each is looked
// up once.
type Book struct {
	tx   *db.Tx
	seen map[string]*Sender
}

// NewBook makes a Book for tx.
func NewBook(tx *db.Tx) *Book { return &Book{tx, map[string]*Sender{}} }

// Sender finds the person behind an address, or makes one. now is the time of the event.
func (b *Book) Sender(ctx context.Context, kind channel.Kind, ch string, from channel.Address, now time.Time) (*Sender, error) {
	if from.Value == "" {
		return nil, errors.New("the event names no sender")
	}
	key := string(kind) + " " + from.Value
	s, ok := b.seen[key]
	if !ok {
		var err error
		if s, err = b.find(ctx, kind, from.Value); errors.Is(err, db.ErrNoRows) {
			s, err = b.findElsewhere(ctx, kind, from, now)
		}
		if errors.Is(err, db.ErrNoRows) {
			s, err = b.create(ctx, kind, ch, from, now)
		}
		if errors.Is(err, ErrTaken) { // somebody wrote the address down in the meantime
			s, err = b.find(ctx, kind, from.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("find the sender: %w", err)
		}
		b.seen[key] = s
	}
	if len(from.Also) > 0 && !s.aliased {
		if err := alias(ctx, b.tx, kind, s.Address, from.Also, now); err != nil {
			return nil, err
		}
		s.aliased = true
	}
	return s, b.touch(ctx, s, ch, from, now)
}

// Forget drops what was remembered; call it after a savepoint was rolled back.
func (b *Book) Forget() { clear(b.seen) }

func (b *Book) find(ctx context.Context, kind channel.Kind, value string) (*Sender, error) {
	rows, err := b.tx.Query(ctx, `SELECT a.id, a.customer, a.kind, a.value, a.name, a.assurance, a.channel, a.used_at, a.opted_out_at, a.rule,
			c.id, c.name, c.language, c.notes, c.advisor, c.merged_into, c.created_at, c.seen_at
		FROM address a JOIN customer c ON c.org = a.org AND c.id = a.customer WHERE a.org = $1 AND a.kind = $2 AND a.value = $3`, string(kind), value)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, cmp.Or(rows.Err(), db.ErrNoRows)
	}
	s := &Sender{}
	a, c := &s.Address, &s.Customer
	var k, assurance, into string
	var used, out, created, seen int64
	if err := rows.Scan(&a.ID, &a.Customer, &k, &a.Value, &a.Name, &assurance, &a.Channel, &used, &out, &a.Rule, &c.ID, &c.Name, &c.Language, &c.Notes, &c.Advisor, &into, &created, &seen); err != nil {
		return nil, err
	}
	a.Kind, a.Assurance, a.UsedAt, a.OptedOutAt = channel.Kind(k), channel.Assurance(assurance), db.Time(used), db.Time(out)
	c.CreatedAt, c.SeenAt = db.Time(created), db.Time(seen)
	rows.Close()
	if into != "" {
		*c, err = root(ctx, b.tx, into)
	}
	return s, err
}

func (b *Book) create(ctx context.Context, kind channel.Kind, ch string, from channel.Address, now time.Time) (*Sender, error) {
	name := CleanName(from.Name)
	if name == "" {
		name = from.Value
	}
	s := &Sender{New: true, Customer: Customer{ID: db.NewID(), Name: name, Language: CleanName(from.Language), CreatedAt: now, SeenAt: now}}
	s.Address = Address{ID: db.NewID(), Customer: s.Customer.ID, Kind: kind, Value: from.Value, Name: CleanName(from.Name), Assurance: orClaimed(from.Assurance), Channel: ch}
	if ch != "" { // it was written from, not only written down
		s.Address.UsedAt = now
	}
	// The address decides who is first, and only who is makes a customer.
	if err := insertAddress(ctx, b.tx, s.Address, now); err != nil {
		return nil, err
	}
	return s, insert(ctx, b.tx, s.Customer, "channel")
}

// touch keeps the address's last use (to the minute), channel, name and assurance.
func (b *Book) touch(ctx context.Context, s *Sender, ch string, from channel.Address, now time.Time) error {
	a := &s.Address
	stronger := orClaimed(from.Assurance).Stronger(a.Assurance)
	name := CleanName(from.Name)
	if name != "" && name != a.Value && s.Customer.Name == a.Value { // written down by staff, who knew the address only
		s.Customer.Name, s.Named = name, true
		if _, err := b.tx.Exec(ctx, `UPDATE customer SET name = $3, named_by = 'channel' WHERE org = $1 AND id = $2`, s.Customer.ID, name); err != nil {
			return fmt.Errorf("name a customer: %w", err)
		}
		b.tx.Emit("customer", s.Customer.ID, nil)
	}
	if !stronger && a.Channel == ch && now.Sub(a.UsedAt) < time.Minute && (name == "" || name == a.Name) {
		return nil
	}
	if stronger {
		a.Assurance = from.Assurance
	}
	if name != "" {
		a.Name = name
	}
	a.Channel = ch
	if now.After(a.UsedAt) {
		a.UsedAt = now
	}
	if _, err := b.tx.Exec(ctx, `UPDATE address SET assurance = $3, name = $4, channel = $5, used_at = $6 WHERE org = $1 AND id = $2`,
		a.ID, string(a.Assurance), a.Name, a.Channel, db.Micro(a.UsedAt)); err != nil {
		return fmt.Errorf("note the use of an address: %w", err)
	}
	if _, err := b.tx.Exec(ctx, `UPDATE customer SET seen_at = $3 WHERE org = $1 AND id = $2 AND seen_at < $3`, s.Customer.ID, db.Micro(now)); err != nil {
		return fmt.Errorf("note when the customer was seen: %w", err)
	}
	return nil
}

func orClaimed(a channel.Assurance) channel.Assurance {
	if a == "" {
		return channel.Claimed
	}
	return a
}

func insert(ctx context.Context, tx *db.Tx, c Customer, namedBy string) error {
	tx.Emit("customer", c.ID, nil)
	_, err := tx.Exec(ctx, `INSERT INTO customer (org, id, name, named_by, language, notes, advisor, merged_into, merged_at, created_at, seen_at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,'',0,$8,$9)`, c.ID, c.Name, namedBy, c.Language, c.Notes, c.Advisor, db.Micro(c.CreatedAt), db.Micro(c.SeenAt))
	return err
}

func insertAddress(ctx context.Context, tx *db.Tx, a Address, now time.Time) error {
	n, err := tx.Exec(ctx, `INSERT INTO address (org, id, customer, kind, value, name, assurance, channel, used_at, opted_out_at, created_at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,0,$10) ON CONFLICT (org, kind, value) DO NOTHING`, a.ID, a.Customer, string(a.Kind), a.Value, a.Name, string(a.Assurance), a.Channel, db.Micro(a.UsedAt), db.Micro(now))
	if err == nil && n == 0 {
		return ErrTaken
	}
	return err
}

const customerColumns = `id, name, language, notes, advisor, merged_into, created_at, seen_at`

func scanCustomer(rows *db.Rows) (Customer, string, error) {
	var c Customer
	var into string
	var created, seen int64
	err := rows.Scan(&c.ID, &c.Name, &c.Language, &c.Notes, &c.Advisor, &into, &created, &seen)
	c.CreatedAt, c.SeenAt = db.Time(created), db.Time(seen)
	return c, into, err
}

// root follows merges to the surviving record.
func root(ctx context.Context, q db.Querier, id string) (Customer, error) {
	for range 100 {
		rows, err := q.Query(ctx, `SELECT `+customerColumns+` FROM customer WHERE org = $1 AND id = $2`, id)
		if err != nil {
			return Customer{}, err
		}
		if !rows.Next() {
			rows.Close()
			return Customer{}, cmp.Or(rows.Err(), ErrNotFound)
		}
		c, into, err := scanCustomer(rows)
		rows.Close()
		if err != nil || into == "" {
			return c, err
		}
		id = into
	}
	return Customer{}, fmt.Errorf("customer %s is merged in a circle", id)
}

// Get reads a customer; the id of a merged record gives the surviving one.
func Get(ctx context.Context, q db.Querier, id string) (Customer, error) {
	c, err := root(ctx, q, id)
	if err != nil {
		return Customer{}, fmt.Errorf("read customer %s: %w", id, err)
	}
	rows, err := q.Query(ctx, `SELECT id, name, merged_at FROM customer WHERE org = $1 AND merged_into = $2 AND merged_into <> '' ORDER BY merged_at`, c.ID)
	err = db.Each(rows, err, func() error {
		var m Merged
		var at int64
		if err := rows.Scan(&m.ID, &m.Name, &at); err != nil {
			return err
		}
		m.At = db.Time(at)
		c.Merged = append(c.Merged, m)
		return nil
	})
	if err != nil {
		return Customer{}, fmt.Errorf("read merged records of customer %s: %w", id, err)
	}
	return c, nil
}

// IDs gives the ids of every record that reads as this customer, the surviving one first.
func IDs(ctx context.Context, q db.Querier, id string) ([]string, error) {
	c, err := root(ctx, q, id)
	if err != nil {
		return nil, err
	}
	out := []string{c.ID}
	rows, err := q.Query(ctx, `WITH RECURSIVE part(id) AS (
			SELECT id FROM customer WHERE org = $1 AND merged_into = $2 AND merged_into <> ''
			UNION SELECT c.id FROM customer c JOIN part p ON c.merged_into = p.id WHERE c.org = $1 AND c.merged_into <> '')
		SELECT id FROM part`, c.ID)
	err = db.Each(rows, err, func() error {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		out = append(out, id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the records of customer %s: %w", id, err)
	}
	return out, nil
}

// Survivors gives, for those of the ids that were merged, the surviving id. Ids that are not in the map survive.
func Survivors(ctx context.Context, q db.Querier, ids []string) (map[string]string, error) {
	out := map[string]string{}
	list, args := db.In(2, ids)
	// One query, however many of them were merged: lists of conversations ask this for every page.
	rows, err := q.Query(ctx, `WITH RECURSIVE up(start, id, parent) AS (
			SELECT id, id, merged_into FROM customer WHERE org = $1 AND merged_into <> '' AND id IN `+list+`
			UNION SELECT up.start, c.id, c.merged_into FROM up JOIN customer c ON c.org = $1 AND c.id = up.parent)
		SELECT start, id FROM up WHERE parent = ''`, args...)
	err = db.Each(rows, err, func() error {
		var id, survivor string
		if err := rows.Scan(&id, &survivor); err != nil {
			return err
		}
		out[id] = survivor
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("resolve merged customers: %w", err)
	}
	return out, nil
}

// Addresses lists every address of a customer, merged records included, the last used first.
func Addresses(ctx context.Context, q db.Querier, ids []string) ([]Address, error) {
	var out []Address
	list, args := db.In(2, ids)
	rows, err := q.Query(ctx, `SELECT `+addressColumns+` FROM address WHERE org = $1 AND customer IN `+list+` ORDER BY used_at DESC, id DESC`, args...)
	err = db.Each(rows, err, func() error {
		a, err := scanAddress(rows)
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return out, nil
}

// AddressByID reads one address.
func AddressByID(ctx context.Context, q db.Querier, id string) (Address, error) {
	rows, err := q.Query(ctx, `SELECT `+addressColumns+` FROM address WHERE org = $1 AND id = $2`, id)
	if err != nil {
		return Address{}, fmt.Errorf("read address: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return Address{}, cmp.Or(rows.Err(), ErrNotFound)
	}
	return scanAddress(rows)
}

// Create adds a customer by hand.
func Create(ctx context.Context, tx *db.Tx, name, language string, addresses []Address, now time.Time) (Customer, error) {
	c := Customer{ID: db.NewID(), Name: CleanName(name), Language: language, CreatedAt: now}
	if c.Name == "" {
		for _, a := range addresses {
			c.Name = a.Value
			break
		}
	}
	if err := insert(ctx, tx, c, "staff"); err != nil {
		return Customer{}, fmt.Errorf("create customer: %w", err)
	}
	for _, a := range addresses {
		if _, err := AddAddress(ctx, tx, c.ID, a.Kind, a.Value, now); err != nil {
			return Customer{}, err
		}
	}
	return c, nil
}

// Ensure gives the address with this value, making it and its customer if there is none (writing first to somebody).
func Ensure(ctx context.Context, tx *db.Tx, kind channel.Kind, value, name string, now time.Time) (Sender, error) {
	value = Normalise(kind, value)
	b := NewBook(tx)
	s, err := b.find(ctx, kind, value)
	if err == nil {
		return *s, nil
	}
	if !errors.Is(err, db.ErrNoRows) {
		return Sender{}, fmt.Errorf("find address: %w", err)
	}
	s, err = b.create(ctx, kind, "", channel.Address{Value: value, Name: name}, now)
	if errors.Is(err, ErrTaken) { // its owner wrote in the meantime
		s, err = b.find(ctx, kind, value)
	}
	if err != nil {
		return Sender{}, fmt.Errorf("create customer: %w", err)
	}
	return *s, nil
}

// AddAddress gives a customer a further address, claimed until it is proved.
func AddAddress(ctx context.Context, tx *db.Tx, customer string, kind channel.Kind, value string, now time.Time) (Address, error) {
	a := Address{ID: db.NewID(), Customer: customer, Kind: kind, Value: Normalise(kind, value), Assurance: channel.Claimed}
	if a.Value == "" {
		return Address{}, errors.New("the address is empty")
	}
	if err := insertAddress(ctx, tx, a, now); err != nil {
		return Address{}, fmt.Errorf("add address: %w", err)
	}
	tx.Emit("customer", customer, nil)
	return a, nil
}

// RemoveAddress takes an address off a customer. What was written by it stays where it is.
func RemoveAddress(ctx context.Context, tx *db.Tx, ids []string, address string) error {
	list, args := db.In(3, ids)
	n, err := tx.Exec(ctx, `DELETE FROM address WHERE org = $1 AND id = $2 AND customer IN `+list, append([]any{address}, args...)...)
	if err != nil {
		return fmt.Errorf("remove address: %w", err)
	}
	if n == 0 {
		return ErrNotFound
	}
	tx.Emit("customer", ids[0], nil)
	return nil
}

// Observed notes that an address received something of ours (its owner sent a token back).
func Observed(ctx context.Context, tx *db.Tx, address string) error {
	_, err := tx.Exec(ctx, `UPDATE address SET assurance = 'observed' WHERE org = $1 AND id = $2 AND assurance = 'claimed'`, address)
	if err != nil {
		return fmt.Errorf("note that an address was observed: %w", err)
	}
	return nil
}

// OptOut notes that nothing more may be sent to an address; a zero time takes it back.
func OptOut(ctx context.Context, tx *db.Tx, address string, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE address SET opted_out_at = $3 WHERE org = $1 AND id = $2`, address, db.Micro(at))
	if err != nil {
		return fmt.Errorf("note an opt-out: %w", err)
	}
	return nil
}

// Rule notes what staff says of a sender: "spam", "newsletter", "notice", "blocked", or "" (nothing any more).
func Rule(ctx context.Context, tx *db.Tx, address, rule, by string, at time.Time) error {
	if rule == "" {
		by, at = "", time.Time{}
	}
	n, err := tx.Exec(ctx, `UPDATE address SET rule = $3, ruled_by = $4, ruled_at = $5 WHERE org = $1 AND id = $2`, address, rule, by, db.Micro(at))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("note what a sender is: %w", err)
	}
	return nil
}

// Ruled lists the senders of whom staff said something, the last first.
func Ruled(ctx context.Context, o db.Org, cursor string, limit int) (page []Address, next string, err error) {
	before, id := int64(1<<62), "~"
	if cursor != "" {
		if before, id, err = parseCursor(cursor); err != nil {
			return nil, "", err
		}
	}
	rows, err := o.Query(ctx, `SELECT `+addressColumns+` FROM address WHERE org = $1 AND rule <> '' AND (ruled_at, id) < ($2, $3) ORDER BY ruled_at DESC, id DESC LIMIT $4`, before, id, limit+1)
	err = db.Each(rows, err, func() error {
		a, err := scanAddress(rows)
		page = append(page, a)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list ruled senders: %w", err)
	}
	if len(page) > limit {
		page = page[:limit]
		next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", db.Micro(page[limit-1].RuledAt), page[limit-1].ID))
	}
	return page, next, nil
}

// AddressesByID reads addresses in one go; unknown ids are left out.
func AddressesByID(ctx context.Context, q db.Querier, ids []string) (map[string]Address, error) {
	out := map[string]Address{}
	if len(ids) == 0 {
		return out, nil
	}
	list, args := db.In(2, ids)
	rows, err := q.Query(ctx, `SELECT `+addressColumns+` FROM address WHERE org = $1 AND id IN `+list, args...)
	err = db.Each(rows, err, func() error {
		a, err := scanAddress(rows)
		out[a.ID] = a
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return out, nil
}

// Change is what Update may change; nil means "as it is".
type Change struct {
	Name, Language, Notes, Advisor *string
}

// Update changes a customer and returns it as it is now.
func Update(ctx context.Context, tx *db.Tx, id string, ch Change) (Customer, error) {
	c, err := root(ctx, tx, id)
	if err != nil {
		return Customer{}, fmt.Errorf("change customer: %w", err)
	}
	set := func(dst *string, v *string) {
		if v != nil {
			*dst = *v
		}
	}
	if ch.Name != nil {
		if n := CleanName(*ch.Name); n != "" {
			c.Name = n
		}
	}
	set(&c.Language, ch.Language)
	set(&c.Notes, ch.Notes)
	set(&c.Advisor, ch.Advisor)
	tx.Emit("customer", c.ID, nil)
	_, err = tx.Exec(ctx, `UPDATE customer SET name = $3, language = $4, notes = $5, advisor = $6, named_by = 'staff' WHERE org = $1 AND id = $2`,
		c.ID, c.Name, c.Language, c.Notes, c.Advisor)
	if err != nil {
		return Customer{}, fmt.Errorf("change customer: %w", err)
	}
	return c, nil
}

// Merge makes other read as part of id. No other room's rows move, so that Unmerge can take it back.
func Merge(ctx context.Context, tx *db.Tx, id, other string, now time.Time) (Customer, error) {
	if err := tx.Lock(ctx, "customer merge"); err != nil {
		return Customer{}, err
	}
	a, err := root(ctx, tx, id)
	if err != nil {
		return Customer{}, err
	}
	b, err := root(ctx, tx, other)
	if err != nil {
		return Customer{}, err
	}
	if a.ID == b.ID {
		return Customer{}, ErrSame
	}
	tx.Emit("customer", a.ID, nil)
	tx.Emit("customer", b.ID, nil)
	_, err = tx.Exec(ctx, `UPDATE customer SET merged_into = $3, merged_at = $4 WHERE org = $1 AND id = $2`, b.ID, a.ID, now.UnixMicro())
	if err != nil {
		return Customer{}, fmt.Errorf("merge customers: %w", err)
	}
	return Get(ctx, tx, a.ID)
}

// Unmerge makes a merged record a customer of its own again.
func Unmerge(ctx context.Context, tx *db.Tx, id, merged string) (Customer, error) {
	tx.Emit("customer", id, nil)
	tx.Emit("customer", merged, nil)
	n, err := tx.Exec(ctx, `UPDATE customer SET merged_into = '', merged_at = 0 WHERE org = $1 AND id = $2 AND merged_into = $3`, merged, id)
	if err != nil {
		return Customer{}, fmt.Errorf("un-merge customers: %w", err)
	}
	if n == 0 {
		return Customer{}, ErrNotFound
	}
	return Get(ctx, tx, id)
}

// List gives customers by name or address (a part of either), the last seen first. cursor comes from an earlier page.
// With q it reads every customer; Newest and package search together find nearly the same in far less time.
func List(ctx context.Context, o db.Org, q, cursor string, limit int) (page []Customer, next string, err error) {
	seen, after, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	where, args := "merged_into = '' AND (seen_at, id) < ($2, $3)", []any{seen, after, limit + 1}
	if q = strings.TrimSpace(q); q != "" {
		args = append(args, "%"+escapeLike(strings.ToLower(q))+"%")
		where += ` AND (LOWER(name) LIKE $5 ESCAPE '\' OR id IN (SELECT customer FROM address WHERE org = $1 AND LOWER(value) LIKE $5 ESCAPE '\'))`
	}
	return listed(ctx, o, where, args, limit)
}

// Newest gives the records, merged ones too, that have q as a part of their name or of one of their addresses, among as
// many customers that were seen last, customers that were made last and addresses that were made last; at most limit of
// each. What it costs does not grow with the number of customers.
func Newest(ctx context.Context, o db.Org, q string, among, limit int) (ids []string, err error) {
	like := "%" + escapeLike(strings.ToLower(strings.TrimSpace(q))) + "%"
	for _, from := range []string{
		`id AS record, name AS part FROM customer WHERE org = $1 ORDER BY seen_at DESC, id DESC`,
		`id AS record, name AS part FROM customer WHERE org = $1 ORDER BY id DESC`,
		`customer AS record, value AS part FROM address WHERE org = $1 ORDER BY id DESC`,
	} {
		rows, err := o.Query(ctx, `SELECT record FROM (SELECT `+from+` LIMIT $3) AS x WHERE LOWER(part) LIKE $2 ESCAPE '\' LIMIT $4`, like, among, limit)
		err = db.Each(rows, err, func() error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look through the newest customers: %w", err)
		}
	}
	return ids, nil
}

// ListOf gives those customers to whom the records belong, in List's order and with List's cursor.
func ListOf(ctx context.Context, o db.Org, records []string, cursor string, limit int) (page []Customer, next string, err error) {
	seen, after, err := parseCursor(cursor)
	if err != nil || len(records) == 0 {
		return nil, "", err
	}
	survivors, err := Survivors(ctx, o, records)
	if err != nil {
		return nil, "", err
	}
	known := make(map[string]bool, len(records))
	ids := make([]string, 0, len(records))
	for _, id := range records {
		if to, merged := survivors[id]; merged {
			id = to
		}
		if !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	list, args := db.In(5, ids)
	return listed(ctx, o, `merged_into = '' AND (seen_at, id) < ($2, $3) AND id IN `+list, append([]any{seen, after, limit + 1}, args...), limit)
}

// listed reads a page; $4 is how many rows.
func listed(ctx context.Context, o db.Org, where string, args []any, limit int) (page []Customer, next string, err error) {
	rows, err := o.Query(ctx, `SELECT `+customerColumns+` FROM customer WHERE org = $1 AND `+where+` ORDER BY seen_at DESC, id DESC LIMIT $4`, args...)
	err = db.Each(rows, err, func() error {
		c, _, err := scanCustomer(rows)
		page = append(page, c)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list customers: %w", err)
	}
	if len(page) > limit {
		page = page[:limit]
		last := page[limit-1]
		next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", db.Micro(last.SeenAt), last.ID))
	}
	return page, next, nil
}

func parseCursor(s string) (int64, string, error) {
	if s == "" {
		return 1 << 62, "~", nil
	}
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

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// Normalise brings an address into the form in which drivers give it.
func Normalise(kind channel.Kind, value string) string {
	value = strings.TrimSpace(value)
	switch kind {
	case "email":
		value = strings.ToLower(value)
	case "whatsapp", "twilio", "vonage", "smpp", "rcs", "signal":
		// Numbers without a country are German ones: people write "0151 234…". What is no number (an id of the provider's,
		// an alphanumeric sender) stays as it is.
		if n, err := phonenumbers.Parse(value, "DE"); err == nil && phonenumbers.IsPossibleNumber(n) {
			value = phonenumbers.Format(n, phonenumbers.E164)
		}
	}
	return value
}

// SplitName takes a name apart as people say it: "Yıldız, Ayşe" is Ayşe Yıldız. first and last are "" where it is one word
// or an address.
func SplitName(name string) (full, first, last string) {
	full = name
	if after, before, ok := strings.Cut(name, ","); ok {
		full = strings.TrimSpace(before) + " " + strings.TrimSpace(after)
	}
	if parts := strings.Fields(full); len(parts) > 1 && !strings.Contains(full, "@") {
		first, last = strings.Join(parts[:len(parts)-1], " "), parts[len(parts)-1]
	}
	return full, first, last
}

// CleanName makes a name that a stranger chose harmless: no control or bidirectional-override characters, no line
// breaks, at most 100 characters.
func CleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u200b', r == '\u2060', r == '\ufeff', r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100])
	}
	return s
}
