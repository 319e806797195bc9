/* The rules of structs as a later release needs them: a caller's struct that is shorter than ours,
 * which no struct of the first release can be. */
#include "api/options.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <string.h>

struct first { /* what the caller was compiled with */
    uint64_t struct_size;
    int64_t a;
};
struct later { /* what the library has */
    uint64_t struct_size;
    int64_t a, b;
    uint32_t c, d;
};

START_TEST(shorter_options) {
    struct {
        struct first given;
        int64_t behind;
    } caller = {{sizeof caller.given, 5}, -1};
    struct later ours;
    memset(&ours, 0xAA, sizeof ours);
    ck_assert_int_eq(options_read("test", sizeof(struct first), &caller.given, sizeof ours, &ours),
                     0);
    ck_assert_int_eq(ours.a, 5);
    ck_assert_int_eq(ours.b, 0);
    ck_assert_uint_eq(ours.c, 0);
    ck_assert_uint_eq(ours.d, 0);
    ck_assert_uint_eq(ours.struct_size, sizeof ours);
    /* In the middle of a member, too. */
    struct later partly = {.struct_size = 20, .a = 6, .b = 0x0102030405060708};
    ck_assert_int_eq(options_read("test", sizeof(struct first), &partly, sizeof ours, &ours), 0);
    ck_assert_int_eq(ours.b, 0x05060708);
}
END_TEST

START_TEST(shorter_output) {
    struct {
        struct first given;
        int64_t behind;
    } caller = {{sizeof caller.given, 5}, -1};
    const struct later ours = {.struct_size = sizeof ours, .a = 7, .b = 8, .c = 9};
    ck_assert_int_eq(options_check_output("test", sizeof(struct first), &caller.given), 0);
    options_write(&caller.given, &ours, sizeof ours);
    ck_assert_uint_eq(caller.given.struct_size, sizeof caller.given);
    ck_assert_int_eq(caller.given.a, 7);
    ck_assert_int_eq(caller.behind, -1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("structs");
    TCase *tests = tcase_create("structs");
    tcase_add_test(tests, shorter_options);
    tcase_add_test(tests, shorter_output);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
