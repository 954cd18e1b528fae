// Package messenger is in charge of two media that share Meta's Messenger Platform: Messenger (a Facebook Page) and
// Instagram (a professional account that is linked to a Page). It verifies and parses what the platform's webhooks
// deliver, sends text, files and quick replies through the Send API, and fetches files. The facts are those of
// https://developers.facebook.com/documentation/business-messaging/, cited below by the title of the page.
//
// It keeps no state. Messages, order, retries and deduplication are the caller's.
package messenger

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kinds of channels that this package serves.
const (
	Kind          channel.Kind = "messenger"
	KindInstagram channel.Kind = "instagram"
)

// defaultAPI is the Graph API; version is the one whose documents this driver follows.
const (
	defaultAPI = "https://graph.facebook.com"
	version    = "v25.0"
)

// Limits of the Send API.
const (
	textMax          = 2000     // "Send API": message.text, in characters
	instagramTextMax = 1000     // "Instagram Messaging, Send a Message": bytes of UTF-8
	quickReplies     = 13       // "Quick replies"
	titleMax         = 20       // "Quick replies": title
	payloadMax       = 1000     // "Quick replies": payload
	fileMax          = 25 << 20 // "Upload media": everything but pictures
	pictureMax       = 8 << 20  // "Upload media": pictures
	downloadMax      = 100 << 20
	window           = 24 * time.Hour // "Messenger Platform policy": standard messaging window
)

// Driver serves Messenger, or Instagram. The zero value serves Messenger.
type Driver struct{ instagram bool }

// New makes the driver for Messenger.
func New() Driver { return Driver{} }

// NewInstagram makes the driver for Instagram.
func NewInstagram() Driver { return Driver{instagram: true} }

// Kind implements channel.Driver.
func (d Driver) Kind() channel.Kind {
	if d.instagram {
		return KindInstagram
	}
	return Kind
}

// Title implements channel.Driver.
func (d Driver) Title() channel.Text {
	if d.instagram {
		return channel.Text{DE: "Instagram", EN: "Instagram"}
	}
	return channel.Text{DE: "Messenger", EN: "Messenger"}
}

//go:embed README.md
var guide string

//go:embed README-instagram.md
var guideInstagram string

// Guide is the page about setting the channel up.
func (d Driver) Guide() string {
	if d.instagram {
		return guideInstagram
	}
	return guide
}

// Capabilities implements channel.Driver. Messenger says up to which moment a customer has read, not which message
// ("message_reads"); Instagram names the message, and says nothing of delivery ("Webhooks for Instagram Messaging").
// Window is the one for everybody; what a person wrote goes through for seven days ("Human agent", see Send).
func (d Driver) Capabilities() channel.Capabilities {
	c := channel.Capabilities{
		TextMax:        textMax,
		TextUnit:       channel.CodePoints,
		Attachments:    true,
		AttachmentMax:  fileMax,
		Quote:          true,
		Edits:          true,
		Buttons:        quickReplies,
		ButtonTitleMax: titleMax,
		ButtonDataMax:  payloadMax,
		Upload:         true,
		Links:          true,
		Delivered:      true,
		Read:           true,
		Window:         window,
		StaffWindow:    7 * 24 * time.Hour,
	}
	if d.instagram {
		c.TextMax, c.TextUnit = instagramTextMax, channel.Bytes
		c.Edits, c.Delivered = false, false
	}
	return c
}

// Owns implements channel.Owner: one app serves several Pages. An Instagram account's own id is no setting.
func (d Driver) Owns(s channel.Settings) string {
	if d.instagram {
		return ""
	}
	return s["page_id"]
}

// Pace is the published limit ("Messenger Platform rate limits"): 300 calls a second for each Page or Instagram account.
// For audio and video it is 10, which a single number cannot say: those that are too fast are refused and sent again.
func (Driver) Pace() (perAccount, perAddress time.Duration) { return time.Second / 300, 0 }

