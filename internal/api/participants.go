package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/reach"
)

// ParticipantJSON is a third party in a conversation.
type ParticipantJSON struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Role     string     `json:"role" enum:"insurer,expert,workshop,lawyer,other"`
	Address  AddressRef `json:"address"`
	AddedBy  string     `json:"added_by" doc:"staff id"`
	AddedAt  time.Time  `json:"added_at"`
	Removed  *time.Time `json:"removed_at" doc:"since then it gets nothing more"`
	Messages int        `json:"messages" doc:"how many messages it may see"`
}

func participantJSON(p conversation.Participant, seen int) ParticipantJSON {
	return ParticipantJSON{p.ID, p.Name, p.Role, AddressRef{Kind: string(p.Kind), Value: p.Value, Name: p.Name}, p.AddedBy, p.AddedAt, moment(p.RemovedAt), seen}
}

// plan is how a message will leave: by which channel, to whom, and who else outside gets it.
type plan struct {
	way         reach.Option
	participant *conversation.Participant // whom it goes to; nil = the customer
	fresh       *MailboxJSON              // whom it goes to, not yet a participant
	copies      []MailboxJSON             // in cc and bcc, neither the customer's nor the addressee
	customerToo bool                      // the customer gets a copy of what goes to a third party
	role, name  string                    // of a fresh participant
	subject     string
	quotedFrom  int                  // where in the text earlier messages begin; 0 = nowhere
	template    *channel.TemplateUse // sent instead of the text
}

// third reports whether it goes to a third party.
func (p plan) third() bool { return p.participant != nil || p.fresh != nil }

func (s *Server) noMail(ctx context.Context, field string, m MailboxJSON) error {
	if at := strings.IndexByte(m.Address, '@'); at < 1 || at == len(m.Address)-1 || strings.ContainsAny(m.Address+m.Name, "\r\n") {
		return invalid(field, s.text(ctx, "„"+m.Address+"“ ist keine E-Mail-Adresse.", "“"+m.Address+"” is not an e-mail address."))
	}
	return nil
}

