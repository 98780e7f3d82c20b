package runlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Stage is one stage's folder, open for writing.
type Stage struct {
	folder   *Folder
	name     string
	manifest Manifest
	status   Status

	mu   sync.Mutex
	open []*Writer
}

// Stage opens the folder of a stage, or makes it with its manifest, a pending status and the room for later ones. A folder
// that exists must be the same stage: same full hash, version, seed and settings.
func (f *Folder) Stage(m Manifest) (*Stage, error) {
	name, err := m.Folder()
	if err != nil {
		return nil, err
	}
	s := &Stage{folder: f, name: name, manifest: m}
	if err := os.MkdirAll(s.Path("model"), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of stage %s: %w", name, explain(err, f.dir, 0))
	}
	old, err := ReadManifest(s.Path("manifest.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := f.disk.writeJSON(s.Path("manifest.json"), m); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case old.Hash != m.Hash || old.Version != m.Version || old.Seed != m.Seed || !sameJSON(old.Settings, m.Settings):
		return nil, fmt.Errorf("%s holds another stage (hash %s, version %d, seed %d) than the one that is to run (%s, %d, %d): move it away or choose another run folder",
			s.Dir(), old.Hash, old.Version, old.Seed, m.Hash, m.Version, m.Seed)
	default:
		s.manifest = old
	}
	if s.status, err = ReadStatus(s.Path("status.json")); err != nil {
		return nil, err
	}
	if info, err := os.Stat(s.Path("status.json")); err != nil || info.Size() != statusSize {
		data, err := encodeStatus(s.status)
		if err != nil {
			return nil, err
		}
		if err := f.disk.writeFile(s.Path("status.json"), data); err != nil {
			return nil, err
		}
	}
	return s, syncDir(f.Path("stages"))
}

// Name returns the name of the stage's folder, NAME-HASH12: what [Sample].Run holds.
func (s *Stage) Name() string { return s.name }

// Dir returns the path of the stage's folder.
func (s *Stage) Dir() string { return s.folder.Path("stages", s.name) }

// Path returns the path of a file in the stage's folder.
func (s *Stage) Path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir()}, elem...)...)
}

// ModelDir returns the folder for what the engine saves; it exists.
func (s *Stage) ModelDir() string { return s.Path("model") }

// Manifest returns the stage's manifest.
func (s *Stage) Manifest() Manifest { return s.manifest }

// Status returns where the stage stands.
func (s *Stage) Status() Status { return s.status }

// Start marks the stage as running, from now.
func (s *Stage) Start() error {
	return s.set(Status{State: Running, Started: s.folder.now()})
}

// Done closes the stage's writers, syncs everything in its folder and only then marks it as done. On an error it is not
// done.
func (s *Stage) Done() error {
	if err := firstError(s.closeWriters(), syncTree(s.Dir())); err != nil {
		return fmt.Errorf("finishing stage %s: %w", s.name, err)
	}
	return s.set(Status{State: Done, Started: s.status.Started, Ended: s.folder.now()})
}

// Fail closes the stage's writers and marks it as failed for the reason given. It works on a full disk.
func (s *Stage) Fail(reason error) error { return s.end(Failed, reason.Error()) }

// Cancel closes the stage's writers and marks it as cancelled, for example by the user.
func (s *Stage) Cancel(reason string) error { return s.end(Cancelled, reason) }

func (s *Stage) end(state State, reason string) error {
	// What could not be written is why the stage ends, or less important than that it does.
	_ = s.closeWriters()
	return s.set(Status{State: state, Reason: reason, Started: s.status.Started, Ended: s.folder.now()})
}

func (s *Stage) set(status Status) error {
	if err := overwriteStatus(s.Path("status.json"), status); err != nil {
		return fmt.Errorf("marking stage %s as %s: %w", s.name, status.State, err)
	}
	s.status = status
	return nil
}

// Samples starts the stage's samples.jsonl afresh: a stage that did not finish makes its samples again.
func (s *Stage) Samples() (*Writer, error) { return s.Log("samples.jsonl", -1) }

// Metrics opens metrics.jsonl to write on after the given step: lines of later steps, which a killed run may have left,
// are cut off first. With -1 it starts afresh.
func (s *Stage) Metrics(after int) (*Writer, error) { return s.Log("metrics.jsonl", after) }

// Log opens any other file of JSON lines in the same way; each line must have the field "step" (unless after is -1).
func (s *Stage) Log(name string, after int) (*Writer, error) {
	path := s.Path(name)
	flag := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if after < 0 {
		flag |= os.O_TRUNC
	} else if err := truncateAfter(path, after); err != nil {
		return nil, err
	}
	f, err := s.folder.disk.open(path, flag)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, explain(err, s.Dir(), 0))
	}
	w := newWriter(path, f)
	s.mu.Lock()
	s.open = append(s.open, w)
	s.mu.Unlock()
	return w, nil
}

func (s *Stage) closeWriters() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, w := range s.open {
		errs = append(errs, w.Close())
	}
	s.open = nil
	return firstError(errs...)
}

// WriteJSON replaces the file called name in the stage's folder, atomically, by v as indented JSON.
func (s *Stage) WriteJSON(name string, v any) error {
	return s.folder.disk.writeJSON(s.Path(name), v)
}

// StageInfo is what a reader learns of a stage's folder.
type StageInfo struct {
	Folder   string // its name under stages/
	Manifest Manifest
	Status   Status
}

// Stages lists the stages of the run folder dir by folder name, without taking its lock: a run may be going on.
func Stages(dir string) ([]StageInfo, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "stages"))
	if err != nil {
		return nil, fmt.Errorf("%s is not a run folder: %w", dir, err)
	}
	var out []StageInfo
	for _, entry := range entries {
		path := filepath.Join(dir, "stages", entry.Name())
		info := StageInfo{Folder: entry.Name()}
		info.Manifest, err = ReadManifest(filepath.Join(path, "manifest.json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // killed while it was being made: nothing is in it yet
		}
		if err == nil {
			info.Status, err = ReadStatus(filepath.Join(path, "status.json"))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}
