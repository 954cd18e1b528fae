package intake_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/vault"
)

var ctx = context.Background()

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// medium is a driver that does what the test says.
type medium struct {
	kind     channel.Kind
	caps     channel.Capabilities
	mu       sync.Mutex
	openPart func(raw []byte, part string) (io.Reader, error)
	fetch    func(remote string) (io.ReadCloser, error)
	reparse  func(raw []byte) ([]channel.Event, error)
}

func (m *medium) Kind() channel.Kind                 { return m.kind }
func (m *medium) Title() channel.Text                { return channel.Text{DE: "Probe", EN: "Probe"} }
func (m *medium) Capabilities() channel.Capabilities { return m.caps }
func (m *medium) Settings() []channel.Setting        { return nil }
func (m *medium) Check(channel.Settings) error       { return nil }

func (m *medium) OpenPart(raw []byte, part string) (io.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.openPart(raw, part)
}

func (m *medium) FetchMedia(_ context.Context, _ channel.Account, remote string, _ channel.Env) (io.ReadCloser, error) {
	m.mu.Lock()
	fetch := m.fetch
	m.mu.Unlock()
	return fetch(remote)
}

func (m *medium) Reparse(_ channel.Account, raw []byte) ([]channel.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reparse(raw)
}

type clock struct{ at atomic.Int64 }

func (c *clock) Now() time.Time          { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// house is an intake with a messenger and a mailbox.
type house struct {
	t          *testing.T
	d          *db.DB
	org        string
	o          db.Org
	accounts   *account.Accounts
	blobs      *blob.Store
	blobDir    string
	chat, mail *medium
	chatAcct   channel.Account
	mailAcct   channel.Account
	clock      *clock
	in         *intake.Intake
	stop       func()
}

func build(t *testing.T, d *db.DB) *house {
	t.Helper()
	h := &house{t: t, d: d, org: db.NewID(), clock: &clock{}, blobDir: t.TempDir(),
		chat: &medium{kind: "chat"}, mail: &medium{kind: "mail", caps: channel.Capabilities{Subject: true}}}
	ok(t, d.CreateOrg(ctx, h.org, "Probe", 1)) // each has an organisation of its own
	h.o = d.Org(h.org)
	h.clock.at.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixMicro())
	v, err := vault.Open(t.TempDir(), "")
	ok(t, err)
	h.accounts, err = account.New(ctx, d, v, []channel.Driver{h.chat, h.mail}, slog.New(slog.DiscardHandler))
	ok(t, err)
	h.blobs, err = blob.Open(h.blobDir)
	ok(t, err)
	h.chatAcct, h.mailAcct = h.channel("chat"), h.channel("mail")
	h.in = h.node("n1")
	return h
}

func (h *house) channel(kind channel.Kind) channel.Account {
	h.t.Helper()
	c, err := h.accounts.Create(ctx, h.org, kind, string(kind), nil, "en", h.clock.Now())
	ok(h.t, err)
	return c.Account
}

func (h *house) node(name string) *intake.Intake {
	return intake.New(intake.Options{DB: h.d, Accounts: h.accounts, Blobs: h.blobs, Now: h.clock.Now, Node: name, Log: slog.New(slog.DiscardHandler),
		Env: func(channel.Account) channel.Env { return channel.Env{Now: h.clock.Now} }})
}

func (h *house) run(in *intake.Intake) {
	h.t.Helper()
	rctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- in.Run(rctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("run: %v", err)
		}
	})
	h.t.Cleanup(h.stop)
}

func (h *house) until(what string, cond func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// accept takes one request in, which must be taken.
func (h *house) accept(a channel.Account, events ...channel.Event) int {
	h.t.Helper()
	n, err := h.in.Accept(ctx, a, channel.Inbound{Raw: []byte("{}"), Type: "application/json", Events: events})
	ok(h.t, err)
	return n
}

// settled waits until nothing is pending.
func (h *house) settled() {
	h.t.Helper()
	h.until("everything to be processed", func() bool { return h.count("pending") == 0 })
}

func (h *house) count(state string) int {
	h.t.Helper()
	var n int
	ok(h.t, h.o.Row(ctx, `SELECT COUNT(*) FROM intake_event WHERE org = $1 AND state = $2`, state).Scan(&n))
	return n
}

// texts gives what somebody wrote, in the order of their conversations.
func (h *house) texts(kind channel.Kind, sender string) []string {
	h.t.Helper()
	var out []string
	for _, m := range h.messages(kind, sender) {
		out = append(out, m.Text)
	}
	return out
}

func (h *house) messages(kind channel.Kind, sender string) []conversation.Message {
	h.t.Helper()
	var ids []string
	rows, err := h.o.Query(ctx, `SELECT m.id FROM message m JOIN address a ON a.org = m.org AND a.id = m.address JOIN conversation c ON c.org = m.org AND c.id = m.conversation
		WHERE m.org = $1 AND a.kind = $2 AND a.value = $3 AND m.kind = 'message' ORDER BY c.created_at, c.id, m.pos`, string(kind), sender)
	ok(h.t, db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}))
	byID, err := conversation.MessagesByID(ctx, h.o, ids)
	ok(h.t, err)
	out := make([]conversation.Message, len(ids))
	for i, id := range ids {
		out[i] = byID[id]
	}
	return out
}

func (h *house) balanced() {
	h.t.Helper()
	list, err := intake.Balances(ctx, h.o)
	ok(h.t, err)
	for _, b := range list {
		if !b.OK() {
			h.t.Errorf("balance does not add up: %+v", b)
		}
	}
}

// said is a message of a messenger.
func said(sender string, n int, text string) channel.Event {
	id := fmt.Sprintf("%s/%d", sender, n)
	return channel.Event{Key: "msg:" + id, Type: channel.MessageEvent, Sender: channel.Address{Value: sender, Name: sender, Assurance: channel.Observed}, Message: &channel.Message{ExternalID: id, Text: text}}
}

// about is an event about a message.
func about(typ channel.EventType, key, sender, ref string) channel.Event {
	return channel.Event{Key: key, Type: typ, Sender: channel.Address{Value: sender, Assurance: channel.Observed}, Ref: ref}
}
