package teamssim

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// ServeHTTP is the sign-in, the OpenID metadata, the connector below /teams/, and files below /files/.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	chat, isChat := strings.CutPrefix(path, "/teams/v3/conversations/")
	switch {
	case path == "/v1/.well-known/openidconfiguration":
		s.Do(w, r, "keys", func() channelsim.Response {
			return channelsim.Response{Body: mustJSON(map[string]any{"issuer": "https://api.botframework.com", "jwks_uri": s.base + "/v1/.well-known/keys",
				"id_token_signing_alg_values_supported": []string{"RS256"}})}
		})
	case path == "/v1/.well-known/keys":
		s.Do(w, r, "keys", func() channelsim.Response { return channelsim.Response{Body: keySet(s.key)} })
	case strings.HasSuffix(path, "/oauth2/v2.0/token"):
		s.Do(w, r, "token", func() channelsim.Response { return s.signIn(r) })
	case isChat && strings.HasSuffix(chat, "/activities"):
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		s.Do(w, r, "message", func() channelsim.Response { return s.send(r, strings.TrimSuffix(chat, "/activities"), body) })
	case strings.HasPrefix(path, "/teams/v3/attachments/"), strings.HasPrefix(path, "/files/"):
		s.Do(w, r, "media", func() channelsim.Response { return s.download(r) })
	default:
		http.NotFound(w, r)
	}
}

func fail(status int, code, message string) channelsim.Response {
	return channelsim.Response{Status: status, Body: mustJSON(map[string]any{"error": map[string]string{"code": code, "message": message}})}
}

// signIn is the token endpoint ("Request an access token").
func (s *Sim) signIn(r *http.Request) channelsim.Response {
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	form, err := url.ParseQuery(string(raw))
	refuse := func(status int, code, description string) channelsim.Response {
		return channelsim.Response{Status: status, Body: mustJSON(map[string]any{"error": code, "error_description": description + "\r\nTrace ID: 255d1aef"})}
	}
	tenant := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")[0]
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil || r.Method != http.MethodPost || mediaType != "application/x-www-form-urlencoded" || form.Get("grant_type") != "client_credentials":
		return refuse(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
	case tenant != Tenant && tenant != "botframework.com":
		return refuse(400, "invalid_request", "AADSTS90002: Tenant '"+tenant+"' not found.")
	case form.Get("client_id") != AppID:
		return refuse(400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.")
	case form.Get("client_secret") != s.Password:
		return refuse(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
	case form.Get("scope") != "https://api.botframework.com/.default":
		return refuse(400, "invalid_scope", "AADSTS70011: The provided value for the input parameter 'scope' is not valid.")
	}
	s.Lock()
	defer s.Unlock()
	s.signIns++
	token := fmt.Sprintf("access-%d-%d", s.Serial(), s.Now().UnixNano())
	s.access[token] = s.Now().Add(s.Lifetime)
	return channelsim.Response{Body: mustJSON(map[string]any{"token_type": "Bearer", "expires_in": int(s.Lifetime.Seconds()), "ext_expires_in": int(s.Lifetime.Seconds()), "access_token": token})}
}

// authorized looks at an access token. The caller holds the mutex.
func (s *Sim) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && s.Now().Before(s.access[token])
}

// send is "Send to conversation".
func (s *Sim) send(r *http.Request, chat string, body []byte) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	if !s.authorized(r) {
		return channelsim.Response{Status: http.StatusUnauthorized, Body: []byte(`{"message":"Authorization has been denied for this request."}`)}
	}
	id, err := url.PathUnescape(chat)
	c := s.chats[id]
	switch {
	case err != nil || c == nil:
		return fail(404, "ConversationNotFound", "Conversation not found.")
	case c.gone:
		return fail(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")
	case c.Blocked: // "Understand who blocked, muted, or uninstalled a bot"
		return channelsim.Response{Status: 403, Body: mustJSON(map[string]any{"errorCode": 209,
			"message": "{\r\n  \"subCode\": \"MessageWritesBlocked\",\r\n  \"details\": \"Thread is blocked from message writes.\",\r\n  \"errorCode\": null,\r\n  \"errorSubCode\": null\r\n}"})}
	case !utf8.Valid(body) || r.Method != http.MethodPost:
		return fail(400, "Bad Argument", "Unknown activity type")
	case len(utf16.Encode([]rune(string(body))))*2 > 100<<10: // "the entire message payload encoded as UTF-16"
		return fail(413, "MessageSizeTooBig", "Message size too large.")
	}
	m, problem := read(body)
	if problem != "" {
		return fail(400, "Bad Argument", problem)
	}
	var wait time.Duration
	if s.PerApp >= 0 {
		wait = s.Take("app", s.PerApp, s.PerApp)
	}
	if s.PerChat >= 0 {
		wait = max(wait, s.Take("chat "+id, s.PerChat, 7))
	}
	if wait > 0 {
		answer := fail(429, "Throttled", "Too many requests.")
		answer.Header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(wait.Seconds())))}}
		return answer
	}
	stamp := s.stamp()
	m.Ref, m.At = id+";"+stamp, s.Now()
	c.Got = append(c.Got, m)
	s.Accept(channelsim.Accepted{Op: "message", To: id, Ref: m.Ref, Text: m.Text})
	return channelsim.Response{Status: http.StatusCreated, Body: mustJSON(map[string]string{"id": stamp})}
}

