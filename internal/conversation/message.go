package conversation

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Kinds of entries in a conversation.
const (
	KindMessage = "message" // said to or by somebody outside
	KindNote    = "note"    // internal; never leaves the house
	KindEvent   = "event"   // something that happened: closed, assigned …
)

// Message is one entry of a conversation.
type Message struct {
	ID           string
	Conversation string
	Pos          int64
	Kind         string
	In           bool // came from outside
	Author       channel.Author
	AuthorID     string // staff id
	AuthorName   string
	Channel      string
	ChannelKind  channel.Kind
	Address      string // address id of the person outside
	AddressValue string
	Assurance    channel.Assurance
	Subject      string
	Text         string
	HTML         string // sanitised; remote images stand as data-remote-src
	RemoteImages int
	Headers      Headers
	ExternalID   string
	ReplyTo      string // message id
	Attachments  int
	Automatic    bool
	Unsupported  string
	ClientID     string
	SourceKey    string // key of the event it came by
	Raw          string // id of the raw body it came in
	Event        *Event
	Reactions    []Reaction
	Audience     Audience  // who outside the house may see it
	Participant  string    // the participant who wrote it or whom it was sent to; "" = the customer
	QuotedFrom   int       // byte offset in Text from which on earlier messages are quoted; 0 = nothing is
	Authentic    string    // how its sender was judged, as JSON (channel.Assessment); "" = was not
	Origin       string    // the conversations by which it came here, see MovedFrom
	At           time.Time // as its provider or author says
	ReceivedAt   time.Time // by our own clock
	EditedAt     time.Time
	DeletedAt    time.Time
}

// MovedFrom is the conversation from which a message was joined or split; "" if it has always been here.
func (m Message) MovedFrom() string {
	from, _ := lastOrigin(m.Origin)
	return from
}

// Headers are the addressees of a message that has several.
type Headers struct {
	From []channel.Mailbox `json:"from,omitempty"`
	To   []channel.Mailbox `json:"to,omitempty"`
	Cc   []channel.Mailbox `json:"cc,omitempty"`
	Bcc  []channel.Mailbox `json:"bcc,omitempty"`
}

// Event is what a KindEvent entry tells.
type Event struct {
	Type string `json:"type"` // closed, reopened, assigned, snoozed, woken, opted_out, reacted
	By   string `json:"by,omitempty"`
	To   string `json:"to,omitempty"`
}

// Reaction is somebody's emoji on a message.
type Reaction struct {
	Emoji string    `json:"emoji"`
	By    string    `json:"by"`
	At    time.Time `json:"at"`
}

const messageColumns = `id, conversation, pos, kind, direction, author, author_id, author_name, channel, channel_kind, address, address_value, assurance, subject, text, html, remote_images,
	headers, external_id, reply_to, attachments, automatic, unsupported, client_id, source_key, raw, event, reactions,
	audience, participant, quoted_from, authentication, origin, at, received_at, edited_at, deleted_at`

func scanMessage(rows *db.Rows) (Message, error) {
	var m Message
	var direction, author, kind, assurance, headers, ev, reactions, audience string
	var automatic, at, received, edited, deleted int64
	err := rows.Scan(&m.ID, &m.Conversation, &m.Pos, &m.Kind, &direction, &author, &m.AuthorID, &m.AuthorName, &m.Channel, &kind, &m.Address, &m.AddressValue, &assurance, &m.Subject, &m.Text, &m.HTML, &m.RemoteImages,
		&headers, &m.ExternalID, &m.ReplyTo, &m.Attachments, &automatic, &m.Unsupported, &m.ClientID, &m.SourceKey, &m.Raw, &ev, &reactions, &audience, &m.Participant, &m.QuotedFrom, &m.Authentic, &m.Origin, &at, &received, &edited, &deleted)
	if err != nil {
		return m, err
	}
	m.In, m.Author, m.ChannelKind, m.Assurance, m.Automatic = direction == "in", channel.Author(author), channel.Kind(kind), channel.Assurance(assurance), automatic == 1
	m.At, m.ReceivedAt, m.EditedAt, m.DeletedAt = db.Time(at), db.Time(received), db.Time(edited), db.Time(deleted)
	if headers != "" {
		err = json.Unmarshal([]byte(headers), &m.Headers)
	}
	if ev != "" {
		m.Event = &Event{}
		err = errors.Join(err, json.Unmarshal([]byte(ev), m.Event))
	}
	if m.Audience = Everybody; audience != "" {
		m.Audience = Audience{}
		err = errors.Join(err, json.Unmarshal([]byte(audience), &m.Audience))
	}
	if reactions != "" {
		err = errors.Join(err, json.Unmarshal([]byte(reactions), &m.Reactions))
	}
	return m, err
}

