package sim

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// TestPartiesAnswer: a third party answers what it got, in the same thread, and goes on where it was.
func TestPartiesAnswer(t *testing.T) {
	p, desk, _, ctx := start(t)
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	p.LiveParties(run, 1, time.Millisecond, 2*time.Millisecond, slog.New(slog.DiscardHandler))
	us := emailsim.Client{Name: "Büro", Address: p.options.Service, Server: p.Mail.Addr()}
	id, err := us.Send(ctx, emailsim.Message{To: []string{Parties[0].Email}, Subject: "Schaden", Text: "Bitte regulieren"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := desk.Wait(ctx, p.options.Service, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Header("In-Reply-To") != id || !bytes.Contains(got[0].Raw, []byte(Parties[0].Email)) {
		t.Errorf("answer:\n%s", got[0].Raw)
	}
	if _, err := us.Reply(ctx, got[0].Raw, "Anbei"); err != nil {
		t.Fatal(err)
	}
	if got, err = desk.Wait(ctx, p.options.Service, 2); err != nil {
		t.Fatal(err)
	}
	first, second := emailsim.PlainText(got[0].Raw), emailsim.PlainText(got[1].Raw)
	if !strings.Contains(first, "angelegt") || !strings.Contains(second, "fünf Werktagen") {
		t.Errorf("answers %q and %q", first, second)
	}
}
