package email

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Pulling an existing mailbox by IMAP (RFC 3501). The mailbox may be used by people at the same time, so we only ever
// look: the folder is opened to read only, mails are fetched with BODY.PEEK, and nothing is marked, moved or deleted.
// What we have is known by UID and, where UIDs begin anew, by the mail's own key, which is the same as for a mail that
// comes by SMTP.

var _ channel.Listener = Driver{}

// Values of imap_first: what is taken when a mailbox is connected.
const (
	firstUnread = "unread" // unread mails of the last 30 days
	firstNew    = "new"    // none of those that are there
	firstMonth  = "month"  // all mails of the last 30 days
	firstAll    = "all"    // the whole folder
)

var firstValues = []string{firstUnread, firstNew, firstMonth, firstAll}

const firstDays = 30

// imapPace is how the pulling keeps time.
type imapPace struct {
	idle     time.Duration // so long one IDLE may last; servers end it after 30 minutes (RFC 2177), routers forget earlier
	poll     time.Duration // between two questions to a server without IDLE
	back     time.Duration // first pause after a failure; doubles
	backMax  time.Duration
	patience int // failures in a row before the channel turns red
	stuck    int // failures at one mail in a row before it becomes a work item
}

var defaultPace = imapPace{idle: 9 * time.Minute, poll: time.Minute, back: time.Second, backMax: time.Minute, patience: 6, stuck: 4}

// Limits of one pulled mail.
const (
	imapMaxBytes  = 35 << 20  // as in the SMTP receiver
	imapExcerpt   = 256 << 10 // of a larger one
	imapBigBytes  = 1 << 20
	imapSizeBatch = 200
)

// imapBig lets a few large mails be in memory at once, however many mailboxes are pulled.
var imapBig = make(chan struct{}, 4)

// Listen implements channel.Listener: it pulls the account's mailbox until ctx ends. An account without imap_host gets
// its mail by SMTP; there is nothing to do. An error is a *channel.Trouble.
func (Driver) Listen(ctx context.Context, a channel.Account, cursor string, env channel.Env, sink channel.Sink) error {
	if a.Settings["imap_host"] == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	p := &puller{account: a, env: env, sink: sink, at: parseCursor(cursor), pace: defaultPace, open: openIMAP, max: imapMaxBytes}
	return p.run(ctx)
}

// imapCursor is where the pulling goes on. Its text is committed together with each mail.
type imapCursor struct {
	validity uint32 // UIDVALIDITY under which the UIDs count
	uid      uint32 // everything up to it is done
	box      string // which server, user and folder it is about; another one begins anew
	from     uint32 // first UID that arrived after the folder was connected (or its UIDs began anew)
	since    string // of those before from only what arrived on this day or later is taken, "" = all
	start    string // since, once those before from are done
}

// String is the cursor as it is stored, for instance "uidvalidity=17 uid=42 box=1f2e from=40 since=2026-10-25 start=2026-11-23".
func (c imapCursor) String() string {
	return fmt.Sprintf("uidvalidity=%d uid=%d box=%s from=%d since=%s start=%s", c.validity, c.uid, c.box, c.from, c.since, c.start)
}

// parseCursor reads a stored cursor; what cannot be read is a first start.
func parseCursor(s string) (c imapCursor) {
	num := func(v string, into *uint32) bool {
		n, err := strconv.ParseUint(v, 10, 32)
		*into = uint32(n)
		return err == nil
	}
	ok := s != ""
	for field := range strings.FieldsSeq(s) {
		k, v, _ := strings.Cut(field, "=")
		switch k {
		case "uidvalidity":
			ok = num(v, &c.validity) && ok
		case "uid":
			ok = num(v, &c.uid) && ok
		case "from":
			ok = num(v, &c.from) && ok
		case "box":
			c.box = v
		case "since":
			c.since = v
		case "start":
			c.start = v
		}
	}
	if !ok || c.box == "" {
		return imapCursor{}
	}
	return c
}

// imapBox names the mailbox that a cursor is about.
func imapBox(s channel.Settings) string {
	return fingerprint(strings.ToLower(s["imap_host"]), oauthUser(s, "imap"), imapFolder(s))
}

// puller pulls one mailbox.
type puller struct {
	account channel.Account
	env     channel.Env
	sink    channel.Sink
	at      imapCursor
	pace    imapPace
	open    imapOpener
	max     int64

	unread     bool     // of those that were there at the start only the unread ones are wanted …
	wanted     []uint32 // … which are these: reading one in the meantime does not lose it
	stuckAt    uint32   // the mail at which reading failed last
	stuckTimes int
}

