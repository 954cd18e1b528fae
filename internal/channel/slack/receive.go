package slack

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
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const (
	signatureHeader = "X-Slack-Signature"
	timestampHeader = "X-Slack-Request-Timestamp"
	maxAge          = 5 * time.Minute // "Verifying requests from Slack"
)

// Verify implements channel.Webhook ("Verifying requests from Slack"): v0= and the hex HMAC-SHA256 over v0:time:body.
func (Driver) Verify(a channel.Account, r *channel.Request, now time.Time) error {
	stamp := channel.OneHeader(r.Header, timestampHeader)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != stamp || !channel.Fresh(time.Unix(seconds, 0), now, maxAge) {
		return channel.ErrUnauthentic
	}
	sign := func(secret string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("v0:" + stamp + ":"))
		mac.Write(r.Body)
		return "v0=" + hex.EncodeToString(mac.Sum(nil))
	}
	if !channel.Authentic(channel.OneHeader(r.Header, signatureHeader), channel.Rotation(a.Settings["signing_secret"]), sign) {
		return channel.ErrUnauthentic
	}
	return nil
}

// done acknowledges what is of no interest.
var done = channel.Reply{Status: http.StatusOK}

// Parse implements channel.Webhook. Events come as JSON; pressed buttons and slash commands as a form.
func (Driver) Parse(_ channel.Account, r *channel.Request) ([]channel.Event, channel.Reply, error) {
	body := bytes.TrimSpace(r.Body)
	if len(body) == 0 || body[0] != '{' {
		return parseForm(string(body))
	}
	c := callback{body: body}
	// One field of another type than documented leaves the others readable.
	if err := json.Unmarshal(body, &c); err != nil && !errors.As(err, &c.odd) {
		return nil, channel.Reply{}, fmt.Errorf("read event: %w", err)
	}
	switch c.Type {
	case "url_verification": // "Request URL configuration & verification"
		if c.Challenge == "" {
			return nil, channel.Reply{}, errors.New("url_verification without a challenge")
		}
		return nil, channel.Reply{Status: http.StatusOK, Type: "text/plain", Body: []byte(c.Challenge)}, nil
	case "app_rate_limited": // "Rate limiting": above 30,000 events an hour some are not delivered
		return []channel.Event{{Key: "ratelimited:" + c.Minute.String(), Type: channel.UnparsedEvent, Account: c.team(), Raw: clone(body),
			Error: "Slack leaves out events, because more than 30,000 came within an hour: subscribe to message.im only"}}, channel.Reply{}, nil
	case "event_callback":
	default:
		return []channel.Event{c.unparsed(body, "requests of type "+strconv.Quote(c.Type)+" are not served")}, channel.Reply{}, nil
	}
	e, err := c.event()
	switch {
	case err != nil:
		e = c.unparsed(body, "the event cannot be read: "+err.Error())
	case e.Key == "":
		return nil, done, nil
	}
	e.Account = c.team()
	return []channel.Event{e}, channel.Reply{}, nil
}

// callback is the envelope of the Events API.
type callback struct {
	Type           string      `json:"type"`
	Challenge      string      `json:"challenge"`
	Team           string      `json:"team_id"`
	ID             string      `json:"event_id"`
	Event          inner       `json:"event"`
	Minute         json.Number `json:"minute_rate_limited"`
	Authorizations []struct {
		Team string `json:"team_id"`
		User string `json:"user_id"`
		Bot  bool   `json:"is_bot"`
	} `json:"authorizations"`

	body []byte
	odd  *json.UnmarshalTypeError
}

// raw is the event's own bytes.
func (c *callback) raw() []byte {
	var b struct {
		Event json.RawMessage `json:"event"`
	}
	_ = json.Unmarshal(c.body, &b)
	if len(b.Event) == 0 {
		return c.body
	}
	return b.Event
}

// team is the workspace in which the app is installed; with Slack Connect the event may be of another one.
func (c *callback) team() string {
	if len(c.Authorizations) > 0 && c.Authorizations[0].Team != "" {
		return c.Authorizations[0].Team
	}
	return c.Team
}

