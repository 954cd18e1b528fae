package viber

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

func endpoint(a channel.Account, method string) string {
	return strings.TrimRight(a.Settings.Or("api_url", defaultAPI), "/") + "/pa/" + method
}

// outbound is the body of send_message ("Send a Message").
type outbound struct {
	Receiver string    `json:"receiver"`
	MinAPI   int       `json:"min_api_version"`
	Sender   sender    `json:"sender"`
	Type     string    `json:"type"`
	Text     string    `json:"text"`
	Keyboard *keyboard `json:"keyboard,omitempty"`
}

type sender struct {
	Name string `json:"name"`
}

type keyboard struct {
	Type          string   `json:"Type"`
	DefaultHeight bool     `json:"DefaultHeight"`
	Buttons       []button `json:"Buttons"`
}

type button struct {
	Columns    int    `json:"Columns"`
	Rows       int    `json:"Rows"`
	ActionType string `json:"ActionType"`
	ActionBody string `json:"ActionBody"`
	Text       string `json:"Text"`
	Silent     bool   `json:"Silent"`
}

// silentAPI is the API level from which Silent works, so that the customer does not see ActionBody in the chat.
const silentAPI = 6

// Send implements channel.Sender.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	name := channel.CleanName(out.AuthorName)
	if name == "" {
		name = channel.CleanName(a.Name)
	}
	if name == "" {
		name = "Service"
	}
	if r := []rune(name); len(r) > senderMax {
		name = strings.TrimSpace(string(r[:senderMax-1])) + "…"
	}
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		body := outbound{Receiver: out.To.Value, MinAPI: 1, Sender: sender{name}, Type: "text", Text: p.Text}
		if len(p.Choices) > 0 {
			body.MinAPI = silentAPI
			body.Keyboard = &keyboard{Type: "keyboard", Buttons: buttons(token(a), out.To.Value, p.Choices)}
		}
		id, err := d.post(ctx, a, body, env)
		var failure *channel.SendError
		if errors.As(err, &failure) && (failure.Code == "13" || failure.Code == "14") && body.MinAPI > 1 && (env.Next == nil || env.Next(ctx) == nil) {
			body.MinAPI = 1 // an old app: the buttons work there, too, though not silently
			return d.post(ctx, a, body, env)
		}
		return id, err
	})
}

func buttons(token, person string, choices []channel.Choice) []button {
	columns := 6 // one in a row
	if len(choices) > rowMax {
		columns = 3
	}
	var out []button
	for _, c := range choices {
		// Text is HTML ("Keyboards").
		out = append(out, button{Columns: columns, Rows: 1, ActionType: "reply", ActionBody: actionBody(token, person, c), Text: html.EscapeString(c.Label), Silent: true})
	}
	return out
}

func (Driver) post(ctx context.Context, a channel.Account, body outbound, env channel.Env) (string, error) {
	var result struct {
		Token json.Number `json:"message_token"`
	}
	if err := call(ctx, a, env, "send_message", body, &result); err != nil {
		return "", err
	}
	if result.Token == "" {
		return "", channel.Uncertainly(errors.New("send_message: the answer has no message_token"))
	}
	return result.Token.String(), nil
}

// call makes a request and reads its result; its error is always a *SendError. Viber answers 200 and says in the body
// how it went.
func call(ctx context.Context, a channel.Account, env channel.Env, method string, body, result any) error {
	answer, err := channel.JSON(endpoint(a, method), body).With("X-Viber-Auth-Token", token(a), token(a)).Do(ctx, env.HTTP)
	if err != nil {
		return err
	}
	var said struct {
		Status  *int   `json:"status"`
		Message string `json:"status_message"`
	}
	if json.Unmarshal(answer.Body, &said) != nil || said.Status == nil || answer.Status >= 500 {
		return channel.Unexpected(answer, method)
	}
	if *said.Status != 0 {
		return classify(*said.Status, strings.ReplaceAll(said.Message, token(a), "<secret>"), answer, method)
	}
	if !answer.OK() {
		return channel.Unexpected(answer, method)
	}
	if err := json.Unmarshal(answer.Body, result); err != nil {
		return channel.Uncertainly(fmt.Errorf("%s: the answer cannot be read", method))
	}
	return nil
}

