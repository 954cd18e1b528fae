package signal

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"path"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// stamp is a time in milliseconds since 1970: Signal's name of a message within its author's. It is kept as text.
type stamp = json.Number

// notification is the notification "receive", with or without a subscription around it.
type notification struct {
	Method string `json:"method"`
	Params struct {
		Subscription *json.Number `json:"subscription"`
		Result       *received    `json:"result"`
		received
	} `json:"params"`
}

type received struct {
	Account   string          `json:"account"`
	Envelope  json.RawMessage `json:"envelope"`
	Exception *struct {
		Message string `json:"message"`
		Type    string `json:"type"`
	} `json:"exception"`
}

// envelope is JsonMessageEnvelope.
type envelope struct {
	Source       string   `json:"source"`
	SourceNumber string   `json:"sourceNumber"`
	SourceUUID   string   `json:"sourceUuid"`
	SourceName   string   `json:"sourceName"`
	Timestamp    stamp    `json:"timestamp"`
	Data         *message `json:"dataMessage"`
	Edit         *struct {
		Target stamp    `json:"targetSentTimestamp"`
		Data   *message `json:"dataMessage"`
	} `json:"editMessage"`
	Receipt *struct {
		When       stamp   `json:"when"`
		IsDelivery bool    `json:"isDelivery"`
		IsRead     bool    `json:"isRead"`
		IsViewed   bool    `json:"isViewed"`
		Timestamps []stamp `json:"timestamps"`
	} `json:"receiptMessage"`
	Typing *struct {
		Action  string `json:"action"`
		GroupID string `json:"groupId"`
	} `json:"typingMessage"`
	Call *struct {
		Offer *json.RawMessage `json:"offerMessage"`
	} `json:"callMessage"`
	Sync *struct {
		Sent *json.RawMessage `json:"sentMessage"`
	} `json:"syncMessage"`
	Story *json.RawMessage `json:"storyMessage"`
}

// message is JsonDataMessage.
type message struct {
	Timestamp          stamp  `json:"timestamp"`
	Text               string `json:"message"`
	IsExpirationUpdate bool   `json:"isExpirationUpdate"`
	Quote              *struct {
		ID           stamp  `json:"id"`
		Author       string `json:"author"`
		AuthorNumber string `json:"authorNumber"`
		AuthorUUID   string `json:"authorUuid"`
	} `json:"quote"`
	Reaction *struct {
		Emoji        string `json:"emoji"`
		Author       string `json:"targetAuthor"`
		AuthorNumber string `json:"targetAuthorNumber"`
		AuthorUUID   string `json:"targetAuthorUuid"`
		Target       stamp  `json:"targetSentTimestamp"`
		IsRemove     bool   `json:"isRemove"`
	} `json:"reaction"`
	Mentions []struct {
		Name   string `json:"name"`
		Number string `json:"number"`
	} `json:"mentions"`
	Attachments []struct {
		ContentType string `json:"contentType"`
		Filename    string `json:"filename"`
		ID          string `json:"id"`
		Size        int64  `json:"size"`
	} `json:"attachments"`
	Contacts []struct {
		Name struct {
			Display string `json:"display"`
			Given   string `json:"given"`
			Family  string `json:"family"`
		} `json:"name"`
		Phones []struct {
			Value string `json:"value"`
		} `json:"phone"`
		Emails []struct {
			Value string `json:"value"`
		} `json:"email"`
	} `json:"contacts"`
	RemoteDelete *struct {
		Timestamp stamp `json:"timestamp"`
	} `json:"remoteDelete"`
	Group *struct {
		ID string `json:"groupId"`
	} `json:"groupInfo"`
	Sticker       *json.RawMessage `json:"sticker"`
	Payment       *json.RawMessage `json:"payment"`
	PollCreate    *json.RawMessage `json:"pollCreate"`
	PollVote      *json.RawMessage `json:"pollVote"`
	PollTerminate *json.RawMessage `json:"pollTerminate"`
	Pin           *json.RawMessage `json:"pinMessage"`
	Unpin         *json.RawMessage `json:"unpinMessage"`
	GroupCall     *json.RawMessage `json:"groupCallUpdate"`
	StoryContext  *json.RawMessage `json:"storyContext"`
}

