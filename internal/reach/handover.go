package reach

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/customer"
	"github.com/rufweite/rufweite/internal/db"
)

// A hand-over is the offer to go on elsewhere: the customer carries a code from an address that we know to one that we
// do not know yet. Who brings it has received it at the first address and writes from the second one, so both belong to
// one person: the customers become one, the conversation goes on. A code works once and for HandoverFor.
//
// Where nobody vouches for the sender of a message (SMS, e-mail), the code proves only the first half: anybody can write
// from anybody's number. Then a second, short code goes to the new address, and only who sends that back is believed.

// HandoverFor is how long a code works.
const HandoverFor = 24 * time.Hour

const (
	codeLength = 12 // of 31 characters: 59 bits
	codeSigns  = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	pinLength  = 6
	pinFor     = 15 * time.Minute
	missesMax  = 5 // wrong codes from one address within missesFor; then it is not listened to
	missesFor  = time.Hour
)

// ErrCode means that a code is unknown, used up or too old.
var ErrCode = errors.New("this code does not work (any more)")

// Handover is an offer to go on elsewhere.
type Handover struct {
	Conversation string
	Customer     string
	Address      string // where the code was given; "" = shown to somebody who is signed in
	Message      string // the message that offered it, if there is one
	By           string // staff id, "" = a machine
}

// NewCode makes a code, to be shown as PrettyCode and put into links as it is.
func NewCode(ctx context.Context, tx *db.Tx, h Handover, now time.Time) (string, error) {
	code, err := randomCode()
	if err != nil {
		return "", err
	}
	return code, keepCode(ctx, tx, hash(code), h, now, HandoverFor)
}

func newPin(long bool) (string, error) {
	if long {
		return randomCode()
	}
	return random("0123456789", pinLength)
}

// randomCode has a figure in it: FindCode takes nothing else for a code, as twelve letters may be a word.
func randomCode() (string, error) {
	for {
		code, err := random(codeSigns, codeLength)
		if err != nil || strings.ContainsAny(code, "23456789") {
			return code, err
		}
	}
}

func random(signs string, n int) (string, error) {
	b := make([]byte, n)
	for i := range b {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(signs))))
		if err != nil {
			return "", fmt.Errorf("make a code: %w", err)
		}
		b[i] = signs[k.Int64()]
	}
	return string(b), nil
}

func keepCode(ctx context.Context, tx *db.Tx, hash string, h Handover, now time.Time, lasts time.Duration) error {
	_, err := tx.Exec(ctx, `INSERT INTO handover (org, hash, conversation, customer, address, message, created_by, created_at, expires_at, used_at, used_by) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,0,'')
		ON CONFLICT (org, hash) DO UPDATE SET conversation = excluded.conversation, customer = excluded.customer, address = excluded.address, created_at = excluded.created_at, expires_at = excluded.expires_at, used_at = 0, used_by = ''`,
		hash, h.Conversation, h.Customer, h.Address, h.Message, h.By, db.Micro(now), db.Micro(now.Add(lasts)))
	if err != nil {
		return fmt.Errorf("keep a code: %w", err)
	}
	return nil
}

// PrettyCode is a code as people read and type it: K7M2-Q9XP-4TZA.
func PrettyCode(code string) string {
	var parts []string
	for len(code) > 4 {
		parts, code = append(parts, code[:4]), code[4:]
	}
	return strings.Join(append(parts, code), "-")
}

func hash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// pinHash binds a short code to the address that it was sent to: from any other it is worth nothing.
func pinHash(pin, address string) string { return hash("pin " + pin + " " + address) }

// FindCode finds what looks like a code in a text or a deep link's token, "" if nothing does. A pin (six digits) counts
// only where the text is nothing else.
func FindCode(text string) (code string, pin bool) {
	digits := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\n' || r == '.' {
			return -1
		}
		return r
	}, text)
	if len(digits) == 6 && strings.Trim(digits, "0123456789") == "" {
		return digits, true
	}
	// As it is written by us first, with blanks second: three words of four letters in a sentence must not hide the code.
	upper := strings.ToUpper(text)
	for _, separators := range []string{"-", "- "} {
		if code := scan(upper, separators); code != "" {
			return code, false
		}
	}
	return "", false
}

