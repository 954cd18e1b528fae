package whatsappsim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// failure is an error of "Error codes".
type failure struct {
	Status  int // HTTP
	Code    int
	Subcode int
	Title   string
	Details string
}

func (f *failure) response() channelsim.Response {
	e := map[string]any{"message": fmt.Sprintf("(#%d) %s", f.Code, f.Title), "type": "OAuthException", "code": f.Code, "fbtrace_id": "A7sim0fbtrace"}
	if f.Subcode != 0 {
		e["error_subcode"] = f.Subcode
	}
	if f.Details != "" {
		e["error_data"] = map[string]any{"messaging_product": "whatsapp", "details": f.Details}
	}
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	return respond(status, map[string]any{"error": e})
}

func (f *failure) webhook() map[string]any {
	return map[string]any{"code": f.Code, "title": f.Title, "message": f.Title, "error_data": map[string]any{"details": f.Details},
		"href": "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes"}
}

func respond(status int, v any) channelsim.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own values
	}
	return channelsim.Response{Status: status, Type: "application/json; charset=UTF-8", Body: body}
}

func invalid(format string, args ...any) *failure {
	return &failure{Code: 131009, Title: "Parameter value is not valid", Details: fmt.Sprintf(format, args...)}
}

func missing(what string) *failure {
	return &failure{Code: 131008, Title: "Required parameter is missing", Details: "Parameter " + what + " is mandatory"}
}

var (
	undeliverable = &failure{Code: 131026, Title: "Message undeliverable", Details: "Message Undeliverable."}
	reengagement  = &failure{Code: 131047, Title: "Re-engagement message",
		Details: "Message failed to send because more than 24 hours have passed since the customer last replied to this number."}
	noObject = &failure{Code: 100, Subcode: 33, Title: "Unsupported request", Details: "Object does not exist, cannot be loaded due to missing permissions, or does not support this operation."}
)

var versionForm = regexp.MustCompile(`^/v[0-9]+\.[0-9]+/`)

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if v := versionForm.FindString(path); v != "" {
		path = path[len(v)-1:]
	}
	path = strings.TrimPrefix(path, "/")
	number, account := s.options.PhoneNumberID, s.options.BusinessAccountID
	authorized := func(act func() channelsim.Response) func() channelsim.Response {
		return func() channelsim.Response {
			if h := r.Header.Values("Authorization"); len(h) != 1 || h[0] != "Bearer "+s.options.AccessToken {
				return (&failure{Status: http.StatusUnauthorized, Code: 190, Title: "Invalid OAuth access token - Cannot parse access token"}).response()
			}
			return act()
		}
	}
	switch {
	case r.Method == http.MethodPost && path == number+"/messages":
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // read now: a fault may hang
		s.Do(w, r, "message", authorized(func() channelsim.Response { return s.send(body) }))
	case r.Method == http.MethodPost && path == number+"/media":
		s.Do(w, r, "media", authorized(func() channelsim.Response { return s.upload(r) }))
	case r.Method == http.MethodGet && path == number:
		s.Do(w, r, "number", authorized(func() channelsim.Response {
			return respond(http.StatusOK, map[string]any{"id": number, "verified_name": "Musterhaus", "display_phone_number": s.options.DisplayPhoneNumber, "quality_rating": "GREEN"})
		}))
	case r.Method == http.MethodGet && path == account+"/message_templates":
		s.Do(w, r, "templates", authorized(func() channelsim.Response { return s.list(r) }))
	case r.Method == http.MethodGet && path == "whatsapp_business/attachments/":
		s.Do(w, r, "media", authorized(func() channelsim.Response { return s.download(r) }))
	case r.Method == http.MethodGet && !strings.Contains(path, "/"):
		s.Do(w, r, "media", authorized(func() channelsim.Response { return s.mediaURL(path, r) }))
	default:
		s.Do(w, r, "other", authorized(func() channelsim.Response { return noObject.response() }))
	}
}

