package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/reach"
)

// ChannelRefJSON names a channel.
type ChannelRefJSON struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// AttachmentJSON is a file of a message.
type AttachmentJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size" doc:"bytes"`
	URL       string `json:"url" doc:"relative to this server; signed, works for some hours without a session"`
	State     string `json:"state" enum:"stored,pending,failed,quarantined"`
	Inline    bool   `json:"inline"`
}

// DeliveryJSON is the fate of an outbound message.
type DeliveryJSON struct {
	ID           string     `json:"id"`
	State        string     `json:"state" enum:"queued,sending,sent,delivered,read,failed,uncertain"`
	Error        string     `json:"error" doc:"technical"`
	Reason       string     `json:"reason" doc:"in plain words"`
	Handled      bool       `json:"handled" doc:"somebody has dealt with the failure"`
	At           time.Time  `json:"at"`
	UndoUntil    *time.Time `json:"undo_until"`
	MessageID    string     `json:"message_id"`
	Conversation string     `json:"conversation_id"`
	Attempts     int64      `json:"attempts"`
}

// QuoteJSON is the message that another one answers.
type QuoteJSON struct {
	ID         string `json:"id"`
	AuthorName string `json:"author_name"`
	Text       string `json:"text"`
}

// EventJSON is something that happened in a conversation.
type EventJSON struct {
	Type string `json:"type"`
	By   string `json:"by"`
	To   string `json:"to"`
}

// ReactionJSON is somebody's emoji.
type ReactionJSON struct {
	Emoji string `json:"emoji"`
	By    string `json:"by"`
}

// MessageJSON is one entry of a conversation.
type MessageJSON struct {
	ID             string           `json:"id"`
	ConversationID string           `json:"conversation_id"`
	Kind           string           `json:"kind" enum:"message,note,event"`
	Direction      string           `json:"direction" enum:"in,out"`
	Author         string           `json:"author" enum:"customer,staff,machine,participant"`
	AuthorName     string           `json:"author_name"`
	Channel        *ChannelRefJSON  `json:"channel"`
	Address        string           `json:"address"`
	Assurance      string           `json:"assurance"`
	Subject        string           `json:"subject"`
	From           []MailboxJSON    `json:"from"`
	To             []MailboxJSON    `json:"to"`
	Cc             []MailboxJSON    `json:"cc"`
	Bcc            []MailboxJSON    `json:"bcc"`
	Text           string           `json:"text"`
	HasHTML        bool             `json:"has_html"`
	HTML           string           `json:"html" doc:"sanitised, without remote images; show it in a sandboxed frame all the same"`
	RemoteImages   int              `json:"remote_images"`
	Attachments    []AttachmentJSON `json:"attachments"`
	ExternalID     string           `json:"external_id"`
	ReplyTo        string           `json:"reply_to"`
	Quote          *QuoteJSON       `json:"quote"`
	SentAt         time.Time        `json:"sent_at"`
	EditedAt       *time.Time       `json:"edited_at"`
	Deleted        bool             `json:"deleted"`
	Reactions      []ReactionJSON   `json:"reactions"`
	Unsupported    string           `json:"unsupported"`
	Automatic      bool             `json:"automatic"`
	ClientID       string           `json:"client_id"`
	Delivery       *DeliveryJSON    `json:"delivery"`
	Event          *EventJSON       `json:"event"`
	Audience       AudienceJSON     `json:"audience"`
	ParticipantID  string           `json:"participant_id" doc:"the third party who wrote it or whom it was sent to"`
	QuotedFrom     *int             `json:"quoted_from" doc:"where in text earlier messages begin to be quoted, in UTF-16 units; null: nowhere"`
	Authentication json.RawMessage  `json:"authentication,omitempty" doc:"e-mail: how the sender was judged: result, spf, dkim, dmarc, domain"`
	MovedFrom      string           `json:"moved_from" doc:"the conversation that it was joined or split from"`
	Ask            *AskJSON         `json:"ask" doc:"the question that it puts"`
	Answers        *AskJSON         `json:"answers" doc:"the question that it answered"`
	Choices        []OfferedJSON    `json:"choices" doc:"what it offers to press, as the customer sees it"`
}

