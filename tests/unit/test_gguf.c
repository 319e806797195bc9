/* What a GGUF head may say: one right file and many wrong ones, each refused with a reason. */
#include "format/checkpoint.h"
#include "gguf_bytes.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdio.h>
#include <unistd.h>

static struct bytes file;

/* ---- a reader that hands out `file` ---- */

static int64_t reader_size(void *user, const char *name) {
    (void)user;
    (void)name;
    return (int64_t)file.n;
}

static int64_t reader_read(void *user, const char *name, uint64_t offset, void *buffer,
                           uint64_t n) {
    (void)user;
    (void)name;
    ck_assert_uint_le(offset, file.n);
    ck_assert_uint_le(n, file.n - offset);
    memcpy(buffer, file.data + offset, n);
    return (int64_t)n;
}

static const transformer_reader reader = {.size = reader_size, .read = reader_read};

enum { MODE_MEMORY, MODE_COPY, MODE_READER, MODES };

/* An exact copy of the file on the heap, so that a sanitizer sees a read beyond it. */
static status open_file(struct memory *memory, int mode, void **exact, struct checkpoint **opened) {
    *exact = malloc(file.n + 1);
    memcpy(*exact, file.data, file.n);
    void *shrunk = realloc(*exact, file.n ? file.n : 1);
    if (shrunk) *exact = shrunk;
    struct checkpoint_options options = {.path = "test.gguf"};
    if (mode == MODE_READER)
        options.reader = &reader;
    else
        options.data = *exact, options.data_size = file.n, options.copy = mode == MODE_COPY;
    return checkpoint_open(memory, &options, opened);
}

/* The file is refused in each mode with this code and a message that has all of these. */
static void refused(status code, const char *first, const char *second, const char *third) {
    for (int mode = 0; mode < MODES; mode++) {
        struct memory memory;
        memory_init(&memory, NULL);
        struct checkpoint *opened = NULL;
        void *exact;
        status result = open_file(&memory, mode, &exact, &opened);
        ck_assert_msg(result == code, "mode %d: status %d, expected %d: %s", mode, result, code,
                      result ? status_text() : "");
        ck_assert_ptr_null(opened);
        ck_assert_uint_eq(memory.bytes, 0);
        ck_assert_ptr_nonnull(strstr(status_text(), "test.gguf"));
        const char *wanted[] = {first, second, third};
        for (int i = 0; i < 3; i++)
            ck_assert_msg(!wanted[i] || strstr(status_text(), wanted[i]), "'%s' is not in: %s",
                          wanted[i], status_text());
        free(exact);
    }
}

static void accepted(void) {
    for (int mode = 0; mode < MODES; mode++) {
        struct memory memory;
        memory_init(&memory, NULL);
        struct checkpoint *opened = NULL;
        void *exact;
        status result = open_file(&memory, mode, &exact, &opened);
        ck_assert_msg(result == OK, "mode %d: %s", mode, status_text());
        checkpoint_close(opened);
        ck_assert_uint_eq(memory.bytes, 0);
        free(exact);
    }
}

/* ---- right files ---- */

START_TEST(a_right_file) {
    put_small_file(&file);
    accepted();
    file.data[4] = 2;
    accepted();
}
END_TEST

START_TEST(without_tensors_the_data_may_be_missing) {
    put_head(&file, 3, 0, 1);
    put_key_u32(&file, "k", 1);
    accepted();
    put_head(&file, 3, 0, 0);
    accepted();
}
END_TEST

START_TEST(tensors_in_any_order) {
    put_head(&file, 3, 4, 0);
    put_tensor(&file, "d", 8, 1, GGUF_F32, 96);
    put_tensor(&file, "b", 8, 1, GGUF_F32, 32);
    put_tensor(&file, "a", 8, 1, GGUF_F32, 0);
    put_tensor(&file, "c", 8, 1, GGUF_F32, 64);
    put_data(&file, 32, 128);
    accepted();
}
END_TEST

START_TEST(another_alignment) {
    for (uint32_t alignment = 1; alignment <= 4096; alignment *= 2) {
        put_head(&file, 3, 2, 1);
        put_key_u32(&file, "general.alignment", alignment);
        put_tensor(&file, "a", 1, 1, GGUF_F32, 0);
        put_tensor(&file, "b", 1, 1, GGUF_F32, alignment < 4 ? 4 : alignment);
        put_data(&file, alignment, (alignment < 4 ? 4 : alignment) + 4);
        accepted();
    }
}
END_TEST

/* ---- the beginning ---- */

