package report

import (
	"cmp"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"

	"candor/study/claim"
	"candor/study/runlog"
)

// Bounds of what the reader carries.
const (
	maxSamples = 4000    // samples on the page
	maxText    = 3 << 20 // bytes of their texts
	maxBundle  = 200     // samples of one problem and seed
)

// data is the JSON block that the reader script reads. Lists of names are referred to by index.
type data struct {
	Arms          []string    `json:"arms"`
	Evals         []string    `json:"evals"`
	Splits        []string    `json:"splits"`
	Interventions []string    `json:"interventions"`
	Runs          []string    `json:"runs"`
	Values        []string    `json:"values"`
	Claims        []dataClaim `json:"claims"`
	Items         []*dataItem `json:"items"`
	// Total counts the run's samples, Shown those on the page.
	Total int `json:"total"`
	Shown int `json:"shown"`
}

// dataClaim tells which runs a claim was decided from.
type dataClaim struct {
	ID   string `json:"id"`
	Runs []int  `json:"runs"`
}

// dataItem is one problem as one arm and seed met it: the unedited sample and what became of it under interventions.
type dataItem struct {
	Arm     int        `json:"arm"`
	Seed    int        `json:"seed"`
	Eval    int        `json:"eval"`
	Split   int        `json:"split"`
	ID      string     `json:"id"`
	Problem string     `json:"problem"`
	Target  string     `json:"target"`
	Base    *dataText  `json:"base"` // null when the unedited sample is not in the run
	Edits   []dataText `json:"edits"`
}

// dataText is what was written.
type dataText struct {
	Intervention int     `json:"iv"`
	Run          int     `json:"run"`
	Prompt       string  `json:"prompt,omitempty"`
	Chain        string  `json:"chain"`
	Shown        string  `json:"shown,omitempty"` // the chain as it was rewritten for whoever read on
	Answer       string  `json:"answer"`
	Outcome      outcome `json:"outcome"`
	Original     string  `json:"original,omitempty"`
	Follows      string  `json:"follows,omitempty"`
	Values       []value `json:"values,omitempty"`
}

// value is one further measurement in words: the place of its name in data.Values, and its number.
type value [2]any

type outcome string

const (
	right    outcome = "right"
	wrong    outcome = "wrong"
	unparsed outcome = "unparsed"
)

func outcomeOf(s *runlog.Sample) outcome {
	switch {
	case !s.Parsed:
		return unparsed
	case s.Correct:
		return right
	}
	return wrong
}

// bundle is everything that all arms of one seed wrote on one problem: kept together so that arms can be read side by side.
type bundle struct {
	key     string
	hash    uint64
	samples []int
	text    int
}

// stratum is a kind of sample that the page wants to show.
type stratum struct {
	run, arm, eval, intervention string
	outcome                      outcome
}

func stratumOf(s *runlog.Sample) stratum {
	return stratum{s.Run, s.Arm, s.Eval, s.Intervention, outcomeOf(s)}
}

func (a stratum) compare(b stratum) int {
	return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.arm, b.arm), cmp.Compare(a.eval, b.eval),
		cmp.Compare(a.intervention, b.intervention), cmp.Compare(a.outcome, b.outcome))
}

// pick chooses the samples that the reader carries, at most limit of them with at most textLimit bytes of text, and
// returns their places. It takes whole bundles: first so that each combination of run, arm, measurement, intervention and
// outcome is shown once, beginning with the rarest, then twice, four and eight times, then others while there is room.
// Which bundle shows a combination is decided by a hash of the problem. The choice shows variety and is no random sample;
// shares must not be read off it. It does not depend on the order of samples, as long as each is unique.
func pick(samples []runlog.Sample, limit, textLimit int) []int {
	bundles := bundlesOf(samples)
	in := map[stratum][]int{} // the bundles that hold one
	for b := range bundles {
		for _, i := range bundles[b].samples {
			k := stratumOf(&samples[i])
			if n := len(in[k]); n == 0 || in[k][n-1] != b {
				in[k] = append(in[k], b)
			}
		}
	}
	strata := make([]stratum, 0, len(in))
	for k := range in {
		strata = append(strata, k)
	}
	slices.SortFunc(strata, func(a, b stratum) int { return cmp.Or(cmp.Compare(len(in[a]), len(in[b])), a.compare(b)) })

	seen := map[stratum]int{}
	taken := make([]bool, len(bundles))
	var out []int
	text := 0
	take := func(b int) {
		if taken[b] || len(out)+len(bundles[b].samples) > limit || text+bundles[b].text > textLimit {
			return
		}
		taken[b] = true
		text += bundles[b].text
		for _, i := range bundles[b].samples {
			seen[stratumOf(&samples[i])]++
		}
		out = append(out, bundles[b].samples...)
	}
	for _, want := range []int{1, 2, 4, 8} {
		for _, k := range strata {
			for _, b := range in[k] {
				if seen[k] >= want {
					break
				}
				take(b)
			}
		}
	}
	for b := range bundles {
		take(b)
	}
	return out
}

