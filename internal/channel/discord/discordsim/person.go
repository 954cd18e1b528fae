package discordsim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// person is a Discord user who shares a server with the bot.
type person struct {
	channelsim.Chat
	sim     *Sim
	id      string
	chat    string   // the channel of the direct messages
	history []object // both sides, oldest first
	stuck   map[string]bool
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.people[name]
	if p == nil {
		p = &person{sim: s, id: s.snowflake(), chat: s.snowflake(), stuck: map[string]bool{}}
		p.Name = name
		s.people[name], s.users[p.id], s.chats[p.chat] = p, p, p
	}
	return p
}

// Address implements channelsim.Person.
func (p *person) Address() string { return p.id }

func (p *person) user() object {
	return object{"id": p.id, "username": strings.ToLower(strings.ReplaceAll(p.Name, " ", ".")), "discriminator": "0", "global_name": p.Name, "avatar": nil}
}

// find gives a message of the chat. The caller holds the mutex.
func (p *person) find(id string) object {
	for _, m := range p.history {
		if m["id"] == id {
			return m
		}
	}
	return nil
}

// lock waits until the bot could be found at all, and locks.
func (p *person) lock() {
	p.sim.Online(10 * time.Second)
	p.sim.Lock()
}

// Open implements channelsim.Person: a profile carries nothing into the chat.
func (p *person) Open(string) error { return nil }

func (p *person) say(text, replyTo string, files []channelsim.File) (string, error) {
	p.lock()
	defer p.sim.Unlock()
	if p.Blocked {
		return "", channelsim.ErrBlocked
	}
	m := object{"id": p.sim.snowflake(), "channel_id": p.chat, "author": p.user(), "content": text, "timestamp": stamp(p.sim.Now()), "edited_timestamp": nil, "tts": false,
		"mention_everyone": false, "mentions": []any{}, "mention_roles": []any{}, "attachments": []any{}, "embeds": []any{}, "pinned": false, "type": 0, "channel_type": 1}
	if replyTo != "" {
		old := p.find(replyTo)
		if old == nil {
			return "", channelsim.ErrNothing
		}
		m["type"], m["message_reference"], m["referenced_message"] = 19, object{"type": 0, "channel_id": p.chat, "message_id": replyTo}, old
	}
	var list []object
	for _, f := range files {
		list = append(list, p.sim.keep(p.chat, f))
	}
	if list != nil {
		m["attachments"] = list
	}
	p.history = append(p.history, m)
	p.sim.dispatch(directMessages, "MESSAGE_CREATE", m)
	return m["id"].(string), nil
}

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) { return p.say(text, replyTo, nil) }

// Send implements channelsim.Person.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	return p.say(caption, "", []channelsim.File{f})
}

// Press implements channelsim.Person.
func (p *person) Press(ref, label string) error {
	p.lock()
	defer p.sim.Unlock()
	s := p.sim
	m, o, err := p.Find(ref, label)
	if err != nil {
		return err
	}
	i := object{"id": s.snowflake(), "application_id": s.appID, "type": 3, "token": random(32), "version": 1, "channel_id": p.chat, "user": p.user(), "locale": "de",
		"data": object{"component_type": 2, "custom_id": o.Data}, "message": p.find(m.Ref)}
	s.pressed[i["id"].(string)+"/"+i["token"].(string)] = s.Now()
	if s.options.Endpoint {
		raw, err := json.Marshal(i)
		if err != nil {
			return err
		}
		s.Hook.Push(p.id, raw)
		return nil
	}
	s.dispatch(0, "INTERACTION_CREATE", i)
	return nil
}

// React implements channelsim.Person.
func (p *person) React(ref, emoji string) error {
	p.lock()
	defer p.sim.Unlock()
	if p.find(ref) == nil {
		return channelsim.ErrNothing
	}
	d := func(e string) object {
		return object{"user_id": p.id, "channel_id": p.chat, "message_id": ref, "emoji": object{"id": nil, "name": e}, "burst": false, "type": 0}
	}
	if emoji != "" {
		p.stuck[ref+" "+emoji] = true
		p.sim.dispatch(directReactions, "MESSAGE_REACTION_ADD", d(emoji))
		return nil
	}
	for key := range p.stuck {
		if old, ok := strings.CutPrefix(key, ref+" "); ok {
			delete(p.stuck, key)
			p.sim.dispatch(directReactions, "MESSAGE_REACTION_REMOVE", d(old))
		}
	}
	return nil
}

// Edit implements channelsim.Person.
func (p *person) Edit(ref, text string) error {
	p.lock()
	defer p.sim.Unlock()
	m := p.find(ref)
	if m == nil || m["author"].(object)["id"] != p.id {
		return channelsim.ErrNothing
	}
	// First the preview of a link that comes by itself, which is no edit.
	p.sim.dispatch(directMessages, "MESSAGE_UPDATE", m)
	m["content"], m["edited_timestamp"] = text, stamp(p.sim.Now())
	p.sim.dispatch(directMessages, "MESSAGE_UPDATE", m)
	return nil
}

// Delete takes a message back.
func (p *person) Delete(ref string) error {
	p.lock()
	defer p.sim.Unlock()
	if p.find(ref) == nil {
		return channelsim.ErrNothing
	}
	p.history = slices.DeleteFunc(p.history, func(m object) bool { return m["id"] == ref })
	p.sim.dispatch(directMessages, "MESSAGE_DELETE", object{"id": ref, "channel_id": p.chat})
	return nil
}

// Type shows that the customer is typing.
func (p *person) Type() {
	p.lock()
	defer p.sim.Unlock()
	p.sim.dispatch(directTyping, "TYPING_START", object{"user_id": p.id, "channel_id": p.chat, "timestamp": p.sim.Now().Unix()})
}

// Read implements channelsim.Person.
func (p *person) Read() error { return channelsim.ErrCannot }

// Block implements channelsim.Person.
func (p *person) Block(blocked bool) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	p.Blocked = blocked
	p.sim.Changed()
	return nil
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	return slices.Clone(p.Got)
}

var _ channelsim.Person = (*person)(nil)

// Channel is the id of the channel of the direct messages.
func (p *person) Channel() string { return p.chat }
