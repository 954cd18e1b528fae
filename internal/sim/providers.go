package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channelsim"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
	"github.com/rufweite/rufweite/internal/channel/telegram/telegramsim"
)

// Errors of Do that callers tell apart.
var (
	ErrNoChannel = errors.New("this customer does not use that channel")
	ErrNoLine    = errors.New("there is no such message")
	ErrEmpty     = errors.New("there is nothing to send")
)

// ProvidersOptions say how the providers behave.
type ProvidersOptions struct {
	Clock *Clock // nil = real time
	// Service is the company's mail address, to which customers write.
	Service string
	// Seed makes Message-IDs the same for the same deeds.
	Seed uint64
	// Mail and Telegram are the simulators' own options; Now is set here.
	Mail     emailsim.Options
	Telegram telegramsim.Options
	// Phones are further providers, each with its own app on every customer's phone.
	Phones []channelsim.Sim
}

// Providers are the simulated providers, listening on free loopback ports, and the devices of those who Join. Close
// ends everything.
type Providers struct {
	Mail     *emailsim.Mailbox
	Telegram *telegramsim.Sim

	options ProvidersOptions
	clock   *Clock
	web     *http.Server
	browser *http.Client // customers' browsers
	base    string       // http://127.0.0.1:port
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup

	phones map[channel.Kind]*phone

	mu      sync.Mutex
	smtp    string
	devices map[string]*device
	byChat  map[int64]*device
	serial  int
	changed chan struct{}
	tell    []func(Line)
}

// device is what one customer writes with and reads on.
type device struct {
	customer *Customer
	mail     *emailsim.Client
	chat     *telegramsim.Customer
	web      *window
	lines    []*Line
	sending  sync.Mutex // one thumb
}

