package channel

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

// ErrUnauthentic means that a request does not come from the provider. The caller answers 401 and keeps nothing.
var ErrUnauthentic = errors.New("signature does not match")

// ErrNotYet means that nobody can tell yet whether a request comes from the provider (its keys are not known so far).
// The caller answers 503 and keeps nothing, so that it comes again.
var ErrNotYet = errors.New("it cannot be told yet whether this is authentic")

// EventType says what happened at the provider.
type EventType string

// Event types.
const (
	MessageEvent  EventType = "message"  // the customer said something
	StatusEvent   EventType = "status"   // the fate of something we sent
	ChoiceEvent   EventType = "choice"   // the customer pressed a native button
	ReactionEvent EventType = "reaction" // the customer reacted to a message
	EditEvent     EventType = "edit"     // the customer changed a message
	DeleteEvent   EventType = "delete"   // the customer took a message back
	TypingEvent   EventType = "typing"   // the customer is typing; never stored
	ReadEvent     EventType = "read"     // the customer has read up to Ref
	StartEvent    EventType = "start"    // the customer opened the conversation, perhaps with a deep-link token
	OptOutEvent   EventType = "opt_out"  // the customer wants nothing more on this address
	MovedEvent    EventType = "moved"    // the customer is now reached under Sender.Value; Sender.Also has the old address
	UnparsedEvent EventType = "unparsed" // one event of a batch that could not be understood; Error says why
)

// Event is one thing that happened, in our words. It is stored as JSON before anything is done about it.
type Event struct {
	// Key is unique per channel and event: "msg:<id>", "status:<id>:<state>", "edit:<id>:<version>". Without an
	// id of the provider's use HashKey.
	Key  string    `json:"key"`
	Type EventType `json:"type"`
	// Account is the provider's name of the account (phone number id, page, team) if the event names one.
	Account string `json:"account,omitempty"`
	// Sender is the address that acted. For a status it is the address that we wrote to, if known.
	Sender Address `json:"sender"`
	// At is the provider's time of the event; zero means unknown (the time of receipt is used).
	At time.Time `json:"at,omitzero"`

	Message  *Message `json:"message,omitempty"`  // MessageEvent, EditEvent (the new content)
	Status   *Status  `json:"status,omitempty"`   // StatusEvent
	Choice   *Choice  `json:"choice,omitempty"`   // ChoiceEvent
	Reaction string   `json:"reaction,omitempty"` // ReactionEvent: the emoji, "" = taken back
	Ref      string   `json:"ref,omitempty"`      // external id of the message that this is about
	// Upto, in a ReadEvent without Ref, means that everything sent to Sender until then has been read.
	Upto  time.Time `json:"upto,omitzero"`
	Token string    `json:"token,omitempty"` // StartEvent: what the deep link carried
	Error string    `json:"error,omitempty"` // UnparsedEvent: why
	Raw   RawNumber `json:"raw,omitempty"`   // UnparsedEvent: the event's own bytes, if they can be cut out
}

// RawNumber is raw JSON kept as it came; ids in it are never turned into floats.
type RawNumber = json.RawMessage

// Address is one way to reach a person, as the provider names it.
type Address struct {
	Value     string    `json:"value"`               // e-mail address (lower-case domain), chat id, E.164 …
	Name      string    `json:"name,omitempty"`      // as the sender calls itself; never trusted
	Language  string    `json:"language,omitempty"`  // BCP 47, if the provider tells
	Assurance Assurance `json:"assurance,omitempty"` // "" = claimed
	// Also are further addresses under which the provider itself knows this very account (WhatsApp: phone number and
	// business-scoped id). They lead to the same customer.
	Also []string `json:"also,omitempty"`
}

// Message is what somebody said.
type Message struct {
	ExternalID string `json:"external_id"`       // the provider's id; unique per channel and address
	Subject    string `json:"subject,omitempty"` //
	Text       string `json:"text,omitempty"`    // plain text, always filled if there is any text at all
	HTML       string `json:"html,omitempty"`    // as sent, not sanitised
	// QuotedFrom is the byte offset in Text from which on earlier messages are quoted, for display only; 0 = none.
	QuotedFrom int       `json:"quoted_from,omitempty"`
	ReplyTo    string    `json:"reply_to,omitempty"`    // external id of the message that it quotes or answers
	References []string  `json:"references,omitempty"`  // RFC 5322 §3.6.4, oldest first
	ReplyToken string    `json:"reply_token,omitempty"` // the secret part of the reply address that was used
	From       []Mailbox `json:"from,omitempty"`        // e-mail header fields, decoded
	To         []Mailbox `json:"to,omitempty"`
	Cc         []Mailbox `json:"cc,omitempty"`
	// AnswerTo is where the writer wants answers, if that is not From (RFC 5322 §3.6.2, Reply-To): web forms write
	// from their own address. It is a claim like any other.
	AnswerTo []Mailbox `json:"answer_to,omitempty"`
	// Automatic means that a machine wrote this (RFC 3834, bounces, lists): it never gets an automatic answer.
	Automatic bool `json:"automatic,omitempty"`
	// Category is a hint that this is no customer's concern: "newsletter", "notice" (about a delivery), "spam", or "".
	Category    string       `json:"category,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	// Unsupported names a message type that we cannot show ("sticker pack"); Text may then be empty.
	Unsupported string `json:"unsupported,omitempty"`
}

// Mailbox is a name and an e-mail address.
type Mailbox struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Attachment is a file that came with a message. Exactly one of Part and Remote is set.
type Attachment struct {
	Name      string `json:"name"`                 // as sent; cleaned before it is shown
	MediaType string `json:"media_type"`           // as sent; never trusted
	Size      int64  `json:"size,omitempty"`       // bytes, 0 = unknown
	ContentID string `json:"content_id,omitempty"` // RFC 2392, without angle brackets
	Inline    bool   `json:"inline,omitempty"`     // shown in the text rather than listed
	Part      string `json:"part,omitempty"`       // path inside Inbound.Raw, see Parts
	Remote    string `json:"remote,omitempty"`     // the provider's name of the file, see Fetcher
}

// State is the fate of a delivery as a provider or the outbox tells it.
type State string

// States of a delivery. Status only moves forward: queued, sending, sent, delivered, read; failed and uncertain
// end the sending, and only uncertain may still be resolved by a later status.
const (
	Queued    State = "queued"
	Sending   State = "sending"
	Sent      State = "sent"
	Delivered State = "delivered"
	Read      State = "read"
	Failed    State = "failed"
	Uncertain State = "uncertain"
)

// Status is what a provider says about something we sent.
type Status struct {
	ExternalID string `json:"external_id,omitempty"` // the provider's id of our message
	DeliveryID string `json:"delivery_id,omitempty"` // our own id, where the provider echoes it
	State      State  `json:"state"`
	Error      string `json:"error,omitempty"` // the provider's words
	Code       string `json:"code,omitempty"`  // the provider's code (e-mail: RFC 3463, "5.1.1"), "" = none given
	Reason     Text   `json:"reason,omitzero"` // why, in plain words, where the driver knows the code
}

// Choice is a pressed native button.
type Choice struct {
	Data  string `json:"data"`            // the payload that we gave the button
	Label string `json:"label,omitempty"` // as the customer saw it
	// Description is a second line under the label, where a native list has one. It never comes back.
	Description string `json:"description,omitempty"`
}

// HashKey makes a Key for an event that has no id of the provider's: a hash over its canonical parts.
func HashKey(prefix string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var n [4]byte
		n[0], n[1], n[2], n[3] = byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return prefix + ":" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}
