package xmpp

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/rufweite/rufweite/internal/channel"
)

type empty struct{}

type idRef struct {
	ID string `xml:"id,attr"`
}

// message is a message stanza, as far as it is understood here; both ways.
type message struct {
	XMLName xml.Name `xml:"message"`
	From    string   `xml:"from,attr,omitempty"`
	To      string   `xml:"to,attr,omitempty"`
	ID      string   `xml:"id,attr,omitempty"`
	Type    string   `xml:"type,attr,omitempty"`
	Subject string   `xml:"subject,omitempty"`
	Body    string   `xml:"body,omitempty"`
	Nick    string   `xml:"http://jabber.org/protocol/nick nick,omitempty"` // XEP-0172

	Request   *empty `xml:"urn:xmpp:receipts request"` // XEP-0184
	Received  *idRef `xml:"urn:xmpp:receipts received"`
	Markable  *empty `xml:"urn:xmpp:chat-markers:0 markable"` // XEP-0333
	Displayed *idRef `xml:"urn:xmpp:chat-markers:0 displayed"`
	Active    *empty `xml:"http://jabber.org/protocol/chatstates active"` // XEP-0085
	Composing *empty `xml:"http://jabber.org/protocol/chatstates composing"`
	Replace   *idRef `xml:"urn:xmpp:message-correct:0 replace"` // XEP-0308
	Retract   *idRef `xml:"urn:xmpp:message-retract:1 retract"` // XEP-0424
	Reactions *struct {
		ID   string   `xml:"id,attr"`
		List []string `xml:"reaction"`
	} `xml:"urn:xmpp:reactions:0 reactions"` // XEP-0444
	Reply    *reply     `xml:"urn:xmpp:reply:0 reply"`       // XEP-0461
	Fallback []fallback `xml:"urn:xmpp:fallback:0 fallback"` // XEP-0428
	OOB      []oob      `xml:"jabber:x:oob x"`               // XEP-0066
	OMEMO    *empty     `xml:"eu.siacs.conversations.axolotl encrypted"`
	OMEMO2   *empty     `xml:"urn:xmpp:omemo:2 encrypted"`
	OpenPGP  *empty     `xml:"urn:xmpp:openpgp:0 openpgp"`
	Stanza   []stanzaID `xml:"urn:xmpp:sid:0 stanza-id"` // XEP-0359
	Origin   *idRef     `xml:"urn:xmpp:sid:0 origin-id"`
	Delay    *delay     `xml:"urn:xmpp:delay delay"` // XEP-0203
	Store    *empty     `xml:"urn:xmpp:hints store"` // XEP-0334
	Group    *empty     `xml:"http://jabber.org/protocol/muc#user x"`
	Invite   *empty     `xml:"jabber:x:conference x"`
	Error    *failure   `xml:"error"`
	Result   *archived  `xml:"urn:xmpp:mam:2 result"` // XEP-0313
}

type reply struct {
	To string `xml:"to,attr,omitempty"`
	ID string `xml:"id,attr"`
}

type fallback struct {
	For  string `xml:"for,attr,omitempty"`
	Body []struct {
		Start int `xml:"start,attr"`
		End   int `xml:"end,attr"`
	} `xml:"body"`
}

type oob struct {
	URL  string `xml:"url"`
	Desc string `xml:"desc,omitempty"`
}

type stanzaID struct {
	ID string `xml:"id,attr"`
	By string `xml:"by,attr"`
}

type delay struct {
	Stamp string `xml:"stamp,attr"`
}

type failure struct {
	Type      string `xml:"type,attr,omitempty"`
	Text      string `xml:"urn:ietf:params:xml:ns:xmpp-stanzas text,omitempty"`
	Condition []struct {
		XMLName xml.Name
	} `xml:",any"`
}

func (f *failure) condition() string {
	if f == nil || len(f.Condition) == 0 {
		return "undefined-condition"
	}
	return f.Condition[0].XMLName.Local
}

type archived struct {
	ID        string `xml:"id,attr"`
	Query     string `xml:"queryid,attr,omitempty"`
	Forwarded struct {
		Delay   *delay   `xml:"urn:xmpp:delay delay"`
		Message *message `xml:"message"`
	} `xml:"urn:xmpp:forward:0 forwarded"`
}

