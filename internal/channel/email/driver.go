// Package email is the e-mail channel: it is in charge of turning Internet messages (RFC 5322, MIME) into events and
// back, of receiving them by SMTP (Server) or pulling them by IMAP (Driver.Listen), of signing and submitting them
// (Driver.Send), and of making foreign HTML harmless
// (Sanitize). It keeps nothing, decides about no customer, and believes no From line: every sender counts as claimed
// until something outside proves more.
//
// Where things are: driver.go settings and capabilities; receive.go message to event; mime.go and words.go the parts
// and the words of a message; tnef.go, signed.go and calendar.go what is packed into parts; text.go plain text from
// HTML; bounce.go reports about deliveries; auth.go who sent it, after the acknowledgement; server.go the SMTP receiver; imap.go and imapconn.go
// the pulling; send.go, compose.go and dkim.go the way out; oauth.go tokens for both; html.go and quote.go what is shown.
package email

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/rufweite/rufweite/internal/channel"
)

//go:embed README.md
var guide string

// Kind is this channel's kind.
const Kind channel.Kind = "email"

// Driver serves e-mail accounts. It receives through Server (shared by all accounts, since that listener belongs to no
// account), pulls the mailboxes of those that name one, and sends by SMTP submission.
type Driver struct{}

// Link implements channel.Linker: a mail that is already written (RFC 6068).
func (Driver) Link(a channel.Account, o channel.Opening) (link string, carries channel.Carriage) {
	address := a.Settings["address"]
	if address == "" {
		return "", channel.CarriesNothing
	}
	link = "mailto:" + strings.ReplaceAll(url.PathEscape(address), "%40", "@")
	if o.Text == "" {
		return link, channel.CarriesNothing
	}
	return link + "?body=" + strings.ReplaceAll(url.QueryEscape(o.Text), "+", "%20"), channel.CarriesText
}

var (
	_ channel.Driver     = Driver{}
	_ channel.Sender     = Driver{}
	_ channel.Identifier = Driver{}
	_ channel.Parts      = Driver{}
	_ channel.Prober     = Driver{}
)

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "E-Mail", EN: "E-mail"} }

// Guide is how the channel is set up.
func (Driver) Guide() string { return guide }

// Capabilities implements channel.Driver. E-mail has no window, no limit of text and no native choices; delivery
// reports arrive only sometimes, so that none are promised.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextUnit:      channel.CodePoints,
		HTML:          true,
		Subject:       true,
		Copies:        true,
		Attachments:   true,
		AttachmentMax: 25 << 20, // what the large providers take, before base64
		Quote:         true,
		WriteFirst:    true,
		Upload:        true,
		Links:         true,
	}
}

// Values of smtp_tls and imap_tls.
const (
	tlsNone     = "none"
	tlsStartTLS = "starttls"
	tlsImplicit = "tls"
	tlsAuto     = "auto"
)

