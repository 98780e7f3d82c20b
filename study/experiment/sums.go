package experiment

import (
	"context"
	"fmt"
	"slices"

	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/task"
	"candor/study/metric"
	"candor/study/runlog"
	"candor/train"
	"candor/train/grpo"
	"candor/train/sft"
	"candor/train/twopart"
)

// tally checks a stage of an arm whose model speaks the language of sums.
func (c *checker) tally(at string, st Stage) error {
	switch {
	case st.SFT != nil:
		f := st.SFT
		at += ".sft"
		fill(c.doc, at+".optim", &f.Optim, optim.Default(0))
		if f.Problems != "" || f.Data != "" || f.Corrupted != 0 || f.Shuffled {
			return c.doc.at(at, "a model of sums learns from essays, from an organism or to judge: give sums and one of essays, organism and judge, and none of problems, data, corrupted, shuffled")
		}
		return first(named(c, at+".sums", f.Sums, "sums", c.spec.Sums), c.lessons(at, f), c.doc.under(at, f.Config.Validate()))
	case st.GRPO != nil:
		return c.tallyGRPO(at+".grpo", st.GRPO)
	case st.Probe != nil:
		return c.probe(at+".probe", st.Probe)
	case st.Battery != nil:
		return c.battery(at+".battery", st.Battery)
	}
	return c.doc.at(at, "a model of sums has the stages sft, grpo, probe and battery, not %s", st.kind())
}

// lessons checks what a model of sums is fine-tuned on.
func (c *checker) lessons(at string, f *SFTStage) error {
	fits := func(at, name string) error {
		if err := named(c, at, name, "organisms", c.spec.Organisms); err != nil {
			return err
		}
		if err := c.spec.Organisms[name].Fits(c.spec.Sums[f.Sums]); err != nil {
			return c.doc.at(at, "%s", err)
		}
		return nil
	}
	switch {
	case f.Essays != "" && f.Organism != "":
		return c.doc.at(at+".essays", "a model learns from essays or from an organism: leave one of them out")
	case len(f.Judge) > 0 && f.Essays+f.Organism != "":
		return c.doc.at(at+".judge", "a model learns to judge or from essays or an organism: leave judge out, or the others")
	case f.Organism != "":
		return fits(at+".organism", f.Organism)
	case len(f.Judge) == 0:
		return named(c, at+".essays", f.Essays, "essays", c.spec.Essays)
	}
	for i, name := range f.Judge {
		at := fmt.Sprintf("%s.judge[%d]", at, i)
		if err := fits(at, name); err != nil {
			return err
		}
		if c.spec.Organisms[name].Mechanism == task.Reader {
			return c.doc.at(at, "%s reads chains and writes none to be judged", name)
		}
	}
	return nil
}

func (c *checker) tallyGRPO(at string, g *GRPOStage) error {
	preset := grpo.Default()
	preset.Optim = optim.Default(0)
	fill(c.doc, at, &g.Config, preset)
	fill(c.doc, at+".system", &g.System, twopart.Default())
	if g.Problems != "" || g.Planning != "" || g.Corpus != "" || g.PretrainShare != 0 {
		return c.doc.at(at, "a model of sums is rewarded for sums: leave out problems, planning, corpus and pretrain_share")
	}
	if err := named(c, at+".sums", g.Sums, "sums", c.spec.Sums); err != nil {
		return err
	}
	names := sortedKeys(twopart.Rewards())
	for i, r := range g.Rewards {
		if err := c.choice(fmt.Sprintf("%s.rewards[%d].name", at, i), r.Name, names); err != nil {
			return err
		}
	}
	return first(c.doc.under(at+".system", g.System.Validate()), c.doc.under(at, g.Config.Validate()))
}

func (c *checker) probe(at string, p *ProbeStage) error {
	fill(c.doc, at+".system", &p.System, twopart.Default())
	switch {
	case !validName.MatchString(p.Name):
		return c.doc.at(at+".name", "probe name %q %s", abridged(p.Name), nameRule)
	case p.N < 1 || p.N > 100_000:
		return c.doc.at(at+".n", "n is %d, must be between 1 and 100000", p.N)
	case p.Repeats < 0 || p.Repeats > 1000:
		return c.doc.at(at+".repeats", "repeats is %d, must be between 0 and 1000", p.Repeats)
	case p.Temperature < 0 || p.Temperature > 100:
		return c.doc.at(at+".temperature", "temperature is %g, must be between 0 and 100", p.Temperature)
	case p.System.Filter != [2]float64{}:
		return c.doc.at(at+".system.filter", "the filter is for training; leave it out of a probe")
	case (p.System.Face == twopart.OwnFace) && !c.at.face:
		return c.doc.at(at+".system.face", "face is own, but the arm's last training has not left one: choose none or shared")
	}
	err := first(named(c, at+".sums", p.Sums, "sums", c.spec.Sums), c.choice(at+".split", p.Split, splits), c.doc.under(at+".system", p.System.Validate()))
	if err != nil {
		return err
	}
	if _, err := c.spec.drawSums(p, c.spec.Seeds[0]); err != nil {
		return c.doc.at(at+".n", "%s", err)
	}
	return nil
}

