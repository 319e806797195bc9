/* Attention over pages of keys and values (arXiv:2205.14135) on m16n8k16 products.
 *
 * A block takes up to 16 * ROW_WARPS queries, the M rows of its products, and goes through the
 * pages that any of them sees; a key block is a page. The softmax is online, in f32, and starts
 * anew every ATTENTION_SPLIT_KEYS keys; a split's maximum, sum and values are its part, and parts
 * are merged in the order of the splits, here or by attention_merge, with the same operations.
 *
 * What a query gets is a function of itself, of the keys that it sees and of their places in the
 * pages: a page of which it sees nothing leaves every one of its numbers as it is (weights of 0, a
 * factor of 1), but for the sign of a zero, which is + at the end of every split.
 *
 * Weights are rounded to the products' type; the sum is of the weights before that.
 *
 * DIM_WARPS > 1: that many warps share 16 queries. Each has its share of a page's keys when it
 * comes to scores, and of the values' dims after that; maxima, sums and weights go through shared
 * memory. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_CUH

#include "cuda/kernels/attention/attention_scores.cuh"
#include "cuda/kernels/attention/attention_values.cuh"
#include "cuda/kernels/place.cuh"

/* ---- splits ---- */

/* What a lane has of a part: its queries' maxima and sums, and its values. */
template <typename S> struct partial {
    softmax_pair softmax;
    float values[S::value_tiles][4];
};

/* The total so far. Its last S::total_tiles tiles lie in shared memory, a lane's own. */
template <typename S> struct sum_of_parts {
    softmax_pair softmax;
    float values[S::value_tiles - S::total_tiles + 1][4]; /* the last isn't used */
};

DEVICE void softmax_clear(softmax_pair &softmax) {
    for (uint32_t half = 0; half < 2; half++) {
        softmax.maximum[half] = MINUS_INFINITY;
        softmax.sum[half] = 0.0f;
    }
}

template <typename S> DEVICE void partial_clear(partial<S> &part) {
    softmax_clear(part.softmax);
#pragma unroll
    for (uint32_t j = 0; j < S::value_tiles; j++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) part.values[j][i] = 0.0f;
}

template <typename S>
DEVICE f32x4 total_tile(const sum_of_parts<S> &total, shared memory, uint32_t j) {
    const uint32_t kept = S::value_tiles - S::total_tiles;
    if (j + S::total_tiles < S::value_tiles)
        return f32x4{total.values[j][0], total.values[j][1], total.values[j][2],
                     total.values[j][3]};
    return load_shared<f32x4>(memory + S::at_totals +
                              16 * ((j - kept) * ATTENTION_THREADS + S::thread()));
}
template <typename S>
DEVICE void total_tile_set(sum_of_parts<S> &total, shared memory, uint32_t j, f32x4 values) {
    const uint32_t kept = S::value_tiles - S::total_tiles;
    if (j + S::total_tiles < S::value_tiles) {
        total.values[j][0] = values.x;
        total.values[j][1] = values.y;
        total.values[j][2] = values.z;
        total.values[j][3] = values.w;
    } else {
        store_shared(memory + S::at_totals + 16 * ((j - kept) * ATTENTION_THREADS + S::thread()),
                     values);
    }
}

template <typename S> DEVICE void total_clear(sum_of_parts<S> &total, shared memory) {
    softmax_clear(total.softmax);
#pragma unroll
    for (uint32_t j = 0; j < S::value_tiles; j++)
        total_tile_set<S>(total, memory, j, f32x4{0.0f, 0.0f, 0.0f, 0.0f});
}

