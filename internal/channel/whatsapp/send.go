package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

const uploadTimeout = 5 * time.Minute

// graph is the account's access to the Graph API.
type graph struct {
	base, token, phoneID string
	env                  channel.Env
}

func newGraph(a channel.Account, env channel.Env) graph {
	base := strings.TrimRight(a.Settings.Or("api_url", defaultURL), "/")
	if !versionForm.MatchString(path.Base(base)) {
		base += "/" + apiVersion
	}
	return graph{base: base, token: a.Settings["access_token"], phoneID: a.Settings["phone_number_id"], env: env}
}

// do makes a call and reads the answer into v. Its error is a *channel.SendError.
func (g graph) do(ctx context.Context, call channel.Call, what string, v any) error {
	answer, err := call.Bearer(g.token).Do(ctx, g.env.HTTP)
	if err != nil {
		return err
	}
	var body struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return channel.Unexpected(answer, what)
	}
	if body.Error != nil || !answer.OK() {
		return g.failed(answer, body.Error, what)
	}
	if err := json.Unmarshal(answer.Body, v); err != nil {
		return channel.Uncertainly(fmt.Errorf("%s: read the answer: %w", what, err))
	}
	return nil
}

func (g graph) get(ctx context.Context, path string, query url.Values, what string, v any) error {
	u := g.base + "/" + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return g.do(ctx, channel.Call{Method: http.MethodGet, URL: u, Max: 8 << 20}, what, v)
}

// Send implements channel.Sender. A text longer than a message becomes several; files follow one by one. The delivery's id
// travels as biz_opaque_callback_data and comes back with every status, which resolves a send that nobody answered.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	to, err := recipient(out.To.Value)
	if err != nil {
		return channel.Receipt{}, err
	}
	g := newGraph(a, env)
	if out.Template != nil {
		m, err := template(out)
		if err != nil {
			return channel.Receipt{}, err
		}
		id, err := g.send(ctx, to, m, out.DeliveryID)
		if err != nil {
			return channel.Receipt{}, err
		}
		return channel.Receipt{ExternalID: id, State: channel.Sent}, nil
	}
	parts, err := render(d.Capabilities(), out)
	if err != nil {
		return channel.Receipt{}, err
	}
	done := 0
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		m, err := g.part(ctx, p)
		if err != nil {
			return "", err
		}
		id, err := g.send(ctx, to, m, callback(out.DeliveryID, done+1, len(parts)))
		if err == nil {
			done++
		}
		return id, err
	})
}

// outbound is the body of a message ("Messages API").
type outbound struct {
	Product       string       `json:"messaging_product"`
	RecipientType string       `json:"recipient_type"`
	To            string       `json:"to,omitempty"`
	Recipient     string       `json:"recipient,omitempty"`
	Callback      string       `json:"biz_opaque_callback_data,omitempty"`
	Context       *replyTo     `json:"context,omitempty"`
	Type          string       `json:"type"`
	Text          *text        `json:"text,omitempty"`
	Image         *mediaObject `json:"image,omitempty"`
	Video         *mediaObject `json:"video,omitempty"`
	Audio         *mediaObject `json:"audio,omitempty"`
	Document      *mediaObject `json:"document,omitempty"`
	Interactive   *interactive `json:"interactive,omitempty"`
	Template      *useTemplate `json:"template,omitempty"`
}

type replyTo struct {
	MessageID string `json:"message_id"`
}

type text struct {
	Body       string `json:"body"`
	PreviewURL bool   `json:"preview_url"`
}

type mediaObject struct {
	ID       string `json:"id"`
	Caption  string `json:"caption,omitempty"`
	FileName string `json:"filename,omitempty"`
}

type interactive struct {
	Type string `json:"type"`
	Body struct {
		Text string `json:"text"`
	} `json:"body"`
	Action struct {
		Button   string    `json:"button,omitempty"`
		Buttons  []button  `json:"buttons,omitempty"`
		Sections []section `json:"sections,omitempty"`
	} `json:"action"`
}

