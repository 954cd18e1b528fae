package sim

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// world is a stand-in for the providers: everything works at once, and the company answers after a while.
type world struct {
	acts   []string
	times  []time.Time
	sent   map[string]Line
	serial int
	fail   func(Act) bool
}

func (w *world) do(_ context.Context, a Act) (Line, error) {
	if w.fail != nil && w.fail(a) {
		return Line{}, errors.New("no")
	}
	w.serial++
	l := Line{ID: fmt.Sprintf("w%d", w.serial), Customer: a.Customer, Channel: a.Channel, Text: a.Text, Subject: a.Subject}
	w.sent[l.ID] = l
	w.times = append(w.times, time.Now())
	files := 0
	for _, f := range a.Files {
		files += len(f.Content)
	}
	w.acts = append(w.acts, fmt.Sprintf("%s|%s|%s|%s|%s|%s|%s|%d", time.Now().Format(time.RFC3339Nano), a.Customer, a.Channel, a.Kind, a.Target, a.Subject, a.Text, files))
	return l, nil
}

// live runs a population in fake time; answer gives the company's words, "" = none.
func live(t *testing.T, o PopulationOptions, d time.Duration, answer func(a Act) string, fail func(Act) bool) (*world, *Population) {
	t.Helper()
	w := &world{sent: map[string]Line{}, fail: fail}
	p := NewPopulation(o)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	p.Run(ctx, func(ctx context.Context, a Act) (Line, error) {
		l, err := w.do(ctx, a)
		if err == nil && a.Kind == Write {
			if text := answer(a); text != "" {
				reply := Line{ID: "to-" + l.ID, Customer: a.Customer, Channel: a.Channel, In: true, From: "Leyla Demir (Service)", Text: text}
				time.AfterFunc(90*time.Second, func() { p.Tell(reply) })
			}
		}
		return l, err
	})
	return w, p
}

var questions = []string{"Können Sie uns bitte ein Foto schicken?", "Wann genau war das?", "Ich kümmere mich darum.", "Das ist erledigt.", "Bitte senden Sie uns die Rechnung als PDF."}

func asking() func(Act) string {
	n := 0
	return func(Act) string { n++; return questions[n%len(questions)] }
}

func TestSameSeedSameLives(t *testing.T) {
	run := func(seed uint64) (acts []string) {
		synctest.Test(t, func(t *testing.T) {
			w, _ := live(t, PopulationOptions{Seed: seed, Staff: map[string]string{"Leyla Demir": "Frau Demir"}}, 90*time.Minute, asking(), nil)
			acts = w.acts
		})
		return acts
	}
	a, b, c := run(5), run(5), run(6)
	if len(a) < 100 {
		t.Fatalf("only %d acts in an hour and a half", len(a))
	}
	if strings.Join(a, "\n") != strings.Join(b, "\n") {
		t.Error("the same seed and the same answers led to different acts")
	}
	if strings.Join(a, "\n") == strings.Join(c, "\n") {
		t.Error("another seed led to the same acts")
	}
}

func TestPeopleDoNotRepeatThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := live(t, PopulationOptions{Seed: 2, PerHour: 1000}, 2*time.Hour, asking(), nil)
		seen := map[string]int{}
		kinds := map[string]int{}
		for _, a := range w.acts {
			f := strings.SplitN(a, "|", 8)
			kinds[f[2]+" "+f[3]]++
			if f[3] == string(Write) && f[5] != "" {
				seen[f[5]+f[6]]++
			}
		}
		for text, n := range seen {
			if n > 1 {
				t.Errorf("written %d times: %q", n, text)
			}
		}
		for _, k := range []string{"email write", "telegram write", "telegram edit", "telegram react"} {
			if kinds[k] == 0 {
				t.Errorf("nobody did %s: %v", k, kinds)
			}
		}
	})
}

func TestAnHourHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := PopulationOptions{Seed: 3, Customers: 400, PaceMin: time.Second, PaceMax: 2 * time.Second, PerHour: 100}
		w, _ := live(t, o, 3*time.Hour+time.Minute, asking(), nil)
		if len(w.times) < 290 {
			t.Fatalf("only %d acts in three hours", len(w.times))
		}
		for i := 100; i < len(w.times); i++ {
			if d := w.times[i].Sub(w.times[i-100]); d < time.Hour {
				t.Fatalf("acts %d to %d lie within %s", i-100, i, d)
			}
		}
	})
}

func TestWhoIsNotAnsweredAsksAgainAndGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := live(t, PopulationOptions{Seed: 4, Customers: 3, RemindAfter: 10 * time.Minute}, 4*time.Hour, func(Act) string { return "" }, nil)
		count := map[string]int{}
		for _, a := range w.acts {
			count[strings.SplitN(a, "|", 3)[1]]++
		}
		for _, c := range p.Customers() {
			// Each concern has an opening, two reminders, and perhaps corrections; a new one begins after half an hour.
			if n := count[c.ID]; n < 6 || n > 40 {
				t.Errorf("%s did %d things in four hours of silence", c.ID, n)
			}
		}
	})
}

func TestWhatFailsIsTriedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		w, p := live(t, PopulationOptions{Seed: 4}, 30*time.Minute, asking(), func(Act) bool { n++; return n%3 == 0 })
		if len(w.acts) < 20 || len(p.Waiting()) == 0 {
			t.Errorf("%d acts, %d wait", len(w.acts), len(p.Waiting()))
		}
	})
}

func TestHeldCustomersAreLeftAlone(t *testing.T) {
	p := NewPopulation(PopulationOptions{Seed: 1})
	now := time.Now()
	for _, h := range p.order {
		p.cast.begin(h, now)
		p.want(now, Act{Customer: h.ID}, nil)
	}
	p.Hold("k05", time.Hour)
	p.Tell(Line{ID: "x", Customer: "k05", Channel: Telegram, In: true, Text: "Wann war das?"})
	p.mu.Lock()
	p.hear(now)
	p.mu.Unlock()
	for _, w := range p.queue {
		if w.act.Customer == "k05" {
			t.Fatal("a customer whom the visitor plays acts by themselves")
		}
	}
	if len(p.queue) != 39 {
		t.Errorf("%d acts left of the others", len(p.queue))
	}
}

func TestReactions(t *testing.T) {
	for _, test := range []struct {
		story, says string
		sense       Sense
		files       int
		holds       string
	}{
		{"wasser", "Können Sie uns bitte Bilder schicken?", Answers, 1, ""},
		{"wasser", "Bitte schicken Sie uns die Rechnung als PDF.", Answers, 1, ""},
		{"wasser", "Schicken Sie mir bitte ein Foto und die Rechnung als PDF?", Answers, 2, ""},
		{"hund", "Haben Sie ein Foto für uns?", Answers, 0, ""},
		{"umzug", "Bitte senden Sie uns den Mietvertrag als PDF.", Answers, 0, ""},
		{"wasser", "Wie groß ist die Küche?", Answers, 0, ""},
		{"sepa", "Nennen Sie mir bitte die neue IBAN?", Answers, 0, "DE"},
		{"umzug", "Darf ich Sie anrufen?", Answers, 0, "06131"},
		{"unfall", "Ich kümmere mich darum und melde mich.", Waits, 0, ""},
		{"unfall", "> Können Sie ein Foto schicken?\nDas ist erledigt.", "", 0, ""},
		{"lob", "Vielen Dank für Ihre Worte!", Thanks, 0, ""},
	} {
		p := NewPopulation(PopulationOptions{Seed: 9, Staff: map[string]string{"Leyla Demir": "Frau Demir"}})
		h := p.order[0] // writes mails only
		p.cast.begin(h, time.Now())
		for i := range stories {
			if stories[i].key == test.story {
				s := &stories[i]
				h.concern.story, h.concern.details, h.concern.follow = s, s.details, s.follow
			}
		}
		acts := p.cast.react(h, Line{ID: "a", Customer: h.ID, Channel: Email, In: true, From: "Leyla Demir (Service)", Text: test.says}, time.Now(), func() time.Duration { return time.Minute })
		if len(acts) != 1 {
			t.Fatalf("%s %q: %d acts", test.story, test.says, len(acts))
		}
		a := acts[0]
		if test.sense != "" && a.Sense != test.sense || len(a.Files) != test.files || !strings.Contains(a.Text, test.holds) || a.Target != "a" {
			t.Errorf("%s %q: %s with %d files to %q: %q", test.story, test.says, a.Sense, len(a.Files), a.Target, a.Text)
		}
		if test.sense == "" && a.Sense == Answers {
			t.Errorf("a quoted question was answered: %q", a.Text)
		}
	}
}

