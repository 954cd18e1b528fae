//go:build !embedweb

// Package web holds the built user interface.
package web

import (
	"io/fs"
	"os"
)

// Files gives the user interface built in web/dist, if this program runs from the repository; ok is false otherwise.
// `make build` embeds it (build tag embedweb).
func Files() (files fs.FS, ok bool) {
	for _, dir := range []string{os.Getenv("RUFWEITE_WEB_DIST"), "web/dist"} {
		if dir == "" {
			continue
		}
		if st, err := os.Stat(dir + "/index.html"); err == nil && !st.IsDir() {
			return os.DirFS(dir), true
		}
	}
	return nil, false
}
