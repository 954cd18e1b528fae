// Package smppsim is a simulated SMSC (SMPP 3.4). It enforces binds, passwords, the window and the agreed rate, refuses
// what networks refuse, sends receipts, and delivers what customers write until it is acknowledged, also over later
// connections.
package smppsim

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

const (
	systemID = "muster"
	password = "geheim12"
	source   = "4915200000000"
)

// Options change how the SMSC is.
type Options struct {
	Now       func() time.Time
	PerSecond float64 // agreed rate; 0 = 100, negative = no limit
	Window    int     // submit_sm without an answer; 0 = 10
	Binds     int     // connections at once; 0 = 2
	Deliver   int     // deliver_sm without an answer; 0 = 10
	// ReceiptID is how receipts write ids: "same", or "decimal" where responses are in hex.
	ReceiptID string
	// SAR splits long messages of customers by optional parameters instead of a header; Reverse sends parts backwards.
	SAR, Reverse bool
	// Resend is how long an answer to deliver_sm may take before it is sent again; 0 = 10 s.
	Resend time.Duration
	// Listener stands in for a port of the loopback interface, for TLS.
	Listener net.Listener
}

// Sim is the SMSC.
type Sim struct {
	channelsim.Base
	o        Options
	listener net.Listener
	people   map[string]*person
	conns    map[*conn]bool
	queue    []*outbound
	id, ref  int
	Binds    int // how many binds were accepted
	Enquired int // enquire_link that came
}

// outbound is a deliver_sm on its way.
type outbound struct {
	p     *pdu.DeliverSM
	conn  *conn
	seq   int32
	until time.Time
	tries int
}

// New starts an SMSC.
func New(o Options) *Sim {
	s := &Sim{o: o, people: map[string]*person{}, conns: map[*conn]bool{}, id: 0xA1B2C0}
	s.Init(o.Now)
	if s.listener = o.Listener; s.listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		s.listener = l
	}
	s.Work.Go(s.accept)
	s.Work.Go(func() {
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-s.Ctx.Done():
				return
			case <-t.C:
				s.Lock()
				s.deliver()
				s.Unlock()
			}
		}
	})
	return s
}

func or(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind { return "smpp" }

// ServeHTTP implements channelsim.Sim: SMPP is no HTTP.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(string) channel.Settings {
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	set := channel.Settings{"host": host, "port": port, "tls": "none", "system_id": systemID, "password": password, "source_addr": "+" + source, "messages_per_second": "100"}
	if s.o.PerSecond > 0 {
		set["messages_per_second"] = strconv.FormatFloat(s.o.PerSecond, 'f', -1, 64)
	}
	return set
}

// Connect implements channelsim.Sim.
func (s *Sim) Connect(string) {}

// Close implements channelsim.Sim.
func (s *Sim) Close() {
	_ = s.listener.Close()
	s.Drop()
	s.Stop()
}

// Drop cuts all connections.
func (s *Sim) Drop() {
	s.Lock()
	defer s.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// Pending is how many deliver_sm are not acknowledged.
func (s *Sim) Pending() int {
	s.Lock()
	defer s.Unlock()
	return len(s.queue)
}

// Enquire sends enquire_link over all connections.
func (s *Sim) Enquire() {
	s.Lock()
	defer s.Unlock()
	for c := range s.conns {
		c.send(pdu.NewEnquireLink())
	}
}

func (s *Sim) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &conn{Conn: nc, sim: s, out: make(chan []byte, 4096)}
		s.Lock()
		s.conns[c] = true
		s.Unlock()
		s.Work.Go(c.write)
		s.Work.Go(c.serve)
	}
}

// deliver sends what waits. The caller holds the mutex.
func (s *Sim) deliver() {
	if s.Ctx.Err() != nil {
		return
	}
	for c := range s.conns {
		if c.bound != data.BIND_TRANSCEIVER && c.bound != data.BIND_RECEIVER {
			continue
		}
		under := 0
		for _, o := range s.queue {
			if o.conn != nil && s.conns[o.conn] && s.Now().Before(o.until) {
				under++
			}
		}
		for _, o := range s.queue {
			if under >= or(s.o.Deliver, 10) {
				return
			}
			if o.conn != nil && s.conns[o.conn] && s.Now().Before(o.until) {
				continue
			}
			o.conn, o.tries = c, o.tries+1
			o.until = s.Now().Add(max(s.o.Resend, time.Duration(0)))
			if s.o.Resend == 0 {
				o.until = s.Now().Add(10 * time.Second)
			}
			c.seq++
			o.seq = c.seq
			o.p.SetSequenceNumber(o.seq)
			c.send(o.p)
			under++
		}
		return
	}
}