func insertMessage(ctx context.Context, tx *db.Tx, m *Message) error {
	direction := "out"
	if m.In {
		direction = "in"
	}
	h := m.Headers
	_, err := tx.Exec(ctx, `INSERT INTO message (org, `+messageColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30,$31,$32,$33,$34,$35,$36,$37,$38)`,
		m.ID, m.Conversation, m.Pos, m.Kind, direction, string(m.Author), m.AuthorID, m.AuthorName, m.Channel, string(m.ChannelKind), m.Address, m.AddressValue, string(m.Assurance), m.Subject, m.Text, m.HTML, m.RemoteImages,
		jsonText(h, len(h.From)+len(h.To)+len(h.Cc)+len(h.Bcc) == 0), m.ExternalID, m.ReplyTo, m.Attachments, db.Bool(m.Automatic), m.Unsupported, m.ClientID, m.SourceKey, m.Raw,
		jsonText(m.Event, m.Event == nil), jsonText(m.Reactions, len(m.Reactions) == 0),
		jsonText(m.Audience, m.Audience.plain()), m.Participant, m.QuotedFrom, m.Authentic, m.Origin, db.Micro(m.At), db.Micro(cmp.Or(m.ReceivedAt, m.At)), db.Micro(m.EditedAt), db.Micro(m.DeletedAt))
	if err != nil {
		return fmt.Errorf("store message: %w", err)
	}
	tx.Emit("message", m.ID, feedData{m.Conversation})
	return nil
}

type feedData struct {
	Conversation string `json:"conversation_id"`
}

func touched(tx *db.Tx, m Message) { tx.Emit("message", m.ID, feedData{m.Conversation}) }

// event appends a line about what happened to the conversation; the caller saves the row.
func event(ctx context.Context, tx *db.Tx, r *Row, e Event, now time.Time) error {
	r.Pos++
	return insertMessage(ctx, tx, &Message{ID: db.NewID(), Conversation: r.ID, Pos: r.Pos, Kind: KindEvent, Author: channel.Staff, AuthorName: e.By, Event: &e, At: now})
}

// Messages gives a page of a conversation's entries: the newest page first, each page in ascending order; next leads
// to older ones.
func Messages(ctx context.Context, q db.Querier, conversation, cursor string, limit int) (page []Message, next string, err error) {
	before := int64(1 << 62)
	if cursor != "" {
		b, err := base64.RawURLEncoding.DecodeString(cursor)
		if err == nil {
			_, err = fmt.Sscanf(string(b), "%d", &before)
		}
		if err != nil {
			return nil, "", fmt.Errorf("%w: %q", db.ErrCursor, cursor)
		}
	}
	rows, err := q.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND conversation = $2 AND pos < $3 ORDER BY pos DESC LIMIT $4`, conversation, before, limit+1)
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		page = append(page, m)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("read messages: %w", err)
	}
	if len(page) > limit {
		page = page[:limit]
		next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d", page[limit-1].Pos))
	}
	slices.Reverse(page)
	return page, next, nil
}

// MessagesByID reads messages in one go; unknown ids are left out.
func MessagesByID(ctx context.Context, q db.Querier, ids []string) (map[string]Message, error) {
	out := map[string]Message{}
	if len(ids) == 0 {
		return out, nil
	}
	list, args := db.In(2, ids)
	rows, err := q.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND id IN `+list, args...)
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		out[m.ID] = m
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return out, nil
}

// MessageByID reads one message.
func MessageByID(ctx context.Context, q db.Querier, id string) (Message, error) {
	m, err := MessagesByID(ctx, q, []string{id})
	if err != nil {
		return Message{}, err
	}
	if v, ok := m[id]; ok {
		return v, nil
	}
	return Message{}, ErrNoSuch
}

// Thread gives the external ids of the messages exchanged with an address in a conversation, oldest first (RFC 5322
// References), at most 50, and the last one that came in.
func Thread(ctx context.Context, q db.Querier, conversation, address string, kind channel.Kind) (ids []string, lastIn Message, err error) {
	rows, err := q.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND conversation = $2 AND address = $3 AND channel_kind = $4 AND kind = 'message' ORDER BY pos DESC LIMIT 50`,
		conversation, address, string(kind))
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		if err != nil {
			return err
		}
		if m.In && lastIn.ID == "" {
			lastIn = m
		}
		if m.ExternalID != "" {
			ids = append(ids, m.ExternalID)
		}
		return nil
	})
	if err != nil {
		return nil, lastIn, fmt.Errorf("read the thread: %w", err)
	}
	slices.Reverse(ids)
	return ids, lastIn, nil
}

