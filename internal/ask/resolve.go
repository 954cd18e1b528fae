package ask

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Resolve says what a reply means as an answer to an ask. It is pure: the same reply at the same Context.Now means the
// same. It never guesses silently: an outcome without Problem has a confidence of at least Sure, and a Value that
// CheckValue accepts. Words by which the customer asks for a person come before anything else, unless they are an
// answer (an option that is called so, "0" as a number).
//
// The buttons of an ask are numbered: options in their order; yes_no and consent: 0 is yes, 1 is no; ratings: the
// verdicts from bad to good, or the number itself; an optional ask has one more behind its last, to leave it out.
func Resolve(a Ask, r Reply, c Context) Outcome {
	if c.Zone == nil {
		c.Zone = defaultZone()
	}
	o := a.resolve(&r, &c)
	if o.Problem == "" {
		if r.Payload == "" && !o.Value.Skipped && a.refuses(body(strings.TrimSpace(r.Text)), o.Value, c.Language) {
			o.Confidence = 0.5
		}
		if o.Confidence < Sure {
			o = Outcome{Problem: Unclear, Confidence: o.Confidence, Reading: o.Reading, Candidates: []Value{o.Value}}
		} else if err := a.CheckValue(o.Value, c); err != nil {
			o = Outcome{Problem: Unclear, Confidence: 0.5, Reading: o.Reading}
		}
	}
	return o
}

func (a *Ask) resolve(r *Reply, c *Context) Outcome {
	text := r.Text
	if r.Payload != "" {
		if o, done := a.pressed(r, c, &text); done {
			return o
		}
	}
	whole := strings.TrimSpace(text)
	text = body(text)
	toks := tokenise(text)
	if wantsPerson(toks) && !a.person(toks) {
		return Outcome{Problem: Person, Confidence: 0.95, Reading: "words"}
	}
	if a.Optional && len(toks) > 0 && len(toks) <= 8 && len(r.Files) == 0 && skipped(toks) && !a.meansOption(toks) {
		return Outcome{Value: Value{Skipped: true}, Confidence: 0.95, Reading: "words"}
	}
	switch a.Kind {
	case File:
		return a.file(r, toks)
	case Signature:
		if len(r.Files) == 0 {
			return Outcome{Problem: NeedsPage}
		}
		return a.file(r, toks)
	case Payment:
		return Outcome{Problem: NeedsPage}
	}
	if len(toks) == 0 {
		if len(r.Files) > 0 {
			return Outcome{Problem: WrongType, Detail: r.Files[0].Name}
		}
		return Outcome{Problem: Unclear}
	}
	switch a.Kind {
	case YesNo, Consent:
		return a.yesNo(toks)
	case OneOf:
		return a.oneOf(toks)
	case ManyOf:
		return a.several(toks)
	case Rating:
		if a.Scale == "0-10" {
			return a.onScale(toks)
		}
		return a.verdict(toks)
	case Number:
		return a.number(toks, c)
	case Date:
		return a.date(toks, c)
	case DateTime:
		return a.dateTime(text, toks, c)
	case Slot:
		return a.slot(toks, c)
	case Text:
		return a.text(whole)
	case Email:
		return a.email(whole, toks)
	case Phone:
		return a.phone(text, toks, c)
	case Address:
		return a.postal(text, c)
	}
	return Outcome{Problem: Unclear}
}

// choices is how many buttons an ask has, without those to leave it out and to reach a person.
func (a *Ask) choices() int {
	switch a.Kind {
	case YesNo, Consent:
		return 2
	case OneOf, ManyOf, Slot:
		return len(a.Options)
	case Rating:
		if a.Scale == "0-10" {
			return 11
		}
		return 3
	}
	return 0
}

// choice is the answer that button i gives.
func (a *Ask) choice(i int, c *Context) (Value, bool) {
	n := a.choices()
	if i == n && a.Optional {
		return Value{Skipped: true}, true
	}
	if i < 0 || i >= n {
		return Value{}, false
	}
	switch a.Kind {
	case YesNo, Consent:
		yes := i == 0
		return Value{Yes: &yes}, true
	case OneOf:
		return Value{Key: a.Options[i].Key}, true
	case ManyOf:
		return Value{Keys: []string{a.Options[i].Key}}, true
	case Slot:
		return a.slotValue(i, a.zone(c)), true
	case Rating:
		if a.Scale == "0-10" {
			return Value{Number: strconv.Itoa(i)}, true
		}
		return Value{Key: Verdicts()[i]}, true
	}
	return Value{}, false
}

