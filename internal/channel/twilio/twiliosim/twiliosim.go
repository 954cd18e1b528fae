// Package twiliosim is a simulated Twilio: the Messages API with its errors, limits and queues, incoming messages, status
// callbacks, STOP and START, media behind a password. It is no kinder than the real one and shares no code with the driver.
package twiliosim

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the provider's scheme
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// The account that the simulator has.
const (
	AccountSID = "AC0123456789abcdef0123456789abcdef"
	AuthToken  = "5f3c9a0e7b1d2468ace013579bdf2468" // looks like one, is none
	From       = "+4915735981234"
	textMax    = 1600
)

// Sim is a simulated Twilio. Make it with New.
type Sim struct {
	channelsim.Base
	// PerSecond is how many requests the API takes; SenderPerSecond how many messages leave the queue ("Messaging queues").
	// Negative: no limit. To be set before the first request.
	PerSecond, SenderPerSecond float64
	// Incoming messages and status callbacks go out by these.
	Incoming, Callbacks channelsim.Hook

	token     string
	base      string
	people    map[string]*person // by name
	byAddress map[string]*person
	messages  []*message
	media     map[string]channelsim.File
	stopped   map[string]bool // who wrote STOP
	free      time.Time       // when the sender's queue is empty
}

// message is a message as the API shows it.
type message struct {
	SID         string  `json:"sid"`
	AccountSID  string  `json:"account_sid"`
	Service     *string `json:"messaging_service_sid"`
	From        string  `json:"from"`
	To          string  `json:"to"`
	Body        string  `json:"body"`
	Status      string  `json:"status"`
	Direction   string  `json:"direction"`
	NumSegments string  `json:"num_segments"`
	NumMedia    string  `json:"num_media"`
	DateCreated string  `json:"date_created"`
	DateUpdated string  `json:"date_updated"`
	DateSent    *string `json:"date_sent"`
	ErrorCode   *int    `json:"error_code"`
	ErrorText   *string `json:"error_message"`
	Price       *string `json:"price"`
	PriceUnit   string  `json:"price_unit"`
	APIVersion  string  `json:"api_version"`
	URI         string  `json:"uri"`

	callback string
}

var _ channelsim.Sim = (*Sim)(nil)

// New makes a simulator; now = nil means the real time.
func New(now func() time.Time) *Sim {
	s := &Sim{PerSecond: 100, SenderPerSecond: 10, token: AuthToken, people: map[string]*person{}, byAddress: map[string]*person{},
		media: map[string]channelsim.File{}, stopped: map[string]bool{}}
	s.Init(now)
	for _, h := range []*channelsim.Hook{&s.Incoming, &s.Callbacks} {
		// Twilio itself repeats nothing; with the connection overrides #rc=5&rp=all, which our guide asks for, five times.
		*h = channelsim.Hook{Base: &s.Base, Sign: s.sign, Attempts: 6, Retry: []time.Duration{100 * time.Millisecond, time.Second}}
	}
	return s
}

// Kind implements channelsim.Sim.
func (*Sim) Kind() channel.Kind { return "twilio" }

// Settings implements channelsim.Sim.
func (s *Sim) Settings(base string) channel.Settings {
	s.Lock()
	defer s.Unlock()
	s.base = strings.TrimRight(base, "/")
	return channel.Settings{"account_sid": AccountSID, "auth_token": s.token, "from": From, "api_url": base}
}

// Connect implements channelsim.Sim: the number's webhook for incoming messages.
func (s *Sim) Connect(hook string) { s.Incoming.To(hook) }

// Close implements channelsim.Sim.
func (s *Sim) Close() { s.Stop() }

// Rotate gives the account another auth token; webhooks are signed with it from now on.
func (s *Sim) Rotate(token string) {
	s.Lock()
	defer s.Unlock()
	s.token = token
}

