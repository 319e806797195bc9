#include "kv/page_table.h"

static int64_t pages_of(int64_t positions) {
    return (positions + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
}

int64_t page_table_first(int64_t window, int64_t position) {
    return window && position >= window ? (position - window + 1) / KV_PAGE_TOKENS : 0;
}

static int32_t take_page(const struct kv_cache *cache, int group) {
    struct page_pool *pool = &cache->pools[group];
    if (!pool->n_free && pool->n_cached) prefix_index_evict(cache->index, group);
    return page_pool_take(pool);
}

/* Whether others hold the page, the prefix index aside. */
static bool is_held(const struct page_pool *pool, int32_t page) {
    return pool->claims[page] > (pool->entries[page] == PAGE_NONE ? 1 : 2);
}

/* A page of our own, alone, where `position` will be written. *owned false: no page is free. */
static status own_page(const struct kv_cache *cache, int group, struct page_table *table,
                       int64_t index, bool *owned) {
    struct page_pool *pool = &cache->pools[group];
    bool has_page = index < table->n_pages;
    int32_t old = has_page ? table->pages[index] : PAGE_NONE;
    *owned = true;
    if (has_page && !page_pool_is_shared(pool, old)) return OK;
    int32_t own = take_page(cache, group);
    if (own == PAGE_NONE && has_page && !is_held(pool, old)) {
        *owned = prefix_index_release(cache->index, group, old);
        return OK;
    }
    *owned = own != PAGE_NONE;
    if (!*owned) return OK;
    if (!has_page) {
        table->pages[table->n_pages++] = own;
        return OK;
    }
    status copied = cache->copy(cache->copy_user, group, old, own);
    page_pool_drop(pool, copied == OK ? old : own);
    if (copied == OK) table->pages[index] = own;
    return copied;
}

static bool grows(const struct kv_cache *cache, int group) {
    return cache->layout->groups[group].kind == KV_GROWING;
}

void page_table_needs(const struct kv_cache *cache, const struct page_table *tables,
                      int64_t position, int64_t *n_needed) {
    int64_t index = position / KV_PAGE_TOKENS;
    for (int group = 0; group < cache->layout->n_groups; group++) {
        const struct page_table *table = &tables[group];
        bool has_page = index < table->n_pages;
        n_needed[group] = grows(cache, group) &&
                          (!has_page || is_held(&cache->pools[group], table->pages[index]));
    }
}

status page_table_reserve(const struct kv_cache *cache, struct page_table *tables, int64_t position,
                          int64_t n_rows, int64_t *n_reserved) {
    int64_t first = position / KV_PAGE_TOKENS, last = (position + n_rows - 1) / KV_PAGE_TOKENS;
    for (int64_t index = first; index <= last; index++) {
        for (int group = 0; group < cache->layout->n_groups; group++) {
            bool owned;
            if (!grows(cache, group)) continue;
            status result = own_page(cache, group, &tables[group], index, &owned);
            if (result == OK && owned) continue;
            int64_t end = index * KV_PAGE_TOKENS;
            if (result != OK || end < position) end = position;
            page_table_trim(cache, tables, end);
            *n_reserved = end - position;
            return result;
        }
    }
    *n_reserved = n_rows;
    return OK;
}

void page_table_trim(const struct kv_cache *cache, struct page_table *tables, int64_t position) {
    for (int group = 0; group < cache->layout->n_groups; group++) {
        if (!grows(cache, group)) continue;
        struct page_table *table = &tables[group];
        int64_t keep = pages_of(position);
        while (table->n_pages > keep) {
            int32_t page = table->pages[--table->n_pages];
            if (page != PAGE_NONE) page_pool_drop(&cache->pools[group], page);
        }
        if (table->n_dropped > table->n_pages) table->n_dropped = table->n_pages;
    }
}

void page_table_slide(const struct kv_cache *cache, struct page_table *tables, int64_t position) {
    for (int group = 0; group < cache->layout->n_groups; group++) {
        if (!grows(cache, group)) continue;
        struct page_table *table = &tables[group];
        int64_t first = page_table_first(cache->layout->groups[group].window, position);
        for (; table->n_dropped < first && table->n_dropped < table->n_pages; table->n_dropped++) {
            page_pool_drop(&cache->pools[group], table->pages[table->n_dropped]);
            table->pages[table->n_dropped] = PAGE_NONE;
        }
    }
}

bool page_table_covers(const struct kv_cache *cache, const struct page_table *tables,
                       int64_t position) {
    for (int group = 0; group < cache->layout->n_groups; group++) {
        int64_t first = page_table_first(cache->layout->groups[group].window, position);
        if (position > 0 && tables[group].n_dropped > first) return false;
    }
    return true;
}

void page_table_fork(const struct kv_cache *cache, const struct page_table *from,
                     struct page_table *to) {
    for (int group = 0; group < cache->layout->n_groups; group++) {
        for (int64_t i = 0; i < from[group].n_pages; i++) {
            int32_t page = from[group].pages[i];
            to[group].pages[i] = page;
            if (page != PAGE_NONE) page_pool_share(&cache->pools[group], page);
        }
        to[group].n_pages = from[group].n_pages;
        to[group].n_dropped = from[group].n_dropped;
    }
}

void page_table_give_fixed(const struct kv_cache *cache, struct page_table *tables,
                           enum kv_kind kind) {
    for (int group = 0; group < cache->layout->n_groups; group++) {
        struct page_table *table = &tables[group];
        if (cache->layout->groups[group].kind != kind) continue;
        while (table->n_pages > 0)
            page_pool_drop(&cache->pools[group], table->pages[--table->n_pages]);
    }
}

bool page_table_take_fixed(const struct kv_cache *cache, struct page_table *tables, int64_t n) {
    for (int group = 0; group < cache->layout->n_groups; group++)
        if (!grows(cache, group) && cache->pools[group].n_free < pages_of(n)) return false;
    for (int group = 0; group < cache->layout->n_groups; group++)
        while (!grows(cache, group) && tables[group].n_pages < pages_of(n))
            tables[group].pages[tables[group].n_pages++] = page_pool_take(&cache->pools[group]);
    return true;
}