// StartProviders starts the simulators.
func StartProviders(o ProvidersOptions) (*Providers, error) {
	if o.Clock == nil {
		o.Clock = &Clock{}
	}
	p := &Providers{options: o, clock: o.Clock, devices: map[string]*device{}, byChat: map[int64]*device{}, phones: map[channel.Kind]*phone{}, changed: make(chan struct{})}
	p.browser = &http.Client{Transport: &http.Transport{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	var err error
	if p.Mail, err = emailsim.Start(o.Mail); err != nil {
		p.cancel()
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.cancel()
		p.Mail.Close()
		return nil, fmt.Errorf("listen for the simulated Telegram: %w", err)
	}
	o.Telegram.Now = o.Clock.Now
	p.Telegram = telegramsim.New(o.Telegram)
	p.base = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("/", p.Telegram)
	mux.HandleFunc("GET /bild/{name}", servePicture)
	for _, s := range o.Phones {
		p.mount(mux, s)
	}
	p.web = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	p.work.Go(func() { _ = p.web.Serve(l) }) // ends with Close
	p.work.Go(p.watchTelegram)
	return p, nil
}

// Close ends all deliveries and connections and waits for them.
func (p *Providers) Close() {
	p.cancel()
	p.Telegram.Close()
	for _, f := range p.phones {
		f.sim.Close()
	}
	_ = p.web.Close()
	p.Mail.Close()
	p.work.Wait()
	p.browser.CloseIdleConnections()
}

// URL is the base of the simulated Bot API and of the pictures that mails refer to.
func (p *Providers) URL() string { return p.base }

// EmailSettings are the settings of a channel that sends through the simulated mail server.
func (p *Providers) EmailSettings() channel.Settings { return p.Mail.Settings(p.options.Service) }

// TelegramSettings are the settings of the bot's channel. mode is poll or webhook.
func (p *Providers) TelegramSettings(mode string) channel.Settings {
	return channel.Settings{"token": p.Telegram.Token(), "api_url": p.base, "mode": mode}
}

// Connect says where the company receives mail (host:port), once that is known.
func (p *Providers) Connect(smtp string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.smtp = smtp
	for _, d := range p.devices {
		if d.mail != nil {
			d.mail.Server = smtp
		}
	}
}

// OnLine calls fn for everything that a customer sent, got, changed or reacted to, from then on. fn must not block.
func (p *Providers) OnLine(fn func(Line)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell = append(p.tell, fn)
}

// Join gives a customer their devices. It must be called once for each.
func (p *Providers) Join(c *Customer) {
	d := &device{customer: c}
	if c.Email != "" {
		d.mail = &emailsim.Client{Name: c.Name, Address: c.Email, Charset: c.charset, HTML: c.html, Now: p.clock.Now}
		if c.Company != "" {
			d.mail.Name = c.Name + " | " + c.Company
		}
	}
	if c.Telegram != "" {
		d.chat = p.Telegram.Customer(c.Telegram)
	}
	p.mu.Lock()
	if d.mail != nil {
		d.mail.Server = p.smtp
	}
	p.devices[c.ID] = d
	if d.chat != nil {
		p.byChat[d.chat.ID] = d
	}
	p.mu.Unlock()
	for _, kind := range c.Phones {
		p.person(kind, c)
	}
	if d.mail != nil {
		p.work.Go(func() { p.watchMail(d) })
	}
}

// watchMail reads what arrives in a customer's mailbox.
func (p *Providers) watchMail(d *device) {
	for n := 0; ; {
		mails, err := p.Mail.Wait(p.ctx, d.customer.Email, n+1)
		if err != nil {
			return // closed
		}
		for _, m := range mails[n:] {
			l := readMail(m.Raw)
			l.Channel, l.In, l.raw = Email, true, m.Raw
			l.HTML = htmlOf(m.Raw)
			l.Choices, l.Page = answerLinks(l.HTML, l.Text)
			if l.At.IsZero() {
				l.At = p.clock.Now()
			}
			p.keep(d, l)
		}
		n = len(mails)
	}
}

// watchTelegram reads what the bot sent to anybody.
func (p *Providers) watchTelegram() {
	for n := 0; ; {
		if !p.Telegram.Wait(p.ctx, func() bool { return len(p.Telegram.Ledger()) > n }) {
			return
		}
		list := p.Telegram.Ledger()
		for _, a := range list[n:] {
			p.mu.Lock()
			d := p.byChat[a.ChatID]
			p.mu.Unlock()
			if d == nil || a.MessageID == 0 {
				continue
			}
			l := Line{Channel: Telegram, In: true, Ref: strconv.FormatInt(a.MessageID, 10), Text: a.Text, At: a.At}
			if a.ReplyTo != 0 {
				l.Parent = strconv.FormatInt(a.ReplyTo, 10)
			}
			for _, b := range a.Buttons {
				l.Choices = append(l.Choices, Choice{Label: b.Text, Data: b.Data})
			}
			if len(a.File) > 0 {
				l.Files = []File{{Name: a.FileName, MediaType: http.DetectContentType(a.File), Content: a.File}}
			}
			p.keep(d, l)
		}
		n = len(list)
	}
}

// keep enters a line into the ledger.
func (p *Providers) keep(d *device, l Line) Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial++
	l.ID, l.Customer, l.Address = "z"+strconv.Itoa(p.serial), d.customer.ID, d.customer.Email
	switch l.Channel {
	case Telegram:
		l.Address = strconv.FormatInt(d.chat.ID, 10)
	case Web:
		l.Address = d.customer.Web
	default:
		if f := p.phones[l.Channel]; f != nil && f.people[d.customer.ID] != nil {
			l.Address = f.people[d.customer.ID].Address()
		}
	}
	if l.Parent != "" {
		for _, o := range d.lines {
			if o.Channel == l.Channel && o.Ref == l.Parent {
				l.ReplyTo = o.ID
			}
		}
	}
	d.lines = append(d.lines, &l)
	p.announce(l)
	return l
}

// announce wakes everybody who waits. The caller holds mu.
func (p *Providers) announce(l Line) {
	close(p.changed)
	p.changed = make(chan struct{})
	for _, fn := range p.tell {
		fn(l)
	}
}

// Thread is what a customer sees on one channel, oldest first.
func (p *Providers) Thread(customer string, kind channel.Kind) []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Line
	if d := p.devices[customer]; d != nil {
		for _, l := range d.lines {
			if l.Channel == kind {
				out = append(out, *l)
			}
		}
	}
	return out
}

// Line gives one message of a customer.
func (p *Providers) Line(customer, id string) (Line, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.find(customer, id); l != nil {
		return *l, true
	}
	return Line{}, false
}

func (p *Providers) find(customer, id string) *Line {
	d := p.devices[customer]
	if d == nil || id == "" {
		return nil
	}
	for _, l := range d.lines {
		if l.ID == id {
			return l
		}
	}
	return nil
}

// Wait returns once the condition holds, which is looked at whenever a line is new or changed; false if ctx ended
// before.
func (p *Providers) Wait(ctx context.Context, condition func() bool) bool {
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return condition()
		}
	}
}

