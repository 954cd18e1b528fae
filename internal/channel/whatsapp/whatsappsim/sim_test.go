package whatsappsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The API refuses what the real one refuses, with its codes.
func TestRefusals(t *testing.T) {
	s := New(Options{PairEvery: -1, PerSecond: -1})
	defer s.Close()
	c := s.Customer("Erika Muster")
	if _, err := c.Write("Hallo", ""); err != nil {
		t.Fatal(err)
	}
	ask := func(token, fields string) (status, code int) {
		body := fmt.Sprintf(`{"messaging_product":"whatsapp","recipient_type":"individual","to":%q,%s}`, c.Address(), fields)
		r := httptest.NewRequest(http.MethodPost, "/v25.0/106540352242922/messages", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var a struct{ Error struct{ Code int } }
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return w.Code, a.Error.Code
	}
	if status, code := ask("EAAwrong", `"type":"text","text":{"body":"x"}`); status != 401 || code != 190 {
		t.Errorf("wrong token: %d %d", status, code)
	}
	button := func(id, title string) string {
		return fmt.Sprintf(`{"type":"reply","reply":{"id":%q,"title":%q}}`, id, title)
	}
	buttons := func(list ...string) string {
		return `"type":"interactive","interactive":{"type":"button","body":{"text":"x"},"action":{"buttons":[` + strings.Join(list, ",") + `]}}`
	}
	for what, tt := range map[string]struct {
		fields string
		code   int
	}{
		"a text":            {`"type":"text","text":{"body":"x"}`, 0},
		"an empty text":     {`"type":"text","text":{"body":" "}`, 131008},
		"a long text":       {`"type":"text","text":{"body":"` + strings.Repeat("ä", 4097) + `"}`, 100},
		"an unknown type":   {`"type":"hologram"`, 131051},
		"three buttons":     {buttons(button("a", "a"), button("b", "b"), button("c", "c")), 0},
		"four buttons":      {buttons(button("a", "a"), button("b", "b"), button("c", "c"), button("d", "d")), 131009},
		"one title twice":   {buttons(button("a", "a"), button("b", "a")), 131009},
		"a long title":      {buttons(button("a", strings.Repeat("ä", 21))), 131009},
		"a foreign file":    {`"type":"image","image":{"id":"7"}`, 100},
		"no such template":  {`"type":"template","template":{"name":"nie","language":{"code":"de"}}`, 132001},
		"a paused template": {`"type":"template","template":{"name":"umfrage","language":{"code":"de"}}`, 132015},
		"a line break":      {`"type":"template","template":{"name":"rueckmeldung","language":{"code":"de"},"components":[{"type":"body","parameters":[{"type":"text","text":"a\nb"},{"type":"text","text":"c"}]}]}`, 132018},
	} {
		if _, code := ask(DefaultToken, tt.fields); code != tt.code {
			t.Errorf("%s: code %d, want %d", what, code, tt.code)
		}
	}
	if n := len(c.Inbox()); n != 2 {
		t.Errorf("%d messages arrived", n)
	}
}
