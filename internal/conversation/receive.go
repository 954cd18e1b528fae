package conversation

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// In is an inbound message with everything that decides where it belongs.
type In struct {
	Channel      channel.Account
	Threaded     bool // mail: a message without a thread is a new concern; chat: it goes on with the open one
	Customer     string
	CustomerIDs  func() ([]string, error) // every record of the customer, asked for only where it decides
	CustomerName string
	Advisor      Actor // who answers this customer, if anybody does
	Address      string
	AddressValue string
	Assurance    channel.Assurance
	AuthorName   string
	Message      channel.Message
	HTML         string // sanitised, without remote images
	Source       string // sanitised, with remote images; "" if there are none
	RemoteImages int
	Key          string // of the event
	Raw          string // id of the raw body
	At           time.Time
	Files        []Attachment // in order; Message is filled in here
	Edited       bool         // it came as an edit and its original was never seen
	Rule         string       // what staff said of this sender: a Category, "" = nothing
	Authentic    string       // how the sender was judged, as JSON
	Into         string       // the conversation that this certainly belongs to; "" = the rules decide
}

// aside tells whether an inbound message is nobody's work, and why. What staff said of a sender counts; what a machine
// marked counts only where nobody is known who could be waiting.
func (in In) aside(r Row, fresh bool) string {
	switch {
	case in.Rule == NotAside:
	case in.Rule != "" && (fresh || r.Category != "" || in.Rule == Blocked):
		return in.Rule
	case fresh && in.Message.Automatic && slices.Contains(Categories(), in.Message.Category) && in.Message.ReplyToken == "" && in.Message.ReplyTo == "":
		return in.Message.Category
	}
	return ""
}

// Place is where an inbound message belongs.
type Place struct {
	Conversation string    // "" = a new one
	row          *Row      // the conversation, where the look-up read it already
	linkedAt     time.Time // when this address last wrote there; zero = unknown
	Suggestion   *Suggestion
	Observed     bool         // the address sent our token back: it received something of ours
	Participant  *Participant // the third party who wrote, if it was no customer
}

// Received says what became of an inbound message.
type Received struct {
	Message   Message
	Row       Row
	New       bool // a conversation was opened
	Duplicate bool // the same message came before, by another mailbox
	Observed  bool
}