// read reads an activity as people see it.
func read(body []byte) (m channelsim.Message, problem string) {
	var a struct {
		Type        string `json:"type"`
		Text        string `json:"text"`
		Format      string `json:"textFormat"`
		Attachments []struct {
			Type    string          `json:"contentType"`
			Content json.RawMessage `json:"content"`
		} `json:"attachments"`
	}
	switch err := json.Unmarshal(body, &a); {
	case err != nil || a.Type != "message":
		return m, "Unknown activity type"
	case strings.TrimSpace(a.Text) == "" && len(a.Attachments) == 0:
		return m, "Activity must include non empty 'text' field or at least 1 attachment"
	case a.Text != "" && len(a.Attachments) > 0:
		return m, "the simulator takes no activity that Teams would split"
	}
	switch a.Format {
	case "plain":
		m.Text = a.Text
	case "xml":
		m.Text = display(a.Text)
	default:
		m.Text = "[markdown]" + a.Text
	}
	for _, f := range a.Attachments {
		if f.Type != "application/vnd.microsoft.card.adaptive" {
			return m, "unsupported attachment " + f.Type
		}
		if m.Text, m.Choices, problem = card(f.Content); problem != "" {
			return m, problem
		}
	}
	return m, ""
}

// card reads an Adaptive Card.
func card(content []byte) (text string, choices []channel.Choice, problem string) {
	var c struct {
		Type    string `json:"type"`
		Version string `json:"version"`
		Body    []struct {
			Type    string `json:"type"`
			Inlines []struct {
				Type string `json:"type"`
				Text string `json:"text"`
			} `json:"inlines"`
		} `json:"body"`
		Actions []struct {
			Type  string          `json:"type"`
			Title string          `json:"title"`
			Data  json.RawMessage `json:"data"`
		} `json:"actions"`
	}
	if json.Unmarshal(content, &c) != nil || c.Type != "AdaptiveCard" || c.Version == "" {
		return "", nil, "Invalid card"
	}
	if len(c.Actions) > 6 {
		return "", nil, "more than six actions"
	}
	var lines []string
	for _, b := range c.Body {
		line := ""
		if b.Type != "RichTextBlock" || len(b.Inlines) == 0 {
			return "", nil, "Invalid card element " + b.Type
		}
		for _, r := range b.Inlines {
			if r.Type != "TextRun" || r.Text == "" {
				return "", nil, "Invalid inline " + r.Type
			}
			line += r.Text
		}
		lines = append(lines, line)
	}
	for _, a := range c.Actions {
		if a.Type != "Action.Submit" || a.Title == "" || len(a.Data) == 0 {
			return "", nil, "Invalid action " + a.Type
		}
		choices = append(choices, channel.Choice{Label: a.Title, Data: string(a.Data)})
	}
	return strings.Join(lines, "\n"), choices, ""
}

var tags = regexp.MustCompile(`<[^>]*>?`)

// display is simple markup as people see it; what is not known is shown, so that a test finds it.
func display(markup string) string {
	return html.UnescapeString(tags.ReplaceAllStringFunc(markup, func(tag string) string {
		switch {
		case tag == "<br>" || tag == "<br/>":
			return "\n"
		case strings.HasPrefix(tag, `<a href="http`), tag == "</a>":
			return ""
		}
		return "[tag]"
	}))
}

// stamp is a new activity's id: the time in milliseconds, larger than all before.
func (s *Sim) stamp() string {
	s.last = max(s.last+1, s.Now().UnixMilli())
	return strconv.FormatInt(s.last, 10)
}

// download hands out a file: a picture of a text with the access token, a file by its address alone.
func (s *Sim) download(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	parts := strings.Split(r.URL.Path, "/")
	inline := strings.HasPrefix(r.URL.Path, "/teams/")
	id := parts[2]
	if inline {
		id = parts[4]
	}
	f, ok := s.files[id]
	switch {
	case !ok:
		return channelsim.Response{Status: http.StatusNotFound}
	case inline && !s.authorized(r):
		return channelsim.Response{Status: http.StatusUnauthorized}
	case !inline && r.Header.Get("Authorization") != "": // OneDrive refuses a foreign token
		return channelsim.Response{Status: http.StatusUnauthorized}
	}
	return channelsim.Response{Type: or(f.MediaType, "application/octet-stream"), Body: f.Content}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
