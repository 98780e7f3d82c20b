package metric

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

func TestPairsNeeded(t *testing.T) {
	for _, c := range []struct {
		onlyA, onlyB, n int
		power           float64
		want            int
	}{
		// (1.95996 sqrt(.25) + .84162 sqrt(.25-.0225))² / .0225 = 84.81
		{20, 5, 100, .8, 85},
		{5, 20, 100, .8, 85},
		// (1.95996 sqrt(.25) + 1.28155 sqrt(.2275))² / .0225 = 112.58
		{20, 5, 100, .9, 113},
		// (1.95996 sqrt(.04) + .84162 sqrt(.0396))² / .0004 = 782.53
		{30, 10, 1000, .8, 783},
	} {
		got, ok := PairsNeeded(c.onlyA, c.onlyB, c.n, c.power)
		if !ok || got != c.want {
			t.Errorf("%d against %d of %d at power %g need %d pairs, want %d", c.onlyA, c.onlyB, c.n, c.power, got, c.want)
		}
	}
	for _, c := range []struct {
		onlyA, onlyB, n int
		power           float64
	}{{5, 5, 20, .8}, {0, 0, 20, .8}, {0, 0, 0, .8}, {-1, 3, 20, .8}, {15, 6, 20, .8}, {6, 2, 20, 1}, {6, 2, 20, 0}, {6, 2, 20, math.NaN()}} {
		if got, ok := PairsNeeded(c.onlyA, c.onlyB, c.n, c.power); ok {
			t.Errorf("%+v need %d pairs, want none", c, got)
		}
	}
}

// So many pairs have the power asked for, by simulation of McNemar's asymptotic test.
func TestPowerOfPairsNeeded(t *testing.T) {
	const runs = 3000
	for _, c := range []struct{ onlyA, onlyB int }{{20, 5}, {30, 10}, {9, 2}} {
		n, _ := PairsNeeded(c.onlyA, c.onlyB, 100, .8)
		significant := 0
		for run := range runs {
			src := rng.New(9).SplitN("power", run)
			var a, b float64
			for range n {
				switch x := src.Float64() * 100; {
				case x < float64(c.onlyA):
					a++
				case x < float64(c.onlyA+c.onlyB):
					b++
				}
			}
			if (a-b)*(a-b) > 3.841459*(a+b) {
				significant++
			}
		}
		near(t, "power", float64(significant)/runs, .81, .035)
	}
}

func TestClustersNeeded(t *testing.T) {
	// 100 (2.80158 · .05/.1)² = 196.2
	if got, ok := ClustersNeeded(-.1, .05, 100, .8); !ok || got != 197 {
		t.Errorf("%d clusters needed, want 197", got)
	}
	for _, c := range []struct {
		difference, se float64
		clusters       int
	}{{0, .1, 10}, {.1, 0, 10}, {.1, -1, 10}, {.1, .1, 0}, {math.NaN(), .1, 10}, {.1, math.NaN(), 10}, {.1, math.Inf(1), 10}, {1e-300, .1, 10}} {
		if got, ok := ClustersNeeded(c.difference, c.se, c.clusters, .8); ok {
			t.Errorf("%+v need %d clusters, want none", c, got)
		}
	}
	const runs = 3000
	n, _ := ClustersNeeded(.3, .12, 70, .8) // a spread of .12 sqrt(70) = 1.004
	significant := 0
	for run := range runs {
		src := rng.New(10).SplitN("power", run)
		var sum, squares float64
		for range n {
			x := .3 + .12*math.Sqrt(70)*src.Norm()
			sum, squares = sum+x, squares+x*x
		}
		mean := sum / float64(n)
		se := math.Sqrt((squares/float64(n) - mean*mean) / float64(n-1))
		if math.Abs(mean) > 1.96*se {
			significant++
		}
	}
	near(t, "power", float64(significant)/runs, .8, .03)
}

func TestPowerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, rest := rapid.IntRange(0, 500).Draw(t, "only a"), rapid.IntRange(0, 500).Draw(t, "only b"), rapid.IntRange(0, 500).Draw(t, "rest")
		power := rapid.Float64Range(.5, .98).Draw(t, "power")
		n, ok := PairsNeeded(a, b, a+b+rest, power)
		other, _ := PairsNeeded(b, a, a+b+rest, power)
		more, _ := PairsNeeded(a, b, a+b+rest, power+.01)
		if ok != (a != b) || n != other || ok && (n < 1 || more < n) {
			t.Errorf("%d pairs, %d the other way round, %d with more power", n, other, more)
		}
		// Ten times the study with the same shares asks for the same number.
		if tenfold, _ := PairsNeeded(10*a, 10*b, 10*(a+b+rest), power); math.Abs(float64(tenfold-n)) > 1 {
			t.Errorf("%d pairs, %d from the same shares", n, tenfold)
		}
	})
}
