package slack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Send implements channel.Sender.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	_, user, ok := strings.Cut(out.To.Value, ":")
	if !ok || !idForm.MatchString(user) {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%q is no address of a member, such as T0123:U0456", out.To.Value),
			Reason: channel.Text{DE: "Das ist keine Adresse eines Slack-Mitglieds.", EN: "This is no address of a member of Slack."}}
	}
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	s := &sending{api: newAPI(a, env), to: user, delivery: out.DeliveryID}
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		id, err := s.part(ctx, p)
		if err == nil {
			s.accepted++
		}
		return id, err
	})
}

// mark is the type of the metadata by which a message of ours is found again ("Message metadata").
const mark = "rufweite_delivery"

// sending is one Outgoing on its way.
type sending struct {
	api
	to       string // the member's id, then the id of the direct message once Slack named it
	delivery string
	accepted int // parts so far
}

// part sends one message. A member's id as channel opens the direct message (chat.postMessage, "Post to a direct message
// channel").
func (s *sending) part(ctx context.Context, p channel.Part) (string, error) {
	if p.File != nil {
		return s.file(ctx, p)
	}
	m := map[string]any{
		"channel": s.to,
		"text":    escape.Replace(p.Text),
		"mrkdwn":  false, // what is written shows as it is written
		// For a preview Slack's servers open the link; ours are personal and some are good for one answer.
		"unfurl_links": false,
		"unfurl_media": false,
	}
	if s.delivery != "" {
		m["metadata"] = map[string]any{"event_type": mark, "event_payload": map[string]string{"delivery": s.delivery, "part": strconv.Itoa(s.accepted)}}
	}
	if len(p.Choices) > 0 {
		m["blocks"] = blocks(p)
	}
	thread := threadOf(p.ReplyTo)
	if thread != "" {
		// A thread is folded away beside the conversation: with this it is seen there, too.
		m["thread_ts"], m["reply_broadcast"] = thread, true
	}
	var sent struct {
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	}
	err := s.call(ctx, "chat.postMessage", m, &sent)
	var failure *channel.SendError
	if thread != "" && errors.As(err, &failure) && threadless[failure.Code] {
		// The quoted message may have been deleted, or is an answer itself: better without the quote than not at all.
		delete(m, "thread_ts")
		delete(m, "reply_broadcast")
		err = s.call(ctx, "chat.postMessage", m, &sent)
	}
	if err != nil {
		return "", err
	}
	if sent.TS == "" || sent.Channel == "" {
		return "", channel.Uncertainly(errors.New("chat.postMessage: accepted without ts"))
	}
	s.to = sent.Channel
	return external(sent.Channel, sent.TS), nil
}

// threadless are the errors that say that there is no such thread.
var threadless = map[string]bool{"thread_not_found": true, "invalid_thread_ts": true, "cannot_reply_to_message": true, "message_not_found": true,
	"restricted_action_non_threadable_channel": true, "restricted_action_thread_locked": true}

// threadOf is the ts of the message that an external id names, "" if it is none of a direct message here.
func threadOf(id string) string {
	where, ts, ok := strings.Cut(id, ":")
	if !ok || !strings.HasPrefix(where, "D") || timeOf(ts).IsZero() {
		return ""
	}
	return ts
}

// blocks are the text and the buttons (Block Kit: section, actions, button).
func blocks(p channel.Part) []any {
	type object map[string]any
	var list []any
	for _, t := range sections(p.Text) {
		list = append(list, object{"type": "section", "text": object{"type": "mrkdwn", "text": t, "verbatim": false}})
	}
	var elements []any
	for i, c := range p.Choices {
		elements = append(elements, object{"type": "button", "action_id": "choice-" + strconv.Itoa(i), "value": c.Data,
			"text": object{"type": "plain_text", "text": c.Label, "emoji": false}})
	}
	return append(list, object{"type": "actions", "elements": elements})
}

// sections escapes a text and cuts it so that each piece fits; escaping makes it longer.
func sections(text string) []string {
	for limit := sectionMax; ; limit /= 2 {
		var list []string
		fits := true
		for _, t := range channel.Split(text, limit, channel.CodePoints) {
			t = escape.Replace(t)
			fits = fits && channel.Length(t, channel.CodePoints) <= sectionMax
			list = append(list, t)
		}
		if fits || limit < 100 {
			return list
		}
	}
}

