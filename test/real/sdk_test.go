//go:build real

package real_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	linedriver "github.com/rufweite/rufweite/internal/channel/line"
	"github.com/rufweite/rufweite/internal/channel/line/linesim"
	"github.com/rufweite/rufweite/internal/channel/slack"
	"github.com/rufweite/rufweite/internal/channel/slack/slacksim"
	"github.com/rufweite/rufweite/internal/channel/teams"
	"github.com/rufweite/rufweite/internal/channel/teams/teamssim"
	"github.com/rufweite/rufweite/internal/channel/telegram"
	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
	"github.com/rufweite/rufweite/internal/channel/twilio"
	"github.com/rufweite/rufweite/internal/channel/twilio/twiliosim"
	"github.com/rufweite/rufweite/internal/channel/viber"
	"github.com/rufweite/rufweite/internal/channel/viber/vibersim"
	"github.com/rufweite/rufweite/internal/channel/whatsapp"
	"github.com/rufweite/rufweite/internal/channel/whatsapp/whatsappsim"
)

// The tests of this file hold drivers and simulators against the SDKs that the providers publish: what an SDK signs, our
// driver takes, and nothing that differs in one byte; what our simulator sends, the SDK takes for real and understands;
// and the SDK's client can use our simulator as it uses the provider.

// args are the arguments of an SDK's program.
type args map[string]any

// sdk is a running program of test/real/sdk.
type sdk struct {
	t    *testing.T
	in   io.WriteCloser
	out  *bufio.Reader
	kill func() error
}

// program starts sdk/NAME.mjs until the test ends.
func program(t *testing.T, name string) *sdk {
	t.Helper()
	need(t, "node")
	if _, err := os.Stat(filepath.Join("sdk", "node_modules", ".installed")); err != nil {
		t.Fatalf("the SDKs are missing: make deps installs them")
	}
	cmd := exec.Command("node", filepath.Join("sdk", name+".mjs"))
	for _, v := range os.Environ() { // everything here is on this machine
		if name, _, _ := strings.Cut(v, "="); !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "NODE_NO_WARNINGS=1")
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		end := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		end.Stop()
		if t.Failed() && log.Len() > 0 {
			t.Logf("%s.mjs said:\n%s", name, log.String())
		}
	})
	return &sdk{t, in, bufio.NewReader(out), cmd.Process.Kill}
}

