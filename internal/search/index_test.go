package search

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
)

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func init() { budget = time.Minute } // what is right must not depend on a slow machine

type office struct {
	t  *testing.T
	db *db.DB
	o  db.Org
	x  *Index
}

func newOffice(t *testing.T, d *db.DB) *office {
	return &office{t, d, d.Org(dbtest.Org), New(d, func(context.Context) ([]string, error) { return []string{dbtest.Org}, nil }, nil)}
}

func (f *office) write(fn func(ctx context.Context, tx *db.Tx) error) {
	f.t.Helper()
	if err := f.o.Write(f.t.Context(), func(tx *db.Tx) error { return fn(f.t.Context(), tx) }); err != nil {
		f.t.Fatal(err)
	}
}

// starts a conversation with a customer known by mail.
func (f *office) start(who, mail, subject string, texts ...string) (conv, cust string, msgs []string) {
	f.t.Helper()
	f.write(func(ctx context.Context, tx *db.Tx) error {
		msgs = nil
		s, err := customer.Ensure(ctx, tx, "email", mail, who, now)
		if err != nil {
			return err
		}
		r, err := conversation.Start(ctx, tx, s.Customer.ID, s.Customer.Name, subject, conversation.Actor{}, now)
		if err != nil {
			return err
		}
		conv, cust = r.ID, s.Customer.ID
		for _, text := range texts {
			id, err := say(ctx, tx, conv, s.Address, text)
			if err != nil {
				return err
			}
			msgs = append(msgs, id)
		}
		return nil
	})
	return conv, cust, msgs
}

func say(ctx context.Context, tx *db.Tx, conv string, a customer.Address, text string) (string, error) {
	m, _, err := conversation.Append(ctx, tx, conv, conversation.Out{Author: channel.Staff, Channel: channel.Account{ID: "c", Kind: "email"}, Address: a.ID, AddressValue: a.Value, Text: text}, now)
	return m.ID, err
}

// settle brings the index up to date.
func (f *office) settle() {
	f.t.Helper()
	for range 10_000 {
		more, err := f.x.Step(f.t.Context(), f.o)
		if err != nil {
			f.t.Fatal(err)
		}
		if !more {
			return
		}
	}
	f.t.Fatal("the index is never up to date")
}

func (f *office) find(query string, sc ...Scope) []Found {
	f.t.Helper()
	s := Scope{}
	if len(sc) > 0 {
		s = sc[0]
	}
	res, err := Search(f.t.Context(), f.o, Parse(query), s)
	if err != nil {
		f.t.Fatalf("search %q: %v", query, err)
	}
	return res.Found
}

func (f *office) want(query string, convs ...string) {
	f.t.Helper()
	var got []string
	for _, x := range f.find(query) {
		got = append(got, x.Conversation)
	}
	if !slices.Equal(got, convs) {
		f.t.Errorf("%q finds %q, want %q", query, got, convs)
	}
}