// request is the body of a message, as far as the API looks at it.
type request struct {
	Product       string `json:"messaging_product"`
	RecipientType string `json:"recipient_type"`
	To            string `json:"to"`
	Recipient     string `json:"recipient"`
	Callback      string `json:"biz_opaque_callback_data"`
	Context       *struct {
		MessageID string `json:"message_id"`
	} `json:"context"`
	Type string `json:"type"`
	Text *struct {
		Body string `json:"body"`
	} `json:"text"`
	Image, Video, Audio, Document *object
	Interactive                   *struct {
		Type string `json:"type"`
		Body struct {
			Text string `json:"text"`
		} `json:"body"`
		Action struct {
			Button  string `json:"button"`
			Buttons []struct {
				Type  string `json:"type"`
				Reply struct {
					ID    string `json:"id"`
					Title string `json:"title"`
				} `json:"reply"`
			} `json:"buttons"`
			Sections []struct {
				Title string `json:"title"`
				Rows  []struct {
					ID          string `json:"id"`
					Title       string `json:"title"`
					Description string `json:"description"`
				} `json:"rows"`
			} `json:"sections"`
		} `json:"action"`
	} `json:"interactive"`
	Template *struct {
		Name     string `json:"name"`
		Language struct {
			Code string `json:"code"`
		} `json:"language"`
		Components []struct {
			Type       string `json:"type"`
			SubType    string `json:"sub_type"`
			Index      string `json:"index"`
			Parameters []struct {
				Type    string `json:"type"`
				Text    string `json:"text"`
				Payload string `json:"payload"`
			} `json:"parameters"`
		} `json:"components"`
	} `json:"template"`
}

type object struct {
	ID       string `json:"id"`
	Link     string `json:"link"`
	Caption  string `json:"caption"`
	FileName string `json:"filename"`
}

func (s *Sim) send(body []byte) channelsim.Response {
	var q request
	if err := json.Unmarshal(body, &q); err != nil {
		return (&failure{Code: 100, Title: "Invalid parameter", Details: err.Error()}).response()
	}
	s.Lock()
	defer s.Unlock()
	if q.Product != "whatsapp" {
		return (&failure{Code: 100, Title: "The parameter messaging_product is required."}).response()
	}
	if q.RecipientType != "" && q.RecipientType != "individual" {
		return (&failure{Code: 100, Title: "Param recipient_type must be one of {INDIVIDUAL, GROUP}"}).response()
	}
	if q.To == "" && q.Recipient == "" {
		return (&failure{Code: 100, Title: "The parameter to is required."}).response()
	}
	if utf8.RuneCountInString(q.Callback) > 512 {
		return invalid("biz_opaque_callback_data has more than 512 characters").response()
	}
	if s.options.PerSecond > 0 {
		if wait := s.Take("account", s.options.PerSecond, s.options.PerSecond); wait > 0 {
			return (&failure{Code: 130429, Title: "Rate limit hit", Details: "Message failed to send because there were too many messages sent from this phone number in a short period of time."}).response()
		}
	}
	m, use, fail := s.read(q)
	if fail != nil {
		return fail.response()
	}
	var c *Customer
	contact := map[string]any{}
	if q.To != "" {
		number := digits(q.To)
		contact["input"], contact["wa_id"] = q.To, number
		if number == digits(s.options.DisplayPhoneNumber) {
			return (&failure{Code: 131021, Title: "Recipient cannot be sender"}).response()
		}
		for _, one := range s.order {
			// A business-scoped id in to is taken for a number, accepted, and goes nowhere.
			if one.WaID == number {
				c = one
			}
		}
	} else {
		contact["input"], contact["user_id"] = q.Recipient, q.Recipient
		for _, one := range s.order {
			if one.UserID == q.Recipient {
				c = one
			}
		}
	}
	ref := s.wamid(fmt.Sprint(contact["input"]))
	accepted := respond(http.StatusOK, map[string]any{"messaging_product": "whatsapp", "contacts": []any{contact}, "messages": []any{map[string]any{"id": ref}}})
	if c == nil {
		if strings.Contains(q.To, ".") {
			return accepted
		}
		nobody := &Customer{sim: s, WaID: digits(q.To), UserID: q.Recipient, Hidden: q.To == ""}
		return s.fail(nobody, ref, q.Callback, undeliverable, accepted, s.options.LateErrors)
	}
	if wait := s.pair(c); wait > 0 {
		return (&failure{Code: 131056, Title: "(Business Account, Consumer Account) pair rate limit hit",
			Details: "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time."}).response()
	}
	if use == nil && s.options.Window > 0 && (c.wrote.IsZero() || s.Now().Sub(c.wrote) >= s.options.Window) {
		return s.fail(c, ref, q.Callback, reengagement, accepted, s.options.LateErrors)
	}
	if use != nil && use.Category == "MARKETING" && c.noAdverts {
		return (&failure{Code: 131050, Title: "User has stopped marketing messages", Details: "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business."}).response()
	}
	m.Ref, m.At = ref, s.Now()
	s.Accept(channelsim.Accepted{Op: "message", To: c.address(), Ref: ref, Text: m.Text})
	s.status(c, ref, q.Callback, "sent", nil)
	if c.Blocked { // Meta tells no reason; it is reported like any number that cannot be reached
		return s.fail(c, ref, q.Callback, undeliverable, accepted, true)
	}
	if q.Context != nil && c.knows(q.Context.MessageID) {
		m.ReplyTo = q.Context.MessageID
	}
	c.sent[ref] = outgoing{callback: q.Callback, template: use != nil, list: m.Menu != ""}
	c.Got = append(c.Got, m)
	s.status(c, ref, q.Callback, "delivered", nil)
	s.Changed()
	return accepted
}