// push queues a delivery. The caller holds the mutex.
func (s *Sim) push(from, text []byte, esm, coding byte, udh []byte, tlv ...pdu.Field) {
	p := pdu.NewDeliverSM().(*pdu.DeliverSM)
	p.SourceAddr, _ = pdu.NewAddressWithTonNpiAddr(1, 1, string(from))
	p.DestAddr, _ = pdu.NewAddressWithTonNpiAddr(1, 1, source)
	p.EsmClass = esm
	enc := data.GSM7BIT
	if coding == 8 {
		enc = data.UCS2
	}
	if err := p.Message.SetMessageDataWithEncoding(append(slices.Clone(udh), text...), enc); err != nil {
		panic(err)
	}
	for _, f := range tlv {
		p.RegisterOptionalParam(f)
	}
	s.queue = append(s.queue, &outbound{p: p})
	s.Changed()
}

// conn is a connection of an ESME.
type conn struct {
	net.Conn
	sim    *Sim
	out    chan []byte
	bound  data.CommandIDType
	seq    int32
	window int
}

func (c *conn) send(p pdu.PDU) {
	b := pdu.NewBuffer(nil)
	p.Marshal(b)
	select {
	case c.out <- b.Bytes():
	default:
		_ = c.Close()
	}
}

func (c *conn) write() {
	for {
		select {
		case b, ok := <-c.out:
			if !ok {
				return
			}
			_, _ = c.Write(b)
		case <-c.sim.Ctx.Done():
			return
		}
	}
}

func (c *conn) serve() {
	defer func() {
		c.sim.Lock()
		delete(c.sim.conns, c)
		c.sim.Changed()
		c.sim.Unlock()
		_ = c.Close()
	}()
	for {
		p, err := pdu.Parse(c.Conn)
		if err != nil {
			return
		}
		c.sim.Lock()
		on := c.handle(p)
		c.sim.Unlock()
		if !on {
			time.Sleep(20 * time.Millisecond) // let the answer go out
			return
		}
	}
}

func refuse(p pdu.PDU, st data.CommandStatusType) pdu.PDU {
	switch r := p.(type) {
	case *pdu.BindResp:
		r.CommandStatus = st
	case *pdu.SubmitSMResp:
		r.CommandStatus = st
	}
	return p
}

// handle answers one PDU; false ends the connection. The caller holds the mutex.
func (c *conn) handle(p pdu.PDU) bool {
	s := c.sim
	switch r := p.(type) {
	case *pdu.BindRequest:
		resp := pdu.NewBindResp(*r)
		resp.SystemID = "SMSC"
		bound := 0
		for x := range s.conns {
			if x.bound != 0 {
				bound++
			}
		}
		switch {
		case c.bound != 0, bound >= or(s.o.Binds, 2):
			c.send(refuse(resp, data.ESME_RALYBND))
			return false
		case r.SystemID != systemID:
			c.send(refuse(resp, data.ESME_RINVSYSID))
			return false
		case r.Password != password:
			c.send(refuse(resp, data.ESME_RINVPASWD))
			return false
		}
		c.bound = r.CommandID
		s.Binds++
		c.send(resp)
		s.Changed()
		s.deliver()
	case *pdu.Unbind:
		c.send(r.GetResponse())
		return false
	case *pdu.EnquireLink:
		s.Enquired++
		c.send(r.GetResponse())
	case *pdu.DeliverSMResp:
		s.queue = slices.DeleteFunc(s.queue, func(o *outbound) bool {
			if o.conn != c || o.seq != r.SequenceNumber {
				return false
			}
			if r.CommandStatus != data.ESME_ROK {
				o.until = s.Now().Add(100 * time.Millisecond) // soon again
				return false
			}
			return true
		})
		s.Changed()
		s.deliver()
	case *pdu.SubmitSM:
		if c.bound != data.BIND_TRANSCEIVER && c.bound != data.BIND_TRANSMITTER {
			c.send(refuse(r.GetResponse(), data.ESME_RINVBNDSTS))
			return true
		}
		if c.window++; c.window > or(s.o.Window, 10) {
			c.window--
			s.Take("window", 0.000001, 0)
			c.send(refuse(r.GetResponse(), data.ESME_RTHROTTLED))
			return true
		}
		s.Work.Go(func() { c.submit(r) })
	case *pdu.EnquireLinkResp, *pdu.GenericNack, *pdu.UnbindResp:
	default:
		n := pdu.NewGenericNack().(*pdu.GenericNack)
		n.SequenceNumber, n.CommandStatus = p.GetSequenceNumber(), data.ESME_RINVCMDID
		c.send(n)
	}
	return true
}

