/* What the attention kernels for warpgroups have in common: the walk through a block's pages,
 * places in a ring, pages that aren't seen whole, and totals that are parked in the output.
 *
 * Pages lie in shared memory as tensor copies put them: 64 dims of all positions, then the next 64,
 * swizzled. The engine copies what lies in a page, seen or not: scores are masked, and where a page
 * isn't seen whole its values are put in order first: zeros where nobody sees them, and without
 * what is not finite, which comes after. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_PAGES_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_PAGES_CUH

#include "cuda/kernels/ptx_hopper.cuh"

#include "cuda/kernels/attention/attention.cuh"
#include "cuda/kernels/attention/attention_hopper_args.h"

namespace attention_hopper_pages {

static constexpr uint32_t box_bytes = ATTENTION_PAGE * 128; /* 64 dims of a page */
static constexpr uint32_t first_consumer = 4;               /* warp */
static_assert(ATTENTION_HOPPER_ROWS == ATTENTION_PAGE, "queries lie in boxes of that size too");

/* Where 16-byte piece `piece` (8 dims) of row r lies in boxes. */
DEVICE uint32_t piece_at(uint32_t r, uint32_t piece) {
    return piece / 8 * box_bytes + r * 128 + ((piece % 8) ^ (r % 8)) * 16;
}

/* One value for all lanes, and the compiler knows: products must not be where lanes part. */
DEVICE uint32_t of_all(uint32_t value) {
    return shuffle(value, 0);
}

/* ---- items ---- */

DEVICE uint32_t end_query(const attention_args &args, const attention_item *item) {
    const uint32_t n = (uint32_t)load_global<int32_t>(&item->n_queries);
    if (n) return (uint32_t)load_global<int32_t>(&item->first_query) + n;
    return (uint32_t)load_global<int32_t>(&item->n_rows) * (args.n_heads / args.kv.n_kv_heads);
}

/* Pages of all tiles of this block, in the order in which they are multiplied: page(tile, page). */
template <uint32_t TILE_QUERIES, typename F>
DEVICE void pages_walk(const attention_args &args, const F &page_do) {
    const uint32_t n_items = load_global<uint32_t>(args.n_items);
    for (uint32_t i = block_index(); i < n_items; i += block_count()) {
        const attention_item *item = args.items + i;
        uint32_t first = (uint32_t)load_global<int32_t>(&item->first_query);
        const uint32_t end = end_query(args, item);
        for (; first < end; first += TILE_QUERIES) {
            const tile t =
                tile_of(args, item, first, end - first < TILE_QUERIES ? end - first : TILE_QUERIES);
            for (uint32_t page = t.first_page; page < t.end_page; page++) page_do(t, page);
        }
    }
}

DEVICE tile tile_of_all(const attention_args &args, const attention_item *item, uint32_t first,
                        uint32_t n) {
    tile t = tile_of(args, item, first, n);
    t.first_page = of_all(t.first_page);
    t.end_page = of_all(t.end_page);
    t.all_begin = (int32_t)of_all((uint32_t)t.all_begin);
    t.all_end = (int32_t)of_all((uint32_t)t.all_end);
    return t;
}

DEVICE bool seen_whole(const tile &t, uint32_t page) {
    const int32_t first_key = (int32_t)page * ATTENTION_PAGE;
    return first_key >= t.all_begin && first_key + ATTENTION_PAGE <= t.all_end;
}

/* Row of the map where a half of a page begins. */
template <typename S>
DEVICE int32_t map_row_of(const attention_args &args, const tile &t, uint32_t page, bool values) {
    const size_t offset = (size_t)(half_address<S>(args, t, page, values) - args.kv.pool);
    return (int32_t)(offset / (2 * args.kv.key_dim));
}

/* ---- pages that aren't seen whole ---- */

DEVICE void consumers_sync() {
    group_sync(15, ATTENTION_HOPPER_CONSUMERS);
}

/* What pages seldom need of a tile is made anew: registers are short. */
DEVICE void range_anew(const attention_args &args, const tile &t, uint32_t page, uint32_t *begin,
                       uint32_t *end) {
    page_range(tile_of(args, t.item, t.first_query, t.n_queries), page, begin, end);
}

/* By all warps that multiply; found: a word of shared memory for each of them. true: something was
 * not finite, and is zero now. */