type button struct {
	Type  string `json:"type"`
	Reply reply  `json:"reply"`
}

type section struct {
	Rows []row `json:"rows"`
}

type row struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

type useTemplate struct {
	Name     string `json:"name"`
	Language struct {
		Code string `json:"code"`
	} `json:"language"`
	Components []component `json:"components,omitempty"`
}

type component struct {
	Type       string      `json:"type"`
	SubType    string      `json:"sub_type,omitempty"`
	Index      string      `json:"index,omitempty"`
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Type    string `json:"type"`
	Text    string `json:"text,omitempty"`
	Payload string `json:"payload,omitempty"`
}

// recipient is who an address names: a number goes into to, a business-scoped user id into recipient ("Business-scoped user
// IDs", "Messages API"). An id in to would be accepted and never arrive.
func recipient(address string) (outbound, error) {
	o := outbound{Product: "whatsapp", RecipientType: "individual"}
	switch number := plus(address); {
	case phoneForm.MatchString(number):
		o.To = number
	case userForm.MatchString(address):
		o.Recipient = address
	default:
		return o, &channel.SendError{Class: channel.NotHere, Err: errors.New("the address is neither a number in E.164 nor a business-scoped user id"), Reason: channel.Text{
			DE: "Das ist keine WhatsApp-Adresse: Es braucht eine Telefonnummer mit Landesvorwahl, etwa +4915112345678.",
			EN: "This is no WhatsApp address: a telephone number with country code is needed, such as +4915112345678."}}
	}
	return o, nil
}

// callback is what travels with a message and comes back with its statuses: the delivery's id, and which part of several it
// is. deliveryOf reads it.
func callback(delivery string, part, of int) string {
	if of < 2 || delivery == "" {
		return delivery
	}
	return fmt.Sprintf("%s %d/%d", delivery, part, of)
}

// deliveryOf is the delivery that a status speaks for: the last part's for the whole of it, since parts go out in order and
// only after the one before was accepted; a failure of any part.
func deliveryOf(callback string, state channel.State) string {
	delivery, part, several := strings.Cut(callback, " ")
	if !several {
		return delivery
	}
	n, of, _ := strings.Cut(part, "/")
	if n == of || state == channel.Failed {
		return delivery
	}
	return ""
}

// render says what is sent, in order. It is pure.
func render(caps channel.Capabilities, out channel.Outgoing) ([]channel.Part, error) {
	if len(out.Choices) == 0 {
		out.Menu = ""
	}
	if out.Menu != "" {
		if channel.Length(out.Menu, channel.CodePoints) > menuMax {
			return nil, refused(fmt.Errorf("list button %q: at most %d characters", out.Menu, menuMax),
				"Die Schaltfläche der Liste hat mehr als 20 Zeichen.", "The list's button has more than 20 characters.")
		}
		for _, c := range out.Choices {
			if len(c.Data) > rowIDMax {
				return nil, refused(fmt.Errorf("row %q: at most %d bytes of data", c.Label, rowIDMax),
					"Eine Zeile der Liste ist zu lang.", "A row of the list is too long.")
			}
		}
	}
	parts, err := caps.Parts(out)
	if err != nil {
		return nil, err
	}
	var list []channel.Part
	for _, p := range parts {
		if p.File != nil {
			kind, _, limit := mediaKind(*p.File)
			if kind == "" {
				return nil, refused(fmt.Errorf("media type %q cannot be uploaded", p.File.MediaType),
					fmt.Sprintf("WhatsApp nimmt die Datei %s nicht an: Es gehen Bilder (JPEG, PNG, WebP), Ton, Video (MP4), PDF, Office- und Textdateien.", channel.CleanName(p.File.Name)),
					fmt.Sprintf("WhatsApp does not accept the file %s: images (JPEG, PNG, WebP), audio, video (MP4), PDF, office and text files work.", channel.CleanName(p.File.Name)))
			}
			if p.File.Size > limit {
				return nil, refused(fmt.Errorf("%s of %d bytes, at most %d", kind, p.File.Size, limit),
					fmt.Sprintf("Die Datei %s ist größer als %d MB, so viel nimmt WhatsApp bei dieser Art nicht an.", channel.CleanName(p.File.Name), limit>>20),
					fmt.Sprintf("The file %s is larger than %d MB, which WhatsApp does not accept for this type.", channel.CleanName(p.File.Name), limit>>20))
			}
			if kind == "audio" && p.Text != "" { // "Audio messages": no caption
				list = append(list, channel.Part{Text: p.Text, ReplyTo: p.ReplyTo})
				p.Text, p.ReplyTo = "", ""
			}
		}
		list = append(list, p)
	}
	return list, nil
}