// SetExternalID notes the provider's id of an outbound message, once it is known.
func SetExternalID(ctx context.Context, tx *db.Tx, message, external string) error {
	_, err := tx.Exec(ctx, `UPDATE message SET external_id = $3 WHERE org = $1 AND id = $2`, message, external)
	if err != nil {
		return fmt.Errorf("note the provider's id of a message: %w", err)
	}
	return nil
}

// SetSubject notes the subject under which a message left, where its author gave none.
func SetSubject(ctx context.Context, tx *db.Tx, message, subject string) error {
	_, err := tx.Exec(ctx, `UPDATE message SET subject = $3 WHERE org = $1 AND id = $2 AND subject = ''`, message, subject)
	if err != nil {
		return fmt.Errorf("note the subject of a message: %w", err)
	}
	return nil
}

// Judged notes how sure it is who wrote a message (channel.Assessment as JSON). What was sure already stays so.
func Judged(ctx context.Context, tx *db.Tx, message string, a channel.Assurance, how string) error {
	m, err := MessageByID(ctx, tx, message)
	if err != nil {
		return err
	}
	if m.Assurance.Stronger(a) {
		a = m.Assurance
	}
	if _, err := tx.Exec(ctx, `UPDATE message SET assurance = $3, authentication = $4 WHERE org = $1 AND id = $2`, message, string(a), how); err != nil {
		return fmt.Errorf("note how a sender was judged: %w", err)
	}
	touched(tx, m)
	return nil
}

// Source gives a message's HTML with its remote images; "" if it has none.
func Source(ctx context.Context, q db.Querier, message string) (html string, err error) {
	err = q.Row(ctx, `SELECT html FROM message_source WHERE org = $1 AND message = $2`, message).Scan(&html)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	return html, err
}

// Touched tells the feed that something shown with a message changed (its delivery, an attachment).
func Touched(ctx context.Context, tx *db.Tx, message string) error {
	var c string
	if err := tx.Row(ctx, `SELECT conversation FROM message WHERE org = $1 AND id = $2`, message).Scan(&c); err != nil {
		return fmt.Errorf("find the conversation of a message: %w", err)
	}
	tx.Emit("message", message, feedData{c})
	return nil
}

// Out is an outbound message as its author wrote it.
type Out struct {
	ID           string // "" = made here
	Author       channel.Author
	By           Actor
	Channel      channel.Account
	Address      string // address id
	AddressValue string
	Assurance    channel.Assurance
	Subject      string
	Text         string
	HTML         string // sanitised
	To, Cc, Bcc  []channel.Mailbox
	ReplyTo      string // message id
	ClientID     string
	Attachments  []string // ids of uploaded attachments
	Automatic    bool
	Participant  string   // the participant whom it goes to; "" = the customer
	Copied       []string // participants who get a copy
	QuotedFrom   int      // byte offset in Text from which on earlier messages stand; 0 = none do
	CustomerToo  bool     // the customer gets a copy of what goes to a participant
}

