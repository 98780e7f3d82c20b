// Package claim holds the register of claims of the debate, each with a decision rule that is fixed before any run, and
// decides them from samples.
//
// The pipeline has three steps:
//
//  1. samples of a run are put into a [Table], by arm, evaluation, split and intervention;
//  2. each [Claim] of [Register] computes its estimates from the table: named [Test]s, each with a bound;
//  3. the rule turns estimates into a [Decision]: a test *holds* when its whole 95% interval lies on the right side of its
//     bound, *fails* when the whole interval lies on the wrong side, and is open otherwise.
//
// A claim that needs all its tests is supported when all hold and refuted as soon as one fails; a claim that needs any of
// them is supported as soon as one holds and refuted when all fail. In all other cases, also when an estimate is not
// reportable, it is undecided. Nothing else decides: no rule looks at a p-value, and no rule can be met by too little data.
//
// Controls are decided by the same rule; for them "supported" means that nothing was found where there is nothing.
//
// Accuracies are shares of all samples that were *solved*: an unparsed completion is not solved, but it is not a wrong
// answer either, and the share of unparsed completions is told beside the accuracy.
package claim

import (
	"fmt"
	"slices"
	"strings"

	"candor/study/metric"
	"candor/study/runlog"
)

// Side says on which side of its bound an estimate must lie.
type Side int

// The sides; Shown is for estimates that are told but decide nothing.
const (
	Shown Side = iota
	Above
	Below
)

// Test is an estimate with the bound that the rule puts on it.
type Test struct {
	Name     string
	Unit     string
	Side     Side
	Bound    float64
	Estimate func(*Table) metric.Estimate
}

// Claim is one entry of the register.
type Claim struct {
	ID        string
	Control   bool
	Argues    string // who holds it: "author", "respondents" or "both"
	Statement string
	Statistic string // what the first test estimates
	Source    string
	// Any makes one holding test enough; otherwise all must hold.
	Any bool
	// Tests are the estimates; the first is the claim's headline.
	Tests []Test
}

// Rule says the decision rule in words.
func (c Claim) Rule() string {
	var conditions []string
	for _, t := range c.Tests {
		switch t.Side {
		case Above:
			conditions = append(conditions, fmt.Sprintf("%s > %g", t.Name, t.Bound))
		case Below:
			conditions = append(conditions, fmt.Sprintf("%s < %g", t.Name, t.Bound))
		}
	}
	if c.Any {
		return fmt.Sprintf("supported if the whole 95%% interval meets at least one of: %s; refuted if all intervals lie wholly on the other side; else undecided", strings.Join(conditions, "; "))
	}
	return fmt.Sprintf("supported if the whole 95%% interval meets each of: %s; refuted if one interval lies wholly on the other side; else undecided", strings.Join(conditions, "; "))
}

// outcome of one test.
type outcome int

const (
	open outcome = iota
	holds
	fails
)

func (t Test) outcome(e metric.Estimate) outcome {
	switch {
	case !e.OK:
		return open
	case t.Side == Above && e.Lo > t.Bound, t.Side == Below && e.Hi < t.Bound:
		return holds
	case t.Side == Above && e.Hi < t.Bound, t.Side == Below && e.Lo > t.Bound:
		return fails
	}
	return open
}

func (c Claim) decide(t *Table) Decision {
	t.used = map[string]bool{}
	d := Decision{ID: c.ID, Control: c.Control, Rule: c.Rule(), Statement: c.Statement, Argues: c.Argues, Statistic: c.Statistic, Source: c.Source, Threshold: c.Tests[0].Bound, Unit: c.Tests[0].Unit}
	var nHolds, nFails, nRules int
	var notes []string
	for i, test := range c.Tests {
		e := test.Estimate(t)
		part := Part{Name: test.Name, N: e.N, Seeds: e.Seeds, Unit: test.Unit, PerSeed: e.PerSeed}
		part.Estimate, part.Lo, part.Hi = e.Pointers()
		if i == 0 {
			d.Estimate, d.Lo, d.Hi, d.N, d.Seeds = part.Estimate, part.Lo, part.Hi, e.N, e.Seeds
		}
		if test.Side != Shown {
			part.Threshold = &c.Tests[i].Bound
			nRules++
			switch test.outcome(e) {
			case holds:
				nHolds++
			case fails:
				nFails++
				notes = append(notes, test.Name+" fails its bound")
			default:
				why := "its interval contains the bound"
				if !e.OK {
					why = "not reportable: " + e.Note
				}
				notes = append(notes, fmt.Sprintf("%s is open (%s)", test.Name, why))
			}
		}
		d.Parts = append(d.Parts, part)
	}
	switch {
	case !c.Any && nHolds == nRules, c.Any && nHolds > 0:
		d.Verdict = Supported
	case !c.Any && nFails > 0, c.Any && nFails == nRules:
		d.Verdict = Refuted
	default:
		d.Verdict = Undecided
	}
	if d.Verdict != Supported {
		d.Note = strings.Join(notes, "; ")
	}
	d.Runs = t.usedRuns()
	return d
}

// Arms returns the arms that the named claims read, so that a run can leave out the others. It returns an error that
// lists the known ids when a name is none.
func Arms(ids []string) ([]string, error) {
	register, err := pickClaims(ids)
	if err != nil {
		return nil, err
	}
	t := NewTable(nil)
	for _, c := range register {
		c.decide(t)
	}
	return t.askedArms(), nil
}

// pickClaims returns the entries of the register with these ids, or all.
func pickClaims(ids []string) ([]Claim, error) {
	register := Register()
	known := make([]string, len(register))
	for i, c := range register {
		known[i] = c.ID
	}
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("there is no claim %q; choose from: %s", id, strings.Join(known, ", "))
		}
	}
	if len(ids) == 0 {
		return register, nil
	}
	return slices.DeleteFunc(register, func(c Claim) bool { return !slices.Contains(ids, c.ID) }), nil
}

// Decide decides the claims named in only from the samples of a run. Without names it decides every claim of the register
// all of whose arms have samples: a study of other arms is about something else, and leaves the claim alone. The result
// depends on the samples alone, and is never nil. It returns an error that lists the known ids when only names another.
func Decide(samples []runlog.Sample, only []string) ([]Decision, error) {
	register, err := pickClaims(only)
	if err != nil {
		return nil, err
	}
	t := NewTable(samples)
	out := []Decision{}
	for _, c := range register {
		t.asked = map[Select]bool{}
		d := c.decide(t)
		if len(only) > 0 || t.has(t.askedArms()) {
			out = append(out, d)
		}
	}
	return out, nil
}