// Reparse implements channel.Reparser.
func (Driver) Reparse(_ channel.Account, raw []byte) ([]channel.Event, error) { return parse(raw) }

// parse turns one notification into events; none if it says nothing about a customer. It is pure.
func parse(raw []byte) ([]channel.Event, error) {
	var n notification
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, fmt.Errorf("notification of signal-cli: %w", err)
	}
	if n.Method != "receive" {
		return nil, fmt.Errorf("signal-cli notifies %q, which is unknown here", n.Method)
	}
	r := n.Params.received
	if n.Params.Result != nil {
		r = *n.Params.Result
	}
	if len(r.Envelope) == 0 && r.Exception == nil {
		return nil, errors.New("the notification has no envelope")
	}
	var e envelope
	if len(r.Envelope) > 0 {
		if err := json.Unmarshal(r.Envelope, &e); err != nil {
			return nil, fmt.Errorf("envelope: %w", err)
		}
	}
	p := reader{envelope: e, raw: raw}
	p.sender()
	events := p.read(r)
	for i := range events {
		events[i].Account = r.Account
	}
	return events, nil
}

// reader reads one envelope.
type reader struct {
	envelope
	raw    []byte
	from   channel.Address
	author string // how the sender's messages are named: by ACI, as numbers change and may be hidden
}

func (p *reader) sender() {
	number, aci := p.SourceNumber, strings.ToLower(p.SourceUUID)
	if number == "" && numberForm.MatchString(p.Source) {
		number = p.Source
	}
	if aci == "" && aciForm.MatchString(strings.ToLower(p.Source)) {
		aci = strings.ToLower(p.Source)
	}
	p.author = aci
	if aci == "" {
		p.author = number
	}
	p.from = channel.Address{Value: number, Name: channel.CleanName(p.SourceName), Assurance: channel.Observed}
	switch {
	case number == "":
		p.from.Value = aci
	case aci != "":
		p.from.Also = []string{aci}
	}
	if p.from.Name == p.from.Value {
		p.from.Name = ""
	}
}

// A message of a customer is named "ACI:timestamp"; one of ours "to:ACI of the recipient:timestamp", since a receipt says
// who received it and quotes and reactions in a chat of two are about the sender's messages or about ours.

func theirs(author string, t stamp) string  { return author + ":" + t.String() }
func ours(recipient string, t stamp) string { return "to:" + recipient + ":" + t.String() }

// target names the message that a quote or a reaction is about.
func (p *reader) target(t stamp, number, aci, either string) string {
	aci = strings.ToLower(aci)
	for _, a := range []string{number, aci, either, strings.ToLower(either)} {
		if a != "" && (a == p.author || a == p.from.Value) {
			return theirs(p.author, t)
		}
	}
	return ours(p.author, t)
}

