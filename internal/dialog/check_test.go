package dialog

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
)

// media are all kinds: what is planned, and rows like those of the drivers that are built (package app proves the ready
// dialogs against the drivers' own).
func media() map[channel.Kind]channel.Medium {
	out := channel.Published()
	add := func(k channel.Kind, name string, c channel.Capabilities) {
		if _, there := out[k]; !there {
			out[k] = channel.Medium{Title: channel.Text{DE: name, EN: name}, Capabilities: c}
		}
	}
	add("email", "E-Mail", channel.Capabilities{HTML: true, Subject: true, Copies: true, Attachments: true, AttachmentMax: 25 << 20, Quote: true, Upload: true, Links: true, WriteFirst: true})
	add("telegram", "Telegram", channel.Capabilities{TextMax: 4096, TextUnit: channel.UTF16, CaptionMax: 1024, Attachments: true, Quote: true, Edits: true, Buttons: 20, ButtonTitleMax: 60, ButtonDataMax: 64, Upload: true, Links: true, Typing: true})
	add("webchat", "Web chat", channel.Capabilities{TextMax: 10000, TextUnit: channel.CodePoints, Attachments: true, Buttons: 10, ButtonTitleMax: 60, ButtonDataMax: 256, Forms: true, Upload: true, Links: true, Typing: true, Delivered: true, Read: true, Idempotent: true})
	return out
}

func TestReadyDialogsHaveNoDeadEnds(t *testing.T) {
	list := Ready()
	if len(list) < 10 {
		t.Fatalf("%d ready dialogs", len(list))
	}
	for _, f := range Check(list, media(), CheckOptions{}) {
		t.Errorf("%s", f)
	}
	if _, findings := Compile(list); len(findings) > 0 {
		t.Errorf("%s", findings[0])
	}
}

var wantLine = regexp.MustCompile(`(?m)# want: (\S+) (.+?)(?:": 1,)?$`)

// Each file in testdata/broken is broken in one way, which its first lines say: the rule, and a part of what is told.
// Further lines "# story: …" are parts of the story, in this order.
func TestBrokenDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*")
	if err != nil || len(files) < 14 {
		t.Fatalf("%d broken dialogs, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := wantLine.FindSubmatch(data)
			if want == nil {
				t.Fatal("the file does not say what is wrong with it: # want: rule message")
			}
			p, findings := Load(name, data)
			if p != nil {
				findings = Check([]*Program{p}, media(), CheckOptions{})
			}
			if len(findings) == 0 {
				t.Fatal("nothing was found")
			}
			var all strings.Builder
			for _, f := range findings {
				all.WriteString(f.String())
			}
			f := findings[0]
			if f.Rule != string(want[1]) || !strings.Contains(f.Message, string(want[2])) {
				t.Errorf("want %s %q, got\n%s", want[1], want[2], all.String())
			}
			if f.Line < 1 || f.Column < 1 || f.Remedy == "" || f.File != name {
				t.Errorf("no place or remedy: %+v", f)
			}
			if m := regexp.MustCompile(`(?m)^# line: (\d+):(\d+)`).FindSubmatch(data); m != nil {
				if at := strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Column); at != string(m[1])+":"+string(m[2]) {
					t.Errorf("found at %s, want %s:%s", at, m[1], m[2])
				}
			}
			for _, other := range findings[1:] {
				if other.Rule != f.Rule || other.Step != f.Step {
					t.Errorf("it is broken in more than one way:\n%s", all.String())
					break
				}
			}
			rest := strings.Join(f.Story, "\n")
			for _, m := range regexp.MustCompile(`(?m)^# story: (.+)$`).FindAllSubmatch(data, -1) {
				i := strings.Index(rest, string(m[1]))
				if i < 0 {
					t.Errorf("the story lacks %q:\n%s", m[1], strings.Join(f.Story, "\n"))
					break
				}
				rest = rest[i+len(m[1]):]
			}
			if testing.Verbose() {
				t.Logf("\n%s", f)
			}
		})
	}
}

// The pick-up example reads as a person would write it, with a place and without one.
func TestPickup(t *testing.T) {
	m, _ := Compile(Ready())
	in := map[string]any{"what": "Ihr Auto", "at": "2026-11-26T14:30"}
	_, fx, err := m.Start("pickup", in, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	if got := fx[0].Say.Ask.Text.Get("de"); got != "Ihr Auto kann Donnerstag, 26. November 2026, 14:30 Uhr abgeholt werden. Passt Ihnen das?" {
		t.Errorf("%q", got)
	}
	in["place"] = "Werkstatt Süd, Hauptstraße 1"
	_, fx, err = m.Start("pickup", in, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	if got := fx[0].Say.Ask.Text.Get("en"); !strings.HasSuffix(got, ": Werkstatt Süd, Hauptstraße 1. Does that suit you?") {
		t.Errorf("%q", got)
	}
}

// The receipt of a withdrawal names content, date and time (§ 356a BGB), and nothing is withdrawn before it is confirmed.
func TestWithdrawalReceipt(t *testing.T) {
	m, _ := Compile(Ready())
	env := testEnv()
	s, fx, err := m.Start("withdrawal", nil, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []ask.Value{{Text: "Anna Vogt"}, {Text: "Bestellung {{ 4711 }}"}, {Skipped: true}} {
		if s.Status != Asking {
			t.Fatalf("%+v", s)
		}
		s, fx = m.Next(through(t, s), Event{Answer: &a}, env)
	}
	if got := fx[0].Say.Ask.Text.Get("de"); got != "Ihre Erklärung: Ich, Anna Vogt, widerrufe den Vertrag: Bestellung {{ 4711 }}. Bestätigung an: keine Angabe." {
		t.Errorf("declaration: %q", got)
	}
	stopped, _ := m.Next(through(t, s), Event{Answer: &ask.Value{Key: "stop"}}, env)
	if stopped.Status != Ended || stopped.Outcome != "stopped" {
		t.Errorf("%+v", stopped)
	}
	s, fx = m.Next(through(t, s), Event{Answer: &ask.Value{Key: "confirm"}}, env)
	if len(fx) != 2 || s.Status != Handed || fx[1].Hand.Tag != "Widerruf" {
		t.Fatalf("%+v %+v", s, fx)
	}
	got := fx[0].Say.Text.Get("de")
	for _, part := range []string{"Montag, 23. November 2026, 10:00 Uhr", "Anna Vogt widerruft", "Bestellung {{ 4711 }}"} {
		if !strings.Contains(got, part) {
			t.Errorf("the receipt lacks %q: %q", part, got)
		}
	}
}

// The example in the handbook works.
func TestHandbook(t *testing.T) {
	b, err := os.ReadFile("../../docs/handbook-dialogs.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(b)
	if m == nil {
		t.Fatal("there is no example")
	}
	p := mustLoad(t, string(m[1]))
	for _, f := range Check([]*Program{p}, media(), CheckOptions{}) {
		t.Errorf("%s", f)
	}
}
