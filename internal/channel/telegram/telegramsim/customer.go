package telegramsim

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of the Bot API.
type object = map[string]any

// Customer is a person with a Telegram account. Their methods are what a thumb does in the app; each returns the
// message_id (0 where there is none).
type Customer struct {
	ID       int64
	First    string
	Last     string
	Language string

	sim     *Sim
	started bool
	blocked bool
	gone    bool
	nextMsg int64
	rate    bucket
	chat    map[int64]object // every message in the chat with the bot, as the Bot API shows it
	inbox   []Message
	reacted map[int64][]string
}

// Message is what a customer sees of the bot.
type Message struct {
	ID       int64
	Text     string
	FileName string
	File     []byte
	ReplyTo  int64
	Buttons  []Button
}

// Customer is the customer of that name, who is made up at the first call. "Erika Muster" has a first and a last name.
func (s *Sim) Customer(name string) *Customer {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		if c := s.customers[id]; strings.TrimSpace(c.First+" "+c.Last) == strings.TrimSpace(name) {
			return c
		}
	}
	first, last, _ := strings.Cut(name, " ")
	c := &Customer{
		ID: s.options.FirstID + int64(len(s.order)), First: first, Last: last, Language: "de", sim: s, nextMsg: 1,
		rate: bucket{rate: s.options.PerChat, burst: float64(s.options.Burst)},
		chat: map[int64]object{}, reacted: map[int64][]string{},
	}
	s.customers[c.ID] = c
	s.order = append(s.order, c.ID)
	return c
}

// Start opens the chat with the bot, by a deep link if there is a token ("" = none).
func (c *Customer) Start(token string) int64 {
	return c.say("message", strings.TrimSpace("/start "+token), object{
		"text":     strings.TrimSpace("/start " + token),
		"entities": []object{{"type": "bot_command", "offset": 0, "length": 6}},
	})
}

// Write sends a text. A customer who writes has pressed Start at some time before.
func (c *Customer) Write(text string) int64 {
	return c.say("message", text, object{"text": text})
}

// Reply answers a message of the chat by quoting it.
func (c *Customer) Reply(messageID int64, text string) int64 {
	c.sim.mu.Lock()
	quoted := maps.Clone(c.chat[messageID])
	c.sim.mu.Unlock()
	delete(quoted, "reply_to_message") // "will not contain further reply_to_message fields"
	fields := object{"text": text}
	if quoted != nil {
		fields["reply_to_message"] = quoted
	}
	return c.say("message", text, fields)
}

// Photo sends a picture, which Telegram offers in two sizes.
func (c *Customer) Photo(content []byte, caption string) int64 {
	small := c.sim.store("photos", "thumb.jpg", "image/jpeg", content, int64(len(content))/4)
	big := c.sim.store("photos", "photo.jpg", "image/jpeg", content, int64(len(content)))
	fields := object{"photo": []object{
		{"file_id": small.id, "file_unique_id": "u" + small.id, "file_size": small.size, "width": 90, "height": 60},
		{"file_id": big.id, "file_unique_id": "u" + big.id, "file_size": big.size, "width": 1280, "height": 853},
	}}
	return c.say("message", caption, withCaption(fields, caption))
}

// Document sends a file. A size above len(content) (0 = its length) stands for one too big to carry around in a test.
func (c *Customer) Document(name, mediaType string, content []byte, size int64, caption string) int64 {
	f := c.sim.store("documents", name, mediaType, content, max(size, int64(len(content))))
	fields := object{"document": object{
		"file_id": f.id, "file_unique_id": "u" + f.id, "file_name": name, "mime_type": mediaType, "file_size": f.size,
	}}
	return c.say("message", caption, withCaption(fields, caption))
}

// Voice sends a voice message.
func (c *Customer) Voice(content []byte, duration time.Duration) int64 {
	f := c.sim.store("voice", "voice.oga", "audio/ogg", content, int64(len(content)))
	return c.say("message", "", object{"voice": object{
		"file_id": f.id, "file_unique_id": "u" + f.id, "duration": int(duration.Seconds()), "mime_type": "audio/ogg", "file_size": f.size,
	}})
}

// Sticker sends a sticker.
func (c *Customer) Sticker(emoji string, content []byte) int64 {
	f := c.sim.store("stickers", "sticker.webp", "image/webp", content, int64(len(content)))
	return c.say("message", emoji, object{"sticker": object{
		"file_id": f.id, "file_unique_id": "u" + f.id, "type": "regular", "width": 512, "height": 512,
		"is_animated": false, "is_video": false, "emoji": emoji, "file_size": f.size,
	}})
}

// Location shares a place.
func (c *Customer) Location(latitude, longitude float64) int64 {
	return c.say("message", "", object{"location": object{"latitude": latitude, "longitude": longitude}})
}

// Contact shares the customer's own phone number.
func (c *Customer) Contact(phone string) int64 {
	return c.say("message", phone, object{"contact": object{
		"phone_number": phone, "first_name": c.First, "last_name": c.Last, "user_id": c.ID,
	}})
}

// Edit changes the text of a message that the customer wrote.
func (c *Customer) Edit(messageID int64, text string) {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := c.chat[messageID]
	if !ok || c.blocked {
		return
	}
	m = maps.Clone(m)
	if _, captioned := m["caption"]; captioned {
		m["caption"] = text
	} else {
		m["text"] = text
	}
	m["edit_date"] = s.options.Now().Unix()
	c.chat[messageID] = m
	s.deed("edited_message", c.ID, messageID, text, m)
}

