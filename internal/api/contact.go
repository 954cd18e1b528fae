package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/contact"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
)

// ContactWayJSON is a way of contact as the settings see it.
type ContactWayJSON struct {
	ID      string         `json:"id"`
	Kind    string         `json:"kind" enum:"channel,dialog,phone,callback,branch,letter,web"`
	Own     bool           `json:"own" doc:"entered by hand; the others are there by themselves"`
	Name    channel.Text   `json:"name" doc:"what customers read"`
	Usual   channel.Text   `json:"usual" doc:"what it is called unless it is given a label"`
	Label   channel.Text   `json:"label"`
	Note    channel.Text   `json:"note"`
	Ref     string         `json:"ref" doc:"of ways by hand: the number or the address"`
	URL     string         `json:"url" doc:"of ways by hand: a page"`
	Section string         `json:"section" enum:"talk,write,self"`
	Hours   *contact.Hours `json:"hours" doc:"its own hours; null = the organisation's"`
	Hidden  bool           `json:"hidden"`
	Medium  string         `json:"medium" doc:"kind of the channel"`
	Link    string         `json:"link" doc:"where it leads; empty = nowhere"`
	Words   []string       `json:"words" doc:"what starts the dialog, or calls the assistant on this channel"`
	Answer  int            `json:"answer_seconds" doc:"measured median until a person answers, at this time of day; 0 = too little is known"`
	State   contact.State  `json:"state"`
	Trouble bool           `json:"trouble" doc:"the channel does not work right now"`
}

// ContactHoursJSON are the organisation's opening hours and where its page is.
type ContactHoursJSON struct {
	Hours contact.Hours `json:"hours"`
	Set   bool          `json:"set" doc:"false: nobody has set any, so the page claims nothing"`
	State contact.State `json:"state" doc:"now"`
	Page  string        `json:"page" doc:"address of the contact page"`
	Embed string        `json:"embed" doc:"address for a frame on the company's own site"`
}

// ContactUseJSON is how often the contact page and its ways were offered and used.
type ContactUseJSON struct {
	From  string           `json:"from"`
	To    string           `json:"to"`
	Views int64            `json:"views" doc:"how often the page was shown"`
	Days  []ContactDayJSON `json:"days"`
	Ways  []WayUseJSON     `json:"ways"`
}

// ContactDayJSON is a day of the page.
type ContactDayJSON struct {
	Day   string `json:"day"`
	Views int64  `json:"views"`
}

// WayUseJSON is how often a way was offered and used.
type WayUseJSON struct {
	ID      string       `json:"id"`
	Name    channel.Text `json:"name" doc:"empty: the way is gone"`
	Offered int64        `json:"offered" doc:"it stood on the page"`
	Opened  int64        `json:"opened" doc:"its link was followed; scanned codes and dialled or written addresses are not seen"`
	Days    []WayDayJSON `json:"days"`
}

// WayDayJSON is a day of a way.
type WayDayJSON struct {
	Day     string `json:"day"`
	Offered int64  `json:"offered"`
	Opened  int64  `json:"opened"`
}