// plan finds out how a message will leave and refuses what cannot or must not.
func (s *Server) plan(ctx context.Context, o db.Org, r conversation.Row, b *SendJSON) (p plan, err error) {
	ids, err := customer.IDs(ctx, o, r.Customer)
	if err != nil {
		return p, err
	}
	addrs, err := customer.Addresses(ctx, o, ids)
	if err != nil {
		return p, err
	}
	parties, err := conversation.Participants(ctx, o, r.ID)
	if err != nil {
		return p, err
	}
	theirs := func(m MailboxJSON) *conversation.Participant {
		for i, v := range parties {
			if v.RemovedAt.IsZero() && v.Value == customer.Normalise(v.Kind, m.Address) {
				return &parties[i]
			}
		}
		return nil
	}
	customers := func(m MailboxJSON) bool {
		i, _ := named([]MailboxJSON{m}, addrs, "")
		return i >= 0
	}
	switch {
	case b.Participant != "":
		i := slices.IndexFunc(parties, func(v conversation.Participant) bool { return v.ID == b.Participant && v.RemovedAt.IsZero() })
		if i < 0 {
			return p, invalid("body.participant_id", s.text(ctx, "Diesen Beteiligten gibt es in diesem Gespräch nicht (mehr).", "There is no such participant in this conversation (any more)."))
		}
		p.participant = &parties[i]
		b.Cc = append(slices.DeleteFunc(slices.Clone(b.To), func(m MailboxJSON) bool { return theirs(m) == p.participant }), b.Cc...)
	case len(b.To) > 0 && b.AddressID == "" && !slices.ContainsFunc(b.To, customers):
		if err := s.noMail(ctx, "body.to[0]", b.To[0]); err != nil {
			return p, err
		}
		if p.participant = theirs(b.To[0]); p.participant == nil {
			p.fresh = &b.To[0]
		}
		b.Cc = append(slices.Clone(b.To[1:]), b.Cc...)
	}
	if p.third() {
		kind := channel.Kind("email")
		if p.participant != nil {
			kind = p.participant.Kind
		}
		if p.way, err = s.partyWay(ctx, o, r, kind, b.ChannelID); err != nil {
			return p, err
		}
		b.To = nil
	} else if p.way, err = s.way(ctx, o, r, addrs, b); err != nil {
		return p, err
	}
	if b.Template != nil {
		if p.third() || !s.Accounts.Can(p.way.Channel.Account).Templates {
			return p, invalid("body.template", s.text(ctx, "Dieser Kanal kennt keine Vorlagen.", "This channel knows no templates."))
		}
		c, err := customer.Get(ctx, o, r.Customer)
		if err != nil {
			return p, err
		}
		if p.template, b.Text, err = s.fillTemplate(ctx, o, p.way.Channel, c.Language, *b.Template); err != nil {
			return p, err
		}
		b.HTML, b.Attachments = "", nil
	}
	if err := s.fits(ctx, p.way.Channel.Account, b); err != nil {
		return p, err
	}
	if b.SendAt != nil && b.SendAt.Before(s.Now().Add(-time.Minute)) {
		return p, invalid("body.send_at", s.text(ctx, "Dieser Zeitpunkt ist vorbei.", "This time is over."))
	}
	addressee := p.way.Address.Value
	if p.participant != nil {
		addressee = p.participant.Value
	} else if p.fresh != nil {
		addressee = customer.Normalise("email", p.fresh.Address)
	}
	if own, ok := s.ownMailbox(o.ID, addressee); ok {
		return p, invalid("body.to", s.text(ctx, "„"+own+"“ ist unser eigenes Postfach.", "“"+own+"” is our own mailbox."))
	}
	for _, list := range []*[]MailboxJSON{&b.Cc, &b.Bcc} {
		var keep []MailboxJSON
		for _, m := range *list {
			v := customer.Normalise("email", m.Address)
			if _, ours := s.ownMailbox(o.ID, v); ours || v == addressee || slices.ContainsFunc(keep, func(x MailboxJSON) bool { return customer.Normalise("email", x.Address) == v }) {
				continue // nobody gets it twice, and we have it
			}
			keep = append(keep, m)
			switch {
			case !customers(m):
				p.copies = append(p.copies, m)
			case p.third():
				p.customerToo = true
			}
		}
		*list = keep
	}
	party := ""
	if p.participant != nil {
		party = p.participant.ID
	}
	if b.ReplyTo != "" {
		m, err := conversation.MessageByID(ctx, o, b.ReplyTo)
		if errors.Is(err, conversation.ErrNoSuch) || (err == nil && (m.Conversation != r.ID || m.Kind != conversation.KindMessage)) {
			return p, s.noQuote(ctx)
		}
		if err != nil {
			return p, err
		}
		if p.fresh != nil || !m.VisibleTo(party) {
			return p, problem(http.StatusConflict, "not_visible", s.text(ctx, "Der Empfänger kennt diese Nachricht nicht; ein Zitat würde sie ihm zeigen. Leiten Sie sie ausdrücklich weiter.", "The recipient does not know this message; a quote would show it. Forward it expressly."))
		}
	}
	return p, nil
}

// ownMailbox tells whether an address is one of our own mail channels, with whatever detail behind its plus (RFC 5233):
// mail to it would come back as a customer's.
func (s *Server) ownMailbox(org, value string) (string, bool) {
	local, domain, _ := strings.Cut(value, "@")
	plain, _, _ := strings.Cut(local, "+")
	for _, c := range s.Accounts.ByKind(org, "email") {
		if a := customer.Normalise("email", c.Settings["address"]); a != "" && (a == value || a == plain+"@"+domain) {
			return a, true
		}
	}
	return "", false
}