var tlsValues = []string{tlsAuto, tlsStartTLS, tlsImplicit, tlsNone}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	t := func(de, en string) channel.Text { return channel.Text{DE: de, EN: en} }
	return append([]channel.Setting{
		{Key: "address", Required: true, Help: t(
			"Die Adresse, unter der Kunden schreiben und Antworten bekommen, z. B. service@firma.de.",
			"The address to which customers write and from which they get answers, e.g. service@example.com.")},
		{Key: "smtp_host", Help: t(
			"Postausgangsserver Ihres Anbieters; ohne ihn wird nur empfangen.",
			"Your provider's server for outgoing mail; without it the channel only receives.")},
		{Key: "smtp_port", Default: "587", Help: t(
			"Port des Postausgangsservers: meist 587 (STARTTLS) oder 465 (TLS).",
			"Port of the outgoing server: usually 587 (STARTTLS) or 465 (TLS).")},
		{Key: "smtp_tls", Default: tlsAuto, Values: tlsValues, Help: t(
			"Verschlüsselung zum Postausgangsserver; auto nimmt, was angeboten wird.",
			"Encryption to the outgoing server; auto takes what is offered.")},
		{Key: "smtp_user", Help: t(
			"Benutzername am Postausgangsserver, oft die Adresse selbst.",
			"User name at the outgoing server, often the address itself.")},
		{Key: "smtp_password", Secret: true, Help: t(
			"Kennwort dazu; bei Anbietern mit zweitem Faktor ein App-Kennwort.",
			"Its password; an app password where the provider asks for a second factor.")},
		{Key: "imap_host", Help: t(
			"Posteingangsserver, falls ein bestehendes Postfach abgeholt werden soll. Es wird nur gelesen: Nichts wird markiert, verschoben oder gelöscht.",
			"Server for incoming mail, if an existing mailbox is to be fetched. It is only read: nothing is marked, moved or deleted.")},
		{Key: "imap_port", Default: "993", Help: t(
			"Port des Posteingangsservers: meist 993 (TLS) oder 143 (STARTTLS).",
			"Port of the incoming server: usually 993 (TLS) or 143 (STARTTLS).")},
		{Key: "imap_tls", Default: tlsAuto, Values: tlsValues, Help: t(
			"Verschlüsselung zum Posteingangsserver; auto nimmt, was angeboten wird.",
			"Encryption to the incoming server; auto takes what is offered.")},
		{Key: "imap_user", Help: t(
			"Benutzername am Posteingangsserver, oft die Adresse selbst.",
			"User name at the incoming server, often the address itself.")},
		{Key: "imap_password", Secret: true, Help: t(
			"Kennwort am Posteingangsserver; bei Anbietern mit zweitem Faktor ein App-Kennwort.",
			"Password at the incoming server; an app password where the provider asks for a second factor.")},
		{Key: "imap_folder", Default: "INBOX", Help: t(
			"Ordner, der abgeholt wird.",
			"Folder that is fetched.")},
		{Key: "imap_first", Default: firstUnread, Values: firstValues, Help: t(
			"Was beim ersten Verbinden übernommen wird: unread die ungelesenen Mails der letzten 30 Tage, month alle der letzten 30 Tage, all der ganze Ordner, new nur was neu ankommt.",
			"What is taken when the mailbox is first connected: unread the unread mails of the last 30 days, month all of the last 30 days, all the whole folder, new only what arrives from now on.")},
		{Key: "plus_addresses", Default: "yes", Values: []string{"yes", "no"}, Help: t(
			"Ob der Anbieter Mails an service+irgendwas@… ins selbe Postfach legt. Bei no haben Antworten keine eigene Rücksendeadresse und werden nur an der Message-ID erkannt.",
			"Whether the provider puts mail to service+anything@… into the same mailbox. With no, answers have no return address of their own and are recognised by Message-ID only.")},
		{Key: "oauth_tenant", Help: t(
			"Microsoft 365: Verzeichnis-ID (Mandant) der App-Registrierung; bei Google leer oder google.",
			"Microsoft 365: directory (tenant) id of the app registration; at Google empty or google.")},
		{Key: "oauth_client_id", Help: t(
			"Anwendungs-ID für die Anmeldung mit OAuth 2.0; sie gilt für jeden Server, zu dem kein Kennwort eingetragen ist.",
			"Application id for signing in with OAuth 2.0; it is used at each server without a password here.")},
		{Key: "oauth_client_secret", Secret: true, Help: t(
			"Geheimer Clientschlüssel der Anwendung.",
			"The application's client secret.")},
		{Key: "oauth_refresh_token", Secret: true, Help: t(
			"Aktualisierungstoken, das der Anbieter nach der Zustimmung ausgestellt hat; erneuerte werden von selbst gespeichert. Bei Microsoft leer, wenn sich die Anwendung selbst anmeldet.",
			"Refresh token that the provider issued after the consent; renewed ones are saved by themselves. At Microsoft empty if the application signs in by itself.")},
		{Key: "dkim_domain", Help: t(
			"Domain der DKIM-Signatur, wenn Rufweite selbst signieren soll (die der Adresse oder eine darüber); sonst signiert der Anbieter.",
			"Domain of the DKIM signature if Rufweite is to sign (that of the address or one above it); otherwise the provider signs.")},
		{Key: "dkim_selector", Help: t(
			"Selektor des DKIM-Eintrags im DNS: der Teil vor ._domainkey.",
			"Selector of the DKIM record in DNS: what stands before ._domainkey.")},
		{Key: "dkim_key", Secret: true, Help: t(
			"Privater DKIM-Schlüssel im PEM-Format (RSA oder Ed25519).",
			"Private DKIM key in PEM format (RSA or Ed25519).")},
	}, trustSettings()...)
}