/* Sums of all lanes and warps of a query; zeros become +0. */
template <typename S> DEVICE void partial_complete(partial<S> &part, shared memory) {
    float *sum = part.softmax.sum;
    for (uint32_t half = 0; half < 2; half++)
        for (uint32_t mask = 1; mask < 4; mask *= 2)
            sum[half] = sum[half] + shuffle_xor(sum[half], mask);
    if constexpr (S::dim_warps > 1) {
        shared sums = memory + S::at_sums + 4 * S::row_of_lane();
        for (uint32_t half = 0; half < 2; half++)
            if (lane_index() % 4 == 0)
                store_shared<float>(sums + 4 * (S::dim_warp() * S::rows + 8 * half), sum[half]);
        S::warps_sync();
        for (uint32_t half = 0; half < 2; half++) {
            sum[half] = load_shared<float>(sums + 4 * 8 * half);
            for (uint32_t warp = 1; warp < S::dim_warps; warp++)
                sum[half] = sum[half] + load_shared<float>(sums + 4 * (warp * S::rows + 8 * half));
        }
    }
    const float factor = S::type == CUDA_KV_E4M3 ? E4M3_FACTOR : 1.0f;
#pragma unroll
    for (uint32_t j = 0; j < S::value_tiles; j++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) part.values[j][i] = part.values[j][i] * factor + 0.0f;
}

template <typename S>
DEVICE void total_merge(sum_of_parts<S> &total, shared memory, const partial<S> &part) {
    merge_factors f[2];
    for (uint32_t half = 0; half < 2; half++)
        f[half] = merge_softmax(&total.softmax.maximum[half], &total.softmax.sum[half],
                                part.softmax.maximum[half], part.softmax.sum[half]);
#pragma unroll
    for (uint32_t j = 0; j < S::value_tiles; j++) {
        f32x4 sum = total_tile<S>(total, memory, j);
        const float *value = part.values[j];
        sum = f32x4{merge_value(f[0], sum.x, value[0]), merge_value(f[0], sum.y, value[1]),
                    merge_value(f[1], sum.z, value[2]), merge_value(f[1], sum.w, value[3])};
        total_tile_set<S>(total, memory, j, sum);
    }
}

template <typename S>
DEVICE void partial_write(const partial<S> &part, const attention_args &args, const tile &t,
                          uint32_t split) {
    uint32_t heads = args.n_heads / args.kv.n_kv_heads;
    uint32_t queries = (uint32_t)load_global<int32_t>(&t.item->n_rows) * heads;
    uint32_t first = (uint32_t)load_global<int32_t>(&t.item->part) + t.first_query;
    first += (split - (uint32_t)load_global<int32_t>(&t.item->first_split)) * queries;
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t r = S::row_of_lane() + 8 * half;
        if (r >= t.n_queries) continue;
        float *to =
            args.parts + (size_t)(first + r) * CUDA_ATTENTION_PART_FLOATS(args.kv.value_dim);
        if (lane_index() % 4 == 0 && S::first_value() == 0)
            store_global(to, f32x2{part.softmax.maximum[half], part.softmax.sum[half]});
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles; j++) {
            uint32_t d = S::first_value() + j * 8 + lane_index() % 4 * 2;
            if (d < args.kv.value_dim)
                store_global(to + 4 + d,
                             f32x2{part.values[j][2 * half], part.values[j][2 * half + 1]});
        }
    }
}

template <typename S>
DEVICE void total_write(const sum_of_parts<S> &total, const attention_args &args, const tile &t,
                        shared memory) {
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t r = S::row_of_lane() + 8 * half;
        if (r >= t.n_queries) continue;
        query_place at = query_place_of(args, t, r);
        float factor =
            finish_factor(args, at.head, total.softmax.maximum[half], total.softmax.sum[half]);
        float *to =
            args.out + (size_t)at.row * args.out_stride + (size_t)at.head * args.kv.value_dim;
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles; j++) {
            uint32_t d = S::first_value() + j * 8 + lane_index() % 4 * 2;
            if (d >= args.kv.value_dim) continue;
            f32x4 sum = total_tile<S>(total, memory, j);
            store_global(to + d, f32x2{finish_value(factor, half ? sum.z : sum.x),
                                       finish_value(factor, half ? sum.w : sum.y)});
        }
    }
}

/* ---- a tile of queries ---- */

