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

#include "cuda/kernels/attention/attention_merge.cuh"
#include "cuda/kernels/attention/attention_ring.cuh"
#include "cuda/kernels/math.cuh"

/* Two queries of a lane, rows g and g + 8 of its warp's 16 (g = lane / 4): what they see and their
 * heads. They wait in shared memory for the pages that need them. */
struct query_pair {
    query_seen of[2];
};

struct softmax_pair {
    float maximum[2], sum[2]; /* sum: of this lane's keys, until the end of a split */
};

/* ---- queries to shared memory ---- */

/* 2^14 / largest, rounded to a power of two: f16 operands that neither overflow nor lose anything
 * that counts. Not finite: 1. */
DEVICE float query_power(float largest) {
    uint32_t exponent = bits_of(largest) >> 23;
    if (exponent == 255) return 1.0f;
    exponent = exponent < 20 ? 20 : exponent;
    return from_bits((127 + 14 + 127 - exponent) << 23);
}

template <typename S>
DEVICE void queries_load(const attention_args &args, const tile &t, shared memory) {
    uint32_t dim = args.kv.key_dim, padded = (dim + 15) / 16 * 16, lane = lane_index();
    for (uint32_t r = warp_index(); r < S::rows; r += ATTENTION_THREADS / 32) {
        bool valid = r < t.n_queries;
        query_place at = query_place_of(args, t, valid ? r : 0);
        const float *q = args.q + (size_t)at.row * args.q_stride + (size_t)at.head * dim;
        float power = 1.0f;
        if (S::f16) {
            float largest = 0.0f;
            for (uint32_t d = 2 * lane; d < dim; d += 64) {
                f32x2 x = load_global<f32x2>(q + d);
                float a = from_bits(bits_of(x.x) & 0x7FFFFFFFu);
                float b = from_bits(bits_of(x.y) & 0x7FFFFFFFu);
                largest = a > largest ? a : largest;
                largest = b > largest ? b : largest;
            }
            for (uint32_t mask = 16; mask > 0; mask /= 2) {
                float other = shuffle_xor(largest, mask);
                largest = other > largest ? other : largest;
            }
            power = query_power(largest);
        }
        shared to = memory + S::at_queries + r * S::row_bytes;
        for (uint32_t d = 2 * lane; d < padded; d += 64) {
            f32x2 x = valid && d < dim ? load_global<f32x2>(q + d) : f32x2{0.0f, 0.0f};
            uint32_t high, low = 0;
            if (S::f16)
                high = pack_f16(x.x * power, x.y * power);
            else
                split_bf16(x.x, x.y, &high, &low);
            store_shared<uint32_t>(to + 2 * d, high);
            if (S::planes == 2) store_shared<uint32_t>(to + S::query_plane + 2 * d, low);
        }
        if (lane == 0) {
            key_range seen = key_range_of(args, load_global<int32_t>(&t.item->sequence), at.row);
            query_seen of = {seen.begin, valid ? seen.end : seen.begin, seen.position,
                             (int32_t)at.head};
            const float unit = S::type == CUDA_KV_E4M3 ? E4M3_FACTOR : 1.0f;
            store_shared(memory + S::at_seen + 16 * r, of);
            store_shared(memory + S::at_factors + 4 * r, args.scale * (unit / power));
        }
    }
}

template <typename S> DEVICE query_pair queries_of_lane(shared memory) {
    shared seen = memory + S::at_seen + 16 * S::row_of_lane();
    return query_pair{{load_shared<query_seen>(seen), load_shared<query_seen>(seen + 8 * 16)}};
}

/* ---- scores ---- */

/* s[j][...] = q · k, tile j of 8 keys from this warp's first key on. */
template <typename S>
DEVICE void scores(float s[S::key_tiles][4], const attention_args &args, shared memory,
                   const page_half &keys) {
    uint32_t n_chunks = (args.kv.key_dim + 15) / 16;
    shared q = memory + S::at_queries + (S::row_warp() * 16 + lane_index() % 16) * S::row_bytes +
               lane_index() / 16 * 16;
    for (uint32_t j = 0; j < S::key_tiles; j++)
        for (uint32_t i = 0; i < 4; i++) s[j][i] = 0.0f;
#pragma unroll(S::planes == 1 ? 4 : 1)
    for (uint32_t c = 0; c < n_chunks; c++) {
        uint32_t a[4], b[4];
        load_matrix4(a, q + c * 32);
        if constexpr (S::planes == 1) {
#pragma unroll
            for (uint32_t j = 0; j < S::key_tiles; j += 2) {
                load_matrix4(b, keys.at + S::key_of_lane() * S::row_bytes + S::key_piece() +
                                    j * 8 * S::row_bytes + c * 32);
                S::multiply(s[j], a, b);
                S::multiply(s[j + 1], a, b + 2);
            }
        } else {
            uint32_t a_low[4], b_low[2];
            load_matrix4(a_low, q + S::query_plane + c * 32);
#pragma unroll
            for (uint32_t j = 0; j < S::key_tiles; j++) {
                key_fragment_f32(b, b_low, keys, S::dim_warp() * S::key_tiles * 8 + j * 8, c);
                S::multiply(s[j], a, b);
                S::multiply(s[j], a, b_low);
                S::multiply(s[j], a_low, b);
            }
        }
    }
}

