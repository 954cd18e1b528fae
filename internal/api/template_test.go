package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/whatsapp/whatsappsim"
)

const lateDialog = `dialog: anruf
title: {de: "Anruf", en: "Call"}
languages: [de, en]
steps:
  - id: frage
    ask:
      kind: yes_no
      text: {de: "Dürfen wir Sie morgen anrufen?", en: "May we call you tomorrow?"}
    late: template:rueckmeldung
    next: ende
  - id: ende
    end: {outcome: done}
`

// When the window for free words is closed, a person is offered the approved templates, a machine uses the one that its
// dialog names, and pressing the template's button answers the question.
func TestTemplatesOutsideTheWindow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		sim := whatsappsim.New(whatsappsim.Options{Now: h.now, PairEvery: -1, Retry: []time.Duration{50 * time.Millisecond}})
		server := httptest.NewServer(sim)
		t.Cleanup(func() { sim.Close(); server.CloseClientConnections(); server.Close() })
		id2 := h.channel("default", "whatsapp", "WhatsApp", sim.Settings(server.URL))
		sim.Connect(h.URL() + "/in/whatsapp/" + id2)
		who := sim.Person("Ayşe Yıldız")
		if _, err := who.Write("Wann kommt der Gutachter?", ""); err != nil {
			t.Fatal(err)
		}
		conv := h.owner.conversation("Ayşe Yıldız").str("id")
		h.eventually("the provider names its templates", func() bool {
			return len(h.owner.get("/channels/"+id2+"/templates").want(200).obj().list("items")) >= 5
		})
		h.leap(25 * time.Hour)
		reply := h.owner.get("/conversations/" + conv).want(200).obj().list("reply_options")[0]
		if reply.at("needs_template") != true || reply.at("can_send") != false {
			t.Fatalf("after the window: %s", mustJSON(reply))
		}
		h.owner.do("POST", "/conversations/"+conv+"/messages", map[string]any{"text": "Am Dienstag.", "client_id": id()}).want(409)
		send := func(template map[string]any) *answer {
			return h.owner.do("POST", "/conversations/"+conv+"/messages", map[string]any{"template": template, "client_id": id()})
		}
		send(map[string]any{"name": "termin", "params": []string{"Dienstag"}}).want(422)   // not approved yet
		send(map[string]any{"name": "rueckmeldung", "params": []string{"Ayşe"}}).want(422) // a place is empty
		m := send(map[string]any{"name": "rueckmeldung", "params": []string{"Ayşe", "Gutachter"}}).want(201).obj()
		if !strings.Contains(m.str("text"), "Guten Tag Ayşe, zu Ihrem Anliegen Gutachter") {
			t.Errorf("the desk shows %q", m.str("text"))
		}
		got := inbox(h, who, 1)
		if !strings.Contains(got[0].Text, "zu Ihrem Anliegen Gutachter") || len(got[0].Choices) != 2 {
			t.Errorf("the customer sees %+v", got[0])
		}

		h.owner.do("PUT", "/dialogs/anruf", map[string]any{"source": lateDialog, "enabled": true}).want(200)
		h.owner.do("POST", "/conversations/"+conv+"/dialogs", map[string]any{"key": "anruf", "client_id": id()}).want(201)
		got = inbox(h, who, 2)
		if !strings.Contains(got[1].Text, "Dürfen wir Sie morgen anrufen?") || len(got[1].Choices) != 2 {
			t.Fatalf("the machine's template: %+v", got[1])
		}
		if err := who.Press(got[1].Ref, "Ja, bitte"); err != nil {
			t.Fatal(err)
		}
		h.eventually("the question is answered", func() bool {
			for _, a := range h.owner.get("/asks?conversation_id=" + conv).want(200).items() {
				if a.str("state") == "answered" && strings.Contains(string(mustJSON(a.at("value"))), `"yes":true`) {
					return true
				}
			}
			return false
		})
	})
}

func inbox(h *house, p channelsim.Person, n int) []channelsim.Message {
	h.t.Helper()
	h.eventually("the customer got it", func() bool { return len(p.Inbox()) >= n })
	return p.Inbox()
}
