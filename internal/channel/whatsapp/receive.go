package whatsapp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const signatureHeader = "X-Hub-Signature-256"

// Verify implements channel.Webhook: HMAC-SHA256 of the raw body with the app's secret ("Create a webhook endpoint",
// "Validate payloads"). The scheme has no timestamp. A GET is Meta's question whether the endpoint is ours; it knows the
// verify token.
func (Driver) Verify(a channel.Account, r *channel.Request, _ time.Time) error {
	if r.Method == http.MethodGet {
		if one(r.Query, "hub.mode") == "subscribe" &&
			channel.Authentic(one(r.Query, "hub.verify_token"), channel.Rotation(a.Settings["verify_token"]), func(token string) string { return token }) {
			return nil
		}
		return channel.ErrUnauthentic
	}
	sign := func(secret string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(r.Body)
		return "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	if !channel.Authentic(channel.OneHeader(r.Header, signatureHeader), channel.Rotation(a.Settings["app_secret"]), sign) {
		return channel.ErrUnauthentic
	}
	return nil
}

// one is a query parameter that must come exactly once.
func one(q url.Values, name string) string {
	if v := q[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// challengeMax bounds what is echoed; Meta's challenge is a number.
const challengeMax = 256

// ignored is the answer to what is understood and of no consequence.
var ignored = channel.Reply{Status: http.StatusOK}

// Parse implements channel.Webhook.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	if r.Method == http.MethodGet {
		challenge := one(r.Query, "hub.challenge")
		if challenge == "" || len(challenge) > challengeMax {
			return nil, channel.Reply{}, errors.New("verification request without a usable hub.challenge")
		}
		return nil, channel.Reply{Status: http.StatusOK, Type: "text/plain; charset=utf-8", Body: []byte(challenge)}, nil
	}
	events, err := parse(r.Body)
	if err != nil {
		return nil, channel.Reply{}, err
	}
	if len(events) == 0 {
		return nil, ignored, nil
	}
	return events, channel.Reply{}, nil
}

