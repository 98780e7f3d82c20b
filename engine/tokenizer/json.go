package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// unknownName stands where Hugging Face's WordLevel model demands the name of an unknown token; no vocabulary has it.
const unknownName = "<|unknown|>"

// file is tokenizer.json. The parts that could change what text means are kept raw, to be refused unless null.
type file struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  *typed          `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         *model          `json:"model"`
}

type addedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type typed struct {
	Type string `json:"type"`
}

type model struct {
	Type         string     `json:"type"`
	Vocab        vocabulary `json:"vocab"`
	UnknownToken string     `json:"unk_token"`
}

// vocabulary is written as an object ordered by id, as Hugging Face does, and read with duplicate keys refused.
type vocabulary []string

func (v vocabulary) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for id, w := range v {
		if id > 0 {
			b.WriteByte(',')
		}
		key, err := marshal(w)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(id))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (v *vocabulary) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("model.vocab is %v, must be an object of word: id", t)
	}
	words := map[int64]string{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var id int64
		if err := d.Decode(&id); err != nil {
			return fmt.Errorf("the id of word %s in model.vocab: %w", shown(fmt.Sprint(key)), err)
		}
		if other, ok := words[id]; ok {
			return fmt.Errorf("words %s and %s in model.vocab both have id %d", shown(other), shown(fmt.Sprint(key)), id)
		}
		words[id] = fmt.Sprint(key)
	}
	*v = make(vocabulary, len(words))
	for id := range *v {
		w, ok := words[int64(id)]
		if !ok {
			return fmt.Errorf("no word in model.vocab has id %d: %d words need the ids 0 to %d", id, len(words), len(words)-1)
		}
		(*v)[id] = w
	}
	return nil
}

// marshal is json.Marshal without the escapes meant for HTML, so that "<|end|>" stays readable.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// MarshalJSON returns the tokenizer as a tokenizer.json; equal tokenizers give equal bytes.
func (t *Tokenizer) MarshalJSON() ([]byte, error) {
	null := json.RawMessage("null")
	f := file{
		Version: "1.0", Truncation: null, Padding: null, Normalizer: null, PostProcessor: null, Decoder: null,
		AddedTokens:  []addedToken{},
		PreTokenizer: &typed{"WhitespaceSplit"},
		Model:        &model{Type: "WordLevel", Vocab: t.words, UnknownToken: unknownName},
	}
	for id := len(t.words) - t.specials; id < len(t.words); id++ {
		// single_word: only where it stands alone, as Encode has it
		f.AddedTokens = append(f.AddedTokens, addedToken{ID: int64(id), Content: t.words[id], SingleWord: true, Special: true})
	}
	return marshal(f)
}

// UnmarshalJSON reads a tokenizer.json. It refuses, naming the part, whatever would make a text mean other ids than
// Encode gives: another model or pre-tokenizer, a normalizer, a post-processor, truncation or padding.
func (t *Tokenizer) UnmarshalJSON(data []byte) error {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("reading a tokenizer: %w", err)
	}
	if f.Model == nil || f.Model.Type != "WordLevel" {
		return fmt.Errorf("the tokenizer's model.type is %s, must be \"WordLevel\" (one word, one token)", kind(f.Model))
	}
	if f.PreTokenizer == nil || f.PreTokenizer.Type != "WhitespaceSplit" {
		return fmt.Errorf("the tokenizer's pre_tokenizer must have type \"WhitespaceSplit\"")
	}
	for _, part := range []struct {
		name string
		raw  json.RawMessage
	}{{"normalizer", f.Normalizer}, {"post_processor", f.PostProcessor}, {"truncation", f.Truncation}, {"padding", f.Padding}} {
		if len(part.raw) > 0 && string(part.raw) != "null" {
			return fmt.Errorf("the tokenizer has a %s, must be null", part.name)
		}
	}
	words := []string(f.Model.Vocab)
	first := len(words) - len(f.AddedTokens)
	if first < 0 {
		return fmt.Errorf("the tokenizer has %d added_tokens in a vocabulary of %d words", len(f.AddedTokens), len(words))
	}
	for i, a := range f.AddedTokens {
		if id := first + i; a.ID != int64(id) || words[id] != a.Content {
			return fmt.Errorf("added token %s has id %d, but specials must be the last words of model.vocab in order, here %s with id %d",
				shown(a.Content), a.ID, shown(words[id]), id)
		}
	}
	read, err := New(words[:first], words[first:]...)
	if err != nil {
		return fmt.Errorf("reading a tokenizer: %w", err)
	}
	*t = *read
	return nil
}

func kind(m *model) string {
	if m == nil {
		return "missing"
	}
	return shown(m.Type)
}
