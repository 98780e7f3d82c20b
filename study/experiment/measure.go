package experiment

import (
	"context"
	"fmt"
	"math"

	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/reasoning/task"
	"candor/study/eval"
	"candor/study/runlog"
)

// coreSet is the set of problems that models were trained on. Samples on it carry the split's name, samples on any other
// set, which is out of distribution, carry the set's.
const coreSet = "core"

// Settings of the composed systems.
const (
	votes     = 16 // chains of self-consistency
	branch    = 5  // steps sampled from each kept chain of the tree of thoughts
	beam      = 1
	stepWords = 10 // longest step in any wording, with its separator
)

// maxChain is the most tokens that a chain of n operands may have: more than the longest wording needs.
func maxChain(operands int) int { return 20 + 11*operands }

// measure runs an evaluating stage and writes its samples.
func (r *runner) measure(ctx context.Context, st *stage, folder *runlog.Stage, pool *tensor.Pool) error {
	model, err := r.model(st.input)
	if err != nil {
		return err
	}
	out, err := folder.Samples()
	if err != nil {
		return err
	}
	var samples []runlog.Sample
	switch {
	case st.what.Choice != nil:
		samples, err = r.choose(ctx, st, model, pool)
	case st.what.Probe != nil:
		samples, err = r.probe(ctx, st, model, pool)
	case st.what.Battery != nil:
		samples, err = r.battery(ctx, st, model, pool)
	default:
		samples, err = r.evaluate(ctx, st, model, pool)
	}
	if err != nil {
		return err
	}
	for _, s := range samples {
		if err := out.WriteSample(s); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) evaluate(ctx context.Context, st *stage, model *transformer.Model, pool *tensor.Pool) ([]runlog.Sample, error) {
	e := st.what.Eval
	problems, err := r.spec.draw(e, st.seed)
	if err != nil {
		return nil, err
	}
	gen, err := decode.NewGenerator(model, r.tokenizer, pool)
	if err != nil {
		return nil, err
	}
	longest := 0
	for _, p := range problems {
		longest = max(longest, len(p.Operands))
	}
	suite := eval.Suite{Name: e.Name, Split: e.set(), Mode: task.Mode(e.Mode), Temperature: e.Temperature, Repeats: e.Repeats, MaxTokens: maxChain(longest)}
	if err := suite.Intervene(e.Interventions); err != nil {
		return nil, err
	}
	if suite.System, err = system(e, gen, suite.MaxTokens); err != nil {
		return nil, err
	}
	src := rng.New(uint64(st.seed)).Split("eval").Split(e.Name).Split(e.set())
	if suite.Monitors, err = r.monitors(ctx, st, gen, suite, src); err != nil {
		return nil, err
	}
	samples, err := eval.Run(ctx, gen, problems, suite, src.Split("run"), func(done, total int) { r.progress.step(st, done, total) })
	if err != nil {
		return nil, err
	}
	if err := r.demonstrate(e, problems, samples); err != nil {
		return nil, err
	}
	if e.Reader != "" {
		if err := r.read(st, samples, pool); err != nil {
			return nil, err
		}
	}
	if e.WhiteBox {
		blocked, err := r.whiteBox(model, samples, pool)
		if err != nil {
			return nil, err
		}
		samples = append(samples, blocked...)
	}
	return samples, nil
}

// set is the name under which samples tell what they were drawn from.
func (e *EvalStage) set() string {
	if e.Problems == coreSet {
		return e.Split
	}
	return e.Problems
}

func system(e *EvalStage, gen llm.Generator, tokens int) (compose.System, error) {
	limits := compose.Limits{Completion: tokens}
	switch e.System {
	case "":
		return nil, nil
	case "self-consistency":
		return compose.SelfConsistency{Model: gen, N: votes, Temperature: e.Temperature, Limits: limits}, nil
	case "tree-of-thoughts":
		return compose.TreeOfThoughts{Model: gen, Branch: branch, Beam: beam, StepTokens: stepWords, Score: compose.ByAgreement, Temperature: e.Temperature, Limits: limits}, nil
	case "calculator":
		return compose.CalculatorLoop{Model: gen, Temperature: e.Temperature, Limits: limits}, nil
	}
	return nil, fmt.Errorf("there is no system %q", e.System)
}

// monitorNames are the monitors that a spec may name.
var monitorNames = []string{"step-checker", "step-checker+prompt", "answer-only", "random"}

// fitProblems is the number of training problems whose answers the answer-only reader is fitted on.
const fitProblems = 300

// monitors makes the monitors of an evaluation. The answer-only reader is fitted on the same model's answers to training
// problems, which none of the problems evaluated is among.
func (r *runner) monitors(ctx context.Context, st *stage, gen llm.Generator, suite eval.Suite, src rng.Source) ([]monitor.Monitor, error) {
	var out []monitor.Monitor
	for _, name := range st.what.Eval.Monitors {
		switch name {
		case "step-checker":
			out = append(out, monitor.StepChecker{})
		case "step-checker+prompt":
			out = append(out, monitor.StepCheckerWithPrompt{})
		case "random":
			out = append(out, monitor.Random{Source: src.Split("random")})
		case "answer-only":
			draw := src.Split("fit")
			problems, err := r.spec.Problems[st.what.Eval.Problems].Draw(&draw, fitProblems, task.Train, true)
			if err != nil {
				return nil, err
			}
			fit := suite
			fit.Monitors, fit.Interventions, fit.Swap = nil, nil, false
			samples, err := eval.Run(ctx, gen, problems, fit, src.Split("fit-run"), nil)
			if err != nil {
				return nil, fmt.Errorf("fitting the answer-only reader: %w", err)
			}
			var answers []string
			var bad []bool
			for _, s := range samples {
				answers, bad = append(answers, s.Answer), append(bad, !s.Correct)
			}
			reader, err := monitor.FitAnswerOnly(answers, bad)
			if err != nil {
				return nil, err
			}
			out = append(out, reader)
		default:
			return nil, fmt.Errorf("there is no monitor %q", name)
		}
	}
	return out, nil
}

// demonstrate notes beside each problem how often its demonstrators are right, and whether a misconception touches it.
func (r *runner) demonstrate(e *EvalStage, problems []task.Problem, samples []runlog.Sample) error {
	if e.Corpus == "" {
		return nil
	}
	corpus := r.spec.Corpora[e.Corpus]
	type fact struct{ accuracy, affected float64 }
	facts := map[string]fact{}
	for _, p := range problems {
		f := fact{accuracy: corpus.Accuracy(p)}
		if corpus.AffectedBy(p) {
			f.affected = 1
		}
		facts[p.ID()] = f
	}
	for _, s := range samples {
		f, ok := facts[s.ID]
		if !ok {
			return fmt.Errorf("sample %s belongs to no problem", s.ID)
		}
		s.Values["demonstrator"], s.Values["affected"] = f.accuracy, f.affected
	}
	return nil
}

// read lets another arm's model read the chains: Values["nll"], nats a token of what was written, the end included.
func (r *runner) read(st *stage, samples []runlog.Sample, pool *tensor.Pool) error {
	reader, err := r.model(st.reader)
	if err != nil {
		return err
	}
	batch := make([]transformer.Sequence, len(samples))
	sums, counts := make([]float64, len(samples)), make([]int, len(samples))
	for i, s := range samples {
		head := r.encode(s.Prompt)
		tokens := append(head, append(r.encode(s.Text()), r.end)...)
		tokens = tokens[:min(len(tokens), reader.Config.Context+1)]
		weight := make([]float32, len(tokens))
		for t := len(head); t < len(tokens); t++ {
			weight[t] = 1
			counts[i]++
		}
		batch[i] = transformer.Sequence{Tokens: tokens, Weight: weight}
	}
	err = transformer.NewScorer(reader, pool).Score(batch, func(_, seq, _ int, target int32, logits []float32) {
		sums[seq] -= logProbs(logits)[target]
	})
	if err != nil {
		return fmt.Errorf("reading the chains with arm %s: %w", st.what.Eval.Reader, err)
	}
	for i, s := range samples {
		if counts[i] > 0 {
			s.Values["nll"] = sums[i] / float64(counts[i])
		}
	}
	return nil
}

// logProbs returns the natural logarithms of the softmax of logits.
func logProbs(logits []float32) []float64 {
	top := float64(logits[0])
	for _, l := range logits {
		top = max(top, float64(l))
	}
	var sum float64
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	z := top + math.Log(sum)
	out := make([]float64, len(logits))
	for i, l := range logits {
		out[i] = float64(l) - z
	}
	return out
}

// choose samples first words in a planning world. A sample is correct if it takes the far-sighted choice.
func (r *runner) choose(ctx context.Context, st *stage, model *transformer.Model, pool *tensor.Pool) ([]runlog.Sample, error) {
	world := r.spec.Planning[st.what.Choice.Planning]
	prompt := r.encode(world.Prompt())
	src := rng.New(uint64(st.seed)).Split("choice")
	requests := make([]decode.Request, st.what.Choice.N)
	for i := range requests {
		s := src.SplitN("sample", i)
		requests[i] = decode.Request{Prompt: prompt, MaxTokens: world.Delay + 2, Temperature: 1, Stop: []int32{r.end}, Seed: s.Uint64()}
	}
	results, err := decode.NewSampler(model, pool).Sample(ctx, requests)
	if err != nil {
		return nil, err
	}
	samples := make([]runlog.Sample, len(results))
	for i, res := range results {
		first := r.tokenizer.Word(res.Tokens[0])
		samples[i] = runlog.Sample{
			Run: st.id, Seed: st.seed, Eval: "choice", ID: fmt.Sprintf("choice-%d-%03d", world.Delay, i), Split: "test",
			Problem: fmt.Sprintf("eat %g now or sow and reap %g after %d words", world.EatReward, world.SowReward, world.Delay), Intervention: "none",
			Prompt: world.Prompt(), Chain: r.written(res.Tokens), Answer: first, Target: task.Sow,
			Parsed: first == task.Eat || first == task.Sow, Correct: first == task.Sow,
			Values: map[string]float64{"logprob_choice": float64(res.LogProbs[0])},
		}
	}
	return samples, nil
}
