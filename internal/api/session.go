package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"image/png"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/pquerna/otp"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
)

const sessionCookie = "rufweite_session"

// UserJSON is a member of staff.
type UserJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Email     string `json:"email"`
	Role      string `json:"role" enum:"owner,manager,advisor,partner"`
	Language  string `json:"language"`
	Signature string `json:"signature"`
	UnitID    string `json:"unit_id"`
}

// NamedJSON is a thing with a name.
type NamedJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// SessionJSON says who is signed in.
type SessionJSON struct {
	User        UserJSON  `json:"user"`
	Org         NamedJSON `json:"org"`
	TOTPEnabled bool      `json:"totp_enabled"`
	PublicURL   string    `json:"public_url"`
	Signature   string    `json:"signature_effective" doc:"what stands under my mails: my signature, else my unit's"`
}

type sessionOut struct {
	SetCookie string `header:"Set-Cookie"`
	Body      SessionJSON
}

type sessionBody struct{ Body SessionJSON }

func userJSON(u auth.User) UserJSON {
	return UserJSON{u.ID, u.Name, u.Email, u.Role, u.Language, u.Signature, u.Unit}
}

func (s *Server) session(ctx context.Context, u auth.User) (SessionJSON, error) {
	o, err := org.Get(ctx, s.DB.Org(u.Org))
	if err != nil {
		return SessionJSON{}, err
	}
	sig := u.Signature
	if sig == "" {
		unit, err := org.UnitByID(ctx, s.DB.Org(u.Org), u.Unit)
		if err != nil && !errors.Is(err, org.ErrNoUnit) {
			return SessionJSON{}, err
		}
		sig = unit.Signature
	}
	return SessionJSON{User: userJSON(u), Org: NamedJSON{o.ID, o.Name}, TOTPEnabled: u.TOTPEnabled, PublicURL: s.PublicURL, Signature: sig}, nil
}

