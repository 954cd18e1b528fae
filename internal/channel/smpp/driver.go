// Package smpp is in charge of one medium: short messages over a connection to a provider's SMSC (SMPP 3.4, "Short Message
// Peer to Peer Protocol Specification v3.4", cited below as "SMPP"). It binds, keeps the window and the agreed rate, sends
// texts in one or several parts, joins the parts of what comes in and reads delivery receipts. How characters become bytes
// is the business of package sms.
//
// The library gosmpp writes PDUs and names codes. Sessions are our own, since its session acknowledges before anything is
// stored, and so is reading: it gives up a whole PDU for one odd optional parameter and forgets data codings that it does
// not know.
//
// What has to survive a crash (parts of a message, what may come again) is in the cursor. In memory there is only the
// register of live sessions, through which Send uses the connection of Listen.
package smpp

import (
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "smpp"

// textMax is ours: about 15 parts in UCS-2. Phones show more, nobody pays for it gladly.
const textMax = 1000

//go:embed README.md
var guide string

// Driver serves SMPP accounts. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Guide is the set-up guide.
func (Driver) Guide() string { return guide }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "SMS (SMPP)", EN: "SMS (SMPP)"} }

// Capabilities implements channel.Driver.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{TextMax: textMax, TextUnit: channel.CodePoints, Links: true, Delivered: true, WriteFirst: true}
}

// Values of settings.
const (
	tlsOn, tlsOff           = "tls", "none"
	transceiver, two        = "transceiver", "transmitter+receiver"
	gsm7, latin1            = "gsm-7", "latin-1"
	idAuto, idSame          = "auto", "same"
	idDecimal, idHex        = "decimal", "hex"
	defaultWindow, windowOK = 10, 1000
)

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "host", Required: true, Help: channel.Text{DE: "Rechner des Anbieters (SMSC), z. B. smpp.example.com.", EN: "The provider's host (SMSC), such as smpp.example.com."}},
		{Key: "port", Required: true, Help: channel.Text{DE: "Port des Anbieters; ohne TLS meist 2775, mit TLS meist 3550.", EN: "The provider's port; mostly 2775 without TLS, 3550 with it."}},
		{Key: "tls", Default: tlsOn, Values: []string{tlsOn, tlsOff}, Help: channel.Text{
			DE: "tls verschlüsselt und prüft das Zertifikat; none sendet Kennwort und Texte offen, nur durch ein VPN vertretbar.",
			EN: "tls encrypts and checks the certificate; none sends password and texts in the clear, fit only inside a VPN.",
		}},
		{Key: "tls_ca", Help: channel.Text{DE: "Eigene Zertifizierungsstelle des Anbieters als PEM; leer = die des Systems.", EN: "The provider's own certificate authority as PEM; empty = those of the system."}},
		{Key: "system_id", Required: true, Help: channel.Text{DE: "Benutzername des Anbieters (system_id).", EN: "The provider's user name (system_id)."}},
		{Key: "password", Required: true, Secret: true, Help: channel.Text{DE: "Kennwort des Anbieters.", EN: "The provider's password."}},
		{Key: "system_type", Help: channel.Text{DE: "Nur wenn der Anbieter einen nennt.", EN: "Only if the provider names one."}},
		{Key: "source_addr", Required: true, Help: channel.Text{
			DE: "Absender: Rufnummer (+49…), Kurzwahl oder Name (bis 11 Zeichen; darauf kann niemand antworten).",
			EN: "Sender: number (+49…), short code or name (up to 11 characters; nobody can answer to that).",
		}},
		{Key: "source_addr_ton", Help: channel.Text{DE: "Art der Absendernummer (TON), 0 bis 7; leer = aus source_addr.", EN: "Type of number (TON) of the sender, 0 to 7; empty = by source_addr."}},
		{Key: "source_addr_npi", Help: channel.Text{DE: "Nummernplan (NPI) des Absenders, 0 bis 18; leer = aus source_addr.", EN: "Numbering plan (NPI) of the sender, 0 to 18; empty = by source_addr."}},
		{Key: "bind_mode", Default: transceiver, Values: []string{transceiver, two}, Help: channel.Text{
			DE: "Eine Verbindung für beide Richtungen oder zwei, wenn der Anbieter es so verlangt.", EN: "One connection for both directions, or two if the provider wants it that way."}},
		{Key: "window_size", Default: strconv.Itoa(defaultWindow), Help: channel.Text{DE: "Wie viele Nachrichten ohne Antwort unterwegs sein dürfen.", EN: "How many messages may be on their way without an answer."}},
		{Key: "messages_per_second", Help: channel.Text{DE: "Vereinbarte Rate des Anbieters; leer = keine.", EN: "The rate agreed with the provider; empty = none."}},
		{Key: "default_region", Help: channel.Text{DE: "Land für Nummern ohne Landesvorwahl, z. B. DE.", EN: "Country of numbers without a country code, such as DE."}},
		{Key: "default_alphabet", Default: gsm7, Values: []string{gsm7, latin1}, Help: channel.Text{
			DE: "Was data_coding 0 beim Anbieter heißt. Kommen Umlaute falsch an, nehmen Sie das andere.", EN: "What data_coding 0 means to the provider. If umlauts arrive wrong, take the other one."}},
		{Key: "receipt_id", Default: idAuto, Values: []string{idAuto, idSame, idDecimal, idHex}, Help: channel.Text{
			DE: "Wie Zustellberichte die Nachricht nennen: wie die Antwort (same), dezimal oder hexadezimal; auto findet es heraus.",
			EN: "How delivery receipts name the message: as the response did (same), in decimal or in hex; auto finds out.",
		}},
	}
}

