package email

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/rufweite/rufweite/internal/channel"
)

// zone is a DNS of its own. A value of "!" does not answer.
type zone struct {
	txt   map[string][]string
	ip    map[string][]string
	mx    map[string][]string
	asked map[string]int
}

func (z *zone) look(m map[string][]string, name string) ([]string, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if z.asked != nil {
		z.asked[name]++
	}
	v, ok := m[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	if len(v) == 1 && v[0] == "!" {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return v, nil
}

func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return z.look(z.txt, name)
}

func (z *zone) LookupMX(_ context.Context, name string) (out []*net.MX, err error) {
	hosts, err := z.look(z.mx, name)
	for _, h := range hosts {
		out = append(out, &net.MX{Host: h, Pref: 10})
	}
	return out, err
}

func (z *zone) LookupIPAddr(_ context.Context, host string) (out []net.IPAddr, err error) {
	ips, err := z.look(z.ip, host)
	for _, ip := range ips {
		out = append(out, net.IPAddr{IP: net.ParseIP(ip)})
	}
	return out, err
}

func (z *zone) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return z.look(z.ip, addr)
}

// keys of the domains that sign in these tests.
type keys struct {
	rsa     *rsa.PrivateKey
	ed25519 ed25519.PrivateKey
}

func newKeys(t testing.TB) keys {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keys{r, e}
}

func (k keys) rsaRecord() string {
	der, _ := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

func (k keys) edRecord() string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(k.ed25519.Public().(ed25519.PublicKey))
}

