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

#endif
