package smpp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

// Send implements channel.Sender. Each part of a long text is a submit_sm of its own with its own id.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	texts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	to := sms.ParseParty(out.To.Value, a.Settings["default_region"])
	if !to.Answerable() {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%q is no number", out.To.Value),
			Reason: channel.Text{DE: "An diese Adresse geht keine SMS: Sie ist keine Rufnummer.", EN: "No SMS can be sent to this address: it is no number."}}
	}
	var segments []segment
	var parts []channel.Part
	for _, t := range texts {
		var ref [2]byte
		_, _ = rand.Read(ref[:])
		list, err := split(t.Text, binary.BigEndian.Uint16(ref[:]), a.Settings.Or("default_alphabet", gsm7))
		if err != nil {
			return channel.Receipt{}, &channel.SendError{Class: channel.Permanent, Err: err, Reason: channel.Text{DE: "Der Text ist zu lang für eine SMS.", EN: "The text is too long for an SMS."}}
		}
		for _, s := range list {
			segments, parts = append(segments, s), append(parts, channel.Part{Text: t.Text})
		}
	}
	message := ""
	if len(segments) == 1 {
		message = out.DeliveryID // only then a late answer says all about it
	}
	next := 0
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, _ channel.Part) (string, error) {
		p, err := submission(a.Settings, to, segments[next])
		if err != nil {
			return "", &channel.SendError{Class: channel.Permanent, Err: err, Reason: channel.Text{DE: "Die Nachricht lässt sich nicht als SMS schreiben.", EN: "The message cannot be written as an SMS."}}
		}
		id, err := d.submit(ctx, a, p, message, env)
		if err == nil {
			next++
		}
		return id, err
	})
}

func (Driver) submit(ctx context.Context, a channel.Account, p *pdu.SubmitSM, message string, env channel.Env) (string, error) {
	s, post, release, err := live.sessionFor(ctx, a, env)
	if err != nil {
		return "", sendError(err, false)
	}
	defer release()
	id, written, err := s.submit(ctx, p, message)
	if err != nil {
		return "", sendError(err, written)
	}
	if id = normalID(id); id == "" {
		return "", channel.Uncertainly(errors.New("the SMSC accepted a message without naming it"))
	}
	post.ids.add(id)
	return id, nil
}

// segment is one short message, ready for the wire.
type segment struct {
	udh, payload []byte
	coding       data.Encoding
}

// split writes a text as short messages, joined by a header with a 16-bit reference (TS 23.040 §9.2.3.24.8).
func split(text string, ref uint16, alphabet string) ([]segment, error) {
	list, err := sms.Split(text, ref, true)
	if err != nil {
		return nil, err
	}
	if alphabet == latin1 && list[0].Encoding == sms.GSM7 {
		return splitLatin1(text, ref, list)
	}
	var out []segment
	for _, s := range list {
		coding := data.GSM7BIT
		if s.Encoding == sms.UCS2 {
			coding = data.UCS2
		}
		out = append(out, segment{s.UDH, s.Payload, coding})
	}
	return out, nil
}

// splitLatin1 is for an SMSC that takes data_coding 0 as Latin-1. What does not exist there goes as UCS-2.
func splitLatin1(text string, ref uint16, list []sms.Segment) ([]segment, error) {
	fits := true
	for _, r := range text {
		fits = fits && r <= 0xFF
	}
	var out []segment
	if fits { // every such character takes one septet in GSM-7, too, or two
		for _, s := range list {
			var b []byte
			for _, r := range s.Text {
				b = append(b, byte(r))
			}
			out = append(out, segment{s.UDH, b, data.GSM7BIT})
		}
		return out, nil
	}
	b := sms.EncodeUCS2(text)
	if len(b) <= 140 {
		return []segment{{nil, b, data.UCS2}}, nil
	}
	const most = 132 // 140 bytes without a header of 7, in whole units
	for len(b) > 0 {
		n := min(most, len(b))
		if n < len(b) && b[n-2]&0xFC == 0xD8 { // do not tear a surrogate pair
			n -= 2
		}
		out = append(out, segment{nil, b[:n], data.UCS2})
		b = b[n:]
	}
	if len(out) > sms.MaxParts {
		return nil, sms.ErrTooLong
	}
	for i := range out {
		out[i].udh = sms.Concat{Ref: ref, Wide: true, Total: uint8(len(out)), Seq: uint8(i + 1)}.UDH()
	}
	return out, nil
}

