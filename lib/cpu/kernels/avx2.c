#include "cpu/kernels/avx2.h"

/* Q2_K, Q3_K and Q8_K keep the reference kernels, and with them f32 activations. */
void kernels_avx2(struct kernels *kernels) {
    kernels->name = "avx2";
    avx2_linear_float(kernels);
    avx2_linear_quant(kernels);
    avx2_elementwise(kernels);
    avx2_attention(kernels);
}