// run pulls, and connects again after failures.
func (p *puller) run(ctx context.Context) error {
	failures := 0
	for {
		worked, err := p.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var ie *imapError
		if !errors.As(err, &ie) {
			ie = imapTrouble(imapReading, p.account, err)
		}
		if ie.final {
			return ie.trouble
		}
		if worked {
			failures = 0
		}
		if failures++; failures >= p.pace.patience {
			return ie.trouble
		}
		if p.env.Log != nil {
			p.env.Log.Debug("the mailbox's connection ended; connecting again", "error", err)
		}
		if err := p.pause(ctx, min(p.pace.back<<(failures-1), p.pace.backMax)); err != nil {
			return err
		}
	}
}

func (p *puller) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// session is one connection. worked tells that it got further than the ones before it.
func (p *puller) session(ctx context.Context) (worked bool, err error) {
	box, err := p.open(ctx, p.account, p.env)
	if err != nil {
		return false, err
	}
	defer box.Close()
	if err := p.locate(ctx, box); err != nil {
		return false, err
	}
	for {
		n, err := p.fetchNew(ctx, box)
		worked = worked || n > 0
		if err != nil {
			return worked, err
		}
		if err := box.Wait(ctx, p.pace.idle, p.pace.poll); err != nil {
			return worked, err
		}
		worked = true
	}
}

// day is a date as cursors have it.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func dayTime(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// locate sets the cursor for the opened folder: as it was, or for a folder that is connected now, or for one whose UIDs
// have begun anew.
func (p *puller) locate(ctx context.Context, box imapMailbox) error {
	st, name := box.State(), imapBox(p.account.Settings)
	same := p.at.box == name
	if same && p.at.validity == st.validity {
		return nil
	}
	p.unread, p.wanted, p.stuckTimes = false, nil, 0
	next := st.next
	if next == 0 { // RFC 3501 lets a server keep quiet about UIDNEXT
		last, err := box.Search(ctx, 1, 0, time.Time{}, false)
		if err != nil {
			return err
		}
		next = 1
		if len(last) > 0 {
			next = last[len(last)-1] + 1
		}
	}
	if same {
		// RFC 3501 §2.3.1.1: no UID means what it meant. Everything since the folder was connected is read once more;
		// what we have is known by its key. The mark is committed with the first mail: until then it happens again.
		p.at = imapCursor{validity: st.validity, box: name, from: next, since: p.at.start, start: p.at.start}
		return nil
	}
	today := now(p.env)
	// The server's idea of a day may differ from ours, so a day earlier.
	start, month := day(today.AddDate(0, 0, -1)), day(today.AddDate(0, 0, -firstDays))
	at := imapCursor{validity: st.validity, box: name, from: next, start: start}
	switch p.account.Settings.Or("imap_first", firstUnread) {
	case firstNew:
		at.uid, at.since = next-1, start
	case firstMonth:
		at.since, at.start = month, month
	case firstAll:
		at.start = ""
	default:
		at.since, p.unread = month, true
	}
	// At once, or what comes while we are away would later look as if it had been there before.
	return p.commit(ctx, channel.Inbound{}, at)
}

// fetchNew hands over what the cursor has not seen, and tells how many mails that were.
func (p *puller) fetchNew(ctx context.Context, box imapMailbox) (n int, err error) {
	if p.at.uid+1 < p.at.from {
		uids := p.wanted
		if uids == nil {
			if uids, err = box.Search(ctx, p.at.uid+1, p.at.from-1, dayTime(p.at.since), p.unread); err != nil {
				return n, err
			}
		}
		if p.unread {
			p.wanted = uids
		}
		uids = slices.DeleteFunc(slices.Clone(uids), func(u uint32) bool { return u <= p.at.uid })
		k, err := p.fetch(ctx, box, uids)
		if n += k; err != nil {
			return n, err
		}
		at := p.at
		at.uid, at.since = max(at.uid, at.from-1), at.start
		if err := p.commit(ctx, channel.Inbound{}, at); err != nil {
			return n, err
		}
		p.unread, p.wanted = false, nil
	}
	if p.at.uid == 1<<32-1 {
		return n, nil // there are no more UIDs
	}
	uids, err := box.Search(ctx, p.at.uid+1, 0, time.Time{}, false)
	if err != nil {
		return n, err
	}
	k, err := p.fetch(ctx, box, uids)
	return n + k, err
}

