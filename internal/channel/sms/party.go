package sms

import (
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// PartyKind is what kind of address a short message comes from or goes to.
type PartyKind string

// Kinds of addresses.
const (
	Phone        PartyKind = "phone"        // E.164
	ShortCode    PartyKind = "short_code"   // digits that one country's networks know
	Alphanumeric PartyKind = "alphanumeric" // a name: it cannot be answered
	Nobody       PartyKind = ""             // nothing of these
)

// Party is one end of a short message.
type Party struct {
	Kind  PartyKind
	Value string // "+4915…", "70007", "Musterhaus"
}

// Answerable reports whether a short message can be sent to it.
func (p Party) Answerable() bool { return p.Kind == Phone || p.Kind == ShortCode }

// AlphanumericMax is how long an alphanumeric sender may be (TS 23.040 §9.1.2.5: ten bytes of septets).
const AlphanumericMax = 11

// ParseParty tells numbers, short codes and names apart, as people or providers write them. region (ISO 3166, "DE") is
// where a number without a country code is at home; "" = nowhere, then only international ones are numbers.
func ParseParty(raw, region string) Party {
	raw = strings.TrimSpace(raw)
	if strings.ContainsFunc(raw, unicode.IsLetter) {
		if n, _ := EncodeGSM7(raw); len(n) > AlphanumericMax {
			return Party{}
		}
		return Party{Alphanumeric, raw}
	}
	digits, international := digitsOf(raw)
	switch {
	case digits == "":
		return Party{}
	case international:
		if e := international164(digits); e != "" {
			return Party{Phone, e}
		}
		return Party{}
	case len(digits) <= 6 && digits[0] != '0':
		return Party{ShortCode, digits}
	}
	if region != "" {
		if n, err := phonenumbers.Parse(digits, region); err == nil && phonenumbers.IsPossibleNumber(n) {
			if e := international164(strings.TrimPrefix(phonenumbers.Format(n, phonenumbers.E164), "+")); e != "" {
				return Party{Phone, e}
			}
		}
	}
	if len(digits) <= 8 && digits[0] != '0' {
		return Party{ShortCode, digits}
	}
	return Party{}
}

// E164 is the number as E.164 with "+", "" if it is none.
func E164(raw, region string) string {
	if p := ParseParty(raw, region); p.Kind == Phone {
		return p.Value
	}
	return ""
}

// FromProvider reads a number of a provider that always writes the country code and sometimes leaves the "+" out
// (Vonage, SMPP with TON international): up to six digits are a short code.
func FromProvider(raw string) Party {
	raw = strings.TrimSpace(raw)
	if digits, international := digitsOf(raw); len(digits) > 6 && !international && !strings.ContainsFunc(raw, unicode.IsLetter) {
		raw = "+" + digits
	}
	return ParseParty(raw, "")
}

// digitsOf takes away how people group digits; "+" and the prefix 00 mean international. It gives "" for anything else.
func digitsOf(raw string) (digits string, international bool) {
	var b strings.Builder
	for i, r := range strings.Replace(norm.NFKC.String(raw), "(0)", "", 1) { // NFKC: digits in full width
		if r >= 0x0660 && r <= 0x0669 { // Arabic-Indic digits, and their extended forms
			r += '0' - 0x0660
		} else if r >= 0x06F0 && r <= 0x06F9 {
			r += '0' - 0x06F0
		}
		switch {
		case r == '+' && b.Len() == 0 && !international && i < 6:
			international = true
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.IsSpace(r) || strings.ContainsRune("-/.()\u2010\u2011\u2013", r) || unicode.Is(unicode.Cf, r): // invisible marks come in by copying
		default:
			return "", false
		}
	}
	digits = b.String()
	if !international && strings.HasPrefix(digits, "00") && len(digits) > 9 {
		return digits[2:], true
	}
	return digits, international
}

// international164 accepts what E.164 allows: 7 to 15 digits, no 0 at the beginning. Providers know numbers that tables of
// number plans do not know yet, so those only mend a trunk zero.
func international164(digits string) string {
	// The tables are slow, and only a zero behind the country code asks for them.
	if at := countryCode(digits); at >= len(digits) || digits[at] != '0' {
		// as it is
	} else if n, err := phonenumbers.Parse("+"+digits, ""); err == nil && phonenumbers.IsValidNumber(n) {
		digits = strings.TrimPrefix(phonenumbers.Format(n, phonenumbers.E164), "+")
	}
	if len(digits) < 7 || len(digits) > 15 || digits[0] == '0' {
		return ""
	}
	return "+" + digits
}

// countryCode is how many digits the country code has (ITU-T E.164, list of assigned codes).
func countryCode(digits string) int {
	if len(digits) < 3 {
		return len(digits)
	}
	switch digits[0] {
	case '1', '7':
		return 1
	}
	switch digits[:2] {
	case "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51", "52", "53", "54", "55",
		"56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98":
		return 2
	}
	return 3
}
