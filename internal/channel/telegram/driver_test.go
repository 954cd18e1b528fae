package telegram

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
)

const testToken = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0" // looks like one, is none

func account(secret string) channel.Account {
	return channel.Account{
		ID: "0193a1b2-0000-7000-8000-000000000001", Kind: Kind, Name: "Bot",
		Settings: channel.Settings{"token": testToken, "secret_token": secret},
	}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	h := http.Header{"Content-Type": {"application/json"}}
	if secrets := Secrets(a); len(secrets) > 0 {
		h.Set(secretHeader, secrets[0])
	}
	return &channel.Request{Method: http.MethodPost, Header: h, Body: body, At: now}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func refusal(status int, description string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(status, fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q}`, status, description))}
}

func TestDriver(t *testing.T) {
	derived := account("")
	channeltest.Run(t, channeltest.Suite{
		Driver:  New(),
		Account: account("old_Secret-1"),
		BadSettings: map[string]channel.Settings{
			"token with a space":      {"token": "123:abc def"},
			"token as in the URL":     {"token": "bot123:abcdef"},
			"token with a slash":      {"token": "123:abc/../x"},
			"secret with a dot":       {"token": testToken, "secret_token": "a.b"},
			"secret too long":         {"token": testToken, "secret_token": strings.Repeat("a", 257)},
			"an empty second secret":  {"token": testToken, "secret_token": "a,"},
			"three secrets":           {"token": testToken, "secret_token": "a,b,c"},
			"api_url without scheme":  {"token": testToken, "api_url": "api.telegram.org"},
			"api_url of another kind": {"token": testToken, "api_url": "ftp://api.telegram.org"},
		},
		Webhook: &channeltest.Webhook{
			Sign:     signed,
			Body:     []byte(`{"update_id":1,"message":{}}`),
			Headers:  []string{secretHeader},
			Rotating: account("new_Secret-2,old_Secret-1"),
			Rotated:  account("new_Secret-2"),
			Other:    derived,
		},
		Samples: "testdata/*.json",
		WithID: func(number string) []byte {
			return fmt.Appendf(nil, `{"update_id":%[1]s,"message":{"message_id":%[1]s,"date":1764000000,"text":"x","chat":{"id":%[1]s,"type":"private"},"from":{"id":%[1]s,"first_name":"E"}}}`, number)
		},
		WithName: func(name string) []byte {
			quoted, _ := json.Marshal(name)
			return fmt.Appendf(nil, `{"update_id":1,"message":{"message_id":1,"date":1764000000,"text":"x","chat":{"id":7,"type":"private"},"from":{"id":7,"first_name":%s}}}`, quoted)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "d", To: channel.Address{Value: "7000000001"}, Text: "Guten Tag"},
			Accept:      answerWith(200, `{"ok":true,"result":{"message_id":5,"chat":{"id":7000000001,"type":"private"},"date":1764000000,"text":"Guten Tag"}}`),
			RateLimited: answerWith(429, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}}`),
			Refusals: map[string]channeltest.Refusal{
				"blocked":              refusal(403, "Forbidden: bot was blocked by the user", channel.Blocked),
				"deactivated":          refusal(403, "Forbidden: user is deactivated", channel.Blocked),
				"never started":        refusal(403, "Forbidden: bot can't initiate conversation with a user", channel.NotHere),
				"to a bot":             refusal(403, "Forbidden: bots can't send messages to bots", channel.Permanent),
				"chat not found":       refusal(400, "Bad Request: chat not found", channel.NotHere),
				"too long":             refusal(400, "Bad Request: message is too long", channel.Permanent),
				"wrong token":          refusal(401, "Unauthorized", channel.Misconfig),
				"not even a token":     refusal(404, "Not Found", channel.Misconfig),
				"server error":         refusal(500, "Internal Server Error", channel.Unknown),
				"too large":            refusal(413, "Request Entity Too Large", channel.Permanent),
				"not a Bot API server": {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
			},
			Text: func(_ *http.Request, body []byte) string {
				var p struct {
					Text string `json:"text"`
				}
				_ = json.Unmarshal(body, &p)
				return p.Text
			},
		},
	})
}

