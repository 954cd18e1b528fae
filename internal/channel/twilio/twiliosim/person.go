package twiliosim

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// person is a customer with a mobile phone.
type person struct {
	sim    *Sim
	number string
	chat   channelsim.Chat
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.people[name]
	if p == nil {
		p = &person{sim: s, number: fmt.Sprintf("+49151%08d", 23450001+len(s.people)), chat: channelsim.Chat{Name: name}}
		s.people[name], s.byAddress[p.number] = p, p
	}
	return p
}

// Address implements channelsim.Person.
func (p *person) Address() string { return p.number }

// Open implements channelsim.Person. There is nothing to open in SMS, and no link carries a token.
func (p *person) Open(token string) error {
	if token != "" {
		return channelsim.ErrCannot
	}
	return nil
}

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) {
	if replyTo != "" {
		return "", channelsim.ErrCannot
	}
	first := ""
	for _, part := range channel.Split(text, textMax, channel.UTF16) {
		id := p.incoming("SM", part, nil)
		if first == "" {
			first = id
		}
	}
	return first, nil
}

// Send implements channelsim.Person: an MMS.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	return p.incoming("MM", caption, []channelsim.File{f}), nil
}

func (p *person) incoming(prefix, text string, files []channelsim.File) string {
	s := p.sim
	s.Lock()
	defer s.Unlock()
	id := s.sid(prefix)
	form := url.Values{"ToCountry": {"DE"}, "FromCountry": {"DE"}, "ToState": {""}, "ToCity": {""}, "FromState": {""}, "FromCity": {""}, "FromZip": {""}, "ToZip": {""},
		"SmsMessageSid": {id}, "SmsSid": {id}, "MessageSid": {id}, "SmsStatus": {"received"}, "NumMedia": {strconv.Itoa(len(files))},
		"NumSegments": {strconv.Itoa(segments(text))}, "Body": {text}, "From": {p.number}, "To": {From}, "AccountSid": {AccountSID}, "ApiVersion": {"2010-04-01"}}
	for i, f := range files {
		media := s.sid("ME")
		s.media[media] = f
		form.Set("MediaUrl"+strconv.Itoa(i), s.base+"/2010-04-01/Accounts/"+AccountSID+"/Messages/"+id+"/Media/"+media)
		form.Set("MediaContentType"+strconv.Itoa(i), f.MediaType)
	}
	switch strings.ToUpper(strings.TrimSpace(text)) {
	case "STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL": // "Advanced Opt-Out": the standard words
		s.stopped[p.number] = true
		form.Set("OptOutType", "STOP")
	case "START", "UNSTOP":
		delete(s.stopped, p.number)
		form.Set("OptOutType", "START")
	case "HELP", "INFO":
		form.Set("OptOutType", "HELP")
	}
	s.messages = append(s.messages, &message{SID: id, AccountSID: AccountSID, From: p.number, To: From, Body: text, Status: "received", Direction: "inbound",
		NumSegments: form.Get("NumSegments"), NumMedia: form.Get("NumMedia"), DateCreated: s.date(), DateUpdated: s.date(), PriceUnit: "USD", APIVersion: "2010-04-01"})
	s.Incoming.Push(p.number, []byte(form.Encode()))
	return id
}

// Press implements channelsim.Person.
func (*person) Press(string, string) error { return channelsim.ErrCannot }

// React implements channelsim.Person.
func (*person) React(string, string) error { return channelsim.ErrCannot }

// Edit implements channelsim.Person.
func (*person) Edit(string, string) error { return channelsim.ErrCannot }

// Read implements channelsim.Person: nobody is told.
func (*person) Read() error { return channelsim.ErrCannot }

// Block implements channelsim.Person: by STOP, and START ends it. A block in the phone itself is told nobody.
func (p *person) Block(blocked bool) error {
	word := "START"
	if blocked {
		word = "STOP"
	}
	_, err := p.Write(word, "")
	return err
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.sim.Lock()
	defer p.sim.Unlock()
	return append([]channelsim.Message(nil), p.chat.Got...)
}
