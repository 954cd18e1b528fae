package ask

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	emailForm  = regexp.MustCompile(`[\pL\pN.!#$%&*+/=?^_{|}~-]+@[\pL\pN](?:[\pL\pN.-]*[\pL\pN])?`)
	emailExact = regexp.MustCompile(`^[\pL\pN!#$%&*+/=?^_{|}~-]+(?:\.[\pL\pN!#$%&*+/=?^_{|}~-]+)*@[\pL\pN](?:[\pL\pN-]*[\pL\pN])?(?:\.[\pL\pN](?:[\pL\pN-]*[\pL\pN])?)*\.[\pL][\pL\pN-]*[\pL\pN]$`)
	spelledAt  = regexp.MustCompile(`(?i)\s*(?:\(at\)|\[at\]|\{at\}|\(ät\)|\[ät\]|<at>|＠)\s*`)
	spokenAt   = regexp.MustCompile(`(?i)([\pL\pN._+-]+)\s+(?:at|ät|äd|klammeraffe|affenschwanz)\s+([\pL\pN-]+(?:\s*(?:\.|\s(?:punkt|dot|point)\s)\s*[\pL\pN-]+)+)`)
	spelledDot = regexp.MustCompile(`(?i)\s*(?:\(dot\)|\[dot\]|\(punkt\)|\[punkt\]|\s(?:punkt|dot)\s)\s*`)
	spacedAt   = regexp.MustCompile(`\s*@\s*`)
)

// validEmail says whether an address can exist (RFC 5321, without quoted local parts).
func validEmail(s string) bool {
	local, domain, _ := strings.Cut(s, "@")
	if len(s) > 254 || len(local) > 64 || !emailExact.MatchString(s) {
		return false
	}
	for _, label := range strings.Split(domain, ".") {
		if len(label) > 63 {
			return false
		}
	}
	return true
}

// emails finds addresses in a text, each once, in lower case.
func emails(s string) (out []string, broken string) {
	s = spelledAt.ReplaceAllString(s, "@")
	if !strings.Contains(s, "@") {
		s = spokenAt.ReplaceAllString(s, "$1@$2")
	}
	if strings.Contains(s, "@") {
		s = spelledDot.ReplaceAllString(s, ".")
		if strings.Count(s, "@") == 1 {
			s = spacedAt.ReplaceAllString(s, "@")
		}
	}
	for _, m := range emailForm.FindAllStringIndex(s, -1) {
		x := strings.ToLower(strings.Trim(s[m[0]:m[1]], ".-/=?*"))
		x = strings.TrimPrefix(x, "mailto:")
		if rest := s[m[1]:]; strings.HasPrefix(rest, "@") {
			broken = x
			continue
		}
		if !validEmail(x) {
			broken = x
			continue
		}
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	if broken == "" && len(out) == 0 && strings.Contains(s, "@") {
		broken = strings.TrimSpace(s)
	}
	return out, broken
}

func (a *Ask) email(whole string, toks []token) Outcome {
	text := body(whole)
	found, broken := emails(text)
	if len(found) == 0 && broken == "" {
		found, broken = emails(whole)
	}
	sc := scopes(toks)
	neg := 0
	for _, n := range sc.neg {
		neg += n
	}
	switch {
	case len(found) == 0 && broken != "":
		return Outcome{Problem: Unclear, Detail: "email", Confidence: 0.4}
	case len(found) == 0:
		return Outcome{Problem: Unclear}
	case len(found) > 1:
		var cands []Value
		for _, x := range found {
			cands = append(cands, Value{Email: x})
		}
		return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: cands}
	case broken != "" || neg > 0:
		return Outcome{Problem: Unclear, Detail: "email", Confidence: 0.5, Candidates: []Value{{Email: found[0]}}}
	}
	return Outcome{Value: Value{Email: found[0]}, Confidence: 0.97, Reading: "words"}
}

// dial is how a country's telephone numbers are written (ITU-T E.164 and the national numbering plans).
type dial struct {
	code     string // country code
	trunk    string // stands before national numbers, "" = none
	min, max int    // digits of the national number without trunk prefix
	exit     string // international prefix
}

var dials = map[string]dial{
	"DE": {"49", "0", 6, 13, "00"}, "AT": {"43", "0", 5, 13, "00"}, "CH": {"41", "0", 9, 9, "00"}, "LI": {"423", "", 7, 9, "00"},
	"GB": {"44", "0", 9, 10, "00"}, "IE": {"353", "0", 7, 9, "00"}, "US": {"1", "1", 10, 10, "011"}, "CA": {"1", "1", 10, 10, "011"},
	"FR": {"33", "0", 9, 9, "00"}, "LU": {"352", "", 4, 11, "00"}, "BE": {"32", "0", 8, 9, "00"}, "NL": {"31", "0", 9, 9, "00"},
	"DK": {"45", "", 8, 8, "00"}, "SE": {"46", "0", 7, 10, "00"}, "NO": {"47", "", 8, 8, "00"}, "FI": {"358", "0", 5, 12, "00"},
	"PL": {"48", "", 9, 9, "00"}, "CZ": {"420", "", 9, 9, "00"}, "SK": {"421", "0", 9, 9, "00"}, "HU": {"36", "06", 8, 9, "00"},
	"SI": {"386", "0", 8, 8, "00"}, "HR": {"385", "0", 8, 9, "00"}, "IT": {"39", "", 6, 12, "00"}, "ES": {"34", "", 9, 9, "00"},
	"PT": {"351", "", 9, 9, "00"}, "GR": {"30", "", 10, 10, "00"}, "TR": {"90", "0", 10, 10, "00"}, "RO": {"40", "0", 9, 9, "00"},
	"BG": {"359", "0", 7, 9, "00"}, "UA": {"380", "0", 9, 9, "00"}, "RS": {"381", "0", 7, 10, "00"}, "AU": {"61", "0", 9, 9, "0011"},
	"NZ": {"64", "0", 8, 10, "00"}, "IN": {"91", "0", 10, 10, "00"}, "ZA": {"27", "0", 9, 9, "00"},
}