// Append adds an outbound message. If the client id was used in this conversation before, the earlier message is
// returned and again is true: pressed twice is sent once.
func Append(ctx context.Context, tx *db.Tx, conversation string, o Out, now time.Time) (m Message, again bool, err error) {
	r, err := load(ctx, tx, conversation)
	if err != nil {
		return Message{}, false, err
	}
	if r.JoinedInto != "" {
		return Message{}, false, ErrJoined
	}
	if old, err := byClientID(ctx, tx, conversation, o.ClientID); err != nil || old.ID != "" {
		return old, old.ID != "", err
	}
	m = Message{ID: o.ID, Conversation: r.ID, Pos: r.Pos + 1, Kind: KindMessage, Author: o.Author, AuthorID: o.By.ID, AuthorName: o.By.Name,
		Channel: o.Channel.ID, ChannelKind: o.Channel.Kind, Address: o.Address, AddressValue: o.AddressValue, Assurance: o.Assurance,
		Subject: oneLine(o.Subject, 400), Text: o.Text, HTML: o.HTML, Headers: Headers{To: o.To, Cc: o.Cc, Bcc: o.Bcc}, ClientID: o.ClientID, Attachments: len(o.Attachments), Automatic: o.Automatic, At: now}
	if m.ID == "" {
		m.ID = db.NewID()
	}
	m.QuotedFrom, m.Participant, m.Audience = o.QuotedFrom, o.Participant, Audience{Customer: o.Participant == "" || o.CustomerToo, Participants: o.Copied}
	if o.Participant != "" && !slices.Contains(o.Copied, o.Participant) {
		m.Audience.Participants = append([]string{o.Participant}, o.Copied...)
	}
	if o.ReplyTo != "" {
		q, err := MessageByID(ctx, tx, o.ReplyTo)
		if err != nil && !errors.Is(err, ErrNoSuch) {
			return Message{}, false, err
		}
		if err != nil || q.Conversation != conversation {
			return Message{}, false, fmt.Errorf("the quoted message: %w", ErrNoSuch)
		}
		m.ReplyTo = o.ReplyTo
	}
	if err := insertMessage(ctx, tx, &m); err != nil {
		return Message{}, false, err
	}
	for i, id := range o.Attachments {
		n, err := tx.Exec(ctx, `UPDATE attachment SET message = $3, pos = $4 WHERE org = $1 AND id = $2 AND message = ''`, id, m.ID, i)
		if err != nil {
			return Message{}, false, fmt.Errorf("attach file: %w", err)
		}
		if n == 0 {
			return Message{}, false, fmt.Errorf("attachment %s is unknown or was sent already; upload it again", id)
		}
	}
	r.Pos, r.LastAt, r.LastBy, r.LastIn, r.LastText = m.Pos, now, o.Author, false, preview(m)
	if !o.Automatic && m.Audience.Customer {
		r.WaitingSince = time.Time{}
	}
	if r.Status == Closed {
		r.Status, r.ClosedAt, r.Category = Open, time.Time{}, ""
	}
	if r.Subject == "" {
		r.Subject = m.Subject
	}
	if r.Channel == "" && o.Participant == "" { // the company wrote first
		r.Channel, r.ChannelKind, r.Address = m.Channel, m.ChannelKind, m.Address
	}
	if o.By.ID != "" && r.Assignee == "" {
		r.Assignee, r.AssigneeName = o.By.ID, o.By.Name // who answers, has it
	}
	if err := linkAddress(ctx, tx, r.ID, o.Address, time.Time{}); err != nil {
		return Message{}, false, err
	}
	return m, false, save(ctx, tx, &r, false)
}

func byClientID(ctx context.Context, tx *db.Tx, conversation, client string) (Message, error) {
	if client == "" {
		return Message{}, nil
	}
	rows, err := tx.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND conversation = $2 AND client_id = $3 AND client_id <> ''`, conversation, client)
	if err != nil {
		return Message{}, fmt.Errorf("look for an earlier send: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return Message{}, rows.Err()
	}
	return scanMessage(rows)
}

// AnsweredSince gives the first message that a colleague of staff sent after the message seen; ok is false if there is
// none, or if seen is not of this conversation.
func AnsweredSince(ctx context.Context, q db.Querier, conversation, seen, staff string) (m Message, ok bool, err error) {
	rows, err := q.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND conversation = $2 AND pos > (SELECT pos FROM message WHERE org = $1 AND conversation = $2 AND id = $3)
		AND direction = 'out' AND kind = 'message' AND author_id <> '' AND author_id <> $4 AND automatic = 0 ORDER BY pos LIMIT 1`, conversation, seen, staff)
	err = db.Each(rows, err, func() error {
		m, err = scanMessage(rows)
		ok = true
		return err
	})
	if err != nil {
		return Message{}, false, fmt.Errorf("look for answers of colleagues: %w", err)
	}
	return m, ok, nil
}

