/* Where dim (or scale) i of a position lies in its head's part of a page, the same on every path: a
 * row of [KV_PAGE][n] or a column of [n][KV_PAGE]. */
#ifndef CPU_KERNELS_KV_POSITION_H
#define CPU_KERNELS_KV_POSITION_H

#include "cpu/kernels.h"

struct kv_position {
    size_t first, step; /* dims */
    size_t first_scale, scale_step;
};

static inline size_t kv_scales(size_t n) {
    return (n + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS;
}

/* Scales follow the quants. */
static inline uint16_t *kv_scales_of(void *head, size_t n) {
    return (uint16_t *)(void *)((int8_t *)head + KV_PAGE * n);
}

static inline struct kv_position kv_row(size_t position, size_t n) {
    return (struct kv_position){position * n, 1, position * kv_scales(n), 1};
}

static inline struct kv_position kv_column(size_t position) {
    return (struct kv_position){position, KV_PAGE, position, KV_PAGE};
}

#endif
