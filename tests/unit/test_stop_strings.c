/* Stop strings in a text that comes in pieces, against looking for each of them at every place. */
#include "tokenizer/stop_strings.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdlib.h>
#include <string.h>

static struct memory memory;

/* Index of the string that the whole text stops at, or -1; *before: bytes in front of it. */
static int32_t by_hand(const char *const *strings, int64_t n, const char *text, size_t *before) {
    size_t length = strlen(text);
    for (size_t end = 1; end <= length; end++) {
        int32_t best = -1;
        for (int32_t i = 0; i < n; i++) {
            size_t m = strlen(strings[i]);
            if (m > end || memcmp(text + end - m, strings[i], m) != 0) continue;
            if (best < 0 || m > strlen(strings[best])) best = i;
        }
        if (best < 0) continue;
        *before = end - strlen(strings[best]);
        return best;
    }
    *before = length;
    return -1;
}

/* The longest end of text [n] that begins a string and is not a whole one. */
static size_t held_by_hand(const char *const *strings, int64_t n_strings, const char *text,
                           size_t n) {
    for (size_t length = n; length > 0; length--)
        for (int64_t i = 0; i < n_strings; i++)
            if (strlen(strings[i]) > length && memcmp(strings[i], text + n - length, length) == 0)
                return length;
    return 0;
}

static void check_pieces(const char *const *strings, int64_t n, const char *text, size_t piece) {
    struct stop_strings *stop = NULL;
    struct stop_search search = {0};
    size_t length = strlen(text), expected, seen = 0, end = 0;
    int32_t found = -1, string = by_hand(strings, n, text, &expected);
    ck_assert_int_eq(stop_strings_create(&memory, strings, n, &stop), 0);
    while (seen < length && found < 0) {
        size_t taken = length - seen < piece ? length - seen : piece;
        found = stop_search_push(stop, &search, text + seen, taken, &end);
        if (found >= 0) break;
        seen += taken;
        ck_assert_uint_eq(stop_search_held(stop, &search), held_by_hand(strings, n, text, seen));
    }
    ck_assert_int_eq(found, string);
    if (found >= 0) ck_assert_uint_eq(seen + end - stop_strings_length(stop, found), expected);
    stop_strings_destroy(stop);
}

START_TEST(as_by_hand_in_any_pieces) {
    static const char *const sets[][4] = {
        {"abc"},
        {"bc", "abc"},        /* end together: the longest */
        {"abcd", "bc"},       /* the one inside ends first */
        {"aab", "ab", "aaa"}, /* what a mismatch falls back to */
        {"abab", "ba"},
        {"b", "b", "a"}, /* equal ones: the first */
        {"\n\n", "User:", "\xe4\xb8\xad\xe6\x96\x87"},
    };
    static const char *const texts[] = {"",
                                        "abc",
                                        "aabcd",
                                        "xaaabx",
                                        "ababab",
                                        "abcabcabd",
                                        "aaaaaaaab",
                                        "a\nUser\n\nUser:",
                                        "\xe4\xb8\xad\xe4\xb8\xad\xe6\x96\x87."};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        int64_t n = 0;
        while (n < 4 && sets[i][n]) n++;
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++)
            for (size_t piece = 1; piece < 6; piece++) check_pieces(sets[i], n, texts[j], piece);
    }
}
END_TEST

START_TEST(as_by_hand_at_random) {
    uint64_t state = 1;
    char strings[8][8], text[64];
    const char *pointers[8];
#define DRAW(n) ((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % (n)
    for (int round = 0; round < 5000; round++) {
        int64_t n = (int64_t)(1 + DRAW(8));
        uint64_t letters = 1 + DRAW(3);
        for (int64_t i = 0; i < n; i++) {
            uint64_t length = 1 + DRAW(7);
            for (uint64_t k = 0; k < length; k++) strings[i][k] = (char)('a' + DRAW(letters));
            strings[i][length] = 0;
            pointers[i] = strings[i];
        }
        uint64_t length = DRAW(64);
        for (uint64_t k = 0; k < length; k++) text[k] = (char)('a' + DRAW(letters + 1));
        text[length] = 0;
        check_pieces(pointers, n, text, (size_t)(1 + DRAW(5)));
    }
}
END_TEST

START_TEST(what_is_refused) {
    struct stop_strings *stop = NULL;
    const char *const empty[] = {"a", ""}, *const null[] = {NULL}, *const broken[] = {"a\xff"};
    ck_assert_int_eq(stop_strings_create(&memory, empty, 2, &stop), INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_text(), "stop[1]"));
    ck_assert_int_eq(stop_strings_create(&memory, null, 1, &stop), INVALID_ARGUMENT);
    ck_assert_int_eq(stop_strings_create(&memory, broken, 1, &stop), INVALID_ARGUMENT);
    static char longest[STOP_STRINGS_MOST_BYTES + 2];
    memset(longest, 'x', sizeof longest - 1);
    const char *const one[] = {longest}, *const two[] = {longest + 1, "y"};
    ck_assert_int_eq(stop_strings_create(&memory, one, 1, &stop), LIMIT);
    ck_assert_int_eq(stop_strings_create(&memory, two, 2, &stop), LIMIT);
    ck_assert_int_eq(stop_strings_create(&memory, two, INT64_MAX, &stop), LIMIT);
    ck_assert_ptr_null(stop);
    ck_assert_uint_eq(memory.bytes, 0);
    ck_assert_int_eq(stop_strings_create(&memory, two, 1, &stop), OK);
    ck_assert_uint_eq(stop_strings_longest(stop), STOP_STRINGS_MOST_BYTES);
    stop_strings_destroy(stop);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

/* The worst text for a search that begins anew at each place: a's, for a string of a's and a b. */
START_TEST(linear_time) {
    static char string[STOP_STRINGS_MOST_BYTES + 1], text[4 << 20];
    struct stop_strings *stop = NULL;
    struct stop_search search = {0};
    size_t end = 0;
    memset(string, 'a', sizeof string - 2);
    string[sizeof string - 2] = 'b';
    memset(text, 'a', sizeof text);
    const char *const one[] = {string};
    ck_assert_int_eq(stop_strings_create(&memory, one, 1, &stop), OK);
    for (size_t at = 0; at < sizeof text; at += 4)
        ck_assert_int_eq(stop_search_push(stop, &search, text + at, 4, &end), -1);
    ck_assert_uint_eq(stop_search_held(stop, &search), sizeof string - 2);
    ck_assert_int_eq(stop_search_push(stop, &search, "b", 1, &end), 0);
    stop_strings_destroy(stop);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stop_strings");
    TCase *all = tcase_create("all");
    memory_init(&memory, NULL);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, as_by_hand_in_any_pieces);
    tcase_add_test(all, as_by_hand_at_random);
    tcase_add_test(all, what_is_refused);
    tcase_add_test(all, linear_time);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
