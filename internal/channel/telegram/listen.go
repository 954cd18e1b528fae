package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// updateTypes are the updates that we ask for. message_reaction comes only if it is named (Bot API, getUpdates).
// Left out on purpose: channel posts, business accounts, inline mode, payments; polls of ours do not exist.
var updateTypes = []string{"message", "edited_message", "callback_query", "message_reaction", "my_chat_member"}

const (
	pollSeconds  = 25 // below the 30 s at which many proxies cut idle connections
	pollGrace    = 15 * time.Second
	pollLimit    = 100 // the most that getUpdates gives
	staleCursor  = 6 * 24 * time.Hour
	conflictWait = 5 * time.Second
	watchEvery   = 4 * time.Minute // an alert is due within five
	patience     = 5               // failures in a row before the channel turns red
)

// Listen implements channel.Listener. In mode poll it fetches updates until ctx ends, in mode webhook it registers the
// webhook and waits; mode auto takes the webhook where the public URL is one that Telegram accepts. Errors that a
// person can mend are *channel.Trouble.
func (d Driver) Listen(ctx context.Context, a channel.Account, cursor string, env channel.Env, sink channel.Sink) error {
	b := newBot(a, env)
	hook := useWebhook(a, env)
	if hook {
		err := d.register(ctx, b, a, env)
		switch {
		case err == nil:
			return d.watch(ctx, b, a, env)
		case a.Settings.Or("mode", "auto") == "auto" && refusedURL(err):
			env.Log.Warn("Telegram refuses the webhook URL, polling instead", "channel", a.ID, "error", err)
		default:
			return err
		}
	}
	if err := d.unregister(ctx, b); err != nil {
		return err
	}
	return d.poll(ctx, b, a, cursor, env, sink)
}

// useWebhook decides how updates come.
func useWebhook(a channel.Account, env channel.Env) bool {
	switch a.Settings.Or("mode", "auto") {
	case "webhook":
		return true
	case "poll":
		return false
	default:
		return publicHTTPS(env.WebhookURL)
	}
}

// publicHTTPS reports whether Telegram may accept a webhook URL: https, port 443, 80, 88 or 8443, and a host that is
// not obviously at home (Bot API, setWebhook, notes).
func publicHTTPS(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" {
		return false
	}
	switch u.Port() {
	case "", "443", "80", "88", "8443":
	default:
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Is4() && !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified()
	}
	for _, home := range []string{"localhost", "local", "internal", "lan", "home.arpa"} {
		if host == home || strings.HasSuffix(host, "."+home) {
			return false
		}
	}
	return strings.Contains(host, ".")
}

// webhookInfo is WebhookInfo.
type webhookInfo struct {
	URL            string   `json:"url"`
	Pending        int      `json:"pending_update_count"`
	LastErrorDate  unix     `json:"last_error_date"`
	LastError      string   `json:"last_error_message"`
	AllowedUpdates []string `json:"allowed_updates"`
}

// register tells Telegram our webhook. It does so at every start, since the secret that Telegram has cannot be read.
func (Driver) register(ctx context.Context, b bot, a channel.Account, env channel.Env) error {
	if env.WebhookURL == "" {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Für den Webhook fehlt die öffentliche Adresse.", EN: "The webhook lacks a public address."},
			Remedy: channel.Text{
				DE: "Starten Sie den Server mit --public-url https://… oder stellen Sie mode auf poll.",
				EN: "Start the server with --public-url https://… or set mode to poll.",
			},
		}
	}
	secrets := Secrets(a)
	if len(secrets) == 0 {
		return wrongToken(errors.New("no token"))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := b.call(ctx, "setWebhook", map[string]any{
		"url":             env.WebhookURL,
		"secret_token":    secrets[0],
		"allowed_updates": updateTypes,
		"max_connections": 40,
	}, nil)
	if err != nil {
		return trouble("register the webhook", err)
	}
	return nil
}

