#include "kv/page_pool.h"

size_t page_pool_bytes(int64_t n_pages) {
    return 2 * memory_cost((size_t)n_pages * sizeof(int32_t));
}

status page_pool_init(struct memory *memory, int64_t n_pages, struct page_pool *pool) {
    *pool = (struct page_pool){.n_pages = n_pages};
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)n_pages, "KV page counts", &pool->claims));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)n_pages, "free KV pages", &pool->free));
    for (int64_t page = n_pages - 1; page >= 0; page--) pool->free[pool->n_free++] = (int32_t)page;
    return OK;
}

void page_pool_free(struct memory *memory, struct page_pool *pool) {
    memory_give(memory, pool->claims);
    memory_give(memory, pool->free);
    *pool = (struct page_pool){0};
}

int32_t page_pool_take(struct page_pool *pool) {
    if (!pool->n_free) return PAGE_NONE;
    int32_t page = pool->free[--pool->n_free];
    pool->claims[page] = 1;
    return page;
}

void page_pool_share(struct page_pool *pool, int32_t page) {
    pool->claims[page]++;
}

void page_pool_drop(struct page_pool *pool, int32_t page) {
    if (--pool->claims[page] == 0) pool->free[pool->n_free++] = page;
}

bool page_pool_is_shared(const struct page_pool *pool, int32_t page) {
    return pool->claims[page] > 1;
}