// read makes the events.
func (p *reader) read(r received) []channel.Event {
	at, timed := moment(p.Timestamp)
	unparsed := func(key, why string) []channel.Event {
		return []channel.Event{{Key: key, Type: channel.UnparsedEvent, Sender: p.from, At: at, Error: why}}
	}
	if r.Exception != nil {
		// An UntrustedIdentityException keeps the message at the daemon until the new key is trusted; it comes again then.
		return unparsed(channel.HashKey("exception", p.author, p.Timestamp.String(), r.Exception.Type),
			"signal-cli could not read a message: "+r.Exception.Type+": "+r.Exception.Message)
	}
	if p.Sync != nil {
		if p.Sync.Sent != nil {
			return unparsed("note:sync", "Messages that are written on another device of this Signal account are not shown here.")
		}
		return nil
	}
	if p.author == "" {
		return unparsed(channel.HashKey("envelope", string(p.raw)), "the envelope has no sender")
	}
	if p.Story != nil && p.Data == nil {
		return nil // public, to nobody in particular
	}
	if !timed {
		return unparsed(channel.HashKey("envelope", string(p.raw)), "the envelope has no timestamp")
	}
	base := channel.Event{Sender: p.from, At: at}
	if g := p.group(); g != "" {
		return unparsed(channel.HashKey("group", g), "Groups are not served: somebody wrote in a Signal group of this account.")
	}
	switch {
	case p.Data != nil:
		return p.data(base, p.Data)
	case p.Edit != nil && p.Edit.Data != nil && valid(p.Edit.Target):
		m := p.content(p.Edit.Data)
		m.ExternalID = theirs(p.author, p.Edit.Target)
		if empty(m) {
			m.Unsupported = "edit"
		}
		base.Type, base.Message, base.Ref = channel.EditEvent, &m, m.ExternalID
		base.Key = "edit:" + m.ExternalID + ":" + p.Timestamp.String()
		return []channel.Event{base}
	case p.Receipt != nil:
		return p.receipts(base)
	case p.Typing != nil:
		if p.Typing.Action != "STARTED" {
			return nil
		}
		base.Type, base.Key = channel.TypingEvent, "typing:"+theirs(p.author, p.Timestamp)
		return []channel.Event{base}
	case p.Call != nil:
		if p.Call.Offer == nil {
			return nil // what follows an offer
		}
		base.Type, base.Key = channel.MessageEvent, "msg:"+theirs(p.author, p.Timestamp)
		base.Message = &channel.Message{ExternalID: theirs(p.author, p.Timestamp), Unsupported: "call"}
		return []channel.Event{base}
	}
	base.Type, base.Key = channel.MessageEvent, "msg:"+theirs(p.author, p.Timestamp)
	base.Message = &channel.Message{ExternalID: theirs(p.author, p.Timestamp), Unsupported: p.unknown()}
	if base.Message.Unsupported == "" {
		return nil // an envelope without content: a null message keeps a session alive
	}
	return []channel.Event{base}
}

func (p *reader) group() string {
	switch {
	case p.Data != nil && p.Data.Group != nil:
		return p.Data.Group.ID
	case p.Edit != nil && p.Edit.Data != nil && p.Edit.Data.Group != nil:
		return p.Edit.Data.Group.ID
	}
	return ""
}

func (p *reader) data(base channel.Event, d *message) []channel.Event {
	id := theirs(p.author, p.Timestamp)
	switch {
	case d.Reaction != nil && valid(d.Reaction.Target):
		r := d.Reaction
		base.Type, base.Key = channel.ReactionEvent, "reaction:"+id
		base.Ref = p.target(r.Target, r.AuthorNumber, r.AuthorUUID, r.Author)
		if !r.IsRemove {
			base.Reaction = r.Emoji
		}
		return []channel.Event{base}
	case d.RemoteDelete != nil && valid(d.RemoteDelete.Timestamp):
		base.Type, base.Key, base.Ref = channel.DeleteEvent, "delete:"+id, theirs(p.author, d.RemoteDelete.Timestamp)
		return []channel.Event{base}
	}
	m := p.content(d)
	m.ExternalID = id
	if empty(m) {
		switch {
		case d.IsExpirationUpdate || d.PollVote != nil || d.PollTerminate != nil || d.Pin != nil || d.Unpin != nil || d.GroupCall != nil:
			return nil // how the chat looks in the app, not something said
		case d.Sticker != nil:
			m.Unsupported = "sticker"
		case d.Payment != nil:
			m.Unsupported = "payment"
		case d.PollCreate != nil:
			m.Unsupported = "poll"
		case d.StoryContext != nil:
			m.Unsupported = "story reply"
		default:
			m.Unsupported = "message without content"
		}
	}
	base.Type, base.Key, base.Message = channel.MessageEvent, "msg:"+id, &m
	return []channel.Event{base}
}

func empty(m channel.Message) bool { return m.Text == "" && len(m.Attachments) == 0 }

