package ledger

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Check says what to verify a ledger against.
type Check struct {
	// Key is the public key of the ledger. Without it, signatures are not checked.
	Key ed25519.PublicKey
	// At are marks that were kept elsewhere: entries that the ledger must have.
	At []Mark
}

// Problem says what is wrong with an entry.
type Problem string

// The problems that a verification finds.
const (
	Changed    Problem = "changed"    // the entry is not as it was written
	Removed    Problem = "removed"    // entries before this one are gone
	Reordered  Problem = "reordered"  // the entry does not stand where it was written, or stands there twice
	Replaced   Problem = "replaced"   // the entry is not the one that the next was written after
	BadContent Problem = "content"    // a content is not the one committed to, or is gone and no redaction says why
	Signature  Problem = "signature"  // a checkpoint does not sign what is before it
	Unsigned   Problem = "unsigned"   // too many entries without a checkpoint
	Truncated  Problem = "truncated"  // an entry that a mark names is gone
	Unreadable Problem = "unreadable" // a line of an export is no entry
)

// Fault is one thing that is wrong.
type Fault struct {
	// Seq is the number of the entry, or of the first of several; in an export, of the line if that is unreadable.
	Seq     int64   `json:"seq"`
	Problem Problem `json:"problem"`
	Detail  string  `json:"detail"`
}

func (f Fault) String() string { return fmt.Sprintf("entry %d %s: %s", f.Seq, f.Problem, f.Detail) }

// MaxFaults is how many faults a report names.
const MaxFaults = 100

// Report is what a verification found.
type Report struct {
	Entries     int64 `json:"entries"`
	Begun       int64 `json:"begun"`
	Ended       int64 `json:"ended"`
	Abandoned   int64 `json:"abandoned"`
	Unfinished  int64 `json:"unfinished"`
	Contents    int64 `json:"contents"`
	Redacted    int64 `json:"redacted"`
	Checkpoints int64 `json:"checkpoints"`
	// ClockBack is how many entries were written while the clock was behind.
	ClockBack int64 `json:"clock_back"`
	// Last is the last entry: keep it elsewhere as a [Mark].
	Last Receipt `json:"last"`
	// SignaturesChecked is false if no public key was given.
	SignaturesChecked bool `json:"signatures_checked"`
	// Signed is the last entry that a good signature covers, SignedAt when it was given.
	Signed   int64     `json:"signed"`
	SignedAt time.Time `json:"signed_at"`
	// Faults are the first MaxFaults, in the order of entries; FaultCount is of all.
	Faults     []Fault `json:"faults"`
	FaultCount int64   `json:"fault_count"`
}

// OK tells whether nothing is wrong.
func (r *Report) OK() bool { return r.FaultCount == 0 }

// place is a content of an entry.
type place struct {
	seq  int64
	name string
}

// checker verifies entries as they come. It keeps what is still open (traces without an end, contents without a redaction),
// not what was.
type checker struct {
	Report
	check    Check
	last     *Entry // the one with the highest number
	unsigned int
	began    map[string]bool
	missing  map[place]Hash // contents that are gone, until a redaction names them
	marks    map[int64]Hash
}

func newChecker(check Check) *checker {
	c := &checker{check: check, began: map[string]bool{}, missing: map[place]Hash{}, marks: map[int64]Hash{}}
	c.SignaturesChecked = check.Key != nil
	c.Faults = []Fault{}
	for _, m := range check.At {
		if old, ok := c.marks[m.Seq]; ok && old != m.Hash {
			c.fault(m.Seq, Changed, "two marks give it different hashes")
		}
		c.marks[m.Seq] = m.Hash
	}
	return c
}

func (c *checker) fault(seq int64, p Problem, format string, args ...any) {
	c.FaultCount++
	if len(c.Faults) < MaxFaults {
		c.Faults = append(c.Faults, Fault{seq, p, fmt.Sprintf(format, args...)})
	}
}

// add checks the next entry.
func (c *checker) add(e *Entry) {
	c.Entries++
	c.chain(e)
	c.contents(e)
	if want, ok := c.marks[e.Seq]; ok {
		if want != e.Hash {
			c.fault(e.Seq, Changed, "its hash is %s, the mark kept elsewhere says %s", e.Hash, want)
		}
		delete(c.marks, e.Seq)
	}
	if e.Back != 0 {
		c.ClockBack++
	}
	switch e.Kind {
	case KindBegin:
		c.Begun++
		c.began[e.Trace] = true
	case KindEnd:
		c.Ended++
		delete(c.began, e.Trace)
	case KindAbandoned:
		c.Abandoned++
		delete(c.began, e.Trace)
	case KindRedaction:
		c.redaction(e)
	}
	c.signature(e)
}