// pressed reads a button or a key of a telephone; done is false if the text has to be read after all.
func (a *Ask) pressed(r *Reply, c *Context, text *string) (Outcome, bool) {
	if code, option, ok := ParsePayload(r.Payload); ok {
		switch {
		case option == PersonOption:
			return Outcome{Problem: Person, Confidence: 1, Reading: "payload"}, true
		case code != c.Code:
			return Outcome{Problem: Foreign, Confidence: 1, Reading: "payload"}, true
		}
		v, ok := a.choice(option, c)
		if !ok {
			return Outcome{Problem: OutOfRange, Detail: "option", Confidence: 1, Reading: "payload"}, true
		}
		o := Outcome{Value: v, Confidence: 1, Reading: "payload"}
		if a.Kind == ManyOf && !v.Skipped {
			o = a.counted(o, 1)
		}
		return o, true
	}
	keys := strings.TrimSuffix(r.Payload, "#")
	if keys == "" || strings.Trim(keys, "0123456789*") != "" {
		if strings.TrimSpace(*text) == "" && len(r.Files) == 0 {
			if strings.HasPrefix(r.Payload, "a:") || strings.HasPrefix(r.Payload, "p:") {
				return Outcome{Problem: Foreign, Reading: "payload"}, true
			}
			return Outcome{Problem: Unclear, Reading: "payload"}, true
		}
		return Outcome{}, false // a button of somebody else's make: what it says counts
	}
	n := a.choices()
	switch {
	case keys == "0" && a.Kind != Number && !(a.Kind == Rating && a.Scale == "0-10"):
		return Outcome{Problem: Person, Confidence: 1, Reading: "number"}, true
	case a.Kind == Number:
		*text = strings.ReplaceAll(keys, "*", ",") // the star is the point on a keypad
		return Outcome{}, false
	case a.Kind == Rating && a.Scale == "0-10", a.Kind == Phone:
		*text = keys
		return Outcome{}, false
	case a.Kind == Date && len(keys) == 8:
		*text = keys[:2] + "." + keys[2:4] + "." + keys[4:]
		return Outcome{}, false
	case a.Kind == ManyOf && len(keys) > 1 && n < 10:
		*text = strings.Join(strings.Split(strings.ReplaceAll(keys, "*", ""), ""), ",")
		return Outcome{}, false
	case n == 0:
		return Outcome{Problem: Unclear, Reading: "number"}, true
	}
	k := smallNumber(token{s: keys, kind: digitToken})
	v, ok := a.choice(k-1, c)
	if !ok || k == 0 || strings.Contains(keys, "*") {
		return Outcome{Problem: OutOfRange, Detail: "option", Confidence: 1, Reading: "number"}, true
	}
	o := Outcome{Value: v, Confidence: 1, Reading: "number"}
	if a.Kind == ManyOf && !v.Skipped {
		o = a.counted(o, 1)
	}
	return o, true
}

// person says whether words for a person are an answer here.
func (a *Ask) person(toks []token) bool {
	zero := false
	for _, t := range toks {
		zero = zero || t.s == "0"
	}
	switch a.Kind {
	case Number:
		return zero
	case Rating:
		return zero && a.Scale == "0-10"
	case OneOf, ManyOf, Slot:
		return a.meansOption(toks)
	case Email, Phone, Address, Text:
		return false
	}
	return false
}

// meansOption says whether a reply is what an option is called.
func (a *Ask) meansOption(toks []token) bool {
	if len(a.Options) == 0 {
		return false
	}
	opts, _ := wholly(toks, called(a.Options))
	return len(opts) > 0
}

