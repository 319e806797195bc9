/* The parts of the reference path: each fills its entries of the table. */
#ifndef CPU_KERNELS_REFERENCE_H
#define CPU_KERNELS_REFERENCE_H

#include "cpu/kernels.h"

void reference_linear(struct kernels *kernels);
void reference_elementwise(struct kernels *kernels);
void reference_attention(struct kernels *kernels);

#endif
