package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// TestConversationPages: over 130 conversations no page leaves one out or shows one twice, in the promised order, while
// every filter gives exactly its own.
func TestConversationPages(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const n = 130
		var wg sync.WaitGroup
		work := make(chan int)
		for range 8 {
			wg.Go(func() {
				for i := range work {
					h.chat(int64(5000000000+i), fmt.Sprintf("Kunde %03d", i), fmt.Sprintf("Frage %03d 100%%_ig", i))
				}
			})
		}
		for i := range n {
			work <- i
		}
		close(work)
		wg.Wait()
		h.eventually("all are here", func() bool { return h.owner.get("/conversations/counts").obj().num("open") == n })

		walk := func(filter string, limit int) []object {
			t.Helper()
			var all []object
			cursor := ""
			for pages := 0; ; pages++ {
				a := h.owner.get(fmt.Sprintf("/conversations?limit=%d&cursor=%s%s", limit, cursor, filter)).want(200).obj()
				items := a.list("items")
				if len(items) > limit {
					t.Fatalf("%d items on a page of %d", len(items), limit)
				}
				all = append(all, items...)
				next, ok := a["next_cursor"].(string)
				if !ok {
					t.Fatalf("next_cursor is no string: %v", a["next_cursor"])
				}
				if next == "" {
					return all
				}
				if pages > n {
					t.Fatal("the pages do not end")
				}
				cursor = next
			}
		}
		for _, limit := range []int{1, 7, 50, 200} {
			all := walk("", limit)
			seen := map[string]bool{}
			for i, r := range all {
				if seen[r.str("id")] {
					t.Errorf("limit %d: %s twice", limit, r.str("id"))
				}
				seen[r.str("id")] = true
				if i > 0 && all[i-1].str("last_message_at") < r.str("last_message_at") && len(all[i-1].str("last_message_at")) == len(r.str("last_message_at")) {
					t.Errorf("limit %d: %s stands before %s", limit, all[i-1].str("last_message_at"), r.str("last_message_at"))
				}
			}
			if len(all) != n {
				t.Errorf("limit %d: %d conversations, want %d", limit, len(all), n)
			}
		}
		// New ones that come while somebody leafs do not shift the pages.
		first := h.owner.get("/conversations?limit=60").want(200).obj()
		h.chat(5900000000, "Neuer Kunde", "dazwischen")
		h.owner.conversation("Neuer Kunde")
		rest := h.owner.get("/conversations?limit=200&cursor=" + first.str("next_cursor")).want(200).items()
		seen := map[string]bool{}
		for _, r := range append(first.list("items"), rest...) {
			if seen[r.str("id")] {
				t.Errorf("%s twice after a new one came", r.str("id"))
			}
			seen[r.str("id")] = true
		}
		if len(seen) != n {
			t.Errorf("%d after a new one came, want %d", len(seen), n)
		}

		rows := walk("", 200)
		byName := map[string]object{}
		for _, r := range rows {
			byName[r.str("customer.name")] = r
		}
		some := byName["Kunde 042"]
		h.owner.do("PATCH", "/conversations/"+byName["Kunde 001"].str("id"), map[string]any{"status": "closed"}).want(200)
		h.owner.do("PATCH", "/conversations/"+byName["Kunde 002"].str("id"), map[string]any{"snoozed_until": h.now().Add(time.Hour)}).want(200)
		h.owner.do("PATCH", "/conversations/"+byName["Kunde 003"].str("id"), map[string]any{"assignee_id": h.owner.id}).want(200)
		h.eventually("what was last said is found", func() bool { return len(walk("&q=kunde+042", 50)) == 1 && len(walk("&q=FRAGE+042", 50)) == 1 })
		for filter, want := range map[string]int{
			"&status=open": n - 1, "&status=closed": 1, "&status=snoozed": 1, "&assignee=me": 1, "&assignee=" + h.owner.id: 1, "&assignee=none": n, "&assignee=nonsense": 0,
			"&channel_kind=telegram": n + 1, "&channel_kind=email": 0, "&customer_id=" + some.str("customer.id"): 1, "&customer_id=nonsense": 0, "&waiting=true": n,
			"&q=kunde+042": 1, "&q=FRAGE+042": 1, "&q=%25": 0, "&status=open&assignee=none&channel_kind=telegram&waiting=true": n - 2, "": n + 1,
		} {
			if got := len(walk(filter, 50)); got != want {
				t.Errorf("%q gives %d conversations, want %d", filter, got, want)
			}
		}
		waiting := walk("&waiting=true", 40)
		for i := 1; i < len(waiting); i++ {
			if w, v := waiting[i-1].str("waiting_since"), waiting[i].str("waiting_since"); len(w) == len(v) && w > v {
				t.Errorf("waiting: %s before %s: the longest wait comes first", w, v)
			}
		}
		c := h.owner.get("/conversations/counts").want(200).obj()
		for k, v := range map[string]float64{"open": n - 1, "mine": 1, "unassigned": n - 2, "work_items": 0, "uncertain": 0} {
			if c.num(k) != v {
				t.Errorf("counts: %s = %v, want %v", k, c.num(k), v)
			}
		}
		h.owner.get("/conversations?cursor=nonsense").problem(400, "bad_cursor")
		h.owner.get("/conversations?limit=0").problem(422, "invalid")
		h.owner.get("/conversations?limit=201").problem(422, "invalid")
		h.owner.get("/conversations?status=lost").problem(422, "invalid")
	})
}

