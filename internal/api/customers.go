package api

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/search"
)

// AddressJSON is one way to reach a customer.
type AddressJSON struct {
	ID         string     `json:"id"`
	Kind       string     `json:"kind"`
	Value      string     `json:"value"`
	Name       string     `json:"name"`
	Assurance  string     `json:"assurance" enum:"claimed,observed,verified"`
	ChannelID  string     `json:"channel_id"`
	LastUsedAt *time.Time `json:"last_used_at"`
	OptedOut   bool       `json:"opted_out"`
}

// CustomerRowJSON is a customer as lists show it.
type CustomerRowJSON struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Addresses  []AddressJSON `json:"addresses"`
	LastSeenAt *time.Time    `json:"last_seen_at"`
}

// MergedJSON is a record that was merged into a customer.
type MergedJSON struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// CustomerJSON is a customer.
type CustomerJSON struct {
	ID            string        `json:"id"`
	Name          string        `json:"name"`
	Language      string        `json:"language"`
	Notes         string        `json:"notes"`
	CreatedAt     time.Time     `json:"created_at"`
	LastSeenAt    *time.Time    `json:"last_seen_at"`
	Advisor       *NamedJSON    `json:"advisor"`
	Addresses     []AddressJSON `json:"addresses"`
	Conversations []RowJSON     `json:"conversations"`
	Merged        []MergedJSON  `json:"merged"`
	OpenAsks      []*AskJSON    `json:"open_asks" doc:"questions that wait for an answer, the newest first"`
}

func addressesJSON(list []customer.Address) []AddressJSON {
	out := make([]AddressJSON, len(list))
	for i, a := range list {
		out[i] = AddressJSON{a.ID, string(a.Kind), a.Value, a.Name, string(a.Assurance), a.Channel, moment(a.UsedAt), !a.OptedOutAt.IsZero()}
	}
	return out
}

// mayKnow reports whether the user may see the customer: partners only through a conversation of theirs.
func (s *Server) mayKnow(ctx context.Context, o db.Org, ids []string) error {
	u := who(ctx)
	if u.Role != auth.Partner {
		return nil
	}
	list, _, err := conversation.List(ctx, o, conversation.Filter{Customers: ids, Assignee: u.ID}, "", "", 1)
	if err == nil && len(list) == 0 {
		err = customer.ErrNotFound
	}
	return err
}