// partyWay is the channel by which third parties are written to: the one asked for, the one by which the conversation
// goes, or the first that can send.
func (s *Server) partyWay(ctx context.Context, o db.Org, r conversation.Row, kind channel.Kind, ch string) (reach.Option, error) {
	var why channel.Text
	var best *account.Channel
	for _, c := range s.Accounts.ByKind(o.ID, kind) {
		if ch != "" && c.ID != ch {
			continue
		}
		ok, no := reach.CanSend(s.Accounts, c)
		if !ok {
			why = no
			continue
		}
		if best == nil || c.ID == r.Channel {
			best = &c
		}
	}
	if best != nil {
		return reach.Option{Channel: *best, CanSend: true}, nil
	}
	if why == (channel.Text{}) {
		why = channel.Text{DE: "Für Beteiligte ist kein E-Mail-Kanal eingerichtet, der senden kann.", EN: "No e-mail channel that can send is set up for third parties."}
	}
	return reach.Option{}, problem(http.StatusConflict, "cannot_send", why.In(s.lang(ctx)))
}

// answeredMeanwhile refuses an answer if a colleague has written since the last message that its author has seen.
func (s *Server) answeredMeanwhile(ctx context.Context, o db.Org, r conversation.Row, b SendJSON) error {
	if b.SeenMessage == "" || b.Anyway {
		return nil
	}
	m, ok, err := conversation.AnsweredSince(ctx, o, r.ID, b.SeenMessage, who(ctx).ID)
	if err != nil || !ok {
		return err
	}
	p := problem(http.StatusConflict, "answered_meanwhile", s.text(ctx, m.AuthorName+" hat inzwischen geantwortet. Lesen Sie zuerst, oder senden Sie trotzdem.", m.AuthorName+" has answered in the meantime. Read first, or send anyway."))
	p.By, p.MessageID = &NamedJSON{m.AuthorID, m.AuthorName}, m.ID
	return p
}

// signature is what stands under somebody's mails: their own, else their unit's.
func (s *Server) signature(ctx context.Context, q db.Querier) (string, error) {
	u := who(ctx)
	if u.Signature != "" || u.Unit == "" {
		return u.Signature, nil
	}
	unit, err := org.UnitByID(ctx, q, u.Unit)
	if errors.Is(err, org.ErrNoUnit) {
		return "", nil
	}
	return unit.Signature, err
}

// undersign puts the author's signature under a message on a channel that has subjects (RFC 3676 §4.3).
func (s *Server) undersign(ctx context.Context, q db.Querier, b *SendJSON, kind channel.Kind) error {
	if (b.Signature != nil && !*b.Signature) || !s.Accounts.Driver(kind).Capabilities().Subject {
		return nil
	}
	sig, err := s.signature(ctx, q)
	if err != nil || strings.TrimSpace(sig) == "" {
		return err
	}
	b.Text = strings.TrimRight(b.Text, "\n") + "\n\n-- \n" + sig
	if b.HTML != "" {
		b.HTML += `<br><br>-- <br>` + strings.ReplaceAll(html.EscapeString(sig), "\n", "<br>")
	}
	return nil
}

