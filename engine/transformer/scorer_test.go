package transformer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"candor/engine/kernel"
	"candor/engine/tensor"
	"candor/internal/rng"

	"pgregory.net/rapid"
)

// at names a prediction.
type at struct{ seq, pos int }

// score returns the logits of every prediction.
func score(t testing.TB, s *Scorer, batch []Sequence) map[at][]float32 {
	t.Helper()
	var got [Shards]map[at][]float32
	err := s.Score(batch, func(shard, seq, pos int, target int32, logits []float32) {
		if target != batch[seq].Tokens[pos] {
			t.Errorf("sequence %d, position %d: target %d, want %d", seq, pos, target, batch[seq].Tokens[pos])
		}
		if got[shard] == nil {
			got[shard] = map[at][]float32{}
		}
		got[shard][at{seq, pos}] = slices.Clone(logits)
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[at][]float32{}
	for _, m := range got {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// Exactly the weighted predictions are visited, and a prediction's bits depend neither on the rest of the batch nor on
// which other predictions are weighted, nor on threads or hooks.
func TestPredictionsAreIndependent(t *testing.T) {
	two := tensor.NewPool(2)
	defer two.Close()
	one := tensor.NewPool(1)
	for name, cfg := range kinds {
		m := loud(t, cfg, 3)
		batch := raggedBatch(cfg, 4, 90)
		got := score(t, NewScorer(m, two), batch)
		hooked := NewScorer(m, two)
		hooked.Hook = func(string, int, []float32, int) {}
		withHook := score(t, hooked, batch)
		alone := NewScorer(m, one)
		count := 0
		for i, s := range batch {
			weight := make([]float32, len(s.Tokens))
			for j := range weight {
				weight[j] = 1
			}
			full := score(t, alone, []Sequence{{Tokens: s.Tokens, Weight: weight, Blocks: s.Blocks}})
			for j := 1; j < len(s.Weight); j++ {
				if s.Weight[j] == 0 {
					continue
				}
				count++
				k := at{i, j}
				if !sameBits(got[k], full[at{0, j}]) {
					t.Fatalf("%s: sequence %d, position %d: %v in the batch, %v alone", name, i, j, got[k], full[at{0, j}])
				}
				if !sameBits(got[k], withHook[k]) {
					t.Fatalf("%s: sequence %d, position %d changes with a hook", name, i, j)
				}
			}
		}
		if count != len(got) || count != len(withHook) {
			t.Errorf("%s: %d predictions are weighted; %d were visited, %d with a hook", name, count, len(got), len(withHook))
		}
	}
}

// A later token never changes an earlier prediction.
func TestCausality(t *testing.T) {
	one := tensor.NewPool(1)
	for name, cfg := range kinds {
		m := loud(t, cfg, 3)
		s := NewScorer(m, one)
		rapid.Check(t, func(rt *rapid.T) {
			n := rapid.IntRange(2, cfg.Context).Draw(rt, "tokens")
			pos := rapid.IntRange(1, n-1).Draw(rt, "position")
			change := rapid.IntRange(pos, n-1).Draw(rt, "changed")
			src := rng.New(rapid.Uint64().Draw(rt, "seed"))
			a := Sequence{Tokens: make([]int32, n), Weight: make([]float32, n)}
			for j := range a.Tokens {
				a.Tokens[j] = int32(src.IntN(cfg.Vocab))
			}
			a.Weight[pos], a.Weight[n-1] = 1, 1
			b := Sequence{Tokens: slices.Clone(a.Tokens), Weight: a.Weight}
			b.Tokens[change] = (b.Tokens[change] + 1) % int32(cfg.Vocab)
			got := score(t, s, []Sequence{a, b})
			if !sameBits(got[at{0, pos}], got[at{1, pos}]) {
				rt.Fatalf("%s: prediction %d changes with token %d", name, pos, change)
			}
		})
	}
}

// What a blocked span holds does not matter to a query behind the block; without the block it does.
func TestBlocksCutThePath(t *testing.T) {
	cfg := Config{Layers: 2, Heads: 2, Width: 8, Context: 12, Vocab: 11, Positions: []string{Learned}}
	m := loud(t, cfg, 3)
	s := NewScorer(m, tensor.NewPool(1))
	prompt, rest := Span{"prompt", 0, 4}, Span{"rest", 4, 9}
	run := func(token int32, blocks ...Block) []float32 {
		seq := Sequence{Tokens: []int32{1, token, 3, 4, 5, 6, 7, 8, 9}, Weight: make([]float32, 9), Blocks: blocks}
		seq.Weight[8] = 1
		return score(t, s, []Sequence{seq})[at{0, 8}]
	}
	block := Block{From: rest, To: prompt}
	if !sameBits(run(2, block), run(7, block)) {
		t.Error("a blocked prompt changes the prediction")
	}
	if sameBits(run(2), run(7)) || sameBits(run(2), run(2, block)) {
		t.Error("an open prompt does not change the prediction")
	}
	// A block of the last query alone leaves the indirect path open.
	last := Block{From: Span{"last", 7, 8}, To: prompt}
	if sameBits(run(2, last), run(7, last)) {
		t.Error("nothing passed through the positions between")
	}
}

// Hooks show the states of the forward pass: the names in order, the right shapes, and arithmetic that joins them.
func TestHooks(t *testing.T) {
	cfg := kinds["mixed"]
	m := loud(t, cfg, 3)
	s := NewScorer(m, tensor.NewPool(1))
	batch := raggedBatch(cfg, 4, 5)
	batch[0].Weight = nil
	type state struct {
		rows  []float32
		width int
	}
	seen := map[string]state{}
	var order []string
	s.Hook = func(name string, seq int, rows []float32, width int) {
		if seq == 0 {
			order = append(order, name)
		}
		seen[fmt.Sprint(seq, " ", name)] = state{slices.Clone(rows), width}
	}
	if err := s.Score(batch, nil); err != nil {
		t.Fatal(err)
	}
	var want []string
	want = append(want, "hook_embed")
	for i := range cfg.Layers {
		for _, n := range strings.Fields("hook_resid_pre attn.hook_pattern attn.hook_z hook_attn_out hook_resid_mid mlp.hook_post hook_mlp_out hook_resid_post") {
			want = append(want, fmt.Sprintf("blocks.%d.%s", i, n))
		}
	}
	want = append(want, "ln_final.hook_normalized")
	if !slices.Equal(order, want) {
		t.Errorf("hooks %v, want %v", order, want)
	}
	for seq := range batch {
		n := min(len(batch[seq].Tokens), cfg.Context)
		get := func(name string) []float32 { return seen[fmt.Sprint(seq, " ", name)].rows }
		for _, name := range want {
			st := seen[fmt.Sprint(seq, " ", name)]
			width, size := cfg.Width, n*cfg.Width
			if strings.HasSuffix(name, "pattern") {
				width, size = n, cfg.Heads*n*n
			} else if strings.HasSuffix(name, "hook_post") {
				width, size = 4*cfg.Width, 4*n*cfg.Width
			}
			if st.width != width || len(st.rows) != size {
				t.Errorf("sequence %d, %s: %d numbers in rows of %d, want %d in rows of %d", seq, name, len(st.rows), st.width, size, width)
			}
		}
		mid, pre, out := get("blocks.1.hook_resid_mid"), get("blocks.1.hook_resid_pre"), get("blocks.1.hook_attn_out")
		post, mlp := get("blocks.1.hook_resid_post"), get("blocks.1.hook_mlp_out")
		for i := range mid {
			if math.Abs(float64(pre[i]+out[i]-mid[i])) > 1e-4 || math.Abs(float64(mid[i]+mlp[i]-post[i])) > 1e-4 {
				t.Fatalf("sequence %d, number %d: the residual stream does not add up", seq, i)
			}
		}
		if !sameBits(get("blocks.0.hook_resid_post"), pre) || !sameBits(get("hook_embed"), get("blocks.0.hook_resid_pre")) {
			t.Errorf("sequence %d: a block's input is not what came before", seq)
		}
	}
}

func TestBatchErrorsNameThePlace(t *testing.T) {
	cfg := kinds["learned, tied"]
	m := loud(t, cfg, 1)
	pool := tensor.NewPool(1)
	good := Sequence{Tokens: []int32{1, 2, 3}, Weight: []float32{0, 1, 1}}
	for want, bad := range map[string]Sequence{
		"sequence 1 has 0 tokens":          {},
		"sequence 1 has 14 tokens":         {Tokens: make([]int32, 14)},
		"sequence 1, position 2: token 11": {Tokens: []int32{1, 2, 11}},
		"sequence 1, position 0: token -1": {Tokens: []int32{-1}},
		"2 targets for 3 tokens":           {Tokens: []int32{1, 2, 3}, Targets: []int32{1, 2}},
		"sequence 1 has 1 targets for 2":   {Tokens: []int32{1, 2}, Weight: []float32{0, 1}, Targets: []int32{1}},
		"position 1: target 11 is outside": {Tokens: []int32{1, 2}, Weight: []float32{0, 0}, Targets: []int32{1, 11}},
		"position 0: target -1 is outside": {Tokens: []int32{1, 2}, Targets: []int32{-1, 1}},
		"2 weights for 3 tokens":           {Tokens: []int32{1, 2, 3}, Weight: []float32{0, 1}},
		"position 1: the weight is NaN":    {Tokens: []int32{1, 2}, Weight: []float32{0, float32(math.NaN())}},
		`span "answer" is [2,4)`:           {Tokens: []int32{1, 2, 3}, Blocks: []Block{{From: Span{"answer", 2, 4}}}},
		`span "prompt" is [2,1)`:           {Tokens: []int32{1, 2, 3}, Blocks: []Block{{To: Span{"prompt", 2, 1}}}},
		"position 1: the weight is +Inf":   {Tokens: []int32{1, 2}, Weight: []float32{0, float32(math.Inf(1))}},
	} {
		trainer := NewTrainer(m, pool)
		if _, err := trainer.Gradient([]Sequence{good, bad}, CrossEntropy(1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("gradient: error %v, want one with %q", err, want)
		}
		if err := NewScorer(m, pool).Score([]Sequence{good, bad}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("score: error %v, want one with %q", err, want)
		}
	}
	trainer := NewTrainer(m, pool)
	trainer.Grad[0] = 9
	for _, empty := range [][]Sequence{nil, {{Tokens: []int32{1}}}, {{Tokens: []int32{1, 2}, Weight: []float32{5, 0}}}} {
		if loss, err := trainer.Gradient(empty, CrossEntropy(1)); err != nil || loss != 0 || trainer.Grad[0] != 0 {
			t.Errorf("a batch without weights: loss %g, error %v, gradient %g", loss, err, trainer.Grad[0])
		}
	}
}

// Shards are contiguous, cover the batch, and differ by less than a sequence from an equal share.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 30), 0, 60).Draw(t, "lengths")
		batch, total := make([]Sequence, len(lengths)), 0
		for i, n := range lengths {
			batch[i] = Sequence{Tokens: make([]int32, n+1), Weight: make([]float32, n+1)}
			batch[i].Weight[n] = 1
			total += n
		}
		var bounds [Shards + 1]int
		cut(batch, &bounds)
		if bounds[0] != 0 || bounds[Shards] != len(batch) {
			t.Fatalf("bounds %v of %d sequences", bounds, len(batch))
		}
		for i := range Shards {
			sum := 0
			for _, n := range lengths[bounds[i]:bounds[i+1]] {
				sum += n
			}
			if d := sum - total/Shards; d > 31 || d < -31 {
				t.Fatalf("shard %d has %d of %d tokens: bounds %v", i, sum, total, bounds)
			}
		}
	})
}

// A model can learn: a text that is determined by the token before is memorised, and the loss is a proper surprise.
func TestLearnsACycle(t *testing.T) {
	cfg := Config{Layers: 1, Heads: 2, Width: 16, Context: 12, Vocab: 7, Positions: []string{None}}
	m, err := New(cfg, rng.New(1))
	if err != nil {
		t.Fatal(err)
	}
	pool := tensor.NewPool(1)
	trainer := NewTrainer(m, pool)
	batch := make([]Sequence, 7)
	for i := range batch {
		for j := range 12 {
			batch[i].Tokens = append(batch[i].Tokens, int32((i+3*j)%7))
			batch[i].Weight = append(batch[i].Weight, 1)
		}
	}
	var first, last float64
	for step := range 100 {
		loss, err := trainer.Gradient(batch, CrossEntropy(1./77))
		if err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			first = loss
		}
		last = loss
		kernel.Axpy(m.Flat(), -.5, trainer.Grad)
	}
	if math.Abs(first-math.Log(7)) > .3 || last > .1 {
		t.Errorf("the loss went from %g to %g, want from about log 7 = 1.95 to below .1", first, last)
	}
}
