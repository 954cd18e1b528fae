// Package messengersim stands in for Meta's Messenger Platform: a Page with Messenger, or an Instagram account. It takes
// what the Send API takes, refuses what that refuses, and delivers signed webhooks. It is in charge of nothing that the
// driver does: it has its own idea of the API and signs with its own code. What it cites is the platform's documents by
// the title of the page.
package messengersim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// Options differ from the platform's own behaviour for a test; the zero value is as strict as the platform.
type Options struct {
	Now            func() time.Time // nil = the real time
	PerSecond      float64          // calls with text a second; 0 = 300, negative = no limit
	MediaPerSecond float64          // calls with audio or video a second; 0 = 10, negative = no limit
	Retry          []time.Duration  // pauses before webhooks come again; empty = 1 s, doubled
	NoHumanAgent   bool             // the app lacks the feature "Human Agent"
	Latency        time.Duration    // of each call
}

// Sim is the platform with one Page of ours.
type Sim struct {
	channelsim.Base
	hook      channelsim.Hook
	o         Options
	instagram bool

	account, page, token, secret, verify string
	base                                 string
	byName                               map[string]*person
	byID                                 map[string]*person
	uploads                              map[string]upload
	media                                map[string]channelsim.File
}

type upload struct {
	file channelsim.File
	kind string
}

// New makes the platform with Messenger.
func New(o Options) *Sim { return build(o, false) }

// NewInstagram makes the platform with Instagram.
func NewInstagram(o Options) *Sim { return build(o, true) }

func build(o Options, instagram bool) *Sim {
	s := &Sim{o: o, instagram: instagram, page: "106540352242922", account: "106540352242922", token: "EAAGm0PX4ZCpsBAKcPageToken", secret: "8f2b7c6d5e4f3a2b1c0d9e8f7a6b5c4d",
		verify: "musterhaus-webhook", byName: map[string]*person{}, byID: map[string]*person{}, uploads: map[string]upload{}, media: map[string]channelsim.File{}}
	if instagram {
		s.account = "17841405793187218" // webhooks name the Instagram account, not the Page
	}
	s.Init(o.Now)
	s.Latency = o.Latency
	s.hook = channelsim.Hook{Base: &s.Base, Sign: s.sign, Retry: o.Retry}
	return s
}

// Kind implements channelsim.Sim.
func (s *Sim) Kind() channel.Kind {
	if s.instagram {
		return "instagram"
	}
	return "messenger"
}

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	s.Lock()
	defer s.Unlock()
	s.base = base
	set := channel.Settings{"page_id": s.page, "page_access_token": s.token, "app_secret": s.secret, "verify_token": s.verify, "api_url": base}
	if s.instagram {
		set["username"] = "musterhaus"
	}
	return set
}

// Hook delivers the webhooks.
func (s *Sim) Hook() *channelsim.Hook { return &s.hook }

// Connect implements channelsim.Sim: the address has to pass the verification request first ("Webhooks").
func (s *Sim) Connect(hook string) {
	s.hook.To("")
	if hook == "" {
		return
	}
	if s.handshake(hook) {
		s.hook.To(hook)
		return
	}
	s.Work.Go(func() {
		for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			select {
			case <-s.Ctx.Done():
				return
			case <-time.After(pause):
			}
			if s.handshake(hook) {
				s.hook.To(hook)
				return
			}
		}
	})
}

func (s *Sim) handshake(hook string) bool {
	s.Lock()
	challenge := strconv.FormatInt(1158201444+s.Serial(), 10)
	s.Unlock()
	ctx, cancel := context.WithTimeout(s.Ctx, 5*time.Second)
	defer cancel()
	q := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {s.verify}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, hook+"?"+q.Encode(), nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	return err == nil && resp.StatusCode == http.StatusOK && string(body) == challenge
}

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// sign makes the request of a notification: the signature covers the body with everything beyond ASCII escaped.
func (s *Sim) sign(to string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write(body)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "facebookexternalua")
	return r, nil
}

// escape writes JSON as the platform does: only ASCII, slashes escaped.
func escape(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	for _, r := range string(raw) {
		switch {
		case r == '/':
			b.WriteString(`\/`)
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		default:
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, u)
			}
		}
	}
	return b.Bytes()
}

type object map[string]any

