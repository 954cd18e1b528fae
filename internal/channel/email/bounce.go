package email

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// This file understands mail about mail: delivery status notifications (RFC 3464, RFC 6533), read receipts (RFC 8098)
// and what servers wrote before and beside those standards. Such a report becomes a status of the message that it is
// about; where that message cannot be named it stays a message, so that nothing is lost.

// report is what a mail says about the fate of one that we sent.
type report struct {
	id        string        // the Message-ID it is about, "" = not said
	state     channel.State // Failed, Sent (delayed: a server has it and tries on), Delivered or Read
	recipient string        // of whom it tells, "" = not said
	reason    string        // in plain words, with the SMTP code
	code      string        // RFC 3463, "" = none
	words     channel.Text  // the plain words alone
	token     string        // of the reply address that our message named
}

// understand reads the report in a message, if it is one. m is the message as it would be shown.
func understand(t *tree, m *channel.Message, sender, own string) (report, bool) {
	h := &t.root.header
	kind := t.root.kind
	if kind == "multipart/report" || machineSender(h, sender) {
		if p := t.root.first(4, "message/disposition-notification", "message/global-disposition-notification"); p != nil {
			if r, ok := receipt(p); ok {
				return r.complete(t, m, own), true
			}
		}
		if p := t.root.first(4, "message/delivery-status", "message/global-delivery-status"); p != nil {
			if r, ok := notification(p, m.Text); ok {
				return r.complete(t, m, own), true
			}
		}
	}
	if kind == "multipart/report" && t.root.params["report-type"] != "" && !strings.EqualFold(t.root.params["report-type"], "delivery-status") {
		return report{}, false // complaints (RFC 5965), TLS reports (RFC 8460)
	}
	if r, ok := prose(h, m, sender); ok {
		return r.complete(t, m, own), true
	}
	return report{}, false
}

// event makes the status event of a report that names its message.
func (r report) event() channel.Event {
	return channel.Event{
		Key:    "status:" + r.id + ":" + string(r.state),
		Type:   channel.StatusEvent,
		Sender: channel.Address{Value: r.recipient, Assurance: channel.Claimed},
		Ref:    r.id,
		Status: &channel.Status{ExternalID: r.id, State: r.state, Error: r.reason, Code: r.code, Reason: r.words},
	}
}

// first finds the first part of one of the kinds, at most so deep.
func (e *entity) first(depth int, kinds ...string) *entity {
	for _, k := range kinds {
		if e.kind == k && len(e.children) == 0 {
			return e
		}
	}
	if depth > 0 {
		for _, c := range e.children {
			if p := c.first(depth-1, kinds...); p != nil {
				return p
			}
		}
	}
	return nil
}

// complete looks for our message in what was returned of it, or else in the thread that the report claims (Exchange).
func (r report) complete(t *tree, m *channel.Message, own string) report {
	if r = r.returned(t, own); r.id == "" {
		r.id = m.ReplyTo
	}
	return r
}

func (r report) returned(t *tree, own string) report {
	p := t.root.first(4, "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers")
	if p == nil {
		return r
	}
	content, _ := p.decoded(64 << 10)
	h, _ := parseHeader(normaliseRaw(content), 32<<10, nil)
	if ids := messageIDs(h.get("message-id")); r.id == "" && len(ids) > 0 {
		r.id = ids[0]
	}
	if r.recipient == "" {
		if to := parseMailboxes(h.get("to")); len(to) == 1 {
			r.recipient = strings.ToLower(to[0].Address)
		}
	}
	base, _ := splitPlus(own)
	for _, b := range parseMailboxes(h.get("reply-to")) {
		if local, _ := splitPlus(b.Address); own != "" && strings.EqualFold(local, base) {
			r.token = tokenOf(b.Address)
		}
	}
	return r
}

// groups reads the fields of a report, one group per block of lines; names in lower case.
func groups(p *entity) (out []map[string]string) {
	content, _ := p.decoded(128 << 10)
	group := map[string]string{}
	last := ""
	for len(content) > 0 && len(out) < 200 {
		var line []byte
		line, content = cutLine(content)
		switch colon := bytes.IndexByte(line, ':'); {
		case len(bytes.TrimSpace(line)) == 0:
			if len(group) > 0 {
				out = append(out, group)
				group = map[string]string{}
			}
			last = ""
		case (line[0] == ' ' || line[0] == '\t') && last != "":
			if len(group[last]) < 2000 {
				group[last] += " " + strings.TrimSpace(string(line))
			}
		default:
			name, ok := fieldName(line, colon)
			if last = ""; !ok {
				continue
			}
			if _, twice := group[name]; !twice && len(group) < 100 {
				group[name] = strings.TrimSpace(string(line[colon+1:]))
				last = name
			}
		}
	}
	if len(group) > 0 {
		out = append(out, group)
	}
	return out
}

