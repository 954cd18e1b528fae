package ask

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/reach"
)

// What became of something that a customer sent while questions were open.
type What string

// What may become of it.
const (
	NoAnswer  What = ""          // it has nothing to do with a question
	Took      What = "answered"  // it answered one
	Corrected What = "corrected" // it changed an answer
	Missed    What = "unclear"   // it was not understood; Result.Outcome says why
	Wants     What = "person"    // the customer wants a person
	Late      What = "late"      // the question was answered or closed before; the customer was told
	Weak      What = "weak"      // understood, but the address is not sure enough; a person decides
	Proving   What = "proving"   // a code went to the address that was named
	RanOut    What = "expired"   // nobody answered in time, and there is no default
	Which     What = "which"     // it would answer several questions; the customer was asked which
	Same      What = "same"      // the answer that is there already; nothing to do
)

// Result says what became of it.
type Result struct {
	What    What
	Asked   Asked
	Outcome Outcome
}

// In is a message of a customer, after it found its conversation.
type In struct {
	Message   conversation.Message
	Threaded  bool                     // mail: who answers a mail need not answer its question
	New       bool                     // the message opened its conversation: nothing was asked there
	Customers func() ([]string, error) // every record of the customer; asked for only where it decides
	Payload   string                   // of a pressed button

	files []ReplyFile // of the message
}

// Receive looks whether a message answers a question, and does what follows: it keeps the answer, asks again, tells that
// it came too late. A dialog that asked is told (Then).
func (s *Store) Receive(ctx context.Context, tx *db.Tx, in In) (Result, error) {
	m := in.Message
	var err error
	if in.files, err = filesOf(ctx, tx, m); err != nil {
		return Result{}, err
	}
	if in.Payload != "" {
		code, option, ok := ParsePayload(in.Payload)
		if !ok {
			return Result{}, nil // a button of somebody else's
		}
		return s.pressed(ctx, tx, in, code, option)
	}
	if m.ReplyTo != "" {
		a, err := oneAsked(ctx, tx, `message = $2 AND message <> ''`+tx.ForUpdate(), m.ReplyTo)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Result{}, err
		}
		// In a thread everything answers the mail before; to a question that is closed only a few words are an answer.
		if err == nil && (a.State == Open || !in.Threaded || len([]rune(kernel(Said(m)))) <= shortReply) {
			ids, err := in.Customers()
			if err != nil {
				return Result{}, err
			}
			if slices.Contains(ids, a.Customer) {
				return s.take(ctx, tx, a, in)
			}
		}
	}
	if in.New {
		return s.other(ctx, tx, in)
	}
	open, err := list(ctx, tx, `conversation = $2 AND state = 'open' ORDER BY id DESC LIMIT 10`+tx.ForUpdate(), m.Conversation)
	if err != nil {
		return Result{}, err
	}
	if len(open) == 0 {
		if res, done, err := s.recent(ctx, tx, in); done || err != nil {
			return res, err
		}
		return s.other(ctx, tx, in)
	}
	if len(open) == 1 {
		return s.take(ctx, tx, open[0], in)
	}
	var fits []Asked
	for _, a := range open {
		if a.pending != nil { // a code is waited for: the newest question is that
			return s.take(ctx, tx, a, in)
		}
		if r := s.resolve(a, in); r.Problem == "" && (!strings.HasPrefix(a.Step, whichStep) || a.ID == open[0].ID) {
			fits = append(fits, a)
		} else if r.Problem == Person {
			return s.take(ctx, tx, a, in)
		}
	}
	switch {
	case len(fits) == 1:
		return s.take(ctx, tx, fits[0], in)
	case len(fits) == 0 || strings.HasPrefix(open[0].Step, whichStep):
		return s.take(ctx, tx, open[0], in)
	}
	return s.which(ctx, tx, fits, in)
}