// OfferedJSON is something to press under a message.
type OfferedJSON struct {
	Label       string `json:"label"`
	Description string `json:"description"`
}

// AudienceJSON says who outside the house may see a message.
type AudienceJSON struct {
	Customer     bool     `json:"customer"`
	Participants []string `json:"participants" doc:"ids"`
}

func (s *Server) deliveryJSON(ctx context.Context, d outbox.Delivery) *DeliveryJSON {
	j := &DeliveryJSON{ID: d.ID, State: string(d.State), Error: d.Error, Reason: d.Reason.In(s.lang(ctx)), Handled: d.Handled, At: d.UpdatedAt, MessageID: d.Message, Conversation: d.Conversation, Attempts: d.Attempts}
	if d.State == channel.Queued && d.Attempts == 0 && d.HoldUntil.After(s.Now()) {
		j.UndoUntil = moment(d.HoldUntil)
	}
	return j
}

func (s *Server) attachmentJSON(org string, a conversation.Attachment) AttachmentJSON {
	return AttachmentJSON{ID: a.ID, Name: a.Name, MediaType: a.MediaType, Size: a.Size, URL: s.signedFile(org, a.ID), State: a.State, Inline: a.Inline}
}

// messages turns entries into JSON: one query each for files, deliveries and quotes, however many entries.
func (s *Server) messages(ctx context.Context, q db.Querier, list []conversation.Message) ([]MessageJSON, error) {
	org := who(ctx).Org
	var withFiles, out, quoted []string
	for _, m := range list {
		if m.Attachments > 0 {
			withFiles = append(withFiles, m.ID)
		}
		if !m.In && m.Kind == conversation.KindMessage {
			out = append(out, m.ID)
		}
		if m.ReplyTo != "" {
			quoted = append(quoted, m.ReplyTo)
		}
	}
	files, err := conversation.Attachments(ctx, q, withFiles)
	if err != nil {
		return nil, err
	}
	deliveries, err := outbox.ByMessages(ctx, q, out)
	if err != nil {
		return nil, err
	}
	quotes, err := conversation.MessagesByID(ctx, q, quoted)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.ID
	}
	put, answered, err := ask.ByMessages(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	offers, err := outbox.Offers(ctx, q, out)
	if err != nil {
		return nil, err
	}
	names, mailboxOf := map[string]string{}, map[string]string{}
	for _, c := range s.Accounts.List(org) {
		names[c.ID], mailboxOf[c.ID] = c.Name, c.Settings["address"]
	}
	res := make([]MessageJSON, len(list))
	for i, m := range list {
		j := MessageJSON{ID: m.ID, ConversationID: m.Conversation, Kind: m.Kind, Direction: "out", Author: string(m.Author), AuthorName: m.AuthorName, Address: m.AddressValue, Assurance: string(m.Assurance),
			Subject: m.Subject, From: mailboxes(m.Headers.From), To: mailboxes(m.Headers.To), Cc: mailboxes(m.Headers.Cc), Bcc: mailboxes(m.Headers.Bcc), Text: m.Text, RemoteImages: m.RemoteImages,
			Attachments: []AttachmentJSON{}, ExternalID: m.ExternalID, ReplyTo: m.ReplyTo, SentAt: m.At, EditedAt: moment(m.EditedAt), Deleted: !m.DeletedAt.IsZero(), Reactions: []ReactionJSON{},
			Unsupported: m.Unsupported, Automatic: m.Automatic, ClientID: m.ClientID}
		if m.In {
			j.Direction = "in"
		} else if m.Kind == conversation.KindMessage && m.ChannelKind == "email" {
			if len(j.To) == 0 {
				j.To = []MailboxJSON{{Address: m.AddressValue}}
			}
			if box := mailboxOf[m.Channel]; len(j.From) == 0 && box != "" {
				j.From = []MailboxJSON{{Name: m.AuthorName, Address: box}}
			}
		}
		if m.Channel != "" {
			j.Channel = &ChannelRefJSON{m.Channel, string(m.ChannelKind), names[m.Channel]}
		}
		if m.Event != nil {
			j.Event = &EventJSON{m.Event.Type, m.Event.By, m.Event.To}
		}
		for _, r := range m.Reactions {
			if r.Emoji != "" {
				j.Reactions = append(j.Reactions, ReactionJSON{r.Emoji, r.By})
			}
		}
		if j.Deleted { // taken back by the customer: it stays for the record and is not shown
			j.Text = ""
		} else {
			j.HTML = s.withFiles(org, m.HTML, files[m.ID])
			j.HasHTML = m.HTML != ""
			for _, a := range files[m.ID] {
				j.Attachments = append(j.Attachments, s.attachmentJSON(org, a))
			}
		}
		j.Audience, j.ParticipantID, j.MovedFrom = AudienceJSON{m.CustomerSees(), m.Audience.Participants}, m.Participant, m.MovedFrom()
		if j.Audience.Participants == nil {
			j.Audience.Participants = []string{}
		}
		if m.Authentic != "" {
			j.Authentication = json.RawMessage(m.Authentic)
		}
		if m.QuotedFrom > 0 && m.QuotedFrom < len(j.Text) {
			n := channel.Length(j.Text[:m.QuotedFrom], channel.UTF16)
			j.QuotedFrom = &n
		}
		if a, ok := put[m.ID]; ok {
			j.Ask = s.askJSON(a)
		}
		if a, ok := answered[m.ID]; ok {
			j.Answers = s.askJSON(a)
		}
		j.Choices = []OfferedJSON{}
		for _, c := range offers[m.ID].Choices {
			j.Choices = append(j.Choices, OfferedJSON{c.Label, c.Description})
		}
		if d, ok := deliveries[m.ID]; ok {
			j.Delivery = s.deliveryJSON(ctx, d)
		}
		if v, ok := quotes[m.ReplyTo]; ok && v.DeletedAt.IsZero() {
			text := []rune(strings.Join(strings.Fields(v.Text), " "))
			if len(text) > 200 {
				text = append(text[:199], '…')
			}
			j.Quote = &QuoteJSON{v.ID, v.AuthorName, string(text)}
		}
		res[i] = j
	}
	return res, nil
}

