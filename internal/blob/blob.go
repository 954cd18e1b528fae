// Package blob keeps files by the hash of their content: attachments and large raw bodies. A file is durable before
// its name is given out. It knows nothing of who refers to a file; the sweep asks.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// ErrTooLarge is returned by Put when the content exceeds its limit; nothing is kept.
var ErrTooLarge = errors.New("file is too large")

// Store is a directory of content-addressed files.
type Store struct {
	dir string
}

// Open opens or makes the store in dir.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &Store{dir}, nil
}

// Put stores what r gives, up to limit bytes (0 = no limit), and returns the SHA-256 sum in hex and the size. The file
// is on the disk (fsync of file and directory) when Put returns. The same content is stored once.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (sum string, size int64, err error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "put-*")
	if err != nil {
		return "", 0, fmt.Errorf("store file: %w", err)
	}
	tmp := f.Name()
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	h := sha256.New()
	src := r
	if limit > 0 {
		src = io.LimitReader(r, limit+1)
	}
	size, err = io.Copy(io.MultiWriter(f, h), src)
	if err == nil && limit > 0 && size > limit {
		err = ErrTooLarge
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = f.Close()
		return "", 0, fmt.Errorf("store file: %w", err)
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return "", 0, fmt.Errorf("store file: %w", err)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	path := s.path(sum)
	dir := filepath.Dir(path)
	if _, err := os.Stat(path); err == nil {
		now := time.Now() // a fresh mention: the sweep must not take it from under us
		_ = os.Chtimes(path, now, now)
		_ = os.Remove(tmp)
		return sum, size, nil
	}
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return "", 0, fmt.Errorf("store file: %w", err)
	}
	if err = os.Rename(tmp, path); err != nil {
		return "", 0, fmt.Errorf("store file: %w", err)
	}
	for _, d := range []string{dir, s.dir} {
		if err = syncDir(d); err != nil {
			return "", 0, fmt.Errorf("store file: %w", err)
		}
	}
	return sum, size, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Get opens the file with this sum for reading.
func (s *Store) Get(sum string) (*os.File, error) {
	if !sumForm.MatchString(sum) {
		return nil, fmt.Errorf("open file %q: %w", sum, fs.ErrNotExist)
	}
	f, err := os.Open(s.path(sum))
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return f, nil
}

func (s *Store) path(sum string) string { return filepath.Join(s.dir, sum[:2], sum) }

// Sweep removes files that are older than a day at time now and that nobody refers to, and left-over temporary files.
// used gets sums in batches and returns those that are in use.
func (s *Store) Sweep(ctx context.Context, now time.Time, used func(context.Context, []string) (map[string]bool, error)) (removed int, err error) {
	old := now.Add(-24 * time.Hour)
	var batch []string
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		keep, err := used(ctx, batch)
		if err != nil {
			return err
		}
		for _, sum := range batch {
			if keep[sum] {
				continue
			}
			if st, err := os.Stat(s.path(sum)); err != nil || st.ModTime().After(old) {
				continue
			}
			if err := os.Remove(s.path(sum)); err != nil {
				return err
			}
			removed++
		}
		batch = batch[:0]
		return nil
	}
	err = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil || st.ModTime().After(old) {
			return nil //nolint:nilerr // it vanished or is young: not ours to remove now
		}
		if !sumForm.MatchString(d.Name()) {
			return os.Remove(path)
		}
		if batch = append(batch, d.Name()); len(batch) >= 200 {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return removed, fmt.Errorf("sweep blob store: %w", err)
	}
	return removed, nil
}
