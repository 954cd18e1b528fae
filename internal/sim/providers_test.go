package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

func start(t *testing.T) (*Providers, *emailsim.Mailbox, *Customer, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	company, err := emailsim.Start(emailsim.Options{Hostname: "firma.example"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(company.Close)
	p, err := StartProviders(ProvidersOptions{Service: "service@firma.example", Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	c := Customers(1, 6)[5] // uses both
	p.Join(c)
	p.Connect(company.Addr())
	return p, company, c, ctx
}

func TestMailBothWays(t *testing.T) {
	p, company, c, ctx := start(t)
	var told []Line
	p.OnLine(func(l Line) { told = append(told, l) })
	first, err := p.Do(ctx, Act{Customer: c.ID, Channel: Email, Kind: Write, Subject: "Wasserschaden in der Küche", Text: "Hallo, größere Überschwemmung.", Files: []File{{"Foto größer.jpg", "image/jpeg", Picture("wasser", 1)}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := company.Wait(ctx, "service@firma.example", 1)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].From != c.Email || got[0].Header("Message-Id") != first.Ref {
		t.Errorf("the company got %s %s, the ledger says %+v", got[0].From, got[0].Header("Message-Id"), first)
	}
	staff := &emailsim.Client{Name: "Leyla Demir (Service)", Address: "service@firma.example", Server: p.Mail.Addr()}
	id, err := staff.Send(ctx, emailsim.Message{To: []string{c.Email}, Subject: "Re: Wasserschaden in der Küche", Text: "Wann war das?", InReplyTo: first.Ref, References: []string{first.Ref},
		Header: map[string]string{"Reply-To": "service+abc@firma.example"}, Files: []emailsim.File{{Name: "Formular.pdf", MediaType: "application/pdf", Content: Document("Formular")}}})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Wait(ctx, func() bool { return len(p.Thread(c.ID, Email)) == 2 }) {
		t.Fatal("the answer did not arrive")
	}
	l := p.Thread(c.ID, Email)[1]
	if !l.In || l.Ref != id || l.ReplyTo != first.ID || l.Text != "Wann war das?" || l.Subject != "Re: Wasserschaden in der Küche" || l.From != "Leyla Demir (Service)" || len(l.Files) != 1 || l.Files[0].Name != "Formular.pdf" || !bytes.Equal(l.Files[0].Content, Document("Formular")) {
		t.Errorf("arrived as %+v", l)
	}
	again, err := p.Do(ctx, Act{Customer: c.ID, Channel: Email, Kind: Write, Target: l.ID, Text: "Gestern."})
	if err != nil {
		t.Fatal(err)
	}
	got, err = company.Wait(ctx, "service@firma.example", 2)
	if err != nil {
		t.Fatal(err)
	}
	m := got[1]
	if m.To[0] != "service+abc@firma.example" || m.Header("In-Reply-To") != id || !strings.Contains(m.Header("References"), first.Ref) || !strings.Contains(m.Header("References"), id) || !strings.Contains(emailsim.PlainText(m.Raw), "> Wann war das?") {
		t.Errorf("the reaction went out as\n%s", m.Raw)
	}
	if again.ReplyTo != l.ID || len(told) != 3 {
		t.Errorf("ledger: %+v, told %d times", again, len(told))
	}
	own, err := p.Do(ctx, Act{Customer: c.ID, Channel: Email, Kind: Write, Target: first.ID, Text: "Nachtrag."})
	if err != nil || own.Parent != first.Ref || own.Subject != "Re: Wasserschaden in der Küche" {
		t.Errorf("a mail under one's own: %+v, %v", own, err)
	}
}

func TestOfficeMailHasPictures(t *testing.T) {
	p, company, _, ctx := start(t)
	var c *Customer
	for _, k := range Customers(1, 40) {
		if k.Company != "" {
			c = k
		}
	}
	p.Join(c)
	if _, err := p.Do(ctx, Act{Customer: c.ID, Channel: Email, Kind: Write, Subject: "Ärger mit Öl", Text: "a < b & c\n\nGrüße", Files: []File{{"Beleg.pdf", "application/pdf", Document("Beleg")}}}); err != nil {
		t.Fatal(err)
	}
	got, err := company.Wait(ctx, "service@firma.example", 1)
	if err != nil {
		t.Fatal(err)
	}
	l := readMail(got[0].Raw)
	if l.Subject != "Ärger mit Öl" || !strings.HasPrefix(l.Text, "a < b & c\n\nGrüße") || len(l.Files) != 2 || l.Files[0].Name != "logo.png" || l.Files[1].Name != "Beleg.pdf" {
		t.Errorf("reads as %+v", l)
	}
	if _, err := png.Decode(bytes.NewReader(l.Files[0].Content)); err != nil {
		t.Error(err)
	}
	resp, err := http.Get(p.URL() + "/bild/banner.png")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := png.Decode(resp.Body); err != nil {
		t.Errorf("the remote picture: %v", err)
	}
}

func TestChatBothWays(t *testing.T) {
	p, _, c, ctx := start(t)
	call := func(method string, v url.Values) {
		t.Helper()
		resp, err := http.PostForm(p.URL()+"/bot"+p.TelegramSettings("poll")["token"]+"/"+method, v)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
			t.Fatalf("%s: %s", method, b)
		}
	}
	call("getUpdates", url.Values{"timeout": {"0"}, "allowed_updates": {`["message","edited_message","message_reaction"]`}})
	first, err := p.Do(ctx, Act{Customer: c.ID, Channel: Telegram, Kind: Write, Text: "Hlalo"})
	if err != nil {
		t.Fatal(err)
	}
	call("sendMessage", url.Values{"chat_id": {first.Address}, "text": {"Guten Tag"}, "reply_parameters": {`{"message_id":` + first.Ref + `}`}})
	if !p.Wait(ctx, func() bool { return len(p.Thread(c.ID, Telegram)) == 2 }) {
		t.Fatal("the answer did not arrive")
	}
	l := p.Thread(c.ID, Telegram)[1]
	if !l.In || l.Text != "Guten Tag" || l.ReplyTo != first.ID {
		t.Errorf("arrived as %+v", l)
	}
	for _, a := range []Act{
		{Kind: Edit, Target: first.ID, Text: "Hallo"},
		{Kind: React, Target: l.ID, Text: "👍"},
		{Kind: Write, Target: l.ID, Text: "mit Zitat"},
		{Kind: Write, Text: "Foto", Files: []File{{"a.jpg", "image/jpeg", Picture("auto", 2)}}},
		{Kind: Write, Text: "Papier", Files: []File{{"b.pdf", "application/pdf", Document("x")}}},
	} {
		a.Customer, a.Channel = c.ID, Telegram
		if _, err := p.Do(ctx, a); err != nil {
			t.Errorf("%s: %v", a.Kind, err)
		}
	}
	lines := p.Thread(c.ID, Telegram)
	if !lines[0].Edited || lines[0].Text != "Hallo" || lines[1].Emoji != "👍" || lines[2].ReplyTo != l.ID || len(lines) != 5 {
		t.Errorf("the chat is %+v", lines)
	}
	var kinds []string
	for _, d := range p.Telegram.Deeds() {
		kinds = append(kinds, d.Kind)
	}
	if want := "message edited_message message_reaction message message message"; strings.Join(kinds, " ") != want {
		t.Errorf("the bot is told %v", kinds)
	}
	p.Forget(1)
	if lines = p.Thread(c.ID, Telegram); lines[3].Files[0].Content != nil || lines[4].Files[0].Content == nil {
		t.Error("Forget forgot the wrong files")
	}
}

func TestRefusals(t *testing.T) {
	p, _, c, ctx := start(t)
	p.Join(Customers(1, 1)[0]) // mail only
	for _, test := range []struct {
		a    Act
		want error
	}{
		{Act{Customer: "nobody", Channel: Email, Kind: Write, Text: "x"}, ErrNoLine},
		{Act{Customer: "k01", Channel: Telegram, Kind: Write, Text: "x"}, ErrNoChannel},
		{Act{Customer: c.ID, Channel: Email, Kind: Write, Text: " \n"}, ErrEmpty},
		{Act{Customer: c.ID, Channel: Email, Kind: Write, Text: "x", Target: "z77"}, ErrNoLine},
		{Act{Customer: c.ID, Channel: Telegram, Kind: Write, Text: "x", Target: "z77"}, ErrNoLine},
		{Act{Customer: c.ID, Channel: Telegram, Kind: Edit, Text: "x"}, ErrNoLine},
		{Act{Customer: c.ID, Channel: Email, Kind: React, Text: "x"}, ErrNoChannel},
	} {
		if _, err := p.Do(ctx, test.a); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v", test.a, err)
		}
	}
	p.Connect("127.0.0.1:1")
	if _, err := p.Do(ctx, Act{Customer: c.ID, Channel: Email, Kind: Write, Text: "x"}); err == nil || len(p.Thread(c.ID, Email)) != 0 {
		t.Errorf("a mail that nobody took is in the ledger (%v)", err)
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	p, _, c, ctx := start(t)
	if _, err := p.Do(ctx, Act{Customer: c.ID, Channel: Telegram, Kind: Write, Text: "x"}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	b := make([]byte, 1<<20)
	for _, g := range strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(g, "sim.(*Providers)") && !strings.Contains(g, "TestCloseLeaves") {
			t.Errorf("still running:\n%s", g)
		}
	}
}

func TestFilesAreWhatTheySay(t *testing.T) {
	for _, what := range []string{"auto", "wasser", "hagel", "scheibe", "fahrrad", "brief"} {
		b := Picture(what, 3)
		if _, err := jpeg.Decode(bytes.NewReader(b)); err != nil || len(b) > 200<<10 {
			t.Errorf("%s: %v, %d bytes", what, err, len(b))
		}
		if !bytes.Equal(b, Picture(what, 3)) || bytes.Equal(b, Picture(what, 4)) {
			t.Errorf("%s: a variant is not one picture", what)
		}
	}
	pdf := string(Document("Prüfung (1)", "Größe \\ 5 €"))
	if !strings.HasPrefix(pdf, "%PDF-1.4\n") || !strings.Contains(pdf, `(Pr\374fung \(1\))`) || !strings.Contains(pdf, `5 \200)`) {
		t.Errorf("PDF:\n%s", pdf)
	}
	at := strings.Index(pdf, "4 0 obj")
	if !strings.Contains(pdf, "\n"+strings.Repeat("0", 10-len(itoa(at)))+itoa(at)+" 00000 n") {
		t.Error("the table of objects is wrong")
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }
