package channel

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Rotation splits a secret setting that may hold two values, "new,old", while a secret is being changed. The first one
// signs and is registered, all are accepted. Empty ones do not count.
func Rotation(setting string) []string {
	var out []string
	for s := range strings.SplitSeq(setting, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// CheckRotation says what is wrong with a secret setting that may hold "new,old"; an empty one is right.
func CheckRotation(key, setting string) error {
	if setting == "" {
		return nil
	}
	if n := strings.Count(setting, ",") + 1; n > 2 {
		return fmt.Errorf("%s has more than two secrets: give new,old", key)
	} else if len(Rotation(setting)) != n {
		return fmt.Errorf("%s has an empty secret: give one, or new,old", key)
	}
	return nil
}

// Authentic reports whether got is what one of the secrets signs, in constant time over all of them. Signatures are
// compared as they are written, so that no second spelling passes. Without secrets nothing is authentic.
func Authentic(got string, secrets []string, sign func(secret string) string) bool {
	have := sha256.Sum256([]byte(got)) // equal lengths, so that the comparison tells nothing
	match := 0
	for _, s := range secrets {
		want := sha256.Sum256([]byte(sign(s)))
		match |= subtle.ConstantTimeCompare(have[:], want[:])
	}
	return match == 1 && got != ""
}

// OneHeader is the value of a header that must come exactly once; "" otherwise.
func OneHeader(h http.Header, name string) string {
	if v := h.Values(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

// Fresh reports whether a signed timestamp is no further than maxAge from now, in both directions.
func Fresh(signed, now time.Time, maxAge time.Duration) bool {
	d := now.Sub(signed)
	return d <= maxAge && d >= -maxAge
}

// CheckURL says what is wrong with a setting that is the address of a server; an empty one is right.
func CheckURL(key, raw, example string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%s %q is not the address of a server: it looks like %s", key, raw, example)
	}
	return nil
}

// CheckSettings looks at what all drivers have in common: required settings are there, and those with a closed list of
// values have one of it. Line breaks and control characters, which come in by copying, are refused except in keys that
// are PEM blocks or JSON.
func CheckSettings(list []Setting, s Settings) error {
	for _, k := range list {
		v := s[k.Key]
		if v == "" {
			if k.Required {
				return fmt.Errorf("%s is missing: %s", k.Key, k.Help.EN)
			}
			continue
		}
		if len(k.Values) > 0 {
			ok := false
			for _, allowed := range k.Values {
				ok = ok || v == allowed
			}
			if !ok {
				return fmt.Errorf("%s %q is unknown: use %s", k.Key, v, strings.Join(k.Values, ", "))
			}
		}
		if strings.HasPrefix(v, "-----BEGIN ") || strings.HasPrefix(strings.TrimSpace(v), "{") {
			continue
		}
		if v != strings.TrimSpace(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errors.New(k.Key + " has spaces around it or a line break in it: copy it again")
		}
	}
	return nil
}
