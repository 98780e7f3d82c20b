package experiment

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/task"
	"candor/train/grpo"

	"github.com/google/go-cmp/cmp"
)

// listed reads the problem that a prompt lists; ok is false where it lists none, or no modulus.
func listed(t *testing.T, text string) (p task.Problem, word string, ok bool) {
	t.Helper()
	words := strings.Fields(text)
	if len(words) == 0 || words[0] != "q" {
		return p, "", false
	}
	i := 1
	for ; i < len(words) && words[i] != "." && words[i] != ":"; i++ {
		if strings.HasPrefix(words[i], "i") {
			continue
		}
		n, err := strconv.Atoi(words[i])
		if err != nil {
			t.Fatalf("%q: operand %q", text, words[i])
		}
		p.Operands = append(p.Operands, n)
	}
	if i+4 >= len(words) || words[i+1] != "mod" {
		return p, "", false
	}
	m, err := strconv.Atoi(words[i+2])
	if err != nil {
		t.Fatalf("%q: modulus %q", text, words[i+2])
	}
	p.Modulus = m
	return p, words[i+4], true
}

// inRange tells whether a range could have given a problem.
func inRange(r task.Range, p task.Problem) bool {
	negative := 0
	for i, n := range p.Operands {
		if n < 0 {
			if negative++; (r.Negatives == "first") != (i == 0) {
				return false
			}
			n = -n
		}
		if n < r.Operands[0] || n > r.Operands[1] {
			return false
		}
	}
	if want := map[string]int{"one": 1, "first": 1}[r.Negatives]; negative != want {
		return false
	}
	return len(p.Operands) >= r.Terms[0] && len(p.Operands) <= r.Terms[1] && slices.Contains(r.Moduli, p.Modulus)
}

// contamination checks texts that a model of the default study is trained on.
type contamination struct {
	spec                   *Spec
	drilled, whole, ranges int
}

func (c *contamination) check(t *testing.T, what, text string) {
	t.Helper()
	p, word, ok := listed(t, text)
	if !ok {
		return
	}
	if s := p.Split(); s != task.Train {
		t.Errorf("%s lists %s, of the %s split: %s", what, p.ID(), s, text)
	}
	switch word {
	case "step":
		c.drilled++
		return
	case "steps", "quick":
		c.whole++
	default:
		t.Fatalf("%s asks for %q: %s", what, word, text)
	}
	c.ranges = 0
	for name, r := range c.spec.Problems {
		if name != coreSet {
			if c.ranges++; inRange(r, p) {
				t.Errorf("%s lists %s, which is of the out-of-distribution set %s", what, p.ID(), name)
			}
		}
	}
	if !inRange(c.spec.Problems[coreSet], p) {
		t.Errorf("%s lists %s, which is not of the core set", what, p.ID())
	}
}

func TestNothingHeldOutIsTrainedOn(t *testing.T) {
	spec := builtin(t, "default")
	r := newRunner(t, spec)
	c := &contamination{spec: spec}
	for _, name := range sortedKeys(spec.Corpora) {
		src := rng.New(7).Split(name)
		for i := range 3000 {
			page := src.SplitN("page", i)
			tokens, lossFrom := r.pages(name, "").Page(&page)
			text := r.tokenizer.Decode(tokens)
			c.check(t, "corpus "+name, text)
			if strings.HasPrefix(text, "q ") != (lossFrom > 0) {
				t.Errorf("a page's prompt is read, not predicted: loss from %d of %s", lossFrom, text)
			}
		}
	}
	if c.drilled < 500 {
		t.Errorf("only %d drills were looked at", c.drilled)
	}
	for _, what := range []SFTStage{{Data: "direct"}, {Data: "chain"}, {Data: "decorative", Corrupted: .5}, {Data: "direct", Shuffled: true}} {
		what.Problems = coreSet
		src := rng.New(8).Split(what.Data)
		for i := range 2000 {
			one := src.SplitN("example", i)
			tokens, _ := lessons{r, &what}.Example(&one)
			c.check(t, "sft "+what.Data, r.tokenizer.Decode(tokens))
		}
	}
	src := rng.New(9)
	draw := r.prompts(&GRPOStage{Problems: coreSet})
	for i := range 2000 {
		one := src.SplitN("prompt", i)
		c.check(t, "grpo", r.tokenizer.Decode(draw(&one).Tokens))
	}
	if c.whole < 12_000 || c.ranges == 0 || c.ranges != len(spec.Problems)-1 {
		t.Errorf("only %d problems were compared with %d sets", c.whole, c.ranges)
	}
}

