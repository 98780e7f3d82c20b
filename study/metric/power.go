package metric

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// PairsNeeded returns how many pairs McNemar's test would have needed to be significant at 5% (two-sided) with the given
// power, if the shares of discordant pairs are those observed: onlyA and onlyB of n pairs. It is the formula of Connor
// (1987, Biometrics 43), which Miettinen's (1968) asymptotic power for the conditional test leads to:
//
//	N = (z(.975) sqrt(ψ) + z(power) sqrt(ψ - δ²))² / δ²,  ψ = (onlyA+onlyB)/n,  δ = |onlyA-onlyB|/n
//
// It is not ok where the counts make no sense, where both are equal (no number of pairs shows what is not there), or power
// is not between 0.5 and 1.
//
// Known faults: an observed difference that is not significant is mostly noise, so the number says how large a study would
// have to be if the truth were exactly what was seen, and no more. It is for the test with the normal approximation;
// [McNemar] is exact and so conservative, and wants 1/δ to 2/δ pairs more.
func PairsNeeded(onlyA, onlyB, n int, power float64) (pairs int, ok bool) {
	if onlyA < 0 || onlyB < 0 || onlyA+onlyB > n || onlyA == onlyB || !(power >= .5 && power < 1) {
		return 0, false
	}
	discordant := float64(onlyA+onlyB) / float64(n)
	difference := math.Abs(float64(onlyA-onlyB)) / float64(n)
	root := (normal()*math.Sqrt(discordant) + distuv.UnitNormal.Quantile(power)*math.Sqrt(discordant-difference*difference)) / difference
	return whole(root * root)
}

// ClustersNeeded returns how many problems a mean, or a difference of means, would have needed to differ from 0 at 5%
// (two-sided) with the given power, if its size and its spread over problems are those observed: standardError is the
// clustered standard error from that many clusters. As it falls with the square root of their number (Miller 2024, arXiv
// 2411.00640, for evaluations; Cohen 1988),
//
//	C = clusters ((z(.975) + z(power)) standardError / difference)²
//
// It is not ok where one of the numbers is not finite or not positive (the difference may be negative), or power is not
// between 0.5 and 1.
//
// Known faults: those of [PairsNeeded], and below some 30 clusters Student's t wants about two more.
func ClustersNeeded(difference, standardError float64, clusters int, power float64) (needed int, ok bool) {
	if !(standardError > 0) || clusters < 1 || !(power >= .5 && power < 1) {
		return 0, false
	}
	root := (normal() + distuv.UnitNormal.Quantile(power)) * standardError / difference
	return whole(float64(clusters) * root * root)
}

// whole rounds up; not ok for what is no number of problems.
func whole(x float64) (int, bool) {
	if !(x > 0 && x < 1<<53) {
		return 0, false
	}
	return int(math.Ceil(x)), true
}
