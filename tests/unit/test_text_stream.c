/* Bytes to UTF-8: what is not whole waits, what can't become a character is U+FFFD. */
#include "tokenizer/text_stream.h"
#include "tokenizer/utf8.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdlib.h>
#include <string.h>

#define R "\xef\xbf\xbd"

static const struct {
    const char *bytes, *text;
} cases[] = {
    {"", ""},
    {"plain", "plain"},
    {"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x80", "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x80"},
    /* Unicode 15, tables 3-8 to 3-11 */
    {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", R R R R R R R R "A"},
    {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", R R R R R R R R "A"},
    {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", R R R R R "A" R R "B"},
    {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A"},
    {"\xe4\xb8", R},
    {"\xf0\x9f\x9a", R},
    {"\xf0\x9f\x9a\x80\xf0", "\xf0\x9f\x9a\x80" R},
    {"\x80", R},
    {"\xe4\xb8\xe4\xb8\xad", R "\xe4\xb8\xad"},
    {"\xf4\x8f\xbf\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf\xee\x80\x80"},
};
enum { N_CASES = sizeof cases / sizeof *cases };

/* Each text in pieces that end at the two places gives what it gives as a whole, and never more
 * room is needed than promised. */
static void check_in_pieces(const char *bytes, const char *text, size_t first, size_t second) {
    size_t n = strlen(bytes), length = 0;
    size_t ends[3] = {first, second, n};
    char whole[200];
    struct utf8_stream stream = {.n_held = 0};
    for (size_t i = 0, at = 0; i < 3; at = ends[i++]) {
        size_t taken = ends[i] - at;
        char *out = malloc(3 * (taken + 3)), *in = malloc(taken + 1);
        memcpy(in, bytes + at, taken);
        size_t got = utf8_stream_push(&stream, in, taken, out);
        ck_assert_uint_le(got, 3 * (taken + 3));
        ck_assert_uint_eq(utf8_valid_prefix((const uint8_t *)out, got), got);
        memcpy(whole + length, out, got);
        length += got;
        free(in);
        free(out);
    }
    length += utf8_stream_finish(&stream, whole + length);
    ck_assert_uint_eq(stream.n_held, 0);
    ck_assert_uint_eq(length, strlen(text));
    ck_assert_mem_eq(whole, text, length);
}

START_TEST(stream_is_the_same_in_any_pieces) {
    for (int i = 0; i < N_CASES; i++) {
        size_t n = strlen(cases[i].bytes);
        for (size_t first = 0; first <= n; first++)
            for (size_t second = first; second <= n; second++)
                check_in_pieces(cases[i].bytes, cases[i].text, first, second);
    }
}
END_TEST

START_TEST(a_character_comes_when_it_is_whole) {
    struct utf8_stream stream = {.n_held = 0};
    char out[32];
    ck_assert_uint_eq(utf8_stream_push(&stream, "\xf0", 1, out), 0);
    ck_assert_uint_eq(utf8_stream_push(&stream, "\x9f\x9a", 2, out), 0);
    ck_assert_uint_eq(utf8_stream_push(&stream, "\x80", 1, out), 4);
    ck_assert_mem_eq(out, "\xf0\x9f\x9a\x80", 4);
    ck_assert_uint_eq(utf8_stream_finish(&stream, out), 0);
    ck_assert_uint_eq(utf8_stream_push(&stream, "\xe4", 1, out), 0);
    ck_assert_uint_eq(utf8_stream_finish(&stream, out), 3);
    ck_assert_mem_eq(out, R, 3);
    ck_assert_uint_eq(utf8_stream_push(&stream, "x", 1, out), 1);
}
END_TEST

START_TEST(repair_copies_only_what_is_broken) {
    struct memory memory;
    memory_init(&memory, NULL);
    for (int i = 0; i < N_CASES; i++) {
        struct text in = {cases[i].bytes, strlen(cases[i].bytes)}, out;
        void *copy;
        ck_assert_int_eq(utf8_repair(&memory, in, &out, &copy), OK);
        ck_assert_uint_eq(out.length, strlen(cases[i].text));
        ck_assert_mem_eq(out.data, cases[i].text, out.length);
        ck_assert_int_eq(copy != NULL, strcmp(cases[i].bytes, cases[i].text) != 0);
        memory_give(&memory, copy);
    }
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

START_TEST(encode_and_decode_are_inverse) {
    for (uint32_t c = 0; c < 0x110000; c++) {
        char bytes[4];
        unsigned n = utf8_encode(c, bytes), m;
        if (utf8_decode((const uint8_t *)bytes, &m) != c || m != n) ck_abort_msg("U+%04X", c);
        int surrogate = c >= 0xd800 && c < 0xe000;
        if (utf8_valid_prefix((const uint8_t *)bytes, n) != (surrogate ? 0 : n))
            ck_abort_msg("U+%04X is%s whole", c, surrogate ? "" : " not");
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("text_stream");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, stream_is_the_same_in_any_pieces);
    tcase_add_test(all, a_character_comes_when_it_is_whole);
    tcase_add_test(all, repair_copies_only_what_is_broken);
    tcase_add_test(all, encode_and_decode_are_inverse);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
