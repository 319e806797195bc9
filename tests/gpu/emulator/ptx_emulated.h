/* ptx.cuh for the host's compiler: the same kernel source on a CPU, checked. emulator.h says how.
 */
#ifndef GPU_PTX_EMULATED_H
#define GPU_PTX_EMULATED_H

#include <math.h>
#include <string.h>

#include "emulator.h"

#define DEVICE static inline
#define DEVICE_CALLED static

#define KERNEL(name, args_type, n_threads, min_blocks) \
    KERNEL_NAMED(name, args_type, n_threads, min_blocks)
#define KERNEL_NAMED(name, args_type, n_threads, min_blocks)                                \
    static void name(const args_type &args);                                                \
    static void name##_with(const void *args) {                                             \
        name(*static_cast<const args_type *>(args));                                        \
    }                                                                                       \
    static emulated_kernel name##_kernel(#name, n_threads, sizeof(args_type), name##_with); \
    static void name([[maybe_unused]] const args_type &args)

/* Last parameters of everything that can go wrong: the place that calls. */
#define SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define HERE        \
    (struct site) { \
        file, line  \
    }

/* ---- who am I ---- */

DEVICE uint32_t thread_index() {
    return emulated_self->index;
}
DEVICE uint32_t thread_count() {
    return emulated.threads;
}
DEVICE uint32_t lane_index() {
    return emulated_self->lane;
}
DEVICE uint32_t warp_index() {
    return emulated_self->index / 32;
}
DEVICE uint32_t block_index() {
    return emulated_self->block->index;
}
DEVICE uint32_t block_count() {
    return emulated.grid;
}

/* ---- waiting for each other ---- */

DEVICE void emulated_call(enum warp_op op, uint32_t a, uint32_t b, struct site site) {
    warp_call call = {};
    call.op = op;
    call.site = site;
    call.a = a;
    call.b = b;
    emulated_warp_call(&call);
}
DEVICE uint32_t warp_index_of_all(SITE) {
    emulated_call(OP_WARP_INDEX, 0, 0, HERE);
    return emulated_self->index / 32;
}
DEVICE void block_sync(SITE) {
    emulated_call(OP_BLOCK_SYNC, 0, 0, HERE);
}
DEVICE void warp_sync(SITE) {
    emulated_call(OP_WARP_SYNC, 0, 0, HERE);
}
DEVICE void group_sync(uint32_t id, uint32_t n_threads, SITE) {
    emulated_call(OP_GROUP_SYNC, id, n_threads, HERE);
}
DEVICE void fence_device() {
    emulated_fence_device();
}
DEVICE uint32_t atomic_add_u32(uint32_t *at, uint32_t value, SITE) {
    return emulated_global_add(at, value, HERE);
}
DEVICE void wait_for_previous_kernel() {
    emulated_self->waited_for_previous = true;
    emulated.n_waited++;
}
DEVICE void let_next_kernel_begin() {}

/* ---- among the 32 lanes of a warp ---- */

template <typename T>
DEVICE T emulated_shuffle(enum warp_op op, T value, uint32_t lane, struct site site) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "what the device can shuffle");
    warp_call call = {};
    call.op = op;
    call.site = site;
    call.a = lane;
    memcpy(&call.value, &value, sizeof value);
    emulated_warp_call(&call);
    memcpy(&value, &call.result, sizeof value);
    return value;
}
template <typename T> DEVICE T shuffle(T value, uint32_t lane, SITE) {
    return emulated_shuffle(OP_SHUFFLE, value, lane, HERE);
}
template <typename T> DEVICE T shuffle_xor(T value, uint32_t mask, SITE) {
    return emulated_shuffle(OP_SHUFFLE_XOR, value, mask, HERE);
}
DEVICE uint32_t warp_ballot(bool predicate, SITE) {
    warp_call call = {};
    call.op = OP_BALLOT;
    call.site = HERE;
    call.value = predicate;
    emulated_warp_call(&call);
    return (uint32_t)call.result;
}

/* ---- memory ---- */

