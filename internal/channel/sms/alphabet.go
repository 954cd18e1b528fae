// Package sms knows how short messages are written: their two alphabets, how long they are, how long ones are split and
// joined, whose number is whose, and the words that end it (3GPP TS 23.038 and TS 23.040). It is in charge of the rules
// that the drivers twilio, vonage and smpp share. It is pure and imports nothing of ours.
package sms

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Encoding is how the characters of a short message become bytes.
type Encoding byte

// Encodings.
const (
	GSM7 Encoding = iota // the default alphabet of TS 23.038 with its extension table: 7 bits
	UCS2                 // UTF-16, big endian (TS 23.038 says UCS-2; phones read surrogate pairs)
)

// String names the encoding.
func (e Encoding) String() string {
	if e == UCS2 {
		return "UCS-2"
	}
	return "GSM-7"
}

// escape leads to the extension table.
const escape = 0x1B

// alphabet is the default alphabet (TS 23.038 §6.2.1); at the place of the escape is U+001B.
var alphabet = [128]rune([]rune("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"))

// extension is the extension table (TS 23.038 §6.2.1.1).
var extension = map[byte]rune{0x0A: '\f', 0x14: '^', 0x28: '{', 0x29: '}', 0x2F: '\\', 0x3C: '[', 0x3D: '~', 0x3E: ']', 0x40: '|', 0x65: '€'}

// code is how a character is written: one septet, or two with the escape first (as high byte).
var code = func() map[rune]uint16 {
	m := make(map[rune]uint16, 140)
	for b, r := range alphabet {
		if b != escape {
			m[r] = uint16(b)
		}
	}
	for b, r := range extension {
		m[r] = escape<<8 | uint16(b)
	}
	return m
}()

// septets is how many septets a character needs in GSM-7; 0 = it does not exist there.
func septets(r rune) int {
	if c, ok := code[r]; !ok {
		return 0
	} else if c > 0xFF {
		return 2
	}
	return 1
}

// Fits reports whether every character of the text exists in GSM-7.
func Fits(text string) bool {
	for _, r := range text {
		if septets(r) == 0 {
			return false
		}
	}
	return true
}

// Choose gives the encoding of a text: GSM-7 if every character fits, UCS-2 otherwise.
func Choose(text string) Encoding {
	if Fits(text) {
		return GSM7
	}
	return UCS2
}

// EncodeGSM7 writes a text in GSM-7, one septet per byte (unpacked, as SMPP wants it). What does not exist there becomes
// "?" and lossless is false.
func EncodeGSM7(text string) (unpacked []byte, lossless bool) {
	unpacked, lossless = make([]byte, 0, len(text)+8), true
	for _, r := range text {
		c, ok := code[r]
		switch {
		case !ok:
			unpacked, lossless = append(unpacked, '?'), false
		case c > 0xFF:
			unpacked = append(unpacked, escape, byte(c))
		default:
			unpacked = append(unpacked, byte(c))
		}
	}
	return unpacked, lossless
}

// DecodeGSM7 reads unpacked GSM-7 as TS 23.038 asks of a phone: an unknown character of the extension table is the one
// at the same place of the alphabet, an escape that leads nowhere a space. Bytes above 127 become U+FFFD.
func DecodeGSM7(unpacked []byte) string {
	var b strings.Builder
	b.Grow(len(unpacked))
	for i := 0; i < len(unpacked); i++ {
		c := unpacked[i]
		switch {
		case c > 127:
			b.WriteRune(utf8.RuneError)
		case c != escape:
			b.WriteRune(alphabet[c])
		case i+1 == len(unpacked) || unpacked[i+1] == escape:
			b.WriteByte(' ')
			if i+1 < len(unpacked) {
				i++
			}
		default:
			i++
			if r, ok := extension[unpacked[i]]; ok {
				b.WriteRune(r)
			} else if unpacked[i] > 127 {
				b.WriteRune(utf8.RuneError)
			} else {
				b.WriteRune(alphabet[unpacked[i]])
			}
		}
	}
	return b.String()
}

