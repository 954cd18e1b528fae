package smpp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"github.com/rufweite/rufweite/internal/channel/sms"
)

// command is a command_id, status a command_status (SMPP §5.1.2, §5.1.3).
type (
	command uint32
	status  uint32
)

const response command = 0x80000000 // the bit of responses

// Commands that are read here.
const (
	genericNack      command = 0x80000000
	bindReceiver     command = 0x00000001
	bindTransmitter  command = 0x00000002
	submitSM         command = 0x00000004
	deliverSM        command = 0x00000005
	unbind           command = 0x00000006
	bindTransceiver  command = 0x00000009
	enquireLink      command = 0x00000015
	alertNotificaton command = 0x00000102
	dataSM           command = 0x00000103
)

func (s status) String() string {
	if name := data.CommandStatusType(int32(s)).String(); name != "" && name[0] == 'E' {
		return name
	}
	return fmt.Sprintf("0x%08X", uint32(s))
}

// frame is a PDU as it came.
type frame struct {
	command command
	status  status
	seq     uint32
	raw     []byte // all of it
}

func (f frame) body() []byte { return f.raw[16:] }

// frameMax is the longest PDU that is read: message_payload has up to 64 KiB.
const frameMax = 70 << 10

var errFrame = errors.New("what the SMSC sends is no SMPP")

// readFrame reads one PDU.
func readFrame(r io.Reader) (frame, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 16 || n > frameMax {
		return frame{}, fmt.Errorf("%w: a PDU of %d bytes", errFrame, n)
	}
	f := frame{
		command: command(binary.BigEndian.Uint32(head[4:])),
		status:  status(binary.BigEndian.Uint32(head[8:])),
		seq:     binary.BigEndian.Uint32(head[12:]),
		raw:     make([]byte, n),
	}
	copy(f.raw, head[:])
	if _, err := io.ReadFull(r, f.raw[16:]); err != nil {
		return frame{}, err
	}
	return f, nil
}

// cString reads an octet string that ends with NUL.
func cString(b []byte) (s string, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", nil, false
	}
	return string(b[:i]), b[i+1:], true
}

// Optional parameters (SMPP §5.3.2).
const (
	tagReceiptedID    = 0x001E
	tagSARRef         = 0x020C
	tagSARTotal       = 0x020E
	tagSARSeq         = 0x020F
	tagNetworkError   = 0x0423
	tagMessagePayload = 0x0424
	tagMessageState   = 0x0427
)

// party is an address with its type of number and numbering plan.
type party struct {
	ton, npi byte
	addr     string
}

// delivery is a deliver_sm or data_sm (SMPP §4.6.1, §4.7.1).
type delivery struct {
	source, dest party
	esmClass     byte
	dataCoding   byte
	payload      []byte // with header
	tlv          map[uint16][]byte
	header       sms.Header
	text         []byte      // the payload without header
	concat       *sms.Concat // by header or by SAR parameters; nil = it stands alone
}

var errCut = errors.New("the PDU is cut")

// readDelivery takes a PDU apart. Optional parameters that make no sense are left out, so that the message is kept.
func readDelivery(f frame) (d delivery, err error) {
	b := f.body()
	var ok bool
	one := func() (v byte) {
		if len(b) == 0 {
			err = errCut
			return 0
		}
		v, b = b[0], b[1:]
		return v
	}
	str := func() (s string) {
		if s, b, ok = cString(b); !ok {
			err = errCut
		}
		return s
	}
	str() // service_type
	d.source = party{one(), one(), str()}
	d.dest = party{one(), one(), str()}
	d.esmClass = one()
	switch f.command {
	case deliverSM:
		one() // protocol_id
		one() // priority_flag
		str() // schedule_delivery_time
		str() // validity_period
		one() // registered_delivery
		one() // replace_if_present_flag
		d.dataCoding = one()
		one() // sm_default_msg_id
		n := int(one())
		if n > len(b) {
			err = errCut
		}
		if err != nil {
			return d, err
		}
		d.payload, b = b[:n], b[n:]
	case dataSM:
		one() // registered_delivery
		d.dataCoding = one()
		if err != nil {
			return d, err
		}
	default:
		return d, fmt.Errorf("command 0x%08X is no delivery", uint32(f.command))
	}
	d.tlv = map[uint16][]byte{}
	for len(b) >= 4 {
		tag, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			break
		}
		d.tlv[tag] = b[4 : 4+n]
		b = b[4+n:]
	}
	if len(d.payload) == 0 {
		d.payload = d.tlv[tagMessagePayload]
	}
	d.text = d.payload
	if d.esmClass&data.SM_UDH_GSM != 0 {
		if d.header, d.text, err = sms.ParseUDH(d.payload); err != nil {
			return d, err
		}
		d.concat = d.header.Concat
	}
	if ref, total, seq := d.tlv[tagSARRef], d.tlv[tagSARTotal], d.tlv[tagSARSeq]; d.concat == nil && len(ref) == 2 && len(total) == 1 && len(seq) == 1 {
		if c := (sms.Concat{Ref: binary.BigEndian.Uint16(ref), Wide: true, Total: total[0], Seq: seq[0]}); c.Seq >= 1 && c.Seq <= c.Total {
			d.concat = &c
		}
	}
	if d.concat != nil && d.concat.Total == 1 {
		d.concat = nil
	}
	return d, nil
}

// outPDU is a PDU of ours: gosmpp writes it.
func marshal(p pdu.PDU, seq uint32) []byte {
	p.SetSequenceNumber(int32(seq))
	b := pdu.NewBuffer(nil)
	p.Marshal(b)
	return b.Bytes()
}

// headerOnly is a PDU without a body.
func headerOnly(c command, s status, seq uint32) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint32(b, 16)
	binary.BigEndian.PutUint32(b[4:], uint32(c))
	binary.BigEndian.PutUint32(b[8:], uint32(s))
	binary.BigEndian.PutUint32(b[12:], seq)
	return b
}

// answerTo is the response to a delivery: deliver_sm_resp and data_sm_resp have a message_id that is unused (SMPP §4.6.2).
func answerTo(f frame, s status) []byte {
	b := append(headerOnly(f.command|response, s, f.seq), 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}