// recent looks whether a few words change, or come too late for, the question that was closed last here: "doch nein", "ja"
// a minute after the deadline. done is false if they have nothing to do with it.
func (s *Store) recent(ctx context.Context, tx *db.Tx, in In) (Result, bool, error) {
	text := Said(in.Message)
	if in.Threaded || text == "" || len([]rune(text)) > shortReply {
		return Result{}, false, nil
	}
	last, err := list(ctx, tx, `conversation = $2 AND state IN ('answered', 'expired') AND updated_at > $3 ORDER BY id DESC LIMIT 1`+tx.ForUpdate(), in.Message.Conversation, s.Now().Add(-staffCorrect).UnixMicro())
	if err != nil || len(last) == 0 || last[0].Ask.Kind == Text || strings.HasPrefix(last[0].Step, whichStep) {
		return Result{}, false, err
	}
	a := last[0]
	if a.Instance != "" && a.State == Answered && !s.Now().Before(a.CorrectUntil) {
		return Result{}, false, nil // the dialog went on: it knows what to do with words
	}
	if last, err := lastByStaff(ctx, tx, in.Message); err != nil || last != "" && last != a.Message {
		return Result{}, false, err // a colleague has written since: that is what they answer
	}
	in.Message.Text, in.Message.QuotedFrom = strings.TrimSpace(changes.ReplaceAllString(text, "")), 0
	out := s.resolve(a, in)
	if out.Problem != "" || a.State == Answered && a.AnsweredKind == "customer" && equal(a.Value, out.Value) {
		return Result{}, false, nil
	}
	by := customerOf(a, in.Message)
	res, err := s.late(ctx, tx, a, out, by, in)
	return res, true, err
}

// changes begins a sentence that changes an answer.
var changes = regexp.MustCompile(`(?i)^(?:(?:ach|oh|äh|sorry|moment|halt|korrektur|entschuldigung|doch|actually|wait|correction|i meant|ich meinte|lieber)[ ,:.!]+)+`)

// other looks among the customer's other conversations: a question that went out by mail may be answered in a chat that
// was there before. Only a few words that answer exactly one of them for sure are taken, and none that may as well be
// meant for a colleague who has just written here.
func (s *Store) other(ctx context.Context, tx *db.Tx, in In) (Result, error) {
	text := Said(in.Message)
	if in.Threaded || text == "" || len([]rune(text)) > shortReply || in.Customers == nil {
		return Result{}, nil
	}
	ids, err := in.Customers()
	if err != nil {
		return Result{}, err
	}
	among, args := db.In(2, ids)
	open, err := list(ctx, tx, `customer IN `+among+` AND state = 'open' ORDER BY id DESC LIMIT 10`, args...)
	if err != nil || len(open) == 0 {
		return Result{}, err
	}
	var fits []Asked
	for _, a := range open {
		if r := s.resolve(a, in); r.Problem == "" && a.pending == nil && a.Ask.Kind != Text && !strings.HasPrefix(a.Step, whichStep) {
			fits = append(fits, a)
		}
	}
	if len(fits) != 1 {
		return Result{}, nil
	}
	if last, err := lastByStaff(ctx, tx, in.Message); err != nil || last != "" {
		return Result{}, err
	}
	a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), fits[0].ID)
	if err != nil || a.State != Open {
		return Result{}, err
	}
	return s.take(ctx, tx, a, in)
}

// lastByStaff gives the id of the entry before a message, if a colleague made it.
func lastByStaff(ctx context.Context, q db.Querier, m conversation.Message) (string, error) {
	last, _, err := conversation.Messages(ctx, q, m.Conversation, "", 2)
	if err != nil || len(last) < 2 || last[0].In || last[0].Author != channel.Staff {
		return "", err
	}
	return last[0].ID, nil
}

// which asks the customer which of several questions was answered.
func (s *Store) which(ctx context.Context, tx *db.Tx, fits []Asked, in In) (Result, error) {
	q := Ask{Kind: OneOf, Text: Plain("de", "Worauf bezieht sich Ihre Antwort?", "en", "Which question does your answer belong to?",
		"de-simple", "Wir haben mehrere Fragen gestellt. Welche Frage meinen Sie?"), Short: Plain("de", "Welche Frage?", "en", "Which question?"), Expires: Duration(7 * 24 * time.Hour)}
	for _, a := range fits {
		q.Options = append(q.Options, Option{Key: a.ID, Label: Texts{a.Language: Words{Text: a.Short()}}})
	}
	ch, addr, err := s.back(ctx, tx, in.Message)
	if err != nil {
		return Result{}, err
	}
	_, _, err = s.Say(ctx, tx, Saying{Conversation: in.Message.Conversation, Customer: fits[0].Customer, Say: Say{Ask: &q, Person: true}, Channel: ch, Address: addr, Language: fits[0].Language,
		Author: channel.Machine, Step: whichStep + in.Message.ID})
	if err != nil {
		return Result{}, fmt.Errorf("ask which question was meant: %w", err)
	}
	return Result{What: Which, Asked: fits[0]}, nil
}

