#include "cpu/kernels/vector.h"

#define kernels_path VECTOR_NAME(kernels)

/* Q8_K keeps the reference kernel, and with it f32 activations: no file of weights has it. */
void kernels_path(struct kernels *kernels) {
    kernels->name = VECTOR_TEXT(VECTOR_PATH);
    vector_linear_float(kernels);
    vector_linear_quant(kernels);
    vector_elementwise(kernels);
    vector_kv(kernels);
    vector_attention(kernels);
}
