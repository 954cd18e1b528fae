package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/rufweite/rufweite/internal/ask"
)

// askedHere is a set of questions in memory, by code.
type askedHere struct {
	mu     sync.Mutex
	by     map[string]*ask.Opened
	taken  []ask.PageReply
	people int
	fail   error
	out    ask.Outcome // what the next answer comes to
}

func (f *askedHere) Open(_ context.Context, code string) (ask.Opened, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return ask.Opened{}, f.fail
	}
	o := f.by[code]
	if o == nil {
		return ask.Opened{}, fmt.Errorf("look up: %w", ask.ErrNoCode)
	}
	return *o, nil
}

func (f *askedHere) AnswerByCode(_ context.Context, code string, r ask.PageReply) (ask.Opened, ask.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.by[code]
	f.taken = append(f.taken, r)
	if f.out.Problem == "" && r.Value != nil {
		o.State, o.Value, o.AnsweredVia, o.AnsweredAt = "answered", *r.Value, "page", pageNow
	}
	return *o, f.out, nil
}

func (f *askedHere) PersonByCode(_ context.Context, code string) (ask.Opened, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.people++
	f.by[code].State = "handed"
	return *f.by[code], nil
}

var pageNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func pageAsks() map[string]*ask.Opened {
	p := ask.Plain
	least, most := 0.0, 500000.0
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	asks := map[string]ask.Ask{
		"yesn2222yesn": {Kind: ask.YesNo, Text: p("de", "Ihr Auto kann Donnerstag um 16 Uhr abgeholt werden. Passt das?", "en", "Your car can be picked up on Thursday at 16:00. Does that suit you?", "de-simple", "Ihr Auto ist fertig. Holen Sie es am Donnerstag?")},
		"neef2222neef": {Kind: ask.OneOf, Text: p("de", "Worum geht es?", "en", "What is it about?"), Hint: p("de", "Eines genügt.", "en", "One is enough."), Options: []ask.Option{{Key: "claim", Label: p("de", "Schaden melden", "en", "Report a claim"), Description: p("de", "Auto, Haus, Reise", "en", "Car, house, travel")}, {Key: "contract", Label: p("de", "Fragen zum Vertrag", "en", "About a contract")}, {Key: "other", Label: p("de", "Etwas anderes <b>&amp;", "en", "Something else")}}},
		"many2222many": {Kind: ask.ManyOf, Least: 1, Most: 2, Text: p("de", "Welche Unterlagen haben Sie?", "en", "Which documents do you have?"), Options: []ask.Option{{Key: "id", Label: p("de", "Ausweis", "en", "Identity card")}, {Key: "pay", Label: p("de", "Gehaltsnachweis", "en", "Proof of income")}, {Key: "plan", Label: p("de", "Grundriss", "en", "Floor plan")}}},
		"stts2222stts": {Kind: ask.Slot, Text: p("de", "Ihr Golf ist fertig. Wann holen Sie ihn ab?", "en", "Your Golf is ready. When will you pick it up?"), Options: []ask.Option{{Key: "s1", Start: at(26, 15)}, {Key: "s2", Start: at(26, 16)}, {Key: "s3", Start: at(27, 8)}, {Key: "other", Label: p("de", "Anderer Termin", "en", "Another time")}}},
		"date2222date": {Kind: ask.Date, Text: p("de", "Wann ist der Schaden passiert?", "en", "When did the damage happen?"), From: "2024-01-01", Until: "today"},
		"when2222when": {Kind: ask.DateTime, Text: p("de", "Wann sollen wir anrufen?", "en", "When shall we call?")},
		"numb2222numb": {Kind: ask.Number, Min: &least, Max: &most, Unit: "km", Text: p("de", "Wie viele Kilometer ist Ihr Auto gelaufen?", "en", "How many kilometres has your car run?")},
		"text2222text": {Kind: ask.Text, MaxLength: 1000, Optional: true, Text: p("de", "Was ist passiert?", "en", "What happened?")},
		"verd2222verd": {Kind: ask.Rating, Text: p("de", "Wie war unser Service?", "en", "How was our service?")},
		"scat2222scat": {Kind: ask.Rating, Scale: "0-10", Text: p("de", "Würden Sie uns weiterempfehlen?", "en", "Would you recommend us?")},
		"mait2222mait": {Kind: ask.Email, Text: p("de", "Wohin dürfen wir schreiben?", "en", "Where may we write to?")},
		"phne2222phne": {Kind: ask.Phone, Text: p("de", "Unter welcher Nummer erreichen wir Sie?", "en", "At which number can we reach you?")},
		"addr2222addr": {Kind: ask.Address, Text: p("de", "Wie lautet Ihre neue Anschrift?", "en", "What is your new address?")},
		"fite2222fite": {Kind: ask.File, Accept: []string{"image/*"}, Least: 1, Most: 5, Text: p("de", "Bitte schicken Sie Fotos vom Schaden.", "en", "Please send photos of the damage.")},
		"sign2222sign": {Kind: ask.Signature, Text: p("de", "Bitte unterschreiben Sie die Vollmacht.", "en", "Please sign the power of attorney.")},
		"cnst2222cnst": {Kind: ask.Consent, Purpose: "newsletter", Text: p("de", "Dürfen wir Ihnen den Newsletter schicken?", "en", "May we send you the newsletter?")},
		"paym2222paym": {Kind: ask.Payment, URL: "https://pay.example/1", Cents: 15000, Currency: "EUR", Text: p("de", "Bitte zahlen Sie die Selbstbeteiligung.", "en", "Please pay the excess.")},
	}
	by := map[string]*ask.Opened{}
	for code, a := range asks {
		by[code] = &ask.Opened{Ask: a, State: "open", Company: "Berger & Partner", Language: "de", ExpiresAt: pageNow.Add(14 * 24 * time.Hour), Address: "m…@kunde.example", Org: "o1"}
	}
	yes := true
	gone := *by["yesn2222yesn"]
	gone.State = "expired"
	by["gnee2222gnee"] = &gone
	done := *by["yesn2222yesn"]
	done.State, done.Value, done.AnsweredVia, done.AnsweredAt = "answered", ask.Value{Yes: &yes}, "telegram", pageNow
	by["dnee2222dnee"] = &done
	mine := done
	mine.AnsweredVia, mine.Correctable = "page", true
	by["mine2222mine"] = &mine
	handed := *by["yesn2222yesn"]
	handed.State = "handed"
	by["hand2222hand"] = &handed
	proving := *by["mait2222mait"]
	proving.Proving = true
	by["prve2222prve"] = &proving
	return by
}

