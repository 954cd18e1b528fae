// Package discord is in charge of one medium: a Discord bot with which customers write in direct messages. It listens at
// the Gateway, takes pressed buttons there or at the interactions endpoint, sends text, files and buttons over REST, and
// fetches files. The facts are those of https://docs.discord.com/developers, API version 10, cited below by the title of the
// page.
//
// It keeps no state but a bounded memory of which channel a user's direct messages are in, which never changes. Messages,
// order, retries and deduplication are the caller's.
package discord

import (
	"crypto/ed25519"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "discord"

// DefaultURL is Discord's API.
const DefaultURL = "https://discord.com/api/v10"

// Limits of the API.
const (
	textMax     = 2000 // "Create Message": content
	buttonMax   = 25   // "Component Reference": five rows of five buttons
	rowMax      = 5
	titleMax    = 80       // Button.label
	dataMax     = 100      // custom_id
	fileMax     = 10 << 20 // "Uploading Files": the default limit
	downloadMax = 100 << 20
)

//go:embed README.md
var guide string

// Driver serves Discord bots. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "Discord", EN: "Discord"} }

// Guide is the page that explains the set-up.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. A bot is told neither of delivery nor of reading. Sends are not idempotent in the
// house's sense: Discord remembers a nonce for "the past few minutes" ("Create Message"), while the house may try again
// after a crash hours later. The nonce is sent all the same, and comes back by the Gateway: see echo.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:        textMax,
		TextUnit:       channel.CodePoints,
		CaptionMax:     textMax,
		Attachments:    true,
		AttachmentMax:  fileMax,
		Quote:          true,
		Edits:          true,
		Buttons:        buttonMax,
		ButtonTitleMax: titleMax,
		ButtonDataMax:  dataMax,
		Upload:         true,
		Links:          true,
	}
}

// Pace is how fast one may send without being refused: 50 requests a second in all ("Rate Limits", Global), of which some are
// left for catching up, and five messages in five seconds to a channel.
func (Driver) Pace() (perAccount, perAddress time.Duration) {
	return time.Second / 46, time.Second
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "bot_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Token des Bots (Developer Portal → Bot → Reset Token).",
			EN: "The bot's token (Developer Portal → Bot → Reset Token).",
		}},
		{Key: "application_id", Required: true, Help: channel.Text{
			DE: "Application ID (Developer Portal → General Information).",
			EN: "Application ID (Developer Portal → General Information).",
		}},
		{Key: "public_key", Secret: true, Help: channel.Text{
			DE: "Public Key der Anwendung; nur nötig, wenn dort eine Interactions Endpoint URL eingetragen ist. Zum Wechseln: neu,alt.",
			EN: "The application's Public Key; needed only where an Interactions Endpoint URL is set there. To rotate: new,old.",
		}},
		{Key: "api_url", Default: DefaultURL, Help: channel.Text{
			DE: "Adresse der Schnittstelle; nur für einen eigenen Proxy zu ändern.",
			EN: "Address of the API; change it only for a proxy of your own.",
		}},
	}
}

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	switch token := s["bot_token"]; {
	case strings.HasPrefix(token, "Bot "):
		return errors.New("bot_token begins with \"Bot \": give only what follows")
	case !tokenForm.MatchString(token):
		return errors.New("bot_token has characters that no token has: copy it again from the Developer Portal")
	}
	if !snowflake(s["application_id"]) {
		return errors.New("application_id is no id: it has 17 to 20 digits (General Information → Application ID)")
	}
	if err := channel.CheckRotation("public_key", s["public_key"]); err != nil {
		return err
	}
	for _, k := range channel.Rotation(s["public_key"]) {
		if publicKey(k) == nil {
			return errors.New("public_key is none: it has 64 of the characters 0-9 and a-f (General Information → Public Key)")
		}
	}
	return channel.CheckURL("api_url", s["api_url"], DefaultURL)
}

var (
	tokenForm     = regexp.MustCompile(`^[A-Za-z0-9_.-]{20,200}$`)
	snowflakeForm = regexp.MustCompile(`^[1-9][0-9]{0,19}$`)
)

// snowflake reports whether an id looks like Discord's ("API Reference", Snowflakes): a number of 64 bits as text.
func snowflake(id string) bool { return snowflakeForm.MatchString(id) }

// publicKey reads a key as the Developer Portal writes it; nil if it is none.
func publicKey(s string) ed25519.PublicKey {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize || hex.EncodeToString(b) != s {
		return nil
	}
	return b
}

// apiURL is the API's address.
func apiURL(a channel.Account) string {
	return strings.TrimRight(a.Settings.Or("api_url", DefaultURL), "/")
}

// standIn is the host of api_url where that is not Discord's own, for a proxy or a simulator; "" otherwise.
func standIn(a channel.Account) string {
	if base := apiURL(a); base != DefaultURL {
		if u, err := url.Parse(base); err == nil {
			return u.Host
		}
	}
	return ""
}

// Link implements channel.Linker: the bot's profile, from where a chat opens. Discord carries nothing into it.
func (Driver) Link(a channel.Account, _ channel.Opening) (string, channel.Carriage) {
	id := a.Settings["application_id"]
	if !snowflake(id) {
		return "", channel.CarriesNothing
	}
	return "https://discord.com/users/" + id, channel.CarriesNothing
}

// trouble is an error about the account that a person can mend.
func trouble(err error, reason, remedy channel.Text) *channel.Trouble {
	return &channel.Trouble{Reason: reason, Remedy: remedy, Err: err}
}

func wrongToken(err error) *channel.Trouble {
	return trouble(err, channel.Text{DE: "Der Token des Bots stimmt nicht.", EN: "The bot's token is wrong."},
		channel.Text{DE: "Developer Portal → Bot → Reset Token; tragen Sie den neuen hier ein.", EN: "Developer Portal → Bot → Reset Token; enter the new one here."})
}

func unreachable(err error) *channel.Trouble {
	return trouble(fmt.Errorf("reach Discord: %w", err), channel.Text{DE: "Discord ist nicht zu erreichen.", EN: "Discord cannot be reached."},
		channel.Text{DE: "Prüfen Sie die Internetverbindung des Servers und https://discordstatus.com.", EN: "Check the server's internet connection and https://discordstatus.com."})
}

var (
	_ channel.Driver   = Driver{}
	_ channel.Webhook  = Driver{}
	_ channel.Listener = Driver{}
	_ channel.Reparser = Driver{}
	_ channel.Sender   = Driver{}
	_ channel.Paced    = Driver{}
	_ channel.Fetcher  = Driver{}
	_ channel.Prober   = Driver{}
	_ channel.Linker   = Driver{}
)
