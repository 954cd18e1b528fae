package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// zone is a resolver with a few records; down makes it fail for a while.
type zone struct {
	txt  map[string]string
	down atomic.Bool
	n    atomic.Int64
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.n.Add(1)
	if z.down.Load() {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	if v, ok := z.txt[strings.TrimSuffix(name, ".")]; ok {
		return []string{v}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z *zone) none(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
func (z *zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) { return nil, z.none(name) }
func (z *zone) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	return nil, z.none(name)
}
func (z *zone) LookupAddr(_ context.Context, name string) ([]string, error) { return nil, z.none(name) }

// TestSenderIsJudged: after the acknowledgement a sender whose domain signed is observed; another one stays
// claimed; while DNS is away everybody is claimed, and judged again later.
func TestSenderIsJudged(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	z := &zone{txt: map[string]string{"_dmarc.kundin.example": "v=DMARC1; p=reject", "s._domainkey.kundin.example": key, "_dmarc.fremd.example": "v=DMARC1; p=reject",
		"_dmarc.spaeter.example": "v=DMARC1; p=none", "s._domainkey.spaeter.example": key}}
	each(t, func(t *testing.T, h *house) {
		mail := func(name, from string) string {
			c, m := h.customer(name, from), emailsim.Message{To: []string{"service@firma.example"}, Subject: "Hallo", Text: "Hallo"}
			raw, _ := c.Compose(m)
			_, domain, _ := strings.Cut(from, "@")
			var signed bytes.Buffer
			if err := dkim.Sign(&signed, bytes.NewReader(raw), &dkim.SignOptions{Domain: domain, Selector: "s", Signer: private}); err != nil {
				t.Fatal(err)
			}
			if err := c.Deliver(h.ctx(), m, signed.Bytes()); err != nil {
				t.Fatal(err)
			}
			return h.owner.messages(h.owner.conversation(name).str("id"))[0].str("id")
		}
		judged := func(id, result string) object {
			h.t.Helper()
			var m object
			h.eventually("judged "+result, func() bool {
				m = h.owner.get("/messages/" + id).obj()
				return m.str("authentication.result") == result
			})
			return m
		}
		z.down.Store(false)
		if m := judged(mail("Echt", "echt@kundin.example"), "pass"); m.str("assurance") != "observed" || m.str("authentication.dmarc") != "pass" {
			t.Errorf("an aligned signature: %v", m)
		}
		if m := judged(mail("Falsch", "falsch@fremd.example"), "fail"); m.str("assurance") != "claimed" {
			t.Errorf("a failure: %v", m)
		}
		c := h.owner.get("/customers/" + h.owner.conversation("Echt").str("customer.id")).obj()
		if a := c.list("addresses"); len(a) != 1 || a[0].str("assurance") != "observed" {
			t.Errorf("the address: %v", a)
		}
		z.down.Store(true)
		later := mail("Spaeter", "spaeter@spaeter.example")
		if m := judged(later, "temperror"); m.str("assurance") != "claimed" {
			t.Errorf("while DNS is away: %v", m)
		}
		z.down.Store(false)
		h.leap(2 * time.Minute)
		if m := judged(later, "pass"); m.str("assurance") != "observed" {
			t.Errorf("judged again: %v", m)
		}
	}, func(c *app.Config) { c.DNS = z })
}
