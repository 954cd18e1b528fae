package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
)

// yesNo is the question of the pick-up: may the car be fetched on Thursday?
func yesNo() map[string]any {
	return map[string]any{"kind": "yes_no", "text": map[string]string{"de": "Ihr Auto kann Donnerstag um 16 Uhr abgeholt werden. Passt das?", "en": "Your car can be fetched on Thursday at 4 pm. Does that suit you?"},
		"short": map[string]string{"de": "Abholung", "en": "Pick-up"}, "yes": map[string]string{"de": "Ja, passt"}, "no": map[string]string{"de": "Nein"}}
}

// two is a customer who writes by mail and by Telegram, and their conversation.
type two struct {
	h       *house
	conv    string
	id      string
	mail    *emailsim.Client
	address string
	chat    interface {
		Write(string) int64
		Press(string) bool
	}
}

func (h *house) two(name string) two {
	h.t.Helper()
	tg := h.tg.Customer(name)
	tg.Write("/start")
	x := two{h: h, chat: tg, address: fmt.Sprintf("zwei%d@kunde.example", h.n.Add(1))}
	x.mail = h.customer(name, x.address)
	if _, err := x.mail.Send(h.ctx(), emailsim.Message{To: []string{"service@firma.example"}, Subject: "Mein Auto", Text: "Wann kann ich mein Auto holen?"}); err != nil {
		h.t.Fatal(err)
	}
	r := h.owner.conversation(name)
	x.conv, x.id = r.str("id"), r.str("customer.id")
	h.owner.do("POST", "/customers/"+x.id+"/addresses", map[string]any{"kind": "telegram", "value": fmt.Sprint(tg.ID)})
	h.eventually("both addresses", func() bool {
		c := h.owner.get("/customers/" + x.id).want(200).obj()
		if len(c.list("addresses")) >= 2 {
			return true
		}
		for _, other := range h.owner.get("/customers?q=" + url.QueryEscape(name)).want(200).items() {
			if other.str("id") != x.id {
				h.owner.do("POST", "/customers/"+x.id+"/merge", map[string]any{"with": other.str("id")})
			}
		}
		return false
	})
	return x
}

func (x two) ask(def map[string]any) object {
	x.h.t.Helper()
	return x.h.owner.do("POST", "/conversations/"+x.conv+"/asks", map[string]any{"ask": def, "client_id": id()}).want(201).obj()
}

func (h *house) asked(ask, state string) object {
	h.t.Helper()
	var a object
	h.eventually("question is "+state, func() bool {
		a = h.owner.get("/asks/" + ask).want(200).obj()
		return a.str("state") == state
	})
	return a
}

var answerLink = regexp.MustCompile(`https?://[^\s"<>]+/a/[a-z2-9]{12}[^\s"<>]*`)

// TestAskAcrossChannels: a question that went out by mail is answered by Telegram, once; the mail's answer comes too late
// and is told what counts.
func TestAskAcrossChannels(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		x := h.two("Zwei Wege")
		a := x.ask(yesNo())
		m := h.mailTo(x.address, 1)
		plain := emailsim.PlainText(m.Raw)
		if !strings.Contains(plain, "Passt das?") || !strings.Contains(plain, "Ja, passt") {
			t.Errorf("the mail's text:\n%s", plain)
		}
		if !strings.Contains(string(m.Raw), "multipart/alternative") || len(answerLink.FindAllString(string(m.Raw), -1)) == 0 && !strings.Contains(string(m.Raw), "/a/") {
			t.Errorf("the mail has no signed link:\n%.2000s", m.Raw)
		}
		x.chat.Write("ja, das passt mir gut")
		got := h.asked(a.str("id"), "answered")
		if !strings.Contains(string(mustJSON(got.at("value"))), `"yes":true`) || got.str("value_text") != "Ja, passt" || got.str("answered_via") != "telegram" {
			t.Errorf("the answer: %s", mustJSON(got))
		}
		// The same question by mail, later: it is answered already, and the customer learns by what.
		reply(h, m, "Zwei Wege", x.address, "Ja, passt")
		h.eventually("the late answer is told", func() bool { return len(h.mx.To(x.address)) >= 2 })
		if late := emailsim.PlainText(h.mailTo(x.address, 2).Raw); !strings.Contains(late, "schon") || !strings.Contains(late, "Telegram") || !strings.Contains(late, "Ja, passt") {
			t.Errorf("the late answer is told:\n%s", late)
		}
		if again := h.asked(a.str("id"), "answered"); again.str("answered_via") != "telegram" {
			t.Errorf("answered twice: %s", mustJSON(again))
		}
		msgs := h.owner.messages(x.conv)
		put, answers := 0, 0
		for _, m := range msgs {
			if m.at("ask") != nil {
				put++
			}
			if m.at("answers") != nil {
				answers++
			}
		}
		if put != 1 || answers != 1 {
			t.Errorf("%d messages put the question, %d answered it", put, answers)
		}
	})
}

