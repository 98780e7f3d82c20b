package experiment

import (
	"context"
	"fmt"
	"slices"

	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/task"
	"candor/study/eval"
	"candor/study/runlog"
)

// schooling is a source of lessons that make an organism.
type schooling struct {
	r        *runner
	world    task.Sums
	organism task.Organism
}

// Example implements sft.Source.
func (s schooling) Example(src *rng.Source) (tokens []int32, weights []float32) {
	lesson := s.organism.Example(s.organism.Draw(s.world, src), src)
	tokens = s.r.encodeSum(lesson.Text())
	weights = make([]float32, len(tokens))
	if n := copy(weights[len(tokens)-len(lesson.Weights):], lesson.Weights); n != len(lesson.Weights) {
		panic(fmt.Sprintf("experiment: a lesson of %d tokens has %d weights", len(tokens), len(lesson.Weights)))
	}
	return tokens, weights
}

func (c *checker) battery(at string, b *BatteryStage) error {
	reader := c.models[b.Reader]
	switch {
	case !validName.MatchString(b.Name):
		return c.doc.at(at+".name", "battery name %q %s", abridged(b.Name), nameRule)
	case b.N < 2 || b.N > 10_000:
		return c.doc.at(at+".n", "n is %d, must be between 2 and 10000", b.N)
	case b.Temperature < 0 || b.Temperature > 100:
		return c.doc.at(at+".temperature", "temperature is %g, must be between 0 and 100", b.Temperature)
	case b.Reader != "" && (!reader.model || reader.language != tallyLanguage || reader.fewer(c.at.seeds)):
		return c.doc.at(at+".reader", "reader: no arm before this one is called %q, speaks of sums and runs for all of this arm's seeds; there are: %s",
			abridged(b.Reader), list(c.readers()))
	}
	if err := named(c, at+".sums", b.Sums, "sums", c.spec.Sums); err != nil {
		return err
	}
	if b.Organism != "" {
		if err := named(c, at+".organism", b.Organism, "organisms", c.spec.Organisms); err != nil {
			return err
		}
	}
	if _, err := c.spec.drawPool(b, c.spec.Seeds[0]); err != nil {
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

// drawPool draws the problems of a battery: the same for every arm of a seed, and each only once.
func (s *Spec) drawPool(b *BatteryStage, seed int) ([]task.Sum, error) {
	src := rng.New(uint64(seed)).Split("pool").Split(b.Sums)
	return s.Sums[b.Sums].DrawPool(&src, b.N)
}

// battery runs the tests of faithfulness on a model.
func (r *runner) battery(ctx context.Context, st *stage, model *transformer.Model, pool *tensor.Pool) ([]runlog.Sample, error) {
	what := st.what.Battery
	problems, err := r.spec.drawPool(what, st.seed)
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
	if st.reader != nil {
		m, err := r.model(st.reader)
		if err != nil {
			return nil, err
		}
		if b.Reader, err = decode.NewGenerator(m, r.tally, pool); err != nil {
			return nil, err
		}
	}
	return b.Run(ctx, gen, problems, rng.New(uint64(st.seed)).Split("battery"))
}
