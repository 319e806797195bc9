/* The kernels' machine code, embedded by the build (cuda/embed.sh) as the compiler made it. */
#ifndef CUDA_IMAGE_H
#define CUDA_IMAGE_H

#include <stdint.h>

struct image_part { /* one source's code for all architectures */
    const void *begin, *end;
};

extern const struct image_part image_parts[]; /* [image_n_parts] */
extern const uint32_t image_n_parts;          /* 0: built without kernels */
extern const uint32_t image_n_hopper;         /* the last of them, for sm_90a alone */
extern const uint32_t image_toolkit;          /* 1000 * major + 10 * minor of the compiler's CUDA */
extern const char image_archs[];              /* "sm_80, sm_90, compute_80" */

/* CUDA that a driver must know to run them. */
static inline int image_least_driver(void) {
    return (int)(image_toolkit / 1000 * 1000);
}

#endif