// EncodeUCS2 writes a text in UTF-16, big endian. Invalid UTF-8 becomes U+FFFD.
func EncodeUCS2(text string) []byte {
	b := make([]byte, 0, 2*len(text))
	for _, r := range text {
		for _, u := range utf16.AppendRune(nil, r) {
			b = append(b, byte(u>>8), byte(u))
		}
	}
	return b
}

// DecodeUCS2 reads UTF-16, big endian. Half a pair and half a character become U+FFFD.
func DecodeUCS2(b []byte) string {
	units := make([]uint16, 0, len(b)/2+1)
	for i := 0; i+1 < len(b); i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	if len(b)%2 == 1 {
		units = append(units, 0xFFFD)
	}
	return string(utf16.Decode(units))
}

// Encode writes a text in the encoding; see EncodeGSM7, which replaces what does not exist.
func Encode(text string, e Encoding) []byte {
	if e == UCS2 {
		return EncodeUCS2(text)
	}
	b, _ := EncodeGSM7(text)
	return b
}

// Decode reads unpacked GSM-7 or UCS-2.
func Decode(b []byte, e Encoding) string {
	if e == UCS2 {
		return DecodeUCS2(b)
	}
	return DecodeGSM7(b)
}

// Pack puts septets close together (TS 23.038 §6.1.2.1.1). fill is the number of bits left free before the first one, so
// that it begins at a septet's border after a header (see FillBits).
func Pack(unpacked []byte, fill int) []byte {
	out := make([]byte, (fill+7*len(unpacked)+7)/8)
	for i, s := range unpacked {
		at := fill + 7*i
		v := uint16(s&0x7F) << (at % 8)
		out[at/8] |= byte(v)
		if v > 0xFF {
			out[at/8+1] |= byte(v >> 8)
		}
	}
	return out
}

// Unpack takes n septets apart, fewer if there are not so many bits.
func Unpack(packed []byte, n, fill int) []byte {
	n = max(min(n, (8*len(packed)-fill)/7), 0)
	out := make([]byte, n)
	for i := range out {
		at := fill + 7*i
		v := uint16(packed[at/8])
		if at/8+1 < len(packed) {
			v |= uint16(packed[at/8+1]) << 8
		}
		out[i] = byte(v>>(at%8)) & 0x7F
	}
	return out
}

// FillBits is how many bits stay free between a header of that many bytes (with its length byte) and packed septets.
func FillBits(header int) int { return (7 - header*8%7) % 7 }

// plain has what typographic characters stand for in a typewriter's hand: nothing is lost for the reader.
var plain = strings.NewReplacer(
	"„", `"`, "“", `"`, "”", `"`, "‟", `"`, "«", `"`, "»", `"`, "″", `"`,
	"‚", "'", "‘", "'", "’", "'", "‛", "'", "‹", "'", "›", "'", "′", "'", "´", "'", "`", "'",
	"‐", "-", "‑", "-", "‒", "-", "–", "-", "—", "-", "―", "-", "−", "-",
	"…", "...", "•", "-", "·", "-",
	"\u00A0", " ", "\u202F", " ", "\u2009", " ", "\u200A", " ", "\u2007", " ", "\u2008", " ", "\u2002", " ", "\u2003", " ", "\t", " ",
	"\u00AD", "", "\u200B", "", "\uFEFF", "", "\u2060", "",
)

// Plain replaces typographic quotes, dashes, dots and spaces by plain ones and composes accents (NFC), if the whole text
// fits into GSM-7 thereby; otherwise the text stays as it is.
func Plain(text string) string {
	if Fits(text) {
		return text
	}
	if p := plain.Replace(norm.NFC.String(text)); Fits(p) {
		return p
	}
	return text
}
