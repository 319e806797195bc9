/* simd.h for NEON of AArch64: eight lanes in two registers. Products of four signed bytes are one
 * instruction with -march=armv8.2-a+dotprod and four without; +i8mm has two rows' products by two
 * of eight. The sums are exact, so all give the same bits. */
#ifndef CPU_KERNELS_SIMD_NEON_H
#define CPU_KERNELS_SIMD_NEON_H

#include <arm_neon.h>

#define SIMD_LANES 8
#define SIMD_REGISTERS 16 /* pairs */

typedef struct {
    float32x4_t low, high;
} simd_f;
typedef struct {
    uint32x4_t low, high;
} simd_i;
typedef simd_i simd_m; /* lanes of all ones or all zeros */

INLINE simd_f simd_f_pair(float32x4_t low, float32x4_t high) {
    return (simd_f){low, high};
}
INLINE simd_i simd_i_pair(uint32x4_t low, uint32x4_t high) {
    return (simd_i){low, high};
}

/* ---- integers ---- */
INLINE simd_i simd_bits(simd_f x) {
    return simd_i_pair(vreinterpretq_u32_f32(x.low), vreinterpretq_u32_f32(x.high));
}
INLINE simd_f simd_from_bits(simd_i x) {
    return simd_f_pair(vreinterpretq_f32_u32(x.low), vreinterpretq_f32_u32(x.high));
}
INLINE simd_i simd_set1_i32(int32_t x) {
    uint32x4_t all = vdupq_n_u32((uint32_t)x);
    return simd_i_pair(all, all);
}
INLINE simd_i simd_zero_bits(void) {
    return simd_set1_i32(0);
}
INLINE simd_i simd_set1_i8(int8_t x) {
    uint32x4_t all = vreinterpretq_u32_s8(vdupq_n_s8(x));
    return simd_i_pair(all, all);
}
INLINE simd_i simd_load_bytes(const uint8_t *from) {
    return simd_i_pair(vreinterpretq_u32_u8(vld1q_u8(from)),
                       vreinterpretq_u32_u8(vld1q_u8(from + 16)));
}
/* Byte i: levels[index[i]], indices below 16. */
INLINE simd_i simd_lookup(const int8_t *levels, simd_i index) {
    int8x16_t table = vld1q_s8(levels);
    return simd_i_pair(vreinterpretq_u32_s8(vqtbl1q_s8(table, vreinterpretq_u8_u32(index.low))),
                       vreinterpretq_u32_s8(vqtbl1q_s8(table, vreinterpretq_u8_u32(index.high))));
}
INLINE simd_i simd_and_bits(simd_i a, simd_i b) {
    return simd_i_pair(vandq_u32(a.low, b.low), vandq_u32(a.high, b.high));
}
INLINE simd_i simd_or_bits(simd_i a, simd_i b) {
    return simd_i_pair(vorrq_u32(a.low, b.low), vorrq_u32(a.high, b.high));
}
INLINE simd_i simd_xor_bits(simd_i a, simd_i b) {
    return simd_i_pair(veorq_u32(a.low, b.low), veorq_u32(a.high, b.high));
}
INLINE simd_i simd_add_i32(simd_i a, simd_i b) {
    return simd_i_pair(vaddq_u32(a.low, b.low), vaddq_u32(a.high, b.high));
}
INLINE simd_i simd_sub_i32(simd_i a, simd_i b) {
    return simd_i_pair(vsubq_u32(a.low, b.low), vsubq_u32(a.high, b.high));
}
/* The intrinsics of shifts by a number want a constant where there is no optimization, too; the
 * compilers' own operator doesn't. */
