// Package api is the front door: the JSON API with its OpenAPI document, webhooks from providers, the live stream and
// the files of the user interface. It checks who asks and what they may see, translates between JSON and the rooms, and
// holds no state of its own beyond that.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/contact"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/dialog"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/live"
	"github.com/rufweite/rufweite/internal/outbox"
)

// Options are what the API needs of the house.
type Options struct {
	DB             *db.DB
	Accounts       *account.Accounts
	Auth           *auth.Auth
	Blobs          *blob.Store
	Intake         *intake.Intake
	Outbox         *outbox.Outbox
	Asks           *ask.Store
	Dialogs        *dialog.Store
	Contact        *contact.Store                         // nil = there is no contact page
	AllMedia       func() map[channel.Kind]channel.Medium // every kind of channel, built or planned
	Log            *slog.Logger
	Now            func() time.Time
	PublicURL      string         // as configured; "" = as each request says
	TrustedProxies []netip.Prefix // whose X-Forwarded-* are believed
	URLKey         []byte         // signs the URLs of files that sandboxed frames load
	Version        string
	Web            fs.FS // built user interface; nil = none
	// Media fetches a remote image under the guard of package fetch.
	Media func(ctx context.Context, url string) (body []byte, mediaType string, err error)
	// Sanitise makes HTML that staff or programs write harmless.
	Sanitise func(html string) string
	// Proxied gives a message's HTML with remote images going through image.
	Proxied func(html string, image func(src string) string) string
	// Probe asks a channel's provider whether it works and records the result.
	Probe func(ctx context.Context, c account.Channel) error
	// AskTemplates asks a channel's provider for its templates and keeps them; nil = nobody can be asked.
	AskTemplates func(ctx context.Context, c account.Channel) error
	// OwnChannel tries out the channel that settings describe; nil = it is not served.
	OwnChannel *OwnChannel
	// Answers are the questions behind the answer page; nil = there is none.
	Answers Answers
	// StoreAnswer keeps a file that was uploaded there and gives its attachment id; nil = as any attachment.
	StoreAnswer func(ctx context.Context, org, name, mediaType string, r io.Reader) (string, error)
	// Extra are further handlers, by pattern (the demo's).
	Extra map[string]http.Handler
	// FrameOptions relaxes who may frame the desk: the demo shows it beside the customer. "" = nobody.
	FrameAncestors string
}

// Server answers HTTP.
type Server struct {
	Options
	hub     *live.Hub
	mux     *http.ServeMux
	api     huma.API
	ready   func() error
	metrics http.Handler
	cross   *http.CrossOriginProtection
	keys    keyLocks
	online  presence
	looking looking
	chats   chats

	answerPages answerPages
}

// humaErrors makes huma's own errors Problems. It is a setting of the whole process.
var humaErrors sync.Once

// New makes a Server; SetHub must follow before it serves the live stream.
func New(o Options) *Server {
	s := &Server{Options: o, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection()}
	humaErrors.Do(func() { huma.NewError, huma.NewErrorWithContext = newError, newErrorFor })
	if u, err := url.Parse(o.PublicURL); err == nil && u.Host != "" {
		// Behind a proxy that does not hand on the Host header the browser's origin is the public URL's.
		_ = s.cross.AddTrustedOrigin(u.Scheme + "://" + u.Host) // a malformed one is no origin of any browser
	}
	cfg := huma.DefaultConfig("Rufweite", o.Version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "/api/openapi", "", ""
	cfg.CreateHooks = nil
	cfg.AllowAdditionalPropertiesByDefault = true // unknown fields are ignored, so that programs written for later versions work
	cfg.FieldsOptionalByDefault = true
	cfg.Info.Description = "Customer contact on every channel. Errors are RFC 9457 problem+json; lists are paged by cursor; writes take Idempotency-Key."
	cfg.Info.License = &huma.License{Name: "AGPL-3.0-or-later", Identifier: "AGPL-3.0-or-later"}
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "rufweite token create"},
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie},
	}
	cfg.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	s.api = humago.New(s.mux, cfg)
	s.sessionRoutes()
	s.conversationRoutes()
	s.messageRoutes()
	s.participantRoutes()
	s.matterRoutes()
	s.workplaceRoutes()
	s.searchRoutes()
	s.askRoutes()
	s.dialogRoutes()
	s.customerRoutes()
	s.channelRoutes()
	s.kindRoutes()
	s.handoverRoutes()
	s.contactRoutes()
	s.staffRoutes()
	s.workRoutes()
	s.fileRoutes()
	s.liveRoutes()
	s.chatRoutes()
	s.answerRoutes()
	s.mux.HandleFunc("/in/{kind}/{id}", s.serveInbound)
	s.mux.HandleFunc("/in/{kind}/{id}/{rest...}", s.serveInbound)
	s.mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, "no_such_route", textIn(s.language(r), "Diesen Weg gibt es nicht.", "There is no such path.")))
	})
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writePlain(w, http.StatusOK, "ok") })
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.ready != nil {
			if err := s.ready(); err != nil {
				writePlain(w, http.StatusServiceUnavailable, err.Error())
				return
			}
		}
		writePlain(w, http.StatusOK, "ready")
	})
	s.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if s.metrics == nil {
			http.NotFound(w, r)
			return
		}
		s.metrics.ServeHTTP(w, r)
	})
	for pattern, h := range o.Extra {
		s.mux.Handle(pattern, h)
	}
	s.mux.HandleFunc("/", s.serveWeb)
	return s
}