// TestMessagePages: the newest page first, ascending inside, the cursor leads to older ones, none left out or twice.
func TestMessagePages(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const n = 125
		for i := range n {
			h.chat(6000000001, "Viel Schreiber", fmt.Sprintf("Satz %03d", i))
		}
		c := h.owner.conversation("Viel Schreiber").str("id")
		h.eventually("all are here", func() bool { return h.owner.get("/conversations/"+c).obj().num("unread") == n })
		var all []string
		cursor := ""
		for {
			a := h.owner.get("/conversations/" + c + "/messages?limit=30&cursor=" + cursor).want(200).obj()
			var page []string
			for _, m := range a.list("items") {
				page = append(page, m.str("text"))
			}
			all = append(page, all...)
			if cursor = a.str("next_cursor"); cursor == "" {
				break
			}
		}
		if len(all) != n {
			t.Fatalf("%d messages, want %d", len(all), n)
		}
		for i, text := range all {
			if text != fmt.Sprintf("Satz %03d", i) {
				t.Fatalf("message %d is %q", i, text)
			}
		}
		h.owner.get("/conversations/"+c+"/messages?cursor=nonsense").problem(400, "bad_cursor")
	})
}

// TestRowAndMessageFields: every field that outside programs rely on, by name and meaning.
func TestRowAndMessageFields(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.mailed("Erika Muster", emailsim.Message{Subject: "Glasschaden", Text: "Guten Tag, die Scheibe ist kaputt.", Cc: []string{"Mann <mann@kunde.example>"},
			EnvelopeTo: []string{"service@firma.example"}, Files: []emailsim.File{{Name: "Schaden Größe.txt", MediaType: "text/plain", Content: []byte("Beleg")}}})
		r.has(t, "row", "id", "subject", "status", "customer", "assignee", "channel_kind", "last_message_at", "last_message", "waiting_since", "unread", "snoozed_until", "tags", "failed")
		if r.str("subject") != "Glasschaden" || r.str("status") != "open" || r.str("customer.id") == "" || r.at("assignee") != nil || r.str("channel_kind") != "email" ||
			r.num("unread") != 1 || r.at("waiting_since") == nil || r.at("snoozed_until") != nil || r.yes("failed") || r.str("last_message.direction") != "in" || r.str("last_message.author") != "customer" || !strings.Contains(r.str("last_message.text"), "Scheibe") {
			t.Errorf("row: %v", r)
		}
		if tags, ok := r["tags"].([]any); !ok || len(tags) != 0 {
			t.Errorf("tags: %v", r["tags"])
		}
		c := r.str("id")
		in := h.owner.messages(c)[0]
		in.has(t, "message", "id", "conversation_id", "kind", "direction", "author", "author_name", "channel", "address", "assurance", "subject", "from", "to", "cc", "bcc", "text", "has_html", "html", "remote_images",
			"attachments", "external_id", "reply_to", "quote", "sent_at", "edited_at", "deleted", "reactions", "unsupported", "client_id", "delivery")
		for k, want := range map[string]string{"kind": "message", "direction": "in", "author": "customer", "author_name": "Erika Muster", "channel.id": h.mail, "channel.kind": "email", "channel.name": "Servicepostfach",
			"assurance": "claimed", "subject": "Glasschaden", "conversation_id": c} {
			if in.str(k) != want {
				t.Errorf("inbound %s = %q, want %q", k, in.str(k), want)
			}
		}
		if !strings.HasPrefix(in.str("external_id"), "<") || !in.yes("has_html") || in.at("delivery") != nil || !strings.HasSuffix(in.str("address"), "@kunde.example") {
			t.Errorf("inbound: %v", in)
		}
		if from := in.list("from"); len(from) != 1 || from[0].str("address") != in.str("address") || from[0].str("name") != "Erika Muster" {
			t.Errorf("from: %v", in["from"])
		}
		if cc := in.list("cc"); len(cc) != 1 || cc[0].str("address") != "mann@kunde.example" {
			t.Errorf("cc: %v", in["cc"])
		}
		if to := in.list("to"); len(to) != 1 || to[0].str("address") != "service@firma.example" {
			t.Errorf("to: %v", in["to"])
		}
		if len(in.list("bcc")) != 0 || in["bcc"] == nil {
			t.Errorf("bcc: %v", in["bcc"])
		}
		f := in.list("attachments")
		if len(f) != 1 || f[0].str("name") != "Schaden Größe.txt" || f[0].str("media_type") != "text/plain" || f[0].num("size") != 5 || f[0].str("state") != "stored" {
			t.Fatalf("attachments: %v", in["attachments"])
		}
		if got := h.nobody().get(f[0].str("url")).want(200); string(got.body) != "Beleg" {
			t.Errorf("attachment: %q", got.body)
		}

		// An answer with every field.
		up := h.owner.do("POST", "/attachments", "PDF", "Content-Type", "application/pdf", "X-File-Name", "Angebot%20M%C3%BCller.pdf").want(201).obj()
		if up.str("name") != "Angebot Müller.pdf" || up.str("media_type") != "application/pdf" || up.num("size") != 3 || up.str("url") == "" {
			t.Errorf("upload: %v", up)
		}
		addr := h.owner.get("/conversations/" + c).want(200).obj().str("reply.address_id")
		client := id()
		out := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{
			"text": "Wir kümmern uns.", "html": "<p>Wir <b>kümmern</b> uns.<script>alert(1)</script></p>", "subject": "Ihr Glasschaden", "to": []any{in.str("address")},
			"cc": []any{"Mann <mann@kunde.example>", map[string]any{"name": "Tochter", "address": "tochter@kunde.example"}}, "bcc": []any{"geheim@kunde.example"},
			"attachments": []any{up.str("id"), map[string]any{"name": "b.txt", "media_type": "text/plain", "data": "aGFsbG8="}}, "channel_id": h.mail, "address_id": addr, "reply_to": in.str("id"), "client_id": client,
		}).want(201).obj()
		for k, want := range map[string]string{"kind": "message", "direction": "out", "author": "staff", "author_name": "Olga Owner", "channel.id": h.mail, "address": in.str("address"), "subject": "Ihr Glasschaden", "text": "Wir kümmern uns.",
			"reply_to": in.str("id"), "quote.id": in.str("id"), "client_id": client, "conversation_id": c} {
			if out.str(k) != want {
				t.Errorf("outbound %s = %q, want %q", k, out.str(k), want)
			}
		}
		if strings.Contains(out.str("html"), "script") || !strings.Contains(out.str("html"), "<b>kümmern</b>") {
			t.Errorf("html: %q", out.str("html"))
		}
		if len(out.list("cc")) != 2 || len(out.list("bcc")) != 1 || len(out.list("attachments")) != 2 {
			t.Errorf("outbound: %v", out)
		}
		out.obj("delivery").has(t, "delivery", "id", "state", "error", "reason", "at", "undo_until")
		h.delivered(out.str("id"), "sent")
		mails, err := h.mx.Wait(h.ctx(), in.str("address"), 1)
		if err != nil {
			t.Fatal(err)
		}
		m := mails[0]
		if len(m.To) != 4 {
			t.Errorf("envelope: %v", m.To)
		}
		raw := string(m.Raw)
		if strings.Contains(raw, "geheim@") {
			t.Error("a blind copy stands in the mail")
		}
		if m.Header("In-Reply-To") != in.str("external_id") || !strings.Contains(m.Header("References"), in.str("external_id")) {
			t.Errorf("threading: In-Reply-To %q, References %q", m.Header("In-Reply-To"), m.Header("References"))
		}
		if got := h.owner.get("/messages/" + out.str("id")).obj().str("external_id"); got == "" || m.Header("Message-ID") != got {
			t.Errorf("Message-ID %q, external_id %q", m.Header("Message-ID"), got)
		}
		row := h.owner.get("/conversations/" + c).want(200).obj()
		if row.at("waiting_since") != nil || row.num("unread") != 0 || row.str("assignee.id") != h.owner.id || row.str("last_message.direction") != "out" {
			t.Errorf("row after the answer: %v", row)
		}

		// Twice pressed is once sent.
		again := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Wir kümmern uns.", "attachments": []any{up.str("id")}, "client_id": client}).want(201).obj()
		if again.str("id") != out.str("id") {
			t.Errorf("the same client_id made another message: %v", again)
		}
		// A file is sent once.
		h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "nochmal", "attachments": []any{up.str("id")}, "client_id": id()}).problem(422, "invalid")

		// Later.
		later := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "später", "send_at": h.now().Add(time.Hour)}).want(201).obj()
		if later.str("delivery.state") != "queued" || later.at("delivery.undo_until") == nil {
			t.Errorf("send_at: %v", later["delivery"])
		}
		for what, body := range map[string]any{
			"nothing": map[string]any{}, "blank": map[string]any{"text": " \n"}, "foreign quote": map[string]any{"text": "x", "reply_to": id()},
			"no address in to": map[string]any{"text": "x", "to": []any{map[string]any{"address": "fremd"}}}, "ourselves in to": map[string]any{"text": "x", "to": []any{"service@firma.example"}}, "bad cc": map[string]any{"text": "x", "cc": []any{map[string]any{"address": "keine"}}},
			"CRLF in cc": map[string]any{"text": "x", "cc": []any{map[string]any{"address": "a@b.example\r\nBcc: x@y.example"}}}, "unknown channel": map[string]any{"text": "x", "channel_id": id()}, "unknown address": map[string]any{"text": "x", "address_id": id()},
			"unknown file": map[string]any{"text": "x", "attachments": []any{id()}}, "no JSON types": map[string]any{"text": 5},
		} {
			a := h.owner.do("POST", "/conversations/"+c+"/messages", body)
			if a.status != 422 {
				t.Errorf("%s: status %d %s", what, a.status, a.body)
				continue
			}
			a.problem(422, "invalid")
		}
		h.owner.do("POST", "/conversations/"+c+"/messages", "{").problem(400, "")
		h.owner.do("POST", "/conversations/"+c+"/messages", `{"text":"`+strings.Repeat("x", 5<<20)+`"}`).problem(413, "too_large")

		// A copy for whoever else stands in to.
		two := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "an beide", "to": []any{"zweite@kunde.example", in.str("address")}}).want(201).obj()
		h.delivered(two.str("id"), "sent")
		if got := h.mx.To("zweite@kunde.example"); len(got) != 1 {
			t.Errorf("the second addressee got %d mails", len(got))
		}
	})
}

