package email

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/rufweite/rufweite/internal/channel"
)

// This file tells who sent a mail: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489), after the mail was
// acknowledged. What is judged is what is shown: the one address of the one From field.

var _ channel.Assessor = Driver{}

// envelopeField begins the line that Server writes on top of every message it stores: the peer and the envelope, which
// SPF needs and nobody can learn later. It counts in one place only, the first line of the raw message: whoever sends
// a field of this name finds it below ours.
const envelopeField = "X-Rufweite-Envelope: v=1; "

// fetchedLine stands in the same place for a message that we fetched from a mailbox, so that a sender's copy of the
// field is not on top there either.
const fetchedLine = envelopeField + "fetched\r\n"

// Fetched marks a message as fetched from a mailbox. It is what a listener stores as Inbound.Raw: without the mark a
// sender's copy of our envelope field could come to be the first line.
func Fetched(raw []byte) []byte { return append([]byte(fetchedLine), raw...) }

// envelope is how a message reached us.
type envelope struct {
	known   bool // there is a line of ours
	fetched bool // from a mailbox: the peer was the mailbox's provider
	peer    netip.Addr
	helo    string
	from    string // reverse-path without brackets, "" = null
}

func (e envelope) line() string {
	return fmt.Sprintf("%speer=%s; helo=%s; from=<%s>\r\n", envelopeField, e.peer, e.helo, printable(e.from, 320))
}

// readEnvelope reads our own first line.
func readEnvelope(raw []byte) (e envelope) {
	line, _ := cutLine(raw[:min(len(raw), 1000)])
	s, ok := strings.CutPrefix(string(line), envelopeField)
	if !ok {
		return envelope{}
	}
	if s == "fetched" {
		return envelope{known: true, fetched: true}
	}
	peer, rest, ok1 := strings.Cut(strings.TrimPrefix(s, "peer="), "; helo=")
	helo, from, ok2 := strings.Cut(rest, "; from=<")
	from, ok3 := strings.CutSuffix(from, ">")
	ip, err := netip.ParseAddr(peer)
	if !ok1 || !ok2 || !ok3 || err != nil {
		return envelope{}
	}
	return envelope{known: true, peer: ip.Unmap(), helo: helo, from: from}
}

// Values of Assessment.Result and of its parts (RFC 8601 §2.7).
const (
	resultPass      = "pass"
	resultFail      = "fail"
	resultNone      = "none"
	resultTempError = "temperror"
	resultPermError = "permerror"
)

// Assess implements channel.Assessor. A message passes if its From domain publishes a DMARC record and an aligned DKIM
// signature or SPF result passes, or if the provider of the mailbox says so in an Authentication-Results field that can
// only be its own (setting trusted_authserv_id). Everything else leaves the sender claimed.
func (Driver) Assess(ctx context.Context, a channel.Account, raw []byte, e channel.Event, env channel.Env) (channel.Assessment, error) {
	reached := readEnvelope(raw)
	fields, body, wellFormed := topFields(raw)
	out := channel.Assessment{Assurance: channel.Claimed, Result: resultFail}
	address, ok := author(fields, e)
	if !ok {
		// RFC 7489 §6.6.1: no From, or several: nothing that could be aligned, and a reader sees only one of them.
		out.DMARC = resultFail
		return out, nil
	}
	domain, ok := asciiDomain(address)
	if !ok {
		out.Result, out.DMARC = resultNone, resultNone // a literal or a made-up name: no DNS to ask
		return out, nil
	}
	out.Domain = domain

	provider, trusted := providerResults(a, reached, fields)
	if trusted {
		out.SPF, out.DKIM, out.DMARC = provider.spf, provider.dkim, provider.dmarc
		if provider.dmarc == resultPass && (provider.from == "" || provider.from == domain) {
			out.Result, out.Assurance = resultPass, channel.Observed
			return out, nil
		}
	}
	if env.DNS == nil {
		return out, errors.New("assess the sender of a mail: no resolver is set")
	}
	dns := resolver{env.DNS}

	// Three questions at once: the time is spent waiting.
	signatures := make(chan dkimResult, 1)
	go func() { signatures <- verifyDKIM(ctx, dns, fields, body, domain, wellFormed) }()
	host := make(chan spfResult, 1)
	go func() { host <- verifySPF(ctx, dns, reached) }()
	record := lookupDMARC(ctx, dns, domain)
	dk, sp := <-signatures, <-host

	if sp.result == "" {
		sp = spfResult{result: provider.spf, domain: provider.spfDomain}
		if sp.result == "" {
			sp.result = resultNone
		}
	}
	out.SPF, out.DKIM, out.Policy = sp.result, dk.result, record.policy
	if dk.result != resultPass && provider.dkim == resultPass {
		out.DKIM = resultPass // the provider saw the message before a list or a scanner changed it
	}
	aligned := sp.result == resultPass && alignedWith(sp.domain, domain, record.spfStrict)
	for _, d := range append(dk.passed, provider.dkimPassed...) {
		aligned = aligned || alignedWith(d, domain, record.dkimStrict)
	}
	saidFail := trusted && provider.dmarc == resultFail
	switch {
	case aligned && record.result == resultPass:
		out.Result, out.DMARC = resultPass, resultPass
		out.Assurance = channel.Observed
	case saidFail:
		out.Result, out.DMARC = resultFail, resultFail
	case record.result == resultTempError, !aligned && (sp.result == resultTempError || dk.temporary):
		out.Result, out.DMARC, out.Temporary = resultTempError, resultTempError, true
	case record.result != resultPass:
		out.Result, out.DMARC = resultNone, record.result
	default:
		out.Result, out.DMARC = resultFail, resultFail
	}
	return out, nil
}

