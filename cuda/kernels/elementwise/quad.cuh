/* Four columns of a row at a time; the last ones of a row may be fewer. */
#ifndef CUDA_KERNELS_ELEMENTWISE_QUAD_CUH
#define CUDA_KERNELS_ELEMENTWISE_QUAD_CUH

#include "cuda/kernels/ptx.cuh"

struct alignas(16) quad {
    float v[4];
};

/* Columns col ... col + 3 of a row of n, col a multiple of 4 below n; zeros beyond its end. */
DEVICE quad load_quad(const float *row, uint32_t col, uint32_t n) {
    quad q;
    if (col + 4 <= n) return load_global<quad>(row + col);
    for (uint32_t i = 0; i < 4; i++)
        q.v[i] = col + i < n ? load_global<float>(row + col + i) : 0.0f;
    return q;
}

DEVICE void store_quad(float *row, uint32_t col, uint32_t n, const quad &q) {
    if (col + 4 <= n) {
        store_global<quad>(row + col, q);
        return;
    }
    for (uint32_t i = 0; i < 4; i++)
        if (col + i < n) store_global<float>(row + col + i, q.v[i]);
}

/* How many are in the row. */
DEVICE uint32_t quad_size(uint32_t col, uint32_t n) {
    return col + 4 <= n ? 4 : n - col;
}

#endif
