package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/account"
	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/chat"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
)

// The door of web chats, /chat/{channel}/…: for pages of other sites, without cookies, outside /api/v1. Every call is
// checked for where its page comes from. A visitor is known by a token of their own making (Authorization: Bearer), or
// by what their site vouches for (X-Rufweite-User and X-Rufweite-Signature).

const (
	chatTextMax   = 10000    // code points of a message
	chatFileMax   = 10 << 20 // bytes of a file
	chatFilesMax  = 5        // files of a message
	chatBodyMax   = 22 << 20 // bytes of a message with its files
	chatIDMax     = 100      // code points of a client id
	chatNameMax   = 100      // code points of a name
	chatUserMax   = 200      // bytes of a site's user id
	userHeader    = "X-Rufweite-User"
	userSignature = "X-Rufweite-Signature"
)

// chatDriver is what this door needs of the driver of web chats.
type chatDriver interface {
	channel.Reparser
	Allowed(s channel.Settings, origin string, own []string) bool
	User(s channel.Settings, user, signature string) (configured, right bool)
}

// chats is what this door keeps in memory.
type chats struct {
	limits  limits
	notes   chatNotes
	streams streams
	script  script
}

// visitor is who calls.
type visitor struct {
	ch      account.Channel
	driver  chatDriver
	token   string
	address string // value of the address; "" = nobody yet
	name    string
	user    bool // the site vouches for them
	trouble error
}

func (s *Server) chatRoutes() {
	s.mux.HandleFunc("/chat/{channel}/{rest...}", s.serveChat)
	s.mux.HandleFunc("GET /widget.js", s.serveWidget)
}

// serveChat checks who calls from where, and hands on.
func (s *Server) serveChat(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Origin")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	v, p := s.visitorOf(w, r)
	if p != nil {
		writeProblem(w, p)
		return
	}
	if r.Method == http.MethodOptions { // a preflight (Fetch standard, CORS)
		h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+userHeader+", "+userSignature)
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if wait := s.chats.limits.take("ip "+s.clientIP(r), 600, 300, s.Now()); wait > 0 {
		s.tooMany(w, r, wait)
		return
	}
	var err error
	switch r.Method + " " + r.PathValue("rest") {
	case "GET config":
		err = s.chatConfig(w, r, v)
	case "GET messages":
		err = s.chatHistory(w, r, v)
	case "POST messages":
		err = s.chatWrite(w, r, v)
	case "POST typing":
		err = s.chatTyping(w, r, v)
	case "POST receipts":
		err = s.chatReceipts(w, r, v)
	case "POST email":
		err = s.chatMail(w, r, v)
	case "GET live":
		err = s.chatLive(w, r, v)
	case "DELETE session":
		err = s.chatEnd(w, r, v)
	default:
		err = problem(http.StatusNotFound, "no_such_route", textIn(s.language(r), "Diesen Weg gibt es nicht.", "There is no such path."))
	}
	if err == nil {
		return
	}
	var limited *limitError
	if errors.As(err, &limited) {
		s.tooMany(w, r, limited.wait)
		return
	}
	ctx := context.WithValue(r.Context(), requestKey{}, r)
	if errors.Is(err, db.ErrUnavailable) {
		h.Set("Retry-After", "2")
	}
	s.writeFailure(ctx, w, err)
}

type limitError struct{ wait time.Duration }

func (e *limitError) Error() string { return "too many requests" }

func (s *Server) tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	seconds := int(wait/time.Second) + 1
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	writeProblem(w, problem(http.StatusTooManyRequests, "too_many", textIn(s.language(r),
		fmt.Sprintf("Das war gerade sehr viel auf einmal. In %d Sekunden geht es weiter; es ging nichts verloren.", seconds),
		fmt.Sprintf("That was a lot at once. It goes on in %d seconds; nothing was lost.", seconds))))
}

// chatChannel finds the channel; "-" is the one of an installation that has exactly one.
func (s *Server) chatChannel(r *http.Request) (account.Channel, *Problem) {
	lang := s.language(r)
	gone := problem(http.StatusNotFound, "no_such_chat", textIn(lang, "Diesen Chat gibt es nicht, oder er ist abgeschaltet.", "There is no such chat, or it is switched off."))
	id := r.PathValue("channel")
	if id == "-" {
		var only []account.Channel
		for _, c := range s.Accounts.All() {
			if c.Kind == chat.Kind && c.Enabled {
				only = append(only, c)
			}
		}
		if len(only) != 1 {
			gone.Code = "which_chat"
			gone.Detail = textIn(lang, "Diese Installation hat nicht genau einen Chat. Nennen Sie ihn im Skript-Tag: data-channel=\"…\".", "This installation does not have exactly one chat. Name it in the script tag: data-channel=\"…\".")
			return account.Channel{}, gone
		}
		return only[0], nil
	}
	c, err := s.Accounts.Find(r.Context(), id)
	switch {
	case err != nil && !errors.Is(err, account.ErrNotFound):
		s.Log.Error("a channel could not be looked up", "error", err)
		return c, problem(http.StatusServiceUnavailable, "unavailable", textIn(lang, "Der Chat ist gerade nicht erreichbar. Versuchen Sie es gleich noch einmal.", "The chat cannot be reached right now. Try again in a moment."))
	case err != nil || c.Kind != chat.Kind || !c.Enabled:
		return c, gone
	}
	return c, nil
}

