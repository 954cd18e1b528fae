package email

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// This file unpacks winmail.dat: Outlook's own container for files and formatting (TNEF, [MS-OXTNEF], and the
// properties of [MS-OXCMSG] in it). Nothing is copied but names; what is broken ends the reading, and what was found
// until then counts.

// tnefFile is one file in the container.
type tnefFile struct {
	name, mediaType, contentID string
	data                       []byte
}

// tnefContent is what a container holds.
type tnefContent struct {
	files      []tnefFile
	subject    string
	text, html string // the message's own words, for mails that have them nowhere else
	whole      bool   // read to its end
}

const (
	tnefSignature = 0x223E9F78
	tnefMaxDepth  = 3 // messages within messages
)

// Attributes ([MS-OXTNEF] §2.1.3.2) and properties ([MS-OXPROPS]) that are read.
const (
	attSubject     = 0x00018004
	attBody        = 0x0002800C
	attAttachData  = 0x0006800F
	attAttachTitle = 0x00018010
	attRendData    = 0x00069002
	attMsgProps    = 0x00069003
	attAttachment  = 0x00069005
	attOemCodepage = 0x00069007

	propSubject      = 0x0037
	propBody         = 0x1000
	propBodyHTML     = 0x1013
	propDisplayName  = 0x3001
	propAttachData   = 0x3701
	propFilename     = 0x3704
	propLongFilename = 0x3707
	propMimeTag      = 0x370E
	propContentID    = 0x3712
	propCodepage     = 0x3FDE // PidTagInternetCodepage
)

// isTNEF tells whether the content begins as a container does.
func isTNEF(b []byte) bool {
	return len(b) >= 6 && binary.LittleEndian.Uint32(b) == tnefSignature
}