func (s *Server) contactRoutes() {
	if s.Contact == nil {
		return
	}
	s.mux.HandleFunc("GET /contact", s.serveContact)
	s.mux.HandleFunc("GET /contact/{org}", s.serveContact)
	s.mux.HandleFunc("GET /contact/go/{way}", s.serveContactWay)
	s.mux.HandleFunc("GET /contact/{org}/go/{way}", s.serveContactWay)
	s.mux.HandleFunc("GET /contact/page.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write([]byte(contact.Script())) // the client may be gone
	})

	group := s.ours()
	huma.Register(group, op("GET", "/contact/ways", "list-contact-ways", "The ways of contact, hidden ones too, as the page orders them", "contact"), func(ctx context.Context, _ *struct{}) (*page[ContactWayJSON], error) {
		items, err := s.contactWays(ctx)
		return newPage(items, ""), s.fail(ctx, err)
	})
	huma.Register(group, created(op("POST", "/contact/ways", "add-contact-way", "Enter a way of contact by hand", "contact")), func(ctx context.Context, in *struct {
		Body struct {
			Kind    string         `json:"kind" required:"true" enum:"phone,callback,branch,letter,web"`
			Label   channel.Text   `json:"label"`
			Note    channel.Text   `json:"note"`
			Ref     string         `json:"ref" maxLength:"500"`
			URL     string         `json:"url" maxLength:"2000"`
			Section string         `json:"section" enum:"talk,write,self"`
			Hours   *contact.Hours `json:"hours"`
		}
	}) (*body[ContactWayJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		b := in.Body
		w := contact.Way{ID: db.NewID(), Kind: b.Kind, Ref: b.Ref, URL: b.URL, Label: b.Label, Note: b.Note, Section: b.Section, Hours: b.Hours}
		if err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return contact.Save(ctx, tx, w, s.Now()) }); err != nil {
			return nil, s.contactFail(ctx, err)
		}
		return s.contactWay(ctx, w.ID)
	})
	huma.Register(group, op("PATCH", "/contact/ways/{id}", "change-contact-way", "Change, hide or move a way of contact", "contact"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Label   *channel.Text      `json:"label" doc:"empty: as it is usually called"`
			Note    *channel.Text      `json:"note"`
			Ref     *string            `json:"ref" maxLength:"500"`
			URL     *string            `json:"url" maxLength:"2000"`
			Hours   Opt[contact.Hours] `json:"hours" doc:"null: the organisation's"`
			Hidden  *bool              `json:"hidden"`
			Section *string            `json:"section" enum:"talk,write,self"`
			Index   *int               `json:"index" minimum:"0" doc:"place within its section, from 0 on"`
		}
	}) (*body[ContactWayJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		o := s.org(ctx)
		offers, err := s.Contact.Offers(ctx, o, "", s.lang(ctx))
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		i := slices.IndexFunc(offers, func(f contact.Offer) bool { return f.ID == in.ID })
		if i < 0 {
			return nil, s.contactFail(ctx, contact.ErrNotFound)
		}
		w, b := &offers[i].Way, in.Body
		if b.Label != nil {
			w.Label = *b.Label
		}
		if b.Note != nil {
			w.Note = *b.Note
		}
		if b.Ref != nil && offers[i].Own {
			w.Ref = *b.Ref
		}
		if b.URL != nil && offers[i].Own {
			w.URL = *b.URL
		}
		if b.Hours.Set {
			w.Hours = nil
			if !b.Hours.Null {
				w.Hours = &b.Hours.Value
			}
		}
		if b.Hidden != nil {
			w.Hidden = *b.Hidden
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			if err := contact.Save(ctx, tx, *w, s.Now()); err != nil || b.Section == nil && b.Index == nil {
				return err
			}
			section, index := w.Section, 1<<20
			if b.Section != nil {
				section = *b.Section
			}
			if b.Index != nil {
				index = *b.Index
			}
			return contact.Move(ctx, tx, offers, in.ID, section, index, s.Now())
		})
		if err != nil {
			return nil, s.contactFail(ctx, err)
		}
		return s.contactWay(ctx, in.ID)
	})
	huma.Register(group, noContent(op("DELETE", "/contact/ways/{id}", "drop-contact-way", "Remove a way that was entered by hand; make one that is there by itself as it came", "contact")), func(ctx context.Context, in *ByID) (*struct{}, error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		if _, err := s.contactWay(ctx, in.ID); err != nil {
			return nil, err
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return contact.Drop(ctx, tx, in.ID) })
		return nil, s.contactFail(ctx, err)
	})
	huma.Register(group, op("GET", "/contact/hours", "get-contact-hours", "The organisation's opening hours", "contact"), func(ctx context.Context, _ *struct{}) (*body[ContactHoursJSON], error) {
		return s.contactHours(ctx)
	})
	huma.Register(group, op("PUT", "/contact/hours", "set-contact-hours", "Set the organisation's opening hours; without any the page claims nothing", "contact"), func(ctx context.Context, in *struct{ Body contact.Hours }) (*body[ContactHoursJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		if err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return contact.SetCompanyHours(ctx, tx, in.Body, s.Now()) }); err != nil {
			return nil, s.contactFail(ctx, err)
		}
		return s.contactHours(ctx)
	})
	huma.Register(group, op("GET", "/contact/use", "get-contact-use", "How often the contact page and each of its ways were offered and used", "contact"), func(ctx context.Context, in *struct {
		From string `query:"from" format:"date" doc:"first day, YYYY-MM-DD; 28 days before to if left out"`
		To   string `query:"to" format:"date" doc:"last day; today if left out"`
	}) (*body[ContactUseJSON], error) {
		out, err := s.contactUse(ctx, in.From, in.To)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[ContactUseJSON]{out}, nil
	})
}