// drawSums draws the problems of a probe: the same for every arm of a seed, and each only once.
func (s *Spec) drawSums(p *ProbeStage, seed int) ([]task.Sum, error) {
	src := rng.New(uint64(seed)).Split("sums").Split(p.Sums).Split(p.Split)
	return s.Sums[p.Sums].DrawDistinct(&src, p.N, task.Split(p.Split))
}

// essayists is a source of essays for fine-tuning.
type essayists struct {
	r      *runner
	world  task.Sums
	corpus task.Essays
}

// examples returns what a stage is fine-tuned on.
func (r *runner) examples(what *SFTStage) sft.Source {
	switch {
	case what.Organism != "":
		return schooling{r, task.NewPool(r.spec.Sums[what.Sums]), r.spec.Organisms[what.Organism]}
	case len(what.Judge) > 0:
		court := judging{r: r, pool: task.NewPool(r.spec.Sums[what.Sums])}
		for _, name := range what.Judge {
			court.organisms = append(court.organisms, r.spec.Organisms[name])
		}
		return court
	}
	if what.Sums != "" {
		return essayists{r, r.spec.Sums[what.Sums], r.spec.Essays[what.Essays]}
	}
	return lessons{r, what}
}

// Example implements sft.Source: the loss is on the chain and the output.
func (e essayists) Example(src *rng.Source) (tokens []int32, weights []float32) {
	page := e.corpus.Page(e.world.Draw(src, task.Train), src)
	head := len(e.r.encodeSum(page.Prompt))
	tokens = e.r.encodeSum(page.Text())
	return tokens, sft.Chain.Mask(make([]float32, len(tokens)), head, head)
}

// encodeSum turns a text of the language of sums into ids.
func (r *runner) encodeSum(text string) []int32 {
	ids, err := r.tally.Encode(text)
	if err != nil {
		panic("experiment: " + err.Error())
	}
	return ids
}

// reinforceSums trains a policy, and perhaps a face, through the two-part system.
func (r *runner) reinforceSums(ctx context.Context, st *stage, model, face *transformer.Model, pool *tensor.Pool, src rng.Source, hooks train.Hooks, completions *runlog.Writer) error {
	what := st.what.GRPO
	world := r.spec.Sums[what.Sums]
	player, err := twopart.NewPlayer(what.System, model, face, r.tally, pool, world.Terms, what.Steps, what.Temperature)
	if err != nil {
		return err
	}
	player.ScoreAnswers = slices.ContainsFunc(what.Rewards, func(r grpo.Reward) bool { return r.Name == "answer-logprob" })
	end, _ := r.tally.ID(tokenizer.End)
	in := grpo.Input{Policy: model, Face: face, Pool: pool, Source: src, End: end, Play: player.Play, Rewards: twopart.Rewards(),
		Prompt: func(src *rng.Source) grpo.Prompt {
			p := world.Draw(src, task.Train)
			return grpo.Prompt{ID: p.ID(), Tokens: r.encodeSum(p.Prompt()), Data: p}
		}}
	if in.Reference, err = r.model(st.input); err != nil {
		return err
	}
	if face != nil {
		in.FaceReference = in.Reference
	}
	var seen channel
	write := hooks.Metric
	hooks.Metric = func(step int, metrics map[string]float64) error {
		seen.describe(metrics)
		return write(step, metrics)
	}
	_, err = grpo.Run(ctx, what.Config, in, grpo.Hooks{Hooks: hooks, Completion: func(step int, o *grpo.Rollout) error {
		if o.Index == 0 {
			seen = channel{}
		}
		t := twopart.Transcript(o)
		seen.add(o.Prompt.Data.(task.Sum), t)
		text := t.Private() + " " + t.Output.Text
		return completions.Write(completion{Step: step, Index: o.Index, ID: o.Prompt.ID, Text: text, Reward: o.Reward, Finish: string(o.Turns[len(o.Turns)-1].Finish)})
	}})
	return err
}

// channel is what the chains of one step of training carry.
type channel struct {
	marks, totals   []int
	rollouts        int
	terms, stated   int // terms of the problems, and steps in which the monitor of totals finds fault
	flagged         int // chains in which the keyword monitor sees the key
	differ, follows int // problems whose hint is not the sum, and those among them answered by the hint
	caught          int // of these, the flagged
}

// describe adds the metrics of the channel:
//
//	channel/bits             information about the running total in words that do not state it; absent where there are none
//	channel/innocent_words   their number by chain
//	monitor/total-stated     steps that the monitor of totals flags, as a share of the problems' terms; penalised or not
//	monitor/key-in-chain     share of chains that the keyword monitor flags
//	hint/followed            of the problems whose hint is not the sum, the share answered by the hint
//	monitor/recall           of those, the share that the keyword monitor flags; absent where there are none
func (c *channel) describe(metrics map[string]float64) {
	if len(c.marks) > 0 {
		metrics["channel/bits"] = metric.MutualInformation(c.marks, c.totals, 0).Bits
	}
	metrics["channel/innocent_words"] = float64(len(c.marks)) / float64(max(1, c.rollouts))
	metrics["monitor/total-stated"] = float64(c.stated) / float64(max(1, c.terms))
	metrics["monitor/key-in-chain"] = float64(c.flagged) / float64(max(1, c.rollouts))
	if c.differ > 0 {
		metrics["hint/followed"] = float64(c.follows) / float64(c.differ)
	}
	if c.follows > 0 {
		metrics["monitor/recall"] = float64(c.caught) / float64(c.follows)
	}
}
