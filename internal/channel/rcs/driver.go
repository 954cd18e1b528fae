// Package rcs is in charge of one medium: an RCS agent at Google's platform (RCS for Business, once RBM), which customers
// meet in the message app of their phone. It verifies and parses what the platform's webhook delivers, sends texts, files
// and suggestions, and fetches files. The facts are those of
// https://developers.google.com/business-communications/rcs-business-messaging, cited below by the title of the page.
//
// It keeps no state but access tokens, each for as long as Google says. Messages, order, retries and deduplication are the
// caller's.
package rcs

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "rcs"

// DefaultURL is the platform's endpoint in the European Union ("Regional API endpoints").
const DefaultURL = "https://europe-rcsbusinessmessaging.googleapis.com"

// Limits of the platform ("phones.agentMessages").
const (
	textMax     = 3072
	buttonMax   = 11   // suggestions of one message
	titleMax    = 25   // SuggestedReply.text
	dataMax     = 2048 // SuggestedReply.postbackData
	fileMax     = 100 << 20
	downloadMax = 100 << 20
)

//go:embed README.md
var guide string

// Driver serves RCS agents. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "RCS", EN: "RCS"} }

// Guide is the page that explains the set-up.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. A file has no caption of its own; a message cannot quote another one.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:        textMax,
		TextUnit:       channel.CodePoints,
		Attachments:    true,
		AttachmentMax:  fileMax,
		Buttons:        buttonMax,
		ButtonTitleMax: titleMax,
		ButtonDataMax:  dataMax,
		Upload:         true,
		Links:          true,
		Delivered:      true,
		Read:           true,
		WriteFirst:     true,
		Idempotent:     true, // "phones.agentMessages.create": a message with an id that was used before is ignored
	}
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "agent_id", Required: true, Help: channel.Text{
			DE: "Kennung des Agenten, wie sie in der Developer Console unter „Agent information“ steht.",
			EN: "The agent's id as the Developer Console shows it under “Agent information”.",
		}},
		{Key: "client_token", Required: true, Secret: true, Help: channel.Text{
			DE: "clientToken des Webhooks (Integrations → Webhook → Configure). Zum Wechseln: neu,alt.",
			EN: "The webhook's clientToken (Integrations → Webhook → Configure). To rotate: new,old.",
		}},
		{Key: "service_account", Required: true, Secret: true, Help: channel.Text{
			DE: "Inhalt der JSON-Schlüsseldatei des Dienstkontos (Service account → Create key).",
			EN: "Content of the service account's JSON key file (Service account → Create key).",
		}},
		{Key: "phone_number", Help: channel.Text{
			DE: "Rufnummer des Agenten für Links (+49…); Geräte ohne RCS schreiben ihr eine SMS. Leer = Link ohne Nummer.",
			EN: "The agent's number for links (+49…); phones without RCS send a text message to it. Empty = a link without a number.",
		}},
		{Key: "api_url", Default: DefaultURL, Help: channel.Text{
			DE: "Adresse der Schnittstelle, je nach Region des Agenten (us-…, europe-…, asia-rcsbusinessmessaging.googleapis.com).",
			EN: "Address of the API, by the agent's region (us-…, europe-…, asia-rcsbusinessmessaging.googleapis.com).",
		}},
	}
}

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if !agentForm.MatchString(s["agent_id"]) {
		return errors.New("agent_id has characters that no agent's id has: copy it again from the Developer Console")
	}
	if err := channel.CheckRotation("client_token", s["client_token"]); err != nil {
		return err
	}
	if _, err := readAccount(s["service_account"]); err != nil {
		return fmt.Errorf("service_account: %w", err)
	}
	if n := s["phone_number"]; n != "" && !numberForm.MatchString(n) {
		return fmt.Errorf("phone_number %q is none in international form: it looks like +4930123456", n)
	}
	return channel.CheckURL("api_url", s["api_url"], DefaultURL)
}

var (
	agentForm  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}(@rbm\.goog)?$`)
	numberForm = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
)

// agentID is the agent's id as the API takes it; the Console shows it with its domain here and there.
func agentID(a channel.Account) string {
	return strings.TrimSuffix(a.Settings["agent_id"], "@rbm.goog")
}

// Link implements channel.Linker ("Start conversations from SMS deep links", both formats of GSMA RCC.07 §3.6.3.4).
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	id := agentID(a)
	if id == "" {
		return "", channel.CarriesNothing
	}
	service := url.QueryEscape(id + "@rbm.goog")
	body := strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20")
	number := a.Settings["phone_number"]
	switch {
	case number != "" && body != "":
		return "sms:" + number + "?service_id=" + service + "&body=" + body, channel.CarriesText
	case number != "":
		return "sms:" + number + "?service_id=" + service, channel.CarriesNothing
	case body != "":
		return "sms:" + service + "?body=" + body, channel.CarriesText
	default:
		return "sms:" + service, channel.CarriesNothing
	}
}

var (
	_ channel.Driver     = Driver{}
	_ channel.Webhook    = Driver{}
	_ channel.Sender     = Driver{}
	_ channel.Identifier = Driver{}
	_ channel.Fetcher    = Driver{}
	_ channel.Prober     = Driver{}
	_ channel.Linker     = Driver{}
)
