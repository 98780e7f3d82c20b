package runlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// file is what is needed of an open file.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// disk opens files for writing. Tests put a full one in its place.
type disk struct {
	open func(path string, flag int) (file, error)
}

var realDisk = disk{open: func(path string, flag int) (file, error) { return os.OpenFile(path, flag, 0o644) }}

// FullError says that a disk is full and what to do about it. It wraps the system's error, syscall.ENOSPC or EDQUOT.
type FullError struct {
	Folder string
	// Size is how many bytes could not be written, 0 if that is not known.
	Size int
	Err  error
}

func (e *FullError) Error() string {
	what := "anything more"
	if e.Size > 0 {
		what = fmt.Sprintf("%d more bytes", e.Size)
	}
	return fmt.Sprintf("there is no room for %s in %s: make room and run the same command again to go on (%v)", what, e.Folder, e.Err)
}

func (e *FullError) Unwrap() error { return e.Err }

// explain makes a [*FullError] of a full disk's error. Other errors are returned as they are.
func explain(err error, folder string, size int) error {
	var full *FullError
	if errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return &FullError{folder, size, err}
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

func (d disk) writeJSON(path string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return d.writeFile(path, data)
}

// writeFile replaces path by data: afterwards, whatever happens, it holds either all of the old or all of the new.
func (d disk) writeFile(path string, data []byte) error {
	return d.replace(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return explain(err, filepath.Dir(path), len(data))
	})
}

// replace is writeFile for content that is written piece by piece.
func (d disk) replace(path string, write func(io.Writer) error) error {
	temporary := path + ".tmp" // one writer a folder, so no name of its own is needed, and a killed run leaves one file at most
	f, err := d.open(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, explain(err, filepath.Dir(path), 0))
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = firstError(err, f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		return syncDir(filepath.Dir(path))
	}
	// The half-written file only takes room; that it is gone is not needed for anything.
	_ = os.Remove(temporary)
	return fmt.Errorf("writing %s: %w", path, explain(err, filepath.Dir(path), 0))
}

// syncDir makes renames and new files in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there; NTFS journals the rename
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing the folder %s: %w", dir, err)
	}
	if err := firstError(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("syncing the folder %s: %w", dir, explain(err, dir, 0))
	}
	return nil
}

// syncTree syncs every file and folder under dir, dir itself last.
func syncTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("syncing the folder %s: %w", dir, err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case entry.IsDir():
			err = syncTree(path)
		case entry.Type().IsRegular():
			err = syncFile(path)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // Windows syncs only what is open for writing
	if err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	if err := firstError(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", path, explain(err, filepath.Dir(path), 0))
	}
	return nil
}

// ReadJSON reads a JSON file of at most maxJSON bytes into v. Errors name the file.
func ReadJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err = firstError(err, f.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if len(data) > maxJSON {
		return fmt.Errorf("reading %s: it is larger than %d bytes, so no file of candor's", path, maxJSON)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// maxJSON bounds manifests, statuses and claims.
const maxJSON = 64 << 20
