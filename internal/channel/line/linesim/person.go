package linesim

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// person is a customer with the LINE app.
type person struct {
	sim  *Sim
	id   string
	chat channelsim.Chat
}

// Address implements channelsim.Person.
func (p *person) Address() string { return p.id }

// event delivers a webhook about this person. The caller holds the mutex.
func (p *person) event(kind string, more map[string]any) {
	s := p.sim
	e := map[string]any{
		"type": kind, "mode": "active", "timestamp": s.Now().UnixMilli(), "source": map[string]any{"type": "user", "userId": p.id},
		"webhookEventId": s.ulid(), "deliveryContext": map[string]any{"isRedelivery": false},
	}
	if kind != "unfollow" && kind != "unsend" {
		e["replyToken"] = "rt" + s.ulid()
	}
	for k, v := range more {
		e[k] = v
	}
	body, _ := json.Marshal(map[string]any{"destination": botID, "events": []any{e}})
	s.Hook.Push(p.id, body)
}

// Open implements channelsim.Person: adds the account as a friend. A link of LINE carries no token.
func (p *person) Open(string) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	p.event("follow", map[string]any{"follow": map[string]any{"isUnblocked": false}})
	return nil
}

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) {
	m := map[string]any{"type": "text", "text": text}
	if replyTo != "" {
		m["quotedMessageId"] = replyTo
	}
	return p.message(m)
}

func (p *person) message(m map[string]any) (string, error) {
	s := p.sim
	s.Lock()
	defer s.Unlock()
	if p.chat.Blocked {
		return "", channelsim.ErrBlocked
	}
	id := s.messageID()
	m["id"], m["quoteToken"] = id, "qt-"+id
	p.event("message", map[string]any{"message": m})
	return id, nil
}

// Send implements channelsim.Person. LINE has no captions: the words follow as a message of their own.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	m := map[string]any{"type": "file", "fileName": f.Name, "fileSize": len(f.Content)}
	for _, kind := range []string{"image", "video", "audio"} {
		if strings.HasPrefix(f.MediaType, kind+"/") {
			m = map[string]any{"type": kind, "contentProvider": map[string]any{"type": "line"}}
		}
	}
	id, err := p.message(m)
	if err != nil {
		return "", err
	}
	p.sim.Lock()
	p.sim.files[id] = channelsim.File{Name: f.Name, MediaType: f.MediaType, Content: slices.Clone(f.Content)}
	p.sim.Unlock()
	if caption != "" {
		_, err = p.Write(caption, "")
	}
	return id, err
}

// Press implements channelsim.Person.
func (p *person) Press(ref, label string) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	_, c, err := p.chat.Find(ref, label)
	if err != nil {
		return err
	}
	p.event("postback", map[string]any{"postback": map[string]any{"data": c.Data}})
	return nil
}

// React implements channelsim.Person: official accounts are told of no reactions.
func (p *person) React(string, string) error { return channelsim.ErrCannot }

// Edit implements channelsim.Person: LINE can only unsend, see Unsend.
func (p *person) Edit(string, string) error { return channelsim.ErrCannot }

// Unsend takes a message of the customer back.
func (p *person) Unsend(ref string) {
	p.sim.Lock()
	defer p.sim.Unlock()
	p.event("unsend", map[string]any{"unsend": map[string]any{"messageId": ref}})
}

// Read implements channelsim.Person: LINE reports it to nobody.
func (p *person) Read() error { return nil }

// Block implements channelsim.Person.
func (p *person) Block(blocked bool) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	if p.chat.Blocked == blocked {
		return nil
	}
	p.chat.Blocked = blocked
	if blocked {
		p.event("unfollow", nil)
	} else {
		p.event("follow", map[string]any{"follow": map[string]any{"isUnblocked": true}})
	}
	return nil
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	out := slices.Clone(p.chat.Got)
	for i := range out {
		out[i].Choices = slices.Clone(out[i].Choices)
	}
	return out
}

var _ channelsim.Sim = (*Sim)(nil)