/* By distance and head. `key`: the first of tile 0 of this lane. */
template <typename S>
DEVICE void scores_bias(float s[S::key_tiles][4], const attention_args &args, shared memory,
                        int32_t key) {
    query_pair pair = queries_of_lane<S>(memory);
    float slope[2] = {0.0f, 0.0f};
    if (args.alibi_slopes)
        for (uint32_t half = 0; half < 2; half++)
            slope[half] = load_global<float>(args.alibi_slopes + pair.of[half].head);
#pragma unroll
    for (uint32_t j = 0; j < S::key_tiles; j++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const query_seen &query = pair.of[i / 2];
            int32_t distance = key + (int32_t)(j * 8 + i % 2) - query.position;
            s[j][i] = fma_f32(slope[i / 2], (float)distance, s[j][i]);
            if (args.relative_bias) {
                uint32_t bucket = relative_bucket(args, memory + S::at_buckets, distance);
                s[j][i] = s[j][i] + load_global<float>(args.relative_bias +
                                                       (size_t)bucket * args.n_heads + query.head);
            }
        }
}

/* Factor, softcap and biases, of which the last two are the same for a whole launch. */
template <typename S>
DEVICE void scores_finish(float s[S::key_tiles][4], const attention_args &args, shared memory,
                          int32_t key) {
    shared factors = memory + S::at_factors + 4 * S::row_of_lane();
    float factor[2] = {load_shared<float>(factors), load_shared<float>(factors + 4 * 8)};
#pragma unroll
    for (uint32_t j = 0; j < S::key_tiles; j++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) s[j][i] = s[j][i] * factor[i / 2];
    if (args.softcap != 0.0f) {
#pragma unroll
        for (uint32_t j = 0; j < S::key_tiles; j++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) s[j][i] = softcap_f32(s[j][i], args.softcap);
    }
    if (args.alibi_slopes || args.relative_bias) scores_bias<S>(s, args, memory, key);
}

template <typename S>
DEVICE void scores_mask(float s[S::key_tiles][4], const query_pair &pair, int32_t key) {
#pragma unroll
    for (uint32_t j = 0; j < S::key_tiles; j++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            int32_t k = key + (int32_t)(j * 8 + i % 2);
            bool seen = k >= pair.of[i / 2].begin && k < pair.of[i / 2].end;
            s[j][i] = seen ? s[j][i] : MINUS_INFINITY;
        }
}

/* ---- softmax ---- */

/* The greatest score of the page for each query of the lane, the same in all lanes that have it. A
 * NaN is passed over here; its weight is one. */
template <typename S>
DEVICE void page_maxima(const float s[S::key_tiles][4], shared memory, float maximum[2]) {
    for (uint32_t half = 0; half < 2; half++) {
        float m = MINUS_INFINITY;
#pragma unroll
        for (uint32_t j = 0; j < S::key_tiles; j++) {
            m = s[j][2 * half] > m ? s[j][2 * half] : m;
            m = s[j][2 * half + 1] > m ? s[j][2 * half + 1] : m;
        }
        for (uint32_t mask = 1; mask < 4; mask *= 2) {
            float other = shuffle_xor(m, mask);
            m = other > m ? other : m;
        }
        maximum[half] = m;
    }
    if constexpr (S::dim_warps > 1) {
        shared maxima = memory + S::at_maxima + 4 * S::row_of_lane();
        for (uint32_t half = 0; half < 2; half++)
            if (lane_index() % 4 == 0)
                store_shared<float>(maxima + 4 * (S::dim_warp() * S::rows + 8 * half),
                                    maximum[half]);
        S::warps_sync();
        for (uint32_t half = 0; half < 2; half++)
            for (uint32_t warp = 0; warp < S::dim_warps; warp++) {
                float m = load_shared<float>(maxima + 4 * (warp * S::rows + 8 * half));
                maximum[half] = m > maximum[half] ? m : maximum[half];
            }
    }
}