// visitorOf checks where a call comes from and who makes it. A wrong signature is never taken for nobody.
func (s *Server) visitorOf(w http.ResponseWriter, r *http.Request) (*visitor, *Problem) {
	lang := s.language(r)
	c, p := s.chatChannel(r)
	if p != nil {
		// Says nothing about anybody, and whoever sets the page up shall read it.
		if from := r.Header.Get("Origin"); from != "" {
			w.Header().Set("Access-Control-Allow-Origin", from)
		}
		return nil, p
	}
	d, ok := s.Accounts.Driver(c.Kind).(chatDriver)
	if !ok {
		return nil, problem(http.StatusNotFound, "no_such_chat", textIn(lang, "Diesen Chat gibt es nicht.", "There is no such chat."))
	}
	from := r.Header.Get("Origin")
	foreign := from != "" && !d.Allowed(c.Settings, from, s.ownHosts(r))
	if from == "" { // browsers leave it out only towards their own site
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
			foreign = true
		}
	}
	if foreign {
		p := problem(http.StatusForbidden, "foreign_origin", textIn(lang, "Diese Website darf den Chat nicht benutzen. Tragen Sie sie beim Kanal unter allowed_origins ein: "+from, "This website may not use the chat. Add it to the channel's allowed_origins: "+from))
		return nil, p
	}
	if from != "" {
		w.Header().Set("Access-Control-Allow-Origin", from)
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
	}
	v := &visitor{ch: c, driver: d, token: bearerOf(r)}
	user, err := url.PathUnescape(r.Header.Get(userHeader))
	signature := r.Header.Get(userSignature)
	for part := range strings.SplitSeq(r.Header.Get("Sec-WebSocket-Protocol"), ",") { // a browser's WebSocket has no other header
		kind, value, _ := strings.Cut(strings.TrimSpace(part), ".")
		switch kind {
		case "token":
			v.token = value
		case "user":
			var b []byte
			b, err = base64.RawURLEncoding.DecodeString(value)
			user = string(b)
		case "signature":
			signature = value
		}
	}
	if r.Method == http.MethodOptions || (user == "" && signature == "" && err == nil) {
		return v, nil
	}
	configured, right := d.User(c.Settings, user, signature)
	switch {
	case !configured:
		return nil, problem(http.StatusForbidden, "identity_not_configured", textIn(lang, "Dieser Chat nimmt keine Anmeldungen an: Am Kanal fehlt identity_secret.", "This chat takes no identities: the channel has no identity_secret."))
	case err != nil || !right || len(user) > chatUserMax || !utf8.ValidString(user) || strings.ContainsFunc(user, func(c rune) bool { return !unicode.IsPrint(c) }):
		return nil, problem(http.StatusForbidden, "bad_identity", textIn(lang, "Ihre Anmeldung auf dieser Website ließ sich nicht prüfen. Melden Sie sich dort neu an.", "Your sign-in on this website could not be verified. Sign in there again."))
	}
	// Of two channels each vouches for its own users only.
	v.user, v.address, v.token = true, "user:"+user+":"+shortHash([]byte(c.ID))[:8], ""
	return v, nil
}

// known gives the visitor's session, if there is one. Who has none is nobody yet, which is no error.
func (s *Server) known(ctx context.Context, v *visitor) error {
	if v.user || v.token == "" || v.address != "" {
		return nil
	}
	session, err := chat.Find(ctx, s.DB.Org(v.ch.Org), v.token, v.ch.ID, s.Now())
	if err != nil {
		v.trouble = err
		if errors.Is(err, chat.ErrUnknown) || errors.Is(err, chat.ErrExpired) || errors.Is(err, chat.ErrToken) {
			return nil
		}
		return err
	}
	v.address, v.name = session.Visitor, session.Name
	return nil
}

// must is known for calls that somebody has to make.
func (s *Server) must(r *http.Request, v *visitor) error {
	if err := s.known(r.Context(), v); err != nil {
		return err
	}
	if v.address != "" {
		return nil
	}
	return s.noSession(r, v)
}

