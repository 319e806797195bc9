#include "mma_models.h"

#include <math.h>

#include "quant/weight_type.h"

const struct mma_model mma_models[] = {
    {"exact, rounded after every 8", 8, MMA_EXACT, false},
    {"exact, rounded after 16", 16, MMA_EXACT, false},
    {"one by one, rounded each", 1, MMA_EXACT, true},
    {"8 cut at 24 bits", 8, 0, false},
    {"8 cut at 25 bits", 8, 1, false},
    {"8 cut at 26 bits", 8, 2, false},
    {"8 cut at 27 bits", 8, 3, false},
    {"16 cut at 24 bits", 16, 0, false},
    {"16 cut at 25 bits", 16, 1, false},
    {"16 cut at 26 bits", 16, 2, false},
    {"16 cut at 27 bits", 16, 3, false},
    {"exact, rounded after 32", 32, MMA_EXACT, false},
    {"16 cut at 14 bits", 16, -10, false},
    {"32 cut at 14 bits", 32, -10, false},
    {"32 cut at 24 bits", 32, 0, false},
    {"32 cut at 25 bits", 32, 1, false},
    {"32 cut at 26 bits", 32, 2, false},
};
const int mma_n_models = (int)(sizeof mma_models / sizeof *mma_models);

static float e4m3_value(uint16_t bits) {
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    float magnitude =
        exponent ? ldexpf((float)(8 + mantissa), exponent - 10) : ldexpf((float)mantissa, -9);
    if (exponent == 15 && mantissa == 7) magnitude = NAN;
    return bits & 0x80 ? -magnitude : magnitude;
}

/* Nearest, ties to even: numbers ascend with their bits. */
static uint16_t e4m3_element(float value) {
    uint16_t best = 0;
    for (uint16_t bits = 1; bits < 0x7f; bits++) {
        const float at = fabsf(fabsf(value) - e4m3_value(bits));
        const float before = fabsf(fabsf(value) - e4m3_value(best));
        if (at < before || (at == before && bits % 2 == 0)) best = bits;
    }
    return (uint16_t)(best | (signbit(value) ? 0x80 : 0));
}

float mma_value(enum probe_type type, uint16_t bits) {
    if (type == PROBE_E4M3) return e4m3_value(bits);
    return type == PROBE_BF16 ? bfloat16_to_float(bits) : half_to_float(bits);
}

uint16_t mma_element(enum probe_type type, float value) {
    if (type == PROBE_E4M3) return e4m3_element(value);
    return type == PROBE_BF16 ? bfloat16_from_float(value) : half_from_float(value);
}

/* The exponent that a multiplier sees: of the leading bit, or the least one of a subnormal. */
static int exponent_of(float x, int least) {
    int exponent;
    if (x == 0) return least;
    frexpf(x, &exponent);
    return exponent - 1 < least ? least : exponent - 1;
}

/* All terms are brought to the greatest exponent, cut off below its 24 + extra bits, added exactly,
 * and the sum is cut to f32. Products are not normalised: their exponent is the factors' sum. */
static float add_cut(enum probe_type type, const float *a, const float *b, int n, float c,
                     int extra_bits) {
    const int least = type == PROBE_BF16 ? -126 : type == PROBE_F16 ? -14 : -6;
    int greatest = exponent_of(c, -126);
    for (int k = 0; k < n; k++) {
        if (a[k] == 0 || b[k] == 0) continue;
        const int exponent = exponent_of(a[k], least) + exponent_of(b[k], least);
        if (exponent > greatest) greatest = exponent;
    }
    const int unit = greatest - 23 - extra_bits; /* exponent of the last bit kept */
    double sum = trunc(ldexp((double)c, -unit));
    for (int k = 0; k < n; k++) sum += trunc(ldexp((double)a[k] * (double)b[k], -unit));
    const double value = ldexp(sum, unit);
    const float rounded = (float)value;
    return fabs((double)rounded) > fabs(value) ? nextafterf(rounded, 0) : rounded;
}

static float add_exact(const float *a, const float *b, int n, float c) {
    double sum = (double)c;
    for (int k = 0; k < n; k++) sum += (double)a[k] * (double)b[k];
    return (float)sum;
}

float mma_add(const struct mma_model *model, enum probe_type type, const float *a, const float *b,
              int n, float c) {
    for (int k = 0; k < n; k += model->group) {
        if (model->fused)
            c = fmaf(a[k], b[k], c);
        else if (model->extra_bits == MMA_EXACT)
            c = add_exact(a + k, b + k, model->group, c);
        else
            c = add_cut(type, a + k, b + k, model->group, c, model->extra_bits);
    }
    return c;
}

void mma_by_model(const struct mma_model *model, enum probe_type type,
                  const struct probe_case *from, struct probe_sum *sum) {
    for (int row = 0; row < 16; row++)
        for (int n = 0; n < 8; n++) {
            float a[16], b[16];
            for (int k = 0; k < 16; k++) {
                a[k] = mma_value(type, from->a[row][k]);
                b[k] = mma_value(type, from->b[k][n]);
            }
            sum->d[row][n] = mma_add(model, type, a, b, 16, from->c[row][n]);
        }
}