INLINE simd_i simd_slli_i32(simd_i x, int by) {
    return simd_i_pair(x.low << by, x.high << by);
}
INLINE simd_i simd_srli_i32(simd_i x, int by) {
    return simd_i_pair(x.low >> by, x.high >> by);
}
INLINE simd_i simd_srai_i32(simd_i x, int by) {
    return simd_i_pair(vreinterpretq_u32_s32(vreinterpretq_s32_u32(x.low) >> by),
                       vreinterpretq_u32_s32(vreinterpretq_s32_u32(x.high) >> by));
}
INLINE simd_i simd_slli_i16(simd_i x, int by) {
    return simd_i_pair(vreinterpretq_u32_u16(vreinterpretq_u16_u32(x.low) << (uint16_t)by),
                       vreinterpretq_u32_u16(vreinterpretq_u16_u32(x.high) << (uint16_t)by));
}
INLINE simd_i simd_srli_i16(simd_i x, int by) {
    return simd_i_pair(vreinterpretq_u32_u16(vreinterpretq_u16_u32(x.low) >> (uint16_t)by),
                       vreinterpretq_u32_u16(vreinterpretq_u16_u32(x.high) >> (uint16_t)by));
}
INLINE simd_f simd_from_i32(simd_i x) {
    return simd_f_pair(vcvtq_f32_s32(vreinterpretq_s32_u32(x.low)),
                       vcvtq_f32_s32(vreinterpretq_s32_u32(x.high)));
}
INLINE simd_i simd_to_i32(simd_f x) { /* to nearest even */
    return simd_i_pair(vreinterpretq_u32_s32(vcvtnq_s32_f32(x.low)),
                       vreinterpretq_u32_s32(vcvtnq_s32_f32(x.high)));
}

#define SIMD_DOT4
#if defined(__ARM_FEATURE_DOTPROD)
INLINE uint32x4_t simd_dot4_half(uint32x4_t sum, int8x16_t a, int8x16_t b) {
    return vreinterpretq_u32_s32(vdotq_s32(vreinterpretq_s32_u32(sum), a, b));
}
#else
/* Two products of -128 ... 127 and -127 ... 127 are at most 2 * 128 * 127 = 32512. */
INLINE uint32x4_t simd_dot4_half(uint32x4_t sum, int8x16_t a, int8x16_t b) {
    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vreinterpretq_u32_s32(vpadalq_s16(vreinterpretq_s32_u32(sum), vpaddq_s16(low, high)));
}
#endif
/* A lane's sum of a's and b's four signed bytes' products, added to sum; b has no -128. */
INLINE simd_i simd_dot4(simd_i sum, simd_i a, simd_i b) {
    return simd_i_pair(
        simd_dot4_half(sum.low, vreinterpretq_s8_u32(a.low), vreinterpretq_s8_u32(b.low)),
        simd_dot4_half(sum.high, vreinterpretq_s8_u32(a.high), vreinterpretq_s8_u32(b.high)));
}

#if defined(__ARM_FEATURE_MATMUL_INT8)
#define SIMD_MATRIX
/* Columns 0 ... 3 and 4 ... 7 of all lanes become columns 0 ... 7 of lanes 0 ... 3 and of lanes
 * 4 ... 7: a quarter of a vector is a lane's eight bytes. */
INLINE void simd_pack_columns(simd_i *a, simd_i *b) {
    simd_i first = *a, second = *b;
    *a = simd_i_pair(vzip1q_u32(first.low, second.low), vzip2q_u32(first.low, second.low));
    *b = simd_i_pair(vzip1q_u32(first.high, second.high), vzip2q_u32(first.high, second.high));
}
/* Bytes 8 * i ... + 7 of two rows, in both halves. */
INLINE simd_i simd_rows_columns(const int8_t *x0, const int8_t *x1, int i) {
    int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(x0 + i / 2 * 16));
    int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(x1 + i / 2 * 16));
    uint32x4_t rows = vreinterpretq_u32_s64(i % 2 ? vzip2q_s64(a, b) : vzip1q_s64(a, b));
    return simd_i_pair(rows, rows);
}
/* Element i < 4 of two rows, one after the other in all lanes. */
INLINE simd_f simd_rows_broadcast(const float *x0, const float *x1, int i) {
    float32x4_t a = vld1q_f32(x0), b = vld1q_f32(x1);
    float64x2_t pairs = vreinterpretq_f64_f32(i / 2 ? vzip2q_f32(a, b) : vzip1q_f32(a, b));
    pairs = i % 2 ? vzip2q_f64(pairs, pairs) : vzip1q_f64(pairs, pairs);
    return simd_f_pair(vreinterpretq_f32_f64(pairs), vreinterpretq_f32_f64(pairs));
}
INLINE uint32x4_t simd_matrix_half(uint32x4_t w, uint32x4_t x) {
    return vreinterpretq_u32_s32(
        vmmlaq_s32(vdupq_n_s32(0), vreinterpretq_s8_u32(w), vreinterpretq_s8_u32(x)));
}
/* Four lanes' packed columns by two rows' columns: lane 2 * r + t is weight row r's sum of products
 * with row t of x, r = 0 ... 3. */
