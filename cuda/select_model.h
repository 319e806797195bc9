/* What the cost models of select.c and select_hopper.c share. */
#ifndef CUDA_SELECT_MODEL_H
#define CUDA_SELECT_MODEL_H

#include "cuda/select.h"

static inline uint32_t ceil_div(uint32_t a, uint32_t b) {
    return a / b + (a % b != 0);
}
static inline uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}
static inline double larger(double a, double b) {
    return a > b ? a : b;
}

/* Of a multiprocessor, from datasheets and about: a choice needs their proportions only. */
static const double memory_bytes = 16;    /* a clock, from device memory, while all of them read */
static const double cache_bytes = 32;     /* a clock, from L2 */
static const double memory_clocks = 1000; /* from asking for bytes to having them */
static const double part_clocks = 2500;   /* parts written, counted, read again and added */

/* Row blocks of a launch whose tiles have so many rows. */
static inline uint32_t count_row_blocks(const struct gemm_problem *problem, uint32_t rows) {
    const uint32_t n = problem->combine == GEMM_GATE ? 1 : problem->n_weights;
    uint32_t n_blocks = 0;
    for (uint32_t i = 0; i < n; i++) n_blocks += ceil_div(problem->n_rows[i], rows);
    return n_blocks;
}

/* select_hopper.c: of a device that has warpgroups, for a type whose kernels use them.
 * split_cols is set before; launch.kernel is NULL where none has the memory that it needs. */
bool select_hopper_has(const struct cuda_properties *device, enum weight_type type);
void select_gemm_hopper(const struct cuda_properties *device, const struct gemm_problem *problem,
                        struct gemm_choice *choice);

#endif