func pageServer() (*Server, *askedHere, *[]string) {
	f := &askedHere{by: pageAsks()}
	var stored []string
	s := New(Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return pageNow }, Answers: f,
		StoreAnswer: func(_ context.Context, org, name, mediaType string, r io.Reader) (string, error) {
			b, err := io.ReadAll(r)
			if err != nil {
				return "", err
			}
			stored = append(stored, fmt.Sprintf("%s %s %s %d", org, name, mediaType, len(b)))
			return fmt.Sprint("file", len(stored)), nil
		}})
	return s, f, &stored
}

func visit(s *Server, method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, path, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func mustHave(t *testing.T, w *httptest.ResponseRecorder, status int, parts ...string) {
	t.Helper()
	page := w.Body.String()
	_, body, _ := strings.Cut(page, "<body>")
	if w.Code != status {
		t.Fatalf("status %d, want %d\n%s", w.Code, status, body)
	}
	for _, p := range parts {
		if !strings.Contains(page, p) {
			t.Errorf("the page lacks %q:\n%s", p, body)
		}
	}
}

// TestAnswerPageShows opens each kind of question: the page names who asks, is in the question's language, keeps itself
// to itself, and never answers, however often it is opened.
func TestAnswerPageShows(t *testing.T) {
	s, f, _ := pageServer()
	for code, o := range f.by {
		w := visit(s, "GET", "/a/"+code+"?o=0", nil)
		mustHave(t, w, 200, `<html lang="de"`, "Berger &amp; Partner", `content="noindex`)
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("headers: %v", h)
		}
		if o.State == "open" && !strings.Contains(w.Body.String(), `name="person"`) {
			t.Errorf("%s: no way to a person", code)
		}
		for _, src := range []string{"src=", "@import", "url("} {
			if strings.Contains(w.Body.String(), src) {
				t.Errorf("%s: the page loads something (%s)", code, src)
			}
		}
		if _, err := html.Parse(w.Body); err != nil {
			t.Error(err)
		}
	}
	if len(f.taken) != 0 || f.people != 0 {
		t.Error("a GET answered")
	}
}

