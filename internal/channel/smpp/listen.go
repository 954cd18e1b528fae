package smpp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

// Times of what comes in; variables for tests.
var (
	partsWait  = 10 * time.Minute // how long a message waits for its parts
	repeatTime = 10 * time.Minute // how long after a bind an SMSC sends again what it thinks unanswered
	smscTimer  = 5 * time.Second  // no SMSC gives up waiting for an answer, and sends again, before that
	expireTick = 5 * time.Second
	backoff    = time.Second
)

const (
	patience = 5    // failures in a row before the channel turns red
	seenMax  = 2000 // messages that are remembered to tell a repetition from the same words again
	doubtMax = 200  // those of them that a restart remembers
)

// memory is what must survive a crash; it is the cursor.
type memory struct {
	IDs   string  `json:"ids,omitempty"`   // how receipts write ids, once that was found out: idDecimal, idHex
	Doubt []doubt `json:"doubt,omitempty"` // stored, and perhaps the SMSC does not know that we have it
	Parts []part  `json:"parts,omitempty"` // acknowledged parts of messages that are not whole
}

type doubt struct {
	Hash string `json:"h"`
}

type part struct {
	At  int64  `json:"at"` // Unix seconds of its arrival
	PDU []byte `json:"pdu"`
}

// seen is a message that was stored.
type seen struct {
	hash           string
	session        *session // nil = of an earlier life
	seq            uint32
	ack            int64
	arrived, acked time.Time
}

// worker stores what comes in, one PDU after the other.
//
// A PDU is acknowledged when it is stored, in whatever form: a whole message as an event, a part in the cursor, from where
// it goes on after a crash. (Acknowledging parts only when the message is whole would wait for ever at an SMSC that sends
// one PDU at a time.) What is not acknowledged comes again under another sequence_number. The same words again from the
// same sender are a repetition if they come while the first ones have no answer and an SMSC may have lost patience, or after
// a reconnection at which it is not certain that the SMSC read our answer; otherwise they are a second message. An answer is
// certain once the SMSC has answered something that we wrote after it.
type worker struct {
	driver Driver
	a      channel.Account
	env    channel.Env
	sink   channel.Sink
	post   *post
	bound  time.Time // when the present session was bound
	at     *session
	parts  []*part
	join   sms.Assembler[*part]
	seen   []*seen
	ids    string
	stored string // the cursor as it is stored
	late   chan channel.Inbound
}

func (w *worker) load(cursor string) {
	var m memory
	if cursor == "" || json.Unmarshal([]byte(cursor), &m) != nil {
		m = memory{}
	}
	w.stored, w.ids = cursor, m.IDs
	for _, d := range m.Doubt {
		w.seen = append(w.seen, &seen{hash: d.Hash})
	}
	for i := range m.Parts {
		w.parts = append(w.parts, &m.Parts[i])
	}
	w.rebuild()
}

// rebuild makes the assembler anew from the parts that are stored.
func (w *worker) rebuild() {
	w.join = sms.Assembler[*part]{Max: 100, MaxAge: partsWait}
	var kept []*part
	now := time.Now()
	for _, p := range w.parts {
		f, err := readFrame(bytes.NewReader(p.PDU))
		if err != nil {
			continue
		}
		d, err := readDelivery(f)
		if err != nil || d.concat == nil {
			continue
		}
		kept = append(kept, p)
		w.join.Add(origin(d), *d.concat, piece(d, p), now) // waits anew: while we were away nothing could come
	}
	w.parts = kept
}

func origin(d delivery) string { return fmt.Sprint(d.source, d.dest) }

func piece(d delivery, p *part) sms.Piece[*part] {
	e := sms.GSM7
	if d.dataCoding == 8 {
		e = sms.UCS2
	}
	return sms.Piece[*part]{Encoding: e, Payload: d.text, Tag: p}
}

// uncertain reports whether the SMSC may not know that we have it.
func (s *seen) uncertain() bool { return s.session == nil || s.ack > s.session.confirmed.Load() }

// cursor is what is to be stored with one more message.
func (w *worker) cursor(more string) string {
	m := memory{IDs: w.ids}
	for _, s := range w.seen {
		if s.uncertain() {
			m.Doubt = append(m.Doubt, doubt{s.hash})
		}
	}
	if more != "" {
		m.Doubt = append(m.Doubt, doubt{more})
	}
	if n := len(m.Doubt) - doubtMax; n > 0 {
		m.Doubt = m.Doubt[n:]
	}
	for _, p := range w.parts {
		m.Parts = append(m.Parts, *p)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and bytes
	}
	return string(b)
}

// repetition gives the message that a PDU repeats, nil if it is a new one.
func (w *worker) repetition(hash string, arr arrival) *seen {
	for _, s := range slices.Backward(w.seen) {
		if s.hash != hash {
			continue
		}
		if s.session == w.at {
			if s.seq == arr.seq || arr.at.Before(s.acked) && arr.at.Sub(s.arrived) >= smscTimer {
				return s
			}
		} else if s.uncertain() && arr.at.Sub(w.bound) < repeatTime {
			return s
		}
	}
	return nil
}

// put stores. Nothing is kept if it fails.
func (w *worker) put(ctx context.Context, in channel.Inbound, more string) error {
	in.Type, in.Cursor = "application/octet-stream", w.cursor(more)
	if err := w.sink(ctx, in); err != nil {
		return err
	}
	w.stored = in.Cursor
	return nil
}

// handle stores one delivery and answers it.
func (w *worker) handle(ctx context.Context, arr arrival) error {
	s := &seen{session: w.at, seq: arr.seq, arrived: arr.at}
	if err := w.keep(ctx, arr, s); err != nil {
		w.env.Log.Warn("a short message could not be stored; the SMSC sends it again", "channel", w.a.ID, "error", err)
		_, err := w.at.acknowledge(arr.frame, status(data.ESME_RX_T_APPN))
		return err
	}
	ack, err := w.at.acknowledge(arr.frame, 0)
	s.ack, s.acked = ack, time.Now()
	return err
}

// keep stores one delivery and remembers it as s.
func (w *worker) keep(ctx context.Context, arr arrival, s *seen) error {
	d, err := readDelivery(arr.frame)
	if err != nil {
		return w.put(ctx, channel.Inbound{Raw: arr.raw, Err: err.Error()}, "")
	}
	if isReceipt(d) {
		return w.put(ctx, w.receipt(arr.raw, d), "")
	}
	s.hash = contentHash(d)
	if old := w.repetition(s.hash, arr); old != nil {
		w.seen = slices.DeleteFunc(w.seen, func(x *seen) bool { return x == old })
		w.remember(s)
		return nil
	}
	if d.concat == nil {
		if err := w.put(ctx, w.whole(arr.raw, arr.at), s.hash); err != nil {
			return err
		}
		w.remember(s)
		return nil
	}
	p := &part{At: arr.at.Unix(), PDU: arr.raw}
	out := w.join.Add(origin(d), *d.concat, piece(d, p), arr.at)
	before := w.parts
	err = func() error {
		for _, g := range out.Dropped {
			if err := w.give(ctx, g.Pieces, "", time.Now()); err != nil {
				return err
			}
			before = w.parts
		}
		switch {
		case out.Duplicate:
			return nil
		case out.Whole != nil:
			return w.give(ctx, out.Whole, s.hash, arr.at)
		}
		w.parts = append(slices.Clip(w.parts), p)
		return w.put(ctx, channel.Inbound{Raw: arr.raw}, s.hash)
	}()
	if err != nil {
		w.parts = before
		w.rebuild()
		return err
	}
	w.remember(s)
	return nil
}

func (w *worker) remember(s *seen) {
	w.seen = append(w.seen, s)
	if len(w.seen) > seenMax {
		w.seen = w.seen[len(w.seen)-seenMax:]
	}
}

// give stores a message made of parts, and forgets these.
func (w *worker) give(ctx context.Context, pieces []sms.Piece[*part], more string, at time.Time) error {
	var raw []byte
	var used []*part
	for _, p := range pieces {
		if p.Tag == nil {
			continue
		}
		raw = append(raw, p.Tag.PDU...)
		used = append(used, p.Tag)
	}
	if len(used) == 0 {
		return nil
	}
	before := w.parts
	w.parts = slices.DeleteFunc(slices.Clone(w.parts), func(p *part) bool { return slices.Contains(used, p) })
	if err := w.put(ctx, w.whole(raw, at), more); err != nil {
		w.parts = before
		return err
	}
	return nil
}

// whole is a message as it is stored. Its key has the time of its arrival, as the same words may be said again.
func (w *worker) whole(raw []byte, at time.Time) channel.Inbound {
	in := channel.Inbound{Raw: raw}
	events, err := parse(w.a.Settings, raw)
	if err != nil {
		in.Err = err.Error()
		return in
	}
	suffix := "-" + strconv.FormatInt(at.UnixNano(), 36)
	for i := range events {
		events[i].Key += suffix
		if events[i].Message != nil {
			events[i].Message.ExternalID += suffix
		}
	}
	in.Events = events
	return in
}

