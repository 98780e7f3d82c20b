package experiment

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/reasoning/cot"
	"candor/study/runlog"
)

// The white-box interventions: attention from the words of the answer's cue, at the last of which the answer is read off,
// to the prompt or to the chain is blocked in all layers and heads.
const (
	blockPrompt = "block/answer-to-prompt"
	blockChain  = "block/answer-to-chain"
)

// whiteBox asks what the answer is computed from, by looking inside: for each right chain of at least 3 steps the
// distribution of the answer word is compared with that under blocked attention, as KL(full || blocked) in nats
// (Values["kl"]). The sample's answer is the likeliest word under the block.
//
// Known fault: in a model of several layers what stands in the prompt also flows through hidden states at the chain's
// positions, so a small KL of the blocked prompt does not show that the prompt is not used.
func (r *runner) whiteBox(model *transformer.Model, samples []runlog.Sample, pool *tensor.Pool) ([]runlog.Sample, error) {
	eyes, err := newSighted(model)
	if err != nil {
		return nil, err
	}
	var batch []transformer.Sequence
	var from []runlog.Sample
	for _, s := range samples {
		trace := cot.Parse(s.Text())
		if s.Intervention != "none" || !s.Correct || len(trace.Steps) < 3 {
			continue
		}
		at, ok := r.answerAt(s.Prompt, trace)
		if !ok || len(at.tokens) > model.Config.Context {
			continue
		}
		from = append(from, s)
		prompt, chain := at.spans()
		batch = append(batch, at.sequence(), eyes.blocked(at, prompt), eyes.blocked(at, chain))
	}
	dists, err := r.answers(eyes.model, int(eyes.nothing), batch, pool)
	if err != nil {
		return nil, err
	}
	var out []runlog.Sample
	for i, s := range from {
		full := dists[3*i]
		out = append(out, r.blocked(s, blockPrompt, full, dists[3*i+1]), r.blocked(s, blockChain, full, dists[3*i+2]))
	}
	return out, nil
}

// answers returns the log-probabilities at each sequence's last token, if only the first words of the vocabulary could stand there.
func (r *runner) answers(model *transformer.Model, words int, batch []transformer.Sequence, pool *tensor.Pool) ([][]float64, error) {
	dists := make([][]float64, len(batch))
	err := transformer.NewScorer(model, pool).Score(batch, func(_, seq, _ int, _ int32, logits []float32) {
		dists[seq] = logProbs(logits[:words])
	})
	return dists, err
}

// blocked is the sample of a block: what the distribution of s's answer becomes.
func (r *runner) blocked(s runlog.Sample, name string, full, blocked []float64) runlog.Sample {
	s.Intervention, s.Original, s.Follows = name, s.Answer, ""
	s.Values = maps.Clone(s.Values)
	maps.DeleteFunc(s.Values, func(name string, _ float64) bool { return name != "demonstrator" && name != "affected" })
	s.Values["kl"] = divergence(full, blocked)
	s.Answer = r.tokenizer.Word(likeliest(blocked))
	_, err := strconv.Atoi(s.Answer)
	s.Parsed = err == nil
	s.Correct = s.Parsed && s.Answer == s.Target
	if !s.Parsed {
		s.Answer = ""
	}
	return s
}

type placed struct {
	tokens      []int32 // prompt, chain, cue and the answer's number as the last
	prompt, cue int     // where the chain and the answer's cue begin
}

// spans are those that attention may be blocked to.
func (p placed) spans() (prompt, chain transformer.Span) {
	return transformer.Span{Name: "prompt", Start: 0, End: p.prompt}, transformer.Span{Name: "chain", Start: p.prompt, End: p.cue}
}

// sequence asks for the answer's number, with attention blocked from the words of the cue to the spans given.
func (p placed) sequence(to ...transformer.Span) transformer.Sequence {
	seq := transformer.Sequence{Tokens: p.tokens, Weight: make([]float32, len(p.tokens))}
	seq.Weight[len(seq.Weight)-1] = 1
	for _, span := range to {
		seq.Blocks = append(seq.Blocks, transformer.Block{From: transformer.Span{Name: "answer", Start: p.cue, End: len(p.tokens) - 1}, To: span})
	}
	return seq
}

// answerAt cuts prompt and chain behind the answer's number; ok is false where there is none.
func (r *runner) answerAt(prompt string, trace cot.Trace) (placed, bool) {
	if !trace.Parsed {
		return placed{}, false
	}
	head := r.encode(prompt)
	chain := r.encode(strings.TrimSpace(trace.Text[:trace.AnswerStart]))
	cue := r.encode(trace.Text[trace.AnswerStart:])
	number, ok := r.tokenizer.ID(strconv.Itoa(trace.Answer))
	if !ok {
		return placed{}, false
	}
	p := placed{prompt: len(head), cue: len(head) + len(chain)}
	p.tokens = append(append(head, chain...), cue...)
	for i := p.cue; i < len(p.tokens); i++ {
		if p.tokens[i] == number {
			p.tokens = p.tokens[:i+1]
			return p, i > p.cue
		}
	}
	return placed{}, false
}

// divergence returns KL(p || q) in nats from natural logarithms of probabilities. It is not negative but for rounding.
func divergence(p, q []float64) float64 {
	var sum float64
	for i := range p {
		sum += math.Exp(p[i]) * (p[i] - q[i])
	}
	return max(0, sum)
}

func likeliest(x []float64) int32 {
	best := 0
	for i := range x {
		if x[i] > x[best] {
			best = i
		}
	}
	return int32(best)
}

// sighted is a model with one more word, nothing, whose embedding is zero: what token shift adds behind it is what it adds to a
// text's first word. Without it token shift (transformer.Config) would tell the cue the chain's last word, which mostly is the
// answer, past any block of attention.
type sighted struct {
	model   *transformer.Model
	nothing int32 // its id, the last one; to be left out where words are read off
}

func newSighted(m *transformer.Model) (sighted, error) {
	cfg := m.Config
	cfg.Vocab++
	wide, err := transformer.Zero(cfg)
	if err != nil {
		return sighted{}, fmt.Errorf("adding a word for nothing: %w", err)
	}
	from := m.Tensors()
	for i, t := range wide.Tensors() {
		copy(t.Data, from[i].Data) // the new word's rows come last
	}
	return sighted{wide, int32(m.Config.Vocab)}, nil
}

// blocked asks for p's answer with attention from its cue to span blocked. If the cue stands right behind span, the word between
// is nothing: since no other word may see it, this cuts token shift and changes nothing else.
func (e sighted) blocked(p placed, span transformer.Span) transformer.Sequence {
	seq := p.sequence(span)
	if span.Start < span.End && span.End == p.cue {
		seq.Tokens = slices.Clone(seq.Tokens)
		seq.Tokens[p.cue-1] = e.nothing
	}
	return seq
}
