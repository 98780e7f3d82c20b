package tensor

// Arena hands out slices that are all given back at once by [Arena.Reset]. Once it has seen its largest round, it
// allocates nothing. The zero value is ready. It serves one goroutine at a time.
type Arena struct {
	floats bump[float32]
	ints   bump[int32]
}

// Float32 returns n floats, aligned to 64 bytes. Their values are arbitrary: what an earlier round left there. The
// slice must not be used after Reset.
func (a *Arena) Float32(n int) []float32 { return a.floats.take(n) }

// ZeroFloat32 returns n zeros, aligned to 64 bytes.
func (a *Arena) ZeroFloat32(n int) []float32 {
	s := a.floats.take(n)
	clear(s)
	return s
}

// Int32 returns n integers of arbitrary values.
func (a *Arena) Int32(n int) []int32 { return a.ints.take(n) }

// Reset takes back all slices that were handed out.
func (a *Arena) Reset() {
	a.floats.reset()
	a.ints.reset()
}

const (
	alignElements = 16      // 64 bytes: a cache line
	firstChunk    = 1 << 14 // 64 KiB; the runtime aligns chunks of this size to pages
)

// bump allocates from the front of its newest chunk. A full chunk stays alive through the slices taken from it; reset
// replaces all chunks of the round by one that would have sufficed.
type bump[T float32 | int32] struct {
	chunk []T
	used  int // elements of chunk that are taken
	total int // elements taken in this round, over all chunks
}

func (b *bump[T]) take(n int) []T {
	size := (n + alignElements - 1) &^ (alignElements - 1)
	if b.used+size > len(b.chunk) {
		b.chunk = make([]T, max(size, 2*len(b.chunk), firstChunk))
		b.used = 0
	}
	s := b.chunk[b.used : b.used+n : b.used+n]
	b.used += size
	b.total += size
	return s
}

func (b *bump[T]) reset() {
	if b.total > len(b.chunk) {
		b.chunk = make([]T, b.total)
	}
	b.used, b.total = 0, 0
}
