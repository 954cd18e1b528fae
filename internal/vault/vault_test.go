package vault

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSealedSecretsOpenWithTheSameKeyOnly(t *testing.T) {
	dir := t.TempDir()
	v, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := v.Seal([]byte("geheim"))
	if err != nil || strings.Contains(sealed, "geheim") {
		t.Fatalf("%q, %v", sealed, err)
	}
	again, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := again.Unseal(sealed); err != nil || string(b) != "geheim" {
		t.Fatalf("%q, %v", b, err)
	}
	other, err := Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Unseal(sealed); err == nil {
		t.Fatal("another key opened it")
	}
	if st, err := os.Stat(filepath.Join(dir, "key")); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v, %v", st, err)
	}
}

func TestDamagedOrMissingKeySaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, filepath.Join(dir, "nowhere")); err == nil {
		t.Fatal("a named key file that does not exist must not be made")
	}
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path, []byte("AGE-SECRET-KEY-broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, ""); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Fatalf("error %v", err)
	}
}
