package ask

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
)

// AnswerFor keeps what a customer told a colleague.
func (s *Store) AnswerFor(ctx context.Context, tx *db.Tx, id string, v Value, by conversation.Actor) (Asked, error) {
	a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), id)
	if err != nil {
		return a, err
	}
	if a.State != Open {
		return a, ErrNotOpen
	}
	res, err := s.finish(ctx, tx, a, Outcome{Value: v, Confidence: 1, Reading: "staff"}, answerer{kind: "staff", id: by.ID, name: by.Name}, conversation.Message{})
	if err == nil && res.What == Missed {
		return a, ErrNoSlot
	}
	return res.Asked, err
}

// Context is what the meaning of words for this question depends on.
func (s *Store) Context(a Asked) Context { return s.context(a, In{}) }

// place is where a code leads.
type place struct {
	org, ask, conversation, address string
	stale                           int64
}

func (s *Store) find(ctx context.Context, code string) (place, error) {
	if len(code) != CodeLength || !validCode(code) {
		return place{}, ErrNoCode
	}
	var p place
	err := s.DB.GlobalRow(ctx, db.LookupCode, `SELECT org, ask, conversation, address, stale FROM ask_code WHERE code = $1`, code).Scan(&p.org, &p.ask, &p.conversation, &p.address, &p.stale)
	if errors.Is(err, db.ErrNoRows) || err == nil && p.ask == "" {
		return place{}, ErrNoCode
	}
	if err != nil {
		return place{}, fmt.Errorf("find an answer code: %w", err)
	}
	return p, nil
}

// Open shows the question behind an answer code. It changes nothing: machines that follow links do no harm.
func (s *Store) Open(ctx context.Context, code string) (Opened, error) {
	p, err := s.find(ctx, NormaliseCode(code))
	if err != nil {
		return Opened{}, err
	}
	o := s.DB.Org(p.org)
	a, err := Get(ctx, o, p.ask)
	if err != nil {
		return Opened{}, err
	}
	return s.opened(ctx, o, a, p)
}

func (s *Store) opened(ctx context.Context, q db.Querier, a Asked, p place) (Opened, error) {
	company, err := s.Company(ctx, q)
	if err != nil {
		return Opened{}, err
	}
	addr, err := customer.AddressByID(ctx, q, p.address)
	if err != nil && !errors.Is(err, customer.ErrNotFound) {
		return Opened{}, err
	}
	return Opened{Ask: a.Ask, State: string(a.State), Value: a.Value, AnsweredAt: a.AnsweredAt, AnsweredVia: a.AnsweredVia, AnsweredBy: a.AnsweredKind, Proving: a.Proving(), Correctable: a.State == Answered && s.Now().Before(a.CorrectUntil), Company: company, Language: a.Language,
		ExpiresAt: a.ExpiresAt, Address: masked(addr.Value), Org: p.org, Stale: p.stale == 1}, nil
}

// masked shows an address to whoever knows it, and to nobody else; numbers of accounts that nobody knows are left out.
func masked(v string) string {
	at := strings.LastIndexByte(v, '@')
	r := []rune(v)
	switch {
	case at > 1:
		first := []rune(v[:at])
		return string(first[:1]) + "…" + v[at:]
	case len(r) > 6 && r[0] == '+':
		return string(r[:3]) + "…" + string(r[len(r)-2:])
	}
	return ""
}

// NormaliseCode reads a code as people type it: with blanks and dashes, in capitals.
func NormaliseCode(code string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-' || r == '\u00a0':
			return -1
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, code)
}