// chain checks that the entry is as it was written, and where.
func (c *checker) chain(e *Entry) {
	if sum := e.sum(); sum != e.Hash {
		if was, ok := c.elsewhere(e); ok {
			c.fault(e.Seq, Reordered, "it was written as entry %d", was)
		} else {
			c.fault(e.Seq, Changed, "its hash is %s, what it says has %s", e.Hash, sum)
		}
	}
	var seq int64
	var prev Hash
	var at time.Time
	if c.last != nil {
		seq, prev, at = c.last.Seq, c.last.Hash, c.last.Time
	}
	switch {
	case e.Seq <= seq:
		c.fault(e.Seq, Reordered, "it stands after entry %d", seq)
		return
	case e.Seq == seq+2:
		c.fault(seq+1, Removed, "entry %d is gone", seq+1)
	case e.Seq > seq+2:
		c.fault(seq+1, Removed, "entries %d to %d are gone", seq+1, e.Seq-1)
	case e.Prev != prev && seq == 0:
		c.fault(e.Seq, Removed, "it was not the first: it follows an entry with hash %s", e.Prev)
	case e.Prev != prev:
		c.fault(seq, Replaced, "its hash is %s, and entry %d was written after one with hash %s", prev, e.Seq, e.Prev)
	case e.Time.Before(at):
		c.fault(e.Seq, Changed, "its time is before that of entry %d", seq)
	}
	if e.Seq == 1 && e.Kind != KindLedger {
		c.fault(1, Replaced, "the first entry of a ledger has kind %s, this has %.40q", KindLedger, e.Kind)
	}
	c.last = &Entry{Seq: e.Seq, Time: e.Time, Hash: e.Hash}
	c.Last = Receipt{e.Seq, e.Time, e.Hash}
}

// elsewhere finds the number under which the entry was written, if that is near.
func (c *checker) elsewhere(e *Entry) (int64, bool) {
	if len(c.Faults) == MaxFaults {
		return 0, false // nobody would read it
	}
	other := *e
	for d := int64(1); d <= 64; d++ {
		for _, other.Seq = range [2]int64{e.Seq + d, e.Seq - d} {
			if other.sum() == e.Hash {
				return other.Seq, true
			}
		}
	}
	return 0, false
}

// contents checks the contents of the entry against their commitments.
func (c *checker) contents(e *Entry) {
	for i := range e.Contents {
		content := &e.Contents[i]
		c.Contents++
		switch {
		case content.Redacted() && len(content.Data) == 0:
			c.Redacted++
			c.missing[place{e.Seq, content.Name}] = content.Commitment
		case content.commit() != content.Commitment || len(content.Salt) != saltLen:
			c.fault(e.Seq, BadContent, "its %.80q is not what the entry commits to", content.Name)
		}
	}
}

// redaction crosses out what a redaction names.
func (c *checker) redaction(e *Entry) {
	var r redaction
	if err := json.Unmarshal(e.Body, &r); err != nil {
		c.fault(e.Seq, Changed, "its body is no redaction: %v", err)
		return
	}
	for _, was := range r.Contents {
		if p := (place{was.Seq, was.Name}); c.missing[p] == was.Commitment {
			delete(c.missing, p)
		}
	}
}

// signature checks a checkpoint, and that there is one often enough.
func (c *checker) signature(e *Entry) {
	if e.Kind == KindCheckpoint {
		c.Checkpoints++
	}
	if c.check.Key == nil {
		return
	}
	if e.Kind == KindCheckpoint {
		wrong, at := c.wrongSignature(e)
		if wrong == "" {
			c.unsigned = 0
			c.Signed, c.SignedAt = e.Seq-1, at
			return
		}
		c.fault(e.Seq, Signature, "%s; the last good signature covers entries up to %d", wrong, c.Signed)
	}
	if c.unsigned++; c.unsigned == Every+1 {
		c.fault(e.Seq, Unsigned, "it and the %d entries before it have no good signature; one covers entries up to %d", Every, c.Signed)
	}
}

func (c *checker) wrongSignature(e *Entry) (wrong string, at time.Time) {
	var s checkpoint
	if err := json.Unmarshal(e.Body, &s); err != nil {
		return fmt.Sprintf("its body is no checkpoint: %v", err), at
	}
	switch {
	case s.Key != FormatPublicKey(c.check.Key):
		return fmt.Sprintf("it is signed with the key %.80q", s.Key), at
	case !ed25519.Verify(c.check.Key, s.message(), s.Signature):
		return "the signature is not of that key", at
	case s.Seq != e.Seq-1 || s.Hash != e.Prev || c.last == nil || c.last.Seq != e.Seq:
		return fmt.Sprintf("it signs entry %d with hash %s, not the one before it", s.Seq, s.Hash), at
	case e.sum() != e.Hash:
		return "the entry was changed", at
	}
	return "", time.UnixMilli(s.Time).UTC()
}

// end checks what only the whole can show.
func (c *checker) end() *Report {
	c.Unfinished = int64(len(c.began))
	if c.Entries == 0 {
		c.fault(1, Removed, "there are no entries; every ledger has a first")
	}
	for _, p := range sortedPlaces(c.missing) {
		c.fault(p.seq, BadContent, "its %.80q is gone, and no redaction says why", p.name)
	}
	if c.check.Key != nil && c.Signed == 0 && c.Entries > 0 {
		c.fault(1, Unsigned, "there is no good signature in the ledger")
	}
	for seq, hash := range c.marks {
		c.fault(seq, Truncated, "a mark kept elsewhere says that it was there with hash %s; the ledger has no such entry and ends with %d", hash, c.Last.Seq)
	}
	slices.SortStableFunc(c.Faults, func(a, b Fault) int { return int(min(max(a.Seq-b.Seq, -1), 1)) })
	return &c.Report
}

func sortedPlaces(m map[place]Hash) []place {
	out := make([]place, 0, len(m))
	for p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b place) int {
		if a.seq != b.seq {
			return int(min(max(a.seq-b.seq, -1), 1))
		}
		return strings.Compare(a.name, b.name)
	})
	return out
}
