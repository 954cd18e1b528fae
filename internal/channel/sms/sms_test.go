package sms

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAlphabet(t *testing.T) {
	for b, r := range alphabet {
		if b == escape {
			continue
		}
		enc, ok := EncodeGSM7(string(r))
		if !ok || len(enc) != 1 || int(enc[0]) != b || DecodeGSM7(enc) != string(r) {
			t.Errorf("%q: %x, %t", r, enc, ok)
		}
	}
	if len(code) != 127+10 {
		t.Errorf("%d characters", len(code))
	}
	for text, want := range map[string]string{
		"€":      "1b65",
		"[äö]":   "1b3c7b7c1b3e",
		"@":      "00",
		"Ç\\":    "091b2f",
		"{a|b}~": "1b28611b40621b291b3d",
	} {
		enc, ok := EncodeGSM7(text)
		if fmt.Sprintf("%x", enc) != want || !ok || DecodeGSM7(enc) != text {
			t.Errorf("%q: %x, %t", text, enc, ok)
		}
	}
	for raw, want := range map[string]string{
		"\x1b\x1b\x41": " A", "\x1b": " ", "A\x1b": "A ", "\x1bA": "A", "\x80": "\uFFFD", "\x1b\x90": "\uFFFD",
	} {
		if got := DecodeGSM7([]byte(raw)); got != want {
			t.Errorf("%x reads %q, want %q", raw, got, want)
		}
	}
	if b, ok := EncodeGSM7("a中b"); ok || string(b) != "a?b" {
		t.Errorf("%q, %t", b, ok)
	}
	if s := DecodeUCS2([]byte{0xD8, 0x3D, 0x00}); s != "\uFFFD\uFFFD" {
		t.Errorf("%q", s)
	}
}

