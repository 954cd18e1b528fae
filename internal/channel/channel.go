// Package channel says what a channel is: the contract between Rufweite and the media through which customers
// write. It is in charge of the words that every driver shares (Kind, Capabilities, Event, Outgoing, Receipt,
// SendError) and of nothing else: it keeps no state, opens no socket and imports nothing of ours.
//
// A driver is one folder below this one. It verifies and parses what a provider sends (pure functions: bytes in,
// events out), renders and sends what we say, and may listen by itself (long polling, SMTP). Drivers import this
// package and nothing else of ours.
package channel

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Kind names a medium and its provider, such as "email" or "telegram". It is part of URLs and of the database.
type Kind string

// Account is one configured channel: a Kind with its settings, decrypted.
type Account struct {
	ID       string   // the channel's id (UUIDv7), part of its webhook URL
	Org      string   // the organisation it belongs to
	Kind     Kind     // which driver serves it
	Name     string   // as staff call it, e.g. "Servicepostfach"
	Settings Settings // under the provider's own names
}

// Settings are an account's configuration under the provider's own names (see architecture.md, "Setting keys").
type Settings map[string]string

// Or returns the setting, or def where it is not set or empty.
func (s Settings) Or(key, def string) string {
	if v := s[key]; v != "" {
		return v
	}
	return def
}

// Setting describes one key of a driver's Settings: the desk draws its form from it, `channel add` checks with it.
type Setting struct {
	Key      string   `json:"key"`
	Required bool     `json:"required"`
	Secret   bool     `json:"secret"`           // encrypted at rest, never shown again
	Default  string   `json:"default"`          // used when empty; also the form's placeholder
	Values   []string `json:"values,omitempty"` // closed list; empty means free text
	Help     Text     `json:"help"`             // one short sentence: what it is and where to find it
}

// Text is a text in the two languages of the interface.
type Text struct {
	DE string `json:"de"`
	EN string `json:"en"`
}

// In returns the text in the language (a BCP 47 tag; German for "de…", otherwise English).
func (t Text) In(language string) string {
	if len(language) >= 2 && language[:2] == "de" {
		return t.DE
	}
	return t.EN
}

// Unit is how a provider counts the length of a text.
type Unit string

// Units of length.
const (
	CodePoints Unit = "code_points"
	UTF16      Unit = "utf16" // UTF-16 code units (Telegram, LINE)
	Bytes      Unit = "bytes" // bytes of UTF-8 (Instagram)
)

// Capabilities is what a medium can carry, as data: what we say is rendered from it, and the composer shows it.
// A zero number means "no limit known"; a zero bool means "cannot".
type Capabilities struct {
	TextMax        int   `json:"text_max"`         // longest text of one message; longer ones are split at word bounds
	TextUnit       Unit  `json:"text_unit"`        // how TextMax, CaptionMax count
	CaptionMax     int   `json:"caption_max"`      // longest text beside an attachment
	HTML           bool  `json:"html"`             // carries HTML beside plain text
	Subject        bool  `json:"subject"`          // carries a subject line
	Copies         bool  `json:"copies"`           // carries Cc and Bcc
	Attachments    bool  `json:"attachments"`      // carries files
	AttachmentMax  int64 `json:"attachment_max"`   // largest file, in bytes
	Quote          bool  `json:"quote"`            // can refer to the very message that it answers
	Edits          bool  `json:"edits"`            // customers can edit what they wrote
	Buttons        int   `json:"buttons"`          // native choices in one message
	ButtonTitleMax int   `json:"button_title_max"` // in code points
	ButtonDataMax  int   `json:"button_data_max"`  // payload that comes back, in bytes
	// ChoiceTextMax is the longest text of a message that carries native choices, counted in TextUnit; 0 = TextMax.
	ChoiceTextMax int `json:"choice_text_max"`
	// ListRows is how many rows a native list has (opened by one button, Outgoing.Menu); 0 = there is none.
	ListRows           int           `json:"list_rows"`
	ListTitleMax       int           `json:"list_title_max"`       // title of a row, in code points
	ListDescriptionMax int           `json:"list_description_max"` // second line of a row, in code points; 0 = rows have none
	Forms              bool          `json:"forms"`                // native fields: dates, numbers, many of many, files, signature
	Upload             bool          `json:"upload"`               // customers can send files
	Links              bool          `json:"links"`                // an address of a page in a text can be followed
	Spoken             bool          `json:"spoken"`               // text is spoken; choices are keys of a telephone, "0" a person
	Paper              bool          `json:"paper"`                // printed: boxes to tick, a reply code, a QR code
	OneWay             bool          `json:"one_way"`              // nothing can be answered on this very medium (a push): never alone
	Templates          bool          `json:"templates"`            // outside Window only approved templates may be sent
	Typing             bool          `json:"typing"`               // shows that somebody is typing
	Delivered          bool          `json:"delivered"`            // reports delivery
	Read               bool          `json:"read"`                 // reports reading
	Window             time.Duration `json:"window"`               // free-form replies end so long after the customer's last message; 0 = never
	StaffWindow        time.Duration `json:"staff_window"`         // the same for what a person wrote, where it is longer; 0 = Window
	WriteFirst         bool          `json:"write_first"`          // the company may write to an address that never wrote to it
	Idempotent         bool          `json:"idempotent"`           // the provider refuses a second send with the same key
}

