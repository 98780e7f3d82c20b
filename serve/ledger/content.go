package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"unicode/utf8"
)

const saltLen = 32

// Content is a text that belongs to an entry and may be redacted: a prompt, a chain of thought, an answer.
type Content struct {
	Name       string
	Commitment Hash
	// Salt has 32 bytes; nil if the content was redacted.
	Salt []byte
	Data []byte
}

// Redacted tells whether the content was deleted.
func (c *Content) Redacted() bool { return len(c.Salt) == 0 }

// commit returns the commitment to the content.
func (c *Content) commit() Hash {
	h := sha256.New()
	h.Write([]byte("candor ledger content 1\n"))
	h.Write(c.Salt)
	h.Write(c.Data)
	return Hash(h.Sum(nil))
}

// contentLine is a content in an export. Text is the content if that is UTF-8, else Base64 is.
type contentLine struct {
	Name       string  `json:"name"`
	Commitment Hash    `json:"commitment"`
	Salt       []byte  `json:"salt,omitempty"`
	Text       *string `json:"text,omitempty"`
	Base64     []byte  `json:"base64,omitempty"`
}

// MarshalJSON writes content as text where it can.
func (c Content) MarshalJSON() ([]byte, error) {
	line := contentLine{Name: c.Name, Commitment: c.Commitment, Salt: c.Salt}
	switch {
	case c.Redacted():
	case utf8.Valid(c.Data):
		text := string(c.Data)
		line.Text = &text
	default:
		line.Base64 = c.Data
	}
	return pack(line)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Content) UnmarshalJSON(data []byte) error {
	var line contentLine
	if err := json.Unmarshal(data, &line); err != nil {
		return err
	}
	*c = Content{Name: line.Name, Commitment: line.Commitment, Salt: line.Salt, Data: line.Base64}
	if line.Text != nil {
		c.Data = []byte(*line.Text)
	}
	return nil
}

// A store holds the contents of an entry as one string of bytes: for each its name, preceded by its length as a varint; the
// commitment; 1, or 0 if it was redacted; the salt; and the data, preceded by its length. Of a redacted content, salt and data
// are zeros and as long as they were, so that the zeros take the place of what they replace in the file.

const (
	wasRedacted = 0
	isThere     = 1
)

func storedContents(contents []Content) []byte {
	if len(contents) == 0 {
		return nil
	}
	size := 0
	for i := range contents {
		size += len(contents[i].Name) + len(contents[i].Data) + 2*binary.MaxVarintLen32 + len(Hash{}) + 1 + saltLen
	}
	b := make([]byte, 0, size)
	for i := range contents {
		c := &contents[i]
		b = binary.AppendUvarint(b, uint64(len(c.Name)))
		b = append(b, c.Name...)
		b = append(b, c.Commitment[:]...)
		b = append(b, isThere)
		b = append(b, c.Salt...)
		b = binary.AppendUvarint(b, uint64(len(c.Data)))
		b = append(b, c.Data...)
	}
	return b
}

// storedContent is a content inside the bytes of a store.
type storedContent struct {
	Content
	whole []byte // from its 1 or 0 to its end
	data  []byte // the end of whole
}

// blank overwrites salt and data in the bytes of the store.
func (s *storedContent) blank() {
	s.whole[0] = wasRedacted
	clear(s.whole[1 : 1+saltLen])
	clear(s.data)
}

// splitContents finds the contents in b, which they keep. It is false if b was not written by storedContents.
func splitContents(b []byte) (out []storedContent, ok bool) {
	for len(b) > 0 {
		var s storedContent
		name, ok := cut(&b)
		if !ok || len(b) < len(s.Commitment)+1+saltLen {
			return nil, false
		}
		s.Name = string(name)
		b = b[copy(s.Commitment[:], b):]
		start := b
		s.Salt, b = b[1:1+saltLen:1+saltLen], b[1+saltLen:]
		if s.Data, ok = cut(&b); !ok || start[0] > isThere {
			return nil, false
		}
		s.whole, s.data = start[:len(start)-len(b)], s.Data
		if start[0] == wasRedacted {
			s.redacted()
		}
		out = append(out, s)
	}
	return out, true
}

// redacted leaves a content without salt; and without data, unless something that is not zero is left of them.
func (s *storedContent) redacted() {
	if len(bytes.TrimLeft(s.Salt, "\x00")) == 0 && len(bytes.TrimLeft(s.Data, "\x00")) == 0 {
		s.Data = nil
	} else {
		s.Data = s.whole
	}
	s.Salt = nil
}

// cut takes a string and its length before it from the start of b.
func cut(b *[]byte) ([]byte, bool) {
	n, size := binary.Uvarint(*b)
	if size <= 0 || n > uint64(len(*b)-size) || size != len(binary.AppendUvarint(nil, n)) {
		return nil, false
	}
	rest := (*b)[size:]
	*b = rest[n:]
	return rest[:n:n], true
}

// readContents returns the contents that a store holds. Bytes that are not as they were written become a content that no entry
// has committed to.
func readContents(b []byte) []Content {
	split, ok := splitContents(b)
	if !ok {
		return []Content{{Name: "unreadable", Commitment: sha256.Sum256(b), Data: b}}
	}
	var out []Content
	for i := range split {
		out = append(out, split[i].Content)
	}
	return out
}
