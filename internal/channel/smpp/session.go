package smpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"github.com/rufweite/rufweite/internal/channel"
)

// Timers (SMPP §7.2); variables for tests.
var (
	enquireEvery             = 30 * time.Second // enquire_link_timer: below the minute after which many SMSCs hang up
	responseTime             = 60 * time.Second // response_timer of submit_sm
	aliveTime                = 15 * time.Second // for bind, enquire_link and unbind
	confirmAfter             = 2 * time.Second  // how soon after an acknowledgement the SMSC is asked for a sign that it has read it
	throttlePause, fullPause = time.Second, 5 * time.Second
)

var (
	errEnded    = errors.New("the connection to the SMSC ended")
	errNoAnswer = errors.New("the SMSC did not answer in time")
)

// refusal is a command_status that is not ESME_ROK.
type refusal struct {
	what   string
	status status
}

func (r refusal) Error() string { return fmt.Sprintf("%s: %s", r.what, r.status) }

// session is one bound connection.
type session struct {
	net.Conn
	window  chan struct{} // one token per request without an answer
	pace    *pace
	inbound chan arrival
	done    chan struct{} // closed when the connection has ended
	cause   error         // why; read after done

	mu      sync.Mutex // of writing, and of what follows
	seq     uint32
	waiting map[uint32]*waiter
	acks    int64 // acknowledgements that were written
	ended   bool

	confirmed atomic.Int64  // how many of them the SMSC has read for certain
	confirm   chan struct{} // told when that grew
	work      sync.WaitGroup
	late      func(w *waiter, f frame) // an answer that nobody waits for any more; may be nil
}

// arrival is a delivery and when it was read.
type arrival struct {
	frame
	at time.Time
}

// waiter waits for the answer to a request of ours.
type waiter struct {
	answer  chan frame
	acks    int64  // acknowledgements written before it
	window  bool   // it holds a token
	gone    bool   // nobody waits any more
	message string // whose answer it is: DeliveryID of a message that has one part
}

// pace spreads what is sent over time; one for all sessions of an account in this process.
type pace struct {
	mu    sync.Mutex
	every time.Duration
	next  time.Time
}

// wait waits until one more message may be sent.
func (p *pace) wait(ctx context.Context, done <-chan struct{}) error {
	p.mu.Lock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(p.every)
	p.mu.Unlock()
	if d := at.Sub(now); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return errEnded
		}
	}
	return nil
}

// pause sends nothing for a while.
func (p *pace) pause(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := time.Now().Add(d); p.next.Before(at) {
		p.next = at
	}
}

// connect makes the connection, with TLS unless the settings say otherwise.
func connect(ctx context.Context, s channel.Settings, env channel.Env) (net.Conn, error) {
	if env.Dial == nil {
		return nil, errors.New("there is no way into the network")
	}
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	c, err := env.Dial.DialContext(ctx, "tcp", net.JoinHostPort(s["host"], s["port"]))
	if err != nil {
		return nil, err
	}
	if s.Or("tls", tlsOn) == tlsOff {
		return c, nil
	}
	config := &tls.Config{ServerName: s["host"], MinVersion: tls.VersionTLS12}
	if ca := s["tls_ca"]; ca != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(ca))
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return t, nil
}

