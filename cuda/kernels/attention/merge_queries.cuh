/* The parts that several attention items left, merged: a warp for a query, a lane for every 32nd
 * dim. */
#ifndef CUDA_KERNELS_ATTENTION_MERGE_QUERIES_CUH
#define CUDA_KERNELS_ATTENTION_MERGE_QUERIES_CUH

#include "cuda/kernels/attention/attention_merge.cuh"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/place.cuh"

DEVICE void query_merge(const attention_args &args, const attention_merge_item &item,
                        uint32_t query, uint32_t heads) {
    uint32_t n_queries = (uint32_t)item.n_rows * heads, head = item.kv_head * heads + query % heads;
    size_t floats = CUDA_ATTENTION_PART_FLOATS(args.kv.value_dim);
    const float *parts = args.parts + ((size_t)item.part + query) * floats;
    float *out = args.out + (size_t)(item.first_row + query / heads) * args.out_stride +
                 (size_t)head * args.kv.value_dim;
    for (uint32_t d = lane_index(); d < args.kv.value_dim; d += 32) {
        float maximum = MINUS_INFINITY, sum = 0.0f, value = 0.0f;
        for (int32_t split = 0; split < item.n_splits; split++) {
            const float *part = parts + (size_t)split * n_queries * floats;
            f32x2 state = load_global<f32x2>(part);
            merge_factors f = merge_softmax(&maximum, &sum, state.x, state.y);
            value = merge_value(f, value, load_global<float>(part + 4 + d));
        }
        float factor = finish_factor(args, head, maximum, sum);
        store_global(out + d, finish_value(factor, value));
    }
}

static_assert(ATTENTION_MERGE_QUERIES == ATTENTION_MERGE_THREADS / 32, "one for a warp");

template <typename Place>
DEVICE void attention_merge_run(const Place &place, const attention_args &args) {
    place_wait(place);
    place_let_next_begin(place);
    uint32_t n_merges = load_global<uint32_t>(args.n_merges);
    uint32_t heads = args.n_heads / args.kv.n_kv_heads, n_warps = ATTENTION_MERGE_THREADS / 32;
    for (uint32_t i = place_block(place); i < n_merges; i += place_blocks(place)) {
        const attention_merge_item *from = args.merges + i;
        attention_merge_item item = {};
        item.first_row = load_global<int32_t>(&from->first_row);
        item.n_rows = load_global<int32_t>(&from->n_rows);
        item.kv_head = load_global<int32_t>(&from->kv_head);
        item.part = load_global<int32_t>(&from->part);
        item.n_splits = load_global<int32_t>(&from->n_splits);
        uint32_t first = (uint32_t)load_global<int32_t>(&from->first_query);
        uint32_t n = (uint32_t)load_global<int32_t>(&from->n_queries);
        uint32_t end = n ? first + n : (uint32_t)item.n_rows * heads;
        for (uint32_t q = first + warp_index(); q < end; q += n_warps)
            query_merge(args, item, q, heads);
    }
}

#endif