func (c *callback) unparsed(raw []byte, why string) channel.Event {
	key := "event:" + c.ID
	if c.ID == "" {
		key = channel.HashKey("unparsed", string(raw))
	}
	return channel.Event{Key: key, Type: channel.UnparsedEvent, Account: c.team(), Error: why, Raw: clone(raw)}
}

// inner is what the types of events that are served have in common.
type inner struct {
	message
	Item struct {
		Type    string `json:"type"`
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	} `json:"item"`
	Reaction string   `json:"reaction"`
	Tab      string   `json:"tab"`
	EventTS  string   `json:"event_ts"`
	Deleted  string   `json:"deleted_ts"`
	Message  *message `json:"message"`
	Previous *message `json:"previous_message"`
}

// message is a message event, or the message in one.
type message struct {
	Type        string `json:"type"`
	Subtype     string `json:"subtype"`
	Channel     string `json:"channel"`
	ChannelType string `json:"channel_type"`
	User        string `json:"user"`
	Bot         string `json:"bot_id"`
	Text        string `json:"text"`
	TS          string `json:"ts"`
	Thread      string `json:"thread_ts"`
	Edited      *struct {
		TS string `json:"ts"`
	} `json:"edited"`
	Files       []file `json:"files"`
	Attachments []struct {
		Text     string `json:"text"`
		Fallback string `json:"fallback"`
	} `json:"attachments"`
	Profile struct {
		Display string `json:"display_name"`
		Real    string `json:"real_name"`
	} `json:"user_profile"`
}

// file is a file object.
type file struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Title    string      `json:"title"`
	Type     string      `json:"mimetype"`
	Size     json.Number `json:"size"`
	Mode     string      `json:"mode"`
	External bool        `json:"is_external"`
	URL      string      `json:"url_private"`
}

// event says what an event means; without a Key it is of no interest.
func (c *callback) event() (channel.Event, error) {
	in := &c.Event
	switch in.Type {
	case "message", "reaction_added", "reaction_removed", "app_home_opened", "app_mention", "member_joined_channel":
	case "tokens_revoked", "app_uninstalled":
		e := c.unparsed(c.raw(), "the app was removed from the workspace or its token revoked: install it again and enter the new bot_token")
		e.Key = "revoked:" + c.ID
		return e, nil
	default:
		if in.Type == "" {
			return channel.Event{}, errors.New("it has no type")
		}
		e := c.unparsed(c.raw(), "events of type "+strconv.Quote(in.Type)+" are not served: unsubscribe from them in the app's settings")
		e.Key = "type:" + in.Type // one note a type, not one an event
		return e, nil
	}
	if c.odd != nil {
		return channel.Event{}, fmt.Errorf("%s is a %s", c.odd.Field, c.odd.Value)
	}
	where := in.Channel
	if in.Type == "reaction_added" || in.Type == "reaction_removed" {
		if in.Item.Type != "message" { // a file
			return channel.Event{}, nil
		}
		where = in.Item.Channel
	}
	if !idForm.MatchString(where) || !idForm.MatchString(c.team()) {
		return channel.Event{}, errors.New("no channel or no team")
	}
	if where[0] != 'D' || in.Type == "app_mention" {
		return c.elsewhere(where), nil
	}
	if in.Type == "message" {
		return c.message(in)
	}
	if !idForm.MatchString(in.User) {
		return channel.Event{}, errors.New("no user")
	}
	if c.ours(in.User) {
		return channel.Event{}, nil
	}
	e := channel.Event{Sender: c.address(in.User, &in.message), At: timeOf(in.EventTS)}
	switch in.Type {
	case "app_home_opened": // comes at every opening; the first one counts
		if in.Tab != "" && in.Tab != "messages" {
			return channel.Event{}, nil
		}
		e.Key, e.Type = "start:"+where, channel.StartEvent
	case "reaction_added", "reaction_removed":
		if in.Item.TS == "" {
			return channel.Event{}, errors.New("reaction without a message")
		}
		e.Type, e.Ref = channel.ReactionEvent, external(where, in.Item.TS)
		e.Key = channel.HashKey("reaction", e.Ref, in.Type, in.Reaction, in.EventTS, in.User)
		if in.Type == "reaction_added" {
			e.Reaction = emoji(in.Reaction)
		}
	default:
		return channel.Event{}, nil
	}
	return e, nil
}

