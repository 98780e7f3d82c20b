package runlog

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Holder says which process writes a run folder.
type Holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
	Command string    `json:"command"`
}

// HeldError is returned by [Open] when another process writes the folder.
type HeldError struct {
	Dir string
	// Holder is the zero value if the other process has not said yet who it is.
	Holder Holder
}

func (e *HeldError) Error() string {
	if e.Holder.PID == 0 {
		return fmt.Sprintf("another process is writing to %s; wait for it to end or choose another folder", e.Dir)
	}
	return fmt.Sprintf("process %d on %s (%s) has been writing to %s since %s; wait for it to end or choose another folder",
		e.Holder.PID, e.Holder.Host, e.Holder.Command, e.Dir, e.Holder.Since.Format(time.DateTime))
}

// Folder is a run folder that this process alone writes to. Its methods may be called concurrently for different stages.
type Folder struct {
	dir   string
	clock func() time.Time
	lock  *flock.Flock
	disk  disk
}

// Open makes the run folder dir if there is none and takes its lock until [Folder.Close]. The clock gives the times in
// status files; holder is the command that other processes are told of. It returns a [*HeldError] if the lock is taken.
func Open(dir string, clock func() time.Time, holder string) (*Folder, error) {
	f := &Folder{dir: dir, clock: clock, disk: realDisk}
	if err := os.MkdirAll(filepath.Join(dir, "stages"), 0o755); err != nil {
		return nil, fmt.Errorf("making the run folder: %w", explain(err, dir, 0))
	}
	f.lock = flock.New(filepath.Join(dir, "lock"))
	got, err := f.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the run folder %s: %w", dir, explain(err, dir, 0))
	}
	if !got {
		held := &HeldError{Dir: dir}
		// The holder may be between its lock and this file, or just gone: then nothing is known, which is no error.
		if data, err := os.ReadFile(filepath.Join(dir, "holder.json")); err == nil && json.Unmarshal(data, &held.Holder) != nil {
			held.Holder = Holder{}
		}
		return nil, held
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	if err := f.WriteJSON("holder.json", Holder{os.Getpid(), host, f.now(), holder}); err != nil {
		return nil, fmt.Errorf("noting who holds the run folder: %w", firstError(err, f.lock.Unlock()))
	}
	return f, nil
}

// Close gives the folder free for other processes. Stages must not be used afterwards.
func (f *Folder) Close() error {
	removed := os.Remove(filepath.Join(f.dir, "holder.json"))
	if err := firstError(f.lock.Unlock(), removed); err != nil {
		return fmt.Errorf("giving the run folder %s free: %w", f.dir, err)
	}
	return nil
}

// Dir returns the path of the run folder as it was given to [Open].
func (f *Folder) Dir() string { return f.dir }

// Path returns the path of a file in the run folder.
func (f *Folder) Path(elem ...string) string {
	return filepath.Join(append([]string{f.dir}, elem...)...)
}

// WriteJSON replaces the file called name in the run folder, atomically, by v as indented JSON.
func (f *Folder) WriteJSON(name string, v any) error { return f.disk.writeJSON(f.Path(name), v) }

// WriteFile replaces the file called name in the run folder, atomically.
func (f *Folder) WriteFile(name string, data []byte) error {
	return f.disk.writeFile(f.Path(name), data)
}

// now is the clock's time as files hold it: UTC, whole milliseconds.
func (f *Folder) now() time.Time { return f.clock().UTC().Truncate(time.Millisecond) }

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
