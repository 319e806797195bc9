#include "kv/page_pool.h"

size_t page_pool_bytes(int64_t n_pages) {
    return 5 * memory_cost((size_t)n_pages * sizeof(int32_t));
}

status page_pool_init(struct memory *memory, int64_t n_pages, struct page_pool *pool) {
    size_t n = (size_t)n_pages;
    *pool = (struct page_pool){.n_pages = n_pages, .oldest = PAGE_NONE, .newest = PAGE_NONE};
    TRY(MEMORY_TAKE_ARRAY(memory, n, "KV page counts", &pool->claims));
    TRY(MEMORY_TAKE_ARRAY(memory, n, "free KV pages", &pool->free));
    TRY(MEMORY_TAKE_ARRAY(memory, n, "cached KV pages", &pool->entries));
    TRY(MEMORY_TAKE_ARRAY(memory, n, "cached KV pages", &pool->older));
    TRY(MEMORY_TAKE_ARRAY(memory, n, "cached KV pages", &pool->newer));
    for (int64_t page = n_pages - 1; page >= 0; page--) {
        pool->free[pool->n_free++] = (int32_t)page;
        pool->entries[page] = PAGE_NONE;
    }
    return OK;
}

void page_pool_free(struct memory *memory, struct page_pool *pool) {
    memory_give(memory, pool->claims);
    memory_give(memory, pool->free);
    memory_give(memory, pool->entries);
    memory_give(memory, pool->older);
    memory_give(memory, pool->newer);
    *pool = (struct page_pool){0};
}

static void link_newest(struct page_pool *pool, int32_t page) {
    pool->older[page] = pool->newest;
    pool->newer[page] = PAGE_NONE;
    if (pool->newest == PAGE_NONE)
        pool->oldest = page;
    else
        pool->newer[pool->newest] = page;
    pool->newest = page;
    pool->n_cached++;
}

static void unlink_cached(struct page_pool *pool, int32_t page) {
    int32_t older = pool->older[page], newer = pool->newer[page];
    if (older == PAGE_NONE)
        pool->oldest = newer;
    else
        pool->newer[older] = newer;
    if (newer == PAGE_NONE)
        pool->newest = older;
    else
        pool->older[newer] = older;
    pool->n_cached--;
}

static bool is_cached(const struct page_pool *pool, int32_t page) {
    return pool->claims[page] == 1 && pool->entries[page] != PAGE_NONE;
}

int32_t page_pool_take(struct page_pool *pool) {
    if (!pool->n_free) return PAGE_NONE;
    int32_t page = pool->free[--pool->n_free];
    pool->claims[page] = 1;
    return page;
}

void page_pool_share(struct page_pool *pool, int32_t page) {
    if (is_cached(pool, page)) unlink_cached(pool, page);
    pool->claims[page]++;
}

void page_pool_drop(struct page_pool *pool, int32_t page) {
    if (--pool->claims[page] == 0)
        pool->free[pool->n_free++] = page;
    else if (is_cached(pool, page))
        link_newest(pool, page);
}

bool page_pool_is_shared(const struct page_pool *pool, int32_t page) {
    return pool->claims[page] > 1;
}

void page_pool_enter(struct page_pool *pool, int32_t page, int32_t entry) {
    pool->claims[page]++;
    pool->entries[page] = entry;
}

void page_pool_leave(struct page_pool *pool, int32_t page) {
    if (is_cached(pool, page)) unlink_cached(pool, page);
    pool->entries[page] = PAGE_NONE;
    page_pool_drop(pool, page);
}
