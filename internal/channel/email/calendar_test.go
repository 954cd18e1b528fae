package email

import (
	"strings"
	"testing"
)

func TestEventSummary(t *testing.T) {
	ics := func(lines ...string) string {
		return "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nDTSTART:19700101T000000\r\nEND:VTIMEZONE\r\n" +
			"BEGIN:VEVENT\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	}
	head := "From: a@b.example\r\nSubject: Einladung\r\nContent-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\n"
	for name, tt := range map[string]struct{ ics, want string }{
		"one day":         {ics("SUMMARY:Besichtigung\\, Küche", "DTSTART;TZID=Europe/Berlin:20260310T100000", "DTEND;TZID=Europe/Berlin:20260310T113000", "LOCATION:Domstr. 1\\, Köln"), "Besichtigung, Küche\n2026-03-10 10:00–11:30 Europe/Berlin\nDomstr. 1, Köln"},
		"UTC, two days":   {ics("DTSTART:20260310T220000Z", "DTEND:20260311T010000Z", "SUMMARY:Nacht"), "Nacht\n2026-03-10 22:00 UTC – 2026-03-11 01:00 UTC"},
		"whole day":       {ics("SUMMARY:Frist", "DTSTART;VALUE=DATE:20260331"), "Frist\n2026-03-31"},
		"folded":          {ics("SUMMARY:Ein sehr langer Na", " me", "DTSTART;TZID=\"W. Europe: Standard\";X=1:20260310T100000"), "Ein sehr langer Name\n2026-03-10 10:00 W. Europe: Standard"},
		"no start":        {ics("SUMMARY:Nur ein Titel"), "Nur ein Titel"},
		"nonsense times":  {ics("SUMMARY:x", "DTSTART:gestern", "DTEND:99999999T999999Z"), "x"},
		"empty":           {"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", ""},
		"broken":          {"BEGIN:VEVENT\r\nSUMMARY:offen\r\nDTSTART:20260310T100000Z", "offen\n2026-03-10 10:00 UTC"},
		"line end inside": {ics("SUMMARY:a\\nb\\N\u202ec", "DTSTART:20260310T100000Z"), "a b c\n2026-03-10 10:00 UTC"},
	} {
		m := parse(t, []byte(head+tt.ics)).Message
		if m.Text != tt.want || len(m.Attachments) != 1 || m.Attachments[0].MediaType != "text/calendar" {
			t.Errorf("%s: %q, want %q (%+v)", name, m.Text, tt.want, m.Attachments)
		}
	}
	t.Run("the mail has words", func(t *testing.T) {
		m := parse(t, []byte("From: a@b.example\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nKommen Sie?\r\n--b\r\nContent-Type: text/calendar\r\n\r\n"+ics("SUMMARY:x")+"--b--")).Message
		if m.Text != "Kommen Sie?" {
			t.Errorf("%q", m.Text)
		}
	})
	t.Run("blank words beside it", func(t *testing.T) {
		m := parse(t, []byte("From: a@b.example\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n \r\n--b\r\nContent-Type: text/calendar\r\n\r\n"+ics("SUMMARY:x")+"--b--")).Message
		if m.Text != "x" {
			t.Errorf("%q", m.Text)
		}
	})
}

func TestUudecode(t *testing.T) {
	const body = "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n"
	raw := "From: a@b.example\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
	for in, want := range map[string]string{body: "Cat", "no file at all\r\n": "no file at all", "begin 644 x\r\n": "", "begin 644 x\r\nM0V\r\n": "C\x80"} {
		got := parse(t, []byte(raw+in)).Message.Text
		if want == "C\x80" {
			if !strings.HasPrefix(got, "C") {
				t.Errorf("%q: %q", in, got)
			}
			continue
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestInlinePGP(t *testing.T) {
	m := parse(t, []byte("From: a@b.example\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----\r\n")).Message
	if m.Unsupported != "the message is encrypted (PGP)" || !strings.Contains(m.Text, "hQEMA") {
		t.Errorf("%+v", m)
	}
}
