//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

//go:generate go -C _asm run . -part gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg kernel
//go:generate go -C _asm run . -part rows -out ../rows_amd64.s -stubs ../rows_amd64.go -pkg kernel

// haveAVX2 says that processor and operating system support what the assembly needs.
var haveAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA

func packAVX2(dst, b []float32, ldb, nc, kc int) {
	for j := 0; j < nc; j += 8 {
		pack8AVX2(&dst[j], &b[j*ldb], ldb, min(8, nc-j), kc)
	}
}
