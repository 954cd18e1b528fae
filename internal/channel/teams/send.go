package teams

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Send implements channel.Sender. The address is the personal chat, and the global connector serves all regions
// ("Proactive messages"), so nothing of what once came has to be known.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	if !conversationForm.MatchString(out.To.Value) {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%q is no id of a personal chat, such as a:1pL6i0oY3C0K8oAj8", out.To.Value),
			Reason: channel.Text{DE: "Das ist kein Chat in Teams.", EN: "This is no chat in Teams."}}
	}
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	c := newConnector(a, env)
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		return c.part(ctx, out.To.Value, p)
	})
}

// part sends one activity ("Send to conversation").
func (c connector) part(ctx context.Context, to string, p channel.Part) (string, error) {
	answer, err := c.post(ctx, c.service+"/v3/conversations/"+url.PathEscape(to)+"/activities", render(p))
	if err != nil {
		return "", err
	}
	if !answer.OK() {
		return "", refused(answer)
	}
	var sent struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer.Body, &sent); err != nil || sent.ID == "" {
		return "", channel.Uncertainly(errors.New("accepted without an id"))
	}
	return to + ";" + sent.ID, nil
}

type object map[string]any

// render makes the activity. Text and card never share one: Teams would split it and tell no id.
func render(p channel.Part) object {
	if len(p.Choices) > 0 {
		return object{"type": "message", "summary": cut(p.Text, 200), "attachments": []any{object{"contentType": "application/vnd.microsoft.card.adaptive", "content": card(p)}}}
	}
	m := object{"type": "message", "text": markup(p.Text), "textFormat": "xml"}
	if channel.Length(m["text"].(string), channel.UTF16)*2 > payloadMax*8/10 {
		m["text"], m["textFormat"] = p.Text, "plain" // so much of it had to be escaped
	}
	return m
}

// cut is the beginning of a text.
func cut(text string, n int) string {
	if list := channel.Split(text, n, channel.UTF16); len(list) > 0 {
		return list[0]
	}
	return ""
}

var linkForm = regexp.MustCompile(`https?://[^\s<>"]*[^\s<>".,;:!?)\]}']`)

// markup keeps line breaks and makes addresses links, and everything else literal ("Format your bot messages", xml).
func markup(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range linkForm.FindAllStringIndex(text, -1) {
		link := html.EscapeString(text[m[0]:m[1]])
		b.WriteString(literal(text[at:m[0]]) + `<a href="` + link + `">` + link + "</a>")
		at = m[1]
	}
	b.WriteString(literal(text[at:]))
	return b.String()
}

func literal(s string) string {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r", ""), "\n", "<br>")
}

// card is an Adaptive Card. Its text is made of text runs, in which nothing is markup (schema, TextRun).
func card(p channel.Part) object {
	var body []any
	spacing := "none"
	for line := range strings.Lines(p.Text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			spacing = "medium"
			continue
		}
		var runs []any
		at := 0
		for _, m := range linkForm.FindAllStringIndex(line, -1) {
			if m[0] > at {
				runs = append(runs, object{"type": "TextRun", "text": line[at:m[0]]})
			}
			link := line[m[0]:m[1]]
			runs = append(runs, object{"type": "TextRun", "text": link, "color": "accent", "selectAction": object{"type": "Action.OpenUrl", "url": link}})
			at = m[1]
		}
		if at < len(line) {
			runs = append(runs, object{"type": "TextRun", "text": line[at:]})
		}
		body = append(body, object{"type": "RichTextBlock", "spacing": spacing, "inlines": runs})
		spacing = "none"
	}
	var actions []any
	for _, c := range p.Choices {
		actions = append(actions, object{"type": "Action.Submit", "title": c.Label, "data": submitted{c.Data, c.Label}})
	}
	return object{"type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "version": "1.4", "body": body, "actions": actions}
}

// connector is the Bot Framework Connector for an account.
type connector struct {
	service  string // the connector
	login    string // + /{tenant}/oauth2/v2.0/token
	openID   string // + /v1/.well-known/openidconfiguration
	standIn  string // scheme and host of api_url
	settings channel.Settings
	env      channel.Env
}

