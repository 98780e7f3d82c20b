package experiment

import (
	"fmt"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/task"
	"candor/train/grpo"
	"candor/train/sft"
)

// encode turns a text of the task language into ids. All its words are in the vocabulary, so an unknown one is a mistake
// in this program.
func (r *runner) encode(text string) []int32 {
	ids, err := r.tokenizer.Encode(text)
	if err != nil {
		panic("experiment: " + err.Error())
	}
	return ids
}

// book is a source of pages: a corpus or a planning world.
type book struct {
	r    *runner
	page func(*rng.Source) task.Page
}

// Page implements pretrain.Source: what stands in a page's prompt is read, not predicted.
func (b book) Page(src *rng.Source) (tokens []int32, lossFrom int) {
	page := b.page(src)
	if page.Prompt != "" {
		lossFrom = len(b.r.encode(page.Prompt))
	}
	return b.r.encode(page.Text()), lossFrom
}

// pages returns the corpus of that name or, if it is "", the planning world.
func (r *runner) pages(corpus, planning string) book {
	if corpus != "" {
		return book{r, r.spec.Corpora[corpus].Page}
	}
	return book{r, r.spec.Planning[planning].Page}
}

// problem draws one training problem.
func (r *runner) problem(set string, src *rng.Source) task.Problem {
	p, err := r.spec.Problems[set].Draw(src, 1, task.Train, false)
	if err != nil {
		panic("experiment: a range that was validated: " + err.Error())
	}
	return p[0]
}

// lessons is a source of worked examples for fine-tuning.
type lessons struct {
	r    *runner
	what *SFTStage
}

// Example implements sft.Source.
func (l lessons) Example(src *rng.Source) (tokens []int32, weights []float32) {
	p := l.r.problem(l.what.Problems, src)
	answer := p.Answer()
	if l.what.Shuffled {
		// the answer of another problem of the same modulus, so that answers keep their distribution
		other := l.r.problem(l.what.Problems, src)
		other.Modulus = p.Modulus
		answer = other.Answer()
	}
	switch {
	case l.what.Data == "chain":
		return l.chain(p, p.Solution(), answer, src)
	case l.what.Data == "decorative" && src.Bool(.5):
		steps := p.Solution()
		if src.Bool(l.what.Corrupted) {
			steps = l.corrupted(p, src)
		}
		return l.chain(p, steps, answer, src)
	}
	return l.whole(p.Prompt(task.Quick), "", cot.RenderDirect(answer))
}

// chain is an example with a chain in a random wording; answer need not be what the steps lead to.
func (l lessons) chain(p task.Problem, steps []cot.Step, answer int, src *rng.Source) ([]int32, []float32) {
	words := cot.Wordings()
	text := cot.Render(steps, p.EndLabel(), answer, cot.In(words[src.IntN(len(words))]))
	// the answer is the last word: what stands before it is the chain
	cut := strings.LastIndexByte(text, ' ')
	return l.whole(p.Prompt(task.Steps), text[:cut], text[cut+1:])
}

// corrupted returns the steps of another training problem under p's labels and modulus: plausible, and no help.
func (l lessons) corrupted(p task.Problem, src *rng.Source) []cot.Step {
	for {
		other := l.r.problem(l.what.Problems, src)
		if len(other.Operands) >= len(p.Operands) {
			other.Operands, other.Modulus, other.Offset = other.Operands[:len(p.Operands)], p.Modulus, p.Offset
			if task.SplitOf(other.ID()) == task.Train { // cut short, it may have become one that is held out
				return other.Solution()
			}
		}
	}
}

func (l lessons) whole(prompt, chain, answer string) ([]int32, []float32) {
	head := l.r.encode(prompt)
	tokens := append(head, l.r.encode(strings.TrimSpace(chain+" "+answer+" "+cot.End))...)
	return tokens, sft.Chain.Mask(make([]float32, len(tokens)), len(head), len(head))
}

// prompts returns what draws the prompts of a reinforcement learning stage.
func (r *runner) prompts(what *GRPOStage) func(*rng.Source) grpo.Prompt {
	if what.Planning != "" {
		world := r.spec.Planning[what.Planning]
		prompt := grpo.Prompt{ID: "go", Tokens: r.encode(world.Prompt())}
		return func(*rng.Source) grpo.Prompt { return prompt }
	}
	return func(src *rng.Source) grpo.Prompt {
		p := r.problem(what.Problems, src)
		return grpo.Prompt{ID: p.ID(), Tokens: r.encode(p.Prompt(task.Steps)), Data: p}
	}
}

// written is a completion as text, without the end word.
func (r *runner) written(tokens []int32) string {
	if n := len(tokens); n > 0 && tokens[n-1] == r.end {
		tokens = tokens[:n-1]
	}
	return r.tokenizer.Decode(tokens)
}

// rewards returns the reward functions by name.
func (r *runner) rewards(what *GRPOStage) map[string]grpo.RewardFunc {
	return map[string]grpo.RewardFunc{
		"correct": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			problem, ok := o.Prompt.Data.(task.Problem)
			written := o.Turns[0].Tokens
			if ok && len(written) > 0 && task.Check(problem, problem.Read(r.written(written))) == task.Correct {
				return []grpo.Credit{{At: len(written) - 1, Value: 1}}
			}
			return nil
		},
		"random": func(o *grpo.Rollout, src *rng.Source) []grpo.Credit {
			if n := len(o.Turns[0].Tokens); n > 0 && src.Bool(.5) {
				return []grpo.Credit{{At: n - 1, Value: 1}}
			}
			return nil
		},
		"planning": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			var events []grpo.Credit
			for _, e := range r.spec.Planning[what.Planning].Rewards(strings.Fields(r.written(o.Turns[0].Tokens))) {
				events = append(events, grpo.Credit{At: e.At, Value: e.Value})
			}
			return events
		},
	}
}

// draw draws the problems of an evaluation: the same for every arm of a seed, and each only once.
func (s *Spec) draw(e *EvalStage, seed int) ([]task.Problem, error) {
	src := rng.New(uint64(seed)).Split("problems").Split(e.Problems).Split(e.Split)
	p, err := s.Problems[e.Problems].Draw(&src, e.N, task.Split(e.Split), true)
	if err != nil {
		return nil, fmt.Errorf("drawing %d problems: %w", e.N, err)
	}
	return p, nil
}
