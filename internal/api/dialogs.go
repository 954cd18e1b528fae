package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/dialog"
)

// DialogJSON is a dialog as lists show it.
type DialogJSON struct {
	Key       string         `json:"key"`
	Title     ask.Texts      `json:"title"`
	Enabled   bool           `json:"enabled" doc:"customers may start it by its words"`
	Ready     bool           `json:"ready" doc:"the installation brings it"`
	Version   int64          `json:"version" doc:"the newest; 0: a ready one that nobody changed"`
	Live      int64          `json:"live" doc:"the version by which it is started; 0: the ready one, or none"`
	Versions  int            `json:"versions"`
	Languages []string       `json:"languages"`
	Running   int            `json:"running"`
	Ended     map[string]int `json:"ended" doc:"by outcome"`
	UpdatedAt *time.Time     `json:"updated_at"`
	UpdatedBy *NamedJSON     `json:"updated_by"`
	Findings  int            `json:"findings"`
}

// DialogFullJSON is a dialog with everything.
type DialogFullJSON struct {
	DialogJSON
	Source  string           `json:"source" doc:"YAML"`
	Program json.RawMessage  `json:"program" doc:"null: the source cannot be read"`
	Found   []dialog.Finding `json:"found"`
	Layout  json.RawMessage  `json:"layout"`
}

// InstanceJSON is a dialog with one customer.
type InstanceJSON struct {
	ID        string            `json:"id"`
	Dialog    InstanceOfJSON    `json:"dialog"`
	Status    string            `json:"status" enum:"asking,waiting,calling,handed,ended,stopped"`
	Step      string            `json:"step"`
	Variables map[string]string `json:"variables" doc:"in words"`
	StartedAt time.Time         `json:"started_at"`
	StartedBy *NamedJSON        `json:"started_by" doc:"null: the customer"`
	UpdatedAt time.Time         `json:"updated_at"`
	WakeAt    *time.Time        `json:"wake_at"`
	Outcome   string            `json:"outcome"`
}

// InstanceOfJSON names the dialog of an instance.
type InstanceOfJSON struct {
	Key     string    `json:"key"`
	Title   ask.Texts `json:"title"`
	Version int64     `json:"version"`
}

func rawJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null") // our own plain types always marshal
	}
	return b
}

func dialogJSON(d dialog.Stored, c dialog.Count) DialogJSON {
	j := DialogJSON{Key: d.Key, Enabled: d.Enabled, Ready: d.Ready, Version: d.Version, Live: d.Live, Versions: d.Versions, Languages: []string{}, Running: c.Running, Ended: c.Ended, UpdatedAt: moment(d.UpdatedAt), Findings: d.Findings, Title: ask.Texts{}}
	if d.Program != nil {
		j.Title, j.Languages = d.Program.Title, d.Program.Languages
	}
	if j.Ended == nil {
		j.Ended = map[string]int{}
	}
	if d.UpdatedBy.ID != "" {
		j.UpdatedBy = &NamedJSON{d.UpdatedBy.ID, d.UpdatedBy.Name}
	}
	return j
}

func (s *Server) instanceJSON(ctx context.Context, o db.Org, i dialog.Instance) InstanceJSON {
	j := InstanceJSON{ID: i.ID, Dialog: InstanceOfJSON{Key: i.Dialog, Version: i.Version, Title: ask.Texts{}}, Status: string(i.Status), Step: i.Step(), Variables: i.Words(s.lang(ctx)), StartedAt: i.StartedAt, UpdatedAt: i.UpdatedAt, Outcome: i.Outcome}
	if d, err := s.Dialogs.Get(ctx, o, i.Dialog); err == nil && d.Program != nil {
		j.Dialog.Title = d.Program.Title
	}
	if i.StartedBy.ID != "" {
		j.StartedBy = &NamedJSON{i.StartedBy.ID, i.StartedBy.Name}
	}
	if i.Status == dialog.Waiting {
		j.WakeAt = moment(i.DueAt)
	}
	return j
}