// rawField is one header field with its folded lines, as it came.
type rawField struct {
	name string // lower case
	raw  []byte
}

func (f rawField) value() string { return unfold(f.raw[bytes.IndexByte(f.raw, ':')+1:]) }

// Bounds of what is looked at here: beyond them a header is no real one, and the work would grow with its square.
const (
	maxAuthHeader     = 128 << 10 // bytes
	maxAuthFields     = 1000
	maxSignature      = 8 << 10 // bytes of one DKIM-Signature field
	maxSignatures     = 5
	maxSignatureNames = 150 // fields named by one signature
)

// topFields reads the header below our own first line. wellFormed is false where a program could read the header in
// another way than we do: lines that are no fields, a header too large, or a field twice that there must be only once
// (RFC 5322 §3.6). A signature over such a header proves nothing about what is shown.
func topFields(raw []byte) (fields []rawField, body []byte, wellFormed bool) {
	wellFormed = true
	if bytes.HasPrefix(raw, []byte(envelopeField)) {
		_, raw = cutLine(raw)
	}
	if !bytes.Equal(normaliseRaw(raw), raw) {
		raw, wellFormed = normaliseRaw(raw), false
	}
	seen := map[string]bool{}
	for b := raw; ; {
		if len(b) == 0 || len(raw)-len(b) > maxAuthHeader || len(fields) >= maxAuthFields {
			return fields, b, wellFormed && len(b) == 0
		}
		line, rest := cutLine(b)
		if len(line) == 0 {
			return fields, rest, wellFormed
		}
		name, ok := fieldName(line, bytes.IndexByte(line, ':'))
		if line[0] == ' ' || line[0] == '\t' {
			ok = false
		}
		end := rest
		for len(end) > 0 && (end[0] == ' ' || end[0] == '\t') {
			_, end = cutLine(end)
		}
		if !ok {
			wellFormed = false
			b = rest
			continue
		}
		if onlyOnce[name] {
			if seen[name] {
				wellFormed = false
			}
			seen[name] = true
		}
		fields = append(fields, rawField{name, b[:len(b)-len(end)]})
		b = end
	}
}

// onlyOnce are the fields of RFC 5322 §3.6 and RFC 2045 that a message has at most once.
var onlyOnce = map[string]bool{
	"from": true, "sender": true, "reply-to": true, "to": true, "cc": true, "subject": true, "date": true,
	"message-id": true, "in-reply-to": true, "references": true,
	"content-type": true, "content-transfer-encoding": true, "mime-version": true,
}

// author is the one address of the one From field; it must be the one that the event names (a status names the
// recipient of ours that it tells of).
func author(fields []rawField, e channel.Event) (string, bool) {
	value, n := "", 0
	for _, f := range fields {
		if f.name == "from" {
			value = f.value()
			n++
		}
	}
	if n != 1 {
		return "", false
	}
	boxes := parseMailboxes(value)
	if len(boxes) != 1 {
		return "", false
	}
	address := strings.ToLower(boxes[0].Address)
	if e.Type != channel.StatusEvent && e.Sender.Value != "" && !strings.EqualFold(e.Sender.Value, address) {
		return "", false
	}
	return address, true
}

