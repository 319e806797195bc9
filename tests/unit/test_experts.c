/* Which experts a row goes to, and with what weights. */
#include "cpu/execution.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <math.h>

static int32_t expert[8];
static float weight[8];

static void choose(const struct experts_spec *experts, const float *scores, const float *bias) {
    float candidates[16];
    experts_choose(experts, scores, bias, candidates, expert, weight);
}

static void expect(const int32_t *experts, const float *weights, int n) {
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(expert[i], experts[i]);
        ck_assert_float_eq_tol(weight[i], weights[i], 1e-6f);
    }
}

START_TEST(order_and_ties) {
    const float scores[] = {0.1f, 0.3f, 0.2f, 0.3f, 0.1f};
    struct experts_spec experts = {.n_experts = 5, .n_used = 4, .scale = 1.0f};
    choose(&experts, scores, NULL);
    expect((int32_t[]){1, 3, 2, 0}, (float[]){0.3f, 0.3f, 0.2f, 0.1f}, 4);
    experts.normalize = true;
    experts.scale = 2.0f;
    experts.n_used = 2;
    choose(&experts, scores, NULL);
    expect((int32_t[]){1, 3}, (float[]){1.0f, 1.0f}, 2);
}
END_TEST

/* It moves the choice, not the weights. */
START_TEST(selection_bias) {
    const float scores[] = {0.4f, 0.3f, 0.2f, 0.1f}, bias[] = {-1.0f, 0.0f, 0.0f, 0.15f};
    const struct experts_spec experts = {.n_experts = 4, .n_used = 2, .scale = 1.0f};
    choose(&experts, scores, bias);
    expect((int32_t[]){1, 3}, (float[]){0.3f, 0.1f}, 2);
}
END_TEST

/* Three groups of three: the sum of two, or the best alone, says which one is left. */
START_TEST(groups) {
    const float scores[] = {0.9f, 0.0f, 0.1f, 0.6f, 0.5f, 0.2f, 0.3f, 0.3f, 0.3f};
    struct experts_spec experts = {.n_experts = 9,
                                   .n_used = 3,
                                   .scale = 1.0f,
                                   .n_groups = 3,
                                   .n_groups_used = 1,
                                   .group_top = 2};
    choose(&experts, scores, NULL);
    expect((int32_t[]){3, 4, 5}, (float[]){0.6f, 0.5f, 0.2f}, 3);
    experts.group_top = 1;
    choose(&experts, scores, NULL);
    expect((int32_t[]){0, 2, 1}, (float[]){0.9f, 0.1f, 0.0f}, 3);
    experts.n_groups_used = 2;
    choose(&experts, scores, NULL);
    expect((int32_t[]){0, 3, 4}, (float[]){0.9f, 0.6f, 0.5f}, 3);
}
END_TEST

/* What is no number is chosen last, and each once; so are groups of nothing else. */
START_TEST(not_a_number) {
    const float scores[] = {NAN, 0.1f, NAN, -INFINITY, NAN, NAN};
    struct experts_spec experts = {.n_experts = 6, .n_used = 6, .scale = 1.0f};
    choose(&experts, scores, NULL);
    ck_assert_int_eq(expert[0], 1);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++) ck_assert_int_ne(expert[i], expert[j]);
    experts.n_groups = 3;
    experts.n_groups_used = 2;
    experts.group_top = 2;
    experts.n_used = 4;
    choose(&experts, scores, NULL);
    for (int i = 0; i < 4; i++) ck_assert(expert[i] >= 0 && expert[i] < 4);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("experts");
    TCase *tests = tcase_create("experts");
    tcase_add_test(tests, order_and_ties);
    tcase_add_test(tests, selection_bias);
    tcase_add_test(tests, groups);
    tcase_add_test(tests, not_a_number);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
