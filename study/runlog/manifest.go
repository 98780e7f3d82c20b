package runlog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// RunManifest is a run's manifest.json.
type RunManifest struct {
	// Study is the name of the study, Spec its YAML as it was read and Hash that of Spec.
	Study string `json:"study"`
	Spec  string `json:"spec"`
	Hash  string `json:"hash"`
	Seeds []int  `json:"seeds"`
	// Stages are the folders under stages/ that belong to the run, in plan order.
	Stages []string `json:"stages"`
	// Title heads the study's report; Arms are its conditions, in the order of the spec.
	Title   string    `json:"title"`
	Arms    []Arm     `json:"arms"`
	Machine Machine   `json:"machine"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Arm is one condition of a study: what it is, and the stages that it is made of.
type Arm struct {
	Name  string `json:"name"`
	About string `json:"about"`
	From  string `json:"from,omitempty"`
	// Stages are the arm's own stage folders, in order, by seed (as text, since JSON keys are).
	Stages map[string][]string `json:"stages"`
	// Kinds names the kinds of these stages, such as "pretrain", in the same order for every seed.
	Kinds []string `json:"kinds"`
}

// Manifest is a stage's manifest.json: everything its result is a function of, and where it was computed.
type Manifest struct {
	// Name is the stage's name for people, such as "grpo"; Hash (hex, at least 12 digits) is that of all its result depends
	// on, made with [Hash] by whoever plans the stage.
	Name string `json:"name"`
	Hash string `json:"hash"`
	// Version is raised when the meaning of the kind of stage changes.
	Version int `json:"version"`
	Seed    int `json:"seed"`
	// Inputs are the stage folders that this one reads.
	Inputs   []string        `json:"inputs"`
	Settings json.RawMessage `json:"settings"`
	Machine  Machine         `json:"machine"`
}

// Machine says what computed a result.
type Machine struct {
	Commit string `json:"commit"`
	Go     string `json:"go"`
	System string `json:"system"`
	CPU    string `json:"cpu"`
	// Kernel is the implementation of the matrix kernels in use; results differ in their last bits between kernels.
	Kernel string `json:"kernel"`
	// Threads is how many the run used; results do not depend on it.
	Threads int `json:"threads"`
}

// ThisMachine describes the running program. What cannot be found out is "unknown".
func ThisMachine(kernel string, threads int) Machine {
	m := Machine{Commit: "unknown", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpu(), Kernel: kernel, Threads: threads}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				m.Commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				m.Commit += " with changes"
			}
		}
	}
	return m
}

// cpu returns the processor's name where the system tells it (Linux).
func cpu() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// Hash returns the SHA-256 of v's JSON as 64 hex digits. Equal values have equal hashes, as struct fields keep their order
// and map keys are sorted; raw JSON inside v is taken without its white space.
func Hash(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("hashing %T: %w", v, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

var (
	namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$`)
	hashPattern = regexp.MustCompile(`^[0-9a-f]{12,128}$`)
)

// Folder returns the name of the stage's folder, NAME-HASH12. The error says what is wrong with the name or hash.
func (m Manifest) Folder() (string, error) {
	if !namePattern.MatchString(m.Name) {
		return "", fmt.Errorf("a stage cannot be called %q: use up to 100 letters, digits, dots, dashes and underscores", m.Name)
	}
	if !hashPattern.MatchString(m.Hash) {
		return "", fmt.Errorf("stage %s has the hash %q, which is not 12 to 128 lower-case hex digits", m.Name, m.Hash)
	}
	return m.Name + "-" + m.Hash[:12], nil
}

// ReadManifest reads a stage's manifest.json and checks that it is whole.
func ReadManifest(path string) (Manifest, error) {
	var m Manifest
	if err := ReadJSON(path, &m); err != nil {
		return Manifest{}, err
	}
	if _, err := m.Folder(); err != nil {
		return Manifest{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return m, nil
}

// sameJSON tells whether two raw values differ in white space only.
func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b) || string(a) == "null" || string(b) == "null"
	}
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// ReadRunManifest reads a run's manifest.json.
func ReadRunManifest(path string) (RunManifest, error) {
	var m RunManifest
	err := ReadJSON(path, &m)
	return m, err
}
