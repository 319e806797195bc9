/* The prefix index alone: what it finds, what it lets go of first, hashes that collide, and a
 * random course of sequences whose pages are checked against what their tokens say. */
#include "kv/page_table.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = KV_PAGE_TOKENS, MOST_PAGES = 12, MOST_TOKENS = MOST_PAGES * PAGE, N_SEQUENCES = 7 };
enum { MOST_GROUPS = 3, MOST_POOL = 256, ENTRIES = 200 };

/* Groups, and pages of each, with room for everything or not. */
static const struct shape {
    int n_groups;
    struct kv_group groups[MOST_GROUPS];
    int64_t n_pages[MOST_GROUPS];
    int64_t capacity;
} shapes[] = {
    {1, {{0, KV_GROWING, 1, 1}}, {200}, ENTRIES},
    {1, {{0, KV_GROWING, 1, 1}}, {20}, 20},
    {2, {{0, KV_GROWING, 1, 1}, {100, KV_GROWING, 1, 1}}, {200, 200}, ENTRIES},
    {2, {{0, KV_GROWING, 1, 1}, {100, KV_GROWING, 1, 1}}, {24, 16}, 24},
    {3, {{0, KV_FIXED, 1, 1}, {0, KV_GROWING, 1, 1}, {0, KV_GROWING, 1, 1}}, {4, 30, 21}, 30},
    {2, {{100, KV_GROWING, 1, 1}, {0, KV_FIXED, 1, 1}}, {16, 4}, 20},
    {2, {{100, KV_GROWING, 1, 1}, {200, KV_GROWING, 1, 1}}, {16, 20}, 12},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

struct sequence {
    bool alive;
    struct prefix_domain domain;
    int32_t source[2 * PAGE];
    int64_t n_source, n_tokens, n_computed;
    int32_t tokens[MOST_TOKENS];
    uint8_t types[MOST_TOKENS];
    uint64_t past[MOST_TOKENS]; /* of a position: the domain and all tokens up to it */
    int32_t pages[MOST_GROUPS][MOST_PAGES];
    struct page_table tables[MOST_GROUPS];
    struct prefix_follower follower;
};

static const struct shape *shape;
static struct memory memory;
static struct kv_layout layout;
static struct page_pool pools[MOST_GROUPS];
static struct prefix_index prefix_index;
static struct kv_cache cache;
static uint64_t bytes[MOST_GROUPS][MOST_POOL][PAGE]; /* what is "computed" into the pages */
static struct sequence sequences[N_SEQUENCES];
static uint64_t entered[20000]; /* past of whole pages that were entered */
static int n_entered;
static uint64_t random_state;

/* As ck_assert, which writes to a file each time that it holds: what is checked after each of
 * thousands of steps can't afford that. */
#define must(holds)                               \
    do {                                          \
        if (!(holds)) ck_abort_msg("%s", #holds); \
    } while (0)

static int64_t draw(int64_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((random_state >> 33) % (uint64_t)n);
}

static status copy(void *user, int group, int32_t from, int32_t to) {
    (void)user;
    memcpy(bytes[group][to], bytes[group][from], sizeof bytes[group][to]);
    return OK;
}

static void set_up(const struct shape *which) {
    shape = which;
    memory_init(&memory, NULL);
    layout = (struct kv_layout){.n_groups = shape->n_groups,
                                .groups = (struct kv_group *)(uintptr_t)shape->groups};
    for (int g = 0; g < shape->n_groups; g++)
        ck_assert_int_eq(page_pool_init(&memory, shape->n_pages[g], &pools[g]), OK);
    uint64_t before = memory.bytes;
    ck_assert_int_eq(prefix_index_init(&memory, &layout, pools, shape->capacity, &prefix_index),
                     OK);
    ck_assert_uint_eq(memory.bytes - before, prefix_index_bytes(shape->capacity, shape->n_groups));
    cache =
        (struct kv_cache){.layout = &layout, .pools = pools, .index = &prefix_index, .copy = copy};
    memset(sequences, 0, sizeof sequences);
    n_entered = 0;
}

static void tear_down(void) {
    prefix_index_free(&memory, &prefix_index);
    for (int g = 0; g < shape->n_groups; g++) page_pool_free(&memory, &pools[g]);
    ck_assert_uint_eq(memory.bytes, 0);
}

static bool grows(int group) {
    return shape->groups[group].kind == KV_GROWING;
}

/* ---- sequences, as the engine has them ---- */

static uint64_t mix(uint64_t a, uint64_t b) {
    a = a * 6364136223846793005u + b + 1;
    return (a ^ (a >> 29)) * 0x9E3779B97F4A7C15u;
}

static void append(struct sequence *s, int32_t token, uint8_t type) {
    uint64_t before = mix(mix(s->domain.cache_domain, s->domain.adapter), s->domain.adapter_scale);
    for (int64_t i = 0; i < s->n_source; i++) before = mix(before, (uint64_t)s->source[i]);
    int64_t at = s->n_tokens++;
    s->tokens[at] = token;
    s->types[at] = type;
    s->past[at] = mix(at ? s->past[at - 1] : before, (uint64_t)token * 4 + type + 1);
}

static void create(struct sequence *s) {
    *s = (struct sequence){.alive = true, .follower = {.last = PREFIX_NONE}};
    for (int g = 0; g < MOST_GROUPS; g++) s->tables[g].pages = s->pages[g];
}

static void back_to(struct sequence *s, int64_t n) {
    s->n_computed = n;
    page_table_trim(&cache, s->tables, n);
    prefix_index_back(&prefix_index, &s->follower, n / PAGE);
}

static struct prefix_tokens next_page(const struct sequence *s) {
    return (struct prefix_tokens){s->tokens + s->follower.n_pages * PAGE,
                                  s->types + s->follower.n_pages * PAGE};
}

static bool begin(struct sequence *s, bool make) {
    return s->follower.last != PREFIX_NONE ||
           prefix_index_begin(&prefix_index, &s->domain, s->source, s->n_source, make,
                              &s->follower);
}

/* Pages from the next one on that were entered before and would be found if none was evicted. */
static int64_t pages_known(const struct sequence *s, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t past = s->past[(s->follower.n_pages + i + 1) * PAGE - 1];
        bool known = false;
        for (int k = 0; k < n_entered && !known; k++) known = entered[k] == past;
        if (!known) return i;
    }
    return n;
}

static int64_t reuse(struct sequence *s) {
    prefix_index_back(&prefix_index, &s->follower, s->n_computed / PAGE);
    if (s->n_computed != s->follower.n_pages * PAGE || s->n_tokens == 0) return 0;
    int64_t n = (s->n_tokens - 1 - s->n_computed) / PAGE, known = pages_known(s, n), found = 0;
    if (n > 0 && begin(s, false))
        found =
            prefix_index_reuse(&prefix_index, &s->domain, next_page(s), n, s->tables, &s->follower);
    ck_assert_int_le(found, known);
    if (prefix_index.n_evicted == 0) ck_assert_int_eq(found, known);
    s->n_computed += found * PAGE;
    return found;
}

static void compute(struct sequence *s, int64_t n) {
    if (n > s->n_tokens - s->n_computed) n = s->n_tokens - s->n_computed;
    if (n == 0) return;
    ck_assert_int_eq(page_table_reserve(&cache, s->tables, s->n_computed, n, &n), OK);
    for (; n > 0; n--, s->n_computed++)
        for (int g = 0; g < shape->n_groups; g++) {
            if (!grows(g)) continue;
            int32_t page = s->tables[g].pages[s->n_computed / PAGE];
            must(pools[g].claims[page] == 1); /* nobody else sees it */
            bytes[g][page][s->n_computed % PAGE] = s->past[s->n_computed];
        }
    bool more = (s->follower.n_pages + 1) * PAGE <= s->n_computed && begin(s, true);
    while (more && (s->follower.n_pages + 1) * PAGE <= s->n_computed) {
        uint64_t past = s->past[(s->follower.n_pages + 1) * PAGE - 1];
        more = prefix_index_enter(&prefix_index, &s->domain, next_page(s), s->tables, &s->follower);
        if (more && n_entered < 20000) entered[n_entered++] = past;
    }
    page_table_slide(&cache, s->tables, s->n_computed);
}

static void truncate_to(struct sequence *s, int64_t n) {
    s->n_tokens = n;
    if (n >= s->n_computed) return;
    back_to(s, page_table_covers(&cache, s->tables, n) ? n : 0);
}

static void fork_of(const struct sequence *from, struct sequence *to) {
    create(to);
    to->domain = from->domain;
    to->n_source = from->n_source;
    memcpy(to->source, from->source, sizeof to->source);
    for (int64_t i = 0; i < from->n_tokens; i++) append(to, from->tokens[i], from->types[i]);
    to->n_computed = from->n_computed;
    page_table_fork(&cache, from->tables, to->tables);
    prefix_index_fork(&prefix_index, &from->follower, &to->follower);
}

static void destroy(struct sequence *s) {
    back_to(s, 0);
    s->alive = false;
}

/* ---- what must be so at any time ---- */

static void check_sequence(const struct sequence *s) {
    for (int g = 0; g < shape->n_groups; g++) {
        const struct page_table *table = &s->tables[g];
        if (!grows(g)) continue;
        ck_assert_int_eq(table->n_pages, (s->n_computed + PAGE - 1) / PAGE);
        int64_t window = shape->groups[g].window;
        int64_t first = window && s->n_computed >= window ? s->n_computed - window + 1 : 0;
        for (int64_t i = first; i < s->n_computed; i++)
            must(bytes[g][table->pages[i / PAGE]][i % PAGE] == s->past[i]);
        for (int64_t i = 0; i < table->n_pages; i++)
            must((table->pages[i] == PAGE_NONE) == (i < table->n_dropped));
    }
}

static void check_pool(int g) {
    const struct page_pool *pool = &pools[g];
    static int32_t claims[MOST_POOL];
    int64_t n_cached = 0, n_free = 0, n_listed = 0;
    memset(claims, 0, sizeof claims);
    for (int i = 0; i < N_SEQUENCES; i++)
        for (int64_t k = 0; sequences[i].alive && k < sequences[i].tables[g].n_pages; k++)
            if (sequences[i].tables[g].pages[k] != PAGE_NONE)
                claims[sequences[i].tables[g].pages[k]]++;
    for (int64_t page = 0; page < pool->n_pages; page++) {
        int32_t entry = pool->entries[page];
        if (entry != PAGE_NONE) {
            n_cached += claims[page]++ == 0;
            must(prefix_index.pages[entry * shape->n_groups + g] == (int32_t)page);
        }
        n_free += claims[page] == 0;
        must(claims[page] == pool->claims[page]);
    }
    for (int32_t page = pool->oldest; page != PAGE_NONE; page = pool->newer[page]) n_listed++;
    ck_assert_int_eq(n_cached, pool->n_cached);
    ck_assert_int_eq(n_listed, n_cached);
    ck_assert_int_eq(n_free, pool->n_free);
}

/* Entries are in use for pages, children or followers. */
static void check_entries(void) {
    static int32_t holders[ENTRIES];
    static bool unused[ENTRIES];
    memset(holders, 0, sizeof holders);
    memset(unused, 0, sizeof unused);
    for (int32_t e = prefix_index.free; e != PREFIX_NONE; e = prefix_index.entries[e].next)
        unused[e] = true;
    for (int64_t e = prefix_index.n_begun; e < shape->capacity; e++) unused[e] = true;
    for (int i = 0; i < N_SEQUENCES; i++)
        if (sequences[i].alive && sequences[i].follower.last != PREFIX_NONE)
            holders[sequences[i].follower.last]++;
    for (int64_t e = 0; e < shape->capacity; e++)
        if (!unused[e] && prefix_index.entries[e].parent != PREFIX_NONE)
            holders[prefix_index.entries[e].parent]++;
    for (int64_t e = 0; e < shape->capacity; e++) {
        bool pages = false;
        for (int g = 0; g < shape->n_groups && e < prefix_index.n_begun; g++)
            pages |= prefix_index.pages[e * shape->n_groups + g] != PAGE_NONE;
        if (unused[e]) must(!pages && !holders[e]);
        if (!unused[e]) must(holders[e] == prefix_index.entries[e].n_holders);
        if (!unused[e]) must(pages || holders[e]);
    }
}

static void check_all(void) {
    for (int g = 0; g < shape->n_groups; g++) check_pool(g);
    for (int i = 0; i < N_SEQUENCES; i++)
        if (sequences[i].alive) check_sequence(&sequences[i]);
    check_entries();
}

/* ---- tests ---- */

static uint64_t same_hash(const void *data, size_t n) {
    (void)data, (void)n;
    return 7;
}

static uint64_t weak_hash(const void *data, size_t n) {
    const unsigned char *of = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += of[i];
    return sum % 5;
}

/* Few different pages, so that beginnings coincide; now and then a token that is no other's. */
static void append_some(struct sequence *s) {
    int64_t n = 1 + draw(4 * PAGE);
    int32_t token = (int32_t)draw(2);
    for (; n > 0 && s->n_tokens < MOST_TOKENS; n--) {
        if (s->n_tokens % PAGE == 0) token = (int32_t)draw(2);
        append(s, draw(300) ? token : (int32_t)draw(1000), (uint8_t)(draw(400) == 0));
    }
}

static void create_some(struct sequence *s) {
    create(s);
    s->domain.cache_domain = (uint64_t)draw(2);
    if (draw(4) == 0) s->domain.adapter = (uint64_t)draw(2);
    if (draw(4) == 0) s->domain.adapter_scale = (uint32_t)draw(2);
    if (shape->groups[0].kind == KV_FIXED || shape->groups[1].kind == KV_FIXED) {
        static const int64_t lengths[] = {1, 63, 64, 65, 100};
        s->n_source = lengths[draw(5)];
        for (int64_t i = 0; i < s->n_source; i++) s->source[i] = i == 70 ? (int32_t)draw(2) : 3;
    }
    append_some(s);
}

static int64_t run_course(int n_operations) {
    int64_t n_found = 0;
    for (int i = 0; i < n_operations; i++) {
        struct sequence *s = &sequences[draw(N_SEQUENCES)], *other = &sequences[draw(N_SEQUENCES)];
        int64_t what = draw(20);
        if (!s->alive)
            create_some(s);
        else if (what < 10)
            n_found += reuse(s), compute(s, 1 + draw(3 * PAGE));
        else if (what < 13 && s->n_tokens < MOST_TOKENS)
            append_some(s);
        else if (what < 15)
            truncate_to(s, draw(s->n_tokens + 1));
        else if (what < 16)
            back_to(s, 0); /* as preemption does */
        else if (what < 18 && !other->alive)
            fork_of(s, other);
        else if (what < 20)
            destroy(s);
        if (i % 4 == 0) check_all();
    }
    return n_found;
}

START_TEST(random_courses) {
    static uint64_t (*const hashes[])(const void *, size_t) = {NULL, same_hash, weak_hash};
    int64_t n_found = 0;
    uint64_t n_evicted = 0;
    for (uint64_t seed = 0; seed < 6; seed++) {
        random_state = seed * 77 + (uint64_t)_i;
        set_up(&shapes[_i]);
        if (hashes[seed % 3]) prefix_index.hash = hashes[seed % 3];
        n_found += run_course(600);
        n_evicted += prefix_index.n_evicted;
        for (int i = 0; i < N_SEQUENCES; i++)
            if (sequences[i].alive) destroy(&sequences[i]);
        check_all();
        for (int g = 0; g < shape->n_groups; g++) {
            ck_assert_int_eq(pools[g].n_free + pools[g].n_cached, pools[g].n_pages);
            while (grows(g) && pools[g].n_cached) ck_assert(prefix_index_evict(&prefix_index, g));
            ck_assert(!prefix_index_evict(&prefix_index, g));
        }
        check_all();
        int64_t n_unused = shape->capacity - prefix_index.n_begun;
        for (int32_t e = prefix_index.free; e != PREFIX_NONE; e = prefix_index.entries[e].next)
            n_unused++;
        ck_assert_int_eq(n_unused, shape->capacity);
        tear_down();
    }
    /* That it comes to hits and evictions at all; how often is the compiler's order of draws. */
    ck_assert_int_gt(n_found, 50);
    if (shape->n_pages[0] < 100) ck_assert_uint_gt(n_evicted, 50);
}
END_TEST

/* Computes n pages, the k-th all tokens first + k, and gives them back. */
static void leave_behind(int32_t first, int64_t n) {
    struct sequence *s = &sequences[0];
    create(s);
    for (int64_t i = 0; i < n * PAGE; i++) append(s, first + (int32_t)(i / PAGE), 0);
    append(s, 0, 0);
    reuse(s);
    while (s->n_computed < s->n_tokens) compute(s, MOST_TOKENS);
    destroy(s);
}

/* How many of those pages are still there; looking keeps them for longer. */
static int64_t left_of(int32_t first, int64_t n) {
    struct sequence *s = &sequences[1];
    create(s);
    for (int64_t i = 0; i < n * PAGE; i++) append(s, first + (int32_t)(i / PAGE), 0);
    append(s, 0, 0);
    int64_t found = reuse(s);
    destroy(s);
    return found;
}

START_TEST(longest_unused_goes_first_from_its_end) {
    set_up(&shapes[1]); /* 20 pages */
    leave_behind(100, 5);
    leave_behind(200, 5);
    leave_behind(300, 5);
    ck_assert_int_eq(pools[0].n_cached, 15);
    ck_assert_int_eq(left_of(100, 5), 5); /* used last now */
    leave_behind(400, 6);                 /* and one for the token after them */
    ck_assert_uint_eq(prefix_index.n_evicted, 2);
    ck_assert_int_eq(left_of(200, 5), 3);
    leave_behind(500, 9);
    ck_assert_int_eq(left_of(300, 5), 0);
    ck_assert_int_eq(left_of(500, 9), 9);
    check_all();
    tear_down();
}
END_TEST

START_TEST(domains_do_not_meet) {
    set_up(&shapes[0]);
    prefix_index.hash = same_hash;
    for (int k = 0; k < 5; k++)
        for (int pass = 0; pass < 2; pass++) {
            struct sequence *s = &sequences[0];
            create(s);
            if (k == 1) s->domain.cache_domain = 1;
            if (k == 2) s->domain.adapter = 1;
            if (k == 3) s->domain.adapter_scale = 1;
            for (int64_t i = 0; i < 3 * PAGE + 1; i++) append(s, 5, k == 4 && i == 70);
            /* Another type of a token on the second page: the first is the same. */
            ck_assert_int_eq(reuse(s), pass ? 3 : k == 4);
            compute(s, MOST_TOKENS);
            destroy(s);
        }
    check_all();
    tear_down();
}
END_TEST

/* A page of a source is none of a target, however it collides. */
START_TEST(sources_are_no_targets) {
    set_up(&shapes[4]);
    prefix_index.hash = same_hash;
    for (int64_t n_source = PAGE; n_source <= 2 * PAGE; n_source += PAGE)
        for (int pass = 0; pass < 2; pass++) {
            struct sequence *s = &sequences[0];
            create(s);
            s->n_source = n_source;
            for (int64_t i = 0; i < n_source; i++) s->source[i] = 7;
            for (int64_t i = 0; i < 2 * PAGE + 1; i++) append(s, 7, 0);
            ck_assert_int_eq(reuse(s), pass ? 2 : 0);
            compute(s, MOST_TOKENS);
            check_all();
            destroy(s);
        }
    check_all();
    tear_down();
}
END_TEST

/* What a window has let go of is missing where it is looked at, and nowhere else. */
START_TEST(windows_need_their_pages) {
    set_up(&shapes[2]); /* a window of 100 beside a group without */
    leave_behind(100, 8);
    struct sequence *s = &sequences[2];
    create(s);
    for (int64_t i = 0; i < 5 * PAGE + 1; i++) append(s, 100 + (int32_t)(i / PAGE), 0);
    ck_assert_int_eq(reuse(s), 5);
    ck_assert_int_eq(s->tables[0].n_dropped, 0);
    ck_assert_int_eq(s->tables[1].n_dropped, 3); /* 320 - 99 is on page 3 */
    destroy(s);
    /* Without page 4 of the window, page 5 can't be gone on from; page 3 can. */
    for (int32_t e = 0; e < prefix_index.n_begun; e++)
        if (prefix_index.entries[e].tokens[0] == 104)
            ck_assert(prefix_index_release(&prefix_index, 1,
                                           prefix_index.pages[e * shape->n_groups + 1]));
    ck_assert_int_eq(left_of(100, 4), 4);
    ck_assert_int_eq(left_of(100, 5), 4);
    ck_assert_int_eq(left_of(100, 6), 4); /* its window has page 4 in it too */
    ck_assert_int_eq(left_of(100, 7), 7);
    leave_behind(100, 5); /* and page 4 is entered again */
    ck_assert_int_eq(left_of(100, 6), 6);
    check_all();
    tear_down();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("prefix_index");
    TCase *tests = tcase_create("prefix_index");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, random_courses, 0, N_SHAPES);
    tcase_add_test(tests, longest_unused_goes_first_from_its_end);
    tcase_add_test(tests, domains_do_not_meet);
    tcase_add_test(tests, sources_are_no_targets);
    tcase_add_test(tests, windows_need_their_pages);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
