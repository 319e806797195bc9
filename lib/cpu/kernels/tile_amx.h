/* The operations on tiles that kernels are written in, by AMX's instructions. A tile is named by a
 * literal 0 ... 7. Own assembly: gcc's intrinsics don't say that a load reads memory.
 *
 * Tests compile the kernels against another header of this name, in which tiles are emulated
 * (tests/kernels/emulated). */
#ifndef CPU_KERNELS_TILE_AMX_H
#define CPU_KERNELS_TILE_AMX_H

#include "cpu/kernels/tile_config.h"

/* From here to the release this thread has tiles, all zero. */
static inline void tile_configure(const struct tile_config *config) {
    __asm__ volatile("ldtilecfg %0" ::"m"(*config) : "memory");
}

static inline void tile_release(void) {
    __asm__ volatile("tilerelease" ::: "memory");
}

#define tile_zero(tile) TILE_ZERO(tile)
#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::: "memory")

/* Row i of the tile at from + i * stride; strides are of type size_t, in bytes. */
#define tile_load(tile, from, stride) TILE_LOAD(tile, from, stride)
#define TILE_LOAD(tile, from, stride)                                                      \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((size_t)(stride)) \
                     : "memory")

#define tile_store(tile, to, stride) TILE_STORE(tile, to, stride)
#define TILE_STORE(tile, to, stride)                                                         \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((size_t)(stride)) \
                     : "memory")

/* sum[m][n] += sum over k of a[m][k] * b[k / 2][n][k % 2], bf16 into f32: the products of even k
 * and those of odd k are summed apart from 0, each in order and fused, then both to one another and
 * that to sum. Denormals are zeros, rounding is to nearest even. */
#define tile_dot_bf16(sum, a, b) TILE_DOT_BF16(sum, a, b)
#define TILE_DOT_BF16(sum, a, b) \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::: "memory")

#endif