// TestWriteFirst: conversations that the company begins, by every way to name the addressee.
func TestWriteFirst(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		start := func(body map[string]any, header ...string) *answer {
			body["subject"], body["text"] = "Ihr Vertrag", "Guten Tag"
			return h.owner.do("POST", "/conversations", body, header...)
		}
		a := start(map[string]any{"channel_id": h.mail, "address": "Anna@Kunde.example"}).want(201).obj()
		a.has(t, "row", "id", "subject", "status", "customer", "assignee", "channel_kind", "last_message_at", "unread")
		if a.str("subject") != "Ihr Vertrag" || a.str("channel_kind") != "email" || a.str("assignee.id") != h.owner.id || a.str("customer.id") == "" {
			t.Errorf("row: %v", a)
		}
		if got, err := h.mx.Wait(h.ctx(), "anna@kunde.example", 1); err != nil || got[0].Header("Subject") != "Ihr Vertrag" {
			t.Errorf("mail: %v %v", got, err)
		}
		b := start(map[string]any{"channel_id": h.mail, "address": map[string]any{"kind": "email", "value": "berta@kunde.example", "name": "Berta Kunz"}}).want(201).obj()
		if b.str("customer.name") != "Berta Kunz" {
			t.Errorf("name: %v", b)
		}
		// The same address is the same customer.
		c := start(map[string]any{"channel_id": h.mail, "address": "anna@kunde.example"}).want(201).obj()
		if c.str("customer.id") != a.str("customer.id") || c.str("id") == a.str("id") {
			t.Errorf("again to the same address: %v", c)
		}
		d := start(map[string]any{"channel_id": h.mail, "customer_id": b.str("customer.id")}).want(201).obj()
		if d.str("customer.id") != b.str("customer.id") {
			t.Errorf("by customer_id: %v", d)
		}
		// Pressed twice is started once, by client_id and by Idempotency-Key.
		client := id()
		e := start(map[string]any{"channel_id": h.mail, "address": "emil@kunde.example", "client_id": client}).want(201).obj()
		if again := start(map[string]any{"channel_id": h.mail, "address": "emil@kunde.example", "client_id": client}).want(201).obj(); again.str("id") != e.str("id") {
			t.Errorf("client_id: started twice: %v", again)
		}
		key := id()
		var wg sync.WaitGroup
		ids := make([]string, 6)
		for i := range ids {
			wg.Go(func() {
				ids[i] = start(map[string]any{"channel_id": h.mail, "address": "fritz@kunde.example"}, "Idempotency-Key", key).obj().str("id")
			})
		}
		wg.Wait()
		for _, v := range ids {
			if v == "" || v != ids[0] {
				t.Errorf("one key, several conversations: %v", ids)
				break
			}
		}
		if got, err := h.mx.Wait(h.ctx(), "fritz@kunde.example", 1); err != nil || len(got) != 1 {
			t.Errorf("fritz got %d mails, %v", len(got), err)
		}
		if got := len(h.owner.get("/conversations?customer_id=" + e.str("customer.id")).items()); got != 1 {
			t.Errorf("emil has %d conversations", got)
		}
		for what, body := range map[string]map[string]any{
			"nobody": {"channel_id": h.mail}, "unknown channel": {"channel_id": id(), "address": "x@y.example"}, "no channel": {"address": "x@y.example"}, "no address": {"channel_id": h.mail, "address": "keine"},
			"wrong kind": {"channel_id": h.mail, "address": map[string]any{"kind": "telegram", "value": "1"}}, "unknown customer": {"channel_id": h.mail, "customer_id": id()},
			"customer without address here": {"channel_id": h.bot, "customer_id": a.str("customer.id")}, "bad cc": {"channel_id": h.mail, "address": "x@y.example", "cc": []any{map[string]any{"address": "a\r\nb@c"}}},
		} {
			if got := start(body); got.status != 422 {
				t.Errorf("%s: status %d %s", what, got.status, got.body)
			}
		}
		before := len(h.owner.get("/customers").items())
		start(map[string]any{"channel_id": h.mail, "address": "nie@kunde.example", "attachments": []any{id()}}).problem(422, "invalid")
		if after := len(h.owner.get("/customers").items()); after != before {
			t.Error("a refused start left a customer behind")
		}
		if r := h.owner.get("/conversations/" + a.str("id")).obj(); r.str("reply.reason.code") != "first_address" || strings.Contains(r.str("reply.reason.text"), "zuletzt") {
			t.Errorf("reason where the customer never wrote: %v", r["reply"])
		}
	})
}

