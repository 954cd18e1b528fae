package dialog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/reach"
)

// Stopped is the status of an instance that a person took over by hand.
const Stopped Status = "stopped"

const (
	dueAtOnce  = 500
	atOnce     = 32               // instances that are looked at in parallel: they share commits
	callMargin = 15 * time.Second // how much longer than its timeout a call is held to be under way
	callMax    = 30 * time.Second
	answerMax  = 1 << 20 // bytes of a webhook's answer
)

// assistant is how staff see who acts for a dialog.
var assistant = conversation.Actor{Name: "Assistent"}

// Instance is a dialog with one customer.
type Instance struct {
	ID           string
	Dialog       string
	Version      int64
	Conversation string
	Customer     string
	Language     string
	Channel      string
	Address      string
	State        State
	Status       Status
	Attempts     int // of the call that is under way
	DueAt        time.Time
	Outcome      string
	StartedBy    conversation.Actor
	StartedAt    time.Time
	UpdatedAt    time.Time

	calling    *CallOut
	leaseUntil time.Time
}

// Running reports whether it goes on.
func (i Instance) Running() bool {
	return i.Status == Asking || i.Status == Waiting || i.Status == Calling
}

// Words gives the variables of the innermost dialog in words.
func (i Instance) Words(language string) map[string]string {
	out := map[string]string{}
	if n := len(i.State.Frames); n > 0 {
		for name, v := range i.State.Frames[n-1].Vars {
			out[name] = v.show(language, berlin)
		}
	}
	return out
}

// InputError says what is wrong with what a dialog is started with.
type InputError struct{ Err error }

// Error implements error.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Step is where it stands: the innermost dialog's step.
func (i Instance) Step() string {
	if n := len(i.State.Frames); n > 0 {
		return i.State.Frames[n-1].Step
	}
	return ""
}

const instanceColumns = `id, dialog, version, conversation, customer, language, channel, address, status, state, calling, attempts, due_at, lease_until, outcome, started_by, started_name, started_at, updated_at`

func scanInstance(rows *db.Rows) (Instance, error) {
	var i Instance
	var status, state, calling string
	var due, lease, started, updated int64
	err := rows.Scan(&i.ID, &i.Dialog, &i.Version, &i.Conversation, &i.Customer, &i.Language, &i.Channel, &i.Address, &status, &state, &calling, &i.Attempts, &due, &lease, &i.Outcome, &i.StartedBy.ID, &i.StartedBy.Name, &started, &updated)
	if err != nil {
		return i, err
	}
	i.Status, i.DueAt, i.leaseUntil, i.StartedAt, i.UpdatedAt = Status(status), db.Time(due), db.Time(lease), db.Time(started), db.Time(updated)
	err = json.Unmarshal([]byte(state), &i.State)
	if calling != "" {
		i.calling = &CallOut{}
		err = errors.Join(err, json.Unmarshal([]byte(calling), i.calling))
	}
	if err != nil {
		return i, fmt.Errorf("read dialog instance %s: %w", i.ID, err)
	}
	return i, nil
}

func instances(ctx context.Context, q db.Querier, where string, args ...any) ([]Instance, error) {
	var out []Instance
	rows, err := q.Query(ctx, `SELECT `+instanceColumns+` FROM dialog_instance WHERE org = $1 AND `+where, args...)
	err = db.Each(rows, err, func() error {
		i, err := scanInstance(rows)
		out = append(out, i)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read dialog instances: %w", err)
	}
	return out, nil
}

func oneInstance(ctx context.Context, q db.Querier, where string, args ...any) (Instance, error) {
	found, err := instances(ctx, q, where, args...)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Instance{}, err
	}
	return found[0], nil
}

// InstanceByID reads one instance.
func InstanceByID(ctx context.Context, q db.Querier, id string) (Instance, error) {
	return oneInstance(ctx, q, `id = $2`, id)
}

// InstancesOf lists the dialogs of a conversation, the newest first, at most 100.
func InstancesOf(ctx context.Context, q db.Querier, conversation string) ([]Instance, error) {
	return instances(ctx, q, `conversation = $2 ORDER BY id DESC LIMIT 100`, conversation)
}

// RunningIn gives the running dialogs of conversations, in one go.
func RunningIn(ctx context.Context, q db.Querier, conversations []string) (map[string]Instance, error) {
	out := map[string]Instance{}
	if len(conversations) == 0 {
		return out, nil
	}
	in, args := db.In(2, conversations)
	found, err := instances(ctx, q, `status IN ('asking', 'waiting', 'calling') AND conversation IN `+in, args...)
	for _, i := range found {
		out[i.Conversation] = i
	}
	return out, err
}

// StartRequest says which dialog begins with whom.
type StartRequest struct {
	Conversation string
	Customer     string
	Key          string
	Inputs       map[string]any
	Channel      string // empty with Address: as the customer wrote last
	Address      string
	Language     string
	By           conversation.Actor // empty ID: the customer
	ClientID     string
}

