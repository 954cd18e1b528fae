package ask

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Finding is one thing that is wrong with a definition, and what to do about it.
type Finding struct {
	Field string // "options[2].label"
	Hint  string
}

// Error implements error.
func (f *Finding) Error() string { return f.Field + ": " + f.Hint }

var (
	keyForm      = regexp.MustCompile(`^[a-z0-9_-]{1,40}$`)
	nameForm     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	tagForm      = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
	mediaForm    = regexp.MustCompile(`^(\*|[a-z]+)/(\*|[A-Za-z0-9.+_-]+)$`)
)

// Limits of definitions.
const (
	mostOptions     = 100
	mostTextLength  = 10000
	mostFiles       = 50
	longestDuration = Duration(10 * 366 * 24 * time.Hour)
)

// Check gives what is wrong with a definition; each error is a *Finding with the path of its field. A slot needs no
// options: they come from its calendar when the question is put.
func (a Ask) Check() []error {
	var out []error
	add := func(field, hint string, args ...any) {
		out = append(out, &Finding{field, fmt.Sprintf(hint, args...)})
	}
	texts := func(field string, t Texts, needed bool) {
		if len(t) == 0 {
			if needed {
				add(field, "is missing; write at least one language, like {de: …, en: …}")
			}
			return
		}
		for _, tag := range t.Languages() {
			if !tagForm.MatchString(tag) {
				add(field+"."+tag, "is no language tag; write de, en, de-AT or de-simple")
			}
			switch s := t[tag].Text; {
			case strings.TrimSpace(s) == "":
				add(field+"."+tag, "is empty; write the text or leave the language out")
			case !utf8.ValidString(s):
				add(field+"."+tag, "is not valid UTF-8")
			case utf8.RuneCountInString(s) > mostTextLength:
				add(field+"."+tag, "has more than %d characters; shorten it", mostTextLength)
			}
		}
	}
	known := slices.Contains(Kinds(), a.Kind)
	if !known {
		all := make([]string, 0, 16)
		for _, k := range Kinds() {
			all = append(all, string(k))
		}
		add("kind", "%q is unknown; one of %s", a.Kind, strings.Join(all, ", "))
	}
	if a.Name != "" && !nameForm.MatchString(a.Name) {
		add("name", "%q: small letters, digits and _ only, a letter first, at most 40", a.Name)
	}
	texts("text", a.Text, true)
	texts("short", a.Short, false)
	texts("hint", a.Hint, false)
	texts("retry", a.Retry, false)
	texts("yes", a.Yes, false)
	texts("no", a.No, false)

	if known {
		a.checkForeign(add)
	}
	switch a.Kind {
	case OneOf, ManyOf:
		least := 2
		if a.Kind == ManyOf {
			least = 1
		}
		if len(a.Options) < least {
			add("options", "there are %d; give at least %d", len(a.Options), least)
		}
	case Slot:
		if a.Calendar == "" && len(a.Options) == 0 {
			add("calendar", "is missing; name the calendar whose free times are offered")
		}
		if a.Days < 0 || a.Days > 366 {
			add("days", "%d is out of range; 1 to 366, or leave it out for 14", a.Days)
		}
	}
	if len(a.Options) > mostOptions {
		add("options", "there are %d; at most %d", len(a.Options), mostOptions)
	}
	seen := map[string]int{}
	names := map[string]int{}
	for i := range a.Options {
		o := &a.Options[i]
		at := fmt.Sprintf("options[%d]", i)
		if !keyForm.MatchString(o.Key) {
			add(at+".key", "%q: small letters, digits, _ and - only, at most 40", o.Key)
		} else if j, twice := seen[o.Key]; twice {
			add(at+".key", "%q is the key of options[%d] already; choose another", o.Key, j)
		}
		seen[o.Key] = i
		texts(at+".label", o.Label, a.Kind != Slot || o.Start.IsZero())
		texts(at+".short", o.Short, false)
		texts(at+".description", o.Description, false)
		for _, tag := range o.Label.Languages() {
			name := tag + "\x00" + fold(o.Label[tag].Text)
			if j, twice := names[name]; twice && j != i && strings.TrimSpace(o.Label[tag].Text) != "" {
				add(at+".label."+tag, "is what options[%d] is called, too; nobody could choose one by its name", j)
			}
			names[name] = i
		}
		for tag, list := range o.Synonyms {
			if !tagForm.MatchString(tag) {
				add(at+".synonyms."+tag, "is no language tag; write de, en, de-AT")
			}
			for k, s := range list {
				if fold(s) == "" && len(tokenise(s)) == 0 {
					add(fmt.Sprintf("%s.synonyms.%s[%d]", at, tag, k), "is empty; take it out")
				}
			}
		}
		if a.Kind == Slot && !o.End.IsZero() && !o.End.After(o.Start) {
			add(at+".end", "is not after its start")
		}
		if a.Kind != Slot && (!o.Start.IsZero() || !o.End.IsZero()) {
			add(at+".start", "belongs to slots only; take it out")
		}
	}
	switch a.Kind {
	case ManyOf, File:
		top := len(a.Options)
		if a.Kind == File {
			top = mostFiles
		}
		if a.Least < 0 || a.Least > top {
			add("least", "%d is out of range; 0 to %d", a.Least, top)
		}
		if a.Most < 0 || a.Most > top {
			add("most", "%d is out of range; 0 (any) to %d", a.Most, top)
		}
		if _, most := a.bounds(); most > 0 && a.Least > most {
			add("least", "%d is more than most, %d; swap them", a.Least, most)
		}
		for i, m := range a.Accept {
			if !mediaForm.MatchString(m) {
				add(fmt.Sprintf("accept[%d]", i), "%q is no media type; write image/*, application/pdf", m)
			}
		}
	case Number:
		if a.Min != nil && a.Max != nil && *a.Min > *a.Max {
			add("min", "%s is more than max, %s; swap them", plainFloat(*a.Min), plainFloat(*a.Max))
		}
		for name, f := range map[string]*float64{"min": a.Min, "max": a.Max} {
			if f != nil && (*f != *f || *f > mostMantissa || *f < -mostMantissa) {
				add(name, "is too large; at most 15 digits")
			}
		}
		if a.Decimals < 0 || a.Decimals > 9 {
			add("decimals", "%d is out of range; 0 to 9", a.Decimals)
		}
	case Text:
		if a.MaxLength < 0 || a.MaxLength > 100000 {
			add("max_length", "%d is out of range; 1 to 100000, or leave it out for %d", a.MaxLength, DefaultTextLength)
		}
		if len(a.Pattern) > mostPattern {
			add("pattern", "has more than %d characters; shorten it", mostPattern)
		} else if _, err := regexp.Compile(`^(?:` + a.Pattern + `)$`); err != nil {
			add("pattern", "is no regular expression (RE2): %v", err)
		}
	case Rating:
		if a.Scale != "" && a.Scale != "verdict" && a.Scale != "0-10" {
			add("scale", "%q is unknown; verdict or 0-10", a.Scale)
		}
	case Consent:
		if a.Purpose == "" {
			add("purpose", "is missing; say what the permission is for: newsletter, call …")
		}
	case Payment:
		u, err := url.Parse(a.URL)
		switch {
		case a.URL == "":
			add("url", "is missing; give the page at which one pays, https://…")
		case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil:
			add("url", "%q has to be a whole https:// address without a password", a.URL)
		}
		if a.Cents <= 0 {
			add("cents", "%d: give the amount in cents, more than 0", a.Cents)
		}
		if !currencyForm.MatchString(a.Currency) {
			add("currency", "%q is no ISO 4217 code; write EUR, CHF …", a.Currency)
		}
	}
	today := day(2026, 6, 15)
	var lo, hi time.Time
	for _, b := range []struct {
		name, s string
		t       *time.Time
	}{{"from", a.From, &lo}, {"until", a.Until, &hi}} {
		if b.s == "" {
			continue
		}
		t, err := parseBound(b.s, today)
		if err != nil {
			add(b.name, "%v", err)
			continue
		}
		*b.t = t
	}
	if !lo.IsZero() && !hi.IsZero() && lo.After(hi) && strings.HasPrefix(a.From, "today") == strings.HasPrefix(a.Until, "today") {
		add("from", "%s is after until, %s; swap them", a.From, a.Until)
	}
	if a.Zone != "" && location(a.Zone) == nil {
		add("zone", "%q is no time zone; write Europe/Berlin", a.Zone)
	}
	switch a.Assurance {
	case "", "claimed", "observed", "verified":
	default:
		add("assurance", "%q is unknown; claimed, observed or verified", a.Assurance)
	}
	for _, d := range []struct {
		name string
		d    Duration
	}{{"expires", a.Expires}, {"remind", a.Remind}, {"correct", a.Correct}} {
		if d.d < 0 || d.d > longestDuration {
			add(d.name, "%s is out of range; 0 to 10 years", d.d)
		}
	}
	expires := a.Expires
	if expires == 0 {
		expires = Duration(90 * 24 * time.Hour)
	}
	if a.Remind >= expires {
		add("remind", "%s is not before it expires, %s; remind earlier", a.Remind, expires)
	}
	if a.Default != nil && known {
		switch {
		case a.Default.IsZero():
			add("default", "is empty; give an answer or leave it out")
		case a.Kind == Consent && a.Default.Yes != nil && *a.Default.Yes:
			add("default", "silence is no consent (GDPR Art. 4(11)); false, or leave it out")
		case a.Kind == Signature || a.Kind == Payment || a.Kind == File:
			add("default", "nobody else can give this; leave it out")
		case a.Kind == Slot && len(a.Options) == 0:
			add("default", "free times are known only when the question is put; leave it out")
		default:
			if err := a.CheckValue(*a.Default, Context{}); err != nil {
				add("default", "is no valid answer: %v", err)
			}
		}
	}
	return out
}

