package telegramsim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
)

type object = map[string]any

type answer struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int `json:"retry_after"`
	} `json:"parameters"`
}

func (a answer) String() string {
	if a.OK {
		return "ok"
	}
	return fmt.Sprintf("%d %s", a.Code, a.Description)
}

func post(t *testing.T, s *telegramsim.Sim, token, method, mediaType string, body []byte) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://telegram.test/bot"+token+"/"+method, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", mediaType)
	resp, err := s.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	if a.OK != (resp.StatusCode == 200) || !a.OK && a.Code != resp.StatusCode {
		t.Errorf("%s: status %d with %+v", method, resp.StatusCode, a)
	}
	return a
}

func call(t *testing.T, s *telegramsim.Sim, method string, parameters object) answer {
	t.Helper()
	raw, err := json.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	return post(t, s, s.Token(), method, "application/json", raw)
}

func upload(t *testing.T, s *telegramsim.Sim, method, field string, content []byte, parameters map[string]string) answer {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range parameters {
		w.WriteField(name, value)
	}
	f, _ := w.CreateFormFile(field, "a.png")
	f.Write(content)
	w.Close()
	return post(t, s, s.Token(), method, w.FormDataContentType(), b.Bytes())
}

// What the real server refuses, with its words.
func TestRefusals(t *testing.T) {
	s := telegramsim.New(telegramsim.Options{PerChat: -1, PerSecond: -1})
	defer s.Close()
	erika, max, ina := s.Customer("Erika"), s.Customer("Max"), s.Customer("Ina")
	question := erika.Write("hallo")
	max.Write("hallo")
	max.Block()
	ina.Write("hallo")
	ina.Leave()
	silent := s.Customer("Still") // never wrote to the bot
	send := func(chat int64, more object) object {
		p := object{"chat_id": chat, "text": "x"}
		for k, v := range more {
			p[k] = v
		}
		return p
	}
	button := func(text, data string) object {
		return object{"reply_markup": object{"inline_keyboard": [][]object{{{"text": text, "callback_data": data}}}}}
	}
	for _, tt := range []struct {
		method     string
		parameters object
		want       string
	}{
		{"getMe", nil, "ok"},
		{"GETME", nil, "ok"},
		{"selfDestruct", nil, "404 Not Found: method not found"},
		{"sendMessage", send(erika.ID, nil), "ok"},
		{"sendMessage", send(erika.ID, object{"text": strings.Repeat("x", 4096)}), "ok"},
		{"sendMessage", send(erika.ID, object{"text": strings.Repeat("x", 4097)}), "400 Bad Request: message is too long"},
		{"sendMessage", send(erika.ID, object{"text": strings.Repeat("😀", 2048)}), "ok"},
		{"sendMessage", send(erika.ID, object{"text": strings.Repeat("😀", 2049)}), "400 Bad Request: message is too long"},
		{"sendMessage", send(erika.ID, object{"text": " \n "}), "400 Bad Request: message text is empty"},
		{"sendMessage", object{"text": "x"}, "400 Bad Request: chat_id is empty"},
		{"sendMessage", send(silent.ID, nil), "400 Bad Request: chat not found"},
		{"sendMessage", send(42, nil), "400 Bad Request: chat not found"},
		{"sendMessage", send(max.ID, nil), "403 Forbidden: bot was blocked by the user"},
		{"sendMessage", send(ina.ID, nil), "403 Forbidden: user is deactivated"},
		{"sendMessage", send(erika.ID, object{"reply_parameters": object{"message_id": question}}), "ok"},
		{"sendMessage", send(erika.ID, object{"reply_parameters": object{"message_id": 999}}), "400 Bad Request: message to be replied not found"},
		{"sendMessage", send(erika.ID, object{"reply_parameters": object{"message_id": 999, "allow_sending_without_reply": true}}), "ok"},
		{"sendMessage", send(erika.ID, button("Ja", strings.Repeat("x", 64))), "ok"},
		{"sendMessage", send(erika.ID, button("Ja", strings.Repeat("x", 65))), "400 Bad Request: BUTTON_DATA_INVALID"},
		{"sendMessage", send(erika.ID, button("Ja", "")), "400 Bad Request: BUTTON_DATA_INVALID"},
		{"sendMessage", send(erika.ID, button("", "x")), "400 Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"},
		{"sendPhoto", object{"chat_id": erika.ID}, "400 Bad Request: there is no photo in the request"},
		{"getFile", object{"file_id": "x"}, "400 Bad Request: invalid file_id"},
		{"answerCallbackQuery", object{"callback_query_id": "x"}, "400 Bad Request: query is too old and response timeout expired or query ID is invalid"},
		{"setWebhook", object{"url": "http://a.example/x"}, "400 Bad Request: bad webhook: An HTTPS URL must be provided for webhook"},
		{"setWebhook", object{"url": "https://a.example:8081/x"}, "400 Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"},
		{"setWebhook", object{"url": "https://127.0.0.1/x"}, "400 Bad Request: bad webhook: IP address 127.0.0.1 is reserved"},
		{"setWebhook", object{"url": "nowhere"}, "400 Bad Request: invalid webhook URL specified"},
		{"setWebhook", object{"url": "https://a.example/x", "secret_token": "a.b"}, "400 Bad Request: secret token contains unallowed characters"},
		{"setWebhook", object{"url": "https://a.example/x", "secret_token": strings.Repeat("a", 257)}, "400 Bad Request: secret token is too long"},
		{"setWebhook", object{"url": "https://a.example/x", "max_connections": 101}, "400 Bad Request: max_connections must be between 1 and 100"},
	} {
		if got := call(t, s, tt.method, tt.parameters).String(); got != tt.want {
			t.Errorf("%s %.80v: got %s, want %s", tt.method, tt.parameters, got, tt.want)
		}
	}
	if got := post(t, s, "oops", "getMe", "application/json", nil).String(); got != "404 Not Found" {
		t.Errorf("no token: %s", got)
	}
	if got := post(t, s, "1:"+strings.Repeat("x", 35), "getMe", "application/json", nil).String(); got != "401 Unauthorized" {
		t.Errorf("unknown token: %s", got)
	}

	pictureOf := func(w, h int) []byte {
		var b bytes.Buffer
		png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)))
		return b.Bytes()
	}
	to := fmt.Sprint(erika.ID)
	for _, tt := range []struct {
		method, field string
		content       []byte
		caption       string
		want          string
	}{
		{"sendPhoto", "photo", pictureOf(20, 1), "", "ok"},
		{"sendPhoto", "photo", pictureOf(21, 1), "", "400 Bad Request: PHOTO_INVALID_DIMENSIONS"},
		{"sendPhoto", "photo", []byte("no picture"), "", "400 Bad Request: IMAGE_PROCESS_FAILED"},
		{"sendPhoto", "photo", make([]byte, 10<<20+1), "", "400 Bad Request: file of type photo is too big: maximum size is 10485760 bytes"},
		{"sendDocument", "document", []byte("x"), strings.Repeat("x", 1024), "ok"},
		{"sendDocument", "document", []byte("x"), strings.Repeat("x", 1025), "400 Bad Request: message caption is too long"},
		{"sendDocument", "document", nil, "", "400 Bad Request: file must be non-empty"},
		{"sendDocument", "document", make([]byte, 53<<20), "", "413 Request Entity Too Large"},
	} {
		if got := upload(t, s, tt.method, tt.field, tt.content, map[string]string{"chat_id": to, "caption": tt.caption}).String(); got != tt.want {
			t.Errorf("%s of %d bytes: got %s, want %s", tt.method, len(tt.content), got, tt.want)
		}
	}
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := telegramsim.New(telegramsim.Options{})
		defer s.Close()
		var ids []int64
		for i := range 40 {
			c := s.Customer(fmt.Sprint(i))
			c.Write("hallo")
			ids = append(ids, c.ID)
		}
		// One chat: a burst of three, then one a second.
		for i := range 5 {
			a := call(t, s, "sendMessage", object{"chat_id": ids[0], "text": "x"})
			if a.OK != (i < 3) || !a.OK && (a.Code != 429 || a.Parameters.RetryAfter != 1 || !strings.HasSuffix(a.Description, "retry after 1")) {
				t.Errorf("message %d to one chat: %+v", i, a)
			}
		}
		time.Sleep(time.Second)
		if a := call(t, s, "sendMessage", object{"chat_id": ids[0], "text": "x"}); !a.OK {
			t.Errorf("after the pause: %v", a)
		}
		// The whole bot: thirty a second.
		time.Sleep(10 * time.Second)
		accepted := 0
		for _, id := range ids {
			if call(t, s, "sendMessage", object{"chat_id": id, "text": "x"}).OK {
				accepted++
			}
		}
		if accepted != 30 {
			t.Errorf("%d messages at once, want 30", accepted)
		}
	})
}

