package kernel

// The portable matrix product. Products are converted to float32 explicitly: that keeps compilers from fusing them into
// the additions on some platforms and not on others, or in some tiles and not in others.

// gemmPanelGeneric computes C[m, n] = D + bias + A*B, where element (i, p) of A is a[i*stepRow+p*stepK]; d and bias may be
// nil. It works in tiles of 2 by 3: the six sums and what they need fit the registers of amd64, those of larger tiles spill.
func gemmPanelGeneric(m, n, k int, a []float32, stepRow, stepK int, b []float32, ldb int, c []float32, ldc int, d []float32, ldd int, bias []float32) {
	add := d != nil || bias != nil
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		switch {
		case d != nil && &d[i*ldd] != &row[0]:
			copy(row, d[i*ldd:])
		case d == nil && bias != nil:
			clear(row)
		}
		if bias != nil {
			addGeneric(row, bias[:n])
		}
	}
	for i := 0; i < m; i += 2 {
		ai, ci := a[i*stepRow:], c[i*ldc:]
		j := 0
		for ; j+3 <= n; j += 3 {
			if i+1 < m {
				tile2x3(k, ai, stepRow, stepK, b[j:], ldb, ci[j:], ldc, add)
			} else {
				tile1x3(k, ai, stepK, b[j:], ldb, ci[j:], add)
			}
		}
		for ; j < n; j++ {
			tile1x1(k, ai, stepK, b[j:], ldb, &ci[j], add)
			if i+1 < m {
				tile1x1(k, ai[stepRow:], stepK, b[j:], ldb, &ci[ldc+j], add)
			}
		}
	}
}

func tile2x3(k int, a []float32, stepRow, stepK int, b []float32, ldb int, c []float32, ldc int, add bool) {
	c0, c1 := c[:3:3], c[ldc:ldc+3:ldc+3]
	var s00, s01, s02, s10, s11, s12 float32
	if add {
		s00, s01, s02 = c0[0], c0[1], c0[2]
		s10, s11, s12 = c1[0], c1[1], c1[2]
	}
	ia, ib := 0, 0
	for range k {
		row := b[ib : ib+3 : ib+3]
		x, y := a[ia], a[ia+stepRow]
		v := row[0]
		s00 += float32(x * v)
		s10 += float32(y * v)
		v = row[1]
		s01 += float32(x * v)
		s11 += float32(y * v)
		v = row[2]
		s02 += float32(x * v)
		s12 += float32(y * v)
		ia += stepK
		ib += ldb
	}
	c0[0], c0[1], c0[2] = s00, s01, s02
	c1[0], c1[1], c1[2] = s10, s11, s12
}

func tile1x3(k int, a []float32, stepK int, b []float32, ldb int, c []float32, add bool) {
	c0 := c[:3:3]
	var s0, s1, s2 float32
	if add {
		s0, s1, s2 = c0[0], c0[1], c0[2]
	}
	ia, ib := 0, 0
	for range k {
		row := b[ib : ib+3 : ib+3]
		x := a[ia]
		s0 += float32(x * row[0])
		s1 += float32(x * row[1])
		s2 += float32(x * row[2])
		ia += stepK
		ib += ldb
	}
	c0[0], c0[1], c0[2] = s0, s1, s2
}

func tile1x1(k int, a []float32, stepK int, b []float32, ldb int, c *float32, add bool) {
	s := float32(0)
	if add {
		s = *c
	}
	ia, ib := 0, 0
	for range k {
		s += float32(a[ia] * b[ib])
		ia += stepK
		ib += ldb
	}
	*c = s
}

func packRowsGeneric(dst, b []float32, ldb, n, k int) {
	for j := range n {
		row := b[j*ldb : j*ldb+k]
		out := dst[j:]
		for p, v := range row {
			out[p*genericBlocking.cols] = v
		}
	}
}

func packColumnsGeneric(dst []float32, step int, b []float32, ldb, n, k int) {
	cols := genericBlocking.cols
	for p := range k {
		row := b[p*ldb : p*ldb+n]
		for j := 0; j < n; j += cols {
			copy(dst[j/cols*step+p*cols:], row[j:min(j+cols, n)])
		}
	}
}
