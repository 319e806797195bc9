/* Weight types: dequantizing against values from the gguf package, quantizing against error bounds,
 * half and bfloat16 conversions. */
#include "quant/weight_type.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool same(float a, float b) {
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

/* ---- types ---- */

START_TEST(types_have_their_gguf_numbers) {
    static const struct {
        enum weight_type type;
        const char *name;
        uint32_t number;
    } known[] = {{WEIGHT_F32, "F32", 0},          {WEIGHT_F16, "F16", 1},
                 {WEIGHT_BF16, "BF16", 30},       {WEIGHT_Q4_0, "Q4_0", 2},
                 {WEIGHT_Q4_1, "Q4_1", 3},        {WEIGHT_Q5_0, "Q5_0", 6},
                 {WEIGHT_Q5_1, "Q5_1", 7},        {WEIGHT_Q8_0, "Q8_0", 8},
                 {WEIGHT_Q2_K, "Q2_K", 10},       {WEIGHT_Q3_K, "Q3_K", 11},
                 {WEIGHT_Q4_K, "Q4_K", 12},       {WEIGHT_Q5_K, "Q5_K", 13},
                 {WEIGHT_Q6_K, "Q6_K", 14},       {WEIGHT_Q8_K, "Q8_K", 15},
                 {WEIGHT_IQ4_NL, "IQ4_NL", 20},   {WEIGHT_IQ4_XS, "IQ4_XS", 23},
                 {WEIGHT_MXFP4, "MXFP4", 39},     {WEIGHT_NVFP4, "NVFP4", 40},
                 {WEIGHT_TQ1_0, "TQ1_0", 34},     {WEIGHT_TQ2_0, "TQ2_0", 35},
                 {WEIGHT_IQ1_S, "IQ1_S", 19},     {WEIGHT_IQ1_M, "IQ1_M", 29},
                 {WEIGHT_IQ2_XXS, "IQ2_XXS", 16}, {WEIGHT_IQ2_XS, "IQ2_XS", 17},
                 {WEIGHT_IQ2_S, "IQ2_S", 22},     {WEIGHT_IQ3_XXS, "IQ3_XXS", 18},
                 {WEIGHT_IQ3_S, "IQ3_S", 21}};
    ck_assert_uint_eq(sizeof known / sizeof *known, WEIGHT_TYPES);
    for (size_t i = 0; i < WEIGHT_TYPES; i++) {
        ck_assert_int_eq(weight_type_from_gguf(known[i].number), (int)known[i].type);
        ck_assert_str_eq(weight_type_traits[known[i].type].name, known[i].name);
        ck_assert_str_eq(weight_type_gguf_name(known[i].number), known[i].name);
    }
}
END_TEST

START_TEST(other_types_have_names_only) {
    ck_assert_str_eq(weight_type_gguf_name(4), "Q4_2");
    ck_assert_str_eq(weight_type_gguf_name(9), "Q8_1");
    ck_assert_str_eq(weight_type_gguf_name(31), "Q4_0_4_4");
    ck_assert_str_eq(weight_type_gguf_name(36), "IQ4_NL_4_4");
    ck_assert_str_eq(weight_type_gguf_name(41), "Q1_0");
    ck_assert_ptr_null(weight_type_gguf_name(42));
    ck_assert_ptr_null(weight_type_gguf_name(UINT32_MAX));
    ck_assert_int_eq(weight_type_from_gguf(9), -1);
    ck_assert_int_eq(weight_type_from_gguf(41), -1);
    ck_assert_int_eq(weight_type_from_gguf(UINT32_MAX), -1);
}
END_TEST

START_TEST(rows_have_whole_blocks) {
    ck_assert_uint_eq(weight_type_row_bytes(WEIGHT_F32, 3), 12);
    ck_assert_uint_eq(weight_type_row_bytes(WEIGHT_Q4_1, 576), 360);
    ck_assert_uint_eq(weight_type_row_bytes(WEIGHT_Q6_K, 512), 420);
    ck_assert_uint_eq(weight_type_row_bytes(WEIGHT_Q8_K, 0), 0);
}
END_TEST

/* ---- dequantize ---- */

struct record {
    char name[8];
    uint32_t elements, bytes;
};