// SetHub connects the live stream.
func (s *Server) SetHub(h *live.Hub) { s.hub = h }

// SetReady sets what /readyz asks.
func (s *Server) SetReady(fn func() error) { s.ready = fn }

// SetMetrics sets what /metrics shows.
func (s *Server) SetMetrics(h http.Handler) { s.metrics = h }

// OpenAPI gives the OpenAPI 3.1 document.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.api.OpenAPI() }

// MaxBody is the largest request body that is read, but for uploads and webhooks, in bytes.
const MaxBody = 4 << 20

// Handler is the whole front door.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
					panic(p)
				}
				s.Log.Error("a request crashed", "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				// If nothing was written yet, this tells; otherwise the client sees a cut answer.
				writeProblem(w, problem(http.StatusInternalServerError, "internal", textIn(s.language(r), "Das ist ein Fehler von Rufweite. Er steht im Protokoll des Servers.", "This is a fault of Rufweite. It is in the server's log.")))
			}
		}()
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if strings.HasPrefix(r.URL.Path, "/in/") { // the hot path
			s.mux.ServeHTTP(w, r)
			return
		}
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if s.secure(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if strings.HasPrefix(r.URL.Path, "/api/v1/") {
			s.guard(w, r)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
}

// open are the API paths that need no session.
func open(r *http.Request) bool {
	switch p := strings.TrimPrefix(r.URL.Path, "/api/v1"); {
	case p == "/setup", p == "/invite":
		return true
	case p == "/session":
		return r.Method == http.MethodPost
	case strings.HasPrefix(p, "/attachments/"), p == "/images":
		return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.Query().Has("s") // a signed URL
	}
	return false
}

type userKey struct{}

type requestKey struct{}

// who gives the signed-in user of a request that passed guard.
func who(ctx context.Context) auth.User {
	u, _ := ctx.Value(userKey{}).(auth.User)
	return u
}

// requestOf gives the HTTP request behind a huma handler.
func requestOf(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}

// guard lets in who may come in.
func (s *Server) guard(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	lang := s.language(r)
	if r.ContentLength > MaxBody && !strings.HasPrefix(r.URL.Path, "/api/v1/attachments") {
		writeProblem(w, problem(http.StatusRequestEntityTooLarge, "too_large", textIn(lang, "Die Anfrage ist größer als 4 MB. Laden Sie Dateien einzeln hoch.", "The request is larger than 4 MB. Upload files one by one.")))
		return
	}
	ctx := context.WithValue(r.Context(), requestKey{}, r)
	bearer := bearerOf(r)
	if bearer == "" {
		// A cookie is sent by the browser whoever asks it to; a token is not.
		if err := s.cross.Check(r); err != nil {
			writeProblem(w, problem(http.StatusForbidden, "cross_origin", textIn(lang, "Diese Anfrage kam von einer fremden Seite.", "This request came from another site.")))
			return
		}
	}
	if !open(r) {
		u, err := s.identify(ctx, r, bearer)
		if err != nil {
			if errors.Is(err, auth.ErrSignedOut) {
				writeProblem(w, problem(http.StatusUnauthorized, "signed_out", textIn(lang, "Bitte melden Sie sich an.", "Please sign in.")))
				return
			}
			s.Log.Error("a session could not be checked", "error", err)
			writeProblem(w, problem(http.StatusServiceUnavailable, "unavailable", textIn(lang, "Die Datenbank ist gerade nicht erreichbar. Versuchen Sie es gleich noch einmal.", "The database cannot be reached right now. Try again in a moment.")))
			return
		}
		ctx = context.WithValue(ctx, userKey{}, u)
	}
	r = r.WithContext(ctx)
	if key := r.Header.Get("Idempotency-Key"); key != "" && r.Method != http.MethodGet && !open(r) && keepsAnswers(r.URL.Path) {
		s.idempotent(w, r, key)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// bearerOf gives the API token of a request, "" if it has none.
func bearerOf(r *http.Request) string {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") { // RFC 9110 §11.1: the scheme's case does not matter
		return ""
	}
	return strings.TrimSpace(token)
}

func (s *Server) identify(ctx context.Context, r *http.Request, bearer string) (auth.User, error) {
	if bearer != "" {
		return s.Auth.Token(ctx, bearer)
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil || c.Value == "" {
		return auth.User{}, auth.ErrSignedOut
	}
	return s.Auth.Session(ctx, c.Value)
}

// language is the language of answers: the user's, or what the browser prefers.
func (s *Server) language(r *http.Request) string { return languageOf(r) }

func languageOf(r *http.Request) string {
	if u := who(r.Context()); u.Language != "" {
		return u.Language
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		tag = strings.ToLower(tag)
		if strings.HasPrefix(tag, "de") {
			return "de"
		}
		if strings.HasPrefix(tag, "en") {
			return "en"
		}
	}
	return "en"
}

// lang is language inside a huma handler.
func (s *Server) lang(ctx context.Context) string { return langOf(ctx) }

func langOf(ctx context.Context) string {
	if u := who(ctx); u.Language != "" {
		return u.Language
	}
	if r := requestOf(ctx); r != nil {
		return languageOf(r)
	}
	return "en"
}

// raw registers a handler that speaks for itself (files, streams) and documents it as every other operation is.
func (s *Server) raw(o huma.Operation, h http.HandlerFunc) {
	problems := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[*Problem](), true, "Problem")
	if o.Responses == nil {
		o.Responses = map[string]*huma.Response{}
	}
	o.Responses["default"] = &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problems}}}
	for _, m := range pathParameter.FindAllStringSubmatch(o.Path, -1) {
		o.Parameters = append(o.Parameters, &huma.Param{Name: m[1], In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
	}
	s.api.OpenAPI().AddOperation(&o)
	s.mux.HandleFunc(o.Method+" "+o.Path, h)
}

var pathParameter = regexp.MustCompile(`\{([a-z_]+)\}`)

func query(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: "string"}}
}

