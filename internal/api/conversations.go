package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/dialog"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/reach"
)

// LastJSON is the last message as lists show it.
type LastJSON struct {
	Direction string `json:"direction" enum:"in,out"`
	Author    string `json:"author"`
	Text      string `json:"text"`
}

// RowJSON is a conversation as lists show it.
type RowJSON struct {
	ID           string     `json:"id"`
	Subject      string     `json:"subject"`
	Status       string     `json:"status" enum:"open,snoozed,closed"`
	Customer     NamedJSON  `json:"customer"`
	Assignee     *NamedJSON `json:"assignee"`
	ChannelKind  string     `json:"channel_kind"`
	LastAt       time.Time  `json:"last_message_at"`
	Last         LastJSON   `json:"last_message"`
	WaitingSince *time.Time `json:"waiting_since" doc:"the customer waits for an answer since"`
	Unread       int64      `json:"unread"`
	SnoozedUntil *time.Time `json:"snoozed_until"`
	Tags         []string   `json:"tags"`
	Failed       bool       `json:"failed" doc:"a delivery failed or is uncertain and nobody has dealt with it"`
	Category     string     `json:"category" enum:",spam,newsletter,notice,blocked" doc:"why this is no customer's concern; empty: it is one"`
	Unit         *NamedJSON `json:"unit"`
	Participants int64      `json:"participants" doc:"third parties who take part"`
	Suggested    bool       `json:"suggested" doc:"another conversation may be the same matter: see suggestion of the conversation itself"`
	JoinedInto   string     `json:"joined_into" doc:"the conversation that its messages were moved to"`
	CreatedAt    time.Time  `json:"created_at"`
	Hits         []HitJSON  `json:"hits,omitempty" doc:"with q: where it was found"`
	OpenAsks     int        `json:"open_asks" doc:"questions that the customer has not answered yet"`
	Dialog       *RunsJSON  `json:"dialog" doc:"the dialog that runs in it"`
}

// RunsJSON is a dialog that runs.
type RunsJSON struct {
	Instance string    `json:"instance_id"`
	Key      string    `json:"key"`
	Title    ask.Texts `json:"title"`
	Status   string    `json:"status" enum:"asking,waiting,calling"`
	Step     string    `json:"step"`
}

func rowJSON(r conversation.Row, survivors map[string]string) RowJSON {
	j := RowJSON{ID: r.ID, Subject: r.Subject, Status: r.Status, Customer: NamedJSON{r.Customer, r.CustomerName}, ChannelKind: string(r.ChannelKind), LastAt: r.LastAt,
		Last: LastJSON{"out", string(r.LastBy), r.LastText}, WaitingSince: moment(r.WaitingSince), Unread: r.Unread, SnoozedUntil: moment(r.SnoozedUntil), Tags: r.Tags, Failed: r.Failed > 0, CreatedAt: r.CreatedAt}
	if r.LastIn {
		j.Last.Direction = "in"
	}
	if to, ok := survivors[r.Customer]; ok {
		j.Customer.ID = to
	}
	if r.Assignee != "" {
		j.Assignee = &NamedJSON{r.Assignee, r.AssigneeName}
	}
	if j.Tags == nil {
		j.Tags = []string{}
	}
	j.Suggested = r.Suggestion != nil
	j.Category, j.Participants, j.JoinedInto = r.Category, r.Participants, r.JoinedInto
	if r.Unit != "" {
		j.Unit = &NamedJSON{r.Unit, r.UnitName}
	}
	return j
}

func (s *Server) rows(ctx context.Context, q db.Querier, rows []conversation.Row) ([]RowJSON, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Customer
	}
	to := map[string]string{}
	if len(ids) > 0 {
		var err error
		if to, err = customer.Survivors(ctx, q, ids); err != nil {
			return nil, err
		}
	}
	conversations := make([]string, len(rows))
	for i, r := range rows {
		conversations[i] = r.ID
	}
	open, err := ask.CountOpen(ctx, q, conversations)
	if err != nil {
		return nil, err
	}
	running, err := dialog.RunningIn(ctx, q, conversations)
	if err != nil {
		return nil, err
	}
	titles := map[string]ask.Texts{}
	if len(running) > 0 {
		if titles, err = s.Dialogs.Titles(ctx, q); err != nil {
			return nil, err
		}
	}
	out := make([]RowJSON, len(rows))
	for i, r := range rows {
		out[i] = rowJSON(r, to)
		out[i].OpenAsks = open[r.ID]
		if d, ok := running[r.ID]; ok {
			out[i].Dialog = &RunsJSON{d.ID, d.Dialog, titles[d.Dialog], string(d.Status), d.Step()}
		}
	}
	return out, nil
}

