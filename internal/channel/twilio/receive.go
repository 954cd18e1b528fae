package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the provider's scheme; HMAC-SHA1 is not broken
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/sms"
)

const signatureHeader = "X-Twilio-Signature"

// Verify implements channel.Webhook ("Webhooks security"): HMAC-SHA1 with the auth token over the URL as Twilio was told
// it, followed by the sorted form; for JSON over the URL alone, which then carries the hash of the body. The scheme has no
// timestamp: what is replayed has the same key and is dropped later. It joins names and values without a separator, so
// only forms with the names that Twilio uses are taken.
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	signature := channel.OneHeader(r.Header, signatureHeader)
	tokens := channel.Rotation(a.Settings["auth_token"])
	if signature == "" || len(tokens) == 0 {
		return channel.ErrUnauthentic
	}
	var signed string // what follows the URL
	if r.Method == http.MethodPost || r.Method == "" {
		if hash := r.Query["bodySHA256"]; isJSON(r) || len(hash) > 0 {
			sum := sha256.Sum256(r.Body)
			if len(hash) != 1 || subtle.ConstantTimeCompare([]byte(hash[0]), []byte(hex.EncodeToString(sum[:]))) != 1 {
				return channel.ErrUnauthentic
			}
		} else {
			form, err := url.ParseQuery(string(r.Body))
			if err != nil || len(form) == 0 {
				return channel.ErrUnauthentic
			}
			var ok bool
			if signed, ok = flatten(form); !ok {
				return channel.ErrUnauthentic
			}
		}
	} else if len(r.Body) > 0 {
		return channel.ErrUnauthentic // a GET signs its query and nothing else
	}
	for _, u := range r.URLs {
		for _, v := range spellings(u) {
			if channel.Authentic(signature, tokens, func(token string) string { return sign(token, v+signed) }) {
				return nil
			}
		}
	}
	return channel.ErrUnauthentic
}

func sign(token, text string) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// flatten writes a form as it is signed: names sorted, each followed by its value; of several values of one name every
// different one, sorted.
func flatten(form url.Values) (string, bool) {
	names := make([]string, 0, len(form))
	n := 0
	for name, values := range form {
		if strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.' && r != '[' && r != ']'
		}) {
			return "", false
		}
		names = append(names, name)
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.Grow(n)
	for _, name := range names {
		values := form[name]
		if len(values) > 1 {
			values = slices.Compact(slices.Sorted(slices.Values(values)))
		}
		for _, v := range values {
			b.WriteString(name)
			b.WriteString(v)
		}
	}
	return b.String(), true
}

// spellings are the ways in which Twilio may have written the URL: it leaves a default port out or writes it, whatever was
// configured ("Webhooks security": validators try both).
func spellings(raw string) []string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil
	}
	raw, _, _ = strings.Cut(raw, "#") // connection overrides (#rc=…) are not sent
	rest, _, _ = strings.Cut(rest, "#")
	port := ":443"
	if scheme == "http" {
		port = ":80"
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if bare, cut := strings.CutSuffix(host, port); cut {
		return []string{raw, scheme + "://" + bare + path}
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return []string{raw}
	}
	return []string{raw, scheme + "://" + host + port + path}
}

func isJSON(r *channel.Request) bool {
	t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return t == "application/json"
}

// empty is the answer that sends nothing back ("TwiML for Programmable Messaging").
var empty = channel.Reply{Status: http.StatusOK, Type: "text/xml", Body: []byte(`<?xml version="1.0" encoding="UTF-8"?><Response/>`)}

// Parse implements channel.Webhook. A webhook is one incoming message or the status of one that we sent.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	form, err := parameters(r)
	if err != nil {
		return nil, channel.Reply{}, err
	}
	events, err := parse(form)
	if err != nil {
		return nil, channel.Reply{}, err
	}
	return events, empty, nil
}

func parameters(r *channel.Request) (url.Values, error) {
	switch {
	case r.Method == http.MethodGet:
		return r.Query, nil
	case isJSON(r):
		var object map[string]any
		d := json.NewDecoder(strings.NewReader(string(r.Body)))
		d.UseNumber()
		if err := d.Decode(&object); err != nil {
			return nil, fmt.Errorf("the body is no JSON object: %w", err)
		}
		form := url.Values{}
		for name, v := range object {
			switch v := v.(type) {
			case string:
				form.Set(name, v)
			case json.Number:
				form.Set(name, v.String())
			case bool:
				form.Set(name, strconv.FormatBool(v))
			}
		}
		return form, nil
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, fmt.Errorf("the body is no form: %w", err)
	}
	return form, nil
}