// watch waits while Telegram delivers to our webhook. Somebody else may remove or replace it, or revoke the token.
func (d Driver) watch(ctx context.Context, b bot, a channel.Account, env channel.Env) error {
	for {
		if err := wait(ctx, watchEvery); err != nil {
			return err
		}
		asking, cancel := context.WithTimeout(ctx, 30*time.Second)
		var info webhookInfo
		err := b.call(asking, "getWebhookInfo", struct{}{}, &info)
		cancel()
		var api *apiError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && info.URL != env.WebhookURL:
			env.Log.Warn("the webhook was changed by somebody else, registering it again", "channel", a.ID)
			if err := d.register(ctx, b, a, env); err != nil {
				return err
			}
		case errors.As(err, &api) && api.Code != 429 && api.Code < 500:
			return trouble("ask for the webhook", err)
		}
		// What else fails is for Probe: deliveries may well go on while we cannot reach Telegram.
	}
}

// unregister removes a webhook, as getUpdates does not work beside one. Pending updates are kept.
func (Driver) unregister(ctx context.Context, b bot) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var info webhookInfo
	if err := b.call(ctx, "getWebhookInfo", struct{}{}, &info); err != nil {
		return trouble("ask for the webhook", err)
	}
	if info.URL == "" {
		return nil
	}
	if err := b.call(ctx, "deleteWebhook", struct{}{}, nil); err != nil {
		return trouble("delete the webhook", err)
	}
	return nil
}

// poll fetches updates, one Inbound each, and confirms them with the offset of the next request.
func (d Driver) poll(ctx context.Context, b bot, a channel.Account, cursor string, env channel.Env, sink channel.Sink) error {
	var answers sync.WaitGroup
	defer answers.Wait()
	failures, conflicts := 0, 0
	for ctx.Err() == nil {
		updates, err := d.getUpdates(ctx, b, cursor, env.Now())
		var api *apiError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			failures, conflicts = 0, 0
		case errors.As(err, &api) && api.Code == 409:
			// A poll of our own earlier life may hang for a moment; a webhook may have been set meanwhile.
			if conflicts++; conflicts > 3 {
				return conflict(err)
			}
			if strings.Contains(api.Description, "webhook") {
				if err := d.unregister(ctx, b); err != nil {
					return err
				}
			} else if err := wait(ctx, conflictWait); err != nil {
				return err
			}
			continue
		case errors.As(err, &api) && api.Code == 429:
			failures = 0
			if err := wait(ctx, max(api.RetryAfter, time.Second)); err != nil {
				return err
			}
			continue
		case errors.As(err, &api) && api.Code < 500:
			return trouble("fetch updates", err)
		default:
			if failures++; failures >= patience {
				return trouble("fetch updates", err)
			}
			if err := wait(ctx, time.Second<<failures); err != nil {
				return err
			}
			continue
		}
		moved := len(updates) == 0
		for _, raw := range updates {
			in := channel.Inbound{Raw: raw, Type: "application/json"}
			in.Events, err = parse(raw)
			if err != nil {
				in.Err = err.Error()
			}
			if u, err := readUpdate(raw); err == nil {
				in.Cursor = formatCursor(u.ID, env.Now())
			}
			if err := sink(ctx, in); err != nil {
				return fmt.Errorf("store update: %w", err) // not confirmed: it comes again
			}
			if in.Cursor != "" {
				cursor, moved = in.Cursor, true
			}
			if query := queryOf(in.Events); query != "" {
				answers.Go(func() { answerQuery(ctx, b, query, env) })
			}
		}
		if !moved {
			// Nothing of the batch had an update_id, so nothing can be confirmed: do not turn in circles.
			if err := wait(ctx, time.Minute); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// getUpdates polls once.
func (Driver) getUpdates(ctx context.Context, b bot, cursor string, now time.Time) ([]json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, pollSeconds*time.Second+pollGrace)
	defer cancel()
	parameters := map[string]any{"timeout": pollSeconds, "limit": pollLimit, "allowed_updates": updateTypes}
	if offset, ok := offsetAfter(cursor, now); ok {
		parameters["offset"] = offset
	}
	var updates []json.RawMessage
	if err := b.call(ctx, "getUpdates", parameters, &updates); err != nil {
		return nil, err
	}
	return updates, nil
}

// A cursor is the last update_id and when it was seen: "123456789@1764000000".
func formatCursor(update id, now time.Time) string {
	return string(update) + "@" + strconv.FormatInt(now.Unix(), 10)
}

// offsetAfter is the offset that confirms everything up to the cursor. Without updates for a week the next update_id
// is chosen at random (Bot API, Update), perhaps below the cursor: an offset would then throw away what is new. So a
// cursor over six days old gives none; what comes twice is recognised by its key.
func offsetAfter(cursor string, now time.Time) (offset int64, ok bool) {
	update, seen, found := strings.Cut(cursor, "@")
	n, err := strconv.ParseInt(update, 10, 64)
	if err != nil || !found {
		return 0, false
	}
	at, err := strconv.ParseInt(seen, 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)) > staleCursor {
		return 0, false
	}
	return n + 1, true
}

