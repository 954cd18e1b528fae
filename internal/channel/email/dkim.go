package email

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/idna"

	"github.com/rufweite/rufweite/internal/channel"
)

// Signing what we send (RFC 6376; Ed25519: RFC 8463). Most providers sign by themselves; who submits through a relay of
// their own, which does not, signs here.

// dkimFields are the fields that a signature covers (RFC 6376 §5.4.1). Those named twice are oversigned: the signature
// breaks when somebody adds another one, which some programs would show instead of ours (§8.15).
var dkimFields = []string{
	"From", "From", "To", "To", "Cc", "Cc", "Subject", "Subject", "Date", "Date", "Reply-To", "Reply-To",
	"Message-ID", "In-Reply-To", "References", "Auto-Submitted", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// ParseDKIMKey reads a private key in PEM: RSA (PKCS #1 or #8) of at least 1,024 bits (RFC 8301 §3.2) or Ed25519
// (PKCS #8). Line breaks may be missing or written as \n, as they get lost in one-line forms and environment variables.
func ParseDKIMKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(mendPEM(text)))
	switch {
	case block == nil:
		return nil, errors.New("dkim_key must be a private key in PEM format (-----BEGIN PRIVATE KEY-----)")
	case block.Headers["Proc-Type"] != "" || block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("dkim_key is protected by a pass phrase; give it without one (openssl pkey -in key.pem -out plain.pem)")
	case block.Type == "PUBLIC KEY" || block.Type == "RSA PUBLIC KEY" || block.Type == "CERTIFICATE":
		return nil, errors.New("dkim_key is a public key; the private one signs (PEM format, -----BEGIN PRIVATE KEY-----)")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("dkim_key is a %s in PEM format; DKIM needs an RSA or Ed25519 PRIVATE KEY", cleanLine(strings.ToLower(block.Type), 40))
	}
	if err != nil {
		return nil, fmt.Errorf("dkim_key is PEM format but not a valid key: %w", err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < 1024 {
			return nil, fmt.Errorf("dkim_key has %d bits; receivers want at least 1,024, better 2,048", n)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("dkim_key must be an RSA or Ed25519 key; others do not exist in DKIM")
}

var pemLine = regexp.MustCompile(`(?s)^\s*(-----BEGIN [A-Z ]+-----)(.*?)(-----END [A-Z ]+-----)\s*$`)

// mendPEM puts lost line breaks back.
func mendPEM(s string) string {
	s = strings.ReplaceAll(s, `\n`, "\n")
	m := pemLine.FindStringSubmatch(s)
	if m == nil || strings.Contains(m[2], ":") {
		return s
	}
	return m[1] + "\n" + strings.Join(strings.Fields(m[2]), "\n") + "\n" + m[3] + "\n"
}

// DNSRecord gives the DNS entry that receivers check signatures of the key with (RFC 6376 §3.6): its name and the text
// of its TXT record. A text longer than 255 bytes goes into the zone as several strings, see ZoneLine.
func DNSRecord(key crypto.Signer, selector, domain string) (name, text string, err error) {
	var kind string
	var public []byte
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		kind = "rsa"
		if public, err = x509.MarshalPKIXPublicKey(k); err != nil {
			return "", "", fmt.Errorf("write the public key: %w", err)
		}
	case ed25519.PublicKey:
		kind, public = "ed25519", k // RFC 8463 §4.2: the bare 32 bytes
	default:
		return "", "", fmt.Errorf("DKIM has no keys of type %T", k)
	}
	return selector + "._domainkey." + domain, "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(public), nil
}

// ZoneLine is the record as a line of a zone file (RFC 1035 §5.1), its text in strings of at most 255 bytes.
func ZoneLine(name, text string) string {
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, `"`+text[:255]+`"`), text[255:]
	}
	return name + ". IN TXT " + strings.Join(append(parts, `"`+text+`"`), " ")
}

