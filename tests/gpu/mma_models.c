#include "mma_models.h"

#include <math.h>

#include "quant/weight_type.h"

const struct mma_model mma_models[] = {
    {"exact, rounded after every 8", 8, -1, false},
    {"exact, rounded after 16", 16, -1, false},
    {"one by one, rounded each", 1, -1, true},
    {"8 cut at 24 bits", 8, 0, false},
    {"8 cut at 25 bits", 8, 1, false},
    {"8 cut at 26 bits", 8, 2, false},
    {"8 cut at 27 bits", 8, 3, false},
    {"16 cut at 24 bits", 16, 0, false},
    {"16 cut at 25 bits", 16, 1, false},
    {"16 cut at 26 bits", 16, 2, false},
    {"16 cut at 27 bits", 16, 3, false},
};
const int mma_n_models = (int)(sizeof mma_models / sizeof *mma_models);

float mma_value(enum probe_type type, uint16_t bits) {
    return type == PROBE_BF16 ? bfloat16_to_float(bits) : half_to_float(bits);
}

uint16_t mma_element(enum probe_type type, float value) {
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
    const int least = type == PROBE_BF16 ? -126 : -14;
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

void mma_by_model(const struct mma_model *model, enum probe_type type,
                  const struct probe_case *from, struct probe_sum *sum) {
    for (int row = 0; row < 16; row++)
        for (int n = 0; n < 8; n++) {
            float a[16], b[16], d = from->c[row][n];
            for (int k = 0; k < 16; k++) {
                a[k] = mma_value(type, from->a[row][k]);
                b[k] = mma_value(type, from->b[k][n]);
            }
            for (int k = 0; k < 16; k += model->group) {
                if (model->fused)
                    d = fmaf(a[k], b[k], d);
                else if (model->extra_bits < 0)
                    d = add_exact(a + k, b + k, model->group, d);
                else
                    d = add_cut(type, a + k, b + k, model->group, d, model->extra_bits);
            }
            sum->d[row][n] = d;
        }
}