// Assurance is how sure we are that an address belongs to the person who uses it.
type Assurance string

// Assurances, from weak to strong.
const (
	Claimed  Assurance = "claimed"  // somebody says so (a From line, a typed name, a caller's number)
	Observed Assurance = "observed" // the channel's provider vouches for it, or it received something of ours
	Verified Assurance = "verified" // proved by code, login or hand-over link
)

// Stronger reports whether a is stronger than b.
func (a Assurance) Stronger(b Assurance) bool { return rank(a) > rank(b) }

func rank(a Assurance) int {
	switch a {
	case Verified:
		return 2
	case Observed:
		return 1
	default:
		return 0
	}
}

// Driver serves one Kind. It is stateless: everything it needs comes in with the call.
// A driver implements Webhook, Listener, Sender … for what its medium can do.
type Driver interface {
	Kind() Kind
	Title() Text // the medium's name for people, e.g. "E-Mail"
	Capabilities() Capabilities
	Settings() []Setting
	// Check looks at the syntax of settings only; it never asks the network. Its error says what to do.
	Check(Settings) error
}

// Webhook is a driver to whose URL /in/{kind}/{id}[/…] the provider sends.
type Webhook interface {
	// Verify checks the request's signature over the bytes that the scheme signs, in constant time.
	// It returns ErrUnauthentic (answered 401) or nil. now is for schemes with a timestamp.
	Verify(a Account, r *Request, now time.Time) error
	// Parse turns a verified request into events and the answer that the provider expects. It is pure: no
	// network, no clock. One bad event in a batch becomes an Event of type Unparsed, the others are kept.
	// An error means that nothing could be understood: the raw body becomes a visible work item.
	Parse(a Account, r *Request) ([]Event, Reply, error)
}

// Request is an inbound HTTP request with its whole body, as it came over the wire.
type Request struct {
	Method string
	Path   string      // what follows /in/{kind}/{id}, "" or beginning with "/"
	Query  url.Values  // parsed query
	Header http.Header // as received
	Body   []byte      // raw bytes
	URLs   []string    // the full URLs under which the provider may have signed (public URL first)
	At     time.Time   // when it was received
	Remote string      // the sender's IP address, behind trusted proxies the one that they name; "" = not known
}

// Reply is what the provider gets back once the events are stored. The zero value is 200 with an empty body.
type Reply struct {
	Status int
	Type   string // Content-Type
	Body   []byte
}

// Sink takes what a listening driver found and returns once it is durable (committed with fsync). An error means
// that nothing was kept: the driver must not acknowledge, so that it comes again.
type Sink func(ctx context.Context, in Inbound) error

// Inbound is one thing a driver received, for one account.
type Inbound struct {
	Raw    []byte  // as it came over the wire; kept for work items and for parts (see Parts)
	Type   string  // media type of Raw: "application/json", "message/rfc822"
	Events []Event // what it means; empty and Err set: could not be parsed, becomes a work item
	Err    string  // why it could not be parsed
	Cursor string  // where to go on after this one; committed together with the events; "" keeps the old one
}

// Listener is a driver that fetches by itself (long polling, a socket). Listen runs until ctx ends or the account
// cannot be served (it then returns an error with a remedy, see Trouble); the caller restarts it with back-off.
type Listener interface {
	Listen(ctx context.Context, a Account, cursor string, env Env, sink Sink) error
}

// Sender is a driver that can send.
type Sender interface {
	// Send hands one message to the provider. A nil error means accepted. A *SendError says what may be done;
	// any other error is treated as uncertain, because the provider may have accepted before it failed.
	Send(ctx context.Context, a Account, out Outgoing, env Env) (Receipt, error)
}

// Identifier is a Sender that knows a message's external id before the first byte is sent (e-mail: Message-ID).
// The id is committed before the send, so that an answer finds its conversation even after a crash.
type Identifier interface {
	ExternalID(a Account, out Outgoing) string
}

// Parts is a driver whose attachments lie inside Inbound.Raw (e-mail).
type Parts interface {
	// OpenPart returns the decoded content of the part named by Attachment.Part.
	OpenPart(raw []byte, part string) (io.Reader, error)
}

// PartsOpener is a Parts that takes a raw body apart once for all of its parts: cheaper where a message has many.
type PartsOpener interface {
	// OpenParts returns a function like OpenPart for this raw body; it is not for concurrent use.
	OpenParts(raw []byte) func(part string) (io.Reader, error)
}

// Fetcher is a driver whose attachments lie at the provider (Telegram). Called after the acknowledgement, with a
// budget, again when it failed for a while.
type Fetcher interface {
	// FetchMedia opens the file named by Attachment.Remote. A *SendError with Class Permanent ends the attempts.
	FetchMedia(ctx context.Context, a Account, remote string, env Env) (io.ReadCloser, error)
}