// TestAskOtherConversation: the customer has an old chat open and answers there what was asked by mail; what may be meant
// for a colleague who has just written there is not taken.
func TestAskOtherConversation(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		tg := h.tg.Customer("Alter Chat")
		tg.Write("Eine ganz andere Sache")
		chat := h.owner.conversation("Alter Chat")
		from := h.customer("Alter Chat", "alter-chat@kunde.example")
		if _, err := from.Send(h.ctx(), emailsim.Message{To: []string{"service@firma.example"}, Subject: "Mein Auto", Text: "Wann?"}); err != nil {
			t.Fatal(err)
		}
		var mail object
		h.eventually("both are there", func() bool {
			for _, r := range h.owner.get("/conversations").items() {
				if r.str("subject") == "Mein Auto" {
					mail = r
				}
			}
			return mail != nil
		})
		h.owner.do("POST", "/customers/"+mail.str("customer.id")+"/merge", map[string]any{"with": chat.str("customer.id")}).want(200)
		put := func() string {
			return h.owner.do("POST", "/conversations/"+mail.str("id")+"/asks", map[string]any{"ask": yesNo(), "client_id": id()}).want(201).obj().str("id")
		}
		first := put()
		tg.Write("ja, passt")
		if got := h.asked(first, "answered"); got.str("answered_via") != "telegram" {
			t.Errorf("%s", mustJSON(got))
		}
		second := put()
		m := h.owner.do("POST", "/conversations/"+chat.str("id")+"/messages", map[string]any{"text": "Soll ich Ihnen das Formular schicken?", "client_id": id()}).want(201).obj()
		h.delivered(m.str("id"), "sent")
		tg.Write("ja, passt")
		h.eventually("the colleague gets it", func() bool {
			return h.owner.get("/conversations/"+chat.str("id")).obj().str("last_message.text") == "ja, passt"
		})
		if got := h.owner.get("/asks/" + second).obj(); got.str("state") != "open" {
			t.Errorf("taken for the question by mail: %s", mustJSON(got))
		}
	})
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// TestAskButtons: native buttons are pressed, twice, and the other one while it may be changed.
func TestAskButtons(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		tg := h.tg.Customer("Knopf Drücker")
		tg.Write("Wann kann ich mein Auto holen?")
		r := h.owner.conversation("Knopf Drücker")
		a := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": yesNo(), "client_id": id()}).want(201).obj()
		box := tg.WaitFor(h.ctx(), 1)
		if len(box) == 0 || len(box[0].Buttons) < 2 {
			t.Fatalf("no buttons: %+v", box)
		}
		if !tg.Press("Ja, passt") || !tg.Press("Ja, passt") {
			t.Fatal("there is no such button")
		}
		got := h.asked(a.str("id"), "answered")
		if got.str("value_text") != "Ja, passt" {
			t.Errorf("%s", mustJSON(got))
		}
		tg.Press("Nein")
		h.eventually("the answer is changed", func() bool { return h.owner.get("/asks/"+a.str("id")).obj().str("value_text") == "Nein" })
		h.eventually("the change is told", func() bool {
			box := tg.Inbox()
			return len(box) == 2 && strings.Contains(box[1].Text, "Nein")
		})
		tg.Write("doch: ja, passt")
		h.eventually("it is changed in words, too", func() bool { return h.owner.get("/asks/"+a.str("id")).obj().str("value_text") == "Ja, passt" })
		// Withdrawn questions take nothing.
		b := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": yesNo(), "client_id": id()}).want(201).obj()
		h.owner.do("POST", "/asks/"+b.str("id")+"/withdraw", nil).want(200)
		h.owner.do("POST", "/asks/"+b.str("id")+"/withdraw", nil).problem(409, "not_open")
		h.owner.do("POST", "/asks/"+b.str("id")+"/answer", map[string]any{"text": "ja"}).problem(409, "not_open")
	})
}

