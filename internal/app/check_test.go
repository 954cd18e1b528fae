package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/app"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/dialog"
)

// The kinds of channels of architecture.md: each has a driver or is one of those that later issues build.
func TestEveryKindIsBuiltOrPublished(t *testing.T) {
	want := strings.Fields("email webchat portal telegram whatsapp messenger instagram viber line twilio vonage smpp slack teams discord rcs signal matrix xmpp voice twilio-voice letter fax visit video form review webhook")
	later := strings.Fields("portal voice twilio-voice letter fax visit video form review")
	var built []string
	for _, d := range app.Drivers() {
		built = append(built, string(d.Kind()))
	}
	for _, k := range want {
		if _, published := channel.Published()[channel.Kind(k)]; slices.Contains(later, k) && !published {
			t.Errorf("%s has neither a driver nor a row in internal/channel/published.go", k)
		}
		if slices.Contains(built, k) == slices.Contains(later, k) {
			t.Errorf("%s: built is %t", k, slices.Contains(built, k))
		}
	}
	if len(built)+len(later) != len(want) {
		t.Errorf("%d drivers and %d kinds to come, want %d in all", len(built), len(later), len(want))
	}
}

// No driver promises more than its provider publishes.
func TestDriversPromiseNoMoreThanIsPublished(t *testing.T) {
	for _, d := range app.Drivers() {
		p, ok := channel.Published()[d.Kind()]
		if !ok {
			continue
		}
		c, most := d.Capabilities(), p.Capabilities
		for what, v := range map[string][2]int{"choices": {c.Buttons, most.Buttons}, "rows": {c.ListRows, most.ListRows}, "title of a row": {c.ListTitleMax, most.ListTitleMax},
			"button title": {c.ButtonTitleMax, most.ButtonTitleMax}, "button data": {c.ButtonDataMax, most.ButtonDataMax}} {
			if v[0] > v[1] {
				t.Errorf("%s: %s %d, published are %d", d.Kind(), what, v[0], v[1])
			}
		}
		if c.TextUnit == most.TextUnit && most.TextMax > 0 && (c.TextMax > most.TextMax || c.TextMax == 0) {
			t.Errorf("%s: texts of %d, published are %d", d.Kind(), c.TextMax, most.TextMax)
		}
		if most.Window > 0 && (c.Window == 0 || c.Window > most.Window) {
			t.Errorf("%s: window %v, published are %v", d.Kind(), c.Window, most.Window)
		}
	}
}

func TestReadyDialogsHaveNoDeadEndsAnywhere(t *testing.T) {
	var out bytes.Buffer
	if err := app.CheckDialogs(app.Check{Language: "en"}, app.Drivers(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), ", 28 channels: no dead ends") {
		t.Errorf("said %q", out.String())
	}
}

func TestCheckFiles(t *testing.T) {
	files, err := app.DialogFiles([]string{"../dialog/testdata/broken"})
	ok(t, err)
	if len(files) < 14 {
		t.Fatalf("%d files", len(files))
	}
	for _, f := range files {
		var out bytes.Buffer
		err := app.CheckDialogs(app.Check{Files: []app.DialogFile{f}, JSON: true}, app.Drivers(), &out)
		if !errors.Is(err, app.ErrDeadEnds) {
			t.Errorf("%s: %v", f.Name, err)
		}
		var got struct{ Findings []dialog.Finding }
		ok(t, json.Unmarshal(out.Bytes(), &got))
		if len(got.Findings) == 0 || got.Findings[0].File != f.Name || got.Findings[0].Line == 0 {
			t.Errorf("%s: %s", f.Name, out.String())
		}
	}
	if _, err := app.DialogFiles([]string{t.TempDir()}); err == nil || !strings.Contains(err.Error(), "there is no dialog") {
		t.Errorf("an empty directory: %v", err)
	}
}

// With --data: what is stored and what comes along, against the channels that are set up, also through a running server.
func TestCheckInstallation(t *testing.T) {
	each(t, func(t *testing.T, c app.Config) {
		var out bytes.Buffer
		ok(t, app.Do(ctx, c, app.Command{ChannelAdd: &app.ChannelAdd{Kind: "telegram", Name: "Bot", Set: map[string]string{"token": "123456:" + strings.Repeat("A", 35)}}}, &out))
		run := func(files ...app.DialogFile) (string, error) {
			out.Reset()
			err := app.Do(ctx, c, app.Command{Check: &app.Check{Files: files}}, &out)
			return out.String(), err
		}
		text, err := run()
		ok(t, err)
		if !strings.Contains(text, "1 channels: no dead ends") && !strings.Contains(text, "1 channel: no dead ends") {
			t.Errorf("said %q", text)
		}
		_, stop := serve(t, c)
		defer stop()
		data, err := os.ReadFile(filepath.Join("..", "dialog", "testdata", "broken", "loop-on-expiry.yaml"))
		ok(t, err)
		text, err = run(app.DialogFile{Name: "loop.yaml", Data: data})
		if err == nil || !strings.Contains(text, "loop.yaml:8:5") || !strings.Contains(err.Error(), "dead ends") {
			t.Errorf("said %q, %v", text, err)
		}
		// A colleague who does not exist.
		text, err = run(app.DialogFile{Name: "hand.yaml", Data: []byte("dialog: hand\ntitle: {de: Probe}\nlanguages: [de]\nsteps:\n  - {id: over, hand: {staff: nobody@example.org}}\n")})
		if err == nil || !strings.Contains(text, "nobody here has the e-mail address") {
			t.Errorf("said %q, %v", text, err)
		}
	})
}
