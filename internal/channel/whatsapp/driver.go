// Package whatsapp is in charge of one medium: a business phone number at Meta's WhatsApp Business Platform (Cloud API).
// It verifies and parses the webhooks, sends text, files, buttons, lists and approved templates, fetches files and lists
// templates. The facts are those of https://developers.facebook.com/documentation/business-messaging/whatsapp, cited
// below by the name of the page.
//
// It keeps no state. Messages, order, retries, deduplication and the decision when a template is needed are the caller's.
package whatsapp

import (
	_ "embed"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "whatsapp"

// Limits of the Cloud API.
const (
	textMax        = 4096      // "Text messages"
	captionMax     = 1024      // "Image messages", "Video messages", "Document messages"
	choiceTextMax  = 1024      // "Interactive reply buttons": body
	buttonMax      = 3         // "Interactive reply buttons"
	buttonTitleMax = 20        // "Interactive reply buttons"
	buttonIDMax    = 256       // "Interactive reply buttons"
	rowMax         = 10        // "Interactive list messages": over all sections
	rowTitleMax    = 24        // "Interactive list messages"
	rowTextMax     = 72        // "Interactive list messages"
	rowIDMax       = 200       // "Interactive list messages"
	menuMax        = 20        // "Interactive list messages": the button that opens it
	imageMax       = 5 << 20   // "Media", supported media types
	streamMax      = 16 << 20  // "Media": audio and video
	documentMax    = 100 << 20 // "Media"
	window         = 24 * time.Hour
)

const (
	defaultURL = "https://graph.facebook.com"
	apiVersion = "v25.0" // used where api_url names no version
)

//go:embed README.md
var guide string

// Driver serves WhatsApp business phone numbers. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "WhatsApp", EN: "WhatsApp"} }

// Guide says how to set the channel up.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. Customers' edits are reported only for numbers that are in the WhatsApp Business
// app, too ("Edit messages webhook reference"), so they are no promise. There is no idempotency key; biz_opaque_callback_data
// comes back in statuses and resolves what is uncertain.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:            textMax,
		TextUnit:           channel.CodePoints,
		CaptionMax:         captionMax,
		Attachments:        true,
		AttachmentMax:      documentMax,
		Quote:              true,
		Buttons:            buttonMax,
		ButtonTitleMax:     buttonTitleMax,
		ButtonDataMax:      buttonIDMax,
		ChoiceTextMax:      choiceTextMax,
		ListRows:           rowMax,
		ListTitleMax:       rowTitleMax,
		ListDescriptionMax: rowTextMax,
		Upload:             true,
		Links:              true,
		Templates:          true,
		Delivered:          true,
		Read:               true,
		Window:             window,
	}
}

// Owns implements channel.Owner: one app serves all numbers of a company.
func (Driver) Owns(s channel.Settings) string { return s["phone_number_id"] }

// Burst is how many messages one person may get within one span of 6 seconds, which have to be paid back before the next
// ("Pair rate limits").
func (Driver) Burst() int { return 45 }