// readTNEF unpacks a container. left is how many files may still be taken.
func readTNEF(b []byte, depth int, left *int) (c tnefContent) {
	if !isTNEF(b) {
		return c
	}
	b = b[6:]
	codepage := "windows-1252"
	var file *tnefFile
	var embedded *tnefContent
	flush := func() {
		if file != nil && *left > 0 && (file.data != nil || embedded != nil) {
			if embedded != nil {
				// A message as an attachment: its words as one file, and its files beside it.
				if words := strings.TrimSpace(embedded.words()); words != "" {
					*left--
					name := embedded.subject
					if name == "" {
						name = strings.TrimSuffix(file.name, ".msg")
					}
					c.files = append(c.files, tnefFile{name: strings.NewReplacer("/", "-", `\`, "-").Replace(name) + ".txt", mediaType: "text/plain", data: []byte(words)})
				}
				c.files = append(c.files, embedded.files...)
			} else {
				*left--
				c.files = append(c.files, *file)
			}
		}
		file, embedded = nil, nil
	}
	for {
		if len(b) < 9 {
			c.whole = len(b) == 0
			break
		}
		level, id, size := b[0], binary.LittleEndian.Uint32(b[1:]), int64(binary.LittleEndian.Uint32(b[5:]))
		if level != 1 && level != 2 || size+2 > int64(len(b)-9) {
			break
		}
		data := b[9 : 9+size]
		b = b[9+size+2:] // the checksum behind the data is not worth losing a file over
		switch id {
		case attOemCodepage:
			if len(data) >= 4 {
				codepage = codepageName(binary.LittleEndian.Uint32(data))
			}
		case attSubject:
			c.subject = cleanLine(tnefString(data, codepage), 200)
		case attBody:
			c.text = tnefString(data, codepage)
		case attMsgProps:
			html, htmlSet := []byte(nil), ""
			tnefProps(data, func(id, kind uint16, v []byte) {
				switch {
				case id == propSubject:
					c.subject = cleanLine(tnefValue(kind, v, codepage), 200)
				case id == propBody:
					c.text = tnefValue(kind, v, codepage)
				case id == propBodyHTML && kind == 0x0102:
					html = v
				case id == propBodyHTML:
					c.html = tnefValue(kind, v, codepage)
				case id == propCodepage && len(v) >= 4:
					htmlSet = codepageName(binary.LittleEndian.Uint32(v))
				}
			})
			if html != nil {
				if set := metaCharset(html); set != "" {
					htmlSet = set
				}
				c.html = decodeCharset(htmlSet, html)
			}
		case attRendData:
			flush()
			file = &tnefFile{}
		case attAttachTitle:
			if file == nil {
				file = &tnefFile{}
			}
			if file.name == "" {
				file.name = tnefString(data, codepage)
			}
		case attAttachData:
			if file == nil {
				file = &tnefFile{}
			}
			file.data = data
			if file.data == nil {
				file.data = []byte{}
			}
		case attAttachment:
			if file == nil {
				file = &tnefFile{}
			}
			long, display := "", ""
			tnefProps(data, func(id, kind uint16, v []byte) {
				switch id {
				case propLongFilename:
					long = tnefValue(kind, v, codepage)
				case propFilename:
					if long == "" {
						long = tnefValue(kind, v, codepage)
					}
				case propDisplayName:
					display = tnefValue(kind, v, codepage)
				case propMimeTag:
					file.mediaType = strings.ToLower(cleanLine(tnefValue(kind, v, codepage), 100))
				case propContentID:
					file.contentID = strings.Trim(cleanLine(tnefValue(kind, v, codepage), 500), "<>")
				case propAttachData:
					switch {
					case kind == 0x000D && len(v) > 16 && isTNEF(v[16:]):
						if depth < tnefMaxDepth {
							inner := readTNEF(v[16:], depth+1, left)
							embedded = &inner
						} else {
							file.data = v[16:]
						}
					case kind == 0x000D && len(v) > 16:
						file.data = v[16:]
					case kind == 0x0102:
						file.data = v
					}
				}
			})
			if long != "" {
				file.name = long
			} else if display != "" && (file.name == "" || embedded != nil) {
				file.name = display
			}
		}
	}
	flush()
	return c
}

// words are the message's own, as plain text.
func (c tnefContent) words() string {
	if strings.TrimSpace(c.text) != "" {
		return c.text
	}
	if c.html != "" {
		return htmlText(c.html)
	}
	return ""
}

// tnefProps goes through a list of MAPI properties ([MS-OXTNEF] §2.1.3.4) and ends where it is broken.
func tnefProps(b []byte, each func(id, kind uint16, value []byte)) {
	take := func(n int64) []byte {
		if n < 0 || n > int64(len(b)) {
			b = nil
			return nil
		}
		v := b[:n]
		b = b[n:]
		return v
	}
	number := func() (uint32, bool) {
		v := take(4)
		if v == nil {
			return 0, false
		}
		return binary.LittleEndian.Uint32(v), true
	}
	padded := func(n uint32) []byte {
		v := take(int64(n))
		take(min(int64(len(b)), int64(-n&3)))
		return v
	}
	count, ok := number()
	for ; ok && count > 0 && len(b) >= 4; count-- {
		head := take(4)
		kind, id := binary.LittleEndian.Uint16(head), binary.LittleEndian.Uint16(head[2:])
		if id >= 0x8000 { // a named property: its name first
			if take(16) == nil {
				return
			}
			named, ok := number()
			if !ok {
				return
			}
			n, ok := number()
			if !ok {
				return
			}
			if named == 1 {
				padded(n)
			}
		}
		size := uint32(0)
		switch kind &^ 0x1000 {
		case 0x0002, 0x000B, 0x0003, 0x0004, 0x000A:
			size = 4
		case 0x0005, 0x0006, 0x0007, 0x0014, 0x0040:
			size = 8
		case 0x0048:
			size = 16
		case 0x001E, 0x001F, 0x0102, 0x000D:
		default:
			return // its length is not known
		}
		values := uint32(1)
		if size == 0 || kind&0x1000 != 0 {
			if values, ok = number(); !ok {
				return
			}
		}
		for i := uint32(0); i < values; i++ {
			n := size
			if size == 0 {
				if n, ok = number(); !ok {
					return
				}
			}
			v := padded(n)
			if v == nil {
				return
			}
			if i == 0 {
				each(id, kind, v)
			}
			if n == 0 && len(b) == 0 {
				return
			}
		}
	}
}

// tnefValue reads a text property.
func tnefValue(kind uint16, v []byte, codepage string) string {
	if kind != 0x001F {
		return tnefString(v, codepage)
	}
	units := make([]uint16, len(v)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(v[2*i:])
	}
	s, _, _ := strings.Cut(string(utf16.Decode(units)), "\x00")
	return cleanText(s)
}

func tnefString(v []byte, codepage string) string {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return decodeCharset(codepage, v)
}

func codepageName(n uint32) string {
	switch n {
	case 65001:
		return "utf-8"
	case 20127:
		return "us-ascii"
	case 932:
		return "shift_jis"
	case 936:
		return "gbk"
	case 949:
		return "euc-kr"
	case 950:
		return "big5"
	}
	switch {
	case n > 28590 && n <= 28605:
		return fmt.Sprintf("iso-8859-%d", n-28590)
	case n >= 1250 && n <= 1258:
		return fmt.Sprintf("windows-%d", n)
	case n == 850 || n == 852 || n == 866 || n == 437:
		return fmt.Sprintf("ibm%d", n)
	}
	return "windows-1252"
}

// typeByName gives the media type of a file that has only a name.
func typeByName(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "application/octet-stream"
	}
	switch strings.ToLower(name[i+1:]) {
	case "pdf":
		return "application/pdf"
	case "jpg", "jpeg":
		return "image/jpeg"
	case "png":
		return "image/png"
	case "gif":
		return "image/gif"
	case "heic":
		return "image/heic"
	case "tif", "tiff":
		return "image/tiff"
	case "txt":
		return "text/plain"
	case "csv":
		return "text/csv"
	case "ics":
		return "text/calendar"
	case "vcf":
		return "text/vcard"
	case "zip":
		return "application/zip"
	case "docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	case "xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case "pptx":
		return "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	case "doc":
		return "application/msword"
	case "xls":
		return "application/vnd.ms-excel"
	case "eml":
		return "message/rfc822"
	}
	return "application/octet-stream"
}