// classify says what may be done about a status ("Error codes").
func classify(status int, message string, answer channel.Answer, method string) *channel.SendError {
	e := &channel.SendError{Code: strconv.Itoa(status), Err: fmt.Errorf("%s: %.300s", method, message)}
	set := func(class channel.Class, de, en string) *channel.SendError {
		e.Class, e.Reason = class, channel.Text{DE: de, EN: en}
		return e
	}
	switch status {
	case 1: // invalidUrl
		return set(channel.Misconfig, "Viber nimmt die Adresse unseres Webhooks nicht an.", "Viber does not accept the address of our webhook.")
	case 2: // invalidAuthToken
		return set(channel.Misconfig, "Das Token des Bots (auth_token) ist falsch.", "The bot's token (auth_token) is wrong.")
	case 5: // receiverNotRegistered
		return set(channel.NotHere, "Diese Person gibt es bei Viber nicht.", "This person does not exist at Viber.")
	case 6: // receiverNotSubscribed
		return set(channel.Blocked, "Die Person hat den Bot nicht abonniert oder abbestellt.", "The person has not subscribed to the bot, or has left it.")
	case 7, 8, 9, 15, 17, 18: // publicAccountBlocked, NotFound, Suspended, NotAuthorized, IsNotInline, noPublicChat
		return set(channel.Misconfig, "Viber hat den Bot gesperrt oder kennt ihn nicht: Wenden Sie sich an Viber.", "Viber has blocked the bot or does not know it: ask Viber.")
	case 10: // webhookNotSet
		return set(channel.Misconfig, "Bei Viber ist kein Webhook eingetragen; ohne ihn darf nicht gesendet werden.", "Viber has no webhook of ours; without it nothing may be sent.")
	case 11: // receiverNoSuitableDevice
		return set(channel.NotHere, "Das Gerät der Person kann keine Nachrichten von Bots zeigen.", "The person's device cannot show messages of bots.")
	case 12: // tooManyRequests: mostly 100 messages in an hour without an answer
		if e.RetryAfter = answer.RetryAfter(); e.RetryAfter == 0 {
			e.RetryAfter = 10 * time.Minute
		}
		return set(channel.RateLimited, "Viber bittet um eine Pause.", "Viber asks for a pause.")
	case 13, 14: // apiVersionNotSupported, incompatibleWithVersion
		return set(channel.Permanent, "Die Viber-App der Person ist zu alt für diese Nachricht.", "The person's Viber app is too old for this message.")
	case 21: // unsupportedCountry
		return set(channel.Permanent, "Viber erlaubt Bots in diesem Land nicht.", "Viber does not allow bots in this country.")
	case 23, 24: // freeMessagesExceeded, noBalance
		return set(channel.Misconfig, "Das Guthaben oder die freien Nachrichten des Bots bei Viber sind aufgebraucht.", "The bot's balance or free messages at Viber are used up.")
	case 3, 4, 16, 19, 20, 22:
		return set(channel.Permanent, "Viber nimmt die Nachricht so nicht an.", "Viber does not accept the message like this.")
	}
	return channel.Uncertainly(fmt.Errorf("%s: status %d: %w", method, status, e.Err)) // "General error"
}

// wanted are the callbacks that we ask for; "message" and "webhook" always come.
var wanted = []string{"delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"}

// Probe implements channel.Prober: asks for the bot, registers our webhook where it is not, and keeps the bot's name for
// links.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	var info struct {
		URI     string   `json:"uri"`
		Webhook string   `json:"webhook"`
		Events  []string `json:"event_types"`
	}
	if err := call(ctx, a, env, "get_account_info", struct{}{}, &info); err != nil {
		return trouble(err, channel.Text{
			DE: "Kopieren Sie das Token neu: Viber → Mehr → Einstellungen → Bots → Info bearbeiten → App-Key.",
			EN: "Copy the token again: Viber → More → Settings → Bots → Edit info → Your app key.",
		})
	}
	if info.URI != "" && uriForm.MatchString(info.URI) && a.Settings["uri"] == "" && env.SaveSetting != nil {
		if err := env.SaveSetting(ctx, "uri", info.URI, func(stored string) bool { return stored == "" }); err != nil {
			return fmt.Errorf("keep the bot's name: %w", err)
		}
	}
	if env.WebhookURL == "" {
		return &channel.Trouble{Reason: channel.Text{
			DE: "Viber kann uns nicht erreichen: Es ist keine öffentliche Adresse bekannt.",
			EN: "Viber cannot reach us: no public address is known.",
		}, Remedy: channel.Text{
			DE: "Geben Sie beim Start die öffentliche https-Adresse an (--public-url).",
			EN: "Give the public https address at the start (--public-url).",
		}}
	}
	missing := slices.ContainsFunc(wanted, func(e string) bool { return !slices.Contains(info.Events, e) })
	if info.Webhook == env.WebhookURL && !missing {
		return nil
	}
	var ok struct{}
	err := call(ctx, a, env, "set_webhook", map[string]any{"url": env.WebhookURL, "event_types": wanted, "send_name": true, "send_photo": false}, &ok)
	return trouble(err, channel.Text{
		DE: "Viber ruft " + env.WebhookURL + " an und braucht die Antwort 200: Die Adresse muss von außen über https mit einem öffentlich anerkannten Zertifikat erreichbar sein.",
		EN: "Viber calls " + env.WebhookURL + " and needs the answer 200: the address has to be reachable from outside over https with a publicly trusted certificate.",
	})
}

// trouble says what to do about an error that is the settings' fault.
func trouble(err error, remedy channel.Text) error {
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Class == channel.Misconfig {
		return &channel.Trouble{Reason: failure.Reason, Remedy: remedy, Err: err}
	}
	return err
}