var (
	dnsLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
)

func dnsName(s string) bool {
	for l := range strings.SplitSeq(s, ".") {
		if !dnsLabel.MatchString(l) {
			return false
		}
	}
	return len(s) <= 253
}

// dkimDomain is the signing domain as it stands in signatures and DNS.
func dkimDomain(s string) (string, bool) {
	d, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
	return d, err == nil && dnsName(d) && strings.Contains(d, ".")
}

// checkDKIMSettings looks at the syntax of the DKIM settings.
func checkDKIMSettings(s channel.Settings) error {
	if s["dkim_domain"] == "" && s["dkim_selector"] == "" && s["dkim_key"] == "" {
		return nil
	}
	var key crypto.Signer
	if s["dkim_key"] != "" {
		var err error
		if key, err = ParseDKIMKey(s["dkim_key"]); err != nil {
			return err
		}
	}
	domain, ok := dkimDomain(s["dkim_domain"])
	if s["dkim_domain"] != "" && !ok {
		return fmt.Errorf("dkim_domain %q must be a domain such as example.com", s["dkim_domain"])
	}
	if sel := s["dkim_selector"]; sel != "" && !dnsName(sel) {
		return fmt.Errorf("dkim_selector %q must be letters, digits and hyphens, such as rufweite1", sel)
	}
	if s["dkim_domain"] == "" || s["dkim_selector"] == "" || s["dkim_key"] == "" {
		const all = "DKIM needs dkim_domain, dkim_selector and dkim_key together; set all or none"
		if key == nil {
			return errors.New(all)
		}
		if domain == "" {
			domain = "example.com"
			if addr, ok := cleanAddress(s["address"]); ok {
				domain = addr[strings.LastIndexByte(addr, '@')+1:]
			}
		}
		name, text, err := DNSRecord(key, s.Or("dkim_selector", "rufweite1"), domain)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s. The record for this key: %s", all, ZoneLine(name, text))
	}
	return nil
}

// signer is what signs the account's mails, nil if it does not.
func signerFor(a channel.Account) (*dkim.SignOptions, error) {
	if a.Settings["dkim_key"] == "" {
		return nil, nil
	}
	if err := checkDKIMSettings(a.Settings); err != nil {
		return nil, err
	}
	key, err := ParseDKIMKey(a.Settings["dkim_key"])
	if err != nil {
		return nil, err
	}
	domain, _ := dkimDomain(a.Settings["dkim_domain"])
	return &dkim.SignOptions{
		Domain: domain, Selector: a.Settings["dkim_selector"], Signer: key, HeaderKeys: dkimFields,
		// Relays fold header fields and add spaces at line ends; relaxed survives both.
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	}, nil
}

// probeDKIM asks whether the key's record is published, where an account signs: without it every signature is worth
// nothing, and nobody would notice but the customers' spam filters. A DNS that does not answer is no trouble of ours.
func probeDKIM(ctx context.Context, a channel.Account, env channel.Env) error {
	o, err := signerFor(a)
	if err != nil || o == nil || env.DNS == nil {
		return err
	}
	name, want, err := DNSRecord(o.Signer, o.Selector, o.Domain)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	found, err := env.DNS.LookupTXT(ctx, name)
	var dns *net.DNSError
	if err != nil && !(errors.As(err, &dns) && dns.IsNotFound) {
		return nil
	}
	key := func(record string) (string, bool) {
		for tag := range strings.SplitSeq(record, ";") {
			if k, v, ok := strings.Cut(tag, "="); ok && strings.TrimSpace(k) == "p" {
				return strings.Join(strings.Fields(v), ""), true
			}
		}
		return "", false
	}
	ours, _ := key(want)
	any := false
	for _, r := range found {
		published, ok := key(r)
		if ok && published == ours {
			return nil
		}
		any = any || ok
	}
	t := &channel.Trouble{
		Reason: channel.Text{
			DE: "Im DNS fehlt der Eintrag zum DKIM-Schlüssel; die Signaturen sind ohne ihn wertlos, und Mails landen leichter im Spam.",
			EN: "The DNS has no record for the DKIM key; without it the signatures are worth nothing, and mails end up as spam more easily."},
		Remedy: channel.Text{
			DE: "Veröffentlichen Sie diesen Eintrag (Änderungen brauchen bis zu einem Tag): " + ZoneLine(name, want),
			EN: "Publish this record (changes take up to a day): " + ZoneLine(name, want)},
	}
	if any {
		t.Reason = channel.Text{
			DE: "Der DKIM-Eintrag im DNS gehört zu einem anderen Schlüssel; die Signaturen werden als gefälscht verworfen.",
			EN: "The DKIM record in the DNS belongs to another key; the signatures are rejected as forged."}
	}
	return t
}

