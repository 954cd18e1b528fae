package blob

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPutIsContentAddressed(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	a, n, err := s.Put(ctx, strings.NewReader("hallo"), 0)
	if err != nil || n != 5 {
		t.Fatal(n, err)
	}
	b, _, err := s.Put(ctx, strings.NewReader("hallo"), 5)
	if err != nil || a != b {
		t.Fatal(a, b, err)
	}
	f, err := s.Get(a)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, _ := io.ReadAll(f); string(got) != "hallo" {
		t.Fatalf("%q", got)
	}
	if _, _, err := s.Put(ctx, strings.NewReader("zu lang"), 3); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("error %v", err)
	}
	for _, bad := range []string{"", "../../etc/passwd", strings.Repeat("g", 64)} {
		if _, err := s.Get(bad); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Get(%q): %v", bad, err)
		}
	}
}

func TestSweepRemovesOldOrphansOnly(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	put := func(text string) string {
		sum, _, err := s.Put(ctx, strings.NewReader(text), 0)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	used, orphan := put("used"), put("orphan")
	if err := os.WriteFile(filepath.Join(dir, "tmp", "put-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	inUse := func(context.Context, []string) (map[string]bool, error) { return map[string]bool{used: true}, nil }
	if n, err := s.Sweep(ctx, time.Now(), inUse); err != nil || n != 0 {
		t.Fatalf("young files: removed %d, %v", n, err)
	}
	if n, err := s.Sweep(ctx, time.Now().Add(25*time.Hour), inUse); err != nil || n != 1 {
		t.Fatalf("removed %d, %v; want the orphan", n, err)
	}
	if _, err := s.Get(orphan); err == nil {
		t.Error("orphan is still there")
	}
	if f, err := s.Get(used); err != nil {
		t.Error(err)
	} else {
		_ = f.Close()
	}
}