INLINE simd_i simd_matrix_multiply(simd_i w, simd_i x) {
    return simd_i_pair(simd_matrix_half(w.low, x.low), simd_matrix_half(w.high, x.high));
}
/* a: lanes 0 ... 3 of two rows as the products have them, b: lanes 4 ... 7. They become all lanes
 * of the first row and of the second. */
INLINE void simd_split_rows(simd_f *a, simd_f *b) {
    simd_f low = *a, high = *b;
    *a = simd_f_pair(vuzp1q_f32(low.low, low.high), vuzp1q_f32(high.low, high.high));
    *b = simd_f_pair(vuzp2q_f32(low.low, low.high), vuzp2q_f32(high.low, high.high));
}
#endif

/* ---- f32 ---- */
INLINE simd_f simd_set1(float x) {
    float32x4_t all = vdupq_n_f32(x);
    return simd_f_pair(all, all);
}
INLINE simd_f simd_zero(void) {
    return simd_set1(0.0f);
}
INLINE simd_f simd_broadcast(const float *x) {
    return simd_set1(*x);
}
INLINE float simd_first(simd_f x) {
    return vgetq_lane_f32(x.low, 0);
}
INLINE simd_f simd_load(const float *x) {
    return simd_f_pair(vld1q_f32(x), vld1q_f32(x + 4));
}
INLINE void simd_store(float *y, simd_f x) {
    vst1q_f32(y, x.low);
    vst1q_f32(y + 4, x.high);
}
INLINE simd_f simd_add(simd_f a, simd_f b) {
    return simd_f_pair(vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high));
}
INLINE simd_f simd_sub(simd_f a, simd_f b) {
    return simd_f_pair(vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high));
}
INLINE simd_f simd_mul(simd_f a, simd_f b) {
    return simd_f_pair(vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high));
}
INLINE simd_f simd_div(simd_f a, simd_f b) {
    return simd_f_pair(vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high));
}
/* a * b + c, -(a * b) + c, a * b - c, rounded once */
INLINE simd_f simd_fma(simd_f a, simd_f b, simd_f c) {
    return simd_f_pair(vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high));
}
INLINE simd_f simd_fnma(simd_f a, simd_f b, simd_f c) {
    return simd_f_pair(vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high));
}
INLINE simd_f simd_fms(simd_f a, simd_f b, simd_f c) {
    return simd_fma(a, b, simd_f_pair(vnegq_f32(c.low), vnegq_f32(c.high)));
}
INLINE simd_f simd_and(simd_f a, simd_f b) {
    return simd_from_bits(simd_and_bits(simd_bits(a), simd_bits(b)));
}
INLINE simd_f simd_andnot(simd_f a, simd_f b) { /* ~a & b */
    return simd_from_bits(
        simd_i_pair(vbicq_u32(vreinterpretq_u32_f32(b.low), vreinterpretq_u32_f32(a.low)),
                    vbicq_u32(vreinterpretq_u32_f32(b.high), vreinterpretq_u32_f32(a.high))));
}
INLINE simd_f simd_or(simd_f a, simd_f b) {
    return simd_from_bits(simd_or_bits(simd_bits(a), simd_bits(b)));
}
INLINE simd_f simd_xor(simd_f a, simd_f b) {
    return simd_from_bits(simd_xor_bits(simd_bits(a), simd_bits(b)));
}
INLINE simd_f simd_round(simd_f x) {
    return simd_f_pair(vrndnq_f32(x.low), vrndnq_f32(x.high));
}