// answerQuery stops the progress bar on a pressed button. It is a courtesy: what the button said is stored already.
func answerQuery(ctx context.Context, b bot, query string, env channel.Env) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := b.call(ctx, "answerCallbackQuery", map[string]string{"callback_query_id": query}, nil); err != nil {
		env.Log.Debug("callback query not answered", "error", err)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Probe implements channel.Prober: is the token right, and does the webhook arrive? It registers the webhook where the
// mode needs one and Telegram has another.
func (d Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	if err := d.Check(a.Settings); err != nil {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Die Einstellungen sind unvollständig.", EN: "The settings are incomplete."},
			Remedy: channel.Text{DE: "Einstellung berichtigen: " + err.Error(), EN: "Mend the setting: " + err.Error()},
			Err:    err,
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	b := newBot(a, env)
	var me user
	if err := b.call(ctx, "getMe", struct{}{}, &me); err != nil {
		return trouble("ask who the bot is", err)
	}
	if a.Settings["username"] == "" && env.SaveSetting != nil && nameForm.MatchString(me.Username) {
		if err := env.SaveSetting(ctx, "username", me.Username, func(stored string) bool { return stored == "" }); err != nil {
			return fmt.Errorf("keep the bot's name: %w", err)
		}
	}
	if !useWebhook(a, env) {
		return nil
	}
	var info webhookInfo
	if err := b.call(ctx, "getWebhookInfo", struct{}{}, &info); err != nil {
		return trouble("ask for the webhook", err)
	}
	if auto := a.Settings.Or("mode", "auto") == "auto"; info.URL == "" && auto {
		return nil // Listen is polling since Telegram refused the URL, or registers it right now
	}
	if info.URL != env.WebhookURL || !sameTypes(info.AllowedUpdates, updateTypes) {
		return d.register(ctx, b, a, env)
	}
	if info.Pending > 0 && info.LastErrorDate > 0 && env.Now().Sub(info.LastErrorDate.time()) < 10*time.Minute {
		return &channel.Trouble{
			Reason: channel.Text{
				DE: fmt.Sprintf("Telegram erreicht unseren Webhook nicht, %d Nachrichten warten dort.", info.Pending),
				EN: fmt.Sprintf("Telegram cannot reach our webhook, %d messages wait there.", info.Pending),
			},
			Remedy: channel.Text{
				DE: "Prüfen Sie Namen, Zertifikat und Weiterleitung der öffentlichen Adresse, oder stellen Sie mode auf poll.",
				EN: "Check name, certificate and forwarding of the public address, or set mode to poll.",
			},
			Err: errors.New(info.LastError),
		}
	}
	return nil
}

func sameTypes(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// trouble says what a person can do about a failed call.
func trouble(doing string, err error) error {
	wrapped := fmt.Errorf("%s: %w", doing, err)
	var api *apiError
	var refused interface{ NotSent() bool }
	if errors.As(err, &refused) && refused.NotSent() {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Der Server darf die Adresse unter api_url nicht erreichen.", EN: "The server is not allowed to reach the address in api_url."},
			Remedy: channel.Text{
				DE: "Leeren Sie api_url, oder starten Sie den Server mit --allow-private-targets, wenn die Adresse im eigenen Netz liegt.",
				EN: "Clear api_url, or start the server with --allow-private-targets if the address is in your own network.",
			},
			Err: wrapped,
		}
	}
	if !errors.As(err, &api) {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Telegram ist nicht erreichbar.", EN: "Telegram cannot be reached."},
			Remedy: channel.Text{
				DE: "Prüfen Sie, ob der Server https://api.telegram.org (oder api_url) erreicht; es wird weiter versucht.",
				EN: "Check that the server reaches https://api.telegram.org (or api_url); it keeps trying.",
			},
			Err: wrapped,
		}
	}
	switch {
	case api.Code == 401 || api.Code == 404: // 404 answers a token that does not even look like one
		return wrongToken(wrapped)
	case api.Code == 409:
		return conflict(wrapped)
	case api.Code == notTelegram:
		return &channel.Trouble{
			Reason: channel.Text{DE: "Unter api_url antwortet keine Bot-API.", EN: "There is no Bot API at api_url."},
			Remedy: channel.Text{
				DE: "Leeren Sie api_url oder tragen Sie die Adresse Ihres Bot-API-Servers ein.",
				EN: "Clear api_url or enter the address of your Bot API server.",
			},
			Err: wrapped,
		}
	case refusedURL(wrapped):
		return &channel.Trouble{
			Reason: channel.Text{DE: "Telegram nimmt die Webhook-Adresse nicht an.", EN: "Telegram refuses the webhook address."},
			Remedy: channel.Text{
				DE: "Nötig ist eine öffentliche https-Adresse mit gültigem Zertifikat auf Port 443, 80, 88 oder 8443; sonst mode auf poll stellen.",
				EN: "It takes a public https address with a valid certificate on port 443, 80, 88 or 8443; otherwise set mode to poll.",
			},
			Err: wrapped,
		}
	}
	return &channel.Trouble{
		Reason: channel.Text{DE: "Telegram lehnt die Anfrage ab.", EN: "Telegram refuses the request."},
		Remedy: channel.Text{
			DE: "Es wird weiter versucht. Bleibt es dabei, prüfen Sie den Bot bei @BotFather.",
			EN: "It keeps trying. If this stays, check the bot with @BotFather.",
		},
		Err: wrapped,
	}
}

// refusedURL reports whether setWebhook did not like the URL: "Bad Request: bad webhook: …".
func refusedURL(err error) bool {
	var api *apiError
	return errors.As(err, &api) && api.Code == 400 && strings.Contains(api.Description, "webhook")
}

func wrongToken(err error) error {
	return &channel.Trouble{
		Reason: channel.Text{DE: "Das Token des Bots ist falsch.", EN: "The bot's token is wrong."},
		Remedy: channel.Text{
			DE: "Holen Sie es bei @BotFather unter /mybots → API Token und tragen Sie es neu ein.",
			EN: "Get it from @BotFather at /mybots → API Token and enter it again.",
		},
		Err: err,
	}
}

func conflict(err error) error {
	return &channel.Trouble{
		Reason: channel.Text{
			DE: "Ein anderes Programm holt die Nachrichten dieses Bots ab.",
			EN: "Another program fetches the messages of this bot.",
		},
		Remedy: channel.Text{
			DE: "Beenden Sie es, oder widerrufen Sie das Token bei @BotFather (/revoke) und tragen Sie das neue hier ein.",
			EN: "Stop it, or revoke the token with @BotFather (/revoke) and enter the new one here.",
		},
		Err: err,
	}
}