/* Scores to weights; what has been summed up is brought to the new maximum. */
template <typename S>
DEVICE void softmax(float s[S::key_tiles][4], shared memory, softmax_pair &state,
                    float values[S::value_tiles][4]) {
    float maximum[2], factor[2];
    page_maxima<S>(s, memory, maximum);
    for (uint32_t half = 0; half < 2; half++) {
        float before = state.maximum[half];
        float now = maximum[half] > before ? maximum[half] : before;
        float level = now == MINUS_INFINITY ? 0.0f : now;
        factor[half] = exp_weight(before - level);
        float sum = 0.0f;
#pragma unroll
        for (uint32_t j = 0; j < S::key_tiles; j++)
#pragma unroll
            for (uint32_t i = 2 * half; i < 2 * half + 2; i++) {
                s[j][i] = exp_weight(s[j][i] - level);
                sum = sum + s[j][i];
            }
        state.maximum[half] = now;
        state.sum[half] = fma_f32(state.sum[half], factor[half], sum);
    }
    if (warp_ballot(factor[0] != 1.0f || factor[1] != 1.0f)) {
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles; j++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) values[j][i] = values[j][i] * factor[i / 2];
    }
}

/* ---- weights times values ---- */

/* The page's weights as operands: of 16 keys in w[plane][16 keys]. */
template <typename S> struct weights { uint32_t w[S::planes][ATTENTION_PAGE / 16][4]; };

template <typename S>
DEVICE void weights_pack(const float s[4], uint32_t *low_row, uint32_t *high_row,
                         uint32_t *low_row_rest, uint32_t *high_row_rest) {
    if constexpr (S::planes == 2) {
        split_bf16(s[0], s[1], low_row, low_row_rest);
        split_bf16(s[2], s[3], high_row, high_row_rest);
    } else {
        *low_row = S::f16 ? pack_f16(s[0], s[1]) : pack_bf16(s[0], s[1]);
        *high_row = S::f16 ? pack_f16(s[2], s[3]) : pack_bf16(s[2], s[3]);
    }
}

/* A product's sums lie in the lanes as the next one's operand does; among warps they go through
 * shared memory. */
template <typename S>
DEVICE void weights_round(const float s[S::key_tiles][4], shared memory, weights<S> &p) {
    if constexpr (S::dim_warps == 1) {
#pragma unroll
        for (uint32_t j = 0; j < S::key_tiles; j++) {
            uint32_t *to = p.w[0][j / 2] + j % 2 * 2;
            uint32_t *rest = p.w[S::planes - 1][j / 2] + j % 2 * 2;
            weights_pack<S>(s[j], to, to + 1, rest, rest + 1);
        }
    } else {
        const uint32_t row_bytes = ATTENTION_ROW_BYTES(ATTENTION_PAGE);
        shared base = memory + S::at_p;
        shared to = base + S::row_of_lane() * row_bytes +
                    (S::dim_warp() * S::key_tiles * 8 + lane_index() % 4 * 2) * 2;
#pragma unroll
        for (uint32_t j = 0; j < S::key_tiles; j++) {
            uint32_t w[2], rest[2];
            weights_pack<S>(s[j], &w[0], &w[1], &rest[0], &rest[1]);
            for (uint32_t half = 0; half < 2; half++) {
                shared at = to + j * 16 + half * 8 * row_bytes;
                store_shared<uint32_t>(at, w[half]);
                if (S::planes == 2) store_shared<uint32_t>(at + S::rows * row_bytes, rest[half]);
            }
        }
        S::warps_sync();
        shared from =
            base + (S::row_warp() * 16 + lane_index() % 16) * row_bytes + lane_index() / 16 * 16;
#pragma unroll
        for (uint32_t plane = 0; plane < S::planes; plane++)
#pragma unroll
            for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++)
                load_matrix4(p.w[plane][k], from + plane * S::rows * row_bytes + k * 32);
    }
}

/* Values of 16 keys and 16 dims, from key 16 k and this warp's dim 16 j on: two operands. */
template <typename S>
DEVICE void value_fragments(uint32_t b[4], uint32_t rest[4], const page_half &values, uint32_t k,
                            uint32_t j) {
    if constexpr (S::planes == 1)
        load_matrix4_transposed(b, values.at + lane_index() % 16 * S::row_bytes +
                                       lane_index() / 16 * 16 + S::first_value() * 2 +
                                       k * 16 * S::row_bytes + j * 32);
    else
        value_fragments_f32(b, rest, values, k, S::first_value() + j * 16);
}

/* Dims beyond the values' own are zeros: without a branch, loads from shared memory and products
 * overlap. */
template <typename S>
DEVICE void values_add(float values[S::value_tiles][4], const weights<S> &p,
                       const page_half &page) {
#pragma unroll
    for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++)
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles / 2; j++) {
            uint32_t b[4], rest[4];
            value_fragments<S>(b, rest, page, k, j);
            S::multiply(values[2 * j], p.w[0][k], b);
            S::multiply(values[2 * j + 1], p.w[0][k], b + 2);
            if constexpr (S::planes == 2) {
                S::multiply(values[2 * j], p.w[0][k], rest);
                S::multiply(values[2 * j + 1], p.w[0][k], rest + 2);
                /* An infinite value has been counted. */
                for (uint32_t i = 0; i < 4; i++) b[i] &= ~infinite_halves<false>(b[i]);
                S::multiply(values[2 * j], p.w[1][k], b);
                S::multiply(values[2 * j + 1], p.w[1][k], b + 2);
            }
        }
}