func TestCustomers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.owner.do("POST", "/customers", map[string]any{"name": "Karl\r\nBcc: x ‮Kunde", "language": "de", "addresses": []any{map[string]any{"kind": "email", "value": "Karl@Kunde.example"}}}).want(201).obj()
		c.has(t, "customer", "id", "name", "language", "notes", "created_at", "advisor", "addresses", "conversations", "merged")
		if strings.ContainsAny(c.str("name"), "\r\n‮") {
			t.Errorf("name: %q", c.str("name"))
		}
		a := c.list("addresses")
		if len(a) != 1 || a[0].str("kind") != "email" || a[0].str("value") != "karl@kunde.example" || a[0].str("assurance") != "claimed" || a[0].yes("opted_out") {
			t.Fatalf("addresses: %v", c["addresses"])
		}
		other := h.written("Karl vom Bot", "Hallo")
		m := h.owner.do("POST", "/customers/"+c.str("id")+"/merge", map[string]any{"with": other.str("customer.id")}).want(200).obj()
		if len(m.list("addresses")) != 2 || len(m.list("merged")) != 1 || m.list("merged")[0].str("id") != other.str("customer.id") || len(m.list("conversations")) != 1 {
			t.Errorf("merged: %v", m)
		}
		if r := h.owner.get("/conversations/" + other.str("id")).obj(); r.str("customer.id") != c.str("id") || r.str("customer.name") != c.str("name") || len(r.list("reply_options")) != 2 {
			t.Errorf("conversation after the merge: %v", r)
		}
		if got := h.owner.get("/conversations?customer_id=" + c.str("id")).items(); len(got) != 1 {
			t.Errorf("filter by the survivor: %v", got)
		}
		if got := h.owner.get("/customers/" + other.str("customer.id")).want(200).obj(); got.str("id") != c.str("id") {
			t.Errorf("the merged id reads as %v", got)
		}
		h.owner.do("POST", "/customers/"+c.str("id")+"/merge", map[string]any{"with": other.str("customer.id")}).problem(409, "same_customer")
		h.owner.do("POST", "/customers/"+c.str("id")+"/merge", map[string]any{"with": id()}).problem(404, "not_found")
		un := h.owner.do("POST", "/customers/"+c.str("id")+"/unmerge", map[string]any{"customer_id": other.str("customer.id")}).want(200).obj()
		if un.str("id") == "" {
			t.Errorf("unmerged: %v", un)
		}
		if r := h.owner.get("/conversations/" + other.str("id")).obj(); r.str("customer.name") != "Karl vom Bot" || r.str("customer.id") != other.str("customer.id") {
			t.Errorf("conversation after the un-merge: %v", r["customer"])
		}
		p := h.owner.do("PATCH", "/customers/"+other.str("customer.id"), map[string]any{"name": "Karl Kurz", "notes": "mag Tee", "advisor_id": h.owner.id}).want(200).obj()
		if p.str("name") != "Karl Kurz" || p.str("notes") != "mag Tee" || p.str("advisor.id") != h.owner.id {
			t.Errorf("changed: %v", p)
		}
		if r := h.owner.get("/conversations/" + other.str("id")).obj(); r.str("customer.name") != "Karl Kurz" {
			t.Errorf("the list row keeps the old name: %v", r["customer"])
		}
		h.owner.do("PATCH", "/customers/"+other.str("customer.id"), map[string]any{"advisor_id": nil}).want(200)
		h.owner.do("PATCH", "/customers/"+other.str("customer.id"), map[string]any{"advisor_id": id()}).problem(422, "invalid")
		x := h.owner.do("POST", "/customers/"+c.str("id")+"/addresses", map[string]any{"kind": "email", "value": "karl2@kunde.example"}).want(201).obj()
		if len(x.list("addresses")) != 2 {
			t.Errorf("added: %v", x)
		}
		h.owner.do("POST", "/customers/"+other.str("customer.id")+"/addresses", map[string]any{"kind": "email", "value": "karl2@kunde.example"}).problem(409, "address_taken")
		h.owner.do("POST", "/customers/"+c.str("id")+"/addresses", map[string]any{"kind": "fax", "value": "1"}).problem(422, "invalid")
		h.owner.do("DELETE", "/customers/"+c.str("id")+"/addresses/"+x.list("addresses")[0].str("id"), nil).want(200)
		for what, body := range map[string]any{"nothing": map[string]any{}, "bad kind": map[string]any{"name": "x", "addresses": []any{map[string]any{"kind": "fax", "value": "1"}}},
			"empty value": map[string]any{"name": "x", "addresses": []any{map[string]any{"kind": "email", "value": " "}}}, "no mail": map[string]any{"name": "x", "addresses": []any{map[string]any{"kind": "email", "value": "x"}}}} {
			if a := h.owner.do("POST", "/customers", body); a.status != 422 {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
		}
		list := h.owner.get("/customers?q=karl").want(200).items()
		if len(list) != 2 {
			t.Errorf("search: %v", list)
		}
		list[0].has(t, "customer row", "id", "name", "addresses", "last_seen_at")
		// Pages of customers.
		for i := range 23 {
			h.owner.do("POST", "/customers", map[string]any{"name": fmt.Sprintf("Seite %02d", i)}).want(201)
		}
		seen := map[string]bool{}
		cursor := ""
		for {
			o := h.owner.get("/customers?q=Seite&limit=5&cursor=" + cursor).want(200).obj()
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
		if len(seen) != 23 {
			t.Errorf("%d customers on the pages, want 23", len(seen))
		}
	})
}

