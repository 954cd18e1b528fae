package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/staff"
)

// ViewJSON is a named filter.
type ViewJSON struct {
	ID     string          `json:"id"`
	Name   string          `json:"name"`
	Query  json.RawMessage `json:"query" doc:"query parameters of GET /conversations, as an object"`
	Shared bool            `json:"shared"`
	Mine   bool            `json:"mine"`
	Pos    int64           `json:"pos"`
}

// TextBlockJSON is a text that staff often write.
type TextBlockJSON struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Shortcut  string    `json:"shortcut"`
	Text      string    `json:"text"`
	UnitID    string    `json:"unit_id"`
	Personal  bool      `json:"personal" doc:"mine alone"`
	UpdatedAt time.Time `json:"updated_at"`
}

// UnitJSON is a department, branch or partner.
type UnitJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Signature string `json:"signature" doc:"under mails of staff who have none of their own"`
}

// TagJSON is a tag in use.
type TagJSON struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// BulkChangeJSON is one conversation and what shall change.
type BulkChangeJSON struct {
	ID     string     `json:"id"`
	Change ChangeJSON `json:"change"`
}

// BulkJSON is what became of a change to many conversations.
type BulkJSON struct {
	Changed []BulkChangedJSON `json:"changed"`
	Failed  []BulkFailedJSON  `json:"failed"`
}

// BulkChangedJSON is one that was changed, and the change that takes it back.
type BulkChangedJSON struct {
	ID   string     `json:"id"`
	Undo ChangeJSON `json:"undo"`
}

// BulkFailedJSON is one that was not.
type BulkFailedJSON struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// undo is the change that takes a change back.
func undo(was conversation.Row, ch ChangeJSON) ChangeJSON {
	var u ChangeJSON
	if ch.Status != nil || ch.SnoozedUntil.Set {
		st := was.Status
		u.Status = &st
		if was.Status == conversation.Snoozed {
			u.SnoozedUntil = Opt[time.Time]{Set: true, Value: was.SnoozedUntil}
		}
	}
	if ch.AssigneeID.Set {
		u.AssigneeID = Opt[string]{Set: true, Null: was.Assignee == "", Value: was.Assignee}
	}
	if ch.UnitID.Set {
		u.UnitID = Opt[string]{Set: true, Null: was.Unit == "", Value: was.Unit}
	}
	if ch.Subject != nil {
		v := was.Subject
		u.Subject = &v
	}
	if ch.Tags != nil || len(ch.TagsAdd)+len(ch.TagsRemove) > 0 {
		v := append([]string{}, was.Tags...)
		u.Tags = &v
	}
	return u
}

// looking is who of staff has a conversation open, on this node; every node hears of it through the live stream.
type looking struct {
	mu sync.Mutex
	at map[[3]string]here // org, conversation, staff
}

type here struct {
	Name, State string
	Until       time.Time
}

// lookingFor is how long somebody counts as present after they last said so.
const lookingFor = 45 * time.Second

func (l *looking) set(org, conversation, staff string, h here) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[[3]string]here{}
	}
	if len(l.at) > 10_000 {
		for k, v := range l.at {
			if v.Until.Before(h.Until.Add(-lookingFor)) {
				delete(l.at, k)
			}
		}
	}
	key := [3]string{org, conversation, staff}
	if h.State == "left" {
		delete(l.at, key)
		return
	}
	l.at[key] = h
}

func (l *looking) in(org, conversation string, now time.Time) map[string]here {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]here{}
	for k, v := range l.at {
		if k[0] == org && k[1] == conversation && v.Until.After(now) {
			out[k[2]] = v
		}
	}
	return out
}

// PresenceJSON is a colleague in the same conversation.
type PresenceJSON struct {
	Staff NamedJSON `json:"staff"`
	State string    `json:"state" enum:"viewing,writing,left"`
}

