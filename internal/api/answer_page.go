package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
)

// The answer page, /a/{code}: one question, for whoever holds its code; no login, no script, nothing to load. A GET
// shows and never answers, since machines follow links; a POST answers. It is HTML for people, outside /api/v1.

// Answers is what the answer page needs of the questions (package ask, Store).
type Answers interface {
	// Open gives the question behind a code; ask.ErrNoCode if there is none.
	Open(ctx context.Context, code string) (ask.Opened, error)
	// AnswerByCode takes an answer. An Outcome with a Problem means that it was not taken.
	AnswerByCode(ctx context.Context, code string, r ask.PageReply) (ask.Opened, ask.Outcome, error)
	// PersonByCode says that the customer wants a person.
	PersonByCode(ctx context.Context, code string) (ask.Opened, error)
}

// Limits of the answer page.
const (
	answerFileMax   = 25 << 20 // bytes of all files of an answer
	answerFilesMax  = 10
	answerFieldsMax = 256 << 10 // bytes of everything else
	answerDrawMax   = 1 << 20   // bytes of a drawn signature
	wrongCodesMax   = 20        // of one address in wrongCodesTime
	wrongCodesTime  = 10 * time.Minute
)

//go:embed answer/page.html
var answerHTML string

//go:embed answer/style.css
var answerCSS string

//go:embed answer/sign.js
var answerJS string