var dialCodes = func() map[string]dial {
	m := map[string]dial{}
	for _, d := range dials {
		m[d.code] = d
	}
	return m
}()

// validPhone says whether an E.164 number can exist, as far as the plan of its country is known here.
func validPhone(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	if !ok || len(digits) < 7 || len(digits) > 15 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	for n := 1; n <= 3; n++ {
		if d, ok := dialCodes[digits[:n]]; ok {
			k := len(digits) - n
			return k >= d.min && k <= d.max
		}
	}
	return true
}

// e164 makes an international number of digits as typed; why is "" or what is wrong.
func e164(digits string, plus bool, country string) (number, why string) {
	d, known := dials[strings.ToUpper(country)]
	if !known {
		d = dials["DE"]
	}
	switch {
	case plus:
	case strings.HasPrefix(digits, d.exit) && d.exit != "":
		digits = digits[len(d.exit):]
	case strings.HasPrefix(digits, "00"):
		digits = digits[2:]
	case d.code == "1":
		if len(digits) == 11 && digits[0] == '1' {
			digits = digits[1:]
		}
		if len(digits) == 7 {
			return "", "area_code"
		}
		digits = "1" + digits
	case d.trunk == "" && known:
		digits = d.code + digits
	case strings.HasPrefix(digits, d.trunk):
		digits = d.code + digits[len(d.trunk):]
	case strings.HasPrefix(digits, d.code) && len(digits) >= len(d.code)+9:
		// "49 171 1234567" without its plus
	default:
		return "", "area_code"
	}
	// "+49 (0)171 …"
	for n := 1; n <= 3 && n < len(digits); n++ {
		if x, ok := dialCodes[digits[:n]]; ok {
			if x.trunk == "0" && len(digits) > n && digits[n] == '0' {
				digits = digits[:n] + digits[n+1:]
			}
			break
		}
	}
	number = "+" + digits
	if !validPhone(number) {
		return "", "phone"
	}
	return number, ""
}

func (a *Ask) phone(text string, toks []token, c *Context) Outcome {
	country := c.Country
	if country == "" {
		country = "DE"
	}
	var found []string
	why := ""
	// Runs of digits with what people put between them.
	for i := 0; i < len(text); {
		ch := text[i]
		if ch != '+' && ch != '(' && (ch < '0' || ch > '9') {
			i++
			continue
		}
		var digits strings.Builder
		plus := false
		j, end := i, i
		for j < len(text) {
			b := text[j]
			if b >= '0' && b <= '9' {
				digits.WriteByte(b)
				j++
				end = j
				continue
			}
			if b == '+' {
				if digits.Len() > 0 {
					break
				}
				plus = true
			} else if b == '(' && plus && strings.HasPrefix(text[j:], "(0)") {
				j += 3
				continue
			} else if strings.IndexByte(" ()-/.\u00a0", b) < 0 {
				if strings.HasPrefix(text[j:], "–") || strings.HasPrefix(text[j:], "‑") {
					j += len("–")
					continue
				}
				break
			}
			j++
		}
		if j == i {
			j++
		}
		i = max(end, j)
		if digits.Len() < 3 || digits.Len() < 5 && len(found) > 0 {
			continue
		}
		number, bad := e164(digits.String(), plus, country)
		if bad != "" {
			why = bad
			continue
		}
		if !slices.Contains(found, number) {
			found = append(found, number)
		}
	}
	if len(found) == 0 && why == "" {
		// "null eins sieben sechs …": what a telephone hears.
		var b strings.Builder
		plus := false
		for _, t := range toks {
			if t.kind == digitToken {
				b.WriteString(t.s)
			} else if v, ok := numberWords[t.s]; ok && v <= 9 {
				b.WriteByte(byte('0' + v))
			} else if t.s == "plus" && b.Len() == 0 {
				plus = true
			} else if t.s == "oh" && b.Len() > 0 {
				b.WriteByte('0')
			}
		}
		if b.Len() >= 6 {
			number, bad := e164(b.String(), plus, country)
			if bad == "" {
				return Outcome{Value: Value{Phone: number}, Confidence: 0.85, Reading: "words"}
			}
			why = bad
		}
	}
	sc := scopes(toks)
	neg := 0
	for _, n := range sc.neg {
		neg += n
	}
	switch {
	case len(found) == 0 && why != "":
		return Outcome{Problem: Unclear, Detail: why, Confidence: 0.4}
	case len(found) == 0:
		return Outcome{Problem: Unclear}
	case len(found) > 1:
		var cands []Value
		for _, x := range found {
			cands = append(cands, Value{Phone: x})
		}
		return Outcome{Problem: Ambiguous, Confidence: 0.5, Candidates: cands}
	case neg > 0:
		return Outcome{Problem: Unclear, Confidence: 0.5, Candidates: []Value{{Phone: found[0]}}}
	}
	return Outcome{Value: Value{Phone: found[0]}, Confidence: 0.97, Reading: "words"}
}

func letters(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) {
			n++
		}
	}
	return n
}