func TestEveryStoryIsComplete(t *testing.T) {
	for _, c := range Customers(1, 40) {
		for _, s := range stories {
			texts := append(append(append(append(append(append([]string{}, s.subjects...), s.mail...), s.chat...), s.ask...), s.details...), append(s.solve, append(s.thanks, s.note...)...)...)
			for _, f := range s.follow {
				texts = append(texts, f.q, f.a)
			}
			for _, text := range texts {
				if got := c.facts.Replace(text); strings.ContainsAny(got, "{}") {
					t.Errorf("%s: %q keeps a brace for %s", s.key, text, c.ID)
				}
			}
			if len(s.subjects)*len(s.mail)*len(s.chat)*len(s.solve)*len(s.thanks)*len(s.note)*s.weight == 0 || s.tag == "" {
				t.Errorf("%s lacks something", s.key)
			}
		}
	}
}

func TestCustomersAreDistinct(t *testing.T) {
	names, mails, chats := map[string]bool{}, map[string]bool{}, map[string]bool{}
	both, accounts := 0, 0
	for _, c := range Customers(1, 1500) {
		if names[c.Name] || c.Email != "" && mails[c.Email] || c.Telegram != "" && chats[c.Telegram] {
			t.Fatalf("twice: %+v", c)
		}
		names[c.Name], mails[c.Email], chats[c.Telegram] = true, true, true
		if strings.ContainsFunc(c.Email, func(r rune) bool { return r > '~' || r == ' ' }) {
			t.Errorf("not an address: %s", c.Email)
		}
		if c.Uses(Email) && c.Uses(Telegram) {
			both++
		}
		if c.Uses(Web) != (c.Web != "") || c.Uses(Web) && len(c.Channels) != 3 {
			t.Fatalf("an account of one who uses %v: %q", c.Channels, c.Web)
		}
		if c.Web != "" {
			accounts++
		}
	}
	if both != 500 || accounts != 167 {
		t.Errorf("%d use both channels, %d have an account", both, accounts)
	}
}

func TestIBANChecks(t *testing.T) {
	for i, c := range Customers(3, 50) {
		s := strings.ReplaceAll(c.facts.Replace("{iban}"), " ", "")
		n, ok := new(big.Int).SetString(s[4:]+"1314"+s[2:4], 10)
		if !ok || len(s) != 22 || new(big.Int).Mod(n, big.NewInt(97)).Int64() != 1 {
			t.Errorf("%d: %s is no IBAN", i, s)
		}
	}
}

func TestOfficeHours(t *testing.T) {
	p := NewPopulation(PopulationOptions{})
	for h := range 24 * 8 {
		at := time.Date(2026, 11, 20, h, 30, 0, 0, time.Local)
		got := officeHours(p.rng, at)
		if got.Before(at) || got.Sub(at) > 64*time.Hour || got.Weekday() == time.Saturday || got.Weekday() == time.Sunday || got.Hour() < 8 || got.Hour() >= 18 {
			t.Errorf("%s → %s", at.Format("Mon 15:04"), got.Format("Mon 15:04"))
		}
	}
}

func TestClockNeverGoesBack(t *testing.T) {
	var c Clock
	late := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	c.Set(late)
	c.Set(late.Add(-time.Hour))
	if !c.Now().Equal(late) {
		t.Errorf("it shows %s", c.Now())
	}
	c.Release()
	if d := time.Since(c.Now()); d < -time.Second || d > time.Second {
		t.Errorf("after Release it is off by %s", d)
	}
}
