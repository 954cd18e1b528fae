package xmpp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"mellium.im/xmpp/jid"

	"github.com/rufweite/rufweite/internal/channel"
)

// ExternalID implements channel.Identifier: we choose the id (XEP-0359, origin-id), so receipts and replies find the
// message even if we never heard that it was taken.
func (Driver) ExternalID(_ channel.Account, out channel.Outgoing) string {
	to, err := jid.Parse(out.To.Value)
	if err != nil {
		return out.DeliveryID
	}
	return stanzaOf(out.DeliveryID, 0, to.Bare().String())
}

// stanzaOf is the id of a message's n-th part. It names its recipient, so that whoever else learns of it (from a quote, a
// screenshot, a server in between) can report nothing about it.
func stanzaOf(delivery string, n int, bare string) string {
	if n > 0 {
		delivery = fmt.Sprintf("%s-%d", delivery, n)
	}
	return delivery + "." + tag(bare)
}

func tag(bare string) string {
	sum := sha256.Sum256([]byte(bare))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// ours reports whether a message with this id was written to that address.
func ours(id, bare string) bool {
	i := strings.LastIndexByte(id, '.')
	return i > 0 && id[i+1:] == tag(bare)
}

// Send implements channel.Sender. What the customer's server refuses comes later, as a StatusEvent.
func (d Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	to, err := jid.Parse(out.To.Value)
	if err != nil || to.Localpart() == "" {
		return channel.Receipt{}, &channel.SendError{Class: channel.NotHere, Err: fmt.Errorf("%q is no XMPP address", out.To.Value), Reason: channel.Text{
			DE: "Das ist keine XMPP-Adresse (name@server).", EN: "That is no XMPP address (name@server)."}}
	}
	out.Text = clean(out.Text)
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	s := d.live.get(a.ID)
	if s == nil {
		if s, err = connect(ctx, a, env); err != nil {
			return channel.Receipt{}, unreachable(err)
		}
		defer s.close()
		go func() { _ = s.serve(nil, nil) }()
	}
	n := 0
	return channel.SendParts(ctx, env, parts, func(ctx context.Context, p channel.Part) (string, error) {
		id := stanzaOf(out.DeliveryID, n, to.Bare().String())
		m := message{From: s.from(), To: to.Bare().String(), ID: id, Type: "chat", Body: p.Text, Request: &empty{}, Markable: &empty{}, Active: &empty{}, Origin: &idRef{id}}
		if p.File != nil {
			link, err := s.upload(ctx, *p.File, env)
			if err != nil {
				return "", err
			}
			m.Body, m.OOB = link, []oob{{URL: link}} // the body has to be the same for clients to show the file
		}
		if p.ReplyTo != "" {
			m.Reply = &reply{To: to.Bare().String(), ID: p.ReplyTo}
		}
		bounce := s.expect(id)
		defer s.forget(id)
		if err := s.write(m); err != nil {
			return "", channel.Uncertainly(err)
		}
		err := s.taken(ctx)
		select { // a server that knows its own users says so before it answers what was asked later
		case code := <-bounce:
			return "", refusal(code)
		default:
		}
		if err != nil {
			return "", channel.Uncertainly(err)
		}
		n++
		return id, nil
	})
}

// expect gives the error with which a message comes back while Send waits.
func (s *session) expect(id string) <-chan string {
	c := make(chan string, 1)
	s.mu.Lock()
	s.returned[id] = c
	s.mu.Unlock()
	return c
}

func (s *session) forget(id string) {
	s.mu.Lock()
	delete(s.returned, id)
	s.mu.Unlock()
}

// bounced gives a message that came back to the Send that waits for it; if there is none, it is an event.
func (s *session) bounced(m message) bool {
	from, err := jid.Parse(m.From)
	if m.Type != "error" || err != nil || !ours(m.ID, from.Bare().String()) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.returned[m.ID]
	delete(s.returned, m.ID)
	if c != nil {
		c <- m.Error.condition()
	}
	return c != nil
}

// refusal is the SendError of a stanza error (RFC 6120 §8.3.3): the message came back.
func refusal(code string) *channel.SendError {
	e := &channel.SendError{Class: channel.Permanent, Code: code, Err: errors.New("returned: " + code), Reason: reason(code)}
	switch code {
	case "service-unavailable", "item-not-found", "jid-malformed":
		e.Class = channel.NotHere
	case "forbidden", "not-allowed", "not-acceptable", "not-authorized", "subscription-required", "registration-required", "policy-violation":
		e.Class = channel.Blocked
	case "remote-server-not-found", "remote-server-timeout", "resource-constraint":
		e.Class = channel.Temporary
	}
	return e
}

// clean takes out what XML cannot carry (XML 1.0 §2.2); one such character would end the stream.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}

func unreachable(err error) *channel.SendError {
	if refusedLogin(err) {
		return &channel.SendError{Class: channel.Misconfig, Code: "not-authorized", Err: err, Reason: channel.Text{
			DE: "Der XMPP-Server nimmt die Anmeldung nicht an.", EN: "The XMPP server does not accept the login."}}
	}
	return &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{
		DE: "Der XMPP-Server ist nicht erreichbar; es wird erneut versucht.", EN: "The XMPP server cannot be reached; it is tried again."}}
}

