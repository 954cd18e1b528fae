package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/reach"
)

// TemplatesJSON are a channel's templates as its provider told them last.
type TemplatesJSON struct {
	Items   []channel.Template `json:"items"`
	AskedAt *time.Time         `json:"asked_at" doc:"when the provider was asked; null = never"`
}

// WayJSON is a way on which a conversation can go on.
type WayJSON struct {
	ChannelID string           `json:"channel_id"`
	Kind      string           `json:"kind"`
	Name      string           `json:"name"`
	Link      string           `json:"link"`
	Carries   channel.Carriage `json:"carries" doc:"token: opening the link is enough; text: the customer sends what is already written; empty: the customer types the code"`
}

// HandoverJSON is the offer to go on elsewhere.
type HandoverJSON struct {
	Code      string    `json:"code" doc:"as people read it; works once"`
	Text      string    `json:"text" doc:"what the customer finds already written"`
	Page      string    `json:"page" doc:"a page with every way and its QR code"`
	Ways      []WayJSON `json:"ways"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ways lists by which channels a customer can go on with a code, with their links. but is a channel to leave out.
func (s *Server) ways(org string, code, language, but string) []WayJSON {
	out := []WayJSON{}
	for _, c := range s.Accounts.List(org) {
		l, ok := s.Accounts.Driver(c.Kind).(channel.Linker)
		if !ok || !c.Enabled || c.ID == but {
			continue
		}
		link, carries := l.Link(c.Account, channel.Opening{Token: code, Text: reach.HandoverText(code, language)})
		if link != "" {
			out = append(out, WayJSON{c.ID, string(c.Kind), c.Name, link, carries})
		}
	}
	return out
}

func (s *Server) handoverRoutes() {
	huma.Register(s.ours(), op("GET", "/channels/{id}/templates", "list-templates", "The templates of a channel whose provider approves them", "channels"), func(ctx context.Context, in *ByID) (*body[TemplatesJSON], error) {
		if _, err := s.Accounts.Get(who(ctx).Org, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		return s.templates(ctx, in.ID)
	})
	huma.Register(s.ours(), op("POST", "/channels/{id}/templates/refresh", "refresh-templates", "Ask the provider for a channel's templates now", "channels"), func(ctx context.Context, in *ByID) (*body[TemplatesJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		c, err := s.Accounts.Get(who(ctx).Org, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if _, ok := s.Accounts.Driver(c.Kind).(channel.Templater); !ok || s.AskTemplates == nil {
			return nil, problem(http.StatusConflict, "no_templates", s.text(ctx, "Dieser Kanal kennt keine Vorlagen.", "This channel knows no templates."))
		}
		if err := s.AskTemplates(ctx, c); err != nil {
			return nil, problem(http.StatusBadGateway, "provider", s.text(ctx, "Der Anbieter hat die Vorlagen nicht genannt: ", "The provider did not name the templates: ")+err.Error())
		}
		return s.templates(ctx, in.ID)
	})
	huma.Register(s.api, created(op("POST", "/conversations/{id}/handover", "hand-over", "Offer the customer to go on elsewhere: links with a code that works once and proves that both addresses are theirs", "conversations")), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			AddressID string `json:"address_id" doc:"where the offer will be sent; empty: the address that is answered"`
			Language  string `json:"language" maxLength:"20"`
		}
	}) (*body[HandoverJSON], error) {
		o := s.org(ctx)
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		address := in.Body.AddressID
		if address == "" {
			address = r.Address
		}
		ids, err := customer.IDs(ctx, o, r.Customer)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if address != "" {
			addrs, err := customer.Addresses(ctx, o, ids)
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			if !slices.ContainsFunc(addrs, func(a customer.Address) bool { return a.ID == address }) {
				return nil, invalid("body.address_id", s.text(ctx, "Diese Adresse gehört dem Kunden nicht.", "This address is not the customer's."))
			}
		}
		language := in.Body.Language
		if language == "" {
			c, err := customer.Get(ctx, o, r.Customer)
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			language = c.Language
		}
		out, err := s.handover(ctx, o, r, address, language)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[HandoverJSON]{out}, nil
	})
}

func (s *Server) handover(ctx context.Context, o db.Org, r conversation.Row, address, language string) (HandoverJSON, error) {
	var code string
	now := s.Now()
	err := o.Write(ctx, func(tx *db.Tx) (err error) {
		code, err = reach.NewCode(ctx, tx, reach.Handover{Conversation: r.ID, Customer: r.Customer, Address: address, By: who(ctx).ID}, now)
		return err
	})
	if err != nil {
		return HandoverJSON{}, err
	}
	out := HandoverJSON{Code: reach.PrettyCode(code), Text: reach.HandoverText(code, language), Ways: s.ways(o.ID, code, language, r.Channel), ExpiresAt: now.Add(reach.HandoverFor)}
	if s.PublicURL != "" {
		out.Page = s.PublicURL + "/contact?code=" + code
	}
	return out, nil
}

func (s *Server) templates(ctx context.Context, ch string) (*body[TemplatesJSON], error) {
	list, asked, err := account.Templates(ctx, s.org(ctx), ch)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if list == nil {
		list = []channel.Template{}
	}
	return &body[TemplatesJSON]{TemplatesJSON{list, moment(asked)}}, nil
}
