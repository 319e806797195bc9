/* 32 columns of eight rows unpacked for multiplication, lane = row, and their products with 32
 * int8 activations. One struct and one step per width of quants: sums inside a block are exact
 * integers, so only the multiply-adds of the block's scales round, and they are the same sequence
 * for one activation row and for many.
 *
 * Byte i of lane r of w[j] is the weight of row r, column 4j + i. */
#ifndef CPU_KERNELS_AVX2_QUANT_BLOCKS_H
#define CPU_KERNELS_AVX2_QUANT_BLOCKS_H

#include <string.h>

#include "cpu/kernels/activation_q8.h"
#include "cpu/kernels/avx2_math.h"

#define QUANT_MAX_TILE 6 /* activation rows multiplied at a time, at most */

/* The sum as it is now, in a register: compilers otherwise turn the chains of integer additions of
 * all rows into trees, whose many leaves spill. */
INLINE void pin(__m256i *sum) {
    __asm__("" : "+x"(*sum));
}

/* Columns 4j ... 4j + 3 of the activation block, for every lane. */
INLINE __m256i broadcast_columns(const struct q8_block *x, int j) {
    int32_t columns;
    memcpy(&columns, x->q + 4 * j, sizeof columns);
    return _mm256_set1_epi32(columns);
}

INLINE __m256i broadcast_sums(const struct q8_block *x) {
    int32_t sums;
    memcpy(&sums, x->sums, sizeof sums);
    return _mm256_set1_epi32(sums);
}

/* sum += scale * x_scale * dot */
INLINE __m256 add_scaled(__m256 sum, __m256i dot, __m256 scale, const float *x_scale) {
    __m256 both = _mm256_mul_ps(scale, _mm256_broadcast_ss(x_scale));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), both, sum);
}

/* Quants of up to five bits, weight = scale * quant + offset. */
struct offset_block {
    __m256 scale, offset;
    __m256i w[8];
};

/* 0 ... 31: the eight products of a half in a 16-bit lane are at most 8 * 31 * 127 = 31496. */
INLINE void offset_step(int n_x, const struct offset_block *w, const struct q8_block *const *x,
                        __m256 *sum) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        __m256i dot[QUANT_MAX_TILE];
        UNROLL
        for (int t = 0; t < n_x; t++)
            dot[t] = _mm256_maddubs_epi16(w->w[4 * half], broadcast_columns(x[t], 4 * half));
        UNROLL
        for (int j = 4 * half + 1; j < 4 * half + 4; j++) {
            __m256i wj = w->w[j];
            UNROLL
            for (int t = 0; t < n_x; t++) {
                dot[t] =
                    _mm256_add_epi16(dot[t], _mm256_maddubs_epi16(wj, broadcast_columns(x[t], j)));
                pin(&dot[t]);
            }
        }
        UNROLL
        for (int t = 0; t < n_x; t++) {
            dot[t] = _mm256_madd_epi16(dot[t], _mm256_set1_epi16(1));
            sum[t] = add_scaled(sum[t], dot[t], w->scale, &x[t]->scale[half]);
        }
    }
    UNROLL
    for (int t = 0; t < n_x; t++)
        sum[t] = _mm256_fmadd_ps(w->offset, _mm256_broadcast_ss(&x[t]->scaled_sum), sum[t]);
}

/* -128 ... 127. |w| as unsigned times x with w's sign: a pair is at most 2 * 128 * 127 = 32512, so
 * each is widened at once. */
struct s8_block {
    __m256 scale;
    __m256i w[8];
};

INLINE void s8_step(int n_x, const struct s8_block *w, const struct q8_block *const *x,
                    __m256 *sum) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        __m256i dot[QUANT_MAX_TILE];
        UNROLL
        for (int t = 0; t < n_x; t++) dot[t] = _mm256_setzero_si256();
        UNROLL
        for (int j = 4 * half; j < 4 * half + 4; j++) {
            __m256i wj = w->w[j], magnitude = _mm256_abs_epi8(wj);
            UNROLL
            for (int t = 0; t < n_x; t++) {
                __m256i signed_x = _mm256_sign_epi8(broadcast_columns(x[t], j), wj);
                __m256i p = _mm256_maddubs_epi16(magnitude, signed_x);
                p = _mm256_madd_epi16(p, _mm256_set1_epi16(1));
                dot[t] = _mm256_add_epi32(dot[t], p);
                pin(&dot[t]);
            }
        }
        UNROLL
        for (int t = 0; t < n_x; t++)
            sum[t] = add_scaled(sum[t], dot[t], w->scale, &x[t]->scale[half]);
    }
}

/* 0 ... 63 less 32, with an int8 scale for each half of the columns. Two steps are at most
 * 4 * 63 * 127 = 32004; the int16 pairs are then multiplied by their scale instead of by ones. */
struct u6_block {
    __m256 scale;
    __m256i half_scale[2]; /* 16-bit lanes, both of a row the same */
    __m256i correction[2]; /* 16-bit lanes: -32 * scale of the half where its sum is, else 0 */
    __m256i w[8];
};

INLINE void u6_step(int n_x, const struct u6_block *w, const struct q8_block *const *x,
                    __m256 *sum) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        __m256i dot[QUANT_MAX_TILE];
        UNROLL
        for (int t = 0; t < n_x; t++)
            dot[t] = _mm256_madd_epi16(w->correction[half], broadcast_sums(x[t]));
        UNROLL
        for (int j = 4 * half; j < 4 * half + 4; j += 2) {
            __m256i w0 = w->w[j], w1 = w->w[j + 1];
            UNROLL
            for (int t = 0; t < n_x; t++) {
                __m256i p =
                    _mm256_add_epi16(_mm256_maddubs_epi16(w0, broadcast_columns(x[t], j)),
                                     _mm256_maddubs_epi16(w1, broadcast_columns(x[t], j + 1)));
                dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(p, w->half_scale[half]));
                pin(&dot[t]);
            }
        }
        UNROLL
        for (int t = 0; t < n_x; t++)
            sum[t] = add_scaled(sum[t], dot[t], w->scale, &x[t]->scale[half]);
    }
}

#endif
