package experiment

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"candor/engine/checkpoint"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/task"
	"candor/study/runlog"
)

// right returns samples of right chains, in all wordings.
func right(t *testing.T, n int) []runlog.Sample {
	t.Helper()
	src := rng.New(5)
	problems, err := task.Range{Terms: [2]int{3, 4}, Operands: [2]int{0, 9}, Moduli: []int{5, 7, 9}}.Draw(&src, n, task.Test, true)
	if err != nil {
		t.Fatal(err)
	}
	var out []runlog.Sample
	for i, p := range problems {
		trace := p.Read(p.Chain(cot.Wordings()[i%len(cot.Wordings())]))
		cue, _, _ := strings.Cut(trace.Text[trace.AnswerStart:], " ")
		answer := strconv.Itoa(p.Answer())
		s := runlog.Sample{ID: p.ID(), Intervention: "none", Prompt: p.Prompt(task.Steps), Parsed: true, Correct: true, Answer: answer, Target: answer,
			Chain: strings.TrimSpace(trace.Text[:trace.AnswerStart]), Cue: cue, Values: map[string]float64{"nll": 1, "demonstrator": .5}}
		if !cot.Parse(s.Text()).Parsed {
			t.Fatalf("no chain: %q", s.Text())
		}
		out = append(out, s)
	}
	return out
}

