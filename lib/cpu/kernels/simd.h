/* The vectors that the kernels of this folder are written in. A source is compiled once for each
 * instruction set (lib/meson.build), and the compiler's own macros choose the body of each
 * operation here: AVX2 with FMA and F16C, AVX-512 (F, BW, DQ, VL), or NEON.
 *
 *   SIMD_LANES    lanes of 32 bits: 8 or 16
 *   simd_f        f32 lanes
 *   simd_i        the same bytes as integers
 *   simd_m        a choice of lanes
 *   SIMD_DOT4     defined where there is simd_dot4; without it there is simd_maddubs
 *   SIMD_MATRIX   and where there is simd_matrix_multiply
 *   SIMD_REGISTERS  vectors that fit the register file, for the sizes of tiles
 *
 * A name without a type is of f32. What an operation does to a lane depends on that lane alone,
 * reductions excepted, whose order is fixed. */
#ifndef CPU_KERNELS_SIMD_H
#define CPU_KERNELS_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* Before a loop of constant length over vectors that must stay in registers. Builds with sanitizers
 * leave the loops alone: their checks, once for every unrolled step, take minutes to compile. */
#if defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer) || \
    __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define UNROLL
#else
#define UNROLL _Pragma("unroll")
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__AVX512BW__)
#include "cpu/kernels/simd_avx512.h"
#elif defined(__AVX2__)
#include "cpu/kernels/simd_avx2.h"
#elif defined(__ARM_NEON)
#include "cpu/kernels/simd_neon.h"
#else
#error "no vectors for this instruction set"
#endif

/* Bytes of a vector, and of 16-bit floats for its lanes. */
#define SIMD_BYTES (4 * SIMD_LANES)
#define SIMD_HALF_BYTES (2 * SIMD_LANES)

INLINE simd_f simd_abs(simd_f x) {
    return simd_andnot(simd_set1(-0.0f), x);
}

INLINE simd_f simd_negate(simd_f x) {
    return simd_xor(x, simd_set1(-0.0f));
}

/* Round to nearest even; a NaN keeps its sign and upper bits and becomes quiet. The low halves of
 * the lanes. */
INLINE simd_i simd_bfloat16_bits(simd_f x) {
    simd_i bits = simd_bits(x);
    simd_i odd = simd_and_bits(simd_srli_i32(bits, 16), simd_set1_i32(1));
    simd_i rounded = simd_add_i32(bits, simd_add_i32(odd, simd_set1_i32(0x7fff)));
    simd_i quiet = simd_or_bits(bits, simd_set1_i32(1 << 22));
    return simd_srli_i32(
        simd_bits(simd_select(simd_unordered(x), simd_from_bits(quiet), simd_from_bits(rounded))),
        16);
}

#endif
