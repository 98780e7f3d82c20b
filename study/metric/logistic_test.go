package metric

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// loss is what a fit makes least, written out.
func loss(l Logistic, x [][]float64, positive []bool, ridge float64) float64 {
	var sum, count [2]float64
	for i := range x {
		p := l.Score(x[i])
		if positive[i] {
			sum[1], count[1] = sum[1]-math.Log(p), count[1]+1
		} else {
			sum[0], count[0] = sum[0]-math.Log(1-p), count[0]+1
		}
	}
	total := (sum[0]/count[0] + sum[1]/count[1]) / 2
	for _, w := range l.Weights {
		total += ridge / 2 * w * w
	}
	return total
}

// No step away from a fit is better, and neither the order of the items nor saying each twice changes it.
func TestLogisticIsTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		features := rapid.IntRange(0, 4).Draw(t, "features")
		n := rapid.IntRange(2, 30).Draw(t, "n")
		x, positive := make([][]float64, n), make([]bool, n)
		for i := range x {
			positive[i] = i > 0 && (i == 1 || rapid.Bool().Draw(t, "positive"))
			x[i] = make([]float64, features)
			for k := range x[i] {
				x[i][k] = rapid.Float64Range(0, 1).Draw(t, "x")
			}
		}
		ridge := rapid.SampledFrom([]float64{1e-3, .1, 1}).Draw(t, "ridge")
		l, err := FitLogistic(x, positive, ridge)
		if err != nil {
			t.Fatal(err)
		}
		least := loss(l, x, positive, ridge)
		for k := range features + 1 {
			for _, by := range []float64{-1e-3, 1e-3} {
				moved := Logistic{append([]float64{}, l.Weights...), l.Bias}
				if k < features {
					moved.Weights[k] += by
				} else {
					moved.Bias += by
				}
				if got := loss(moved, x, positive, ridge); got < least {
					t.Fatalf("moving %d by %g takes the loss from %g to %g", k, by, least, got)
				}
			}
		}
		var turned [][]float64
		var labels []bool
		for i := n - 1; i >= 0; i-- {
			turned, labels = append(turned, x[i], x[i]), append(labels, positive[i], positive[i])
		}
		again, err := FitLogistic(turned, labels, ridge)
		if err != nil || math.Abs(again.Bias-l.Bias) > 1e-7 {
			t.Fatalf("in another order, each twice: %+v, %v, want %+v", again, err, l)
		}
	})
}

// Without features the bias is that of balanced classes; with one that splits them the ridge keeps the weight finite.
func TestLogisticByHand(t *testing.T) {
	none, err := FitLogistic([][]float64{{}, {}, {}}, []bool{true, false, false}, 1)
	if err != nil || math.Abs(none.Bias) > 1e-9 || none.Score(nil) != .5 {
		t.Errorf("without features: %+v, %v", none, err)
	}
	// At w and -w/2 the loss is log(1+exp(-w/2)) + ridge w^2/2, least where 1/(1+exp(w/2))/2 = ridge w.
	l, err := FitLogistic([][]float64{{0}, {1}}, []bool{false, true}, .01)
	w := l.Weights[0]
	if err != nil || math.Abs(l.Bias+w/2) > 1e-9 || math.Abs(.5/(1+math.Exp(w/2))-.01*w) > 1e-9 {
		t.Errorf("two items apart: %+v, %v", l, err)
	}
}

func TestLogisticErrors(t *testing.T) {
	for want, f := range map[string]func() (Logistic, error){
		"0 positives and 2 negatives": func() (Logistic, error) { return FitLogistic([][]float64{{1}, {2}}, []bool{false, false}, 1) },
		"2 items and 1 labels":        func() (Logistic, error) { return FitLogistic([][]float64{{1}, {2}}, []bool{true}, 1) },
		"item 1 has 2 features":       func() (Logistic, error) { return FitLogistic([][]float64{{1}, {2, 3}}, []bool{true, false}, 1) },
		"feature 0 of item 1 is NaN": func() (Logistic, error) {
			return FitLogistic([][]float64{{1}, {math.NaN()}}, []bool{true, false}, 1)
		},
		"ridge is 0":                  func() (Logistic, error) { return FitLogistic([][]float64{{1}, {2}}, []bool{true, false}, 0) },
		"0 positives and 0 negatives": func() (Logistic, error) { return FitLogistic(nil, nil, 1) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// The slope of the penalised loss is 0 at a fit, and the fit is the same in another order or with each item twice.
func TestLogisticSlopeIsZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		features, n := rapid.IntRange(1, 6).Draw(t, "features"), rapid.IntRange(2, 60).Draw(t, "n")
		x, positive := make([][]float64, n), make([]bool, n)
		count := map[bool]float64{}
		for i := range x {
			positive[i] = i > 0 && (i == 1 || rapid.Bool().Draw(t, "positive"))
			count[positive[i]]++
			for range features { // shares, as of tests: many tie, and some data are separable
				x[i] = append(x[i], float64(rapid.IntRange(0, 4).Draw(t, "x"))/4)
			}
		}
		ridge := rapid.SampledFrom([]float64{1e-3, .1}).Draw(t, "ridge")
		l, err := FitLogistic(x, positive, ridge)
		if err != nil {
			t.Fatal(err)
		}
		slope := make([]float64, features+1)
		for i := range x {
			miss := l.Score(x[i])
			if positive[i] {
				miss--
			}
			miss /= 2 * count[positive[i]]
			for k := range x[i] {
				slope[k] += miss * x[i][k]
			}
			slope[features] += miss
		}
		for k, s := range slope {
			if k < features {
				s += ridge * l.Weights[k]
			}
			if math.Abs(s) > 1e-12 {
				t.Fatalf("the slope by %d is %g at %+v", k, s, l)
			}
		}
		var turned [][]float64
		var labels []bool
		for i := n - 1; i >= 0; i-- {
			turned, labels = append(turned, x[i], x[i]), append(labels, positive[i], positive[i])
		}
		again, err := FitLogistic(turned, labels, ridge)
		if err != nil {
			t.Fatal(err)
		}
		for k, w := range append(again.Weights, again.Bias) {
			if math.Abs(w-append(l.Weights, l.Bias)[k]) > 1e-9 {
				t.Fatalf("in another order, each twice: %+v, want %+v", again, l)
			}
		}
	})
}

// Features of a scale that no step suits are an error, not weights that mean nothing.
func TestLogisticSaysThatItDoesNotConverge(t *testing.T) {
	if l, err := FitLogistic([][]float64{{0}, {1e200}, {1e199}}, []bool{false, true, false}, 1e-3); err == nil || !strings.Contains(err.Error(), "fitting a logistic regression: ") {
		t.Errorf("features of 1e200: %+v, %v", l, err)
	}
}