START_TEST(dequantizes_as_the_gguf_package) {
    FILE *file = fopen(SOURCE_ROOT "/tests/goldens/quant/dequantize.bin", "rb");
    ck_assert_ptr_nonnull(file);
    struct record record;
    int seen = 0;
    while (fread(&record, sizeof record, 1, file) == 1) {
        int type = 0;
        while (type < WEIGHT_TYPES && strcmp(weight_type_traits[type].name, record.name) != 0)
            type++;
        ck_assert_int_lt(type, WEIGHT_TYPES);
        const struct weight_type_traits *traits = &weight_type_traits[type];
        ck_assert_uint_eq(record.elements % traits->block, 0);
        ck_assert_uint_eq(record.elements / traits->block * traits->block_bytes, record.bytes);
        uint8_t *blocks = malloc(record.bytes + 1);
        float *expected = malloc(record.elements * sizeof(float));
        float *got = malloc(record.elements * sizeof(float));
        /* an odd address: blocks may have any alignment */
        ck_assert_uint_eq(fread(blocks + 1, 1, record.bytes, file), record.bytes);
        ck_assert_uint_eq(fread(expected, sizeof(float), record.elements, file), record.elements);
        traits->dequantize(blocks + 1, got, record.elements);
        for (uint32_t i = 0; i < record.elements; i++)
            ck_assert_msg(same(got[i], expected[i]), "%s element %u: %a, expected %a", traits->name,
                          i, (double)got[i], (double)expected[i]);
        free(blocks);
        free(expected);
        free(got);
        seen++;
    }
    ck_assert_int_eq(seen, WEIGHT_TYPES);
    fclose(file);
}
END_TEST

/* ---- quantize ---- */

static uint64_t random_state;

/* In -1 … 1; splitmix64. */
static float random_unit(void) {
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (float)(int64_t)(z ^ z >> 31) * 0x1p-63f;
}

/* Sum of four uniform numbers: bell-shaped, as weights are. */
static float random_weight(void) {
    return random_unit() + random_unit() + random_unit() + random_unit();
}

#define N 4096

/* Root of the mean squared error over that of the values: about half a step over sqrt(3), a step
 * being the spread of a block of these values over the number of levels. */
static const double relative_error[WEIGHT_TYPES] = {
    [WEIGHT_F32] = 0.0,    [WEIGHT_F16] = 3e-4,  [WEIGHT_BF16] = 2.5e-3, [WEIGHT_Q4_0] = 0.095,
    [WEIGHT_Q4_1] = 0.085, [WEIGHT_Q5_0] = 0.05, [WEIGHT_Q5_1] = 0.042,  [WEIGHT_Q8_0] = 6e-3,
    [WEIGHT_Q2_K] = 0.30,  [WEIGHT_Q3_K] = 0.17, [WEIGHT_Q4_K] = 0.08,   [WEIGHT_Q5_K] = 0.04,
    [WEIGHT_Q6_K] = 0.02,  [WEIGHT_Q8_K] = 8e-3,
};

static double error_of(const struct weight_type_traits *traits, const float *x) {
    uint8_t *blocks = malloc(N / traits->block * traits->block_bytes);
    float *back = malloc(N * sizeof(float));
    traits->quantize(x, blocks, N);
    traits->dequantize(blocks, back, N);
    double error = 0.0, square = 0.0;
    for (size_t i = 0; i < N; i++) {
        double difference = (double)back[i] - (double)x[i];
        error += difference * difference;
        square += (double)x[i] * (double)x[i];
    }
    free(blocks);
    free(back);
    return square > 0.0 ? sqrt(error / square) : sqrt(error);
}

START_TEST(quantizing_stays_in_its_error_bound) {
    float *x = malloc(N * sizeof *x);
    for (int type = 0; type < WEIGHT_TYPES; type++) {
        const struct weight_type_traits *traits = &weight_type_traits[type];
        if (!traits->quantize) continue;
        for (int scale = 0; scale < 3; scale++) {
            random_state = (uint64_t)(type * 3 + scale);
            for (size_t i = 0; i < N; i++)
                x[i] = random_weight() * (scale == 0 ? 1.0f : scale == 1 ? 0.02f : 300.0f);
            double error = error_of(traits, x);
            ck_assert_msg(error <= relative_error[type], "%s: relative error %g, at most %g",
                          traits->name, error, relative_error[type]);
        }
    }
    free(x);
}
END_TEST

