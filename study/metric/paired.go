package metric

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// McNemar returns the exact two-sided p-value of McNemar's test (1947) for paired outcomes: onlyA counts pairs that only
// the first got right, onlyB those that only the second did. Under the null hypothesis each discordant pair falls either
// way with probability 1/2. With no discordant pair it returns 1. The exact test is conservative, and pairs that share a
// problem are not independent: give it one pair a problem, from one seed.
func McNemar(onlyA, onlyB int) float64 {
	if onlyA < 0 || onlyB < 0 {
		panic(fmt.Sprintf("metric: negative counts %d and %d", onlyA, onlyB))
	}
	n := onlyA + onlyB
	if n == 0 {
		return 1
	}
	return math.Min(1, 2*distuv.Binomial{N: float64(n), P: .5}.CDF(float64(min(onlyA, onlyB))))
}

// Discordant counts the pairs by problem that only a and only b got right (a value of at least 1/2 is right), for
// [McNemar]. Repeats of a problem are averaged first; problems that only one side has are left out.
func Discordant(a, b []Observation) (onlyA, onlyB int) {
	left, right := byCluster(a), byCluster(b)
	for _, id := range left.order {
		other, ok := right.mean[id]
		switch {
		case !ok:
		case left.mean[id] >= .5 && other < .5:
			onlyA++
		case left.mean[id] < .5 && other >= .5:
			onlyB++
		}
	}
	return onlyA, onlyB
}

// GMeanSquared returns the product of the true positive and the true negative rate (Kubat and Matwin 1997), the score
// that monitorability papers use for a monitor at one threshold. It is 0 for a monitor that always says the same, whatever
// the base rate; it hides which of the two rates is bad. NaN where a class is empty.
func GMeanSquared(truePositive, falseNegative, trueNegative, falsePositive int) float64 {
	return float64(truePositive) / float64(truePositive+falseNegative) *
		float64(trueNegative) / float64(trueNegative+falsePositive)
}