func (s *Server) noSession(r *http.Request, v *visitor) *Problem {
	lang := s.language(r)
	if errors.Is(v.trouble, chat.ErrExpired) {
		return problem(http.StatusUnauthorized, "session_expired", textIn(lang, "Dieser Chat ist lange her und wurde hier vergessen. Schreiben Sie einfach neu.", "This chat was long ago and has been forgotten here. Just write anew."))
	}
	return problem(http.StatusUnauthorized, "no_session", textIn(lang, "In diesem Browser gibt es noch kein Gespräch. Es beginnt mit der ersten Nachricht.", "There is no conversation in this browser yet. It begins with the first message."))
}

// addressOf gives the visitor's address, once a first message has been taken in.
func (s *Server) addressOf(ctx context.Context, v *visitor) (customer.Address, bool, error) {
	if v.address == "" {
		return customer.Address{}, false, nil
	}
	a, err := customer.AddressByValue(ctx, s.DB.Org(v.ch.Org), chat.Kind, v.address)
	if errors.Is(err, customer.ErrNotFound) {
		return a, false, nil
	}
	return a, err == nil, err
}

// chatFileTypes are the files that visitors may send, by their extension. Programs and pages are not among them.
var chatFileTypes = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif", ".heic": "image/heic", ".heif": "image/heif",
	".pdf": "application/pdf", ".txt": "text/plain", ".csv": "text/csv", ".rtf": "application/rtf",
	".doc": "application/msword", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xls": "application/vnd.ms-excel", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".odt": "application/vnd.oasis.opendocument.text", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".wav": "audio/wav", ".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm",
	".zip": "application/zip", ".ics": "text/calendar", ".vcf": "text/vcard",
}

// fileKind tells the media type under which a visitor's file is kept; ok is false if it is none that we take.
func fileKind(name string, content []byte) (kind string, ok bool) {
	kind, ok = chatFileTypes[strings.ToLower(path.Ext(name))]
	if !ok {
		return "", false
	}
	sniffed, _, _ := mime.ParseMediaType(http.DetectContentType(content))
	switch {
	case sniffed == "text/html", bytes.HasPrefix(content, []byte("MZ")), bytes.HasPrefix(content, []byte("\x7fELF")), bytes.HasPrefix(content, []byte("#!")):
		return "", false // says it is a picture and is a program
	case strings.HasPrefix(kind, "image/") && strings.HasPrefix(sniffed, "image/"):
		kind = sniffed
	case strings.HasPrefix(kind, "image/") && shown[kind] && kind != "image/avif": // none that a browser knows
		kind = "application/octet-stream"
	case kind == "application/pdf" && sniffed != kind:
		kind = "application/octet-stream"
	}
	return kind, true
}

type chatFile struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	content   []byte
}

// chatMessage is what the widget sends.
type chatMessage struct {
	ClientID string `json:"client_id"`
	Text     string `json:"text"`
	ReplyTo  string `json:"reply_to"` // id of a message
	Person   bool   `json:"person"`   // asks for a person
	Name     string `json:"name"`     // as the page calls the visitor; a claim
	Language string `json:"language"`
	// Choice is a button that was pressed, of a message that offers it.
	Choice *chatChoice `json:"choice"`
}

type chatChoice struct {
	Message string `json:"message"` // id
	Data    string `json:"data"`
}