// bind connects and binds (SMPP §4.1).
func bind(ctx context.Context, a channel.Account, env channel.Env, kind pdu.BindingType, p *pace, late func(w *waiter, f frame)) (*session, error) {
	conn, err := connect(ctx, a.Settings, env)
	if err != nil {
		return nil, err
	}
	size, err := strconv.Atoi(a.Settings.Or("window_size", strconv.Itoa(defaultWindow)))
	if err != nil || size < 1 {
		size = defaultWindow
	}
	s := &session{Conn: conn, window: make(chan struct{}, size), pace: p, inbound: make(chan arrival, 1000), done: make(chan struct{}),
		waiting: map[uint32]*waiter{}, confirm: make(chan struct{}, 1), late: late}
	b := pdu.NewBindRequest(kind)
	b.SystemID, b.Password, b.SystemType = a.Settings["system_id"], a.Settings["password"], a.Settings["system_type"]
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(aliveTime))
	fail := func(err error) (*session, error) {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("bind: %w", err)
	}
	if _, err := conn.Write(marshal(b, s.number())); err != nil {
		return fail(err)
	}
	for {
		f, err := readFrame(conn)
		switch {
		case err != nil:
			return fail(err)
		case f.command == genericNack, f.command == command(uint32(b.CommandID))|response:
			if f.status != 0 {
				return fail(refusal{"bind", f.status})
			}
			if f.command == genericNack {
				return fail(refusal{"bind", status(data.ESME_RINVCMDID)})
			}
		case f.command == enquireLink: // some ask at once
			if _, err := conn.Write(headerOnly(enquireLink|response, 0, f.seq)); err != nil {
				return fail(err)
			}
			continue
		case f.command == deliverSM, f.command == dataSM: // some do not wait for their own answer to have arrived
			s.inbound <- arrival{f, time.Now()}
			continue
		default:
			continue
		}
		break
	}
	_ = conn.SetDeadline(time.Time{})
	s.work.Go(s.read)
	s.work.Go(s.enquire)
	return s, nil
}

// number gives the next sequence_number (SMPP §3.2: 0x00000001 to 0x7FFFFFFF). The caller holds the mutex, or is alone.
func (s *session) number() uint32 {
	if s.seq++; s.seq > 0x7FFFFFFF {
		s.seq = 1
	}
	return s.seq
}

// end closes the connection; the first cause counts.
func (s *session) end(cause error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended, s.cause = true, cause
	s.mu.Unlock()
	_ = s.Close()
	close(s.done)
}

// write sends bytes; they are written whole or the connection ends.
func (s *session) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(b)
}

func (s *session) writeLocked(b []byte) error {
	if s.ended {
		return errEnded
	}
	_ = s.SetWriteDeadline(time.Now().Add(aliveTime))
	_, err := s.Conn.Write(b)
	if err != nil {
		go s.end(fmt.Errorf("write: %w", err))
	}
	return err
}

// request sends a PDU of ours and registers who waits for its answer.
func (s *session) request(make func(seq uint32) []byte, w *waiter) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := s.number()
	w.answer, w.acks = newAnswer(), s.acks
	s.waiting[seq] = w
	if err := s.writeLocked(make(seq)); err != nil {
		delete(s.waiting, seq)
		return 0, err
	}
	return seq, nil
}

func newAnswer() chan frame { return make(chan frame, 1) }

// acknowledge answers a delivery and gives the number of that acknowledgement.
func (s *session) acknowledge(f frame, st status) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.writeLocked(answerTo(f, st))
	s.acks++
	return s.acks, err
}

// read reads until the connection ends.
func (s *session) read() {
	for {
		f, err := readFrame(s.Conn)
		if err != nil {
			s.end(fmt.Errorf("read: %w", err))
			return
		}
		switch f.command {
		case deliverSM, dataSM:
			select {
			case s.inbound <- arrival{f, time.Now()}:
			default: // more than any window: it comes again
				_ = s.write(answerTo(f, status(data.ESME_RX_T_APPN)))
			}
		case enquireLink:
			_ = s.write(headerOnly(enquireLink|response, 0, f.seq))
		case unbind:
			_ = s.write(headerOnly(unbind|response, 0, f.seq))
			s.end(errors.New("the SMSC unbound"))
			return
		case alertNotificaton: // has no response
		default:
			if f.command&response != 0 {
				s.answered(f)
			} else {
				_ = s.write(headerOnly(genericNack, status(data.ESME_RINVCMDID), f.seq))
			}
		}
	}
}

