package db

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// Every one of these runs for each message or each page: none may walk an organisation's whole table.
func TestHotStatementsUseAnIndex(t *testing.T) {
	d, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, c := range []struct{ query, index string }{
		{`SELECT id, text FROM message WHERE org = $1 AND channel_kind = $2 AND external_id <> '' AND external_id IN ($3, $4) ORDER BY at DESC LIMIT 50`, "message_external"},
		{`SELECT id FROM conversation WHERE org = $1 AND customer IN ($2) AND status <> 'closed' LIMIT 2`, "conversation_customer"},
		{`SELECT * FROM conversation WHERE org = $1 AND customer IN ($2, $3) ORDER BY last_at DESC, id DESC LIMIT 51`, "conversation_customer"},
		{`SELECT id, text FROM address WHERE org = $1 AND kind = $2 AND value = $3`, "address_value"},
		{`SELECT id, event FROM intake_event WHERE org = $1 AND state = 'pending' AND next_at <= $2 ORDER BY id LIMIT $3`, "intake_event_pending"},
		{`SELECT id, event FROM intake_event WHERE org = $1 AND state = 'quarantined' AND id < $2 ORDER BY id DESC LIMIT $3`, "intake_event_quarantined"},
		{`SELECT c.id FROM customer c WHERE c.org = $1 AND c.merged_into = $2 AND merged_into <> ''`, "customer_merged"},
		{`SELECT * FROM conversation WHERE org = $1 AND status = $2 AND (last_at, id) < ($3, $4) ORDER BY last_at DESC, id DESC LIMIT 51`, "conversation_status"},
		{`SELECT * FROM conversation WHERE org = $1 AND assignee = $2 AND status = $3 ORDER BY last_at DESC, id DESC LIMIT 51`, "conversation_assignee"},
		{`SELECT * FROM conversation WHERE org = $1 AND status = $2 AND channel_kind = $3 ORDER BY last_at DESC, id DESC LIMIT 51`, "conversation_kind"},
		{`SELECT * FROM conversation WHERE org = $1 AND status = $2 AND waiting_since > 0 ORDER BY waiting_since ASC, id ASC LIMIT 51`, "conversation_waiting"},
		{`SELECT org, id FROM ask WHERE due_at > 0 AND due_at <= $1 ORDER BY due_at LIMIT $2`, "ask_due"},
		{`SELECT id FROM ask WHERE org = $1 AND conversation = $2 AND state = 'open' ORDER BY id DESC LIMIT 10`, "ask_conversation"},
		{`SELECT id FROM ask WHERE org = $1 AND conversation = $2 AND instance = $3 AND state = 'open'`, "ask_conversation"},
		{`SELECT id FROM ask WHERE org = $1 AND message = $2 AND message <> ''`, "ask_message"},
		{`SELECT id FROM ask WHERE org = $1 AND answered_message <> '' AND answered_message IN ($2, $3)`, "ask_answer"},
		{`SELECT id FROM ask WHERE org = $1 AND id < $2 AND customer IN ($3, $4) AND state = $5 ORDER BY id DESC LIMIT $6`, "ask_customer"},
		{`SELECT id FROM ask WHERE org = $1 AND id < $2 AND conversation = $3 AND state = $4 ORDER BY id DESC LIMIT $5`, "ask_conversation"},
		{`SELECT org, ask FROM ask_code WHERE code = $1`, "ask_code_find"},
		{`SELECT code FROM ask_code WHERE org = $1 AND ask = $2 AND address = $3 ORDER BY created_at DESC LIMIT 1`, "ask_code_of"},
		{`SELECT org, id, status FROM dialog_instance WHERE due_at > 0 AND due_at <= $1 AND lease_until < $1 ORDER BY due_at LIMIT $2`, "dialog_instance_due"},
		{`SELECT COALESCE(MIN(due_at), 0) FROM dialog_instance WHERE due_at > 0 AND due_at > $1`, "dialog_instance_due"},
		{`SELECT id FROM dialog_instance WHERE org = $1 AND conversation = $2 AND status IN ('asking', 'waiting', 'calling') ORDER BY id DESC LIMIT 1`, "dialog_instance_conversation"},
		{`SELECT id FROM dialog_instance WHERE org = $1 AND status IN ('asking', 'waiting', 'calling') AND conversation IN ($2, $3)`, "dialog_instance_conversation"},
		{`SELECT COUNT(*) FROM dialog_instance WHERE org = $1 AND dialog = $2 AND status IN ('asking', 'waiting', 'calling')`, "dialog_instance_running"},
		{`SELECT id FROM calendar_slot WHERE org = $1 AND calendar = $2 AND starts_at > $3 AND starts_at < $4 AND taken < capacity ORDER BY starts_at LIMIT 200`, "calendar_slot_start"},
		{`SELECT COUNT(*) FROM delivery WHERE org = $1 AND state = 'uncertain' AND handled = 0`, "delivery_uncertain"},
		{`SELECT * FROM delivery WHERE org = $1 AND channel = $2 AND external_id = $3 AND external_id <> ''`, "delivery_external"},
		{`SELECT * FROM delivery WHERE org = $1 AND message IN ($2, $3)`, "delivery_message"},
		{`SELECT * FROM message WHERE org = $1 AND conversation = $2 AND pos < $3 ORDER BY pos DESC LIMIT 51`, "message_pos"},
		{`SELECT * FROM message WHERE org = $1 AND conversation = $2 AND client_id = $3 AND client_id <> ''`, "message_client"},
		{`SELECT * FROM attachment WHERE org = $1 AND state = 'pending' AND next_at <= $2 ORDER BY next_at LIMIT 8`, "attachment_pending"},
		{`SELECT * FROM attachment WHERE org = $1 AND message IN ($2, $3) ORDER BY message, pos`, "attachment_message"},
		{`SELECT conversation, last_at FROM conversation_tag WHERE org = $1 AND tag = $2 AND hidden = $3 AND status = $4 AND (last_at, conversation) < ($5, $6) ORDER BY last_at DESC, conversation DESC LIMIT $7`,
			"COVERING INDEX conversation_tag_list (org=? AND tag=? AND hidden=? AND status=?"},
		{`SELECT conversation, last_at FROM conversation_tag WHERE org = $1 AND tag = $2 AND hidden = $3 AND status = $4 AND (last_at, conversation) < ($5, $6) AND assignee = $8 ORDER BY last_at DESC, conversation DESC LIMIT $7`,
			"COVERING INDEX conversation_tag_of (org=? AND tag=? AND assignee=? AND hidden=? AND status=?"},
		{`SELECT * FROM customer WHERE org = $1 AND merged_into = '' AND (seen_at, id) < ($2, $3) ORDER BY seen_at DESC, id DESC LIMIT 51`, "customer_seen"},
	} {
		query := c.query
		if strings.Contains(query, "SELECT id, text FROM address") {
			query = strings.Replace(query, "id, text", "*", 1)
		}
		var args []any
		for i := 1; strings.Contains(query, fmt.Sprintf("$%d", i)); i++ {
			args = append(args, "1")
		}
		rows, err := d.engine.query(context.Background(), "EXPLAIN QUERY PLAN "+query, args)
		var plan []string
		err = Each(rows, err, func() error {
			var id, parent, unused int
			var detail string
			err := rows.Scan(&id, &parent, &unused, &detail)
			plan = append(plan, detail)
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if all := strings.Join(plan, "; "); !strings.Contains(all, c.index) {
			t.Errorf("%s\n\tplan %s\n\twant index %s", query, all, c.index)
		}
	}
}
