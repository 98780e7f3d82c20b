package kernel

import "fmt"

// Products of causal attention within one sequence of n tokens, for one head of hw channels. The attention pattern is an n by
// n matrix, row-major without gaps, of which only the lower triangle counts: query i, in row i, sees keys 0 to i. Work above
// the diagonal is left out in blocks of causalRows.
//
// Chains are those of [Gemm] over the elements that count, with zeros of the pattern as further terms.

// causalRows is how many queries, or keys, are handled at once: two tiles of avx2, one of avx512.
const causalRows = 12

// CausalScores sets p[i,j] for j <= i to the product of row i of a with row j of b, both [n,hw]: scores from queries and
// keys, or the gradient of the pattern from gradients of outputs and values. Other elements of p may be set to anything.
func CausalScores(n, hw int, a []float32, lda int, b []float32, ldb int, p []float32, ws *Workspace) {
	checkMatrix("A", false, n, hw, a, lda)
	checkMatrix("B", false, n, hw, b, ldb)
	checkMatrix("the pattern", false, n, n, p, n)
	if n == 0 || hw == 0 {
		clear(p[:n*n])
		return
	}
	cols := currentBlocking().cols
	step := cols * hw
	panels := take(&ws.b, (n+cols-1)/cols*step+tileGap)
	packRows(panels, step, b, ldb, n, hw)
	for i := 0; i < n; i += causalRows {
		end := min(i+causalRows, n)
		for j := 0; j < end; j += cols {
			multiply(end-i, min(cols, end-j), hw, a[i*lda:], lda, 1, panels[j/cols*step:], cols, p[i*n+j:], n, nil, 0)
		}
	}
}

// CausalMix sets c = L*b, or adds it if accumulate is set, where L is the lower triangle of p and b is [n,hw]: outputs from
// the pattern and values, or gradients of queries from gradients of scores and keys. p must hold zeros above the diagonal.
func CausalMix(n, hw int, p, b []float32, ldb int, c []float32, ldc int, accumulate bool) {
	checkCausal(n, hw, p, b, ldb, c, ldc)
	cols := currentBlocking().cols
	for i := 0; i < n; i += causalRows {
		end := min(i+causalRows, n)
		for j := 0; j < hw; j += cols {
			d, to := []float32(nil), c[i*ldc+j:]
			if accumulate {
				d = to
			}
			multiply(end-i, min(cols, hw-j), end, p[i*n:], n, 1, b[j:], ldb, to, ldc, d, ldc)
		}
	}
}

// CausalMixTransposed is CausalMix with the transpose of L: gradients of values from the pattern and gradients of outputs, or
// gradients of keys from gradients of scores and queries.
func CausalMixTransposed(n, hw int, p, b []float32, ldb int, c []float32, ldc int, accumulate bool) {
	checkCausal(n, hw, p, b, ldb, c, ldc)
	cols := currentBlocking().cols
	for i := 0; i < n; i += causalRows {
		end := min(i+causalRows, n)
		for j := 0; j < hw; j += cols {
			d, to := []float32(nil), c[i*ldc+j:]
			if accumulate {
				d = to
			}
			multiply(end-i, min(cols, hw-j), n-i, p[i*n+i:], 1, n, b[i*ldb+j:], ldb, to, ldc, d, ldc)
		}
	}
}

func checkCausal(n, hw int, p, b []float32, ldb int, c []float32, ldc int) {
	checkMatrix("the pattern", false, n, n, p, n)
	checkMatrix("B", false, n, hw, b, ldb)
	checkMatrix("C", false, n, hw, c, ldc)
}

// multiply is a product with one panel of B: C = D + A*B, where element (i, p) of A is a[i*stepRow+p*stepK] and D is nil for
// zeros.
func multiply(m, n, k int, a []float32, stepRow, stepK int, b []float32, ldb int, c []float32, ldc int, d []float32, ldd int) {
	t := tiles{m: m, k: k, a: a, stepTile: currentBlocking().rows * stepRow, stepRow: stepRow, stepK: stepK}
	p := product{c: c, ldc: ldc, d: d, ldd: ldd}
	if d == nil {
		p.ldd = 0
	}
	t.multiply(n, b, ldb, &p, 0, 0)
}

// KeyBlock is how many tokens' keys lie side by side where [AttendScores] reads them.
const KeyBlock = 16