// parse reads one notification. Mostly everything fits and one pass is enough; where something does not, everything is
// taken apart, so that one bad event costs itself only.
func parse(body []byte) ([]channel.Event, error) {
	c := collector{keys: map[string]bool{}}
	var n notification[message, status]
	if err := json.Unmarshal(body, &n); err == nil && n.plain() {
		for _, entry := range n.Entry {
			for _, change := range entry.Changes {
				c.messages(change.Value, nil, nil)
			}
		}
		if !c.needRaw {
			return c.events, nil
		}
		c = collector{keys: map[string]bool{}}
	}
	var loose struct {
		Object string `json:"object"`
		Entry  []struct {
			Changes []json.RawMessage `json:"changes"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(body, &loose); err != nil {
		return nil, fmt.Errorf("parse notification: %w", err)
	}
	// "Webhooks reference": notifications of a WhatsApp Business Account only.
	if loose.Object != "whatsapp_business_account" {
		return nil, fmt.Errorf("parse notification: object %q is not whatsapp_business_account", loose.Object)
	}
	for _, entry := range loose.Entry {
		for _, raw := range entry.Changes {
			c.change(raw)
		}
	}
	return c.events, nil
}

// plain reports whether a notification has nothing but the field "messages".
func (n notification[M, S]) plain() bool {
	if n.Object != "whatsapp_business_account" {
		return false
	}
	for _, entry := range n.Entry {
		for _, change := range entry.Changes {
			if change.Field != "messages" {
				return false
			}
		}
	}
	return true
}

// collector gathers events, each key once.
type collector struct {
	events  []channel.Event
	keys    map[string]bool
	account string
	needRaw bool // something was not understood, and its own bytes are not at hand
}

func (c *collector) add(e channel.Event) {
	if e.Account == "" {
		e.Account = c.account
	}
	c.needRaw = c.needRaw || e.Type == channel.UnparsedEvent || e.Message != nil && e.Message.Unsupported != ""
	if !c.keys[e.Key] {
		c.keys[e.Key] = true
		c.events = append(c.events, e)
	}
}

func (c *collector) unparsed(raw []byte, sender channel.Address, format string, args ...any) {
	c.add(channel.Event{
		Key: channel.HashKey("unparsed", string(raw)), Type: channel.UnparsedEvent, Sender: sender,
		Error: fmt.Sprintf(format, args...), Raw: compact(raw),
	})
}

// why says in words what of an event does not fit.
func why(err error) string {
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return fmt.Sprintf("its field %q has the unexpected type %s", strings.TrimPrefix(mistyped.Field, "content."), mistyped.Value)
	}
	return err.Error()
}

// change reads one change of a notification that has something unusual.
func (c *collector) change(raw json.RawMessage) {
	var change struct {
		Field string          `json:"field"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &change); err != nil {
		c.account = ""
		c.unparsed(raw, channel.Address{}, "a change cannot be read: %s", why(err))
		return
	}
	c.account = phoneID(change.Value)
	if change.Field != "messages" {
		c.field(change.Field, change.Value)
		return
	}
	var v value[json.RawMessage, json.RawMessage]
	if err := json.Unmarshal(change.Value, &v); err != nil {
		// Perhaps what stands beside the events is what cannot be read.
		var bare struct {
			Messages []json.RawMessage `json:"messages"`
			Statuses []json.RawMessage `json:"statuses"`
		}
		if json.Unmarshal(change.Value, &bare) != nil || len(bare.Messages)+len(bare.Statuses) == 0 {
			c.unparsed(raw, channel.Address{}, "a change of messages cannot be read: %s", why(err))
			return
		}
		v = value[json.RawMessage, json.RawMessage]{Messages: bare.Messages, Statuses: bare.Statuses}
		v.Metadata.PhoneID = c.account
	}
	good := value[message, status]{Metadata: v.Metadata, Contacts: v.Contacts, Errors: v.Errors}
	var rawMessages, rawStatuses []json.RawMessage
	for _, raw := range v.Messages {
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			c.unparsed(raw, guess(raw, v.Contacts), "a message cannot be read: %s", why(err))
			continue
		}
		good.Messages = append(good.Messages, m)
		rawMessages = append(rawMessages, raw)
	}
	for _, raw := range v.Statuses {
		var s status
		if err := json.Unmarshal(raw, &s); err != nil {
			c.unparsed(raw, channel.Address{}, "a status cannot be read: %s", why(err))
			continue
		}
		good.Statuses = append(good.Statuses, s)
		rawStatuses = append(rawStatuses, raw)
	}
	c.messages(good, rawMessages, rawStatuses)
}