// Receive puts an inbound message where it belongs (see the table in architecture.md, "Which conversation").
func Receive(ctx context.Context, tx *db.Tx, in In, now time.Time) (Received, error) {
	if in.Message.ExternalID != "" {
		if res, done, err := known(ctx, tx, in); done || err != nil {
			return res, err
		}
	}
	numbers := in.numbers()
	place, err := locate(ctx, tx, in, now)
	if err != nil {
		return Received{}, fmt.Errorf("find the conversation: %w", err)
	}
	var r Row
	switch {
	case place.row != nil:
		r = *place.row
	case place.Conversation != "":
		if r, err = load(ctx, tx, place.Conversation); err != nil {
			return Received{}, err
		}
	}
	if r.ID != "" && place.Participant == nil && (r.Participants > 0 || r.Customer != in.Customer) {
		// Who was brought in as a third party speaks as one, by whatever rule its message came here; who was sent away
		// does not speak here at all.
		list, err := participants(ctx, tx, `conversation = $2 AND address = $3`, r.ID, in.Address)
		if err != nil {
			return Received{}, err
		}
		if len(list) > 0 && list[0].RemovedAt.IsZero() {
			place.Participant = &list[0]
		} else if len(list) > 0 {
			place, r = Place{Suggestion: &Suggestion{Kind: "same_matter", Conversation: r.ID, Reason: "token_other_sender"}, Observed: place.Observed}, Row{}
		}
	}
	res := Received{Observed: place.Observed}
	if r.ID == "" {
		if place.Suggestion == nil {
			if place.Suggestion, err = sameNumber(ctx, tx, "", numbers, now); err != nil {
				return Received{}, err
			}
		}
		r = Row{ID: db.NewID(), Customer: in.Customer, CustomerName: in.CustomerName, Status: Open, Suggestion: place.Suggestion, CreatedAt: now,
			Assignee: in.Advisor.ID, AssigneeName: in.Advisor.Name}
		res.New = true
	}
	aside := in.aside(r, res.New)
	switch {
	case aside != "" && res.New: // kept, and nobody's work
		r.Category, r.Status, r.ClosedAt = aside, Closed, now
	case aside != "":
	case r.Status != Open:
		if err := reopen(ctx, tx, &r, in.CustomerName, now); err != nil {
			return Received{}, err
		}
	}
	r.Pos++
	author, audience, participant := channel.Customer, Everybody, ""
	if p := place.Participant; p != nil {
		author, audience, participant = channel.Participant, Audience{Participants: []string{p.ID}}, p.ID
		if in.AuthorName == in.CustomerName && p.Name != p.Value {
			in.AuthorName = p.Name
		} else if p.Name == p.Value && in.AuthorName != "" && in.AuthorName != p.Value { // now we know what it is called
			if _, err := tx.Exec(ctx, `UPDATE participant SET name = $3 WHERE org = $1 AND id = $2`, p.ID, in.AuthorName); err != nil {
				return Received{}, fmt.Errorf("name a participant: %w", err)
			}
		}
	}
	m := Message{
		Audience: audience, Participant: participant, Authentic: in.Authentic,
		ID: db.NewID(), Conversation: r.ID, Pos: r.Pos, Kind: KindMessage, In: true, Author: author, AuthorName: in.AuthorName,
		Channel: in.Channel.ID, ChannelKind: in.Channel.Kind, Address: in.Address, AddressValue: in.AddressValue, Assurance: in.Assurance,
		Subject: oneLine(in.Message.Subject, 400), Text: cleanText(in.Message.Text), HTML: in.HTML, RemoteImages: in.RemoteImages,
		Headers: Headers{From: in.Message.From, To: in.Message.To, Cc: in.Message.Cc}, ExternalID: in.Message.ExternalID,
		Attachments: len(in.Files), Automatic: in.Message.Automatic, Unsupported: oneLine(in.Message.Unsupported, 100), SourceKey: in.Key, Raw: in.Raw, At: in.At, ReceivedAt: now,
	}
	if q := in.Message.QuotedFrom; q > 0 && q < len(in.Message.Text) {
		// What was cleaned away before it does not count.
		m.QuotedFrom = len(cleanText(in.Message.Text[:q]))
	}
	if in.Edited {
		m.EditedAt = in.At
	}
	if in.Message.ReplyTo != "" {
		if m.ReplyTo, err = quoted(ctx, tx, in, r.ID); err != nil {
			return Received{}, err
		}
	}
	if err := insertMessage(ctx, tx, &m); err != nil {
		return Received{}, err
	}
	if in.Source != "" {
		if _, err := tx.Exec(ctx, `INSERT INTO message_source (org, message, html) VALUES ($1,$2,$3)`, m.ID, in.Source); err != nil {
			return Received{}, fmt.Errorf("store the message with its images: %w", err)
		}
	}
	for i, f := range in.Files {
		f.Message, f.Name = m.ID, CleanFileName(f.Name)
		if err := AddAttachment(ctx, tx, f, i, now); err != nil {
			return Received{}, err
		}
	}
	r.Received++
	r.LastAt, r.LastBy, r.LastIn, r.LastText = now, m.Author, true, preview(m)
	if r.WaitingSince.IsZero() && !m.Automatic && participant == "" && r.Category == "" && aside == "" {
		r.WaitingSince = now
	}
	if r.Subject == "" {
		if r.Subject = m.Subject; r.Subject == "" && !in.Threaded {
			r.Subject = oneLine(m.Text, 80)
		}
	}
	if participant == "" || r.Channel == "" { // the customer is answered where the customer wrote
		r.Channel, r.ChannelKind, r.Address = m.Channel, m.ChannelKind, m.Address
	}
	if err := keepNumbers(ctx, tx, r.ID, numbers, now); err != nil {
		return Received{}, err
	}
	// To the minute is enough to tell which conversation an address was last active in.
	if now.Sub(place.linkedAt) > time.Minute {
		if err := linkAddress(ctx, tx, r.ID, in.Address, now); err != nil {
			return Received{}, err
		}
	}
	if err := save(ctx, tx, &r, res.New); err != nil {
		return Received{}, err
	}
	res.Message, res.Row = m, r
	return res, nil
}

// reopen opens a conversation because its customer has something to say, and notes it.
func reopen(ctx context.Context, tx *db.Tx, r *Row, by string, now time.Time) error {
	e := "reopened"
	if r.Status == Snoozed {
		e = "woken"
	}
	r.Status, r.SnoozedUntil, r.ClosedAt, r.Category = Open, time.Time{}, time.Time{}, ""
	return event(ctx, tx, r, Event{Type: e, By: by}, now)
}