func newConnector(a channel.Account, env channel.Env) connector {
	c := connector{service: connectorURL, login: loginURL, openID: openIDURL, settings: a.Settings, env: env}
	if base := strings.TrimRight(a.Settings["api_url"], "/"); base != "" {
		c.service, c.login, c.openID = base+"/teams", base, base
		if u, err := url.Parse(base); err == nil {
			c.standIn = u.Scheme + "://" + u.Host
		}
	}
	if s := strings.TrimRight(a.Settings["service_url"], "/"); s != "" {
		c.service = s
	}
	return c
}

// post sends JSON with the access token; with a new one if the old one was not taken.
func (c connector) post(ctx context.Context, to string, v any) (channel.Answer, error) {
	for try := 1; ; try++ {
		t, err := c.token(ctx)
		if err != nil {
			return channel.Answer{}, err
		}
		answer, err := channel.JSON(to, v).Bearer(t).Do(ctx, c.env.HTTP)
		if err != nil || answer.Status != http.StatusUnauthorized || try > 1 {
			return answer, err
		}
		c.forget(t)
	}
}

// token gives the access token ("Authenticate requests from your bot to the Bot Connector service"), which is good for an
// hour or a day. Whatever fails here, nothing was sent.
func (c connector) token(ctx context.Context) (string, error) {
	t := c.access()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && c.env.Now().Before(t.renew) {
		return t.value, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.settings["app_id"]}, "client_secret": {c.settings["app_password"]}, "scope": {issuer + "/.default"}}
	answer, err := channel.Call{URL: c.login + "/" + c.settings.Or("tenant_id", multiTenant) + "/oauth2/v2.0/token", Type: "application/x-www-form-urlencoded",
		Body: []byte(form.Encode()), Secrets: []string{c.settings["app_password"]}}.Do(ctx, c.env.HTTP)
	if err != nil {
		return "", unsent(err)
	}
	var said struct {
		Token       string      `json:"access_token"`
		Expires     json.Number `json:"expires_in"`
		Error       string      `json:"error"`
		Description string      `json:"error_description"`
	}
	err = json.Unmarshal(answer.Body, &said)
	switch {
	case answer.Status == http.StatusTooManyRequests:
		return "", limited(answer)
	case answer.Status >= 400 && answer.Status < 500:
		description, _, _ := strings.Cut(said.Description, "\r\n") // below it are trace ids
		return "", &channel.SendError{Class: channel.Misconfig, Code: or(said.Error, strconv.Itoa(answer.Status)), Err: fmt.Errorf("sign-in: %s", or(cut(description, 300), said.Error)),
			Reason: channel.Text{DE: "Microsoft nimmt app_id, app_password oder tenant_id nicht an.", EN: "Microsoft does not accept app_id, app_password or tenant_id."}}
	case !answer.OK() || err != nil || said.Token == "":
		return "", unsent(channel.Uncertainly(fmt.Errorf("sign-in answered %d", answer.Status)))
	}
	seconds, err := said.Expires.Int64()
	if err != nil || seconds <= 0 || seconds > 48*3600 {
		seconds = 600
	}
	life := time.Duration(seconds) * time.Second
	t.value, t.renew = said.Token, c.env.Now().Add(life-min(life/4, 5*time.Minute))
	return t.value, nil
}

// unsent makes a failure of the sign-in one that may be tried again.
func unsent(err error) error {
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Class == channel.Unknown {
		e := *failure
		e.Class, e.Reason = channel.Temporary, channel.Text{
			DE: "Die Anmeldung bei Microsoft gelang nicht; es wird erneut versucht.", EN: "The sign-in at Microsoft failed; it is tried again."}
		return &e
	}
	return err
}

// access is an access token in memory.
type access struct {
	mu    sync.Mutex
	value string
	renew time.Time
}

var tokens = struct {
	sync.Mutex
	list map[string]*access
}{list: map[string]*access{}}

func (c connector) access() *access {
	h := sha256.New()
	for _, v := range []string{c.settings["app_id"], c.settings["app_password"], c.settings["tenant_id"]} {
		fmt.Fprintf(h, "%d:%s", len(v), v)
	}
	key := hex.EncodeToString(h.Sum(nil))
	tokens.Lock()
	defer tokens.Unlock()
	t := tokens.list[key]
	if t == nil {
		if len(tokens.list) >= 1000 {
			clear(tokens.list)
		}
		t = &access{}
		tokens.list[key] = t
	}
	return t
}

