package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/dialog"
)

// dueRate is how many waiting dialogs come due in a second, for as long as the bench is told.
const dueRate = 200

const waits = `dialog: warten
title: {de: Warten, en: Waiting}
languages: [de, en]
steps:
  - id: pause
    wait: {for: 30d}
  - id: jetzt
    say: {de: "Es ist so weit.", en: "It is time."}
    late: elsewhere
  - id: ende
    end: {outcome: done}
`

// Dialogs measures dialogs that wait: what many of them cost in memory, and how late their timers are when some of them
// come due every second. The first number of conversations is how many wait.
func Dialogs(ctx context.Context, o Options) error {
	n := o.Conversations[len(o.Conversations)-1]
	begin := time.Now()
	due := int(o.Duration.Seconds()) * dueRate
	start, err := seedWaiting(ctx, o, n, due)
	if err != nil {
		return fmt.Errorf("lay out: %w", err)
	}
	if err := index(ctx, o, &floor{N: n}); err != nil { // or the server would be busy with that
		return err
	}
	fmt.Fprintf(o.Out, "dialogs, %s: %d waiting dialogs laid out in %.0f s, %d of them come due, %d a second\n", engine(o), n, time.Since(begin).Seconds(), due, dueRate)
	s, err := serve(ctx, o)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintf(o.Out, "dialogs, %s: ready after %s (again %s), %.0f MB RSS idle with %d waiting\n", engine(o), ms(s.first), ms(s.again), s.rss, n)
	if time.Now().After(start) {
		return fmt.Errorf("the server was ready only after the first dialogs came due; the machine is too busy to measure")
	}
	wait := time.Until(start) + o.Duration + 5*time.Second
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
	}
	rss := s.memory()
	s.stop()
	d, err := db.Open(ctx, db.Config{Dir: o.Dir, Postgres: o.Postgres})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	var l lat
	var left int
	scope := d.Org(seedOrg)
	rows, err := scope.Query(ctx, `SELECT started_at, updated_at FROM dialog_instance WHERE org = $1 AND status = 'ended'`)
	err = db.Each(rows, err, func() error {
		var at, done int64 // started_at holds when it was due
		err := rows.Scan(&at, &done)
		l.add([]time.Duration{time.Duration(done-at) * time.Microsecond})
		return err
	})
	if err != nil {
		return err
	}
	if left = due - len(l.all); left != 0 {
		return fmt.Errorf("%d of %d did not come to their end", left, due)
	}
	fmt.Fprintf(o.Out, "dialogs, %s: %d timers, late p50 %s  p99 %s  max %s; %.0f MB RSS then\n", engine(o), due, ms(l.at(0.5)), ms(l.at(0.99)), ms(l.at(1)), rss)
	return nil
}

// seedWaiting lays out n waiting instances, of which due come due one after the other from start on.
func seedWaiting(ctx context.Context, o Options, n, due int) (start time.Time, err error) {
	core, err := app.OpenCore(ctx, app.Config{Dir: o.Dir, Postgres: o.Postgres})
	if err != nil {
		return start, err
	}
	defer func() { _ = core.Close() }()
	chat, err := core.Accounts.Create(ctx, seedOrg, "webchat", "Bench", channel.Settings{}, "de", time.Now())
	if err != nil {
		return start, err
	}
	if _, bad := dialog.Load("warten", []byte(waits)); len(bad) > 0 {
		return start, fmt.Errorf("the bench's dialog: %s", bad[0])
	}
	scope := core.DB.Org(seedOrg)
	now := time.Now()
	far := now.AddDate(0, 0, 30)
	// Laying them out takes this long, starting the server twice some 12 s.
	start = now.Add(time.Duration(n/1500)*time.Second + 60*time.Second).Truncate(time.Second)
	state := func(at time.Time) string {
		return fmt.Sprintf(`{"frames":[{"dialog":"warten","version":1,"step":"pause","vars":{}}],"status":"waiting","turn":1,"wake_at":%q,"introduced":true}`, at.UTC().Format(time.RFC3339Nano))
	}
	err = scope.Write(ctx, func(tx *db.Tx) error {
		r := rows{table: "dialog_version", columns: "key, version, source, findings, made_by, made_name, made_at"}
		r.add("warten", 1, waits, 0, "", "", now.UnixMicro())
		if err := r.write(ctx, tx); err != nil {
			return err
		}
		r = rows{table: "dialog", columns: "key, version, enabled, live, layout, updated_by, updated_name, updated_at"}
		r.add("warten", 1, 1, 1, "", "", "", now.UnixMicro())
		return r.write(ctx, tx)
	})
	if err != nil {
		return start, err
	}
	const step = 2000
	for done := 0; done < n; done += step {
		cust := rows{table: "customer", columns: "id, name, named_by, language, notes, advisor, merged_into, merged_at, created_at, seen_at"}
		addr := rows{table: "address", columns: "id, customer, kind, value, name, assurance, channel, used_at, opted_out_at, created_at"}
		conv := rows{table: "conversation", columns: `id, customer, customer_name, subject, status, snoozed_until, closed_at, assignee, assignee_name, unit, unit_name, channel, channel_kind, address, tags, category, participants, joined_into,
			last_at, last_direction, last_author, last_text, waiting_since, received, pos, failed, suggestion, created_at`}
		inst := rows{table: "dialog_instance", columns: "id, dialog, version, conversation, customer, language, channel, address, status, state, calling, attempts, due_at, lease_until, outcome, client_id, started_by, started_name, started_at, updated_at"}
		for i := done; i < min(n, done+step); i++ {
			at := far.Add(time.Duration(i) * time.Millisecond)
			if i < due {
				at = start.Add(time.Duration(i) * time.Second / dueRate)
			}
			c, a, k := db.NewID(), db.NewID(), db.NewID()
			cust.add(c, fmt.Sprintf("Kunde %d", i), "channel", "de", "", "", "", 0, now.UnixMicro(), now.UnixMicro())
			addr.add(a, c, "webchat", fmt.Sprintf("visitor:%d", i), "", "observed", chat.ID, now.UnixMicro(), 0, now.UnixMicro())
			conv.add(k, c, fmt.Sprintf("Kunde %d", i), "Warten", "open", 0, 0, "", "", "", "", chat.ID, "webchat", a, "", "", 0, "", now.UnixMicro(), "in", "customer", "Probe", 0, 1, 1, 0, "", now.UnixMicro())
			inst.add(db.NewID(), "warten", 1, k, c, "de", chat.ID, a, "waiting", state(at), "", 0, at.UnixMicro(), 0, "", "", "", "", at.UnixMicro(), now.UnixMicro())
		}
		all := []*rows{&cust, &addr, &conv, &inst}
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
			return start, err
		}
		if err := ctx.Err(); err != nil {
			return start, err
		}
	}
	return start, nil
}
