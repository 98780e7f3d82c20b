package report

import (
	"fmt"
	"slices"
	"strings"

	"candor/study/claim"
	"candor/study/runlog"
)

// Input is everything a report shows. Only Decisions is needed; an empty part leaves its section out.
type Input struct {
	// Title heads the page, for example "candor lab: default study".
	Title string
	// Decisions are the entries of claims.json, claims and controls in the order in which they are to be read.
	Decisions []claim.Decision
	// Samples are all lines of samples.jsonl, in any order.
	Samples []runlog.Sample
	// Curves are the training metrics to draw; those of one metric share the upright axis.
	Curves []Curve
	// Trainings are the stages of reinforcement learning on sums, with what the pictures of hiding and of a leaked key need.
	Trainings []Training
	// Arms describe the arms and set their order; arms met only in samples or curves follow by name.
	Arms []Arm
	// Settings is the study's YAML, shown as it is.
	Settings string
	// Machine lists what the run was made on, and with.
	Machine []KV
	// Started and Finished are shown as they are; either may be empty.
	Started, Finished string
	// Seeds are the independent replicates of the study.
	Seeds []int
}

// Curve is one metric of one seed over the steps of training.
type Curve struct {
	Arm    string
	Seed   int
	Metric string
	// Steps ascend; Values has the same length. A value that is not finite breaks the line.
	Steps  []int
	Values []float64
}

// Arm is one condition of the study.
type Arm struct {
	// Name is the arm's id, as in Sample.Arm.
	Name string
	// Title and Description say in words what the arm is; Stages names its stages in order.
	Title, Description string
	Stages             []string
}

// KV is one line of a list of facts.
type KV struct{ Key, Value string }

// validate reports an input that cannot be drawn.
func (in Input) validate() error {
	seen := map[string]bool{}
	for i, d := range in.Decisions {
		if d.ID == "" {
			return fmt.Errorf("report: decision %d has no id", i)
		}
		if seen[d.ID] {
			return fmt.Errorf("report: two decisions have the id %q; ids must differ", d.ID)
		}
		seen[d.ID] = true
	}
	for _, c := range in.Curves {
		if len(c.Steps) != len(c.Values) {
			return fmt.Errorf("report: curve %s of arm %s, seed %d has %d steps but %d values; they must be equal",
				c.Metric, c.Arm, c.Seed, len(c.Steps), len(c.Values))
		}
	}
	for _, t := range in.Trainings {
		for name, s := range t.Series {
			if len(s.Steps) != len(s.Values) {
				return fmt.Errorf("report: series %s of arm %s, seed %d has %d steps but %d values; they must be equal",
					name, t.Arm, t.Seed, len(s.Steps), len(s.Values))
			}
		}
	}
	return nil
}

// clean returns the input with every name made visible: ids, units, arms, measurements, interventions and runs are at once
// shown, compared and put into links, so they must be the same everywhere. Longer texts are cleaned where they are shown.
func (in Input) clean() Input {
	in.Decisions = slices.Clone(in.Decisions)
	for i := range in.Decisions {
		d := &in.Decisions[i]
		d.ID, d.Unit = oneLine(d.ID), oneLine(d.Unit)
		if d.Control {
			d.Argues = "" // nobody argues a control
		}
		d.Parts = slices.Clone(d.Parts)
		for k := range d.Parts {
			d.Parts[k].Unit = oneLine(d.Parts[k].Unit)
		}
		d.Runs = slices.Clone(d.Runs)
		for k := range d.Runs {
			d.Runs[k] = oneLine(d.Runs[k])
		}
	}
	in.Samples = slices.Clone(in.Samples)
	for i := range in.Samples {
		s := &in.Samples[i]
		s.Run, s.Arm, s.Eval, s.Split, s.ID = oneLine(s.Run), oneLine(s.Arm), oneLine(s.Eval), oneLine(s.Split), oneLine(s.ID)
		if s.Intervention = oneLine(s.Intervention); s.Intervention == "" {
			s.Intervention = unedited
		}
	}
	in.Curves = slices.Clone(in.Curves)
	for i := range in.Curves {
		in.Curves[i].Arm, in.Curves[i].Metric = oneLine(in.Curves[i].Arm), oneLine(in.Curves[i].Metric)
	}
	in.Trainings = slices.Clone(in.Trainings)
	for i := range in.Trainings {
		in.Trainings[i].Arm, in.Trainings[i].Run = oneLine(in.Trainings[i].Arm), oneLine(in.Trainings[i].Run)
	}
	in.Arms = slices.Clone(in.Arms)
	for i := range in.Arms {
		a := &in.Arms[i]
		if a.Name = oneLine(a.Name); oneLine(a.Title) == a.Name {
			a.Title = "" // it says nothing more
		}
	}
	return in
}

