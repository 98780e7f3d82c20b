package metric

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Logistic is a logistic regression: the probability that an item is positive, as its features tell it.
type Logistic struct {
	// Weights are one for each feature, Bias the one for none.
	Weights []float64
	Bias    float64
}

// newtonSteps is how many steps a fit may take: it is concave, and takes about ten.
const newtonSteps = 100

// FitLogistic fits by Newton's method (iteratively reweighted least squares; Hastie, Tibshirani and Friedman, The Elements of
// Statistical Learning, section 4.4.1) with a ridge: the mean log-loss, positives and negatives weighing alike, plus ridge/2
// times the sum of the squared weights. x is [items][features]; features should be of one scale, since they are taken as they
// are. It is an error if a class is empty, a row has another length, a feature is not finite or ridge not above 0.
func FitLogistic(x [][]float64, positive []bool, ridge float64) (Logistic, error) {
	share, err := checkLogistic(x, positive, ridge)
	if err != nil {
		return Logistic{}, fmt.Errorf("fitting a logistic regression: %w", err)
	}
	n := len(x[0]) + 1 // the last is the bias
	beta := make([]float64, n)
	gradient, hessian := make([]float64, n), make([]float64, n*n) // of the latter the upper half
	row := make([]float64, n)
	row[n-1] = 1
	for range newtonSteps {
		clear(gradient)
		clear(hessian)
		for k := range n - 1 {
			gradient[k], hessian[k*n+k] = ridge*beta[k], ridge
		}
		for i := range x {
			copy(row, x[i])
			p, y, w := sigmoid(dot(beta, row)), 0., share[0]
			if positive[i] {
				y, w = 1, share[1]
			}
			for k, a := range row {
				if a == 0 {
					continue
				}
				gradient[k] += w * (p - y) * a
				curve := w * p * (1 - p) * a
				for j := k; j < n; j++ {
					hessian[k*n+j] += curve * row[j]
				}
			}
		}
		var cholesky mat.Cholesky
		if !cholesky.Factorize(mat.NewSymDense(n, hessian)) {
			return Logistic{}, errors.New("fitting a logistic regression: it does not converge; raise the ridge")
		}
		step := mat.NewVecDense(n, nil)
		if err := cholesky.SolveVecTo(step, mat.NewVecDense(n, gradient)); err != nil {
			return Logistic{}, fmt.Errorf("fitting a logistic regression: %w", err)
		}
		const longest = 5 // beyond it the quadratic approximation does not hold
		scale := min(1, longest/mat.Norm(step, math.Inf(1)))
		moved := 0.
		for k := range beta {
			beta[k] -= scale * step.AtVec(k)
			moved = max(moved, math.Abs(step.AtVec(k)))
		}
		if moved < 1e-10 {
			return Logistic{Weights: beta[: n-1 : n-1], Bias: beta[n-1]}, nil
		}
	}
	return Logistic{}, errors.New("fitting a logistic regression: it does not converge; raise the ridge")
}

// checkLogistic returns what an item of each class weighs.
func checkLogistic(x [][]float64, positive []bool, ridge float64) (share [2]float64, err error) {
	var count [2]float64
	for i, row := range x {
		if len(row) != len(x[0]) {
			return share, fmt.Errorf("item %d has %d features, the first has %d", i, len(row), len(x[0]))
		}
		for k, a := range row {
			if math.IsNaN(a) || math.IsInf(a, 0) {
				return share, fmt.Errorf("feature %d of item %d is %g, must be finite", k, i, a)
			}
		}
		if i < len(positive) && positive[i] {
			count[1]++
		} else {
			count[0]++
		}
	}
	switch {
	case len(x) != len(positive):
		return share, fmt.Errorf("there are %d items and %d labels", len(x), len(positive))
	case count[0] == 0 || count[1] == 0:
		return share, fmt.Errorf("there are %.0f positives and %.0f negatives, both are needed", count[1], count[0])
	case !(ridge > 0) || math.IsInf(ridge, 0):
		return share, fmt.Errorf("ridge is %g, must be above 0 and finite", ridge)
	}
	return [2]float64{.5 / count[0], .5 / count[1]}, nil
}

// Score returns the probability, in 0..1, that an item with these features is positive.
func (l Logistic) Score(x []float64) float64 { return sigmoid(dot(l.Weights, x) + l.Bias) }

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
