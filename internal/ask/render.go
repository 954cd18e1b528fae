package ask

import (
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
)

// mostNumbered is how many options a text may number, and how many keys a telephone has beside 0.
const mostNumbered = 9

// mostLinks is how many options an HTML mail shows as links; more stand on the page.
const mostLinks = 20

// Render says how a medium carries what is said, by the degradation rule of channels.md: native fields, buttons, a list,
// links, numbers, free text, a page, keys of a telephone, paper. It is pure: the same Say, Capabilities and Options give
// the same Rendered, and nothing is read from a clock, a file or the network.
//
// Options of a payload are numbered as Labels gives them: yes is 0 and no is 1; the options of one_of, many_of and slot
// by their order; verdicts disappointing 0, ok 1, delighting 2; of the scale 0-10 the number itself.
func Render(s Say, c channel.Capabilities, o Options) Rendered {
	x := renderers.Get().(*renderer)
	x.reset(&s, &c, &o)
	x.render()
	out := x.out
	x.clear()
	renderers.Put(x)
	return out
}

var renderers = sync.Pool{New: func() any {
	return &renderer{buf: make([]byte, 0, 4096), opts: make([]option, 0, 32)}
}}

// renderer is one rendering at work; its buffers are used again.
type renderer struct {
	s       *Say
	a       *Ask // nil = nothing is asked
	c       *channel.Capabilities
	o       *Options
	w       *sentences
	lang    string // wanted
	found   string // of the question, or of what is said
	machine bool   // a text was a machine's translation
	sms     bool   // short messages: every character counts
	zone    *time.Location
	opts    []option
	buf     []byte
	out     Rendered
}

// option is something to choose, in the language of the rendering.
type option struct {
	key, label, short, desc string
	n                       int // in the payload
}

func (x *renderer) reset(s *Say, c *channel.Capabilities, o *Options) {
	x.s, x.a, x.c, x.o = s, s.Ask, c, o
	x.buf, x.opts = x.buf[:0], x.opts[:0]
	x.out = Rendered{}
	x.machine = false
	x.sms = c.TextMax > 0 && c.TextMax <= 1600 && c.Buttons == 0 && !c.Upload && !c.Forms && !c.HTML
	x.lang = o.Language
	if x.lang == "" {
		x.lang = "de"
	}
	x.found = x.lang
	switch {
	case x.a != nil && len(x.a.Text) > 0:
		_, x.found = x.a.Text.In(x.lang)
	case len(s.Text) > 0:
		_, x.found = s.Text.In(x.lang)
	}
	x.w = sentencesFor(x.found, x.sms)
	x.zone = zoneOf(x.a, o.Zone)
}

func (x *renderer) clear() {
	clear(x.opts)
	x.s, x.a, x.c, x.o, x.w, x.zone = nil, nil, nil, nil, nil, nil
	x.out = Rendered{}
	if cap(x.buf) > 1<<16 {
		x.buf = make([]byte, 0, 4096)
	}
}

// get gives a text and remembers whether a machine translated it: that is said once, after the question.
func (x *renderer) get(t Texts) string {
	if len(t) == 0 {
		return ""
	}
	w, _ := t.In(x.lang)
	if w.Machine {
		x.machine = true
	}
	return w.Text
}

func (x *renderer) problem(code, option, detail string) {
	x.out.Problems = append(x.out.Problems, RenderProblem{Code: code, Option: option, Detail: detail})
}

func (x *renderer) render() {
	if x.a != nil {
		x.languages()
		x.options()
		x.out.Subject = x.subject()
	} else if x.c.Subject {
		x.out.Subject = firstLine(x.get(x.s.Text))
	}
	switch {
	case x.c.Spoken:
		x.spoken()
	case x.c.Paper:
		x.paper()
	default:
		x.written()
	}
	if x.s.Person && !x.personReachable() {
		x.problem("no_person", "", "nothing can be answered on this medium, and there is neither a page nor a telephone number")
	}
}

// languages tells of a text that does not exist in the language that is wanted.
func (x *renderer) languages() {
	if !sameLanguage(x.lang, x.found) {
		x.problem("language_missing", "", "there is no text in "+x.lang+"; "+x.found+" is used")
	}
}

// sameLanguage reports whether somebody who wants one understands the other. Leichte Sprache is a language of its own.
func sameLanguage(want, found string) bool {
	if want == "de-simple" || found == "de-simple" {
		return want == found
	}
	a, _, _ := strings.Cut(want, "-")
	b, _, _ := strings.Cut(found, "-")
	return a == b
}

func (x *renderer) personReachable() bool {
	if x.c.OneWay {
		return x.o.Phone != "" || x.linked()
	}
	return true // typed, pressed, or sent back
}

// linked reports whether the page can be reached from here.
func (x *renderer) linked() bool { return x.c.Links && x.o.URL != "" }