// knows reports whether a message belongs to the chat: the id names the number, as the real one does.
func (c *Customer) knows(ref string) bool {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(ref, "wamid."))
	_, ours := c.sent[ref]
	return ours || err == nil && strings.Contains(string(raw), c.WaID)
}

// fail refuses at once, or accepts and says so later.
func (s *Sim) fail(c *Customer, ref, callback string, f *failure, accepted channelsim.Response, late bool) channelsim.Response {
	if !late {
		return f.response()
	}
	s.status(c, ref, callback, "failed", f)
	return accepted
}

// pair keeps the pair rate limit: one message in PairEvery; within one such span up to PairBurst, and then nothing until
// all of them are paid back.
func (s *Sim) pair(c *Customer) time.Duration {
	every := s.options.PairEvery
	if every < 0 {
		return 0
	}
	now := s.Now()
	paid := c.since.Add(time.Duration(c.lent) * every)
	switch {
	case !now.Before(paid):
		c.since, c.lent = now, 1
	case now.Sub(c.since) < every && c.lent < s.options.PairBurst:
		c.lent++
	default:
		s.Take("to "+c.address(), 1/every.Seconds(), 0) // an empty bucket: the overstep is noted
		return paid.Sub(now)
	}
	return 0
}

// read checks a message's content and says what the customer would see of it.
func (s *Sim) read(q request) (channelsim.Message, *Template, *failure) {
	var m channelsim.Message
	switch q.Type {
	case "text", "":
		if q.Text == nil || strings.TrimSpace(q.Text.Body) == "" {
			return m, nil, missing("text['body']")
		}
		if n := utf8.RuneCountInString(q.Text.Body); n > 4096 {
			return m, nil, &failure{Code: 100, Title: "Param text['body'] must be at most 4096 characters long."}
		}
		m.Text = q.Text.Body
	case "image":
		return s.file(q.Image, q.Type)
	case "video":
		return s.file(q.Video, q.Type)
	case "audio":
		return s.file(q.Audio, q.Type)
	case "document":
		return s.file(q.Document, q.Type)
	case "interactive":
		if q.Interactive == nil {
			return m, nil, missing("interactive")
		}
		return s.interactive(q)
	case "template":
		if q.Template == nil {
			return m, nil, missing("template")
		}
		return s.template(q)
	default:
		return m, nil, &failure{Code: 131051, Title: "Unsupported message type", Details: "Message type is currently not supported."}
	}
	return m, nil, nil
}