// content reads text, contacts and files.
func (p *reader) content(d *message) channel.Message {
	m := channel.Message{Text: d.Text}
	for _, mention := range d.Mentions { // the place of each is an object replacement character
		name := channel.CleanName(mention.Name)
		if name == "" {
			name = mention.Number
		}
		m.Text = strings.Replace(m.Text, "\uFFFC", "@"+name, 1)
	}
	if q := d.Quote; q != nil && valid(q.ID) {
		m.ReplyTo = p.target(q.ID, q.AuthorNumber, q.AuthorUUID, q.Author)
	}
	for _, c := range d.Contacts {
		name := c.Name.Display
		if name == "" {
			name = strings.TrimSpace(c.Name.Given + " " + c.Name.Family)
		}
		lines := []string{channel.CleanName(name)}
		for _, v := range c.Phones {
			lines = append(lines, v.Value)
		}
		for _, v := range c.Emails {
			lines = append(lines, v.Value)
		}
		m.Text = strings.TrimSpace(m.Text + "\n" + strings.TrimSpace(strings.Join(lines, "\n")))
	}
	for _, a := range d.Attachments {
		if a.ID == "" {
			continue // not downloaded: the daemon was told to ignore attachments
		}
		// The daemon has already put a long text into the message, unless it could not.
		if a.ContentType == "text/x-signal-plain" && int64(len(d.Text)) >= a.Size {
			continue
		}
		mediaType := channel.MediaType(a.ContentType)
		m.Attachments = append(m.Attachments, channel.Attachment{
			Name: fileName(a.Filename, a.ID, mediaType), MediaType: mediaType, Size: max(a.Size, 0), Remote: a.ID,
		})
	}
	if empty(m) && len(d.Attachments) > 0 {
		m.Unsupported = "file that signal-cli did not download"
	}
	return m
}

// fileName is the name of a file; pictures and voice messages have none.
func fileName(name, id, mediaType string) string {
	if name != "" {
		return name
	}
	if path.Ext(id) != "" {
		return path.Base(id)
	}
	switch mediaType {
	case "image/jpeg":
		return "image.jpg"
	case "audio/aac":
		return "audio.aac"
	}
	if ext, _ := mime.ExtensionsByType(mediaType); len(ext) > 0 {
		return "file" + ext[0]
	}
	return "file"
}

// receipts makes a status of each message that a receipt is about.
func (p *reader) receipts(base channel.Event) []channel.Event {
	state := channel.Delivered
	switch {
	case p.Receipt.IsRead || p.Receipt.IsViewed:
		state = channel.Read
	case !p.Receipt.IsDelivery:
		return nil
	}
	if t, ok := moment(p.Receipt.When); ok {
		base.At = t
	}
	var events []channel.Event
	seen := map[stamp]bool{}
	for _, t := range p.Receipt.Timestamps {
		if seen[t] || !valid(t) {
			continue
		}
		seen[t] = true
		e := base
		e.Type, e.Status = channel.StatusEvent, &channel.Status{ExternalID: ours(p.author, t), State: state}
		e.Key = "status:" + e.Status.ExternalID + ":" + string(state)
		events = append(events, e)
	}
	return events
}

// unknown names what an envelope holds that is not known here, "" if nothing.
func (p *reader) unknown() string {
	var n notification
	_ = json.Unmarshal(p.raw, &n)
	r := n.Params.received
	if n.Params.Result != nil {
		r = *n.Params.Result
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(r.Envelope, &fields)
	best := ""
	for k, v := range fields {
		if name, ok := strings.CutSuffix(k, "Message"); ok && string(v) != "null" && (best == "" || name < best) {
			best = name
		}
	}
	return best
}

// valid reports whether a timestamp is one: digits, at most 18.
func valid(t stamp) bool {
	s := string(t)
	return s != "" && s != "0" && len(s) <= 19 && strings.Trim(s, "0123456789") == ""
}

// moment reads a timestamp; one that no clock shows counts as a name without a time.
func moment(t stamp) (at time.Time, ok bool) {
	if !valid(t) {
		return time.Time{}, false
	}
	ms, err := t.Int64()
	if err != nil {
		return time.Time{}, false
	}
	at = time.UnixMilli(ms).UTC()
	if at.Year() < 2000 || at.Year() > 9000 {
		return time.Time{}, true
	}
	return at, true
}