// asciiDomain gives the domain of an address in the form that DNS knows.
func asciiDomain(address string) (string, bool) {
	d := strings.TrimSuffix(strings.Trim(address[strings.LastIndexByte(address, '@')+1:], "<> \t"), ".")
	if d == "" || d[0] == '[' || !strings.Contains(d, ".") {
		return "", false
	}
	d, err := idna.Lookup.ToASCII(d)
	if err != nil || len(d) > 253 {
		return "", false
	}
	return strings.ToLower(d), true
}

// alignedWith tells whether an authenticated domain belongs to the From domain (RFC 7489 §3.1): the same one, or with
// relaxed alignment one of the same organisation.
func alignedWith(authenticated, from string, strict bool) bool {
	d, ok := asciiDomain(authenticated)
	if !ok {
		return false
	}
	if strict {
		return d == from
	}
	return organisation(d) == organisation(from)
}

// organisation is the organisational domain by the public suffix list (RFC 7489 §3.2). A public suffix is its own.
func organisation(d string) string {
	if o, err := publicsuffix.EffectiveTLDPlusOne(d); err == nil {
		return o
	}
	return d
}

// resolver makes one kind of error of every failure: there is no such record, or it cannot be told now.
type resolver struct{ channel.Resolver }

func dnsError(name string, err error) error {
	if err == nil {
		return nil
	}
	var d *net.DNSError
	if errors.As(err, &d) && d.IsNotFound {
		return &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
	}
	return &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true}
}

func (r resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	out, err := r.Resolver.LookupTXT(ctx, name)
	return out, dnsError(name, err)
}

func (r resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	out, err := r.Resolver.LookupMX(ctx, name)
	return out, dnsError(name, err)
}

func (r resolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	out, err := r.Resolver.LookupIPAddr(ctx, host)
	return out, dnsError(host, err)
}

func (r resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	out, err := r.Resolver.LookupAddr(ctx, addr)
	return out, dnsError(addr, err)
}

func notFound(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}

type spfResult struct{ result, domain string }

// verifySPF judges the peer. A relay on the same machine, and a mailbox's provider, are no senders: then there is
// nothing to judge, and the result is empty.
func verifySPF(ctx context.Context, dns resolver, env envelope) (out spfResult) {
	defer func() {
		if recover() != nil {
			out = spfResult{result: resultPermError}
		}
	}()
	if !env.known || env.fetched || env.peer.IsLoopback() {
		return spfResult{}
	}
	sender := env.from
	domain := env.helo
	if i := strings.LastIndexByte(sender, '@'); i >= 0 {
		domain = sender[i+1:]
	} else {
		sender = "postmaster@" + env.helo // RFC 7208 §2.4
	}
	ascii, ok := asciiDomain(domain)
	if !ok {
		return spfResult{result: resultNone}
	}
	if i := strings.LastIndexByte(sender, '@'); i >= 0 {
		sender = strings.ReplaceAll(sender[:i], "@", "_") + "@" + ascii // one @, or the library finds another domain
	}
	result, _ := spf.CheckHostWithSender(net.IP(env.peer.AsSlice()), env.helo, sender, spf.WithContext(ctx), spf.WithResolver(dns))
	return spfResult{string(result), ascii}
}

type dkimResult struct {
	result    string
	passed    []string // domains whose signature verifies
	temporary bool     // an aligned one could not be checked now
}