// Start begins a dialog in a conversation.
func (s *Store) Start(ctx context.Context, tx *db.Tx, r StartRequest) (Instance, error) {
	if r.ClientID != "" {
		if i, err := oneInstance(ctx, tx, `client_id = $2 AND conversation = $3 AND client_id <> ''`, r.ClientID, r.Conversation); !errors.Is(err, ErrNotFound) {
			return i, err
		}
	}
	if err := tx.Lock(ctx, "dialogs of "+r.Conversation); err != nil {
		return Instance{}, err
	}
	running, err := RunningIn(ctx, tx, []string{r.Conversation})
	if err != nil {
		return Instance{}, err
	}
	if _, ok := running[r.Conversation]; ok {
		return Instance{}, ErrRunning
	}
	c, err := s.current(ctx, tx)
	if err != nil {
		return Instance{}, err
	}
	at := slices.IndexFunc(c.programs, func(p *Program) bool { return p.Key == r.Key })
	if at < 0 {
		return Instance{}, ErrNotFound
	}
	if err := s.keepReady(ctx, tx, c, r.Key); err != nil {
		return Instance{}, err
	}
	now := s.Now()
	i := Instance{ID: db.NewID(), Dialog: r.Key, Version: c.programs[at].Version, Conversation: r.Conversation, Customer: r.Customer, Language: r.Language, Channel: r.Channel, Address: r.Address, StartedBy: r.By, StartedAt: now}
	env, way, err := s.env(ctx, tx, &i)
	if err != nil {
		return i, err
	}
	st, effects, err := c.machine.Start(r.Key, r.Inputs, env)
	if errors.Is(err, ErrUnknown) {
		return i, err
	}
	if err != nil {
		return i, &InputError{err}
	}
	i.State, i.Status = st, st.Status
	if err := s.insert(ctx, tx, i, r.ClientID); err != nil {
		return i, err
	}
	if i, err = s.carry(ctx, tx, i, st, effects, way, true); err != nil || r.By.ID == "" || !i.Running() {
		return i, err
	}
	// A colleague answers by a dialog: what was written before is answered.
	return i, conversation.Attend(ctx, tx, i.Conversation, false, conversation.Event{}, now)
}

// keepReady keeps the sources of ready dialogs that begin now: the next release may bring others.
func (s *Store) keepReady(ctx context.Context, tx *db.Tx, c *library, key string) error {
	for _, p := range c.programs {
		d := c.stored[p.Key]
		if !d.Ready || d.Live > 0 {
			continue
		}
		if p.Key != key && !calls(c, key, p.Key) {
			continue
		}
		source := d.Source
		if d.Version > 0 { // there is a draft of it; what runs is still ours
			for _, r := range Ready() {
				if r.Key == p.Key {
					var err error
					if source, _, err = readySource(r); err != nil {
						return err
					}
				}
			}
		}
		if _, err := tx.Exec(ctx, `INSERT INTO dialog_version (org, key, version, source, findings, made_by, made_name, made_at) VALUES ($1,$2,$3,$4,0,'','',$5) ON CONFLICT (org, key, version) DO NOTHING`, p.Key, p.Version, source, db.Micro(s.Now())); err != nil {
			return fmt.Errorf("keep the version of a dialog: %w", err)
		}
	}
	return nil
}

// calls reports whether a dialog runs another one, by itself or through others.
func calls(c *library, from, to string) bool {
	seen := map[string]bool{}
	var walk func(key string) bool
	walk = func(key string) bool {
		if seen[key] {
			return false
		}
		seen[key] = true
		for _, p := range c.programs {
			if p.Key != key {
				continue
			}
			for _, st := range p.Steps {
				if st.Dialog == to || st.Dialog != "" && walk(st.Dialog) {
					return true
				}
			}
		}
		return false
	}
	return walk(from)
}

func (s *Store) insert(ctx context.Context, tx *db.Tx, i Instance, client string) error {
	_, err := tx.Exec(ctx, `INSERT INTO dialog_instance (org, `+instanceColumns+`, client_id) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,'{"frames":[],"status":"","turn":0}','',0,0,0,'',$11,$12,$13,$13,$14)`,
		i.ID, i.Dialog, i.Version, i.Conversation, i.Customer, i.Language, i.Channel, i.Address, string(i.Status), i.StartedBy.ID, i.StartedBy.Name, db.Micro(i.StartedAt), client)
	if err != nil {
		return fmt.Errorf("begin a dialog: %w", err)
	}
	return nil
}

func (s *Store) save(ctx context.Context, tx *db.Tx, i *Instance) error {
	state, err := json.Marshal(i.State)
	if err != nil {
		return fmt.Errorf("save a dialog: %w", err)
	}
	calling := ""
	if i.calling != nil {
		b, err := json.Marshal(i.calling)
		if err != nil {
			return fmt.Errorf("save a dialog: %w", err)
		}
		calling = string(b)
	}
	i.UpdatedAt = s.Now()
	_, err = tx.Exec(ctx, `UPDATE dialog_instance SET status = $3, state = $4, calling = $5, attempts = $6, due_at = $7, lease_until = $8, outcome = $9, channel = $10, address = $11, updated_at = $12 WHERE org = $1 AND id = $2`,
		i.ID, string(i.Status), string(state), calling, i.Attempts, db.Micro(i.DueAt), db.Micro(i.leaseUntil), i.Outcome, i.Channel, i.Address, db.Micro(i.UpdatedAt))
	if err != nil {
		return fmt.Errorf("save a dialog: %w", err)
	}
	tx.Emit("dialog_instance", i.ID, map[string]string{"conversation_id": i.Conversation, "status": string(i.Status)})
	if !i.DueAt.IsZero() {
		tx.OnCommit(s.look)
	}
	return nil
}

