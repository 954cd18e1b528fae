// Package chat is in charge of the visitors of web chats: their sessions, what of a conversation they may see, and the
// mails by which they go on elsewhere. It speaks no HTTP (package api does), reads no request (the driver does) and
// keeps no message (package conversation does).
package chat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Kind is the kind of channels whose visitors these are.
const Kind channel.Kind = "webchat"

// SessionLife is how long a session lasts after it was last used.
const SessionLife = 90 * 24 * time.Hour

// Errors that callers tell apart.
var (
	ErrUnknown = errors.New("no such chat session")
	ErrExpired = errors.New("this chat session has expired")
	ErrToken   = errors.New("a chat token is 32 random bytes in base64url")
)

// Session is one browser's. Nothing about it is stored but the hash of its token; the token itself is made in the
// browser, so that a first message that is sent again after its answer was lost finds the session that it made.
type Session struct {
	Visitor   string // the address: "visitor:…"
	Channel   string
	Name      string // how staff see a visitor without a name
	Language  string
	CreatedAt time.Time
	ExpiresAt time.Time
	New       bool // made just now
}

var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

func hash(token string) (string, error) {
	if !tokenForm.MatchString(token) {
		return "", ErrToken
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:]), nil
}

const columns = `channel, visitor, name, language, created_at, expires_at, seen_at`

func find(ctx context.Context, q db.Querier, h, ch string, now time.Time) (s Session, seen time.Time, err error) {
	var created, expires, at int64
	err = q.Row(ctx, `SELECT `+columns+` FROM chat_session WHERE org = $1 AND hash = $2`, h).Scan(&s.Channel, &s.Visitor, &s.Name, &s.Language, &created, &expires, &at)
	if errors.Is(err, db.ErrNoRows) || (err == nil && s.Channel != ch) { // a token is good for its own channel only
		return Session{}, seen, ErrUnknown
	}
	if err != nil {
		return Session{}, seen, fmt.Errorf("read chat session: %w", err)
	}
	s.CreatedAt, s.ExpiresAt = db.Time(created), db.Time(expires)
	if !s.ExpiresAt.After(now) {
		return Session{}, seen, ErrExpired
	}
	return s, db.Time(at), nil
}

// Find gives the session of a token on a channel and keeps it alive (at most once a day, so that reading does not
// write).
func Find(ctx context.Context, o db.Org, token, ch string, now time.Time) (Session, error) {
	h, err := hash(token)
	if err != nil {
		return Session{}, err
	}
	s, seen, err := find(ctx, o, h, ch, now)
	if err != nil || now.Sub(seen) < 24*time.Hour {
		return s, err
	}
	err = o.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE chat_session SET seen_at = $3, expires_at = $4 WHERE org = $1 AND hash = $2`, h, db.Micro(now), db.Micro(now.Add(SessionLife)))
		return err
	})
	if err != nil && !errors.Is(err, db.ErrUnavailable) { // a full disk keeps nobody from reading
		return s, fmt.Errorf("keep chat session alive: %w", err)
	}
	return s, nil
}

// Open gives the session of a token, making it if there is none.
func Open(ctx context.Context, o db.Org, token, ch, language string, now time.Time) (Session, error) {
	s, err := Find(ctx, o, token, ch, now)
	if !errors.Is(err, ErrUnknown) {
		return s, err
	}
	h, err := hash(token)
	if err != nil {
		return Session{}, err
	}
	made := newSession(language)
	err = o.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO chat_session (org, hash, channel, visitor, name, language, created_at, seen_at, expires_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$7,$8)
			ON CONFLICT (org, hash) DO NOTHING`, h, ch, made.Visitor, made.Name, made.Language, db.Micro(now), db.Micro(now.Add(SessionLife)))
		if err != nil {
			return fmt.Errorf("open chat session: %w", err)
		}
		s, _, err = find(ctx, tx, h, ch, now) // of two at once both get the one that is there
		s.New = n > 0
		return err
	})
	return s, err
}

func newSession(language string) Session {
	var b [10]byte
	_, _ = rand.Read(b[:]) // crypto/rand does not fail
	id := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	name := "Visitor "
	if strings.HasPrefix(strings.ToLower(language), "de") {
		name = "Besucher "
	}
	return Session{Visitor: "visitor:" + id, Name: name + strings.ToUpper(id[:4]), Language: language}
}

// End forgets a session: whoever holds its token is nobody any more. What was said stays with the company.
func End(ctx context.Context, o db.Org, token, ch string) error {
	h, err := hash(token)
	if err != nil {
		return err
	}
	return o.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM chat_session WHERE org = $1 AND hash = $2 AND channel = $3`, h, ch)
		if err != nil {
			return fmt.Errorf("end chat session: %w", err)
		}
		return nil
	})
}

// Sweep forgets sessions that expired a month ago; until then their visitors are told why they are nobody any more.
func Sweep(ctx context.Context, o db.Org, now time.Time) error {
	return o.WriteBehind(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM chat_session WHERE org = $1 AND expires_at < $2`, db.Micro(now.Add(-30*24*time.Hour)))
		if err != nil {
			return fmt.Errorf("sweep chat sessions: %w", err)
		}
		return nil
	})
}
