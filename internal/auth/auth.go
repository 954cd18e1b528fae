// Package auth is in charge of who may use an installation: members of staff with their roles, sign-in by password and
// second factor, sessions, API tokens, invitations and the first start. It knows no customer.
package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"golang.org/x/crypto/argon2"

	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/vault"
)

// Errors that callers tell apart.
var (
	ErrCredentials = errors.New("e-mail or password is wrong")
	ErrTOTPNeeded  = errors.New("a code of the second factor is needed")
	ErrTooMany     = errors.New("too many attempts")
	ErrSignedOut   = errors.New("not signed in")
	ErrNotFound    = errors.New("no such member of staff")
	ErrTaken       = errors.New("this e-mail address is in use already")
	ErrInvite      = errors.New("this link was used already or is too old")
	ErrWeak        = errors.New("the password needs at least 10 characters")
	ErrLastOwner   = errors.New("the last owner must stay an owner")
	ErrCode        = errors.New("the code does not fit")
)

// Roles of staff, from most to least.
const (
	Owner   = "owner"   // everything
	Manager = "manager" // channels, staff below owner, all conversations
	Advisor = "advisor" // all conversations
	Partner = "partner" // only conversations assigned to them
)

// Roles lists the roles.
func Roles() []string { return []string{Owner, Manager, Advisor, Partner} }

// User is a member of staff.
type User struct {
	Org, ID, Email, Name, Role, Language, Signature, Unit string
	TOTPEnabled, Enabled                                  bool
	CreatedAt                                             time.Time
}

// CanManage reports whether the user may change channels and staff.
func (u User) CanManage() bool { return u.Role == Owner || u.Role == Manager }

// Limits against guessing.
const (
	maxFailures   = 8
	maxAtOnce     = 32 // attempts under way from one address: an office may start its day together
	failureWindow = 15 * time.Minute
	sessionLife   = 14 * 24 * time.Hour
	inviteLife    = 7 * 24 * time.Hour
	cacheLife     = 10 * time.Second // a removed member's sessions end within it
)

// Auth answers who somebody is.
type Auth struct {
	db    *db.DB
	vault *vault.Vault
	now   func() time.Time

	mu       sync.Mutex
	failures map[string][]time.Time
	trying   map[string]int // attempts under way; those at one member count like failures until they succeed
	cache    map[string]cached
	hashing  chan struct{} // places for those whose password is being checked: it takes memory
}

type cached struct {
	user  User
	until time.Time
}