// presenceFrame tells colleagues who is in a conversation; it is not stored.
type presenceFrame struct {
	Kind         string    `json:"kind"`
	Conversation string    `json:"conversation_id"`
	Staff        NamedJSON `json:"staff"`
	State        string    `json:"state"`
}

func (s *Server) workplaceRoutes() {
	// -- views
	viewJSON := func(ctx context.Context, v staff.View) ViewJSON {
		return ViewJSON{v.ID, v.Name, v.Query, v.Shared, v.Owner == who(ctx).ID, v.Pos}
	}
	type viewBody struct {
		Name   *string         `json:"name" minLength:"1" maxLength:"100"`
		Query  json.RawMessage `json:"query"`
		Shared *bool           `json:"shared"`
		Pos    *int64          `json:"pos"`
	}
	takeView := func(ctx context.Context, v *staff.View, b viewBody) error {
		if b.Name != nil {
			v.Name = strings.TrimSpace(*b.Name)
		}
		if b.Query != nil {
			var m map[string]any
			if json.Unmarshal(b.Query, &m) != nil || m == nil {
				return invalid("body.query", s.text(ctx, "query muss ein Objekt sein.", "query must be an object."))
			}
			v.Query = b.Query
		}
		if b.Shared != nil {
			v.Shared = *b.Shared
		}
		if b.Pos != nil {
			v.Pos = *b.Pos
		}
		if v.Name == "" {
			return invalid("body.name", s.text(ctx, "Geben Sie der Ansicht einen Namen.", "Give the view a name."))
		}
		if v.Query == nil {
			v.Query = json.RawMessage(`{}`)
		}
		return nil
	}
	huma.Register(s.api, op("GET", "/views", "list-views", "Saved views: mine and shared ones", "desk"), func(ctx context.Context, _ *struct{}) (*page[ViewJSON], error) {
		list, err := staff.Views(ctx, s.org(ctx), who(ctx).ID)
		var items []ViewJSON
		for _, v := range list {
			items = append(items, viewJSON(ctx, v))
		}
		return newPage(items, ""), s.fail(ctx, err)
	})
	huma.Register(s.api, created(op("POST", "/views", "save-view", "Save a view", "desk")), func(ctx context.Context, in *struct{ Body viewBody }) (*body[ViewJSON], error) {
		v := staff.View{Owner: who(ctx).ID}
		if err := takeView(ctx, &v, in.Body); err != nil {
			return nil, s.fail(ctx, err)
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			v, err = staff.SaveView(ctx, tx, v, s.Now())
			return err
		})
		return &body[ViewJSON]{viewJSON(ctx, v)}, s.fail(ctx, err)
	})
	// myView gives a view that the user may change: their own, or a shared one for who manages.
	myView := func(ctx context.Context, id string) (staff.View, error) {
		v, err := staff.ViewByID(ctx, s.org(ctx), id)
		if err == nil && v.Owner != who(ctx).ID {
			switch {
			case !v.Shared:
				err = staff.ErrNotFound
			case !who(ctx).CanManage():
				err = staff.ErrNotYours
			}
		}
		return v, err
	}
	huma.Register(s.api, op("PATCH", "/views/{id}", "change-view", "Rename, share, order or change a view", "desk"), func(ctx context.Context, in *struct {
		ByID
		Body viewBody
	}) (*body[ViewJSON], error) {
		v, err := myView(ctx, in.ID)
		if err == nil {
			err = takeView(ctx, &v, in.Body)
		}
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		err = s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			v, err = staff.SaveView(ctx, tx, v, s.Now())
			return err
		})
		return &body[ViewJSON]{viewJSON(ctx, v)}, s.fail(ctx, err)
	})
	huma.Register(s.api, noContent(op("DELETE", "/views/{id}", "drop-view", "Remove a view", "desk")), func(ctx context.Context, in *ByID) (*struct{}, error) {
		if _, err := myView(ctx, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		return nil, s.fail(ctx, s.org(ctx).Write(ctx, func(tx *db.Tx) error { return staff.DropView(ctx, tx, in.ID) }))
	})

	// -- text blocks
	blockJSON := func(b staff.TextBlock) TextBlockJSON {
		return TextBlockJSON{b.ID, b.Name, b.Shortcut, b.Text, b.Unit, b.Owner != "", b.UpdatedAt}
	}
	type blockBody struct {
		Name     *string `json:"name" minLength:"1" maxLength:"100"`
		Shortcut *string `json:"shortcut" maxLength:"40"`
		Text     *string `json:"text" maxLength:"20000"`
		UnitID   *string `json:"unit_id"`
		Personal *bool   `json:"personal"`
	}
	saveBlock := func(ctx context.Context, b staff.TextBlock, in blockBody) (*body[TextBlockJSON], error) {
		for _, f := range []struct{ dst, v *string }{{&b.Name, in.Name}, {&b.Shortcut, in.Shortcut}, {&b.Text, in.Text}, {&b.Unit, in.UnitID}} {
			if f.v != nil {
				*f.dst = strings.TrimSpace(*f.v)
			}
		}
		if in.Personal != nil {
			b.Owner = ""
			if *in.Personal {
				b.Owner = who(ctx).ID
			}
		}
		if b.Owner == "" && !who(ctx).CanManage() {
			return nil, problem(http.StatusForbidden, "forbidden", s.text(ctx, "Bausteine für alle ändert, wer verwaltet. Speichern Sie ihn als persönlichen.", "Blocks for everybody are changed by managers. Save it as a personal one."))
		}
		if b.Name == "" || strings.TrimSpace(b.Text) == "" {
			return nil, invalid("body.text", s.text(ctx, "Ein Textbaustein braucht einen Namen und einen Text.", "A text block needs a name and a text."))
		}
		if _, err := org.UnitByID(ctx, s.org(ctx), b.Unit); err != nil {
			return nil, s.fail(ctx, err)
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			b, err = staff.SaveTextBlock(ctx, tx, b, s.Now())
			return err
		})
		var unknown staff.UnknownVariable
		if errors.As(err, &unknown) {
			return nil, invalid("body.text", s.text(ctx, "Die Variable {{"+unknown.Name+"}} gibt es nicht. Möglich sind: ", "There is no variable {{"+unknown.Name+"}}. Possible are: ")+strings.Join(staff.Variables(), ", "))
		}
		return &body[TextBlockJSON]{blockJSON(b)}, s.fail(ctx, err)
	}
	// myBlock gives a block that the user can use.
	myBlock := func(ctx context.Context, id string) (staff.TextBlock, error) {
		b, err := staff.TextBlockByID(ctx, s.org(ctx), id)
		if err == nil && b.Owner != "" && b.Owner != who(ctx).ID {
			err = staff.ErrNotFound
		}
		return b, err
	}
	huma.Register(s.api, op("GET", "/text-blocks", "list-text-blocks", "Text blocks that I can use", "desk"), func(ctx context.Context, _ *struct{}) (*page[TextBlockJSON], error) {
		list, err := staff.TextBlocks(ctx, s.org(ctx), who(ctx).ID, who(ctx).Unit)
		var items []TextBlockJSON
		for _, b := range list {
			items = append(items, blockJSON(b))
		}
		return newPage(items, ""), s.fail(ctx, err)
	})
	huma.Register(s.api, created(op("POST", "/text-blocks", "save-text-block", "Add a text block", "desk")), func(ctx context.Context, in *struct{ Body blockBody }) (*body[TextBlockJSON], error) {
		return saveBlock(ctx, staff.TextBlock{}, in.Body)
	})
	huma.Register(s.api, op("PATCH", "/text-blocks/{id}", "change-text-block", "Change a text block", "desk"), func(ctx context.Context, in *struct {
		ByID
		Body blockBody
	}) (*body[TextBlockJSON], error) {
		b, err := myBlock(ctx, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if b.Owner == "" && !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		return saveBlock(ctx, b, in.Body)
	})
	huma.Register(s.api, noContent(op("DELETE", "/text-blocks/{id}", "drop-text-block", "Remove a text block", "desk")), func(ctx context.Context, in *ByID) (*struct{}, error) {
		b, err := myBlock(ctx, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if b.Owner == "" && !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		return nil, s.fail(ctx, s.org(ctx).Write(ctx, func(tx *db.Tx) error { return staff.DropTextBlock(ctx, tx, in.ID) }))
	})
	huma.Register(s.api, op("POST", "/text-blocks/{id}/render", "fill-text-block", "A text block with its variables filled for a conversation", "desk"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			ConversationID string `json:"conversation_id"`
			CustomerID     string `json:"customer_id" doc:"where there is no conversation yet"`
		}
	}) (*body[struct {
		Text    string   `json:"text"`
		Missing []string `json:"missing" doc:"variables without a value; they stand in the text as they are"`
	}], error) {
		b, err := myBlock(ctx, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		values, err := s.values(ctx, in.Body.ConversationID, in.Body.CustomerID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &body[struct {
			Text    string   `json:"text"`
			Missing []string `json:"missing" doc:"variables without a value; they stand in the text as they are"`
		}]{}
		if out.Body.Text, out.Body.Missing = staff.Fill(b.Text, values); out.Body.Missing == nil {
			out.Body.Missing = []string{}
		}
		return out, nil
	})

	huma.Register(s.api, op("PATCH", "/org", "change-org", "The organisation's name, as customers read it", "staff"), func(ctx context.Context, in *struct {
		Body struct {
			Name string `json:"name" required:"true" minLength:"1" maxLength:"200"`
		}
	}) (*body[NamedJSON], error) {
		if who(ctx).Role != auth.Owner {
			return nil, s.forbidden(ctx)
		}
		name := customer.CleanName(in.Body.Name)
		if name == "" {
			return nil, invalid("body.name", s.text(ctx, "Der Name ist leer.", "The name is empty."))
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return org.Rename(ctx, tx, name) })
		return &body[NamedJSON]{NamedJSON{who(ctx).Org, name}}, s.fail(ctx, err)
	})

	// -- units
	huma.Register(s.api, op("GET", "/units", "list-units", "Departments, branches and partners", "staff"), func(ctx context.Context, _ *struct{}) (*page[UnitJSON], error) {
		list, err := org.Units(ctx, s.org(ctx))
		var items []UnitJSON
		for _, u := range list {
			items = append(items, UnitJSON{u.ID, u.Name, u.Signature})
		}
		return newPage(items, ""), s.fail(ctx, err)
	})
	type unitBody struct {
		Name      *string `json:"name" minLength:"1" maxLength:"200"`
		Signature *string `json:"signature" maxLength:"2000"`
	}
	saveUnit := func(ctx context.Context, u org.Unit, in unitBody) (*body[UnitJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		if in.Name != nil {
			u.Name = strings.TrimSpace(*in.Name)
		}
		if in.Signature != nil {
			u.Signature = strings.TrimRight(*in.Signature, " \n")
		}
		if u.Name == "" {
			return nil, invalid("body.name", s.text(ctx, "Geben Sie der Abteilung einen Namen.", "Give the unit a name."))
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			u, err = org.SaveUnit(ctx, tx, u, s.Now())
			return err
		})
		return &body[UnitJSON]{UnitJSON{u.ID, u.Name, u.Signature}}, s.fail(ctx, err)
	}
	huma.Register(s.api, created(op("POST", "/units", "add-unit", "Add a unit", "staff")), func(ctx context.Context, in *struct{ Body unitBody }) (*body[UnitJSON], error) {
		return saveUnit(ctx, org.Unit{}, in.Body)
	})
	huma.Register(s.api, op("PATCH", "/units/{id}", "change-unit", "Change a unit", "staff"), func(ctx context.Context, in *struct {
		ByID
		Body unitBody
	}) (*body[UnitJSON], error) {
		u, err := org.UnitByID(ctx, s.org(ctx), in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return saveUnit(ctx, u, in.Body)
	})
	huma.Register(s.api, noContent(op("DELETE", "/units/{id}", "drop-unit", "Remove a unit that nobody belongs to", "staff")), func(ctx context.Context, in *ByID) (*struct{}, error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			users, err := auth.Users(ctx, tx)
			if err != nil {
				return err
			}
			for _, u := range users {
				if u.Unit == in.ID {
					return problem(http.StatusConflict, "unit_in_use", s.text(ctx, u.Name+" gehört noch zu dieser Abteilung.", u.Name+" still belongs to this unit."))
				}
			}
			if used, err := conversation.UnitInUse(ctx, tx, in.ID); err != nil || used {
				if err == nil {
					err = problem(http.StatusConflict, "unit_in_use", s.text(ctx, "Gespräche gehören noch zu dieser Abteilung.", "Conversations still belong to this unit."))
				}
				return err
			}
			return org.DropUnit(ctx, tx, in.ID)
		})
		return nil, s.fail(ctx, err)
	})

	// -- tags, many at once
	huma.Register(s.api, op("GET", "/tags", "list-tags", "Tags in use, the most used first", "conversations"), func(ctx context.Context, _ *struct{}) (*page[TagJSON], error) {
		if who(ctx).Role == auth.Partner { // a tag may name what is not theirs
			return newPage([]TagJSON{}, ""), nil
		}
		list, err := conversation.Tags(ctx, s.org(ctx))
		var items []TagJSON
		for _, t := range list {
			items = append(items, TagJSON{t.Name, t.Count})
		}
		return newPage(items, ""), s.fail(ctx, err)
	})
	huma.Register(s.api, op("POST", "/conversations/bulk", "change-conversations", "Change many conversations; each comes back with what takes it back", "conversations"), func(ctx context.Context, in *struct {
		Body struct {
			Items []BulkChangeJSON `json:"items" required:"true" minItems:"1" maxItems:"500"`
		}
	}) (*body[BulkJSON], error) {
		out := &body[BulkJSON]{BulkJSON{Changed: []BulkChangedJSON{}, Failed: []BulkFailedJSON{}}}
		o := s.org(ctx)
		fail := func(id string, err error) {
			var p *Problem
			if errors.As(s.fail(ctx, err), &p) {
				out.Body.Failed = append(out.Body.Failed, BulkFailedJSON{id, p.Detail})
			}
		}
		err := o.Write(ctx, func(tx *db.Tx) error {
			out.Body = BulkJSON{Changed: []BulkChangedJSON{}, Failed: []BulkFailedJSON{}} // a write that is tried again begins anew
			for _, it := range in.Body.Items {
				r, err := s.see(ctx, tx, it.ID)
				if err != nil {
					fail(it.ID, err)
					continue
				}
				ch, err := s.change(ctx, tx, it.Change)
				if err != nil {
					fail(it.ID, err)
					continue
				}
				err = tx.Savepoint(ctx, func() error {
					_, err := conversation.Update(ctx, tx, it.ID, ch, actor(who(ctx)), s.Now())
					return err
				})
				if errors.Is(err, db.ErrUnavailable) {
					return err
				}
				if err != nil {
					fail(it.ID, err)
					continue
				}
				out.Body.Changed = append(out.Body.Changed, BulkChangedJSON{it.ID, undo(r, it.Change)})
			}
			return nil
		})
		return out, s.fail(ctx, err)
	})

	// -- presence
	huma.Register(s.api, noContent(op("POST", "/conversations/{id}/presence", "be-present", "I have this conversation open; to be said every 20 s", "desk")), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			State string `json:"state" required:"true" enum:"viewing,writing,left"`
		}
	}) (*struct{}, error) {
		if _, err := s.see(ctx, s.org(ctx), in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		u := who(ctx)
		s.looking.set(u.Org, in.ID, u.ID, here{u.Name, in.Body.State, s.Now().Add(lookingFor)})
		if s.hub != nil {
			s.hub.Now(u.Org, presenceFrame{"presence", in.ID, NamedJSON{u.ID, u.Name}, in.Body.State})
		}
		return nil, nil
	})
	huma.Register(s.api, op("GET", "/conversations/{id}/presence", "list-present", "Colleagues who have this conversation open", "desk"), func(ctx context.Context, in *ByID) (*page[PresenceJSON], error) {
		if _, err := s.see(ctx, s.org(ctx), in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		var items []PresenceJSON
		for id, h := range s.looking.in(who(ctx).Org, in.ID, s.Now()) {
			if id != who(ctx).ID {
				items = append(items, PresenceJSON{NamedJSON{id, h.Name}, h.State})
			}
		}
		return newPage(items, ""), nil
	})

	// -- preferences
	type prefs = body[map[string]any]
	huma.Register(s.api, op("GET", "/me/preferences", "get-preferences", "What I have set for myself", "desk"), func(ctx context.Context, _ *struct{}) (*prefs, error) {
		b, err := staff.Preferences(ctx, s.org(ctx), who(ctx).ID)
		out := &prefs{map[string]any{}}
		if err == nil {
			err = json.NewDecoder(bytes.NewReader(b)).Decode(&out.Body)
		}
		return out, s.fail(ctx, err)
	})
	huma.Register(s.api, op("PUT", "/me/preferences", "put-preferences", "Set something for myself: an object of at most 16 KB", "desk"), func(ctx context.Context, in *struct{ Body map[string]any }) (*prefs, error) {
		b, err := json.Marshal(in.Body)
		if err == nil {
			err = s.org(ctx).Write(ctx, func(tx *db.Tx) error { return staff.SetPreferences(ctx, tx, who(ctx).ID, b) })
		}
		return &prefs{in.Body}, s.fail(ctx, err)
	})
}