func (s *Sim) file(o *object, kind string) (channelsim.Message, *Template, *failure) {
	var m channelsim.Message
	if o == nil || o.ID == "" && o.Link == "" {
		return m, nil, missing(kind + "['id']")
	}
	stored, ok := s.media[o.ID]
	if !ok || !stored.ours {
		return m, nil, &failure{Code: 100, Title: "Param " + kind + "['id'] is not a valid whatsapp business account media attachment ID"}
	}
	family, _, _ := strings.Cut(stored.file.MediaType, "/")
	if kind != "document" && family != kind || stored.file.MediaType == "image/webp" && kind == "image" {
		return m, nil, &failure{Code: 131053, Title: "Media upload error", Details: "Unsupported " + kind + " mime type " + stored.file.MediaType}
	}
	if kind == "audio" && o.Caption != "" {
		return m, nil, &failure{Code: 100, Title: "Unexpected key \"caption\" on param \"audio\"."}
	}
	if utf8.RuneCountInString(o.Caption) > 1024 {
		return m, nil, &failure{Code: 100, Title: "Param " + kind + "['caption'] must be at most 1024 characters long."}
	}
	f := stored.file
	if kind == "document" && o.FileName != "" {
		f.Name = o.FileName
	}
	m.Text, m.Files = o.Caption, []channelsim.File{f}
	return m, nil, nil
}