// Studies train on nothing but the core set and the corpora above, or on sums, whose texts are looked at one by one in
// TestNoSumHeldOutIsTrainedOn.
func TestTrainingStagesNameCoreAlone(t *testing.T) {
	looked := map[string]int{}
	for _, name := range Builtin() {
		for _, arm := range builtin(t, name).Arms {
			for _, st := range arm.Stages {
				var problems, other string
				switch {
				case st.SFT != nil:
					problems, other = st.SFT.Problems, st.SFT.Sums
				case st.GRPO != nil:
					problems, other = st.GRPO.Problems, st.GRPO.Planning+st.GRPO.Sums
				default:
					continue
				}
				if looked[name]++; (problems == coreSet) == (other != "") || problems != coreSet && problems != "" {
					t.Errorf("%s: arm %s is trained on problems %q and on %q", name, arm.Name, problems, other)
				}
			}
		}
	}
	for _, name := range Builtin() {
		if looked[name] < 2 {
			t.Errorf("%s: only %d stages were looked at", name, looked[name])
		}
	}
}

// The split of a problem must not change: models that were trained before would have seen what is held out now.
func TestSplitIsStable(t *testing.T) {
	held := ""
	for a := range 10 {
		for b := range 10 {
			if id := fmt.Sprintf("%d+%d%%7", a, b); task.SplitOf(id) != task.Train {
				held += id + " " + string(task.SplitOf(id)) + "\n"
			}
		}
	}
	if diff := cmp.Diff(heldOut, held); diff != "" {
		t.Errorf("other problems are held out:\n%s", diff)
	}
}

// example is what an SFT example says.
type example struct {
	problem task.Problem
	prompt  string
	chain   string // "" for a direct answer
	answer  int
}

func examples(t *testing.T, what SFTStage, n int) []example {
	t.Helper()
	spec := builtin(t, "default")
	r := newRunner(t, spec)
	src := rng.New(3)
	var out []example
	for i := range n {
		one := src.SplitN("example", i)
		tokens, weights := lessons{r, &what}.Example(&one)
		from := slices.Index(weights, 1)
		prompt, body := r.tokenizer.Decode(tokens[:from]), r.written(tokens[from:])
		if len(tokens) != len(weights) || tokens[len(tokens)-1] != r.end || slices.Contains(weights[from:], 0) {
			t.Fatalf("the loss must be on the whole completion, the end included: %s", r.tokenizer.Decode(tokens))
		}
		p, word, ok := listed(t, prompt)
		trace := p.Read(body)
		if !ok || !trace.Parsed || !strings.HasSuffix(prompt, word+" :") {
			t.Fatalf("no example: %s", r.tokenizer.Decode(tokens))
		}
		e := example{problem: p, prompt: prompt, answer: trace.Answer}
		if word == "steps" {
			e.chain = body
		}
		out = append(out, e)
	}
	return out
}

func TestDirectAndChainExamplesAreRight(t *testing.T) {
	wordings := map[string]bool{}
	for _, data := range []string{"direct", "chain"} {
		for _, e := range examples(t, SFTStage{Problems: coreSet, Data: data}, 300) {
			if e.answer != e.problem.Answer() || (e.chain != "") != (data == "chain") {
				t.Errorf("%s: %s is answered %d: %q", data, e.problem.ID(), e.answer, e.chain)
			}
			if e.chain != "" {
				trace := e.problem.Read(e.chain)
				if len(trace.Steps) != len(e.problem.Operands) {
					t.Errorf("%d steps for %s: %s", len(trace.Steps), e.problem.ID(), e.chain)
				}
				wordings[e.chain[:min(len(e.chain), 3)]] = true
			}
		}
	}
	if len(wordings) < 3 {
		t.Errorf("chains begin in %d ways only", len(wordings))
	}
}

func TestShuffledAnswers(t *testing.T) {
	const n = 6000
	plain := examples(t, SFTStage{Problems: coreSet, Data: "direct"}, n)
	mixed := examples(t, SFTStage{Problems: coreSet, Data: "direct", Shuffled: true}, n)
	right, chance := 0, 0.
	count := map[[2]int][2]float64{} // modulus and answer -> how often, plain and shuffled
	for i := range plain {
		if plain[i].prompt != mixed[i].prompt {
			t.Fatalf("shuffling changes the prompt: %s, %s", plain[i].prompt, mixed[i].prompt)
		}
		m := plain[i].problem.Modulus
		a, b := count[[2]int{m, plain[i].answer}], count[[2]int{m, mixed[i].answer}]
		a[0]++
		count[[2]int{m, plain[i].answer}] = a
		b = count[[2]int{m, mixed[i].answer}]
		b[1]++
		count[[2]int{m, mixed[i].answer}] = b
		if mixed[i].answer == mixed[i].problem.Answer() {
			right++
		}
		chance += 1 / float64(m)
	}
	for key, c := range count {
		if sd := math.Sqrt(c[0] + c[1]); math.Abs(c[0]-c[1]) > 4.5*sd {
			t.Errorf("modulus %d: the answer %d is given %g times, shuffled %g times", key[0], key[1], c[0], c[1])
		}
	}
	if got, sd := float64(right), math.Sqrt(chance); math.Abs(got-chance) > 5*sd {
		t.Errorf("%d of %d shuffled answers are right, %.0f by chance", right, n, chance)
	}
}

