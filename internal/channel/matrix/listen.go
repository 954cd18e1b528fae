package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const (
	pollTime  = 25 * time.Second // below the 30 s at which many proxies cut idle connections
	pollGrace = 30 * time.Second
	pageSize  = 100
	pagesMax  = 50 // of a gap: 5000 events of one room
	patience  = 5  // failures in a row before the channel turns red
	joinTries = 3
)

// Listen implements channel.Listener: it reads /sync and accepts invitations until ctx ends. As an application service
// the homeserver pushes messages, and /sync is read for invitations and receipts alone.
func (d Driver) Listen(ctx context.Context, a channel.Account, cursor string, env channel.Env, sink channel.Sink) error {
	l := listener{d: d, c: newClient(a, env), sink: sink, pushed: a.Settings["hs_token"] != "", groups: map[string]bool{}}
	if err := d.Probe(ctx, a, env); err != nil {
		return err
	}
	failures := 0
	for ctx.Err() == nil {
		next, err := l.once(ctx, cursor)
		if err == nil {
			cursor, failures = next, 0
			continue
		}
		var se *channel.SendError
		if ctx.Err() != nil {
			break
		}
		pause := time.Duration(failures+1) * time.Second
		switch {
		case !errors.As(err, &se):
			return err // the sink kept nothing: it comes again
		case se.Class == channel.Misconfig:
			return trouble(err)
		case cursor != "" && se.Class == channel.Permanent && se.Code != "M_TOO_LARGE":
			// The homeserver does not know the position any more (it was set up anew): what lies between is lost, visibly.
			note := channel.Event{Key: channel.HashKey("gap", cursor), Type: channel.UnparsedEvent,
				Error: "the homeserver no longer knows up to where was read; messages of that time may be missing"}
			if err := sink(ctx, channel.Inbound{Raw: []byte(`{"events":[]}`), Type: "application/json", Events: []channel.Event{note}}); err != nil {
				return err
			}
			cursor = ""
			continue
		case se.Class == channel.RateLimited:
			pause = se.RetryAfter
		default:
			if failures++; failures >= patience {
				return trouble(err)
			}
		}
		env.Log.Debug("sync failed", "channel", a.ID, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return ctx.Err()
}

func trouble(err error) error {
	t := &channel.Trouble{Err: err, Reason: channel.Text{DE: "Der Homeserver ist nicht erreichbar.", EN: "The homeserver cannot be reached."}, Remedy: channel.Text{
		DE: "Prüfen Sie homeserver und ob der Server dorthin verbinden darf.", EN: "Check homeserver, and whether this server may connect to it."}}
	var se *channel.SendError
	if errors.As(err, &se) && se.Class == channel.Misconfig {
		t.Reason = se.Reason
		t.Remedy = channel.Text{DE: "Melden Sie das Konto neu an und tragen Sie das neue access_token ein (oder prüfen Sie homeserver und as_token).",
			EN: "Log the account in again and enter the new access_token (or check homeserver and as_token)."}
	}
	return t
}

// Probe implements channel.Prober: it asks who we are.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	c := newClient(a, env)
	var who struct {
		User string `json:"user_id"`
	}
	if err := c.do(ctx, c.call(http.MethodGet, client3+"/account/whoami", nil, nil), &who); err != nil {
		return trouble(err)
	}
	if who.User != c.self {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Das Token gehört zu einem anderen Konto: " + short(who.User, 255) + ".", EN: "The token belongs to another account: " + short(who.User, 255) + "."},
			Remedy: channel.Text{DE: "Tragen Sie user_id und Token desselben Kontos ein.", EN: "Enter user_id and token of one account."},
			Err:    fmt.Errorf("whoami: %s", who.User),
		}
	}
	return nil
}

type listener struct {
	d      Driver
	c      client
	sink   channel.Sink
	pushed bool
	groups map[string]bool // rooms that we are leaving
}

type syncAnswer struct {
	Next  string `json:"next_batch"`
	Rooms struct {
		Invite map[string]struct {
			State struct {
				Events []event `json:"events"`
			} `json:"invite_state"`
		} `json:"invite"`
		Join  map[string]joined `json:"join"`
		Leave map[string]joined `json:"leave"`
	} `json:"rooms"`
}

type joined struct {
	Summary struct {
		Joined  *int `json:"m.joined_member_count"`
		Invited *int `json:"m.invited_member_count"`
	} `json:"summary"`
	State    struct{ Events []json.RawMessage }
	Timeline struct {
		Events  []json.RawMessage
		Limited bool
		Prev    string `json:"prev_batch"`
	}
	Ephemeral struct{ Events []json.RawMessage }
}