func (s *Sim) interactive(q request) (channelsim.Message, *Template, *failure) {
	in := q.Interactive
	m := channelsim.Message{Text: in.Body.Text}
	bodyMax := 1024
	if in.Type == "list" {
		bodyMax = 4096
	}
	if n := utf8.RuneCountInString(in.Body.Text); n < 1 || n > bodyMax {
		return m, nil, invalid("Body text length invalid. Min length: 1, Max length: %d", bodyMax)
	}
	ids, titles := map[string]bool{}, map[string]bool{}
	within := func(text string, limit int) bool {
		n := utf8.RuneCountInString(text)
		return n >= 1 && n <= limit
	}
	switch in.Type {
	case "button":
		if n := len(in.Action.Buttons); n < 1 || n > 3 {
			return m, nil, invalid("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
		}
		for _, b := range in.Action.Buttons {
			switch {
			case b.Type != "reply":
				return m, nil, invalid("Invalid button type %q", b.Type)
			case !within(b.Reply.Title, 20):
				return m, nil, invalid("Button title length invalid. Min length: 1, Max length: 20")
			case !within(b.Reply.ID, 256):
				return m, nil, invalid("Button id length invalid. Min length: 1, Max length: 256")
			case ids[b.Reply.ID] || titles[b.Reply.Title]:
				return m, nil, invalid("Duplicated button id or title")
			}
			ids[b.Reply.ID], titles[b.Reply.Title] = true, true
			m.Choices = append(m.Choices, channel.Choice{Data: b.Reply.ID, Label: b.Reply.Title})
		}
	case "list":
		if !within(in.Action.Button, 20) {
			return m, nil, invalid("Button label length invalid. Min length: 1, Max length: 20")
		}
		m.Menu = in.Action.Button
		for _, section := range in.Action.Sections {
			if len(in.Action.Sections) > 1 && !within(section.Title, 24) {
				return m, nil, invalid("Section title is required when there is more than one section")
			}
			for _, r := range section.Rows {
				switch {
				case !within(r.Title, 24):
					return m, nil, invalid("Row title length invalid. Min length: 1, Max length: 24")
				case !within(r.ID, 200):
					return m, nil, invalid("Row id length invalid. Min length: 1, Max length: 200")
				case utf8.RuneCountInString(r.Description) > 72:
					return m, nil, invalid("Row description length invalid. Max length: 72")
				case ids[r.ID]:
					return m, nil, invalid("Duplicated row id")
				}
				ids[r.ID] = true
				m.Choices = append(m.Choices, channel.Choice{Data: r.ID, Label: r.Title, Description: r.Description})
			}
		}
		if n := len(m.Choices); n < 1 || n > 10 {
			return m, nil, invalid("Total row count exceed max allowed count: 10")
		}
	default:
		return m, nil, invalid("Unknown interactive type %q", in.Type)
	}
	return m, nil, nil
}

var placeForm = regexp.MustCompile(`\{\{[^{}]+\}\}`)

func (s *Sim) template(q request) (channelsim.Message, *Template, *failure) {
	var m channelsim.Message
	var t *Template
	for i := range s.options.Templates {
		one := &s.options.Templates[i]
		if one.Name == q.Template.Name && one.Language == q.Template.Language.Code {
			t = one
		}
	}
	notThere := &failure{Status: http.StatusNotFound, Code: 132001, Title: "Template name does not exist in the translation",
		Details: fmt.Sprintf("template name (%s) does not exist in %s", q.Template.Name, q.Template.Language.Code)}
	if t == nil {
		return m, nil, notThere
	}
	switch t.Status {
	case "APPROVED":
	case "PAUSED":
		return m, nil, &failure{Code: 132015, Title: "Template is Paused", Details: "Template is paused due to low quality so it cannot be sent in a template message."}
	case "DISABLED":
		return m, nil, &failure{Code: 132016, Title: "Template is Disabled"}
	default:
		return m, nil, notThere
	}
	if t.HeaderFormat != "" && t.HeaderFormat != "TEXT" || strings.Contains(t.Link, "{{") || t.Named || strings.Contains(t.Header, "{{") {
		return m, nil, &failure{Code: 132012, Title: "Template Parameter Format Mismatch", Details: "header, button or named parameters are expected"}
	}
	var values []string
	payloads := map[int]string{}
	for _, c := range q.Template.Components {
		switch {
		case c.Type == "body":
			for _, p := range c.Parameters {
				if p.Type != "text" || p.Text == "" {
					return m, nil, missing("components body parameters text")
				}
				if strings.ContainsAny(p.Text, "\n\t") || strings.Contains(p.Text, "     ") {
					return m, nil, &failure{Code: 132018, Title: "There's an issue with the parameters in your template", Details: "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"}
				}
				values = append(values, p.Text)
			}
		case c.Type == "button" && c.SubType == "quick_reply":
			i, err := strconv.Atoi(c.Index)
			if err != nil || i < 0 || i >= len(t.QuickReplies) || len(c.Parameters) != 1 || c.Parameters[0].Type != "payload" || c.Parameters[0].Payload == "" {
				return m, nil, invalid("components button at index %q does not exist in the template", c.Index)
			}
			payloads[i] = c.Parameters[0].Payload
		default:
			return m, nil, invalid("component %q is not in the template", c.Type)
		}
	}
	if want := len(placeForm.FindAllString(t.Body, -1)); want != len(values) {
		return m, nil, &failure{Code: 132000, Title: "Number of parameters does not match the expected number of params",
			Details: fmt.Sprintf("body: number of localizable_params (%d) does not match the expected number of params (%d)", len(values), want)}
	}
	m.Text, m.Title = t.Body, t.Header
	for i, v := range values {
		m.Text = strings.ReplaceAll(m.Text, fmt.Sprintf("{{%d}}", i+1), v)
	}
	if t.Footer != "" {
		m.Text += "\n\n" + t.Footer
	}
	if utf8.RuneCountInString(m.Text) > 1024 {
		return m, nil, &failure{Code: 132005, Title: "Translated text too long"}
	}
	for i, label := range t.QuickReplies {
		data, ok := payloads[i]
		if !ok {
			data = label
		}
		m.Choices = append(m.Choices, channel.Choice{Data: data, Label: label})
	}
	return m, t, nil
}

// uploadable are the media types of "Media", supported media types, and how large files of them may be.
var uploadable = map[string]int64{
	"audio/aac": 16, "audio/mp4": 16, "audio/mpeg": 16, "audio/amr": 16, "audio/ogg": 16, "audio/opus": 16, "image/jpeg": 5, "image/png": 5,
	"image/webp": 5, "video/mp4": 16, "video/3gpp": 16, "text/plain": 100, "application/pdf": 100, "application/msword": 100,
	"application/vnd.ms-excel": 100, "application/vnd.ms-powerpoint": 100,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   100,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         100,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": 100,
}

func (s *Sim) upload(r *http.Request) channelsim.Response {
	if err := r.ParseMultipartForm(8 << 20); err != nil {
		return (&failure{Code: 100, Title: "Invalid parameter", Details: err.Error()}).response()
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }()
	if r.FormValue("messaging_product") != "whatsapp" {
		return (&failure{Code: 100, Title: "The parameter messaging_product is required."}).response()
	}
	f, header, err := r.FormFile("file")
	if err != nil {
		return (&failure{Code: 100, Title: "The parameter file is required."}).response()
	}
	defer f.Close()
	mediaType := header.Header.Get("Content-Type")
	limit, ok := uploadable[mediaType]
	if !ok {
		return (&failure{Code: 100, Title: "Param file must be a file with one of the following types: audio/aac, … video/3gpp. Received file of type '" + mediaType + "'."}).response()
	}
	content, err := io.ReadAll(f)
	if err != nil || int64(len(content)) > limit<<20 || len(content) == 0 {
		return (&failure{Code: 131053, Title: "Media upload error", Details: fmt.Sprintf("File size exceeds the limit of %d MB or the file is empty", limit)}).response()
	}
	s.Lock()
	defer s.Unlock()
	id := s.mediaID()
	s.media[id] = stored{file: channelsim.File{Name: header.Filename, MediaType: mediaType, Content: content}, ours: true}
	return respond(http.StatusOK, map[string]any{"id": id})
}

func hash(content []byte) string {
	h := sha256.Sum256(content)
	return base64.StdEncoding.EncodeToString(h[:])
}

func (s *Sim) mediaURL(id string, r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	m, ok := s.media[id]
	if !ok {
		return noObject.response()
	}
	return respond(http.StatusOK, map[string]any{"messaging_product": "whatsapp", "id": id, "mime_type": m.file.MediaType,
		"sha256": hash(m.file.Content), "file_size": strconv.Itoa(len(m.file.Content)),
		"url": fmt.Sprintf("http://%s/whatsapp_business/attachments/?mid=%s&ext=%d", r.Host, id, s.Now().Add(5*time.Minute).Unix())})
}

func (s *Sim) download(r *http.Request) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	m, ok := s.media[r.URL.Query().Get("mid")]
	expires, err := strconv.ParseInt(r.URL.Query().Get("ext"), 10, 64)
	if !ok || err != nil || s.Now().Unix() > expires {
		return channelsim.Response{Status: http.StatusNotFound, Type: "text/html", Body: []byte("Not Found")}
	}
	return channelsim.Response{Type: m.file.MediaType, Body: m.file.Content}
}