// sendPlan hands a planned message to the outbox, in the transaction. Outsiders in copy become participants who may see
// this one message.
func (s *Server) sendPlan(ctx context.Context, tx *db.Tx, r conversation.Row, b SendJSON, p plan, files []string, client string) (conversation.Message, error) {
	u := who(ctx)
	party := func(m MailboxJSON, role, name string) (conversation.Participant, error) {
		to, err := customer.Ensure(ctx, tx, "email", m.Address, cmp.Or(name, m.Name), s.Now())
		if err != nil {
			return conversation.Participant{}, err
		}
		return conversation.AddParticipant(ctx, tx, r.ID, conversation.Participant{Address: to.Address.ID, Kind: "email", Value: to.Address.Value, Name: cmp.Or(name, m.Name), Role: role, AddedBy: u.ID}, s.Now())
	}
	out := conversation.Out{Author: channel.Staff, By: actor(u), Channel: p.way.Channel.Account, Address: p.way.Address.ID, AddressValue: p.way.Address.Value, Assurance: p.way.Address.Assurance,
		Subject: b.Subject, Text: b.Text, HTML: s.clean(b.HTML), To: toMailboxes(b.To), Cc: toMailboxes(b.Cc), Bcc: toMailboxes(b.Bcc), ReplyTo: b.ReplyTo, ClientID: client, Attachments: files, CustomerToo: p.customerToo, QuotedFrom: p.quotedFrom}
	if p.fresh != nil {
		v, err := party(*p.fresh, p.role, p.name)
		if err != nil {
			return conversation.Message{}, err
		}
		p.participant = &v
	}
	if v := p.participant; v != nil {
		out.Participant, out.Address, out.AddressValue, out.Assurance = v.ID, v.Address, v.Value, channel.Claimed
		if out.Subject == "" {
			out.Subject = p.subject
		}
	}
	for _, m := range p.copies {
		v, err := party(m, "", "")
		if err != nil {
			return conversation.Message{}, err
		}
		if !slices.Contains(out.Copied, v.ID) {
			out.Copied = append(out.Copied, v.ID)
		}
	}
	req := outbox.Request{Conversation: r.ID, Hold: s.hold(ctx), Out: out}
	if b.SendAt != nil {
		req.SendAt = *b.SendAt
	}
	if p.template != nil {
		req.Offer = &outbox.Offer{Template: p.template}
	}
	m, _, err := s.Outbox.Send(ctx, tx, req)
	return m, err
}

// RecipientJSON is somebody outside who will get a message.
type RecipientJSON struct {
	Address string `json:"address"`
	Name    string `json:"name"`
	Role    string `json:"role" enum:"customer,participant,new"`
	Field   string `json:"field" enum:"to,cc,bcc"`
}

// PreviewJSON says who outside will see what, before it is sent.
type PreviewJSON struct {
	Channel    ChannelRefJSON  `json:"channel"`
	Recipients []RecipientJSON `json:"recipients"`
	Customer   bool            `json:"customer_sees"`
	Quotes     []string        `json:"quotes" doc:"ids of messages that travel along"`
	Signature  string          `json:"signature" doc:"what will stand under it"`
	Warnings   []string        `json:"warnings" doc:"new_outsider, customer_and_third_party, reply_all_third_party, bcc_visible_on_reply"`
}

