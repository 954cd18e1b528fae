// Package teams is in charge of one medium: a bot in Microsoft Teams to which people write in its personal chat. It
// verifies and parses what the Bot Framework Connector delivers, sends text and buttons with its REST API, and fetches
// files. The facts are those of https://learn.microsoft.com (Bot Framework, "Authentication with the Bot Connector API";
// Teams platform, "Bots"), cited below by page.
//
// It keeps no state: the keys with which Microsoft signs are fetched by Probe and kept as the setting jwks, so that Verify
// needs no network, on any node and right after a restart. In memory are only what can be made again: parsed keys, tokens
// seen, and the access token.
package teams

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

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "teams"

// Limits of Teams.
const (
	// "Format your bot messages": 100 KB for the whole payload in UTF-16, that is 50,000 units; markup takes its part.
	textMax     = 20000
	payloadMax  = 100 << 10
	cardTextMax = 4000
	buttonMax   = 6 // "Cards reference": at most six actions are shown
	titleMax    = 40
	dataMax     = 1000
	downloadMax = 25 << 20
)

// Where things are, if api_url does not stand in for all of it.
const (
	loginURL     = "https://login.microsoftonline.com" // + /{tenant}/oauth2/v2.0/token
	openIDURL    = "https://login.botframework.com"    // + /v1/.well-known/openidconfiguration
	connectorURL = "https://smba.trafficmanager.net/teams"
	multiTenant  = "botframework.com" // the tenant of bots that are registered for all tenants
)

//go:embed README.md
var guide string

// Driver serves Teams bots. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text {
	return channel.Text{DE: "Microsoft Teams", EN: "Microsoft Teams"}
}

// Guide is the page that says what to click at the provider.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. A bot can send files only after the customer has agreed to each, and in a
// personal chat its answers quote nothing.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:        textMax,
		TextUnit:       channel.UTF16,
		Edits:          true,
		Buttons:        buttonMax,
		ButtonTitleMax: titleMax,
		ButtonDataMax:  dataMax,
		ChoiceTextMax:  cardTextMax,
		Upload:         true,
		Links:          true,
	}
}

// Pace is how fast one may send ("Optimize your bot with rate limiting"): 60 messages in 30 seconds in one chat, 30
// requests a second in all of a tenant.
func (Driver) Pace() (perAccount, perAddress time.Duration) {
	return time.Second / 30, 510 * time.Millisecond
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "app_id", Required: true, Help: channel.Text{
			DE: "Microsoft-App-ID des Bots (Azure Bot → Konfiguration), wie 0d469698-ab9d-479a-b0d8-758b6e6b1234.",
			EN: "The bot's Microsoft app ID (Azure Bot → Configuration), such as 0d469698-ab9d-479a-b0d8-758b6e6b1234.",
		}},
		{Key: "app_password", Required: true, Secret: true, Help: channel.Text{
			DE: "Wert (nicht die ID) eines geheimen Clientschlüssels dieser App.",
			EN: "The value (not the ID) of a client secret of this app.",
		}},
		{Key: "tenant_id", Default: multiTenant, Help: channel.Text{
			DE: "Mandanten-ID bei einem Bot für einen einzelnen Mandanten; leer = für alle Mandanten.",
			EN: "The tenant's ID for a single-tenant bot; empty = multi-tenant.",
		}},
		{Key: "service_url", Default: connectorURL, Help: channel.Text{
			DE: "Adresse des Connectors; nur für Behörden-Clouds zu ändern (GCC: https://smba.infra.gcc.teams.microsoft.com/teams).",
			EN: "Address of the connector; change it for government clouds only (GCC: https://smba.infra.gcc.teams.microsoft.com/teams).",
		}},
		{Key: "jwks", Secret: true, Help: channel.Text{
			DE: "Öffentliche Schlüssel, mit denen sich Microsoft ausweist. Leer lassen: wird selbst geholt und erneuert.",
			EN: "Public keys by which Microsoft proves itself. Leave it empty: they are fetched and renewed by themselves.",
		}},
		{Key: "api_url", Help: channel.Text{
			DE: "Steht für Anmeldung, Schlüssel und Connector zugleich; nur für Tests oder einen Proxy.",
			EN: "Stands in for sign-in, keys and connector at once; for tests or a proxy only.",
		}},
	}
}

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if !guidForm.MatchString(s["app_id"]) {
		return fmt.Errorf("app_id %q is none: it looks like 0d469698-ab9d-479a-b0d8-758b6e6b1234", s["app_id"])
	}
	if guidForm.MatchString(s["app_password"]) {
		return errors.New("app_password is the secret's ID: take its value, which Azure shows only once, or make a new one")
	}
	if t := s["tenant_id"]; t != "" && t != multiTenant && !guidForm.MatchString(t) {
		return fmt.Errorf("tenant_id %q is none: it looks like 72f988bf-86f1-41af-91ab-2d7cd011db47", t)
	}
	if raw := s["jwks"]; raw != "" {
		if set := keysOf(raw); len(set.keys) == 0 {
			return errors.New("jwks has no usable keys: leave it empty, they are fetched by themselves")
		}
	}
	if err := channel.CheckURL("service_url", s["service_url"], connectorURL); err != nil {
		return err
	}
	return channel.CheckURL("api_url", s["api_url"], "https://proxy.example.org")
}

var guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// Link implements channel.Linker ("Deep link to start a new chat"): the text is already written.
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	id := a.Settings["app_id"]
	if id == "" {
		return "", channel.CarriesNothing
	}
	link := "https://teams.microsoft.com/l/chat/0/0?users=28:" + url.QueryEscape(id)
	if o.Text == "" {
		return link, channel.CarriesNothing
	}
	return link + "&message=" + strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20"), channel.CarriesText
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