func refused(err error, de, en string) *channel.SendError {
	return &channel.SendError{Class: channel.Permanent, Err: err, Reason: channel.Text{DE: de, EN: en}}
}

// mediaKind says as what a file is sent, under which media type it is uploaded and how large it may be ("Media", supported
// media types). "" means that the API refuses its type.
func mediaKind(f channel.File) (kind, mediaType string, limit int64) {
	mediaType = channel.MediaType(f.MediaType)
	switch mediaType {
	case "image/jpeg", "image/png":
		return "image", mediaType, imageMax
	case "image/webp": // as a message of its own it would have to be a sticker
		return "document", mediaType, imageMax
	case "video/mp4", "video/3gpp":
		return "video", mediaType, streamMax
	case "audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg", "audio/opus":
		return "audio", mediaType, streamMax
	case "application/pdf", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
		"application/vnd.openxmlformats-officedocument.presentationml.presentation":
		return "document", mediaType, documentMax
	}
	if strings.HasPrefix(mediaType, "text/") && mediaType != "text/html" { // calendars, tables: the name says what they are
		return "document", "text/plain", documentMax
	}
	return "", mediaType, 0
}

// part makes the message of a part; a file is uploaded first.
func (g graph) part(ctx context.Context, p channel.Part) (outbound, error) {
	var o outbound
	if p.ReplyTo != "" {
		o.Context = &replyTo{p.ReplyTo}
	}
	switch {
	case p.File != nil:
		kind, mediaType, _ := mediaKind(*p.File)
		id, err := g.upload(ctx, *p.File, mediaType)
		if err != nil {
			return o, err
		}
		object := &mediaObject{ID: id, Caption: p.Text}
		o.Type = kind
		switch kind {
		case "image":
			o.Image = object
		case "video":
			o.Video = object
		case "audio":
			o.Audio = object
		default:
			object.FileName = channel.FileName(p.File.Name)
			o.Document = object
		}
	case len(p.Choices) > 0:
		in := &interactive{Type: "button"}
		in.Body.Text = p.Text
		if p.Menu != "" {
			in.Type = "list"
			in.Action.Button = p.Menu
			var rows []row
			for _, c := range p.Choices {
				r := row{ID: c.Data, Title: c.Label}
				if d := channel.Split(c.Description, rowTextMax, channel.CodePoints); len(d) > 0 {
					r.Description = d[0]
				}
				rows = append(rows, r)
			}
			in.Action.Sections = []section{{Rows: rows}}
		} else {
			for _, c := range p.Choices {
				in.Action.Buttons = append(in.Action.Buttons, button{Type: "reply", Reply: reply{ID: c.Data, Title: c.Label}})
			}
		}
		o.Type, o.Interactive = "interactive", in
	default:
		// For a preview the page is opened by WhatsApp; our links are personal and some are good for one answer.
		o.Type, o.Text = "text", &text{Body: p.Text}
	}
	return o, nil
}

