package email

import (
	"regexp"
	"strings"
)

// This file finds where an answer ends and the earlier mails that the mailer put below it begin. It is for display only
// (the rest folds away), so it errs on the side of showing: answers between or below quoted lines, forwarded mails and
// whatever only looks like an introduction stay.

// blank is any space that mailers put around names and colons; French has a no-break space before the colon.
const blank = `[\s\x{00A0}\x{202F}]`

var (
	// "On 3 Mar 2026, at 10:00, A B <a@b.de> wrote:", "Am 03.03.26 um 10:00 schrieb A B:", "Le … a écrit :", Zoho's
	// "---- On … wrote ----", Apple's already quoted "> Am … schrieb …:".
	introBegins = regexp.MustCompile(`(?i)^[>\s]*(-{2,}\s*)?(on|am|le|el|il|op|den|em|dnia|vom)\s`)
	introWrote  = regexp.MustCompile(`(?i)^[>\s]*(-{2,}\s*)?(on|am|le|el|il|op|den|em|dnia|vom)\s.{4,300}(wrote|schrieb|geschrieben|a écrit|escribió|ha scritto|schreef|skrev|escreveu|napisał\(a\)|napisał)(` + blank + `.{0,250})?` + blank + `?(:|-{2,})\s*$`)
	// Gmail in German: "A B <a@b.de> schrieb am Di., 3. März 2026, 10:00:"
	introAm = regexp.MustCompile(`(?i)^[>\s]*.{1,200}\s(schrieb am|schrieb via|wrote on|a écrit le)\s.{4,120}:\s*$`)
	// What an introduction has besides its words: an address, or a date and a time.
	hasAddress = regexp.MustCompile(`[^\s<>"]@[^\s<>"]`)
	hasTime    = regexp.MustCompile(`\d{1,2}(:|h|\.)\d{2}`)
	hasDate    = regexp.MustCompile(`\d{1,4}[./-]\d{1,2}[./-]\d{2,4}|\b(19|20)\d\d\b`)
	// "Am Montag schrieb ich Ihnen:" is somebody telling a story.
	ownWords = regexp.MustCompile(`(?i)(schrieb|geschrieben|wrote|écrit)\s+(ich|mir|uns|er|sie|wir|man|ihr|i|me|he|she|they|you|to|je|j'|il|elle)\b|\b(ich|wir|i|we|je)\s+(\S+\s+){0,3}(schrieb|geschrieben|wrote|écrit)|\b(habe|hatte|haben)\b`)

	divider = regexp.MustCompile(`(?i)^\s*[-_]{2,}\s*(original message|ursprüngliche (nachricht|mail|e-mail)|original[ -]?(nachricht|mail)|(message|courriel) d['’]origine|mensaje original|messaggio originale|oorspronkelijk bericht)\s*[-_]{2,}\s*$`)

	// A forwarded mail is content: the writer sends it to be read.
	forwardLine    = regexp.MustCompile(`(?i)^[>\s]*([-_]{2,}\s*)?(forwarded (message|by)|weitergeleitete (nachricht|mail|e-mail)|weitergeleitet von|anfang der weitergeleiteten (nachricht|e-mail)|begin forwarded message|début du (message|courriel) (réexpédié|transféré)|(message|courriel) (transféré|réexpédié)|doorgestuurd bericht|mensaje reenviado|messaggio inoltrato)([^\pL].{0,80})?$`)
	forwardSubject = regexp.MustCompile(`(?i)^\s*(\[[^\]]{1,40}\]\s*)?(fwd?|wg|wtr|tr|rv|i|enc|doorst)` + blank + `*:`)

	// Outlook's block of fields, GMX's with the date first, bold ones with asterisks.
	quotedField = regexp.MustCompile(`(?i)^[>\s]*\*?(?:(from|von|de|da|van)|(sent|gesendet|datum|date|envoyé(?: le)?|enviado|inviato|verzonden)|(to|an|à|para|a|aan|subject|betreff|objet|asunto|oggetto|onderwerp)|(cc|kopie|bcc|reply-to|antwort an|wichtigkeit|importance|priorität))` + blank + `?:\*?(` + blank + `|$)`)

	// What mailers and virus scanners put at the very end.
	footer = regexp.MustCompile(`(?i)^\s*(gesendet (von|mit|über)|von meinem .{1,40} gesendet|sent (from|with|via)|get outlook|outlook für|envoyé (de|depuis)|diese (e-mail|nachricht) wurde (von|mit) .{1,60}(geprüft|gesendet)|virenfrei|virus-free|https?://\S+$|www\.\S+$|_{5,}$|-{5,}$)`)
)