// signedMail is a composed mail with its signature in front, ready to be sent: exactly these bytes were signed.
type signedMail struct {
	head string
	body *spool
}

// composeSigned composes the mail once and signs it. The signature stands above the mail but needs its whole body,
// so the mail is kept: in memory while it is small, else in a file that has no name any more.
func composeSigned(a channel.Account, out channel.Outgoing, hostname string, o *dkim.SignOptions) (_ *signedMail, err error) {
	sp := &spool{}
	defer func() {
		if err != nil {
			sp.Close()
		}
	}()
	sg, err := dkim.NewSigner(o)
	if err != nil {
		return nil, fmt.Errorf("begin the DKIM signature: %w", err)
	}
	if err := Compose(io.MultiWriter(sp, sg), a, out, hostname); err != nil {
		sg.Close() // its goroutine ends; the error is Compose's
		return nil, err
	}
	if err := sg.Close(); err != nil {
		return nil, fmt.Errorf("make the DKIM signature: %w", err)
	}
	return &signedMail{sg.Signature(), sp}, nil
}

// WriteTo implements io.WriterTo.
func (m *signedMail) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, m.head)
	if err != nil {
		return int64(n), err
	}
	k, err := m.body.WriteTo(w)
	return int64(n) + k, err
}

// Close frees what the mail takes.
func (m *signedMail) Close() { m.body.Close() }

// spool keeps what is written to it.
type spool struct {
	buf  bytes.Buffer
	file *os.File
	size int64
}

const spoolMemory = 1 << 20

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.buf.Len()+len(p) > spoolMemory {
		f, err := os.CreateTemp("", "rufweite-mail-*")
		if err != nil {
			return 0, fmt.Errorf("keep a large mail while it is signed: %w", err)
		}
		_ = os.Remove(f.Name()) // so that a crash leaves nothing behind; where open files stay, Close removes it
		s.file = f
		if _, err := s.buf.WriteTo(f); err != nil {
			return 0, err
		}
		s.buf = bytes.Buffer{}
	}
	s.size += int64(len(p))
	if s.file != nil {
		return s.file.Write(p)
	}
	return s.buf.Write(p)
}

func (s *spool) WriteTo(w io.Writer) (int64, error) {
	if s.file == nil {
		n, err := w.Write(s.buf.Bytes())
		return int64(n), err
	}
	return io.Copy(w, io.NewSectionReader(s.file, 0, s.size))
}

func (s *spool) Close() {
	if s.file != nil {
		s.file.Close()
		_ = os.Remove(s.file.Name()) // usually gone since Write
	}
}

// RecordLine is the zone file's line for an account that signs, "" if it does not: what its operator has to publish.
func RecordLine(s channel.Settings) string {
	o, err := signerFor(channel.Account{Settings: s})
	if err != nil || o == nil {
		return ""
	}
	name, text, err := DNSRecord(o.Signer, o.Selector, o.Domain)
	if err != nil {
		return ""
	}
	return ZoneLine(name, text)
}
