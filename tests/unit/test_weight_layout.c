/* Weights in the GPU's layout: every value comes back with the bits of the type's dequantize, those
 * of types without a layout of their own with the bits of its bf16. */
#include "cuda/weight_layout.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state = 20;

static uint32_t random_u32(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) * 2654435761u;
}

static bool same(float a, float b) {
    uint32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y || (isnan(a) && isnan(b));
}

static void check_shape(enum weight_type type, size_t n_rows, size_t n_cols) {
    size_t row_bytes = weight_type_row_bytes(type, n_cols);
    size_t apart = row_bytes + random_u32() % 8; /* unaligned rows too */
    size_t bytes = weight_layout_tile_bytes(type, n_cols);
    uint8_t *rows = malloc(n_rows * apart), *tile = malloc(bytes + 16);
    float *expected = malloc(n_cols * sizeof(float)), *got = malloc(n_cols * sizeof(float));
    /* Random bits are every kind of scale: infinite, NaN, subnormal. */
    for (size_t i = 0; i < n_rows * apart; i++) rows[i] = (uint8_t)(random_u32() >> 24);
    memset(tile, 0xA5, bytes + 16);
    weight_layout_pack(type, rows, apart, n_rows, n_cols, tile);
    for (size_t i = 0; i < 16; i++) ck_assert_uint_eq(tile[bytes + i], 0xA5);
    for (size_t r = 0; r < n_rows; r++) {
        weight_type_traits[type].dequantize(rows + r * apart, expected, n_cols);
        weight_layout_unpack_row(type, tile, r, n_cols, got);
        for (size_t i = 0; i < n_cols && weight_layout_type(type) != type; i++)
            expected[i] = bfloat16_to_float(bfloat16_from_float(expected[i]));
        for (size_t i = 0; i < n_cols; i++) /* ck_assert writes to a file each time */
            if (!same(expected[i], got[i]))
                ck_abort_msg("%s [%zu][%zu] of %zu: %a, not %a", weight_type_traits[type].name, r,
                             i, n_cols, (double)got[i], (double)expected[i]);
    }
    /* What is absent is zero. */
    size_t padded = weight_layout_padded_cols(n_cols);
    float *all = malloc(padded * sizeof(float));
    for (size_t r = 0; r < LAYOUT_ROWS; r++) {
        weight_layout_unpack_row(type, tile, r, padded, all);
        for (size_t i = r < n_rows ? n_cols : 0; i < padded; i++)
            if (all[i] != 0.0f) ck_abort_msg("[%zu][%zu] is %a, not zero", r, i, (double)all[i]);
    }
    free(rows);
    free(tile);
    free(expected);
    free(got);
    free(all);
}

START_TEST(every_value_comes_back) {
    enum weight_type type = (enum weight_type)_i;
    size_t block = weight_type_traits[type].block;
    for (int round = 0; round < 40; round++)
        check_shape(type, 1 + random_u32() % LAYOUT_ROWS,
                    block * (1 + random_u32() % (block == 1    ? 300
                                                 : block == 32 ? 12
                                                               : 4)));
    check_shape(type, LAYOUT_ROWS, 1024);
}
END_TEST

START_TEST(tiles_are_hardly_larger_than_the_file) {
    enum weight_type type = (enum weight_type)_i;
    size_t file = LAYOUT_ROWS * weight_type_row_bytes(type, 4096);
    size_t tile = weight_layout_tile_bytes(type, 4096);
    if (weight_layout_type(type) != type) file = LAYOUT_ROWS * 4096 * 2; /* as BF16 */
    ck_assert_uint_eq(tile % 16, 0);
    ck_assert_msg(tile * 1000 <= file * (type == WEIGHT_Q3_K ? 1037 : 1030),
                  "%s: %zu bytes for %zu", weight_type_traits[type].name, tile, file);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("weight_layout");
    TCase *cases = tcase_create("layout");
    tcase_add_loop_test(cases, every_value_comes_back, 0, WEIGHT_TYPES);
    tcase_add_loop_test(cases, tiles_are_hardly_larger_than_the_file, 0, WEIGHT_TYPES);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? 1 : 0;
}
