//go:build unix

package ledger

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"candor/internal/rng"
)

// BenchmarkOpenLoop measures what a gateway waits for the ledger: requests come at 1,000/s whatever becomes of those before
// them, and each makes two appends. It reports how long the appends took, in microseconds. Give it -benchtime=10000x.
func BenchmarkOpenLoop(b *testing.B) {
	openLoop(b, filepath.Join(b.TempDir(), "l"), 1000)
}

// BenchmarkOpenLoopPostgres does the same with a database.
func BenchmarkOpenLoopPostgres(b *testing.B) { openLoop(b, database(b), 1000) }

func openLoop(b *testing.B, where string, perSecond float64) {
	opts := options()
	opts.Clock, opts.Sign, opts.Busy = time.Now, time.Second, 5*time.Second
	l := open(b, where, opts)
	prompt, try, answer := bytes.Repeat([]byte("What is 17 times 23? "), 50), bytes.Repeat([]byte("17*23 = 391. "), 250), bytes.Repeat([]byte("It is 391."), 80)
	begins, ends := make([]time.Duration, b.N), make([]time.Duration, b.N)
	one := func(i int, think time.Duration) {
		trace := "req-" + strconv.FormatUint(uint64(i)*0x9e3779b97f4a7c15, 36)
		start := time.Now()
		_, err := l.Begin(context.Background(), trace, []byte(`{"request":"r","protocol":"chat","model":"m","key":"k","choice":0,"of":1}`), Content{Name: "prompt", Data: prompt})
		if i >= 0 {
			begins[i] = time.Since(start)
		}
		if err != nil {
			b.Error(err)
			return
		}
		time.Sleep(think)
		start = time.Now()
		_, err = l.Append(context.Background(),
			Entry{Kind: KindStage, Trace: trace, Body: []byte(`{"what":"try","n":0,"system":"main","verdicts":[]}`), Contents: []Content{{Name: "try", Data: try}}},
			Entry{Kind: KindEnd, Trace: trace, Body: []byte(`{"outcome":"released","tries":1,"took_ns":5000000,"upstream_ns":4000000}`), Contents: []Content{{Name: "answer", Data: answer}}})
		if i >= 0 {
			ends[i] = time.Since(start)
		}
		if err != nil {
			b.Error(err)
		}
	}
	r := rng.New(1)
	var wg sync.WaitGroup
	for k := range 50 { // until the files have the sizes that they keep
		wg.Go(func() {
			for i := range 50 {
				one(-1-50*k-i, 0)
			}
		})
	}
	wg.Wait()
	before := l.Stats()
	b.ResetTimer()
	cpu := cpuTime()
	due := time.Now()
	for i := range b.N {
		due = due.Add(time.Duration(-math.Log(1-r.Float64()) / perSecond * float64(time.Second)))
		if d := time.Until(due); d > 0 {
			time.Sleep(d)
		}
		wg.Go(func() { one(i, 5*time.Millisecond) }) // which the models take
	}
	wg.Wait()
	b.StopTimer()
	spent := cpuTime() - cpu
	s := l.Stats()
	report := func(name string, took []time.Duration) {
		slices.Sort(took)
		for _, p := range []int{50, 99} {
			b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), name+"-p"+strconv.Itoa(p)+"-us")
		}
	}
	report("begin", begins)
	report("end", ends)
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(s.Entries-before.Entries)/float64(s.Commits-before.Commits), "entries/sync")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// cpuTime is the processor time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
