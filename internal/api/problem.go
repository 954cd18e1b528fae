package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
	"github.com/rufweite/rufweite/internal/staff"
)

// Problem is an error as RFC 9457 problem details, in words that say what to do.
type Problem struct {
	Type      string         `json:"type,omitempty" doc:"about:blank"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitempty" doc:"a sentence for people, in the language of the request"`
	Code      string         `json:"code,omitempty" doc:"stable word for programs"`
	Remedy    string         `json:"remedy,omitempty" doc:"what to do"`
	Errors    []ProblemField `json:"errors,omitempty"`
	By        *NamedJSON     `json:"by,omitempty" doc:"the colleague whom it is about"`
	MessageID string         `json:"message_id,omitempty" doc:"the message that it is about"`
	Findings  any            `json:"findings,omitempty" doc:"what the prover of dialogs found"`
}

// ProblemField says which part of the request is wrong.
type ProblemField struct {
	Location string `json:"location" doc:"such as body.settings.token"`
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma's content type filter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// newErrorFor is newError in the language of whoever asks.
func newErrorFor(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
	return localError(langOf(ctx.Context()), status, msg, errs...)
}

// newError makes a Problem of huma's own errors (validation, unreadable bodies).
func newError(status int, msg string, errs ...error) huma.StatusError {
	return localError("en", status, msg, errs...)
}

func localError(lang string, status int, msg string, errs ...error) huma.StatusError {
	p := problem(status, "bad_request", msg)
	switch status {
	case http.StatusUnprocessableEntity:
		p.Code, p.Detail = "invalid", textIn(lang, "Einige Angaben stimmen noch nicht.", "Some details are not right yet.")
	case http.StatusRequestEntityTooLarge:
		p.Code, p.Detail = "too_large", textIn(lang, "Die Anfrage ist zu groß.", "The request is too large.")
	case http.StatusUnsupportedMediaType:
		p.Code, p.Detail = "media_type", textIn(lang, "Schicken Sie JSON (Content-Type: application/json).", "Send JSON (Content-Type: application/json).")
	case http.StatusBadRequest:
		p.Detail = textIn(lang, "Diese Anfrage ist nicht lesbar.", "This request cannot be read.")
		if len(errs) == 0 {
			p.Errors = append(p.Errors, ProblemField{"", msg})
		}
	}
	for _, e := range errs {
		var d huma.ErrorDetailer
		switch {
		case e == nil:
		case errors.As(e, &d):
			p.Errors = append(p.Errors, ProblemField{d.ErrorDetail().Location, d.ErrorDetail().Message})
		default:
			p.Errors = append(p.Errors, ProblemField{"", e.Error()})
		}
	}
	return p
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// fail turns an error of the rooms into a Problem for whoever asks. Unknown errors are logged and told as such.
func (s *Server) fail(ctx context.Context, err error) error {
	var p *Problem
	var invalid *account.InvalidError
	t := func(de, en string) string { return s.text(ctx, de, en) }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.As(err, &invalid):
		p := problem(http.StatusUnprocessableEntity, "invalid", t("Einige Angaben stimmen noch nicht.", "Some details are not right yet."))
		for _, f := range invalid.Fields {
			loc := "body.settings"
			if f.Key == "kind" {
				loc = "body.kind"
			} else if f.Key != "" {
				loc += "." + f.Key
			}
			p.Errors = append(p.Errors, ProblemField{loc, f.Message})
			if f.Key == "" {
				p.Detail = f.Message
			}
		}
		return p
	case errors.Is(err, conversation.ErrNotFound), errors.Is(err, conversation.ErrNoSuch), errors.Is(err, customer.ErrNotFound), errors.Is(err, account.ErrNotFound),
		errors.Is(err, auth.ErrNotFound), errors.Is(err, intake.ErrNotFound), errors.Is(err, outbox.ErrNotFound), errors.Is(err, conversation.ErrNoParticipant), errors.Is(err, staff.ErrNotFound), errors.Is(err, org.ErrNoUnit):
		return problem(http.StatusNotFound, "not_found", t("Das gibt es nicht (mehr).", "There is no such thing (any more)."))
	case errors.Is(err, db.ErrCursor):
		return problem(http.StatusBadRequest, "bad_cursor", t("Diese Seitenmarke stammt nicht von hier. Beginnen Sie ohne cursor.", "This cursor was not made here. Begin without a cursor."))
	case errors.Is(err, outbox.ErrAlreadySent):
		return problem(http.StatusConflict, "already_sent", t("Die Nachricht ist schon unterwegs.", "The message is already on its way."))
	case errors.Is(err, outbox.ErrState):
		return problem(http.StatusConflict, "nothing_to_decide", t("Hier ist nichts mehr zu entscheiden.", "There is nothing left to decide here."))
	case errors.Is(err, outbox.ErrLoop):
		return problem(http.StatusConflict, "loop", t("Eine automatische Antwort würde hier eine Schleife auslösen.", "An automatic answer would start a loop here."))
	case errors.Is(err, conversation.ErrJoined):
		return problem(http.StatusConflict, "joined", t("Dieses Gespräch wurde mit einem anderen verbunden. Schreiben Sie dort weiter.", "This conversation was joined into another one. Go on there."))
	case errors.Is(err, conversation.ErrOtherCustomer):
		return problem(http.StatusConflict, "other_customer", t("Die Gespräche gehören verschiedenen Kunden. Verbinden Sie sie als Beteiligter, oder führen Sie die Kunden zusammen.", "The conversations belong to different customers. Join it as a participant's, or merge the customers."))
	case errors.Is(err, conversation.ErrSameMatter):
		return problem(http.StatusConflict, "same_conversation", t("Das ist schon dasselbe Gespräch.", "This is the same conversation already."))
	case errors.Is(err, conversation.ErrNothingBack):
		return problem(http.StatusConflict, "nothing_back", t("Von diesem Gespräch ist hier nichts mehr; seine Nachrichten sind inzwischen abgetrennt. Nehmen Sie zuerst das zurück.", "Nothing of that conversation is here any more; its messages were split off since. Take that back first."))
	case errors.Is(err, conversation.ErrNothingToMove):
		return problem(http.StatusUnprocessableEntity, "nothing_to_move", t("Wählen Sie Nachrichten aus; mindestens eine muss bleiben.", "Choose messages; at least one must stay."))
	case errors.Is(err, conversation.ErrIsCustomer):
		return problem(http.StatusConflict, "is_customer", t("Diese Adresse gehört dem Kunden selbst.", "This address is the customer's own."))
	case errors.Is(err, staff.ErrNotYours):
		return problem(http.StatusForbidden, "not_yours", t("Das gehört einem Kollegen.", "This belongs to a colleague."))
	case errors.Is(err, staff.ErrTooMuch):
		return problem(http.StatusRequestEntityTooLarge, "too_large", t("Das ist zu viel, um es zu behalten.", "This is too much to keep."))
	case errors.Is(err, customer.ErrSame):
		return problem(http.StatusConflict, "same_customer", t("Das ist schon derselbe Kunde.", "This is the same customer already."))
	case errors.Is(err, customer.ErrTaken):
		return problem(http.StatusConflict, "address_taken", t("Diese Adresse gehört schon zu einem anderen Kunden. Führen Sie die beiden zusammen, wenn es derselbe Mensch ist.", "This address belongs to another customer already. Merge the two if they are the same person."))
	case errors.Is(err, auth.ErrTaken):
		return problem(http.StatusConflict, "email_taken", t("Diese E-Mail-Adresse ist schon vergeben.", "This e-mail address is in use already."))
	case errors.Is(err, auth.ErrWeak):
		return problem(http.StatusUnprocessableEntity, "weak_password", t("Das Passwort braucht mindestens 10 Zeichen.", "The password needs at least 10 characters."))
	case errors.Is(err, auth.ErrLastOwner):
		return problem(http.StatusConflict, "last_owner", t("Ein Inhaber muss bleiben. Ernennen Sie zuerst einen anderen.", "One owner must stay. Appoint another one first."))
	case errors.Is(err, auth.ErrInvite):
		return problem(http.StatusGone, "link_used", t("Dieser Link wurde schon benutzt oder ist abgelaufen.", "This link was used already or has expired."))
	case errors.Is(err, auth.ErrCode):
		return problem(http.StatusUnprocessableEntity, "wrong_code", t("Der Code passt nicht. Warten Sie auf den nächsten und prüfen Sie die Uhr Ihres Telefons.", "The code does not fit. Wait for the next one and check your phone's clock."))
	case errors.Is(err, auth.ErrCredentials):
		return problem(http.StatusUnauthorized, "wrong_credentials", t("E-Mail oder Passwort stimmt nicht.", "E-mail or password is wrong."))
	case errors.Is(err, db.ErrUnavailable):
		s.Log.Error("database unavailable", "error", err)
		return problem(http.StatusServiceUnavailable, "unavailable", t("Gerade kann nichts gespeichert werden. Es ging nichts verloren; versuchen Sie es gleich noch einmal.", "Nothing can be stored right now. Nothing was lost; try again in a moment."))
	case errors.Is(err, context.Canceled):
		return problem(499, "cancelled", "")
	}
	s.Log.Error("request failed", "error", err)
	return problem(http.StatusInternalServerError, "internal", t("Das ist ein Fehler von Rufweite. Er steht im Protokoll des Servers.", "This is a fault of Rufweite. It is in the server's log."))
}

// writeFailure answers with an error of the rooms outside a huma handler.
func (s *Server) writeFailure(ctx context.Context, w http.ResponseWriter, err error) {
	var p *Problem
	if !errors.As(s.fail(ctx, err), &p) {
		p = problem(http.StatusInternalServerError, "internal", err.Error())
	}
	writeProblem(w, p)
}

func invalid(location, message string) *Problem {
	p := problem(http.StatusUnprocessableEntity, "invalid", message)
	p.Errors = []ProblemField{{location, message}}
	return p
}

func (s *Server) forbidden(ctx context.Context) *Problem {
	return problem(http.StatusForbidden, "forbidden", s.text(ctx, "Dafür reicht Ihre Rolle nicht. Fragen Sie den Inhaber.", "Your role does not allow this. Ask the owner."))
}
