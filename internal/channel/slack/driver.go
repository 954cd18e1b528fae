// Package slack is in charge of one medium: a Slack app to which members of a workspace write in its direct messages. It
// verifies and parses what the Events API, the interactivity and the slash commands deliver, sends text, files and
// buttons with the Web API, and fetches files. The facts are those of https://docs.slack.dev, cited below by page.
//
// It keeps no state: chat.postMessage takes the member's id and opens the direct message by itself.
package slack

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
const Kind channel.Kind = "slack"

// Limits of the Web API.
const (
	textMax     = 4000 // chat.postMessage: "limit the number of characters in the text field to 4,000"; cut at 40,000
	sectionMax  = 3000 // Block Kit, section: text
	buttonMax   = 25   // Block Kit, actions: elements
	titleMax    = 75   // Block Kit, button: text
	valueMax    = 2000 // Block Kit, button: value
	documentMax = 25 << 20
	downloadMax = 25 << 20
)

// defaultURL is where the Web API's methods are.
const defaultURL = "https://slack.com/api"

//go:embed README.md
var guide string

// Driver serves Slack apps. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "Slack", EN: "Slack"} }

// Guide is the page that says what to click at the provider.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. An app is told neither of delivery nor of reading. A quote is a thread.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:        textMax,
		TextUnit:       channel.CodePoints,
		Attachments:    true,
		AttachmentMax:  documentMax,
		Quote:          true,
		Edits:          true,
		Buttons:        buttonMax,
		ButtonTitleMax: titleMax,
		ButtonDataMax:  valueMax,
		ChoiceTextMax:  sectionMax,
		Upload:         true,
		Links:          true,
		WriteFirst:     true,
	}
}

// Pace is how fast one may post (chat.postMessage, "Rate limiting"): one message a second in one direct message, and
// "several hundred messages per minute" in the workspace, of which 300 are taken.
func (Driver) Pace() (perAccount, perAddress time.Duration) { return time.Minute / 300, time.Second }

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "bot_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Bot-Token der App (xoxb-…), zu finden unter „OAuth & Permissions“ nach der Installation.",
			EN: "The app's bot token (xoxb-…), shown under “OAuth & Permissions” once it is installed.",
		}},
		{Key: "signing_secret", Required: true, Secret: true, Help: channel.Text{
			DE: "Signing Secret unter „Basic Information“; damit weist sich Slack aus. Zum Wechseln: neu,alt.",
			EN: "Signing secret under “Basic Information”, by which Slack proves itself. To rotate: new,old.",
		}},
		{Key: "team_id", Help: channel.Text{
			DE: "ID des Workspace (T…), für den Link zum Chat; steht in der Adresse app.slack.com/client/T….",
			EN: "The workspace's id (T…), for the link to the chat; it is in the address app.slack.com/client/T….",
		}},
		{Key: "app_id", Help: channel.Text{
			DE: "ID der App (A…) unter „Basic Information“, für den Link zum Chat.",
			EN: "The app's id (A…) under “Basic Information”, for the link to the chat.",
		}},
		{Key: "api_url", Default: defaultURL, Help: channel.Text{
			DE: "Adresse der Web-API; nur für Tests, einen Proxy oder GovSlack zu ändern.",
			EN: "Address of the Web API; change it only for tests, a proxy or GovSlack.",
		}},
	}
}

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	switch token := s["bot_token"]; {
	case strings.HasPrefix(token, "xoxp-"), strings.HasPrefix(token, "xapp-"):
		return errors.New("bot_token is a user's or the app's token: take the “Bot User OAuth Token”, which begins with xoxb-")
	case !tokenForm.MatchString(token):
		return errors.New("bot_token is none: it begins with xoxb-, copy it again from “OAuth & Permissions”")
	}
	if err := channel.CheckRotation("signing_secret", s["signing_secret"]); err != nil {
		return err
	}
	if v := s["team_id"]; v != "" && (!idForm.MatchString(v) || v[0] != 'T') {
		return errors.New("team_id is none: it looks like T0123ABCD")
	}
	if v := s["app_id"]; v != "" && (!idForm.MatchString(v) || v[0] != 'A') {
		return errors.New("app_id is none: it looks like A0123ABCD")
	}
	return channel.CheckURL("api_url", s["api_url"], defaultURL)
}

var (
	tokenForm = regexp.MustCompile(`^xox[be][A-Za-z0-9.-]+$`) // xoxe.xoxb-… is a rotating one
	idForm    = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,40}$`)
)

// Link implements channel.Linker: the app's direct message (Slack, "Deep linking"). It can carry nothing.
func (Driver) Link(a channel.Account, _ channel.Opening) (string, channel.Carriage) {
	app, team := a.Settings["app_id"], a.Settings["team_id"]
	if app == "" {
		return "", channel.CarriesNothing
	}
	q := url.Values{"app": {app}}
	if team != "" {
		q.Set("team", team)
	}
	return "https://slack.com/app_redirect?" + q.Encode(), channel.CarriesNothing
}

var (
	_ channel.Driver     = Driver{}
	_ channel.Webhook    = Driver{}
	_ channel.Reconciler = Driver{}
	_ channel.Sender     = Driver{}
	_ channel.Fetcher    = Driver{}
	_ channel.Prober     = Driver{}
	_ channel.Paced      = Driver{}
	_ channel.Linker     = Driver{}
)