// Prober is a driver that can ask its provider whether the account works. It changes nothing there, except that
// it may register our webhook URL where the provider needs that. Errors are *Trouble where there is a remedy.
type Prober interface {
	Probe(ctx context.Context, a Account, env Env) error
}

// Doer sends HTTP requests; the guarded client of package fetch is one.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Dialer opens TCP connections under the same guard (SMTP submission, IMAP).
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (Conn, error)
}

// Resolver asks the DNS; *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Env is what a driver may use of the world. Clock and network come in, so that tests can stand in for them.
type Env struct {
	HTTP       Doer
	Dial       Dialer
	Now        func() time.Time
	Log        *slog.Logger // no personal data at info level
	DNS        Resolver     // for assessors; nil where there is none
	WebhookURL string       // the public URL of this account's webhook, "" if no public URL is known
	Hostname   string       // how this server calls itself (EHLO, Message-ID fall-back)

	// Next waits until one more request to the provider fits into the account's pace (Paced), for messages that need
	// several; nil = there is no pace to keep. The first request of a Send has waited already.
	Next func(ctx context.Context) error

	// SaveSetting, if not nil, keeps a setting that the provider renewed (an OAuth refresh token), if replaces says so of
	// the stored value: what a person entered meanwhile stays, which is no error. It returns once that is durable.
	SaveSetting func(ctx context.Context, key, value string, replaces func(stored string) bool) error
}

// Trouble is an error about an account that a person can mend: shown at the red channel.
type Trouble struct {
	Reason Text // what is wrong, in plain words
	Remedy Text // what to do
	Err    error
}

// Error implements error.
func (t *Trouble) Error() string {
	if t.Err != nil {
		return t.Reason.EN + ": " + t.Err.Error()
	}
	return t.Reason.EN
}

// Unwrap gives the cause.
func (t *Trouble) Unwrap() error { return t.Err }

// Paced is a Sender whose provider limits how fast one may send. Zero means no limit.
type Paced interface {
	// Pace is the least time between two messages of one account, and between two to the same address.
	Pace() (perAccount, perAddress time.Duration)
}

// PacedBySettings is a Sender whose provider's limits are part of the settings: agreed in a contract, or said of a
// provider that we know nothing of. It takes the place of Paced.
type PacedBySettings interface {
	// PaceOf is Pace for an account with these settings.
	PaceOf(Settings) (perAccount, perAddress time.Duration)
}

// Lender is a Paced sender whose provider lends messages to one address: up to Burst of them may go within one span of
// perAddress; then nothing more goes until the span has passed for each of them.
type Lender interface{ Burst() int }

// Owner is a driver whose provider sends events of several accounts to one webhook (one app with several numbers or pages).
type Owner interface {
	// Owns is how the provider names the account that these settings are for (Event.Account), "" if they do not tell.
	Owns(Settings) string
}

// Reparser is a listening driver that can read again what it once handed to a Sink (a work item that is retried
// after an upgrade). Webhook drivers need not be one: Parse does it.
type Reparser interface {
	Reparse(a Account, raw []byte) ([]Event, error)
}

// Configured is a driver whose media differ by account: what it can carry is part of the settings.
type Configured interface {
	// CapabilitiesOf is Capabilities for an account with these settings; what they do not say is as in Capabilities.
	CapabilitiesOf(Settings) Capabilities
}

// Settled is a Sender that can only send with certain settings (e-mail without a server to submit to receives only).
type Settled interface {
	// CanSend tells whether an account with these settings can send; why not says what to do.
	CanSend(Settings) (ok bool, whyNot Text)
}

// Assessor is a driver that can tell after the acknowledgement, by asking the network, how sure it is who sent
// something (e-mail: SPF, DKIM, DMARC). raw is Inbound.Raw, e an event of it. ctx bounds what it may cost. An error means
// that it could not be told at all and never can; a temporary failure is an Assessment with Temporary set.
type Assessor interface {
	Assess(ctx context.Context, a Account, raw []byte, e Event, env Env) (Assessment, error)
}

// Assessment says how sure it is that a message comes from the address that it names.
type Assessment struct {
	Assurance Assurance `json:"assurance"`        // Observed if Result is "pass", otherwise Claimed
	Result    string    `json:"result"`           // "pass", "fail", "none" (its domain says nothing) or "temperror"
	SPF       string    `json:"spf,omitempty"`    // RFC 8601 §2.7.2: "pass", "fail", "softfail", "neutral", "none" …
	DKIM      string    `json:"dkim,omitempty"`   // RFC 8601 §2.7.1: "pass", "fail", "none", "permerror", "temperror"
	DMARC     string    `json:"dmarc,omitempty"`  // RFC 8601 §2.7.10 (RFC 7489): "pass", "fail", "none", "permerror", "temperror"
	Domain    string    `json:"domain,omitempty"` // the domain that was judged, in ASCII
	Policy    string    `json:"policy,omitempty"` // what that domain wants done with failures: "none", "quarantine", "reject"
	Temporary bool      `json:"-"`                // something did not answer: ask again later
}
