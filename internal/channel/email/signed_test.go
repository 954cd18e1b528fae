package email

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
)

// TLV in BER, with indefinite length or not.
func tlv(tag byte, content string) string {
	switch n := len(content); {
	case n < 0x80:
		return string([]byte{tag, byte(n)}) + content
	case n < 0x10000:
		return string([]byte{tag, 0x82, byte(n >> 8), byte(n)}) + content
	default:
		return string([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}) + content
	}
}

func openTLV(tag byte, content string) string {
	return string([]byte{tag, 0x80}) + content + "\x00\x00"
}

const (
	oidData   = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
	oidSigned = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
)

func signedDER(inner string) string {
	return tlv(0x30, oidSigned+tlv(0xA0, tlv(0x30, tlv(0x02, "\x01")+tlv(0x31, "")+tlv(0x30, oidData+tlv(0xA0, tlv(0x04, inner)))+tlv(0x31, ""))))
}

func signedBER(inner string) string {
	half := len(inner) / 2
	return openTLV(0x30, oidSigned+openTLV(0xA0, openTLV(0x30, tlv(0x02, "\x01")+tlv(0x31, "")+openTLV(0x30, oidData+openTLV(0xA0, openTLV(0x24, tlv(0x04, inner[:half])+tlv(0x04, inner[half:]))))+tlv(0x31, ""))))
}

func smimeMail(kind, content string) []byte {
	return []byte("From: kanzlei@recht.example\r\nSubject: Vollmacht\r\nContent-Type: application/pkcs7-mime; name=smime.p7m" + kind +
		"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=smime.p7m\r\n\r\n" + wrapBase64([]byte(content)))
}

const signedBody = "Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nAnbei die Vollmacht für Sie.\r\n--i\r\n" +
	"Content-Type: application/pdf; name=vollmacht.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--i--\r\n"

func TestOpaqueSigned(t *testing.T) {
	nested := signedBody
	for range 5 {
		nested = "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n" + signedDER(nested)
	}
	for name, tt := range map[string]struct {
		raw   []byte
		text  string
		files []string
		note  string
	}{
		"DER":          {smimeMail("; smime-type=signed-data", signedDER(signedBody)), "Anbei die Vollmacht für Sie.", []string{"vollmacht.pdf 1#2", "smime.p7m 1"}, ""},
		"BER":          {smimeMail("; smime-type=signed-data", signedBER(signedBody)), "Anbei die Vollmacht für Sie.", []string{"vollmacht.pdf 1#2", "smime.p7m 1"}, ""},
		"not named":    {smimeMail("", signedDER(signedBody)), "Anbei die Vollmacht für Sie.", []string{"vollmacht.pdf 1#2", "smime.p7m 1"}, ""},
		"twice":        {smimeMail("", signedDER("Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n\r\n"+signedBER(signedBody))), "Anbei die Vollmacht für Sie.", []string{"vollmacht.pdf 1#1#2", "smime.p7m 1#1", "smime.p7m 1"}, ""},
		"without end":  {smimeMail("", strings.TrimRight(signedBER(signedBody), "\x00")), "Anbei die Vollmacht für Sie.", []string{"vollmacht.pdf 1#2", "smime.p7m 1"}, ""},
		"encrypted":    {smimeMail("; smime-type=enveloped-data", strings.Replace(signedDER(signedBody), oidSigned, oidSigned[:10]+"\x03", 1)), "", []string{"smime.p7m 1"}, "the message is encrypted (S/MIME)"},
		"no structure": {smimeMail("; smime-type=signed-data", "nonsense"), "", []string{"smime.p7m 1"}, "the message is encrypted (S/MIME)"},
		"six times":    {smimeMail("", signedDER(nested)), "", []string{"attachment.p7m 1#1#1#1", "attachment.p7m 1#1#1", "attachment.p7m 1#1", "smime.p7m 1"}, "the message is signed more often than is opened"},
		"certificates": {smimeMail("; smime-type=certs-only", "x"), "", []string{"smime.p7m 1"}, ""},
	} {
		e := parse(t, tt.raw)
		channeltest.CheckEvents(t, []channel.Event{e})
		m := e.Message
		var files []string
		for _, a := range m.Attachments {
			files = append(files, a.Name+" "+a.Part)
			r, err := OpenPart(tt.raw, a.Part)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n, err := io.Copy(io.Discard, r); err != nil || n != a.Size {
				t.Errorf("%s: %s has %d bytes, said %d", name, a.Name, n, a.Size)
			}
		}
		if m.Text != tt.text || strings.Join(files, ", ") != strings.Join(tt.files, ", ") || m.Unsupported != tt.note {
			t.Errorf("%s: text %q, files %q, note %q", name, m.Text, files, m.Unsupported)
		}
	}
}

// What OpenSSL writes is what we read, in both its encodings.
func TestOpaqueSignedByOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl here")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Kanzlei", "-keyout", path("key"), "-out", path("cert"))
	if err := os.WriteFile(path("body"), []byte(signedBody), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opt := range [][]string{nil, {"-stream", "-indef"}} {
		run(append([]string{"cms", "-sign", "-nodetach", "-binary", "-signer", path("cert"), "-inkey", path("key"), "-in", path("body"), "-out", path("mail")}, opt...)...)
		raw, err := os.ReadFile(path("mail"))
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, append([]byte("From: kanzlei@recht.example\nSubject: Vollmacht\n"), raw...)).Message
		if m.Text != "Anbei die Vollmacht für Sie." || len(m.Attachments) != 2 || m.Attachments[0].Name != "vollmacht.pdf" {
			t.Errorf("%v: %q %+v", opt, m.Text, m.Attachments)
		}
	}
}

func FuzzSignedContent(f *testing.F) {
	f.Add([]byte(signedDER(signedBody)))
	f.Add([]byte(signedBER(signedBody)))
	f.Add([]byte(strings.Repeat("\x30\x80", 200)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := signedContent(b); len(got) > len(b) {
			t.Errorf("%d bytes out of %d", len(got), len(b))
		}
	})
}