// file uploads a file and shares it ("Uploading files"): a URL is asked for, the bytes are sent there, and nothing is seen
// before the upload is completed.
func (s *sending) file(ctx context.Context, p channel.Part) (string, error) {
	size := p.File.Size
	if size <= 0 {
		var err error
		if size, err = measure(p.File); err != nil {
			return "", &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{
				DE: "Eine Datei der Nachricht ließ sich nicht lesen; es wird erneut versucht.", EN: "A file of the message could not be read; it is tried again."}}
		}
	}
	name := channel.CleanName(p.File.Name)
	if name == "" {
		name = "file"
	}
	var ticket struct {
		URL string `json:"upload_url"`
		ID  string `json:"file_id"`
	}
	if err := s.form(ctx, "files.getUploadURLExternal", url.Values{"filename": {name}, "length": {strconv.FormatInt(size, 10)}}, &ticket); err != nil {
		return "", unseen(err)
	}
	if ticket.URL == "" || ticket.ID == "" {
		return "", unseen(channel.Uncertainly(errors.New("files.getUploadURLExternal gave no URL")))
	}
	answer, err := channel.Call{URL: ticket.URL, Type: "application/octet-stream", Open: p.File.Open, Size: size, Timeout: 3 * time.Minute}.Do(ctx, s.env.HTTP)
	if err != nil {
		return "", unseen(err)
	}
	if !answer.OK() {
		if answer.Status == http.StatusRequestEntityTooLarge {
			return "", channel.TooBig(size - 1)
		}
		return "", unseen(channel.Uncertainly(fmt.Errorf("upload answered %d", answer.Status)))
	}
	share := map[string]any{"files": []any{map[string]string{"id": ticket.ID, "title": name}}}
	if strings.HasPrefix(s.to, "D") {
		share["channel_id"] = s.to
	} else {
		share["channels"] = s.to // "channel IDs or user IDs"
	}
	if thread := threadOf(p.ReplyTo); thread != "" {
		share["thread_ts"] = thread
	}
	err = s.call(ctx, "files.completeUploadExternal", share, nil)
	var failure *channel.SendError
	if share["thread_ts"] != nil && errors.As(err, &failure) && threadless[failure.Code] {
		delete(share, "thread_ts")
		err = s.call(ctx, "files.completeUploadExternal", share, nil)
	}
	if err != nil {
		return "", err
	}
	// The answer does not name the message in which the file is shared, so the file stands for it.
	return "file:" + ticket.ID, nil
}

// unseen makes a failure before anything could be seen one that may be tried again.
func unseen(err error) error {
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Class == channel.Unknown {
		e := *failure
		e.Class, e.Reason = channel.Temporary, channel.Text{
			DE: "Slack nahm die Datei nicht an; es wird erneut versucht.", EN: "Slack did not take the file; it is tried again."}
		return &e
	}
	return err
}

// measure counts a file's bytes.
func measure(f *channel.File) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}

// api is the Web API with an account's token.
type api struct {
	base, token string
	env         channel.Env
}

func newAPI(a channel.Account, env channel.Env) api {
	return api{base: strings.TrimRight(a.Settings.Or("api_url", defaultURL), "/"), token: a.Settings["bot_token"], env: env}
}

// call posts JSON to a method and reads the answer into result, which may be nil.
func (s api) call(ctx context.Context, method string, v, result any) error {
	c := channel.JSON(s.base+"/"+method, v)
	c.Type = "application/json; charset=utf-8"
	_, err := s.do(ctx, c, method, result)
	return err
}

// form posts a form, for methods that take no JSON.
func (s api) form(ctx context.Context, method string, v url.Values, result any) error {
	_, err := s.do(ctx, channel.Call{URL: s.base + "/" + method, Type: "application/x-www-form-urlencoded", Body: []byte(v.Encode())}, method, result)
	return err
}

func (s api) do(ctx context.Context, c channel.Call, method string, result any) (channel.Answer, error) {
	answer, err := c.Bearer(s.token).Do(ctx, s.env.HTTP)
	if err != nil {
		return answer, err
	}
	var said struct {
		OK       *bool  `json:"ok"`
		Error    string `json:"error"`
		Needed   string `json:"needed"`
		Metadata struct {
			Messages []string `json:"messages"`
		} `json:"response_metadata"`
	}
	readable := json.Unmarshal(answer.Body, &said) == nil && said.OK != nil
	switch {
	case answer.Status == http.StatusTooManyRequests:
		return answer, limited(answer, "ratelimited")
	case answer.Status >= 500 && !readable:
		return answer, channel.Uncertainly(fmt.Errorf("%s answered %d", method, answer.Status))
	case !readable && answer.OK():
		return answer, channel.Uncertainly(fmt.Errorf("%s gave an answer that cannot be read", method))
	case !readable:
		return answer, &channel.SendError{Class: channel.Misconfig, Code: strconv.Itoa(answer.Status), Err: fmt.Errorf("%s answered %d", method, answer.Status),
			Reason: channel.Text{DE: "Unter api_url antwortet nicht die Web-API von Slack.", EN: "It is not Slack's Web API that answers at api_url."}}
	case !*said.OK:
		return answer, refused(answer, method, said.Error, said.Needed, said.Metadata.Messages)
	}
	if result != nil {
		if err := json.Unmarshal(answer.Body, result); err != nil {
			return answer, channel.Uncertainly(fmt.Errorf("%s gave an answer that cannot be read: %w", method, err))
		}
	}
	return answer, nil
}

