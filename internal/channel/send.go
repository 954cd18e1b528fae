package channel

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"
)

// Conn is a network connection; an alias, so that Dialer reads without package net.
type Conn = net.Conn

// Author is who wrote an outbound message; some providers' windows depend on it.
type Author string

// Authors.
const (
	Customer    Author = "customer"
	Staff       Author = "staff"
	Machine     Author = "machine"
	Participant Author = "participant"
)

// Outgoing is one message on its way to one address, ready to be rendered by a driver.
type Outgoing struct {
	// DeliveryID is a UUID, the same on every attempt: the provider's idempotency key where it has one.
	DeliveryID string
	Author     Author
	AuthorName string // the advisor's name as customers see it, "" = the account's name
	To         Address
	Cc, Bcc    []Mailbox
	Subject    string
	Text       string
	HTML       string // "" = text only
	// ReplyTo is the external id of the message that this one answers or quotes; References the ones before it,
	// oldest first.
	ReplyTo    string
	References []string
	ReplyToken string // put into the reply address where the medium has one
	// Automatic marks an answer that no person wrote (RFC 3834: Auto-Submitted).
	Automatic   bool
	Attachments []File
	// Choices are native buttons under the message, at most Capabilities.Buttons of them; the driver of a medium
	// without buttons ignores them, since the text then names the options.
	Choices []Choice
	// Menu, if not "", makes Choices rows of a native list that a button with this label opens (Capabilities.ListRows).
	Menu string
	// Form is what a medium with native fields asks for (Capabilities.Forms): the ask as JSON (package ask, View). Other
	// drivers ignore it, since the text then says everything.
	Form json.RawMessage
	// Template, if not nil, is sent instead of Text, which then says the same in words (Capabilities.Templates).
	Template *TemplateUse
	At       time.Time // when it was written
}

// File is an attachment of an outbound message.
type File struct {
	Name      string
	MediaType string
	Size      int64
	Open      func() (io.ReadCloser, error)
}

// Receipt is what the provider said when it accepted.
type Receipt struct {
	ExternalID string   // the provider's id of the (first) message
	Parts      []string // further ids when the text was split into several messages
	State      State    // "" = Sent
}

// Class says what may be done about a failed send.
type Class string

// Classes of SendError.
const (
	Temporary    Class = "temporary"     // nothing was accepted; try again after RetryAfter or with back-off
	RateLimited  Class = "rate_limited"  // nothing was accepted; wait RetryAfter; does not count as an attempt
	Permanent    Class = "permanent"     // will never work like this
	Blocked      Class = "blocked"       // the customer has blocked us or left
	WindowClosed Class = "window_closed" // free-form replies are not allowed now
	NotHere      Class = "not_here"      // this address does not exist on this channel
	Misconfig    Class = "misconfigured" // the account's settings are wrong; retried slowly, the channel turns red
	Unknown      Class = "uncertain"     // the provider may have accepted: never sent again by itself
)

// SendError is why a send failed and what may be done.
type SendError struct {
	Class      Class
	Code       string        // the provider's code, e.g. "550 5.1.1"
	RetryAfter time.Duration // 0 = as the caller thinks fit
	Reason     Text          // in plain words, for the advisor
	Err        error
	Receipt    *Receipt // what was accepted before it failed (first parts of a split text)
}

// Error implements error.
func (e *SendError) Error() string {
	s := string(e.Class)
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Reason.EN != "" {
		s += ": " + e.Reason.EN
	}
	if e.Err != nil {
		s += fmt.Sprintf(": %v", e.Err)
	}
	return s
}

// Unwrap gives the cause.
func (e *SendError) Unwrap() error { return e.Err }

// DialFunc makes a Dialer of a function.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// DialContext implements Dialer.
func (f DialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}
