package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
)

// AskJSON is a question that was put to a customer.
type AskJSON struct {
	ID             string          `json:"id"`
	ConversationID string          `json:"conversation_id"`
	CustomerID     string          `json:"customer_id"`
	MessageID      string          `json:"message_id"`
	Dialog         *AskDialogJSON  `json:"dialog"`
	Ask            json.RawMessage `json:"ask" doc:"the definition, as it was put"`
	Question       string          `json:"question" doc:"in the customer's language"`
	Short          string          `json:"short"`
	Options        []AskOptionJSON `json:"options"`
	State          string          `json:"state" enum:"open,answered,expired,withdrawn,handed"`
	Value          json.RawMessage `json:"value" doc:"the answer, structured; null while there is none"`
	ValueText      string          `json:"value_text" doc:"the answer in the customer's words"`
	AnsweredAt     *time.Time      `json:"answered_at"`
	AnsweredVia    string          `json:"answered_via" doc:"channel kind"`
	AnsweredBy     *AnswererJSON   `json:"answered_by"`
	AnswerMessage  string          `json:"answer_message_id"`
	Tries          int             `json:"tries" doc:"answers that were not understood"`
	Proving        bool            `json:"proving" doc:"a code went to the address that was named"`
	ExpiresAt      *time.Time      `json:"expires_at"`
	RemindAt       *time.Time      `json:"remind_at"`
	CorrectUntil   *time.Time      `json:"correctable_until"`
	CreatedBy      *NamedJSON      `json:"created_by" doc:"null: a machine"`
	CreatedAt      time.Time       `json:"created_at"`
	PageURL        string          `json:"page_url,omitempty" doc:"where it can be answered without a login; only of a single question"`
}

// AskDialogJSON names the dialog that asks.
type AskDialogJSON struct {
	Instance string `json:"instance_id"`
	Step     string `json:"step"`
}

// AskOptionJSON is one answer to choose.
type AskOptionJSON struct {
	Key   string `json:"key"`
	Label string `json:"label"`
}

