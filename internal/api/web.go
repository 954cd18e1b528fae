package api

import (
	"bytes"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// notTheDesk are paths that belong to pages of their own: as long as a build does not have one, it is not there, rather
// than being the desk.
var notTheDesk = []string{"portal", "contact", "docs", "a", "sample"}

// serveWeb gives the files of the user interface. Paths without a file are the desk's own: it is one page.
func (s *Server) serveWeb(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if s.Web == nil {
		writePlain(w, http.StatusNotFound, "This build has no user interface; build it with: make build")
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	for _, other := range notTheDesk {
		if name == other || strings.HasPrefix(name, other+"/") {
			if _, err := fs.Stat(s.Web, name+".html"); err != nil {
				http.NotFound(w, r)
				return
			}
		}
	}
	b, err := fs.ReadFile(s.Web, name)
	if err != nil && path.Ext(name) == "" {
		if b, err = fs.ReadFile(s.Web, name+".html"); err == nil {
			name += ".html"
		} else {
			name = "index.html"
			b, err = fs.ReadFile(s.Web, name)
		}
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	ancestors := "'none'"
	if s.FrameAncestors != "" {
		ancestors = s.FrameAncestors
	}
	if strings.HasSuffix(name, ".html") {
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors "+ancestors)
		h.Set("Cache-Control", "no-cache")
	} else if strings.HasPrefix(name, "assets/") { // their names carry a hash of their content
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
}
