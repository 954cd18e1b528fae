// Package telegram is in charge of one medium: a Telegram bot with which customers write in private chats. It
// verifies and parses what the Bot API delivers (by webhook or long polling), sends text, files and buttons, and
// fetches files. The facts are those of https://core.telegram.org/bots/api, cited below as "Bot API".
//
// It keeps no state. Messages, order, retries and deduplication are the caller's.
package telegram

import (
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

//go:embed README.md
var guide string

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "telegram"

// Limits of the Bot API.
const (
	textMax     = 4096     // sendMessage: characters after entities parsing, counted in UTF-16 units
	captionMax  = 1024     // sendPhoto, sendDocument
	dataMax     = 64       // InlineKeyboardButton.callback_data, in bytes
	buttonMax   = 20       // ours: the API takes 100, nobody reads them
	photoMax    = 10 << 20 // "Sending files": photos
	documentMax = 50 << 20 // "Sending files": other files
	downloadMax = 20 << 20 // getFile
)

// Driver serves Telegram bots. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "Telegram", EN: "Telegram"} }

// Guide is how the channel is set up.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. A bot is told neither of delivery nor of reading, and cannot write to
// somebody who never wrote to it.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:        textMax,
		TextUnit:       channel.UTF16,
		CaptionMax:     captionMax,
		Attachments:    true,
		AttachmentMax:  documentMax,
		Quote:          true,
		Edits:          true,
		Buttons:        buttonMax,
		ButtonTitleMax: 40, // the API has no limit; longer ones are cut off on phones
		ButtonDataMax:  dataMax,
		Upload:         true,
		Links:          true,
	}
}

// Pace is how fast one may send without being refused (Bots FAQ, "My bot is hitting limits"): one message each
// perAccount over all chats (30 a second), one each perAddress in one chat (short bursts are tolerated).
func (Driver) Pace() (perAccount, perAddress time.Duration) {
	return time.Second / 30, time.Second
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "token", Required: true, Secret: true, Help: channel.Text{
			DE: "Token des Bots, wie ihn @BotFather nach /newbot zeigt (123456:ABC…).",
			EN: "The bot's token as @BotFather shows it after /newbot (123456:ABC…).",
		}},
		{Key: "secret_token", Secret: true, Help: channel.Text{
			DE: "Geheimnis, mit dem sich Telegram beim Webhook ausweist; leer = aus dem Token abgeleitet. Zum Wechseln: neu,alt.",
			EN: "Secret by which Telegram proves itself at the webhook; empty = derived from the token. To rotate: new,old.",
		}},
		{Key: "mode", Default: "auto", Values: []string{"auto", "webhook", "poll"}, Help: channel.Text{
			DE: "Wie Nachrichten kommen: webhook braucht eine öffentliche https-Adresse, poll holt sie ab, auto wählt.",
			EN: "How messages come: webhook needs a public https address, poll fetches them, auto chooses.",
		}},
		{Key: "username", Help: channel.Text{
			DE: "Name des Bots ohne @, für Links wie t.me/NAME; leer = Telegram wird danach gefragt.",
			EN: "The bot's name without @, for links such as t.me/NAME; empty = Telegram is asked for it.",
		}},
		{Key: "api_url", Default: "https://api.telegram.org", Help: channel.Text{
			DE: "Adresse der Bot-API; nur für einen eigenen Bot-API-Server zu ändern.",
			EN: "Address of the Bot API; change it only for a Bot API server of your own.",
		}},
	}
}

// Check implements channel.Driver.
func (Driver) Check(s channel.Settings) error {
	token := s["token"]
	switch {
	case token == "":
		return errors.New("token is missing: ask @BotFather for it (/newbot or /mybots)")
	case strings.HasPrefix(token, "bot") && strings.Contains(token, ":"):
		return errors.New("token begins with \"bot\": give only what follows, such as 123456:ABC-DEF")
	case !tokenForm.MatchString(token):
		return errors.New("token has characters that no token has: copy it again from @BotFather, without spaces")
	}
	if list := s["secret_token"]; list != "" {
		secrets := strings.Split(list, ",")
		if len(secrets) > 2 {
			return errors.New("secret_token has more than two secrets: give new,old")
		}
		for _, secret := range secrets {
			// Bot API, setWebhook: 1-256 characters, only A-Z, a-z, 0-9, _ and -.
			if !secretForm.MatchString(secret) {
				return errors.New("secret_token may have 1 to 256 of the characters A-Z, a-z, 0-9, _ and - (two secrets: new,old)")
			}
		}
	}
	switch s.Or("mode", "auto") {
	case "auto", "webhook", "poll":
	default:
		return fmt.Errorf("mode %q is unknown: use webhook, poll or auto", s["mode"])
	}
	if name := s["username"]; name != "" && !nameForm.MatchString(name) {
		return fmt.Errorf("username %q is none: give the bot's name without @, such as muster_bot", name)
	}
	if raw := s["api_url"]; raw != "" {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("api_url %q is not the address of a server: it looks like https://api.telegram.org", raw)
		}
	}
	return nil
}

var (
	tokenForm  = regexp.MustCompile(`^[A-Za-z0-9_:.-]+$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{3,31}$`)
	secretForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
)

// Link implements channel.Linker: the token comes back with /start (Bot API, "Deep linking").
func (Driver) Link(a channel.Account, o channel.Opening) (link string, carries channel.Carriage) {
	name := a.Settings["username"]
	if name == "" {
		return "", channel.CarriesNothing
	}
	if o.Token == "" {
		return "https://t.me/" + name, channel.CarriesNothing
	}
	return "https://t.me/" + name + "?start=" + url.QueryEscape(o.Token), channel.CarriesToken
}

// Secrets are the secret tokens that a webhook of this account may carry. The first one is registered with setWebhook.
// Without a setting it is derived from the bot's token, so that a webhook is never open; nil without both.
func Secrets(a channel.Account) []string {
	if list := a.Settings["secret_token"]; list != "" {
		var secrets []string
		for _, secret := range strings.Split(list, ",") {
			if secret = strings.TrimSpace(secret); secret != "" {
				secrets = append(secrets, secret)
			}
		}
		return secrets
	}
	token := a.Settings["token"]
	if token == "" {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("rufweite telegram webhook " + a.ID))
	return []string{base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}
}

var (
	_ channel.Driver   = Driver{}
	_ channel.Webhook  = Driver{}
	_ channel.Listener = Driver{}
	_ channel.Sender   = Driver{}
	_ channel.Fetcher  = Driver{}
	_ channel.Prober   = Driver{}
	_ channel.Linker   = Driver{}
)
