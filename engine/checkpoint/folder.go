package checkpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	newSuffix = ".new"
	oldSuffix = ".old"
)

// folder is a folder being written.
type folder string

// write creates a file with what body writes and makes it durable.
func (d folder) write(name string, body func(io.Writer) error) (err error) {
	f, err := os.Create(filepath.Join(string(d), name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, chunk)
	if err := body(w); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

// replaceFolder lets fill write a new folder and then puts it in dir's place. See [Save] for the steps.
func replaceFolder(dir string, fill func(folder) error) error {
	fresh, old := dir+newSuffix, dir+oldSuffix
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o777); err != nil {
		return err
	}
	if err := fill(folder(fresh)); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := syncFolder(fresh); err != nil {
		return err
	}
	// where dir is missing, old may be the only checkpoint there is: it stays until the new one is in place
	if _, err := os.Lstat(dir); err == nil {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
		if err := os.Rename(dir, old); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// syncFolder makes a folder's entries durable. Windows has no such call; its file system journals them.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
