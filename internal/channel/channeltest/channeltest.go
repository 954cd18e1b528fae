// Package channeltest is the suite that every driver of package channel has to pass. It is in charge of what all media
// have in common: settings that people understand, signatures that nobody gets around, parsing that is pure and loses
// nothing, and sending that never says "not accepted" when it cannot know.
//
// A driver's test fills a Suite and calls Run. What a medium does not have (e-mail has no webhook) stays empty.
package channeltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// Suite describes a driver to Run.
type Suite struct {
	Driver channel.Driver
	// Account has every required setting and passes Check.
	Account channel.Account
	// BadSettings are settings that Check has to reject, beside the lack of each required one. The key says why.
	BadSettings map[string]channel.Settings

	// Webhook is for drivers with a webhook; nil leaves these tests out.
	Webhook *Webhook

	// Parse turns what came over the wire into events. nil means the webhook's Parse of a request signed by
	// Webhook.Sign. It has to be pure.
	Parse func(raw []byte) ([]channel.Event, error)
	// Samples is a glob of files in the provider's documented form, such as "testdata/*.json". What Parse makes of
	// FILE is compared with FILE.golden, which -update writes.
	Samples string
	// Batch is raw input of which exactly one event cannot be understood, and BatchKeys are the keys of the others;
	// nil for media that deliver events one by one.
	Batch     []byte
	BatchKeys []string
	// WithID makes raw input of one message whose ids are the given number of 64 bits; nil if ids are not numbers.
	WithID func(number string) []byte
	// WithName makes raw input of one message whose sender has the given display name; nil if there are none.
	WithName func(name string) []byte

	// Sends are ways in which a send can end; see HTTP for the usual ones.
	Sends []Send
	// HTTP makes the usual ones for a provider with an HTTP API; nil for other media.
	HTTP *HTTP
}

// Webhook is what a driver's webhook is tried with.
type Webhook struct {
	// Sign makes the request that the provider would send with this body, signed with the (first) secret of the account.
	Sign func(a channel.Account, body []byte, now time.Time) *channel.Request
	// Body is a valid body.
	Body []byte
	// Headers are those that carry the signature: each one missing, changed by one bit or twice must be refused.
	Headers []string
	// SignsBody tells that the signature covers the body: one changed byte or re-serialised JSON must be refused.
	SignsBody bool
	// MaxAge is how old a signature may be, 0 if the scheme has no timestamp.
	MaxAge time.Duration
	// Rotating has the new and the old secret, Rotated only the new one; Suite.Account has the old one.
	Rotating, Rotated channel.Account
	// Other is an account of somebody else.
	Other channel.Account
}

// Send is one way in which a send can end.
type Send struct {
	Name  string
	Setup func(t *testing.T) (channel.Account, channel.Env) // the provider's stand-in
	// Context is the context of the call; nil means the test's.
	Context func(t *testing.T) context.Context
	Out     channel.Outgoing
	Want    channel.Class // "" = accepted
	// Check looks closer; may be nil.
	Check func(t *testing.T, r channel.Receipt, err *channel.SendError)
}

// HTTP describes a provider with an HTTP API, whose base URL is the setting "api_url".
type HTTP struct {
	Out channel.Outgoing // a short text
	// Accept answers as the provider does when it accepts.
	Accept http.HandlerFunc
	// RateLimited answers as the provider does when one is too fast; nil leaves it out.
	RateLimited http.HandlerFunc
	// ServerError is the class of a 5xx: Unknown ("" too), or Temporary where the provider documents that it means not
	// accepted or has an idempotency key.
	ServerError channel.Class
	// Refusals are the provider's answers that say why not.
	Refusals map[string]Refusal
	// Text takes the text out of a request; "" if it has none.
	Text func(r *http.Request, body []byte) string
	// Texts is Text for a provider that takes several messages in one request.
	Texts func(r *http.Request, body []byte) []string
}

