package api

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/reach"
)

// KindJSON describes a kind of channel: what can be set and what it can carry.
type KindJSON struct {
	Kind         string               `json:"kind"`
	Title        channel.Text         `json:"title"`
	Capabilities channel.Capabilities `json:"capabilities"`
	Settings     []channel.Setting    `json:"settings"`
	Webhook      bool                 `json:"webhook" doc:"the provider calls us"`
}

// HealthJSON is what is known about a channel's working.
type HealthJSON struct {
	State          string     `json:"state" enum:"green,red,unknown"`
	Reason         string     `json:"reason"`
	Remedy         string     `json:"remedy"`
	CheckedAt      *time.Time `json:"checked_at"`
	LastInboundAt  *time.Time `json:"last_inbound_at"`
	LastOutboundAt *time.Time `json:"last_outbound_at"`
}

// ChannelJSON is one configured channel. Secrets are never shown again.
type ChannelJSON struct {
	ID         string            `json:"id"`
	Kind       string            `json:"kind"`
	Name       string            `json:"name"`
	Settings   map[string]string `json:"settings"`
	Enabled    bool              `json:"enabled"`
	Health     HealthJSON        `json:"health"`
	WebhookURL string            `json:"webhook_url"`
	CanSend    bool              `json:"can_send"`
	WhyNot     string            `json:"why_not"`
}

const hidden = "•••"

