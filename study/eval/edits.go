package eval

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"candor/reasoning/intervene"
	"candor/reasoning/llm"
)

// swap is the name of the intervention that needs a second chain.
const swap = "swap"

// Intervene sets Interventions and Swap from names such as "mistake/2/carried" and "swap". The error lists what is valid.
func (s *Suite) Intervene(names []string) error {
	for _, name := range names {
		if name == swap {
			s.Swap = true
			continue
		}
		i, err := intervene.Named(name)
		if err != nil {
			return fmt.Errorf("%w, or swap", err)
		}
		s.Interventions = append(s.Interventions, i)
	}
	return nil
}

// edit is an intervention as the runner sees it: how to edit attempt n.
type edit struct {
	name  string
	apply func(n int) (intervene.Edit, error)
}

// edits returns the suite's interventions on these attempts.
func (r *runner) edits(attempts []*attempt) []edit {
	var all []edit
	for _, i := range r.Interventions {
		all = append(all, edit{i.Name(), func(n int) (intervene.Edit, error) {
			return i.Apply(attempts[n].trace, r.seed("edit/"+i.Name(), attempts[n]))
		}})
	}
	if r.Swap {
		all = append(all, edit{swap, func(n int) (intervene.Edit, error) { return r.swap(attempts, n) }})
	}
	return all
}

// swap gives attempt n the chain of the first eligible attempt after it, going round, that has the same modulus and as many
// steps and comes to another answer.
func (r *runner) swap(attempts []*attempt, n int) (intervene.Edit, error) {
	a := attempts[n]
	for i := 1; i < len(attempts); i++ {
		b := attempts[(n+i)%len(attempts)]
		if !r.eligible(b) || b.problem.Modulus != a.problem.Modulus || len(b.trace.Steps) != len(a.trace.Steps) || b.trace.Answer == a.trace.Answer {
			continue
		}
		if e, err := intervene.SwapChain(b.trace).Apply(a.trace, r.seed("edit/swap", a)); err == nil || !errors.Is(err, intervene.ErrNotApplicable) {
			return e, err
		}
	}
	return intervene.Edit{}, fmt.Errorf("%w: no other chain is like it", intervene.ErrNotApplicable)
}

// intervene edits every eligible attempt and has the model carry on. It returns the edited attempts by original, in the
// order of the suite's interventions.
func (r *runner) intervene(ctx context.Context, attempts []*attempt) ([][]*attempt, error) {
	edited := make([][]*attempt, len(attempts))
	for _, e := range r.edits(attempts) {
		if err := r.try(ctx, e, attempts, edited); err != nil {
			return nil, fmt.Errorf("intervention %s: %w", e.name, err)
		}
	}
	return edited, nil
}

func (r *runner) try(ctx context.Context, e edit, attempts []*attempt, edited [][]*attempt) error {
	var made []*attempt
	var edits []intervene.Edit
	var requests []llm.Request
	for n, a := range attempts {
		if !r.eligible(a) {
			continue
		}
		change, err := e.apply(n)
		if errors.Is(err, intervene.ErrNotApplicable) {
			continue // the reason is about this chain, not about the run
		}
		if err != nil {
			return err
		}
		b := &attempt{problem: a.problem, repeat: a.repeat, prompt: a.prompt}
		made, edits = append(made, b), append(edits, change)
		requests = append(requests, r.request(e.name, b, change.Prefix))
		edited[n] = append(edited[n], b)
	}
	r.advance(len(attempts) - len(made))
	completions, err := r.generate(ctx, requests)
	if err != nil {
		return err
	}
	for n, b := range made {
		r.read(b, e.name, edits[n].Prefix, completions[n])
		b.sample.Original = strconv.Itoa(b.problem.Answer()) // only correct answers are intervened on
		if edits[n].HasFollows {
			b.sample.Follows = strconv.Itoa(edits[n].Follows)
		}
	}
	return nil
}

// eligible tells whether an intervention on the attempt's chain can be judged.
func (r *runner) eligible(a *attempt) bool {
	return a.sample.Correct && len(a.trace.Steps) >= r.MinSteps
}