// bundlesOf groups the first repeat of every sample by split, problem and seed, in the order of the keys' hashes.
func bundlesOf(samples []runlog.Sample) []bundle {
	byKey := map[string]int{}
	var bundles []bundle
	for i := range samples {
		s := &samples[i]
		if s.Repeat > 0 {
			continue
		}
		key := s.Split + "\x00" + s.ID + "\x00" + strconv.Itoa(s.Seed)
		b, ok := byKey[key]
		if !ok {
			h := fnv.New64a()
			io.WriteString(h, key) // never fails
			b = len(bundles)
			byKey[key] = b
			bundles = append(bundles, bundle{key: key, hash: h.Sum64()})
		}
		bundles[b].samples = append(bundles[b].samples, i)
	}
	for i := range bundles {
		b := &bundles[i]
		slices.SortFunc(b.samples, func(x, y int) int { return compareSamples(&samples[x], &samples[y]) })
		if len(b.samples) > maxBundle {
			b.samples = b.samples[:maxBundle]
		}
		for _, k := range b.samples {
			s := &samples[k]
			b.text += min(len(s.Chain), 4*maxRunes) + min(len(s.Shown), 4*maxRunes) + min(len(s.Problem), 4*maxRunes) + min(len(s.Prompt), 4*maxRunes)
		}
	}
	slices.SortFunc(bundles, func(x, y bundle) int {
		return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.key, y.key))
	})
	return bundles
}

func compareSamples(x, y *runlog.Sample) int {
	return cmp.Or(cmp.Compare(x.Arm, y.Arm), cmp.Compare(x.Eval, y.Eval), cmp.Compare(x.Split, y.Split), cmp.Compare(x.ID, y.ID),
		cmp.Compare(x.Seed, y.Seed), cmp.Compare(x.Intervention, y.Intervention), cmp.Compare(x.Run, y.Run),
		cmp.Compare(x.Chain, y.Chain), cmp.Compare(x.Answer, y.Answer))
}

// index numbers names in the order in which they are first met.
type index struct {
	names []string
	of    map[string]int
}

func (x *index) number(name string) int {
	if x.of == nil {
		x.of = map[string]int{}
	}
	i, ok := x.of[name]
	if !ok {
		i = len(x.names)
		x.of[name] = i
		x.names = append(x.names, name)
	}
	return i
}

// newData builds the reader's data from a clean input. Items are sorted by arm (in order), measurement, split, then problem as picked.
func newData(in Input, order func(a, b string) bool) data {
	picked := pick(in.Samples, maxSamples, maxText)
	rank := make(map[string]int, len(picked)) // a problem's place among the picked: keeps the hash's mix of problems
	for _, i := range picked {
		if _, ok := rank[in.Samples[i].ID]; !ok {
			rank[in.Samples[i].ID] = len(rank)
		}
	}
	slices.SortStableFunc(picked, func(x, y int) int {
		a, b := &in.Samples[x], &in.Samples[y]
		switch {
		case order(a.Arm, b.Arm):
			return -1
		case order(b.Arm, a.Arm):
			return 1
		}
		return cmp.Or(cmp.Compare(a.Eval, b.Eval), cmp.Compare(a.Split, b.Split), cmp.Compare(rank[a.ID], rank[b.ID]), compareSamples(a, b))
	})
	var arms, evals, splits, interventions, runs, values index
	var names []string
	for _, i := range picked {
		if !slices.Contains(names, in.Samples[i].Intervention) {
			names = append(names, in.Samples[i].Intervention)
		}
	}
	sortInterventions(names)
	for _, n := range names {
		interventions.number(n)
	}
	type key struct {
		arm, eval, split, id string
		seed                 int
	}
	out := data{Total: len(in.Samples), Shown: len(picked), Claims: []dataClaim{}, Items: []*dataItem{}}
	items := map[key]*dataItem{}
	for _, i := range picked {
		s := &in.Samples[i]
		k := key{s.Arm, s.Eval, s.Split, s.ID, s.Seed}
		it := items[k]
		if it == nil {
			it = &dataItem{
				Arm: arms.number(s.Arm), Seed: s.Seed, Eval: evals.number(s.Eval), Split: splits.number(s.Split),
				ID: s.ID, Problem: visible(s.Problem), Target: visible(s.Target), Edits: []dataText{},
			}
			items[k] = it
			out.Items = append(out.Items, it)
		}
		t := newText(s, interventions.number(s.Intervention), runs.number(s.Run), &values)
		if s.Intervention == unedited && it.Base == nil {
			it.Base = &t
		} else {
			if it.Base != nil && it.Base.Prompt == t.Prompt {
				t.Prompt = "" // said once
			}
			it.Edits = append(it.Edits, t)
		}
	}
	for _, it := range out.Items {
		slices.SortStableFunc(it.Edits, func(a, b dataText) int { return cmp.Compare(a.Intervention, b.Intervention) })
	}
	for _, d := range in.Decisions {
		if c, ok := newDataClaim(d, &runs); ok {
			out.Claims = append(out.Claims, c)
		}
	}
	out.Arms, out.Evals, out.Splits, out.Interventions, out.Runs, out.Values = arms.names, evals.names, splits.names, interventions.names, runs.names, values.names
	return out
}

// newDataClaim keeps the runs of a claim that the picked samples are from; ok is false if there are none.
func newDataClaim(d claim.Decision, runs *index) (c dataClaim, ok bool) {
	c.ID = d.ID
	for _, r := range d.Runs {
		if i, known := runs.of[r]; known {
			c.Runs = append(c.Runs, i)
		}
	}
	return c, len(c.Runs) > 0
}

func newText(s *runlog.Sample, intervention, run int, values *index) dataText {
	t := dataText{
		Intervention: intervention, Run: run, Prompt: visible(s.Prompt), Chain: visible(s.Chain), Shown: visible(s.Shown), Answer: visible(s.Answer),
		Outcome: outcomeOf(s), Original: visible(s.Original), Follows: visible(s.Follows),
	}
	for _, name := range slices.Sorted(maps.Keys(s.Values)) {
		text := "not a number"
		if v := s.Values[name]; isFinite(v) {
			text = number(v, false)
		}
		t.Values = append(t.Values, value{values.number(oneLine(name)), text})
	}
	return t
}
