package email

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// testKey is a fresh Ed25519 key in PEM.
func testKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pkcs8(t, key)
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verify checks a mail's signatures with the records of a stub resolver.
func verify(t *testing.T, raw []byte, records map[string]string) []*dkim.Verification {
	t.Helper()
	v, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if r, ok := records[name]; ok {
			return []string{r}, nil
		}
		return nil, fmt.Errorf("no record at %s", name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDKIM(t *testing.T) {
	big := rsaKey(t, 2048)
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(big)}))
	for name, text := range map[string]string{
		"RSA, PKCS #1":     pkcs1,
		"RSA, PKCS #8":     pkcs8(t, big),
		"RSA, one line":    strings.ReplaceAll(pkcs1, "\n", " "),
		"RSA, no breaks":   strings.ReplaceAll(pkcs1, "\n", ""),
		"RSA, escaped":     strings.ReplaceAll(pkcs1, "\n", `\n`),
		"RSA, CRLF":        strings.ReplaceAll(pkcs1, "\n", "\r\n"),
		"Ed25519, PKCS #8": testKey(t),
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParseDKIMKey(text)
			if err != nil {
				t.Fatal(err)
			}
			record, txt, err := DNSRecord(key, "s1", "firma.example")
			if err != nil || record != "s1._domainkey.firma.example" {
				t.Fatal(record, err)
			}
			box := start(t, emailsim.Options{})
			set := box.Settings(own)
			set["dkim_domain"], set["dkim_selector"], set["dkim_key"] = "Firma.example", "s1", text
			if err := (Driver{}).Check(set); err != nil {
				t.Fatal(err)
			}
			if line := RecordLine(set); line != ZoneLine(record, txt) {
				t.Errorf("record %s", line)
			}
			out := outgoing()
			out.HTML = "<p>Guten Tag</p>"
			out.Text = "Zeile mit Leerzeichen am Ende   \n\n\n.\nFrom hier\n\n\n\n"
			out.Cc = []channel.Mailbox{{Name: "Büro, Köln", Address: "buero@kunde.example"}}
			out.ReplyTo, out.References = "<parent@kunde.example>", []string{"<first@kunde.example>", "<parent@kunde.example>"}
			// Larger than what is kept in memory, so that the file is used as well.
			out.Attachments = []channel.File{{Name: "Übersicht.pdf", MediaType: "application/pdf", Open: content(strings.Repeat("%PDF ", 500_000))}}
			if _, err := (Driver{}).Send(t.Context(), account(set), out, env()); err != nil {
				t.Fatal(err)
			}
			raw := box.All()[0].Raw
			records := map[string]string{record: txt}
			v := verify(t, raw, records)
			if len(v) != 1 || v[0].Err != nil || v[0].Domain != "firma.example" {
				t.Fatalf("%+v", v[0])
			}
			for _, field := range []string{"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type"} {
				n := 0
				for _, k := range v[0].HeaderKeys {
					if strings.EqualFold(k, field) {
						n++
					}
				}
				if n == 0 || n < 2 && strings.Contains("From To Subject", field) {
					t.Errorf("%s is signed %d times", field, n)
				}
			}
			// Any change breaks it: the body, a signed field, one more of an oversigned field; another domain's key does not do.
			for what, bad := range map[string][]byte{
				"body":          bytes.Replace(raw, []byte("From hier"), []byte("From dort"), 1),
				"field":         bytes.Replace(raw, []byte("Anna Berg"), []byte("Anna Burg"), 1),
				"another From":  append([]byte("From: boss@firma.example\r\n"), raw...),
				"another To":    append([]byte("To: x@kunde.example\r\n"), raw...),
				"another Title": append([]byte("Subject: Rechnung\r\n"), raw...),
			} {
				if bytes.Equal(bad, raw) {
					t.Fatalf("%s: nothing was changed", what)
				}
				if v := verify(t, bad, records); v[0].Err == nil {
					t.Errorf("%s changed, and the signature still verifies", what)
				}
			}
			other, err := ParseDKIMKey(testKey(t))
			if err != nil {
				t.Fatal(err)
			}
			_, wrong, err := DNSRecord(other, "s1", "firma.example")
			if err != nil {
				t.Fatal(err)
			}
			if v := verify(t, raw, map[string]string{record: wrong}); v[0].Err == nil {
				t.Error("verifies with another key")
			}
			// What relays may do.
			folded := bytes.Replace(raw, []byte("Subject: "), []byte("SUBJECT:\r\n   "), 1)
			if v := verify(t, folded, records); v[0].Err != nil {
				t.Errorf("folded anew: %v", v[0].Err)
			}
			// The same mail on every attempt, but for the signature.
			if _, err := (Driver{}).Send(t.Context(), account(set), out, env()); err != nil {
				t.Fatal(err)
			}
			_, a, _ := bytes.Cut(raw, []byte("\r\nFrom: "))
			_, b, _ := bytes.Cut(box.All()[1].Raw, []byte("\r\nFrom: "))
			if !bytes.Equal(a, b) || len(a) == 0 {
				t.Error("the second attempt sent another mail")
			}
		})
	}
}