// React sets the customer's reaction to a message; none takes it back.
func (c *Customer) React(messageID int64, emojis ...string) {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := c.chat[messageID]; !ok || c.blocked {
		return
	}
	list := func(emojis []string) []object {
		out := []object{}
		for _, e := range emojis {
			out = append(out, object{"type": "emoji", "emoji": e})
		}
		return out
	}
	old := c.reacted[messageID]
	c.reacted[messageID] = emojis
	s.deed("message_reaction", c.ID, messageID, strings.Join(emojis, ""), object{
		"chat": c.asChat(), "message_id": messageID, "user": c.asUser(), "date": s.options.Now().Unix(),
		"old_reaction": list(old), "new_reaction": list(emojis),
	})
}

// Press presses the newest button with that label; false if there is none.
func (c *Customer) Press(label string) bool { return c.PressOn(0, label) }

// PressOn presses the button with that label under one message (0: the newest that has it); false if there is none.
func (c *Customer) PressOn(messageID int64, label string) bool {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.blocked {
		return false
	}
	for _, m := range slices.Backward(c.inbox) {
		for _, b := range m.Buttons {
			if b.Text != label || messageID != 0 && m.ID != messageID {
				continue
			}
			s.serial++
			query := strconv.FormatInt(c.ID, 10) + strconv.FormatInt(s.serial, 10)
			s.queries[query] = s.options.Now()
			s.deed("callback_query", c.ID, m.ID, b.Data, object{
				"id": query, "from": c.asUser(), "message": c.chat[m.ID], "chat_instance": "-" + query, "data": b.Data,
			})
			return true
		}
	}
	return false
}

// Block blocks the bot: it cannot write to this customer any more.
func (c *Customer) Block() { c.membership(true) }

// Unblock lets the bot write again.
func (c *Customer) Unblock() { c.membership(false) }

// Leave deletes the customer's account; nothing is told to the bot.
func (c *Customer) Leave() {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	c.gone = true
}

func (c *Customer) membership(block bool) {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.blocked == block {
		return
	}
	c.blocked = block
	c.started = true
	status := map[bool]string{true: "kicked", false: "member"}
	member := func(blocked bool) object {
		m := object{"user": s.asBot(), "status": status[blocked]}
		if blocked {
			m["until_date"] = 0
		}
		return m
	}
	s.deed("my_chat_member", c.ID, 0, status[block], object{
		"chat": c.asChat(), "from": c.asUser(), "date": s.options.Now().Unix(),
		"old_chat_member": member(!block), "new_chat_member": member(block),
	})
}

// Inbox is what the customer got from the bot, oldest first.
func (c *Customer) Inbox() []Message {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	return slices.Clone(c.inbox)
}

// WaitFor returns the inbox once it has n messages, or as it is when ctx ends.
func (c *Customer) WaitFor(ctx context.Context, n int) []Message {
	c.sim.Wait(ctx, func() bool { return len(c.Inbox()) >= n })
	return c.Inbox()
}

// say puts a message of the customer into the chat.
func (c *Customer) say(kind, text string, fields object) int64 {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.blocked { // the app asks to unblock first
		return 0
	}
	c.started = true
	m := object{"message_id": c.nextMsg, "from": c.asUser(), "chat": c.asChat(), "date": s.options.Now().Unix()}
	maps.Copy(m, fields)
	c.chat[c.nextMsg] = m
	c.nextMsg++
	s.deed(kind, c.ID, m["message_id"].(int64), text, m)
	return m["message_id"].(int64)
}

// deed keeps what a customer did and tells the bot. The caller holds mu.
func (s *Sim) deed(kind string, chat, messageID int64, text string, payload object) {
	if id := s.push(kind, chat, payload); id != 0 {
		s.deeds = append(s.deeds, Deed{Kind: kind, ChatID: chat, MessageID: messageID, Text: text, UpdateID: id, At: s.options.Now()})
		s.notify()
	}
}

func withCaption(fields object, caption string) object {
	if caption != "" {
		fields["caption"] = caption
	}
	return fields
}

func (c *Customer) asUser() object {
	u := object{"id": c.ID, "is_bot": false, "first_name": c.First, "language_code": c.Language}
	if c.Last != "" {
		u["last_name"] = c.Last
	}
	return u
}

func (c *Customer) asChat() object {
	o := object{"id": c.ID, "first_name": c.First, "type": "private"}
	if c.Last != "" {
		o["last_name"] = c.Last
	}
	return o
}

func (s *Sim) asBot() object {
	return object{"id": s.botID, "is_bot": true, "first_name": "Rufweite", "username": s.options.Username}
}

// store keeps a file for getFile.
func (s *Sim) store(folder, name, mediaType string, content []byte, size int64) file {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.storeLocked(folder, name, mediaType, content, size)
}

func (s *Sim) storeLocked(folder, name, mediaType string, content []byte, size int64) file {
	s.serial++
	f := file{
		id:   fmt.Sprintf("AgACAgIAAxkBAAI%08d", s.serial),
		path: fmt.Sprintf("%s/file_%d%s", folder, s.serial, extension(name)),
		name: name, mediaType: mediaType, content: content, size: size,
	}
	if f.mediaType == "" {
		f.mediaType = http.DetectContentType(content)
	}
	s.files[f.id] = f
	return f
}

func extension(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 5 {
		return name[i:]
	}
	return ""
}