func TestDecorativeChains(t *testing.T) {
	const n = 4000
	for _, share := range []float64{0, .5, 1} {
		chains, corrupted := 0, 0
		for _, e := range examples(t, SFTStage{Problems: coreSet, Data: "decorative", Corrupted: share}, n) {
			if e.answer != e.problem.Answer() {
				t.Fatalf("a decorative chain's answer must be right: %s is answered %d", e.problem.ID(), e.answer)
			}
			if e.chain == "" {
				continue
			}
			chains++
			trace := e.problem.Read(e.chain)
			if len(trace.Steps) != len(e.problem.Operands) {
				t.Fatalf("%d steps for %s: %s", len(trace.Steps), e.problem.ID(), e.chain)
			}
			if !sameOperands(trace, e.problem) {
				corrupted++
			}
			shown := task.Problem{Modulus: e.problem.Modulus}
			for _, s := range trace.Steps {
				shown.Operands = append(shown.Operands, s.Operand)
			}
			if task.SplitOf(shown.ID()) != task.Train {
				t.Fatalf("the chain works out %s, which is held out", shown.ID())
			}
		}
		if math.Abs(float64(chains)-n/2) > 5*math.Sqrt(n)/2 {
			t.Errorf("%d of %d examples have a chain, want half", chains, n)
		}
		// another problem of two operands may by chance be the same one
		want := share * float64(chains)
		if got := float64(corrupted); got > want+5*math.Sqrt(float64(chains)*share*(1-share))+.001 || got < .98*want-5*math.Sqrt(float64(chains)*share*(1-share)) {
			t.Errorf("corrupted: %g: %d of %d chains are", share, corrupted, chains)
		}
	}
}

func sameOperands(trace cot.Trace, p task.Problem) bool {
	for i, s := range trace.Steps {
		if s.Operand != p.Operands[i] {
			return false
		}
	}
	return true
}

func TestRewards(t *testing.T) {
	spec := builtin(t, "default")
	r := newRunner(t, spec)
	funcs := r.rewards(&GRPOStage{Problems: coreSet})
	src := rng.New(4)
	prompt := r.prompts(&GRPOStage{Problems: coreSet})(&src)
	p := prompt.Data.(task.Problem)
	if prompt.ID != p.ID() || r.tokenizer.Decode(prompt.Tokens) != p.Prompt(task.Steps) {
		t.Errorf("prompt %s is %s", prompt.ID, r.tokenizer.Decode(prompt.Tokens))
	}
	right := r.rollout(prompt, p.Chain(cot.Wordings()[0])+" "+cot.End)
	wrong := r.rollout(prompt, cot.RenderDirect((p.Answer()+1)%p.Modulus)+" "+cot.End)
	if got := funcs["correct"](right, &src); len(got) != 1 || got[0].Value != 1 || got[0].At != len(right.Turns[0].Tokens)-1 {
		t.Errorf("a right chain earns %v", got)
	}
	if got := funcs["correct"](wrong, &src); len(got) != 0 {
		t.Errorf("a wrong answer earns %v", got)
	}
	heads := 0
	for i := range 2000 {
		s := src.SplitN("coin", i)
		heads += len(funcs["random"](wrong, &s))
	}
	if heads < 880 || heads > 1120 {
		t.Errorf("the coin falls on heads %d times of 2000", heads)
	}
	world := spec.Planning["delay-2"]
	funcs = r.rewards(&GRPOStage{Planning: "delay-2"})
	page := world.Page(&src)
	got := funcs["planning"](r.rollout(prompt, page.Body), &src)
	if want := world.Rewards(strings.Fields(strings.TrimSuffix(page.Body, " "+cot.End))); len(got) != len(want) || len(want) > 0 && (got[0].At != want[0].At || got[0].Value != want[0].Value) {
		t.Errorf("a page of the world earns %v, want %v", got, want)
	}
}

func (r *runner) rollout(prompt grpo.Prompt, text string) *grpo.Rollout {
	return &grpo.Rollout{Prompt: prompt, Turns: []grpo.Turn{{Context: prompt.Tokens, Tokens: r.encode(text)}}}
}

// heldOut is what is not trained on of the sums of two digits modulo 7.
const heldOut = `0+4%7 validation
0+6%7 validation
2+2%7 validation
2+6%7 validation
3+4%7 validation
3+5%7 test
3+8%7 test
4+1%7 test
4+2%7 validation
4+4%7 test
4+8%7 validation
5+0%7 validation
5+2%7 test
6+5%7 validation
7+0%7 test
7+5%7 test
8+1%7 test
8+2%7 test
8+7%7 test
`