// submit answers a submit_sm, unless it was told to fail.
func (c *conn) submit(r *pdu.SubmitSM) {
	s := c.sim
	if s.Latency > 0 {
		time.Sleep(s.Latency)
	}
	f := s.Fault("message")
	if f != nil && f.Delay > 0 {
		time.Sleep(f.Delay)
	}
	s.Lock()
	defer s.Unlock()
	if f == nil || f.Accept || f.Delay > 0 && !f.Hang && !f.Cut {
		resp := s.take(r)
		if f == nil || !f.Hang && !f.Cut && f.Status == 0 {
			c.window--
			c.send(resp)
			s.deliver()
			return
		}
	}
	switch {
	case f.Hang: // the window stays taken
	case f.Cut:
		_ = c.Close()
	default:
		c.window--
		c.send(refuse(r.GetResponse(), data.CommandStatusType(int32(f.Status))))
	}
}

// take is what the network does with a message. The caller holds the mutex.
func (s *Sim) take(r *pdu.SubmitSM) pdu.PDU {
	resp := r.GetResponse().(*pdu.SubmitSMResp)
	rate := s.o.PerSecond
	if rate == 0 {
		rate = 100
	}
	if rate > 0 {
		if s.Take("account", rate, max(2, rate/20)) > 0 {
			return refuse(resp, data.ESME_RTHROTTLED)
		}
	}
	body, _ := r.Message.GetMessageData()
	coding := r.Message.Encoding().DataCoding()
	udh, _ := r.Message.UDH().MarshalBinary()
	if len(r.Message.UDH()) == 0 {
		udh = nil
	}
	room := 160 // septets
	if coding == 8 {
		room = 140
	}
	if n := len(udh); n > 0 {
		room -= n
		if coding == 0 {
			room = 160 - (n*8+6)/7
		}
	}
	to := r.DestAddr
	switch {
	case r.SourceAddr.Address() != source || r.SourceAddr.Ton() != 1:
		return refuse(resp, data.ESME_RINVSRCADR)
	case to.Ton() != 1 || to.Npi() != 1 || strings.Trim(to.Address(), "0123456789") != "":
		return refuse(resp, data.ESME_RINVDSTADR)
	case len(body) > room || len(body) == 0:
		return refuse(resp, data.ESME_RINVMSGLEN)
	case coding != 0 && coding != 8:
		return refuse(resp, data.ESME_RSUBMITFAIL)
	}
	var p *person
	for _, x := range s.people {
		if x.number == "+"+to.Address() {
			p = x
		}
	}
	if p == nil {
		return refuse(resp, data.ESME_RINVDSTADR)
	}
	s.id++
	resp.MessageID = fmt.Sprintf("%08X", s.id)
	e := sms.GSM7
	if coding == 8 {
		e = sms.UCS2
	}
	s.Accept(channelsim.Accepted{Op: "message", To: p.number, Ref: strings.ToLower(strings.TrimLeft(resp.MessageID, "0")), Text: sms.Decode(body, e)})
	p.receive(udh, body, e, strings.ToLower(strings.TrimLeft(resp.MessageID, "0")))
	if r.RegisteredDelivery&1 != 0 {
		id := resp.MessageID
		if s.o.ReceiptID == "decimal" {
			id = fmt.Sprintf("%010d", s.id)
		}
		now := s.Now().UTC().Format("0601021504")
		text := fmt.Sprintf("id:%s sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:%.20s", id, now, now, "...")
		b, _ := sms.EncodeGSM7(text)
		var tlv []pdu.Field
		if s.o.ReceiptID != "decimal" {
			tlv = []pdu.Field{{Tag: pdu.TagReceiptedMessageID, Data: append([]byte(id), 0)}, {Tag: pdu.TagMessageStateOption, Data: []byte{2}}}
		}
		s.push([]byte(to.Address()), b, 0x04, 0, nil, tlv...)
	}
	return resp
}

