/* Ways in which a tensor core may add up d = a b + c of m16n8k16: the emulator's, and those that
 * publications found on devices; e4m3 has longer groups. A device is compared with all of them. */
#ifndef GPU_MMA_MODELS_H
#define GPU_MMA_MODELS_H

#include <stdbool.h>

#include "tests/gpu/probe_args.h"

struct mma_model {
    const char *name;
    int group;      /* products that are added at once, to what the groups before gave */
    int extra_bits; /* beyond the 24 of f32, to which terms are cut; MMA_EXACT: none is cut */
    bool fused;     /* one product at a time, each sum rounded: fma */
};

#define MMA_EXACT 99
#define MMA_EMULATED 0 /* index of the emulator's own */
extern const struct mma_model mma_models[];
extern const int mma_n_models;

/* a[n] b[n] + c, n a multiple of the model's group. */
float mma_add(const struct mma_model *model, enum probe_type type, const float *a, const float *b,
              int n, float c);
/* Of models whose groups are no longer than 16. */
void mma_by_model(const struct mma_model *model, enum probe_type type,
                  const struct probe_case *from, struct probe_sum *sum);
/* An element's value, and the nearest element of a value. */
float mma_value(enum probe_type type, uint16_t bits);
uint16_t mma_element(enum probe_type type, float value);

#endif