// submission is the submit_sm (SMPP §4.4.1).
func submission(s channel.Settings, to sms.Party, seg segment) (*pdu.SubmitSM, error) {
	p, ok := pdu.NewSubmitSM().(*pdu.SubmitSM)
	if !ok {
		return nil, errors.New("gosmpp makes no submit_sm")
	}
	from := sms.ParseParty(s["source_addr"], s["default_region"])
	source, err := wireAddress(from)
	if err != nil {
		return nil, err
	}
	for key, set := range map[string]func(byte){"source_addr_ton": source.SetTon, "source_addr_npi": source.SetNpi} {
		if n, err := strconv.Atoi(s[key]); err == nil {
			set(byte(n))
		}
	}
	dest, err := wireAddress(to)
	if err != nil {
		return nil, err
	}
	p.SourceAddr, p.DestAddr = source, dest
	p.RegisteredDelivery = 1 // a receipt for success and failure (SMPP §5.2.17)
	if seg.udh != nil {
		p.EsmClass = data.SM_UDH_GSM
	}
	err = p.Message.SetMessageDataWithEncoding(append(append([]byte(nil), seg.udh...), seg.payload...), seg.coding)
	return p, err
}

// wireAddress writes an address (SMPP §5.2.5, §5.2.6).
func wireAddress(p sms.Party) (pdu.Address, error) {
	value, ton, npi := p.Value, byte(0), byte(0)
	switch p.Kind {
	case sms.Phone: // international, ISDN (E.164); the digits only
		value, ton, npi = value[1:], 1, 1
	case sms.Alphanumeric:
		ton = 5
	case sms.ShortCode:
		npi = 1
	}
	return pdu.NewAddressWithTonNpiAddr(ton, npi, value)
}

// sendError says what may be done about a failed send.
func sendError(err error, written bool) *channel.SendError {
	var r refusal
	if errors.As(err, &r) && r.what != "bind" {
		return refused(r)
	}
	if written {
		return channel.Uncertainly(err)
	}
	e := &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{
		DE: "Keine Verbindung zum Anbieter; es wird weiter versucht.", EN: "There is no connection to the provider; it keeps trying."}}
	var t *channel.Trouble
	switch {
	case errors.As(err, &r) && data.CommandStatusType(int32(r.status)) == data.ESME_RALYBND:
		// The one connection that is allowed belongs to another node: it sends what this one leaves.
		e.Code, e.RetryAfter = r.status.String(), 10*time.Second
	case errors.Is(err, errReconnecting), errors.Is(err, errEnded), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.As(trouble(err), &t) && t.Reason != noConnection:
		e.Class, e.Reason = channel.Misconfig, t.Reason
	}
	return e
}

// refused says what a command_status of submit_sm_resp means (SMPP §5.1.3).
func refused(r refusal) *channel.SendError {
	e := &channel.SendError{Code: r.status.String(), Err: r}
	set := func(c channel.Class, de, en string) *channel.SendError {
		e.Class, e.Reason = c, channel.Text{DE: de, EN: en}
		return e
	}
	switch data.CommandStatusType(int32(r.status)) {
	case data.ESME_RTHROTTLED:
		e.RetryAfter = throttlePause
		return set(channel.RateLimited, "Der Anbieter bremst: Es kamen mehr Nachrichten als vereinbart.", "The provider slows us down: more messages came than agreed.")
	case data.ESME_RMSGQFUL:
		e.RetryAfter = fullPause
		return set(channel.RateLimited, "Die Warteschlange des Anbieters ist voll.", "The provider's queue is full.")
	case data.ESME_RINVDSTADR, data.ESME_RINVDSTTON, data.ESME_RINVDSTNPI:
		return set(channel.NotHere, "An diese Nummer nimmt der Anbieter nichts an.", "The provider takes nothing for this number.")
	case data.ESME_RINVSRCADR, data.ESME_RINVSRCTON, data.ESME_RINVSRCNPI:
		return set(channel.Misconfig, "Der Anbieter lässt den Absender (source_addr) nicht zu.", "The provider does not allow the sender (source_addr).")
	case data.ESME_RINVSYSTYP, data.ESME_RINVSERTYP, data.ESME_RPROVNOTALLWD, data.ESME_RINVBNDSTS, data.ESME_RINVREGDLVFLG:
		return set(channel.Misconfig, "Der Anbieter hat diesen Zugang nicht dafür freigeschaltet.", "The provider has not enabled this account for it.")
	case data.ESME_RSYSERR, data.ESME_RX_T_APPN, data.ESME_RUNKNOWNERR:
		return set(channel.Temporary, "Der Anbieter hat eine Störung.", "The provider has trouble of its own.")
	case data.ESME_RINVMSGLEN, data.ESME_RINVESMCLASS:
		return set(channel.Permanent, "Der Anbieter nimmt keine mehrteiligen Nachrichten an.", "The provider does not take messages of several parts.")
	}
	return set(channel.Permanent, "Der Anbieter nimmt die Nachricht nicht an ("+e.Code+").", "The provider does not accept the message ("+e.Code+").")
}