/* One key's values that are not finite, for the queries that see it: 0 times these is a NaN, which
 * the others must not get. */
template <typename S>
DEVICE void values_add_infinite(float values[S::value_tiles][4], const weights<S> &p,
                                const page_half &page, uint32_t key, const query_pair &pair) {
    int32_t position = page.first_key + (int32_t)key;
    /* By masks: registers have no index. */
    uint32_t a[4] = {0, 0, 0, 0};
#pragma unroll
    for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++) {
        uint32_t chosen = key / 16 == k ? 0xFFFFFFFFu : 0;
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) a[i] |= p.w[0][k][i] & chosen;
    }
    /* b[0], b[2] hold keys 0 ... 7 of the 16, two to a lane. */
    bool own = lane_index() % 4 == key % 8 / 2;
    uint32_t mask = own ? 0xFFFFu << key % 2 * 16 : 0;
    uint32_t mask_low = key % 16 < 8 ? mask : 0, mask_high = key % 16 < 8 ? 0 : mask;
#pragma unroll
    for (uint32_t j = 0; j < S::value_tiles / 2; j++) {
        uint32_t b[4], rest[4];
        warp_sync(); /* a fence to the compiler, which would load all before the first product */
        value_fragments<S>(b, rest, page, key / 16, j);
        for (uint32_t i = 0; i < 4; i++)
            b[i] &= infinite_halves<S::f16>(b[i]) & (i % 2 ? mask_high : mask_low);
        for (uint32_t n = 0; n < 2; n++) {
            float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            S::multiply(d, a, b + 2 * n);
            for (uint32_t i = 0; i < 4; i++) {
                bool seen = position >= pair.of[i / 2].begin && position < pair.of[i / 2].end;
                if (seen) values[2 * j + n][i] = values[2 * j + n][i] + d[i];
            }
        }
    }
}

/* The same as values_add where a query does not see the whole page: what is not finite is left out
 * and comes after. */
template <typename S>
DEVICE void values_add_edge(float values[S::value_tiles][4], const weights<S> &p,
                            const page_half &page, const query_pair &pair) {
    uint32_t found = 0;
#pragma unroll
    for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++) {
        warp_sync(); /* as in values_add_infinite */
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles / 2; j++) {
            uint32_t b[4], rest[4];
            value_fragments<S>(b, rest, page, k, j);
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t infinite = infinite_halves<S::f16>(b[i]);
                found |= infinite;
                b[i] &= ~infinite;
            }
            S::multiply(values[2 * j], p.w[0][k], b);
            S::multiply(values[2 * j + 1], p.w[0][k], b + 2);
            if constexpr (S::planes == 2) {
                S::multiply(values[2 * j], p.w[0][k], rest);
                S::multiply(values[2 * j + 1], p.w[0][k], rest + 2);
                S::multiply(values[2 * j], p.w[1][k], b);
                S::multiply(values[2 * j + 1], p.w[1][k], b + 2);
            }
        }
    }
    if (!warp_ballot(found != 0)) return;
    for (int32_t key = page.begin; key < page.end; key++)
        values_add_infinite<S>(values, p, page, (uint32_t)(key - page.first_key), pair);
}

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
                              16 * ((j - kept) * ATTENTION_THREADS + thread_index()));
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
        store_shared(memory + S::at_totals + 16 * ((j - kept) * ATTENTION_THREADS + thread_index()),
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
        if (lane_index() % 4 == 0 && S::dim_warp() == 0)
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
    bool active = S::row_warp() * 16 < t.n_queries;
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
        softmax<S>(s, memory, part.softmax, part.values);
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
        if (seen) partial_complete<S>(part, memory);
        if (whole)
            total_merge<S>(total, memory, part);
        else
            partial_write<S>(part, args, t, split);
    }
    if (whole) total_write<S>(total, args, t, memory);
}

template <typename S> DEVICE void attention(const attention_args &args) {
    wait_for_previous_kernel();
    let_next_kernel_begin();
    shared memory = shared_memory();
    if (args.relative_bias) relative_buckets_make(args, memory + S::at_buckets);
    uint32_t n_items = load_global<uint32_t>(args.n_items);
    for (uint32_t i = block_index(); i < n_items; i += block_count()) {
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
        attention<attention_shape<kv_type, key_dim, value_dim, row_warps, dim_warps>>(args); \
    }

#endif