// Refusal is an answer of a provider and what it means.
type Refusal struct {
	Answer http.HandlerFunc
	Want   channel.Class
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Run("settings", s.settings)
	t.Run("capabilities", s.capabilities)
	if s.Webhook != nil {
		t.Run("verify", s.verify)
	}
	t.Run("samples", s.samples)
	if s.Batch != nil {
		t.Run("batch", s.batch)
	}
	if s.WithID != nil {
		t.Run("long ids", s.longIDs)
	}
	if s.WithName != nil {
		t.Run("hostile names", s.hostileNames)
	}
	if s.HTTP != nil {
		s.Sends = append(s.Sends, s.httpSends(t)...)
	}
	for _, send := range s.Sends {
		t.Run("send "+send.Name, func(t *testing.T) { s.send(t, send) })
	}
	if s.HTTP != nil && (s.HTTP.Text != nil || s.HTTP.Texts != nil) && s.Driver.Capabilities().TextMax > 0 {
		t.Run("send split", s.split)
	}
}

// Env is an Env whose network is the machine's own, with a silent log.
func Env() channel.Env {
	return channel.Env{
		HTTP: &http.Client{Transport: &http.Transport{}},
		Now:  time.Now,
		Log:  slog.New(slog.DiscardHandler),
	}
}

func (s Suite) settings(t *testing.T) {
	d := s.Driver
	if !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(string(d.Kind())) {
		t.Errorf("kind %q does not fit into a URL", d.Kind())
	}
	both := func(what string, text channel.Text) {
		if strings.TrimSpace(text.DE) == "" || strings.TrimSpace(text.EN) == "" {
			t.Errorf("%s lacks a language: %+v", what, text)
		}
	}
	both("title", d.Title())
	seen := map[string]bool{}
	for _, setting := range d.Settings() {
		if seen[setting.Key] {
			t.Errorf("setting %s is described twice", setting.Key)
		}
		seen[setting.Key] = true
		both("help of "+setting.Key, setting.Help)
		if setting.Key != strings.ToLower(setting.Key) || setting.Key == "" {
			t.Errorf("setting %q is not in lower case", setting.Key)
		}
		if setting.Required && setting.Default != "" {
			t.Errorf("setting %s is required and has a default", setting.Key)
		}
		if secret := regexp.MustCompile(`token|secret|password|_key$`); secret.MatchString(setting.Key) && !setting.Secret {
			t.Errorf("setting %s looks like a secret and is not marked as one", setting.Key)
		}
		if len(setting.Values) > 0 {
			for _, v := range setting.Values {
				if err := d.Check(s.with(setting.Key, v)); err != nil {
					t.Errorf("%s=%s is offered and refused: %v", setting.Key, v, err)
				}
			}
			if err := d.Check(s.with(setting.Key, "no-such-value")); err == nil {
				t.Errorf("%s takes a value that is not in its list", setting.Key)
			}
			if setting.Default != "" && !contains(setting.Values, setting.Default) {
				t.Errorf("default %s of %s is not in its list", setting.Default, setting.Key)
			}
		}
		if setting.Required {
			if err := d.Check(s.with(setting.Key, "")); err == nil {
				t.Errorf("Check passes without the required %s", setting.Key)
			} else if !strings.Contains(err.Error(), setting.Key) {
				t.Errorf("the error about %s does not name it: %v", setting.Key, err)
			}
		}
	}
	for key := range s.Account.Settings {
		if !seen[key] {
			t.Errorf("setting %s of the sample account is not described", key)
		}
	}
	if err := d.Check(s.Account.Settings); err != nil {
		t.Errorf("the sample account is refused: %v", err)
	}
	if s.Account.Kind != d.Kind() {
		t.Errorf("the sample account is of kind %q", s.Account.Kind)
	}
	for why, bad := range s.BadSettings {
		if d.Check(bad) == nil {
			t.Errorf("Check passes: %s", why)
		}
	}
}

func contains(list []string, v string) bool {
	for _, l := range list {
		if l == v {
			return true
		}
	}
	return false
}

// with is the sample account's settings with one of them changed.
func (s Suite) with(key, value string) channel.Settings {
	c := channel.Settings{}
	for k, v := range s.Account.Settings {
		c[k] = v
	}
	c[key] = value
	return c
}

