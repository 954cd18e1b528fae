package rcssim

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// person is a customer with Google Messages.
type person struct {
	channelsim.Chat
	sim    *Sim
	number string
	read   int // how many of Got are read
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.people[name]
	if p == nil {
		p = &person{sim: s, number: fmt.Sprintf("+49151%08d", 23400000+len(s.people))}
		p.Name = name
		s.people[name], s.numbers[p.number] = p, p
	}
	return p
}

// Address implements channelsim.Person.
func (p *person) Address() string { return p.number }

// push sends something to the company. The caller holds the mutex.
func (p *person) push(fields map[string]any) {
	fields["agentId"], fields["sendTime"] = p.sim.options.AgentID, stamp(p.sim.Now())
	if _, ok := fields["phoneNumber"]; !ok {
		fields["senderPhoneNumber"] = p.number
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	p.sim.Hook.Push(p.number, body)
}

func (p *person) say(content string, value any) (string, error) {
	p.sim.Lock()
	defer p.sim.Unlock()
	if p.Blocked {
		return "", channelsim.ErrBlocked
	}
	id := uuid()
	p.push(map[string]any{"messageId": id, content: value})
	return id, nil
}

// event reports something about a message. The caller holds the mutex.
func (s *Sim) event(p *person, kind, messageID string) {
	fields := map[string]any{"eventType": kind, "eventId": uuid()}
	if messageID != "" {
		fields["messageId"] = messageID
	}
	p.push(fields)
}

// ServerEvent reports something that the platform itself did about a message, such as TTL_EXPIRATION_REVOKED.
func (s *Sim) ServerEvent(number, kind, messageID string) {
	s.Lock()
	defer s.Unlock()
	if p := s.numbers[number]; p != nil {
		p.push(map[string]any{"phoneNumber": number, "eventType": kind, "eventId": uuid(), "messageId": messageID})
	}
}

// Open implements channelsim.Person: opening the chat is not reported.
func (p *person) Open(string) error { return nil }

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) {
	if replyTo != "" {
		return "", channelsim.ErrCannot // the platform does not tell what a message answers
	}
	return p.say("text", text)
}

// Send implements channelsim.Person: a caption is a message of its own.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	s := p.sim
	s.Lock()
	id := random(20)
	s.media[id] = f
	address := s.base + "/userfiles/" + id
	s.Unlock()
	ref, err := p.say("userFile", map[string]any{"payload": map[string]any{
		"mimeType": f.MediaType, "fileSizeBytes": len(f.Content), "fileName": f.Name, "fileUri": address}})
	if err == nil && caption != "" {
		_, err = p.say("text", caption)
	}
	return ref, err
}

// Press implements channelsim.Person.
func (p *person) Press(ref, label string) error {
	p.sim.Lock()
	_, o, err := p.Find(ref, label)
	p.sim.Unlock()
	if err != nil {
		return err
	}
	_, err = p.say("suggestionResponse", map[string]string{"postbackData": o.Data, "text": o.Label, "type": "REPLY"})
	return err
}

// React implements channelsim.Person.
func (p *person) React(string, string) error { return channelsim.ErrCannot }

// Edit implements channelsim.Person.
func (p *person) Edit(string, string) error { return channelsim.ErrCannot }

// Read implements channelsim.Person.
func (p *person) Read() error {
	p.sim.Lock()
	defer p.sim.Unlock()
	for _, m := range p.Got[p.read:] {
		p.sim.event(p, "READ", m.Ref)
	}
	p.read = len(p.Got)
	return nil
}

// Type shows that the customer is typing.
func (p *person) Type() {
	p.sim.Lock()
	defer p.sim.Unlock()
	p.sim.event(p, "IS_TYPING", "")
}

// Block implements channelsim.Person: "Unsubscribe" and "Block" in one, as the app offers them together. What is sent to a
// customer who blocked the agent is accepted and never delivered.
func (p *person) Block(blocked bool) error {
	p.sim.Lock()
	defer p.sim.Unlock()
	if p.Blocked != blocked {
		p.Blocked = blocked
		kind := "SUBSCRIBE"
		if blocked {
			kind = "UNSUBSCRIBE"
		}
		p.sim.event(p, kind, "")
		p.sim.Changed()
	}
	return nil
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	return slices.Clone(p.Got)
}

var _ channelsim.Person = (*person)(nil)