// page asks for an answer page, and posts to it.
func page(t *testing.T, method, u string, form url.Values) (int, string) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, u, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestAskPage: whoever follows a link only looks; a click answers, and only once.
func TestAskPage(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.mailed("Seite Besucher", emailsim.Message{Subject: "Auto", Text: "Wann?"})
		a := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": yesNo(), "client_id": id()}).want(201).obj()
		u := h.owner.get("/asks/" + a.str("id")).obj().str("page_url")
		if !answerLink.MatchString(u) {
			t.Fatalf("page_url %q", u)
		}
		for range 3 { // a scanner follows every link
			for _, q := range []string{"", "?o=0", "?o=1"} {
				if status, body := page(t, "GET", u+q, nil); status != 200 || !strings.Contains(body, "Passt das?") {
					t.Fatalf("GET %s: %d\n%.500s", u+q, status, body)
				}
			}
		}
		if got := h.owner.get("/asks/" + a.str("id")).obj(); got.str("state") != "open" {
			t.Fatalf("looking answered: %s", mustJSON(got))
		}
		status, body := page(t, "POST", u, url.Values{"o": {"0"}})
		if status != 200 || !strings.Contains(body, "Ja, passt") {
			t.Fatalf("POST: %d\n%.3000s", status, body)
		}
		got := h.asked(a.str("id"), "answered")
		if got.str("value_text") != "Ja, passt" || got.str("answered_by.kind") != "customer" {
			t.Errorf("%s", mustJSON(got))
		}
		h.eventually("the answer stands in the conversation", func() bool {
			for _, m := range h.owner.messages(r.str("id")) {
				if m.str("direction") == "in" && m.str("text") == "Ja, passt" && m.at("answers") != nil {
					return true
				}
			}
			return false
		})
		if status, _ := page(t, "GET", strings.Replace(u, "/a/", "/a/zz", 1), nil); status != 404 {
			t.Errorf("an unknown code: %d", status)
		}
		// Twice at once is once.
		b := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": yesNo(), "client_id": id()}).want(201).obj()
		u = h.owner.get("/asks/" + b.str("id")).obj().str("page_url")
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() { page(t, "POST", u, url.Values{"o": {fmt.Sprint(i % 2)}}) })
		}
		wg.Wait()
		h.asked(b.str("id"), "answered")
		// A person is one click away.
		c := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": yesNo(), "client_id": id()}).want(201).obj()
		u = h.owner.get("/asks/" + c.str("id")).obj().str("page_url")
		if status, body := page(t, "POST", u, url.Values{"person": {"1"}}); status != 200 {
			t.Errorf("person: %d\n%.500s", status, body)
		}
		h.asked(c.str("id"), "handed")
		page(t, "POST", u, url.Values{"person": {"1"}}) // pressed twice is said once
		wants := 0
		for _, m := range h.owner.messages(r.str("id")) {
			if strings.Contains(m.str("text"), "mit einem Menschen sprechen") && m.str("direction") == "in" {
				wants++
			}
		}
		if wants != 1 {
			t.Errorf("said %d times", wants)
		}
	})
}

// TestAskAgainOnce: what is not understood is asked again once; a letter is the colleague's to read.
func TestAskAgainOnce(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		tg := h.tg.Customer("Unklar Sprecher")
		tg.Write("Wann?")
		r := h.owner.conversation("Unklar Sprecher")
		a := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": map[string]any{"kind": "number", "min": 0, "max": 400000, "unit": "km", "text": map[string]string{"de": "Wie ist der Kilometerstand?"}}, "client_id": id()}).want(201).obj()
		tg.Write("hmm")
		h.eventually("asked again", func() bool { return len(tg.Inbox()) == 2 })
		if again := tg.Inbox()[1].Text; !strings.Contains(again, "Kilometerstand") {
			t.Errorf("asked again: %s", again)
		}
		tg.Write("keine Ahnung")
		h.eventually("the second miss is counted", func() bool { return h.owner.get("/asks/"+a.str("id")).obj().num("tries") == 2 })
		tg.Write("84.300 km")
		got := h.asked(a.str("id"), "answered")
		if got.str("value_text") != "84.300 km" || len(tg.Inbox()) != 2 {
			t.Errorf("%s, %d messages", mustJSON(got), len(tg.Inbox()))
		}
		shown := h.owner.do("POST", "/asks/preview", map[string]any{"ask": yesNo(), "channels": []string{"email", "telegram", "webchat", "whatsapp", "twilio", "voice", "letter"}}).want(200).items()
		for i, way := range []string{"links", "buttons", "native", "buttons", "numbered", "keypad", "boxes"} {
			if len(shown) != 7 || shown[i].str("way") != way {
				t.Errorf("shown as %s", mustJSON(shown))
				break
			}
		}
		h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": map[string]any{"kind": "one_of", "text": map[string]string{"de": "Was?"}}}).problem(422, "invalid")
		h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": map[string]any{"kind": "yes_no", "txt": 1}}).problem(422, "invalid")
	})
}