// Pace is 80 messages a second for a number ("Throughput") and one message in 6 seconds to one person ("Pair rate limits").
// The platform lends up to 45 messages in one go and then refuses until they are paid back, so that only the steady pace
// is never refused; the parts of one message use that loan.
func (Driver) Pace() (perAccount, perAddress time.Duration) {
	return time.Second / 80, 6 * time.Second
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "phone_number_id", Required: true, Help: channel.Text{
			DE: "Phone number ID der Geschäftsnummer (Meta-App → WhatsApp → API Setup); nicht die Telefonnummer.",
			EN: "Phone number ID of the business number (Meta app → WhatsApp → API Setup); not the telephone number.",
		}},
		{Key: "access_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Dauerhaftes Token eines Systembenutzers mit whatsapp_business_messaging und whatsapp_business_management.",
			EN: "Permanent token of a system user with whatsapp_business_messaging and whatsapp_business_management.",
		}},
		{Key: "app_secret", Required: true, Secret: true, Help: channel.Text{
			DE: "App-Geheimcode (App settings → Basic), mit dem Meta Webhooks unterschreibt. Zum Wechseln: neu,alt.",
			EN: "App secret (App settings → Basic) with which Meta signs webhooks. To rotate: new,old.",
		}},
		{Key: "verify_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Selbst erdachtes Kennwort; dasselbe wird bei Meta unter Webhook → Verify token eingetragen.",
			EN: "A word of your own; the same is entered at Meta under Webhook → Verify token.",
		}},
		{Key: "business_account_id", Help: channel.Text{
			DE: "WhatsApp Business Account ID (API Setup); nötig, um die Vorlagen aufzulisten.",
			EN: "WhatsApp Business Account ID (API Setup); needed to list the templates.",
		}},
		{Key: "display_phone_number", Help: channel.Text{
			DE: "Die Telefonnummer, die Kunden sehen, mit Landesvorwahl; leer = wird bei Meta erfragt.",
			EN: "The telephone number that customers see, with country code; empty = Meta is asked.",
		}},
		{Key: "api_url", Default: defaultURL, Help: channel.Text{
			DE: "Adresse der Graph-API; endet sie auf eine Version (/v25.0), so wird diese benutzt, sonst " + apiVersion + ".",
			EN: "Address of the Graph API; if it ends in a version (/v25.0), that one is used, otherwise " + apiVersion + ".",
		}},
	}
}

var (
	idForm      = regexp.MustCompile(`^[0-9]{3,32}$`)
	versionForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+$`)
	// phoneForm is E.164 as addresses have it; waForm is the same as the Cloud API writes it.
	phoneForm = regexp.MustCompile(`^\+[0-9]{5,15}$`)
	waForm    = regexp.MustCompile(`^[0-9]{5,15}$`)
	// userForm is a business-scoped user id ("Business-scoped user IDs": country code, period, up to 128 alphanumeric
	// characters; with ENT for a parent).
	userForm = regexp.MustCompile(`^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$`)
)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if !idForm.MatchString(s["phone_number_id"]) {
		return errors.New("phone_number_id has only digits: it is not the telephone number, look for \"Phone number ID\" in the app under WhatsApp → API Setup")
	}
	if id := s["business_account_id"]; id != "" && !idForm.MatchString(id) {
		return errors.New("business_account_id has only digits: look for \"WhatsApp Business Account ID\" in the app under WhatsApp → API Setup")
	}
	if strings.ContainsAny(s["access_token"], " ,") {
		return errors.New("access_token has a space or a comma in it: copy it again")
	}
	if n := s["display_phone_number"]; n != "" && !waForm.MatchString(digits(n)) {
		return errors.New("display_phone_number is no telephone number with country code: it looks like +49 30 1234567")
	}
	for _, key := range []string{"app_secret", "verify_token"} {
		if err := channel.CheckRotation(key, s[key]); err != nil {
			return err
		}
	}
	return channel.CheckURL("api_url", s["api_url"], defaultURL)
}

// digits is a telephone number as wa.me wants it: without signs and spaces.
func digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
}

// Link implements channel.Linker: a click-to-chat link with the text already written (WhatsApp Help Center, "How to use
// click to chat").
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	number := digits(a.Settings["display_phone_number"])
	if number == "" {
		return "", channel.CarriesNothing
	}
	link := "https://wa.me/" + number
	if o.Text == "" {
		return link, channel.CarriesNothing
	}
	return link + "?text=" + strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20"), channel.CarriesText
}

var (
	_ channel.Driver    = Driver{}
	_ channel.Webhook   = Driver{}
	_ channel.Sender    = Driver{}
	_ channel.Fetcher   = Driver{}
	_ channel.Prober    = Driver{}
	_ channel.Lender    = Driver{}
	_ channel.Owner     = Driver{}
	_ channel.Paced     = Driver{}
	_ channel.Linker    = Driver{}
	_ channel.Templater = Driver{}
)
