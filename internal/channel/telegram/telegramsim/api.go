package telegramsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // sendPhoto looks into pictures
	_ "image/png"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// parameters of a call; objects are JSON text.
type parameters map[string]string

func (p parameters) str(name string) string { return p[name] }

func (p parameters) integer(name string) (n int64, ok bool, fail *failure) {
	raw, ok := p[name]
	if !ok || raw == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		return 0, false, bad("can't parse " + name)
	}
	return n, true, nil
}

func (p parameters) boolean(name string) bool {
	return p[name] == "true" || p[name] == "True" || p[name] == "1"
}

// failure is an answer with "ok": false.
type failure struct {
	code       int
	text       string
	retryAfter int
}

func bad(text string) *failure { return &failure{code: 400, text: "Bad Request: " + text} }

type uploaded struct {
	name, mediaType string
	content         []byte
}

const uploadMax = 50 << 20

// ServeHTTP serves /bot<token>/<method> and /file/bot<token>/<path>.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/file/bot"); ok {
		s.serveFile(w, r, rest)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/bot")
	token, method, found := strings.Cut(rest, "/")
	if !ok || !found {
		write(w, nil, &failure{code: 404, text: "Not Found"})
		return
	}
	if fail := s.authorize(token); fail != nil {
		write(w, nil, fail)
		return
	}
	method = strings.ToLower(method)
	p, files, fail := read(r)
	if fail != nil {
		write(w, nil, fail)
		return
	}
	if fault := s.fault(method); fault != nil {
		s.misbehave(w, r, fault, method, p, files)
		return
	}
	if method == "getupdates" {
		result, fail := s.getUpdates(r.Context(), p)
		if r.Context().Err() == nil {
			write(w, result, fail)
		}
		return
	}
	s.mu.Lock()
	before := len(s.ledger)
	result, fail := s.method(method, p, files)
	for i := before; i < len(s.ledger); i++ {
		s.ledger[i].Told = true
	}
	s.mu.Unlock()
	write(w, result, fail)
}

// authorize tells a token of the wrong form (404) from an unknown one (401), as the server does.
func (s *Sim) authorize(token string) *failure {
	if token == s.options.Token {
		return nil
	}
	number, secret, ok := strings.Cut(token, ":")
	if !ok || strings.Trim(number, "0123456789") != "" || number == "" || len(secret) < 24 {
		return &failure{code: 404, text: "Not Found"}
	}
	return &failure{code: 401, text: "Unauthorized"}
}

func (s *Sim) fault(method string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if strings.EqualFold(f.Method, method) || f.Method == "" && method != "getupdates" {
			if f.Times--; f.Times <= 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
			return f
		}
	}
	return nil
}

func (s *Sim) misbehave(w http.ResponseWriter, r *http.Request, f *Fault, method string, p parameters, files map[string]uploaded) {
	if f.Accept {
		s.mu.Lock()
		_, _ = s.method(method, p, files)
		s.mu.Unlock()
	}
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Text != "":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(max(f.Status, 200))
		_, _ = io.WriteString(w, f.Text)
	default:
		write(w, nil, &failure{code: f.Status, text: http.StatusText(f.Status), retryAfter: f.RetryAfter})
	}
}