func TestPack(t *testing.T) {
	// The well-known example of TS 23.038: "hellohello".
	if got := fmt.Sprintf("%x", Pack([]byte("hellohello"), 0)); got != "e8329bfd4697d9ec37" {
		t.Error(got)
	}
	for header, want := range map[int]int{0: 0, 6: 1, 7: 0, 1: 6} {
		if got := FillBits(header); got != want {
			t.Errorf("%d bytes of header: %d fill bits, want %d", header, got, want)
		}
	}
	if Unpack([]byte{1}, 9, 0) == nil || len(Unpack(nil, 3, 1)) != 0 {
		t.Error("too few bits")
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		text                string
		e                   Encoding
		units, parts, spare int
	}{
		{"", GSM7, 0, 0, 160},
		{strings.Repeat("a", 160), GSM7, 160, 1, 0},
		{strings.Repeat("a", 161), GSM7, 161, 2, 145},
		{strings.Repeat("a", 306), GSM7, 306, 2, 0},
		{strings.Repeat("a", 307), GSM7, 307, 3, 152},
		{strings.Repeat("€", 80), GSM7, 160, 1, 0},
		{strings.Repeat("€", 81), GSM7, 162, 2, 143},  // 76 fit into a part, one septet stays free
		{strings.Repeat("€", 153), GSM7, 306, 3, 151}, // so that 153 of them need three
		{strings.Repeat("я", 70), UCS2, 70, 1, 0},
		{strings.Repeat("я", 71), UCS2, 71, 2, 63},
		{strings.Repeat("😀", 35), UCS2, 70, 1, 0},
		{strings.Repeat("😀", 36), UCS2, 72, 2, 61},
		{strings.Repeat("😀", 67), UCS2, 134, 3, 65},
	} {
		s := Count(c.text)
		if s != (Size{c.e, c.units, c.parts, c.spare}) {
			t.Errorf("%.8q × %d: %+v", c.text, utf8.RuneCountInString(c.text), s)
		}
		list, err := Split(c.text, 7, false)
		if err != nil || len(list) != max(c.parts, 1) {
			t.Errorf("%.8q: %d parts, %v", c.text, len(list), err)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"„Guten Tag“ – bis … morgen":   `"Guten Tag" - bis ... morgen`,
		"Gru\u0308ße":                  "Grüße",
		"10\u202F€":                    "10 €",
		"„ja“ 😀":                       "„ja“ 😀",
		"it’s":                         "it's",
		"schon plain":                  "schon plain",
		"Donau\u00ADdampf\u200Bschiff": "Donaudampfschiff",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestUDH(t *testing.T) {
	for _, c := range []Concat{{Ref: 200, Total: 3, Seq: 2}, {Ref: 0xD812, Wide: true, Total: 255, Seq: 255}} {
		h, rest, err := ParseUDH(append(c.UDH(), "rest"...))
		if err != nil || h.Concat == nil || *h.Concat != c || string(rest) != "rest" {
			t.Errorf("%+v: %+v, %q, %v", c, h, rest, err)
		}
	}
	h, _, err := ParseUDH([]byte{0x0B, 0x24, 1, 1, 0x05, 4, 0x0B, 0x84, 0, 0, 0x70, 0})
	if err != nil || len(h.Elements) != 3 || h.Concat != nil {
		t.Errorf("%+v, %v", h, err)
	}
	for _, nonsense := range [][]byte{{5, 0, 3, 1, 0, 0}, {5, 0, 3, 1, 2, 3}, {5, 0, 3, 1, 2, 0}} {
		if h, _, err := ParseUDH(nonsense); err != nil || h.Concat != nil {
			t.Errorf("%x: %+v, %v", nonsense, h, err)
		}
	}
	for _, cut := range [][]byte{nil, {5, 0, 3}, {1, 0}, {4, 0, 3, 1, 2}} {
		if _, _, err := ParseUDH(cut); err == nil {
			t.Errorf("%x is accepted", cut)
		}
	}
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestAssembler(t *testing.T) {
	var a Assembler[int]
	text := strings.Repeat("Grüße 😀 ", 60)
	list, err := Split(text, 0xD8AB, true)
	if err != nil {
		t.Fatal(err)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(len(list))
	for n, i := range order {
		for again := range 2 {
			s := list[i]
			out := a.Add("+49 1", *s.Concat, Piece[int]{Encoding: s.Encoding, Payload: s.Payload, Tag: i}, noon)
			if out.Duplicate != (again == 1) || len(out.Dropped) > 0 {
				t.Fatalf("part %d: %+v", i, out)
			}
			if last := n == len(order)-1; last && again == 0 {
				if Join(out.Whole) != text || out.Whole[2].Tag != 2 {
					t.Errorf("%q", Join(out.Whole))
				}
			} else if out.Whole != nil {
				t.Error("whole too early")
			}
		}
	}
	if a.Pending() != 0 {
		t.Error("something is left")
	}
	// The same reference again, with other content.
	s := list[0]
	if out := a.Add("+49 1", *s.Concat, Piece[int]{Encoding: GSM7, Payload: []byte("neu")}, noon); out.Duplicate || out.Whole != nil {
		t.Errorf("%+v", out)
	}
	if out := a.Add("+49 1", *s.Concat, Piece[int]{Encoding: GSM7, Payload: []byte("noch neuer")}, noon); len(out.Dropped) != 1 || string(out.Dropped[0].Pieces[0].Payload) != "neu" {
		t.Errorf("%+v", out)
	}
	if got := a.Expire(noon.Add(25 * time.Hour)); len(got) != 1 || got[0].Key != "+49 1" || a.Pending() != 0 {
		t.Errorf("%+v", got)
	}
	// One part alone is whole.
	if out := a.Add("x", Concat{Total: 1, Seq: 1}, Piece[int]{Payload: []byte("a")}, noon); len(out.Whole) != 1 {
		t.Errorf("%+v", out)
	}
}

func TestAssemblerIsBounded(t *testing.T) {
	a := Assembler[int]{Max: 3}
	dropped := 0
	for i := range 100 {
		out := a.Add(fmt.Sprint("sender ", i), Concat{Ref: 1, Total: 2, Seq: 1}, Piece[int]{Tag: i}, noon)
		for _, g := range out.Dropped {
			if g.Pieces[0].Tag != dropped || g.Total != 2 {
				t.Fatalf("dropped %+v, want the oldest, %d", g, dropped)
			}
			dropped++
		}
	}
	if a.Pending() != 3 || dropped != 97 {
		t.Errorf("%d wait, %d dropped", a.Pending(), dropped)
	}
}

func TestParty(t *testing.T) {
	for _, c := range []struct {
		raw, region string
		want        Party
	}{
		{"+49 151 23456789", "", Party{Phone, "+4915123456789"}},
		{"0151 / 234-567 89", "DE", Party{Phone, "+4915123456789"}},
		{"0049 (0)151 23456789", "", Party{Phone, "+4915123456789"}},
		{"+490151 23456789", "", Party{Phone, "+4915123456789"}},
		{"\u202A+49\u00A0151\u00A023456789\u202C", "", Party{Phone, "+4915123456789"}},
		{"+49151٢٣٤٥٦٧٨٩", "", Party{Phone, "+4915123456789"}},
		{"0151 23456789", "", Party{}},
		{"+15005550006", "", Party{Phone, "+15005550006"}}, // Twilio's test number
		{"+8835100000001", "", Party{Phone, "+8835100000001"}},
		{"+12", "", Party{}},
		{"+1234567890123456", "", Party{}},
		{"70007", "DE", Party{ShortCode, "70007"}},
		{"110", "", Party{ShortCode, "110"}},
		{"12345678", "", Party{ShortCode, "12345678"}},
		{"20123456", "DK", Party{Phone, "+4520123456"}},
		{"Musterhaus", "DE", Party{Alphanumeric, "Musterhaus"}},
		{"4you", "", Party{Alphanumeric, "4you"}},
		{"Musterhaus AG", "", Party{}}, // twelve characters and more do not exist
		{"", "DE", Party{}}, {"+", "DE", Party{}}, {"***", "", Party{}}, {"1;2", "", Party{}},
	} {
		if got := ParseParty(c.raw, c.region); got != c.want {
			t.Errorf("%q in %s: %+v, want %+v", c.raw, c.region, got, c.want)
		}
	}
	for raw, want := range map[string]Party{
		"4915123456789": {Phone, "+4915123456789"}, "+4915123456789": {Phone, "+4915123456789"}, "70007": {ShortCode, "70007"},
		"DHL": {Alphanumeric, "DHL"}, "015123456789": {},
	} {
		if got := FromProvider(raw); got != want {
			t.Errorf("%q: %+v, want %+v", raw, got, want)
		}
	}
	if (Party{Alphanumeric, "DHL"}).Answerable() || !(Party{ShortCode, "70007"}).Answerable() || E164("DHL", "") != "" {
		t.Error("answerable")
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]Word{
		"STOP": Stop, " stop. ": Stop, "Stopp!!!": Stop, "abmelden": Stop, "Stop  All": Stop, "\"STOP\"": Stop, "arrêt": Stop, "Unsubscribe\n": Stop,
		"START": Start, "unstop": Start, "Hilfe?": Help, "": NoWord, "Stop by on Friday": NoWord, "Bitte nicht stop": NoWord,
		"cancel": NoWord, "END": NoWord, "ja": NoWord, strings.Repeat("STOP ", 100): NoWord,
	} {
		if got := ParseWord(text); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	if ParseCarrierWord("Cancel") != Stop || ParseCarrierWord("stop") != Stop || ParseCarrierWord("ja") != NoWord {
		t.Error("words of carriers")
	}
}

// FuzzText holds: what fits comes back from both alphabets and from packing, and splitting and joining changes nothing.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "Grüße €", "😀😀", strings.Repeat("[€]", 200), strings.Repeat("я😀", 100), "\x1b", "\xff\xfe", "\uFFFD"} {
		f.Add(s, uint16(513), true, uint64(1))
	}
	f.Fuzz(func(t *testing.T, s string, ref uint16, wide bool, seed uint64) {
		text := strings.ToValidUTF8(s, "\uFFFD")
		if got := DecodeUCS2(EncodeUCS2(text)); got != text {
			t.Fatalf("UCS-2: %q became %q", text, got)
		}
		enc, ok := EncodeGSM7(text)
		if ok != Fits(text) {
			t.Fatal("Fits and EncodeGSM7 disagree")
		}
		if ok && DecodeGSM7(enc) != text {
			t.Fatalf("GSM-7: %q became %q", text, DecodeGSM7(enc))
		}
		for fill := range 7 {
			if !bytes.Equal(Unpack(Pack(enc, fill), len(enc), fill), enc) {
				t.Fatalf("packing with %d fill bits", fill)
			}
		}
		_ = DecodeGSM7([]byte(s))
		_ = DecodeUCS2([]byte(s))
		if p := Plain(text); p != text && !Fits(p) {
			t.Fatalf("%q became %q for nothing", text, p)
		}
		list, err := Split(text, ref, wide)
		if err != nil {
			return
		}
		if !wide && len(list) != max(Count(text).Parts, 1) {
			t.Fatalf("%d parts, counted %d", len(list), Count(text).Parts)
		}
		var a Assembler[int]
		var whole []Piece[int]
		for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(list)) {
			p := list[i]
			size := len(p.UDH) + len(p.Payload)
			if p.Encoding == GSM7 {
				size = len(p.UDH) + len(Pack(p.Payload, FillBits(len(p.UDH))))
			}
			if size > 140 {
				t.Fatalf("part %d has %d bytes", i, size)
			}
			if Decode(p.Payload, p.Encoding) != p.Text {
				t.Fatalf("part %d is torn", i)
			}
			c := Concat{Total: 1, Seq: 1}
			if p.UDH != nil {
				h, rest, err := ParseUDH(append(bytes.Clone(p.UDH), p.Payload...))
				if err != nil || h.Concat == nil || !bytes.Equal(rest, p.Payload) {
					t.Fatalf("header: %v", err)
				}
				c = *h.Concat
			}
			if out := a.Add("x", c, Piece[int]{Encoding: p.Encoding, Payload: p.Payload}, noon); out.Whole != nil {
				whole = out.Whole
			}
		}
		if got := Join(whole); got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// FuzzWire reads whatever comes over the wire.
func FuzzWire(f *testing.F) {
	f.Add([]byte{5, 0, 3, 1, 2, 1, 'a'}, "+49 151")
	f.Fuzz(func(t *testing.T, b []byte, number string) {
		if h, rest, err := ParseUDH(b); err == nil {
			n := 0
			for _, e := range h.Elements {
				n += 2 + len(e.Data)
			}
			if n+1+len(rest) != len(b) {
				t.Fatal("bytes are lost")
			}
			if c := h.Concat; c != nil && (c.Seq == 0 || c.Seq > c.Total) {
				t.Fatalf("%+v", c)
			}
		}
		for _, p := range []Party{ParseParty(number, "DE"), ParseParty(number, ""), FromProvider(number)} {
			switch p.Kind {
			case Phone:
				if again := ParseParty(p.Value, ""); again != p || len(p.Value) > 16 || p.Value[0] != '+' {
					t.Fatalf("%q: %+v, then %+v", number, p, again)
				}
			case Nobody:
				if p.Value != "" {
					t.Fatalf("%+v", p)
				}
			}
		}
		ParseWord(number)
	})
}

func BenchmarkSplit(b *testing.B) {
	text := strings.Repeat("Guten Tag, Ihr Termin ist am 24. um 10 Uhr. ", 20)
	for b.Loop() {
		if _, err := Split(text, 1, false); err != nil {
			b.Fatal(err)
		}
	}
}