// way is where the machine speaks now.
type way struct {
	channel account.Channel
	address customer.Address
	ok      bool
	// template is sent instead of what would be said, words is what the customer then reads; nil = free words.
	template *channel.TemplateUse
	words    string
}

// env gathers what a dialog may know, and by which way it speaks: where the customer wrote last, so that it goes on there.
func (s *Store) env(ctx context.Context, tx *db.Tx, i *Instance) (Env, way, error) {
	row, err := conversation.Get(ctx, tx, i.Conversation, "")
	if err != nil {
		return Env{}, way{}, err
	}
	c, err := customer.Get(ctx, tx, cmp.Or(i.Customer, row.Customer))
	if err != nil {
		return Env{}, way{}, err
	}
	if i.Customer == "" {
		i.Customer = row.Customer
	}
	ids, err := customer.IDs(ctx, tx, c.ID)
	if err != nil {
		return Env{}, way{}, err
	}
	addrs, err := customer.Addresses(ctx, tx, ids)
	if err != nil {
		return Env{}, way{}, err
	}
	i.Language = cmp.Or(i.Language, c.Language, "de")
	now := s.Now()
	options, best := reach.Options(tx.Org(), row, addrs, s.Accounts, true, now)
	var w way
	pick := func(o reach.Option) { w = way{channel: o.Channel, address: o.Address, ok: true} }
	if best >= 0 {
		pick(options[best])
	}
	if row.Received == 0 || i.State.Turn == 0 { // it begins where it was told to
		for _, o := range options {
			if o.CanSend && i.Address != "" && o.Address.ID == i.Address && (i.Channel == "" || o.Channel.ID == i.Channel) {
				pick(o)
				break
			}
		}
	}
	company, err := s.Company(ctx, tx)
	if err != nil {
		return Env{}, w, err
	}
	full, first, _ := customer.SplitName(c.Name)
	if first == "" {
		first = full
	}
	e := Env{Now: now, Language: i.Language, Company: company, Open: s.opens(ctx, tx), Zone: berlin,
		Customer: map[string]string{"name": full, "first_name": first, "language": i.Language}}
	if w.ok {
		e.Channel, e.Medium = w.channel.Kind, s.Accounts.Can(w.channel.Account)
		i.Channel, i.Address = w.channel.ID, w.address.ID
	}
	if s.Staff != nil {
		advisor, err := s.Staff(ctx, tx, "advisor", c.ID)
		if err != nil {
			return Env{}, w, err
		}
		e.Advisor = advisor.Name
	}
	return e, w, nil
}

// next lets something happen to an instance.
func (s *Store) next(ctx context.Context, tx *db.Tx, i Instance, e Event) (Instance, error) {
	env, w, err := s.env(ctx, tx, &i)
	if err != nil {
		return i, err
	}
	c, err := s.machineFor(ctx, tx, i.State)
	if err != nil {
		return i, err
	}
	st, effects := c.machine.Next(i.State, e, env)
	return s.carry(ctx, tx, i, st, effects, w, false)
}

// carry does what the machine wants done, in the same transaction as its new state.
func (s *Store) carry(ctx context.Context, tx *db.Tx, i Instance, st State, effects []Effect, w way, first bool) (Instance, error) {
	i.State, i.Status, i.Outcome, i.calling, i.Attempts, i.leaseUntil, i.DueAt = st, st.Status, st.Outcome, nil, 0, time.Time{}, time.Time{}
	spoke, introduce := false, ""
	var hand *HandOut
	end := false
	for n, e := range effects {
		switch {
		case e.Say != nil && e.Say.Ask == nil && n+1 < len(effects) && effects[n+1].Hand != nil && effects[n+1].Hand.Why != "planned":
			// That a person takes over is said below, where it is known who.
			introduce, spoke = e.Say.Introduce, false
		case e.Say != nil:
			w := w
			if name, ok := strings.CutPrefix(e.Late, "template:"); ok {
				late, err := s.late(ctx, tx, i, *e.Say, name)
				if err != nil {
					return i, err
				}
				if late.ok {
					w = late
				}
			}
			if !w.ok {
				if first {
					return i, ErrNoWay
				}
				hand = &HandOut{Why: "error", Note: "Kein Kanal erreicht den Kunden jetzt; der Dialog konnte nicht weitersprechen. / No channel reaches the customer now; the dialog could not go on."}
				break
			}
			err := s.say(ctx, tx, &i, *e.Say, w, fmt.Sprintf("dialog:%s:%d:%d", i.ID, st.Turn, n))
			var cannot *ask.CannotError
			switch {
			case errors.Is(err, ask.ErrNoSlot):
				hand = &HandOut{Why: "error", Note: "Der Kalender hat keine freien Zeiten. / The calendar has no free times."}
			case errors.As(err, &cannot):
				hand = &HandOut{Why: "error", Note: err.Error()}
			case err != nil:
				return i, err
			default:
				spoke = true
			}
		case e.Call != nil:
			i.calling, i.DueAt = e.Call, s.Now()
		case e.Hand != nil:
			hand = e.Hand
		case e.Close:
			end = true
		}
		if hand != nil {
			break
		}
	}
	if hand != nil {
		if err := s.hand(ctx, tx, &i, *hand, w, spoke, introduce); err != nil {
			return i, err
		}
	} else if end {
		if err := s.close(ctx, tx, i); err != nil {
			return i, err
		}
	}
	if i.Status == Waiting {
		i.DueAt = i.State.WakeAt
	}
	return i, s.save(ctx, tx, &i)
}