func write(w http.ResponseWriter, result any, fail *failure) {
	answer := object{"ok": true, "result": result}
	status := http.StatusOK
	if fail != nil {
		status = fail.code
		answer = object{"ok": false, "error_code": fail.code, "description": fail.text}
		if fail.retryAfter > 0 {
			answer["description"] = fmt.Sprintf("Too Many Requests: retry after %d", fail.retryAfter)
			answer["parameters"] = object{"retry_after": fail.retryAfter}
		}
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		panic(err) // the simulator's own objects are JSON
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(raw)
}

// read takes parameters from wherever the Bot API allows them: query, form, JSON, multipart.
func read(r *http.Request) (parameters, map[string]uploaded, *failure) {
	p := parameters{}
	for name, values := range r.URL.Query() {
		p[name] = values[0]
	}
	if r.Body == nil {
		return p, nil, nil
	}
	mediaType, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.ContentLength > uploadMax+1<<20 {
		return nil, nil, &failure{code: 413, text: "Request Entity Too Large"}
	}
	body := http.MaxBytesReader(nil, r.Body, uploadMax+1<<20)
	if mediaType == "multipart/form-data" {
		files := map[string]uploaded{}
		m := multipart.NewReader(body, options["boundary"])
		for {
			part, err := m.NextPart()
			if errors.Is(err, io.EOF) {
				return p, files, nil
			}
			var content []byte
			if err == nil {
				content, err = io.ReadAll(part)
			}
			var tooBig *http.MaxBytesError
			if errors.As(err, &tooBig) {
				return nil, nil, &failure{code: 413, text: "Request Entity Too Large"}
			}
			if err != nil {
				return nil, nil, bad("can't read the request")
			}
			if part.FileName() != "" {
				files[part.FormName()] = uploaded{name: part.FileName(), mediaType: part.Header.Get("Content-Type"), content: content}
			} else {
				p[part.FormName()] = string(content)
			}
		}
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, nil, bad("can't read the request")
	}
	switch mediaType {
	case "application/json":
		fields, _, fail := jsonParameters(raw)
		for name, value := range fields {
			p[name] = value
		}
		return p, nil, fail
	case "application/x-www-form-urlencoded":
		r.Body = io.NopCloser(bytes.NewReader(raw))
		if r.ParseForm() != nil {
			return nil, nil, bad("can't read the form")
		}
		for name, values := range r.Form {
			p[name] = values[0]
		}
	}
	return p, nil, nil
}

// jsonParameters reads a JSON object as parameters.
func jsonParameters(raw []byte) (parameters, map[string]uploaded, *failure) {
	p := parameters{}
	if len(bytes.TrimSpace(raw)) == 0 {
		return p, nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, nil, bad("can't parse JSON object")
	}
	for name, value := range fields {
		var text string
		if json.Unmarshal(value, &text) == nil {
			p[name] = text
		} else if string(value) != "null" {
			p[name] = string(value)
		}
	}
	return p, nil, nil
}

// method carries out one method but getUpdates. The caller holds mu.
func (s *Sim) method(method string, p parameters, files map[string]uploaded) (any, *failure) {
	switch method {
	case "getme":
		me := s.asBot()
		me["can_join_groups"], me["can_read_all_group_messages"], me["supports_inline_queries"] = true, false, false
		return me, nil
	case "setwebhook":
		return s.setWebhook(p)
	case "deletewebhook":
		return s.deleteWebhook(p)
	case "getwebhookinfo":
		return s.webhookInfo(), nil
	case "sendmessage", "sendphoto", "senddocument":
		return s.accept(method, p, files)
	case "sendchataction":
		_, fail := s.recipient(p)
		return true, fail
	case "answercallbackquery":
		asked, ok := s.queries[p.str("callback_query_id")]
		if !ok || asked.IsZero() || s.options.Now().Sub(asked) > 15*time.Second {
			return nil, bad("query is too old and response timeout expired or query ID is invalid")
		}
		s.queries[p.str("callback_query_id")] = time.Time{}
		s.ledger = append(s.ledger, Accepted{Method: "answerCallbackQuery", Text: p.str("callback_query_id"), At: s.options.Now()})
		s.notify()
		return true, nil
	case "getfile":
		f, ok := s.files[p.str("file_id")]
		if !ok {
			return nil, bad("invalid file_id")
		}
		if f.size > 20<<20 {
			return nil, bad("file is too big")
		}
		return object{"file_id": f.id, "file_unique_id": "u" + f.id, "file_size": f.size, "file_path": f.path}, nil
	}
	return nil, &failure{code: 404, text: "Not Found: method not found"}
}

// recipient finds the chat and says why it cannot be written to.
func (s *Sim) recipient(p parameters) (*Customer, *failure) {
	raw := p.str("chat_id")
	if raw == "" {
		return nil, bad("chat_id is empty")
	}
	id, err := strconv.ParseInt(raw, 10, 64)
	c := s.customers[id]
	switch {
	case err != nil || c == nil || !c.started && !c.blocked:
		return nil, bad("chat not found") // also for people who never wrote to the bot
	case c.gone:
		return nil, &failure{code: 403, text: "Forbidden: user is deactivated"}
	case c.blocked:
		return nil, &failure{code: 403, text: "Forbidden: bot was blocked by the user"}
	}
	return c, nil
}

// accept takes a message of the bot, if everything about it is right.
func (s *Sim) accept(method string, p parameters, files map[string]uploaded) (any, *failure) {
	c, fail := s.recipient(p)
	if fail != nil {
		return nil, fail
	}
	now := s.options.Now()
	names := map[string]string{"sendmessage": "sendMessage", "sendphoto": "sendPhoto", "senddocument": "sendDocument"}
	entry := Accepted{Method: names[method], ChatID: c.ID, At: now}
	sent := object{"from": s.asBot(), "chat": c.asChat(), "date": now.Unix()}
	if method == "sendmessage" {
		entry.Text = strings.TrimSpace(strings.ToValidUTF8(p.str("text"), ""))
		if entry.Text == "" {
			return nil, bad("message text is empty")
		}
		if units(entry.Text) > 4096 {
			return nil, bad("message is too long")
		}
		sent["text"] = entry.Text
	} else {
		entry.Text = strings.TrimSpace(p.str("caption"))
		if units(entry.Text) > 1024 {
			return nil, bad("message caption is too long")
		}
		if entry.Text != "" {
			sent["caption"] = entry.Text
		}
		field := strings.TrimPrefix(method, "send")
		up, ok := files[field]
		if name, attached := strings.CutPrefix(p.str(field), "attach://"); attached { // "InputFile"
			up, ok = files[name]
		}
		if !ok {
			return nil, bad("there is no " + field + " in the request")
		}
		if len(up.content) == 0 {
			return nil, bad("file must be non-empty")
		}
		if fail := checkUpload(method, up); fail != nil {
			return nil, fail
		}
		entry.FileName, entry.File = up.name, up.content
		f := s.storeLocked(field+"s", up.name, up.mediaType, up.content, int64(len(up.content)))
		if method == "sendphoto" {
			sent["photo"] = []object{{"file_id": f.id, "file_unique_id": "u" + f.id, "file_size": f.size, "width": 800, "height": 600}}
		} else {
			sent["document"] = object{"file_id": f.id, "file_unique_id": "u" + f.id, "file_name": f.name, "mime_type": f.mediaType, "file_size": f.size}
		}
	}
	if entry.ReplyTo, fail = replyTo(p, c); fail != nil {
		return nil, fail
	}
	if entry.ReplyTo != 0 {
		sent["reply_to_message"] = c.chat[entry.ReplyTo]
	}
	if raw := p.str("reply_markup"); raw != "" {
		if entry.Buttons, fail = keyboard(raw); fail != nil {
			return nil, fail
		}
		sent["reply_markup"] = json.RawMessage(raw)
	}
	// The rates come last: only what would be accepted uses them up.
	if wait := max(s.perBot.take(now), c.rate.take(now)); wait > 0 {
		return nil, &failure{code: 429, text: "Too Many Requests", retryAfter: int(math.Ceil(wait.Seconds()))}
	}
	entry.MessageID = c.nextMsg
	c.nextMsg++
	sent["message_id"] = entry.MessageID
	c.chat[entry.MessageID] = sent
	c.inbox = append(c.inbox, Message{
		ID: entry.MessageID, Text: entry.Text, FileName: entry.FileName, File: entry.File, ReplyTo: entry.ReplyTo, Buttons: entry.Buttons,
	})
	s.ledger = append(s.ledger, entry)
	s.notify()
	return sent, nil
}

func checkUpload(method string, up uploaded) *failure {
	if len(up.content) > uploadMax {
		return &failure{code: 413, text: "Request Entity Too Large"}
	}
	if method != "sendphoto" {
		return nil
	}
	if len(up.content) > 10<<20 {
		return bad("file of type photo is too big: maximum size is 10485760 bytes") // "Sending files": 10 MB
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(up.content))
	if err != nil {
		return bad("IMAGE_PROCESS_FAILED")
	}
	// sendPhoto: width and height must not exceed 10000 in total, their ratio at most 20.
	if w, h := config.Width, config.Height; w+h > 10000 || w > 20*h || h > 20*w {
		return bad("PHOTO_INVALID_DIMENSIONS")
	}
	return nil
}

func replyTo(p parameters, c *Customer) (int64, *failure) {
	raw := p.str("reply_parameters")
	if raw == "" {
		return 0, nil
	}
	var reply struct {
		MessageID int64 `json:"message_id"`
		Anyway    bool  `json:"allow_sending_without_reply"`
	}
	if json.Unmarshal([]byte(raw), &reply) != nil {
		return 0, bad("can't parse reply parameters")
	}
	if _, ok := c.chat[reply.MessageID]; !ok {
		if reply.Anyway {
			return 0, nil
		}
		return 0, bad("message to be replied not found")
	}
	return reply.MessageID, nil
}

func keyboard(raw string) ([]Button, *failure) {
	var markup struct {
		Keyboard [][]Button `json:"inline_keyboard"`
	}
	if json.Unmarshal([]byte(raw), &markup) != nil {
		return nil, bad("object expected as reply markup")
	}
	var all []Button
	for _, row := range markup.Keyboard {
		for _, b := range row {
			if strings.TrimSpace(b.Text) == "" {
				return nil, bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
			}
			if len(b.Data) == 0 || len(b.Data) > 64 {
				return nil, bad("BUTTON_DATA_INVALID")
			}
			all = append(all, b)
		}
	}
	if len(all) > 100 || len(raw) > 10<<10 {
		return nil, bad("reply markup is too long")
	}
	return all, nil
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// endPoll ends a getUpdates that is waiting. The caller holds mu.
func (s *Sim) endPoll() {
	if s.poll != nil {
		close(s.poll)
		s.poll = nil
	}
}

// getUpdates waits for updates. An offset confirms everything below it; a second poll ends the first.
func (s *Sim) getUpdates(ctx context.Context, p parameters) (any, *failure) {
	offset, hasOffset, fail := p.integer("offset")
	if fail != nil {
		return nil, fail
	}
	limit, hasLimit, fail := p.integer("limit")
	if fail != nil {
		return nil, fail
	}
	if !hasLimit || limit <= 0 || limit > 100 {
		limit = 100
	}
	timeout, _, fail := p.integer("timeout")
	if fail != nil {
		return nil, fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hook.url != "" {
		return nil, &failure{code: 409, text: "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"}
	}
	if fail := s.setAllowed(p); fail != nil {
		return nil, fail
	}
	s.endPoll()
	mine := make(chan struct{})
	s.poll = mine
	defer func() {
		if s.poll == mine {
			s.poll = nil
		}
	}()
	if hasOffset && offset > 0 {
		s.updates = slices.DeleteFunc(s.updates, func(u pending) bool { return u.id < offset })
		s.notify()
	} else if hasOffset && offset < 0 { // the last -offset ones, the others are forgotten
		s.updates = s.updates[max(0, len(s.updates)+int(offset)):]
	}
	timer := time.NewTimer(time.Duration(min(max(timeout, 0), 50)) * time.Second)
	defer timer.Stop()
	for {
		s.expire()
		if n := min(len(s.updates), int(limit)); n > 0 || timeout <= 0 {
			list := make([]json.RawMessage, n)
			for i := range list {
				list[i] = s.updates[i].body
			}
			return list, nil
		}
		changed := s.changed
		s.mu.Unlock()
		var ended, over bool
		select {
		case <-changed:
		case <-timer.C:
			over = true
		case <-mine:
			ended = true
		case <-ctx.Done():
			over = true
		case <-s.ctx.Done():
			over = true
		}
		s.mu.Lock()
		switch {
		case ended && s.hook.url != "":
			return nil, &failure{code: 409, text: "Conflict: terminated by setWebhook request"}
		case ended:
			return nil, &failure{code: 409, text: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"}
		case over:
			return []json.RawMessage{}, nil
		}
	}
}

func (s *Sim) serveFile(w http.ResponseWriter, r *http.Request, rest string) {
	token, path, _ := strings.Cut(rest, "/")
	if fail := s.authorize(token); fail != nil {
		write(w, nil, fail)
		return
	}
	if fault := s.fault("file"); fault != nil {
		s.misbehave(w, r, fault, "file", nil, nil)
		return
	}
	s.mu.Lock()
	var found *file
	for _, f := range s.files {
		if f.path == path && f.size <= 20<<20 {
			found = &f
			break
		}
	}
	s.mu.Unlock()
	if found == nil {
		write(w, nil, &failure{code: 404, text: "Not Found"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(found.content)))
	w.Write(found.content)
}

// Do lets a program in the same process talk to the server without a network, so that testing/synctest can fake the
// time. It is what a connection does: it calls the trace's hooks, and a cut connection is an unexpected EOF.
func (s *Sim) Do(r *http.Request) (*http.Response, error) {
	return Serve(s, r)
}

// Serve calls a handler in the same process as if over a connection; see Sim.Do.
func Serve(h http.Handler, r *http.Request) (*http.Response, error) {
	if t := httptrace.ContextClientTrace(r.Context()); t != nil {
		if t.GetConn != nil {
			t.GetConn(r.URL.Host)
		}
		if t.GotConn != nil {
			t.GotConn(httptrace.GotConnInfo{})
		}
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	inner := r.Clone(r.Context())
	inner.RequestURI = r.URL.RequestURI()
	rec := &recorder{header: http.Header{}}
	done := make(chan bool, 1)
	go func() {
		defer func() {
			v := recover()
			if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(v)
			}
			done <- v == nil
		}()
		h.ServeHTTP(rec, inner)
	}()
	select {
	case ok := <-done:
		if !ok {
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			return nil, io.ErrUnexpectedEOF
		}
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", rec.status, http.StatusText(rec.status)), StatusCode: rec.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: rec.header,
		Body: io.NopCloser(bytes.NewReader(rec.body.Bytes())), ContentLength: int64(rec.body.Len()), Request: r,
	}, nil
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}