// New makes an Auth.
func New(d *db.DB, v *vault.Vault, now func() time.Time) *Auth {
	return &Auth{db: d, vault: v, now: now, failures: map[string][]time.Time{}, trying: map[string]int{}, cache: map[string]cached{}, hashing: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
}

func random(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand does not fail
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func hash(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

// hashPassword gives an Argon2id hash in PHC form (RFC 9106; 19 MiB, 2 passes).
func hashPassword(pw string) string {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		panic(err)
	}
	k := argon2.IDKey([]byte(pw), salt, 2, 19*1024, 1, 32)
	return fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(k))
}

func checkPassword(stored, pw string) bool {
	var m, t uint32
	var p uint8
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &t, &p); err != nil {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil {
		return false
	}
	got := argon2.IDKey([]byte(pw), salt, t, m, p, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

// decoy is checked when there is no such user, so that the time of the answer does not tell.
var decoy = sync.OnceValue(func() string { return hashPassword(random(12)) })

const userColumns = `org, id, email, name, role, language, signature, unit, totp_enabled, enabled, created_at`

func scanUser(rows *db.Rows, more ...any) (User, error) {
	var u User
	var t, e, at int64
	err := rows.Scan(append([]any{&u.Org, &u.ID, &u.Email, &u.Name, &u.Role, &u.Language, &u.Signature, &u.Unit, &t, &e, &at}, more...)...)
	u.TOTPEnabled, u.Enabled, u.CreatedAt = t == 1, e == 1, db.Time(at)
	return u, err
}

func oneUser(rows *db.Rows, err error, missing error, more ...any) (User, error) {
	if err != nil {
		return User{}, fmt.Errorf("read staff: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return User{}, cmp.Or(rows.Err(), missing)
	}
	return scanUser(rows, more...)
}

// NeedsOwner reports whether nobody can sign in yet.
func (a *Auth) NeedsOwner(ctx context.Context) (bool, error) {
	var n int
	err := a.db.GlobalRow(ctx, db.LookupSetup, `SELECT COUNT(*) FROM (SELECT 1 FROM staff WHERE password <> '' LIMIT 1) AS s`).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for an owner: %w", err)
	}
	return n == 0, nil
}

// SetupToken makes the one-time token of the first start; an earlier one ends.
func (a *Auth) SetupToken(ctx context.Context) (string, error) {
	t := random(24)
	return t, a.db.SetInstallation(ctx, "setup_token", hash(t))
}

// CheckSetup tells whether the token opens the first start now.
func (a *Auth) CheckSetup(ctx context.Context, token string) error {
	need, err := a.NeedsOwner(ctx)
	if err != nil {
		return err
	}
	var want string
	err = a.db.GlobalRow(ctx, db.LookupSetup, `SELECT value FROM installation WHERE name = 'setup_token'`).Scan(&want)
	if errors.Is(err, db.ErrNoRows) {
		return ErrInvite
	}
	if err != nil {
		return fmt.Errorf("read the first-start link: %w", err)
	}
	if !need || token == "" || subtle.ConstantTimeCompare([]byte(hash(token)), []byte(want)) != 1 {
		return ErrInvite
	}
	return nil
}

// NewUser is what Create needs. An empty Password leaves the member to accept an invitation first.
type NewUser struct {
	Email, Name, Role, Language, Password string
}

// NormaliseEmail checks and brings a member's e-mail into the form it is stored in.
func NormaliseEmail(s string) (string, error) {
	a, err := mail.ParseAddress(strings.TrimSpace(s))
	if err != nil || a.Name != "" {
		return "", fmt.Errorf("%q is not an e-mail address", s)
	}
	return strings.ToLower(a.Address), nil
}

// Create adds a member of staff.
func (a *Auth) Create(ctx context.Context, tx *db.Tx, n NewUser) (User, error) {
	email, err := NormaliseEmail(n.Email)
	if err != nil {
		return User{}, err
	}
	if n.Role == "" {
		n.Role = Advisor
	}
	if !validRole(n.Role) {
		return User{}, fmt.Errorf("there is no role %q; possible are %s", n.Role, strings.Join(Roles(), ", "))
	}
	u := User{Org: tx.Org(), ID: db.NewID(), Email: email, Name: strings.TrimSpace(n.Name), Role: n.Role, Language: n.Language, Enabled: true, CreatedAt: a.now()}
	if u.Name == "" {
		u.Name, _, _ = strings.Cut(email, "@")
	}
	if u.Language == "" {
		u.Language = "de"
	}
	pw := ""
	if n.Password != "" {
		if len([]rune(n.Password)) < 10 {
			return User{}, ErrWeak
		}
		pw = hashPassword(n.Password)
	}
	_, err = tx.Exec(ctx, `INSERT INTO staff (org, id, email, name, role, language, signature, password, totp, totp_enabled, totp_step, enabled, created_at)
		VALUES ($1,$2,$3,$4,$5,$6,'',$7,'',0,0,1,$8)`, u.ID, u.Email, u.Name, u.Role, u.Language, pw, db.Micro(u.CreatedAt))
	if db.IsDuplicate(err) {
		return User{}, ErrTaken
	}
	if err != nil {
		return User{}, fmt.Errorf("add member of staff: %w", err)
	}
	tx.Emit("staff", u.ID, nil)
	return u, nil
}

func validRole(r string) bool {
	for _, v := range Roles() {
		if r == v {
			return true
		}
	}
	return false
}

// Users lists the staff of an organisation by name.
func Users(ctx context.Context, q db.Querier) ([]User, error) {
	var out []User
	rows, err := q.Query(ctx, `SELECT `+userColumns+` FROM staff WHERE org = $1 ORDER BY name, id`)
	err = db.Each(rows, err, func() error {
		u, err := scanUser(rows)
		out = append(out, u)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list staff: %w", err)
	}
	return out, nil
}

// UserByID reads one member of staff.
func UserByID(ctx context.Context, q db.Querier, id string) (User, error) {
	rows, err := q.Query(ctx, `SELECT `+userColumns+` FROM staff WHERE org = $1 AND id = $2`, id)
	return oneUser(rows, err, ErrNotFound)
}

// UserByEmail finds a member of staff anywhere in the installation.
func (a *Auth) UserByEmail(ctx context.Context, email string) (User, error) {
	rows, err := a.db.Global(ctx, db.LookupUser, `SELECT `+userColumns+` FROM staff WHERE email = $1`, strings.ToLower(strings.TrimSpace(email)))
	return oneUser(rows, err, ErrNotFound)
}

// Change is what Update may change; nil means "as it is".
type Change struct {
	Name, Role, Language, Signature, Unit *string
	Enabled                               *bool
}

// Update changes a member of staff.
func (a *Auth) Update(ctx context.Context, tx *db.Tx, id string, c Change) (User, error) {
	if c.Role != nil || c.Enabled != nil {
		if err := tx.Lock(ctx, "owners"); err != nil { // two owners who leave at once: one of them stays
			return User{}, err
		}
	}
	u, err := UserByID(ctx, tx, id)
	if err != nil {
		return User{}, err
	}
	was := u
	for _, s := range []struct{ dst, v *string }{{&u.Name, c.Name}, {&u.Role, c.Role}, {&u.Language, c.Language}, {&u.Signature, c.Signature}, {&u.Unit, c.Unit}} {
		if s.v != nil {
			*s.dst = strings.TrimSpace(*s.v)
		}
	}
	if u.Name == "" {
		u.Name = was.Name
	}
	if !validRole(u.Role) {
		return User{}, fmt.Errorf("there is no role %q; possible are %s", u.Role, strings.Join(Roles(), ", "))
	}
	if c.Enabled != nil {
		u.Enabled = *c.Enabled
	}
	if was.Role == Owner && was.Enabled && (u.Role != Owner || !u.Enabled) {
		var n int
		if err := tx.Row(ctx, `SELECT COUNT(*) FROM staff WHERE org = $1 AND role = 'owner' AND enabled = 1 AND id <> $2`, id).Scan(&n); err != nil {
			return User{}, err
		}
		if n == 0 {
			return User{}, ErrLastOwner
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE staff SET name = $3, role = $4, language = $5, signature = $6, unit = $7, enabled = $8 WHERE org = $1 AND id = $2`,
		id, u.Name, u.Role, u.Language, u.Signature, u.Unit, db.Bool(u.Enabled)); err != nil {
		return User{}, fmt.Errorf("change member of staff: %w", err)
	}
	if !u.Enabled {
		if err := endSessions(ctx, tx, id); err != nil {
			return User{}, err
		}
	}
	tx.Emit("staff", id, nil)
	tx.OnCommit(a.forget)
	return u, nil
}

func endSessions(ctx context.Context, tx *db.Tx, id string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM session WHERE org = $1 AND staff = $2`, id); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM token WHERE org = $1 AND staff = $2`, id); err != nil {
		return fmt.Errorf("end tokens: %w", err)
	}
	return nil
}

func (a *Auth) forget() {
	a.mu.Lock()
	clear(a.cache)
	a.mu.Unlock()
}

// SetPassword sets a new password and ends all other sessions of the member.
func (a *Auth) SetPassword(ctx context.Context, tx *db.Tx, id, password string) error {
	if len([]rune(password)) < 10 {
		return ErrWeak
	}
	n, err := tx.Exec(ctx, `UPDATE staff SET password = $3 WHERE org = $1 AND id = $2`, id, hashPassword(password))
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	if n == 0 {
		return ErrNotFound
	}
	if _, err := tx.Exec(ctx, `DELETE FROM session WHERE org = $1 AND staff = $2`, id); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	tx.OnCommit(a.forget)
	return nil
}

// CheckPassword tells whether the password is the member's.
func (a *Auth) CheckPassword(ctx context.Context, q db.Querier, id, password string) error {
	var stored string
	if err := q.Row(ctx, `SELECT password FROM staff WHERE org = $1 AND id = $2`, id).Scan(&stored); err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	if !checkPassword(stored, password) {
		return ErrCredentials
	}
	return nil
}

// try lets one attempt at a member from an address begin, unless there were too many. done must follow.
func (a *Auth) try(mail, ip string) (done func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	since := a.now().Add(-failureWindow)
	failed := func(k string) (n int) {
		for _, t := range a.failures[k] {
			if t.After(since) {
				n++
			}
		}
		return n
	}
	if failed(mail)+a.trying[mail] >= maxFailures || failed(ip) >= maxFailures || a.trying[ip] >= maxAtOnce {
		return nil, false
	}
	a.trying[mail]++
	a.trying[ip]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, k := range []string{mail, ip} {
			if a.trying[k]--; a.trying[k] <= 0 {
				delete(a.trying, k)
			}
		}
	}, true
}

func (a *Auth) failed(keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.failures) > 10000 {
		clear(a.failures)
	}
	since := a.now().Add(-failureWindow)
	for _, k := range keys {
		kept := a.failures[k][:0]
		for _, t := range a.failures[k] {
			if t.After(since) {
				kept = append(kept, t)
			}
		}
		a.failures[k] = append(kept, a.now())
	}
}

// SignIn checks e-mail, password and second factor, and opens a session. ip is where it comes from, for the limit
// against guessing. The session's secret is new at each sign-in.
func (a *Auth) SignIn(ctx context.Context, email, password, code, ip string) (User, string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	done, ok := a.try("mail "+email, "ip "+ip)
	if !ok {
		return User{}, "", ErrTooMany
	}
	defer done()
	var stored, sealed string
	var step int64
	rows, err := a.db.Global(ctx, db.LookupUser, `SELECT `+userColumns+`, password, totp, totp_step FROM staff WHERE email = $1`, email)
	u, err := oneUser(rows, err, ErrCredentials, &stored, &sealed, &step)
	if err != nil && !errors.Is(err, ErrCredentials) {
		return User{}, "", err
	}
	known := err == nil && u.Enabled && stored != ""
	if !known {
		stored = decoy()
	}
	select {
	case a.hashing <- struct{}{}:
	case <-ctx.Done():
		return User{}, "", ctx.Err()
	}
	fits := checkPassword(stored, password)
	<-a.hashing
	if !fits || !known {
		a.failed("mail "+email, "ip "+ip)
		return User{}, "", ErrCredentials
	}
	if u.TOTPEnabled {
		if code == "" {
			return User{}, "", ErrTOTPNeeded
		}
		used, err := a.checkTOTP(sealed, code)
		if err != nil || used <= step { // a code works once
			a.failed("mail "+email, "ip "+ip)
			return User{}, "", errors.Join(ErrCode, err)
		}
		step = used
	} else {
		step = 0 // left over from a second factor that was switched off
	}
	secret, err := a.open(ctx, u, step)
	return u, secret, err
}

func (a *Auth) open(ctx context.Context, u User, step int64) (string, error) {
	secret := random(32)
	now := a.now()
	err := a.db.Org(u.Org).Write(ctx, func(tx *db.Tx) error {
		if step > 0 {
			n, err := tx.Exec(ctx, `UPDATE staff SET totp_step = $3 WHERE org = $1 AND id = $2 AND totp_step < $3`, u.ID, step)
			if err != nil {
				return err
			}
			if n == 0 {
				return ErrCode
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO session (org, hash, staff, created_at, seen_at, expires_at) VALUES ($1,$2,$3,$4,$4,$5)`, hash(secret), u.ID, now.UnixMicro(), now.Add(sessionLife).UnixMicro())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("open session: %w", err)
	}
	return secret, nil
}

// OpenSession opens a session for somebody who has just proved to be u (setup, invitation).
func (a *Auth) OpenSession(ctx context.Context, u User) (string, error) { return a.open(ctx, u, 0) }

// Session gives the user of a session's secret.
func (a *Auth) Session(ctx context.Context, secret string) (User, error) {
	return a.lookup(ctx, "s"+secret, func() (User, error) {
		rows, err := a.db.Global(ctx, db.LookupSession, `SELECT `+prefixed+` FROM session t JOIN staff s ON s.org = t.org AND s.id = t.staff WHERE t.hash = $1 AND t.expires_at > $2`, hash(secret), a.now().UnixMicro())
		return oneUser(rows, err, ErrSignedOut)
	})
}

// Token gives the user of an API token.
func (a *Auth) Token(ctx context.Context, secret string) (User, error) {
	return a.lookup(ctx, "t"+secret, func() (User, error) {
		rows, err := a.db.Global(ctx, db.LookupToken, `SELECT `+prefixed+` FROM token t JOIN staff s ON s.org = t.org AND s.id = t.staff WHERE t.hash = $1`, hash(secret))
		return oneUser(rows, err, ErrSignedOut)
	})
}

const prefixed = `s.org, s.id, s.email, s.name, s.role, s.language, s.signature, s.unit, s.totp_enabled, s.enabled, s.created_at`

func (a *Auth) lookup(ctx context.Context, key string, find func() (User, error)) (User, error) {
	now := a.now()
	a.mu.Lock()
	c, ok := a.cache[key]
	a.mu.Unlock()
	if ok && c.until.After(now) {
		return c.user, nil
	}
	u, err := find()
	if err != nil {
		return User{}, err
	}
	if !u.Enabled {
		return User{}, ErrSignedOut
	}
	a.mu.Lock()
	if len(a.cache) > 10000 {
		clear(a.cache)
	}
	a.cache[key] = cached{user: u, until: now.Add(cacheLife)}
	a.mu.Unlock()
	return u, nil
}

// SignOut ends a session.
func (a *Auth) SignOut(ctx context.Context, u User, secret string) error {
	err := a.db.Org(u.Org).Write(ctx, func(tx *db.Tx) error {
		tx.OnCommit(a.forget)
		_, err := tx.Exec(ctx, `DELETE FROM session WHERE org = $1 AND hash = $2`, hash(secret))
		return err
	})
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}

// NewToken makes an API token for a member of staff. It is shown once.
func (a *Auth) NewToken(ctx context.Context, u User, name string) (string, error) {
	secret := "rw_" + random(32)
	err := a.db.Org(u.Org).Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO token (org, id, hash, staff, name, created_at) VALUES ($1,$2,$3,$4,$5,$6)`, db.NewID(), hash(secret), u.ID, name, a.now().UnixMicro())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make API token: %w", err)
	}
	return secret, nil
}

// Invite makes a one-time link's token by which a member sets a password (7 days).
func (a *Auth) Invite(ctx context.Context, tx *db.Tx, id string) (string, error) {
	t := random(24)
	if _, err := tx.Exec(ctx, `DELETE FROM invite WHERE org = $1 AND staff = $2`, id); err != nil {
		return "", fmt.Errorf("end earlier invitations: %w", err)
	}
	_, err := tx.Exec(ctx, `INSERT INTO invite (org, hash, staff, expires_at) VALUES ($1,$2,$3,$4)`, hash(t), id, a.now().Add(inviteLife).UnixMicro())
	if err != nil {
		return "", fmt.Errorf("invite: %w", err)
	}
	return t, nil
}

// Invited gives the member that an invitation is for.
func (a *Auth) Invited(ctx context.Context, token string) (User, error) {
	rows, err := a.db.Global(ctx, db.LookupInvite, `SELECT `+prefixed+` FROM invite t JOIN staff s ON s.org = t.org AND s.id = t.staff WHERE t.hash = $1 AND t.expires_at > $2 AND s.enabled = 1`, hash(token), a.now().UnixMicro())
	return oneUser(rows, err, ErrInvite)
}

// AcceptInvite sets the password and opens a session; the invitation is used up.
func (a *Auth) AcceptInvite(ctx context.Context, token, password string) (User, string, error) {
	u, err := a.Invited(ctx, token)
	if err != nil {
		return User{}, "", err
	}
	err = a.db.Org(u.Org).Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM invite WHERE org = $1 AND hash = $2`, hash(token))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrInvite
		}
		// A reset also takes the second factor off: whoever hands the link over has checked who asks.
		if _, err := tx.Exec(ctx, `UPDATE staff SET totp = '', totp_enabled = 0 WHERE org = $1 AND id = $2`, u.ID); err != nil {
			return err
		}
		tx.Emit("staff", u.ID, nil)
		return a.SetPassword(ctx, tx, u.ID, password)
	})
	if err != nil {
		return User{}, "", err
	}
	u.TOTPEnabled = false
	secret, err := a.OpenSession(ctx, u)
	return u, secret, err
}