func TestAnswerPageTexts(t *testing.T) {
	s, _, _ := pageServer()
	for _, c := range []struct {
		path   string
		status int
		parts  []string
	}{
		{"/a/yesn2222yesn", 200, []string{"Passt das?", ">Ja<", ">Nein<", "Antwort senden", "Mit einem Menschen sprechen", "Sie können bis Dienstag, 8. Dezember 2026, 13:00 Uhr antworten.", "m…@kunde.example", "Leichte Sprache", "English"}},
		{"/a/yesn2222yesn?o=1", 200, []string{`value="1" checked`}},
		{"/a/YESN-2222-yesn", 200, []string{"Passt das?"}},
		{"/a/yesn2222yesn?lang=en", 200, []string{`lang="en"`, "Does that suit you?", "Send answer", `action="/a/yesn2222yesn?lang=en"`}},
		{"/a/yesn2222yesn?lang=de-simple", 200, []string{`lang="de-simple"`, "Ihr Auto ist fertig.", "Antwort schicken"}},
		{"/a/neef2222neef", 200, []string{"Etwas anderes &lt;b&gt;&amp;amp;"}},
		{"/a/stts2222stts", 200, []string{"<h2>Donnerstag, 26. November 2026</h2>", "16:00 Uhr", "<h2>Freitag, 27. November 2026</h2>", "Anderer Termin"}},
		{"/a/numb2222numb", 200, []string{`inputmode="decimal"`, "(km)", "0 bis 500.000 km"}},
		{"/a/date2222date", 200, []string{`type="date"`, `min="2024-01-01"`, "Oder in Ihren Worten"}},
		{"/a/text2222text", 200, []string{"<textarea", `maxlength="1000"`, "Überspringen"}},
		{"/a/addr2222addr", 200, []string{`autocomplete="postal-code"`, `autocomplete="street-address"`}},
		{"/a/fite2222fite", 200, []string{`accept="image/*"`, "multiple", "Höchstens 5 Dateien"}},
		{"/a/paym2222paym", 200, []string{"150,00 EUR", `href="https://pay.example/1"`}},
		{"/a/gnee2222gnee", 200, []string{"abgelaufen", `name="person"`}},
		{"/a/dnee2222dnee", 200, []string{"schon beantwortet", "Dienstag, 24. November 2026, 13:00 Uhr per telegram"}},
		{"/a/mine2222mine", 200, []string{"Danke.", "Antwort ändern", "change=1"}},
		{"/a/mine2222mine?change=1", 200, []string{`value="0" checked`, "Antwort senden"}},
		{"/a/dnee2222dnee?change=1", 200, []string{"schon beantwortet"}},
		{"/a/hand2222hand", 200, []string{"Ein Mensch kümmert sich darum"}},
		{"/a/prve2222prve", 200, []string{`autocomplete="one-time-code"`}},
		{"/a/", 200, []string{"Antwort-Code"}},
		{"/a/?code=yesn-2222-yesn", 303, nil},
		{"/a/zzzz2222zzzz", 404, []string{"finden wir nicht", "Antwort-Code"}},
	} {
		mustHave(t, visit(s, "GET", c.path, nil, "Accept-Language", "de-DE"), c.status, c.parts...)
	}
}