func model(t *testing.T, layers int) *transformer.Model {
	t.Helper()
	m, err := transformer.New(transformer.Config{Layers: layers, Heads: 2, Width: 8, Context: 90, Vocab: len(task.Vocabulary()) + 1, Positions: []string{"rotary", "none"}, Tied: true}, rng.New(1))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnswerAt(t *testing.T) {
	r := newRunner(t, parse(t, tiny))
	for _, s := range right(t, 24) {
		at, ok := r.answerAt(s.Prompt, cot.Parse(s.Text()))
		if !ok {
			t.Errorf("no answer found in %q", s.Text())
			continue
		}
		last := len(at.tokens) - 1
		prompt, chain, cue, answer := r.tokenizer.Decode(at.tokens[:at.prompt]), r.tokenizer.Decode(at.tokens[at.prompt:at.cue]), r.tokenizer.Decode(at.tokens[at.cue:last]), r.tokenizer.Word(at.tokens[last])
		if prompt != s.Prompt || chain != s.Chain || cue != s.Cue || answer != s.Answer {
			t.Errorf("%q + %q is cut into %q, %q, %q, %q", s.Prompt, s.Text(), prompt, chain, cue, answer)
		}
	}
	for _, text := range []string{"", "i3 7 i4", "answer", "no such chain"} {
		if _, ok := r.answerAt("q i1 2 i2 3 i3 . mod 5 ; steps :", cot.Parse(text)); ok {
			t.Errorf("%q has no answer", text)
		}
	}
}

func TestBlockingNothingChangesNothing(t *testing.T) {
	r := newRunner(t, parse(t, tiny))
	m := model(t, 2)
	pool := tensor.NewPool(2)
	defer pool.Close()
	var batch []transformer.Sequence
	for _, s := range right(t, 6) {
		at, _ := r.answerAt(s.Prompt, cot.Parse(s.Text()))
		for _, span := range []transformer.Span{{}, {Start: 3, End: 3}, {Start: len(at.tokens) - 1, End: len(at.tokens)}} { // none, empty, ahead of the query
			batch = append(batch, at.sequence(span))
		}
	}
	dists, err := r.answers(m, m.Config.Vocab, batch, pool)
	if err != nil {
		t.Fatal(err)
	}
	for i := range dists {
		if kl := divergence(dists[i-i%3], dists[i]); kl != 0 {
			t.Errorf("blocking nothing gives a KL of %g", kl)
		}
		var sum float64
		for _, x := range dists[i] {
			sum += math.Exp(x)
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("probabilities sum to %g", sum)
		}
	}
}

func TestWhiteBox(t *testing.T) {
	r := newRunner(t, parse(t, tiny))
	pool := tensor.NewPool(2)
	defer pool.Close()
	given := right(t, 12)
	untouched := given[0]
	wrong, edited := given[1], given[2]
	wrong.Correct, edited.Intervention = false, "paraphrase"
	given = append(given, wrong, edited)
	for layers := 1; layers <= 2; layers++ {
		out, err := r.whiteBox(model(t, layers), given, pool)
		if err != nil {
			t.Fatal(err)
		}
		if len(out) != 24 {
			t.Fatalf("%d samples, want two for each right chain without an edit, 24", len(out))
		}
		for i, s := range out {
			of := given[i/2]
			if want := []string{blockPrompt, blockChain}[i%2]; s.Intervention != want || s.ID != of.ID || s.Original != of.Answer || s.Target != of.Target {
				t.Errorf("sample %d: %+v", i, s)
			}
			kl, ok := s.Values["kl"]
			if !ok || !(kl > 1e-9) || math.IsInf(kl, 0) {
				t.Errorf("%d layers, %s of %s: KL %g, must be above 0", layers, s.Intervention, s.ID, kl)
			}
			if _, err := strconv.Atoi(s.Answer); s.Parsed != (err == nil) || s.Correct != (s.Answer == s.Target) {
				t.Errorf("answer %q, parsed %v, correct %v for %s", s.Answer, s.Parsed, s.Correct, s.Target)
			}
			if s.Values["nll"] != 0 || s.Values["demonstrator"] != .5 {
				t.Errorf("values that the block changes must go, the problem's own stay: %v", s.Values)
			}
		}
	}
	if untouched.Values["nll"] != 1 || len(untouched.Values) != 2 {
		t.Errorf("the sample blocked has changed: %v", untouched.Values)
	}
}

func TestDivergence(t *testing.T) {
	p, q := logProbs([]float32{0, 1, 2}), logProbs([]float32{2, 0, 1})
	var want float64
	for i := range p {
		want += math.Exp(p[i]) * (p[i] - q[i])
	}
	if got := divergence(p, q); math.Abs(got-want) > 1e-12 || got <= 0 {
		t.Errorf("KL %g, want %g", got, want)
	}
	if big := logProbs([]float32{1e30, -1e30}); big[0] != 0 || math.IsNaN(big[1]) {
		t.Errorf("log-probabilities of far logits: %v", big)
	}
	if likeliest([]float64{1, 3, 3}) != 1 {
		t.Error("of equals the first is the likeliest")
	}
}

// A model that reads what it wrote itself finds it as likely as when it wrote it. What is read has one word more, the end.
func TestReaderIsTheModel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	yaml := tiny[:strings.Index(tiny, "  - name: rl\n")] + `  - name: same
    from: small
    stages:
      - eval: {name: read, problems: core, split: test, n: 40, mode: quick, temperature: 1, reader: small}
      - eval: {name: hot, problems: core, split: test, n: 20, mode: steps, temperature: 1.5, reader: small}
`
	mustRun(t, dir, yaml, 2)
	samples, _, err := runlog.ReadSamples(filepath.Join(dir, "samples.jsonl"), true)
	if err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Load(filepath.Join(dir, "stages", only(t, dir, "pretrain-*"), "model"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, parse(t, yaml))
	pool := tensor.NewPool(1)
	defer pool.Close()
	compared := 0
	for _, s := range samples {
		nll, ok := s.Values["nll"]
		if asked := s.Eval == "read" || s.Eval == "hot"; ok != asked || ok && (!(nll > 0) || math.IsInf(nll, 0)) {
			t.Errorf("%s of %s: nll %g, %v", s.Eval, s.ID, nll, ok)
		}
		head, body := r.encode(s.Prompt), r.encode(s.Text())
		if n := s.Values["tokens"]; !ok || float64(len(body)) != n && float64(len(body)+1) != n {
			continue // something stood behind the answer, which is not in the sample
		}
		tokens := append(append(head, body...), r.end)
		dist, err := r.answers(c.Model, r.tokenizer.Size(), []transformer.Sequence{placed{tokens: tokens}.sequence()}, pool)
		if err != nil {
			t.Fatal(err)
		}
		want := -(s.Values["logprob_mean"]*float64(len(body)) + dist[0][r.end]) / float64(len(body)+1)
		if compared++; math.Abs(nll-want) > 1e-4 {
			t.Errorf("%s of %s: nll %g, must be %g", s.Eval, s.ID, nll, want)
		}
	}
	if compared < 40 {
		t.Errorf("only %d texts were compared", compared)
	}
}

// only returns the one stage folder of that form.
func only(t *testing.T, dir, form string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "stages", form))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %v, %v", form, all, err)
	}
	return filepath.Base(all[0])
}