// ReplyJSON is a way to answer.
type ReplyJSON struct {
	ChannelID      string      `json:"channel_id"`
	ChannelKind    string      `json:"channel_kind"`
	ChannelName    string      `json:"channel_name"`
	AddressID      string      `json:"address_id"`
	Address        string      `json:"address"`
	Assurance      string      `json:"assurance"`
	CanSend        bool        `json:"can_send"`
	WhyNot         string      `json:"why_not"`
	Reason         *ReasonJSON `json:"reason"`
	WindowClosesAt *time.Time  `json:"window_closes_at"`
	NeedsTemplate  bool        `json:"needs_template" doc:"only an approved template may be sent now (GET /channels/{id}/templates)"`
}

// ReasonJSON says why something was chosen.
type ReasonJSON struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// SuggestionJSON is a link that a person may confirm.
type SuggestionJSON struct {
	Kind         string `json:"kind"`
	Conversation string `json:"conversation_id"`
	Subject      string `json:"subject"`
	Reason       string `json:"reason" doc:"token_other_sender, thread_other_sender, closed_long_ago, number"`
	Number       string `json:"number" doc:"the contract, claim or order number that both name"`
}

// ConversationJSON is a conversation with what is needed to answer it.
type ConversationJSON struct {
	RowJSON
	Reply        *ReplyJSON      `json:"reply"`
	ReplyOptions []ReplyJSON     `json:"reply_options"`
	AlsoOpen     []SubjectJSON   `json:"also_open"`
	Suggestion   *SuggestionJSON `json:"suggestion"`
}

// SubjectJSON names a conversation.
type SubjectJSON struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
}

// mine reports whether the user may see the conversation: partners see only what is assigned to them.
func mine(u auth.User, r conversation.Row) bool {
	return u.Role != auth.Partner || r.Assignee == u.ID
}

// see reads a conversation that the user may see; for others it does not exist.
func (s *Server) see(ctx context.Context, q db.Querier, id string) (conversation.Row, error) {
	r, err := conversation.Get(ctx, q, id, who(ctx).ID)
	if err != nil {
		return r, err
	}
	if !mine(who(ctx), r) {
		return r, conversation.ErrNotFound
	}
	return r, nil
}

func (s *Server) conversationJSON(ctx context.Context, q db.Querier, r conversation.Row) (ConversationJSON, error) {
	list, err := s.rows(ctx, q, []conversation.Row{r})
	if err != nil {
		return ConversationJSON{}, err
	}
	out := ConversationJSON{RowJSON: list[0], ReplyOptions: []ReplyJSON{}, AlsoOpen: []SubjectJSON{}}
	if g := r.Suggestion; g != nil {
		if other, err := s.see(ctx, q, g.Conversation); err == nil && other.JoinedInto == "" { // not one that the user may not see
			out.Suggestion = &SuggestionJSON{g.Kind, g.Conversation, other.Subject, g.Reason, g.Number}
		}
	}
	ids, err := customer.IDs(ctx, q, r.Customer)
	if err != nil {
		return out, err
	}
	addrs, err := customer.Addresses(ctx, q, ids)
	if err != nil {
		return out, err
	}
	lang := s.lang(ctx)
	options, best := reach.Options(who(ctx).Org, r, addrs, s.Accounts, false, s.Now())
	for i, o := range options {
		j := ReplyJSON{ChannelID: o.Channel.ID, ChannelKind: string(o.Channel.Kind), ChannelName: o.Channel.Name, AddressID: o.Address.ID, Address: o.Address.Value,
			Assurance: string(o.Address.Assurance), CanSend: o.CanSend, WhyNot: o.WhyNot.In(lang), WindowClosesAt: moment(o.WindowClosesAt), NeedsTemplate: o.NeedsTemplate}
		if i == best {
			b := j
			b.Reason = &ReasonJSON{o.Reason, o.Why.In(lang)}
			out.Reply = &b
		}
		out.ReplyOptions = append(out.ReplyOptions, j)
	}
	if o, ok := q.(db.Org); ok && who(ctx).Role != auth.Partner {
		open, _, err := conversation.List(ctx, o, conversation.Filter{Customers: ids, Status: conversation.Open}, "", "", 10)
		if err != nil {
			return out, err
		}
		for _, c := range open {
			if c.ID != r.ID {
				out.AlsoOpen = append(out.AlsoOpen, SubjectJSON{c.ID, c.Subject})
			}
		}
	}
	return out, nil
}