// notification reads a delivery status (RFC 3464 §2.3). Of several recipients the worst fate counts: one that failed
// must not hide behind one that was reached. said is what the report tells people: where the fields give no reason, it
// may.
func notification(p *entity, said string) (report, bool) {
	var r report
	found := false
	for _, g := range groups(p) {
		recipient := typedAddress(g["final-recipient"])
		if original := typedAddress(g["original-recipient"]); original != "" {
			recipient = original // the address that we wrote to, before any forwarding
		}
		status := statusCode.FindString(g["status"])
		var state channel.State
		switch strings.ToLower(firstWord(g["action"])) {
		case "failed":
			state = channel.Failed
		case "delayed":
			state = channel.Sent
		case "delivered", "relayed", "expanded":
			state = channel.Delivered
		case "":
			switch {
			case strings.HasPrefix(status, "5"):
				state = channel.Failed
			case strings.HasPrefix(status, "4"):
				state = channel.Sent
			case strings.HasPrefix(status, "2"):
				state = channel.Delivered
			default:
				continue
			}
		default:
			continue
		}
		if found && badness(state) <= badness(r.state) {
			continue
		}
		found = true
		r = report{state: state, recipient: recipient}
		diagnostic := g["diagnostic-code"]
		if kind, words, ok := strings.Cut(diagnostic, ";"); ok && !strings.Contains(strings.TrimSpace(kind), " ") {
			diagnostic = words
		}
		if strings.TrimSpace(diagnostic) == "" && recipient != "" {
			if s := sentence(said, recipient); replyCode.MatchString(s) {
				diagnostic = s
			}
		}
		if state != channel.Delivered {
			r.explain(diagnostic, status)
		}
	}
	return r, found
}

func badness(s channel.State) int {
	switch s {
	case channel.Failed:
		return 3
	case channel.Sent:
		return 2
	}
	return 1
}

// receipt reads a message disposition notification (RFC 8098 §3.2). What was deleted unread, or handed on by a
// machine, has arrived at least.
func receipt(p *entity) (report, bool) {
	for _, g := range groups(p) {
		disposition, ok := g["disposition"]
		if !ok {
			continue
		}
		if _, d, ok := strings.Cut(disposition, ";"); ok {
			disposition = d
		}
		r := report{state: channel.Delivered, recipient: typedAddress(g["final-recipient"])}
		if original := typedAddress(g["original-recipient"]); original != "" {
			r.recipient = original
		}
		if d, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(disposition)), "/"); strings.TrimSpace(d) == "displayed" {
			r.state = channel.Read
		}
		if ids := messageIDs(g["original-message-id"]); len(ids) > 0 {
			r.id = ids[0]
		}
		return r, true
	}
	return report{}, false
}

// typedAddress reads `rfc822; a@b.example` and RFC 6533's `utf-8; …`, in which characters may stand as \x{E4}.
func typedAddress(s string) string {
	if kind, v, ok := strings.Cut(s, ";"); ok && !strings.Contains(kind, "@") {
		s = v
		if strings.EqualFold(strings.TrimSpace(kind), "utf-8") {
			s = escapedRune.ReplaceAllStringFunc(s, func(e string) string {
				n, err := strconv.ParseUint(e[3:len(e)-1], 16, 32)
				if err != nil || n > 0x10FFFF {
					return e
				}
				return string(rune(n))
			})
		}
	}
	if m := parseMailboxes(s); len(m) == 1 {
		return strings.ToLower(m[0].Address)
	}
	return ""
}

var (
	escapedRune = regexp.MustCompile(`\\x\{[0-9A-Fa-f]{1,6}\}`)
	statusCode  = regexp.MustCompile(`\b[245]\.\d{1,3}\.\d{1,3}\b`) // RFC 3463
	replyCode   = regexp.MustCompile(`(^|[^0-9.])([45]\d\d)([ \-#]|$)`)
)

