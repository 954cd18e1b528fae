package slacksim

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// ServeHTTP is the Web API under /api/, uploads under /upload/ and files under /files-pri/.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/upload/"):
		s.Do(w, r, "media", func() channelsim.Response { return s.upload(r) })
		return
	case strings.HasPrefix(r.URL.Path, "/files-pri/"):
		s.Do(w, r, "media", func() channelsim.Response { return s.download(r) })
		return
	case !strings.HasPrefix(r.URL.Path, "/api/"):
		http.NotFound(w, r)
		return
	}
	args, problem := arguments(r)
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	op := method
	if method == "chat.postMessage" || method == "files.completeUploadExternal" {
		op = "message"
	}
	s.Do(w, r, op, func() channelsim.Response {
		s.Lock()
		defer s.Unlock()
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case problem != "":
			return refuse(problem)
		case !ok:
			return refuse("not_authed")
		case token != s.Token:
			return refuse("invalid_auth")
		}
		switch method {
		case "auth.test":
			answer := accept(map[string]any{"url": "https://sim.slack.com/", "team": "Sim", "user": "bot", "team_id": Team, "user_id": Bot, "bot_id": BotID, "is_enterprise_install": false})
			answer.Header = http.Header{"X-Oauth-Scopes": {s.Scopes}}
			return answer
		case "chat.postMessage":
			return s.post(args)
		case "conversations.open":
			return s.open(args)
		case "conversations.history":
			return s.history(args)
		case "files.getUploadURLExternal":
			return s.ticket(args)
		case "files.completeUploadExternal":
			return s.complete(args)
		case "files.info":
			return s.info(args)
		}
		return refuse("unknown_method")
	})
}

// arguments reads a body as JSON or as a form ("Web API", "Basics").
func arguments(r *http.Request) (map[string]any, string) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return nil, "request_timeout"
	}
	if r.Method != http.MethodPost {
		return nil, "invalid_post_type"
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	args := map[string]any{}
	switch {
	case err != nil:
		return nil, "missing_post_type"
	case mediaType == "application/json":
		if json.Unmarshal(raw, &args) != nil {
			return nil, "invalid_json"
		}
		// These take forms only.
		if strings.HasSuffix(r.URL.Path, "/files.getUploadURLExternal") || strings.HasSuffix(r.URL.Path, "/files.info") {
			return map[string]any{}, ""
		}
	case mediaType == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, "invalid_form_data"
		}
		for k := range form {
			args[k] = form.Get(k)
			// "A JSON-based array of structured blocks, presented as a URL-encoded string."
			if k == "blocks" || k == "files" {
				var list []any
				if json.Unmarshal([]byte(form.Get(k)), &list) == nil {
					args[k] = list
				}
			}
		}
	default:
		return nil, "invalid_post_type"
	}
	return args, ""
}

func accept(v map[string]any) channelsim.Response {
	v["ok"] = true
	return channelsim.Response{Body: mustJSON(v)}
}

func refuse(code string, details ...string) channelsim.Response {
	v := map[string]any{"ok": false, "error": code}
	if len(details) > 0 {
		v["response_metadata"] = map[string]any{"messages": details}
	}
	return channelsim.Response{Body: mustJSON(v)}
}

func text(args map[string]any, key string) string {
	v, _ := args[key].(string)
	return v
}

// find gives the member of a channel argument, which is a conversation's or a member's id, or why not.
func (s *Sim) find(id string) (*Customer, string) {
	c := s.rooms[id]
	if c == nil {
		c = s.users[id]
	}
	switch {
	case c == nil:
		return nil, "channel_not_found"
	case c.gone:
		return nil, "user_disabled"
	}
	return c, ""
}