START_TEST(not_a_gguf_file) {
    file.n = 0;
    refused(FORMAT, "is empty", NULL, NULL);
    put(&file, "GGU", 3);
    refused(FORMAT, "not a GGUF file", "offset 0", NULL);
    put(&file, "Xabcdefghijklmnopqrstuvwxyz", 27);
    refused(FORMAT, "not a GGUF file", NULL, NULL);
}
END_TEST

START_TEST(other_versions) {
    put_head(&file, 1, 0, 0);
    refused(UNSUPPORTED, "version 1", "offset 4", NULL);
    put_head(&file, 4, 0, 0);
    refused(UNSUPPORTED, "version 4", NULL, NULL);
    put_head(&file, 0, 0, 0);
    refused(FORMAT, "version 0", NULL, NULL);
    put_head(&file, 0x03000000, 0, 0);
    refused(UNSUPPORTED, "big-endian", "version 3", NULL);
    put_head(&file, 0x01000000, 0, 0);
    refused(UNSUPPORTED, "big-endian", "version 1", NULL);
}
END_TEST

START_TEST(counts_that_cannot_be) {
    put_head(&file, 3, (uint64_t)1 << 60, 0);
    put_data(&file, 32, 64);
    refused(FORMAT, "1152921504606846976 tensors", "offset 8", NULL);
    put_head(&file, 3, 0, UINT64_MAX);
    put_data(&file, 32, 64);
    refused(FORMAT, "metadata keys", "offset 16", NULL);
    put_head(&file, 3, 3, 0);
    put_data(&file, 32, 0);
    refused(FORMAT, "3 tensors", NULL, NULL);
}
END_TEST

/* Each shorter file is refused, and nothing beyond its end is read. */
START_TEST(every_truncation) {
    static struct bytes whole;
    put_small_file(&whole);
    for (size_t n = 0; n < whole.n; n++) {
        memcpy(file.data, whole.data, n);
        file.n = n;
        refused(FORMAT, NULL, NULL, NULL);
    }
}
END_TEST

/* Each byte changed: accepted or refused, never more. */
START_TEST(every_byte_changed) {
    static const uint8_t changes[] = {0x01, 0x80, 0xFF};
    static struct bytes whole;
    put_small_file(&whole);
    int n_accepted = 0, n_refused = 0;
    for (size_t at = 0; at < whole.n; at++)
        for (size_t i = 0; i < sizeof changes; i++)
            for (int mode = 0; mode < MODES; mode++) {
                file = whole;
                file.data[at] ^= changes[i];
                struct memory memory;
                memory_init(&memory, NULL);
                struct checkpoint *opened = NULL;
                void *exact;
                if (open_file(&memory, mode, &exact, &opened) == OK)
                    n_accepted++;
                else
                    n_refused++;
                checkpoint_close(opened);
                ck_assert_uint_eq(memory.bytes, 0);
                free(exact);
            }
    ck_assert_int_gt(n_accepted, 100);
    ck_assert_int_gt(n_refused, 100);
}
END_TEST

/* ---- metadata ---- */

START_TEST(keys) {
    put_head(&file, 3, 0, 2);
    put_key_u32(&file, "twice", 1);
    put_key_u32(&file, "twice", 1);
    refused(FORMAT, "'twice' is there twice", "offsets 24 and 45", NULL);

    put_head(&file, 3, 0, 1);
    put_key_u32(&file, "", 1);
    put_data(&file, 1, 32);
    refused(FORMAT, "a key at offset 24", "0 bytes", NULL);

    put_head(&file, 3, 0, 1);
    put_u64(&file, 5), put(&file, "ab\0cd", 5), put_u32(&file, 0), put_u8(&file, 1);
    refused(FORMAT, "control character", "offset 24", NULL);

    put_head(&file, 3, 0, 1);
    put_u64(&file, 70000);
    put_data(&file, 1, 16);
    refused(FORMAT, "a key at offset 24", "70000 bytes", NULL);

    put_head(&file, 3, 0, 1);
    put_u64(&file, 1000);
    put_data(&file, 1, 500);
    refused(FORMAT, "a key", "1000 bytes", "offset 32");
}
END_TEST

START_TEST(values) {
    put_head(&file, 3, 0, 1);
    put_key(&file, "key", 13);
    put_u64(&file, 0);
    refused(FORMAT, "'key'", "unknown kind 13", "offset 35");

    put_head(&file, 3, 0, 1);
    put_key(&file, "key", METADATA_BOOL), put_u8(&file, 2);
    put_u64(&file, 0);
    refused(FORMAT, "'key'", "bool of value 2", "offset 39");

    put_head(&file, 3, 0, 1);
    put_key(&file, "key", METADATA_STRING), put_u64(&file, UINT64_MAX);
    refused(FORMAT, "'key'", "18446744073709551615 bytes", "offset 47");

    put_head(&file, 3, 0, 1);
    put_key(&file, "key", METADATA_STRING), put_u64(&file, UINT64_MAX - 46);
    refused(FORMAT, "'key'", "offset 47", NULL);
}
END_TEST