// late is the way by which an approved template of that name can be sent where the customer wrote last, because free
// words are closed there; not ok where they are not, or where there is no such template: then it is said elsewhere.
// A template's first place takes what would have been said; of two, the first takes the customer's first name.
func (s *Store) late(ctx context.Context, tx *db.Tx, i Instance, say ask.Say, name string) (way, error) {
	row, err := conversation.Get(ctx, tx, i.Conversation, "")
	if err != nil {
		return way{}, err
	}
	c, err := customer.Get(ctx, tx, i.Customer)
	if err != nil {
		return way{}, err
	}
	ids, err := customer.IDs(ctx, tx, c.ID)
	if err != nil {
		return way{}, err
	}
	addrs, err := customer.Addresses(ctx, tx, ids)
	if err != nil {
		return way{}, err
	}
	options, _ := reach.Options(tx.Org(), row, addrs, s.Accounts, true, s.Now())
	for _, o := range options {
		if !o.NeedsTemplate || o.Address.ID != row.Address {
			continue
		}
		t, err := account.Template(ctx, tx, o.Channel.ID, name, i.Language)
		if errors.Is(err, account.ErrNoTemplate) || err == nil && t.Params > 2 {
			return way{}, nil
		}
		if err != nil {
			return way{}, err
		}
		_, given, _ := customer.SplitName(c.Name)
		full := say.Text.Get(i.Language)
		if full == "" && say.Ask != nil {
			full = say.Ask.Text.Get(i.Language)
		}
		params := []string{cmp.Or(given, c.Name), strings.Join(strings.Fields(full), " ")}[2-t.Params:]
		if slices.Contains(params, "") {
			return way{}, nil
		}
		return way{channel: o.Channel, address: o.Address, ok: true, template: &channel.TemplateUse{Name: t.Name, Language: t.Language, Params: params, Buttons: t.Buttons}, words: t.Text(params)}, nil
	}
	return way{}, nil
}

// say speaks for the machine; a question that is open already is put again rather than twice.
func (s *Store) say(ctx context.Context, tx *db.Tx, i *Instance, say ask.Say, w way, client string) error {
	if say.Ask != nil {
		open, err := ask.Questions(ctx, tx, ask.Filter{Conversation: i.Conversation, State: ask.Open}, "", 20)
		if err != nil {
			return err
		}
		for _, a := range open {
			if a.Instance == i.ID && a.Step == i.Step() {
				_, err := s.Asks.Again(ctx, tx, a, say, w.channel, w.address, channel.Machine, conversation.Actor{})
				return err
			}
		}
	}
	_, _, err := s.Asks.Say(ctx, tx, ask.Saying{Conversation: i.Conversation, Customer: i.Customer, Say: say, Channel: w.channel, Address: w.address, Language: i.Language, Author: channel.Machine,
		Instance: i.ID, Step: i.Step(), ClientID: client, Subject: s.title(*i), Template: w.template, TemplateText: w.words})
	return err
}

func (s *Store) title(i Instance) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cache {
		if d, ok := c.stored[i.Dialog]; ok && d.Program != nil {
			return d.Program.Title.Get(i.Language)
		}
	}
	return ""
}

