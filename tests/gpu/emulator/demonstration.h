/* Arguments of the kernels that test the emulator itself. */
#ifndef GPU_DEMONSTRATION_H
#define GPU_DEMONSTRATION_H

#include <stdint.h>

struct scale_args {
    const float *x;
    float *y;
    uint32_t n, padding;
};

/* y[m][n] = a[m][k] b[n][k]; blocks of 32 rows and 8 columns, rows first; k a multiple of 8. */
struct product_args {
    const uint16_t *a, *b;
    float *y;
    uint32_t m, n, k, padding;
};
enum { PRODUCT_ROWS = 32, PRODUCT_COLUMNS = 8, PRODUCT_STAGE = (32 + 8) * 128 };
enum { PRODUCT_SHARED = 2 * PRODUCT_STAGE, PRODUCT_THREADS = 64 };

#ifndef __cplusplus
struct tensor_map { /* cuda/kernels/ptx_hopper.cuh */
    uint64_t opaque[16];
} __attribute__((aligned(64)));
#endif
#if !defined __cplusplus || defined CUDA_KERNELS_PTX_HOPPER_CUH
/* y[m][64] = a[m][k] b[64][k]; a block or two in a cluster for 64 rows each; k a multiple of 8. */
struct hopper_args {
    struct tensor_map a, b;  /* boxes of 64 columns and 64 rows of a, 32 of b */
    const uint16_t *rows;    /* a again, for what reads it itself */
    const uint16_t *columns; /* b */
    float *y;
    uint32_t m, k;
};
enum { HOPPER_STAGE = 2 * 64 * 128, HOPPER_SHARED = 2 * HOPPER_STAGE + 32, HOPPER_THREADS = 256 };
#endif

#endif
