package api

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/vault"
)

// counted counts the queries that go through it.
type counted struct {
	db.Querier
	n int
}

func (c *counted) Query(ctx context.Context, q string, args ...any) (*db.Rows, error) {
	c.n++
	return c.Querier.Query(ctx, q, args...)
}

func (c *counted) Row(ctx context.Context, q string, args ...any) *db.Row {
	c.n++
	return c.Querier.Row(ctx, q, args...)
}

// TestPagesAskOnce: what a page of messages, of conversations or of the live stream costs does not depend on how much
// is on it.
func TestPagesAskOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.WithValue(context.Background(), userKey{}, auth.User{Org: dbtest.Org, ID: "u", Role: auth.Owner, Language: "de"})
		dir := t.TempDir()
		log := slog.New(slog.DiscardHandler)
		v, err := vault.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		accounts, err := account.New(ctx, d, v, []channel.Driver{email.Driver{}}, log)
		if err != nil {
			t.Fatal(err)
		}
		blobs, err := blob.Open(dir + "/blobs")
		if err != nil {
			t.Fatal(err)
		}
		ch, err := accounts.Create(ctx, dbtest.Org, email.Kind, "Post", channel.Settings{"address": "a@b.example", "smtp_host": "x"}, "de", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		out := outbox.New(d, accounts, blobs, func(channel.Account) channel.Env { return channel.Env{} }, time.Now, "n", log)
		s := New(Options{DB: d, Accounts: accounts, Auth: auth.New(d, v, time.Now), Blobs: blobs, Outbox: out, Log: log, Now: time.Now, URLKey: []byte("k")})
		o := d.Org(dbtest.Org)
		now := time.Now()
		var conv string
		var rows []string
		err = o.Write(ctx, func(tx *db.Tx) error {
			rows = nil
			survivor, err := customer.Create(ctx, tx, "Bleibt", "de", nil, now)
			if err != nil {
				return err
			}
			for i := range 40 {
				c, err := customer.Create(ctx, tx, fmt.Sprint("Kunde ", i), "de", nil, now)
				if err != nil {
					return err
				}
				if i%2 == 0 {
					if _, err := customer.Merge(ctx, tx, survivor.ID, c.ID, now); err != nil {
						return err
					}
				}
				r, err := conversation.Start(ctx, tx, c.ID, c.Name, "x", conversation.Actor{}, now)
				if err != nil {
					return err
				}
				conv = r.ID
				rows = append(rows, r.ID)
			}
			quote := ""
			for i := range 40 {
				a := conversation.Attachment{ID: db.NewID(), Name: "a", MediaType: "text/plain", State: conversation.Stored}
				if err := conversation.AddAttachment(ctx, tx, a, 0, now); err != nil {
					return err
				}
				m, _, err := out.Send(ctx, tx, outbox.Request{Conversation: conv, Out: conversation.Out{Author: channel.Staff, Channel: ch.Account, Address: "adr", AddressValue: "x@y.example", Text: fmt.Sprint(i), ReplyTo: quote, Attachments: []string{a.ID}}})
				if err != nil {
					return err
				}
				quote = m.ID
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		cost := func(what string, small, large func(q db.Querier) error) {
			t.Helper()
			var n [2]int
			for i, fn := range []func(db.Querier) error{small, large} {
				c := &counted{Querier: o}
				if err := fn(c); err != nil {
					t.Fatal(err)
				}
				n[i] = c.n
			}
			if n[0] != n[1] || n[1] > 6 {
				t.Errorf("%s: %d queries for a few, %d for many", what, n[0], n[1])
			}
		}
		messages := func(limit int) func(q db.Querier) error {
			return func(q db.Querier) error {
				list, _, err := conversation.Messages(ctx, q, conv, "", limit)
				if err != nil {
					return err
				}
				items, err := s.messages(ctx, q, list)
				if err == nil && (len(items) != limit || items[limit-1].Delivery == nil || len(items[limit-1].Attachments) != 1 || items[limit-1].Quote == nil) {
					err = fmt.Errorf("messages: %v", items)
				}
				return err
			}
		}
		cost("messages", messages(2), messages(40))
		list := func(n int) func(q db.Querier) error {
			return func(q db.Querier) error {
				page, err := conversation.ByIDs(ctx, q, rows[:n], "u")
				if err != nil {
					return err
				}
				_, err = s.rows(ctx, q, page)
				return err
			}
		}
		cost("conversations", list(2), list(40))
	})
}
