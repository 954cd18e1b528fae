package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Renew stores a setting that the provider renewed or told (a token, the account's public name), if replaces says so of
// the stored value: what a person or another node stored meanwhile stays, which is no error. It returns once that is
// durable.
func (a *Accounts) Renew(ctx context.Context, org, id, key, value string, replaces func(stored string) bool) error {
	c, err := a.Get(org, id)
	if err != nil {
		return err
	}
	known := false
	for _, s := range a.drivers[c.Kind].Settings() {
		known = known || s.Key == key
	}
	if !known {
		return fmt.Errorf("renew %s of channel %s: there is no such setting", key, id)
	}
	for {
		var old string
		err := a.db.Org(org).Row(ctx, `SELECT settings FROM channel WHERE org = $1 AND id = $2 AND deleted_at = 0`, id).Scan(&old)
		if errors.Is(err, db.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("renew a setting of channel %s: %w", id, err)
		}
		plain, err := a.vault.Unseal(old)
		if err != nil {
			return fmt.Errorf("renew a setting of channel %s: %w", id, err)
		}
		var settings channel.Settings
		if err := json.Unmarshal(plain, &settings); err != nil {
			return fmt.Errorf("settings of channel %s: %w", id, err)
		}
		if settings[key] == value || !replaces(settings[key]) {
			return nil
		}
		settings[key] = value
		sealed, err := a.seal(settings)
		if err != nil {
			return err
		}
		// Before it can be seen, so that nobody takes it for a change.
		a.mu.Lock()
		a.renewed[id+"/"+key] = value
		a.mu.Unlock()
		var n int64
		err = a.db.Org(org).Write(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(ctx, `UPDATE channel SET settings = $4 WHERE org = $1 AND id = $2 AND settings = $3`, id, old, sealed)
			return err
		})
		if err != nil {
			return fmt.Errorf("renew a setting of channel %s: %w", id, err)
		}
		if n == 1 {
			return a.Reload(ctx)
		}
		// Somebody changed the channel in between: look again.
	}
}

// Same tells whether two states of a channel's settings mean the same to whoever works with the older one: nothing
// differs but what its driver renewed by itself.
func (a *Accounts) Same(id string, older, newer channel.Settings) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for k, v := range newer {
		if older[k] != v && (v == "" || a.renewed[id+"/"+k] != v) {
			return false
		}
	}
	for k, v := range older {
		if _, there := newer[k]; !there && v != "" {
			return false
		}
	}
	return true
}
