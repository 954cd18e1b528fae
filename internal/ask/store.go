package ask

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such question")
	ErrNotOpen  = errors.New("this question is not open any more")
	ErrNoCode   = errors.New("no such answer code")
	// ErrCannot means that the medium cannot carry the question, see CannotError.
	ErrCannot = errors.New("this question cannot be put on this channel")
	ErrNoSlot = errors.New("the calendar has no free time in these days")
)

// CannotError says why a question cannot be put on a medium.
type CannotError struct{ Problems []RenderProblem }

// Error implements error.
func (e *CannotError) Error() string {
	s := ErrCannot.Error()
	for _, p := range e.Problems {
		s += "; " + p.Detail
	}
	return s
}

// Unwrap gives ErrCannot.
func (e *CannotError) Unwrap() error { return ErrCannot }

// State is where a question stands.
type State string

// States of questions.
const (
	Open      State = "open"
	Answered  State = "answered"
	Expired   State = "expired"
	Withdrawn State = "withdrawn" // by staff, or because its dialog ended
	Handed    State = "handed"    // a person takes care of it
)

// DefaultZone is where people are of whom nothing else is known.
const DefaultZone = "Europe/Berlin"

const (
	defaultExpiry  = 90 * 24 * time.Hour
	staffCorrect   = 24 * time.Hour // how long answers to questions of staff may be changed, if nothing is said
	slotsAtOnce    = 6
	defaultDays    = 14
	codeLife       = 10 * time.Minute // of a code that proves an address
	codeTries      = 5
	sameAgain      = time.Minute // the same answer again so soon is a finger's, not a wish
	reminderFrom   = 8           // reminders come by day
	reminderUntil  = 20
	shortReply     = 60 // a longer reply to a colleague's question is not answered by a machine
	whichStep      = "which:"
	dueAtOnce      = 100
	answeredByPage = "page"
)

// Asked is a question that was put to a customer.
type Asked struct {
	ID              string
	Conversation    string
	Customer        string
	Message         string // by which it was put last; "" = not (any more)
	Instance        string // of the dialog that asks; "" = staff did
	Step            string
	Ask             Ask   // as it was put: slots filled in
	Words           Texts // said before it
	Language        string
	Channel         string
	ChannelKind     channel.Kind
	Address         string
	ClientID        string
	State           State
	Value           Value // Answered
	ValueText       string
	Tries           int
	AnsweredAt      time.Time
	AnsweredVia     string // channel kind
	AnsweredKind    string // customer, staff, default
	AnsweredBy      string
	AnsweredName    string
	AnsweredMessage string
	ExpiresAt       time.Time
	DueAt           time.Time
	RemindedAt      time.Time
	CorrectUntil    time.Time
	CreatedBy       conversation.Actor
	CreatedAt       time.Time
	UpdatedAt       time.Time

	pending *proof
}

// proof is an address that still has to be proved by a code.
type proof struct {
	Value Value     `json:"value"`
	Code  string    `json:"code"`
	Until time.Time `json:"until"`
	Tries int       `json:"tries"`
	Via   string    `json:"via"`
}

// Short is the question in a few words.
func (a Asked) Short() string { return shortOf(a.Ask, a.Language) }

func shortOf(a Ask, language string) string {
	if s := a.Short.Get(language); s != "" {
		return s
	}
	r := []rune(strings.Join(strings.Fields(a.Text.Get(language)), " "))
	if len(r) > 60 {
		r = append(r[:59], '…')
	}
	return string(r)
}

// StoreOptions are what a Store needs of the house.
type StoreOptions struct {
	DB       *db.DB
	Accounts *account.Accounts
	Outbox   *outbox.Outbox
	Now      func() time.Time
	URL      func() string                                           // where answer pages are, without a slash at the end
	Company  func(ctx context.Context, q db.Querier) (string, error) // how the organisation calls itself
	Log      *slog.Logger
}