func (s *Server) preview(ctx context.Context, o db.Org, r conversation.Row, b SendJSON) (PreviewJSON, error) {
	p, err := s.plan(ctx, o, r, &b)
	if err != nil {
		return PreviewJSON{}, err
	}
	out := PreviewJSON{Channel: ChannelRefJSON{p.way.Channel.ID, string(p.way.Channel.Kind), p.way.Channel.Name}, Customer: !p.third() || p.customerToo, Quotes: []string{}, Warnings: []string{}}
	known, err := conversation.Participants(ctx, o, r.ID)
	if err != nil {
		return out, err
	}
	role := func(m MailboxJSON) RecipientJSON {
		v := customer.Normalise("email", m.Address)
		for _, k := range known {
			if k.Value == v && k.RemovedAt.IsZero() {
				return RecipientJSON{Address: v, Name: k.Name, Role: "participant"}
			}
		}
		if slices.ContainsFunc(p.copies, func(c MailboxJSON) bool { return c == m }) || (p.fresh != nil && *p.fresh == m) {
			return RecipientJSON{Address: v, Name: m.Name, Role: "new"}
		}
		return RecipientJSON{Address: v, Name: r.CustomerName, Role: "customer"}
	}
	switch {
	case p.participant != nil:
		out.Recipients = append(out.Recipients, RecipientJSON{p.participant.Value, p.participant.Name, "participant", "to"})
	case p.fresh != nil:
		v := role(*p.fresh)
		v.Field = "to"
		out.Recipients = append(out.Recipients, v)
	default:
		out.Recipients = append(out.Recipients, RecipientJSON{p.way.Address.Value, r.CustomerName, "customer", "to"})
	}
	for _, list := range []struct {
		field string
		boxes []MailboxJSON
	}{{"cc", b.Cc}, {"bcc", b.Bcc}} {
		for _, m := range list.boxes {
			v := role(m)
			v.Field = list.field
			out.Recipients = append(out.Recipients, v)
		}
	}
	if slices.ContainsFunc(out.Recipients, func(v RecipientJSON) bool { return v.Role == "new" }) {
		out.Warnings = append(out.Warnings, "new_outsider")
	}
	if out.Customer && slices.ContainsFunc(out.Recipients, func(v RecipientJSON) bool { return v.Role != "customer" && v.Field != "bcc" }) {
		out.Warnings = append(out.Warnings, "customer_and_third_party")
	}
	if slices.ContainsFunc(out.Recipients, func(v RecipientJSON) bool { return v.Field == "bcc" }) {
		out.Warnings = append(out.Warnings, "bcc_visible_on_reply")
	}
	if b.ReplyTo != "" { // on the same channel and address an answer refers to it and carries none of its words
		q, err := conversation.MessageByID(ctx, o, b.ReplyTo)
		if err != nil {
			return out, err
		}
		address := p.way.Address.ID
		if p.participant != nil {
			address = p.participant.Address
		}
		if q.ChannelKind != p.way.Channel.Kind || q.Address != address {
			out.Quotes = append(out.Quotes, b.ReplyTo)
		}
	}
	if s.Accounts.Driver(p.way.Channel.Kind).Capabilities().Subject && (b.Signature == nil || *b.Signature) {
		out.Signature, err = s.signature(ctx, o)
	}
	return out, err
}

// forwarded is how earlier messages stand below a text that forwards them.
// history says that what they quote themselves goes along.
func (s *Server) forwarded(ctx context.Context, list []conversation.Message, history bool) string {
	var b strings.Builder
	t := func(de, en string) string { return s.text(ctx, de, en) }
	for _, m := range list {
		b.WriteString("\n\n---------- " + t("Weitergeleitete Nachricht", "Forwarded message") + " ----------\n")
		from := m.AuthorName
		switch {
		case !m.In: // ours
		case m.ChannelKind == "email" && m.AddressValue != "" && m.AddressValue != from:
			from = strings.TrimSpace(from + " <" + m.AddressValue + ">")
		case m.ChannelKind != "email": // the id of a chat is nobody's business
			from += " (" + s.Accounts.Driver(m.ChannelKind).Title().In(s.lang(ctx)) + ")"
		}
		fmt.Fprintf(&b, "%s: %s\n%s: %s\n", t("Von", "From"), from, t("Datum", "Date"), m.At.Local().Format("02.01.2006 15:04"))
		if m.Subject != "" {
			fmt.Fprintf(&b, "%s: %s\n", t("Betreff", "Subject"), m.Subject)
		}
		text := m.Text
		if !history && m.QuotedFrom > 0 && m.QuotedFrom < len(text) {
			text = strings.TrimRight(text[:m.QuotedFrom], " \n")
		}
		b.WriteString("\n" + text)
	}
	return b.String()
}

