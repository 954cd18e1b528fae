// Package viber is in charge of one medium: a Viber bot. It verifies and parses what the REST Bot API calls back with,
// sends text with keyboards, and fetches files. The facts are those of https://developers.viber.com/docs/api/rest-bot-api/
// (cited below as "REST Bot API"), https://developers.viber.com/docs/tools/keyboards/ ("Keyboards") and
// https://creators.viber.com/docs/bots-api/ ("Bots API").
//
// It keeps no state. Messages, order, retries and deduplication are the caller's.
package viber

import (
	_ "embed"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "viber"

const defaultAPI = "https://chatapi.viber.com"

// Limits of the REST Bot API.
const (
	textMax       = 7000 // "Text message"
	choiceTextMax = 2000 // ours: text and keyboard share the 30 KB of a request ("Send a Message")
	buttonMax     = 24   // two in each of 12 rows; more is not shown in portrait mode ("FAQ")
	rowMax        = 12
	titleMax      = 30  // ours: "Keyboards" takes 250 characters and cuts off what does not fit onto the button
	dataMax       = 250 // ours: ActionBody has no published limit
	senderMax     = 28  // "Send a Message": sender.name
	downloadMax   = 100 << 20
)

// Driver serves Viber bots. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "Viber", EN: "Viber"} }

//go:embed README.md
var guide string

// Guide is the page about setting the channel up.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. Viber fetches files from a public address that the message names and takes
// none by upload; the house gives none out, so there are no Attachments.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:        textMax,
		TextUnit:       channel.CodePoints,
		Buttons:        buttonMax,
		ButtonTitleMax: titleMax,
		ButtonDataMax:  dataMax,
		ChoiceTextMax:  choiceTextMax,
		Upload:         true,
		Links:          true,
		Delivered:      true,
		Read:           true,
	}
}

// Pace is 500 requests in ten seconds, the only rate of an account that is published ("Broadcast Messaging"). To one
// person 100 messages an hour are allowed without an answer ("Send a Message"), which is no pace: conversations come in
// bursts.
func (Driver) Pace() (perAccount, perAddress time.Duration) { return 20 * time.Millisecond, 0 }

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "auth_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Token des Bots (Viber → Mehr → Einstellungen → Bots → Info bearbeiten → App-Key). Zum Wechseln: neu,alt.",
			EN: "The bot's token (Viber → More → Settings → Bots → Edit info → Your app key). To rotate: new,old.",
		}},
		{Key: "uri", Help: channel.Text{
			DE: "Name des Bots in Adressen, für Links; leer = wird bei Viber erfragt.",
			EN: "The bot's name in addresses, for links; empty = Viber is asked for it.",
		}},
		{Key: "api_url", Default: defaultAPI, Help: channel.Text{
			DE: "Adresse der Schnittstelle; nur für einen Proxy zu ändern.",
			EN: "Address of the API; change it only for a proxy.",
		}},
	}
}

var (
	tokenForm = regexp.MustCompile(`^[A-Za-z0-9_=+/-]{8,200}$`)
	uriForm   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if err := channel.CheckRotation("auth_token", s["auth_token"]); err != nil {
		return err
	}
	for _, token := range channel.Rotation(s["auth_token"]) {
		if !tokenForm.MatchString(token) {
			return fmt.Errorf("auth_token has characters that no token has, or is too short: copy it again from Viber (Edit info → Your app key)")
		}
	}
	if uri := s["uri"]; uri != "" && !uriForm.MatchString(uri) {
		return fmt.Errorf("uri %q is no name: give only what follows chatURI= in the bot's link", uri)
	}
	return channel.CheckURL("api_url", s["api_url"], defaultAPI)
}

// Link implements channel.Linker ("Deep links"): the context comes back in conversation_started.
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	uri := a.Settings["uri"]
	if uri == "" {
		return "", channel.CarriesNothing
	}
	link := "viber://pa?chatURI=" + url.QueryEscape(uri)
	switch {
	case o.Token != "":
		return link + "&context=" + url.QueryEscape(o.Token), channel.CarriesToken
	case o.Text != "":
		return link + "&text=" + url.PathEscape(o.Text), channel.CarriesText
	}
	return link, channel.CarriesNothing
}

// token is the one that we send with: the first of a rotation.
func token(a channel.Account) string {
	if list := channel.Rotation(a.Settings["auth_token"]); len(list) > 0 {
		return list[0]
	}
	return ""
}

var (
	_ channel.Driver  = Driver{}
	_ channel.Webhook = Driver{}
	_ channel.Sender  = Driver{}
	_ channel.Fetcher = Driver{}
	_ channel.Prober  = Driver{}
	_ channel.Paced   = Driver{}
	_ channel.Linker  = Driver{}
)