// QuotedFrom is the byte offset in a message's text from which on earlier messages are quoted, 0 if none are. The
// subject tells a forwarded mail from an answered one, which Outlook introduces alike.
func QuotedFrom(text, subject string) int {
	if forwardSubject.MatchString(subject) {
		return 0
	}
	lines := strings.Split(text, "\n")
	answered := lastAnswered(lines)
	at := -1
	s := seeker{lines, maxLooks}
	for i, line := range lines {
		if s.left < 0 {
			return 0 // a text made to cost: show it all
		}
		if s.forward(line) {
			return 0
		}
		if i >= answered && s.quoteStarts(i) {
			at = i
			break
		}
	}
	if at < 0 {
		at = tail(lines)
	}
	if at <= 0 {
		return 0
	}
	n := 0
	for _, line := range lines[:at] {
		n += len(line) + 1
	}
	if strings.TrimSpace(text[:n]) == "" {
		return 0 // nothing but a quote: then the quote is the message
	}
	return n
}

// TrimQuoted separates what the writer wrote from what QuotedFrom finds: visible + quoted is the whole text but for
// blank lines between them.
func TrimQuoted(text string) (visible, quoted string) {
	n := QuotedFrom(text, "")
	if n == 0 {
		return text, ""
	}
	return strings.TrimRight(text[:n], " \t\n"), strings.Trim(text[n:], "\n")
}

// seeker looks for the start of a quote. Patterns are dear, so that each line is looked at cheaply first, and only so
// many lines may be looked at closely.
type seeker struct {
	lines []string
	left  int
}

const maxLooks = 3000

func (s *seeker) match(p *regexp.Regexp, line string) bool {
	s.left--
	return p.MatchString(line)
}

func (s *seeker) forward(line string) bool {
	if len(line) < 9 || len(line) > 200 {
		return false
	}
	t := strings.TrimLeft(line, "> \t-_")
	if t == "" || !strings.ContainsRune("fwabdmcFWABDMC", rune(t[0])) {
		return false
	}
	for _, word := range []string{"orward", "eitergeleitet", "transf", "exp", "oorgestuurd", "eenviado", "noltrato"} {
		if strings.Contains(t, word) || strings.Contains(t, strings.ToUpper(word)) {
			return s.match(forwardLine, line)
		}
	}
	return false
}

// tail is where a run of quoted lines at the end of the text begins that nothing introduces, -1 if there is none.
func tail(lines []string) int {
	end := len(lines)
	for end > 0 {
		if t := strings.TrimSpace(lines[end-1]); t != "" && !(len(t) < 200 && footer.MatchString(t)) {
			break
		}
		end--
	}
	start := end
	for start > 0 && (quotedLine(lines[start-1]) || strings.TrimSpace(lines[start-1]) == "") {
		start--
	}
	for start < end && strings.TrimSpace(lines[start]) == "" {
		start++
	}
	if start < end {
		return start
	}
	return -1
}

func quotedLine(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " \t\u00a0"), ">") }