// Reparse implements channel.Reparser: Inbound.Raw is one message stanza.
func (Driver) Reparse(a channel.Account, raw []byte) ([]channel.Event, error) { return parse(a, raw) }

func parse(a channel.Account, raw []byte) ([]channel.Event, error) {
	var m message
	if err := xml.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("the stanza cannot be read: %w", err)
	}
	return events(a, m)
}

// events says what a stanza means; none and no error is something that is no news.
func events(a channel.Account, m message) ([]channel.Event, error) {
	from, err := jid.Parse(m.From)
	if err != nil || m.From == "" {
		return nil, errors.New("the stanza has no sender")
	}
	bare := from.Bare().String()
	self, _ := jid.Parse(a.Settings["jid"])
	if self.Localpart() != "" && bare == self.Bare().String() || self.Localpart() == "" && from.Domainpart() == self.Domainpart() {
		return nil, nil // our own words, from another client
	}
	if len(m.ID) > 1000 {
		return nil, errors.New("the stanza's id is too long")
	}
	e := channel.Event{Sender: channel.Address{Value: bare, Name: channel.CleanName(m.Nick), Assurance: channel.Observed}, At: stamp(m.Delay)}
	one := func(t channel.EventType, key string) []channel.Event {
		e.Type, e.Key = t, key
		return []channel.Event{e}
	}
	switch {
	case m.Type == "error":
		e.Sender.Assurance, e.Sender.Name = "", ""
		code := m.Error.condition()
		if !ours(m.ID, bare) {
			return nil, nil // about a receipt of ours, or made up
		}
		e.Status = &channel.Status{ExternalID: m.ID, State: channel.Failed, Code: code, Reason: reason(code)}
		if m.Error != nil {
			e.Status.Error = short(m.Error.Text, 500)
		}
		return one(channel.StatusEvent, "status:"+m.ID+":failed"), nil
	case m.Type == "groupchat" || m.Group != nil || m.Invite != nil: // XEP-0045: rooms are not served; one note for each
		e.Error = "a group chat: only conversations of two are served"
		e.Sender = channel.Address{}
		return one(channel.UnparsedEvent, channel.HashKey("room", bare)), nil
	case m.Received != nil && m.Received.ID != "":
		if !ours(m.Received.ID, bare) {
			return nil, nil
		}
		e.Status = &channel.Status{ExternalID: m.Received.ID, State: channel.Delivered}
		return one(channel.StatusEvent, "status:"+m.Received.ID+":delivered"), nil
	case m.Displayed != nil && m.Displayed.ID != "":
		if !ours(m.Displayed.ID, bare) {
			return nil, nil
		}
		e.Ref = m.Displayed.ID
		return one(channel.ReadEvent, "read:"+m.Displayed.ID+":"+bare), nil
	}
	id := m.ID
	if m.Origin != nil && m.Origin.ID != "" && id == "" {
		id = m.Origin.ID
	}
	for _, s := range m.Stanza { // XEP-0359 §4: only what our own server says counts
		if id == "" && s.By == self.Bare().String() {
			id = s.ID
		}
	}
	if id == "" {
		id = channel.HashKey("none", bare, m.Body, m.Subject, e.At.String())
	}
	key := bare + "/" + id // ids are unique for one sender only
	switch {
	case m.Reactions != nil:
		if m.Reactions.ID == "" {
			return nil, errors.New("the reaction names no message")
		}
		e.Ref = m.Reactions.ID
		if len(m.Reactions.List) > 0 { // all that the sender has on it; ours knows one
			e.Reaction = short(m.Reactions.List[len(m.Reactions.List)-1], 64)
		}
		return one(channel.ReactionEvent, "reaction:"+key), nil
	case m.Retract != nil && m.Retract.ID != "":
		e.Ref = m.Retract.ID
		return one(channel.DeleteEvent, "delete:"+key), nil
	case m.OMEMO != nil || m.OMEMO2 != nil || m.OpenPGP != nil:
		e.Message = &channel.Message{ExternalID: id, Unsupported: "encrypted message"}
		return one(channel.MessageEvent, "msg:"+key), nil
	case m.Body == "" && len(m.OOB) == 0 && m.Subject == "":
		if m.Composing != nil {
			return one(channel.TypingEvent, channel.HashKey("typing", bare, m.ID)), nil
		}
		return nil, nil // other chat states, markers that we do not ask for
	}
	out := &channel.Message{ExternalID: id, Text: m.Body, Subject: m.Subject}
	if m.Reply != nil && m.Reply.ID != "" {
		out.ReplyTo, out.Text = m.Reply.ID, withoutFallback(m.Body, m.Fallback)
	}
	for _, f := range m.OOB {
		u, err := url.Parse(f.URL)
		switch {
		case err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "":
			name := short(strings.TrimSpace(path.Base(u.Path)), 255)
			if name == "" || name == "." || name == "/" {
				name = "file"
			}
			out.Attachments = append(out.Attachments, channel.Attachment{Name: name, MediaType: mediaType(name), Remote: f.URL})
			if strings.TrimSpace(out.Text) == strings.TrimSpace(f.URL) {
				out.Text = short(f.Desc, 4000)
			}
		default:
			out.Unsupported = "file at " + short(f.URL, 200)
		}
	}
	if strings.HasPrefix(out.Text, "aesgcm://") { // XEP-0454
		out.Unsupported = "encrypted file"
	}
	if strings.TrimSpace(out.Text) == "" && out.Subject == "" && len(out.Attachments) == 0 && out.Unsupported == "" {
		out.Text, out.Unsupported = "", "empty message"
	}
	e.Message = out
	if m.Replace != nil && m.Replace.ID != "" {
		e.Ref, out.ExternalID = m.Replace.ID, m.Replace.ID
		return one(channel.EditEvent, "edit:"+bare+"/"+m.Replace.ID+":"+id), nil
	}
	return one(channel.MessageEvent, "msg:"+key), nil
}

