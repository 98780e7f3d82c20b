package kernel

// The portable matrix product. Products are converted to float32 explicitly: that keeps compilers from fusing them into
// the additions on some platforms and not on others, or in some tiles and not in others.

// gemmPanelGeneric computes C[m, n] = A*B, or += if add is set, where element (i, p) of A is a[i*stepRow+p*stepK]. It
// works in tiles of 2 by 4, whose eight sums fit the registers.
func gemmPanelGeneric(m, n, k int, a []float32, stepRow, stepK int, b []float32, ldb int, c []float32, ldc int, add bool) {
	i := 0
	for ; i+2 <= m; i += 2 {
		j := 0
		for ; j+4 <= n; j += 4 {
			tile2x4(k, a[i*stepRow:], stepRow, stepK, b[j:], ldb, c[i*ldc+j:], ldc, add)
		}
		for ; j < n; j++ {
			tile1x1(k, a[i*stepRow:], stepK, b[j:], ldb, &c[i*ldc+j], add)
			tile1x1(k, a[(i+1)*stepRow:], stepK, b[j:], ldb, &c[(i+1)*ldc+j], add)
		}
	}
	if i < m {
		j := 0
		for ; j+4 <= n; j += 4 {
			tile1x4(k, a[i*stepRow:], stepK, b[j:], ldb, c[i*ldc+j:], add)
		}
		for ; j < n; j++ {
			tile1x1(k, a[i*stepRow:], stepK, b[j:], ldb, &c[i*ldc+j], add)
		}
	}
}

func tile2x4(k int, a []float32, stepRow, stepK int, b []float32, ldb int, c []float32, ldc int, add bool) {
	c0, c1 := c[:4:4], c[ldc:ldc+4:ldc+4]
	var s00, s01, s02, s03, s10, s11, s12, s13 float32
	if add {
		s00, s01, s02, s03 = c0[0], c0[1], c0[2], c0[3]
		s10, s11, s12, s13 = c1[0], c1[1], c1[2], c1[3]
	}
	ia, ib := 0, 0
	for range k {
		row := b[ib : ib+4 : ib+4]
		x, y := a[ia], a[ia+stepRow]
		s00 += float32(x * row[0])
		s01 += float32(x * row[1])
		s02 += float32(x * row[2])
		s03 += float32(x * row[3])
		s10 += float32(y * row[0])
		s11 += float32(y * row[1])
		s12 += float32(y * row[2])
		s13 += float32(y * row[3])
		ia += stepK
		ib += ldb
	}
	c0[0], c0[1], c0[2], c0[3] = s00, s01, s02, s03
	c1[0], c1[1], c1[2], c1[3] = s10, s11, s12, s13
}

func tile1x4(k int, a []float32, stepK int, b []float32, ldb int, c []float32, add bool) {
	c0 := c[:4:4]
	var s0, s1, s2, s3 float32
	if add {
		s0, s1, s2, s3 = c0[0], c0[1], c0[2], c0[3]
	}
	ia, ib := 0, 0
	for range k {
		row := b[ib : ib+4 : ib+4]
		x := a[ia]
		s0 += float32(x * row[0])
		s1 += float32(x * row[1])
		s2 += float32(x * row[2])
		s3 += float32(x * row[3])
		ia += stepK
		ib += ldb
	}
	c0[0], c0[1], c0[2], c0[3] = s0, s1, s2, s3
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

func packGeneric(dst, b []float32, ldb, nc, kc int) {
	for j := range nc {
		row := b[j*ldb : j*ldb+kc]
		out := dst[j:]
		for p, v := range row {
			out[p*panelCols] = v
		}
	}
}