// CountsJSON are the numbers beside the desk's filters; each stops at 1,000.
type CountsJSON struct {
	Mine       int64 `json:"mine"`
	Unassigned int64 `json:"unassigned"`
	Waiting    int64 `json:"waiting"`
	Open       int64 `json:"open"`
	Mentions   int64 `json:"mentions" doc:"conversations with notes that name me and that I have not seen"`
	WorkItems  int64 `json:"work_items"`
	Uncertain  int64 `json:"uncertain"`
}

// ChangeJSON is what may be changed of a conversation; what is absent stays as it is.
type ChangeJSON struct {
	Status       *string        `json:"status,omitempty" enum:"open,snoozed,closed"`
	AssigneeID   Opt[string]    `json:"assignee_id,omitzero"`
	UnitID       Opt[string]    `json:"unit_id,omitzero"`
	Subject      *string        `json:"subject,omitempty" maxLength:"400"`
	SnoozedUntil Opt[time.Time] `json:"snoozed_until,omitzero"`
	Tags         *[]string      `json:"tags,omitempty" maxItems:"50"`
	TagsAdd      []string       `json:"tags_add,omitempty" maxItems:"50"`
	TagsRemove   []string       `json:"tags_remove,omitempty" maxItems:"50"`
}

// change looks up what a change names.
func (s *Server) change(ctx context.Context, q db.Querier, b ChangeJSON) (conversation.Change, error) {
	ch := conversation.Change{Status: b.Status, Subject: b.Subject, Tags: b.Tags, TagsAdd: b.TagsAdd, TagsRemove: b.TagsRemove}
	if a := b.AssigneeID; a.Set {
		ch.Assignee = &conversation.Actor{}
		if !a.Null && a.Value != "" {
			u, err := auth.UserByID(ctx, q, a.Value)
			if err != nil || !u.Enabled {
				return ch, invalid("body.assignee_id", s.text(ctx, "Diesen Kollegen gibt es nicht (mehr).", "There is no such colleague (any more)."))
			}
			*ch.Assignee = actor(u)
		}
	}
	if v := b.UnitID; v.Set {
		u, err := org.UnitByID(ctx, q, v.Value)
		if errors.Is(err, org.ErrNoUnit) {
			return ch, invalid("body.unit_id", s.text(ctx, "Diese Abteilung gibt es nicht (mehr).", "There is no such unit (any more)."))
		}
		if err != nil {
			return ch, err
		}
		ch.Unit = &conversation.Actor{ID: u.ID, Name: u.Name}
	}
	if t := b.SnoozedUntil; t.Set {
		v := t.Value
		if !t.Null && !v.After(s.Now()) {
			return ch, invalid("body.snoozed_until", s.text(ctx, "Wählen Sie einen Zeitpunkt in der Zukunft.", "Choose a time in the future."))
		}
		ch.SnoozedUntil = &v
		if t.Null && ch.Status == nil {
			open := conversation.Open
			ch.Status = &open
		}
	} else if ch.Status != nil && *ch.Status == conversation.Snoozed {
		return ch, invalid("body.snoozed_until", s.text(ctx, "Sagen Sie, bis wann das Gespräch ruhen soll.", "Say until when the conversation shall sleep."))
	}
	return ch, nil
}