var (
	answerTemplate = template.Must(template.New("answer").Parse(answerHTML))
	// The policy names the very style and script of the page by their hash (CSP 3 §2.3.1).
	answerPolicy = "default-src 'none'; style-src '" + cspHash(answerCSS) + "'; script-src '" + cspHash(answerJS) + "'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func cspHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// answerPages keeps in memory who tried codes that do not exist.
type answerPages struct {
	wrong wrongCodes
}

// answerRoutes registers the page. Without Options.Answers it says that it is not available.
func (s *Server) answerRoutes() {
	s.mux.HandleFunc("GET /a", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/a/", http.StatusMovedPermanently) })
	s.mux.HandleFunc("GET /a/{$}", s.serveAnswerCode)
	s.mux.HandleFunc("GET /a/{code}", s.serveAnswer)
	s.mux.HandleFunc("POST /a/{code}", s.takeAnswer)
}

// serveAnswerCode is where one types the code of a letter.
func (s *Server) serveAnswerCode(w http.ResponseWriter, r *http.Request) {
	if code := ask.NormaliseCode(r.URL.Query().Get("code")); code != "" && len(code) <= 40 {
		http.Redirect(w, r, "/a/"+url.PathEscape(code), http.StatusSeeOther)
		return
	}
	s.writeAnswer(w, r, http.StatusOK, &answerView{View: "enter"})
}

// serveAnswer shows the question, or what became of it.
func (s *Server) serveAnswer(w http.ResponseWriter, r *http.Request) {
	o, ok := s.openAnswer(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	v := s.answerView(r, o)
	switch change := q.Has("change"); {
	case change && v.View == "answered" && o.Correctable:
		v.View, v.keep = "open", keptOf(o)
	case change && v.View == "proving": // another address
		v.View = "open"
	}
	if v.View == "open" {
		if q.Has("o") && !o.Stale {
			v.keep = url.Values{"o": q["o"]}
		}
		s.fillAnswer(v, o)
	}
	s.writeAnswer(w, r, http.StatusOK, v)
}

// openAnswer finds the question; if it cannot, it has answered.
func (s *Server) openAnswer(w http.ResponseWriter, r *http.Request) (ask.Opened, bool) {
	if s.Answers == nil {
		s.writeAnswer(w, r, http.StatusServiceUnavailable, &answerView{View: "unavailable"})
		return ask.Opened{}, false
	}
	from := s.clientIP(r)
	if wait := s.answerPages.wrong.blocked(from, s.Now()); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		s.writeAnswer(w, r, http.StatusTooManyRequests, &answerView{View: "busy", wait: wait})
		return ask.Opened{}, false
	}
	o, err := s.Answers.Open(r.Context(), ask.NormaliseCode(r.PathValue("code")))
	switch {
	case errors.Is(err, ask.ErrNoCode):
		s.answerPages.wrong.add(from, s.Now())
		s.writeAnswer(w, r, http.StatusNotFound, &answerView{View: "unknown"})
		return o, false
	case err != nil:
		s.answerFailed(w, r, err)
		return o, false
	}
	return o, true
}

func (s *Server) answerFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.Log.Error("an answer page failed", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	s.writeAnswer(w, r, http.StatusServiceUnavailable, &answerView{View: "unavailable"})
}

// takeAnswer answers, asks for a person, or proves an address by its code. What was done is shown by a GET, so that a
// reload sends nothing twice.
func (s *Server) takeAnswer(w http.ResponseWriter, r *http.Request) {
	o, ok := s.openAnswer(w, r)
	if !ok {
		return
	}
	ctx, code := r.Context(), ask.NormaliseCode(r.PathValue("code"))
	lang := answerLanguage(r, o)
	form, files, err := s.answerForm(w, r, o, lang)
	var failed *formError
	if err != nil && !errors.As(err, &failed) {
		s.answerFailed(w, r, err)
		return
	}
	there := "/a/" + url.PathEscape(code)
	if l := r.URL.Query().Get("lang"); l != "" {
		there += "?lang=" + url.QueryEscape(l)
	}
	if form.Get("person") != "" {
		if _, err := s.Answers.PersonByCode(ctx, code); err != nil {
			s.answerFailed(w, r, err)
			return
		}
		http.Redirect(w, r, there, http.StatusSeeOther)
		return
	}
	again := func(wrong map[string]string) {
		v := s.answerView(r, o)
		v.View, v.keep, v.bad = "open", form, wrong
		if o.Proving && form.Has("proof") {
			v.View = "proving"
		}
		s.fillAnswer(v, o)
		s.writeAnswer(w, r, http.StatusUnprocessableEntity, v)
	}
	if failed != nil {
		again(map[string]string{failed.field: failed.text})
		return
	}
	if o.State != "open" && (o.State != "answered" || !o.Correctable) { // answered elsewhere meanwhile, or over
		http.Redirect(w, r, there, http.StatusSeeOther)
		return
	}
	if e := form.Get("edition"); e != "" && e != o.Ask.Edition() { // other times are free by now
		form.Del("o")
		again(map[string]string{"o": ask.ReAsk(o.Ask, ask.Outcome{Problem: ask.OutOfRange, Detail: "slot"}, lang)})
		return
	}
	reply := ask.PageReply{Language: lang}
	if o.Proving && form.Has("proof") {
		if reply.Text = strings.TrimSpace(form.Get("proof")); reply.Text == "" {
			again(map[string]string{"proof": ask.ReAsk(o.Ask, ask.Outcome{Problem: ask.Unclear, Detail: "code"}, lang)})
			return
		}
	} else {
		c := ask.Context{Now: s.Now(), Language: lang, Code: code}
		value, wrong := s.answerValue(o, form, files, c)
		if len(wrong) > 0 {
			again(wrong)
			return
		}
		reply.Value, reply.Files = &value, files
	}
	opened, out, err := s.Answers.AnswerByCode(ctx, code, reply)
	if err != nil {
		s.answerFailed(w, r, err)
		return
	}
	if opened.State != "" {
		o = opened
	}
	switch {
	case out.Problem == "", out.Problem == ask.Person:
	case out.Problem == ask.NeedsPage && out.Detail == "code": // one was sent
		v := s.answerView(r, o)
		v.View = "proving"
		s.writeAnswer(w, r, http.StatusOK, v)
		return
	case o.State != "open" && !o.Correctable:
	default:
		field := firstField(o.Ask)
		if form.Has("proof") {
			field = "proof"
		}
		again(map[string]string{field: ask.ReAsk(o.Ask, out, lang)})
		return
	}
	http.Redirect(w, r, there, http.StatusSeeOther)
}

// answerValue is what the form says, with its files.
func (s *Server) answerValue(o ask.Opened, form url.Values, files []ask.ReplyFile, c ask.Context) (ask.Value, map[string]string) {
	if o.Ask.Kind == ask.File && (!o.Ask.Optional || form.Get("skip") == "") {
		return s.answerFiles(o.Ask, files, c)
	}
	value, wrong := ask.ValueFromForm(o.Ask, form, c)
	if o.Ask.Kind == ask.Signature && !value.Skipped {
		for _, f := range files {
			if !o.Ask.Accepts(f.MediaType) {
				wrong["files"] = ask.ReAsk(ask.Ask{Kind: ask.File, Text: o.Ask.Text, Accept: []string{"image/*"}}, ask.Outcome{Problem: ask.WrongType, Detail: "type"}, c.Language)
				continue
			}
			value.Files = append(value.Files, f.ID)
		}
	}
	return value, wrong
}

func (s *Server) answerFiles(a ask.Ask, files []ask.ReplyFile, c ask.Context) (v ask.Value, wrong map[string]string) {
	out := ask.Outcome{}
	for _, f := range files {
		v.Files = append(v.Files, f.ID)
		if !a.Accepts(f.MediaType) {
			out = ask.Outcome{Problem: ask.WrongType, Detail: "type"}
		}
	}
	out.Value = v
	switch {
	case out.Problem != "":
	case len(files) < max(a.Least, 1):
		out.Problem = ask.TooFew
	case len(files) > cmp.Or(a.Most, answerFilesMax):
		out.Problem = ask.TooMany
	}
	if out.Problem != "" {
		return v, map[string]string{"files": ask.ReAsk(a, out, c.Language)}
	}
	return v, nil
}

// formError is something in the form that its sender can mend.
type formError struct{ field, text string }

func (e *formError) Error() string { return e.field + ": " + e.text }

// answerForm reads the form; its files are streamed into the store as they come. The kind of a file is told by its
// content as far as that can be told.
func (s *Server) answerForm(w http.ResponseWriter, r *http.Request, o ask.Opened, lang string) (url.Values, []ask.ReplyFile, error) {
	words := answerWordsFor(lang)
	form := url.Values{}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	unreadable := &formError{"", words.Unreadable}
	switch {
	case err != nil:
		return form, nil, unreadable
	case kind == "application/x-www-form-urlencoded":
		r.Body = http.MaxBytesReader(w, r.Body, answerFieldsMax)
		if err := r.ParseForm(); err != nil {
			return form, nil, unreadable
		}
		return r.PostForm, nil, nil
	case kind != "multipart/form-data":
		return form, nil, unreadable
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(15 * time.Minute)) // photos over a slow line; not every writer has one
	tooLarge := &formError{"files", words.TooLarge}
	body := multipart.NewReader(http.MaxBytesReader(w, r.Body, answerFileMax+answerFieldsMax+answerDrawMax*2), params["boundary"])
	broken := func(err error) error {
		var large *http.MaxBytesError
		if errors.As(err, &large) || errors.Is(err, blob.ErrTooLarge) {
			return tooLarge
		}
		if r.Context().Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) {
			return unreadable
		}
		return err
	}
	var files []ask.ReplyFile
	takes := o.Ask.Kind == ask.File || o.Ask.Kind == ask.Signature
	left, fields := int64(answerFileMax), 0
	var problem *formError
	for {
		part, err := body.NextPart()
		if err == io.EOF { //nolint:errorlint // wrapped, it means that the form was cut short
			break
		}
		if err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				return form, nil, tooLarge
			}
			return form, nil, unreadable
		}
		name := part.FormName()
		if part.FileName() == "" {
			most := int64(answerFieldsMax - fields)
			if name == "drawing" {
				most = answerDrawMax * 2
			}
			b, err := io.ReadAll(io.LimitReader(part, most+1))
			switch {
			case err != nil:
				return form, nil, broken(err)
			case int64(len(b)) > most:
				return form, nil, unreadable
			case name == "drawing":
				f, err := s.keepDrawing(r.Context(), o, string(b), takes)
				if err != nil {
					return form, nil, err
				}
				files = append(files, f...)
			case name == "files": // an empty choice
			default:
				fields += len(b)
				form.Add(name, string(b))
			}
			continue
		}
		if name != "files" || !takes || problem != nil {
			continue // NextPart skips what is left of it
		}
		if len(files) >= answerFilesMax {
			problem = &formError{"files", words.TooMany}
			continue
		}
		head := make([]byte, 512)
		n, err := io.ReadFull(part, head)
		if n == 0 {
			continue // a field without a file
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return form, nil, broken(err)
		}
		head = head[:n]
		clean := conversation.CleanFileName(part.FileName())
		mediaType, ok := fileKind(clean, head)
		if !ok {
			problem = &formError{"files", fmt.Sprintf(words.FileType, clean)}
			continue
		}
		counted := &countReader{r: io.MultiReader(bytes.NewReader(head), part)}
		id, err := s.storeAnswer(r.Context(), o.Org, clean, mediaType, io.LimitReader(counted, left+1))
		if err != nil {
			return form, nil, broken(err)
		}
		if left -= counted.n; left < 0 {
			problem = tooLarge
			continue
		}
		files = append(files, ask.ReplyFile{ID: id, Name: clean, MediaType: mediaType})
	}
	if problem != nil {
		return form, nil, problem
	}
	return form, files, nil
}