// Remove takes an outbound message back that was never sent (undo) and returns it.
func Remove(ctx context.Context, tx *db.Tx, id string) (Message, []Attachment, error) {
	m, err := MessageByID(ctx, tx, id)
	if err != nil {
		return Message{}, nil, err
	}
	files, err := Attachments(ctx, tx, []string{id})
	if err != nil {
		return Message{}, nil, err
	}
	r, err := load(ctx, tx, m.Conversation)
	if err != nil {
		return Message{}, nil, err
	}
	if _, err := tx.Exec(ctx, `UPDATE attachment SET message = '' WHERE org = $1 AND message = $2`, id); err != nil {
		return Message{}, nil, fmt.Errorf("detach files: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM message WHERE org = $1 AND id = $2`, id); err != nil {
		return Message{}, nil, fmt.Errorf("take message back: %w", err)
	}
	touched(tx, m)
	// The row shows what is the last message now, and whether the customer waits again.
	if err := recount(ctx, tx, &r); err != nil {
		return Message{}, nil, err
	}
	return m, files[id], save(ctx, tx, &r, false)
}

// Note adds an internal note.
func Note(ctx context.Context, tx *db.Tx, conversation, text, client string, by Actor, now time.Time) (Message, error) {
	r, err := load(ctx, tx, conversation)
	if err != nil {
		return Message{}, err
	}
	if r.JoinedInto != "" {
		return Message{}, ErrJoined
	}
	if old, err := byClientID(ctx, tx, conversation, client); err != nil || old.ID != "" {
		return old, err
	}
	r.Pos++
	m := Message{ID: db.NewID(), Conversation: r.ID, Pos: r.Pos, Kind: KindNote, Author: channel.Staff, AuthorID: by.ID, AuthorName: by.Name, Text: text, ClientID: client, At: now}
	if err := insertMessage(ctx, tx, &m); err != nil {
		return Message{}, err
	}
	return m, save(ctx, tx, &r, false)
}

// Start opens a conversation that the company begins.
func Start(ctx context.Context, tx *db.Tx, customer, name, subject string, by Actor, now time.Time) (Row, error) {
	r := Row{ID: db.NewID(), Customer: customer, CustomerName: name, Subject: oneLine(subject, 200), Status: Open, Assignee: by.ID, AssigneeName: by.Name, LastAt: now, CreatedAt: now}
	return r, save(ctx, tx, &r, true)
}

// preview is the one line that lists show of a message.
func preview(m Message) string {
	t := oneLine(m.Text, 140)
	switch {
	case !m.DeletedAt.IsZero(): // taken back: not shown in the list either
		t = "🗑"
	case t != "":
	case m.Unsupported != "":
		t = "[" + m.Unsupported + "]"
	case m.Attachments > 0:
		t = "📎"
	default:
		t = oneLine(m.Subject, 140)
	}
	return t
}

func linkAddress(ctx context.Context, tx *db.Tx, conversation, address string, lastIn time.Time) error {
	if address == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO conversation_address (org, address, conversation, last_in_at) VALUES ($1,$2,$3,$4)
		ON CONFLICT (org, address, conversation) DO UPDATE SET last_in_at = CASE WHEN excluded.last_in_at > conversation_address.last_in_at THEN excluded.last_in_at ELSE conversation_address.last_in_at END`,
		address, conversation, db.Micro(lastIn))
	if err != nil {
		return fmt.Errorf("note the conversation's address: %w", err)
	}
	return nil
}

// Attachment is a file of a message.
type Attachment struct {
	ID        string
	Message   string
	Name      string
	MediaType string
	Size      int64
	ContentID string
	Inline    bool
	Blob      string // content, once State is "stored"
	State     string // stored, pending, failed, quarantined
	Channel   string // for pending ones: where to fetch it
	Remote    string
	Attempts  int64
	CreatedBy string
	CreatedAt time.Time
}

// States of an attachment.
const (
	Stored      = "stored"
	Pending     = "pending"
	FetchFailed = "failed"
)

const attachmentColumns = `id, message, name, media_type, size, content_id, inline, blob, state, channel, remote, attempts, created_by, created_at`

func scanAttachment(rows *db.Rows) (Attachment, error) {
	var a Attachment
	var inline, at int64
	err := rows.Scan(&a.ID, &a.Message, &a.Name, &a.MediaType, &a.Size, &a.ContentID, &inline, &a.Blob, &a.State, &a.Channel, &a.Remote, &a.Attempts, &a.CreatedBy, &at)
	a.Inline, a.CreatedAt = inline == 1, db.Time(at)
	return a, err
}

// AddAttachment stores a file's row; message may be "" for an upload that is not sent yet.
func AddAttachment(ctx context.Context, tx *db.Tx, a Attachment, pos int, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO attachment (org, id, message, pos, name, media_type, size, content_id, inline, blob, state, channel, remote, attempts, next_at, created_by, created_at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,0,$14,$15,$14)`,
		a.ID, a.Message, pos, a.Name, a.MediaType, a.Size, a.ContentID, db.Bool(a.Inline), a.Blob, a.State, a.Channel, a.Remote, now.UnixMicro(), a.CreatedBy)
	if err != nil {
		return fmt.Errorf("store attachment: %w", err)
	}
	return nil
}