// options fills in what there is to choose.
func (x *renderer) options() {
	x.opts = x.a.appendOptions(x.opts, x.w, x.lang, x.zone, x.c.Spoken)
	for i := range x.a.Options {
		o := &x.a.Options[i]
		if w, _ := o.Label.In(x.lang); w.Machine {
			x.machine = true
		}
	}
}

// appendOptions gives the options of an ask in one language, in the order of their numbers.
func (a *Ask) appendOptions(out []option, w *sentences, lang string, zone *time.Location, spoken bool) []option {
	text := func(t Texts) string {
		if len(t) == 0 {
			return ""
		}
		words, _ := t.In(lang)
		return words.Text
	}
	switch a.Kind {
	case YesNo, Consent:
		yes, no := text(a.Yes), text(a.No)
		if yes == "" {
			yes = w.yes
		}
		if no == "" {
			no = w.no
		}
		return append(out, option{key: "yes", label: yes, n: 0}, option{key: "no", label: no, n: 1})
	case OneOf, ManyOf, Slot:
		for i := range a.Options {
			o := &a.Options[i]
			v := option{key: o.Key, label: text(o.Label), short: text(o.Short), desc: text(o.Description), n: i}
			if v.label == "" && !o.Start.IsZero() {
				at := o.Start.In(zone)
				if spoken {
					v.label = w.spokenTime(at)
				} else {
					v.label = w.longTime(at)
					if v.short == "" {
						v.short = w.shortTime(at)
					}
				}
			}
			if v.label == "" {
				v.label = o.Key
			}
			out = append(out, v)
		}
		return out
	case Rating:
		if a.Scale == "0-10" {
			for n := range len(digits) {
				out = append(out, option{key: digits[n], label: digits[n], n: n})
			}
			return out
		}
		for n, key := range verdictKeys {
			out = append(out, option{key: key, label: w.verdict[n], n: n})
		}
	}
	return out
}

var (
	digits      = [...]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}
	verdictKeys = [...]string{Disappointing, Fine, Delighting}
)

// Labels gives what there is to choose, in one language, in the order of the numbers in payloads: the key that the
// answer is stored as and its label. It is nil for asks that are answered freely.
func (a Ask) Labels(language, zone string) (keys, labels []string) {
	_, found := a.Text.In(language)
	w := sentencesFor(found, false)
	for _, o := range a.appendOptions(nil, w, language, zoneOf(&a, zone), false) {
		keys, labels = append(keys, o.key), append(labels, o.label)
	}
	return keys, labels
}

// scale reports whether it is the rating from 0 to 10: numbers that need no list.
func (a *Ask) scale() bool { return a.Kind == Rating && a.Scale == "0-10" }

// single reports whether exactly one option is chosen.
func (a *Ask) single() bool {
	switch a.Kind {
	case YesNo, Consent, OneOf, Slot, Rating:
		return true
	}
	return false
}

// written renders for media on which one reads and types.
func (x *renderer) written() {
	if x.a == nil {
		personButton := x.personFits(0, part{noPerson: true})
		x.finish("", part{noPerson: personButton}, personButton)
		return
	}
	if x.c.OneWay { // nothing comes back from here
		if x.linked() {
			x.finish(Page, part{page: x.w.page, link: x.w.pageLink}, false)
			return
		}
		x.problem("no_reply", "", "nothing can be answered on this medium, and it cannot link to the page")
		x.finish(Nothing, part{}, false)
		return
	}
	if x.a.Kind == Slot && len(x.opts) == 0 && len(x.a.Options) == 0 {
		x.problem("no_reply", "", "there are no free slots to choose from; fill in options from the calendar")
		x.finish(Nothing, part{hint: x.w.empty}, false)
		return
	}
	switch x.a.Kind {
	case Payment:
		x.onPage(x.w.pagePay, x.w.pageLinkPay)
		return
	case Signature:
		if !x.c.Forms || x.linked() { // fields of the medium's own only where there is no page (a counter's screen)
			x.onPage(x.w.pageSign, x.w.pageLinkSign)
			return
		}
	case File:
		if !x.c.Upload {
			x.onPage(x.w.pageFile, x.w.pageLinkFile)
			return
		}
	}
	if x.c.Forms {
		x.native()
		return
	}
	if !x.a.single() && x.a.Kind != ManyOf {
		x.free()
		return
	}
	if x.a.single() {
		before := len(x.out.Problems)
		if x.buttons() {
			return
		}
		after := len(x.out.Problems)
		if x.list() { // what is too long for a button is no trouble in a list that carries it
			x.out.Problems = append(x.out.Problems[:before], x.out.Problems[after:]...)
			return
		}
	}
	x.numbered()
}