// template makes a template message ("Send template messages"). Positional parameters of the body and payloads of quick
// replies, whose index counts all buttons: Templates offers no template where quick replies are not the first ones.
func template(out channel.Outgoing) (outbound, error) {
	var o outbound
	if len(out.Attachments) > 0 {
		return o, refused(errors.New("a template with attachments"), "Eine Vorlage kann keine Dateien mitnehmen.", "A template cannot carry files.")
	}
	use := &useTemplate{Name: out.Template.Name}
	use.Language.Code = strings.ReplaceAll(out.Template.Language, "-", "_")
	if len(out.Template.Params) > 0 {
		body := component{Type: "body"}
		for i, p := range out.Template.Params {
			// 132018, 131009: no line breaks, tabs or more than four spaces in a row.
			if p = strings.Join(strings.Fields(p), " "); p == "" {
				return o, refused(fmt.Errorf("parameter %d of template %s is empty", i+1, use.Name),
					fmt.Sprintf("Die Angabe %d der Vorlage ist leer.", i+1), fmt.Sprintf("Value %d of the template is empty.", i+1))
			}
			body.Parameters = append(body.Parameters, parameter{Type: "text", Text: p})
		}
		use.Components = append(use.Components, body)
	}
	for i, payload := range out.Template.Buttons {
		if payload != "" {
			use.Components = append(use.Components, component{Type: "button", SubType: "quick_reply", Index: fmt.Sprint(i),
				Parameters: []parameter{{Type: "payload", Payload: payload}}})
		}
	}
	o.Type, o.Template = "template", use
	return o, nil
}

// send posts a message and gives its id.
func (g graph) send(ctx context.Context, to, m outbound, callback string) (string, error) {
	m.Product, m.RecipientType, m.To, m.Recipient, m.Callback = to.Product, to.RecipientType, to.To, to.Recipient, callback
	var sent struct {
		Messages []struct {
			ID string `json:"id"` // nothing else: what was accepted must not fail over a field that we do not need
		} `json:"messages"`
	}
	if err := g.do(ctx, channel.JSON(g.base+"/"+g.phoneID+"/messages", m), "send message", &sent); err != nil {
		return "", err
	}
	if len(sent.Messages) == 0 || sent.Messages[0].ID == "" {
		return "", channel.Uncertainly(errors.New("send message: accepted without an id"))
	}
	return sent.Messages[0].ID, nil
}

// upload stores a file at Meta ("Media", upload media) and gives its id, which is good for 30 days. It never leaves a
// message uncertain: a file that was stored twice harms nobody.
func (g graph) upload(ctx context.Context, f channel.File, mediaType string) (string, error) {
	f.MediaType = mediaType
	fields := []channel.Field{{Name: "messaging_product", Value: "whatsapp"}, {Name: "type", Value: mediaType}}
	call := channel.Call{URL: g.base + "/" + g.phoneID + "/media", Timeout: uploadTimeout}.Multipart(fields, "file", f)
	var stored struct {
		ID string `json:"id"`
	}
	err := g.do(ctx, call, "upload file", &stored)
	if err == nil && stored.ID == "" {
		err = channel.Uncertainly(errors.New("upload file: accepted without an id"))
	}
	return stored.ID, harmless(err)
}

// harmless makes an uncertain call, which may be made again, a temporary failure.
func harmless(err error) error {
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Class == channel.Unknown {
		failure.Class = channel.Temporary
		failure.Reason = channel.Text{DE: "WhatsApp hat nicht geantwortet; es wird erneut versucht.", EN: "WhatsApp did not answer; it is tried again."}
	}
	return err
}

var mediaIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// FetchMedia implements channel.Fetcher ("Media", get media URL and download media): the URL is good for five minutes and
// wants the token, which goes to Meta's hosts alone.
func (Driver) FetchMedia(ctx context.Context, a channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	gone := func(err error) error {
		return refused(err, "Die Datei gibt es bei WhatsApp nicht mehr.", "The file does not exist at WhatsApp any more.")
	}
	if !mediaIDForm.MatchString(remote) {
		return nil, gone(errors.New("this is no media id"))
	}
	g := newGraph(a, env)
	var m struct {
		URL  string      `json:"url"`
		Size json.Number `json:"file_size"`
	}
	if err := harmless(g.get(ctx, remote, url.Values{"phone_number_id": {g.phoneID}}, "get media URL", &m)); err != nil {
		var failure *channel.SendError
		// 100/33: an object that does not exist. Here it is the file, not the number.
		if errors.As(err, &failure) && (failure.Code == "100" || failure.Code == "33" || failure.Code == "131052") {
			return nil, gone(failure.Err)
		}
		return nil, err
	}
	if n, err := m.Size.Int64(); err == nil && n > documentMax {
		return nil, channel.TooBig(documentMax)
	}
	if !g.trusted(m.URL) {
		return nil, refused(errors.New("the file lies at a host that is not Meta's"),
			"WhatsApp nennt für die Datei einen fremden Server; sie wird nicht geholt.", "WhatsApp names a foreign server for the file; it is not fetched.")
	}
	return channel.Call{URL: m.URL}.Bearer(g.token).Media(ctx, env.HTTP, documentMax)
}

// trusted reports whether the token may go to a media URL: lookaside.fbsbx.com and *.whatsapp.net over https ("Media",
// download media), or the very server that api_url names.
func (g graph) trusted(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	if own, err := url.Parse(g.base); err == nil && u.Scheme == own.Scheme && strings.EqualFold(u.Host, own.Host) {
		return true
	}
	host := strings.ToLower(u.Hostname())
	return u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") && (host == "lookaside.fbsbx.com" || strings.HasSuffix(host, ".whatsapp.net"))
}

// Probe implements channel.Prober: it asks for the number ("Phone numbers") and keeps how customers see it.
func (Driver) Probe(ctx context.Context, a channel.Account, env channel.Env) error {
	g := newGraph(a, env)
	var n struct {
		Name    string `json:"verified_name"`
		Display string `json:"display_phone_number"`
		Quality string `json:"quality_rating"`
	}
	if err := g.get(ctx, g.phoneID, url.Values{"fields": {"verified_name,display_phone_number,quality_rating"}}, "get number", &n); err != nil {
		return trouble(err)
	}
	if n.Display == "" {
		return &channel.Trouble{
			Reason: channel.Text{DE: "Die phone_number_id gehört zu keiner Telefonnummer.", EN: "The phone_number_id belongs to no telephone number."},
			Remedy: channel.Text{DE: "Tragen Sie die Phone number ID aus WhatsApp → API Setup ein.", EN: "Enter the Phone number ID from WhatsApp → API Setup."},
		}
	}
	if a.Settings["display_phone_number"] == "" && env.SaveSetting != nil && waForm.MatchString(digits(n.Display)) {
		if err := env.SaveSetting(ctx, "display_phone_number", n.Display, func(stored string) bool { return stored == "" }); err != nil {
			return fmt.Errorf("keep the number that customers see: %w", err)
		}
	}
	if n.Quality == "RED" && env.Log != nil {
		env.Log.Warn("the number's quality is low: customers block or report it", "channel", a.ID)
	}
	return nil
}

// trouble says what a person can do about a failed call.
func trouble(err error) error {
	var failure *channel.SendError
	if !errors.As(err, &failure) || failure.Class != channel.Misconfig {
		return err
	}
	return &channel.Trouble{Reason: failure.Reason, Err: err, Remedy: channel.Text{
		DE: "Prüfen Sie access_token und phone_number_id sowie die Hinweise im WhatsApp Manager.",
		EN: "Check access_token and phone_number_id and the notices in the WhatsApp Manager.",
	}}
}