// verifyDKIM verifies the signatures one by one, those of the From domain's organisation first.
func verifyDKIM(ctx context.Context, dns resolver, fields []rawField, body []byte, domain string, wellFormed bool) (out dkimResult) {
	out.result = resultNone
	defer func() {
		if recover() != nil {
			out = dkimResult{result: resultPermError}
		}
	}()
	var exact, ours, others []rawField
	var head bytes.Buffer
	for _, f := range fields {
		if f.name != "dkim-signature" {
			head.Write(f.raw)
			continue
		}
		if len(f.raw) > maxSignature || bytes.Count(f.raw, []byte(":")) > maxSignatureNames {
			out.result = resultPermError
			continue
		}
		switch d := tag(f.value(), "d"); {
		case alignedWith(d, domain, true):
			exact = append(exact, f)
		case alignedWith(d, domain, false):
			ours = append(ours, f)
		default:
			others = append(others, f)
		}
	}
	ours = append(exact, ours...)
	all := append(ours, others...)
	if len(all) == 0 {
		return out
	}
	if !wellFormed {
		out.result = resultPermError
		return out
	}
	lookup := func(name string) ([]string, error) { return dns.LookupTXT(ctx, name) }
	out.result = resultFail
	worst := resultPermError
	for i, f := range all[:min(len(all), maxSignatures)] {
		v, err := dkim.VerifyWithOptions(io.MultiReader(bytes.NewReader(f.raw), bytes.NewReader(head.Bytes()),
			strings.NewReader("\r\n"), bytes.NewReader(body)), &dkim.VerifyOptions{LookupTXT: lookup, MaxVerifications: 1})
		if err == nil && len(v) == 1 {
			err = v[0].Err
		}
		switch {
		case err == nil && len(v) == 1:
			out.passed = append(out.passed, v[0].Domain)
			out.result = resultPass
			if i < len(ours) {
				return out // the best there is: exact ones came first
			}
		case dkim.IsTempFail(err):
			worst = resultTempError
			out.temporary = out.temporary || i < len(ours)
		case !dkim.IsPermFail(err) && worst == resultPermError:
			worst = resultFail
		}
	}
	if out.result != resultPass {
		out.result = worst
	}
	return out
}

// tag reads one tag of a tag list (RFC 6376 §3.2).
func tag(list, name string) string {
	for t := range strings.SplitSeq(list, ";") {
		if k, v, ok := strings.Cut(t, "="); ok && strings.TrimSpace(k) == name {
			return strings.Join(strings.Fields(v), "")
		}
	}
	return ""
}

type dmarcRecord struct {
	result                string // pass = there is one
	policy                string
	spfStrict, dkimStrict bool
}

// lookupDMARC finds the record of a domain, or of its organisation (RFC 7489 §6.6.3).
func lookupDMARC(ctx context.Context, dns resolver, domain string) dmarcRecord {
	for _, d := range []string{domain, organisation(domain)} {
		txts, err := dns.LookupTXT(ctx, "_dmarc."+d)
		if err != nil && !notFound(err) {
			return dmarcRecord{result: resultTempError}
		}
		var records []string
		for _, t := range txts {
			if v, _, _ := strings.Cut(t, ";"); strings.Join(strings.Fields(v), "") == "v=DMARC1" {
				records = append(records, t)
			}
		}
		if len(records) == 1 {
			r, err := dmarc.Parse(plainRecord(records[0]))
			if err != nil {
				return dmarcRecord{result: resultPermError}
			}
			policy := r.Policy
			if d != domain && r.SubdomainPolicy != "" {
				policy = r.SubdomainPolicy
			}
			return dmarcRecord{resultPass, string(policy), r.SPFAlignment == dmarc.AlignmentStrict, r.DKIMAlignment == dmarc.AlignmentStrict}
		}
		if len(records) > 1 {
			return dmarcRecord{result: resultNone} // "discarded", as if there were none
		}
		if d == organisation(domain) {
			break
		}
	}
	return dmarcRecord{result: resultNone}
}

// plainRecord keeps the tags that decide and have a valid value: an error in any other tag (pct, rf, fo …) must not
// make the record void (RFC 7489 §6.3), and without a valid p the policy is none (§6.6.3).
func plainRecord(s string) string {
	out := "v=DMARC1"
	policy := false
	for t := range strings.SplitSeq(s, ";") {
		k, v, _ := strings.Cut(t, "=")
		k, v = strings.ToLower(strings.TrimSpace(k)), strings.ToLower(strings.TrimSpace(v))
		switch {
		case (k == "p" || k == "sp") && (v == "none" || v == "quarantine" || v == "reject"):
			policy = policy || k == "p"
		case (k == "adkim" || k == "aspf") && (v == "r" || v == "s"):
		default:
			continue
		}
		out += "; " + k + "=" + v
	}
	if !policy {
		out += "; p=none"
	}
	return out
}
