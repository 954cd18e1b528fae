package search

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
)

const (
	// MaxHits is how many hits a search gives at most.
	MaxHits = 200
	// hitsOfOne is how many messages of one conversation are shown: the newest ones.
	hitsOfOne = 3
)

// budget is how long older and older windows are looked through while hits are missing. Words that are each in half of
// all messages and never together would otherwise cost a look at all of them. Result.More tells that it ran out.
var budget = 400 * time.Millisecond

// Hit is one place where something was found.
type Hit struct {
	Message string // "" in a customer's record
	Field   string // text, subject, attachment, name, address
	Snippet string // at most 160 characters around the first match
	Marks   []Mark
}

// Found is a conversation with hits, the newest first.
type Found struct {
	Conversation string
	Place        int64 // of its newest hit; falls from one to the next
	Hits         []Hit
}

// Person is a customer with hits.
type Person struct {
	Customer string // the record found; may have been merged since
	Name     string
	Hits     []Hit
}

// Scope says what of an organisation is looked at.
type Scope struct {
	Assignee string // only conversations assigned to this member of staff; "none" = to nobody; "" = all
	// The others of what lists are filtered by make a search within them quick; Accept decides.
	Status, Kind, Unit, Category, Tag string
	Failed                            bool
	NoNotes                           bool // internal notes are for staff only
	Limit                             int  // conversations at most; 0 = as many as MaxHits hits are in
	// Accept says which of some conversations count (permissions, other filters); nil = all.
	Accept func(ctx context.Context, ids []string) (map[string]bool, error)
}

func (sc Scope) marks() []string {
	var out []string
	add := func(kind, value string) {
		if value != "" {
			out = append(out, markTerm(kind, value))
		}
	}
	if sc.Assignee == nobody {
		out = append(out, markTerm("a", ""))
	} else {
		add("a", sc.Assignee)
	}
	add("s", sc.Status)
	add("k", sc.Kind)
	add("u", sc.Unit)
	add("c", sc.Category)
	add("t", sc.Tag)
	if sc.Failed {
		out = append(out, markTerm("f", ""))
	}
	return out
}

const nobody = "none"

// Result is what was found. More is set if the search ended before everything was looked at.
type Result struct {
	Found []Found
	More  bool
}

// Search looks for the newest messages that meet the query and gives their conversations, the newest hit first.
func Search(ctx context.Context, o db.Org, q Query, sc Scope) (Result, error) {
	var res Result
	if q.Empty() {
		return res, nil
	}
	s, err := readState(ctx, o, "")
	if errors.Is(err, db.ErrNoRows) {
		return res, nil
	}
	if err != nil {
		return res, err
	}
	limit := sc.Limit
	if limit <= 0 || limit > MaxHits {
		limit = MaxHits
	}
	at := map[string]int{} // conversation → index in res.Found, -1 = not accepted
	hits := 0
	walk := walker{org: o, words: q.words, marks: sc.marks(), top: window(docNumber(s.num, messages, s.up)), bottom: window(docNumber(s.num, messages, s.down+1)), deadline: time.Now().Add(budget)}
	for {
		page, done, err := walk.next(ctx, min(64, max(16, 2*(limit-len(res.Found)))))
		if err != nil {
			return res, err
		}
		refs := make([]string, len(page))
		for i, p := range page {
			refs[i] = p.ref
		}
		texts, err := conversation.TextsByID(ctx, o, refs)
		if err != nil {
			return res, err
		}
		var fresh []string
		for _, t := range texts {
			if _, known := at[t.Conversation]; !known {
				fresh = append(fresh, t.Conversation)
			}
		}
		fresh = unique(fresh)
		heads, err := conversation.Heads(ctx, o, convsOf(texts))
		if err != nil {
			return res, err
		}
		var ok map[string]bool
		if sc.Accept != nil && len(fresh) > 0 {
			if ok, err = sc.Accept(ctx, fresh); err != nil {
				return res, err
			}
		}
		for _, p := range page {
			t, there := texts[p.ref]
			if !there || t.Deleted || sc.NoNotes && t.Kind == conversation.KindNote {
				continue
			}
			i, known := at[t.Conversation]
			if !known && sc.Accept != nil && !ok[t.Conversation] {
				i, known = -1, true
				at[t.Conversation] = -1
			}
			h := heads[t.Conversation]
			if known && (i < 0 || len(res.Found[i].Hits) >= hitsOfOne) || sc.Assignee == nobody && h.Assignee != "" || sc.Assignee != "" && sc.Assignee != nobody && h.Assignee != sc.Assignee {
				continue
			}
			found, match := q.match(messageFields(t, h))
			if !match {
				continue // changed since it was indexed
			}
			if !known {
				if len(res.Found) == limit {
					res.More = true
					return res, nil
				}
				i = len(res.Found)
				at[t.Conversation] = i
				res.Found = append(res.Found, Found{Conversation: t.Conversation, Place: p.doc})
			}
			for _, x := range shown(found) {
				x.Message = t.ID
				res.Found[i].Hits = append(res.Found[i].Hits, x)
				hits++
			}
			if hits >= MaxHits {
				res.More = true
				return res, nil
			}
		}
		if done {
			res.More = walk.late
			return res, nil
		}
	}
}

func convsOf(texts map[string]conversation.Text) []string {
	out := make([]string, 0, len(texts))
	for _, t := range texts {
		out = append(out, t.Conversation)
	}
	return unique(out)
}