// hand gives the conversation to a person, with everything that was said.
func (s *Store) hand(ctx context.Context, tx *db.Tx, i *Instance, h HandOut, w way, spoke bool, introduce string) error {
	i.Status, i.State.Status, i.DueAt, i.calling = Handed, Handed, time.Time{}, nil
	if err := s.Asks.WithdrawOf(ctx, tx, i.Conversation, i.ID, ask.Handed); err != nil {
		return err
	}
	note := strings.TrimSpace(handed(h.Why) + "\n\n" + h.Note)
	if _, err := conversation.Note(ctx, tx, i.Conversation, note, "hand:"+i.ID, assistant, s.Now()); err != nil {
		return err
	}
	var ch conversation.Change
	who := conversation.Actor{}
	var err error
	if h.Staff != "" && s.Staff != nil {
		if who, err = s.Staff(ctx, tx, h.Staff, i.Customer); err != nil {
			return err
		}
		if who.ID != "" {
			ch.Assignee = &who
		}
	}
	if h.Unit != "" && s.Unit != nil {
		unit, err := s.Unit(ctx, tx, h.Unit)
		if err != nil {
			return err
		}
		if unit.ID != "" {
			ch.Unit = &unit
			who.Name = cmp.Or(who.Name, unit.Name)
		}
	}
	if h.Tag != "" {
		ch.TagsAdd = []string{h.Tag}
	}
	if _, err := conversation.Update(ctx, tx, i.Conversation, ch, assistant, s.Now()); err != nil {
		return err
	}
	if err := conversation.Attend(ctx, tx, i.Conversation, true, conversation.Event{Type: "handed", By: assistant.Name, To: who.Name}, s.Now()); err != nil {
		return err
	}
	if spoke || h.Why == "expired" || !w.ok {
		return nil
	}
	row, err := conversation.Get(ctx, tx, i.Conversation, "")
	if err != nil {
		return err
	}
	name := cmp.Or(who.Name, row.AssigneeName)
	words := ask.Texts{
		"de":        {Text: "Ein Mensch übernimmt jetzt. Alles, was Sie geschrieben haben, liegt schon vor; Sie müssen nichts wiederholen. Die Antwort kommt hier."},
		"de-simple": {Text: "Ein Mensch hilft Ihnen jetzt weiter. Er kennt schon alles, was Sie geschrieben haben. Die Antwort kommt hier."},
		"en":        {Text: "A person takes over now. Everything you wrote is there already; you need not repeat anything. The answer will come here."},
	}
	if name != "" {
		words = ask.Texts{
			"de":        {Text: name + " übernimmt jetzt. Alles, was Sie geschrieben haben, liegt schon vor; Sie müssen nichts wiederholen. Die Antwort kommt hier."},
			"de-simple": {Text: name + " hilft Ihnen jetzt weiter. Alles, was Sie geschrieben haben, ist schon da. Die Antwort kommt hier."},
			"en":        {Text: name + " takes over now. Everything you wrote is there already; you need not repeat anything. The answer will come here."},
		}
	}
	_, _, err = s.Asks.Say(ctx, tx, ask.Saying{Conversation: i.Conversation, Customer: i.Customer, Say: ask.Say{Text: words, Introduce: introduce}, Channel: w.channel, Address: w.address, Language: i.Language, Author: channel.Machine, ClientID: "handed:" + i.ID})
	return err
}

func handed(why string) string {
	switch why {
	case "asked":
		return "Übergabe: Der Kunde möchte mit einem Menschen sprechen."
	case "unclear":
		return "Übergabe: Zwei Antworten waren nicht zu verstehen."
	case "expired":
		return "Übergabe: Der Kunde hat nicht geantwortet."
	case "wrote":
		return "Übergabe: Der Kunde hat geschrieben, während der Dialog wartete."
	case "error":
		return "Übergabe: Der Dialog konnte nicht weitergehen."
	default:
		return "Übergabe durch den Dialog."
	}
}

// close closes the conversation, unless somebody has taken it or the customer waits for a person.
func (s *Store) close(ctx context.Context, tx *db.Tx, i Instance) error {
	row, err := conversation.Get(ctx, tx, i.Conversation, "")
	if err != nil || row.Status == conversation.Closed {
		return err
	}
	open, err := ask.Questions(ctx, tx, ask.Filter{Conversation: i.Conversation, State: ask.Open}, "", 1)
	if err != nil || len(open) > 0 {
		return err
	}
	closed := conversation.Closed
	_, err = conversation.Update(ctx, tx, i.Conversation, conversation.Change{Status: &closed}, assistant, s.Now())
	return err
}

// Received is told of every message of a customer after it found its conversation: an answer, something else said while
// a dialog runs, or the word that begins one. payload is what a pressed button carried.
func (s *Store) Received(ctx context.Context, tx *db.Tx, r conversation.Received, payload string, threaded bool, customers func() ([]string, error)) error {
	m := r.Message
	if r.Duplicate || m.Automatic || r.Row.Category != "" || m.Participant != "" || m.Kind != conversation.KindMessage || m.Author != channel.Customer {
		return nil
	}
	began := !r.Row.WaitingSince.IsZero() && !r.Row.WaitingSince.Before(m.ReceivedAt) // nobody was waited for before this message
	if moved, err := s.elsewhere(ctx, tx, r, payload); err != nil {
		return err
	} else if moved {
		if !began {
			return nil
		}
		return conversation.Attend(ctx, tx, m.Conversation, false, conversation.Event{}, s.Now())
	}
	res, err := s.Asks.Receive(ctx, tx, ask.In{Message: m, New: r.New, Threaded: threaded, Customers: customers, Payload: payload})
	if err != nil {
		return fmt.Errorf("look for an answer in a message: %w", err)
	}
	switch res.What {
	case ask.NoAnswer:
	case ask.Wants:
		if res.Asked.ID != "" {
			return nil // whoever asked was told
		}
		if i, err := s.runningIn(ctx, tx, m.Conversation); err != nil || i == nil {
			return err
		} else if _, err := s.next(ctx, tx, *i, Event{Person: true}); err != nil {
			return err
		}
		return nil
	case ask.Took, ask.Missed:
		if res.Asked.Instance == "" || !began {
			return nil // a colleague asked, and reads it
		}
		if i, err := oneInstance(ctx, tx, `id = $2`, res.Asked.Instance); err != nil || i.Status == Handed {
			return err
		}
		return conversation.Attend(ctx, tx, m.Conversation, false, conversation.Event{}, s.Now())
	case ask.Late:
		if !began || res.Asked.State != ask.Answered {
			return nil
		}
		return conversation.Attend(ctx, tx, m.Conversation, false, conversation.Event{}, s.Now())
	case ask.Same, ask.Proving, ask.Which, ask.Corrected:
		if !began || res.What == ask.Corrected && res.Asked.Instance == "" {
			return nil
		}
		return conversation.Attend(ctx, tx, m.Conversation, false, conversation.Event{}, s.Now())
	default:
		return nil
	}
	if payload != "" {
		return nil
	}
	var i *Instance
	if !r.New {
		if i, err = s.runningIn(ctx, tx, m.Conversation); err != nil {
			return err
		}
	}
	if i != nil {
		e := Event{Wrote: true}
		if ask.WantsPerson(ask.Said(m), i.Language) {
			e = Event{Person: true}
		} else if i.Status != Waiting {
			return nil
		}
		after, err := s.next(ctx, tx, *i, e)
		if err != nil || after.Status == Handed || !began {
			return err
		}
		return conversation.Attend(ctx, tx, m.Conversation, false, conversation.Event{}, s.Now())
	}
	return s.begin(ctx, tx, r, began)
}