// ours reports whether a user is this app's own bot.
func (c *callback) ours(user string) bool {
	for _, a := range c.Authorizations {
		if a.Bot && a.User == user {
			return true
		}
	}
	return false
}

// elsewhere is the one note about a channel that is not served.
func (c *callback) elsewhere(where string) channel.Event {
	e := c.unparsed(c.raw(), fmt.Sprintf("the app is a member of the channel %s or was mentioned there; only direct messages are served, what is written there is not kept: remove the app from it", where))
	e.Key = "channel:" + where
	return e
}

func (c *callback) message(in *inner) (channel.Event, error) {
	m, e := &in.message, channel.Event{Type: channel.MessageEvent}
	switch in.Subtype {
	case "message_changed":
		if in.Message == nil {
			return channel.Event{}, errors.New("message_changed without a message")
		}
		m = in.Message
		if m.Subtype == "tombstone" { // deleted, while its thread goes on
			if in.Previous == nil {
				return channel.Event{}, nil
			}
			return c.deleted(in, in.Previous.TS)
		}
		if m.Edited == nil || m.Edited.TS == "" { // a preview was added, or an answer in its thread
			return channel.Event{}, nil
		}
		e.Type, e.Ref = channel.EditEvent, external(in.Channel, m.TS)
	case "message_deleted":
		return c.deleted(in, in.Deleted)
	case "bot_message", "message_replied", "assistant_app_thread":
		return channel.Event{}, nil
	}
	if m.Bot != "" || m.Subtype == "bot_message" || c.ours(m.User) {
		return channel.Event{}, nil
	}
	if !idForm.MatchString(m.User) || m.TS == "" {
		return channel.Event{}, errors.New("message without user or ts")
	}
	e.Sender, e.At = c.address(m.User, m), timeOf(m.TS)
	e.Key = "msg:" + external(in.Channel, m.TS)
	if e.Type == channel.EditEvent {
		e.Key = "edit:" + e.Ref + ":" + m.Edited.TS
		e.At = timeOf(m.Edited.TS)
	}
	e.Message = &channel.Message{ExternalID: external(in.Channel, m.TS), Text: plain(m.Text)}
	if m.Thread != "" && m.Thread != m.TS {
		e.Message.ReplyTo = external(in.Channel, m.Thread)
	}
	for _, f := range m.Files {
		f.attach(e.Message)
	}
	if e.Message.Text == "" && len(e.Message.Attachments) == 0 { // a shared message has its content below
		var list []string
		for _, a := range m.Attachments {
			if a.Text == "" {
				a.Text = a.Fallback
			}
			if t := plain(a.Text); t != "" {
				list = append(list, t)
			}
		}
		e.Message.Text = strings.Join(list, "\n")
	}
	known := m.Subtype == "" || m.Subtype == "file_share" || m.Subtype == "me_message" || m.Subtype == "thread_broadcast"
	if !known || e.Message.Text == "" && len(e.Message.Attachments) == 0 && e.Message.Unsupported == "" {
		e.Message.Unsupported = m.Subtype
		if m.Subtype == "" {
			e.Message.Unsupported = "message without text"
		}
	}
	if e.Message.Unsupported != "" {
		e.Raw = clone(c.raw())
	}
	return e, nil
}

func (c *callback) deleted(in *inner, ts string) (channel.Event, error) {
	if ts == "" || in.Previous == nil {
		return channel.Event{}, errors.New("message_deleted without the message")
	}
	if in.Previous.Bot != "" || c.ours(in.Previous.User) {
		return channel.Event{}, nil
	}
	if !idForm.MatchString(in.Previous.User) {
		return channel.Event{}, errors.New("message_deleted without a user")
	}
	ref := external(in.Channel, ts)
	return channel.Event{Key: "delete:" + ref, Type: channel.DeleteEvent, Ref: ref, Sender: c.address(in.Previous.User, in.Previous), At: timeOf(in.EventTS)}, nil
}