// limited is a refusal for speed ("Rate limits").
func limited(answer channel.Answer, code string) *channel.SendError {
	return &channel.SendError{Class: channel.RateLimited, Code: code, RetryAfter: max(answer.RetryAfter(), time.Second), Err: errors.New("rate limited"),
		Reason: channel.Text{DE: "Slack bittet um eine Pause; es wird erneut versucht.", EN: "Slack asks for a pause; it is tried again."}}
}

// refused says what may be done about "ok": false. The codes are those that the methods' pages list under "Errors".
func refused(answer channel.Answer, method, code, needed string, details []string) *channel.SendError {
	text := code
	if needed != "" {
		text += " (" + needed + ")"
	}
	if len(details) > 0 {
		text += ": " + strings.Join(details, "; ")
	}
	e := &channel.SendError{Code: code, Err: fmt.Errorf("%s: %s", method, text)}
	set := func(class channel.Class, de, en string) *channel.SendError {
		e.Class, e.Reason = class, channel.Text{DE: de, EN: en}
		return e
	}
	switch code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		return limited(answer, code)
	case "channel_not_found", "user_not_found", "users_not_found", "user_not_visible", "invalid_channel", "not_in_channel", "invalid_user_combination":
		return set(channel.NotHere, "Dieses Mitglied gibt es in dem Workspace nicht, oder die App darf ihm nicht schreiben.",
			"There is no such member in the workspace, or the app may not write to it.")
	case "user_disabled", "is_archived":
		return set(channel.Blocked, "Das Mitglied wurde deaktiviert.", "The member was deactivated.")
	case "cannot_dm_bot":
		return set(channel.Permanent, "Der Empfänger ist selbst ein Bot.", "The recipient is a bot itself.")
	case "not_authed", "invalid_auth", "token_revoked", "token_expired", "account_inactive", "not_allowed_token_type", "team_access_not_granted", "two_factor_setup_required":
		return set(channel.Misconfig, "Das Bot-Token gilt nicht (mehr): Installieren Sie die App neu und tragen Sie das neue Token ein.",
			"The bot token is not valid (any more): install the app again and enter the new token.")
	case "missing_scope", "no_permission", "access_denied":
		return set(channel.Misconfig, "Der App fehlt eine Berechtigung: "+text+". Fügen Sie sie unter „OAuth & Permissions“ hinzu und installieren Sie die App neu.",
			"The app lacks a permission: "+text+". Add it under “OAuth & Permissions” and install the app again.")
	case "messages_tab_disabled":
		return set(channel.Misconfig, "Der Nachrichten-Tab der App ist aus: Schalten Sie ihn unter „App Home“ ein.", "The app's messages tab is off: switch it on under “App Home”.")
	case "restricted_action", "ekm_access_denied", "enterprise_is_restricted", "accesslimited", "file_uploads_disabled", "file_uploads_except_images_disabled", "storage_limit_reached":
		return set(channel.Misconfig, "Der Workspace verbietet das: "+text+". Ein Administrator von Slack kann es erlauben.",
			"The workspace forbids this: "+text+". An administrator of Slack can allow it.")
	case "service_unavailable", "request_timeout", "org_login_required", "team_added_to_org", "external_channel_migrating":
		return set(channel.Temporary, "Slack ist gerade nicht verfügbar; es wird erneut versucht.", "Slack is not available now; it is tried again.")
	case "fatal_error", "internal_error": // "some aspect of the operation may have succeeded"
		unknown := channel.Uncertainly(e.Err)
		unknown.Code = code
		return unknown
	case "msg_too_long", "file_upload_size_restricted", "file_too_large":
		return set(channel.Permanent, "Die Nachricht oder die Datei ist für Slack zu groß.", "The message or the file is too large for Slack.")
	}
	if answer.Status >= 500 {
		return channel.Uncertainly(e.Err)
	}
	return set(channel.Permanent, "Slack nimmt die Nachricht nicht an: "+text, "Slack does not accept the message: "+text)
}

