// Package tokenizer turns text into token ids and back, one word a token.
//
// A word is what stands between white space; the vocabulary is closed, so a word that is not in it is an error that
// names the word ([UnknownWordError]) and never silently becomes something else. Ids are dense: 0 to [Tokenizer.Size]-1,
// first the words in the order given to [New], then the specials.
//
// Text that consists of known words separated by single spaces survives Encode and Decode unchanged. A special word such
// as [End] is encoded only where it stands alone; glued to another word it is an unknown word. There is no padding token,
// since batches are ragged, and no token for unknown words.
//
// The JSON form ([Tokenizer.MarshalJSON], [Tokenizer.UnmarshalJSON]) is Hugging Face's tokenizer.json with a WordLevel
// model and a WhitespaceSplit pre-tokenizer; the tokenizers library that reads it gives the same ids. It demands a name
// for the unknown token; the name written is not in the vocabulary, so that library refuses unknown words as well.
package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// End is the special word that ends a page and a completion.
const End = "<|end|>"

// Tokenizer maps words to ids. It is immutable once made and safe for concurrent use. The zero value knows no words.
type Tokenizer struct {
	words    []string
	ids      map[string]int32
	specials int // the last so many of words
}

// New returns a tokenizer whose ids count first words, then specials. It is an error if a word is empty, is not UTF-8,
// contains white space or occurs twice.
func New(words []string, specials ...string) (*Tokenizer, error) {
	t := &Tokenizer{
		words:    make([]string, 0, len(words)+len(specials)),
		ids:      make(map[string]int32, len(words)+len(specials)),
		specials: len(specials),
	}
	for _, group := range [][]string{words, specials} {
		for _, w := range group {
			if err := checkWord(w); err != nil {
				return nil, err
			}
			if id, ok := t.ids[w]; ok {
				return nil, fmt.Errorf("word %q is in the vocabulary twice, as %d and %d: give each word once", w, id, len(t.words))
			}
			t.ids[w] = int32(len(t.words))
			t.words = append(t.words, w)
		}
	}
	return t, nil
}

func checkWord(w string) error {
	switch {
	case w == "":
		return fmt.Errorf("the vocabulary has an empty word: a word has at least one character")
	case !utf8.ValidString(w):
		return fmt.Errorf("word %q of the vocabulary is not UTF-8", w)
	case strings.ContainsFunc(w, unicode.IsSpace):
		return fmt.Errorf("word %q of the vocabulary contains white space, which separates words", w)
	}
	return nil
}

// Size returns the number of words, specials included.
func (t *Tokenizer) Size() int { return len(t.words) }

// ID returns the id of a word and whether the vocabulary has it.
func (t *Tokenizer) ID(word string) (int32, bool) {
	id, ok := t.ids[word]
	return id, ok
}

// Word returns the word of an id in [0, Size). It panics on any other id.
func (t *Tokenizer) Word(id int32) string {
	if id < 0 || int(id) >= len(t.words) {
		panic(fmt.Sprintf("tokenizer: id %d is outside a vocabulary of %d words", id, len(t.words)))
	}
	return t.words[id]
}

// Words returns a copy of the vocabulary in the order of ids, specials included.
func (t *Tokenizer) Words() []string { return append([]string(nil), t.words...) }

// Specials returns the special words in the order of ids.
func (t *Tokenizer) Specials() []string {
	return append([]string(nil), t.words[len(t.words)-t.specials:]...)
}

// Encode returns the ids of text's words. The error is an [*UnknownWordError] if a word is not in the vocabulary.
func (t *Tokenizer) Encode(text string) ([]int32, error) {
	return t.AppendEncode(nil, text)
}

// AppendEncode appends the ids of text's words to dst; on an error dst is returned as it was.
func (t *Tokenizer) AppendEncode(dst []int32, text string) ([]int32, error) {
	n := len(dst)
	for word := range strings.FieldsSeq(text) {
		id, ok := t.ids[word]
		if !ok {
			return dst[:n], &UnknownWordError{Word: word, Near: t.near(word)}
		}
		dst = append(dst, id)
	}
	return dst, nil
}

// Decode returns the words of ids, joined by single spaces. It panics on an id outside [0, Size).
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.Word(id))
	}
	return b.String()
}