func TestIndex(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newOffice(t, d)
		early, _, _ := f.start("Hans Früh", "frueh@kunden.example", "Vor dem Index", "Der Brandschaden war groß.")
		f.settle()
		f.want("brand ", early)
		a, anna, msgs := f.start("Anna Müller", "anna.mueller@kunden.example", "Haftpflichtversicherung KFZ-123456", "Guten Tag, der Schaden ist bezahlt.", "Zweite Nachricht ohne Belang")
		b, _, _ := f.start("Bernd Maier", "bernd@kunden.example", "Wasserschaden", "Die Küche stand unter Wasser. Rückruf: 0171 2345678")
		f.want("schaden ", early) // the others not yet
		f.settle()
		f.want("schaden ", b, a, early) // the newest first
		f.want("versicherung schaden ", a)
		f.want("mueller ", a)
		f.want("müller belang", a)
		f.want("kunden.example wasser ", b)
		f.want("+49171 2345678 ", b)
		f.want("123456 ", a)
		f.want("maier brand ")
		f.want("schad", b, a, early)
		f.want("wasser sch", b)

		hit := f.find("belang ")[0].Hits
		if len(hit) != 1 || hit[0].Message != msgs[1] || hit[0].Field != "text" || hit[0].Snippet != "Zweite Nachricht ohne Belang" || !slices.Equal(hit[0].Marks, []Mark{{22, 28}}) {
			t.Errorf("hits %+v", hit)
		}
		if hit := f.find("mueller schaden ")[0].Hits; len(hit) != 2 || hit[0].Field != "text" || hit[1].Field != "name" || hit[1].Snippet != "Anna Müller" {
			t.Errorf("hits %+v", hit)
		}

		// customers
		people := func(query string) (names []string) {
			t.Helper()
			list, err := Customers(t.Context(), f.o, Parse(query), 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				names = append(names, p.Name)
			}
			return names
		}
		if got := people("mülle"); !slices.Equal(got, []string{"Anna Müller"}) {
			t.Errorf("customers %q", got)
		}
		if got := people("kunden.example "); !slices.Equal(got, []string{"Bernd Maier", "Anna Müller", "Hans Früh"}) {
			t.Errorf("customers %q", got)
		}

		// changes
		f.write(func(ctx context.Context, tx *db.Tx) error {
			m, err := conversation.MessageByID(ctx, tx, msgs[1])
			if err != nil {
				return err
			}
			if err := conversation.Edit(ctx, tx, m, "geändert: Zitronenfalter", "", now.Add(time.Minute)); err != nil {
				return err
			}
			subject := "Rechnung"
			if _, err := conversation.Update(ctx, tx, a, conversation.Change{Subject: &subject, Assignee: &conversation.Actor{ID: "staff-1", Name: "Olga"}}, conversation.Actor{}, now); err != nil {
				return err
			}
			c := "Anna Beispiel"
			if _, err := customer.Update(ctx, tx, anna, customer.Change{Name: &c}); err != nil {
				return err
			}
			return conversation.Rename(ctx, tx, []string{anna}, c)
		})
		f.settle()
		f.want("belang ")
		f.want("zitronenfalter ", a)
		f.want("haftpflicht ")
		f.want("beispiel rechnung ", a)
		if got := people("beispiel "); !slices.Equal(got, []string{"Anna Beispiel"}) {
			t.Errorf("customers %q", got)
		}
		if got := f.find("schaden ", Scope{Assignee: "staff-1"}); len(got) != 1 || got[0].Conversation != a {
			t.Errorf("of staff-1: %+v", got)
		}
		if got := f.find("schaden ", Scope{Assignee: "staff-2"}); len(got) != 0 {
			t.Errorf("of staff-2: %+v", got)
		}
		f.write(func(ctx context.Context, tx *db.Tx) error {
			m, err := conversation.MessageByID(ctx, tx, msgs[1])
			if err != nil {
				return err
			}
			if err := conversation.Delete(ctx, tx, m, now); err != nil {
				return err
			}
			if _, _, err := conversation.Remove(ctx, tx, msgs[0]); err != nil {
				return err
			}
			_, err = conversation.Note(ctx, tx, b, "intern: Glühwürmchen", "", conversation.Actor{ID: "staff-1", Name: "Olga"}, now)
			return err
		})
		f.want("zitronenfalter ") // taken back is not shown even before the index knows
		f.settle()
		f.want("zitronenfalter ")
		f.want("schaden ", b, early)
		f.want("glühwürmchen ", b)
		if got := f.find("glühwürmchen ", Scope{NoNotes: true}); len(got) != 0 {
			t.Errorf("a note is shown: %+v", got)
		}

		// filters and limits
		if got := f.find("schaden ", Scope{Limit: 1}); len(got) != 1 || got[0].Conversation != b {
			t.Errorf("limited: %+v", got)
		}
		only := func(id string) Scope {
			return Scope{Accept: func(_ context.Context, ids []string) (map[string]bool, error) { return map[string]bool{id: true}, nil }}
		}
		if got := f.find("schaden ", only(early)); len(got) != 1 || got[0].Conversation != early {
			t.Errorf("filtered: %+v", got)
		}
	})
}

// Nothing of another organisation is found, and each has an index of its own.
func TestIndexKeepsOrganisationsApart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.CreateOrg(t.Context(), "other", "Other", 1); err != nil {
			t.Fatal(err)
		}
		f, g := newOffice(t, d), newOffice(t, d)
		g.o = d.Org("other")
		a, _, _ := f.start("Anna", "a@kunden.example", "", "gemeinsames Wort")
		b, _, _ := g.start("Berta", "a@kunden.example", "", "gemeinsames Wort")
		f.settle()
		g.settle()
		f.want("gemeinsam", a)
		g.want("gemeinsam", b)
	})
}