// FetchMedia implements channel.Fetcher: files.info says where the file lies, and the token opens it.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	s := newAPI(a, env)
	var info struct {
		File struct {
			Type     string      `json:"mimetype"`
			URL      string      `json:"url_private"`
			Download string      `json:"url_private_download"`
			Size     json.Number `json:"size"`
		} `json:"file"`
	}
	if !idForm.MatchString(remote) {
		return nil, &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("%q is no id of a file", remote), Reason: gone}
	}
	if err := s.form(ctx, "files.info", url.Values{"file": {remote}}, &info); err != nil {
		var failure *channel.SendError
		if errors.As(err, &failure) {
			e := *failure
			switch {
			case e.Class == channel.Unknown:
				e.Class = channel.Temporary // asking twice harms nobody
			case e.Class == channel.Permanent, e.Class == channel.NotHere:
				e.Class, e.Reason = channel.Permanent, gone // file_not_found, file_deleted
			}
			return nil, &e
		}
		return nil, err
	}
	if size, err := info.File.Size.Int64(); err == nil && size > downloadMax {
		return nil, channel.TooBig(downloadMax)
	}
	from := info.File.Download
	if from == "" {
		from = info.File.URL
	}
	if !s.trusts(from) {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("the file does not lie at Slack"), Reason: channel.Text{
			DE: "Die Datei liegt nicht bei Slack und kann nicht geholt werden.", EN: "The file does not lie at Slack and cannot be fetched."}}
	}
	r, err := channel.Call{URL: from}.Bearer(s.token).Media(ctx, env.HTTP, downloadMax)
	if err != nil {
		return nil, err
	}
	// Without the right to read files Slack answers 200 with its sign-in page.
	b := bufio.NewReaderSize(r, 512)
	head, _ := b.Peek(256)
	if !strings.HasPrefix(info.File.Type, "text/") && bytes.Contains(bytes.ToLower(head), []byte("<!doctype html")) {
		r.Close()
		return nil, &channel.SendError{Class: channel.Misconfig, Code: "missing_scope", Err: errors.New("sign-in page instead of the file"), Reason: channel.Text{
			DE: "Slack gibt die Datei nicht heraus: Der App fehlt die Berechtigung files:read.", EN: "Slack does not hand out the file: the app lacks the scope files:read."}}
	}
	return struct {
		io.Reader
		io.Closer
	}{b, r}, nil
}

var gone = channel.Text{DE: "Die Datei gibt es bei Slack nicht mehr.", EN: "The file does not exist at Slack any more."}

// trusts reports whether the token may be shown to the host of a file: Slack's own, or the one that stands in for it.
func (s api) trusts(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	if base, err := url.Parse(s.base); err == nil && base.Host == u.Host && base.Scheme == u.Scheme {
		return true
	}
	return u.Scheme == "https" && (u.Host == "files.slack.com" || u.Host == "files.slack-gov.com")
}

// needed are the scopes without which nothing works.
var needed = []string{"chat:write", "im:history"}

// Probe implements channel.Prober: auth.test.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	s := newAPI(a, env)
	var who struct {
		Team string `json:"team_id"`
		Bot  string `json:"bot_id"`
	}
	answer, err := s.do(ctx, channel.Call{URL: s.base + "/auth.test", Type: "application/x-www-form-urlencoded", Body: []byte{}}, "auth.test", &who)
	var failure *channel.SendError
	switch {
	case errors.As(err, &failure) && failure.Class == channel.Misconfig:
		return &channel.Trouble{Reason: failure.Reason, Err: err, Remedy: channel.Text{
			DE: "Unter api.slack.com/apps die App öffnen, „OAuth & Permissions“, neu installieren und das Bot-Token (xoxb-…) eintragen.",
			EN: "Open the app at api.slack.com/apps, “OAuth & Permissions”, install it again and enter the bot token (xoxb-…)."}}
	case err != nil:
		return err
	}
	if team := a.Settings["team_id"]; team != "" && who.Team != "" && team != who.Team {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Das Bot-Token gehört zum Workspace " + who.Team + ", nicht zu " + team + ".", EN: "The bot token is of the workspace " + who.Team + ", not of " + team + "."},
			Remedy: channel.Text{DE: "team_id berichtigen oder das Token des anderen Workspace eintragen.", EN: "Correct team_id or enter the other workspace's token."}}
	}
	if granted := answer.Header.Get("X-OAuth-Scopes"); granted != "" {
		for _, scope := range needed {
			if !strings.Contains(","+strings.ReplaceAll(granted, " ", "")+",", ","+scope+",") {
				return &channel.Trouble{
					Reason: channel.Text{DE: "Der App fehlt die Berechtigung " + scope + ".", EN: "The app lacks the scope " + scope + "."},
					Remedy: channel.Text{DE: "Unter „OAuth & Permissions“ hinzufügen und die App neu installieren.", EN: "Add it under “OAuth & Permissions” and install the app again."}}
			}
		}
	}
	return nil
}