func (s *Server) customer(ctx context.Context, id string) (*body[CustomerJSON], error) {
	o := s.org(ctx)
	c, err := customer.Get(ctx, o, id)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	ids, err := customer.IDs(ctx, o, c.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if err := s.mayKnow(ctx, o, ids); err != nil {
		return nil, s.fail(ctx, err)
	}
	addrs, err := customer.Addresses(ctx, o, ids)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	f := conversation.Filter{Customers: ids}
	if who(ctx).Role == auth.Partner {
		f.Assignee = who(ctx).ID
	}
	rows, _, err := conversation.List(ctx, o, f, who(ctx).ID, "", 20)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &body[CustomerJSON]{CustomerJSON{ID: c.ID, Name: c.Name, Language: c.Language, Notes: c.Notes, CreatedAt: c.CreatedAt, LastSeenAt: moment(c.SeenAt), Addresses: addressesJSON(addrs), Merged: []MergedJSON{}}}
	if out.Body.Conversations, err = s.rows(ctx, o, rows); err != nil {
		return nil, s.fail(ctx, err)
	}
	out.Body.OpenAsks = []*AskJSON{}
	if who(ctx).Role != auth.Partner {
		open, err := ask.Questions(ctx, o, ask.Filter{Customers: ids, State: ask.Open}, "", 50)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		for _, a := range open {
			out.Body.OpenAsks = append(out.Body.OpenAsks, s.askJSON(a))
		}
	}
	for _, m := range c.Merged {
		out.Body.Merged = append(out.Body.Merged, MergedJSON(m))
	}
	if c.Advisor != "" {
		if u, err := auth.UserByID(ctx, o, c.Advisor); err == nil {
			out.Body.Advisor = &NamedJSON{u.ID, u.Name}
		}
	}
	return out, nil
}

// checkAddress refuses what cannot be an address, naming the field under this location.
func (s *Server) checkAddress(ctx context.Context, location, kind, value string) error {
	if s.Accounts.Driver(channel.Kind(kind)) == nil {
		return invalid(location+".kind", s.text(ctx, "Diese Art von Adresse gibt es hier nicht.", "There is no such kind of address here."))
	}
	if v := strings.TrimSpace(value); v == "" || strings.ContainsAny(v, "\r\n\x00") || (kind == "email" && !strings.Contains(v, "@")) {
		return invalid(location+".value", s.text(ctx, "Das ist keine Adresse dieser Art.", "This is no address of this kind."))
	}
	return nil
}

const (
	newestCustomers = 1000 // looked through for any part of a name or address
	foundCustomers  = 100
)

// customersBy lists customers by name or address. The index knows whole words and beginnings of all customers, a second
// later; who was added or seen last is found at once and by any part. While the index is being made every customer is
// looked at.
func (s *Server) customersBy(ctx context.Context, o db.Org, q, cursor string, limit int) ([]customer.Customer, string, error) {
	ready := false
	if strings.TrimSpace(q) != "" {
		var err error
		if ready, err = search.KnowsCustomers(ctx, o); err != nil {
			return nil, "", err
		}
	}
	if !ready {
		return customer.List(ctx, o, q, cursor, limit)
	}
	ids, err := customer.Newest(ctx, o, q, newestCustomers, foundCustomers)
	if err != nil {
		return nil, "", err
	}
	people, err := search.Customers(ctx, o, search.Parse(strings.TrimSpace(q)), foundCustomers)
	if err != nil {
		return nil, "", err
	}
	for _, p := range people {
		ids = append(ids, p.Customer)
	}
	return customer.ListOf(ctx, o, ids, cursor, limit)
}

func (s *Server) customerRoutes() {
	huma.Register(s.api, op("GET", "/customers", "list-customers", "List customers, the last seen first", "customers"), func(ctx context.Context, in *struct {
		Q string `query:"q" doc:"words of names and addresses; the last one may be unfinished. Among the customers and addresses of the last time any part of a name or address is found. Of many that match, those who wrote or were added last"`
		Paging
	}) (*page[CustomerRowJSON], error) {
		o := s.org(ctx)
		if who(ctx).Role == auth.Partner {
			return newPage([]CustomerRowJSON{}, ""), nil
		}
		list, next, err := s.customersBy(ctx, o, in.Q, in.Cursor, in.Limit)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		ids := make([]string, len(list))
		for i, c := range list {
			ids[i] = c.ID
		}
		addrs, err := customer.Addresses(ctx, o, ids)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		by := map[string][]customer.Address{}
		for _, a := range addrs {
			by[a.Customer] = append(by[a.Customer], a)
		}
		items := make([]CustomerRowJSON, len(list))
		for i, c := range list {
			items[i] = CustomerRowJSON{c.ID, c.Name, addressesJSON(by[c.ID]), moment(c.SeenAt)}
		}
		return newPage(items, next), nil
	})
	huma.Register(s.api, created(op("POST", "/customers", "create-customer", "Add a customer by hand", "customers")), func(ctx context.Context, in *struct {
		Body struct {
			Name      string `json:"name" maxLength:"200"`
			Language  string `json:"language" maxLength:"35"`
			Addresses []struct {
				Kind  string `json:"kind" required:"true"`
				Value string `json:"value" required:"true" maxLength:"500"`
			} `json:"addresses" maxItems:"50"`
		}
	}) (*body[CustomerJSON], error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		if strings.TrimSpace(in.Body.Name) == "" && len(in.Body.Addresses) == 0 {
			return nil, invalid("body.name", s.text(ctx, "Ein Kunde braucht einen Namen oder eine Adresse.", "A customer needs a name or an address."))
		}
		var addrs []customer.Address
		for i, a := range in.Body.Addresses {
			if err := s.checkAddress(ctx, "body.addresses["+strconv.Itoa(i)+"]", a.Kind, a.Value); err != nil {
				return nil, err
			}
			addrs = append(addrs, customer.Address{Kind: channel.Kind(a.Kind), Value: a.Value})
		}
		var c customer.Customer
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			c, err = customer.Create(ctx, tx, in.Body.Name, in.Body.Language, addrs, s.Now())
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.customer(ctx, c.ID)
	})
	huma.Register(s.api, op("GET", "/customers/{id}", "get-customer", "One customer", "customers"), func(ctx context.Context, in *ByID) (*body[CustomerJSON], error) {
		return s.customer(ctx, in.ID)
	})
	huma.Register(s.api, op("PATCH", "/customers/{id}", "change-customer", "Change a customer", "customers"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Name      *string     `json:"name" maxLength:"200"`
			Language  *string     `json:"language" maxLength:"35"`
			Notes     *string     `json:"notes" maxLength:"20000"`
			AdvisorID Opt[string] `json:"advisor_id"`
		}
	}) (*body[CustomerJSON], error) {
		o := s.org(ctx)
		ids, err := customer.IDs(ctx, o, in.ID)
		if err == nil {
			err = s.mayKnow(ctx, o, ids)
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		ch := customer.Change{Name: in.Body.Name, Language: in.Body.Language, Notes: in.Body.Notes}
		if a := in.Body.AdvisorID; a.Set {
			if a.Value != "" {
				if _, err := auth.UserByID(ctx, o, a.Value); err != nil {
					return nil, invalid("body.advisor_id", s.text(ctx, "Diesen Kollegen gibt es nicht (mehr).", "There is no such colleague (any more)."))
				}
			}
			ch.Advisor = &a.Value
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			c, err := customer.Update(ctx, tx, in.ID, ch)
			if err != nil || in.Body.Name == nil {
				return err
			}
			return conversation.Rename(ctx, tx, ids, c.Name)
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.customer(ctx, in.ID)
	})
	huma.Register(s.api, op("POST", "/customers/{id}/merge", "merge-customers", "Make another record read as part of this customer; can be taken back", "customers"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			With string `json:"with" required:"true"`
		}
	}) (*body[CustomerJSON], error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			c, err := customer.Merge(ctx, tx, in.ID, in.Body.With, s.Now())
			if err != nil {
				return err
			}
			ids, err := customer.IDs(ctx, tx, c.ID)
			if err != nil {
				return err
			}
			return conversation.Rename(ctx, tx, ids, c.Name)
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.customer(ctx, in.ID)
	})
	huma.Register(s.api, op("POST", "/customers/{id}/unmerge", "unmerge-customers", "Make a merged record a customer of its own again", "customers"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			CustomerID string `json:"customer_id" required:"true"`
		}
	}) (*body[CustomerJSON], error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			if _, err := customer.Unmerge(ctx, tx, in.ID, in.Body.CustomerID); err != nil {
				return err
			}
			c, err := customer.Get(ctx, tx, in.Body.CustomerID)
			if err != nil {
				return err
			}
			ids, err := customer.IDs(ctx, tx, c.ID)
			if err != nil {
				return err
			}
			return conversation.Rename(ctx, tx, ids, c.Name)
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.customer(ctx, in.ID)
	})
	huma.Register(s.api, created(op("POST", "/customers/{id}/addresses", "add-address", "Give a customer a further address, not confirmed", "customers")), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Kind  string `json:"kind" required:"true"`
			Value string `json:"value" required:"true" maxLength:"500"`
		}
	}) (*body[CustomerJSON], error) {
		if err := s.checkAddress(ctx, "body", in.Body.Kind, in.Body.Value); err != nil {
			return nil, err
		}
		o := s.org(ctx)
		ids, err := customer.IDs(ctx, o, in.ID)
		if err == nil {
			err = s.mayKnow(ctx, o, ids)
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if who(ctx).Role == auth.Partner { // the answer would tell whether an address belongs to somebody else
			return nil, s.forbidden(ctx)
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			_, err := customer.AddAddress(ctx, tx, ids[0], channel.Kind(in.Body.Kind), in.Body.Value, s.Now())
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.customer(ctx, in.ID)
	})
	huma.Register(s.api, op("DELETE", "/customers/{id}/addresses/{address}", "remove-address", "Take an address off a customer", "customers"), func(ctx context.Context, in *struct {
		ByID
		Address string `path:"address"`
	}) (*body[CustomerJSON], error) {
		o := s.org(ctx)
		ids, err := customer.IDs(ctx, o, in.ID)
		if err == nil {
			err = s.mayKnow(ctx, o, ids)
		}
		if err == nil && who(ctx).Role == auth.Partner {
			err = s.forbidden(ctx)
		}
		if err == nil {
			err = o.Write(ctx, func(tx *db.Tx) error { return customer.RemoveAddress(ctx, tx, ids, in.Address) })
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.customer(ctx, in.ID)
	})
}