// A webhook is never open: without secret_token one is derived, and it differs by bot and by channel.
func TestDerivedSecret(t *testing.T) {
	a := account("")
	body := []byte(`{"update_id":1}`)
	if err := New().Verify(a, signed(a, body, time.Time{}), time.Time{}); err != nil {
		t.Errorf("derived secret refused: %v", err)
	}
	if !secretForm.MatchString(Secrets(a)[0]) {
		t.Errorf("setWebhook would refuse %q", Secrets(a)[0])
	}
	b, c := account(""), account("")
	b.ID = "another"
	c.Settings["token"] = "2:x"
	for _, other := range []channel.Account{b, c} {
		if Secrets(other)[0] == Secrets(a)[0] {
			t.Error("two accounts have the same secret")
		}
	}
	r := signed(a, body, time.Time{})
	r.Header.Add(secretHeader, Secrets(a)[0])
	if New().Verify(a, r, time.Time{}) == nil {
		t.Error("the header twice is accepted")
	}
}

// What comes about a group is one note, however much is written there.
func TestGroupIsNotedOnce(t *testing.T) {
	keys := map[string]bool{}
	for i, kind := range []string{"message", "edited_message", "my_chat_member", "message_reaction"} {
		events, err := parse(fmt.Appendf(nil, `{"update_id":%d,%q:{"message_id":%d,"date":1764000000,"chat":{"id":-5,"type":"group","title":"X"},"new_chat_member":{"status":"member"}}}`, i, kind, i+1))
		if err != nil || len(events) != 1 || events[0].Type != channel.UnparsedEvent {
			t.Fatalf("%s: %+v, %v", kind, events, err)
		}
		keys[events[0].Key] = true
	}
	if len(keys) != 1 {
		t.Errorf("keys %v, want one", keys)
	}
}

// Two edits within one second are two events, and the same edit delivered twice is one.
func TestEditKeys(t *testing.T) {
	edit := func(update int) string {
		events, err := parse(fmt.Appendf(nil, `{"update_id":%d,"edited_message":{"message_id":3,"date":1764000000,"edit_date":1764000009,"text":"x","chat":{"id":7,"type":"private"}}}`, update))
		if err != nil {
			t.Fatal(err)
		}
		return events[0].Key
	}
	if first, again, second := edit(1), edit(1), edit(2); first == second || first != again {
		t.Errorf("keys %s %s %s", first, again, second)
	}
}

func TestWithLinks(t *testing.T) {
	link := func(offset, length int) []entity {
		return []entity{{Type: "text_link", Offset: offset, Length: length, URL: "https://x.example"}}
	}
	for _, tt := range []struct {
		text     string
		entities []entity
		want     string
	}{
		{"klick hier bitte", link(6, 4), "klick hier (https://x.example) bitte"},
		{"👍👍 hier", link(5, 4), "👍👍 hier (https://x.example)"},
		{"https://x.example", link(0, 17), "https://x.example"},
		{"kurz", link(2, 99), "kurz"},
		{"kurz", link(-1, 2), "kurz"},
		{"kurz", link(1<<62, 1<<62), "kurz"},
		{"kurz", nil, "kurz"},
	} {
		if got := withLinks(tt.text, tt.entities); got != tt.want {
			t.Errorf("withLinks(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no samples")
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	a := account("s")
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, reply, err := New().Parse(a, &channel.Request{Body: raw})
		if err == nil && len(events) != 1 {
			t.Errorf("%d events without an error", len(events))
		}
		if err != nil && (len(events) > 0 || reply.Body != nil) {
			t.Error("an error and events")
		}
		if reply.Body != nil && !json.Valid(reply.Body) {
			t.Errorf("reply %q is not JSON", reply.Body)
		}
		channeltest.CheckEvents(t, events)
	})
}
