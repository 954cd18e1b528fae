package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/auth"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/dialog"
	"github.com/rufweite/rufweite/internal/org"
)

// ErrDeadEnds means that the prover found something; it has been told.
var ErrDeadEnds = errors.New("there are dead ends")

// Check asks for a proof that dialogs have no dead ends.
type Check struct {
	Files    []DialogFile // with these; none = with what is there
	JSON     bool
	Language string // of the findings: de or en
}

// DialogFile is a dialog's file, read by the command: a server may run under another user.
type DialogFile struct {
	Name string
	Data []byte
}

// DialogFiles reads files, and those below directories that look like dialogs (.yaml, .yml, .json).
func DialogFiles(paths []string) ([]DialogFile, error) {
	var out []DialogFile
	add := func(name string) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(io.LimitReader(f, 2<<20)) // more than a dialog may have, so that it is told
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		out = append(out, DialogFile{name, data})
		return nil
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if err := add(p); err != nil {
				return nil, err
			}
			continue
		}
		n := len(out)
		err = filepath.WalkDir(p, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
				return err
			}
			return add(name)
		})
		if err != nil {
			return nil, fmt.Errorf("look for dialogs in %s: %w", p, err)
		}
		if len(out) == n {
			return nil, fmt.Errorf("there is no dialog (.yaml, .yml, .json) in %s", p)
		}
	}
	return out, nil
}

// CheckDialogs proves files, or the dialogs that come with Rufweite, against every kind of channel. It touches no data.
// It returns ErrDeadEnds if anything was found.
func CheckDialogs(c Check, drivers []channel.Driver, out io.Writer) error {
	media := Media(drivers)()
	o := dialog.CheckOptions{Language: c.Language}
	if len(c.Files) == 0 {
		return report(c, dialog.Ready(), nil, media, o, out)
	}
	programs, findings := load(c)
	return report(c, programs, findings, media, o, out)
}

func load(c Check) ([]*dialog.Program, []dialog.Finding) {
	var programs []*dialog.Program
	var findings []dialog.Finding
	for _, f := range c.Files {
		p, bad := dialog.LoadIn(c.Language, f.Name, f.Data)
		findings = append(findings, bad...)
		if p != nil {
			programs = append(programs, p)
		}
	}
	return programs, findings
}

// check proves an organisation's dialogs, and those that come with Rufweite where it has none of its own, against its
// channels. Files take the place of stored dialogs of the same key: what if they were saved?
func (c *Core) check(ctx context.Context, o db.Org, cmd Check, out io.Writer) error {
	programs, findings := load(cmd)
	have := map[string]bool{}
	for _, p := range programs {
		have[p.Key] = true
	}
	sources, err := dialog.Sources(ctx, o)
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for _, s := range sources {
		if have[s.Key] {
			continue
		}
		own[s.Key] = true
		p, bad := dialog.LoadIn(cmd.Language, fmt.Sprintf("%s (version %d)", s.Key, s.Version), []byte(s.Text))
		findings = append(findings, bad...)
		if p != nil {
			p.Version = s.Version
			programs = append(programs, p)
		}
	}
	for _, p := range dialog.Ready() {
		if !have[p.Key] && !own[p.Key] {
			programs = append(programs, p)
		}
	}
	all := Media(c.Drivers)()
	opts := dialog.CheckOptions{Language: cmd.Language, Staff: []string{}, Units: []string{}}
	for k := range all {
		opts.Kinds = append(opts.Kinds, k)
	}
	slices.Sort(opts.Kinds)
	users, err := auth.Users(ctx, o)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Enabled {
			opts.Staff = append(opts.Staff, u.Email)
		}
	}
	units, err := org.Units(ctx, o)
	if err != nil {
		return err
	}
	for _, u := range units {
		opts.Units = append(opts.Units, u.Name)
	}
	media := map[channel.Kind]channel.Medium{}
	for _, ch := range c.Accounts.List(o.ID) {
		if ch.Enabled {
			media[ch.Kind] = all[ch.Kind]
		}
	}
	if len(media) == 0 { // nothing is set up yet: whatever will be
		media = all
	}
	return report(cmd, programs, findings, media, opts, out)
}

func report(c Check, programs []*dialog.Program, findings []dialog.Finding, media map[channel.Kind]channel.Medium, o dialog.CheckOptions, out io.Writer) error {
	findings = append(findings, dialog.Check(programs, media, o)...)
	steps := 0
	for _, p := range programs {
		steps += len(p.Steps)
	}
	var err error
	german := strings.HasPrefix(c.Language, "de")
	switch {
	case c.JSON:
		if findings == nil {
			findings = []dialog.Finding{}
		}
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(map[string]any{"dialogs": len(programs), "steps": steps, "channels": len(media), "findings": findings})
	case len(findings) > 0:
		for _, f := range findings {
			if _, err = fmt.Fprintln(out, f.String()); err != nil {
				break
			}
		}
	case german:
		_, err = fmt.Fprintf(out, "%s, %s, %s: keine Sackgassen\n", count(len(programs), "Dialog", "Dialoge"), count(steps, "Schritt", "Schritte"), count(len(media), "Kanal", "Kanäle"))
	default:
		_, err = fmt.Fprintf(out, "%s, %s, %s: no dead ends\n", count(len(programs), "dialog", "dialogs"), count(steps, "step", "steps"), count(len(media), "channel", "channels"))
	}
	if err != nil {
		return fmt.Errorf("tell what was found: %w", err)
	}
	if len(findings) > 0 {
		return fmt.Errorf("%s: %w", count(len(findings), "finding", "findings"), ErrDeadEnds)
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
