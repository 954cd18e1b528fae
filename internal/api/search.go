package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/search"
)

// HitJSON is a place where a search found something.
type HitJSON struct {
	MessageID string   `json:"message_id" doc:"empty in a customer's record"`
	Field     string   `json:"field" enum:"text,subject,attachment,name,address"`
	Snippet   string   `json:"snippet" doc:"at most 160 characters around the first match"`
	Marks     [][2]int `json:"marks" doc:"what matched, as [from, to] in UTF-16 units of the snippet"`
}

// FoundCustomerJSON is a customer that a search found.
type FoundCustomerJSON struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Hits []HitJSON `json:"hits"`
}

// SearchJSON is what a search found.
type SearchJSON struct {
	Conversations []RowJSON           `json:"conversations" doc:"with hits, the newest hit first"`
	Customers     []FoundCustomerJSON `json:"customers"`
	More          bool                `json:"more" doc:"there may be older ones: the search ended before everything was looked at"`
}

func hitsJSON(hits []search.Hit) []HitJSON {
	out := make([]HitJSON, len(hits))
	for i, h := range hits {
		out[i] = HitJSON{h.Message, h.Field, h.Snippet, make([][2]int, len(h.Marks))}
		for j, m := range h.Marks {
			out[i].Marks[j] = m
		}
	}
	return out
}

func (s *Server) searchRoutes() {
	huma.Register(s.api, op("GET", "/search", "search", "Find conversations and customers: all words, each also as part of a compound; the last one may be unfinished", "conversations"), func(ctx context.Context, in *struct {
		Q     string `query:"q" maxLength:"1000" doc:"words; in double quotes they must follow each other"`
		Limit int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
	}) (*body[SearchJSON], error) {
		o := s.org(ctx)
		out := &body[SearchJSON]{SearchJSON{Conversations: []RowJSON{}, Customers: []FoundCustomerJSON{}}}
		rows, more, err := s.foundNewest(ctx, o, in.Q, in.Limit)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.Conversations = append(out.Body.Conversations, rows...)
		people, err := s.foundCustomers(ctx, o, in.Q, min(20, in.Limit))
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.Customers = append(out.Body.Customers, people...)
		out.Body.More = more
		return out, nil
	})
}

// foundNewest gives the conversations that a query finds, the newest hit first.
func (s *Server) foundNewest(ctx context.Context, o db.Org, q string, limit int) (items []RowJSON, more bool, err error) {
	items, _, more, err = s.foundIn(ctx, o, q, conversation.Filter{}, false, "", limit)
	return items, more, err
}

// found gives a page of the conversations that a query finds and a filter lets through, the newest hit first. own says
// that the filter's silence about categories means "none".
func (s *Server) found(ctx context.Context, o db.Org, q string, f conversation.Filter, own bool, cursor string, limit int) (items []RowJSON, next string, err error) {
	items, next, _, err = s.foundIn(ctx, o, q, f, own, cursor, limit)
	return items, next, err
}

// foundIn is found that also tells whether the search ended before everything was looked at.
func (s *Server) foundIn(ctx context.Context, o db.Org, q string, f conversation.Filter, own bool, cursor string, limit int) (items []RowJSON, next string, more bool, err error) {
	before := int64(0)
	if cursor != "" {
		b, err := base64.RawURLEncoding.DecodeString(cursor)
		if err == nil {
			_, err = fmt.Sscanf(string(b), "found %d", &before)
		}
		if err != nil {
			return nil, "", false, fmt.Errorf("%w: %q", db.ErrCursor, cursor)
		}
	}
	u := who(ctx)
	scope := search.Scope{Limit: limit}
	if u.Role == auth.Partner { // sees what is assigned to them, and no internal notes
		if f.Assignee != "" && f.Assignee != u.ID {
			return nil, "", false, nil
		}
		f.Assignee, scope.NoNotes = u.ID, true
	}
	scope.Assignee, scope.Status, scope.Kind, scope.Unit, scope.Category, scope.Tag, scope.Failed = f.Assignee, f.Status, string(f.Kind), f.Unit, f.Category, f.Tag, f.Failed
	if before != 0 {
		scope.Limit = 0 // the page before is found again
	}
	tag := f.Tag
	f.Tag, f.Text = "", ""
	known := map[string]conversation.Row{}
	scope.Accept = func(ctx context.Context, ids []string) (map[string]bool, error) {
		f := f
		f.IDs = ids
		rows, _, err := conversation.List(ctx, o, f, u.ID, "", len(ids))
		if err != nil {
			return nil, err
		}
		ok := make(map[string]bool, len(rows))
		for _, r := range rows {
			if !mine(u, r) || tag != "" && !slices.Contains(r.Tags, tag) || own && f.Category == "" && r.Category != "" {
				continue
			}
			ok[r.ID], known[r.ID] = true, r
		}
		return ok, nil
	}
	res, err := search.Search(ctx, o, search.Parse(q), scope)
	if err != nil {
		return nil, "", false, err
	}
	list := res.Found
	if before != 0 {
		list = slices.DeleteFunc(list, func(x search.Found) bool { return x.Place >= before })
		if len(list) > limit {
			list, res.More = list[:limit], true
		} else {
			res.More = false
		}
	}
	rows := make([]conversation.Row, len(list))
	for i, x := range list {
		rows[i] = known[x.Conversation]
	}
	if items, err = s.rows(ctx, o, rows); err != nil {
		return nil, "", false, err
	}
	for i, x := range list {
		items[i].Hits = hitsJSON(x.Hits)
	}
	if res.More && len(list) == limit {
		next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "found %d", list[limit-1].Place))
	}
	return items, next, res.More, nil
}

// foundCustomers gives customers that a query finds and the user may see, the last made first.
func (s *Server) foundCustomers(ctx context.Context, o db.Org, q string, limit int) ([]FoundCustomerJSON, error) {
	list, err := search.Customers(ctx, o, search.Parse(strings.TrimLeft(q, " ")), limit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, p := range list {
		ids[i] = p.Customer
	}
	survivors, err := customer.Survivors(ctx, o, ids)
	if err != nil {
		return nil, err
	}
	var out []FoundCustomerJSON
	at := map[string]int{}
	for _, p := range list {
		id := p.Customer
		if to, merged := survivors[id]; merged {
			id = to
		}
		if i, again := at[id]; again {
			if i >= 0 {
				out[i].Hits = append(out[i].Hits, hitsJSON(p.Hits)...)
			}
			continue
		}
		at[id] = -1
		if who(ctx).Role == auth.Partner {
			all, err := customer.IDs(ctx, o, id)
			if err == nil {
				err = s.mayKnow(ctx, o, all)
			}
			if errors.Is(err, customer.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		if id != p.Customer { // goes by the surviving record's name
			c, err := customer.Get(ctx, o, id)
			if err != nil {
				return nil, err
			}
			p.Name = c.Name
		}
		at[id] = len(out)
		out = append(out, FoundCustomerJSON{id, p.Name, hitsJSON(p.Hits)})
	}
	return out, nil
}