// withoutFallback cuts what stands in for the quote, counted in characters.
func withoutFallback(body string, list []fallback) string {
	runes := []rune(body)
	for _, f := range list {
		if f.For != "urn:xmpp:reply:0" {
			continue
		}
		for _, b := range f.Body {
			if b.Start >= 0 && b.Start < b.End && b.End <= len(runes) && b.End-b.Start < len(runes) {
				return string(runes[:b.Start]) + string(runes[b.End:])
			}
		}
	}
	return body
}

func mediaType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".pdf":
		return "application/pdf"
	case ".mp4":
		return "video/mp4"
	case ".ogg", ".oga", ".opus":
		return "audio/ogg"
	case ".m4a":
		return "audio/mp4"
	}
	return "application/octet-stream"
}

func stamp(d *delay) time.Time {
	if d == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, d.Stamp)
	if err != nil || t.Year() < 1990 || t.UTC().Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

func short(s string, max int) string {
	if parts := channel.Split(s, max, channel.Bytes); len(parts) > 0 {
		return parts[0]
	}
	return ""
}

// reason says a stanza error (RFC 6120 §8.3.3) in plain words.
func reason(code string) channel.Text {
	switch code {
	case "service-unavailable", "item-not-found", "jid-malformed":
		return channel.Text{DE: "Unter dieser Adresse ist niemand erreichbar, oder der Kunde nimmt nichts an.", EN: "Nobody can be reached at this address, or the customer takes nothing."}
	case "remote-server-not-found", "remote-server-timeout":
		return channel.Text{DE: "Der Server des Kunden war nicht erreichbar.", EN: "The customer's server could not be reached."}
	case "forbidden", "not-allowed", "not-acceptable", "not-authorized", "subscription-required", "registration-required", "policy-violation":
		return channel.Text{DE: "Der Kunde oder sein Server lehnt Nachrichten von uns ab.", EN: "The customer or their server refuses messages from us."}
	case "resource-constraint":
		return channel.Text{DE: "Der Server des Kunden nimmt gerade nichts mehr an.", EN: "The customer's server takes nothing more now."}
	}
	return channel.Text{DE: "Der Server hat die Nachricht zurückgegeben.", EN: "The server returned the message."}
}