// checkForeign reports fields that other kinds have.
func (a *Ask) checkForeign(add func(field, hint string, args ...any)) {
	for _, f := range []struct {
		name  string
		set   bool
		kinds []Kind
	}{
		{"options", len(a.Options) > 0, []Kind{OneOf, ManyOf, Slot}},
		{"yes", len(a.Yes) > 0, []Kind{YesNo, Consent}},
		{"no", len(a.No) > 0, []Kind{YesNo, Consent}},
		{"least", a.Least != 0, []Kind{ManyOf, File}},
		{"most", a.Most != 0, []Kind{ManyOf, File}},
		{"min", a.Min != nil, []Kind{Number}},
		{"max", a.Max != nil, []Kind{Number}},
		{"decimals", a.Decimals != 0, []Kind{Number}},
		{"unit", a.Unit != "", []Kind{Number}},
		{"from", a.From != "", []Kind{Date, DateTime}},
		{"until", a.Until != "", []Kind{Date, DateTime}},
		{"zone", a.Zone != "", []Kind{Date, DateTime, Slot}},
		{"calendar", a.Calendar != "", []Kind{Slot}},
		{"days", a.Days != 0, []Kind{Slot}},
		{"max_length", a.MaxLength != 0, []Kind{Text}},
		{"pattern", a.Pattern != "", []Kind{Text}},
		{"scale", a.Scale != "", []Kind{Rating}},
		{"verify", a.Verify, []Kind{Email, Phone}},
		{"accept", len(a.Accept) > 0, []Kind{File}},
		{"purpose", a.Purpose != "", []Kind{Consent}},
		{"url", a.URL != "", []Kind{Payment}},
		{"cents", a.Cents != 0, []Kind{Payment}},
		{"currency", a.Currency != "", []Kind{Payment}},
	} {
		if f.set && !slices.Contains(f.kinds, a.Kind) {
			names := make([]string, len(f.kinds))
			for i, k := range f.kinds {
				names[i] = string(k)
			}
			add(f.name, "belongs to %s, not to %s; take it out", strings.Join(names, ", "), a.Kind)
		}
	}
}