// back is the way by which a message came.
func (s *Store) back(ctx context.Context, q db.Querier, m conversation.Message) (account.Channel, customer.Address, error) {
	ch, err := s.Accounts.Get(db.OrgOf(q), m.Channel)
	if err != nil {
		return ch, customer.Address{}, fmt.Errorf("find the channel of a message: %w", err)
	}
	addr, err := customer.AddressByID(ctx, q, m.Address)
	if err != nil {
		return ch, addr, fmt.Errorf("find the address of a message: %w", err)
	}
	return ch, addr, nil
}

// pressed deals with a native button.
func (s *Store) pressed(ctx context.Context, tx *db.Tx, in In, code string, option int) (Result, error) {
	var id, conv, address string
	var stale int64
	err := tx.Row(ctx, `SELECT ask, conversation, address, stale FROM ask_code WHERE org = $1 AND code = $2`, code).Scan(&id, &conv, &address, &stale)
	if errors.Is(err, db.ErrNoRows) || (err == nil && address != in.Message.Address) {
		return Result{}, nil // a button that we did not put there
	}
	if err != nil {
		return Result{}, fmt.Errorf("find an answer code: %w", err)
	}
	if id == "" { // nothing was asked: the only thing to press there is a person
		if option == PersonOption {
			return Result{What: Wants, Asked: Asked{Conversation: conv}}, nil
		}
		return Result{}, nil
	}
	a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), id)
	if err != nil {
		return Result{}, err
	}
	if stale == 1 && option != PersonOption { // its number means another option by now: what was read on it counts
		in.Payload = ""
		return s.take(ctx, tx, a, in)
	}
	if option == PersonOption && a.State != Open {
		return Result{What: Wants, Asked: Asked{Conversation: a.Conversation}}, nil
	}
	return s.take(ctx, tx, a, in)
}

func (s *Store) context(a Asked, in In) Context {
	c := Context{Now: s.Now(), Zone: zoneOf(&a.Ask, ""), Language: a.Language, Country: "DE"}
	switch a.Language {
	case "de-AT":
		c.Country = "AT"
	case "de-CH":
		c.Country = "CH"
	}
	if code, _, ok := ParsePayload(in.Payload); ok {
		c.Code = code // whose code it is was looked up
	}
	return c
}

func (s *Store) resolve(a Asked, in In) Outcome {
	c := s.context(a, in)
	r := Reply{Payload: in.Payload, Files: in.files}
	if in.Payload != "" {
		return Resolve(a.Ask, r, c)
	}
	whole := Said(in.Message)
	r.Text = whole
	out := Resolve(a.Ask, r, c)
	if core := kernel(whole); in.Threaded && core != whole && core != "" && (out.Problem == Unclear || out.Problem == Ambiguous || out.Problem == WrongType) {
		r.Text = core
		if v := Resolve(a.Ask, r, c); v.Problem == "" || v.Problem == Person || out.Problem == Unclear {
			return v
		}
	}
	return out
}

// Said is what a message says itself, without what it quotes.
func Said(m conversation.Message) string {
	t := m.Text
	if m.QuotedFrom > 0 && m.QuotedFrom < len(t) {
		t = t[:m.QuotedFrom]
	}
	// What the parser took for the writer's own may still hold quotations; who writes below them means what stands there.
	above, own := unquoted(t)
	if above == "" {
		if above = own; above == "" {
			_, above = unquoted(m.Text)
		}
	}
	above, _, _ = strings.Cut(above, "\n-- \n") // RFC 3676 §4.3
	return strings.TrimSpace(above)
}

// unquoted leaves out lines that begin with ">", and the line that announces them: what stands above the first of them,
// and everything.
func unquoted(t string) (above, own string) {
	lines := strings.Split(t, "\n")
	var keep []string
	first := -1
	for i, line := range lines {
		if strings.HasPrefix(line, ">") || announces(lines[i:]) {
			if first < 0 {
				first = len(keep)
			}
			continue
		}
		keep = append(keep, line)
	}
	if first < 0 {
		first = len(keep)
	}
	return strings.TrimSpace(strings.Join(keep[:first], "\n")), strings.TrimSpace(strings.Join(keep, "\n"))
}

// announces reports whether the first of the lines ends with a colon and only blank ones stand between it and a quotation.
func announces(lines []string) bool {
	if !strings.HasSuffix(strings.TrimSpace(lines[0]), ":") {
		return false
	}
	for _, line := range lines[1:] {
		if strings.TrimSpace(line) != "" {
			return strings.HasPrefix(line, ">")
		}
	}
	return false
}