// receipt is a receipt as it is stored. Providers that answer in hex and report in decimal, or the other way round, are
// found out by what was sent lately.
func (w *worker) receipt(raw []byte, d delivery) channel.Inbound {
	in := channel.Inbound{Raw: raw}
	events, err := parse(w.a.Settings, raw)
	if err != nil {
		in.Err = err.Error()
		return in
	}
	if w.a.Settings.Or("receipt_id", idAuto) == idAuto {
		for _, e := range events {
			id := e.Status.ExternalID
			decimal, hex := rebase(id, 10, 16), rebase(id, 16, 10)
			known := w.post.ids.has
			switch {
			case known(id):
			case known(decimal):
				w.ids = idDecimal
			case known(hex):
				w.ids = idHex
			case len(d.tlv[tagReceiptedID]) > 0:
				continue
			}
			switch {
			case known(id):
			case w.ids == idDecimal:
				e.Status.ExternalID = decimal
			case w.ids == idHex:
				e.Status.ExternalID = hex
			}
		}
		for i := range events {
			events[i].Key = "status:" + events[i].Status.ExternalID + ":" + string(events[i].Status.State)
		}
	}
	in.Events = events
	return in
}

// expire stores what there is of messages that have waited for too long.
func (w *worker) expire(ctx context.Context, now time.Time) {
	for _, g := range w.join.Expire(now) {
		if err := w.give(ctx, g.Pieces, "", now); err != nil {
			w.env.Log.Warn("an incomplete short message could not be stored; trying again", "channel", w.a.ID, "error", err)
			w.rebuild()
			return
		}
	}
}

// settle stores that the SMSC knows what we have, so that the same words after a restart are a new message.
func (w *worker) settle(ctx context.Context) {
	if w.cursor("") != w.stored {
		if err := w.put(ctx, channel.Inbound{}, ""); err != nil {
			w.env.Log.Debug("cursor not stored", "channel", w.a.ID, "error", err)
		}
	}
}

