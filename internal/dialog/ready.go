package dialog

import (
	"embed"
	"io/fs"
)

//go:embed ready/*.yaml
var readyFiles embed.FS

// Ready gives the dialogs that come with Rufweite, in order of their keys. Each call reads them anew: the caller may
// change them.
func Ready() []*Program {
	dir, err := fs.Sub(readyFiles, "ready")
	if err != nil {
		panic(err) // the name is ours
	}
	list, findings := LoadDir(dir)
	if len(findings) > 0 {
		panic(findings[0].String()) // a test loads them all
	}
	return list
}
