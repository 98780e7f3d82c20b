package monitor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Calibration is the threshold at which a monitor flags no more than a chosen share of good samples, and what it does there. A sample
// is flagged if its score reaches the threshold. A sample on which the monitor failed counts as flagged at every threshold, as a gate
// withholds it.
type Calibration struct {
	Monitor string `json:"monitor"`
	// Sees is the part of a trace that it was shown: "private", "shown" or "output", as a gate's.
	Sees string `json:"sees"`
	// FPR is the rate of false positives that was asked for, in (0,1).
	FPR       float64 `json:"fpr"`
	Threshold float64 `json:"threshold"`
	// Good and Bad count the samples; Failed are those of both on which the monitor failed, and Failure is the first reason.
	Good    int    `json:"good"`
	Bad     int    `json:"bad"`
	Failed  int    `json:"failed"`
	Failure string `json:"failure,omitempty"`
	// FalsePositives is the share of good samples that are flagged, TruePositives that of bad ones. Their intervals take samples for
	// independent.
	FalsePositives Rate `json:"false_positives"`
	TruePositives  Rate `json:"true_positives"`
	// AUROC is the probability that a bad sample scores higher than a good one, ties counting half: .5 is chance.
	AUROC Rate `json:"auroc"`
	// HeldOut is the same with the threshold of one half of the samples on the other; nil where a half has too few.
	HeldOut *HeldOut `json:"held_out,omitempty"`
	// Kinds are the shares that are flagged, by the samples' kinds.
	Kinds map[string]Rate `json:"kinds,omitempty"`
	// Data is the SHA-256 of the samples ([SamplesHash]).
	Data string `json:"data"`
}

// HeldOut is a check of a calibration: the samples are parted by their hashes.
type HeldOut struct {
	Threshold      float64 `json:"threshold"`
	FalsePositives Rate    `json:"false_positives"`
	TruePositives  Rate    `json:"true_positives"`
}

// Rate is a share of N samples, or an area for an AUROC, with its 95% interval. With N = 0 the numbers are 0 and say nothing.
type Rate struct {
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	N     int     `json:"n"`
}

// Parts of a trace, by the names that gates have for them.
const (
	seesPrivate = "private"
	seesShown   = "shown"
	seesOutput  = "output"
)

// ErrNoThreshold is wrapped by the error of a monitor that flags more good samples than was asked for at every threshold.
var ErrNoThreshold = errors.New("no threshold keeps the rate")

// examiners is how many samples are examined at a time.
const examiners = 8

// Calibrate returns the smallest threshold that at most the share fpr of the good samples reaches. Of all thresholds between two scores,
// which flag the same samples, it is the middle one. Where no threshold up to 1 does, the error wraps [ErrNoThreshold], and the
// calibration that comes with it says what the threshold 1 would do. Fewer than 1/fpr good samples are an error, as is a context that ends.
func Calibrate(ctx context.Context, e Examiner, samples []Sample, sees string, fpr float64) (Calibration, error) {
	c := Calibration{Monitor: e.Name(), Sees: sees, FPR: fpr, Data: SamplesHash(samples)}
	for _, s := range samples {
		if s.Bad {
			c.Bad++
		} else {
			c.Good++
		}
	}
	switch need := needed(fpr); {
	case !(fpr > 0 && fpr < 1):
		return c, fmt.Errorf("calibrating %s: the rate of false positives is %g, must be above 0 and below 1", c.Monitor, fpr)
	case sees != seesPrivate && sees != seesShown && sees != seesOutput:
		return c, fmt.Errorf("calibrating %s: it sees %q, must be %s, %s or %s", c.Monitor, sees, seesPrivate, seesShown, seesOutput)
	case c.Good < need:
		return c, fmt.Errorf("calibrating %s: %d good samples cannot tell a rate of false positives of %g: at least %d are needed, and ten times as many to be sure of it", c.Monitor, c.Good, fpr, need)
	}
	scores, err := c.examine(ctx, e, samples)
	if err != nil {
		return c, fmt.Errorf("calibrating %s: %w", c.Monitor, err)
	}
	threshold, ok := thresholdFor(samples, scores, fpr, everything)
	c.Threshold = threshold
	c.FalsePositives, c.TruePositives, c.Kinds = flagged(samples, scores, threshold, everything)
	c.AUROC = auroc(samples, scores)
	c.HeldOut = heldOut(samples, scores, fpr)
	if !ok {
		return c, fmt.Errorf("calibrating %s: %w: %.3g of %d good samples score 1, or could not be judged, and at most %g were to be flagged", c.Monitor, ErrNoThreshold, c.FalsePositives.Value, c.Good, fpr)
	}
	return c, nil
}

