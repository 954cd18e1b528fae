package api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/search"
)

// found asks until the search gives at least n conversations; the index may be a second behind.
func (c *client) found(q string, n int) (rows, customers []object) {
	c.h.t.Helper()
	c.h.eventually("find "+q, func() bool {
		o := c.get("/search?q=" + url.QueryEscape(q)).want(200).obj()
		rows, customers = o.list("conversations"), o.list("customers")
		return len(rows) >= n
	})
	return rows, customers
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		anna := h.customer("Anna Müller", "anna.mueller@kunde.example")
		send := func(subject, text string, files ...emailsim.File) {
			t.Helper()
			if _, err := anna.Send(h.ctx(), emailsim.Message{To: []string{"service@firma.example"}, Subject: subject, Text: text, Files: files}); err != nil {
				t.Fatal(err)
			}
		}
		send("Wasserschaden KFZ-123456", "Guten Tag, in der Küche 😀 steht Wasser. Ich brauche meine Haftpflichtversicherung.")
		send("Zweite Sache", "Meine Straße ist gesperrt.", emailsim.File{Name: "Kostenvoranschlag.pdf", MediaType: "application/pdf", Content: []byte("%PDF-1.4")})
		begin := time.Now()
		rows, customers := h.owner.found("versicherung ", 1)
		t.Logf("found after %s", time.Since(begin).Round(time.Millisecond))
		if len(rows) != 1 || rows[0].str("subject") != "Wasserschaden KFZ-123456" || len(customers) != 0 {
			t.Fatalf("rows %v, customers %v", rows, customers)
		}
		hit := rows[0].list("hits")[0]
		if hit.str("field") != "text" || !strings.Contains(hit.str("snippet"), "Küche 😀 steht") || hit.str("message_id") == "" {
			t.Errorf("hit %v", hit)
		}
		h.owner.found("strasse ", 1)
		if rows, _ := h.owner.found("kostenvor", 1); rows[0].list("hits")[0].str("field") != "attachment" {
			t.Errorf("%v", rows)
		}
		rows, customers = h.owner.found("mueller", 2)
		if len(rows) != 2 || rows[0].str("subject") != "Zweite Sache" || len(customers) != 1 || customers[0].str("name") != "Anna Müller" {
			t.Errorf("rows %v, customers %v", rows, customers)
		}

		// lists: q with other filters, and page after page
		list := func(c *client, query string) []object {
			t.Helper()
			return c.get("/conversations?" + query).want(200).items()
		}
		if got := list(h.owner, "q=mueller+&status=open"); len(got) != 2 || len(got[0].list("hits")) == 0 {
			t.Errorf("open: %v", got)
		}
		if got := list(h.owner, "q=mueller+&status=closed"); len(got) != 0 {
			t.Errorf("closed: %v", got)
		}
		if got := list(h.owner, "q=mueller+&channel_kind=telegram"); len(got) != 0 {
			t.Errorf("telegram: %v", got)
		}
		h.owner.do("PATCH", "/conversations/"+rows[1].str("id"), map[string]any{"tags": []string{"Eilt sehr"}}).want(200)
		h.eventually("search in a tag", func() bool { return len(list(h.owner, "q=mueller+&tag=Eilt+sehr")) == 1 })
		if got := list(h.owner, "q=mueller+&tag=Eilt"); len(got) != 0 {
			t.Errorf("another tag: %v", got)
		}
		if got := list(h.owner, "q=an&status=open&assignee=none"); len(got) != 2 { // two letters of Anna
			t.Errorf("unassigned: %v", got)
		}
		page := h.owner.get("/conversations?q=mueller+&limit=1").want(200).obj()
		next := page.str("next_cursor")
		if len(page.list("items")) != 1 || next == "" {
			t.Fatalf("first page %v", page)
		}
		second := h.owner.get("/conversations?q=mueller+&limit=1&cursor=" + next).want(200).obj()
		if got := second.list("items"); len(got) != 1 || got[0].str("id") == page.list("items")[0].str("id") || second.str("next_cursor") != "" {
			t.Errorf("second page %v", second)
		}
		h.owner.get("/conversations?q=mueller+&cursor=nonsense").want(400)
		for limit, more := range map[string]bool{"1": true, "2": false} {
			if o := h.owner.get("/search?q=mueller+&limit=" + limit).want(200).obj(); o["more"] != more {
				t.Errorf("of two conversations %s asked for: more is %v", limit, o["more"])
			}
		}
		h.owner.get("/search?q=" + strings.Repeat("a", 1001)).want(422)
		if o := h.owner.get("/search?q=").want(200).obj(); len(o.list("conversations"))+len(o.list("customers")) != 0 {
			t.Errorf("nothing asked: %v", o)
		}

		// A partner finds in what is assigned to them, and no notes.
		partner := h.member("default", "partner", "Paul Partner")
		if o := partner.get("/search?q=mueller").want(200).obj(); len(o.list("conversations"))+len(o.list("customers")) != 0 {
			t.Errorf("a partner finds %v", o)
		}
		conv := rows[1].str("id")
		h.owner.do("POST", "/conversations/"+conv+"/notes", map[string]any{"text": "intern Glühwürmchen", "client_id": id()}).want(201)
		h.owner.do("PATCH", "/conversations/"+conv, map[string]any{"assignee_id": partner.id}).want(200)
		h.owner.found("glühwürmchen ", 1)
		rows, customers = partner.found("mueller ", 1)
		if len(rows) != 1 || rows[0].str("id") != conv || len(customers) != 1 {
			t.Errorf("a partner finds %v, %v", rows, customers)
		}
		if o := partner.get("/search?q=gl%C3%BChw%C3%BCrmchen+").want(200).obj(); len(o.list("conversations")) != 0 {
			t.Errorf("a partner finds a note: %v", o)
		}
		if got := list(partner, "q=mueller+&assignee=none"); len(got) != 0 {
			t.Errorf("a partner finds what is nobody's: %v", got)
		}
		h.owner.do("PATCH", "/conversations/"+conv, map[string]any{"assignee_id": nil}).want(200)
		if o := partner.get("/search?q=mueller").want(200).obj(); len(o.list("conversations")) != 0 { // at once, whatever the index knows
			t.Errorf("a partner finds what was taken away: %v", o)
		}

		// Nothing of another organisation.
		other := h.otherOrg()
		if o := other.get("/search?q=mueller").want(200).obj(); len(o.list("conversations"))+len(o.list("customers")) != 0 {
			t.Errorf("another organisation finds %v", o)
		}
	})
}