// attach adds a file, or says why it cannot be had ("File object", mode).
func (f file) attach(msg *channel.Message) {
	name := f.Name
	if name == "" {
		name = f.Title
	}
	switch {
	case f.Mode == "tombstone", f.Mode == "hidden_by_limit":
		msg.Unsupported = "file that was removed"
		return
	case f.External: // lies elsewhere (Google Drive …): the link is what was sent
		msg.Text = strings.TrimSpace(msg.Text + "\n" + strings.TrimSpace(channel.CleanName(name)+" "+f.URL))
		return
	case !idForm.MatchString(f.ID):
		return
	}
	size, err := f.Size.Int64()
	if err != nil || size < 0 {
		size = 0
	}
	if name == "" {
		name = f.ID
	}
	if f.Type == "" {
		f.Type = "application/octet-stream"
	}
	msg.Attachments = append(msg.Attachments, channel.Attachment{Name: name, MediaType: f.Type, Size: size, Remote: f.ID})
}

// address is team:user; the workspace vouches for it.
func (c *callback) address(user string, m *message) channel.Address {
	name := channel.CleanName(m.Profile.Display)
	if name == "" {
		name = channel.CleanName(m.Profile.Real)
	}
	return channel.Address{Value: c.team() + ":" + user, Name: name, Assurance: channel.Observed}
}

// external is a message's external id: a ts is unique within one conversation.
func external(where, ts string) string { return where + ":" + ts }

