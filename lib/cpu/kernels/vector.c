#include "cpu/kernels/vector.h"

#define kernels_path VECTOR_NAME(kernels)

/* Q2_K, Q3_K and Q8_K keep the reference kernels, and with them f32 activations. */
void kernels_path(struct kernels *kernels) {
    kernels->name = VECTOR_TEXT(VECTOR_PATH);
    vector_linear_float(kernels);
    vector_linear_quant(kernels);
    vector_elementwise(kernels);
    vector_kv(kernels);
    vector_attention(kernels);
}
