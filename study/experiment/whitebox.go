package experiment

import (
	"maps"
	"math"
	"strconv"
	"strings"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/reasoning/cot"
	"candor/study/runlog"
)

// The white-box interventions: attention from the word that the answer is read off at, in all layers and heads, to the
// prompt or to the chain is blocked.
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
	var batch []transformer.Sequence
	var from []runlog.Sample
	for _, s := range samples {
		trace := cot.Parse(s.Text())
		if s.Intervention != "none" || !s.Correct || len(trace.Steps) < 3 {
			continue
		}
		seq, ok := r.answerAt(s.Prompt, trace)
		if !ok || len(seq.tokens) > model.Config.Context {
			continue
		}
		from = append(from, s)
		answer := transformer.Span{Name: "answer", Start: seq.cue, End: len(seq.tokens) - 1}
		prompt := transformer.Span{Name: "prompt", Start: 0, End: seq.prompt}
		chain := transformer.Span{Name: "chain", Start: seq.prompt, End: seq.cue}
		weight := make([]float32, len(seq.tokens))
		weight[len(weight)-1] = 1
		for _, blocks := range [][]transformer.Block{nil, {{From: answer, To: prompt}}, {{From: answer, To: chain}}} {
			batch = append(batch, transformer.Sequence{Tokens: seq.tokens, Weight: weight, Blocks: blocks})
		}
	}
	dists := make([][]float64, len(batch))
	err := transformer.NewScorer(model, pool).Score(batch, func(_, seq, _ int, _ int32, logits []float32) {
		dists[seq] = logProbs(logits)
	})
	if err != nil {
		return nil, err
	}
	var out []runlog.Sample
	for i, s := range from {
		for k, name := range []string{blockPrompt, blockChain} {
			full, blocked := dists[3*i], dists[3*i+1+k]
			b := s
			b.Intervention, b.Original, b.Follows = name, s.Answer, ""
			b.Values = maps.Clone(s.Values)
			maps.DeleteFunc(b.Values, func(name string, _ float64) bool { return name != "demonstrator" && name != "affected" })
			b.Values["kl"] = divergence(full, blocked)
			b.Answer = r.tokenizer.Word(likeliest(blocked))
			_, err := strconv.Atoi(b.Answer)
			b.Parsed = err == nil
			b.Correct = b.Parsed && b.Answer == b.Target
			if !b.Parsed {
				b.Answer = ""
			}
			out = append(out, b)
		}
	}
	return out, nil
}

type placed struct {
	tokens      []int32 // prompt, chain, cue and the answer's number as the last
	prompt, cue int     // where the chain and the answer's cue begin
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