struct shared {
    uint32_t at;
};
DEVICE shared operator+(shared base, uint32_t bytes) {
    return shared{base.at + bytes};
}
DEVICE shared shared_memory() {
    return shared{0};
}
template <typename T> DEVICE T load_shared(shared from, SITE) {
    static_assert(sizeof(T) <= 16 && !(sizeof(T) & (sizeof(T) - 1)), "one access");
    T value;
    emulated_shared_read(from.at, &value, sizeof value, HERE);
    return value;
}
template <typename T> DEVICE void store_shared(shared to, T value, SITE) {
    static_assert(sizeof(T) <= 16 && !(sizeof(T) & (sizeof(T) - 1)), "one access");
    emulated_shared_write(to.at, &value, sizeof value, HERE);
}
DEVICE uint32_t atomic_add_shared(shared at, uint32_t value, SITE) {
    return emulated_shared_add(at.at, value, HERE);
}
template <typename T> constexpr size_t emulated_alignment() {
    return sizeof(T) <= 16 && !(sizeof(T) & (sizeof(T) - 1)) ? sizeof(T) : alignof(T);
}
template <typename T> DEVICE T load_global(const void *from, SITE) {
    T value;
    emulated_global_read(from, sizeof value, emulated_alignment<T>(), HERE);
    memcpy(&value, from, sizeof value);
    return value;
}
template <typename T> DEVICE T load_stream(const void *from, SITE) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "a vector of words");
    return load_global<T>(from, file, line);
}
template <typename T> DEVICE void store_global(void *to, T value, SITE) {
    emulated_global_write(to, sizeof value, emulated_alignment<T>(), HERE);
    memcpy(to, &value, sizeof value);
}

DEVICE void copy_async16(shared to, const void *from, bool valid, SITE) {
    emulated_copy_async16(to.at, from, valid, HERE);
}
DEVICE void copy_async_commit() {
    emulated_self->n_groups++;
}
template <int n> DEVICE void copy_async_wait() {
    emulated_copy_async_wait(n);
}

/* ---- matrices ---- */

DEVICE void emulated_matrix(enum warp_op op, uint32_t *r, shared row, struct site site) {
    warp_call call = {};
    call.op = op;
    call.site = site;
    call.a = row.at;
    call.to = r;
    emulated_warp_call(&call);
}
DEVICE void load_matrix4(uint32_t r[4], shared row, SITE) {
    emulated_matrix(OP_LOAD_MATRIX4, r, row, HERE);
}
DEVICE void load_matrix4_transposed(uint32_t r[4], shared row, SITE) {
    emulated_matrix(OP_LOAD_MATRIX4_TRANSPOSED, r, row, HERE);
}
DEVICE void load_matrix2(uint32_t r[2], shared row, SITE) {
    emulated_matrix(OP_LOAD_MATRIX2, r, row, HERE);
}

/* Of each element of d: products are exact; for k = 0 ... 7, then 8 ... 15, they are added one
 * after the other in f64 to the element so far, and the sum is rounded to f32 to nearest even. */
DEVICE void emulated_mma_call(enum warp_op op, float *d, const uint32_t *a, const uint32_t *b,
                              struct site site) {
    warp_call call = {};
    call.op = op;
    call.site = site;
    call.to = d;
    call.from[0] = a;
    call.from[1] = b;
    emulated_warp_call(&call);
}
DEVICE void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], SITE) {
    emulated_mma_call(OP_MMA_BF16, d, a, b, HERE);
}
DEVICE void mma_f16(float d[4], const uint32_t a[4], const uint32_t b[2], SITE) {
    emulated_mma_call(OP_MMA_F16, d, a, b, HERE);
}

/* The same of k = 0 ... 31. */
DEVICE void mma_e4m3(float d[4], const uint32_t a[4], const uint32_t b[2], SITE) {
    emulated_mma_call(OP_MMA_E4M3, d, a, b, HERE);
}

/* ---- numbers ---- */

DEVICE float fma_f32(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
DEVICE float sqrt_f32(float x) {
    return __builtin_sqrtf(x);
}
DEVICE uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
DEVICE float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
DEVICE float bf16_to_f32(uint16_t x) {
    return from_bits((uint32_t)x << 16);
}
DEVICE uint32_t pack_bf16(float low, float high) {
    return emulated_f32_to_bf16(low) | (uint32_t)emulated_f32_to_bf16(high) << 16;
}
DEVICE float f16_to_f32(uint16_t x) {
    return emulated_f16_to_f32(x);
}
DEVICE uint32_t add_f16x2(uint32_t a, uint32_t b) {
    /* f32 has more than twice the bits: rounding twice is rounding once. */
    uint16_t low = emulated_f32_to_f16(f16_to_f32((uint16_t)a) + f16_to_f32((uint16_t)b));
    uint16_t high =
        emulated_f32_to_f16(f16_to_f32((uint16_t)(a >> 16)) + f16_to_f32((uint16_t)(b >> 16)));
    return low | (uint32_t)high << 16;
}
DEVICE uint32_t pack_f16(float low, float high) {
    return emulated_f32_to_f16(low) | (uint32_t)emulated_f32_to_f16(high) << 16;
}

#endif