// person is a customer with a phone.
type person struct {
	channelsim.Chat
	sim    *Sim
	number string
	join   sms.Assembler[string]
}

// receive joins parts as a phone does. The caller holds the mutex.
func (p *person) receive(udh, body []byte, e sms.Encoding, ref string) {
	m := channelsim.Message{Ref: ref, Text: sms.Decode(body, e), At: p.sim.Now()}
	if len(udh) > 0 {
		h, _, err := sms.ParseUDH(udh)
		if err != nil || h.Concat == nil {
			return
		}
		out := p.join.Add(source, *h.Concat, sms.Piece[string]{Encoding: e, Payload: body, Tag: ref}, p.sim.Now())
		if out.Whole == nil {
			return
		}
		m.Ref, m.Text = out.Whole[0].Tag, sms.Join(out.Whole)
	}
	p.Got = append(p.Got, m)
	p.sim.Changed()
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.people[name]
	if p == nil {
		p = &person{Chat: channelsim.Chat{Name: name}, sim: s, number: fmt.Sprintf("+49151%08d", 23400001+len(s.people))}
		s.people[name] = p
	}
	return p
}

// Address implements channelsim.Person.
func (p *person) Address() string { return p.number }

// Open implements channelsim.Person: a link writes a text that the customer has to send.
func (p *person) Open(token string) error {
	if token != "" {
		return channelsim.ErrCannot
	}
	return nil
}

// Write implements channelsim.Person. A text message has no id; its Ref is of no use.
func (p *person) Write(text, replyTo string) (string, error) {
	s := p.sim
	s.Lock()
	defer s.Unlock()
	if replyTo != "" {
		return "", channelsim.ErrCannot
	}
	s.ref++
	list, err := sms.Split(text, uint16(s.ref), false)
	if err != nil {
		return "", err
	}
	if s.o.Reverse {
		slices.Reverse(list)
	}
	for _, seg := range list {
		coding, esm, udh := byte(0), byte(0), seg.UDH
		if seg.Encoding == sms.UCS2 {
			coding = 8
		}
		var tlv []pdu.Field
		if c := seg.Concat; c != nil && s.o.SAR {
			udh = nil
			tlv = []pdu.Field{{Tag: pdu.TagSarMsgRefNum, Data: binary.BigEndian.AppendUint16(nil, c.Ref)},
				{Tag: pdu.TagSarTotalSegments, Data: []byte{c.Total}}, {Tag: pdu.TagSarSegmentSeqnum, Data: []byte{c.Seq}}}
		}
		if udh != nil {
			esm = 0x40
		}
		s.push([]byte(p.number[1:]), seg.Payload, esm, coding, udh, tlv...)
	}
	s.deliver()
	return strconv.Itoa(s.ref), nil
}

// Send implements channelsim.Person.
func (p *person) Send(channelsim.File, string) (string, error) { return "", channelsim.ErrCannot }

// Press implements channelsim.Person.
func (p *person) Press(string, string) error { return channelsim.ErrCannot }

// React implements channelsim.Person.
func (p *person) React(string, string) error { return channelsim.ErrCannot }

// Edit implements channelsim.Person.
func (p *person) Edit(string, string) error { return channelsim.ErrCannot }

// Read implements channelsim.Person.
func (p *person) Read() error { return channelsim.ErrCannot }

// Block implements channelsim.Person: phones block without telling the network.
func (p *person) Block(bool) error { return channelsim.ErrCannot }

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	return slices.Clone(p.Got)
}

var (
	_ channelsim.Sim    = (*Sim)(nil)
	_ channelsim.Person = (*person)(nil)
)