func (s *Server) cookie(ctx context.Context, secret string, life time.Duration) string {
	c := http.Cookie{Name: sessionCookie, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if r := requestOf(ctx); r != nil {
		c.Secure = s.secure(r)
	}
	return c.String()
}

func (s *Server) signedIn(ctx context.Context, u auth.User, secret string) (*sessionOut, error) {
	body, err := s.session(ctx, u)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &sessionOut{SetCookie: s.cookie(ctx, secret, 14*24*time.Hour), Body: body}, nil
}

func op(method, path, id, summary string, tags ...string) huma.Operation {
	o := huma.Operation{Method: method, Path: "/api/v1" + path, OperationID: id, Summary: summary, Tags: tags, MaxBodyBytes: MaxBody}
	return o
}

func created(o huma.Operation) huma.Operation { o.DefaultStatus = http.StatusCreated; return o }

func noContent(o huma.Operation) huma.Operation { o.DefaultStatus = http.StatusNoContent; return o }

func anyone(o huma.Operation) huma.Operation { o.Security = []map[string][]string{}; return o }

func (s *Server) sessionRoutes() {
	huma.Register(s.api, anyone(op("GET", "/setup", "check-setup", "Is the first-start link valid?", "session")), func(ctx context.Context, in *struct {
		Token string `query:"token"`
	}) (*struct {
		Body struct {
			Valid bool `json:"valid"`
		}
	}, error) {
		if err := s.Auth.CheckSetup(ctx, in.Token); err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &struct {
			Body struct {
				Valid bool `json:"valid"`
			}
		}{}
		out.Body.Valid = true
		return out, nil
	})
	huma.Register(s.api, anyone(op("POST", "/setup", "setup", "Create the owner on first start", "session")), func(ctx context.Context, in *struct {
		Body struct {
			Token    string `json:"token" required:"true"`
			OrgName  string `json:"org_name"`
			Name     string `json:"name" required:"true" minLength:"1"`
			Email    string `json:"email" required:"true"`
			Password string `json:"password" required:"true"`
			Language string `json:"language"`
		}
	}) (*sessionOut, error) {
		if err := s.Auth.CheckSetup(ctx, in.Body.Token); err != nil {
			return nil, s.fail(ctx, err)
		}
		if _, err := auth.NormaliseEmail(in.Body.Email); err != nil {
			return nil, invalid("body.email", s.text(ctx, "Das ist keine E-Mail-Adresse.", "This is not an e-mail address."))
		}
		var u auth.User
		err := s.DB.Org(org.Default).Write(ctx, func(tx *db.Tx) error {
			if err := tx.Lock(ctx, "setup"); err != nil {
				return err
			}
			var n int // only one of two who press at once
			if err := tx.Row(ctx, `SELECT COUNT(*) FROM staff WHERE org = $1 AND password <> ''`).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return auth.ErrInvite
			}
			if in.Body.OrgName != "" {
				if err := org.Rename(ctx, tx, in.Body.OrgName); err != nil {
					return err
				}
			}
			var err error
			u, err = s.Auth.Create(ctx, tx, auth.NewUser{Email: in.Body.Email, Name: in.Body.Name, Role: auth.Owner, Language: in.Body.Language, Password: in.Body.Password})
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		secret, err := s.Auth.OpenSession(ctx, u)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.signedIn(ctx, u, secret)
	})
	huma.Register(s.api, op("GET", "/session", "get-session", "Who is signed in", "session"), func(ctx context.Context, _ *struct{}) (*sessionBody, error) {
		body, err := s.session(ctx, who(ctx))
		return &sessionBody{body}, s.fail(ctx, err)
	})
	huma.Register(s.api, anyone(op("POST", "/session", "sign-in", "Sign in", "session")), func(ctx context.Context, in *struct {
		Body struct {
			Email    string `json:"email" required:"true"`
			Password string `json:"password" required:"true"`
			TOTP     string `json:"totp"`
		}
	}) (*sessionOut, error) {
		u, secret, err := s.Auth.SignIn(ctx, in.Body.Email, in.Body.Password, in.Body.TOTP, s.clientIP(requestOf(ctx)))
		switch {
		case errors.Is(err, auth.ErrTooMany):
			return nil, huma.ErrorWithHeaders(problem(http.StatusTooManyRequests, "too_many_attempts", s.text(ctx, "Zu viele Versuche. Warten Sie eine Viertelstunde.", "Too many attempts. Wait a quarter of an hour.")), http.Header{"Retry-After": {"900"}})
		case errors.Is(err, auth.ErrTOTPNeeded):
			return nil, problem(http.StatusUnauthorized, "totp_required", s.text(ctx, "Geben Sie den Code aus Ihrer Authenticator-App ein.", "Enter the code from your authenticator app."))
		case errors.Is(err, auth.ErrCode):
			return nil, problem(http.StatusUnauthorized, "wrong_code", s.text(ctx, "Der Code passt nicht oder wurde schon benutzt. Warten Sie auf den nächsten.", "The code does not fit or was used already. Wait for the next one."))
		case err != nil:
			return nil, s.fail(ctx, err)
		}
		return s.signedIn(ctx, u, secret)
	})
	huma.Register(s.api, noContent(op("DELETE", "/session", "sign-out", "Sign out", "session")), func(ctx context.Context, _ *struct{}) (*struct {
		SetCookie string `header:"Set-Cookie"`
	}, error) {
		if c, err := requestOf(ctx).Cookie(sessionCookie); err == nil {
			if err := s.Auth.SignOut(ctx, who(ctx), c.Value); err != nil {
				return nil, s.fail(ctx, err)
			}
		}
		return &struct {
			SetCookie string `header:"Set-Cookie"`
		}{s.cookie(ctx, "", -time.Second)}, nil
	})
	huma.Register(s.api, op("PATCH", "/session", "change-me", "Change my own settings", "session"), func(ctx context.Context, in *struct {
		Body struct {
			Name      *string `json:"name"`
			Language  *string `json:"language" enum:"de,en"`
			Signature *string `json:"signature" maxLength:"2000"`
			Password  *struct {
				Current string `json:"current" required:"true"`
				New     string `json:"new" required:"true"`
			} `json:"password"`
		}
	}) (*sessionOut, error) {
		u := who(ctx)
		if p := in.Body.Password; p != nil { // takes its time on purpose: not within the transaction
			if err := s.checkPassword(ctx, "body.password.current", p.Current); err != nil {
				return nil, s.fail(ctx, err)
			}
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			if p := in.Body.Password; p != nil {
				if err := s.Auth.SetPassword(ctx, tx, u.ID, p.New); err != nil {
					return err
				}
			}
			var err error
			u, err = s.Auth.Update(ctx, tx, u.ID, auth.Change{Name: in.Body.Name, Language: in.Body.Language, Signature: in.Body.Signature})
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		body, err := s.session(ctx, u)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &sessionOut{Body: body}
		if c, err := requestOf(ctx).Cookie(sessionCookie); err == nil {
			out.SetCookie = s.cookie(ctx, c.Value, 14*24*time.Hour)
			if in.Body.Password != nil { // all sessions have ended; this browser gets a new one
				secret, err := s.Auth.OpenSession(ctx, u)
				if err != nil {
					return nil, s.fail(ctx, err)
				}
				out.SetCookie = s.cookie(ctx, secret, 14*24*time.Hour)
			}
		}
		return out, nil
	})
	huma.Register(s.api, op("POST", "/session/totp", "start-totp", "Begin to set up a second factor", "session"), func(ctx context.Context, _ *struct{}) (*struct {
		Body struct {
			Secret string `json:"secret"`
			URI    string `json:"uri"`
			QR     string `json:"qr_png" doc:"data: URL of a PNG"`
		}
	}, error) {
		out := &struct {
			Body struct {
				Secret string `json:"secret"`
				URI    string `json:"uri"`
				QR     string `json:"qr_png" doc:"data: URL of a PNG"`
			}
		}{}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) (err error) {
			out.Body.Secret, out.Body.URI, err = s.Auth.StartTOTP(ctx, tx, who(ctx), "Rufweite")
			return err
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		key, err := otp.NewKeyFromURL(out.Body.URI)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		img, err := key.Image(240, 240)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.QR = "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
		return out, nil
	})
	huma.Register(s.api, op("PUT", "/session/totp", "enable-totp", "Confirm the second factor by a code", "session"), func(ctx context.Context, in *struct {
		Body struct {
			Code string `json:"code" required:"true"`
		}
	}) (*sessionBody, error) {
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return s.Auth.EnableTOTP(ctx, tx, who(ctx).ID, in.Body.Code) })
		return s.meAgain(ctx, err)
	})
	huma.Register(s.api, op("DELETE", "/session/totp", "disable-totp", "Switch the second factor off", "session"), func(ctx context.Context, in *struct {
		Body struct {
			Password string `json:"password" required:"true"`
		}
	}) (*sessionBody, error) {
		err := s.checkPassword(ctx, "body.password", in.Body.Password)
		if err == nil {
			err = s.org(ctx).Write(ctx, func(tx *db.Tx) error { return s.Auth.DisableTOTP(ctx, tx, who(ctx).ID) })
		}
		return s.meAgain(ctx, err)
	})
	huma.Register(s.api, anyone(op("GET", "/invite", "check-invite", "Whom an invitation is for", "session")), func(ctx context.Context, in *struct {
		Token string `query:"token"`
	}) (*struct {
		Body struct {
			Name  string `json:"name"`
			Email string `json:"email"`
		}
	}, error) {
		u, err := s.Auth.Invited(ctx, in.Token)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &struct {
			Body struct {
				Name  string `json:"name"`
				Email string `json:"email"`
			}
		}{}
		out.Body.Name, out.Body.Email = u.Name, u.Email
		return out, nil
	})
	huma.Register(s.api, anyone(op("POST", "/invite", "accept-invite", "Accept an invitation", "session")), func(ctx context.Context, in *struct {
		Body struct {
			Token    string `json:"token" required:"true"`
			Password string `json:"password" required:"true"`
		}
	}) (*sessionOut, error) {
		u, secret, err := s.Auth.AcceptInvite(ctx, in.Body.Token, in.Body.Password)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.signedIn(ctx, u, secret)
	})
}

// checkPassword asks for the signed-in user's password once more.
func (s *Server) checkPassword(ctx context.Context, location, password string) error {
	err := s.Auth.CheckPassword(ctx, s.org(ctx), who(ctx).ID, password)
	if errors.Is(err, auth.ErrCredentials) {
		return invalid(location, s.text(ctx, "Das Passwort stimmt nicht.", "The password is wrong."))
	}
	return err
}

func (s *Server) meAgain(ctx context.Context, err error) (*sessionBody, error) {
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	u, err := auth.UserByID(ctx, s.org(ctx), who(ctx).ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	body, err := s.session(ctx, u)
	return &sessionBody{body}, s.fail(ctx, err)
}