// states are the states of an outbound message ("Message status values"). Those without a word of ours are only noted.
var states = map[string]channel.State{
	"accepted": channel.Queued, "scheduled": channel.Queued, "queued": channel.Queued, "sending": channel.Sending,
	"sent": channel.Sent, "delivered": channel.Delivered, "partially_delivered": channel.Sent, "read": channel.Read,
	"undelivered": channel.Failed, "failed": channel.Failed, "canceled": channel.Failed,
}

func parse(form url.Values) ([]channel.Event, error) {
	get := func(name string) string { return strings.ToValidUTF8(form.Get(name), "\uFFFD") }
	id := get("MessageSid")
	if id == "" {
		id = get("SmsSid") // the old name, still sent
	}
	switch {
	case id == "" && get("CallSid") != "":
		return nil, errors.New("this is about a telephone call: enter this address at the number's messaging settings only")
	case id == "":
		return nil, errors.New("there is no MessageSid: this is no webhook of Twilio Messaging")
	}
	status := get("MessageStatus")
	if status == "" {
		status = get("SmsStatus")
	}
	if status != "" && status != "received" && status != "receiving" {
		return []channel.Event{statusEvent(id, status, get)}, nil
	}
	from := get("From")
	if from == "" {
		return nil, errors.New("a message without From")
	}
	if scheme, _, ok := strings.Cut(from, ":"); ok {
		return nil, fmt.Errorf("a message of Twilio's channel %q: this channel is for SMS only", scheme)
	}
	return inbound(id, from, form, get), nil
}

// address is the customer. A sender's number can be forged in SMS, by anybody with access to a network: it is a claim and
// no proof (channels.md: a phone is verified by an answered code only), so Assurance stays "".
func address(raw string) (channel.Address, sms.PartyKind) {
	if p := sms.ParseParty(raw, ""); p.Kind != sms.Nobody {
		return channel.Address{Value: p.Value}, p.Kind
	}
	return channel.Address{Value: raw}, sms.Nobody
}

func inbound(id, from string, form url.Values, get func(string) string) []channel.Event {
	m := &channel.Message{ExternalID: id, Text: get("Body")}
	sender, kind := address(from)
	m.Automatic = kind != sms.Phone // short codes and names are machines; a name cannot be answered at all
	n, _ := strconv.Atoi(get("NumMedia"))
	for i := range min(n, 20) { // "up to 10 media files"
		remote := get("MediaUrl" + strconv.Itoa(i))
		if remote == "" {
			continue
		}
		mediaType := channel.MediaType(get("MediaContentType" + strconv.Itoa(i)))
		m.Attachments = append(m.Attachments, channel.Attachment{Name: fmt.Sprintf("mms-%d%s", i+1, extension(mediaType)), MediaType: mediaType, Remote: remote})
	}
	if m.Text == "" && len(m.Attachments) == 0 {
		m.Unsupported = "empty message"
	}
	account := get("AccountSid")
	events := []channel.Event{{Key: "msg:" + id, Type: channel.MessageEvent, Account: account, Sender: sender, Message: m}}
	// "Advanced Opt-Out": OptOutType says what Twilio understood. Without it Twilio acts on its standard words all the same.
	word := sms.ParseCarrierWord(m.Text)
	switch get("OptOutType") {
	case "STOP":
		word = sms.Stop
	case "START":
		word = sms.Start
	case "HELP":
		word = sms.Help
	}
	switch word {
	case sms.Stop:
		events = append(events, channel.Event{Key: "optout:" + id, Type: channel.OptOutEvent, Account: account, Sender: sender})
	case sms.Start:
		events = append(events, channel.Event{Key: "start:" + id, Type: channel.StartEvent, Account: account, Sender: sender})
	}
	return events
}

// extension is the usual ending of a file's name.
func extension(mediaType string) string {
	switch mediaType {
	case "image/jpeg":
		return ".jpg"
	case "image/png":
		return ".png"
	case "image/gif":
		return ".gif"
	case "audio/amr":
		return ".amr"
	case "audio/mpeg":
		return ".mp3"
	case "video/mp4":
		return ".mp4"
	case "video/3gpp":
		return ".3gp"
	case "text/vcard", "text/x-vcard":
		return ".vcf"
	case "application/pdf":
		return ".pdf"
	}
	return ""
}

func statusEvent(id, status string, get func(string) string) channel.Event {
	e := channel.Event{Key: "status:" + id + ":" + status, Type: channel.StatusEvent, Account: get("AccountSid")}
	if to := get("To"); to != "" {
		e.Sender, _ = address(to)
	}
	state, ok := states[status]
	if !ok {
		e.Type, e.Error = channel.UnparsedEvent, fmt.Sprintf("unknown message status %q", status)
		return e
	}
	e.Status = &channel.Status{ExternalID: id, State: state}
	if code := get("ErrorCode"); code != "" && code != "0" {
		e.Status.Code = code
		e.Status.Error = get("ErrorMessage")
		e.Status.Reason = codes[code].reason
	}
	return e
}