// Customers are found by the index, and those of the last time by any part of a name or address, at once.
func TestCustomersByName(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first := h.owner.do("POST", "/customers", map[string]any{"name": "Zyprian Altbekannt", "addresses": []any{map[string]any{"kind": "email", "value": "zyprian@kunde.example"}}}).want(201).obj().str("id")
		old := h.owner.do("POST", "/customers", map[string]any{"name": "Doppelt Angelegt"}).want(201).obj().str("id")
		err := h.DB.Org(org.Default).Write(h.ctx(), func(tx *db.Tx) error {
			for i := range 1100 {
				if _, err := customer.Create(h.ctx(), tx, fmt.Sprintf("Kunde %04d", i), "", []customer.Address{{Kind: "email", Value: fmt.Sprintf("k%04d@viele.example", i)}}, h.now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		find := func(q string) (ids []string) {
			t.Helper()
			for _, v := range h.owner.get("/customers?q=" + url.QueryEscape(q)).want(200).items() {
				ids = append(ids, v.str("id"))
			}
			return ids
		}
		for _, q := range []string{"zyprian", "Altbek", "altbekannt zyp", "zyprian@kunde.example", "zyprian@kun"} {
			h.eventually("find "+q, func() bool { return slices.Equal(find(q), []string{first}) })
		}
		h.eventually("the index is complete", func() bool {
			ready, err := search.KnowsCustomers(h.ctx(), h.DB.Org(org.Default))
			return err == nil && ready
		})
		now := h.owner.do("POST", "/customers", map[string]any{"name": "Soeben Hinzugekommen", "addresses": []any{map[string]any{"kind": "telegram", "value": "555666777"}}}).want(201).obj().str("id")
		for _, q := range []string{"hinzugekommen", "eben hinzu", "HINZU", "5666"} {
			if got := find(q); !slices.Equal(got, []string{now}) {
				t.Errorf("%q finds %v at once, want %s", q, got, now)
			}
		}
		// Who was merged stands for who survived.
		h.owner.do("POST", "/customers/"+first+"/merge", map[string]any{"with": old}).want(200)
		if got := find("Doppelt"); !slices.Equal(got, []string{first}) {
			t.Errorf("a merged one: %v, want %s", got, first)
		}
		// All pages of many.
		h.eventually("find them all", func() bool { return len(find("kunde 0000")) == 1 && len(find("kunde 0099")) == 1 })
		seen := map[string]bool{}
		for cursor := ""; ; {
			o := h.owner.get("/customers?q=kunde+00&limit=7&cursor=" + cursor).want(200).obj()
			for _, v := range o.list("items") {
				if seen[v.str("id")] {
					t.Errorf("%s twice", v.str("name"))
				}
				seen[v.str("id")] = true
			}
			if cursor = o.str("next_cursor"); cursor == "" {
				break
			}
		}
		if len(seen) != 100 {
			t.Errorf("%d on all pages, want 100", len(seen))
		}
	})
}