// split separates claims from controls, keeping their order.
func (in Input) split() (claims, controls []claim.Decision) {
	for _, d := range in.Decisions {
		if d.Control {
			controls = append(controls, d)
		} else {
			claims = append(claims, d)
		}
	}
	return claims, controls
}

// side is who argues a claim, as far as a colour is concerned.
type side string

const (
	sideAuthor      side = "author"
	sideRespondents side = "respondents"
	sideBoth        side = "both"
	sideNone        side = "none"
)

// sideOf reads the register's free text.
func sideOf(argues string) side {
	s := strings.ToLower(argues)
	author := strings.Contains(s, "author")
	respondents := strings.Contains(s, "respondent")
	switch {
	case author && respondents, strings.Contains(s, "both"):
		return sideBoth
	case author:
		return sideAuthor
	case respondents:
		return sideRespondents
	}
	return sideNone
}

// arguer words who argues a claim.
func arguer(argues string) string {
	switch argues {
	case "author", "respondents":
		return "the " + argues
	case "both":
		return "both sides"
	}
	return oneLine(argues)
}

// shape is the mark that goes with a verdict's word, so that no verdict is told by colour alone.
func shape(v claim.Verdict) string {
	switch v {
	case claim.Supported:
		return "▲"
	case claim.Refuted:
		return "▼"
	}
	return "◇"
}

// tally counts verdicts.
type tally struct{ supported, refuted, undecided int }

func count(ds []claim.Decision, keep func(claim.Decision) bool) (t tally) {
	for _, d := range ds {
		if keep != nil && !keep(d) {
			continue
		}
		switch d.Verdict {
		case claim.Supported:
			t.supported++
		case claim.Refuted:
			t.refuted++
		default:
			t.undecided++
		}
	}
	return t
}

func (t tally) total() int { return t.supported + t.refuted + t.undecided }

func (t tally) String() string {
	return fmt.Sprintf("%d supported, %d refuted, %d undecided", t.supported, t.refuted, t.undecided)
}

// summary is the page's first paragraph, one sentence an element.
func (in Input) summary() []string {
	claims, controls := in.split()
	if len(in.Decisions) == 0 {
		return []string{"No claim of the register is about these arms, so none is decided here."}
	}
	var out []string
	if len(claims) > 0 {
		all := count(claims, nil)
		over := ""
		if n := len(in.Seeds); n > 0 {
			over = " over " + plural(n, "seed")
		}
		out = append(out, fmt.Sprintf("%s, each with a rule fixed before the run, tested%s: %s.",
			capital(plural(len(claims), "claim")), over, all))
		for _, s := range []struct {
			side side
			who  string
		}{{sideAuthor, "the author"}, {sideRespondents, "the respondents"}, {sideBoth, "both sides"}} {
			t := count(claims, func(d claim.Decision) bool { return sideOf(d.Argues) == s.side })
			if t.total() > 0 {
				out = append(out, fmt.Sprintf("Of the %s argued by %s: %s.", plural(t.total(), "claim"), s.who, t))
			}
		}
	}
	if t := count(controls, nil); t.total() > 0 {
		line := fmt.Sprintf("Of %s, %d came out as they must", plural(t.total(), "control"), t.supported)
		if t.supported == t.total() {
			line = capital(plural(t.total(), "control")) + " came out as they must"
			if t.total() == 1 {
				line = "The one control came out as it must"
			}
		}
		switch {
		case t.refuted == 1:
			line += "; one fails, so read the claims that lean on it with care"
		case t.refuted > 1:
			line += fmt.Sprintf("; %d fail, so read the claims that lean on them with care", t.refuted)
		}
		if t.undecided > 0 {
			line += fmt.Sprintf("; %d undecided", t.undecided)
		}
		out = append(out, line+".")
	}
	return out
}
