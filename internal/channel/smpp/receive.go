package smpp

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/encoding/charmap"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

// Reparse implements channel.Reparser.
func (Driver) Reparse(a channel.Account, raw []byte) ([]channel.Event, error) {
	return parse(a.Settings, raw)
}

// parse reads PDUs one after the other: a receipt, a message, or the parts of one message in any order, perhaps not all of
// them. It is pure.
func parse(s channel.Settings, raw []byte) ([]channel.Event, error) {
	var ds []delivery
	for r := bytes.NewReader(raw); r.Len() > 0; {
		f, err := readFrame(r)
		if err != nil {
			return nil, fmt.Errorf("read the PDU: %w", err)
		}
		d, err := readDelivery(f)
		if err != nil {
			return nil, fmt.Errorf("read the message: %w", err)
		}
		ds = append(ds, d)
	}
	if len(ds) == 0 {
		return nil, errors.New("there is no PDU")
	}
	if isReceipt(ds[0]) {
		return receipt(s, ds[0])
	}
	return message(s, ds)
}

// isReceipt tells delivery receipts and notifications from messages (SMPP §5.2.12). Without these bits only the optional
// parameter counts: what looks like a receipt may have been typed by somebody.
func isReceipt(d delivery) bool {
	switch d.esmClass & 0x3C {
	case 0x04, 0x20: // SMSC delivery receipt, intermediate notification
		return true
	case 0:
		return len(d.tlv[tagReceiptedID]) > 0 && len(d.tlv[tagMessageState]) > 0
	}
	return false
}

// alphabet is how the text of a delivery is written (SMPP §5.2.19; TS 23.038 §4 for what SMPP leaves to it).
func alphabet(s channel.Settings, coding byte) string {
	switch coding {
	case 0:
		return s.Or("default_alphabet", gsm7)
	case 1, 3: // IA5, Latin-1
		return latin1
	case 6:
		return "iso-8859-5"
	case 7:
		return "iso-8859-8"
	case 8:
		return "ucs-2"
	}
	group := coding & 0x0C
	if coding >= 0xF0 { // data coding with message class
		group = coding & 0x04
	} else if coding < 0x10 || coding >= 0x40 {
		return ""
	}
	switch group {
	case 0:
		return s.Or("default_alphabet", gsm7)
	case 0x08:
		return "ucs-2"
	}
	return ""
}

func decode(b []byte, alphabet string) string {
	var m *charmap.Charmap
	switch alphabet {
	case gsm7:
		return sms.DecodeGSM7(b)
	case "ucs-2":
		return sms.DecodeUCS2(b)
	case "iso-8859-5":
		m = charmap.ISO8859_5
	case "iso-8859-8":
		m = charmap.ISO8859_8
	default:
		m = charmap.ISO8859_1
	}
	out, _ := m.NewDecoder().Bytes(b)
	return string(out)
}

// gap stands where a part of a message never came.
const gap = " […] "

// message makes the event of a message from its parts.
func message(s channel.Settings, ds []delivery) ([]channel.Event, error) {
	slices.SortStableFunc(ds, func(a, b delivery) int { return seq(a) - seq(b) })
	first := ds[0]
	from, also := addressOf(s, first.source)
	if from == "" {
		return nil, errors.New("the message has no sender")
	}
	hash := []string{from}
	m := &channel.Message{}
	var text strings.Builder
	var run []byte
	before, running := 0, ""
	flush := func() {
		text.WriteString(decode(run, running))
		run = nil
	}
	total := 1
	for i, d := range ds {
		if i > 0 && (d.source != first.source || d.dest != first.dest) {
			return nil, errors.New("these are parts of several messages")
		}
		n := seq(d)
		if d.concat != nil {
			total = int(d.concat.Total)
			if i > 0 && n == before {
				continue
			}
		}
		hash = append(hash, contentHash(d))
		a := alphabet(s, d.dataCoding)
		if a == "" {
			m.Unsupported = fmt.Sprintf("data_coding %d", d.dataCoding)
			continue
		}
		missing := d.concat != nil && n > before+1
		if a != running || missing { // neighbours are decoded together: some senders tear pairs
			flush()
			running = a
		}
		if missing {
			text.WriteString(gap)
		}
		run = append(run, d.text...)
		before = n
	}
	flush()
	if ds[len(ds)-1].concat != nil && before < total && m.Unsupported == "" {
		text.WriteString(gap)
	}
	m.Text = strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(text.String(), "\x00", ""), "\uFFFD"))
	if m.Text == "" && m.Unsupported == "" {
		m.Unsupported = "empty message"
	}
	m.Automatic = also == sms.Alphanumeric // a name cannot be answered
	m.ExternalID = channel.HashKey("m", hash...)
	sender := channel.Address{Value: from, Assurance: channel.Claimed}
	events := []channel.Event{{Key: "msg:" + m.ExternalID, Type: channel.MessageEvent, Sender: sender, Message: m}}
	if sms.ParseWord(m.Text) == sms.Stop {
		events = append(events, channel.Event{Key: "opt_out:" + m.ExternalID, Type: channel.OptOutEvent, Sender: sender})
	}
	return events, nil
}

func seq(d delivery) int {
	if d.concat == nil {
		return 1
	}
	return int(d.concat.Seq)
}

// contentHash names what a PDU says; a PDU that is sent again has the same one, though not the same sequence_number.
func contentHash(d delivery) string {
	sar := ""
	if d.concat != nil {
		sar = fmt.Sprint(*d.concat)
	}
	return channel.HashKey("p", fmt.Sprint(d.source, d.dest, d.dataCoding), string(d.payload), sar)
}