// Settings implements channel.Driver.
func (d Driver) Settings() []channel.Setting {
	list := []channel.Setting{
		{Key: "page_id", Required: true, Help: channel.Text{
			DE: "Nummer der Facebook-Seite (Seite → Info → Seitentransparenz).",
			EN: "Number of the Facebook Page (Page → About → Page transparency).",
		}},
		{Key: "page_access_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Zugriffsschlüssel der Seite, im App-Dashboard unter Messenger → API-Einrichtung erzeugt.",
			EN: "Page access token, made in the App Dashboard under Messenger → API setup.",
		}},
		{Key: "app_secret", Required: true, Secret: true, Help: channel.Text{
			DE: "App-Geheimcode (App-Dashboard → App-Einstellungen → Allgemeines). Zum Wechseln: neu,alt.",
			EN: "App secret (App Dashboard → App settings → Basic). To rotate: new,old.",
		}},
		{Key: "verify_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Von Ihnen ausgedacht; dasselbe tragen Sie im App-Dashboard beim Webhook ein.",
			EN: "Made up by you; enter the same in the App Dashboard at the webhook.",
		}},
		{Key: "api_url", Default: defaultAPI, Help: channel.Text{
			DE: "Adresse der Graph-API; nur für einen Proxy zu ändern.",
			EN: "Address of the Graph API; change it only for a proxy.",
		}},
	}
	if d.instagram {
		list[0].Help = channel.Text{
			DE: "Nummer der Facebook-Seite, mit der das Instagram-Konto verknüpft ist.",
			EN: "Number of the Facebook Page that the Instagram account is linked to.",
		}
		return append(list, channel.Setting{Key: "username", Help: channel.Text{
			DE: "Name des Instagram-Kontos ohne @, für Links (ig.me).",
			EN: "The Instagram account's name without @, for links (ig.me).",
		}})
	}
	return append(list, channel.Setting{Key: "page_username", Help: channel.Text{
		DE: "Name der Seite in Adressen, für Links (m.me); leer = die Nummer.",
		EN: "The Page's name in addresses, for links (m.me); empty = its number.",
	}})
}

var (
	number   = regexp.MustCompile(`^[0-9]{1,32}$`)
	username = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if !number.MatchString(s["page_id"]) {
		return fmt.Errorf("page_id %q is no number: give the Page's number, not its name", s["page_id"])
	}
	if strings.ContainsAny(s["page_access_token"], " ,\"") {
		return errors.New("page_access_token has characters that no token has: copy it again from the App Dashboard")
	}
	for _, key := range []string{"app_secret", "verify_token"} {
		if err := channel.CheckRotation(key, s[key]); err != nil {
			return err
		}
	}
	for _, key := range []string{"username", "page_username"} {
		if v := s[key]; v != "" && !username.MatchString(v) {
			return fmt.Errorf("%s %q is no name in an address: give it without @ and without https://", key, v)
		}
	}
	return channel.CheckURL("api_url", s["api_url"], defaultAPI)
}

// Link implements channel.Linker ("m.me Links", "ig.me Links"). In a chat that is new the token comes with the customer's
// first tap (Get Started, an ice breaker) or message, otherwise at once.
func (d Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	link := "https://m.me/" + url.PathEscape(a.Settings.Or("page_username", a.Settings["page_id"]))
	name := a.Settings["page_id"]
	if d.instagram {
		name = a.Settings["username"]
		link = "https://ig.me/m/" + url.PathEscape(name)
	}
	if name == "" {
		return "", channel.CarriesNothing
	}
	if o.Token == "" {
		return link, channel.CarriesNothing
	}
	return link + "?ref=" + url.QueryEscape(o.Token), channel.CarriesToken
}

var (
	_ channel.Owner   = Driver{}
	_ channel.Driver  = Driver{}
	_ channel.Webhook = Driver{}
	_ channel.Sender  = Driver{}
	_ channel.Fetcher = Driver{}
	_ channel.Prober  = Driver{}
	_ channel.Paced   = Driver{}
	_ channel.Linker  = Driver{}
)
