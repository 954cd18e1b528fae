package api_test

import (
	"strings"
	"testing"
)

// TestChatAsks: a question reaches the widget with its buttons and fields; a pressed one answers it, once; what was not
// offered, or was offered to somebody else, cannot be pressed.
func TestChatAsks(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ch := h.chatChannel(nil)
		w := h.window(ch)
		w.write("Wann kann ich mein Auto holen?")
		talk := h.talk("Auto holen").str("id")
		a := h.owner.do("POST", "/conversations/"+talk+"/asks", map[string]any{"ask": yesNo(), "client_id": id()}).want(201).obj()
		var m object
		h.eventually("the question is in the window", func() bool {
			list := w.history()
			m = list[len(list)-1]
			return strings.Contains(m.str("text"), "Passt das?")
		})
		choices, options := m.list("choices"), m.list("form.options")
		if len(choices) != 2 || len(options) != 2 || m.str("form.input") != "buttons" || choices[0].str("label") != "Ja, passt" {
			t.Fatalf("offered: %s", mustJSON(m))
		}
		press := func(w *window, message, data string) *answer {
			return w.do("POST", "messages", map[string]any{"client_id": id(), "choice": map[string]string{"message": message, "data": data}})
		}
		yes := choices[0].str("data")
		press(w, m.str("id"), "a:zzzzzzzzzzzz:0").problem(422, "no_such_choice")
		press(w, m.str("id"), "").problem(422, "no_such_choice")
		press(w, id(), yes).problem(422, "no_such_choice")
		w.do("POST", "messages", map[string]any{"client_id": id(), "text": "und", "choice": map[string]string{"message": m.str("id"), "data": yes}}).want(422)
		other := h.window(ch)
		other.write("Guten Tag")
		h.talk("Guten Tag")
		press(other, m.str("id"), yes).problem(422, "no_such_choice")

		same := map[string]any{"client_id": id(), "choice": map[string]string{"message": m.str("id"), "data": yes}}
		w.do("POST", "messages", same).want(201)
		w.do("POST", "messages", same).want(200) // the line broke, and the widget sends again
		got := h.asked(a.str("id"), "answered")
		if got.str("value_text") != "Ja, passt" {
			t.Errorf("%s", mustJSON(got))
		}
		h.eventually("the answer is in the window, as one of the question", func() bool {
			for _, x := range w.history() {
				if x.str("text") == "Ja, passt" && x.at("mine") == true && x.str("quote.id") == m.str("id") {
					return true
				}
			}
			return false
		})
	})
}
