package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/channel"
)

// OwnChannel tries out descriptions of the channel of one's own. Its functions are pure: nothing is kept and nothing sent.
type OwnChannel struct {
	Try         func(s channel.Settings, sample *channel.Request, now time.Time) Trial
	TryOutgoing func(s channel.Settings, out channel.Outgoing, now time.Time) ([]Rendering, error)
	Examples    []OwnExample
}

// TrialField is what one expression gave for one item of a sample.
type TrialField struct {
	Item       int    `json:"item" doc:"-1: the request as a whole"`
	Key        string `json:"key"`
	Expression string `json:"expression"`
	Value      string `json:"value" doc:"as JSON"`
	Error      string `json:"error"`
}

// Trial is what becomes of a sample request.
type Trial struct {
	Unauthentic string
	Events      []channel.Event
	Reply       channel.Reply
	Error       string
	Fields      []TrialField
}

// Rendering is a request to the provider as it would be sent, with secrets masked.
type Rendering struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Header map[string]string `json:"headers"`
	Body   string            `json:"body"`
}

// SampleJSON is a request of a provider.
type SampleJSON struct {
	Name    string            `json:"name" maxLength:"100"`
	Method  string            `json:"method" maxLength:"10" doc:"empty: POST"`
	Query   string            `json:"query" maxLength:"4096"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body" maxLength:"262144"`
}

// OwnExample is a ready description to begin with.
type OwnExample struct {
	Key     string       `json:"key"`
	Title   channel.Text `json:"title"`
	About   channel.Text `json:"about"`
	APIURL  string       `json:"api_url"`
	Receive string       `json:"receive"`
	Send    string       `json:"send"`
	Samples []SampleJSON `json:"samples"`
}

// TrialJSON is what becomes of a sample request, in the API's words.
type TrialJSON struct {
	Events      []json.RawMessage `json:"events" doc:"as they would be stored"`
	Error       string            `json:"error" doc:"nothing could be understood, and why"`
	Unauthentic string            `json:"unauthentic" doc:"why the request would be refused; a pasted sample often has no signature and is mapped all the same"`
	Fields      []TrialField      `json:"fields"`
	Reply       struct {
		Status int    `json:"status"`
		Type   string `json:"type"`
		Body   string `json:"body"`
	} `json:"reply" doc:"what the provider would be answered"`
}

// RenderingsJSON are the requests that a message would become.
type RenderingsJSON struct {
	Items []Rendering `json:"items"`
	Error string      `json:"error"`
}

func (s *Server) kindRoutes() {
	huma.Register(s.ours(), op("GET", "/channel-kinds/{kind}/guide", "get-channel-guide", "How a kind of channel is set up, as Markdown", "channels"), func(ctx context.Context, in *struct {
		Kind string `path:"kind"`
	}) (*body[struct {
		Markdown string `json:"markdown"`
	}], error) {
		d, ok := s.Accounts.Driver(channel.Kind(in.Kind)).(interface{ Guide() string })
		if !ok {
			return nil, problem(http.StatusNotFound, "not_found", s.text(ctx, "Für diese Art von Kanal gibt es keine Anleitung.", "There is no guide to this kind of channel."))
		}
		out := &body[struct {
			Markdown string `json:"markdown"`
		}]{}
		out.Body.Markdown = d.Guide()
		return out, nil
	})
	if s.OwnChannel != nil {
		s.tryRoutes()
	}
	raw := op("GET", "/messages/{id}/raw", "get-message-raw", "What the provider sent, for what cannot be shown; managers only, secrets masked", "messages")
	raw.Responses = answers("200", "The body as text; JSON is indented", "text/plain", &huma.Schema{Type: "string"})
	s.raw(raw, s.serveRaw)
}

