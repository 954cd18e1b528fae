// Package line is in charge of one medium: a LINE official account with which customers write in one-on-one chats. It
// verifies and parses what the Messaging API delivers, sends texts and quick replies, and fetches files. The facts are
// those of https://developers.line.biz/en/reference/messaging-api/, cited below as "Messaging API".
//
// It keeps no state. Messages, order, retries and deduplication are the caller's.
package line

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "line"

// Limits of the Messaging API.
const (
	textMax    = 5000      // "Text message", in UTF-16 units ("Character counting in a text")
	callMax    = 5         // "Send push message": message objects of one request
	buttonMax  = 13        // "Quick reply": items
	labelMax   = 20        // "Action objects": label, in grapheme clusters; code points are never fewer
	dataMax    = 300       // "Postback action": data, in characters; bytes are never fewer
	contentMax = 200 << 20 // ours: the API names no largest file

	defaultURL = "https://api.line.me"
	dataURL    = "https://api-data.line.me" // "Domain name": content
)

// Driver serves LINE official accounts. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

//go:embed README.md
var guide string

// Guide is the page about setting up a channel.
func (Driver) Guide() string { return guide }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "LINE", EN: "LINE"} }

// Capabilities implements channel.Driver. LINE reports neither delivery nor reading. Files are sent by public URL only,
// which this driver has none for. A quote needs the quoteToken of the message, which is no part of its id: what customers
// quote comes in, we do not quote.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax: textMax, TextUnit: channel.UTF16,
		Buttons: buttonMax, ButtonTitleMax: labelMax, ButtonDataMax: dataMax,
		Upload: true, Links: true, WriteFirst: true, Idempotent: true,
	}
}

// Pace implements channel.Paced: 2,000 requests a second for one endpoint and channel (Messaging API, "Rate limits").
func (Driver) Pace() (perAccount, perAddress time.Duration) { return time.Second / 2000, 0 }

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "channel_secret", Required: true, Secret: true, Help: channel.Text{
			DE: "Channel secret aus der LINE Developers Console, Reiter Basic settings. Zum Wechseln: neu,alt.",
			EN: "Channel secret from the LINE Developers Console, tab Basic settings. To rotate: new,old.",
		}},
		{Key: "channel_access_token", Required: true, Secret: true, Help: channel.Text{
			DE: "Langlebiges Channel access token aus der LINE Developers Console, Reiter Messaging API.",
			EN: "Long-lived channel access token from the LINE Developers Console, tab Messaging API.",
		}},
		{Key: "basic_id", Help: channel.Text{
			DE: "Basic ID des Kontos (@…), für Links in den Chat; leer = wird bei LINE erfragt.",
			EN: "Basic ID of the account (@…), for links into the chat; empty = LINE is asked for it.",
		}},
		{Key: "api_url", Default: defaultURL, Help: channel.Text{
			DE: "Adresse der Messaging API; nur für einen Stellvertreter zu ändern.",
			EN: "Address of the Messaging API; change it only for a stand-in.",
		}},
	}
}

var (
	secretForm = regexp.MustCompile(`^[0-9A-Za-z]+$`)
	tokenForm  = regexp.MustCompile(`^[0-9A-Za-z+/=._-]+$`)
	idForm     = regexp.MustCompile(`^@[0-9a-z._-]{2,32}$`)
)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if err := channel.CheckRotation("channel_secret", s["channel_secret"]); err != nil {
		return err
	}
	for _, secret := range channel.Rotation(s["channel_secret"]) {
		if !secretForm.MatchString(secret) {
			return errors.New("channel_secret has characters that no channel secret has: copy it again from Basic settings")
		}
	}
	if !tokenForm.MatchString(s["channel_access_token"]) {
		return errors.New("channel_access_token has characters that no token has: copy it again, without \"Bearer\" and spaces")
	}
	if id := s["basic_id"]; id != "" && !idForm.MatchString(id) {
		return fmt.Errorf("basic_id %q is none: it looks like @123abcde", id)
	}
	return channel.CheckURL("api_url", s["api_url"], defaultURL)
}

func apiURL(s channel.Settings) string { return strings.TrimRight(s.Or("api_url", defaultURL), "/") }

// contentURL is where files are: LINE has a host of their own for them, a stand-in has one for all.
func contentURL(s channel.Settings) string {
	if base := apiURL(s); base != defaultURL {
		return base
	}
	return dataURL
}