// explain says in words what went wrong, followed by what the server said.
func (r *report) explain(diagnostic, status string) {
	diagnostic = cleanLine(decodeWords(diagnostic), 400)
	if code := statusCode.FindString(diagnostic); code != "" && (status == "" || strings.HasSuffix(status, ".0.0")) {
		status = code
	}
	r.code = status
	if r.state == channel.Sent {
		r.words = channel.Text{DE: "verzögert, der Server versucht es weiter", EN: "delayed, the server keeps trying"}
	} else {
		r.words = meaning(status, diagnostic)
	}
	r.reason = r.words.EN
	detail := diagnostic
	if status != "" && !strings.Contains(diagnostic, status) {
		detail = strings.TrimSpace(status + " " + diagnostic)
	}
	if detail != "" {
		r.reason += ": " + detail
	}
	if r.recipient != "" && !strings.Contains(strings.ToLower(r.reason), r.recipient) {
		r.reason += " (" + r.recipient + ")"
	}
}

// What a failure means, in plain words.
var (
	noMailbox   = channel.Text{DE: "das Postfach gibt es nicht", EN: "the mailbox does not exist"}
	noDomain    = channel.Text{DE: "die Domain gibt es nicht", EN: "the domain does not exist"}
	wrong       = channel.Text{DE: "die Adresse ist falsch", EN: "the address is wrong"}
	switchedOff = channel.Text{DE: "das Postfach ist abgeschaltet", EN: "the mailbox is switched off"}
	full        = channel.Text{DE: "das Postfach ist voll", EN: "the mailbox is full"}
	tooLarge    = channel.Text{DE: "die Nachricht ist zu groß", EN: "the message is too large"}
	unreachable = channel.Text{DE: "der Server des Empfängers ist nicht erreichbar", EN: "the recipient's server cannot be reached"}
	circles     = channel.Text{DE: "die Nachricht ging im Kreis", EN: "the message went round in circles"}
	tooLate     = channel.Text{DE: "der Server des Empfängers hat sie nicht rechtzeitig angenommen", EN: "the recipient's server did not take it in time"}
	unreadable  = channel.Text{DE: "der Server des Empfängers kann diese Form der Nachricht nicht lesen", EN: "the recipient's server cannot read the message's form"}
	refused     = channel.Text{DE: "der Server des Empfängers hat sie abgelehnt", EN: "the recipient's server refused it"}
	undelivered = channel.Text{DE: "die Nachricht konnte nicht zugestellt werden", EN: "the message could not be delivered"}
)

// meaning gives an enhanced status code (RFC 3463, IANA "SMTP Enhanced Status Codes") in plain words; without one it
// goes by the words that servers use.
func meaning(status, diagnostic string) channel.Text {
	if _, detail, ok := strings.Cut(status, "."); ok {
		switch detail {
		case "1.1", "1.6", "1.10":
			return noMailbox
		case "1.2":
			return noDomain
		case "1.0", "1.3":
			return wrong
		case "2.1":
			return switchedOff
		case "2.2":
			return full
		case "2.3", "3.4":
			return tooLarge
		case "4.1", "4.2", "4.3", "4.4":
			return unreachable
		case "4.6":
			return circles
		case "4.7":
			return tooLate
		case "6.1", "6.3", "6.5", "6.7":
			return unreadable
		}
		if strings.HasPrefix(detail, "7.") {
			return refused
		}
	}
	switch d := strings.ToLower(diagnostic); {
	case containsAny(d, "user unknown", "unknown user", "no such user", "no mailbox", "does not exist", "unknown recipient",
		"recipient not found", "mailbox not found", "unknown address", "unrouteable address", "invalid recipient", "nicht bekannt",
		"unbekannt", "existiert nicht", "mailbox unavailable", "not our customer"):
		return noMailbox
	case containsAny(d, "mailbox full", "mailbox is full", "quota", "over limit", "postfach voll", "postfach ist voll"):
		return full
	case containsAny(d, "host not found", "domain not found", "no such domain", "name service error", "couldn't find any host"):
		return noDomain
	case containsAny(d, "too large", "size limit", "message size", "zu groß"):
		return tooLarge
	case containsAny(d, "timed out", "timeout", "connection refused", "could not connect", "wasn't able to establish"):
		return unreachable
	case containsAny(d, "spam", "blocked", "blacklist", "policy", "rejected", "refused", "denied", "abgelehnt"):
		return refused
	}
	return undelivered
}

func containsAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// machineSender tells whether a mail server wrote this: the null reverse-path (RFC 5321 §4.5.5) or its usual names.
func machineSender(h *header, sender string) bool {
	for _, v := range h.all("return-path") {
		if strings.ReplaceAll(v, " ", "") == "<>" {
			return true
		}
	}
	local, _, _ := strings.Cut(strings.ToLower(sender), "@")
	switch local {
	case "mailer-daemon", "mail-daemon", "postmaster", "mailerdaemon", "mdaemon", "maildaemon":
		return true
	}
	return strings.HasPrefix(local, "microsoftexchange") || h.get("x-failed-recipients") != ""
}

// Words of reports that follow no standard, in the subject and at the start of the text.
var (
	bounceSubject = regexp.MustCompile(`(?i)undeliver|not delivered|delivery (status|failure|failed|problem|notification|has failed|delayed|incomplete)|failure notice|failed delivery|returned mail|returned to sender|mail delivery (failed|failure|system|error)|mail failure|message (delayed|undeliverable)|warning: (message|could not send)|nondeliverable|unzustellbar|nicht zugestellt|nicht zustellbar|zustellung .{0,40}(fehlgeschlagen|verzögert|gescheitert)|unzustellbarkeit|rücksendung|échec (de la )?(remise|livraison|distribution)|non remis|non distribuable|avis de non-remise`)
	bounceText    = regexp.MustCompile(`(?i)this is the qmail-send program|this message was created automatically by mail delivery software|this is the mail system at host|could not be delivered to (one or more|the following|all) |wasn't able to deliver your message|unable to deliver your message|delivery has failed to these recipients|delivery to the following recipients? (failed|has been delayed)|address not found|your message wasn't delivered|your message to .{1,200} couldn't be delivered|(nachricht|e-?mail) .{0,200}(konnte|kann|wurde) (an .{0,200})?nicht .{0,60}zugestellt|n'a pas pu être (remis|livré|distribué)|diese nachricht wurde automatisch vom mailserver erzeugt|the following addresses had permanent fatal errors|the original message was received at .{1,200}\n?from `)
	delayText     = regexp.MustCompile(`(?i)delayed|not yet been delivered|(will|shall) (be retried|continue|keep trying|try again)|still (trying|being retried)|no action is required|you do not need to resend|retry timeout .{0,40}not yet|wird weiter(hin)? versucht|weitere zustellversuche|verzögert|noch nicht zugestellt|retardé`)
	finalText     = regexp.MustCompile(`(?i)giv(e|ing|en) up|gave up|permanent|will not be retried|not going to try again|no further|endgültig|retry timeout exceeded|too long in (the )?queue|queue too long`)
	copyMarker    = regexp.MustCompile(`(?im)^(-{2,} ?(below this line is a copy of the message|this is a copy of (your|the) message|original message|the header of the original|message headers follow|unsent message).*|(original message headers|message headers|ursprüngliche nachrichtenkopfzeilen|en-têtes de message d'origine) ?:.*|received: from .*)$`)
	idLine        = regexp.MustCompile(`(?im)^[> \t]*message-id:\s*(<[^<>\s]{3,990}>)`)
	addressLine   = regexp.MustCompile(`(?m)^[ \t]*<?([^\s<>"(),;:\\]{1,64}@[^\s<>"(),;:\\]{1,255}?)>?(?::.*| \(.*)?$`)
	anyAddress    = regexp.MustCompile(`[^\s<>"(),;:\\@]{1,64}@[\pL0-9-]+(?:\.[\pL0-9-]+)+`)
)

// prose reads a report that only people were meant to read. It must come from a mail server and sound like one.
func prose(h *header, m *channel.Message, sender string) (report, bool) {
	if !machineSender(h, sender) {
		return report{}, false
	}
	text := m.Text[:len(cutBytes(m.Text, 32<<10))]
	head := cutBytes(text, 1500)
	if !bounceSubject.MatchString(m.Subject) && !bounceText.MatchString(head) {
		return report{}, false
	}
	said := text // what the server says, without the copy of our message
	if at := copyMarker.FindStringIndex(text); at != nil {
		said = text[:at[0]]
	}
	r := report{state: channel.Failed}
	if to := parseMailboxes(h.get("x-failed-recipients")); len(to) > 0 {
		r.recipient = strings.ToLower(to[0].Address)
	} else if a := addressLine.FindStringSubmatch(said); a != nil {
		r.recipient = address(a[1])
	}
	if r.recipient == "" {
		for _, a := range anyAddress.FindAllString(said, 20) {
			if a := address(a); a != "" && !strings.EqualFold(a, sender) && !ownAddress(m, a) {
				r.recipient = a
				break
			}
		}
	}
	diagnostic := sentence(said, r.recipient)
	if (delayText.MatchString(said) || delayText.MatchString(m.Subject)) && !finalText.MatchString(said) {
		r.state = channel.Sent
	}
	r.explain(diagnostic, statusCode.FindString(diagnostic))
	if id := idLine.FindStringSubmatch(text); id != nil {
		r.id = id[1]
	}
	return r, true
}