func (s *Server) tryRoutes() {
	managed := func(ctx context.Context) error {
		if !who(ctx).CanManage() {
			return s.forbidden(ctx)
		}
		return nil
	}
	huma.Register(s.ours(), op("GET", "/channel-kinds/webhook/examples", "list-own-channel-examples", "Ready descriptions of common kinds of providers", "channels"), func(ctx context.Context, _ *struct{}) (*page[OwnExample], error) {
		return newPage(s.OwnChannel.Examples, ""), managed(ctx)
	})
	huma.Register(s.ours(), op("POST", "/channel-kinds/webhook/try", "try-own-channel", "Map a sample request with a description that is not saved; nothing is kept", "channels"), func(ctx context.Context, in *struct {
		Body struct {
			Settings map[string]string `json:"settings"`
			Sample   SampleJSON        `json:"sample"`
		}
	}) (*body[TrialJSON], error) {
		if err := managed(ctx); err != nil {
			return nil, err
		}
		r := s.OwnChannel.Try(in.Body.Settings, in.Body.Sample.request(s.Now()), s.Now())
		out := &body[TrialJSON]{TrialJSON{Events: []json.RawMessage{}, Error: r.Error, Unauthentic: r.Unauthentic, Fields: r.Fields}}
		if r.Fields == nil {
			out.Body.Fields = []TrialField{}
		}
		for _, e := range r.Events {
			j, err := json.Marshal(e)
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			out.Body.Events = append(out.Body.Events, j)
		}
		out.Body.Reply.Status, out.Body.Reply.Type, out.Body.Reply.Body = r.Reply.Status, r.Reply.Type, plain(r.Reply.Body)
		return out, nil
	})
	huma.Register(s.ours(), op("POST", "/channel-kinds/webhook/try-outgoing", "try-own-channel-outgoing", "The requests that a message would become; nothing is sent", "channels"), func(ctx context.Context, in *struct {
		Body struct {
			Settings map[string]string `json:"settings"`
			Message  struct {
				To      string   `json:"to" maxLength:"200"`
				Text    string   `json:"text" maxLength:"10000"`
				Subject string   `json:"subject" maxLength:"500"`
				Choices []string `json:"choices" maxItems:"20" doc:"labels of buttons"`
			} `json:"message"`
		}
	}) (*body[RenderingsJSON], error) {
		if err := managed(ctx); err != nil {
			return nil, err
		}
		m := in.Body.Message
		msg := channel.Outgoing{DeliveryID: "0190a000-0000-7000-8000-000000000000", To: channel.Address{Value: m.To}, Text: m.Text, Subject: m.Subject, Author: channel.Staff, AuthorName: who(ctx).Name, At: s.Now()}
		for _, label := range m.Choices {
			msg.Choices = append(msg.Choices, channel.Choice{Label: label, Data: label})
		}
		list, err := s.OwnChannel.TryOutgoing(in.Body.Settings, msg, s.Now())
		out := &body[RenderingsJSON]{RenderingsJSON{Items: list}}
		if list == nil {
			out.Body.Items = []Rendering{}
		}
		if err != nil {
			out.Body.Error = err.Error()
		}
		return out, nil
	})
}

// request is the sample as it would come.
func (j SampleJSON) request(now time.Time) *channel.Request {
	r := &channel.Request{Method: j.Method, Header: http.Header{}, Body: []byte(j.Body), At: now}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	r.Query, _ = url.ParseQuery(strings.TrimPrefix(j.Query, "?")) // what can be read of it
	for k, v := range j.Headers {
		r.Header.Set(k, v)
	}
	return r
}

// plain is a body as text, whatever its bytes are.
func plain(b []byte) string { return strings.ToValidUTF8(string(b), string(utf8.RuneError)) }

// rawMax is how much of a raw body is shown.
const rawMax = 1 << 20

// Providers put shared secrets into bodies, too (Slack's verification token).
const secretKeys = `token|verification_token|access_token|secret|password|api_key|api_secret|signature|sig`

var (
	secretJSON = regexp.MustCompile(`(?i)("(?:` + secretKeys + `)"\s*:\s*)"(?:[^"\\]|\\.)*"`)
	secretForm = regexp.MustCompile(`(?i)((?:^|&)(?:` + secretKeys + `)=)[^&]*`)
)

// readable indents JSON and masks what proves the provider or us.
func readable(raw []byte, secrets []string) string {
	if len(raw) > rawMax {
		raw = raw[:rawMax]
	}
	text := plain(raw)
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") == nil {
		text = secretJSON.ReplaceAllString(b.String(), `${1}"`+hidden+`"`)
	} else if !strings.ContainsAny(text, "\n ") {
		text = secretForm.ReplaceAllString(text, "${1}"+hidden)
	}
	for _, v := range secrets {
		if len(v) >= 6 {
			text = strings.ReplaceAll(text, v, hidden)
		}
	}
	return text
}

func (s *Server) serveRaw(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	o := s.org(ctx)
	m, err := s.seeMessage(ctx, o, r.PathValue("id"))
	if err != nil {
		s.writeFailure(ctx, w, err)
		return
	}
	if !who(ctx).CanManage() {
		writeProblem(w, s.forbidden(ctx))
		return
	}
	if m.Raw == "" {
		writeProblem(w, problem(http.StatusNotFound, "not_found", s.text(ctx, "Von dieser Nachricht ist kein Original aufgehoben.", "No original of this message is kept.")))
		return
	}
	raw, _, err := s.Intake.Raw(ctx, o, m.Raw)
	if err != nil {
		s.writeFailure(ctx, w, err)
		return
	}
	var secrets []string
	if c, err := s.Accounts.Get(o.ID, m.Channel); err == nil {
		if d := s.Accounts.Driver(c.Kind); d != nil {
			for _, one := range d.Settings() {
				if one.Secret {
					secrets = append(secrets, channel.Rotation(c.Settings[one.Key])...)
				}
			}
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'")
	w.Header().Set("Cache-Control", "private, no-store")
	_, _ = w.Write([]byte(readable(raw, secrets))) // the client may be gone
}