START_TEST(arrays) {
    put_head(&file, 3, 0, 1);
    put_array(&file, "key", METADATA_ARRAY, 1);
    put_u32(&file, METADATA_U8), put_u64(&file, 1), put_u8(&file, 1);
    refused(UNSUPPORTED, "'key'", "array of arrays", "offset 39");

    put_head(&file, 3, 0, 1);
    put_array(&file, "key", 99, 1), put_u64(&file, 0);
    refused(FORMAT, "'key'", "unknown kind 99", NULL);

    put_head(&file, 3, 0, 1);
    put_array(&file, "key", METADATA_F64, ((uint64_t)1 << 61) + 1), put_u64(&file, 0);
    refused(FORMAT, "'key'", "claims 2305843009213693953 values", NULL);

    put_head(&file, 3, 0, 1);
    put_array(&file, "key", METADATA_F64, 2), put_u64(&file, 0);
    refused(FORMAT, "'key'", "16 bytes at offset 51", "the file has 59");

    put_head(&file, 3, 0, 1);
    put_array(&file, "key", METADATA_STRING, (uint64_t)1 << 60), put_u64(&file, 0);
    refused(FORMAT, "'key'", "1152921504606846976 strings", NULL);

    put_head(&file, 3, 0, 1);
    put_array(&file, "key", METADATA_STRING, 2), put_string(&file, "a"), put_u64(&file, 100);
    refused(FORMAT, "'key'", "100 bytes", NULL);

    put_head(&file, 3, 0, 1);
    put_array(&file, "key", METADATA_BOOL, 3), put(&file, "\0\1\3", 3);
    refused(FORMAT, "'key'", "bool of value 3", NULL);
}
END_TEST

START_TEST(alignments) {
    static const uint32_t wrong[] = {0, 3, 33, 0xFFFFFFFFu};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_head(&file, 3, 0, 1);
        put_key_u32(&file, "general.alignment", wrong[i]);
        refused(FORMAT, "general.alignment", "not a power of two", "offset 53");
    }
    put_head(&file, 3, 0, 1);
    put_key_u16(&file, "general.alignment", 32);
    refused(FORMAT, "general.alignment", "not a u32", NULL);
    put_head(&file, 3, 1, 1);
    put_key_u32(&file, "general.alignment", 0x80000000u);
    put_tensor(&file, "a", 1, 1, GGUF_F32, 0);
    put_data(&file, 32, 64);
    refused(FORMAT, "tensor 'a'", "offset 2147483648 + 0", NULL);
}
END_TEST

/* ---- tensors ---- */

/* One tensor of two dimensions, then 64 bytes of data. */
static void put_one_tensor(uint64_t n0, uint64_t n1, uint32_t type, uint64_t offset) {
    put_head(&file, 3, 1, 0);
    put_tensor(&file, "weight", n0, n1, type, offset);
    put_data(&file, 32, 64);
}

START_TEST(names_of_tensors) {
    put_head(&file, 3, 2, 0);
    put_tensor(&file, "same", 4, 1, GGUF_F32, 0);
    put_tensor(&file, "same", 4, 1, GGUF_F32, 32);
    put_data(&file, 32, 64);
    refused(FORMAT, "'same' is there twice", "offset 68", NULL);

    put_head(&file, 3, 1, 0);
    put_tensor(&file, "", 4, 1, GGUF_F32, 0);
    put_data(&file, 32, 64);
    refused(FORMAT, "tensor's name at offset 24", NULL, NULL);

    put_head(&file, 3, 1, 0);
    put_u64(&file, 2000);
    put_data(&file, 32, 4000);
    refused(FORMAT, "tensor's name at offset 24", "2000 bytes", NULL);
}
END_TEST

START_TEST(dimensions) {
    for (uint32_t n_dims = 0; n_dims <= 5; n_dims += 5) {
        put_head(&file, 3, 1, 0);
        put_string(&file, "weight"), put_u32(&file, n_dims);
        put_data(&file, 32, 128);
        refused(FORMAT, "'weight'", n_dims ? "5 dimensions" : "0 dimensions", "offset 38");
    }
    put_one_tensor(0, 1, GGUF_F32, 0);
    refused(FORMAT, "'weight'", "dimension of 0", "offset 42");
    put_one_tensor(4, 0, GGUF_F32, 0);
    refused(FORMAT, "'weight'", "dimension of 0", "offset 50");
    put_one_tensor((uint64_t)1 << 63, 1, GGUF_F32, 0);
    refused(FORMAT, "'weight'", "dimension of 9223372036854775808", NULL);
    put_one_tensor((uint64_t)1 << 32, (uint64_t)1 << 32, GGUF_F32, 0);
    refused(FORMAT, "'weight'", "is too large", NULL);
    put_one_tensor((uint64_t)1 << 31, (uint64_t)1 << 31, GGUF_F32, 0);
    refused(FORMAT, "'weight'", "is too large", NULL);
    put_one_tensor((uint64_t)1 << 62, 1, GGUF_F32, 0);
    refused(FORMAT, "'weight'", "is too large", NULL);
    put_one_tensor(33, 1, GGUF_Q8_0, 0);
    refused(FORMAT, "'weight'", "rows of 33 elements", "Q8_0");
}
END_TEST

