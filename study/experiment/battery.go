package experiment

import (
	"context"
	"fmt"
	"slices"

	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/reasoning/task"
	"candor/study/eval"
	"candor/study/runlog"
)

// schooling is a source of lessons that make an organism.
type schooling struct {
	r        *runner
	pool     task.Pool
	organism task.Organism
}

// Example implements sft.Source.
func (s schooling) Example(src *rng.Source) (tokens []int32, weights []float32) {
	return s.r.lesson(s.organism.Example(s.organism.Draw(s.pool, src), src))
}

// judging is a source of lessons that make a judge of chains.
type judging struct {
	r         *runner
	pool      task.Pool
	organisms []task.Organism
}

// Example implements sft.Source.
func (j judging) Example(src *rng.Source) (tokens []int32, weights []float32) {
	organism := j.organisms[src.IntN(len(j.organisms))]
	return j.r.lesson(organism.Judgment(j.pool.Judged(src), src))
}

// lesson is a lesson as tokens with their loss weights.
func (r *runner) lesson(lesson task.Lesson) (tokens []int32, weights []float32) {
	tokens = r.encodeSum(lesson.Text())
	weights = make([]float32, len(tokens))
	if n := copy(weights[len(tokens)-len(lesson.Weights):], lesson.Weights); n != len(lesson.Weights) {
		panic(fmt.Sprintf("experiment: a lesson of %d tokens has %d weights", len(tokens), len(lesson.Weights)))
	}
	return tokens, weights
}

func (c *checker) battery(at string, b *BatteryStage) error {
	switch {
	case !validName.MatchString(b.Name):
		return c.doc.at(at+".name", "battery name %q %s", abridged(b.Name), nameRule)
	case b.N < 2 || b.N > 10_000:
		return c.doc.at(at+".n", "n is %d, must be between 2 and 10000", b.N)
	case b.Temperature < 0 || b.Temperature > 100:
		return c.doc.at(at+".temperature", "temperature is %g, must be between 0 and 100", b.Temperature)
	}
	reads := func(at, role, arm string) error {
		if reader := c.models[arm]; !reader.model || reader.language != tallyLanguage || reader.fewer(c.at.seeds) {
			return c.doc.at(at, "%s: no arm before this one is called %q, speaks of sums and runs for all of this arm's seeds; there are: %s",
				role, abridged(arm), list(c.readers()))
		}
		return nil
	}
	if b.Reader != "" {
		if err := reads(at+".reader", "reader", b.Reader); err != nil {
			return err
		}
	}
	for _, family := range sortedKeys(b.Judges) {
		at := at + ".judges." + family
		if !validName.MatchString(family) {
			return c.doc.at(at, "family %q %s", abridged(family), nameRule)
		}
		if err := reads(at, "judge", b.Judges[family]); err != nil {
			return err
		}
	}
	if err := named(c, at+".sums", b.Sums, "sums", c.spec.Sums); err != nil {
		return err
	}
	if b.Organism != "" {
		if err := named(c, at+".organism", b.Organism, "organisms", c.spec.Organisms); err != nil {
			return err
		}
	}
	if _, err := c.spec.drawJudged(b, c.spec.Seeds[0]); err != nil {
		return c.doc.at(at+".n", "%s", err)
	}
	return nil
}

// readers lists the arms so far that could read this one's chains.
func (c *checker) readers() []string {
	return slices.DeleteFunc(sortedKeys(c.models), func(arm string) bool {
		return c.models[arm].language != tallyLanguage || c.models[arm].fewer(c.at.seeds)
	})
}

// drawJudged draws the problems of a battery: the same for every arm of a seed, and each only once.
func (s *Spec) drawJudged(b *BatteryStage, seed int) ([]task.Sum, error) {
	if b.Organism == "" {
		src := rng.New(uint64(seed)).Split("judged").Split(b.Sums)
		return s.Sums[b.Sums].DrawDistinct(&src, b.N, task.Test)
	}
	src := rng.New(uint64(seed)).Split("pool").Split(b.Sums)
	return s.Sums[b.Sums].DrawPool(&src, b.N)
}

// battery runs the tests of faithfulness on a model, and looks inside.
func (r *runner) battery(ctx context.Context, st *stage, model *transformer.Model, pool *tensor.Pool) ([]runlog.Sample, error) {
	what := st.what.Battery
	problems, err := r.spec.drawJudged(what, st.seed)
	if err != nil {
		return nil, err
	}
	gen, err := decode.NewGenerator(model, r.tally, pool)
	if err != nil {
		return nil, err
	}
	b := eval.Battery{Name: what.Name, Split: string(task.Test), Temperature: what.Temperature}
	if what.Organism != "" {
		organism := r.spec.Organisms[what.Organism]
		b.Organism = &organism
	}
	other := func(st *stage) (llm.Generator, error) {
		m, err := r.model(st)
		if err != nil {
			return nil, err
		}
		return decode.NewGenerator(m, r.tally, pool)
	}
	if st.reader != nil {
		if b.Reader, err = other(st.reader); err != nil {
			return nil, err
		}
	}
	b.Judges = map[string]llm.Generator{}
	for family, judge := range st.judges {
		if b.Judges[family], err = other(judge); err != nil {
			return nil, err
		}
	}
	samples, err := b.Run(ctx, gen, problems, rng.New(uint64(st.seed)).Split("battery"))
	if err != nil {
		return nil, err
	}
	return samples, r.whiteBattery(model, samples, pool)
}