func (s Suite) capabilities(t *testing.T) {
	c := s.Driver.Capabilities()
	if c.TextMax < 0 || c.CaptionMax < 0 || c.AttachmentMax < 0 || c.Buttons < 0 || c.Window < 0 {
		t.Errorf("negative limit: %+v", c)
	}
	switch c.TextUnit {
	case channel.CodePoints, channel.UTF16, channel.Bytes:
	case "":
		if c.TextMax > 0 || c.CaptionMax > 0 {
			t.Error("a limit of text without a unit")
		}
	default:
		t.Errorf("unknown unit %q", c.TextUnit)
	}
	if !c.Attachments && (c.AttachmentMax > 0 || c.CaptionMax > 0) {
		t.Error("limits of attachments without attachments")
	}
	if c.Buttons == 0 && (c.ButtonDataMax > 0 || c.ButtonTitleMax > 0) {
		t.Error("limits of buttons without buttons")
	}
	if c.Buttons > 0 && (c.ButtonDataMax == 0 || c.ButtonTitleMax == 0) {
		t.Error("buttons without limits")
	}
	if c.Read && !c.Delivered {
		t.Log("reports reading but not delivery")
	}
}

func (s Suite) verify(t *testing.T) {
	d, ok := s.Driver.(channel.Webhook)
	if !ok {
		t.Fatal("the driver has no webhook")
	}
	w := s.Webhook
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	signed := func(a channel.Account) *channel.Request {
		r := w.Sign(a, bytes.Clone(w.Body), now)
		if r.At.IsZero() {
			r.At = now
		}
		return r
	}
	accept := func(what string, a channel.Account, r *channel.Request, at time.Time) {
		t.Helper()
		if err := d.Verify(a, r, at); err != nil {
			t.Errorf("%s: refused: %v", what, err)
		}
	}
	refuse := func(what string, a channel.Account, r *channel.Request, at time.Time) {
		t.Helper()
		if err := d.Verify(a, r, at); !errors.Is(err, channel.ErrUnauthentic) {
			t.Errorf("%s: got %v, want ErrUnauthentic", what, err)
		}
	}
	accept("as signed", s.Account, signed(s.Account), now)
	accept("a second time", s.Account, signed(s.Account), now)
	for _, h := range w.Headers {
		value := signed(s.Account).Header.Get(h)
		if value == "" {
			t.Errorf("the signed request has no %s", h)
			continue
		}
		for i := range len(value) {
			r := signed(s.Account)
			b := []byte(value)
			b[i] ^= 1
			r.Header.Set(h, string(b))
			refuse(fmt.Sprintf("%s with byte %d off", h, i), s.Account, r, now)
		}
		for what, v := range map[string]string{"empty": "", "cut": value[:len(value)-1], "longer": value + "x", "a prefix of nothing": value[:1]} {
			r := signed(s.Account)
			r.Header.Set(h, v)
			refuse(h+" "+what, s.Account, r, now)
		}
		r := signed(s.Account)
		r.Header.Del(h)
		refuse("without "+h, s.Account, r, now)
	}
	r := signed(s.Account)
	r.Header = http.Header{}
	refuse("without any header", s.Account, r, now)
	if w.SignsBody {
		for _, i := range []int{0, len(w.Body) / 2, len(w.Body) - 1} {
			r := signed(s.Account)
			r.Body[i] ^= 1
			refuse(fmt.Sprintf("body with byte %d off", i), s.Account, r, now)
		}
		r := signed(s.Account)
		r.Body = append(r.Body, ' ')
		refuse("body with a space more", s.Account, r, now)
		r = signed(s.Account)
		r.Body = nil
		refuse("without body", s.Account, r, now)
	}
	if w.MaxAge > 0 {
		refuse("too old", s.Account, signed(s.Account), now.Add(w.MaxAge+time.Second))
		refuse("from the future", s.Account, signed(s.Account), now.Add(-w.MaxAge-time.Second))
		accept("just young enough", s.Account, signed(s.Account), now.Add(w.MaxAge-time.Second))
	}
	accept("rotating: the old secret", w.Rotating, signed(s.Account), now)
	accept("rotating: the new secret", w.Rotating, signed(w.Rotated), now)
	accept("rotated: the new secret", w.Rotated, signed(w.Rotated), now)
	refuse("rotated: the old secret", w.Rotated, signed(s.Account), now)
	refuse("another account's secret", s.Account, signed(w.Other), now)
	refuse("at another account", w.Other, signed(s.Account), now)
	refuse("at an account without settings", channel.Account{ID: s.Account.ID, Kind: s.Account.Kind}, signed(s.Account), now)
}

