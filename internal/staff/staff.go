// Package staff is in charge of what members of staff work with: saved views, text blocks and their own preferences.
// Who they are and what they may do is auth's; which conversations there are is conversation's.
package staff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/db"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("there is no such entry (any more)")
	ErrNotYours = errors.New("this belongs to a colleague")
	ErrTooMuch  = errors.New("this is too much to keep")
)

// View is a filter of the list of conversations that somebody has given a name.
type View struct {
	ID     string
	Owner  string // staff id
	Name   string
	Query  json.RawMessage // the list's query parameters as an object
	Shared bool            // colleagues see it, too
	Pos    int64           // order in the rail, ascending
}

const viewColumns = `id, staff, name, query, shared, pos`

func views(ctx context.Context, q db.Querier, where string, args ...any) ([]View, error) {
	var out []View
	rows, err := q.Query(ctx, `SELECT `+viewColumns+` FROM view WHERE org = $1 AND `+where, args...)
	err = db.Each(rows, err, func() error {
		var v View
		var query string
		var shared int64
		err := rows.Scan(&v.ID, &v.Owner, &v.Name, &query, &shared, &v.Pos)
		v.Query, v.Shared = json.RawMessage(query), shared == 1
		out = append(out, v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read views: %w", err)
	}
	return out, nil
}

// Views lists what a member of staff sees in the rail: own views and shared ones, in their order.
func Views(ctx context.Context, q db.Querier, staff string) ([]View, error) {
	return views(ctx, q, `(staff = $2 OR shared = 1) ORDER BY pos, id LIMIT 200`, staff)
}

// ViewByID reads one view.
func ViewByID(ctx context.Context, q db.Querier, id string) (View, error) {
	list, err := views(ctx, q, `id = $2`, id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return View{}, err
	}
	return list[0], nil
}

// SaveView keeps a view; an empty id makes a new one.
func SaveView(ctx context.Context, tx *db.Tx, v View, now time.Time) (View, error) {
	if len(v.Query) > 4000 {
		return v, ErrTooMuch
	}
	if v.ID == "" {
		v.ID = db.NewID()
		_, err := tx.Exec(ctx, `INSERT INTO view (org, `+viewColumns+`, created_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)`, v.ID, v.Owner, v.Name, string(v.Query), db.Bool(v.Shared), v.Pos, db.Micro(now))
		if err != nil {
			return v, fmt.Errorf("keep view: %w", err)
		}
	} else if _, err := tx.Exec(ctx, `UPDATE view SET name = $3, query = $4, shared = $5, pos = $6 WHERE org = $1 AND id = $2`, v.ID, v.Name, string(v.Query), db.Bool(v.Shared), v.Pos); err != nil {
		return v, fmt.Errorf("change view: %w", err)
	}
	tx.Emit("view", v.ID, nil)
	return v, nil
}

// DropView removes a view.
func DropView(ctx context.Context, tx *db.Tx, id string) error {
	return drop(ctx, tx, `DELETE FROM view WHERE org = $1 AND id = $2`, "view", id)
}

func drop(ctx context.Context, tx *db.Tx, query, kind, id string) error {
	n, err := tx.Exec(ctx, query, id)
	if err != nil {
		return fmt.Errorf("remove %s: %w", kind, err)
	}
	if n == 0 {
		return ErrNotFound
	}
	tx.Emit(kind, id, nil)
	return nil
}

// TextBlock is a text that staff often write, with variables.
type TextBlock struct {
	ID        string
	Owner     string // staff id of whose it is alone; "" = everybody's
	Unit      string // whose it is; "" = every unit's
	Name      string
	Shortcut  string
	Text      string
	UpdatedAt time.Time
}

const blockColumns = `id, staff, unit, name, shortcut, text, updated_at`

func blocks(ctx context.Context, q db.Querier, where string, args ...any) ([]TextBlock, error) {
	var out []TextBlock
	rows, err := q.Query(ctx, `SELECT `+blockColumns+` FROM text_block WHERE org = $1 AND `+where, args...)
	err = db.Each(rows, err, func() error {
		var b TextBlock
		var at int64
		err := rows.Scan(&b.ID, &b.Owner, &b.Unit, &b.Name, &b.Shortcut, &b.Text, &at)
		b.UpdatedAt = db.Time(at)
		out = append(out, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read text blocks: %w", err)
	}
	return out, nil
}

// TextBlocks lists the blocks that a member of staff can use: everybody's, the unit's and their own, by name.
func TextBlocks(ctx context.Context, q db.Querier, staff, unit string) ([]TextBlock, error) {
	return blocks(ctx, q, `staff IN ('', $2) AND unit IN ('', $3) ORDER BY name, id LIMIT 1000`, staff, unit)
}

// TextBlockByID reads one block.
func TextBlockByID(ctx context.Context, q db.Querier, id string) (TextBlock, error) {
	list, err := blocks(ctx, q, `id = $2`, id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return TextBlock{}, err
	}
	return list[0], nil
}

// SaveTextBlock keeps a block; an empty id makes a new one. Unknown variables are refused (UnknownVariable).
func SaveTextBlock(ctx context.Context, tx *db.Tx, b TextBlock, now time.Time) (TextBlock, error) {
	if err := CheckText(b.Text); err != nil {
		return b, err
	}
	b.UpdatedAt = now
	if b.ID == "" {
		b.ID = db.NewID()
		if _, err := tx.Exec(ctx, `INSERT INTO text_block (org, `+blockColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)`, b.ID, b.Owner, b.Unit, b.Name, b.Shortcut, b.Text, db.Micro(now)); err != nil {
			return b, fmt.Errorf("keep text block: %w", err)
		}
	} else if _, err := tx.Exec(ctx, `UPDATE text_block SET staff = $3, unit = $4, name = $5, shortcut = $6, text = $7, updated_at = $8 WHERE org = $1 AND id = $2`, b.ID, b.Owner, b.Unit, b.Name, b.Shortcut, b.Text, db.Micro(now)); err != nil {
		return b, fmt.Errorf("change text block: %w", err)
	}
	tx.Emit("text_block", b.ID, nil)
	return b, nil
}

// DropTextBlock removes a block.
func DropTextBlock(ctx context.Context, tx *db.Tx, id string) error {
	return drop(ctx, tx, `DELETE FROM text_block WHERE org = $1 AND id = $2`, "text_block", id)
}

// Variables are what stands between {{ and }} in a text block.
func Variables() []string {
	return []string{"customer.name", "customer.first_name", "customer.last_name", "customer.salutation", "advisor.name", "advisor.email", "unit.name", "org.name", "conversation.subject", "number", "today"}
}

// UnknownVariable is the error about a variable that does not exist.
type UnknownVariable struct{ Name string }

// Error implements error.
func (e UnknownVariable) Error() string {
	return fmt.Sprintf("there is no variable {{%s}}; possible are %s", e.Name, strings.Join(Variables(), ", "))
}

// CheckText reports the first unknown variable of a text.
func CheckText(text string) (err error) {
	each(text, func(string) {}, func(name string) {
		if err == nil && !slices.Contains(Variables(), name) {
			err = UnknownVariable{name}
		}
	})
	return err
}

// Fill puts values in the place of variables. Those without a value stay as they are and are named in missing. Values
// are put in as they are: braces in them mean nothing.
func Fill(text string, values map[string]string) (filled string, missing []string) {
	var b strings.Builder
	each(text, func(s string) { b.WriteString(s) }, func(name string) {
		if v := values[name]; v != "" {
			b.WriteString(v)
			return
		}
		b.WriteString("{{" + name + "}}")
		if !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	})
	return b.String(), missing
}

// each goes through a text: plain parts and the names of variables.
func each(text string, plain, variable func(string)) {
	for {
		i := strings.Index(text, "{{")
		if i < 0 {
			plain(text)
			return
		}
		j := strings.Index(text[i:], "}}")
		if j < 0 {
			plain(text)
			return
		}
		plain(text[:i])
		variable(strings.TrimSpace(text[i+2 : i+j]))
		text = text[i+j+2:]
	}
}

// preferenceMax is how many bytes of preferences one member of staff may keep.
const preferenceMax = 16 << 10

// Preferences gives what somebody has set for themselves, as the desk wrote it; "{}" if nothing.
func Preferences(ctx context.Context, q db.Querier, staff string) (json.RawMessage, error) {
	var body string
	err := q.Row(ctx, `SELECT body FROM preference WHERE org = $1 AND staff = $2`, staff).Scan(&body)
	if errors.Is(err, db.ErrNoRows) {
		return json.RawMessage(`{}`), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read preferences: %w", err)
	}
	return json.RawMessage(body), nil
}

// SetPreferences keeps them; a JSON object of at most 16 KB.
func SetPreferences(ctx context.Context, tx *db.Tx, staff string, body json.RawMessage) error {
	if len(body) > preferenceMax {
		return ErrTooMuch
	}
	_, err := tx.Exec(ctx, `INSERT INTO preference (org, staff, body) VALUES ($1,$2,$3) ON CONFLICT (org, staff) DO UPDATE SET body = excluded.body`, staff, string(body))
	if err != nil {
		return fmt.Errorf("keep preferences: %w", err)
	}
	return nil
}