// TestAnswerPageTakes answers by POST, once, and shows it by a GET.
func TestAnswerPageTakes(t *testing.T) {
	s, f, _ := pageServer()
	w := visit(s, "POST", "/a/yesn2222yesn?lang=en", url.Values{"o": {"0"}})
	mustHave(t, w, 303)
	if l := w.Header().Get("Location"); l != "/a/yesn2222yesn?lang=en" {
		t.Errorf("goes on to %q", l)
	}
	if len(f.taken) != 1 || f.taken[0].Value == nil || f.taken[0].Value.Yes == nil || !*f.taken[0].Value.Yes {
		t.Fatalf("taken: %+v", f.taken)
	}
	mustHave(t, visit(s, "GET", "/a/yesn2222yesn", nil), 200, "Danke.")
	mustHave(t, visit(s, "POST", "/a/yesn2222yesn", url.Values{"o": {"1"}}), 303)
	if len(f.taken) != 1 {
		t.Error("an answered question was answered again")
	}
	mustHave(t, visit(s, "POST", "/a/neef2222neef", url.Values{}), 422, "Bitte wählen Sie eine Antwort.", `href="#f-o"`, "<title>Bitte prüfen Sie Ihre Antwort")
	mustHave(t, visit(s, "POST", "/a/addr2222addr", url.Values{"street": {"Ring 1"}, "postal_code": {"123"}}), 422, "Die Postleitzahl hat 5 Ziffern.", `value="Ring 1"`, "Bitte nennen Sie den Ort.", `aria-invalid="true"`)
	mustHave(t, visit(s, "POST", "/a/sign2222sign", url.Values{"signed": {"Ada Yıldız"}}), 422, "Bitte bestätigen Sie", `value="Ada Yıldız"`)
	mustHave(t, visit(s, "POST", "/a/text2222text", url.Values{"skip": {"1"}}), 303)
	if v := f.taken[len(f.taken)-1].Value; v == nil || !v.Skipped {
		t.Errorf("skipped: %+v", v)
	}
	mustHave(t, visit(s, "POST", "/a/verd2222verd", url.Values{"person": {"1"}}), 303)
	if f.people != 1 {
		t.Error("nobody was called")
	}
	f.out = ask.Outcome{Problem: ask.OutOfRange, Detail: "slot"}
	mustHave(t, visit(s, "POST", "/a/stts2222stts", url.Values{"o": {"1"}}), 422, "Dieser Termin wurde gerade vergeben.", `value="1" checked`)
	f.out = ask.Outcome{Problem: ask.Unclear, Detail: "code"}
	mustHave(t, visit(s, "POST", "/a/prve2222prve", url.Values{"proof": {"000000"}}), 422, "Der Code stimmt nicht")
}