// StartTOTP makes a new second factor; it counts only once confirmed by EnableTOTP. uri is for authenticator apps.
func (a *Auth) StartTOTP(ctx context.Context, tx *db.Tx, u User, issuer string) (secret, uri string, err error) {
	if u.TOTPEnabled {
		return "", "", errors.New("the second factor is on already; switch it off first")
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: u.Email, SecretSize: 20})
	if err != nil {
		return "", "", fmt.Errorf("make second factor: %w", err)
	}
	sealed, err := a.vault.Seal([]byte(key.Secret()))
	if err != nil {
		return "", "", err
	}
	if _, err := tx.Exec(ctx, `UPDATE staff SET totp = $3, totp_enabled = 0, totp_step = 0 WHERE org = $1 AND id = $2`, u.ID, sealed); err != nil {
		return "", "", fmt.Errorf("keep second factor: %w", err)
	}
	return key.Secret(), key.URL(), nil
}

// EnableTOTP confirms the second factor by a code of it.
func (a *Auth) EnableTOTP(ctx context.Context, tx *db.Tx, id, code string) error {
	var sealed string
	if err := tx.Row(ctx, `SELECT totp FROM staff WHERE org = $1 AND id = $2`, id).Scan(&sealed); err != nil {
		return fmt.Errorf("read second factor: %w", err)
	}
	if sealed == "" {
		return ErrCode
	}
	step, err := a.checkTOTP(sealed, code)
	if err != nil || step == 0 {
		return errors.Join(ErrCode, err)
	}
	tx.Emit("staff", id, nil)
	tx.OnCommit(a.forget)
	_, err = tx.Exec(ctx, `UPDATE staff SET totp_enabled = 1, totp_step = $3 WHERE org = $1 AND id = $2`, id, step)
	return err
}

