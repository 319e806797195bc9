/* The hash map from text to index. */
#include "base/map.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 50000

static char keys[N][16];

static const char *key_of(const void *owner, uint32_t index, size_t *length) {
    ck_assert_ptr_eq(owner, keys);
    *length = strlen(keys[index]);
    return keys[index];
}

START_TEST(finds_what_was_added_and_nothing_else) {
    struct memory memory;
    memory_init(&memory, NULL);
    struct map map;
    map_init(&map, &memory);
    ck_assert_int_eq(map_find(&map, keys, key_of, "k1", 2), -1);
    int64_t present;
    for (uint32_t i = 0; i < N; i++) {
        snprintf(keys[i], sizeof keys[i], "k%u", i);
        ck_assert_int_eq(map_add(&map, keys, key_of, i, &present), OK);
        ck_assert_int_eq(present, -1);
    }
    ck_assert_uint_eq(map.count, N);
    for (uint32_t i = 0; i < N; i++)
        ck_assert_int_eq(map_find(&map, keys, key_of, keys[i], strlen(keys[i])), (int64_t)i);
    ck_assert_int_eq(map_find(&map, keys, key_of, "k50000", 6), -1);
    ck_assert_int_eq(map_find(&map, keys, key_of, "", 0), -1);
    ck_assert_int_eq(map_find(&map, keys, key_of, "k1\0", 3), -1);
    map_free(&map);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

START_TEST(tells_which_entry_has_the_key_already) {
    struct memory memory;
    memory_init(&memory, NULL);
    struct map map;
    map_init(&map, &memory);
    strcpy(keys[0], "a"), strcpy(keys[1], ""), strcpy(keys[2], "a"), strcpy(keys[3], "");
    int64_t present;
    ck_assert_int_eq(map_add(&map, keys, key_of, 0, &present), OK);
    ck_assert_int_eq(map_add(&map, keys, key_of, 1, &present), OK);
    ck_assert_int_eq(present, -1);
    ck_assert_int_eq(map_add(&map, keys, key_of, 2, &present), OK);
    ck_assert_int_eq(present, 0);
    ck_assert_int_eq(map_add(&map, keys, key_of, 3, &present), OK);
    ck_assert_int_eq(present, 1);
    ck_assert_uint_eq(map.count, 2);
    map_free(&map);
}
END_TEST

static int n_allocations;

static void *count_allocation(void *user, uint64_t size, uint64_t alignment) {
    (void)user;
    return n_allocations++ < 2 ? aligned_alloc(alignment, size) : NULL;
}

static void release(void *user, void *block, uint64_t size) {
    (void)user;
    (void)size;
    free(block);
}

/* Growing fails: what was there is still there. */
START_TEST(survives_a_refused_allocation) {
    transformer_allocator host = {.allocate = count_allocation, .release = release};
    struct memory memory;
    memory_init(&memory, &host);
    struct map map;
    map_init(&map, &memory);
    n_allocations = 0;
    uint32_t added = 0;
    int64_t present;
    for (; added < N; added++) {
        snprintf(keys[added], sizeof keys[added], "k%u", added);
        if (map_add(&map, keys, key_of, added, &present) != OK) break;
    }
    ck_assert_uint_eq(added, 16); /* tables of 16 and of 32, half full */
    for (uint32_t i = 0; i < added; i++)
        ck_assert_int_eq(map_find(&map, keys, key_of, keys[i], strlen(keys[i])), (int64_t)i);
    map_free(&map);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

START_TEST(reserving_makes_room_once) {
    transformer_allocator host = {.allocate = count_allocation, .release = release};
    struct memory memory;
    memory_init(&memory, &host);
    struct map map;
    map_init(&map, &memory);
    n_allocations = 1;
    ck_assert_int_eq(map_reserve(&map, 1000), OK);
    int64_t present;
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(keys[i], sizeof keys[i], "k%u", i);
        ck_assert_int_eq(map_add(&map, keys, key_of, i, &present), OK);
    }
    map_free(&map);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("map");
    TCase *tests = tcase_create("map");
    tcase_add_test(tests, finds_what_was_added_and_nothing_else);
    tcase_add_test(tests, tells_which_entry_has_the_key_already);
    tcase_add_test(tests, survives_a_refused_allocation);
    tcase_add_test(tests, reserving_makes_room_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
