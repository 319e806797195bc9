/* Arguments of the probes: kernels that are no part of the library and tell what the machine does.
 */
#ifndef TESTS_GPU_PROBE_ARGS_H
#define TESTS_GPU_PROBE_ARGS_H

#include <stdint.h>

/* The matrices of one mma.sync as they are written: row major, 16-bit elements by their bits. */
struct probe_case {
    uint16_t a[16][16];
    uint16_t b[16][8];
    float c[16][8];
};
struct probe_sum {
    float d[16][8];
};

enum probe_type { PROBE_BF16, PROBE_F16, PROBE_E4M3 };

/* sums[i] = a b + c of cases[i]. One block of a warp for a case. */
struct probe_mma_args {
    const struct probe_case *cases;
    struct probe_sum *sums;
    uint32_t type; /* enum probe_type */
    uint32_t n_cases;
};

/* Chains of products: d[64][n] = a b (+ c), rows of a and columns of b being PROBE_K_BYTES long,
 * which is four products one after the other. probe_chain_TYPE: mma.sync, a block of a warp for 16
 * rows and 8 columns, those of a problem side by side (64 / 16 * n / 8); probe_wgmma_TYPE_nN_FORM:
 * one block of PROBE_GROUP threads for a problem, a from shared memory or from registers. */
#define PROBE_K_BYTES 128
#define PROBE_ROWS 64
#define PROBE_GROUP 128
#define PROBE_MAX_N 256
#define PROBE_WGMMA_SHARED ((PROBE_ROWS + PROBE_MAX_N) * PROBE_K_BYTES)
enum probe_begin {
    PROBE_ONTO,   /* the sums begin as c */
    PROBE_ZEROED, /* as zeros */
    PROBE_SCALE_D /* wgmma: the first product takes no sum; registers hold NaN before */
};
struct probe_chain_args {
    const uint8_t *a; /* [problem][64][PROBE_K_BYTES] */
    const uint8_t *b; /* [problem][n][PROBE_K_BYTES], columns as rows */
    const float *c;   /* [problem][64][n] */
    float *d;         /* [problem][64][n] */
    uint32_t n;
    uint32_t begin; /* enum probe_begin */
};

#define PROBE_THREADS 256
#define PROBE_MOST_IN_FLIGHT 8 /* words of 16 bytes of a thread */
#define PROBE_MOST_DEPTH 16
/* What all of the kernels below read in one step: n_bytes are a multiple of it. */
#define PROBE_STEP (PROBE_THREADS * 16 * PROBE_MOST_IN_FLIGHT)

/* probe_read_N: n_bytes once, N words of a thread being asked for before the first is used;
 * probe_ring_N: through a ring of copy_async in shared memory, N steps deep. */
struct probe_read_args {
    const void *from;
    uint32_t *sink; /* [1] for a sum that never is: so that the reads are not left out */
    uint64_t n_bytes;
};
struct probe_copy_args {
    const void *from;
    void *to;
    uint64_t n_bytes;
};

#endif
