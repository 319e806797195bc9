/* Log probabilities against libm in long double, and the order of the likeliest. */
#include "sampling/probability.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>

static uint64_t state;

static double draw(void) { /* from 0 to 1 */
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 33) * 0x1p-31;
}

static const float *sorted_logits;

static int by_likelihood(const void *a, const void *b) {
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    float x = sorted_logits[i], y = sorted_logits[j];
    if (isnan(x)) x = -INFINITY;
    if (isnan(y)) y = -INFINITY;
    return x > y ? -1 : x < y ? 1 : i < j ? -1 : 1;
}

static void check_row(const float *logits, int64_t n, int64_t n_top) {
    long double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (logits[i] > max) max = logits[i];
    for (int64_t i = 0; i < n; i++)
        if (!isnan(logits[i])) sum += expl((long double)logits[i] - max);
    int32_t *tokens = malloc((size_t)n * sizeof *tokens),
            *order = malloc((size_t)n * sizeof *order);
    float *values = malloc((size_t)n * sizeof *values);
    transformer_token_probability *top = malloc((size_t)(n_top + 1) * sizeof *top);
    for (int64_t i = 0; i < n; i++) tokens[i] = order[i] = (int32_t)i;
    sorted_logits = logits;
    qsort(order, (size_t)n, sizeof *order, by_likelihood);
    probability_log(logits, n, tokens, n, values, top, n_top);
    for (int64_t i = 0; i < n; i++) {
        long double expected = (long double)logits[i] - max - logl(sum);
        if (!(logits[i] > -INFINITY)) {
            ck_assert(values[i] == -INFINITY);
        } else {
            long double error = fabsl((long double)values[i] - expected);
            ck_assert_msg(error <= 0x1p-24L * fabsl(expected) + 1e-14L, "%.17Lg, not %.17Lg",
                          (long double)values[i], expected);
        }
    }
    for (int64_t i = 0; i < n_top; i++) {
        ck_assert_int_eq(top[i].token, order[i]);
        ck_assert(top[i].log_probability == values[order[i]]);
    }
    free(tokens);
    free(order);
    free(values);
    free(top);
}

START_TEST(as_libm_says) {
    static float logits[5000];
    const double widths[] = {0.001, 1, 20, 300, 1e5};
    for (int round = 0; round < 200; round++) {
        int64_t n = 1 + (int64_t)(draw() * (round < 100 ? 40 : 4999));
        double width = widths[round % 5];
        for (int64_t i = 0; i < n; i++) logits[i] = (float)((draw() - 0.7) * width);
        if (round % 3 == 0) /* many equal ones */
            for (int64_t i = 0; i < n; i++) logits[i] = roundf(logits[i]);
        if (round % 7 == 0) logits[(int64_t)(draw() * (double)n)] = n > 1 ? NAN : 0;
        if (round % 11 == 0 && n > 2) logits[1] = -INFINITY;
        check_row(logits, n, n);
        check_row(logits, n, n < 5 ? n : 5);
        check_row(logits, n, 0);
    }
}
END_TEST

/* One token so likely that its log probability is nearly 0 keeps its digits. */
START_TEST(nearly_certain) {
    const float logits[3] = {30, 0, -5};
    check_row(logits, 3, 3);
    const float one[1] = {-12.5f};
    check_row(one, 1, 1);
    int32_t token = 0;
    float value = 1;
    probability_log(one, 1, &token, 1, &value, NULL, 0);
    ck_assert(value == 0);
}
END_TEST

START_TEST(what_is_infinite) {
    const float none[3] = {-INFINITY, NAN, -INFINITY}, two[4] = {INFINITY, 1, INFINITY, NAN};
    const int32_t tokens[4] = {0, 1, 2, 3};
    transformer_token_probability top[4];
    float values[4];
    probability_log(none, 3, tokens, 3, values, top, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert(values[i] == -INFINITY && top[i].log_probability == -INFINITY);
        ck_assert_int_eq(top[i].token, i);
    }
    probability_log(two, 4, tokens, 4, values, top, 4);
    ck_assert(values[0] == values[2] && fabsf(values[0] + 0.69314718f) < 1e-6f);
    ck_assert(values[1] == -INFINITY && values[3] == -INFINITY);
    ck_assert_int_eq(top[0].token, 0);
    ck_assert_int_eq(top[1].token, 2);
    ck_assert_int_eq(top[2].token, 1);
    ck_assert(top[2].log_probability == -INFINITY);
}
END_TEST

START_TEST(rounding_of_the_host) {
    float logits[100], values[100], other[100];
    int32_t tokens[100];
    for (int i = 0; i < 100; i++) logits[i] = (float)draw() * 30, tokens[i] = i;
    probability_log(logits, 100, tokens, 100, values, NULL, 0);
    fesetround(FE_UPWARD);
    probability_log(logits, 100, tokens, 100, other, NULL, 0);
    int rounding = fegetround();
    fesetround(FE_TONEAREST);
    ck_assert_int_eq(rounding, FE_UPWARD);
    ck_assert_mem_eq(values, other, sizeof values);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("probability");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, as_libm_says);
    tcase_add_test(all, nearly_certain);
    tcase_add_test(all, what_is_infinite);
    tcase_add_test(all, rounding_of_the_host);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
