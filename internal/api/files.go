package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
)

const (
	maxUpload = 50 << 20
	maxImage  = 10 << 20
)

// sign makes the signature of a URL that works without a session until its end: frames without same-origin send no
// cookies. The end is rounded, so that browsers can keep what they loaded.
func (s *Server) sign(parts ...string) string {
	m := hmac.New(sha256.New, s.URLKey)
	for _, p := range parts {
		m.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:18])
}

func (s *Server) validUntil() string {
	return strconv.FormatInt(s.Now().Truncate(6*time.Hour).Add(18*time.Hour).Unix(), 10)
}

func (s *Server) signedFile(org, id string) string {
	e := s.validUntil()
	return "/api/v1/attachments/" + id + "?" + url.Values{"o": {org}, "e": {e}, "s": {s.sign("file", org, id, e)}}.Encode()
}

func (s *Server) signedImage(org, src string) string {
	e := s.validUntil()
	return "/api/v1/images?" + url.Values{"o": {org}, "u": {src}, "e": {e}, "s": {s.sign("image", org, src, e)}}.Encode()
}

// valid checks a signed URL.
func (s *Server) valid(q url.Values, what, thing string) bool {
	until, err := strconv.ParseInt(q.Get("e"), 10, 64)
	if err != nil || s.Now().Unix() > until {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(s.sign(what, q.Get("o"), thing, q.Get("e"))), []byte(q.Get("s"))) == 1
}

func (s *Server) fileRoutes() {
	s.mux.HandleFunc("POST /api/v1/attachments", s.serveUpload)
	s.mux.HandleFunc("GET /api/v1/attachments/{id}", s.serveFile)
	s.mux.HandleFunc("GET /api/v1/images", s.serveImage)
}

// serveUpload keeps a file for a message that will be sent.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	name, err := url.PathUnescape(r.Header.Get("X-File-Name"))
	if err != nil || name == "" {
		name = "Datei"
	}
	a, err := s.keep(ctx, name, r.Header.Get("Content-Type"), http.MaxBytesReader(w, r.Body, maxUpload+1))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.Is(err, blob.ErrTooLarge) || errors.As(err, &tooLarge) {
			err = problem(http.StatusRequestEntityTooLarge, "too_large", s.text(ctx, "Die Datei ist größer als 50 MB.", "The file is larger than 50 MB."))
		}
		writeProblem(w, s.fail(ctx, err).(*Problem))
		return
	}
	writeJSON(w, http.StatusCreated, s.attachmentJSON(who(ctx).Org, a))
}

// keep stores a file that staff attach.
func (s *Server) keep(ctx context.Context, name, mediaType string, r io.Reader) (conversation.Attachment, error) {
	if t, _, err := mime.ParseMediaType(mediaType); err == nil {
		mediaType = t
	} else {
		mediaType = "application/octet-stream"
	}
	sum, size, err := s.Blobs.Put(ctx, r, maxUpload)
	if err != nil {
		return conversation.Attachment{}, err
	}
	a := conversation.Attachment{ID: db.NewID(), Name: conversation.CleanFileName(name), MediaType: mediaType, Size: size, Blob: sum, State: conversation.Stored, CreatedBy: who(ctx).ID}
	return a, s.org(ctx).Write(ctx, func(tx *db.Tx) error { return conversation.AddAttachment(ctx, tx, a, 0, s.Now()) })
}

// keepFiles gives the ids of a request's attachments, storing those whose content came along.
func (s *Server) keepFiles(ctx context.Context, refs []FileRef) ([]string, error) {
	var ids []string
	for _, f := range refs {
		if f.ID == "" {
			a, err := s.keep(ctx, f.Name, f.MediaType, bytes.NewReader(f.Data))
			if err != nil {
				return nil, err
			}
			f.ID = a.ID
		} else {
			a, err := conversation.AttachmentByID(ctx, s.org(ctx), f.ID)
			if err != nil || a.CreatedBy != who(ctx).ID {
				return nil, invalid("body.attachments", s.text(ctx, "Eine der Dateien gibt es nicht mehr. Hängen Sie sie noch einmal an.", "One of the files is gone. Attach it again."))
			}
		}
		ids = append(ids, f.ID)
	}
	return ids, nil
}

// shown are the media types that a browser may show; everything else is downloaded. SVG and HTML are programs.
var shown = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/avif": true, "application/pdf": true,
	"audio/ogg": true, "audio/mpeg": true, "audio/mp4": true, "audio/wav": true, "video/mp4": true, "video/webm": true, "text/plain": true}

// serveFile gives a file to whoever may see its conversation, or who holds a signed URL.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id := r.PathValue("id")
	q := r.URL.Query()
	var o db.Org
	signed := q.Has("s")
	if signed {
		if !s.valid(q, "file", id) {
			writeProblem(w, problem(http.StatusForbidden, "bad_link", textIn(s.language(r), "Dieser Link ist abgelaufen. Laden Sie die Seite neu.", "This link has expired. Reload the page.")))
			return
		}
		o = s.DB.Org(q.Get("o"))
	} else {
		o = s.org(ctx)
	}
	a, err := conversation.AttachmentByID(ctx, o, id)
	if err == nil && !signed {
		if a.Message == "" {
			if a.CreatedBy != who(ctx).ID {
				err = conversation.ErrNoSuch
			}
		} else {
			_, err = s.seeMessage(ctx, o, a.Message)
		}
	}
	if err != nil {
		writeProblem(w, s.fail(ctx, err).(*Problem))
		return
	}
	if a.State != conversation.Stored {
		writeProblem(w, problem(http.StatusConflict, "not_here", textIn(s.language(r), "Diese Datei ist noch nicht hier oder konnte nicht geholt werden.", "This file is not here yet or could not be fetched.")))
		return
	}
	f, err := s.Blobs.Get(a.Blob)
	if err != nil {
		writeProblem(w, s.fail(ctx, err).(*Problem))
		return
	}
	defer func() { _ = f.Close() }()
	h := w.Header()
	kind := strings.ToLower(a.MediaType)
	disposition := "attachment"
	if shown[kind] && !q.Has("download") {
		disposition = "inline"
	} else if !shown[kind] {
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": a.Name}))
	if kind != "application/pdf" { // a sandbox would keep the browser's PDF viewer out
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	h.Set("Cache-Control", "private, max-age=86400, immutable")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // frames without an origin load it; the URL is signed
	http.ServeContent(w, r, "", a.CreatedAt, f)
}

// serveImage fetches a remote image on behalf of somebody who wants to see it: the sender does not learn who or where.
func (s *Server) serveImage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !s.valid(q, "image", q.Get("u")) || s.Media == nil {
		writeProblem(w, problem(http.StatusForbidden, "bad_link", textIn(s.language(r), "Dieser Link ist abgelaufen. Laden Sie die Seite neu.", "This link has expired. Reload the page.")))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 15*time.Second)
	defer cancel()
	img, kind, err := s.Media(ctx, q.Get("u"))
	if err != nil || !strings.HasPrefix(kind, "image/") || !shown[kind] {
		writeProblem(w, problem(http.StatusBadGateway, "no_image", textIn(s.language(r), "Das Bild konnte nicht geladen werden.", "The image could not be loaded.")))
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "private, max-age=86400")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	_, _ = w.Write(img)
}