// phoneID reads metadata.phone_number_id, as far as it can be read.
func phoneID(value json.RawMessage) string {
	var v struct {
		Metadata struct {
			PhoneID string `json:"phone_number_id"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(value, &v) // whatever could be read
	return v.Metadata.PhoneID
}

// guess reads who sent something that cannot be read otherwise.
func guess(raw json.RawMessage, contacts []contact) channel.Address {
	var m struct {
		From       string `json:"from"`
		FromUserID string `json:"from_user_id"`
	}
	_ = json.Unmarshal(raw, &m) // whatever could be read
	return address(contacts, m.From, m.FromUserID, "")
}

// messages turns the field "messages" into events. raws are the bytes of the messages and statuses where they are known.
func (c *collector) messages(v value[message, status], rawMessages, rawStatuses []json.RawMessage) {
	c.account = v.Metadata.PhoneID
	for i := range v.Messages {
		var raw json.RawMessage
		if rawMessages != nil {
			raw = rawMessages[i]
		}
		c.message(&v.Messages[i], v.Contacts, raw)
	}
	for i := range v.Statuses {
		var raw json.RawMessage
		if rawStatuses != nil {
			raw = rawStatuses[i]
		}
		c.status(&v.Statuses[i], v.Contacts, raw)
	}
	for _, e := range v.Errors { // "Errors webhook reference": about the account or the app
		raw, _ := json.Marshal(e)
		c.add(channel.Event{
			Key: channel.HashKey("error", c.account, string(raw)), Type: channel.UnparsedEvent, Raw: compact(raw),
			Error: fmt.Sprintf("WhatsApp reports a problem with the number: %s (%s)", e.words(), e.Code),
		})
	}
}

// rest gives the bytes of an event: as they came; where they are not at hand, parse starts over and takes others.
func rest(raw json.RawMessage, v any) json.RawMessage {
	if raw == nil {
		raw, _ = json.Marshal(v)
	}
	return compact(raw)
}

func (c *collector) message(m *message, contacts []contact, raw json.RawMessage) {
	sender := address(contacts, m.From, m.FromUserID, m.FromParentUserID)
	bad := func(why string) {
		bytes := rest(raw, m)
		c.add(channel.Event{Key: channel.HashKey("unparsed", string(bytes)), Type: channel.UnparsedEvent, Sender: sender, Error: why, Raw: bytes})
	}
	if m.ID == "" || sender.Value == "" && m.Type != "system" {
		bad("a message without id or sender")
		return
	}
	if m.GroupID != "" {
		// Answers would go to the person alone. One note a group, not one a message.
		c.add(channel.Event{
			Key: "group:" + m.GroupID, Type: channel.UnparsedEvent, Sender: sender, Raw: rest(raw, m),
			Error: "the number is a member of a WhatsApp group; only chats with one person are served, what is written there is not kept",
		})
		return
	}
	e := channel.Event{Key: "msg:" + m.ID, Type: channel.MessageEvent, Sender: sender, At: at(m.Timestamp)}
	if m.Context != nil {
		e.Ref = m.Context.ID
	}
	msg := &channel.Message{ExternalID: m.ID, ReplyTo: e.Ref}
	switch m.Type {
	case "system":
		c.system(m, sender, e.At, bad)
		return
	case "request_welcome": // "Conversational components": somebody opened the chat for the first time
		e.Key, e.Type, e.Ref = "start:"+m.ID, channel.StartEvent, ""
		c.add(e)
		return
	case "reaction":
		if m.Reaction == nil || m.Reaction.MessageID == "" {
			bad("a reaction to nothing")
			return
		}
		// "Reaction messages webhook reference": without an emoji it is taken back.
		e.Key, e.Type, e.Ref, e.Reaction = "reaction:"+m.ID, channel.ReactionEvent, m.Reaction.MessageID, m.Reaction.Emoji
		c.add(e)
		return
	case "revoke":
		if m.Revoke == nil || m.Revoke.Original == "" {
			bad("a message is taken back that is not named")
			return
		}
		e.Key, e.Type, e.Ref = "revoke:"+m.ID, channel.DeleteEvent, m.Revoke.Original
		c.add(e)
		return
	case "edit":
		if m.Edit == nil || m.Edit.Original == "" {
			bad("a message is changed that is not named")
			return
		}
		msg.ExternalID, msg.ReplyTo = m.Edit.Original, ""
		m.Edit.Message.fill(msg, m.Edit.Message.Type)
		e.Key, e.Type, e.Ref, e.Message = "edit:"+m.Edit.Original+":"+m.ID, channel.EditEvent, m.Edit.Original, msg
		c.add(e)
		return
	case "button": // a quick reply of a template
		if m.Button == nil {
			bad("a pressed button without content")
			return
		}
		data := m.Button.Payload
		if data == "" {
			data = m.Button.Text
		}
		e.Key, e.Type, e.Choice = "choice:"+m.ID, channel.ChoiceEvent, &channel.Choice{Data: data, Label: m.Button.Text}
		c.add(e)
		return
	case "interactive":
		if in := m.Interactive; in != nil {
			r := in.ButtonReply
			if r == nil {
				r = in.ListReply
			}
			if r != nil {
				e.Key, e.Type, e.Choice = "choice:"+m.ID, channel.ChoiceEvent, &channel.Choice{Data: r.ID, Label: r.Title}
				c.add(e)
				return
			}
			if f := in.FlowReply; f != nil {
				msg.Text = lines(f.Body, answers(f.Response))
			} else {
				msg.Unsupported = named("interactive", in.Type)
			}
		}
	case "unsupported": // "Unsupported messages webhook reference"
		msg.Unsupported = "unsupported"
		if m.Unsupported != nil && m.Unsupported.Type != "" {
			msg.Unsupported = named("", m.Unsupported.Type)
		}
	default:
		m.content.fill(msg, m.Type)
	}
	if msg.Text == "" && len(msg.Attachments) == 0 && msg.Unsupported == "" {
		msg.Unsupported = named("", m.Type)
	}
	// What an ad or a product page says is no word of the customer's: it is what the message is about.
	switch {
	case m.Referral != nil:
		for _, s := range []string{m.Referral.Headline, m.Referral.Body, m.Referral.Source} {
			if msg.Subject = channel.CleanName(s); msg.Subject != "" {
				break
			}
		}
	case m.Context != nil && m.Context.ReferredProduct != nil:
		msg.Subject = channel.CleanName(m.Context.ReferredProduct.RetailerID)
	}
	e.Ref, e.Message = "", msg
	if msg.Unsupported != "" && raw != nil {
		e.Raw = compact(raw)
	}
	c.add(e)
}

// named is the provider's name of something, for people.
func named(prefix, name string) string {
	name = channel.CleanName(strings.ReplaceAll(prefix+" "+name, "_", " "))
	if name == "" {
		return "unknown"
	}
	return name
}

// fill says what a message says. Every branch stands for one type of "Messages webhook reference".
func (m *content) fill(msg *channel.Message, kind string) {
	attach := func(f *media, name, fallback string) {
		if f == nil || f.ID == "" {
			msg.Unsupported = named("", kind+" without a file")
			if f != nil {
				msg.Text = f.Caption
			}
			return
		}
		mediaType := f.Type
		if mediaType == "" {
			mediaType = fallback
		}
		file := f.FileName
		if file == "" {
			file = name + "-" + f.ID + extension(mediaType)
		}
		msg.Text = f.Caption
		msg.Attachments = []channel.Attachment{{Name: file, MediaType: mediaType, Remote: f.ID}}
	}
	switch kind {
	case "text":
		if m.Text != nil {
			msg.Text = m.Text.Body
		}
	case "image":
		attach(m.Image, "image", "image/jpeg")
	case "video":
		attach(m.Video, "video", "video/mp4")
	case "audio":
		if m.Audio != nil && m.Audio.Voice {
			attach(m.Audio, "voice", "audio/ogg")
		} else {
			attach(m.Audio, "audio", "audio/mpeg")
		}
	case "voice":
		attach(m.Voice, "voice", "audio/ogg")
	case "document":
		attach(m.Document, "document", "application/octet-stream")
	case "sticker":
		attach(m.Sticker, "sticker", "image/webp")
	case "location":
		if l := m.Location; l != nil {
			where := ""
			if l.Latitude != "" && l.Longitude != "" {
				where = l.Latitude.String() + ", " + l.Longitude.String()
			}
			msg.Text = lines(l.Name, l.Address, where, l.URL)
		}
	case "contacts":
		var cards []string
		for _, p := range m.Contacts {
			name := p.Name.Formatted
			if name == "" {
				name = p.Name.First + " " + p.Name.Last
			}
			card := []string{channel.CleanName(name), channel.CleanName(p.Org.Company)}
			for _, n := range p.Phones {
				if n.Phone == "" && n.WaID != "" {
					n.Phone = "+" + n.WaID
				}
				card = append(card, n.Phone)
			}
			for _, m := range p.Emails {
				card = append(card, m.Email)
			}
			cards = append(cards, lines(card...))
		}
		msg.Text = strings.TrimSpace(strings.Join(cards, "\n\n"))
	case "order":
		if o := m.Order; o != nil {
			list := []string{o.Text}
			for _, i := range o.Items {
				line := i.Quantity.String() + " × " + i.RetailerID
				if i.Price != "" {
					line += " – " + i.Price.String() + " " + i.Currency
				}
				list = append(list, strings.TrimSpace(line))
			}
			msg.Text = lines(list...)
		}
	default:
		msg.Unsupported = named("", kind)
	}
}

// extension is what a file of that type is called; "" where the name is better left alone.
func extension(mediaType string) string {
	switch channel.MediaType(mediaType) {
	case "image/jpeg":
		return ".jpg"
	case "image/png":
		return ".png"
	case "image/webp":
		return ".webp"
	case "video/mp4":
		return ".mp4"
	case "video/3gpp":
		return ".3gp"
	case "audio/ogg":
		return ".ogg"
	case "audio/mpeg":
		return ".mp3"
	case "audio/mp4":
		return ".m4a"
	case "audio/aac":
		return ".aac"
	case "audio/amr":
		return ".amr"
	case "application/pdf":
		return ".pdf"
	}
	return ""
}

// answers lists what somebody entered in a flow or an address form: response_json is JSON in a string whose shape the
// form's maker chose ("Flows", "Receiving responses"). The order is kept.
func answers(response string) string {
	d := json.NewDecoder(strings.NewReader(response))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return response
	}
	var list []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return response
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return response
		}
		text := string(value)
		var s string
		if json.Unmarshal(value, &s) == nil {
			text = s
		}
		if key != "flow_token" { // ours, or nobody's
			list = append(list, fmt.Sprintf("%v: %s", key, text))
		}
	}
	return lines(list...)
}

func lines(list ...string) string {
	var kept []string
	for _, l := range list {
		if l = strings.TrimSpace(l); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

// changedForm is the sentence by which a system message names the old and the new business-scoped id ("Business-scoped
// user IDs", "System messages webhooks"): the old one stands nowhere else.
var changedForm = regexp.MustCompile(` changed from (\S+) to (\S+)$`)

// system reads that a user's number or id changed ("System messages webhook reference"): the old number is in from, the
// new one in system.wa_id; of an id the new one is in system.user_id. One webhook may tell both.
func (c *collector) system(m *message, sender channel.Address, when time.Time, bad func(string)) {
	s := m.System
	if s == nil {
		bad("a system message without content")
		return
	}
	number, userID := s.WaID, s.UserID
	if number == "" {
		number = s.NewWaID
	}
	old := []string{sender.Value}
	old = append(old, sender.Also...)
	if found := changedForm.FindStringSubmatch(s.Body); found != nil && (userForm.MatchString(found[1]) || waForm.MatchString(found[1])) {
		old = append(old, plus(found[1]))
	}
	switch s.Type {
	case "user_changed_number", "customer_changed_number", "user_changed_user_id":
		moved := func(key, to string) bool {
			also := without(old, to, plus(number), userID, s.ParentUserID)
			if to == "" || len(also) == 0 {
				return false
			}
			a := channel.Address{Value: to, Name: sender.Name, Assurance: channel.Observed, Also: also}
			c.add(channel.Event{Key: key, Type: channel.MovedEvent, Sender: a, At: when})
			return true
		}
		// The id first: the number, where it is known, is how the customer is reached from now on.
		byID := moved("moved:"+m.ID+":id", userID)
		byNumber := moved("moved:"+m.ID, plus(number))
		if !byID && !byNumber {
			bad("a customer changed number or id, and old or new one is missing")
		}
	default: // "customer_identity_changed" and what comes
		if sender.Value == "" {
			bad("a system message without sender")
			return
		}
		c.add(channel.Event{Key: "msg:" + m.ID, Type: channel.MessageEvent, Sender: sender, At: when, Message: &channel.Message{
			ExternalID: m.ID, Text: s.Body, Automatic: true, Unsupported: named("system", s.Type)}})
	}
}

// without is the list's values, each once, without the given ones and the empty one.
func without(list []string, not ...string) []string {
	seen := map[string]bool{"": true}
	for _, n := range not {
		seen[n] = true
	}
	var kept []string
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			kept = append(kept, v)
		}
	}
	return kept
}

// plus writes a number as addresses have it (E.164); anything else stays as it is.
func plus(id string) string {
	if waForm.MatchString(id) {
		return "+" + id
	}
	return id
}

// address is who a user is: the number where Meta tells it, otherwise the business-scoped id; the others stand in Also.
// WhatsApp vouches for both: observed.
func address(contacts []contact, from, userID, parent string) channel.Address {
	var named *contact
	for i := range contacts {
		c := &contacts[i]
		if userID != "" && c.UserID == userID || from != "" && c.WaID == from {
			named = c
			break
		}
	}
	if named == nil && len(contacts) == 1 && (userID == "" || contacts[0].UserID == "") {
		named = &contacts[0] // a number and its wa_id may differ ("Messages webhook reference")
	}
	var ids []string
	if named != nil {
		ids = append(ids, plus(named.WaID))
	}
	ids = append(ids, plus(from), userID)
	if named != nil {
		ids = append(ids, named.UserID)
	}
	ids = append(ids, parent)
	if named != nil {
		ids = append(ids, named.ParentUserID)
	}
	a := channel.Address{}
	ids = without(ids)
	if len(ids) == 0 {
		return a
	}
	a.Value, a.Assurance = ids[0], channel.Observed
	if len(ids) > 1 {
		a.Also = ids[1:]
	}
	if named != nil {
		if a.Name = channel.CleanName(named.Profile.Name); a.Name == "" {
			a.Name = channel.CleanName(named.Profile.Username)
		}
	}
	return a
}

// at is the provider's time, in seconds; zero where it makes no sense.
func at(seconds json.Number) time.Time {
	n, err := seconds.Int64()
	if err != nil || n < 946684800 || n > 253402300799 { // the years 2000 to 9999
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// states are those of "Status messages webhook reference"; "played" is a voice message that was heard.
var states = map[string]channel.State{
	"sent": channel.Sent, "delivered": channel.Delivered, "read": channel.Read, "played": channel.Read, "failed": channel.Failed,
}

func (c *collector) status(s *status, contacts []contact, raw json.RawMessage) {
	state, known := states[s.Status]
	if s.ID == "" || !known {
		bytes := rest(raw, s)
		c.add(channel.Event{
			Key: channel.HashKey("unparsed", string(bytes)), Type: channel.UnparsedEvent, Raw: bytes,
			Error: fmt.Sprintf("a status %q of message %q is not known", s.Status, s.ID),
		})
		return
	}
	e := channel.Event{Key: "status:" + s.ID + ":" + s.Status, Type: channel.StatusEvent, At: at(s.Timestamp),
		Status: &channel.Status{ExternalID: s.ID, State: state}}
	if s.RecipientType != "group" {
		e.Sender = address(contacts, s.RecipientID, s.RecipientUserID, s.RecipientParent)
	}
	e.Status.DeliveryID = deliveryOf(s.Callback, state)
	if len(s.Errors) > 0 {
		first := s.Errors[0]
		e.Status.Code, e.Status.Error = first.Code.String(), first.words()
		if f, ok := failures[e.Status.Code]; ok {
			e.Status.Reason = f.reason
		}
	}
	c.add(e)
}

// compact is JSON as package json would write it inside an event (no white space, < > & escaped), so that storing an
// event changes nothing; and in memory of its own, so that the request is not reachable through events.
func compact(raw []byte) json.RawMessage {
	var b, escaped bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return nil
	}
	json.HTMLEscape(&escaped, bytes.ToValidUTF8(b.Bytes(), []byte("\uFFFD")))
	return escaped.Bytes()
}
