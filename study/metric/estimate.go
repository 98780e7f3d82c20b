package metric

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// MinClusters is the least number of problems, in each seed, behind a reportable estimate.
const MinClusters = 10

// level is the two-sided level of every interval.
const level = .95

// Estimate is a number with its uncertainty.
type Estimate struct {
	// Value is the estimate and [Lo, Hi] its 95% interval. All are NaN when OK is false.
	Value, Lo, Hi float64
	// N counts the observations used (pairs, for a paired difference), Seeds the independent replicates.
	N, Seeds int
	// PerSeed is the statistic of each seed, in the order given; nil when OK is false.
	PerSeed []float64
	// OK tells whether the estimate may be reported. When it is false, Note says why.
	OK   bool
	Note string
}

// Pointers returns the value and its interval, or three nils when the estimate is not reportable: the form in which
// results are written to files, where NaN cannot be.
func (e Estimate) Pointers() (value, lo, hi *float64) {
	if !e.OK {
		return nil, nil, nil
	}
	return &e.Value, &e.Lo, &e.Hi
}

// String returns the estimate as text, such as "0.970 [0.950, 0.985] n=300 seeds=3".
func (e Estimate) String() string {
	if !e.OK {
		return "not reportable: " + e.Note
	}
	return fmt.Sprintf("%.3f [%.3f, %.3f] n=%d seeds=%d", e.Value, e.Lo, e.Hi, e.N, e.Seeds)
}

// NotReportable returns an estimate without a value and with the reason why.
func NotReportable(n, seeds int, format string, args ...any) Estimate {
	nan := math.NaN()
	return Estimate{Value: nan, Lo: nan, Hi: nan, N: n, Seeds: seeds, Note: fmt.Sprintf(format, args...)}
}

// Bounds is the range that a mean cannot leave.
type Bounds struct{ Lo, Hi float64 }

// The bounds of the usual quantities.
var (
	Unit    = Bounds{0, 1}                      // shares, probabilities, AUROC
	Signed  = Bounds{-1, 1}                     // differences of those
	Unbound = Bounds{math.Inf(-1), math.Inf(1)} // anything
	NonNeg  = Bounds{0, math.Inf(1)}            // nats, lengths
)

func (b Bounds) clip(x float64) float64 { return min(max(x, b.Lo), b.Hi) }

// Wilson returns Wilson's (1927) 95% score interval for a share of successes in n independent trials. n > 0 may be a
// fraction: an effective number of trials. At 0 successes its upper end is z²/(n+z²) = 3.84/(n+3.84), close to the rule of
// three (Hanley and Lippman-Hand 1983). It is a little too narrow for shares very near 0 or 1 at small n.
func Wilson(share, n float64) (lo, hi float64) { return wilson(share, n, normal()) }

func wilson(p, n, z float64) (lo, hi float64) {
	z2 := z * z
	centre := (p + z2/(2*n)) / (1 + z2/n)
	half := z / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return max(0, centre-half), min(1, centre+half)
}

// Proportion estimates a share from independent trials without seeds or clusters, with Wilson's interval.
func Proportion(successes, n int) Estimate {
	if successes < 0 || successes > n {
		panic(fmt.Sprintf("metric: %d successes in %d trials", successes, n))
	}
	if n < MinClusters {
		return NotReportable(n, 1, "only %d trials, at least %d are needed", n, MinClusters)
	}
	p := float64(successes) / float64(n)
	e := Estimate{Value: p, N: n, Seeds: 1, PerSeed: []float64{p}, OK: true}
	e.Lo, e.Hi = Wilson(p, float64(n))
	return e
}

func normal() float64 { return distuv.UnitNormal.Quantile(1 - (1-level)/2) }

// student returns the two-sided quantile of Student's t.
func student(freedom int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(freedom)}.Quantile(1 - (1-level)/2)
}

// rare is the largest share of problems that could behave otherwise when none of n did, at the level of the interval:
// the exact form of the rule of three (Clopper and Pearson 1934 at zero successes).
func rare(n int) float64 { return 1 - math.Pow((1-level)/2, 1/float64(n)) }
