package ask

import (
	"strconv"
	"strings"
)

// Say is something said to a customer: words, or a question, or both.
type Say struct {
	Text Texts // said before the question; nil = nothing
	Ask  *Ask  // nil = no question
	// Person tells how to reach a person, in the medium's own way. Every message of a dialog does.
	Person bool
	// Introduce, if not "", is the company's name: the machine first says what it is (AI Act Art. 50).
	Introduce string
	// Again is said instead of the question's hint when an answer was not understood.
	Again string
}

// Options of a rendering.
type Options struct {
	Language string // of the customer, BCP 47
	Zone     string // IANA; dates and times are shown in it
	Code     string // the answer code; "" = none yet (previews)
	URL      string // the answer page of this code, "" = the medium must do without
	Phone    string // where a person answers, for paper and speech; "" = unknown
}

// Way is how a question is put on a medium, from the most native to the least.
type Way string

// Ways, in the order of the degradation rule (channels.md).
const (
	Native   Way = "native"   // fields of the medium's own (Capabilities.Forms)
	Buttons  Way = "buttons"  // native choices
	List     Way = "list"     // a native list
	Links    Way = "links"    // one signed link per option (HTML mail)
	Numbered Way = "numbered" // "1 …, 2 …, 3 …" in the text
	Free     Way = "free"     // just the question; the answer is typed
	Page     Way = "page"     // a signed link to the answer page
	Keypad   Way = "keypad"   // spoken menu and keys
	Boxes    Way = "boxes"    // paper
	Nothing  Way = "nothing"  // cannot be put here; Rendered.Problems says why
)

// Rendered is a Say as a medium carries it.
type Rendered struct {
	Way     Way
	Subject string // "" where the medium has none
	Text    string // plain; spoken where Capabilities.Spoken
	HTML    string // "" unless Capabilities.HTML
	Choices []Choice
	Menu    string   // not "": Choices are rows of a native list behind a button with this label
	Keys    []Key    // Keypad
	Boxes   []Choice // paper; one without Data is a line to write on
	Foot    string   // paper: what stands below the boxes (reply code, page, telephone)
	Form    bool     // the medium shows native fields (View)
	// Problems tell what does not fit: a label longer than the medium's, a page that it cannot link to.
	Problems []RenderProblem
}

// Choice is one thing to press, tick or tap.
type Choice struct {
	Data        string `json:"data"` // payload, see Payload
	Label       string `json:"label"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"` // links
	Person      bool   `json:"person,omitempty"`
}

// Key is a key of a telephone.
type Key struct {
	Digit string `json:"digit"` // "1" … "9", "0" = a person, "*" = again
	Data  string `json:"data"`
	Label string `json:"label"`
}

// RenderProblem is one thing that does not fit on a medium.
type RenderProblem struct {
	Code   string `json:"code"`             // label_too_long, text_too_long, no_reply, no_person, needs_page, language_missing, too_many_options, person_only (only a person can take the answer here)
	Option string `json:"option,omitempty"` // the key of the option it is about
	Detail string `json:"detail"`           // in English, with figures
}

// Payload is what a native button of an ask carries: the ask's code and the option's number from 0 on. It is at most 64
// bytes (Telegram's callback_data). PersonOption is the button that asks for a person.
func Payload(code string, option int) string {
	if option == PersonOption {
		return "p:" + code
	}
	return "a:" + code + ":" + strconv.Itoa(option)
}

// PersonOption is the number of the button that asks for a person.
const PersonOption = -1

// ParsePayload takes a payload apart; ok is false if it is none of ours.
func ParsePayload(s string) (code string, option int, ok bool) {
	if rest, is := strings.CutPrefix(s, "p:"); is && validCode(rest) {
		return rest, PersonOption, true
	}
	rest, is := strings.CutPrefix(s, "a:")
	if !is {
		return "", 0, false
	}
	code, num, is := strings.Cut(rest, ":")
	if !is || !validCode(code) || num == "" || len(num) > 3 {
		return "", 0, false
	}
	for _, c := range num {
		if c < '0' || c > '9' {
			return "", 0, false
		}
		option = option*10 + int(c-'0')
	}
	return code, option, true
}

// CodeAlphabet has no letters or digits that look alike; codes are read aloud, typed from paper and scanned.
const CodeAlphabet = "23456789abcdefghjkmnpqrstuvwxyz"

// CodeLength is how many of them make a code: 59 bits, behind a limit on tries.
const CodeLength = 12

// SampleCode stands in previews and trials where a real code will be.
const SampleCode = "7k3mx9qpw4tz"

func validCode(s string) bool {
	if len(s) != CodeLength {
		return s == "" // previews
	}
	return strings.Trim(s, CodeAlphabet) == ""
}
