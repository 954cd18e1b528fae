package whatsappsim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Customer is somebody with WhatsApp on the telephone.
type Customer struct {
	channelsim.Chat
	WaID   string // the number, without plus sign
	UserID string // business-scoped
	Hidden bool   // has a username, and businesses do not see the number

	sim       *Sim
	wrote     time.Time // last message to the company
	opened    bool
	noAdverts bool
	sent      map[string]outgoing // what came from the company, by Ref
	// The loan of the pair rate: so many messages since then.
	since time.Time
	lent  int
}

// outgoing is what is remembered of a message of the company's.
type outgoing struct {
	callback       string
	template, list bool
	read           bool
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person { return s.Customer(name) }

// Customer is the customer of that name, who is made up at the first call.
func (s *Sim) Customer(name string) *Customer {
	s.Lock()
	defer s.Unlock()
	c := s.people[name]
	if c == nil {
		n := len(s.order) + 1
		c = &Customer{sim: s, WaID: fmt.Sprintf("49151%08d", 10_000_000+n), UserID: fmt.Sprintf("DE.13491208655302%06d", n), sent: map[string]outgoing{}}
		c.Name = name
		c.Hidden = s.options.Hidden != nil && s.options.Hidden(name)
		s.people[name] = c
		s.order = append(s.order, c)
	}
	return c
}

// Address implements channelsim.Person.
func (c *Customer) Address() string {
	c.sim.Lock()
	defer c.sim.Unlock()
	return c.address()
}

func (c *Customer) address() string {
	if c.Hidden {
		return c.UserID
	}
	return "+" + c.WaID
}

// contact is how webhooks name the customer. The caller holds the mutex, as for all that follow in lower case.
func (c *Customer) contact() map[string]any {
	profile := map[string]any{"name": c.Name}
	v := map[string]any{"profile": profile, "user_id": c.UserID}
	if c.Hidden {
		profile["username"] = "@" + strings.ToLower(strings.ReplaceAll(c.Name, " ", ""))
	} else {
		v["wa_id"] = c.WaID
	}
	return v
}

// say delivers a message of the customer's and gives its id.
func (c *Customer) say(kind string, fields map[string]any) string {
	ref := c.sim.wamid(c.WaID)
	m := map[string]any{"id": ref, "timestamp": c.sim.timestamp(), "type": kind, "from_user_id": c.UserID}
	if !c.Hidden {
		m["from"] = c.WaID
	}
	for k, v := range fields {
		m[k] = v
	}
	c.sim.notify(c.UserID, "messages", map[string]any{"contacts": []any{c.contact()}, "messages": []any{m}})
	return ref
}

// context refers to a message of the chat.
func (c *Customer) context(ref string) map[string]any {
	from := c.WaID
	if _, ours := c.sent[ref]; ours {
		from = digits(c.sim.options.DisplayPhoneNumber)
	}
	return map[string]any{"from": from, "id": ref}
}

func (c *Customer) may() error {
	if c.Blocked {
		return channelsim.ErrBlocked
	}
	return nil
}

// Open implements channelsim.Person. A link writes a text and carries nothing else.
func (c *Customer) Open(token string) error {
	c.sim.Lock()
	defer c.sim.Unlock()
	if token != "" {
		return channelsim.ErrCannot
	}
	if c.sim.options.Welcome && !c.opened {
		c.say("request_welcome", nil)
	}
	c.opened = true
	return nil
}

// Write implements channelsim.Person.
func (c *Customer) Write(text, replyTo string) (string, error) {
	c.sim.Lock()
	defer c.sim.Unlock()
	if err := c.may(); err != nil {
		return "", err
	}
	fields := map[string]any{"text": map[string]any{"body": text}}
	if replyTo != "" {
		fields["context"] = c.context(replyTo)
	}
	c.wrote = c.sim.Now()
	return c.say("text", fields), nil
}

// Send implements channelsim.Person.
func (c *Customer) Send(f channelsim.File, caption string) (string, error) {
	c.sim.Lock()
	defer c.sim.Unlock()
	if err := c.may(); err != nil {
		return "", err
	}
	id := c.sim.mediaID()
	c.sim.media[id] = stored{file: f}
	kind, _, _ := strings.Cut(f.MediaType, "/")
	switch kind {
	case "image", "video", "audio":
	default:
		kind = "document"
	}
	m := map[string]any{"id": id, "mime_type": f.MediaType, "sha256": hash(f.Content)}
	if kind == "document" {
		m["filename"] = f.Name
	}
	if kind == "audio" {
		m["voice"] = true
	} else if caption != "" {
		m["caption"] = caption
	}
	c.wrote = c.sim.Now()
	return c.say(kind, map[string]any{kind: m}), nil
}

// Press implements channelsim.Person.
func (c *Customer) Press(ref, label string) error {
	c.sim.Lock()
	defer c.sim.Unlock()
	if err := c.may(); err != nil {
		return err
	}
	m, choice, err := c.Find(ref, label)
	if err != nil {
		return err
	}
	c.wrote = c.sim.Now()
	fields := map[string]any{"context": c.context(m.Ref)}
	if c.sent[m.Ref].template {
		fields["button"] = map[string]any{"payload": choice.Data, "text": choice.Label}
		c.say("button", fields)
		return nil
	}
	reply := map[string]any{"id": choice.Data, "title": choice.Label}
	kind := "button_reply"
	if c.sent[m.Ref].list {
		kind = "list_reply"
		if choice.Description != "" {
			reply["description"] = choice.Description
		}
	}
	fields["interactive"] = map[string]any{"type": kind, kind: reply}
	c.say("interactive", fields)
	return nil
}

// React implements channelsim.Person.
func (c *Customer) React(ref, emoji string) error {
	c.sim.Lock()
	defer c.sim.Unlock()
	if err := c.may(); err != nil {
		return err
	}
	if _, ours := c.sent[ref]; !ours {
		return channelsim.ErrNothing
	}
	reaction := map[string]any{"message_id": ref}
	if emoji != "" {
		reaction["emoji"] = emoji
	}
	c.say("reaction", map[string]any{"reaction": reaction})
	return nil
}

// Edit implements channelsim.Person. The platform reports edits for numbers that are in the WhatsApp Business app, too, and
// this one is not.
func (c *Customer) Edit(string, string) error { return channelsim.ErrCannot }

// Read implements channelsim.Person.
func (c *Customer) Read() error {
	c.sim.Lock()
	defer c.sim.Unlock()
	for _, m := range c.Got {
		if o := c.sent[m.Ref]; !o.read {
			o.read = true
			c.sent[m.Ref] = o
			c.sim.status(c, m.Ref, o.callback, "read", nil)
		}
	}
	return nil
}

// Block implements channelsim.Person.
func (c *Customer) Block(blocked bool) error {
	c.sim.Lock()
	defer c.sim.Unlock()
	c.Blocked = blocked
	return nil
}

// Inbox implements channelsim.Person.
func (c *Customer) Inbox() []channelsim.Message {
	c.sim.Lock()
	defer c.sim.Unlock()
	return slices.Clone(c.Got)
}

// StopMarketing is the customer's "Stop" under an advertisement.
func (c *Customer) StopMarketing() {
	c.sim.Lock()
	defer c.sim.Unlock()
	c.noAdverts = true
	p := map[string]any{"user_id": c.UserID, "category": "marketing_messages", "value": "stop",
		"detail": "User requested to stop marketing messages", "timestamp": c.sim.Now().Unix()}
	if !c.Hidden {
		p["wa_id"] = c.WaID
	}
	c.sim.notify(c.UserID, "user_preferences", map[string]any{"contacts": []any{c.contact()}, "user_preferences": []any{p}})
}

// Hide makes the customer adopt a username: businesses do not see the number from now on.
func (c *Customer) Hide() {
	c.sim.Lock()
	defer c.sim.Unlock()
	c.Hidden = true
}

// ChangeNumber gives the customer a new number, and with it a new business-scoped id ("Business-scoped user IDs").
func (c *Customer) ChangeNumber(waID string) {
	c.sim.Lock()
	defer c.sim.Unlock()
	oldNumber, oldID := c.WaID, c.UserID
	c.WaID, c.UserID = waID, fmt.Sprintf("DE.%d", 2481730591287300000+c.sim.Serial())
	system := map[string]any{"user_id": c.UserID}
	m := map[string]any{"id": c.sim.wamid(waID), "timestamp": c.sim.timestamp(), "type": "system", "system": system}
	update := map[string]any{"detail": "User id for " + c.Name + " has been updated.", "timestamp": c.sim.timestamp(),
		"user_id": map[string]any{"previous": oldID, "current": c.UserID}}
	if c.Hidden {
		system["type"] = "user_changed_user_id"
		system["body"] = fmt.Sprintf("User %s changed from %s to %s", c.Name, oldID, c.UserID)
	} else {
		m["from"] = oldNumber
		system["type"], system["wa_id"] = "user_changed_number", waID
		system["body"] = fmt.Sprintf("User %s changed from %s to %s", c.Name, oldNumber, waID)
		update["wa_id"] = waID
	}
	c.sim.notify(c.UserID, "messages", map[string]any{"messages": []any{m}}) // without contacts
	c.sim.notify(c.UserID, "user_id_update", map[string]any{"contacts": []any{c.contact()}, "user_id_update": []any{update}})
}

var _ channelsim.Person = (*Customer)(nil)