// AnswerByCode takes an answer that was given on the answer page. Uploaded files are attachments that belong to nothing
// yet. An Outcome with a Problem means that it was not taken; the page says why.
func (s *Store) AnswerByCode(ctx context.Context, code string, r PageReply) (Opened, Outcome, error) {
	p, err := s.find(ctx, NormaliseCode(code))
	if err != nil {
		return Opened{}, Outcome{}, err
	}
	var out Outcome
	var opened Opened
	err = s.DB.Org(p.org).Write(ctx, func(tx *db.Tx) error {
		out, opened = Outcome{}, Opened{}
		a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), p.ask)
		if err != nil {
			return err
		}
		c := s.context(a, In{})
		switch {
		case a.pending != nil && a.State == Open && r.Value == nil && len(r.Files) == 0:
			return s.provedByPage(ctx, tx, a, p, r, &out, &opened)
		case r.Value != nil:
			if err := a.Ask.CheckValue(*r.Value, c); err != nil {
				out = Outcome{Problem: Unclear, Detail: err.Error()}
			} else {
				out = Outcome{Value: *r.Value, Confidence: 1, Reading: "page"}
			}
		default:
			out = Resolve(a.Ask, r.Reply, c)
		}
		if out.Problem == Person {
			a, err = s.personByPage(ctx, tx, a, p)
			if err == nil {
				opened, err = s.opened(ctx, tx, a, p)
			}
			return err
		}
		correctable := a.State == Answered && s.Now().Before(a.CorrectUntil)
		if out.Problem != "" || a.State != Open && !correctable {
			opened, err = s.opened(ctx, tx, a, p)
			return err
		}
		addr, err := customer.AddressByID(ctx, tx, p.address)
		if err != nil {
			return err
		}
		if a.Ask.Assurance != "" && a.Ask.Assurance.Stronger(strongest(addr.Assurance, channel.Observed)) {
			out = Outcome{Problem: Unclear, Detail: "assurance"}
			opened, err = s.opened(ctx, tx, a, p)
			return err
		}
		m, err := s.spoken(ctx, tx, a, addr, out.Value.Show(a.Ask, a.Language), out.Value.Files)
		if err != nil {
			return err
		}
		by := answerer{kind: "customer", via: answeredByPage, id: a.Customer, name: m.AuthorName, message: m.ID}
		var res Result
		if correctable {
			res, err = s.correct(ctx, tx, a, out, by, m)
		} else {
			res, err = s.finish(ctx, tx, a, out, by, conversation.Message{})
		}
		if err != nil {
			return err
		}
		switch {
		case res.What == Missed:
			out.Problem, out.Detail = OutOfRange, "slot"
		case res.What == Proving:
			out.Problem, out.Detail = NeedsPage, "code"
		case a.Instance == "":
			if err := conversation.Attend(ctx, tx, a.Conversation, true, conversation.Event{}, s.Now()); err != nil {
				return err
			}
		}
		opened, err = s.opened(ctx, tx, res.Asked, p)
		return err
	})
	return opened, out, err
}

func (s *Store) provedByPage(ctx context.Context, tx *db.Tx, a Asked, p place, r PageReply, out *Outcome, opened *Opened) error {
	res, done, err := s.proved(ctx, tx, a, In{Message: conversation.Message{Text: r.Text, ChannelKind: answeredByPage}, Customers: only(a.Customer)})
	if err != nil {
		return err
	}
	if !done || res.What != Took {
		*out = Outcome{Problem: Unclear, Detail: "code"}
	} else {
		*out = res.Outcome
	}
	if a, err = Get(ctx, tx, a.ID); err != nil {
		return err
	}
	*opened, err = s.opened(ctx, tx, a, p)
	return err
}

func strongest(a, b channel.Assurance) channel.Assurance {
	if b.Stronger(a) {
		return b
	}
	return a
}

// spoken puts what was answered on the page into the conversation, as the customer's words.
func (s *Store) spoken(ctx context.Context, tx *db.Tx, a Asked, addr customer.Address, text string, files []string) (conversation.Message, error) {
	ch, err := s.Accounts.Get(tx.Org(), a.Channel)
	if err != nil {
		ch.ID, ch.Kind = a.Channel, a.ChannelKind
	}
	name := addr.Name
	if c, err := customer.Get(ctx, tx, a.Customer); err == nil {
		name = c.Name
	}
	return conversation.Hear(ctx, tx, a.Conversation, conversation.Heard{Channel: ch.Account, Address: addr.ID, AddressValue: addr.Value, Assurance: strongest(addr.Assurance, channel.Observed), AuthorName: name, Text: text, ReplyTo: a.Message, Attachments: files}, s.Now())
}

// PersonByCode says on the answer page that the customer wants a person.
func (s *Store) PersonByCode(ctx context.Context, code string) (Opened, error) {
	p, err := s.find(ctx, NormaliseCode(code))
	if err != nil {
		return Opened{}, err
	}
	var opened Opened
	err = s.DB.Org(p.org).Write(ctx, func(tx *db.Tx) error {
		a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), p.ask)
		if err != nil {
			return err
		}
		if a, err = s.personByPage(ctx, tx, a, p); err != nil {
			return err
		}
		opened, err = s.opened(ctx, tx, a, p)
		return err
	})
	return opened, err
}

func (s *Store) personByPage(ctx context.Context, tx *db.Tx, a Asked, p place) (Asked, error) {
	addr, err := customer.AddressByID(ctx, tx, p.address)
	if err != nil {
		return a, err
	}
	if a.State == Handed && s.Now().Sub(a.UpdatedAt) < time.Minute { // pressed twice
		return a, nil
	}
	if _, err := s.spoken(ctx, tx, a, addr, pick(a.Language, "Ich möchte mit einem Menschen sprechen.", "I would like to talk to a person."), nil); err != nil {
		return a, err
	}
	if a.State != Open {
		return a, conversation.Attend(ctx, tx, a.Conversation, true, conversation.Event{}, s.Now())
	}
	res := Result{What: Wants, Asked: a, Outcome: Outcome{Problem: Person, Confidence: 1, Reading: "page"}}
	if a.Instance != "" {
		err = s.then(ctx, tx, a, res)
	} else {
		err = errors.Join(s.end(ctx, tx, &a, Handed), conversation.Attend(ctx, tx, a.Conversation, true, conversation.Event{}, s.Now()))
	}
	if err != nil {
		return a, err
	}
	return Get(ctx, tx, a.ID)
}
