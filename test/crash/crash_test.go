//go:build crash

package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kills is how often the server is killed, over both engines.
func kills(t *testing.T) int {
	t.Helper()
	s := os.Getenv("RUFWEITE_KILLS")
	if s == "" {
		return 50
	}
	n, err := strconv.Atoi(s)
	ok(t, err)
	return n
}

// Killed at random under load: nothing that was acknowledged is lost or shown twice, nothing is sent twice, and what
// nobody can know is said to be uncertain.
func TestKillUnderLoad(t *testing.T) {
	n := kills(t)
	pg := os.Getenv("RUFWEITE_TEST_POSTGRES") != ""
	if pg {
		n = (n + 1) / 2
	}
	t.Run("sqlite", func(t *testing.T) { killUnderLoad(t, n, false) })
	if pg {
		t.Run("postgres", func(t *testing.T) { killUnderLoad(t, n, true) })
	}
}

func killUnderLoad(t *testing.T, n int, pg bool) {
	s := install(t, t.TempDir(), pg)
	w := open(t, s)
	s.start()
	s.ready()
	w.begin(10, 4, 4, 4)
	var startups []time.Duration
	early := 0
	faults := make(chan struct{})
	for i := range n {
		if i == n/2 { // the second half with providers that fail as well
			go w.misbehave(faults)
		}
		if i%5 == 4 { // while it is starting
			time.Sleep(rand.N(300 * time.Millisecond))
			early++
		} else {
			startups = append(startups, s.ready())
			time.Sleep(100*time.Millisecond + rand.N(600*time.Millisecond))
		}
		s.kill()
		s.start()
	}
	startups = append(startups, s.ready())
	close(faults)
	w.end()
	w.compare(fmt.Sprintf("%d kills (%d of them while starting), ready again after %v (median), %v (longest)", n, early, median(startups), slices.Max(startups)))
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if p := s.balance(); p != 0 {
		t.Errorf("%d events are pending after a clean stop", p)
	}
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2].Round(time.Millisecond)
}

// settle waits until nothing is under way any more, and gives every conversation's messages.
func (w *world) settle() map[string][]messageJSON {
	w.t.Helper()
	until(w.t, "the providers' updates to be taken", func() bool { return w.hook.Pending()+w.poll.Pending() == 0 })
	until(w.t, "everything to be processed", func() bool { return w.s.balance() == 0 })
	var all map[string][]messageJSON
	until(w.t, "every answer to leave", func() bool {
		all = map[string][]messageJSON{}
		list, err := pages[conversationJSON](w.s, "/conversations", false)
		ok(w.t, err)
		for _, c := range list {
			messages, err := pages[messageJSON](w.s, "/conversations/"+c.ID+"/messages", true)
			ok(w.t, err)
			all[c.ID] = messages
			for _, m := range messages {
				if m.Delivery != nil && (m.Delivery.State == "queued" || m.Delivery.State == "sending") {
					return false
				}
			}
		}
		return true
	})
	return all
}

// result is what compare counted.
type result struct{ in, answers, once, uncertain, arrived int }

// compare holds what the installation knows against the ledgers.
func (w *world) compare(how string) (r result) {
	t := w.t
	t.Helper()
	all := w.settle()
	work, err := pages[map[string]any](w.s, "/work-items?state=open", false)
	ok(t, err)
	if len(work) != 0 {
		t.Errorf("%d work items, such as %v", len(work), work[0])
	}

	// In: every acknowledged message once, in the order of its sender.
	shown := map[string][]string{}
	outbound := map[string][]messageJSON{} // by address
	for _, messages := range all {
		for _, m := range messages {
			switch {
			case m.Kind != "message":
			case m.Direction == "in":
				name := strings.Split(strings.TrimSpace(m.Text), "-")
				if len(name) != 3 {
					t.Fatalf("nobody wrote %q", m.Text)
				}
				shown[name[1]] = append(shown[name[1]], strings.TrimSpace(m.Text))
			default:
				outbound[m.Address] = append(outbound[m.Address], m)
			}
		}
	}
	in, lost, twice := 0, 0, 0
	for name, said := range w.said() {
		in += len(said)
		times := map[string]int{}
		for _, text := range shown[name] {
			times[text]++
		}
		for _, text := range said {
			switch {
			case times[text] == 0:
				lost++
				t.Errorf("lost: %s was acknowledged", text)
			case times[text] > 1:
				twice++
				t.Errorf("shown %d times: %s", times[text], text)
			}
		}
		if !slices.Equal(shown[name], said) && lost+twice == 0 {
			t.Errorf("the order of %s is not kept", name)
		}
		delete(shown, name)
	}
	for name := range shown {
		t.Errorf("messages of %s, whom nobody knows", name)
	}

	// Out: every accepted answer once at its provider, or uncertain.
	sent := map[string]int{}
	accepted := w.accepted()
	for _, texts := range accepted {
		for _, text := range texts {
			sent[text]++
		}
	}
	known := map[string]messageJSON{}
	for _, list := range outbound {
		for _, m := range list {
			if _, again := known[m.Text]; again {
				t.Errorf("%s stands twice in its conversation", m.Text)
			}
			known[m.Text] = m
		}
	}
	once, uncertain, arrived := 0, 0, 0
	for _, a := range w.answers {
		m, there := known[a.text]
		if !there || m.ID != a.message || m.Delivery == nil {
			t.Errorf("%s was accepted and is not there", a.text)
			continue
		}
		n := sent[a.text]
		switch m.Delivery.State {
		case "sent", "delivered", "read":
			once++
			if n != 1 {
				t.Errorf("%s is said to be sent, and was sent %d times", a.text, n)
			}
		case "uncertain":
			uncertain++
			arrived += n
			if n > 1 {
				t.Errorf("%s is uncertain and was sent %d times", a.text, n)
			}
		default:
			t.Errorf("%s is %s (%s), sent %d times", a.text, m.Delivery.State, m.Delivery.Error, n)
		}
		delete(sent, a.text)
	}
	for text, n := range sent {
		t.Errorf("%q was sent %d times and never accepted from anybody", text, n)
	}
	// Each recipient got the answers of one conversation in their order. (A customer's mails are one conversation here,
	// and so is a chat.)
	for to, list := range outbound {
		var order []string
		for _, m := range list {
			order = append(order, m.Text)
		}
		at := -1
		for _, text := range accepted[to] {
			i := slices.Index(order, text)
			if i < at {
				t.Errorf("%s got %s after what was said later", to, text)
			}
			at = max(at, i)
		}
	}
	if w.s.balance() != 0 {
		t.Error("something is pending again")
	}
	t.Logf("%s; %d messages in, %d lost, %d shown twice; %d answers: %d sent once, %d uncertain (%d of them had arrived); %d attempts repeated; balance adds up",
		how, in, lost, twice, len(w.answers), once, uncertain, arrived, w.refused.Load())
	return result{in, len(w.answers), once, uncertain, arrived}
}
