package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/rufweite/rufweite/internal/db"
)

// keyLocks makes requests with the same key wait for each other.
type keyLocks struct {
	mu sync.Mutex
	m  map[string]*keyLock
}

type keyLock struct {
	mu sync.Mutex
	n  int // who holds it or waits for it
}

func (k *keyLocks) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.m == nil {
		k.m = map[string]*keyLock{}
	}
	l := k.m[key]
	if l == nil {
		l = &keyLock{}
		k.m[key] = l
	}
	l.n++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		if l.n--; l.n == 0 {
			delete(k.m, key)
		}
		k.mu.Unlock()
	}
}

// idempotent answers a repeated write with what the first one was answered. The answer is kept before it is given.
// Creations of messages also use the key as their client id, so that even a crash between the write and the note of
// its answer sends nothing twice.
func (s *Server) idempotent(w http.ResponseWriter, r *http.Request, key string) {
	lang := s.language(r)
	if len(key) > 200 {
		writeProblem(w, problem(http.StatusBadRequest, "bad_key", textIn(lang, "Idempotency-Key darf höchstens 200 Zeichen haben.", "Idempotency-Key must have at most 200 characters.")))
		return
	}
	u := who(r.Context())
	defer s.keys.lock(u.ID + " " + key)()
	h := sha256.New()
	h.Write([]byte(r.Method + " " + r.URL.RequestURI() + "\n"))
	if strings.HasPrefix(r.URL.Path, "/api/v1/attachments") { // not into memory: what names the file stands for it
		for _, name := range []string{"X-File-Name", "Content-Type", "Content-Length"} {
			h.Write([]byte(r.Header.Get(name) + "\n"))
		}
	} else {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
		if err != nil {
			writeProblem(w, problem(http.StatusRequestEntityTooLarge, "too_large", textIn(lang, "Die Anfrage ist zu groß.", "The request is too large.")))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.Write(body)
	}
	request := hex.EncodeToString(h.Sum(nil))
	o := s.DB.Org(u.Org)
	var stored, answer string
	var status int
	err := o.Row(r.Context(), `SELECT request, status, body FROM idempotency WHERE org = $1 AND staff = $2 AND key = $3`, u.ID, key).Scan(&stored, &status, &answer)
	switch {
	case err == nil && stored != request:
		writeProblem(w, problem(http.StatusUnprocessableEntity, "key_reused", textIn(lang, "Dieser Idempotency-Key gehört schon zu einer anderen Anfrage.", "This Idempotency-Key belongs to another request already.")))
		return
	case err == nil:
		kind := "application/json"
		if status >= 400 {
			kind = "application/problem+json"
		}
		if answer != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
		return
	case !errors.Is(err, db.ErrNoRows):
		s.writeFailure(r.Context(), w, err)
		return
	}
	rec := &recorder{ResponseWriter: w}
	s.mux.ServeHTTP(rec, r)
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	if rec.status < 500 && rec.status != 499 && rec.status != http.StatusTooManyRequests { // those may be tried again
		// The client may be gone; the answer waits for it all the same.
		ctx := context.WithoutCancel(r.Context())
		err = o.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO idempotency (org, staff, key, request, status, body, at) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT (org, staff, key) DO NOTHING`,
				u.ID, key, request, rec.status, withoutSecrets(r.URL.Path, rec.body.Bytes()), s.Now().UnixMicro())
			return err
		})
		if err != nil {
			s.Log.Error("the answer to an idempotent request could not be kept", "error", err)
		}
	}
	w.WriteHeader(rec.status)
	_, _ = w.Write(rec.body.Bytes())
}

// keepsAnswers reports whether answers under this path may be kept for a repetition: those about one's own session hold
// secrets, and repeating them does no harm.
func keepsAnswers(path string) bool { return !strings.HasPrefix(path, "/api/v1/session") }

// withoutSecrets takes the one-time link out of an answer that is kept: links are stored only as hashes.
func withoutSecrets(path string, body []byte) string {
	if !strings.HasPrefix(path, "/api/v1/staff") {
		return string(body)
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return string(body)
	}
	if _, ok := m["invite_url"]; !ok {
		return string(body)
	}
	delete(m, "invite_url")
	b, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return string(b)
}

// recorder holds an answer back.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.body.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
