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

	"github.com/danielgtaylor/huma/v2"

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
	upload := op("POST", "/attachments", "upload-attachment", "Upload a file for a message that will be sent, at most 50 MB", "files")
	upload.Parameters = []*huma.Param{{Name: "X-File-Name", In: "header", Description: "name of the file, percent-encoded UTF-8", Schema: &huma.Schema{Type: "string"}}}
	upload.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
	upload.Responses = answers("201", "Created", "application/json", s.api.OpenAPI().Components.Schemas.Schema(typeOf[AttachmentJSON](), true, "Attachment"))
	s.raw(upload, s.serveUpload)
	signed := []*huma.Param{query("o", "of a signed URL: organisation"), query("e", "of a signed URL: its end, Unix seconds"), query("s", "of a signed URL: its signature; replaces the session")}
	file := op("GET", "/attachments/{id}", "get-attachment", "A file, for whoever may see its conversation or holds its signed URL", "files")
	file.Security = signedSecurity
	file.Parameters = append([]*huma.Param{query("download", "present: never shown in the browser")}, signed...)
	file.Responses = answers("200", "The file; active content (HTML, SVG) is only downloaded", "*/*", nil)
	s.raw(file, s.serveFile)
	image := op("GET", "/images", "get-remote-image", "A remote image of a mail, fetched by the server; only by the signed URLs in a message's HTML", "files")
	image.Security = signedSecurity
	image.Parameters = append([]*huma.Param{query("u", "the image")}, signed...)
	image.Responses = answers("200", "The image", "image/*", nil)
	s.raw(image, s.serveImage)
}

// signedSecurity says that a signature in the URL is as good as a session.
var signedSecurity = []map[string][]string{{}, {"token": {}}, {"session": {}}}

// serveUpload keeps a file for a message that will be sent.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(15 * time.Minute)) // a large file over a slow line; not every writer has one
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
		s.writeFailure(ctx, w, err)
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

// keepFiles gives the ids of a request's attachments, storing those whose content came along. A file that was sent
// already is good only for the message with the same client id: the same send, pressed twice. most is the channel's
// limit in bytes, 0 = none.
func (s *Server) keepFiles(ctx context.Context, refs []FileRef, client string, most int64) ([]string, error) {
	gone := func(i int) error {
		return invalid("body.attachments["+strconv.Itoa(i)+"]", s.text(ctx, "Eine der Dateien gibt es nicht mehr, oder sie wurde schon gesendet. Hängen Sie sie noch einmal an.", "One of the files is gone or was sent already. Attach it again."))
	}
	o := s.org(ctx)
	var ids []string
	seen := map[string]bool{}
	for i, f := range refs {
		size := int64(len(f.Data))
		if f.ID != "" {
			a, err := conversation.AttachmentByID(ctx, o, f.ID)
			if errors.Is(err, conversation.ErrNoSuch) || (err == nil && (a.CreatedBy != who(ctx).ID || seen[f.ID])) {
				return nil, gone(i)
			}
			if err != nil {
				return nil, err
			}
			if a.Message != "" {
				m, err := conversation.MessageByID(ctx, o, a.Message)
				if err != nil && !errors.Is(err, conversation.ErrNoSuch) {
					return nil, err
				}
				if client == "" || m.ClientID != client {
					return nil, gone(i)
				}
			}
			size = a.Size
		}
		if most > 0 && size > most {
			mb := strconv.FormatInt(most>>20, 10)
			return nil, invalid("body.attachments["+strconv.Itoa(i)+"]", s.text(ctx, "Diese Datei ist für den Kanal zu groß: Er befördert höchstens "+mb+" MB.", "This file is too large for the channel: it carries at most "+mb+" MB."))
		}
		if f.ID == "" {
			a, err := s.keep(ctx, f.Name, f.MediaType, bytes.NewReader(f.Data))
			if err != nil {
				return nil, err
			}
			f.ID = a.ID
		}
		seen[f.ID] = true
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
		s.writeFailure(ctx, w, err)
		return
	}
	if a.State != conversation.Stored {
		writeProblem(w, problem(http.StatusConflict, "not_here", textIn(s.language(r), "Diese Datei ist noch nicht hier oder konnte nicht geholt werden.", "This file is not here yet or could not be fetched.")))
		return
	}
	f, err := s.Blobs.Get(a.Blob)
	if err != nil {
		s.writeFailure(ctx, w, err)
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
	if signed { // frames without an origin load it
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	} else {
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
	}
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