func (s *Server) contactFail(ctx context.Context, err error) error {
	var f *contact.FieldError
	switch {
	case errors.As(err, &f):
		return invalid("body."+f.Field, f.Text.In(s.lang(ctx)))
	case errors.Is(err, contact.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", s.text(ctx, "Das gibt es nicht (mehr).", "There is no such thing (any more)."))
	case errors.Is(err, contact.ErrTooMany):
		return problem(http.StatusConflict, "too_many", s.text(ctx, "Das sind mehr Wege, als jemand liest. Entfernen Sie zuerst einen anderen.", "These are more ways than anybody reads. Remove another one first."))
	}
	return s.fail(ctx, err)
}

func (s *Server) contactWays(ctx context.Context) ([]ContactWayJSON, error) {
	lang := s.lang(ctx)
	offers, err := s.Contact.Offers(ctx, s.org(ctx), "", lang)
	items := make([]ContactWayJSON, len(offers))
	for i, f := range offers {
		w := ContactWayJSON{ID: f.ID, Kind: f.Kind, Own: f.Own, Name: f.Name, Usual: f.Usual, Label: f.Label, Note: f.Note, URL: f.URL, Section: f.Section, Hours: f.Hours, Hidden: f.Hidden, Medium: string(f.Medium), Link: f.Link,
			Words: append([]string{}, f.Words...), Answer: int(f.Answer / time.Second), State: contact.StateAt(f.Effective, s.Now(), lang), Trouble: f.Trouble}
		if f.Own {
			w.Ref = f.Ref
		}
		items[i] = w
	}
	return items, err
}

func (s *Server) contactWay(ctx context.Context, id string) (*body[ContactWayJSON], error) {
	items, err := s.contactWays(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	for _, w := range items {
		if w.ID == id {
			return &body[ContactWayJSON]{w}, nil
		}
	}
	return nil, s.contactFail(ctx, contact.ErrNotFound)
}

func (s *Server) contactHours(ctx context.Context) (*body[ContactHoursJSON], error) {
	h, err := contact.CompanyHours(ctx, s.org(ctx))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	page := s.public(requestOf(ctx)) + contactBase(who(ctx).Org)
	return &body[ContactHoursJSON]{ContactHoursJSON{Hours: h, Set: h.Set(), State: contact.StateAt(h, s.Now(), s.lang(ctx)), Page: page, Embed: page + "?embed=1"}}, nil
}

// contactBase is the path of an organisation's page.
func contactBase(id string) string {
	if id == org.Default {
		return "/contact"
	}
	return "/contact/" + id
}

func (s *Server) contactUse(ctx context.Context, from, to string) (out ContactUseJSON, err error) {
	o := s.org(ctx)
	hours, err := contact.CompanyHours(ctx, o)
	if err != nil {
		return out, err
	}
	if to == "" {
		to = s.Now().In(hours.Location()).Format(time.DateOnly)
	}
	last, err := time.Parse(time.DateOnly, to)
	if err != nil {
		return out, invalid("query.to", s.text(ctx, "Dieses Datum gibt es nicht.", "There is no such date."))
	}
	if from == "" {
		from = last.AddDate(0, 0, -27).Format(time.DateOnly)
	}
	if _, err := time.Parse(time.DateOnly, from); err != nil {
		return out, invalid("query.from", s.text(ctx, "Dieses Datum gibt es nicht.", "There is no such date."))
	}
	list, err := s.Contact.Uses(ctx, o, from, to)
	if err != nil {
		return out, err
	}
	offers, err := s.Contact.Offers(ctx, o, "", s.lang(ctx))
	if err != nil {
		return out, err
	}
	out = ContactUseJSON{From: from, To: to, Days: []ContactDayJSON{}, Ways: []WayUseJSON{}}
	at := map[string]int{}
	add := func(id string, name channel.Text) {
		at[id] = len(out.Ways)
		out.Ways = append(out.Ways, WayUseJSON{ID: id, Name: name, Days: []WayDayJSON{}})
	}
	for _, f := range offers { // those that nobody used are what one wants to know
		add(f.ID, f.Name)
	}
	for _, u := range list {
		if u.Way == "" {
			out.Views += u.Views
			out.Days = append(out.Days, ContactDayJSON{u.Day, u.Views})
			continue
		}
		if _, ok := at[u.Way]; !ok {
			add(u.Way, channel.Text{})
		}
		w := &out.Ways[at[u.Way]]
		w.Offered += u.Offered
		w.Opened += u.Opened
		w.Days = append(w.Days, WayDayJSON{u.Day, u.Offered, u.Opened})
	}
	return out, nil
}

// contactOrg finds whose page is meant; if there is none, it has answered.
func (s *Server) contactOrg(w http.ResponseWriter, r *http.Request) (org.Org, bool) {
	id := r.PathValue("org")
	if id == "" {
		id = org.Default
	}
	if wait := s.chats.limits.take("contact "+network(s.clientIP(r)), 600, 300, s.Now()); wait > 0 {
		s.tooMany(w, r, wait)
		return org.Org{}, false
	}
	o, err := org.Get(r.Context(), s.DB.Org(id))
	switch {
	case errors.Is(err, db.ErrNoRows):
		http.NotFound(w, r)
		return o, false
	case err != nil:
		s.contactAway(w, r, err)
		return o, false
	}
	return o, true
}

func (s *Server) contactAway(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.Log.Error("the contact page failed", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	writePlain(w, http.StatusServiceUnavailable, textIn(languageOf(r), "Diese Seite ist gerade nicht zu haben. Laden Sie sie in ein paar Sekunden neu.", "This page cannot be had right now. Load it again in a few seconds."))
}

func contactLanguage(r *http.Request) string {
	if l := r.URL.Query().Get("lang"); l == "de" || l == "en" {
		return l
	}
	return languageOf(r)
}

// serveContact gives the contact page. The code of a hand-over that it is given goes into the links and nowhere else.
func (s *Server) serveContact(w http.ResponseWriter, r *http.Request) {
	o, ok := s.contactOrg(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	scope := s.DB.Org(o.ID)
	lang, code, embed := contactLanguage(r), contact.CodeOf(q.Get("code")), q.Get("embed") == "1"
	offers, err := s.Contact.Offers(r.Context(), scope, code, lang)
	if err != nil {
		s.contactAway(w, r, err)
		return
	}
	hours, err := contact.CompanyHours(r.Context(), scope)
	if err != nil {
		s.contactAway(w, r, err)
		return
	}
	v := contact.View{Company: o.Name, Language: lang, Base: contactBase(o.ID), Offers: offers, Now: s.Now(), Zone: hours.Location(), Code: code, Embed: embed}
	var shown []string
	for _, f := range offers {
		if f.Hidden {
			continue
		}
		shown = append(shown, f.ID)
		if f.Chat && f.Kind == contact.Channel && !embed && v.Widget == "" && s.Web != nil {
			v.Widget = f.Ref
		}
	}
	b, err := contact.Render(v)
	if err != nil {
		s.contactAway(w, r, err)
		return
	}
	if r.Method == http.MethodGet && !q.Has("chat") && !machine(r) {
		s.Contact.Viewed(o.ID, s.Now().In(hours.Location()).Format(time.DateOnly), shown)
	}
	ancestors := "'none'"
	if s.FrameAncestors != "" {
		ancestors = s.FrameAncestors
	}
	h := w.Header()
	if embed {
		ancestors = "*"
		h.Del("Cross-Origin-Opener-Policy") // it would cut the frame's links off
	}
	if v.Code != "" || embed {
		h.Set("X-Robots-Tag", "noindex, nofollow")
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contact.Policy(v.Widget != "", ancestors))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Language", lang)
	h.Set("Vary", "Accept-Language")
	_, _ = w.Write(b) // the client may be gone
}

// machine tells what a browser or a crawler fetched by itself: nobody saw it.
func machine(r *http.Request) bool {
	agent := strings.ToLower(r.UserAgent())
	return strings.Contains(r.Header.Get("Sec-Purpose")+r.Header.Get("Purpose"), "prefetch") || strings.Contains(agent, "bot") || strings.Contains(agent, "crawl") || strings.Contains(agent, "spider")
}

// serveContactWay counts that a way is used and leads there: only to what is offered.
func (s *Server) serveContactWay(w http.ResponseWriter, r *http.Request) {
	o, ok := s.contactOrg(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	lang, code := contactLanguage(r), contact.CodeOf(q.Get("code"))
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	offers, err := s.Contact.Offers(r.Context(), s.DB.Org(o.ID), code, lang)
	if err != nil {
		s.contactAway(w, r, err)
		return
	}
	base := contactBase(o.ID)
	for _, f := range offers {
		if f.ID != r.PathValue("way") || f.Hidden {
			continue
		}
		to := f.Link
		if f.Chat {
			to = base + "?chat=1&lang=" + lang
			if code != "" {
				to += "&code=" + code
			}
			to += "#chat"
		}
		if to == "" {
			break
		}
		if r.Method == http.MethodGet && !machine(r) {
			hours, err := contact.CompanyHours(r.Context(), s.DB.Org(o.ID))
			if err == nil { // a count is not worth keeping somebody away
				s.Contact.Opened(o.ID, s.Now().In(hours.Location()).Format(time.DateOnly), f.ID)
			}
		}
		h.Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, base+"?lang="+lang, http.StatusSeeOther) // hidden meanwhile: there are others
}
