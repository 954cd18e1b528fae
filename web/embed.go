//go:build embedweb

// Package web holds the built user interface.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files gives the built user interface; ok is false if this build has none.
func Files() (files fs.FS, ok bool) {
	f, err := fs.Sub(dist, "dist")
	return f, err == nil
}