func (s *Server) message(ctx context.Context, q db.Querier, m conversation.Message) (*body[MessageJSON], error) {
	list, err := s.messages(ctx, q, []conversation.Message{m})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &body[MessageJSON]{list[0]}, nil
}

// seeMessage reads a message whose conversation the user may see.
func (s *Server) seeMessage(ctx context.Context, q db.Querier, id string) (conversation.Message, error) {
	m, err := conversation.MessageByID(ctx, q, id)
	if err != nil {
		return m, err
	}
	_, err = s.see(ctx, q, m.Conversation)
	return m, err
}

// SendJSON is an outbound message as its author writes it.
type SendJSON struct {
	Text        string        `json:"text"`
	HTML        string        `json:"html"`
	Subject     string        `json:"subject" maxLength:"400"`
	To          []MailboxJSON `json:"to" maxItems:"50" doc:"the customer's address that shall get it (as address_id does); others are sent copies. Without one of the customer's: third parties, and the customer does not see it"`
	Cc          []MailboxJSON `json:"cc" maxItems:"50"`
	Bcc         []MailboxJSON `json:"bcc" maxItems:"50"`
	Attachments []FileRef     `json:"attachments" maxItems:"50"`
	ChannelID   string        `json:"channel_id" doc:"empty: as reply suggests"`
	AddressID   string        `json:"address_id"`
	ReplyTo     string        `json:"reply_to" doc:"id of the message to quote"`
	ClientID    string        `json:"client_id" maxLength:"100" doc:"twice the same is sent once"`
	SendAt      *time.Time    `json:"send_at"`
	Participant string        `json:"participant_id" doc:"the third party whom it goes to; the customer does not see it"`
	Signature   *bool         `json:"signature" doc:"false: without my signature (it stands under messages of channels with a subject)"`
	SeenMessage string        `json:"seen_message_id" doc:"the last message that I have seen: 409 answered_meanwhile if a colleague has written since"`
	Anyway      bool          `json:"anyway" doc:"send even so"`
	Template    *TemplateRef  `json:"template,omitempty" doc:"an approved template instead of text, for channels whose window for free words is closed"`
}