// addressOf reads an address: E.164 with "+", a short code or a name.
func addressOf(s channel.Settings, p party) (value string, kind sms.PartyKind) {
	raw := strings.TrimSpace(strings.ToValidUTF8(p.addr, ""))
	region := s["default_region"]
	var q sms.Party
	switch {
	case p.ton == 1: // international
		q = sms.FromProvider(raw)
	case p.ton == 2 || strings.HasPrefix(raw, "0"): // national
		q = sms.ParseParty(raw, region)
	default: // unknown, network specific, subscriber, alphanumeric, abbreviated
		if q = sms.ParseParty(raw, ""); q.Kind == sms.Nobody || q.Kind == sms.ShortCode && len(q.Value) > 6 {
			q = sms.FromProvider(raw)
		}
	}
	if q.Kind == sms.Nobody {
		return channel.CleanName(raw), sms.Nobody
	}
	return q.Value, q.Kind
}

// receiptText is the text of a receipt (SMPP appendix B): "id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… text:…".
var receiptText = regexp.MustCompile(`(?i)(?:^|[\s;,])(id|stat|err|sub|dlvrd|submit date|done date|text)\s*[:=]\s*([^\s;,]*)`)

// receipt makes the event of a delivery receipt.
func receipt(s channel.Settings, d delivery) ([]channel.Event, error) {
	fields := map[string]string{}
	a := alphabet(s, d.dataCoding)
	if a == gsm7 {
		a = latin1 // receipts are written in ASCII, where "_" is what it is
	}
	body := decode(d.text, a)
	for _, m := range receiptText.FindAllStringSubmatch(body, -1) {
		k := strings.ToLower(m[1])
		if k == "text" {
			break // words of the message follow
		}
		if _, ok := fields[k]; !ok {
			fields[k] = m[2]
		}
	}
	// The optional parameter is what submit_sm_resp said (SMPP §5.3.2.12); the text may write it in another base.
	id, sure := plain(d.tlv[tagReceiptedID]), true
	if id == "" {
		id, sure = fields["id"], false
	}
	if id = normalID(id); id == "" {
		return nil, errors.New("the receipt does not name a message")
	}
	if !sure {
		switch s["receipt_id"] {
		case idDecimal:
			id = rebase(id, 10, 16)
		case idHex:
			id = rebase(id, 16, 10)
		}
	}
	st := &channel.Status{ExternalID: id}
	word := strings.ToUpper(fields["stat"])
	if b := d.tlv[tagMessageState]; len(b) == 1 {
		word = messageStates[b[0]]
	}
	st.State, st.Reason = fate(word)
	if st.State == "" {
		return nil, fmt.Errorf("the receipt says %q, which is unknown here", word)
	}
	if st.State == channel.Failed {
		st.Error = word
		if e := fields["err"]; strings.Trim(e, "0") != "" {
			st.Code = e
		}
		if b := d.tlv[tagNetworkError]; len(b) == 3 && (b[1] != 0 || b[2] != 0) {
			st.Code = fmt.Sprint(int(b[1])<<8 | int(b[2]))
		}
	}
	to, _ := addressOf(s, d.source)
	return []channel.Event{{Key: "status:" + id + ":" + string(st.State), Type: channel.StatusEvent, Sender: channel.Address{Value: to}, Status: st}}, nil
}

func plain(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// messageStates are the values of message_state (SMPP §5.2.28) in the words of receipts.
var messageStates = map[byte]string{0: "SCHEDULED", 1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD", 7: "UNKNOWN", 8: "REJECTD", 9: "SKIPPED"}

// fate says what a state of a receipt means (SMPP appendix B).
func fate(word string) (channel.State, channel.Text) {
	switch word {
	case "DELIVRD", "DELIVERED":
		return channel.Delivered, channel.Text{}
	case "ENROUTE", "ACCEPTD", "ACCEPTED", "SCHEDULED", "BUFFRED", "BUFFERED":
		return channel.Sent, channel.Text{}
	case "EXPIRED":
		return channel.Failed, channel.Text{DE: "Das Telefon war zu lange nicht erreichbar.", EN: "The phone could not be reached for too long."}
	case "UNDELIV", "UNDELIVERABLE", "FAILED":
		return channel.Failed, channel.Text{DE: "Die Nachricht ist nicht zustellbar.", EN: "The message cannot be delivered."}
	case "REJECTD", "REJECTED":
		return channel.Failed, channel.Text{DE: "Das Netz hat die Nachricht abgelehnt.", EN: "The network rejected the message."}
	case "DELETED", "SKIPPED":
		return channel.Failed, channel.Text{DE: "Die Nachricht wurde im Netz gelöscht.", EN: "The message was deleted in the network."}
	case "UNKNOWN":
		return channel.Failed, channel.Text{DE: "Das Netz weiß nicht, was aus der Nachricht wurde.", EN: "The network does not know what became of the message."}
	}
	return "", channel.Text{}
}

// normalID writes the id of a message in one way: providers change capitals and leading zeros of numbers.
func normalID(id string) string {
	id = strings.TrimSpace(strings.ToValidUTF8(strings.TrimRight(id, "\x00"), ""))
	if id == "" || len(id) > 64 || strings.Trim(id, "0123456789abcdefABCDEF") != "" {
		return id
	}
	if id = strings.TrimLeft(strings.ToLower(id), "0"); id == "" {
		return "0"
	}
	return id
}

// rebase writes a number in another base; what is none in the first stays.
func rebase(id string, from, to int) string {
	n, ok := new(big.Int).SetString(id, from)
	if !ok || n.Sign() < 0 || len(id) > 64 {
		return id
	}
	return n.Text(to)
}