// wish is "weiter per WhatsApp", as people write it.
var wish = regexp.MustCompile(`(?i)^(?:bitte |please )?(?:weiter|continue|go on|lieber|rather)(?: bitte)? (?:per|via|über|ueber|auf|mit|on|by|over|in) (?:der |dem |the )?([\pL -]{2,30}?)[ .!]*$`)

// mediaWords are what people call media, beside their names.
var mediaWords = map[string][]channel.Kind{
	"mail": {"email"}, "e-mail": {"email"}, "email": {"email"}, "sms": {"twilio", "vonage", "smpp"}, "chat": {"webchat"}, "webchat": {"webchat"}, "brief": {"letter"}, "letter": {"letter"}, "post": {"letter"},
	"telefon": {"voice", "twilio-voice"}, "phone": {"voice", "twilio-voice"}, "facebook": {"messenger"}, "signal": {"signal"}, "insta": {"instagram"},
}

// elsewhere lets a customer go on by another channel in the midst of a dialog: the open question is put there, too, and
// is still answered once. moved is false if the message is no such wish.
func (s *Store) elsewhere(ctx context.Context, tx *db.Tx, r conversation.Received, payload string) (moved bool, err error) {
	m := r.Message
	text := ask.Said(m)
	if payload != "" || r.New || len(text) > 80 {
		return false, nil
	}
	found := wish.FindStringSubmatch(text)
	if found == nil {
		return false, nil
	}
	word := strings.ToLower(strings.TrimSpace(found[1]))
	kinds := mediaWords[word]
	for kind, medium := range s.Media() {
		if strings.EqualFold(medium.Title.DE, word) || strings.EqualFold(medium.Title.EN, word) || strings.EqualFold(string(kind), word) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return false, nil
	}
	i, err := s.runningIn(ctx, tx, m.Conversation)
	if err != nil || i == nil || i.Status != Asking {
		return false, err
	}
	open, err := ask.Questions(ctx, tx, ask.Filter{Conversation: i.Conversation, State: ask.Open}, "", 20)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(open, func(a ask.Asked) bool { return a.Instance == i.ID })
	if at < 0 {
		return false, nil
	}
	ids, err := customer.IDs(ctx, tx, i.Customer)
	if err != nil {
		return false, err
	}
	addrs, err := customer.Addresses(ctx, tx, ids)
	if err != nil {
		return false, err
	}
	options, _ := reach.Options(tx.Org(), r.Row, addrs, s.Accounts, true, s.Now())
	for _, o := range options {
		if !o.CanSend || !slices.Contains(kinds, o.Channel.Kind) || o.Address.ID == m.Address {
			continue
		}
		_, err := s.Asks.Again(ctx, tx, open[at], ask.Say{Person: true}, o.Channel, o.Address, channel.Machine, conversation.Actor{})
		var cannot *ask.CannotError
		if errors.As(err, &cannot) {
			continue
		}
		return true, err
	}
	// We know no such address: where the customer is now it is said what to do.
	env, w, err := s.env(ctx, tx, i)
	if err != nil || !w.ok {
		return false, err
	}
	text = "Dort haben wir noch keine Adresse von Ihnen. Es geht hier weiter, oder schreiben Sie uns dort einfach an: Ein Mensch führt beides zusammen."
	if !strings.HasPrefix(env.Language, "de") {
		text = "We have no address of yours there yet. You can go on here, or just write to us there: a person will bring both together."
	}
	_, _, err = s.Asks.Say(ctx, tx, ask.Saying{Conversation: i.Conversation, Customer: i.Customer, Say: ask.Say{Text: ask.Texts{env.Language: {Text: text}}, Person: true}, Channel: w.channel, Address: w.address, Language: env.Language,
		Author: channel.Machine, ClientID: "elsewhere:" + m.ID})
	return true, err
}