func actor(u auth.User) conversation.Actor { return conversation.Actor{ID: u.ID, Name: u.Name} }

func (s *Server) conversationRoutes() {
	huma.Register(s.api, op("GET", "/conversations", "list-conversations", "List conversations, the last active first", "conversations"), func(ctx context.Context, in *struct {
		Status   string `query:"status" enum:"open,snoozed,closed"`
		Assignee string `query:"assignee" doc:"me, none, or a staff id"`
		Waiting  bool   `query:"waiting" doc:"only where the customer waits, longest first"`
		Kind     string `query:"channel_kind"`
		Customer string `query:"customer_id"`
		Q        string `query:"q" maxLength:"1000" doc:"search, as in /search; the other filters narrow it down"`
		Tag      string `query:"tag"`
		Unit     string `query:"unit_id"`
		Category string `query:"category" enum:"spam,newsletter,notice,blocked" doc:"what is no customer's concern"`
		Failed   bool   `query:"failed" doc:"only where a delivery failed or is uncertain and nobody has dealt with it"`
		Mention  bool   `query:"mentioned" doc:"only with notes that name me, the newest first"`
		Paging
	}) (*page[RowJSON], error) {
		u := who(ctx)
		o := s.org(ctx)
		f := conversation.Filter{Status: in.Status, Assignee: in.Assignee, Waiting: in.Waiting, Kind: channel.Kind(in.Kind), Text: in.Q, Tag: in.Tag, Unit: in.Unit, Category: in.Category, Failed: in.Failed}
		if in.Mention {
			rows, next, err := conversation.Mentioned(ctx, o, u.ID, in.Cursor, in.Limit)
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			rows = slices.DeleteFunc(rows, func(r conversation.Row) bool { return !mine(u, r) })
			items, err := s.rows(ctx, o, rows)
			return newPage(items, next), s.fail(ctx, err)
		}
		if f.Assignee == "me" {
			f.Assignee = u.ID
		}
		if u.Role == auth.Partner {
			if f.Assignee != "" && f.Assignee != u.ID {
				return newPage([]RowJSON{}, ""), nil
			}
			f.Assignee = u.ID
		}
		if in.Customer != "" {
			ids, err := customer.IDs(ctx, o, in.Customer)
			if errors.Is(err, customer.ErrNotFound) {
				return newPage([]RowJSON{}, ""), nil
			}
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			f.Customers = ids
		}
		if strings.TrimSpace(in.Q) != "" {
			items, next, err := s.found(ctx, o, in.Q, f, in.Status == conversation.Open || in.Status == conversation.Snoozed, in.Cursor, in.Limit)
			return newPage(items, next), s.fail(ctx, err)
		}
		rows, next, err := conversation.List(ctx, o, f, u.ID, in.Cursor, in.Limit)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		items, err := s.rows(ctx, o, rows)
		return newPage(items, next), s.fail(ctx, err)
	})
	huma.Register(s.api, op("GET", "/conversations/counts", "count-conversations", "Numbers beside the desk's filters", "conversations"), func(ctx context.Context, _ *struct{}) (*body[CountsJSON], error) {
		o := s.org(ctx)
		c, err := conversation.Count(ctx, o, who(ctx).ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &body[CountsJSON]{CountsJSON{Mine: c.Mine, Unassigned: c.Unassigned, Waiting: c.Waiting, Open: c.Open, Mentions: c.Mentions}}
		if who(ctx).Role == auth.Partner {
			out.Body = CountsJSON{Mine: c.Mine, Mentions: c.Mentions}
			return out, nil
		}
		if out.Body.WorkItems, err = intake.CountWorkItems(ctx, o); err == nil {
			out.Body.Uncertain, err = outbox.CountUncertain(ctx, o)
		}
		return out, s.fail(ctx, err)
	})
	huma.Register(s.api, op("GET", "/conversations/{id}", "get-conversation", "One conversation, with the ways to answer it", "conversations"), func(ctx context.Context, in *ByID) (*body[ConversationJSON], error) {
		o := s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		j, err := s.conversationJSON(ctx, o, r)
		return &body[ConversationJSON]{j}, s.fail(ctx, err)
	})
	huma.Register(s.api, op("PATCH", "/conversations/{id}", "change-conversation", "Assign, close, reopen, snooze, rename, tag", "conversations"), func(ctx context.Context, in *struct {
		ByID
		Body ChangeJSON
	}) (*body[RowJSON], error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		ch, err := s.change(ctx, o, in.Body)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		var r conversation.Row
		err = o.Write(ctx, func(tx *db.Tx) (err error) {
			if _, err := conversation.Update(ctx, tx, in.ID, ch, actor(who(ctx)), s.Now()); err != nil {
				return err
			}
			r, err = conversation.Get(ctx, tx, in.ID, who(ctx).ID)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		list, err := s.rows(ctx, o, []conversation.Row{r})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[RowJSON]{list[0]}, nil
	})
	huma.Register(s.api, created(op("POST", "/conversations", "start-conversation", "Write first to a customer or an address", "conversations")), func(ctx context.Context, in *struct {
		Key  string `header:"Idempotency-Key"`
		Body struct {
			CustomerID  string        `json:"customer_id"`
			Address     *AddressRef   `json:"address"`
			AddressID   string        `json:"address_id"`
			ChannelID   string        `json:"channel_id" required:"true"`
			Subject     string        `json:"subject" maxLength:"400"`
			Text        string        `json:"text"`
			HTML        string        `json:"html"`
			Cc          []MailboxJSON `json:"cc" maxItems:"50"`
			Bcc         []MailboxJSON `json:"bcc" maxItems:"50"`
			Attachments []FileRef     `json:"attachments" maxItems:"50"`
			ClientID    string        `json:"client_id" maxLength:"100" doc:"twice the same starts one conversation (for two days)"`
			SendAt      *time.Time    `json:"send_at"`
			Signature   *bool         `json:"signature" doc:"false: without my signature"`
			Template    *TemplateRef  `json:"template,omitempty" doc:"an approved template instead of text, for channels on which the company may not write first"`
		}
	}) (*body[RowJSON], error) {
		b := in.Body
		o := s.org(ctx)
		u := who(ctx)
		c, err := s.Accounts.Get(u.Org, b.ChannelID)
		if err != nil {
			return nil, invalid("body.channel_id", s.text(ctx, "Diesen Kanal gibt es nicht.", "There is no such channel."))
		}
		if ok, why := reach.CanSend(s.Accounts, c); !ok {
			return nil, invalid("body.channel_id", why.In(s.lang(ctx)))
		}
		var template *channel.TemplateUse
		if b.Template != nil {
			if template, b.Text, err = s.fillTemplate(ctx, o, c, "", *b.Template); err != nil {
				return nil, s.fail(ctx, err)
			}
			b.HTML, b.Attachments = "", nil
		}
		if strings.TrimSpace(b.Text) == "" && b.HTML == "" && len(b.Attachments) == 0 {
			return nil, invalid("body.text", s.text(ctx, "Die Nachricht ist leer.", "The message is empty."))
		}
		if b.CustomerID == "" && b.Address == nil {
			return nil, invalid("body.address", s.text(ctx, "Sagen Sie, an wen: customer_id oder address.", "Say to whom: customer_id or address."))
		}
		if err := s.mayWriteFirst(ctx, o, b.CustomerID); err != nil {
			return nil, s.fail(ctx, err)
		}
		if err := s.fits(ctx, c.Account, &SendJSON{Text: b.Text, HTML: b.HTML, Cc: b.Cc, Bcc: b.Bcc, Attachments: b.Attachments}); err != nil {
			return nil, err
		}
		client := b.ClientID
		if client == "" {
			client = in.Key
		}
		files, err := s.keepFiles(ctx, b.Attachments, client, s.Accounts.Can(c.Account).AttachmentMax)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		var r conversation.Row
		err = o.Write(ctx, func(tx *db.Tx) error {
			to, err := s.addressee(ctx, tx, c.Kind, b.CustomerID, b.AddressID, b.Address)
			if err != nil {
				return err
			}
			started := u.ID + "/start" // no key of a client stands here: those stand under the id alone
			if client != "" {          // pressed twice is started once
				if err := tx.Lock(ctx, started+" "+client); err != nil {
					return err
				}
				var id string
				err := tx.Row(ctx, `SELECT body FROM idempotency WHERE org = $1 AND staff = $2 AND key = $3`, started, client).Scan(&id)
				if err == nil {
					r, err = conversation.Get(ctx, tx, id, u.ID)
					return err
				}
				if !errors.Is(err, db.ErrNoRows) {
					return err
				}
			}
			if ok, why, _, byTemplate := reach.CanReach(s.Accounts, c, to.Address, false, s.Now()); !ok && (template == nil || !byTemplate) {
				return problem(http.StatusConflict, "cannot_send", why.In(s.lang(ctx)))
			}
			r, err = conversation.Start(ctx, tx, to.Customer.ID, to.Customer.Name, b.Subject, actor(u), s.Now())
			if err != nil {
				return err
			}
			p := plan{way: reach.Option{Channel: c, Address: to.Address}, template: template}
			send := SendJSON{Text: b.Text, HTML: b.HTML, Subject: b.Subject, Cc: b.Cc, Bcc: b.Bcc, SendAt: b.SendAt, Signature: b.Signature}
			ids, err := customer.IDs(ctx, tx, to.Customer.ID)
			if err != nil {
				return err
			}
			addrs, err := customer.Addresses(ctx, tx, ids)
			if err != nil {
				return err
			}
			for _, m := range slices.Concat(b.Cc, b.Bcc) {
				_, ours := s.ownMailbox(u.Org, customer.Normalise("email", m.Address))
				if i, _ := named([]MailboxJSON{m}, addrs, ""); i < 0 && !ours {
					p.copies = append(p.copies, m)
				}
			}
			if err := s.undersign(ctx, tx, &send, c.Kind); err != nil {
				return err
			}
			if _, err := s.sendPlan(ctx, tx, r, send, p, files, client); err != nil {
				return err
			}
			if client != "" {
				if _, err := tx.Exec(ctx, `INSERT INTO idempotency (org, staff, key, request, status, body, at) VALUES ($1,$2,$3,'',0,$4,$5)`, started, client, r.ID, s.Now().UnixMicro()); err != nil {
					return fmt.Errorf("note the start of a conversation: %w", err)
				}
			}
			r, err = conversation.Get(ctx, tx, r.ID, u.ID)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[RowJSON]{rowJSON(r, nil)}, nil
	})
	huma.Register(s.api, noContent(op("POST", "/conversations/{id}/read", "mark-read", "Mark as read by me, up to a message", "conversations")), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			MessageID string `json:"message_id"`
		}
	}) (*struct{}, error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		err := o.Write(ctx, func(tx *db.Tx) error {
			return conversation.MarkRead(ctx, tx, in.ID, who(ctx).ID, in.Body.MessageID, s.Now())
		})
		if err == nil {
			s.chatSeen(o.ID, in.ID)
		}
		return nil, s.fail(ctx, err)
	})
	type draftBody struct {
		Text        string          `json:"text"`
		Subject     string          `json:"subject"`
		ChannelID   string          `json:"channel_id"`
		AddressID   string          `json:"address_id"`
		ReplyTo     string          `json:"reply_to"`
		Participant string          `json:"participant_id" doc:"the third party whom it is for"`
		Cc          json.RawMessage `json:"cc,omitempty"`
		Bcc         json.RawMessage `json:"bcc,omitempty"`
		Attachments json.RawMessage `json:"attachments,omitempty"`
		UpdatedAt   *time.Time      `json:"updated_at,omitempty"`
	}
	huma.Register(s.api, op("GET", "/conversations/{id}/draft", "get-draft", "My unsent text; 204 if there is none", "conversations"), func(ctx context.Context, in *ByID) (*struct {
		Status int
		Body   *draftBody
	}, error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &struct {
			Status int
			Body   *draftBody
		}{Status: http.StatusNoContent}
		d, err := conversation.GetDraft(ctx, o, in.ID, who(ctx).ID)
		if errors.Is(err, db.ErrNoRows) {
			return out, nil
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Status, out.Body = http.StatusOK, &draftBody{}
		if err := json.Unmarshal(d.Body, out.Body); err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.UpdatedAt = &d.UpdatedAt
		return out, nil
	})
	huma.Register(s.api, noContent(op("PUT", "/conversations/{id}/draft", "put-draft", "Keep my unsent text", "conversations")), func(ctx context.Context, in *struct {
		ByID
		Body draftBody
	}) (*struct{}, error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		in.Body.UpdatedAt = nil
		b, err := json.Marshal(in.Body)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return nil, s.fail(ctx, o.Write(ctx, func(tx *db.Tx) error { return conversation.SaveDraft(ctx, tx, in.ID, who(ctx).ID, b, s.Now()) }))
	})
	huma.Register(s.api, noContent(op("DELETE", "/conversations/{id}/draft", "delete-draft", "Drop my unsent text", "conversations")), func(ctx context.Context, in *ByID) (*struct{}, error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		return nil, s.fail(ctx, o.Write(ctx, func(tx *db.Tx) error { return conversation.SaveDraft(ctx, tx, in.ID, who(ctx).ID, nil, s.Now()) }))
	})
}

// mayWriteFirst keeps partners to the customers that they know: a conversation of their own would show them the
// customer.
func (s *Server) mayWriteFirst(ctx context.Context, o db.Org, customerID string) error {
	if who(ctx).Role != auth.Partner {
		return nil
	}
	if customerID == "" {
		return s.forbidden(ctx)
	}
	ids, err := customer.IDs(ctx, o, customerID)
	if err == nil {
		err = s.mayKnow(ctx, o, ids)
	}
	if errors.Is(err, customer.ErrNotFound) {
		return invalid("body.customer_id", s.text(ctx, "Diesen Kunden gibt es nicht.", "There is no such customer."))
	}
	return err
}

// addressee finds or makes the address to write to on a channel of this kind.
func (s *Server) addressee(ctx context.Context, tx *db.Tx, kind channel.Kind, customerID, addressID string, ref *AddressRef) (customer.Sender, error) {
	if customerID == "" {
		value := strings.TrimSpace(ref.Value)
		if ref.Kind != "" && channel.Kind(ref.Kind) != kind {
			return customer.Sender{}, invalid("body.address.kind", s.text(ctx, "Diese Adresse passt nicht zum Kanal.", "This address does not fit the channel."))
		}
		if value == "" || (kind == "email" && !strings.Contains(value, "@")) {
			return customer.Sender{}, invalid("body.address", s.text(ctx, "Das ist keine Adresse dieses Kanals.", "This is no address of this channel."))
		}
		return customer.Ensure(ctx, tx, kind, value, ref.Name, s.Now())
	}
	c, err := customer.Get(ctx, tx, customerID)
	if err != nil {
		return customer.Sender{}, invalid("body.customer_id", s.text(ctx, "Diesen Kunden gibt es nicht.", "There is no such customer."))
	}
	ids, err := customer.IDs(ctx, tx, c.ID)
	if err != nil {
		return customer.Sender{}, err
	}
	addrs, err := customer.Addresses(ctx, tx, ids)
	if err != nil {
		return customer.Sender{}, err
	}
	for _, a := range addrs {
		if a.Kind == kind && (addressID == "" || a.ID == addressID) && (ref == nil || ref.Value == "" || a.Value == customer.Normalise(kind, ref.Value)) {
			return customer.Sender{Customer: c, Address: a}, nil
		}
	}
	return customer.Sender{}, invalid("body.channel_id", s.text(ctx, "Der Kunde hat keine Adresse auf diesem Kanal.", "The customer has no address on this channel."))
}

// hold is how long a message can be taken back: 5 s in the desk; programs mean what they send.
func (s *Server) hold(ctx context.Context) time.Duration {
	if r := requestOf(ctx); r != nil && bearerOf(r) != "" {
		return 0
	}
	return 5 * time.Second
}

func (s *Server) clean(html string) string {
	if html == "" || s.Sanitise == nil {
		return ""
	}
	return s.Sanitise(html)
}
