// Package whatsappsim is a WhatsApp Cloud API to test against: one business number, its templates and files, and customers
// with the app in hand. It is in charge of being no kinder than the real one
// (https://developers.facebook.com/documentation/business-messaging/whatsapp): limits, rates, the 24-hour window, template
// states, error codes, signed webhooks that come again and out of order, customers who change their number or show none.
package whatsappsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Options describe the number and how strict the server is.
type Options struct {
	PhoneNumberID      string // "" = 106540352242922
	BusinessAccountID  string // "" = 102290129340398
	DisplayPhoneNumber string // "" = +49 30 1234567
	AccessToken        string // "" = DefaultToken
	AppSecret          string // "" = DefaultSecret
	VerifyToken        string // "" = "rufweite"
	// Now is the clock of window, rates and timestamps; nil = time.Now.
	Now func() time.Time
	// PerSecond is the number's throughput; 0 = 80, below 0 no limit.
	PerSecond float64
	// PairEvery is the pace of messages to one customer, who lends up to PairBurst of them; 0 = 6 s and 45, below 0 no limit.
	PairEvery time.Duration
	PairBurst int
	// Window is how long free text is allowed after the customer's last message; 0 = 24 h, below 0 always.
	Window time.Duration
	// LateErrors answers 131047 and 131026 with an acceptance and a status "failed" afterwards, as the platform does at times.
	LateErrors bool
	// Hidden says which customers have a username and no number that businesses see; nil = nobody.
	Hidden func(name string) bool
	// Welcome reports that a customer opened the chat for the first time (request_welcome).
	Welcome bool
	// Templates of the account; nil = DefaultTemplates.
	Templates []Template
	// Retry are the pauses between the attempts of a webhook; see channelsim.Hook.
	Retry []time.Duration
	// Client sends webhooks; nil = a plain HTTP client.
	Client channelsim.Doer
}

// What a Sim has without Options; they look like real ones and are none.
const (
	DefaultToken  = "EAAJB5JmZAKx0BO4sim0000000000000000000000000000000000ZD"
	DefaultSecret = "3f2a9c4b5d6e7f8091a2b3c4d5e6f708"
)

// Template is a message template in some state.
type Template struct {
	Name, Language string // language as the API has it: de, en_US
	Category       string // UTILITY, MARKETING, AUTHENTICATION
	Status         string // APPROVED, PENDING, REJECTED, PAUSED, DISABLED
	Rejected       string // rejected_reason
	HeaderFormat   string // TEXT, IMAGE …; "" = no header
	Header         string
	Body, Footer   string
	QuickReplies   []string
	Link           string // a URL button; {{1}} in it makes it variable
	Named          bool   // parameter_format NAMED
}

// DefaultTemplates are one of each kind.
func DefaultTemplates() []Template {
	return []Template{
		{Name: "rueckmeldung", Language: "de", Category: "UTILITY", Status: "APPROVED",
			Body: "Guten Tag {{1}}, zu Ihrem Anliegen {{2}} gibt es eine Antwort. Möchten Sie sie lesen?", Footer: "Musterhaus", QuickReplies: []string{"Ja, bitte", "Nein"}},
		{Name: "rueckmeldung", Language: "en_US", Category: "UTILITY", Status: "APPROVED", Body: "Hello {{1}}, there is news about {{2}}."},
		{Name: "termin", Language: "de", Category: "UTILITY", Status: "PENDING", Body: "Ihr Termin ist am {{1}}."},
		{Name: "aktion", Language: "de", Category: "MARKETING", Status: "REJECTED", Rejected: "TAG_CONTENT_MISMATCH", Body: "Nur heute!"},
		{Name: "angebot", Language: "de", Category: "MARKETING", Status: "APPROVED", Body: "Unser Angebot für Sie."},
		{Name: "umfrage", Language: "de", Category: "MARKETING", Status: "PAUSED", Body: "Wie zufrieden sind Sie?"},
		{Name: "foto", Language: "de", Category: "UTILITY", Status: "APPROVED", HeaderFormat: "IMAGE", Body: "Ihr Foto."},
		{Name: "verfolgen", Language: "de", Category: "UTILITY", Status: "APPROVED", Body: "Ihr Paket kommt.", Link: "https://www.example.org/{{1}}"},
		{Name: "anrede", Language: "de", Category: "UTILITY", Status: "APPROVED", Named: true, Body: "Guten Tag {{name}}."},
	}
}

// Sim is the server. It is an http.Handler; see New.
type Sim struct {
	channelsim.Base
	Hook channelsim.Hook

	options   Options
	people    map[string]*Customer
	order     []*Customer
	media     map[string]stored
	notProven string
}

type stored struct {
	file channelsim.File
	ours bool // uploaded by the company
}