template <bool F16, uint32_t DIM>
DEVICE bool clear_values(const attention_args &args, const tile &t, uint32_t page, shared stage,
                         shared found_at) {
    uint32_t begin, end, found = 0;
    range_anew(args, t, page, &begin, &end);
    consumers_sync();
    for (uint32_t i = thread_index() - first_consumer * 32; i < ATTENTION_PAGE * DIM / 8;
         i += ATTENTION_HOPPER_CONSUMERS) {
        const uint32_t key = i / (DIM / 8), piece = i % (DIM / 8);
        const shared at = stage + piece_at(key, piece);
        const bool seen = key >= begin && key < end;
        u32x4 eight = load_shared<u32x4>(at);
        const u32x4 infinite = {infinite_halves<F16>(eight.x), infinite_halves<F16>(eight.y),
                                infinite_halves<F16>(eight.z), infinite_halves<F16>(eight.w)};
        const uint32_t any = infinite.x | infinite.y | infinite.z | infinite.w;
        if (seen && !any) continue;
        found |= seen ? any : 0;
        const uint32_t keep = seen ? 0xFFFFFFFFu : 0;
        eight = u32x4{eight.x & keep & ~infinite.x, eight.y & keep & ~infinite.y,
                      eight.z & keep & ~infinite.z, eight.w & keep & ~infinite.w};
        store_shared(at, eight);
    }
    const uint32_t warp = warp_index() - first_consumer, of_warp = warp_ballot(found != 0);
    if (lane_index() == 0) store_shared<uint32_t>(found_at + 4 * warp, of_warp);
    fence_proxy_async();
    consumers_sync();
    found = 0;
    for (uint32_t i = 0; i < ATTENTION_HOPPER_CONSUMERS / 32; i++)
        found |= load_shared<uint32_t>(found_at + 4 * i);
    return of_all(found) != 0;
}

/* Two stored values as operands: dims d and d + 1 of a key, which is at `row`, its scales at
 * `scales`. d = first + 8 j: addresses of j and j + 1 differ by a constant. */
template <typename S>
DEVICE uint32_t stored_pair(const uint8_t *row, const uint8_t *scales, uint32_t first, uint32_t j) {
    if constexpr (!S::converts) return load_global<uint32_t>(row + 16 * j);
    const uint32_t pair = load_global<uint16_t>(row + 8 * j);
    if constexpr (S::type == CUDA_KV_E4M3) return e4m3_pair((pair & 0xFFu) | (pair & 0xFF00u) << 8);
    const float scale =
        q8_scale(load_global<uint16_t>(scales + (first + 8 * j) / KV_SCALE_DIMS * 2));
    return q8_to_f16(pair, scale).x;
}

/* A key's weights for the two queries of a lane. */
template <typename S>
DEVICE void weights_of_key(const weights<S> &p, shared memory, uint32_t key, float weight[2]) {
    uint32_t pair[2] = {0, 0};
    if constexpr (S::dim_warps > 1) {
        for (uint32_t half = 0; half < 2; half++)
            pair[half] = load_shared<uint16_t>(
                memory + S::weights_at(S::row_of_lane() + 8 * half, key / 8) + key % 8 * 2);
    } else {
        const uint32_t lane = lane_index() / 4 * 4 + key % 8 / 2; /* that has them */
        /* By masks: registers have no index. */
#pragma unroll
        for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++) {
            const uint32_t low = key / 8 == 2 * k ? 0xFFFFFFFFu : 0;
            const uint32_t high = key / 8 == 2 * k + 1 ? 0xFFFFFFFFu : 0;
            for (uint32_t half = 0; half < 2; half++)
                pair[half] |= (p.w[0][k][half] & low) | (p.w[0][k][2 + half] & high);
        }
        for (uint32_t half = 0; half < 2; half++)
            pair[half] = shuffle(pair[half], lane) >> key % 2 * 16;
    }
    for (uint32_t half = 0; half < 2; half++)
        weight[half] =
            S::f16 ? f16_to_f32((uint16_t)pair[half]) : bf16_to_f32((uint16_t)pair[half]);
}

/* Of a lane's two queries. */
template <typename S> DEVICE bool sees(shared memory, uint32_t half, uint32_t page, uint32_t key) {
    const query_seen query =
        load_shared<query_seen>(memory + S::at_seen + 16 * (S::row_of_lane() + 8 * half));
    const int32_t position = (int32_t)(page * ATTENTION_PAGE + key);
    return position >= query.begin && position < query.end;
}