// Do carries out what a customer does, on their device, through the provider. For a mail it returns once the
// company's server has acknowledged it. The line is as it now stands in the ledger.
func (p *Providers) Do(ctx context.Context, a Act) (Line, error) {
	p.mu.Lock()
	d := p.devices[a.Customer]
	p.mu.Unlock()
	switch {
	case d == nil:
		return Line{}, fmt.Errorf("customer %q: %w", a.Customer, ErrNoLine)
	case !d.customer.Uses(a.Channel):
		return Line{}, fmt.Errorf("%s on %s: %w", a.Customer, a.Channel, ErrNoChannel)
	case a.Kind == Write && strings.TrimSpace(a.Text) == "" && len(a.Files) == 0:
		return Line{}, ErrEmpty
	}
	d.sending.Lock()
	defer d.sending.Unlock()
	switch {
	case a.Channel == Email && a.Kind == Press:
		return p.follow(ctx, a)
	case a.Channel == Email:
		return p.sendMail(ctx, d, a)
	case a.Channel == Web:
		return p.doWeb(ctx, d, a)
	}
	if p.phones[a.Channel] != nil {
		return p.doPhone(ctx, d, a)
	}
	return p.doTelegram(d, a)
}

func (p *Providers) doTelegram(d *device, a Act) (Line, error) {
	target, ok := p.Line(a.Customer, a.Target)
	number, _ := strconv.ParseInt(target.Ref, 10, 64)
	if a.Target != "" && (!ok || target.Channel != Telegram) || a.Target == "" && (a.Kind == Edit || a.Kind == React || a.Kind == Press) {
		return Line{}, fmt.Errorf("message %q of %s: %w", a.Target, a.Customer, ErrNoLine)
	}
	switch a.Kind {
	case Join:
		d.chat.Start(a.Text)
		return Line{}, nil
	case Edit:
		d.chat.Edit(number, a.Text)
		return p.change(a.Customer, a.Target, func(l *Line) { l.Text, l.Edited = a.Text, true })
	case Press:
		if !d.chat.PressOn(number, a.Text) {
			return Line{}, fmt.Errorf("button %q of message %q of %s: %w", a.Text, a.Target, a.Customer, ErrNoLine)
		}
		return p.change(a.Customer, a.Target, func(l *Line) { l.Pressed = a.Text })
	case React:
		d.chat.React(number, a.Text)
		return p.change(a.Customer, a.Target, func(l *Line) { l.Emoji = a.Text })
	}
	var last Line
	say := func(id int64, text, parent string, files ...File) error {
		if id == 0 {
			return errors.New("the customer has blocked the bot")
		}
		last = p.keep(d, Line{Channel: Telegram, Ref: strconv.FormatInt(id, 10), Parent: parent, From: d.customer.Name, Text: text, Files: files, At: p.clock.Now()})
		return nil
	}
	caption := a.Text
	if len([]rune(caption)) > 1000 || len(a.Files) > 0 && a.Target != "" { // too long for a caption; files quote nothing here
		caption = ""
	}
	if caption == "" && a.Text != "" || len(a.Files) == 0 {
		var err error
		if a.Target != "" {
			err = say(d.chat.Reply(number, a.Text), a.Text, target.Ref)
		} else {
			err = say(d.chat.Write(a.Text), a.Text, "")
		}
		if err != nil {
			return Line{}, err
		}
	}
	for _, f := range a.Files {
		var id int64
		switch {
		case f.MediaType == "image/jpeg" || f.MediaType == "image/png":
			id = d.chat.Photo(f.Content, caption)
		case strings.HasPrefix(f.MediaType, "audio/ogg"):
			id = d.chat.Voice(f.Content, 5*time.Second)
		default:
			id = d.chat.Document(f.Name, f.MediaType, f.Content, 0, caption)
		}
		if err := say(id, caption, "", f); err != nil {
			return Line{}, err
		}
		caption = ""
	}
	return last, nil
}

func (p *Providers) change(customer, id string, fn func(*Line)) (Line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.find(customer, id)
	if l == nil {
		return Line{}, ErrNoLine
	}
	fn(l)
	p.announce(*l)
	return *l, nil
}

// Forget drops the contents of files in lines older than the newest keep ones of each customer, to bound memory.
func (p *Providers) Forget(keep int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.devices {
		for _, l := range d.lines[:max(0, len(d.lines)-keep)] {
			l.Files = slices.Clone(l.Files)
			for i := range l.Files {
				l.Files[i].Content = nil
			}
		}
	}
}
