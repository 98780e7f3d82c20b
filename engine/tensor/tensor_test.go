package tensor

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPoolRunsEachIndexOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 7} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			p := NewPool(threads)
			defer p.Close()
			if p.Threads() != threads {
				t.Errorf("Threads() = %d", p.Threads())
			}
			for _, n := range []int{0, 1, 2, 3, 8, 100} {
				counts := make([]atomic.Int32, n)
				var running, most atomic.Int32
				for range 50 {
					p.Run(n, func(i int) {
						now := running.Add(1)
						for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
						}
						runtime.Gosched()
						counts[i].Add(1)
						running.Add(-1)
					})
					if running.Load() != 0 {
						t.Fatalf("Run of %d returned while %d calls were under way", n, running.Load())
					}
				}
				for i := range counts {
					if c := counts[i].Load(); c != 50 {
						t.Fatalf("f(%d) ran %d times in 50 runs of %d", i, c, n)
					}
				}
				if int(most.Load()) > threads {
					t.Errorf("%d calls at a time on %d threads", most.Load(), threads)
				}
			}
		})
	}
}

// Workers must really share the work: two calls that wait for each other finish only on two threads.
func TestPoolIsConcurrent(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	meet := make(chan int)
	p.Run(2, func(i int) {
		select {
		case meet <- i:
		case <-meet:
		}
	})
}

// A Run inside a Run, or beside one, works on the caller's own thread instead of waiting for itself.
func TestPoolNested(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	var calls atomic.Int32
	p.Run(5, func(int) { p.Run(7, func(int) { calls.Add(1) }) })
	if calls.Load() != 35 {
		t.Errorf("%d inner calls, want 35", calls.Load())
	}
}

func TestPoolPanics(t *testing.T) {
	cause := errors.New("no such luck")
	for _, threads := range []int{1, 2, 7} {
		p := NewPool(threads)
		for bad := range 20 {
			func() {
				defer func() {
					switch v := recover().(type) {
					case error:
						if !errors.Is(v, cause) {
							t.Errorf("%d threads: panic with %v, which does not unwrap to its cause", threads, v)
						}
					default:
						t.Errorf("%d threads: panic of f(%d) came out as %v", threads, bad, v)
					}
				}()
				p.Run(20, func(i int) {
					runtime.Gosched()
					if i == bad {
						panic(cause)
					}
				})
			}()
		}
		var calls atomic.Int32
		p.Run(20, func(int) { calls.Add(1) })
		if calls.Load() != 20 {
			t.Errorf("%d threads: after a panic only %d of 20 calls ran", threads, calls.Load())
		}
		p.Close()
	}
}

// A panic on another goroutine shows where it happened.
func TestPoolPanicShowsStack(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	helped := make(chan struct{})
	defer func() {
		message := fmt.Sprint(recover())
		if !strings.Contains(message, "boom") || !strings.Contains(message, "TestPoolPanicShowsStack") {
			t.Errorf("the panic says %q, want boom and the stack of the function that raised it", message)
		}
	}()
	p.Run(2, func(int) {
		if !strings.Contains(string(debug.Stack()), "(*Pool).work") {
			<-helped // the caller's share
			return
		}
		close(helped)
		panic("boom")
	})
}

func TestPoolMisuse(t *testing.T) {
	for name, f := range map[string]func(){
		"no threads":      func() { NewPool(0) },
		"Run after Close": func() { p := NewPool(2); p.Close(); p.Close(); p.Run(1, func(int) {}) },
	} {
		func() {
			defer func() {
				if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "tensor.") {
					t.Errorf("%s: recovered %v, want a panic that names the package", name, v)
				}
			}()
			f()
		}()
	}
}

func TestPoolAllocatesNothing(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	var sink [16]int
	f := func(i int) { sink[i]++ }
	if n := testing.AllocsPerRun(100, func() { p.Run(len(sink), f) }); n != 0 {
		t.Errorf("%v allocations a Run", n)
	}
}

// Slices of one round never overlap, are aligned and cannot grow into one another; a round like an earlier one
// allocates nothing.
func TestArena(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 70), rapid.IntRange(10000, 40000)), 1, 12).Draw(r, "sizes")
		var a Arena
		round := func() {
			for i, n := range sizes {
				switch i % 3 {
				case 0:
					a.Float32(n)
				case 1:
					a.ZeroFloat32(n)
				default:
					a.Int32(n)
				}
			}
		}
		for range 2 {
			var floats [][]float32
			var ints [][]int32
			for i, n := range sizes {
				if i%3 == 2 {
					s := a.Int32(n)
					if len(s) != n || cap(s) != n {
						r.Fatalf("Int32(%d) has length %d, capacity %d", n, len(s), cap(s))
					}
					for j := range s {
						s[j] = int32(i)
					}
					ints = append(ints, s)
					continue
				}
				s := a.Float32(n)
				if i%3 == 1 {
					s = a.ZeroFloat32(n)
					for _, v := range s {
						if v != 0 {
							r.Fatalf("ZeroFloat32 holds %v", v)
						}
					}
				}
				if len(s) != n || cap(s) != n {
					r.Fatalf("Float32(%d) has length %d, capacity %d", n, len(s), cap(s))
				}
				if n > 0 && uintptr(unsafe.Pointer(&s[0]))%64 != 0 {
					r.Fatalf("Float32(%d) is not aligned: %p", n, &s[0])
				}
				for j := range s {
					s[j] = float32(i)
				}
				floats = append(floats, s)
			}
			f, k := 0, 0
			for i := range sizes {
				if i%3 == 2 {
					for _, v := range ints[k] {
						if v != int32(i) {
							r.Fatalf("integers of slice %d were overwritten with %d", i, v)
						}
					}
					k++
					continue
				}
				for _, v := range floats[f] {
					if v != float32(i) {
						r.Fatalf("floats of slice %d were overwritten with %v", i, v)
					}
				}
				f++
			}
			a.Reset()
		}
		if n := testing.AllocsPerRun(3, func() { round(); a.Reset() }); n != 0 {
			r.Fatalf("%v allocations in a round like an earlier one", n)
		}
	})
}