/* What clear_values took away, from where it lies in global memory: 0 times it is a NaN, which
 * queries that don't see the key must not get. t: of this warp's queries. */
template <typename S>
DEVICE void add_infinite(const attention_args &args, const tile &t, uint32_t page, shared memory,
                         const weights<S> &p, partial<S> &part) {
    const tile all = tile_of(args, t.item, t.first_query, t.n_queries);
    const uint8_t *rows = half_address<S>(args, all, page, true);
    const uint32_t dim = args.kv.value_dim, stride = stored_dim<S>(args, true);
    uint32_t begin, end;
    page_range(all, page, &begin, &end);
    const uint32_t bytes = S::converts ? 1 : 2, first = S::first_value() + lane_index() % 4 * 2;
    const uint32_t n_scales = (stride + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS;
    for (uint32_t key = begin; key < end; key++) {
        const uint8_t *row = rows + bytes * (key * stride + first);
        const uint8_t *scales = rows + ATTENTION_PAGE * stride + 2 * key * n_scales;
        float weight[2];
        weights_of_key<S>(p, memory, key, weight);
        const bool seen[2] = {sees<S>(memory, 0, page, key), sees<S>(memory, 1, page, key)};
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles; j++) {
            warp_sync(); /* a fence to the compiler, which would load all before the first product
                          */
            if (first + 8 * j >= dim) continue;
            const uint32_t pair = stored_pair<S>(row, scales, first, j);
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                const uint16_t bits = (uint16_t)(pair >> i % 2 * 16);
                const float value = S::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
                const bool counts = infinite_halves<S::f16>(bits) && seen[i / 2];
                const float before = part.values[j][i];
                part.values[j][i] = counts ? before + weight[i / 2] * value : before;
            }
        }
    }
}

/* ---- totals in the output: a lane's own, which nobody else reads or writes ---- */

/* As total_merge. A division here would cost more registers than there are. */
template <typename S>
DEVICE void parked_merge(softmax_pair &total, const partial<S> &part, const attention_args &args,
                         const tile &t) {
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        const uint32_t r = S::row_of_lane() + 8 * half;
        const bool first = total.sum[half] == 0.0f;
        const merge_factors f = merge_softmax(&total.maximum[half], &total.sum[half],
                                              part.softmax.maximum[half], part.softmax.sum[half]);
        const bool valid = r < t.n_queries;
        const query_place at = query_place_of(args, t, valid ? r : 0);
        float *to =
            args.out + (size_t)at.row * args.out_stride + (size_t)at.head * args.kv.value_dim;
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles; j++) {
            const uint32_t d = S::first_value() + j * 8 + lane_index() % 4 * 2;
            if (j % 4 == 0) warp_sync(); /* a fence to the compiler, which would load all at once */
            if (!valid || d >= args.kv.value_dim) continue;
            f32x2 sum = first ? f32x2{0.0f, 0.0f} : load_global<f32x2>(to + d);
            sum = f32x2{merge_value(f, sum.x, part.values[j][2 * half]),
                        merge_value(f, sum.y, part.values[j][2 * half + 1])};
            store_global(to + d, sum);
        }
    }
}

/* As total_write. Nothing seen: zeros. */
template <typename S>
DEVICE void parked_finish(const softmax_pair &total, const attention_args &args, const tile &t) {
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        const uint32_t r = S::row_of_lane() + 8 * half;
        if (r >= t.n_queries) continue;
        const query_place at = query_place_of(args, t, r);
        const bool nothing = total.sum[half] == 0.0f;
        const float factor = finish_factor(args, at.head, total.maximum[half], total.sum[half]);
        float *to =
            args.out + (size_t)at.row * args.out_stride + (size_t)at.head * args.kv.value_dim;
#pragma unroll 4
        for (uint32_t j = 0; j < S::value_tiles; j++) {
            const uint32_t d = S::first_value() + j * 8 + lane_index() % 4 * 2;
            if (d >= args.kv.value_dim) continue;
            const f32x2 sum = nothing ? f32x2{0.0f, 0.0f} : load_global<f32x2>(to + d);
            store_global(to + d, f32x2{finish_value(factor, sum.x), finish_value(factor, sum.y)});
        }
    }
}

} // namespace attention_hopper_pages

#endif