/* All of one sign: an offset that a symmetric type pays for with half its range. */
START_TEST(quantizing_one_sided_values) {
    float *x = malloc(N * sizeof *x);
    random_state = 7;
    for (size_t i = 0; i < N; i++) x[i] = -1.0f - 0.5f * random_unit();
    for (int type = 0; type < WEIGHT_TYPES; type++) {
        if (!weight_type_traits[type].quantize) continue;
        double error = error_of(&weight_type_traits[type], x);
        ck_assert_msg(error <= 0.16, "%s: relative error %g", weight_type_traits[type].name, error);
    }
    free(x);
}
END_TEST

START_TEST(quantizing_keeps_zeros) {
    static const float zeros[N];
    for (int type = 0; type < WEIGHT_TYPES; type++)
        if (weight_type_traits[type].quantize)
            ck_assert(error_of(&weight_type_traits[type], zeros) == 0.0);
}
END_TEST

/* Values that no scale fits: the result is anything, but there is one. */
START_TEST(quantizing_survives_any_value) {
    static const float odd[] = {0.0f,     -0.0f,     1e-45f,   -1e-45f, 3e38f,  -3e38f,
                                INFINITY, -INFINITY, 65504.0f, 1e-8f,   -1e-30f};
    float *x = malloc(N * sizeof *x);
    uint8_t *blocks = malloc(N * sizeof *x);
    for (int round = 0; round < 20; round++) {
        random_state = (uint64_t)round;
        for (size_t i = 0; i < N; i++) {
            float unit = fabsf(random_unit());
            x[i] = unit < 0.9f ? odd[(size_t)(unit * 12.0f) % (sizeof odd / sizeof *odd)]
                               : float_of((uint32_t)(random_unit() * 2e9f + 2e9f));
            if (round % 2 == 0 && !(fabsf(x[i]) < 1e-20f)) x[i] = 0.0f;
        }
        x[round] = round % 3 == 2 ? NAN : x[round];
        for (int type = 0; type < WEIGHT_TYPES; type++)
            if (weight_type_traits[type].quantize) weight_type_traits[type].quantize(x, blocks, N);
    }
    free(blocks);
    free(x);
}
END_TEST

START_TEST(q8_k_has_the_sums_of_its_groups) {
    float x[256];
    for (int i = 0; i < 256; i++) x[i] = (float)(i - 128);
    uint8_t block[292];
    weight_type_traits[WEIGHT_Q8_K].quantize(x, block, 256);
    for (size_t group = 0; group < 16; group++) {
        int16_t stored;
        memcpy(&stored, block + 260 + 2 * group, sizeof stored);
        int sum = 0;
        for (size_t i = 0; i < 16; i++) sum += (int8_t)block[4 + 16 * group + i];
        ck_assert_int_eq(stored, sum);
    }
}
END_TEST

/* ---- half and bfloat16 ---- */

START_TEST(every_half_survives_a_float) {
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = half_to_float((uint16_t)half);
        uint16_t back = half_from_float(value);
        if ((half & 0x7C00) == 0x7C00 && (half & 0x3FF)) {
            ck_assert(isnan(value));
            ck_assert_uint_eq(back & 0x7C00, 0x7C00);
            ck_assert_uint_ne(back & 0x3FF, 0);
            continue;
        }
        ck_assert_uint_eq(back, half);
        int exponent = (int)(half >> 10 & 31);
        double significand = (double)(half & 0x3FF) + (exponent ? 1024.0 : 0.0);
        double magnitude =
            exponent == 31 ? INFINITY : ldexp(significand, (exponent ? exponent : 1) - 25);
        ck_assert((double)value == (half & 0x8000 ? -magnitude : magnitude));
        ck_assert_uint_eq(bits_of(value) >> 31, half >> 15);
    }
}
END_TEST

START_TEST(every_bfloat16_survives_a_float) {
    for (uint32_t value = 0; value < 0x10000; value++) {
        float wide = bfloat16_to_float((uint16_t)value);
        ck_assert_uint_eq(bits_of(wide), value << 16);
        uint16_t back = bfloat16_from_float(wide);
        if (isnan(wide))
            ck_assert(isnan(bfloat16_to_float(back)));
        else
            ck_assert_uint_eq(back, value);
    }
}
END_TEST