func (a *Ask) oneOf(toks []token) Outcome {
	value := func(i int) Value { return Value{Key: a.Options[i].Key} }
	o := a.chosen(toks, value)
	if o.Problem != Unclear || len(o.Candidates) > 0 {
		return o
	}
	// Options that begin with yes and no are answered with what people say for those.
	yes, no := -1, -1
	for i := range a.Options {
		for _, w := range a.Options[i].Label {
			t := tokenise(w.Text)
			if len(t) == 0 {
				continue
			}
			switch v, _ := sayings.at(t, 0); {
			case v == sayYes && (yes < 0 || yes == i):
				yes = i
			case v == sayYes:
				return o
			case v == sayNo && (no < 0 || no == i):
				no = i
			case v == sayNo:
				return o
			}
			break
		}
	}
	if yes < 0 && no < 0 {
		return o
	}
	s := stand(toks)
	if s.sure < Sure || s.yes == s.no {
		return o
	}
	if s.yes && yes >= 0 {
		return Outcome{Value: value(yes), Confidence: 0.88, Reading: "synonym"}
	}
	if s.no && no >= 0 {
		return Outcome{Value: value(no), Confidence: 0.88, Reading: "synonym"}
	}
	return o
}

// patterns keeps compiled expressions; there are as many as definitions use.
var patterns sync.Map

const mostPattern = 500 // bytes of a pattern

func compiled(pattern string) (*regexp.Regexp, error) {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp), nil
	}
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	if err != nil {
		return nil, err
	}
	patterns.Store(pattern, re)
	return re, nil
}

// DefaultTextLength is how long a text may be if the ask says nothing.
const DefaultTextLength = 2000

// textLength is MaxLength with its default.
func (a *Ask) textLength() int {
	if a.MaxLength <= 0 {
		return DefaultTextLength
	}
	return a.MaxLength
}

func (a *Ask) text(s string) Outcome {
	most := a.textLength()
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if s == "" {
		return Outcome{Problem: Unclear}
	}
	if n := utf8.RuneCountInString(s); n > most {
		return Outcome{Problem: TooLong, Detail: "max_length", Confidence: 1, Value: Value{Text: s}}
	}
	if a.Pattern != "" {
		re, err := compiled(a.Pattern)
		if err != nil {
			return Outcome{Problem: Unclear, Detail: "pattern"}
		}
		if !re.MatchString(s) {
			// Without the full stop or the politeness around it?
			if short := strings.Trim(s, " .!,\"'„“"); short != s && re.MatchString(short) {
				return Outcome{Value: Value{Text: short}, Confidence: 0.95, Reading: "words"}
			}
			return Outcome{Problem: OutOfRange, Detail: "pattern", Confidence: 0.9, Value: Value{Text: s}}
		}
	}
	return Outcome{Value: Value{Text: s}, Confidence: 1, Reading: "words"}
}

// Accepts holds a media type to the list of an ask; signatures are pictures.
func (a *Ask) Accepts(media string) bool {
	media = strings.ToLower(media)
	if i := strings.IndexByte(media, ';'); i >= 0 {
		media = media[:i]
	}
	media = strings.TrimSpace(media)
	list := a.Accept
	if a.Kind == Signature {
		list = []string{"image/*"}
	}
	if len(list) == 0 {
		return true
	}
	for _, want := range list {
		want = strings.ToLower(want)
		if want == "*/*" || want == media {
			return true
		}
		if major, ok := strings.CutSuffix(want, "/*"); ok && strings.HasPrefix(media, major+"/") {
			return true
		}
	}
	return false
}

// Photos says whether nothing but pictures is accepted.
func (a *Ask) Photos() bool {
	return len(a.Accept) > 0 && !slices.ContainsFunc(a.Accept, func(t string) bool { return !strings.HasPrefix(t, "image/") })
}

func (a *Ask) file(r *Reply, toks []token) Outcome {
	if len(r.Files) == 0 {
		if len(toks) == 0 {
			return Outcome{Problem: Unclear}
		}
		return Outcome{Problem: WrongType, Detail: "file", Confidence: 0.9}
	}
	var ids []string
	wrong := ""
	for _, f := range r.Files {
		if f.ID != "" && a.Accepts(f.MediaType) {
			ids = append(ids, f.ID)
		} else if wrong == "" {
			wrong = f.Name
		}
	}
	if len(ids) == 0 {
		return Outcome{Problem: WrongType, Detail: wrong, Confidence: 1}
	}
	// A file that is not accepted beside others that are: they count, and the re-ask or the desk can name it.
	o := Outcome{Value: Value{Files: ids}, Confidence: 1, Reading: "file", Detail: wrong}
	if a.Kind == Signature {
		if len(ids) > 1 {
			o.Problem, o.Detail = TooMany, "most"
		}
		return o
	}
	return a.counted(o, len(ids))
}