// tell delivers an event. The caller holds the mutex.
func (s *Sim) tell(p *person, fromPage bool, more object) {
	now := s.Now().UnixMilli()
	from, to := p.id, s.account
	if fromPage {
		from, to = to, from
	}
	e := object{"sender": object{"id": from}, "recipient": object{"id": to}, "timestamp": now}
	for k, v := range more {
		e[k] = v
	}
	kind := "page"
	if s.instagram {
		kind = "instagram"
	}
	s.hook.Push(p.id, escape(object{"object": kind, "entry": []object{{"id": s.account, "time": now, "messaging": []object{e}}}}))
}

// refusal is an error of the Graph API.
type refusal struct {
	status        int
	code, subcode int
	message       string
}

func (r *refusal) response() channelsim.Response {
	status := r.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	e := object{"message": fmt.Sprintf("(#%d) %s", r.code, r.message), "type": "OAuthException", "code": r.code, "fbtrace_id": "A3b4C5d6E7f8G9h0"}
	if r.subcode != 0 {
		e["error_subcode"] = r.subcode
	}
	return channelsim.Response{Status: status, Type: "application/json; charset=UTF-8", Body: escape(object{"error": e})}
}

func answer(v object) channelsim.Response {
	return channelsim.Response{Type: "application/json; charset=UTF-8", Body: escape(v)}
}

var versioned = regexp.MustCompile(`^/v[0-9]{1,2}\.[0-9]/`)

// ServeHTTP is the Graph API, and the host of media.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id, ok := strings.CutPrefix(r.URL.Path, "/cdn/"); ok && r.Method == http.MethodGet {
		s.Do(w, r, "media", func() channelsim.Response { return s.download(id) })
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 40<<20))
	if err != nil {
		return
	}
	where := versioned.FindString(r.URL.Path)
	path := strings.TrimPrefix(r.URL.Path, where)
	if owner, rest, _ := strings.Cut(path, "/"); owner == s.page {
		path = strings.TrimSuffix("me/"+rest, "/")
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == "" {
		token = r.URL.Query().Get("access_token")
	}
	checked := func(act func() channelsim.Response) func() channelsim.Response {
		return func() channelsim.Response {
			if token != s.token {
				return (&refusal{code: 190, message: "Invalid OAuth access token - Cannot parse access token"}).response()
			}
			return act()
		}
	}
	switch {
	case where == "":
		s.Do(w, r, "unknown", func() channelsim.Response {
			return (&refusal{code: 2500, message: "Unknown path components: " + r.URL.Path}).response()
		})
	case r.Method == http.MethodPost && path == "me/messages":
		s.Do(w, r, "message", checked(func() channelsim.Response { return s.send(body) }))
	case r.Method == http.MethodPost && path == "me/message_attachments":
		s.Do(w, r, "media", checked(func() channelsim.Response { return s.upload(r.Header.Get("Content-Type"), body) }))
	case r.Method == http.MethodGet && path == "me":
		s.Do(w, r, "me", checked(func() channelsim.Response { return answer(object{"id": s.page, "name": "Musterhaus"}) }))
	default:
		s.Do(w, r, "unknown", func() channelsim.Response {
			return (&refusal{code: 2500, message: "Unknown path components: " + r.URL.Path}).response()
		})
	}
}

func (s *Sim) download(id string) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	id, _, _ = strings.Cut(id, "/")
	f, ok := s.media[id]
	if !ok {
		return channelsim.Response{Status: http.StatusForbidden, Type: "text/plain", Body: []byte("URL signature expired")}
	}
	return channelsim.Response{Type: f.MediaType, Body: f.Content}
}

var formats = map[string][]string{ // "Upload Media for Instagram Messaging"
	"image": {"image/png", "image/jpeg", "image/gif"},
	"audio": {"audio/aac", "audio/mp4", "audio/x-m4a", "audio/m4a", "audio/wav", "audio/x-wav", "audio/wave"},
	"video": {"video/mp4", "video/ogg", "video/x-msvideo", "video/avi", "video/quicktime", "video/webm"},
	"file":  {"application/pdf"},
}

