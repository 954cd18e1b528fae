package main

import (
	"os"

	"github.com/alecthomas/kong"

	"github.com/rufweite/rufweite/internal/app"
)

type checkCmd struct {
	Paths    []string `arg:"" optional:"" name:"file" help:"Files of dialogs, or directories with them; the dialogs that come with Rufweite if there are none." placeholder:"FILE|DIR"`
	JSON     bool     `name:"json" help:"Print JSON."`
	Language string   `default:"en" enum:"en,de" help:"Language of the stories: en or de."`
}

// Help implements kong's help provider.
func (*checkCmd) Help() string {
	return "Without --data no data is touched, and every kind of channel counts. With --data the dialogs stored there are proved against the channels that are set up there; files take the place of stored dialogs of the same key."
}

// Run implements kong's command.
func (c *checkCmd) Run(g *globals, k *kong.Context) error {
	files, err := app.DialogFiles(c.Paths)
	if err != nil {
		return err
	}
	check := app.Check{Files: files, JSON: c.JSON, Language: c.Language}
	if dataNamed(k) {
		return g.do(app.Command{Check: &check})
	}
	return app.CheckDialogs(check, app.Drivers(), os.Stdout)
}

// dataNamed reports whether --data or --db stands on the command line. A setting of the environment or of rufweite.toml
// does not count: `rufweite check` alone must give the same everywhere.
func dataNamed(k *kong.Context) bool {
	for _, p := range k.Path {
		if p.Flag != nil && (p.Flag.Name == "data" || p.Flag.Name == "db") && !p.Resolved {
			return true
		}
	}
	return false
}