func (s *Server) dialogFail(ctx context.Context, err error) error {
	var bad *dialog.FindingsError
	switch {
	case errors.Is(err, dialog.ErrNotFound), errors.Is(err, dialog.ErrUnknown):
		return problem(http.StatusNotFound, "not_found", s.text(ctx, "Das gibt es nicht (mehr).", "There is no such thing (any more)."))
	case errors.Is(err, dialog.ErrConflict):
		return problem(http.StatusConflict, "conflict", s.text(ctx, "Jemand anders hat diesen Dialog inzwischen gespeichert. Laden Sie ihn neu und tragen Sie Ihre Änderung noch einmal ein.", "Somebody else has saved this dialog meanwhile. Load it again and enter your change once more."))
	case errors.Is(err, dialog.ErrInUse):
		return problem(http.StatusConflict, "in_use", s.text(ctx, "Dieser Dialog läuft noch bei Kunden. Warten Sie, bis er zu Ende ist, oder übernehmen Sie dort.", "This dialog still runs for customers. Wait until it has ended, or take over there."))
	case errors.Is(err, dialog.ErrOver):
		return problem(http.StatusConflict, "over", s.text(ctx, "Dieser Dialog ist schon zu Ende.", "This dialog is over already."))
	case errors.Is(err, dialog.ErrRunning):
		return problem(http.StatusConflict, "running", s.text(ctx, "In diesem Gespräch läuft schon ein Dialog. Übernehmen Sie ihn zuerst.", "A dialog runs in this conversation already. Take it over first."))
	case errors.Is(err, dialog.ErrNoWay):
		return problem(http.StatusConflict, "no_way", s.text(ctx, "Kein Kanal erreicht diesen Kunden jetzt.", "No channel reaches this customer now."))
	case errors.As(err, &bad):
		p := problem(http.StatusUnprocessableEntity, "dead_ends", s.text(ctx, "Dieser Dialog hat noch Sackgassen. Speichern Sie ihn als Entwurf, oder beheben Sie sie.", "This dialog still has dead ends. Save it as a draft, or mend them."))
		p.Findings = bad.Findings
		return p
	}
	return s.askFail(ctx, err)
}

