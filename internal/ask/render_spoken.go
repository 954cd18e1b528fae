package ask

import (
	"strconv"
	"strings"
)

// spoken renders for a telephone: what is said, and which keys answer it. "0" is always a person, "*" says it again,
// "#" ends what is keyed in, and alone leaves an optional question out.
func (x *renderer) spoken() {
	w, a := x.w, x.a
	x.buf = x.buf[:0]
	x.out.Way = Keypad
	if x.s.Introduce != "" {
		x.sentence(w.introduceSpoken[0] + x.s.Introduce + w.introduceSpoken[1])
	}
	x.sentence(x.get(x.s.Text))
	if a == nil {
		x.out.Way = ""
		if x.s.Person {
			x.sentence(w.personSpoken)
			x.key("0", Payload(x.o.Code, PersonOption), w.personButton)
		}
		x.out.Text = string(x.buf)
		return
	}
	x.sentence(x.s.Again)
	x.sentence(x.get(a.Text))
	if x.s.Again == "" {
		x.sentence(x.get(a.Hint))
	}
	if x.machine {
		x.sentence(strings.Trim(w.machine, "()"))
	}
	takes := true // the keypad can give the answer
	switch a.Kind {
	case YesNo, Consent, OneOf, Slot, ManyOf:
		if len(x.opts) == 0 || len(x.opts) > mostNumbered {
			takes = false
			if len(x.opts) > 0 {
				x.problem("too_many_options", "", strconv.Itoa(len(x.opts))+" options, at most "+strconv.Itoa(mostNumbered)+" have a key")
			}
			break
		}
		x.keys()
		if a.Kind == ManyOf {
			x.sentence(w.pressMany)
		}
	case Rating:
		if a.scale() {
			x.sentence(w.scaleSpoken)
			break
		}
		x.keys()
	case Number:
		if a.Max != nil && *a.Max < 0 {
			takes = false // a telephone has no minus
			break
		}
		begin := len(x.buf)
		x.appendNumberHint()
		hint := string(x.buf[begin:])
		x.buf = x.buf[:begin]
		x.sentence(hint)
		x.sentence(w.pressNumber)
	case Date:
		x.sentence(w.pressDate)
	case DateTime:
		x.sentence(w.pressTime)
	case Phone:
		x.sentence(w.pressPhone)
	default:
		takes = false
	}
	if !takes {
		if !x.s.Person {
			x.problem("no_reply", "", "a keypad cannot give this "+string(a.Kind)+", and no person is offered")
			x.out.Way = Nothing
		} else {
			x.problem("person_only", "", "a keypad cannot give this "+string(a.Kind)+"; a person takes it")
			x.sentence(w.onlyPerson)
		}
	}
	if a.Optional && takes {
		x.sentence(w.skipSpoken)
	}
	if x.s.Person {
		if takes {
			x.sentence(w.pressPerson)
		}
		x.key("0", Payload(x.o.Code, PersonOption), w.personButton)
	}
	x.sentence(w.again)
	x.key("*", "*", "")
	x.out.Text = string(x.buf)
}

// keys says which key chooses what.
func (x *renderer) keys() {
	x.out.Keys = make([]Key, 0, len(x.opts)+2)
	for i := range x.opts {
		x.sentence(x.w.press[0] + digits[i+1] + x.w.press[1] + x.opts[i].label + ".")
		x.key(digits[i+1], Payload(x.o.Code, x.opts[i].n), x.opts[i].label)
	}
}

func (x *renderer) key(digit, data, label string) {
	x.out.Keys = append(x.out.Keys, Key{Digit: digit, Data: data, Label: label})
}

// sentence adds one to what is spoken.
func (x *renderer) sentence(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	if n := len(x.buf); n > 0 {
		if c := x.buf[n-1]; c != '.' && c != '?' && c != '!' && c != ':' {
			x.buf = append(x.buf, '.')
		}
		x.buf = append(x.buf, ' ')
	}
	x.buf = append(x.buf, s...)
}

// Speech is what is spoken, one sentence or key a line, for the "try it" of the dialog editor.
func Speech(r Rendered) string {
	var b strings.Builder
	rest := r.Text
	for rest != "" {
		end := len(rest)
		for i := 0; i+1 < len(rest); i++ {
			if (rest[i] == '.' || rest[i] == '?' || rest[i] == '!') && rest[i+1] == ' ' && !afterDigit(rest, i) {
				end = i + 1
				break
			}
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.TrimSpace(rest[:end]))
		rest = strings.TrimSpace(rest[end:])
	}
	return b.String()
}

// afterDigit reports whether a point belongs to a day of a month ("26. November").
func afterDigit(s string, i int) bool {
	if s[i] != '.' || i == 0 || s[i-1] < '0' || s[i-1] > '9' {
		return false
	}
	for _, month := range sentencesDE.months {
		if strings.HasPrefix(s[i+2:], month) {
			return true
		}
	}
	return false
}