START_TEST(floats_round_to_the_nearest_half_ties_to_even) {
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {
        {65504.0f, 0x7BFF},        {65519.996f, 0x7BFF},    {65520.0f, 0x7C00},
        {-65520.0f, 0xFC00},       {1e10f, 0x7C00},         {INFINITY, 0x7C00},
        {0x1p-24f, 0x0001},        {0x1p-25f, 0x0000},      {0x1.8p-24f, 0x0002},
        {0x1.000002p-25f, 0x0001}, {0x1p-26f, 0x0000},      {-0x1p-60f, 0x8000},
        {1e-45f, 0x0000},          {1.0f, 0x3C00},          {0x1.002p0f, 0x3C00},
        {0x1.006p0f, 0x3C02},      {0x1.002002p0f, 0x3C01}, {0x1.ff8p-15f, 0x03FF},
        {0x1.ffbffep-15f, 0x03FF}, {0x1.ffcp-15f, 0x0400},  {0x1.ffep-15f, 0x0400},
        {0x1p-14f, 0x0400},        {-0.0f, 0x8000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(half_from_float(cases[i].value) == cases[i].half, "%a: %04x, expected %04x",
                      (double)cases[i].value, half_from_float(cases[i].value), cases[i].half);
}
END_TEST

/* Each half against its neighbour: just below, at and just above the middle between them. */
START_TEST(floats_round_around_every_middle) {
    for (uint32_t half = 0; half < 0x7BFF; half++) {
        float low = half_to_float((uint16_t)half), high = half_to_float((uint16_t)(half + 1));
        float middle = low + (high - low) / 2;
        ck_assert_uint_eq(half_from_float(middle), half & 1 ? half + 1 : half);
        ck_assert_uint_eq(half_from_float(nextafterf(middle, 0.0f)), half);
        ck_assert_uint_eq(half_from_float(nextafterf(middle, INFINITY)), half + 1);
        ck_assert_uint_eq(half_from_float(-middle), (half & 1 ? half + 1 : half) | 0x8000);
    }
}
END_TEST

START_TEST(floats_round_as_the_compiler_does) {
#ifdef __FLT16_MANT_DIG__
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 4099) {
        float value = float_of((uint32_t)bits);
        if (isnan(value)) continue;
        _Float16 rounded = (_Float16)value;
        uint16_t expected;
        memcpy(&expected, &rounded, sizeof expected);
        ck_assert_uint_eq(half_from_float(value), expected);
    }
#else
    printf("skipped: this compiler has no _Float16\n");
#endif
}
END_TEST

START_TEST(floats_round_to_the_nearest_bfloat16) {
    static const struct {
        uint32_t from;
        uint16_t to;
    } cases[] = {{0x3F800000, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F808001, 0x3F81},
                 {0x3F818000, 0x3F82}, {0x7F7FFFFF, 0x7F80}, {0x00008000, 0x0000},
                 {0x00018000, 0x0002}, {0xBF808001, 0xBF81}, {0x7F800000, 0x7F80}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_uint_eq(bfloat16_from_float(float_of(cases[i].from)), cases[i].to);
    ck_assert(isnan(bfloat16_to_float(bfloat16_from_float(float_of(0x7F800001)))));
    ck_assert(isnan(bfloat16_to_float(bfloat16_from_float(float_of(0xFFFFFFFF)))));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("quant");
    TCase *tests = tcase_create("quant");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, types_have_their_gguf_numbers);
    tcase_add_test(tests, other_types_have_names_only);
    tcase_add_test(tests, rows_have_whole_blocks);
    tcase_add_test(tests, dequantizes_as_the_gguf_package);
    tcase_add_test(tests, quantizing_stays_in_its_error_bound);
    tcase_add_test(tests, quantizing_one_sided_values);
    tcase_add_test(tests, quantizing_keeps_zeros);
    tcase_add_test(tests, quantizing_survives_any_value);
    tcase_add_test(tests, q8_k_has_the_sums_of_its_groups);
    tcase_add_test(tests, every_half_survives_a_float);
    tcase_add_test(tests, every_bfloat16_survives_a_float);
    tcase_add_test(tests, floats_round_to_the_nearest_half_ties_to_even);
    tcase_add_test(tests, floats_round_around_every_middle);
    tcase_add_test(tests, floats_round_as_the_compiler_does);
    tcase_add_test(tests, floats_round_to_the_nearest_bfloat16);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
