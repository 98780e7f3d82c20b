package speed

import (
	"runtime"
	"testing"

	"candor/engine/tensor"
	"candor/train/internal/traintest"
)

// The benchmarks take the very steps that [Run] measures, on as many threads as -cpu says.

func BenchmarkTrain(b *testing.B) {
	eachModel(b, func(b *testing.B, mo model, pool *tensor.Pool) {
		w, err := training(mo, pool)
		if err != nil {
			b.Fatal(err)
		}
		repeat(b, w)
	})
}

func BenchmarkSample(b *testing.B) {
	eachModel(b, func(b *testing.B, mo model, pool *tensor.Pool) { repeat(b, sampling(b.Context(), mo, pool)) })
}

func BenchmarkGRPO(b *testing.B) {
	eachModel(b, func(b *testing.B, mo model, pool *tensor.Pool) {
		// B.Loop is asked after each step here, and starts its clock when it is asked first.
		steps := 0
		err := reinforce(b.Context(), mo, pool, func(done int) bool {
			if done > warm {
				steps++
			}
			return done < warm || b.Loop()
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(steps*grpoPrompts*grpoCompletion*sampled)/b.Elapsed().Seconds(), "tokens/s")
	})
}

func eachModel(b *testing.B, f func(b *testing.B, mo model, pool *tensor.Pool)) {
	for _, mo := range models {
		b.Run(mo.name, func(b *testing.B) {
			b.ReportAllocs()
			f(b, mo, traintest.Pool(b, runtime.GOMAXPROCS(0)))
		})
	}
}

// repeat measures work in its steady state.
func repeat(b *testing.B, w work) {
	steps := 0.
	if err := w.step(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := w.step(); err != nil {
			b.Fatal(err)
		}
		steps++
	}
	b.ReportMetric(steps*w.tokens/b.Elapsed().Seconds(), "tokens/s")
}