// try asks the program to do something; into may be nil.
func (s *sdk) try(op string, a args, into any) error {
	s.t.Helper()
	request := args{"op": op}
	for k, v := range a {
		request[k] = v
	}
	raw, err := json.Marshal(request)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.in.Write(append(raw, '\n')); err != nil {
		s.t.Fatalf("%s: %v", op, err)
	}
	patience := time.AfterFunc(20*time.Second, func() { _ = s.kill() })
	defer patience.Stop()
	answer, err := s.out.ReadBytes('\n')
	if err != nil {
		s.t.Fatalf("%s: the program ended: %v", op, err)
	}
	var said struct {
		Value json.RawMessage `json:"value"`
		Error string          `json:"error"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		s.t.Fatalf("%s: %v: %s", op, err, answer)
	}
	if said.Error != "" {
		return errors.New(said.Error)
	}
	if into != nil {
		if err := json.Unmarshal(said.Value, into); err != nil {
			s.t.Fatalf("%s: %v: %s", op, err, said.Value)
		}
	}
	return nil
}

func (s *sdk) do(op string, a args, into any) {
	s.t.Helper()
	if err := s.try(op, a, into); err != nil {
		s.t.Fatalf("%s: %v", op, err)
	}
}

func (s *sdk) yes(op string, a args) (ok bool) {
	s.t.Helper()
	s.do(op, a, &ok)
	return ok
}

// hearing is what a program on an SDK makes of a webhook.
type hearing struct {
	Kind, Text, Name, Token, Type, Value, ID string
}

// provider is a simulated provider behind HTTP, and the company's webhook, at which nothing is done but to note what came.
type provider struct {
	t       *testing.T
	driver  channel.Driver
	account channel.Account
	api     string // the simulator's URL
	hook    string // the webhook's URL
	came    chan channel.Request
}

// stand puts a simulator and a webhook up. answer, if not nil, answers what is no event.
func stand(t *testing.T, d channel.Driver, sim http.Handler, settings func(base string) channel.Settings, answer func(http.ResponseWriter, channel.Request) bool) *provider {
	t.Helper()
	p := &provider{t: t, driver: d, came: make(chan channel.Request, 100)}
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	house := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		came := channel.Request{Method: r.Method, Query: r.URL.Query(), Header: r.Header, Body: body, URLs: []string{"http://" + r.Host + r.URL.RequestURI()}, At: time.Now()}
		if answer == nil || !answer(w, came) {
			p.came <- came
		}
	}))
	t.Cleanup(house.Close)
	p.api, p.hook = api.URL, house.URL+"/in/"+string(d.Kind())+"/0193a1b2-0000-7000-8000-000000000001"
	p.account = channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Org: "o", Kind: d.Kind(), Settings: settings(p.api)}
	if err := d.Check(p.account.Settings); err != nil {
		t.Fatalf("the simulator's settings are refused: %v", err)
	}
	return p
}

// next is the next webhook that has it, whatever came before.
func (p *provider) next(has string) channel.Request {
	p.t.Helper()
	for end := time.After(10 * time.Second); ; {
		select {
		case r := <-p.came:
			if bytes.Contains(r.Body, []byte(has)) {
				return r
			}
		case <-end:
			p.t.Fatalf("no webhook with %q came", has)
		}
	}
}

// verify is the driver's verdict.
func (p *provider) verify(r channel.Request) bool {
	p.t.Helper()
	err := p.driver.(channel.Webhook).Verify(p.account, &r, time.Now())
	if err != nil && !errors.Is(err, channel.ErrUnauthentic) {
		p.t.Fatal(err)
	}
	return err == nil
}

// event is what the driver makes of a webhook that it accepts.
func (p *provider) event(r channel.Request) channel.Event {
	p.t.Helper()
	if !p.verify(r) {
		p.t.Fatalf("the driver refuses: %s", r.Body)
	}
	events, _, err := p.driver.(channel.Webhook).Parse(p.account, &r)
	if err != nil || len(events) != 1 {
		p.t.Fatalf("%d events, %v: %s", len(events), err, r.Body)
	}
	return events[0]
}

// text is the text of a message that the driver accepts.
func (p *provider) text(r channel.Request, want string) channel.Event {
	p.t.Helper()
	e := p.event(r)
	if e.Type != channel.MessageEvent || e.Message.Text != want {
		p.t.Fatalf("the driver made %+v of: %s", e, r.Body)
	}
	return e
}

// bent are copies of a request that differ in one byte of the body or of the header.
func bent(r channel.Request, header string) map[string]channel.Request {
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		if b[i]++; b[i] < ' ' || b[i] > '~' {
			b[i] = 'x'
		}
		return b
	}
	out := map[string]channel.Request{}
	for name, i := range map[string]int{"first": 0, "middle": len(r.Body) / 2, "last": len(r.Body) - 1} {
		c := r
		c.Body = flip(r.Body, i)
		out[name+" byte of the body"] = c
	}
	longer := r
	longer.Body = append(bytes.Clone(r.Body), ' ')
	out["a longer body"] = longer
	v := r.Header.Get(header)
	for name, i := range map[string]int{"first": 0, "middle": len(v) / 2} { // the last one of base64 may carry no bits
		c := r
		c.Header = r.Header.Clone()
		c.Header.Set(header, string(flip([]byte(v), i)))
		out[name+" byte of the signature"] = c
	}
	return out
}

// same asks SDK and driver about bent copies: neither may take one.
func (p *provider) same(r channel.Request, header string, sdk func(channel.Request) bool) {
	p.t.Helper()
	if !sdk(r) {
		p.t.Errorf("the SDK refuses what the simulator signed: %s", r.Body)
	}
	if !p.verify(r) {
		p.t.Errorf("the driver refuses what the simulator signed: %s", r.Body)
	}
	for name, b := range bent(r, header) {
		if sdk(b) {
			p.t.Errorf("the SDK takes %s", name)
		}
		if p.verify(b) {
			p.t.Errorf("the driver takes %s", name)
		}
	}
}

// inbox is what a person got, once there are n messages.
func (p *provider) inbox(person interface{ Inbox() []channelsim.Message }, n int) channelsim.Message {
	p.t.Helper()
	var got []channelsim.Message
	eventually(p.t, "messages of the SDK at the customer", 10*time.Second, func() (bool, string) {
		got = person.Inbox()
		return len(got) >= n, ""
	})
	return got[n-1]
}

func labels(m channelsim.Message) (out []string) {
	for _, c := range m.Choices {
		out = append(out, c.Label)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSDKTwilio(t *testing.T) {
	sim := twiliosim.New(nil)
	t.Cleanup(sim.Close)
	p := stand(t, twilio.New(), sim, sim.Settings, nil)
	sim.Connect(p.hook)
	s := program(t, "twilio")
	token := p.account.Settings["auth_token"]
	params := func(body []byte) map[string]any {
		form, _ := url.ParseQuery(string(body))
		out := map[string]any{}
		for k, v := range form {
			if out[k] = v[0]; len(v) > 1 {
				out[k] = v
			}
		}
		return out
	}
	const signature = "X-Twilio-Signature"
	valid := func(r channel.Request) bool {
		return s.yes("valid", args{"token": token, "url": r.URLs[0], "params": params(r.Body), "signature": r.Header.Get(signature)})
	}

	erika := sim.Person("Erika")
	const said = "Grüße & Küsse + 100 % = süß 😀"
	if _, err := erika.Write(said, ""); err != nil {
		t.Fatal(err)
	}
	r := p.next("Body=")
	p.same(r, signature, func(r channel.Request) bool { return valid(r) })
	p.text(r, said)

	// What the SDK signs, with everything that forms can have.
	for _, target := range []string{r.URLs[0], r.URLs[0] + "?bodySHA=1&x=%20", "https://example.org/in/twilio/1"} {
		form := url.Values{"Body": {"ß + &=?"}, "From": {"+4915123450001"}, "To": {"+4930123"}, "MessageSid": {"SM1"}, "SmsMessageSid": {""}, "a": {"z"}, "B": {"y"}}
		signed := channel.Request{Method: "POST", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte(form.Encode()), URLs: []string{target}}
		var by string
		s.do("sign", args{"token": token, "url": target, "params": params(signed.Body)}, &by)
		signed.Header.Set(signature, by)
		p.same(signed, signature, valid)
	}

	// What the driver answers says what the SDK's empty answer says.
	_, reply, err := p.driver.(channel.Webhook).Parse(p.account, &r)
	must(t, err)
	var empty string
	s.do("empty", nil, &empty)
	if string(reply.Body) != empty {
		t.Errorf("the driver answers %s, the SDK %s", reply.Body, empty)
	}

	type message struct{ SID, Status, From, To, Body, Segments string }
	var sent, found message
	s.do("open", args{"base": p.api, "sid": p.account.Settings["account_sid"], "token": token}, nil)
	s.do("send", args{"message": args{"from": p.account.Settings["from"], "to": erika.Address(), "body": said, "statusCallback": p.hook}}, &sent)
	if got := p.inbox(erika, 1); got.Text != said || got.Ref != sent.SID {
		t.Errorf("the customer got %+v for %+v", got, sent)
	}
	r = p.next("MessageStatus=delivered")
	p.same(r, signature, valid)
	if e := p.event(r); e.Type != channel.StatusEvent || e.Status.State != channel.Delivered || e.Status.ExternalID != sent.SID {
		t.Errorf("the driver made %+v", e)
	}
	s.do("fetch", args{"sid": sent.SID}, &found)
	if found.Body != said || found.Status != "delivered" {
		t.Errorf("fetched: %+v", found)
	}
	var list []message
	s.do("list", args{"filter": args{"to": erika.Address(), "limit": 5}}, &list)
	if len(list) != 1 || list[0].SID != sent.SID {
		t.Errorf("listed: %+v", list)
	}
	if err := s.try("send", args{"message": args{"from": p.account.Settings["from"], "to": "12", "body": "x"}}, nil); err == nil {
		t.Error("a number that is none was taken")
	}
}

func TestSDKLine(t *testing.T) {
	sim := linesim.New(linesim.Options{})
	t.Cleanup(sim.Close)
	p := stand(t, linedriver.New(), sim, sim.Settings, nil)
	sim.Connect(p.hook)
	s := program(t, "line")
	const signature = "X-Line-Signature"
	secret := p.account.Settings["channel_secret"]
	webhook := func(r channel.Request) args {
		return args{"secret": secret, "body": string(r.Body), "signature": r.Header.Get(signature)}
	}

	erika := sim.Person("Erika")
	must(t, erika.Open(""))
	p.next(`"follow"`)
	const said = "Grüße „wörtlich“ 😀"
	if _, err := erika.Write(said, ""); err != nil {
		t.Fatal(err)
	}
	r := p.next(`"text"`)
	p.same(r, signature, func(r channel.Request) bool { return s.yes("valid", webhook(r)) })
	e := p.text(r, said)
	type event struct {
		Type           string
		WebhookEventID string `json:"webhookEventId"`
		Source         struct{ UserID string }
		Message        struct{ ID, Type, Text string }
		Postback       struct{ Data string }
	}
	var events []event
	s.do("events", webhook(r), &events)
	if len(events) != 1 || events[0].Message.Text != said || events[0].Source.UserID != e.Sender.Value || events[0].Message.ID != e.Message.ExternalID {
		t.Errorf("the SDK made %+v, the driver %+v", events, e)
	}

	s.do("open", args{"base": p.api, "token": p.account.Settings["channel_access_token"]}, nil)
	var info struct{ BasicID string }
	s.do("info", nil, &info)
	if info.BasicID != linesim.BasicID {
		t.Errorf("info: %+v", info)
	}
	push := args{"key": "0193a1b2-0000-4000-8000-000000000009", "message": args{"to": erika.Address(), "messages": []args{{"type": "text", "text": "Ja oder nein?", "quickReply": args{"items": []args{
		{"type": "action", "action": args{"type": "postback", "label": "Ja", "data": "a=ja", "displayText": "Ja"}},
		{"type": "action", "action": args{"type": "postback", "label": "Nein", "data": "a=nein", "displayText": "Nein"}}}}}}}}
	var answer struct {
		Status       int
		SentMessages []struct{ ID string }
	}
	s.do("push", push, &answer)
	got := p.inbox(erika, 1)
	if answer.Status != 200 || len(answer.SentMessages) != 1 || got.Text != "Ja oder nein?" || !slices.Equal(labels(got), []string{"Ja", "Nein"}) || got.Ref != answer.SentMessages[0].ID {
		t.Errorf("pushed %+v, got %+v", answer, got)
	}
	s.do("push", push, &answer)
	if answer.Status != 409 || len(erika.Inbox()) != 1 {
		t.Errorf("the same retry key again: %+v", answer)
	}
	must(t, erika.Press("", "Nein"))
	r = p.next(`"postback"`)
	s.do("events", webhook(r), &events)
	if e := p.event(r); events[0].Postback.Data != "a=nein" || e.Choice == nil || e.Choice.Data != "a=nein" {
		t.Errorf("pressed: the SDK %+v, the driver %+v", events, e)
	}
	ref, err := erika.Send(channelsim.File{Name: "b.png", MediaType: "image/png", Content: []byte("\x89PNG\x00ä")}, "")
	must(t, err)
	var content string
	s.do("content", args{"id": ref}, &content)
	if raw, _ := base64.StdEncoding.DecodeString(content); string(raw) != "\x89PNG\x00ä" {
		t.Errorf("content: %q", raw)
	}
	bad := args{"key": "0193a1b2-0000-4000-8000-000000000010", "message": args{"to": "U0", "messages": []args{{"type": "text", "text": "x"}}}}
	if s.do("push", bad, &answer); answer.Status != 400 {
		t.Errorf("to nobody: %+v", answer)
	}
}

func TestSDKSlack(t *testing.T) {
	sim := slacksim.New(nil)
	t.Cleanup(sim.Close)
	p := stand(t, slack.New(), sim, sim.Settings, func(w http.ResponseWriter, r channel.Request) bool {
		var challenge struct{ Challenge string }
		if json.Unmarshal(r.Body, &challenge) != nil || challenge.Challenge == "" {
			return false
		}
		_, _ = io.WriteString(w, challenge.Challenge)
		return true
	})
	sim.Connect(p.hook)
	s := program(t, "slack")
	const signature = "X-Slack-Signature"
	at := func(r channel.Request) args {
		return args{"secret": p.account.Settings["signing_secret"], "body": string(r.Body), "signature": r.Header.Get(signature), "timestamp": r.Header.Get("X-Slack-Request-Timestamp"), "now": time.Now().UnixMilli()}
	}
	valid := func(r channel.Request) bool { return s.yes("valid", at(r)) }
	hear := func(r channel.Request, form bool) (out []hearing) {
		s.do("event", args{"body": string(r.Body), "form": form}, &out)
		return out
	}

	s.do("open", args{"base": p.account.Settings["api_url"], "token": p.account.Settings["bot_token"]}, nil)
	var who struct {
		OK     bool   `json:"ok"`
		TeamID string `json:"team_id"`
	}
	if s.do("test", nil, &who); !who.OK || who.TeamID != slacksim.Team {
		t.Errorf("auth.test: %+v", who)
	}
	erika := sim.Customer("Erika")
	const said = "Grüße an <alle> & 😀"
	_, err := erika.Write(said, "")
	must(t, err)
	r := p.next(`"message"`)
	p.same(r, signature, valid)
	e := p.text(r, said)
	if got := hear(r, false); len(got) != 1 || got[0].Kind != "message" || got[0].Text != "Grüße an &lt;alle&gt; &amp; 😀" { // Bolt leaves the escapes to its user
		t.Errorf("Bolt heard %+v", got)
	}
	// Six minutes later both refuse.
	late := at(r)
	late["now"] = time.Now().Add(6 * time.Minute).UnixMilli()
	if s.yes("valid", late) || p.driver.(channel.Webhook).Verify(p.account, &r, time.Now().Add(6*time.Minute)) == nil {
		t.Error("a request of six minutes ago is taken")
	}

	var room string
	_, user, _ := strings.Cut(erika.Address(), ":")
	s.do("room", args{"user": user}, &room)
	var posted struct {
		OK          bool
		TS, Channel string
	}
	s.do("post", args{"message": args{"channel": room, "text": "Ja oder nein?", "blocks": []args{
		{"type": "section", "text": args{"type": "plain_text", "text": "Ja oder nein?"}},
		{"type": "actions", "elements": []args{
			{"type": "button", "action_id": "a1", "value": "ja", "text": args{"type": "plain_text", "text": "Ja"}},
			{"type": "button", "action_id": "a2", "value": "nein", "text": args{"type": "plain_text", "text": "Nein"}}}}}}}, &posted)
	got := p.inbox(erika, 1)
	if !posted.OK || posted.Channel != room || got.Text != "Ja oder nein?" || !slices.Equal(labels(got), []string{"Ja", "Nein"}) {
		t.Errorf("posted %+v, got %+v", posted, got)
	}
	must(t, erika.Press("", "Nein"))
	r = p.next("payload=")
	p.same(r, signature, valid)
	if got := hear(r, true); len(got) != 1 || got[0].Kind != "action" || got[0].Text != "Nein" || got[0].Value != "nein" {
		t.Errorf("Bolt heard %+v", got)
	}
	if e := p.event(r); e.Type != channel.ChoiceEvent || e.Choice.Label != "Nein" {
		t.Errorf("the driver made %+v", e)
	}
	must(t, erika.React(got.Ref, "👍"))
	r = p.next("reaction_added")
	if heard := hear(r, false); len(heard) != 1 || heard[0].Text != "+1" {
		t.Errorf("Bolt heard %+v", heard)
	}
	if r := p.event(r); r.Reaction != "👍" || r.Sender.Value != e.Sender.Value {
		t.Errorf("the driver made %+v", r)
	}
	if !s.yes("upload", args{"channel": room, "name": "police.txt", "content": "Vertrag", "text": "Ihre Police"}) {
		t.Error("the upload was refused")
	}
	if got := p.inbox(erika, 2); len(got.Files) != 1 || got.Files[0].Name != "police.txt" || string(got.Files[0].Content) != "Vertrag" {
		t.Errorf("the customer got %+v", got)
	}
	if err := s.try("post", args{"message": args{"channel": "C0NOBODY", "text": "x"}}, nil); err == nil || !strings.Contains(err.Error(), "channel_not_found") {
		t.Errorf("to nobody: %v", err)
	}
}

func TestSDKTelegram(t *testing.T) {
	sim := telegramsim.New(telegramsim.Options{AnyWebhook: true})
	t.Cleanup(sim.Close)
	const secret = "Ein-Geheimnis_0123456789"
	p := stand(t, telegram.New(), sim, func(base string) channel.Settings {
		return channel.Settings{"token": sim.Token(), "api_url": base, "secret_token": secret, "mode": "webhook"}
	}, nil)
	s := program(t, "telegram")
	const header = "X-Telegram-Bot-Api-Secret-Token"
	type answer struct {
		Status int
		Heard  []struct {
			Kind, Text, Name, File string
			From                   int64
		}
	}
	hear := func(r channel.Request) (a answer) {
		s.do("event", args{"body": string(r.Body), "secret": r.Header.Get(header)}, &a)
		return a
	}

	var name string
	s.do("open", args{"base": p.api, "token": sim.Token(), "secret": secret}, &name)
	if name != "rufweite_bot" {
		t.Errorf("getMe: %s", name)
	}
	s.do("webhook", args{"url": p.hook, "secret": secret, "kinds": []string{"message", "edited_message", "callback_query", "message_reaction", "my_chat_member"}}, nil)
	erika := sim.Customer("Erika Muster")
	erika.Start("")
	p.next("/start")
	const said = "Grüße 😀"
	id := erika.Write(said)
	r := p.next("Gr")
	p.text(r, said)
	if a := hear(r); a.Status != 200 || len(a.Heard) != 1 || a.Heard[0].Text != said || a.Heard[0].From != erika.ID || a.Heard[0].Name != "Erika" {
		t.Errorf("grammY heard %+v", a)
	}
	wrong := r
	wrong.Header = r.Header.Clone()
	wrong.Header.Set(header, secret[:len(secret)-1]+"8")
	if a := hear(wrong); a.Status != 401 || p.verify(wrong) {
		t.Errorf("another secret: grammY %+v", a)
	}
	erika.Edit(id, "Grüße noch einmal")
	r = p.next("edited_message")
	if a := hear(r); len(a.Heard) != 1 || a.Heard[0].Kind != "edit" || a.Heard[0].Text != "Grüße noch einmal" {
		t.Errorf("grammY heard %+v", a)
	}
	var sent int64
	s.do("send", args{"to": erika.ID, "text": "Ja oder nein?", "buttons": []string{"Ja", "Nein"}, "reply": id}, &sent)
	var got []telegramsim.Message
	eventually(t, "the bot's question", 10*time.Second, func() (bool, string) { got = erika.Inbox(); return len(got) > 0, "" })
	if m := got[len(got)-1]; m.ID != sent || m.ReplyTo != id || len(m.Buttons) != 2 || m.Buttons[1].Data != "data:Nein" {
		t.Errorf("the customer got %+v", m)
	}
	if !erika.Press("Nein") {
		t.Fatal("there is no button")
	}
	r = p.next("callback_query")
	if e := p.event(r); e.Type != channel.ChoiceEvent || e.Choice.Data != "data:Nein" {
		t.Errorf("the driver made %+v", e)
	}
	if a := hear(r); a.Status != 200 || len(a.Heard) != 1 || a.Heard[0].Text != "data:Nein" {
		t.Errorf("grammY heard %+v", a)
	}
	erika.React(sent, "👍")
	r = p.next("message_reaction")
	if a := hear(r); len(a.Heard) != 1 || a.Heard[0].Text != "👍" || p.event(r).Reaction != "👍" {
		t.Errorf("grammY heard %+v", a)
	}
	erika.Photo([]byte("Bild"), "Der Schaden")
	r = p.next("photo")
	a := hear(r)
	if len(a.Heard) != 1 || a.Heard[0].Text != "Der Schaden" {
		t.Fatalf("grammY heard %+v", a)
	}
	var content string
	if s.do("file", args{"id": a.Heard[0].File, "base": p.api, "token": sim.Token()}, &content); content != "Bild" {
		t.Errorf("the file is %q", content)
	}
	var file string
	s.do("document", args{"to": erika.ID, "name": "police.txt", "content": "Vertrag", "caption": "Ihre Police"}, &file)
	if got := erika.Inbox(); file != "police.txt" || string(got[len(got)-1].File) != "Vertrag" || got[len(got)-1].Text != "Ihre Police" {
		t.Errorf("the customer got %+v", got[len(got)-1])
	}
	erika.Block()
	if err := s.try("send", args{"to": erika.ID, "text": "x"}, nil); err == nil || !strings.HasPrefix(err.Error(), "403 ") {
		t.Errorf("to somebody who blocked the bot: %v", err)
	}
}

func TestSDKViber(t *testing.T) {
	sim := vibersim.New(vibersim.Options{})
	t.Cleanup(sim.Close)
	p := stand(t, viber.New(), sim, sim.Settings, func(_ http.ResponseWriter, r channel.Request) bool {
		return bytes.Contains(r.Body, []byte(`"webhook"`))
	})
	s := program(t, "viber")
	const signature = "X-Viber-Content-Signature"
	token := p.account.Settings["auth_token"]
	valid := func(r channel.Request) bool {
		return s.yes("valid", args{"token": token, "body": string(r.Body), "signature": r.Header.Get(signature)})
	}
	hear := func(r channel.Request) (h hearing) {
		s.do("event", args{"body": string(r.Body)}, &h)
		return h
	}

	s.do("open", args{"base": p.api, "token": token, "name": "Musterhaus"}, nil)
	var profile struct{ URI string }
	if s.do("profile", nil, &profile); profile.URI != "musterhausbot" {
		t.Errorf("get_account_info: %+v", profile)
	}
	s.do("webhook", args{"url": p.hook}, nil)
	erika := sim.Person("Erika")
	must(t, erika.Open("kontext-1"))
	r := p.next("conversation_started")
	if h := hear(r); h.Kind != "conversation_started" || h.Text != "kontext-1" || p.event(r).Token != "kontext-1" {
		t.Errorf("the SDK heard %+v", h)
	}
	const said = "Grüße <b>&</b> 😀"
	_, err := erika.Write(said, "")
	must(t, err)
	r = p.next(`"message"`)
	p.same(r, signature, valid)
	e := p.text(r, said)
	// The token has 64 bits: a float would round it.
	if h := hear(r); h.Kind != "message" || h.Text != said || h.Token != e.Message.ExternalID || h.Type != "text" {
		t.Errorf("the SDK heard %+v, the driver %+v", h, e)
	}
	// What the SDK signs.
	signed := r
	signed.Body = []byte(`{"event":"message","ä":"` + "\u2028" + `"}`)
	var by string
	s.do("sign", args{"token": token, "body": string(signed.Body)}, &by)
	signed.Header = http.Header{signature: {by}}
	p.same(signed, signature, valid)

	var rounded string
	s.do("send", args{"to": erika.Address(), "text": "Ja oder nein?", "labels": []string{"Ja", "Nein"}}, &rounded)
	got := p.inbox(erika, 1)
	sent := got.Ref // the SDK itself reads the token of an answer as a float
	near, err := strconv.ParseFloat(sent, 64)
	must(t, err)
	if strconv.FormatFloat(near, 'f', -1, 64) != rounded || got.Text != "Ja oder nein?" || !slices.Equal(labels(got), []string{"Ja", "Nein"}) {
		t.Errorf("sent %s, got %+v", rounded, got)
	}
	r = p.next(`"delivered"`)
	if h, e := hear(r), p.event(r); h.Kind != "delivered" || h.Token != sent || e.Status == nil || e.Status.ExternalID != sent {
		t.Errorf("delivered: the SDK %+v, the driver %+v", h, e)
	}
	must(t, erika.Read())
	r = p.next(`"seen"`)
	if h, e := hear(r), p.event(r); h.Kind != "seen" || h.Token != sent || e.Status == nil || e.Status.State != channel.Read {
		t.Errorf("seen: the SDK %+v, the driver %+v", h, e)
	}
	must(t, erika.Press("", "Nein"))
	r = p.next("data:Nein")
	if h := hear(r); h.Text != "data:Nein" {
		t.Errorf("pressed: the SDK %+v", h)
	}
	must(t, erika.Block(true))
	if err := s.try("send", args{"to": erika.Address(), "text": "x"}, nil); err == nil {
		t.Error("a message to somebody who unsubscribed was taken")
	}
}

func TestSDKWhatsApp(t *testing.T) {
	sim := whatsappsim.New(whatsappsim.Options{})
	t.Cleanup(sim.Close)
	s := program(t, "whatsapp")
	challenged := make(chan url.Values, 10)
	p := stand(t, whatsapp.New(), sim, sim.Settings, func(w http.ResponseWriter, r channel.Request) bool {
		if r.Method == http.MethodGet {
			challenged <- r.Query
			_, _ = io.WriteString(w, r.Query.Get("hub.challenge"))
		}
		return r.Method == http.MethodGet
	})
	const signature = "X-Hub-Signature-256"
	set := p.account.Settings
	s.do("open", args{"base": p.api, "number": set["phone_number_id"], "token": set["access_token"], "secret": set["app_secret"], "verify": set["verify_token"]}, nil)
	sim.Connect(p.hook)
	params := args{}
	q := <-challenged
	for k := range q {
		params[k] = q.Get(k)
	}
	var echo string
	if s.do("challenge", args{"params": params}, &echo); echo != q.Get("hub.challenge") {
		t.Errorf("the client answers the challenge %v with %q", q, echo)
	}
	valid := func(r channel.Request) bool {
		return s.yes("valid", args{"body": string(r.Body), "signature": r.Header.Get(signature)})
	}
	type event struct {
		Kind, From, Name, Text, ID string
		Message                    struct {
			ID          string
			Text        struct{ Body string }
			Interactive struct {
				ButtonReply struct{ ID, Title string } `json:"button_reply"`
				ListReply   struct{ ID, Title string } `json:"list_reply"`
			}
			Image struct{ ID, Caption string }
		}
	}
	hear := func(r channel.Request) event {
		t.Helper()
		var out []event
		s.do("event", args{"body": string(r.Body), "signature": r.Header.Get(signature)}, &out)
		if len(out) != 1 {
			t.Fatalf("the client heard %+v of %s", out, r.Body)
		}
		return out[0]
	}

	erika := sim.Customer("Erika")
	const said = "Grüße </script> ä 😀"
	ref, err := erika.Write(said, "")
	must(t, err)
	r := p.next(`"text"`)
	p.same(r, signature, valid)
	e := p.text(r, said)
	if h := hear(r); h.Message.Text.Body != said || h.From != erika.WaID || h.Name != "Erika" || h.Message.ID != e.Message.ExternalID {
		t.Errorf("the client heard %+v, the driver %+v", h, e)
	}

	type answer struct {
		Messages []struct{ ID string }
		Error    struct {
			Code    int
			Message string
		}
	}
	n := 0
	send := func(op string, a args) channelsim.Message {
		t.Helper()
		var got answer
		a["to"] = erika.WaID
		if s.do(op, a, &got); len(got.Messages) != 1 {
			t.Fatalf("%s: %+v", op, got)
		}
		n++
		m := p.inbox(erika, n)
		if m.Ref != got.Messages[0].ID {
			t.Errorf("%s: %+v, got %+v", op, got, m)
		}
		return m
	}
	if m := send("text", args{"text": "Guten Tag", "context": ref, "callback": "zustellung-1"}); m.Text != "Guten Tag" || m.ReplyTo != ref {
		t.Errorf("text: %+v", m)
	}
	r = p.next(`"delivered"`)
	if h, e := hear(r), p.event(r); h.Text != "delivered" || e.Status == nil || e.Status.ExternalID != h.ID || e.Status.DeliveryID != "zustellung-1" {
		t.Errorf("status: the client %+v, the driver %+v", h, e)
	}
	if m := send("buttons", args{"text": "Ja oder nein?", "labels": []string{"Ja", "Nein"}}); !slices.Equal(labels(m), []string{"Ja", "Nein"}) || m.Menu != "" {
		t.Errorf("buttons: %+v", m)
	}
	must(t, erika.Press("", "Nein"))
	r = p.next("button_reply")
	if h, e := hear(r), p.event(r); h.Message.Interactive.ButtonReply.Title != "Nein" || e.Choice == nil || e.Choice.Data != h.Message.Interactive.ButtonReply.ID {
		t.Errorf("button: the client %+v, the driver %+v", h, e)
	}
	if m := send("list", args{"text": "Wann?", "menu": "Termine", "labels": []string{"Montag", "Dienstag"}}); m.Menu != "Termine" || len(m.Choices) != 2 || m.Choices[1].Description != "Zeile 2" {
		t.Errorf("list: %+v", m)
	}
	must(t, erika.Press("", "Dienstag"))
	r = p.next("list_reply")
	if h, e := hear(r), p.event(r); h.Message.Interactive.ListReply.ID != "r1" || e.Choice == nil || e.Choice.Data != "r1" {
		t.Errorf("list: the client %+v, the driver %+v", h, e)
	}
	if m := send("template", args{"name": "rueckmeldung", "language": "de", "values": []string{"Erika", "Hausrat"}}); !strings.Contains(m.Text, "Guten Tag Erika, zu Ihrem Anliegen Hausrat") {
		t.Errorf("template: %+v", m)
	}
	picture := []byte("\x89PNG\r\n\x1a\n0123")
	if m := send("image", args{"content": base64.StdEncoding.EncodeToString(picture), "caption": "Der Schaden"}); len(m.Files) != 1 || !bytes.Equal(m.Files[0].Content, picture) || m.Text != "Der Schaden" {
		t.Errorf("image: %+v", m)
	}
	_, err = erika.Send(channelsim.File{Name: "b.jpg", MediaType: "image/jpeg", Content: []byte("\xff\xd8\xffBild")}, "Beule")
	must(t, err)
	r = p.next(`"image"`)
	h := hear(r)
	var media struct{ Type, Content string }
	s.do("media", args{"id": h.Message.Image.ID}, &media)
	if raw, _ := base64.StdEncoding.DecodeString(media.Content); media.Type != "image/jpeg" || string(raw) != "\xff\xd8\xffBild" || h.Message.Image.Caption != "Beule" {
		t.Errorf("media: %+v of %+v", media, h)
	}
	// Who never wrote gets no free text.
	var refused answer
	s.do("text", args{"to": sim.Customer("Max").WaID, "text": "Guten Tag"}, &refused)
	if refused.Error.Code != 131047 {
		t.Errorf("outside the window: %+v", refused)
	}
}

func TestSDKTeams(t *testing.T) {
	sim := teamssim.New(nil)
	t.Cleanup(sim.Close)
	p := stand(t, teams.New(), sim, sim.Settings, nil)
	p.account.Settings["jwks"] = teamssim.Keys()
	sim.Connect(p.hook)
	s := program(t, "teams")
	set := p.account.Settings
	s.do("open", args{"base": p.api, "app": set["app_id"], "password": set["app_password"], "tenant": set["tenant_id"]}, nil)
	type answer struct {
		Status int
		Error  string
		Heard  *struct {
			Kind, Text, User, Name, Chat, Service string
			Value                                 json.RawMessage
		}
	}
	hear := func(r channel.Request) (a answer) {
		s.do("event", args{"body": string(r.Body), "authorization": r.Header.Get("Authorization")}, &a)
		return a
	}

	erika := sim.Customer("Erika")
	must(t, erika.Open(""))
	const said = "Grüße 😀"
	_, err := erika.Write(said, "")
	must(t, err)
	r := p.next("Gr")
	e := p.text(r, said)
	a := hear(r)
	if a.Heard == nil || a.Heard.Kind != "message" || a.Heard.Text != said || a.Heard.Chat != erika.Address() || a.Heard.Name != "Erika" || e.Sender.Value != a.Heard.Chat {
		t.Fatalf("the SDK heard %+v, the driver %+v", a, e)
	}
	service := a.Heard.Service
	// The token does not cover the body, so what is bent is the token, and the address to which answers would go.
	token := r.Header.Get("Authorization")
	parts := strings.Split(token, ".")
	another := func(part string, at int) string { // one in 64 tokens has an A there already
		c := "A"
		if part[at] == 'A' {
			c = "B"
		}
		return part[:at] + c + part[at+1:]
	}
	for name, value := range map[string]string{
		"the signature": parts[0] + "." + parts[1] + "." + another(parts[2], 0), "no signature": parts[0] + "." + parts[1] + ".", "the claims": parts[0] + "." + another(parts[1], 40) + "." + parts[2], "no token": "",
	} {
		b := r
		b.Header = r.Header.Clone()
		b.Header.Set("Authorization", value)
		if value == b.Header.Get("none") {
			b.Header.Del("Authorization")
		}
		if got := hear(b); got.Heard != nil {
			t.Errorf("the SDK takes a request with another %s: %+v", name, got)
		}
		if p.verify(b) {
			t.Errorf("the driver takes a request with another %s", name)
		}
	}
	b := r
	b.Body = bytes.ReplaceAll(r.Body, []byte(service), []byte("https://evil.example/"))
	if got := hear(b); got.Heard != nil || p.verify(b) {
		t.Errorf("another serviceUrl is taken; the SDK heard %+v", got)
	}

	resp, err := http.PostForm(p.api+"/"+set["tenant_id"]+"/oauth2/v2.0/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {set["app_id"]}, "client_secret": {set["app_password"]}, "scope": {"https://api.botframework.com/.default"}})
	must(t, err)
	var access struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(resp.Body).Decode(&access)
	_ = resp.Body.Close()
	must(t, err)
	send := args{"service": service, "token": access.Token, "chat": erika.Address(), "text": "Guten Tag"}
	var id string
	s.do("send", send, &id)
	if got := p.inbox(erika, 1); got.Text != "Guten Tag" || !strings.HasSuffix(got.Ref, ";"+id) {
		t.Errorf("sent %s, got %+v", id, got)
	}
	send["card"] = args{"type": "AdaptiveCard", "version": "1.5", "body": []args{{"type": "RichTextBlock", "inlines": []args{{"type": "TextRun", "text": "Ja oder nein?"}}}},
		"actions": []args{{"type": "Action.Submit", "title": "Ja", "data": args{"a": "ja"}}, {"type": "Action.Submit", "title": "Nein", "data": args{"a": "nein"}}}}
	s.do("send", send, &id)
	if got := p.inbox(erika, 2); got.Text != "Ja oder nein?" || !slices.Equal(labels(got), []string{"Ja", "Nein"}) {
		t.Errorf("the customer got %+v", got)
	}
	must(t, erika.Press("", "Nein"))
	r = p.next("nein")
	if a := hear(r); a.Heard == nil || !bytes.Contains(a.Heard.Value, []byte("nein")) {
		t.Errorf("pressed: the SDK heard %+v", a)
	}
	send["token"] = access.Token + "x"
	if err := s.try("send", send, &id); err == nil {
		t.Error("another access token was taken")
	}
}