/* A warp without queries only takes part in copies. */
template <typename S>
DEVICE void page_attend(const attention_args &args, const tile &t, shared memory, ring &loads,
                        uint32_t page, partial<S> &part) {
    bool active = S::has_queries(t.n_queries);
    weights<S> p = {};
    page_half half = ring_next<S>(args, t, memory, loads, page, false);
    bool edge = half.first_key < t.all_begin || half.first_key + ATTENTION_PAGE > t.all_end;
    if (active) {
        float s[S::key_tiles][4];
        int32_t key =
            half.first_key + (int32_t)(S::dim_warp() * S::key_tiles * 8 + lane_index() % 4 * 2);
        scores<S>(s, args, memory, half);
        scores_finish<S>(s, args, memory, key);
        if (edge) scores_mask<S>(s, queries_of_lane<S>(memory), key);
        float factor[2];
        softmax_weights<S>(s, memory, part.softmax, factor);
        values_scale<S>(part.values, factor);
        weights_round<S>(s, memory, p);
    }
    if (S::shared_kv)
        half.dim = args.kv.value_dim;
    else
        half = ring_next<S>(args, t, memory, loads, page, true);
    if (!active) return;
    if (edge)
        values_add_edge<S>(part.values, p, half, queries_of_lane<S>(memory));
    else
        values_add<S>(part.values, p, half);
}

template <typename S>
DEVICE void tile_attend(const attention_args &args, const attention_item *item,
                        uint32_t first_query, uint32_t n_queries, shared memory) {
    tile t = tile_of(args, item, first_query, n_queries);
    block_sync(); /* nobody is at the tile before */
    queries_load<S>(args, t, memory);
    ring loads = ring_begin<S>(args, t, memory);
    block_sync();
    sum_of_parts<S> total;
    total_clear<S>(total, memory);
    bool whole = load_global<int32_t>(&item->part) < 0;
    uint32_t split = (uint32_t)load_global<int32_t>(&item->first_split);
    for (; split < (uint32_t)load_global<int32_t>(&item->end_split); split++) {
        const uint32_t split_pages = ATTENTION_SPLIT_KEYS / ATTENTION_PAGE;
        uint32_t page = split * split_pages, end = page + split_pages;
        page = page > t.first_page ? page : t.first_page;
        end = end < t.end_page ? end : t.end_page;
        bool seen = page < end;
        if (!seen && whole) continue;
        partial<S> part;
        partial_clear<S>(part);
        for (; page < end; page++) page_attend<S>(args, t, memory, loads, page, part);
        if (seen && S::has_queries(n_queries)) partial_complete<S>(part, memory);
        if (whole)
            total_merge<S>(total, memory, part);
        else
            partial_write<S>(part, args, t, split);
    }
    if (whole) total_write<S>(total, args, t, memory);
}

template <typename S, typename Place>
DEVICE void attention(const Place &place, const attention_args &args) {
    place_wait(place);
    place_let_next_begin(place);
    shared memory = shared_memory();
    if (args.relative_bias) relative_buckets_make(args, memory + S::at_buckets);
    uint32_t n_items = load_global<uint32_t>(args.n_items);
    for (uint32_t i = place_block(place); i < n_items; i += place_blocks(place)) {
        const attention_item *item = args.items + i;
        uint32_t heads = args.n_heads / args.kv.n_kv_heads;
        uint32_t first = (uint32_t)load_global<int32_t>(&item->first_query);
        uint32_t n = (uint32_t)load_global<int32_t>(&item->n_queries);
        uint32_t end = n ? first + n : (uint32_t)load_global<int32_t>(&item->n_rows) * heads;
        for (; first < end; first += S::rows)
            tile_attend<S>(args, item, first, end - first < S::rows ? end - first : S::rows,
                           memory);
    }
}

#define ATTENTION_KERNEL(kv_name, kv_type, bucket, key_dim, value_dim, row_warps, dim_warps) \
    KERNEL(attention_##kv_name##_##bucket, struct attention_args, ATTENTION_THREADS, 2) {    \
        attention<attention_shape<kv_type, key_dim, value_dim, row_warps, dim_warps>>(       \
            own_launch{}, args);                                                             \
    }

#endif