// native uses the medium's own fields, and its buttons where they fit.
func (x *renderer) native() {
	x.out.Form = true
	p := part{short: true}
	if x.a.single() && len(x.opts) <= x.c.Buttons && x.labelsFit(x.c.ButtonTitleMax, false) && x.dataFits() {
		x.choices(x.c.ButtonTitleMax)
	}
	x.free1(Native, p)
}

// buttons reports whether native choices carry it.
func (x *renderer) buttons() bool {
	if x.c.Buttons == 0 || len(x.opts) == 0 || len(x.opts) > x.c.Buttons {
		return false
	}
	if !x.labelsFit(x.c.ButtonTitleMax, true) || !x.dataFits() {
		return false
	}
	text := x.compose(part{short: true, noPerson: len(x.opts) < x.c.Buttons})
	if x.tooLong(text, true) {
		return false
	}
	x.choices(x.c.ButtonTitleMax)
	person := len(x.opts) < x.c.Buttons && x.s.Person
	x.finish(Buttons, part{short: true, noPerson: person}, person)
	return true
}

// list reports whether a native list carries it.
func (x *renderer) list() bool {
	if x.c.ListRows == 0 || len(x.opts) == 0 || len(x.opts) > x.c.ListRows {
		return false
	}
	if !x.labelsFit(x.c.ListTitleMax, true) || !x.dataFits() {
		return false
	}
	person := len(x.opts) < x.c.ListRows && x.s.Person
	if x.tooLong(x.compose(part{short: true, noPerson: person}), true) {
		return false
	}
	x.out.Menu = x.w.menu
	switch {
	case x.a.Kind == Slot:
		x.out.Menu = x.w.menuSlot
	case x.a.Kind == Rating:
		x.out.Menu = x.w.menuRating
	}
	if x.c.ButtonTitleMax > 0 && utf8.RuneCountInString(x.out.Menu) > x.c.ButtonTitleMax {
		x.out.Menu = x.w.menu
	}
	x.choices(x.c.ListTitleMax)
	for i := range x.out.Choices {
		o := &x.opts[i]
		most := x.c.ListDescriptionMax
		fits := func(s string) bool { return s != "" && utf8.RuneCountInString(s) <= most }
		switch {
		case x.out.Choices[i].Label != o.label && fits(o.label): // the long label under the short one
			x.out.Choices[i].Description = o.label
		case fits(o.desc):
			x.out.Choices[i].Description = o.desc
		}
	}
	x.finish(List, part{short: true, noPerson: person}, person)
	return true
}

// numbered puts numbers into the text; where the medium carries HTML, links too.
func (x *renderer) numbered() {
	way := Numbered
	p := part{}
	many := x.a.Kind == ManyOf
	over := len(x.opts) > mostNumbered && !x.a.scale()
	switch {
	case over && x.linked():
		way = Page
		p.page, p.link = x.w.pageMany, x.w.pageLinkMany
	case over: // can be answered all the same: by a number, or by the words
		x.problem("too_many_options", "", strconv.Itoa(len(x.opts))+" options, at most "+strconv.Itoa(mostNumbered)+" can be numbered in a text, and there is no page to link to")
		p.numbers = true
	default:
		p.numbers = true
	}
	if x.c.HTML && x.linked() {
		p.page, p.link = x.w.orPage, x.w.pageLink
		if over {
			p.page, p.link = x.w.pageMany, x.w.pageLinkMany
		}
		if x.a.single() && len(x.opts) <= mostLinks {
			way = Links
			for i := range x.opts {
				x.out.Choices = append(x.out.Choices, Choice{Data: Payload(x.o.Code, x.opts[i].n), Label: x.opts[i].label, Description: x.opts[i].desc, URL: x.optionURL(x.opts[i].n)})
			}
		}
	} else if many && x.linked() && !x.sms && way != Page {
		p.page, p.link = x.w.orPage, x.w.pageLink // ticking is easier than typing numbers
	}
	x.free1(way, p)
}

// optionURL is the page with one option chosen already.
func (x *renderer) optionURL(n int) string {
	if strings.IndexByte(x.o.URL, '?') >= 0 {
		return x.o.URL + "&o=" + strconv.Itoa(n)
	}
	return x.o.URL + "?o=" + strconv.Itoa(n)
}

// free asks for an answer in words or as a file.
func (x *renderer) free() {
	p := part{}
	if x.c.HTML && x.linked() {
		p.page, p.link = x.w.orPage, x.w.pageLink
	}
	x.free1(Free, p)
}

// onPage links to the page for what the medium cannot carry.
func (x *renderer) onPage(sentence, link string) {
	if x.linked() {
		x.free1(Page, part{page: sentence, link: link})
		return
	}
	x.problem("needs_page", "", "a "+string(x.a.Kind)+" can only be given on the answer page, and this medium cannot link to it")
	x.problem("no_reply", "", "a "+string(x.a.Kind)+" cannot be given on this medium")
	x.finish(Nothing, part{}, false)
}

