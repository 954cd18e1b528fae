package email

import (
	"fmt"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// This file reads what the provider of a mailbox found out (RFC 8601). Anybody can write such a field; it counts only
// where it must be the provider's own.

// Settings about what to believe of header fields.
const (
	settingAuthserv = "trusted_authserv_id"
	settingSpam     = "trusted_spam_header"
)

// trustSettings are the settings that say which header fields are believed; Settings lists them.
func trustSettings() []channel.Setting {
	t := func(de, en string) channel.Text { return channel.Text{DE: de, EN: en} }
	return []channel.Setting{
		{Key: settingAuthserv, Help: t(
			"Name, mit dem Ihr Anbieter in Authentication-Results seine Prüfung zeichnet, z. B. mx.google.com; nur angeben, wenn er fremde Einträge dieses Namens entfernt.",
			"Name under which your provider signs its check in Authentication-Results, e.g. mx.google.com; only where it removes foreign fields of that name.")},
		{Key: settingSpam, Default: "off", Values: []string{"off", "on"}, Help: t(
			"on: X-Spam-Flag und X-Spam-Status stammen vom eigenen Filter und zählen.",
			"on: X-Spam-Flag and X-Spam-Status come from your own filter and count.")},
	}
}

// checkTrust looks at these settings.
func checkTrust(s channel.Settings) error {
	if strings.ContainsAny(s[settingAuthserv], "\r\n\"()=:/") {
		return fmt.Errorf("%s %q must be the name at the start of your provider's Authentication-Results, such as mx.google.com", settingAuthserv, s[settingAuthserv])
	}
	if v := s.Or(settingSpam, "off"); v != "off" && v != "on" {
		return fmt.Errorf("%s %q must be on or off", settingSpam, v)
	}
	return nil
}

// authResults is what one Authentication-Results field says.
type authResults struct {
	spf, dkim, dmarc string
	spfDomain        string   // that SPF was about
	dkimPassed       []string // domains whose signature verified
	from             string   // the From domain that DMARC was about, "" if not said
}

// providerResults gives the results of the trusted provider. Of the fields under its name the topmost counts, and only
// that one: a provider adds its own above what came in. A mail that came over our own SMTP port has passed no provider,
// unless a relay on the same machine handed it in. ARC-Authentication-Results (RFC 8617) never count: they are the word
// of whoever sealed them; a provider that believes a sealer says so in its own field.
func providerResults(a channel.Account, env envelope, fields []rawField) (authResults, bool) {
	trusted := strings.FieldsFunc(strings.ToLower(a.Settings[settingAuthserv]), func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
	if len(trusted) == 0 {
		return authResults{}, false
	}
	switch {
	case env.known && !env.fetched && !env.peer.IsLoopback():
		return authResults{}, false
	case !env.known && a.Settings["imap_host"] == "":
		return authResults{}, false
	}
	for _, f := range fields {
		if f.name != "authentication-results" || len(f.raw) > 16<<10 {
			continue
		}
		id, methods := parseAuthResults(f.value())
		for _, t := range trusted {
			// Exchange Online signs with no name at all and renames every field that it finds.
			if id == t || id == "" && t == "mx.microsoft.com" {
				return summarise(methods), true
			}
		}
	}
	return authResults{}, false
}

// authMethod is one resinfo of RFC 8601 §2.2.
type authMethod struct {
	method, result string
	props          map[string]string // "smtp.mailfrom", "header.d" …
}

func summarise(methods []authMethod) (r authResults) {
	for _, m := range methods {
		switch m.method {
		case "spf":
			if r.spf == "" {
				r.spf = m.result
				who := m.props["smtp.mailfrom"]
				if who == "" {
					who = m.props["smtp.helo"]
				}
				r.spfDomain = who[strings.LastIndexByte(who, '@')+1:]
			}
		case "dkim":
			d := m.props["header.d"]
			if d == "" {
				d = m.props["header.i"]
			}
			if m.result == resultPass {
				r.dkim = resultPass
				if d = d[strings.LastIndexByte(d, '@')+1:]; d != "" {
					r.dkimPassed = append(r.dkimPassed, d)
				}
			} else if r.dkim == "" {
				r.dkim = m.result
			}
		case "dmarc":
			if r.dmarc == "" {
				r.dmarc = m.result
				if from := m.props["header.from"]; from != "" {
					if r.from, _ = asciiDomain(from); r.from == "" {
						r.from = "invalid"
					}
				}
			}
		}
	}
	return r
}

// parseAuthResults reads the field with its comments and quoted strings: an envelope sender such as
// `"x; dmarc=pass"@evil.example` stands in it as it was given and must not become a result.
func parseAuthResults(s string) (id string, methods []authMethod) {
	for i, part := range authParts(s) {
		if i == 0 {
			if len(part) > 0 && !strings.Contains(part[0], "=") {
				id = strings.ToLower(part[0])
				continue
			}
			if len(part) > 0 && len(part[0]) == 1 {
				continue
			}
		}
		if len(part) == 0 {
			continue
		}
		name, result, ok := strings.Cut(part[0], "=")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(strings.ToLower(name), "/")
		m := authMethod{method: name, result: strings.ToLower(result), props: map[string]string{}}
		for _, p := range part[1:] {
			if k, v, ok := strings.Cut(p, "="); ok {
				if k = strings.ToLower(k); m.props[k] == "" {
					m.props[k] = v
				}
			}
		}
		methods = append(methods, m)
	}
	return id, methods
}

// authParts splits at semicolons and blanks outside comments and quotes; blanks around "=" are closed up.
func authParts(s string) (parts [][]string) {
	var words []string
	var word strings.Builder
	has := false
	flush := func() {
		if has {
			w := word.String()
			if n := len(words); n > 0 && (strings.HasPrefix(w, "=") || strings.HasSuffix(words[n-1], "=") && !strings.Contains(w, "=")) &&
				!(strings.HasPrefix(w, "=") && strings.Contains(words[n-1], "=")) {
				words[n-1] += w
			} else {
				words = append(words, w)
			}
			word.Reset()
			has = false
		}
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case depth > 0:
			switch c {
			case '\\':
				i++
			case '(':
				depth++
			case ')':
				depth--
			}
		case c == '(':
			flush()
			depth = 1
		case c == '"':
			has = true
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				word.WriteByte(s[i])
			}
		case c == ';':
			flush()
			parts = append(parts, words)
			words = nil
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			flush()
		default:
			has = true
			word.WriteByte(c)
		}
	}
	flush()
	return append(parts, words)
}
