/* What attention kernels for warpgroups take beside attention_args. */
#ifndef GPU_ATTENTION_MAP_H
#define GPU_ATTENTION_MAP_H

#include "cuda/kernels/attention/attention_hopper_args.h"
#include "gpu_test.h"

/* n_pages: of the pool. */
void attention_map_make(struct gpu *gpu, const struct attention_args *args, uint64_t n_pages,
                        struct attention_hopper_args *made);

#endif