func (s *Server) dialogRoutes() {
	manage := func(ctx context.Context) error {
		if !who(ctx).CanManage() {
			return s.forbidden(ctx)
		}
		return nil
	}
	group := s.ours()
	huma.Register(group, op("GET", "/dialogs", "list-dialogs", "Dialogs: the organisation's and the ready ones", "dialogs"), func(ctx context.Context, _ *struct{}) (*page[DialogJSON], error) {
		o := s.org(ctx)
		list, err := s.Dialogs.All(ctx, o)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		counts, err := dialog.Counts(ctx, o)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		items := make([]DialogJSON, len(list))
		for i, d := range list {
			items[i] = dialogJSON(d, counts[d.Key])
		}
		return newPage(items, ""), nil
	})
	full := func(ctx context.Context, key string) (*body[DialogFullJSON], error) {
		o := s.org(ctx)
		d, err := s.Dialogs.Get(ctx, o, key)
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		counts, err := dialog.Counts(ctx, o)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		j := DialogFullJSON{DialogJSON: dialogJSON(d, counts[key]), Source: d.Source, Program: json.RawMessage("null"), Found: []dialog.Finding{}, Layout: json.RawMessage("{}")}
		if d.Program != nil {
			j.Program = rawJSON(d.Program)
		}
		if len(d.Layout) > 0 {
			j.Layout = d.Layout
		}
		_, found, err := s.Dialogs.Prove(ctx, o, d.Source)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if found != nil {
			j.Found = found
		}
		return &body[DialogFullJSON]{j}, nil
	}
	huma.Register(group, op("GET", "/dialogs/{key}", "get-dialog", "One dialog with its source and what the prover finds", "dialogs"), func(ctx context.Context, in *ByKey) (*body[DialogFullJSON], error) {
		return full(ctx, in.Key)
	})
	huma.Register(group, op("PUT", "/dialogs/{key}", "save-dialog", "Save a new version; enabled only without dead ends", "dialogs"), func(ctx context.Context, in *struct {
		ByKey
		Body struct {
			Source  string          `json:"source" required:"true" maxLength:"1000000"`
			Enabled bool            `json:"enabled"`
			Layout  json.RawMessage `json:"layout"`
			Base    int64           `json:"base_version" doc:"the version that was changed; 0 for a new or an unchanged ready one"`
		}
	}) (*body[DialogFullJSON], error) {
		if err := manage(ctx); err != nil {
			return nil, err
		}
		if len(in.Body.Layout) > 256<<10 {
			return nil, invalid("body.layout", s.text(ctx, "Die Anordnung ist zu groß.", "The layout is too large."))
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			_, _, err := s.Dialogs.Save(ctx, tx, in.Key, in.Body.Source, in.Body.Enabled, in.Body.Layout, in.Body.Base, actor(who(ctx)))
			return err
		})
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		return full(ctx, in.Key)
	})
	huma.Register(group, op("DELETE", "/dialogs/{key}", "drop-dialog", "Remove a dialog; a ready one is as it came again", "dialogs"), func(ctx context.Context, in *ByKey) (*struct{}, error) {
		if err := manage(ctx); err != nil {
			return nil, err
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return s.Dialogs.Drop(ctx, tx, in.Key) })
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		return nil, nil
	})
	type version struct {
		Version  int64      `json:"version"`
		At       time.Time  `json:"at"`
		By       *NamedJSON `json:"by"`
		Live     bool       `json:"live"`
		Findings int        `json:"findings"`
	}
	huma.Register(group, op("GET", "/dialogs/{key}/versions", "list-dialog-versions", "Versions of a dialog, the newest first", "dialogs"), func(ctx context.Context, in *ByKey) (*page[version], error) {
		list, err := dialog.Versions(ctx, s.org(ctx), in.Key)
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		items := make([]version, len(list))
		for i, v := range list {
			items[i] = version{v.Version, v.At, nil, v.Live, v.Findings}
			if v.By.ID != "" {
				items[i].By = &NamedJSON{v.By.ID, v.By.Name}
			}
		}
		return newPage(items, ""), nil
	})
	type source struct {
		Version int64  `json:"version"`
		Source  string `json:"source"`
	}
	huma.Register(group, op("GET", "/dialogs/{key}/versions/{version}", "get-dialog-version", "The source of one version", "dialogs"), func(ctx context.Context, in *struct {
		ByKey
		Version int64 `path:"version"`
	}) (*body[source], error) {
		text, err := dialog.VersionOf(ctx, s.org(ctx), in.Key, in.Version)
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		return &body[source]{source{in.Version, text}}, nil
	})
	type checked struct {
		Program  json.RawMessage  `json:"program" doc:"null: the source cannot be read"`
		Findings []dialog.Finding `json:"findings"`
	}
	huma.Register(group, op("POST", "/dialogs/check", "check-dialog", "Prove that a dialog has no dead ends; nothing is kept", "dialogs"), func(ctx context.Context, in *struct {
		Body struct {
			Source string `json:"source" required:"true" maxLength:"1000000"`
		}
	}) (*body[checked], error) {
		p, found, err := s.Dialogs.ProveIn(ctx, s.org(ctx), in.Body.Source, s.lang(ctx))
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := checked{json.RawMessage("null"), []dialog.Finding{}}
		if p != nil {
			out.Program = rawJSON(p)
		}
		if found != nil {
			out.Findings = found
		}
		return &body[checked]{out}, nil
	})
	type converted struct {
		Source string `json:"source" doc:"YAML"`
	}
	huma.Register(group, op("POST", "/dialogs/convert", "convert-dialog", "Write a program as text", "dialogs"), func(ctx context.Context, in *struct {
		Body struct {
			Program json.RawMessage `json:"program" required:"true"`
		}
	}) (*body[converted], error) {
		p, bad := dialog.LoadIn(s.lang(ctx), "program.json", in.Body.Program)
		if p == nil {
			e := problem(http.StatusUnprocessableEntity, "invalid", s.text(ctx, "Dieses Programm lässt sich nicht lesen.", "This program cannot be read."))
			e.Findings = bad
			return nil, e
		}
		b, err := dialog.Marshal(p)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &body[converted]{converted{string(b)}}, nil
	})
	type line struct {
		From     string        `json:"from" enum:"machine,customer,event"`
		Rendered *RenderedJSON `json:"rendered"`
		Text     string        `json:"text"`
	}
	type script struct {
		Channel string `json:"channel"`
		Title   string `json:"title"`
		Turns   []line `json:"turns"`
	}
	type trial struct {
		Channels  []script          `json:"channels"`
		Status    string            `json:"status"`
		Step      string            `json:"step"`
		Variables map[string]string `json:"variables"`
		Findings  []dialog.Finding  `json:"findings"`
	}
	huma.Register(group, op("POST", "/dialogs/try", "try-dialog", "Let a dialog run through some turns, as media show it; nothing is sent", "dialogs"), func(ctx context.Context, in *struct {
		Body struct {
			Source   string         `json:"source" required:"true" maxLength:"1000000"`
			Language string         `json:"language" maxLength:"35"`
			Channels []string       `json:"channels" required:"true" minItems:"1" maxItems:"30"`
			Inputs   map[string]any `json:"inputs"`
			Turns    []dialog.Turn  `json:"turns" maxItems:"200"`
			Calls    map[string]any `json:"calls"`
		}
	}) (*body[trial], error) {
		o := s.org(ctx)
		p, found, err := s.Dialogs.ProveIn(ctx, o, in.Body.Source, s.lang(ctx))
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := trial{Channels: []script{}, Variables: map[string]string{}, Findings: []dialog.Finding{}}
		if found != nil {
			out.Findings = found
		}
		if p == nil {
			return &body[trial]{out}, nil
		}
		language := cmp.Or(in.Body.Language, "de")
		kinds := make([]channel.Kind, len(in.Body.Channels))
		for i, k := range in.Body.Channels {
			kinds[i] = channel.Kind(k)
		}
		t, err := s.Dialogs.Try(ctx, o, p, in.Body.Inputs, language, kinds, in.Body.Turns, in.Body.Calls)
		if err != nil {
			return nil, invalid("body.inputs", err.Error())
		}
		out.Status, out.Step, out.Variables = string(t.Status), t.Step, t.Vars
		for _, kind := range in.Body.Channels {
			m, ok := s.medium(kind)
			if !ok {
				return nil, invalid("body.channels", s.text(ctx, "Diese Art von Kanal gibt es nicht: ", "There is no such kind of channel: ")+kind)
			}
			sc := script{kind, m.Title.In(s.lang(ctx)), []line{}}
			for _, l := range t.Lines {
				x := line{From: l.From, Text: l.Text}
				if l.Say != nil {
					r, err := s.rendered(ctx, kind, *l.Say, language)
					if err != nil {
						return nil, err
					}
					x.Rendered, x.Text = &r, r.Text
				}
				sc.Turns = append(sc.Turns, x)
			}
			out.Channels = append(out.Channels, sc)
		}
		return &body[trial]{out}, nil
	})
	huma.Register(s.api, created(op("POST", "/conversations/{id}/dialogs", "start-dialog", "Let a dialog begin in a conversation", "dialogs")), func(ctx context.Context, in *struct {
		ByID
		Key  string `header:"Idempotency-Key"`
		Body struct {
			Key       string         `json:"key" required:"true"`
			Inputs    map[string]any `json:"inputs"`
			ChannelID string         `json:"channel_id"`
			AddressID string         `json:"address_id"`
			Language  string         `json:"language" maxLength:"35"`
			ClientID  string         `json:"client_id" maxLength:"100"`
		}
	}) (*body[InstanceJSON], error) {
		o, b := s.org(ctx), in.Body
		r, err := s.see(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		c, err := customer.Get(ctx, o, r.Customer)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if b.AddressID != "" || b.ChannelID != "" {
			p, err := s.plan(ctx, o, r, &SendJSON{Text: "?", ChannelID: b.ChannelID, AddressID: b.AddressID})
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			b.ChannelID, b.AddressID = p.way.Channel.ID, p.way.Address.ID
		}
		var i dialog.Instance
		err = o.Write(ctx, func(tx *db.Tx) (err error) {
			i, err = s.Dialogs.Start(ctx, tx, dialog.StartRequest{Conversation: r.ID, Customer: c.ID, Key: b.Key, Inputs: b.Inputs, Channel: b.ChannelID, Address: b.AddressID, Language: b.Language, By: actor(who(ctx)), ClientID: cmp.Or(b.ClientID, in.Key)})
			return err
		})
		var input *dialog.InputError
		if errors.As(err, &input) {
			return nil, invalid("body.inputs", input.Error())
		}
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		return &body[InstanceJSON]{s.instanceJSON(ctx, o, i)}, nil
	})
	huma.Register(s.api, op("GET", "/conversations/{id}/dialogs", "list-conversation-dialogs", "Dialogs of a conversation, the newest first", "dialogs"), func(ctx context.Context, in *ByID) (*page[InstanceJSON], error) {
		o := s.org(ctx)
		if _, err := s.see(ctx, o, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		list, err := dialog.InstancesOf(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		items := make([]InstanceJSON, len(list))
		for i, x := range list {
			items[i] = s.instanceJSON(ctx, o, x)
		}
		return newPage(items, ""), nil
	})
	huma.Register(s.api, op("POST", "/dialog-instances/{id}/stop", "stop-dialog", "Take over from a dialog", "dialogs"), func(ctx context.Context, in *ByID) (*body[InstanceJSON], error) {
		o := s.org(ctx)
		i, err := dialog.InstanceByID(ctx, o, in.ID)
		if err == nil {
			_, err = s.see(ctx, o, i.Conversation)
		}
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		err = o.Write(ctx, func(tx *db.Tx) error {
			if i, err = s.Dialogs.Stop(ctx, tx, in.ID, actor(who(ctx))); err != nil {
				return err
			}
			u := actor(who(ctx))
			r, err := conversation.Get(ctx, tx, i.Conversation, "")
			if err != nil || r.Assignee != "" {
				return err
			}
			_, err = conversation.Update(ctx, tx, i.Conversation, conversation.Change{Assignee: &u}, u, s.Now())
			return err
		})
		if err != nil {
			return nil, s.dialogFail(ctx, err)
		}
		return &body[InstanceJSON]{s.instanceJSON(ctx, o, i)}, nil
	})
}
