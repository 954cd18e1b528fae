package dialog

import (
	"embed"
	"io/fs"
	"slices"
	"sync"
)

//go:embed ready/*.yaml
var readyFiles embed.FS

// Ready gives the dialogs that come with Rufweite, in order of their keys. They are read once per process: the list is
// the caller's, the programs in it must not be changed.
func Ready() []*Program { return slices.Clone(readyPrograms()) }

var readyPrograms = sync.OnceValue(func() []*Program {
	dir, err := fs.Sub(readyFiles, "ready")
	if err != nil {
		panic(err) // the name is ours
	}
	list, findings := LoadDir(dir)
	if len(findings) > 0 {
		panic(findings[0].String()) // a test loads them all
	}
	return list
})