func (s *Store) runningIn(ctx context.Context, tx *db.Tx, conv string) (*Instance, error) {
	found, err := instances(ctx, tx, `conversation = $2 AND status IN ('asking', 'waiting', 'calling') ORDER BY id DESC LIMIT 1`+tx.ForUpdate(), conv)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// begin starts the dialog whose word the customer wrote, if one is enabled.
func (s *Store) begin(ctx context.Context, tx *db.Tx, r conversation.Received, began bool) error {
	text := fold(ask.Said(r.Message))
	if text == "" || len(text) > 40 {
		return nil
	}
	c, err := s.current(ctx, tx)
	if err != nil {
		return err
	}
	for _, p := range c.programs {
		if d := c.stored[p.Key]; !d.Enabled {
			continue
		}
		if !startable(p) || !slices.ContainsFunc(p.Start, func(w string) bool { return fold(w) == text }) {
			continue
		}
		if len(p.Channels) > 0 && !slices.Contains(p.Channels, string(r.Message.ChannelKind)) {
			continue
		}
		_, err := s.Start(ctx, tx, StartRequest{Conversation: r.Row.ID, Customer: r.Row.Customer, Key: p.Key, Channel: r.Message.Channel, Address: r.Message.Address, ClientID: "word:" + r.Message.ID})
		if errors.Is(err, ErrNoWay) || errors.Is(err, ErrRunning) {
			return nil // a person answers
		}
		if err != nil || !began {
			return err
		}
		return conversation.Attend(ctx, tx, r.Row.ID, false, conversation.Event{}, s.Now())
	}
	return nil
}

// fold makes words alike that people hold to be the same.
func fold(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(strings.Trim(s, " .!?\n\t")), " "))
}

// answered is told what became of a question that a dialog put.
func (s *Store) answered(ctx context.Context, tx *db.Tx, a ask.Asked, r ask.Result) error {
	i, err := oneInstance(ctx, tx, `id = $2`+tx.ForUpdate(), a.Instance)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.What == ask.Corrected {
		return s.corrected(ctx, tx, i, a)
	}
	if i.Status != Asking || i.Step() != a.Step {
		return nil // it went on already
	}
	var e Event
	switch r.What {
	case ask.Took:
		e.Answer = &a.Value
	case ask.Missed:
		e.Unclear = &r.Outcome
	case ask.Wants:
		e.Person = true
	case ask.RanOut:
		e.Expired = true
	default:
		return nil
	}
	_, err = s.next(ctx, tx, i, e)
	return err
}

// corrected puts a changed answer where the dialog keeps it. What was done with the first one stays done; a person is
// told if the dialog is over.
func (s *Store) corrected(ctx context.Context, tx *db.Tx, i Instance, a ask.Asked) error {
	c, err := s.machineFor(ctx, tx, i.State)
	if err != nil {
		return err
	}
	for n := range i.State.Frames {
		f := &i.State.Frames[n]
		for _, p := range c.programs {
			if p.Key != f.Dialog {
				continue
			}
			for _, st := range p.Steps {
				if st.ID != a.Step || st.Ask == nil {
					continue
				}
				x, ok := valueOf(st.Ask, a.Value, berlin)
				if !ok {
					continue
				}
				v := Var{Value: x, Answer: &a.Value, Kind: a.Ask.Kind, Shown: map[string]string{}}
				for _, tag := range p.Languages {
					v.Shown[tag] = showAnswer(&a.Ask, a.Value, tag, berlin)
				}
				f.Vars[st.variable()] = v
			}
		}
	}
	if !i.Running() {
		_, err := conversation.Note(ctx, tx, i.Conversation, "Der Kunde hat seine Antwort geändert. „"+a.Short()+"“: "+a.ValueText, "corrected:"+a.ID+":"+a.AnsweredMessage, assistant, s.Now())
		if err != nil {
			return err
		}
		if err := conversation.Attend(ctx, tx, i.Conversation, true, conversation.Event{}, s.Now()); err != nil {
			return err
		}
	}
	return s.save(ctx, tx, &i)
}

// Stop ends a dialog because a person takes over.
func (s *Store) Stop(ctx context.Context, tx *db.Tx, id string, by conversation.Actor) (Instance, error) {
	i, err := oneInstance(ctx, tx, `id = $2`+tx.ForUpdate(), id)
	if err != nil {
		return i, err
	}
	if !i.Running() {
		return i, ErrOver
	}
	if err := s.Asks.WithdrawOf(ctx, tx, i.Conversation, i.ID, ask.Withdrawn); err != nil {
		return i, err
	}
	i.Status, i.DueAt, i.calling, i.leaseUntil = Stopped, time.Time{}, nil, time.Time{}
	if err := conversation.Attend(ctx, tx, i.Conversation, true, conversation.Event{Type: "dialog_stopped", By: by.Name}, s.Now()); err != nil {
		return i, err
	}
	return i, s.save(ctx, tx, &i)
}

func (s *Store) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run lets waits end and makes calls, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
		wait := time.Second // other nodes begin dialogs without waking us
		n, err := s.Due(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.Log.Error("dialogs that are due could not be looked at; trying again", "error", err)
		case n == dueAtOnce:
			wait = 0
		case err == nil:
			wait = s.untilNext(ctx, wait)
		}
		timer.Reset(wait)
	}
}

// dueStep is the least time between two looks: what comes due within it is looked at together.
const dueStep = 50 * time.Millisecond