// parse parses, and fails the test if parsing is not pure.
func (s Suite) parse(t *testing.T, raw []byte) ([]channel.Event, channel.Reply, error) {
	t.Helper()
	once := func(raw []byte) ([]channel.Event, channel.Reply, error) {
		if s.Parse != nil {
			events, err := s.Parse(raw)
			return events, channel.Reply{}, err
		}
		r := s.Webhook.Sign(s.Account, raw, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
		header := r.Header.Clone()
		events, reply, err := s.Driver.(channel.Webhook).Parse(s.Account, r)
		if !reflect.DeepEqual(header, r.Header) {
			t.Error("Parse changed the headers")
		}
		return events, reply, err
	}
	given := bytes.Clone(raw)
	events, reply, err := once(given)
	again, replyAgain, errAgain := once(bytes.Clone(raw))
	if !bytes.Equal(given, raw) {
		t.Error("Parse changed its input")
	}
	if !reflect.DeepEqual(events, again) || !reflect.DeepEqual(reply, replyAgain) || (err == nil) != (errAgain == nil) {
		t.Errorf("the same input gave two results:\n%s\n%s", show(events), show(again))
	}
	for i := range given {
		given[i] = '#' // what was parsed must not change with the buffer
	}
	if !reflect.DeepEqual(events, again) {
		t.Error("the events share memory with the input")
	}
	return events, reply, err
}

func show(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}

// golden is what a golden file holds.
type golden struct {
	Events []channel.Event `json:"events"`
	Reply  *goldenReply    `json:"reply,omitempty"`
	Error  string          `json:"error,omitempty"`
}

type goldenReply struct {
	Status int    `json:"status,omitempty"`
	Type   string `json:"type,omitempty"`
	Body   string `json:"body,omitempty"`
}

func (s Suite) samples(t *testing.T) {
	files, err := filepath.Glob(s.Samples)
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples at %q", s.Samples)
	}
	for _, name := range files {
		if strings.HasSuffix(name, ".golden") {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			events, reply, perr := s.parse(t, raw)
			CheckEvents(t, events)
			got := golden{Events: events}
			if perr != nil {
				got.Error = perr.Error()
			} else if len(events) == 0 && reply.Status == 0 && reply.Body == nil {
				t.Error("neither events nor an error: what came would vanish")
			}
			if reply.Status != 0 || reply.Body != nil {
				got.Reply = &goldenReply{reply.Status, reply.Type, string(reply.Body)}
			}
			text := show(got)
			if *update {
				if err := os.WriteFile(name+".golden", []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name + ".golden")
			if err != nil {
				t.Fatalf("%v (go test -update writes it; then read it)", err)
			}
			if text != string(want) {
				t.Errorf("%s:\ngot  %s\nwant %s", name, text, want)
			}
		})
	}
}

