/* A page's weights as operands, and their products with its values. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_VALUES_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_VALUES_CUH

#include "cuda/kernels/attention/attention_scores.cuh"

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
#pragma unroll
        for (uint32_t j = 0; j < S::key_tiles; j++) {
            uint32_t w[2], rest[2];
            weights_pack<S>(s[j], &w[0], &w[1], &rest[0], &rest[1]);
            for (uint32_t half = 0; half < 2; half++) {
                shared at =
                    memory +
                    S::weights_at(S::row_of_lane() + 8 * half, S::dim_warp() * S::key_tiles + j) +
                    lane_index() % 4 * 4;
                store_shared<uint32_t>(at, w[half]);
                if (S::planes == 2) store_shared<uint32_t>(at + S::weights_plane, rest[half]);
            }
        }
        S::warps_sync();
#pragma unroll
        for (uint32_t plane = 0; plane < S::planes; plane++)
#pragma unroll
            for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++)
                load_matrix4(p.w[plane][k],
                             memory + plane * S::weights_plane +
                                 S::weights_at(S::row_warp() * 16 + lane_index() % 16,
                                               2 * k + lane_index() / 16));
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
 * overlap. In f32 a branch keeps down what is loaded at once. */
template <typename S>
DEVICE void values_add(float values[S::value_tiles][4], const weights<S> &p,
                       const page_half &page) {
#pragma unroll
    for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++)
#pragma unroll
        for (uint32_t j = 0; j < S::value_tiles / 2; j++) {
            uint32_t b[4], rest[4];
            if (S::planes == 2 && S::first_value() + j * 16 >= page.dim) continue;
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
 * the others must not get. fragments(b, rest, k, j): as value_fragments gives them. */
template <typename S, typename F>
DEVICE void values_add_infinite(float values[S::value_tiles][4], const weights<S> &p,
                                const page_half &page, uint32_t key, const query_pair &pair,
                                const F &fragments) {
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
        if (S::planes == 2 && S::first_value() + j * 16 >= page.dim) continue;
        warp_sync(); /* a fence to the compiler, which would load all before the first product */
        fragments(b, rest, key / 16, j);
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
            if (S::planes == 2 && S::first_value() + j * 16 >= page.dim) continue;
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
    const auto fragments = [&page](uint32_t(&b)[4], uint32_t(&rest)[4], uint32_t k, uint32_t j) {
        value_fragments<S>(b, rest, page, k, j);
    };
    for (int32_t key = page.begin; key < page.end; key++)
        values_add_infinite<S>(values, p, page, (uint32_t)(key - page.first_key), pair, fragments);
}

#endif