// Check implements channel.Driver. api_url, which every channel takes, stands in for the
// OAuth provider's base URL and otherwise means nothing.
func (Driver) Check(s channel.Settings) error {
	addr, ok := cleanAddress(s["address"])
	if !ok {
		return fmt.Errorf("address %q is not an e-mail address; give one such as service@example.com", s["address"])
	}
	if strings.Contains(addr, "+") {
		return errors.New("address must not contain a plus sign: replies use plus-addresses of it")
	}
	for _, p := range []string{"smtp", "imap"} {
		host := s[p+"_host"]
		if strings.ContainsAny(host, " /@\t\r\n") || (strings.Contains(host, ":") && net.ParseIP(strings.Trim(host, "[]")) == nil) {
			return fmt.Errorf("%s_host %q must be a host name without scheme or port, such as %s.example.com", p, host, p)
		}
		if v := s[p+"_port"]; v != "" {
			if n, err := strconv.Atoi(v); err != nil || n < 1 || n > 65535 {
				return fmt.Errorf("%s_port %q must be a number from 1 to 65535", p, v)
			}
		}
		switch s.Or(p+"_tls", tlsAuto) {
		case tlsAuto, tlsNone, tlsStartTLS, tlsImplicit:
		default:
			return fmt.Errorf("%s_tls %q must be one of none, starttls, tls, auto", p, s[p+"_tls"])
		}
		if s[p+"_password"] != "" && s[p+"_user"] == "" {
			return fmt.Errorf("%s_password is set without %s_user; set both or none", p, p)
		}
		if strings.ContainsAny(s[p+"_user"]+s[p+"_password"], "\r\n\x00") {
			return fmt.Errorf("%s_user and %s_password must be one line", p, p)
		}
	}
	if v := s["plus_addresses"]; v != "" && v != "yes" && v != "no" {
		return fmt.Errorf("plus_addresses %q must be yes or no", v)
	}
	if err := checkIMAP(s); err != nil {
		return err
	}
	if err := checkOAuth(s); err != nil {
		return err
	}
	if err := checkTrust(s); err != nil {
		return err
	}
	return checkDKIMSettings(s)
}

// OpenPart implements channel.Parts.
func (Driver) OpenPart(raw []byte, part string) (io.Reader, error) { return OpenPart(raw, part) }

// ExternalID implements channel.Identifier: the Message-ID, known before the first byte is sent.
func (Driver) ExternalID(a channel.Account, out channel.Outgoing) string {
	return messageID(a, out, "")
}

// messageID is <DeliveryID@domain of the account's address>.
func messageID(a channel.Account, out channel.Outgoing, hostname string) string {
	domain := "localhost"
	if hostname != "" {
		domain = heloName(hostname)
	}
	if addr, ok := cleanAddress(a.Settings["address"]); ok {
		if d, err := idna.Lookup.ToASCII(addr[strings.LastIndexByte(addr, '@')+1:]); err == nil {
			domain = d
		}
	}
	id := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`<>@()[]\,;:"`, r) {
			return r
		}
		return -1
	}, out.DeliveryID)
	return "<" + id + "@" + domain + ">"
}

// Probe implements channel.Prober: it signs in at the servers for outgoing and for incoming mail and leaves. An account
// without one only receives, one without the other gets its mail by SMTP; neither is trouble. For an account that signs
// it looks whether the DNS has the key.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	if err := (Driver{}).Check(a.Settings); err != nil {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Eine Einstellung stimmt nicht.", EN: "A setting is wrong."},
			Remedy: channel.Text{DE: "Prüfen Sie die Einstellungen des Kanals.", EN: "Check the channel's settings."},
			Err:    err,
		}
	}
	if a.Settings["smtp_host"] != "" {
		c, err := connect(ctx, a, env)
		if err != nil {
			return trouble(err)
		}
		defer c.Close()
		if err := c.Quit(); err != nil {
			return trouble(classify(stageConnect, err))
		}
	}
	if a.Settings["imap_host"] != "" {
		if err := probeIMAP(ctx, a, env); err != nil {
			return err
		}
	}
	return probeDKIM(ctx, a, env)
}

// trouble tells the operator what to do about a failed probe.
func trouble(err *channel.SendError) error {
	t := &channel.Trouble{Reason: err.Reason, Err: err, Remedy: channel.Text{
		DE: "Prüfen Sie Host, Port und Verschlüsselung und ob der Server erreichbar ist.",
		EN: "Check host, port and encryption, and whether the server can be reached."}}
	var oe *oauthError
	switch {
	case errors.As(err.Err, &oe):
		t.Remedy = oe.remedy
	case err.Class == channel.Misconfig:
		t.Remedy = channel.Text{
			DE: "Prüfen Sie smtp_user, smtp_password und smtp_tls; mancher Anbieter verlangt ein App-Kennwort.",
			EN: "Check smtp_user, smtp_password and smtp_tls; some providers ask for an app password."}
	}
	return t
}

// CanSend implements channel.Settled: without a server to submit to, an account only receives.
func (Driver) CanSend(s channel.Settings) (bool, channel.Text) {
	if s["smtp_host"] == "" {
		return false, channel.Text{
			DE: "Dieses Postfach kann nur empfangen: In seinen Einstellungen fehlt der Postausgangsserver (smtp_host).",
			EN: "This mailbox can only receive: its settings name no server for outgoing mail (smtp_host).",
		}
	}
	return true, channel.Text{}
}

// Reparse implements channel.Reparser.
func (Driver) Reparse(a channel.Account, raw []byte) ([]channel.Event, error) {
	e, err := ParseFor(a, raw, a.Settings["address"], Limits{})
	if err != nil {
		return nil, err
	}
	return []channel.Event{e}, nil
}