// answers describes what a raw operation gives.
func answers(status, doc, mediaType string, schema *huma.Schema) map[string]*huma.Response {
	if schema == nil {
		schema = &huma.Schema{Type: "string", Format: "binary"}
	}
	return map[string]*huma.Response{status: {Description: doc, Content: map[string]*huma.MediaType{mediaType: {Schema: schema}}}}
}

func textIn(language, de, en string) string { return channel.Text{DE: de, EN: en}.In(language) }

// text is a sentence in the language of whoever asks.
func (s *Server) text(ctx context.Context, de, en string) string { return textIn(s.lang(ctx), de, en) }

// org is the scope of whoever asks.
func (s *Server) org(ctx context.Context) db.Org { return s.DB.Org(who(ctx).Org) }

// trusted reports whether the request comes from a proxy whose X-Forwarded-* headers are believed.
func (s *Server) trusted(r *http.Request) bool {
	if len(s.TrustedProxies) == 0 {
		return false
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	for _, p := range s.TrustedProxies {
		if p.Contains(ap.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// clientIP is the address of whoever asks.
func (s *Server) clientIP(r *http.Request) string {
	if s.trusted(r) {
		hops := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
		if ip := strings.TrimSpace(hops[len(hops)-1]); ip != "" {
			return ip
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (s *Server) secure(r *http.Request) bool {
	return r.TLS != nil || (s.trusted(r) && r.Header.Get("X-Forwarded-Proto") == "https")
}

// base is scheme and host as the request names them.
func (s *Server) base(r *http.Request) string {
	scheme, host := "http", r.Host
	if s.secure(r) {
		scheme = "https"
	}
	if s.trusted(r) {
		if h := r.Header.Get("X-Forwarded-Host"); h != "" {
			host = h
		}
	}
	return scheme + "://" + host
}

// public is the URL under which customers and providers reach this server.
func (s *Server) public(r *http.Request) string {
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	return s.base(r)
}

func (s *Server) webhookURL(r *http.Request, c account.Channel) string {
	if _, ok := s.Accounts.Driver(c.Kind).(channel.Webhook); !ok {
		return ""
	}
	return s.public(r) + "/in/" + url.PathEscape(string(c.Kind)) + "/" + c.ID
}

func writePlain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // the client may be gone
}
