package api

import (
	"context"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
)

// StaffJSON is a member of staff as colleagues see it.
type StaffJSON struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Email       string `json:"email"`
	Role        string `json:"role" enum:"owner,manager,advisor,partner"`
	Enabled     bool   `json:"enabled"`
	TOTPEnabled bool   `json:"totp_enabled"`
	UnitID      string `json:"unit_id"`
	Presence    string `json:"presence" enum:"here,away"`
	InviteURL   string `json:"invite_url,omitempty" doc:"one-time link, 7 days, to be handed over"`
}

// presence counts the live connections of staff on this node.
type presence struct {
	mu sync.Mutex
	n  map[string]int
}

func (p *presence) add(id string, d int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == nil {
		p.n = map[string]int{}
	}
	if p.n[id] += d; p.n[id] <= 0 {
		delete(p.n, id)
	}
}

func (p *presence) of(id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[id] > 0 {
		return "here"
	}
	return "away"
}

func (s *Server) staffJSON(u auth.User) StaffJSON {
	return StaffJSON{ID: u.ID, Name: u.Name, Email: u.Email, Role: u.Role, Enabled: u.Enabled, TOTPEnabled: u.TOTPEnabled, UnitID: u.Unit, Presence: s.online.of(u.ID)}
}

func (s *Server) staffRoutes() {
	huma.Register(s.api, op("GET", "/staff", "list-staff", "Members of staff", "staff"), func(ctx context.Context, _ *struct{}) (*page[StaffJSON], error) {
		list, err := auth.Users(ctx, s.org(ctx))
		var items []StaffJSON
		for _, u := range list {
			items = append(items, s.staffJSON(u))
		}
		return newPage(items, ""), s.fail(ctx, err)
	})
	huma.Register(s.api, created(op("POST", "/staff", "invite-staff", "Add a member of staff; hand over the link", "staff")), func(ctx context.Context, in *struct {
		Body struct {
			Name     string `json:"name" required:"true" minLength:"1" maxLength:"200"`
			Email    string `json:"email" required:"true"`
			Role     string `json:"role" enum:"owner,manager,advisor,partner" default:"advisor"`
			Language string `json:"language" enum:"de,en" default:"de"`
		}
	}) (*body[StaffJSON], error) {
		me := who(ctx)
		if !me.CanManage() || (in.Body.Role == auth.Owner && me.Role != auth.Owner) {
			return nil, s.forbidden(ctx)
		}
		if _, err := auth.NormaliseEmail(in.Body.Email); err != nil {
			return nil, invalid("body.email", s.text(ctx, "Das ist keine E-Mail-Adresse.", "This is not an e-mail address."))
		}
		var u auth.User
		var token string
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			if u, err = s.Auth.Create(ctx, tx, auth.NewUser{Email: in.Body.Email, Name: in.Body.Name, Role: in.Body.Role, Language: in.Body.Language}); err != nil {
				return err
			}
			token, err = s.Auth.Invite(ctx, tx, u.ID)
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		j := s.staffJSON(u)
		j.InviteURL = s.public(requestOf(ctx)) + "/invite?token=" + token
		return &body[StaffJSON]{j}, nil
	})
	huma.Register(s.api, op("PATCH", "/staff/{id}", "change-staff", "Change a member of staff", "staff"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Name          *string `json:"name" maxLength:"200"`
			Role          *string `json:"role" enum:"owner,manager,advisor,partner"`
			Enabled       *bool   `json:"enabled"`
			UnitID        *string `json:"unit_id"`
			ResetPassword bool    `json:"reset_password"`
		}
	}) (*body[StaffJSON], error) {
		me := who(ctx)
		if !me.CanManage() {
			return nil, s.forbidden(ctx)
		}
		if v := in.Body.UnitID; v != nil {
			if _, err := org.UnitByID(ctx, s.org(ctx), *v); err != nil {
				return nil, invalid("body.unit_id", s.text(ctx, "Diese Abteilung gibt es nicht (mehr).", "There is no such unit (any more)."))
			}
		}
		var u auth.User
		var token string
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			if u, err = auth.UserByID(ctx, tx, in.ID); err != nil {
				return err
			}
			// A manager neither makes nor changes owners.
			if me.Role != auth.Owner && (u.Role == auth.Owner || (in.Body.Role != nil && *in.Body.Role == auth.Owner)) {
				return s.forbidden(ctx)
			}
			if u, err = s.Auth.Update(ctx, tx, in.ID, auth.Change{Name: in.Body.Name, Role: in.Body.Role, Enabled: in.Body.Enabled, Unit: in.Body.UnitID}); err != nil {
				return err
			}
			if in.Body.ResetPassword {
				token, err = s.Auth.Invite(ctx, tx, u.ID)
			}
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		j := s.staffJSON(u)
		if token != "" {
			j.InviteURL = s.public(requestOf(ctx)) + "/invite?token=" + token
		}
		return &body[StaffJSON]{j}, nil
	})
}
