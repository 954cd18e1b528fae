package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/rufweite/rufweite/internal/db"
)

// idempotent answers a repeated write with what the first one was answered. Creations also use the key as their client
// id, so that even a crash between the write and the note of its answer does no harm.
func (s *Server) idempotent(w http.ResponseWriter, r *http.Request, key string) {
	lang := s.language(r)
	if len(key) > 200 {
		writeProblem(w, problem(http.StatusBadRequest, "bad_key", textIn(lang, "Idempotency-Key darf höchstens 200 Zeichen haben.", "Idempotency-Key must have at most 200 characters.")))
		return
	}
	u := who(r.Context())
	lock, _ := s.inflight.LoadOrStore(u.ID+" "+key, &sync.Mutex{})
	mu := lock.(*sync.Mutex)
	mu.Lock()
	defer func() {
		mu.Unlock()
		s.inflight.Delete(u.ID + " " + key)
	}()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
	if err != nil {
		writeProblem(w, problem(http.StatusRequestEntityTooLarge, "too_large", textIn(lang, "Die Anfrage ist zu groß.", "The request is too large.")))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h := sha256.New()
	h.Write([]byte(r.Method + " " + r.URL.RequestURI() + "\n"))
	h.Write(body)
	request := hex.EncodeToString(h.Sum(nil))
	o := s.DB.Org(u.Org)
	var stored, answer string
	var status int
	err = o.Row(r.Context(), `SELECT request, status, body FROM idempotency WHERE org = $1 AND staff = $2 AND key = $3`, u.ID, key).Scan(&stored, &status, &answer)
	switch {
	case err == nil && stored != request:
		writeProblem(w, problem(http.StatusUnprocessableEntity, "key_reused", textIn(lang, "Dieser Idempotency-Key gehört schon zu einer anderen Anfrage.", "This Idempotency-Key belongs to another request already.")))
		return
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
		return
	case !errors.Is(err, db.ErrNoRows):
		writeProblem(w, s.fail(r.Context(), err).(*Problem))
		return
	}
	rec := &recorder{ResponseWriter: w}
	s.mux.ServeHTTP(rec, r)
	if rec.status == 0 || rec.status >= 500 || rec.status == http.StatusTooManyRequests {
		return // it may be tried again
	}
	err = o.Write(r.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(r.Context(), `INSERT INTO idempotency (org, staff, key, request, status, body, at) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT (org, staff, key) DO NOTHING`,
			u.ID, key, request, rec.status, rec.body.String(), s.Now().UnixMicro())
		return err
	})
	if err != nil {
		s.Log.Error("the answer to an idempotent request could not be kept", "error", err)
	}
}

type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}