// upload puts a file on the server's file share and gives its address (XEP-0363).
func (s *session) upload(ctx context.Context, f channel.File, env channel.Env) (string, error) {
	service, err := s.uploadService(ctx)
	if err != nil {
		return "", err
	}
	name := strings.ReplaceAll(channel.FileName(f.Name), "/", "_")
	answer, err := s.ask(ctx, iq{To: service, Type: "get", Request: &slotAsk{Name: name, Size: f.Size, Type: channel.MediaType(f.MediaType)}})
	if err != nil {
		return "", unreachable(err)
	}
	if answer.Slot == nil {
		code := answer.Error.condition()
		e := &channel.SendError{Class: channel.Permanent, Code: code, Err: fmt.Errorf("no slot for the file: %s", code), Reason: channel.Text{
			DE: "Der XMPP-Server nimmt die Datei nicht an (zu groß oder nicht erlaubt).", EN: "The XMPP server does not take the file (too large or not allowed)."}}
		if code == "resource-constraint" {
			e.Class, e.RetryAfter = channel.RateLimited, time.Minute
		}
		return "", e
	}
	call := channel.Call{Method: http.MethodPut, URL: answer.Slot.Put.URL, Type: channel.MediaType(f.MediaType), Open: f.Open, Size: f.Size, Timeout: 2 * time.Minute}
	for _, h := range answer.Slot.Put.Header { // XEP-0363 §4: these three only
		switch http.CanonicalHeaderKey(h.Name) {
		case "Authorization", "Cookie", "Expires":
			call = call.With(h.Name, strings.NewReplacer("\r", "", "\n", "").Replace(h.Value), h.Value)
		}
	}
	put, err := call.Do(ctx, env.HTTP)
	if err == nil && !put.OK() {
		err = fmt.Errorf("the file share answered %d", put.Status)
	}
	if err != nil { // nobody saw anything yet
		var se *channel.SendError
		if errors.As(err, &se) && se.Class == channel.Misconfig {
			return "", se
		}
		return "", &channel.SendError{Class: channel.Temporary, Err: err, Reason: channel.Text{DE: "Die Datei ließ sich nicht hochladen; es wird erneut versucht.", EN: "The file could not be uploaded; it is tried again."}}
	}
	return answer.Slot.Get.URL, nil
}

func (s *session) uploadService(ctx context.Context) (string, error) {
	domain := s.self.Domain().String()
	if s.component {
		if _, after, ok := strings.Cut(domain, "."); ok {
			domain = after
		}
	}
	list, err := s.ask(ctx, iq{To: domain, Type: "get", Items: &items{}})
	if err != nil {
		return "", unreachable(err)
	}
	candidates := []string{domain}
	if list.Items != nil {
		for _, i := range list.Items.Item[:min(len(list.Items.Item), 20)] {
			candidates = append(candidates, i.JID)
		}
	}
	for _, c := range candidates {
		answer, err := s.ask(ctx, iq{To: c, Type: "get", Info: &info{}})
		if err != nil {
			return "", unreachable(err)
		}
		if answer.Info != nil {
			for _, f := range answer.Info.Feature {
				if f.Var == "urn:xmpp:http:upload:0" {
					return c, nil
				}
			}
		}
	}
	return "", &channel.SendError{Class: channel.Permanent, Code: "feature-not-implemented", Err: errors.New("no file share"), Reason: channel.Text{
		DE: "Der XMPP-Server hat keine Dateiablage (XEP-0363).", EN: "The XMPP server has no file share (XEP-0363)."}}
}

// FetchMedia implements channel.Fetcher: the address comes from the customer, so nothing of ours goes there, and
// Env.HTTP keeps it away from our own network.
func (Driver) FetchMedia(ctx context.Context, _ channel.Account, remote string, env channel.Env) (io.ReadCloser, error) {
	if !strings.HasPrefix(remote, "https://") && !strings.HasPrefix(remote, "http://") {
		return nil, &channel.SendError{Class: channel.Permanent, Err: errors.New("not an address of a page"), Reason: channel.Text{
			DE: "Die Nachricht nennt keine Datei.", EN: "The message names no file."}}
	}
	return channel.Call{URL: remote}.Media(ctx, env.HTTP, attachmentMax)
}
