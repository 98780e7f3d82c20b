package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind says what an entry records.
type Kind string

// The kinds that mean something to the ledger. A caller may use others of its own, such as "policy".
const (
	KindLedger     Kind = "ledger"     // the first entry: which ledger this is
	KindBegin      Kind = "begin"      // a request was accepted, nothing was sent yet
	KindStage      Kind = "stage"      // one model or monitor has spoken
	KindReview     Kind = "review"     // a person has decided, perhaps after the end
	KindEnd        Kind = "end"        // the verdict stands, nothing was released yet
	KindAbandoned  Kind = "abandoned"  // a begun request has no end: it was given up, or the process died
	KindRedaction  Kind = "redaction"  // content was deleted
	KindCheckpoint Kind = "checkpoint" // a signature of the entry before
)

// Limits of an entry.
const (
	maxTrace    = 200
	maxName     = 64
	maxBody     = 1 << 20
	maxContents = 256
	maxAppend   = 64 << 20 // bytes of one append, contents included
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes 64 hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("a hash has %d hexadecimal digits, this has %d characters", 2*len(h), len(text))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Entry is one entry of the ledger. To append one, fill in Kind, Trace, Body and the Name and Data of Contents; the ledger
// fills in the rest.
type Entry struct {
	Seq int64 `json:"seq"`
	// Time is in UTC and whole milliseconds, and never before that of the entry before.
	Time time.Time `json:"time"`
	// Back is by how many milliseconds the clock was behind Time.
	Back int64 `json:"back_ms,omitempty"`
	Kind Kind  `json:"kind"`
	// Trace is the ID of the request that the entry belongs to, if to any.
	Trace string `json:"trace,omitempty"`
	// Body is packed JSON with facts that stay: IDs, verdicts, hashes, timings. None of it can be redacted.
	Body     json.RawMessage `json:"body"`
	Contents []Content       `json:"contents,omitempty"`
	Prev     Hash            `json:"prev"`
	Hash     Hash            `json:"hash"`

	stored []byte // the contents as a store holds them, of an entry to append
}

// pack writes v as JSON on one line and leaves < and > as they are, so that packed JSON inside stays what was hashed.
func pack(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Marshal returns v as the body of an entry.
func Marshal(v any) (json.RawMessage, error) {
	data, err := pack(v)
	if err != nil {
		return nil, fmt.Errorf("writing the body of a ledger entry: %w", err)
	}
	return data, nil
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// sum returns the hash that the entry must have; see the package comment for what it covers.
func (e *Entry) sum() Hash {
	b := make([]byte, 0, 256+len(e.Body))
	b = append(b, "candor ledger entry 1\n"...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Seq))
	b = append(b, e.Prev[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Time.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Back))
	b = appendBytes(b, string(e.Kind))
	b = appendBytes(b, e.Trace)
	b = appendBytes(b, []byte(e.Body))
	b = binary.BigEndian.AppendUint64(b, uint64(len(e.Contents)))
	for i := range e.Contents {
		b = appendBytes(b, e.Contents[i].Name)
		b = append(b, e.Contents[i].Commitment[:]...)
	}
	return sha256.Sum256(b)
}

// Receipt says that an entry is on the disk.
type Receipt struct {
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	Hash Hash      `json:"hash"`
}

// Mark returns what to keep elsewhere to see later that the ledger still has this entry.
func (r Receipt) Mark() Mark { return Mark{r.Seq, r.Hash} }

// Mark is the number and hash of an entry, kept in another place than the ledger.
type Mark struct {
	Seq  int64
	Hash Hash
}

func (m Mark) String() string { return strconv.FormatInt(m.Seq, 10) + ":" + m.Hash.String() }

// ParseMark reads SEQ:HASH.
func ParseMark(text string) (m Mark, err error) {
	seq, hash, ok := strings.Cut(text, ":")
	if !ok {
		return Mark{}, fmt.Errorf("%q is no mark: want SEQ:HASH, as candor ledger verify prints it", text)
	}
	if m.Seq, err = strconv.ParseInt(seq, 10, 64); err == nil && m.Seq < 1 {
		err = errors.New("entries are numbered from 1")
	}
	if err == nil {
		err = m.Hash.UnmarshalText([]byte(hash))
	}
	if err != nil {
		return Mark{}, fmt.Errorf("%q is no mark: %w", text, err)
	}
	return m, nil
}

// ready checks an entry that a caller wants appended, packs its body and commits to its contents. It returns its size.
func (e *Entry) ready(secret func(n int) []byte) (size int, err error) {
	if !plainWord(string(e.Kind), 32) {
		return 0, fmt.Errorf("an entry has kind %q: want at most 32 small letters, digits, - and _", e.Kind)
	}
	switch e.Kind {
	case KindLedger, KindAbandoned, KindRedaction, KindCheckpoint:
		return 0, fmt.Errorf("an entry of kind %s is the ledger's own to write", e.Kind)
	case KindBegin, KindStage, KindEnd:
		if e.Trace == "" {
			return 0, fmt.Errorf("an entry of kind %s needs a trace", e.Kind)
		}
	}
	if err := checkTrace(e.Trace); err != nil {
		return 0, err
	}
	if len(e.Contents) > maxContents {
		return 0, fmt.Errorf("an entry has %d contents, at most %d are allowed", len(e.Contents), maxContents)
	}
	if e.Body, err = packed(e.Body); err != nil {
		return 0, err
	}
	size = len(e.Trace) + len(e.Body)
	contents := make([]Content, len(e.Contents))
	for i, c := range e.Contents {
		if !plainWord(c.Name, maxName) {
			return 0, fmt.Errorf("a content has the name %q: want at most %d small letters, digits, - and _", c.Name, maxName)
		}
		if slices.ContainsFunc(contents[:i], func(o Content) bool { return o.Name == c.Name }) {
			return 0, fmt.Errorf("an entry has two contents named %q", c.Name)
		}
		contents[i] = Content{Name: c.Name, Salt: secret(saltLen), Data: c.Data}
		contents[i].Commitment = contents[i].commit()
		size += len(c.Name) + len(c.Data) + saltLen
	}
	e.Contents, e.stored = contents, storedContents(contents)
	return size, nil
}

func checkTrace(trace string) error {
	if len(trace) > maxTrace || !utf8.ValidString(trace) || strings.ContainsFunc(trace, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("an entry has the trace %.50q: want at most %d bytes of text without control characters", trace, maxTrace)
	}
	return nil
}

// packed returns a body as it is hashed.
func packed(body json.RawMessage) (json.RawMessage, error) {
	if len(body) == 0 {
		return json.RawMessage("{}"), nil
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the body of an entry has %d bytes, at most %d are allowed: put texts into contents", len(body), maxBody)
	}
	if !utf8.Valid(body) {
		return nil, errors.New("the body of an entry is not UTF-8")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		return nil, fmt.Errorf("the body of an entry is no JSON: %w", err)
	}
	return b.Bytes(), nil
}

func plainWord(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
