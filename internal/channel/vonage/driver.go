// Package vonage is in charge of one medium: short messages through the Vonage Messages API v1. It verifies and parses
// the webhooks (inbound messages and message status), and sends texts. The facts are those of
// https://developer.vonage.com/en/messages/overview, cited below by page. It keeps no state. Messages, order, retries and
// deduplication are the caller's.
package vonage

import (
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "vonage"

const (
	textMax  = 1000 // "Messages API", channel sms, text: up to 1000 characters; Vonage splits them
	mediaMax = 16 << 20
	apiURL   = "https://api.nexmo.com"
)

// Driver serves Vonage numbers and alphanumeric senders. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "SMS (Vonage)", EN: "SMS (Vonage)"} }

// Capabilities implements channel.Driver. client_ref is only echoed: Vonage accepts the same one twice, so that a send is
// not idempotent, but a status with it tells what became of an uncertain one.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{TextMax: textMax, TextUnit: channel.UTF16, Links: true, Delivered: true, WriteFirst: true}
}

// Pace implements channel.Paced ("Throughput limit for outbound SMS": 30 requests a second and account by default). One a
// second to the same number keeps the order.
func (Driver) Pace() (perAccount, perAddress time.Duration) { return time.Second / 30, time.Second }

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "api_key", Required: true, Secret: true, Help: channel.Text{
			DE: "API Key, Startseite des Vonage-Dashboards.", EN: "API key, home page of the Vonage dashboard."}},
		{Key: "api_secret", Secret: true, Help: channel.Text{
			DE: "API Secret; nur nötig ohne application_id und private_key.", EN: "API secret; only needed without application_id and private_key."}},
		{Key: "signature_secret", Required: true, Secret: true, Help: channel.Text{
			DE: "Signature Secret (API Settings), mit dem sich Webhooks ausweisen. Zum Wechseln: neu,alt.", EN: "Signature secret (API Settings) that proves webhooks. To rotate: new,old."}},
		{Key: "application_id", Help: channel.Text{
			DE: "ID der Anwendung mit der Fähigkeit „Messages“.", EN: "ID of the application with the capability “Messages”."}},
		{Key: "private_key", Secret: true, Help: channel.Text{
			DE: "Privater Schlüssel der Anwendung (PEM, private.key).", EN: "The application's private key (PEM, private.key)."}},
		{Key: "from", Required: true, Help: channel.Text{
			DE: "Absender: Nummer (+49…) oder Name (bis 11 Zeichen, nicht beantwortbar).", EN: "Sender: number (+49…) or name (up to 11 characters, cannot be answered)."}},
		{Key: "phone_number", Help: channel.Text{
			DE: "Nummer, an die Kunden schreiben, falls der Absender ein Name ist; für Links.", EN: "Number to which customers write if the sender is a name; for links."}},
		{Key: "api_url", Default: apiURL, Help: channel.Text{
			DE: "Adresse der Schnittstelle; für eine Region oder einen Proxy.", EN: "Address of the API; for a region or a proxy."}},
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9 ]{1,11}$`)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if err := channel.CheckRotation("signature_secret", s["signature_secret"]); err != nil {
		return err
	}
	switch id, key := s["application_id"], s["private_key"]; {
	case (id == "") != (key == ""):
		return errors.New("application_id and private_key belong together: give both, or api_secret alone")
	case key != "":
		if _, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(key)); err != nil {
			return errors.New("private_key is no RSA key in PEM: give the whole content of private.key, with its first and last line")
		}
	case s["api_secret"] == "":
		return errors.New("api_secret is missing: give it, or application_id and private_key")
	}
	from := s["from"]
	if p := sms.ParseParty(from, ""); p.Value != from || p.Kind == sms.Nobody || p.Kind == sms.Alphanumeric && !nameForm.MatchString(from) {
		return fmt.Errorf("from %q is no sender: give a number such as +4915123456789, a short code or a name of at most 11 letters and digits", from)
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

// authorized adds what the API asks for ("Authentication"): a JWT of the application, or key and secret.
func authorized(c channel.Call, s channel.Settings, now time.Time, id string) (channel.Call, error) {
	if s["private_key"] == "" {
		basic := base64.StdEncoding.EncodeToString([]byte(s["api_key"] + ":" + s["api_secret"]))
		return c.With("Authorization", "Basic "+basic, basic, s["api_secret"]), nil
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(s["private_key"]))
	if err != nil {
		return c, &channel.SendError{Class: channel.Misconfig, Err: errors.New("private_key cannot be read"), Reason: channel.Text{
			DE: "Der private Schlüssel (private_key) ist unlesbar.", EN: "The private key (private_key) cannot be read."}}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"application_id": s["application_id"], "iat": now.Unix(), "exp": now.Add(15 * time.Minute).Unix(), "jti": id}).SignedString(key)
	if err != nil {
		return c, &channel.SendError{Class: channel.Misconfig, Err: err, Reason: channel.Text{
			DE: "Mit dem privaten Schlüssel (private_key) lässt sich nicht unterschreiben.", EN: "The private key (private_key) does not sign."}}
	}
	return c.Bearer(token), nil
}

//go:embed README.md
var guide string

// Guide is what to click at the provider.
func (Driver) Guide() string { return guide }

var (
	_ channel.Driver  = Driver{}
	_ channel.Webhook = Driver{}
	_ channel.Sender  = Driver{}
	_ channel.Fetcher = Driver{}
	_ channel.Paced   = Driver{}
	_ channel.Linker  = Driver{}
)
