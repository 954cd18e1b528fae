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

// The kinds of channels of architecture.md: each is either built or planned, never both. A driver that is built takes
// its row out of channel.Planned.
func TestEveryKindIsBuiltOrPlanned(t *testing.T) {
	want := strings.Fields("email webchat portal telegram whatsapp messenger instagram viber line twilio vonage smpp slack teams discord rcs signal matrix xmpp voice twilio-voice letter fax visit video form review webhook")
	planned := channel.Planned()
	var have []string
	for k := range planned {
		have = append(have, string(k))
	}
	for _, d := range app.Drivers() {
		if _, both := planned[d.Kind()]; both {
			t.Errorf("%s has a driver: take its row out of internal/channel/planned.go", d.Kind())
			continue
		}
		have = append(have, string(d.Kind()))
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("kinds that are built or planned:\n%s\nwant those of architecture.md:\n%s", have, want)
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
