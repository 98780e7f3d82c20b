//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

//go:generate go -C _asm run . -part gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg kernel
//go:generate go -C _asm run . -part rows -out ../rows_amd64.s -stubs ../rows_amd64.go -pkg kernel

// What processor and operating system support of what the assembly needs.
var (
	haveAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2
	haveAVX512 = haveAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ
)
