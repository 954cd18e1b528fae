package messenger

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/messenger/messengersim"
)

func account(kind channel.Kind, secret string) channel.Account {
	return channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: kind, Name: "Musterhaus", Settings: channel.Settings{
		"page_id": "106540352242922", "page_access_token": "EAAGm0PX4ZCpsBAKc", "app_secret": secret, "verify_token": "musterhaus-webhook"}}
}

func signed(a channel.Account, body []byte, now time.Time) *channel.Request {
	mac := hmac.New(sha256.New, []byte(channel.Rotation(a.Settings["app_secret"])[0]))
	mac.Write(body)
	return &channel.Request{Method: http.MethodPost, Body: body, At: now, Header: http.Header{
		"Content-Type": {"application/json"}, signatureHeader: {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func refusal(code, subcode int, message string, want channel.Class) channeltest.Refusal {
	return channeltest.Refusal{Want: want, Answer: answerWith(400, fmt.Sprintf(`{"error":{"message":%q,"type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"A"}}`, message, code, subcode))}
}

func suite(d Driver) channeltest.Suite {
	kind, object, samples := Kind, "page", "testdata/messenger/*.json"
	if d.instagram {
		kind, object, samples = KindInstagram, "instagram", "testdata/instagram/*.json"
	}
	with := func(key, value string) channel.Settings {
		s := account(kind, "s").Settings
		s[key] = value
		return s
	}
	say := func(mid string) string {
		return `{"sender":{"id":"7012345678901234"},"recipient":{"id":"106540352242922"},"timestamp":1769169600000,"message":{"mid":"` + mid + `","text":"Hallo"}}`
	}
	batch := `{"object":"` + object + `","entry":[{"id":"106540352242922","time":1769169600000,"messaging":[` + say("m_1") + `,{"sender":{"id":{}},"message":7},` + say("m_2") +
		`]},{"id":"206540352242922","time":1769169600000,"messaging":[` + say("m_3") + `]}]}`
	return channeltest.Suite{
		Driver:  d,
		Account: account(kind, "0123456789abcdef0123456789abcdef"),
		BadSettings: map[string]channel.Settings{
			"a name in place of the Page's number": with("page_id", "musterhaus"),
			"a token with a space":                 with("page_access_token", "EAA G"),
			"three secrets":                        with("app_secret", "a,b,c"),
			"an empty second secret":               with("app_secret", "a,"),
			"api_url without scheme":               with("api_url", "graph.facebook.com"),
		},
		Webhook: &channeltest.Webhook{
			Sign: signed, Body: []byte(batch), Headers: []string{signatureHeader}, SignsBody: true,
			Rotating: account(kind, "new-secret,0123456789abcdef0123456789abcdef"),
			Rotated:  account(kind, "new-secret"),
			Other:    account(kind, "other-secret"),
		},
		Samples:   samples,
		Batch:     []byte(batch),
		BatchKeys: []string{"msg:m_1", "msg:m_2", "msg:m_3"},
		WithID: func(number string) []byte {
			return fmt.Appendf(nil, `{"object":%q,"entry":[{"id":1,"messaging":[{"sender":{"id":%[2]s},"timestamp":1769169600000,"message":{"mid":%[2]s,"text":"x"}}]}]}`, object, number)
		},
		HTTP: &channeltest.HTTP{
			Out:         channel.Outgoing{DeliveryID: "0193a1b2-0000-7000-8000-00000000000d", To: channel.Address{Value: "7012345678901234"}, Text: "Guten Tag"},
			Accept:      answerWith(200, `{"recipient_id":"7012345678901234","message_id":"m_AG5Hz2U"}`),
			RateLimited: answerWith(400, `{"error":{"message":"(#613) Calls to this api have exceeded the rate limit.","type":"OAuthException","code":613,"fbtrace_id":"A"}}`),
			Refusals: map[string]channeltest.Refusal{
				"application limit":     refusal(4, 0, "(#4) Application request limit reached", channel.RateLimited),
				"page limit":            refusal(32, 0, "(#32) Page request limit reached", channel.RateLimited),
				"account limit":         refusal(80006, 0, "too many calls to this messenger account", channel.RateLimited),
				"window":                refusal(10, 2018278, "(#10) This message is sent outside of allowed window.", channel.WindowClosed),
				"window, Instagram":     refusal(10, 2534022, "(#10) This message is sent outside of allowed window.", channel.WindowClosed),
				"no permission":         refusal(10, 0, "(#10) Application does not have permission for this action", channel.Misconfig),
				"not receiving":         refusal(10, 2018108, "(#10) This person isn't receiving messages from you right now.", channel.Blocked),
				"not available":         refusal(551, 1545041, "(#551) This person isn't available right now.", channel.Blocked),
				"no matching user":      refusal(100, 2018001, "(#100) No matching user found", channel.NotHere),
				"no Instagram user":     refusal(100, 2534014, "(#100) The requested user cannot be found.", channel.NotHere),
				"parameter":             refusal(100, 0, "(#100) Length of param message[text] must be less than or equal to 2000", channel.Permanent),
				"size":                  refusal(100, 2018109, "(#100) Attachment size exceeds allowable limit", channel.Permanent),
				"another app holds it":  refusal(10, 2018300, "(#10) Message failed to send because another app is controlling this thread now.", channel.Permanent),
				"token":                 refusal(190, 460, "Error validating access token", channel.Misconfig),
				"app not live":          refusal(200, 2018028, "(#200) Cannot message users who are not admins, developers or testers of the app", channel.Misconfig),
				"230":                   refusal(230, 0, "(#230) Requires pages_messaging permission", channel.Misconfig),
				"policy":                refusal(368, 0, "(#368) The action attempted has been deemed abusive", channel.Misconfig),
				"temporary":             refusal(1200, 0, "(#1200) Temporary send message failure. Please try again later.", channel.Temporary),
				"code 2":                refusal(2, 0, "(#2) An unexpected error has occurred. Please retry your request later.", channel.Unknown),
				"code 1":                refusal(1, 1357046, "(#1) Received invalid JSON reply", channel.Unknown),
				"what is still to come": refusal(4711, 0, "(#4711) something new", channel.Permanent),
				"not the Graph API":     {Answer: answerWith(404, "<html>nginx</html>"), Want: channel.Misconfig},
				"no id":                 {Answer: answerWith(200, `{"recipient_id":"7"}`), Want: channel.Unknown},
				"error with status 200": {Answer: answerWith(200, `{"error":{"message":"x","code":99}}`), Want: channel.Unknown},
			},
			Text: func(_ *http.Request, body []byte) string {
				var p outbound
				_ = json.Unmarshal(body, &p)
				return p.Message.Text
			},
		},
	}
}

func TestDriver(t *testing.T)    { channeltest.Run(t, suite(New())) }
func TestInstagram(t *testing.T) { channeltest.Run(t, suite(NewInstagram())) }

func TestExchange(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: New(), Nobody: "7999999999999999", New: func(*testing.T) channelsim.Sim { return messengersim.New(messengersim.Options{}) }})
}

func TestExchangeInstagram(t *testing.T) {
	channeltest.Exchange(t, channeltest.Talk{Driver: NewInstagram(), Nobody: "7999999999999999", New: func(*testing.T) channelsim.Sim { return messengersim.NewInstagram(messengersim.Options{}) }})
}

// The verification request is answered with its challenge, to whom knows the verify token.
func TestChallenge(t *testing.T) {
	a := account(Kind, "s")
	get := func(change func(url.Values)) *channel.Request {
		q := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {"1158201444"}, "hub.verify_token": {"musterhaus-webhook"}}
		change(q)
		return &channel.Request{Method: http.MethodGet, Query: q}
	}
	r := get(func(url.Values) {})
	if err := New().Verify(a, r, time.Time{}); err != nil {
		t.Fatal(err)
	}
	events, reply, err := New().Parse(a, r)
	if err != nil || len(events) != 0 || string(reply.Body) != "1158201444" || !strings.HasPrefix(reply.Type, "text/plain") {
		t.Errorf("answered %+v, %v", reply, err)
	}
	for what, change := range map[string]func(url.Values){
		"wrong token":  func(q url.Values) { q.Set("hub.verify_token", "x") },
		"no token":     func(q url.Values) { q.Del("hub.verify_token") },
		"two tokens":   func(q url.Values) { q.Add("hub.verify_token", "musterhaus-webhook") },
		"other mode":   func(q url.Values) { q.Set("hub.mode", "unsubscribe") },
		"no challenge": func(q url.Values) { q.Del("hub.challenge") },
		"HTML":         func(q url.Values) { q.Set("hub.challenge", "<script>") },
	} {
		if err := New().Verify(a, get(change), time.Time{}); !errors.Is(err, channel.ErrUnauthentic) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := New().Verify(channel.Account{Kind: Kind}, get(func(q url.Values) { q.Set("hub.verify_token", "") }), time.Time{}); err == nil {
		t.Error("without a verify token everybody passes")
	}
}

// Outside the 24 hours only what a person wrote goes through, and that for seven days.
func TestWindow(t *testing.T) {
	for _, d := range []Driver{New(), NewInstagram()} {
		var later atomic.Int64
		o := messengersim.Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }}
		for _, tt := range []struct {
			after     time.Duration
			author    channel.Author
			automatic bool
			noAgent   bool
			want      channel.Class
		}{
			{23 * time.Hour, channel.Machine, true, false, ""},
			{25 * time.Hour, channel.Machine, true, false, channel.WindowClosed},
			{25 * time.Hour, channel.Staff, true, false, channel.WindowClosed},
			{25 * time.Hour, channel.Staff, false, false, ""},
			{25 * time.Hour, channel.Staff, false, true, channel.WindowClosed},
			{6 * 24 * time.Hour, channel.Staff, false, false, ""},
			{8 * 24 * time.Hour, channel.Staff, false, false, channel.WindowClosed},
		} {
			later.Store(0)
			o.NoHumanAgent = tt.noAgent
			sim := messengersim.New(o)
			if d.instagram {
				sim = messengersim.NewInstagram(o)
			}
			c := channeltest.Open(t, d, sim, nil)
			p := sim.Person("Erika Muster")
			if _, err := p.Write("Hallo", ""); err != nil {
				t.Fatal(err)
			}
			later.Store(int64(tt.after))
			_, err := c.Send(t.Context(), channel.Outgoing{To: channel.Address{Value: p.Address()}, Text: "Guten Tag", Author: tt.author, Automatic: tt.automatic})
			var failure *channel.SendError
			if errors.As(err, &failure); err == nil && tt.want != "" || err != nil && (failure == nil || failure.Class != tt.want) {
				t.Errorf("%s: %+v: %v", d.Kind(), tt, err)
			}
			if n := len(p.Inbox()); (n == 1) != (tt.want == "") {
				t.Errorf("%s: %+v: %d messages arrived", d.Kind(), tt, n)
			}
		}
	}
}

