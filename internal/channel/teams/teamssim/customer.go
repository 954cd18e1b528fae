package teamssim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Customer is a person in Teams with the app installed.
type Customer struct {
	channelsim.Chat
	sim        *Sim
	user, chat string
	gone       bool
	wrote      map[string]string
	reactions  map[string]string
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person { return s.Customer(name) }

// Customer is the person of that name, who installs the app at the first call.
func (s *Sim) Customer(name string) *Customer {
	s.Lock()
	defer s.Unlock()
	if c := s.people[name]; c != nil {
		return c
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%d %s", s.Serial(), name))
	id := base64.RawURLEncoding.EncodeToString(h[:])
	c := &Customer{Chat: channelsim.Chat{Name: name}, sim: s, user: "29:1" + id, chat: "a:1" + id, wrote: map[string]string{}, reactions: map[string]string{}}
	s.people[name], s.chats[c.chat] = c, c
	return c
}

// Address implements channelsim.Person.
func (c *Customer) Address() string { return c.chat }

// activity is what all activities have. The caller holds the mutex.
func (c *Customer) activity(kind, id string) map[string]any {
	return map[string]any{"type": kind, "id": id, "timestamp": c.sim.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"), "channelId": "msteams", "serviceUrl": c.sim.service(),
		"from":         map[string]any{"id": c.user, "name": c.Name, "aadObjectId": "520e4d1e-2108-43ee-a092-46a9507c6200"},
		"conversation": map[string]any{"conversationType": "personal", "tenantId": Tenant, "id": c.chat},
		"recipient":    map[string]any{"id": "28:" + AppID, "name": "Bot"},
		"entities":     []any{map[string]any{"locale": "de-DE", "country": "DE", "platform": "Web", "type": "clientInfo"}},
		"channelData":  map[string]any{"tenant": map[string]any{"id": Tenant}}, "locale": "de-DE"}
}

func (c *Customer) push(a map[string]any) { c.sim.Hook.Push(c.chat, mustJSON(a)) }

// Open implements channelsim.Person: the app is installed. A link carries a text, not a token.
func (c *Customer) Open(string) error {
	c.sim.Lock()
	defer c.sim.Unlock()
	c.gone = false
	a := c.activity("installationUpdate", "f:"+c.sim.stamp())
	a["action"] = "add"
	c.push(a)
	return nil
}

// Uninstall removes the app.
func (c *Customer) Uninstall() {
	c.sim.Lock()
	defer c.sim.Unlock()
	c.gone = true
	a := c.activity("installationUpdate", "f:"+c.sim.stamp())
	a["action"] = "remove"
	c.push(a)
}

// Write implements channelsim.Person.
func (c *Customer) Write(text, replyTo string) (string, error) {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	if c.Blocked {
		return "", channelsim.ErrBlocked
	}
	id := s.stamp()
	a := c.activity("message", id)
	c.fill(a, text)
	if replyTo != "" { // the quote is in the HTML only
		_, quoted, _ := strings.Cut(replyTo, ";")
		a["attachments"] = []any{map[string]any{"contentType": "text/html", "content": `<blockquote itemscope="" itemtype="http://schema.skype.com/Reply" itemid="` + quoted +
			`"><strong itemprop="mri" itemid="28:` + AppID + `">Bot</strong><p itemprop="preview">…</p></blockquote><p>` + html.EscapeString(text) + `</p>`}}
	}
	c.wrote[id] = text
	c.push(a)
	return c.chat + ";" + id, nil
}

func (c *Customer) fill(a map[string]any, text string) {
	a["text"], a["textFormat"] = text, "plain"
	a["attachments"] = []any{map[string]any{"contentType": "text/html", "content": "<p>" + html.EscapeString(text) + "</p>"}}
}

// Send implements channelsim.Person: a picture is pasted into the text, other files lie in the person's OneDrive.
func (c *Customer) Send(f channelsim.File, caption string) (string, error) {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	if c.Blocked {
		return "", channelsim.ErrBlocked
	}
	id := s.stamp()
	s.files[id] = f
	a := c.activity("message", id)
	c.fill(a, caption)
	file := map[string]any{"contentType": "application/vnd.microsoft.teams.file.download.info", "name": f.Name,
		"contentUrl": "https://sim.sharepoint.com/personal/erika/Documents/" + f.Name,
		"content":    map[string]any{"downloadUrl": s.base + "/files/" + id + "/download?tempauth=x", "uniqueId": id, "fileType": f.Name[strings.LastIndexByte(f.Name, '.')+1:]}}
	if strings.HasPrefix(f.MediaType, "image/") {
		file = map[string]any{"contentType": "image/*", "contentUrl": s.base + "/teams/v3/attachments/" + id + "/views/original"}
	}
	a["attachments"] = append([]any{file}, a["attachments"].([]any)...)
	c.wrote[id] = caption
	c.push(a)
	return c.chat + ";" + id, nil
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
	a := c.activity("message", "f:"+s.stamp())
	_, a["replyToId"], _ = strings.Cut(m.Ref, ";")
	a["value"] = json.RawMessage(choice.Data)
	c.push(a)
	return nil
}

var reactions = map[string]string{"👍": "like", "❤️": "heart", "😆": "laugh", "😮": "surprised", "😢": "sad", "😠": "angry", "👋": "1f44b_wavinghand"}

// React implements channelsim.Person.
func (c *Customer) React(ref, emoji string) error {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	a := c.activity("messageReaction", "f:"+s.stamp())
	_, a["replyToId"], _ = strings.Cut(ref, ";")
	name, before := reactions[emoji], c.reactions[ref]
	if emoji != "" && name == "" {
		return channelsim.ErrCannot
	}
	if before != "" {
		a["reactionsRemoved"] = []any{map[string]string{"type": before}}
	}
	if name != "" {
		a["reactionsAdded"] = []any{map[string]string{"type": name}}
	}
	c.reactions[ref] = name
	c.push(a)
	return nil
}

// Edit implements channelsim.Person.
func (c *Customer) Edit(ref, text string) error {
	return c.change(ref, "messageUpdate", "editMessage", text)
}

// Delete takes back what the person wrote.
func (c *Customer) Delete(ref string) error {
	return c.change(ref, "messageDelete", "softDeleteMessage", "")
}

func (c *Customer) change(ref, kind, event, text string) error {
	s := c.sim
	s.Lock()
	defer s.Unlock()
	_, id, _ := strings.Cut(ref, ";")
	if _, mine := c.wrote[id]; !mine {
		return channelsim.ErrNothing
	}
	a := c.activity(kind, id)
	if text != "" {
		c.fill(a, text)
	}
	a["channelData"] = map[string]any{"eventType": event, "tenant": map[string]any{"id": Tenant}}
	c.wrote[id] = text
	c.push(a)
	return nil
}

// Read implements channelsim.Person. Bots are told only where the app asks for that permission; this one does not.
func (c *Customer) Read() error { return nil }

// Block implements channelsim.Person. The bot is not told.
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

var (
	_ channelsim.Sim    = (*Sim)(nil)
	_ channelsim.Person = (*Customer)(nil)
)