func updates(t *testing.T, a answer) (ids []int64) {
	t.Helper()
	var list []struct {
		ID int64 `json:"update_id"`
	}
	if err := json.Unmarshal(a.Result, &list); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
	for _, u := range list {
		ids = append(ids, u.ID)
	}
	return ids
}

func TestGetUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := telegramsim.New(telegramsim.Options{FirstUpdate: 100})
		defer s.Close()
		erika := s.Customer("Erika")
		for range 3 {
			erika.Write("x")
		}
		get := func(p object) string { return fmt.Sprint(updates(t, call(t, s, "getUpdates", p))) }
		for _, tt := range []struct {
			parameters object
			want       string
		}{
			{nil, "[100 101 102]"},               // nothing is confirmed by reading
			{object{"limit": 2}, "[100 101]"},    //
			{object{"offset": 101}, "[101 102]"}, // confirms 100
			{nil, "[101 102]"},                   //
			{object{"offset": -1}, "[102]"},      // forgets all but the last
			{object{"offset": 103}, "[]"},        //
			{object{"offset": 1}, "[]"},          // what is confirmed does not come back
			{object{"timeout": 5}, "[]"},         // long polling ends empty
		} {
			if got := get(tt.parameters); got != tt.want {
				t.Errorf("%v: %s, want %s", tt.parameters, got, tt.want)
			}
		}
		// A reaction comes only to those who asked for it.
		id := erika.Write("y")
		erika.React(id, "👍")
		call(t, s, "getUpdates", object{"allowed_updates": []string{"message", "message_reaction"}})
		erika.React(id)
		erika.Edit(id, "z") // not asked for any more
		if got := get(object{"offset": 0}); got != "[103 104]" {
			t.Errorf("with reactions: %s", got)
		}
		if n := len(s.Deeds()); n != 5 {
			t.Errorf("%d deeds told, want 5 of 7", n)
		}
		// Not kept longer than a day.
		time.Sleep(25 * time.Hour)
		if got := get(nil); got != "[]" {
			t.Errorf("after a day: %s", got)
		}
		// A second poll ends the first, a webhook any.
		conflicts := make(chan answer, 2)
		long := func() { conflicts <- call(t, s, "getUpdates", object{"timeout": 30}) }
		go long()
		synctest.Wait()
		go long()
		if a := <-conflicts; a.Code != 409 || !strings.Contains(a.Description, "terminated by other getUpdates request") {
			t.Errorf("first poll: %v", a)
		}
		synctest.Wait()
		if a := call(t, s, "setWebhook", object{"url": "https://a.example/x"}); !a.OK {
			t.Errorf("setWebhook: %v", a)
		}
		if a := <-conflicts; a.Code != 409 {
			t.Errorf("second poll: %v", a)
		}
		if a := call(t, s, "getUpdates", nil); a.Code != 409 || !strings.Contains(a.Description, "while webhook is active") {
			t.Errorf("poll beside a webhook: %v", a)
		}
	})
}