func TestChannels(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		kinds := h.owner.get("/channel-kinds").want(200).items()
		if len(kinds) < 2 {
			t.Fatalf("kinds: %v", kinds)
		}
		kinds[0].has(t, "kind", "kind", "title", "capabilities", "settings")
		kinds[0].list("settings")[0].has(t, "setting", "key", "required", "secret", "default", "help")
		c := h.owner.do("POST", "/channels", map[string]any{"kind": "telegram", "name": "Zweiter", "settings": map[string]any{"token": "123:geheim-token", "api_url": "http://127.0.0.1:1", "mode": "webhook"}}).want(201)
		if strings.Contains(string(c.body), "geheim-token") {
			t.Error("a secret is shown")
		}
		o := c.obj()
		o.has(t, "channel", "id", "kind", "name", "settings", "enabled", "health", "webhook_url", "can_send", "why_not")
		if o.str("settings.token") != "•••" || !o.yes("enabled") || !strings.HasSuffix(o.str("webhook_url"), "/in/telegram/"+o.str("id")) {
			t.Errorf("channel: %v", o)
		}
		o.obj("health").has(t, "health", "state", "reason", "remedy", "checked_at", "last_inbound_at", "last_outbound_at")
		for what, v := range map[string]struct {
			body any
			at   string
		}{
			"unknown kind":     {map[string]any{"kind": "pigeon", "name": "x"}, "body.kind"},
			"no token":         {map[string]any{"kind": "telegram", "name": "x"}, "body.settings.token"},
			"unknown setting":  {map[string]any{"kind": "telegram", "name": "x", "settings": map[string]any{"token": "1:x", "colour": "red"}}, "body.settings.colour"},
			"mailbox is taken": {map[string]any{"kind": "email", "name": "x", "settings": map[string]any{"address": "SERVICE@firma.example"}}, "body.settings.address"},
		} {
			p := h.owner.do("POST", "/channels", v.body).problem(422, "invalid")
			found := false
			for _, e := range p.list("errors") {
				found = found || (e.str("location") == v.at && e.str("message") != "")
			}
			if !found {
				t.Errorf("%s: no error at %s: %v", what, v.at, p)
			}
		}
		cid := o.str("id")
		// What is masked comes back masked and changes nothing.
		p := h.owner.do("PATCH", "/channels/"+cid, map[string]any{"name": "Neuer Name", "settings": map[string]any{"token": "•••", "mode": "poll"}}).want(200).obj()
		if p.str("name") != "Neuer Name" || p.str("settings.mode") != "poll" {
			t.Errorf("changed: %v", p)
		}
		if a, err := h.Accounts.Get("default", cid); err != nil || a.Settings["token"] != "123:geheim-token" {
			t.Errorf("the secret was lost: %v %v", a.Settings, err)
		}
		ok := h.owner.do("POST", "/channels/"+h.mail+"/test", map[string]any{"to": "test@kunde.example"}).want(200).obj()
		if ok.str("state") != "sent" {
			t.Errorf("test: %v", ok)
		}
		if got := h.mx.To("test@kunde.example"); len(got) != 1 {
			t.Errorf("test mails: %d", len(got))
		}
		bad := h.owner.do("POST", "/channels/"+cid+"/test", map[string]any{"to": "1"}).want(200).obj()
		if bad.str("state") != "failed" || bad.str("reason") == "" || bad.str("remedy") == "" {
			t.Errorf("test of a broken channel: %v", bad)
		}
		if got := h.owner.do("POST", "/channels/"+h.mail+"/check", nil).want(200).obj(); got.str("health.state") != "green" {
			t.Errorf("check: %v", got["health"])
		}
		h.owner.do("DELETE", "/channels/"+cid, nil).want(204)
		h.owner.get("/channels/"+cid).problem(404, "not_found")
		if got := len(h.owner.get("/channels").items()); got != 2 {
			t.Errorf("%d channels", got)
		}
	})
}