// values are what stands for the variables of a text block.
func (s *Server) values(ctx context.Context, conversationID, customerID string) (map[string]string, error) {
	o, u := s.org(ctx), who(ctx)
	v := map[string]string{"advisor.name": u.Name, "advisor.email": u.Email}
	if s.lang(ctx) == "de" {
		v["today"] = s.Now().Local().Format("02.01.2006")
	} else {
		v["today"] = s.Now().Local().Format("2 January 2006")
	}
	house, err := org.Get(ctx, o)
	if err != nil {
		return nil, err
	}
	v["org.name"] = house.Name
	unit, err := org.UnitByID(ctx, o, u.Unit)
	if err != nil && !errors.Is(err, org.ErrNoUnit) {
		return nil, err
	}
	v["unit.name"] = unit.Name
	if conversationID != "" {
		r, err := s.see(ctx, o, conversationID)
		if err != nil {
			return nil, err
		}
		customerID, v["conversation.subject"] = r.Customer, r.Subject
		numbers, err := conversation.NumbersOf(ctx, o, r.ID)
		if err != nil {
			return nil, err
		}
		if len(numbers) > 0 {
			v["number"] = numbers[0]
		}
	}
	if customerID == "" {
		return v, nil
	}
	c, err := customer.Get(ctx, o, customerID)
	if err != nil {
		return nil, err
	}
	if conversationID == "" { // a partner knows customers by conversations
		ids, err := customer.IDs(ctx, o, c.ID)
		if err != nil {
			return nil, err
		}
		if err := s.mayKnow(ctx, o, ids); err != nil {
			return nil, err
		}
	}
	name, first, last := customer.SplitName(c.Name)
	v["customer.name"] = name
	if first != "" {
		v["customer.first_name"], v["customer.last_name"] = first, last
	}
	if !strings.Contains(name, "@") { // whether somebody is a Frau or a Herr is not guessed from a first name
		hello := "Guten Tag "
		if strings.HasPrefix(strings.ToLower(c.Language), "en") || (c.Language == "" && s.lang(ctx) == "en") {
			hello = "Dear "
		}
		v["customer.salutation"] = hello + name
	}
	return v, nil
}
