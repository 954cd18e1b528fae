package email

import (
	"strings"
	"time"
)

// eventSummary says in a line or two what an invitation (RFC 5545, RFC 6047) is about, for mails that say nothing else:
// what, when, where. It has no words of its own, because it does not know the reader's language.
func eventSummary(e *entity) string {
	content, _ := e.decoded(64 << 10)
	s := decodeCharset(e.params["charset"], content)
	s = strings.NewReplacer("\n ", "", "\n\t", "").Replace(s)
	var what, where, from, to string
	inEvent := false
	for line := range strings.SplitSeq(s, "\n") {
		name, value := property(line)
		upper := strings.ToUpper(name)
		key, params, _ := strings.Cut(upper, ";")
		switch {
		case key == "BEGIN":
			inEvent = strings.EqualFold(value, "VEVENT")
		case key == "END" && strings.EqualFold(value, "VEVENT"):
			inEvent = false
			if what != "" || from != "" {
				return summaryLines(what, from, to, where)
			}
		case !inEvent:
		case key == "SUMMARY":
			what = icsText(value)
		case key == "LOCATION":
			where = icsText(value)
		case key == "DTSTART":
			from = icsTime(value, zoneOf(name, params))
		case key == "DTEND":
			to = icsTime(value, zoneOf(name, params))
		}
	}
	return summaryLines(what, from, to, where)
}

// property cuts a content line at the colon outside quotes.
func property(line string) (name, value string) {
	quoted := false
	for i := range len(line) {
		switch line[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				return line[:i], line[i+1:]
			}
		}
	}
	return line, ""
}

func zoneOf(name, upperParams string) string {
	i := strings.Index(";"+upperParams, ";TZID=")
	if i < 0 {
		return ""
	}
	_, params, _ := strings.Cut(name, ";")
	zone, _, _ := strings.Cut(params[i+len("TZID="):], ";")
	return strings.Trim(zone, `"`)
}

func icsText(s string) string {
	return cleanLine(strings.NewReplacer(`\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(s), 300)
}

// icsTime writes a date or a time as ISO 8601 does, with its zone as it was given.
func icsTime(s, zone string) string {
	s = strings.TrimSpace(s)
	if t, err := time.Parse("20060102T150405Z", s); err == nil {
		return t.Format("2006-01-02 15:04") + " UTC"
	}
	if t, err := time.Parse("20060102T150405", s); err == nil {
		return strings.TrimSpace(t.Format("2006-01-02 15:04") + " " + cleanLine(zone, 60))
	}
	if t, err := time.Parse("20060102", s); err == nil {
		return t.Format("2006-01-02")
	}
	return ""
}

func summaryLines(what, from, to, where string) string {
	if from != "" && to != "" && to != from {
		if len(from) > 16 && len(to) > 16 && from[:10] == to[:10] && from[16:] == to[16:] {
			from = from[:16] + "–" + to[11:16] + from[16:] // one day, one zone
		} else {
			from += " – " + to
		}
	}
	var out []string
	for _, s := range []string{what, from, where} {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, "\n")
}