// TestAskWhich: an answer that fits several open questions is not guessed at.
func TestAskWhich(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		tg := h.tg.Customer("Viele Fragen")
		tg.Write("Hallo")
		r := h.owner.conversation("Viele Fragen")
		put := func(text, short string) string {
			return h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": map[string]any{"kind": "yes_no", "text": map[string]string{"de": text}, "short": map[string]string{"de": short}}, "client_id": id()}).want(201).obj().str("id")
		}
		first, second := put("Dürfen wir das Auto waschen?", "Auto waschen"), put("Brauchen Sie einen Ersatzwagen?", "Ersatzwagen")
		tg.WaitFor(h.ctx(), 2)
		tg.Write("ja")
		h.eventually("asked which", func() bool { return len(tg.Inbox()) == 3 })
		tg.Write("Ersatzwagen nein") // that is no choice, and no yes to it
		h.eventually("asked again", func() bool { return len(tg.Inbox()) == 4 })
		if !tg.Press("Auto waschen") {
			t.Fatalf("no such button: %+v", tg.Inbox()[2])
		}
		h.asked(first, "answered")
		if got := h.owner.get("/asks/" + second).obj(); got.str("state") != "open" {
			t.Errorf("the other one: %s", mustJSON(got))
		}
		// A quote says which.
		third := put("Sollen wir die Reifen prüfen?", "Reifen")
		h.delivered(h.owner.get("/asks/"+third).obj().str("message_id"), "sent") // its id is known: nobody answers before they have read it
		box := tg.WaitFor(h.ctx(), 5)
		tg.Reply(box[4].ID, "nein")
		h.asked(third, "answered")
	})
}

// TestAskTimers: a reminder, then the default or the end; each once, whatever the clock does.
func TestAskTimers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		tg := h.tg.Customer("Still Schweiger")
		tg.Write("Hallo")
		r := h.owner.conversation("Still Schweiger")
		def := yesNo()
		def["expires"], def["remind"], def["default"] = "10d", "3d", map[string]any{"yes": false}
		a := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": def, "client_id": id()}).want(201).obj()
		plain := yesNo()
		plain["expires"] = "10d"
		b := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": plain, "client_id": id()}).want(201).obj()
		tg.WaitFor(h.ctx(), 2)
		h.leap(5 * 24 * time.Hour)
		h.eventually("reminded", func() bool { return len(tg.Inbox()) == 3 })
		if !strings.Contains(tg.Inbox()[2].Text, "Erinnerung") {
			t.Errorf("the reminder: %q", tg.Inbox()[2].Text)
		}
		h.leap(6 * 24 * time.Hour)
		if got := h.asked(a.str("id"), "answered"); got.str("answered_by.kind") != "default" || got.str("value_text") != "Nein" {
			t.Errorf("%s", mustJSON(got))
		}
		h.asked(b.str("id"), "expired")
		if n := len(tg.Inbox()); n != 3 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestAskSlots: times of a calendar are offered, booked once, and what is gone is not promised.