func address(s string) string {
	if a, ok := cleanAddress(strings.TrimRight(s, ".")); ok {
		return strings.ToLower(a)
	}
	return ""
}

// ownAddress tells whether the report was sent to the address: then it is not the one that failed.
func ownAddress(m *channel.Message, a string) bool {
	for _, to := range m.To {
		if strings.EqualFold(to.Address, a) {
			return true
		}
	}
	return false
}

// sentence is the part of the text with the SMTP reply: from the line that has a code, or else from the line behind
// the recipient, to the end of its paragraph.
func sentence(s, recipient string) string {
	lines := strings.Split(s, "\n")
	from := -1
	for i, l := range lines {
		if replyCode.MatchString(l) || statusCode.MatchString(l) {
			from = i
			break
		}
	}
	if from < 0 && recipient != "" {
		for i, l := range lines {
			if strings.Contains(strings.ToLower(l), recipient) {
				if from = i + 1; strings.Contains(l, ": ") || from == len(lines) {
					from = i
				}
				break
			}
		}
	}
	if from < 0 {
		return ""
	}
	end := from
	for end < len(lines) && end < from+6 && (end == from || strings.TrimSpace(lines[end]) != "") {
		end++
	}
	out := strings.Join(strings.Fields(strings.Join(lines[from:end], " ")), " ")
	if recipient != "" {
		out = strings.TrimSpace(strings.TrimPrefix(out, "<"+recipient+">:"))
	}
	return out
}

// category gives the hint of Message.Category. own is the address that the mail came to.
func category(a channel.Account, h *header, m *channel.Message, own string) string {
	if a.Settings[settingSpam] == "on" {
		for _, name := range []string{"x-spam-flag", "x-spam-status"} {
			for _, v := range h.all(name) {
				// "YES", "Yes, score=7.2": a sender who writes it harms only his own mail.
				if v = strings.ToLower(strings.TrimSpace(v)); v == "yes" || strings.HasPrefix(v, "yes,") || strings.HasPrefix(v, "yes ") {
					return "spam"
				}
			}
		}
	}
	list := strings.ToLower(h.get("list-id"))
	if list == "" || m.ReplyToken != "" {
		return ""
	}
	bulk := strings.ToLower(firstWord(h.get("precedence")))
	if strings.TrimSpace(h.get("list-unsubscribe")) == "" && bulk != "bulk" && bulk != "list" {
		return ""
	}
	if ownList(a, h, own) {
		return ""
	}
	return "newsletter"
}

// ownList tells whether the fields of a mailing list are those of our own address as a group, which hands every
// customer's mail on with them (Google Groups: service@firma.example is the list <service.firma.example>).
func ownList(a channel.Account, h *header, own string) bool {
	list, post := strings.ToLower(h.get("list-id")), strings.ToLower(h.get("list-post"))
	for _, mine := range []string{own, a.Settings["address"]} {
		mine, ok := cleanAddress(mine)
		if !ok {
			continue
		}
		mine, _ = splitPlus(strings.ToLower(mine))
		if strings.Contains(list, "<"+strings.Replace(mine, "@", ".", 1)+">") || strings.Contains(list, "<"+mine+">") ||
			strings.Contains(post, "<mailto:"+mine+">") {
			return true
		}
	}
	return false
}

// attributable tells whether a Message-ID can be one of ours: its domain is that of the account or of the address under
// which the report came. A report about a mail that somebody sent with another program from the same mailbox is shown.
func attributable(a channel.Account, id, own string) bool {
	d := strings.ToLower(strings.TrimSuffix(id[strings.LastIndexByte(id, '@')+1:], ">"))
	for _, mine := range []string{own, a.Settings["address"]} {
		if mine, ok := cleanAddress(mine); ok {
			if ascii, ok := asciiDomain(mine); ok && d == ascii || d == mine[strings.LastIndexByte(mine, '@')+1:] {
				return true
			}
		}
	}
	return false
}