// The ledger has what was accepted even if the bot was never told.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := telegramsim.New(telegramsim.Options{})
		defer s.Close()
		erika := s.Customer("Erika")
		erika.Write("hallo")
		try := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "https://telegram.test/bot"+s.Token()+"/sendMessage",
				strings.NewReader(fmt.Sprintf(`{"chat_id":%d,"text":"x"}`, erika.ID)))
			r.Header.Set("Content-Type", "application/json")
			_, err := s.Do(r)
			return err
		}
		s.Fail(telegramsim.Fault{Method: "sendMessage", Accept: true, Hang: true})
		s.Fail(telegramsim.Fault{Cut: true})
		if err := try(); err == nil {
			t.Error("answered instead of hanging")
		}
		if err := try(); err == nil {
			t.Error("answered instead of cutting")
		}
		if err := try(); err != nil {
			t.Errorf("faults do not end: %v", err)
		}
		ledger := s.Ledger()
		if len(ledger) != 2 || ledger[0].Told || !ledger[1].Told {
			t.Errorf("ledger %+v", ledger)
		}
		if got := erika.WaitFor(t.Context(), 2); len(got) != 2 || got[0].ID == got[1].ID {
			t.Errorf("inbox %+v", got)
		}
	})
}

// Over real connections: a webhook that fails first, a method in its answer, and a file.
func TestRealConnections(t *testing.T) {
	failed := false
	secrets := make(chan string, 10)
	var chat int64
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if !failed {
			failed = true
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		secrets <- r.Header.Get("X-Telegram-Bot-Api-Secret-Token")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"method":"sendMessage","chat_id":%d,"text":"im Webhook beantwortet"}`, chat)
	}))
	defer bot.Close()
	s := telegramsim.New(telegramsim.Options{AnyWebhook: true, RetryDelay: time.Millisecond})
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	if a := call(t, s, "setWebhook", object{"url": bot.URL, "secret_token": "geheim"}); !a.OK {
		t.Fatal(a)
	}
	erika := s.Customer("Erika")
	chat = erika.ID
	erika.Document("a.txt", "text/plain", []byte("Inhalt"), 0, "")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if got := erika.WaitFor(ctx, 1); len(got) != 1 || got[0].Text != "im Webhook beantwortet" {
		t.Fatalf("inbox %+v", got)
	}
	if got := <-secrets; got != "geheim" {
		t.Errorf("secret %q", got)
	}
	var info struct {
		LastError string `json:"last_error_message"`
	}
	json.Unmarshal(call(t, s, "getWebhookInfo", nil).Result, &info)
	if !strings.Contains(info.LastError, "503") {
		t.Errorf("last error %q", info.LastError)
	}
	s.Wait(ctx, func() bool { return s.Pending() == 0 })

	call(t, s, "deleteWebhook", nil)
	erika.Document("b.txt", "text/plain", []byte("Inhalt"), 0, "")
	var list []struct {
		Message struct {
			Document struct {
				ID string `json:"file_id"`
			} `json:"document"`
		} `json:"message"`
	}
	json.Unmarshal(call(t, s, "getUpdates", nil).Result, &list)
	var file struct {
		Path string `json:"file_path"`
	}
	json.Unmarshal(call(t, s, "getFile", object{"file_id": list[0].Message.Document.ID}).Result, &file)
	resp, err := http.Get(server.URL + "/file/bot" + s.Token() + "/" + file.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "Inhalt" {
		t.Errorf("file %q", body)
	}
	resp, err = http.Get(server.URL + "/file/bot1:wrong/" + file.Path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == 200 {
		t.Error("the file is served to anybody")
	}
}
