// Package twilio is in charge of one medium: short messages through Twilio Programmable Messaging. It verifies and parses
// the webhooks (incoming messages and status callbacks), sends texts, fetches the media of MMS and finds a message whose
// fate is uncertain in Twilio's own list. The facts are those of https://www.twilio.com/docs/messaging, cited below by
// page. It keeps no state. Messages, order, retries and deduplication are the caller's.
package twilio

import (
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "twilio"

const (
	textMax  = 1600 // "Message resource", Body: up to 1,600 characters; Twilio splits them into segments
	mediaMax = 16 << 20
	apiURL   = "https://api.twilio.com"
)

// Driver serves Twilio numbers, short codes, alphanumeric senders and messaging services. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "SMS (Twilio)", EN: "SMS (Twilio)"} }

// Capabilities implements channel.Driver. Twilio does not say in which unit its characters count, so they count in the one
// that is never too long. MMS exists in North America and Australia only: what comes is kept, but nobody is asked for a
// file by SMS, and none is sent, since Twilio fetches files only from public addresses.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{TextMax: textMax, TextUnit: channel.UTF16, Links: true, Delivered: true, WriteFirst: true}
}

// Pace implements channel.Paced. Twilio queues for hours what a sender cannot send at once ("Messaging queues": long codes
// 1 to 10 a second by country, toll-free 3, short codes 100), so that the pace is about fairness: ten a second fill no
// queue of an European long code. One a second to the same number keeps the order.
func (Driver) Pace() (perAccount, perAddress time.Duration) { return time.Second / 10, time.Second }

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "account_sid", Required: true, Help: channel.Text{
			DE: "Account SID (AC…), Startseite der Twilio Console.", EN: "Account SID (AC…), home page of the Twilio Console."}},
		{Key: "auth_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Auth Token, ebenda; prüft auch die Webhooks. Zum Wechseln: neu,alt.", EN: "Auth Token, same place; it also proves the webhooks. To rotate: new,old."}},
		{Key: "from", Required: true, Help: channel.Text{
			DE: "Absender: Nummer (+49…), Kurzwahl, Name (bis 11 Zeichen, nicht beantwortbar) oder Messaging Service (MG…).",
			EN: "Sender: number (+49…), short code, name (up to 11 characters, cannot be answered) or messaging service (MG…)."}},
		{Key: "phone_number", Help: channel.Text{
			DE: "Nummer, an die Kunden schreiben, falls der Absender ein Name oder ein Messaging Service ist; für Links.",
			EN: "Number to which customers write if the sender is a name or a messaging service; for links."}},
		{Key: "api_url", Default: apiURL, Help: channel.Text{
			DE: "Adresse der Schnittstelle; für andere Regionen oder einen Proxy.", EN: "Address of the API; for other regions or a proxy."}},
	}
}

var (
	accountForm = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	serviceForm = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
	// "Alphanumeric sender ID": letters, digits, spaces and + - _ &, at least one letter.
	nameForm = regexp.MustCompile(`^[A-Za-z0-9 +\-_&]{1,11}$`)
)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if !accountForm.MatchString(s["account_sid"]) {
		return errors.New("account_sid is AC and 32 hexadecimal digits: copy it from the Twilio Console")
	}
	if err := channel.CheckRotation("auth_token", s["auth_token"]); err != nil {
		return err
	}
	if from := s["from"]; !serviceForm.MatchString(from) {
		switch p := sms.ParseParty(from, ""); {
		case p.Kind == sms.Phone && p.Value == from, p.Kind == sms.ShortCode && p.Value == from:
		case p.Kind == sms.Alphanumeric && nameForm.MatchString(from):
		default:
			return fmt.Errorf("from %q is no sender: give a number such as +4915123456789, a short code, a name of at most 11 characters or MG…", from)
		}
	}
	if n := s["phone_number"]; n != "" && sms.E164(n, "") != n {
		return fmt.Errorf("phone_number %q is not E.164: it looks like +4915123456789", n)
	}
	return channel.CheckURL("api_url", s["api_url"], apiURL)
}

// Link implements channel.Linker: a link of RFC 5724 in the one spelling that both iOS and Android fill in.
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	number := sms.E164(a.Settings.Or("phone_number", a.Settings["from"]), "")
	if number == "" {
		return "", channel.CarriesNothing
	}
	if o.Text == "" {
		return "sms:" + number, channel.CarriesNothing
	}
	return "sms:" + number + "?&body=" + strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20"), channel.CarriesText
}

// authorization is what Basic authentication needs: the header and what must not show up in errors.
func authorization(s channel.Settings) (header string, secrets []string) {
	token := ""
	if tokens := channel.Rotation(s["auth_token"]); len(tokens) > 0 {
		token = tokens[0]
	}
	basic := base64.StdEncoding.EncodeToString([]byte(s["account_sid"] + ":" + token))
	return "Basic " + basic, []string{basic, token}
}

// endpoint is an address below the account.
func endpoint(s channel.Settings, path string) string {
	return strings.TrimRight(s.Or("api_url", apiURL), "/") + "/2010-04-01/Accounts/" + url.PathEscape(s["account_sid"]) + path
}

//go:embed README.md
var guide string

// Guide is what to click at the provider.
func (Driver) Guide() string { return guide }

var (
	_ channel.Driver     = Driver{}
	_ channel.Webhook    = Driver{}
	_ channel.Sender     = Driver{}
	_ channel.Fetcher    = Driver{}
	_ channel.Prober     = Driver{}
	_ channel.Paced      = Driver{}
	_ channel.Linker     = Driver{}
	_ channel.Reconciler = Driver{}
)