// forget drops a token that was not taken.
func (c connector) forget(value string) {
	t := c.access()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value == value {
		t.value = ""
	}
}

func limited(answer channel.Answer) *channel.SendError {
	return &channel.SendError{Class: channel.RateLimited, Code: "429", RetryAfter: max(answer.RetryAfter(), time.Second), Err: errors.New("rate limited"),
		Reason: channel.Text{DE: "Teams bittet um eine Pause; es wird erneut versucht.", EN: "Teams asks for a pause; it is tried again."}}
}

// refused says what may be done about an answer ("Status codes from bot conversational APIs").
func refused(answer channel.Answer) *channel.SendError {
	var said struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
		Message string `json:"message"` // holds JSON with a subCode where a chat is blocked
	}
	readable := json.Unmarshal(answer.Body, &said) == nil
	code := said.Error.Code
	if code == "" && said.Message != "" {
		var inner struct {
			Code string `json:"subCode"`
		}
		if json.Unmarshal([]byte(said.Message), &inner) == nil {
			code = inner.Code
		}
	}
	text := channel.CleanName(or(said.Error.Message, code))
	e := &channel.SendError{Code: or(code, strconv.Itoa(answer.Status)), Err: fmt.Errorf("the connector answered %d %s: %s", answer.Status, code, text)}
	set := func(class channel.Class, de, en string) *channel.SendError {
		e.Class, e.Reason = class, channel.Text{DE: de, EN: en}
		return e
	}
	switch {
	case answer.Status == http.StatusTooManyRequests:
		return limited(answer)
	case answer.Status == http.StatusPreconditionFailed: // several operations in one chat at a time
		return set(channel.Temporary, "Teams war mit diesem Chat beschäftigt; es wird erneut versucht.", "Teams was busy with this chat; it is tried again.")
	case answer.Status == http.StatusRequestEntityTooLarge:
		return set(channel.Permanent, "Die Nachricht ist für Teams zu groß.", "The message is too large for Teams.")
	case answer.Status == http.StatusUnauthorized:
		return set(channel.Misconfig, "Teams kennt diesen Bot nicht: Prüfen Sie app_id und ob der Kanal Teams in Azure eingeschaltet ist.",
			"Teams does not know this bot: check app_id and whether the channel Teams is switched on in Azure.")
	case answer.Status == http.StatusForbidden:
		switch code {
		case "BotNotInConversationRoster", "ForbiddenOperationException":
			return set(channel.NotHere, "Die App ist bei dieser Person nicht installiert.", "The app is not installed for this person.")
		case "InvalidBotApiHost":
			return set(channel.Misconfig, "Dieser Mandant liegt in der Behörden-Cloud: Tragen Sie service_url ein.", "This tenant is in the government cloud: set service_url.")
		case "NotEnoughPermissions":
			return set(channel.Misconfig, "Dem Bot fehlt eine Berechtigung: "+text, "The bot lacks a permission: "+text)
		case "BotDisabledByAdmin":
			return set(channel.Blocked, "Die Administration des Mandanten hat die App gesperrt.", "The tenant's administrators have blocked the app.")
		}
		// MessageWritesBlocked, ConversationBlockedByUser, BotDisabledByUser; some come without a code.
		return set(channel.Blocked, "Die Person hat den Bot blockiert oder entfernt.", "The person has blocked or removed the bot.")
	case answer.Status == http.StatusNotFound && readable:
		return set(channel.NotHere, "Diesen Chat gibt es in Teams nicht (mehr).", "This chat does not exist in Teams (any more).")
	case answer.Status >= 400 && answer.Status < 500 && !readable:
		return set(channel.Misconfig, "Unter service_url oder api_url antwortet nicht der Connector.", "It is not the connector that answers at service_url or api_url.")
	case answer.Status >= 400 && answer.Status < 500:
		return set(channel.Permanent, "Teams nimmt die Nachricht nicht an: "+text, "Teams does not accept the message: "+text)
	}
	// 502, 503 and 504 "should be retried", but nothing says that they mean "not accepted".
	unknown := channel.Uncertainly(e.Err)
	unknown.Code = e.Code
	return unknown
}