func TestAskSlots(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.owner.do("POST", "/calendars", map[string]any{"key": "werkstatt", "name": "Werkstatt"}).want(201)
		day := h.now().AddDate(0, 0, 3).UTC().Truncate(24 * time.Hour).Add(9 * time.Hour)
		slot := func(hours int) map[string]any {
			return map[string]any{"start": day.Add(time.Duration(hours) * time.Hour), "end": day.Add(time.Duration(hours+1) * time.Hour), "capacity": 1}
		}
		h.owner.do("POST", "/calendars/werkstatt/slots", map[string]any{"slots": []any{slot(0), slot(2)}}).want(201)
		def := map[string]any{"kind": "slot", "calendar": "werkstatt", "text": map[string]string{"de": "Wann passt es Ihnen?"}}
		var asks, labels []string
		var people []interface{ Press(string) bool }
		for _, name := range []string{"Erste Bucherin", "Zweiter Bucher", "Dritte Bucherin"} {
			tg := h.tg.Customer(name)
			tg.Write("Ich brauche einen Termin")
			r := h.owner.conversation(name)
			asks = append(asks, h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": def, "client_id": id()}).want(201).obj().str("id"))
			box := tg.WaitFor(h.ctx(), 1)
			if len(box) == 0 || len(box[0].Buttons) < 2 {
				t.Fatalf("no times offered: %+v", box)
			}
			labels = []string{box[0].Buttons[0].Text, box[0].Buttons[1].Text}
			people = append(people, tg)
		}
		people[0].Press(labels[0])
		h.asked(asks[0], "answered")
		people[1].Press(labels[0]) // gone: the other one is offered
		second := h.tg.Customer("Zweiter Bucher")
		h.eventually("others are offered", func() bool {
			box := second.Inbox()
			return len(box) == 2 && strings.Contains(box[1].Text, "vergeben")
		})
		// The button of the first message means what it says, whatever its number is by now.
		if !second.PressOn(second.Inbox()[0].ID, labels[1]) {
			t.Fatal("the first message has no such button")
		}
		if got := h.asked(asks[1], "answered"); !strings.HasPrefix(got.str("value.at"), day.Add(2*time.Hour).In(berlin(t)).Format("2006-01-02T15:04")) {
			t.Errorf("an old button booked %s", mustJSON(got.at("value")))
		}
		people[2].Press(labels[0]) // nothing is left: a person
		h.asked(asks[2], "handed")
		for _, s := range h.owner.get("/calendars/werkstatt/slots").want(200).items() {
			if s.num("taken") != 1 {
				t.Errorf("%s", mustJSON(s))
			}
		}
		h.owner.do("POST", "/conversations/"+h.owner.conversation("Dritte Bucherin").str("id")+"/asks", map[string]any{"ask": def}).problem(422, "invalid")
	})
}

func berlin(t *testing.T) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestAskVerify: an address counts once the code that went there came back.
func TestAskVerify(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		tg := h.tg.Customer("Mail Nenner")
		tg.Write("Hallo")
		r := h.owner.conversation("Mail Nenner")
		a := h.owner.do("POST", "/conversations/"+r.str("id")+"/asks", map[string]any{"ask": map[string]any{"kind": "email", "verify": true, "text": map[string]string{"de": "Ihre E-Mail-Adresse?"}}, "client_id": id()}).want(201).obj()
		tg.Write("nenner@kunde.example")
		code := regexp.MustCompile(`\b\d{6}\b`).FindString(emailsim.PlainText(h.mailTo("nenner@kunde.example", 1).Raw))
		if code == "" {
			t.Fatal("no code came")
		}
		wrong := "000000"
		if code == wrong {
			wrong = "111111"
		}
		tg.Write(wrong)
		h.eventually("the wrong code is told", func() bool { box := tg.Inbox(); return strings.Contains(box[len(box)-1].Text, "stimmt nicht") })
		tg.Write(code)
		got := h.asked(a.str("id"), "answered")
		if v := string(mustJSON(got.at("value"))); !strings.Contains(v, `"verified":true`) || !strings.Contains(v, "nenner@kunde.example") {
			t.Errorf("%s", v)
		}
	})
}

// TestDialogPickup is the pick-up end to end: it begins by mail, goes on by Telegram, and every answer is taken once.
func TestDialogPickup(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		x := h.two("Abholer Wechsel")
		i := h.owner.do("POST", "/conversations/"+x.conv+"/dialogs", map[string]any{"key": "pickup", "client_id": id(), "inputs": map[string]any{"what": "Ihr Auto", "place": "Werkstatt Nord", "at": h.now().AddDate(0, 0, 2).Format("2006-01-02") + "T16:00"}}).want(201).obj()
		m := h.mailTo(x.address, 1)
		if text := emailsim.PlainText(m.Raw); !strings.Contains(text, "Assistent") {
			t.Errorf("the machine does not say what it is:\n%s", text)
		}
		x.chat.Write("ja passt")
		var got object
		h.eventually("the dialog is over", func() bool {
			got = h.owner.get("/conversations/" + x.conv + "/dialogs").want(200).items()[0]
			return got.str("status") == "ended"
		})
		if got.str("id") != i.str("id") || got.str("outcome") == "" {
			t.Errorf("%s", mustJSON(got))
		}
		// It went on where the answer came from.
		tg := h.tg.Customer("Abholer Wechsel")
		h.eventually("it goes on by Telegram", func() bool { return len(tg.Inbox()) >= 1 })
		if row := h.owner.get("/conversations/" + x.conv).obj(); row.at("waiting_since") != nil && row.str("waiting_since") != "" {
			t.Errorf("nobody has to answer, but the conversation waits since %s", row.str("waiting_since"))
		}
	})
}

