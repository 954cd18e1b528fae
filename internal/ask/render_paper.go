package ask

import (
	"strings"
)

// paper renders for a letter: boxes to tick or lines to write on, the reply code, the page's address, a telephone number.
func (x *renderer) paper() {
	w, a := x.w, x.a
	x.buf = x.buf[:0]
	x.out.Way = Boxes
	if x.s.Introduce != "" {
		x.para()
		x.add(w.introduce[0], x.s.Introduce, w.introduce[1])
	}
	x.paragraph(x.get(x.s.Text))
	if a == nil {
		x.out.Way = ""
		if x.machine {
			x.paragraph(w.machine)
		}
		if x.s.Person {
			x.out.Boxes = append(x.out.Boxes, x.callMe())
			x.out.Foot = x.foot()
		}
		x.out.Text = string(x.buf)
		return
	}
	x.paragraph(x.s.Again)
	x.paragraph(x.get(a.Text))
	x.hints(part{short: true})
	if x.machine {
		x.paragraph(w.machine)
	}
	blank := "" // a line to write on
	switch {
	case a.Kind == ManyOf:
		x.paragraph(w.paperMany)
	case a.single() && len(x.opts) > 0:
		x.paragraph(w.paperOne)
	case a.single(): // no free slots
		x.problem("no_reply", "", "there are no free slots to choose from; fill in options from the calendar")
		x.out.Way = Nothing
	case a.Kind == Signature:
		x.paragraph(w.paperSign)
		blank = w.paperSigned
	case a.Kind == File:
		x.paragraph(w.paperFile)
	case a.Kind == Payment:
		x.paragraph(w.paperPay)
		if x.o.URL == "" {
			x.problem("needs_page", "", "a payment needs the page, whose address is unknown")
			x.problem("no_reply", "", "a payment cannot be made on paper")
			x.out.Way = Nothing
		}
	default:
		x.paragraph(w.paperFree)
		blank = w.paperAnswer
	}
	if a.Optional {
		x.paragraph(w.paperOptional)
	}
	if blank != "" {
		x.out.Boxes = append(x.out.Boxes, Choice{Label: blank})
	}
	for i := range x.opts {
		x.out.Boxes = append(x.out.Boxes, Choice{Data: Payload(x.o.Code, x.opts[i].n), Label: x.opts[i].label, Description: x.opts[i].desc})
		if x.o.URL != "" && a.single() {
			x.out.Boxes[len(x.out.Boxes)-1].URL = x.optionURL(x.opts[i].n)
		}
	}
	if x.s.Person {
		x.out.Boxes = append(x.out.Boxes, x.callMe())
	}
	x.out.Text = string(x.buf)
	x.out.Foot = x.foot()
}

func (x *renderer) callMe() Choice {
	return Choice{Data: Payload(x.o.Code, PersonOption), Label: x.w.personPaper, Person: true}
}

// foot is what stands under the boxes.
func (x *renderer) foot() string {
	w := x.w
	var b strings.Builder
	b.WriteString(w.paperSend)
	b.WriteString("\n" + w.paperCode)
	if x.o.Code == "" {
		b.WriteString(w.paperNoCode)
	} else {
		b.WriteString(GroupCode(x.o.Code))
	}
	if x.o.URL != "" && x.a != nil {
		b.WriteString("\n" + w.paperPage + x.o.URL)
	}
	if x.o.Phone != "" {
		b.WriteString("\n" + w.paperPhone + x.o.Phone)
	}
	return b.String()
}

// GroupCode writes a code in groups of four, as it is printed and read aloud: "abcd-efgh-jkmn".
func GroupCode(code string) string {
	var b strings.Builder
	for i := 0; i < len(code); i += 4 {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(code[i:min(i+4, len(code))])
	}
	return b.String()
}

// Paper is the reply part of a letter as plain text: the question, boxes to tick or lines to write on, what stands below.
func Paper(r Rendered) string {
	var b strings.Builder
	b.WriteString(wrap(r.Text, 70))
	if len(r.Boxes) > 0 {
		b.WriteString("\n")
	}
	for _, c := range r.Boxes {
		if c.Data == "" { // a line to write on
			b.WriteString("\n" + c.Label + "\n\n" + strings.Repeat("_", 70) + "\n")
			continue
		}
		b.WriteString("\n[ ] " + strings.ReplaceAll(wrap(c.Label, 66), "\n", "\n    "))
		if c.Description != "" {
			b.WriteString("\n    " + strings.ReplaceAll(wrap(c.Description, 66), "\n", "\n    "))
		}
	}
	if r.Foot != "" {
		b.WriteString("\n\n" + r.Foot)
	}
	return b.String()
}

// wrap breaks lines at words so that none is longer than most, unless a word is.
func wrap(s string, most int) string {
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		used := 0
		for j, word := range strings.Fields(line) {
			n := len([]rune(word))
			switch {
			case j == 0:
			case used+1+n > most:
				b.WriteByte('\n')
				used = 0
			default:
				b.WriteByte(' ')
				used++
			}
			b.WriteString(word)
			used += n
		}
	}
	return b.String()
}