// FetchMedia implements channel.Fetcher. Files have an address that needs no token; pictures in the text lie at the
// connector, which wants it.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	c := newConnector(a, env)
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme+"://"+u.Host != c.standIn {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("the file has no https address"), Reason: channel.Text{
			DE: "Die Adresse der Datei ist keine.", EN: "The file's address is none."}}
	}
	if !c.trusts(u) {
		return channel.Call{URL: remote}.Media(ctx, env.HTTP, downloadMax)
	}
	for try := 1; ; try++ {
		t, err := c.token(ctx)
		if err != nil {
			return nil, err
		}
		f, err := channel.Call{URL: remote}.Bearer(t).Media(ctx, env.HTTP, downloadMax)
		var failure *channel.SendError
		if err == nil || try > 1 || !errors.As(err, &failure) || failure.Code != "401" {
			return f, err
		}
		c.forget(t)
	}
}

// trusts reports whether the access token may be shown to a host: the connector's.
func (c connector) trusts(u *url.URL) bool {
	if c.standIn != "" && u.Scheme+"://"+u.Host == c.standIn {
		return strings.Contains(u.Path, "/v3/attachments/")
	}
	host := strings.ToLower(u.Host)
	return u.Scheme == "https" && (host == "smba.trafficmanager.net" || strings.HasSuffix(host, ".botframework.com") || strings.HasSuffix(host, ".teams.microsoft.com"))
}

// Probe implements channel.Prober: it signs in, and fetches the keys with which Microsoft signs ("Get the OpenID metadata
// document"), for Verify.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	c := newConnector(a, env)
	keys := c.renewKeys(ctx)
	_, err := c.token(ctx)
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Class == channel.Misconfig {
		return &channel.Trouble{Reason: failure.Reason, Err: err, Remedy: channel.Text{
			DE: "Im Azure-Portal unter „Zertifikate & Geheimnisse“ nachsehen, ob der geheime Clientschlüssel abgelaufen ist; seinen Wert neu eintragen. Bei einem Bot für einen Mandanten auch tenant_id.",
			EN: "See in the Azure portal under “Certificates & secrets” whether the client secret has expired; enter its value again. For a single-tenant bot tenant_id, too."}}
	}
	if err == nil && keys != nil && a.Settings["jwks"] == "" {
		return &channel.Trouble{Err: keys,
			Reason: channel.Text{DE: "Die Schlüssel, mit denen sich Microsoft ausweist, sind noch nicht bekannt; bis dahin kommt nichts an.", EN: "The keys by which Microsoft proves itself are not known yet; until then nothing comes in."},
			Remedy: channel.Text{DE: "Der Server muss " + openIDURL + " erreichen.", EN: "The server must be able to reach " + openIDURL + "."}}
	}
	return errors.Join(err, keys)
}

// renewKeys fetches the keys and keeps them as the setting jwks.
func (c connector) renewKeys(ctx context.Context) error {
	get := func(from string, v any) error {
		answer, err := channel.Call{Method: http.MethodGet, URL: from}.Do(ctx, c.env.HTTP)
		if err != nil {
			return err
		}
		if !answer.OK() {
			return fmt.Errorf("the keys' server answered %d", answer.Status)
		}
		return json.Unmarshal(answer.Body, v)
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := get(c.openID+"/v1/.well-known/openidconfiguration", &metadata); err != nil {
		return fmt.Errorf("fetch the OpenID metadata: %w", err)
	}
	u, err := url.Parse(metadata.Keys)
	if err != nil || metadata.Issuer != issuer || u.Scheme+"://"+u.Host != c.standIn && (u.Scheme != "https" || !strings.HasSuffix(u.Host, ".botframework.com")) {
		return errors.New("fetch the OpenID metadata: it is not that of the Bot Framework")
	}
	var set jwks
	if err := get(metadata.Keys, &set); err != nil {
		return fmt.Errorf("fetch the keys: %w", err)
	}
	keep := set.keep()
	if keep == "" {
		return errors.New("fetch the keys: none of them is endorsed for Teams")
	}
	if keep == c.settings["jwks"] || c.env.SaveSetting == nil {
		return nil
	}
	return c.env.SaveSetting(ctx, "jwks", keep, func(stored string) bool { return stored != keep })
}
