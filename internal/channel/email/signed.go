package email

// This file takes the content out of an S/MIME message that is signed but not encrypted in the opaque form
// (RFC 8551 §3.5.2): its words lie inside the CMS structure (RFC 5652 §5), where only programs that know S/MIME find
// them. The signature is not checked; the structure itself stays listed as a file.

// signedContent returns the content that a CMS SignedData encloses, nil if it is none. Outlook and others write BER
// with indefinite lengths and strings in pieces, which encoding/asn1 does not read.
func signedContent(b []byte) []byte {
	oid := func(v []byte, last byte) bool { // 1.2.840.113549.1.7.x
		return len(v) == 9 && string(v[:8]) == "\x2a\x86\x48\x86\xf7\x0d\x01\x07" && v[8] == last
	}
	info, ok := berFirst(b, 0x30)
	if !ok {
		return nil
	}
	kind, rest, ok := berNext(info)
	if !ok || kind.tag != 0x06 || !oid(kind.value, 2) {
		return nil
	}
	explicit, ok := berFirst(rest, 0xA0)
	if !ok {
		return nil
	}
	signed, ok := berFirst(explicit, 0x30)
	if !ok {
		return nil
	}
	for range 2 { // version, digestAlgorithms
		if _, signed, ok = berNext(signed); !ok {
			return nil
		}
	}
	encap, ok := berFirst(signed, 0x30)
	if !ok {
		return nil
	}
	kind, rest, ok = berNext(encap)
	if !ok || kind.tag != 0x06 || !oid(kind.value, 1) {
		return nil
	}
	if explicit, ok = berFirst(rest, 0xA0); !ok {
		return nil
	}
	content, _, ok := berNext(explicit)
	if !ok {
		return nil
	}
	switch content.tag {
	case 0x04:
		return content.value
	case 0x24: // in pieces
		var out []byte
		for rest := content.value; len(rest) > 0; {
			var piece ber
			if piece, rest, ok = berNext(rest); !ok || piece.tag != 0x04 {
				break
			}
			out = append(out, piece.value...)
		}
		return out
	}
	return nil
}

// ber is one element: tag with class and form, and content.
type ber struct {
	tag   byte
	value []byte
}

func berFirst(b []byte, tag byte) ([]byte, bool) {
	e, _, ok := berNext(b)
	return e.value, ok && e.tag == tag
}

// berNext reads one element (X.690 §8.1) with a low tag number. The content of an indefinite length runs to the end of
// b at most; where it really ends is found by going through it, at most a few levels deep.
func berNext(b []byte) (e ber, rest []byte, ok bool) { return berLevel(b, 0) }

func berLevel(b []byte, depth int) (e ber, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f || depth > 12 {
		return ber{}, nil, false
	}
	e.tag = b[0]
	n, head := int(b[1]), 2
	switch {
	case n < 0x80:
	case n == 0x80:
		if e.tag&0x20 == 0 {
			return ber{}, nil, false
		}
		end := 2
		for {
			if end+2 <= len(b) && b[end] == 0 && b[end+1] == 0 {
				e.value = b[2:end]
				return e, b[end+2:], true
			}
			_, after, ok := berLevel(b[end:], depth+1)
			if !ok {
				// Cut off, or nonsense further on: what is there is what there is.
				e.value = b[2:]
				return e, nil, true
			}
			end = len(b) - len(after)
		}
	default:
		size := n & 0x7f
		if size > 4 || len(b) < 2+size {
			return ber{}, nil, false
		}
		n, head = 0, 2+size
		for _, c := range b[2:head] {
			n = n<<8 | int(c)
		}
	}
	if n < 0 || n > len(b)-head {
		return ber{}, nil, false
	}
	e.value = b[head : head+n]
	return e, b[head+n:], true
}
