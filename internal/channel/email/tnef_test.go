package email

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
)

// tnefWriter writes containers as Outlook does, for tests.
type tnefWriter struct{ b bytes.Buffer }

func newTNEF() *tnefWriter {
	w := &tnefWriter{}
	binary.Write(&w.b, binary.LittleEndian, uint32(tnefSignature))
	binary.Write(&w.b, binary.LittleEndian, uint16(1))
	return w
}

func (w *tnefWriter) attr(level byte, id uint32, data []byte) *tnefWriter {
	w.b.WriteByte(level)
	binary.Write(&w.b, binary.LittleEndian, id)
	binary.Write(&w.b, binary.LittleEndian, uint32(len(data)))
	w.b.Write(data)
	sum := uint16(0)
	for _, c := range data {
		sum += uint16(c)
	}
	binary.Write(&w.b, binary.LittleEndian, sum)
	return w
}

// prop is one MAPI property; value is a string (Unicode), []byte (binary), uint32, or object.
type prop struct {
	id    uint16
	named string
	value any
}

type object []byte // PT_OBJECT: an interface id and a container

type string8 string

func props(list ...prop) []byte {
	var b bytes.Buffer
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	units := func(s string) []byte {
		var u bytes.Buffer
		binary.Write(&u, binary.LittleEndian, append(utf16.Encode([]rune(s)), 0))
		return u.Bytes()
	}
	le(uint32(len(list)))
	for _, p := range list {
		var k uint16
		var data []byte
		switch v := p.value.(type) {
		case string:
			k, data = 0x001F, units(v)
		case string8:
			k, data = 0x001E, append([]byte(v), 0)
		case []byte:
			k, data = 0x0102, v
		case object:
			k, data = 0x000D, append(make([]byte, 16), v...)
		case uint32:
			k = 0x0003
		}
		le(k)
		le(p.id)
		if p.id >= 0x8000 {
			b.Write(make([]byte, 16))
			le(uint32(1))
			name := units(p.named)
			le(uint32(len(name)))
			b.Write(name)
			pad()
		}
		if v, ok := p.value.(uint32); ok {
			le(v)
			continue
		}
		le(uint32(1))
		le(uint32(len(data)))
		b.Write(data)
		pad()
	}
	return b.Bytes()
}

func (w *tnefWriter) file(title string, data []byte, list ...prop) *tnefWriter {
	w.attr(2, attRendData, make([]byte, 14)).attr(2, attAttachTitle, append([]byte(title), 0))
	if data != nil {
		w.attr(2, attAttachData, data)
	}
	return w.attr(2, attAttachment, props(list...))
}