var (
	hostForm   = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)
	regionForm = regexp.MustCompile(`^[A-Z]{2}$`)
)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if !hostForm.MatchString(s["host"]) {
		return fmt.Errorf("host %q is no name of a machine: it looks like smpp.example.com", s["host"])
	}
	for _, n := range []struct {
		key       string
		low, high float64
	}{{"port", 1, 65535}, {"source_addr_ton", 0, 7}, {"source_addr_npi", 0, 18}, {"window_size", 1, windowOK}, {"messages_per_second", 0.01, 10_000}} {
		if v := s[n.key]; v != "" {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || !(f >= n.low && f <= n.high) || n.key != "messages_per_second" && strings.Trim(v, "0123456789") != "" {
				return fmt.Errorf("%s %q is not between %g and %g", n.key, v, n.low, n.high)
			}
		}
	}
	// SMPP §5.2.1–5.2.3: 15, 8 and 12 octets; some providers hand out longer passwords.
	for key, most := range map[string]int{"system_id": 15, "password": 64, "system_type": 12} {
		if len(s[key]) > most {
			return fmt.Errorf("%s is longer than %d characters", key, most)
		}
		if strings.ContainsFunc(s[key], func(r rune) bool { return r > '~' }) {
			return fmt.Errorf("%s has characters that SMPP cannot carry: only ASCII", key)
		}
	}
	if r := s["default_region"]; r != "" && !regionForm.MatchString(r) {
		return fmt.Errorf("default_region %q is no country: give two capital letters, such as DE", r)
	}
	if p := sms.ParseParty(s["source_addr"], s["default_region"]); p.Kind == sms.Nobody {
		return fmt.Errorf("source_addr %q is neither a number (+49…) nor a short code nor a name of up to 11 characters", s["source_addr"])
	}
	if ca := s["tls_ca"]; ca != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
		return errors.New("tls_ca is no certificate in PEM form: it begins with -----BEGIN CERTIFICATE-----")
	}
	return nil
}

// Link implements channel.Linker (RFC 5724; "?&body" is understood by Android and by iOS).
func (Driver) Link(a channel.Account, o channel.Opening) (string, channel.Carriage) {
	p := sms.ParseParty(a.Settings["source_addr"], a.Settings["default_region"])
	if !p.Answerable() {
		return "", channel.CarriesNothing
	}
	return "sms:" + p.Value + "?&body=" + strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20"), channel.CarriesText
}

var (
	_ channel.Driver   = Driver{}
	_ channel.Listener = Driver{}
	_ channel.Reparser = Driver{}
	_ channel.Sender   = Driver{}
	_ channel.Prober   = Driver{}
	_ channel.Linker   = Driver{}
)
