package sim

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// ActKind is what a thumb does.
type ActKind string

// Kinds of acts.
const (
	Write ActKind = "write"
	Edit  ActKind = "edit"  // change an own message (chat only)
	React ActKind = "react" // put an emoji on a message (chat only)
	Press ActKind = "press" // press a choice of Target; Text is its label. In a mail: follow its link and confirm there
	Join  ActKind = "join"  // open the chat by pressing Start; Text is the deep link's token
)

// Act is one thing that a customer does.
type Act struct {
	After    time.Duration // since what led to it
	Customer string
	Channel  channel.Kind
	Kind     ActKind
	Target   string // Line.ID: what is answered, changed or reacted to; "" = nothing
	Subject  string // mail; "" = the thread's
	Text     string
	Files    []File
	// Correct is the text without the slip of the thumb, to which the message is changed a moment later.
	Correct string
	Sense   Sense
	Story   string // key of the concern
}

// Sense is what an act means in its concern.
type Sense string

// Senses.
const (
	Opens   Sense = "opens"
	Answers Sense = "answers" // what the company asked for
	Asks    Sense = "asks"    // one more question
	Waits   Sense = "waits"   // has understood that it takes a while
	Reminds Sense = "reminds"
	Replies Sense = "replies" // answers a machine's question
	Thanks  Sense = "thanks"  // the concern is settled
)

// person is a customer with what is on their mind.
type person struct {
	*Customer
	rng     *rand.Rand
	concern *concern
	ended   time.Time       // when the last concern was settled
	held    time.Time       // somebody else acts for them until then
	shots   int             // pictures taken
	told    map[string]bool // stories that were theirs
	united  bool            // the company knows that both addresses are theirs
}

// concern is one thing that a customer wants.
type concern struct {
	story     *story
	channel   channel.Kind
	own       Line // last message of the customer
	details   []string
	follow    []qa
	asked     qa // the question that they asked last
	waiting   bool
	since     time.Time // waiting since
	reminders int
	pictures  int
	papers    int
	solved    bool // the company's script has given its solution
	settled   bool
}

// cast is what all people of a population draw from, so that they do not all say the same.
type cast struct {
	rng   *rand.Rand
	decks map[string][]int
	staff map[string]string // name → how customers address them: "Frau Demir"
}

// deal takes the next of a list in an order of its own; nothing comes twice before everything came once.
func (c *cast) deal(deck string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	rest := c.decks[deck]
	if len(rest) == 0 {
		rest = c.rng.Perm(len(list))
	}
	c.decks[deck] = rest[1:]
	return list[rest[0]]
}