// Link implements channel.Linker ("Use LINE features with the LINE URL scheme", opening a chat with a LINE official
// account): the text is already written, the customer has to send it.
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	id := a.Settings["basic_id"]
	if id == "" {
		return "", channel.CarriesNothing
	}
	link := "https://line.me/R/oaMessage/" + strings.ReplaceAll(url.PathEscape(id), "@", "%40") + "/"
	if o.Text == "" {
		return link, channel.CarriesNothing
	}
	return link + "?" + strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20"), channel.CarriesText
}

// Probe implements channel.Prober: it asks who we are ("Get bot info"), keeps the basic id, and sets the webhook URL ("Set
// webhook endpoint URL") where LINE has another one.
func (d Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	var bot struct {
		BasicID  string `json:"basicId"`
		ChatMode string `json:"chatMode"`
	}
	if err := d.ask(ctx, a, env, http.MethodGet, "/v2/bot/info", nil, &bot); err != nil {
		return err
	}
	if a.Settings["basic_id"] == "" && idForm.MatchString(bot.BasicID) && env.SaveSetting != nil {
		err := env.SaveSetting(ctx, "basic_id", bot.BasicID, func(stored string) bool { return stored == "" })
		if err != nil {
			return fmt.Errorf("keep the basic id: %w", err)
		}
	}
	if !strings.HasPrefix(env.WebhookURL, "https://") {
		return nil // LINE takes https only, so there is nothing to set
	}
	var hook struct {
		Endpoint string `json:"endpoint"`
		Active   bool   `json:"active"`
	}
	// "Get webhook endpoint information" answers 404 as long as there is none.
	if err := d.ask(ctx, a, env, http.MethodGet, "/v2/bot/channel/webhook/endpoint", nil, &hook); err != nil {
		var t *channel.Trouble
		if !errors.As(err, &t) || !errors.Is(t.Err, errNotFound) {
			return err
		}
	}
	if hook.Endpoint != env.WebhookURL {
		if err := d.ask(ctx, a, env, http.MethodPut, "/v2/bot/channel/webhook/endpoint", map[string]string{"endpoint": env.WebhookURL}, nil); err != nil {
			return err
		}
		if err := d.ask(ctx, a, env, http.MethodGet, "/v2/bot/channel/webhook/endpoint", nil, &hook); err != nil {
			return err
		}
	}
	if !hook.Active {
		return &channel.Trouble{
			Reason: channel.Text{DE: "LINE schickt uns nichts: Der Webhook ist dort nicht eingeschaltet.", EN: "LINE sends us nothing: the webhook is not switched on there."},
			Remedy: channel.Text{DE: "LINE Developers Console → Messaging API → „Use webhook“ einschalten.", EN: "LINE Developers Console → Messaging API → switch on \"Use webhook\"."},
		}
	}
	return nil
}

var errNotFound = errors.New("not found")

// ask makes a call that is no message. Its errors are *channel.Trouble.
func (Driver) ask(ctx context.Context, a channel.Account, env channel.Env, method, path string, body, into any) error {
	call := channel.Call{URL: apiURL(a.Settings) + path}
	if body != nil {
		call = channel.JSON(apiURL(a.Settings)+path, body)
	}
	call.Method = method
	answer, err := call.Bearer(a.Settings["channel_access_token"]).Do(ctx, env.HTTP)
	if err == nil && !answer.OK() {
		err = refusal(answer)
	}
	if err == nil && into != nil {
		if uerr := decode(answer.Body, into); uerr != nil {
			err = channel.Unexpected(answer, path)
		}
	}
	if err == nil {
		return nil
	}
	t := &channel.Trouble{Err: err,
		Reason: channel.Text{DE: "LINE ist nicht erreichbar oder lehnt ab.", EN: "LINE cannot be reached or refuses."},
		Remedy: channel.Text{DE: "Später erneut prüfen; api_url leer lassen.", EN: "Check again later; leave api_url empty."}}
	var se *channel.SendError
	if errors.As(err, &se) {
		if se.Code == strconv.Itoa(http.StatusNotFound) {
			t.Err = errNotFound
		}
		if se.Class == channel.Misconfig {
			t.Reason = se.Reason
			t.Remedy = channel.Text{
				DE: "Channel access token in der LINE Developers Console neu ausstellen und hier eintragen.",
				EN: "Issue a new channel access token in the LINE Developers Console and enter it here."}
		}
	}
	return t
}

var (
	_ channel.Driver  = Driver{}
	_ channel.Webhook = Driver{}
	_ channel.Sender  = Driver{}
	_ channel.Paced   = Driver{}
	_ channel.Fetcher = Driver{}
	_ channel.Prober  = Driver{}
	_ channel.Linker  = Driver{}
)
