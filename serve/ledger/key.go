package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

const (
	seedPrefix   = "ed25519-seed:"
	publicPrefix = "ed25519:"
)

// LoadKey returns the signing key in the file called path. If there is none, it makes one from secret and writes it, for its
// owner's eyes only, and its public key to path.pub.
func LoadKey(path string, secret func(n int) []byte) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return parseKey(path, string(data))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	key := ed25519.NewKeyFromSeed(secret(ed25519.SeedSize))
	if err := writeNew(path, seedPrefix+hex.EncodeToString(key.Seed())+"\n", 0o600); err != nil {
		return nil, fmt.Errorf("writing a new key for the ledger: %w", err)
	}
	if err := os.WriteFile(path+".pub", []byte(FormatPublicKey(key.Public().(ed25519.PublicKey))+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("writing the public key of the ledger: %w", err)
	}
	return key, nil
}

func parseKey(path, text string) (ed25519.PrivateKey, error) {
	digits, ok := strings.CutPrefix(strings.TrimSpace(text), seedPrefix)
	seed, err := hex.DecodeString(digits)
	if !ok || err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is no key of a ledger: want one line, %s and %d hexadecimal digits", path, seedPrefix, 2*ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// writeNew writes a file that must not exist, so that two processes do not end up with two keys, and syncs it.
func writeNew(path, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// FormatPublicKey writes a public key as text.
func FormatPublicKey(key ed25519.PublicKey) string { return publicPrefix + hex.EncodeToString(key) }

// ParsePublicKey reads what FormatPublicKey writes.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	digits, ok := strings.CutPrefix(strings.TrimSpace(text), publicPrefix)
	key, err := hex.DecodeString(digits)
	if !ok || err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%.80q is no public key of a ledger: want %s and %d hexadecimal digits", text, publicPrefix, 2*ed25519.PublicKeySize)
	}
	return key, nil
}

// checkpoint is the body of a checkpoint: a signature of the entry before it.
type checkpoint struct {
	Seq       int64  `json:"seq"`
	Hash      Hash   `json:"hash"`
	Time      int64  `json:"time_ms"` // when it was signed
	Key       string `json:"key"`
	Signature []byte `json:"signature"`
}

// message is what a checkpoint signs.
func (c *checkpoint) message() []byte {
	b := []byte("candor ledger checkpoint 1\n")
	b = binary.BigEndian.AppendUint64(b, uint64(c.Seq))
	b = append(b, c.Hash[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(c.Time))
}

func signed(key ed25519.PrivateKey, m Mark, at time.Time) checkpoint {
	c := checkpoint{Seq: m.Seq, Hash: m.Hash, Time: at.UnixMilli(), Key: FormatPublicKey(key.Public().(ed25519.PublicKey))}
	c.Signature = ed25519.Sign(key, c.message())
	return c
}
