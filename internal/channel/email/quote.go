package email

import (
	"regexp"
	"strings"
)

// Introductions of a quoted message, as mailers write them in the languages we meet most.
var (
	// "On 3 Mar 2026, at 10:00, A B <a@b.de> wrote:", "Am 03.03.26 um 10:00 schrieb A B:", perhaps over two lines.
	wroteLine = regexp.MustCompile(`(?i)^(>\s*)*(on|am|le|el|il|op|den|em|dnia)\s.{4,250}\s?(wrote|schrieb|a écrit|escribió|ha scritto|schreef|skrev|escreveu|napisał\(a\)|napisał)(\s.{0,200})?\s?:\s*$`)
	// Gmail in German: "A B <a@b.de> schrieb am Di., 3. März 2026, 10:00:"
	schriebAm = regexp.MustCompile(`(?i)^.{1,200}\s(schrieb am|wrote on|a écrit le)\s.{4,120}:\s*$`)
	// "-----Original Message-----", "---------- Forwarded message ---------" is content and stays.
	divider = regexp.MustCompile(`(?i)^\s*[-_]{2,}\s*(original message|ursprüngliche nachricht|originalnachricht|original-nachricht|message d'origine|mensaje original|messaggio originale|oorspronkelijk bericht)\s*[-_]{2,}\s*$`)
	// Outlook's block of fields, with or without asterisks from bold text.
	fieldFrom = regexp.MustCompile(`(?i)^\s*\*?(from|von|de|da|van)\s?:\*?\s+\S`)
	fieldMore = regexp.MustCompile(`(?i)^\s*\*?(sent|gesendet|datum|date|envoyé|enviado|inviato|verzonden|to|an|à|para|a|aan|subject|betreff|objet|asunto|oggetto|onderwerp|cc)\s?:\*?(\s|$)`)
	ruler     = regexp.MustCompile(`^\s*_{10,}\s*$`)
)

// TrimQuoted separates what the writer wrote from the earlier message that the mailer put below it. It is for
// display only (the rest folds away): visible + quoted is the whole text but for blank lines between them. Answers
// written between quoted lines stay visible, because cutting there would cut the answer.
func TrimQuoted(text string) (visible, quoted string) {
	lines := strings.Split(text, "\n")
	cut := len(lines)
	answered := lastAnswered(lines)
	for i := range lines {
		if i >= answered && quoteStarts(lines, i) {
			cut = i
			break
		}
	}
	if cut == len(lines) {
		// No introduction: a tail of ">" lines.
		end := len(lines)
		for end > 0 && strings.TrimSpace(lines[end-1]) == "" {
			end--
		}
		start := end
		for start > 0 && (strings.HasPrefix(lines[start-1], ">") || strings.TrimSpace(lines[start-1]) == "") {
			start--
		}
		for start < end && strings.TrimSpace(lines[start]) == "" {
			start++
		}
		if start < end {
			cut = start
		}
	}
	visible = strings.TrimRight(strings.Join(lines[:cut], "\n"), " \t\n")
	if visible == "" {
		return text, "" // nothing but a quote: then the quote is the message
	}
	return visible, strings.Trim(strings.Join(lines[cut:], "\n"), "\n")
}

// quoteStarts tells whether line i introduces a quoted message.
func quoteStarts(lines []string, i int) bool {
	line := strings.TrimRight(lines[i], " \t\r")
	if len(line) > 500 {
		return false
	}
	if divider.MatchString(line) || wroteLine.MatchString(line) || schriebAm.MatchString(line) {
		return true
	}
	// An introduction that was broken over two lines.
	if i+1 < len(lines) && strings.TrimSpace(lines[i+1]) != "" && strings.HasSuffix(strings.TrimSpace(lines[i+1]), ":") {
		if joined := line + " " + strings.TrimSpace(lines[i+1]); len(joined) < 500 &&
			(wroteLine.MatchString(joined) || schriebAm.MatchString(joined)) {
			return true
		}
	}
	if ruler.MatchString(line) && i+1 < len(lines) {
		return quoteFields(lines, i+1)
	}
	return quoteFields(lines, i)
}

// quoteFields recognises Outlook's From/Sent/To/Subject block: From and at least two more fields next to it.
func quoteFields(lines []string, i int) bool {
	if !fieldFrom.MatchString(lines[i]) {
		return false
	}
	more := 0
	for j := i + 1; j < len(lines) && j <= i+6; j++ {
		if fieldMore.MatchString(lines[j]) {
			more++
		}
	}
	return more >= 2
}

// lastAnswered is the last quoted line that unquoted words follow (not counting the signature): an introduction
// before it opens no tail, because the writer answered inline or below. 0 if there is none.
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
		case t != "":
			words = true
		}
	}
	return 0
}