// AnswererJSON is who answered.
type AnswererJSON struct {
	Kind string `json:"kind" enum:"customer,staff,default"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (s *Server) askJSON(a ask.Asked) *AskJSON {
	def, err := json.Marshal(a.Ask)
	if err != nil {
		def = []byte("{}") // our own plain types always marshal
	}
	j := &AskJSON{ID: a.ID, ConversationID: a.Conversation, CustomerID: a.Customer, MessageID: a.Message, Ask: def, Question: a.Ask.Text.Get(a.Language), Short: a.Short(), Options: []AskOptionJSON{}, State: string(a.State), Value: json.RawMessage("null"),
		ValueText: a.ValueText, AnsweredAt: moment(a.AnsweredAt), AnsweredVia: a.AnsweredVia, AnswerMessage: a.AnsweredMessage, Tries: a.Tries, Proving: a.Proving(), ExpiresAt: moment(a.ExpiresAt), CorrectUntil: moment(a.CorrectUntil), CreatedAt: a.CreatedAt}
	if a.Instance != "" {
		j.Dialog = &AskDialogJSON{a.Instance, a.Step}
	}
	keys, labels := a.Ask.Labels(a.Language, cmp.Or(a.Ask.Zone, ask.DefaultZone))
	for i, k := range keys {
		j.Options = append(j.Options, AskOptionJSON{k, labels[i]})
	}
	if a.State == ask.Answered {
		if b, err := json.Marshal(a.Value); err == nil {
			j.Value = b
		}
		j.AnsweredBy = &AnswererJSON{a.AnsweredKind, a.AnsweredBy, a.AnsweredName}
	}
	if a.DueAt.Before(a.ExpiresAt) {
		j.RemindAt = moment(a.DueAt)
	}
	if a.CreatedBy.ID != "" {
		j.CreatedBy = &NamedJSON{a.CreatedBy.ID, a.CreatedBy.Name}
	}
	return j
}

// readAsk reads a definition as programs write it, and says what is wrong with it.
func (s *Server) readAsk(ctx context.Context, raw json.RawMessage, at string) (ask.Ask, error) {
	var a ask.Ask
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, invalid(at, s.text(ctx, "Diese Frage lässt sich nicht lesen: ", "This question cannot be read: ")+err.Error())
	}
	if bad := a.Check(); len(bad) > 0 {
		p := problem(http.StatusUnprocessableEntity, "invalid", s.text(ctx, "Einige Angaben der Frage stimmen noch nicht.", "Some details of the question are not right yet."))
		for _, e := range bad {
			field, message := at, e.Error()
			if f, m, ok := strings.Cut(message, ": "); ok && !strings.Contains(f, " ") {
				field, message = at+"."+f, m
			}
			p.Errors = append(p.Errors, ProblemField{field, message})
		}
		return a, p
	}
	return a, nil
}

// RenderedJSON is how a medium shows something.
type RenderedJSON struct {
	Channel  string              `json:"channel"`
	Title    string              `json:"title"`
	Way      string              `json:"way"`
	Subject  string              `json:"subject"`
	Text     string              `json:"text"`
	HTML     string              `json:"html"`
	Choices  []ask.Choice        `json:"choices"`
	Menu     string              `json:"menu"`
	Keys     []ask.Key           `json:"keys"`
	Boxes    []ask.Choice        `json:"boxes"`
	Speech   string              `json:"speech"`
	Form     bool                `json:"form"`
	Problems []ask.RenderProblem `json:"problems"`
}

// medium gives the name and the capabilities of a kind, built or planned.
func (s *Server) medium(kind string) (channel.Medium, bool) {
	m, ok := s.AllMedia()[channel.Kind(kind)]
	return m, ok
}

func (s *Server) rendered(ctx context.Context, kind string, say ask.Say, language string) (RenderedJSON, error) {
	m, ok := s.medium(kind)
	if !ok {
		return RenderedJSON{}, invalid("body.channels", s.text(ctx, "Diese Art von Kanal gibt es nicht: ", "There is no such kind of channel: ")+kind)
	}
	r := ask.Render(say, m.Capabilities, ask.Options{Language: language, Zone: ask.DefaultZone, Code: ask.SampleCode, URL: s.public(requestOf(ctx)) + "/a/" + ask.SampleCode, Phone: ""})
	j := RenderedJSON{Channel: kind, Title: m.Title.In(s.lang(ctx)), Way: string(r.Way), Subject: r.Subject, Text: r.Text, HTML: r.HTML, Choices: r.Choices, Menu: r.Menu, Keys: r.Keys, Boxes: r.Boxes, Form: r.Form, Problems: r.Problems}
	if m.Capabilities.Spoken {
		j.Speech = ask.Speech(r)
	}
	if m.Capabilities.Paper {
		j.Text = ask.Paper(r)
	}
	if j.Choices == nil {
		j.Choices = []ask.Choice{}
	}
	if j.Keys == nil {
		j.Keys = []ask.Key{}
	}
	if j.Boxes == nil {
		j.Boxes = []ask.Choice{}
	}
	if j.Problems == nil {
		j.Problems = []ask.RenderProblem{}
	}
	return j, nil
}

func (s *Server) askRoutes() {
	huma.Register(s.api, created(op("POST", "/conversations/{id}/asks", "put-ask", "Ask the customer something; each channel shows it in its own way, and it is answered once", "asks")), func(ctx context.Context, in *struct {
		ByID
		Key  string `header:"Idempotency-Key"`
		Body struct {
			Ask       json.RawMessage `json:"ask" required:"true"`
			Text      string          `json:"text" maxLength:"10000" doc:"words before the question"`
			ChannelID string          `json:"channel_id"`
			AddressID string          `json:"address_id"`
			Language  string          `json:"language" maxLength:"35"`
			ClientID  string          `json:"client_id" maxLength:"100"`
		}
	}) (*body[*AskJSON], error) {
		o, u, b := s.org(ctx), who(ctx), in.Body
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		def, err := s.readAsk(ctx, b.Ask, "body.ask")
		if err != nil {
			return nil, err
		}
		p, err := s.plan(ctx, o, r, &SendJSON{Text: "?", ChannelID: b.ChannelID, AddressID: b.AddressID})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		c, err := customer.Get(ctx, o, r.Customer)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		language := cmp.Or(b.Language, c.Language, "de")
		say := ask.Say{Ask: &def}
		if t := strings.TrimSpace(b.Text); t != "" {
			say.Text = ask.Texts{language: {Text: t}}
		}
		var a ask.Asked
		err = o.Write(ctx, func(tx *db.Tx) (err error) {
			a, _, err = s.Asks.Say(ctx, tx, ask.Saying{Conversation: r.ID, Customer: c.ID, Say: say, Channel: p.way.Channel, Address: p.way.Address, Language: language, Author: channel.Staff, By: actor(u), ClientID: cmp.Or(b.ClientID, in.Key)})
			if err != nil {
				return err
			}
			return conversation.MarkRead(ctx, tx, r.ID, u.ID, "", s.Now())
		})
		if err != nil {
			return nil, s.askFail(ctx, err)
		}
		return &body[*AskJSON]{s.askJSON(a)}, nil
	})
	huma.Register(s.api, op("GET", "/asks", "list-asks", "Questions to customers, the newest first", "asks"), func(ctx context.Context, in *struct {
		Conversation string `query:"conversation_id"`
		Customer     string `query:"customer_id"`
		State        string `query:"state" enum:"open,answered,expired,withdrawn,handed"`
		Paging
	}) (*page[*AskJSON], error) {
		o := s.org(ctx)
		f := ask.Filter{Conversation: in.Conversation, State: ask.State(in.State)}
		if in.Conversation != "" {
			if _, err := s.see(ctx, o, in.Conversation); err != nil {
				return nil, s.fail(ctx, err)
			}
		}
		if in.Customer != "" {
			ids, err := customer.IDs(ctx, o, in.Customer)
			if err == nil {
				err = s.mayKnow(ctx, o, ids)
			}
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			f.Customers = ids
		}
		list, err := ask.Questions(ctx, o, f, in.Cursor, in.Limit+1)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		next := ""
		if len(list) > in.Limit {
			list = list[:in.Limit]
			next = list[in.Limit-1].ID
		}
		if who(ctx).Role == auth.Partner {
			ids := make([]string, len(list))
			for i, a := range list {
				ids[i] = a.Conversation
			}
			rows, err := conversation.ByIDs(ctx, o, ids, "")
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			list = slices.DeleteFunc(list, func(a ask.Asked) bool {
				return !slices.ContainsFunc(rows, func(r conversation.Row) bool { return r.ID == a.Conversation && mine(who(ctx), r) })
			})
		}
		items := make([]*AskJSON, len(list))
		for i, a := range list {
			items[i] = s.askJSON(a)
		}
		return newPage(items, next), nil
	})
	one := func(ctx context.Context, id string) (ask.Asked, error) {
		o := s.org(ctx)
		a, err := ask.Get(ctx, o, id)
		if err == nil {
			_, err = s.see(ctx, o, a.Conversation)
		}
		if err != nil {
			return a, s.askFail(ctx, err)
		}
		return a, nil
	}
	full := func(ctx context.Context, a ask.Asked) (*body[*AskJSON], error) {
		j := s.askJSON(a)
		var err error
		if j.PageURL, err = s.Asks.PageURL(ctx, s.org(ctx), a.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[*AskJSON]{j}, nil
	}
	huma.Register(s.api, op("GET", "/asks/{id}", "get-ask", "One question", "asks"), func(ctx context.Context, in *ByID) (*body[*AskJSON], error) {
		a, err := one(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return full(ctx, a)
	})
	huma.Register(s.api, op("POST", "/asks/{id}/withdraw", "withdraw-ask", "Take an open question back", "asks"), func(ctx context.Context, in *ByID) (*body[*AskJSON], error) {
		a, err := one(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		err = s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			a, err = s.Asks.Withdraw(ctx, tx, in.ID)
			return err
		})
		if err != nil {
			return nil, s.askFail(ctx, err)
		}
		return full(ctx, a)
	})
	huma.Register(s.api, op("POST", "/asks/{id}/answer", "answer-ask", "Enter what the customer told you", "asks"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Value json.RawMessage `json:"value" doc:"structured"`
			Text  string          `json:"text" maxLength:"10000" doc:"or in words, as the customer said it"`
		}
	}) (*body[*AskJSON], error) {
		a, err := one(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		var v ask.Value
		c := s.Asks.Context(a)
		switch {
		case len(in.Body.Value) > 0 && string(in.Body.Value) != "null":
			d := json.NewDecoder(bytes.NewReader(in.Body.Value))
			d.DisallowUnknownFields()
			if err := d.Decode(&v); err != nil {
				return nil, invalid("body.value", s.text(ctx, "Diese Antwort lässt sich nicht lesen: ", "This answer cannot be read: ")+err.Error())
			}
			if err := a.Ask.CheckValue(v, c); err != nil {
				return nil, invalid("body.value", err.Error())
			}
		case strings.TrimSpace(in.Body.Text) != "":
			out := ask.Resolve(a.Ask, ask.Reply{Text: in.Body.Text}, c)
			if out.Problem != "" {
				return nil, invalid("body.text", ask.ReAsk(a.Ask, out, s.lang(ctx)))
			}
			v = out.Value
		default:
			return nil, invalid("body.text", s.text(ctx, "Die Antwort fehlt.", "The answer is missing."))
		}
		err = s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			a, err = s.Asks.AnswerFor(ctx, tx, in.ID, v, actor(who(ctx)))
			return err
		})
		if err != nil {
			return nil, s.askFail(ctx, err)
		}
		return full(ctx, a)
	})
	huma.Register(s.api, op("POST", "/asks/preview", "preview-ask", "How media show a question; nothing is sent", "asks"), func(ctx context.Context, in *struct {
		Body struct {
			Ask      json.RawMessage `json:"ask" required:"true"`
			Text     string          `json:"text" maxLength:"10000"`
			Language string          `json:"language" maxLength:"35"`
			Channels []string        `json:"channels" required:"true" minItems:"1" maxItems:"40"`
		}
	}) (*page[RenderedJSON], error) {
		def, err := s.readAsk(ctx, in.Body.Ask, "body.ask")
		if err != nil {
			return nil, err
		}
		if def.Kind == ask.Slot && def.Calendar != "" && len(def.Options) == 0 {
			if def.Options, err = s.Asks.Offer(ctx, s.org(ctx), def); err != nil && !errors.Is(err, ask.ErrNoSlot) {
				return nil, s.askFail(ctx, err)
			}
		}
		language := cmp.Or(in.Body.Language, "de")
		say := ask.Say{Ask: &def}
		if t := strings.TrimSpace(in.Body.Text); t != "" {
			say.Text = ask.Texts{language: {Text: t}}
		}
		items := make([]RenderedJSON, 0, len(in.Body.Channels))
		for _, k := range in.Body.Channels {
			r, err := s.rendered(ctx, k, say, language)
			if err != nil {
				return nil, err
			}
			items = append(items, r)
		}
		return newPage(items, ""), nil
	})
	huma.Register(s.api, op("GET", "/ask-templates", "list-ask-templates", "Ready questions for the composer", "asks"), func(context.Context, *struct{}) (*page[TemplateJSON], error) {
		return newPage(askTemplates(), ""), nil
	})
	s.calendarRoutes()
}

// askFail turns errors of questions into Problems.
func (s *Server) askFail(ctx context.Context, err error) error {
	var cannot *ask.CannotError
	switch {
	case errors.Is(err, ask.ErrNotFound), errors.Is(err, ask.ErrNoCalendar):
		return problem(http.StatusNotFound, "not_found", s.text(ctx, "Das gibt es nicht (mehr).", "There is no such thing (any more)."))
	case errors.Is(err, ask.ErrNotOpen):
		return problem(http.StatusConflict, "not_open", s.text(ctx, "Diese Frage ist nicht mehr offen.", "This question is not open any more."))
	case errors.Is(err, ask.ErrNoSlot):
		return invalid("body.ask.calendar", s.text(ctx, "Dieser Kalender hat in diesen Tagen keine freie Zeit. Tragen Sie Zeiten ein, oder wählen Sie mehr Tage.", "This calendar has no free time in these days. Add times, or choose more days."))
	case errors.Is(err, ask.ErrBooked):
		return problem(http.StatusConflict, "booked", s.text(ctx, "Diese Zeit ist gebucht.", "This time is booked."))
	case errors.As(err, &cannot):
		p := problem(http.StatusUnprocessableEntity, "cannot_ask", s.text(ctx, "Dieser Kanal kann die Frage nicht stellen. Wählen Sie einen anderen Kanal oder kürzere Beschriftungen.", "This channel cannot carry the question. Choose another channel, or shorter labels."))
		for _, x := range cannot.Problems {
			at := "body.ask"
			if x.Option != "" {
				at += ".options." + x.Option
			}
			p.Errors = append(p.Errors, ProblemField{at, x.Detail})
		}
		return p
	}
	return s.fail(ctx, err)
}

// TemplateJSON is a ready question.
type TemplateJSON struct {
	Key   string          `json:"key"`
	Title ask.Texts       `json:"title"`
	Ask   json.RawMessage `json:"ask"`
}

func askTemplates() []TemplateJSON {
	t := ask.Plain
	list := []struct {
		key   string
		title ask.Texts
		ask   ask.Ask
	}{
		{"confirm", t("de", "Termin bestätigen", "en", "Confirm an appointment"), ask.Ask{Kind: ask.YesNo, Text: t("de", "Passt Ihnen dieser Termin?", "en", "Does this appointment suit you?"), Short: t("de", "Termin", "en", "Appointment"),
			Yes: t("de", "Ja, passt", "en", "Yes, it does"), No: t("de", "Nein", "en", "No"), Expires: ask.Duration(7 * 24 * time.Hour), Remind: ask.Duration(24 * time.Hour)}},
		{"slot", t("de", "Termin wählen lassen", "en", "Let them choose a time"), ask.Ask{Kind: ask.Slot, Text: t("de", "Wann passt es Ihnen?", "en", "When does it suit you?"), Short: t("de", "Terminwahl", "en", "Choice of time"), Calendar: "", Expires: ask.Duration(7 * 24 * time.Hour)}},
		{"photo", t("de", "Foto anfordern", "en", "Ask for a photo"), ask.Ask{Kind: ask.File, Text: t("de", "Bitte schicken Sie uns ein Foto.", "en", "Please send us a photo."), Short: t("de", "Foto", "en", "Photo"), Accept: []string{"image/*"}, Least: 1, Most: 10}},
		{"callback", t("de", "Rückruf vereinbaren", "en", "Arrange a call-back"), ask.Ask{Kind: ask.DateTime, Text: t("de", "Wann dürfen wir Sie anrufen?", "en", "When may we call you?"), Short: t("de", "Rückruf", "en", "Call-back"), From: "today", Until: "today+30d"}},
		{"verdict", t("de", "Bewertung erbitten", "en", "Ask for a verdict"), ask.Ask{Kind: ask.Rating, Scale: "verdict", Text: t("de", "Wie war das für Sie?", "en", "How was this for you?"), Short: t("de", "Bewertung", "en", "Verdict"), Optional: true, Expires: ask.Duration(14 * 24 * time.Hour)}},
		{"email", t("de", "E-Mail-Adresse bestätigen lassen", "en", "Have an e-mail address confirmed"), ask.Ask{Kind: ask.Email, Verify: true, Text: t("de", "Unter welcher E-Mail-Adresse erreichen wir Sie?", "en", "At which e-mail address do we reach you?"), Short: t("de", "E-Mail-Adresse", "en", "E-mail address")}},
		{"address", t("de", "Anschrift erfragen", "en", "Ask for an address"), ask.Ask{Kind: ask.Address, Text: t("de", "Wie lautet Ihre Anschrift?", "en", "What is your address?"), Short: t("de", "Anschrift", "en", "Address")}},
		{"consent", t("de", "Einwilligung einholen", "en", "Ask for consent"), ask.Ask{Kind: ask.Consent, Purpose: "call", Text: t("de", "Dürfen wir Sie wegen passender Angebote anrufen? Sie können das jederzeit widerrufen.", "en", "May we call you about offers that suit you? You can withdraw this at any time."), Short: t("de", "Einwilligung", "en", "Consent")}},
		{"choice", t("de", "Auswahl", "en", "Choice"), ask.Ask{Kind: ask.OneOf, Text: t("de", "Was ist Ihnen lieber?", "en", "What do you prefer?"), Short: t("de", "Auswahl", "en", "Choice"),
			Options: []ask.Option{{Key: "a", Label: t("de", "Erste Möglichkeit", "en", "First option")}, {Key: "b", Label: t("de", "Zweite Möglichkeit", "en", "Second option")}}}},
	}
	out := make([]TemplateJSON, len(list))
	for i, x := range list {
		b, err := json.Marshal(x.ask)
		if err != nil {
			panic(fmt.Sprintf("api: %v", err)) // our own plain types always marshal
		}
		out[i] = TemplateJSON{x.key, x.title, b}
	}
	return out
}

// ours is the part of the API that partners have no business with.
func (s *Server) ours() huma.API {
	g := huma.NewGroup(s.api)
	g.UseMiddleware(func(c huma.Context, next func(huma.Context)) {
		if who(c.Context()).Role == auth.Partner {
			_, w := humago.Unwrap(c)
			writeProblem(w, s.forbidden(c.Context()))
			return
		}
		next(c)
	})
	return g
}