// kernel is a letter without its salutation and its closing.
func kernel(t string) string {
	var keep []string
	for line := range strings.Lines(t) {
		l := strings.TrimSpace(line)
		low := strings.ToLower(l)
		if len(keep) == 0 && (l == "" || isSalutation(low)) {
			continue
		}
		if isClosing(low) {
			break
		}
		keep = append(keep, l)
	}
	return strings.TrimSpace(strings.Join(keep, "\n"))
}

func isSalutation(low string) bool {
	if len(low) > 60 || !(strings.HasSuffix(low, ",") || strings.HasSuffix(low, "!")) {
		return false
	}
	for _, p := range []string{"sehr geehrte", "guten tag", "guten morgen", "guten abend", "hallo", "liebe", "moin", "servus", "grüezi", "grüß gott", "hi", "dear", "hello", "good morning", "good afternoon"} {
		if strings.HasPrefix(low, p) {
			return true
		}
	}
	return false
}

func isClosing(low string) bool {
	for _, p := range []string{"mit freundlichen", "freundliche grüße", "freundliche grüsse", "viele grüße", "viele grüsse", "beste grüße", "beste grüsse", "liebe grüße", "liebe grüsse", "herzliche grüße", "mfg", "vg", "lg",
		"gruß", "gruss", "von meinem iphone gesendet", "gesendet mit", "gesendet von", "best regards", "kind regards", "regards", "best,", "cheers", "sincerely", "yours", "sent from my"} {
		if strings.HasPrefix(low, p) && len(low) < 60 {
			return true
		}
	}
	return false
}

// take tries a message as the answer to this question.
func (s *Store) take(ctx context.Context, tx *db.Tx, a Asked, in In) (Result, error) {
	if a.State == Open && a.pending != nil && in.Payload == "" {
		if res, done, err := s.proved(ctx, tx, a, in); done || err != nil {
			return res, err
		}
	}
	out := s.resolve(a, in)
	res := Result{Asked: a, Outcome: out}
	by := customerOf(a, in.Message)
	if a.State != Open {
		return s.late(ctx, tx, a, out, by, in)
	}
	switch out.Problem {
	case "":
		if a.Ask.Assurance.Stronger(in.Message.Assurance) && a.Ask.Assurance != "" {
			res.What = Weak
			return res, s.reply(ctx, tx, in.Message, a.Language, weakWords)
		}
		return s.finish(ctx, tx, a, out, by, in.Message)
	case Person:
		res.What = Wants
		if a.Instance == "" { // staff asked: the conversation waits for them anyway
			return res, errors.Join(s.end(ctx, tx, &a, Handed), s.reply(ctx, tx, in.Message, a.Language, personReads))
		}
		return res, s.then(ctx, tx, a, res)
	default:
		res.What = Missed
		return res, s.missed(ctx, tx, a, res, in)
	}
}

// missed deals with an answer that was not understood: asked again once, then a person.
func (s *Store) missed(ctx context.Context, tx *db.Tx, a Asked, res Result, in In) error {
	a.Tries++
	if _, err := tx.Exec(ctx, `UPDATE ask SET tries = $3, updated_at = $4 WHERE org = $1 AND id = $2`, a.ID, a.Tries, db.Micro(s.Now())); err != nil {
		return fmt.Errorf("count a try: %w", err)
	}
	tell(tx, a)
	if a.Instance != "" {
		res.Asked = a
		return s.then(ctx, tx, a, res)
	}
	if strings.HasPrefix(a.Step, whichStep) && a.Tries > 1 { // the customer goes on otherwise
		return errors.Join(s.end(ctx, tx, &a, Handed), s.reply(ctx, tx, in.Message, a.Language, personReads))
	}
	// A colleague asked. What looks like a try at an answer is helped once; what is a letter is the colleague's to read.
	text := Said(in.Message)
	if a.Tries == 2 && in.Payload == "" && len([]rune(text)) <= shortReply {
		return s.reply(ctx, tx, in.Message, a.Language, personReads)
	}
	if a.Tries > 1 || in.Payload == "" && len(in.files) == 0 && (len([]rune(text)) > shortReply || strings.Contains(text, "?")) {
		return nil
	}
	ch, addr, err := s.back(ctx, tx, in.Message)
	if err != nil {
		return err
	}
	_, err = s.Again(ctx, tx, a, Say{Again: ReAsk(a.Ask, res.Outcome, a.Language), Person: true}, ch, addr, channel.Machine, conversation.Actor{})
	return err
}

// answerer is who answered, and how.
type answerer struct{ kind, via, id, name, message string }