// chatBody reads a message: JSON, or a form with the JSON as "message" and files as "file".
func (s *Server) chatBody(w http.ResponseWriter, r *http.Request) (m chatMessage, files []chatFile, err error) {
	lang := s.language(r)
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (kind != "application/json" && kind != "multipart/form-data") {
		return m, nil, problem(http.StatusUnsupportedMediaType, "media_type", textIn(lang, "Schicken Sie JSON, oder mit Dateien ein Formular (multipart/form-data).", "Send JSON, or a form (multipart/form-data) with files."))
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(10 * time.Minute)) // a photo over a slow line; not every writer has one
	unreadable := func(err error) error {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return s.chatTooLarge(lang)
		}
		return problem(http.StatusBadRequest, "bad_request", textIn(lang, "Diese Nachricht ist nicht lesbar.", "This message cannot be read."))
	}
	decode := func(from io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(from, 256<<10))
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		return err
	}
	if kind == "application/json" {
		if err := decode(http.MaxBytesReader(w, r.Body, 256<<10)); err != nil {
			return m, nil, unreadable(err)
		}
		return m, nil, nil
	}
	form := multipart.NewReader(http.MaxBytesReader(w, r.Body, chatBodyMax), params["boundary"])
	for {
		part, err := form.NextPart()
		if err == io.EOF { //nolint:errorlint // wrapped, it means that the form was cut short
			return m, files, nil
		}
		if err != nil {
			return m, nil, unreadable(err)
		}
		if part.FormName() == "message" {
			if err := decode(part); err != nil {
				return m, nil, unreadable(err)
			}
			continue
		}
		if part.FormName() != "file" {
			continue
		}
		if len(files) == chatFilesMax {
			return m, nil, problem(http.StatusUnprocessableEntity, "too_many_files", textIn(lang, fmt.Sprintf("Höchstens %d Dateien in einer Nachricht.", chatFilesMax), fmt.Sprintf("At most %d files in one message.", chatFilesMax)))
		}
		b, err := io.ReadAll(io.LimitReader(part, chatFileMax+1))
		if err != nil {
			return m, nil, unreadable(err)
		}
		name := conversation.CleanFileName(part.FileName())
		if len(b) > chatFileMax {
			return m, nil, s.chatTooLarge(lang)
		}
		if len(b) == 0 {
			return m, nil, problem(http.StatusUnprocessableEntity, "empty_file", textIn(lang, "Die Datei „"+name+"“ ist leer.", "The file “"+name+"” is empty."))
		}
		t, ok := fileKind(name, b)
		if !ok {
			return m, nil, problem(http.StatusUnsupportedMediaType, "file_type", textIn(lang, "Dateien wie „"+name+"“ können wir hier nicht annehmen. Möglich sind Bilder, PDF, Office-Dokumente, Ton und Video.", "Files like “"+name+"” cannot be taken here. Possible are pictures, PDF, office documents, audio and video."))
		}
		files = append(files, chatFile{name, t, int64(len(b)), b})
	}
}

func (s *Server) chatTooLarge(lang string) *Problem {
	return problem(http.StatusRequestEntityTooLarge, "too_large", textIn(lang, "Eine Datei darf höchstens 10 MB groß sein, alle zusammen 20 MB.", "A file may have at most 10 MB, all together 20 MB."))
}

var personWords = channel.Text{DE: "Ich möchte mit einem Menschen sprechen.", EN: "I would like to talk to a person."}