// Store keeps the questions that were put.
type Store struct {
	StoreOptions
	// then tells the dialog that asked what became of its question.
	then func(ctx context.Context, tx *db.Tx, a Asked, r Result) error
	wake chan struct{}
}

// NewStore makes a Store; Run makes its timers work.
func NewStore(o StoreOptions) *Store {
	return &Store{StoreOptions: o, wake: make(chan struct{}, 1), then: func(context.Context, *db.Tx, Asked, Result) error { return nil }}
}

// Then sets who is told, in the same transaction, what became of a question that a dialog put.
func (s *Store) Then(fn func(ctx context.Context, tx *db.Tx, a Asked, r Result) error) { s.then = fn }

// NewCode makes an answer code.
func NewCode() string {
	b := make([]byte, CodeLength)
	out := make([]byte, 0, CodeLength)
	for len(out) < CodeLength {
		_, _ = rand.Read(b) // crypto/rand does not fail
		for _, c := range b {
			// 31 letters: what lies beyond a multiple of them would make some likelier.
			if int(c) < 256-256%len(CodeAlphabet) && len(out) < CodeLength {
				out = append(out, CodeAlphabet[int(c)%len(CodeAlphabet)])
			}
		}
	}
	return string(out)
}

const askColumns = `id, conversation, customer, message, instance, step, definition, words, language, channel, channel_kind, address, client_id, state, value, value_text, tries, pending,
	answered_at, answered_via, answered_kind, answered_by, answered_name, answered_message, expires_at, due_at, reminded_at, correct_until, created_by, created_name, created_at, updated_at`

func scanAsked(rows *db.Rows) (Asked, error) {
	var a Asked
	var definition, words, kind, state, value, pending string
	var answered, expires, due, reminded, correct, created, updated int64
	err := rows.Scan(&a.ID, &a.Conversation, &a.Customer, &a.Message, &a.Instance, &a.Step, &definition, &words, &a.Language, &a.Channel, &kind, &a.Address, &a.ClientID, &state, &value, &a.ValueText, &a.Tries, &pending,
		&answered, &a.AnsweredVia, &a.AnsweredKind, &a.AnsweredBy, &a.AnsweredName, &a.AnsweredMessage, &expires, &due, &reminded, &correct, &a.CreatedBy.ID, &a.CreatedBy.Name, &created, &updated)
	if err != nil {
		return a, err
	}
	a.ChannelKind, a.State = channel.Kind(kind), State(state)
	a.AnsweredAt, a.ExpiresAt, a.DueAt, a.RemindedAt, a.CorrectUntil, a.CreatedAt, a.UpdatedAt = db.Time(answered), db.Time(expires), db.Time(due), db.Time(reminded), db.Time(correct), db.Time(created), db.Time(updated)
	err = json.Unmarshal([]byte(definition), &a.Ask)
	if words != "" {
		err = errors.Join(err, json.Unmarshal([]byte(words), &a.Words))
	}
	if value != "" {
		err = errors.Join(err, json.Unmarshal([]byte(value), &a.Value))
	}
	if pending != "" {
		a.pending = &proof{}
		err = errors.Join(err, json.Unmarshal([]byte(pending), a.pending))
	}
	if err != nil {
		return a, fmt.Errorf("read question %s: %w", a.ID, err)
	}
	return a, nil
}