func upload(t *testing.T, s *Server, path string, fields url.Values, files ...[2]string) *httptest.ResponseRecorder {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for k, list := range fields {
		for _, v := range list {
			_ = m.WriteField(k, v)
		}
	}
	for _, f := range files {
		p, err := m.CreateFormFile("files", f[0])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(p, f[1])
	}
	_ = m.Close()
	r := httptest.NewRequest("POST", path, &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

const onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func TestAnswerPageUploads(t *testing.T) {
	png, _ := base64.StdEncoding.DecodeString(onePixel)
	s, f, stored := pageServer()
	mustHave(t, upload(t, s, "/a/fite2222fite", nil, [2]string{"delle.png", string(png)}, [2]string{"kratzer.png", string(png)}), 303)
	if len(f.taken) != 1 || strings.Join(f.taken[0].Value.Files, " ") != "file1 file2" || len(f.taken[0].Files) != 2 {
		t.Fatalf("taken: %+v", f.taken)
	}
	if (*stored)[0] != fmt.Sprintf("o1 delle.png image/png %d", len(png)) {
		t.Errorf("stored: %v", *stored)
	}
	for name, c := range map[string]struct {
		files []([2]string)
		want  string
	}{
		"none":       {nil, "Bitte schicken Sie mindestens eine."},
		"empty":      {[][2]string{{"leer.png", ""}}, "Bitte schicken Sie mindestens eine."},
		"a program":  {[][2]string{{"virus.exe", "MZ"}}, "Dateien wie „virus.exe“"},
		"disguised":  {[][2]string{{"bild.png", "MZ\x90"}}, "Dateien wie „bild.png“"},
		"wrong type": {[][2]string{{"brief.pdf", "%PDF-1.4"}}, "Eine Datei dieser Art passt hier nicht."},
		"six of 5":   {[][2]string{{"1.png", string(png)}, {"2.png", string(png)}, {"3.png", string(png)}, {"4.png", string(png)}, {"5.png", string(png)}, {"6.png", string(png)}}, "Möglich sind höchstens 5."},
		"too large":  {[][2]string{{"1.png", string(png) + strings.Repeat("x", 13<<20)}, {"2.png", string(png) + strings.Repeat("x", 13<<20)}}, "größer als 25 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			s, f, _ := pageServer()
			mustHave(t, upload(t, s, "/a/fite2222fite", nil, c.files...), 422, c.want)
			if len(f.taken) != 0 {
				t.Error("taken all the same")
			}
		})
	}
	// A signature: drawn, or by name only.
	s, f, stored = pageServer()
	mustHave(t, upload(t, s, "/a/sign2222sign", url.Values{"signed": {"Ada Yıldız"}, "agree": {"1"}, "drawing": {"data:image/png;base64," + onePixel}}), 303)
	if v := f.taken[0].Value; v.Signed != "Ada Yıldız" || len(v.Files) != 1 || (*stored)[0] != fmt.Sprintf("o1 Unterschrift.png image/png %d", len(png)) {
		t.Errorf("signed: %+v %v", v, *stored)
	}
	// Fields of other questions bring nothing in.
	s, _, stored = pageServer()
	mustHave(t, upload(t, s, "/a/yesn2222yesn", url.Values{"o": {"0"}, "drawing": {"data:image/png;base64," + onePixel}}, [2]string{"x.png", string(png)}), 303)
	if len(*stored) != 0 {
		t.Errorf("stored: %v", *stored)
	}
	// A form that was cut short answers nothing.
	s, f, _ = pageServer()
	r := httptest.NewRequest("POST", "/a/yesn2222yesn", strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"o\"\r\n\r\n0"))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	mustHave(t, w, 422, "kam nicht vollständig an")
	if len(f.taken) != 0 {
		t.Error("half a form answered")
	}
}

// TestAnswerPageGuesses: after twenty wrong codes from one network the page asks to wait, and goes on ten minutes later.
func TestAnswerPageGuesses(t *testing.T) {
	s, f, _ := pageServer()
	now := pageNow
	s.Now = func() time.Time { return now }
	for i := range wrongCodesMax {
		mustHave(t, visit(s, "GET", fmt.Sprintf("/a/zzzz22%02dzzzz", i), nil), 404)
	}
	w := visit(s, "GET", "/a/yesn2222yesn", nil, "Accept-Language", "de")
	mustHave(t, w, 429, "In 11 Minuten")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	mustHave(t, visit(s, "POST", "/a/yesn2222yesn", url.Values{"o": {"0"}}), 429)
	if len(f.taken) != 0 {
		t.Error("answered while blocked")
	}
	now = now.Add(wrongCodesTime)
	mustHave(t, visit(s, "GET", "/a/yesn2222yesn", nil), 200)
	if network("2001:db8:1:2::5") != network("2001:db8:1:2:ffff::1") || network("192.0.2.1") == network("192.0.2.2") {
		t.Error("networks")
	}
}

func TestAnswerPageAway(t *testing.T) {
	s, f, _ := pageServer()
	f.fail = fmt.Errorf("the database is away")
	mustHave(t, visit(s, "GET", "/a/yesn2222yesn", nil), 503, "cannot be reached")
	mustHave(t, visit(New(Options{Log: slog.New(slog.DiscardHandler), Now: time.Now}), "GET", "/a/yesn2222yesn", nil), 503)
}