// pace takes one message out of the limits.
func (s *Sim) pace(c *Customer) (channelsim.Response, bool) {
	var wait time.Duration
	if s.PerMinute >= 0 {
		wait = s.Take("workspace", s.PerMinute/60, 10)
	}
	if s.PerChannel >= 0 {
		wait = max(wait, s.Take("conversation "+c.room, s.PerChannel, 3)) // short bursts are tolerated
	}
	if wait <= 0 {
		return channelsim.Response{}, true
	}
	return channelsim.Response{Status: http.StatusTooManyRequests, Body: []byte(`{"ok":false,"error":"ratelimited"}`),
		Header: http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(wait.Seconds())))}}}, false
}

// post is chat.postMessage.
func (s *Sim) post(args map[string]any) channelsim.Response {
	c, problem := s.find(text(args, "channel"))
	if problem != "" {
		return refuse(problem)
	}
	said := text(args, "text")
	list, _ := args["blocks"].([]any)
	if strings.TrimSpace(said) == "" && len(list) == 0 {
		return refuse("no_text")
	}
	if utf8.RuneCountInString(said) > 40000 {
		return refuse("msg_too_long")
	}
	m := channelsim.Message{Text: display(said)}
	if args["blocks"] != nil {
		if problem := read(list, &m); problem != "" {
			return refuse("invalid_blocks", problem)
		}
	}
	if thread := text(args, "thread_ts"); thread != "" {
		root, known := s.said[c.room+":"+thread]
		if !known {
			return refuse("thread_not_found")
		}
		if root != "" {
			return refuse("cannot_reply_to_message") // an answer itself: "use its parent instead"
		}
		m.ReplyTo = c.room + ":" + thread
	}
	if slow, ok := s.pace(c); !ok {
		return slow
	}
	ts := s.ts()
	m.Ref, m.At = c.room+":"+ts, s.Now()
	s.said[m.Ref] = text(args, "thread_ts")
	c.Got = append(c.Got, m)
	if broadcast, _ := args["reply_broadcast"].(bool); m.ReplyTo == "" || broadcast { // answers are listed with their thread only
		c.history = append(c.history, map[string]any{"type": "message", "user": Bot, "bot_id": BotID, "text": said, "ts": ts, "metadata": args["metadata"]})
	}
	s.Accept(channelsim.Accepted{Op: "message", To: c.address(), Ref: m.Ref, Text: m.Text})
	return accept(map[string]any{"channel": c.room, "ts": ts, "message": map[string]any{"type": "message", "user": Bot, "bot_id": BotID, "app_id": App, "text": said, "team": Team, "ts": ts}})
}

// open is conversations.open.
func (s *Sim) open(args map[string]any) channelsim.Response {
	if !strings.Contains(s.Scopes, "im:write") {
		return refuse("missing_scope")
	}
	c := s.users[text(args, "users")]
	if c == nil {
		return refuse("user_not_found")
	}
	if s.Take("conversations.open", 50.0/60, 20) > 0 { // tier 3
		return channelsim.Response{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}}
	}
	return accept(map[string]any{"no_op": true, "already_open": true, "channel": map[string]any{"id": c.room}})
}

// history is conversations.history: newest first.
func (s *Sim) history(args map[string]any) channelsim.Response {
	c := s.rooms[text(args, "channel")]
	limit, err := strconv.Atoi(text(args, "limit"))
	switch {
	case c == nil:
		return refuse("channel_not_found")
	case err != nil || limit < 1 || limit > 999:
		return refuse("invalid_limit")
	case s.Take("conversations.history", 50.0/60, 20) > 0:
		return channelsim.Response{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}}
	}
	var list []any
	for _, m := range slices.Backward(c.history) {
		ts := m["ts"].(string)
		if ts < text(args, "oldest") || text(args, "latest") != "" && ts > text(args, "latest") {
			continue
		}
		if len(list) == limit {
			return accept(map[string]any{"messages": list, "has_more": true, "response_metadata": map[string]any{"next_cursor": "bmV4dA=="}})
		}
		if text(args, "include_all_metadata") != "true" {
			m = maps.Clone(m)
			delete(m, "metadata")
		}
		list = append(list, m)
	}
	return accept(map[string]any{"messages": list, "has_more": false})
}

