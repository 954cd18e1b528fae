// Package webchat is in charge of one medium: the chat on a company's own web pages. There is no provider: the widget
// (web/widget) talks to our own door (package api), which hands what it received to this driver to be read, and what we
// say is read by the widget from the stored conversation. This package knows the channel's settings, which pages may
// embed the widget, how a page proves who is signed in there, and what a stored request means.
//
// It keeps no state. Sessions are package chat's; HTTP is package api's.
package webchat

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"github.com/rufweite/rufweite/internal/channel"
)

//go:embed README.md
var guide string

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "webchat"

// Limits are ours: long enough for a whole letter, short enough to be read in a chat.
const (
	TextMax = 10000    // code points
	FileMax = 25 << 20 // bytes of a file that we send
)

// Driver serves web chats. The zero value works.
type Driver struct{}

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "Web-Chat", EN: "Web chat"} }

// Guide is how the channel is set up.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. A send is an entry in our own database, so that a second one under the same
// id does nothing.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax: TextMax, TextUnit: channel.CodePoints, CaptionMax: TextMax,
		Attachments: true, AttachmentMax: FileMax,
		Quote: true, Typing: true, Delivered: true, Read: true, Idempotent: true,
		Buttons: 10, ButtonTitleMax: 60, ButtonDataMax: 256, Forms: true, Upload: true, Links: true,
	}
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "allowed_origins", Help: channel.Text{
			DE: "Seiten, die den Chat einbinden dürfen, z. B. https://www.firma.de https://portal.firma.de; leer = nur dieser Server, * = alle.",
			EN: "Sites that may embed the chat, e.g. https://www.example.com https://portal.example.com; empty = only this server, * = all.",
		}},
		{Key: "identity_secret", Secret: true, Help: channel.Text{
			DE: "Geheimnis, mit dem Ihre Website angemeldete Kunden ausweist (HMAC-SHA256 der Kunden-ID, hexadezimal). Zum Wechseln: neu,alt.",
			EN: "Secret by which your website vouches for signed-in customers (hex HMAC-SHA256 of the user id). To rotate: new,old.",
		}},
	}
}

// Check implements channel.Driver.
func (Driver) Check(s channel.Settings) error {
	for _, o := range fields(s["allowed_origins"]) {
		if o == "*" {
			continue
		}
		if _, ok := origin(o); !ok {
			return fmt.Errorf("allowed_origins: %q is not the origin of a site: give scheme and host only, such as https://www.example.com", o)
		}
	}
	secrets := strings.Split(s["identity_secret"], ",")
	if s["identity_secret"] != "" {
		if len(secrets) > 2 {
			return errors.New("identity_secret has more than two secrets: give new,old")
		}
		for _, v := range secrets {
			if strings.TrimSpace(v) == "" {
				return errors.New("identity_secret has an empty secret: whoever knows that could be any customer")
			}
		}
	}
	return nil
}

func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) })
}

// origin brings the origin of a site (RFC 6454 §6.2) into one form: lower case, without the scheme's own port.
func origin(s string) (string, bool) {
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(s, "/")))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
		return "", false
	}
	if p := u.Port(); (u.Scheme == "http" && p == "80") || (u.Scheme == "https" && p == "443") {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}
	return u.Scheme + "://" + u.Host, true
}

// Allowed reports whether a page of this origin may use the chat. own are the hosts under which this server's own pages
// are loaded; they always may. An origin that says nothing ("null": a file, a sandboxed frame) may only with "*".
func (Driver) Allowed(s channel.Settings, from string, own []string) bool {
	asks, ok := origin(from)
	if ok {
		if u, err := url.Parse(asks); err == nil {
			for _, h := range own {
				if o, ok := origin(u.Scheme + "://" + h); ok && o == asks {
					return true
				}
			}
		}
	}
	for _, o := range fields(s["allowed_origins"]) {
		if o == "*" {
			return true
		}
		if v, good := origin(o); good && ok && v == asks {
			return true
		}
	}
	return false
}

// Signature is what a site proves a signed-in customer with: hex HMAC-SHA256 of the user id under the secret.
func Signature(secret, user string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(user))
	return hex.EncodeToString(m.Sum(nil))
}

// User checks in constant time whether the site vouches for this user. configured is false if the channel has no
// identity_secret, so that nobody can be vouched for.
func (Driver) User(s channel.Settings, user, signature string) (configured, right bool) {
	list := s["identity_secret"]
	if list == "" {
		return false, false
	}
	given := []byte(strings.ToLower(strings.TrimSpace(signature)))
	for _, secret := range append(strings.Split(list, ","), list) { // whole, too: an old secret may have a comma in it
		if secret = strings.TrimSpace(secret); secret != "" && hmac.Equal([]byte(Signature(secret, user)), given) {
			right = true
		}
	}
	return true, right && user != ""
}

// ExternalID implements channel.Identifier: what we say is known by its delivery.
func (Driver) ExternalID(_ channel.Account, out channel.Outgoing) string { return out.DeliveryID }

// Send implements channel.Sender: the message lies in the conversation already, where the widget reads it from.
func (Driver) Send(_ context.Context, _ channel.Account, out channel.Outgoing, _ channel.Env) (channel.Receipt, error) {
	if out.To.Value == "" {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Reason: channel.Text{DE: "Diese Nachricht nennt keinen Empfänger.", EN: "This message names nobody to receive it."}}
	}
	return channel.Receipt{ExternalID: out.DeliveryID, State: channel.Sent}, nil
}

var (
	_ channel.Driver     = Driver{}
	_ channel.Sender     = Driver{}
	_ channel.Identifier = Driver{}
	_ channel.Parts      = Driver{}
	_ channel.Reparser   = Driver{}
)
