package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/search"
	"github.com/rufweite/rufweite/internal/sim"
)

// Desk measures what staff wait for, with many conversations stored: lists, opening one, search; and how long the server
// takes to be ready and what memory it needs then.
func Desk(ctx context.Context, o Options) error {
	if o.Postgres != "" && len(o.Conversations) > 1 {
		return errors.New("with --db give one number of conversations: each needs an empty database")
	}
	for _, n := range o.Conversations {
		p := o
		p.Dir = filepath.Join(o.Dir, strconv.Itoa(n))
		if o.Keep != "" {
			p.Dir = filepath.Join(o.Keep, strconv.Itoa(n))
		}
		if err := desk(ctx, p, n); err != nil {
			return fmt.Errorf("%d conversations: %w", n, err)
		}
		if o.Keep == "" {
			if err := os.RemoveAll(p.Dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// floor is what was laid out for one run.
type floor struct {
	Token string
	Staff []string
	Units []string
	Tags  []string
	Convs []string // a sample
	Custs []string
	N     int // messages
}

const seedOrg = org.Default

func desk(ctx context.Context, o Options, n int) error {
	f, err := layOut(ctx, o, n)
	if err != nil {
		return err
	}
	s, err := serve(ctx, o)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintf(o.Out, "desk, %s, %d: ready after %s (again %s), %.0f MB RSS idle\n", engine(o), n, ms(s.first), ms(s.again), s.rss)
	c := &browser{base: "http://" + s.addr + "/api/v1", token: f.Token}
	rnd := rand.New(rand.NewPCG(3, 4))
	pick := func(l []string) string { return l[rnd.IntN(len(l))] }
	show := func(name string, runs int, path func() string, check func(map[string]json.RawMessage) error) error {
		var l lat
		for i := range runs + 3 {
			start := time.Now()
			body, err := c.get(ctx, path())
			d := time.Since(start)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if i < 3 { // warm
				continue
			}
			l.add([]time.Duration{d})
			if check != nil {
				if err := check(body); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		fmt.Fprintf(o.Out, "  %-34s p50 %8s  p99 %8s  max %8s\n", name, ms(l.at(0.5)), ms(l.at(0.99)), ms(l.at(1)))
		return nil
	}
	full := func(body map[string]json.RawMessage) error {
		var items []json.RawMessage
		if err := json.Unmarshal(body["items"], &items); err != nil || len(items) == 0 {
			return fmt.Errorf("an empty page: %.200s", body["items"])
		}
		return nil
	}
	const runs = 300
	next := ""
	follow := func(body map[string]json.RawMessage) error {
		if err := json.Unmarshal(body["next_cursor"], &next); err != nil {
			return err
		}
		return full(body)
	}
	for _, x := range []struct {
		name  string
		path  func() string
		check func(map[string]json.RawMessage) error
	}{
		{"list: mine, open", func() string { return "/conversations?assignee=me&status=open" }, full},
		{"list: a colleague's", func() string { return "/conversations?status=open&assignee=" + pick(f.Staff) }, full},
		{"list: unassigned", func() string { return "/conversations?assignee=none&status=open" }, full},
		{"list: who waits longest", func() string { return "/conversations?waiting=true" }, full},
		{"list: who waits, mine", func() string { return "/conversations?waiting=true&assignee=me" }, full},
		{"list: open", func() string { return "/conversations?status=open" }, full},
		{"list: snoozed", func() string { return "/conversations?status=snoozed" }, full},
		{"list: closed", func() string { return "/conversations?status=closed" }, full},
		{"list: all", func() string { return "/conversations" }, full},
		{"list: all, page after page", func() string { return "/conversations?status=closed&cursor=" + url.QueryEscape(next) }, follow},
		{"list: e-mail, open", func() string { return "/conversations?status=open&channel_kind=email" }, full},
		{"list: telegram, closed", func() string { return "/conversations?status=closed&channel_kind=telegram" }, full},
		{"list: telegram, mine, closed", func() string { return "/conversations?status=closed&channel_kind=telegram&assignee=me" }, full},
		{"list: tag, open", func() string { return "/conversations?status=open&tag=" + url.QueryEscape(pick(f.Tags)) }, full},
		{"list: tag, any status", func() string { return "/conversations?tag=" + url.QueryEscape(pick(f.Tags)) }, full},
		{"list: tag, mine", func() string { return "/conversations?assignee=me&status=closed&tag=" + url.QueryEscape(pick(f.Tags)) }, full},
		{"list: unit, open", func() string { return "/conversations?status=open&unit_id=" + pick(f.Units) }, full},
		{"list: unit, any status", func() string { return "/conversations?unit_id=" + pick(f.Units) }, full},
		{"list: failed", func() string { return "/conversations?failed=true" }, full},
		{"list: spam", func() string { return "/conversations?category=spam" }, full},
		{"list: of a customer", func() string { return "/conversations?customer_id=" + pick(f.Custs) }, nil},
		{"counts", func() string { return "/conversations/counts" }, nil},
		{"open: conversation", func() string { return "/conversations/" + pick(f.Convs) }, nil},
		{"open: messages", func() string { return "/conversations/" + pick(f.Convs) + "/messages" }, full},
		{"open: customer", func() string { return "/customers/" + pick(f.Custs) }, nil},
		{"customers: list", func() string { return "/customers" }, full},
		{"customers: by name", func() string {
			return "/customers?q=" + url.QueryEscape(pick([]string{"müller", "Yıldız", "schaef", "Anna Be", "an", "becker peter"}))
		}, nil},
		{"customers: by part of an address", func() string {
			return fmt.Sprintf("/customers?q=%s", url.QueryEscape(fmt.Sprintf("kunde%d@", rnd.IntN(n/5))))
		}, full},
	} {
		if err := show(x.name, runs, x.path, x.check); err != nil {
			return err
		}
	}
	hits := 0
	found := func(want int) func(map[string]json.RawMessage) error {
		return func(body map[string]json.RawMessage) error {
			var items []json.RawMessage
			err := json.Unmarshal(body["conversations"], &items)
			if hits = len(items); err == nil && hits < want {
				err = fmt.Errorf("%d found, want %d at least", hits, want)
			}
			return err
		}
	}
	word := func(list ...string) func() string {
		return func() string { return "/search?q=" + url.QueryEscape(pick(list)) }
	}
	for _, x := range []struct {
		name string
		path func() string
		want int
	}{
		{"search: one in all (mail address)", func() string { return fmt.Sprintf("/search?q=kunde%d%%40kunden.example%%20", rnd.IntN(n/5)) }, 0},
		{"search: rare word", func() string { return fmt.Sprintf("/search?q=selten%d%%20", rnd.IntN(max(1, n/1000))) }, 1},
		{"search: rare word, typing", func() string { return fmt.Sprintf("/search?q=selten%d", rnd.IntN(max(1, n/1000))) }, 1},
		{"search: nothing", func() string { return fmt.Sprintf("/search?q=nirgends%d%%20", rnd.IntN(1000)) }, 0},
		{"search: telephone number", func() string {
			return fmt.Sprintf("/search?q=%s", url.QueryEscape(fmt.Sprintf("+49 171 %07d ", 1000000+rnd.IntN(n/5))))
		}, 0},
		{"search: contract number", func() string { return fmt.Sprintf("/search?q=KFZ-%06d%%20", rnd.IntN(1_000_000)) }, 0},
		{"search: frequent word", word("Vertrag ", "Guten ", "ich ", "und ", "Grüße "), 20},
		{"search: two frequent words", word("ich Vertrag ", "Guten Tag ", "und Schaden ", "der Versicherung "), 20},
		{"search: three frequent words", word("ich und der ", "Guten Tag ich ", "Grüße Schaden der "), 10},
		{"search: frequent and rare", func() string { return fmt.Sprintf("/search?q=ich+selten%d%%20", rnd.IntN(max(1, n/1000))) }, 0},
		{"search: rare and a beginning", func() string { return fmt.Sprintf("/search?q=selten%d+gu", rnd.IntN(max(1, n/1000))) }, 0},
		{"search: beginning, 2 letters", word("ve", "sc", "be", "ha", "un"), 20},
		{"search: beginning, 4 letters", word("vers", "haft", "scha", "muel", "wass"), 20},
		{"search: frequent and a beginning", word("ich ver", "der sch", "guten ta", "und haft"), 10},
		{"search: name", word("Müller ", "Yıldız ", "schaefer ", "Anna Becker "), 10},
		{"search: part of a compound", word("Versicherung ", "Haftpflicht ", "Schaden ", "Bank ", "Schutz "), 20},
		{"search: phrase", word(`"Guten Tag"`, `"Vielen Dank"`, `"Mit freundlichen Grüßen"`), 0},
		{"search: never together", word("sonderwort1 sonderwort2 "), 0},
		{"search: 200 conversations", func() string { return "/search?limit=200&q=Vertrag+" }, 20},
	} {
		if err := show(x.name, 200, x.path, found(x.want)); err != nil {
			return err
		}
	}
	for _, x := range []struct{ name, path string }{
		{"search in: mine, open", "/conversations?assignee=me&status=open&q=Vertrag+"},
		{"search in: e-mail, closed", "/conversations?status=closed&channel_kind=email&q=Schaden+"},
		{"search in: a tag", "/conversations?tag=Tag+3&q=ich+"},
		{"search in: failed", "/conversations?failed=true&q=ich+"},
	} {
		if err := show(x.name, 200, func() string { return x.path }, nil); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, "  after that %.0f MB RSS\n", s.memory())
	return nil
}

// layOut makes the data, unless they were kept.
func layOut(ctx context.Context, o Options, n int) (*floor, error) {
	kept := filepath.Join(o.Dir, "floor.json")
	f := &floor{}
	b, err := os.ReadFile(kept)
	if err == nil {
		return f, json.Unmarshal(b, f)
	}
	begin := time.Now()
	if f, err = seed(ctx, o, n); err != nil {
		return nil, fmt.Errorf("lay out: %w", err)
	}
	fmt.Fprintf(o.Out, "desk, %s: %d conversations with %d messages laid out in %.0f s\n", engine(o), n, f.N, time.Since(begin).Seconds())
	if err := index(ctx, o, f); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if b, err = json.Marshal(f); err != nil {
		return nil, err
	}
	return f, os.WriteFile(kept, b, 0o600)
}

// browser asks the API over one connection, as the desk does.
type browser struct {
	base, token string
	c           http.Client
}

func (b *browser) get(ctx context.Context, path string) (map[string]json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := b.c.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s %.300s", path, resp.Status, raw)
	}
	out := map[string]json.RawMessage{}
	return out, json.Unmarshal(raw, &out)
}

// server is this program, serving in a process of its own.
type server struct {
	addr         string
	cmd          *exec.Cmd
	first, again time.Duration
	rss          float64 // MB, 10 s after the start
}

func (s *server) stop() { _ = s.cmd.Process.Signal(os.Interrupt); _ = s.cmd.Wait() }

func (s *server) memory() float64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
	if err != nil {
		return 0 // no Linux
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// serve starts the server twice and leaves the second running.
func serve(ctx context.Context, o Options) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{addr: l.Addr().String()}
	if err := l.Close(); err != nil {
		return nil, err
	}
	args := []string{"serve", "--data", o.Dir, "--listen", s.addr, "--smtp-listen", "127.0.0.1:0"}
	if o.Postgres != "" {
		args = append(args, "--db", o.Postgres)
	}
	for _, d := range []*time.Duration{&s.first, &s.again} {
		if s.cmd != nil {
			s.stop()
		}
		s.cmd = exec.CommandContext(ctx, self, args...)
		begin := time.Now()
		if err := s.cmd.Start(); err != nil {
			return nil, err
		}
		for {
			resp, err := http.Get("http://" + s.addr + "/readyz")
			if err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Since(begin) > time.Minute {
				s.stop()
				return nil, errors.New("the server did not become ready")
			}
			time.Sleep(2 * time.Millisecond)
		}
		*d = time.Since(begin)
	}
	time.Sleep(10 * time.Second)
	s.rss = s.memory()
	return s, nil
}

// index makes the search index of what was laid out.
func index(ctx context.Context, o Options, f *floor) error {
	d, err := db.Open(ctx, db.Config{Dir: o.Dir, Postgres: o.Postgres})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	x := search.New(d, nil, nil)
	begin := time.Now()
	for more := true; more; {
		if more, err = x.Step(ctx, d.Org(seedOrg)); err != nil {
			return err
		}
	}
	took := time.Since(begin)
	fmt.Fprintf(o.Out, "desk, %s: search index of %d messages made in %.0f s (%.0f/s)\n", engine(o), f.N, took.Seconds(), float64(f.N)/took.Seconds())
	return nil
}

// rows collects rows of one table and writes many at once.
type rows struct {
	table, columns string
	per            int
	args           []any
}

const rowsAtOnce = 50

func (r *rows) add(v ...any) { r.per = len(v); r.args = append(r.args, v...) }

func (r *rows) write(ctx context.Context, tx *db.Tx) error {
	for len(r.args) > 0 {
		n := min(rowsAtOnce*r.per, len(r.args))
		var b strings.Builder
		fmt.Fprintf(&b, "INSERT INTO %s (org, %s) VALUES ", r.table, r.columns)
		for i := range n {
			switch {
			case i == 0:
				b.WriteString("($1,")
			case i%r.per == 0:
				b.WriteString("),($1,")
			default:
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "$%d", i+2)
		}
		b.WriteByte(')')
		if _, err := tx.Exec(ctx, b.String(), r.args[:n]...); err != nil {
			return fmt.Errorf("fill %s: %w", r.table, err)
		}
		r.args = r.args[n:]
	}
	r.args = nil
	return nil
}

// seed lays out n conversations: mostly closed ones of three years, some open, spread over staff, kinds, tags and
// units. Few conversations have several messages each; a million have one.
func seed(ctx context.Context, o Options, n int) (*floor, error) {
	core, err := app.OpenCore(ctx, app.Config{Dir: o.Dir, Postgres: o.Postgres})
	if err != nil {
		return nil, err
	}
	defer func() { _ = core.Close() }()
	f := &floor{}
	kinds := map[string]string{}
	for kind, set := range map[string]channel.Settings{
		"telegram": {"token": "123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1", "secret_token": "bench", "mode": "webhook", "api_url": "http://127.0.0.1:9"},
		"email":    {"address": mailAddress},
	} {
		c, err := core.Accounts.Create(ctx, seedOrg, channel.Kind(kind), "Bench "+kind, set, "de", time.Now())
		if err != nil {
			return nil, err
		}
		kinds[kind] = c.ID
	}
	scope := core.DB.Org(seedOrg)
	names := map[string]string{}
	var me auth.User
	err = scope.Write(ctx, func(tx *db.Tx) error {
		f.Staff = nil
		for i := range 20 {
			u, err := core.Auth.Create(ctx, tx, auth.NewUser{Email: fmt.Sprintf("staff%d@firma.example", i), Name: fmt.Sprintf("Kollege %d", i), Role: auth.Owner, Password: "bench-password"})
			if err != nil {
				return err
			}
			if i == 0 {
				me = u
			}
			f.Staff = append(f.Staff, u.ID)
			names[u.ID] = u.Name
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f.Token, err = core.Auth.NewToken(ctx, me, "bench"); err != nil {
		return nil, err
	}
	for i := range 4 {
		f.Units = append(f.Units, fmt.Sprintf("unit-%d", i))
	}
	for i := range 30 {
		f.Tags = append(f.Tags, fmt.Sprintf("Tag %d", i))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	most := 1
	if n <= 200_000 {
		most = 6
	}
	const step = 1000
	span := 3 * 365 * 24 * time.Hour
	start := time.Now().Add(-span)
	type person struct{ id, address, name, mail string }
	var people []person
	for done := 0; done < n; done += step {
		cust := rows{table: "customer", columns: "id, name, named_by, language, notes, advisor, merged_into, merged_at, created_at, seen_at"}
		addr := rows{table: "address", columns: "id, customer, kind, value, name, assurance, channel, used_at, opted_out_at, created_at"}
		conv := rows{table: "conversation", columns: `id, customer, customer_name, subject, status, snoozed_until, closed_at, assignee, assignee_name, unit, unit_name, channel, channel_kind, address, tags, category, participants, joined_into,
			last_at, last_direction, last_author, last_text, waiting_since, received, pos, failed, suggestion, created_at`}
		link := rows{table: "conversation_address", columns: "address, conversation, last_in_at"}
		tagged := rows{table: "conversation_tag", columns: "conversation, tag, status, last_at, assignee, hidden"}
		read := rows{table: "conversation_read", columns: "staff, conversation, received, pos"}
		msg := rows{table: "message", columns: `id, conversation, pos, kind, direction, author, author_id, author_name, channel, channel_kind, address, address_value, assurance, subject, text, html, remote_images,
			headers, external_id, reply_to, attachments, automatic, unsupported, client_id, source_key, raw, event, reactions, audience, participant, quoted_from, authentication, origin, at, received_at, edited_at, deleted_at`}
		for i := done; i < min(n, done+step); i++ {
			at := start.Add(time.Duration(float64(span) * float64(i) / float64(n)))
			s := sim.NewSample(i, rnd)
			if i%5 == 0 || len(people) == 0 { // a customer writes five times
				s.Email = fmt.Sprintf("kunde%d@kunden.example", i/5)
				p := person{db.NewID(), db.NewID(), s.Name, s.Email}
				people = append(people, p)
				if len(people) > 2000 {
					people = people[1000:]
				}
				cust.add(p.id, p.name, "channel", "de", "", "", "", 0, at.UnixMicro(), at.UnixMicro())
				addr.add(p.address, p.id, "email", p.mail, p.name, "verified", kinds["email"], at.UnixMicro(), 0, at.UnixMicro())
				addr.add(db.NewID(), p.id, "telegram", strconv.Itoa(100000000+i), p.name, "claimed", kinds["telegram"], at.UnixMicro(), 0, at.UnixMicro())
			}
			p := people[len(people)-1-rnd.IntN(min(len(people), 500))]
			id := db.NewID()
			kind, status, assignee, unit, category, tags := "email", "closed", f.Staff[rnd.IntN(len(f.Staff))], f.Units[rnd.IntN(4)], "", ""
			if rnd.IntN(3) == 0 {
				kind = "telegram"
			}
			var waiting, snoozed, closed, failed int64
			closed = at.UnixMicro()
			// Three in a hundred are open, most of them of the last months.
			switch r := rnd.IntN(1000); {
			case r < 10 || i > n-n/50:
				status, closed = "open", 0
				if rnd.IntN(5) == 0 {
					assignee = ""
				}
				if rnd.IntN(2) == 0 {
					waiting = at.UnixMicro()
				}
			case r < 20:
				status, closed, snoozed = "snoozed", 0, time.Now().Add(240*time.Hour).UnixMicro()
			case r < 60:
				category = []string{"spam", "newsletter", "notice"}[rnd.IntN(3)]
			}
			if rnd.IntN(1000) == 0 {
				failed = 1
			}
			if rnd.IntN(3) == 0 {
				unit = ""
			}
			if rnd.IntN(4) == 0 {
				t := f.Tags[rnd.IntN(len(f.Tags))]
				tags = `["` + t + `"]`
				hidden := 0
				if category != "" {
					hidden = 1
				}
				tagged.add(id, t, status, at.UnixMicro(), assignee, hidden)
			}
			count := 1 + rnd.IntN(most)
			unitName := ""
			if unit != "" {
				unitName = "Abteilung " + unit
			}
			text := s.Text
			if i%1000 == 7 {
				text += fmt.Sprintf("\n\nselten%d", i/1000)
			}
			switch i % 100 { // two words of one percent each that never meet
			case 11:
				text += " sonderwort1"
			case 12:
				text += " sonderwort2"
			}
			conv.add(id, p.id, p.name, s.Subject, status, snoozed, closed, assignee, names[assignee], unit, unitName, kinds[kind], kind, p.address, tags, category, 0, "",
				at.UnixMicro(), "in", "customer", first(s.Text, 140), waiting, (count+1)/2, count, failed, "", at.UnixMicro())
			link.add(p.address, id, at.UnixMicro())
			if status != "open" && i%10 == 0 {
				read.add(f.Staff[0], id, (count+1)/2, count)
			}
			for k := range count {
				dir, author, who, name := "in", "customer", "", p.name
				body := text
				if k > 0 {
					body = sim.NewSample(i, rnd).Text
				}
				if k%2 == 1 {
					dir, author, who, name = "out", "staff", f.Staff[0], names[f.Staff[0]]
				}
				msg.add(db.NewID(), id, k+1, "message", dir, author, who, name, kinds[kind], kind, p.address, p.mail, "verified", s.Subject, body, "", 0,
					"", "", "", 0, 0, "", "", "", "", "", "", "", "", 0, "", "", at.UnixMicro(), at.UnixMicro(), 0, 0)
				f.N++
			}
			if len(f.Convs) < 5000 && rnd.IntN(max(1, n/5000)) == 0 {
				f.Convs, f.Custs = append(f.Convs, id), append(f.Custs, p.id)
			}
		}
		all := []*rows{&cust, &addr, &conv, &link, &tagged, &read, &msg}
		keep := make([][]any, len(all))
		for i, r := range all {
			keep[i] = r.args
		}
		err := scope.Write(ctx, func(tx *db.Tx) error {
			for i, r := range all {
				r.args = keep[i]
				if err := r.write(ctx, tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func first(s string, n int) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	return string(r[:min(n, len(r))])
}