// A message that was indexed is found however often the indexing process died, and the index is the same as one made
// anew.
func TestIndexSurvives(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newOffice(t, d)
		rnd := rand.New(rand.NewPCG(1, 2))
		words := strings.Fields("Unfall Schaden Rechnung Vertrag Haftpflichtversicherung Küche Wasserrohr Beitrag Kündigung Müller KFZ-1234 Straße")
		died := errors.New("kill -9")
		f.x.fail = func() error {
			if rnd.IntN(3) == 0 {
				return died
			}
			return nil
		}
		steps := func(n int) {
			for range n {
				if _, err := f.x.Step(t.Context(), f.o); err != nil && !errors.Is(err, died) {
					t.Fatal(err)
				}
			}
		}
		type kept struct {
			conv string
			msgs []string
		}
		var all []kept
		pick := func() string { return words[rnd.IntN(len(words))] + " " + words[rnd.IntN(len(words))] }
		for i := range 60 {
			if len(all) < 5 || rnd.IntN(2) == 0 {
				var texts []string
				for range 1 + rnd.IntN(4) {
					texts = append(texts, pick())
				}
				conv, _, msgs := f.start(pick(), fmt.Sprintf("k%d@kunden.example", i), pick(), texts...)
				all = append(all, kept{conv, msgs})
			} else {
				k := all[rnd.IntN(len(all))]
				subject := pick()
				f.write(func(ctx context.Context, tx *db.Tx) error {
					if rnd.IntN(2) == 0 {
						_, err := conversation.Update(ctx, tx, k.conv, conversation.Change{Subject: &subject}, conversation.Actor{}, now)
						return err
					}
					m, err := conversation.MessageByID(ctx, tx, k.msgs[0])
					if err != nil {
						return err
					}
					return conversation.Edit(ctx, tx, m, pick(), "", now.Add(time.Duration(i)*time.Minute))
				})
			}
			steps(rnd.IntN(4))
		}
		steps(200)
		f.x.fail = nil
		f.settle()
		look := func() map[string]string {
			out := map[string]string{}
			for _, w := range words {
				for _, q := range []string{w + " ", w[:3], w + " " + words[0] + " "} {
					var ids []string
					for _, x := range f.find(q) {
						ids = append(ids, x.Conversation)
					}
					out[q] = strings.Join(ids, " ")
				}
			}
			return out
		}
		first := look()
		if err := f.x.Rebuild(t.Context(), f.o); err != nil {
			t.Fatal(err)
		}
		f.settle()
		for q, got := range look() {
			if got != first[q] {
				t.Errorf("%q found %q by the feed and %q anew", q, first[q], got)
			}
		}
		// What the index says is what a look at every message says.
		var texts []conversation.Text
		page, err := conversation.TextsBefore(t.Context(), f.o, "~", 1000)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, page...)
		for q, got := range first {
			want := map[string]bool{}
			for _, m := range texts {
				h, err := conversation.Heads(t.Context(), f.o, []string{m.Conversation})
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := Parse(q).match(messageFields(m, h[m.Conversation])); ok && m.Kind != conversation.KindEvent {
					want[m.Conversation] = true
				}
			}
			n := len(strings.Fields(got))
			if n != len(want) {
				t.Errorf("%q found %d conversations, want %d", q, n, len(want))
			}
		}
	})
}