// quoteStarts tells whether line i introduces a quoted message.
func (s *seeker) quoteStarts(i int) bool {
	line := s.lines[i]
	if len(line) > 600 {
		return false
	}
	t := strings.TrimSpace(line)
	if t == "" {
		return false
	}
	if c := t[0]; c == '-' || c == '_' {
		if strings.Trim(t, t[:1]) == "" {
			// A ruler counts only with fields right below it.
			if len(t) < 10 {
				return false
			}
			for j := i + 1; j < len(s.lines) && j <= i+2; j++ {
				if strings.TrimSpace(s.lines[j]) != "" {
					return s.fields(j)
				}
			}
			return false
		}
		if e := t[len(t)-1]; (e == '-' || e == '_') && s.match(divider, line) {
			return true
		}
	}
	return s.introduction(i) || s.fields(i)
}

// introduction recognises the line before a quoted text, which mailers break over up to three lines.
func (s *seeker) introduction(i int) bool {
	lines := s.lines
	ends := false
	for j := i; j < len(lines) && j < i+3 && !ends; j++ {
		t := strings.TrimRight(lines[j], " \t\r")
		ends = strings.HasSuffix(t, ":") || strings.HasSuffix(t, "--")
	}
	if !ends {
		return false
	}
	begins := s.match(introBegins, lines[i])
	joined := ""
	for j := i; j < len(lines) && j < i+3; j++ {
		t := strings.TrimSpace(lines[j])
		if t == "" || j > i && quotedLine(lines[j]) && !quotedLine(lines[i]) {
			return false
		}
		if j > i {
			t = strings.TrimSpace(strings.TrimLeft(t, "> "))
			joined += " "
		}
		if joined += t; len(joined) > 700 {
			return false
		}
		if !strings.HasSuffix(t, ":") && !strings.HasSuffix(t, "--") {
			continue
		}
		wrote := begins && s.match(introWrote, joined)
		named := !wrote && containsAny(joined, " am ", " via ", " on ", " le ") && s.match(introAm, joined)
		if !wrote && !named {
			continue
		}
		// What follows is quoted, or the line itself can be nothing else.
		for k := j + 1; k < len(lines); k++ {
			if strings.TrimSpace(lines[k]) != "" {
				if quotedLine(lines[k]) {
					return true
				}
				break
			}
		}
		return !ownWords.MatchString(joined) && (hasAddress.MatchString(joined) || hasTime.MatchString(joined) && hasDate.MatchString(joined))
	}
	return false
}

// fields recognises the head of a quoted mail: a sender, a date, and a recipient or a subject, close together.
func (s *seeker) fields(i int) bool {
	lines := s.lines
	if !mayBeField(lines[i]) {
		return false
	}
	from, date, other, gap := false, false, false, 0
	for j := i; j < len(lines) && j <= i+12; j++ {
		m := []string(nil)
		if mayBeField(lines[j]) {
			s.left--
			m = quotedField.FindStringSubmatch(lines[j])
		}
		switch {
		case m == nil && j == i:
			return false
		case m == nil:
			// Long lists of recipients go on below; blank lines come from HTML.
			if gap++; gap > 3 {
				return false
			}
			continue
		case m[1] != "":
			from = from || len(lines[j]) > len(m[0]) || j+1 < len(lines) && strings.TrimSpace(lines[j+1]) != ""
		case m[2] != "":
			date = date || strings.ContainsAny(lines[j], "0123456789") || j+1 < len(lines) && strings.ContainsAny(lines[j+1], "0123456789")
		case m[3] != "":
			other = true
		}
		if from && date && other {
			return true
		}
	}
	return false
}

// mayBeField is a cheap look before the pattern: a colon near the start.
func mayBeField(line string) bool {
	i := strings.IndexByte(line[:min(len(line), 40)], ':')
	return i > 0
}

// lastAnswered is the last quoted line that unquoted words follow (not counting signature and footers): an
// introduction before it opens no tail, because the writer answered inline or below. 0 if there is none.
func lastAnswered(lines []string) int {
	words := false
	for i := len(lines) - 1; i >= 0; i-- {
		t := strings.TrimSpace(lines[i])
		switch {
		case t == "--":
			words = false // what we passed was the signature
		case strings.HasPrefix(t, ">"):
			if words {
				return i
			}
		case words || t == "":
		case len(t) < 200 && footer.MatchString(t):
		default:
			words = true
		}
	}
	return 0
}
