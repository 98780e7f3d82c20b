package runlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// State is where a stage stands.
type State string

// The states of a stage. Only Done means that its results may be used.
const (
	Pending   State = "pending"
	Running   State = "running" // also: was running when its process was killed
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Status is a stage's status.json.
type Status struct {
	State State `json:"state"`
	// Reason says why a stage failed or was cancelled.
	Reason  string    `json:"reason,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// statusSize is the fixed size of status.json in bytes: one page, so that rewriting it in place needs no new room.
const statusSize = 4096

// encodeStatus pads the status with spaces to statusSize; a reason too long for that is cut.
func encodeStatus(s Status) ([]byte, error) {
	for cut := 3000; ; cut /= 2 {
		if len(s.Reason) > cut {
			s.Reason = string([]rune(s.Reason[:cut])) + " ..."
		}
		data, err := marshal(s)
		if err != nil {
			return nil, fmt.Errorf("encoding a status: %w", err)
		}
		if len(data) <= statusSize {
			padded := bytes.Repeat([]byte{' '}, statusSize)
			copy(padded, bytes.TrimRight(data, "\n"))
			padded[statusSize-1] = '\n'
			return padded, nil
		}
	}
}

// decodeStatus reads what encodeStatus wrote.
func decodeStatus(data []byte) (Status, error) {
	var s Status
	if len(data) > statusSize {
		return Status{}, fmt.Errorf("a status has at most %d bytes", statusSize)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return Status{}, fmt.Errorf("a status that cannot be read: %w", err)
	}
	switch s.State {
	case Pending, Running, Done, Failed, Cancelled:
		return s, nil
	}
	return Status{}, fmt.Errorf("the state %q is none of pending, running, done, failed, cancelled", s.State)
}

// ReadStatus reads a stage's status.json. A missing file, or one that a crash of the machine left unreadable, is Pending
// with the reason: the stage is then not done, whatever else is in its folder.
func ReadStatus(path string) (Status, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Status{State: Pending}, nil
	}
	if err != nil {
		return Status{}, fmt.Errorf("reading %s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, statusSize+1))
	if err = firstError(err, f.Close()); err != nil {
		return Status{}, fmt.Errorf("reading %s: %w", path, err)
	}
	s, err := decodeStatus(data)
	if err != nil {
		return Status{State: Pending, Reason: err.Error()}, nil
	}
	return s, nil
}

// overwriteStatus writes the status into the room that the file has, and syncs it.
func overwriteStatus(path string, s Status) error {
	data, err := encodeStatus(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = firstError(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