/* ---- choices ---- */
INLINE simd_m simd_less(simd_f a, simd_f b) {
    return simd_i_pair(vcltq_f32(a.low, b.low), vcltq_f32(a.high, b.high));
}
INLINE simd_m simd_unordered(simd_f x) {
    return simd_i_pair(vmvnq_u32(vceqq_f32(x.low, x.low)), vmvnq_u32(vceqq_f32(x.high, x.high)));
}
INLINE uint32x4_t simd_between_half(int32x4_t index, int begin, int end) {
    return vandq_u32(vcgeq_s32(index, vdupq_n_s32(begin)), vcltq_s32(index, vdupq_n_s32(end)));
}
/* Lanes from begin on and before end. */
INLINE simd_m simd_between(int begin, int end) {
    static const int32_t index[SIMD_LANES] = {0, 1, 2, 3, 4, 5, 6, 7};
    return simd_i_pair(simd_between_half(vld1q_s32(index), begin, end),
                       simd_between_half(vld1q_s32(index + 4), begin, end));
}
INLINE simd_f simd_select(simd_m choice, simd_f yes, simd_f no) {
    return simd_f_pair(vbslq_f32(choice.low, yes.low, no.low),
                       vbslq_f32(choice.high, yes.high, no.high));
}
/* x, or +0 */
INLINE simd_f simd_keep(simd_m choice, simd_f x) {
    return simd_from_bits(simd_and_bits(choice, simd_bits(x)));
}
/* b where one is a NaN, which NEON's own minimum and maximum are not. */
INLINE simd_f simd_min(simd_f a, simd_f b) {
    return simd_select(simd_less(a, b), a, b);
}
INLINE simd_f simd_max(simd_f a, simd_f b) {
    return simd_select(simd_less(b, a), a, b);
}

/* The n < 4 floats at x, zeros after them. */
INLINE float32x4_t simd_load_part(const float *x, size_t n) {
    float32x4_t part = vdupq_n_f32(0.0f);
    if (n > 0) part = vld1q_lane_f32(x, part, 0);
    if (n > 1) part = vld1q_lane_f32(x + 1, part, 1);
    if (n > 2) part = vld1q_lane_f32(x + 2, part, 2);
    return part;
}
INLINE void simd_store_part(float *y, float32x4_t part, size_t n) {
    if (n > 0) vst1q_lane_f32(y, part, 0);
    if (n > 1) vst1q_lane_f32(y + 1, part, 1);
    if (n > 2) vst1q_lane_f32(y + 2, part, 2);
}
/* The n floats at x, zeros after them. */
INLINE simd_f simd_load_n(const float *x, size_t n) {
    if (n >= SIMD_LANES) return simd_load(x);
    if (n >= 4) return simd_f_pair(vld1q_f32(x), simd_load_part(x + 4, n - 4));
    return simd_f_pair(simd_load_part(x, n), vdupq_n_f32(0.0f));
}
INLINE void simd_store_n(float *y, simd_f x, size_t n) {
    if (n >= SIMD_LANES) {
        simd_store(y, x);
    } else if (n >= 4) {
        vst1q_f32(y, x.low);
        simd_store_part(y + 4, x.high, n - 4);
    } else {
        simd_store_part(y, x.low, n);
    }
}

