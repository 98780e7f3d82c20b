package auth

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	keyPrefix = "candor-"
	keyBytes  = 32
	keyLen    = len(keyPrefix) + (keyBytes*8+4)/5
	maxName   = 100 // characters
)

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Hash is the SHA-256 of a key's text.
type Hash [sha256.Size]byte

// MarshalText writes hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("its sha256 has %d characters, must have %d hexadecimal digits", len(text), hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return errors.New("its sha256 must be hexadecimal digits")
	}
	return nil
}

// Key is what the file has of a key: all but its text.
type Key struct {
	ID      string    `json:"id"` // such as key-k7uk2ogo; in the ledger, and for candor keys revoke
	Name    string    `json:"name"`
	Roles   Roles     `json:"roles"`
	Hash    Hash      `json:"sha256"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero for never
	Revoked time.Time `json:"revoked,omitzero"` // zero for not
	Limits  Limits    `json:"limits,omitzero"`
}

// refuses returns why the key is not valid any more, "" if it is.
func (k *Key) refuses(now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked"
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return "expired"
	}
	return ""
}

// Status returns "valid", "revoked" or "expired".
func (k *Key) Status(now time.Time) string {
	if s := k.refuses(now); s != "" {
		return s
	}
	return "valid"
}

// check says what is wrong with a key.
func (k *Key) check() error {
	switch {
	case k.ID == "" || len(k.ID) > 64 || strings.Trim(k.ID, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return errors.New("its id must be 1 to 64 of a-z, 0-9, - and _")
	case k.Name == "" || utf8.RuneCountInString(k.Name) > maxName || strings.ContainsFunc(k.Name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		return fmt.Errorf("its name must be 1 to %d printable characters", maxName)
	case k.Name != strings.TrimSpace(k.Name):
		return errors.New("its name must not begin or end with a space")
	case strings.Contains(k.Name, keyPrefix):
		return fmt.Errorf("its name must not contain %q, since names are shown and keys must not be", keyPrefix)
	case k.Roles == 0:
		return fmt.Errorf("it has no role; give it some of %s", allRoles)
	case k.Hash == Hash{}:
		return errors.New("it has no sha256")
	case k.Created.IsZero():
		return errors.New("it has no time of creation")
	case !k.Expires.IsZero() && !k.Expires.After(k.Created):
		return errors.New("it expires before it is created")
	}
	return k.Limits.check()
}

// newKey draws a key and returns its text and hash.
func newKey(secret func(n int) []byte) (text string, hash Hash) {
	text = keyPrefix + encoding.EncodeToString(secret(keyBytes))
	hash, _ = hashKey(text)
	return text, hash
}

// hashKey hashes what may be a key; false if its form is not that of one.
func hashKey(text string) (Hash, bool) {
	if len(text) != keyLen || text[:len(keyPrefix)] != keyPrefix {
		return Hash{}, false
	}
	var b [keyLen]byte // no copy of the key on the heap
	copy(b[:], text)
	return sha256.Sum256(b[:]), true
}
