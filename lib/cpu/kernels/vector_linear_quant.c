/* Linear layers of the quantized weight types with int8 activations: the kernels are
 * vector_quant_template.h, how each type's packed block becomes bytes is vector_quant_unpack.h, and
 * how bytes are multiplied is up to the instruction set. */
#include <string.h>

#include "cpu/kernels/simd.h"
#include "cpu/kernels/vector.h"
#include "cpu/kernels/vector_packed.h"
#include "cpu/kernels/vector_quant_levels.h"
#include "cpu/kernels/vector_quant_unpack.h"

#define STRIP_BLOCKS 32 /* blocks of 32 columns unpacked at a time: 20 or 40 KiB */
#define TOKEN_BLOCK 240 /* rows whose strip of activations stays in L2 while the groups pass */
#define PREFETCH_BYTES 2560
#define ROW_SET 8            /* activation rows that are multiplied together */
#define FEW_ROWS 32          /* of activations: weights go group by group, each read once */
#define SHORT_STRIP_BLOCKS 8 /* unpacked at a time for few rows; a multiple of SUB_BLOCKS */

typedef void multiply_rows(const uint8_t *group, size_t n_blocks, const uint8_t *x, size_t x_stride,
                           float *y, size_t y_stride);

#define KIND offset
#include "cpu/kernels/vector_quant_products.h"
#define KIND halves
#include "cpu/kernels/vector_quant_products.h"
#if defined(s8_block) /* one of the two above */
#define s8_rows offset_rows
#define s8_tiles offset_tiles
#define s8_halves_rows halves_rows
#define s8_halves_tiles halves_tiles
#else
#define KIND s8
#include "cpu/kernels/vector_quant_products.h"
#define KIND s8_halves
#include "cpu/kernels/vector_quant_products.h"
#endif

#define TYPE Q4_0
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (18 * SIMD_LANES)
#define UNPACK unpack_q4_0
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q4_1
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (20 * SIMD_LANES)
#define UNPACK unpack_q4_1
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q5_0
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (22 * SIMD_LANES)
#define UNPACK unpack_q5_0
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q5_1
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (24 * SIMD_LANES)
#define UNPACK unpack_q5_1
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q8_0
#define KIND s8
#define SUB_BLOCKS 1
#define BLOCK_BYTES (34 * SIMD_LANES)
#define UNPACK unpack_q8_0
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q2_K
#define KIND halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (84 * SIMD_LANES)
#define UNPACK unpack_q2_k
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q3_K
#define KIND halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (114 * SIMD_LANES)
#define UNPACK unpack_q3_k
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q4_K
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (148 * SIMD_LANES)
#define UNPACK unpack_q4_k
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q5_K
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (180 * SIMD_LANES)
#define UNPACK unpack_q5_k
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE Q6_K
#define KIND halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (210 * SIMD_LANES)
#define UNPACK unpack_q6_k
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ4_NL
#define KIND s8
#define SUB_BLOCKS 1
#define BLOCK_BYTES (18 * SIMD_LANES)
#define UNPACK unpack_iq4_nl
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE MXFP4
#define KIND offset
#define SUB_BLOCKS 1
#define BLOCK_BYTES (17 * SIMD_LANES)
#define UNPACK unpack_mxfp4
#define STRAIGHT_ROWS 16
#include "cpu/kernels/vector_quant_template.h"

#define TYPE NVFP4
#define KIND halves
#define SUB_BLOCKS 2
#define BLOCK_BYTES (36 * SIMD_LANES)
#define UNPACK unpack_nvfp4
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ4_XS
#define KIND s8
#define SUB_BLOCKS 8
#define BLOCK_BYTES (138 * SIMD_LANES)
#define UNPACK unpack_iq4_xs
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ3_XXS
#define KIND s8
#define SUB_BLOCKS 8
#define BLOCK_BYTES (138 * SIMD_LANES)
#define UNPACK unpack_iq3_xxs
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ3_S
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (138 * SIMD_LANES)
#define UNPACK unpack_iq3_s
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE TQ1_0
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (66 * SIMD_LANES)
#define UNPACK unpack_ternary
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE TQ2_0
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (66 * SIMD_LANES)
#define UNPACK unpack_ternary
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ1_S
#define KIND offset
#define SUB_BLOCKS 8
#define BLOCK_BYTES (106 * SIMD_LANES)
#define UNPACK unpack_iq1_s
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ1_M
#define KIND halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (114 * SIMD_LANES)
#define UNPACK unpack_iq1_m
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ2_XXS
#define KIND s8
#define SUB_BLOCKS 8
#define BLOCK_BYTES (106 * SIMD_LANES)
#define UNPACK unpack_iq2_xxs
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ2_XS
#define KIND s8_halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (114 * SIMD_LANES)
#define UNPACK unpack_iq2_halves
#define STRAIGHT_ROWS 1
#include "cpu/kernels/vector_quant_template.h"

#define TYPE IQ2_S
#define KIND s8_halves
#define SUB_BLOCKS 8
#define BLOCK_BYTES (114 * SIMD_LANES)
#define UNPACK unpack_iq2_halves
#define STRAIGHT_ROWS 1
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
    kernels->linear[WEIGHT_IQ4_NL] = kernel_IQ4_NL;
    kernels->linear[WEIGHT_MXFP4] = kernel_MXFP4;
    kernels->linear[WEIGHT_NVFP4] = kernel_NVFP4;
    kernels->linear[WEIGHT_IQ4_XS] = kernel_IQ4_XS;
    kernels->linear[WEIGHT_IQ3_XXS] = kernel_IQ3_XXS;
    kernels->linear[WEIGHT_IQ3_S] = kernel_IQ3_S;
    kernels->linear[WEIGHT_TQ1_0] = kernel_TQ1_0;
    kernels->linear[WEIGHT_TQ2_0] = kernel_TQ2_0;
    kernels->linear[WEIGHT_IQ1_S] = kernel_IQ1_S;
    kernels->linear[WEIGHT_IQ1_M] = kernel_IQ1_M;
    kernels->linear[WEIGHT_IQ2_XXS] = kernel_IQ2_XXS;
    kernels->linear[WEIGHT_IQ2_XS] = kernel_IQ2_XS;
    kernels->linear[WEIGHT_IQ2_S] = kernel_IQ2_S;
}