func (s *Sim) upload(contentType string, body []byte) channelsim.Response {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return (&refusal{code: 100, message: "param message must be non-empty."}).response()
	}
	form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(40 << 20)
	if err != nil || len(form.File["filedata"]) != 1 {
		return (&refusal{code: 100, subcode: 2018005, message: "Incorrect number of files uploaded. Must upload exactly one file."}).response()
	}
	var message struct {
		Attachment struct {
			Type string `json:"type"`
		} `json:"attachment"`
	}
	if len(form.Value["message"]) != 1 || json.Unmarshal([]byte(form.Value["message"][0]), &message) != nil || formats[message.Attachment.Type] == nil {
		return (&refusal{code: 100, message: "Param message[attachment][type] must be one of {AUDIO, FILE, IMAGE, VIDEO}"}).response()
	}
	if s.instagram && !slices.Equal(form.Value["platform"], []string{"instagram"}) {
		return (&refusal{code: 100, message: "Param platform must be instagram"}).response()
	}
	h := form.File["filedata"][0]
	f, err := h.Open()
	if err != nil {
		return (&refusal{code: 100, subcode: 2018047, message: "Upload attachment failure."}).response()
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return (&refusal{code: 100, subcode: 2018047, message: "Upload attachment failure."}).response()
	}
	kind, mediaType := message.Attachment.Type, h.Header.Get("Content-Type")
	limit := 25 << 20
	if kind == "image" {
		limit = 8 << 20
	}
	if len(content) > limit {
		return (&refusal{code: 100, subcode: 2018109, message: "Attachment size exceeds allowable limit"}).response()
	}
	if (s.instagram || kind != "file") && !slices.Contains(formats[kind], mediaType) && (s.instagram || mediaType != "audio/mpeg") {
		return (&refusal{code: 100, subcode: 2018047, message: "Upload attachment failure. The type of file you're trying to attach isn't allowed."}).response()
	}
	s.Lock()
	defer s.Unlock()
	id := strconv.FormatInt(1745504518999000+s.Serial(), 10)
	s.uploads[id] = upload{channelsim.File{Name: h.Filename, MediaType: mediaType, Content: content}, kind}
	return answer(object{"attachment_id": id})
}

type request struct {
	Recipient struct {
		ID string `json:"id"`
	} `json:"recipient"`
	Type    string `json:"messaging_type"`
	Tag     string `json:"tag"`
	ReplyTo *struct {
		MID string `json:"mid"`
	} `json:"reply_to"`
	Message struct {
		Text         string `json:"text"`
		Metadata     string `json:"metadata"`
		QuickReplies []struct {
			Type    string `json:"content_type"`
			Title   string `json:"title"`
			Payload string `json:"payload"`
		} `json:"quick_replies"`
		Attachment *struct {
			Type    string `json:"type"`
			Payload struct {
				ID  string `json:"attachment_id"`
				URL string `json:"url"`
			} `json:"payload"`
		} `json:"attachment"`
	} `json:"message"`
}

func (s *Sim) send(body []byte) channelsim.Response {
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return (&refusal{code: 100, message: "Invalid JSON"}).response()
	}
	s.Lock()
	defer s.Unlock()
	mid, fail := s.accept(in)
	if fail != nil {
		return fail.response()
	}
	return answer(object{"recipient_id": in.Recipient.ID, "message_id": mid})
}

func limit(set, standard float64) float64 {
	switch {
	case set < 0:
		return 0
	case set == 0:
		return standard
	}
	return set
}