// sign makes a webhook request as Twilio does.
func (s *Sim) sign(target string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	s.Lock()
	mac := hmac.New(sha1.New, []byte(s.token))
	s.Unlock()
	_, _ = io.WriteString(mac, target)
	for _, name := range names {
		_, _ = io.WriteString(mac, name+form.Get(name))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	r.Header.Set("User-Agent", "TwilioProxy/1.1")
	return r, nil
}

// failure is an answer with an error ("Twilio's response").
func failure(status, code int, text string) channelsim.Response {
	body, _ := json.Marshal(map[string]any{"code": code, "message": text, "more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(code), "status": status})
	return channelsim.Response{Status: status, Body: body}
}

func answer(status int, v any) channelsim.Response {
	body, _ := json.Marshal(v)
	return channelsim.Response{Status: status, Body: body}
}

// ServeHTTP is the API.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	if id, ok := strings.CutPrefix(r.URL.Path, "/mms-store/"); ok {
		s.Do(w, r, "media", func() channelsim.Response { return s.store(r, id) })
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/2010-04-01/Accounts/")
	if !ok {
		s.Do(w, r, "", func() channelsim.Response {
			return failure(404, 20404, "The requested resource "+r.URL.Path+" was not found")
		})
		return
	}
	op := "other"
	switch {
	case strings.HasSuffix(path, "/Messages.json") && r.Method == http.MethodPost:
		op = "message"
	case strings.HasSuffix(path, "/Messages.json"):
		op = "list"
	case strings.Contains(path, "/Media/"):
		op = "media"
	}
	s.Do(w, r, op, func() channelsim.Response {
		s.Lock()
		user, password, _ := r.BasicAuth()
		right := user == AccountSID && password == s.token
		var wait time.Duration
		if right && s.PerSecond > 0 {
			wait = s.Take("api", s.PerSecond, s.PerSecond)
		}
		s.Unlock()
		switch {
		case !right:
			return failure(401, 20003, "Authenticate")
		case !strings.HasPrefix(path, AccountSID):
			return failure(404, 20404, "The requested resource "+r.URL.Path+" was not found")
		case wait > 0:
			return failure(429, 20429, "Too Many Requests")
		case op == "message":
			form, err := url.ParseQuery(string(body))
			if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
				return failure(400, 21604, "A 'To' phone number is required.")
			}
			return s.create(form)
		case op == "list":
			return s.list(r.URL)
		case op == "media":
			return s.redirect(r)
		case strings.HasPrefix(path, AccountSID+"/Messages/") && r.Method == http.MethodGet:
			return s.fetch(strings.TrimSuffix(strings.TrimPrefix(path, AccountSID+"/Messages/"), ".json"), r.URL.Path)
		case path == AccountSID+".json":
			return answer(200, map[string]any{"sid": AccountSID, "status": "active", "type": "Full", "friendly_name": "Musterhaus"})
		}
		return failure(404, 20404, "The requested resource "+r.URL.Path+" was not found")
	})
}

var (
	e164      = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	landlines = regexp.MustCompile(`^\+49(30|40|69|89|221)`)
)

// create accepts a message or says why not.
func (s *Sim) create(form url.Values) channelsim.Response {
	to, text, from, service := form.Get("To"), form.Get("Body"), form.Get("From"), form.Get("MessagingServiceSid")
	callback := form.Get("StatusCallback")
	switch {
	case to == "":
		return failure(400, 21604, "A 'To' phone number is required.")
	case text == "" && form.Get("MediaUrl") == "":
		return failure(400, 21602, "Message body is required.")
	case from == "" && service == "":
		return failure(400, 21603, "A 'From' phone number is required.")
	case service != "":
		return failure(400, 21701, "The Messaging Service does not exist")
	case from != From && from != "Musterhaus":
		return failure(400, 21659, fmt.Sprintf("'%s' is not a Twilio phone number or Short Code country mismatch", from))
	case !e164.MatchString(to):
		return failure(400, 21211, fmt.Sprintf("Invalid 'To' Phone Number: %s", mask(to)))
	case to == from:
		return failure(400, 21266, "'To' and 'From' number cannot be the same: "+to)
	case landlines.MatchString(to):
		return failure(400, 21614, "'To' number is not a valid mobile number: "+to)
	case strings.HasPrefix(to, "+53"): // a country that is not allowed by default
		return failure(400, 21408, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: "+to)
	case channel.Length(text, channel.UTF16) > textMax:
		return failure(400, 21617, "The concatenated message body exceeds the 1600 character limit")
	}
	if callback != "" {
		if u, err := url.Parse(callback); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return failure(400, 21609, "The StatusCallback URL "+callback+" is not a valid URL.")
		}
		s.Callbacks.To(callback)
	}
	s.Lock()
	defer s.Unlock()
	if s.stopped[to] {
		return failure(400, 21610, "Attempt to send to unsubscribed recipient")
	}
	m := &message{SID: s.sid("SM"), AccountSID: AccountSID, From: from, To: to, Body: text, Status: "queued", Direction: "outbound-api",
		NumSegments: strconv.Itoa(segments(text)), NumMedia: "0", DateCreated: s.date(), DateUpdated: s.date(), PriceUnit: "USD", APIVersion: "2010-04-01", callback: callback}
	m.URI = "/2010-04-01/Accounts/" + AccountSID + "/Messages/" + m.SID + ".json"
	s.messages = append(s.messages, m)
	s.Accept(channelsim.Accepted{Op: "message", To: to, Ref: m.SID, Text: text})
	shown := *m
	s.dispatch(m)
	return answer(201, shown)
}

// mask hides a number as Twilio's messages do.
func mask(to string) string {
	if len(to) < 4 {
		return to
	}
	return to[:len(to)-4] + "XXXX"
}

func (s *Sim) sid(prefix string) string {
	return fmt.Sprintf("%s%032x", prefix, 0xfa0000000+s.Serial())
}

func (s *Sim) date() string { return s.Now().UTC().Format(time.RFC1123Z) }

// dispatch puts a message into the sender's queue. The caller holds the mutex.
func (s *Sim) dispatch(m *message) {
	s.callback(m)
	now := s.Now()
	due := now
	if s.SenderPerSecond > 0 {
		if s.free.After(now) {
			due = s.free
		}
		s.free = due.Add(time.Duration(float64(time.Second) / s.SenderPerSecond))
	}
	if !due.After(now) {
		s.deliver(m)
		return
	}
	s.Work.Go(func() {
		t := time.NewTimer(due.Sub(now))
		defer t.Stop()
		select {
		case <-t.C:
			s.Lock()
			s.deliver(m)
			s.Unlock()
		case <-s.Ctx.Done():
		}
	})
}

// deliver hands a message to the network. The caller holds the mutex.
func (s *Sim) deliver(m *message) {
	date := s.date()
	m.DateSent = &date
	m.Status = "sent"
	s.callback(m)
	p := s.byAddress[m.To]
	if p == nil {
		code, text := 30005, "Unknown destination handset"
		m.Status, m.ErrorCode, m.ErrorText = "undelivered", &code, &text
		s.callback(m)
		return
	}
	p.chat.Got = append(p.chat.Got, channelsim.Message{Ref: m.SID, Text: m.Body, At: s.Now()})
	m.Status = "delivered"
	s.callback(m)
	s.Changed()
}

// callback reports a message's status where its sender wants that. The caller holds the mutex.
func (s *Sim) callback(m *message) {
	m.DateUpdated = s.date()
	if m.callback == "" {
		return
	}
	form := url.Values{"AccountSid": {AccountSID}, "ApiVersion": {"2010-04-01"}, "From": {m.From}, "To": {m.To}, "MessageSid": {m.SID},
		"SmsSid": {m.SID}, "MessageStatus": {m.Status}, "SmsStatus": {m.Status}}
	if m.ErrorCode != nil {
		form.Set("ErrorCode", strconv.Itoa(*m.ErrorCode))
	}
	if m.Status == "delivered" {
		form.Set("RawDlrDoneDate", s.Now().UTC().Format("0601021504"))
	}
	s.Callbacks.Push(m.SID, []byte(form.Encode()))
}

// list is the list of messages, newest first.
func (s *Sim) list(u *url.URL) channelsim.Response {
	q := u.Query()
	size, err := strconv.Atoi(q.Get("PageSize"))
	if err != nil || size < 1 {
		size = 50
	}
	size = min(size, 1000)
	page, _ := strconv.Atoi(q.Get("Page"))
	s.Lock()
	defer s.Unlock()
	found := []*message{}
	for _, m := range slices.Backward(s.messages) {
		if to := q.Get("To"); to != "" && m.To != to || q.Get("From") != "" && m.From != q.Get("From") {
			continue
		}
		found = append(found, m)
	}
	first := min(max(page, 0)*size, len(found))
	last := min(first+size, len(found))
	var next any
	if last < len(found) {
		q.Set("Page", strconv.Itoa(page+1))
		q.Set("PageToken", "PA"+found[last-1].SID)
		next = u.Path + "?" + q.Encode()
	}
	return answer(200, map[string]any{"messages": found[first:last], "page": page, "page_size": size, "next_page_uri": next, "uri": u.RequestURI()})
}

// fetch is one message.
func (s *Sim) fetch(sid, path string) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	for _, m := range s.messages {
		if m.SID == sid {
			return answer(200, m)
		}
	}
	return failure(404, 20404, "The requested resource "+path+" was not found")
}