func customerOf(a Asked, m conversation.Message) answerer {
	return answerer{kind: "customer", via: string(m.ChannelKind), id: a.Customer, name: m.AuthorName, message: m.ID}
}

// finish keeps an answer.
func (s *Store) finish(ctx context.Context, tx *db.Tx, a Asked, out Outcome, by answerer, m conversation.Message) (Result, error) {
	res := Result{What: Took, Asked: a, Outcome: out}
	if strings.HasPrefix(a.Step, whichStep) {
		return s.chosen(ctx, tx, a, out, m)
	}
	if a.Ask.Verify && !out.Value.Verified && !out.Value.Skipped && (by.kind == "customer") {
		sent, err := s.prove(ctx, tx, &a, out.Value, by, m)
		if err != nil {
			return res, err
		}
		if sent {
			res.What, res.Asked = Proving, a
			return res, nil
		}
	}
	if a.Ask.Kind == Slot && out.Value.Key != "" && a.Ask.Calendar != "" {
		ok, err := book(ctx, tx, out.Value.Key, s.Now())
		if err != nil {
			return res, err
		}
		if !ok {
			return s.gone(ctx, tx, a, out, m)
		}
	}
	now := s.Now()
	a.State, a.Value, a.ValueText, a.AnsweredAt, a.DueAt = Answered, out.Value, out.Value.Show(a.Ask, a.Language), now, time.Time{}
	a.AnsweredVia, a.AnsweredKind, a.AnsweredBy, a.AnsweredName, a.AnsweredMessage = by.via, by.kind, by.id, by.name, by.message
	if c := a.Ask.Correct.Std(); c > 0 {
		a.CorrectUntil = now.Add(c)
	} else if a.Instance == "" {
		a.CorrectUntil = now.Add(staffCorrect)
	}
	value, err := json.Marshal(a.Value)
	if err != nil {
		return res, fmt.Errorf("store an answer: %w", err)
	}
	n, err := tx.Exec(ctx, `UPDATE ask SET state = 'answered', value = $3, value_text = $4, answered_at = $5, answered_via = $6, answered_kind = $7, answered_by = $8, answered_name = $9, answered_message = $10,
		due_at = 0, correct_until = $11, pending = '', updated_at = $5 WHERE org = $1 AND id = $2 AND state = 'open'`,
		a.ID, string(value), a.ValueText, db.Micro(now), a.AnsweredVia, a.AnsweredKind, a.AnsweredBy, a.AnsweredName, a.AnsweredMessage, db.Micro(a.CorrectUntil))
	if err != nil {
		return res, fmt.Errorf("store an answer: %w", err)
	}
	if n == 0 {
		return res, ErrNotOpen // somebody else was faster; the caller reads again
	}
	tell(tx, a)
	res.Asked = a
	if a.Instance != "" {
		return res, s.then(ctx, tx, a, res)
	}
	return res, nil
}

// chosen goes on with an earlier message once the customer said which question it belongs to.
func (s *Store) chosen(ctx context.Context, tx *db.Tx, which Asked, out Outcome, m conversation.Message) (Result, error) {
	if err := s.end(ctx, tx, &which, Answered); err != nil {
		return Result{}, err
	}
	a, err := oneAsked(ctx, tx, `id = $2`+tx.ForUpdate(), out.Value.Key)
	if errors.Is(err, ErrNotFound) {
		return Result{}, nil
	}
	if err != nil {
		return Result{}, err
	}
	first, err := conversation.MessageByID(ctx, tx, strings.TrimPrefix(which.Step, whichStep))
	if errors.Is(err, conversation.ErrNoSuch) {
		return Result{}, nil
	}
	if err != nil {
		return Result{}, err
	}
	files, err := filesOf(ctx, tx, first)
	if err != nil {
		return Result{}, err
	}
	return s.take(ctx, tx, a, In{Message: first, Customers: only(a.Customer), files: files})
}

func filesOf(ctx context.Context, q db.Querier, m conversation.Message) ([]ReplyFile, error) {
	if m.Attachments == 0 {
		return nil, nil
	}
	all, err := conversation.Attachments(ctx, q, []string{m.ID})
	if err != nil {
		return nil, err
	}
	var out []ReplyFile
	for _, f := range all[m.ID] {
		if !f.Inline {
			out = append(out, ReplyFile{f.ID, f.Name, f.MediaType})
		}
	}
	return out, nil
}