// list gives templates page by page.
func (s *Sim) list(r *http.Request) channelsim.Response {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 {
		limit = 25
	}
	from := 0
	if after := r.URL.Query().Get("after"); after != "" {
		if from, err = strconv.Atoi(strings.TrimPrefix(after, "cursor")); err != nil {
			return (&failure{Code: 100, Title: "Invalid parameter"}).response()
		}
	}
	s.Lock()
	defer s.Unlock()
	all := s.options.Templates
	limit = min(limit, 4) // the API may give fewer than asked for
	from = min(max(from, 0), len(all))
	to := min(from+limit, len(all))
	data := []any{}
	for i, t := range all[from:to] {
		var components []any
		if t.HeaderFormat != "" {
			h := map[string]any{"type": "HEADER", "format": t.HeaderFormat}
			if t.Header != "" {
				h["text"] = t.Header
			}
			components = append(components, h)
		}
		components = append(components, map[string]any{"type": "BODY", "text": t.Body})
		if t.Footer != "" {
			components = append(components, map[string]any{"type": "FOOTER", "text": t.Footer})
		}
		var buttons []any
		for _, q := range t.QuickReplies {
			buttons = append(buttons, map[string]any{"type": "QUICK_REPLY", "text": q})
		}
		if t.Link != "" {
			buttons = append(buttons, map[string]any{"type": "URL", "text": "Öffnen", "url": t.Link})
		}
		if len(buttons) > 0 {
			components = append(components, map[string]any{"type": "BUTTONS", "buttons": buttons})
		}
		format := "POSITIONAL"
		if t.Named {
			format = "NAMED"
		}
		one := map[string]any{"id": strconv.Itoa(594425479261000 + from + i), "name": t.Name, "language": t.Language, "status": t.Status,
			"category": t.Category, "parameter_format": format, "components": components}
		if t.Rejected != "" {
			one["rejected_reason"] = t.Rejected
		}
		data = append(data, one)
	}
	paging := map[string]any{"cursors": map[string]any{"before": fmt.Sprintf("cursor%d", from), "after": fmt.Sprintf("cursor%d", to)}}
	if to < len(all) {
		paging["next"] = "https://graph.facebook.com/v25.0/" + s.options.BusinessAccountID + "/message_templates?access_token=secret&after=" + fmt.Sprintf("cursor%d", to)
	}
	return respond(http.StatusOK, map[string]any{"data": data, "paging": paging})
}