// TestIdempotencyKey: a repeated write is answered as the first was, and nothing is done twice.
func TestIdempotencyKey(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key := id()
		body := map[string]any{"name": "Einmal"}
		a := h.owner.do("POST", "/customers", body, "Idempotency-Key", key).want(201)
		b := h.owner.do("POST", "/customers", body, "Idempotency-Key", key).want(201)
		if string(a.body) != string(b.body) || b.header.Get("Idempotency-Replayed") != "true" || a.header.Get("Idempotency-Replayed") != "" || b.header.Get("Content-Type") != "application/json" {
			t.Errorf("replay: %s %v", b.body, b.header)
		}
		h.owner.do("POST", "/customers", map[string]any{"name": "Anders"}, "Idempotency-Key", key).problem(422, "key_reused")
		h.owner.do("PATCH", "/customers/"+a.obj().str("id"), body, "Idempotency-Key", key).problem(422, "key_reused")
		if got := len(h.owner.get("/customers?q=Einmal").items()); got != 1 {
			t.Errorf("%d customers", got)
		}
		// Somebody else's key is another key.
		h.member("default", "advisor", "Anton").do("POST", "/customers", map[string]any{"name": "Zweimal"}, "Idempotency-Key", key).want(201)
		// Problems come again as problems.
		key = id()
		for range 2 {
			h.owner.do("POST", "/customers", map[string]any{}, "Idempotency-Key", key).problem(422, "invalid")
		}
		// Answers without content.
		c := h.written("Leser", "Hallo").str("id")
		key = id()
		for range 2 {
			h.owner.do("POST", "/conversations/"+c+"/read", map[string]any{}, "Idempotency-Key", key).want(204)
		}
		// At the same time.
		key = id()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				h.owner.do("POST", "/customers", map[string]any{"name": "Gleichzeitig"}, "Idempotency-Key", key).want(201)
			})
		}
		wg.Wait()
		if got := len(h.owner.get("/customers?q=Gleichzeitig").items()); got != 1 {
			t.Errorf("%d customers made at once", got)
		}
		// A message's key is its client id.
		key = id()
		m := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Antwort"}, "Idempotency-Key", key).want(201).obj()
		if m.str("client_id") != key {
			t.Errorf("client_id %q", m.str("client_id"))
		}
		if again := h.owner.do("POST", "/conversations/"+c+"/messages", map[string]any{"text": "Antwort", "client_id": key}).want(201).obj(); again.str("id") != m.str("id") {
			t.Error("sent twice")
		}
		// Uploads.
		key = id()
		up := h.owner.do("POST", "/attachments", "abc", "Content-Type", "text/plain", "X-File-Name", "a.txt", "Idempotency-Key", key).want(201).obj()
		if again := h.owner.do("POST", "/attachments", "abc", "Content-Type", "text/plain", "X-File-Name", "a.txt", "Idempotency-Key", key).want(201).obj(); again.str("id") != up.str("id") {
			t.Error("uploaded twice")
		}
		h.owner.do("POST", "/customers", body, "Idempotency-Key", strings.Repeat("k", 201)).problem(400, "bad_key")
		// One-time secrets are not kept for a repetition.
		key = id()
		inv := h.owner.do("POST", "/staff", map[string]any{"name": "Neu", "email": "neu@firma.example", "role": "advisor"}, "Idempotency-Key", key).want(201).obj()
		if inv.str("invite_url") == "" {
			t.Error("no link")
		}
		rep := h.owner.do("POST", "/staff", map[string]any{"name": "Neu", "email": "neu@firma.example", "role": "advisor"}, "Idempotency-Key", key).want(201).obj()
		if rep.str("invite_url") != "" || rep.str("id") != inv.str("id") {
			t.Errorf("repetition: %v", rep)
		}
		h.owner.desk().do("POST", "/session/totp", nil, "Idempotency-Key", id()).want(200)
		var kept int
		if err := h.DB.Org("default").Row(h.ctx(), `SELECT COUNT(*) FROM idempotency WHERE org = $1 AND (body LIKE '%invite?token=%' OR body LIKE '%otpauth%')`).Scan(&kept); err != nil || kept != 0 {
			t.Errorf("%d secrets kept in clear, %v", kept, err)
		}
	})
}

