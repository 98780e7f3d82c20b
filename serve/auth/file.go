package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

const (
	fileVersion = 1
	maxFile     = 16 << 20 // bytes; some 50,000 keys
	maxDepth    = 4        // of lists and objects in the file
	lockWait    = 10 * time.Second
)

// file is the form of the file.
type file struct {
	Version int               `json:"version"`
	Keys    []json.RawMessage `json:"keys"`
}

// names are all that may stand before a colon, exactly so: encoding/json would take "Revoked" for "revoked".
var names = map[string]bool{
	"version": true, "keys": true,
	"id": true, "name": true, "roles": true, "sha256": true, "created": true, "expires": true, "revoked": true, "limits": true,
	"requests_per_minute": true, "concurrent": true, "tokens_per_minute": true,
}

// Parse reads a file of keys. It takes nothing that it does not understand whole, and its error names the place.
func Parse(data []byte) ([]Key, error) {
	if err := checkForm(data); err != nil {
		return nil, err
	}
	var f file
	if err := decode(data, &f); err != nil {
		return nil, err
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("its version is %d; this candor reads version %d", f.Version, fileVersion)
	}
	keys := make([]Key, len(f.Keys))
	ids, hashes := make(map[string]int, len(keys)), make(map[Hash]int, len(keys))
	for i, raw := range f.Keys {
		k := &keys[i]
		err := decode(raw, k)
		if err == nil {
			err = k.check()
		}
		if j, ok := ids[k.ID]; ok && err == nil {
			err = fmt.Errorf("key %d has its id too", j+1)
		}
		if j, ok := hashes[k.Hash]; ok && err == nil {
			err = fmt.Errorf("key %d has its sha256 too", j+1)
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		ids[k.ID], hashes[k.Hash] = i, i
	}
	return keys, nil
}

// decode reads one JSON value strictly.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("its %s must not be a %s", kind.Field, kind.Value)
	}
	return err
}

// checkForm refuses what is no JSON, and what encoding/json would read in silence: names that are there twice, in other
// letters or unknown, null, and a second value. Its error names the line.
func checkForm(data []byte) error {
	at := func(offset int64) int { return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n")) }
	var any json.RawMessage
	if err := json.Unmarshal(data, &any); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("line %d: %w", at(syntax.Offset), err)
		}
		return err
	}
	type level struct {
		seen map[string]bool // nil for a list
		name bool            // a name comes next
	}
	var levels []level
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		top := len(levels) - 1
		if text, ok := token.(string); ok && top >= 0 && levels[top].name {
			switch {
			case !names[text]:
				return fmt.Errorf("line %d: unknown name %.40q", at(d.InputOffset()), text)
			case levels[top].seen[text]:
				return fmt.Errorf("line %d: %q is there twice", at(d.InputOffset()), text)
			}
			levels[top].seen[text], levels[top].name = true, false
			continue
		}
		switch token {
		case nil:
			return fmt.Errorf("line %d: null; leave out what is not set", at(d.InputOffset()))
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:top]
			continue
		}
		if top >= 0 && levels[top].seen != nil {
			levels[top].name = true
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{map[string]bool{}, true})
		case json.Delim('['):
			levels = append(levels, level{})
		}
		if len(levels) > maxDepth {
			return fmt.Errorf("line %d: too many lists within lists", at(d.InputOffset()))
		}
	}
}

// format writes what Parse reads.
func format(keys []Key) ([]byte, error) {
	if keys == nil {
		keys = []Key{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(struct {
		Version int   `json:"version"`
		Keys    []Key `json:"keys"`
	}{fileVersion, keys})
	return b.Bytes(), err
}

// Read returns the keys in the file called path, none if there is no file.
func Read(path string) ([]Key, error) {
	data, _, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	keys, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return keys, nil
}

// load reads a file that is not too large and that not everybody can write.
func load(path string) (data []byte, info fs.FileInfo, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the keys: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err = f.Stat(); err != nil {
		return nil, nil, fmt.Errorf("opening the keys: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("reading the keys: %s is no file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0:
		return nil, nil, fmt.Errorf("reading the keys: everybody on this machine can write %s: chmod 600 it, and see that its keys are yours", path)
	}
	if data, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err != nil {
		return nil, nil, fmt.Errorf("reading the keys: %w", err)
	}
	if len(data) > maxFile {
		return nil, nil, fmt.Errorf("reading the keys: %s has more than %d bytes", path, maxFile)
	}
	return data, info, nil
}

// Add makes a key with the name, roles, creation, expiry and limits of k, adds it to the file called path, which is made if there
// is none, and returns it and its text, which is nowhere else. Secret returns n bytes that nobody can predict.
func Add(ctx context.Context, path string, k Key, secret func(n int) []byte) (Key, string, error) {
	text, hash := newKey(secret)
	k.Hash, k.Revoked = hash, time.Time{}
	k.Created, k.Expires = k.Created.UTC().Truncate(time.Second), k.Expires.UTC().Truncate(time.Second)
	err := change(ctx, path, func(keys []Key) ([]Key, error) {
		k.ID = newID(keys, secret)
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("the new key: %w", err)
		}
		return append(keys, k), nil
	})
	if err != nil {
		return Key{}, "", err
	}
	return k, text, nil
}

func newID(keys []Key, secret func(n int) []byte) string {
	for {
		id := "key-" + encoding.EncodeToString(secret(5))
		if find(keys, id) == nil {
			return id
		}
	}
}

func find(keys []Key, id string) *Key {
	for i := range keys {
		if keys[i].ID == id {
			return &keys[i]
		}
	}
	return nil
}

// Revoke makes the key with that ID invalid, for good, and returns it. A key that is revoked stays as it is.
func Revoke(ctx context.Context, path, id string, now time.Time) (revoked Key, err error) {
	err = change(ctx, path, func(keys []Key) ([]Key, error) {
		k := find(keys, id)
		if k == nil {
			return nil, fmt.Errorf("%s has no key with the ID %.64q", path, id)
		}
		if k.Revoked.IsZero() {
			k.Revoked = now.UTC().Truncate(time.Second)
		}
		revoked = *k
		return keys, nil
	})
	return revoked, err
}

// change replaces the file by what do makes of its keys. Others that change it at the same time wait.
func change(ctx context.Context, path string, do func([]Key) ([]Key, error)) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a rename would replace the link
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder of the keys: %w", err)
	}
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("locking %s, which another process changes: %w", path, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	keys, err := Read(path)
	if err != nil {
		return err
	}
	if keys, err = do(keys); err != nil {
		return err
	}
	data, err := format(keys)
	if err == nil {
		_, err = Parse(data)
	}
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it would have more than %d bytes; take out revoked keys", maxFile)
	}
	if err == nil {
		err = replace(path, data)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// replace writes a file whole or not at all, for its owner's eyes only, and syncs it.
func replace(path string, data []byte) error {
	temporary := path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) { // what a killed process left
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