// TemplateRef names an approved template and what stands in its places.
type TemplateRef struct {
	Name     string   `json:"name" required:"true" maxLength:"512"`
	Language string   `json:"language" maxLength:"20" doc:"empty: the one that comes closest to the customer's"`
	Params   []string `json:"params" maxItems:"50"`
}

// fillTemplate finds the template that is asked for, and says in words what the customer will read.
func (s *Server) fillTemplate(ctx context.Context, q db.Querier, c account.Channel, language string, r TemplateRef) (*channel.TemplateUse, string, error) {
	t, err := account.Template(ctx, q, c.ID, r.Name, cmp.Or(r.Language, language, "de"))
	if errors.Is(err, account.ErrNoTemplate) {
		return nil, "", invalid("body.template", s.text(ctx, "Die Vorlage „"+r.Name+"“ gibt es auf diesem Kanal nicht, oder der Anbieter hat sie (noch) nicht freigegeben.", "There is no template “"+r.Name+"” on this channel, or the provider has not approved it (yet)."))
	}
	if err != nil {
		return nil, "", err
	}
	if len(r.Params) != t.Params {
		return nil, "", invalid("body.template.params", s.text(ctx, fmt.Sprintf("Die Vorlage hat %d Platzhalter, gefüllt sind %d.", t.Params, len(r.Params)), fmt.Sprintf("The template has %d places, %d are filled.", t.Params, len(r.Params))))
	}
	params := make([]string, len(r.Params))
	for i, p := range r.Params {
		if params[i] = strings.Join(strings.Fields(p), " "); params[i] == "" { // providers take no line breaks in places
			return nil, "", invalid(fmt.Sprintf("body.template.params[%d]", i), s.text(ctx, "Dieser Platzhalter ist leer.", "This place is empty."))
		}
	}
	return &channel.TemplateUse{Name: t.Name, Language: t.Language, Params: params, Buttons: t.Buttons}, t.Text(params), nil
}

