// Package account is in charge of configured channels: their rows, their encrypted settings, their health and their
// cursors, and of finding the channel that an id or a mail address names. It asks no provider; drivers do.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/vault"
)

// ErrNotFound means that there is no such channel in this organisation.
var ErrNotFound = errors.New("no such channel")

// Channel is one configured channel.
type Channel struct {
	channel.Account
	Enabled   bool
	CreatedAt time.Time
	version   string // the stored, sealed settings: tells whether the row changed
}

// FieldError is a setting that cannot be right, with what to do.
type FieldError struct {
	Key     string
	Message string
}

// InvalidError lists what is wrong with a channel's settings.
type InvalidError struct{ Fields []FieldError }

// Error implements error.
func (e *InvalidError) Error() string {
	var s []string
	for _, f := range e.Fields {
		if f.Key == "" {
			s = append(s, f.Message)
		} else {
			s = append(s, f.Key+": "+f.Message)
		}
	}
	return strings.Join(s, "; ")
}

// Health states of a channel.
const (
	Green   = "green"
	Red     = "red"
	Unknown = "unknown"
)

// Health is what is known about a channel's working.
type Health struct {
	State     string
	Reason    channel.Text
	Remedy    channel.Text
	CheckedAt time.Time
}

// Accounts knows every channel of the installation. Its look-ups are answered from memory.
type Accounts struct {
	db      *db.DB
	vault   *vault.Vault
	drivers map[channel.Kind]channel.Driver
	log     *slog.Logger

	reload  sync.Mutex // one after the other, so that an older look never replaces a newer one
	mu      sync.RWMutex
	byID    map[string]Channel
	byMail  map[string]string
	changed []func()
	missed  map[string]time.Time // unknown ids that were looked up lately
	told    map[string]Health    // what SetHealth last recorded
	renewed map[string]string    // by channel and key: what Renew last stored
}

// New makes Accounts and loads what is configured.
func New(ctx context.Context, d *db.DB, v *vault.Vault, drivers []channel.Driver, log *slog.Logger) (*Accounts, error) {
	a := &Accounts{db: d, vault: v, drivers: map[channel.Kind]channel.Driver{}, log: log, missed: map[string]time.Time{}, told: map[string]Health{}, renewed: map[string]string{}}
	for _, dr := range drivers {
		a.drivers[dr.Kind()] = dr
	}
	return a, a.Reload(ctx)
}

// Driver gives the driver of a kind, nil if this build has none.
func (a *Accounts) Driver(kind channel.Kind) channel.Driver { return a.drivers[kind] }

// Can is what a channel can carry: by its kind, or by its settings where its driver lets those decide. The zero value
// where this build has no driver.
func (a *Accounts) Can(c channel.Account) channel.Capabilities {
	switch d := a.drivers[c.Kind].(type) {
	case nil:
		return channel.Capabilities{}
	case channel.Configured:
		return d.CapabilitiesOf(c.Settings)
	default:
		return d.Capabilities()
	}
}

// Drivers lists all drivers, by kind.
func (a *Accounts) Drivers() []channel.Driver {
	out := make([]channel.Driver, 0, len(a.drivers))
	for _, d := range a.drivers {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Kind() < out[j].Kind() })
	return out
}

// OnChange calls fn after the set of channels changed.
func (a *Accounts) OnChange(fn func()) {
	a.mu.Lock()
	a.changed = append(a.changed, fn)
	a.mu.Unlock()
}