// winmail wraps a container into a mail with a text.
func winmail(text string, container []byte) []byte {
	return []byte("From: a@b.example\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + text + "\r\n--b\r\n" +
		"Content-Type: application/ms-tnef; name=\"winmail.dat\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrapBase64(container) + "--b--\r\n")
}

func sample() *tnefWriter {
	inner := newTNEF().attr(1, attMsgProps, props(prop{id: propSubject, value: "Altes/Angebot"}, prop{id: propBody, value: "Guten Tag, anbei."})).
		file("A~1.PDF", []byte("%PDF inner"), prop{id: propLongFilename, value: "Angebot.pdf"})
	return newTNEF().
		attr(1, attOemCodepage, []byte{0xE4, 0x04, 0, 0, 0, 0, 0, 0}). // 1252
		attr(1, 0x00089006, []byte{0, 0, 1, 0}).                       // a version that nobody reads
		attr(1, attMsgProps, props(prop{id: 0x8001, named: "Keywords", value: "x"}, prop{id: 0x0E08, value: uint32(7)}, prop{id: propBody, value: "Text aus dem Container"},
			prop{id: propBodyHTML, value: []byte("<html><head><meta charset=utf-8></head><body><p>Grüße aus dem Container</p></body></html>")})).
		file("KOSTEN~1.PDF", []byte("%PDF-1.4 Kosten"), prop{id: propLongFilename, value: "Kostenvoranschlag für Müller.pdf"}, prop{id: propMimeTag, value: "application/pdf"}).
		file("\xfcbersicht.docx", []byte("PK docx")).
		file("bild.png", []byte("\x89PNG"), prop{id: propContentID, value: "bild@x"}, prop{id: propMimeTag, value: string8("image/png")}).
		file("", nil, prop{id: propDisplayName, value: "Weitergeleitet"}, prop{id: propAttachData, value: object(inner.b.Bytes())}).
		file("..\\..\\evil\u202e.exe", []byte("MZ"))
}

func TestTNEF(t *testing.T) {
	raw := winmail("Siehe Anlage.", sample().b.Bytes())
	e := parse(t, raw)
	channeltest.CheckEvents(t, []channel.Event{e})
	m := e.Message
	if m.Text != "Siehe Anlage." || m.Unsupported != "" {
		t.Errorf("text %q, note %q", m.Text, m.Unsupported)
	}
	want := []file{
		{name: "Kostenvoranschlag für Müller.pdf", kind: "application/pdf", content: "%PDF-1.4 Kosten"},
		{name: "übersicht.docx", kind: "application/vnd.openxmlformats-officedocument.wordprocessingml.document", content: "PK docx"},
		{name: "bild.png", kind: "image/png", cid: "bild@x", content: "\x89PNG"},
		{name: "Altes-Angebot.txt", kind: "text/plain", content: "Guten Tag, anbei."},
		{name: "Angebot.pdf", kind: "application/octet-stream", content: "%PDF inner"},
		{name: "evil.exe", kind: "application/octet-stream", content: "MZ"},
	}
	want[4].kind = "application/pdf"
	if len(m.Attachments) != len(want) {
		t.Fatalf("%+v", m.Attachments)
	}
	for i, w := range want {
		a := m.Attachments[i]
		r, err := (Driver{}).OpenPart(raw, a.Part)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		if got := (file{a.Name, a.MediaType, a.ContentID, a.Inline, string(b)}); got != w || a.Size != int64(len(b)) {
			t.Errorf("got %+v (%d)\nwant %+v", got, a.Size, w)
		}
	}
	if a, err := OpenParts(raw)("2#0"); err != nil {
		t.Error(err)
	} else if b, _ := io.ReadAll(a); string(b) != "%PDF-1.4 Kosten" {
		t.Errorf("%q", b)
	}
	for _, part := range []string{"2#6", "2#-1", "2#", "2#x", "2#0#0", "1#0"} {
		if _, err := OpenPart(raw, part); err == nil {
			t.Errorf("part %q opens", part)
		}
	}

	t.Run("the only words", func(t *testing.T) {
		m := parse(t, winmail("  ", sample().b.Bytes())).Message
		if m.Text != "Text aus dem Container" || !strings.Contains(m.HTML, "Grüße aus dem Container") {
			t.Errorf("text %q, HTML %q", m.Text, m.HTML)
		}
	})
	t.Run("only formatting", func(t *testing.T) {
		m := parse(t, winmail("Hallo", newTNEF().attr(1, attMsgProps, props(prop{id: 0x1009, value: []byte("rtf")})).b.Bytes())).Message
		if m.Text != "Hallo" || len(m.Attachments) != 0 || m.Unsupported != "" {
			t.Errorf("%+v", m)
		}
	})
	t.Run("cut off anywhere", func(t *testing.T) {
		whole := sample().b.Bytes()
		for n := range len(whole) {
			left := 100
			c := readTNEF(whole[:n], 0, &left)
			m := parse(t, winmail("Hallo", whole[:n])).Message
			listed := len(m.Attachments) > 0 && m.Attachments[len(m.Attachments)-1].Name == "winmail.dat"
			if m.Text != "Hallo" || listed == c.whole || n > 6 && !c.whole && !strings.Contains(m.Unsupported, "damaged") || len(m.Attachments) < len(c.files) {
				t.Fatalf("%d bytes: %+v", n, m)
			}
		}
	})
	t.Run("no container", func(t *testing.T) {
		m := parse(t, winmail("Hallo", []byte("something else"))).Message
		if len(m.Attachments) != 1 || m.Attachments[0].Name != "winmail.dat" {
			t.Errorf("%+v", m.Attachments)
		}
	})
	t.Run("too many files", func(t *testing.T) {
		w := newTNEF()
		for range 2000 {
			w.file("a.txt", []byte("x"))
		}
		m := parse(t, winmail("Hallo", w.b.Bytes())).Message
		if len(m.Attachments) != 501 || !strings.Contains(m.Unsupported, "first 500 files") {
			t.Errorf("%d files, note %q", len(m.Attachments), m.Unsupported)
		}
	})
	t.Run("messages in messages", func(t *testing.T) {
		b := newTNEF().file("kern.txt", []byte("kern")).b.Bytes()
		for range 20 {
			b = newTNEF().file("", nil, prop{id: propAttachData, value: object(b)}).b.Bytes()
		}
		raw := winmail("Hallo", b)
		m := parse(t, raw).Message
		if len(m.Attachments) != 1 {
			t.Fatalf("%+v", m.Attachments)
		}
		r, err := OpenPart(raw, m.Attachments[0].Part)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(r); !isTNEF(b) {
			t.Error("what lies deeper is not kept")
		}
	})
}

// FuzzTNEF: whatever a container holds, reading ends, and no file lies outside it.
func FuzzTNEF(f *testing.F) {
	f.Add(sample().b.Bytes())
	f.Add(newTNEF().attr(1, attMsgProps, []byte{255, 255, 255, 255, 2, 0x10, 1, 0, 255, 255, 255, 255}).b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		left := 100
		c := readTNEF(b, 0, &left)
		if left < 0 || len(c.files) > 100 {
			t.Fatalf("%d files", len(c.files))
		}
		total := 0
		for _, x := range c.files {
			total += len(x.data)
		}
		if total > 8*len(b)+8 {
			t.Errorf("%d bytes out of %d", total, len(b))
		}
	})
}