func (s *Server) messageRoutes() {
	huma.Register(s.api, op("GET", "/conversations/{id}/messages", "list-messages", "Entries of a conversation: the newest page first, ascending inside a page; the cursor leads to older ones", "messages"), func(ctx context.Context, in *struct {
		ByID
		Paging
	}) (*page[MessageJSON], error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		list, next, err := conversation.Messages(ctx, o, in.ID, in.Cursor, in.Limit)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		items, err := s.messages(ctx, o, list)
		return newPage(items, next), s.fail(ctx, err)
	})
	huma.Register(s.api, op("GET", "/messages/{id}", "get-message", "One message", "messages"), func(ctx context.Context, in *ByID) (*body[MessageJSON], error) {
		o := s.org(ctx)
		m, err := s.seeMessage(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.message(ctx, o, m)
	})
	huma.Register(s.api, created(op("POST", "/conversations/{id}/messages", "send-message", "Answer, on the channel the customer used last or on another", "messages")), func(ctx context.Context, in *struct {
		ByID
		Key  string `header:"Idempotency-Key"`
		Body SendJSON
	}) (*body[MessageJSON], error) {
		b := in.Body
		o := s.org(ctx)
		u := who(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if strings.TrimSpace(b.Text) == "" && b.HTML == "" && len(b.Attachments) == 0 && b.Template == nil {
			return nil, invalid("body.text", s.text(ctx, "Die Nachricht ist leer.", "The message is empty."))
		}
		p, err := s.plan(ctx, o, r, &b)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if err := s.answeredMeanwhile(ctx, o, r, b); err != nil {
			return nil, s.fail(ctx, err)
		}
		client := b.ClientID
		if client == "" {
			client = in.Key
		}
		files, err := s.keepFiles(ctx, b.Attachments, client, s.Accounts.Can(p.way.Channel.Account).AttachmentMax)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if p.template == nil {
			if err := s.undersign(ctx, o, &b, p.way.Channel.Kind); err != nil {
				return nil, s.fail(ctx, err)
			}
		}
		var m conversation.Message
		err = o.Write(ctx, func(tx *db.Tx) error {
			var err error
			if m, err = s.sendPlan(ctx, tx, r, b, p, files, client); err != nil {
				return err
			}
			if err := conversation.SaveDraft(ctx, tx, r.ID, u.ID, nil, s.Now()); err != nil {
				return err
			}
			return conversation.MarkRead(ctx, tx, r.ID, u.ID, "", s.Now()) // who answers has read
		})
		if errors.Is(err, conversation.ErrNoSuch) {
			return nil, s.noQuote(ctx)
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.message(ctx, o, m)
	})
	huma.Register(s.api, op("POST", "/messages/{id}/cancel", "cancel-message", "Take a message back that was not tried yet; its content returns", "messages"), func(ctx context.Context, in *ByID) (*body[MessageJSON], error) {
		o := s.org(ctx)
		if _, err := s.seeMessage(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		var m conversation.Message
		var files []conversation.Attachment
		err := o.Write(ctx, func(tx *db.Tx) (err error) {
			m, files, err = outbox.Cancel(ctx, tx, in.ID)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		m.Attachments = 0
		out, err := s.message(ctx, o, m)
		if err != nil {
			return nil, err
		}
		for _, a := range files {
			out.Body.Attachments = append(out.Body.Attachments, s.attachmentJSON(who(ctx).Org, a))
		}
		return out, nil
	})
	huma.Register(s.api, created(op("POST", "/conversations/{id}/notes", "add-note", "Add an internal note; it never leaves the house", "messages")), func(ctx context.Context, in *struct {
		ByID
		Key  string `header:"Idempotency-Key"`
		Body struct {
			Text     string   `json:"text" required:"true" minLength:"1" maxLength:"20000"`
			ClientID string   `json:"client_id" maxLength:"100"`
			Mentions []string `json:"mentions" maxItems:"50" doc:"ids of colleagues who shall look at it"`
		}
	}) (*body[MessageJSON], error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		client := in.Body.ClientID
		if client == "" {
			client = in.Key
		}
		var m conversation.Message
		err := o.Write(ctx, func(tx *db.Tx) (err error) {
			if m, err = conversation.Note(ctx, tx, in.ID, in.Body.Text, client, actor(who(ctx)), s.Now()); err != nil {
				return err
			}
			for _, id := range in.Body.Mentions {
				if u, err := auth.UserByID(ctx, tx, id); err != nil || !u.Enabled {
					return invalid("body.mentions", s.text(ctx, "Diesen Kollegen gibt es nicht (mehr).", "There is no such colleague (any more)."))
				}
			}
			return conversation.Mention(ctx, tx, m, in.Body.Mentions, s.Now())
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.message(ctx, o, m)
	})
	huma.Register(s.api, op("GET", "/deliveries", "list-deliveries", "Deliveries that need a person", "messages"), func(ctx context.Context, in *struct {
		State string `query:"state" enum:"uncertain,failed" default:"uncertain"`
		Paging
	}) (*page[DeliveryJSON], error) {
		list, err := outbox.Troubled(ctx, s.org(ctx), channel.State(in.State), in.Cursor, in.Limit+1)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		next := ""
		if len(list) > in.Limit {
			list = list[:in.Limit]
			next = list[in.Limit-1].ID
		}
		mayNot := map[string]bool{}
		if who(ctx).Role == auth.Partner {
			ids := make([]string, len(list))
			for i, d := range list {
				ids[i], mayNot[d.Conversation] = d.Conversation, true
			}
			rows, err := conversation.ByIDs(ctx, s.org(ctx), ids, "")
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			for _, r := range rows {
				mayNot[r.ID] = !mine(who(ctx), r)
			}
		}
		items := []DeliveryJSON{}
		for _, d := range list {
			if !mayNot[d.Conversation] {
				items = append(items, *s.deliveryJSON(ctx, d))
			}
		}
		return newPage(items, next), nil
	})
	huma.Register(s.api, op("POST", "/deliveries/{id}/resolve", "resolve-delivery", "Decide about a failed or uncertain delivery", "messages"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			As string `json:"as" required:"true" enum:"sent,failed,resend"`
		}
	}) (*body[DeliveryJSON], error) {
		o := s.org(ctx)
		d, err := outbox.Get(ctx, o, in.ID)
		if err == nil {
			_, err = s.see(ctx, o, d.Conversation)
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) (err error) {
			d, err = s.Outbox.Resolve(ctx, tx, in.ID, in.Body.As)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[DeliveryJSON]{*s.deliveryJSON(ctx, d)}, nil
	})
	html := op("GET", "/messages/{id}/html", "get-message-html", "A message's HTML as a document for a sandboxed frame; remote images only if asked for, through this server", "messages")
	html.Parameters = []*huma.Param{{Name: "images", In: "query", Description: "1: with remote images", Schema: &huma.Schema{Type: "string", Enum: []any{"0", "1", "true", "false"}}}}
	html.Responses = answers("200", "The document", "text/html", &huma.Schema{Type: "string"})
	s.raw(html, s.serveHTML)
}

func (s *Server) noQuote(ctx context.Context) *Problem {
	return invalid("body.reply_to", s.text(ctx, "Diese Nachricht gibt es in diesem Gespräch nicht.", "There is no such message in this conversation."))
}

// way is the chosen way to answer; empty ids mean the suggested one. An address in to chooses, too; further ones there
// become copies, since a message has one addressee.
func (s *Server) way(ctx context.Context, o db.Org, r conversation.Row, addrs []customer.Address, b *SendJSON) (reach.Option, error) {
	ch, address := b.ChannelID, b.AddressID
	if len(b.To) > 0 {
		i, a := named(b.To, addrs, address)
		if i < 0 {
			return reach.Option{}, invalid("body.to", s.text(ctx, "Keine dieser Adressen gehört dem Kunden. Wer mitlesen soll, gehört in cc.", "None of these addresses is the customer's. Whoever shall read along belongs into cc."))
		}
		address = a.ID
		b.Cc = append(slices.Delete(slices.Clone(b.To), i, i+1), b.Cc...)
		b.To = b.To[i : i+1]
	}
	options, best := reach.Options(o.ID, r, addrs, s.Accounts, false, s.Now())
	lang := s.lang(ctx)
	if ch == "" && address == "" && b.Template != nil { // where the customer wrote last, if that has templates
		at := slices.IndexFunc(options, func(v reach.Option) bool {
			return (v.CanSend || v.NeedsTemplate) && v.Address.ID == r.Address && s.Accounts.Can(v.Channel.Account).Templates
		})
		if at < 0 {
			at = slices.IndexFunc(options, func(v reach.Option) bool {
				return (v.CanSend || v.NeedsTemplate) && s.Accounts.Can(v.Channel.Account).Templates
			})
		}
		if at >= 0 {
			return options[at], nil
		}
	}
	if ch == "" && address == "" {
		if best >= 0 {
			return options[best], nil
		}
		why := s.text(ctx, "Der Kunde hat keine Adresse, über die wir schreiben können.", "The customer has no address that we can write to.")
		for _, v := range options {
			if v.WhyNot != (channel.Text{}) {
				why = v.WhyNot.In(lang)
				break
			}
		}
		return reach.Option{}, problem(http.StatusConflict, "cannot_send", why)
	}
	match := func(strict bool) (reach.Option, bool) {
		for _, v := range options {
			if (ch == "" || v.Channel.ID == ch) && (address == "" || v.Address.ID == address) && (!strict || v.CanSend || v.NeedsTemplate && b.Template != nil) {
				return v, true
			}
		}
		return reach.Option{}, false
	}
	// Within what was asked for, the suggested address comes first.
	if best >= 0 && b.Template == nil && (ch == "" || options[best].Channel.ID == ch) && (address == "" || options[best].Address.ID == address) {
		return options[best], nil
	}
	if v, ok := match(true); ok {
		return v, nil
	}
	if v, ok := match(false); ok {
		return reach.Option{}, problem(http.StatusConflict, "cannot_send", v.WhyNot.In(lang))
	}
	if ch != "" {
		if _, err := s.Accounts.Get(o.ID, ch); errors.Is(err, account.ErrNotFound) {
			return reach.Option{}, invalid("body.channel_id", s.text(ctx, "Diesen Kanal gibt es nicht.", "There is no such channel."))
		}
	}
	return reach.Option{}, invalid("body.address_id", s.text(ctx, "Der Kunde hat diese Adresse auf diesem Kanal nicht.", "The customer does not have this address on this channel."))
}

// named finds the first mailbox that is an address of the customer (the one with this id, if any); −1 if there is none.
func named(list []MailboxJSON, addrs []customer.Address, id string) (int, customer.Address) {
	for i, m := range list {
		for _, a := range addrs {
			if (id == "" || a.ID == id) && a.Value == customer.Normalise(a.Kind, m.Address) {
				return i, a
			}
		}
	}
	return -1, customer.Address{}
}

// fits refuses what the channel cannot carry, rather than dropping it silently.
func (s *Server) fits(ctx context.Context, c channel.Account, b *SendJSON) error {
	caps := s.Accounts.Can(c)
	switch {
	case len(b.Attachments) > 0 && !caps.Attachments:
		return invalid("body.attachments", s.text(ctx, "Dieser Kanal kann keine Dateien befördern.", "This channel cannot carry files."))
	case (len(b.Cc) > 0 || len(b.Bcc) > 0) && !caps.Copies:
		return invalid("body.cc", s.text(ctx, "Dieser Kanal kennt keine Kopien.", "This channel knows no copies."))
	}
	for _, list := range []struct {
		name  string
		boxes []MailboxJSON
	}{{"cc", b.Cc}, {"bcc", b.Bcc}} {
		for i, m := range list.boxes {
			if !strings.Contains(m.Address, "@") || strings.ContainsAny(m.Address+m.Name, "\r\n") {
				return invalid("body."+list.name+"["+strconv.Itoa(i)+"]", s.text(ctx, "„"+m.Address+"“ ist keine E-Mail-Adresse.", "“"+m.Address+"” is not an e-mail address."))
			}
		}
	}
	if strings.TrimSpace(b.Text) == "" && b.HTML != "" && !caps.HTML {
		return invalid("body.text", s.text(ctx, "Dieser Kanal kann nur Text befördern.", "This channel can only carry text."))
	}
	return nil
}

var cidForm = regexp.MustCompile(`cid:([0-9a-f]{8}-[0-9a-f-]{27})`)

// withFiles turns references to inline images into signed URLs that a sandboxed frame can load. Only the message's own
// files are signed: whoever writes another's id into a text gets nothing for it.
func (s *Server) withFiles(org, html string, files []conversation.Attachment) string {
	if !strings.Contains(html, "cid:") {
		return html
	}
	return cidForm.ReplaceAllStringFunc(html, func(m string) string {
		id := m[len("cid:"):]
		if slices.ContainsFunc(files, func(a conversation.Attachment) bool { return a.ID == id }) {
			return s.signedFile(org, id)
		}
		return m
	})
}

// serveHTML gives a message's HTML as a document of its own, for a sandboxed frame. Remote images are loaded through
// this server, and only if asked for.
func (s *Server) serveHTML(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	o := s.org(ctx)
	m, err := s.seeMessage(ctx, o, r.PathValue("id"))
	if err != nil {
		s.writeFailure(ctx, w, err)
		return
	}
	html := m.HTML
	if m.RemoteImages > 0 && slices.Contains([]string{"1", "true"}, r.URL.Query().Get("images")) && s.Proxied != nil {
		source, err := conversation.Source(ctx, o, m.ID)
		if err != nil {
			s.writeFailure(ctx, w, err)
			return
		}
		html = s.Proxied(source, func(src string) string { return s.signedImage(o.ID, src) })
	}
	if !m.DeletedAt.IsZero() {
		html = ""
	}
	files, err := conversation.Attachments(ctx, o, []string{m.ID})
	if err != nil {
		s.writeFailure(ctx, w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox")
	_, _ = w.Write([]byte(`<!doctype html><html><head><meta charset="utf-8"><base target="_blank"><meta name="color-scheme" content="light"><style>body{font:14px/1.5 system-ui,sans-serif;margin:8px;overflow-wrap:anywhere;background:#fff;color:#1d1b18}img{max-width:100%;height:auto}table{max-width:100%}</style></head><body>` + s.withFiles(o.ID, html, files[m.ID]) + `</body></html>`))
}