func sign(t testing.TB, raw, domain, selector string, key crypto.Signer, headers ...string) string {
	t.Helper()
	if headers == nil {
		headers = []string{"From", "To", "Subject", "Date", "Message-ID"}
	}
	var b bytes.Buffer
	err := dkim.Sign(&b, strings.NewReader(raw), &dkim.SignOptions{Domain: domain, Selector: selector, Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed, HeaderKeys: headers})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAssess(t *testing.T) {
	k := newKeys(t)
	dns := &zone{
		txt: map[string][]string{
			"kunde.example":                             {"v=spf1 ip4:192.0.2.10 ip6:2001:db8::/32 -all"},
			"_dmarc.kunde.example":                      {"v=DMARC1; p=reject; sp=quarantine; pct=0; rf=nonsense; rua=mailto:x@y.example"},
			"s._domainkey.kunde.example":                {k.rsaRecord()},
			"ed._domainkey.kunde.example":               {k.edRecord()},
			"down._domainkey.kunde.example":             {"!"},
			"s._domainkey.mail.kunde.example":           {k.rsaRecord()},
			"mail.kunde.example":                        {"v=spf1 ip4:192.0.2.11 -all"},
			"_dmarc.streng.example":                     {"v=DMARC1; p=none; adkim=s; aspf=s"},
			"s._domainkey.streng.example":               {k.rsaRecord()},
			"s._domainkey.mail.streng.example":          {k.rsaRecord()},
			"mail.streng.example":                       {"v=spf1 ip4:192.0.2.11 -all"},
			"streng.example":                            {"v=spf1 ip4:192.0.2.10 -all"},
			"s._domainkey.evil.example":                 {k.rsaRecord()},
			"evil.example":                              {"v=spf1 ip4:192.0.2.66 -all"},
			"_dmarc.evil.example":                       {"v=DMARC1; p=none"},
			"ohne.example":                              {"v=spf1 ip4:192.0.2.10 -all"},
			"s._domainkey.ohne.example":                 {k.rsaRecord()},
			"_dmarc.kaputt.example":                     {"v=DMARC1; p=reject", "v=DMARC1; p=none"},
			"s._domainkey.kaputt.example":               {k.rsaRecord()},
			"_dmarc.weg.example":                        {"!"},
			"s._domainkey.weg.example":                  {k.rsaRecord()},
			"_dmarc.spfweg.example":                     {"v=DMARC1; p=none"},
			"spfweg.example":                            {"!"},
			"helo.kunde.example":                        {"v=spf1 ip4:192.0.2.10 -all"},
			"_dmarc.a.co.uk":                            {"v=DMARC1; p=none"},
			"s._domainkey.b.co.uk":                      {k.rsaRecord()},
			"_dmarc.xn--mller-kva.example":              {"v=DMARC1; p=none"},
			"s._domainkey.xn--mller-kva.example":        {k.rsaRecord()},
			"rev._domainkey.kunde.example":              {"v=DKIM1; p="},
			"viele.example":                             {"v=spf1 include:a.viele.example include:b.viele.example include:c.viele.example -all"},
			"_dmarc.viele.example":                      {"v=DMARC1; p=none"},
			"_dmarc.einkleinertippfehler.example":       {"v=DMARC1 ; p = Reject ; adkim = S"},
			"s._domainkey.einkleinertippfehler.example": {k.rsaRecord()},
		},
		ip: map[string][]string{}, mx: map[string][]string{},
	}
	const letter = "From: Joerg <joerg@kunde.example>\r\nTo: service@firma.example\r\nSubject: Schaden\r\n" +
		"Date: Tue, 3 Mar 2026 09:00:00 +0100\r\nMessage-ID: <1@kunde.example>\r\n\r\nGuten Tag\r\n"
	from := func(addr string) string { return strings.Replace(letter, "Joerg <joerg@kunde.example>", addr, 1) }
	by := func(ip, mailFrom, raw string) string {
		return envelope{known: true, peer: netip.MustParseAddr(ip), helo: "helo.kunde.example", from: mailFrom}.line() +
			"Return-Path: <" + mailFrom + ">\r\nDelivered-To: service@firma.example\r\nReceived: from helo.kunde.example ([" + ip + "])\r\n\tby mx.firma.example with ESMTP id 1\r\n\tfor <service@firma.example>; Tue, 03 Mar 2026 09:00:01 +0100\r\n" + raw
	}
	const far = "192.0.2.99" // sends for nobody
	signed := sign(t, letter, "kunde.example", "s", k.rsa)
	gmail := map[string]string{"trusted_authserv_id": "mx.google.com", "imap_host": "imap.gmail.com"}
	ar := func(s string) string { return "Authentication-Results: " + s + "\r\n" }
	const provider = "mx.google.com;\r\n       dkim=pass header.i=@kunde.example header.s=s header.b=abc;\r\n       spf=pass (google.com: domain of joerg@kunde.example designates 192.0.2.10 as permitted sender) smtp.mailfrom=joerg@kunde.example;\r\n       dmarc=pass (p=REJECT sp=QUARANTINE dis=NONE) header.from=kunde.example"

	type want struct {
		result, spf, dkim, dmarc string
		temporary                bool
	}
	for name, tt := range map[string]struct {
		raw      string
		settings map[string]string
		want     want
	}{
		"SPF and DKIM":             {by("192.0.2.10", "joerg@kunde.example", signed), nil, want{"pass", "pass", "pass", "pass", false}},
		"SPF alone":                {by("192.0.2.10", "joerg@kunde.example", letter), nil, want{"pass", "pass", "none", "pass", false}},
		"SPF, IPv6":                {by("2001:db8::7", "joerg@kunde.example", letter), nil, want{"pass", "pass", "none", "pass", false}},
		"SPF of a subdomain":       {by("192.0.2.11", "bounce@mail.kunde.example", letter), nil, want{"pass", "pass", "none", "pass", false}},
		"null sender, HELO counts": {by("192.0.2.10", "", letter), nil, want{"pass", "pass", "none", "pass", false}},
		"DKIM alone":               {by(far, "x@evil.example", signed), nil, want{"pass", "fail", "pass", "pass", false}},
		"forwarded, DKIM survives": {by("192.0.2.66", "srs0=x@evil.example", signed), nil, want{"pass", "pass", "pass", "pass", false}},
		"DKIM, ed25519":            {by(far, "", sign(t, letter, "kunde.example", "ed", k.ed25519)), nil, want{"pass", "fail", "pass", "pass", false}},
		"DKIM of a subdomain":      {by(far, "", sign(t, letter, "mail.kunde.example", "s", k.rsa)), nil, want{"pass", "fail", "pass", "pass", false}},
		"two signatures":           {by(far, "", sign(t, signed, "evil.example", "s", k.rsa)), nil, want{"pass", "fail", "pass", "pass", false}},
		"umlaut domain":            {by(far, "", sign(t, from("a@müller.example"), "xn--mller-kva.example", "s", k.rsa)), nil, want{"pass", "fail", "pass", "pass", false}},
		"record with odd blanks":   {by(far, "", sign(t, from("a@einkleinertippfehler.example"), "einkleinertippfehler.example", "s", k.rsa)), nil, want{"pass", "fail", "pass", "pass", false}},
		"subdomain in From":        {by(far, "", sign(t, from("a@team.kunde.example"), "kunde.example", "s", k.rsa)), nil, want{"pass", "fail", "pass", "pass", false}},

		"a stranger's host":                {by(far, "joerg@kunde.example", letter), nil, want{"fail", "fail", "none", "fail", false}},
		"SPF passes for another domain":    {by("192.0.2.66", "x@evil.example", letter), nil, want{"fail", "pass", "none", "fail", false}},
		"DKIM passes for another domain":   {by(far, "", sign(t, letter, "evil.example", "s", k.rsa)), nil, want{"fail", "fail", "pass", "fail", false}},
		"same public suffix":               {by(far, "", sign(t, from("x@a.co.uk"), "b.co.uk", "s", k.rsa)), nil, want{"fail", "fail", "pass", "fail", false}},
		"strict, DKIM of a subdomain":      {by(far, "", sign(t, from("x@streng.example"), "mail.streng.example", "s", k.rsa)), nil, want{"fail", "fail", "pass", "fail", false}},
		"strict, SPF of a subdomain":       {by("192.0.2.11", "x@mail.streng.example", from("x@streng.example")), nil, want{"fail", "pass", "none", "fail", false}},
		"strict, exact":                    {by("192.0.2.10", "x@streng.example", from("x@streng.example")), nil, want{"pass", "pass", "none", "pass", false}},
		"strict, exact beside subdomain":   {by(far, "", sign(t, sign(t, from("x@streng.example"), "streng.example", "s", k.rsa), "mail.streng.example", "s", k.rsa)), nil, want{"pass", "fail", "pass", "pass", false}},
		"body changed":                     {by(far, "", strings.Replace(signed, "Guten Tag", "Guten Abend", 1)), nil, want{"fail", "fail", "fail", "fail", false}},
		"subject changed":                  {by(far, "", strings.Replace(signed, "Subject: Schaden", "Subject: Konto", 1)), nil, want{"fail", "fail", "fail", "fail", false}},
		"key revoked":                      {by(far, "", sign(t, letter, "kunde.example", "rev", k.rsa)), nil, want{"fail", "fail", "permerror", "fail", false}},
		"no such key":                      {by(far, "", sign(t, letter, "kunde.example", "nix", k.rsa)), nil, want{"fail", "fail", "permerror", "fail", false}},
		"two From fields":                  {by(far, "", "From: chef@kunde.example\r\n"+signed), nil, want{"fail", "", "", "fail", false}},
		"two addresses in From":            {by("192.0.2.66", "x@evil.example", from("joerg@kunde.example, x@evil.example")), nil, want{"fail", "", "", "fail", false}},
		"no From":                          {by("192.0.2.10", "joerg@kunde.example", strings.Replace(letter, "From:", "Sender:", 1)), nil, want{"fail", "", "", "fail", false}},
		"signed field twice":               {by(far, "", "Subject: Konto\r\n"+signed), nil, want{"fail", "fail", "permerror", "fail", false}},
		"signed From behind another blank": {by(far, "", "From: chef@kunde.example\r\n"+strings.Replace(signed, "\nFrom:", "\nFrom\u00a0:", 1)), nil, want{"fail", "fail", "permerror", "fail", false}},
		"signature of l= bytes":            {by(far, "", strings.Replace(signed, "v=1;", "v=1; l=5;", 1)+"more\r\n"), nil, want{"fail", "fail", "fail", "fail", false}},
		"display name says another":        {by("192.0.2.66", "x@evil.example", from(`"joerg@kunde.example" <x@evil.example>`)), nil, want{"pass", "pass", "none", "pass", false}},
		"literal domain":                   {by(far, "", from("joerg@[192.0.2.10]")), nil, want{"none", "", "", "none", false}},
		"no DMARC record":                  {by("192.0.2.10", "a@ohne.example", sign(t, from("a@ohne.example"), "ohne.example", "s", k.rsa)), nil, want{"none", "pass", "pass", "none", false}},
		"two DMARC records":                {by(far, "", sign(t, from("a@kaputt.example"), "kaputt.example", "s", k.rsa)), nil, want{"none", "fail", "pass", "none", false}},

		"DMARC does not answer":           {by(far, "", sign(t, from("a@weg.example"), "weg.example", "s", k.rsa)), nil, want{"temperror", "fail", "pass", "temperror", true}},
		"key does not answer":             {by(far, "", sign(t, letter, "kunde.example", "down", k.rsa)), nil, want{"temperror", "fail", "temperror", "temperror", true}},
		"key does not answer, SPF passes": {by("192.0.2.10", "joerg@kunde.example", sign(t, letter, "kunde.example", "down", k.rsa)), nil, want{"pass", "pass", "temperror", "pass", false}},
		"SPF does not answer":             {by(far, "a@spfweg.example", from("a@spfweg.example")), nil, want{"temperror", "temperror", "none", "temperror", true}},
		"too many void look-ups":          {by(far, "a@viele.example", from("a@viele.example")), nil, want{"fail", "permerror", "none", "fail", false}},

		// The envelope line: a sender's copy is never on top.
		"forged envelope line":             {by(far, "x@evil.example", by("192.0.2.10", "joerg@kunde.example", letter)), nil, want{"fail", "fail", "none", "fail", false}},
		"forged envelope, fetched":         {string(Fetched([]byte(by("192.0.2.10", "joerg@kunde.example", letter)))), nil, want{"fail", "none", "none", "fail", false}},
		"forged envelope in the middle":    {"Received: by x\r\n" + by("192.0.2.10", "joerg@kunde.example", letter), nil, want{"fail", "none", "none", "fail", false}},
		"envelope with injected fields":    {by(far, "\"; from=<joerg@kunde.example>\"@evil.example", letter), nil, want{"fail", "fail", "none", "fail", false}},
		"from a relay on the same machine": {by("127.0.0.1", "joerg@kunde.example", letter), nil, want{"fail", "none", "none", "fail", false}},
		"relay, DKIM survives":             {by("127.0.0.1", "", signed), nil, want{"pass", "none", "pass", "pass", false}},

		// Authentication-Results: only the trusted provider's own.
		"no setting":                     {string(Fetched([]byte(ar(provider) + letter))), nil, want{"fail", "none", "none", "fail", false}},
		"provider":                       {string(Fetched([]byte("Received: by gmail\r\n" + ar(provider) + letter))), gmail, want{"pass", "pass", "pass", "pass", false}},
		"provider, without our mark":     {"Received: by gmail\r\n" + ar(provider) + letter, gmail, want{"pass", "pass", "pass", "pass", false}},
		"provider says fail":             {string(Fetched([]byte(ar("mx.google.com; spf=fail smtp.mailfrom=x@evil.example; dmarc=fail header.from=kunde.example") + letter))), gmail, want{"fail", "fail", "none", "fail", false}},
		"below the provider's":           {string(Fetched([]byte(ar("mx.google.com; spf=none smtp.mailfrom=x@evil.example; dmarc=fail header.from=kunde.example") + ar(provider) + letter))), gmail, want{"fail", "none", "none", "fail", false}},
		"other name":                     {string(Fetched([]byte(ar(strings.Replace(provider, "mx.google.com", "mx.evil.example", 1)) + letter))), gmail, want{"fail", "none", "none", "fail", false}},
		"similar name":                   {string(Fetched([]byte(ar(strings.Replace(provider, "mx.google.com", "mx.google.com.evil.example", 1)) + letter))), gmail, want{"fail", "none", "none", "fail", false}},
		"over our own port":              {by(far, "x@evil.example", ar(provider)+letter), gmail, want{"fail", "fail", "none", "fail", false}},
		"over our own port, forged mark": {by(far, "x@evil.example", fetchedLine+ar(provider)+letter), gmail, want{"fail", "fail", "none", "fail", false}},
		"from our own relay":             {by("127.0.0.1", "", ar("mail.firma.example; dmarc=pass header.from=kunde.example")+letter), map[string]string{"trusted_authserv_id": "mail.firma.example"}, want{"pass", "", "", "pass", false}},
		"not fetched at all":             {ar(provider) + letter, map[string]string{"trusted_authserv_id": "mx.google.com"}, want{"fail", "none", "none", "fail", false}},
		"about another From":             {string(Fetched([]byte(ar("mx.google.com; dmarc=pass header.from=evil.example") + letter))), gmail, want{"fail", "none", "none", "fail", false}},
		"ARC is the sealer's word":       {string(Fetched([]byte("ARC-Authentication-Results: i=1; " + provider + "\r\n" + letter))), gmail, want{"fail", "none", "none", "fail", false}},
		"result inside a quoted sender":  {string(Fetched([]byte(ar(`mx.google.com; spf=pass smtp.mailfrom="x; dmarc=pass header.from=kunde.example; y"@evil.example`) + letter))), gmail, want{"fail", "pass", "none", "fail", false}},
		"result inside a comment":        {string(Fetched([]byte(ar(`mx.google.com; spf=pass (evil \) ; dmarc=pass (x) header.from=kunde.example ) smtp.mailfrom=x@evil.example`) + letter))), gmail, want{"fail", "pass", "none", "fail", false}},
		"DKIM by the provider":           {string(Fetched([]byte(ar("mx.google.com; dkim=pass header.d=kunde.example") + strings.Replace(signed, "Guten", "[extern] Guten", 1)))), gmail, want{"pass", "none", "pass", "pass", false}},
		"SPF by the provider":            {string(Fetched([]byte(ar("mx.google.com 1; spf=pass smtp.mailfrom=joerg@kunde.example") + letter))), gmail, want{"pass", "pass", "none", "pass", false}},
		"Exchange Online":                {string(Fetched([]byte("Received: from a by b\r\n" + ar("spf=pass (sender IP is 192.0.2.10)\r\n smtp.mailfrom=kunde.example; dkim=pass (signature was verified)\r\n header.d=kunde.example;dmarc=pass action=none\r\n header.from=kunde.example;compauth=pass reason=100") + letter))), map[string]string{"trusted_authserv_id": "mx.microsoft.com", "imap_host": "outlook.office365.com"}, want{"pass", "pass", "pass", "pass", false}},
		"no name, another provider":      {string(Fetched([]byte(ar("dmarc=pass header.from=kunde.example") + letter))), gmail, want{"fail", "none", "none", "fail", false}},
	} {
		t.Run(name, func(t *testing.T) {
			a := channel.Account{Settings: tt.settings}
			e, err := ParseFor(a, []byte(tt.raw), own, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := (Driver{}).Assess(context.Background(), a, []byte(tt.raw), e, channel.Env{DNS: dns})
			if err != nil {
				t.Fatal(err)
			}
			if g := (want{got.Result, got.SPF, got.DKIM, got.DMARC, got.Temporary}); g != tt.want {
				t.Errorf("got  %+v\nwant %+v (%+v)", g, tt.want, got)
			}
			if (got.Assurance == channel.Observed) != (tt.want.result == "pass") || got.Assurance != channel.Observed && got.Assurance != channel.Claimed {
				t.Errorf("assurance %q with result %q", got.Assurance, got.Result)
			}
		})
	}

	t.Run("policy", func(t *testing.T) {
		for addr, want := range map[string]string{"a@kunde.example": "reject", "a@x.kunde.example": "quarantine", "a@ohne.example": ""} {
			raw := []byte(by(far, "", from(addr)))
			got, _ := (Driver{}).Assess(context.Background(), channel.Account{}, raw, parse(t, raw), channel.Env{DNS: dns})
			if got.Policy != want || got.Domain != addr[2:] {
				t.Errorf("%s: policy %q of %s, want %q", addr, got.Policy, got.Domain, want)
			}
		}
	})
	t.Run("the event names another sender", func(t *testing.T) {
		raw := []byte(by("192.0.2.10", "joerg@kunde.example", signed))
		e := parse(t, raw)
		e.Sender.Value = "chef@kunde.example"
		if got, err := (Driver{}).Assess(context.Background(), channel.Account{}, raw, e, channel.Env{DNS: dns}); err != nil || got.Result != "fail" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("out of time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		raw := []byte(by("192.0.2.10", "joerg@kunde.example", signed))
		if got, err := (Driver{}).Assess(ctx, channel.Account{}, raw, parse(t, raw), channel.Env{DNS: dns}); err != nil || got.Result != "temperror" || !got.Temporary || got.Assurance != channel.Claimed {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("no resolver", func(t *testing.T) {
		raw := []byte(by("192.0.2.10", "joerg@kunde.example", signed))
		if got, err := (Driver{}).Assess(context.Background(), channel.Account{}, raw, parse(t, raw), channel.Env{}); err == nil {
			t.Errorf("%+v", got)
		}
	})
	t.Run("headers made to cost", func(t *testing.T) {
		// A header whose work would grow with its square is not verified at all.
		names := strings.Repeat("from:", 4000)
		for what, raw := range map[string]string{
			"folded":     by(far, "", "DKIM-Signature: v=1;\r\n"+strings.Repeat(" x=\r\n", 300000)+letter),
			"names":      by(far, "", strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; d=kunde.example; s=s; bh=; b=; h="+names+"\r\n", 5)+letter),
			"fields":     by(far, "", strings.Repeat("X: y\r\n", 200000)+signed),
			"signatures": by(far, "", strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; d=kunde.example; s=s; bh=aaaa; b=aaaa; h=from\r\n", 900)+letter),
		} {
			counting := &zone{txt: dns.txt, ip: dns.ip, mx: dns.mx, asked: map[string]int{}}
			got, err := (Driver{}).Assess(context.Background(), channel.Account{}, []byte(raw), channel.Event{}, channel.Env{DNS: counting})
			if err != nil || got.Assurance == channel.Observed {
				t.Errorf("%s: %+v %v", what, got, err)
			}
			if n := counting.asked["s._domainkey.kunde.example"]; n > maxSignatures {
				t.Errorf("%s: %d keys asked for", what, n)
			}
		}
	})
}

func TestParseAuthResults(t *testing.T) {
	for in, want := range map[string]string{
		"mx.a.example; spf=pass smtp.mailfrom=a@b.example": "mx.a.example [{spf pass map[smtp.mailfrom:a@b.example]}]",
		"MX.A.example 1;dkim = pass header.d = b.example":  "mx.a.example [{dkim pass map[header.d:b.example]}]",
		"mx.a.example; none":                               "mx.a.example []",
		"mx.a.example (c (n) \\) ; x); dmarc/1=fail":       "mx.a.example [{dmarc fail map[]}]",
		"dmarc=pass header.from=b.example":                 " [{dmarc pass map[header.from:b.example]}]",
		`"mx.a.example"; spf=pass smtp.mailfrom="a;b c"@d`: "mx.a.example [{spf pass map[smtp.mailfrom:a;b c@d]}]",
		"":                            " []",
		"(unclosed ; dmarc=pass":      " []",
		`"unclosed ; dmarc=pass`:      " [{unclosed ; dmarc pass map[]}]",
		"a; ;; b; =; dkim=; spf=pass": "a [{  map[]} {dkim  map[]} {spf pass map[]}]",
	} {
		id, methods := parseAuthResults(in)
		if methods == nil {
			methods = []authMethod{}
		}
		if got := fmt.Sprint(id, " ", methods); got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}

// FuzzAssess: whatever comes, nothing passes without the DNS having been asked or the provider trusted.
func FuzzAssess(f *testing.F) {
	f.Add([]byte(envelope{known: true, peer: netip.MustParseAddr("192.0.2.1"), helo: "a", from: "a@b.example"}.line() + "From: a@b.example\r\nDKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; h=from; bh=x; b=y\r\n\r\nx"))
	f.Add([]byte("Authentication-Results: mx; dmarc=pass\r\nFrom: a@b.example\r\n\r\nx"))
	dns := &zone{txt: map[string][]string{"b.example": {"v=spf1 a mx include:%{d} exists:%{l}.%{i} -all"}, "_dmarc.b.example": {"v=DMARC1; p=none"}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := channel.Account{Settings: map[string]string{"trusted_authserv_id": "mx"}}
		got, err := (Driver{}).Assess(context.Background(), a, raw, channel.Event{}, channel.Env{DNS: dns})
		if err == nil && got.Assurance == channel.Observed && readEnvelope(raw).peer != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("passed: %+v", got)
		}
	})
}

func TestCacheResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		z := &zone{txt: map[string][]string{"a.example": {"one"}, "down.example": {"!"}}, ip: map[string][]string{"a.example": {"192.0.2.1"}},
			mx: map[string][]string{"a.example": {"mx.a.example"}}, asked: map[string]int{}}
		c := &CacheResolver{Upstream: z, Entries: 4}
		ask := func(name string) (string, error) {
			v, err := c.LookupTXT(ctx, name)
			if err != nil {
				return "", err
			}
			answer := v[0]
			v[0] = "changed by the caller"
			return answer, nil
		}
		for range 3 {
			if v, err := ask("A.example."); err != nil || v != "one" {
				t.Fatal(v, err)
			}
		}
		if z.asked["a.example"] != 1 {
			t.Errorf("asked %d times", z.asked["a.example"])
		}
		for range 2 {
			if _, err := ask("none.example"); !notFound(err) {
				t.Fatal(err)
			}
			if _, err := ask("down.example"); err == nil || notFound(err) {
				t.Fatal(err)
			}
		}
		if z.asked["none.example"] != 1 || z.asked["down.example"] != 2 {
			t.Errorf("asked %v: that there is none is remembered, a failure is not", z.asked)
		}
		time.Sleep(61 * time.Second)
		ask("none.example")
		ask("a.example")
		if z.asked["none.example"] != 2 || z.asked["a.example"] != 1 {
			t.Errorf("after a minute: %v", z.asked)
		}
		time.Sleep(5 * time.Minute)
		ask("a.example")
		if z.asked["a.example"] != 2 {
			t.Errorf("after five minutes: %v", z.asked)
		}
		ips, _ := c.LookupIPAddr(ctx, "a.example")
		ips[0].IP[15] = 9
		mxs, _ := c.LookupMX(ctx, "a.example")
		mxs[0].Host = "evil"
		ips, _ = c.LookupIPAddr(ctx, "a.example")
		mxs, _ = c.LookupMX(ctx, "a.example")
		if ips[0].IP.String() != "192.0.2.1" || mxs[0].Host != "mx.a.example" {
			t.Errorf("a caller changed what is remembered: %v %v", ips, mxs[0])
		}
		for i := range 100 {
			ask(fmt.Sprintf("n%d.example", i))
		}
		if c.order.Len() != 4 || len(c.known) != 4 {
			t.Errorf("%d, %d answers kept", c.order.Len(), len(c.known))
		}
		z.txt["huge.example"] = []string{strings.Repeat("x", 1<<20)}
		c.Bytes = 1 << 20
		ask("huge.example")
		ask("huge.example")
		if z.asked["huge.example"] != 2 || c.bytes > c.Bytes {
			t.Errorf("an answer as large as the cache was kept (%d bytes)", c.bytes)
		}
		var dnsErr *net.DNSError
		if _, err := ask("n99.example"); !errors.As(err, &dnsErr) || dnsErr.Name != "n99.example" {
			t.Errorf("%v", err)
		}
	})
}

func TestCheckTrust(t *testing.T) {
	for value, ok := range map[string]bool{"": true, "mx.google.com": true, "a.example, b.example": true, "mx.google.com; dmarc=pass": false, "a\r\nb": false, `"x"`: false} {
		if err := (Driver{}).Check(channel.Settings{"address": own, "trusted_authserv_id": value}); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
	for value, ok := range map[string]bool{"": true, "on": true, "off": true, "yes": false} {
		if err := (Driver{}).Check(channel.Settings{"address": own, "trusted_spam_header": value}); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// TestCacheResolverAsksDNS goes to a real name server over UDP: names are asked as they are, not below the machine's
// search domains, and a server that fails is no answer.
func TestCacheResolverAsksDNS(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var p dnsmessage.Message
			if p.Unpack(buf[:n]) != nil || len(p.Questions) != 1 {
				continue
			}
			q := p.Questions[0]
			p.Response, p.Additionals = true, nil
			switch name := q.Name.String(); {
			case name == "_dmarc.kunde.example." && q.Type == dnsmessage.TypeTXT:
				p.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 60},
					Body: &dnsmessage.TXTResource{TXT: []string{"v=DMARC1;", " p=reject"}}}}
			case name == "weg.example.":
				p.RCode = dnsmessage.RCodeServerFailure
			default:
				p.RCode = dnsmessage.RCodeNameError
			}
			if b, err := p.Pack(); err == nil {
				pc.WriteTo(b, from)
			}
		}
	}()
	c := &CacheResolver{Upstream: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}}
	r := resolver{c}
	for range 2 {
		if got := lookupDMARC(t.Context(), r, "kunde.example"); got.result != "pass" || got.policy != "reject" {
			t.Errorf("%+v", got)
		}
		if got := lookupDMARC(t.Context(), r, "ohne.example"); got.result != "none" {
			t.Errorf("%+v", got)
		}
	}
	var d *net.DNSError
	if _, err := r.LookupTXT(t.Context(), "weg.example"); !errors.As(err, &d) || !d.IsTemporary || d.IsNotFound {
		t.Errorf("%v", err)
	}
}
