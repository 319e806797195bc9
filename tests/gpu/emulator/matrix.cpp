/* What a warp does to matrices, and the 16-bit floats. */
#include <math.h>
#include <string.h>

#include "emulator.h"

/* ---- numbers ---- */

static float f32_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static uint32_t bits_of_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

float emulated_f16_to_f32(uint16_t x) {
    const uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = x >> 10 & 31,
                   mantissa = x & 1023;
    if (exponent == 31) return f32_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent) return f32_of(sign | (exponent + 112) << 23 | mantissa << 13);
    const float magnitude = (float)mantissa * 0x1p-24f;
    return f32_of(sign | bits_of_f32(magnitude));
}

/* The low `shift` bits go, to nearest even. */
static uint32_t round_off(uint32_t bits, uint32_t shift) {
    const uint32_t rest = bits & ((1u << shift) - 1), half = 1u << (shift - 1);
    bits >>= shift;
    return bits + (rest > half || (rest == half && (bits & 1)));
}

uint16_t emulated_f32_to_f16(float x) {
    const uint32_t bits = bits_of_f32(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return 0x7fff;
    if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7c00); /* 2^16 and more */
    if (magnitude >= 0x38800000) /* 2^-14: normal; rounding up may carry into infinity */
        return (uint16_t)(sign | (round_off(magnitude, 13) - (112u << 10)));
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return (uint16_t)sign; /* below half of 2^-24 */
    return (uint16_t)(sign | round_off((magnitude & 0x7fffff) | 0x800000, 126 - exponent));
}

uint16_t emulated_f32_to_bf16(float x) {
    const uint32_t bits = bits_of_f32(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (uint16_t)round_off(bits, 16);
}

/* ---- ldmatrix ---- */

void emulated_load_matrix(struct emulated_warp *warp, uint32_t n, bool transposed) {
    struct emulated_thread *self = emulated_self;
    uint16_t matrices[4][8][8];
    for (uint32_t lane = 0; lane < 8 * n; lane++) {
        const struct warp_call *call = warp->lanes[lane]->call;
        emulated_self = warp->lanes[lane]; /* whose row it is, in what may go wrong */
        emulated_shared_read(call->a, matrices[lane / 8][lane % 8], 16, call->site);
    }
    emulated_self = self;
    for (uint32_t lane = 0; lane < 32; lane++) {
        uint32_t *r = (uint32_t *)warp->lanes[lane]->call->to;
        const uint32_t row = lane / 4, column = lane % 4 * 2;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t low = transposed ? matrices[i][column][row] : matrices[i][row][column];
            const uint32_t high =
                transposed ? matrices[i][column + 1][row] : matrices[i][row][column + 1];
            r[i] = low | high << 16;
        }
    }
}

void emulated_store_matrix(struct emulated_warp *warp) {
    struct emulated_thread *self = emulated_self;
    for (uint32_t lane = 0; lane < 32; lane++) {
        const struct warp_call *call = warp->lanes[lane]->call;
        uint32_t values[4]; /* of row lane % 8 of matrix lane / 8 */
        for (uint32_t i = 0; i < 4; i++)
            values[i] = ((const uint32_t *)warp->lanes[lane % 8 * 4 + i]->call->from[0])[lane / 8];
        emulated_self = warp->lanes[lane];
        emulated_shared_write(call->a, values, 16, call->site);
    }
    emulated_self = self;
}

/* ---- mma.sync m16n8k16, and m16n8k32 of e4m3 ---- */

static double e4m3_computed(uint32_t bits) {
    const int exponent = (int)(bits >> 3 & 15), mantissa = (int)(bits & 7);
    double magnitude = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    if (exponent == 15 && mantissa == 7) magnitude = (double)NAN;
    return bits & 0x80 ? -magnitude : magnitude;
}

static struct e4m3_table {
    double values[256];
    e4m3_table() {
        for (uint32_t i = 0; i < 256; i++) values[i] = e4m3_computed(i);
    }
} e4m3;

uint32_t emulated_unpack(uint32_t bits, enum element element, double *to) {
    if (element == ELEMENT_E4M3) {
        to[0] = e4m3.values[bits & 0xff];
        to[1] = e4m3.values[bits >> 8 & 0xff];
        return 2;
    }
    to[0] = (double)(element == ELEMENT_BF16 ? f32_of(bits << 16)
                                             : emulated_f16_to_f32((uint16_t)bits));
    return 1;
}

void emulated_mma(struct emulated_warp *warp, enum element element) {
    const uint32_t of_half = element == ELEMENT_E4M3 ? 2 : 1;
    double a[16][32], b[32][8], d[16][8];
    for (uint32_t lane = 0; lane < 32; lane++) {
        const struct warp_call *call = warp->lanes[lane]->call;
        const uint32_t *ra = (const uint32_t *)call->from[0], *rb = (const uint32_t *)call->from[1];
        const float *rd = (const float *)call->to;
        const uint32_t g = lane / 4, t = 2 * (lane % 4);
        for (uint32_t i = 0; i < 4; i++) {
            double *to = &a[g + i % 2 * 8][of_half * (t + i / 2 * 8)];
            emulated_unpack(ra[i] & 0xffff, element, to);
            emulated_unpack(ra[i] >> 16, element, to + of_half);
            d[g + i / 2 * 8][t + i % 2] = (double)rd[i];
        }
        for (uint32_t i = 0; i < 2; i++) {
            double of_k[4];
            emulated_unpack(rb[i] & 0xffff, element, of_k);
            emulated_unpack(rb[i] >> 16, element, of_k + of_half);
            for (uint32_t k = 0; k < 2 * of_half; k++) b[of_half * (t + 8 * i) + k][g] = of_k[k];
        }
    }
    for (uint32_t row = 0; row < 16; row++)
        for (uint32_t first = 0; first < 16 * of_half; first += 8) {
            for (uint32_t k = first; k < first + 8; k++)
                for (uint32_t n = 0; n < 8; n++) d[row][n] += a[row][k] * b[k][n];
            for (uint32_t n = 0; n < 8; n++) d[row][n] = (double)(float)d[row][n];
        }
    for (uint32_t lane = 0; lane < 32; lane++) {
        float *rd = (float *)warp->lanes[lane]->call->to;
        const uint32_t g = lane / 4, t = 2 * (lane % 4);
        for (uint32_t i = 0; i < 4; i++) rd[i] = (float)d[g + i / 2 * 8][t + i % 2];
    }
}
