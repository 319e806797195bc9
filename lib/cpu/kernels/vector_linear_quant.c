/* Linear layers of the quantized weight types with int8 activations: the kernels are
 * vector_quant_template.h, how each type's packed block becomes bytes is vector_quant_unpack.h, and
 * how bytes are multiplied is up to the instruction set. */
#include <string.h>

#include "cpu/kernels/simd.h"
#include "cpu/kernels/vector.h"
#include "cpu/kernels/vector_packed.h"
#include "cpu/kernels/vector_quant_unpack.h"

#define STRIP_BLOCKS 32 /* blocks of 32 columns unpacked at a time: 20 or 40 KiB */
#define TOKEN_BLOCK 240 /* rows whose strip of activations stays in L2 while the groups pass */
#define PREFETCH_BYTES 2560

#define TYPE Q4_0
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (18 * SIMD_LANES)
#define UNPACK unpack_q4_0
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q4_1
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (20 * SIMD_LANES)
#define UNPACK unpack_q4_1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q5_0
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (22 * SIMD_LANES)
#define UNPACK unpack_q5_0
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q5_1
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (24 * SIMD_LANES)
#define UNPACK unpack_q5_1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q8_0
#define KIND s8
#define SUB_BLOCKS 1
#define BLOCK_BYTES (34 * SIMD_LANES)
#define UNPACK unpack_q8_0
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q2_K
#define KIND halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (84 * SIMD_LANES)
#define UNPACK unpack_q2_k
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q3_K
#define KIND halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (114 * SIMD_LANES)
#define UNPACK unpack_q3_k
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q4_K
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (148 * SIMD_LANES)
#define UNPACK unpack_q4_k
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q5_K
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (180 * SIMD_LANES)
#define UNPACK unpack_q5_k
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q6_K
#define KIND halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (210 * SIMD_LANES)
#define UNPACK unpack_q6_k
#include "cpu/kernels/vector_quant_template.h"

void vector_linear_quant(struct kernels *kernels) {
    kernels->linear[WEIGHT_Q4_0] = kernel_Q4_0;
    kernels->linear[WEIGHT_Q4_1] = kernel_Q4_1;
    kernels->linear[WEIGHT_Q5_0] = kernel_Q5_0;
    kernels->linear[WEIGHT_Q5_1] = kernel_Q5_1;
    kernels->linear[WEIGHT_Q8_0] = kernel_Q8_0;
    kernels->linear[WEIGHT_Q2_K] = kernel_Q2_K;
    kernels->linear[WEIGHT_Q3_K] = kernel_Q3_K;
    kernels->linear[WEIGHT_Q4_K] = kernel_Q4_K;
    kernels->linear[WEIGHT_Q5_K] = kernel_Q5_K;
    kernels->linear[WEIGHT_Q6_K] = kernel_Q6_K;
}
