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

enum probe_type { PROBE_BF16, PROBE_F16 };

/* sums[i] = a b + c of cases[i]. One block of a warp for a case. */
struct probe_mma_args {
    const struct probe_case *cases;
    struct probe_sum *sums;
    uint32_t type; /* enum probe_type */
    uint32_t n_cases;
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
