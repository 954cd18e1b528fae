package chat

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
)

// Entry is a message as its visitor may see it.
type Entry struct {
	conversation.Message
	Delivery outbox.Delivery // of what we said
	Files    []conversation.Attachment
	Quote    *conversation.Message // what it answers, if the visitor may see that, too
	Seen     bool                  // somebody of ours has read what the visitor said
	Offer    outbox.Offer          // what it offers to press or to fill in
	Asked    ask.Standing          // the question that it put, as it stands now; zero: none
}

// code gives the answer code of what a message offers, "" if it asks nothing.
func code(o outbox.Offer) string {
	var form struct {
		Code string `json:"code"`
	}
	if len(o.Form) > 0 && json.Unmarshal(o.Form, &form) == nil && form.Code != "" {
		return form.Code
	}
	for _, c := range o.Choices {
		if code, _, ok := ask.ParsePayload(c.Data); ok {
			return code
		}
	}
	return ""
}

// Asking gives those of the messages newest exchanged with the address that put this question: what they offer changes
// with where it stands.
func Asking(ctx context.Context, q db.Querier, address, question string) ([]string, error) {
	list, err := conversation.Exchanged(ctx, q, address, "", askingAmong)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range list {
		if !m.In && mine(m, address) {
			ids = append(ids, m.ID)
		}
	}
	offers, err := outbox.Offers(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	asked, err := standings(ctx, q, offers)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ids, func(id string) bool { return asked[id].Ask != question }), nil
}

const askingAmong = 100 // older ones are as they stand when they are loaded

// standings gives, by message, the questions that messages put.
func standings(ctx context.Context, q db.Querier, offers map[string]outbox.Offer) (map[string]ask.Standing, error) {
	codes := map[string]string{}
	var list []string
	for id, o := range offers {
		if c := code(o); c != "" {
			codes[id] = c
			list = append(list, c)
		}
	}
	slices.Sort(list)
	by, err := ask.Standings(ctx, q, slices.Compact(list))
	if err != nil {
		return nil, err
	}
	out := make(map[string]ask.Standing, len(codes))
	for id, c := range codes {
		out[id] = by[c]
	}
	return out, nil
}

// ClientID is the id that the widget gave a message of the visitor; "" for others'.
func (e Entry) ClientID() string {
	if !e.In {
		return ""
	}
	return e.SourceKey[strings.LastIndexByte(e.SourceKey, ':')+1:]
}

// mine reports whether a message was exchanged with this very address and is meant for whoever owns it. What was said
// by mail in the same conversation is not shown: the owner of a mailbox has not proved to be the visitor of a page.
func mine(m conversation.Message, address string) bool {
	return m.CustomerSees() && m.ChannelKind == Kind && m.Address == address
}

// out reports whether a message has left the house: what its author can still take back is nobody's to see.
func out(d outbox.Delivery) bool {
	return d.State == channel.Sent || d.State == channel.Delivered || d.State == channel.Read
}

// Entries makes entries of those of the messages that the address's owner may see, in the same order.
func Entries(ctx context.Context, q db.Querier, address string, list []conversation.Message) ([]Entry, error) {
	var ids, quotes, talks []string
	var kept []conversation.Message
	for _, m := range list {
		if !mine(m, address) {
			continue
		}
		kept = append(kept, m)
		ids = append(ids, m.ID)
		talks = append(talks, m.Conversation)
		if m.ReplyTo != "" {
			quotes = append(quotes, m.ReplyTo)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	deliveries, err := outbox.ByMessages(ctx, q, append(ids, quotes...))
	if err != nil {
		return nil, err
	}
	files, err := conversation.Attachments(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	quoted, err := conversation.MessagesByID(ctx, q, quotes)
	if err != nil {
		return nil, err
	}
	seen, err := conversation.SeenUpTo(ctx, q, talks)
	if err != nil {
		return nil, err
	}
	offers, err := outbox.Offers(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	asked, err := standings(ctx, q, offers)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(kept))
	for _, m := range kept {
		e := Entry{Message: m, Delivery: deliveries[m.ID], Files: files[m.ID], Seen: m.In && seen[m.Conversation] >= m.Pos, Offer: offers[m.ID], Asked: asked[m.ID]}
		if !m.In && !out(e.Delivery) {
			continue
		}
		if qm, ok := quoted[m.ReplyTo]; ok && mine(qm, address) && qm.DeletedAt.IsZero() && (qm.In || out(deliveries[qm.ID])) {
			e.Quote = &qm
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// History gives a page of what the address's owner may see, the newest page first, each page in ascending order. next
// leads to older ones, "" if there are none.
func History(ctx context.Context, q db.Querier, address, before string, limit int) (page []Entry, next string, err error) {
	for len(page) <= limit {
		list, err := conversation.Exchanged(ctx, q, address, before, limit+1)
		if err != nil || len(list) == 0 {
			return reversed(page), "", err
		}
		before = list[len(list)-1].ID
		more, err := Entries(ctx, q, address, list)
		if err != nil {
			return nil, "", err
		}
		page = append(page, more...)
		if len(list) <= limit { // there is nothing older
			break
		}
	}
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].ID
	}
	return reversed(page), next, nil
}

func reversed(in []Entry) []Entry {
	out := make([]Entry, len(in))
	for i, e := range in {
		out[len(in)-1-i] = e
	}
	return out
}