// story draws a kind of concern by weight.
func (c *cast) story() *story {
	rest := c.decks["story"]
	if len(rest) == 0 {
		for i, s := range stories {
			for range s.weight {
				rest = append(rest, i)
			}
		}
		c.rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	c.decks["story"] = rest[1:]
	return &stories[rest[0]]
}

// begin opens a new concern.
func (c *cast) begin(p *person, now time.Time) Act {
	s := c.story()
	for range 6 { // nobody tells the same story twice, as long as there are others
		if !p.told[s.key] {
			break
		}
		s = c.story()
	}
	p.told[s.key] = true
	kind := p.Channels[p.rng.IntN(len(p.Channels))]
	k := &concern{story: s, channel: kind, waiting: true, since: now}
	for _, i := range p.rng.Perm(len(s.details)) {
		k.details = append(k.details, s.details[i])
	}
	for _, i := range p.rng.Perm(len(s.follow)) {
		k.follow = append(k.follow, s.follow[i])
	}
	p.concern = k
	a := Act{Customer: p.ID, Channel: kind, Kind: Write, Sense: Opens, Story: s.key}
	if kind == Email {
		a.Subject = c.deal("subject "+s.key, s.subjects)
		a.Text = c.deal("mail "+s.key, s.mail)
		greet, bye := greetFriendly, byeFriendly
		switch p.tone {
		case formal:
			greet, bye = greetFormal, byeFormal
		case brief:
			bye = byeBrief
		}
		a.Text = greet[p.rng.IntN(len(greet))] + "\n\n" + a.Text + "\n\n" + bye[p.rng.IntN(len(bye))]
	} else {
		a.Text = c.deal("chat "+s.key, s.chat)
		if p.tone != brief {
			a.Text = chatHello[p.rng.IntN(len(chatHello))] + a.Text
			a.Text = strings.Replace(a.Text, "! Hallo, ", "! ", 1)
		}
	}
	if s.opening != "" {
		a.Files = append(a.Files, p.shoot(s.opening))
		k.pictures++
	}
	return c.finish(p, a)
}

// shoot takes a picture.
func (p *person) shoot(what string) File {
	p.shots++
	variant := p.Hue + p.shots
	return File{Name: fmt.Sprintf("IMG_%04d.jpg", 1000+(variant*37)%9000), MediaType: "image/jpeg", Content: Picture(what, variant)}
}

func (p *person) paper(title string) File {
	lines := []string{"Kunde: {name}", "Anschrift: {adresse}", "", "Vertrag: {kfz} / {hausrat}", "Betrag: {betrag}", "", "Dies ist ein Beispiel aus der Vorführung von Rufweite."}
	for i := range lines {
		lines[i] = p.facts.Replace(lines[i])
	}
	return File{Name: strings.ReplaceAll(title, " ", "_") + ".pdf", MediaType: "application/pdf", Content: Document(title, lines...)}
}

// finish puts the customer's facts in, and now and then a slip of the thumb.
func (c *cast) finish(p *person, a Act) Act {
	a.Text, a.Subject = p.facts.Replace(a.Text), p.facts.Replace(a.Subject)
	if a.Channel == Telegram && a.Kind == Write && len(a.Files) == 0 && len(a.Text) > 25 && p.rng.IntN(8) == 0 {
		if slip := misspell(a.Text, p.rng); slip != a.Text {
			a.Correct, a.Text = a.Text, slip
		}
	}
	return a
}

// misspell swaps two letters inside a word.
func misspell(s string, rng *rand.Rand) string {
	words := strings.Split(s, " ")
	for _, i := range rng.Perm(len(words)) {
		w := []rune(words[i])
		if len(w) < 7 || strings.ContainsFunc(words[i], func(r rune) bool { return r < 'A' || r > 'z' || r > 'Z' && r < 'a' }) {
			continue
		}
		if j := 2 + rng.IntN(len(w)-4); w[j] != w[j+1] {
			w[j], w[j+1] = w[j+1], w[j]
			words[i] = string(w)
			return strings.Join(words, " ")
		}
	}
	return s
}

// heard is what a customer makes of an answer.
type heard struct{ picture, paper, phone, iban, plate, number, question, promise bool }

var (
	pictureWords = regexp.MustCompile(`(?i)\b(fotos?|bild(er)?|aufnahmen?)\b`)
	paperWords   = regexp.MustCompile(`(?i)\b(pdf|dokumente?|unterlagen|formular|rechnung|beleg|kaufbeleg|kopie|scan|anzeige|mandat|schreiben)\b`)
	askingWords  = regexp.MustCompile(`(?i)\b(schicken|senden|mailen|schick|sende|brauchen?|benötigen?|zusenden|nachreichen)\b`)
	phoneWords   = regexp.MustCompile(`(?i)(anrufen|telefonnummer|telefonisch|rückruf|rufe sie|zurückrufen)`)
	promiseWords = regexp.MustCompile(`(?i)(melde mich|kümmere|prüfe|gebe es|weitergegeben|hören von mir|frage nach|frage die|schaue|sehe nach|bis morgen)`)
)

// understand reads an answer, without what it quotes.
func understand(text string) heard {
	s := own(text)
	low := strings.ToLower(s)
	h := heard{question: strings.Contains(s, "?"), promise: promiseWords.MatchString(s), phone: phoneWords.MatchString(s)}
	wants := h.question || askingWords.MatchString(s) || strings.Contains(low, "bitte")
	h.picture = wants && pictureWords.MatchString(s) && !strings.Contains(low, "danke für das foto") && !strings.Contains(low, "danke für das bild")
	h.paper = wants && paperWords.MatchString(s) && (askingWords.MatchString(s) || h.question)
	h.iban = wants && (strings.Contains(low, "iban") || strings.Contains(low, "kontonummer") || strings.Contains(low, "bankverbindung?"))
	h.plate = wants && strings.Contains(low, "kennzeichen") && h.question
	h.number = wants && (strings.Contains(low, "vertragsnummer") || strings.Contains(low, "versicherungsnummer"))
	return h
}

// react is what a customer does about a message of the company. delay draws how long it takes them.
func (c *cast) react(p *person, l Line, now time.Time, delay func() time.Duration) []Act {
	if q, machine := readQuestion(l); machine {
		return c.reply(p, l, q, now, delay)
	}
	k := p.concern
	if k == nil || k.settled && now.Sub(p.ended) > 48*time.Hour {
		k = &concern{story: &story{key: "small", thanks: small}, channel: l.Channel} // the company wrote first
		p.concern = k
	}
	k.channel = l.Channel
	h := understand(l.Text)
	a := Act{After: delay(), Customer: p.ID, Channel: l.Channel, Kind: Write, Target: l.ID, Story: k.story.key}
	if l.Channel == Telegram && p.rng.IntN(4) > 0 {
		a.Target = "" // few people quote in a chat
	}
	emoji := func(sense Sense) []Act {
		return []Act{{After: a.After, Customer: p.ID, Channel: Telegram, Kind: React, Target: l.ID, Text: doneEmoji[p.rng.IntN(len(doneEmoji))], Sense: sense, Story: k.story.key}}
	}
	var say []string
	if h.picture && k.story.picture != "" {
		a.Files = append(a.Files, p.shoot(k.story.picture))
		if k.pictures++; k.pictures == 1 {
			say = append(say, c.deal("withPicture", withPicture))
		} else {
			say = append(say, c.deal("morePicture", morePicture))
		}
	}
	if h.picture && k.story.picture == "" {
		say = append(say, c.deal("noPicture", noPicture))
	}
	if h.paper && k.story.paper == "" && !h.picture {
		say = append(say, c.deal("noPaper", noPaper))
	}
	if h.paper && k.papers == 0 && k.story.paper != "" {
		k.papers++
		a.Files = append(a.Files, p.paper(k.story.paper))
		say = append(say, c.deal("withPaper", withPaper))
	}
	for _, w := range []struct {
		heard bool
		deck  string
		list  []string
	}{{h.phone, "withPhone", withPhone}, {h.iban, "withIBAN", withIBAN}, {h.plate, "withPlate", withPlate}, {h.number, "withNumber", withNumber}} {
		if w.heard && len(say) < 2 {
			say = append(say, c.deal(w.deck, w.list))
		}
	}
	if h.question && (len(say) == 0 || len(say) == 1 && p.rng.IntN(3) > 0) {
		switch {
		case len(k.details) > 0:
			say = append(say, k.details[0])
			k.details = k.details[1:]
		case len(say) == 0:
			say = append(say, c.deal("noMore", noMore))
		}
	}
	switch {
	case len(say) > 0:
		a.Sense = Answers
		k.wait(now)
	case k.settled: // it is over; a chat gets a thumb now and then
		if l.Channel == Telegram && p.rng.IntN(2) == 0 {
			return emoji(Thanks)
		}
		return nil
	case h.promise && !k.solved:
		k.wait(now)
		if l.Channel == Telegram && p.rng.IntN(3) == 0 {
			return emoji(Waits)
		}
		a.Sense, say = Waits, []string{c.deal("waits", waits)}
	case len(k.follow) > 0 && p.rng.IntN(9) < 4:
		k.asked = k.follow[0]
		k.follow = nil
		a.Sense, say = Asks, []string{k.asked.q}
		k.wait(now)
	default:
		k.settle(p, now)
		if l.Channel == Telegram && p.rng.IntN(4) == 0 {
			return emoji(Thanks)
		}
		a.Sense, say = Thanks, []string{c.deal("thanks "+k.story.key, k.story.thanks)}
	}
	a.Text = strings.Join(say, " ")
	switch {
	case l.Channel == Email && p.united && a.Sense != Thanks && p.rng.IntN(3) == 0: // the same concern, by another way
		a.Channel, a.Target, k.channel = Telegram, "", Telegram
		a.Text = c.deal("elsewhere", elsewhere) + a.Text
	case l.Channel == Email:
		a.Text = c.letter(p, a.Text, l.From)
	}
	a = c.finish(p, a)
	if a.Sense == Thanks && l.Channel == Telegram && p.rng.IntN(3) == 0 { // both: a thumb, then words
		up := emoji(Thanks)[0]
		up.After = a.After / 2
		return []Act{up, a}
	}
	return []Act{a}
}

// letter puts greeting and regards around an answer by mail, as far as people do that in a thread.
func (c *cast) letter(p *person, text, from string) string {
	if p.rng.IntN(3) > 0 {
		greet := "Guten Tag!"
		for name, address := range c.staff {
			if strings.Contains(from, name) {
				dear := "Lieber"
				if strings.HasPrefix(address, "Frau") {
					dear = "Liebe"
				}
				greet = strings.NewReplacer("{berater}", address, "{lieb}", dear).Replace(greetNamed[p.rng.IntN(len(greetNamed))])
			}
		}
		text = greet + "\n\n" + text
	}
	if p.rng.IntN(4) > 0 {
		bye := byeFriendly
		switch p.tone {
		case formal:
			bye = byeFormal
		case brief:
			bye = byeBrief
		}
		text += "\n\n" + bye[p.rng.IntN(len(bye))]
	}
	return text
}

// remind asks whether anything happened, sometimes on the other channel.
func (c *cast) remind(p *person, now time.Time) Act {
	k := p.concern
	a := Act{Customer: p.ID, Channel: k.channel, Kind: Write, Sense: Reminds, Story: k.story.key}
	if k.reminders == 0 {
		a.Text = c.deal("reminds", reminds)
	} else {
		a.Text = c.deal("remindsSore", remindsSore)
	}
	k.reminders++
	k.since = now
	switch {
	case k.channel == Email && p.Uses(Telegram) && p.rng.IntN(2) == 0:
		a.Channel, k.channel = Telegram, Telegram
		a.Text = c.deal("elsewhere", elsewhere) + a.Text
	case k.channel == Email:
		a.Target = k.own.ID // under one's own mail
		a.Text = c.letter(p, a.Text, "")
	}
	return c.finish(p, a)
}

func (k *concern) wait(now time.Time) { k.waiting, k.since = true, now }

func (k *concern) settle(p *person, now time.Time) {
	k.waiting, k.settled = false, true
	p.ended = now
}