// scan finds the first word of signs that is a code, with one of the separators, or none, every four signs.
func scan(upper, separators string) string {
	var code [codeLength]byte
	for i := 0; i < len(upper); i++ {
		if i > 0 && sign(upper[i-1]) {
			continue
		}
		n, j := 0, i
		for j < len(upper) && n < codeLength {
			if n > 0 && n%4 == 0 && strings.IndexByte(separators, upper[j]) >= 0 && sign(upper[j-1]) {
				j++
				continue
			}
			if strings.IndexByte(codeSigns, upper[j]) < 0 {
				break
			}
			code[n] = upper[j]
			n, j = n+1, j+1
		}
		if n == codeLength && (j == len(upper) || !sign(upper[j])) && bytes.ContainsAny(code[:], "23456789") {
			return string(code[:])
		}
	}
	return ""
}

func sign(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
}

// Bringer is who brought a code.
type Bringer struct {
	Customer customer.Customer
	Address  customer.Address
	Channel  channel.Account
	Vouched  bool // the provider vouches for the sender
	Quotes   bool // answers on this medium bring along what they answer (mail): nobody has to type a short code
}

// Outcome says what became of a code.
type Outcome struct {
	Conversation string // where it goes on; "" = not yet
	Customer     string
	// Pin is to be sent to the bringer's address, and only there, as Confirm says; "" = nothing has to be proved.
	Pin string
	// From is the address that the code had been given to.
	From string
}

// Redeem takes a code that came from an address. ErrCode if it is worth nothing there; other text must then be read as
// if there had been no code.
func Redeem(ctx context.Context, tx *db.Tx, code string, pin bool, by Bringer, now time.Time) (Outcome, error) {
	var tries, since int64
	err := tx.Row(ctx, `SELECT n, since FROM handover_miss WHERE org = $1 AND address = $2`, by.Address.ID).Scan(&tries, &since)
	watched := err == nil
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return Outcome{}, fmt.Errorf("count wrong codes: %w", err)
	}
	if pin && !watched { // six digits are an answer to something else: nothing was sent to be sent back
		return Outcome{}, ErrCode
	}
	if tries >= missesMax && now.Sub(db.Time(since)) < missesFor {
		return Outcome{}, ErrCode
	}
	var h Handover
	var expires, used int64
	look := func(key string) error {
		return tx.Row(ctx, `SELECT conversation, customer, address, message, created_by, expires_at, used_at FROM handover WHERE org = $1 AND hash = $2`+tx.ForUpdate(), key).
			Scan(&h.Conversation, &h.Customer, &h.Address, &h.Message, &h.By, &expires, &used)
	}
	key := hash(code)
	if pin {
		key = pinHash(code, by.Address.ID)
	}
	if err = look(key); !pin && errors.Is(err, db.ErrNoRows) {
		key, pin = pinHash(code, by.Address.ID), true
		err = look(key)
	}
	if errors.Is(err, db.ErrNoRows) {
		return Outcome{}, countMiss(ctx, tx, by.Address.ID, now)
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("look a code up: %w", err)
	}
	if !db.Time(expires).After(now) || used != 0 {
		return Outcome{}, ErrCode
	}
	if _, err := tx.Exec(ctx, `UPDATE handover SET used_at = $3, used_by = $4 WHERE org = $1 AND hash = $2`, key, db.Micro(now), by.Address.ID); err != nil {
		return Outcome{}, fmt.Errorf("use a code: %w", err)
	}
	if !by.Vouched && !pin {
		short, err := newPin(by.Quotes)
		if err != nil {
			return Outcome{}, err
		}
		if err := keepCode(ctx, tx, pinHash(short, by.Address.ID), h, now, pinFor); err != nil {
			return Outcome{}, err
		}
		if err := watch(ctx, tx, by.Address.ID, now); err != nil {
			return Outcome{}, err
		}
		return Outcome{Pin: short, From: h.Address, Customer: h.Customer}, nil
	}
	// Who was first keeps the record: the customer of the conversation.
	keeper, err := customer.Get(ctx, tx, h.Customer)
	if err != nil {
		return Outcome{}, err
	}
	if by.Customer.ID != keeper.ID {
		if _, err := customer.Merge(ctx, tx, keeper.ID, by.Customer.ID, now); err != nil && !errors.Is(err, customer.ErrSame) {
			return Outcome{}, err
		}
	}
	for _, a := range []string{h.Address, by.Address.ID} {
		if a == "" {
			continue
		}
		if err := customer.Verified(ctx, tx, a); err != nil {
			return Outcome{}, err
		}
	}
	r, err := conversation.Continue(ctx, tx, h.Conversation, by.Channel, by.Address.ID, keeper.Name, now)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Conversation: r.ID, Customer: keeper.ID, From: h.Address}, nil
}