// New makes a server without customers.
func New(o Options) *Sim {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&o.PhoneNumberID, "106540352242922")
	def(&o.BusinessAccountID, "102290129340398")
	def(&o.DisplayPhoneNumber, "+49 30 1234567")
	def(&o.AccessToken, DefaultToken)
	def(&o.AppSecret, DefaultSecret)
	def(&o.VerifyToken, "rufweite")
	if o.PerSecond == 0 {
		o.PerSecond = 80
	}
	if o.PairEvery == 0 {
		o.PairEvery = 6 * time.Second
	}
	if o.PairBurst == 0 {
		o.PairBurst = 45
	}
	if o.Window == 0 {
		o.Window = 24 * time.Hour
	}
	if o.Templates == nil {
		o.Templates = DefaultTemplates()
	}
	s := &Sim{options: o, people: map[string]*Customer{}, media: map[string]stored{}}
	s.Init(o.Now)
	s.Hook = channelsim.Hook{Base: &s.Base, Sign: s.sign, Retry: o.Retry, Client: o.Client}
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "whatsapp" }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	return channel.Settings{
		"phone_number_id": s.options.PhoneNumberID, "business_account_id": s.options.BusinessAccountID,
		"access_token": s.options.AccessToken, "app_secret": s.options.AppSecret, "verify_token": s.options.VerifyToken,
		"display_phone_number": s.options.DisplayPhoneNumber, "api_url": base,
	}
}

// Secret changes the app's secret, as one does in the app's settings: webhooks are signed with it from now on.
func (s *Sim) Secret(secret string) {
	s.Lock()
	defer s.Unlock()
	s.options.AppSecret = secret
}

func (s *Sim) sign(url string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	s.Lock()
	mac := hmac.New(sha256.New, []byte(s.options.AppSecret))
	s.Unlock()
	mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("User-Agent", "facebookexternalua")
	return r, nil
}

// Connect implements channelsim.Sim. Nothing is delivered before the endpoint has answered the challenge ("Create a webhook
// endpoint"), which is asked again until it does.
func (s *Sim) Connect(hook string) {
	if hook == "" {
		s.Hook.To("")
		return
	}
	s.Work.Go(func() {
		for pause := 20 * time.Millisecond; s.Ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
			problem := s.prove(hook)
			s.Lock()
			s.notProven = problem
			s.Unlock()
			if problem == "" {
				s.Hook.To(hook)
				return
			}
			select {
			case <-time.After(pause):
			case <-s.Ctx.Done():
			}
		}
	})
}

// NotProven says why the endpoint is not connected; "" if it is.
func (s *Sim) NotProven() string {
	s.Lock()
	defer s.Unlock()
	return s.notProven
}

func (s *Sim) prove(hook string) string {
	u, err := url.Parse(hook)
	if err != nil {
		return err.Error()
	}
	q := u.Query()
	q.Set("hub.mode", "subscribe")
	q.Set("hub.challenge", "1158201444")
	s.Lock()
	q.Set("hub.verify_token", s.options.VerifyToken)
	s.Unlock()
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(s.Ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err.Error()
	}
	client := s.options.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if resp.StatusCode != http.StatusOK || string(body) != "1158201444" {
		return fmt.Sprintf("the endpoint answered the challenge with %s %q", resp.Status, body)
	}
	return ""
}

// wamid is a message's id. The caller holds the mutex.
func (s *Sim) wamid(who string) string {
	return "wamid." + base64.StdEncoding.EncodeToString([]byte("\x1c\x18\x0d"+who+"\x15\x02\x00\x12"+strconv.FormatInt(s.Serial(), 10)))
}

func (s *Sim) mediaID() string { return strconv.FormatInt(1_037_543_291_543_000+s.Serial(), 10) }

func (s *Sim) timestamp() string { return strconv.FormatInt(s.Now().Unix(), 10) }

// notify queues a webhook. The caller holds the mutex.
func (s *Sim) notify(key, field string, value map[string]any) {
	value["messaging_product"] = "whatsapp"
	value["metadata"] = map[string]any{"display_phone_number": digits(s.options.DisplayPhoneNumber), "phone_number_id": s.options.PhoneNumberID}
	body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{
		map[string]any{"id": s.options.BusinessAccountID, "changes": []any{map[string]any{"value": value, "field": field}}}}})
	if err != nil {
		panic(err) // of our own values
	}
	s.Hook.Push(key, escape(body))
}

// escape writes JSON as the platform does: "we generate the signature using an escaped unicode version of the payload, with
// lowercase hex digits" (Graph API, Webhooks, "Validate payloads"), and that is what it sends.
func escape(body []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(body) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
	}
	return b.Bytes()
}

// status tells the fate of a message of the company's. Statuses overtake each other ("Status messages webhook reference"),
// so each has a key of its own. The caller holds the mutex.
func (s *Sim) status(c *Customer, ref, callback, state string, failed *failure) {
	st := map[string]any{"id": ref, "status": state, "timestamp": s.timestamp()}
	if !c.Hidden {
		st["recipient_id"] = c.WaID
	}
	value := map[string]any{}
	if failed == nil { // "Business-scoped user IDs": contacts and recipient_user_id are not there for failed ones
		st["recipient_user_id"] = c.UserID
		st["pricing"] = map[string]any{"billable": false, "pricing_model": "PMP", "category": "service", "type": "free_customer_service"}
		value["contacts"] = []any{c.contact()}
	} else {
		if c.Hidden {
			st["recipient_user_id"] = c.UserID
		}
		st["errors"] = []any{failed.webhook()}
	}
	if callback != "" {
		st["biz_opaque_callback_data"] = callback
	}
	value["statuses"] = []any{st}
	s.notify(ref+":"+state, "messages", value)
}

func digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
}

var _ channelsim.Sim = (*Sim)(nil)