// read reads blocks as strictly as Block Kit is documented.
func read(list []any, m *channelsim.Message) (problem string) {
	if len(list) == 0 || len(list) > 50 {
		return "no more than 50 items allowed [json-pointer:/blocks]"
	}
	raw, _ := json.Marshal(list)
	var all []struct {
		Type string `json:"type"`
		Text struct {
			Type string `json:"type"`
			Text string `json:"text"`
		} `json:"text"`
		Elements []struct {
			Type   string `json:"type"`
			Action string `json:"action_id"`
			Value  string `json:"value"`
			Text   struct {
				Type string `json:"type"`
				Text string `json:"text"`
			} `json:"text"`
		} `json:"elements"`
	}
	if json.Unmarshal(raw, &all) != nil {
		return "must be an array of blocks"
	}
	var texts []string
	ids := map[string]bool{}
	for _, b := range all {
		switch b.Type {
		case "section":
			if n := utf8.RuneCountInString(b.Text.Text); n < 1 || n > 3000 || b.Text.Type != "mrkdwn" && b.Text.Type != "plain_text" {
				return "must be 1 to 3000 characters [json-pointer:/blocks/text]"
			}
			texts = append(texts, display(b.Text.Text))
		case "actions":
			if len(b.Elements) < 1 || len(b.Elements) > 25 {
				return "no more than 25 items allowed [json-pointer:/blocks/elements]"
			}
			for _, e := range b.Elements {
				n := utf8.RuneCountInString(e.Text.Text)
				switch {
				case e.Type != "button":
					return "unsupported type: " + e.Type
				case e.Text.Type != "plain_text" || n < 1 || n > 75:
					return "must be no more than 75 characters [json-pointer:/blocks/elements/text]"
				case utf8.RuneCountInString(e.Value) > 2000:
					return "must be no more than 2000 characters [json-pointer:/blocks/elements/value]"
				case e.Action == "" || len(e.Action) > 255 || ids[e.Action]:
					return "action_id must be unique and no more than 255 characters"
				}
				ids[e.Action] = true
				m.Choices = append(m.Choices, channel.Choice{Label: e.Text.Text, Data: e.Value})
			}
		default:
			return "unsupported type: " + b.Type
		}
	}
	m.Text = strings.Join(texts, "\n")
	return ""
}

// ticket is files.getUploadURLExternal.
func (s *Sim) ticket(args map[string]any) channelsim.Response {
	size, err := strconv.ParseInt(text(args, "length"), 10, 64)
	name := text(args, "filename")
	if name == "" || err != nil || size <= 0 {
		return refuse("invalid_arguments", "[ERROR] missing required field: filename or length")
	}
	if size > 1<<30 {
		return refuse("file_upload_size_restricted")
	}
	id := "F0SIM" + strconv.FormatInt(s.Serial(), 10)
	s.files[id] = &stored{File: channelsim.File{Name: name, MediaType: mime.TypeByExtension(name[max(strings.LastIndexByte(name, '.'), 0):])}, size: size, owner: Bot}
	return accept(map[string]any{"upload_url": s.base + "/upload/v1/" + id, "file_id": id})
}