// Listen implements channel.Listener: it binds and stores what comes until ctx ends. It binds again by itself, with growing
// pauses; what a person has to mend is a *channel.Trouble.
func (d Driver) Listen(ctx context.Context, a channel.Account, cursor string, env channel.Env, sink channel.Sink) error {
	post, leave := live.listen(a)
	defer leave()
	w := &worker{driver: d, a: a, env: env, sink: sink, post: post, late: make(chan channel.Inbound, 100)}
	w.load(cursor)
	failures := 0
	for {
		began := time.Now()
		err := w.once(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > time.Minute {
			failures = 0
		}
		failures++
		var mend *channel.Trouble
		t := trouble(err)
		if errors.As(t, &mend) && (mend.Reason != noConnection || failures >= patience) {
			return t
		}
		env.Log.Info("no connection to the SMSC; binding again", "channel", a.ID, "error", err)
		pause := time.NewTimer(backoff << min(failures-1, 5))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// once serves one connection until it ends.
func (w *worker) once(ctx context.Context) error {
	kind := pdu.Transceiver
	if w.a.Settings.Or("bind_mode", transceiver) == two {
		kind = pdu.Receiver
	}
	s, err := bind(ctx, w.a, w.env, kind, w.post.pace, w.tardy)
	if err != nil {
		return err
	}
	out := s
	if kind == pdu.Receiver {
		if out, err = bind(ctx, w.a, w.env, pdu.Transmitter, w.post.pace, w.tardy); err != nil {
			s.unbind()
			return err
		}
	}
	w.at, w.bound = s, time.Now()
	live.offer(w.post, out)
	defer func() {
		live.offer(w.post, nil)
		if out != s {
			out.unbind()
		}
		s.unbind()
		if ctx.Err() != nil && w.at.confirmed.Load() > 0 { // unbind_resp comes after all of our answers
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			w.settle(end)
		}
	}()
	tick := time.NewTicker(expireTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case arr := <-s.inbound:
			if err := w.handle(ctx, arr); err != nil {
				return err
			}
		case in := <-w.late:
			_ = w.put(ctx, in, "")
		case <-s.confirm:
			w.settle(ctx)
		case now := <-tick.C:
			w.expire(ctx, now)
		case <-out.done:
			return out.cause
		case <-s.done:
			return s.cause
		}
	}
}

// tardy is told of an answer that came after Send had given up: what was uncertain is resolved.
func (w *worker) tardy(req *waiter, f frame) {
	if req.message == "" {
		return
	}
	st := &channel.Status{DeliveryID: req.message, State: channel.Sent}
	key := "status:" + req.message + ":late"
	if f.status == 0 {
		id, _, _ := cString(append(bytes.Clone(f.body()), 0))
		st.ExternalID = normalID(id)
		w.post.ids.add(st.ExternalID)
	} else {
		e := refused(refusal{"submit_sm", f.status})
		st.State, st.Code, st.Error, st.Reason = channel.Failed, e.Code, e.Err.Error(), e.Reason
	}
	select {
	case w.late <- channel.Inbound{Raw: f.raw, Events: []channel.Event{{Key: key, Type: channel.StatusEvent, Status: st}}}:
	default:
	}
}

var noConnection = channel.Text{DE: "Keine Verbindung zum Anbieter (SMSC).", EN: "There is no connection to the provider (SMSC)."}

// trouble says what a person can do about a bind that failed.
func trouble(err error) error {
	say := func(de, en, remedyDE, remedyEN string) error {
		return &channel.Trouble{Reason: channel.Text{DE: de, EN: en}, Remedy: channel.Text{DE: remedyDE, EN: remedyEN}, Err: err}
	}
	var r refusal
	if errors.As(err, &r) && r.what == "bind" {
		switch data.CommandStatusType(int32(r.status)) {
		case data.ESME_RINVPASWD, data.ESME_RINVSYSID:
			return say("Der Anbieter nimmt die Zugangsdaten nicht an.", "The provider refuses the credentials.",
				"Prüfen Sie system_id und password.", "Check system_id and password.")
		case data.ESME_RALYBND:
			return say("Der Anbieter erlaubt keine weitere Verbindung.", "The provider allows no further connection.",
				"Läuft ein anderes Programm mit dieser system_id? Beenden Sie es, oder lassen Sie mehr Verbindungen freischalten.", "Does another program run with this system_id? Stop it, or ask for more connections.")
		case data.ESME_RINVSYSTYP:
			return say("Der Anbieter nimmt den system_type nicht an.", "The provider refuses the system_type.",
				"Tragen Sie den des Anbieters ein oder leeren Sie ihn.", "Enter the provider's, or clear it.")
		case data.ESME_RSYSERR, data.ESME_RTHROTTLED, data.ESME_RMSGQFUL:
			return say(noConnection.DE, noConnection.EN, "Der Anbieter meldet eine Störung; es wird weiter versucht.", "The provider reports trouble of its own; it keeps trying.")
		}
		return say("Der Anbieter lehnt die Anmeldung ab ("+r.status.String()+").", "The provider refuses the bind ("+r.status.String()+").",
			"Prüfen Sie system_id, password und bind_mode, und ob der Anbieter die Adresse dieses Servers freigeschaltet hat.", "Check system_id, password and bind_mode, and whether the provider has allowed this server's address.")
	}
	var barred interface{ NotSent() bool } // fetch.ErrForbidden, which this package must not import
	if errors.As(err, &barred) && barred.NotSent() {
		return say("Der Server darf den Anbieter unter host nicht erreichen.", "The server is not allowed to reach the provider at host.",
			"Liegt er im eigenen Netz oder VPN, starten Sie den Server mit --allow-private-targets.", "If it is in your own network or VPN, start the server with --allow-private-targets.")
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) {
		return say("Das Zertifikat des Anbieters ist nicht gültig.", "The provider's certificate is not valid.",
			"Prüfen Sie host; hat der Anbieter eine eigene Zertifizierungsstelle, tragen Sie sie als tls_ca ein.", "Check host; if the provider has its own certificate authority, enter it as tls_ca.")
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return say("Unter diesem Port spricht der Anbieter kein TLS.", "The provider does not speak TLS at this port.",
			"Nehmen Sie den Port für TLS, oder setzen Sie tls auf none, wenn die Verbindung durch ein VPN geht.", "Take the port for TLS, or set tls to none if the connection goes through a VPN.")
	}
	if errors.Is(err, errFrame) {
		return say("Unter host und port antwortet kein SMSC.", "There is no SMSC at host and port.", "Prüfen Sie host, port und tls.", "Check host, port and tls.")
	}
	return say(noConnection.DE, noConnection.EN,
		"Prüfen Sie host, port und tls, und ob der Anbieter die Adresse dieses Servers freigeschaltet hat; es wird weiter versucht.", "Check host, port and tls, and whether the provider has allowed this server's address; it keeps trying.")
}

// Probe implements channel.Prober. It binds nothing, as providers count binds and lock out after wrong passwords: without a
// live session it only looks whether the SMSC can be reached; what the bind says, Listen says.
func (d Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	if err := d.Check(a.Settings); err != nil {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Die Einstellungen sind unvollständig.", EN: "The settings are incomplete."},
			Remedy: channel.Text{DE: "Einstellung berichtigen: " + err.Error(), EN: "Mend the setting: " + err.Error()},
			Err:    err,
		}
	}
	live.mu.Lock()
	p := live.of(a)
	served := p.session != nil || p.listens > 0
	live.mu.Unlock()
	if served {
		return nil
	}
	c, err := connect(ctx, a.Settings, env)
	if err != nil {
		return trouble(err)
	}
	_ = c.Close()
	return nil
}