// shown makes snippets of the best two fields.
func shown(hits []hit) []Hit {
	var out []Hit
	var words uint32
	for _, h := range hits {
		if len(out) > 0 && (len(out) == 2 || h.words&^words == 0) {
			continue // tells nothing new
		}
		words |= h.words
		s, marks := snippet(h.text, h.marks)
		out = append(out, Hit{Field: h.field, Snippet: s, Marks: marks})
	}
	return out
}

// walker goes through the windows of an area from the newest to the oldest, more and more at once.
type walker struct {
	org         db.Org
	words       []word
	marks       []string
	top, bottom int64 // windows still to look at
	below       int64 // documents from here on were seen; 0 = none yet
	size        int64
	people      bool // the area is that of customers, in which few words begin with the same two letters
	narrow      bool // too many meet all words but the last: its window is looked at by itself
	deadline    time.Time
	late        bool // the deadline came before the end
	ahead       []place
	ended       bool
}

const (
	widest = 32
	// few is how many documents that meet all words but the last are looked at one by one; looking for the beginning
	// of a word in the index costs as much as there are words that begin so.
	few = 96
)

// next gives up to limit further documents, the newest first; done says that there are no more. PostgreSQL reads a
// whole window for each look, however few documents are wanted: it is asked for many at once.
func (w *walker) next(ctx context.Context, limit int) (out []place, done bool, err error) {
	if len(w.ahead) == 0 && !w.ended {
		most := limit
		if w.org.DB().Postgres() {
			most = max(limit, 256)
		}
		if w.ahead, w.ended, err = w.fetch(ctx, most); err != nil {
			return nil, true, err
		}
	}
	n := min(limit, len(w.ahead))
	out, w.ahead = w.ahead[:n], w.ahead[n:]
	return out, w.ended && len(w.ahead) == 0, nil
}

func (w *walker) fetch(ctx context.Context, limit int) (out []place, done bool, err error) {
	if w.below == 0 {
		w.below, w.size = (w.top+1)<<windowBits, 1 // above that another area begins
	}
	for w.top >= w.bottom {
		if time.Now().After(w.deadline) {
			w.late = true
			return nil, true, nil
		}
		n := min(w.size, w.top-w.bottom+1)
		if w.narrow {
			n = 1
		}
		windows := make([]int64, n)
		for i := range windows {
			windows[i] = w.top - int64(i)
		}
		words, most := w.words, limit
		last := words[len(words)-1]
		if begins(last) && short(last) && !w.people {
			// As good as every message has a word that begins with two letters: it is looked at, not looked up.
			words, n = words[:len(words)-1], 1
			windows = windows[:1]
		}
		if len(words)+len(w.marks) == 0 {
			out, err = newest(ctx, w.org, w.below, w.bottom<<windowBits, limit)
			if len(out) < limit {
				w.top = w.bottom - 1
				return out, true, err
			}
			w.below = out[len(out)-1].doc
			return out, false, err
		}
		open := len(words) > 1 && begins(words[len(words)-1])
		if open && !w.narrow {
			words, most = words[:len(words)-1], few
		}
		out, err = lookup(ctx, w.org, expression(w.org.DB().Postgres(), words, windows, w.marks), w.below, most)
		if err != nil {
			return nil, true, err
		}
		if len(out) == most {
			if open && !w.narrow {
				w.narrow = true
				continue
			}
			w.below = out[len(out)-1].doc
			w.top = window(w.below)
			w.size = 1
			return out, false, nil
		}
		w.top -= n
		w.size = min(widest, 2*n)
		w.narrow = false
		if len(out) > 0 {
			return out, w.top < w.bottom, nil
		}
	}
	return nil, true, nil
}

func begins(w word) bool {
	for _, a := range w.alts {
		if a.prefix {
			return true
		}
	}
	return false
}

// short reports whether a word that is being typed has but two letters.
func short(w word) bool { return utf8.RuneCountInString(w.text) < 3 }

// KnowsCustomers reports whether every customer is in the index, changes of the last second aside: it is not while an
// index is made.
func KnowsCustomers(ctx context.Context, o db.Org) (bool, error) {
	s, err := readState(ctx, o, "")
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read how far the search index is: %w", err)
	}
	return s.customers == "" && s.version == Version, nil
}

// Customers looks for customers by name, address or what staff wrote about them; the last made come first.
func Customers(ctx context.Context, o db.Org, q Query, limit int) ([]Person, error) {
	if q.Empty() {
		return nil, nil
	}
	s, err := readState(ctx, o, "")
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Person
	walk := walker{org: o, words: q.words, people: true, top: window(docNumber(s.num, customers, s.customersSoFar)), bottom: window(docNumber(s.num, customers, 0)), deadline: time.Now().Add(budget)}
	for {
		page, done, err := walk.next(ctx, min(64, 2*limit))
		if err != nil {
			return nil, err
		}
		refs := make([]string, len(page))
		for i, p := range page {
			refs[i] = p.ref
		}
		texts, err := customer.TextsByID(ctx, o, refs)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			t, there := texts[p.ref]
			if !there {
				continue
			}
			found, ok := q.match(customerFields(t))
			if !ok {
				continue
			}
			out = append(out, Person{t.ID, t.Name, shown(found)})
			if len(out) == limit {
				return out, nil
			}
		}
		if done {
			return out, nil
		}
	}
}