// parseForm reads interactivity ("Handling user interaction") and slash commands.
func parseForm(body string) ([]channel.Event, channel.Reply, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, channel.Reply{}, fmt.Errorf("read form: %w", err)
	}
	if command := form.Get("command"); command != "" {
		reply := channel.Reply{Status: http.StatusOK, Type: "application/json", Body: []byte(
			`{"response_type":"ephemeral","text":"Bitte schreiben Sie hier einfach eine Nachricht. / Please simply write a message here."}`)}
		raw, _ := json.Marshal(body)
		team := form.Get("team_id")
		if !idForm.MatchString(team) {
			team = ""
		}
		return []channel.Event{{Key: channel.HashKey("command", command), Type: channel.UnparsedEvent, Account: team, Raw: raw,
			Error: "the slash command " + channel.CleanName(command) + " is not served: take it out of the app's settings"}}, reply, nil
	}
	raw := []byte(strings.ToValidUTF8(form.Get("payload"), "\uFFFD"))
	var p struct {
		Type string `json:"type"`
		Team struct {
			ID string `json:"id"`
		} `json:"team"`
		User struct {
			ID   string `json:"id"`
			Name string `json:"name"`
			Team string `json:"team_id"`
		} `json:"user"`
		Container struct {
			TS      string `json:"message_ts"`
			Channel string `json:"channel_id"`
		} `json:"container"`
		Actions []struct {
			ID    string `json:"action_id"`
			Type  string `json:"type"`
			Value string `json:"value"`
			TS    string `json:"action_ts"`
			Text  struct {
				Text string `json:"text"`
			} `json:"text"`
		} `json:"actions"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, channel.Reply{}, fmt.Errorf("read interaction: %w", err)
	}
	team := p.Team.ID
	if team == "" { // null where the app is installed for an organisation
		team = p.User.Team
	}
	if p.Type != "block_actions" {
		return []channel.Event{{Key: "type:" + p.Type, Type: channel.UnparsedEvent, Account: team, Raw: clone(raw),
			Error: "interactions of type " + strconv.Quote(p.Type) + " are not served"}}, done, nil
	}
	var events []channel.Event
	seen := map[string]bool{}
	for _, a := range p.Actions {
		e := channel.Event{Account: team, Type: channel.ChoiceEvent, At: timeOf(a.TS),
			Key: channel.HashKey("choice", p.Container.Channel, p.Container.TS, a.ID, a.TS, p.User.ID)}
		if seen[e.Key] {
			continue
		}
		seen[e.Key] = true
		if a.Type != "button" || a.Value == "" || !idForm.MatchString(team) || !idForm.MatchString(p.User.ID) {
			e.Type, e.Raw, e.Error = channel.UnparsedEvent, clone(raw), "the action "+strconv.Quote(a.Type)+" cannot be read: a button with a value was expected"
			events = append(events, e)
			continue
		}
		e.Sender = channel.Address{Value: team + ":" + p.User.ID, Name: channel.CleanName(p.User.Name), Assurance: channel.Observed}
		// In what comes back, labels are escaped.
		e.Choice = &channel.Choice{Data: a.Value, Label: unescape.Replace(a.Text.Text)}
		if p.Container.Channel != "" && p.Container.TS != "" {
			e.Ref = external(p.Container.Channel, p.Container.TS)
		}
		events = append(events, e)
	}
	// The answer has to be empty: what stands in it would replace the message.
	return events, done, nil
}

// timeOf reads a ts: seconds, a dot, microseconds.
func timeOf(ts string) time.Time {
	s, fraction, _ := strings.Cut(ts, ".")
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 1e9 || seconds > 1e11 {
		return time.Time{}
	}
	micros, err := strconv.ParseUint(fraction, 10, 32)
	if err != nil || len(fraction) != 6 {
		micros = 0
	}
	return time.Unix(seconds, int64(micros)*1000).UTC()
}

// clone makes raw JSON safe to keep and to store.
func clone(raw []byte) json.RawMessage {
	var b bytes.Buffer
	raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	if json.Compact(&b, raw) != nil {
		quoted, _ := json.Marshal(string(raw))
		return quoted
	}
	var canonical bytes.Buffer
	json.HTMLEscape(&canonical, b.Bytes())
	return canonical.Bytes()
}

var (
	unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
	escape   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
)

// plain turns what a message event carries into plain text ("Formatting message text", "Retrieving messages"): links,
// mentions and dates in angle brackets, emoji between colons, three escaped characters.
func plain(text string) string {
	if !strings.ContainsAny(text, "<&:") {
		return strings.TrimSpace(text)
	}
	var b strings.Builder
	for rest := text; rest != ""; {
		i := strings.IndexByte(rest, '<')
		end := -1
		if i >= 0 {
			end = strings.IndexByte(rest[i:], '>')
		}
		if end < 0 {
			b.WriteString(words(rest))
			break
		}
		b.WriteString(words(rest[:i]))
		b.WriteString(control(rest[i+1 : i+end]))
		rest = rest[i+end+1:]
	}
	return strings.TrimSpace(b.String())
}

func words(s string) string { return unescape.Replace(emojis(s)) }

// control is one thing in angle brackets.
func control(s string) string {
	target, label, _ := strings.Cut(s, "|")
	target, label = unescape.Replace(target), unescape.Replace(label)
	if target == "" {
		return label
	}
	switch target[0] {
	case '@', '#':
		if label != "" {
			return target[:1] + strings.TrimLeft(label, "@#")
		}
		return target
	case '!': // <!here>, <!subteam^S1|@group>, <!date^1392734382^{date}|Feb 18>
		if label != "" {
			return label
		}
		name, _, _ := strings.Cut(target[1:], "^")
		return "@" + name
	}
	bare := strings.TrimPrefix(strings.TrimPrefix(target, "mailto:"), "tel:")
	switch {
	case label == "" || label == bare:
		return bare
	case strings.HasSuffix(target, "://"+label), strings.HasSuffix(target, "://"+label+"/"):
		return target
	}
	return label + " (" + bare + ")"
}

// emojis writes emoji as such where the name is a common one; others stay :like_this:. What stands in the middle of a word,
// such as a time of day, is none.
func emojis(s string) string {
	if strings.Count(s, ":") < 2 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != ':' || i > 0 && (word(s[i-1]) || s[i-1] == ':' && b.Len() > 0 && strings.HasSuffix(b.String(), ":")) {
			b.WriteByte(s[i])
			i++
			continue
		}
		name, end := emojiName(s[i:])
		if e := emoji(name); name != "" && e[0] != ':' {
			b.WriteString(e)
			i += end
			continue
		}
		b.WriteByte(':')
		i++
	}
	return b.String()
}

func word(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }

// emojiName is the name at the beginning of :name: or :name::skin-tone-2:, and how long that is; "" if there is none.
func emojiName(s string) (name string, end int) {
	end = strings.IndexByte(s[1:], ':') + 2
	if end < 3 || end > 42 {
		return "", 0
	}
	name = s[1 : end-1]
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 || !word(byte(r)) && r != '_' && r != '+' && r != '-' }) {
		return "", 0
	}
	if tone, ok := strings.CutPrefix(s[end:], ":skin-tone-"); ok && len(tone) > 1 && tone[0] >= '2' && tone[0] <= '6' && tone[1] == ':' {
		return name + "::skin-tone-" + tone[:1], end + len(":skin-tone-2:")
	}
	return name, end
}

// emoji is the emoji of a name as reactions have it, such as "+1" or "wave::skin-tone-3"; :name: if it is not a common one.
func emoji(name string) string {
	base, tone, _ := strings.Cut(name, "::skin-tone-")
	e, ok := names[base]
	if !ok {
		return ":" + name + ":"
	}
	if len(tone) == 1 && tone[0] >= '2' && tone[0] <= '6' {
		e = strings.TrimSuffix(e, "\uFE0F") + string(rune(0x1F3FB+int(tone[0]-'2')))
	}
	return e
}

// names are common emoji by Slack's names.
var names = map[string]string{
	"+1": "👍", "thumbsup": "👍", "-1": "👎", "thumbsdown": "👎", "heart": "❤️", "broken_heart": "💔", "joy": "😂", "smile": "😄",
	"smiley": "😃", "grinning": "😀", "grin": "😁", "laughing": "😆", "sweat_smile": "😅", "rolling_on_the_floor_laughing": "🤣",
	"slightly_smiling_face": "🙂", "upside_down_face": "🙃", "wink": "😉", "blush": "😊", "innocent": "😇", "heart_eyes": "😍",
	"kissing_heart": "😘", "sunglasses": "😎", "stuck_out_tongue": "😛", "thinking_face": "🤔", "neutral_face": "😐", "unamused": "😒",
	"face_with_rolling_eyes": "🙄", "relieved": "😌", "pensive": "😔", "sleeping": "😴", "mask": "😷", "confused": "😕",
	"slightly_frowning_face": "🙁", "white_frowning_face": "☹️", "open_mouth": "😮", "astonished": "😲", "flushed": "😳",
	"cry": "😢", "sob": "😭", "disappointed": "😞", "weary": "😩", "angry": "😠", "rage": "😡", "hugging_face": "🤗",
	"see_no_evil": "🙈", "face_palm": "🤦", "shrug": "🤷", "wave": "👋", "raised_hand": "✋", "ok_hand": "👌", "v": "✌️",
	"crossed_fingers": "🤞", "point_up": "☝️", "point_right": "👉", "point_left": "👈", "point_down": "👇", "clap": "👏",
	"raised_hands": "🙌", "pray": "🙏", "handshake": "🤝", "muscle": "💪", "eyes": "👀", "tada": "🎉", "sparkles": "✨",
	"star": "⭐", "fire": "🔥", "rocket": "🚀", "100": "💯", "bulb": "💡", "white_check_mark": "✅", "heavy_check_mark": "✔️",
	"x": "❌", "no_entry": "⛔", "warning": "⚠️", "question": "❓", "exclamation": "❗", "heavy_plus_sign": "➕",
	"hourglass": "⌛", "hourglass_flowing_sand": "⏳", "gift": "🎁", "coffee": "☕", "memo": "📝", "calendar": "📆", "email": "📧",
	"phone": "☎️", "car": "🚗", "house": "🏠", "umbrella": "☔", "sunny": "☀️", "snowflake": "❄️", "dog": "🐶", "cat": "🐱",
}