// StoreKeys writes the keys of n tokens, rows of width numbers of k with leading dimension ld, to where [AttendScores] reads
// them, the first one as token number first. If there are several, first must be a multiple of 8, and up to the next multiple
// of 8 the keys of later tokens may be set to anything.
func StoreKeys(keys []float32, first, n, width int, k []float32, ld int) {
	checkMatrix("the keys", false, n, width, k, ld)
	blocks := (first + n + KeyBlock - 1) / KeyBlock
	if first < 0 || len(keys) < blocks*width*KeyBlock || n > 1 && first%8 != 0 {
		panic(fmt.Sprintf("kernel.StoreKeys: room for %d numbers does not take %d keys of width %d from token %d on", len(keys), n, width, first))
	}
	if n == 1 || !useAVX2 {
		for t := first; t < first+n; t++ {
			storeKey(keys[t/KeyBlock*KeyBlock*width+t%KeyBlock:], k[(t-first)*ld:(t-first)*ld+width])
		}
		return
	}
	for t := 0; t < n; t += 8 {
		at := first + t
		packRowsAVX2(&keys[at/KeyBlock*KeyBlock*width+at%KeyBlock], &k[t*ld], ld, min(8, n-t), width)
	}
}

// storeKey sets to[j*KeyBlock] = key[j].
func storeKey(to, key []float32) {
	for len(key) >= 4 && len(to) > 4*KeyBlock {
		to[0], to[KeyBlock], to[2*KeyBlock], to[3*KeyBlock] = key[0], key[1], key[2], key[3]
		to, key = to[4*KeyBlock:], key[4:]
	}
	for j, x := range key {
		to[j*KeyBlock] = x
	}
}

// AttendScores computes the scores of one token's queries, heads*hw channels, with the keys of n tokens: score t of head h
// goes to scores[h*stride+t]. Channel j of token t's keys is keys[t/KeyBlock*heads*hw*KeyBlock + j*KeyBlock + t%KeyBlock]. Up
// to the next multiple of KeyBlock the scores may be set to anything, and keys must have that room, too. A score is one chain
// over ascending channels of the head, as in [CausalScores].
func AttendScores(heads, hw, n int, q, keys, scores []float32, stride int) {
	blocks := (n + KeyBlock - 1) / KeyBlock
	if n < 1 || len(q) < heads*hw || len(keys) < blocks*heads*hw*KeyBlock || len(scores) < (heads-1)*stride+blocks*KeyBlock {
		panic(fmt.Sprintf("kernel.AttendScores: %d queries, %d keys and room for %d scores do not fit %d heads of %d channels and %d tokens with stride %d",
			len(q), len(keys), len(scores), heads, hw, n, stride))
	}
	switch {
	case useAVX512:
		attendScoresAVX512(heads, hw, n, &q[0], &keys[0], &scores[0], stride)
	case useAVX2:
		attendScoresAVX2(heads, hw, n, &q[0], &keys[0], &scores[0], stride)
	default:
		attendScoresGeneric(heads, hw, n, q, keys, scores, stride)
	}
}

// AttendValues mixes the values of n tokens by one token's attention: channel j of z, of heads*hw, becomes the sum over t of
// p[h*stride+t]*values[t*heads*hw+j] with its head h, added to what z holds if accumulate is set. It is one chain over
// ascending t, as in [CausalMix].
func AttendValues(heads, hw, n int, p []float32, stride int, values, z []float32, accumulate bool) {
	if n < 1 || len(p) < (heads-1)*stride+n || len(values) < n*heads*hw || len(z) < heads*hw {
		panic(fmt.Sprintf("kernel.AttendValues: %d shares, %d values and room for %d outputs do not fit %d heads of %d channels and %d tokens with stride %d",
			len(p), len(values), len(z), heads, hw, n, stride))
	}
	switch {
	case useAVX512:
		attendValuesAVX512(heads, hw, n, &p[0], stride, &values[0], &z[0], accumulate)
	case useAVX2:
		attendValuesAVX2(heads, hw, n, &p[0], stride, &values[0], &z[0], accumulate)
	default:
		attendValuesGeneric(heads, hw, n, p, stride, values, z, accumulate)
	}
}

func attendScoresGeneric(heads, hw, n int, q, keys, scores []float32, stride int) {
	width := heads * hw
	for h := range heads {
		for t := range n {
			s := float32(0)
			k := keys[t/KeyBlock*width*KeyBlock+h*hw*KeyBlock+t%KeyBlock:]
			for j, v := range q[h*hw : (h+1)*hw] {
				s += float32(v * k[j*KeyBlock])
			}
			scores[h*stride+t] = s
		}
	}
}

func attendValuesGeneric(heads, hw, n int, p []float32, stride int, values, z []float32, accumulate bool) {
	width := heads * hw
	if !accumulate {
		clear(z[:width])
	}
	for h := range heads {
		out := z[h*hw : (h+1)*hw]
		for t, share := range p[h*stride : h*stride+n] {
			for j, v := range values[t*width+h*hw : t*width+(h+1)*hw] {
				out[j] += float32(share * v)
			}
		}
	}
}