// fetch hands mails over, one after the other in the order of their UIDs.
func (p *puller) fetch(ctx context.Context, box imapMailbox, uids []uint32) (n int, err error) {
	slices.Sort(uids)
	for batch := range slices.Chunk(uids, imapSizeBatch) {
		sizes, err := box.Sizes(ctx, batch)
		if err != nil {
			return n, err
		}
		for _, uid := range batch {
			size, ok := sizes[uid]
			if !ok {
				continue // deleted meanwhile
			}
			if err := p.one(ctx, box, uid, size); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// one hands over one mail.
func (p *puller) one(ctx context.Context, box imapMailbox, uid uint32, size int64) error {
	limit := p.max
	if size > p.max {
		limit = imapExcerpt
	}
	if min(size, limit) > imapBigBytes {
		select {
		case imapBig <- struct{}{}:
			defer func() { <-imapBig }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	at := p.at
	at.uid = uid
	raw, whole, err := box.Read(ctx, uid, limit)
	switch {
	case err == nil && raw == nil:
		p.at = at // deleted meanwhile; committed with the next one
		return nil
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		// One mail that the server cannot give (or that we cannot read from it) must not keep the others away for ever.
		if p.stuckAt != uid {
			p.stuckAt, p.stuckTimes = uid, 0
		}
		if p.stuckTimes++; p.stuckTimes < p.pace.stuck {
			return err
		}
		p.stuckTimes = 0
		return p.commit(ctx, p.unreadable(uid, at.validity, err), at)
	}
	p.stuckTimes = 0
	return p.commit(ctx, p.inbound(raw, whole, max(size, int64(len(raw)))), at)
}

// inbound makes of a fetched mail what the sink wants.
func (p *puller) inbound(raw []byte, whole bool, size int64) channel.Inbound {
	in := inboundFor(p.account, Fetched(raw), p.account.Settings["address"], Limits{})
	if whole || len(in.Events) == 0 {
		return in
	}
	// The beginning is what a person needs to see; half a file is worse than none.
	for i := range in.Events {
		if m := in.Events[i].Message; m != nil {
			m.Attachments = nil
			m.Unsupported = strings.TrimPrefix(m.Unsupported+"; "+fmt.Sprintf("the mail has %d MB, only its beginning was fetched; it is complete in the mailbox", size>>20), "; ")
		}
	}
	return in
}

// unreadable is the work item for a mail that cannot be fetched.
func (p *puller) unreadable(uid, validity uint32, err error) channel.Inbound {
	return channel.Inbound{
		Raw:  fmt.Appendf(nil, "mail %d (UIDVALIDITY %d) in folder %s at %s\n", uid, validity, imapFolder(p.account.Settings), p.account.Settings["imap_host"]),
		Type: "text/plain",
		Err:  "a mail in the mailbox could not be fetched; please read it there: " + cleanLine(err.Error(), 300),
	}
}

// commit hands something over together with the cursor, again and again until it is stored: the mail is safe in the
// mailbox, and nothing after it may overtake the cursor.
func (p *puller) commit(ctx context.Context, in channel.Inbound, at imapCursor) error {
	in.Cursor = at.String()
	wait := p.pace.back
	for {
		err := p.sink(ctx, in)
		if err == nil {
			p.at = at
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if p.env.Log != nil {
			p.env.Log.Warn("a fetched mail could not be stored; trying again", "error", err)
		}
		if err := p.pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, p.pace.backMax)
	}
}

// probeIMAP signs in at the incoming server, opens the folder and leaves.
func probeIMAP(ctx context.Context, a channel.Account, env channel.Env) error {
	box, err := openIMAP(ctx, a, env)
	if err != nil {
		var ie *imapError
		if errors.As(err, &ie) {
			return ie.trouble
		}
		return err
	}
	box.Close()
	return nil
}

// checkIMAP looks at the syntax of the settings that only pulling has.
func checkIMAP(s channel.Settings) error {
	if v := s["imap_first"]; v != "" && !slices.Contains(firstValues, v) {
		return fmt.Errorf("imap_first %q must be one of %s", v, strings.Join(firstValues, ", "))
	}
	if strings.ContainsAny(s["imap_folder"], "\r\n\x00") {
		return errors.New("imap_folder must be one line")
	}
	if s["imap_host"] == "" {
		for _, key := range []string{"imap_user", "imap_password", "imap_folder"} {
			if s[key] != "" {
				return fmt.Errorf("%s is set without imap_host; name the server, such as imap.example.com", key)
			}
		}
		return nil
	}
	if s["imap_password"] == "" && s["oauth_client_id"] == "" {
		return errors.New("imap_host needs imap_user and imap_password, or the OAuth settings")
	}
	return nil
}