START_TEST(types) {
    put_one_tensor(256, 1, 9, 0);
    refused(UNSUPPORTED, "'weight'", "type Q8_1 (number 9)", "offset 58");
    put_one_tensor(256, 1, 4, 0);
    refused(UNSUPPORTED, "'weight'", "type Q4_2 (number 4)", NULL);
    put_one_tensor(256, 1, 9999, 0);
    refused(UNSUPPORTED, "'weight'", "unknown (number 9999)", NULL);
}
END_TEST

START_TEST(offsets) {
    put_one_tensor(4, 4, GGUF_F32, 0);
    accepted();
    put_one_tensor(4, 4, GGUF_F32, 1);
    refused(FORMAT, "'weight'", "data offset 1", "alignment 32");
    put_one_tensor(4, 4, GGUF_F32, 32);
    refused(FORMAT, "'weight'", "needs 64 bytes", "the file has 160");
    put_one_tensor(4, 4, GGUF_F32, UINT64_MAX - 31);
    refused(FORMAT, "'weight'", "needs 64 bytes", NULL);
    put_one_tensor(4, 4, GGUF_F32, 96);
    refused(FORMAT, "'weight'", NULL, NULL);
    put_one_tensor((uint64_t)1 << 40, (uint64_t)1 << 20, GGUF_F16, 0);
    refused(FORMAT, "'weight'", "needs 2305843009213693952 bytes", NULL);
}
END_TEST

START_TEST(overlaps) {
    for (uint64_t order = 0; order < 2; order++) {
        put_head(&file, 3, 3, 0);
        put_tensor(&file, "c", 8, 1, GGUF_F32, order ? 0 : 96);
        put_tensor(&file, "a", 8, 2, GGUF_F32, order ? 32 : 0);
        put_tensor(&file, "b", 8, 1, GGUF_F32, order ? 64 : 32);
        put_data(&file, 32, 128);
        refused(FORMAT, "tensor 'b'", "overlaps tensor 'a'", NULL);
    }
    put_head(&file, 3, 2, 0);
    put_tensor(&file, "a", 8, 1, GGUF_F32, 0);
    put_tensor(&file, "b", 8, 1, GGUF_F32, 0);
    put_data(&file, 32, 128);
    refused(FORMAT, "overlaps", NULL, NULL);
}
END_TEST

/* Only two of many overlap, and they are far from each other in the file's order. */
START_TEST(overlaps_in_any_order) {
    for (uint64_t wrong = 0; wrong < 2; wrong++)
        for (uint64_t step = 1; step < 64; step += 2) {
            put_head(&file, 3, 64, 0);
            for (uint64_t i = 0; i < 64; i++) {
                char name[8];
                uint64_t place = i * step % 64;
                snprintf(name, sizeof name, "t%d", (int)place);
                put_tensor(&file, name, wrong && place == 20 ? 9 : 8, 1, GGUF_F32, 32 * place);
            }
            put_data(&file, 32, 32 * 64);
            if (wrong)
                refused(FORMAT, "tensor 't21'", "overlaps tensor 't20'", NULL);
            else
                accepted();
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gguf");
    TCase *tests = tcase_create("gguf");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_right_file);
    tcase_add_test(tests, without_tensors_the_data_may_be_missing);
    tcase_add_test(tests, tensors_in_any_order);
    tcase_add_test(tests, another_alignment);
    tcase_add_test(tests, not_a_gguf_file);
    tcase_add_test(tests, other_versions);
    tcase_add_test(tests, counts_that_cannot_be);
    tcase_add_test(tests, every_truncation);
    tcase_add_test(tests, every_byte_changed);
    tcase_add_test(tests, keys);
    tcase_add_test(tests, values);
    tcase_add_test(tests, arrays);
    tcase_add_test(tests, alignments);
    tcase_add_test(tests, names_of_tensors);
    tcase_add_test(tests, dimensions);
    tcase_add_test(tests, types);
    tcase_add_test(tests, offsets);
    tcase_add_test(tests, overlaps);
    tcase_add_test(tests, overlaps_in_any_order);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
