// Package sim stands in for the world outside: Providers puts the provider simulators together and is where customers'
// mail programs and phones live; Population is the people who use them, with concerns of their own, who write, wait,
// ask again and react to what they are answered. Demo, benches and crash tests are its users.
//
// What it says about messages is a ledger that is independent of the program under test: what customers sent, and what
// really arrived at their providers. It knows the channel contract and the simulators, nothing of the house. All that
// people do follows from a seed and from the answers they get.
package sim

import (
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kinds of channels that the simulated world has.
const (
	Email    channel.Kind = "email"
	Telegram channel.Kind = "telegram"
	Web      channel.Kind = "webchat"
)

// Choice is something to press under a message: a button of a chat, a link of a mail, a field of the web chat.
type Choice struct {
	Label string
	Data  string // chats: what the button sends
	URL   string // mail: where the link leads
	// Description is a second line, in lists of some apps.
	Description string
}

// Person reports whether pressing it asks for a person and answers nothing.
func (c Choice) Person() bool { return strings.HasPrefix(c.Data, "p:") }

// File is something attached to a message.
type File struct {
	Name      string
	MediaType string
	Content   []byte
}

// Line is one message as it lies in a customer's mail program or chat.
type Line struct {
	ID       string // of this ledger, unique over all customers
	Customer string // Customer.ID
	Channel  channel.Kind
	In       bool   // from the company to the customer
	Ref      string // the provider's own id: Message-ID, message_id
	Address  string // the customer's, as the company knows it: mail address, chat id
	Parent   string // the provider's id of what it answers, "" = nothing
	ReplyTo  string // Line.ID of what it answers, if that is here too
	From     string // display name of who wrote it
	Subject  string
	Text     string
	Files    []File
	At       time.Time // as the message says
	Edited   bool
	Emoji    string // the customer's reaction to it
	Choices  []Choice
	Menu     string // the button that opens the choices as a list; "" = they lie open
	Pressed  string // label of the choice that the customer pressed last
	HTML     string // e-mail: as a mail program shows it
	Page     string // address of the answer page that the message links to, "" = none
	raw      []byte // e-mail: as it came
}

// Clock is the time of the simulated world. Its zero value shows the real time; Set stops it at another one, so that
// weeks can pass in seconds.
type Clock struct {
	mu    sync.Mutex
	fixed time.Time
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fixed.IsZero() {
		return time.Now()
	}
	return c.fixed
}

// Set stops the clock at t. It never goes back while it stands: an earlier t changes nothing.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.fixed) {
		c.fixed = t
	}
}

// Release lets the clock show the real time.
func (c *Clock) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fixed = time.Time{}
}