// accept carries a message out. The caller holds the mutex.
func (s *Sim) accept(in request) (mid string, fail *refusal) {
	m := in.Message
	var file *upload
	if m.Attachment != nil {
		u, ok := s.uploads[m.Attachment.Payload.ID]
		if !ok || u.kind != m.Attachment.Type {
			return "", &refusal{code: 100, subcode: 2018074, message: "Invalid attachment ID."}
		}
		file = &u
	}
	// "Messenger Platform rate limits", Send API.
	name, rate := "account", limit(s.o.PerSecond, 300)
	if file != nil && (file.kind == "audio" || file.kind == "video") {
		name, rate = "audio and video", limit(s.o.MediaPerSecond, 10)
	}
	if rate > 0 && s.Take(name, rate, max(rate, 1)) > 0 {
		return "", &refusal{code: 613, message: "Calls to this api have exceeded the rate limit."}
	}
	p := s.byID[in.Recipient.ID]
	switch {
	case in.Recipient.ID == "":
		return "", &refusal{code: 100, message: "The parameter recipient is required"}
	case p == nil && s.instagram:
		return "", &refusal{code: 100, subcode: 2534014, message: "The requested user cannot be found."}
	case p == nil:
		return "", &refusal{code: 100, subcode: 2018001, message: "No matching user found"}
	case in.Type != "RESPONSE" && in.Type != "UPDATE" && in.Type != "MESSAGE_TAG" && !(s.instagram && in.Type == ""):
		return "", &refusal{code: 100, message: "Param messaging_type must be one of {RESPONSE, UPDATE, MESSAGE_TAG, UTILITY}"}
	case (in.Type == "MESSAGE_TAG") != (in.Tag != ""):
		return "", &refusal{code: 100, message: "A tag needs messaging_type MESSAGE_TAG, and that needs a tag"}
	case in.Tag != "" && in.Tag != "HUMAN_AGENT":
		return "", &refusal{code: 100, message: "Param tag must be one of {HUMAN_AGENT}"}
	case in.Tag != "" && s.o.NoHumanAgent:
		return "", &refusal{code: 10, subcode: 2018276, message: "To send messages with the tag HUMAN_AGENT, this app needs the feature Human Agent"}
	case m.Text == "" && file == nil:
		return "", &refusal{code: 100, subcode: 2018034, message: "Message cannot be empty, must provide valid attachment or text"}
	case m.Text != "" && file != nil:
		return "", &refusal{code: 100, message: "Cannot send both attachment and text"}
	case !s.instagram && utf8.RuneCountInString(m.Text) > 2000:
		return "", &refusal{code: 100, message: "Length of param message[text] must be less than or equal to 2000"}
	case s.instagram && len(m.Text) > 1000:
		return "", &refusal{code: 100, message: "Length of param message[text] must be less than or equal to 1000"}
	case len(m.Metadata) > 1000:
		return "", &refusal{code: 100, message: "Length of param message[metadata] must be less than or equal to 1000"}
	case len(m.QuickReplies) > 13:
		return "", &refusal{code: 105, message: "Param message[quick_replies] has too many elements."}
	}
	var choices []channel.Choice
	for _, q := range m.QuickReplies {
		if q.Type != "text" || q.Title == "" || q.Payload == "" || utf8.RuneCountInString(q.Title) > 20 || utf8.RuneCountInString(q.Payload) > 1000 {
			return "", &refusal{code: 100, message: "Param message[quick_replies]: a title of 1 to 20 and a payload of 1 to 1000 characters are needed"}
		}
		choices = append(choices, channel.Choice{Label: q.Title, Data: q.Payload})
	}
	quoted := ""
	if in.ReplyTo != nil {
		if quoted = in.ReplyTo.MID; !p.knows(quoted) {
			return "", &refusal{code: 100, message: "Invalid message ID in reply_to"}
		}
	}
	// "Messenger Platform policy": 24 hours, with HUMAN_AGENT seven days.
	open := 24 * time.Hour
	if in.Tag != "" {
		open = 7 * 24 * time.Hour
	}
	if p.last.IsZero() || s.Now().Sub(p.last) > open {
		if s.instagram {
			return "", &refusal{code: 10, subcode: 2534022, message: "This message is sent outside of allowed window."}
		}
		return "", &refusal{code: 10, subcode: 2018278, message: "This message is sent outside of allowed window. Learn more about the new policy here: https://developers.facebook.com/docs/messenger-platform/policy-overview"}
	}
	if p.Blocked {
		return "", &refusal{code: 551, subcode: 1545041, message: "This person isn't available right now."}
	}
	mid = s.mid()
	got := channelsim.Message{Ref: mid, Text: m.Text, Choices: choices, ReplyTo: quoted, At: s.Now()}
	echo := object{"mid": mid, "is_echo": true}
	if !s.instagram {
		echo["app_id"] = 263902037430900
	}
	if file != nil {
		got.Files = []channelsim.File{file.file}
		echo["attachments"] = []object{{"type": file.kind, "payload": object{"url": s.store(file.file)}}}
	}
	if m.Text != "" {
		echo["text"] = m.Text
	}
	if m.Metadata != "" && !s.instagram {
		echo["metadata"] = m.Metadata
	}
	p.Got = append(p.Got, got)
	s.Accept(channelsim.Accepted{Op: "message", To: p.id, Ref: mid, Key: m.Metadata, Text: m.Text})
	s.tell(p, true, object{"message": echo})
	if !s.instagram {
		s.tell(p, false, object{"delivery": object{"mids": []string{mid}, "watermark": s.Now().UnixMilli()}})
	}
	return mid, nil
}

// mid makes a message's id. The caller holds the mutex.
func (s *Sim) mid() string {
	sum := sha256.Sum256(strconv.AppendInt([]byte(s.account), s.Serial(), 10))
	if s.instagram {
		return "aWdfZAG1faXRlbToxOk" + hex.EncodeToString(sum[:20])
	}
	return "m_" + hex.EncodeToString(sum[:24])
}

// store puts a file onto the media host. The caller holds the mutex.
func (s *Sim) store(f channelsim.File) string {
	id := strconv.FormatInt(s.Serial(), 36) + "x"
	s.media[id] = f
	name := f.Name
	if name == "" {
		name = "file"
	}
	return s.base + "/cdn/" + id + "/" + url.PathEscape(name) + "?oh=00_AfB&oe=65F0"
}