// free1 finishes with a button for a person where there is room for one, and with a line of text where there is none.
func (x *renderer) free1(way Way, p part) {
	p.noPerson = true
	person := way != Links && x.personFits(len(x.nativeChoices()), p)
	p.noPerson = person
	x.finish(way, p, person)
}

// nativeChoices are those that take a button's place (links do not).
func (x *renderer) nativeChoices() []Choice {
	if len(x.out.Choices) > 0 && x.out.Choices[0].URL != "" {
		return nil
	}
	return x.out.Choices
}

// personFits reports whether a button for a person has room beside used others under the text of these parts.
func (x *renderer) personFits(used int, p part) bool {
	return x.s.Person && used < x.c.Buttons && !x.c.OneWay &&
		fitsIn(x.w.personButton, x.c.ButtonTitleMax) && x.dataFits() && !x.over(x.compose(p), true)
}

func fitsIn(label string, most int) bool {
	return most == 0 || len(label) <= most || utf8.RuneCountInString(label) <= most
}

// labelsFit reports whether each option has a label that fits, tell makes problems of those that do not.
func (x *renderer) labelsFit(most int, tell bool) bool {
	ok := true
	for i := range x.opts {
		o := &x.opts[i]
		if fitsIn(o.label, most) || (o.short != "" && fitsIn(o.short, most)) {
			continue
		}
		ok = false
		if tell {
			x.problem("label_too_long", o.key, `"`+o.label+`" has `+strconv.Itoa(utf8.RuneCountInString(o.label))+" characters, at most "+strconv.Itoa(most)+" fit, and there is no short label that fits")
		}
	}
	return ok
}

// dataFits reports whether the longest payload comes back whole.
func (x *renderer) dataFits() bool {
	most := x.c.ButtonDataMax
	return most == 0 || len("a:")+max(len(x.o.Code), CodeLength)+len(":999") <= most
}

// choices makes native choices of the options.
func (x *renderer) choices(most int) {
	x.out.Choices = make([]Choice, 0, len(x.opts)+1)
	for i := range x.opts {
		o := &x.opts[i]
		label := o.label
		if !fitsIn(label, most) {
			label = o.short
		}
		x.out.Choices = append(x.out.Choices, Choice{Data: Payload(x.o.Code, o.n), Label: label})
	}
}

// over reports whether a text is longer than the medium takes, beside choices or alone.
func (x *renderer) over(text string, choices bool) bool {
	most := x.c.TextMax
	if choices && x.c.ChoiceTextMax > 0 {
		most = x.c.ChoiceTextMax
	}
	return most > 0 && len(text) > most && channel.Length(text, x.c.TextUnit) > most
}

// tooLong is over, and tells.
func (x *renderer) tooLong(text string, choices bool) bool {
	if !x.over(text, choices) {
		return false
	}
	most, what := x.c.TextMax, "of one message"
	if choices && x.c.ChoiceTextMax > 0 {
		most, what = x.c.ChoiceTextMax, "of a message with choices"
	}
	x.problem("text_too_long", "", "the text has "+strconv.Itoa(channel.Length(text, x.c.TextUnit))+", at most "+strconv.Itoa(most)+" are the text "+what)
	return true
}

// finish composes the text and the HTML.
func (x *renderer) finish(way Way, p part, person bool) {
	x.out.Way = way
	x.out.Text = x.compose(p)
	if person {
		x.out.Choices = append(x.out.Choices, Choice{Data: Payload(x.o.Code, PersonOption), Label: x.w.personButton, Person: true})
	}
	if x.a != nil {
		x.tooLong(x.out.Text, false)
	}
	if x.c.HTML {
		x.html(p)
	}
}

func (x *renderer) subject() string {
	if !x.c.Subject {
		return ""
	}
	if s := firstLine(x.get(x.a.Short)); s != "" {
		return s
	}
	if s := firstLine(x.get(x.a.Text)); s != "" {
		return s
	}
	return firstLine(x.get(x.s.Text))
}

// firstLine is the first line with anything in it, as a header field takes it: without control characters.
func firstLine(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	if strings.IndexFunc(s, isControl) >= 0 {
		s = strings.Map(func(r rune) rune {
			if isControl(r) {
				return ' '
			}
			return r
		}, s)
	}
	return s
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) }

// zoneOf gives the time zone in which times are shown: the one of that name, the ask's, or the default.
func zoneOf(a *Ask, name string) *time.Location {
	if name == "" && a != nil {
		name = a.Zone
	}
	if z := location(name); z != nil {
		return z
	}
	return defaultZone()
}

// pageCapabilities are those of the answer page.
var pageCapabilities = &channel.Capabilities{Forms: true, Upload: true, Links: true}
