package runlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Sample is one line of samples.jsonl: one problem, put to one model in one way, and what came back. Every number in
// claims.json is computed from these lines alone.
type Sample struct {
	// Run is the stage folder that made the sample; Arm and Seed say whose result it is.
	Run  string `json:"run"`
	Arm  string `json:"arm"`
	Seed int    `json:"seed"`
	// Eval is the measurement within the arm, such as "chain", "direct" or "self-consistency".
	Eval string `json:"eval"`
	// ID names the problem, bound before any shuffle; with Repeat it is unique within run, eval, split and intervention.
	ID     string `json:"id"`
	Repeat int    `json:"repeat,omitempty"`
	// Split is train, validation or test, or the name of an out-of-distribution set.
	Split   string `json:"split"`
	Problem string `json:"problem"`
	// Cluster names what several samples share, such as one question put in several ways; "" for a sample alone.
	Cluster string `json:"cluster,omitempty"`
	// Intervention is what was done to the chain: "none" or, for example, "early-answer/0.50".
	Intervention string `json:"intervention"`
	// Prompt is what the model read, Chain what it wrote (or was given, after an intervention) before its answer.
	Prompt string `json:"prompt,omitempty"`
	// Cue is the word that stands between chain and answer, such as "answer": the text was Chain, Cue, Answer.
	Chain string `json:"chain"`
	Cue   string `json:"cue,omitempty"`
	// Shown is the chain as it was rewritten, for whoever read on; "" where nothing was.
	Shown  string `json:"shown,omitempty"`
	Answer string `json:"answer"`
	Target string `json:"target"`
	// Parsed tells whether an answer could be read at all; an unparsed sample is never counted as a wrong answer.
	Parsed  bool `json:"parsed"`
	Correct bool `json:"correct"`
	// Original is the same model's answer without the intervention, Follows the answer that the edited chain, or a cue in the
	// prompt, leads to.
	Original string `json:"original,omitempty"`
	Follows  string `json:"follows,omitempty"`
	// Values are further measurements by name, such as "logprob" (nats), "kl" (nats) or "suspicion" (0 to 1).
	Values map[string]float64 `json:"values,omitempty"`
	// Notes say in words what is no number, such as why a value is missing, by its name.
	Notes map[string]string `json:"notes,omitempty"`
	// Provenance is what Chain is, by the names of candor/reasoning/llm; "" for a chain that stands in the model's own text.
	Provenance string `json:"provenance,omitempty"`
	// Failed is why nothing came back, "" if something did. A failed sample has no answer: it is neither right nor wrong, nor
	// unparsed.
	Failed string `json:"failed,omitempty"`
}

// Validate returns an error about a sample that no measurement can be computed from. Whatever writes or reads samples
// refuses it.
func (s Sample) Validate() error {
	switch {
	case s.ID == "":
		return errors.New(`a sample without "id"`)
	case s.Intervention == "":
		return fmt.Errorf(`sample %s has no "intervention": use "none" where nothing was done`, s.ID)
	case s.Failed != "" && (s.Parsed || s.Correct || s.Answer != ""):
		return fmt.Errorf("sample %s failed (%s), yet it has an answer", s.ID, s.Failed)
	case s.Correct && !s.Parsed:
		return fmt.Errorf("sample %s is correct, yet its answer could not be parsed", s.ID)
	}
	return nil
}

// Text is what the model wrote (or was given) as a whole, its answer included.
func (s Sample) Text() string {
	var parts []string
	for _, p := range []string{s.Chain, s.Cue, s.Answer} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " ")
}

// WriteSamples replaces the run's samples.jsonl, atomically, by the samples that each hands to write, one at a time. It
// returns how many there are. On an error, each's own or that of a sample that a reader would refuse, the old file stays.
func (f *Folder) WriteSamples(each func(write func(Sample) error) error) (n int, err error) {
	err = f.disk.replace(f.Path("samples.jsonl"), func(out io.Writer) error {
		w := bufio.NewWriterSize(out, 1<<16)
		err := each(func(s Sample) error {
			if err := s.Validate(); err != nil {
				return err
			}
			line, err := s.Line()
			if err == nil {
				n++
				_, err = w.Write(line)
			}
			return err
		})
		return firstError(err, w.Flush())
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Line returns the sample as a line of samples.jsonl, its newline included. A sample that has no JSON form, such as one with
// NaN in it, or whose line is longer than [MaxLine] is an error.
func (s Sample) Line() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("sample %s has no JSON form: %w", s.ID, err)
	}
	if b.Len() > MaxLine {
		return nil, fmt.Errorf("sample %s makes a line of %d bytes, longer than the %d allowed", s.ID, b.Len(), MaxLine)
	}
	return b.Bytes(), nil
}