// filter is what we want of /sync (Client API, "Filtering"): members with names, no presence, no account data.
func (l *listener) filter(first bool) string {
	none := map[string]any{"not_types": []string{"*"}}
	timeline := map[string]any{"limit": pageSize, "lazy_load_members": true}
	if first || l.pushed {
		timeline = map[string]any{"limit": 1, "not_types": []string{"*"}}
	}
	b, _ := json.Marshal(map[string]any{
		"presence": none, "account_data": none,
		"room": map[string]any{
			"account_data": none, "timeline": timeline,
			"state":     map[string]any{"lazy_load_members": true, "include_redundant_members": true},
			"ephemeral": map[string]any{"types": []string{"m.receipt", "m.typing"}},
		},
	})
	return string(b)
}

// once reads one answer of /sync and returns where to go on once everything in it is durable.
func (l *listener) once(ctx context.Context, cursor string) (string, error) {
	query := url.Values{"filter": {l.filter(cursor == "")}, "timeout": {strconv.Itoa(int(pollTime / time.Millisecond))}}
	if cursor == "" {
		query.Set("timeout", "0")
	} else {
		query.Set("since", cursor)
	}
	call := l.c.call(http.MethodGet, client3+"/sync", query, nil)
	call.Timeout, call.Max = pollTime+pollGrace, 64<<20
	var answer syncAnswer
	if err := l.c.do(ctx, call, &answer); err != nil {
		return "", err
	}
	if answer.Next == "" {
		return "", channel.Unexpected(channel.Answer{Status: 404}, "sync")
	}
	tx := transaction{Events: []json.RawMessage{}, Batch: answer.Next}
	var notes []channel.Event
	for _, id := range sorted(answer.Rooms.Invite) {
		if note := l.invited(ctx, id, answer.Rooms.Invite[id].State.Events); note != nil {
			notes = append(notes, *note)
		} else if l.pushed && ctx.Err() == nil { // what was said before we joined is not pushed
			older, err := l.gap(ctx, id, "", "")
			if err != nil {
				return "", err
			}
			for _, raw := range older {
				tx.Events = append(tx.Events, inRoom(raw, id))
			}
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	first := cursor == ""
	for _, id := range sorted(answer.Rooms.Join) {
		room := answer.Rooms.Join[id]
		if note := l.crowded(ctx, id, room); note != nil {
			notes = append(notes, *note)
		}
		if l.groups[id] || first { // what lies before the channel was opened is not ours to answer
			continue
		}
		if err := l.take(ctx, &tx, id, room, cursor); err != nil {
			return "", err
		}
	}
	for _, id := range sorted(answer.Rooms.Leave) {
		room := answer.Rooms.Leave[id]
		if !l.groups[id] && !first && l.removed(room) { // what was said before the customer put us out
			if err := l.take(ctx, &tx, id, room, cursor); err != nil {
				return "", err
			}
		}
		delete(l.groups, id)
	}
	raw, err := json.Marshal(tx)
	if err != nil {
		return "", err
	}
	events, err := parse(l.c.a, raw)
	in := channel.Inbound{Raw: raw, Type: "application/json", Events: append(events, notes...), Cursor: answer.Next}
	if err != nil {
		in.Err = err.Error()
	}
	if len(in.Events) > 0 || in.Err != "" || first {
		if err := l.sink(ctx, in); err != nil {
			return "", err
		}
	}
	return answer.Next, nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// invited joins a room. It is known only after that how many are in it.
func (l *listener) invited(ctx context.Context, id string, state []event) *channel.Event {
	var by string
	encrypted := false
	for _, e := range state {
		switch {
		case e.Type == "m.room.member" && e.StateKey != nil && *e.StateKey == l.c.self:
			by = e.Sender
		case e.Type == "m.room.encryption":
			encrypted = true
		}
	}
	var err error
	for try := range joinTries { // over federation a join is slow and fails now and then
		if err = l.c.do(ctx, l.c.call(http.MethodPost, client3+"/rooms"+path(id, "join"), nil, struct{}{}), nil); err == nil {
			if by != "" && !encrypted {
				if err := l.d.keep(ctx, l.c, by, id); err != nil {
					l.c.env.Log.Debug("the room is not remembered", "channel", l.c.a.ID, "error", err)
				}
			}
			return nil
		}
		var se *channel.SendError
		pause := time.Duration(try+1) * time.Second
		if errors.As(err, &se) {
			if se.Class == channel.RateLimited {
				pause = se.RetryAfter
			} else if se.Class != channel.Unknown && se.Class != channel.Temporary {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(pause, time.Minute)):
		}
	}
	return &channel.Event{Key: channel.HashKey("invite", id, by), Type: channel.UnparsedEvent, Sender: channel.Address{Value: by},
		Error: "an invitation could not be accepted; the customer has to invite again: " + err.Error()}
}

// crowded leaves rooms of more than two: whoever reads along there is nobody's customer.
func (l *listener) crowded(ctx context.Context, id string, room joined) *channel.Event {
	n := 0
	for _, count := range []*int{room.Summary.Joined, room.Summary.Invited} {
		if count != nil {
			n += *count
		}
	}
	if room.Summary.Joined == nil || n <= 2 || l.groups[id] {
		return nil
	}
	l.groups[id] = true
	if err := l.c.do(ctx, l.c.call(http.MethodPost, client3+"/rooms"+path(id, "leave"), nil, map[string]string{
		"reason": "Dieses Konto antwortet nur in Räumen zu zweit. · This account answers in rooms of two only."}), nil); err != nil {
		l.c.env.Log.Warn("a group room could not be left", "channel", l.c.a.ID, "error", err)
	}
	return &channel.Event{Key: "room:" + id, Type: channel.UnparsedEvent, Error: fmt.Sprintf("a group room with %d members was left: only rooms of two are served", n)}
}

// removed reports whether somebody else ended our membership.
func (l *listener) removed(room joined) bool {
	for _, raw := range slices.Concat(room.State.Events, room.Timeline.Events) {
		var e event
		if json.Unmarshal(raw, &e) == nil && e.Type == "m.room.member" && e.StateKey != nil && *e.StateKey == l.c.self {
			return e.Sender != l.c.self
		}
	}
	return false
}

// take adds a room's news to what is handed over, and fetches what /sync left out.
func (l *listener) take(ctx context.Context, tx *transaction, id string, room joined, since string) error {
	timeline := room.Timeline.Events
	if !l.pushed {
		entered := l.entered(timeline)
		if (room.Timeline.Limited || entered) && room.Timeline.Prev != "" {
			if entered {
				since = "" // customers write before we join
			}
			older, err := l.gap(ctx, id, room.Timeline.Prev, since)
			if err != nil {
				return err
			}
			timeline = append(older, timeline...)
		}
	}
	for _, raw := range room.State.Events {
		if bytes.Contains(raw, []byte(`"m.room.member"`)) {
			tx.Members = append(tx.Members, inRoom(raw, id))
		}
	}
	for _, raw := range timeline {
		tx.Events = append(tx.Events, inRoom(raw, id))
		var e event
		if json.Unmarshal(raw, &e) == nil && e.Type == "m.room.message" && e.StateKey == nil && e.Sender != l.c.self && userForm.MatchString(e.Sender) {
			// Answers go where the customer wrote last.
			if err := l.d.keep(ctx, l.c, e.Sender, id); err != nil {
				l.c.env.Log.Debug("the room is not remembered", "channel", l.c.a.ID, "error", err)
			}
		}
	}
	for _, raw := range room.Ephemeral.Events {
		tx.Ephemeral = append(tx.Ephemeral, inRoom(raw, id))
	}
	return nil
}

// entered reports whether our own joining is among the events.
func (l *listener) entered(timeline []json.RawMessage) bool {
	for _, raw := range timeline {
		var e event
		if json.Unmarshal(raw, &e) == nil && e.Type == "m.room.member" && e.StateKey != nil && *e.StateKey == l.c.self {
			return bytes.Contains(e.Content, []byte(`"join"`))
		}
	}
	return false
}

// gap reads backwards what lies between since and from, and gives it oldest first (Client API, "Syncing").
func (l *listener) gap(ctx context.Context, id, from, since string) ([]json.RawMessage, error) {
	var out []json.RawMessage
	for range pagesMax {
		query := url.Values{"dir": {"b"}, "limit": {strconv.Itoa(pageSize)}, "filter": {`{"lazy_load_members":true}`}}
		if from != "" { // without it from the newest on
			query.Set("from", from)
		}
		if since != "" {
			query.Set("to", since)
		}
		call := l.c.call(http.MethodGet, client3+"/rooms"+path(id, "messages"), query, nil)
		call.Max = 64 << 20
		var page struct {
			Chunk []json.RawMessage `json:"chunk"`
			End   string            `json:"end"`
		}
		if err := l.c.do(ctx, call, &page); err != nil {
			var se *channel.SendError
			if errors.As(err, &se) && se.Class == channel.Blocked {
				break // no longer in the room
			}
			return nil, err
		}
		out = append(out, page.Chunk...)
		if len(page.Chunk) == 0 || page.End == "" || page.End == from {
			break
		}
		from = page.End
	}
	slices.Reverse(out)
	return out, nil
}

// inRoom adds the room to an event, which /sync leaves out. What cannot be read stays as it is.
func inRoom(raw json.RawMessage, id string) json.RawMessage {
	raw = bytes.TrimSpace(raw)
	if len(raw) < 2 || raw[0] != '{' {
		return raw
	}
	name, err := json.Marshal(id)
	if err != nil {
		return raw
	}
	out := append([]byte(`{"room_id":`), name...)
	if rest := bytes.TrimSpace(raw[1:]); len(rest) > 0 && rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, raw[1:]...)
}