// watch makes wrong codes from an address count.
func watch(ctx context.Context, tx *db.Tx, address string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO handover_miss (org, address, n, since) VALUES ($1,$2,0,$3) ON CONFLICT (org, address) DO NOTHING`, address, db.Micro(now))
	if err != nil {
		return fmt.Errorf("watch an address: %w", err)
	}
	return nil
}

func countMiss(ctx context.Context, tx *db.Tx, address string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO handover_miss (org, address, n, since) VALUES ($1,$2,1,$3) ON CONFLICT (org, address) DO UPDATE SET
		n = CASE WHEN handover_miss.since < $4 THEN 1 ELSE handover_miss.n + 1 END, since = CASE WHEN handover_miss.since < $4 THEN excluded.since ELSE handover_miss.since END`,
		address, db.Micro(now), db.Micro(now.Add(-missesFor)))
	if err != nil {
		return fmt.Errorf("count a wrong code: %w", err)
	}
	return ErrCode
}

// Sweep forgets codes that have been worthless for a week.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM handover WHERE org = $1 AND expires_at < $2`, db.Micro(now.Add(-7*24*time.Hour))); err != nil {
		return fmt.Errorf("forget old codes: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM handover_miss WHERE org = $1 AND since < $2`, db.Micro(now.Add(-24*time.Hour))); err != nil {
		return fmt.Errorf("forget wrong codes: %w", err)
	}
	return nil
}

// HandoverText is what the customer finds already written.
func HandoverText(code, language string) string {
	if strings.HasPrefix(language, "en") {
		return "Please go on here. My code: " + PrettyCode(code)
	}
	return "Hier geht es weiter. Mein Code: " + PrettyCode(code)
}

// Confirm is what goes to an address from which a code came for whose sender nobody vouches.
func Confirm(pin string) channel.Text {
	if len(pin) == pinLength {
		return channel.Text{
			DE: "Damit niemand in Ihrem Namen schreibt: Bitte antworten Sie mit " + pin + ". Dann geht Ihr Gespräch hier weiter.",
			EN: "So that nobody writes in your name: please answer with " + pin + ". Then your conversation goes on here.",
		}
	}
	return channel.Text{
		DE: "Damit niemand in Ihrem Namen schreibt: Bitte antworten Sie auf diese Nachricht mit dem Code " + PrettyCode(pin) + ". Dann geht Ihr Gespräch hier weiter.",
		EN: "So that nobody writes in your name: please answer this message with the code " + PrettyCode(pin) + ". Then your conversation goes on here.",
	}
}

// Continued is what greets a customer at the new address. advisor may be "".
func Continued(advisor string) channel.Text {
	if advisor == "" {
		return channel.Text{DE: "Hier geht es weiter. Ihr Gespräch liegt uns vor; Sie müssen nichts wiederholen.", EN: "We go on here. Your conversation is before us; you need not repeat anything."}
	}
	return channel.Text{DE: "Hier geht es weiter. " + advisor + " hat Ihr Gespräch vor sich; Sie müssen nichts wiederholen.", EN: "We go on here. " + advisor + " has your conversation at hand; you need not repeat anything."}
}
