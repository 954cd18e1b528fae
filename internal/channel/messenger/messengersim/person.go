package messengersim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rufweite/rufweite/internal/channel/channelsim"
)

// person is a customer with the app.
type person struct {
	channelsim.Chat
	s     *Sim
	id    string
	last  time.Time      // of what opens the window
	begun bool           // there is a conversation
	own   map[string]int // what the person wrote, and how often it was edited
}

// Person implements channelsim.Sim.
func (s *Sim) Person(name string) channelsim.Person {
	s.Lock()
	defer s.Unlock()
	p := s.byName[name]
	if p == nil {
		p = &person{Chat: channelsim.Chat{Name: name}, s: s, id: strconv.FormatInt(7012345678901234+s.Serial()*1009, 10), own: map[string]int{}}
		s.byName[name], s.byID[p.id] = p, p
	}
	return p
}

// knows reports whether a message is part of the conversation. The caller holds the mutex.
func (p *person) knows(mid string) bool {
	_, mine := p.own[mid]
	return mine || slices.ContainsFunc(p.Got, func(m channelsim.Message) bool { return m.Ref == mid })
}

// act is what the person does; it opens the window.
func (p *person) act(do func() error) error {
	p.s.Lock()
	defer p.s.Unlock()
	if p.Blocked {
		return channelsim.ErrBlocked
	}
	if err := do(); err != nil {
		return err
	}
	p.last, p.begun = p.s.Now(), true
	p.s.Changed()
	return nil
}

// Address implements channelsim.Person.
func (p *person) Address() string { return p.id }

// Open implements channelsim.Person: in a new conversation the person taps Get Started (Messenger) or an ice breaker
// (Instagram), in one that is there a link with a token tells of itself ("messaging_postbacks", "messaging_referrals").
func (p *person) Open(token string) error {
	return p.act(func() error {
		ref := object{"ref": token, "source": "SHORTLINK", "type": "OPEN_THREAD"}
		if p.s.instagram {
			ref["source"] = "IGME-SOURCE-LINK"
		}
		switch {
		case p.begun && token != "":
			p.s.tell(p, false, object{"referral": ref})
		case !p.begun:
			mid := p.s.mid()
			p.own[mid] = 0
			tap := object{"mid": mid, "title": "Get Started", "payload": "GET_STARTED"}
			if p.s.instagram {
				tap = object{"mid": mid, "title": "Ich habe eine Frage", "payload": "ICE_BREAKER_1"}
			}
			if token != "" {
				tap["referral"] = ref
			}
			p.s.tell(p, false, object{"postback": tap})
		}
		return nil
	})
}

// say sends a message of the person.
func (p *person) say(replyTo string, more object) (mid string, err error) {
	err = p.act(func() error {
		if replyTo != "" && !p.knows(replyTo) {
			return channelsim.ErrNothing
		}
		mid = p.s.mid()
		p.own[mid] = 0
		m := object{"mid": mid}
		for k, v := range more {
			m[k] = v
		}
		if replyTo != "" {
			m["reply_to"] = object{"mid": replyTo}
		}
		p.s.tell(p, false, object{"message": m})
		return nil
	})
	return mid, err
}

// Write implements channelsim.Person.
func (p *person) Write(text, replyTo string) (string, error) {
	if strings.TrimSpace(text) == "" || utf8.RuneCountInString(text) > 20000 {
		return "", errors.New("the app takes 1 to 20000 characters")
	}
	return p.say(replyTo, object{"text": text})
}

// Send implements channelsim.Person: a caption goes as a message of its own, as the apps do.
func (p *person) Send(f channelsim.File, caption string) (string, error) {
	kind, _, _ := strings.Cut(f.MediaType, "/")
	if kind != "image" && kind != "video" && kind != "audio" {
		kind = "file"
	}
	if p.s.instagram && kind == "file" {
		return "", channelsim.ErrCannot
	}
	p.s.Lock()
	link := p.s.store(f)
	p.s.Unlock()
	ref, err := p.say("", object{"attachments": []object{{"type": kind, "payload": object{"url": link}}}})
	if err != nil || caption == "" {
		return ref, err
	}
	_, err = p.say("", object{"text": caption})
	return ref, err
}

// Press implements channelsim.Person. Quick replies vanish as soon as something else is said.
func (p *person) Press(ref, label string) error {
	p.s.Lock()
	m, c, err := p.Find(ref, label)
	if err == nil && m.Ref != p.Got[len(p.Got)-1].Ref {
		err = channelsim.ErrNothing
	}
	if err == nil {
		p.Got[len(p.Got)-1].Choices = nil
	}
	p.s.Unlock()
	if err != nil {
		return err
	}
	_, err = p.say("", object{"text": c.Label, "quick_reply": object{"payload": c.Data}})
	return err
}

var words = map[string]string{"👍": "like", "❤": "love", "❤️": "love", "😆": "smile", "😮": "wow", "😢": "sad", "😠": "angry", "👎": "dislike"}

// React implements channelsim.Person.
func (p *person) React(ref, emoji string) error {
	return p.act(func() error {
		if !p.knows(ref) {
			return channelsim.ErrNothing
		}
		r := object{"mid": ref, "action": "unreact"}
		if emoji != "" {
			word := words[emoji]
			if word == "" {
				word = "other"
			}
			r["action"], r["reaction"], r["emoji"] = "react", word, emoji
		}
		p.s.tell(p, false, object{"reaction": r})
		return nil
	})
}

// Edit implements channelsim.Person: up to five times, in Messenger only ("message_edits").
func (p *person) Edit(ref, text string) error {
	if p.s.instagram {
		return channelsim.ErrCannot
	}
	return p.act(func() error {
		n, mine := p.own[ref]
		if !mine {
			return channelsim.ErrNothing
		}
		if n >= 5 {
			return fmt.Errorf("a message can be edited five times: %w", channelsim.ErrCannot)
		}
		p.own[ref] = n + 1
		p.s.tell(p, false, object{"message_edit": object{"mid": ref, "text": text, "num_edit": n + 1}})
		return nil
	})
}

// Unsend takes back what the person wrote, in Instagram only.
func (p *person) Unsend(ref string) error {
	if !p.s.instagram {
		return channelsim.ErrCannot
	}
	return p.act(func() error {
		if _, mine := p.own[ref]; !mine {
			return channelsim.ErrNothing
		}
		p.s.tell(p, false, object{"message": object{"mid": ref, "is_deleted": true}})
		return nil
	})
}

// Read implements channelsim.Person. Messenger tells the moment, Instagram the message; the window stays as it is.
func (p *person) Read() error {
	p.s.Lock()
	defer p.s.Unlock()
	if len(p.Got) == 0 {
		return nil
	}
	read := object{"watermark": p.s.Now().UnixMilli()}
	if p.s.instagram {
		read = object{"mid": p.Got[len(p.Got)-1].Ref}
	}
	p.s.tell(p, false, object{"read": read})
	return nil
}

// Block implements channelsim.Person.
func (p *person) Block(blocked bool) error {
	p.s.Lock()
	defer p.s.Unlock()
	p.Blocked = blocked
	p.s.Changed()
	return nil
}

// Inbox implements channelsim.Person.
func (p *person) Inbox() []channelsim.Message {
	p.s.Lock()
	defer p.s.Unlock()
	return slices.Clone(p.Got)
}