// answered hands an answer to who waits for it.
func (s *session) answered(f frame) {
	s.mu.Lock()
	w := s.waiting[f.seq]
	delete(s.waiting, f.seq)
	s.mu.Unlock()
	if w == nil {
		return
	}
	// What was written before this request has been read before it: one connection, one order.
	if w.acks > s.confirmed.Load() {
		s.confirmed.Store(w.acks)
		select {
		case s.confirm <- struct{}{}:
		default:
		}
	}
	s.mu.Lock()
	gone := w.gone
	w.answer <- f
	s.mu.Unlock()
	if w.window {
		<-s.window
	}
	if gone && s.late != nil {
		s.late(w, f)
	}
}

// enquire keeps the connection alive and ends one that is dead; after acknowledgements it asks earlier.
func (s *session) enquire() {
	tick := time.NewTicker(confirmAfter)
	defer tick.Stop()
	last, asked := time.Now(), int64(0)
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		acks := s.acks
		s.mu.Unlock()
		if time.Since(last) < enquireEvery && (acks <= s.confirmed.Load() || acks == asked) {
			continue
		}
		last, asked = time.Now(), acks
		if err := s.ask(enquireLink); err != nil {
			s.end(fmt.Errorf("enquire_link: %w", err))
			return
		}
	}
}

// ask makes a request without a body and waits for its answer.
func (s *session) ask(c command) error {
	w := &waiter{}
	if _, err := s.request(func(seq uint32) []byte { return headerOnly(c, 0, seq) }, w); err != nil {
		return err
	}
	t := time.NewTimer(aliveTime)
	defer t.Stop()
	select {
	case <-w.answer:
		return nil
	case <-s.done:
		return errEnded
	case <-t.C:
		return errNoAnswer
	}
}

// unbind ends the session in good order and waits for what it started.
func (s *session) unbind() {
	if s.ask(unbind) == nil {
		s.end(errors.New("unbound"))
	}
	s.end(errNoAnswer)
	s.work.Wait()
}

// submit sends one submit_sm and waits for its answer. written tells whether the SMSC may have it.
func (s *session) submit(ctx context.Context, p *pdu.SubmitSM, message string) (id string, written bool, err error) {
	select {
	case s.window <- struct{}{}:
	case <-ctx.Done():
		return "", false, ctx.Err()
	case <-s.done:
		return "", false, errEnded
	}
	if err := s.pace.wait(ctx, s.done); err != nil {
		<-s.window
		return "", false, err
	}
	w := &waiter{window: true, message: message}
	seq, err := s.request(func(seq uint32) []byte { return marshal(p, seq) }, w)
	if err != nil {
		<-s.window
		return "", false, err // a PDU that is cut is none
	}
	t := time.NewTimer(responseTime)
	defer t.Stop()
	select {
	case f := <-w.answer:
		if f.status != 0 {
			switch f.status {
			case status(data.ESME_RTHROTTLED):
				s.pace.pause(throttlePause)
			case status(data.ESME_RMSGQFUL):
				s.pace.pause(fullPause)
			}
			return "", true, refusal{"submit_sm", f.status}
		}
		id, _, _ := cString(append(f.body(), 0))
		return id, true, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.done:
		return "", true, errEnded
	case <-t.C:
		// A window that an SMSC never empties must not stop everything.
		s.mu.Lock()
		if s.waiting[seq] == w {
			delete(s.waiting, seq)
			<-s.window
		}
		s.mu.Unlock()
		return "", true, errNoAnswer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case f := <-w.answer: // at the same moment
		if f.status != 0 {
			return "", true, refusal{"submit_sm", f.status}
		}
		id, _, _ := cString(append(f.body(), 0))
		return id, true, nil
	default:
		w.gone = true
		s.forget(seq, w)
		return "", true, err
	}
}

// forget frees the window of a request that is never answered.
func (s *session) forget(seq uint32, w *waiter) {
	time.AfterFunc(responseTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting[seq] == w {
			delete(s.waiting, seq)
			<-s.window
		}
	})
}