// DisableTOTP switches the second factor off.
func (a *Auth) DisableTOTP(ctx context.Context, tx *db.Tx, id string) error {
	tx.Emit("staff", id, nil)
	tx.OnCommit(a.forget)
	_, err := tx.Exec(ctx, `UPDATE staff SET totp = '', totp_enabled = 0 WHERE org = $1 AND id = $2`, id)
	return err
}

// checkTOTP gives the time step whose code this is (RFC 6238, 30 s, one step either way), 0 if none.
func (a *Auth) checkTOTP(sealed, code string) (int64, error) {
	secret, err := a.vault.Unseal(sealed)
	if err != nil {
		return 0, err
	}
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	now := a.now()
	for _, off := range []int64{0, -1, 1} {
		step := now.Unix()/30 + off
		want, err := totp.GenerateCodeCustom(string(secret), time.Unix(step*30, 0), totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, nil
		}
	}
	return 0, nil
}

// Sweep removes sessions, invitations and idempotency keys that have ended.
func (a *Auth) Sweep(ctx context.Context, o db.Org) error {
	now := a.now()
	return o.WriteBehind(ctx, func(tx *db.Tx) error {
		for _, q := range []struct {
			sql string
			at  time.Time
		}{
			{`DELETE FROM session WHERE org = $1 AND expires_at < $2`, now},
			{`DELETE FROM invite WHERE org = $1 AND expires_at < $2`, now},
			{`DELETE FROM idempotency WHERE org = $1 AND at < $2`, now.Add(-48 * time.Hour)},
		} {
			if _, err := tx.Exec(ctx, q.sql, q.at.UnixMicro()); err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
		}
		return nil
	})
}
