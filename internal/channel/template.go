package channel

import (
	"context"
	"strconv"
	"strings"
)

// TemplateStatus is what the provider says of a template.
type TemplateStatus string

// States of a template's approval.
const (
	Approved TemplateStatus = "approved"
	Pending  TemplateStatus = "pending"
	Rejected TemplateStatus = "rejected"
	Paused   TemplateStatus = "paused" // for a while, or for good, because customers did not like it
)

// Template is a text that a provider has approved, or not yet, for writing outside the window (Capabilities.Templates).
type Template struct {
	Name     string         `json:"name"`
	Language string         `json:"language"` // BCP 47
	Category string         `json:"category"` // the provider's own word: "UTILITY", "MARKETING", "AUTHENTICATION"
	Status   TemplateStatus `json:"status"`
	Why      string         `json:"why,omitempty"` // why it was rejected, in the provider's words
	Header   string         `json:"header,omitempty"`
	Body     string         `json:"body"` // with {{1}}, {{2}} … for its parameters
	Footer   string         `json:"footer,omitempty"`
	Buttons  []string       `json:"buttons,omitempty"` // quick replies, by label
	Params   int            `json:"params"`            // how many parameters the body has
	// Unfit says why it cannot be sent from here though it is approved: a header with a picture, say. "" = it can.
	Unfit string `json:"unfit,omitempty"`
}

// Text is the template's text with the parameters in their places; missing ones stay as {{n}}.
func (t Template) Text(params []string) string {
	pairs := make([]string, 0, 2*len(params))
	for i, p := range params {
		pairs = append(pairs, "{{"+strconv.Itoa(i+1)+"}}", p)
	}
	body := strings.NewReplacer(pairs...).Replace(t.Body)
	if t.Footer != "" {
		body += "\n\n" + t.Footer
	}
	if t.Header != "" {
		body = t.Header + "\n\n" + body
	}
	return body
}

// TemplateUse is an approved template with what stands in its places. A message with one is sent as that template, and
// its Text says what the customer reads.
type TemplateUse struct {
	Name     string   `json:"name"`
	Language string   `json:"language"`
	Params   []string `json:"params,omitempty"`  // of the body, in order
	Buttons  []string `json:"buttons,omitempty"` // payloads of its quick replies, in order
}

// Templater is a driver whose provider approves templates.
type Templater interface {
	// Templates asks the provider for the account's templates, all of them, whatever their state.
	Templates(ctx context.Context, a Account, env Env) ([]Template, error)
}

// Opening is how a customer comes to a chat by a link.
type Opening struct {
	// Token comes back in StartEvent.Token where the medium carries one in its link (1 to 64 of A-Z a-z 0-9 _ -).
	Token string
	// Text is what the customer finds already written where the medium can do that; it holds the token in words.
	Text string
}

// Linker is a driver that knows a link by which anybody opens a chat with the account.
type Linker interface {
	// Link is the address, such as https://t.me/BOT?start=TOKEN, "" where the settings do not tell (the company's number or
	// name is missing). carries says what of the opening comes back by itself: Carried* values.
	Link(a Account, o Opening) (link string, carries Carriage)
}

// Carriage says what of an Opening a link carries.
type Carriage string

// Carriages.
const (
	CarriesNothing Carriage = ""      // the customer has to type the code
	CarriesText    Carriage = "text"  // the text is already written; the customer has to send it
	CarriesToken   Carriage = "token" // the token comes back in a StartEvent as soon as the customer opens the chat
)