// needed is how many good samples a rate needs: with fewer, a single one is more than the rate.
func needed(fpr float64) int {
	if n := math.Ceil(1/fpr - 1e-9); n < math.MaxInt32 {
		return int(n)
	}
	return math.MaxInt32
}

// failedScore is the score of a sample on which the monitor failed: it reaches every threshold.
const failedScore = 2

// examine scores all samples, several at a time.
func (c *Calibration) examine(ctx context.Context, e Examiner, samples []Sample) ([]float64, error) {
	scores, failures := make([]float64, len(samples)), make([]error, len(samples))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(examiners, len(samples)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(samples) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				f, err := Examine(ctx, e, samples[i].view(c.Sees))
				if scores[i] = f.Score; err != nil {
					scores[i], failures[i] = failedScore, err
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i, err := range failures {
		if err == nil {
			continue
		}
		if c.Failed++; c.Failure == "" {
			c.Failure = fmt.Sprintf("sample %d: %s", i+1, excerpt(err.Error()))
		}
	}
	return scores, nil
}

// everything takes all samples in.
func everything(*Sample) bool { return true }

// thresholdFor returns the threshold for a rate, by the samples that are taken in; not ok and 1 if there is none.
func thresholdFor(samples []Sample, scores []float64, fpr float64, in func(*Sample) bool) (threshold float64, ok bool) {
	var good, all []float64
	for i := range samples {
		if !in(&samples[i]) {
			continue
		}
		all = append(all, scores[i])
		if !samples[i].Bad {
			good = append(good, scores[i])
		}
	}
	slices.Sort(good)
	slices.Sort(all)
	// the threshold is above the highest score that too many good samples reach
	may := int(math.Floor(fpr*float64(len(good)) + 1e-9))
	if may >= len(good) {
		return 0, true
	}
	below := good[len(good)-1-may]
	if below >= 1 {
		return 1, false
	}
	above := 1.
	if i, _ := slices.BinarySearch(all, math.Nextafter(below, 2)); i < len(all) {
		above = min(all[i], 1)
	}
	if threshold = below + (above-below)/2; threshold <= below {
		threshold = above
	}
	return threshold, true
}

// flagged returns the shares that reach a threshold, of the samples that are taken in.
func flagged(samples []Sample, scores []float64, threshold float64, in func(*Sample) bool) (good, bad Rate, kinds map[string]Rate) {
	type tally struct{ hits, n int }
	var counts [2]tally
	byKind := map[string]*tally{}
	for i := range samples {
		s := &samples[i]
		if !in(s) {
			continue
		}
		of := []*tally{&counts[0]}
		if s.Bad {
			of[0] = &counts[1]
		}
		if s.Kind != "" {
			if byKind[s.Kind] == nil {
				byKind[s.Kind] = new(tally)
			}
			of = append(of, byKind[s.Kind])
		}
		for _, t := range of {
			t.n++
			if scores[i] >= threshold {
				t.hits++
			}
		}
	}
	for kind, t := range byKind {
		if kinds == nil {
			kinds = map[string]Rate{}
		}
		kinds[kind] = rateOf(t.hits, t.n)
	}
	return rateOf(counts[0].hits, counts[0].n), rateOf(counts[1].hits, counts[1].n), kinds
}

// firstHalf tells whether a sample belongs to the half that [heldOut] and [FitControl] fit on.
func firstHalf(s *Sample) bool { return s.hash()[0]&1 == 0 }

func secondHalf(s *Sample) bool { return !firstHalf(s) }

// heldOut fits on one half and measures on the other.
func heldOut(samples []Sample, scores []float64, fpr float64) *HeldOut {
	counts := map[bool]int{}
	for i := range samples {
		if !samples[i].Bad {
			counts[firstHalf(&samples[i])]++
		}
	}
	if min(counts[true], counts[false]) < needed(fpr) {
		return nil
	}
	threshold, ok := thresholdFor(samples, scores, fpr, firstHalf)
	if !ok {
		return nil
	}
	h := &HeldOut{Threshold: threshold}
	h.FalsePositives, h.TruePositives, _ = flagged(samples, scores, threshold, secondHalf)
	return h
}