// late deals with an answer to a question that is not open any more.
func (s *Store) late(ctx context.Context, tx *db.Tx, a Asked, out Outcome, by answerer, in In) (Result, error) {
	res := Result{Asked: a, Outcome: out}
	if out.Problem != "" { // no answer: just a message
		return res, nil
	}
	now := s.Now()
	same := equal(a.Value, out.Value)
	if a.State == Answered && same && by.via == a.AnsweredVia && now.Sub(a.AnsweredAt) < sameAgain {
		res.What = Same
		return res, nil
	}
	if a.State == Answered && !same && now.Before(a.CorrectUntil) {
		return s.correct(ctx, tx, a, out, by, in.Message)
	}
	res.What = Late
	return res, s.reply(ctx, tx, in.Message, a.Language, lateWords(a, s.Accounts))
}

func equal(a, b Value) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// correct changes an answer while that is allowed.
func (s *Store) correct(ctx context.Context, tx *db.Tx, a Asked, out Outcome, by answerer, m conversation.Message) (Result, error) {
	res := Result{What: Corrected, Outcome: out}
	if a.Ask.Kind == Slot && a.Ask.Calendar != "" {
		ok, err := book(ctx, tx, out.Value.Key, s.Now())
		if err != nil {
			return res, err
		}
		if !ok {
			res.What, res.Asked = Late, a
			return res, s.reply(ctx, tx, m, a.Language, func(l string) string {
				return pick(l, "Dieser Termin ist inzwischen vergeben. Es bleibt bei: "+a.ValueText+".", "That time has been taken meanwhile. We keep: "+a.ValueText+".")
			})
		}
		if err := release(ctx, tx, a.Value.Key); err != nil {
			return res, err
		}
	}
	a.Value, a.ValueText = out.Value, out.Value.Show(a.Ask, a.Language)
	a.AnsweredVia, a.AnsweredMessage = by.via, by.message
	value, err := json.Marshal(a.Value)
	if err != nil {
		return res, fmt.Errorf("change an answer: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE ask SET value = $3, value_text = $4, answered_via = $5, answered_message = $6, updated_at = $7 WHERE org = $1 AND id = $2`,
		a.ID, string(value), a.ValueText, a.AnsweredVia, a.AnsweredMessage, db.Micro(s.Now())); err != nil {
		return res, fmt.Errorf("change an answer: %w", err)
	}
	tell(tx, a)
	res.Asked = a
	if a.Instance != "" {
		if err := s.then(ctx, tx, a, res); err != nil {
			return res, err
		}
	}
	if by.via == answeredByPage {
		return res, nil
	}
	return res, s.reply(ctx, tx, m, a.Language, func(l string) string {
		return pick(l, "Geändert. Jetzt gilt: "+a.ValueText+".", "Changed. It is now: "+a.ValueText+".")
	})
}

// gone tells that a time was taken meanwhile and offers others.
func (s *Store) gone(ctx context.Context, tx *db.Tx, a Asked, out Outcome, m conversation.Message) (Result, error) {
	res := Result{What: Missed, Asked: a, Outcome: out}
	fresh, err := s.Offer(ctx, tx, a.Ask)
	if errors.Is(err, ErrNoSlot) { // nothing is left: a person
		res.What = Wants
		if a.Instance != "" {
			return res, s.then(ctx, tx, a, res)
		}
		return res, s.end(ctx, tx, &a, Handed)
	}
	if err != nil {
		return res, err
	}
	a.Ask.Options = fresh
	def, err := json.Marshal(a.Ask)
	if err != nil {
		return res, fmt.Errorf("offer other times: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE ask SET definition = $3, updated_at = $4 WHERE org = $1 AND id = $2`, a.ID, string(def), db.Micro(s.Now())); err != nil {
		return res, fmt.Errorf("offer other times: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE ask_code SET stale = 1 WHERE org = $1 AND ask = $2`, a.ID); err != nil {
		return res, fmt.Errorf("offer other times: %w", err)
	}
	if m.ID == "" { // by the page: it shows them itself
		res.Asked = a
		tell(tx, a)
		return res, nil
	}
	ch, addr, err := s.back(ctx, tx, m)
	if err != nil {
		return res, err
	}
	again := pick(a.Language, "Dieser Termin ist leider gerade vergeben worden. Diese sind noch frei:", "Sorry, that time has just been taken. These are still free:")
	a, err = s.Again(ctx, tx, a, Say{Again: again, Person: true}, ch, addr, channel.Machine, conversation.Actor{})
	res.Asked = a
	return res, err
}

// reply says one sentence to whoever wrote, without asking anything.
func (s *Store) reply(ctx context.Context, tx *db.Tx, m conversation.Message, language string, words func(language string) string) error {
	if m.ID == "" { // on the answer page, which says so itself
		return nil
	}
	ch, addr, err := s.back(ctx, tx, m)
	if err != nil {
		return err
	}
	_, _, err = s.Say(ctx, tx, Saying{Conversation: m.Conversation, Say: Say{Text: Texts{language: Words{Text: words(language)}}, Person: true}, Channel: ch, Address: addr, Language: language,
		Author: channel.Machine, ClientID: "say:" + m.ID})
	return err
}

func pick(language, de, en string) string {
	if strings.HasPrefix(language, "de") {
		return de
	}
	return en
}

func personReads(language string) string {
	return pick(language, "Ein Mensch liest das und antwortet Ihnen hier.", "A person reads this and answers you here.")
}

func weakWords(language string) string {
	return pick(language, "Diese Antwort können wir nur von einer bestätigten Adresse annehmen. Bitte antworten Sie von dort, wo wir Sie gefragt haben. Ein Mensch sieht sich Ihre Nachricht an.",
		"We can take this answer only from a confirmed address. Please answer from where we asked you. A person will look at your message.")
}

// lateWords tells what counts, to somebody who answers a question that is closed.
func lateWords(a Asked, accounts *account.Accounts) func(string) string {
	return func(l string) string {
		when := shortTime(a.AnsweredAt, zoneOf(&a.Ask, ""), l)
		via := a.AnsweredVia
		if d := accounts.Driver(channel.Kind(a.AnsweredVia)); d != nil {
			via = d.Title().In(l)
		}
		switch {
		case a.State == Answered && a.AnsweredKind == "default":
			return pick(l, "Die Frist ist abgelaufen. Es gilt: "+a.ValueText+".", "The time is over. This counts now: "+a.ValueText+".")
		case a.State == Answered && via != "" && via != answeredByPage:
			return pick(l, "Diese Frage wurde schon am "+when+" per "+via+" beantwortet: "+a.ValueText+". Es bleibt dabei; möchten Sie das ändern, schreiben Sie uns einfach.",
				"This question was answered on "+when+" by "+via+" already: "+a.ValueText+". That stands; if you want to change it, just write to us.")
		case a.State == Answered:
			return pick(l, "Diese Frage wurde schon am "+when+" beantwortet: "+a.ValueText+". Es bleibt dabei; möchten Sie das ändern, schreiben Sie uns einfach.",
				"This question was answered on "+when+" already: "+a.ValueText+". That stands; if you want to change it, just write to us.")
		case a.State == Expired:
			return pick(l, "Die Frist für diese Frage ist abgelaufen. Ein Mensch sieht sich Ihre Antwort an.", "The time for this question is over. A person will look at your answer.")
		default:
			return pick(l, "Diese Frage ist nicht mehr offen. Ein Mensch sieht sich Ihre Antwort an.", "This question is not open any more. A person will look at your answer.")
		}
	}
}

func shortTime(t time.Time, zone *time.Location, language string) string {
	if strings.HasPrefix(language, "de") {
		return t.In(zone).Format("02.01. um 15:04 Uhr")
	}
	return t.In(zone).Format("2 Jan at 15:04")
}

// prove sends a code to the address that was named. sent is false where no channel of ours reaches it: then it stays
// unproved, and the answer says so.
func (s *Store) prove(ctx context.Context, tx *db.Tx, a *Asked, v Value, by answerer, m conversation.Message) (sent bool, err error) {
	ch, value := s.proverOf(tx.Org(), a.Ask.Kind), cmp.Or(v.Email, v.Phone)
	if ch.ID == "" || value == "" {
		return false, nil
	}
	now := s.Now()
	if a.pending != nil && a.pending.Tries >= codeTries {
		return false, nil
	}
	p := proof{Value: v, Code: sixDigits(), Until: now.Add(codeLife), Via: by.via}
	if a.pending != nil {
		p.Tries = a.pending.Tries + 1 // another address: forms must not bomb strangers
	}
	if err := s.keep(ctx, tx, a, p); err != nil {
		return false, err
	}
	snd, err := customer.Ensure(ctx, tx, ch.Kind, value, "", now)
	if err != nil {
		return false, err
	}
	if !snd.Address.OptedOutAt.IsZero() {
		return false, nil
	}
	company, err := s.Company(ctx, tx)
	if err != nil {
		return false, err
	}
	text := Texts{a.Language: Words{Text: pick(a.Language, "Ihr Code für "+company+": "+p.Code+"\n\nEr gilt zehn Minuten. Geben Sie ihn dort ein, wo wir Sie gefragt haben. Haben Sie nichts angefordert, lassen Sie diese Nachricht einfach liegen.",
		"Your code for "+company+": "+p.Code+"\n\nIt is good for ten minutes. Enter it where we asked you. If you did not ask for it, just leave this message.")}}
	// In a conversation of its own: whoever reads that mailbox sees nothing of this one.
	row, err := conversation.Start(ctx, tx, snd.Customer.ID, snd.Customer.Name, pick(a.Language, "Ihr Code", "Your code"), conversation.Actor{}, now)
	if err != nil {
		return false, err
	}
	if _, _, err := s.Say(ctx, tx, Saying{Conversation: row.ID, Customer: snd.Customer.ID, Say: Say{Text: text, Person: true}, Channel: ch, Address: snd.Address, Language: a.Language, Author: channel.Machine,
		Subject: pick(a.Language, "Ihr Code: "+p.Code, "Your code: "+p.Code)}); err != nil {
		return false, err
	}
	closed := conversation.Closed
	if _, err := conversation.Update(ctx, tx, row.ID, conversation.Change{Status: &closed}, conversation.Actor{Name: machineName(a.Language)}, now); err != nil {
		return false, err
	}
	return true, s.reply(ctx, tx, m, a.Language, func(l string) string {
		return pick(l, "Wir haben einen Code an "+value+" geschickt. Bitte schreiben Sie ihn hier.", "We have sent a code to "+value+". Please write it here.")
	})
}

// keep notes the address that still has to be proved.
func (s *Store) keep(ctx context.Context, tx *db.Tx, a *Asked, p proof) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("keep a code: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE ask SET pending = $3, updated_at = $4 WHERE org = $1 AND id = $2`, a.ID, string(b), db.Micro(s.Now())); err != nil {
		return fmt.Errorf("keep a code: %w", err)
	}
	a.pending = &p
	return nil
}

// proverOf is a channel that can write to an address that never wrote to us; no ID: there is none.
func (s *Store) proverOf(org string, k Kind) account.Channel {
	kinds := []channel.Kind{"email"}
	if k == Phone {
		kinds = []channel.Kind{"twilio", "vonage", "smpp"}
	}
	for _, kind := range kinds {
		for _, c := range s.Accounts.ByKind(org, kind) {
			if ok, _ := reach.CanSend(s.Accounts, c); ok && s.Accounts.Driver(kind).Capabilities().WriteFirst {
				return c
			}
		}
	}
	return account.Channel{}
}

func sixDigits() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "" // crypto/rand does not fail
	}
	return fmt.Sprintf("%06d", n)
}

