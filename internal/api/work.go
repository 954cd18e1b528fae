package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/intake"
)

// WorkItemJSON is something that came in and could not be processed.
type WorkItemJSON struct {
	ID         string         `json:"id"`
	Channel    ChannelRefJSON `json:"channel"`
	Reason     string         `json:"reason" doc:"in plain words"`
	Error      string         `json:"error" doc:"technical"`
	ReceivedAt time.Time      `json:"received_at"`
	Sender     string         `json:"sender"`
	Attempts   int64          `json:"attempts"`
	State      string         `json:"state" enum:"open,dismissed,done,pending"`
	Size       int64          `json:"size" doc:"bytes of the raw body"`
}

// WorkItemDetailJSON is a work item with what came in.
type WorkItemDetailJSON struct {
	WorkItemJSON
	Raw     string            `json:"raw" doc:"up to 64 KB, as text"`
	RawURL  string            `json:"raw_url"`
	RawType string            `json:"raw_type"`
	Events  []json.RawMessage `json:"events"`
}

func (s *Server) workItem(ctx context.Context, w intake.WorkItem) WorkItemJSON {
	j := WorkItemJSON{ID: w.ID, Channel: ChannelRefJSON{ID: w.Channel}, Reason: w.Reason.In(s.lang(ctx)), Error: w.Error, ReceivedAt: w.At, Sender: w.Sender, Attempts: w.Attempts, State: w.State, Size: w.Size}
	if c, err := s.Accounts.Get(who(ctx).Org, w.Channel); err == nil {
		j.Channel.Kind, j.Channel.Name = string(c.Kind), c.Name
	}
	return j
}

func (s *Server) workRoutes() {
	huma.Register(s.api, op("GET", "/work-items", "list-work-items", "What came in and could not be processed", "work items"), func(ctx context.Context, in *struct {
		State string `query:"state" enum:"open" default:"open"`
		Paging
	}) (*page[WorkItemJSON], error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		list, err := intake.WorkItems(ctx, s.org(ctx), in.Cursor, in.Limit+1)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		next := ""
		if len(list) > in.Limit {
			list = list[:in.Limit]
			next = list[in.Limit-1].ID
		}
		var items []WorkItemJSON
		for _, w := range list {
			items = append(items, s.workItem(ctx, w))
		}
		return newPage(items, next), nil
	})
	huma.Register(s.api, op("GET", "/work-items/{id}", "get-work-item", "A work item with what came in", "work items"), func(ctx context.Context, in *ByID) (*body[WorkItemDetailJSON], error) {
		if who(ctx).Role == auth.Partner {
			return nil, s.forbidden(ctx)
		}
		o := s.org(ctx)
		w, err := intake.GetWorkItem(ctx, o, in.ID)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &body[WorkItemDetailJSON]{WorkItemDetailJSON{WorkItemJSON: s.workItem(ctx, w), RawURL: "/api/v1/work-items/" + w.ID + "/raw", Events: []json.RawMessage{}}}
		raw, typ, err := s.Intake.Raw(ctx, o, w.Raw)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if len(raw) > 64<<10 {
			raw = raw[:64<<10]
		}
		out.Body.Raw, out.Body.RawType = strings.ToValidUTF8(string(raw), string(utf8.RuneError)), typ
		if w.Event != "" {
			out.Body.Events = append(out.Body.Events, json.RawMessage(w.Event))
		}
		return out, nil
	})
	act := func(id, path, summary string, do func(context.Context, db.Org, string) error) {
		huma.Register(s.api, op("POST", "/work-items/{id}/"+path, id, summary, "work items"), func(ctx context.Context, in *ByID) (*body[WorkItemJSON], error) {
			if who(ctx).Role == auth.Partner {
				return nil, s.forbidden(ctx)
			}
			o := s.org(ctx)
			before, err := intake.GetWorkItem(ctx, o, in.ID)
			if err == nil {
				err = do(ctx, o, in.ID)
			}
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			if after, err := intake.GetWorkItem(ctx, o, in.ID); err == nil {
				return &body[WorkItemJSON]{s.workItem(ctx, after)}, nil
			}
			before.State = "pending"
			return &body[WorkItemJSON]{s.workItem(ctx, before)}, nil
		})
	}
	act("retry-work-item", "retry", "Process it again", s.Intake.Retry)
	act("dismiss-work-item", "dismiss", "Put it away", func(ctx context.Context, o db.Org, id string) error {
		return o.Write(ctx, func(tx *db.Tx) error { return intake.Dismiss(ctx, tx, id) })
	})
	raw := op("GET", "/work-items/{id}/raw", "get-work-item-raw", "What came in, byte for byte", "work items")
	raw.Responses = answers("200", "The body", "application/octet-stream", nil)
	s.raw(raw, func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if who(ctx).Role == auth.Partner {
			writeProblem(w, s.forbidden(ctx))
			return
		}
		item, err := intake.GetWorkItem(ctx, s.org(ctx), r.PathValue("id"))
		var raw []byte
		if err == nil {
			raw, _, err = s.Intake.Raw(ctx, s.org(ctx), item.Raw)
		}
		if err != nil {
			s.writeFailure(ctx, w, err)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="`+item.ID+`.bin"`)
		_, _ = w.Write(raw)
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