// known deals with a message whose external id is here already: the second mailbox of the same mail, or the original
// of a message whose edit overtook it.
func known(ctx context.Context, tx *db.Tx, in In) (Received, bool, error) {
	old, err := byExternalID(ctx, tx, in.Channel, in.Threaded, []string{in.Message.ExternalID})
	if err != nil {
		return Received{}, false, err
	}
	for _, m := range old {
		if !m.In || m.Address != in.Address {
			continue // somebody else's message with that id: nobody can suppress a message by sending its id first
		}
		switch {
		case m.SourceKey == in.Key:
			return Received{Message: m, Duplicate: true}, true, nil
		case !in.Threaded && (!m.EditedAt.IsZero() || !m.DeletedAt.IsZero()):
			return Received{Message: m, Duplicate: true}, true, original(ctx, tx, m, in)
		}
	}
	return Received{}, false, nil
}

// original adds to a message that was made by its edit what its original says.
func original(ctx context.Context, tx *db.Tx, m Message, in In) error {
	if err := keepVersion(ctx, tx, m.ID, in.At, cleanText(in.Message.Text), in.HTML); err != nil {
		return err
	}
	files := m.Attachments
	if files == 0 {
		files = len(in.Files)
		for i, f := range in.Files {
			f.Message, f.Name = m.ID, CleanFileName(f.Name)
			if err := AddAttachment(ctx, tx, f, i, in.At); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE message SET at = $3, attachments = $4 WHERE org = $1 AND id = $2`, m.ID, db.Micro(in.At), files); err != nil {
		return fmt.Errorf("date a message by its original: %w", err)
	}
	touched(tx, m)
	return nil
}

// byExternalID finds messages by the provider's ids, newest first. A Message-ID is unique in the world and known to all
// our mailboxes; other providers count anew for each account.
func byExternalID(ctx context.Context, q db.Querier, a channel.Account, threaded bool, ids []string) ([]Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var out []Message
	list, args := db.In(3, ids)
	rows, err := q.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND channel_kind = $2 AND external_id <> '' AND external_id IN `+list+` ORDER BY at DESC LIMIT 50`, append([]any{string(a.Kind)}, args...)...)
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		if threaded || m.Channel == a.ID {
			out = append(out, m)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for messages by the provider's id: %w", err)
	}
	return out, nil
}

// locate applies the first rule that fits.
func locate(ctx context.Context, tx *db.Tx, in In, now time.Time) (Place, error) {
	if in.Into != "" {
		return resume(ctx, tx, in.Into, now)
	}
	if t := in.Message.ReplyToken; t != "" {
		p, ok, err := byToken(ctx, tx, in, t, now)
		if ok || err != nil {
			return p, err
		}
	}
	if in.Threaded || in.Message.ReplyTo != "" {
		p, ok, err := byThread(ctx, tx, in, now)
		if ok || err != nil {
			return p, err
		}
	}
	if in.Threaded {
		return Place{}, nil
	}
	// chat: the open conversation last active on that address; else the customer's only open one; else new
	rows, err := tx.Query(ctx, `SELECT a.last_in_at, `+rowColumnsOf("c")+` FROM conversation_address a JOIN conversation c ON c.org = a.org AND c.id = a.conversation
		WHERE a.org = $1 AND a.address = $2 AND c.status <> 'closed' ORDER BY a.last_in_at DESC, c.last_at DESC LIMIT 1`+tx.ForUpdateOf("c"), in.Address)
	if err != nil {
		return Place{}, err
	}
	if rows.Next() {
		var at int64
		r, err := scanRow(rows, &at)
		rows.Close()
		return Place{Conversation: r.ID, row: &r, linkedAt: db.Time(at)}, err
	}
	err = rows.Err()
	rows.Close()
	if err != nil {
		return Place{}, err
	}
	records, err := in.CustomerIDs()
	if err != nil {
		return Place{}, err
	}
	list, args := db.In(2, records)
	var ids []string
	rows, err = tx.Query(ctx, `SELECT id FROM conversation WHERE org = $1 AND customer IN `+list+` AND status <> 'closed' LIMIT 2`, args...)
	err = db.Each(rows, err, func() error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err == nil && len(ids) == 1 {
		return Place{Conversation: ids[0]}, nil
	}
	return Place{}, err
}

// byToken: a reply token from the address it was given to is proof enough; from anybody else it is only a hint.
func byToken(ctx context.Context, tx *db.Tx, in In, token string, now time.Time) (Place, bool, error) {
	var conversation, address string
	err := tx.Row(ctx, `SELECT conversation, address FROM reply_token WHERE org = $1 AND token = $2`, token).Scan(&conversation, &address)
	if errors.Is(err, db.ErrNoRows) {
		return Place{}, false, nil
	}
	if err != nil {
		return Place{}, false, err
	}
	if address != in.Address {
		if p, ok, err := asParticipant(ctx, tx, in, conversation, now); ok || err != nil {
			return p, true, err
		}
		return Place{Suggestion: &Suggestion{Kind: "same_matter", Conversation: conversation, Reason: "token_other_sender"}}, true, nil
	}
	p, err := resume(ctx, tx, conversation, now)
	p.Observed = true
	return p, true, err
}

// byThread: a message that answers or quotes one that was exchanged with this very address belongs to its
// conversation; from another address it is only a hint.
func byThread(ctx context.Context, tx *db.Tx, in In, now time.Time) (Place, bool, error) {
	refs := make([]string, 0, len(in.Message.References)+1)
	if in.Message.ReplyTo != "" {
		refs = append(refs, in.Message.ReplyTo)
	}
	for i := len(in.Message.References) - 1; i >= 0 && len(refs) < 30; i-- { // newest first
		refs = append(refs, in.Message.References[i])
	}
	found, err := byExternalID(ctx, tx, in.Channel, in.Threaded, refs)
	if err != nil || len(found) == 0 {
		return Place{}, false, err
	}
	for _, ref := range refs {
		for _, m := range found {
			if m.ExternalID == ref && m.Address == in.Address && m.Kind == KindMessage {
				p, err := resume(ctx, tx, m.Conversation, now)
				return p, true, err
			}
		}
	}
	if !in.Threaded {
		return Place{}, false, nil
	}
	// A third party answers what it was sent a copy of.
	for _, m := range found {
		p, ok, err := asParticipant(ctx, tx, in, m.Conversation, now)
		if err != nil {
			return Place{}, false, err
		}
		if ok && p.Participant != nil && m.VisibleTo(p.Participant.ID) {
			return p, true, nil
		}
	}
	return Place{Suggestion: &Suggestion{Kind: "same_matter", Conversation: found[0].Conversation, Reason: "thread_other_sender"}}, true, nil
}

// asParticipant gives the place of a message whose sender staff made a third party of the conversation.
func asParticipant(ctx context.Context, tx *db.Tx, in In, conversation string, now time.Time) (Place, bool, error) {
	r, err := resolve(ctx, tx, conversation)
	if errors.Is(err, ErrNotFound) || (err == nil && r.Participants == 0) {
		return Place{}, false, nil
	}
	if err != nil {
		return Place{}, false, err
	}
	p, ok, err := ParticipantByAddress(ctx, tx, r.ID, in.Address)
	if err != nil || !ok {
		return Place{}, false, err
	}
	place, err := resume(ctx, tx, r.ID, now)
	place.Participant = &p
	return place, true, err
}

// resume goes on with a conversation, or with the one that it was joined into, unless that was closed too long ago.
func resume(ctx context.Context, tx *db.Tx, id string, now time.Time) (Place, error) {
	r, err := resolve(ctx, tx, id)
	if errors.Is(err, ErrNotFound) {
		return Place{}, nil
	}
	if err != nil {
		return Place{}, err
	}
	if r.Status == Closed && now.Sub(r.ClosedAt) > ReopenWithin {
		return Place{Suggestion: &Suggestion{Kind: "follows", Conversation: r.ID, Reason: "closed_long_ago"}}, nil
	}
	return Place{Conversation: r.ID}, nil
}

// quoted finds the message that the inbound one quotes, within the same conversation.
func quoted(ctx context.Context, tx *db.Tx, in In, conversation string) (string, error) {
	found, err := byExternalID(ctx, tx, in.Channel, in.Threaded, []string{in.Message.ReplyTo})
	if err != nil {
		return "", err
	}
	for _, m := range found {
		if m.Conversation == conversation {
			return m.ID, nil
		}
	}
	return "", nil
}

// Find gives the newest message with this external id that was exchanged with the address by this channel (threaded: by
// any of its kind); "" matches any address.
func Find(ctx context.Context, q db.Querier, a channel.Account, threaded bool, external, address string) (Message, error) {
	found, err := byExternalID(ctx, q, a, threaded, []string{external})
	if err != nil {
		return Message{}, err
	}
	for _, m := range found {
		if address == "" || m.Address == address {
			return m, nil
		}
	}
	return Message{}, ErrNoSuch
}

func keepVersion(ctx context.Context, tx *db.Tx, message string, at time.Time, text, html string) error {
	_, err := tx.Exec(ctx, `INSERT INTO message_history (org, message, at, text, html) VALUES ($1,$2,$3,$4,$5) ON CONFLICT (org, message, at) DO NOTHING`,
		message, db.Micro(at), text, html)
	if err != nil {
		return fmt.Errorf("keep the earlier version: %w", err)
	}
	return nil
}

// Edit replaces a message's content by the customer's newer version; the earlier one is kept. An older version that
// comes late changes nothing.
func Edit(ctx context.Context, tx *db.Tx, m Message, text, html string, at time.Time) error {
	text = cleanText(text)
	if !m.EditedAt.IsZero() && !at.After(m.EditedAt) {
		return keepVersion(ctx, tx, m.ID, at, text, html)
	}
	prev := m.At
	if !m.EditedAt.IsZero() {
		prev = m.EditedAt
	}
	if err := keepVersion(ctx, tx, m.ID, prev, m.Text, m.HTML); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE message SET text = $3, html = $4, edited_at = $5 WHERE org = $1 AND id = $2`, m.ID, text, html, db.Micro(at)); err != nil {
		return fmt.Errorf("change message: %w", err)
	}
	touched(tx, m)
	m.Text, m.HTML = text, html
	return relist(ctx, tx, m)
}

// relist brings a change of a message into the list, if it is the last one of its conversation.
func relist(ctx context.Context, tx *db.Tx, m Message) error {
	r, err := load(ctx, tx, m.Conversation)
	if err != nil {
		return err
	}
	var later int64
	if err := tx.Row(ctx, `SELECT COUNT(*) FROM message WHERE org = $1 AND conversation = $2 AND pos > $3 AND kind = 'message'`, m.Conversation, m.Pos).Scan(&later); err != nil {
		return fmt.Errorf("look for later messages: %w", err)
	}
	if later > 0 || r.LastText == preview(m) {
		return nil
	}
	r.LastText = preview(m)
	return save(ctx, tx, &r, false)
}

// Delete notes that the customer took a message back. Its content stays for the record but is no longer shown.
func Delete(ctx context.Context, tx *db.Tx, m Message, at time.Time) error {
	if !m.DeletedAt.IsZero() {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE message SET deleted_at = $3 WHERE org = $1 AND id = $2`, m.ID, db.Micro(at)); err != nil {
		return fmt.Errorf("take message back: %w", err)
	}
	touched(tx, m)
	m.DeletedAt = at
	return relist(ctx, tx, m)
}

// React keeps somebody's newest reaction on a message; an empty emoji takes it away.
func React(ctx context.Context, tx *db.Tx, m Message, emoji, by string, at time.Time) error {
	kept := m.Reactions[:0:0]
	for _, r := range m.Reactions {
		if r.By == by {
			if r.At.After(at) {
				return nil // a newer one is here already
			}
			continue
		}
		kept = append(kept, r)
	}
	// An empty emoji is kept as a mark of its time, so that an older reaction that comes late stays away.
	kept = append(kept, Reaction{Emoji: emoji, By: by, At: at})
	if _, err := tx.Exec(ctx, `UPDATE message SET reactions = $3 WHERE org = $1 AND id = $2`, m.ID, jsonText(kept, false)); err != nil {
		return fmt.Errorf("keep reaction: %w", err)
	}
	touched(tx, m)
	return nil
}

// Happened appends a line to the address's conversation about something that is no message (left, started again). It
// does nothing if there is no conversation.
func Happened(ctx context.Context, tx *db.Tx, address string, e Event, now time.Time) error {
	var id string
	err := tx.Row(ctx, `SELECT conversation FROM conversation_address WHERE org = $1 AND address = $2 ORDER BY last_in_at DESC LIMIT 1`, address).Scan(&id)
	if errors.Is(err, db.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the address's conversation: %w", err)
	}
	r, err := load(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := event(ctx, tx, &r, e, now); err != nil {
		return err
	}
	return save(ctx, tx, &r, false)
}

// ReplyToken gives the token that stands in the reply address of mails to this address in this conversation.
func ReplyToken(ctx context.Context, tx *db.Tx, conversation, address string, now time.Time) (string, error) {
	var raw [10]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("make reply token: %w", err)
	}
	token := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:]))
	err := tx.Row(ctx, `INSERT INTO reply_token (org, token, conversation, address, created_at) VALUES ($1,$2,$3,$4,$5)
		ON CONFLICT (org, conversation, address) DO UPDATE SET conversation = excluded.conversation RETURNING token`, token, conversation, address, now.UnixMicro()).Scan(&token)
	if err != nil {
		return "", fmt.Errorf("keep reply token: %w", err)
	}
	return token, nil
}

// cleanText removes what would deceive or break a reader: NUL and other control characters except line breaks and
// tabs, and bidirectional overrides (isolates stay: they are how honest mixed text is written).
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e':
			return -1
		}
		return r
	}, s)
}

func stripHidden(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u200b', r == '\u200c', r == '\u2060', r == '\ufeff', r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
}
