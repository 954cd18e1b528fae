package slacksim

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Customer is a member of the workspace.
type Customer struct {
	channelsim.Chat
	sim        *Sim
	user, room string
	gone       bool
	wrote      map[string]string // ts → text
	reactions  map[string]string // ref → name
	history    []map[string]any  // as conversations.history lists it, oldest first
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person { return s.Customer(name) }

// Customer is the member of that name, who joins at the first call.
func (s *Sim) Customer(name string) *Customer {
	s.Lock()
	defer s.Unlock()
	if c := s.people[name]; c != nil {
		return c
	}
	n := s.Serial()
	c := &Customer{Chat: channelsim.Chat{Name: name}, sim: s, user: fmt.Sprintf("U0SIM%05d", n), room: fmt.Sprintf("D0SIM%05d", n), wrote: map[string]string{}, reactions: map[string]string{}}
	s.people[name], s.users[c.user], s.rooms[c.room] = c, c, c
	return c
}

func (c *Customer) address() string { return Team + ":" + c.user }

// Address implements channelsim.Person.
func (c *Customer) Address() string { return c.address() }

// Open implements channelsim.Person. A link to an app carries nothing.
func (c *Customer) Open(string) error {
	c.sim.Lock()
	defer c.sim.Unlock()
	c.sim.emit(c, map[string]any{"type": "app_home_opened", "user": c.user, "channel": c.room, "tab": "messages", "event_ts": c.sim.ts()})
	return nil
}

// Write implements channelsim.Person. A quote is an answer in the message's thread.
func (c *Customer) Write(text, replyTo string) (string, error) { return c.say(text, replyTo, nil) }

// Send implements channelsim.Person.
func (c *Customer) Send(f channelsim.File, caption string) (string, error) {
	return c.say(caption, "", &f)
}

func (c *Customer) say(text, replyTo string, f *channelsim.File) (string, error) {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	if c.gone {
		return "", channelsim.ErrCannot
	}
	thread := ""
	if replyTo != "" {
		root, known := s.said[replyTo]
		if !known {
			return "", channelsim.ErrNothing
		}
		if thread = root; thread == "" {
			_, thread, _ = strings.Cut(replyTo, ":")
		}
	}
	ts := s.ts()
	s.said[c.room+":"+ts] = thread
	c.wrote[ts] = text
	e := c.message(ts)
	e["event_ts"], e["channel"], e["channel_type"] = ts, c.room, "im"
	if f != nil {
		id := fmt.Sprintf("F0SIM%d", s.Serial())
		s.files[id] = &stored{File: *f, size: int64(len(f.Content)), owner: c.user, uploaded: true, shared: true}
		e["subtype"], e["files"], e["upload"] = "file_share", []any{s.object(id, s.files[id])}, false
	}
	if thread == "" {
		c.history = append(c.history, c.message(ts))
	}
	s.emit(c, e)
	return c.room + ":" + ts, nil
}

// message is what a message event says of one of the member's messages.
func (c *Customer) message(ts string) map[string]any {
	m := map[string]any{"type": "message", "user": c.user, "text": escape.Replace(c.wrote[ts]), "ts": ts, "team": Team, "client_msg_id": "c-" + ts}
	if thread := c.sim.said[c.room+":"+ts]; thread != "" {
		m["thread_ts"] = thread
	}
	return m
}

// Press implements channelsim.Person.
func (c *Customer) Press(ref, label string) error {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	m, choice, err := c.Find(ref, label)
	if err != nil {
		return err
	}
	_, ts, _ := strings.Cut(m.Ref, ":")
	n := slices.Index(m.Choices, choice)
	payload := mustJSON(map[string]any{
		"type": "block_actions", "api_app_id": App, "token": "XXYYZZ", "trigger_id": "1.2.3", "enterprise": nil,
		"user":         map[string]any{"id": c.user, "username": strings.ToLower(strings.ReplaceAll(c.Name, " ", ".")), "name": c.Name, "team_id": Team},
		"team":         map[string]any{"id": Team, "domain": "sim"},
		"channel":      map[string]any{"id": c.room, "name": "directmessage"},
		"container":    map[string]any{"type": "message", "message_ts": ts, "channel_id": c.room, "is_ephemeral": false},
		"response_url": "https://hooks.slack.com/actions/T/1/x",
		"actions": []any{map[string]any{"type": "button", "action_id": fmt.Sprintf("choice-%d", n), "block_id": "b1", "value": choice.Data, "action_ts": s.ts(),
			"text": map[string]any{"type": "plain_text", "text": escape.Replace(choice.Label), "emoji": false}}},
	})
	s.Acts.Push(c.room, []byte(url.Values{"payload": {string(payload)}}.Encode()))
	return nil
}

// reactions are emoji that members use here, by Slack's names.
var reactions = map[string]string{"👍": "+1", "👎": "-1", "❤️": "heart", "🎉": "tada", "✅": "white_check_mark", "👀": "eyes", "😄": "smile", "😢": "cry", "🙏": "pray"}

// React implements channelsim.Person.
func (c *Customer) React(ref, emoji string) error {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	if _, known := s.said[ref]; !known {
		return channelsim.ErrNothing
	}
	_, ts, _ := strings.Cut(ref, ":")
	kind, name := "reaction_added", reactions[emoji]
	if emoji == "" {
		if kind, name = "reaction_removed", c.reactions[ref]; name == "" {
			return channelsim.ErrNothing
		}
	} else if name == "" {
		name = "slightly_smiling_face"
	}
	c.reactions[ref] = name
	s.emit(c, map[string]any{"type": kind, "user": c.user, "reaction": name, "item_user": Bot, "event_ts": s.ts(),
		"item": map[string]any{"type": "message", "channel": c.room, "ts": ts}})
	return nil
}

// Edit implements channelsim.Person.
func (c *Customer) Edit(ref, text string) error {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	_, ts, _ := strings.Cut(ref, ":")
	if _, mine := c.wrote[ts]; !mine {
		return channelsim.ErrNothing
	}
	before := c.message(ts)
	c.wrote[ts] = text
	at := s.ts()
	after := c.message(ts)
	after["edited"] = map[string]any{"user": c.user, "ts": at}
	s.emit(c, map[string]any{"type": "message", "subtype": "message_changed", "hidden": true, "channel": c.room, "channel_type": "im", "ts": at, "event_ts": at, "message": after, "previous_message": before})
	return nil
}

// Delete takes back what the member wrote.
func (c *Customer) Delete(ref string) error {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	_, ts, _ := strings.Cut(ref, ":")
	if _, mine := c.wrote[ts]; !mine {
		return channelsim.ErrNothing
	}
	before, at := c.message(ts), s.ts()
	delete(c.wrote, ts)
	s.emit(c, map[string]any{"type": "message", "subtype": "message_deleted", "hidden": true, "channel": c.room, "channel_type": "im", "deleted_ts": ts, "ts": at, "event_ts": at, "previous_message": before})
	return nil
}

// Deactivate takes the member out of the workspace, or back in.
func (c *Customer) Deactivate(gone bool) {
	c.sim.Lock()
	defer c.sim.Unlock()
	c.gone = gone
}

// Read implements channelsim.Person. Apps are not told.
func (c *Customer) Read() error { return nil }

// Block implements channelsim.Person. Members cannot block an app.
func (c *Customer) Block(bool) error { return channelsim.ErrCannot }

// Inbox implements channelsim.Person.
func (c *Customer) Inbox() []channelsim.Message {
	c.sim.Lock()
	defer c.sim.Unlock()
	return slices.Clone(c.Got)
}

var (
	_ channelsim.Sim    = (*Sim)(nil)
	_ channelsim.Person = (*Customer)(nil)
)