// TestProblems: the form of errors, in the language of whoever asks.
func TestProblems(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		en := &client{h: h, token: h.owner.token}
		for lang, want := range map[string]string{"de-DE,de;q=0.9": "Bitte melden Sie sich an.", "en-US": "Please sign in.", "fr": "Please sign in.", "": "Please sign in."} {
			p := h.nobody().get("/conversations", "Accept-Language", lang).problem(401, "signed_out")
			if p.str("detail") != want {
				t.Errorf("%q: %q", lang, p.str("detail"))
			}
		}
		if p := en.get("/conversations?limit=0").problem(422, "invalid"); !strings.Contains(p.str("detail"), "Angaben") || len(p.list("errors")) == 0 || p.list("errors")[0].str("location") != "query.limit" {
			t.Errorf("validation in the user's language: %v", p)
		}
		p := en.do("POST", "/conversations/x/notes", map[string]any{}).problem(422, "invalid")
		if len(p.list("errors")) == 0 || p.list("errors")[0].str("message") == "" {
			t.Errorf("errors: %v", p)
		}
		en.get("/nothing/here").problem(404, "no_such_route")
		en.get("/conversations/"+id()).problem(404, "not_found")
		h.nobody().get("/nothing/here").problem(401, "signed_out")
		en.do("POST", "/customers", "name=x", "Content-Type", "application/x-www-form-urlencoded").problem(415, "media_type")
		en.do("POST", "/customers", "[1,2]").problem(422, "invalid")
		en.do("POST", "/customers", `{"name":"a"`).problem(400, "bad_request")
	})
}

func TestHealth(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		n := h.nobody()
		for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready"} {
			if a := n.do("GET", "//root"+path, nil).want(200); strings.TrimSpace(string(a.body)) != want {
				t.Errorf("%s: %q", path, a.body)
			}
		}
		h.written("Zähler", "eins")
		h.eventually("counted", func() bool {
			return strings.Contains(string(n.do("GET", "//root/metrics", nil).want(200).body), `state="received"`)
		})
		m := string(n.do("GET", "//root/metrics", nil).body)
		for _, want := range []string{"rufweite_events{", "rufweite_deliveries_uncertain", "rufweite_channel_red", "rufweite_db_writes_waiting", "go_goroutines"} {
			if !strings.Contains(m, want) {
				t.Errorf("metrics lack %s", want)
			}
		}
		if strings.Contains(m, "Zähler") || strings.Contains(m, "s3cret") {
			t.Error("metrics tell of people or secrets")
		}
	})
}