func (s *Server) channels(ctx context.Context, list []account.Channel) ([]ChannelJSON, error) {
	o := s.org(ctx)
	health, err := s.Accounts.Healths(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	last, err := intake.LastInbound(ctx, o)
	if err != nil {
		return nil, err
	}
	lang := s.lang(ctx)
	out := make([]ChannelJSON, 0, len(list))
	for _, c := range list {
		j := ChannelJSON{ID: c.ID, Kind: string(c.Kind), Name: c.Name, Enabled: c.Enabled, Settings: map[string]string{}, WebhookURL: s.webhookURL(requestOf(ctx), c)}
		d := s.Accounts.Driver(c.Kind)
		if d != nil && who(ctx).CanManage() {
			secret := map[string]bool{}
			for _, v := range d.Settings() {
				secret[v.Key] = v.Secret
			}
			for k, v := range c.Settings {
				if secret[k] {
					v = hidden
				}
				j.Settings[k] = v
			}
		}
		h := health[c.ID]
		if h.State == "" {
			h.State = account.Unknown
		}
		j.Health = HealthJSON{State: h.State, Reason: h.Reason.In(lang), Remedy: h.Remedy.In(lang), CheckedAt: moment(h.CheckedAt), LastInboundAt: moment(last[c.ID])}
		if d == nil {
			j.Health.State, j.Health.Reason = account.Red, textIn(lang, "Diese Version kennt diese Art von Kanal nicht.", "This version does not know this kind of channel.")
		} else {
			var why channel.Text
			j.CanSend, why = reach.CanSend(s.Accounts, c)
			j.WhyNot = why.In(lang)
		}
		out = append(out, j)
	}
	return out, nil
}

func (s *Server) channel(ctx context.Context, c account.Channel, err error) (*body[ChannelJSON], error) {
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	list, err := s.channels(ctx, []account.Channel{c})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &body[ChannelJSON]{list[0]}, nil
}

func (s *Server) channelRoutes() {
	huma.Register(s.api, op("GET", "/channel-kinds", "list-channel-kinds", "Kinds of channels that can be set up", "channels"), func(ctx context.Context, _ *struct{}) (*page[KindJSON], error) {
		var items []KindJSON
		for _, d := range s.Accounts.Drivers() {
			_, hook := d.(channel.Webhook)
			items = append(items, KindJSON{string(d.Kind()), d.Title(), d.Capabilities(), d.Settings(), hook})
		}
		return newPage(items, ""), nil
	})
	huma.Register(s.api, op("GET", "/channels", "list-channels", "Configured channels", "channels"), func(ctx context.Context, _ *struct{}) (*page[ChannelJSON], error) {
		items, err := s.channels(ctx, s.Accounts.List(who(ctx).Org))
		return newPage(items, ""), s.fail(ctx, err)
	})
	huma.Register(s.api, op("GET", "/channels/{id}", "get-channel", "One channel", "channels"), func(ctx context.Context, in *ByID) (*body[ChannelJSON], error) {
		c, err := s.Accounts.Get(who(ctx).Org, in.ID)
		return s.channel(ctx, c, err)
	})
	huma.Register(s.api, created(op("POST", "/channels", "create-channel", "Set up a channel; the provider is not asked", "channels")), func(ctx context.Context, in *struct {
		Body struct {
			Kind     string            `json:"kind" required:"true"`
			Name     string            `json:"name" maxLength:"100"`
			Settings map[string]string `json:"settings"`
		}
	}) (*body[ChannelJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		c, err := s.Accounts.Create(ctx, who(ctx).Org, channel.Kind(in.Body.Kind), in.Body.Name, in.Body.Settings, s.lang(ctx), s.Now())
		return s.channel(ctx, c, err)
	})
	huma.Register(s.api, op("PATCH", "/channels/{id}", "change-channel", "Change a channel; secrets that are left out stay, an empty value removes a setting", "channels"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Name     *string           `json:"name" maxLength:"100"`
			Enabled  *bool             `json:"enabled"`
			Settings map[string]string `json:"settings"`
		}
	}) (*body[ChannelJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		for k, v := range in.Body.Settings {
			if v == hidden {
				delete(in.Body.Settings, k)
			}
		}
		c, err := s.Accounts.Update(ctx, who(ctx).Org, in.ID, account.Change{Name: in.Body.Name, Enabled: in.Body.Enabled, Settings: in.Body.Settings}, s.lang(ctx))
		return s.channel(ctx, c, err)
	})
	huma.Register(s.api, noContent(op("DELETE", "/channels/{id}", "delete-channel", "Stop and hide a channel; what came by it stays", "channels")), func(ctx context.Context, in *ByID) (*struct{}, error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		return nil, s.fail(ctx, s.Accounts.Delete(ctx, who(ctx).Org, in.ID, s.Now()))
	})
	huma.Register(s.api, op("POST", "/channels/{id}/check", "check-channel", "Ask the provider now whether the channel works", "channels"), func(ctx context.Context, in *ByID) (*body[ChannelJSON], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		c, err := s.Accounts.Get(who(ctx).Org, in.ID)
		if err == nil && s.Probe != nil {
			err = s.Probe(ctx, c)
		}
		return s.channel(ctx, c, err)
	})
	huma.Register(s.api, op("POST", "/channels/{id}/test", "test-channel", "Send a test message", "channels"), func(ctx context.Context, in *struct {
		ByID
		Body struct {
			To string `json:"to" required:"true" minLength:"1"`
		}
	}) (*body[struct {
		State  string `json:"state" enum:"sent,failed,uncertain"`
		Reason string `json:"reason"`
		Remedy string `json:"remedy"`
		Error  string `json:"error" doc:"technical"`
	}], error) {
		if !who(ctx).CanManage() {
			return nil, s.forbidden(ctx)
		}
		c, err := s.Accounts.Get(who(ctx).Org, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &body[struct {
			State  string `json:"state" enum:"sent,failed,uncertain"`
			Reason string `json:"reason"`
			Remedy string `json:"remedy"`
			Error  string `json:"error" doc:"technical"`
		}]{}
		out.Body.State = "sent"
		err = s.Outbox.Test(ctx, c, in.Body.To, s.lang(ctx))
		var se *channel.SendError
		switch {
		case err == nil:
		case errors.As(err, &se):
			out.Body.State = "failed"
			if se.Class == channel.Unknown {
				out.Body.State = "uncertain"
			}
			out.Body.Reason, out.Body.Error = se.Reason.In(s.lang(ctx)), se.Error()
			if out.Body.Reason == "" {
				out.Body.Reason = s.text(ctx, "Der Anbieter hat die Nachricht nicht angenommen.", "The provider did not accept the message.")
			}
			out.Body.Remedy = s.remedy(ctx, se.Class)
		default:
			out.Body.State, out.Body.Error = "uncertain", err.Error()
			out.Body.Reason = s.text(ctx, "Der Anbieter hat nicht eindeutig geantwortet.", "The provider gave no clear answer.")
		}
		return out, nil
	})
}

// remedy says what to do about a failed test.
func (s *Server) remedy(ctx context.Context, c channel.Class) string {
	switch c {
	case channel.Misconfig:
		return s.text(ctx, "Prüfen Sie Zugangsdaten und Servername.", "Check the credentials and the server's name.")
	case channel.Temporary, channel.RateLimited:
		return s.text(ctx, "Versuchen Sie es in einigen Minuten noch einmal. Bleibt es dabei, prüfen Sie Servername und Port.", "Try again in a few minutes. If it stays like this, check the server's name and port.")
	case channel.NotHere:
		return s.text(ctx, "Prüfen Sie die Adresse, an die Sie senden.", "Check the address that you send to.")
	case channel.Blocked, channel.WindowClosed:
		return s.text(ctx, "Der Empfänger muss zuerst an diesen Kanal schreiben.", "The recipient has to write to this channel first.")
	case channel.Unknown:
		return s.text(ctx, "Sehen Sie beim Empfänger nach, ob die Nachricht ankam.", "Look whether the message arrived.")
	}
	return s.text(ctx, "Lesen Sie die Meldung des Anbieters und passen Sie die Einstellungen an.", "Read the provider's message and adjust the settings.")
}
