#include "cpu/kernels/reference.h"

void kernels_reference(struct kernels *kernels) {
    *kernels = (struct kernels){.name = "reference"};
    reference_linear(kernels);
    reference_elementwise(kernels);
    reference_attention(kernels);
    reference_kv(kernels);
}