func list(ctx context.Context, q db.Querier, where string, args ...any) ([]Asked, error) {
	var out []Asked
	rows, err := q.Query(ctx, `SELECT `+askColumns+` FROM ask WHERE org = $1 AND `+where, args...)
	err = db.Each(rows, err, func() error {
		a, err := scanAsked(rows)
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read questions: %w", err)
	}
	return out, nil
}

func oneAsked(ctx context.Context, q db.Querier, where string, args ...any) (Asked, error) {
	found, err := list(ctx, q, where, args...)
	if err != nil {
		return Asked{}, err
	}
	if len(found) == 0 {
		return Asked{}, ErrNotFound
	}
	return found[0], nil
}

// Get reads one question.
func Get(ctx context.Context, q db.Querier, id string) (Asked, error) {
	return oneAsked(ctx, q, `id = $2`, id)
}

// Filter of Questions.
type Filter struct {
	Conversation string
	Customers    []string // every record of a customer; nil = any
	State        State
}

// Questions gives questions, the newest first. after is the id of the last one of the page before.
func Questions(ctx context.Context, q db.Querier, f Filter, after string, limit int) ([]Asked, error) {
	where, args := "id < $2", []any{cmp.Or(after, "~")}
	if f.Conversation != "" {
		args = append(args, f.Conversation)
		where += fmt.Sprintf(" AND conversation = $%d", len(args)+1)
	}
	if f.Customers != nil {
		in, a := db.In(len(args)+2, f.Customers)
		args = append(args, a...)
		where += " AND customer IN " + in
	}
	if f.State != "" {
		args = append(args, string(f.State))
		where += fmt.Sprintf(" AND state = $%d", len(args)+1)
	}
	args = append(args, limit)
	return list(ctx, q, fmt.Sprintf("%s ORDER BY id DESC LIMIT $%d", where, len(args)+1), args...)
}

// ByMessages reads the questions that these messages put and those that they answered, in one go.
func ByMessages(ctx context.Context, q db.Querier, messages []string) (put, answered map[string]Asked, err error) {
	put, answered = map[string]Asked{}, map[string]Asked{}
	if len(messages) == 0 {
		return put, answered, nil
	}
	in, args := db.In(2, messages)
	found, err := list(ctx, q, `message <> '' AND message IN `+in+` UNION SELECT `+askColumns+` FROM ask WHERE org = $1 AND answered_message <> '' AND answered_message IN `+in, args...)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range found {
		put[a.Message] = a
		if a.AnsweredMessage != "" {
			answered[a.AnsweredMessage] = a
		}
	}
	return put, answered, nil
}

// CountOpen counts the open questions of conversations, in one go.
func CountOpen(ctx context.Context, q db.Querier, conversations []string) (map[string]int, error) {
	out := map[string]int{}
	if len(conversations) == 0 {
		return out, nil
	}
	in, args := db.In(2, conversations)
	rows, err := q.Query(ctx, `SELECT conversation, COUNT(*) FROM ask WHERE org = $1 AND state = 'open' AND conversation IN `+in+` GROUP BY conversation`, args...)
	err = db.Each(rows, err, func() error {
		var id string
		var n int
		err := rows.Scan(&id, &n)
		out[id] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count open questions: %w", err)
	}
	return out, nil
}

// Saying is something to be said to a customer, perhaps with a question.
type Saying struct {
	Conversation string
	Customer     string // who is asked
	Say          Say
	Channel      account.Channel
	Address      customer.Address
	Language     string // of the customer; "" = German
	Author       channel.Author
	By           conversation.Actor
	Instance     string // the dialog that asks
	Step         string
	ClientID     string // the same again is said once
	Subject      string // for media that have one, where the conversation has none yet
	// Template, if not nil, is sent instead of what Say would look like; TemplateText is what the customer reads. A template
	// with as many quick replies as the question has choices answers it by these.
	Template     *channel.TemplateUse
	TemplateText string
}

// Say says something to a customer and, if it is a question, keeps it open. It is rendered for the channel's medium. The
// returned Asked is zero where nothing was asked.
func (s *Store) Say(ctx context.Context, tx *db.Tx, g Saying) (Asked, conversation.Message, error) {
	now := s.Now()
	if g.Say.Ask == nil {
		m, err := s.utter(ctx, tx, g, NewCode(), "", g.ClientID)
		return Asked{}, m, err
	}
	if g.ClientID != "" {
		if a, err := oneAsked(ctx, tx, `client_id = $2 AND conversation = $3 AND client_id <> ''`, g.ClientID, g.Conversation); err == nil {
			m, err := conversation.MessageByID(ctx, tx, a.Message)
			return a, m, err
		} else if !errors.Is(err, ErrNotFound) {
			return Asked{}, conversation.Message{}, err
		}
	}
	def := *g.Say.Ask
	if def.Kind == Slot && def.Calendar != "" {
		var err error
		if def.Options, err = s.Offer(ctx, tx, def); err != nil {
			return Asked{}, conversation.Message{}, err
		}
	}
	a := Asked{ID: db.NewID(), Conversation: g.Conversation, Customer: g.Customer, Instance: g.Instance, Step: g.Step, Ask: def, Words: g.Say.Text, Language: cmp.Or(g.Language, "de"),
		Channel: g.Channel.ID, ChannelKind: g.Channel.Kind, Address: g.Address.ID, ClientID: g.ClientID, State: Open, CreatedBy: g.By, CreatedAt: now}
	a.ExpiresAt = now.Add(cmp.Or(def.Expires.Std(), defaultExpiry))
	a.DueAt = a.ExpiresAt
	if r := def.Remind.Std(); r > 0 && now.Add(r).Before(a.ExpiresAt) {
		a.DueAt = byDay(now.Add(r), zoneOf(&def, ""), a.ExpiresAt)
	}
	g.Say.Ask = &def
	m, err := s.utter(ctx, tx, g, NewCode(), a.ID, g.ClientID)
	if err != nil {
		return Asked{}, m, err
	}
	a.Message = m.ID
	if err := insertAsked(ctx, tx, a); err != nil {
		return Asked{}, m, err
	}
	tx.OnCommit(s.look)
	return a, m, nil
}

func insertAsked(ctx context.Context, tx *db.Tx, a Asked) error {
	definition, err := json.Marshal(a.Ask)
	if err != nil {
		return fmt.Errorf("store a question: %w", err)
	}
	words := ""
	if len(a.Words) > 0 {
		b, err := json.Marshal(a.Words)
		if err != nil {
			return fmt.Errorf("store a question: %w", err)
		}
		words = string(b)
	}
	_, err = tx.Exec(ctx, `INSERT INTO ask (org, `+askColumns+`, kind) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,'','',0,'',0,'','','','','',$16,$17,0,0,$18,$19,$20,$20,$21)`,
		a.ID, a.Conversation, a.Customer, a.Message, a.Instance, a.Step, string(definition), words, a.Language, a.Channel, string(a.ChannelKind), a.Address, a.ClientID, string(a.State),
		db.Micro(a.ExpiresAt), db.Micro(a.DueAt), a.CreatedBy.ID, a.CreatedBy.Name, db.Micro(a.CreatedAt), string(a.Ask.Kind))
	if err != nil {
		return fmt.Errorf("store a question: %w", err)
	}
	tell(tx, a)
	return nil
}

// tell puts a change of a question into the feed.
func tell(tx *db.Tx, a Asked) {
	tx.Emit("ask", a.ID, map[string]string{"conversation_id": a.Conversation, "message_id": a.Message, "state": string(a.State)})
}

// utter renders and sends one message.
func (s *Store) utter(ctx context.Context, tx *db.Tx, g Saying, code, ask, client string) (conversation.Message, error) {
	d := s.Accounts.Driver(g.Channel.Kind)
	if d == nil {
		return conversation.Message{}, fmt.Errorf("%w: there is no driver for %q", ErrCannot, g.Channel.Kind)
	}
	o := Options{Language: cmp.Or(g.Language, "de"), Zone: DefaultZone, Code: code, URL: s.page(code)}
	if ask == "" && g.Say.Ask == nil {
		o.URL = "" // there is nothing to answer on a page
	}
	if g.Say.Ask != nil && g.Say.Ask.Zone != "" {
		o.Zone = g.Say.Ask.Zone
	}
	r := Render(g.Say, s.Accounts.Can(g.Channel.Account), o)
	if g.Say.Ask != nil && r.Way == Nothing {
		return conversation.Message{}, &CannotError{r.Problems}
	}
	row, err := conversation.Get(ctx, tx, g.Conversation, "")
	if err != nil {
		return conversation.Message{}, err
	}
	out := conversation.Out{Author: g.Author, By: g.By, Channel: g.Channel.Account, Address: g.Address.ID, AddressValue: g.Address.Value, Assurance: g.Address.Assurance,
		Text: r.Text, HTML: r.HTML, ClientID: client, Automatic: g.Author == channel.Machine}
	if out.Author == channel.Machine {
		out.By = conversation.Actor{Name: machineName(o.Language)}
	}
	if d.Capabilities().Subject && row.Received == 0 && row.Pos == 0 {
		out.Subject = cmp.Or(r.Subject, g.Subject)
	}
	var offer *outbox.Offer
	if len(r.Choices) > 0 || r.Form {
		offer = &outbox.Offer{Menu: r.Menu}
		for _, c := range r.Choices {
			offer.Choices = append(offer.Choices, channel.Choice{Data: c.Data, Label: c.Label, Description: c.Description})
		}
		if r.Form && g.Say.Ask != nil {
			if offer.Form, err = json.Marshal(NewView(*g.Say.Ask, o)); err != nil {
				return conversation.Message{}, fmt.Errorf("render a question: %w", err)
			}
		}
	}
	if g.Template != nil {
		use := *g.Template
		if offer != nil {
			var data []string
			for _, c := range offer.Choices {
				if !strings.HasPrefix(c.Data, "p:") { // who wants a person writes so
					data = append(data, c.Data)
				}
			}
			if len(data) == len(use.Buttons) {
				use.Buttons = data
			}
		}
		out.Text, out.HTML, offer = g.TemplateText, "", &outbox.Offer{Template: &use}
	}
	m, _, err := s.Outbox.Send(ctx, tx, outbox.Request{Conversation: g.Conversation, Out: out, Offer: offer, Asked: true})
	if err != nil {
		return m, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO ask_code (org, code, ask, conversation, address, created_at) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (org, code) DO NOTHING`, code, ask, g.Conversation, g.Address.ID, db.Micro(s.Now()))
	if err != nil {
		return m, fmt.Errorf("store an answer code: %w", err)
	}
	return m, nil
}

func (s *Store) page(code string) string {
	if s.URL == nil || s.URL() == "" {
		return ""
	}
	return s.URL() + "/a/" + code
}

// PageURL is where a question can be answered without a login, "" if it was never put.
func (s *Store) PageURL(ctx context.Context, q db.Querier, ask string) (string, error) {
	var code string
	err := q.Row(ctx, `SELECT code FROM ask_code WHERE org = $1 AND ask = $2 ORDER BY stale, created_at DESC, code LIMIT 1`, ask).Scan(&code)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the page of a question: %w", err)
	}
	return s.page(code), nil
}

func machineName(language string) string {
	if strings.HasPrefix(language, "de") {
		return "Automatischer Assistent"
	}
	return "Automated assistant"
}

// byDay moves a reminder out of the night, but not beyond the end.
func byDay(t time.Time, zone *time.Location, end time.Time) time.Time {
	l := t.In(zone)
	switch h := l.Hour(); {
	case h < reminderFrom:
		l = time.Date(l.Year(), l.Month(), l.Day(), reminderFrom, 0, 0, 0, zone)
	case h >= reminderUntil:
		l = time.Date(l.Year(), l.Month(), l.Day()+1, reminderFrom, 0, 0, 0, zone)
	}
	if !l.Before(end) {
		return t
	}
	return l
}

// Again puts an open question once more: because an answer was not understood (say.Again), as a reminder, or on another
// channel. It stays the same question: whichever message is answered, it is answered once.
func (s *Store) Again(ctx context.Context, tx *db.Tx, a Asked, say Say, ch account.Channel, addr customer.Address, author channel.Author, by conversation.Actor) (Asked, error) {
	say.Ask = &a.Ask
	code, err := codeFor(ctx, tx, a.ID, addr.ID)
	if err != nil {
		return a, err
	}
	if code == "" {
		code = NewCode()
	}
	g := Saying{Conversation: a.Conversation, Customer: a.Customer, Say: say, Channel: ch, Address: addr, Language: a.Language, Author: author, By: by, Instance: a.Instance, Step: a.Step}
	m, err := s.utter(ctx, tx, g, code, a.ID, "")
	if err != nil {
		return a, err
	}
	a.Message, a.Channel, a.ChannelKind, a.Address = m.ID, ch.ID, ch.Kind, addr.ID
	if _, err := tx.Exec(ctx, `UPDATE ask SET message = $3, channel = $4, channel_kind = $5, address = $6, updated_at = $7 WHERE org = $1 AND id = $2`,
		a.ID, a.Message, a.Channel, string(a.ChannelKind), a.Address, db.Micro(s.Now())); err != nil {
		return a, fmt.Errorf("note that a question was put again: %w", err)
	}
	tell(tx, a)
	return a, nil
}

func codeFor(ctx context.Context, q db.Querier, ask, address string) (code string, err error) {
	err = q.Row(ctx, `SELECT code FROM ask_code WHERE org = $1 AND ask = $2 AND address = $3 AND stale = 0 ORDER BY created_at DESC LIMIT 1`, ask, address).Scan(&code)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find an answer code: %w", err)
	}
	return code, nil
}

// Withdraw takes an open question back.
func (s *Store) Withdraw(ctx context.Context, tx *db.Tx, id string) (Asked, error) {
	a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), id)
	if err != nil {
		return a, err
	}
	if a.State != Open {
		return a, ErrNotOpen
	}
	return a, s.end(ctx, tx, &a, Withdrawn)
}

// WithdrawOf takes back what a dialog still asks.
func (s *Store) WithdrawOf(ctx context.Context, tx *db.Tx, conversation, instance string, as State) error {
	found, err := list(ctx, tx, `conversation = $2 AND instance = $3 AND state = 'open'`, conversation, instance)
	if err != nil {
		return err
	}
	for _, a := range found {
		if err := s.end(ctx, tx, &a, as); err != nil {
			return err
		}
	}
	return nil
}

// end closes a question without an answer.
func (s *Store) end(ctx context.Context, tx *db.Tx, a *Asked, as State) error {
	a.State, a.DueAt = as, time.Time{}
	n, err := tx.Exec(ctx, `UPDATE ask SET state = $3, due_at = 0, pending = '', updated_at = $4 WHERE org = $1 AND id = $2 AND state = 'open'`, a.ID, string(as), db.Micro(s.Now()))
	if err != nil {
		return fmt.Errorf("close a question: %w", err)
	}
	if n == 0 {
		return ErrNotOpen
	}
	tell(tx, *a)
	return nil
}

// Moved takes questions along whose messages went to another conversation (joined or split).
func Moved(ctx context.Context, tx *db.Tx, messages []string, to string) error {
	if len(messages) == 0 {
		return nil
	}
	in, args := db.In(3, messages)
	if _, err := tx.Exec(ctx, `UPDATE ask SET conversation = $2 WHERE org = $1 AND message IN `+in, append([]any{to}, args...)...); err != nil {
		return fmt.Errorf("move questions: %w", err)
	}
	_, err := tx.Exec(ctx, `UPDATE ask_code SET conversation = $2 WHERE org = $1 AND ask <> '' AND ask IN (SELECT id FROM ask WHERE org = $1 AND conversation = $2)`, to)
	if err != nil {
		return fmt.Errorf("move answer codes: %w", err)
	}
	return nil
}

// Proving reports whether an address that was named still has to be proved by a code.
func (a Asked) Proving() bool { return a.State == Open && a.pending != nil }