// redirect leads from the API to the file store.
func (s *Sim) redirect(r *http.Request) channelsim.Response {
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	s.Lock()
	_, ok := s.media[id]
	s.Unlock()
	if !ok {
		return failure(404, 20404, "The requested resource "+r.URL.Path+" was not found")
	}
	// The store is another host: one that must not see the password.
	host := strings.Replace(r.Host, "127.0.0.1", "localhost", 1)
	return channelsim.Response{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://" + host + "/mms-store/" + id}}}
}

func (s *Sim) store(r *http.Request, id string) channelsim.Response {
	s.Lock()
	defer s.Unlock()
	f, ok := s.media[id]
	switch {
	case r.Header.Get("Authorization") != "" && strings.HasPrefix(r.Host, "localhost"):
		return channelsim.Response{Status: http.StatusBadRequest, Type: "application/xml", Body: []byte("<Error><Code>InvalidArgument</Code></Error>")}
	case !ok:
		return channelsim.Response{Status: http.StatusNotFound}
	}
	return channelsim.Response{Type: f.MediaType, Body: f.Content}
}

// gsm are the characters of GSM 03.38; those after the bar count twice.
const gsm, gsmTwice = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà", "\f^{}\\[~]|€"

// segments is how many short messages Twilio makes of a text.
func segments(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsm, r):
			n++
		case strings.ContainsRune(gsmTwice, r):
			n += 2
		default:
			if n = channel.Length(text, channel.UTF16); n <= 70 {
				return 1
			}
			return (n + 66) / 67
		}
	}
	if n <= 160 {
		return 1
	}
	return (n + 152) / 153
}