// Reload reads the channels again if other processes may have changed them.
func (a *Accounts) Reload(ctx context.Context) error {
	a.reload.Lock()
	defer a.reload.Unlock()
	old := a.snapshot()
	byID, byMail := map[string]Channel{}, map[string]string{}
	rows, err := a.db.Global(ctx, db.LookupChannel, `SELECT org, id, kind, name, settings, mailbox, enabled, created_at FROM channel WHERE deleted_at = 0`)
	err = db.Each(rows, err, func() error {
		var c Channel
		var kind, sealed, mailbox string
		var enabled, at int64
		if err := rows.Scan(&c.Org, &c.ID, &kind, &c.Name, &sealed, &mailbox, &enabled, &at); err != nil {
			return err
		}
		c.Kind, c.Enabled, c.CreatedAt, c.version = channel.Kind(kind), enabled == 1, db.Time(at), sealed
		if o, ok := old[c.ID]; ok && o.version == sealed {
			c.Settings = o.Settings
		} else if plain, err := a.vault.Unseal(sealed); err != nil {
			// The others still work; this one is shown red by its first use.
			a.log.Error("settings of a channel cannot be read", "channel", c.ID, "error", err)
			c.Settings = channel.Settings{}
		} else if err := json.Unmarshal(plain, &c.Settings); err != nil {
			return fmt.Errorf("settings of channel %s: %w", c.ID, err)
		}
		byID[c.ID] = c
		if mailbox != "" {
			byMail[mailbox] = c.ID
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load channels: %w", err)
	}
	same := len(old) == len(byID)
	for id, c := range byID {
		o, ok := old[id]
		same = same && ok && o.version == c.version && o.Enabled == c.Enabled && o.Name == c.Name
	}
	a.mu.Lock()
	a.byID, a.byMail = byID, byMail
	clear(a.missed)
	fns := slices.Clone(a.changed)
	a.mu.Unlock()
	if !same {
		for _, fn := range fns {
			fn()
		}
	}
	return nil
}

func (a *Accounts) snapshot() map[string]Channel {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.byID
}

// Find gives the channel with this id, whichever organisation it belongs to. An unknown id is looked up in the
// database once, because another node may just have made it.
func (a *Accounts) Find(ctx context.Context, id string) (Channel, error) {
	if c, ok := a.snapshot()[id]; ok {
		return c, nil
	}
	a.mu.Lock()
	at, seen := a.missed[id]
	if len(a.missed) > 10000 {
		clear(a.missed)
	}
	a.missed[id] = time.Now()
	a.mu.Unlock()
	if seen && time.Since(at) < time.Second {
		return Channel{}, ErrNotFound
	}
	var n int
	if err := a.db.GlobalRow(ctx, db.LookupChannel, `SELECT COUNT(*) FROM channel WHERE id = $1 AND deleted_at = 0`, id).Scan(&n); err != nil {
		return Channel{}, fmt.Errorf("look up channel: %w", err)
	}
	if n == 0 {
		return Channel{}, ErrNotFound
	}
	if err := a.Reload(ctx); err != nil {
		return Channel{}, err
	}
	if c, ok := a.snapshot()[id]; ok {
		return c, nil
	}
	return Channel{}, ErrNotFound
}

// Get gives a channel of one organisation.
func (a *Accounts) Get(org, id string) (Channel, error) {
	if c, ok := a.snapshot()[id]; ok && c.Org == org {
		return c, nil
	}
	return Channel{}, ErrNotFound
}

// ByMailbox gives the channel that receives mail for this address. A plus-suffix is ignored.
func (a *Accounts) ByMailbox(address string) (Channel, bool) {
	address = strings.ToLower(address)
	a.mu.RLock()
	defer a.mu.RUnlock()
	id, ok := a.byMail[address]
	if !ok {
		if local, domain, found := strings.Cut(address, "@"); found {
			local, _, _ = strings.Cut(local, "+")
			id, ok = a.byMail[local+"@"+domain]
		}
	}
	c, have := a.byID[id]
	return c, ok && have
}

// List gives the channels of an organisation, oldest first.
func (a *Accounts) List(org string) []Channel {
	var out []Channel
	for _, c := range a.snapshot() {
		if c.Org == org {
			out = append(out, c)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// All gives every channel of the installation.
func (a *Accounts) All() []Channel {
	var out []Channel
	for _, c := range a.snapshot() {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// ByKind gives the organisation's enabled channels of a kind, oldest first.
func (a *Accounts) ByKind(org string, kind channel.Kind) []Channel {
	out := a.List(org)
	return slices.DeleteFunc(out, func(c Channel) bool { return c.Kind != kind || !c.Enabled })
}

// validate checks syntax only and fills no defaults in; the language is of the messages.
func (a *Accounts) validate(kind channel.Kind, settings channel.Settings, language string) error {
	d, ok := a.drivers[kind]
	if !ok {
		known := make([]string, 0, len(a.drivers))
		for _, d := range a.Drivers() {
			known = append(known, string(d.Kind()))
		}
		return &InvalidError{[]FieldError{{"kind", channel.Text{
			DE: fmt.Sprintf("„%s“ gibt es nicht; möglich sind: %s", kind, strings.Join(known, ", ")),
			EN: fmt.Sprintf("there is no %q; possible are: %s", kind, strings.Join(known, ", ")),
		}.In(language)}}}
	}
	var bad []FieldError
	specs := map[string]channel.Setting{"api_url": {Key: "api_url"}}
	for _, s := range d.Settings() {
		specs[s.Key] = s
		v := settings[s.Key]
		if v == "" && s.Required {
			bad = append(bad, FieldError{s.Key, channel.Text{DE: "fehlt. " + s.Help.DE, EN: "is missing. " + s.Help.EN}.In(language)})
		}
		if v != "" && len(s.Values) > 0 && !slices.Contains(s.Values, v) {
			bad = append(bad, FieldError{s.Key, channel.Text{DE: "möglich sind: ", EN: "possible are: "}.In(language) + strings.Join(s.Values, ", ")})
		}
		if strings.ContainsAny(v, "\r\n") && !strings.HasSuffix(s.Key, "key") && !strings.HasSuffix(s.Key, "account") && s.Key != "receive" && s.Key != "send" {
			bad = append(bad, FieldError{s.Key, channel.Text{DE: "darf keine Zeilenumbrüche enthalten", EN: "must not contain line breaks"}.In(language)})
		}
	}
	for k := range settings {
		if _, ok := specs[k]; !ok {
			names := make([]string, 0, len(specs))
			for n := range specs {
				names = append(names, n)
			}
			sort.Strings(names)
			bad = append(bad, FieldError{k, channel.Text{DE: "unbekannte Einstellung; möglich sind: ", EN: "unknown setting; possible are: "}.In(language) + strings.Join(names, ", ")})
		}
	}
	if len(bad) > 0 {
		sort.Slice(bad, func(i, j int) bool { return bad[i].Key < bad[j].Key })
		return &InvalidError{bad}
	}
	if err := d.Check(settings); err != nil {
		var tr *channel.Trouble
		if errors.As(err, &tr) {
			return &InvalidError{[]FieldError{{"", tr.Reason.In(language) + " " + tr.Remedy.In(language)}}}
		}
		return &InvalidError{[]FieldError{{"", err.Error()}}}
	}
	return nil
}

// mailbox is the address that the settings receive mail for; only e-mail has one.
func mailbox(settings channel.Settings) string {
	return strings.ToLower(strings.TrimSpace(settings["address"]))
}

func (a *Accounts) seal(settings channel.Settings) (string, error) {
	plain, err := json.Marshal(settings)
	if err != nil {
		return "", fmt.Errorf("write settings: %w", err)
	}
	return a.vault.Seal(plain)
}

// mailboxTaken says that another channel of the installation receives mail for the address.
func mailboxTaken(language string) error {
	return &InvalidError{[]FieldError{{"address", channel.Text{
		DE: "Diese Adresse hat schon ein Kanal dieser Installation.", EN: "A channel of this installation already has this address.",
	}.In(language)}}}
}

// Create adds a channel after a check of its syntax; the provider is not asked. language is of error messages.
func (a *Accounts) Create(ctx context.Context, org string, kind channel.Kind, name string, settings channel.Settings, language string, now time.Time) (Channel, error) {
	if settings == nil {
		settings = channel.Settings{}
	}
	if err := a.validate(kind, settings, language); err != nil {
		return Channel{}, err
	}
	if name = strings.TrimSpace(name); name == "" {
		name = a.drivers[kind].Title().In(language)
	}
	sealed, err := a.seal(settings)
	if err != nil {
		return Channel{}, err
	}
	id := db.NewID()
	err = a.db.Org(org).Write(ctx, func(tx *db.Tx) error {
		tx.Emit("channel", id, nil)
		_, err := tx.Exec(ctx, `INSERT INTO channel (org, id, kind, name, settings, mailbox, enabled, created_at, deleted_at) VALUES ($1,$2,$3,$4,$5,$6,1,$7,0)`,
			id, string(kind), name, sealed, mailbox(settings), now.UnixMicro())
		return err
	})
	if db.IsDuplicate(err) {
		return Channel{}, mailboxTaken(language)
	}
	if err != nil {
		return Channel{}, fmt.Errorf("create channel: %w", err)
	}
	if err := a.Reload(ctx); err != nil {
		return Channel{}, err
	}
	return a.Get(org, id)
}

// Change is what Update may change; nil means "as it is". In Settings a key that is absent stays, an empty value
// removes it.
type Change struct {
	Name     *string
	Enabled  *bool
	Settings channel.Settings
}

// Update changes a channel.
func (a *Accounts) Update(ctx context.Context, org, id string, ch Change, language string) (Channel, error) {
	c, err := a.Get(org, id)
	if err != nil {
		return Channel{}, err
	}
	settings := channel.Settings{}
	for k, v := range c.Settings {
		settings[k] = v
	}
	for k, v := range ch.Settings {
		if v == "" {
			delete(settings, k)
		} else {
			settings[k] = v
		}
	}
	if err := a.validate(c.Kind, settings, language); err != nil {
		return Channel{}, err
	}
	if ch.Name != nil && strings.TrimSpace(*ch.Name) != "" {
		c.Name = strings.TrimSpace(*ch.Name)
	}
	if ch.Enabled != nil {
		c.Enabled = *ch.Enabled
	}
	sealed := c.version
	if len(ch.Settings) > 0 {
		if sealed, err = a.seal(settings); err != nil {
			return Channel{}, err
		}
	}
	err = a.db.Org(org).Write(ctx, func(tx *db.Tx) error {
		tx.Emit("channel", id, nil)
		_, err := tx.Exec(ctx, `UPDATE channel SET name = $3, settings = $4, mailbox = $5, enabled = $6 WHERE org = $1 AND id = $2`,
			id, c.Name, sealed, mailbox(settings), db.Bool(c.Enabled))
		return err
	})
	if db.IsDuplicate(err) {
		return Channel{}, mailboxTaken(language)
	}
	if err != nil {
		return Channel{}, fmt.Errorf("change channel: %w", err)
	}
	if err := a.Reload(ctx); err != nil {
		return Channel{}, err
	}
	return a.Get(org, id)
}

// Delete hides a channel and stops it. What came by it stays.
func (a *Accounts) Delete(ctx context.Context, org, id string, now time.Time) error {
	if _, err := a.Get(org, id); err != nil {
		return err
	}
	err := a.db.Org(org).Write(ctx, func(tx *db.Tx) error {
		tx.Emit("channel", id, nil)
		_, err := tx.Exec(ctx, `UPDATE channel SET enabled = 0, deleted_at = $3 WHERE org = $1 AND id = $2`, id, now.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("delete channel: %w", err)
	}
	return a.Reload(ctx)
}

// SetHealth records what is known about a channel's working; it writes only if something changed.
func (a *Accounts) SetHealth(ctx context.Context, org, id string, h Health) error {
	same := func(o Health) bool {
		return o.State == h.State && o.Reason == h.Reason && o.Remedy == h.Remedy && h.CheckedAt.Sub(o.CheckedAt) < time.Minute
	}
	a.mu.RLock()
	told, ok := a.told[id]
	a.mu.RUnlock()
	if ok && same(told) { // asked after every send: answered from memory
		return nil
	}
	old, err := a.Healths(ctx, org)
	if err != nil {
		return err
	}
	defer func() {
		a.mu.Lock()
		a.told[id] = h
		a.mu.Unlock()
	}()
	changed := old[id].State != h.State || old[id].Reason != h.Reason || old[id].Remedy != h.Remedy
	if same(old[id]) {
		return nil
	}
	reason, _ := json.Marshal(h.Reason) // texts always marshal
	remedy, _ := json.Marshal(h.Remedy)
	err = a.db.Org(org).Write(ctx, func(tx *db.Tx) error {
		if changed {
			tx.Emit("channel", id, nil)
		}
		_, err := tx.Exec(ctx, `INSERT INTO channel_state (org, channel, cursor, health, reason, remedy, checked_at) VALUES ($1,$2,'',$3,$4,$5,$6)
			ON CONFLICT (org, channel) DO UPDATE SET health = excluded.health, reason = excluded.reason, remedy = excluded.remedy, checked_at = excluded.checked_at`,
			id, h.State, string(reason), string(remedy), db.Micro(h.CheckedAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("record health of channel %s: %w", id, err)
	}
	return nil
}

// Healths gives the health of every channel of the organisation that has one.
func (a *Accounts) Healths(ctx context.Context, org string) (map[string]Health, error) {
	out := map[string]Health{}
	rows, err := a.db.Org(org).Query(ctx, `SELECT channel, health, reason, remedy, checked_at FROM channel_state WHERE org = $1`)
	err = db.Each(rows, err, func() error {
		var id, reason, remedy string
		var h Health
		var at int64
		if err := rows.Scan(&id, &h.State, &reason, &remedy, &at); err != nil {
			return err
		}
		h.CheckedAt = db.Time(at)
		if reason != "" {
			if err := errors.Join(json.Unmarshal([]byte(reason), &h.Reason), json.Unmarshal([]byte(remedy), &h.Remedy)); err != nil {
				return err
			}
		}
		out[id] = h
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read health of channels: %w", err)
	}
	return out, nil
}

// Cursor is where a listening driver goes on.
func (a *Accounts) Cursor(ctx context.Context, org, id string) (string, error) {
	var c string
	err := a.db.Org(org).Row(ctx, `SELECT cursor FROM channel_state WHERE org = $1 AND channel = $2`, id).Scan(&c)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return "", fmt.Errorf("read cursor of channel %s: %w", id, err)
	}
	return c, nil
}

// SetCursor moves the cursor, in the transaction that stores what lies before it.
func SetCursor(ctx context.Context, tx *db.Tx, id, cursor string) error {
	_, err := tx.Exec(ctx, `INSERT INTO channel_state (org, channel, cursor, health, reason, remedy, checked_at) VALUES ($1,$2,$3,'unknown','','',0)
		ON CONFLICT (org, channel) DO UPDATE SET cursor = excluded.cursor`, id, cursor)
	if err != nil {
		return fmt.Errorf("move cursor of channel %s: %w", id, err)
	}
	return nil
}

// Watch reloads the channels once a second until ctx ends: with PostgreSQL other nodes and commands may change them.
func (a *Accounts) Watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.Reload(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("channels could not be reloaded", "error", err)
			}
		}
	}
}
