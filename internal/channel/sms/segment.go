package sms

import (
	"errors"
	"fmt"
)

// Lengths of one short message: 140 bytes (TS 23.040 §9.2.3.24).
const (
	SingleGSM7 = 160 // septets
	PartGSM7   = 153 // with the header of a joined message, 8-bit reference; 152 with 16 bits
	SingleUCS2 = 70  // UTF-16 code units
	PartUCS2   = 67  // 66 with a 16-bit reference
	MaxParts   = 255
)

// Size is how long a text is as a short message.
type Size struct {
	Encoding Encoding
	Units    int // septets or UTF-16 code units; a character of the extension table counts two
	Parts    int // short messages that it needs, 8-bit reference
	Left     int // units that still fit into the last part
}

// Count measures a text. An empty one needs no part.
func Count(text string) Size {
	s := Size{Encoding: Choose(text)}
	single, part := limits(s.Encoding, false)
	used := 0 // of the last part, as if there were several
	for _, r := range text {
		n := width(r, s.Encoding)
		s.Units += n
		if used+n > part || s.Parts == 0 {
			s.Parts++
			used = 0
		}
		used += n
	}
	s.Left = part - used
	if s.Units <= single && s.Units > 0 {
		s.Parts, s.Left = 1, single-s.Units
	} else if s.Units == 0 {
		s.Left = single
	}
	return s
}

func limits(e Encoding, wide bool) (single, part int) {
	single, part = SingleGSM7, PartGSM7
	if e == UCS2 {
		single, part = SingleUCS2, PartUCS2
	}
	if wide { // one byte more: one unit less of either kind
		part--
	}
	return single, part
}

// width is how many units a character takes.
func width(r rune, e Encoding) int {
	switch {
	case e == GSM7:
		return max(septets(r), 1)
	case r > 0xFFFF:
		return 2
	}
	return 1
}

// Concat says which part of a longer message something is (TS 23.040 §9.2.3.24.1 and .8).
type Concat struct {
	Ref   uint16
	Wide  bool // the reference has 16 bits
	Total uint8
	Seq   uint8 // from 1
}

// UDH is the concatenation as a whole user data header, with its length byte.
func (c Concat) UDH() []byte {
	if c.Wide {
		return []byte{6, 0x08, 4, byte(c.Ref >> 8), byte(c.Ref), c.Total, c.Seq}
	}
	return []byte{5, 0x00, 3, byte(c.Ref), c.Total, c.Seq}
}

// Segment is one short message.
type Segment struct {
	Encoding Encoding
	Concat   *Concat // nil = the message has one part
	UDH      []byte  // nil = none
	Payload  []byte  // unpacked septets or UTF-16
	Text     string
}

// ErrTooLong means that a text needs more than 255 parts.
var ErrTooLong = errors.New("the text needs more than 255 short messages: shorten it")

// Split writes a text as short messages. ref is the reference of a joined message; with wide it has 16 bits. No part tears
// an escape sequence or a surrogate pair. An empty text gives one empty message.
func Split(text string, ref uint16, wide bool) ([]Segment, error) {
	e := Choose(text)
	single, limit := limits(e, wide)
	units := 0
	for _, r := range text {
		units += width(r, e)
	}
	if units <= single {
		return []Segment{{Encoding: e, Payload: Encode(text, e), Text: text}}, nil
	}
	var out []Segment
	start, used := 0, 0
	cut := func(end int) {
		t := text[start:end]
		out = append(out, Segment{Encoding: e, Payload: Encode(t, e), Text: t})
		start, used = end, 0
	}
	for i, r := range text {
		n := width(r, e)
		if used+n > limit {
			cut(i)
		}
		used += n
	}
	cut(len(text))
	if len(out) > MaxParts {
		return nil, ErrTooLong
	}
	if !wide {
		ref &= 0xFF
	}
	for i := range out {
		out[i].Concat = &Concat{Ref: ref, Wide: wide, Total: uint8(len(out)), Seq: uint8(i + 1)}
		out[i].UDH = out[i].Concat.UDH()
	}
	return out, nil
}

// Element is one information element of a user data header.
type Element struct {
	ID   byte
	Data []byte
}

// Header is a user data header.
type Header struct {
	Elements []Element
	Concat   *Concat // nil = not a part of a longer message
}

// ParseUDH reads the user data header at the beginning of b and gives the rest. A concatenation that makes no sense is
// ignored, as TS 23.040 §9.2.3.24.1 asks.
func ParseUDH(b []byte) (h Header, rest []byte, err error) {
	if len(b) == 0 {
		return h, nil, errors.New("the user data header is missing")
	}
	n := int(b[0])
	if 1+n > len(b) {
		return h, nil, fmt.Errorf("the user data header says that it has %d bytes, there are %d", n, len(b)-1)
	}
	head, rest := b[1:1+n], b[1+n:]
	for len(head) > 0 {
		if len(head) < 2 || 2+int(head[1]) > len(head) {
			return Header{}, nil, errors.New("an element of the user data header is cut")
		}
		el := Element{head[0], head[2 : 2+head[1]]}
		head = head[2+len(el.Data):]
		h.Elements = append(h.Elements, el)
		var c Concat
		switch {
		case el.ID == 0x00 && len(el.Data) == 3:
			c = Concat{Ref: uint16(el.Data[0]), Total: el.Data[1], Seq: el.Data[2]}
		case el.ID == 0x08 && len(el.Data) == 4:
			c = Concat{Ref: uint16(el.Data[0])<<8 | uint16(el.Data[1]), Wide: true, Total: el.Data[2], Seq: el.Data[3]}
		default:
			continue
		}
		if c.Seq >= 1 && c.Seq <= c.Total {
			h.Concat = &c // the last one counts
		}
	}
	return h, rest, nil
}