func TestDKIMKeyTooShort(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	if _, err := ParseDKIMKey(pkcs8(t, rsaKey(t, 768))); err == nil || !strings.Contains(err.Error(), "768 bits") {
		t.Errorf("%v", err)
	}
}

// The zone's line is what a name server reads back as the record.
func TestZoneLine(t *testing.T) {
	key := rsaKey(t, 2048)
	name, txt, err := DNSRecord(key, "s1", "firma.example")
	if err != nil {
		t.Fatal(err)
	}
	line := ZoneLine(name, txt)
	rest, ok := strings.CutPrefix(line, "s1._domainkey.firma.example. IN TXT ")
	if !ok {
		t.Fatal(line)
	}
	joined := ""
	for _, part := range strings.Split(strings.Trim(rest, `"`), `" "`) {
		if len(part) > 255 {
			t.Errorf("a string of %d bytes", len(part))
		}
		joined += part
	}
	if joined != txt || len(txt) <= 255 {
		t.Errorf("%s\n%s", joined, txt)
	}
}

// A file that cannot be read fails for a while before the server is asked, and leaves nothing behind.
func TestDKIMBrokenFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	box := start(t, emailsim.Options{})
	set := box.Settings(own)
	set["dkim_domain"], set["dkim_selector"], set["dkim_key"] = "firma.example", "s1", testKey(t)
	out := outgoing()
	out.Attachments = []channel.File{
		{Name: "gut.bin", Open: content(strings.Repeat("x", 2<<20))},
		{Name: "weg.pdf", Open: func() (io.ReadCloser, error) { return nil, os.ErrNotExist }},
	}
	_, err := (Driver{}).Send(t.Context(), account(set), out, env())
	var se *channel.SendError
	if !errors.As(err, &se) || se.Class != channel.Temporary || !strings.Contains(se.Reason.DE, "weg.pdf") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 || len(box.All()) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestDKIMSettingsBroken(t *testing.T) {
	box := start(t, emailsim.Options{})
	set := box.Settings(own)
	set["dkim_key"] = "junk"
	_, err := (Driver{}).Send(t.Context(), account(set), outgoing(), env())
	var se *channel.SendError
	if !errors.As(err, &se) || se.Class != channel.Misconfig || len(box.All()) > 0 {
		t.Errorf("sent unsigned, or %v", err)
	}
}

// dnsRecords is a DNS with these TXT records.
type dnsRecords map[string][]string

func (d dnsRecords) LookupTXT(_ context.Context, name string) ([]string, error) {
	r, ok := d[name]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case r == nil:
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return r, nil
}
func (dnsRecords) LookupMX(context.Context, string) ([]*net.MX, error)        { return nil, nil }
func (dnsRecords) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) { return nil, nil }
func (dnsRecords) LookupAddr(context.Context, string) ([]string, error)       { return nil, nil }

// Whoever signs without a published key is told, with the record to publish.
func TestProbeDKIM(t *testing.T) {
	set := channel.Settings{"address": own, "dkim_domain": "firma.example", "dkim_selector": "s1", "dkim_key": testKey(t)}
	key, err := ParseDKIMKey(set["dkim_key"])
	if err != nil {
		t.Fatal(err)
	}
	name, txt, err := DNSRecord(key, "s1", "firma.example")
	if err != nil {
		t.Fatal(err)
	}
	spaced := strings.Replace(txt, "p=", "t=s; p= ", 1)
	for what, tt := range map[string]struct {
		dns    channel.Resolver
		reason string
	}{
		"published":         {dnsRecords{name: {txt}}, ""},
		"as people do it":   {dnsRecords{name: {"google-site-verification=x", spaced[:len(spaced)-9] + " " + spaced[len(spaced)-9:]}}, ""},
		"missing":           {dnsRecords{}, "has no record"},
		"something else":    {dnsRecords{name: {"v=spf1 -all"}}, "has no record"},
		"another key":       {dnsRecords{name: {"v=DKIM1; k=ed25519; p=AAAA"}}, "another key"},
		"revoked":           {dnsRecords{name: {"v=DKIM1; p="}}, "another key"},
		"DNS does not know": {dnsRecords{name: nil}, ""},
		"no DNS":            {nil, ""},
	} {
		e := env()
		e.DNS = tt.dns
		err := Driver{}.Probe(t.Context(), account(set), e)
		var tr *channel.Trouble
		if tt.reason == "" && err != nil || tt.reason != "" && (!errors.As(err, &tr) || !strings.Contains(tr.Reason.EN, tt.reason) || !strings.Contains(tr.Remedy.DE, txt)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	e := env()
	e.DNS = dnsRecords{}
	if err := (Driver{}).Probe(t.Context(), account(channel.Settings{"address": own}), e); err != nil {
		t.Errorf("without DKIM: %v", err)
	}
}

func FuzzDKIMKey(f *testing.F) {
	f.Add("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	f.Add("-----BEGIN RSA PRIVATE KEY----- AAAA -----END RSA PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, s string) {
		if key, err := ParseDKIMKey(s); err == nil {
			var _ crypto.Signer = key
			if _, _, err := DNSRecord(key, "s", "x.example"); err != nil {
				t.Error(err)
			}
		}
	})
}
