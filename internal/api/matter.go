package api

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
)

// SenderJSON is a sender of whom staff said something.
type SenderJSON struct {
	ID      string     `json:"id"`
	Address AddressRef `json:"address"`
	Rule    string     `json:"rule" enum:"spam,newsletter,notice,blocked,customer" doc:"customer: a person, whatever a machine says of its mails"`
	By      string     `json:"by" doc:"staff id"`
	At      *time.Time `json:"at"`
}

func senderJSON(a customer.Address) SenderJSON {
	return SenderJSON{a.ID, AddressRef{Kind: string(a.Kind), Value: a.Value, Name: a.Name}, a.Rule, a.RuledBy, moment(a.RuledAt)}
}

// rowOf reads a conversation anew and gives its list row.
func (s *Server) rowOf(ctx context.Context, id string) (*body[RowJSON], error) {
	o := s.org(ctx)
	r, err := conversation.Get(ctx, o, id, who(ctx).ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	list, err := s.rows(ctx, o, []conversation.Row{r})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &body[RowJSON]{list[0]}, nil
}

// sameCustomer reports whether two conversations belong to one person, merged records included.
func sameCustomer(ctx context.Context, q db.Querier, a, b conversation.Row) (bool, error) {
	ids, err := customer.IDs(ctx, q, a.Customer)
	return slices.Contains(ids, b.Customer), err
}

func (s *Server) matterRoutes() {
	type with struct {
		ByID
		Body struct {
			With          string `json:"with" required:"true" doc:"the other conversation"`
			AsParticipant bool   `json:"as_participant" doc:"it is another customer's, who becomes a third party here"`
		}
	}
	both := func(ctx context.Context, in *with) (a, b conversation.Row, err error) {
		o := s.org(ctx)
		if a, err = s.see(ctx, o, in.ID); err == nil {
			b, err = s.see(ctx, o, in.Body.With)
		}
		return a, b, err
	}
	huma.Register(s.api, op("POST", "/conversations/{id}/join", "join-conversations", "These two are one matter: the other's messages move here; can be taken back", "conversations"), func(ctx context.Context, in *with) (*body[RowJSON], error) {
		a, b, err := both(ctx, in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		err = s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			same, err := sameCustomer(ctx, tx, a, b)
			if err != nil {
				return err
			}
			_, moved, err := conversation.Join(ctx, tx, a.ID, b.ID, same, in.Body.AsParticipant, actor(who(ctx)), s.Now())
			if err != nil {
				return err
			}
			return takeAlong(ctx, tx, moved, a.ID)
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.rowOf(ctx, a.ID)
	})
	huma.Register(s.api, op("POST", "/conversations/{id}/unjoin", "unjoin-conversations", "Take a join back; what was written since stays here", "conversations"), func(ctx context.Context, in *with) (*body[RowJSON], error) {
		a, b, err := both(ctx, in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		err = s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			_, moved, err := conversation.Unjoin(ctx, tx, a.ID, b.ID, actor(who(ctx)), s.Now())
			if err != nil {
				return err
			}
			return takeAlong(ctx, tx, moved, b.ID)
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.rowOf(ctx, b.ID)
	})
	huma.Register(s.api, created(op("POST", "/conversations/{id}/split", "split-conversation", "Make messages a conversation of their own; rejoin takes it back", "conversations")), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			MessageIDs []string `json:"message_ids" required:"true" minItems:"1" maxItems:"500"`
			Subject    string   `json:"subject" maxLength:"400"`
		}
	}) (*body[RowJSON], error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		var fresh conversation.Row
		err := o.Write(ctx, func(tx *db.Tx) (err error) {
			if fresh, err = conversation.Split(ctx, tx, in.ID, in.Body.MessageIDs, in.Body.Subject, actor(who(ctx)), s.Now()); err != nil {
				return err
			}
			return takeAlong(ctx, tx, in.Body.MessageIDs, fresh.ID)
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.rowOf(ctx, fresh.ID)
	})
	huma.Register(s.api, op("POST", "/conversations/{id}/rejoin", "rejoin-conversation", "Take a split back: the messages return to where they came from", "conversations"), func(ctx context.Context, in *ByID) (*body[RowJSON], error) {
		o := s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		from, err := conversation.SplitFrom(ctx, o, r.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if _, err := s.see(ctx, o, from); err != nil {
			return nil, s.fail(ctx, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			_, moved, err := conversation.Rejoin(ctx, tx, r.ID, actor(who(ctx)), s.Now())
			if err != nil {
				return err
			}
			return takeAlong(ctx, tx, moved, from)
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.rowOf(ctx, from)
	})
	huma.Register(s.api, op("DELETE", "/conversations/{id}/suggestion", "drop-suggestion", "No, this is another matter", "conversations"), func(ctx context.Context, in *ByID) (*body[RowJSON], error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		err := o.Write(ctx, func(tx *db.Tx) error {
			_, err := conversation.DropSuggestion(ctx, tx, in.ID)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.rowOf(ctx, in.ID)
	})
	huma.Register(s.api, op("PUT", "/conversations/{id}/category", "set-aside", "This is no customer's concern; its sender's next messages follow, if learnt", "conversations"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Category string `json:"category" required:"true" enum:"spam,newsletter,notice,blocked"`
			Learn    bool   `json:"learn" doc:"the sender's next messages, too; not where we have answered the sender before, unless it is blocked"`
		}
	}) (*body[RowJSON], error) {
		o := s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			if _, err := conversation.SetAside(ctx, tx, r.ID, in.Body.Category, actor(who(ctx)), s.Now()); err != nil {
				return err
			}
			if !in.Body.Learn || r.Address == "" {
				return nil
			}
			known, err := conversation.Answered(ctx, tx, r.Address)
			if err != nil || (known && in.Body.Category != conversation.Blocked) {
				return err
			}
			return customer.Rule(ctx, tx, r.Address, in.Body.Category, who(ctx).ID, s.Now())
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.rowOf(ctx, r.ID)
	})
	huma.Register(s.api, op("DELETE", "/conversations/{id}/category", "take-back", "It is a customer's concern after all; what was learnt of its sender is forgotten", "conversations"), func(ctx context.Context, in *ByID) (*body[RowJSON], error) {
		o := s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			if _, err := conversation.SetAside(ctx, tx, r.ID, "", actor(who(ctx)), s.Now()); err != nil || r.Address == "" || r.Category == "" {
				return err
			}
			a, err := customer.AddressByID(ctx, tx, r.Address)
			if err != nil {
				return err
			}
			rule := ""
			if a.Rule == "" { // nobody had said so: a machine's mark was wrong, and shall not be believed of this sender again
				rule = conversation.NotAside
			}
			return customer.Rule(ctx, tx, r.Address, rule, who(ctx).ID, s.Now())
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.rowOf(ctx, r.ID)
	})
	huma.Register(s.api, op("GET", "/senders", "list-senders", "Senders of whom staff said something, the last first", "conversations"), func(ctx context.Context, in *struct{ Paging }) (*page[SenderJSON], error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		list, next, err := customer.Ruled(ctx, s.org(ctx), in.Cursor, in.Limit)
		var items []SenderJSON
		for _, a := range list {
			items = append(items, senderJSON(a))
		}
		return newPage(items, next), s.fail(ctx, err)
	})
	huma.Register(s.api, created(op("POST", "/senders", "rule-sender", "Say of a sender what it is: its messages are kept, closed, and nobody waits", "conversations")), func(ctx context.Context, in *struct {
		Body struct {
			Address AddressRef `json:"address" required:"true"`
			Rule    string     `json:"rule" required:"true" enum:"spam,newsletter,notice,blocked,customer"`
		}
	}) (*body[SenderJSON], error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		ref := in.Body.Address
		if ref.Kind == "" {
			ref.Kind = "email"
		}
		if err := s.checkAddress(ctx, "body.address", ref.Kind, ref.Value); err != nil {
			return nil, s.fail(ctx, err)
		}
		o := s.org(ctx)
		var a customer.Address
		err := o.Write(ctx, func(tx *db.Tx) error {
			to, err := customer.Ensure(ctx, tx, channel.Kind(ref.Kind), ref.Value, ref.Name, s.Now())
			if err != nil {
				return err
			}
			if err := customer.Rule(ctx, tx, to.Address.ID, in.Body.Rule, who(ctx).ID, s.Now()); err != nil {
				return err
			}
			a, err = customer.AddressByID(ctx, tx, to.Address.ID)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[SenderJSON]{senderJSON(a)}, nil
	})
	huma.Register(s.api, noContent(op("DELETE", "/senders/{id}", "forget-sender", "Forget what was said of a sender", "conversations")), func(ctx context.Context, in *ByID) (*struct{}, error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		o := s.org(ctx)
		a, err := customer.AddressByID(ctx, o, in.ID)
		if err == nil && a.Rule == "" {
			err = customer.ErrNotFound
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) error { return customer.Rule(ctx, tx, in.ID, "", "", s.Now()) })
		return nil, s.fail(ctx, err)
	})
}

// takeAlong lets what belongs to messages follow them to another conversation.
func takeAlong(ctx context.Context, tx *db.Tx, messages []string, to string) error {
	if err := outbox.Moved(ctx, tx, messages, to); err != nil {
		return err
	}
	return ask.Moved(ctx, tx, messages, to)
}
