// Package vault encrypts secrets at rest (channel credentials, second factors) with an age key that lies outside the
// database: DIR/key, or the file named by RUFWEITE_KEY_FILE. It knows nothing of what the secrets are for.
package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// Vault seals and opens small secrets.
type Vault struct {
	key *age.X25519Identity
}

// Open reads the key from file, or makes DIR/key (mode 0600) on first start if file is empty.
func Open(dir, file string) (*Vault, error) {
	path := file
	if path == "" {
		path = filepath.Join(dir, "key")
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && file == "" {
		return create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key that protects secrets: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fmt.Errorf("the key in %s is damaged; restore it from your backup: %w", path, err)
		}
		return &Vault{key}, nil
	}
	return nil, fmt.Errorf("there is no key in %s; restore it from your backup", path)
}

func create(path string) (*Vault, error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make the key that protects secrets: %w", err)
	}
	text := "# Protects the secrets in this installation's database. Without it they are lost: back it up, apart from the database.\n" + key.String() + "\n"
	// Whole or not at all, also if we are killed in the middle: written apart, then linked to its name.
	f, err := os.CreateTemp(filepath.Dir(path), "key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make the key that protects secrets: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write the key that protects secrets: %w", err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) { // another process was faster
		return Open("", path)
	} else if err != nil {
		return nil, fmt.Errorf("write the key that protects secrets: %w", err)
	}
	return &Vault{key}, nil
}

// Seal encrypts; the result is printable.
func (v *Vault) Seal(secret []byte) (string, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, v.key.Recipient())
	if err == nil {
		if _, err = w.Write(secret); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(out.Bytes()), nil
}

// Unseal decrypts what Seal made. An error means another key or a damaged value.
func (v *Vault) Unseal(sealed string) ([]byte, error) {
	raw, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(raw), v.key)
	if err != nil {
		return nil, fmt.Errorf("unseal (was the key file changed?): %w", err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	return b, nil
}