// CheckLanguages reports every text of an ask that is not there in one of the languages. A regional form is served by
// its language ("de-AT" by "de"); "de-simple" only by itself.
func (a Ask) CheckLanguages(langs []string) []error {
	var out []error
	look := func(field string, t Texts, needed bool) {
		if len(t) == 0 && !needed {
			return
		}
		for _, lang := range langs {
			if !serves(t, lang) {
				out = append(out, &Finding{field, "has no text in " + lang + "; write it"})
			}
		}
	}
	look("text", a.Text, true)
	look("short", a.Short, false)
	look("hint", a.Hint, false)
	look("retry", a.Retry, false)
	look("yes", a.Yes, false)
	look("no", a.No, false)
	for i := range a.Options {
		o := &a.Options[i]
		at := fmt.Sprintf("options[%d]", i)
		look(at+".label", o.Label, a.Kind != Slot || o.Start.IsZero())
		look(at+".short", o.Short, false)
		look(at+".description", o.Description, false)
	}
	return out
}

func serves(t Texts, lang string) bool {
	for {
		if w, ok := t[lang]; ok && strings.TrimSpace(w.Text) != "" {
			return true
		}
		cut := strings.LastIndexByte(lang, '-')
		if cut < 0 || strings.HasSuffix(lang, "-simple") {
			return false
		}
		lang = lang[:cut]
	}
}
