/* Queries on their way to shared memory, scores of a page's keys, and the softmax that makes
 * weights of them. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_SCORES_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_SCORES_CUH

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
    uint32_t dim = args.kv.key_dim, padded = S::padded_dims(dim), lane = lane_index();
    for (uint32_t r = S::warp(); r < S::rows; r += S::load_warps) {
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
        for (uint32_t d = 2 * lane; d < padded; d += 64) {
            f32x2 x = valid && d < dim ? load_global<f32x2>(q + d) : f32x2{0.0f, 0.0f};
            uint32_t high, low = 0;
            if (S::f16)
                high = pack_f16(x.x * power, x.y * power);
            else
                split_bf16(x.x, x.y, &high, &low);
            shared to = memory + S::query_at(r, d);
            store_shared<uint32_t>(to, high);
            if (S::planes == 2) store_shared<uint32_t>(to + S::query_plane, low);
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

DEVICE float rounded_slope(float slope, int32_t position) {
    float rounded = bf16_to_f32((uint16_t)pack_bf16((float)position, 0.0f));
    return bf16_to_f32((uint16_t)pack_bf16(slope * rounded, 0.0f));
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
            if (args.alibi_scale == 0.0f) {
                s[j][i] = fma_f32(slope[i / 2], (float)distance, s[j][i]);
            } else {
                float of_key = rounded_slope(slope[i / 2], query.position + distance);
                float of_query = rounded_slope(slope[i / 2], query.position);
                s[j][i] = fma_f32(args.alibi_scale, of_key - of_query, s[j][i]);
            }
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

/* Scores to weights, and the sum of weights with them; by `factor` the values summed up so far are
 * to be brought to the new maximum. */
template <typename S>
DEVICE void softmax_weights(float s[S::key_tiles][4], shared memory, softmax_pair &state,
                            float factor[2]) {
    float maximum[2];
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
}

template <typename S>
DEVICE void values_scale(float values[S::value_tiles][4], const float factor[2]) {
    if (!warp_ballot(factor[0] != 1.0f || factor[1] != 1.0f)) return;
#pragma unroll
    for (uint32_t j = 0; j < S::value_tiles; j++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) values[j][i] = values[j][i] * factor[i / 2];
}

#endif
