package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// verdict is what a judge says.
type verdict struct {
	score  float64 // 0..100
	why    string
	quotes []string
}

// parseVerdict reads a judge's completion: one JSON object with the fields score, why and quotes, each at most once and by exactly
// this name, score at least once, and nothing before or behind it. A fence of Markdown around it, which many models cannot do
// without, is taken off.
func parseVerdict(text string) (verdict, error) {
	v, err := readVerdict(text)
	if err != nil {
		return verdict{}, fmt.Errorf("its verdict %q is not the JSON object that it was asked for: %w", excerpt(text), err)
	}
	return v, nil
}

func readVerdict(text string) (v verdict, err error) {
	if len(text) > maxVerdictText {
		return v, fmt.Errorf("it has %d bytes, more than %d", len(text), maxVerdictText)
	}
	d := json.NewDecoder(strings.NewReader(unfenced(strings.TrimSpace(text))))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return v, errors.New("it does not begin with {")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return v, err
		}
		name, _ := t.(string) // keys are strings, or the decoder has refused them
		if seen[name] {
			return v, fmt.Errorf("%s is said twice", name)
		}
		seen[name] = true
		if err := v.field(d, name); err != nil {
			return v, err
		}
	}
	if _, err := d.Token(); err != nil {
		return v, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, errors.New("something stands behind it")
	}
	if !seen["score"] {
		return v, errors.New("it has no score")
	}
	return v, nil
}

// field reads the value of one field.
func (v *verdict) field(d *json.Decoder, name string) error {
	switch name {
	case "score":
		var score *float64
		if err := d.Decode(&score); err != nil {
			return fmt.Errorf("the score is no number: %w", err)
		}
		if score == nil || !(*score >= 0 && *score <= 100) {
			return errors.New("the score is no number from 0 to 100")
		}
		v.score = *score
	case "why":
		if err := d.Decode(&v.why); err != nil {
			return fmt.Errorf("why is no text: %w", err)
		}
	case "quotes":
		if err := d.Decode(&v.quotes); err != nil {
			return fmt.Errorf("quotes are no list of texts: %w", err)
		}
		if len(v.quotes) > maxQuotes {
			return fmt.Errorf("there are %d quotes, more than %d", len(v.quotes), maxQuotes)
		}
	default:
		return fmt.Errorf("it has a field %q", excerpt(name))
	}
	return nil
}

// unfenced takes one fence of Markdown off that encloses the whole text.
func unfenced(text string) string {
	const fence = "```"
	first, rest, ok := strings.Cut(text, "\n")
	if first = strings.TrimSpace(first); !ok || first != fence && first != fence+"json" {
		return text
	}
	if inside, ok := strings.CutSuffix(rest, fence); ok {
		return inside
	}
	return text
}