// CheckEvents fails the test for events that no driver may give, whatever it was sent.
func CheckEvents(t *testing.T, events []channel.Event) {
	t.Helper()
	keys := map[string]bool{}
	for _, e := range events {
		where := fmt.Sprintf("event %q", e.Key)
		if e.Key == "" || !strings.Contains(e.Key, ":") {
			t.Errorf("%s: a key looks like msg:<id>", where)
		}
		if keys[e.Key] {
			t.Errorf("%s: the key comes twice", where)
		}
		keys[e.Key] = true
		// An unparsed event or a status may not know whom it is about.
		if e.Sender.Value == "" && e.Type != channel.UnparsedEvent && e.Type != channel.StatusEvent {
			t.Errorf("%s: no sender", where)
		}
		switch e.Sender.Assurance {
		case "", channel.Claimed, channel.Observed, channel.Verified:
		default:
			t.Errorf("%s: unknown assurance %q", where, e.Sender.Assurance)
		}
		if p := Harm(e.Sender.Name); p != "" {
			t.Errorf("%s: the name %q has %s", where, e.Sender.Name, p)
		}
		if l := e.Sender.Language; l != "" && !regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`).MatchString(l) {
			t.Errorf("%s: %q is no language tag", where, l)
		}
		need := func(ok bool, what string) {
			if !ok {
				t.Errorf("%s: a %s has %s", where, e.Type, what)
			}
		}
		switch e.Type {
		case channel.MessageEvent, channel.EditEvent:
			need(e.Message != nil, "a message")
			if m := e.Message; m != nil {
				need(m.ExternalID != "", "an external id")
				need(m.Text != "" || m.HTML != "" || m.Subject != "" || len(m.Attachments) > 0 || m.Unsupported != "",
					"text, attachments, or says that it is unsupported")
				for _, a := range m.Attachments {
					need((a.Part == "") != (a.Remote == ""), "attachments with exactly one of Part and Remote")
					need(a.Name != "" && a.MediaType != "" && a.Size >= 0, "attachments with a name and a media type")
				}
			}
		case channel.StatusEvent:
			need(e.Status != nil && e.Status.State != "", "a status")
			need(e.Status != nil && (e.Status.ExternalID != "" || e.Status.DeliveryID != ""), "an id of the message it is about")
		case channel.ChoiceEvent:
			need(e.Choice != nil, "a choice")
		case channel.ReadEvent:
			need(e.Ref != "" || !e.Upto.IsZero(), "the id of the message it is about, or a time")
		case channel.ReactionEvent, channel.DeleteEvent:
			need(e.Ref != "", "the id of the message it is about")
		case channel.UnparsedEvent:
			need(e.Error != "", "a reason")
		case channel.MovedEvent:
			need(len(e.Sender.Also) > 0, "the old address")
		case channel.StartEvent, channel.OptOutEvent, channel.TypingEvent:
		default:
			t.Errorf("%s: unknown type %q", where, e.Type)
		}
		if !e.At.IsZero() && (e.At.Location() != time.UTC || e.At.Year() < 1990 || e.At.Year() > 9999) {
			t.Errorf("%s: time %v", where, e.At)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Errorf("%s: cannot be stored: %v", where, err)
			continue
		}
		var back channel.Event
		if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(e, back) {
			t.Errorf("%s: changed by storing it (%v):\n%s\n%s", where, err, show(e), show(back))
		}
	}
}

// Harm says what is harmful about a display name, "" if nothing.
func Harm(name string) string {
	if !utf8.ValidString(name) {
		return "invalid UTF-8"
	}
	if utf8.RuneCountInString(name) > 256 {
		return "more than 256 characters"
	}
	if name != strings.TrimSpace(name) {
		return "white space around it"
	}
	marks := 0
	for _, r := range name {
		switch {
		case unicode.IsControl(r):
			return fmt.Sprintf("the control character %U", r)
		case unicode.Is(unicode.Bidi_Control, r), r == 0x200B, r == 0xFEFF, r == 0x2060, r == 0x2028, r == 0x2029, r >= 0xE0000 && r <= 0xE007F:
			return fmt.Sprintf("the invisible character %U", r)
		}
		if unicode.Is(unicode.Mn, r) {
			if marks++; marks > 8 {
				return "a tower of accents"
			}
		} else {
			marks = 0
		}
	}
	return ""
}

func (s Suite) batch(t *testing.T) {
	events, _, err := s.parse(t, s.Batch)
	if err != nil {
		t.Fatalf("one bad event took the others with it: %v", err)
	}
	CheckEvents(t, events)
	unparsed := 0
	var keys []string
	for _, e := range events {
		if e.Type == channel.UnparsedEvent {
			unparsed++
		} else {
			keys = append(keys, e.Key)
		}
	}
	if unparsed != 1 || !reflect.DeepEqual(keys, s.BatchKeys) {
		t.Errorf("%d unparsed and %q, want 1 and %q", unparsed, keys, s.BatchKeys)
	}
}

func (s Suite) longIDs(t *testing.T) {
	for _, number := range []string{"9007199254740993", "4503599627370497", "9223372036854775807"} { // 2^53+1, 2^52+1, 2^63-1
		events, _, err := s.parse(t, s.WithID(number))
		if err != nil || len(events) != 1 {
			t.Fatalf("id %s: %d events, %v", number, len(events), err)
		}
		CheckEvents(t, events)
		e := events[0]
		if e.Type == channel.UnparsedEvent || !strings.Contains(e.Key, number) || e.Message != nil && !strings.Contains(e.Message.ExternalID, number) {
			t.Errorf("id %s did not survive: %s", number, show(e))
		}
	}
}

// hostile are display names that strangers choose.
var hostile = []string{
	"\u202Egnp.exe", "a\u200Bb\u2060c\uFEFF", "Max\r\nBcc: victim@example.org", "\x00\x1b[31m", "\u2066\u2067\u2068",
	strings.Repeat("x", 10_000), "Z" + strings.Repeat("\u0301", 1000), "<script>alert(1)</script>", "{{.Secret}}", "'; DROP TABLE x; --",
	"\u3164\u3164", "   ", "", "=cmd|' /C calc'!A0", "A\u2028B", "\U000E0041\U000E0042", "\uFFFD", "Bundesamt\u00A0für\u2003Sicherheit",
}

func (s Suite) hostileNames(t *testing.T) {
	plain, _, err := s.parse(t, s.WithName("Erika Muster"))
	if err != nil || len(plain) != 1 {
		t.Fatalf("a plain name: %d events, %v", len(plain), err)
	}
	if plain[0].Sender.Name != "Erika Muster" {
		t.Errorf("a plain name became %q", plain[0].Sender.Name)
	}
	for _, name := range hostile {
		events, _, err := s.parse(t, s.WithName(name))
		if err != nil || len(events) != 1 {
			t.Errorf("name %.40q: %d events, %v", name, len(events), err)
			continue
		}
		CheckEvents(t, events)
		if events[0].Sender.Value != plain[0].Sender.Value || events[0].Type != plain[0].Type {
			t.Errorf("name %.40q: the name changed who it is: %s", name, show(events[0]))
		}
	}
}

func (s Suite) send(t *testing.T, c Send) {
	d, ok := s.Driver.(channel.Sender)
	if !ok {
		t.Fatal("the driver cannot send")
	}
	a, env := c.Setup(t)
	ctx := t.Context()
	if c.Context != nil {
		ctx = c.Context(t)
	}
	receipt, err := d.Send(ctx, a, c.Out, env)
	var failure *channel.SendError
	if err != nil && !errors.As(err, &failure) {
		failure = &channel.SendError{Class: channel.Unknown, Err: err} // as the caller treats it
	}
	if c.Want == "" {
		if err != nil {
			t.Fatalf("not accepted: %v", err)
		}
		if receipt.State != "" && receipt.State != channel.Sent && receipt.State != channel.Delivered {
			t.Errorf("state %q", receipt.State)
		}
	} else {
		if failure == nil {
			t.Fatalf("accepted, want %s", c.Want)
		}
		if failure.Class != c.Want {
			t.Errorf("class %s, want %s (%v)", failure.Class, c.Want, err)
		}
		if failure.Class != channel.Unknown && (failure.Reason.DE == "" || failure.Reason.EN == "") {
			t.Errorf("no reason in both languages: %v", err)
		}
		if failure.Class == channel.RateLimited && failure.RetryAfter <= 0 {
			t.Error("rate limited without a time to wait")
		}
	}
	if err != nil {
		for _, setting := range s.Driver.Settings() {
			if v := a.Settings[setting.Key]; setting.Secret && len(v) > 5 && strings.Contains(fmt.Sprintf("%v %+v", err, failure.Reason), v) {
				t.Errorf("the error shows the secret %s: %v", setting.Key, err)
			}
		}
	}
	if c.Check != nil {
		c.Check(t, receipt, failure)
	}
}

// stand is a stand-in for the provider.
func (s Suite) stand(t *testing.T, h http.HandlerFunc) (channel.Account, channel.Env) {
	server := httptest.NewServer(h)
	env := Env()
	t.Cleanup(func() {
		env.HTTP.(*http.Client).CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
	})
	a := s.Account
	a.Settings = s.with("api_url", server.URL)
	return a, env
}

func (s Suite) httpSends(t *testing.T) []Send {
	h := s.HTTP
	serverError := h.ServerError
	if serverError == "" {
		serverError = channel.Unknown
	}
	answer := func(handler http.HandlerFunc) func(*testing.T) (channel.Account, channel.Env) {
		return func(t *testing.T) (channel.Account, channel.Env) { return s.stand(t, handler) }
	}
	sends := []Send{
		{Name: "accepted", Setup: answer(h.Accept), Check: func(t *testing.T, r channel.Receipt, _ *channel.SendError) {
			if r.ExternalID == "" {
				t.Error("no external id: an answer would not find its conversation")
			}
		}},
		{Name: "connection refused", Want: channel.Temporary, Setup: func(t *testing.T) (channel.Account, channel.Env) {
			a, env := s.stand(t, h.Accept)
			gone := httptest.NewServer(nil)
			a.Settings["api_url"] = gone.URL
			gone.Close()
			return a, env
		}},
		{Name: "name not found", Want: channel.Temporary, Setup: func(t *testing.T) (channel.Account, channel.Env) {
			a, env := s.stand(t, h.Accept)
			a.Settings["api_url"] = "http://no-such-host.invalid"
			env.HTTP = &http.Client{Transport: &http.Transport{DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
			}}}
			return a, env
		}},
		{Name: "cut after it was accepted", Want: channel.Unknown, Setup: answer(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		})},
		{Name: "answer cut in the middle", Want: channel.Unknown, Setup: answer(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
		})},
		{Name: "unreadable answer", Want: channel.Unknown, Setup: answer(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>all is well</html>")
		})},
	}
	for _, status := range []int{500, 502, 503, 504} {
		sends = append(sends, Send{Name: fmt.Sprintf("status %d", status), Want: serverError, Setup: answer(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>"+http.StatusText(status)+"</html>")
		})})
	}
	if h.RateLimited != nil {
		sends = append(sends, Send{Name: "rate limited", Want: channel.RateLimited, Setup: answer(h.RateLimited)})
	}
	for name, r := range h.Refusals {
		sends = append(sends, Send{Name: name, Want: r.Want, Setup: answer(r.Answer)})
	}
	// The provider accepts and never answers: the caller gives up at the moment at which it has accepted.
	var giveUp context.CancelFunc
	var mu sync.Mutex
	sends = append(sends, Send{
		Name: "accepted, then silence", Want: channel.Unknown,
		Context: func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			mu.Lock()
			giveUp = cancel
			mu.Unlock()
			return ctx
		},
		Setup: answer(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			mu.Lock()
			giveUp()
			mu.Unlock()
			<-r.Context().Done()
		}),
	})
	for i := range sends {
		sends[i].Out = h.Out
	}
	return sends
}

// split sends a text of several messages and looks at what arrives.
func (s Suite) split(t *testing.T) {
	c := s.Driver.Capabilities()
	paragraph := strings.Repeat("Grüße aus Köln, bis bald! 👨‍👩‍👧 ", 12) + "\n\n"
	var text strings.Builder
	for channel.Length(text.String(), c.TextUnit) < 2*c.TextMax+c.TextMax/2 {
		text.WriteString(paragraph)
	}
	var mu sync.Mutex
	var got []string
	a, env := s.stand(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		if s.HTTP.Texts != nil {
			got = append(got, s.HTTP.Texts(r, body)...)
		} else if part := s.HTTP.Text(r, body); part != "" {
			got = append(got, part)
		}
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.HTTP.Accept(w, r)
	})
	out := s.HTTP.Out
	out.Text = text.String()
	receipt, err := s.Driver.(channel.Sender).Send(t.Context(), a, out, env)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 3 || len(receipt.Parts) != len(got)-1 {
		t.Errorf("%d messages, %d further ids", len(got), len(receipt.Parts))
	}
	for i, part := range got {
		if n := channel.Length(part, c.TextUnit); n > c.TextMax {
			t.Errorf("message %d has %d %s, at most %d are allowed", i, n, c.TextUnit, c.TextMax)
		}
		if !utf8.ValidString(part) || strings.HasPrefix(part, "\u200D") || strings.HasSuffix(part, "\u200D") {
			t.Errorf("message %d tears a character", i)
		}
	}
	if words(strings.Join(got, " ")) != words(out.Text) {
		t.Error("words were lost or changed")
	}
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }
