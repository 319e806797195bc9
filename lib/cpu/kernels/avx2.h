/* The parts of the AVX2 path (AVX2, FMA, F16C): each overrides its entries of the table. */
#ifndef CPU_KERNELS_AVX2_H
#define CPU_KERNELS_AVX2_H

#include "cpu/kernels.h"

void avx2_linear_float(struct kernels *kernels);
void avx2_linear_quant(struct kernels *kernels);
void avx2_elementwise(struct kernels *kernels);
void avx2_attention(struct kernels *kernels);

#endif