// Attachments reads the files of messages in one go, by message, in their order.
func Attachments(ctx context.Context, q db.Querier, messages []string) (map[string][]Attachment, error) {
	out := map[string][]Attachment{}
	if len(messages) == 0 {
		return out, nil
	}
	list, args := db.In(2, messages)
	rows, err := q.Query(ctx, `SELECT `+attachmentColumns+` FROM attachment WHERE org = $1 AND message IN `+list+` ORDER BY message, pos`, args...)
	err = db.Each(rows, err, func() error {
		a, err := scanAttachment(rows)
		out[a.Message] = append(out[a.Message], a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read attachments: %w", err)
	}
	return out, nil
}

// AttachmentByID reads one file's row; ErrNoSuch if there is none.
func AttachmentByID(ctx context.Context, q db.Querier, id string) (Attachment, error) {
	rows, err := q.Query(ctx, `SELECT `+attachmentColumns+` FROM attachment WHERE org = $1 AND id = $2`, id)
	if err != nil {
		return Attachment{}, fmt.Errorf("read attachment: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return Attachment{}, cmp.Or(rows.Err(), ErrNoSuch)
	}
	return scanAttachment(rows)
}

// PendingMedia lists attachments that wait to be fetched from their provider and are due.
func PendingMedia(ctx context.Context, o db.Org, now time.Time, limit int) ([]Attachment, error) {
	var out []Attachment
	rows, err := o.Query(ctx, `SELECT `+attachmentColumns+` FROM attachment WHERE org = $1 AND state = 'pending' AND next_at <= $2 ORDER BY next_at LIMIT $3`, now.UnixMicro(), limit)
	err = db.Each(rows, err, func() error {
		a, err := scanAttachment(rows)
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list media to fetch: %w", err)
	}
	return out, nil
}

// Fetched records the outcome of fetching an attachment: stored, failed, or pending again until next.
func Fetched(ctx context.Context, tx *db.Tx, a Attachment, next time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE attachment SET state = $3, blob = $4, size = $5, media_type = $6, attempts = attempts + 1, next_at = $7 WHERE org = $1 AND id = $2`,
		a.ID, a.State, a.Blob, a.Size, a.MediaType, db.Micro(next))
	if err != nil {
		return fmt.Errorf("record fetched media: %w", err)
	}
	return Touched(ctx, tx, a.Message)
}

// UsedBlobs tells which of these files attachments refer to.
func UsedBlobs(ctx context.Context, o db.Org, sums []string) (map[string]bool, error) {
	out := map[string]bool{}
	list, args := db.In(2, sums)
	rows, err := o.Query(ctx, `SELECT DISTINCT blob FROM attachment WHERE org = $1 AND blob IN `+list, args...)
	err = db.Each(rows, err, func() error {
		var s string
		err := rows.Scan(&s)
		out[s] = true
		return err
	})
	return out, err
}

// History gives earlier versions of an edited message, oldest first.
func History(ctx context.Context, q db.Querier, message string) (texts []string, err error) {
	rows, err := q.Query(ctx, `SELECT text FROM message_history WHERE org = $1 AND message = $2 ORDER BY at`, message)
	err = db.Each(rows, err, func() error {
		var s string
		err := rows.Scan(&s)
		texts = append(texts, s)
		return err
	})
	return texts, err
}

// CleanFileName makes a file name that a stranger chose harmless: no path, no control, override or zero-width
// characters, at most 150 characters with its ending kept.
func CleanFileName(s string) string {
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.TrimSpace(stripHidden(s))
	s = strings.TrimLeft(s, ".")
	if r := []rune(s); len(r) > 150 {
		ext := ""
		if i := strings.LastIndexByte(s, '.'); i > 0 && len(s)-i <= 12 {
			ext = s[i:]
		}
		s = string(r[:150-len([]rune(ext))]) + ext
	}
	if s == "" {
		s = "Datei"
	}
	return s
}