// proved looks whether a message is the code that is waited for. done is false if it is something else.
func (s *Store) proved(ctx context.Context, tx *db.Tx, a Asked, in In) (Result, bool, error) {
	var digits strings.Builder
	for _, c := range Said(in.Message) {
		switch {
		case c >= '0' && c <= '9':
			digits.WriteRune(c)
		case c == ' ' || c == '-' || c == '\n':
		default:
			if digits.Len() > 0 && digits.Len() < 6 {
				return Result{}, false, nil
			}
		}
	}
	if digits.Len() != 6 {
		return Result{}, false, nil
	}
	p := *a.pending
	by := customerOf(a, in.Message)
	if p.Tries < codeTries && s.Now().Before(p.Until) && digits.String() == p.Code {
		v := p.Value
		v.Verified = true
		res, err := s.finish(ctx, tx, a, Outcome{Value: v, Confidence: 1, Reading: "code"}, by, in.Message)
		return res, true, err
	}
	p.Tries++
	if err := s.keep(ctx, tx, &a, p); err != nil {
		return Result{}, true, err
	}
	res := Result{What: Proving, Asked: a}
	if p.Tries >= codeTries {
		res.What = Wants
		if a.Instance != "" {
			return res, true, s.then(ctx, tx, a, res)
		}
		return res, true, s.end(ctx, tx, &a, Handed)
	}
	if !s.Now().Before(p.Until) { // run out: a new one
		_, err := s.prove(ctx, tx, &a, p.Value, by, in.Message)
		return res, true, err
	}
	return res, true, s.reply(ctx, tx, in.Message, a.Language, func(l string) string {
		return pick(l, "Dieser Code stimmt nicht. Bitte sehen Sie noch einmal nach.", "That code is not right. Please look again.")
	})
}

// only makes one record the whole customer.
func only(customer string) func() ([]string, error) {
	return func() ([]string, error) { return []string{customer}, nil }
}