/* ---- across lanes: the order of AVX2 ---- */
INLINE float simd_sum(simd_f x) {
    float32x4_t s = vaddq_f32(x.low, x.high);
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}
INLINE float simd_largest(simd_f x) {
    float32x4_t m = vbslq_f32(vcgtq_f32(x.low, x.high), x.low, x.high);
    float32x2_t low = vget_low_f32(m), high = vget_high_f32(m);
    low = vbsl_f32(vcgt_f32(low, high), low, high);
    float first = vget_lane_f32(low, 0), second = vget_lane_f32(low, 1);
    return first > second ? first : second;
}
INLINE float32x4_t simd_zip_pairs1(float32x4_t a, float32x4_t b) {
    return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
INLINE float32x4_t simd_zip_pairs2(float32x4_t a, float32x4_t b) {
    return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
/* The larger of a vector's lanes i and i + 2, of two vectors side by side. */
INLINE simd_f simd_largest_interleaved(simd_f a, simd_f b) {
    return simd_max(simd_f_pair(vzip1q_f32(a.low, b.low), vzip1q_f32(a.high, b.high)),
                    simd_f_pair(vzip2q_f32(a.low, b.low), vzip2q_f32(a.high, b.high)));
}
/* Lane i % 4: the largest of x[i]. */
INLINE simd_f simd_largest_of_four(const simd_f *x) {
    simd_f a = simd_largest_interleaved(x[0], x[1]), b = simd_largest_interleaved(x[2], x[3]);
    /* a: 0 1 0 1 of the vectors in each half, b: 2 3 2 3 */
    simd_f m =
        simd_max(simd_f_pair(simd_zip_pairs1(a.low, b.low), simd_zip_pairs1(a.high, b.high)),
                 simd_f_pair(simd_zip_pairs2(a.low, b.low), simd_zip_pairs2(a.high, b.high)));
    return simd_max(m, simd_f_pair(m.high, m.low));
}
/* Lane i % 4: the sum of x[i]. */
INLINE simd_f simd_sum_of_four(const simd_f *x) {
    float32x4_t low = vpaddq_f32(vpaddq_f32(x[0].low, x[1].low), vpaddq_f32(x[2].low, x[3].low));
    float32x4_t high =
        vpaddq_f32(vpaddq_f32(x[0].high, x[1].high), vpaddq_f32(x[2].high, x[3].high));
    float32x4_t sum = vaddq_f32(low, high);
    return simd_f_pair(sum, sum);
}
/* n <= lanes pairs: the first of each, the second of each. */
INLINE void simd_load_pairs(const float *x, size_t n, simd_f *first, simd_f *second) {
    simd_f low = simd_load_n(x, 2 * n);
    simd_f high = n > 4 ? simd_load_n(x + 8, 2 * n - 8) : simd_zero();
    *first = simd_f_pair(vuzp1q_f32(low.low, low.high), vuzp1q_f32(high.low, high.high));
    *second = simd_f_pair(vuzp2q_f32(low.low, low.high), vuzp2q_f32(high.low, high.high));
}
INLINE simd_f simd_even_twice(simd_f x) {
    return simd_f_pair(vtrn1q_f32(x.low, x.low), vtrn1q_f32(x.high, x.high));
}
INLINE simd_f simd_odd_twice(simd_f x) {
    return simd_f_pair(vtrn2q_f32(x.low, x.low), vtrn2q_f32(x.high, x.high));
}
INLINE simd_f simd_swap_pairs(simd_f x) {
    return simd_f_pair(vrev64q_f32(x.low), vrev64q_f32(x.high));
}
/* a * b - c in even lanes, + c in odd ones */
INLINE simd_f simd_fma_alternate(simd_f a, simd_f b, simd_f c) {
    uint32x4_t even_signs = vreinterpretq_u32_u64(vdupq_n_u64(0x80000000u));
    return simd_fma(a, b, simd_xor(c, simd_from_bits(simd_i_pair(even_signs, even_signs))));
}

/* ---- a lane each from narrower elements ---- */
INLINE simd_i simd_load_u8(const uint8_t *from) {
    uint16x8_t words = vmovl_u8(vld1_u8(from));
    return simd_i_pair(vmovl_u16(vget_low_u16(words)), vmovl_high_u16(words));
}
INLINE simd_i simd_load_i8(const uint8_t *from) {
    int16x8_t words = vmovl_s8(vreinterpret_s8_u8(vld1_u8(from)));
    return simd_i_pair(vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(words))),
                       vreinterpretq_u32_s32(vmovl_high_s16(words)));
}
INLINE simd_f simd_load_f16(const uint8_t *from) {
    float16x8_t halves = vreinterpretq_f16_u8(vld1q_u8(from));
    return simd_f_pair(vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves));
}
INLINE simd_f simd_load_bf16(const uint8_t *from) {
    uint16x8_t bits = vreinterpretq_u16_u8(vld1q_u8(from)), zero = vdupq_n_u16(0);
    return simd_from_bits(simd_i_pair(vreinterpretq_u32_u16(vzip1q_u16(zero, bits)),
                                      vreinterpretq_u32_u16(vzip2q_u16(zero, bits))));
}
INLINE void simd_store_f16(uint8_t *to, simd_f x) {
    vst1q_u8(to, vreinterpretq_u8_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.low), x.high)));
}
/* The low 16 bits of the lanes, which have no others. */
INLINE void simd_store_u16(uint8_t *to, simd_i x) {
    vst1q_u8(to, vreinterpretq_u8_u16(vmovn_high_u32(vmovn_u32(x.low), x.high)));
}
/* Lanes of -128 ... 127 as bytes. */
INLINE void simd_store_i8(int8_t *to, simd_i x) {
    uint8x8_t bytes = vmovn_u16(vmovn_high_u32(vmovn_u32(x.low), x.high));
    vst1_s8(to, vreinterpret_s8_u8(bytes));
}

INLINE void simd_prefetch(const void *from) {
    __builtin_prefetch(from);
}

/* The value as it is now, in registers. */
INLINE void simd_pin(simd_i *x) {
    __asm__("" : "+w"(x->low), "+w"(x->high));
}

#endif