// chatWrite takes a message in. It answers once the message is durable; the same client id again changes nothing.
func (s *Server) chatWrite(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx, lang := r.Context(), s.language(r)
	if err := s.known(ctx, v); err != nil {
		return err
	}
	if v.address == "" {
		switch {
		case v.token == "" || errors.Is(v.trouble, chat.ErrToken):
			return problem(http.StatusUnauthorized, "no_token", textIn(lang, "Die Anfrage hat kein Token (32 zufällige Bytes in base64url).", "The request has no token (32 random bytes in base64url)."))
		case errors.Is(v.trouble, chat.ErrExpired):
			return s.noSession(r, v)
		}
	}
	who := v.token
	if v.user {
		who = v.address
	}
	if wait := s.chats.limits.take("write "+who, 30, 20, s.Now()); wait > 0 {
		return &limitError{wait}
	}
	m, files, err := s.chatBody(w, r)
	if err != nil {
		return err
	}
	m.Text = strings.TrimSpace(strings.ReplaceAll(m.Text, "\r\n", "\n"))
	switch n := utf8.RuneCountInString(m.Text); {
	case m.ClientID == "" || utf8.RuneCountInString(m.ClientID) > chatIDMax || strings.ContainsFunc(m.ClientID, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' }):
		return invalid("body.client_id", textIn(lang, "client_id fehlt oder hat andere Zeichen als eine UUID.", "client_id is missing or has other characters than a UUID."))
	case n > chatTextMax:
		p := invalid("body.text", textIn(lang, fmt.Sprintf("Ihre Nachricht hat %d Zeichen, höchstens %d sind möglich. Teilen Sie sie bitte auf, oder hängen Sie eine Datei an.", n, chatTextMax), fmt.Sprintf("Your message has %d characters, at most %d are possible. Please split it, or attach a file.", n, chatTextMax)))
		p.Code = "too_long"
		return p
	case m.Choice != nil && (n > 0 || len(files) > 0 || m.Person):
		return invalid("body.choice", textIn(lang, "Ein Knopf hat keinen Text und keine Dateien.", "A button has no text and no files."))
	case n == 0 && len(files) == 0 && !m.Person && m.Choice == nil:
		p := invalid("body.text", textIn(lang, "Die Nachricht ist leer.", "The message is empty."))
		p.Code = "empty"
		return p
	}
	o := s.DB.Org(v.ch.Org)
	said := map[string]any{"client_id": m.ClientID, "text": m.Text}
	if m.Person {
		said["person"] = personWords.In(lang)
	}
	if m.Person && (m.Text != "" || len(files) > 0) {
		delete(said, "person")
	}
	quoted := ""
	if m.Choice != nil {
		entry, err := s.chatEntry(ctx, v, m.Choice.Message)
		if err != nil {
			return err
		}
		label := ""
		if entry != nil {
			label = offered(entry.Offer, m.Choice.Data)
		}
		if label == "" { // only what was offered can be pressed
			p := invalid("body.choice", textIn(lang, "Diesen Knopf gibt es hier nicht mehr. Schreiben Sie Ihre Antwort einfach.", "This button is no longer here. Just write your answer."))
			p.Code = "no_such_choice"
			return p
		}
		said["choice"] = map[string]string{"data": m.Choice.Data, "label": label}
		quoted = entry.ExternalID
	} else if m.ReplyTo != "" {
		entry, err := s.chatEntry(ctx, v, m.ReplyTo)
		if err != nil {
			return err
		}
		if entry == nil {
			return invalid("body.reply_to", textIn(lang, "Die Nachricht, auf die geantwortet wird, gibt es hier nicht.", "The message to answer does not exist here."))
		}
		quoted = entry.ExternalID
	}
	language := lang
	if m.Language != "" && len(m.Language) <= 35 {
		language = m.Language
	}
	if v.address == "" { // the first message makes the session
		if wait := s.chats.limits.take("new "+s.clientIP(r), 2, 60, s.Now()); wait > 0 {
			return &limitError{wait}
		}
		session, err := chat.Open(ctx, o, v.token, v.ch.ID, language, s.Now())
		if err != nil {
			if errors.Is(err, chat.ErrExpired) {
				v.trouble = err
				return s.noSession(r, v)
			}
			return err
		}
		v.address, v.name = session.Visitor, session.Name
	}
	name := v.name
	if n := channel.CleanName(m.Name); n != "" && utf8.RuneCountInString(n) <= chatNameMax {
		name = n
	}
	assurance := channel.Observed
	if v.user {
		assurance = channel.Verified
	}
	raw, err := chatRaw(map[string]any{"visitor": v.address, "assurance": assurance, "name": name, "language": language, "reply_to": quoted, "files": files}, said, files)
	if err != nil {
		return err
	}
	fresh, err := s.chatAccept(ctx, v, raw)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if fresh == 0 {
		status = http.StatusOK
	}
	writeJSON(w, status, map[string]any{"client_id": m.ClientID, "accepted_at": s.Now().UTC(), "duplicate": fresh == 0})
	return nil
}

// offered gives the label of something that a message offers to press, "" if it does not.
func offered(o outbox.Offer, data string) string {
	if data == "" {
		return ""
	}
	for _, c := range o.Choices {
		if c.Data == data {
			return c.Label
		}
	}
	var form ask.View
	if len(o.Form) == 0 || json.Unmarshal(o.Form, &form) != nil {
		return ""
	}
	switch form.Input {
	case "buttons", "radio":
		for _, c := range form.Options {
			if c.Data == data {
				return c.Label
			}
		}
	}
	return ""
}

// chatRaw writes a request as the driver reads it.
func chatRaw(envelope, said map[string]any, files []chatFile) ([]byte, error) {
	var b bytes.Buffer
	for _, v := range []any{envelope, said} {
		if m, _ := v.(map[string]any); m == nil {
			b.WriteByte('\n')
			continue
		}
		line, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("write down what a visitor sent: %w", err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	for _, f := range files {
		b.Write(f.content)
	}
	return b.Bytes(), nil
}

// chatAccept makes what a visitor sent durable.
func (s *Server) chatAccept(ctx context.Context, v *visitor, raw []byte) (fresh int, err error) {
	events, err := v.driver.Reparse(v.ch.Account, raw)
	if err != nil {
		return 0, fmt.Errorf("read what a visitor sent: %w", err)
	}
	return s.Intake.Accept(ctx, v.ch.Account, channel.Inbound{Raw: raw, Type: "application/vnd.rufweite.chat", Events: events})
}

// chatEntry gives one message of the visitor's; nil if they may not see such a one.
func (s *Server) chatEntry(ctx context.Context, v *visitor, id string) (*chat.Entry, error) {
	list, err := s.chatEntries(ctx, v, []string{id})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// chatEntries gives those of the messages that the visitor may see.
func (s *Server) chatEntries(ctx context.Context, v *visitor, ids []string) ([]chat.Entry, error) {
	a, ok, err := s.addressOf(ctx, v)
	if err != nil || !ok {
		return nil, err
	}
	o := s.DB.Org(v.ch.Org)
	found, err := conversation.MessagesByID(ctx, o, ids)
	if err != nil {
		return nil, err
	}
	var list []conversation.Message
	for _, id := range ids {
		if m, ok := found[id]; ok {
			list = append(list, m)
		}
	}
	return chat.Entries(ctx, o, a.ID, list)
}

// chatJSON is a message as its visitor sees it.
type chatJSON struct {
	ID        string          `json:"id"`
	ClientID  string          `json:"client_id,omitempty"`
	Mine      bool            `json:"mine"`
	Author    string          `json:"author"` // customer, staff, machine
	Name      string          `json:"name"`
	Text      string          `json:"text"`
	At        time.Time       `json:"at"`
	State     string          `json:"state"` // mine: accepted, read; others': sent, delivered, read
	Deleted   bool            `json:"deleted,omitempty"`
	Files     []chatFileJSON  `json:"attachments"`
	Quote     *chatQuoteJSON  `json:"quote,omitempty"`
	Reactions json.RawMessage `json:"-"`
	// Choices are buttons under the message, Form its fields (package ask, View); neither once the question is closed.
	Choices []channel.Choice `json:"choices,omitempty"`
	Form    json.RawMessage  `json:"form,omitempty"`
	Ask     *chatAskJSON     `json:"ask,omitempty"`
}

// chatAskJSON is the question that a message puts: two messages may put the same one. What was answered elsewhere is not
// told here, only that it was.
type chatAskJSON struct {
	ID    string `json:"id"`
	State string `json:"state"` // open, answered, expired, withdrawn, handed
}

type chatFileJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	URL       string `json:"url"` // relative to this server
}

type chatQuoteJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Text string `json:"text"`
}

func (s *Server) chatJSON(org string, e chat.Entry) chatJSON {
	j := chatJSON{ID: e.ID, ClientID: e.ClientID(), Mine: e.In, Author: string(e.Author), Name: e.AuthorName, Text: e.Text, At: e.At.UTC(), Deleted: !e.DeletedAt.IsZero(), Files: []chatFileJSON{}}
	switch {
	case !e.In:
		j.State = string(e.Delivery.State)
	case e.Seen:
		j.State = "read"
	default:
		j.State = "accepted"
	}
	if j.Deleted {
		j.Text = ""
		return j
	}
	for _, f := range e.Files {
		if f.State == conversation.Stored {
			j.Files = append(j.Files, chatFileJSON{f.ID, f.Name, f.MediaType, f.Size, s.signedFile(org, f.ID)})
		}
	}
	if a := e.Asked; !e.In && a.Ask != "" {
		j.Ask = &chatAskJSON{a.Ask, string(a.State)}
	}
	if !e.In && (j.Ask == nil || e.Asked.State == ask.Open) {
		j.Choices, j.Form = e.Offer.Choices, e.Offer.Form
	}
	if q := e.Quote; q != nil {
		text := []rune(q.Text)
		if len(text) > 200 {
			text = append(text[:199], '…')
		}
		j.Quote = &chatQuoteJSON{q.ID, q.AuthorName, string(text)}
	}
	return j
}

// office is who is there, as far as it is known. Nothing is promised that nobody measured.
type officeJSON struct {
	Online  int    `json:"online"`  // members of staff who look at the desk right now
	Advisor string `json:"advisor"` // who has the visitor's conversation; "" = the team
}

func (s *Server) office(ctx context.Context, v *visitor) (j officeJSON, err error) {
	o := s.DB.Org(v.ch.Org)
	users, err := auth.Users(ctx, o)
	if err != nil {
		return j, err
	}
	for _, u := range users {
		if u.Enabled && u.Role != auth.Partner && s.online.of(u.ID) == "here" {
			j.Online++
		}
	}
	a, ok, err := s.addressOf(ctx, v)
	if err != nil || !ok {
		return j, err
	}
	in, err := conversation.LastWith(ctx, o, a.ID)
	if err != nil || in == "" {
		return j, err
	}
	row, err := conversation.Get(ctx, o, in, "")
	if err == nil && row.Status != conversation.Closed {
		j.Advisor = row.AssigneeName
	}
	return j, err
}

// chatConfig says who answers, when, and what may be sent. It makes and remembers nothing.
func (s *Server) chatConfig(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if err := s.known(ctx, v); err != nil {
		return err
	}
	house, err := org.Get(ctx, s.DB.Org(v.ch.Org))
	if err != nil {
		return err
	}
	office, err := s.office(ctx, v)
	if err != nil {
		return err
	}
	_, err = chat.Mailbox(s.Accounts, v.ch.Org)
	types := make([]string, 0, len(chatFileTypes))
	for t := range chatFileTypes {
		types = append(types, t)
	}
	slices.Sort(types)
	writeJSON(w, http.StatusOK, map[string]any{
		"channel_id": v.ch.ID, "org": house.Name, "office": office, "email": err == nil, "signed_in": v.user, "session": v.address != "",
		"limits": map[string]any{"text": chatTextMax, "file": chatFileMax, "files": chatFilesMax, "types": types},
	})
	return nil
}

// chatHistory gives what was said with the visitor, the newest page first.
func (s *Server) chatHistory(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if err := s.must(r, v); err != nil {
		return err
	}
	limit := 50
	if q := r.URL.Query().Get("limit"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 1 || n > 200 {
			return problem(http.StatusUnprocessableEntity, "invalid", textIn(s.language(r), "limit muss eine Zahl von 1 bis 200 sein.", "limit must be a number from 1 to 200."))
		}
		limit = n
	}
	o := s.DB.Org(v.ch.Org)
	head, err := o.FeedHead(ctx) // before the look, so that nothing falls between the page and the stream
	if err != nil {
		return err
	}
	items := []chatJSON{}
	next := ""
	a, ok, err := s.addressOf(ctx, v)
	if err != nil {
		return err
	}
	if ok {
		page, n, err := chat.History(ctx, o, a.ID, r.URL.Query().Get("before"), limit)
		if err != nil {
			return err
		}
		next = n
		for _, e := range page {
			items = append(items, s.chatJSON(o.ID, e))
		}
	}
	office, err := s.office(ctx, v)
	if err != nil {
		return err
	}
	email, at, err := chat.MailedTo(ctx, o, v.address)
	if err != nil {
		return err
	}
	out := map[string]any{"items": items, "next": next, "cursor": s.sealSeq(head, v.address), "office": office}
	if email != "" {
		out["mailed"] = map[string]any{"to": email, "at": at.UTC()}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// chatTyping tells the desk that the visitor is writing. It is stored nowhere.
func (s *Server) chatTyping(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if err := s.known(ctx, v); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	if v.address == "" || s.chats.limits.take("typing "+v.address, 30, 5, s.Now()) > 0 { // nobody yet, or too often: no harm in silence
		return nil
	}
	a, ok, err := s.addressOf(ctx, v)
	if err != nil || !ok {
		return nil //nolint:nilerr // it was only about now
	}
	if in, err := conversation.LastWith(ctx, s.DB.Org(v.ch.Org), a.ID); err == nil && in != "" {
		s.hub.Now(v.ch.Org, map[string]string{"kind": "typing", "conversation_id": in, "address": v.address, "channel_id": v.ch.ID})
	}
	return nil
}

// chatReceipts takes what the widget got and what its visitor has read.
func (s *Server) chatReceipts(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx, lang := r.Context(), s.language(r)
	if err := s.must(r, v); err != nil {
		return err
	}
	if wait := s.chats.limits.take("receipts "+v.address, 120, 60, s.Now()); wait > 0 {
		return &limitError{wait}
	}
	var in struct {
		Delivered []string `json:"delivered"` // ids of messages
		Read      string   `json:"read"`      // id of the last one that was seen
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil || len(in.Delivered) > 200 {
		return problem(http.StatusBadRequest, "bad_request", textIn(lang, "Diese Anfrage ist nicht lesbar.", "This request cannot be read."))
	}
	ids := slices.Clone(in.Delivered)
	if in.Read != "" {
		ids = append(ids, in.Read)
	}
	entries, err := s.chatEntries(ctx, v, ids)
	if err != nil {
		return err
	}
	var delivered []string
	read := ""
	for _, e := range entries { // of what the visitor may not see nothing is said
		if e.In {
			continue
		}
		if e.Delivery.State == channel.Sent && slices.Contains(in.Delivered, e.ID) && !slices.Contains(delivered, e.Delivery.ID) {
			delivered = append(delivered, e.Delivery.ID)
		}
		if e.ID == in.Read && e.Delivery.State != channel.Read {
			read = e.Delivery.ExternalID
		}
	}
	if len(delivered) > 0 || read != "" {
		assurance := channel.Observed
		if v.user {
			assurance = channel.Verified
		}
		raw, err := chatRaw(map[string]any{"visitor": v.address, "assurance": assurance, "delivered": delivered, "read": read}, nil, nil)
		if err != nil {
			return err
		}
		if _, err := s.chatAccept(ctx, v, raw); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// chatMail lets a visitor go on by mail.
func (s *Server) chatMail(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx, lang := r.Context(), s.language(r)
	if err := s.must(r, v); err != nil {
		return err
	}
	if wait := s.chats.limits.take("mail "+s.clientIP(r), 1, 10, s.Now()); wait > 0 {
		return &limitError{wait}
	}
	var in struct {
		Email    string `json:"email"`
		ClientID string `json:"client_id"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&in); err != nil {
		return problem(http.StatusBadRequest, "bad_request", textIn(lang, "Diese Anfrage ist nicht lesbar.", "This request cannot be read."))
	}
	in.Email = strings.TrimSpace(in.Email)
	parsed, err := mail.ParseAddress(in.Email)
	_, domain, _ := strings.Cut(in.Email, "@")
	if err != nil || parsed.Address != in.Email || len(in.Email) > 254 || !strings.Contains(domain, ".") || strings.ContainsAny(in.Email, " \t\r\n\"<>") {
		p := invalid("body.email", textIn(lang, "Das ist keine E-Mail-Adresse. Sie sieht so aus: name@beispiel.de", "This is not an e-mail address. It looks like this: name@example.com"))
		p.Code = "bad_email"
		return p
	}
	if _, own := s.Accounts.ByMailbox(in.Email); own {
		p := invalid("body.email", textIn(lang, "Das ist unsere eigene Adresse. Geben Sie Ihre an.", "This is our own address. Give yours."))
		p.Code = "bad_email"
		return p
	}
	if in.ClientID == "" || len(in.ClientID) > chatIDMax {
		return invalid("body.client_id", textIn(lang, "client_id fehlt.", "client_id is missing."))
	}
	from, err := chat.Mailbox(s.Accounts, v.ch.Org)
	if err != nil {
		return problem(http.StatusConflict, "no_mailbox", textIn(lang, "E-Mail ist hier gerade nicht eingerichtet. Ihr Gespräch bleibt in diesem Chat.", "E-mail is not set up here right now. Your conversation stays in this chat."))
	}
	o := s.DB.Org(v.ch.Org)
	house, err := org.Get(ctx, o)
	if err != nil {
		return err
	}
	c := chat.Continuation{Visitor: v.address, Email: in.Email, ClientID: in.ClientID}
	c.Subject = textIn(lang, "Ihr Gespräch mit "+house.Name, "Your conversation with "+house.Name)
	c.Text = textIn(lang,
		"Guten Tag,\n\nim Chat auf unserer Website wurde diese Adresse angegeben, um das Gespräch per E-Mail fortzusetzen.\n\nWaren Sie das? Dann antworten Sie einfach auf diese E-Mail: Ihre Antwort kommt in dasselbe Gespräch, und unsere Antwort kommt hierher.\n\nWaren Sie das nicht? Dann müssen Sie nichts tun.\n\nViele Grüße\n"+house.Name,
		"Hello,\n\nin the chat on our website this address was given to continue the conversation by e-mail.\n\nWas it you? Then just answer this e-mail: your answer comes to the same conversation, and our answer comes here.\n\nWas it not you? Then there is nothing you need to do.\n\nKind regards\n"+house.Name)
	for range 40 { // the first message may still be on its way to its conversation
		err = o.Write(ctx, func(tx *db.Tx) error { return chat.ContinueByMail(ctx, tx, s.Outbox, from, c, s.Now()) })
		if !errors.Is(err, chat.ErrNothingYet) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	switch {
	case errors.Is(err, chat.ErrNothingYet):
		return problem(http.StatusConflict, "nothing_yet", textIn(lang, "Schreiben Sie zuerst, worum es geht.", "First write what it is about."))
	case errors.Is(err, chat.ErrMailedNow):
		w.Header().Set("Retry-After", "3600")
		return problem(http.StatusTooManyRequests, "already_mailed", textIn(lang, "An diese Adresse ging in der letzten Stunde schon eine E-Mail. Antworten Sie darauf; sehen Sie auch im Spam-Ordner nach.", "An e-mail was sent to this address within the last hour. Answer it; look into the spam folder, too."))
	case errors.Is(err, chat.ErrMailedMuch):
		return problem(http.StatusTooManyRequests, "enough_mails", textIn(lang, "Aus diesem Gespräch gingen schon fünf E-Mails hinaus. Mehr sind nicht möglich; antworten Sie auf eine davon.", "Five e-mails were sent from this conversation. No more are possible; answer one of them."))
	case err != nil:
		return err
	}
	writeJSON(w, http.StatusAccepted, map[string]any{"email": in.Email})
	return nil
}

// chatEnd forgets the visitor's session.
func (s *Server) chatEnd(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if v.token != "" {
		if err := chat.End(r.Context(), s.DB.Org(v.ch.Org), v.token, v.ch.ID); err != nil && !errors.Is(err, chat.ErrToken) {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveWidget gives the widget's one file, packed for browsers that unpack.
func (s *Server) serveWidget(w http.ResponseWriter, r *http.Request) {
	if s.Web == nil {
		writePlain(w, http.StatusNotFound, "This build has no user interface; build it with: make build")
		return
	}
	b, err := fs.ReadFile(s.Web, "widget.js")
	if err != nil {
		writePlain(w, http.StatusNotFound, "This build has no widget; build it with: make build")
		return
	}
	packed, tag := s.chats.script.pack(b)
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", `"`+tag+`"`)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		b = packed
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", `"`+tag+`-gzip"`)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