// An echo of what we sent tells that it arrived, also when the answer was lost; an echo of what somebody wrote in the
// Page's inbox is nobody's message.
func TestEchoResolves(t *testing.T) {
	sim := messengersim.New(messengersim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	p := sim.Person("Erika Muster")
	if _, err := p.Write("Hallo", ""); err != nil {
		t.Fatal(err)
	}
	sim.Fail(channelsim.Fault{Op: "message", Accept: true, Cut: true})
	id := "0193a1b2-0000-7000-8000-00000000bbbb"
	if _, err := c.Send(t.Context(), channel.Outgoing{DeliveryID: id, To: channel.Address{Value: p.Address()}, Text: "Guten Tag"}); err == nil {
		t.Fatal("accepted")
	}
	e := c.Await("the echo", func(e channel.Event) bool { return e.Type == channel.StatusEvent && e.Status.DeliveryID == id })
	if e.Status.State != channel.Sent || e.Status.ExternalID != p.Inbox()[0].Ref || e.Sender.Value != p.Address() {
		t.Errorf("came as %+v", e)
	}
}

// Duplicated and shuffled webhooks leave the same events, each once.
func TestAgainAndShuffled(t *testing.T) {
	sim := messengersim.NewInstagram(messengersim.Options{})
	sim.Hook().Duplicate(3)
	sim.Hook().Shuffle(7)
	c := channeltest.Open(t, NewInstagram(), sim, nil)
	p := sim.Person("Erika Muster")
	for i := range 20 {
		if _, err := p.Write(fmt.Sprint("Nachricht ", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if !sim.Wait(ctx, func() bool { return sim.Hook().Pending() == 0 }) {
		t.Fatal("webhooks are not acknowledged: ", sim.Hook().Refused())
	}
	if n := len(c.Events()); n != 20 || c.Again() != 40 {
		t.Errorf("%d events, %d again", n, c.Again())
	}
}

func TestFiles(t *testing.T) {
	file := func(mediaType string, size int64) channel.File {
		return channel.File{Name: "x", MediaType: mediaType, Size: size, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(make([]byte, size))), nil
		}}
	}
	for _, tt := range []struct {
		d    Driver
		f    channel.File
		want string // the platform's type, "" = refused
	}{
		{New(), file("image/png", 10), "image"},
		{New(), file("image/png", 9<<20), "file"},
		{New(), file("image/heic", 10), "file"},
		{New(), file("audio/mpeg", 10), "audio"},
		{New(), file("application/zip", 10), "file"},
		{NewInstagram(), file("image/jpeg", 10), "image"},
		{NewInstagram(), file("image/jpeg", 9<<20), ""},
		{NewInstagram(), file("application/pdf", 10), "file"},
		{NewInstagram(), file("application/zip", 10), ""},
		{NewInstagram(), file("image/heic", 10), ""},
		{NewInstagram(), file("video/quicktime", 10), "video"},
	} {
		got, err := tt.d.kindOf(tt.f)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s, %s of %d bytes: %q, %v", tt.d.Kind(), tt.f.MediaType, tt.f.Size, got, err)
		}
	}
}

func TestLink(t *testing.T) {
	a := account(Kind, "s")
	if link, c := New().Link(a, channel.Opening{Token: "tok"}); link != "https://m.me/106540352242922?ref=tok" || c != channel.CarriesToken {
		t.Error(link, c)
	}
	a.Settings["page_username"] = "muster.haus"
	if link, c := New().Link(a, channel.Opening{}); link != "https://m.me/muster.haus" || c != channel.CarriesNothing {
		t.Error(link, c)
	}
	if link, _ := NewInstagram().Link(a, channel.Opening{Token: "tok"}); link != "" {
		t.Error("a link without a username: ", link)
	}
}

func TestProbe(t *testing.T) {
	sim := messengersim.New(messengersim.Options{})
	c := channeltest.Open(t, New(), sim, nil)
	if err := New().Probe(t.Context(), c.Account, c.Env); err != nil {
		t.Error(err)
	}
	for key, value := range map[string]string{"page_id": "1", "page_access_token": "EAAother"} {
		a := c.Account
		a.Settings = channel.Settings{}
		for k, v := range c.Account.Settings {
			a.Settings[k] = v
		}
		a.Settings[key] = value
		var trouble *channel.Trouble
		if err := New().Probe(t.Context(), a, c.Env); !errors.As(err, &trouble) || trouble.Remedy.DE == "" {
			t.Errorf("wrong %s: %v", key, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/messenger/*.json", "testdata/instagram/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no samples")
		}
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, strings.Contains(name, "instagram"))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, instagram bool) {
		events, reply, err := Driver{instagram}.Parse(channel.Account{}, &channel.Request{Method: http.MethodPost, Body: raw})
		if err != nil && (len(events) > 0 || reply.Body != nil) {
			t.Error("an error and events")
		}
		channeltest.CheckEvents(t, events)
	})
}

func BenchmarkWebhook(b *testing.B) {
	a := account(Kind, "0123456789abcdef0123456789abcdef")
	body, err := os.ReadFile("testdata/messenger/text.json")
	if err != nil {
		b.Fatal(err)
	}
	channeltest.BenchmarkWebhook(b, New(), a, signed(a, body, time.Now()))
}