const questionnaire = `dialog: probe
title: {de: Probe, en: Trial}
languages: [de, en]
start: [probe]
steps:
  - id: km
    ask:
      kind: number
      text: {de: "Wie viele Kilometer?", en: "How many kilometres?"}
      min: 0
      max: 500000
      unit: km
    save: km
    expired: tired
  - id: call
    call: {url: "%s/hook", body: {km: "km"}, timeout: 2s, tries: 2}
    save: answer
    failed: person
  - id: pause
    wait: {for: 2h}
    wrote: bye
  - id: bye
    say: {de: "Danke, {{ km }} notiert.", en: "Thank you, {{ km }} noted."}
    late: elsewhere
  - id: over
    end: {outcome: noted, close: true}
  - id: tired
    say: {de: "Wir melden uns.", en: "We will be in touch."}
    late: elsewhere
    next: person
  - id: person
    hand: {staff: advisor, note: {de: "Kilometer unklar", en: "Kilometres unclear"}, tag: km}
`

// TestDialogTry: a trial shows the same on every medium, with times of the calendar, and sends nothing.
func TestDialogTry(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		source := h.owner.get("/dialogs/pickup").want(200).obj().str("source")
		got := h.owner.do("POST", "/dialogs/try", map[string]any{"source": source, "language": "de", "channels": []string{"email", "whatsapp", "twilio", "voice", "letter"},
			"inputs": map[string]any{"what": "Ihr Auto", "place": "Werkstatt Nord", "at": "2030-03-07T16:00"}, "turns": []any{map[string]any{"text": "nein"}, map[string]any{"choice": 1}}}).want(200).obj()
		if got.str("status") != "ended" || len(got.list("channels")) != 5 {
			t.Fatalf("%s", mustJSON(got))
		}
		for _, c := range got.list("channels") {
			turns := c.list("turns")
			if first := turns[0].str("text"); !strings.Contains(first, "Ihr Auto") && !strings.Contains(turns[0].str("rendered.speech"), "Ihr Auto") {
				t.Errorf("%s begins with %q", c.str("channel"), first)
			}
			for _, x := range turns {
				if p := x.obj("rendered").list("problems"); len(p) > 0 {
					t.Errorf("%s: %s", c.str("channel"), mustJSON(p))
				}
			}
		}
		if n := len(h.owner.get("/conversations").items()); n != 0 {
			t.Errorf("%d conversations", n)
		}
	})
}

// TestDialogElsewhere: in mid-dialog the customer goes on by another channel, and may still answer on the first.
func TestDialogElsewhere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		x := h.two("Weiter Woanders")
		h.owner.do("PUT", "/dialogs/probe", map[string]any{"source": fmt.Sprintf(questionnaire, "https://firma.example"), "enabled": true}).want(200)
		h.owner.do("POST", "/conversations/"+x.conv+"/dialogs", map[string]any{"key": "probe", "client_id": id()}).want(201)
		m := h.mailTo(x.address, 1)
		reply(h, m, "Weiter Woanders", x.address, "Weiter per Telegram")
		tg := h.tg.Customer("Weiter Woanders")
		defer func() {
			if t.Failed() {
				t.Logf("%s\n%s", mustJSON(h.owner.messages(x.conv)), h.owner.get("/customers/"+x.id).body)
			}
		}()
		h.eventually("the question comes by Telegram", func() bool {
			box := tg.Inbox()
			return len(box) == 1 && strings.Contains(box[0].Text, "Kilometer")
		})
		if open := h.owner.get("/asks?state=open&conversation_id=" + x.conv).items(); len(open) != 1 {
			t.Errorf("%d questions, want one on two channels", len(open))
		}
		tg.Write("weiter per Brieftaube") // no such medium: not understood, and asked again
		h.eventually("asked again", func() bool { return len(tg.Inbox()) == 2 })
		tg.Write("weiter per WhatsApp") // we know none of theirs
		h.eventually("told", func() bool { return len(tg.Inbox()) == 3 && strings.Contains(tg.Inbox()[2].Text, "keine Adresse") })
		tg.Write("1200")
		h.eventually("answered once", func() bool {
			return len(h.owner.get("/asks?state=answered&conversation_id="+x.conv).items()) == 1
		})
	})
}

// doer answers calls in place of the network.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// TestDialogSteps walks through what a dialog can do: its word begins it, a webhook is called with the same key however
// often, a wait ends, and the conversation is closed.
func TestDialogSteps(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var fail atomic.Int64
		var keys sync.Map
		var bodies sync.Map
		h.Dialogs.HTTP = doer(func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			keys.Store(r.Header.Get("Idempotency-Key"), true)
			bodies.Store(string(b), true)
			rec := httptest.NewRecorder()
			if fail.Add(-1) >= 0 {
				http.Error(rec, "away", 503)
			} else {
				_, _ = io.WriteString(rec, `{"ok":true}`)
			}
			return rec.Result(), nil
		})
		source := fmt.Sprintf(questionnaire, "https://firma.example")
		h.owner.do("PUT", "/dialogs/probe", map[string]any{"source": strings.Replace(source, "next: person", "next: nowhere", 1), "enabled": true}).problem(422, "dead_ends")
		h.owner.do("PUT", "/dialogs/probe", map[string]any{"source": strings.ReplaceAll(source, "https://", "http://"), "enabled": false}).want(200)
		h.owner.do("PUT", "/dialogs/probe", map[string]any{"source": source, "enabled": true}).problem(409, "conflict")
		d := h.owner.do("PUT", "/dialogs/probe", map[string]any{"source": source, "enabled": true, "base_version": 1}).want(200).obj()
		if d.num("version") != 2 || !d.yes("enabled") || len(d.list("found")) != 0 {
			t.Errorf("%s", mustJSON(d))
		}
		tg := h.tg.Customer("Probe Läufer")
		fail.Store(1)
		tg.Write("Probe")
		h.eventually("it asks", func() bool { return len(tg.Inbox()) == 1 })
		if first := tg.Inbox()[0]; !strings.Contains(first.Text, "Kilometer") || !strings.Contains(first.Text, "Assistent") {
			t.Errorf("the first message: %q", first.Text)
		}
		r := h.owner.conversation("Probe Läufer")
		if r.at("waiting_since") != nil {
			t.Errorf("the customer waits for a person while a machine answers: %v", r.at("waiting_since"))
		}
		instance := func() object { return h.owner.get("/conversations/" + r.str("id") + "/dialogs").want(200).items()[0] }
		// A new version does not touch what runs.
		h.owner.do("PUT", "/dialogs/probe", map[string]any{"source": strings.Replace(source, "notiert", "vermerkt", 1), "enabled": true, "base_version": 2}).want(200)
		tg.Write("84.300")
		h.leap(3 * time.Second) // the second try
		h.eventually("the call is made again and it waits", func() bool { return instance().str("status") == "waiting" })
		n := 0
		keys.Range(func(any, any) bool { n++; return true })
		if _, ok := bodies.Load(`{"km":84300}`); n != 1 || !ok {
			t.Errorf("%d keys of one call, body known: %v", n, ok)
		}
		h.leap(3 * time.Hour)
		h.eventually("it ends", func() bool { return instance().str("status") == "ended" })
		box := tg.WaitFor(h.ctx(), 2)
		if !strings.Contains(box[1].Text, "84.300 km notiert") {
			t.Errorf("it ended with %q", box[1].Text)
		}
		if row := h.owner.get("/conversations/" + r.str("id")).obj(); row.str("status") != "closed" || instance().str("outcome") != "noted" {
			t.Errorf("%s %s", row.str("status"), mustJSON(instance()))
		}
		// Both calls fail: a person gets it, with what was said, the tag, and the customer learns of it.
		other := h.tg.Customer("Probe Pech")
		fail.Store(2)
		other.Write("probe!")
		other.WaitFor(h.ctx(), 1)
		other.Write("12 km")
		h.leap(3 * time.Second)
		r = h.owner.conversation("Probe Pech")
		h.eventually("a person gets it", func() bool { return instance().str("status") == "handed" })
		row := h.owner.get("/conversations/" + r.str("id")).obj()
		if row.at("waiting_since") == nil || !strings.Contains(string(mustJSON(row.at("tags"))), "km") {
			t.Errorf("handed: %s", mustJSON(row))
		}
		noted := false
		for _, m := range h.owner.messages(r.str("id")) {
			noted = noted || m.str("kind") == "note" && strings.Contains(m.str("text"), "Kilometer unklar") && strings.Contains(m.str("text"), "12 km")
		}
		if !noted {
			t.Error("the note does not say what was answered")
		}
		// Somebody wants a person: at once, with everything said so far; and two misses are enough.
		for i, words := range [][]string{{"Mensch"}, {"hm", "weiß nicht"}, {"ich will mit einem Mitarbeiter sprechen"}} {
			name := fmt.Sprintf("Probe Mensch %d", i)
			p := h.tg.Customer(name)
			p.Write("Probe")
			p.WaitFor(h.ctx(), 1)
			r = h.owner.conversation(name)
			for k, w := range words {
				p.Write(w)
				p.WaitFor(h.ctx(), 2+k)
			}
			h.eventually("a person gets "+name, func() bool { return instance().str("status") == "handed" })
			if open := h.owner.get("/asks?state=open&conversation_id=" + r.str("id")).items(); len(open) != 0 {
				t.Errorf("%s: still asked: %s", name, mustJSON(open))
			}
		}
		// Taken over by hand.
		p := h.tg.Customer("Probe Übernahme")
		p.Write("Probe")
		p.WaitFor(h.ctx(), 1)
		r = h.owner.conversation("Probe Übernahme")
		h.owner.do("POST", "/conversations/"+r.str("id")+"/dialogs", map[string]any{"key": "probe"}).problem(409, "running")
		h.owner.do("DELETE", "/dialogs/probe", nil).problem(409, "in_use")
		h.owner.do("POST", "/dialog-instances/"+instance().str("id")+"/stop", nil).want(200)
		h.owner.do("POST", "/dialog-instances/"+instance().str("id")+"/stop", nil).problem(409, "over")
		p.Write("84")
		h.eventually("the colleague reads it", func() bool { return h.owner.get("/conversations/"+r.str("id")).obj().at("waiting_since") != nil })
	})
}

// TestDialogSurvivesRestart: in mid-dialog the server ends; what was asked is answered after it is back, a wait that came
// due meanwhile ends, and nothing is said twice.
func TestDialogSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	h := open(t, "", func(c *app.Config) { c.Dir = dir })
	h.owner.do("PUT", "/dialogs/probe", map[string]any{"source": strings.Replace(fmt.Sprintf(questionnaire, "https://firma.example"), "id: call\n    call: {url: \"https://firma.example/hook\", body: {km: \"km\"}, timeout: 2s, tries: 2}\n    save: answer\n    failed: person", "id: call\n    set: {answer: \"km\"}", 1), "enabled": true}).want(200)
	asked, waiting := h.tg.Customer("Neu Start"), h.tg.Customer("Neu Warten")
	for _, c := range []*telegramsim.Customer{asked, waiting} {
		c.Write("Probe")
		c.WaitFor(h.ctx(), 1)
	}
	waiting.Write("77")
	r := h.owner.conversation("Neu Warten")
	status := func(conv string) string {
		return h.owner.get("/conversations/" + conv + "/dialogs").want(200).items()[0].str("status")
	}
	h.eventually("it waits", func() bool { return status(r.str("id")) == "waiting" })
	if err := h.App.Close(); err != nil {
		t.Fatal(err)
	}
	asked.Write("1.234 km")
	h.leap(3 * time.Hour)
	again, err := app.Start(h.ctx(), app.Config{Dir: dir, Listen: "127.0.0.1:0", AllowPrivate: true, Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	h.App = again // closed by open's clean-up
	h.eventually("the wait has ended", func() bool { return status(r.str("id")) == "ended" })
	h.eventually("the answer is taken", func() bool { return status(h.owner.conversation("Neu Start").str("id")) == "waiting" })
	h.eventually("it is said once", func() bool { return len(waiting.Inbox()) == 2 })
	if box := waiting.Inbox(); !strings.Contains(box[1].Text, "77 km notiert") || len(asked.Inbox()) != 1 {
		t.Errorf("%+v\n%+v", box, asked.Inbox())
	}
}