type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// keepDrawing keeps a signature that was drawn: a data URL of a PNG.
func (s *Server) keepDrawing(ctx context.Context, o ask.Opened, data string, takes bool) ([]ask.ReplyFile, error) {
	encoded, is := strings.CutPrefix(data, "data:image/png;base64,")
	if !is || !takes || o.Ask.Kind != ask.Signature {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(b) > answerDrawMax || http.DetectContentType(b) != "image/png" {
		return nil, nil
	}
	name := "Unterschrift.png"
	if !strings.HasPrefix(o.Language, "de") {
		name = "signature.png"
	}
	id, err := s.storeAnswer(ctx, o.Org, name, "image/png", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return []ask.ReplyFile{{ID: id, Name: name, MediaType: "image/png"}}, nil
}

// storeAnswer keeps a file of an answer; it belongs to no message yet.
func (s *Server) storeAnswer(ctx context.Context, org, name, mediaType string, r io.Reader) (string, error) {
	if s.StoreAnswer != nil {
		return s.StoreAnswer(ctx, org, name, mediaType, r)
	}
	sum, size, err := s.Blobs.Put(ctx, r, answerFileMax)
	if err != nil {
		return "", err
	}
	a := conversation.Attachment{ID: db.NewID(), Name: name, MediaType: mediaType, Size: size, Blob: sum, State: conversation.Stored}
	err = s.DB.Org(org).Write(ctx, func(tx *db.Tx) error { return conversation.AddAttachment(ctx, tx, a, 0, s.Now()) })
	return a.ID, err
}

// answerView is what the template shows.
type answerView struct {
	View, Lang, Title, Company, Question, Hint, Bounds string
	Answer, Elsewhere, Footer, Expires                 string
	Action, ChangeURL                                  string
	Machine, Correctable, PersonOffered                bool
	Languages                                          []answerTongue
	W                                                  answerWords
	F                                                  ask.FormText
	CSS                                                template.CSS
	Script                                             template.JS
	Errors                                             []answerError
	Input, Edition                                     string
	Group, Scale, Optional, Multiple                   bool
	Groups                                             []answerGroup
	From, Until, Unit, Accept, Amount                  string
	PayURL                                             string
	MaxLength                                          int
	AddressFields                                      []answerField
	MachineText                                        string

	keep url.Values
	bad  map[string]string
	wait time.Duration
}

type answerTongue struct {
	Tag, Name, URL string
	Current        bool
}

type answerError struct{ Field, Text string }

type answerGroup struct {
	Title   string
	Options []answerOption
}

type answerOption struct {
	N                  int
	Label, Description string
	Chosen             bool
}

type answerField struct {
	Name, Label, Autocomplete string
	Short                     bool
}

// Kept is what was typed before.
func (v *answerView) Kept(field string) string { return v.keep.Get(field) }

// Bad is what is wrong with a field, "" = nothing.
func (v *answerView) Bad(field string) string { return v.bad[field] }

type answerAbout struct{ Bad, By string }

// About says what describes a field.
func (v *answerView) About(field string) answerAbout {
	var by []string
	if v.Hint != "" {
		by = append(by, "hint")
	}
	if v.Bounds != "" {
		by = append(by, "bounds")
	}
	if v.bad[field] != "" {
		by = append(by, "e-"+field)
	}
	return answerAbout{v.bad[field], strings.Join(by, " ")}
}

// Describe names what describes the group of options.
func (v *answerView) Describe() string {
	return v.About("o").By
}

// answerLanguage is the language of the page: what was chosen on it, or the question's.
func answerLanguage(r *http.Request, o ask.Opened) string {
	if l := r.URL.Query().Get("lang"); l != "" && len(l) <= 35 {
		for tag := range o.Ask.Text {
			if tag == l {
				return l
			}
		}
		if l == "de" || l == "en" || l == "de-simple" {
			return l
		}
	}
	if o.Language != "" {
		return o.Language
	}
	return languageOf(r)
}

// answerView begins the view of a question.
func (s *Server) answerView(r *http.Request, o ask.Opened) *answerView {
	lang := answerLanguage(r, o)
	v := &answerView{View: o.State, Lang: lang, Company: o.Company, PersonOffered: true}
	view := ask.NewView(o.Ask, ask.Options{Language: lang, Zone: o.Ask.Zone})
	v.Lang = view.Language
	v.W = answerWordsFor(v.Lang)
	v.F = view.Words
	v.Question, v.Edition = view.Question, o.Ask.Edition()
	v.Title = firstOf(o.Ask.Short.Get(lang), view.Question)
	if v.Company != "" {
		v.Title += " · " + v.Company
	}
	v.Action = r.URL.EscapedPath()
	query := ""
	if l := r.URL.Query().Get("lang"); l != "" {
		query = "lang=" + url.QueryEscape(l)
		v.Action += "?" + query
	}
	v.ChangeURL = r.URL.EscapedPath() + "?change=1"
	if query != "" {
		v.ChangeURL += "&" + query
	}
	for _, tag := range o.Ask.Text.Languages() {
		v.Languages = append(v.Languages, answerTongue{tag, tongueName(tag), r.URL.EscapedPath() + "?lang=" + url.QueryEscape(tag), tag == v.Lang})
	}
	switch o.State {
	case "open":
		if o.Proving {
			v.View = "proving"
		}
		if !o.ExpiresAt.IsZero() {
			v.Expires = fmt.Sprintf(v.W.Until, s.answerTime(v.Lang, o.Ask.Zone, o.ExpiresAt))
		}
	case "answered":
		v.Answer = o.Value.Show(o.Ask, v.Lang)
		v.Correctable = o.Correctable
		at := s.answerTime(v.Lang, o.Ask.Zone, o.AnsweredAt)
		switch via := o.AnsweredVia; {
		case o.Value.Defaulted:
			v.Elsewhere, v.W.AnsweredTitle = fmt.Sprintf(v.W.Defaulted, at), v.W.ExpiredTitle
		case o.AnsweredBy == "staff":
			v.Elsewhere = fmt.Sprintf(v.W.Entered, at)
		case via != "" && via != "page":
			v.Elsewhere = fmt.Sprintf(v.W.Elsewhere, at, s.channelTitle(via, v.Lang))
		}
	}
	if o.Address != "" {
		v.Footer = fmt.Sprintf(v.W.SentTo, o.Address)
	}
	return v
}

// channelTitle is a medium's name for people.
func (s *Server) channelTitle(kind, lang string) string {
	if s.AllMedia != nil {
		if m, ok := s.medium(kind); ok {
			return m.Title.In(lang)
		}
	}
	return kind
}

// fillAnswer adds the fields.
func (s *Server) fillAnswer(v *answerView, o ask.Opened) {
	a := o.Ask
	view := ask.NewView(a, ask.Options{Language: v.Lang, Zone: a.Zone})
	v.Hint, v.Machine, v.Input, v.Optional = view.Hint, view.Machine, view.Input, view.Optional
	v.Bounds = a.Sentence(v.Lang)
	v.MachineText = v.W.Machine
	v.From, v.Until, v.Unit, v.MaxLength, v.Amount = view.From, view.Until, view.Unit, view.MaxLength, view.Amount
	v.Accept = strings.Join(view.Accept, ",")
	switch v.Input {
	case "buttons":
		v.Input = "radio"
		if a.Kind == ask.Rating && a.Scale == "0-10" {
			v.Scale, v.Bounds, v.Hint = true, "", a.Hint.Get(v.Lang)
		}
	case "file":
		v.Multiple = a.Most != 1
		v.Bounds = ""
		v.W.Files, v.W.FilesHint = v.W.fileWords(a)
	case "signature":
		v.Script = template.JS(answerJS) //nolint:gosec // our own file
	case "address":
		f := v.F
		v.AddressFields = []answerField{{"name", f.Name, "name", false}, {"street", f.Street, "street-address", false}, {"extra", f.Extra, "address-line2", false}, {"postal_code", f.Postal, "postal-code", true}, {"city", f.City, "address-level2", false}}
	case "link":
		v.PayURL = a.URL
	}
	v.Group = v.Input == "radio" || v.Input == "checkbox"
	day := ""
	for i, p := range view.Options {
		option := answerOption{N: i, Label: p.Label, Description: p.Description, Chosen: slices.Contains(v.keep["o"], strconv.Itoa(i))}
		title := ""
		if a.Kind == ask.Slot && !p.Start.IsZero() && len(view.Options) > 3 {
			title, option.Label = ask.SlotDay(v.Lang, a.Zone, p.Start)
		}
		if len(v.Groups) == 0 || title != day {
			v.Groups = append(v.Groups, answerGroup{Title: title})
			day = title
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Options = append(g.Options, option)
	}
	order := []string{"", "o", "date", "time", "words", "name", "street", "extra", "postal_code", "city", "files", "signed", "agree", "proof"}
	for _, field := range order {
		if text := v.bad[field]; text != "" {
			v.Errors = append(v.Errors, answerError{field, text})
		}
	}
}

// firstField is where an answer as a whole is wrong.
func firstField(a ask.Ask) string {
	switch a.Kind {
	case ask.Date, ask.DateTime:
		return "date"
	case ask.YesNo, ask.OneOf, ask.ManyOf, ask.Slot, ask.Rating, ask.Consent:
		return "o"
	case ask.File:
		return "files"
	case ask.Signature:
		return "signed"
	case ask.Address:
		return "street"
	case ask.Payment:
		return ""
	}
	return "words"
}

// keptOf puts an answer back into the form, to be changed.
func keptOf(o ask.Opened) url.Values {
	a, v := o.Ask, o.Value
	form := url.Values{}
	keys, _ := a.Labels("de", "")
	add := func(key string) {
		if i := slices.Index(keys, key); i >= 0 {
			form.Add("o", strconv.Itoa(i))
		}
	}
	switch {
	case v.Yes != nil && *v.Yes:
		add("yes")
	case v.Yes != nil:
		add("no")
	case v.Key != "":
		add(v.Key)
	case len(v.Keys) > 0:
		for _, k := range v.Keys {
			add(k)
		}
	case v.Number != "" && a.Kind == ask.Rating:
		add(v.Number)
	case v.Number != "":
		form.Set("words", v.Number)
	case v.Date != "":
		form.Set("date", v.Date)
	case v.At != "":
		if t, err := time.Parse(time.RFC3339, v.At); err == nil {
			form.Set("date", t.Format(time.DateOnly))
			form.Set("time", t.Format("15:04"))
		}
	case v.Address != nil:
		for name, s := range map[string]string{"name": v.Address.Name, "street": v.Address.Street, "extra": v.Address.Extra, "postal_code": v.Address.PostalCode, "city": v.Address.City} {
			form.Set(name, s)
		}
	default:
		form.Set("words", v.Text+v.Email+v.Phone)
		form.Set("signed", v.Signed)
	}
	return form
}

func firstOf(list ...string) string {
	for _, s := range list {
		s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
		if s != "" {
			if utf8.RuneCountInString(s) > 80 {
				return string([]rune(s)[:79]) + "…"
			}
			return s
		}
	}
	return ""
}

// answerTime is a moment in words, in the question's zone.
func (s *Server) answerTime(lang, zone string, t time.Time) string {
	day, clock := ask.SlotDay(lang, zone, t)
	return day + ", " + clock
}

// writeAnswer writes the page with the headers of a page that is nobody else's business.
func (s *Server) writeAnswer(w http.ResponseWriter, r *http.Request, status int, v *answerView) {
	if v.Lang == "" {
		v.Lang = languageOf(r)
		if l := r.URL.Query().Get("lang"); l == "de" || l == "en" || l == "de-simple" {
			v.Lang = l
		}
		v.W = answerWordsFor(v.Lang)
	}
	if v.Title == "" {
		v.Title = v.W.Page
	}
	if v.wait > 0 {
		v.W.Busy = fmt.Sprintf(v.W.Busy, int(v.wait.Minutes())+1)
	}
	v.CSS = template.CSS(answerCSS) //nolint:gosec // our own file
	var b bytes.Buffer
	if err := answerTemplate.Execute(&b, v); err != nil {
		s.Log.Error("an answer page could not be written", "error", err)
		http.Error(w, "This page could not be made. Please try again.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", answerPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Language", v.Lang)
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may be gone
}

// wrongCodes counts, by network address, codes that do not exist: guessing one takes longer than the world lasts, and
// who tries many is told to wait. Addresses of IPv6 are taken by their network (RFC 6177: a site has at least a /64).
type wrongCodes struct {
	mu sync.Mutex
	by map[string]*wrongCode
}

type wrongCode struct {
	n     int
	since time.Time
}

func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// blocked gives how long to wait, 0 = not at all.
func (l *wrongCodes) blocked(ip string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.by[network(ip)]
	if w == nil || now.Sub(w.since) >= wrongCodesTime || w.n < wrongCodesMax {
		return 0
	}
	return max(wrongCodesTime-now.Sub(w.since), time.Second)
}

func (l *wrongCodes) add(ip string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]*wrongCode{}
	}
	if len(l.by) > 50000 {
		for k, w := range l.by {
			if now.Sub(w.since) >= wrongCodesTime {
				delete(l.by, k)
			}
		}
		if len(l.by) > 50000 {
			clear(l.by)
		}
	}
	key := network(ip)
	w := l.by[key]
	if w == nil || now.Sub(w.since) >= wrongCodesTime || now.Before(w.since) {
		w = &wrongCode{since: now}
		l.by[key] = w
	}
	w.n++
}