// An index that was away for longer than the feed reaches back, and one of an older analyser, are made anew.
func TestIndexIsMadeAnew(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newOffice(t, d)
		var log strings.Builder
		f.x.log = slog.New(slog.NewTextHandler(&log, nil))
		a, _, _ := f.start("Anna", "a@kunden.example", "Unfall", "eins")
		f.settle()
		b, _, _ := f.start("Berta", "b@kunden.example", "Unfall", "zwei")
		if err := f.o.TrimFeed(t.Context(), time.Now().Add(db.FeedKept+time.Hour)); err != nil {
			t.Fatal(err)
		}
		f.want("unfall ", a)
		f.settle()
		f.want("unfall ", b, a)
		if !strings.Contains(log.String(), "older than the feed") {
			t.Errorf("log: %s", log.String())
		}
		f.write(func(ctx context.Context, tx *db.Tx) error {
			if !tx.Postgres() {
				if _, err := tx.Exec(ctx, `DELETE FROM search_text WHERE rowid > 0 AND $1 <> ''`); err != nil {
					return err
				}
			} else if _, err := tx.Exec(ctx, `UPDATE search_doc SET terms = array_to_tsvector('{}'::text[]) WHERE org = $1`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE search_state SET version = 0 WHERE org = $1`)
			return err
		})
		f.want("unfall ")
		f.settle()
		f.want("unfall ", b, a)
		if !strings.Contains(log.String(), "analyser has changed") {
			t.Errorf("log: %s", log.String())
		}
	})
}

// While it runs, what is said is found within a second, whichever process said it; two that run at once do no harm.
func TestIndexFollows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f, g := newOffice(t, d), newOffice(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- f.x.Run(ctx) }()
		go func() { done <- g.x.Run(ctx) }()
		for i := range 5 {
			conv, _, _ := f.start("Anna", "a@kunden.example", "", fmt.Sprintf("Nachricht wort%dwort", i))
			begin := time.Now()
			for len(f.find(fmt.Sprintf("wort%dwort ", i))) == 0 {
				if time.Since(begin) > 5*time.Second { // the promise is one second; test machines are slow
					t.Fatalf("message %d is not found after %s", i, time.Since(begin))
				}
				time.Sleep(5 * time.Millisecond)
			}
			f.want(fmt.Sprintf("wort%dwort ", i), conv)
			t.Logf("found after %s", time.Since(begin).Round(time.Millisecond))
		}
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// Frequent words, a beginning that many words share, and a word that is only in old windows: the newest come first, and
// nothing is left out.
func TestPace(t *testing.T) {
	const ms = time.Millisecond
	p := &pace{}
	at, head := now, int64(1000)
	step := func(after time.Duration, grew, behind int64, waiting int, more bool) time.Duration {
		at, head = at.Add(after), head+grew
		return p.rest(load{at, 20 * ms, more, waiting, head, head - behind})
	}
	for i, c := range []struct {
		after        time.Duration
		grew, behind int64
		waiting      int
		more         bool
		want         time.Duration
	}{
		{0, 0, 0, 0, false, 0},                               // nothing to do
		{300 * ms, 300, 300, 0, true, 20 * ms},               // 300 messages a second, and the index keeps up
		{300 * ms, 300, 600, 1, true, 80 * ms},               // the same, others write
		{300 * ms, 0, 80_000, 0, true, 20 * ms},              // far behind, but nothing comes in: catching up
		{300 * ms, 3000, 83_000, 0, true, 400 * ms},          // much comes in
		{100 * ms, 0, 83_000, 0, true, 400 * ms},             // too soon to tell
		{300 * ms, 10, 83_000, 0, true, 20 * ms},             // over
		{300 * ms, 10, 10, floodWaiting + 1, true, 400 * ms}, // many wait for their acknowledgement
		{300 * ms, 10, 10, 0, true, 400 * ms},                // none at this very moment
		{900 * ms, 10, 10, 0, true, 20 * ms},
		{300 * ms, 10, 10, floodWaiting + 1, false, 400 * ms},
	} {
		if got := step(c.after, c.grew, c.behind, c.waiting, c.more); got != c.want {
			t.Errorf("%d: rests %s, want %s", i, got, c.want)
		}
	}
	if got := (&pace{}).rest(load{now, time.Minute, true, 99, 1, 1}); got != 2*time.Second {
		t.Errorf("after a slow step it rests %s", got)
	}
}

// A beginning of one or two letters is looked for by reading on from the newest message: customers, who are numbered
// above all messages, are none of them.
func TestShortBeginnings(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newOffice(t, d)
		f.settle()
		c, cust, msgs := f.start("Anna", "a@kunden.example", "", "guter Vertrag")
		f.start("Bernd", "b@kunden.example", "", "nichts")
		f.settle()
		s, err := readState(t.Context(), f.o, "")
		if err != nil {
			t.Fatal(err)
		}
		walk := walker{org: f.o, words: Parse("gu").words, top: window(docNumber(s.num, messages, s.up)), bottom: window(docNumber(s.num, messages, s.down+1)), deadline: time.Now().Add(time.Minute)}
		page, done, err := walk.next(t.Context(), 2)
		if err != nil || len(page) != 2 || page[1].ref != msgs[0] {
			t.Errorf("first page %v (end: %v), want the two messages; %v", page, done, err)
		}
		f.want("gu", c)
		f.want("g", c)
		f.want("vertrag g", c)
		f.want("x")
		for _, q := range []string{"a", "an", "ann", "anna a"} {
			people, err := Customers(t.Context(), f.o, Parse(q), 10)
			if err != nil || len(people) != 1 || people[0].Customer != cust {
				t.Errorf("%q finds %+v, %v", q, people, err)
			}
		}
	})
}

func TestIndexOverWindows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newOffice(t, d)
		f.settle()
		// Documents far apart, as if there were a million between them.
		var first, last string
		for i := range 8 {
			c, _, _ := f.start("Anna", "a@kunden.example", "", fmt.Sprintf("häufig vertrag nummer%d", i))
			f.settle()
			f.write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE search_state SET next_up = next_up + $2 WHERE org = $1`, 5<<windowBits)
				return err
			})
			if i == 0 {
				first = c
			}
			last = c
		}
		if got := f.find("häufig "); len(got) != 8 || got[0].Conversation != last || got[7].Conversation != first {
			t.Errorf("%d found", len(got))
		}
		f.want("häufig nummer0 ", first)
		f.want("häufig nummer0", first)
		f.want("vertr nummer7 ")
		f.want("nummer7 vertr", last)
		if got := f.find("häufig nu", Scope{Limit: 3}); len(got) != 3 || got[0].Conversation != last {
			t.Errorf("%+v", got)
		}
	})
}