func (s *Server) participantRoutes() {
	huma.Register(s.api, op("GET", "/conversations/{id}/participants", "list-participants", "Third parties of a conversation", "participants"), func(ctx context.Context, in *ByID) (*page[ParticipantJSON], error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		list, err := conversation.Participants(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		seen, err := conversation.SeenBy(ctx, o, in.ID)
		var items []ParticipantJSON
		for _, p := range list {
			items = append(items, participantJSON(p, seen[p.ID]))
		}
		return newPage(items, ""), s.fail(ctx, err)
	})
	huma.Register(s.api, created(op("POST", "/conversations/{id}/participants", "add-participant", "Bring in a third party; it sees nothing until something is sent to it", "participants")), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Name    string      `json:"name" maxLength:"200"`
			Role    string      `json:"role" enum:"insurer,expert,workshop,lawyer,other" default:"other"`
			Address *AddressRef `json:"address"`
			Email   string      `json:"email" doc:"short for an address of kind email"`
		}
	}) (*body[ParticipantJSON], error) {
		o := s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		ref := in.Body.Address
		if ref == nil {
			ref = &AddressRef{Value: in.Body.Email}
		}
		if ref.Kind == "" {
			ref.Kind = "email"
		}
		if err := s.checkAddress(ctx, "body.address", ref.Kind, ref.Value); err != nil {
			return nil, s.fail(ctx, err)
		}
		if own, ok := s.ownMailbox(o.ID, customer.Normalise("email", ref.Value)); ok {
			return nil, invalid("body.address", s.text(ctx, "„"+own+"“ ist unser eigenes Postfach.", "“"+own+"” is our own mailbox."))
		}
		var p conversation.Participant
		err = o.Write(ctx, func(tx *db.Tx) error {
			to, err := customer.Ensure(ctx, tx, channel.Kind(ref.Kind), ref.Value, cmp.Or(in.Body.Name, ref.Name), s.Now())
			if err != nil {
				return err
			}
			ids, err := customer.IDs(ctx, tx, r.Customer)
			if err != nil {
				return err
			}
			if slices.Contains(ids, to.Address.Customer) {
				return conversation.ErrIsCustomer
			}
			p, err = conversation.AddParticipant(ctx, tx, r.ID, conversation.Participant{Address: to.Address.ID, Kind: to.Address.Kind, Value: to.Address.Value, Name: cmp.Or(in.Body.Name, ref.Name), Role: in.Body.Role, AddedBy: who(ctx).ID}, s.Now())
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[ParticipantJSON]{participantJSON(p, 0)}, nil
	})
	huma.Register(s.api, noContent(op("DELETE", "/conversations/{id}/participants/{participant}", "remove-participant", "End a third party's part; what it saw stays", "participants")), func(ctx context.Context, in *struct {
		ByID
		Participant string `path:"participant"`
	}) (*struct{}, error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		err := o.Write(ctx, func(tx *db.Tx) error { return conversation.RemoveParticipant(ctx, tx, in.ID, in.Participant, s.Now()) })
		return nil, s.fail(ctx, err)
	})
	huma.Register(s.api, op("POST", "/conversations/{id}/messages/preview", "preview-message", "Who outside will see what, before it is sent", "messages"), func(ctx context.Context, in *struct {
		ByID
		Body SendJSON
	}) (*body[PreviewJSON], error) {
		o := s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		p, err := s.preview(ctx, o, r, in.Body)
		return &body[PreviewJSON]{p}, s.fail(ctx, err)
	})
	huma.Register(s.api, created(op("POST", "/conversations/{id}/forward", "forward-messages", "Send messages on to third parties: they see exactly this, the customer neither it nor their answers", "participants")), func(ctx context.Context, in *struct {
		ByID
		Key  string `header:"Idempotency-Key"`
		Body struct {
			MessageIDs  []string      `json:"message_ids" minItems:"1" maxItems:"100"`
			To          []MailboxJSON `json:"to" required:"true" minItems:"1" maxItems:"20"`
			Cc          []MailboxJSON `json:"cc" maxItems:"20"`
			Bcc         []MailboxJSON `json:"bcc" maxItems:"20"`
			Role        string        `json:"role" enum:"insurer,expert,workshop,lawyer,other" default:"other"`
			Name        string        `json:"name" maxLength:"200"`
			Subject     string        `json:"subject" maxLength:"400"`
			Text        string        `json:"text"`
			Attachments *[]string     `json:"attachment_ids" doc:"of the messages' files; absent: all of them"`
			History     bool          `json:"history" doc:"earlier mails that the messages quote go along, too"`
			ChannelID   string        `json:"channel_id"`
			ClientID    string        `json:"client_id" maxLength:"100" doc:"twice the same is sent once"`
			Signature   *bool         `json:"signature"`
		}
	}) (*body[MessageJSON], error) {
		b, o := in.Body, s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		found, err := conversation.MessagesByID(ctx, o, b.MessageIDs)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		var list []conversation.Message
		for _, id := range b.MessageIDs {
			m, ok := found[id]
			if !ok || m.Conversation != r.ID || m.Kind != conversation.KindMessage { // a note never leaves the house
				return nil, invalid("body.message_ids", s.text(ctx, "Diese Nachricht gibt es in diesem Gespräch nicht.", "There is no such message in this conversation."))
			}
			if !m.DeletedAt.IsZero() {
				return nil, problem(http.StatusConflict, "taken_back", s.text(ctx, "Diese Nachricht hat der Kunde zurückgenommen; sie geht nicht weiter.", "The customer took this message back; it is not passed on."))
			}
			list = append(list, m)
		}
		slices.SortFunc(list, func(a, b conversation.Message) int { return cmp.Compare(a.Pos, b.Pos) })
		files, err := conversation.Attachments(ctx, o, b.MessageIDs)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		var travel []string
		for _, m := range list {
			for _, f := range files[m.ID] {
				if f.State == conversation.Stored && (b.Attachments == nil || slices.Contains(*b.Attachments, f.ID)) {
					travel = append(travel, f.ID)
				}
			}
		}
		if b.Attachments != nil && len(travel) != len(*b.Attachments) {
			return nil, invalid("body.attachment_ids", s.text(ctx, "Eine dieser Dateien gehört zu keiner der Nachrichten oder ist noch nicht da.", "One of these files belongs to none of the messages, or is not here yet."))
		}
		send := SendJSON{Text: b.Text, Subject: b.Subject, To: b.To, Cc: b.Cc, Bcc: b.Bcc, ChannelID: b.ChannelID, Signature: b.Signature}
		ids, err := customer.IDs(ctx, o, r.Customer)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		addrs, err := customer.Addresses(ctx, o, ids)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		for _, m := range slices.Concat(b.To, b.Cc, b.Bcc) {
			if i, _ := named([]MailboxJSON{m}, addrs, ""); i >= 0 {
				return nil, problem(http.StatusConflict, "is_customer", s.text(ctx, "Weitergeleitet wird an Dritte. „"+m.Address+"“ gehört dem Kunden selbst; antworten Sie ihm.", "One forwards to third parties. “"+m.Address+"” is the customer's own; answer instead."))
			}
		}
		p, err := s.plan(ctx, o, r, &send)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		p.role, p.name = b.Role, b.Name
		if send.Subject == "" {
			send.Subject = "Fwd: " + cmp.Or(list[0].Subject, r.Subject)
		}
		if err := s.undersign(ctx, o, &send, p.way.Channel.Kind); err != nil {
			return nil, s.fail(ctx, err)
		}
		p.quotedFrom = len(send.Text)
		send.Text = strings.TrimLeft(send.Text+s.forwarded(ctx, list, b.History), "\n")
		client := cmp.Or(b.ClientID, in.Key)
		var m conversation.Message
		err = o.Write(ctx, func(tx *db.Tx) error {
			copies, err := conversation.CopyAttachments(ctx, tx, travel, who(ctx).ID, s.Now())
			if err != nil {
				return err
			}
			m, err = s.sendPlan(ctx, tx, r, send, p, copies, client)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.message(ctx, o, m)
	})
}