func (s *Sim) upload(r *http.Request) channelsim.Response {
	content := io.Reader(r.Body)
	if mediaType, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType == "multipart/form-data" {
		part, err := multipart.NewReader(r.Body, params["boundary"]).NextPart() // raw bytes or a form with one file
		if err != nil {
			return channelsim.Response{Status: http.StatusBadRequest, Type: "text/plain"}
		}
		content = part
	}
	body, err := io.ReadAll(content)
	s.Lock()
	defer s.Unlock()
	f := s.files[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
	switch {
	case r.Header.Get("Authorization") != "" && r.Header.Get("Authorization") != "Bearer "+s.Token: // Slack's own client sends it
		return channelsim.Response{Status: http.StatusForbidden, Type: "text/plain"}
	case f == nil || f.uploaded || r.Method != http.MethodPost:
		return channelsim.Response{Status: http.StatusNotFound, Type: "text/plain"}
	case err != nil || int64(len(body)) != f.size:
		return channelsim.Response{Status: http.StatusBadRequest, Type: "text/plain", Body: []byte("wrong length")}
	}
	f.Content, f.uploaded = body, true
	return channelsim.Response{Type: "text/plain", Body: []byte("OK - " + strconv.Itoa(len(body)))}
}

// complete is files.completeUploadExternal.
func (s *Sim) complete(args map[string]any) channelsim.Response {
	list, _ := args["files"].([]any)
	to := text(args, "channel_id")
	if to == "" {
		to = text(args, "channels")
	} else if s.rooms[to] == nil {
		return refuse("channel_not_found") // a conversation's id, not a member's
	}
	if len(list) == 0 || to == "" {
		return refuse("invalid_arguments")
	}
	c, problem := s.find(to)
	if problem != "" {
		return refuse(problem)
	}
	var files []channelsim.File
	var answer []any
	for _, item := range list {
		o, _ := item.(map[string]any)
		f := s.files[text(o, "id")]
		if f == nil || !f.uploaded || f.shared || f.owner != Bot {
			return refuse("file_not_found") // "This method can only be called once"
		}
		files = append(files, f.File)
		answer = append(answer, map[string]any{"id": o["id"], "title": o["title"]})
	}
	m := channelsim.Message{Files: files, Text: display(text(args, "initial_comment")), At: s.Now()}
	if thread := text(args, "thread_ts"); thread != "" {
		if root, known := s.said[c.room+":"+thread]; !known || root != "" {
			return refuse("thread_not_found")
		}
		m.ReplyTo = c.room + ":" + thread
	}
	if slow, ok := s.pace(c); !ok {
		return slow
	}
	for _, item := range list {
		s.files[text(item.(map[string]any), "id")].shared = true
	}
	m.Ref = c.room + ":" + s.ts()
	s.said[m.Ref] = text(args, "thread_ts")
	c.Got = append(c.Got, m)
	id := text(list[0].(map[string]any), "id")
	s.Accept(channelsim.Accepted{Op: "message", To: c.address(), Ref: "file:" + id, Text: m.Text}) // all that the company is told
	return accept(map[string]any{"files": answer})
}

// info is files.info.
func (s *Sim) info(args map[string]any) channelsim.Response {
	id := text(args, "file")
	f := s.files[id]
	if f == nil || !strings.Contains(s.Scopes, "files:read") {
		if f != nil {
			return refuse("missing_scope")
		}
		return refuse("file_not_found")
	}
	return accept(map[string]any{"file": s.object(id, f)})
}

// object is a file object.
func (s *Sim) object(id string, f *stored) map[string]any {
	return map[string]any{"id": id, "name": f.Name, "title": f.Name, "mimetype": f.MediaType, "filetype": strings.TrimPrefix(f.Name[max(strings.LastIndexByte(f.Name, '.'), 0):], "."),
		"size": len(f.Content), "user": f.owner, "mode": "hosted", "is_external": false, "file_access": "visible",
		"url_private":          s.base + "/files-pri/" + Team + "-" + id + "/" + url.PathEscape(f.Name),
		"url_private_download": s.base + "/files-pri/" + Team + "-" + id + "/download/" + url.PathEscape(f.Name)}
}

func (s *Sim) download(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	_, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/files-pri/"), "-")
	id, _, _ = strings.Cut(id, "/")
	f := s.files[id]
	if f == nil {
		return channelsim.Response{Status: http.StatusNotFound, Type: "text/html"}
	}
	if r.Header.Get("Authorization") != "Bearer "+s.Token { // as it really does: the sign-in page
		return channelsim.Response{Type: "text/html", Body: []byte("<!DOCTYPE html><html><title>Slack</title></html>")}
	}
	return channelsim.Response{Type: f.MediaType, Body: f.Content}
}
