// Package xmpp is in charge of one medium: an XMPP account, or a component of an XMPP server, to which customers write
// from any server. It keeps a stream open, parses messages with their receipts, markers, corrections, replies and
// reactions, and sends text and files. The facts are those of RFC 6120, RFC 6121 and the XEPs named at the lines.
//
// The stream itself (TLS, SASL, binding, XEP-0114) is mellium.im/xmpp's. Listen owns the live stream and Send uses it; where
// another process listens, Send opens a short stream of its own.
package xmpp

import (
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "xmpp"

const (
	// ours: ejabberd's sample configuration closes streams at stanzas of 64 KiB, and XML can make a text four times as long.
	textMax       = 15_000
	attachmentMax = 50 << 20
)

//go:embed README.md
var guide string

// Driver serves XMPP accounts and components. The zero value works; New makes Send use the stream of Listen.
type Driver struct{ live *live }

// New makes the driver.
func New() Driver { return Driver{live: &live{of: map[string]*session{}}} }

// Guide is how the channel is set up.
func (Driver) Guide() string { return guide }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "XMPP", EN: "XMPP"} }

// Capabilities implements channel.Driver. Quick responses (XEP-0439) are not used: what is pressed comes back as an
// ordinary message whose text is the payload. A repeated id is known to the receiver's client at most (XEP-0359), so
// sending again is not idempotent.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:       textMax,
		TextUnit:      channel.Bytes,
		Attachments:   true,
		AttachmentMax: attachmentMax,
		Quote:         true,
		Edits:         true,
		Upload:        true,
		Links:         true,
		Typing:        true,
		Delivered:     true,
		Read:          true,
		WriteFirst:    true,
	}
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "jid", Required: true, Help: channel.Text{
			DE: "Adresse des Kontos (service@example.org) oder Domain der Komponente (service.example.org).",
			EN: "The account's address (service@example.org) or the component's domain (service.example.org).",
		}},
		{Key: "password", Secret: true, Help: channel.Text{DE: "Passwort des Kontos.", EN: "The account's password."}},
		{Key: "component_secret", Secret: true, Help: channel.Text{
			DE: "Nur als Komponente (XEP-0114): das Geheimnis, das im Server eingetragen ist.", EN: "Only as a component (XEP-0114): the secret that the server has for it.",
		}},
		{Key: "host", Help: channel.Text{
			DE: "Name oder Adresse des Servers; leer = die Domain der jid (SRV-Einträge werden nicht gefragt).",
			EN: "The server's name or address; empty = the jid's domain (SRV records are not asked).",
		}},
		{Key: "port", Help: channel.Text{DE: "Port; leer = 5222, als Komponente 5347.", EN: "Port; empty = 5222, as a component 5347."}},
		{Key: "tls", Default: "auto", Values: []string{"auto", "starttls", "tls", "none"}, Help: channel.Text{
			DE: "auto: STARTTLS, auf Port 5223 und 443 gleich TLS; als Komponente unverschlüsselt. none nur auf diesem Rechner.",
			EN: "auto: STARTTLS, on ports 5223 and 443 TLS at once; as a component unencrypted. none only on this machine.",
		}},
		{Key: "tls_ca", Help: channel.Text{DE: "Eigene Zertifizierungsstelle des Servers als PEM; leer = die des Systems.", EN: "The server's own certificate authority as PEM; empty = those of the system."}},
		{Key: "api_url", Help: channel.Text{DE: "Ersetzt host und port, z. B. xmpp.example.org:5222.", EN: "Replaces host and port, such as xmpp.example.org:5222."}},
	}
}

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	j, err := jid.Parse(s["jid"])
	component := s["component_secret"] != ""
	switch {
	case err != nil || j.Resourcepart() != "":
		return fmt.Errorf("jid %q is no XMPP address: it looks like service@example.org", s["jid"])
	case component && j.Localpart() != "":
		return fmt.Errorf("jid %q is an account, but component_secret is set: a component's jid is a domain", s["jid"])
	case !component && j.Localpart() == "":
		return fmt.Errorf("jid %q has no name before the @: it looks like service@example.org", s["jid"])
	case !component && s["password"] == "":
		return errors.New("password is missing: give the account's password, or component_secret for a component")
	case component && s["tls"] == "starttls":
		return errors.New("tls starttls does not exist for components: use tls or none")
	}
	if p := s["port"]; p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %q is none: give a number from 1 to 65535", p)
		}
	}
	host, port := address(s)
	if strings.ContainsAny(host, "/@ ") || port == "" {
		return fmt.Errorf("host %q is no name of a server: it looks like xmpp.example.org", host)
	}
	if ca := s["tls_ca"]; ca != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
		return errors.New("tls_ca is no certificate in PEM form: it begins with -----BEGIN CERTIFICATE-----")
	}
	if s["tls"] == "none" && !component && !loopback(host) {
		return errors.New("tls none would send the password in the clear: it is allowed to 127.0.0.1 and localhost only")
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// address is where to connect.
func address(s channel.Settings) (host, port string) {
	j, _ := jid.Parse(s["jid"])
	host, port = s.Or("host", j.Domainpart()), s["port"]
	if raw := s["api_url"]; raw != "" {
		if _, after, ok := strings.Cut(raw, "://"); ok {
			raw = after
		}
		if i := strings.LastIndexByte(raw, ':'); i >= 0 {
			host, port = raw[:i], raw[i+1:]
		} else {
			host = raw
		}
	}
	if port == "" {
		port = "5222" // RFC 6120 §14.7
		if s["component_secret"] != "" {
			port = "5347"
		}
	}
	return strings.Trim(host, "[]"), port
}

// Link implements channel.Linker (XEP-0147, action "message").
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	j, err := jid.Parse(a.Settings["jid"])
	if err != nil {
		return "", channel.CarriesNothing
	}
	link := "xmpp:" + strings.ReplaceAll(url.PathEscape(j.Bare().String()), "%40", "@")
	if o.Text == "" {
		return link, channel.CarriesNothing
	}
	return link + "?message;body=" + strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20"), channel.CarriesText
}

var (
	_ channel.Driver     = Driver{}
	_ channel.Listener   = Driver{}
	_ channel.Reparser   = Driver{}
	_ channel.Sender     = Driver{}
	_ channel.Identifier = Driver{}
	_ channel.Fetcher    = Driver{}
	_ channel.Prober     = Driver{}
	_ channel.Linker     = Driver{}
)