// untilNext is how long nothing comes due, at most most.
func (s *Store) untilNext(ctx context.Context, most time.Duration) time.Duration {
	var next int64
	now := s.Now()
	err := s.DB.GlobalRow(ctx, db.LookupTimers, `SELECT COALESCE(MIN(due_at), 0) FROM dialog_instance WHERE due_at > 0 AND due_at > $1`, now.UnixMicro()).Scan(&next)
	if err != nil || next == 0 {
		return most
	}
	return min(most, max(dueStep, db.Time(next).Sub(now)))
}

// Due looks at up to a batch of the instances whose time has come and tells how many there were. Several nodes may do
// this at once: each looks again in its transaction.
func (s *Store) Due(ctx context.Context) (int, error) {
	type ref struct{ org, id, status string }
	var found []ref
	now := s.Now()
	rows, err := s.DB.Global(ctx, db.LookupTimers, `SELECT org, id, status FROM dialog_instance WHERE due_at > 0 AND due_at <= $1 AND lease_until < $1 ORDER BY due_at LIMIT $2`, now.UnixMicro(), dueAtOnce)
	err = db.Each(rows, err, func() error {
		var r ref
		err := rows.Scan(&r.org, &r.id, &r.status)
		found = append(found, r)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find dialogs that are due: %w", err)
	}
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for _, r := range found {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			o := s.DB.Org(r.org)
			var err error
			if Status(r.status) == Calling {
				err = s.call(ctx, o, r.id)
			} else {
				err = o.Write(ctx, func(tx *db.Tx) error { return s.woke(ctx, tx, r.id) })
			}
			if err != nil && ctx.Err() == nil {
				err = errors.Join(fmt.Errorf("dialog instance %s: %w", r.id, err), s.later(ctx, o, r.id, err))
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return len(found), errors.Join(errs...)
}

// later keeps an instance that fails from keeping the others waiting.
func (s *Store) later(ctx context.Context, o db.Org, id string, why error) error {
	if errors.Is(why, db.ErrUnavailable) {
		return nil
	}
	return o.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE dialog_instance SET due_at = $3 WHERE org = $1 AND id = $2 AND due_at > 0`, id, s.Now().Add(time.Minute).UnixMicro())
		return err
	})
}

func (s *Store) woke(ctx context.Context, tx *db.Tx, id string) error {
	i, err := oneInstance(ctx, tx, `id = $2`+tx.ForUpdate(), id)
	if errors.Is(err, ErrNotFound) || err == nil && (i.Status != Waiting || i.DueAt.IsZero() || i.DueAt.After(s.Now())) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.next(ctx, tx, i, Event{Woke: true})
	return err
}

// call makes the call that an instance waits for. It is leased before the first byte: after a kill it is made again,
// with the same Idempotency-Key.
func (s *Store) call(ctx context.Context, o db.Org, id string) error {
	var i Instance
	mine := false
	now := s.Now()
	err := o.Write(ctx, func(tx *db.Tx) (err error) {
		mine = false
		i, err = oneInstance(ctx, tx, `id = $2`+tx.ForUpdate(), id)
		if err != nil || i.Status != Calling || i.calling == nil || i.DueAt.After(now) || i.leaseUntil.After(now) {
			return err
		}
		mine = true
		i.Attempts++
		i.leaseUntil = now.Add(min(i.calling.Timeout, callMax) + callMargin)
		return s.save(ctx, tx, &i)
	})
	if err != nil || !mine {
		return err
	}
	value, ok, why := s.do(ctx, i)
	return o.Write(ctx, func(tx *db.Tx) error {
		cur, err := oneInstance(ctx, tx, `id = $2`+tx.ForUpdate(), id)
		if err != nil || cur.Status != Calling || cur.calling == nil || cur.calling.Turn != i.calling.Turn {
			return err // stopped, or another node was faster
		}
		if !ok && cur.Attempts < max(1, cur.calling.Tries) {
			cur.leaseUntil, cur.DueAt = time.Time{}, s.Now().Add(time.Duration(1<<min(cur.Attempts, 5))*time.Second)
			return s.save(ctx, tx, &cur)
		}
		_, err = s.next(ctx, tx, cur, Event{Call: &CallResult{Turn: cur.calling.Turn, OK: ok, Value: value, Error: why}})
		return err
	})
}

func (s *Store) do(ctx context.Context, i Instance) (value any, ok bool, why string) {
	c := i.calling
	ctx, cancel := context.WithTimeout(ctx, min(cmp.Or(c.Timeout, 10*time.Second), callMax))
	defer cancel()
	var body io.Reader
	if c.Body != nil {
		body = bytes.NewReader(c.Body)
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, c.URL, body)
	if err != nil {
		return nil, false, err.Error()
	}
	if c.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	for k, v := range c.Headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d", i.ID, c.Turn))
	resp, err := s.HTTP.Do(req)
	if err != nil {
		return nil, false, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	if err != nil {
		return nil, false, err.Error()
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, false, resp.Status
	}
	if len(raw) > answerMax {
		return nil, false, "the answer is larger than 1 MB"
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return map[string]any{}, true, ""
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil, false, "the answer is no JSON: " + err.Error()
	}
	return value, true, ""
}
